/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anymps/device.h: list, open and query devices.
 *
 * A device is one processor that runs matrix kernels: an Apple GPU through Metal Performance Shaders,
 * an NVIDIA GPU through CUDA, or the CPU, which is always there. An id names a device: the backend,
 * then its index: "metal:0", "cuda:1", "cpu" (also "cpu:0"). Nothing falls back silently to another device.
 *
 * Example:
 *
 *     anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
 *     anymps_device *cpu = NULL;
 *     desc.id = "cpu";                                        // NULL: the best device of this machine
 *     desc.threads = 4;
 *     anymps_status status = anymps_device_open(&desc, &cpu);
 *     anymps_device_release(cpu);
 *     return status;
 */
#ifndef ANYMPS_DEVICE_H
#define ANYMPS_DEVICE_H

#include <anymps/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One opened device; counted. */
typedef struct anymps_device anymps_device;

/* What kind of processor runs the kernels. */
typedef enum anymps_backend {
    ANYMPS_BACKEND_CPU = 1,
    ANYMPS_BACKEND_METAL = 2,
    ANYMPS_BACKEND_CUDA = 3,
    ANYMPS_BACKEND_FORCE32 = 0x7fffffff
} anymps_backend;

/* What a device is. Filled by the library; `struct_size` says how much of it the library knows. */
typedef struct anymps_device_properties {
    size_t struct_size;
    anymps_backend backend;
    char id[32];                          /* "cpu", "cuda:0", "metal:0": what `anymps_device_open` takes */
    char name[128];                       /* the product's name */
    char architecture[64];                /* instruction set ("avx512"), compute capability ("sm_90"), GPU family */
    bool unified_memory;                  /* host and device share memory: shared buffers cost no transfer */
    size_t max_buffer_bytes;              /* largest single buffer */
    size_t recommended_working_set_bytes; /* beyond this the device slows down or refuses */
    size_t threads;                       /* CPU: threads that work on one operation; elsewhere 0 */
} anymps_device_properties;
#define ANYMPS_DEVICE_PROPERTIES_INIT                                                                                  \
    {                                                                                                                  \
        sizeof(anymps_device_properties), (anymps_backend)0, "", "", "", false, 0, 0, 0                                \
    }

/*
 * How many devices this machine has, in order of preference: Metal, CUDA, CPU. At least 1. The first
 * call loads the GPU drivers; a driver that is missing or declines just has no device.
 * Thread-safety: any thread. Since: 0.1.
 */
ANYMPS_API size_t anymps_device_count(void);

/*
 * Describes device `index` without opening it. `properties->struct_size` must be set (INIT macro).
 *
 * INVALID_ARGUMENT: null, or index ≥ anymps_device_count(). Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_device_describe(size_t index, anymps_device_properties *properties);

/* How to open a device. Zero fields mean the default. */
typedef struct anymps_device_desc {
    size_t struct_size;
    const char *id;  /* "cpu", "cuda", "cuda:1", "metal", a product name, or NULL: the variable
                       ANYMPS_DEVICE if set, else the first device. Borrowed during the call. */
    size_t threads;  /* CPU: threads per operation; 0: ANYMPS_NUM_THREADS if set, else all allowed */
    const char *isa; /* CPU: the newest instruction set to use ("baseline"; "avx2", "avx512", "amx"; "neon",
                        "neon-dotprod", "neon-i8mm"); NULL: ANYMPS_ISA if set, else the best that CPU and operating
                        system allow */
} anymps_device_desc;
#define ANYMPS_DEVICE_DESC_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(anymps_device_desc), NULL, 0, NULL                                                                      \
    }

/*
 * Opens a device. `desc` may be NULL for the default device. One reference goes to `*device`.
 *
 * Opening the same GPU twice gives two objects over one context; buffers of one are not accepted by
 * kernels of the other.
 * INVALID_ARGUMENT: null `device`; unknown id (the message lists what is there); unknown isa.
 * UNSUPPORTED: the isa is known but this CPU lacks it; the backend was not built in.
 * OUT_OF_MEMORY, DEVICE_LOST: as they say. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_device_open(const anymps_device_desc *desc, anymps_device **device);

/* Adds a reference and returns `device`. NULL stays NULL. Since: 0.1. */
ANYMPS_API anymps_device *anymps_device_retain(anymps_device *device);

/* Gives a reference back; NULL is allowed. Objects made from the device keep it. Since: 0.1. */
ANYMPS_API void anymps_device_release(anymps_device *device);

/*
 * Describes an opened device. INVALID_ARGUMENT: null, or `struct_size` not set. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_device_get_properties(const anymps_device *device,
                                                                      anymps_device_properties *properties);

/*
 * The platform's own handle: `id<MTLDevice>` on Metal, `CUcontext` on CUDA, NULL on the CPU.
 * Borrowed: lives as long as the device. Typed forms: metal.h, cuda.h. Since: 0.1.
 */
ANYMPS_API void *anymps_device_native(const anymps_device *device);

/*
 * How many operators there are, and their names in a fixed order: "matmul", "matrix_vector",
 * "softmax", … `anymps_operator_name` gives NULL past the last. Since: 0.1.
 */
ANYMPS_API size_t anymps_operator_count(void);
ANYMPS_API const char *anymps_operator_name(size_t index);

/*
 * Does this device run this operator on these types?
 *
 * `dtypes` lists the operand types that a kernel's descriptor fixes, in its order: left, right, result
 * for matmul, matrix_vector (matrix, vector, result); one type for all other operators.
 * OK: yes. UNSUPPORTED: no; the message says why (the operator, the type, the device).
 * INVALID_ARGUMENT: null, an unknown operator (the message lists them), a wrong number of types.
 * Thread-safety: any thread. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_device_supports(const anymps_device *device, const char *operator_name,
                                                                const anymps_dtype *dtypes, size_t dtype_count);

#ifdef __cplusplus
}
#endif

#endif /* ANYMPS_DEVICE_H */
