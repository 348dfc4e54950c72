/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_cublaslt.c: the functions of cuBLASLt that src/backend/cuda/cublaslt.c looks up, as a shared library with its name.
 * Every object is a heap block, so that the address sanitizer sees a double destroy or a leak; every call can fail.
 * Numbers and layouts are those of cublasLt.h, restated.
 */
#include "fake_cublaslt.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_INITIALIZED = 1, ALLOC_FAILED = 3, INVALID_VALUE = 7, INTERNAL_ERROR = 14 };
enum kind { HANDLE = 0x5a5a01, DESCRIPTION, LAYOUT, PREFERENCE };

typedef struct object {
    enum kind kind;
} object;

/* cublasLtMatmulHeuristicResult_t */
typedef struct candidate {
    uint64_t algorithm[8];
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
} candidate;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long fail_at, calls, products, live;
static uint64_t latest; /* algorithm that ran */

void fake_cublaslt_fail_at(long n)
{
    (void)pthread_mutex_lock(&lock);
    fail_at = n;
    calls = products = 0;
    (void)pthread_mutex_unlock(&lock);
}

static long read_counter(const long *counter)
{
    (void)pthread_mutex_lock(&lock);
    const long value = *counter;
    (void)pthread_mutex_unlock(&lock);
    return value;
}

long fake_cublaslt_calls(void)
{
    return read_counter(&calls);
}

long fake_cublaslt_products(void)
{
    return read_counter(&products);
}

long fake_cublaslt_live(void)
{
    return read_counter(&live);
}

long fake_cublaslt_latest(void)
{
    (void)pthread_mutex_lock(&lock);
    const long value = (long)latest;
    (void)pthread_mutex_unlock(&lock);
    return value;
}

/* Counts the call; false: it has to fail. */
static bool begin(void)
{
    (void)pthread_mutex_lock(&lock);
    const bool good = ++calls != fail_at;
    (void)pthread_mutex_unlock(&lock);
    return good;
}

static void count(long *counter, long by)
{
    (void)pthread_mutex_lock(&lock);
    *counter += by;
    (void)pthread_mutex_unlock(&lock);
}

static int create(object **made, enum kind kind)
{
    if (!begin()) {
        return ALLOC_FAILED;
    }
    *made = malloc(sizeof **made);
    if (*made == NULL) {
        return ALLOC_FAILED;
    }
    (*made)->kind = kind;
    count(&live, 1);
    return SUCCESS;
}

/* A destroy never fails here: the backend can do nothing about it. NULL is what a failed create leaves. */
static int destroy(object *self, enum kind kind)
{
    if (self == NULL) {
        return INVALID_VALUE;
    }
    if (self->kind != kind) {
        return INVALID_VALUE;
    }
    count(&live, -1);
    free(self);
    return SUCCESS;
}

static int set(object *self, enum kind kind, const void *value, size_t size)
{
    if (!begin()) {
        return INTERNAL_ERROR;
    }
    return self->kind == kind && value != NULL && (size == 4 || size == 8) ? SUCCESS : INVALID_VALUE;
}

size_t cublasLtGetVersion(void)
{
    return 130000;
}

int cublasLtCreate(object **made)
{
    return create(made, HANDLE) == SUCCESS ? SUCCESS : NOT_INITIALIZED;
}

int cublasLtDestroy(object *self)
{
    return destroy(self, HANDLE);
}

int cublasLtMatmulDescCreate(object **made, int compute, int scale)
{
    (void)compute;
    (void)scale;
    return create(made, DESCRIPTION);
}

int cublasLtMatmulDescDestroy(object *self)
{
    return destroy(self, DESCRIPTION);
}

int cublasLtMatmulDescSetAttribute(object *self, int attribute, const void *value, size_t size)
{
    (void)attribute;
    return set(self, DESCRIPTION, value, size);
}

