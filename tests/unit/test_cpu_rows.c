/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cpu_rows.c: the row microkernels of every instruction set of this machine against double: the
 * exponential and the neurons over f32 (every 997th value; all 2^32 of those that ANYMPS_EXHAUSTIVE names, or of `all`,
 * the target `exhaustive`; ANYMPS_EXHAUSTIVE_PART=2/4 takes the second quarter of them), the 16-bit conversions over all
 * values, norms of awkward rows, and that no element depends on where in the row it lies.
 */
#include "backend/cpu/cpu.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCK = 1024, MOST_TABLES = 4 };

/* The tables that this machine can run, the reference last. */
static size_t tables(const amps_row_ukr *found[MOST_TABLES])
{
    size_t count = 0;
    for (int isa = (int)amps_cpu_isa_best(); isa >= 0; isa--) {
        const amps_row_ukr *const ukr = amps_cpu_choose_rows((amps_cpu_isa)isa);
        if (count == 0 || found[count - 1] != ukr) {
            found[count++] = ukr;
        }
    }
    return count;
}

static float of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static amps_row f32_row(const float *x, float *y, size_t n)
{
    static float room[BLOCK]; /* for softmax, whose rows are short here */
    return (amps_row){.x = x, .y = y, .n = n, .type = AMPS_ROW_F32, .room = room};
}

/* The bits of the values that a function is tried on: first, first + stride, … below end. */
typedef struct span {
    uint64_t first, end;
    uint32_t stride;
} span;

static span span_of(const char *name)
{
    const uint64_t all = UINT64_C(0x100000000);
    const char *const chosen = getenv("ANYMPS_EXHAUSTIVE");
    const char *const text = getenv("ANYMPS_EXHAUSTIVE_PART");
    if (chosen == NULL || (strcmp(chosen, name) != 0 && strcmp(chosen, "all") != 0)) {
        return (span){0, all, 997};
    }
    unsigned part = 1;
    unsigned parts = 1;
    if (text != NULL) {
        assert_int_equal(sscanf(text, "%u/%u", &part, &parts), 2);
        assert_in_range(part, 1, parts);
    }
    return (span){all / parts * (part - 1), part == parts ? all : all / parts * part, 1};
}

/* |value - exact| in units in the last place of f32 at `scale`; 0 for equal infinities and two NaN. */
static double units(float value, double exact, double scale)
{
    if (isnan(exact) || isnan(value)) {
        return isnan(exact) && isnan(value) ? 0 : 1e9;
    }
    const float rounded = (float)exact;
    if (isinf(rounded) || isinf(value)) {
        return rounded == value || fabs(exact) > 0x1.fffffp127 ? 0 : 1e9;
    }
    int exponent;
    (void)frexp(scale, &exponent);
    return fabs((double)value - exact) / ldexp(1, exponent - 24 < -149 ? -149 : exponent - 24);
}

typedef double (*oracle)(double x);
typedef void (*kernel)(const amps_row_ukr *ukr, const float *x, float *y, size_t n);

/* The next values of the span, which then begins behind them; how many. */
static size_t next_values(float x[BLOCK], span *left)
{
    size_t n = 0;
    for (; n < BLOCK && left->first < left->end; n++, left->first += left->stride) {
        x[n] = of_bits((uint32_t)left->first);
    }
    return n;
}

/* The largest errors of `run` over the span, one for each table, on the scale max(|exact|, `share` * |x|); at[i] is
   where it lies. The oracle, which takes longest, is asked once for all tables. */
