/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h: how a call fails. Used by every room; knows none of them.
 *
 * A message begins with the operation and a colon, "matmul: left has 5 columns, right has 7 rows"; the
 * part before the colon becomes the detail's `operation`. Nothing here allocates.
 */
#ifndef AMPS_STATUS_H
#define AMPS_STATUS_H

#include <anymps/base.h>

/* Stores the detail for this thread and returns `status`, so that callers write `return amps_fail(…)`. */
anymps_status amps_fail(anymps_status status, const char *format, ...) ANYMPS_PRINTF(2, 3);

/* As amps_fail, with the backend's own number (CUresult, NSError code, errno). */
anymps_status amps_fail_code(anymps_status status, int64_t backend_code, const char *format, ...) ANYMPS_PRINTF(3, 4);

/* Makes `error` (a copy of what another thread recorded) this thread's detail; returns its status. */
anymps_status amps_fail_again(const anymps_error *error);

/* Hands one line to the log hook, if one is set. */
void amps_log(anymps_log_level level, const char *format, ...) ANYMPS_PRINTF(2, 3);

/* The only two control-flow macros of the library. */
#define ANYMPS_FAIL_IF(condition, ...)                                                                                 \
    do {                                                                                                               \
        if (condition) {                                                                                               \
            return amps_fail(__VA_ARGS__);                                                                             \
        }                                                                                                              \
    } while (0)

#define ANYMPS_TRY(call)                                                                                               \
    do {                                                                                                               \
        const anymps_status amps_try_status_ = (call);                                                                 \
        if (amps_try_status_ != ANYMPS_OK) {                                                                           \
            return amps_try_status_;                                                                                   \
        }                                                                                                              \
    } while (0)

#endif /* AMPS_STATUS_H */
