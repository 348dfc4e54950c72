# SPDX-License-Identifier: Apache-2.0
# header_program.sh HEADER EXAMPLE: the program in the header's comment and the example make the same calls.
set -u
calls() { grep -o 'anymps_[a-z_0-9]*(' "$1" | tr '\n' ' '; }
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT
sed -n 's/^ \*     //p' "$1" >"$folder/header.c"
from_header=$(calls "$folder/header.c")
from_example=$(calls "$2")
[ -n "$from_header" ] && [ "$from_header" = "$from_example" ] && exit 0
echo "header:  $from_header"
echo "example: $from_example"
exit 1
