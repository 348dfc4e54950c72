/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuda_device.h: the structs of the CUDA backend, for its own files: device, memory, kernel, and what an
 * operator needs in order to launch (the emitter). cuda_queue.c keeps its struct to itself.
 */
#ifndef AMPS_CUDA_DEVICE_H
#define AMPS_CUDA_DEVICE_H

#include "backend/cuda/driver.h"
#include "backend/cuda/modules.h"
#include "contract/backend.h"

#include <pthread.h>

/* Free blocks that wait for their next use. A fixed table, so that giving memory back cannot fail and
   costs no host memory; a block that finds it full goes back to the driver. */
enum { AMPS_POOL_SLOTS = 256 };
typedef struct amps_cuda_pool {
    size_t count;
    struct {
        void *block; /* device or pinned host address */
        size_t bytes;
    } slots[AMPS_POOL_SLOTS];
} amps_cuda_pool;

typedef struct amps_cublaslt amps_cublaslt;     /* cublaslt.c */
typedef struct amps_cuda_trace amps_cuda_trace; /* recent.h */
typedef struct amps_measured amps_measured;     /* ops/gemm_measured.c */

typedef struct amps_cuda_device {
    amps_device base;       /* native: CUcontext */
    atomic_uint references; /* the front end's and one per queue: a queue may outlive `close` inside `done` */
    CUdevice handle;
    CUcontext context;
    CUstream io;         /* blocking transfers and zeroing */
    int multiprocessors; /* 132 on an H100 */
    int capability;      /* 10*major + minor */
    int shared_limit;    /* bytes of shared memory a block may ask for */
    bool has_sm90a;      /* the sm_90a code runs here: clusters, TMA, wgmma */

    pthread_mutex_t lock; /* the pools and the module table */
    amps_cuda_pool device_pool;
    amps_cuda_pool pinned_pool;
    CUmodule modules[AMPS_CUDA_MODULES];
    _Atomic(CUfunction) functions[AMPS_CUDA_FUNCTIONS];
    bool lt_tried;               /* cuBLASLt has been looked for */
    _Atomic(amps_cublaslt *) lt; /* NULL: not installed, or not wanted, or not yet wanted */
    amps_measured *measured;     /* NULL: not yet asked for; under the lock */

    atomic_bool lost; /* a sticky error was seen: everything is refused from then on */
    anymps_error lost_error;
} amps_cuda_device;

typedef struct amps_cuda_memory {
    amps_memory base; /* native: device address */
    void *block;      /* what goes back to a pool: device memory (private, managed) */
    size_t block_bytes;
    void *pinned; /* pinned host memory of ours (shared, managed) */
    size_t pinned_bytes;
    void *registered; /* the caller's memory that we registered */
    char reason[120]; /* base.copy_reason */
} amps_cuda_memory;

typedef struct amps_cuda_emitter amps_cuda_emitter;

/* What an operator does here; one per file in ops/. */
typedef struct amps_cuda_operator {
    anymps_status (*supports)(const anymps_dtype *dtypes, size_t count);
    /* Describes what will run; may refuse (UNSUPPORTED, OUT_OF_MEMORY). May be NULL. */
    anymps_status (*prepare)(amps_cuda_device *device, const void *desc, char *explain, size_t explain_size);
    /* Bytes of scratch that `emit` will use for this record. May be NULL: none. */
    size_t (*scratch)(amps_cuda_device *device, const amps_record *record);
    /* Launches. */
    anymps_status (*emit)(amps_cuda_emitter *out, const amps_record *record);
    /* Bit n: operand n is written beside the last one, which always is. */
    unsigned writes;
} amps_cuda_operator;

typedef struct amps_cuda_kernel {
    amps_kernel base;
    amps_operator op;
    const void *desc;
    char explain[160];
} amps_cuda_kernel;

/* Device memory that launches of one run have written: [begin, end). */
typedef struct amps_cuda_range {
    uint64_t begin, end;
} amps_cuda_range;

/* A network's activations are few buffers that take turns; a run that writes more gives up telling them apart. */
enum { AMPS_CUDA_RANGES = 48 };

