/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.c: text tables and short texts. Called by cmd_devices.c, cmd_inspect.c, cmd_bench.c,
 * cmd_verify.c and cmd_demo.c. It knows nothing of what the cells say.
 */
#include "table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static char *next_cell(table *t)
{
    if (t->failed) {
        return NULL;
    }
    if (t->filled == t->columns || t->rows == 0) {
        t->rows++;
        t->filled = 0;
    }
    if (t->rows > t->capacity) {
        size_t capacity = t->capacity == 0 ? 16 : 2 * t->capacity;
        void *grown = realloc(t->cells, capacity * t->columns * sizeof *t->cells);
        if (grown == NULL) {
            cli_error("out of memory: a table of %zu rows", t->rows);
            t->failed = true;
            return NULL;
        }
        t->cells = grown;
        t->capacity = capacity;
    }
    char *cell = t->cells[(t->rows - 1) * t->columns + t->filled];
    t->filled++;
    cell[0] = '\0';
    return cell;
}

void table_cell(table *t, const char *format, ...)
{
    char *cell = next_cell(t);
    if (cell != NULL) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(cell, TABLE_CELL, format, arguments);
        va_end(arguments);
    }
}

table table_make(const char *headings)
{
    table t = {.columns = 1};
    for (const char *c = headings; *c != '\0'; c++) {
        t.columns += *c == '|';
    }
    size_t column = 0;
    for (const char *c = headings;; c++) {
        size_t length = strcspn(c, "|");
        t.right[column] = *c == '>';
        size_t skip = t.right[column] ? 1 : 0;
        table_cell(&t, "%.*s", (int)(length - skip), c + skip);
        column++;
        c += length;
        if (*c == '\0') {
            return t;
        }
    }
}

/* Characters, not bytes: continuation bytes of UTF-8 have no width. */
static int width_of(const char *text)
{
    int width = 0;
    for (const char *c = text; *c != '\0'; c++) {
        width += ((unsigned char)*c & 0xC0u) != 0x80u;
    }
    return width;
}

static int column_width(const table *t, size_t column)
{
    int widest = 0;
    for (size_t row = 0; row < t->rows; row++) {
        int width = width_of(t->cells[row * t->columns + column]);
        widest = width > widest ? width : widest;
    }
    return widest;
}

void table_print(const table *t, FILE *stream)
{
    int widths[TABLE_COLUMNS] = {0};
    if (t->failed) {
        return;
    }
    for (size_t column = 0; column < t->columns; column++) {
        widths[column] = column_width(t, column);
    }
    for (size_t row = 0; row < t->rows; row++) {
        size_t cells = row + 1 == t->rows ? t->filled : t->columns;
        for (size_t column = 0; column < cells; column++) {
            const char *cell = t->cells[row * t->columns + column];
            int padding = widths[column] - width_of(cell);
            bool last = column + 1 == cells;
            if (t->right[column]) {
                fprintf(stream, "%*s%s", padding, "", cell);
            } else {
                fprintf(stream, "%s%*s", cell, last ? 0 : padding, "");
            }
            fputs(last ? "\n" : "  ", stream);
        }
    }
}

void table_free(table *t)
{
    free(t->cells);
    t->cells = NULL;
}

const char *text_time(char *text, double nanoseconds)
{
    const char *unit = "ns";
    double value = nanoseconds;
    if (nanoseconds >= 1e9) {
        unit = "s";
        value = nanoseconds / 1e9;
    } else if (nanoseconds >= 1e6) {
        unit = "ms";
        value = nanoseconds / 1e6;
    } else if (nanoseconds >= 1e3) {
        unit = "us";
        value = nanoseconds / 1e3;
    }
    snprintf(text, TEXT_SHORT, value >= 100 ? "%.0f %s" : "%.3g %s", value, unit);
    return text;
}

const char *text_bytes(char *text, double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, TEXT_SHORT, bytes >= 100 || unit == 0 ? "%.0f %s" : "%.3g %s", bytes, units[unit]);
    return text;
}

const char *text_number(char *text, double value)
{
    snprintf(text, TEXT_SHORT, value >= 100 ? "%.0f" : "%.3g", value);
    return text;
}
