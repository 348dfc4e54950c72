/* SPDX-License-Identifier: Apache-2.0 */
/* test_tensors.c: the one-call forms of the operators on DLPack tensors, plain and transposed. */
#include "expect.h"
#include "tensors.h"

#include <anymps/anymps.h>
#include <math.h>

static anymps_device *device;

enum { M = 3, K = 4, N = 2 };

/* Every combination of row-major and transposed operands gives the same product as plain loops; small whole
   numbers, so that f32 is exact. */
static void check_matmul(void)
{
    float left[M * K], left_t[K * M], right[K * N], right_t[N * K], wanted[M * N] = {0};
    for (int i = 0; i < M * K; i++) {
        left[i] = (float)(i % 5 - 2);
        left_t[i % K * M + i / K] = left[i];
    }
    for (int i = 0; i < K * N; i++) {
        right[i] = (float)(i % 7 - 3);
        right_t[i % N * K + i / N] = right[i];
    }
    for (int i = 0; i < M * N * K; i++) {
        wanted[i / K] += left[i / (K * N) * K + i % K] * right[i % K * N + i / K % N];
    }
    for (int form = 0; form < 8; form++) {
        float out[M * N];
        tensor l, r, result;
        anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
        make(&l, (form & 1) != 0 ? left_t : left, 2, SHAPE(M, K), (form & 1) != 0 ? SHAPE(1, M) : NULL);
        make(&r, (form & 2) != 0 ? right_t : right, 2, SHAPE(K, N), (form & 2) != 0 ? SHAPE(1, K) : NULL);
        if ((form & 4) != 0) { /* the descriptor's own flag on top: hand in the transposed shape */
            make(&l, (form & 1) != 0 ? left_t : left, 2, SHAPE(K, M), (form & 1) != 0 ? NULL : SHAPE(1, K));
            desc.transpose_left = true;
        }
        make(&result, out, 2, SHAPE(M, N), NULL);
        EXPECT_OK(anymps_matmul_tensors(device, form == 0 ? NULL : &desc, &l.dl, &r.dl, &result.dl));
        (void)expect_true(memcmp(out, wanted, sizeof wanted) == 0, __FILE__, __LINE__, "form %d is wrong", form);
    }
}

static void check_matmul_refusals(void)
{
    static float a[12], b[8], c[6], untouched[6];
    tensor l, r, result;
    make(&l, a, 2, SHAPE(M, K), NULL);
    make(&r, b, 2, SHAPE(K, N), NULL);
    make(&result, c, 2, SHAPE(M, N), SHAPE(1, M));
    EXPECT_STATUS(ANYMPS_SHAPE_MISMATCH, anymps_matmul_tensors(device, NULL, &l.dl, &r.dl, &result.dl));
    EXPECT_MESSAGE("result is transposed");
    make(&result, c, 2, SHAPE(M, M), NULL);
    EXPECT_STATUS(ANYMPS_SHAPE_MISMATCH, anymps_matmul_tensors(device, NULL, &l.dl, &r.dl, &result.dl));
    make(&result, c, 1, SHAPE(6), NULL);
    EXPECT_STATUS(ANYMPS_SHAPE_MISMATCH, anymps_matmul_tensors(device, NULL, &l.dl, &r.dl, &result.dl));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_matmul_tensors(device, NULL, NULL, &r.dl, &result.dl));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_matmul_tensors(device, NULL, &l.dl, NULL, &result.dl));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_matmul_tensors(device, NULL, &l.dl, &r.dl, NULL));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_matmul_tensors(NULL, NULL, &l.dl, &r.dl, &result.dl));
    EXPECT(memcmp(c, untouched, sizeof c) == 0);
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    desc.struct_size = 0;
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_matmul_tensors(device, &desc, &l.dl, &r.dl, &result.dl));
}

/* The other operators against themselves on matrices: same bits. Here only the passing on of operands is tested;
   the conformance suite has the arithmetic. */
