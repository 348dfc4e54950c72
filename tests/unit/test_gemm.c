/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_gemm.c: matrix products below the operators (src/backend/cpu/gemm.h), on every instruction set of this
 * machine: random shapes, strides, types, batches and epilogues against double within the documented bound; bits
 * that do not depend on the number of threads; scratch whose content does not matter; the same with tiny caches, where
 * small products run as large ones do.
 */
#include "backend/cpu/gemm_job.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CASES = 400 };

static uint64_t seed = 20261122;

static uint64_t bits(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return seed >> 33;
}

static double uniform(void)
{
    return (double)(bits() % (1u << 24)) / (1 << 24);
}

static bool coin(void)
{
    return bits() % 2 == 0;
}

/* Small sides are as likely as large ones. */
static size_t side(double most)
{
    return (size_t)exp(uniform() * log(most));
}

/* f32 twice: it has the most ways. */
static const anymps_dtype floats[] = {ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F16, ANYMPS_DTYPE_BF16};

/* `count` elements of `dtype`, and the same values in double. */
typedef struct elements {
    unsigned char *bytes;
    double *values;
} elements;

static double value_of(const amps_row_ukr *rows, anymps_dtype dtype, const unsigned char *at)
{
    float x;
    uint16_t half;
    memcpy(&half, at, sizeof half);
    if (dtype == ANYMPS_DTYPE_F16) {
        rows->f16_to_f32(&half, &x, 1);
    } else if (dtype == ANYMPS_DTYPE_BF16) {
        rows->bf16_to_f32(&half, &x, 1);
    } else {
        memcpy(&x, at, sizeof x);
    }
    return (double)x;
}

static elements make(const amps_row_ukr *rows, anymps_dtype dtype, size_t count)
{
    const size_t size = anymps_dtype_bytes(dtype);
    elements made = {malloc(count * size + 16), malloc(count * sizeof(double) + 16)};
    assert_non_null(made.bytes);
    assert_non_null(made.values);
    for (size_t i = 0; i < count; i++) {
        const float x = (float)(uniform() - 0.5);
        uint16_t half;
        unsigned char *at = made.bytes + i * size;
        if (dtype == ANYMPS_DTYPE_F32) {
            memcpy(at, &x, sizeof x);
        } else {
            (dtype == ANYMPS_DTYPE_F16 ? rows->f32_to_f16 : rows->f32_to_bf16)(&x, &half, 1);
            memcpy(at, &half, sizeof half);
        }
        made.values[i] = value_of(rows, dtype, at);
    }
    return made;
}

static void release(elements *e)
{
    free(e->bytes);
    free(e->values);
}

typedef struct product {
    amps_gemm_args args;
    amps_gemm_epilogue epilogue;
    elements a, b, c, bias;
    bool constant, left_constant;     /* B, A are marked so */
    size_t a_count, b_count, c_count; /* elements of one matrix */
} product;

/* `shape`: rows, columns and interior of an f32 product whose operands lie row by row; NULL: all is random. */
static product random_product(const amps_cpu_device *device, double most, const size_t *shape)
{
    product p = {0};
    amps_gemm_args *args = &p.args;
    const bool any = shape == NULL, vector = any && bits() % 4 == 0, ta = any && coin(), tb = any && coin();
    const size_t pad = coin() ? 5 : 0;
    args->device = device;
    p.constant = coin();
    p.left_constant = coin();
    args->m = any ? side(most) : shape[0];
    args->n = vector ? 1 : any ? side(most) : shape[1];
    args->k = any ? side(most) : shape[2];
    args->batch = 1 + bits() % 3;
    args->alpha = coin() ? 1.0 : 1.5;
    args->beta = coin() ? 0.0 : coin() ? 1.0 : -0.75;
    args->a_dtype = floats[any ? bits() % 4 : 0];
    args->b_dtype = floats[any ? bits() % 4 : 0];
    args->c_dtype = floats[any ? bits() % 4 : 0];
    const size_t a_size = anymps_dtype_bytes(args->a_dtype), b_size = anymps_dtype_bytes(args->b_dtype);
    const size_t c_size = anymps_dtype_bytes(args->c_dtype);
    const size_t a_row = (ta ? args->m : args->k) + pad, b_row = (tb ? args->k : args->n) + pad;
    const size_t c_row = vector ? 1 : args->n + pad;
    p.a_count = (ta ? args->k : args->m) * a_row;
    p.b_count = (tb ? args->n : args->k) * b_row;
    p.c_count = args->m * c_row;
    p.a = make(device->rows, args->a_dtype, p.a_count * args->batch);
    p.b = make(device->rows, args->b_dtype, p.b_count * args->batch);
    p.c = make(device->rows, args->c_dtype, p.c_count * args->batch);
    p.bias = make(device->rows, args->c_dtype, args->n);
    args->a_row_bytes = a_size * (ta ? 1 : a_row);
    args->a_column_bytes = a_size * (ta ? a_row : 1);
    args->a_batch_bytes = a_size * p.a_count;
    args->b_row_bytes = b_size * (tb ? 1 : b_row);
    args->b_column_bytes = b_size * (tb ? b_row : 1);
    args->b_batch_bytes = b_size * p.b_count;
    args->c_row_bytes = c_size * c_row;
    args->c_column_bytes = c_size;
    args->c_batch_bytes = c_size * p.c_count;
    args->a = p.a.bytes;
    args->b = p.b.bytes;
    return p;
}

