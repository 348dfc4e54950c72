/* SPDX-License-Identifier: Apache-2.0 */
/* row_case.c: see row_case.h. Uses the public API only. */
#include "row_case.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCE, FIRST, SECOND, RESULT, THREADS_MAX = 64 };

static bool is(const row_case *self, const char *op)
{
    return strcmp(self->op, op) == 0;
}

static bool is_product(const row_case *self)
{
    return strncmp(self->op, "matvec", 6) == 0;
}

/* Uniform in [-1, 1) in steps of 2^-7, so that every type holds the same values. */
static float next_value(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)((int)(*seed >> 56) - 128) / 128.0f;
}

static uint16_t narrow(anymps_dtype dtype, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (dtype == ANYMPS_DTYPE_BF16) {
        return (uint16_t)(bits >> 16);
    }
    const uint32_t exponent = bits >> 23 & 255u;
    return (uint16_t)((bits >> 16 & 0x8000u) | (exponent < 113 ? 0 : (exponent - 112) << 10 | (bits >> 13 & 1023u)));
}

static anymps_status make_operand(row_case *self, size_t which, size_t rows, size_t columns)
{
    const size_t size = anymps_dtype_bytes(self->dtype);
    anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, self->dtype);
    desc.row_bytes = columns * size;
    anymps_status status = anymps_matrix_create_on(self->device, &desc, &self->matrices[which]);
    if (status != ANYMPS_OK) {
        return status;
    }
    unsigned char *at = anymps_matrix_contents(self->matrices[which]);
    uint64_t seed = which + 1;
    for (size_t i = 0; i < rows * columns; i++, at += size) {
        const float x = next_value(&seed);
        const uint16_t half = narrow(self->dtype, x);
        memcpy(at, size == 4 ? (const void *)&x : (const void *)&half, size);
    }
    const anymps_vector_desc line = anymps_vector_desc_make(columns, self->dtype);
    return rows != 1
               ? ANYMPS_OK
               : anymps_vector_create(anymps_matrix_buffer(self->matrices[which]), 0, &line, &self->vectors[which]);
}

static anymps_status make_operands(row_case *self)
{
    const bool turned = is(self, "matvec_t");
    const bool norm = is(self, "rms_norm") || is(self, "layer_norm");
    const size_t rank = self->rank;
    anymps_status status = make_operand(self, SOURCE, self->rows, self->columns);
    if (status == ANYMPS_OK && is_product(self)) {
        status = make_operand(self, FIRST, 1, turned ? self->rows : self->columns);
        return status != ANYMPS_OK ? status : make_operand(self, RESULT, 1, turned ? self->columns : self->rows);
    }
    if (status == ANYMPS_OK && (norm || is(self, "lora"))) {
        status = make_operand(self, FIRST, norm ? 1 : self->columns, norm ? self->columns : rank);
    }
    if (status == ANYMPS_OK && (is(self, "layer_norm") || is(self, "lora"))) {
        status = make_operand(self, SECOND, is(self, "lora") ? rank : 1, self->columns);
    }
    return status != ANYMPS_OK ? status : make_operand(self, RESULT, self->rows, self->columns);
}

static anymps_status make_kernel(row_case *self)
{
    anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
    anymps_norm_desc norm = ANYMPS_NORM_DESC_INIT;
    anymps_neuron_desc neuron = ANYMPS_NEURON_DESC_INIT;
    anymps_lora_desc lora = ANYMPS_LORA_DESC_INIT;
    anymps_matrix_vector_desc product = ANYMPS_MATRIX_VECTOR_DESC_INIT;
    softmax.dtype = norm.dtype = neuron.dtype = lora.dtype = self->dtype;
    product.matrix_dtype = product.vector_dtype = product.result_dtype = self->dtype;
    neuron.neuron = ANYMPS_NEURON_GELU;
    product.transpose = is(self, "matvec_t");
    product.rows = product.transpose ? self->columns : self->rows;
    product.columns = product.transpose ? self->rows : self->columns;
    return is(self, "softmax")       ? anymps_softmax_create(self->device, &softmax, &self->kernel)
           : is(self, "log_softmax") ? anymps_log_softmax_create(self->device, &softmax, &self->kernel)
           : is(self, "rms_norm")    ? anymps_rms_norm_create(self->device, &norm, &self->kernel)
           : is(self, "layer_norm")  ? anymps_layer_norm_create(self->device, &norm, &self->kernel)
           : is(self, "gelu")        ? anymps_neuron_create(self->device, &neuron, &self->kernel)
           : is(self, "lora")        ? anymps_lora_create(self->device, &lora, &self->kernel)
                                     : anymps_matrix_vector_create(self->device, &product, &self->kernel);
}

