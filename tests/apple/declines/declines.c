/* SPDX-License-Identifier: Apache-2.0 */
/*
 * declines.c: a system whose declarations differ from ours makes the backend decline, with the selector's name. Linked
 * with a copy of objc.c over a messages.def in which CMake has changed one line.
 *
 *     declines "what the message must contain"      "" if the unchanged table must be accepted
 */
#include "objc.h"

#include <stdio.h>
#include <string.h>

int main(int count, char **words)
{
    const char *const wanted = count > 1 ? words[1] : "";
    const anymps_status status = amps_objc_load();
    const char *const message = anymps_last_error()->message;
    printf("%s: %s\n", anymps_status_name(status), message);
    if (wanted[0] == '\0') {
        return status == ANYMPS_OK ? 0 : 1;
    }
    /* A second call tells the same, without loading anew. */
    anymps_clear_error();
    return status == ANYMPS_UNSUPPORTED && amps_objc_load() == ANYMPS_UNSUPPORTED && strstr(message, wanted) != NULL
               ? 0
               : 1;
}