/* Where an operator launches to: a stream, perhaps one that is being captured. */
struct amps_cuda_emitter {
    amps_cuda_device *device;
    CUstream stream;
    CUdeviceptr scratch; /* 256-aligned; shared by all records, since they run one after the other */
    size_t scratch_bytes;
    size_t launches;        /* how many have been made */
    amps_cuda_trace *trace; /* not NULL: launches are noted there and not made */
    amps_cuda_range written[AMPS_CUDA_RANGES];
    size_t ranges; /* AMPS_CUDA_RANGES + 1: anything may have been written */
};

/* How a kernel is launched; zero fields mean 1, none. */
typedef struct amps_cuda_shape {
    size_t grid_x, grid_y, grid_z;
    unsigned block_x, block_y;
    unsigned cluster_x;
    unsigned shared_bytes;
} amps_cuda_shape;

/* Makes `device`'s context current for a block of calls. enter/leave nest. */
static inline CUresult amps_cuda_enter(const amps_cuda_device *device)
{
    return amps_cu.CtxPushCurrent(device->context);
}

static inline void amps_cuda_leave(void)
{
    CUcontext old;
    (void)amps_cu.CtxPopCurrent(&old);
}

/* cuda.c: gives a reference back; the last one closes. */
void amps_cuda_device_release(amps_cuda_device *device);

/* cuda.c: remembers a sticky error; answers its status, or OK while the device is well. */
void amps_cuda_mark_lost(amps_cuda_device *device, const anymps_error *error);
anymps_status amps_cuda_check_lost(amps_cuda_device *device);

/* modules.c */
void amps_cuda_unload(amps_cuda_device *device);
/* Launches one kernel that takes one struct by value, of which `params` is the address. */
#define amps_cuda_launch(out, function, shape, params)                                                                 \
    amps_cuda_launch_bytes(out, function, shape, params, sizeof *(params))
anymps_status amps_cuda_launch_bytes(amps_cuda_emitter *out, amps_cuda_function function, const amps_cuda_shape *shape,
                                     const void *params, size_t params_bytes);

/* recent.c: notes a launch in the emitter's trace. */
void amps_cuda_note_launch(amps_cuda_emitter *out, amps_cuda_function function, const amps_cuda_shape *shape,
                           const void *params, size_t params_bytes);
/* recent.c: called before anything is sent to the stream past amps_cuda_launch. True: launches are only noted, and since this
   one cannot be, the caller sends nothing. */
bool amps_cuda_launches_elsewhere(amps_cuda_emitter *out);

/* plan.c: true if nothing that was launched in this run before writes the operand: a kernel may then read it while its
   predecessor still runs. True for an operand not given. */
bool amps_cuda_is_settled(const amps_cuda_emitter *out, const amps_record *record, size_t operand);

/* memory.c: the vtable's slots, and scratch for plans. Call with the context entered where noted. */
anymps_status amps_cuda_allocate(amps_device *device, const amps_memory_request *request, amps_memory **memory);
void amps_cuda_free(amps_memory *memory);
anymps_status amps_cuda_transfer(amps_device *device, const amps_transfer *transfer);
/* Entered. `*bytes` becomes what must be given back. */
anymps_status amps_cuda_pool_take(amps_cuda_device *device, bool pinned, size_t *bytes, void **block);
void amps_cuda_pool_give(amps_cuda_device *device, bool pinned, void *block, size_t bytes);
void amps_cuda_pool_empty(amps_cuda_device *device);

/* cuda_queue.c: the vtable's slots. */
anymps_status amps_cuda_queue_open(amps_device *device, void *native, amps_queue **queue);
void amps_cuda_queue_close(amps_queue *queue);
anymps_status amps_cuda_submit(amps_queue *queue, amps_submission *submission);
void amps_cuda_wait(amps_queue *queue, amps_submission *submission);

/* ops.c: every operator by its number. */
extern const amps_cuda_operator *const amps_cuda_operators[AMPS_OP_COUNT];

/* Device address of matrix 0 of a view; 0 if the operand is not given. */
static inline uint64_t amps_view_address(const amps_view *view)
{
    return view->memory == NULL ? 0 : (uint64_t)(uintptr_t)view->memory->native + view->offset_bytes;
}

#endif /* AMPS_CUDA_DEVICE_H */
