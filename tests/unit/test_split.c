/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_split.c: f32 products large enough to be cut into bf16 parts where there are tiles, three for strict ones, two
 * where reduced precision is allowed: every element of blocks of C is compared with double within the documented bounds,
 * 2·K·u·|A||B| (and 2^-23·|beta·C|), 2^-15·|A||B| more for two parts, on every instruction set. The operands are what
 * could break the cutting: mixed and extreme exponents, cancellation, subnormals, values all of whose bits count,
 * infinities and NaN, alone and in one row or column among ordinary ones. Constant operands serve both kinds in turn.
 */
#include "backend/cpu/gemm_job.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { M_MOST = 815, N_MOST = 818, K_MOST = 820 };
enum { M_LONG = 513, N_LONG = 530, K_LONG = 2050 }; /* three blocks of the interior or more */
enum { STRICT_WORK = 1 << 29 };                     /* of the devices here, so that products are small */

static uint64_t seed = 20261124;
static size_t M, N, K; /* of the products at hand */
static bool reduced;
static float left[M_LONG * K_LONG], right[K_LONG * N_LONG], result[M_MOST * N_MOST], before[M_MOST * N_MOST];
static amps_constant *constants[2]; /* of left and right, or NULL */

static uint32_t bits(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33);
}

/* All 24 bits of the significand count. */
static float value(int exponent)
{
    const double size = ldexp(1.0 + (double)(bits() % (1u << 23)) * 0x1p-23, exponent);
    return (float)(bits() % 2 == 0 ? size : -size);
}

static void fill(float *to, size_t count, int exponent, unsigned spread)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = bits() % 29 == 0 ? 0.0f : value(exponent + (int)(bits() % (spread + 1u)));
    }
}

typedef struct product {
    bool a_transposed, b_transposed;
    double alpha, beta;
} product;

static amps_gemm_args args_of(const amps_cpu_device *device, const product *p)
{
    return (amps_gemm_args){.device = device,
                            .m = M,
                            .n = N,
                            .k = K,
                            .batch = 1,
                            .a_dtype = ANYMPS_DTYPE_F32,
                            .b_dtype = ANYMPS_DTYPE_F32,
                            .c_dtype = ANYMPS_DTYPE_F32,
                            .a = (const unsigned char *)left,
                            .a_row_bytes = p->a_transposed ? 4 : K * 4,
                            .a_column_bytes = p->a_transposed ? M * 4 : 4,
                            .b = (const unsigned char *)right,
                            .b_row_bytes = p->b_transposed ? 4 : N * 4,
                            .b_column_bytes = p->b_transposed ? K * 4 : 4,
                            .c = (unsigned char *)result,
                            .c_row_bytes = N * 4,
                            .c_column_bytes = 4,
                            .alpha = p->alpha,
                            .beta = p->beta,
                            .reduced = reduced,
                            .a_constant = constants[0],
                            .b_constant = constants[1]};
}

static void multiply(const amps_cpu_device *device, const product *p)
{
    const amps_gemm_args args = args_of(device, p);
    size_t bytes;
    assert_true(amps_gemm_scratch(&args, &bytes));
    void *scratch = aligned_alloc(4096, bytes + 4096 - bytes % 4096);
    assert_non_null(scratch);
    memcpy(before, result, M * N * sizeof *result);
    amps_gemm(&args, scratch);
    free(scratch);
}

/* Rows and columns that are looked at: at tiles' borders and in between. */
static bool looked_at(size_t i, size_t count)
{
    return i % 32 < 2 || i % 32 == 17 || i + 2 >= count;
}

static void compare(const amps_cpu_device *device, const product *p, const char *what)
{
    for (size_t i = 0; i < M; i++) {
        for (size_t j = 0; j < N; j++) {
            if (!looked_at(i, M) || !looked_at(j, N)) {
                continue;
            }
            double sum = 0.0, size = 0.0;
            for (size_t k = 0; k < K; k++) {
                const double term = (double)left[p->a_transposed ? k * M + i : i * K + k] *
                                    (double)right[p->b_transposed ? j * K + k : k * N + j];
                sum += term;
                size += fabs(term);
            }
            const double old = p->beta == 0.0 ? 0.0 : p->beta * (double)before[i * N + j];
            const double exact = p->alpha * sum + old, got = (double)result[i * N + j];
            const double lost = reduced && (device->features & AMPS_CPU_AMX_BF16) != 0 ? 0x1p-15 : 0.0;
            const double share = lost + 2.0 * (double)K * 0x1p-24;
            const double bound = share * fabs(p->alpha) * size + 0x1p-23 * fabs(old) + (double)K * 0x1p-150;
            const bool same = got == exact || (isnan(got) && isnan(exact));
            if (!same && !(isfinite(exact) && fabs(got - exact) <= bound) && !(fabs(exact) + bound > 0x1p128)) {
                fail_msg("%s, %s %s, element (%zu, %zu): %a, exact %a, bound %a", amps_cpu_isa_name(device->isa),
                         reduced ? "reduced" : "strict", what, i, j, got, exact, bound);
            }
        }
    }
}

