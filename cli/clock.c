/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c: reads the monotonic clock and sorts samples. Called by whatever measures; knows nothing of it. */
#include "clock.h"

#include <stdlib.h>
#include <time.h>

double clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double samples_quantile(double *samples, size_t count, double share)
{
    if (count == 0) {
        return 0;
    }
    qsort(samples, count, sizeof *samples, by_value);
    size_t at = (size_t)(share * (double)(count - 1) + 0.5);
    return samples[at];
}
