/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.m: MTLCommandQueue and MTLCommandBuffer. A queue has one thread that takes committed buffers in order,
 * waits a little and runs their operations. Until then the bytes that operations will write are poisoned, so that
 * a caller who looks before completion sees it.
 */
#include "metal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NOT_ENQUEUED, ENQUEUED, COMMITTED, SCHEDULED, COMPLETED, FAILED };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Committed buffers that a queue's thread has not let go of. */
static uint64_t unsettled;

/* ---- Poison ----------------------------------------------------------------------------------- */

static unsigned char *row_of(const fake_region *region, size_t row)
{
    return region->buffer->bytes + region->offset + row * region->row_bytes;
}

/* A buffer which another unfinished command buffer uses is left alone: its bytes are on their way already. */
static void poison(fake_region *region)
{
    fake_lock_hidden(&region->buffer->lock);
    const bool alone = region->buffer->in_flight == 1;
    fake_unlock_hidden(&region->buffer->lock);
    if (alone && region->rows * region->row_length > 0) {
        region->saved = malloc(region->rows * region->row_length);
        for (size_t i = 0; region->saved && i < region->rows; i++)
            memcpy(region->saved + i * region->row_length, row_of(region, i), region->row_length);
    }
}

static void spoil(const fake_region *region)
{
    for (size_t i = 0; region->saved && i < region->rows; i++)
        memset(row_of(region, i), 0xfb, region->row_length);
}

static void restore(fake_region *region)
{
    for (size_t i = 0; region->saved && i < region->rows; i++)
        memcpy(row_of(region, i), region->saved + i * region->row_length, region->row_length);
    free(region->saved);
    region->saved = NULL;
}

/* ---- Operations ------------------------------------------------------------------------------- */

static void free_operation(fake_operation *operation, bool retained)
{
    for (size_t i = 0; retained && i < operation->buffer_count; i++)
        [operation->buffers[i] release];
    for (size_t i = 0; i < operation->result_count; i++)
        free(operation->results[i].saved);
    if (operation->destroy)
        operation->destroy(operation);
    free(operation->buffers);
    free(operation->results);
    free(operation);
}

static void for_each_buffer(fake_operation *first, int change)
{
    for (fake_operation *o = first; o; o = o->next) {
        for (size_t i = 0; i < o->buffer_count; i++) {
            FakeBuffer *buffer = o->buffers[i];
            if (fake_is_released(buffer))
                fake_misuse(buffer, NULL, "a buffer was freed before the command buffer that uses it had run");
            fake_lock_hidden(&buffer->lock);
            buffer->in_flight += (unsigned)change;
            fake_unlock_hidden(&buffer->lock);
        }
    }
}

/* `in_flight` counts command buffers, not operations: each buffer once. Small lists, so quadratic is fine. */
static void deduplicate(fake_operation *first, bool retained)
{
    for (fake_operation *o = first; o; o = o->next) {
        for (size_t i = 0; i < o->buffer_count; i++) {
            bool seen = false;
            for (fake_operation *p = first; !seen && p; p = p == o ? NULL : p->next) {
                const size_t end = p == o ? i : p->buffer_count;
                for (size_t j = 0; !seen && j < end; j++)
                    seen = p->buffers[j] == o->buffers[i];
            }
            if (seen) {
                if (retained)
                    [o->buffers[i] release];
                o->buffers[i--] = o->buffers[--o->buffer_count];
            }
        }
    }
}

/* ---- Command buffers -------------------------------------------------------------------------- */

@implementation FakeCommandBuffer
- (id)init
{
    last = &first;
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&changed, NULL);
    fake_give(&in_call);
    return self;
}
- (void)dealloc
{
    REFUSE_IF(state == COMMITTED || state == SCHEDULED, "freed while it runs");
    while (first) {
        fake_operation *operation = first;
        first = operation->next;
        free_operation(operation, retains);
    }
    free(handlers);
    [failure release];
    [label release];
    if (counted)
        [queue givePlace];
    [queue release];
    pthread_mutex_destroy(&lock);
    pthread_cond_destroy(&changed);
    [super dealloc];
}
- (FakeDevice *)device
{
    return queue->device;
}
- (FakeQueue *)commandQueue
{
    return queue;
}
- (BOOL)retainedReferences
{
    return retains;
}
- (NSString *)label
{
    return label;
}
- (void)setLabel:(NSString *)text
{
    fake_check_object(self, _cmd, "label", text, [NSString class]);
    [text retain];
    [label release];
    label = text;
}