int cublasLtMatrixLayoutCreate(object **made, int type, uint64_t rows, uint64_t columns, int64_t step)
{
    (void)type;
    return rows > 0 && columns > 0 && step > 0 ? create(made, LAYOUT) : INVALID_VALUE;
}

int cublasLtMatrixLayoutDestroy(object *self)
{
    return destroy(self, LAYOUT);
}

int cublasLtMatrixLayoutSetAttribute(object *self, int attribute, const void *value, size_t size)
{
    (void)attribute;
    return set(self, LAYOUT, value, size);
}

int cublasLtMatmulPreferenceCreate(object **made)
{
    return create(made, PREFERENCE);
}

int cublasLtMatmulPreferenceDestroy(object *self)
{
    return destroy(self, PREFERENCE);
}

int cublasLtMatmulPreferenceSetAttribute(object *self, int attribute, const void *value, size_t size)
{
    (void)attribute;
    return set(self, PREFERENCE, value, size);
}

int cublasLtMatmulAlgoGetHeuristic(object *handle, object *description, object *a, object *b, object *c, object *d,
                                   object *preference, int wanted, candidate *candidates, int *found)
{
    if (!begin() || handle->kind != HANDLE || description->kind != DESCRIPTION || preference->kind != PREFERENCE ||
        a->kind != LAYOUT || b->kind != LAYOUT || c->kind != LAYOUT || d->kind != LAYOUT) {
        return INVALID_VALUE;
    }
    *found = wanted < 2 ? wanted : 2;
    for (int i = 0; i < *found; i++) {
        memset(&candidates[i], 0, sizeof candidates[i]);
        candidates[i].algorithm[0] = (uint64_t)i + 1;
    }
    return SUCCESS;
}

/* Two algorithms, in the order of cublasLtMatmulAlgoConfigAttributes_t: identity, tile, splits, reduction, swizzle, custom,
   stages, inner, cluster. */
int cublasLtMatmulAlgoConfigGetAttribute(const uint64_t *algorithm, int attribute, void *value, size_t size,
                                         size_t *written)
{
    enum { ATTRIBUTES = 9, FIRST_NARROW = 7 };
    static const uint16_t configs[2][ATTRIBUTES] = {{66, 18, 1, 0, 0, 3, 35, 0, 5}, {66, 17, 1, 0, 0, 0, 35, 0, 3}};
    if (!begin() || attribute < 0 || attribute >= ATTRIBUTES || algorithm[0] < 1 || algorithm[0] > 2) {
        return INVALID_VALUE;
    }
    const uint16_t narrow = configs[algorithm[0] - 1][attribute];
    const uint32_t wide = narrow;
    if (size != (attribute < FIRST_NARROW ? sizeof wide : sizeof narrow)) {
        return INVALID_VALUE;
    }
    memcpy(value, attribute < FIRST_NARROW ? (const void *)&wide : (const void *)&narrow, size);
    *written = size;
    return SUCCESS;
}

int cublasLtMatmul(object *handle, object *description, const void *alpha, uintptr_t a, object *layout_a, uintptr_t b,
                   object *layout_b, const void *beta, uintptr_t c, object *layout_c, uintptr_t d, object *layout_d,
                   const uint64_t *algorithm, uintptr_t workspace, size_t workspace_size, void *stream)
{
    if (!begin()) {
        return INTERNAL_ERROR;
    }
    const bool good = handle->kind == HANDLE && description->kind == DESCRIPTION && layout_a->kind == LAYOUT &&
                      layout_b->kind == LAYOUT && layout_c->kind == LAYOUT && layout_d->kind == LAYOUT &&
                      alpha != NULL && beta != NULL && a % 16 == 0 && b % 16 == 0 && c % 16 == 0 && c == d &&
                      algorithm[0] != 0 && (workspace_size == 0 || workspace != 0) && stream != NULL;
    count(&products, good ? 1 : 0);
    (void)pthread_mutex_lock(&lock);
    latest = algorithm[0];
    (void)pthread_mutex_unlock(&lock);
    return good ? SUCCESS : INVALID_VALUE;
}
