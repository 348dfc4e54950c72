/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch_gemm.c: a batch of small f32 products beside MKL's call for batches, in one process and in turns, on the same
 * memory. MKL is opened at run time from the folder ANYMPS_PEERS (bench/peers-setup).
 *
 *     batch_gemm [-t threads] [side batch ...]          without sizes: 64 256
 */
#include <anymps/anymps.h>

#include <dlfcn.h>
#include <glob.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TURNS = 101, ROW_MAJOR = 101, NOT_TRANSPOSED = 111 };

typedef void (*batch_call)(int layout, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda,
                           int stride_a, const float *b, int ldb, int stride_b, float beta, float *c, int ldc,
                           int stride_c, int count);

static void stop_unless(anymps_status status)
{
    if (status != ANYMPS_OK) {
        (void)fprintf(stderr, "%s\n", anymps_last_error()->message);
        exit(1);
    }
}

static double now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int compare(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* MKL's batches of 32-bit sizes, with `threads` threads; NULL if there is no MKL. */
static batch_call open_mkl(int threads)
{
    char text[1024];
    glob_t found;
    batch_call call = NULL;
    (void)snprintf(text, sizeof text, "%d", threads);
    (void)setenv("MKL_NUM_THREADS", text, 1);
    (void)setenv("MKL_DYNAMIC", "FALSE", 1);
    (void)setenv("KMP_BLOCKTIME", "0", 1);
    (void)snprintf(text, sizeof text, "%s/lib/libmkl_rt.so.[0-9]", getenv("ANYMPS_PEERS"));
    if (glob(text, 0, NULL, &found) == 0) {
        void *const library = dlopen(found.gl_pathv[0], RTLD_NOW | RTLD_LOCAL);
        void *const symbol = library == NULL ? NULL : dlsym(library, "cblas_sgemm_batch_strided");
        memcpy(&call, &symbol, sizeof call);
    }
    globfree(&found);
    return call;
}

static anymps_matrix *make(anymps_device *device, size_t side, size_t batch)
{
    anymps_matrix *matrix = NULL;
    anymps_matrix_desc desc = anymps_matrix_desc_make(side, side, ANYMPS_DTYPE_F32);
    desc.matrices = batch;
    desc.row_bytes = side * sizeof(float);
    desc.matrix_bytes = side * desc.row_bytes;
    stop_unless(anymps_matrix_create_on(device, &desc, &matrix));
    float *const values = anymps_matrix_contents(matrix);
    for (size_t i = 0; i < side * side * batch; i++) {
        values[i] = (float)(i * 2654435761u >> 7 & 255u) / 128.0f - 1.0f;
    }
    return matrix;
}

static void measure(anymps_device *device, anymps_queue *queue, batch_call mkl, size_t side, size_t batch)
{
    static double times[2][TURNS];
    anymps_matrix *const m[3] = {make(device, side, batch), make(device, side, batch), make(device, side, batch)};
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    anymps_kernel *kernel = NULL;
    anymps_command_buffer *commands = NULL;
    const int n = (int)side, stride = n * n;
    desc.rows = desc.columns = desc.interior = side;
    desc.left_dtype = desc.right_dtype = desc.result_dtype = ANYMPS_DTYPE_F32;
    stop_unless(anymps_matmul_create(device, &desc, &kernel));
    stop_unless(anymps_command_buffer_create(queue, &commands));
    stop_unless(anymps_matmul_encode(kernel, commands, m[0], m[1], m[2], NULL));
    for (size_t turn = 0; turn < 2 * TURNS; turn++) {
        const double begin = now_us();
        if (turn % 2 == 0) {
            stop_unless(anymps_command_buffer_commit(commands));
            stop_unless(anymps_command_buffer_wait(commands));
        } else if (mkl != NULL) {
            mkl(ROW_MAJOR, NOT_TRANSPOSED, NOT_TRANSPOSED, n, n, n, 1.0f, anymps_matrix_contents(m[0]), n, stride,
                anymps_matrix_contents(m[1]), n, stride, 0.0f, anymps_matrix_contents(m[2]), n, stride, (int)batch);
        }
        times[turn % 2][turn / 2] = now_us() - begin;
    }
    for (size_t i = 0; i < 2; i++) {
        qsort(times[i], TURNS, sizeof times[i][0], compare);
    }
    const double ours = times[0][TURNS / 2], theirs = times[1][TURNS / 2];
    const double flops = 2.0 * (double)side * (double)side * (double)side * (double)batch;
    (void)printf("%zu cubed x %zu: ours %.1f us (%.1f GFLOP/s), MKL %.1f us, ratio %.3f\n", side, batch, ours,
                 flops / ours * 1e-3, mkl != NULL ? theirs : 0.0, mkl != NULL ? theirs / ours : 0.0);
    anymps_command_buffer_release(commands);
    anymps_kernel_release(kernel);
    for (size_t i = 0; i < 3; i++) {
        anymps_matrix_release(m[i]);
    }
}

int main(int argc, char **argv)
{
    int first = 1;
    int threads = 1;
    if (argc > 2 && strcmp(argv[1], "-t") == 0) {
        threads = atoi(argv[2]);
        first = 3;
    }
    if (threads == 1) { /* both on one CPU */
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(1, &one);
        (void)sched_setaffinity(0, sizeof one, &one);
    }
    const batch_call mkl = open_mkl(threads);
    anymps_device *device = NULL;
    anymps_queue *queue = NULL;
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "cpu";
    desc.threads = (size_t)threads;
    stop_unless(anymps_device_open(&desc, &device));
    stop_unless(anymps_queue_create(device, &queue));
    for (int i = first; i + 1 < argc; i += 2) {
        measure(device, queue, mkl, (size_t)atoi(argv[i]), (size_t)atoi(argv[i + 1]));
    }
    if (first >= argc) {
        measure(device, queue, mkl, 64, 256);
    }
    anymps_queue_release(queue);
    anymps_device_release(device);
    return 0;
}
