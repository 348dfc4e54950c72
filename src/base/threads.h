/* SPDX-License-Identifier: Apache-2.0 */
/* threads.h: the clock. Locks are plain pthread objects where they are used (docs/threads.md). */
#ifndef AMPS_THREADS_H
#define AMPS_THREADS_H

#include <stdint.h>

/* Monotonic time in nanoseconds. */
uint64_t amps_now_ns(void);

#endif /* AMPS_THREADS_H */
