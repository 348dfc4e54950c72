/* SPDX-License-Identifier: Apache-2.0 */
/*
 * npy.c: reads the header of NumPy's .npy, versions 1.0 to 3.0.
 *
 *     "\x93NUMPY" | major | minor | header length (2 bytes, from 2.0 on 4) | header | elements
 *
 * The header is a Python dict literal with exactly the keys descr, fortran_order and shape. The parser
 * knows just the literals that NumPy writes there, never reads past the header and allocates nothing.
 * Called by file.c. Source: numpy.lib.format.
 */
#include "io/file.h"

#include "base/checked.h"
#include "base/status.h"

#include <string.h>

static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* ---- Scanner ----------------------------------------------------------------------------------- */

/* What is left of the header. */
typedef struct scanner {
    const char *at;
    const char *end;
} scanner;

static void skip_space(scanner *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r')) {
        s->at++;
    }
}

/* Takes `c` after blanks, if it is next. */
static bool take(scanner *s, char c)
{
    skip_space(s);
    if (s->at < s->end && *s->at == c) {
        s->at++;
        return true;
    }
    return false;
}

static bool take_word(scanner *s, const char *word)
{
    skip_space(s);
    const size_t length = strlen(word);
    if ((size_t)(s->end - s->at) < length || memcmp(s->at, word, length) != 0) {
        return false;
    }
    s->at += length;
    return true;
}

/* A quoted string of at most size - 1 bytes; escapes, which NumPy never writes, are refused. */
static bool take_string(scanner *s, char *out, size_t size)
{
    skip_space(s);
    if (s->at == s->end || (*s->at != '\'' && *s->at != '"')) {
        return false;
    }
    const char quote = *s->at++;
    size_t length = 0;
    while (s->at < s->end && *s->at != quote) {
        if (*s->at == '\\' || *s->at == '\0' || length + 1 >= size) {
            return false;
        }
        out[length++] = *s->at++;
    }
    out[length] = '\0';
    return take(s, quote);
}

/* Decimal digits; the L that Python 2 put behind long integers is allowed. */
static bool take_size(scanner *s, size_t *out)
{
    skip_space(s);
    size_t value = 0;
    const char *const first = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') {
        if (!amps_mul(value, 10, &value) || !amps_add(value, (size_t)(*s->at - '0'), &value)) {
            return false;
        }
        s->at++;
    }
    if (s->at == first) {
        return false;
    }
    if (s->at < s->end && *s->at == 'L') {
        s->at++;
    }
    *out = value;
    return true;
}

/* ---- The three values -------------------------------------------------------------------------- */

static anymps_dtype plain_dtype(char kind, const char *size)
{
    static const struct {
        char kind;
        char size[3];
        anymps_dtype dtype;
    } types[] = {
        {'f', "2", ANYMPS_DTYPE_F16}, {'f', "4", ANYMPS_DTYPE_F32}, {'f', "8", ANYMPS_DTYPE_F64},
        {'i', "1", ANYMPS_DTYPE_I8},  {'i', "2", ANYMPS_DTYPE_I16}, {'i', "4", ANYMPS_DTYPE_I32},
        {'i', "8", ANYMPS_DTYPE_I64}, {'u', "1", ANYMPS_DTYPE_U8},  {'u', "2", ANYMPS_DTYPE_U16},
        {'u', "4", ANYMPS_DTYPE_U32}, {'u', "8", ANYMPS_DTYPE_U64}, {'b', "1", ANYMPS_DTYPE_BOOL},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].kind == kind && strcmp(types[i].size, size) == 0) {
            return types[i].dtype;
        }
    }
    return ANYMPS_DTYPE_INVALID;
}

