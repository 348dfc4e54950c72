/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_growth.c: many commits leave no object and no growth: living objects of the stand-in, host blocks of the
 * library and resident memory are the same after the last thousand as after the first.
 *
 *     apple_growth [--commits 20000] [--slack 512]     KiB by which an allocator's arenas may grow; an emulator needs more
 */
#include "apple_scene.h"
#include "fake_client.h"
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>

/* The stand-in keeps the last 8,192 released objects, which the first commits fill. */
enum { WARM = 9000 };

static size_t resident_kib(void)
{
    size_t pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL) {
        if (fscanf(file, "%zu %zu", &pages, &resident) != 2) {
            resident = 0;
        }
        (void)fclose(file);
    }
    return resident * 4;
}

/* Every eighth commit is of a command buffer encoded anew, the others repeat. */
static bool commit(const apple_scene *s, anymps_command_buffer *commands, size_t i)
{
    if (i % 8 == 0) {
        if (anymps_command_buffer_reset(commands) != ANYMPS_OK) {
            return false;
        }
        for (size_t op = 0; op < SCENE_OPERATORS; op++) {
            if (apple_scene_encode(s, op, commands) != ANYMPS_OK) {
                return false;
            }
        }
    }
    return anymps_command_buffer_commit(commands) == ANYMPS_OK && anymps_command_buffer_wait(commands) == ANYMPS_OK;
}

int main(int count, char **words)
{
    fake_client fake;
    apple_scene s;
    anymps_command_buffer *commands = NULL;
    const char *asked = argument(count, words, "commits");
    const size_t commits = asked != NULL ? strtoull(asked, NULL, 10) : 20000;
    if (!fake_client_open(&fake)) {
        return 1;
    }
    fake.set(FAKE_EMPTY_KERNELS, 1);
    fake.set(FAKE_DELAY_US, 0);
    bool good =
        apple_scene_open(&s, ANYMPS_ALGORITHM_AUTO) && anymps_command_buffer_create(s.queue, &commands) == ANYMPS_OK;
    for (size_t i = 0; good && i < WARM; i++) {
        good = commit(&s, commands, i);
    }
    fake.settle(); /* Metal's thread may still hold the last command buffer when our completion has been told */
    const fake_counts first = fake.counts();
    const anymps_live live = anymps_live_counts();
    const size_t resident = resident_kib();
    for (size_t i = 0; good && i < commits; i++) {
        fake.set(FAKE_LINGER_US, i + 1 == commits ? 2000 : 0);
        good = commit(&s, commands, i);
    }
    fake.settle();
    if (!good) {
        printf("FAIL: %s\n", anymps_last_error()->message);
    }
    const fake_counts last = fake.counts();
    const anymps_live after = anymps_live_counts();
    const size_t grown = resident_kib() > resident ? resident_kib() - resident : 0;
    printf("%zu commits: %llu and then %llu objects of Metal, %zu and %zu blocks, %zu and %zu bytes, resident %zu KiB "
           "and %zu more\n",
           commits, (unsigned long long)first.objects_live, (unsigned long long)last.objects_live, live.blocks,
           after.blocks, live.block_bytes, after.block_bytes, resident, grown);
    if (last.objects_live != first.objects_live || after.blocks != live.blocks ||
        after.block_bytes != live.block_bytes) {
        printf("FAIL: something stays alive\n");
        good = false;
    }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    const char *slack = argument(count, words, "slack");
    if (grown > (slack != NULL ? strtoull(slack, NULL, 10) : 512)) {
        printf("FAIL: resident memory grows\n");
        good = false;
    }
#endif
    anymps_command_buffer_release(commands);
    apple_scene_close(&s);
    return good ? 0 : 1;
}
