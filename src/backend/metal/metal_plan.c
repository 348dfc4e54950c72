/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_plan.c: the steps of a list of records, with the MPS objects they need.
 *
 * Called by ops/ (adding steps) and metal_submit.c (making and dropping a plan). Calls objc.h. Must not know
 * operators. A plan keeps every object it makes until it is dropped, so that encoding it again makes none.
 */
#include "metal_plan.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"

#include <string.h>

/* Room for one more element; the old block stays if memory is out. */
static anymps_status grow(void **block, size_t *capacity, size_t used, size_t size)
{
    if (used < *capacity) {
        return ANYMPS_OK;
    }
    const size_t more = *capacity == 0 ? 4 : *capacity * 2;
    void *const bigger = amps_calloc(more, size);
    if (bigger == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    if (used != 0) {
        memcpy(bigger, *block, used * size);
    }
    amps_free(*block);
    *block = bigger;
    *capacity = more;
    return ANYMPS_OK;
}

static anymps_status add_step(amps_metal_plan *plan, amps_metal_step **step)
{
    void *steps = plan->steps;
    const anymps_status status = grow(&steps, &plan->step_capacity, plan->step_count, sizeof **step);
    plan->steps = steps;
    ANYMPS_TRY(status);
    *step = &plan->steps[plan->step_count++];
    return ANYMPS_OK;
}

/* ---- Launches --------------------------------------------------------------------------------- */

anymps_status amps_metal_add_launch(amps_metal_plan *plan, amps_metal_function function, amps_mtl_size groups,
                                    size_t threads, const void *params, size_t params_bytes,
                                    amps_metal_launch_step **launch)
{
    amps_id pipeline;
    ANYMPS_TRY(amps_metal_pipeline(plan->device, function, &pipeline));
    amps_metal_step *step;
    ANYMPS_TRY(add_step(plan, &step));
    step->kind = AMPS_METAL_STEP_LAUNCH;
    step->launch = (amps_metal_launch_step){
        .pipeline = pipeline, .params_bytes = params_bytes, .groups = groups, .threads = threads};
    memcpy(step->launch.params, params, params_bytes);
    *launch = &step->launch;
    return ANYMPS_OK;
}

void amps_metal_bind(amps_metal_launch_step *launch, const amps_view *view, const amps_view *instead)
{
    const amps_view *const bound = view->memory != NULL ? view : instead;
    launch->buffers[launch->buffer_count] = amps_metal_buffer(bound->memory);
    launch->offsets[launch->buffer_count] = bound->offset_bytes;
    launch->buffer_count++;
}

/* ---- MPS kernel objects ----------------------------------------------------------------------- */

/* The plan's set of this kernel's objects: its own already, an idle one, or a new one. */
static anymps_status take_set(amps_metal_plan *plan, amps_metal_kernel *kernel, amps_metal_set **set)
{
    for (*set = plan->sets; *set != NULL; *set = (*set)->next) {
        if ((*set)->kernel == kernel) {
            return ANYMPS_OK;
        }
    }
    (void)pthread_mutex_lock(&kernel->lock);
    *set = kernel->idle;
    if (*set != NULL) {
        kernel->idle = (*set)->next;
    }
    (void)pthread_mutex_unlock(&kernel->lock);
    if (*set == NULL) {
        *set = amps_calloc(1, sizeof **set);
        if (*set == NULL) {
            return ANYMPS_OUT_OF_MEMORY;
        }
        (*set)->kernel = kernel;
    }
    (*set)->next = plan->sets;
    plan->sets = *set;
    return ANYMPS_OK;
}

static bool same_variant(const amps_metal_variant *a, const amps_metal_variant *b)
{
    return a->class == b->class && a->rows == b->rows && a->columns == b->columns && a->interior == b->interior &&
           !(a->beta < b->beta) && !(a->beta > b->beta);
}

anymps_status amps_metal_set_object(amps_metal_set *set, const amps_metal_variant *variant, amps_metal_object **object)
{
    for (size_t i = 0; i < set->count; i++) {
        if (same_variant(&set->objects[i]->variant, variant)) {
            *object = set->objects[i];
            return ANYMPS_OK;
        }
    }
    void *objects = set->objects;
    const anymps_status status = grow(&objects, &set->capacity, set->count, sizeof(amps_metal_object *));
    set->objects = objects;
    ANYMPS_TRY(status);
    amps_metal_object *const made = amps_calloc(1, sizeof *made);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    made->variant = *variant;
    made->object = set->kernel->make(set->kernel, variant);
    if (made->object == NULL) {
        amps_free(made);
        return amps_fail(ANYMPS_OUT_OF_MEMORY,
                         "metal: MPS makes no kernel object of %zu rows, %zu columns, interior %zu", variant->rows,
                         variant->columns, variant->interior);
    }
    set->objects[set->count++] = made;
    *object = made;
    return ANYMPS_OK;
}

void amps_metal_set_drop(amps_metal_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        amps_drop(set->objects[i]->object);
        amps_free(set->objects[i]);
    }
    amps_free(set->objects);
    amps_free(set);
}

