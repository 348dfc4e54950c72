/* SPDX-License-Identifier: Apache-2.0 */
/* main.c: a program that knows only the installed headers and library: one product, checked. */
#include <anymps/anymps.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    const float left[4] = {1, 2, 3, 4}, right[4] = {5, 6, 7, 8}, wanted[4] = {19, 22, 43, 50};
    const anymps_matrix_desc square = anymps_matrix_desc_make(2, 2, ANYMPS_DTYPE_F32);
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    anymps_device *device = NULL;
    anymps_matrix *a = NULL, *b = NULL, *c = NULL;
    float got[4] = {0};
    desc.id = "cpu";
    if (anymps_device_open(&desc, &device) || anymps_matrix_create_on(device, &square, &a) ||
        anymps_matrix_create_on(device, &square, &b) || anymps_matrix_create_on(device, &square, &c) ||
        anymps_buffer_write(anymps_matrix_buffer(a), 0, left, sizeof left) ||
        anymps_buffer_write(anymps_matrix_buffer(b), 0, right, sizeof right) || anymps_matmul(NULL, a, b, c) ||
        anymps_buffer_read(anymps_matrix_buffer(c), 0, got, sizeof got)) {
        fprintf(stderr, "%s\n", anymps_last_error()->message);
        return 1;
    }
    anymps_matrix_release(a);
    anymps_matrix_release(b);
    anymps_matrix_release(c);
    anymps_device_release(device);
    printf("anymps %s: %g %g %g %g\n", anymps_version(), (double)got[0], (double)got[1], (double)got[2],
           (double)got[3]);
    return memcmp(got, wanted, sizeof got) == 0 && strcmp(anymps_version(), ANYMPS_VERSION_STRING) == 0 ? 0 : 1;
}
