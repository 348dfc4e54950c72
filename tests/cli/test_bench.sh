# SPDX-License-Identifier: Apache-2.0
# bench: every operator runs; the table, the kernels' names and the chart are there.
. "$LIB"
run bench --shape 17x19x23x4 --seconds 0.01 --explain --svg chart.svg
expect 0
mentions out "p10 us"
mentions out "17x23 * 23x19 -> 17x19 f32"
mentions out "own "
for operator in matmul matrix-vector fully-connected neuron softmax log_softmax rms-norm layer-norm lora; do
    run bench $operator --shape 17x19x23x4 --seconds 0.01
    expect 0
    mentions out "$(echo $operator | tr - _)  "
done
for type in f16 bf16 i8; do
    run bench matmul --shape 16 --dtype $type --seconds 0.01
    expect 0
    mentions out "16x16 * 16x16 -> 16x16 $type"
done
only chart.svg
checks=$((checks + 1))
head -c 5 chart.svg | grep -q '^<svg ' && tail -n 1 chart.svg | grep -q '^</svg>$' || fail "no chart"
if command -v python3 >/dev/null 2>&1; then
    checks=$((checks + 1))
    python3 -c 'import xml.dom.minidom,sys; xml.dom.minidom.parse("chart.svg")' || fail "no XML"
fi
run bench softmax --shape 8x8 --seconds 0.01 --svg nowhere/chart.svg
expect 1
mentions err "bench: chart nowhere/chart.svg: No such file or directory"
only chart.svg
finish
