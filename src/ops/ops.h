/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops.h: the checks that all operators share, for src/ops only. common.c implements them.
 *
 * An operator's file reads: descriptor limits, create, checks, encode, one-call form. Encode fills an
 * `amps_call` operand by operand; each helper checks one thing and says which operand failed, with both
 * numbers; `amps_call_record` does what is left (aliasing, the record).
 */
#ifndef AMPS_OPS_H
#define AMPS_OPS_H

#include "core/core.h"

/* The state of one encode. */
typedef struct amps_call {
    const char *name; /* begins every message */
    anymps_kernel *kernel;
    anymps_command_buffer *command_buffer;
    anymps_range range; /* complete: the caller's or the default */
    uint64_t started_ns;
    size_t batch; /* matrices that one encode runs; set by amps_call_batch */
    size_t count; /* operands so far, given or not */
    amps_view views[AMPS_MAX_OPERANDS];
    amps_operand *operands[AMPS_MAX_OPERANDS];
    const char *roles[AMPS_MAX_OPERANDS];
    anymps_origin origins[AMPS_MAX_OPERANDS];
} amps_call;

/* Copies the caller's descriptor of whatever version over `desc`, which holds the defaults. `given` may be
   NULL if `optional`. */
anymps_status amps_take_desc(const char *name, const void *given, void *desc, size_t size, bool optional);

/* Device and out pointer of a create call. */
anymps_status amps_check_create(const char *name, const anymps_device *device, const void *kernel);

/* Options and algorithm that every descriptor has. */
anymps_status amps_check_options(const char *name, uint32_t options, anymps_algorithm algorithm);

/* The one type of operators whose operands all have it: f32, f16 or bf16, else UNSUPPORTED. */
anymps_status amps_check_float_dtype(const char *name, anymps_dtype dtype);

/* The types of a product: one of the combinations of matmul, else UNSUPPORTED. */
anymps_status amps_check_product_dtypes(const char *name, anymps_dtype left, anymps_dtype right, anymps_dtype result);

/* NaN and infinity are refused in parameters where they make no sense. */
anymps_status amps_check_finite(const char *name, const char *parameter, double value);

/* The neuron type is one, its parameters finite. */
anymps_status amps_check_neuron(const char *name, anymps_neuron_type neuron, float a, float b, float c);

/* The vector `prelu` is given exactly when the type is PRELU. */
anymps_status amps_check_prelu(const char *name, anymps_neuron_type neuron, const anymps_vector *prelu);

/* Begins an encode: handles, kernel of this operator and device, range, state. */
anymps_status amps_call_begin(amps_call *call, amps_operator op, anymps_kernel *kernel,
                              anymps_command_buffer *command_buffer, const anymps_range *range);

/* Adds an operand: handle, device, type. `object` NULL: not given (only if `optional`). */
anymps_status amps_call_matrix(amps_call *call, const char *role, anymps_matrix *object, anymps_dtype dtype,
                               anymps_origin origin, bool optional);
anymps_status amps_call_vector(amps_call *call, const char *role, anymps_vector *object, anymps_dtype dtype,
                               anymps_origin origin, bool optional);

/* Fixes the batch from the operands added so far; `result` is the index of the result. */
anymps_status amps_call_batch(amps_call *call, size_t result);

/* Rows (columns) that operand `index` offers from its origin on. Origins were checked when added. */
size_t amps_call_rows(const amps_call *call, size_t index);
size_t amps_call_columns(const amps_call *call, size_t index);

/* `wanted`, or what operand `index` offers if that is ANYMPS_ALL. */
size_t amps_call_resolve(size_t wanted, size_t offered);

/* Cuts operand `index` to rows × columns from its origin; SHAPE_MISMATCH if it offers less. Does nothing
   for an operand that is not given. `what` names the sizes: "rows x interior". */
anymps_status amps_call_cut(amps_call *call, size_t index, size_t rows, size_t columns, const char *what);

/* SHAPE_MISMATCH unless the two numbers agree: "<name>: left has 5 columns, right has 7 rows". */
anymps_status amps_check_equal(const char *name, const char *a_role, size_t a, const char *a_what, const char *b_role,
                               size_t b, const char *b_what);

/*
 * The last step: operand `result` (and `second_result`, or SIZE_MAX) is written. Refuses read-only memory and
 * overlap with other operands; those whose bit is set in `same_view_mask` may be the result's very view.
 * Then records.
 */
anymps_status amps_call_record(amps_call *call, size_t result, size_t second_result, uint32_t same_view_mask);

/* Do two views share a byte? Exact for views of equal row_bytes, else by their outer ranges. */
bool amps_views_overlap(const amps_view *a, size_t a_batch, const amps_view *b, size_t b_batch);

/* One-call forms: check the handles early, so that sizes can be read from the operands. */
anymps_status amps_need_matrix(const char *name, const char *role, const anymps_matrix *matrix);
anymps_status amps_need_vector(const char *name, const char *role, const anymps_vector *vector);

#endif /* AMPS_OPS_H */
