/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_probe.c: the PROBE lines of errata.def: defects that nobody has confirmed or denied for MPSMatrix are asked
 * of the very device, once, by a few small computations whose answers are known.
 *
 * Called by ops/ at prepare. Calls metal_submit.c and objc.h. A probe that cannot run counts as a defect this
 * time, and is tried again.
 */
#include "metal_room.h"

#include "base/status.h"

#include <math.h>
#include <string.h>

/* One MPS encode over matrices of f32 in one shared buffer. */
typedef struct probe {
    amps_id buffer;
    amps_id kernel;
    amps_id matrices[3];
    size_t matrix_count;
    enum { PRODUCT, SOFTMAX, NEURON } kind;
} probe;

static bool encode_probe(amps_id command_buffer, void *context)
{
    const probe *const self = context;
    const amps_id *const m = self->matrices;
    switch (self->kind) {
    case PRODUCT: amps_send_multiplication_encode(self->kernel, command_buffer, m[0], m[1], m[2]); break;
    case SOFTMAX: amps_send_softmax_encode(self->kernel, command_buffer, m[0], m[1]); break;
    case NEURON: amps_send_neuron_encode(self->kernel, command_buffer, m[0], NULL, m[1]); break;
    }
    return true;
}

static bool add_matrix(probe *self, size_t rows, size_t columns, size_t row_floats, size_t offset_floats)
{
    const amps_id descriptor =
        amps_send_matrix_descriptor(amps_class_named("MPSMatrixDescriptor"), rows, columns, 1,
                                    row_floats * sizeof(float), rows * row_floats * sizeof(float), MPSDataTypeFloat32);
    if (descriptor == NULL) {
        return false;
    }
    self->matrices[self->matrix_count] = amps_send_matrix_init(amps_send_alloc(amps_class_named("MPSMatrix")),
                                                               self->buffer, offset_floats * sizeof(float), descriptor);
    return self->matrices[self->matrix_count++] != NULL;
}

static void drop(probe *self)
{
    for (size_t i = 0; i < self->matrix_count; i++) {
        amps_drop(self->matrices[i]);
    }
    amps_drop(self->kernel);
    amps_drop(self->buffer);
}

/* ---- Product ---------------------------------------------------------------------------------- */

/* 24 × 24 × 64: left at 0, right behind it, the result a slice of a larger matrix of rows of 40 floats. */
enum { SIDE = 24, INNER = 64, WIDE = 40, TALL = 32, SLICE = 3 * WIDE + 5 };
enum { RIGHT_AT = SIDE * INNER, RESULT_AT = RIGHT_AT + INNER * SIDE, PRODUCT_FLOATS = RESULT_AT + TALL * WIDE };

/* Elements need more than 11 bits, so that a product in TF32 or bf16 shows: 1 + k/4096, exact in f32. */
static float left_element(size_t i, size_t k)
{
    return 1.0f + (float)((i * 37 + k * 11) % 4093) / 4096.0f;
}

static float right_element(size_t k, size_t j)
{
    return (float)(j % 2 == 0 ? 1 : -1) * (1.0f + (float)((k * 29 + j * 53) % 4093) / 4096.0f);
}

static void fill_product(float *floats)
{
    for (size_t at = 0; at < SIDE * INNER; at++) {
        floats[at] = left_element(at / INNER, at % INNER);
        floats[RIGHT_AT + at] = right_element(at / SIDE, at % SIDE);
    }
    for (size_t at = RESULT_AT; at < PRODUCT_FLOATS; at++) {
        floats[at] = NAN;
    }
}

_Static_assert(AMPS_METAL_ERRATUM_COUNT <= 32, "a bit for each line");
static uint32_t bit(amps_metal_erratum erratum)
{
    return (uint32_t)1 << erratum;
}

