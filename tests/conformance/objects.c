/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects.c: what every object says of itself, and how its bytes travel, on the device of the command line: getters,
 * retain and release, labels, the operators' names, copies within a device and between two, and a mapped file.
 * Public API only; prints what fails.
 */
#include "expect.h"
#include "machine.h"

#include <stdint.h>
#include <stdlib.h>

static anymps_device *device;

/* ---- Getters ----------------------------------------------------------------------------------- */

static void check_operators(void)
{
    const size_t count = anymps_operator_count();
    size_t unknown = 0, refused = 0;
    EXPECT(count > 0 && anymps_operator_name(count) == NULL);
    for (size_t i = 0; i < count; i++) {
        const char *const name = anymps_operator_name(i);
        const anymps_dtype types[3] = {ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32, ANYMPS_DTYPE_F32};
        bool supported = false;
        for (size_t n = 1; n <= 3; n++) {
            const anymps_status status = anymps_device_supports(device, name, types, n);
            supported = supported || status == ANYMPS_OK;
            refused += status == ANYMPS_INVALID_ARGUMENT ? 1 : 0;
        }
        unknown += supported ? 0 : 1;
    }
    EXPECT(unknown == 0);         /* every operator takes f32 everywhere */
    EXPECT(refused == 2 * count); /* and a number of types that is its own */
}

static void check_views(void)
{
    const anymps_matrix_desc wide = anymps_matrix_desc_make(3, 5, ANYMPS_DTYPE_F16);
    const anymps_vector_desc line = anymps_vector_desc_make(7, ANYMPS_DTYPE_F32);
    anymps_buffer *buffer = NULL;
    anymps_matrix *matrix = NULL;
    anymps_vector *vector = NULL;
    EXPECT_OK(anymps_buffer_create(device, 256, ANYMPS_STORAGE_SHARED, &buffer));
    EXPECT(anymps_buffer_length(buffer) == 256 && anymps_buffer_storage(buffer) == ANYMPS_STORAGE_SHARED);
    EXPECT_OK(anymps_matrix_create(buffer, 64, &wide, &matrix));
    EXPECT_OK(anymps_vector_create(buffer, 128, &line, &vector));
    EXPECT(anymps_matrix_buffer(matrix) == buffer && anymps_vector_buffer(vector) == buffer);
    EXPECT(anymps_matrix_offset_bytes(matrix) == 64 && anymps_vector_offset_bytes(vector) == 128);
    EXPECT(anymps_matrix_get_desc(matrix).row_bytes == 10 && anymps_matrix_get_desc(matrix).matrix_bytes == 30);
    EXPECT(anymps_vector_get_desc(vector).vectors == 1 && anymps_vector_get_desc(vector).vector_bytes == 28);
    unsigned char *const bytes = anymps_buffer_contents(buffer);
    EXPECT(bytes != NULL && anymps_matrix_contents(matrix) == bytes + 64 &&
           anymps_vector_contents(vector) == bytes + 128);
    EXPECT(anymps_matrix_retain(NULL) == NULL && anymps_vector_retain(NULL) == NULL);
    EXPECT(anymps_matrix_retain(matrix) == matrix && anymps_vector_retain(vector) == vector);
    const size_t live = anymps_live_counts().objects;
    anymps_matrix_release(matrix), anymps_vector_release(vector);
    EXPECT(anymps_live_counts().objects == live); /* the second reference keeps each */
    anymps_buffer_release(buffer);                /* and they keep their buffer */
    EXPECT(anymps_live_counts().objects == live && anymps_matrix_contents(matrix) == bytes + 64);
    anymps_matrix_release(matrix), anymps_vector_release(vector);
    EXPECT(anymps_live_counts().objects == live - 3);
}

static void check_commands(void)
{
    anymps_queue *queue = NULL;
    anymps_command_buffer *commands = NULL;
    EXPECT_OK(anymps_queue_create(device, &queue));
    EXPECT(anymps_queue_device(queue) == device && anymps_queue_device(NULL) == NULL);
    EXPECT_OK(anymps_command_buffer_create(queue, &commands));
    EXPECT(anymps_command_buffer_queue(commands) == queue && anymps_command_buffer_queue(NULL) == NULL);
    EXPECT(strcmp(anymps_command_buffer_label(commands), "") == 0);
    anymps_command_buffer_set_label(commands, "layer 3");
    EXPECT(strcmp(anymps_command_buffer_label(commands), "layer 3") == 0);
    anymps_command_buffer_set_label(commands, NULL);
    EXPECT(strcmp(anymps_command_buffer_label(commands), "") == 0);
    anymps_queue_release(queue); /* the command buffer keeps it */
    EXPECT(anymps_command_buffer_queue(commands) == queue);
    EXPECT_OK(anymps_command_buffer_commit(commands)); /* no records: done at once */
    EXPECT_OK(anymps_command_buffer_wait(commands));
    anymps_command_buffer_release(commands);
}

/* ---- Bytes ------------------------------------------------------------------------------------- */

/* More than one block of a copy between two backends, and no multiple of it. */
enum { LENGTH = (2 << 20) + 4093, FROM = 17, TO = 5, COPIED = LENGTH - 100 };