static void worst(const amps_row_ukr *const *found, size_t count, span left, kernel run, oracle exact, double share,
                  double *largest, float *at)
{
    float x[BLOCK];
    float y[BLOCK];
    double value[BLOCK];
    memset(largest, 0, count * sizeof *largest);
    memset(at, 0, count * sizeof *at);
    for (size_t n = next_values(x, &left); n > 0; n = next_values(x, &left)) {
        for (size_t i = 0; i < n; i++) {
            value[i] = exact((double)x[i]);
        }
        for (size_t t = 0; t < count; t++) {
            run(found[t], x, y, n);
            for (size_t i = 0; i < n; i++) {
                const double scale = fmax(fabs(value[i]), share * fabs((double)x[i]));
                const double error = units(y[i], value[i], isfinite(scale) ? scale : 1);
                if (error > largest[t]) {
                    largest[t] = error;
                    at[t] = x[i];
                }
            }
        }
    }
}

static void run_exp(const amps_row_ukr *ukr, const float *x, float *y, size_t n)
{
    ukr->exponential(x, y, n);
}

/* docs/numerics.md states 1.1 units with FMA, 1.6 without. */
static void exponential_over_f32(void **state)
{
    (void)state;
    const amps_row_ukr *found[MOST_TABLES] = {NULL};
    const size_t count = tables(found);
    double error[MOST_TABLES];
    float at[MOST_TABLES] = {0};
    worst(found, count, span_of("exp"), run_exp, exp, 0, error, at);
    for (size_t i = 0; i < count; i++) {
        print_message("exp %s: %.3f units in the last place at %a\n", found[i]->name, error[i], (double)at[i]);
        assert_true(error[i] <= (strcmp(found[i]->name, "baseline") == 0 ? 1.6 : 1.1));
    }
}

static amps_ukr_neuron current;

static void run_neuron(const amps_row_ukr *ukr, const float *x, float *y, size_t n)
{
    const amps_neuron_params params = {.type = current, .a = 1, .b = 1, .alpha = 1};
    ukr->neuron(&params, x, NULL, NULL, y, n);
}

static double sigmoid(double x)
{
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
}
static double silu(double x)
{
    return x / (1 + exp(-x));
}
static double gelu(double x)
{
    return x * erfc(-x * 0.70710678118654752440) / 2;
}
static double gelu_tanh(double x)
{
    return x * sigmoid(2 * 0.7978845608028653559 * (x + 0.044715 * x * x * x));
}
static double elu(double x)
{
    return x >= 0 ? x : expm1(x);
}
static double soft_plus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}
static double soft_sign(double x)
{
    return x / (1 + fabs(x));
}

/* kernels.h promises 4 units on the argument's scale; `share` 0 is on the result's own scale. */
static void neurons_over_f32(void **state)
{
    (void)state;
    static const struct {
        amps_ukr_neuron neuron;
        const char *name;
        oracle exact;
        double share, bound;
    } neurons[] = {
        {AMPS_UKR_SIGMOID, "sigmoid", sigmoid, 0, 4},
        {AMPS_UKR_TANH, "tanh", tanh, 0, 4},
        {AMPS_UKR_SILU, "silu", silu, 0x1p-120, 4},
        {AMPS_UKR_ELU, "elu", elu, 0, 4},
        {AMPS_UKR_SOFT_PLUS, "soft_plus", soft_plus, 0, 4},
        {AMPS_UKR_SOFT_SIGN, "soft_sign", soft_sign, 0, 4},
        {AMPS_UKR_GELU, "gelu", gelu, 1, 4},
        {AMPS_UKR_GELU_TANH, "gelu_tanh", gelu_tanh, 1, 4},
    };
    const amps_row_ukr *found[MOST_TABLES];
    const size_t count = tables(found);
    for (size_t f = 0; f < sizeof neurons / sizeof neurons[0]; f++) {
        double error[MOST_TABLES];
        float at[MOST_TABLES] = {0};
        current = neurons[f].neuron;
        worst(found, count, span_of(neurons[f].name), run_neuron, neurons[f].exact, neurons[f].share, error, at);
        for (size_t i = 0; i < count; i++) {
            print_message("%s %s: %.3f units at %a\n", neurons[f].name, found[i]->name, error[i], (double)at[i]);
            assert_true(error[i] <= neurons[f].bound);
        }
    }
}

