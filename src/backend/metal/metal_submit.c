/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal_submit.c: queues, and one commit: encode the plan into a MTLCommandBuffer, commit, hear of its end.
 *
 * Called through the vtable (metal.c). Calls metal_plan.c and objc.h. Must not know operators. One autorelease
 * pool surrounds each commit and each completion, on whichever thread it runs, so nothing grows.
 */
#include "metal_plan.h"

#include "base/alloc.h"
#include "base/status.h"

#include <stdio.h>
#include <string.h>

/* A queue holds so many command buffers that have not ended; beyond that `commandBuffer`, and so our commit,
   blocks until one ends, as command.h says (Metal's own default is 64). */
enum { MOST_IN_FLIGHT = 512 };

/* ---- Queues ----------------------------------------------------------------------------------- */

/* The caller's queue is held while ours lives; a queue of another device would end the process later. */
static anymps_status adopt_queue(amps_metal_device *device, amps_id native, amps_id *held)
{
    ANYMPS_FAIL_IF(amps_send_registry_id(amps_send_queue_device(native)) != amps_send_registry_id(device->device),
                   ANYMPS_INVALID_ARGUMENT, "queue_create: the MTLCommandQueue belongs to another device");
    *held = amps_send_retain(native);
    return ANYMPS_OK;
}

