/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h: text tables: cells are collected, then printed with every column as wide as its widest cell.
 *
 * Also the short texts that several verbs print: times, rates, bytes.
 */
#ifndef TABLE_H
#define TABLE_H

#include <anymps/anymps.h>
#include <stdio.h>

enum { TABLE_COLUMNS = 16, TABLE_CELL = 96 };

typedef struct table {
    size_t columns;
    bool right[TABLE_COLUMNS];     /* align to the right: numbers */
    char (*cells)[TABLE_CELL];     /* rows * columns, the heading first */
    size_t rows, capacity, filled; /* `filled` cells of the last row */
    bool failed;                   /* out of memory: said once, printed as nothing */
} table;

/* Headings separated by '|'; one that begins with '>' is aligned to the right. */
table table_make(const char *headings);
void table_cell(table *t, const char *format, ...) ANYMPS_PRINTF(2, 3);
void table_print(const table *t, FILE *stream);
void table_free(table *t);

enum { TEXT_SHORT = 32 };

/* "1.23 ms" from nanoseconds; 512 KiB from bytes. `text` holds TEXT_SHORT bytes and is returned. */
const char *text_time(char *text, double nanoseconds);
const char *text_bytes(char *text, double bytes);

/* "218", "0.42", "115100": three digits at least and no exponent. */
const char *text_number(char *text, double value);

#endif /* TABLE_H */
