/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encoder.m: MTLBlitCommandEncoder and MTLComputeCommandEncoder. They record; command.m runs.
 */
#include "metal.h"

#include "../msl/library.h"

#include <stdlib.h>
#include <string.h>

static void *zeroed(size_t bytes)
{
    void *block = calloc(1, bytes ? bytes : 1);
    if (!block)
        abort();
    return block;
}

@implementation FakeEncoder
- (id)initOn:(FakeCommandBuffer *)buffer
{
    command_buffer = [buffer retain];
    return self;
}
- (void)dealloc
{
    REFUSE_IF(!ended, "freed without endEncoding");
    [label release];
    [command_buffer release];
    [super dealloc];
}
- (FakeDevice *)device
{
    return command_buffer->queue->device;
}
- (void)setLabel:(NSString *)text
{
    fake_check_object(self, _cmd, "label", text, [NSString class]);
    [text retain];
    [label release];
    label = text;
}
- (void)endEncoding
{
    REFUSE_IF(ended, "ended before");
    REFUSE_IF(command_buffer->open_encoder != self, "not the open encoder of its command buffer");
    command_buffer->open_encoder = nil;
    ended = true;
}
- (void)checkOpen:(SEL)selector
{
    if (ended)
        fake_misuse(self, selector, "used after endEncoding");
    if (command_buffer->state > 1)
        fake_misuse(self, selector, "the command buffer has been committed");
}
- (void)check:(FakeBuffer *)buffer for:(SEL)selector
{
    fake_check_object(self, selector, "buffer", buffer, [FakeBuffer class]);
    if (buffer->device != command_buffer->queue->device)
        fake_misuse(self, selector, "the buffer is another device's");
}
@end

/* ---- Blit ------------------------------------------------------------------------------------- */

typedef enum blit_kind { BLIT_COPY, BLIT_FILL, BLIT_SYNCHRONIZE } blit_kind;
typedef struct blit {
    fake_operation operation;
    blit_kind kind;
    size_t from, to, size;
    uint8_t value;
} blit;

static void run_blit(const fake_operation *operation)
{
    const blit *b = (const blit *)operation;
    FakeBuffer *target = b->operation.results[0].buffer;
    if (b->kind == BLIT_COPY)
        memcpy(target->bytes + b->to, b->operation.buffers[b->operation.buffer_count - 1]->bytes + b->from, b->size);
    else if (b->kind == BLIT_FILL)
        memset(target->bytes + b->to, b->value, b->size);
    else
        memcpy(target->host_bytes, target->bytes, target->length);
}

/* A copy reads the last of its buffers, which stays the last when equal ones are dropped. */
static blit *new_blit(blit_kind kind, FakeBuffer *target, FakeBuffer *source, size_t to, size_t size)
{
    blit *b = zeroed(sizeof *b);
    b->kind = kind;
    b->to = to;
    b->size = size;
    b->operation.run = run_blit;
    b->operation.buffers = zeroed(2 * sizeof(FakeBuffer *));
    b->operation.buffers[b->operation.buffer_count++] = target;
    if (source && source != target)
        b->operation.buffers[b->operation.buffer_count++] = source;
    b->operation.results = zeroed(sizeof(fake_region));
    b->operation.result_count = 1;
    b->operation.results[0] =
        (fake_region){.buffer = target, .offset = to, .row_length = size, .row_bytes = size, .rows = 1};
    return b;
}

