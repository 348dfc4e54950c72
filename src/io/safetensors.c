/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors.c: reads the header of a .safetensors file.
 *
 *     header length (8 bytes, little-endian) | header: JSON, perhaps padded with blanks | data
 *     {"__metadata__": {"k": "v"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …}
 *
 * The ranges count from the beginning of the data and must cover it exactly: no gap, no overlap. Called
 * by file.c. The JSON goes through cJSON, whose nodes come from malloc (its allocation hooks would
 * change every other user of cJSON in the process) and are gone when reading ends.
 * Source: the format description of the safetensors project.
 */
#include "io/file.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"
#include "io/utf8.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8 };
static const char metadata_name[] = "__metadata__";

/* ---- One tensor -------------------------------------------------------------------------------- */

static anymps_status read_dtype(const cJSON *value, const char *name, anymps_dtype *dtype)
{
    static const struct {
        char name[8];
        anymps_dtype dtype; /* INVALID: a type of the format that anymps lacks */
    } types[] = {
        {"F32", ANYMPS_DTYPE_F32},         {"F16", ANYMPS_DTYPE_F16},         {"BF16", ANYMPS_DTYPE_BF16},
        {"F64", ANYMPS_DTYPE_F64},         {"I8", ANYMPS_DTYPE_I8},           {"I16", ANYMPS_DTYPE_I16},
        {"I32", ANYMPS_DTYPE_I32},         {"I64", ANYMPS_DTYPE_I64},         {"U8", ANYMPS_DTYPE_U8},
        {"U16", ANYMPS_DTYPE_U16},         {"U32", ANYMPS_DTYPE_U32},         {"U64", ANYMPS_DTYPE_U64},
        {"BOOL", ANYMPS_DTYPE_BOOL},       {"F8_E4M3", ANYMPS_DTYPE_INVALID}, {"F8_E5M2", ANYMPS_DTYPE_INVALID},
        {"F8_E8M0", ANYMPS_DTYPE_INVALID}, {"F6_E2M3", ANYMPS_DTYPE_INVALID}, {"F6_E3M2", ANYMPS_DTYPE_INVALID},
        {"F4", ANYMPS_DTYPE_INVALID},      {"C64", ANYMPS_DTYPE_INVALID},
    };
    ANYMPS_FAIL_IF(!cJSON_IsString(value), ANYMPS_BAD_FORMAT, "file_open: tensor '%.80s' has no dtype", name);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, value->valuestring) == 0) {
            ANYMPS_FAIL_IF(types[i].dtype == ANYMPS_DTYPE_INVALID, ANYMPS_UNSUPPORTED,
                           "file_open: tensor '%.80s' has the type %s, which is not supported", name, types[i].name);
            *dtype = types[i].dtype;
            return ANYMPS_OK;
        }
    }
    return amps_fail(ANYMPS_BAD_FORMAT, "file_open: tensor '%.80s' has the unknown type '%.32s'", name,
                     value->valuestring);
}

/* A whole number that double holds exactly. */
static bool read_size(const cJSON *value, size_t *out)
{
    static const double most = 9007199254740992.0; /* 2^53 */
    if (!cJSON_IsNumber(value) || !(value->valuedouble >= 0.0 && value->valuedouble <= most)) {
        return false;
    }
    const size_t size = (size_t)value->valuedouble;
    if ((double)size < value->valuedouble) {
        return false;
    }
    *out = size;
    return true;
}

static anymps_status read_shape(const cJSON *value, anymps_file_tensor *tensor)
{
    ANYMPS_FAIL_IF(!cJSON_IsArray(value), ANYMPS_BAD_FORMAT, "file_open: tensor '%.80s' has no shape", tensor->name);
    const cJSON *size;
    cJSON_ArrayForEach(size, value)
    {
        ANYMPS_FAIL_IF(tensor->rank == ANYMPS_FILE_MAX_RANK, ANYMPS_UNSUPPORTED,
                       "file_open: tensor '%.80s' has more than %d dimensions", tensor->name,
                       (int)ANYMPS_FILE_MAX_RANK);
        ANYMPS_FAIL_IF(!read_size(size, &tensor->shape[tensor->rank]), ANYMPS_BAD_FORMAT,
                       "file_open: tensor '%.80s': size %zu of the shape is no whole number", tensor->name,
                       tensor->rank);
        tensor->rank++;
    }
    return ANYMPS_OK;
}

