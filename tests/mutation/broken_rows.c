/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broken_rows.c: the baseline's row microkernels with one defect in softmax, chosen by MUTATION. Takes the
 * place of rows__baseline.c in a mutant of the library; the conformance suite must notice.
 */
#define amps_row_ukr_baseline sound_row_ukr_baseline
#include "backend/cpu/ukr/rows__baseline.c"
#undef amps_row_ukr_baseline

/* The name that the rest of the library links to; filled before main. */
extern amps_row_ukr amps_row_ukr_baseline;
amps_row_ukr amps_row_ukr_baseline;

static void broken_softmax(const amps_row *row, double scale)
{
    amps_row spoilt = *row;
#if MUTATION == 1 /* the scale is forgotten */
    sound_row_ukr_baseline.softmax(&spoilt, scale > 0.0 ? 1.0 : scale);
#else /* the last of a row of odd length has no part in the sum */
    spoilt.n = row->n > 8 && row->n % 2 == 1 ? row->n - 1 : row->n;
    sound_row_ukr_baseline.softmax(&spoilt, scale);
#endif
}

__attribute__((constructor)) static void spoil(void)
{
    amps_row_ukr_baseline = sound_row_ukr_baseline;
    amps_row_ukr_baseline.softmax = broken_softmax;
}
