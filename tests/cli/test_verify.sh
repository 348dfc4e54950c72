# SPDX-License-Identifier: Apache-2.0
# verify: all green on the CPU, with every instruction set; JSON and quiet forms.
. "$LIB"
# Under a sanitizer one instruction set: the conformance tests run all of them there.
run verify --device cpu ${VERIFY_OPTIONS:-}
expect 0
mentions out " 0 failed"
checks=$((checks + 1))
! grep -q "FAIL" out || fail "a row failed"
checks=$((checks + 1))
rows=$(grep -c "^cpu  *baseline .* ok$" out)
[ "$rows" -eq 39 ] || [ "$(uname -m)" != x86_64 ] || fail "$rows rows of the baseline are ok, expected 39"
run verify --device nothing
expect 1
finish
