/* SPDX-License-Identifier: Apache-2.0 */
/*
 * number.h: elements of every type as doubles, and the comparison within a bound.
 *
 * Used by the oracles. Shares no line with the library: its conversions to and from f16 and bf16 are
 * arithmetic on doubles where the library's move bits, so that one mistake cannot be in both.
 */
#ifndef TEST_NUMBER_H
#define TEST_NUMBER_H

#include <anymps/base.h>

/* Reads or writes the element at `at`, rounding to nearest even; integers are clamped to their range. */
double number_get(anymps_dtype dtype, const void *at);
void number_put(anymps_dtype dtype, void *at, double value);

/* Rounds to the nearest value of the type. */
double number_round(anymps_dtype dtype, double value);

bool number_is_float(anymps_dtype dtype);

/* Half the distance between neighbours of the type at this magnitude; what one rounding costs at most. */
double number_half_ulp(anymps_dtype dtype, double magnitude);

/*
 * Is the stored element within `bound` of `exact`, after one rounding to a type narrower than f32?
 * NaN must be NaN, infinity the same infinity; a value whose neighbourhood reaches beyond the type's
 * largest may be infinity, one that lies beyond it must be. Integers must be equal.
 */
bool number_near(anymps_dtype dtype, const void *at, double exact, double bound);

/* Fills `bytes` bytes with a pattern that is a NaN in every floating type and differs from position to
   position (`salt`), so that moved bytes are seen. */
void number_poison(void *at, size_t bytes, unsigned salt);

#endif /* TEST_NUMBER_H */
