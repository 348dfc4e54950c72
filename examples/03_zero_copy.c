/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 03_zero_copy.c: the caller's own memory as matrices. Two blocks of one array, told apart by offset and row
 * stride, are multiplied into a third block of it; nothing is copied where the device can reach the memory.
 */
#include <anymps/auto.h>
#include <stdio.h>

enum { ROWS = 4, COLUMNS = 6, ROW_BYTES = COLUMNS * sizeof(float) };

static int fail(void)
{
    fprintf(stderr, "%s\n", anymps_last_error()->message);
    return 1;
}

/* Called exactly once, after the last use of the memory. */
static void last_use(void *context, void *bytes)
{
    (void)bytes;
    *(int *)context += 1;
}

/* A 2 x 2 block of the array whose corner is at (row, column). */
static anymps_status block(anymps_buffer *buffer, size_t row, size_t column, anymps_matrix **matrix)
{
    anymps_matrix_desc desc = anymps_matrix_desc_make(2, 2, ANYMPS_DTYPE_F32);
    desc.row_bytes = ROW_BYTES;
    return anymps_matrix_create(buffer, row * ROW_BYTES + column * sizeof(float), &desc, matrix);
}

static int multiply_blocks(float *array, int *released)
{
    anymps_wrap_desc wrap = ANYMPS_WRAP_DESC_INIT;
    anymps_device_desc cpu = ANYMPS_DEVICE_DESC_INIT;
    wrap.bytes = array;
    wrap.length_bytes = ROWS * ROW_BYTES;
    wrap.release = last_use;
    wrap.context = released;
    cpu.id = "cpu"; /* a GPU may need whole pages: anymps_buffer_copy_reason then says that it copied */

    ANYMPS_AUTO(anymps_device) device = NULL;
    ANYMPS_AUTO(anymps_buffer) buffer = NULL;
    ANYMPS_AUTO(anymps_matrix) left = NULL;
    ANYMPS_AUTO(anymps_matrix) right = NULL;
    ANYMPS_AUTO(anymps_matrix) result = NULL;
    if (anymps_device_open(&cpu, &device) || anymps_buffer_wrap(device, &wrap, &buffer) || block(buffer, 0, 0, &left) ||
        block(buffer, 0, 4, &right) || block(buffer, 2, 2, &result) || anymps_matmul(NULL, left, right, result)) {
        return fail();
    }
    printf("copied: %s\n", anymps_buffer_copy_reason(buffer) == NULL ? "no" : anymps_buffer_copy_reason(buffer));
    printf("same address: %s\n", anymps_buffer_contents(buffer) == (void *)array ? "yes" : "no");
    printf("released while in use: %d\n", *released);
    return 0;
}

int main(void)
{
    float array[ROWS][COLUMNS] = {{1, 2, 0, 0, 5, 6}, {3, 4, 0, 0, 7, 8}};
    int released = 0;
    if (multiply_blocks(&array[0][0], &released) != 0) {
        return 1;
    }
    printf("released at the end: %d\n", released);
    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < COLUMNS; j++) {
            printf("%3g%s", (double)array[i][j], j + 1 < COLUMNS ? " " : "\n");
        }
    }
    return 0;
}
