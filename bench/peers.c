/* SPDX-License-Identifier: Apache-2.0 */
/* peers.c: see peers.h. */
#include "peers.h"

#include <dlfcn.h>
#include <glob.h>
#if defined(__linux__)
#include <sched.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_MAJOR = 101, NOT_TRANSPOSED = 111, PATH_SIZE = 1024 };

/* `path` as peer_library takes it. BLIS comes before MKL, whose parts are loaded globally and would answer BLIS's calls to itself. */
static const struct {
    const char *name, *path, *symbol, *set_threads;
} known[] = {
    {"openblas-system", "libopenblas.so.0", "cblas_sgemm", "openblas_set_num_threads"},
    {"openblas", "lib/python3*/site-packages/scipy_openblas32/lib/libscipy_openblas.so", "scipy_cblas_sgemm",
     "scipy_openblas_set_num_threads"},
    {"blis", "/usr/lib/*/blis-pthread/libblis.so.4", "cblas_sgemm", NULL},
    {"mkl", "lib/libmkl_rt.so.[0-9]", "cblas_sgemm", "MKL_Set_Num_Threads"},
    {"onednn-system", "libdnnl.so.2", "dnnl_sgemm", NULL},
    {"onednn", "lib/libdnnl.so.[0-9]", "dnnl_sgemm", NULL},
};

void *peer_library(const char *path)
{
    char pattern[PATH_SIZE];
    const char *folder = getenv("ANYMPS_PEERS");
    if (strchr(path, '/') == NULL) {
        return dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    if (path[0] != '/' && folder == NULL) {
        return NULL;
    }
    (void)snprintf(pattern, sizeof pattern, "%s%s%s", path[0] == '/' ? "" : folder, path[0] == '/' ? "" : "/", path);
    glob_t found;
    void *library = NULL;
    if (glob(pattern, 0, NULL, &found) == 0) {
        library = dlopen(found.gl_pathv[0], RTLD_NOW | RTLD_LOCAL);
    }
    globfree(&found);
    return library;
}

static int is_wanted(const char *wanted, const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = wanted; at != NULL && *at != '\0';) {
        const size_t here = strcspn(at, ",");
        if (here == length && strncmp(at, name, length) == 0) {
            return 1;
        }
        at += here + (at[here] == ',');
    }
    return wanted == NULL;
}

void peers_set_threads(int threads)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%d", threads);
    static const char *const counts[] = {"OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
                                         "OMP_NUM_THREADS"};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        (void)setenv(counts[i], text, 1);
    }
#if defined(__linux__)
    if (threads == 1) { /* oneDNN's threads heed only this */
        cpu_set_t one;
        size_t first = 0;
        (void)sched_getaffinity(0, sizeof one, &one);
        while (first + 1 < CPU_SETSIZE && !CPU_ISSET(first, &one)) {
            first++;
        }
        CPU_ZERO(&one);
        CPU_SET(first, &one);
        (void)sched_setaffinity(0, sizeof one, &one);
    }
#endif
    (void)setenv("MKL_DYNAMIC", "FALSE", 1);
    (void)setenv("KMP_BLOCKTIME", "0", 1);
    (void)setenv("OMP_WAIT_POLICY", "passive", 1);
    (void)setenv("OPENBLAS_THREAD_TIMEOUT", "14", 1); /* 2^14 clock ticks of spinning */
}

size_t peers_open(const char *wanted, int threads, peer *peers)
{
    size_t count = 0;
    peers_set_threads(threads);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        void *library = is_wanted(wanted, known[i].name) ? peer_library(known[i].path) : NULL;
        void *symbol = library == NULL ? NULL : dlsym(library, known[i].symbol);
        if (symbol == NULL) {
            continue;
        }
        peer p = {.name = known[i].name};
        memcpy(strstr(known[i].symbol, "dnnl") != NULL ? (void *)&p.dnnl : (void *)&p.cblas, &symbol, sizeof symbol);
        void (*set)(int) = NULL;
        void *setter = known[i].set_threads == NULL ? NULL : dlsym(library, known[i].set_threads);
        memcpy(&set, &setter, sizeof set);
        if (set != NULL) {
            set(threads);
        }
        peers[count++] = p;
    }
    return count;
}

void peer_multiply(const peer *p, size_t m, size_t n, size_t k, const float *a, const float *b, float *c)
{
    if (p->cblas != NULL) {
        p->cblas(ROW_MAJOR, NOT_TRANSPOSED, NOT_TRANSPOSED, (int)m, (int)n, (int)k, 1.0f, a, (int)k, b, (int)n, 0.0f, c,
                 (int)n);
    } else {
        (void)p->dnnl('N', 'N', (long long)m, (long long)n, (long long)k, 1.0f, a, (long long)k, b, (long long)n, 0.0f,
                      c, (long long)n);
    }
}
