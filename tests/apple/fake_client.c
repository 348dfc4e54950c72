/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_client.c: opens the stand-in's file once more, which is the same object as the library's, and looks up names.
 */
#include "fake_client.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

bool fake_client_open(fake_client *client)
{
    void *file = dlopen(FAKE_METAL_PATH, RTLD_NOW | RTLD_GLOBAL);
    const struct {
        const char *name;
        void *target;
    } wanted[] = {{"fake_get_counts", &client->counts},
                  {"fake_set", &client->set},
                  {"fake_get", &client->get},
                  {"fake_settle", &client->settle}};
    for (size_t i = 0; file != NULL && i < sizeof wanted / sizeof wanted[0]; i++) {
        void *symbol = dlsym(file, wanted[i].name);
        memcpy(wanted[i].target, &symbol, sizeof symbol);
    }
    if (file == NULL || client->counts == NULL || client->set == NULL || client->get == NULL ||
        client->settle == NULL) {
        const char *reason = dlerror();
        printf("FAIL: %s: %s\n", FAKE_METAL_PATH, reason != NULL ? reason : "a name is missing");
        return false;
    }
    return true;
}