/* "<f4": byte order, kind, bytes. A list instead of a string describes a structured type. */
static anymps_status read_descr(scanner *s, anymps_file_tensor *tensor)
{
    skip_space(s);
    ANYMPS_FAIL_IF(s->at < s->end && (*s->at == '[' || *s->at == '('), ANYMPS_UNSUPPORTED,
                   "file_open: the .npy file holds a structured type: save one of its fields by itself");
    char text[32];
    ANYMPS_FAIL_IF(!take_string(s, text, sizeof text), ANYMPS_BAD_FORMAT, "file_open: .npy header: descr is no string");
    const bool prefixed = text[0] != '\0' && strchr("<>=|", text[0]) != NULL;
    const char *const type = prefixed ? text + 1 : text;
    const char kind = type[0];
    const bool number = kind != '\0' && strchr("fiubc", kind) != NULL;
    const bool plain = number && type[1] != '\0' && strspn(type + 1, "0123456789") == strlen(type + 1);
    ANYMPS_FAIL_IF(number ? !plain : kind == '\0' || strchr("OSaUVMmt", kind) == NULL, ANYMPS_BAD_FORMAT,
                   "file_open: .npy header: '%s' is no NumPy type", text);
    tensor->dtype = plain_dtype(kind, type + 1);
    ANYMPS_FAIL_IF(tensor->dtype == ANYMPS_DTYPE_INVALID, ANYMPS_UNSUPPORTED,
                   "file_open: the NumPy type '%s' is not supported: convert with astype('float32')", text);
    tensor->swapped = text[0] == '>' && anymps_dtype_bytes(tensor->dtype) > 1;
    return ANYMPS_OK;
}

static anymps_status read_order(scanner *s, anymps_file_tensor *tensor)
{
    if (take_word(s, "True")) {
        tensor->column_major = true;
        return ANYMPS_OK;
    }
    ANYMPS_FAIL_IF(!take_word(s, "False"), ANYMPS_BAD_FORMAT,
                   "file_open: .npy header: fortran_order is neither True nor False");
    tensor->column_major = false;
    return ANYMPS_OK;
}

/* "()", "(3,)", "(3, 4)": one size needs its comma, as in Python. */
static anymps_status read_shape(scanner *s, anymps_file_tensor *tensor)
{
    bool comma = true;
    ANYMPS_FAIL_IF(!take(s, '('), ANYMPS_BAD_FORMAT, "file_open: .npy header: shape is no tuple");
    while (!take(s, ')')) {
        size_t size;
        ANYMPS_FAIL_IF(!comma || !take_size(s, &size), ANYMPS_BAD_FORMAT,
                       "file_open: .npy header: size %zu of the shape is no number or too large", tensor->rank);
        ANYMPS_FAIL_IF(tensor->rank == ANYMPS_FILE_MAX_RANK, ANYMPS_UNSUPPORTED,
                       "file_open: the tensor has more than %d dimensions: reshape it", (int)ANYMPS_FILE_MAX_RANK);
        tensor->shape[tensor->rank++] = size;
        comma = take(s, ',');
    }
    ANYMPS_FAIL_IF(tensor->rank == 1 && !comma, ANYMPS_BAD_FORMAT, "file_open: .npy header: shape is no tuple");
    return ANYMPS_OK;
}

/* ---- The dict ---------------------------------------------------------------------------------- */

static anymps_status read_entry(scanner *s, const char *key, unsigned *seen, anymps_file_tensor *tensor)
{
    static const struct {
        const char *key;
        anymps_status (*read)(scanner *s, anymps_file_tensor *tensor);
    } entries[] = {{"descr", read_descr}, {"fortran_order", read_order}, {"shape", read_shape}};
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(entries[i].key, key) == 0) {
            ANYMPS_FAIL_IF((*seen & 1u << i) != 0, ANYMPS_BAD_FORMAT, "file_open: .npy header: %s is given twice", key);
            *seen |= 1u << i;
            return entries[i].read(s, tensor);
        }
    }
    return amps_fail(ANYMPS_BAD_FORMAT, "file_open: .npy header: unexpected key '%s'", key);
}

