/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h: the tool's clock and the statistics of its samples (cmd_bench.c, cmd_demo.c, peaks.c, peer_libraries.c). */
#ifndef CLOCK_H
#define CLOCK_H

#include <stddef.h>

/* Nanoseconds since an arbitrary start; never goes back. */
double clock_ns(void);

/* Sorts the samples and gives the value below which `share` of them lie (nearest rank); 0 for none. */
double samples_quantile(double *samples, size_t count, double share);

#endif /* CLOCK_H */
