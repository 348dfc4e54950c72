/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mac_direct.h: one f32 product through MPS without a word from the library, for mac_probe.c (defects) and mac_times.c
 * (times); and what the two share. Functions in mac_times.c.
 */
#ifndef MAC_DIRECT_H
#define MAC_DIRECT_H

#include "backend/metal/objc.h"

#include <anymps/anymps.h>

extern amps_id mac_device, mac_queue;

/* C = A * B, `batch` times. */
typedef struct mac_direct {
    amps_id buffers[3], matrices[3], kernel;
    size_t m, n, k, batch;
} mac_direct;

/* An MPSMatrix of f32 over a buffer: +1. */
amps_id mac_new_matrix(amps_id buffer, size_t rows, size_t columns, size_t count);

/* False if Metal has no memory for it; nothing is left then. */
bool mac_direct_open(mac_direct *self, size_t m, size_t n, size_t k, size_t batch);
void mac_direct_close(mac_direct *self);
void mac_direct_fill(const mac_direct *self, float left, float right);

/* Encode, commit, wait; the device's own time in microseconds, or -1 for a failure. */
double mac_direct_run(const mac_direct *self);

/* Prints the member "times_f32" of the report and a comma: square products up to `largest`, and known shapes. */
void mac_times(anymps_device *opened, size_t largest, size_t repeat);

#endif /* MAC_DIRECT_H */
