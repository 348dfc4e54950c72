/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_device_faults.c: Metal says no. The n-th object that Metal is asked for is nil, for every n; then the n-th
 * commit ends with an error, for each code. The status says what, outputs stay, nothing is alive afterwards, and the
 * stand-in sees no misuse on the way out.
 */
#include "fake_client.h"
#include "scenario.h"

#include <stdio.h>

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

/* Metal gives nil for want of memory, as a rule; a pipeline that cannot be made is UNSUPPORTED, and a device or a
   library that cannot be had means that there is no such device. */
static bool creation_status(anymps_status status)
{
    return status == ANYMPS_OK || status == ANYMPS_OUT_OF_MEMORY || status == ANYMPS_UNSUPPORTED ||
           status == ANYMPS_INVALID_ARGUMENT;
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

static size_t fail_commits(const fake_client *fake)
{
    static const struct {
        uint64_t code;
        anymps_status status;
    } codes[] = {{1, ANYMPS_EXECUTION_FAILED}, {8, ANYMPS_OUT_OF_MEMORY}, {11, ANYMPS_DEVICE_LOST}};
    size_t refused = 0;
    for (size_t c = 0; c < sizeof codes / sizeof codes[0]; c++) {
        fake->set(FAKE_ERROR_CODE, codes[c].code);
        for (size_t n = 1;; n++) {
            fake->set(FAKE_FAIL_COMMIT, n);
            const scenario_outcome out = scenario_run("metal", NULL);
            const bool reached = fake->get(FAKE_FAIL_COMMIT) == 0;
            fake->set(FAKE_FAIL_COMMIT, 0);
            expect_clean("commit", n, &out);
            if (!reached) {
                break;
            }
            if (out.status != codes[c].status) {
                printf("FAIL: commit %zu with code %llu: %s\n", n, (unsigned long long)codes[c].code,
                       anymps_status_name(out.status));
                failures++;
            }
            refused++;
        }
    }
    printf("%zu failed commits reported\n", refused);
    return refused;
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
    const size_t commits = fail_commits(&fake);
    return failures == 0 && creations > 10 && commits > 2 ? 0 : 1;
}
