/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance.h: what a test_<op>.c and the runner have in common.
 *
 * test_<op>.c lists cases: it names one, lays its operands out, says how to make and encode the kernel and
 * how to check the results against an oracle in double. case.c runs a case on every device of the
 * machine. conformance.c is the program. Public API only.
 */
#ifndef TEST_CONFORMANCE_H
#define TEST_CONFORMANCE_H

#include "machine.h"
#include "number.h"
#include "operand.h"
#include "seeded.h"

enum { CASE_OPERANDS = 5, CASE_NAME = 128 };

/* One run of the program on one operator. */
typedef struct suite {
    const char *op;
    const machine *machine;
    const char *only;           /* the one case to run, or NULL */
    size_t every, part;         /* run only the part-th of every so many cases, for sanitizers; 1: all */
    bool list;                  /* print names, run nothing */
    anymps_algorithm algorithm; /* of every kernel */
    size_t ran, failed, unsupported;
    const char *last_unsupported;
} suite;

typedef struct test_case test_case;
struct test_case {
    char name[CASE_NAME];
    seeded random; /* seeded from the name */
    operand operands[CASE_OPERANDS];
    size_t operand_count;
    size_t batch_start, batch;
    bool whole;          /* encode without a range (the defaults) */
    bool has_secondary;  /* the second operand has an origin of its own */
    size_t in_place;     /* 0, or 1 + the operand whose view the last operand (then unused) shares */
    anymps_range range;  /* filled by the runner from origins and batch unless `whole` */
    const void *desc;    /* the operator's descriptor */
    const void *context; /* the test file's own */

    anymps_status (*create)(anymps_device *device, const void *desc, anymps_kernel **kernel);
    anymps_status (*encode)(anymps_kernel *kernel, anymps_command_buffer *commands, const placed *at,
                            const anymps_range *range);
    /* Compares the operands' `after` with the oracle, through case_expect. */
    void (*check)(test_case *self);

    bool may_flush; /* the device may take subnormals for zero */
    size_t mismatches;
    char first_mismatch[256];
};

/* Is this case to be run? If so `self` is emptied and named. Call before the operands are laid out. */
bool case_begin(suite *run, test_case *self, const char *name);

/* Runs it on all devices, reports, and frees the operands. */
void case_end(suite *run, test_case *self);

/* A crash from here on prints the case that was running. */
void case_catch_crashes(void);

/* Compares one element of a result. `bound` is without the rounding to a narrow type. */
void case_expect(test_case *self, size_t operand_index, size_t b, size_t i, size_t j, double exact, double bound);

/* Records a mismatch that is no single element. */
void case_fail(test_case *self, const char *format, ...) ANYMPS_PRINTF(2, 3);

/*
 * The bounds of kernels.h. The unit is 2^-24, half the distance from 1 to the next f32.
 */
#define UNIT 0x1p-24

/* A sum of `terms` products whose absolute values add up to `magnitude`: every product and every sum
   is rounded once at most, with room for hardware that truncates instead: c = 2. */
double bound_of_sum(size_t terms, double magnitude);

/* The final values of a row of a softmax or a norm: terms/2 + 8 units. */
double bound_of_row(size_t terms);

#endif /* TEST_CONFORMANCE_H */
