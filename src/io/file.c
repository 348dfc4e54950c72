/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.c: the opened file: mapping, its life, and questions about its tensors.
 *
 * Called by users (anymps/io.h) and by load.c. Calls npy.c and safetensors.c once, when opening. Knows
 * nothing of either format beyond their first bytes, and nothing of devices.
 */
#include "io/file.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"
#include "base/versioned.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- The list ---------------------------------------------------------------------------------- */

anymps_status amps_file_reserve(anymps_file *file, size_t count, size_t names_bytes)
{
    file->names = amps_calloc(names_bytes, 1);
    file->tensors = amps_calloc(count, sizeof *file->tensors);
    file->sorted = amps_calloc(count, sizeof *file->sorted);
    if (file->names == NULL || file->tensors == NULL || file->sorted == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    file->count = count;
    for (size_t i = 0; i < count; i++) {
        file->tensors[i].struct_size = sizeof file->tensors[i];
        file->tensors[i].name = file->names;
    }
    return ANYMPS_OK;
}

bool amps_file_tensor_bytes(const anymps_file_tensor *tensor, size_t *bytes)
{
    size_t product = anymps_dtype_bytes(tensor->dtype);
    bool empty = false;
    for (size_t i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] == 0) {
            empty = true;
        } else if (!amps_mul(product, tensor->shape[i], &product)) {
            return false;
        }
    }
    *bytes = empty ? 0 : product;
    return true;
}

static int by_name(const void *left, const void *right)
{
    const anymps_file_tensor *const *const a = left;
    const anymps_file_tensor *const *const b = right;
    return strcmp((*a)->name, (*b)->name);
}

static anymps_status sort_names(anymps_file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        file->sorted[i] = &file->tensors[i];
    }
    qsort(file->sorted, file->count, sizeof *file->sorted, by_name);
    for (size_t i = 1; i < file->count; i++) {
        ANYMPS_FAIL_IF(strcmp(file->sorted[i - 1]->name, file->sorted[i]->name) == 0, ANYMPS_BAD_FORMAT,
                       "file_open: the name '%.80s' is given twice", file->sorted[i]->name);
    }
    return ANYMPS_OK;
}

/* ---- Open and close ---------------------------------------------------------------------------- */

static void destroy(anymps_file *file)
{
    if (file->mapped) {
        /* munmap takes a pointer to plain void; the pages themselves are read-only. */
        (void)munmap((void *)(uintptr_t)file->bytes, file->length_bytes);
    }
    amps_free(file->names);
    amps_free(file->tensors);
    amps_free((void *)(uintptr_t)file->sorted);
    amps_free(file);
}

static anymps_status read_list(anymps_file *file)
{
    if (amps_npy_is(file->bytes, file->length_bytes)) {
        ANYMPS_TRY(amps_npy_read(file));
    } else {
        ANYMPS_TRY(amps_safetensors_read(file));
    }
    return sort_names(file);
}

/* Takes the mapping over, whatever the outcome. */
static anymps_status open_mapping(const void *bytes, size_t length_bytes, bool mapped, anymps_file **out)
{
    anymps_file *const file = amps_calloc(1, sizeof *file);
    if (file == NULL) {
        if (mapped) {
            (void)munmap((void *)(uintptr_t)bytes, length_bytes);
        }
        return ANYMPS_OUT_OF_MEMORY;
    }
    file->bytes = bytes;
    file->length_bytes = length_bytes;
    file->mapped = mapped;
    const anymps_status status = read_list(file);
    if (status != ANYMPS_OK) {
        destroy(file);
        return status;
    }
    amps_object_init(&file->object, AMPS_KIND_FILE);
    *out = file;
    return ANYMPS_OK;
}

static anymps_status map(int descriptor, const char *path, void **bytes, size_t *length_bytes)
{
    struct stat about;
    if (fstat(descriptor, &about) != 0) {
        return amps_fail_code(ANYMPS_IO, errno, "file_open: %.120s: %s", path, strerror(errno));
    }
    if (!S_ISREG(about.st_mode)) {
        const int code = S_ISDIR(about.st_mode) ? EISDIR : ENODEV;
        return amps_fail_code(ANYMPS_IO, code, "file_open: %.120s is no regular file", path);
    }
    ANYMPS_FAIL_IF(about.st_size == 0, ANYMPS_BAD_FORMAT, "file_open: %.120s is empty: neither .npy nor .safetensors",
                   path);
    ANYMPS_FAIL_IF((uintmax_t)about.st_size > SIZE_MAX, ANYMPS_OUT_OF_MEMORY,
                   "file_open: %.120s does not fit the address space", path);
    *length_bytes = (size_t)about.st_size;
    *bytes = mmap(NULL, *length_bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (*bytes == MAP_FAILED) {
        return amps_fail_code(ANYMPS_IO, errno, "file_open: %.120s cannot be mapped: %s", path, strerror(errno));
    }
    return ANYMPS_OK;
}

anymps_status anymps_file_open(const char *path, anymps_file **file)
{
    ANYMPS_FAIL_IF(path == NULL || file == NULL, ANYMPS_INVALID_ARGUMENT, "file_open: path and file must not be NULL");
    /* O_NONBLOCK: opening a pipe must not wait for somebody to write into it. */
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        return amps_fail_code(ANYMPS_IO, errno, "file_open: %.120s: %s", path, strerror(errno));
    }
    void *bytes = NULL;
    size_t length_bytes = 0;
    const anymps_status status = map(descriptor, path, &bytes, &length_bytes);
    (void)close(descriptor);
    return status == ANYMPS_OK ? open_mapping(bytes, length_bytes, true, file) : status;
}

