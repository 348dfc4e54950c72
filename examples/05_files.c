/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 05_files.c: matrices from and to files. Writes a .npy and a .safetensors file into the folder that its
 * argument names, maps them, multiplies without copying, and writes the result.
 */
#include <anymps/auto.h>
#include <stdio.h>

static int fail(void)
{
    fprintf(stderr, "%s\n", anymps_last_error()->message);
    return 1;
}

static anymps_status make(anymps_device *device, size_t rows, size_t columns, const float *values,
                          anymps_matrix **matrix)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, ANYMPS_DTYPE_F32);
    const anymps_status status = anymps_matrix_create_on(device, &desc, matrix);
    return status ? status
                  : anymps_buffer_write(anymps_matrix_buffer(*matrix), 0, values, rows * columns * sizeof *values);
}

static int write_operands(anymps_device *device, const char *left_path, const char *right_path)
{
    const float a[2 * 3] = {1, 2, 3, 4, 5, 6}, b[3 * 2] = {1, 2, 3, 4, 5, 6};
    ANYMPS_AUTO(anymps_matrix) left = NULL;
    ANYMPS_AUTO(anymps_matrix) right = NULL;
    if (make(device, 2, 3, a, &left) || make(device, 3, 2, b, &right)) {
        return fail();
    }
    const anymps_safetensors_entry entry = {.name = "layer.weight", .matrix = right};
    return anymps_npy_write(left_path, left) || anymps_safetensors_write(right_path, &entry, 1) ? fail() : 0;
}

static int multiply(anymps_device *device, const char *left_path, const char *right_path, const char *result_path)
{
    const anymps_matrix_desc square = anymps_matrix_desc_make(2, 2, ANYMPS_DTYPE_F32);
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    size_t index = 0;
    ANYMPS_AUTO(anymps_file) npy = NULL;
    ANYMPS_AUTO(anymps_file) weights = NULL;
    ANYMPS_AUTO(anymps_matrix) left = NULL;
    ANYMPS_AUTO(anymps_matrix) right = NULL;
    ANYMPS_AUTO(anymps_matrix) result = NULL;
    /* A Fortran-order file comes as its transpose, and the flag says so to the product. */
    if (anymps_file_open(left_path, &npy) || anymps_file_open(right_path, &weights) ||
        anymps_file_find(weights, "layer.weight", &index) ||
        anymps_file_load_matrix(npy, 0, device, NULL, &left, &desc.transpose_left) ||
        anymps_file_load_matrix(weights, index, device, NULL, &right, &desc.transpose_right) ||
        anymps_matrix_create_on(device, &square, &result) || anymps_matmul(&desc, left, right, result) ||
        anymps_npy_write(result_path, result)) {
        return fail();
    }
    const float *c = anymps_matrix_contents(result);
    printf("%g %g\n%g %g\n", (double)c[0], (double)c[1], (double)c[2], (double)c[3]);
    return 0;
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : ".";
    char left[512], right[512], result[512];
    ANYMPS_AUTO(anymps_device) device = NULL;
    snprintf(left, sizeof left, "%s/left.npy", folder);
    snprintf(right, sizeof right, "%s/right.safetensors", folder);
    snprintf(result, sizeof result, "%s/result.npy", folder);
    if (anymps_device_open(NULL, &device)) {
        return fail();
    }
    return write_operands(device, left, right) || multiply(device, left, right, result);
}
