/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anymps/buffer.h: bytes on a device: create, wrap without a copy, read, write, fill, copy.
 *
 * A buffer is a run of bytes that one device can reach; matrices and vectors are views of it
 * (matrix.h). It plays the part of MTLBuffer. The blocking calls here (read, write, fill, copy) act at
 * once and do not wait for command buffers: finish those that use the range first.
 *
 * Example:
 *
 *     static float numbers[64 * 64];
 *     anymps_wrap_desc desc = ANYMPS_WRAP_DESC_INIT;          // a buffer over memory that is already there
 *     anymps_buffer *wrapped = NULL;
 *     desc.bytes = numbers;
 *     desc.length_bytes = sizeof numbers;
 *     anymps_status status = anymps_buffer_wrap(device, &desc, &wrapped);
 *     if (status == ANYMPS_OK && anymps_buffer_copy_reason(wrapped) != NULL)
 *         printf("copied: %s\n", anymps_buffer_copy_reason(wrapped));
 *     anymps_buffer_release(wrapped);
 *     return status;
 */
#ifndef ANYMPS_BUFFER_H
#define ANYMPS_BUFFER_H

#include <anymps/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A run of bytes on one device; counted. */
typedef struct anymps_buffer anymps_buffer;

/*
 * Where the bytes live; the numbers of MTLStorageMode.
 *
 * SHARED: host and device see the same bytes. MANAGED: host and device have a copy each;
 * `anymps_buffer_did_modify` publishes host writes, `anymps_buffer_synchronize` fetches device writes.
 * PRIVATE: device only, `contents` is NULL; read and write still work. On the CPU all three are plain
 * memory, but PRIVATE still hides its contents, so that a program proved there runs elsewhere.
 * Source: MTLStorageMode.
 */
typedef enum anymps_storage {
    ANYMPS_STORAGE_SHARED = 0,
    ANYMPS_STORAGE_MANAGED = 1,
    ANYMPS_STORAGE_PRIVATE = 2,
    ANYMPS_STORAGE_FORCE32 = 0x7fffffff
} anymps_storage;

/*
 * Makes a buffer of `length_bytes` zero bytes. One reference goes to `*buffer`.
 *
 * INVALID_ARGUMENT: null, `length_bytes` 0 or beyond max_buffer_bytes, a storage that is none.
 * OUT_OF_MEMORY: as it says. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_buffer_create(anymps_device *device, size_t length_bytes,
                                                              anymps_storage storage, anymps_buffer **buffer);

/* As anymps_buffer_create, with a copy of `bytes` (not NULL, `length_bytes` long). Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_buffer_create_with_bytes(anymps_device *device, const void *bytes,
                                                                         size_t length_bytes, anymps_storage storage,
                                                                         anymps_buffer **buffer);

/* Called exactly once, from any thread, when the library has touched `bytes` for the last time. */
typedef void (*anymps_release_callback)(void *context, void *bytes);

/* The caller's memory, to be used in place. */
typedef struct anymps_wrap_desc {
    size_t struct_size;
    void *bytes;                     /* host memory; stays the caller's; must stay valid until `release` */
    size_t length_bytes;             /* > 0 */
    bool read_only;                  /* the buffer then refuses to be a result */
    bool forbid_copy;                /* UNSUPPORTED instead of a copy where the device cannot use it in place */
    anymps_release_callback release; /* may be NULL */
    void *context;                   /* handed to `release` */
    const char *copy_reason;         /* NULL; or, where `bytes` is itself a copy that the caller had to make, why:
                                anymps_buffer_copy_reason then says so. Must live as long as the buffer */
} anymps_wrap_desc;
#define ANYMPS_WRAP_DESC_INIT                                                                                          \
    {                                                                                                                  \
        sizeof(anymps_wrap_desc), NULL, 0, false, false, NULL, NULL, NULL                                              \
    }

