/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errata.c: the predicates behind errata.def and the choice of pieces. Called by ops/ and metal_gemm.c; calls
 * nothing. Must not send a message nor know a device: it is given facts.
 *
 * Pieces lie well below a bound (half of it, and a multiple of 64): the bounds are observations, not
 * documentation.
 */
#include "errata.h"

#include "base/checked.h"

#define ALWAYS    1000000
#define ANY       1000000
#define SPLIT     AMPS_METAL_SPLIT
#define OWN       AMPS_METAL_OWN
#define PROBE     AMPS_METAL_PROBE
#define ELSEWHERE AMPS_METAL_ELSEWHERE
const amps_metal_erratum_info amps_metal_errata[AMPS_METAL_ERRATUM_COUNT] = {
#define AMPS_ERRATUM(name, from, fixed, first, last, action, text, source)                                             \
    {#name, from, fixed, first, last, action, text, source},
#include "errata.def"
#undef AMPS_ERRATUM
};

bool amps_metal_erratum_holds(const amps_metal_facts *facts, amps_metal_erratum erratum)
{
    const amps_metal_erratum_info *const info = &amps_metal_errata[erratum];
    return facts->os >= info->from_os && facts->os < info->fixed_os && facts->apple_family >= info->first_family &&
           facts->apple_family <= info->last_family;
}

/* Saturating, since a bound is all that is asked. */
static size_t times(size_t a, size_t b)
{
    size_t product;
    return amps_mul(a, b, &product) ? product : SIZE_MAX;
}

static size_t plus(size_t a, size_t b)
{
    size_t sum;
    return amps_add(a, b, &sum) ? sum : SIZE_MAX;
}

static bool hits_product_31_bits(const amps_metal_product *p)
{
    const size_t lines = plus(p->rows, times(2, p->interior));
    return times(times(lines, p->columns), p->element_bytes) >= (size_t)1 << 31;
}

static bool hits_operand_31_bits(const amps_metal_product *p)
{
    const size_t most =
        amps_max(amps_max(times(p->rows, p->interior), times(p->interior, p->columns)), times(p->rows, p->columns));
    return most >= (size_t)1 << 31;
}

static bool hits_interior_32767(const amps_metal_product *p)
{
    return p->interior >= 32767 && p->rows >= 16 && p->columns >= 16;
}

static bool hits_dimension_32768(const amps_metal_product *p)
{
    return p->rows > 32768 || p->columns > 32768 || p->interior > 32768;
}

static bool hits_empty_interior(const amps_metal_product *p)
{
    return p->interior == 0;
}

/* At most `most`, a multiple of 64 where it cuts. */
static void cap(size_t *limit, size_t size, size_t most)
{
    if (size > most) {
        *limit = amps_min(*limit, most < 64 ? most : most - most % 64);
    }
}

/* Halves the longest side until the piece is below half the bounds of the two 31-bit lines. */
static void shrink(const amps_metal_product *product, amps_metal_limits *limits)
{
    amps_metal_product piece = *product;
    for (;;) {
        piece.rows = amps_min(piece.rows, limits->rows);
        piece.columns = amps_min(piece.columns, limits->columns);
        piece.interior = amps_min(piece.interior, limits->interior);
        amps_metal_product twice = piece; /* below half of the bound: twice the columns are below the bound */
        twice.columns = times(2, piece.columns);
        if (!hits_product_31_bits(&twice) && !hits_operand_31_bits(&twice)) {
            return;
        }
        const size_t longest = amps_max(piece.rows, piece.columns);
        if (longest <= 64 || (product->result_accumulates && piece.interior > times(4, longest))) {
            cap(&limits->interior, piece.interior, piece.interior / 2);
        } else if (piece.columns == longest) {
            cap(&limits->columns, piece.columns, piece.columns / 2);
        } else {
            cap(&limits->rows, piece.rows, piece.rows / 2);
        }
    }
}

static void note(amps_metal_erratum *hit, amps_metal_erratum erratum)
{
    if (*hit == AMPS_METAL_ERRATUM_COUNT) {
        *hit = erratum;
    }
}

bool amps_metal_errata_product(const amps_metal_facts *facts, const amps_metal_product *product,
                               amps_metal_limits *limits, amps_metal_erratum *hit)
{
    *limits = AMPS_METAL_NO_LIMITS;
    *hit = AMPS_METAL_ERRATUM_COUNT;
#define MEETS(name) (amps_metal_erratum_holds(facts, AMPS_METAL_ERRATUM_##name) && hits_##name(product))
    if (MEETS(empty_interior)) {
        *hit = AMPS_METAL_ERRATUM_empty_interior;
        return false;
    }
    if (MEETS(interior_32767)) {
        note(hit, AMPS_METAL_ERRATUM_interior_32767);
        cap(&limits->interior, product->interior, 16384);
    }
    if (MEETS(dimension_32768)) {
        note(hit, AMPS_METAL_ERRATUM_dimension_32768);
        cap(&limits->rows, product->rows, 32768);
        cap(&limits->columns, product->columns, 32768);
        cap(&limits->interior, product->interior, 32768);
    }
    if (MEETS(product_31_bits)) {
        note(hit, AMPS_METAL_ERRATUM_product_31_bits);
        shrink(product, limits);
    }
    if (MEETS(operand_31_bits)) {
        note(hit, AMPS_METAL_ERRATUM_operand_31_bits);
        shrink(product, limits);
    }
#undef MEETS
    if (amps_metal_erratum_holds(facts, AMPS_METAL_ERRATUM_batch_65536)) {
        limits->batch = 65535;
    }
    /* Adding pieces of the interior in a narrow result would round once a piece. */
    return limits->interior >= product->interior || product->result_accumulates;
}

bool amps_metal_errata_stride(const amps_metal_facts *facts, size_t row_elements)
{
    return row_elements <= 32768 || !amps_metal_erratum_holds(facts, AMPS_METAL_ERRATUM_stride_32768);
}
