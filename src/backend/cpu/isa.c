/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isa.c: asks the CPU and the operating system which instruction sets may be used, how large the caches
 * are and on how many CPUs this process may run. Called by cpu.c when a device is described or opened.
 *
 * A set counts only if the CPU has it and the operating system saves its registers (XCR0 on x86-64).
 */
#include "backend/cpu/isa.h"

#include "backend/cpu/tiles.h"
#include "base/checked.h"
#include "base/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

static const char *const isa_names[AMPS_CPU_ISA_COUNT] = {"baseline", "avx2",         "avx512",   "amx",
                                                          "neon",     "neon-dotprod", "neon-i8mm"};

const char *amps_cpu_isa_name(amps_cpu_isa isa)
{
    return isa_names[isa];
}

#if defined(__x86_64__)
#include <cpuid.h>

/* Registers that the operating system saves, by bit of XCR0 (Intel SDM volume 1, section 13.1). */
enum {
    XCR0_AVX = 0x6,    /* SSE, AVX */
    XCR0_AVX512 = 0xe6 /* those, opmask, ZMM */
};

/* The words of CPUID that are looked at; zero where the leaf does not exist. */
typedef struct cpuid_words {
    uint32_t leaf1_ecx;
    uint32_t leaf7_ebx, leaf7_ecx, leaf7_edx;
    uint32_t leaf7_1_eax;
    uint64_t xcr0;
} cpuid_words;

static bool has(uint32_t word, unsigned bit)
{
    return (word >> bit & 1u) != 0;
}

static cpuid_words read_cpuid(void)
{
    cpuid_words words = {0};
    uint32_t eax = 0;
    uint32_t ebx = 0;
    uint32_t ecx = 0;
    uint32_t edx = 0;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0) {
        words.leaf1_ecx = ecx;
    }
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) {
        words.leaf7_ebx = ebx;
        words.leaf7_ecx = ecx;
        words.leaf7_edx = edx;
        if (eax >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0) {
            words.leaf7_1_eax = eax;
        }
    }
    if (has(words.leaf1_ecx, 27)) { /* OSXSAVE: xgetbv may be executed */
        uint32_t low = 0;
        uint32_t high = 0;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        words.xcr0 = (uint64_t)high << 32 | low;
    }
    return words;
}

static bool saves(const cpuid_words *words, uint64_t registers)
{
    return (words->xcr0 & registers) == registers;
}

static bool has_avx2(const cpuid_words *words)
{
    return saves(words, XCR0_AVX) && has(words->leaf1_ecx, 28) && has(words->leaf1_ecx, 12) &&
           has(words->leaf1_ecx, 29) && has(words->leaf7_ebx, 5); /* AVX, FMA, F16C, AVX2 */
}

static bool has_avx512(const cpuid_words *words)
{
    const uint32_t ebx = words->leaf7_ebx;
    return has_avx2(words) && saves(words, XCR0_AVX512) && has(ebx, 16) && has(ebx, 17) && has(ebx, 28) &&
           has(ebx, 30) && has(ebx, 31); /* F, DQ, CD, BW, VL */
}

/* The level AMX: both kinds of tile products, and what every CPU that has them has. */
static bool has_amx(const cpuid_words *words)
{
    enum { BOTH = AMPS_CPU_AMX_BF16 | AMPS_CPU_AMX_INT8 };
    return has_avx512(words) && has(words->leaf7_1_eax, 5) && has(words->leaf7_ecx, 11) &&
           amps_cpu_tile_features() == BOTH; /* AVX512-BF16, VNNI */
}

amps_cpu_isa amps_cpu_isa_best(void)
{
    const cpuid_words words = read_cpuid();
    if (has_amx(&words)) {
        return AMPS_CPU_ISA_AMX;
    }
    if (has_avx512(&words)) {
        return AMPS_CPU_ISA_AVX512;
    }
    return has_avx2(&words) ? AMPS_CPU_ISA_AVX2 : AMPS_CPU_ISA_BASELINE;
}