/* ---- Encoding ---- */

- (void)beginEncodingFrom:(id)caller selector:(SEL)selector device:(FakeDevice *)device
{
    if (fake_take(&in_call))
        fake_misuse(caller, selector, "another thread encodes into this command buffer");
    if (state > ENQUEUED)
        fake_misuse(caller, selector, "the command buffer has been committed");
    if (open_encoder)
        fake_misuse(caller, selector, "an encoder of the command buffer is open");
    if (device && device != queue->device)
        fake_misuse(caller, selector, "the command buffer is another device's");
}
- (void)endEncoding
{
    fake_give(&in_call);
}
- (void)add:(fake_operation *)operation
{
    if (retains) {
        for (size_t i = 0; i < operation->buffer_count; i++)
            [operation->buffers[i] retain];
    }
    operation->next = NULL;
    *last = operation;
    last = &operation->next;
}
- (id)openEncoder:(Class)class selector:(SEL)selector
{
    [self beginEncodingFrom:self selector:selector device:nil];
    FakeEncoder *encoder = fake_creation_fails() ? nil : [[(id)class alloc] initOn:self];
    open_encoder = encoder;
    [self endEncoding];
    return [encoder autorelease];
}
- (id)blitCommandEncoder
{
    return [self openEncoder:[FakeBlitEncoder class] selector:_cmd];
}
- (id)computeCommandEncoder
{
    return [self openEncoder:[FakeComputeEncoder class] selector:_cmd];
}
- (id)computeCommandEncoderWithDispatchType:(NSUInteger)type
{
    REFUSE_IF(type > 1, "dispatch type %lu", type);
    return [self openEncoder:[FakeComputeEncoder class] selector:_cmd];
}
- (void)enqueue
{
    REFUSE_IF(state != NOT_ENQUEUED, "state is %d", state);
    state = ENQUEUED;
}

/* ---- Commit and completion ---- */

/* The shape of a block: the function is its third word. */
struct block {
    void *class;
    int flags, reserved;
    void (*invoke)(void *block, id argument);
    struct {
        unsigned long reserved, size;
    } *descriptor;
};

extern void *_NSConcreteGlobalBlock[32], *_NSConcreteStackBlock[32], *_NSConcreteMallocBlock[32];

/* Is the address on the calling thread's stack? */
static bool on_stack(const void *address)
{
    pthread_attr_t attributes;
    void *lowest = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes))
        return false;
    pthread_attr_getstack(&attributes, &lowest, &size);
    pthread_attr_destroy(&attributes);
    return (const char *)address >= (char *)lowest && (const char *)address < (char *)lowest + size;
}

/* A global block is kept by address, any other is copied, as _Block_copy does. */
static void *copy_block(id self, SEL _cmd, struct block *block)
{
    REFUSE_IF(!block, "block is NULL");
    REFUSE_IF(!block->invoke || !block->descriptor, "block without function or descriptor");
    REFUSE_IF(block->descriptor->size < 32 || block->descriptor->size > 4096, "block of %lu bytes",
              block->descriptor->size);
    if (block->class == (void *)_NSConcreteGlobalBlock) {
        REFUSE_IF(!(block->flags & (1 << 28)), "a global block without the flag BLOCK_IS_GLOBAL");
        REFUSE_IF(on_stack(block), "a global block on the stack: it is kept by address and gone when its function is");
        return block;
    }
    REFUSE_IF(block->class != (void *)_NSConcreteStackBlock, "not a block: its class is %p", block->class);
    REFUSE_IF(block->flags & (1 << 28), "a stack block with the flag BLOCK_IS_GLOBAL");
    struct block *copy = malloc(block->descriptor->size);
    if (!copy)
        abort();
    memcpy(copy, block, block->descriptor->size);
    copy->class = (void *)_NSConcreteMallocBlock;
    return copy;
}

