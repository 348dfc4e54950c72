/* SPDX-License-Identifier: Apache-2.0 */
/* stop.h: ends a program of this folder with the library's message where a call has failed. */
#ifndef ANYMPS_BENCH_STOP_H
#define ANYMPS_BENCH_STOP_H

#include <anymps/anymps.h>

#include <stdio.h>
#include <stdlib.h>

static inline void stop_unless(anymps_status status)
{
    if (status != ANYMPS_OK) {
        (void)fprintf(stderr, "%s\n", anymps_last_error()->message);
        exit(1);
    }
}

#endif /* ANYMPS_BENCH_STOP_H */
