/* SPDX-License-Identifier: Apache-2.0 */
/*
 * property.c: laws that hold whatever the numbers are, on random shapes; a failing shape is made smaller
 * as long as it fails, and printed with the line that repeats it.
 *
 *     property [--device cpu] [--isa avx2] [--law NAME --shape ROWSxCOLUMNSxINTERIOR --seed N] [--runs N]
 *
 * Laws that are equalities of arithmetic hold within twice the bound of matmul (each side may be off once);
 * those that only move or name the same numbers hold bit for bit.
 */
#include "machine.h"
#include "seeded.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 200, MOST = 70, BATCH = 3, DIMENSIONS = 3 };

typedef struct shape {
    size_t size[DIMENSIONS]; /* rows, columns, interior */
    uint64_t seed;
} shape;

typedef struct law {
    const char *name;
    bool (*holds)(anymps_device *device, const shape *s);
} law;

/* ---- Matrices of f32, tight unless said ---- */

static void must(anymps_status status)
{
    if (status != ANYMPS_OK) {
        printf("FAIL: %s\n", anymps_last_error()->message);
        exit(TEST_FAILED);
    }
}

static anymps_matrix *empty(anymps_device *device, size_t rows, size_t columns, size_t matrices)
{
    anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, ANYMPS_DTYPE_F32);
    anymps_matrix *made = NULL;
    desc.matrices = matrices;
    must(anymps_matrix_create_on(device, &desc, &made));
    return made;
}

static size_t cells_of(const anymps_matrix *matrix)
{
    const anymps_matrix_desc desc = anymps_matrix_get_desc(matrix);
    return desc.rows * desc.columns * desc.matrices;
}

static void put(anymps_matrix *matrix, const float *cells)
{
    must(anymps_buffer_write(anymps_matrix_buffer(matrix), 0, cells, cells_of(matrix) * sizeof(float)));
}

/* The cells of a matrix; freed by the caller. */
static float *get(const anymps_matrix *matrix)
{
    float *cells = malloc((cells_of(matrix) + 1) * sizeof *cells);
    if (cells == NULL) {
        exit(TEST_FAILED);
    }
    must(anymps_buffer_read(anymps_matrix_buffer(matrix), 0, cells, cells_of(matrix) * sizeof(float)));
    return cells;
}

static anymps_matrix *filled(anymps_device *device, size_t rows, size_t columns, size_t matrices, seeded *random)
{
    anymps_matrix *const made = empty(device, rows, columns, matrices);
    float *const cells = get(made);
    for (size_t i = 0; i < rows * columns * matrices; i++) {
        cells[i] = (float)seeded_between(random, -1.0, 1.0);
    }
    put(made, cells);
    free(cells);
    return made;
}

static anymps_matrix *transposed(anymps_device *device, const anymps_matrix *from)
{
    const anymps_matrix_desc desc = anymps_matrix_get_desc(from);
    anymps_matrix *const made = empty(device, desc.columns, desc.rows, 1);
    float *const cells = get(from);
    float *const turned = get(made);
    for (size_t i = 0; i < desc.rows; i++) {
        for (size_t j = 0; j < desc.columns; j++) {
            turned[j * desc.rows + i] = cells[i * desc.columns + j];
        }
    }
    put(made, turned);
    free(cells);
    free(turned);
    return made;
}

/* Compares two matrices and releases both. `slack` 0: bit for bit. */
static bool same(anymps_matrix *a, anymps_matrix *b, double slack)
{
    float *const x = get(a);
    float *const y = get(b);
    const size_t count = cells_of(a);
    bool equal = count == cells_of(b);
    if (slack == 0.0) {
        equal = equal && memcmp(x, y, count * sizeof *x) == 0;
    }
    for (size_t i = 0; slack != 0.0 && equal && i < count; i++) {
        equal = fabs((double)x[i] - (double)y[i]) <= slack;
    }
    free(x);
    free(y);
    anymps_matrix_release(a);
    anymps_matrix_release(b);
    return equal;
}

