# SPDX-License-Identifier: Apache-2.0
# What fails says why in one line with file, operand and both numbers, exits 1 and writes nothing.
. "$LIB"
npy make f4 2x3 a.npy 1 2 3 4 5 6
npy make f4 3x2 b.npy 1 2 3 4 5 6
npy make f8 3x2 d.npy 1 2 3 4 5 6
npy make f2 3x2 h.npy 1 2 3 4 5 6
npy make f4 2 v.npy 1 2
npy make f4 3x2x3 batch3.npy 1 2 3 4 5 6 1 2 3 4 5 6 1 2 3 4 5 6
npy make f4 2x3x2 batch2.npy 1 2 3 4 5 6 1 2 3 4 5 6
files="a.npy b.npy batch2.npy batch3.npy d.npy h.npy v.npy"

run matmul a.npy a.npy -o c.npy
expect 1
complains "matmul: left a.npy has 3 columns, right a.npy has 2 rows"
run matmul a.npy a.npy --transpose-left -o c.npy
expect 0
rm -f c.npy
run matmul a.npy b.npy --transpose-right -o c.npy
expect 1
complains "matmul: left a.npy has 3 columns, right b.npy (transposed) has 2 rows"
run matmul batch3.npy batch2.npy -o c.npy
expect 1
complains "matmul: left batch3.npy has 3 matrices, right batch2.npy has 2 matrices"
run matmul a.npy b.npy --beta 1 --initial b.npy -o c.npy
expect 1
complains "matmul: left a.npy has 2 rows, result b.npy has 3 rows"
run rms-norm a.npy --weight v.npy -o c.npy
expect 1
complains "rms_norm: source a.npy has 3 columns, weight v.npy has 2 elements"
run lora a.npy a.npy b.npy -o c.npy
expect 1
complains "lora: source a.npy has 3 columns, down a.npy has 2 rows"
run matmul a.npy d.npy -o c.npy
expect 1
complains "matmul: right d.npy is f64, which no operator takes; --narrow reads it as f32"
run matmul a.npy h.npy -o c.npy
expect 1
mentions err "(left a.npy, right h.npy)"
run matmul a.npy none.npy -o c.npy
expect 1
mentions err "matmul: right none.npy: "
mentions err "No such file or directory"
run matmul a.npy b.npy --device cpu:9 -o c.npy
expect 1
run matmul a.npy b.npy --isa mmx -o c.npy
expect 1
for name in c.npy; do
    checks=$((checks + 1))
    [ ! -e $name ] || fail "$name exists"
done
only $files

# One line whatever the file holds.
printf 'not a tensor at all' >junk.npy
head -c 100 a.npy >short.npy
for file in junk.npy short.npy; do
    run inspect $file
    expect 1
    mentions err "anymps: inspect: $file: "
    run matmul $file b.npy
    expect 1
    mentions err "anymps: matmul: left $file: "
    checks=$((checks + 1))
    [ "$(wc -l <err)" -eq 1 ] || fail "more than one line"
done

# Several tensors and no name.
npy safetensors one.safetensors t 3x2 1 2 3 4 5 6
run matmul a.npy one.safetensors:u
expect 1
mentions err "right one.safetensors"
finish
