/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_cuda.c: a CUDA driver that owns no GPU: the functions of src/backend/cuda/driver.def as a shared library with
 * the driver's own name, which the backend then opens. Two devices like an H100. One lock guards everything. Here: the
 * controls, devices, contexts and memory; what runs is in fake_cuda_run.c.
 */
#include "fake_cuda_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { DEVICES = 2, DEPTH = 16 };

fake_cuda_state fake = {.lock = PTHREAD_MUTEX_INITIALIZER};
static long fail_at, calls;
static const char *only;

struct CUctx_st {
    int device;
};

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

CUresult fake_cuda_begin(const char *function)
{
    (void)pthread_mutex_lock(&fake.lock);
    if (only == NULL || strcmp(only, function) == 0) {
        calls++;
        if (fail_at > 0 && (calls == fail_at || (fake.failure_sticks && calls > fail_at))) {
            fake.failed = true;
            (void)pthread_mutex_unlock(&fake.lock);
            return fake.failure;
        }
    }
    return CUDA_SUCCESS;
}

CUresult fake_cuda_end(CUresult result)
{
    (void)pthread_mutex_unlock(&fake.lock);
    return result;
}

/* ---- Controls --------------------------------------------------------------------------------- */

void fake_cuda_fail_at(long n, CUresult result, bool sticky)
{
    (void)pthread_mutex_lock(&fake.lock);
    fail_at = n;
    fake.failure = result;
    fake.failure_sticks = sticky;
    fake.failed = false;
    calls = 0;
    (void)pthread_mutex_unlock(&fake.lock);
}

long fake_cuda_calls(void)
{
    (void)pthread_mutex_lock(&fake.lock);
    const long n = calls;
    (void)pthread_mutex_unlock(&fake.lock);
    return n;
}

bool fake_cuda_has_failed(void)
{
    (void)pthread_mutex_lock(&fake.lock);
    const bool answer = fake.failed;
    (void)pthread_mutex_unlock(&fake.lock);
    return answer;
}

void fake_cuda_only(const char *function)
{
    (void)pthread_mutex_lock(&fake.lock);
    only = function;
    (void)pthread_mutex_unlock(&fake.lock);
}

void fake_cuda_fast(const char *prefix)
{
    (void)pthread_mutex_lock(&fake.lock);
    (void)snprintf(fake.fast, sizeof fake.fast, "%s", prefix);
    (void)pthread_mutex_unlock(&fake.lock);
}

void fake_cuda_hold(bool hold)
{
    (void)pthread_mutex_lock(&fake.lock);
    fake.holding = hold;
    for (size_t i = 0; !hold && i < fake.held_count; i++) {
        __atomic_store_n(fake.held[i].word, fake.held[i].value, __ATOMIC_RELEASE);
    }
    fake.held_count = hold ? fake.held_count : 0;
    (void)pthread_mutex_unlock(&fake.lock);
}

fake_cuda_live fake_cuda_count(void)
{
    (void)pthread_mutex_lock(&fake.lock);
    const fake_cuda_live now = fake.live;
    (void)pthread_mutex_unlock(&fake.lock);
    return now;
}

fake_cuda_launches fake_cuda_launched(bool reset)
{
    (void)pthread_mutex_lock(&fake.lock);
    const fake_cuda_launches now = fake.launches;
    if (reset) {
        memset(&fake.launches, 0, sizeof fake.launches);
    }
    (void)pthread_mutex_unlock(&fake.lock);
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
        fake.live.contexts++;
    }
    *context = primary[device];
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
    (void)pthread_mutex_lock(&fake.lock);
    if (--primary_references[device] == 0) {
        free(primary[device]);
        fake.live.contexts--;
    }
    return fake_cuda_end(CUDA_SUCCESS);
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
    fake.live.device_blocks += result == CUDA_SUCCESS;
    return fake_cuda_end(result);
}

CUresult cuMemFree(CUdeviceptr address)
{
    (void)pthread_mutex_lock(&fake.lock);
    const CUresult result = drop_block((const void *)(uintptr_t)address, 'd');
    fake.live.device_blocks -= result == CUDA_SUCCESS;
    return fake_cuda_end(result);
}

CUresult cuMemHostAlloc(void **address, size_t bytes, unsigned flags)
{
    (void)flags;
    BEGIN(cuMemHostAlloc);
    *address = heap(bytes);
    const CUresult result = add_block(*address, bytes, 'p');
    fake.live.pinned_blocks += result == CUDA_SUCCESS;
    return fake_cuda_end(result);
}

CUresult cuMemFreeHost(void *address)
{
    (void)pthread_mutex_lock(&fake.lock);
    const CUresult result = drop_block(address, 'p');
    fake.live.pinned_blocks -= result == CUDA_SUCCESS;
    return fake_cuda_end(result);
}

CUresult cuMemHostRegister(void *address, size_t bytes, unsigned flags)
{
    (void)flags;
    BEGIN(cuMemHostRegister);
    if (find_block(address) != NULL) {
        return fake_cuda_end(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    }
    const CUresult result = add_block(address, bytes, 'r');
    fake.live.registered += result == CUDA_SUCCESS;
    return fake_cuda_end(result);
}

CUresult cuMemHostUnregister(void *address)
{
    (void)pthread_mutex_lock(&fake.lock);
    const CUresult result = drop_block(address, 'r');
    fake.live.registered -= result == CUDA_SUCCESS;
    return fake_cuda_end(result);
}

CUresult cuMemHostGetDevicePointer(CUdeviceptr *device, void *host, unsigned flags)
{
    (void)flags;
    BEGIN(cuMemHostGetDevicePointer);
    *device = (CUdeviceptr)(uintptr_t)host;
    return fake_cuda_end(find_block(host) != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr address)
{
    BEGIN(cuPointerGetAttribute);
    const block *const found = find_block((const void *)(uintptr_t)address);
    if (found == NULL) {
        return fake_cuda_end(CUDA_ERROR_INVALID_VALUE);
    }
    if (attribute == CU_POINTER_ATTRIBUTE_MEMORY_TYPE) {
        *(CUmemorytype *)data = found->kind == 'd' ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
    } else {
        *(int *)data = found->device;
    }
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    (void)stream;
    BEGIN(cuMemcpyAsync);
    memcpy((void *)(uintptr_t)to, (const void *)(uintptr_t)from, bytes);
    return fake_cuda_end(CUDA_SUCCESS);
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream)
{
    (void)stream;
    BEGIN(cuMemsetD8Async);
    memset((void *)(uintptr_t)to, value, bytes);
    return fake_cuda_end(CUDA_SUCCESS);
}
