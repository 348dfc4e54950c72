/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native.c: native handles in and out, storage modes and wrapped memory on the Metal backend, through the stand-in.
 * The program plays an application with Metal objects of its own, and borrows the backend's senders to make them.
 */
#include "backend/metal/objc.h"

#include <anymps/anymps.h>
#include <anymps/metal.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failures;

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, anymps_last_error()->message);                  \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

enum { SIDE = 4, BYTES = SIDE * SIDE * sizeof(float) };

static anymps_matrix *matrix_over(anymps_buffer *buffer)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(SIDE, SIDE, ANYMPS_DTYPE_F32);
    anymps_matrix *matrix = NULL;
    EXPECT(anymps_matrix_create(buffer, 0, &desc, &matrix) == ANYMPS_OK);
    return matrix;
}

/* result = source * source for a source of 1, 2, 3, … */
static bool right_square(const float *result)
{
    for (size_t i = 0; i < SIDE; i++) {
        for (size_t j = 0; j < SIDE; j++) {
            float sum = 0.0f;
            for (size_t k = 0; k < SIDE; k++) {
                sum += (float)(i * SIDE + k + 1) * (float)(k * SIDE + j + 1);
            }
            if (sum < result[i * SIDE + j] || sum > result[i * SIDE + j]) {
                return false;
            }
        }
    }
    return true;
}

/* ---- The application's own objects ------------------------------------------------------------- */

/* Encodes into the application's command buffer, which it then commits. */
static void encode_into_theirs(anymps_device *device, anymps_queue *queue, amps_id their_queue, anymps_matrix *source,
                               anymps_matrix *result)
{
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    desc.rows = desc.columns = desc.interior = SIDE;
    desc.left_dtype = desc.right_dtype = desc.result_dtype = ANYMPS_DTYPE_F32;
    anymps_kernel *kernel = NULL;
    anymps_command_buffer *commands = NULL;
    EXPECT(anymps_matmul_create(device, &desc, &kernel) == ANYMPS_OK);
    EXPECT(anymps_command_buffer_create(queue, &commands) == ANYMPS_OK);
    EXPECT(anymps_matmul_encode(kernel, commands, source, source, result, NULL) == ANYMPS_OK);
    EXPECT(anymps_metal_encode(commands, NULL) == ANYMPS_INVALID_ARGUMENT);
    for (int round = 0; round < 2; round++) {
        float *const bytes = anymps_matrix_contents(result);
        memset(bytes, 0xff, BYTES);
        void *const pool = amps_apple.objc_autoreleasePoolPush();
        const amps_id theirs = amps_send_command_buffer(their_queue);
        EXPECT(anymps_metal_encode(commands, theirs) == ANYMPS_OK);
        EXPECT(anymps_metal_encode(commands, theirs) == ANYMPS_INVALID_STATE); /* in flight until theirs has run */
        amps_send_commit(theirs);
        EXPECT(anymps_command_buffer_wait(commands) == ANYMPS_OK);
        amps_send_wait_completed(theirs);
        EXPECT(anymps_metal_encode(commands, theirs) == ANYMPS_INVALID_STATE); /* theirs was committed */
        amps_apple.objc_autoreleasePoolPop(pool);
        EXPECT(right_square(bytes));
    }
    anymps_command_buffer_release(commands);
    anymps_kernel_release(kernel);
}

static void test_handles(void)
{
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    const amps_id mine = amps_apple.MTLCreateSystemDefaultDevice();
    const amps_id their_queue = amps_send_new_queue(mine, 16);
    const amps_id their_source = amps_send_new_buffer(mine, BYTES, MTLResourceStorageModeShared);
    const amps_id their_result = amps_send_new_buffer(mine, BYTES, MTLResourceStorageModeShared);
    for (size_t i = 0; i < (size_t)SIDE * SIDE; i++) {
        ((float *)amps_send_contents(their_source))[i] = (float)(i + 1);
    }
    anymps_device *device = NULL;
    anymps_queue *queue = NULL;
    anymps_buffer *source = NULL, *result = NULL;
    EXPECT(anymps_metal_device_open(NULL, &device) == ANYMPS_INVALID_ARGUMENT);
    EXPECT(anymps_metal_device_open(mine, &device) == ANYMPS_OK && anymps_metal_device(device) == (void *)mine);
    EXPECT(anymps_metal_queue_create(device, their_queue, &queue) == ANYMPS_OK &&
           anymps_metal_queue(queue) == (void *)their_queue);
    EXPECT(anymps_metal_buffer_wrap(device, their_source, BYTES, &source) == ANYMPS_OK);
    EXPECT(anymps_metal_buffer_wrap(device, their_result, BYTES + 1, &result) == ANYMPS_INVALID_ARGUMENT);
    EXPECT(anymps_metal_buffer_wrap(device, their_result, BYTES, &result) == ANYMPS_OK);
    EXPECT(anymps_metal_buffer(result) == (void *)their_result &&
           anymps_buffer_contents(result) == amps_send_contents(their_result));
    anymps_matrix *const left = matrix_over(source), *const product = matrix_over(result);
    encode_into_theirs(device, queue, their_queue, left, product);
    anymps_matrix_release(left), anymps_matrix_release(product);
    anymps_buffer_release(source), anymps_buffer_release(result);
    anymps_queue_release(queue);
    anymps_device_release(device);
    amps_drop(their_source), amps_drop(their_result), amps_drop(their_queue), amps_drop(mine);
    amps_apple.objc_autoreleasePoolPop(pool);
}

/* ---- Transfers at every alignment -------------------------------------------------------------- */