static anymps_status read_dict(scanner *s, anymps_file_tensor *tensor)
{
    unsigned seen = 0;
    bool comma = true;
    ANYMPS_FAIL_IF(!take(s, '{'), ANYMPS_BAD_FORMAT, "file_open: .npy header: does not begin with '{'");
    while (!take(s, '}')) {
        char key[16];
        ANYMPS_FAIL_IF(!comma || !take_string(s, key, sizeof key) || !take(s, ':'), ANYMPS_BAD_FORMAT,
                       "file_open: .npy header: a key and a colon are missing");
        ANYMPS_TRY(read_entry(s, key, &seen, tensor));
        comma = take(s, ',');
    }
    skip_space(s);
    ANYMPS_FAIL_IF(s->at != s->end, ANYMPS_BAD_FORMAT, "file_open: .npy header: text after the closing brace");
    ANYMPS_FAIL_IF(seen != 7, ANYMPS_BAD_FORMAT,
                   "file_open: .npy header: descr, fortran_order and shape must all be given");
    return ANYMPS_OK;
}

/* Where the header begins and how long it is. */
static anymps_status find_header(const anymps_file *file, size_t *begin, size_t *length)
{
    const unsigned char *const b = file->bytes;
    ANYMPS_FAIL_IF(file->length_bytes < 10, ANYMPS_BAD_FORMAT, "file_open: .npy file of %zu bytes is truncated",
                   file->length_bytes);
    ANYMPS_FAIL_IF(b[6] < 1 || b[6] > 3 || b[7] != 0, ANYMPS_BAD_FORMAT, "file_open: .npy version %u.%u is unknown",
                   (unsigned)b[6], (unsigned)b[7]);
    *begin = b[6] == 1 ? 10 : 12;
    ANYMPS_FAIL_IF(file->length_bytes < *begin, ANYMPS_BAD_FORMAT, "file_open: .npy file of %zu bytes is truncated",
                   file->length_bytes);
    *length = (size_t)b[8] | (size_t)b[9] << 8;
    if (b[6] > 1) {
        *length |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
    }
    ANYMPS_FAIL_IF(*length > AMPS_FILE_MAX_HEADER, ANYMPS_BAD_FORMAT, "file_open: .npy header of %zu bytes, at most %d",
                   *length, (int)AMPS_FILE_MAX_HEADER);
    ANYMPS_FAIL_IF(!amps_in_range(*begin, *length, file->length_bytes), ANYMPS_BAD_FORMAT,
                   "file_open: .npy header of %zu bytes does not fit a file of %zu", *length, file->length_bytes);
    return ANYMPS_OK;
}

bool amps_npy_is(const unsigned char *bytes, size_t length)
{
    return length >= sizeof magic && memcmp(bytes, magic, sizeof magic) == 0;
}

anymps_status amps_npy_read(anymps_file *file)
{
    size_t begin = 0, length = 0;
    ANYMPS_TRY(find_header(file, &begin, &length));
    ANYMPS_TRY(amps_file_reserve(file, 1, 1));
    anymps_file_tensor *const tensor = &file->tensors[0];
    const char *const text = (const char *)file->bytes + begin;
    scanner s = {text, text + length};
    ANYMPS_TRY(read_dict(&s, tensor));

    tensor->offset_bytes = begin + length;
    ANYMPS_FAIL_IF(!amps_file_tensor_bytes(tensor, &tensor->length_bytes), ANYMPS_BAD_FORMAT,
                   "file_open: .npy header: the shape's size overflows");
    const size_t left = file->length_bytes - tensor->offset_bytes;
    ANYMPS_FAIL_IF(tensor->length_bytes != left, ANYMPS_BAD_FORMAT,
                   "file_open: .npy shape needs %zu bytes, the file has %zu", tensor->length_bytes, left);
    /* With fewer than two dimensions both orders are the same. */
    tensor->column_major = tensor->column_major && tensor->rank >= 2;
    return ANYMPS_OK;
}
