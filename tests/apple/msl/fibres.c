/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fibres.c: runs one launch of a shader kernel: every thread of a threadgroup is a fibre, the threadgroups run one
 * after the other. Simdgroups are 32 lanes.
 *
 * A fibre runs until it ends or comes to a barrier or a simd operation. The order in which fibres are taken up is
 * the launch's: ascending, descending or shuffled, so that a missing barrier shows. Threadgroup memory is poisoned
 * (all bits one: NaN) before each threadgroup. Called through library.h by the stand-in's thread; several threads
 * may run launches at once, each has a scheduler of its own. Not built with sanitizers: it moves between stacks.
 */
#include "library.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 1024, LANES = 32, STACK_BYTES = 64 << 10, SHARED_BYTES = 32 << 10, MAX_ARRAYS = 32 };

typedef enum fibre_state { READY, AT_BARRIER, AT_SIMD, DONE } fibre_state;

typedef struct fibre {
    void *stack_pointer;
    fibre_state state;
    int site;
    int operation; /* of AT_SIMD: 0 sum, 1 maximum */
    float value;
    msl_thread thread;
} fibre;

typedef struct scheduler {
    const msl_kernel *kernel;
    const msl_launch *launch;
    fibre fibres[MAX_THREADS];
    unsigned order[MAX_THREADS];
    unsigned count;
    fibre *current;
    void *stack_pointer; /* of the scheduler while a fibre runs */
    unsigned char *stacks;
    _Alignas(16) unsigned char shared[SHARED_BYTES];
    size_t shared_used;
    int array_sites[MAX_ARRAYS]; /* which line asked for which part of `shared` */
    size_t array_offsets[MAX_ARRAYS];
    size_t array_count;
    char problem[256];
} scheduler;

void msl_switch(void **save, void *load);

static __thread scheduler *running;

/* ---- What kernels call ------------------------------------------------------------------------ */

static void park(fibre_state state, int site)
{
    fibre *self = running->current;
    self->state = state;
    self->site = site;
    msl_switch(&self->stack_pointer, running->stack_pointer);
}

unsigned msl_rt_lane(void);
unsigned msl_rt_lane(void)
{
    return running->current->thread.lane;
}

void msl_rt_barrier(int site);
void msl_rt_barrier(int site)
{
    park(AT_BARRIER, site);
}

float msl_rt_reduce(float value, int operation, int site);
float msl_rt_reduce(float value, int operation, int site)
{
    running->current->value = value;
    running->current->operation = operation;
    park(AT_SIMD, site);
    return running->current->value;
}

/* The first thread of a group that comes to a declaration gets room, the others the same. */
void *msl_rt_threadgroup(unsigned long bytes, int site);
void *msl_rt_threadgroup(unsigned long bytes, int site)
{
    scheduler *s = running;
    for (size_t i = 0; i < s->array_count; i++) {
        if (s->array_sites[i] == site)
            return s->shared + s->array_offsets[i];
    }
    const size_t rounded = (bytes + 15) / 16 * 16;
    if (s->array_count == MAX_ARRAYS || rounded > SHARED_BYTES - s->shared_used) {
        snprintf(s->problem, sizeof s->problem, "threadgroup memory: %lu bytes more at line %d, %zu are used", bytes,
                 site, s->shared_used);
        s->current->state = DONE;
        msl_switch(&s->current->stack_pointer, s->stack_pointer);
    }
    s->array_sites[s->array_count] = site;
    s->array_offsets[s->array_count++] = s->shared_used;
    void *memory = s->shared + s->shared_used;
    s->shared_used += rounded;
    return memory;
}

/* ---- Fibres ----------------------------------------------------------------------------------- */

static void fibre_main(void)
{
    scheduler *s = running;
    s->kernel->call(&s->current->thread, s->launch->buffers);
    s->current->state = DONE;
    msl_switch(&s->current->stack_pointer, s->stack_pointer);
    abort();
}

