/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers.h: other libraries' f32 matrix multiplication, found at run time, for comparison.
 */
#ifndef PEERS_H
#define PEERS_H

#include <stdbool.h>
#include <stddef.h>

enum { PEERS_MOST = 8 };

typedef struct peer peer;

typedef struct peers {
    size_t count;
    peer *list[PEERS_MOST];
} peers;

/* Opens OpenBLAS, BLIS, oneDNN and MKL, those that are there, for `threads` threads each. Looked for in the
   folder ANYMPS_PEERS_DIR names, in the cache folder of `make bench-peers`, then as the system does. */
peers peers_open(size_t threads);
void peers_close(peers *found);

/* "OpenBLAS". Lives as long as the peer. */
const char *peer_name(const peer *p);

/* Where it was loaded from. Lives as long as the peer. */
const char *peer_path(const peer *p);

/* One f32 product of row-major matrices: result (m x n) = op(left) * op(right). */
typedef struct peer_product {
    size_t m, n, k;
    bool transpose_left, transpose_right;
    const float *left, *right;
    float *result;
    size_t left_stride, right_stride, result_stride; /* in elements */
} peer_product;

/* Runs it; false if the peer refuses. */
bool peer_run(const peer *p, const peer_product *product);

#endif /* PEERS_H */