anymps_status amps_metal_add_mps(amps_metal_plan *plan, const amps_kernel *kernel, const amps_metal_variant *variant,
                                 const amps_metal_mps_step *mps)
{
    /* The record's pointer is to const, but a prepared kernel's idle list is its own affair, under its lock. */
    amps_metal_kernel *const self = (amps_metal_kernel *)(uintptr_t)kernel;
    amps_metal_set *set = NULL;
    amps_metal_object *object = NULL;
    ANYMPS_TRY(take_set(plan, self, &set));
    ANYMPS_TRY(amps_metal_set_object(set, variant, &object));
    amps_metal_step *step;
    ANYMPS_TRY(add_step(plan, &step));
    step->kind = AMPS_METAL_STEP_MPS;
    step->mps = *mps;
    step->mps.object = object;
    return ANYMPS_OK;
}

/* ---- Matrices and vectors --------------------------------------------------------------------- */

bool amps_metal_stacked(const amps_view *view, size_t batch)
{
    return batch == 1 || (view->matrix_bytes >= view->rows * view->row_bytes && view->row_bytes != 0 &&
                          view->matrix_bytes % view->row_bytes == 0);
}

bool amps_metal_rows_allowed(const amps_metal_device *device, const amps_view *source, const amps_view *result)
{
    const size_t element = amps_metal_element(source);
    const bool aliased =
        source->memory->native == result->memory->native && source->offset_bytes == result->offset_bytes;
    return !aliased && amps_metal_errata_stride(&device->facts, source->columns) &&
           amps_metal_errata_stride(&device->facts, source->row_bytes / element) &&
           amps_metal_errata_stride(&device->facts, result->row_bytes / element);
}

/* A new object of this shape: +1, or NULL if MPS makes none. */
static amps_id make_operand(amps_id buffer, const amps_metal_shape *shape)
{
    if (shape->vector) {
        const amps_id descriptor =
            amps_send_vector_descriptor(amps_class_named("MPSVectorDescriptor"), shape->columns, shape->count,
                                        shape->matrix_bytes, (uint32_t)shape->dtype);
        return descriptor == NULL ? NULL
                                  : amps_send_vector_init(amps_send_alloc(amps_class_named("MPSVector")), buffer,
                                                          shape->offset_bytes, descriptor);
    }
    const amps_id descriptor =
        amps_send_matrix_descriptor(amps_class_named("MPSMatrixDescriptor"), shape->rows, shape->columns, shape->count,
                                    shape->row_bytes, shape->matrix_bytes, (uint32_t)shape->dtype);
    return descriptor == NULL ? NULL
                              : amps_send_matrix_init(amps_send_alloc(amps_class_named("MPSMatrix")), buffer,
                                                      shape->offset_bytes, descriptor);
}

