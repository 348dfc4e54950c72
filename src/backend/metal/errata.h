/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errata.h: which known defects of Apple's kernels a product meets on a given machine, and what is done.
 *
 * Called by the operators at prepare and at plan time. Pure: facts and sizes in, limits out; sends no message,
 * so that every line of errata.def is tested on any machine.
 */
#ifndef AMPS_METAL_ERRATA_H
#define AMPS_METAL_ERRATA_H

#include <anymps/kernels.h>

/* What the table needs to know of a machine. */
typedef struct amps_metal_facts {
    int os;           /* macOS major*100 + minor, 1404 for 14.4 */
    int apple_family; /* 7 for MTLGPUFamilyApple7, the highest supported; 0: no Apple GPU */
} amps_metal_facts;

typedef enum amps_metal_erratum {
#define AMPS_ERRATUM(name, from, fixed, first, last, action, text, source) AMPS_METAL_ERRATUM_##name,
#include "errata.def"
#undef AMPS_ERRATUM
    AMPS_METAL_ERRATUM_COUNT
} amps_metal_erratum;

typedef enum amps_metal_action {
    AMPS_METAL_SPLIT = 1,
    AMPS_METAL_OWN = 2,
    AMPS_METAL_PROBE = 3,
    AMPS_METAL_ELSEWHERE = 4
} amps_metal_action;

typedef struct amps_metal_erratum_info {
    const char *name;
    int from_os, fixed_os;
    int first_family, last_family;
    amps_metal_action action;
    const char *text;
    const char *source;
} amps_metal_erratum_info;

extern const amps_metal_erratum_info amps_metal_errata[AMPS_METAL_ERRATUM_COUNT];

/* Does the line hold for this machine at all? */
bool amps_metal_erratum_holds(const amps_metal_facts *facts, amps_metal_erratum erratum);

/* A product as MPS would be asked for it. */
typedef struct amps_metal_product {
    size_t rows, columns, interior;
    size_t element_bytes;    /* of the widest operand */
    bool result_accumulates; /* the result type is f32, so that pieces of the interior may be added up in it */
} amps_metal_product;

/* Largest piece for MPS; SIZE_MAX where there is no bound. */
typedef struct amps_metal_limits {
    size_t rows, columns, interior, batch;
} amps_metal_limits;
#define AMPS_METAL_NO_LIMITS ((amps_metal_limits){SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX})

/*
 * The pieces in which MPS may run the product. `*hit` is the first line that asked for less than the whole,
 * or AMPS_METAL_ERRATUM_COUNT. False if MPS must not run it at all; `*hit` says why.
 */
bool amps_metal_errata_product(const amps_metal_facts *facts, const amps_metal_product *product,
                               amps_metal_limits *limits, amps_metal_erratum *hit);

/* May MPS read or write rows this far apart? */
bool amps_metal_errata_stride(const amps_metal_facts *facts, size_t row_elements);

#endif /* AMPS_METAL_ERRATA_H */
