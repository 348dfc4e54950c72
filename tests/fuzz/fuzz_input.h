/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_input.h: bytes of a fuzzer read as small numbers; past the end everything is 0. For fuzz targets. */
#ifndef TEST_FUZZ_INPUT_H
#define TEST_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the targets run on; another build names another device. */
#ifndef FUZZ_DEVICE
#define FUZZ_DEVICE "cpu"
#endif

typedef struct fuzz_input {
    const uint8_t *bytes;
    size_t size;
    size_t used;
} fuzz_input;

static inline unsigned fuzz_byte(fuzz_input *in)
{
    return in->used < in->size ? in->bytes[in->used++] : 0u;
}

static inline bool fuzz_more(const fuzz_input *in)
{
    return in->used < in->size;
}

static inline size_t fuzz_below(fuzz_input *in, size_t limit)
{
    return fuzz_byte(in) % limit;
}

/* A size that is small most of the time and sometimes at an edge. */
static inline size_t fuzz_size(fuzz_input *in)
{
    static const size_t edges[] = {
        0, 1, 64, 65, SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 2 + 1, (size_t)1 << 31, (size_t)1 << 32, SIZE_MAX - 3};
    const unsigned choice = fuzz_byte(in);
    return choice < 224u ? choice % 24u : edges[choice % (sizeof edges / sizeof edges[0])];
}

#endif /* TEST_FUZZ_INPUT_H */
