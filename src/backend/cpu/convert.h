/* SPDX-License-Identifier: Apache-2.0 */
/* convert.h: one element of a floating type read or written as f32, at any address. For reference loops. */
#ifndef AMPS_CONVERT_H
#define AMPS_CONVERT_H

#include <anymps/base.h>

#include "backend/cpu/ukr/half.h"

#include <string.h>

/* One element of a floating type as f32, at any address; a type that is none of the three reads as f32. */
static inline float amps_load_f32(const void *at, anymps_dtype dtype)
{
    if (dtype == ANYMPS_DTYPE_F32) {
        float value;
        memcpy(&value, at, sizeof value);
        return value;
    }
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    return dtype == ANYMPS_DTYPE_F16 ? amps_f32_of_f16(bits) : amps_f32_of_bf16(bits);
}

static inline void amps_store_f32(void *at, anymps_dtype dtype, float value)
{
    if (dtype == ANYMPS_DTYPE_F32) {
        memcpy(at, &value, sizeof value);
    } else {
        const uint16_t bits = dtype == ANYMPS_DTYPE_F16 ? amps_f16_of_f32(value) : amps_bf16_of_f32(value);
        memcpy(at, &bits, sizeof bits);
    }
}

#endif /* AMPS_CONVERT_H */