- (void)addCompletedHandler:(void *)block
{
    REFUSE_IF(state > ENQUEUED, "the command buffer has been committed");
    handlers = realloc(handlers, (handler_count + 1) * sizeof *handlers);
    if (!handlers)
        abort();
    handlers[handler_count++] = copy_block(self, _cmd, block);
}
- (void)commit
{
    REFUSE_IF(fake_take(&in_call), "another thread encodes into this command buffer");
    REFUSE_IF(state > ENQUEUED, "committed before");
    REFUSE_IF(open_encoder, "an encoder is open");
    deduplicate(first, retains);
    for_each_buffer(first, 1);
    for (fake_operation *o = first; o; o = o->next) {
        for (size_t i = 0; i < o->result_count; i++)
            poison(&o->results[i]);
    }
    for (fake_operation *o = first; o; o = o->next) {
        for (size_t i = 0; i < o->result_count; i++)
            spoil(&o->results[i]);
    }
    pthread_mutex_lock(&lock);
    state = COMMITTED;
    pthread_mutex_unlock(&lock);
    fake_count(&fake_totals.commits, 1);
    fake_count(&unsettled, 1);
    [self retain];
    [queue commit:self];
    fake_give(&in_call);
}
- (bool)toldToFail
{
    return fake_counts_down(FAKE_FAIL_COMMIT);
}
- (void)execute
{
    const bool fails = [self toldToFail];
    started = now();
    for (fake_operation *o = first; o; o = o->next) {
        for (size_t i = 0; i < o->result_count; i++)
            restore(&o->results[i]);
    }
    for (fake_operation *o = first; o && !fails; o = o->next) {
        if (!fake_get(FAKE_EMPTY_KERNELS))
            o->run(o);
    }
    ended = now();
    for_each_buffer(first, -1);
    if (fails)
        failure = [[NSError errorWithText:"the stand-in was told to fail"
                                   domain:"MTLCommandBufferErrorDomain"
                                     code:(NSInteger)fake_get(FAKE_ERROR_CODE)] retain];
}
/* Runs on the queue's thread. Handlers see the final state; waiters return after the handlers. */
- (void)run
{
    void *pool = [[NSAutoreleasePool alloc] init];
    [self execute];
    const int final = failure ? FAILED : COMPLETED;
    pthread_mutex_lock(&lock);
    state = final;
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < handler_count; i++) {
        struct block *block = handlers[i];
        const bool copied = block->class == (void *)_NSConcreteMallocBlock;
        block->invoke(block, self);
        if (copied)
            free(block);
    }
    handler_count = 0;
    if (fake_get(FAKE_LINGER_US))
        usleep((useconds_t)fake_get(FAKE_LINGER_US));
    [queue givePlace];
    counted = false;
    pthread_mutex_lock(&lock);
    ended = ended > started ? ended : started;
    pthread_cond_broadcast(&changed);
    handled = true;
    pthread_mutex_unlock(&lock);
    [(id)pool drain];
    [self release];
}
- (void)waitUntilCompleted
{
    pthread_mutex_lock(&lock);
    REFUSE_IF(state < COMMITTED, "waited for before it was committed");
    while (!handled)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}
- (NSUInteger)status
{
    pthread_mutex_lock(&lock);
    const NSUInteger status = (NSUInteger)state;
    pthread_mutex_unlock(&lock);
    return status;
}
- (NSError *)error
{
    return [self status] == FAILED ? failure : nil;
}
- (CFTimeInterval)GPUStartTime
{
    return [self status] >= COMPLETED ? started : 0;
}
- (CFTimeInterval)GPUEndTime
{
    return [self status] >= COMPLETED ? ended : 0;
}
@end

/* ---- Queues ----------------------------------------------------------------------------------- */

void fake_settle(void)
{
    while (__atomic_load_n(&unsettled, __ATOMIC_ACQUIRE) > 0)
        usleep(100);
}

