/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance.c: one program that holds every backend to the promises of kernels.h.
 *
 *     conformance [--device cpu|cuda|metal] [--isa avx2] [--op matmul] [--case NAME] [--threads N]
 *                 [--algorithm vendor|own] [--quick N [--part P]] [--list 1]
 *
 * Without --op it runs every operator; --threads opens one device with so many threads; --algorithm is that of
 * every kernel, and cases that a device has no such algorithm for count as unsupported; --quick (or the variable
 * ANYMPS_TEST_QUICK) runs every Nth case, every eighth for 1, and --part (0 to N-1; 0 without it) says which. The list of
 * operators is made by CMake from src/contract/ops.def. Exit: 0 passed, 1 failed, 77 no such device here.
 */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct chapter {
    const char *op;
    void (*run)(suite *run);
} chapter;

#define OPERATOR(name) void conformance_##name(suite *run);
#include "conformance_operators.def"
#undef OPERATOR

static const chapter chapters[] = {
#define OPERATOR(name) {#name, conformance_##name},
#include "conformance_operators.def"
#undef OPERATOR
};

static anymps_algorithm algorithm_named(const char *name)
{
    if (name != NULL && strcmp(name, "vendor") == 0) {
        return ANYMPS_ALGORITHM_VENDOR;
    }
    return name != NULL && strcmp(name, "own") == 0 ? ANYMPS_ALGORITHM_OWN : ANYMPS_ALGORITHM_AUTO;
}

/* Which part of the cases to run. */
static size_t every_nth(const char *quick)
{
    const char *const text = quick != NULL ? quick : getenv("ANYMPS_TEST_QUICK");
    const size_t number = text != NULL ? (size_t)strtoul(text, NULL, 10) : 1;
    return text != NULL && number <= 1 ? 8 : number;
}

/* The answer: did every case pass, and was there one? */
static bool run_chapter(const chapter *which, const machine *on, int count, char **words)
{
    suite run = {.op = which->op, .machine = on, .only = argument(count, words, "case")};
    run.every = every_nth(argument(count, words, "quick"));
    const char *part = argument(count, words, "part");
    run.part = part != NULL ? (size_t)strtoul(part, NULL, 10) : 0;
    if (run.part >= run.every) {
        printf("FAIL: there is no part %zu of %zu\n", run.part, run.every);
        return false;
    }
    run.list = argument(count, words, "list") != NULL;
    run.algorithm = algorithm_named(argument(count, words, "algorithm"));
    which->run(&run);
    if (!run.list) {
        printf("%-16s on %s: %zu cases, %zu failed, %zu unsupported\n", run.op, on->label, run.ran, run.failed,
               run.unsupported);
    }
    if (run.only != NULL && run.ran + run.unsupported == 0) {
        printf("FAIL: %s has no case '%s' (see --list 1)\n", run.op, run.only);
        return argument(count, words, "op") == NULL;
    }
    return run.failed == 0;
}

int main(int count, char **words)
{
    machine on;
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* so that nothing is lost to a crash */
#if !defined(CONFORMANCE_SANITIZED)         /* a sanitizer says more */
    case_catch_crashes();
#endif
    const int opened = machine_open_from(&on, count, words);
    if (opened != TEST_PASSED) {
        return opened;
    }
    const char *only = argument(count, words, "op");
    bool found = false;
    bool passed = true;
    for (size_t i = 0; i < sizeof chapters / sizeof chapters[0]; i++) {
        if (only == NULL || strcmp(only, chapters[i].op) == 0) {
            found = true;
            passed = run_chapter(&chapters[i], &on, count, words) && passed;
        }
    }
    machine_close(&on);
    if (!found) {
        printf("FAIL: no operator '%s'\n", only);
    }
    return found && passed ? TEST_PASSED : TEST_FAILED;
}