/* Element (i, j) of batch b, and the bound on its error. */
static double exact(const product *p, size_t b, size_t i, size_t j, double *bound)
{
    const amps_gemm_args *args = &p->args;
    const size_t a_size = anymps_dtype_bytes(args->a_dtype), b_size = anymps_dtype_bytes(args->b_dtype);
    const size_t c_size = anymps_dtype_bytes(args->c_dtype);
    const double *x = p->a.values + (b * args->a_batch_bytes + i * args->a_row_bytes) / a_size;
    const double *y = p->b.values + (b * args->b_batch_bytes + j * args->b_column_bytes) / b_size;
    const double old = p->c.values[(b * args->c_batch_bytes + i * args->c_row_bytes) / c_size + j];
    double sum = 0.0, size = 0.0;
    for (size_t k = 0; k < args->k; k++) {
        const double term = x[k * (args->a_column_bytes / a_size)] * y[k * (args->b_row_bytes / b_size)];
        sum += term;
        size += fabs(term);
    }
    const double bias = args->epilogue == NULL ? 0.0 : p->bias.values[j];
    const double result = args->alpha * sum + (args->beta == 0.0 ? 0.0 : args->beta * old) + bias;
    const double half_unit = args->c_dtype == ANYMPS_DTYPE_BF16  ? 0x1p-9
                             : args->c_dtype == ANYMPS_DTYPE_F16 ? 0x1p-12
                                                                 : 0;
    *bound = 2.0 * (double)args->k * 0x1p-24 * fabs(args->alpha) * size + 0x1p-23 * fabs(args->beta * old) +
             (bias != 0.0 ? 0x1p-23 * fabs(bias) + 0x1p-24 * fabs(result) : 0.0);
    /* Rounding can move the result up to the next power of two, where a unit is twice as large. */
    *bound += half_unit * 2.0 * (fabs(result) + *bound) + (args->c_dtype == ANYMPS_DTYPE_F16 ? 0x1p-25 : 0.0);
    return result;
}

/* Runs on `device` over a copy of C with scratch full of NaN; the caller frees what comes back. */
static unsigned char *run(const product *p, const amps_cpu_device *device)
{
    amps_gemm_args args = p->args;
    size_t bytes;
    const size_t c_bytes = p->c_count * args.batch * anymps_dtype_bytes(args.c_dtype);
    args.device = device;
    args.c = malloc(c_bytes + 16);
    assert_non_null(args.c);
    memcpy(args.c, p->c.bytes, c_bytes);
    assert_true(amps_gemm_scratch(&args, &bytes));
    void *scratch = aligned_alloc(4096, bytes + 4096 - bytes % 4096);
    assert_non_null(scratch);
    memset(scratch, 0xff, bytes);
    amps_gemm(&args, scratch);
    free(scratch);
    return args.c;
}

static size_t left_copies; /* that products have made */

/* The same with B, A or both marked constant where the product says so: without room for a copy, making one, and with it;
   the bits are the same. */
