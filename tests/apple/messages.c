/* SPDX-License-Identifier: Apache-2.0 */
/*
 * messages.c: what one operation costs before a GPU is involved: messages and Metal objects in the second commit of
 * a command buffer, and the library's own time per encode and per commit over the stand-in with empty kernels.
 *
 *     apple_messages            counts, and fails if they exceed the limits below
 *     apple_messages --time 1   times as well (medians of many); read them on an idle machine
 */
#include "apple_scene.h"
#include "fake_client.h"
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* In the second commit of one operation: a product needs a command buffer, a completion block, the encode, the
   commit; our own kernels set a pipeline, their buffers and parameters on an encoder. */
enum { MPS_MESSAGES = 8, OWN_MESSAGES = 14, NEW_OBJECTS_MPS = 1, NEW_OBJECTS_OWN = 2, MANY = 16, REPEATS = 400 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static int by_value(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof values[0], by_value);
    return values[count / 2];
}

static bool commit_and_wait(anymps_command_buffer *commands)
{
    return anymps_command_buffer_commit(commands) == ANYMPS_OK && anymps_command_buffer_wait(commands) == ANYMPS_OK;
}

/* Messages and objects of the second commit of `times` encodes. */
static bool count_second(const apple_scene *s, const fake_client *fake, size_t index, size_t times, fake_counts *used)
{
    anymps_command_buffer *commands = NULL;
    bool good = anymps_command_buffer_create(s->queue, &commands) == ANYMPS_OK;
    for (size_t i = 0; good && i < times; i++) {
        good = apple_scene_encode(s, index, commands) == ANYMPS_OK;
    }
    good = good && commit_and_wait(commands);
    const fake_counts before = fake->counts();
    good = good && anymps_command_buffer_commit(commands) == ANYMPS_OK;
    const fake_counts after = fake->counts();
    good = good && anymps_command_buffer_wait(commands) == ANYMPS_OK;
    used->messages = after.messages - before.messages;
    used->objects_made = after.objects_made - before.objects_made;
    used->mps_encodes = after.mps_encodes - before.mps_encodes;
    anymps_command_buffer_release(commands);
    if (!good) {
        printf("FAIL: %s: %s\n", anymps_operator_name(index), anymps_last_error()->message);
    }
    return good;
}

static bool count_operator(const apple_scene *s, const fake_client *fake, size_t index)
{
    fake_counts one, many;
    if (!count_second(s, fake, index, 1, &one) || !count_second(s, fake, index, MANY, &many)) {
        return false;
    }
    const bool mps = one.mps_encodes > 0;
    const bool good = one.messages <= (mps ? MPS_MESSAGES : OWN_MESSAGES) &&
                      one.objects_made <= (mps ? NEW_OBJECTS_MPS : NEW_OBJECTS_OWN) &&
                      many.objects_made == one.objects_made;
    printf("%-16s %-4s %8llu %10.2f %9llu%s\n", anymps_operator_name(index), mps ? "MPS" : "own",
           (unsigned long long)one.messages, (double)(many.messages - one.messages) / (MANY - 1),
           (unsigned long long)one.objects_made, good ? "" : "  TOO MANY");
    return good;
}

/* Aims on an idle machine: a commit beside its messages, each message, each encode of several. A lone encode right after
   a wait finds cold caches and is printed without an aim. */
enum { COMMIT_AIM_NS = 1000, MESSAGE_AIM_NS = 20, ENCODE_AIM_NS = 300 };

/* The time of `times` encodes, of a second commit of them, and of the same with a silent Metal, which is the library's
   own share: medians over REPEATS rounds. */
static bool time_operator(const apple_scene *s, const fake_client *fake, size_t index, size_t times)
{
    static double encodes[REPEATS], commits[REPEATS], silent[REPEATS];
    anymps_command_buffer *commands = NULL;
    uint64_t messages = 0;
    bool good = anymps_command_buffer_create(s->queue, &commands) == ANYMPS_OK;
    for (size_t r = 0; good && r < REPEATS; r++) {
        const double start = now_ns();
        for (size_t i = 0; good && i < times; i++) {
            good = apple_scene_encode(s, index, commands) == ANYMPS_OK;
        }
        encodes[r] = (now_ns() - start) / (double)times;
        good = good && commit_and_wait(commands); /* makes the plan */
        const double again = now_ns();
        good = good && anymps_command_buffer_commit(commands) == ANYMPS_OK;
        commits[r] = now_ns() - again;
        good = good && anymps_command_buffer_wait(commands) == ANYMPS_OK;
        fake->settle();
        fake->set(FAKE_SILENT, 1);
        const uint64_t before = fake->counts().messages;
        const double third = now_ns();
        good = good && anymps_command_buffer_commit(commands) == ANYMPS_OK;
        silent[r] = now_ns() - third;
        messages = fake->counts().messages - before;
        fake->set(FAKE_SILENT, 0);
        good = good && anymps_command_buffer_reset(commands) == ANYMPS_OK;
    }
    anymps_command_buffer_release(commands);
    const double encode = median(encodes, REPEATS), own = median(silent, REPEATS);
    const double aim = COMMIT_AIM_NS + MESSAGE_AIM_NS * (double)messages;
    printf("%-16s %3zu %8.0f ns %10.0f ns %9.0f ns %5llu messages%s\n", anymps_operator_name(index), times, encode,
           median(commits, REPEATS), own, (unsigned long long)messages,
           (times == 1 || encode <= ENCODE_AIM_NS) && own <= aim ? "" : "  above the aim");
    return good;
}

static bool run(const fake_client *fake, anymps_algorithm algorithm, bool timed)
{
    apple_scene s;
    fake->set(FAKE_EMPTY_KERNELS, 0); /* the backend asks the device for known defects when it makes kernels */
    bool good = apple_scene_open(&s, algorithm);
    fake->set(FAKE_EMPTY_KERNELS, 1);
    for (size_t i = 0; good && i < SCENE_OPERATORS; i++) {
        good = count_operator(&s, fake, i) && good;
    }
    if (timed) {
        printf("\noperator    encodes   each encode  commit again  library's own share of that\n");
    }
    for (size_t i = 0; good && timed && i < SCENE_OPERATORS; i++) {
        good = time_operator(&s, fake, i, 1) && time_operator(&s, fake, i, MANY);
    }
    apple_scene_close(&s);
    return good;
}

int main(int count, char **words)
{
    fake_client fake;
    const bool timed = argument(count, words, "time") != NULL;
    if (!fake_client_open(&fake)) {
        return 1;
    }
    fake.set(FAKE_DELAY_US, 0);
    printf("operator         runs messages  per more  objects   (second commit of one operation)\n");
    bool good = run(&fake, ANYMPS_ALGORITHM_AUTO, timed);
    good = run(&fake, ANYMPS_ALGORITHM_OWN, timed) && good;
    return good ? 0 : 1;
}
