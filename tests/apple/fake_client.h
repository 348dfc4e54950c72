/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_client.h: a test program's way to the stand-in that the library under test has opened: counters and options.
 */
#ifndef FAKE_CLIENT_H
#define FAKE_CLIENT_H

#include "fake/fake.h"

#include <stdbool.h>

typedef struct fake_client {
    fake_counts (*counts)(void);
    void (*set)(fake_option option, uint64_t value);
    uint64_t (*get)(fake_option option);
    void (*settle)(void);
} fake_client;

/* False, with the reason printed, if the stand-in cannot be opened. */
bool fake_client_open(fake_client *client);

#endif /* FAKE_CLIENT_H */
