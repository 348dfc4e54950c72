/* SPDX-License-Identifier: Apache-2.0 */
/* dtype.c: names and sizes of element types. Called from everywhere; calls nothing but status. */
#include "base/status.h"

#include <string.h>

typedef struct entry {
    anymps_dtype dtype;
    char name[8];
} entry;

static const entry entries[] = {
    {ANYMPS_DTYPE_U8, "u8"},     {ANYMPS_DTYPE_U16, "u16"}, {ANYMPS_DTYPE_U32, "u32"}, {ANYMPS_DTYPE_U64, "u64"},
    {ANYMPS_DTYPE_I8, "i8"},     {ANYMPS_DTYPE_I16, "i16"}, {ANYMPS_DTYPE_I32, "i32"}, {ANYMPS_DTYPE_I64, "i64"},
    {ANYMPS_DTYPE_F16, "f16"},   {ANYMPS_DTYPE_F32, "f32"}, {ANYMPS_DTYPE_F64, "f64"}, {ANYMPS_DTYPE_BF16, "bf16"},
    {ANYMPS_DTYPE_BOOL, "bool"},
};
enum { ENTRY_COUNT = sizeof entries / sizeof entries[0] };

static const entry *find(anymps_dtype dtype)
{
    for (size_t i = 0; i < ENTRY_COUNT; i++) {
        if (entries[i].dtype == dtype) {
            return &entries[i];
        }
    }
    return NULL;
}

size_t anymps_dtype_bits(anymps_dtype dtype)
{
    return find(dtype) != NULL ? (size_t)((uint32_t)dtype & 0xffffu) : 0;
}

size_t anymps_dtype_bytes(anymps_dtype dtype)
{
    return anymps_dtype_bits(dtype) / 8;
}

const char *anymps_dtype_name(anymps_dtype dtype)
{
    const entry *const found = find(dtype);
    return found != NULL ? found->name : "invalid";
}

anymps_status anymps_dtype_parse(const char *name, anymps_dtype *dtype)
{
    ANYMPS_FAIL_IF(name == NULL || dtype == NULL, ANYMPS_INVALID_ARGUMENT,
                   "dtype_parse: name and dtype must not be NULL");
    for (size_t i = 0; i < ENTRY_COUNT; i++) {
        if (strcmp(entries[i].name, name) == 0) {
            *dtype = entries[i].dtype;
            return ANYMPS_OK;
        }
    }
    return amps_fail(ANYMPS_INVALID_ARGUMENT,
                     "dtype_parse: '%.32s' is no type; types are u8 u16 u32 u64 i8 i16 i32 i64 f16 f32 f64 bf16 bool",
                     name);
}
