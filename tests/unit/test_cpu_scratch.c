/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cpu_scratch.c: what products ask for beside their operands stays bounded however many rows there are. Scratch is
 * arithmetic over sizes, so the instruction sets it is asked for need not be there, and no memory is touched.
 */
#include "backend/cpu/gemm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

extern const amps_cpu_op amps_cpu_lora;

static const size_t MIB = (size_t)1 << 20;

/* One thread, caches of usual sizes. */
static amps_cpu_device device_with(uint32_t features)
{
    amps_cpu_device device = {
        .isa = amps_cpu_isa_best(), .features = features, .caches = {32 << 10, 2 << 20, 32 << 20}};
    device.rows = amps_cpu_choose_rows(device.isa);
    assert_int_equal(amps_pool_open(1, &device.pool), ANYMPS_OK);
    return device;
}

static uint32_t tiles(void)
{
#if defined(__x86_64__)
    return AMPS_CPU_AMX_INT8 | AMPS_CPU_AMX_BF16;
#else
    return amps_cpu_features(amps_cpu_isa_best());
#endif
}

static uint32_t dot_products(void)
{
#if defined(__x86_64__)
    return AMPS_CPU_AVX512_BF16;
#elif defined(__aarch64__)
    return AMPS_CPU_NEON_BF16;
#else
    return 0;
#endif
}

/* Sums beside C: i8 to f32, and bf16 that adds to bf16. A short interior leaves room for many rows in the caches. */
static void test_sums(void **state)
{
    (void)state;
    amps_cpu_device device = device_with(tiles());
    for (size_t k = 4; k <= 4096; k *= 4) {
        for (int i8 = 0; i8 < 2; i8++) {
            const anymps_dtype dtype = i8 ? ANYMPS_DTYPE_I8 : ANYMPS_DTYPE_BF16;
            const size_t size = i8 ? 1 : 2, c_size = i8 ? 4 : 2;
            const amps_gemm_args args = {.device = &device,
                                         .m = 16384,
                                         .n = 4096,
                                         .k = k,
                                         .batch = 1,
                                         .a_dtype = dtype,
                                         .b_dtype = dtype,
                                         .c_dtype = i8 ? ANYMPS_DTYPE_F32 : ANYMPS_DTYPE_BF16,
                                         .a_row_bytes = k * size,
                                         .a_column_bytes = size,
                                         .b_row_bytes = 4096 * size,
                                         .b_column_bytes = size,
                                         .c_row_bytes = 4096 * c_size,
                                         .c_column_bytes = c_size,
                                         .alpha = 1.0,
                                         .beta = i8 ? 0.0 : 1.0};
            size_t bytes = 0;
            assert_true(amps_gemm_scratch(&args, &bytes));
            assert_in_range(bytes, 1, 12 * MIB); /* 8 of packed columns, 2 of packed rows, 1 of sums, ends */
        }
    }
    amps_pool_close(device.pool);
}

/* result += source*down*up: source*down is 1 KiB a row. */
static void test_lora(void **state)
{
    (void)state;
    enum { INPUTS = 64, RANK = 256, OUTPUTS = 128 };
    static unsigned char byte;
    amps_cpu_device device = device_with(dot_products());
    amps_memory memory = {.native = &byte};
    const anymps_lora_desc desc = ANYMPS_LORA_DESC_INIT;
    for (size_t rows = 256; rows <= MIB; rows *= 2) {
        const amps_view views[5] = {
            {.memory = &memory, .rows = rows, .columns = INPUTS, .row_bytes = INPUTS * 2, .dtype = ANYMPS_DTYPE_BF16},
            {.dtype = ANYMPS_DTYPE_BF16},
            {.memory = &memory, .rows = INPUTS, .columns = RANK, .row_bytes = RANK * 2, .dtype = ANYMPS_DTYPE_BF16},
            {.memory = &memory, .rows = RANK, .columns = OUTPUTS, .row_bytes = OUTPUTS * 2, .dtype = ANYMPS_DTYPE_BF16},
            {.memory = &memory, .rows = rows, .columns = OUTPUTS, .row_bytes = OUTPUTS * 2, .dtype = ANYMPS_DTYPE_BF16},
        };
        const amps_record record = {.desc = &desc, .batch = 1, .operand_count = 5, .operands = views};
        size_t bytes = 0;
        assert_true(amps_cpu_lora.scratch(&device, &record, &bytes));
        assert_in_range(bytes, 1, 72 * MIB); /* 64 of source*down, what packing takes */
    }
    amps_pool_close(device.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sums), cmocka_unit_test(test_lora)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