static anymps_buffer *filled(anymps_device *on, anymps_storage storage, unsigned char *bytes, unsigned seed)
{
    anymps_buffer *buffer = NULL;
    for (size_t i = 0; i < LENGTH; i++) {
        bytes[i] = (unsigned char)((i * 2654435761u + seed) >> 24);
    }
    EXPECT_OK(anymps_buffer_create_with_bytes(on, bytes, LENGTH, storage, &buffer));
    return buffer;
}

/* Copies from a buffer of `source` into one of `target`; what lies outside the range stays. */
static void check_copy(anymps_device *source, anymps_device *target, anymps_storage storage)
{
    unsigned char *const from = malloc(LENGTH), *const to = malloc(LENGTH), *const read = malloc(LENGTH);
    if (from != NULL && to != NULL && read != NULL) {
        anymps_buffer *const a = filled(source, storage, from, 1), *const b = filled(target, storage, to, 99);
        EXPECT_OK(anymps_buffer_copy(b, TO, a, FROM, COPIED));
        memcpy(to + TO, from + FROM, COPIED);
        EXPECT_OK(anymps_buffer_read(b, 0, read, LENGTH));
        EXPECT(memcmp(read, to, LENGTH) == 0);
        EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_buffer_copy(b, LENGTH - 4, a, 0, 5));
        EXPECT_OK(anymps_buffer_copy(b, LENGTH, a, 0, 0));
        anymps_buffer_release(a), anymps_buffer_release(b);
    }
    free(from), free(to), free(read);
}

static void check_copies(void)
{
    static const anymps_storage storages[] = {ANYMPS_STORAGE_SHARED, ANYMPS_STORAGE_MANAGED, ANYMPS_STORAGE_PRIVATE};
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    anymps_device *cpu = NULL;
    desc.id = "cpu:0"; /* the same as "cpu" */
    EXPECT_OK(anymps_device_open(&desc, &cpu));
    for (size_t i = 0; i < sizeof storages / sizeof storages[0]; i++) {
        check_copy(device, device, storages[i]);
        check_copy(device, cpu, storages[i]);
        check_copy(cpu, device, storages[i]);
    }
    anymps_device_release(cpu);
}

/* What a matrix of a mapped file holds on this device, against the file's own bytes. */
static void check_tensor(anymps_file *file, const char *name, const unsigned char *bytes)
{
    anymps_file_tensor tensor = ANYMPS_FILE_TENSOR_INIT;
    anymps_matrix *matrix = NULL;
    bool transposed = true;
    size_t index = 0;
    unsigned char read[128];
    EXPECT_OK(anymps_file_find(file, name, &index));
    EXPECT_OK(anymps_file_get_tensor(file, index, &tensor));
    EXPECT(tensor.length_bytes > 0 && tensor.length_bytes <= sizeof read);
    EXPECT_OK(anymps_file_load_matrix(file, index, device, NULL, &matrix, &transposed));
    if (matrix != NULL && tensor.length_bytes <= sizeof read) {
        anymps_buffer *const buffer = anymps_matrix_buffer(matrix);
        EXPECT(!transposed && anymps_buffer_is_read_only(buffer));
        EXPECT_OK(anymps_buffer_read(buffer, anymps_matrix_offset_bytes(matrix), read, tensor.length_bytes));
        EXPECT(memcmp(read, bytes + tensor.offset_bytes, tensor.length_bytes) == 0);
        EXPECT_STATUS(ANYMPS_INVALID_ARGUMENT, anymps_buffer_fill(buffer, 0, 1, 0)); /* read-only on every device */
    }
    anymps_matrix_release(matrix);
}

/* The same bytes whether the device uses the mapping where it lies, by whole pages, or a copy. */
static void check_file(void)
{
    static unsigned char bytes[4096];
    anymps_file *file = NULL;
    FILE *const plain = fopen(GOLDEN_FILE, "rb");
    const size_t length = plain != NULL ? fread(bytes, 1, sizeof bytes, plain) : 0;
    EXPECT(length > 0 && length < sizeof bytes);
    if (plain != NULL) {
        (void)fclose(plain);
    }
    EXPECT_OK(anymps_file_open(GOLDEN_FILE, &file));
    static const char *const names[] = {"f4", "f2", "i1", "i2", "scalar", "u4"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        check_tensor(file, names[i], bytes);
    }
    EXPECT(anymps_file_retain(file) == file);
    anymps_file_release(file);
    EXPECT(anymps_file_count(file) == 15);
    anymps_file_release(file);
    EXPECT_OK(anymps_file_open_bytes(bytes, length, &file)); /* no mapping: never by whole pages */
    check_tensor(file, "f4", bytes);
    anymps_file_release(file);
}

int main(int argc, char **argv)
{
    machine self;
    const int opened = machine_open_from(&self, argc, argv);
    if (opened != TEST_PASSED) {
        return opened;
    }
    device = self.devices[0];
    check_operators();
    check_views();
    check_commands();
    check_copies();
    check_file();
    machine_close(&self);
    EXPECT_NOTHING_LIVE();
    return expect_result("objects");
}
