/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elements.h: elements of one type as elements of another, as files need it.
 *
 * Every conversion rounds once, to nearest even, whatever lies between the types. Numbers beyond an
 * integer type become its nearest end and NaN becomes 0; beyond a floating type they become infinity.
 * bool is 1 for everything that is not 0.
 */
#ifndef AMPS_ELEMENTS_H
#define AMPS_ELEMENTS_H

#include <anymps/base.h>

/* `swapped`: the source has the other byte order. No alignment is needed; the ranges do not overlap. */
void amps_convert(anymps_dtype from, bool swapped, const void *source, anymps_dtype to, void *result, size_t count);

#endif /* AMPS_ELEMENTS_H */
