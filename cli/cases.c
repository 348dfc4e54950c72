/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cases.c: makes jobs with random operands. Called by cmd_bench.c, cmd_verify.c and cmd_devices.c (types).
 */
#include "cases.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "values.h"

#define THREE(left, right, result)                                                                                     \
    {                                                                                                                  \
        {ANYMPS_DTYPE_##left, ANYMPS_DTYPE_##right, ANYMPS_DTYPE_##result}, 3                                          \
    }
#define ONE(dtype)                                                                                                     \
    {                                                                                                                  \
        {ANYMPS_DTYPE_##dtype}, 1                                                                                      \
    }

static const case_types product_types[] = {
    THREE(F32, F32, F32), THREE(F16, F16, F16), THREE(F16, F16, F32), THREE(BF16, BF16, BF16), THREE(BF16, BF16, F32),
    THREE(I8, I8, F32),   THREE(I8, I8, F16),   THREE(I8, I8, I32),   THREE(I16, I16, F32),
};
static const case_types plain_types[] = {ONE(F32), ONE(F16), ONE(BF16)};

static bool is_product(job_operator op)
{
    return op == JOB_MATMUL || op == JOB_MATRIX_VECTOR;
}

size_t case_types_count(job_operator op)
{
    return is_product(op) ? sizeof product_types / sizeof product_types[0] : sizeof plain_types / sizeof plain_types[0];
}

case_types case_types_at(job_operator op, size_t index)
{
    return is_product(op) ? product_types[index] : plain_types[index];
}

const char *case_types_text(const case_types *types, char *text)
{
    if (types->count == 1) {
        snprintf(text, CASE_TYPES_TEXT, "%s", anymps_dtype_name(types->dtype[0]));
    } else {
        snprintf(text, CASE_TYPES_TEXT, "%s,%s->%s", anymps_dtype_name(types->dtype[0]),
                 anymps_dtype_name(types->dtype[1]), anymps_dtype_name(types->dtype[2]));
    }
    return text;
}

static size_t size_of(const job_sizes *sizes, char letter)
{
    return letter == 'm' ? sizes->m : letter == 'n' ? sizes->n : letter == 'k' ? sizes->k : sizes->r;
}

/* Small whole numbers for the integer types, so that f16 results stay finite. */
static void range_of(anymps_dtype dtype, double *low, double *high)
{
    bool whole = dtype == ANYMPS_DTYPE_I8 || dtype == ANYMPS_DTYPE_I16 || dtype == ANYMPS_DTYPE_I32;
    *low = whole ? -7 : -1;
    *high = whole ? 7 : 1;
}

static bool make_slot(const case_spec *spec, anymps_device *device, job *j, size_t slot)
{
    const job_info *info = job_operator_info(spec->op);
    const char *shape = info->slot[slot].shape;
    bool result = slot + 1 == info->slots;
    size_t type = spec->types.count == 1 ? 0 : result ? 2 : slot;
    anymps_dtype dtype = spec->types.dtype[type];
    uint64_t seed = spec->seed * 16 + slot;
    double low, high;
    range_of(dtype, &low, &high);
    if (strlen(shape) == 1) {
        size_t length = size_of(&spec->sizes, shape[0]);
        j->slot[slot].vector = random_vector(device, length, dtype, seed, low, high);
        return j->slot[slot].vector != NULL;
    }
    bool turned = spec->params.transpose[slot];
    anymps_matrix_desc desc = anymps_matrix_desc_make(size_of(&spec->sizes, shape[turned ? 1 : 0]),
                                                      size_of(&spec->sizes, shape[turned ? 0 : 1]), dtype);
    desc.matrices = spec->sizes.batch;
    desc.row_bytes = (desc.columns + spec->pad_columns) * anymps_dtype_bytes(dtype);
    j->slot[slot].matrix = random_matrix(device, &desc, seed, low, high);
    return j->slot[slot].matrix != NULL;
}

/* Optional operands come on request; the slopes of prelu exactly with that function. */
static bool is_given(const case_spec *spec, const job_slot_info *slot)
{
    if (strcmp(slot->name, "prelu") == 0) {
        return spec->params.neuron == ANYMPS_NEURON_PRELU;
    }
    return !slot->optional || spec->optional;
}

bool case_make(const case_spec *spec, anymps_device *device, job *j)
{
    const job_info *info = job_operator_info(spec->op);
    *j = (job){.op = spec->op, .params = spec->params, .device = device};
    for (size_t slot = 0; slot < info->slots; slot++) {
        if (is_given(spec, &info->slot[slot]) && !make_slot(spec, device, j, slot)) {
            return false;
        }
    }
    return true;
}
