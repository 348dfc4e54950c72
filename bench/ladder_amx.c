/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ladder_amx.c: what stands between the peak of a core's tiles and a product: the loop of the AMX microkernels (two by
 * two tiles of sums) with operands from registers, the first cache, the second one and beyond, with C and without.
 *
 *     ladder_amx [milliseconds]
 *
 * One thread; each rung's median and best in GFLOP/s of bf16 and as a share of the first rung's best (tdpbssd does
 * twice as many operations in the same time on the same bytes). Then loads alone from the first cache, in GB/s, as tiles
 * and as vectors. Exit 77: no AMX here.
 */
#include "timing.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REQUEST = 0x1023, TILE_DATA = 18, RUNS = 15, STEP_BYTES = 2048, TILE_BYTES = 1024, LINE = 64, SIDE = 32 };

#define TILES   __attribute__((target("amx-tile,amx-bf16")))
#define VECTORS __attribute__((target("avx512f")))

/* Where C goes: nowhere, stored, or loaded and stored. */
typedef enum to_c { NO_C, STORED_C, ADDED_C } to_c;

/* `strips` of 32 columns, each by `panels` of 32 rows, both `steps` times 32 k long. */
typedef struct rung {
    const char *name;
    size_t steps, panels, strips;
    bool loads;   /* else the operands stay in their tiles */
    size_t ahead; /* lines of the next strip that each step fetches into the second cache */
    size_t near;  /* steps by which lines of the panel are fetched into the first cache */
    to_c c;
    bool wide_b; /* the strip's rows hold both of its tiles, 128 bytes apart */
} rung;

static const rung rungs[] = {
    {"registers", 32, 8, 4, false, 0, 0, NO_C, false},
    {"A, B in L1 (k 256)", 8, 1, 1, true, 0, 0, NO_C, false},
    {"A, B in L1, rows of B 128 bytes", 8, 1, 1, true, 0, 0, NO_C, true},
    {"B in L1, A in L2 (k 256)", 8, 32, 4, true, 0, 0, NO_C, true},
    {"B in L1, A in L2 (k 256), A fetched", 8, 32, 4, true, 0, 2, NO_C, true},
    {"B in L1, A in L2 (k 384)", 12, 24, 4, true, 0, 0, NO_C, true},
    {"A, B in L2 (k 512)", 16, 16, 8, true, 0, 0, NO_C, true},
    {"A, B in L2 (k 1024)", 32, 8, 8, true, 0, 0, NO_C, true},
    {"A, B in L2 (k 1024), narrow B", 32, 8, 8, true, 0, 0, NO_C, false},
    {"A, B in L2 (k 1024), A fetched", 32, 8, 8, true, 0, 2, NO_C, true},
    {"A, B in L2 (k 2048)", 64, 4, 4, true, 0, 0, NO_C, true},
    {"B in L1, A in L2 (k 256), C added", 8, 32, 4, true, 0, 0, ADDED_C, true},
    {"A, B in L2 (k 512), C added", 16, 16, 8, true, 0, 0, ADDED_C, true},
    {"A in L2, B beyond (k 1024), 8 panels", 32, 8, 128, true, 0, 0, NO_C, true},
    {"same, next strip fetched", 32, 8, 128, true, 4, 0, NO_C, true},
    {"A in L2, B beyond (k 1024), 16 panels", 32, 16, 128, true, 0, 0, NO_C, true},
    {"same, next strip fetched", 32, 16, 128, true, 2, 0, NO_C, true},
    {"same, C stored", 32, 16, 128, true, 2, 0, STORED_C, true},
    {"same, A fetched, C stored", 32, 16, 128, true, 2, 2, STORED_C, true},
    {"A in L2, B beyond (k 2048), 8 panels", 64, 8, 64, true, 0, 0, NO_C, true},
    {"same, next strip fetched", 64, 8, 64, true, 4, 0, NO_C, true},
    {"same, C stored", 64, 8, 64, true, 4, 0, STORED_C, true},
    {"A in L2, B beyond (k 512), 32 panels, next fetched", 16, 32, 256, true, 1, 0, NO_C, true},
    {"same, C added", 16, 32, 256, true, 1, 0, ADDED_C, true},
};

static inline void memory_barrier(void)
{
    __asm__ volatile("" ::: "memory");
}

static TILES void configure(void)
{
    unsigned char config[64] = {1};
    for (size_t i = 0; i < 8; i++) {
        config[16 + 2 * i] = 64;
        config[48 + i] = 16;
    }
    memory_barrier();
    _tile_loadconfig(config);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
}

static inline void fetch_far(const unsigned char *from, size_t lines)
{
    for (size_t i = 0; i < lines; i++) {
        _mm_prefetch((const char *)from + LINE * i, _MM_HINT_T1);
    }
}

static inline void fetch_near(const unsigned char *from)
{
    for (size_t i = 0; i < STEP_BYTES / LINE; i++) {
        _mm_prefetch((const char *)from + LINE * i, _MM_HINT_T0);
    }
}

