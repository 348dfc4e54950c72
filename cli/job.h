/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job.h: one operator on its operands, whichever operator it is.
 *
 * The verbs, the bench, verify and the demo all describe what they want as a job: the operator, its
 * parameters and its operands in the order of the encode call ("slots"). The table in job.c says what
 * each operator's slots are called and how their shapes hang together.
 */
#ifndef JOB_H
#define JOB_H

#include <anymps/anymps.h>

typedef enum job_operator {
    JOB_MATMUL,
    JOB_MATRIX_VECTOR,
    JOB_FULLY_CONNECTED,
    JOB_NEURON,
    JOB_SOFTMAX,
    JOB_LOG_SOFTMAX,
    JOB_RMS_NORM,
    JOB_LAYER_NORM,
    JOB_LORA,
    JOB_OPERATORS
} job_operator;

enum { JOB_SLOTS = 5 };

typedef struct job_slot_info {
    const char *name;  /* "left", as the headers call it */
    const char *shape; /* letters of its rows and columns, one for a vector: "mk", "n" */
    bool optional;
    bool transposable; /* the operator has a flag for it */
} job_slot_info;

typedef struct job_info {
    const char *name; /* the library's: "rms_norm" */
    size_t slots;     /* the result is the last */
    job_slot_info slot[JOB_SLOTS];
} job_info;

const job_info *job_operator_info(job_operator op);

/* Every parameter of every operator; each reads its own. */
typedef struct job_params {
    bool transpose[JOB_SLOTS]; /* by slot */
    double alpha, beta, scale, epsilon;
    anymps_neuron_type neuron;
    double a, b, c;
    bool accumulate;
    uint32_t options;
} job_params;
#define JOB_PARAMS_INIT                                                                                                \
    {                                                                                                                  \
        .alpha = 1, .scale = 1, .epsilon = 1e-5                                                                        \
    }

typedef struct job_slot {
    anymps_matrix *matrix; /* one of the two, or neither: an optional operand that is not given */
    anymps_vector *vector;
} job_slot;

typedef struct job {
    job_operator op;
    job_params params;
    job_slot slot[JOB_SLOTS]; /* owned; job_free */
    anymps_device *device;    /* borrowed */
    anymps_kernel *kernel;
    anymps_queue *queue;
    anymps_command_buffer *command_buffer;
} job;

/* The sizes behind the letters of the shapes, and the batch. */
typedef struct job_sizes {
    size_t m, n, k, r, batch;
} job_sizes;

/* What an operand is called in messages: "left A.npy". Files may be NULL. */
typedef struct job_names {
    const char *file[JOB_SLOTS];
} job_names;

/* Checks that the operands that are there fit each other and gives the sizes. False, with an error line
   that names files, operands and both numbers, if they do not. The result may be missing. */
bool job_measure(const job *j, const job_names *names, job_sizes *sizes);

/* A descriptor of the result's shape for these sizes. */
anymps_matrix_desc job_result_desc(const job_sizes *sizes, anymps_dtype dtype);

anymps_dtype job_slot_dtype(const job *j, size_t slot);
size_t job_result_slot(const job *j);

/* Moves the operands into the device's own memory where it has one: kernels are timed there, and the way there is not.
   On failure the operands are as they were, or moved in part. */
anymps_status job_move_to_device(job *j);

/* Makes kernel, queue and command buffer, timings on, nothing encoded. The status is the library's. */
anymps_status job_prepare(job *j);

/* Encodes the operation once more. */
anymps_status job_encode(job *j);

/* Commits and waits; the times of this commit. */
anymps_status job_run(job *j, anymps_timings *timings);

void job_free(job *j);

/* Floating-point operations of one run, and bytes that it must move at least once. */
double job_flops(const job *j, const job_sizes *sizes);
double job_bytes(const job *j);

/* True where operations and not bytes are what counts: rates are given in GFLOP/s. */
bool job_counts_flops(job_operator op);

/* "64x512 * 512x8 -> 64x8 f32": what was computed, in `text` of JOB_TEXT bytes. */
enum { JOB_TEXT = 160 };
const char *job_text(const job *j, char *text);

#endif /* JOB_H */
