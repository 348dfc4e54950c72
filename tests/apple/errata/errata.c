/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errata.c: one test for each line of the Metal backend's errata table: the line holds where it says, its bound is
 * where it says, and what is done about it keeps every piece below the bound. Pure arithmetic: runs anywhere.
 *
 * ELSEWHERE lines name the file that holds them; here stands which test does (checked by name below).
 */
#include "backend/metal/errata.h"

#include <stdio.h>
#include <string.h>

static int failures;
static bool tested[AMPS_METAL_ERRATUM_COUNT];

#define LINE(name) AMPS_METAL_ERRATUM_##name
#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                     \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

static const amps_metal_facts m1 = {.os = 1500, .apple_family = 7}, m3 = {.os = 1500, .apple_family = 9},
                              old_m1 = {.os = 1403, .apple_family = 7}, old_m3 = {.os = 1403, .apple_family = 9},
                              intel = {.os = 1500, .apple_family = 0};

typedef struct answer {
    bool may;
    amps_metal_limits limits;
    amps_metal_erratum hit;
} answer;

static answer ask(const amps_metal_facts *facts, size_t rows, size_t columns, size_t interior, bool accumulates)
{
    const amps_metal_product product = {rows, columns, interior, 4, accumulates};
    answer a;
    a.may = amps_metal_errata_product(facts, &product, &a.limits, &a.hit);
    return a;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The largest piece of the product under the limits. */
static amps_metal_product largest_piece(const answer *a, size_t rows, size_t columns, size_t interior)
{
    return (amps_metal_product){least(rows, a->limits.rows), least(columns, a->limits.columns),
                                least(interior, a->limits.interior), 4, true};
}

/* The bounds, written here a second time from the reports. */
static double product_bytes(const amps_metal_product *p)
{
    return ((double)p->rows + 2.0 * (double)p->interior) * (double)p->columns * 4.0;
}

static void test_product_31_bits(void)
{
    tested[LINE(product_31_bits)] = true;
    /* Metal.jl issue 381: squares of 13,000 are right, of 13,500 wrong: 3 n^2 4 bytes = 2^31 at n = 13,377. */
    EXPECT(ask(&m1, 13376, 13376, 13376, true).hit == AMPS_METAL_ERRATUM_COUNT);
    static const size_t sizes[][3] = {
        {13378, 13378, 13378}, {32000, 32000, 32000}, {100, 100000, 20000}, {1000000, 600, 64}, {50, 50, 30000000}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const size_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
        const answer a = ask(&m3, m, n, k, true);
        const amps_metal_product piece = largest_piece(&a, m, n, k);
        EXPECT(a.may && a.hit == LINE(product_31_bits));
        EXPECT(product_bytes(&piece) <= 1073741824.0);
        EXPECT(piece.rows != 0 && piece.columns != 0 && piece.interior != 0);
    }
}

static void test_operand_31_bits(void)
{
    tested[LINE(operand_31_bits)] = true;
    const answer a = ask(&m3, 1 << 20, 16, 4096, true); /* left has 2^32 elements */
    const amps_metal_product piece = largest_piece(&a, 1 << 20, 16, 4096);
    EXPECT(a.may && a.hit == LINE(operand_31_bits));
    EXPECT((double)piece.rows * (double)piece.interior <= 1073741824.0);
    EXPECT(ask(&m3, 1 << 17, 16, 4096, true).hit == AMPS_METAL_ERRATUM_COUNT); /* 2^29 */
}

static void test_interior_32767(void)
{
    tested[LINE(interior_32767)] = true;
    EXPECT(ask(&m1, 16, 16, 32766, true).hit == AMPS_METAL_ERRATUM_COUNT);
    EXPECT(ask(&m1, 15, 16, 32767, true).hit == AMPS_METAL_ERRATUM_COUNT);
    const answer a = ask(&m1, 16, 16, 32767, true);
    EXPECT(a.may && a.hit == LINE(interior_32767) && a.limits.interior == 16384);
    /* Pieces of the interior cannot be added up in a narrow result: our own kernel. */
    EXPECT(!ask(&m1, 16, 16, 32767, false).may);
    EXPECT(ask(&m3, 16, 16, 32767, true).hit == AMPS_METAL_ERRATUM_COUNT);
    EXPECT(ask(&intel, 16, 16, 32767, true).hit == AMPS_METAL_ERRATUM_COUNT);
}

static void test_dimension_32768(void)
{
    tested[LINE(dimension_32768)] = true;
    const answer a = ask(&old_m3, 40000, 8, 8, true);
    EXPECT(a.may && a.hit == LINE(dimension_32768) && a.limits.rows == 32768);
    EXPECT(ask(&old_m3, 8, 40000, 8, true).limits.columns == 32768);
    EXPECT(ask(&old_m3, 8, 8, 40000, true).limits.interior == 32768);
    EXPECT(!ask(&old_m3, 8, 8, 40000, false).may);
    EXPECT(ask(&old_m3, 32768, 8, 8, true).hit == AMPS_METAL_ERRATUM_COUNT);
    EXPECT(ask(&m3, 40000, 8, 8, true).hit == AMPS_METAL_ERRATUM_COUNT);
}

static void test_stride_32768(void)
{
    tested[LINE(stride_32768)] = true;
    EXPECT(!amps_metal_errata_stride(&old_m1, 32769));
    EXPECT(amps_metal_errata_stride(&old_m1, 32768));
    EXPECT(amps_metal_errata_stride(&m1, 32769));
}

static void test_batch_65536(void)
{
    tested[LINE(batch_65536)] = true;
    EXPECT(ask(&m3, 4, 4, 4, true).limits.batch == 65535);
}

static void test_empty_interior(void)
{
    tested[LINE(empty_interior)] = true;
    const answer a = ask(&m3, 4, 4, 0, true);
    EXPECT(!a.may && a.hit == LINE(empty_interior));
}

/* Sizes that overflow a product saturate instead of wrapping below a bound. */
static void test_huge(void)
{
    const answer a = ask(&m3, SIZE_MAX / 2, 64, 64, true);
    const amps_metal_product piece = largest_piece(&a, SIZE_MAX / 2, 64, 64);
    EXPECT(a.may && product_bytes(&piece) <= 1073741824.0);
}

/* Lines that no arithmetic decides, and the test that holds each. */
static void test_others(void)
{
    static const struct {
        amps_metal_erratum line;
        amps_metal_action action;
        const char *held_by;
    } others[] = {{LINE(gelu_accuracy), AMPS_METAL_OWN, "conformance.metal.neuron"},
                  {LINE(beta_zero_reads), AMPS_METAL_PROBE, "conformance.metal.matmul"},
                  {LINE(f32_reduced), AMPS_METAL_PROBE, "conformance.metal.matmul"},
                  {LINE(softmax_infinity), AMPS_METAL_PROBE, "conformance.metal.softmax"},
                  {LINE(log_softmax_underflow), AMPS_METAL_PROBE, "conformance.metal-underflow"},
                  {LINE(sliced_result), AMPS_METAL_PROBE, "conformance.metal.matmul"},
                  {LINE(neuron_accuracy), AMPS_METAL_PROBE, "conformance.metal-defects.neuron"},
                  {LINE(empty_operands), AMPS_METAL_ELSEWHERE, "conformance.metal.matmul"},
                  {LINE(large_buffers), AMPS_METAL_ELSEWHERE, "apple.assertions"},
                  {LINE(alias_undefined), AMPS_METAL_ELSEWHERE, "conformance.metal.softmax"},
                  {LINE(types_abort), AMPS_METAL_ELSEWHERE, "conformance.metal.matmul"},
                  {LINE(shapes_abort), AMPS_METAL_ELSEWHERE, "the stand-in refuses by ending the process"},
                  {LINE(blit_4_gib), AMPS_METAL_ELSEWHERE, "apple.native"},
                  {LINE(blit_multiple_of_4), AMPS_METAL_ELSEWHERE, "apple.native"},
                  {LINE(bytes_4096), AMPS_METAL_ELSEWHERE, "static assertions in src/backend/metal/ops"},
                  {LINE(virtual_machine), AMPS_METAL_ELSEWHERE, "apple.absent"},
                  {LINE(no_copy_refused), AMPS_METAL_ELSEWHERE, "apple.native"},
                  {LINE(top_k_16), AMPS_METAL_ELSEWHERE, "no such operator"},
                  {LINE(complex_2048), AMPS_METAL_ELSEWHERE, "no such type"}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        tested[others[i].line] = true;
        EXPECT(amps_metal_errata[others[i].line].action == others[i].action);
    }
}

int main(void)
{
    test_product_31_bits();
    test_operand_31_bits();
    test_interior_32767();
    test_dimension_32768();
    test_stride_32768();
    test_batch_65536();
    test_empty_interior();
    test_huge();
    test_others();
    for (size_t i = 0; i < AMPS_METAL_ERRATUM_COUNT; i++) {
        if (!tested[i]) {
            printf("no test for the line %s\n", amps_metal_errata[i].name);
            failures++;
        }
    }
    printf("%d lines, %d failures\n", AMPS_METAL_ERRATUM_COUNT, failures);
    return failures == 0 ? 0 : 1;
}
