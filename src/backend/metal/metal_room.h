/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_room.h: what the files of this folder share: device, memory, prepared kernels, plans.
 *
 * A commit goes: metal_submit.c builds a plan from the records once (each operator's file adds steps),
 * encodes the plan's steps into a MTLCommandBuffer, commits it, and a completion block calls `done`. The plan
 * stays with the submission, so that a second commit only encodes and makes no object but the command buffer.
 *
 *     records --ops/metal_<op>.c--> plan: [step, step, …] --metal_submit.c--> MTLCommandBuffer
 *
 * A step is one MPS encode or one launch of an own kernel. MPS kernels must not be encoded by two threads at
 * once, so a plan borrows a set of MPS kernel objects from the prepared kernel for as long as it lives.
 */
#ifndef AMPS_METAL_ROOM_H
#define AMPS_METAL_ROOM_H

#include "base/status.h"
#include "contract/backend.h"
#include "errata.h"
#include "objc.h"

#include <pthread.h>

/* metal.c */
extern const amps_backend amps_backend_metal;

/* ---- Device ----------------------------------------------------------------------------------- */

typedef enum amps_metal_shader {
#define AMPS_METAL_SHADER(shader) AMPS_METAL_SHADER_##shader,
#define AMPS_METAL_KERNEL(shader, function)
#include "shaders.def"
#undef AMPS_METAL_SHADER
#undef AMPS_METAL_KERNEL
    AMPS_METAL_SHADER_COUNT
} amps_metal_shader;

typedef enum amps_metal_function {
#define AMPS_METAL_SHADER(shader)
#define AMPS_METAL_KERNEL(shader, function) AMPS_METAL_##function,
#include "shaders.def"
#undef AMPS_METAL_SHADER
#undef AMPS_METAL_KERNEL
    AMPS_METAL_FUNCTION_COUNT
} amps_metal_function;

typedef struct amps_metal_device {
    amps_device base;
    amps_id device;         /* id<MTLDevice>, held */
    amps_id transfer_queue; /* for blocking transfers and probes */
    amps_metal_facts facts; /* what the errata table asks */
    size_t page_bytes;
    bool unified;
    pthread_mutex_t lock;       /* guards libraries, pipelines being made, probes */
    pthread_mutex_t spare_lock; /* guards the spare matrices of all memories (metal_memory.c) */
    amps_id libraries[AMPS_METAL_SHADER_COUNT];
    _Atomic(amps_id) pipelines[AMPS_METAL_FUNCTION_COUNT];
    _Atomic(uint32_t) probed;    /* a bit for each PROBE line that has been tried */
    _Atomic(uint32_t) defective; /* those that showed the defect */
} amps_metal_device;

static inline amps_metal_device *amps_metal_device_of(amps_device *device)
{
    return (amps_metal_device *)(void *)device;
}

/* The pipeline of an own kernel, made on first use; borrowed from the device. */
anymps_status amps_metal_pipeline(amps_metal_device *device, amps_metal_function function, amps_id *pipeline);
/* Gives pipelines and libraries back. */
void amps_metal_pipelines_close(amps_metal_device *device);

bool amps_metal_describe(size_t index, anymps_device_properties *properties);
anymps_status amps_metal_open(size_t index, const anymps_device_desc *desc, amps_device **device);
void amps_metal_close(amps_device *device);

/* ---- Memory ----------------------------------------------------------------------------------- */

anymps_status amps_metal_allocate(amps_device *device, const amps_memory_request *request, amps_memory **memory);
void amps_metal_free(amps_memory *memory);
anymps_status amps_metal_transfer(amps_device *device, const amps_transfer *transfer);

/* What an MPSMatrix or MPSVector over a memory is fixed to. */
typedef struct amps_metal_shape {
    bool vector;
    anymps_dtype dtype;
    size_t offset_bytes, rows, columns, row_bytes, matrix_bytes, count;
} amps_metal_shape;

/*
 * A memory keeps a few MPSMatrix and MPSVector objects that no plan uses at the moment, so that a fresh plan over the
 * same operands (the one-call forms) makes none. `take` hands one out for good, or NULL; `give` gets one back and
 * owns it. Two plans never share an object.
 */
amps_id amps_metal_spare_take(amps_memory *memory, const amps_metal_shape *shape);
void amps_metal_spare_give(amps_memory *memory, const amps_metal_shape *shape, amps_id object);

static inline amps_id amps_metal_buffer(const amps_memory *memory)
{
    return (amps_id)memory->native;
}

/* ---- Prepared kernels ------------------------------------------------------------------------- */

typedef struct amps_metal_plan amps_metal_plan;
typedef struct amps_metal_kernel amps_metal_kernel;

/* How one operator runs on Metal; each ops/metal_<op>.c defines amps_metal_op_<op>. */
typedef struct amps_metal_op {
    /* Chooses the engine from the descriptor, checks that it exists, writes the explain line. */
    anymps_status (*prepare)(amps_metal_device *device, amps_metal_kernel *kernel);
    /* Adds the steps of one record. */
    anymps_status (*plan)(amps_metal_plan *plan, const amps_record *record);
} amps_metal_op;

/* What an MPS kernel object is fixed to beside the descriptor. Unused fields are 0. */
typedef struct amps_metal_variant {
    enum { AMPS_METAL_MAIN_CLASS, AMPS_METAL_PRODUCT_CLASS } class; /* the operator's own class, or a plain product */
    size_t rows, columns, interior;
    double beta;
} amps_metal_variant;

/* An MPS kernel object, and what was set on it last. */
typedef struct amps_metal_object {
    amps_metal_variant variant;
    amps_id object;
    size_t batch; /* the last setBatchSize:, 0: never */
} amps_metal_object;

/* The MPS kernel objects that one plan uses at a time. */
typedef struct amps_metal_set {
    struct amps_metal_set *next; /* in the kernel's idle list, or in the plan's list */
    amps_metal_kernel *kernel;
    size_t count, capacity;
    amps_metal_object **objects; /* each on its own, since steps point to it */
} amps_metal_set;

struct amps_metal_kernel {
    amps_kernel base;
    const amps_metal_op *op;
    const void *desc;
    bool vendor;                  /* MPS runs it, where the operands allow it */
    amps_metal_function function; /* the own kernel */
    amps_metal_variant first;     /* the MPS object to make at creation; rows 0: none yet */
    /* Makes an MPS kernel object for a variant: +1, NULL if MPS refuses. Vendor only. */
    amps_id (*make)(const amps_metal_kernel *kernel, const amps_metal_variant *variant);
    pthread_mutex_t lock; /* guards idle */
    amps_metal_set *idle;
    char explain[160];
};

anymps_status amps_metal_prepare(amps_device *device, amps_operator op, const void *desc, amps_kernel **kernel);
void amps_metal_discard(amps_kernel *kernel);
anymps_status amps_metal_supports(amps_device *device, amps_operator op, const anymps_dtype *dtypes,
                                  size_t dtype_count);

/* What the choice between Apple's kernel and ours depends on. */
typedef struct amps_metal_question {
    amps_operator op;
    anymps_dtype types[3]; /* a one-type operator repeats its type */
    anymps_algorithm algorithm;
    const char *vendor_name; /* "MPSMatrixMultiplication", for the explain line */
    const char *avoid;       /* what errata.def or the operands have against MPS; NULL: nothing */
    double multiplications;  /* rows*columns*interior; 0 where it is not known yet */
} amps_metal_question;

/* Answers it by vendor.def: sets `vendor` and the explain line, logs what the errata changed. `note` is the line
   that cuts the work into pieces, or NULL. UNSUPPORTED if the caller insists on MPS in vain. */
anymps_status amps_metal_choose(amps_metal_kernel *kernel, const amps_metal_question *question, const char *note);
/* Does this very device show the defect of a PROBE line? Runs a small product once; then it is known. */
bool amps_metal_probe(amps_metal_device *device, amps_metal_erratum erratum);

/* ---- Plans ------------------------------------------------------------------------------------ */

enum { AMPS_METAL_MAX_BUFFERS = 5, AMPS_METAL_MAX_PARAMS = 192, AMPS_METAL_MAX_OPERANDS = 4 };

/* One MPS encode: `encode(object, command buffer, operands)`. */
typedef struct amps_metal_mps_step {
    amps_metal_object *object;
    void (*encode)(amps_id object, amps_id command_buffer, const amps_id *operands);
    void (*set_batch)(amps_id object, amps_nsuint batch); /* NULL: the class has no batch */
    size_t batch;
    amps_id operands[AMPS_METAL_MAX_OPERANDS];
} amps_metal_mps_step;

/* One launch of an own kernel. The parameters follow the buffers in the argument table. */
typedef struct amps_metal_launch_step {
    amps_id pipeline;
    size_t buffer_count;
    amps_id buffers[AMPS_METAL_MAX_BUFFERS];
    size_t offsets[AMPS_METAL_MAX_BUFFERS];
    size_t params_bytes;
    unsigned char params[AMPS_METAL_MAX_PARAMS];
    amps_mtl_size groups;
    size_t threads;
} amps_metal_launch_step;

typedef struct amps_metal_step {
    enum { AMPS_METAL_STEP_MPS, AMPS_METAL_STEP_LAUNCH } kind;
    union {
        amps_metal_mps_step mps;
        amps_metal_launch_step launch;
    };
} amps_metal_step;

/* A matrix or vector that a plan owns, and the memory that gets it back. */
typedef struct amps_metal_operand {
    amps_id object;
    amps_memory *memory;
    amps_metal_shape shape;
} amps_metal_operand;

struct amps_metal_plan {
    amps_metal_device *device;
    uint64_t generation;
    amps_metal_step *steps;
    size_t step_count, step_capacity;
    amps_metal_operand *operands;
    size_t operand_count, operand_capacity;
    amps_metal_set *sets; /* borrowed from their kernels */
};

/* Adds a launch of `function` with `groups` threadgroups of `threads`; bind its buffers in order after it. */
anymps_status amps_metal_add_launch(amps_metal_plan *plan, amps_metal_function function, amps_mtl_size groups,
                                    size_t threads, const void *params, size_t params_bytes,
                                    amps_metal_launch_step **launch);
/* Binds the next buffer; a view that is not given is bound to `instead`, whose bytes are then not touched. */
void amps_metal_bind(amps_metal_launch_step *launch, const amps_view *view, const amps_view *instead);

/* Adds an MPS encode with the kernel's object for `variant`; the step's other fields are given. */
anymps_status amps_metal_add_mps(amps_metal_plan *plan, const amps_kernel *kernel, const amps_metal_variant *variant,
                                 const amps_metal_mps_step *step);
/* An MPSMatrix or MPSVector over `count` matrices of a view from matrix `first` on; kept by the plan. */
anymps_status amps_metal_matrix(amps_metal_plan *plan, const amps_view *view, size_t first, size_t count,
                                amps_id *matrix);
anymps_status amps_metal_vector(amps_metal_plan *plan, const amps_view *view, size_t first, size_t count,
                                amps_id *vector);

/* True if MPS can take `batch` matrices of the view in one object: stacked, not side by side, not shared. */
bool amps_metal_stacked(const amps_view *view, size_t batch);

/* May MPS work on these rows: a result apart from the source, no row beyond the errata table's bounds? */
bool amps_metal_rows_allowed(const amps_metal_device *device, const amps_view *source, const amps_view *result);

/* Bytes of the view's element. */
static inline size_t amps_metal_element(const amps_view *view)
{
    return anymps_dtype_bytes(view->dtype);
}

anymps_status amps_metal_queue_open(amps_device *device, void *native, amps_queue **queue);
void amps_metal_queue_close(amps_queue *queue);
anymps_status amps_metal_submit(amps_queue *queue, amps_submission *submission);

/* Runs what `encode` puts into a command buffer of the transfer queue and waits for it. `encode` gives false if
   Metal refused it an encoder: nothing runs then. */
anymps_status amps_metal_run(amps_metal_device *device, const char *what,
                             bool (*encode)(amps_id command_buffer, void *context), void *context);
/* OK, or the command buffer's failure as a status with Apple's text in `error`. `what` begins the message. */
anymps_status amps_metal_outcome(amps_id command_buffer, const char *what, anymps_error *error);

#endif /* AMPS_METAL_ROOM_H */
