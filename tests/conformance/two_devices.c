/* SPDX-License-Identifier: Apache-2.0 */
/*
 * two_devices.c: what takes two devices of one backend: copies between their memories in every storage, the same work on
 * both at once with the same bits, and the refusal of the other's operands. Public API only.
 *
 *     two_devices --device BACKEND     cuda: the first two GPUs; otherwise the backend's device, opened twice
 *                                      exit 77 (skipped, with the count) where there are fewer than two
 */
#include <anymps/anymps.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SKIPPED = 77, DEVICES = 2, ROWS = 300, COLUMNS = 1000, ELEMENTS = ROWS * COLUMNS, BYTES = 4 * ELEMENTS };
enum { ROUNDS = 20, LARGE = 64 << 20 };

static int failures;
static anymps_device *devices[DEVICES];

static void check(bool good, const char *what, int line)
{
    if (!good) {
        failures++;
        (void)fprintf(stderr, "line %d: %s (last error: %s)\n", line, what, anymps_last_error()->message);
    }
}
#define CHECK(condition) check(condition, #condition, __LINE__)
#define MUST(call)       CHECK((call) == ANYMPS_OK)

static uint32_t seed = 1;

static uint32_t next_random(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static void fill(unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (unsigned char)next_random();
    }
}

/* ---- Copies ------------------------------------------------------------------------------------ */

static const anymps_storage storages[] = {ANYMPS_STORAGE_SHARED, ANYMPS_STORAGE_MANAGED, ANYMPS_STORAGE_PRIVATE};
enum { STORAGES = sizeof storages / sizeof storages[0] };

/* `length` bytes from one device to the other and back to its neighbour, at odd offsets; what lies around stays. */
static void test_copy(int from, anymps_storage storage, anymps_storage other, size_t length)
{
    const size_t room = length + 64;
    unsigned char *const sent = malloc(room), *const got = malloc(room);
    anymps_buffer *near = NULL, *far = NULL, *back = NULL;
    CHECK(sent != NULL && got != NULL);
    if (sent == NULL || got == NULL) {
        free(sent);
        free(got);
        return;
    }
    fill(sent, room);
    memset(got, 0xa5, room);
    MUST(anymps_buffer_create_with_bytes(devices[from], sent, room, storage, &near));
    MUST(anymps_buffer_create_with_bytes(devices[1 - from], got, room, other, &far));
    MUST(anymps_buffer_create_with_bytes(devices[from], got, room, storage, &back));
    MUST(anymps_buffer_copy(far, 7, near, 13, length));
    MUST(anymps_buffer_copy(back, 5, far, 7, length));
    MUST(anymps_buffer_read(far, 0, got, room));
    CHECK(memcmp(got + 7, sent + 13, length) == 0);
    CHECK(got[6] == 0xa5 && got[7 + length] == 0xa5);
    MUST(anymps_buffer_read(back, 0, got, room));
    CHECK(memcmp(got + 5, sent + 13, length) == 0);
    CHECK(got[4] == 0xa5 && got[5 + length] == 0xa5);
    anymps_buffer_release(near);
    anymps_buffer_release(far);
    anymps_buffer_release(back);
    free(sent);
    free(got);
}

static void test_copies(void)
{
    static const size_t lengths[] = {1, 4097, 1 << 20};
    for (int from = 0; from < DEVICES; from++) {
        for (int each = 0; each < STORAGES * STORAGES; each++) {
            for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
                test_copy(from, storages[each / STORAGES], storages[each % STORAGES], lengths[i]);
            }
        }
    }
    test_copy(0, ANYMPS_STORAGE_PRIVATE, ANYMPS_STORAGE_PRIVATE, LARGE);
}

/* ---- Work on both ------------------------------------------------------------------------------ */

/* A row of layers on one device: softmax, then a product with itself turned, again and again. */
typedef struct work {
    anymps_queue *queue;
    anymps_kernel *softmax, *product;
    anymps_buffer *source, *middle, *result;
    anymps_matrix *at[3];
    anymps_command_buffer *commands;
} work;

static anymps_matrix *view(anymps_buffer *buffer, size_t rows, size_t columns)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, ANYMPS_DTYPE_F32);
    anymps_matrix *matrix = NULL;
    MUST(anymps_matrix_create(buffer, 0, &desc, &matrix));
    return matrix;
}

