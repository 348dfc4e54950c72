/* SPDX-License-Identifier: Apache-2.0 */
/* metal_layer_norm.c: layer_norm on Metal; all of it is shared with metal_rms_norm.c. */
#include "ops/metal_norm.h"

static anymps_status prepare(amps_metal_device *device, amps_metal_kernel *kernel)
{
    (void)device;
    return amps_metal_norm_prepare(kernel, AMPS_OP_layer_norm);
}

static anymps_status plan(amps_metal_plan *plan, const amps_record *record)
{
    return amps_metal_norm_plan(plan, record, true);
}

const amps_metal_op amps_metal_op_layer_norm = {.prepare = prepare, .plan = plan};
