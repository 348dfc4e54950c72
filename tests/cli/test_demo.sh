# SPDX-License-Identifier: Apache-2.0
# demo: all right, nothing alive, nothing left in the temporary folder.
. "$LIB"
mkdir temporary
TMPDIR=$work/temporary
export TMPDIR
run demo
expect 0
for row in "64x512 \* 512x8 \* 8x512" "64x1024 \* 1024x8 \* 8x1024" "64x2048 \* 2048x8 \* 8x2048" \
    "softmax *128x1024" "rms_norm *128x1024" "512x512 \* 512x512"; do
    checks=$((checks + 1))
    grep -q "$row.* ok$" out || fail "no row '$row' that is ok"
done
mentions out "live at the end: 0 objects, 0 blocks of 0 bytes, 0 device bytes, 0 wrapped"
checks=$((checks + 1))
rmdir temporary || fail "files are left in the temporary folder"
TMPDIR=$work/nowhere
run demo
expect 1
mentions err "anymps: demo: $work/nowhere/anymps-demo-"
finish
