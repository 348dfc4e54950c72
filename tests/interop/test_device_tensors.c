/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_device_tensors.c: DLPack tensors in the device's own memory, as another library on that device would hand them in:
 * host addresses on the CPU, device addresses on CUDA, on Metal the MTLBuffer itself, where byte_offset alone says
 * where the tensor begins. Runs on the device of the command line.
 */
#include "expect.h"
#include "machine.h"
#include "tensors.h"

#include <anymps/anymps.h>
#include <stdlib.h>

enum { LENGTH_BYTES = 1024, OFFSET_BYTES = 48, M = 3, K = 4, N = 2 };

static anymps_device *device;
static anymps_backend backend;
static int32_t number; /* 1 for "cuda:1" */

/* ---- The other library ------------------------------------------------------------------------- */

/* Its memory is a buffer of ours, which the tensor only borrows. */
static void tensor_in(tensor *t, anymps_buffer *buffer, size_t offset_bytes, int rank, const int64_t *shape,
                      const int64_t *strides)
{
    static const int32_t types[] = {[ANYMPS_BACKEND_CPU] = AMPS_DL_CPU,
                                    [ANYMPS_BACKEND_METAL] = AMPS_DL_METAL,
                                    [ANYMPS_BACKEND_CUDA] = AMPS_DL_CUDA};
    make(t, anymps_buffer_native(buffer), rank, shape, strides);
    t->dl.device = (amps_dl_device){types[backend], number};
    t->dl.byte_offset = offset_bytes;
}

static anymps_buffer *numbers(const float *values, size_t count)
{
    anymps_buffer *buffer = NULL;
    EXPECT_OK(anymps_buffer_create(device, LENGTH_BYTES, ANYMPS_STORAGE_SHARED, &buffer));
    EXPECT_OK(anymps_buffer_write(buffer, OFFSET_BYTES, values, count * sizeof *values));
    return buffer;
}

static void count_deletion(struct DLManagedTensor *self)
{
    ++*(int *)self->manager_ctx;
}

/* ---- In and out -------------------------------------------------------------------------------- */

static void check_import(void)
{
    static const float values[6] = {1, 2, 3, 4, 5, 6};
    anymps_buffer *const memory = numbers(values, 6);
    anymps_dlpack_info info = ANYMPS_DLPACK_INFO_INIT;
    anymps_matrix *matrix = NULL;
    bool transposed = true;
    int deletions = 0;
    tensor t;
    float read[6] = {0};
    tensor_in(&t, memory, OFFSET_BYTES, 2, SHAPE(2, 3), NULL);
    EXPECT_OK(anymps_dlpack_validate(device, &t.dl, &info));
    EXPECT(info.rows == 2 && info.columns == 3 && info.needed_bytes == sizeof values && !info.transposed);
    struct DLManagedTensor managed = {t.dl, &deletions, count_deletion};
    EXPECT_OK(anymps_matrix_from_dlpack(device, &managed, &matrix, &transposed));
    EXPECT(!transposed && deletions == 0);
    anymps_buffer *const wrapped = anymps_matrix_buffer(matrix);
    const size_t offset = anymps_matrix_offset_bytes(matrix);
    if (backend == ANYMPS_BACKEND_METAL) { /* the object is the memory */
        EXPECT(anymps_buffer_native(wrapped) == anymps_buffer_native(memory) && offset == OFFSET_BYTES);
    } else {
        EXPECT((char *)anymps_buffer_native(wrapped) + offset == (char *)anymps_buffer_native(memory) + OFFSET_BYTES);
    }
    EXPECT_OK(anymps_buffer_read(wrapped, offset, read, sizeof read));
    EXPECT(memcmp(read, values, sizeof read) == 0);
    read[0] = 7.0f; /* a write through one is seen through the other */
    EXPECT_OK(anymps_buffer_write(wrapped, offset, read, sizeof read));
    EXPECT_OK(anymps_buffer_read(memory, OFFSET_BYTES, read + 1, sizeof(float)));
    EXPECT(memcmp(&read[0], &read[1], sizeof(float)) == 0);
    anymps_matrix_release(matrix);
    EXPECT(deletions == 1);
    anymps_buffer_release(memory);
}

static void check_export(void)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(3, 5, ANYMPS_DTYPE_F16);
    anymps_buffer *buffer = NULL;
    anymps_matrix *matrix = NULL, *again = NULL;
    struct DLManagedTensor *out = NULL;
    bool transposed = true;
    tensor wanted;
    EXPECT_OK(anymps_buffer_create(device, LENGTH_BYTES, ANYMPS_STORAGE_SHARED, &buffer));
    EXPECT_OK(anymps_matrix_create(buffer, 64, &desc, &matrix));
    EXPECT_OK(anymps_matrix_to_dlpack(matrix, &out));
    tensor_in(&wanted, buffer, 64, 2, SHAPE(3, 5), NULL);
    if (out != NULL) {
        const struct DLTensor *const t = &out->dl_tensor;
        EXPECT(t->device.type == wanted.dl.device.type && t->device.id == number);
        EXPECT(t->ndim == 2 && t->shape[0] == 3 && t->shape[1] == 5 && t->dtype.bits == 16);
        if (backend == ANYMPS_BACKEND_METAL) {
            EXPECT(t->data == wanted.dl.data && t->byte_offset == 64);
        } else {
            EXPECT((char *)t->data + t->byte_offset == (char *)wanted.dl.data + 64);
        }
        anymps_matrix_release(matrix), anymps_buffer_release(buffer); /* the tensor keeps the memory */
        EXPECT_OK(anymps_matrix_from_dlpack(device, out, &again, &transposed));
        EXPECT(anymps_matrix_get_desc(again).columns == 5 && !transposed);
        anymps_matrix_release(again); /* and its deleter was called with it */
    }
}

