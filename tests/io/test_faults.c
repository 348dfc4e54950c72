/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_faults.c: files and DLPack with the Nth allocation failing, for every N: OUT_OF_MEMORY or the right answer, outputs
 * untouched, no deleter called too early, no file left behind, nothing live. tests/fault does the same for the rest.
 * cJSON's nodes do not come from our allocator; the second half refuses those.
 */
#include "files.h"
#include "interop/dlpack_abi.h"
#include "scenario.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <unistd.h>

static int deletions;

static void count_deletion(struct DLManagedTensor *self)
{
    (void)self;
    deletions++;
}

/* All or nothing: true if the call succeeded. `made`, whether there is a result, is looked at after the call. */
static bool clean(anymps_status status, bool made)
{
    EXPECT(status == ANYMPS_OK || status == ANYMPS_OUT_OF_MEMORY);
    EXPECT((status == ANYMPS_OK) == made);
    return status == ANYMPS_OK;
}

static void read_file(anymps_device *device, const char *path, anymps_dtype convert_to)
{
    anymps_file *file = NULL;
    anymps_matrix *matrix = NULL;
    anymps_vector *vector = NULL;
    bool transposed = false;
    anymps_load_desc desc = ANYMPS_LOAD_DESC_INIT;
    desc.convert_to = convert_to;
    anymps_status status = anymps_file_open(path, &file);
    if (clean(status, file != NULL)) {
        status = anymps_file_load_matrix(file, 0, device, &desc, &matrix, &transposed);
        (void)clean(status, matrix != NULL);
        status = anymps_file_load_vector(file, 0, device, &desc, &vector);
        (void)clean(status, vector != NULL);
    }
    anymps_vector_release(vector);
    anymps_matrix_release(matrix);
    anymps_file_release(file);
}

static void write_files(anymps_device *device)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(3, 4, ANYMPS_DTYPE_BF16);
    anymps_matrix *matrix = NULL;
    anymps_status status = anymps_matrix_create_on(device, &desc, &matrix);
    if (!clean(status, matrix != NULL)) {
        return;
    }
    const anymps_safetensors_entry entry = {"a", matrix, NULL};
    status = anymps_npy_write("faults.npy", matrix);
    (void)clean(status, access("faults.npy", F_OK) == 0);
    status = anymps_safetensors_write("faults.safetensors", &entry, 1);
    (void)clean(status, access("faults.safetensors", F_OK) == 0);
    (void)unlink("faults.npy");
    (void)unlink("faults.safetensors");
    anymps_matrix_release(matrix);
}

static void import_and_export(anymps_device *device, const struct DLTensor *tensor)
{
    struct DLManagedTensor managed = {*tensor, NULL, count_deletion};
    struct DLManagedTensor *out = NULL;
    struct DLManagedTensorVersioned *versioned = NULL;
    anymps_matrix *matrix = NULL;
    bool transposed = false;
    deletions = 0;
    anymps_status status = anymps_matrix_from_dlpack(device, &managed, &matrix, &transposed);
    if (!clean(status, matrix != NULL)) {
        EXPECT(deletions == 0);
        return;
    }
    status = anymps_matrix_to_dlpack(matrix, &out);
    (void)clean(status, out != NULL);
    status = anymps_matrix_to_dlpack_versioned(matrix, &versioned);
    (void)clean(status, versioned != NULL);
    anymps_matrix_release(matrix);
    EXPECT(deletions == (out == NULL && versioned == NULL ? 1 : 0));
    if (out != NULL) {
        out->deleter(out);
    }
    if (versioned != NULL) {
        versioned->deleter(versioned);
    }
    EXPECT(deletions == 1);
}

static void multiply(anymps_device *device, struct DLTensor *tensor)
{
    float out[4] = {7, 7, 7, 7};
    struct DLTensor result = *tensor;
    result.data = out;
    const anymps_status status = anymps_matmul_tensors(device, NULL, tensor, tensor, &result);
    (void)clean(status, out[0] == 7.0f && out[1] == 10.0f && out[3] == 22.0f); /* {1 2 3 4} squared is {7 10 15 22} */
    EXPECT(status == ANYMPS_OK || out[3] == 7.0f);
}

static void run(void)
{
    float data[4] = {1, 2, 3, 4};
    int64_t shape[2] = {2, 2};
    struct DLTensor tensor = {
        .data = data, .device = {AMPS_DL_CPU, 0}, .ndim = 2, .dtype = {AMPS_DL_FLOAT, 32, 1}, .shape = shape};
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    anymps_device *device = NULL;
    desc.id = "cpu";
    desc.threads = 1;
    const anymps_status status = anymps_device_open(&desc, &device);
    if (clean(status, device != NULL)) {
        read_file(device, GOLDEN_DIR "/f4_le.npy", ANYMPS_DTYPE_INVALID);
        read_file(device, GOLDEN_DIR "/all.safetensors", ANYMPS_DTYPE_F16);
        write_files(device);
        import_and_export(device, &tensor);
        multiply(device, &tensor);
    }
    anymps_device_release(device);
}

/* The Nth node or string of cJSON is refused, as malloc refuses it. */
static size_t nodes_left;

static void *refuse_node(size_t bytes)
{
    if (nodes_left == 0) {
        errno = ENOMEM;
        return NULL;
    }
    nodes_left--;
    return malloc(bytes);
}

/* Opens a file with every Nth allocation of the JSON reader refused, until one run needs no more; the number of runs. */
static size_t refuse_nodes(void)
{
    cJSON_Hooks hooks = {refuse_node, free};
    anymps_status status = ANYMPS_OUT_OF_MEMORY;
    size_t runs = 0;
    cJSON_InitHooks(&hooks);
    while (status == ANYMPS_OUT_OF_MEMORY && runs < 10000) {
        anymps_file *file = NULL;
        nodes_left = runs++;
        status = anymps_file_open(GOLDEN_DIR "/all.safetensors", &file);
        EXPECT(status == ANYMPS_OK || status == ANYMPS_OUT_OF_MEMORY);
        EXPECT((status == ANYMPS_OK) == (file != NULL));
        anymps_file_release(file);
    }
    cJSON_InitHooks(NULL);
    EXPECT_OK(status);
    EXPECT_NOTHING_LIVE();
    return runs;
}

int main(void)
{
    char folder[] = "faults-XXXXXX";
    size_t runs = 0;
    EXPECT(refuse_nodes() > 20);
    EXPECT(mkdtemp(folder) != NULL && chdir(folder) == 0);
    for (int after = 0; after < 2; after++) {
        bool reached = true;
        for (size_t n = 1; reached && n < 10000; n++, runs++) {
            faulty_allocator allocator = {.fail_at = n, .fail_after = after != 0};
            EXPECT_OK(faulty_allocator_install(&allocator));
            run();
            EXPECT_NOTHING_LIVE();
            EXPECT(allocator.live == 0);
            reached = allocator.failed != 0;
        }
    }
    EXPECT(runs > 20);
    EXPECT(chdir("..") == 0 && rmdir(folder) == 0); /* empty: no file is left behind */
    return expect_result("faults");
}