/* Both sides of an equality of sums of products of numbers below 1 in size. */
static double slack_of(size_t terms)
{
    return 2.0 * 2.0 * (double)(terms + 1) * 0x1p-24 * (double)(terms + 1);
}

static anymps_matmul_desc plain(void)
{
    const anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    return desc;
}

/* ---- The laws ---- */

static bool batch_equals_loop(anymps_device *device, const shape *s)
{
    seeded random = {s->seed};
    anymps_matrix *const left = filled(device, s->size[0], s->size[2], BATCH, &random);
    anymps_matrix *const right = filled(device, s->size[2], s->size[1], BATCH, &random);
    anymps_matrix *const whole = empty(device, s->size[0], s->size[1], BATCH);
    anymps_matrix *const parts = empty(device, s->size[0], s->size[1], BATCH);
    anymps_matmul_desc desc = plain();
    desc.rows = s->size[0];
    desc.columns = s->size[1];
    desc.interior = s->size[2];
    desc.left_dtype = desc.right_dtype = desc.result_dtype = ANYMPS_DTYPE_F32;
    anymps_kernel *kernel = NULL;
    anymps_queue *queue = NULL;
    anymps_command_buffer *commands = NULL;
    must(anymps_matmul_create(device, &desc, &kernel));
    must(anymps_queue_create(device, &queue));
    must(anymps_command_buffer_create(queue, &commands));
    must(anymps_matmul_encode(kernel, commands, left, right, whole, NULL));
    for (size_t b = 0; b < BATCH; b++) {
        anymps_range range = ANYMPS_RANGE_INIT;
        range.batch_start = b;
        range.batch_size = 1;
        must(anymps_matmul_encode(kernel, commands, left, right, parts, &range));
    }
    must(anymps_command_buffer_commit(commands));
    must(anymps_command_buffer_wait(commands));
    anymps_command_buffer_release(commands);
    anymps_queue_release(queue);
    anymps_kernel_release(kernel);
    anymps_matrix_release(left);
    anymps_matrix_release(right);
    return same(whole, parts, slack_of(s->size[2]));
}

/* A part of a larger matrix, by origin and as a matrix with the larger one's row_bytes. */
static bool origin_equals_view(anymps_device *device, const shape *s)
{
    seeded random = {s->seed};
    const anymps_origin origin = {2, 3};
    anymps_matrix *const large = filled(device, s->size[0] + 4, s->size[2] + 5, 1, &random);
    anymps_matrix *const right = filled(device, s->size[2], s->size[1], 1, &random);
    anymps_matrix *const by_origin = empty(device, s->size[0], s->size[1], 1);
    anymps_matrix *const by_view = empty(device, s->size[0], s->size[1], 1);
    const size_t row_bytes = anymps_matrix_get_desc(large).row_bytes;
    anymps_matrix_desc part = anymps_matrix_desc_make(s->size[0], s->size[2], ANYMPS_DTYPE_F32);
    anymps_matrix *view = NULL;
    part.row_bytes = row_bytes;
    must(anymps_matrix_create(anymps_matrix_buffer(large), origin.row * row_bytes + origin.column * sizeof(float),
                              &part, &view));
    anymps_matmul_desc desc = plain();
    desc.rows = s->size[0];
    desc.columns = s->size[1];
    desc.interior = s->size[2];
    desc.left_dtype = desc.right_dtype = desc.result_dtype = ANYMPS_DTYPE_F32;
    anymps_kernel *kernel = NULL;
    anymps_queue *queue = NULL;
    anymps_command_buffer *commands = NULL;
    anymps_range range = ANYMPS_RANGE_INIT;
    range.primary = origin;
    must(anymps_matmul_create(device, &desc, &kernel));
    must(anymps_queue_create(device, &queue));
    must(anymps_command_buffer_create(queue, &commands));
    must(anymps_matmul_encode(kernel, commands, large, right, by_origin, &range));
    must(anymps_matmul_encode(kernel, commands, view, right, by_view, NULL));
    must(anymps_command_buffer_commit(commands));
    must(anymps_command_buffer_wait(commands));
    anymps_command_buffer_release(commands);
    anymps_queue_release(queue);
    anymps_kernel_release(kernel);
    anymps_matrix_release(view);
    anymps_matrix_release(large);
    anymps_matrix_release(right);
    return same(by_origin, by_view, 0.0);
}

