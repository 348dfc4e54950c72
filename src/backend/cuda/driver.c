/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.c: opens the NVIDIA driver's library and fills the table of its functions. The only file that
 * loads it; called by cuda.c once. Knows no device and no operator.
 */
#include "backend/cuda/driver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Written once under `once`, read-only after; listed in docs/threads.md. */
amps_cuda_driver amps_cu;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char reason[256];

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

/* Copies a data pointer into a function pointer, which C has no cast for. */
static bool find(void *library, const char *name, void *slot)
{
    void *const symbol = dlsym(library, name);
    memcpy(slot, &symbol, sizeof symbol);
    if (symbol == NULL) {
        (void)snprintf(reason, sizeof reason, "the NVIDIA driver lacks %s (too old)", name);
    }
    return symbol != NULL;
}

static void load(void)
{
    void *const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        (void)snprintf(reason, sizeof reason, "no NVIDIA driver (libcuda.so.1)");
        return;
    }
    bool complete = true;
#define AMPS_CU(name) complete = complete && find(library, TEXT(cu##name), &amps_cu.name);
#include "backend/cuda/driver.def"
#undef AMPS_CU
    if (!complete) {
        (void)dlclose(library);
        return;
    }
    const CUresult result = amps_cu.Init(0);
    if (result != CUDA_SUCCESS) {
        const char *text = "unknown error";
        (void)amps_cu.GetErrorString(result, &text);
        (void)snprintf(reason, sizeof reason, "cuInit: %s", text);
    }
    /* The library stays open: drivers do not survive being closed. */
}

const amps_cuda_driver *amps_cuda_driver_load(const char **why)
{
    (void)pthread_once(&once, load);
    if (why != NULL) {
        *why = reason;
    }
    return reason[0] == '\0' ? &amps_cu : NULL;
}

bool amps_cuda_is_sticky(CUresult result)
{
    switch ((int)result) {
    case CUDA_ERROR_DEINITIALIZED:
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_CONTEXT_IS_DESTROYED:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED: return true;
    default: return false;
    }
}

anymps_status amps_cuda_fail(CUresult result, const char *what)
{
    const char *name = "?";
    const char *text = "unknown error";
    (void)amps_cu.GetErrorName(result, &name);
    (void)amps_cu.GetErrorString(result, &text);
    anymps_status status = ANYMPS_EXECUTION_FAILED;
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
        status = ANYMPS_OUT_OF_MEMORY;
    } else if (amps_cuda_is_sticky(result)) {
        status = ANYMPS_DEVICE_LOST;
    }
    return amps_fail_code(status, (int64_t)result, "%s: %s (%s)", what, text, name);
}
