/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_npy.c: any bytes behind the magic of .npy: refused, or read to the last element within their bounds.
 *
 * The magic is put in front so that no effort is lost on finding it. Seeds: files of tests/golden.
 */
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *const bytes = malloc(size + 6);
    if (bytes != NULL) {
        memcpy(bytes, data, size);
        memcpy(bytes, "\x93NUMPY", size < 6 ? size : 6);
        fuzz_file(bytes, size);
        free(bytes);
    }
    return 0;
}
