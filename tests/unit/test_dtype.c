/* SPDX-License-Identifier: Apache-2.0 */
/* test_dtype.c: element types: the numbers of MPSDataType, sizes, names there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <anymps/anymps.h>

typedef struct row {
    anymps_dtype dtype;
    uint32_t number; /* of MPSDataType; 0 where it has none */
    size_t bytes;
    const char *name;
} row;

/* Source: MPSCoreTypes.h. F32 and F16 are the pair that other bindings have swapped. */
static const row rows[] = {
    {ANYMPS_DTYPE_U8, 0x00000008u, 1, "u8"},
    {ANYMPS_DTYPE_U16, 0x00000010u, 2, "u16"},
    {ANYMPS_DTYPE_U32, 0x00000020u, 4, "u32"},
    {ANYMPS_DTYPE_U64, 0x00000040u, 8, "u64"},
    {ANYMPS_DTYPE_I8, 0x20000008u, 1, "i8"},
    {ANYMPS_DTYPE_I16, 0x20000010u, 2, "i16"},
    {ANYMPS_DTYPE_I32, 0x20000020u, 4, "i32"},
    {ANYMPS_DTYPE_I64, 0x20000040u, 8, "i64"},
    {ANYMPS_DTYPE_F16, 268435472u, 2, "f16"},
    {ANYMPS_DTYPE_F32, 268435488u, 4, "f32"},
    {ANYMPS_DTYPE_F64, 0, 8, "f64"},
    {ANYMPS_DTYPE_BF16, 0x90000010u, 2, "bf16"},
    {ANYMPS_DTYPE_BOOL, 0x80000008u, 1, "bool"},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void numbers_and_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        assert_true(rows[i].number == 0 || (uint32_t)rows[i].dtype == rows[i].number);
        assert_int_equal(anymps_dtype_bytes(rows[i].dtype), rows[i].bytes);
        assert_int_equal(anymps_dtype_bits(rows[i].dtype), 8 * rows[i].bytes);
    }
}

static void names_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        anymps_dtype parsed = ANYMPS_DTYPE_INVALID;
        assert_string_equal(anymps_dtype_name(rows[i].dtype), rows[i].name);
        assert_int_equal(anymps_dtype_parse(rows[i].name, &parsed), ANYMPS_OK);
        assert_int_equal(parsed, rows[i].dtype);
    }
}

static void what_is_no_type(void **state)
{
    (void)state;
    static const int numbers[] = {0, 1, 8 + 1, 0x10000008, 0x7fffffff, -1};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        assert_int_equal(anymps_dtype_bits((anymps_dtype)numbers[i]), 0);
        assert_int_equal(anymps_dtype_bytes((anymps_dtype)numbers[i]), 0);
        assert_string_equal(anymps_dtype_name((anymps_dtype)numbers[i]), "invalid");
    }
    anymps_dtype untouched = ANYMPS_DTYPE_I8;
    assert_int_equal(anymps_dtype_parse("F32", &untouched), ANYMPS_INVALID_ARGUMENT);
    assert_int_equal(anymps_dtype_parse("", &untouched), ANYMPS_INVALID_ARGUMENT);
    assert_int_equal(untouched, ANYMPS_DTYPE_I8);
}

static void recommended_row_bytes(void **state)
{
    (void)state;
    assert_int_equal(anymps_matrix_row_bytes(0, ANYMPS_DTYPE_F32), 0);
    assert_int_equal(anymps_matrix_row_bytes(1, ANYMPS_DTYPE_F32), 64);
    assert_int_equal(anymps_matrix_row_bytes(16, ANYMPS_DTYPE_F32), 64);
    assert_int_equal(anymps_matrix_row_bytes(17, ANYMPS_DTYPE_F32), 128);
    assert_int_equal(anymps_matrix_row_bytes(SIZE_MAX / 2, ANYMPS_DTYPE_F32), 0);
    assert_int_equal(anymps_matrix_row_bytes(8, (anymps_dtype)5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_sizes),
        cmocka_unit_test(names_there_and_back),
        cmocka_unit_test(what_is_no_type),
        cmocka_unit_test(recommended_row_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
