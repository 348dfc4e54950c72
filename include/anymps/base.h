/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anymps/base.h: version, status codes, error detail, data types, hooks and live counters.
 *
 * The first header of the course `base, device, buffer, matrix, command, kernels`. Every other header
 * includes it. Everything here is usable before a device is opened.
 *
 * A struct that begins with `struct_size` is begun from its INIT macro, which sets the size and the defaults; a later
 * version of the library may append fields and still takes the shorter struct. The macros name no fields, so that C++
 * before C++20 has them too.
 *
 * Thread-safety of the whole library, stated once: every object may be used from any thread at any
 * time. The closed list of exceptions:
 *   1. calls on one command buffer (encode, commit, reset, set_label) need the caller's lock;
 *      `wait`, `state`, `error`, `retain` and `release` do not;
 *   2. `anymps_set_allocator` and `anymps_set_log` are for start-up, before other calls;
 *   3. the bytes of a buffer are yours while no command buffer that uses them is in flight.
 *
 * Example:
 *
 *     anymps_status status = anymps_matmul(NULL, left, right, result);
 *     if (status != ANYMPS_OK)                                // "matmul: left has 5 columns, right has 7 rows"
 *         fprintf(stderr, "%s\n", anymps_last_error()->message);
 *     return status;
 */
#ifndef ANYMPS_BASE_H
#define ANYMPS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version ---------------------------------------------------------------------------------- */

#define ANYMPS_VERSION_MAJOR  0
#define ANYMPS_VERSION_MINOR  1
#define ANYMPS_VERSION_PATCH  0
#define ANYMPS_VERSION_STRING "0.1.0"

/* Marks a public symbol; everything else in the library is hidden. */
#if defined(__GNUC__) || defined(__clang__)
#define ANYMPS_API                               __attribute__((visibility("default")))
#define ANYMPS_MUST_USE                          __attribute__((warn_unused_result))
#define ANYMPS_PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#else
#define ANYMPS_API
#define ANYMPS_MUST_USE
#define ANYMPS_PRINTF(format_index, first_index)
#endif

/*
 * The version of the library that is running, such as "0.1.0". Compare it with
 * ANYMPS_VERSION_STRING, the version that was compiled against. Lives for ever. Since: 0.1.
 */
ANYMPS_API const char *anymps_version(void);

/* ---- Status ----------------------------------------------------------------------------------- */

/*
 * The answer of every call that can fail. "You asked wrongly" (INVALID_ARGUMENT, INVALID_STATE,
 * SHAPE_MISMATCH) and "this device cannot" (UNSUPPORTED) are never the same code. On any status but
 * OK the outputs are untouched: pointers, structs, command buffers, matrices. One exception: after
 * EXECUTION_FAILED or DEVICE_LOST the result matrices of that command buffer are indeterminate.
 */
typedef enum anymps_status {
    ANYMPS_OK = 0,
    ANYMPS_INVALID_ARGUMENT = 1, /* null, wrong kind, zero or overflowing size, alias, bad option */
    ANYMPS_INVALID_STATE = 2,    /* encode after commit, commit while in flight, wait before commit */
    ANYMPS_SHAPE_MISMATCH = 3,   /* operands that do not fit each other or their buffer */
    ANYMPS_UNSUPPORTED = 4,      /* the device, operator or type combination does not exist here */
    ANYMPS_OUT_OF_MEMORY = 5,    /* host or device memory; a smaller request may work */
    ANYMPS_DEVICE_LOST = 6,      /* the device stopped answering; open it anew */
    ANYMPS_EXECUTION_FAILED = 7, /* work was accepted and failed while running */
    ANYMPS_IO = 8,               /* the operating system refused a file operation */
    ANYMPS_BAD_FORMAT = 9,       /* a file or tensor is not what it says it is */
    ANYMPS_INTERNAL = 10,        /* a defect of this library: please report it */
    ANYMPS_STATUS_FORCE32 = 0x7fffffff
} anymps_status;

/* The status as a word, "SHAPE_MISMATCH"; "UNKNOWN" for a number that is no status. Since: 0.1. */
ANYMPS_API const char *anymps_status_name(anymps_status status);

/* ---- Error detail ----------------------------------------------------------------------------- */

/* Bytes of the two texts below, the final zero included. */
enum { ANYMPS_ERROR_OPERATION_SIZE = 32, ANYMPS_ERROR_MESSAGE_SIZE = 256 };

/*
 * What went wrong, in words with numbers: `matmul: left has 5 columns, right has 7 rows`.
 * Fixed size, so that even OUT_OF_MEMORY can be told without an allocation.
 */
typedef struct anymps_error {
    anymps_status status;
    char operation[ANYMPS_ERROR_OPERATION_SIZE]; /* "matmul", "buffer_wrap"; "" if none */
    int64_t backend_code;                        /* the backend's own number (CUresult, NSError code, errno), or 0 */
    char message[ANYMPS_ERROR_MESSAGE_SIZE];     /* one line, UTF-8, never empty after a failure */
} anymps_error;

/*
 * The detail of the last failing call on the calling thread.
 *
 * Never NULL; before any failure its status is ANYMPS_OK and its message empty. A call that succeeds
 * leaves it alone. Valid until the next failing call on this thread. Failures that arrive on another
 * thread are kept in the command buffer: see anymps_command_buffer_error.
 * Thread-safety: any thread; each has its own. Since: 0.1.
 */
ANYMPS_API const anymps_error *anymps_last_error(void);

