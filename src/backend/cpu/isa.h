/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isa.h: what this CPU and its operating system allow, and the caller's cap on it. Used by cpu.c and by
 * whoever chooses a microkernel; knows no operator.
 */
#ifndef AMPS_ISA_H
#define AMPS_ISA_H

#include <anymps/base.h>

/* Levels that a caller can cap a device to. Each includes those of its family before it; the levels of arm64 begin with
   NEON. */
typedef enum amps_cpu_isa {
    AMPS_CPU_ISA_BASELINE = 0,     /* x86-64: SSE2; arm64: plain C */
    AMPS_CPU_ISA_AVX2 = 1,         /* AVX2, FMA, F16C (Haswell, Zen) */
    AMPS_CPU_ISA_AVX512 = 2,       /* AVX-512 F, BW, DQ, VL, CD (Skylake-SP, Zen 4) */
    AMPS_CPU_ISA_AMX = 3,          /* that and tiles of bf16 and i8 that the kernel granted (Sapphire Rapids) */
    AMPS_CPU_ISA_NEON = 4,         /* arm64 Advanced SIMD, part of its base (Cortex-A72) */
    AMPS_CPU_ISA_NEON_DOTPROD = 5, /* dot products of i8, often FMLAL of f16 (Neoverse N1, Apple M1) */
    AMPS_CPU_ISA_NEON_I8MM = 6,    /* matrix products of i8, mostly of bf16 too (Neoverse V1, Apple M2) */
    AMPS_CPU_ISA_COUNT
} amps_cpu_isa;

/* Extensions beyond the level, present only if the cap's level allows them. */
typedef enum amps_cpu_feature {
    AMPS_CPU_AVX512_BF16 = 1u << 0,
    AMPS_CPU_AVX512_VNNI = 1u << 1,
    AMPS_CPU_AVX512_FP16 = 1u << 2,
    AMPS_CPU_AMX_BF16 = 1u << 3,
    AMPS_CPU_AMX_INT8 = 1u << 4,
    AMPS_CPU_AVX_VNNI = 1u << 5,
    AMPS_CPU_NEON_FHM = 1u << 6, /* f16 products added to f32 */
    AMPS_CPU_NEON_DOTPROD = 1u << 7,
    AMPS_CPU_NEON_I8MM = 1u << 8,
    AMPS_CPU_NEON_BF16 = 1u << 9
} amps_cpu_feature;

/* Data cache bytes as one core sees them; a level that could not be read has a cautious default. */
typedef struct amps_cpu_caches {
    size_t l1_bytes;
    size_t l2_bytes;
    size_t l3_bytes; /* 0: none */
} amps_cpu_caches;

/* "baseline", "avx2", "avx512", "amx", "neon", "neon-dotprod", "neon-i8mm". */
const char *amps_cpu_isa_name(amps_cpu_isa isa);

/* The best level that CPU and operating system allow. */
amps_cpu_isa amps_cpu_isa_best(void);

/* The level for a cap: NULL means the variable ANYMPS_ISA if set, else the best. INVALID_ARGUMENT: no
   such name; UNSUPPORTED: this CPU lacks it. */
anymps_status amps_cpu_isa_parse(const char *name, amps_cpu_isa *isa);

/* Extensions that this CPU has and the level allows. */
uint32_t amps_cpu_features(amps_cpu_isa isa);

amps_cpu_caches amps_cpu_cache_sizes(void);

/* The product's name, such as "AMD EPYC", cut to `size` bytes. */
void amps_cpu_name(char *name, size_t size);

/* How many CPUs this process may run on; at least 1. */
size_t amps_cpu_allowed(void);

#endif /* AMPS_ISA_H */
