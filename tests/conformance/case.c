/* SPDX-License-Identifier: Apache-2.0 */
/*
 * case.c: runs one case: on the first device twice (the second time by committing the same command buffer
 * again), on the others once; checks results, guards, inputs, and that all runs gave the same bits.
 * Called by test_<op>.c; calls the public API and tests/support.
 */
#include "conformance.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The line that a crash prints: the case that is running. Written before a case, read by the handler. */
static char crash_line[3 * CASE_NAME];
static size_t crash_length;

/* Only what a signal handler may call: says which case, then dies of the signal as it would have. */
static void say_which(int number)
{
    if (write(STDOUT_FILENO, crash_line, crash_length) < 0) {
        crash_length = 0;
    }
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

void case_catch_crashes(void)
{
    (void)signal(SIGSEGV, say_which);
    (void)signal(SIGBUS, say_which);
    (void)signal(SIGILL, say_which);
    (void)signal(SIGABRT, say_which);
}

static void note_case(const suite *run, const test_case *self)
{
    const int length =
        snprintf(crash_line, sizeof crash_line, "FAIL %s %s: crashed\n  repeat: conformance %s --op %s --case %s\n",
                 run->op, self->name, run->machine->arguments, run->op, self->name);
    crash_length = length < 0 ? 0 : (size_t)length < sizeof crash_line ? (size_t)length : sizeof crash_line - 1;
}

double bound_of_sum(size_t terms, double magnitude)
{
    return 2.0 * (double)terms * UNIT * magnitude;
}

double bound_of_row(size_t terms)
{
    return ((double)terms / 2.0 + 8.0) * UNIT;
}

bool case_begin(suite *run, test_case *self, const char *name)
{
    if (run->only != NULL && strcmp(run->only, name) != 0) {
        return false;
    }
    *self = (test_case){.batch = 1, .may_flush = !run->machine->is_cpu};
    (void)snprintf(self->name, sizeof self->name, "%s", name);
    self->random = seeded_from_text(name);
    seeded choice = self->random;
    if (run->only == NULL && seeded_next(&choice) % run->every != run->part) {
        return false;
    }
    if (run->list) {
        printf("%s\n", name);
        return false;
    }
    return true;
}

void case_fail(test_case *self, const char *format, ...)
{
    if (self->mismatches++ == 0) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(self->first_mismatch, sizeof self->first_mismatch, format, arguments);
        va_end(arguments);
    }
}

void case_expect(test_case *self, size_t operand_index, size_t b, size_t i, size_t j, double exact, double bound)
{
    const operand *const result = &self->operands[operand_index];
    const unsigned char *at = result->after + operand_place(result, b, i, j);
    /* A device that flushes loses at most the least normal f32 (kernels.h). */
    const double allowed = self->may_flush && number_is_float(result->dtype) ? bound + 0x1p-126 : bound;
    if (!number_near(result->dtype, at, exact, allowed)) {
        case_fail(self, "operand %zu, matrix %zu, element (%zu, %zu) is %.9g, exact %.9g, bound %.3g", operand_index, b,
                  i, j, number_get(result->dtype, at), exact, allowed);
    }
}

/* A case's objects on one device. */
typedef struct stage {
    placed at[CASE_OPERANDS];
    anymps_kernel *kernel;
    anymps_queue *queue;
    anymps_command_buffer *commands;
} stage;

static size_t last_of(const test_case *self)
{
    return self->operand_count - 1;
}

/* Origins of the first two operands and of the result, and the batch. */
static void fill_range(test_case *self)
{
    self->range = (anymps_range)ANYMPS_RANGE_INIT;
    self->range.primary = self->operands[0].origin;
    if (self->has_secondary) {
        self->range.secondary = self->operands[1].origin;
    }
    self->range.result = self->operands[self->in_place != 0 ? self->in_place - 1 : last_of(self)].origin;
    self->range.batch_start = self->batch_start;
    self->range.batch_size = self->batch;
}

static anymps_status stage_open(const test_case *self, anymps_device *device, stage *on)
{
    *on = (stage){.kernel = NULL};
    anymps_status status = self->create(device, self->desc, &on->kernel);
    for (size_t i = 0; i < self->operand_count && status == ANYMPS_OK; i++) {
        status = operand_place_on(&self->operands[i], device, &on->at[i]);
    }
    if (status == ANYMPS_OK) {
        status = anymps_queue_create(device, &on->queue);
    }
    if (status == ANYMPS_OK) {
        status = anymps_command_buffer_create(on->queue, &on->commands);
    }
    if (status == ANYMPS_OK) {
        placed views[CASE_OPERANDS];
        memcpy(views, on->at, sizeof views);
        if (self->in_place != 0) {
            views[last_of(self)] = on->at[self->in_place - 1];
        }
        status = self->encode(on->kernel, on->commands, views, self->whole ? NULL : &self->range);
    }
    return status;
}