@implementation FakeBlitEncoder
- (void)checkRange:(FakeBuffer *)buffer offset:(NSUInteger)offset size:(NSUInteger)size for:(SEL)selector
{
    [self check:buffer for:selector];
    if (size == 0 || size > buffer->length || offset > buffer->length - size)
        fake_misuse(self, selector, "bytes %lu+%lu of a buffer of %lu", offset, size, buffer->length);
    if (offset % 4 || size % 4)
        fake_misuse(self, selector, "offset %lu or size %lu is not a multiple of 4", offset, size);
    if (size >> 32)
        fake_misuse(self, selector, "%lu bytes: copies of 4 GiB and more fail silently on a Mac", size);
}
- (void)copyFromBuffer:(FakeBuffer *)source
          sourceOffset:(NSUInteger)from
              toBuffer:(FakeBuffer *)target
     destinationOffset:(NSUInteger)to
                  size:(NSUInteger)size
{
    [self checkOpen:_cmd];
    [self checkRange:source offset:from size:size for:_cmd];
    [self checkRange:target offset:to size:size for:_cmd];
    REFUSE_IF(source == target && from < to + size && to < from + size, "the ranges overlap");
    blit *b = new_blit(BLIT_COPY, target, source, to, size);
    b->from = from;
    [command_buffer add:&b->operation];
}
- (void)fillBuffer:(FakeBuffer *)buffer range:(NSRange)range value:(uint8_t)value
{
    [self checkOpen:_cmd];
    [self checkRange:buffer offset:range.location size:range.length for:_cmd];
    blit *b = new_blit(BLIT_FILL, buffer, nil, range.location, range.length);
    b->value = value;
    [command_buffer add:&b->operation];
}
- (void)synchronizeResource:(FakeBuffer *)buffer
{
    [self checkOpen:_cmd];
    [self check:buffer for:_cmd];
    REFUSE_IF((buffer->options & FAKE_STORAGE_MASK) != FAKE_STORAGE_MANAGED, "storage is not managed");
    [command_buffer add:&new_blit(BLIT_SYNCHRONIZE, buffer, nil, 0, 0)->operation];
}
@end

/* ---- Compute ---------------------------------------------------------------------------------- */

typedef struct dispatch {
    fake_operation operation;
    const struct msl_kernel *kernel;
    msl_launch launch;
    FakeBuffer *buffers[FAKE_ARGUMENT_SLOTS];
    size_t offsets[FAKE_ARGUMENT_SLOTS];
    unsigned char *constants[FAKE_ARGUMENT_SLOTS];
} dispatch;

static void run_dispatch(const fake_operation *operation)
{
    const dispatch *d = (const dispatch *)operation;
    msl_launch launch = d->launch;
    for (size_t i = 0; i < FAKE_ARGUMENT_SLOTS; i++)
        launch.buffers[i] = d->buffers[i] ? d->buffers[i]->bytes + d->offsets[i] : d->constants[i];
    launch.order = (unsigned)fake_get(FAKE_THREAD_ORDER);
    const char *problem = fake_shaders_run()(d->kernel, &launch);
    if (problem)
        fake_misuse(nil, NULL, "shader %s: %s", d->kernel->name, problem);
}

static void destroy_dispatch(fake_operation *operation)
{
    dispatch *d = (dispatch *)operation;
    for (size_t i = 0; i < FAKE_ARGUMENT_SLOTS; i++)
        free(d->constants[i]);
}

@implementation FakeComputeEncoder
- (void)dealloc
{
    for (size_t i = 0; i < FAKE_ARGUMENT_SLOTS; i++)
        free(constants[i]);
    [super dealloc];
}
- (void)checkSlot:(NSUInteger)slot for:(SEL)selector
{
    [self checkOpen:selector];
    if (slot >= FAKE_ARGUMENT_SLOTS)
        fake_misuse(self, selector, "argument %lu of %d", slot, FAKE_ARGUMENT_SLOTS);
}
- (void)setComputePipelineState:(FakePipeline *)state
{
    [self checkOpen:_cmd];
    fake_check_object(self, _cmd, "pipeline", state, [FakePipeline class]);
    REFUSE_IF(state->device != command_buffer->queue->device, "the pipeline is another device's");
    pipeline = state;
}
- (void)setBuffer:(FakeBuffer *)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)slot
{
    [self checkSlot:slot for:_cmd];
    if (buffer) {
        [self check:buffer for:_cmd];
        REFUSE_IF(offset >= buffer->length, "offset %lu of a buffer of %lu bytes", offset, buffer->length);
    } else {
        REFUSE_IF(offset, "offset %lu without a buffer", offset);
    }
    free(constants[slot]);
    constants[slot] = NULL;
    buffers[slot] = buffer;
    offsets[slot] = offset;
}
- (void)setBytes:(const void *)bytes length:(NSUInteger)length atIndex:(NSUInteger)slot
{
    [self checkSlot:slot for:_cmd];
    REFUSE_IF(!bytes || length == 0 || length > 4096, "%lu bytes; 1 to 4096 are allowed", length);
    free(constants[slot]);
    constants[slot] = zeroed(length);
    memcpy(constants[slot], bytes, length);
    constant_lengths[slot] = length;
    buffers[slot] = nil;
}
/* State is copied at dispatch: the encoder may go on with other arguments. */
- (void)bind:(unsigned)slot to:(dispatch *)d
{
    if (buffers[slot]) {
        d->buffers[slot] = buffers[slot];
        d->offsets[slot] = offsets[slot];
        d->operation.buffers[d->operation.buffer_count++] = buffers[slot];
        return;
    }
    d->constants[slot] = zeroed(constant_lengths[slot]);
    memcpy(d->constants[slot], constants[slot], constant_lengths[slot]);
}

