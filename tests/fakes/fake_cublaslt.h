/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_cublaslt.h: the controls of the fake cuBLASLt (fake_cublaslt.c), for tests of the CUDA backend's host code on
 * machines without a GPU. It has an algorithm for every product, and computes nothing.
 */
#ifndef FAKE_CUBLASLT_H
#define FAKE_CUBLASLT_H

/* The n-th call from now on (1 is the next) answers an error, once. 0: none. */
void fake_cublaslt_fail_at(long n);
/* Calls since then; products since then; handles, descriptions, layouts and preferences that are alive. */
long fake_cublaslt_calls(void);
long fake_cublaslt_products(void);
/* Which of the two algorithms ran last: 1 or 2. */
long fake_cublaslt_latest(void);
long fake_cublaslt_live(void);

#endif /* FAKE_CUBLASLT_H */
