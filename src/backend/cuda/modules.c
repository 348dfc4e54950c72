/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules.c: loads the embedded kernels and launches them. Called by ops/ through amps_cuda_launch; calls the
 * driver. A module is loaded when the first of its kernels is wanted and stays until the device closes.
 */
#include "backend/cuda/cuda_device.h"

#include <stdio.h>

typedef struct kernel_name {
    int module;
    const char *name;
} kernel_name;

static const kernel_name kernel_names[AMPS_CUDA_FUNCTIONS] = {
#define AMPS_CUDA_KERNEL(module_, name_) {AMPS_MODULE_##module_, #name_},
#include "backend/cuda/kernels/kernels.def"
#undef AMPS_CUDA_KERNEL
};

/* Under the device's lock. A kernel that may want more than 48 KiB of dynamic shared memory must be told so once; all are
   told that they may have what their static one leaves. */
static anymps_status find(amps_cuda_device *device, amps_cuda_function function, CUfunction *out)
{
    const kernel_name *const kernel = &kernel_names[function];
    CUmodule *const module = &device->modules[kernel->module];
    if (*module == NULL) {
        AMPS_CU_TRY(amps_cu.ModuleLoadData(module, amps_cuda_fatbins[kernel->module]), "prepare: cuModuleLoadData");
    }
    CUfunction found = NULL;
    AMPS_CU_TRY(amps_cu.ModuleGetFunction(&found, *module, kernel->name), "prepare: cuModuleGetFunction");
    int fixed = 0;
    AMPS_CU_TRY(amps_cu.FuncGetAttribute(&fixed, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, found),
                "prepare: cuFuncGetAttribute");
    AMPS_CU_TRY(
        amps_cu.FuncSetAttribute(found, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, device->shared_limit - fixed),
        "prepare: cuFuncSetAttribute");
    if (device->has_sm90a) {
        (void)amps_cu.FuncSetAttribute(found, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1);
    }
    atomic_store_explicit(&device->functions[function], found, memory_order_release);
    *out = found;
    return ANYMPS_OK;
}

static anymps_status get_function(amps_cuda_device *device, amps_cuda_function function, CUfunction *out)
{
    *out = atomic_load_explicit(&device->functions[function], memory_order_acquire);
    if (*out != NULL) {
        return ANYMPS_OK;
    }
    (void)pthread_mutex_lock(&device->lock);
    const anymps_status status = find(device, function, out);
    (void)pthread_mutex_unlock(&device->lock);
    return status;
}

void amps_cuda_unload(amps_cuda_device *device)
{
    for (int i = 0; i < AMPS_CUDA_MODULES; i++) {
        if (device->modules[i] != NULL) {
            (void)amps_cu.ModuleUnload(device->modules[i]);
        }
    }
}

static unsigned at_least_one(size_t n)
{
    return n == 0 ? 1u : (unsigned)n;
}

/*
 * Programmatic serialization lets the next kernel of a stream be set up while this one still runs: every
 * kernel of ours waits for its predecessor (griddepcontrol.wait) before it writes, and before it reads what is not
 * settled. That is said of one run; its first launch therefore waits as a whole for all that is in the stream before.
 */
anymps_status amps_cuda_launch_bytes(amps_cuda_emitter *out, amps_cuda_function function, const amps_cuda_shape *shape,
                                     const void *params, size_t params_bytes)
{
    CUfunction entry;
    if (out->trace != NULL) {
        amps_cuda_note_launch(out, function, shape, params, params_bytes);
        out->launches++;
        return ANYMPS_OK;
    }
    ANYMPS_TRY(get_function(out->device, function, &entry));
    CUlaunchAttribute attributes[2];
    unsigned count = 0;
    if (out->device->has_sm90a && out->launches > 0) {
        attributes[count].id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
        attributes[count++].value.programmaticStreamSerializationAllowed = 1;
    }
    if (shape->cluster_x > 1) {
        attributes[count].id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
        attributes[count].value.clusterDim.x = shape->cluster_x;
        attributes[count].value.clusterDim.y = 1;
        attributes[count++].value.clusterDim.z = 1;
    }
    const CUlaunchConfig config = {
        .gridDimX = at_least_one(shape->grid_x),
        .gridDimY = at_least_one(shape->grid_y),
        .gridDimZ = at_least_one(shape->grid_z),
        .blockDimX = at_least_one(shape->block_x),
        .blockDimY = at_least_one(shape->block_y),
        .blockDimZ = 1,
        .sharedMemBytes = shape->shared_bytes,
        .hStream = out->stream,
        .attrs = attributes,
        .numAttrs = count,
    };
    union {
        const void *in;
        void *out;
    } pointer = {.in = params};
    void *arguments[1] = {pointer.out};
    AMPS_CU_TRY(amps_cu.LaunchKernelEx(&config, entry, arguments, NULL), kernel_names[function].name);
    out->launches++;
    return ANYMPS_OK;
}
