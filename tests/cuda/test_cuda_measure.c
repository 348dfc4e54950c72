/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cuda_measure.c: ANYMPS_MEASURE on the fake driver: the fastest way is found, remembered and stored; a damaged,
 * foreign or unwritable file changes nothing but the speed; every driver call fails in turn.
 */
#include "fake_cuda.h"

#include <anymps/anymps.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failures;
static char folder[64] = "/tmp/anymps-measure-XXXXXX", file_path[256];

static void check(bool good, const char *what, int line)
{
    if (!good) {
        failures++;
        (void)fprintf(stderr, "line %d: %s (last error: %s)\n", line, what, anymps_last_error()->message);
    }
}
#define CHECK(condition) check(condition, #condition, __LINE__)

static anymps_device *open_device(void)
{
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    desc.id = "cuda:0";
    anymps_device *device = NULL;
    CHECK(anymps_device_open(&desc, &device) == ANYMPS_OK);
    return device;
}

static anymps_status create(anymps_device *device, uint32_t options, size_t size, anymps_kernel **kernel)
{
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    desc.rows = desc.columns = desc.interior = size;
    desc.left_dtype = desc.right_dtype = desc.result_dtype = ANYMPS_DTYPE_F16;
    desc.options = options;
    return anymps_matmul_create(device, &desc, kernel);
}

/* What a device that is opened now would run, and whether it says so. */
static bool explains(uint32_t options, const char *text)
{
    anymps_device *const device = open_device();
    anymps_kernel *kernel = NULL;
    CHECK(create(device, options, 512, &kernel) == ANYMPS_OK);
    const bool good = kernel != NULL && strstr(anymps_kernel_explain(kernel), text) != NULL;
    anymps_kernel_release(kernel);
    anymps_device_release(device);
    return good;
}

static bool is_clean(void)
{
    const fake_cuda_live live = fake_cuda_count();
    const anymps_live ours = anymps_live_counts();
    return live.device_blocks == 0 && live.streams == 0 && live.events == 0 && live.graphs == 0 &&
           live.executables == 0 && live.modules == 0 && live.contexts == 0 && ours.objects == 0;
}

/* ---- The file --------------------------------------------------------------------------------- */

static size_t read_file(char *bytes, size_t room)
{
    FILE *const file = fopen(file_path, "rb");
    const size_t length = file == NULL ? 0 : fread(bytes, 1, room, file);
    if (file != NULL) {
        (void)fclose(file);
    }
    return length;
}

static void write_file(const char *bytes, size_t length)
{
    FILE *const file = fopen(file_path, "wb");
    CHECK(file != NULL && fwrite(bytes, 1, length, file) == length);
    if (file != NULL) {
        (void)fclose(file);
    }
}

static void test_remembers(void)
{
    fake_cuda_fast("tile_f16_nt_64x64");
    CHECK(!explains(0, "measured"));
    CHECK(explains(ANYMPS_MEASURE, "64x64"));
    CHECK(explains(ANYMPS_MEASURE, "after its left operand"));
    fake_cuda_fast("");
    CHECK(explains(0, "64x64"));
    CHECK(explains(0, "(measured)"));
    fake_cuda_fast("mma_f16_nt_32");
    CHECK(explains(ANYMPS_MEASURE, "mma 1")); /* a new measurement replaces the old one */
    fake_cuda_fast("tile_f16_nt_64x64");
    CHECK(explains(ANYMPS_MEASURE, "64x64"));
    fake_cuda_fast("");
}

/* Each damage makes the file count as absent, and the next measurement mends it. */
static void test_damage(void)
{
    static char good[1 << 16], bad[1 << 16];
    const size_t length = read_file(good, sizeof good);
    CHECK(length > 60);
    for (size_t at = 0; at < length; at++) { /* one byte differs */
        memcpy(bad, good, length);
        bad[at] = bad[at] == '1' ? '2' : '1';
        write_file(bad, length);
        CHECK(!explains(0, "measured"));
    }
    for (size_t kept = 0; kept < length; kept += 7) { /* it ends early */
        write_file(good, kept);
        CHECK(!explains(0, "measured"));
    }
    memset(bad, 'x', sizeof bad); /* no line of it ends */
    write_file(bad, sizeof bad);
    CHECK(!explains(0, "measured"));
    write_file(good, length);
    CHECK(explains(0, "(measured)"));
}

