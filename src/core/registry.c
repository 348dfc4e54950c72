/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.c: which backends this library was built with and which devices they find.
 * Called by device.c; reaches a backend only through its vtable. The only list of backends is the one that
 * CMake generates from backends.def.
 */
#include "core/core.h"

#include <string.h>

#define AMPS_BACKEND(name) extern const amps_backend amps_backend_##name;
#include "anymps_backends.def"
#undef AMPS_BACKEND

/* In order of preference. */
static const amps_backend *const backends[] = {
#define AMPS_BACKEND(name) &amps_backend_##name,
#include "anymps_backends.def"
#undef AMPS_BACKEND
};
enum { BACKEND_COUNT = sizeof backends / sizeof backends[0] };

const amps_operator_info amps_operators[AMPS_OP_COUNT] = {
#define AMPS_OPERATOR(name, desc_type, operand_count, dtype_count)                                                     \
    {#name, sizeof(desc_type), operand_count, dtype_count},
#include "contract/ops.def"
#undef AMPS_OPERATOR
};

bool amps_registry_find(size_t index, const amps_backend **backend, size_t *backend_index)
{
    size_t before = 0;
    for (size_t i = 0; i < BACKEND_COUNT; i++) {
        anymps_device_properties properties;
        size_t own = 0;
        while (backends[i]->describe(own, &properties)) {
            if (before + own == index) {
                *backend = backends[i];
                *backend_index = own;
                return true;
            }
            own++;
        }
        before += own;
    }
    return false;
}

const amps_backend *amps_registry_backend(const char *name)
{
    for (size_t i = 0; i < BACKEND_COUNT; i++) {
        if (strcmp(backends[i]->name, name) == 0) {
            return backends[i];
        }
    }
    return NULL;
}

size_t anymps_device_count(void)
{
    size_t count = 0;
    anymps_device_properties properties;
    for (size_t i = 0; i < BACKEND_COUNT; i++) {
        for (size_t own = 0; backends[i]->describe(own, &properties); own++) {
            count++;
        }
    }
    return count;
}

size_t anymps_operator_count(void)
{
    return AMPS_OP_COUNT;
}

const char *anymps_operator_name(size_t index)
{
    return index < AMPS_OP_COUNT ? amps_operators[index].name : NULL;
}