/* (A·B)ᵀ = Bᵀ·Aᵀ, the right side through both transpose flags. */
static bool transpose_of_product(anymps_device *device, const shape *s)
{
    seeded random = {s->seed};
    anymps_matrix *const left = filled(device, s->size[0], s->size[2], 1, &random);
    anymps_matrix *const right = filled(device, s->size[2], s->size[1], 1, &random);
    anymps_matrix *const product = empty(device, s->size[0], s->size[1], 1);
    anymps_matrix *const other = empty(device, s->size[1], s->size[0], 1);
    anymps_matmul_desc desc = plain();
    must(anymps_matmul(NULL, left, right, product));
    desc.transpose_left = desc.transpose_right = true;
    must(anymps_matmul(&desc, right, left, other));
    anymps_matrix *const turned = transposed(device, product);
    anymps_matrix_release(left);
    anymps_matrix_release(right);
    anymps_matrix_release(product);
    return same(turned, other, slack_of(s->size[2]));
}

/* A flag equals a stored transpose. */
static bool flag_equals_stored_transpose(anymps_device *device, const shape *s)
{
    seeded random = {s->seed};
    anymps_matrix *const left = filled(device, s->size[0], s->size[2], 1, &random);
    anymps_matrix *const right = filled(device, s->size[2], s->size[1], 1, &random);
    anymps_matrix *const turned = transposed(device, left);
    anymps_matrix *const plainly = empty(device, s->size[0], s->size[1], 1);
    anymps_matrix *const by_flag = empty(device, s->size[0], s->size[1], 1);
    anymps_matmul_desc desc = plain();
    must(anymps_matmul(NULL, left, right, plainly));
    desc.transpose_left = true;
    must(anymps_matmul(&desc, turned, right, by_flag));
    anymps_matrix_release(left);
    anymps_matrix_release(right);
    anymps_matrix_release(turned);
    return same(plainly, by_flag, slack_of(s->size[2]));
}

/* Powers of two scale without rounding, so alpha 4 gives exactly 4 times alpha 1. */
static bool alpha_scales(anymps_device *device, const shape *s)
{
    seeded random = {s->seed};
    anymps_matrix *const left = filled(device, s->size[0], s->size[2], 1, &random);
    anymps_matrix *const right = filled(device, s->size[2], s->size[1], 1, &random);
    anymps_matrix *const once = empty(device, s->size[0], s->size[1], 1);
    anymps_matrix *const four = empty(device, s->size[0], s->size[1], 1);
    anymps_matmul_desc desc = plain();
    must(anymps_matmul(&desc, left, right, once));
    desc.alpha = 4.0;
    must(anymps_matmul(&desc, left, right, four));
    float *const cells = get(once);
    for (size_t i = 0; i < cells_of(once); i++) {
        cells[i] *= 4.0f;
    }
    put(once, cells);
    free(cells);
    anymps_matrix_release(left);
    anymps_matrix_release(right);
    return same(once, four, 0.0);
}

/* With beta 0 an old NaN leaves no trace. */
static bool beta_zero_ignores_nan(anymps_device *device, const shape *s)
{
    seeded random = {s->seed};
    anymps_matrix *const left = filled(device, s->size[0], s->size[2], 1, &random);
    anymps_matrix *const right = filled(device, s->size[2], s->size[1], 1, &random);
    anymps_matrix *const clean = empty(device, s->size[0], s->size[1], 1);
    anymps_matrix *const dirty = empty(device, s->size[0], s->size[1], 1);
    if (cells_of(dirty) != 0) {
        must(anymps_buffer_fill(anymps_matrix_buffer(dirty), 0, cells_of(dirty) * sizeof(float), 0xff));
    }
    must(anymps_matmul(NULL, left, right, clean));
    must(anymps_matmul(NULL, left, right, dirty));
    anymps_matrix_release(left);
    anymps_matrix_release(right);
    return same(clean, dirty, 0.0);
}

