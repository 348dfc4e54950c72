/* SPDX-License-Identifier: Apache-2.0 */
/* metal_neuron.h: what neuron and fully_connected share: which functions MPS may compute, and our launch. */
#ifndef AMPS_METAL_NEURON_H
#define AMPS_METAL_NEURON_H

#include "metal_room.h"

/* f(alpha*source + bias) with f given by type and parameters. */
typedef struct amps_metal_activation {
    anymps_neuron_type neuron;
    float a, b, c;
    double alpha;
} amps_metal_activation;

/* Why MPS does not compute this function for us; NULL: it does. May ask the device. */
const char *amps_metal_neuron_avoid(amps_metal_device *device, anymps_neuron_type neuron);

/* Adds one launch of our kernel; bias and prelu may be not given; result may be the source's very view. */
anymps_status amps_metal_neuron_own(amps_metal_plan *plan, const amps_metal_activation *activation,
                                    const amps_view *source, const amps_view *bias, const amps_view *prelu,
                                    const amps_view *result, size_t batch);

#endif /* AMPS_METAL_NEURON_H */
