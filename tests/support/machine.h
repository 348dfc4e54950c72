/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h: which device a test program runs on, from its arguments.
 *
 * On the CPU three devices are opened, for 1, 2 and 3 threads, whose results must agree bit for bit;
 * elsewhere one. A device or instruction set that this machine lacks ends the test with TEST_SKIPPED,
 * unless the variable ANYMPS_REQUIRE (a list such as "cpu,cuda,avx512") names it. Public API only.
 */
#ifndef TEST_MACHINE_H
#define TEST_MACHINE_H

#include <anymps/anymps.h>

enum { TEST_PASSED = 0, TEST_FAILED = 1, TEST_SKIPPED = 77, MACHINE_DEVICES = 3 };

typedef struct machine {
    anymps_device *devices[MACHINE_DEVICES];
    size_t count;
    bool is_cpu;
    char label[256];    /* "cpu avx2 (AMD …)" for reports */
    char arguments[96]; /* "--device cpu --isa avx2", to repeat a failure */
} machine;

/*
 * Opens `device` ("cpu", "cuda", "metal"; NULL: "cpu") with instruction set `isa` (NULL: the best).
 * `threads` 0: three devices on the CPU as said; else one device with so many threads. The value is
 * TEST_PASSED, TEST_SKIPPED or TEST_FAILED, the reason printed.
 */
int machine_open(machine *self, const char *device, const char *isa, size_t threads);

void machine_close(machine *self);

/* The value of `--name` among the arguments, or NULL; "" if it is the last word. */
const char *argument(int count, char **words, const char *name);

/* As machine_open with --device, --isa and --threads of the command line. */
int machine_open_from(machine *self, int count, char **words);

#endif /* TEST_MACHINE_H */
