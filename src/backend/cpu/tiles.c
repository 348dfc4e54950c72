/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiles.c: asks the CPU whether it has tiles (AMX) and the kernel for their registers. Called by isa.c.
 *
 * Linux hands out the tile data on request only (Documentation/arch/x86/xstate.rst): for the process, its later threads
 * among them, from the request on; asking again is harmless. Other systems are taken to have none.
 */
#include "backend/cpu/tiles.h"

#include "backend/cpu/isa.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ARCH_REQ_XCOMP_PERM_NUMBER = 0x1023, XFEATURE_XTILEDATA_NUMBER = 18 };
enum { LEAF1_ECX_OSXSAVE = 27, LEAF7_EDX_AMX_BF16 = 22, LEAF7_EDX_AMX_TILE = 24, LEAF7_EDX_AMX_INT8 = 25 };

/* Tile configuration and data, bits 17 and 18 of XCR0 (Intel SDM volume 1, section 13.1). */
static int saves_tiles(void)
{
    enum { XCR0_AMX = 0x60000 };
    uint32_t eax = 0;
    uint32_t ebx = 0;
    uint32_t ecx = 0;
    uint32_t edx = 0;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx >> LEAF1_ECX_OSXSAVE & 1u) == 0) {
        return 0;
    }
    uint32_t low = 0;
    uint32_t high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & XCR0_AMX) == XCR0_AMX;
}

uint32_t amps_cpu_tile_features(void)
{
    uint32_t eax = 0;
    uint32_t ebx = 0;
    uint32_t ecx = 0;
    uint32_t edx = 0;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx >> LEAF7_EDX_AMX_TILE & 1u) == 0 ||
        !saves_tiles() || syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM_NUMBER, XFEATURE_XTILEDATA_NUMBER) != 0) {
        return 0;
    }
    return ((edx >> LEAF7_EDX_AMX_BF16 & 1u) != 0 ? AMPS_CPU_AMX_BF16 : 0u) |
           ((edx >> LEAF7_EDX_AMX_INT8 & 1u) != 0 ? AMPS_CPU_AMX_INT8 : 0u);
}
#else
uint32_t amps_cpu_tile_features(void)
{
    return 0;
}
#endif
