# SPDX-License-Identifier: Apache-2.0
# Verbs, help, and everything that is wrong usage: exit 2, one line.
. "$LIB"

run
expect 2
complains "no verb; try 'anymps help'"
run frobnicate
expect 2
complains "'frobnicate' is no verb; try 'anymps help'"

for verb in devices inspect matmul fully-connected neuron softmax log-softmax rms-norm layer-norm lora \
    bench verify demo version; do
    run help
    mentions out "  $verb "
    run help "$verb"
    expect 0
    mentions out "usage: anymps $verb [options]"
    cp out help_text
    run "$verb" --help
    expect 0
    checks=$((checks + 1))
    cmp -s out help_text || fail "help $verb and $verb --help differ"
    rm help_text
    run "$verb" --no-such-option
    expect 2
    complains "$verb: unknown option '--no-such-option'; try 'anymps help $verb'"
done
run --help
expect 0
mentions out "usage: anymps VERB"
run help nothing
expect 2
run help --help
expect 0

run version
expect 0
says "anymps 0.1.0"
run --version
says "anymps 0.1.0"
run version more
expect 2
complains "version: needs 0 arguments (none), got 1"

run matmul only.npy
expect 2
complains "matmul: needs 2 arguments (LEFT RIGHT), got 1"
run lora a b c d
expect 2
complains "lora: needs 3 arguments (SOURCE DOWN UP), got 4"
run matmul a b --alpha
expect 2
complains "matmul: --alpha needs a value: X"
run matmul a b --alpha one
expect 2
complains "matmul: --alpha: 'one' is no number"
run matmul a b --repeat -3
expect 2
complains "matmul: --repeat: '-3' is no count"
run matmul a b --repeat=0
expect 2
complains "matmul: --repeat is 0, at least 1 is needed"
run matmul a b --quiet=yes
expect 2
complains "matmul: --quiet takes no value"
run matmul a b --dtype f33
expect 2
mentions err "--dtype: 'f33' is no data type"
run neuron a --neuron soft
expect 2
mentions err "--neuron: 'soft' is no neuron function"
run matmul a b --beta 1
expect 2
complains "matmul: --beta needs the result's earlier values: --initial FILE"
run matmul a b --initial c
expect 2
complains "matmul: --initial c is not read without --beta"
run lora a b c --accumulate
expect 2
complains "lora: --accumulate needs the result's earlier values: --initial FILE"
run neuron a --neuron prelu
expect 2
complains "neuron: --prelu FILE and --neuron prelu go together"
run neuron a --prelu p
expect 2
run rms-norm a --residual-output r
expect 2
run bench nothing
expect 2
run bench --shape 0x3
expect 2
complains "bench: --shape: '0x3' is no shape such as 512 or 64x512x8"
run bench --seconds 0
expect 2
run devices --json --operators
expect 2
finish
