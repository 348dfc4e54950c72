/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core.h: the structs behind the public handles, for src/core and src/ops only.
 *
 * A handle's first member is its kind and count (ref.h). Objects hold references on what they use:
 *
 *     matrix, vector -> buffer -> device        command buffer -> queue -> device
 *     kernel -> device                          command buffer -> kernels, matrices of its records
 *
 * The kernels, queue and command buffers that the one-call forms keep inside a device do not hold it
 * (`holds_device` false), or it would never go.
 */
#ifndef AMPS_CORE_H
#define AMPS_CORE_H

#include "base/alloc.h"
#include "base/checked.h"
#include "base/ref.h"
#include "base/status.h"
#include "base/versioned.h"
#include "contract/backend.h"

#include <pthread.h>

struct amps_oneshot; /* oneshot.c: the kernel cache and spare command buffers of the one-call forms */

struct anymps_device {
    amps_object object;
    amps_device *impl;
    struct amps_oneshot *oneshot;
};

struct anymps_buffer {
    amps_object object;
    anymps_device *device;
    amps_memory *memory;
    bool read_only;
    anymps_release_callback release; /* NULL once called or never given */
    void *release_context;
    void *release_bytes;
    bool wrapped;            /* counted in anymps_live.wrapped */
    const char *copy_reason; /* the memory's, or the wrapping caller's own; NULL: as asked for */
};

/* What a matrix and a vector have in common; a vector of n elements is a 1 × n matrix. */
typedef struct amps_operand {
    amps_object object;
    anymps_buffer *buffer;
    size_t offset_bytes;
    anymps_matrix_desc desc; /* resolved */
    amps_constant constant;
} amps_operand;

struct anymps_matrix {
    amps_operand operand;
};

struct anymps_vector {
    amps_operand operand;
};

struct anymps_queue {
    amps_object object;
    anymps_device *device;
    amps_queue *impl;
    bool holds_device;
};

struct anymps_kernel {
    amps_object object;
    anymps_device *device;
    amps_kernel *prepared;
    amps_operator op;
    bool holds_device;
    size_t desc_bytes;
    max_align_t desc[]; /* a copy of the public descriptor */
};

/* Names and sizes from ops.def. */
typedef struct amps_operator_info {
    const char *name;
    size_t desc_bytes;
    size_t operand_count;
    size_t dtype_count;
} amps_operator_info;

extern const amps_operator_info amps_operators[AMPS_OP_COUNT];

/* ---- registry.c ---- */

/* The backend and its index of device `index` in the list of all devices; false past the last. */
bool amps_registry_find(size_t index, const amps_backend **backend, size_t *backend_index);
/* The backend of this name ("cuda"), or NULL. */
const amps_backend *amps_registry_backend(const char *name);

/* ---- kernel.c ---- */

/* Makes a kernel from a checked descriptor (copied). `hold` false: see holds_device. */
anymps_status amps_kernel_make(anymps_device *device, amps_operator op, const void *desc, bool hold,
                               anymps_kernel **kernel);

/* ---- command.c ---- */

enum { AMPS_MAX_OPERANDS = 8 };

/*
 * Appends one operation. `operands[i]` is the object behind `views[i]`, or NULL where the view's memory is
 * NULL. Retains kernel and operands. `started_ns`: when encode began, 0 if timings are off.
 */
anymps_status amps_command_buffer_append(anymps_command_buffer *command_buffer, anymps_kernel *kernel, size_t batch,
                                         const amps_view *views, amps_operand *const *operands, size_t count,
                                         uint64_t started_ns);
/* INVALID_ARGUMENT or INVALID_STATE unless encode is allowed now. `name` begins the message. */
anymps_status amps_command_buffer_check(const anymps_command_buffer *command_buffer, const char *name);
/* The device its queue belongs to. */
anymps_device *amps_command_buffer_device(const anymps_command_buffer *command_buffer);
/* The clock if this command buffer measures, else 0. */
uint64_t amps_command_buffer_clock(const anymps_command_buffer *command_buffer);

/* ---- oneshot.c ---- */

anymps_status amps_oneshot_create(anymps_device *device);
void amps_oneshot_destroy(anymps_device *device);

/* Begins a one-call form: the kernel of this operator and complete descriptor from the device's cache, made
   if missing, and a spare command buffer of the device's own queue, RECORDING and empty. */
anymps_status amps_oneshot_begin(anymps_device *device, amps_operator op, const void *desc, anymps_kernel **kernel,
                                 anymps_command_buffer **command_buffer);
/* Ends it: commits if encoding gave OK, waits, gives kernel and command buffer back, returns the outcome. */
anymps_status amps_oneshot_end(anymps_device *device, anymps_kernel *kernel, anymps_command_buffer *command_buffer,
                               anymps_status encoded);

/* ---- queue.c ---- */

/* `native` NULL: a fresh one. `hold` false: see holds_device. */
anymps_status amps_queue_make(anymps_device *device, void *native, bool hold, anymps_queue **queue);

#endif /* AMPS_CORE_H */
