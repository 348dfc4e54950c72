/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mps_neural.m: MPSMatrixSoftMax, MPSMatrixLogSoftMax, MPSMatrixNeuron, MPSMatrixFullyConnected. All operands of one
 * encode have one type, f32 or f16; sizes left at NSUIntegerMax are what the source's origin leaves.
 */
#include "metal.h"

#include <stdlib.h>
#include <string.h>

static void check_type(id self, SEL _cmd, uint32_t type, uint32_t other)
{
    REFUSE_IF(type != other || (type != FAKE_F32 && type != FAKE_F16), "types %#x and %#x", type, other);
}

static void check_extent(id self, SEL _cmd, NSUInteger size)
{
    REFUSE_IF(size == 0, "size is 0");
    if (size != (NSUInteger)-1)
        fake_check_size(self, _cmd, "size", size);
}

static void check_neuron(id self, SEL _cmd, int32_t type)
{
    REFUSE_IF(type < 0 || type > 15, "neuron type %d", type);
    REFUSE_IF(type == 10, "PReLU has a setter of its own");
}

/* ---- Softmax ---------------------------------------------------------------------------------- */

@implementation MPSMatrixSoftMax
- (id)initWithDevice:(id)on
{
    self = [super initWithDevice:on];
    if (self)
        source_rows = source_columns = (NSUInteger)-1;
    return self;
}
- (void)setSourceRows:(NSUInteger)rows
{
    check_extent(self, _cmd, rows);
    [self enter:_cmd];
    source_rows = rows;
    [self leave];
}
- (void)setSourceColumns:(NSUInteger)columns
{
    check_extent(self, _cmd, columns);
    [self enter:_cmd];
    source_columns = columns;
    [self leave];
}
- (fake_kind)kind
{
    return FAKE_SOFTMAX;
}
- (void)encodeToCommandBuffer:(FakeCommandBuffer *)command_buffer
                  inputMatrix:(MPSMatrix *)source
                 resultMatrix:(MPSMatrix *)result
{
    fake_check_object(self, _cmd, "command buffer", command_buffer, [FakeCommandBuffer class]);
    fake_check_object(self, _cmd, "result", result, [MPSMatrix class]);
    [self enter:_cmd];
    [command_buffer beginEncodingFrom:self selector:_cmd device:device];
    const NSUInteger batch = fake_batch(self, _cmd, result->matrices);
    const fake_view from =
        fake_view_of_matrix(self, _cmd, "source", source, 0, source_rows, source_columns, batch);
    check_type(self, _cmd, source->type, result->type);
    const fake_arithmetic work = {
        .kind = [self kind],
        .view_count = 2,
        .batch = batch,
        .views = {from, fake_view_of_matrix(self, _cmd, "result", result, 2, from.rows, from.columns, batch)},
        .rows = from.rows,
        .columns = from.columns};
    fake_encode(self, _cmd, command_buffer, &work, true);
    [command_buffer endEncoding];
    [self leave];
}
@end

@implementation MPSMatrixLogSoftMax
- (fake_kind)kind
{
    return FAKE_LOG_SOFTMAX;
}
@end

/* ---- Neuron ----------------------------------------------------------------------------------- */

@implementation MPSMatrixNeuron
- (id)initWithDevice:(id)on
{
    self = [super initWithDevice:on];
    if (self) {
        source_rows = source_columns = (NSUInteger)-1;
        alpha = 1;
    }
    return self;
}
- (void)dealloc
{
    [slopes release];
    [super dealloc];
}
- (void)retainCopied
{
    [slopes retain];
}
- (void)setNeuronType:(int32_t)type parameterA:(float)x parameterB:(float)y parameterC:(float)z
{
    check_neuron(self, _cmd, type);
    [self enter:_cmd];
    neuron = type;
    a = x;
    b = y;
    c = z;
    [self leave];
}
- (void)setNeuronToPReLUWithParametersA:(NSData *)values
{
    fake_check_object(self, _cmd, "parameters", values, [NSData class]);
    [self enter:_cmd];
    [values retain];
    [slopes release];
    slopes = values;
    neuron = 10;
    [self leave];
}
- (void)setAlpha:(double)value
{
    [self enter:_cmd];
    alpha = value;
    [self leave];
}
- (void)setSourceNumberOfFeatureVectors:(NSUInteger)rows
{
    check_extent(self, _cmd, rows);
    [self enter:_cmd];
    source_rows = rows;
    [self leave];
}
- (void)setSourceInputFeatureChannels:(NSUInteger)columns
{
    check_extent(self, _cmd, columns);
    [self enter:_cmd];
    source_columns = columns;
    [self leave];
}