static void stage_close(stage *on)
{
    anymps_command_buffer_release(on->commands);
    anymps_queue_release(on->queue);
    anymps_kernel_release(on->kernel);
    for (size_t i = 0; i < CASE_OPERANDS; i++) {
        placed_release(&on->at[i]);
    }
}

/* Uploads, commits, waits, downloads into `after`. */
static anymps_status stage_run(test_case *self, stage *on)
{
    anymps_status status = ANYMPS_OK;
    for (size_t i = 0; i < self->operand_count && status == ANYMPS_OK; i++) {
        status = operand_upload(&self->operands[i], &on->at[i]);
    }
    if (status == ANYMPS_OK) {
        status = anymps_command_buffer_commit(on->commands);
    }
    if (status == ANYMPS_OK) {
        status = anymps_command_buffer_wait(on->commands);
    }
    for (size_t i = 0; i < self->operand_count && status == ANYMPS_OK; i++) {
        status = operand_download(&on->at[i], self->operands[i].after, self->operands[i].bytes);
    }
    return status;
}

/* Nothing but the part of the results that takes part may differ from before. */
static void check_untouched(test_case *self)
{
    for (size_t i = 0; i < self->operand_count; i++) {
        operand *const one = &self->operands[i];
        size_t where = 0;
        if (one->used && !operand_untouched(one, self->batch_start, self->batch, &where)) {
            case_fail(self, "operand %zu: byte %zu of %zu (element (0, 0) is at %zu) was changed", i, where, one->bytes,
                      operand_place(one, 0, 0, 0));
        }
    }
}

/* Compares what was just downloaded with the bytes of the first run, and says what differed. */
static void check_same(test_case *self, unsigned char *const *first, const char *what)
{
    for (size_t i = 0; i < self->operand_count; i++) {
        const operand *const one = &self->operands[i];
        if (one->used && memcmp(first[i], one->after, one->bytes) != 0) {
            case_fail(self, "operand %zu has other bits %s", i, what);
        }
    }
}

static bool keep_first(test_case *self, unsigned char **first)
{
    for (size_t i = 0; i < self->operand_count; i++) {
        const operand *const one = &self->operands[i];
        first[i] = one->used ? malloc(one->bytes) : NULL;
        if (one->used && first[i] == NULL) {
            return false;
        }
        if (one->used) {
            memcpy(first[i], one->after, one->bytes);
        }
    }
    return true;
}

/* The first device: run, check, run again. The answer is the status; mismatches are in the case. */
static anymps_status run_first(test_case *self, anymps_device *device, unsigned char **first)
{
    stage on;
    anymps_status status = stage_open(self, device, &on);
    if (status == ANYMPS_OK) {
        status = stage_run(self, &on);
    }
    if (status == ANYMPS_OK) {
        self->check(self);
        check_untouched(self);
        if (!keep_first(self, first)) {
            case_fail(self, "no memory for the comparison");
        }
        status = stage_run(self, &on);
    }
    if (status == ANYMPS_OK) {
        check_same(self, first, "when committed again");
    }
    stage_close(&on);
    return status;
}

static anymps_status run_other(test_case *self, anymps_device *device, unsigned char **first, size_t threads)
{
    stage on;
    anymps_status status = stage_open(self, device, &on);
    if (status == ANYMPS_OK) {
        status = stage_run(self, &on);
    }
    if (status == ANYMPS_OK) {
        char what[48];
        (void)snprintf(what, sizeof what, "with %zu threads", threads);
        check_same(self, first, what);
    }
    stage_close(&on);
    return status;
}

static void report(suite *run, const test_case *self)
{
    run->failed++;
    printf("FAIL %s %s: %s", run->op, self->name, self->first_mismatch);
    if (self->mismatches > 1) {
        printf(" (and %zu more)", self->mismatches - 1);
    }
    printf("\n  repeat: conformance %s --op %s --case %s\n", run->machine->arguments, run->op, self->name);
}

void case_end(suite *run, test_case *self)
{
    unsigned char *first[CASE_OPERANDS] = {NULL};
    note_case(run, self);
    if (!self->whole) {
        fill_range(self);
    }
    anymps_status status = run_first(self, run->machine->devices[0], first);
    for (size_t d = 1; d < run->machine->count && status == ANYMPS_OK && self->mismatches == 0; d++) {
        status = run_other(self, run->machine->devices[d], first, d + 1);
    }
    if (status == ANYMPS_UNSUPPORTED && !run->machine->is_cpu) {
        run->unsupported++;
    } else {
        run->ran++;
        if (status != ANYMPS_OK) {
            case_fail(self, "%s: %s", anymps_status_name(status), anymps_last_error()->message);
        }
        if (self->mismatches != 0) {
            report(run, self);
        }
    }
    for (size_t i = 0; i < CASE_OPERANDS; i++) {
        free(first[i]);
        operand_free(&self->operands[i]);
    }
}
