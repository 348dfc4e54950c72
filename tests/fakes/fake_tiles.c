/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_tiles.c: see fake_tiles.h. Also takes the place of src/backend/cpu/tiles.c: every machine with AVX-512 has tiles.
 * A thread that ends a strip must have released them; a program that multiplied nothing with them says so at its end
 * if ANYMPS_EXPECT_TILES is set, and fails.
 */
#include "fake_tiles.h"

#include "backend/cpu/isa.h"
#include "backend/cpu/tiles.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TILES = 8, ROWS = 16, ROW_BYTES = 64, WORD = 4 };

typedef struct tile {
    size_t rows, row_bytes;
    unsigned char bytes[ROWS][ROW_BYTES];
} tile;

typedef struct tile_file {
    bool configured;
    tile tiles[TILES];
} tile_file;

static _Thread_local tile_file file;
static atomic_ulong products;

static void refuse(const char *why)
{
    (void)fprintf(stderr, "FAIL: tiles: %s\n", why);
    abort();
}

static tile *use(int number)
{
    if (!file.configured) {
        refuse("used without a configuration");
    }
    if (number < 0 || number >= TILES || file.tiles[number].rows == 0 || file.tiles[number].row_bytes == 0) {
        refuse("a tile that is not configured");
    }
    return &file.tiles[number];
}

void fake_tile_configure(const void *from)
{
    unsigned char bytes[64];
    memcpy(bytes, from, sizeof bytes);
    bool reserved = bytes[1] != 0; /* start_row */
    for (size_t i = 2; i < 64; i++) {
        const bool kept = i < 16 || (i >= 16 + 2 * TILES && i < 48) || i >= 48 + TILES;
        reserved = reserved || (kept && bytes[i] != 0);
    }
    if (bytes[0] != 1 || reserved) {
        refuse("configuration: palette is not 1 or a reserved byte is not 0");
    }
    if (file.configured) {
        refuse("configured twice without release");
    }
    memset(&file, 0, sizeof file);
    file.configured = true;
    for (size_t i = 0; i < TILES; i++) {
        uint16_t row_bytes;
        memcpy(&row_bytes, bytes + 16 + 2 * i, sizeof row_bytes);
        const uint8_t rows = bytes[48 + i];
        if (rows > ROWS || row_bytes > ROW_BYTES || (rows == 0) != (row_bytes == 0)) {
            refuse("configuration: rows or row bytes are out of range");
        }
        file.tiles[i].rows = rows;
        file.tiles[i].row_bytes = row_bytes;
    }
}

void fake_tile_release(void)
{
    if (!file.configured) {
        refuse("released without a configuration");
    }
    file.configured = false;
}

void fake_tile_zero(int number)
{
    memset(use(number)->bytes, 0, sizeof file.tiles[0].bytes);
}

void fake_tile_load(int number, const void *from, size_t row_bytes)
{
    tile *t = use(number);
    memset(t->bytes, 0, sizeof t->bytes);
    for (size_t i = 0; i < t->rows; i++) {
        memcpy(t->bytes[i], (const unsigned char *)from + i * row_bytes, t->row_bytes);
    }
}

void fake_tile_store(int number, void *to, size_t row_bytes)
{
    const tile *t = use(number);
    for (size_t i = 0; i < t->rows; i++) {
        memcpy((unsigned char *)to + i * row_bytes, t->bytes[i], t->row_bytes);
    }
}

/* What TDP* asks of its operands. */
static void check(int sums, int left, int right)
{
    const tile *c = use(sums), *a = use(left), *b = use(right);
    if (sums == left || sums == right || left == right) {
        refuse("a product names a tile twice");
    }
    if (c->rows != a->rows || a->row_bytes / WORD != b->rows || c->row_bytes != b->row_bytes ||
        a->row_bytes % WORD != 0 || b->row_bytes % WORD != 0) {
        refuse("the tiles of a product do not fit together");
    }
    atomic_fetch_add_explicit(&products, 1, memory_order_relaxed);
}

