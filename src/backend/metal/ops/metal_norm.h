/* SPDX-License-Identifier: Apache-2.0 */
/* metal_norm.h: rms_norm and layer_norm, one kernel with the mean taken off or not. */
#ifndef AMPS_METAL_NORM_H
#define AMPS_METAL_NORM_H

#include "metal_room.h"

anymps_status amps_metal_norm_prepare(amps_metal_kernel *kernel, amps_operator op);
anymps_status amps_metal_norm_plan(amps_metal_plan *plan, const amps_record *record, bool centred);

#endif /* AMPS_METAL_NORM_H */
