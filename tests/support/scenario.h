/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scenario.h: one run through the public calls, for the tests of faults and leaks.
 *
 * Opens a device, makes buffers of every kind, every operator's kernel, encodes, commits, waits, commits
 * again, uses the one-call forms, and checks a known result. It stops at the first call that fails, checks
 * that this call left its outputs alone, and releases all it has. Public API only.
 */
#ifndef TEST_SCENARIO_H
#define TEST_SCENARIO_H

#include <anymps/anymps.h>

typedef struct scenario_outcome {
    anymps_status status; /* of the first call that failed, or OK */
    bool broken;          /* a promise was not kept; `what` says which */
    char what[512];
    size_t releases; /* calls of the release callback of wrapped memory */
    size_t wraps;    /* successful wraps */
} scenario_outcome;

/* `isa` may be NULL. On the CPU two threads work. */
scenario_outcome scenario_run(const char *device, const char *isa);

/* An allocator that counts and makes one allocation fail. Install before, remove after a scenario. */
typedef struct faulty_allocator {
    size_t calls;
    size_t fail_at;  /* the number of the call that fails, from 1; 0: none */
    bool fail_after; /* all later ones fail, too */
    size_t failed;
    size_t live;
} faulty_allocator;

/* The status is the library's (INVALID_STATE if blocks are live). */
anymps_status faulty_allocator_install(faulty_allocator *self);

/* True if anything of the library is alive; `what` (160 bytes) then says what. A thread of a driver may hold a
   command buffer for a moment after those who waited for it went on, so it looks for up to two seconds. */
bool anything_alive(char *what, size_t size);

#endif /* TEST_SCENARIO_H */
