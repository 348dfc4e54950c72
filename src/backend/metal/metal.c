/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal.c: the Metal backend's vtable. Apple GPUs through Metal Performance Shaders and our own kernels, in plain
 * C by way of the Objective-C runtime. Called by src/core through the registry; the functions stand in the
 * files named beside them. `wait` is left to the front end: Metal's completion thread calls `done`.
 */
#include "metal_room.h"

const amps_backend amps_backend_metal = {
    .kind = ANYMPS_BACKEND_METAL,
    .name = "metal",
    .describe = amps_metal_describe, /* metal_device.c */
    .open = amps_metal_open,
    .close = amps_metal_close,
    .queue_open = amps_metal_queue_open, /* metal_submit.c */
    .queue_close = amps_metal_queue_close,
    .allocate = amps_metal_allocate, /* metal_memory.c */
    .free = amps_metal_free,
    .transfer = amps_metal_transfer,
    .supports = amps_metal_supports, /* metal_kernel.c */
    .prepare = amps_metal_prepare,
    .discard = amps_metal_discard,
    .submit = amps_metal_submit, /* metal_submit.c */
    .wait = NULL,
};
