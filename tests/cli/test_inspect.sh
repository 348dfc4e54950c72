# SPDX-License-Identifier: Apache-2.0
# inspect and devices: the tables.
. "$LIB"
npy fortran f4 40x30 f.npy $(seq 1 1200)
run inspect f.npy
expect 0
says "name  type  shape     bytes  offset  order
-     f32   40x30  4.69 KiB     128  column-major"
npy make f8 3 v.npy 1 2 3
run inspect v.npy
says "name  type  shape  bytes  offset  order
-     f64   3       24 B     128  row-major"
npy safetensors w.safetensors layer.weight 3x2 1 2 3 4 5 6
run inspect w.safetensors
expect 0
mentions out "layer.weight  f32   3x2     24 B"

run devices
expect 0
mentions out "id "
checks=$((checks + 1))
grep -q "^cpu  " out || fail "no cpu"
run devices --operators
expect 0
for operator in matmul matrix_vector fully_connected neuron softmax log_softmax rms_norm layer_norm lora; do
    checks=$((checks + 1))
    grep -q "^cpu *$operator  *.*yes$" out || fail "the CPU lacks $operator"
done
finish