/* All f16 and bf16 values both ways, and f32 values around every rounding boundary, as the reference has it. */
static void conversions_agree(void **state)
{
    (void)state;
    const amps_row_ukr *found[MOST_TABLES];
    const size_t count = tables(found);
    static uint16_t halves[65536];
    static float wide[2][65536];
    static uint16_t back[2][65536];
    for (uint32_t i = 0; i < 65536; i++) {
        halves[i] = (uint16_t)i;
    }
    for (size_t i = 0; i < count; i++) {
        found[i]->f16_to_f32(halves, wide[0], 65536);
        amps_row_ukr_reference.f16_to_f32(halves, wide[1], 65536);
        assert_memory_equal(wide[0], wide[1], sizeof wide[0]);
        found[i]->bf16_to_f32(halves, wide[0], 65536);
        amps_row_ukr_reference.bf16_to_f32(halves, wide[1], 65536);
        assert_memory_equal(wide[0], wide[1], sizeof wide[0]);
        for (uint32_t low = 0; low < 3; low++) { /* below, at and above the middle of two bf16 and f16 */
            for (uint32_t j = 0; j < 65536; j++) {
                wide[0][j] = of_bits(j << 16 | (low == 0 ? 0x7fffu : low == 1 ? 0x8000u : 0x1001u));
            }
            found[i]->f32_to_bf16(wide[0], back[0], 65536);
            amps_row_ukr_reference.f32_to_bf16(wide[0], back[1], 65536);
            assert_memory_equal(back[0], back[1], sizeof back[0]);
            found[i]->f32_to_f16(wide[0], back[0], 65536);
            amps_row_ukr_reference.f32_to_f16(wide[0], back[1], 65536);
            for (uint32_t j = 0; j < 65536; j++) {
                const bool both_nan = (back[0][j] & 0x7fffu) > 0x7c00u && (back[1][j] & 0x7fffu) > 0x7c00u;
                assert_true(back[0][j] == back[1][j] || both_nan);
            }
        }
    }
}

/* A value gives the same bits at every place of a row of every length, and nothing is written past the end. */
static void place_does_not_matter(void **state)
{
    (void)state;
    const amps_row_ukr *found[MOST_TABLES];
    const size_t count = tables(found);
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 1; n <= 70; n++) {
            float x[72];
            float y[72];
            for (size_t j = 0; j < 72; j++) {
                x[j] = 0.37f;
                y[j] = -7.0f;
            }
            current = AMPS_UKR_GELU;
            run_neuron(found[i], x, y, n);
            for (size_t j = 1; j < n; j++) {
                assert_true(y[j] == y[0]);
            }
            assert_true(y[n] == -7.0f);
            const amps_row first = f32_row(x, y, n);
            const amps_row second = f32_row(y, y, n);
            found[i]->softmax(&first, 1.0);
            found[i]->rms_norm(&second, NULL, NULL, 0);
            for (size_t j = 1; j < n; j++) {
                assert_true(y[j] == y[0]);
            }
            assert_true(y[n] == -7.0f);
        }
    }
}

enum { LONGEST = 300, ROW_KINDS = 6 };

static void run_kind(const amps_row_ukr *ukr, const amps_row *row, size_t kind, const float *vector)
{
    const amps_neuron_params silu_of = {.type = AMPS_UKR_SILU, .alpha = 1};
    switch (kind) {
    case 0: ukr->softmax(row, 0.5); break;
    case 1: ukr->log_softmax(row, 1.0); break;
    case 2: ukr->rms_norm(row, vector, NULL, 1e-5); break;
    case 3: ukr->layer_norm(row, vector, vector, 1e-5); break;
    case 4: ukr->neuron_row(&silu_of, row, vector, NULL); break;
    default: ukr->add(row, row->x); break;
    }
    ukr->fence();
}