enum { LENGTH = 61 };

static void fill_pattern(unsigned char *bytes, size_t length, unsigned seed)
{
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (unsigned char)(i * 7 + seed);
    }
}

static void same_as_model(const anymps_buffer *buffer, const unsigned char *model)
{
    unsigned char read[LENGTH];
    EXPECT(anymps_buffer_read(buffer, 0, read, LENGTH) == ANYMPS_OK);
    EXPECT(memcmp(read, model, LENGTH) == 0);
}

static void test_transfers(anymps_device *device, anymps_storage storage)
{
    unsigned char model[LENGTH], piece[LENGTH];
    anymps_buffer *buffer = NULL, *other = NULL;
    EXPECT(anymps_buffer_create(device, LENGTH, storage, &buffer) == ANYMPS_OK);
    EXPECT(anymps_buffer_create(device, LENGTH, ANYMPS_STORAGE_PRIVATE, &other) == ANYMPS_OK);
    EXPECT((anymps_buffer_contents(buffer) == NULL) == (storage == ANYMPS_STORAGE_PRIVATE));
    memset(model, 0, LENGTH);
    same_as_model(buffer, model);
    for (size_t offset = 0; offset < 6; offset++) {
        for (size_t length = 1; length < 12; length += 3) {
            fill_pattern(piece, length, (unsigned)(offset * 16 + length));
            memcpy(model + offset * 4 + offset, piece, length);
            EXPECT(anymps_buffer_write(buffer, offset * 5, piece, length) == ANYMPS_OK);
            memset(model + offset, (int)length, length + 2);
            EXPECT(anymps_buffer_fill(buffer, offset, length + 2, (uint8_t)length) == ANYMPS_OK);
            memmove(model + offset + 3, model + offset, 20 + length); /* overlapping, forwards and backwards */
            EXPECT(anymps_buffer_copy(buffer, offset + 3, buffer, offset, 20 + length) == ANYMPS_OK);
            memmove(model + offset, model + offset + 2, 20 + length);
            EXPECT(anymps_buffer_copy(buffer, offset, buffer, offset + 2, 20 + length) == ANYMPS_OK);
            same_as_model(buffer, model);
        }
    }
    EXPECT(anymps_buffer_copy(other, 0, buffer, 0, LENGTH) == ANYMPS_OK);
    same_as_model(other, model);
    EXPECT(anymps_buffer_synchronize(buffer, 0, LENGTH) == ANYMPS_OK &&
           anymps_buffer_did_modify(buffer, 0, LENGTH) == ANYMPS_OK);
    same_as_model(buffer, model);
    anymps_buffer_release(buffer), anymps_buffer_release(other);
}

/* ---- Wrapped host memory ----------------------------------------------------------------------- */

static void count_release(void *context, void *bytes)
{
    (void)bytes;
    ++*(int *)context;
}

static void test_wrap(anymps_device *device)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *const block = aligned_alloc(page, 2 * page);
    if (block == NULL) {
        failures++;
        return;
    }
    int released = 0;
    anymps_buffer *buffer = NULL;
    anymps_wrap_desc desc = ANYMPS_WRAP_DESC_INIT;
    desc.bytes = block;
    desc.length_bytes = page + 5; /* whole pages at the start only */
    desc.release = count_release;
    desc.context = &released;
    desc.forbid_copy = true;
    EXPECT(anymps_buffer_wrap(device, &desc, &buffer) == ANYMPS_OK);
    EXPECT(anymps_buffer_contents(buffer) == block && anymps_buffer_copy_reason(buffer) == NULL && released == 0);
    anymps_buffer_release(buffer);
    EXPECT(released == 1);
    desc.bytes = block + 16;
    buffer = NULL;
    EXPECT(anymps_buffer_wrap(device, &desc, &buffer) == ANYMPS_UNSUPPORTED && buffer == NULL && released == 1);
    desc.forbid_copy = false;
    EXPECT(anymps_buffer_wrap(device, &desc, &buffer) == ANYMPS_OK);
    EXPECT(anymps_buffer_contents(buffer) != block + 16 && anymps_buffer_copy_reason(buffer) != NULL && released == 2);
    anymps_buffer_release(buffer);
    EXPECT(released == 2);
    free(block);
}

static void test_every_device(void)
{
    for (size_t i = 0; i < anymps_device_count(); i++) {
        anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
        EXPECT(anymps_device_describe(i, &properties) == ANYMPS_OK);
        if (properties.backend != ANYMPS_BACKEND_METAL) {
            continue;
        }
        anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
        desc.id = properties.id;
        anymps_device *device = NULL;
        EXPECT(anymps_device_open(&desc, &device) == ANYMPS_OK);
        test_transfers(device, ANYMPS_STORAGE_SHARED);
        test_transfers(device, ANYMPS_STORAGE_MANAGED);
        test_transfers(device, ANYMPS_STORAGE_PRIVATE);
        test_wrap(device);
        anymps_device_release(device);
    }
}

static size_t metal_devices(void)
{
    size_t count = 0;
    for (size_t i = 0; i < anymps_device_count(); i++) {
        anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
        count +=
            anymps_device_describe(i, &properties) == ANYMPS_OK && properties.backend == ANYMPS_BACKEND_METAL ? 1u : 0u;
    }
    return count;
}

int main(void)
{
    EXPECT(metal_devices() == 2);
    test_handles();
    test_every_device();
    const anymps_live live = anymps_live_counts();
    EXPECT(live.objects == 0 && live.blocks == 0 && live.device_bytes == 0 && live.wrapped == 0);
    printf("%d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
