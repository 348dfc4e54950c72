/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers.h: other libraries, opened at run time from the folder ANYMPS_PEERS (bench/peers-setup) and from what the system has
 * installed, for the programs of this folder; and their f32 matmul behind one function type, for sweep_gemm.c.
 */
#ifndef ANYMPS_BENCH_PEERS_H
#define ANYMPS_BENCH_PEERS_H

#include <stddef.h>

enum { PEERS_MAX = 8 };

/* cblas_sgemm; dimensions are 32-bit. */
typedef void (*peer_cblas)(int layout, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                           const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
/* dnnl_sgemm of oneDNN; dimensions are 64-bit. */
typedef int (*peer_dnnl)(char transpose_a, char transpose_b, long long m, long long n, long long k, float alpha,
                         const float *a, long long lda, const float *b, long long ldb, float beta, float *c,
                         long long ldc);

typedef struct peer {
    const char *name;
    peer_cblas cblas; /* one of the two is set */
    peer_dnnl dnnl;
} peer;

/* `path`: a pattern below the peers' folder if it does not begin with '/' and holds one, else what dlopen takes. NULL: it is
   not there. */
void *peer_library(const char *path);

/* Before any is opened: each has so many threads, which sleep between calls, so that peers do not slow one another down; with
   one the whole program stays on the first CPU that it may use. */
void peers_set_threads(int threads);

/* Opens those of `wanted` (comma-separated names, NULL: all) that this machine has, each with `threads` threads;
   returns how many. */
size_t peers_open(const char *wanted, int threads, peer *peers);

/* C = A * B, all row-major and tight. */
void peer_multiply(const peer *p, size_t m, size_t n, size_t k, const float *a, const float *b, float *c);

#endif /* ANYMPS_BENCH_PEERS_H */
