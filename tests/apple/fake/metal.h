/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metal.h: the classes of the stand-in for Metal and Metal Performance Shaders, and the record of one operation.
 *
 * device.m, buffer.m, command.m, encoder.m and library.m are Metal; mps_data.m, mps_kernel.m, mps_product.m and
 * mps_neural.m are MPS; compute.c is arithmetic on records, run by command.m's thread. Declarations are in our
 * own words; the selectors and types are those of Apple's reference.
 */
#ifndef FAKE_METAL_H
#define FAKE_METAL_H

#include "compute.h"
#include "protocols.h"

@class FakeQueue, FakeBuffer, FakeLibrary, FakePipeline;

/* ---- Metal ------------------------------------------------------------------------------------ */

@interface FakeDevice : NSObject <MTLDevice> {
  @public
    NSString *name;
    unsigned number;
    bool unified;
}
+ (FakeDevice *)number:(unsigned)number;
@end

@interface FakeBuffer : NSObject <MTLBuffer> {
  @public
    FakeDevice *device;
    NSUInteger length;
    NSUInteger options;
    unsigned char *bytes;      /* what the device computes on */
    unsigned char *host_bytes; /* what `contents` gives: the same, a copy (managed) or NULL (private) */
    bool owns_bytes;
    void (*deallocator)(void *block, void *bytes, NSUInteger length);
    void *deallocator_block;
    pthread_mutex_t lock;
    unsigned in_flight; /* committed and unfinished command buffers that use it; under `lock` */
}
- (id)initOn:(FakeDevice *)on length:(NSUInteger)bytesLong options:(NSUInteger)chosen over:(void *)memory;
- (void)dealloc;
@end

enum { FAKE_STORAGE_SHARED = 0, FAKE_STORAGE_MANAGED = 16, FAKE_STORAGE_PRIVATE = 32, FAKE_STORAGE_MASK = 0xf0 };

/* A rectangle of bytes that an operation writes. */
typedef struct fake_region {
    FakeBuffer *buffer;
    size_t offset, row_length, row_bytes, rows;
    unsigned char *saved; /* while poisoned */
} fake_region;

/* One recorded operation. `run` computes; the buffers it uses are retained unless told otherwise. */
typedef struct fake_operation fake_operation;
struct fake_operation {
    fake_operation *next;
    void (*run)(const fake_operation *operation);
    void (*destroy)(fake_operation *operation); /* frees what hangs on it, or NULL */
    FakeBuffer **buffers;
    size_t buffer_count;
    fake_region *results; /* poisoned from commit until it runs */
    size_t result_count;
};

@interface FakeCommandBuffer : NSObject <MTLCommandBuffer> {
  @public
    FakeQueue *queue;
    bool retains;
    int state; /* MTLCommandBufferStatus; under `lock` */
    fake_operation *first, **last;
    void **handlers;
    size_t handler_count;
    id open_encoder; /* not retained */
    NSError *failure;
    NSString *label;
    double started, ended;
    bool in_call; /* a thread is inside an encode */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    FakeCommandBuffer *after; /* in the queue's list */
    bool counted;             /* holds one of the queue's places */
    bool handled;             /* every handler has returned; under `lock` */
}
/* The beginning of every encode: refuses a state or a device that Metal refuses. */
- (void)beginEncodingFrom:(id)caller selector:(SEL)selector device:(FakeDevice *)device;
- (void)endEncoding;
- (void)add:(fake_operation *)operation;
@end

@interface FakeQueue : NSObject <MTLCommandQueue> {
  @public
    FakeDevice *device;
    NSString *label;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t worker;
    FakeCommandBuffer *first, **last;
    NSUInteger places; /* command buffers that may still be made */
    bool closing;
}
- (id)initOn:(FakeDevice *)on places:(NSUInteger)count;
- (void)commit:(FakeCommandBuffer *)buffer;
- (void)givePlace;
@end

@interface FakeEncoder : NSObject <MTLCommandEncoder> {
  @public
    FakeCommandBuffer *command_buffer;
    NSString *label;
    bool ended;
}
- (id)initOn:(FakeCommandBuffer *)buffer;
- (void)endEncoding;
@end

@interface FakeBlitEncoder : FakeEncoder <MTLBlitCommandEncoder>
@end

enum { FAKE_ARGUMENT_SLOTS = 31 };

@interface FakeComputeEncoder : FakeEncoder <MTLComputeCommandEncoder> {
  @public
    FakePipeline *pipeline;
    FakeBuffer *buffers[FAKE_ARGUMENT_SLOTS];
    size_t offsets[FAKE_ARGUMENT_SLOTS];
    unsigned char *constants[FAKE_ARGUMENT_SLOTS];
    size_t constant_lengths[FAKE_ARGUMENT_SLOTS];
}
@end

struct msl_library;
struct msl_kernel;
struct msl_launch;

@interface MTLCompileOptions : NSObject {
  @public
    bool fast_math;
    NSUInteger language;
    NSInteger math_mode;
}
@end

