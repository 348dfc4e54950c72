/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_libraries.h: other libraries' f32 matrix multiplication, found at run time, for comparison.
 */
#ifndef PEER_LIBRARIES_H
#define PEER_LIBRARIES_H

#include <stdbool.h>
#include <stddef.h>

enum { PEERS_MOST = 8 };

typedef struct peer peer;

typedef struct peers {
    size_t count;
    peer *list[PEERS_MOST];
} peers;

/* Opens OpenBLAS, BLIS, oneDNN and MKL, those that are there, for `threads` threads each. Looked for in the folder that
   ANYMPS_PEERS_DIR or ANYMPS_PEERS names, else in ~/.cache/anymps-peers (bench/peers-setup fills it), then as the
   system does. Their threads are told to sleep between calls, so that one library does not slow the next down. */
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

#endif /* PEER_LIBRARIES_H */
