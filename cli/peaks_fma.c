/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peaks_fma.c: the multiply-add peak of this CPU: independent accumulators in registers, no memory.
 * Called by peaks.c.
 *
 * Two units with a latency of 4 cycles (5 on some) need 8 to 10 chains in flight; every loop has at least
 * twelve. The vector type is the compiler's own, so that one loop serves all instruction sets.
 */
#include "clock.h"
#include "parallel.h"
#include "peaks.h"

enum { STEPS = 20000, ROUNDS = 12 };

/* Where values come from (they go to a volatile of each loop), so that the compiler must believe that they matter: chains that began
   alike would be merged into one. */
static volatile float source = 1.0f;

#if defined(__x86_64__)
#define LOOP   loop_avx512
#define LANES  16
#define CHAINS 16
#define TARGET __attribute__((target("avx512f,fma")))
#include "peaks_loop.h"
#define LOOP   loop_avx2
#define LANES  8
#define CHAINS 12
#define TARGET __attribute__((target("avx2,fma")))
#include "peaks_loop.h"
#endif
#define LOOP   loop_plain
#define LANES  4
#define CHAINS 12
#define TARGET
#include "peaks_loop.h"

typedef double (*fma_loop)(void); /* runs once, answers the operations done */

static fma_loop choose_loop(const char **how)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        *how = "avx512 multiply-add loop";
        return loop_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        *how = "avx2 multiply-add loop";
        return loop_avx2;
    }
#endif
    *how = "128-bit multiply-add loop";
    return loop_plain;
}

typedef struct fma_run {
    fma_loop loop;
    double flops[PARALLEL_MOST]; /* per ns, by thread */
} fma_run;

static void fma_part(void *context, size_t index, size_t threads)
{
    fma_run *run = context;
    (void)threads;
    double start = clock_ns(), flops = 0;
    for (int round = 0; round < ROUNDS; round++) {
        flops += run->loop();
    }
    run->flops[index] = flops / (clock_ns() - start);
}

double peaks_fma(size_t threads, const char **how)
{
    fma_run run = {.loop = choose_loop(how)};
    double best = 0;
    for (int attempt = 0; attempt < 8; attempt++) {
        double sum = 0;
        parallel_run(threads, fma_part, &run);
        for (size_t i = 0; i < threads && i < PARALLEL_MOST; i++) {
            sum += run.flops[i];
        }
        best = sum > best ? sum : best;
    }
    return best;
}
