/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors_write.c: writes named matrices and vectors as one .safetensors file (format: safetensors.c).
 *
 * Called by users (anymps/io.h). Calls write.c for the file and the elements; the header goes through
 * cJSON. The header is filled up with blanks so that the data begins on a multiple of 64 bytes.
 */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/ref.h"
#include "base/status.h"
#include "io/utf8.h"
#include "io/write.h"

#include <anymps/io.h>
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, DATA_ALIGNMENT = 64 };

static const char operation[] = "safetensors_write";

static const char *dtype_text(anymps_dtype dtype)
{
    switch (dtype) {
    case ANYMPS_DTYPE_F16: return "F16";
    case ANYMPS_DTYPE_BF16: return "BF16";
    case ANYMPS_DTYPE_F32: return "F32";
    case ANYMPS_DTYPE_F64: return "F64";
    case ANYMPS_DTYPE_I8: return "I8";
    case ANYMPS_DTYPE_I16: return "I16";
    case ANYMPS_DTYPE_I32: return "I32";
    case ANYMPS_DTYPE_I64: return "I64";
    case ANYMPS_DTYPE_U8: return "U8";
    case ANYMPS_DTYPE_U16: return "U16";
    case ANYMPS_DTYPE_U32: return "U32";
    case ANYMPS_DTYPE_U64: return "U64";
    case ANYMPS_DTYPE_BOOL: return "BOOL";
    default: return "";
    }
}

/* ---- Checks ------------------------------------------------------------------------------------ */

static anymps_status check_entry(const anymps_safetensors_entry *entry, size_t index)
{
    ANYMPS_FAIL_IF(entry->name == NULL, ANYMPS_INVALID_ARGUMENT, "%s: entry %zu has no name", operation, index);
    ANYMPS_FAIL_IF(!amps_utf8_valid(entry->name, strlen(entry->name)), ANYMPS_INVALID_ARGUMENT,
                   "%s: the name of entry %zu is not UTF-8", operation, index);
    ANYMPS_FAIL_IF(strcmp(entry->name, "__metadata__") == 0, ANYMPS_INVALID_ARGUMENT,
                   "%s: the name '__metadata__' of entry %zu is reserved", operation, index);
    ANYMPS_FAIL_IF((entry->matrix == NULL) == (entry->vector == NULL), ANYMPS_INVALID_ARGUMENT,
                   "%s: entry '%.80s' must have a matrix or a vector", operation, entry->name);
    ANYMPS_FAIL_IF((entry->matrix != NULL && !amps_is(entry->matrix, AMPS_KIND_MATRIX)) ||
                       (entry->vector != NULL && !amps_is(entry->vector, AMPS_KIND_VECTOR)),
                   ANYMPS_INVALID_ARGUMENT, "%s: entry '%.80s' is neither a matrix nor a vector", operation,
                   entry->name);
    return ANYMPS_OK;
}

static int by_text(const void *left, const void *right)
{
    const char *const *const a = left;
    const char *const *const b = right;
    return strcmp(*a, *b);
}

static anymps_status check_names(const anymps_safetensors_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ANYMPS_TRY(check_entry(&entries[i], i));
    }
    const char **const names = amps_calloc(count, sizeof *names);
    if (names == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        names[i] = entries[i].name;
    }
    qsort(names, count, sizeof *names, by_text);
    anymps_status status = ANYMPS_OK;
    for (size_t i = 1; i < count && status == ANYMPS_OK; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            status = amps_fail(ANYMPS_INVALID_ARGUMENT, "%s: the name '%.80s' is given twice", operation, names[i]);
        }
    }
    amps_free((void *)(uintptr_t)names);
    return status;
}

/* ---- Header ------------------------------------------------------------------------------------ */

static amps_tensor_view view_of(const anymps_safetensors_entry *entry)
{
    return entry->matrix != NULL ? amps_view_matrix(entry->matrix) : amps_view_vector(entry->vector);
}

