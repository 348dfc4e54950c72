/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anymps/command.h: queues and command buffers.
 *
 * Kernels are encoded into a command buffer, which only records them; commit sends the whole list to
 * the device and returns at once; wait returns when it has run. Command buffers of one queue run in the
 * order of their commits; those of different queues in any order.
 *
 *     state:   RECORDING --commit--> COMMITTED --(runs)--> COMPLETED or FAILED
 *                                        ^---------commit---------/
 *
 * A command buffer that has ended may be committed again and runs the same records on whatever its
 * matrices then hold: encode once, commit a million times. Encoding into it again is refused;
 * `anymps_command_buffer_reset` empties it for that.
 *
 * Example:
 *
 *     anymps_command_buffer *work = NULL;
 *     anymps_status status = anymps_command_buffer_create(queue, &work);
 *     if (status == ANYMPS_OK)
 *         status = anymps_matmul_encode(kernel, work, left, right, result, NULL);
 *     for (int step = 0; step < 1000 && status == ANYMPS_OK; step++) {
 *         status = anymps_command_buffer_commit(work);
 *         if (status == ANYMPS_OK)
 *             status = anymps_command_buffer_wait(work);
 *     }
 *     anymps_command_buffer_release(work);
 *     return status;
 */
#ifndef ANYMPS_COMMAND_H
#define ANYMPS_COMMAND_H

#include <anymps/matrix.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct anymps_queue anymps_queue;                   /* an ordered stream of work; counted */
typedef struct anymps_command_buffer anymps_command_buffer; /* a list of records; counted */

/* Makes a queue. INVALID_ARGUMENT: null. OUT_OF_MEMORY. Source: -[MTLDevice newCommandQueue].
   Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_queue_create(anymps_device *device, anymps_queue **queue);
/* As anymps_queue_create, over the caller's own `id<MTLCommandQueue>` or `CUstream`, which is borrowed
   until the queue goes. The CPU has none: UNSUPPORTED. Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_queue_create_native(anymps_device *device, void *native,
                                                                    anymps_queue **queue);
/* Adds a reference and returns `queue`. NULL stays NULL. Since: 0.1. */
ANYMPS_API anymps_queue *anymps_queue_retain(anymps_queue *queue);
/* Gives a reference back; NULL is allowed; what was committed ends all the same. Since: 0.1. */
ANYMPS_API void anymps_queue_release(anymps_queue *queue);
/* The queue's device, borrowed. Since: 0.1. */
ANYMPS_API anymps_device *anymps_queue_device(const anymps_queue *queue);
/* `id<MTLCommandQueue>` or `CUstream`, borrowed; NULL on the CPU. Since: 0.1. */
ANYMPS_API void *anymps_queue_native(const anymps_queue *queue);

typedef enum anymps_command_buffer_state {
    ANYMPS_COMMAND_BUFFER_RECORDING = 0, /* takes records; never committed, or reset */
    ANYMPS_COMMAND_BUFFER_COMMITTED = 1, /* in flight */
    ANYMPS_COMMAND_BUFFER_COMPLETED = 2, /* ended well; may be committed again */
    ANYMPS_COMMAND_BUFFER_FAILED = 3,    /* see anymps_command_buffer_error */
    ANYMPS_COMMAND_BUFFER_STATE_FORCE32 = 0x7fffffff
} anymps_command_buffer_state;

/* Makes an empty command buffer. INVALID_ARGUMENT: null. OUT_OF_MEMORY. Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_command_buffer_create(anymps_queue *queue,
                                                                      anymps_command_buffer **command_buffer);
/* Adds a reference and returns `command_buffer`. NULL stays NULL. Since: 0.1. */
ANYMPS_API anymps_command_buffer *anymps_command_buffer_retain(anymps_command_buffer *command_buffer);
/* Releasing one in flight is safe: it ends first. Since: 0.1. */
ANYMPS_API void anymps_command_buffer_release(anymps_command_buffer *command_buffer);

/* The queue, borrowed. Since: 0.1. */
ANYMPS_API anymps_queue *anymps_command_buffer_queue(const anymps_command_buffer *command_buffer);

/* A name for logs and debuggers, copied, cut at 63 bytes. NULL removes it. Since: 0.1. */
ANYMPS_API void anymps_command_buffer_set_label(anymps_command_buffer *command_buffer, const char *label);
/* The label, "" if none; lives until the next set_label. Since: 0.1. */
ANYMPS_API const char *anymps_command_buffer_label(const anymps_command_buffer *command_buffer);

/* How many operations are recorded. Since: 0.1. */
ANYMPS_API size_t anymps_command_buffer_count(const anymps_command_buffer *command_buffer);

