/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 06_dlpack.c: a tensor of another library (NumPy, PyTorch, …) through DLPack, multiplied where it lies. The
 * transposed one is recognised by its strides; one that cannot be a matrix is refused with the reason.
 */
#include <anymps/auto.h>
#include <stdio.h>

/* The structs as DLPack publishes them; with its header at hand, #include <dlpack/dlpack.h> instead. */
typedef struct DLDevice {
    int32_t device_type; /* 1: CPU */
    int32_t device_id;
} DLDevice;
typedef struct DLDataType {
    uint8_t code; /* 2: floating point */
    uint8_t bits;
    uint16_t lanes;
} DLDataType;
typedef struct DLTensor {
    void *data;
    DLDevice device;
    int32_t ndim;
    DLDataType dtype;
    int64_t *shape;
    int64_t *strides; /* in elements */
    uint64_t byte_offset;
} DLTensor;

static int fail(void)
{
    fprintf(stderr, "%s\n", anymps_last_error()->message);
    return 1;
}

static DLTensor tensor_of(float *data, int64_t *shape, int64_t *strides)
{
    return (DLTensor){
        .data = data, .device = {1, 0}, .ndim = 2, .dtype = {2, 32, 1}, .shape = shape, .strides = strides};
}

int main(void)
{
    float a[2 * 3] = {1, 2, 3, 4, 5, 6}, b[2 * 3] = {1, 3, 5, 2, 4, 6}, c[4] = {0}, wide[16] = {0};
    int64_t wide_shape[2] = {2, 2}, every_other[2] = {8, 2};
    /* b holds the columns of a 3 x 2 tensor one after the other: strides 1 and 3. */
    DLTensor left = tensor_of(a, (int64_t[]){2, 3}, (int64_t[]){3, 1});
    DLTensor right = tensor_of(b, (int64_t[]){3, 2}, (int64_t[]){1, 3});
    DLTensor result = tensor_of(c, (int64_t[]){2, 2}, (int64_t[]){2, 1});
    DLTensor sparse = tensor_of(wide, wide_shape, every_other);
    anymps_device_desc cpu = ANYMPS_DEVICE_DESC_INIT;
    anymps_dlpack_info info = ANYMPS_DLPACK_INFO_INIT;
    ANYMPS_AUTO(anymps_device) device = NULL;
    cpu.id = "cpu"; /* these tensors are in host memory */
    if (anymps_device_open(&cpu, &device) || anymps_dlpack_validate(device, &right, &info)) {
        return fail();
    }
    printf("right is a %zu x %zu matrix%s\n", info.rows, info.columns, info.transposed ? ", transposed" : "");
    if (anymps_matmul_tensors(device, NULL, &left, &right, &result)) {
        return fail();
    }
    printf("%g %g\n%g %g\n", (double)c[0], (double)c[1], (double)c[2], (double)c[3]);
    if (anymps_dlpack_validate(device, &sparse, NULL) == ANYMPS_OK) {
        return 1;
    }
    printf("refused: %s\n", anymps_status_name(anymps_last_error()->status));
    return 0;
}
