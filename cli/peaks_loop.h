/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peaks_loop.h: the multiply-add loop, included by peaks_fma.c once for each width: LOOP is its name, LANES the floats in
 * a vector, CHAINS the accumulators, TARGET the function's instruction set. Ends their definitions.
 *
 * a * x + y converges, so that nothing overflows. Answers the operations done.
 */
TARGET static double LOOP(void)
{
    typedef float vector __attribute__((vector_size(LANES * sizeof(float))));
    vector a[CHAINS], x, y;
    for (int i = 0; i < LANES; i++) {
        x[i] = 0.5f;
        y[i] = 0.25f;
        for (int c = 0; c < CHAINS; c++) {
            a[c][i] = source;
        }
    }
    for (int step = 0; step < STEPS; step++) {
        for (int c = 0; c < CHAINS; c++) {
            a[c] = a[c] * x + y;
        }
    }
    for (int c = 0; c < CHAINS; c++) {
        volatile float sink = a[c][0];
        (void)sink;
    }
    return 2.0 * (double)(LANES * CHAINS) * (double)STEPS;
}

#undef LOOP
#undef LANES
#undef CHAINS
#undef TARGET
