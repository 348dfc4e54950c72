/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 04_lora.c: a low-rank adapter in one call, Y = X W + s (X A) B, beside the three products that it stands
 * for. Operands are f16; the kernel keeps X A in f32, so that only the end is rounded.
 */
#include <anymps/auto.h>
#include <stdio.h>

enum { ROWS = 4, WIDTH = 16, RANK = 2 };

static int fail(void)
{
    fprintf(stderr, "%s\n", anymps_last_error()->message);
    return 1;
}

/* An f16 matrix of small whole numbers, which f16 holds exactly: 0 is 0x0000, 1 is 0x3c00, -1 is 0xbc00. */
static anymps_status make(anymps_device *device, size_t rows, size_t columns, unsigned step, anymps_matrix **matrix)
{
    static const uint16_t values[3] = {0x0000, 0x3c00, 0xbc00};
    const anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, ANYMPS_DTYPE_F16);
    uint16_t bits[WIDTH * WIDTH];
    for (size_t i = 0; i < rows * columns; i++) {
        bits[i] = values[i * step % 3];
    }
    const anymps_status status = anymps_matrix_create_on(device, &desc, matrix);
    return status ? status : anymps_buffer_write(anymps_matrix_buffer(*matrix), 0, bits, rows * columns * sizeof *bits);
}

int main(void)
{
    anymps_lora_desc desc = ANYMPS_LORA_DESC_INIT;
    anymps_matmul_desc scaled = ANYMPS_MATMUL_DESC_INIT;
    uint16_t one[ROWS * WIDTH], three[ROWS * WIDTH];
    int different = 0;
    desc.scale = 0.5;
    scaled.alpha = 0.5;
    scaled.beta = 1;

    ANYMPS_AUTO(anymps_device) device = NULL;
    ANYMPS_AUTO(anymps_matrix) source = NULL;
    ANYMPS_AUTO(anymps_matrix) weights = NULL;
    ANYMPS_AUTO(anymps_matrix) down = NULL;
    ANYMPS_AUTO(anymps_matrix) up = NULL;
    ANYMPS_AUTO(anymps_matrix) between = NULL;
    ANYMPS_AUTO(anymps_matrix) result = NULL;
    if (anymps_device_open(NULL, &device) || make(device, ROWS, WIDTH, 1, &source) ||
        make(device, WIDTH, WIDTH, 2, &weights) || make(device, WIDTH, RANK, 4, &down) ||
        make(device, RANK, WIDTH, 5, &up) || make(device, ROWS, RANK, 0, &between) ||
        make(device, ROWS, WIDTH, 0, &result)) {
        return fail();
    }
    if (anymps_lora(&desc, source, weights, down, up, result) ||
        anymps_buffer_read(anymps_matrix_buffer(result), 0, one, sizeof one) ||
        anymps_matmul(NULL, source, weights, result) || anymps_matmul(NULL, source, down, between) ||
        anymps_matmul(&scaled, between, up, result) ||
        anymps_buffer_read(anymps_matrix_buffer(result), 0, three, sizeof three)) {
        return fail();
    }
    for (size_t i = 0; i < ROWS * WIDTH; i++) {
        different += one[i] != three[i];
    }
    printf("%d of %d elements differ between one call and three\n", different, ROWS * WIDTH);
    return 0;
}
