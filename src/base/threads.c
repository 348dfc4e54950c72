/* SPDX-License-Identifier: Apache-2.0 */
/* threads.c: the clock. See threads.h. */
#include "base/threads.h"

#include <time.h>

uint64_t amps_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
