/* SPDX-License-Identifier: Apache-2.0 */
/* metal_softmax.h: softmax and log_softmax, which differ in the class and in the last line of the kernel. */
#ifndef AMPS_METAL_SOFTMAX_H
#define AMPS_METAL_SOFTMAX_H

#include "metal_room.h"

anymps_status amps_metal_softmax_prepare(amps_metal_device *device, amps_metal_kernel *kernel, bool logarithm);
anymps_status amps_metal_softmax_plan(amps_metal_plan *plan, const amps_record *record, bool logarithm);

#endif /* AMPS_METAL_SOFTMAX_H */
