/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 08_devices.c: what is there, what it runs, and how a refusal reads. Nothing falls back silently: a type that
 * a device lacks is UNSUPPORTED when the kernel is made, never later.
 */
#include <anymps/auto.h>
#include <stdio.h>

static void show(size_t index)
{
    static const anymps_dtype half_to_single[3] = {ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F16, ANYMPS_DTYPE_F32};
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    ANYMPS_AUTO(anymps_device) device = NULL;
    if (anymps_device_describe(index, &properties) != ANYMPS_OK) {
        return;
    }
    desc.id = properties.id;
    if (anymps_device_open(&desc, &device) != ANYMPS_OK) {
        printf("%s: %s\n", properties.id, anymps_last_error()->message);
        return;
    }
    const bool runs = anymps_device_supports(device, "matmul", half_to_single, 3) == ANYMPS_OK;
    printf("%s: f16 matmul with f32 result: %s\n", properties.id, runs ? "yes" : anymps_last_error()->message);
}

int main(void)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    anymps_device *device = NULL;
    for (size_t i = 0; i < anymps_device_count(); i++) {
        show(i);
    }
    desc.id = "abacus";
    if (anymps_device_open(&desc, &device) == ANYMPS_OK) {
        anymps_device_release(device);
        return 1;
    }
    printf("abacus: %s\n", anymps_status_name(anymps_last_error()->status));
    return 0;
}
