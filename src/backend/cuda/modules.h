/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules.h: the kernels by number. modules.c loads them, the files in ops/ name them.
 * kernels/modules.def lists the source files, kernels/kernels.def the kernels in them.
 */
#ifndef AMPS_CUDA_MODULES_H
#define AMPS_CUDA_MODULES_H

enum {
#define AMPS_CUDA_MODULE(name) AMPS_MODULE_##name,
#include "backend/cuda/kernels/modules.def"
#undef AMPS_CUDA_MODULE
    AMPS_CUDA_MODULES
};

typedef enum amps_cuda_function {
#define AMPS_CUDA_KERNEL(module, name) AMPS_FN_##name,
#include "backend/cuda/kernels/kernels.def"
#undef AMPS_CUDA_KERNEL
    AMPS_CUDA_FUNCTIONS
} amps_cuda_function;

/* fatbins.c */
extern const unsigned char *const amps_cuda_fatbins[AMPS_CUDA_MODULES];

#endif /* AMPS_CUDA_MODULES_H */
