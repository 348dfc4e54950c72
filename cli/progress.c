/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.c: the progress bar. Called by whatever loops for long (operator_verb.c, cmd_bench.c,
 * cmd_verify.c, cmd_demo.c) and by cli_error, which takes the bar away before it prints.
 *
 * The one piece of global state of the tool: a terminal has one last line.
 */
#include "progress.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST_DRAW_MS = 1000, /* shorter work shows nothing */
    REDRAW_MS = 100,
    BAR_WIDTH = 30
};

static struct {
    bool running;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool stopping; /* under `lock` */
    bool drawn;    /* the thread's own until it is joined */
    char label[64];
    size_t total;
    atomic_size_t done;
} bar = {.lock = PTHREAD_MUTEX_INITIALIZER, .stop = PTHREAD_COND_INITIALIZER};

static void draw(unsigned elapsed_ms)
{
    char text[BAR_WIDTH + 1];
    size_t done = atomic_load(&bar.done);
    if (bar.total == 0) {
        fprintf(stderr, "\r\033[K%s  %.1f s", bar.label, elapsed_ms / 1000.0);
    } else {
        size_t filled = done >= bar.total ? BAR_WIDTH : done * BAR_WIDTH / bar.total;
        for (size_t i = 0; i < BAR_WIDTH; i++) {
            text[i] = i < filled ? '#' : '.';
        }
        text[BAR_WIDTH] = '\0';
        fprintf(stderr, "\r\033[K%s  [%s] %zu/%zu  %.0f s", bar.label, text, done, bar.total, elapsed_ms / 1000.0);
    }
    fflush(stderr);
    bar.drawn = true;
}

/* Sleeps for up to `ms` or until told to stop; true: stop. Called with the lock held. */
static bool sleep_or_stop(unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    while (!bar.stopping) {
        if (pthread_cond_timedwait(&bar.stop, &bar.lock, &until) != 0) {
            break;
        }
    }
    return bar.stopping;
}

static void *draw_until_stopped(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&bar.lock);
    unsigned elapsed = FIRST_DRAW_MS;
    for (bool stop = sleep_or_stop(FIRST_DRAW_MS); !stop; stop = sleep_or_stop(REDRAW_MS)) {
        draw(elapsed);
        elapsed += REDRAW_MS;
    }
    pthread_mutex_unlock(&bar.lock);
    return NULL;
}

void progress_start(const char *label, size_t total, bool quiet)
{
    progress_stop();
    if (quiet || isatty(STDERR_FILENO) == 0) {
        return;
    }
    snprintf(bar.label, sizeof bar.label, "%s", label);
    bar.total = total;
    bar.stopping = false;
    bar.drawn = false;
    atomic_store(&bar.done, 0);
    bar.running = pthread_create(&bar.thread, NULL, draw_until_stopped, NULL) == 0;
}

void progress_advance(void)
{
    atomic_fetch_add(&bar.done, 1);
}

void progress_stop(void)
{
    if (!bar.running) {
        return;
    }
    pthread_mutex_lock(&bar.lock);
    bar.stopping = true;
    pthread_cond_signal(&bar.stop);
    pthread_mutex_unlock(&bar.lock);
    pthread_join(bar.thread, NULL);
    bar.running = false;
    if (bar.drawn) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}
