/* SPDX-License-Identifier: Apache-2.0 */
/* metal_plan.h: making and dropping plans and sets, for metal_submit.c and metal_kernel.c. What operators call
   on a plan stands in metal_room.h. */
#ifndef AMPS_METAL_PLAN_H
#define AMPS_METAL_PLAN_H

#include "metal_room.h"

anymps_status amps_metal_plan_make(amps_metal_device *device, const amps_submission *submission,
                                   amps_metal_plan **plan);
/* Takes a plan; the type is that of amps_submission.release_plan. */
void amps_metal_plan_drop(void *dropped);

/* The set's MPS kernel object for a variant, made if missing; borrowed from the set. */
anymps_status amps_metal_set_object(amps_metal_set *set, const amps_metal_variant *variant, amps_metal_object **object);
void amps_metal_set_drop(amps_metal_set *set);

#endif /* AMPS_METAL_PLAN_H */