/* What element (i, j) of the larger result shows: inside the slice the right sum, outside the NaN of before. */
static uint32_t judge_element(const float *result, size_t row, size_t column)
{
    const size_t first_row = SLICE / WIDE, first_column = SLICE % WIDE;
    const bool inside =
        row >= first_row && row < first_row + SIDE && column >= first_column && column < first_column + SIDE;
    const double got = (double)result[row * WIDE + column];
    if (!inside) {
        return isnan(got) ? 0 : bit(AMPS_METAL_ERRATUM_sliced_result);
    }
    if (isnan(got)) {
        return bit(AMPS_METAL_ERRATUM_beta_zero_reads);
    }
    double exact = 0.0, magnitude = 0.0;
    for (size_t k = 0; k < INNER; k++) {
        const double term = (double)left_element(row - first_row, k) * (double)right_element(k, column - first_column);
        exact += term;
        magnitude += fabs(term);
    }
    const double error = fabs(got - exact);
    /* kernels.h promises 2*interior*2^-24; a rounding of the operands to 11 bits errs by up to 2^-11, and by far
       more than the bound in some of 576 elements; anything beyond 1 % is no rounding. */
    if (error > magnitude * 0.01) {
        return bit(AMPS_METAL_ERRATUM_sliced_result);
    }
    return error > magnitude * 2.0 * (double)INNER * 0x1p-24 ? bit(AMPS_METAL_ERRATUM_f32_reduced) : 0;
}

static uint32_t judge_product(const float *floats)
{
    uint32_t shown = 0;
    for (size_t at = 0; at < TALL * WIDE; at++) {
        shown |= judge_element(floats + RESULT_AT, at / WIDE, at % WIDE);
    }
    return shown;
}

static bool try_product(amps_metal_device *device, uint32_t *shown)
{
    probe self = {.kind = PRODUCT};
    self.buffer = amps_send_new_buffer(device->device, PRODUCT_FLOATS * sizeof(float), MTLResourceStorageModeShared);
    bool ran = self.buffer != NULL;
    if (ran) {
        self.kernel = amps_send_multiplication_init(amps_send_alloc(amps_class_named("MPSMatrixMultiplication")),
                                                    device->device, 0, 0, SIDE, SIDE, INNER, 1.0, 0.0);
        float *const floats = amps_send_contents(self.buffer);
        fill_product(floats);
        ran = self.kernel != NULL && add_matrix(&self, SIDE, INNER, INNER, 0) &&
              add_matrix(&self, INNER, SIDE, SIDE, RIGHT_AT) &&
              add_matrix(&self, SIDE, SIDE, WIDE, RESULT_AT + SLICE) &&
              amps_metal_run(device, "probe", encode_probe, &self) == ANYMPS_OK;
        *shown = ran ? judge_product(floats) : 0;
    }
    drop(&self);
    return ran;
}

/* ---- Softmax ---------------------------------------------------------------------------------- */

enum { SOFTMAX_ROWS = 4, SOFTMAX_COLUMNS = 40, SOFTMAX_BOUND_UNITS = SOFTMAX_COLUMNS / 2 + 8 };

/* Leading −inf, a −inf in the middle, values whose exponential overflows, plain values; of the logarithm the last row
   falls to 312 below its maximum, where exponentials are 0. */
static float softmax_element(bool logarithm, size_t row, size_t column)
{
    if ((row == 0 && column < 33) || (row == 1 && column == 20)) {
        return -INFINITY;
    }
    if (logarithm && row == 3) {
        return -8.0f * (float)column;
    }
    return (row == 2 ? 1000.0f : 0.0f) + (float)(column % 7) * 0.5f;
}

static bool softmax_row_is_right(bool logarithm, size_t row, const float *result)
{
    const double base = row == 2 ? 1000.0 : 0.0;
    double sum = 0.0;
    for (size_t j = 0; j < SOFTMAX_COLUMNS; j++) {
        sum += exp((double)softmax_element(logarithm, row, j) - base);
    }
    for (size_t j = 0; j < SOFTMAX_COLUMNS; j++) {
        const double shifted = (double)softmax_element(logarithm, row, j) - base, got = (double)result[j];
        const double exact = logarithm ? shifted - log(sum) : exp(shifted) / sum;
        /* kernels.h: (columns/2 + 8)*2^-24, relative; of the logarithm absolute below 1. NaN fails the comparison. */
        const double size = logarithm ? fmax(1.0, fabs(exact)) : exact;
        const bool right =
            isinf(exact) ? isinf(got) && got < 0.0 : fabs(got - exact) <= size * (double)SOFTMAX_BOUND_UNITS * 0x1p-24;
        if (!right) {
            return false;
        }
    }
    return true;
}