/*
 * Makes a buffer over the caller's memory without copying it, where the device can.
 *
 * Where it cannot (a GPU that wants whole pages), the bytes are copied, `anymps_buffer_copy_reason`
 * tells why, and `release` is called before this call returns; results then do not appear in the
 * caller's memory. `forbid_copy` refuses instead. On success the release callback belongs to the
 * library and is called exactly once; on failure it is not called and the memory stays the caller's.
 * On the CPU every address is used in place.
 * INVALID_ARGUMENT: null, length 0. UNSUPPORTED: would have to copy and may not; the message says what
 * alignment and length would do. OUT_OF_MEMORY. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_buffer_wrap(anymps_device *device, const anymps_wrap_desc *desc,
                                                            anymps_buffer **buffer);

/*
 * Makes a buffer over the platform's own memory object: an `id<MTLBuffer>` (retained) on Metal, a
 * `CUdeviceptr` cast to a pointer on CUDA, host memory on the CPU. `desc->bytes` is that handle. Never
 * copies. The release callback as in anymps_buffer_wrap.
 * INVALID_ARGUMENT: null, length 0, or a handle of another device. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_buffer_wrap_native(anymps_device *device, const anymps_wrap_desc *desc,
                                                                   anymps_buffer **buffer);

/* Adds a reference and returns `buffer`. NULL stays NULL. Since: 0.1. */
ANYMPS_API anymps_buffer *anymps_buffer_retain(anymps_buffer *buffer);

/* Gives a reference back; NULL is allowed. Matrices and work in flight keep the buffer. Since: 0.1. */
ANYMPS_API void anymps_buffer_release(anymps_buffer *buffer);

/*
 * The bytes as the host sees them; NULL for PRIVATE storage and for a NULL buffer. Lives as long as
 * the buffer. For a wrapped buffer without a copy this is the caller's own address. Since: 0.1.
 */
ANYMPS_API void *anymps_buffer_contents(const anymps_buffer *buffer);

/* Length in bytes; 0 for NULL. Since: 0.1. */
ANYMPS_API size_t anymps_buffer_length(const anymps_buffer *buffer);

/* Storage it was made with. Since: 0.1. */
ANYMPS_API anymps_storage anymps_buffer_storage(const anymps_buffer *buffer);

/* The buffer's device, borrowed. Since: 0.1. */
ANYMPS_API anymps_device *anymps_buffer_device(const anymps_buffer *buffer);

/* NULL if the buffer is what was asked for; else why wrapping, or who wrapped (`copy_reason`), had to
   copy. Lives as the buffer. Since: 0.1. */
ANYMPS_API const char *anymps_buffer_copy_reason(const anymps_buffer *buffer);

/* True if the buffer was wrapped read-only: it is refused as a result. Since: 0.1. */
ANYMPS_API bool anymps_buffer_is_read_only(const anymps_buffer *buffer);

/*
 * The platform's own handle: `id<MTLBuffer>`, `CUdeviceptr` as a pointer, or the host address on the
 * CPU. Borrowed: lives as long as the buffer. Since: 0.1.
 */
ANYMPS_API void *anymps_buffer_native(const anymps_buffer *buffer);

/*
 * Copies `length_bytes` from the buffer to host memory, or from host memory into the buffer; blocks
 * until done; any storage. A length of 0 does nothing.
 * INVALID_ARGUMENT: null, or a range past the end (the message has both numbers); writing a read-only
 * buffer. EXECUTION_FAILED, DEVICE_LOST: the transfer failed. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_buffer_read(const anymps_buffer *buffer, size_t offset_bytes,
                                                            void *destination, size_t length_bytes);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_buffer_write(anymps_buffer *buffer, size_t offset_bytes,
                                                             const void *source, size_t length_bytes);

/* Sets every byte of the range to `value`; blocks. Statuses as anymps_buffer_write. Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_buffer_fill(anymps_buffer *buffer, size_t offset_bytes,
                                                            size_t length_bytes, uint8_t value);

/*
 * Copies bytes between two buffers, also of two devices; blocks. Ranges of one buffer may overlap:
 * the result is as if the source had been read whole first. Statuses as anymps_buffer_write.
 * Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_buffer_copy(anymps_buffer *destination, size_t destination_offset_bytes,
                                                            const anymps_buffer *source, size_t source_offset_bytes,
                                                            size_t length_bytes);

/*
 * MANAGED storage: `did_modify` publishes host writes of the range to the device, `synchronize`
 * fetches device writes of the range for the host. Other storage: nothing to do, OK.
 * Source: -[MTLBuffer didModifyRange:], -[MTLBlitCommandEncoder synchronizeResource:]. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_buffer_did_modify(anymps_buffer *buffer, size_t offset_bytes,
                                                                  size_t length_bytes);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_buffer_synchronize(anymps_buffer *buffer, size_t offset_bytes,
                                                                   size_t length_bytes);

#ifdef __cplusplus
}
#endif

#endif /* ANYMPS_BUFFER_H */
