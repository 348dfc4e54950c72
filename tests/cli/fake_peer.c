/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_peer.c: a library that answers to OpenBLAS's names, so that `anymps bench --peers` can be tested on machines
 * without any. It computes nothing and notes what it was asked.
 */
#include <stdio.h>

__attribute__((visibility("default"))) void openblas_set_num_threads(int threads);
__attribute__((visibility("default"))) void cblas_sgemm(int order, int left, int right, int m, int n, int k,
                                                        float alpha, const float *a, int lda, const float *b, int ldb,
                                                        float beta, float *c, int ldc);

static int threads_told;

void openblas_set_num_threads(int threads)
{
    threads_told = threads;
}

void cblas_sgemm(int order, int left, int right, int m, int n, int k, float alpha, const float *a, int lda,
                 const float *b, int ldb, float beta, float *c, int ldc)
{
    static int calls;
    if (calls++ == 0) {
        fprintf(stderr, "order %d, transposes %d %d, %d x %d x %d, strides %d %d %d, alpha %g, beta %g, %d threads\n",
                order, left, right, m, n, k, lda, ldb, ldc, (double)alpha, (double)beta, threads_told);
    }
    c[0] = a[0] * b[0];
}