static uint32_t judge_softmax(bool logarithm, const float *result)
{
    bool right = true;
    for (size_t row = 0; right && row < SOFTMAX_ROWS; row++) {
        right = softmax_row_is_right(logarithm, row, result + row * SOFTMAX_COLUMNS);
    }
    if (right) {
        return 0;
    }
    return bit(logarithm ? AMPS_METAL_ERRATUM_log_softmax_underflow : AMPS_METAL_ERRATUM_softmax_infinity);
}

static bool try_softmax(amps_metal_device *device, bool logarithm, uint32_t *shown)
{
    enum { FLOATS = SOFTMAX_ROWS * SOFTMAX_COLUMNS };
    const char *const class = logarithm ? "MPSMatrixLogSoftMax" : "MPSMatrixSoftMax";
    probe self = {.kind = SOFTMAX};
    self.buffer = amps_send_new_buffer(device->device, 2 * FLOATS * sizeof(float), MTLResourceStorageModeShared);
    bool ran = self.buffer != NULL;
    if (ran) {
        float *const floats = amps_send_contents(self.buffer);
        for (size_t at = 0; at < FLOATS; at++) {
            floats[at] = softmax_element(logarithm, at / SOFTMAX_COLUMNS, at % SOFTMAX_COLUMNS);
        }
        self.kernel = amps_send_softmax_init(amps_send_alloc(amps_class_named(class)), device->device);
        ran = self.kernel != NULL && add_matrix(&self, SOFTMAX_ROWS, SOFTMAX_COLUMNS, SOFTMAX_COLUMNS, 0) &&
              add_matrix(&self, SOFTMAX_ROWS, SOFTMAX_COLUMNS, SOFTMAX_COLUMNS, FLOATS) &&
              amps_metal_run(device, "probe", encode_probe, &self) == ANYMPS_OK;
        *shown = ran ? judge_softmax(logarithm, floats + FLOATS) : 0;
    }
    drop(&self);
    return ran;
}

/* ---- Neurons ---------------------------------------------------------------------------------- */

/* Arguments of both signs from 1 down to 2^-15, where exp(x) - 1 and its like lose what they should keep. */
enum { NEURON_COLUMNS = 32, NEURON_BOUND_UNITS = 24 };

static float neuron_element(size_t column)
{
    return ldexpf(column % 2 == 0 ? 1.0f : -1.25f, -(int)(column / 2));
}

static double neuron_exact(anymps_neuron_type type, double x)
{
    switch ((int)type) {
    case ANYMPS_NEURON_TANH: return tanh(x);
    case ANYMPS_NEURON_SOFT_PLUS: return log1p(exp(x));
    default: return x >= 0.0 ? x : expm1(x);
    }
}

/* kernels.h promises 4 units of the argument and one rounding; the conformance suite allows 8 and 8 of the value. */
static bool neuron_is_coarse(anymps_neuron_type type, const float *result)
{
    for (size_t j = 0; j < NEURON_COLUMNS; j++) {
        const double x = (double)neuron_element(j), exact = neuron_exact(type, x);
        if (!(fabs((double)result[j] - exact) <= fmax(fabs(x), fabs(exact)) * (double)NEURON_BOUND_UNITS * 0x1p-24)) {
            return true;
        }
    }
    return false;
}

