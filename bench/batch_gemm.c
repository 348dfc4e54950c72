/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch_gemm.c: a batch of small f32 products beside MKL's call for batches, in one process and in turns, on the same
 * operands; results are compared. MKL is opened at run time from the folder ANYMPS_PEERS (bench/peers-setup).
 *
 *     batch_gemm [-t threads] [side batch ...]          without sizes: 64 256
 */
#include "peers.h"
#include "stop.h"
#include "timing.h"

#include <anymps/anymps.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TURNS = 101, ROW_MAJOR = 101, NOT_TRANSPOSED = 111 };

typedef void (*batch_call)(int layout, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda,
                           int stride_a, const float *b, int ldb, int stride_b, float beta, float *c, int ldc,
                           int stride_c, int count);

/* MKL's batches of 32-bit sizes; NULL if there is no MKL. */
static batch_call open_mkl(void)
{
    void *const library = peer_library("lib/libmkl_rt.so.[0-9]");
    void *const symbol = library == NULL ? NULL : dlsym(library, "cblas_sgemm_batch_strided");
    batch_call call = NULL;
    memcpy(&call, &symbol, sizeof call);
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

/* Both results are within 2·interior·2^-24 of |left|·|right|, which is at most interior. */
static void stop_if_apart(const float *ours, const float *theirs, size_t count, size_t interior)
{
    const double bound = 4.0 * (double)interior * (double)interior * 0x1p-24;
    for (size_t i = 0; i < count; i++) {
        const double apart = (double)ours[i] - (double)theirs[i];
        if (!(apart <= bound && -apart <= bound)) {
            (void)fprintf(stderr, "element %zu is %g, MKL's %g\n", i, (double)ours[i], (double)theirs[i]);
            exit(1);
        }
    }
}

static void measure(anymps_device *device, anymps_queue *queue, batch_call mkl, size_t side, size_t batch)
{
    static double times[2][TURNS];
    anymps_matrix *const m[4] = {make(device, side, batch), make(device, side, batch), make(device, side, batch),
                                 make(device, side, batch)}; /* two operands, our result, theirs */
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
                anymps_matrix_contents(m[1]), n, stride, 0.0f, anymps_matrix_contents(m[3]), n, stride, (int)batch);
        }
        times[turn % 2][turn / 2] = now_us() - begin;
    }
    if (mkl != NULL) {
        stop_if_apart(anymps_matrix_contents(m[2]), anymps_matrix_contents(m[3]), side * side * batch, side);
    }
    for (size_t i = 0; i < 2; i++) {
        qsort(times[i], TURNS, sizeof times[i][0], compare_doubles);
    }
    const double ours = times[0][TURNS / 2], theirs = times[1][TURNS / 2];
    const double flops = 2.0 * (double)side * (double)side * (double)side * (double)batch;
    (void)printf("%zu cubed x %zu: ours %.1f us (%.1f GFLOP/s), MKL %.1f us, ratio %.3f\n", side, batch, ours,
                 flops / ours * 1e-3, mkl != NULL ? theirs : 0.0, mkl != NULL ? theirs / ours : 0.0);
    anymps_command_buffer_release(commands);
    anymps_kernel_release(kernel);
    for (size_t i = 0; i < 4; i++) {
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
    peers_set_threads(threads);
    const batch_call mkl = open_mkl();
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
