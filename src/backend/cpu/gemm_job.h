/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_job.h: one matmul, resolved: which loops run it, in what blocks, in how many tasks.
 *
 * Made by gemm_plan.c from amps_gemm_args, run by gemm_strip.c (tiles) and gemm_vector.c (dot products and
 * rows). Everything that decides an element's bits (the way, kc) depends on shapes, strides and types alone, never
 * on the number of threads or the batch.
 */
#ifndef AMPS_GEMM_JOB_H
#define AMPS_GEMM_JOB_H

#include "backend/cpu/gemm.h"
#include "backend/cpu/pack.h"
#include "backend/cpu/ukr/low_small.h"

typedef enum amps_gemm_way {
    AMPS_GEMM_PLAIN, /* gemm_reference.c */
    AMPS_GEMM_STRIP, /* tiles in registers */
    AMPS_GEMM_DOT,   /* both operands contiguous along k, one of them low */
    AMPS_GEMM_ROW,   /* few rows times a matrix stored row by row */
    AMPS_GEMM_LOW,   /* tiles of dot product instructions for narrow types (gemm_low.h) */
    AMPS_GEMM_SMALL  /* narrow types in the caches, widened where they lie (gemm_small.h) */
} amps_gemm_way;

typedef struct amps_gemm_job {
    amps_gemm_args args; /* exchanged so that C's elements of a row are neighbours, where that is possible */
    const amps_gemm_ukr *ukr;
    amps_gemm_way way;
    const amps_low_ukr *low; /* of AMPS_GEMM_LOW: there kc is in words, a_floats … in words */
    bool low_direct;         /* its tiles write C itself, as `low_result` */
    bool low_in_place;       /* and read B where it lies */
    amps_low_result low_result;
    const amps_low_small_ukr *small;                          /* of AMPS_GEMM_SMALL, with low_direct and low_result */
    size_t a_row, a_column, b_row, b_column, c_row, c_column; /* in elements */
    float alpha, beta;
    bool f32; /* all three operands are f32 */
    bool i8;  /* of AMPS_GEMM_DOT and AMPS_GEMM_ROW: i8 in i32 sums */
    bool pack_a, pack_b;
    bool b_lies;         /* B is f32 and lies in rows: if it is packed, then by the microkernel while it multiplies */
    bool reuse_b;        /* strips of packed B serve several blocks of rows; else each is packed right before its use */
    bool fetch_b;        /* B comes from memory: the microkernel fetches what comes next */
    bool outer;          /* C is written row by row: the interior is short */
    bool flat;           /* C has fewer columns than a vector, and vectors of it hold several rows */
    bool fetch_c;        /* C is larger than the first cache, with a short interior than the second */
    bool stream_c;       /* C is larger than all caches, and written row by row */
    bool chained;        /* sums in four chains: there are too few to keep the multipliers busy */
    bool keep_b;         /* B is constant: packed whole, if there is room to keep it */
    const float *kept_b; /* that copy (gemm_packed.c), or NULL: packed for this call */
    size_t kept_columns; /* its columns: n rounded up to whole strips */
    bool keep_a; /* of AMPS_GEMM_LOW: the same of a constant A; f32 is read where it lies, or packed by the task */
    const uint32_t *kept_a;
    size_t kept_rows;                      /* its rows: m rounded up to whole panels */
    size_t shared_a_words, shared_b_words; /* of AMPS_GEMM_LOW: what all threads pack together, before their tasks */
    size_t shared_bytes;                   /* both, in front of the threads' own scratch */
    size_t tail;                           /* last columns of C that are dot products instead of part of a vector */
    size_t vectors;                        /* strip width in vectors */
    size_t panel_rows;                     /* highest panel */
    size_t mc, nc, kc;                     /* block sizes */
    size_t batch_tasks, m_tasks, n_tasks;  /* tasks = their product */
    size_t a_floats, b_floats, c_floats;   /* scratch of one thread */
    size_t tail_floats;                    /* and the tail of B, turned around */
    size_t thread_bytes;
} amps_gemm_job;

/* Of dot products of narrow types, so many are made at once; of i8, the lower operand has at most so many lines. */
enum { AMPS_GEMM_DOT_LINES = 64, AMPS_GEMM_DOT8_LOW = 4 };

/* From one copied line of k elements to the next: each begins on a cache line, and they share no set of the caches. */
static inline size_t amps_gemm_line(size_t k)
{
    const size_t unit = AMPS_CACHE_LINE / sizeof(float), lines = k / unit + (k % unit != 0);
    return (lines | 1) * unit;
}

/* Task `task` of a job cut into three; [first, last) of each. The tail goes with the last columns before it. */
typedef struct amps_gemm_part {
    size_t batch_first, batch_last, m_first, m_last, n_first, n_last;
} amps_gemm_part;

/* Fills the job; false if the scratch exceeds size_t. */
bool amps_gemm_plan(const amps_gemm_args *args, amps_gemm_job *job);

/* The kept copy of a constant B, made by the first call: interior blocks of kc one after the other, in each the strips
   of all columns. NULL: pack for this call. */
const float *amps_gemm_packed_b(const amps_gemm_job *job);

amps_gemm_part amps_gemm_part_of(const amps_gemm_job *job, size_t task);

/* If the job is one call of a microkernel without scratch: fills it. */
bool amps_gemm_single_strip(const amps_gemm_job *job, amps_gemm_strip *strip); /* of strip, outer, flat */
bool amps_gemm_single_dot(const amps_gemm_job *job, amps_gemm_dot *dot);
bool amps_gemm_single_row(const amps_gemm_job *job, amps_gemm_row *row);

/* The microkernels for a device. */
const amps_gemm_ukr *amps_gemm_choose(const amps_cpu_device *device);

/* One task each; `scratch` is the thread's. */
void amps_gemm_strip_task(const amps_gemm_job *job, const amps_gemm_part *part, float *scratch);
void amps_gemm_dot_task(const amps_gemm_job *job, const amps_gemm_part *part, float *scratch);
void amps_gemm_row_task(const amps_gemm_job *job, const amps_gemm_part *part, float *scratch);

/*
 * Row i, columns [j, j + n) of C of batch b from their sums: alpha, beta, bias, neuron, one rounding. Of a job with
 * f32 C `sums` may be that very piece of C, with alpha and beta applied already (`scaled`); with i32 C `scaled`
 * says that C holds the sums of earlier blocks.
 */
void amps_gemm_finish(const amps_gemm_job *job, size_t b, size_t i, size_t j, size_t n, float *sums, bool scaled);

/* The same from i32 sums, which it may overwrite. */
void amps_gemm_finish_i32(const amps_gemm_job *job, size_t b, size_t i, size_t j, size_t n, int32_t *sums);

#endif /* AMPS_GEMM_JOB_H */