/* Sets the calling thread's detail back to ANYMPS_OK and "". Since: 0.1. */
ANYMPS_API void anymps_clear_error(void);

/* ---- Data types ------------------------------------------------------------------------------- */

/*
 * Element types, with the numeric values of MPSDataType.
 *
 * The low 16 bits are the element's size in bits; bit 28 says floating point, 29 signed integer,
 * 31 alternate encoding. F64 follows the same pattern but has no MPS counterpart: files and tensors
 * may hold it, no operator accepts it. Which operator accepts which type: kernels.h.
 * Source: MPSCoreTypes.h of macOS 12 (BFloat16: macOS 14).
 */
typedef enum anymps_dtype {
    ANYMPS_DTYPE_INVALID = 0,     /* no type */
    ANYMPS_DTYPE_U8 = 0x00000008, /* unsigned integers */
    ANYMPS_DTYPE_U16 = 0x00000010,
    ANYMPS_DTYPE_U32 = 0x00000020,
    ANYMPS_DTYPE_U64 = 0x00000040,
    ANYMPS_DTYPE_I8 = 0x20000008, /* signed integers */
    ANYMPS_DTYPE_I16 = 0x20000010,
    ANYMPS_DTYPE_I32 = 0x20000020,
    ANYMPS_DTYPE_I64 = 0x20000040,
    ANYMPS_DTYPE_F16 = 0x10000010,   /* IEEE half: 10 bits of fraction, up to 65504 */
    ANYMPS_DTYPE_F32 = 0x10000020,   /* IEEE single */
    ANYMPS_DTYPE_F64 = 0x10000040,   /* IEEE double; no operator takes it */
    ANYMPS_DTYPE_BF16 = -0x6ffffff0, /* 0x90000010 as the 32-bit value that MPS uses */
    ANYMPS_DTYPE_BOOL = -0x7ffffff8, /* 0x80000008 */
    ANYMPS_DTYPE_FORCE32 = 0x7fffffff
} anymps_dtype;

/* Bits of one element; 0 for a value that is no type. Since: 0.1. */
ANYMPS_API size_t anymps_dtype_bits(anymps_dtype dtype);

/* Bytes of one element; 0 for a value that is no type. Since: 0.1. */
ANYMPS_API size_t anymps_dtype_bytes(anymps_dtype dtype);

/* Short name, "f32", "bf16", "i8", "bool"; "invalid" for a value that is no type. Since: 0.1. */
ANYMPS_API const char *anymps_dtype_name(anymps_dtype dtype);

/*
 * Reads a short name back ("f32" gives ANYMPS_DTYPE_F32). `name` and `dtype` must not be NULL.
 * INVALID_ARGUMENT: null, or a name that is no type; the message lists the names. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_dtype_parse(const char *name, anymps_dtype *dtype);

/* ---- Hooks ------------------------------------------------------------------------------------ */

/*
 * Where the library's host memory comes from.
 *
 * `allocate` returns `size` bytes aligned to `alignment` (a power of two, at most 4096) or NULL;
 * `release` takes back a block with the size and alignment it was asked with. Both are called from
 * any thread. Memory of buffers and all objects comes from here; memory that drivers and operating
 * system allocate for themselves does not.
 */
typedef struct anymps_allocator {
    void *(*allocate)(void *context, size_t size, size_t alignment);
    void (*release)(void *context, void *block, size_t size, size_t alignment);
    void *context; /* handed to both; borrowed, must outlive every object */
} anymps_allocator;

/*
 * Replaces the allocator; NULL brings the default (aligned_alloc and free) back. Copies the struct.
 *
 * INVALID_ARGUMENT: a member function is NULL. INVALID_STATE: blocks of the former allocator are
 * still live; the message says how many. Thread-safety: start-up only. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_set_allocator(const anymps_allocator *allocator);

typedef enum anymps_log_level {
    ANYMPS_LOG_INFO = 1,    /* a choice worth knowing, such as a copy instead of a wrap */
    ANYMPS_LOG_WARNING = 2, /* a device was declined, a known defect was worked around */
    ANYMPS_LOG_LEVEL_FORCE32 = 0x7fffffff
} anymps_log_level;

/* Receives one message without a newline; `message` lives during the call. */
typedef void (*anymps_log_callback)(void *context, anymps_log_level level, const char *message);

/*
 * Hands the library's messages to `callback`; NULL (the default) is silence. The library itself
 * never prints. `message` lives during the call. Thread-safety: start-up only; the callback may be
 * called from any thread. Since: 0.1.
 */
ANYMPS_API void anymps_set_log(anymps_log_callback callback, void *context);

/* ---- Live counters ---------------------------------------------------------------------------- */

/* What is alive in this process; all zero again once every object is released. */
typedef struct anymps_live {
    size_t objects;      /* public objects: devices, buffers, matrices, kernels, … */
    size_t blocks;       /* host memory blocks */
    size_t block_bytes;  /* their bytes */
    size_t device_bytes; /* bytes of buffers on devices with memory of their own */
    size_t wrapped;      /* wrapped memory whose release callback has not been called yet */
} anymps_live;

/*
 * Reads the counters. The kernels that the one-call forms cache belong to their device and go with it.
 * Thread-safety: any thread. Since: 0.1.
 */
ANYMPS_API anymps_live anymps_live_counts(void);

#ifdef __cplusplus
}
#endif

#endif /* ANYMPS_BASE_H */
