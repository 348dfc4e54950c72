/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.m: MTLDevice and the C functions of the Metal and MPS frameworks.
 *
 * Two devices, so that objects of the wrong one can be told: 0 is like an Apple GPU (unified memory), 1 like a
 * discrete one. They belong to the system: references are counted, they never go.
 */
#include "metal.h"

#include <stdlib.h>
#include <unistd.h>

enum { DEVICES = 2 };
static FakeDevice *devices[DEVICES];
static pthread_once_t devices_once = PTHREAD_ONCE_INIT;

static void make_devices(void)
{
    static const char *const names[DEVICES] = {"Fake M1", "Fake Discrete"};
    for (unsigned i = 0; i < DEVICES; i++) {
        devices[i] = [[FakeDevice alloc] init];
        devices[i]->name = [[NSString alloc] initWithUTF8String:names[i]];
        devices[i]->number = i;
        devices[i]->unified = i == 0;
    }
}

@implementation FakeDevice
+ (FakeDevice *)number:(unsigned)number
{
    pthread_once(&devices_once, make_devices);
    return number < DEVICES ? devices[number] : nil;
}
- (void)release
{
    REFUSE_IF(__atomic_fetch_sub(&referenceCount, 1, __ATOMIC_RELAXED) <= 1, "released more often than retained");
}

- (NSString *)name
{
    return name;
}
- (uint64_t)registryID
{
    return 0x1000 + number;
}
- (BOOL)hasUnifiedMemory
{
    return unified;
}
- (BOOL)isLowPower
{
    return 0;
}
- (BOOL)isHeadless
{
    return 0;
}
- (BOOL)isRemovable
{
    return 0;
}
- (uint64_t)recommendedMaxWorkingSetSize
{
    return (uint64_t)8 << 30;
}
- (NSUInteger)maxBufferLength
{
    return fake_get(FAKE_MAX_BUFFER);
}
- (NSUInteger)maxThreadgroupMemoryLength
{
    return 32768;
}
- (NSUInteger)currentAllocatedSize
{
    return fake_get_counts().buffer_bytes_live;
}
- (MTLSize)maxThreadsPerThreadgroup
{
    return (MTLSize){1024, 1024, 1024};
}
- (BOOL)supportsFamily:(NSInteger)family
{
    if (family >= 1001 && family <= 1099)
        return unified && (uint64_t)family <= fake_get(FAKE_FAMILY);
    return family == 2001 || family == 2002 || (family >= 3001 && family <= 3003) || family == 5001;
}

- (id)newCommandQueue
{
    return [self newCommandQueueWithMaxCommandBufferCount:64];
}
- (id)newCommandQueueWithMaxCommandBufferCount:(NSUInteger)count
{
    REFUSE_IF(count == 0 || count > 4096, "%lu command buffers", count);
    return fake_creation_fails() ? nil : [[FakeQueue alloc] initOn:self places:count];
}

/* Sizes and options that every buffer must obey. */
- (void)checkLength:(NSUInteger)length options:(NSUInteger)options for:(SEL)selector
{
    if (length == 0 || length > fake_get(FAKE_MAX_BUFFER))
        fake_misuse(self, selector, "length %lu is 0 or above maxBufferLength", length);
    const NSUInteger storage = options & FAKE_STORAGE_MASK;
    if (storage > FAKE_STORAGE_PRIVATE || (options & ~(NSUInteger)0x3f1))
        fake_misuse(self, selector, "resource options %#lx", options);
}
- (id)newBufferWithLength:(NSUInteger)length options:(NSUInteger)options
{
    [self checkLength:length options:options for:_cmd];
    return fake_creation_fails() ? nil : [[FakeBuffer alloc] initOn:self length:length options:options over:NULL];
}
- (id)newBufferWithBytes:(const void *)bytes length:(NSUInteger)length options:(NSUInteger)options
{
    [self checkLength:length options:options for:_cmd];
    REFUSE_IF(!bytes, "bytes are NULL");
    REFUSE_IF((options & FAKE_STORAGE_MASK) == FAKE_STORAGE_PRIVATE, "private storage cannot be filled by the host");
    if (fake_creation_fails())
        return nil;
    FakeBuffer *buffer = [[FakeBuffer alloc] initOn:self length:length options:options over:NULL];
    if (buffer) {
        __builtin_memcpy(buffer->bytes, bytes, length);
        if (buffer->host_bytes && buffer->host_bytes != buffer->bytes)
            __builtin_memcpy(buffer->host_bytes, bytes, length);
    }
    return buffer;
}
- (id)newBufferWithBytesNoCopy:(void *)bytes
                        length:(NSUInteger)length
                       options:(NSUInteger)options
                   deallocator:(void *)block
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    [self checkLength:length options:options for:_cmd];
    REFUSE_IF(!bytes || (uintptr_t)bytes % page, "pointer %p is not on a page of %zu bytes", bytes, page);
    REFUSE_IF(length % page, "length %lu is not whole pages of %zu bytes", length, page);
    REFUSE_IF((options & FAKE_STORAGE_MASK) != FAKE_STORAGE_SHARED, "storage is not shared");
    if (fake_creation_fails())
        return nil;
    FakeBuffer *buffer = [[FakeBuffer alloc] initOn:self length:length options:options over:bytes];
    if (buffer && block) {
        buffer->deallocator_block = block;
        buffer->deallocator = *(void (**)(void *, void *, NSUInteger))((char *)block + 16);
    }
    return buffer;
}

- (id)newLibraryWithSource:(NSString *)source options:(MTLCompileOptions *)compile error:(NSError **)error
{
    fake_check_object(self, _cmd, "source", source, [NSString class]);
    if (compile)
        fake_check_object(self, _cmd, "options", compile, [MTLCompileOptions class]);
    FakeLibrary *library = fake_creation_fails() ? nil : fake_library_from_source(self, source);
    if (!library && error)
        *error = [NSError errorWithText:"this text is none of those that were compiled for the stand-in"
                                 domain:"MTLLibraryErrorDomain"
                                   code:3];
    return library;
}
- (id)newComputePipelineStateWithFunction:(FakeFunction *)function error:(NSError **)error
{
    fake_check_object(self, _cmd, "function", function, [FakeFunction class]);
    REFUSE_IF(function->device != self, "function of another device");
    if (fake_creation_fails()) {
        if (error)
            *error = [NSError errorWithText:"told to fail" domain:"AGXMetal" code:2];
        return nil;
    }
    FakePipeline *pipeline = [[FakePipeline alloc] init];
    pipeline->device = self;
    pipeline->kernel = function->kernel;
    return pipeline;
}
@end

id MTLCreateSystemDefaultDevice(void)
{
    return [[FakeDevice number:0] retain];
}

id MTLCopyAllDevices(void)
{
    const id all[DEVICES] = {[FakeDevice number:0], [FakeDevice number:1]};
    return [[NSArray alloc] initWithObjects:all count:DEVICES];
}

BOOL MPSSupportsMTLDevice(id device)
{
    fake_check_object(nil, NULL, "MPSSupportsMTLDevice: device", device, [FakeDevice class]);
    return fake_get(FAKE_MPS_SUPPORT) != 0;
}

/* The devices' names are the only other objects of the system; they go last. */
void fake_release_devices(void)
{
    for (unsigned i = 0; i < DEVICES; i++) {
        if (devices[i]) {
            [devices[i]->name release];
            devices[i]->name = nil;
        }
    }
}
