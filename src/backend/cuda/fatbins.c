/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fatbins.c: the compiled kernels, embedded. Owns bytes only; modules.c hands them to the driver.
 *
 * The assembler's .incbin takes megabytes at once, where a C array of them would take a compiler minutes.
 */
#include "backend/cuda/modules.h"

#define AMPS_CUDA_MODULE(name)                                                                                         \
    __asm__(".pushsection .rodata, \"a\", @progbits\n"                                                                 \
            ".balign 64\n"                                                                                             \
            ".globl amps_fatbin_" #name "\n"                                                                           \
            ".hidden amps_fatbin_" #name "\n"                                                                          \
            "amps_fatbin_" #name ":\n"                                                                                 \
            ".incbin \"" AMPS_FATBIN_DIR "/" #name ".fatbin\"\n"                                                       \
            ".byte 0\n"                                                                                                \
            ".popsection\n");                                                                                          \
    extern const unsigned char amps_fatbin_##name[];
#include "backend/cuda/kernels/modules.def"
#undef AMPS_CUDA_MODULE

const unsigned char *const amps_cuda_fatbins[AMPS_CUDA_MODULES] = {
#define AMPS_CUDA_MODULE(name) amps_fatbin_##name,
#include "backend/cuda/kernels/modules.def"
#undef AMPS_CUDA_MODULE
};
