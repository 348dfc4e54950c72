/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expect.h: checks of plain test programs: each failure prints its place and what was seen, the program goes
 * on, and `expect_result` is main's answer. Public API only.
 */
#ifndef TEST_EXPECT_H
#define TEST_EXPECT_H

#include <anymps/base.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int expect_failures; /* one program, one thread */
static int expect_count;

static inline bool expect_true(bool condition, const char *file, int line, const char *format, ...) ANYMPS_PRINTF(4, 5);
static inline bool expect_true(bool condition, const char *file, int line, const char *format, ...)
{
    expect_count++;
    if (!condition) {
        va_list arguments;
        expect_failures++;
        printf("%s:%d: ", file, line);
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        printf("\n");
    }
    return condition;
}

/* The status is this one; a failure has a message that names the operation. */
static inline bool expect_status(anymps_status seen, anymps_status wanted, const char *call, const char *file, int line)
{
    const char *const message = seen != ANYMPS_OK ? anymps_last_error()->message : "";
    return expect_true(seen == wanted, file, line, "%s gives %s, not %s (%s)", call, anymps_status_name(seen),
                       anymps_status_name(wanted), message) &&
           expect_true(seen == ANYMPS_OK || (anymps_last_error()->status == seen && message[0] != '\0'), file, line,
                       "%s fails without a message", call);
}

#define EXPECT(condition)           expect_true((condition), __FILE__, __LINE__, "%s", #condition)
#define EXPECT_STATUS(wanted, call) expect_status((call), (wanted), #call, __FILE__, __LINE__)
#define EXPECT_OK(call)             EXPECT_STATUS(ANYMPS_OK, call)
/* The last failure's message holds this text. */
#define EXPECT_MESSAGE(text)                                                                                           \
    expect_true(strstr(anymps_last_error()->message, (text)) != NULL, __FILE__, __LINE__, "'%s' is not in '%s'",       \
                (text), anymps_last_error()->message)

/* Everything has been released. */
static inline void expect_nothing_live(const char *file, int line)
{
    const anymps_live live = anymps_live_counts();
    (void)expect_true(live.objects == 0 && live.blocks == 0 && live.wrapped == 0 && live.device_bytes == 0, file, line,
                      "%zu objects, %zu blocks, %zu wraps, %zu device bytes are still live", live.objects, live.blocks,
                      live.wrapped, live.device_bytes);
}
#define EXPECT_NOTHING_LIVE() expect_nothing_live(__FILE__, __LINE__)

static inline int expect_result(const char *name)
{
    printf("%s: %d checks, %d failed\n", name, expect_count, expect_failures);
    return expect_failures != 0;
}

#endif /* TEST_EXPECT_H */