/* 16 sums of one row; lanes past the tile's width are zeros. Out of line: no arithmetic may move past the change of mode. */
static __attribute__((noinline)) __m512 bf16_row(__m512 sums, const unsigned char *left, const tile *right)
{
    const __m512i high = _mm512_set1_epi32((int)0xffff0000u);
    __m512 even = _mm512_setzero_ps(), odd = even;
    for (size_t k = 0; k < right->rows; k++) {
        uint32_t pair;
        memcpy(&pair, left + WORD * k, sizeof pair);
        const __m512i words = _mm512_loadu_si512(right->bytes[k]);
        const __m512 x = _mm512_castsi512_ps(_mm512_set1_epi32((int)(pair << 16)));
        const __m512 y = _mm512_castsi512_ps(_mm512_set1_epi32((int)(pair & 0xffff0000u)));
        even = _mm512_fmadd_ps(x, _mm512_castsi512_ps(_mm512_slli_epi32(words, 16)), even);
        odd = _mm512_fmadd_ps(y, _mm512_castsi512_ps(_mm512_and_si512(words, high)), odd);
    }
    return _mm512_add_ps(sums, _mm512_add_ps(even, odd));
}

void fake_tile_bf16(int sums, int left, int right)
{
    check(sums, left, right);
    tile *c = &file.tiles[sums];
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(0x1f80u | 0x8040u); /* no exceptions, to nearest, FTZ and DAZ */
    for (size_t i = 0; i < c->rows; i++) {
        const __m512 row = bf16_row(_mm512_loadu_ps(c->bytes[i]), file.tiles[left].bytes[i], &file.tiles[right]);
        _mm512_storeu_ps(c->bytes[i], row);
    }
    _mm_setcsr(mode);
}

static int32_t i8_sum(const unsigned char *left, const tile *right, size_t j)
{
    int32_t sum = 0;
    for (size_t k = 0; k < right->rows; k++) {
        for (size_t i = 0; i < WORD; i++) {
            sum += (int32_t)(int8_t)left[WORD * k + i] * (int32_t)(int8_t)right->bytes[k][WORD * j + i];
        }
    }
    return sum;
}

void fake_tile_i8(int sums, int left, int right)
{
    check(sums, left, right);
    tile *c = &file.tiles[sums];
    for (size_t i = 0; i < c->rows; i++) {
        for (size_t j = 0; j < c->row_bytes / WORD; j++) {
            uint32_t old;
            memcpy(&old, c->bytes[i] + WORD * j, sizeof old);
            old += (uint32_t)i8_sum(file.tiles[left].bytes[i], &file.tiles[right], j);
            memcpy(c->bytes[i] + WORD * j, &old, sizeof old);
        }
    }
}

/* 16 bf16: to nearest even, subnormals are taken for zero and a NaN becomes quiet. */
static __m256i round16(__m512 x)
{
    const __m512i bits = _mm512_castps_si512(x), magnitude = _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff));
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i to = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 small = _mm512_cmplt_epu32_mask(magnitude, _mm512_set1_epi32(0x800000));
    const __mmask16 nan = _mm512_cmpgt_epu32_mask(magnitude, _mm512_set1_epi32(0x7f800000));
    to = _mm512_mask_and_epi32(to, small, bits, _mm512_set1_epi32((int)0x80000000u));
    to = _mm512_mask_or_epi32(to, nan, bits, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(to, 16));
}

__m512i fake_tile_round(__m512 high, __m512 low)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(round16(low)), round16(high), 1);
}

static void report(void)
{
    if (getenv("ANYMPS_EXPECT_TILES") != NULL && atomic_load(&products) == 0) {
        (void)fprintf(stderr, "FAIL: tiles: no product ran on them\n");
        _Exit(1);
    }
}

uint32_t amps_cpu_tile_features(void)
{
    static atomic_flag registered = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&registered)) {
        (void)atexit(report);
    }
    return AMPS_CPU_AMX_BF16 | AMPS_CPU_AMX_INT8;
}
