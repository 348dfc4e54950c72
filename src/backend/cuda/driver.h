/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.h: the CUDA driver's functions as a table of pointers, and the way its errors become ours.
 * Every file of this backend calls the driver through it; driver.c alone opens the library.
 */
#ifndef AMPS_CUDA_DRIVER_H
#define AMPS_CUDA_DRIVER_H

#include "base/status.h"

#include <cuda.h>

/* cuda.h renames versioned functions by macro (cuMemAlloc is cuMemAlloc_v2), so the pasted name below
   is always the version that its prototype describes. */
typedef struct amps_cuda_driver {
#define AMPS_CU(name) __typeof__(cu##name) *name;
#include "backend/cuda/driver.def"
#undef AMPS_CU
} amps_cuda_driver;

/* The loaded driver, or NULL with the reason in `*why` (lives for ever). Loads it at the first call. */
const amps_cuda_driver *amps_cuda_driver_load(const char **why);

/* The same after a successful load; the backend's other files call it for granted. */
extern amps_cuda_driver amps_cu;

/* True for the errors after which the driver refuses everything else in this context. */
bool amps_cuda_is_sticky(CUresult result);

/* Records what the driver said. OUT_OF_MEMORY, DEVICE_LOST (sticky) or EXECUTION_FAILED. `what` names
   the operation and the driver's function: "buffer_create: cuMemAlloc". */
anymps_status amps_cuda_fail(CUresult result, const char *what);

#define AMPS_CU_TRY(call, what)                                                                                        \
    do {                                                                                                               \
        const CUresult amps_cu_result_ = (call);                                                                       \
        if (amps_cu_result_ != CUDA_SUCCESS) {                                                                         \
            return amps_cuda_fail(amps_cu_result_, what);                                                              \
        }                                                                                                              \
    } while (0)

#endif /* AMPS_CUDA_DRIVER_H */