/*
 * Writes the records as text, one line each ("0 matmul f32 64x8x512 …"), into `text`, cut to `size`
 * bytes with a final zero; returns the length the whole text has. `text` may be NULL if `size` is 0.
 * Since: 0.1.
 */
ANYMPS_API size_t anymps_command_buffer_describe(const anymps_command_buffer *command_buffer, char *text, size_t size);

/* Called once per commit when it has ended, on a thread of the library or in `wait`; `context` as
   given. Do not wait for this queue inside. */
typedef void (*anymps_completion_callback)(void *context, anymps_command_buffer *command_buffer, anymps_status status);

/*
 * Sets the callback of the following commits; NULL removes it. The command buffer is COMPLETED or
 * FAILED when it is called, and `wait` returns after it has returned.
 * INVALID_ARGUMENT: null command buffer. INVALID_STATE: in flight. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_command_buffer_on_completion(anymps_command_buffer *command_buffer,
                                                                             anymps_completion_callback callback,
                                                                             void *context);

/*
 * Sends the records to the device and returns without waiting for them. An empty one completes.
 * A queue holds 512 commits in flight on Metal (a queue of the caller's: as many as it was made with); one more waits
 * until one has ended, and so must not come from a completion callback.
 *
 * INVALID_ARGUMENT: null. INVALID_STATE: already in flight. OUT_OF_MEMORY, DEVICE_LOST: nothing ran
 * and the command buffer is as before. EXECUTION_FAILED: the device refused midway. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_command_buffer_commit(anymps_command_buffer *command_buffer);

/*
 * As anymps_command_buffer_commit, into the caller's own `id<MTLCommandBuffer>` or `CUstream` instead of the queue.
 *
 * Metal: the records are encoded at the end of what the caller has encoded, with no encoder open before and none
 * after; the caller commits his command buffer, once, and must not drop it uncommitted: until it has completed
 * this command buffer is in flight. CUDA: the records follow what is in the stream. `native` is borrowed
 * until then and must belong to the queue's device.
 * INVALID_ARGUMENT: null, or a handle of another device. INVALID_STATE: in flight, or the MTLCommandBuffer was
 * committed already. UNSUPPORTED: the CPU has no such handles. Else as anymps_command_buffer_commit. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_command_buffer_commit_native(anymps_command_buffer *command_buffer,
                                                                             void *native);

/*
 * Blocks until the last commit has ended and returns how: OK, EXECUTION_FAILED, DEVICE_LOST,
 * OUT_OF_MEMORY. May be called by any number of threads, any number of times.
 * INVALID_ARGUMENT: null. INVALID_STATE: never committed. Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_command_buffer_wait(anymps_command_buffer *command_buffer);

/* The state at this moment; RECORDING for NULL. Since: 0.1. */
ANYMPS_API anymps_command_buffer_state anymps_command_buffer_get_state(const anymps_command_buffer *command_buffer);

/* Copies the detail of the last commit's failure; ANYMPS_OK if there was none.
   INVALID_ARGUMENT: null. Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_command_buffer_error(const anymps_command_buffer *command_buffer,
                                                                     anymps_error *error);

/* Times of the last commit, in nanoseconds; 0 where not known. */
typedef struct anymps_timings {
    size_t struct_size;
    uint64_t encode_ns;     /* spent in encode calls since creation or reset */
    uint64_t commit_ns;     /* spent in the last commit call */
    uint64_t device_ns;     /* from the device's start of the work to its end */
    uint64_t round_trip_ns; /* from the commit call to the end of the work as the host saw it */
} anymps_timings;
#define ANYMPS_TIMINGS_INIT                                                                                            \
    {                                                                                                                  \
        sizeof(anymps_timings), 0, 0, 0, 0                                                                             \
    }

/* Asks for device times in the following commits (they may cost a few microseconds on a GPU); off at
   first. Encode times are kept only while on. INVALID_ARGUMENT: null. INVALID_STATE: in flight.
   Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_command_buffer_enable_timings(anymps_command_buffer *command_buffer,
                                                                              bool enable);

/* INVALID_ARGUMENT: null. INVALID_STATE: no commit has ended, or timings are off. Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_command_buffer_get_timings(const anymps_command_buffer *command_buffer,
                                                                           anymps_timings *timings);

/*
 * Forgets the records (releasing what they keep) and goes back to RECORDING; keeps the memory, so that
 * encoding the same again allocates nothing. INVALID_ARGUMENT: null. INVALID_STATE: in flight.
 * Since: 0.1.
 */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_command_buffer_reset(anymps_command_buffer *command_buffer);

#ifdef __cplusplus
}
#endif

#endif /* ANYMPS_COMMAND_H */
