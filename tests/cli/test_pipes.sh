# SPDX-License-Identifier: Apache-2.0
# Piped output is clean: no control characters, no progress bar; an output that cannot be written is told.
. "$LIB"
npy make f4 2x3 a.npy 1 2 3 4 5 6
npy make f4 3x2 b.npy 1 2 3 4 5 6

# More than a second of work, and not a byte on stderr that is no terminal.
run bench rms-norm softmax --shape 2048x2048 --seconds 0.9
expect 0
checks=$((checks + 1))
[ ! -s err ] || fail "stderr is not empty"
checks=$((checks + 1))
! LC_ALL=C grep -q "$(printf '[\001-\010\013-\037]')" out || fail "control characters"

last="anymps devices | head"
"$ANYMPS" devices | head -n 1 >out 2>err
code=$?
expect 0
mentions out "id"

if [ -w /dev/full ]; then
    last="anymps version >/dev/full"
    "$ANYMPS" version >/dev/full 2>err
    code=$?
    : >out
    expect 1
    mentions err "anymps: standard output: "
fi

# A result on standard output is the file and nothing else, in a pipe and in a file; the report is on stderr.
last="anymps matmul a.npy b.npy -o - | cat"
"$ANYMPS" matmul a.npy b.npy -o - 2>err | cat >c.npy
code=$?
: >out
expect 0
holds c.npy "f4 2x2 C: 22 28 49 64"
mentions err "matmul 2x3 * 3x2 -> 2x2 f32 on cpu"
last="anymps matmul a.npy b.npy -o /dev/stdout --json"
"$ANYMPS" matmul a.npy b.npy -o /dev/stdout --json >d.npy 2>err
code=$?
expect 0
holds d.npy "f4 2x2 C: 22 28 49 64"
mentions err '"operator": "matmul"'
only a.npy b.npy c.npy d.npy

# On a terminal, work of over a second draws a bar and takes it away again.
if command -v script >/dev/null 2>&1 && script -qec true /dev/null >/dev/null 2>&1; then
    last="anymps bench on a terminal"
    script -qec "'$ANYMPS' bench rms-norm softmax --shape 2048x2048 --seconds 0.9" /dev/null >out 2>err </dev/null
    code=$?
    expect 0
    mentions out "bench  [###"
    mentions out "$(printf '\r\033[K')"
    script -qec "'$ANYMPS' bench rms-norm softmax --shape 2048x2048 --seconds 0.9 -q" /dev/null >out 2>err </dev/null
    checks=$((checks + 1))
    [ ! -s out ] || fail "--quiet is not quiet on a terminal"
fi
finish
