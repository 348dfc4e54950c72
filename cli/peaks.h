/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peaks.h: what a device can do at best, measured: multiply-adds and bytes copied.
 *
 * On the CPU by loops of the tool's own; on other devices by the largest matmul and a copy between buffers.
 */
#ifndef PEAKS_H
#define PEAKS_H

#include <anymps/anymps.h>

typedef struct peaks {
    anymps_device *device; /* borrowed */
    bool on_cpu;
    size_t threads;  /* CPU */
    double gflops;   /* f32 multiply-adds, two operations each */
    double gb_per_s; /* copying far more than the caches hold; bytes read and written */
    const char *how; /* "avx512 fma loop", "matmul 4096", lives for ever */
    double copy[48]; /* CPU: the same by footprint, 2^i bytes; 0: not measured yet */
} peaks;

/* Measures the two peaks; takes under a second. False, with the error line printed, on failure. */
bool peaks_measure(anymps_device *device, peaks *p);

/* Copy bandwidth when source and destination together take `bytes`: in cache it is higher. */
double peaks_copy(peaks *p, double bytes);

/* The least time, in nanoseconds, that these peaks allow for so many operations and bytes. */
double peaks_floor_ns(peaks *p, double flops, double bytes);

/* The loop alone, in peaks_fma.c: GFLOP/s of `threads` threads, and its name. */
double peaks_fma(size_t threads, const char **how);

#endif /* PEAKS_H */
