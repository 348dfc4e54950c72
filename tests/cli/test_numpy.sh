# SPDX-License-Identifier: Apache-2.0
# The newcomer's path: two NumPy matrices in f16, one transposed, result in f32, agree with NumPy. Skipped
# (77) without NumPy.
. "$LIB"
python3 -c 'import numpy' 2>/dev/null || exit 77

python3 - <<'PYTHON' || exit 99
import numpy
random = numpy.random.default_rng(7)
numpy.save("a.npy", random.standard_normal((67, 129)).astype(numpy.float16))
numpy.save("b.npy", random.standard_normal((45, 129)).astype(numpy.float16))
numpy.save("c.npy", numpy.asfortranarray(random.standard_normal((129, 45)).astype(numpy.float16)))
numpy.save("big.npy", random.standard_normal((5, 129)).astype(">f4"))
numpy.save("i.npy", random.integers(-128, 128, (33, 65)).astype(numpy.int8))
numpy.save("j.npy", random.integers(-128, 128, (65, 17)).astype(numpy.int8))
numpy.save("x.npy", random.standard_normal((9, 50)).astype(numpy.float32))
PYTHON

run matmul a.npy b.npy --transpose-right --dtype f32 -o ab.npy
expect 0
run matmul a.npy c.npy --dtype f32 -o ac.npy
expect 0
# The same from C, with both orders of the second file.
if [ -n "${EXAMPLE:-}" ]; then
    last="09_numpy"
    "$EXAMPLE" a.npy b.npy ab_c.npy >out 2>err
    code=$?
    expect 0
    says "ab_c.npy 67 x 45"
    python3 -c 'import numpy; numpy.save("bf.npy", numpy.asfortranarray(numpy.load("b.npy")))'
    "$EXAMPLE" a.npy bf.npy ab_f.npy >out 2>err
    code=$?
    expect 0
else
    cp ab.npy ab_c.npy
    cp ab.npy ab_f.npy
fi
run matmul big.npy b.npy --transpose-right --operand-dtype f32 -o bigb.npy
expect 0
run matmul i.npy j.npy -o ij.npy
expect 0
run softmax x.npy -o softmax.npy
expect 0
run layer-norm x.npy -o norm.npy
expect 0

checks=$((checks + 1))
python3 - >out 2>err <<'PYTHON' || fail "NumPy disagrees"
import numpy

def load(name):
    return numpy.load(name + ".npy")

def check(name, exact, bound, dtype):
    got = load(name)
    assert got.dtype == dtype and got.shape == exact.shape and got.flags.c_contiguous, name
    excess = (abs(got.astype(float) - exact) - bound).max()
    print(name, abs(got - exact).max(), excess)
    assert excess <= 0, name

def product(name, left, right):
    left, right = left.astype(float), right.astype(float)
    # 2 K 2^-24 |A||B|: the bound that the headers promise.
    check(name, left @ right, 2 * left.shape[1] * 2.0**-24 * (abs(left) @ abs(right)), numpy.float32)

product("ab", load("a"), load("b").T)
product("ab_c", load("a"), load("b").T)
product("ab_f", load("a"), load("b").T)
product("ac", load("a"), load("c"))
product("bigb", load("big"), load("b").T)
assert (load("ij") == load("i").astype(numpy.int32) @ load("j").astype(numpy.int32)).all()
assert load("ij").dtype == numpy.int32
x = load("x").astype(float)
exact = numpy.exp(x) / numpy.exp(x).sum(axis=1, keepdims=True)
check("softmax", exact, (50 / 2 + 8) * 2.0**-24 * exact, numpy.float32)
mean, sigma = x.mean(axis=1, keepdims=True), numpy.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
exact = (x - mean) / sigma
largest = abs(x).max(axis=1, keepdims=True) / sigma
check("norm", exact, (50 / 2 + 8) * 2.0**-24 * (abs(exact) + largest), numpy.float32)
PYTHON
finish