/* A queue that is freed on its own thread cannot join it; whoever comes next does. */
enum { MAX_ORPHANS = 64 };
static pthread_mutex_t orphans_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t orphans[MAX_ORPHANS];
static size_t orphan_count;
static __thread bool queue_is_gone; /* on a queue's thread: the queue was freed here */

static void leave_orphan(pthread_t thread)
{
    pthread_mutex_lock(&orphans_lock);
    if (orphan_count == MAX_ORPHANS)
        abort();
    orphans[orphan_count++] = thread;
    pthread_mutex_unlock(&orphans_lock);
    queue_is_gone = true;
}

void fake_join_queues(void)
{
    for (;;) {
        pthread_mutex_lock(&orphans_lock);
        const bool any = orphan_count > 0 && !pthread_equal(orphans[orphan_count - 1], pthread_self());
        const pthread_t thread = any ? orphans[--orphan_count] : pthread_self();
        pthread_mutex_unlock(&orphans_lock);
        if (!any)
            return;
        pthread_join(thread, NULL);
    }
}

static void *work(void *argument)
{
    FakeQueue *queue = argument;
    while (!queue_is_gone) {
        pthread_mutex_lock(&queue->lock);
        while (!queue->first && !queue->closing)
            pthread_cond_wait(&queue->changed, &queue->lock);
        FakeCommandBuffer *next = queue->first;
        if (next) {
            queue->first = next->after;
            if (!queue->first)
                queue->last = &queue->first;
        }
        pthread_mutex_unlock(&queue->lock);
        if (!next)
            return NULL;
        if (fake_get(FAKE_DELAY_US))
            usleep((useconds_t)fake_get(FAKE_DELAY_US));
        [next run];
        __atomic_sub_fetch(&unsettled, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

@implementation FakeQueue
- (id)initOn:(FakeDevice *)on places:(NSUInteger)count
{
    device = [on retain];
    places = count;
    last = &first;
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&changed, NULL);
    fake_join_queues();
    if (pthread_create(&worker, NULL, work, self))
        abort();
    return self;
}
/* May run on the queue's own thread, when the last command buffer held the last reference. */
- (void)dealloc
{
    pthread_mutex_lock(&lock);
    REFUSE_IF(first, "freed with work waiting");
    closing = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    if (pthread_equal(worker, pthread_self()))
        leave_orphan(worker);
    else
        pthread_join(worker, NULL);
    [label release];
    [device release];
    [super dealloc];
}
- (FakeDevice *)device
{
    return device;
}
- (NSString *)label
{
    return label;
}
- (void)setLabel:(NSString *)text
{
    fake_check_object(self, _cmd, "label", text, [NSString class]);
    [text retain];
    [label release];
    label = text;
}

/* Blocks while all places are taken, as Metal does; for ever is a defect of the caller and ends the process. */
- (void)takePlace:(SEL)selector
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&lock);
    while (places == 0) {
        if (pthread_cond_timedwait(&changed, &lock, &until))
            fake_misuse(self, selector, "no place for a command buffer in 60 seconds");
    }
    places--;
    pthread_mutex_unlock(&lock);
}
- (void)givePlace
{
    pthread_mutex_lock(&lock);
    places++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}
- (id)makeCommandBuffer:(bool)retains selector:(SEL)selector
{
    if (fake_creation_fails())
        return nil;
    [self takePlace:selector];
    FakeCommandBuffer *buffer = [[FakeCommandBuffer alloc] init];
    buffer->queue = [self retain];
    buffer->retains = retains;
    buffer->counted = true;
    fake_count(&fake_totals.command_buffers, 1);
    return [buffer autorelease];
}
- (id)commandBuffer
{
    return [self makeCommandBuffer:true selector:_cmd];
}
- (id)commandBufferWithUnretainedReferences
{
    return [self makeCommandBuffer:false selector:_cmd];
}
- (void)commit:(FakeCommandBuffer *)buffer
{
    pthread_mutex_lock(&lock);
    buffer->after = nil;
    *last = buffer;
    last = &buffer->after;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}
@end