/* Two halves of the interior, the second added with beta 1, give the whole. */
static bool interior_splits(anymps_device *device, const shape *s)
{
    seeded random = {s->seed};
    const size_t first = s->size[2] / 2;
    anymps_matrix *const left = filled(device, s->size[0], s->size[2], 1, &random);
    anymps_matrix *const right = filled(device, s->size[2], s->size[1], 1, &random);
    anymps_matrix *const whole = empty(device, s->size[0], s->size[1], 1);
    anymps_matrix *const parts = empty(device, s->size[0], s->size[1], 1);
    anymps_matrix *half_left = NULL, *half_right = NULL, *rest_left = NULL, *rest_right = NULL;
    anymps_matrix_desc desc = anymps_matrix_desc_make(s->size[0], first, ANYMPS_DTYPE_F32);
    desc.row_bytes = s->size[2] * sizeof(float);
    must(anymps_matrix_create(anymps_matrix_buffer(left), 0, &desc, &half_left));
    desc.columns = s->size[2] - first;
    must(anymps_matrix_create(anymps_matrix_buffer(left), first * sizeof(float), &desc, &rest_left));
    desc = anymps_matrix_desc_make(first, s->size[1], ANYMPS_DTYPE_F32);
    must(anymps_matrix_create(anymps_matrix_buffer(right), 0, &desc, &half_right));
    desc.rows = s->size[2] - first;
    must(anymps_matrix_create(anymps_matrix_buffer(right), first * s->size[1] * sizeof(float), &desc, &rest_right));
    anymps_matmul_desc add = plain();
    add.beta = 1.0;
    must(anymps_matmul(NULL, left, right, whole));
    must(anymps_matmul(NULL, half_left, half_right, parts));
    must(anymps_matmul(&add, rest_left, rest_right, parts));
    anymps_matrix *const all[] = {left, right, half_left, half_right, rest_left, rest_right};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        anymps_matrix_release(all[i]);
    }
    return same(whole, parts, slack_of(s->size[2]));
}

/* Every row of a softmax sums to 1: each share is right to (columns/2 + 8 + 4·|x|) units. */
static bool softmax_sums_to_one(anymps_device *device, const shape *s)
{
    seeded random = {s->seed};
    anymps_matrix *const source = filled(device, s->size[0], s->size[1], 1, &random);
    must(anymps_softmax(NULL, source, source));
    float *const cells = get(source);
    bool good = true;
    for (size_t i = 0; i < s->size[0] && s->size[1] > 0; i++) {
        double sum = 0.0;
        for (size_t j = 0; j < s->size[1]; j++) {
            sum += (double)cells[i * s->size[1] + j];
        }
        good = good && fabs(sum - 1.0) <= ((double)s->size[1] / 2.0 + 12.0) * 0x1p-24;
    }
    free(cells);
    anymps_matrix_release(source);
    return good;
}

/* Adding the same to a whole row changes nothing. Multiples of 2^-10, so that the sums are exact. */
static bool softmax_ignores_a_shift(anymps_device *device, const shape *s)
{
    seeded random = {s->seed};
    anymps_matrix *const source = filled(device, s->size[0], s->size[1], 1, &random);
    anymps_matrix *const moved = empty(device, s->size[0], s->size[1], 1);
    float *const cells = get(source);
    for (size_t i = 0; i < cells_of(source); i++) {
        cells[i] = (float)(floor((double)cells[i] * 1024.0) / 1024.0);
    }
    put(source, cells);
    for (size_t i = 0; i < cells_of(source); i++) {
        cells[i] += (float)(10 * (i / (s->size[1] + (s->size[1] == 0))) + 1);
    }
    put(moved, cells);
    free(cells);
    must(anymps_softmax(NULL, source, source));
    must(anymps_softmax(NULL, moved, moved));
    return same(source, moved, 2.0 * ((double)s->size[1] / 2.0 + 12.0) * 0x1p-24);
}

