/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_safetensors.c: any header and data of .safetensors: refused, or read to the last element within bounds.
 *
 * Every input is tried as it is and with a header length that reaches to its last '}', since random changes seldom
 * keep the two in step. Seeds: files of tests/golden.
 */
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *const bytes = malloc(size + 1);
    if (bytes == NULL) {
        return 0;
    }
    memcpy(bytes, data, size);
    fuzz_file(bytes, size);
    size_t end = size;
    while (end > 8 && bytes[end - 1] != '}') {
        end--;
    }
    for (size_t i = 0; i < 8 && end > 8; i++) {
        bytes[i] = (unsigned char)((uint64_t)(end - 8) >> (8 * i) & 0xff);
    }
    fuzz_file(bytes, size);
    free(bytes);
    return 0;
}