/* The bytes that `kind` makes of n elements that lie `offset` bytes from a whole address. */
static void run_placed(const amps_row_ukr *ukr, size_t kind, amps_row_type type, size_t n, size_t offset, bool stream,
                       unsigned char *result)
{
    static _Alignas(64) unsigned char source[LONGEST * 4 + 128];
    static _Alignas(64) unsigned char target[LONGEST * 4 + 128];
    float vector[LONGEST];
    float room[LONGEST];
    const size_t size = type == AMPS_ROW_F32 ? 4 : 2;
    for (size_t j = 0; j < LONGEST; j++) {
        const float x = (float)((int)(j * 37 % 101) - 50) / 8.0f;
        vector[j] = 0.5f + (float)(j % 7);
        if (type == AMPS_ROW_F32) {
            memcpy(source + offset + j * 4, &x, 4);
        } else {
            (type == AMPS_ROW_F16 ? ukr->f32_to_f16 : ukr->f32_to_bf16)(&x, source + offset + j * 2, 1);
        }
    }
    memset(target, 0x55, sizeof target);
    const amps_row row = {.x = source + offset,
                          .y = target + offset,
                          .n = n,
                          .type = type,
                          .stream = stream,
                          .room = room,
                          .next = stream ? source : NULL};
    run_kind(ukr, &row, kind, vector);
    memcpy(result, target + offset, n * size);
    for (size_t i = 0; i < sizeof target; i++) {
        assert_true((i >= offset && i < offset + n * size) || target[i] == 0x55);
    }
}

/* Storing past the caches, fetching ahead and the address of a row change no bit, and no byte beyond the row. */
static void ways_agree(void **state)
{
    (void)state;
    const amps_row_ukr *found[MOST_TABLES];
    const size_t count = tables(found);
    const size_t lengths[] = {1, 15, 16, 17, 63, 64, 129, LONGEST};
    static unsigned char plain[LONGEST * 4];
    static unsigned char other[LONGEST * 4];
    for (size_t i = 0; i < count * ROW_KINDS * 3 * 8; i++) {
        const amps_row_ukr *const ukr = found[i % count];
        const amps_row_type type = (amps_row_type)(i / count % 3);
        const size_t kind = i / count / 3 % ROW_KINDS;
        const size_t n = lengths[i / count / 3 / ROW_KINDS];
        const size_t size = type == AMPS_ROW_F32 ? 4 : 2;
        run_placed(ukr, kind, type, n, 0, false, plain);
        for (size_t offset = 0; offset < 64; offset += size) {
            run_placed(ukr, kind, type, n, offset, true, other);
            assert_memory_equal(plain, other, n * size);
        }
        run_placed(ukr, kind, type, n, 1, false, other);
        assert_memory_equal(plain, other, n * size);
    }
}

/* Rows whose squares overflow or vanish in f32 while the result is an ordinary number. */
static void squares_beyond_f32(void **state)
{
    (void)state;
    const amps_row_ukr *found[MOST_TABLES];
    const size_t count = tables(found);
    const float sizes[] = {1e-42f, 1e-30f, 1e25f, 3e38f};
    for (size_t i = 0; i < count; i++) {
        for (size_t s = 0; s < 4; s++) {
            float x[40];
            float y[40];
            for (size_t j = 0; j < 40; j++) {
                x[j] = j % 2 == 0 ? sizes[s] : -sizes[s];
            }
            const amps_row row = f32_row(x, y, 40);
            found[i]->rms_norm(&row, NULL, NULL, 0);
            for (size_t j = 0; j < 40; j++) {
                assert_true(fabs(fabs((double)y[j]) - 1) < 1e-6);
            }
            found[i]->layer_norm(&row, NULL, NULL, 0);
            for (size_t j = 0; j < 40; j++) {
                assert_true(fabs(fabs((double)y[j]) - 1) < 1e-6);
            }
        }
    }
}

enum { FAR_LONGEST = 1 << 16 };

/* |y - exact| of layer_norm within the bound of kernels.h, for long rows an eighth of it, which many partial sums leave room
   for; the row is given by a function of the column. */
