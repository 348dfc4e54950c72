# SPDX-License-Identifier: Apache-2.0
# An output appears whole or not at all: after a failure, a full disk and a kill.
. "$LIB"
npy make f4 2x3 a.npy 1 2 3 4 5 6
npy make f4 3x2 b.npy 1 2 3 4 5 6

# What was there before is replaced by success and kept by failure.
npy make f4 1x1 old.npy 7
run matmul a.npy a.npy -o old.npy
expect 1
holds old.npy "f4 1x1 C: 7"
run matmul a.npy b.npy -o old.npy
expect 0
holds old.npy "f4 2x2 C: 22 28 49 64"
run matmul a.npy b.npy -o nowhere/c.npy
expect 1
mentions err "matmul: result nowhere/c.npy: "
mkdir folder
run matmul a.npy b.npy -o folder
expect 1
mentions err "matmul: result folder: "
rmdir folder
only a.npy b.npy old.npy

# An input may be the output: it is read before it is replaced.
npy make f4 2x2 s.npy 1 2 3 4
run matmul s.npy s.npy -o s.npy
expect 0
holds s.npy "f4 2x2 C: 7 10 15 22"
rm s.npy

# No room: files may not grow beyond 512 bytes, and the result needs more.
values=$(seq 1 400)
npy make f4 20x20 m.npy $values
last="anymps matmul m.npy m.npy -o old.npy (with a file size limit)"
(trap '' XFSZ; ulimit -f 1; exec "$ANYMPS" matmul m.npy m.npy -o old.npy) >out 2>err
code=$?
expect 1
mentions err "matmul: result old.npy: "
holds old.npy "f4 2x2 C: 22 28 49 64"
only a.npy b.npy m.npy old.npy

# Killed in the middle of its work: nothing new.
last="anymps matmul m.npy m.npy --repeat 1000000000 -o killed.npy (killed)"
"$ANYMPS" matmul m.npy m.npy --repeat 100000000 -o killed.npy >out 2>err &
pid=$!
sleep 0.3
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
code=$?
expect 137
only a.npy b.npy m.npy old.npy
finish
