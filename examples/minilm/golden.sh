#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches the model where it is missing and compares with the golden files; 77 where it cannot be had.
#   golden.sh MINILM_GOLDEN SOURCE_DIR [SENTENCES]
set -eu
if ! "$2/tools/get-minilm"; then
    echo "skipped: the model cannot be had here"
    exit 77
fi
exec "$1" "$2/tests/golden/minilm" "${ANYMPS_DEVICE:-cpu}" ${3:+"$3"}
