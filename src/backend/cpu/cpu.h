/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu.h: what the files of the CPU backend share: the opened device, a prepared kernel, an operator's
 * entry and the microkernel tables that were chosen for the device.
 *
 * cpu.c owns the vtable and the device; cpu_queue.c runs submissions; ops/cpu_<op>.c owns one operator;
 * gemm*.c multiply matrices for several of them. Nothing here knows the front end.
 */
#ifndef AMPS_CPU_H
#define AMPS_CPU_H

#include "contract/backend.h"

#include "backend/cpu/isa.h"
#include "backend/cpu/packed.h"
#include "backend/cpu/pool.h"
#include "backend/cpu/ukr/ukr.h"

/* Bytes of a cache line: threads write no line in common, scratch pieces start on one. */
enum { AMPS_CACHE_LINE = 64 };

/* An opened CPU. Immutable after `open`, but for what pool and store guard themselves. */
typedef struct amps_cpu_device {
    amps_device base;
    amps_cpu_isa isa;          /* the cap: microkernels of a newer set are not chosen */
    uint32_t features;         /* amps_cpu_feature bits under that cap */
    amps_cpu_caches caches;    /* bytes of L1d, L2, L3 of one core */
    amps_pool *pool;           /* threads, the caller's among them */
    amps_packed_store *packed; /* packed copies of constant operands */
    const amps_row_ukr *rows;  /* row microkernels: softmax, norms, neurons, conversions */
    double strict_work;        /* multiply-adds from which strict f32 is cut into bf16 parts; 0: gemm_low.c's number */
} amps_cpu_device;

struct amps_cpu_kernel;

enum { AMPS_CPU_STEP_ROOM = 656 };

/*
 * One record, ready to run as often as its submission is committed. An operator that works something out before it
 * computes keeps that in `room`. Lives in the submission's plan (cpu_queue.c), ten cache lines long.
 */
typedef struct amps_cpu_step {
    void (*run)(const struct amps_cpu_step *step, void *scratch);
    _Alignas(8) unsigned char room[AMPS_CPU_STEP_ROOM];
} amps_cpu_step;

/* One operator of ops.def on the CPU: `const amps_cpu_op amps_cpu_<op>` in ops/cpu_<op>.c. */
typedef struct amps_cpu_op {
    const char *name; /* as in ops.def, for messages */
    /* Operand types in the order of the descriptor. Records UNSUPPORTED with the reason. */
    anymps_status (*supports)(const char *name, const anymps_dtype *dtypes, size_t count);
    /* Fills kernel->explain_text; UNSUPPORTED if the descriptor asks for the vendor's kernels. */
    anymps_status (*prepare)(struct amps_cpu_kernel *kernel);
    /* Bytes of scratch that `run` needs for this record; false if they exceed size_t. Both NULL if kernels plan. */
    bool (*scratch)(const amps_cpu_device *device, const amps_record *record, size_t *bytes);
    /* Runs the record. `scratch` is aligned to a page and private to this call. Cannot fail. */
    void (*run)(const amps_cpu_device *device, const amps_record *record, void *scratch);
} amps_cpu_op;

enum { AMPS_CPU_EXPLAIN_SIZE = 128 };

/* A prepared operator. */
typedef struct amps_cpu_kernel {
    amps_kernel base;
    amps_operator op;
    const void *desc; /* lives as long as the kernel */
    const amps_cpu_op *entry;
    /* Optional, set by `prepare`, in the place of the entry's `scratch` and `run`: fills the step that runs this
       record as long as it is kept, and the bytes of scratch; false if they exceed size_t. */
    bool (*plan)(const amps_cpu_device *device, const amps_record *record, amps_cpu_step *step, size_t *bytes);
    char explain_text[AMPS_CPU_EXPLAIN_SIZE];
} amps_cpu_kernel;

static inline const amps_cpu_device *amps_cpu_of(const struct amps_cpu_kernel *kernel)
{
    return (const amps_cpu_device *)kernel->base.device;
}

/* For `prepare`: writes "own <what>__…" or refuses another algorithm. */
anymps_status amps_cpu_explain(amps_cpu_kernel *kernel, anymps_algorithm algorithm, const char *what);

/* For `supports` of operators with one type: f32, f16 or bf16. */
anymps_status amps_cpu_supports_floating(const char *name, const anymps_dtype *dtypes, size_t count);

/* The best row microkernels that the cap allows. */
const amps_row_ukr *amps_cpu_choose_rows(amps_cpu_isa isa);

/* Address of row i of matrix b of a view. */
static inline unsigned char *amps_view_row(const amps_view *view, size_t b, size_t i)
{
    return amps_view_host(view, b) + i * view->row_bytes;
}

/* Queues (cpu_queue.c): the vtable's slots. */
anymps_status amps_cpu_queue_open(amps_device *device, void *native, amps_queue **queue);
void amps_cpu_queue_close(amps_queue *queue);
anymps_status amps_cpu_submit(amps_queue *queue, amps_submission *submission);
void amps_cpu_wait(amps_queue *queue, amps_submission *submission);

#endif /* AMPS_CPU_H */