/* `offset_bytes` counts from the beginning of the data until check_coverage. */
static anymps_status read_range(const cJSON *value, size_t data_bytes, anymps_file_tensor *tensor)
{
    size_t begin, end, needed;
    ANYMPS_FAIL_IF(!cJSON_IsArray(value) || cJSON_GetArraySize(value) != 2 || !read_size(value->child, &begin) ||
                       !read_size(value->child->next, &end),
                   ANYMPS_BAD_FORMAT, "file_open: tensor '%.80s' has no pair of data_offsets", tensor->name);
    ANYMPS_FAIL_IF(begin > end || end > data_bytes, ANYMPS_BAD_FORMAT,
                   "file_open: tensor '%.80s' lies at bytes %zu to %zu of %zu", tensor->name, begin, end, data_bytes);
    ANYMPS_FAIL_IF(!amps_file_tensor_bytes(tensor, &needed), ANYMPS_BAD_FORMAT,
                   "file_open: tensor '%.80s': the shape's size overflows", tensor->name);
    ANYMPS_FAIL_IF(needed != end - begin, ANYMPS_BAD_FORMAT, "file_open: tensor '%.80s' needs %zu bytes, has %zu",
                   tensor->name, needed, end - begin);
    tensor->offset_bytes = begin;
    tensor->length_bytes = needed;
    return ANYMPS_OK;
}

static anymps_status read_tensor(const cJSON *item, size_t data_bytes, anymps_file_tensor *tensor)
{
    ANYMPS_FAIL_IF(!cJSON_IsObject(item) || cJSON_GetArraySize(item) != 3, ANYMPS_BAD_FORMAT,
                   "file_open: tensor '%.80s' is no object of dtype, shape and data_offsets", tensor->name);
    ANYMPS_TRY(read_dtype(cJSON_GetObjectItemCaseSensitive(item, "dtype"), tensor->name, &tensor->dtype));
    ANYMPS_TRY(read_shape(cJSON_GetObjectItemCaseSensitive(item, "shape"), tensor));
    return read_range(cJSON_GetObjectItemCaseSensitive(item, "data_offsets"), data_bytes, tensor);
}

/* ---- The list ---------------------------------------------------------------------------------- */

static anymps_status check_metadata(const cJSON *item)
{
    ANYMPS_FAIL_IF(!cJSON_IsObject(item), ANYMPS_BAD_FORMAT, "file_open: __metadata__ is no object");
    const cJSON *value;
    cJSON_ArrayForEach(value, item)
    {
        ANYMPS_FAIL_IF(!cJSON_IsString(value), ANYMPS_BAD_FORMAT, "file_open: a value of __metadata__ is no string");
    }
    return ANYMPS_OK;
}

/* Counts tensors and the bytes of their names; checks names and metadata. */
static anymps_status survey(const cJSON *root, size_t *count, size_t *names_bytes)
{
    bool metadata = false;
    const cJSON *item;
    cJSON_ArrayForEach(item, root)
    {
        const size_t length = strlen(item->string);
        ANYMPS_FAIL_IF(!amps_utf8_valid(item->string, length), ANYMPS_BAD_FORMAT,
                       "file_open: a tensor's name is not UTF-8");
        if (strcmp(item->string, metadata_name) == 0) {
            ANYMPS_FAIL_IF(metadata, ANYMPS_BAD_FORMAT, "file_open: the name '__metadata__' is given twice");
            metadata = true;
            ANYMPS_TRY(check_metadata(item));
        } else {
            *count += 1;
            *names_bytes += length + 1; /* at most the header's length in all: cannot overflow */
        }
    }
    return ANYMPS_OK;
}

static anymps_status read_tensors(const cJSON *root, size_t data_bytes, anymps_file *file)
{
    size_t count = 0, names_bytes = 0;
    ANYMPS_TRY(survey(root, &count, &names_bytes));
    ANYMPS_TRY(amps_file_reserve(file, count, names_bytes));
    anymps_file_tensor *tensor = file->tensors;
    char *name = file->names;
    const cJSON *item;
    cJSON_ArrayForEach(item, root)
    {
        if (strcmp(item->string, metadata_name) == 0) {
            continue;
        }
        const size_t size = strlen(item->string) + 1;
        memcpy(name, item->string, size);
        tensor->name = name;
        name += size;
        ANYMPS_TRY(read_tensor(item, data_bytes, tensor));
        tensor++;
    }
    return ANYMPS_OK;
}

static int by_range(const void *left, const void *right)
{
    const anymps_file_tensor *const *const a = left;
    const anymps_file_tensor *const *const b = right;
    const size_t a_end = (*a)->offset_bytes + (*a)->length_bytes;
    const size_t b_end = (*b)->offset_bytes + (*b)->length_bytes;
    if ((*a)->offset_bytes != (*b)->offset_bytes) {
        return (*a)->offset_bytes < (*b)->offset_bytes ? -1 : 1;
    }
    return a_end < b_end ? -1 : a_end > b_end;
}

