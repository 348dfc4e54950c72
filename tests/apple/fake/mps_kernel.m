/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mps_kernel.m: what all MPS kernels share: options, origins, batch range, copying to another device, resolving
 * operands and recording. The kernels themselves are in mps_product.m and mps_neural.m.
 */
#include "metal.h"

#include <stdlib.h>
#include <string.h>

@implementation MPSKernel
- (id)initWithDevice:(id)on
{
    fake_check_object(self, _cmd, "device", on, [FakeDevice class]);
    if (fake_creation_fails()) {
        [self release];
        return nil;
    }
    device = [on retain];
    batch_size = (NSUInteger)-1;
    fake_give(&in_call);
    return self;
}
- (id)init
{
    fake_misuse(self, _cmd, "this initialiser is unavailable");
}
- (void)dealloc
{
    REFUSE_IF(fake_take(&in_call), "freed while another thread is inside");
    [device release];
    [label release];
    [super dealloc];
}
- (void)enter:(SEL)selector
{
    if (fake_take(&in_call))
        fake_misuse(self, selector, "two threads inside one kernel");
}
- (void)leave
{
    fake_give(&in_call);
}

/* The copy has everything that the original has; what is counted is counted again. */
- (id)copyWithZone:(struct _NSZone *)zone device:(id)on
{
    REFUSE_IF(zone, "a zone: they are gone since 10.6");
    if (on)
        fake_check_object(self, _cmd, "device", on, [FakeDevice class]);
    if (fake_creation_fails())
        return nil;
    [self enter:_cmd];
    MPSKernel *copy = [object_getClass(self) alloc];
    const size_t header = class_getInstanceSize([NSObject class]);
    memcpy((char *)copy + header, (char *)self + header, class_getInstanceSize(object_getClass(self)) - header);
    fake_give(&copy->in_call);
    copy->device = [on ? on : device retain];
    [copy->label retain];
    [copy retainCopied];
    [self leave];
    return copy;
}
- (void)retainCopied
{
}
- (FakeDevice *)device
{
    return device;
}
- (NSUInteger)options
{
    return options;
}
- (void)setOptions:(NSUInteger)chosen
{
    [self enter:_cmd];
    REFUSE_IF(chosen > 31, "options %#lx", chosen);
    options = chosen;
    [self leave];
}
- (void)setLabel:(NSString *)text
{
    fake_check_object(self, _cmd, "label", text, [NSString class]);
    [self enter:_cmd];
    NSString *copy = [[NSString alloc] initWithUTF8String:[text UTF8String]];
    [label release];
    label = copy;
    [self leave];
}
@end

@implementation FakeMatrixKernel
- (void)setOrigin:(unsigned)index to:(MTLOrigin)origin by:(SEL)selector
{
    [self enter:selector];
    if (origin.z != 0)
        fake_misuse(self, selector, "z of the origin is %lu: x is the row, y the column, z is 0", origin.z);
    fake_check_size(self, selector, "row of the origin", origin.x);
    fake_check_size(self, selector, "column of the origin", origin.y);
    origins[index] = origin;
    [self leave];
}
- (void)setBatchStart:(NSUInteger)start
{
    fake_check_size(self, _cmd, "batchStart", start);
    [self enter:_cmd];
    batch_start = start;
    [self leave];
}
- (void)setBatchSize:(NSUInteger)size
{
    REFUSE_IF(size == 0, "batchSize is 0");
    if (size != (NSUInteger)-1)
        fake_check_size(self, _cmd, "batchSize", size);
    [self enter:_cmd];
    batch_size = size;
    [self leave];
}
- (NSUInteger)batchStart
{
    return batch_start;
}
- (NSUInteger)batchSize
{
    return batch_size;
}
- (void)setResultMatrixOrigin:(MTLOrigin)origin
{
    [self setOrigin:2 to:origin by:_cmd];
}
- (MTLOrigin)resultMatrixOrigin
{
    return origins[2];
}
@end

@implementation MPSMatrixUnaryKernel
- (void)setSourceMatrixOrigin:(MTLOrigin)origin
{
    [self setOrigin:0 to:origin by:_cmd];
}
- (MTLOrigin)sourceMatrixOrigin
{
    return origins[0];
}
@end

