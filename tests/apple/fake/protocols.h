/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocols.h: Metal's protocols, as far as the backend speaks to them, so that its start-up check of type
 * encodings finds them registered as it does on a Mac. Declared in our own words after Apple's reference.
 */
#ifndef FAKE_PROTOCOLS_H
#define FAKE_PROTOCOLS_H

#include "runtime.h"

typedef struct {
    NSUInteger width, height, depth;
} MTLSize;
typedef struct {
    NSUInteger x, y, z;
} MTLOrigin;

@class MTLCompileOptions, FakeDevice, FakeQueue, FakeBuffer, FakeFunction, FakePipeline;

@protocol MTLDevice
- (NSString *)name;
- (uint64_t)registryID;
- (BOOL)hasUnifiedMemory;
- (uint64_t)recommendedMaxWorkingSetSize;
- (NSUInteger)maxBufferLength;
- (NSUInteger)maxThreadgroupMemoryLength;
- (MTLSize)maxThreadsPerThreadgroup;
- (BOOL)supportsFamily:(NSInteger)family;
- (id)newCommandQueue;
- (id)newCommandQueueWithMaxCommandBufferCount:(NSUInteger)count;
- (id)newBufferWithLength:(NSUInteger)length options:(NSUInteger)options;
- (id)newBufferWithBytes:(const void *)bytes length:(NSUInteger)length options:(NSUInteger)options;
- (id)newBufferWithBytesNoCopy:(void *)bytes
                        length:(NSUInteger)length
                       options:(NSUInteger)options
                   deallocator:(void *)block;
- (id)newLibraryWithSource:(NSString *)source options:(MTLCompileOptions *)options error:(NSError **)error;
- (id)newComputePipelineStateWithFunction:(FakeFunction *)function error:(NSError **)error;
@end

@protocol MTLResource
- (FakeDevice *)device;
- (NSUInteger)storageMode;
- (NSUInteger)resourceOptions;
- (NSUInteger)allocatedSize;
- (void)setLabel:(NSString *)label;
@end

@protocol MTLBuffer <MTLResource>
- (void *)contents;
- (NSUInteger)length;
- (uint64_t)gpuAddress;
- (void)didModifyRange:(NSRange)range;
@end

@protocol MTLCommandQueue
- (FakeDevice *)device;
- (NSString *)label;
- (void)setLabel:(NSString *)label;
- (id)commandBuffer;
- (id)commandBufferWithUnretainedReferences;
@end

@protocol MTLCommandBuffer
- (FakeDevice *)device;
- (FakeQueue *)commandQueue;
- (BOOL)retainedReferences;
- (NSString *)label;
- (void)setLabel:(NSString *)label;
- (void)enqueue;
- (void)commit;
- (void)addCompletedHandler:(void *)block;
- (void)waitUntilCompleted;
- (NSUInteger)status;
- (NSError *)error;
- (CFTimeInterval)GPUStartTime;
- (CFTimeInterval)GPUEndTime;
- (id)blitCommandEncoder;
- (id)computeCommandEncoder;
- (id)computeCommandEncoderWithDispatchType:(NSUInteger)type;
@end

@protocol MTLCommandEncoder
- (FakeDevice *)device;
- (void)setLabel:(NSString *)label;
- (void)endEncoding;
@end

@protocol MTLBlitCommandEncoder <MTLCommandEncoder>
- (void)copyFromBuffer:(FakeBuffer *)source
          sourceOffset:(NSUInteger)from
              toBuffer:(FakeBuffer *)target
     destinationOffset:(NSUInteger)to
                  size:(NSUInteger)size;
- (void)fillBuffer:(FakeBuffer *)buffer range:(NSRange)range value:(uint8_t)value;
- (void)synchronizeResource:(FakeBuffer *)buffer;
@end

@protocol MTLComputeCommandEncoder <MTLCommandEncoder>
- (void)setComputePipelineState:(FakePipeline *)state;
- (void)setBuffer:(FakeBuffer *)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)index;
- (void)setBytes:(const void *)bytes length:(NSUInteger)length atIndex:(NSUInteger)index;
- (void)dispatchThreadgroups:(MTLSize)groups threadsPerThreadgroup:(MTLSize)threads;
@end

@protocol MTLLibrary
- (FakeDevice *)device;
- (id)newFunctionWithName:(NSString *)name;
@end

@protocol MTLFunction
- (FakeDevice *)device;
@end

@protocol MTLComputePipelineState
- (FakeDevice *)device;
- (NSUInteger)maxTotalThreadsPerThreadgroup;
- (NSUInteger)threadExecutionWidth;
@end

#endif /* FAKE_PROTOCOLS_H */
