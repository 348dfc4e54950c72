/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_cuda.c: a CUDA driver that owns no GPU: the functions of src/backend/cuda/driver.def as a shared library with
 * the driver's own name, which the backend then opens. Two devices like an H100. One lock guards everything.
 */
#include "fake_cuda.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { DEVICES = 2, HELD_MOST = 4096, DEPTH = 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static fake_cuda_live live;
static fake_cuda_launches launches;
static long fail_at, calls;
static CUresult failure;
static bool failure_sticks, failed;
static const char *only;
static bool holding;
static size_t held_count;
static struct {
    uint32_t *word;
    uint32_t value;
} held[HELD_MOST];

/* Handles are heap blocks of these, so that the address sanitizer sees a double destroy or a leak. */
struct CUctx_st {
    int device;
};
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
static char fast[64]; /* kernels whose names begin so are fast; "": none */
static bool ran_fast; /* the last graph was of such */

typedef struct block {
    struct block *next;
    unsigned char *address;
    size_t bytes;
    int kind; /* 'd' device, 'p' pinned, 'r' registered */
    int device;
} block;
static block *blocks;
static struct CUctx_st *primary[DEVICES];
static int primary_references[DEVICES];
static _Thread_local CUcontext stack[DEPTH];
static _Thread_local int depth;

/* Counts the call and says whether it must fail. Holds the lock on return if it need not. */
static CUresult begin(const char *function)
{
    (void)pthread_mutex_lock(&lock);
    if (only == NULL || strcmp(only, function) == 0) {
        calls++;
        if (fail_at > 0 && (calls == fail_at || (failure_sticks && calls > fail_at))) {
            failed = true;
            (void)pthread_mutex_unlock(&lock);
            return failure;
        }
    }
    return CUDA_SUCCESS;
}

static CUresult end(CUresult result)
{
    (void)pthread_mutex_unlock(&lock);
    return result;
}

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
#define BEGIN(function)                                                                                                \
    do {                                                                                                               \
        const CUresult begun_ = begin(TEXT(function));                                                                 \
        if (begun_ != CUDA_SUCCESS) {                                                                                  \
            return begun_;                                                                                             \
        }                                                                                                              \
    } while (0)

/* ---- Controls --------------------------------------------------------------------------------- */

void fake_cuda_fail_at(long n, CUresult result, bool sticky)
{
    (void)pthread_mutex_lock(&lock);
    fail_at = n;
    failure = result;
    failure_sticks = sticky;
    failed = false;
    calls = 0;
    (void)pthread_mutex_unlock(&lock);
}

long fake_cuda_calls(void)
{
    (void)pthread_mutex_lock(&lock);
    const long n = calls;
    (void)pthread_mutex_unlock(&lock);
    return n;
}

bool fake_cuda_has_failed(void)
{
    (void)pthread_mutex_lock(&lock);
    const bool answer = failed;
    (void)pthread_mutex_unlock(&lock);
    return answer;
}

void fake_cuda_only(const char *function)
{
    (void)pthread_mutex_lock(&lock);
    only = function;
    (void)pthread_mutex_unlock(&lock);
}

void fake_cuda_fast(const char *prefix)
{
    (void)pthread_mutex_lock(&lock);
    (void)snprintf(fast, sizeof fast, "%s", prefix);
    (void)pthread_mutex_unlock(&lock);
}

void fake_cuda_hold(bool hold)
{
    (void)pthread_mutex_lock(&lock);
    holding = hold;
    for (size_t i = 0; !hold && i < held_count; i++) {
        __atomic_store_n(held[i].word, held[i].value, __ATOMIC_RELEASE);
    }
    held_count = hold ? held_count : 0;
    (void)pthread_mutex_unlock(&lock);
}

fake_cuda_live fake_cuda_count(void)
{
    (void)pthread_mutex_lock(&lock);
    const fake_cuda_live now = live;
    (void)pthread_mutex_unlock(&lock);
    return now;
}

fake_cuda_launches fake_cuda_launched(bool reset)
{
    (void)pthread_mutex_lock(&lock);
    const fake_cuda_launches now = launches;
    if (reset) {
        memset(&launches, 0, sizeof launches);
    }
    (void)pthread_mutex_unlock(&lock);
    return now;
}