uint32_t amps_cpu_features(amps_cpu_isa isa)
{
    const cpuid_words words = read_cpuid();
    uint32_t features = 0;
    if (isa >= AMPS_CPU_ISA_AVX2 && has(words.leaf7_1_eax, 4)) {
        features |= AMPS_CPU_AVX_VNNI;
    }
    if (isa < AMPS_CPU_ISA_AVX512) {
        return features;
    }
    features |= has(words.leaf7_1_eax, 5) ? AMPS_CPU_AVX512_BF16 : 0u;
    features |= has(words.leaf7_ecx, 11) ? AMPS_CPU_AVX512_VNNI : 0u;
    features |= has(words.leaf7_edx, 23) ? AMPS_CPU_AVX512_FP16 : 0u;
    return isa == AMPS_CPU_ISA_AMX ? features | amps_cpu_tile_features() : features;
}

void amps_cpu_name(char *name, size_t size)
{
    uint32_t brand[12] = {0};
    for (uint32_t leaf = 0; leaf < 3; leaf++) {
        uint32_t *const words = brand + (size_t)leaf * 4;
        if (__get_cpuid(0x80000002u + leaf, &words[0], &words[1], &words[2], &words[3]) == 0) {
            break;
        }
    }
    char text[sizeof brand + 1] = {0};
    memcpy(text, brand, sizeof brand);
    const char *start = text + strspn(text, " ");
    snprintf(name, size, "%s", start[0] != '\0' ? start : "x86-64");
    for (size_t end = strlen(name); end > 0 && name[end - 1] == ' '; end--) {
        name[end - 1] = '\0';
    }
}

#else /* not x86-64 */

#if defined(__aarch64__)
/* The extensions of arm64 that a microkernel uses: the least level that may, and how the systems tell of them: Linux by
   a bit of AT_HWCAP or AT_HWCAP2 (Documentation/arch/arm64/elf_hwcaps.rst), macOS by a name of sysctl. */
static const struct {
    amps_cpu_feature feature;
    amps_cpu_isa level;
    unsigned word, bit; /* word 1: AT_HWCAP2 */
    const char *name;
} extensions[] = {
    {AMPS_CPU_NEON_DOTPROD, AMPS_CPU_ISA_NEON_DOTPROD, 0, 20, "hw.optional.arm.FEAT_DotProd"},
    {AMPS_CPU_NEON_FHM, AMPS_CPU_ISA_NEON_DOTPROD, 0, 23, "hw.optional.arm.FEAT_FHM"},
    {AMPS_CPU_NEON_I8MM, AMPS_CPU_ISA_NEON_I8MM, 1, 13, "hw.optional.arm.FEAT_I8MM"},
    {AMPS_CPU_NEON_BF16, AMPS_CPU_ISA_NEON_I8MM, 1, 14, "hw.optional.arm.FEAT_BF16"},
};

static bool extension_is_there(size_t i)
{
#if defined(__linux__)
    const unsigned long words[2] = {getauxval(AT_HWCAP), getauxval(AT_HWCAP2)};
    return (words[extensions[i].word] >> extensions[i].bit & 1u) != 0;
#elif defined(__APPLE__)
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(extensions[i].name, &value, &size, NULL, 0) == 0 && value != 0;
#else
    (void)i;
    return false;
#endif
}

uint32_t amps_cpu_features(amps_cpu_isa isa)
{
    uint32_t features = 0;
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        if (isa >= extensions[i].level && extension_is_there(i)) {
            features |= extensions[i].feature;
        }
    }
    return features;
}

/* Advanced SIMD is part of the architecture's base; a level above needs the extension that it is named after. */
amps_cpu_isa amps_cpu_isa_best(void)
{
    const uint32_t features = amps_cpu_features(AMPS_CPU_ISA_NEON_I8MM);
    if ((features & AMPS_CPU_NEON_DOTPROD) == 0) {
        return AMPS_CPU_ISA_NEON;
    }
    return (features & AMPS_CPU_NEON_I8MM) != 0 ? AMPS_CPU_ISA_NEON_I8MM : AMPS_CPU_ISA_NEON_DOTPROD;
}

#else

amps_cpu_isa amps_cpu_isa_best(void)
{
    return AMPS_CPU_ISA_BASELINE;
}