static void check_layers(void)
{
    float x[6], w[12], bias[4] = {1, -1, 2, 0.5f}, y[8];
    tensor source, weights, add, result;
    anymps_fully_connected_desc desc = ANYMPS_FULLY_CONNECTED_DESC_INIT;
    for (int i = 0; i < 12; i++) {
        w[i] = (float)(i - 6);
        x[i % 6] = (float)(i % 4 + 1);
    }
    desc.neuron = ANYMPS_NEURON_RELU;
    make(&source, x, 2, SHAPE(2, 3), NULL);
    make(&weights, w, 2, SHAPE(3, 4), SHAPE(1, 3)); /* PyTorch's 4 × 3 as seen through .T */
    make(&add, bias, 1, SHAPE(4), NULL);
    make(&result, y, 2, SHAPE(2, 4), NULL);
    EXPECT_OK(anymps_fully_connected_tensors(device, &desc, &source.dl, &weights.dl, &add.dl, NULL, &result.dl));
    for (int i = 0; i < 8; i++) {
        float sum = bias[i % 4];
        for (int k = 0; k < 3; k++) {
            sum += x[i / 4 * 3 + k] * w[i % 4 * 3 + k];
        }
        EXPECT(y[i] == (sum > 0.0f ? sum : 0.0f));
    }
    anymps_neuron_desc relu = ANYMPS_NEURON_DESC_INIT;
    relu.neuron = ANYMPS_NEURON_ABSOLUTE;
    make(&source, w, 2, SHAPE(2, 4), NULL);
    EXPECT_OK(anymps_neuron_tensors(device, &relu, &source.dl, &add.dl, NULL, &result.dl));
    EXPECT(y[0] == 5.0f && y[1] == 6.0f && y[7] == 1.5f);
    EXPECT_STATUS(ANYMPS_SHAPE_MISMATCH, anymps_neuron_tensors(device, &relu, &weights.dl, NULL, NULL, &result.dl));
    EXPECT_MESSAGE("source is transposed");
    float vector[3] = {1, 2, 3}, product[4];
    tensor v, p;
    make(&v, vector, 1, SHAPE(3), NULL);
    make(&p, product, 1, SHAPE(4), NULL);
    make(&weights, w, 2, SHAPE(4, 3), NULL);
    EXPECT_OK(anymps_matrix_vector_tensors(device, NULL, &weights.dl, &v.dl, &p.dl));
    EXPECT(product[0] == -6.0f - 10.0f - 12.0f && product[3] == 3.0f + 8.0f + 15.0f);
    make(&weights, w, 2, SHAPE(4, 3), SHAPE(1, 4));
    EXPECT_OK(anymps_matrix_vector_tensors(device, NULL, &weights.dl, &v.dl, &p.dl));
    EXPECT(product[0] == -6.0f - 4.0f + 6.0f && product[3] == -3.0f + 2.0f + 15.0f);
}

static void check_rows(void)
{
    float x[6] = {0, 0, 0, 3, 3, 3}, y[6], residual[6] = {1, 1, 1, 1, 1, 1}, weight[3] = {1, 2, 3};
    tensor source, result, add, scale;
    make(&source, x, 2, SHAPE(2, 3), NULL);
    make(&result, y, 2, SHAPE(2, 3), NULL);
    make(&add, residual, 2, SHAPE(2, 3), NULL);
    make(&scale, weight, 1, SHAPE(3), NULL);
    EXPECT_OK(anymps_softmax_tensors(device, NULL, &source.dl, &result.dl));
    EXPECT(fabsf(y[0] - 1.0f / 3.0f) < 1e-6f && fabsf(y[5] - 1.0f / 3.0f) < 1e-6f);
    EXPECT_OK(anymps_log_softmax_tensors(device, NULL, &source.dl, &result.dl));
    EXPECT(fabsf(y[0] + logf(3.0f)) < 1e-6f);
    anymps_norm_desc norm = ANYMPS_NORM_DESC_INIT;
    norm.epsilon = 0.0;
    EXPECT_OK(anymps_rms_norm_tensors(device, &norm, &source.dl, &add.dl, &scale.dl, NULL, &result.dl));
    EXPECT(residual[0] == 1.0f && residual[5] == 4.0f); /* the sum is written back */
    EXPECT(fabsf(y[0] - 1.0f) < 1e-6f && fabsf(y[5] - 3.0f) < 1e-6f);
    norm.epsilon = 1e-5;
    EXPECT_OK(anymps_layer_norm_tensors(device, &norm, &source.dl, NULL, &scale.dl, &scale.dl, &result.dl));
    EXPECT(y[0] == 1.0f && y[5] == 3.0f); /* constant rows: only the bias is left */
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_softmax_tensors(device, NULL, NULL, &result.dl));
    EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_rms_norm_tensors(device, NULL, &source.dl, NULL, NULL, NULL, NULL));
    float down[6] = {1, 0, 0, 1, 1, 1}, up[6] = {1, 2, 3, 4, 5, 6};
    tensor d, u;
    make(&d, down, 2, SHAPE(3, 2), NULL);
    make(&u, up, 2, SHAPE(2, 3), NULL);
    EXPECT_OK(anymps_lora_tensors(device, NULL, &source.dl, NULL, &d.dl, &u.dl, &result.dl));
    EXPECT(y[0] == 0.0f && y[3] == 6.0f * 1.0f + 6.0f * 4.0f);
    make(&d, down, 2, SHAPE(3, 2), SHAPE(1, 3));
    EXPECT_OK(anymps_lora_tensors(device, NULL, &source.dl, NULL, &d.dl, &u.dl, &result.dl));
    EXPECT(y[3] == 3.0f * 1.0f + 9.0f * 4.0f);
}

int main(void)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "cpu";
    EXPECT_OK(anymps_device_open(&desc, &device));
    check_matmul();
    check_matmul_refusals();
    check_layers();
    check_rows();
    anymps_device_release(device);
    EXPECT_NOTHING_LIVE();
    return expect_result("tensors");
}
