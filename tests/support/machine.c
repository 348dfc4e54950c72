/* SPDX-License-Identifier: Apache-2.0 */
/* machine.c: see machine.h. Calls the public API. */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *argument(int count, char **words, const char *name)
{
    for (int i = 1; i < count; i++) {
        if (strncmp(words[i], "--", 2) == 0 && strcmp(words[i] + 2, name) == 0) {
            return i + 1 < count ? words[i + 1] : "";
        }
    }
    return NULL;
}

/* Is `word` in the comma-separated list of ANYMPS_REQUIRE? */
static bool required(const char *word)
{
    const char *list = getenv("ANYMPS_REQUIRE");
    const size_t length = strlen(word);
    while (list != NULL && *list != '\0') {
        const size_t item = strcspn(list, ",");
        if (item == length && strncmp(list, word, length) == 0) {
            return true;
        }
        list += item + (list[item] == ',' ? 1 : 0);
    }
    return false;
}

/* Which statuses mean that the machine lacks the device, not that something is wrong. */
static int absent(const char *device, const char *isa)
{
    const anymps_error *error = anymps_last_error();
    const bool lacking = error->status == ANYMPS_UNSUPPORTED || error->status == ANYMPS_INVALID_ARGUMENT;
    const bool fatal = !lacking || required(isa != NULL ? isa : device);
    printf("%s: %s\n", fatal ? "FAIL" : "SKIP", error->message);
    return fatal ? TEST_FAILED : TEST_SKIPPED;
}

int machine_open(machine *self, const char *device, const char *isa, size_t threads)
{
    *self = (machine){.count = 0};
    const char *const id = device != NULL ? device : "cpu";
    self->is_cpu = strcmp(id, "cpu") == 0;
    const size_t wanted = self->is_cpu && threads == 0 ? MACHINE_DEVICES : 1;
    for (size_t i = 0; i < wanted; i++) {
        anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
        desc.id = id;
        desc.isa = isa;
        desc.threads = threads != 0 ? threads : self->is_cpu ? i + 1 : 0;
        if (anymps_device_open(&desc, &self->devices[i]) != ANYMPS_OK) {
            const int answer = absent(id, isa);
            machine_close(self);
            return answer;
        }
        self->count = i + 1;
    }
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    if (anymps_device_get_properties(self->devices[0], &properties) != ANYMPS_OK) {
        printf("FAIL: %s\n", anymps_last_error()->message);
        machine_close(self);
        return TEST_FAILED;
    }
    (void)snprintf(self->label, sizeof self->label, "%s %s (%.100s)", properties.id, properties.architecture,
                   properties.name);
    (void)snprintf(self->arguments, sizeof self->arguments, "--device %.32s%s%.32s", id, isa != NULL ? " --isa " : "",
                   isa != NULL ? isa : "");
    return TEST_PASSED;
}

int machine_open_from(machine *self, int count, char **words)
{
    const char *threads = argument(count, words, "threads");
    return machine_open(self, argument(count, words, "device"), argument(count, words, "isa"),
                        threads != NULL ? (size_t)strtoul(threads, NULL, 10) : 0);
}

void machine_close(machine *self)
{
    for (size_t i = 0; i < MACHINE_DEVICES; i++) {
        anymps_device_release(self->devices[i]);
        self->devices[i] = NULL;
    }
    self->count = 0;
}
