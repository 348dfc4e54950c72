# SPDX-License-Identifier: Apache-2.0
# matmul: values worked out by hand, through files.
. "$LIB"
npy make f4 2x3 a.npy 1 2 3 4 5 6
npy make f4 3x2 b.npy 1 2 3 4 5 6
npy make f4 2x3 bt.npy 1 3 5 2 4 6
npy make f4 3x2 at.npy 1 4 2 5 3 6
npy fortran f4 2x3 af.npy 1 2 3 4 5 6
npy fortran f4 3x2 bf.npy 1 2 3 4 5 6

run matmul a.npy b.npy -o c.npy
expect 0
says "matmul 2x3 * 3x2 -> 2x2 f32 on cpu: TIME, RATE"
holds c.npy "f4 2x2 C: 22 28 49 64"
run matmul a.npy b.npy --check
expect 0
says "matmul 2x3 * 3x2 -> 2x2 f32 on cpu: TIME, RATE, largest error 0 (0 of its bound)"
run matmul a.npy b.npy -q -o quiet.npy
expect 0
says ""
holds quiet.npy "f4 2x2 C: 22 28 49 64"

# Transposes: by flag, by Fortran order, and both, which cancel.
run matmul at.npy bt.npy --transpose-left --transpose-right -o c.npy
says "matmul 3x2^T * 2x3^T -> 2x2 f32 on cpu: TIME, RATE"
holds c.npy "f4 2x2 C: 22 28 49 64"
run matmul af.npy bf.npy -o c.npy
says "matmul 3x2^T * 2x3^T -> 2x2 f32 on cpu: TIME, RATE"
holds c.npy "f4 2x2 C: 22 28 49 64"
run matmul af.npy a.npy --transpose-left -o c.npy
says "matmul 3x2 * 2x3 -> 3x3 f32 on cpu: TIME, RATE"
holds c.npy "f4 3x3 C: 17 22 27 22 29 36 27 36 45"

# alpha, beta and the initial result, which stays as it was, also when repeated.
npy make f4 2x2 i.npy 1 2 3 4
npy fortran f4 2x2 if.npy 1 2 3 4
run matmul a.npy b.npy --alpha 2 --beta -1 --initial i.npy -o c.npy --repeat 2
expect 0
holds c.npy "f4 2x2 C: 43 54 95 124"
holds i.npy "f4 2x2 C: 1 2 3 4"
run matmul a.npy b.npy --alpha=2 --beta=-1 --initial if.npy -o c.npy --check
expect 0
holds c.npy "f4 2x2 C: 43 54 95 124"

# Types.
npy make f2 2x3 h.npy 1 2 3 4 5 6
npy make f2 2x3 ht.npy 1 3 5 2 4 6
npy make i1 2x3 s.npy 100 100 100 4 5 -6
npy make i1 3x2 t.npy 100 2 100 4 100 6
run matmul h.npy ht.npy --transpose-right --dtype f32 -o c.npy
says "matmul 2x3 * 2x3^T -> 2x2 f16 to f32 on cpu: TIME, RATE"
holds c.npy "f4 2x2 C: 22 28 49 64"
run matmul h.npy ht.npy --transpose-right -o c.npy
holds c.npy "f2 2x2 C: 22 28 49 64"
run matmul s.npy t.npy -o c.npy
says "matmul 2x3 * 3x2 -> 2x2 i8 to i32 on cpu: TIME, RATE"
holds c.npy "i4 2x2 C: 30000 1200 300 -8"
run matmul s.npy t.npy --operand-dtype f32 -o c.npy
holds c.npy "f4 2x2 C: 30000 1200 300 -8"
npy make f8 3x2 d.npy 1 2 3 4 5 6
run matmul a.npy d.npy --narrow -o c.npy
expect 0
holds c.npy "f4 2x2 C: 22 28 49 64"
run matmul a.npy d.npy --dtype f32 -o c.npy
expect 0
holds c.npy "f4 2x2 C: 22 28 49 64"

# Vectors and batches: a row from the left, a column from the right, one matrix for a whole batch.
npy make f4 3 v.npy 1 10 100
run matmul a.npy v.npy -o c.npy
expect 0
holds c.npy "f4 2x1 C: 321 654"
run matmul v.npy b.npy -o c.npy
holds c.npy "f4 1x2 C: 531 642"
npy make f4 2x2x3 batch.npy 1 2 3 4 5 6 2 4 6 8 10 12
run matmul batch.npy b.npy -o c.npy --check
says "matmul 2x2x3 * 3x2 -> 2x2x2 f32 on cpu: TIME, RATE, largest error 0 (0 of its bound)"
holds c.npy "f4 2x2x2 C: 22 28 49 64 44 56 98 128"

# safetensors, also with colons in the name.
npy safetensors w.safetensors layer.weight 3x2 1 2 3 4 5 6
npy safetensors x.safetensors a:b 3x2 1 2 3 4 5 6
run matmul a.npy w.safetensors:layer.weight -o c.npy
expect 0
holds c.npy "f4 2x2 C: 22 28 49 64"
run matmul a.npy w.safetensors -o c.npy
expect 0
run matmul a.npy x.safetensors:a:b -o c.npy
expect 0
holds c.npy "f4 2x2 C: 22 28 49 64"

finish
