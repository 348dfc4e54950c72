/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_device.c: which Apple GPUs there are, what they are like, opening and closing one.
 *
 * Called through the vtable (metal.c). Calls objc.h. Must not know buffers, kernels or operators. The list is
 * asked anew each time and nothing of it is kept, so that nothing is alive when the last device is closed.
 */
#include "metal_room.h"

#include "base/alloc.h"
#include "base/status.h"

#include <stdio.h>
#include <unistd.h>

enum { MOST_DEVICES = 16 };

/* The devices that MPS supports, the system's default first; each is held until dropped. */
static size_t list_devices(amps_id devices[MOST_DEVICES])
{
    size_t count = 0;
    const amps_id first = amps_apple.MTLCreateSystemDefaultDevice();
    if (first != NULL && amps_apple.MPSSupportsMTLDevice(first) != 0) {
        devices[count++] = first;
    } else {
        amps_drop(first);
    }
    const amps_id all = amps_apple.MTLCopyAllDevices();
    const amps_nsuint others = all != NULL ? amps_send_array_count(all) : 0;
    for (amps_nsuint i = 0; i < others && count < MOST_DEVICES; i++) {
        const amps_id device = amps_send_array_at(all, i);
        const bool listed = count != 0 && amps_send_registry_id(device) == amps_send_registry_id(devices[0]);
        if (!listed && amps_apple.MPSSupportsMTLDevice(device) != 0) {
            devices[count++] = amps_send_retain(device);
        }
    }
    amps_drop(all);
    return count;
}

/* Device `index`, held by the caller, or NULL past the last. */
static amps_id take_device(size_t index)
{
    amps_id devices[MOST_DEVICES];
    const size_t count = list_devices(devices);
    amps_id taken = NULL;
    for (size_t i = 0; i < count; i++) {
        if (i == index) {
            taken = devices[i];
        } else {
            amps_drop(devices[i]);
        }
    }
    return taken;
}

static int apple_family(amps_id device)
{
    for (int family = (int)(MTLGPUFamilyApple10 - MTLGPUFamilyApple1) + 1; family > 0; family--) {
        if (amps_send_supports_family(device, (amps_nsint)MTLGPUFamilyApple1 + family - 1) != 0) {
            return family;
        }
    }
    return 0;
}

static amps_metal_facts read_facts(amps_id device)
{
    const amps_os_version os = amps_send_os_version(amps_send_process_info(amps_class_named("NSProcessInfo")));
    return (amps_metal_facts){.os = (int)(os.major * 100 + os.minor), .apple_family = apple_family(device)};
}

static void fill_properties(size_t index, amps_id device, const amps_metal_facts *facts,
                            anymps_device_properties *properties)
{
    *properties = (anymps_device_properties)ANYMPS_DEVICE_PROPERTIES_INIT;
    properties->backend = ANYMPS_BACKEND_METAL;
    (void)snprintf(properties->id, sizeof properties->id, "metal:%zu", index);
    amps_copy_text(amps_send_device_name(device), properties->name, sizeof properties->name);
    if (facts->apple_family != 0) {
        (void)snprintf(properties->architecture, sizeof properties->architecture, "apple%d", facts->apple_family);
    } else {
        const bool mac2 = amps_send_supports_family(device, (amps_nsint)MTLGPUFamilyMac2) != 0;
        (void)snprintf(properties->architecture, sizeof properties->architecture, "%s", mac2 ? "mac2" : "mac1");
    }
    properties->unified_memory = amps_send_has_unified_memory(device) != 0;
    properties->max_buffer_bytes = (size_t)amps_send_max_buffer_length(device);
    properties->recommended_working_set_bytes = (size_t)amps_send_working_set(device);
}

/* A machine without the frameworks is no failure of the caller's: his last error stays as it was. */
static bool loaded_quietly(void)
{
    const anymps_error before = *anymps_last_error();
    if (amps_objc_load() == ANYMPS_OK) {
        return true;
    }
    if (before.status == ANYMPS_OK) {
        anymps_clear_error();
    } else {
        (void)amps_fail_again(&before);
    }
    return false;
}

bool amps_metal_describe(size_t index, anymps_device_properties *properties)
{
    if (!loaded_quietly()) {
        return false;
    }
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    const amps_id device = take_device(index);
    if (device != NULL) {
        const amps_metal_facts facts = read_facts(device);
        fill_properties(index, device, &facts, properties);
        amps_drop(device);
    }
    amps_apple.objc_autoreleasePoolPop(pool);
    return device != NULL;
}

/* Fills in a device whose `device` is set and held. */
static anymps_status fill_device(amps_metal_device *made, size_t index)
{
    made->transfer_queue = amps_send_new_queue(made->device, 8);
    ANYMPS_FAIL_IF(made->transfer_queue == NULL, ANYMPS_OUT_OF_MEMORY, "device_open: metal:%zu gives no command queue",
                   index);
    made->facts = read_facts(made->device);
    fill_properties(index, made->device, &made->facts, &made->base.properties);
    made->unified = made->base.properties.unified_memory;
    made->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    made->base.backend = &amps_backend_metal;
    made->base.native = made->device;
    return ANYMPS_OK;
}

static anymps_status open_in_pool(size_t index, amps_metal_device *made)
{
    made->device = take_device(index);
    ANYMPS_FAIL_IF(made->device == NULL, ANYMPS_DEVICE_LOST, "device_open: metal:%zu is not there", index);
    return fill_device(made, index);
}

anymps_status amps_metal_open(size_t index, const anymps_device_desc *desc, amps_device **device)
{
    (void)desc; /* threads and isa are the CPU's */
    ANYMPS_TRY(amps_objc_load());
    amps_metal_device *const made = amps_calloc(1, sizeof *made);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    if (pthread_mutex_init(&made->lock, NULL) != 0) {
        amps_free(made);
        return amps_fail(ANYMPS_OUT_OF_MEMORY, "device_open: the system has no more locks");
    }
    if (pthread_mutex_init(&made->spare_lock, NULL) != 0) {
        (void)pthread_mutex_destroy(&made->lock);
        amps_free(made);
        return amps_fail(ANYMPS_OUT_OF_MEMORY, "device_open: the system has no more locks");
    }
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    const anymps_status status = open_in_pool(index, made);
    amps_apple.objc_autoreleasePoolPop(pool);
    if (status != ANYMPS_OK) {
        amps_metal_close(&made->base);
        return status;
    }
    *device = &made->base;
    return ANYMPS_OK;
}

void amps_metal_close(amps_device *device)
{
    amps_metal_device *const self = amps_metal_device_of(device);
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    amps_metal_pipelines_close(self);
    amps_drop(self->transfer_queue);
    amps_drop(self->device);
    amps_apple.objc_autoreleasePoolPop(pool);
    (void)pthread_mutex_destroy(&self->spare_lock);
    (void)pthread_mutex_destroy(&self->lock);
    amps_free(self);
}