static void run(const amps_cpu_device *device, const product *p, const char *what)
{
    multiply(device, p);
    compare(device, p, what);
}

static void run_all(const amps_cpu_device *device)
{
    static const product plain = {false, false, 1.0, 0.0};
    static const product others[] = {{true, false, 1.0, 0.0},
                                     {false, true, 1.0, 0.0},
                                     {true, true, -0.75, 0.0},
                                     {false, false, 1.0, 1.0},
                                     {false, false, 0.3125, -2.5}};
    fill(left, M * K, -1, 2);
    fill(right, K * N, -1, 2);
    run(device, &plain, "ordinary");
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        run(device, &others[i], "transposed, alpha, beta");
    }
    fill(left, M * K, -30, 60);
    fill(right, K * N, -30, 60);
    run(device, &plain, "mixed exponents");
    for (size_t i = 0; i + K < M * K;
         i += 2 * K) { /* the second half of a row takes back the first, but for the last bit */
        for (size_t k = 0; k < K / 2; k++) {
            left[i + K / 2 + k] = nextafterf(-left[i + k], 0.0f);
        }
    }
    for (size_t k = 0; k < K / 2; k++) {
        memcpy(right + (K / 2 + k) * N, right + k * N, N * sizeof *right);
    }
    run(device, &plain, "cancellation");
}

/* Around the least and greatest exponents that are cut. */
static void run_limits(const amps_cpu_device *device)
{
    static const product plain = {false, false, 1.0, 0.0};
    static const int exponents[][2] = {{-122, 45},  {-104, 24},  {-103, 23}, {-102, 22}, {-103, 40}, {-41, -40},
                                       {-40, -40},  {-40, -39},  {-49, -48}, {-48, -48}, {-48, -47}, {-75, -76},
                                       {-130, 0},   {0, -135},   {-60, -70}, {100, -20}, {60, 23},   {60, 24},
                                       {125, -100}, {126, -100}, {127, -60}, {-100, 125}};
    for (size_t i = 0; i < sizeof exponents / sizeof exponents[0]; i++) {
        char what[64];
        (void)snprintf(what, sizeof what, "exponents %d and %d", exponents[i][0], exponents[i][1]);
        fill(left, M * K, exponents[i][0], 0);
        fill(right, K * N, exponents[i][1], 0);
        run(device, &plain, what);
    }
    /* Some blocks of the interior so low that their sums are subnormal, the others zeros. */
    memset(left, 0, sizeof left);
    fill(right, K * N, -1, 1);
    for (size_t i = 0; i < M; i++) {
        left[i * K + i % 200] = value(-140);
    }
    run(device, &plain, "subnormal sums, then zeros");
}

static void run_special(const amps_cpu_device *device)
{
    static const product plain = {false, false, 1.0, 0.0};
    const float specials[] = {INFINITY, -INFINITY, NAN, 0x1p-149f, -0x1.fffffep127f, 0x1.8p-120f};
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
        fill(left, M * K, -1, 1);
        fill(right, K * N, -1, 1);
        left[33 * K + 300] = specials[i];
        right[301 * N + 65] = specials[(i + 1) % 6];
        run(device, &plain, "a special value on each side");
        left[33 * K + 301] = 0.0f; /* zero times it */
        run(device, &plain, "zero times a special value");
    }
}

static void run_size(const amps_cpu_device *device, size_t m, size_t n, size_t k)
{
    M = m;
    N = n;
    K = k;
    run_all(device);
    run_limits(device);
    run_special(device);
}

/* Products with tiles, strict ones of the least size too: without tiles, size and permission change nothing. */
static void test_split(void **state)
{
    (void)state;
    for (int isa = (int)amps_cpu_isa_best(); isa >= 0; isa--) {
        amps_cpu_device device = {.isa = (amps_cpu_isa)isa};
        device.features = amps_cpu_features(device.isa);
        device.caches = amps_cpu_cache_sizes();
        device.rows = amps_cpu_choose_rows(device.isa);
        assert_int_equal(amps_pool_open(2, &device.pool), ANYMPS_OK);
        reduced = true;
        run_size(&device, 530, 545, 547);
        reduced = false;
        device.strict_work = STRICT_WORK;
        if ((device.features & AMPS_CPU_AMX_BF16) != 0) {
            run_size(&device, M_MOST, N_MOST, K_MOST);
        }
        amps_pool_close(device.pool);
    }
}

/* Strict and reduced products in turn of the same constant operands, on one thread and on six: each kind makes copies
   of its own, once, and bits depend neither on them nor on threads. */