/* Everything that the shader names must be bound, and large enough for one element. */
- (void)checkArguments:(SEL)selector
{
    const char *name = pipeline->kernel->name;
    for (size_t i = 0; i < pipeline->kernel->argument_count; i++) {
        const msl_argument *argument = &pipeline->kernel->arguments[i];
        const unsigned slot = argument->index;
        if (!buffers[slot] && !constants[slot])
            fake_misuse(self, selector, "%s: nothing bound at %u (%s)", name, slot, argument->name);
        const size_t room = buffers[slot] ? buffers[slot]->length - offsets[slot] : constant_lengths[slot];
        if (room < argument->element_bytes)
            fake_misuse(self, selector, "%s: %zu bytes at %u (%s), %zu needed", name, room, slot, argument->name,
                        argument->element_bytes);
        if (buffers[slot] && offsets[slot] % argument->alignment)
            fake_misuse(self, selector, "%s: offset %zu at %u (%s) is not aligned to %zu", name, offsets[slot], slot,
                        argument->name, argument->alignment);
        if (constants[slot] && argument->writable)
            fake_misuse(self, selector, "%s: setBytes at %u (%s), which is written", name, slot, argument->name);
    }
}
- (void)dispatchThreadgroups:(MTLSize)groups threadsPerThreadgroup:(MTLSize)threads
{
    [self checkOpen:_cmd];
    REFUSE_IF(!pipeline, "no pipeline state");
    fake_check_object(self, _cmd, "pipeline", pipeline, [FakePipeline class]);
    const NSUInteger count = threads.width * threads.height * threads.depth;
    REFUSE_IF(count == 0 || count > pipeline->kernel->max_threads, "%lu threads in a group; 1 to %zu are allowed",
              count, pipeline->kernel->max_threads);
    REFUSE_IF(groups.width * groups.height * groups.depth == 0, "an empty grid: %lu x %lu x %lu", groups.width,
              groups.height, groups.depth);
    REFUSE_IF(groups.width >> 31 || groups.height >> 31 || groups.depth >> 31, "a grid beyond 32 bits");
    [self checkArguments:_cmd];
    dispatch *d = zeroed(sizeof *d);
    d->kernel = pipeline->kernel;
    d->operation.run = run_dispatch;
    d->operation.destroy = destroy_dispatch;
    d->operation.buffers = zeroed(FAKE_ARGUMENT_SLOTS * sizeof(FakeBuffer *));
    const NSUInteger sizes[6] = {groups.width, groups.height, groups.depth, threads.width, threads.height,
                                 threads.depth};
    for (size_t i = 0; i < 3; i++) {
        d->launch.groups[i] = (uint32_t)sizes[i];
        d->launch.threads[i] = (uint32_t)sizes[3 + i];
    }
    for (size_t i = 0; i < pipeline->kernel->argument_count; i++)
        [self bind:pipeline->kernel->arguments[i].index to:d];
    fake_count(&fake_totals.dispatches, 1);
    [command_buffer add:&d->operation];
}
@end
