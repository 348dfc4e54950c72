# SPDX-License-Identifier: Apache-2.0
# --json of every verb that has it: exact but for times and names; parsed where Python is there.
. "$LIB"
npy make f4 2x3 a.npy 1 2 3 4 5 6
npy make f4 3x2 b.npy 1 2 3 4 5 6
numbers() { sed -e 's/": [0-9.e+-]*\(,*\)$/": N\1/' -e 's/"\(device_name\|kernel\)": ".*"/"\1": "..."/'; }

run matmul a.npy b.npy --json --check
expect 0
mentions out '"largest_error": 0,'
mentions out '"repeat": 1,'
checks=$((checks + 1))
expected='{
  "operator": "matmul",
  "device": "cpu",
  "device_name": "...",
  "kernel": "...",
  "operands": {
    "left": {
      "file": "a.npy",
      "dtype": "f32",
      "rows": N,
      "columns": N,
      "matrices": N,
      "transposed": false
    },
    "right": {
      "file": "b.npy",
      "dtype": "f32",
      "rows": N,
      "columns": N,
      "matrices": N,
      "transposed": false
    },
    "result": {
      "dtype": "f32",
      "rows": N,
      "columns": N,
      "matrices": N,
      "transposed": false
    }
  },
  "repeat": N,
  "encode_ns": N,
  "device_ns": N,
  "round_trip_ns": N,
  "gflop_per_s": N,
  "gb_per_s": N,
  "largest_error": N,
  "largest_share_of_bound": N
}'
[ "$(numbers <out)" = "$expected" ] || fail "another document: $(numbers <out)"

run inspect a.npy --json
expect 0
says '{
  "file": "a.npy",
  "tensors": [
    {
      "name": "",
      "dtype": "f32",
      "shape": [
        2,
        3
      ],
      "column_major": false,
      "swapped": false,
      "offset_bytes": 128,
      "length_bytes": 24
    }
  ]
}'

npy safetensors 'q.safetensors' 'a\"b' 1x1 5
run inspect q.safetensors --json
expect 0
mentions out '"name": "a\"b"'

if command -v python3 >/dev/null 2>&1; then
    for arguments in "devices --json" "inspect q.safetensors --json" "matmul a.npy b.npy --json" \
        "bench softmax --shape 8x8 --seconds 0.01 --json" "bench matmul --shape 8 --seconds 0.01 --peers --json"; do
        run $arguments
        expect 0
        checks=$((checks + 1))
        python3 -c 'import json,sys; json.load(sys.stdin)' <out 2>/dev/null || fail "not JSON"
    done
fi
finish
