/* SPDX-License-Identifier: Apache-2.0 */
/* test_status.c: the error detail: per thread, cut, never overwritten by success, and its own argument. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/status.h"

#include <pthread.h>
#include <string.h>

static void a_failure_is_remembered(void **state)
{
    (void)state;
    anymps_clear_error();
    assert_int_equal(anymps_last_error()->status, ANYMPS_OK);
    assert_string_equal(anymps_last_error()->message, "");
    assert_int_equal(amps_fail(ANYMPS_SHAPE_MISMATCH, "matmul: left has %d columns, right has %d rows", 5, 7),
                     ANYMPS_SHAPE_MISMATCH);
    assert_int_equal(anymps_last_error()->status, ANYMPS_SHAPE_MISMATCH);
    assert_string_equal(anymps_last_error()->operation, "matmul");
    assert_string_equal(anymps_last_error()->message, "matmul: left has 5 columns, right has 7 rows");
    assert_int_equal(anymps_last_error()->backend_code, 0);
}

static void a_backend_code_is_kept(void **state)
{
    (void)state;
    assert_int_equal(amps_fail_code(ANYMPS_IO, -17, "file_open: no %s", "way"), ANYMPS_IO);
    assert_int_equal(anymps_last_error()->backend_code, -17);
}

/* A message may quote the message before it. */
static void the_old_message_may_be_an_argument(void **state)
{
    (void)state;
    (void)amps_fail(ANYMPS_INTERNAL, "inner: %d", 1);
    (void)amps_fail(ANYMPS_IO, "outer: because %s", anymps_last_error()->message);
    assert_string_equal(anymps_last_error()->message, "outer: because inner: 1");
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    char words[2 * ANYMPS_ERROR_MESSAGE_SIZE];
    memset(words, 'w', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    (void)amps_fail(ANYMPS_IO, "%s: %s", words, words);
    assert_int_equal(strlen(anymps_last_error()->message), ANYMPS_ERROR_MESSAGE_SIZE - 1);
    assert_string_equal(anymps_last_error()->operation, ""); /* too long for an operation */
}

static void *other_thread(void *context)
{
    int *const wrong = context;
    *wrong += anymps_last_error()->status != ANYMPS_OK ? 1 : 0;
    (void)amps_fail(ANYMPS_DEVICE_LOST, "other: lost");
    *wrong += anymps_last_error()->status != ANYMPS_DEVICE_LOST ? 1 : 0;
    return NULL;
}

static void each_thread_has_its_own(void **state)
{
    (void)state;
    pthread_t thread;
    int wrong = 0;
    (void)amps_fail(ANYMPS_IO, "mine: first");
    assert_int_equal(pthread_create(&thread, NULL, other_thread, &wrong), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(wrong, 0);
    assert_string_equal(anymps_last_error()->message, "mine: first");
}

static void a_copy_becomes_the_detail(void **state)
{
    (void)state;
    const anymps_error stored = {ANYMPS_EXECUTION_FAILED, "submit", 700, "submit: midway"};
    assert_int_equal(amps_fail_again(&stored), ANYMPS_EXECUTION_FAILED);
    assert_int_equal(anymps_last_error()->backend_code, 700);
    assert_string_equal(anymps_last_error()->message, "submit: midway");
}

static void every_status_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i <= (int)ANYMPS_INTERNAL; i++) {
        assert_string_not_equal(anymps_status_name((anymps_status)i), "UNKNOWN");
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(anymps_status_name((anymps_status)i), anymps_status_name((anymps_status)j));
        }
    }
    assert_string_equal(anymps_status_name((anymps_status)((int)ANYMPS_INTERNAL + 1)), "UNKNOWN");
    assert_string_equal(anymps_status_name(ANYMPS_STATUS_FORCE32), "UNKNOWN");
}

typedef struct heard {
    int calls;
    anymps_log_level level;
    char line[128];
} heard;

static void hear(void *context, anymps_log_level level, const char *message)
{
    heard *const h = context;
    h->calls++;
    h->level = level;
    (void)strncpy(h->line, message, sizeof h->line - 1);
}

static void the_log_is_silent_or_heard(void **state)
{
    (void)state;
    heard h = {0, ANYMPS_LOG_INFO, ""};
    amps_log(ANYMPS_LOG_WARNING, "nobody hears %d", 1);
    anymps_set_log(hear, &h);
    amps_log(ANYMPS_LOG_WARNING, "copied %d bytes", 64);
    anymps_set_log(NULL, NULL);
    amps_log(ANYMPS_LOG_WARNING, "nobody again");
    assert_int_equal(h.calls, 1);
    assert_int_equal(h.level, ANYMPS_LOG_WARNING);
    assert_string_equal(h.line, "copied 64 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_is_remembered),
        cmocka_unit_test(a_backend_code_is_kept),
        cmocka_unit_test(the_old_message_may_be_an_argument),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(each_thread_has_its_own),
        cmocka_unit_test(a_copy_becomes_the_detail),
        cmocka_unit_test(every_status_has_a_name),
        cmocka_unit_test(the_log_is_silent_or_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