uint32_t amps_cpu_features(amps_cpu_isa isa)
{
    (void)isa;
    return 0;
}
#endif

void amps_cpu_name(char *name, size_t size)
{
#if defined(__APPLE__)
    if (sysctlbyname("machdep.cpu.brand_string", name, &size, NULL, 0) == 0) {
        return;
    }
#endif
    snprintf(name, size, "%s", amps_cpu_isa_best() >= AMPS_CPU_ISA_NEON ? "arm64" : "CPU");
}

#endif

anymps_status amps_cpu_isa_parse(const char *name, amps_cpu_isa *isa)
{
    const amps_cpu_isa best = amps_cpu_isa_best();
    const char *wanted = name != NULL ? name : getenv("ANYMPS_ISA");
    if (wanted == NULL || wanted[0] == '\0') {
        *isa = best;
        return ANYMPS_OK;
    }
    amps_cpu_isa found = AMPS_CPU_ISA_BASELINE;
    while (found < AMPS_CPU_ISA_COUNT && strcmp(wanted, isa_names[found]) != 0) {
        found++;
    }
    ANYMPS_FAIL_IF(found == AMPS_CPU_ISA_COUNT, ANYMPS_INVALID_ARGUMENT,
                   "device_open: '%.32s' is no instruction set; they are baseline, avx2, avx512, amx, neon, "
                   "neon-dotprod, neon-i8mm",
                   wanted);
    const bool other_family = (found >= AMPS_CPU_ISA_NEON) != (best >= AMPS_CPU_ISA_NEON);
    const bool lacks = found != AMPS_CPU_ISA_BASELINE && (other_family || found > best);
    ANYMPS_FAIL_IF(lacks, ANYMPS_UNSUPPORTED, "device_open: this CPU has no %s, its best is %s", wanted,
                   isa_names[best]);
    *isa = found;
    return ANYMPS_OK;
}

/* `name` of sysconf in bytes, or `otherwise` where the system does not say. */
#if defined(_SC_LEVEL1_DCACHE_SIZE)
static size_t cache_bytes(int name, size_t otherwise)
{
    const long bytes = sysconf(name);
    return bytes > 0 ? (size_t)bytes : otherwise;
}
#endif

#if defined(__linux__)
/* The kernel's word for the last level, as one core sees it: sysconf may add up those of the whole machine (glibc
   2.36 on AMD EPYC: 320 MiB for 32). 0: it does not say. */
static size_t last_level_bytes(void)
{
    FILE *const file = fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "re");
    size_t kilobytes = 0;
    if (file != NULL) {
        char text[32] = "";
        char *end = text;
        if (fgets(text, sizeof text, file) != NULL) {
            kilobytes = strtoul(text, &end, 10);
        }
        (void)fclose(file);
        kilobytes = *end == 'K' ? kilobytes : *end == 'M' ? kilobytes << 10 : 0;
    }
    return kilobytes << 10;
}
#endif

amps_cpu_caches amps_cpu_cache_sizes(void)
{
    amps_cpu_caches caches = {32 << 10, 256 << 10, 0};
#if defined(_SC_LEVEL1_DCACHE_SIZE)
    caches.l1_bytes = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, caches.l1_bytes);
    caches.l2_bytes = cache_bytes(_SC_LEVEL2_CACHE_SIZE, caches.l2_bytes);
    caches.l3_bytes = cache_bytes(_SC_LEVEL3_CACHE_SIZE, caches.l3_bytes);
#if defined(__linux__)
    const size_t last = last_level_bytes();
    caches.l3_bytes = last != 0 ? last : caches.l3_bytes;
#endif
#elif defined(__APPLE__)
    size_t size = sizeof caches.l1_bytes;
    sysctlbyname("hw.perflevel0.l1dcachesize", &caches.l1_bytes, &size, NULL, 0);
    size = sizeof caches.l2_bytes;
    sysctlbyname("hw.perflevel0.l2cachesize", &caches.l2_bytes, &size, NULL, 0);
#endif
    return caches;
}

size_t amps_cpu_allowed(void)
{
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) {
        return (size_t)CPU_COUNT(&set);
    }
#endif
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (size_t)online : 1;
}
