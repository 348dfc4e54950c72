/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roofline.c: draws the roofline chart. Called by cmd_bench.c; it knows numbers and labels only.
 *
 * Plain SVG 1.1 without scripts. Points carry a number; the list to the right says what each number is, so
 * that labels never cover one another. Every point has its values as a tooltip (<title>).
 */
#include "roofline.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

/* Pixels. The plot lies at (LEFT, TOP); the list of points at LIST_X. */
enum {
    LEFT = 70,
    TOP = 60,
    PLOT_WIDTH = 620,
    PLOT_HEIGHT = 440,
    LIST_X = LEFT + PLOT_WIDTH + 30,
    RATE_X = LIST_X + 70, /* right edge of the rates */
    LABEL_X = RATE_X + 12,
    WIDTH = LABEL_X + 330,
    LINE = 17,
    NUMBERS_MOST = 128, /* points whose numbers are kept apart */
    NUMBER_STEP = 12    /* and how far */
};

/* Colours that also differ for most colour-blind eyes (Okabe and Ito 2008). */
static const char *const colours[8] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                       "#e69f00", "#56b4e9", "#000000", "#999999"};

typedef struct axes {
    double x_low, x_high, y_low, y_high; /* decimal logarithms, whole */
} axes;

static double x_of(const axes *a, double intensity)
{
    return (double)LEFT + (log10(intensity) - a->x_low) / (a->x_high - a->x_low) * (double)PLOT_WIDTH;
}

static double y_of(const axes *a, double gflops)
{
    return (double)(TOP + PLOT_HEIGHT) - (log10(gflops) - a->y_low) / (a->y_high - a->y_low) * (double)PLOT_HEIGHT;
}

static axes choose_axes(const roofline *chart)
{
    axes a = {-1, 2, 0, ceil(log10(chart->peak_gflops * 1.2))};
    for (size_t i = 0; i < chart->point_count; i++) {
        const roofline_point *p = &chart->points[i];
        a.x_low = fmin(a.x_low, floor(log10(p->intensity)));
        a.x_high = fmax(a.x_high, ceil(log10(p->intensity)));
        a.y_low = fmin(a.y_low, floor(log10(p->gflops)));
        a.y_high = fmax(a.y_high, ceil(log10(p->gflops)));
    }
    return a;
}

static void put_text(FILE *f, double x, double y, const char *attributes, const char *text)
{
    fprintf(f, "<text x=\"%.1f\" y=\"%.1f\"%s%s>", x, y, attributes[0] != '\0' ? " " : "", attributes);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '<' || *c == '&' || *c == '>') {
            fputs(*c == '<' ? "&lt;" : *c == '>' ? "&gt;" : "&amp;", f);
        } else {
            fputc(*c, f);
        }
    }
    fputs("</text>\n", f);
}

static void put_line(FILE *f, double x1, double y1, double x2, double y2, const char *style)
{
    fprintf(f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2, style);
}

static void put_grid(FILE *f, const axes *a)
{
    const char *faint = "stroke=\"#dddddd\" stroke-width=\"1\"";
    char text[32];
    for (int x = (int)a->x_low; x <= (int)a->x_high; x++) {
        double at = x_of(a, pow(10, x));
        put_line(f, at, TOP, at, TOP + PLOT_HEIGHT, faint);
        snprintf(text, sizeof text, "%g", pow(10, x));
        put_text(f, at, TOP + PLOT_HEIGHT + 18, "text-anchor=\"middle\"", text);
    }
    for (int y = (int)a->y_low; y <= (int)a->y_high; y++) {
        double at = y_of(a, pow(10, y));
        put_line(f, LEFT, at, LEFT + PLOT_WIDTH, at, faint);
        snprintf(text, sizeof text, "%g", pow(10, y));
        put_text(f, LEFT - 8, at + 4, "text-anchor=\"end\"", text);
    }
    put_text(f, (double)LEFT + (double)PLOT_WIDTH / 2.0, TOP + PLOT_HEIGHT + 40, "text-anchor=\"middle\"",
             "operations per byte");
    put_text(f, LEFT - 45, TOP - 14, "", "GFLOP/s");
}

