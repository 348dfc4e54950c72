/* SPDX-License-Identifier: Apache-2.0 */
/* checked.h: size arithmetic that cannot overflow silently. All of it in the library goes through here. */
#ifndef AMPS_CHECKED_H
#define AMPS_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *out = a + b, a * b; false, and *out untouched, if the result does not fit. */
static inline bool amps_add(size_t a, size_t b, size_t *out)
{
    if (b > SIZE_MAX - a) {
        return false;
    }
    *out = a + b;
    return true;
}

static inline bool amps_mul(size_t a, size_t b, size_t *out)
{
    if (a != 0 && b > SIZE_MAX / a) {
        return false;
    }
    *out = a * b;
    return true;
}

/* Rounds up to a multiple of `to` (> 0). */
static inline bool amps_round_up(size_t a, size_t to, size_t *out)
{
    const size_t rest = a % to;
    return rest == 0 ? amps_add(a, 0, out) : amps_add(a, to - rest, out);
}

/* Does [offset, offset + length) lie within [0, total)? */
static inline bool amps_in_range(size_t offset, size_t length, size_t total)
{
    return offset <= total && length <= total - offset;
}

static inline size_t amps_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t amps_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif /* AMPS_CHECKED_H */
