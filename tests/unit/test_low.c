/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_low.c: bf16 products whose values lie so low that products or sums may be subnormal, on every instruction set:
 * the dot product instruction takes subnormals for zero and may only run where none can appear. Every element is
 * compared with double within the documented bound, around the limit at which the kernels change over.
 */
#include "backend/cpu/gemm.h"
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
    const amps_gemm_args args = {.device = device,
                                 .m = M,
                                 .n = N,
                                 .k = K,
                                 .batch = 1,
                                 .a_dtype = ANYMPS_DTYPE_BF16,
                                 .b_dtype = ANYMPS_DTYPE_BF16,
                                 .c_dtype = ANYMPS_DTYPE_F32,
                                 .a = (const unsigned char *)a,
                                 .a_row_bytes = K * 2,
                                 .a_column_bytes = 2,
                                 .b = (const unsigned char *)b,
                                 .b_row_bytes = N * 2,
                                 .b_column_bytes = 2,
                                 .c = (unsigned char *)c,
                                 .c_row_bytes = N * 4,
                                 .c_column_bytes = 4,
                                 .alpha = 1.0};
    size_t bytes;
    assert_true(amps_gemm_scratch(&args, &bytes));
    void *scratch = aligned_alloc(4096, bytes + 4096 - bytes % 4096);
    assert_non_null(scratch);
    amps_gemm(&args, scratch);
    free(scratch);
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

static void test_exponents(void **state)
{
    (void)state;
    for (int isa = (int)amps_cpu_isa_best(); isa >= 0; isa--) {
        amps_cpu_device device = {.isa = (amps_cpu_isa)isa};
        device.features = amps_cpu_features(device.isa);
        device.caches = amps_cpu_cache_sizes();
        device.rows = amps_cpu_choose_rows(device.isa);
        assert_int_equal(amps_pool_open(2, &device.pool), ANYMPS_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exponents)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
