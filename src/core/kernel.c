/* SPDX-License-Identifier: Apache-2.0 */
/* kernel.c: the object around what a backend prepared. Made by src/ops after its checks. */
#include "core/core.h"

#include <string.h>

anymps_status amps_kernel_make(anymps_device *device, amps_operator op, const void *desc, bool hold,
                               anymps_kernel **kernel)
{
    const size_t bytes = amps_operators[op].desc_bytes;
    anymps_kernel *made = amps_calloc(1, sizeof *made + bytes);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    memcpy(made->desc, desc, bytes);
    made->op = op;
    made->desc_bytes = bytes;
    const anymps_status status = device->impl->backend->prepare(device->impl, op, made->desc, &made->prepared);
    if (status != ANYMPS_OK) {
        amps_free(made);
        return status;
    }
    made->device = hold ? anymps_device_retain(device) : device;
    made->holds_device = hold;
    amps_object_init(&made->object, AMPS_KIND_KERNEL);
    *kernel = made;
    return ANYMPS_OK;
}

anymps_kernel *anymps_kernel_retain(anymps_kernel *kernel)
{
    if (kernel != NULL) {
        amps_object_retain(&kernel->object);
    }
    return kernel;
}

void anymps_kernel_release(anymps_kernel *kernel)
{
    if (kernel == NULL || !amps_object_release(&kernel->object)) {
        return;
    }
    kernel->device->impl->backend->discard(kernel->prepared);
    if (kernel->holds_device) {
        anymps_device_release(kernel->device);
    }
    amps_free(kernel);
}

const char *anymps_kernel_operator(const anymps_kernel *kernel)
{
    return amps_is(kernel, AMPS_KIND_KERNEL) ? amps_operators[kernel->op].name : "";
}

anymps_device *anymps_kernel_device(const anymps_kernel *kernel)
{
    return amps_is(kernel, AMPS_KIND_KERNEL) ? kernel->device : NULL;
}

const char *anymps_kernel_explain(const anymps_kernel *kernel)
{
    return amps_is(kernel, AMPS_KIND_KERNEL) ? kernel->prepared->explain : "";
}
