/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.c: the per-thread error detail, status names and the log hook.
 * Called from everywhere; calls only the C library; allocates nothing.
 */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One per thread; listed in docs/threads.md. */
static _Thread_local anymps_error last_error;

/* Set at start-up only (base.h); listed in docs/threads.md. */
static anymps_log_callback log_callback;
static void *log_context;

const char *anymps_version(void)
{
    return ANYMPS_VERSION_STRING;
}

const char *anymps_status_name(anymps_status status)
{
    switch (status) {
    case ANYMPS_OK: return "OK";
    case ANYMPS_INVALID_ARGUMENT: return "INVALID_ARGUMENT";
    case ANYMPS_INVALID_STATE: return "INVALID_STATE";
    case ANYMPS_SHAPE_MISMATCH: return "SHAPE_MISMATCH";
    case ANYMPS_UNSUPPORTED: return "UNSUPPORTED";
    case ANYMPS_OUT_OF_MEMORY: return "OUT_OF_MEMORY";
    case ANYMPS_DEVICE_LOST: return "DEVICE_LOST";
    case ANYMPS_EXECUTION_FAILED: return "EXECUTION_FAILED";
    case ANYMPS_IO: return "IO";
    case ANYMPS_BAD_FORMAT: return "BAD_FORMAT";
    case ANYMPS_INTERNAL: return "INTERNAL";
    case ANYMPS_STATUS_FORCE32: break;
    }
    return "UNKNOWN";
}

const anymps_error *anymps_last_error(void)
{
    return &last_error;
}

void anymps_clear_error(void)
{
    memset(&last_error, 0, sizeof last_error);
}

/* Formats into a second slot first: the arguments may point into the detail of an earlier failure. */
static anymps_status record(anymps_status status, int64_t backend_code, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static anymps_status record(anymps_status status, int64_t backend_code, const char *format, va_list arguments)
{
    anymps_error next = {.status = status, .backend_code = backend_code};
    (void)vsnprintf(next.message, sizeof next.message, format, arguments);
    const char *colon = strstr(next.message, ": ");
    if (colon != NULL) {
        const size_t length = (size_t)(colon - next.message);
        if (length < sizeof next.operation) {
            memcpy(next.operation, next.message, length);
        }
    }
    last_error = next;
    return status;
}

anymps_status amps_fail(anymps_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)record(status, 0, format, arguments);
    va_end(arguments);
    return status;
}

anymps_status amps_fail_code(anymps_status status, int64_t backend_code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)record(status, backend_code, format, arguments);
    va_end(arguments);
    return status;
}

anymps_status amps_fail_again(const anymps_error *error)
{
    last_error = *error;
    return error->status;
}

void anymps_set_log(anymps_log_callback callback, void *context)
{
    log_callback = callback;
    log_context = context;
}

void amps_log(anymps_log_level level, const char *format, ...)
{
    if (log_callback == NULL) {
        return;
    }
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    log_callback(log_context, level, line);
}
