/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mps_data.m: descriptors of matrices and vectors, and MPSMatrix and MPSVector over a buffer. Refuses every
 * layout that MPS asserts on, an empty matrix among them.
 */
#include "metal.h"

static void check_type(id self, SEL _cmd, uint32_t type)
{
    const size_t bytes = fake_element_bytes(type);
    const bool known = type == 0x08 || type == 0x10 || type == 0x20 || type == 0x20000008 || type == 0x20000010 ||
                       type == 0x20000020 || type == FAKE_F16 || type == FAKE_F32 || type == 0x90000010;
    REFUSE_IF(!known || bytes == 0, "data type %#x", type);
}

@implementation MPSMatrixDescriptor
+ (id)matrixDescriptorWithRows:(NSUInteger)rows
                       columns:(NSUInteger)columns
                      matrices:(NSUInteger)matrices
                      rowBytes:(NSUInteger)rowBytes
                   matrixBytes:(NSUInteger)matrixBytes
                      dataType:(uint32_t)type
{
    check_type((id)self, _cmd, type);
    const size_t element = fake_element_bytes(type);
    fake_check_size((id)self, _cmd, "rows", rows);
    fake_check_size((id)self, _cmd, "columns", columns);
    fake_check_size((id)self, _cmd, "matrices", matrices);
    fake_check_size((id)self, _cmd, "rowBytes", rowBytes);
    fake_check_size((id)self, _cmd, "matrixBytes", matrixBytes);
    REFUSE_IF(rows == 0 || columns == 0 || matrices == 0, "an empty matrix: %lu x %lu, %lu of them", rows, columns,
              matrices);
    REFUSE_IF(rowBytes % element || rowBytes < columns * element, "rowBytes %lu for %lu columns of %zu bytes",
              rowBytes, columns, element);
    REFUSE_IF(matrixBytes % rowBytes || matrixBytes < rows * rowBytes, "matrixBytes %lu for %lu rows of %lu bytes",
              matrixBytes, rows, rowBytes);
    if (fake_creation_fails())
        return nil;
    MPSMatrixDescriptor *made = [[self alloc] init];
    made->rows = rows;
    made->columns = columns;
    made->matrices = matrices;
    made->row_bytes = rowBytes;
    made->matrix_bytes = matrixBytes;
    made->type = type;
    return [made autorelease];
}
+ (id)matrixDescriptorWithRows:(NSUInteger)rows
                       columns:(NSUInteger)columns
                      rowBytes:(NSUInteger)rowBytes
                      dataType:(uint32_t)type
{
    return [self matrixDescriptorWithRows:rows
                                  columns:columns
                                 matrices:1
                                 rowBytes:rowBytes
                              matrixBytes:rows * rowBytes
                                 dataType:type];
}
@end

@implementation MPSVectorDescriptor
+ (id)vectorDescriptorWithLength:(NSUInteger)length
                         vectors:(NSUInteger)vectors
                     vectorBytes:(NSUInteger)vectorBytes
                        dataType:(uint32_t)type
{
    check_type((id)self, _cmd, type);
    const size_t element = fake_element_bytes(type);
    fake_check_size((id)self, _cmd, "length", length);
    fake_check_size((id)self, _cmd, "vectors", vectors);
    fake_check_size((id)self, _cmd, "vectorBytes", vectorBytes);
    REFUSE_IF(length == 0 || vectors == 0, "an empty vector: %lu, %lu of them", length, vectors);
    REFUSE_IF(vectorBytes % element || vectorBytes < length * element, "vectorBytes %lu for %lu elements of %zu bytes",
              vectorBytes, length, element);
    if (fake_creation_fails())
        return nil;
    MPSVectorDescriptor *made = [[self alloc] init];
    made->length = length;
    made->vectors = vectors;
    made->vector_bytes = vectorBytes;
    made->type = type;
    return [made autorelease];
}
@end

/* The buffer must hold everything up to the last element; the last row needs no padding. */
static void check_room(id self, SEL _cmd, FakeBuffer *buffer, size_t offset, size_t element, size_t needed)
{
    fake_check_object(self, _cmd, "buffer", buffer, [FakeBuffer class]);
    REFUSE_IF(offset % element, "offset %zu is not a multiple of the element's %zu bytes", offset, element);
    REFUSE_IF(needed > buffer->length || offset > buffer->length - needed,
              "%zu bytes from %zu on in a buffer of %lu", needed, offset, buffer->length);
}

@implementation MPSMatrix
- (id)initWithBuffer:(FakeBuffer *)memory offset:(NSUInteger)start descriptor:(MPSMatrixDescriptor *)descriptor
{
    fake_check_object(self, _cmd, "descriptor", descriptor, [MPSMatrixDescriptor class]);
    const size_t element = fake_element_bytes(descriptor->type);
    check_room(self, _cmd, memory, start, element,
               (descriptor->matrices - 1) * descriptor->matrix_bytes + (descriptor->rows - 1) * descriptor->row_bytes +
                   descriptor->columns * element);
    if (fake_creation_fails()) {
        [self release];
        return nil;
    }
    buffer = [memory retain];
    offset = start;
    rows = descriptor->rows;
    columns = descriptor->columns;
    matrices = descriptor->matrices;
    row_bytes = descriptor->row_bytes;
    matrix_bytes = descriptor->matrix_bytes;
    type = descriptor->type;
    return self;
}
- (id)initWithBuffer:(FakeBuffer *)memory descriptor:(MPSMatrixDescriptor *)descriptor
{
    return [self initWithBuffer:memory offset:0 descriptor:descriptor];
}
- (id)init
{
    fake_misuse(self, _cmd, "this initialiser is unavailable");
}
- (void)dealloc
{
    [buffer release];
    [super dealloc];
}
- (NSUInteger)rows
{
    return rows;
}
- (NSUInteger)columns
{
    return columns;
}
- (FakeBuffer *)data
{
    return buffer;
}
@end

@implementation MPSVector
- (id)initWithBuffer:(FakeBuffer *)memory offset:(NSUInteger)start descriptor:(MPSVectorDescriptor *)descriptor
{
    fake_check_object(self, _cmd, "descriptor", descriptor, [MPSVectorDescriptor class]);
    const size_t element = fake_element_bytes(descriptor->type);
    check_room(self, _cmd, memory, start, element,
               (descriptor->vectors - 1) * descriptor->vector_bytes + descriptor->length * element);
    if (fake_creation_fails()) {
        [self release];
        return nil;
    }
    buffer = [memory retain];
    offset = start;
    length = descriptor->length;
    vectors = descriptor->vectors;
    vector_bytes = descriptor->vector_bytes;
    type = descriptor->type;
    return self;
}
- (id)initWithBuffer:(FakeBuffer *)memory descriptor:(MPSVectorDescriptor *)descriptor
{
    return [self initWithBuffer:memory offset:0 descriptor:descriptor];
}
- (id)init
{
    fake_misuse(self, _cmd, "this initialiser is unavailable");
}
- (void)dealloc
{
    [buffer release];
    [super dealloc];
}
- (NSUInteger)length
{
    return length;
}
- (FakeBuffer *)data
{
    return buffer;
}
@end
