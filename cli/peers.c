/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers.c: loads other libraries with dlopen and calls their sgemm. Called by cmd_bench.c. Nothing is
 * linked: a machine without them has no peers. The two calls used are the CBLAS interface and oneDNN's
 * dnnl_sgemm, both with 32-bit sizes as Debian and PyPI package them.
 */
#include "peers.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CBLAS: order, transposes, sizes, alpha, A, B, beta, C; row-major is 101, no transpose 111, transpose 112. */
typedef void (*cblas_sgemm_call)(int, int, int, int, int, int, float, const float *, int, const float *, int, float,
                                 float *, int);

/* oneDNN: 'N' or 'T', row-major, 64-bit sizes; 0 is success. */
typedef int (*dnnl_sgemm_call)(char, char, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *,
                               int64_t, float, float *, int64_t);

typedef void (*set_threads_int)(int);
typedef void (*set_threads_long)(int64_t);

struct peer {
    const char *name;
    char path[512];
    void *handle;
    cblas_sgemm_call cblas;
    dnnl_sgemm_call dnnl;
};

typedef struct peer_kind {
    const char *name;
    const char *files[6];    /* names of the library, best first, ended by NULL */
    const char *multiply;    /* its sgemm */
    const char *set_threads; /* NULL: OpenMP's own */
    bool long_argument;      /* of set_threads */
} peer_kind;

static const peer_kind kinds[] = {
    {"OpenBLAS",
     {"libopenblas.so.0", "libopenblas.so", "libopenblas.dylib", NULL},
     "cblas_sgemm",
     "openblas_set_num_threads",
     false},
    {"BLIS", {"libblis.so.4", "libblis.so", "libblis.dylib", NULL}, "cblas_sgemm", "bli_thread_set_num_threads", true},
    {"oneDNN",
     {"libdnnl.so.3", "libdnnl.so.2", "libdnnl.so", "libdnnl.dylib", NULL},
     "dnnl_sgemm",
     "omp_set_num_threads",
     false},
    {"MKL", {"libmkl_rt.so.2", "libmkl_rt.so", NULL}, "cblas_sgemm", "MKL_Set_Num_Threads", false},
};

/* A function pointer out of a data pointer, which C11 gives no cast for. */
static void copy_symbol(void *handle, const char *name, void *function, size_t size)
{
    void *symbol = dlsym(handle, name);
    memcpy(function, &symbol, size);
}

static void *open_file(const char *folder, const char *file, char *path, size_t size)
{
    int length = folder != NULL ? snprintf(path, size, "%s/%s", folder, file) : snprintf(path, size, "%s", file);
    if (length < 0 || (size_t)length >= size) {
        return NULL;
    }
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

/* The folder that `make bench-peers` fills: $XDG_CACHE_HOME/anymps/peers, else ~/.cache/anymps/peers. */
static const char *cache_folder(char *path, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache != NULL && cache[0] != '\0') {
        snprintf(path, size, "%s/anymps/peers", cache);
    } else if (home != NULL) {
        snprintf(path, size, "%s/.cache/anymps/peers", home);
    } else {
        return NULL;
    }
    return path;
}

static void *open_kind(const peer_kind *kind, char *path, size_t size)
{
    char cache[400];
    const char *folders[] = {getenv("ANYMPS_PEERS_DIR"), cache_folder(cache, sizeof cache), NULL};
    for (size_t f = 0; f < 3; f++) {
        for (size_t i = 0; kind->files[i] != NULL && (f == 2 || folders[f] != NULL); i++) {
            void *handle = open_file(folders[f], kind->files[i], path, size);
            if (handle != NULL) {
                return handle;
            }
        }
    }
    return NULL;
}

static void set_threads(const peer_kind *kind, void *handle, size_t threads)
{
    if (kind->long_argument) {
        set_threads_long set = NULL;
        copy_symbol(handle, kind->set_threads, &set, sizeof set);
        if (set != NULL) {
            set((int64_t)threads);
        }
    } else {
        set_threads_int set = NULL;
        copy_symbol(handle, kind->set_threads, &set, sizeof set);
        if (set != NULL) {
            set((int)threads);
        }
    }
}

static peer *open_peer(const peer_kind *kind, size_t threads)
{
    peer *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    p->name = kind->name;
    p->handle = open_kind(kind, p->path, sizeof p->path);
    if (p->handle != NULL) {
        bool is_dnnl = strcmp(kind->multiply, "dnnl_sgemm") == 0;
        if (is_dnnl) {
            copy_symbol(p->handle, kind->multiply, &p->dnnl, sizeof p->dnnl);
        } else {
            copy_symbol(p->handle, kind->multiply, &p->cblas, sizeof p->cblas);
        }
        set_threads(kind, p->handle, threads);
    }
    if (p->cblas == NULL && p->dnnl == NULL) {
        free(p);
        return NULL;
    }
    return p;
}

peers peers_open(size_t threads)
{
    peers found = {0};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        peer *p = open_peer(&kinds[i], threads);
        if (p != NULL) {
            found.list[found.count++] = p;
        }
    }
    return found;
}

/* The libraries stay loaded: their threads may still be running. */
void peers_close(peers *found)
{
    for (size_t i = 0; i < found->count; i++) {
        free(found->list[i]);
    }
    found->count = 0;
}

const char *peer_name(const peer *p)
{
    return p->name;
}

const char *peer_path(const peer *p)
{
    return p->path;
}

bool peer_run(const peer *p, const peer_product *x)
{
    size_t largest = x->left_stride | x->right_stride | x->result_stride | x->m | x->n | x->k;
    if (largest > INT_MAX) {
        return false;
    }
    if (p->dnnl != NULL) {
        return p->dnnl(x->transpose_left ? 'T' : 'N', x->transpose_right ? 'T' : 'N', (int64_t)x->m, (int64_t)x->n,
                       (int64_t)x->k, 1.0f, x->left, (int64_t)x->left_stride, x->right, (int64_t)x->right_stride, 0.0f,
                       x->result, (int64_t)x->result_stride) == 0;
    }
    p->cblas(101, x->transpose_left ? 112 : 111, x->transpose_right ? 112 : 111, (int)x->m, (int)x->n, (int)x->k, 1.0f,
             x->left, (int)x->left_stride, x->right, (int)x->right_stride, 0.0f, x->result, (int)x->result_stride);
    return true;
}