/* ---- Operators --------------------------------------------------------------------------------- */

static void check_matmul(void)
{
    float left[M * K], right_t[N * K], wanted[M * N] = {0}, seen[M * N] = {0};
    for (int i = 0; i < M * K; i++) {
        left[i] = (float)(i % 5 - 2);
    }
    for (int i = 0; i < N * K; i++) {
        right_t[i] = (float)(i % 7 - 3);
    }
    for (int i = 0; i < M * N * K; i++) { /* small whole numbers: exact in any order */
        wanted[i / K] += left[i / (K * N) * K + i % K] * right_t[i / K % N * K + i % K];
    }
    anymps_buffer *const a = numbers(left, (size_t)M * K), *const b = numbers(right_t, (size_t)N * K);
    anymps_buffer *const c = numbers(seen, (size_t)M * N);
    tensor l, r, result;
    tensor_in(&l, a, OFFSET_BYTES, 2, SHAPE(M, K), NULL);
    tensor_in(&r, b, OFFSET_BYTES, 2, SHAPE(K, N), SHAPE(1, K)); /* a transposed view */
    tensor_in(&result, c, OFFSET_BYTES, 2, SHAPE(M, N), NULL);
    EXPECT_OK(anymps_matmul_tensors(device, NULL, &l.dl, &r.dl, &result.dl));
    EXPECT_OK(anymps_buffer_read(c, OFFSET_BYTES, seen, sizeof seen));
    EXPECT(memcmp(seen, wanted, sizeof wanted) == 0);
    anymps_buffer_release(a), anymps_buffer_release(b), anymps_buffer_release(c);
}

/* ---- What is refused, with the remedy ---------------------------------------------------------- */

static void refuse(const struct DLTensor *t, anymps_status status, const char *text)
{
    struct DLManagedTensor managed = {*t, NULL, NULL};
    anymps_matrix *matrix = NULL;
    bool transposed = false;
    EXPECT_STATUS(status, anymps_dlpack_validate(device, t, NULL));
    EXPECT_MESSAGE(text);
    EXPECT_STATUS(status, anymps_matrix_from_dlpack(device, &managed, &matrix, &transposed));
    EXPECT(matrix == NULL);
}

static void check_refusals(void)
{
    static const float values[6] = {0};
    anymps_buffer *const memory = numbers(values, 6);
    tensor t;
    tensor_in(&t, memory, OFFSET_BYTES, 2, SHAPE(2, 3), NULL);
    t.dl.byte_offset = OFFSET_BYTES + 2;
    refuse(&t.dl, ANYMPS_UNSUPPORTED, "copy");
    t.dl.byte_offset = OFFSET_BYTES;
    t.dl.device.type = backend == ANYMPS_BACKEND_METAL ? AMPS_DL_CUDA : AMPS_DL_METAL;
    refuse(&t.dl, ANYMPS_UNSUPPORTED, "move it to");
    if (backend != ANYMPS_BACKEND_CPU) {
        tensor_in(&t, memory, OFFSET_BYTES, 2, SHAPE(2, 3), NULL);
        t.dl.device.id = number + 1; /* its neighbour's */
        refuse(&t.dl, ANYMPS_UNSUPPORTED, "move it to");
        tensor_in(&t, memory, LENGTH_BYTES - 8, 2, SHAPE(2, 3), NULL); /* 16 bytes past the end of the memory */
        struct DLManagedTensor managed = {t.dl, NULL, NULL};
        anymps_matrix *matrix = NULL;
        bool transposed = false;
        if (backend == ANYMPS_BACKEND_METAL) {
            EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_matrix_from_dlpack(device, &managed, &matrix, &transposed));
        }
        EXPECT(matrix == NULL);
    }
    anymps_buffer_release(memory);
}

int main(int argc, char **argv)
{
    machine self;
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    const int opened = machine_open_from(&self, argc, argv);
    if (opened != TEST_PASSED) {
        return opened;
    }
    device = self.devices[0];
    EXPECT_OK(anymps_device_get_properties(device, &properties));
    backend = properties.backend;
    const char *const colon = strchr(properties.id, ':');
    number = colon != NULL ? (int32_t)strtol(colon + 1, NULL, 10) : 0;
    check_import();
    check_export();
    check_matmul();
    check_refusals();
    machine_close(&self);
    EXPECT_NOTHING_LIVE();
    return expect_result("device_tensors");
}
