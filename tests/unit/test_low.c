/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_low.c: products of narrow types on every instruction set, every element compared with double within the
 * documented bound: tiles of every height and width, operands as they lie and transposed, interiors that end within a
 * word or a pair of words, or in blocks; and bf16 whose products or sums may be subnormal, around the limit at which
 * the kernels change over: dot product instructions take subnormals for zero and may only run where none can appear.
 * Products of several threads have the bits of one, whether tasks share what is packed or not.
 */
#include "backend/cpu/gemm_job.h"
#include "backend/cpu/ukr/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { M = 33, N = 70, K = 37 };

static uint64_t seed = 20261123;

static uint32_t bits(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33);
}

/* ±1.xxxxxxx · 2^exponent, or now and then 0; subnormal below 2^-126. */
static uint16_t value(int exponent)
{
    const double size = ldexp(1.0 + (double)(bits() % 128) / 128.0, exponent);
    return bits() % 17 == 0 ? 0 : amps_bf16_of_f32((float)(bits() % 2 == 0 ? size : -size));
}

typedef struct product {
    anymps_dtype dtype;
    size_t m, n, k;
    bool a_turned, b_turned; /* stored by columns */
} product;

/* c = a * b, i8 in i32, others in f32. */
static amps_gemm_args args_of(const amps_cpu_device *device, const product *p, const void *a, const void *b, void *c)
{
    const size_t size = anymps_dtype_bytes(p->dtype);
    return (amps_gemm_args){
        .device = device,
        .m = p->m,
        .n = p->n,
        .k = p->k,
        .batch = 1,
        .a_dtype = p->dtype,
        .b_dtype = p->dtype,
        .c_dtype = p->dtype == ANYMPS_DTYPE_I8 ? ANYMPS_DTYPE_I32 : ANYMPS_DTYPE_F32,
        .a = a,
        .a_row_bytes = p->a_turned ? size : p->k * size,
        .a_column_bytes = p->a_turned ? p->m * size : size,
        .b = b,
        .b_row_bytes = p->b_turned ? size : p->n * size,
        .b_column_bytes = p->b_turned ? p->k * size : size,
        .c = c,
        .c_row_bytes = p->n * 4,
        .c_column_bytes = 4,
        .alpha = 1.0,
    };
}

static void multiply(const amps_cpu_device *device, const product *p, const void *a, const void *b, void *c)
{
    const amps_gemm_args args = args_of(device, p, a, b, c);
    size_t bytes;
    assert_true(amps_gemm_scratch(&args, &bytes));
    void *scratch = aligned_alloc(4096, bytes + 4096 - bytes % 4096);
    assert_non_null(scratch);
    amps_gemm(&args, scratch);
    free(scratch);
}

static void check(const amps_cpu_device *device, int a_exponent, int b_exponent)
{
    static uint16_t a[M * K], b[K * N];
    static float c[M * N];
    for (size_t i = 0; i < M * K; i++) {
        a[i] = value(a_exponent + (int)(bits() % 3));
    }
    for (size_t i = 0; i < K * N; i++) {
        b[i] = value(b_exponent + (int)(bits() % 3));
    }
    multiply(device, &(product){ANYMPS_DTYPE_BF16, M, N, K, false, false}, a, b, c);
    for (size_t i = 0; i < M; i++) {
        for (size_t j = 0; j < N; j++) {
            double sum = 0.0, size = 0.0;
            for (size_t k = 0; k < K; k++) {
                const double term = (double)amps_f32_of_bf16(a[i * K + k]) * (double)amps_f32_of_bf16(b[k * N + j]);
                sum += term;
                size += fabs(term);
            }
            /* A sum that is subnormal moves by half of the least f32 for each of its K roundings. */
            const double bound = 2.0 * K * 0x1p-24 * size + K * 0x1p-150;
            if (!(fabs((double)c[i * N + j] - sum) <= bound)) {
                fail_msg("%s, exponents %d and %d, element (%zu, %zu): %g, exact %g, bound %g",
                         amps_cpu_isa_name(device->isa), a_exponent, b_exponent, i, j, (double)c[i * N + j], sum,
                         bound);
            }
        }
    }
}

/* ---- tiles ---------------------------------------------------------------------------------------- */

enum { MOST = 64 * 6200, MOST_C = 64 * 64 };

static uint16_t element_of(anymps_dtype dtype)
{
    const double size = ldexp(1.0 + (double)(bits() % 1024) / 1024.0, (int)(bits() % 5) - 2);
    const float x = (float)(bits() % 2 == 0 ? size : -size);
    switch (dtype) {
    case ANYMPS_DTYPE_I8: return (uint16_t)(bits() % 256);
    case ANYMPS_DTYPE_I16: return (uint16_t)(bits() % 65536);
    case ANYMPS_DTYPE_F16: return amps_f16_of_f32(x);
    default: return amps_bf16_of_f32(x);
    }
}