static anymps_status encode(row_case *self)
{
    anymps_matrix **const m = self->matrices;
    anymps_vector **const v = self->vectors;
    anymps_kernel *const k = self->kernel;
    anymps_command_buffer *const to = self->commands;
    return is(self, "softmax")       ? anymps_softmax_encode(k, to, m[SOURCE], m[RESULT], NULL)
           : is(self, "log_softmax") ? anymps_log_softmax_encode(k, to, m[SOURCE], m[RESULT], NULL)
           : is(self, "rms_norm")    ? anymps_rms_norm_encode(k, to, m[SOURCE], NULL, v[FIRST], NULL, m[RESULT], NULL)
           : is(self, "layer_norm")
               ? anymps_layer_norm_encode(k, to, m[SOURCE], NULL, v[FIRST], v[SECOND], m[RESULT], NULL)
           : is(self, "gelu") ? anymps_neuron_encode(k, to, m[SOURCE], NULL, NULL, m[RESULT], NULL)
           : is(self, "lora") ? anymps_lora_encode(k, to, m[SOURCE], NULL, m[FIRST], m[SECOND], m[RESULT], NULL)
                              : anymps_matrix_vector_encode(k, to, m[SOURCE], v[FIRST], v[RESULT], NULL);
}

static anymps_status build(row_case *self)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "cpu";
    desc.threads = self->threads;
    anymps_status status = anymps_device_open(&desc, &self->device);
    status = status != ANYMPS_OK ? status : anymps_queue_create(self->device, &self->queue);
    status = status != ANYMPS_OK ? status : make_operands(self);
    status = status != ANYMPS_OK ? status : make_kernel(self);
    status = status != ANYMPS_OK ? status : anymps_command_buffer_create(self->queue, &self->commands);
    for (size_t i = 0; status == ANYMPS_OK && i < self->inner; i++) {
        status = encode(self);
    }
    return status;
}

row_case *row_case_open(const char *op, size_t rows, size_t columns, size_t rank, const char *dtype, size_t threads,
                        size_t inner)
{
    row_case *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    (void)snprintf(self->op, sizeof self->op, "%s", op);
    self->rows = rows;
    self->columns = columns;
    self->rank = rank;
    self->threads = threads < THREADS_MAX ? threads : THREADS_MAX;
    self->inner = inner;
    if (anymps_dtype_parse(dtype, &self->dtype) != ANYMPS_OK || build(self) != ANYMPS_OK) {
        (void)fprintf(stderr, "%s\n", anymps_last_error()->message);
        row_case_close(self);
        return NULL;
    }
    return self;
}

void row_case_close(row_case *self)
{
    row_onednn_close(self->peers[0]);
    row_onednn_close(self->peers[1]);
    anymps_command_buffer_release(self->commands);
    anymps_kernel_release(self->kernel);
    for (size_t i = 0; i < ROW_OPERANDS; i++) {
        anymps_vector_release(self->vectors[i]);
        anymps_matrix_release(self->matrices[i]);
    }
    anymps_queue_release(self->queue);
    anymps_device_release(self->device);
    free(self);
}

void *row_case_operand(const row_case *self, size_t index)
{
    return self->matrices[index] == NULL ? NULL : anymps_matrix_contents(self->matrices[index]);
}

int row_case_run(const row_case *self)
{
    return anymps_command_buffer_commit(self->commands) != ANYMPS_OK ||
           anymps_command_buffer_wait(self->commands) != ANYMPS_OK;
}

/* ---- what the memory allows -------------------------------------------------------------------- */

typedef struct part {
    const row_case *of;
    size_t index;
    uint64_t seen;
} part;

/* Eight sums, so that the additions do not wait for one another. */
static uint64_t read_all(const unsigned char *from, size_t bytes)
{
    uint64_t sums[8] = {0};
    for (size_t i = 0; i + sizeof sums <= bytes; i += sizeof sums) {
        uint64_t line[8];
        memcpy(line, from + i, sizeof line);
        for (size_t lane = 0; lane < 8; lane++) {
            sums[lane] += line[lane];
        }
    }
    return sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
}

static void *roof_part(void *context)
{
    part *const p = context;
    const row_case *const of = p->of;
    const size_t bytes = of->rows * of->columns * anymps_dtype_bytes(of->dtype);
    const size_t begin = bytes / of->threads * p->index / 64 * 64;
    const size_t end = p->index + 1 == of->threads ? bytes : bytes / of->threads * (p->index + 1) / 64 * 64;
    const unsigned char *const from = row_case_operand(of, SOURCE);
    unsigned char *const to = row_case_operand(of, RESULT);
    for (size_t i = 0; i < of->inner; i++) {
        if (is_product(of)) {
            p->seen += read_all(from + begin, end - begin);
        } else {
            memcpy(to + begin, from + begin, end - begin);
            p->seen += to[begin];
        }
    }
    return NULL;
}

uint64_t row_case_roof(const row_case *self)
{
    pthread_t threads[THREADS_MAX];
    part parts[THREADS_MAX];
    size_t started = 1;
    for (size_t i = 0; i < self->threads; i++) {
        parts[i] = (part){.of = self, .index = i};
    }
    while (started < self->threads && pthread_create(&threads[started], NULL, roof_part, &parts[started]) == 0) {
        started++;
    }
    (void)roof_part(&parts[0]);
    uint64_t seen = parts[0].seen;
    for (size_t i = 1; i < started; i++) {
        (void)pthread_join(threads[i], NULL);
        seen += parts[i].seen;
    }
    return seen;
}