/* A spare object of the memory or a new one, the plan's until it is dropped. Room is made before the object. */
static anymps_status take_operand(amps_metal_plan *plan, amps_memory *memory, const amps_metal_shape *shape,
                                  amps_id *object)
{
    void *operands = plan->operands;
    const anymps_status status =
        grow(&operands, &plan->operand_capacity, plan->operand_count, sizeof(amps_metal_operand));
    plan->operands = operands;
    ANYMPS_TRY(status);
    *object = amps_metal_spare_take(memory, shape);
    if (*object == NULL) {
        *object = make_operand(amps_metal_buffer(memory), shape);
    }
    ANYMPS_FAIL_IF(*object == NULL, ANYMPS_OUT_OF_MEMORY, "metal: MPS makes no %s of %zu rows, %zu columns",
                   shape->vector ? "vector" : "matrix", shape->rows, shape->columns);
    plan->operands[plan->operand_count++] = (amps_metal_operand){*object, memory, *shape};
    return ANYMPS_OK;
}

anymps_status amps_metal_matrix(amps_metal_plan *plan, const amps_view *view, size_t first, size_t count,
                                amps_id *matrix)
{
    const amps_metal_shape shape = {.dtype = view->dtype,
                                    .offset_bytes = view->offset_bytes + first * view->matrix_bytes,
                                    .rows = view->rows,
                                    .columns = view->columns,
                                    .row_bytes = view->row_bytes,
                                    .matrix_bytes = count > 1 ? view->matrix_bytes : view->rows * view->row_bytes,
                                    .count = count};
    return take_operand(plan, view->memory, &shape, matrix);
}

anymps_status amps_metal_vector(amps_metal_plan *plan, const amps_view *view, size_t first, size_t count,
                                amps_id *vector)
{
    const amps_metal_shape shape = {.vector = true,
                                    .dtype = view->dtype,
                                    .offset_bytes = view->offset_bytes + first * view->matrix_bytes,
                                    .rows = 1,
                                    .columns = view->columns,
                                    .matrix_bytes =
                                        count > 1 ? view->matrix_bytes : view->columns * amps_metal_element(view),
                                    .count = count};
    return take_operand(plan, view->memory, &shape, vector);
}

/* ---- Plans ------------------------------------------------------------------------------------ */

void amps_metal_plan_drop(void *dropped)
{
    amps_metal_plan *const plan = dropped;
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    for (size_t i = 0; i < plan->operand_count; i++) {
        const amps_metal_operand *const operand = &plan->operands[i];
        amps_metal_spare_give(operand->memory, &operand->shape, operand->object);
    }
    while (plan->sets != NULL) {
        amps_metal_set *const set = plan->sets;
        plan->sets = set->next;
        (void)pthread_mutex_lock(&set->kernel->lock);
        set->next = set->kernel->idle;
        set->kernel->idle = set;
        (void)pthread_mutex_unlock(&set->kernel->lock);
    }
    amps_apple.objc_autoreleasePoolPop(pool);
    amps_free(plan->operands);
    amps_free(plan->steps);
    amps_free(plan);
}

static anymps_status add_records(amps_metal_plan *plan, const amps_submission *submission)
{
    for (size_t i = 0; i < submission->count; i++) {
        const amps_record *const record = &submission->records[i];
        if (record->batch == 0) {
            continue;
        }
        const amps_metal_kernel *const kernel = (const amps_metal_kernel *)(const void *)record->kernel;
        ANYMPS_TRY(kernel->op->plan(plan, record));
    }
    return ANYMPS_OK;
}

anymps_status amps_metal_plan_make(amps_metal_device *device, const amps_submission *submission, amps_metal_plan **plan)
{
    amps_metal_plan *const made = amps_calloc(1, sizeof *made);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    made->device = device;
    made->generation = submission->generation;
    const anymps_status status = add_records(made, submission);
    if (status != ANYMPS_OK) {
        amps_metal_plan_drop(made);
        return status;
    }
    *plan = made;
    return ANYMPS_OK;
}