/* The stack as msl_switch leaves it, with fibre_main as the place to return to. */
static void prepare_stack(scheduler *s, unsigned index)
{
    unsigned char *top = s->stacks + (size_t)(index + 1) * STACK_BYTES;
    void (*entry)(void) = fibre_main;
#if defined(__x86_64__)
    void **words = (void **)(void *)(top - 8) - 7; /* six registers, the return address; 8 mod 16 after it */
    memset(words, 0, 7 * sizeof *words);
    memcpy(&words[6], &entry, sizeof entry);
#else
    void **words = (void **)(void *)(top - 160);
    memset(words, 0, 160);
    memcpy(&words[11], &entry, sizeof entry); /* x30 */
#endif
    s->fibres[index].stack_pointer = words;
}

static void prepare_group(scheduler *s, const uint32_t group[3])
{
    memset(s->shared, 0xff, sizeof s->shared);
    s->shared_used = 0;
    s->array_count = 0;
    for (unsigned i = 0; i < s->count; i++) {
        fibre *f = &s->fibres[i];
        f->state = READY;
        f->thread = (msl_thread){.index_in_group = i,
                                 .lane = i % LANES,
                                 .simdgroup = i / LANES,
                                 .simdgroups = (s->count + LANES - 1) / LANES};
        memcpy(f->thread.group_in_grid, group, sizeof f->thread.group_in_grid);
        memcpy(f->thread.groups_per_grid, s->launch->groups, sizeof f->thread.groups_per_grid);
        prepare_stack(s, i);
    }
}

/* ---- The scheduler ---------------------------------------------------------------------------- */

/* Lanes `from` to `end` are one simdgroup, all at one simd operation: gives each the result. A tree, as in hardware. */
static void reduce_lanes(scheduler *s, unsigned from, unsigned end)
{
    float values[LANES];
    const unsigned n = end - from;
    for (unsigned i = 0; i < n; i++)
        values[i] = s->fibres[from + i].value;
    const int operation = s->fibres[from].operation;
    for (unsigned step = 1; step < n; step *= 2) {
        for (unsigned i = 0; i + step < n; i += 2 * step) {
            const float x = values[i], y = values[i + step];
            values[i] = operation == 0 ? x + y : __builtin_fmaxf(x, y);
        }
    }
    for (unsigned i = from; i < end; i++) {
        s->fibres[i].value = values[0];
        s->fibres[i].state = READY;
    }
}

/* True if the simdgroup that begins at `from` went on. */
static bool advance_simdgroup(scheduler *s, unsigned from)
{
    const unsigned end = from + LANES < s->count ? from + LANES : s->count;
    const fibre *first = NULL;
    unsigned waiting = 0;
    for (unsigned i = from; i < end; i++) {
        const fibre *f = &s->fibres[i];
        if (f->state != AT_SIMD)
            continue;
        if (first && (first->site != f->site || first->operation != f->operation))
            snprintf(s->problem, sizeof s->problem, "lanes of one simdgroup at lines %d and %d", first->site, f->site);
        first = first ? first : f;
        waiting++;
    }
    if (waiting == 0 || s->problem[0])
        return false;
    if (waiting < end - from) {
        snprintf(s->problem, sizeof s->problem, "the simd operation at line %d is not reached by every lane",
                 first->site);
        return false;
    }
    reduce_lanes(s, from, end);
    return true;
}

/* All threads are at a barrier or done: lets them pass, or says what is wrong. True if any goes on. */
static bool pass_barrier(scheduler *s)
{
    unsigned done = 0;
    int site = -1;
    for (unsigned i = 0; i < s->count; i++) {
        done += s->fibres[i].state == DONE;
        if (s->fibres[i].state != AT_BARRIER)
            continue;
        if (site >= 0 && s->fibres[i].site != site)
            snprintf(s->problem, sizeof s->problem, "threads at the barriers of lines %d and %d", site,
                     s->fibres[i].site);
        site = s->fibres[i].site;
    }
    if (done == s->count || s->problem[0])
        return false;
    if (done > 0) {
        snprintf(s->problem, sizeof s->problem, "the barrier at line %d is not reached by %u threads that returned",
                 site, done);
        return false;
    }
    for (unsigned i = 0; i < s->count; i++)
        s->fibres[i].state = READY;
    return true;
}

