/* SPDX-License-Identifier: Apache-2.0 */
/* timing.h: the clock of the programs in this folder, and the order in which qsort finds a median. */
#ifndef ANYMPS_BENCH_TIMING_H
#define ANYMPS_BENCH_TIMING_H

#include <time.h>

static inline double now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static inline int compare_doubles(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

#endif /* ANYMPS_BENCH_TIMING_H */
