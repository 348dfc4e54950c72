/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault.c: the Nth allocation fails, for every N, over a run through the public calls.
 *
 * After SQLite's rule: fail call 1, 2, 3 … until the run no longer gets so far. Each time: the status is
 * OUT_OF_MEMORY (or the library did without and the results are right), outputs are untouched, nothing is
 * alive afterwards. Twice: once with a single failure, once with every later allocation failing too.
 *
 *     fault [--device cpu] [--isa avx2]
 */
#include "machine.h"
#include "scenario.h"

#include <stdio.h>

typedef struct tally {
    size_t refused, absorbed, failures;
} tally;

/* One run with allocation `n` failing. False once the run ends before it comes to that. */
static bool run_with(const char *device, const char *isa, size_t n, bool fail_after, tally *sum)
{
    faulty_allocator allocator = {.fail_at = n, .fail_after = fail_after};
    char alive[160];
    if (faulty_allocator_install(&allocator) != ANYMPS_OK) {
        printf("FAIL: %s\n", anymps_last_error()->message);
        sum->failures++;
        return false;
    }
    const scenario_outcome out = scenario_run(device, isa);
    if (out.broken) {
        printf("FAIL: allocation %zu%s: %s\n", n, fail_after ? " and later" : "", out.what);
        sum->failures++;
    }
    if (out.status != ANYMPS_OK && (out.status != ANYMPS_OUT_OF_MEMORY || allocator.failed == 0)) {
        printf("FAIL: allocation %zu: %s: %s\n", n, anymps_status_name(out.status), anymps_last_error()->message);
        sum->failures++;
    }
    if (anything_alive(alive, sizeof alive) || allocator.live != 0) {
        printf("FAIL: allocation %zu: alive: %s; %zu blocks of the hook\n", n, alive, allocator.live);
        sum->failures++;
        return false; /* the next allocator could not be installed */
    }
    sum->refused += out.status == ANYMPS_OUT_OF_MEMORY ? 1 : 0;
    sum->absorbed += out.status == ANYMPS_OK && allocator.failed != 0 ? 1 : 0;
    return allocator.failed != 0;
}

int main(int count, char **words)
{
    const char *device = argument(count, words, "device");
    const char *isa = argument(count, words, "isa");
    machine probe; /* is the device here? */
    const int opened = machine_open(&probe, device, isa, 1);
    if (opened != TEST_PASSED) {
        return opened;
    }
    machine_close(&probe);
    tally sum = {0, 0, 0};
    for (int after = 0; after < 2; after++) {
        for (size_t n = 1; run_with(device != NULL ? device : "cpu", isa, n, after == 1, &sum); n++) {
        }
    }
    if (anymps_set_allocator(NULL) != ANYMPS_OK) {
        printf("FAIL: %s\n", anymps_last_error()->message);
        sum.failures++;
    }
    printf("fault: %zu refused, %zu done without, %zu failures\n", sum.refused, sum.absorbed, sum.failures);
    return sum.failures == 0 && sum.refused > 0 ? TEST_PASSED : TEST_FAILED;
}