static void check_layer_norm(const amps_row_ukr *ukr, float (*value)(size_t j), size_t n)
{
    static float x[FAR_LONGEST];
    static float y[FAR_LONGEST];
    double mean = 0;
    double largest = 0;
    double squares = 0;
    for (size_t j = 0; j < n; j++) {
        x[j] = value(j);
        mean += (double)x[j] / (double)n;
        largest = fmax(largest, fabs((double)x[j]));
    }
    for (size_t j = 0; j < n; j++) {
        squares += ((double)x[j] - mean) * ((double)x[j] - mean);
    }
    const double sigma = sqrt(squares / (double)n);
    const amps_row row = f32_row(x, y, n);
    ukr->layer_norm(&row, NULL, NULL, 0);
    for (size_t j = 0; j < n; j++) {
        const double exact = ((double)x[j] - mean) / sigma;
        const double bound = ((double)n / (n > LONGEST ? 16 : 2) + 8) * 0x1p-24 * (fabs(exact) + largest / sigma);
        assert_true(fabs((double)y[j] - exact) <= bound);
    }
}

static float noise(size_t j)
{
    return (float)((int)(j * 7919 % 257) - 128) / 128.0f;
}
static float first_far(size_t j) /* the first elements say nothing about the mean */
{
    return j < 16 ? 3000.0f + noise(j) : noise(j);
}
static float one_far(size_t j)
{
    return j == 0 ? -1e6f : noise(j);
}
static float narrow_far(size_t j) /* a mean of 4096 deviations */
{
    return 1000.0f + noise(j) * 0.25f;
}
static float blocks(size_t j) /* 16 elements are nearly one value, 16 another */
{
    return j % 32 < 16 ? 1000.0f + noise(j) * 0x1p-10f : -1000.0f;
}

/* Rows whose first elements are far from the mean, and rows far from 0. */
static void means_far_away(void **state)
{
    (void)state;
    const amps_row_ukr *found[MOST_TABLES];
    const size_t count = tables(found);
    float (*const rows[])(size_t) = {noise, first_far, one_far, narrow_far, blocks};
    for (size_t i = 0; i < count; i++) {
        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
            for (size_t n = 17; n <= LONGEST; n += n < 80 ? 1 : 55) {
                check_layer_norm(found[i], rows[r], n);
            }
            check_layer_norm(found[i], rows[r], FAR_LONGEST);
        }
    }
}

/* Scales other than 1, huge logits, -inf and NaN, against the reference in double. */
static void softmax_edges(void **state)
{
    (void)state;
    const float infinity = INFINITY;
    const float rows[][5] = {{1e9f, 1e9f - 64, 0, -1e9f, 3},
                             {-infinity, 1, 2, -infinity, 3},
                             {-infinity, -infinity, -infinity, -infinity, -infinity},
                             {1, infinity, 2, 3, 4},
                             {1, 2, NAN, 3, 4},
                             {3e38f, -3e38f, 3e38f, 0, 1},
                             {0, 0, 0, 0, 0}};
    const double scales[] = {1, 0.1, -0.3, 0x1p-60, 1.0 / 3};
    const amps_row_ukr *found[MOST_TABLES];
    const size_t count = tables(found);
    for (size_t i = 0; i < count; i++) {
        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
            for (size_t s = 0; s < sizeof scales / sizeof scales[0]; s++) {
                float y[2][5];
                const amps_row own = f32_row(rows[r], y[0], 5);
                const amps_row reference = f32_row(rows[r], y[1], 5);
                found[i]->softmax(&own, scales[s]);
                amps_row_ukr_reference.softmax(&reference, scales[s]);
                for (size_t j = 0; j < 5; j++) {
                    const double exact = (double)y[1][j];
                    assert_true(units(y[0][j], exact, exact) <= 8);
                }
                found[i]->log_softmax(&own, scales[s]);
                amps_row_ukr_reference.log_softmax(&reference, scales[s]);
                for (size_t j = 0; j < 5; j++) {
                    const double exact = (double)y[1][j];
                    assert_true(units(y[0][j], exact, isfinite(exact) ? fmax(1, fabs(exact)) : 1) <= 8);
                }
            }
        }
    }
}