/* exp of log_softmax is softmax. */
static bool log_softmax_is_its_logarithm(anymps_device *device, const shape *s)
{
    seeded random = {s->seed};
    anymps_matrix *const source = filled(device, s->size[0], s->size[1], 1, &random);
    anymps_matrix *const logs = empty(device, s->size[0], s->size[1], 1);
    must(anymps_log_softmax(NULL, source, logs));
    must(anymps_softmax(NULL, source, source));
    float *const cells = get(logs);
    for (size_t i = 0; i < cells_of(logs); i++) {
        cells[i] = (float)exp((double)cells[i]);
    }
    put(logs, cells);
    free(cells);
    return same(source, logs, 2.0 * ((double)s->size[1] / 2.0 + 12.0) * 8.0 * 0x1p-24);
}

/* rms_norm without epsilon does not see the size of its source; doubling is exact. */
static bool rms_norm_ignores_scale(anymps_device *device, const shape *s)
{
    seeded random = {s->seed};
    anymps_norm_desc desc = ANYMPS_NORM_DESC_INIT;
    anymps_matrix *const source = filled(device, s->size[0], s->size[1], 1, &random);
    anymps_matrix *const doubled = empty(device, s->size[0], s->size[1], 1);
    float *const cells = get(source);
    for (size_t i = 0; i < cells_of(source); i++) {
        cells[i] *= 2.0f;
    }
    put(doubled, cells);
    free(cells);
    desc.epsilon = 0.0;
    must(anymps_rms_norm(&desc, source, NULL, NULL, NULL, source));
    must(anymps_rms_norm(&desc, doubled, NULL, NULL, NULL, doubled));
    /* A normalised value is at most sqrt(columns). */
    return same(source, doubled, 2.0 * ((double)s->size[1] / 2.0 + 8.0) * 0x1p-24 * sqrt((double)s->size[1] + 1.0));
}

/* lora is its two products; rank 4. */
static bool lora_is_its_products(anymps_device *device, const shape *s)
{
    enum { RANK = 4 };
    seeded random = {s->seed};
    anymps_matrix *const source = filled(device, s->size[0], s->size[2], 1, &random);
    anymps_matrix *const weights = filled(device, s->size[2], s->size[1], 1, &random);
    anymps_matrix *const down = filled(device, s->size[2], RANK, 1, &random);
    anymps_matrix *const up = filled(device, RANK, s->size[1], 1, &random);
    anymps_matrix *const middle = empty(device, s->size[0], RANK, 1);
    anymps_matrix *const at_once = empty(device, s->size[0], s->size[1], 1);
    anymps_matrix *const by_parts = empty(device, s->size[0], s->size[1], 1);
    anymps_matmul_desc add = plain();
    anymps_lora_desc desc = ANYMPS_LORA_DESC_INIT;
    add.beta = 1.0;
    add.alpha = desc.scale = 0.5;
    must(anymps_lora(&desc, source, weights, down, up, at_once));
    must(anymps_matmul(NULL, source, weights, by_parts));
    must(anymps_matmul(NULL, source, down, middle));
    must(anymps_matmul(&add, middle, up, by_parts));
    anymps_matrix *const all[] = {source, weights, down, up, middle};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        anymps_matrix_release(all[i]);
    }
    return same(at_once, by_parts, (1.0 + RANK) * slack_of(s->size[2] + RANK));
}

/* A layer without bias and activation is a matmul. */
static bool layer_is_a_matmul(anymps_device *device, const shape *s)
{
    seeded random = {s->seed};
    anymps_fully_connected_desc layer = ANYMPS_FULLY_CONNECTED_DESC_INIT;
    anymps_matrix *const source = filled(device, s->size[0], s->size[2], 1, &random);
    anymps_matrix *const weights = filled(device, s->size[2], s->size[1], 1, &random);
    anymps_matrix *const by_layer = empty(device, s->size[0], s->size[1], 1);
    anymps_matrix *const by_matmul = empty(device, s->size[0], s->size[1], 1);
    must(anymps_fully_connected(&layer, source, weights, NULL, NULL, by_layer));
    must(anymps_matmul(NULL, source, weights, by_matmul));
    anymps_matrix_release(source);
    anymps_matrix_release(weights);
    return same(by_layer, by_matmul, slack_of(s->size[2]));
}

