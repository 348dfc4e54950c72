/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mps_product.m: MPSMatrixMultiplication and MPSMatrixVectorMultiplication: their arguments and the type pairs that
 * they take; any other pair ends the process, as it does on a Mac.
 */
#include "metal.h"

static void check_factors(id self, SEL _cmd, NSUInteger m, NSUInteger n, NSUInteger k)
{
    fake_check_size(self, _cmd, "result rows", m);
    fake_check_size(self, _cmd, "result columns", n);
    fake_check_size(self, _cmd, "interior columns", k);
    REFUSE_IF(m == 0 || n == 0 || k == 0, "an empty product: %lu x %lu x %lu", m, n, k);
}

@implementation MPSMatrixMultiplication
- (id)initWithDevice:(id)on
{
    fake_misuse(self, _cmd, "this initialiser is unavailable");
}
- (id)initWithDevice:(id)on
       transposeLeft:(BOOL)left
      transposeRight:(BOOL)right
          resultRows:(NSUInteger)m
       resultColumns:(NSUInteger)n
     interiorColumns:(NSUInteger)k
               alpha:(double)a
                beta:(double)b
{
    fake_check_bool(self, _cmd, left);
    fake_check_bool(self, _cmd, right);
    check_factors(self, _cmd, m, n, k);
    self = [super initWithDevice:on];
    if (self) {
        transpose_left = left;
        transpose_right = right;
        rows = m;
        columns = n;
        interior = k;
        alpha = a;
        beta = b;
    }
    return self;
}
- (void)setLeftMatrixOrigin:(MTLOrigin)origin
{
    [self setOrigin:0 to:origin by:_cmd];
}
- (void)setRightMatrixOrigin:(MTLOrigin)origin
{
    [self setOrigin:1 to:origin by:_cmd];
}
- (MTLOrigin)leftMatrixOrigin
{
    return origins[0];
}
- (MTLOrigin)rightMatrixOrigin
{
    return origins[1];
}

static bool pair_allowed(uint32_t left, uint32_t right, uint32_t result)
{
    if (left != right)
        return false;
    switch (left) {
    case FAKE_F32:
    case FAKE_I16:
        return result == FAKE_F32;
    case FAKE_F16:
    case FAKE_I8:
        return result == FAKE_F16 || result == FAKE_F32;
    default:
        return false;
    }
}

- (void)encodeToCommandBuffer:(FakeCommandBuffer *)command_buffer
                   leftMatrix:(MPSMatrix *)left
                  rightMatrix:(MPSMatrix *)right
                 resultMatrix:(MPSMatrix *)result
{
    fake_check_object(self, _cmd, "command buffer", command_buffer, [FakeCommandBuffer class]);
    fake_check_object(self, _cmd, "result", result, [MPSMatrix class]);
    [self enter:_cmd];
    [command_buffer beginEncodingFrom:self selector:_cmd device:device];
    const NSUInteger batch = fake_batch(self, _cmd, result->matrices);
    fake_arithmetic work = {
        .kind = FAKE_PRODUCT,
        .view_count = 3,
        .batch = batch,
        .views = {fake_view_of_matrix(self, _cmd, "left", left, 0, transpose_left ? interior : rows,
                                      transpose_left ? rows : interior, batch),
                  fake_view_of_matrix(self, _cmd, "right", right, 1, transpose_right ? columns : interior,
                                      transpose_right ? interior : columns, batch),
                  fake_view_of_matrix(self, _cmd, "result", result, 2, rows, columns, batch)},
        .transpose_left = transpose_left,
        .transpose_right = transpose_right,
        .rows = rows,
        .columns = columns,
        .interior = interior,
        .alpha = alpha,
        .beta = beta};
    REFUSE_IF(!pair_allowed(left->type, right->type, result->type), "types %#x x %#x -> %#x", left->type, right->type,
              result->type);
    fake_encode(self, _cmd, command_buffer, &work, false);
    [command_buffer endEncoding];
    [self leave];
}
@end

@implementation MPSMatrixVectorMultiplication
- (id)initWithDevice:(id)on
{
    fake_misuse(self, _cmd, "this initialiser is unavailable");
}
- (id)initWithDevice:(id)on
           transpose:(BOOL)turned
                rows:(NSUInteger)m
             columns:(NSUInteger)k
               alpha:(double)a
                beta:(double)b
{
    fake_check_bool(self, _cmd, turned);
    check_factors(self, _cmd, m, 1, k);
    self = [super initWithDevice:on];
    if (self) {
        transpose = turned;
        rows = m;
        columns = k;
        alpha = a;
        beta = b;
    }
    return self;
}
- (void)encodeToCommandBuffer:(FakeCommandBuffer *)command_buffer
                  inputMatrix:(MPSMatrix *)matrix
                  inputVector:(MPSVector *)vector
                 resultVector:(MPSVector *)result
{
    fake_check_object(self, _cmd, "command buffer", command_buffer, [FakeCommandBuffer class]);
    fake_check_object(self, _cmd, "result", result, [MPSVector class]);
    [self enter:_cmd];
    [command_buffer beginEncodingFrom:self selector:_cmd device:device];
    const NSUInteger batch = fake_batch(self, _cmd, result->vectors);
    fake_arithmetic work = {
        .kind = FAKE_PRODUCT,
        .view_count = 3,
        .batch = batch,
        .views = {fake_view_of_matrix(self, _cmd, "matrix", matrix, 0, transpose ? columns : rows,
                                      transpose ? rows : columns, batch),
                  fake_view_of_vector(self, _cmd, "vector", vector, origins[1], columns, batch),
                  fake_view_of_vector(self, _cmd, "result", result, origins[2], rows, batch)},
        .transpose_right = !transpose,
        .rows = 1,
        .columns = rows,
        .interior = columns,
        .alpha = alpha,
        .beta = beta};
    const bool allowed = matrix->type == vector->type &&
                         ((matrix->type == FAKE_F32 && result->type == FAKE_F32) ||
                          (matrix->type == FAKE_F16 && (result->type == FAKE_F16 || result->type == FAKE_F32)));
    REFUSE_IF(!allowed, "types %#x x %#x -> %#x", matrix->type, vector->type, result->type);
    /* As the row vector x * op(A) transposed: the vector is the left operand, the matrix the right one. */
    const fake_view stored = work.views[0];
    work.views[0] = work.views[1];
    work.views[1] = stored;
    fake_encode(self, _cmd, command_buffer, &work, false);
    [command_buffer endEncoding];
    [self leave];
}
@end
