/* SPDX-License-Identifier: Apache-2.0 */
/*
 * npytool.c: makes and prints small .npy files for the tests of the tool, without the library.
 *
 *     npytool make f4 2x3 FILE 1 2 3 4 5 6     (f2 f4 f8 i1 i2 i4 u1; values in row order)
 *     npytool fortran f4 2x3 FILE 1 2 3 4 5 6  (the same matrix, stored in column order)
 *     npytool print FILE                       f4 2x3 C: 1 2 3 4 5 6   (values as stored)
 *     npytool safetensors FILE NAME ROWSxCOLUMNS VALUE ...   one F32 tensor
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int die(const char *why)
{
    fprintf(stderr, "npytool: %s\n", why);
    exit(3);
}

/* Half precision for values that it holds exactly, normal or zero; anything else is refused. */
static uint16_t half_of(double value)
{
    int exponent;
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    if (value == 0) {
        return sign;
    }
    double fraction = frexp(fabs(value), &exponent) * 2048; /* 1024 .. 2047 */
    if (fraction != floor(fraction) || exponent < -13 || exponent > 16) {
        die("a value that f2 does not hold exactly");
    }
    return (uint16_t)(sign | (unsigned)(exponent + 14) << 10 | ((unsigned)fraction & 1023u));
}

static double value_of_half(uint16_t bits)
{
    int exponent = bits >> 10 & 31;
    double fraction = bits & 1023;
    double value = exponent == 31  ? (fraction != 0 ? (double)NAN : (double)INFINITY)
                   : exponent == 0 ? ldexp(fraction, -24)
                                   : ldexp(1024 + fraction, exponent - 25);
    return bits >> 15 != 0 ? -value : value;
}

static size_t put_value(const char *type, double value, unsigned char *to)
{
    float single = (float)value;
    uint16_t half;
    int64_t whole = (int64_t)value;
    size_t size = (size_t)(type[1] - '0');
    if (strcmp(type, "f8") == 0) {
        memcpy(to, &value, 8);
    } else if (strcmp(type, "f4") == 0) {
        memcpy(to, &single, 4);
    } else if (strcmp(type, "f2") == 0) {
        half = half_of(value);
        memcpy(to, &half, 2);
    } else {
        memcpy(to, &whole, size); /* little-endian hosts */
    }
    return size;
}

static double get_value(const char *type, const unsigned char *from)
{
    double value;
    float single;
    uint16_t half;
    int32_t i4;
    if (strcmp(type, "f8") == 0) {
        memcpy(&value, from, 8);
        return value;
    }
    if (strcmp(type, "f4") == 0) {
        memcpy(&single, from, 4);
        return (double)single;
    }
    if (strcmp(type, "f2") == 0) {
        memcpy(&half, from, 2);
        return value_of_half(half);
    }
    if (strcmp(type, "i4") == 0) {
        memcpy(&i4, from, 4);
        return i4;
    }
    return die("a type that print does not know");
}

static size_t read_shape(const char *text, size_t shape[4])
{
    size_t rank = 0;
    for (char *end = NULL; rank < 4; text = end + 1) {
        shape[rank++] = (size_t)strtoul(text, &end, 10);
        if (*end != 'x') {
            break;
        }
    }
    return rank;
}

static void write_header(FILE *f, const char *type, int fortran, const size_t *shape, size_t rank)
{
    char header[256];
    int length = snprintf(header, sizeof header, "{'descr': '%s%s', 'fortran_order': %s, 'shape': (",
                          type[1] == '1' ? "|" : "<", type, fortran ? "True" : "False");
    for (size_t i = 0; i < rank; i++) {
        length += snprintf(header + length, sizeof header - (size_t)length, "%zu,", shape[i]);
    }
    length += snprintf(header + length, sizeof header - (size_t)length, "), }");
    while ((10 + length + 1) % 64 != 0) {
        header[length++] = ' ';
    }
    header[length++] = '\n';
    fwrite("\x93NUMPY\x01\x00", 1, 8, f);
    fputc(length & 255, f);
    fputc(length >> 8, f);
    fwrite(header, 1, (size_t)length, f);
}

static int make(int fortran, char **argv, int argc)
{
    size_t shape[4] = {1, 1, 1, 1};
    size_t rank = read_shape(argv[1], shape);
    FILE *f = fopen(argv[2], "wb");
    if (f == NULL) {
        die("cannot write");
    }
    write_header(f, argv[0], fortran, shape, rank);
    for (int i = 3; i < argc; i++) {
        size_t at = (size_t)(i - 3);
        size_t from = fortran ? at % shape[0] * shape[1] + at / shape[0] : at;
        unsigned char bytes[8];
        size_t size = put_value(argv[0], strtod(argv[3 + from], NULL), bytes);
        fwrite(bytes, 1, size, f);
    }
    return fclose(f);
}

/* One tensor; the name goes into the header as it is. */
static int make_safetensors(char **argv, int argc)
{
    char header[512];
    size_t shape[4] = {1, 1, 1, 1};
    FILE *f = fopen(argv[0], "wb");
    if (f == NULL || read_shape(argv[2], shape) != 2) {
        die("cannot write");
    }
    int length =
        snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"F32\",\"shape\":[%zu,%zu],\"data_offsets\":[0,%zu]}}",
                 argv[1], shape[0], shape[1], 4 * shape[0] * shape[1]);
    while (length % 8 != 0) {
        header[length++] = ' ';
    }
    uint64_t prefix = (uint64_t)length;
    fwrite(&prefix, 1, 8, f);
    fwrite(header, 1, (size_t)length, f);
    for (int i = 3; i < argc; i++) {
        float value = strtof(argv[i], NULL);
        fwrite(&value, 4, 1, f);
    }
    return fclose(f);
}

static void print_shape(const char *header)
{
    const char *at = strchr(strstr(header, "'shape'"), '(') + 1;
    for (const char *separator = ""; *at >= '0' && *at <= '9'; separator = "x") {
        char *end = NULL;
        printf("%s%lu", separator, strtoul(at, &end, 10));
        at = end + strspn(end, ", ");
    }
}

static int print(const char *path)
{
    unsigned char start[10], bytes[8];
    char header[1024] = "", type[3] = "";
    FILE *f = fopen(path, "rb");
    if (f == NULL || fread(start, 1, 10, f) != 10) {
        die("cannot read");
    }
    size_t length = start[8] + 256u * start[9];
    if (length >= sizeof header || fread(header, 1, length, f) != length) {
        die("no header");
    }
    memcpy(type, strstr(header, "'descr': '") + 11, 2);
    printf("%s ", type);
    print_shape(header);
    printf(" %s:", strstr(header, "'fortran_order': True") != NULL ? "F" : "C");
    while (fread(bytes, 1, (size_t)(type[1] - '0'), f) == (size_t)(type[1] - '0')) {
        printf(" %.6g", get_value(type, bytes));
    }
    printf("\n");
    return fclose(f);
}

int main(int argc, char **argv)
{
    if (argc >= 5 && strcmp(argv[1], "make") == 0) {
        return make(0, argv + 2, argc - 2);
    }
    if (argc >= 5 && strcmp(argv[1], "fortran") == 0) {
        return make(1, argv + 2, argc - 2);
    }
    if (argc >= 5 && strcmp(argv[1], "safetensors") == 0) {
        return make_safetensors(argv + 2, argc - 2);
    }
    if (argc == 3 && strcmp(argv[1], "print") == 0) {
        return print(argv[2]);
    }
    return die("make, fortran, safetensors or print");
}