anymps_status anymps_file_open_bytes(const void *bytes, size_t length_bytes, anymps_file **file)
{
    ANYMPS_FAIL_IF(bytes == NULL || file == NULL, ANYMPS_INVALID_ARGUMENT,
                   "file_open_bytes: bytes and file must not be NULL");
    return open_mapping(bytes, length_bytes, false, file);
}

anymps_file *anymps_file_retain(anymps_file *file)
{
    if (file != NULL) {
        amps_object_retain(&file->object);
    }
    return file;
}

void anymps_file_release(anymps_file *file)
{
    if (file != NULL && amps_object_release(&file->object)) {
        destroy(file);
    }
}

/* ---- Questions --------------------------------------------------------------------------------- */

size_t anymps_file_count(const anymps_file *file)
{
    return amps_is(file, AMPS_KIND_FILE) ? file->count : 0;
}

anymps_status anymps_file_get_tensor(const anymps_file *file, size_t index, anymps_file_tensor *tensor)
{
    ANYMPS_FAIL_IF(!amps_is(file, AMPS_KIND_FILE), ANYMPS_INVALID_ARGUMENT, "file_get_tensor: file must be a file");
    ANYMPS_TRY(amps_struct_check("file_get_tensor", tensor, sizeof *tensor));
    ANYMPS_FAIL_IF(index >= file->count, ANYMPS_INVALID_ARGUMENT,
                   "file_get_tensor: index is %zu, the file has %zu tensors", index, file->count);
    amps_struct_write(tensor, &file->tensors[index], sizeof *tensor);
    return ANYMPS_OK;
}

/* Bounds that keep the search for the nearest name short, whatever the file holds. */
enum { NEAREST_LENGTH = 96, NEAREST_CANDIDATES = 2048 };

/* Levenshtein distance of two strings of at most NEAREST_LENGTH bytes. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t row[NEAREST_LENGTH + 1];
    for (size_t j = 0; j <= b_length; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            const size_t replace = diagonal + (a[i - 1] != b[j - 1] ? 1u : 0u);
            diagonal = row[j];
            row[j] = amps_min(replace, amps_min(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_length];
}

static const char *nearest(const anymps_file *file, const char *name)
{
    const size_t length = strnlen(name, NEAREST_LENGTH);
    const char *best = file->tensors[0].name;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < amps_min(file->count, NEAREST_CANDIDATES); i++) {
        const char *const candidate = file->tensors[i].name;
        const size_t d = distance(name, length, candidate, strnlen(candidate, NEAREST_LENGTH));
        if (d < best_distance) {
            best_distance = d;
            best = candidate;
        }
    }
    return best;
}

anymps_status anymps_file_find(const anymps_file *file, const char *name, size_t *index)
{
    ANYMPS_FAIL_IF(!amps_is(file, AMPS_KIND_FILE) || index == NULL, ANYMPS_INVALID_ARGUMENT,
                   "file_find: file must be a file and index not NULL");
    if (name == NULL) {
        ANYMPS_FAIL_IF(file->count != 1, ANYMPS_INVALID_ARGUMENT,
                       "file_find: the file has %zu tensors, so name must not be NULL", file->count);
        *index = 0;
        return ANYMPS_OK;
    }
    const anymps_file_tensor wanted = {.name = name};
    const anymps_file_tensor *const key = &wanted;
    const anymps_file_tensor **const found =
        file->count == 0 ? NULL : bsearch(&key, file->sorted, file->count, sizeof *file->sorted, by_name);
    if (found != NULL) {
        *index = (size_t)(*found - file->tensors);
        return ANYMPS_OK;
    }
    ANYMPS_FAIL_IF(file->count == 0, ANYMPS_INVALID_ARGUMENT, "file_find: no tensor '%.80s', the file has none", name);
    return amps_fail(ANYMPS_INVALID_ARGUMENT, "file_find: no tensor '%.80s', the nearest name is '%.80s'", name,
                     nearest(file, name));
}
