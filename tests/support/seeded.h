/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seeded.h: random numbers that repeat: the same seed gives the same sequence on every machine.
 * Used by every kind of test; knows nothing of the library.
 * Source: SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators").
 */
#ifndef TEST_SEEDED_H
#define TEST_SEEDED_H

#include <stddef.h>
#include <stdint.h>

typedef struct seeded {
    uint64_t state;
} seeded;

/* A generator whose seed is a text, such as a case name (FNV-1a of it). */
seeded seeded_from_text(const char *text);

/* The next 64 bits. */
uint64_t seeded_next(seeded *random);

/* A number in [0, limit); 0 for limit 0. */
size_t seeded_below(seeded *random, size_t limit);

/* A number in [low, high), on a grid of 2^-53 of the width. */
double seeded_between(seeded *random, double low, double high);

#endif /* TEST_SEEDED_H */
