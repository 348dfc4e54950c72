/* SPDX-License-Identifier: Apache-2.0 */
/* 01_matmul.c: a whole matmul, the program that opens anymps/anymps.h. Next: 02_command_buffer.c. */
#include <anymps/anymps.h>
#include <stdio.h>

int main(void)
{
    const float a[2 * 3] = {1, 2, 3, 4, 5, 6}, b[3 * 2] = {1, 2, 3, 4, 5, 6};
    anymps_device *device = NULL;
    anymps_matrix *left = NULL, *right = NULL, *result = NULL;
    const anymps_matrix_desc wide = anymps_matrix_desc_make(2, 3, ANYMPS_DTYPE_F32);
    const anymps_matrix_desc tall = anymps_matrix_desc_make(3, 2, ANYMPS_DTYPE_F32);
    const anymps_matrix_desc square = anymps_matrix_desc_make(2, 2, ANYMPS_DTYPE_F32);
    float c[4] = {0};
    if (anymps_device_open(NULL, &device) || anymps_matrix_create_on(device, &wide, &left) ||
        anymps_matrix_create_on(device, &tall, &right) || anymps_matrix_create_on(device, &square, &result) ||
        anymps_buffer_write(anymps_matrix_buffer(left), 0, a, sizeof a) ||
        anymps_buffer_write(anymps_matrix_buffer(right), 0, b, sizeof b) || anymps_matmul(NULL, left, right, result) ||
        anymps_buffer_read(anymps_matrix_buffer(result), 0, c, sizeof c)) {
        fprintf(stderr, "%s\n", anymps_last_error()->message);
        return 1;
    }
    printf("%g %g\n%g %g\n", (double)c[0], (double)c[1], (double)c[2], (double)c[3]); /* 22 28, 49 64 */
    anymps_matrix_release(left), anymps_matrix_release(right), anymps_matrix_release(result);
    anymps_device_release(device);
    return 0;
}
