# SPDX-License-Identifier: Apache-2.0
# run.sh PROGRAM EXPECTED: runs an example in an empty folder; its output must be the expected one.
set -u
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT
ANYMPS_DEVICE=cpu
export ANYMPS_DEVICE
"$1" "$folder" >"$folder/output" || exit 1
# Other devices of this machine are none of the expected output's business.
grep -v -e '^cuda:' -e '^metal:' "$folder/output" | diff "$2" - || exit 1
