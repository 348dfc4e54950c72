/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 09_numpy.c: two NumPy matrices of f16, the second transposed, with a result in f32:
 * numpy.save("left.npy", …), 09_numpy left.npy right.npy result.npy, numpy.load("result.npy").
 */
#include <anymps/auto.h>
#include <stdio.h>

static int fail(void)
{
    fprintf(stderr, "%s\n", anymps_last_error()->message);
    return 1;
}

int main(int argc, char **argv)
{
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    bool left_turned = false, right_turned = false;
    ANYMPS_AUTO(anymps_device) device = NULL;
    ANYMPS_AUTO(anymps_file) left_file = NULL;
    ANYMPS_AUTO(anymps_file) right_file = NULL;
    ANYMPS_AUTO(anymps_matrix) left = NULL;
    ANYMPS_AUTO(anymps_matrix) right = NULL;
    ANYMPS_AUTO(anymps_matrix) result = NULL;
    if (argc != 4) {
        printf("usage: 09_numpy LEFT.npy RIGHT.npy RESULT.npy   (result = left * transpose of right)\n");
        return 2;
    }
    /* The files are mapped and used where they lie. Fortran order arrives as the transpose. */
    if (anymps_device_open(NULL, &device) || anymps_file_open(argv[1], &left_file) ||
        anymps_file_open(argv[2], &right_file) ||
        anymps_file_load_matrix(left_file, 0, device, NULL, &left, &left_turned) ||
        anymps_file_load_matrix(right_file, 0, device, NULL, &right, &right_turned)) {
        return fail();
    }
    desc.transpose_left = left_turned;
    desc.transpose_right = !right_turned; /* turned twice is not turned */
    const anymps_matrix_desc l = anymps_matrix_get_desc(left), r = anymps_matrix_get_desc(right);
    const anymps_matrix_desc f32 =
        anymps_matrix_desc_make(left_turned ? l.columns : l.rows, right_turned ? r.columns : r.rows, ANYMPS_DTYPE_F32);
    if (anymps_matrix_create_on(device, &f32, &result) || anymps_matmul(&desc, left, right, result) ||
        anymps_npy_write(argv[3], result)) {
        return fail();
    }
    printf("%s %zu x %zu\n", argv[3], f32.rows, f32.columns);
    return 0;
}
