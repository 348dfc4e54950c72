/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_cuda_run.c: the part of the fake driver that runs nothing: streams, events, graphs and kernels, which are counted
 * and whose launches are checked against the limits of the real one.
 */
#include "fake_cuda_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Handles are heap blocks of these, so that the address sanitizer sees a double destroy or a leak. */
struct CUstream_st {
    bool capturing;
    long captured;
    bool captured_fast; /* the last of them */
};
struct CUevent_st {
    int recorded;
};
struct CUgraph_st {
    long nodes;
    bool fast;
};
struct CUgraphExec_st {
    long nodes;
    bool fast;
};
struct CUmod_st {
    struct CUfunc_st *functions;
};
struct CUfunc_st {
    struct CUfunc_st *next;
    char name[64];
    unsigned dynamic_limit; /* bytes of dynamic shared memory that a launch may ask for */
};
enum { USUAL_DYNAMIC = 48 << 10, MOST_DYNAMIC = 227 << 10, FIXED_SHARED = 256 };

/* ---- Streams, events, graphs ------------------------------------------------------------------ */

CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
    (void)flags;
    BEGIN(cuStreamCreate);
    *stream = calloc(1, sizeof **stream);
    fake.live.streams++;
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuStreamDestroy(CUstream stream)
{
    (void)pthread_mutex_lock(&fake.lock);
    free(stream);
    fake.live.streams--;
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuStreamSynchronize(CUstream stream)
{
    (void)stream;
    BEGIN(cuStreamSynchronize);
    return fake_cuda_end(CUDA_SUCCESS);
}

/* Not counted: it is called by waiting threads as often as they like. */
CUresult cuStreamQuery(CUstream stream)
{
    (void)stream;
    (void)pthread_mutex_lock(&fake.lock);
    const bool bad = fake.failed && fake.failure_sticks;
    return fake_cuda_end(bad ? fake.failure : fake.held_count > 0 ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS);
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags)
{
    (void)stream;
    (void)event;
    (void)flags;
    BEGIN(cuStreamWaitEvent);
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuStreamWriteValue32(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned flags)
{
    (void)stream;
    (void)flags;
    BEGIN(cuStreamWriteValue32);
    uint32_t *const word = (uint32_t *)(uintptr_t)address;
    if (fake.holding && fake.held_count < FAKE_CUDA_HELD_MOST) {
        fake.held[fake.held_count].word = word;
        fake.held[fake.held_count++].value = value;
    } else {
        __atomic_store_n(word, value, __ATOMIC_RELEASE);
    }
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode)
{
    (void)mode;
    BEGIN(cuStreamBeginCapture);
    stream->capturing = true;
    stream->captured = 0;
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    BEGIN(cuStreamEndCapture);
    *graph = calloc(1, sizeof **graph);
    (*graph)->nodes = stream->captured;
    (*graph)->fast = stream->captured_fast;
    stream->capturing = false;
    fake.live.graphs++;
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuGraphInstantiate(CUgraphExec *executable, CUgraph graph, unsigned long long flags)
{
    (void)flags;
    BEGIN(cuGraphInstantiate);
    *executable = calloc(1, sizeof **executable);
    (*executable)->nodes = graph->nodes;
    (*executable)->fast = graph->fast;
    fake.live.executables++;
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream)
{
    (void)stream;
    BEGIN(cuGraphLaunch);
    fake.launches.graphs++;
    fake.launches.captured += executable->nodes;
    fake.ran_fast = executable->fast;
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuGraphDestroy(CUgraph graph)
{
    (void)pthread_mutex_lock(&fake.lock);
    free(graph);
    fake.live.graphs--;
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuGraphExecDestroy(CUgraphExec executable)
{
    (void)pthread_mutex_lock(&fake.lock);
    free(executable);
    fake.live.executables--;
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuEventCreate(CUevent *event, unsigned flags)
{
    (void)flags;
    BEGIN(cuEventCreate);
    *event = calloc(1, sizeof **event);
    fake.live.events++;
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuEventDestroy(CUevent event)
{
    (void)pthread_mutex_lock(&fake.lock);
    free(event);
    fake.live.events--;
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
    (void)stream;
    BEGIN(cuEventRecord);
    event->recorded++;
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent stop)
{
    (void)start;
    (void)stop;
    (void)pthread_mutex_lock(&fake.lock);
    *milliseconds = fake.ran_fast ? 0.2f : 0.25f;
    return fake_cuda_end(CUDA_SUCCESS);
}

/* ---- Kernels ---------------------------------------------------------------------------------- */

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
    /* A fatbin begins with this word: the embedded bytes are what nvcc wrote, or what stands there instead of them
       where the build has left the kernels out (ANYMPS_CUDA_KERNELS). */
    uint32_t magic;
    memcpy(&magic, image, sizeof magic);
    BEGIN(cuModuleLoadData);
    if (magic != 0xba55ed50u && memcmp(image, "anymps: ", 8) != 0) {
        return fake_cuda_end(CUDA_ERROR_INVALID_IMAGE);
    }
    *module = calloc(1, sizeof **module);
    fake.live.modules++;
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuModuleUnload(CUmodule module)
{
    (void)pthread_mutex_lock(&fake.lock);
    while (module->functions != NULL) {
        struct CUfunc_st *const next = module->functions->next;
        free(module->functions);
        module->functions = next;
    }
    free(module);
    fake.live.modules--;
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
    BEGIN(cuModuleGetFunction);
    *function = calloc(1, sizeof **function);
    (void)snprintf((*function)->name, sizeof(*function)->name, "%s", name);
    (*function)->dynamic_limit = USUAL_DYNAMIC;
    (*function)->next = module->functions;
    module->functions = *function;
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function)
{
    (void)attribute;
    (void)function;
    BEGIN(cuFuncGetAttribute);
    *value = FIXED_SHARED;
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value)
{
    if (attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
        if (value < 0 || value > MOST_DYNAMIC - FIXED_SHARED) {
            return CUDA_ERROR_INVALID_VALUE;
        }
        function->dynamic_limit = (unsigned)value;
    }
    return CUDA_SUCCESS;
}

static void (*watching)(const char *name, const void *params);

void fake_cuda_watch(void (*watcher)(const char *name, const void *params))
{
    watching = watcher;
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **arguments, void **extra)
{
    (void)extra;
    BEGIN(cuLaunchKernelEx);
    if (watching != NULL) {
        watching(function->name, arguments[0]);
    }
    (void)snprintf(fake.launches.last, sizeof fake.launches.last, "%s", function->name);
    fake.launches.grid = config->gridDimX;
    fake.launches.block = config->blockDimX * config->blockDimY;
    fake.launches.cluster = 1;
    for (unsigned i = 0; i < config->numAttrs; i++) {
        if (config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
            fake.launches.cluster = config->attrs[i].value.clusterDim.x;
        }
    }
    if (config->hStream->capturing) {
        config->hStream->captured++;
        config->hStream->captured_fast =
            fake.fast[0] != '\0' && strncmp(function->name, fake.fast, strlen(fake.fast)) == 0;
    } else {
        fake.launches.kernels++;
    }
    const bool fits = fake.launches.block <= 1024 && fake.launches.block > 0 && fake.launches.grid > 0 &&
                      fake.launches.grid % fake.launches.cluster == 0 &&
                      config->sharedMemBytes <= function->dynamic_limit;
    return fake_cuda_end(fits ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

/* The rules of the real one that a caller can break: alignment, strides, and a box of at most 256 elements a side whose
   rows fit the 128-byte swizzle. */
CUresult cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *address,
                                const cuuint64_t *sizes, const cuuint64_t *strides, const cuuint32_t *box,
                                const cuuint32_t *steps, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill)
{
    const cuuint32_t element = type == CU_TENSOR_MAP_DATA_TYPE_UINT8                                               ? 1
                               : type == CU_TENSOR_MAP_DATA_TYPE_UINT32 || type == CU_TENSOR_MAP_DATA_TYPE_FLOAT32 ? 4
                                                                                                                   : 2;
    (void)interleave;
    (void)promotion;
    (void)fill;
    memset(map, 0, sizeof *map);
    bool good = (uintptr_t)address % 16 == 0 && rank > 0 && rank <= 5 &&
                (swizzle != CU_TENSOR_MAP_SWIZZLE_128B || box[0] * element <= 128);
    for (cuuint32_t i = 0; good && i < rank; i++) {
        good = sizes[i] > 0 && sizes[i] <= (cuuint64_t)1 << 32 && box[i] > 0 && box[i] <= 256 && steps[i] == 1;
    }
    for (cuuint32_t i = 0; good && i + 1 < rank; i++) {
        good = strides[i] % 16 == 0 && strides[i] > 0 && strides[i] < (cuuint64_t)1 << 40;
    }
    return good ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
