/* SPDX-License-Identifier: Apache-2.0 */
/* test_checked.c: overflow-safe size arithmetic at its edges, against wider arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/checked.h"

static const size_t edges[] = {0,
                               1,
                               2,
                               3,
                               63,
                               64,
                               65,
                               (size_t)1 << 31,
                               ((size_t)1 << 32) - 1,
                               (size_t)1 << 32,
                               ((size_t)1 << 32) + 1,
                               SIZE_MAX / 3,
                               SIZE_MAX / 2,
                               SIZE_MAX / 2 + 1,
                               SIZE_MAX - 1,
                               SIZE_MAX};
enum { EDGES = sizeof edges / sizeof edges[0] };

static void add_is_exact_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < EDGES; i++) {
        for (size_t j = 0; j < EDGES; j++) {
            size_t out = 77;
            const bool fits = edges[i] + edges[j] >= edges[i]; /* unsigned sums wrap */
            assert_int_equal(amps_add(edges[i], edges[j], &out), fits);
            assert_true(out == (fits ? edges[i] + edges[j] : 77));
        }
    }
}

static void mul_is_exact_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < EDGES; i++) {
        for (size_t j = 0; j < EDGES; j++) {
            size_t out = 77;
            const size_t wrapped = edges[i] * edges[j];
            const bool fits = edges[i] == 0 || wrapped / edges[i] == edges[j];
            assert_int_equal(amps_mul(edges[i], edges[j], &out), fits);
            assert_true(out == (fits ? wrapped : 77));
        }
    }
}

static void round_up_gives_the_next_multiple(void **state)
{
    (void)state;
    size_t out = 77;
    assert_true(amps_round_up(0, 64, &out));
    assert_int_equal(out, 0);
    assert_true(amps_round_up(1, 64, &out));
    assert_int_equal(out, 64);
    assert_true(amps_round_up(64, 64, &out));
    assert_int_equal(out, 64);
    assert_true(amps_round_up(65, 12, &out));
    assert_int_equal(out, 72);
    out = 77;
    assert_false(amps_round_up(SIZE_MAX, 64, &out));
    assert_int_equal(out, 77);
    assert_true(amps_round_up(SIZE_MAX - 63, 64, &out));
    assert_true(out == SIZE_MAX - 63);
}

static void ranges_end_where_they_may(void **state)
{
    (void)state;
    assert_true(amps_in_range(0, 0, 0));
    assert_true(amps_in_range(10, 0, 10));
    assert_false(amps_in_range(11, 0, 10));
    assert_true(amps_in_range(3, 7, 10));
    assert_false(amps_in_range(3, 8, 10));
    assert_false(amps_in_range(SIZE_MAX, 2, 10)); /* the sum would wrap to 1 */
    assert_false(amps_in_range(2, SIZE_MAX, 10));
}

static void least_and_greatest(void **state)
{
    (void)state;
    assert_int_equal(amps_min(3, 4), 3);
    assert_int_equal(amps_max(3, 4), 4);
    assert_true(amps_max(SIZE_MAX, 0) == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(add_is_exact_or_refused),
        cmocka_unit_test(mul_is_exact_or_refused),
        cmocka_unit_test(round_up_gives_the_next_multiple),
        cmocka_unit_test(ranges_end_where_they_may),
        cmocka_unit_test(least_and_greatest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