anymps_status amps_metal_queue_open(amps_device *device, void *native, amps_queue **queue)
{
    amps_metal_device *const self = amps_metal_device_of(device);
    amps_queue *const made = amps_calloc(1, sizeof *made);
    if (made == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    amps_id held = NULL;
    anymps_status status = ANYMPS_OK;
    if (native != NULL) {
        status = adopt_queue(self, (amps_id)native, &held);
    } else {
        held = amps_send_new_queue(self->device, MOST_IN_FLIGHT);
        status =
            held != NULL ? ANYMPS_OK : amps_fail(ANYMPS_OUT_OF_MEMORY, "queue_create: Metal gives no command queue");
    }
    amps_apple.objc_autoreleasePoolPop(pool);
    if (status != ANYMPS_OK) {
        amps_free(made);
        return status;
    }
    made->device = device;
    made->native = held;
    *queue = made;
    return ANYMPS_OK;
}

void amps_metal_queue_close(amps_queue *queue)
{
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    amps_drop((amps_id)queue->native);
    amps_apple.objc_autoreleasePoolPop(pool);
    amps_free(queue);
}

/* ---- Encoding --------------------------------------------------------------------------------- */

/* Sends only what differs from the launch before in the same encoder, which keeps its pipeline, buffers and bytes
   from one dispatch to the next. `before` NULL: the encoder is fresh. */
static void encode_launch(amps_id encoder, const amps_metal_launch_step *launch, const amps_metal_launch_step *before)
{
    if (before == NULL || before->pipeline != launch->pipeline) {
        amps_send_set_pipeline(encoder, launch->pipeline);
    }
    const size_t kept = before != NULL ? before->buffer_count : 0;
    for (size_t i = 0; i < launch->buffer_count; i++) {
        if (i >= kept || before->buffers[i] != launch->buffers[i] || before->offsets[i] != launch->offsets[i]) {
            amps_send_set_buffer(encoder, launch->buffers[i], launch->offsets[i], i);
        }
    }
    if (before == NULL || kept != launch->buffer_count || before->params_bytes != launch->params_bytes ||
        memcmp(before->params, launch->params, launch->params_bytes) != 0) {
        amps_send_set_bytes(encoder, launch->params, launch->params_bytes, launch->buffer_count);
    }
    amps_send_dispatch(encoder, launch->groups, (amps_mtl_size){launch->threads, 1, 1});
}

static void encode_mps(amps_id command_buffer, const amps_metal_mps_step *mps)
{
    if (mps->set_batch != NULL && mps->object->batch != mps->batch) {
        mps->set_batch(mps->object->object, mps->batch);
        mps->object->batch = mps->batch;
    }
    mps->encode(mps->object->object, command_buffer, mps->operands);
}

/* Consecutive launches share one encoder, which runs them in order; MPS opens its own, so ours ends before. */
static anymps_status encode_steps(const amps_metal_plan *plan, amps_id command_buffer)
{
    amps_id encoder = NULL;
    const amps_metal_launch_step *before = NULL;
    for (size_t i = 0; i < plan->step_count; i++) {
        const amps_metal_step *const step = &plan->steps[i];
        if (step->kind == AMPS_METAL_STEP_LAUNCH) {
            encoder = encoder != NULL ? encoder : amps_send_compute_encoder(command_buffer);
            ANYMPS_FAIL_IF(encoder == NULL, ANYMPS_OUT_OF_MEMORY,
                           "command_buffer_commit: Metal gives no compute encoder");
            encode_launch(encoder, &step->launch, before);
            before = &step->launch;
            continue;
        }
        if (encoder != NULL) {
            amps_send_end_encoding(encoder);
            encoder = NULL;
            before = NULL;
        }
        encode_mps(command_buffer, &step->mps);
    }
    if (encoder != NULL) {
        amps_send_end_encoding(encoder);
    }
    return ANYMPS_OK;
}

/* ---- Completion ------------------------------------------------------------------------------- */

static anymps_status status_of_code(amps_nsint code)
{
    switch (code) {
    case MTLCommandBufferErrorOutOfMemory: return ANYMPS_OUT_OF_MEMORY;
    case MTLCommandBufferErrorAccessRevoked:
    case MTLCommandBufferErrorDeviceRemoved: return ANYMPS_DEVICE_LOST;
    default: return ANYMPS_EXECUTION_FAILED;
    }
}

anymps_status amps_metal_outcome(amps_id command_buffer, const char *what, anymps_error *error)
{
    *error = (anymps_error){.status = ANYMPS_OK};
    if (amps_send_command_status(command_buffer) != MTLCommandBufferStatusError) {
        return ANYMPS_OK;
    }
    const amps_id reason = amps_send_command_error(command_buffer);
    char text[ANYMPS_ERROR_MESSAGE_SIZE - 64];
    amps_copy_text(reason != NULL ? amps_send_error_text(reason) : NULL, text, sizeof text);
    error->backend_code = reason != NULL ? (int64_t)amps_send_error_code(reason) : 0;
    error->status = reason != NULL ? status_of_code(amps_send_error_code(reason)) : ANYMPS_EXECUTION_FAILED;
    (void)snprintf(error->operation, sizeof error->operation, "%s", what);
    (void)snprintf(error->message, sizeof error->message, "%.40s: Metal reports: %s", what,
                   text[0] != '\0' ? text : "no reason");
    return error->status;
}

/* Runs on a thread of Metal's own. The submission may be gone once `done` has returned. */
static void completed(amps_block *block, amps_id command_buffer)
{
    amps_submission *const submission = block->context;
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    anymps_error error;
    const anymps_status status = amps_metal_outcome(command_buffer, "command_buffer_commit", &error);
    if (submission->timings) {
        const double seconds = amps_send_gpu_end(command_buffer) - amps_send_gpu_start(command_buffer);
        submission->device_ns = seconds > 0.0 ? (uint64_t)(seconds * 1e9) : 0;
    }
    amps_apple.objc_autoreleasePoolPop(pool);
    submission->done(submission, status != ANYMPS_OK ? &error : NULL);
}

/* ---- Submission ------------------------------------------------------------------------------- */

/* The plan of these records: the one kept from the last commit, or a new one. */
static anymps_status current_plan(amps_metal_device *device, amps_submission *submission, amps_metal_plan **plan)
{
    *plan = submission->plan;
    if (*plan != NULL && (*plan)->generation == submission->generation) {
        return ANYMPS_OK;
    }
    if (*plan != NULL) {
        amps_metal_plan_drop(*plan);
        submission->plan = NULL;
    }
    ANYMPS_TRY(amps_metal_plan_make(device, submission, plan));
    submission->plan = *plan;
    submission->release_plan = amps_metal_plan_drop;
    return ANYMPS_OK;
}

/* The command buffer to encode into: the caller's own, which we neither label nor commit, or a fresh one. */
static anymps_status take_command_buffer(amps_queue *queue, const amps_submission *submission, amps_id *command_buffer)
{
    if (submission->native_target != NULL) {
        *command_buffer = (amps_id)submission->native_target;
        const uint64_t theirs = amps_send_registry_id(amps_send_command_buffer_device(*command_buffer));
        ANYMPS_FAIL_IF(theirs != amps_send_registry_id(amps_metal_device_of(queue->device)->device),
                       ANYMPS_INVALID_ARGUMENT,
                       "command_buffer_commit_native: the MTLCommandBuffer belongs to another device");
        ANYMPS_FAIL_IF(amps_send_command_status(*command_buffer) >= MTLCommandBufferStatusCommitted,
                       ANYMPS_INVALID_STATE, "command_buffer_commit_native: the MTLCommandBuffer was committed");
        return ANYMPS_OK;
    }
    *command_buffer = amps_send_command_buffer((amps_id)queue->native);
    ANYMPS_FAIL_IF(*command_buffer == NULL, ANYMPS_OUT_OF_MEMORY,
                   "command_buffer_commit: Metal gives no command buffer");
    if (submission->label[0] != '\0') {
        const amps_id label = amps_nsstring(submission->label);
        if (label != NULL) {
            amps_send_set_label(*command_buffer, label);
        }
    }
    return ANYMPS_OK;
}

static anymps_status submit_in_pool(amps_queue *queue, amps_submission *submission)
{
    amps_metal_plan *plan;
    ANYMPS_TRY(current_plan(amps_metal_device_of(queue->device), submission, &plan));
    amps_id command_buffer;
    ANYMPS_TRY(take_command_buffer(queue, submission, &command_buffer));
    ANYMPS_TRY(encode_steps(plan, command_buffer));
    amps_block block;
    amps_block_init(&block, completed, submission);
    amps_send_add_completed(command_buffer, &block);
    if (submission->native_target == NULL) {
        amps_send_commit(command_buffer); /* from here on the submission may be gone */
    }
    return ANYMPS_OK;
}

anymps_status amps_metal_submit(amps_queue *queue, amps_submission *submission)
{
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    const anymps_status status = submit_in_pool(queue, submission);
    amps_apple.objc_autoreleasePoolPop(pool);
    return status;
}

static anymps_status run_in_pool(amps_metal_device *device, const char *what,
                                 bool (*encode)(amps_id command_buffer, void *context), void *context)
{
    const amps_id command_buffer = amps_send_command_buffer(device->transfer_queue);
    ANYMPS_FAIL_IF(command_buffer == NULL, ANYMPS_OUT_OF_MEMORY, "%s: Metal gives no command buffer", what);
    ANYMPS_FAIL_IF(!encode(command_buffer, context), ANYMPS_OUT_OF_MEMORY, "%s: Metal gives no encoder", what);
    amps_send_commit(command_buffer);
    amps_send_wait_completed(command_buffer);
    anymps_error error;
    return amps_metal_outcome(command_buffer, what, &error) == ANYMPS_OK ? ANYMPS_OK : amps_fail_again(&error);
}

anymps_status amps_metal_run(amps_metal_device *device, const char *what,
                             bool (*encode)(amps_id command_buffer, void *context), void *context)
{
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    const anymps_status status = run_in_pool(device, what, encode, context);
    amps_apple.objc_autoreleasePoolPop(pool);
    return status;
}
