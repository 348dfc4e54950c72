/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.c: open, describe and ask devices. Behind device.h; calls the registry and the device's vtable.
 */
#include "core/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

anymps_status anymps_device_describe(size_t index, anymps_device_properties *properties)
{
    ANYMPS_TRY(amps_struct_check("device_describe", properties, sizeof *properties));
    const amps_backend *backend;
    size_t own;
    ANYMPS_FAIL_IF(!amps_registry_find(index, &backend, &own), ANYMPS_INVALID_ARGUMENT,
                   "device_describe: index %zu, but there are %zu devices", index, anymps_device_count());
    anymps_device_properties found = ANYMPS_DEVICE_PROPERTIES_INIT;
    (void)backend->describe(own, &found);
    amps_struct_write(properties, &found, sizeof found);
    return ANYMPS_OK;
}

/* Writes "metal:0, cpu" and so on into `text`. */
static void list_devices(char *text, size_t size)
{
    size_t used = 0;
    const size_t count = anymps_device_count();
    text[0] = '\0';
    for (size_t i = 0; i < count && used < size; i++) {
        anymps_device_properties found = ANYMPS_DEVICE_PROPERTIES_INIT;
        if (anymps_device_describe(i, &found) == ANYMPS_OK) {
            const int more = snprintf(text + used, size - used, "%s%s", i == 0 ? "" : ", ", found.id);
            used += more > 0 ? (size_t)more : 0;
        }
    }
}

/* Is `id` this device: its id, its backend's name and index, that name alone (then the first), or its product name? */
static bool names(const char *id, const anymps_device_properties *found, size_t own, const char *backend)
{
    char indexed[sizeof found->id];
    (void)snprintf(indexed, sizeof indexed, "%s:%zu", backend, own);
    if (strcmp(id, found->id) == 0 || strcmp(id, indexed) == 0 || strcmp(id, found->name) == 0) {
        return true;
    }
    return own == 0 && strcmp(id, backend) == 0;
}

static bool find_device(const char *id, const amps_backend **backend, size_t *own)
{
    if (id == NULL || id[0] == '\0') {
        return amps_registry_find(0, backend, own);
    }
    for (size_t i = 0; amps_registry_find(i, backend, own); i++) {
        anymps_device_properties found = ANYMPS_DEVICE_PROPERTIES_INIT;
        if ((*backend)->describe(*own, &found) && names(id, &found, *own, (*backend)->name)) {
            return true;
        }
    }
    return false;
}

static anymps_status no_such_device(const char *id)
{
    static const char *const known[] = {
#define AMPS_BACKEND(name) #name,
#include "backend/backends.def"
#undef AMPS_BACKEND
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(id, known[i]) == 0 && amps_registry_backend(id) == NULL) {
            return amps_fail(ANYMPS_UNSUPPORTED, "device_open: this library was built without the %s backend", id);
        }
    }
    char list[128];
    list_devices(list, sizeof list);
    return amps_fail(ANYMPS_INVALID_ARGUMENT, "device_open: no device '%.64s' here; there are: %s", id, list);
}

anymps_status anymps_device_open(const anymps_device_desc *desc, anymps_device **device)
{
    ANYMPS_FAIL_IF(device == NULL, ANYMPS_INVALID_ARGUMENT, "device_open: device is NULL");
    anymps_device_desc wanted = ANYMPS_DEVICE_DESC_INIT;
    if (desc != NULL) {
        ANYMPS_TRY(amps_struct_read("device_open", desc, &wanted, sizeof wanted));
    }
    if (wanted.id == NULL) {
        wanted.id = getenv("ANYMPS_DEVICE");
    }
    const amps_backend *backend;
    size_t own;
    if (!find_device(wanted.id, &backend, &own)) {
        return no_such_device(wanted.id != NULL ? wanted.id : "");
    }
    anymps_device *made = amps_calloc(1, sizeof *made);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    anymps_status status = backend->open(own, &wanted, &made->impl);
    if (status == ANYMPS_OK) {
        status = amps_oneshot_create(made);
        if (status != ANYMPS_OK) {
            backend->close(made->impl);
        }
    }
    if (status != ANYMPS_OK) {
        amps_free(made);
        return status;
    }
    amps_object_init(&made->object, AMPS_KIND_DEVICE);
    *device = made;
    return ANYMPS_OK;
}

anymps_device *anymps_device_retain(anymps_device *device)
{
    if (device != NULL) {
        amps_object_retain(&device->object);
    }
    return device;
}

void anymps_device_release(anymps_device *device)
{
    if (device == NULL || !amps_object_release(&device->object)) {
        return;
    }
    amps_oneshot_destroy(device);
    device->impl->backend->close(device->impl);
    amps_free(device);
}

anymps_status anymps_device_get_properties(const anymps_device *device, anymps_device_properties *properties)
{
    ANYMPS_FAIL_IF(!amps_is(device, AMPS_KIND_DEVICE), ANYMPS_INVALID_ARGUMENT,
                   "device_get_properties: device is NULL or no device");
    ANYMPS_TRY(amps_struct_check("device_get_properties", properties, sizeof *properties));
    amps_struct_write(properties, &device->impl->properties, sizeof *properties);
    return ANYMPS_OK;
}

void *anymps_device_native(const anymps_device *device)
{
    return amps_is(device, AMPS_KIND_DEVICE) ? device->impl->native : NULL;
}

/* " matmul matrix_vector …", for messages. */
#define AMPS_OPERATOR(name, desc_type, operand_count, dtype_count) " " #name
static const char operator_names[] =
#include "contract/ops.def"
    ;
#undef AMPS_OPERATOR

static bool find_operator(const char *name, amps_operator *op)
{
    for (size_t i = 0; i < AMPS_OP_COUNT; i++) {
        if (strcmp(amps_operators[i].name, name) == 0) {
            *op = (amps_operator)i;
            return true;
        }
    }
    return false;
}

anymps_status anymps_device_supports(const anymps_device *device, const char *operator_name, const anymps_dtype *dtypes,
                                     size_t dtype_count)
{
    ANYMPS_FAIL_IF(!amps_is(device, AMPS_KIND_DEVICE), ANYMPS_INVALID_ARGUMENT,
                   "device_supports: device is NULL or no device");
    ANYMPS_FAIL_IF(operator_name == NULL || dtypes == NULL, ANYMPS_INVALID_ARGUMENT,
                   "device_supports: operator_name and dtypes must not be NULL");
    amps_operator op;
    ANYMPS_FAIL_IF(!find_operator(operator_name, &op), ANYMPS_INVALID_ARGUMENT,
                   "device_supports: no operator '%.32s'; there are%s", operator_name, operator_names);
    const size_t expected = amps_operators[op].dtype_count;
    ANYMPS_FAIL_IF(dtype_count != expected, ANYMPS_INVALID_ARGUMENT, "device_supports: %s has %zu types, got %zu",
                   operator_name, expected, dtype_count);
    return device->impl->backend->supports(device->impl, op, dtypes, dtype_count);
}
