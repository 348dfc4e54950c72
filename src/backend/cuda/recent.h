/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recent.h: short runs that a queue has seen lately. Who encodes and commits the same operation again and again gets a CUDA
 * graph of it, as who commits one command buffer again does: a graph is launched in half the host's time of a kernel.
 * Owned by cuda_queue.c, used by plan.c.
 */
#ifndef AMPS_CUDA_RECENT_H
#define AMPS_CUDA_RECENT_H

#include "backend/cuda/cuda_device.h"

/* What a run launches, byte by byte: functions, shapes, arguments with every address. Two runs with equal bytes do the same.
   A fixed room, so that a commit allocates nothing; what does not fit is not remembered. */
enum { AMPS_CUDA_TRACE_BYTES = 1536 };
typedef struct amps_cuda_trace {
    bool whole; /* everything that would be launched is in it */
    size_t bytes;
    unsigned char data[AMPS_CUDA_TRACE_BYTES];
} amps_cuda_trace;

/* One run that was seen `times` times. */
typedef struct amps_cuda_recent_run {
    amps_cuda_trace trace;
    unsigned times; /* 0: free */
    uint64_t used;  /* when last */
    bool refused;   /* the driver would not capture it */
    CUgraphExec graph;
} amps_cuda_recent_run;

enum { AMPS_CUDA_RECENT_RUNS = 4 };
typedef struct amps_cuda_recent {
    uint64_t clock;
    amps_cuda_recent_run runs[AMPS_CUDA_RECENT_RUNS];
} amps_cuda_recent;

/* A graph costs as much as some ten launches: worth it for what came so often. */
enum { AMPS_CUDA_GRAPH_FROM = 4 };

/* The entry of the run that would launch this: one seen before, or a new one in place of that unused for longest. NULL if the
   trace is not whole. The context is entered. */
amps_cuda_recent_run *amps_cuda_recent_find(amps_cuda_recent *recent, const amps_cuda_trace *trace);

/* Gives the graphs back. The context is entered. */
void amps_cuda_recent_drop(amps_cuda_recent *recent);

#endif /* AMPS_CUDA_RECENT_H */
