/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roofline.h: a roofline chart as SVG: operations per byte to the right, operations per second upwards.
 */
#ifndef ROOFLINE_H
#define ROOFLINE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct roofline_point {
    char label[64];   /* "matmul 512x512x512 f32" */
    double intensity; /* operations per byte */
    double gflops;
    size_t series; /* 0: anymps; from 1: peers */
} roofline_point;

typedef struct roofline {
    const char *title; /* the device */
    double peak_gflops;
    double peak_gb_per_s;       /* out of cache */
    double peak_cache_gb_per_s; /* the best in cache; 0: not known */
    const char *series[8];      /* names, the first "anymps" */
    size_t series_count;
    const roofline_point *points;
    size_t point_count;
} roofline;

/* Writes the chart, whole or not at all. False, with the error line printed, on failure. */
bool roofline_write(const char *path, const roofline *chart);

#endif /* ROOFLINE_H */