@interface FakeLibrary : NSObject <MTLLibrary> {
  @public
    FakeDevice *device;
    const struct msl_library *contents;
}
@end

@interface FakeFunction : NSObject <MTLFunction> {
  @public
    FakeDevice *device;
    const struct msl_kernel *kernel;
}
@end

@interface FakePipeline : NSObject <MTLComputePipelineState> {
  @public
    FakeDevice *device;
    const struct msl_kernel *kernel;
}
@end

/* What runs a launch of the compiled shaders (library.m). */
const char *(*fake_shaders_run(void))(const struct msl_kernel *kernel, const struct msl_launch *launch);

/* The library whose text is exactly `source`, or NULL (library.m). */
FakeLibrary *fake_library_from_source(FakeDevice *device, NSString *source);

/* ---- MPS data --------------------------------------------------------------------------------- */

@interface MPSMatrixDescriptor : NSObject {
  @public
    NSUInteger rows, columns, matrices, row_bytes, matrix_bytes;
    uint32_t type;
}
@end

@interface MPSVectorDescriptor : NSObject {
  @public
    NSUInteger length, vectors, vector_bytes;
    uint32_t type;
}
@end

@interface MPSMatrix : NSObject {
  @public
    FakeBuffer *buffer;
    NSUInteger offset, rows, columns, matrices, row_bytes, matrix_bytes;
    uint32_t type;
}
@end

@interface MPSVector : NSObject {
  @public
    FakeBuffer *buffer;
    NSUInteger offset, length, vectors, vector_bytes;
    uint32_t type;
}
@end

/* ---- MPS kernels ------------------------------------------------------------------------------ */

@interface MPSKernel : NSObject {
  @public
    FakeDevice *device;
    NSUInteger options;
    NSString *label;
    NSUInteger batch_start, batch_size; /* size NSUIntegerMax: all there are */
    bool in_call;                       /* a thread is inside */
}
- (id)initWithDevice:(id)on;
/* Around every setter and encode: two threads inside one kernel is misuse. */
- (void)enter:(SEL)selector;
- (void)leave;
- (id)copyWithZone:(struct _NSZone *)zone device:(id)on;
/* After a copy: retains what the subclass holds. */
- (void)retainCopied;
@end

/* Origins of the operands: 0 primary or left or source, 1 secondary or right, 2 result. */
@interface FakeMatrixKernel : MPSKernel {
  @public
    MTLOrigin origins[3];
}
- (void)setOrigin:(unsigned)index to:(MTLOrigin)origin by:(SEL)selector;
@end

/* Resolves operand `index` of a kernel: the rows × columns from its origin on in the matrices of its batch.
   NSUIntegerMax sizes are clipped to what the origin leaves. Everything that does not fit is misuse. */
fake_view fake_view_of_matrix(FakeMatrixKernel *kernel, SEL selector, const char *what, MPSMatrix *matrix,
                              unsigned index, NSUInteger rows, NSUInteger columns, NSUInteger batch);
fake_view fake_view_of_vector(FakeMatrixKernel *kernel, SEL selector, const char *what, MPSVector *vector,
                              MTLOrigin origin, NSUInteger length, NSUInteger batch);
/* How many matrices the batch has, `matrices` being what the result holds. */
NSUInteger fake_batch(FakeMatrixKernel *kernel, SEL selector, NSUInteger matrices);

/* Records `arithmetic` on views 0 … count-1, of which the last is written. Views without a buffer are absent.
   `in_place`: the result may be the very view 0. */
void fake_encode(FakeMatrixKernel *kernel, SEL selector, FakeCommandBuffer *command_buffer,
                 const fake_arithmetic *arithmetic, bool in_place);

@interface MPSMatrixMultiplication : FakeMatrixKernel {
  @public
    bool transpose_left, transpose_right;
    NSUInteger rows, columns, interior;
    double alpha, beta;
}
@end

@interface MPSMatrixUnaryKernel : FakeMatrixKernel
@end

@interface MPSMatrixBinaryKernel : FakeMatrixKernel
@end

@interface MPSMatrixVectorMultiplication : MPSMatrixBinaryKernel {
  @public
    bool transpose;
    NSUInteger rows, columns;
    double alpha, beta;
}
@end

@interface MPSMatrixSoftMax : MPSMatrixUnaryKernel {
  @public
    NSUInteger source_rows, source_columns;
}
@end

@interface MPSMatrixLogSoftMax : MPSMatrixSoftMax
@end

@interface MPSMatrixNeuron : MPSMatrixUnaryKernel {
  @public
    NSUInteger source_rows, source_columns;
    double alpha;
    int neuron;
    float a, b, c;
    NSData *slopes;
}
@end

@interface MPSMatrixFullyConnected : MPSMatrixBinaryKernel {
  @public
    NSUInteger source_rows, inputs, outputs;
    double alpha;
    int neuron;
    float a, b, c;
}
@end

#endif /* FAKE_METAL_H */