/* A sloped roof from the left edge (or the lower) to its ridge, then the flat one. */
static void put_slope(FILE *f, const roofline *chart, const axes *a, double gb_per_s, const char *style)
{
    double from = fmax(pow(10, a->x_low), pow(10, a->y_low) / gb_per_s);
    double to = fmin(chart->peak_gflops / gb_per_s, pow(10, a->x_high));
    if (from < to) {
        put_line(f, x_of(a, from), y_of(a, from * gb_per_s), x_of(a, to), y_of(a, to * gb_per_s), style);
    }
}

static void put_roof(FILE *f, const roofline *chart, const axes *a)
{
    const char *roof = "stroke=\"#444444\" stroke-width=\"2\"";
    const char *dashed = "stroke=\"#444444\" stroke-width=\"1.5\" stroke-dasharray=\"6 4\"";
    bool cached = chart->peak_cache_gb_per_s > chart->peak_gb_per_s;
    double ridge = chart->peak_gflops / (cached ? chart->peak_cache_gb_per_s : chart->peak_gb_per_s);
    double begin = fmax(ridge, pow(10, a->x_low));
    char text[128], inside[48] = "";
    put_slope(f, chart, a, chart->peak_gb_per_s, roof);
    if (cached) {
        put_slope(f, chart, a, chart->peak_cache_gb_per_s, dashed);
        snprintf(inside, sizeof inside, ", in cache (dashed) %.3g GB/s", chart->peak_cache_gb_per_s);
    }
    if (begin < pow(10, a->x_high)) {
        put_line(f, x_of(a, begin), y_of(a, chart->peak_gflops), LEFT + PLOT_WIDTH, y_of(a, chart->peak_gflops), roof);
    }
    snprintf(text, sizeof text, "measured peaks: %.4g GFLOP/s; copies out of cache %.3g GB/s%s", chart->peak_gflops,
             chart->peak_gb_per_s, inside);
    put_text(f, LEFT + PLOT_WIDTH, TOP - 14, "text-anchor=\"end\" fill=\"#444444\"", text);
}

/* Where the numbers beside the points stand so far. */
typedef struct numbers {
    size_t count;
    double x[NUMBERS_MOST], y[NUMBERS_MOST];
} numbers;

/* The height for a number at (x, y): above whatever stands there already. */
static double free_height(numbers *n, double x, double y)
{
    for (size_t i = 0; i < n->count; i++) {
        if (fabs(n->x[i] - x) < 16 && fabs(n->y[i] - y) < (double)NUMBER_STEP) {
            y = n->y[i] - (double)NUMBER_STEP;
            i = (size_t)-1; /* look again from the first */
        }
    }
    if (n->count < NUMBERS_MOST) {
        n->x[n->count] = x;
        n->y[n->count++] = y;
    }
    return y;
}

static void put_point(FILE *f, const roofline *chart, const axes *a, size_t index)
{
    const roofline_point *p = &chart->points[index];
    const char *colour = colours[p->series % 8];
    fprintf(f,
            "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" stroke=\"%s\" stroke-width=\"2\" fill=\"%s\">"
            "<title>%s, %s: %.4g GFLOP/s at %.3g per byte</title></circle>\n",
            x_of(a, p->intensity), y_of(a, p->gflops), colour, p->series == 0 ? colour : "none",
            chart->series[p->series], p->label, p->gflops, p->intensity);
}

/* The number of one of our points, on a white edge that keeps it legible over points and lines, and its line in the
   list. */
