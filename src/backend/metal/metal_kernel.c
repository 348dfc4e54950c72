/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_kernel.c: preparing a kernel: which engine runs it, its first MPS objects, its explain line.
 *
 * Called through the vtable (metal.c). Calls ops/ (prepare), metal_plan.c (sets). Reads vendor.def, the one
 * table of the choice between Apple's kernels and ours.
 */
#include "metal_plan.h"

#include "base/alloc.h"
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const names[AMPS_OP_COUNT] = {
#define AMPS_OPERATOR(name, desc_type, operand_count, dtype_count) #name,
#include "contract/ops.def"
#undef AMPS_OPERATOR
};

#define AMPS_METAL_OP(name) extern const amps_metal_op amps_metal_op_##name;
#include "ops.def"
#undef AMPS_METAL_OP

static const amps_metal_op *const operators[AMPS_OP_COUNT] = {
#define AMPS_METAL_OP(name) [AMPS_OP_##name] = &amps_metal_op_##name,
#include "ops.def"
#undef AMPS_METAL_OP
};

/* ---- The choice ------------------------------------------------------------------------------- */

typedef struct vendor_row {
    amps_operator op;
    anymps_dtype types[3];
    double own_up_to; /* multiplications */
} vendor_row;

static const vendor_row vendor_rows[] = {
#define AMPS_METAL_VENDOR(op, a, b, c, own_up_to)                                                                      \
    {AMPS_OP_##op, {ANYMPS_DTYPE_##a, ANYMPS_DTYPE_##b, ANYMPS_DTYPE_##c}, own_up_to},
#include "vendor.def"
#undef AMPS_METAL_VENDOR
};

static const vendor_row *find_vendor(amps_operator op, const anymps_dtype types[3])
{
    for (size_t i = 0; i < sizeof vendor_rows / sizeof vendor_rows[0]; i++) {
        const vendor_row *const row = &vendor_rows[i];
        if (row->op == op && row->types[0] == types[0] && row->types[1] == types[1] && row->types[2] == types[2]) {
            return row;
        }
    }
    return NULL;
}

static void explain(amps_metal_kernel *kernel, const char *format, ...) ANYMPS_PRINTF(2, 3);

static void explain(amps_metal_kernel *kernel, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(kernel->explain, sizeof kernel->explain, format, arguments);
    va_end(arguments);
}

anymps_status amps_metal_choose(amps_metal_kernel *kernel, const amps_metal_question *question, const char *note)
{
    const char *const name = names[question->op];
    const vendor_row *const row = find_vendor(question->op, question->types);
    const char *const avoid = row == NULL ? "MPS has no such operator or types" : question->avoid;
    ANYMPS_FAIL_IF(question->algorithm == ANYMPS_ALGORITHM_VENDOR && avoid != NULL, ANYMPS_UNSUPPORTED,
                   "%s: MPS cannot run %s,%s to %s here: %s", name, anymps_dtype_name(question->types[0]),
                   anymps_dtype_name(question->types[1]), anymps_dtype_name(question->types[2]), avoid);
    const bool small = row != NULL && question->multiplications < row->own_up_to;
    kernel->vendor = avoid == NULL && (question->algorithm == ANYMPS_ALGORITHM_VENDOR ||
                                       (question->algorithm == ANYMPS_ALGORITHM_AUTO && !small));
    if (kernel->vendor && note != NULL) {
        explain(kernel, "mps %s in pieces (%s)", question->vendor_name, note);
        amps_log(ANYMPS_LOG_WARNING, "%s: %s in pieces: %s", name, question->vendor_name, note);
    } else if (kernel->vendor) {
        explain(kernel, "mps %s", question->vendor_name);
    } else if (row != NULL && avoid != NULL && question->algorithm == ANYMPS_ALGORITHM_AUTO) {
        explain(kernel, "own %s (not MPS: %s)", name, avoid);
        amps_log(ANYMPS_LOG_WARNING, "%s: our own kernel instead of %s: %s", name, question->vendor_name, avoid);
    } else {
        explain(kernel, "own %s", name);
    }
    return ANYMPS_OK;
}

/* ---- Vtable ----------------------------------------------------------------------------------- */

static anymps_status check_product(const char *name, const anymps_dtype *t)
{
    const bool floats = t[0] == t[1] &&
                        (t[0] == ANYMPS_DTYPE_F32 || t[0] == ANYMPS_DTYPE_F16 || t[0] == ANYMPS_DTYPE_BF16) &&
                        (t[2] == t[0] || t[2] == ANYMPS_DTYPE_F32);
    const bool bytes = t[0] == ANYMPS_DTYPE_I8 && t[1] == ANYMPS_DTYPE_I8 &&
                       (t[2] == ANYMPS_DTYPE_F32 || t[2] == ANYMPS_DTYPE_F16 || t[2] == ANYMPS_DTYPE_I32);
    const bool words = t[0] == ANYMPS_DTYPE_I16 && t[1] == ANYMPS_DTYPE_I16 && t[2] == ANYMPS_DTYPE_F32;
    ANYMPS_FAIL_IF(!floats && !bytes && !words, ANYMPS_UNSUPPORTED, "%s: Metal has no kernel for %s times %s to %s",
                   name, anymps_dtype_name(t[0]), anymps_dtype_name(t[1]), anymps_dtype_name(t[2]));
    return ANYMPS_OK;
}

anymps_status amps_metal_supports(amps_device *device, amps_operator op, const anymps_dtype *dtypes, size_t dtype_count)
{
    (void)device;
    const char *const name = names[op];
    ANYMPS_FAIL_IF(operators[op] == NULL, ANYMPS_UNSUPPORTED, "%s: not on Metal", name);
    if (dtype_count == 3) {
        return check_product(name, dtypes);
    }
    ANYMPS_FAIL_IF(dtypes[0] != ANYMPS_DTYPE_F32 && dtypes[0] != ANYMPS_DTYPE_F16 && dtypes[0] != ANYMPS_DTYPE_BF16,
                   ANYMPS_UNSUPPORTED, "%s: Metal has no kernel for type %s", name, anymps_dtype_name(dtypes[0]));
    return ANYMPS_OK;
}

/* The set of MPS objects that the first plan will use, made now so that its cost falls on creation. */
static anymps_status warm_up(amps_metal_kernel *kernel)
{
    if (!kernel->vendor || kernel->make == NULL || kernel->first.rows == 0) {
        return ANYMPS_OK;
    }
    amps_metal_set *const set = amps_calloc(1, sizeof *set);
    if (set == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    set->kernel = kernel;
    amps_metal_object *object;
    const anymps_status status = amps_metal_set_object(set, &kernel->first, &object);
    if (status != ANYMPS_OK) {
        amps_metal_set_drop(set);
        return status;
    }
    kernel->idle = set;
    return ANYMPS_OK;
}

static anymps_status prepare_in_pool(amps_metal_device *device, amps_metal_kernel *kernel)
{
    ANYMPS_TRY(kernel->op->prepare(device, kernel));
    return warm_up(kernel);
}

anymps_status amps_metal_prepare(amps_device *device, amps_operator op, const void *desc, amps_kernel **kernel)
{
    ANYMPS_FAIL_IF(operators[op] == NULL, ANYMPS_UNSUPPORTED, "%s: not on Metal", names[op]);
    amps_metal_kernel *const made = amps_calloc(1, sizeof *made);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    if (pthread_mutex_init(&made->lock, NULL) != 0) {
        amps_free(made);
        return amps_fail(ANYMPS_OUT_OF_MEMORY, "%s: the system has no more locks", names[op]);
    }
    made->base.device = device;
    made->base.explain = made->explain;
    made->op = operators[op];
    made->desc = desc;
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    const anymps_status status = prepare_in_pool(amps_metal_device_of(device), made);
    amps_apple.objc_autoreleasePoolPop(pool);
    if (status != ANYMPS_OK) {
        amps_metal_discard(&made->base);
        return status;
    }
    *kernel = &made->base;
    return ANYMPS_OK;
}

void amps_metal_discard(amps_kernel *kernel)
{
    amps_metal_kernel *const self = (amps_metal_kernel *)(void *)kernel;
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    while (self->idle != NULL) {
        amps_metal_set *const set = self->idle;
        self->idle = set->next;
        amps_metal_set_drop(set);
    }
    amps_apple.objc_autoreleasePoolPop(pool);
    (void)pthread_mutex_destroy(&self->lock);
    amps_free(self);
}
