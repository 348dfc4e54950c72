/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peak_amx.c: what a core's tiles can do: independent tdpbf16ps and tdpbssd on tiles that are never loaded anew, and
 * 512-bit f32 multiply-adds in registers beside them, in turns.
 *
 *     peak_amx [threads]
 *
 * Prints the best of some runs in GFLOP/s (GOP/s for i8), of all threads together. Exit 77: no AMX here.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REQUEST = 0x1023, TILE_DATA = 18, ROUNDS = 200000, THREADS_MAX = 64, RUNS = 7 };

#define TILES   __attribute__((target("amx-tile,amx-bf16,amx-int8")))
#define VECTORS __attribute__((target("avx512f")))

static TILES void configure(void)
{
    unsigned char config[64] = {1};
    for (size_t i = 0; i < 8; i++) {
        config[16 + 2 * i] = 64;
        config[48 + i] = 16;
    }
    __asm__ volatile("" ::: "memory"); /* the intrinsic does not say that it reads all of it */
    _tile_loadconfig(config);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
}

static TILES void *run_bf16(void *unused)
{
    configure();
    for (int i = 0; i < ROUNDS; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
    return unused;
}

static TILES void *run_i8(void *unused)
{
    configure();
    for (int i = 0; i < ROUNDS; i++) {
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 7);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    _tile_release();
    return unused;
}

/* 16 independent sums; the compiler may not join what it cannot see through. */
static VECTORS void *run_f32(void *unused)
{
    __m512 acc[16];
    __m512 x = _mm512_set1_ps(1.0f), y = _mm512_set1_ps(0.5f);
    for (int i = 0; i < 16; i++) {
        acc[i] = _mm512_setzero_ps();
    }
    for (int i = 0; i < 4 * ROUNDS; i++) {
        __asm__ volatile("" : "+v"(x), "+v"(y));
#pragma GCC unroll 16
        for (int j = 0; j < 16; j++) {
            acc[j] = _mm512_fmadd_ps(x, y, acc[j]);
        }
    }
    for (int j = 0; j < 16; j++) {
        __asm__ volatile("" ::"v"(acc[j]));
    }
    return unused;
}

/* Seconds of `run` on so many threads at once. */
static double seconds(void *(*run)(void *), int threads)
{
    pthread_t others[THREADS_MAX];
    struct timespec begin;
    struct timespec end;
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 1; i < threads; i++) {
        if (pthread_create(&others[i], NULL, run, NULL) != 0) {
            exit(1);
        }
    }
    (void)run(NULL);
    for (int i = 1; i < threads; i++) {
        (void)pthread_join(others[i], NULL);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    return (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
}

int main(int argc, char **argv)
{
    static void *(*const runs[3])(void *) = {run_f32, run_bf16, run_i8};
    static const double work[3] = {4.0 * ROUNDS * 16 * 32, 4.0 * ROUNDS * 16 * 16 * 64, 4.0 * ROUNDS * 16 * 16 * 128};
    const int threads = argc > 1 ? atoi(argv[1]) : 1;
    double best[3] = {0};
    if (!__builtin_cpu_supports("avx512f") || syscall(SYS_arch_prctl, REQUEST, TILE_DATA) != 0 || threads < 1 ||
        threads > THREADS_MAX) {
        (void)puts("SKIP: no AMX here");
        return 77;
    }
    for (int i = 0; i < 3 * RUNS; i++) {
        const double rate = work[i % 3] * threads / seconds(runs[i % 3], threads) * 1e-9;
        best[i % 3] = rate > best[i % 3] ? rate : best[i % 3];
    }
    (void)printf("%d threads: f32 multiply-adds %.1f, tdpbf16ps %.1f, tdpbssd %.1f\n", threads, best[0], best[1],
                 best[2]);
    return 0;
}
#else
int main(void)
{
    (void)puts("SKIP: no AMX here");
    return 77;
}
#endif