static bool try_neuron(amps_metal_device *device, anymps_neuron_type type, uint32_t *shown)
{
    probe self = {.kind = NEURON};
    self.buffer =
        amps_send_new_buffer(device->device, (size_t)2 * NEURON_COLUMNS * sizeof(float), MTLResourceStorageModeShared);
    bool ran = self.buffer != NULL;
    if (ran) {
        float *const floats = amps_send_contents(self.buffer);
        for (size_t j = 0; j < NEURON_COLUMNS; j++) {
            floats[j] = neuron_element(j);
        }
        self.kernel = amps_send_neuron_init(amps_send_alloc(amps_class_named("MPSMatrixNeuron")), device->device);
        ran = self.kernel != NULL && add_matrix(&self, 1, NEURON_COLUMNS, NEURON_COLUMNS, 0) &&
              add_matrix(&self, 1, NEURON_COLUMNS, NEURON_COLUMNS, NEURON_COLUMNS);
        if (ran) {
            amps_send_neuron_set_type(self.kernel, (int32_t)type, 1.0f, 1.0f, 0.0f);
            amps_send_neuron_set_alpha(self.kernel, 1.0);
            amps_send_neuron_set_rows(self.kernel, 1);
            amps_send_neuron_set_columns(self.kernel, NEURON_COLUMNS);
            ran = amps_metal_run(device, "probe", encode_probe, &self) == ANYMPS_OK;
        }
        if (ran && neuron_is_coarse(type, floats + NEURON_COLUMNS)) {
            *shown = bit(AMPS_METAL_ERRATUM_neuron_accuracy);
        }
    }
    drop(&self);
    return ran;
}

static bool try_neurons(amps_metal_device *device, uint32_t *shown)
{
    return try_neuron(device, ANYMPS_NEURON_TANH, shown) && try_neuron(device, ANYMPS_NEURON_SOFT_PLUS, shown) &&
           try_neuron(device, ANYMPS_NEURON_ELU, shown);
}

/* ---- Once a device ---------------------------------------------------------------------------- */

/* Runs the computation that answers a line, and says which lines it answers. */
static bool try_line(amps_metal_device *device, amps_metal_erratum erratum, uint32_t *shown, uint32_t *answered)
{
    *answered = bit(erratum);
    switch (erratum) {
    case AMPS_METAL_ERRATUM_softmax_infinity: return try_softmax(device, false, shown);
    case AMPS_METAL_ERRATUM_log_softmax_underflow: return try_softmax(device, true, shown);
    case AMPS_METAL_ERRATUM_neuron_accuracy: return try_neurons(device, shown);
    default: break;
    }
    *answered = bit(AMPS_METAL_ERRATUM_beta_zero_reads) | bit(AMPS_METAL_ERRATUM_f32_reduced) |
                bit(AMPS_METAL_ERRATUM_sliced_result);
    return try_product(device, shown);
}

static bool run_probe(amps_metal_device *device, amps_metal_erratum erratum)
{
    uint32_t shown = 0, answered = 0;
    const anymps_error before = *anymps_last_error();
    if (!try_line(device, erratum, &shown, &answered)) {
        /* A probe that cannot run is not the caller's failure. */
        if (before.status == ANYMPS_OK) {
            anymps_clear_error();
        } else {
            (void)amps_fail_again(&before);
        }
        return true;
    }
    atomic_fetch_or(&device->defective, shown);
    atomic_fetch_or(&device->probed, answered);
    return (shown & bit(erratum)) != 0;
}

bool amps_metal_probe(amps_metal_device *device, amps_metal_erratum erratum)
{
    if ((atomic_load(&device->probed) & bit(erratum)) != 0) {
        return (atomic_load(&device->defective) & bit(erratum)) != 0;
    }
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    (void)pthread_mutex_lock(&device->lock);
    const bool known = (atomic_load(&device->probed) & bit(erratum)) != 0;
    const bool shown = known ? (atomic_load(&device->defective) & bit(erratum)) != 0 : run_probe(device, erratum);
    (void)pthread_mutex_unlock(&device->lock);
    amps_apple.objc_autoreleasePoolPop(pool);
    return shown;
}