static unsigned char *run_kept(product *p, const amps_cpu_device *device, const amps_cpu_device *without_room)
{
    amps_constant slot = {0};
    amps_constant left = {0};
    p->args.b_constant = p->constant ? &slot : NULL;
    p->args.a_constant = p->left_constant ? &left : NULL;
    const bool any = p->constant || p->left_constant;
    unsigned char *c = run(p, any ? without_room : device);
    assert_null(atomic_load(&slot.data));
    assert_null(atomic_load(&left.data));
    for (size_t i = 0; i < 2 && any; i++) {
        unsigned char *kept = run(p, device);
        assert_memory_equal(c, kept, p->c_count * p->args.batch * anymps_dtype_bytes(p->args.c_dtype));
        free(kept);
    }
    void *data = atomic_load(&slot.data);
    if (data != NULL) {
        slot.release(data);
    }
    data = atomic_load(&left.data);
    if (data != NULL) {
        left.release(data);
        left_copies++;
    }
    p->args.b_constant = NULL;
    p->args.a_constant = NULL;
    return c;
}

static void compare(const product *p, const unsigned char *c)
{
    const amps_gemm_args *args = &p->args;
    for (size_t b = 0; b < args->batch; b++) {
        for (size_t i = 0; i < args->m; i++) {
            for (size_t j = 0; j < args->n; j++) {
                double bound;
                const double want = exact(p, b, i, j, &bound);
                const unsigned char *at =
                    c + b * args->c_batch_bytes + i * args->c_row_bytes + j * args->c_column_bytes;
                const double got = value_of(args->device->rows, args->c_dtype, at);
                if (!(fabs(got - want) <= bound)) {
                    fail_msg("%s %s,%s->%s %zux%zux%zu batch %zu: (%zu, %zu) is %g, exact %g, bound %g",
                             amps_cpu_isa_name(args->device->isa), anymps_dtype_name(args->a_dtype),
                             anymps_dtype_name(args->b_dtype), anymps_dtype_name(args->c_dtype), args->m, args->n,
                             args->k, b, i, j, got, want, bound);
                }
            }
        }
    }
}

/* Devices alike but for their number of threads: one; so few that each gets a task; so many that each gets several; and
   the first again without room for packed copies. */
enum { DEVICES = 3, WITHOUT_ROOM = DEVICES };

/* With the caches of this machine, or others. */
static void open_devices(amps_cpu_isa isa, const amps_cpu_caches *caches, amps_cpu_device *devices)
{
    static const size_t threads[] = {1, 3, 6};
    for (size_t t = 0; t < DEVICES; t++) {
        memset(&devices[t], 0, sizeof devices[t]);
        devices[t].isa = isa;
        devices[t].features = amps_cpu_features(isa);
        devices[t].caches = caches != NULL ? *caches : amps_cpu_cache_sizes();
        devices[t].rows = amps_cpu_choose_rows(isa);
        assert_int_equal(amps_pool_open(threads[t], &devices[t].pool), ANYMPS_OK);
        assert_int_equal(amps_packed_open((size_t)1 << 30, &devices[t].packed), ANYMPS_OK);
    }
    devices[WITHOUT_ROOM] = devices[0];
    assert_int_equal(amps_packed_open(0, &devices[WITHOUT_ROOM].packed), ANYMPS_OK);
}

static void close_devices(amps_cpu_device *devices)
{
    amps_packed_close(devices[WITHOUT_ROOM].packed);
    for (size_t t = 0; t < DEVICES; t++) {
        amps_pool_close(devices[t].pool);
        amps_packed_close(devices[t].packed);
    }
}

/* One product on all devices: right on the first, the same bits on the others. */
static void check_product(product *p, const amps_cpu_device *devices)
{
    const amps_cpu_device *const without_room = &devices[WITHOUT_ROOM];
    p->epilogue.bias = p->bias.bytes;
    p->args.epilogue = p->args.c_row_bytes > p->args.c_column_bytes && coin() ? &p->epilogue : NULL;
    unsigned char *c = run_kept(p, &devices[0], without_room);
    compare(p, c);
    for (size_t t = 1; t < DEVICES; t++) {
        unsigned char *other = run_kept(p, &devices[t], without_room);
        assert_memory_equal(c, other, p->c_count * p->args.batch * anymps_dtype_bytes(p->args.c_dtype));
        free(other);
    }
    free(c);
    release(&p->a);
    release(&p->b);
    release(&p->c);
    release(&p->bias);
}

/* Few columns past whole vectors, few rows, few columns, and short interiors, each in several blocks. */
static const size_t edges[][3] = {{40, 18, 800}, {130, 33, 400}, {70, 66, 1000}, {9, 17, 900}, {2, 300, 90},
                                  {7, 530, 45},  {24, 200, 20},  {1, 1000, 33},  {60, 5, 200}, {300, 3, 70},
                                  {90, 1, 5},    {50, 1, 100},   {70, 300, 1},   {33, 100, 7}, {130, 200, 700}};