enum { GROUP = 6, GROUP_LONGEST = 133, GROUP_PITCH = 192 };

static void put_value(const amps_row_ukr *ukr, amps_row_type type, unsigned char *to, size_t j, float x)
{
    if (type == AMPS_ROW_F32) {
        memcpy(to + j * 4, &x, 4);
    } else {
        (type == AMPS_ROW_F16 ? ukr->f32_to_f16 : ukr->f32_to_bf16)(&x, to + j * 2, 1);
    }
}

/* Rows near 0, far from it, with infinities, NaN and only -inf. */
static float group_value(size_t i, size_t j)
{
    const float x = (float)((int)((i * 31 + j) * 7919 % 257) - 128) / 16.0f;
    switch (i) {
    case 1: return x + 9000.0f;
    case 2: return j == 3 ? -INFINITY : x - 100.0f;
    case 3: return j == 5 ? NAN : x;
    case 4: return -INFINITY;
    default: return x;
    }
}

/* A group of rows by one call, beside and in place, has the bits of the same rows one by one. */
static void check_group(const amps_row_ukr *ukr, amps_row_type type, size_t n, double scale, size_t kind)
{
    static _Alignas(64) unsigned char source[GROUP * GROUP_PITCH * 4];
    static _Alignas(64) unsigned char alone[sizeof source];
    static _Alignas(64) unsigned char grouped[3][sizeof source];
    float room[GROUP_LONGEST];
    void (*const function)(const amps_row *, double) = kind == 0 ? ukr->softmax : ukr->log_softmax;
    const size_t row_bytes = GROUP_PITCH * (type == AMPS_ROW_F32 ? 4 : 2);
    memset(source, 0x55, sizeof source);
    for (size_t i = 0; i < GROUP * n; i++) {
        put_value(ukr, type, source + i / n * row_bytes, i % n, group_value(i / n, i % n));
    }
    memcpy(alone, source, sizeof source);
    memcpy(grouped[0], source, sizeof source);
    memcpy(grouped[1], source, sizeof source);
    memcpy(grouped[2], source, sizeof source);
    amps_row row = {.n = n, .type = type, .room = room};
    for (size_t i = 0; i < GROUP; i++) {
        row.x = source + i * row_bytes;
        row.y = alone + i * row_bytes;
        function(&row, scale);
    }
    row.more = GROUP - 1;
    row.x_row_bytes = row.y_row_bytes = row_bytes;
    for (size_t way = 0; way < 3; way++) { /* in place, beside, streamed */
        row.x = way == 0 ? grouped[0] : source;
        row.y = grouped[way];
        row.stream = way == 2;
        row.next = way == 2 ? source + row_bytes : NULL;
        function(&row, scale);
        ukr->fence();
        assert_memory_equal(alone, grouped[way], sizeof alone);
    }
}

static void groups_agree(void **state)
{
    (void)state;
    const amps_row_ukr *found[MOST_TABLES];
    const size_t count = tables(found);
    const double scales[] = {1, 0.125, -0.3};
    for (size_t i = 0; i < count * 3 * 3 * 2; i++) {
        for (size_t n = 1; n <= GROUP_LONGEST; n += n < 34 ? 1 : 33) {
            check_group(found[i % count], (amps_row_type)(i / count % 3), n, scales[i / count / 3 % 3], i / count / 9);
        }
    }
}

/* |y - exact| of softmax in units of the result and of log_softmax in units of max(1, |result|), over rows whose
   largest argument lies anywhere near 0 and beyond. */
