/* SPDX-License-Identifier: Apache-2.0 */
/* metal_log_softmax.c: log_softmax on Metal; all of it is shared with metal_softmax.c. */
#include "ops/metal_softmax.h"

static anymps_status prepare(amps_metal_device *device, amps_metal_kernel *kernel)
{
    return amps_metal_softmax_prepare(device, kernel, true);
}

static anymps_status plan(amps_metal_plan *plan, const amps_record *record)
{
    return amps_metal_softmax_plan(plan, record, true);
}

const amps_metal_op amps_metal_op_log_softmax = {.prepare = prepare, .plan = plan};