@implementation MPSMatrixBinaryKernel
- (void)setPrimarySourceMatrixOrigin:(MTLOrigin)origin
{
    [self setOrigin:0 to:origin by:_cmd];
}
- (void)setSecondarySourceMatrixOrigin:(MTLOrigin)origin
{
    [self setOrigin:1 to:origin by:_cmd];
}
- (MTLOrigin)primarySourceMatrixOrigin
{
    return origins[0];
}
- (MTLOrigin)secondarySourceMatrixOrigin
{
    return origins[1];
}
@end

/* ---- Operands --------------------------------------------------------------------------------- */

NSUInteger fake_batch(FakeMatrixKernel *kernel, SEL selector, NSUInteger matrices)
{
    if (kernel->batch_start >= matrices)
        fake_misuse(kernel, selector, "batchStart %lu of %lu matrices", kernel->batch_start, matrices);
    const NSUInteger left = matrices - kernel->batch_start;
    return kernel->batch_size == (NSUInteger)-1 ? left : kernel->batch_size;
}

/* What the kernel takes along one dimension from `origin` on; NSUIntegerMax is all that is left. */
static NSUInteger fit(id kernel, SEL selector, const char *what, const char *dimension, NSUInteger origin,
                      NSUInteger wanted, NSUInteger available)
{
    if (origin >= available)
        fake_misuse(kernel, selector, "%s: origin %lu is past the %lu %s", what, origin, available, dimension);
    if (wanted == (NSUInteger)-1)
        return available - origin;
    if (wanted == 0 || wanted > available - origin)
        fake_misuse(kernel, selector, "%s: %lu %s from %lu on, the matrix has %lu", what, wanted, dimension, origin,
                    available);
    return wanted;
}

static void check_operand(FakeMatrixKernel *kernel, SEL selector, const char *what, FakeBuffer *buffer,
                          NSUInteger matrices, NSUInteger batch)
{
    fake_check_object(kernel, selector, what, buffer, [FakeBuffer class]);
    if (buffer->device != kernel->device)
        fake_misuse(kernel, selector, "%s is another device's", what);
    if (kernel->batch_start + batch > matrices)
        fake_misuse(kernel, selector, "%s: matrices %lu to %lu, there are %lu", what, kernel->batch_start,
                    kernel->batch_start + batch, matrices);
}

fake_view fake_view_of_matrix(FakeMatrixKernel *kernel, SEL selector, const char *what, MPSMatrix *matrix,
                              unsigned index, NSUInteger rows, NSUInteger columns, NSUInteger batch)
{
    const MTLOrigin origin = kernel->origins[index];
    fake_check_object(kernel, selector, what, matrix, [MPSMatrix class]);
    check_operand(kernel, selector, what, matrix->buffer, matrix->matrices, batch);
    return (fake_view){
        .buffer = matrix->buffer,
        .rows = fit(kernel, selector, what, "rows", origin.x, rows, matrix->rows),
        .columns = fit(kernel, selector, what, "columns", origin.y, columns, matrix->columns),
        .offset = matrix->offset + kernel->batch_start * matrix->matrix_bytes + origin.x * matrix->row_bytes +
                  origin.y * fake_element_bytes(matrix->type),
        .row_bytes = matrix->row_bytes,
        .matrix_bytes = matrix->matrix_bytes,
        .type = matrix->type};
}

fake_view fake_view_of_vector(FakeMatrixKernel *kernel, SEL selector, const char *what, MPSVector *vector,
                              MTLOrigin origin, NSUInteger length, NSUInteger batch)
{
    fake_check_object(kernel, selector, what, vector, [MPSVector class]);
    check_operand(kernel, selector, what, vector->buffer, vector->vectors, batch);
    if (origin.y != 0)
        fake_misuse(kernel, selector, "%s: y of a vector's origin is %lu", what, origin.y);
    return (fake_view){.buffer = vector->buffer,
                       .rows = 1,
                       .columns = fit(kernel, selector, what, "elements", origin.x, length, vector->length),
                       .offset = vector->offset + kernel->batch_start * vector->vector_bytes +
                                 origin.x * fake_element_bytes(vector->type),
                       .row_bytes = vector->vector_bytes,
                       .matrix_bytes = vector->vector_bytes,
                       .type = vector->type};
}

/* ---- Recording -------------------------------------------------------------------------------- */