static double value_of(anymps_dtype dtype, uint16_t x)
{
    switch (dtype) {
    case ANYMPS_DTYPE_I8: return (double)(int8_t)(unsigned char)x;
    case ANYMPS_DTYPE_I16: return (double)(int16_t)x;
    case ANYMPS_DTYPE_F16: return (double)amps_f32_of_f16(x);
    default: return (double)amps_f32_of_bf16(x);
    }
}

/* Row i, column j of an operand of `columns` columns, or of `rows` if it is turned. */
static size_t place(size_t i, size_t j, size_t rows, size_t columns, bool turned)
{
    return turned ? j * rows + i : i * columns + j;
}

static void fill(anymps_dtype dtype, unsigned char *to, double *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint16_t x = element_of(dtype);
        values[i] = value_of(dtype, x);
        memcpy(to + i * anymps_dtype_bytes(dtype), &x, anymps_dtype_bytes(dtype)); /* i8: the lower byte comes first */
    }
}

static void compare(const amps_cpu_device *device, const product *p, const double *a, const double *b, const void *c)
{
    for (size_t e = 0; e < p->m * p->n; e++) {
        const size_t i = e / p->n, j = e % p->n;
        double sum = 0.0, size = 0.0;
        for (size_t k = 0; k < p->k; k++) {
            const double term = a[place(i, k, p->m, p->k, p->a_turned)] * b[place(k, j, p->k, p->n, p->b_turned)];
            sum += term;
            size += fabs(term);
        }
        const bool integer = p->dtype == ANYMPS_DTYPE_I8;
        const double found = integer ? (double)((const int32_t *)c)[e] : (double)((const float *)c)[e];
        if (!(fabs(found - sum) <= (integer ? 0.0 : 2.0 * (double)p->k * 0x1p-24 * size))) {
            fail_msg("%s %s %zux%zux%zu%s%s, element (%zu, %zu): %g, exact %g", amps_cpu_isa_name(device->isa),
                     anymps_dtype_name(p->dtype), p->m, p->n, p->k, p->a_turned ? " tA" : "", p->b_turned ? " tB" : "",
                     i, j, found, sum);
        }
    }
}

static void check_product(const amps_cpu_device *device, const product *p)
{
    static unsigned char a[MOST * 2], b[MOST * 2];
    static double a_values[MOST], b_values[MOST];
    static uint32_t c[MOST_C];
    fill(p->dtype, a, a_values, p->m * p->k);
    fill(p->dtype, b, b_values, p->k * p->n);
    multiply(device, p, a, b, c);
    compare(device, p, a_values, b_values, c);
}

/* Interiors of 1 to 20 beyond `from`: longer than 1024, no product is small enough to be widened where it lies. */
static void check_heights(const amps_cpu_device *device, anymps_dtype dtype, size_t from)
{
    static const size_t interiors[] = {1, 2, 3, 4, 5, 8, 13, 20};
    for (size_t m = 1; m <= 17; m++) {
        for (size_t n = 1; n <= 37; n += n < 14 ? 1 : 7) {
            const size_t at = (m * 7 + n) % 8;
            const product p = {dtype, m, n, from + interiors[at], at % 2 != 0, at % 4 >= 2};
            check_product(device, &p);
            const product turned = {dtype, m, n, from + interiors[(at + 3) % 8], at % 4 >= 2, at % 2 == 0};
            check_product(device, &turned);
        }
    }
}

static void check_tiles(const amps_cpu_device *device, anymps_dtype dtype)
{
    check_heights(device, dtype, 0);
    check_heights(device, dtype, 1024);
    static const size_t widths[] = {39, 40, 48, 56, 57, 63, 64};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) { /* as they lie and turned; two strips */
        check_product(device, &(product){dtype, 7 + 4 * i, widths[i], 31 + i, i % 2 != 0, false});
        check_product(device, &(product){dtype, 8 + 3 * i, widths[i], 33 + 5 * i, false, true});
        check_product(device, &(product){dtype, 4, widths[i] + 64, 20 + i, true, i % 2 == 0});
    }
    check_product(device, &(product){dtype, 9, 13, 6148, false, false}); /* blocks of odd numbers of words */
    check_product(device, &(product){dtype, 8, 25, 3074, false, true});
    check_product(device, &(product){dtype, 61, 50, 70, true, false});
}

static amps_cpu_device device_of(int isa)
{
    amps_cpu_device device = {.isa = (amps_cpu_isa)isa};
    device.features = amps_cpu_features(device.isa);
    device.caches = amps_cpu_cache_sizes();
    device.rows = amps_cpu_choose_rows(device.isa);
    assert_int_equal(amps_pool_open(2, &device.pool), ANYMPS_OK);
    return device;
}

