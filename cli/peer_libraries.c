/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_libraries.c: loads other libraries with dlopen and calls their sgemm. Called by cmd_bench.c. Nothing is
 * linked: a machine without them has no peers. The two calls used are the CBLAS interface and oneDNN's
 * dnnl_sgemm, both with 32-bit sizes as Debian and PyPI package them.
 */
#include "peer_libraries.h"

#include <dlfcn.h>
#include <glob.h>
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

enum { PATH_LONGEST = 1024 };

struct peer {
    const char *name;
    char path[PATH_LONGEST];
    void *handle;
    cblas_sgemm_call cblas;
    dnnl_sgemm_call dnnl;
};

/* Where a library may lie: patterns below the peers' folder, and names for the system, ended by NULL. */
typedef struct peer_kind {
    const char *name;
    const char *below[4];
    const char *system[4];
    const char *multiply[2];    /* its sgemm, and the name that PyPI's build gives it */
    const char *set_threads[2]; /* likewise */
    bool long_argument;         /* of set_threads */
} peer_kind;

static const peer_kind kinds[] = {
    {"OpenBLAS",
     {"libopenblas.so*", "lib/libopenblas.so*", "lib/python3*/site-packages/scipy_openblas32/lib/libscipy_openblas.so"},
     {"libopenblas.so.0", "libopenblas.so", "libopenblas.dylib"},
     {"cblas_sgemm", "scipy_cblas_sgemm"},
     {"openblas_set_num_threads", "scipy_openblas_set_num_threads"},
     false},
    {"BLIS",
     {"libblis.so*", "lib/libblis.so*"},
     {"libblis.so.4", "libblis.so", "libblis.dylib"},
     {"cblas_sgemm"},
     {"bli_thread_set_num_threads"},
     true},
    {"oneDNN",
     {"libdnnl.so*", "lib/libdnnl.so*"},
     {"libdnnl.so.3", "libdnnl.so.2", "libdnnl.dylib"},
     {"dnnl_sgemm"},
     {"omp_set_num_threads"},
     false},
    {"MKL",
     {"libmkl_rt.so*", "lib/libmkl_rt.so*"},
     {"libmkl_rt.so.2", "libmkl_rt.so"},
     {"cblas_sgemm"},
     {"MKL_Set_Num_Threads"},
     false},
};

/* A function pointer out of a data pointer, which C11 gives no cast for. The first of two names that is there. */
static void copy_symbol(void *handle, const char *const names[2], void *function, size_t size)
{
    void *symbol = dlsym(handle, names[0]);
    if (symbol == NULL && names[1] != NULL) {
        symbol = dlsym(handle, names[1]);
    }
    memcpy(function, &symbol, size);
}

static bool peers_folder(char *path)
{
    const char *folder = getenv("ANYMPS_PEERS_DIR"), *home = getenv("HOME");
    if (folder == NULL || folder[0] == '\0') {
        folder = getenv("ANYMPS_PEERS");
    }
    if (folder != NULL && folder[0] != '\0') {
        return snprintf(path, PATH_LONGEST, "%s", folder) < PATH_LONGEST;
    }
    return home != NULL && snprintf(path, PATH_LONGEST, "%s/.cache/anymps-peers", home) < PATH_LONGEST;
}

static void *open_below(const char *folder, const char *pattern, char *path)
{
    char whole[2 * PATH_LONGEST];
    glob_t found;
    void *handle = NULL;
    snprintf(whole, sizeof whole, "%s/%s", folder, pattern);
    if (glob(whole, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && handle == NULL; i++) {
            handle = dlopen(found.gl_pathv[i], RTLD_NOW | RTLD_LOCAL);
            snprintf(path, PATH_LONGEST, "%s", found.gl_pathv[i]);
        }
    }
    globfree(&found);
    return handle;
}

static void *open_kind(const peer_kind *kind, char *path)
{
    char folder[PATH_LONGEST];
    void *handle = NULL;
    for (size_t i = 0; handle == NULL && kind->below[i] != NULL && peers_folder(folder); i++) {
        handle = open_below(folder, kind->below[i], path);
    }
    for (size_t i = 0; handle == NULL && kind->system[i] != NULL; i++) {
        handle = dlopen(kind->system[i], RTLD_NOW | RTLD_LOCAL);
        snprintf(path, PATH_LONGEST, "%s", kind->system[i]);
    }
    return handle;
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

/* Read by the libraries when they are loaded. What the caller has set stays, but for the threads. */
static void set_environment(size_t threads)
{
    static const char *const counts[] = {"OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
                                         "OMP_NUM_THREADS"};
    char text[24];
    snprintf(text, sizeof text, "%zu", threads);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        (void)setenv(counts[i], text, 1);
    }
    (void)setenv("MKL_DYNAMIC", "FALSE", 0);
    (void)setenv("OMP_WAIT_POLICY", "passive", 0);
    (void)setenv("KMP_BLOCKTIME", "0", 0);
    (void)setenv("OPENBLAS_THREAD_TIMEOUT", "14", 0); /* 2^14 clock ticks of spinning */
}

static peer *open_peer(const peer_kind *kind, size_t threads)
{
    peer *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    p->name = kind->name;
    p->handle = open_kind(kind, p->path);
    if (p->handle != NULL) {
        bool is_dnnl = strcmp(kind->multiply[0], "dnnl_sgemm") == 0;
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
    set_environment(threads);
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