/* One panel by one strip; `next`: what lies behind this strip. */
static TILES void block(const rung *r, const unsigned char *a, const unsigned char *b, const unsigned char *next,
                        unsigned char *c, size_t c_row)
{
    const size_t row = r->wide_b ? 128 : 64, second = r->wide_b ? 64 : TILE_BYTES;
    if (r->c == ADDED_C) {
        _tile_loadd(0, c, c_row);
        _tile_loadd(1, c + 64, c_row);
        _tile_loadd(2, c + 16 * c_row, c_row);
        _tile_loadd(3, c + 16 * c_row + 64, c_row);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (size_t t = 0; t < r->steps; t++, a += STEP_BYTES, b += STEP_BYTES) {
        if (r->loads) {
            _tile_loadd(4, a, 64);
            _tile_loadd(6, b, row);
            _tile_loadd(5, a + TILE_BYTES, 64);
            _tile_loadd(7, b + second, row);
        }
        if (r->ahead != 0) {
            fetch_far(next, r->ahead);
            next += LINE * r->ahead;
        }
        if (r->near != 0) {
            fetch_near(a + r->near * STEP_BYTES);
        }
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    if (r->c != NO_C) {
        _tile_stored(0, c, c_row);
        _tile_stored(1, c + 64, c_row);
        _tile_stored(2, c + 16 * c_row, c_row);
        _tile_stored(3, c + 16 * c_row + 64, c_row);
    }
    memory_barrier();
}

/* GFLOP/s of `rounds` passes over all strips. */
static TILES double rate(const rung *r, const unsigned char *a, const unsigned char *b, unsigned char *c, size_t rounds)
{
    const size_t bytes = r->steps * STEP_BYTES, c_row = r->strips * SIDE * sizeof(float);
    const double begin = now_us();
    configure();
    for (size_t n = 0; n < rounds; n++) {
        for (size_t j = 0; j < r->strips; j++) {
            for (size_t i = 0; i < r->panels; i++) {
                const unsigned char *const strip = b + j * bytes;
                block(r, a + i * bytes, strip, strip + bytes + i * r->steps * r->ahead * LINE,
                      c + i * SIDE * c_row + j * SIDE * sizeof(float), c_row);
            }
        }
    }
    _tile_release();
    return (double)(rounds * r->strips * r->panels * r->steps) * (2.0 * 32 * 32 * 32) / (now_us() - begin) * 1e-3;
}

/* GB/s of loads alone, PASSES times 16 KiB. */
enum { PASSES = 2000, LOADED = 16384 };

static TILES double tile_loads(const unsigned char *a)
{
    const double begin = now_us();
    configure();
    for (size_t i = 0; i < PASSES; i++) {
        for (size_t at = 0; at < LOADED; at += 4 * TILE_BYTES) {
            _tile_loadd(4, a + at, 64);
            _tile_loadd(5, a + at + TILE_BYTES, 64);
            _tile_loadd(6, a + at + 2 * TILE_BYTES, 64);
            _tile_loadd(7, a + at + 3 * TILE_BYTES, 64);
        }
        memory_barrier();
    }
    _tile_release();
    return (double)PASSES * (double)LOADED / (now_us() - begin) * 1e-3;
}

static VECTORS double vector_loads(const unsigned char *a)
{
    const double begin = now_us();
    for (size_t i = 0; i < PASSES; i++) {
        for (size_t at = 0; at < LOADED; at += LINE) {
            __m512i x = _mm512_load_si512(a + at);
            __asm__ volatile("" ::"v"(x));
        }
    }
    return (double)PASSES * (double)LOADED / (now_us() - begin) * 1e-3;
}

static void measure(double milliseconds)
{
    enum { COUNT = sizeof rungs / sizeof rungs[0], ROOM = 32 << 20 };
    static double rates[COUNT][RUNS], loads[2][RUNS];
    unsigned char *const a = aligned_alloc(4096, ROOM), *const b = aligned_alloc(4096, ROOM);
    unsigned char *const c = aligned_alloc(4096, ROOM);
    if (a == NULL || b == NULL || c == NULL) {
        exit(1);
    }
    memset(a, 0, ROOM);
    memset(b, 0, ROOM);
    memset(c, 0, ROOM);
    for (size_t n = 0; n < (size_t)RUNS * COUNT; n++) {
        const rung *const r = &rungs[n % COUNT];
        const double work = (double)(r->strips * r->panels * r->steps) * (2.0 * 32 * 32 * 32);
        const size_t rounds = (size_t)(milliseconds * 1e-3 * 1e12 / work) + 1;
        rates[n % COUNT][n / COUNT] = rate(r, a, b, c, rounds);
        if (n % COUNT == 0) {
            loads[0][n / COUNT] = tile_loads(a);
            loads[1][n / COUNT] = vector_loads(a);
        }
    }
    qsort(rates[0], RUNS, sizeof rates[0][0], compare_doubles);
    const double peak = rates[0][RUNS - 1];
    for (size_t i = 0; i < COUNT; i++) {
        qsort(rates[i], RUNS, sizeof rates[i][0], compare_doubles);
        const double median = rates[i][RUNS / 2], best = rates[i][RUNS - 1];
        (void)printf("%-52s median %6.0f (%3.0f %%), best %6.0f (%3.0f %%)\n", rungs[i].name, median,
                     median / peak * 100.0, best, best / peak * 100.0);
    }
    for (size_t i = 0; i < 2; i++) {
        qsort(loads[i], RUNS, sizeof loads[i][0], compare_doubles);
        (void)printf("%-52s median %6.0f GB/s, best %6.0f, least %6.0f\n",
                     i == 0 ? "tile loads alone" : "vector loads alone", loads[i][RUNS / 2], loads[i][RUNS - 1],
                     loads[i][0]);
    }
    free(a);
    free(b);
    free(c);
}

int main(int argc, char **argv)
{
    if (!__builtin_cpu_supports("avx512f") || syscall(SYS_arch_prctl, REQUEST, TILE_DATA) != 0) {
        (void)puts("SKIP: no AMX here");
        return 77;
    }
    measure(argc > 1 ? atof(argv[1]) : 3.0);
    return 0;
}
#else
int main(void)
{
    (void)puts("SKIP: no AMX here");
    return 77;
}
#endif