/* ---- Devices and contexts --------------------------------------------------------------------- */

CUresult cuInit(unsigned flags)
{
    (void)flags;
    return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version)
{
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char **text)
{
    *text = error == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_FAKE";
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
    *text = error == CUDA_ERROR_OUT_OF_MEMORY ? "out of memory" : "made up by the fake driver";
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count)
{
    *count = DEVICES;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    *device = ordinal;
    return ordinal < DEVICES ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char *name, int length, CUdevice device)
{
    (void)snprintf(name, (size_t)length, "Fake GPU %d", device);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    (void)device;
    switch ((int)attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = 9; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = 0; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 132; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *value = 232448; break;
    default: *value = 0; break;
    }
    return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem(size_t *bytes, CUdevice device)
{
    (void)device;
    *bytes = (size_t)1 << 30;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    BEGIN(cuDevicePrimaryCtxRetain);
    if (primary_references[device]++ == 0) {
        primary[device] = calloc(1, sizeof **primary);
        primary[device]->device = device;
        live.contexts++;
    }
    *context = primary[device];
    return end(CUDA_SUCCESS);
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
    (void)pthread_mutex_lock(&lock);
    if (--primary_references[device] == 0) {
        free(primary[device]);
        live.contexts--;
    }
    return end(CUDA_SUCCESS);
}

CUresult cuCtxPushCurrent(CUcontext context)
{
    if (depth == DEPTH) {
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    stack[depth++] = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent(CUcontext *context)
{
    if (depth == 0) {
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    *context = stack[--depth];
    return CUDA_SUCCESS;
}

/* ---- Memory ----------------------------------------------------------------------------------- */

static block *find_block(const void *address)
{
    for (block *each = blocks; each != NULL; each = each->next) {
        const uintptr_t start = (uintptr_t)each->address;
        if ((uintptr_t)address >= start && (uintptr_t)address < start + each->bytes) {
            return each;
        }
    }
    return NULL;
}

static CUresult add_block(void *address, size_t bytes, int kind)
{
    block *const made = calloc(1, sizeof *made);
    if (made == NULL || address == NULL) {
        free(made);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *made = (block){blocks, address, bytes, kind, depth > 0 ? stack[depth - 1]->device : 0};
    blocks = made;
    return CUDA_SUCCESS;
}

/* Larger blocks come from fresh pages, which cost nothing until touched: the sanitizers' work is by the byte. */
enum { LARGE_BYTES = 1 << 20 };

static void give_back(void *address, size_t bytes)
{
    if (bytes >= LARGE_BYTES) {
        (void)munmap(address, bytes);
    } else {
        free(address);
    }
}

static CUresult drop_block(const void *address, int kind)
{
    for (block **at = &blocks; *at != NULL; at = &(*at)->next) {
        block *const each = *at;
        if (each->address == address && each->kind == kind) {
            *at = each->next;
            if (kind != 'r') {
                give_back(each->address, each->bytes);
            }
            free(each);
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_VALUE;
}

static void *heap(size_t bytes)
{
    void *address = NULL;
    if (bytes > ((size_t)1 << 30)) {
        return NULL;
    }
    if (bytes >= LARGE_BYTES) {
        address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return address != MAP_FAILED ? address : NULL;
    }
    if (posix_memalign(&address, 256, bytes) != 0) {
        return NULL;
    }
    memset(address, 0xa5, bytes); /* what nobody has written is not zero */
    return address;
}

CUresult cuMemAlloc(CUdeviceptr *address, size_t bytes)
{
    BEGIN(cuMemAlloc);
    void *const got = heap(bytes);
    const CUresult result = add_block(got, bytes, 'd');
    *address = (CUdeviceptr)(uintptr_t)got;
    live.device_blocks += result == CUDA_SUCCESS;
    return end(result);
}

CUresult cuMemFree(CUdeviceptr address)
{
    (void)pthread_mutex_lock(&lock);
    const CUresult result = drop_block((const void *)(uintptr_t)address, 'd');
    live.device_blocks -= result == CUDA_SUCCESS;
    return end(result);
}

CUresult cuMemHostAlloc(void **address, size_t bytes, unsigned flags)
{
    (void)flags;
    BEGIN(cuMemHostAlloc);
    *address = heap(bytes);
    const CUresult result = add_block(*address, bytes, 'p');
    live.pinned_blocks += result == CUDA_SUCCESS;
    return end(result);
}

CUresult cuMemFreeHost(void *address)
{
    (void)pthread_mutex_lock(&lock);
    const CUresult result = drop_block(address, 'p');
    live.pinned_blocks -= result == CUDA_SUCCESS;
    return end(result);
}

CUresult cuMemHostRegister(void *address, size_t bytes, unsigned flags)
{
    (void)flags;
    BEGIN(cuMemHostRegister);
    if (find_block(address) != NULL) {
        return end(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    }
    const CUresult result = add_block(address, bytes, 'r');
    live.registered += result == CUDA_SUCCESS;
    return end(result);
}

CUresult cuMemHostUnregister(void *address)
{
    (void)pthread_mutex_lock(&lock);
    const CUresult result = drop_block(address, 'r');
    live.registered -= result == CUDA_SUCCESS;
    return end(result);
}

CUresult cuMemHostGetDevicePointer(CUdeviceptr *device, void *host, unsigned flags)
{
    (void)flags;
    BEGIN(cuMemHostGetDevicePointer);
    *device = (CUdeviceptr)(uintptr_t)host;
    return end(find_block(host) != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr address)
{
    BEGIN(cuPointerGetAttribute);
    const block *const found = find_block((const void *)(uintptr_t)address);
    if (found == NULL) {
        return end(CUDA_ERROR_INVALID_VALUE);
    }
    if (attribute == CU_POINTER_ATTRIBUTE_MEMORY_TYPE) {
        *(CUmemorytype *)data = found->kind == 'd' ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
    } else {
        *(int *)data = found->device;
    }
    return end(CUDA_SUCCESS);
}

CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    (void)stream;
    BEGIN(cuMemcpyAsync);
    memcpy((void *)(uintptr_t)to, (const void *)(uintptr_t)from, bytes);
    return end(CUDA_SUCCESS);
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream)
{
    (void)stream;
    BEGIN(cuMemsetD8Async);
    memset((void *)(uintptr_t)to, value, bytes);
    return end(CUDA_SUCCESS);
}

/* ---- Streams, events, graphs ------------------------------------------------------------------ */

CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
    (void)flags;
    BEGIN(cuStreamCreate);
    *stream = calloc(1, sizeof **stream);
    live.streams++;
    return end(CUDA_SUCCESS);
}

CUresult cuStreamDestroy(CUstream stream)
{
    (void)pthread_mutex_lock(&lock);
    free(stream);
    live.streams--;
    return end(CUDA_SUCCESS);
}

CUresult cuStreamSynchronize(CUstream stream)
{
    (void)stream;
    BEGIN(cuStreamSynchronize);
    return end(CUDA_SUCCESS);
}

/* Not counted: it is called by waiting threads as often as they like. */
CUresult cuStreamQuery(CUstream stream)
{
    (void)stream;
    (void)pthread_mutex_lock(&lock);
    const bool bad = failed && failure_sticks;
    return end(bad ? failure : held_count > 0 ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS);
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags)
{
    (void)stream;
    (void)event;
    (void)flags;
    BEGIN(cuStreamWaitEvent);
    return end(CUDA_SUCCESS);
}

CUresult cuStreamWriteValue32(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned flags)
{
    (void)stream;
    (void)flags;
    BEGIN(cuStreamWriteValue32);
    uint32_t *const word = (uint32_t *)(uintptr_t)address;
    if (holding && held_count < HELD_MOST) {
        held[held_count].word = word;
        held[held_count++].value = value;
    } else {
        __atomic_store_n(word, value, __ATOMIC_RELEASE);
    }
    return end(CUDA_SUCCESS);
}

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode)
{
    (void)mode;
    BEGIN(cuStreamBeginCapture);
    stream->capturing = true;
    stream->captured = 0;
    return end(CUDA_SUCCESS);
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    BEGIN(cuStreamEndCapture);
    *graph = calloc(1, sizeof **graph);
    (*graph)->nodes = stream->captured;
    (*graph)->fast = stream->captured_fast;
    stream->capturing = false;
    live.graphs++;
    return end(CUDA_SUCCESS);
}

CUresult cuGraphInstantiate(CUgraphExec *executable, CUgraph graph, unsigned long long flags)
{
    (void)flags;
    BEGIN(cuGraphInstantiate);
    *executable = calloc(1, sizeof **executable);
    (*executable)->nodes = graph->nodes;
    (*executable)->fast = graph->fast;
    live.executables++;
    return end(CUDA_SUCCESS);
}

CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream)
{
    (void)stream;
    BEGIN(cuGraphLaunch);
    launches.graphs++;
    launches.captured += executable->nodes;
    ran_fast = executable->fast;
    return end(CUDA_SUCCESS);
}

CUresult cuGraphDestroy(CUgraph graph)
{
    (void)pthread_mutex_lock(&lock);
    free(graph);
    live.graphs--;
    return end(CUDA_SUCCESS);
}

CUresult cuGraphExecDestroy(CUgraphExec executable)
{
    (void)pthread_mutex_lock(&lock);
    free(executable);
    live.executables--;
    return end(CUDA_SUCCESS);
}

CUresult cuEventCreate(CUevent *event, unsigned flags)
{
    (void)flags;
    BEGIN(cuEventCreate);
    *event = calloc(1, sizeof **event);
    live.events++;
    return end(CUDA_SUCCESS);
}

CUresult cuEventDestroy(CUevent event)
{
    (void)pthread_mutex_lock(&lock);
    free(event);
    live.events--;
    return end(CUDA_SUCCESS);
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
    (void)stream;
    BEGIN(cuEventRecord);
    event->recorded++;
    return end(CUDA_SUCCESS);
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent stop)
{
    (void)start;
    (void)stop;
    (void)pthread_mutex_lock(&lock);
    *milliseconds = ran_fast ? 0.2f : 0.25f;
    return end(CUDA_SUCCESS);
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
        return end(CUDA_ERROR_INVALID_IMAGE);
    }
    *module = calloc(1, sizeof **module);
    live.modules++;
    return end(CUDA_SUCCESS);
}

CUresult cuModuleUnload(CUmodule module)
{
    (void)pthread_mutex_lock(&lock);
    while (module->functions != NULL) {
        struct CUfunc_st *const next = module->functions->next;
        free(module->functions);
        module->functions = next;
    }
    free(module);
    live.modules--;
    return end(CUDA_SUCCESS);
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
    BEGIN(cuModuleGetFunction);
    *function = calloc(1, sizeof **function);
    (void)snprintf((*function)->name, sizeof(*function)->name, "%s", name);
    (*function)->dynamic_limit = USUAL_DYNAMIC;
    (*function)->next = module->functions;
    module->functions = *function;
    return end(CUDA_SUCCESS);
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function)
{
    (void)attribute;
    (void)function;
    BEGIN(cuFuncGetAttribute);
    *value = FIXED_SHARED;
    return end(CUDA_SUCCESS);
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

CUresult cuOccupancyMaxActiveClusters(int *clusters, CUfunction function, const CUlaunchConfig *config)
{
    (void)function;
    BEGIN(cuOccupancyMaxActiveClusters);
    *clusters = 132 / (int)config->attrs[0].value.clusterDim.x;
    return end(CUDA_SUCCESS);
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
    (void)snprintf(launches.last, sizeof launches.last, "%s", function->name);
    launches.grid = config->gridDimX;
    launches.block = config->blockDimX * config->blockDimY;
    launches.cluster = 1;
    for (unsigned i = 0; i < config->numAttrs; i++) {
        if (config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
            launches.cluster = config->attrs[i].value.clusterDim.x;
        }
    }
    if (config->hStream->capturing) {
        config->hStream->captured++;
        config->hStream->captured_fast = fast[0] != '\0' && strncmp(function->name, fast, strlen(fast)) == 0;
    } else {
        launches.kernels++;
    }
    const bool fits = launches.block <= 1024 && launches.block > 0 && launches.grid > 0 &&
                      launches.grid % launches.cluster == 0 && config->sharedMemBytes <= function->dynamic_limit;
    return end(fits ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
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