/* The ranges, in order of their place, must touch one another from the first byte of the data to the
   last. Then moves them to where the data lies in the file. `sorted` serves as room; file.c fills it
   anew. */
static anymps_status check_coverage(anymps_file *file, size_t data_begin, size_t data_bytes)
{
    for (size_t i = 0; i < file->count; i++) {
        file->sorted[i] = &file->tensors[i];
    }
    qsort(file->sorted, file->count, sizeof *file->sorted, by_range);
    size_t at = 0;
    for (size_t i = 0; i < file->count; i++) {
        const anymps_file_tensor *const tensor = file->sorted[i];
        ANYMPS_FAIL_IF(tensor->offset_bytes != at, ANYMPS_BAD_FORMAT,
                       "file_open: tensor '%.80s' begins at byte %zu of the data, %s byte %zu", tensor->name,
                       tensor->offset_bytes,
                       tensor->offset_bytes < at ? "overlapping what ends at" : "leaving a gap from", at);
        at += tensor->length_bytes;
    }
    ANYMPS_FAIL_IF(at != data_bytes, ANYMPS_BAD_FORMAT,
                   "file_open: the tensors end at byte %zu of the data, the file at %zu", at, data_bytes);
    for (size_t i = 0; i < file->count; i++) {
        file->tensors[i].offset_bytes += data_begin;
    }
    return ANYMPS_OK;
}

/* ---- The header -------------------------------------------------------------------------------- */

/* cJSON ends a string at an escaped zero, so that two names could look like one: such escapes are
   refused before it sees them. Raw zeros are no JSON. */
static bool has_zero(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\0') {
            return true;
        }
        if (text[i] == '\\' && i + 1 < length) {
            if (length - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0) {
                return true;
            }
            i++;
        }
    }
    return false;
}

static anymps_status parse(const char *text, size_t length, cJSON **root)
{
    static const char refusal[] = "file_open: the .safetensors header is no JSON object";
    ANYMPS_FAIL_IF(length == 0 || text[0] != '{' || has_zero(text, length), ANYMPS_BAD_FORMAT, refusal);
    const char *end = NULL;
    errno = 0;
    *root = cJSON_ParseWithLengthOpts(text, length, &end, 0);
    /* cJSON answers NULL in both cases; only the allocator tells them apart. */
    ANYMPS_FAIL_IF(*root == NULL && errno == ENOMEM, ANYMPS_OUT_OF_MEMORY,
                   "file_open: no memory for a .safetensors header of %zu bytes", length);
    ANYMPS_FAIL_IF(*root == NULL, ANYMPS_BAD_FORMAT, refusal);
    while (end < text + length && strchr(" \t\r\n", *end) != NULL) {
        end++;
    }
    if (end == text + length && cJSON_IsObject(*root)) {
        return ANYMPS_OK;
    }
    cJSON_Delete(*root);
    return amps_fail(ANYMPS_BAD_FORMAT, refusal);
}

static uint64_t read_u64(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) {
        value = value << 8 | bytes[i];
    }
    return value;
}

anymps_status amps_safetensors_read(anymps_file *file)
{
    ANYMPS_FAIL_IF(file->length_bytes <= LENGTH_BYTES || file->bytes[LENGTH_BYTES] != '{', ANYMPS_BAD_FORMAT,
                   "file_open: %zu bytes that are neither .npy nor .safetensors", file->length_bytes);
    const uint64_t length = read_u64(file->bytes);
    ANYMPS_FAIL_IF(length > AMPS_FILE_MAX_HEADER, ANYMPS_BAD_FORMAT,
                   "file_open: .safetensors header of %llu bytes, at most %d", (unsigned long long)length,
                   (int)AMPS_FILE_MAX_HEADER);
    ANYMPS_FAIL_IF(!amps_in_range(LENGTH_BYTES, (size_t)length, file->length_bytes), ANYMPS_BAD_FORMAT,
                   "file_open: .safetensors header of %zu bytes does not fit a file of %zu", (size_t)length,
                   file->length_bytes);
    cJSON *root = NULL;
    ANYMPS_TRY(parse((const char *)file->bytes + LENGTH_BYTES, (size_t)length, &root));
    const size_t data_begin = LENGTH_BYTES + (size_t)length;
    const size_t data_bytes = file->length_bytes - data_begin;
    const anymps_status status = read_tensors(root, data_bytes, file);
    cJSON_Delete(root);
    ANYMPS_TRY(status);
    return check_coverage(file, data_begin, data_bytes);
}