static void check_products(const amps_cpu_device *devices)
{
    for (size_t i = 0; i < CASES; i++) {
        product p = random_product(&devices[0], i % 8 == 0 ? 500.0 : 80.0, NULL);
        check_product(&p, devices);
    }
    for (size_t i = 0; i < 4 * (sizeof edges / sizeof edges[0]); i++) {
        product p = random_product(&devices[0], 0.0, edges[i / 4]);
        check_product(&p, devices);
    }
}

/* Few columns and a short interior, A and C in one piece each: vectors of C with parts of several rows. */
static void test_flat(void **state)
{
    (void)state;
    amps_cpu_device devices[DEVICES + 1];
    open_devices(amps_cpu_isa_best(), NULL, devices);
    for (size_t n = 2; n <= 16; n++) {
        for (size_t k = 1; k <= 6; k++) {
            product p = random_product(&devices[0], 0.0, (const size_t[]){30 + bits() % 100, n, k});
            p.args.a_row_bytes = k * sizeof(float);
            p.args.c_row_bytes = n * sizeof(float);
            p.args.alpha = 1.0;
            p.args.beta = 0.0;
            check_product(&p, devices);
        }
    }
    close_devices(devices);
}

/* One row, whose sums grow in C from what it holds, in pieces of several threads. */
static void test_row_added(void **state)
{
    (void)state;
    amps_cpu_device devices[DEVICES + 1];
    open_devices(amps_cpu_isa_best(), NULL, devices);
    for (size_t i = 0; i < 40; i++) {
        product p = random_product(&devices[0], 0.0, (const size_t[]){1, 2100, 400});
        p.args.alpha = 1.0;
        p.args.beta = 1.0;
        check_product(&p, devices);
    }
    close_devices(devices);
}

static void test_products(void **state)
{
    (void)state;
    for (int isa = (int)amps_cpu_isa_best(); isa >= 0; isa--) {
        amps_cpu_device devices[DEVICES + 1];
        open_devices((amps_cpu_isa)isa, NULL, devices);
        check_products(devices);
        close_devices(devices);
    }
}

/* Caches so small that matrices of a few kilobytes count as large: what is packed, fetched or stored past them. */
static void test_small_caches(void **state)
{
    static const amps_cpu_caches caches = {.l1_bytes = 1 << 10, .l2_bytes = 4 << 10, .l3_bytes = 8 << 10};
    (void)state;
    for (int isa = (int)amps_cpu_isa_best(); isa >= 0; isa--) {
        amps_cpu_device devices[DEVICES + 1];
        open_devices((amps_cpu_isa)isa, &caches, devices);
        check_products(devices);
        close_devices(devices);
    }
    assert_true(left_copies > 0 || amps_cpu_isa_best() == AMPS_CPU_ISA_BASELINE);
}

/* Short interiors whose C exceeds the second cache and not the third: it is written by blocks of rows, or row by row. */
static void test_far(void **state)
{
    static const size_t shapes[][3] = {{500, 70, 9}, {700, 130, 20}, {470, 66, 40}, {460, 35, 63}, {60, 100, 1},
                                       {40, 333, 1}, {300, 37, 1},   {5, 2000, 1},  {90, 64, 1},   {300, 50, 3}};
    static const amps_cpu_caches caches = {.l1_bytes = 1 << 10, .l2_bytes = 16 << 10, .l3_bytes = 1 << 20};
    (void)state;
    for (int isa = (int)amps_cpu_isa_best(); isa >= 0; isa--) {
        amps_cpu_device devices[DEVICES + 1];
        open_devices((amps_cpu_isa)isa, &caches, devices);
        for (size_t i = 0; i < 6 * (sizeof shapes / sizeof shapes[0]); i++) {
            product p = random_product(&devices[0], 0.0, shapes[i / 6]);
            check_product(&p, devices);
        }
        close_devices(devices);
    }
}