static const law laws[] = {
    {"batch_equals_loop", batch_equals_loop},
    {"origin_equals_view", origin_equals_view},
    {"transpose_of_product", transpose_of_product},
    {"flag_equals_stored_transpose", flag_equals_stored_transpose},
    {"alpha_scales", alpha_scales},
    {"beta_zero_ignores_nan", beta_zero_ignores_nan},
    {"interior_splits", interior_splits},
    {"softmax_sums_to_one", softmax_sums_to_one},
    {"softmax_ignores_a_shift", softmax_ignores_a_shift},
    {"log_softmax_is_its_logarithm", log_softmax_is_its_logarithm},
    {"rms_norm_ignores_scale", rms_norm_ignores_scale},
    {"lora_is_its_products", lora_is_its_products},
    {"layer_is_a_matmul", layer_is_a_matmul},
};

/* ---- Running and shrinking ---- */

/* Halves, then decrements each dimension for as long as the law still fails. */
static void shrink(anymps_device *device, const law *l, shape *s)
{
    for (bool smaller = true; smaller;) {
        smaller = false;
        for (size_t d = 0; d < DIMENSIONS; d++) {
            for (size_t step = s->size[d] / 2; step > 0; step /= 2) {
                shape next = *s;
                next.size[d] -= step;
                if (!l->holds(device, &next)) {
                    *s = next;
                    smaller = true;
                }
            }
        }
    }
}

static bool run_law(const machine *on, const law *l, size_t runs)
{
    for (size_t run = 0; run < runs; run++) {
        seeded random = seeded_from_text(l->name);
        random.state += run * 0x632be59bd9b4e019u;
        shape s = {.seed = seeded_next(&random)};
        for (size_t d = 0; d < DIMENSIONS; d++) {
            s.size[d] = seeded_below(&random, run < runs / 2 ? 12 : MOST) + 1;
        }
        if (!l->holds(on->devices[0], &s)) {
            shrink(on->devices[0], l, &s);
            printf("FAIL %s: rows %zu, columns %zu, interior %zu\n  repeat: property %s --law %s --shape %zux%zux%zu "
                   "--seed %llu\n",
                   l->name, s.size[0], s.size[1], s.size[2], on->arguments, l->name, s.size[0], s.size[1], s.size[2],
                   (unsigned long long)s.seed);
            return false;
        }
    }
    return true;
}

int main(int count, char **words)
{
    machine on;
    const int opened = machine_open_from(&on, count, words);
    if (opened != TEST_PASSED) {
        return opened;
    }
    const char *only = argument(count, words, "law");
    const char *given = argument(count, words, "shape");
    const char *seed = argument(count, words, "seed");
    const char *runs = argument(count, words, "runs");
    size_t failures = 0;
    for (size_t i = 0; i < sizeof laws / sizeof laws[0]; i++) {
        shape s = {.seed = seed != NULL ? strtoull(seed, NULL, 10) : 1};
        if (only != NULL && strcmp(only, laws[i].name) != 0) {
            continue;
        }
        if (given != NULL && sscanf(given, "%zux%zux%zu", &s.size[0], &s.size[1], &s.size[2]) == DIMENSIONS) {
            failures += laws[i].holds(on.devices[0], &s) ? 0 : 1;
        } else {
            failures += run_law(&on, &laws[i], runs != NULL ? (size_t)strtoul(runs, NULL, 10) : RUNS) ? 0 : 1;
        }
    }
    machine_close(&on);
    printf("property: %zu laws broken\n", failures);
    return failures == 0 ? TEST_PASSED : TEST_FAILED;
}
