# SPDX-License-Identifier: Apache-2.0
# Every other operator verb: values worked out by hand, optional operands, agreement with double.
. "$LIB"
npy make f4 2x4 x.npy 1 1 1 1 -1 3 -1 3
npy make f4 4 w.npy 1 2 3 4
npy make f4 4 b.npy 1 0 0 -1

run softmax x.npy -o y.npy --check
expect 0
mentions out "softmax 2x4 f32 on cpu"
run softmax x.npy --scale 0 -o y.npy
holds y.npy "f4 2x4 C: 0.25 0.25 0.25 0.25 0.25 0.25 0.25 0.25"
run log-softmax x.npy --scale 0 -o y.npy --check
expect 0
holds y.npy "f4 2x4 C: -1.38629 -1.38629 -1.38629 -1.38629 -1.38629 -1.38629 -1.38629 -1.38629"

# A Fortran-order source has no transpose flag to go through: it is turned when read.
npy fortran f4 2x4 xf.npy 1 1 1 1 -1 3 -1 3
run layer-norm x.npy --epsilon 12 -o y.npy --check
expect 0
holds y.npy "f4 2x4 C: 0 0 0 0 -0.5 0.5 -0.5 0.5"
run layer-norm xf.npy --epsilon 12 --weight w.npy --bias b.npy -o y.npy --check
expect 0
holds y.npy "f4 2x4 C: 1 0 0 -1 0.5 1 -1.5 1"
run rms-norm x.npy --epsilon 4 --weight w.npy -o y.npy --check
expect 0
holds y.npy "f4 2x4 C: 0.447214 0.894427 1.34164 1.78885 -0.333333 2 -1 4"

# The residual is added first; the sum can be had; the file it came from stays.
npy make f4 2x4 r.npy 0 0 0 0 2 -2 2 -2
run rms-norm x.npy --residual r.npy --residual-output sum.npy --epsilon 0 -o y.npy --repeat 2 --check
expect 0
holds y.npy "f4 2x4 C: 1 1 1 1 1 1 1 1"
holds sum.npy "f4 2x4 C: 1 1 1 1 1 1 1 1"
holds r.npy "f4 2x4 C: 0 0 0 0 2 -2 2 -2"

run neuron x.npy --neuron relu --a 0.5 -o y.npy --check
expect 0
holds y.npy "f4 2x4 C: 1 1 1 1 -0.5 3 -0.5 3"
run neuron x.npy --neuron prelu --prelu w.npy --bias b.npy --alpha 2 -o y.npy --check
expect 0
holds y.npy "f4 2x4 C: 3 2 2 1 -1 6 -6 5"
for f in sigmoid tanh soft_plus elu gelu gelu_tanh silu; do
    run neuron x.npy -n $f --a 1 --b 1 --check
    expect 0
done

npy make f4 2x4 weights.npy 1 0 0 0 0 1 0 0
run fully-connected x.npy weights.npy --transpose-weights --neuron relu --a 0.5 -o y.npy --check
expect 0
says "fully_connected 2x4 * 2x4^T -> 2x2 f32 on cpu: TIME, RATE, largest error 0 (0 of its bound)"
holds y.npy "f4 2x2 C: 1 1 -0.5 3"
npy make f4 2 bias2.npy 10 20
run fully-connected x.npy weights.npy --transpose-weights --bias bias2.npy --alpha -1 -o y.npy
holds y.npy "f4 2x2 C: 9 19 11 17"

npy make f4 4x1 down.npy 1 1 1 1
npy make f4 1x3 up.npy 1 2 3
npy make f4 4x3 base.npy 1 0 0 0 1 0 0 0 1 0 0 0
npy make f4 2x3 init.npy 100 100 100 200 200 200
run lora x.npy down.npy up.npy --scale 0.5 -o y.npy --check
expect 0
says "lora 2x4 * 4x1 * 1x3 -> 2x3 f32 on cpu: TIME, RATE, largest error 0 (0 of its bound)"
holds y.npy "f4 2x3 C: 2 4 6 2 4 6"
run lora x.npy down.npy up.npy --scale 0.5 --weights base.npy --accumulate --initial init.npy -o y.npy \
    --check --repeat 2
expect 0
holds y.npy "f4 2x3 C: 103 105 107 201 207 205"

# One type for all operands: converted on request only.
npy make f2 4 wh.npy 1 2 3 4
run rms-norm x.npy --weight wh.npy
expect 1
complains "rms_norm: source x.npy is f32, weight wh.npy is f16; --dtype makes them one"
run rms-norm x.npy --weight wh.npy --dtype f16 --epsilon 4 -o y.npy --check
expect 0
mentions out "2x4 f16"
finish
