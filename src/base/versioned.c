/* SPDX-License-Identifier: Apache-2.0 */
/* versioned.c: see versioned.h. */
#include "base/versioned.h"

#include "base/status.h"

#include <string.h>

anymps_status amps_struct_check(const char *operation, const void *given, size_t size)
{
    ANYMPS_FAIL_IF(given == NULL, ANYMPS_INVALID_ARGUMENT, "%s: the struct's address is NULL", operation);
    size_t given_size; /* struct_size is the first member of every such struct */
    memcpy(&given_size, given, sizeof given_size);
    ANYMPS_FAIL_IF(given_size < size, ANYMPS_INVALID_ARGUMENT,
                   "%s: struct_size is %zu, at least %zu is wanted; use the INIT macro", operation, given_size, size);
    return ANYMPS_OK;
}

anymps_status amps_struct_read(const char *operation, const void *given, void *own, size_t size)
{
    ANYMPS_TRY(amps_struct_check(operation, given, size));
    memcpy(own, given, size);
    memcpy(own, &size, sizeof size);
    return ANYMPS_OK;
}

void amps_struct_write(void *given, const void *own, size_t size)
{
    memcpy(given, own, size);
    memcpy(given, &size, sizeof size);
}
