/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_device_faults.c: Metal says no. The n-th object that Metal is asked for is nil, for every n; then the n-th
 * commit ends with an error, for each code. The status says what, outputs stay, nothing is alive afterwards, and the
 * stand-in sees no misuse on the way out.
 */
#include "apple_scene.h"
#include "fake_client.h"
#include "scenario.h"

#include <stdio.h>
#include <string.h>

static size_t failures;

static void expect_clean(const char *what, size_t n, const scenario_outcome *out)
{
    char alive[160];
    if (out->broken) {
        printf("FAIL: %s %zu: %s\n", what, n, out->what);
        failures++;
    }
    if (anything_alive(alive, sizeof alive)) {
        printf("FAIL: %s %zu: alive: %s\n", what, n, alive);
        failures++;
    }
}

/* Metal gives nil for want of memory, as a rule; a shader or pipeline that cannot be made is INTERNAL, and what is
   asked while devices are looked for means that there is none. */
static bool creation_status(anymps_status status)
{
    return status == ANYMPS_OK || status == ANYMPS_OUT_OF_MEMORY || status == ANYMPS_UNSUPPORTED ||
           status == ANYMPS_INVALID_ARGUMENT || status == ANYMPS_INTERNAL;
}

static size_t fail_creations(const fake_client *fake)
{
    size_t n = 1, refused = 0;
    for (;; n++) {
        fake->set(FAKE_FAIL_CREATE, n);
        const scenario_outcome out = scenario_run("metal", NULL);
        const bool reached = fake->get(FAKE_FAIL_CREATE) == 0;
        fake->set(FAKE_FAIL_CREATE, 0);
        expect_clean("creation", n, &out);
        if (!creation_status(out.status)) {
            printf("FAIL: creation %zu: %s: %s\n", n, anymps_status_name(out.status), anymps_last_error()->message);
            failures++;
        }
        refused += out.status != ANYMPS_OK;
        if (!reached) {
            break;
        }
    }
    printf("%zu creations, %zu refusals reported\n", n - 1, refused);
    return refused;
}

static void expect(bool holds, const char *what)
{
    if (!holds) {
        printf("FAIL: %s (%s)\n", what, anymps_last_error()->message);
        failures++;
    }
}

/* The commit fails with the status of its code and says so; committed again it works. */
static void fail_one_commit(const fake_client *fake, const apple_scene *s, size_t op, uint64_t code,
                            anymps_status status)
{
    anymps_command_buffer *commands = NULL;
    anymps_error error = {.status = ANYMPS_OK};
    expect(anymps_command_buffer_create(s->queue, &commands) == ANYMPS_OK, "a command buffer");
    expect(apple_scene_encode(s, op, commands) == ANYMPS_OK, "encode");
    fake->set(FAKE_ERROR_CODE, code);
    fake->set(FAKE_FAIL_COMMIT, 1);
    expect(anymps_command_buffer_commit(commands) == ANYMPS_OK, "commit");
    expect(anymps_command_buffer_wait(commands) == status, "the status of the failure");
    expect(anymps_command_buffer_error(commands, &error) == ANYMPS_OK && error.status == status, "the detail's status");
    expect(error.backend_code == (int64_t)code && strstr(error.message, "told to fail") != NULL,
           "Metal's code and words");
    expect(anymps_command_buffer_commit(commands) == ANYMPS_OK && anymps_command_buffer_wait(commands) == ANYMPS_OK,
           "the second commit");
    anymps_command_buffer_release(commands);
}

static anymps_status transfer(anymps_buffer *buffer, int kind, char bytes[16])
{
    switch (kind) {
    case 0: return anymps_buffer_write(buffer, 1, bytes, 16);
    case 1: return anymps_buffer_read(buffer, 1, bytes, 16);
    case 2: return anymps_buffer_fill(buffer, 1, 16, 7);
    default: return anymps_buffer_copy(buffer, 0, buffer, 8, 32);
    }
}

/* Private memory is reached through commits; one that fails is told. */
static void fail_transfers(const fake_client *fake, const apple_scene *s)
{
    anymps_buffer *buffer = NULL;
    char bytes[16] = "";
    expect(anymps_buffer_create(s->device, 64, ANYMPS_STORAGE_PRIVATE, &buffer) == ANYMPS_OK, "private memory");
    fake->set(FAKE_ERROR_CODE, 1);
    for (int kind = 0; kind < 4; kind++) {
        fake->set(FAKE_FAIL_COMMIT, 1);
        expect(transfer(buffer, kind, bytes) == ANYMPS_EXECUTION_FAILED, "a transfer that fails");
        fake->set(FAKE_FAIL_COMMIT, 0);
        expect(transfer(buffer, kind, bytes) == ANYMPS_OK, "the transfer after it");
    }
    anymps_buffer_release(buffer);
}

static void fail_commits(const fake_client *fake)
{
    static const struct {
        uint64_t code;
        anymps_status status;
    } codes[] = {{1, ANYMPS_EXECUTION_FAILED}, {8, ANYMPS_OUT_OF_MEMORY}, {11, ANYMPS_DEVICE_LOST}};
    apple_scene s;
    char alive[160];
    expect(apple_scene_open(&s, ANYMPS_ALGORITHM_AUTO), "a scene");
    for (size_t c = 0; c < sizeof codes / sizeof codes[0]; c++) {
        for (size_t op = 0; op < SCENE_OPERATORS; op++) {
            fail_one_commit(fake, &s, op, codes[c].code, codes[c].status);
        }
    }
    fail_transfers(fake, &s);
    apple_scene_close(&s);
    expect(!anything_alive(alive, sizeof alive), "nothing alive after failed commits");
}

int main(void)
{
    fake_client fake;
    if (!fake_client_open(&fake)) {
        return 1;
    }
    const scenario_outcome whole = scenario_run("metal", NULL); /* what is loaded once is loaded now */
    expect_clean("run", 0, &whole);
    if (whole.status != ANYMPS_OK) {
        printf("FAIL: without a fault: %s\n", anymps_last_error()->message);
        return 1;
    }
    const size_t creations = fail_creations(&fake);
    fail_commits(&fake);
    return failures == 0 && creations > 10 ? 0 : 1;
}
