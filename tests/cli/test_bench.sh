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
run bench matmul --shape 17x19x23 --seconds 0.01 --tune --explain --device cpu
expect 0
mentions out "17x23 * 23x19 -> 17x19 f32" # a device without a choice runs as ever
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
# A device is written, not replaced by a file; a link stays.
run bench softmax --shape 8x8 --seconds 0.01 --svg /dev/null
expect 0
[ -c /dev/null ] || fail "/dev/null is no device any more"
ln -s chart.svg link.svg
run bench softmax --shape 8x8 --seconds 0.01 --svg link.svg
expect 0
[ -L link.svg ] && grep -q softmax chart.svg || fail "the link was replaced"
rm link.svg
run bench softmax --shape 8x8 --seconds 0.01 --svg nowhere/chart.svg
expect 1
mentions err "bench: chart nowhere/chart.svg: No such file or directory"
only chart.svg

# A peer in a folder of ours: asked for the same product with the same threads, and named with its place.
ANYMPS_PEERS_DIR=$FAKE_PEERS
export ANYMPS_PEERS_DIR
run bench matmul --shape 3x4x5 --seconds 0.01 --peers --threads 2
expect 0
mentions out "x OpenBLAS"
mentions out "'x OpenBLAS' is its time over ours, above 1 we are faster: $FAKE_PEERS/libopenblas.so"
mentions err "order 101, transposes 111 111, 3 x 4 x 5, strides 5 4 4, alpha 1, beta 0, 2 threads"
run bench softmax --shape 3x4 --seconds 0.01 --peers
expect 0
checks=$((checks + 1))
[ ! -s err ] || fail "a peer was asked for a softmax"
finish