static void softmax_is_exact(void **state)
{
    (void)state;
    const double tops[] = {0, 1e-3, 0.7, -5, 88, -300, 1000.1, -4095, 4097, 1e5};
    const double scales[] = {1, 0.125, 1.0 / 3, -0.7};
    const amps_row_ukr *found[MOST_TABLES];
    const size_t count = tables(found);
    for (size_t i = 0; i < count; i++) {
        double worst_of[2] = {0, 0};
        for (size_t r = 0; r < 40; r++) {
            const double scale = scales[r % 4];
            float x[LONGEST], y[2][LONGEST];
            for (size_t j = 0; j < LONGEST; j++) {
                const double below = j % 3 == 0 ? 0.01 * (double)j : (double)(j * j) / 1000.0;
                x[j] = (float)((tops[r / 4] - (j == 7 ? 0 : below + 1e-6 * (double)(j * 7919 % 1000))) / scale);
            }
            const amps_row own = f32_row(x, y[0], LONGEST), logarithm = f32_row(x, y[1], LONGEST);
            found[i]->softmax(&own, scale);
            found[i]->log_softmax(&logarithm, scale);
            double top = -(double)INFINITY, sum = 0;
            for (size_t j = 0; j < LONGEST; j++) {
                top = fmax(top, scale * (double)x[j]);
            }
            for (size_t j = 0; j < LONGEST; j++) {
                sum += exp(scale * (double)x[j] - top);
            }
            for (size_t j = 0; j < LONGEST; j++) {
                const double t = scale * (double)x[j] - top;
                const double exact = exp(t) / sum;
                worst_of[0] = fmax(worst_of[0], units(y[0][j], exact, exact));
                worst_of[1] = fmax(worst_of[1], units(y[1][j], t - log(sum), fmax(1, fabs(t - log(sum)))));
                assert_true(y[1][j] <= 0.0f);
            }
        }
        print_message("softmax %s: %.3f units, log_softmax %.3f\n", found[i]->name, worst_of[0], worst_of[1]);
        assert_true(worst_of[0] <= 5 && worst_of[1] <= 5);
    }
}

/* One element, and one that is all there is, give exactly 1 and 0, whatever the scale. */
static void one_takes_all(void **state)
{
    (void)state;
    const amps_row_ukr *found[MOST_TABLES];
    const size_t count = tables(found);
    const double scales[] = {1, 0.625, 0.1, 1.0 / 3, -0.7, 0.08838834764831845};
    uint32_t seed = 1;
    for (size_t i = 0; i < count * 600; i++) {
        const double scale = scales[i / count % 6];
        seed = seed * 1664525u + 1013904223u;
        const double argument = (double)(seed >> 8) * 0x1p-24 * 9000 - 4500; /* near rows and far ones */
        for (size_t n = 1; n <= 40; n += 13) {
            float x[40], y[40];
            for (size_t j = 0; j < n; j++) {
                x[j] = (float)((argument - (j == n / 2 ? 0 : 200)) / scale);
            }
            const amps_row row = f32_row(x, y, n);
            found[i % count]->softmax(&row, scale);
            assert_true(y[n / 2] == 1.0f);
            found[i % count]->log_softmax(&row, scale);
            assert_true(y[n / 2] == 0.0f);
        }
    }
}

enum { BYTE_LINES = 11, BYTES_LONGEST = 100, BYTES_PITCH = 107 };