static void make_work(anymps_device *on, const float *values, work *w)
{
    anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
    anymps_matmul_desc product = ANYMPS_MATMUL_DESC_INIT;
    softmax.dtype = ANYMPS_DTYPE_F32;
    product.rows = product.columns = ROWS;
    product.interior = COLUMNS;
    product.transpose_right = true;
    product.left_dtype = product.right_dtype = product.result_dtype = ANYMPS_DTYPE_F32;
    memset(w, 0, sizeof *w);
    MUST(anymps_queue_create(on, &w->queue));
    MUST(anymps_softmax_create(on, &softmax, &w->softmax));
    MUST(anymps_matmul_create(on, &product, &w->product));
    MUST(anymps_buffer_create_with_bytes(on, values, BYTES, ANYMPS_STORAGE_PRIVATE, &w->source));
    MUST(anymps_buffer_create(on, BYTES, ANYMPS_STORAGE_PRIVATE, &w->middle));
    MUST(anymps_buffer_create(on, (size_t)4 * ROWS * ROWS, ANYMPS_STORAGE_PRIVATE, &w->result));
    w->at[0] = view(w->source, ROWS, COLUMNS);
    w->at[1] = view(w->middle, ROWS, COLUMNS);
    w->at[2] = view(w->result, ROWS, ROWS);
    MUST(anymps_command_buffer_create(w->queue, &w->commands));
    for (int i = 0; i < 4; i++) {
        MUST(anymps_softmax_encode(w->softmax, w->commands, w->at[0], w->at[1], NULL));
        MUST(anymps_matmul_encode(w->product, w->commands, w->at[1], w->at[1], w->at[2], NULL));
    }
}

static void drop_work(work *w)
{
    anymps_command_buffer_release(w->commands);
    for (int i = 0; i < 3; i++) {
        anymps_matrix_release(w->at[i]);
    }
    anymps_buffer_release(w->source);
    anymps_buffer_release(w->middle);
    anymps_buffer_release(w->result);
    anymps_kernel_release(w->softmax);
    anymps_kernel_release(w->product);
    anymps_queue_release(w->queue);
}

/* Both run at once; the second's result goes to the first device and is compared there with the first's. */
static void test_work(void)
{
    static float values[ELEMENTS], first[ROWS * ROWS], second[ROWS * ROWS];
    work both[DEVICES];
    anymps_buffer *moved = NULL;
    for (size_t i = 0; i < ELEMENTS; i++) {
        values[i] = (float)(next_random() % 2000) * 0.001f - 1.0f;
    }
    for (int i = 0; i < DEVICES; i++) {
        make_work(devices[i], values, &both[i]);
    }
    /* An operand of the other device is refused when it is encoded, and the command buffer goes on. */
    CHECK(anymps_softmax_encode(both[0].softmax, both[0].commands, both[1].at[0], both[0].at[1], NULL) ==
          ANYMPS_INVALID_ARGUMENT);
    MUST(anymps_buffer_create(devices[0], sizeof second, ANYMPS_STORAGE_PRIVATE, &moved));
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < DEVICES; i++) {
            MUST(anymps_command_buffer_commit(both[i].commands));
        }
        for (int i = 0; i < DEVICES; i++) {
            MUST(anymps_command_buffer_wait(both[i].commands));
        }
        MUST(anymps_buffer_copy(moved, 0, both[1].result, 0, sizeof second));
        MUST(anymps_buffer_read(both[0].result, 0, first, sizeof first));
        MUST(anymps_buffer_read(moved, 0, second, sizeof second));
        CHECK(memcmp(first, second, sizeof first) == 0);
    }
    CHECK(first[0] > 0.0f && first[0] <= 1.0f);
    anymps_buffer_release(moved);
    for (int i = 0; i < DEVICES; i++) {
        drop_work(&both[i]);
    }
}

/* How many of the two could be opened. */
static int open_devices(const char *backend)
{
    const bool numbered = strcmp(backend, "cuda") == 0;
    for (int i = 0; i < DEVICES; i++) {
        anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
        char id[32];
        if (numbered) {
            (void)snprintf(id, sizeof id, "%s:%d", backend, i);
        } else {
            (void)snprintf(id, sizeof id, "%s", backend);
        }
        desc.id = id;
        if (anymps_device_open(&desc, &devices[i]) != ANYMPS_OK) {
            return i;
        }
    }
    return DEVICES;
}

int main(int count, char **arguments)
{
    const char *const backend = count == 3 && strcmp(arguments[1], "--device") == 0 ? arguments[2] : "cpu";
    const int opened = open_devices(backend);
    if (opened < DEVICES) {
        (void)printf("skipped: %d of %d %s devices: %s\n", opened, DEVICES, backend, anymps_last_error()->message);
        anymps_device_release(devices[0]);
        return SKIPPED;
    }
    test_copies();
    test_work();
    for (int i = 0; i < DEVICES; i++) {
        anymps_device_release(devices[i]);
    }
    const anymps_live live = anymps_live_counts();
    CHECK(live.objects == 0 && live.wrapped == 0);
    (void)printf("%d failures\n", failures);
    return failures != 0;
}