static void run_kept(amps_cpu_device *devices, const product *p, bool reduced_first)
{
    static float kept[2][M_LONG * N_LONG];
    amps_constant slots[2] = {{NULL, NULL}, {NULL, NULL}};
    for (size_t t = 0; t < 6; t++) {
        reduced = (t % 2 != 0) != reduced_first;
        for (size_t i = 0; i < 2; i++) { /* the last two: nothing is constant */
            constants[i] = t < 4 ? &slots[i] : NULL;
        }
        multiply(&devices[t / 2 % 2], p);
        if (t < 2) {
            compare(&devices[0], p, "constant operands");
            memcpy(kept[reduced], result, sizeof kept[0]);
        }
        assert_memory_equal(kept[reduced], result, sizeof kept[0]);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_non_null(slots[i].release);
        slots[i].release(slots[i].data);
    }
}

static void test_kept(void **state)
{
    (void)state;
    amps_cpu_device devices[2] = {{.isa = amps_cpu_isa_best()}};
    devices[0].features = amps_cpu_features(devices[0].isa);
    devices[0].caches = amps_cpu_cache_sizes();
    devices[0].rows = amps_cpu_choose_rows(devices[0].isa);
    devices[0].strict_work = STRICT_WORK;
    if ((devices[0].features & AMPS_CPU_AMX_BF16) == 0) {
        skip();
    }
    assert_int_equal(amps_packed_open((size_t)1 << 30, &devices[0].packed), ANYMPS_OK);
    devices[1] = devices[0];
    assert_int_equal(amps_pool_open(1, &devices[0].pool), ANYMPS_OK);
    assert_int_equal(amps_pool_open(6, &devices[1].pool), ANYMPS_OK);
    M = M_LONG;
    N = N_LONG;
    K = K_LONG;
    fill(left, M * K, -3, 6);
    fill(right, K * N, -3, 6);
    run_kept(devices, &(product){false, false, 1.0, 0.0}, false);
    run_kept(devices, &(product){true, true, -0.75, 0.0}, true);
    amps_pool_close(devices[1].pool);
    amps_pool_close(devices[0].pool);
    amps_packed_close(devices[0].packed);
}

/* Strict products below the size from which a device cuts have the bits of multiply-adds. */
static void test_below(void **state)
{
    (void)state;
    static const product plain = {false, false, 1.0, 0.0};
    static float whole[M_LONG * N_LONG];
    amps_cpu_device device = {.isa = amps_cpu_isa_best()};
    device.features = amps_cpu_features(device.isa);
    device.caches = amps_cpu_cache_sizes();
    if ((device.features & AMPS_CPU_AMX_BF16) == 0) {
        skip();
    }
    assert_int_equal(amps_pool_open(2, &device.pool), ANYMPS_OK);
    M = M_LONG;
    N = N_LONG;
    K = K_LONG;
    reduced = false;
    fill(left, M * K, -3, 6);
    fill(right, K * N, -3, 6);
    multiply(&device, &plain);
    memcpy(whole, result, sizeof whole);
    device.strict_work = STRICT_WORK;
    multiply(&device, &plain);
    assert_memory_not_equal(whole, result, sizeof whole);
    device.strict_work = 0.0;
    device.isa = AMPS_CPU_ISA_AVX512;
    device.features = amps_cpu_features(device.isa);
    multiply(&device, &plain);
    assert_memory_equal(whole, result, sizeof whole);
    amps_pool_close(device.pool);
}

/* From which size on strict products are cut, where there are tiles: by the work and each side, not by threads. */
static void test_size(void **state)
{
    (void)state;
    static const struct {
        size_t m, n, k;
        bool cut;
    } shapes[] = {
        {2048, 2048, 2048, true}, {2048, 2048, 2047, false}, {512, 4096, 4096, true}, {511, 8192, 8192, false}};
    for (size_t i = 0; i < 2 * (sizeof shapes / sizeof shapes[0]); i++) {
        amps_cpu_device device = {.isa = amps_cpu_isa_best()};
        device.features = amps_cpu_features(device.isa);
        device.caches = amps_cpu_cache_sizes();
        assert_int_equal(amps_pool_open(i % 2 == 0 ? 1 : 6, &device.pool), ANYMPS_OK);
        M = shapes[i / 2].m;
        N = shapes[i / 2].n;
        K = shapes[i / 2].k;
        reduced = false;
        const amps_gemm_args args = args_of(&device, &(product){false, false, 1.0, 0.0});
        amps_gemm_job job;
        assert_true(amps_gemm_plan(&args, &job));
        const bool tiles = (device.features & AMPS_CPU_AMX_BF16) != 0;
        assert_int_equal(job.way == AMPS_GEMM_LOW, tiles && shapes[i / 2].cut);
        amps_pool_close(device.pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_split), cmocka_unit_test(test_kept),
                                       cmocka_unit_test(test_below), cmocka_unit_test(test_size)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
