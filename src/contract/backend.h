/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.h: the contract between the front end and a backend: one struct of functions and its rules.
 *
 * Called by src/core (devices, buffers, queues, commits) and src/ops (prepare). Implemented once per folder
 * under src/backend. A backend includes include/anymps, src/base, src/contract and its own folder only.
 *
 * Rules:
 *   - Arguments are checked in front: a backend sees no bad one and repeats no check.
 *   - Every function may be called from any thread at any time, unless its line says otherwise.
 *   - On failure a function records the detail with amps_fail, returns the status and changes nothing.
 *   - `done` may run the caller's completion callback and drop the last reference of anything: before it calls
 *     `done` a backend has unlinked the submission from its lists and holds no lock; inside `done` the same
 *     submission may be submitted again, and discard, free, queue_close and close may be called on the
 *     backend's own thread (a worker that closes its own queue must not join itself).
 *   - Structs below are the first member of the backend's own ("class"); the backend allocates them with
 *     alloc.h and fills the public members; the front end reads them.
 */
#ifndef AMPS_BACKEND_H
#define AMPS_BACKEND_H

#include "contract/record.h"

typedef struct amps_backend amps_backend;

typedef struct amps_device {
    const amps_backend *backend;
    anymps_device_properties properties;
    void *native; /* id<MTLDevice>, CUcontext, NULL */
} amps_device;

typedef struct amps_queue {
    amps_device *device;
    void *native; /* id<MTLCommandQueue>, CUstream, NULL */
} amps_queue;

typedef struct amps_memory {
    amps_device *device;
    void *host; /* what the host may read and write, or NULL (private storage) */
    size_t length_bytes;
    anymps_storage storage;
    void *native;            /* id<MTLBuffer>, CUdeviceptr, host address */
    const char *copy_reason; /* NULL: in place as asked; else why it was copied (lives as the memory) */
} amps_memory;

typedef struct amps_kernel {
    amps_device *device;
    const char *explain; /* what will run, one line; lives as the kernel */
} amps_kernel;

/* What memory is asked for. */
typedef enum amps_memory_kind {
    AMPS_MEMORY_NEW = 0,        /* fresh, zeroed */
    AMPS_MEMORY_WRAP_HOST = 1,  /* over host memory `bytes`, shared storage; a copy only if `may_copy` */
    AMPS_MEMORY_WRAP_NATIVE = 2 /* over the platform's handle `bytes`; never a copy */
} amps_memory_kind;

typedef struct amps_memory_request {
    amps_memory_kind kind;
    size_t length_bytes;
    anymps_storage storage;
    void *bytes;
    bool may_copy;
} amps_memory_request;

/* One blocking transfer; ranges are checked. */
typedef enum amps_transfer_kind {
    AMPS_TRANSFER_READ,    /* memory to host */
    AMPS_TRANSFER_WRITE,   /* host to memory */
    AMPS_TRANSFER_COPY,    /* source to memory, both of this backend, perhaps of two devices; may overlap */
    AMPS_TRANSFER_FILL,    /* every byte = value */
    AMPS_TRANSFER_PUBLISH, /* managed: host copy to device copy */
    AMPS_TRANSFER_FETCH    /* managed: device copy to host copy */
} amps_transfer_kind;

typedef struct amps_transfer {
    amps_transfer_kind kind;
    amps_memory *memory;
    size_t offset_bytes;
    size_t length_bytes;
    void *host;             /* READ: destination */
    const void *host_bytes; /* WRITE: source */
    amps_memory *source;    /* COPY */
    size_t source_offset_bytes;
    uint8_t value; /* FILL */
} amps_transfer;

/*
 * A command buffer as the backend sees it. It lives in the command buffer and is handed to `submit` for
 * each commit; between two commits the records are the same unless `generation` differs.
 */
typedef struct amps_submission amps_submission;
struct amps_submission {
    const amps_record *records;
    size_t count;
    uint64_t generation; /* counts resets: a plan made for another generation is stale */
    bool timings;        /* fill device_ns before `done` */
    bool watched;        /* a callback tells of the end, so perhaps nobody waits: begin without being waited for */
    const char *label;   /* "" if none */
    void *native_target; /* the caller's MTLCommandBuffer or CUstream to encode into, or NULL: our own */

    /* The backend's own: kept between commits (graphs, translated objects, scratch sizes). `release_plan`
       is called with `plan` when records are forgotten; never while in flight. */
    void *plan;
    void (*release_plan)(void *plan);
    amps_submission *next; /* for the backend's lists while in flight */
    atomic_uint backend_state;

    /* Written by the backend before `done`. */
    uint64_t device_ns;

    /* The backend calls it exactly once per successful `submit`, from any thread, also before `submit`
       returns. `error` is NULL for success; it is copied. After it returns the submission may be gone
       (the front end keeps it alive until then). */
    void (*done)(amps_submission *submission, const anymps_error *error);
};

struct amps_backend {
    anymps_backend kind;
    const char *name; /* "cpu", "cuda", "metal": also the folder and the id's first part */

    /* Describes device `index` without opening it; false past the last. The first call may load the
       driver; a driver that is absent or declines has no device. */
    bool (*describe)(size_t index, anymps_device_properties *properties);

    /* Opens device `index`. `desc` is the caller's, never NULL (threads, isa). */
    anymps_status (*open)(size_t index, const anymps_device_desc *desc, amps_device **device);
    /* Every queue, memory and kernel of the device is gone by then. */
    void (*close)(amps_device *device);

    /* `native` NULL: a fresh queue; else over the caller's handle (UNSUPPORTED on the CPU). */
    anymps_status (*queue_open)(amps_device *device, void *native, amps_queue **queue);
    /* No submission of the queue is in flight by then. */
    void (*queue_close)(amps_queue *queue);

    anymps_status (*allocate)(amps_device *device, const amps_memory_request *request, amps_memory **memory);
    /* No work uses the memory by then. For wrapped memory the front end calls the release callback after
       this returns. */
    void (*free)(amps_memory *memory);

    anymps_status (*transfer)(amps_device *device, const amps_transfer *transfer);

    /* Can this device run `op` on these types (in the descriptor's order)? UNSUPPORTED with a reason. */
    anymps_status (*supports)(amps_device *device, amps_operator op, const anymps_dtype *dtypes, size_t dtype_count);

    /* Prepares a kernel from a complete descriptor, which lives as long as the kernel. */
    anymps_status (*prepare)(amps_device *device, amps_operator op, const void *desc, amps_kernel **kernel);
    void (*discard)(amps_kernel *kernel);

    /* Sends all records to the queue, in order, after everything submitted to it before; waits for
       nothing. On failure nothing ran and `done` is not called; once anything ran, success and `done` with
       an error. One thread at a time per submission. */
    anymps_status (*submit)(amps_queue *queue, amps_submission *submission);
    /* Returns after the submission's `done` has been called; may work for it meanwhile. Optional: NULL
       means the front end sleeps until `done`. */
    void (*wait)(amps_queue *queue, amps_submission *submission);
};

/* Byte address of matrix `b` of a view in host memory (CPU backend). */
static inline unsigned char *amps_view_host(const amps_view *view, size_t b)
{
    return (unsigned char *)view->memory->native + view->offset_bytes + b * view->matrix_bytes;
}

#endif /* AMPS_BACKEND_H */