static void test_unwritable(void)
{
    char saved[] = "/tmp/anymps-no-such-XXXXXX";
    CHECK(mkdtemp(saved) != NULL);
    char inside[64];
    (void)snprintf(inside, sizeof inside, "%s/file", saved);
    FILE *const file = fopen(inside, "w");
    CHECK(file != NULL && fclose(file) == 0);
    CHECK(setenv("XDG_CACHE_HOME", inside, 1) == 0); /* a file where a folder should be: also for root */
    CHECK(explains(ANYMPS_MEASURE, "not stored"));
    CHECK(setenv("XDG_CACHE_HOME", folder, 1) == 0);
    CHECK(remove(inside) == 0 && rmdir(saved) == 0);
}

/* A choice from a file may not fit the operands at hand: a product that cannot run so runs as usual. */
static void test_other_operands(void)
{
    anymps_device *const device = open_device();
    anymps_queue *queue = NULL;
    anymps_command_buffer *commands = NULL;
    anymps_buffer *buffer = NULL;
    anymps_kernel *kernel = NULL;
    anymps_matrix *at[3] = {NULL, NULL, NULL};
    CHECK(anymps_queue_create(device, &queue) == ANYMPS_OK);
    CHECK(anymps_command_buffer_create(queue, &commands) == ANYMPS_OK);
    CHECK(anymps_buffer_create(device, (size_t)3 << 20, ANYMPS_STORAGE_PRIVATE, &buffer) == ANYMPS_OK);
    CHECK(create(device, 0, 512, &kernel) == ANYMPS_OK);
    for (size_t i = 0; i < 3; i++) {
        anymps_matrix_desc desc = anymps_matrix_desc_make(512, 512, ANYMPS_DTYPE_F16);
        desc.row_bytes = 1026; /* not whole 16 bytes */
        CHECK(anymps_matrix_create(buffer, i << 20, &desc, &at[i]) == ANYMPS_OK);
    }
    for (int i = 0; i < 3; i++) {
        CHECK(anymps_command_buffer_reset(commands) == ANYMPS_OK);
        CHECK(anymps_matmul_encode(kernel, commands, at[0], at[1], at[2], NULL) == ANYMPS_OK);
        CHECK(anymps_command_buffer_commit(commands) == ANYMPS_OK);
        CHECK(anymps_command_buffer_wait(commands) == ANYMPS_OK);
    }
    for (size_t i = 0; i < 3; i++) {
        anymps_matrix_release(at[i]);
    }
    anymps_kernel_release(kernel);
    anymps_buffer_release(buffer);
    anymps_command_buffer_release(commands);
    anymps_queue_release(queue);
    anymps_device_release(device);
}

static void test_every_fault(CUresult result)
{
    long n = 1;
    for (bool more = true; more && n < 20000; n += n < 60 ? 1 : 37) {
        anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
        anymps_device *device = NULL;
        anymps_kernel *kernel = NULL;
        desc.id = "cuda:0";
        fake_cuda_fail_at(n, result, false);
        anymps_status status = anymps_device_open(&desc, &device);
        if (status == ANYMPS_OK) {
            status = create(device, ANYMPS_MEASURE, 96, &kernel);
        }
        more = fake_cuda_has_failed();
        CHECK(more || status == ANYMPS_OK);
        CHECK((status == ANYMPS_OK) == (kernel != NULL));
        anymps_kernel_release(kernel);
        anymps_device_release(device);
        fake_cuda_fail_at(0, CUDA_SUCCESS, false);
        CHECK(is_clean());
    }
    CHECK(n > 100 && n < 20000);
}

int main(void)
{
    if (mkdtemp(folder) == NULL || setenv("XDG_CACHE_HOME", folder, 1) != 0 ||
        setenv("ANYMPS_CUDA_CUBLASLT", "0", 1) != 0) {
        return 1;
    }
    (void)snprintf(file_path, sizeof file_path, "%s/anymps/cuda-matmul-Fake-GPU-0", folder);
    test_remembers();
    test_damage();
    test_unwritable();
    test_other_operands();
    test_every_fault(CUDA_ERROR_OUT_OF_MEMORY);
    test_every_fault(CUDA_ERROR_UNKNOWN);
    CHECK(is_clean());
    CHECK(remove(file_path) == 0);
    char above[128];
    (void)snprintf(above, sizeof above, "%s/anymps", folder);
    CHECK(rmdir(above) == 0 && rmdir(folder) == 0); /* nothing else was left beside it */
    (void)printf(failures == 0 ? "cuda measure: all good\n" : "cuda measure: %d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