typedef struct arithmetic_operation {
    fake_operation operation;
    fake_arithmetic arithmetic;
} arithmetic_operation;

static void run_arithmetic(const fake_operation *operation)
{
    const fake_arithmetic *arithmetic = &((const arithmetic_operation *)operation)->arithmetic;
    unsigned char *bases[FAKE_MAX_VIEWS] = {NULL};
    for (size_t i = 0; i < arithmetic->view_count; i++) {
        if (arithmetic->views[i].buffer)
            bases[i] = ((FakeBuffer *)arithmetic->views[i].buffer)->bytes;
    }
    fake_compute(arithmetic, bases);
}

static void destroy_arithmetic(fake_operation *operation)
{
    free(((arithmetic_operation *)operation)->arithmetic.slopes);
}

static size_t extent(const fake_view *view, size_t batch)
{
    return (batch - 1) * view->matrix_bytes + (view->rows - 1) * view->row_bytes +
           view->columns * fake_element_bytes(view->type);
}

static size_t row_start(const fake_view *view, size_t row)
{
    return view->offset + row / view->rows * view->matrix_bytes + row % view->rows * view->row_bytes;
}

/* Row by row, since rectangles may interleave without meeting; products of rows too many to try count as apart. */
static bool overlap(const fake_view *x, const fake_view *y, size_t batch)
{
    const size_t x_bytes = x->columns * fake_element_bytes(x->type), y_bytes = y->columns * fake_element_bytes(y->type);
    if (x->buffer != y->buffer || x->offset >= y->offset + extent(y, batch) ||
        y->offset >= x->offset + extent(x, batch) || x->rows * batch > ((size_t)1 << 22) / (y->rows * batch))
        return false;
    for (size_t i = 0; i < x->rows * batch; i++) {
        const size_t from = row_start(x, i);
        for (size_t j = 0; j < y->rows * batch; j++) {
            const size_t other = row_start(y, j);
            if (from < other + y_bytes && other < from + x_bytes)
                return true;
        }
    }
    return false;
}

static void check_aliasing(FakeMatrixKernel *kernel, SEL selector, const fake_arithmetic *work, bool in_place)
{
    const fake_view *result = &work->views[work->view_count - 1];
    for (size_t i = 0; i + 1 < work->view_count; i++) {
        const fake_view *source = &work->views[i];
        const bool same = source->buffer == result->buffer && source->offset == result->offset &&
                          source->row_bytes == result->row_bytes && source->matrix_bytes == result->matrix_bytes;
        if (source->buffer && overlap(source, result, work->batch) && !(in_place && i == 0 && same))
            fake_misuse(kernel, selector, "the result overlaps operand %zu", i);
    }
}

static void *zeroed(size_t bytes)
{
    void *block = calloc(1, bytes);
    if (!block)
        abort();
    return block;
}

void fake_encode(FakeMatrixKernel *kernel, SEL selector, FakeCommandBuffer *command_buffer,
                 const fake_arithmetic *arithmetic, bool in_place)
{
    const fake_view *result = &arithmetic->views[arithmetic->view_count - 1];
    check_aliasing(kernel, selector, arithmetic, in_place);
    arithmetic_operation *made = zeroed(sizeof *made);
    made->arithmetic = *arithmetic;
    made->arithmetic.defects = (unsigned)fake_get(FAKE_DEFECTS);
    made->operation.run = run_arithmetic;
    made->operation.destroy = destroy_arithmetic;
    made->operation.buffers = zeroed(FAKE_MAX_VIEWS * sizeof(FakeBuffer *));
    for (size_t i = 0; i < arithmetic->view_count; i++) {
        if (arithmetic->views[i].buffer)
            made->operation.buffers[made->operation.buffer_count++] = arithmetic->views[i].buffer;
    }
    made->operation.results = zeroed(arithmetic->batch * sizeof(fake_region));
    made->operation.result_count = arithmetic->batch;
    for (size_t b = 0; b < arithmetic->batch; b++)
        made->operation.results[b] = (fake_region){.buffer = result->buffer,
                                                   .offset = result->offset + b * result->matrix_bytes,
                                                   .row_length = result->columns * fake_element_bytes(result->type),
                                                   .row_bytes = result->row_bytes,
                                                   .rows = result->rows};
    [command_buffer add:&made->operation];
    fake_count(&fake_totals.mps_encodes, 1);
}
