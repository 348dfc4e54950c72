/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broken_gemm.c: the baseline's matmul microkernel with one defect, chosen by MUTATION. Takes the place of
 * f32_gemm_4x8__baseline.c in a mutant of the library; the conformance suite must notice.
 */
#define amps_f32_gemm_4x8__baseline sound_f32_gemm_4x8__baseline
#include "backend/cpu/ukr/f32_gemm_4x8__baseline.c"
#undef amps_f32_gemm_4x8__baseline

/* The name that the rest of the library links to; filled before main. */
extern amps_gemm_ukr amps_f32_gemm_4x8__baseline;
amps_gemm_ukr amps_f32_gemm_4x8__baseline;

static void broken_strip(const amps_gemm_strip *sound)
{
    amps_gemm_strip s = *sound;
#if MUTATION == 1 /* the last step of a long sum is lost */
    s.interior -= s.interior > 16 ? 1 : 0;
#elif MUTATION == 2 /* beta is taken for 1 whatever it is */
    s.beta = s.beta != 0.0f ? 1.0f : 0.0f;
#elif MUTATION == 3 /* the old result is read although beta is 0 */
    s.beta = s.beta == 0.0f ? 1e-30f : s.beta;
#endif
    sound_f32_gemm_4x8__baseline.strip(&s);
#if MUTATION == 4 /* one column too far is written */
    for (size_t i = 0; i < s.rows; i++) {
        s.c[i * s.c_row + s.columns] = 0.0f;
    }
#elif MUTATION == 5 /* one unit in the last place differs from run to run */
    static unsigned calls;
    calls++;
    if (s.rows > 0) {
        s.c[0] *= calls % 2 == 0 ? 1.0f : 1.0f + 0x1p-23f;
    }
#elif MUTATION == 6 /* the last row of a panel that is not full is wrong in its last column */
    if (s.rows % s.panel_rows != 0) {
        s.c[(s.rows - 1) * s.c_row + s.columns - 1] *= 1.001f;
    }
#endif
}

__attribute__((constructor)) static void spoil(void)
{
    amps_f32_gemm_4x8__baseline = sound_f32_gemm_4x8__baseline;
    amps_f32_gemm_4x8__baseline.strip = broken_strip;
}
