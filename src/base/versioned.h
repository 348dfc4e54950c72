/* SPDX-License-Identifier: Apache-2.0 */
/*
 * versioned.h: public structs that begin with `size_t struct_size`, across versions of the library. Used by every room;
 * knows none of them.
 *
 * A newer caller's struct may be longer than ours (its further fields are neither read nor written), never shorter than
 * the first version's. All structs have one version so far, so `size` is both the first version's and ours; the change
 * that appends a field adds a parameter for the least size.
 */
#ifndef AMPS_VERSIONED_H
#define AMPS_VERSIONED_H

#include <anymps/base.h>
#include <stddef.h>

/* INVALID_ARGUMENT, in the name of `operation`, if `given` is NULL or its struct_size is less than `size`. */
anymps_status amps_struct_check(const char *operation, const void *given, size_t size);

/* Checks, then copies the caller's struct to `own`, whose struct_size becomes `size`; nothing is copied on failure. */
anymps_status amps_struct_read(const char *operation, const void *given, void *own, size_t size);

/* Fills the caller's struct, checked before, from `own`; its struct_size becomes `size`: what this library knows. */
void amps_struct_write(void *given, const void *own, size_t size);

#endif /* AMPS_VERSIONED_H */
