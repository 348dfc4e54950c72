/* SPDX-License-Identifier: Apache-2.0 */
/* test_cpu_isa.c: caps on the instruction set, and that what the CPU is said to have fits together. */
#include "backend/cpu/cpu.h"

#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void names_read_back(void **state)
{
    (void)state;
    amps_cpu_isa isa = AMPS_CPU_ISA_COUNT;
    unsetenv("ANYMPS_ISA");
    assert_int_equal(amps_cpu_isa_parse("baseline", &isa), ANYMPS_OK);
    assert_int_equal(isa, AMPS_CPU_ISA_BASELINE);
    assert_int_equal(amps_cpu_isa_parse(NULL, &isa), ANYMPS_OK);
    assert_int_equal(isa, amps_cpu_isa_best());
    assert_int_equal(amps_cpu_isa_parse(amps_cpu_isa_name(isa), &isa), ANYMPS_OK);
    assert_int_equal(isa, amps_cpu_isa_best());
}

static void variable_caps_unless_given(void **state)
{
    (void)state;
    amps_cpu_isa isa = AMPS_CPU_ISA_COUNT;
    setenv("ANYMPS_ISA", "baseline", 1);
    assert_int_equal(amps_cpu_isa_parse(NULL, &isa), ANYMPS_OK);
    assert_int_equal(isa, AMPS_CPU_ISA_BASELINE);
    assert_int_equal(amps_cpu_isa_parse(amps_cpu_isa_name(amps_cpu_isa_best()), &isa), ANYMPS_OK);
    assert_int_equal(isa, amps_cpu_isa_best());
    setenv("ANYMPS_ISA", "", 1);
    assert_int_equal(amps_cpu_isa_parse(NULL, &isa), ANYMPS_OK);
    assert_int_equal(isa, amps_cpu_isa_best());
    unsetenv("ANYMPS_ISA");
}

static void refusals_name_the_reason(void **state)
{
    (void)state;
    amps_cpu_isa isa = AMPS_CPU_ISA_COUNT;
    assert_int_equal(amps_cpu_isa_parse("sse9", &isa), ANYMPS_INVALID_ARGUMENT);
    assert_non_null(strstr(anymps_last_error()->message, "sse9"));
    const char *const other = amps_cpu_isa_best() >= AMPS_CPU_ISA_NEON ? "avx2" : "neon";
    assert_int_equal(amps_cpu_isa_parse(other, &isa), ANYMPS_UNSUPPORTED);
    assert_non_null(strstr(anymps_last_error()->message, other));
    assert_int_equal(isa, AMPS_CPU_ISA_COUNT); /* untouched */
}

/* No level above the best may be had, and the baseline has no extension. */
static void levels_are_ordered(void **state)
{
    (void)state;
    amps_cpu_isa isa = AMPS_CPU_ISA_COUNT;
    if (amps_cpu_isa_best() == AMPS_CPU_ISA_AVX2) {
        assert_int_equal(amps_cpu_isa_parse("avx512", &isa), ANYMPS_UNSUPPORTED);
    }
    if (amps_cpu_isa_best() == AMPS_CPU_ISA_AVX512) {
        assert_int_equal(amps_cpu_isa_parse("avx2", &isa), ANYMPS_OK);
        assert_int_equal(amps_cpu_features(isa) & ~(uint32_t)AMPS_CPU_AVX_VNNI, 0);
    }
    if (amps_cpu_isa_best() >= AMPS_CPU_ISA_NEON) {
        for (int level = AMPS_CPU_ISA_NEON; level < AMPS_CPU_ISA_COUNT; level++) {
            const anymps_status expected = level <= (int)amps_cpu_isa_best() ? ANYMPS_OK : ANYMPS_UNSUPPORTED;
            assert_int_equal(amps_cpu_isa_parse(amps_cpu_isa_name((amps_cpu_isa)level), &isa), expected);
        }
        assert_int_equal(amps_cpu_features(AMPS_CPU_ISA_NEON), 0);
        const uint32_t matrix = AMPS_CPU_NEON_I8MM | AMPS_CPU_NEON_BF16;
        assert_int_equal(amps_cpu_features(AMPS_CPU_ISA_NEON_DOTPROD) & matrix, 0);
    }
    const uint32_t tiles = AMPS_CPU_AMX_BF16 | AMPS_CPU_AMX_INT8;
    const bool has_tiles = amps_cpu_isa_best() == AMPS_CPU_ISA_AMX;
    assert_int_equal(amps_cpu_features(amps_cpu_isa_best()) & tiles, has_tiles ? tiles : 0);
    if (has_tiles) {
        assert_int_equal(amps_cpu_isa_parse("avx512", &isa), ANYMPS_OK);
        assert_int_equal(amps_cpu_features(isa) & tiles, 0);
    } else {
        assert_int_equal(amps_cpu_isa_parse("amx", &isa), ANYMPS_UNSUPPORTED);
    }
    assert_int_equal(amps_cpu_features(AMPS_CPU_ISA_BASELINE), 0);
}

/* What the compiler's runtime says of the same CPU. */
static void agrees_with_the_compiler(void **state)
{
    (void)state;
#if defined(__x86_64__)
    const amps_cpu_isa best = amps_cpu_isa_best();
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                       __builtin_cpu_supports("avx512cd");
    if (best == AMPS_CPU_ISA_AMX) { /* the compiler does not ask the kernel for the tiles */
        assert_true(avx512);
        return;
    }
    assert_int_equal(best, avx512 ? AMPS_CPU_ISA_AVX512 : avx2 ? AMPS_CPU_ISA_AVX2 : AMPS_CPU_ISA_BASELINE);
#endif
}

static void rows_follow_the_cap(void **state)
{
    (void)state;
#if defined(__aarch64__)
    assert_string_equal(amps_cpu_choose_rows(amps_cpu_isa_best())->name, "neon");
#elif defined(__x86_64__)
    const amps_cpu_isa best = amps_cpu_isa_best();
    const amps_cpu_isa rows = best == AMPS_CPU_ISA_AMX ? AMPS_CPU_ISA_AVX512 : best; /* rows gain nothing from tiles */
    assert_string_equal(amps_cpu_choose_rows(best)->name, amps_cpu_isa_name(rows));
    assert_string_equal(amps_cpu_choose_rows(AMPS_CPU_ISA_BASELINE)->name, "baseline");
    assert_string_equal(amps_cpu_choose_rows(AMPS_CPU_ISA_AVX2)->name, "avx2");
#endif
}

static void machine_is_described(void **state)
{
    (void)state;
    char name[128] = "";
    amps_cpu_name(name, sizeof name);
    assert_true(name[0] != '\0' && name[0] != ' ');
    assert_true(amps_cpu_allowed() >= 1);
    const amps_cpu_caches caches = amps_cpu_cache_sizes();
    assert_in_range(caches.l1_bytes, 4096, 4 << 20);
    assert_in_range(caches.l2_bytes, caches.l1_bytes, 512 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_read_back),          cmocka_unit_test(variable_caps_unless_given),
        cmocka_unit_test(refusals_name_the_reason), cmocka_unit_test(levels_are_ordered),
        cmocka_unit_test(agrees_with_the_compiler), cmocka_unit_test(rows_follow_the_cap),
        cmocka_unit_test(machine_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