/* Appends the tensor and moves `*end` past its bytes; false if memory or the address space ends. */
static bool add_tensor(cJSON *root, const char *name, const amps_tensor_view *view, size_t *end)
{
    size_t bytes = anymps_dtype_bytes(view->dtype);
    double shape[3];
    for (size_t i = 0; i < view->rank; i++) {
        shape[i] = (double)view->shape[i];
        if (!amps_mul(bytes, view->shape[i], &bytes)) {
            return false;
        }
    }
    const size_t begin = *end;
    if (!amps_add(begin, bytes, end)) {
        return false;
    }
    const double offsets[2] = {(double)begin, (double)*end};
    cJSON *const tensor = cJSON_AddObjectToObject(root, name);
    cJSON *const sizes = cJSON_CreateDoubleArray(shape, (int)view->rank);
    cJSON *const range = cJSON_CreateDoubleArray(offsets, 2);
    const bool complete = tensor != NULL && sizes != NULL && range != NULL &&
                          cJSON_AddStringToObject(tensor, "dtype", dtype_text(view->dtype)) != NULL;
    /* What the tree has taken goes with it, what it has not is freed here. */
    if (!complete || !cJSON_AddItemToObject(tensor, "shape", sizes)) {
        cJSON_Delete(sizes);
        cJSON_Delete(range);
        return false;
    }
    if (!cJSON_AddItemToObject(tensor, "data_offsets", range)) {
        cJSON_Delete(range);
        return false;
    }
    return true;
}

static char *header_text(const anymps_safetensors_entry *entries, size_t count)
{
    cJSON *const root = cJSON_CreateObject();
    bool complete = root != NULL;
    size_t end = 0;
    for (size_t i = 0; i < count && complete; i++) {
        const amps_tensor_view view = view_of(&entries[i]);
        complete = add_tensor(root, entries[i].name, &view, &end);
    }
    char *const text = complete ? cJSON_PrintUnformatted(root) : NULL;
    cJSON_Delete(root);
    return text;
}

static anymps_status write_header(amps_write *w, const char *text)
{
    static const char blanks[DATA_ALIGNMENT + 1] = "                                                                ";
    const size_t length = strlen(text);
    const size_t padding = (DATA_ALIGNMENT - (LENGTH_BYTES + length) % DATA_ALIGNMENT) % DATA_ALIGNMENT;
    const uint64_t total = length + padding;
    unsigned char prefix[LENGTH_BYTES];
    for (size_t i = 0; i < LENGTH_BYTES; i++) {
        prefix[i] = (unsigned char)(total >> (8 * i) & 0xff);
    }
    ANYMPS_TRY(amps_write_bytes(w, prefix, sizeof prefix));
    ANYMPS_TRY(amps_write_bytes(w, text, length));
    return amps_write_bytes(w, blanks, padding);
}

static anymps_status write_file(const char *path, const char *header, const anymps_safetensors_entry *entries,
                                size_t count)
{
    amps_write w;
    ANYMPS_TRY(amps_write_begin(&w, operation, path));
    anymps_status status = write_header(&w, header);
    for (size_t i = 0; i < count && status == ANYMPS_OK; i++) {
        const amps_tensor_view view = view_of(&entries[i]);
        status = amps_write_elements(&w, &view, view.dtype);
    }
    return amps_write_end(&w, status);
}

anymps_status anymps_safetensors_write(const char *path, const anymps_safetensors_entry *entries, size_t count)
{
    ANYMPS_FAIL_IF(path == NULL || (entries == NULL && count > 0), ANYMPS_INVALID_ARGUMENT,
                   "%s: path and entries must not be NULL", operation);
    ANYMPS_TRY(check_names(entries, count));
    char *const header = header_text(entries, count);
    ANYMPS_FAIL_IF(header == NULL, ANYMPS_OUT_OF_MEMORY, "%s: no memory for the header of %zu tensors", operation,
                   count);
    const anymps_status status = write_file(path, header, entries, count);
    cJSON_free(header);
    return status;
}
