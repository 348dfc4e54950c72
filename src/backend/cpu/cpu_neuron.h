/* SPDX-License-Identifier: Apache-2.0 */
/* cpu_neuron.h: public neuron numbers to those of the microkernels, for neuron and fully_connected. */
#ifndef AMPS_NEURON_H
#define AMPS_NEURON_H

#include "backend/cpu/cpu.h"

amps_neuron_params amps_neuron_params_of(anymps_neuron_type type, float a, float b, float c, double alpha);

#endif /* AMPS_NEURON_H */