/* One slope per column, copied at encode as all of a kernel's state is. */
- (float *)copySlopes:(NSUInteger)columns for:(SEL)selector
{
    if (neuron != 10)
        return NULL;
    if ([slopes length] != columns * sizeof(float))
        fake_misuse(self, selector, "%lu bytes of PReLU parameters for %lu columns", [slopes length], columns);
    float *copy = malloc(columns * sizeof(float));
    if (!copy)
        abort();
    return memcpy(copy, [slopes bytes], columns * sizeof(float));
}
- (void)encodeToCommandBuffer:(FakeCommandBuffer *)command_buffer
                  inputMatrix:(MPSMatrix *)source
                   biasVector:(MPSVector *)bias
                 resultMatrix:(MPSMatrix *)result
{
    fake_check_object(self, _cmd, "command buffer", command_buffer, [FakeCommandBuffer class]);
    fake_check_object(self, _cmd, "result", result, [MPSMatrix class]);
    [self enter:_cmd];
    [command_buffer beginEncodingFrom:self selector:_cmd device:device];
    const NSUInteger batch = fake_batch(self, _cmd, result->matrices);
    const MTLOrigin start = {0, 0, 0};
    const fake_view from =
        fake_view_of_matrix(self, _cmd, "source", source, 0, source_rows, source_columns, batch);
    check_type(self, _cmd, source->type, result->type);
    if (bias)
        fake_check_object(self, _cmd, "bias", bias, [MPSVector class]);
    check_type(self, _cmd, source->type, bias ? bias->type : source->type);
    const fake_arithmetic work = {
        .kind = FAKE_NEURON,
        .view_count = 3,
        .batch = batch,
        .views = {from,
                  bias ? fake_view_of_vector(self, _cmd, "bias", bias, start, from.columns, batch) : (fake_view){0},
                  fake_view_of_matrix(self, _cmd, "result", result, 2, from.rows, from.columns, batch)},
        .rows = from.rows,
        .columns = from.columns,
        .alpha = alpha,
        .neuron = neuron,
        .a = a,
        .b = b,
        .c = c,
        .slopes = [self copySlopes:from.columns for:_cmd]};
    fake_encode(self, _cmd, command_buffer, &work, true);
    [command_buffer endEncoding];
    [self leave];
}
@end

/* ---- Fully connected -------------------------------------------------------------------------- */

@implementation MPSMatrixFullyConnected
- (id)initWithDevice:(id)on
{
    self = [super initWithDevice:on];
    if (self) {
        source_rows = inputs = outputs = (NSUInteger)-1;
        alpha = 1;
    }
    return self;
}
- (void)setNeuronType:(int32_t)type parameterA:(float)x parameterB:(float)y parameterC:(float)z
{
    check_neuron(self, _cmd, type);
    [self enter:_cmd];
    neuron = type;
    a = x;
    b = y;
    c = z;
    [self leave];
}
- (void)setAlpha:(double)value
{
    [self enter:_cmd];
    alpha = value;
    [self leave];
}
- (void)setSourceNumberOfFeatureVectors:(NSUInteger)rows
{
    check_extent(self, _cmd, rows);
    [self enter:_cmd];
    source_rows = rows;
    [self leave];
}
- (void)setSourceInputFeatureChannels:(NSUInteger)columns
{
    check_extent(self, _cmd, columns);
    [self enter:_cmd];
    inputs = columns;
    [self leave];
}
- (void)setSourceOutputFeatureChannels:(NSUInteger)columns
{
    check_extent(self, _cmd, columns);
    [self enter:_cmd];
    outputs = columns;
    [self leave];
}
- (void)encodeToCommandBuffer:(FakeCommandBuffer *)command_buffer
                  inputMatrix:(MPSMatrix *)source
                 weightMatrix:(MPSMatrix *)weights
                   biasVector:(MPSVector *)bias
                 resultMatrix:(MPSMatrix *)result
{
    fake_check_object(self, _cmd, "command buffer", command_buffer, [FakeCommandBuffer class]);
    fake_check_object(self, _cmd, "result", result, [MPSMatrix class]);
    [self enter:_cmd];
    [command_buffer beginEncodingFrom:self selector:_cmd device:device];
    const NSUInteger batch = fake_batch(self, _cmd, result->matrices);
    const MTLOrigin start = {0, 0, 0};
    const fake_view from = fake_view_of_matrix(self, _cmd, "source", source, 0, source_rows, inputs, batch);
    const fake_view by = fake_view_of_matrix(self, _cmd, "weights", weights, 1, from.columns, outputs, batch);
    check_type(self, _cmd, source->type, weights->type);
    check_type(self, _cmd, source->type, result->type);
    if (bias)
        fake_check_object(self, _cmd, "bias", bias, [MPSVector class]);
    check_type(self, _cmd, source->type, bias ? bias->type : source->type);
    const fake_arithmetic work = {
        .kind = FAKE_LAYER,
        .view_count = 4,
        .batch = batch,
        .views = {from, by,
                  bias ? fake_view_of_vector(self, _cmd, "bias", bias, start, by.columns, batch) : (fake_view){0},
                  fake_view_of_matrix(self, _cmd, "result", result, 2, from.rows, by.columns, batch)},
        .rows = from.rows,
        .columns = by.columns,
        .interior = from.columns,
        .alpha = alpha,
        .neuron = neuron,
        .a = a,
        .b = b,
        .c = c};
    fake_encode(self, _cmd, command_buffer, &work, false);
    [command_buffer endEncoding];
    [self leave];
}
@end