static void test_tiles(void **state)
{
    (void)state;
    for (int isa = (int)amps_cpu_isa_best(); isa >= 0; isa--) {
        amps_cpu_device device = device_of(isa);
        check_tiles(&device, ANYMPS_DTYPE_BF16);
        check_tiles(&device, ANYMPS_DTYPE_F16);
        check_tiles(&device, ANYMPS_DTYPE_I8);
        check_tiles(&device, ANYMPS_DTYPE_I16);
        amps_pool_close(device.pool);
    }
}

/* ---- exponents ------------------------------------------------------------------------------------ */

static void test_exponents(void **state)
{
    (void)state;
    for (int isa = (int)amps_cpu_isa_best(); isa >= 0; isa--) {
        amps_cpu_device device = device_of(isa);
        for (int sum = -150; sum <= -90; sum += 2) {
            check(&device, sum / 2, sum - sum / 2);
            check(&device, -10, sum + 10);
            check(&device, sum + 20, -20);
        }
        check(&device, -133, 0); /* subnormal operands */
        check(&device, 5, -131);
        amps_pool_close(device.pool);
    }
}

/* ---- threads -------------------------------------------------------------------------------------- */

static void multiply_on(size_t threads, size_t l2_bytes, const product *p, float *c)
{
    static unsigned char a[200 * 4230 * 2], b[4230 * 300 * 2];
    amps_cpu_device device = device_of(amps_cpu_isa_best());
    amps_pool_close(device.pool);
    assert_int_equal(amps_pool_open(threads, &device.pool), ANYMPS_OK);
    device.caches.l2_bytes = l2_bytes;
    for (size_t i = 0; i < sizeof a; i++) {
        a[i] = (unsigned char)(i % 2 == 0 ? i * 2654435761u >> 13 : 0x3f);
    }
    for (size_t i = 0; i < sizeof b; i++) {
        b[i] = (unsigned char)(i % 2 == 0 ? i * 2654435761u >> 17 : 0xbf);
    }
    multiply(&device, p, a, b, c);
    amps_pool_close(device.pool);
}

/* Several rows and columns of tasks: with two blocks of the interior, where all threads pack what tasks share, if the
   second cache is small, and each for itself, if it is not; a short one, widened where it lies; and so many columns that
   only a lone thread has them in one block. */
static void test_threads(void **state)
{
    (void)state;
    static float one[200 * 1100], many[200 * 1100];
    static const anymps_dtype dtypes[] = {ANYMPS_DTYPE_BF16, ANYMPS_DTYPE_F16, ANYMPS_DTYPE_I8};
    for (size_t d = 0; d < 9; d++) {
        const product shapes[] = {{dtypes[d % 3], 200, 300, 4230, false, false},
                                  {dtypes[d % 3], 200, 300, 130, false, true},
                                  {dtypes[d % 3], 200, 1100, 150, false, false}};
        multiply_on(1, 2 << 20, &shapes[d / 3], one);
        for (size_t threads = 2; threads <= 7; threads += threads == 2 ? 2 : 3) {
            for (size_t l2_bytes = 1 << 13; l2_bytes <= 1 << 22; l2_bytes <<= 9) {
                memset(many, 0, sizeof many);
                multiply_on(threads, l2_bytes, &shapes[d / 3], many);
                assert_memory_equal(one, many, shapes[d / 3].m * shapes[d / 3].n * sizeof *one);
            }
        }
    }
}

/* Do tasks of a product of this side share what is packed? */
static bool shares(const amps_cpu_device *device, anymps_dtype dtype, size_t side)
{
    const product p = {dtype, side, side, side, false, false};
    const amps_gemm_args args = args_of(device, &p, NULL, NULL, NULL);
    amps_gemm_job job;
    assert_true(amps_gemm_plan(&args, &job));
    assert_true(job.m_tasks * job.n_tasks > 1);
    return job.shared_bytes > 0;
}

/* Operands of two second caches on; two threads always. */
static void test_shared(void **state)
{
    (void)state;
    amps_cpu_device device = device_of(amps_cpu_isa_best());
    const uint32_t both = AMPS_CPU_AMX_BF16 | AMPS_CPU_AMX_INT8;
    if ((device.features & both) != both) {
        amps_pool_close(device.pool);
        skip();
    }
    device.caches.l2_bytes = 2 << 20;
    assert_true(shares(&device, ANYMPS_DTYPE_BF16, 512));
    amps_pool_close(device.pool);
    assert_int_equal(amps_pool_open(8, &device.pool), ANYMPS_OK);
    assert_false(shares(&device, ANYMPS_DTYPE_BF16, 960));
    assert_true(shares(&device, ANYMPS_DTYPE_BF16, 1024));
    assert_false(shares(&device, ANYMPS_DTYPE_I8, 1280));
    assert_true(shares(&device, ANYMPS_DTYPE_I8, 1536));
    amps_pool_close(device.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tiles), cmocka_unit_test(test_exponents),
                                       cmocka_unit_test(test_threads), cmocka_unit_test(test_shared)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