static void put_number(FILE *f, const roofline_point *p, const axes *a, numbers *n)
{
    double x = x_of(a, p->intensity) + 8;
    double y = free_height(n, x, y_of(a, p->gflops) - 6);
    double line = TOP + 20 + (double)(n->count * LINE);
    char text[64];
    snprintf(text, sizeof text, "%zu", n->count);
    put_text(f, x, y, "font-size=\"11\" stroke=\"#ffffff\" stroke-width=\"3\"", text);
    put_text(f, x, y, "font-size=\"11\"", text);
    put_text(f, LIST_X, line, "font-size=\"12\"", text);
    snprintf(text, sizeof text, "%.3g", p->gflops);
    put_text(f, RATE_X, line, "font-size=\"12\" text-anchor=\"end\"", text);
    put_text(f, LABEL_X, line, "font-size=\"12\"", p->label);
}

static void put_legend(FILE *f, const roofline *chart)
{
    double x = LEFT;
    for (size_t i = 0; i < chart->series_count; i++) {
        double y = TOP + PLOT_HEIGHT + 64;
        fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" stroke=\"%s\" stroke-width=\"2\" fill=\"%s\"/>\n", x + 6,
                y - 4, colours[i % 8], i == 0 ? colours[i] : "none");
        put_text(f, x + 16, y, "", chart->series[i]);
        x += 110;
    }
    put_text(f, RATE_X, TOP + 14, "font-weight=\"bold\" text-anchor=\"end\"", "GFLOP/s");
}

static void put_chart(FILE *f, const roofline *chart)
{
    axes a = choose_axes(chart);
    size_t listed = 0;
    for (size_t i = 0; i < chart->point_count; i++) {
        listed += chart->points[i].series == 0;
    }
    double list_end = TOP + 40 + (double)(listed * LINE), plot_end = TOP + PLOT_HEIGHT + 90;
    double height = fmax(list_end, plot_end);
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
            "viewBox=\"0 0 %d %.0f\" font-family=\"sans-serif\" font-size=\"13\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
            WIDTH, height, WIDTH, height);
    put_text(f, LEFT - 45, 26, "font-size=\"17\" font-weight=\"bold\"", chart->title);
    put_grid(f, &a);
    put_roof(f, chart, &a);
    numbers placed = {0};
    for (size_t i = 0; i < chart->point_count; i++) {
        put_point(f, chart, &a, i);
    }
    for (size_t i = 0; i < chart->point_count; i++) {
        if (chart->points[i].series == 0) {
            put_number(f, &chart->points[i], &a, &placed);
        }
    }
    put_legend(f, chart);
    fputs("</svg>\n", f);
}

/* Writes into a new file beside the place and renames it. */
static bool write_aside(const char *path, const roofline *chart)
{
    size_t size = strlen(path) + 8;
    char *aside = cli_allocate(size, 1);
    if (aside == NULL) {
        return false;
    }
    snprintf(aside, size, "%s.XXXXXX", path);
    int descriptor = mkstemp(aside);
    FILE *f = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
    bool good = f != NULL;
    if (good) {
        put_chart(f, chart);
        good = fflush(f) == 0 && ferror(f) == 0 && fchmod(descriptor, 0644) == 0;
        good = fclose(f) == 0 && good;
        good = good && rename(aside, path) == 0;
    }
    if (!good && descriptor >= 0) {
        int reason = errno;
        unlink(aside);
        errno = reason;
    }
    free(aside);
    return good;
}

/* Writes to what is there already: a device or a pipe, which a rename would replace. */
static bool write_straight(const char *path, const roofline *chart)
{
    FILE *f = fopen(path, "a");
    if (f == NULL) {
        return false;
    }
    put_chart(f, chart);
    bool good = fflush(f) == 0 && ferror(f) == 0;
    return fclose(f) == 0 && good;
}

bool roofline_write(const char *path, const roofline *chart)
{
    struct stat about;
    char target[PATH_MAX];
    bool special = strncmp(path, "/dev/", 5) == 0 || (stat(path, &about) == 0 && !S_ISREG(about.st_mode));
    bool link = !special && realpath(path, target) != NULL; /* a symbolic link stays, what it names is replaced */
    if (special ? write_straight(path, chart) : write_aside(link ? target : path, chart)) {
        return true;
    }
    cli_error("bench: chart %s: %s", path, strerror(errno));
    return false;
}