/* More than four threads get several tasks each of a large product, fewer or those of a small one no more than one. */
static void test_tasks(void **state)
{
    static const size_t sides[] = {128, 1024};
    (void)state;
    amps_cpu_device devices[DEVICES + 1];
    open_devices(amps_cpu_isa_best(), NULL, devices);
    for (size_t i = 0; i < 4; i++) {
        const size_t side = sides[i % 2], row = side * sizeof(float);
        const amps_cpu_device *const device = &devices[1 + i / 2];
        const amps_gemm_args args = {.device = device,
                                     .m = side,
                                     .n = side,
                                     .k = side,
                                     .batch = 1,
                                     .a_dtype = ANYMPS_DTYPE_F32,
                                     .b_dtype = ANYMPS_DTYPE_F32,
                                     .c_dtype = ANYMPS_DTYPE_F32,
                                     .a_row_bytes = row,
                                     .a_column_bytes = sizeof(float),
                                     .b_row_bytes = row,
                                     .b_column_bytes = sizeof(float),
                                     .c_row_bytes = row,
                                     .c_column_bytes = sizeof(float),
                                     .alpha = 1.0};
        amps_gemm_job job;
        assert_true(amps_gemm_plan(&args, &job));
        const size_t threads = amps_pool_threads(device->pool);
        const size_t tasks = job.batch_tasks * job.m_tasks * job.n_tasks;
        const bool several = threads > 4 && side == 1024;
        assert_in_range(tasks, several ? 2 * threads : 1, several ? 4 * threads : threads);
    }
    close_devices(devices);
}

/* i8 to i32: exact modulo 2^32 with the largest products and with sums past what f32 holds. */
static void check_i8(const amps_cpu_device *device, size_t m, size_t n, size_t k, double beta)
{
    amps_gemm_args args = {.device = device, .m = m, .n = n, .k = k, .batch = 1, .alpha = 1.0, .beta = beta};
    int8_t *a = malloc(m * k), *b = malloc(k * n);
    int32_t *c = malloc(m * n * sizeof *c), *old = malloc(m * n * sizeof *old);
    size_t bytes;
    assert_true(a != NULL && b != NULL && c != NULL && old != NULL);
    for (size_t i = 0; i < m * k; i++) {
        a[i] = (int8_t)(i % 3 == 0 ? -128 : (int)(bits() % 256) - 128);
    }
    for (size_t i = 0; i < k * n; i++) {
        b[i] = (int8_t)(i % 5 != 0 ? -128 : (int)(bits() % 256) - 128);
    }
    for (size_t i = 0; i < m * n; i++) {
        c[i] = old[i] = (int32_t)(uint32_t)(bits() * 3);
    }
    args.a_dtype = args.b_dtype = ANYMPS_DTYPE_I8;
    args.c_dtype = ANYMPS_DTYPE_I32;
    args.a = (unsigned char *)a;
    args.a_row_bytes = k;
    args.a_column_bytes = args.b_column_bytes = 1;
    args.b = (unsigned char *)b;
    args.b_row_bytes = n;
    args.c = (unsigned char *)c;
    args.c_row_bytes = n * sizeof *c;
    args.c_column_bytes = sizeof *c;
    assert_true(amps_gemm_scratch(&args, &bytes));
    void *scratch = aligned_alloc(4096, bytes + 4096 - bytes % 4096);
    assert_non_null(scratch);
    amps_gemm(&args, scratch);
    for (size_t i = 0; i < m * n; i++) {
        uint32_t want = beta == 0.0 ? 0u : (uint32_t)old[i];
        for (size_t l = 0; l < k; l++) {
            want += (uint32_t)(a[i / n * k + l] * b[l * n + i % n]);
        }
        assert_int_equal((uint32_t)c[i], want);
    }
    free(scratch);
    free(a);
    free(b);
    free(c);
    free(old);
}

static void test_i8(void **state)
{
    static const size_t shapes[][3] = {{1, 1, 1},     {5, 7, 3},     {33, 40, 1024}, {33, 40, 1025},
                                       {1, 70, 4097}, {70, 1, 4097}, {3, 20, 1000},  {20, 35, 2600}};
    (void)state;
    for (int isa = (int)amps_cpu_isa_best(); isa >= 0; isa--) {
        amps_cpu_device devices[DEVICES + 1];
        open_devices((amps_cpu_isa)isa, NULL, devices);
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            for (size_t t = 0; t < DEVICES; t++) {
                check_i8(&devices[t], shapes[i][0], shapes[i][1], shapes[i][2], i % 2 == 0 ? 0.0 : 1.0);
            }
        }
        close_devices(devices);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products),  cmocka_unit_test(test_small_caches),
                                       cmocka_unit_test(test_far),       cmocka_unit_test(test_flat),
                                       cmocka_unit_test(test_row_added), cmocka_unit_test(test_tasks),
                                       cmocka_unit_test(test_i8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
