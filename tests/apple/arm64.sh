#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Metal backend over the stand-in on arm64: cross build, then the stand-in's own tests, a part of the conformance
# suite and the tests of leaks, threads and assertions under qemu-user. Exit 77 without the tools.
#   tests/apple/arm64.sh build-folder
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
out="$1"
libraries=/usr/aarch64-linux-gnu
cache="${ANYMPS_CROSS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/anymps-cross}"

skip() {
    echo "arm64: skipped: $1"
    exit 77
}
for program in aarch64-linux-gnu-gcc aarch64-linux-gnu-ar qemu-aarch64 ninja; do
    command -v "$program" >/dev/null || skip "no $program"
done
[ -e "$libraries/lib/libobjc.so.4" ] || skip "no libobjc-12-dev-arm64-cross"
"$root/tools/cross/fetch-cjson" "$cache/cjson" || exit $?

mkdir -p "$out/cjson/include/cjson"
cp "$cache/cjson/cJSON.h" "$out/cjson/include/cjson/"
aarch64-linux-gnu-gcc -O2 -fPIC -c "$cache/cjson/cJSON.c" -o "$out/cjson/cJSON.o"
rm -f "$out/cjson/libcjson.a"
aarch64-linux-gnu-ar rc "$out/cjson/libcjson.a" "$out/cjson/cJSON.o"
cmake -S "$root" -B "$out/build" -G Ninja --log-level=WARNING \
    -DCMAKE_TOOLCHAIN_FILE="$root/cmake/toolchain-arm64-linux.cmake" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DANYMPS_WERROR=ON -DANYMPS_BACKEND_CUDA=OFF -DANYMPS_BUILD_CLI=OFF -DANYMPS_BUILD_EXAMPLES=OFF \
    -DANYMPS_BUILD_BENCH=OFF -DANYMPS_CJSON_INCLUDE="$out/cjson/include" -DANYMPS_CJSON_LIBRARY="$out/cjson/libcjson.a" \
    -DANYMPS_CMOCKA_INCLUDE=none -DANYMPS_CMOCKA_LIBRARY=none # the unit tests are not built here
programs="test_fake test_assertions conformance_apple leak_apple threads_apple fault_apple property_apple bad_input_apple fuzz_descriptors_apple fuzz_records_apple test_device_faults apple_messages apple_growth apple_native apple_mac_probe vocabulary apple_errata"
# shellcheck disable=SC2086
ninja -C "$out/build" -j2 $programs >"$out/build.log" 2>&1 || { tail -40 "$out/build.log"; exit 1; }

export ANYMPS_REQUIRE=metal
run() {
    echo "== $*"
    local program="$1"
    shift
    qemu-aarch64 -L "$libraries" "$out/build/tests/apple/$program" "$@" >"$out/run.log" 2>&1 || { tail -20 "$out/run.log"; exit 1; }
    tail -1 "$out/run.log"
}
run fake/test_fake
run test_assertions
for op in matmul matrix_vector fully_connected neuron softmax log_softmax rms_norm layer_norm lora; do
    run conformance_apple --device metal --quick 1 --op "$op"
done
run leak_apple --device metal
run threads_apple --device metal