/* Takes up every fibre of [from, end) that can go on, in the launch's order. */
static void run_ready(scheduler *s, unsigned from, unsigned end)
{
    for (unsigned i = 0; i < s->count && !s->problem[0]; i++) {
        fibre *f = &s->fibres[s->order[i]];
        if (s->order[i] < from || s->order[i] >= end || f->state != READY)
            continue;
        s->current = f;
        msl_switch(&s->stack_pointer, f->stack_pointer);
    }
}

/* Ascending: all simdgroups go from one simd operation to the next together. Any other order: a simdgroup goes on to
   the next barrier before another one starts, as far ahead as hardware may let it. */
static void run_group(scheduler *s)
{
    bool more = true;
    while (more && !s->problem[0]) {
        more = false;
        if (s->launch->order == 0) {
            run_ready(s, 0, s->count);
            for (unsigned from = 0; from < s->count; from += LANES)
                more = advance_simdgroup(s, from) || more;
        }
        for (unsigned i = 0; s->launch->order != 0 && i < s->count && !s->problem[0]; i++) {
            const unsigned from = s->order[i] / LANES * LANES;
            if (s->fibres[s->order[i]].state != READY)
                continue; /* its simdgroup has had its turn */
            do
                run_ready(s, from, from + LANES);
            while (!s->problem[0] && advance_simdgroup(s, from));
        }
        more = more || (!s->problem[0] && pass_barrier(s));
    }
}

/* 0 … count-1 in the launch's order. */
static void fill_order(unsigned *order, unsigned count, unsigned kind)
{
    for (unsigned i = 0; i < count; i++)
        order[i] = kind == 1 ? count - 1 - i : i;
    uint32_t random = kind;
    for (unsigned i = count; kind > 1 && i > 1; i--) {
        random = random * 1664525u + 1013904223u;
        const unsigned j = (random >> 8) % i, swapped = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swapped;
    }
}

static pthread_key_t scheduler_key;
static pthread_once_t scheduler_once = PTHREAD_ONCE_INIT;

static void free_scheduler(void *memory)
{
    scheduler *s = memory;
    free(s->stacks);
    free(s);
}

static void make_key(void)
{
    pthread_key_create(&scheduler_key, free_scheduler);
}

/* Each thread keeps its stacks until it ends. */
static scheduler *scheduler_of_thread(void)
{
    if (!running) {
        pthread_once(&scheduler_once, make_key);
        running = calloc(1, sizeof *running);
        if (running)
            running->stacks = malloc((size_t)MAX_THREADS * STACK_BYTES);
        if (!running || !running->stacks)
            abort();
        pthread_setspecific(scheduler_key, running);
    }
    return running;
}

__attribute__((visibility("default"))) const char *msl_run(const msl_kernel *kernel, const msl_launch *launch)
{
    scheduler *s = scheduler_of_thread();
    s->kernel = kernel;
    s->launch = launch;
    s->count = launch->threads[0] * launch->threads[1] * launch->threads[2];
    s->problem[0] = 0;
    fill_order(s->order, s->count, launch->order);
    const uint64_t groups = (uint64_t)launch->groups[0] * launch->groups[1] * launch->groups[2];
    for (uint64_t i = 0; i < groups && !s->problem[0]; i++) {
        const uint64_t at = launch->order == 1 ? groups - 1 - i : i;
        const uint32_t group[3] = {(uint32_t)(at % launch->groups[0]),
                                   (uint32_t)(at / launch->groups[0] % launch->groups[1]),
                                   (uint32_t)(at / launch->groups[0] / launch->groups[1])};
        prepare_group(s, group);
        run_group(s);
    }
    return s->problem[0] ? s->problem : NULL;
}