/* Products of i8 are the reference's, with -128 among the elements, and sums of columns past the last stay in their room. */
static void products_of_bytes(void **state)
{
    (void)state;
    const amps_row_ukr *found[MOST_TABLES];
    const size_t count = tables(found);
    static unsigned char b[BYTES_LONGEST * BYTES_PITCH];
    int8_t a[BYTES_LONGEST];
    for (size_t i = 0; i < sizeof b; i++) {
        b[i] = i % 5 == 0 ? 0x80 : (unsigned char)(i * 2654435761u >> 13);
    }
    for (size_t k = 0; k < BYTES_LONGEST; k++) {
        a[k] = (int8_t)(k % 4 == 0 ? -128 : (int)(k * 37 % 255) - 127);
    }
    for (size_t n = 1; n <= BYTES_LONGEST * count; n++) {
        const amps_row_ukr *const ukr = found[n % count];
        for (size_t k = 1; k <= BYTES_LONGEST; k += k < 35 ? 1 : 13) {
            int32_t own[2][BYTES_LONGEST + 32], reference[2][BYTES_LONGEST + 32];
            amps_dot8 dot = {a, b, BYTES_PITCH, own[0], (n - 1) / count % BYTE_LINES + 1, k};
            amps_row8 row = {a, b, BYTES_PITCH, own[1], (n - 1) / count + 1, k};
            ukr->dot8(&dot);
            ukr->row8(&row);
            dot.c = reference[0];
            row.c = reference[1];
            amps_row_ukr_reference.dot8(&dot);
            amps_row_ukr_reference.row8(&row);
            assert_memory_equal(own[0], reference[0], dot.lines * sizeof **own);
            assert_memory_equal(own[1], reference[1], row.columns * sizeof **own);
        }
    }
}

enum { FEW = 3, FEW_COLUMNS = 53, FEW_INTERIOR = 29 };

/* Products of one row and of several with a 16-bit matrix that lies across, against the reference. */
static void rows_times_halves(void **state)
{
    (void)state;
    const amps_row_ukr *found[MOST_TABLES];
    const size_t count = tables(found);
    const amps_row_type types[] = {AMPS_ROW_F16, AMPS_ROW_BF16, AMPS_ROW_I16};
    static uint16_t b[FEW_INTERIOR * FEW_COLUMNS];
    float a[FEW * FEW_INTERIOR];
    for (size_t i = 0; i < sizeof b / sizeof b[0]; i++) {
        b[i] = (uint16_t)(0x3800u + (i * 2654435761u >> 9) % 900u);
    }
    for (size_t i = 0; i < FEW * FEW_INTERIOR; i++) {
        a[i] = (float)((int)(i * 37 % 101) - 50) / 8.0f;
    }
    for (size_t i = 0; i < count * 3 * FEW_COLUMNS * FEW; i++) {
        const amps_row_ukr *const ukr = found[i % count];
        float c[2][FEW * 64] = {{0}, {0}};
        amps_row16 row = {.a = a,
                          .a_row = FEW_INTERIOR,
                          .b = (const unsigned char *)b,
                          .b_line_bytes = 2 * FEW_COLUMNS,
                          .type = types[i / count % 3],
                          .c = c[0],
                          .c_row = 64,
                          .rows = i / count / 3 % FEW + 1,
                          .columns = i / count / 3 / FEW + 1,
                          .interior = FEW_INTERIOR - i % 7};
        ukr->row16(&row);
        row.c = c[1];
        amps_row_ukr_reference.row16(&row);
        const double bound = 2 * FEW_INTERIOR * 0x1p-24 * 6.25 * 16384 * FEW_INTERIOR;
        for (size_t j = 0; j < FEW * 64; j++) {
            const double error = fabs((double)c[0][j] - (double)c[1][j]);
            assert_true(error <= (row.type == AMPS_ROW_I16 ? bound : bound / 16384 * 2));
            assert_true((j % 64 < row.columns && j / 64 < row.rows) || c[0][j] == 0.0f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exponential_over_f32), cmocka_unit_test(neurons_over_f32),
        cmocka_unit_test(conversions_agree),    cmocka_unit_test(place_does_not_matter),
        cmocka_unit_test(ways_agree),           cmocka_unit_test(squares_beyond_f32),
        cmocka_unit_test(means_far_away),       cmocka_unit_test(softmax_edges),
        cmocka_unit_test(groups_agree),         cmocka_unit_test(softmax_is_exact),
        cmocka_unit_test(one_takes_all),        cmocka_unit_test(products_of_bytes),
        cmocka_unit_test(rows_times_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
