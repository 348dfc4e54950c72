/* SPDX-License-Identifier: Apache-2.0 */
/*
 * neurons.h: the neuron functions by name and in double precision.
 *
 * Used by options.c (names), oracle.c (values) and cmd_neuron.c.
 */
#ifndef NEURONS_H
#define NEURONS_H

#include <anymps/anymps.h>

/* The number of functions, and the `index`-th of them. */
size_t neuron_count(void);
anymps_neuron_type neuron_at(size_t index);

/* Reads the library's name of a function back; false if it is none. */
bool neuron_parse(const char *name, anymps_neuron_type *neuron);

/* f(x) with parameters a, b, c. For PRELU `a` is the value of the column. */
double neuron_value(anymps_neuron_type neuron, double a, double b, double c, double x);

#endif /* NEURONS_H */
