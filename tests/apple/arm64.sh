#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# arm64: cross build, then, under qemu-user, the CPU's microkernels with every extension that qemu knows and without, and,
# over the stand-in, every kind of Metal test that runs on x86-64. Exit 77 without the tools.
#   tests/apple/arm64.sh build-folder build          the programs
#   tests/apple/arm64.sh build-folder cpu            the CPU's microkernels, a part of the cases
#   tests/apple/arm64.sh build-folder metal OP       an operator on Metal: every case as AUTO chooses, a part with our own kernels
#   tests/apple/arm64.sh build-folder rest           all else on Metal; of fuzzed lists and of the encoder's sentences a part
#   tests/apple/arm64.sh build-folder whole          all parts, one after the other, and nothing left out (target apple-arm64)
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
out="$1"
part="${2:?build, cpu, metal OP, rest or whole}"
log="$out/run-$part${3:+-$3}.log"
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
"$root/tools/cross/fetch-source" cjson "$cache/cjson" || exit $?

# cmocka is one file; without it the unit tests are left out, which the report says.
cmocka=none
"$root/tools/cross/fetch-source" cmocka "$cache/cmocka" && cmocka="$cache/cmocka/include"
cmocka_library=none
[ "$cmocka" = none ] || cmocka_library="$out/cmocka.a"

build() {
    mkdir -p "$out/cjson/include/cjson"
    cp "$cache/cjson/cJSON.h" "$out/cjson/include/cjson/"
    aarch64-linux-gnu-gcc -O2 -fPIC -c "$cache/cjson/cJSON.c" -o "$out/cjson/cJSON.o"
    rm -f "$out/cjson/libcjson.a"
    aarch64-linux-gnu-ar rc "$out/cjson/libcjson.a" "$out/cjson/cJSON.o"
    if [ "$cmocka" != none ]; then
        local has="" feature
        for feature in MALLOC_H INTTYPES_H STDINT_H STRING_H STRINGS_H SIGNAL_H SETJMP_H TIME_H SIGLONGJMP STRSIGNAL \
            STRUCT_TIMESPEC CLOCK_GETTIME CLOCK_REALTIME SNPRINTF VSNPRINTF; do
            has="$has -DHAVE_$feature"
        done
        # shellcheck disable=SC2086
        aarch64-linux-gnu-gcc -O2 -w -D_GNU_SOURCE $has -I"$cmocka" -c "$cache/cmocka/src/cmocka.c" -o "$out/cmocka.o"
        rm -f "$cmocka_library"
        aarch64-linux-gnu-ar rc "$cmocka_library" "$out/cmocka.o"
    fi
    cmake -S "$root" -B "$out/build" -G Ninja --log-level=WARNING \
        -DCMAKE_TOOLCHAIN_FILE="$root/cmake/toolchain-arm64-linux.cmake" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DANYMPS_WERROR=ON -DANYMPS_BACKEND_CUDA=OFF -DANYMPS_BUILD_CLI=OFF -DANYMPS_BUILD_EXAMPLES=ON \
        -DANYMPS_BUILD_BENCH=OFF -DANYMPS_CJSON_INCLUDE="$out/cjson/include" -DANYMPS_CJSON_LIBRARY="$out/cjson/libcjson.a" \
        -DANYMPS_CMOCKA_INCLUDE="$cmocka" -DANYMPS_CMOCKA_LIBRARY="$cmocka_library"
    local programs="test_fake test_assertions conformance_apple bad_input_apple property_apple fault_apple leak_apple threads_apple
        fuzz_descriptors_apple fuzz_records_apple test_device_faults apple_messages apple_growth apple_native apple_mac_probe
        vocabulary apple_errata minilm_golden_apple conformance"
    [ "$cmocka" = none ] || programs="$programs unit_low unit_cpu_isa"
    # shellcheck disable=SC2086
    ninja -C "$out/build" -j2 $programs >"$out/build.log" 2>&1 || { tail -40 "$out/build.log"; exit 1; }
}

run_on() { # qemu's processor, program, arguments
    echo "== $*"
    local processor="$1" program="$2"
    shift 2
    qemu-aarch64 -cpu "$processor" -L "$libraries" "$out/build/tests/$program" "$@" >"$log" 2>&1 ||
        { tail -20 "$log"; exit 1; }
    tail -1 "$log"
}

# ---- The CPU: all extensions, dot products alone, none; a set that the processor should have and lacks is a failure ----
# cpu PRODUCTS ROWS: the options that choose a part of the cases
cpu() {
    local products="$1" rows="$2" processor set op
    local processors="max neoverse-n1 cortex-a72"
    for processor in $processors; do
        if [ "$cmocka" = none ]; then
            echo "== unit tests on $processor: skipped: cmocka's source cannot be had here"
        else
            run_on "$processor" unit/unit_cpu_isa
            run_on "$processor" unit/unit_low
        fi
    done
    for set in "max neon-i8mm" "max neon-dotprod" "max neon" "neoverse-n1 neon-dotprod" "cortex-a72 neon"; do
        # shellcheck disable=SC2086
        for op in matmul fully_connected; do
            run_on ${set% *} conformance/conformance --device cpu --isa "${set#* }" --op $op $products
        done
    done
    for op in matrix_vector lora; do
        # shellcheck disable=SC2086
        run_on max conformance/conformance --device cpu --op $op $products
    done
    for op in neuron softmax log_softmax rms_norm layer_norm; do
        # shellcheck disable=SC2086
        run_on max conformance/conformance --device cpu --op $op $rows
    done
}

# ---- Metal over the stand-in ----
here="$root/tests/apple"
run() {
    local program="$1"
    shift
    ANYMPS_REQUIRE=metal run_on max "apple/$program" "$@"
}

metal() {
    run conformance_apple --device metal --op "$1"
    run conformance_apple --device metal --algorithm own --quick 1 --op "$1"
}

# rest MUTATIONS LISTS SENTENCES
rest() {
    run fake/test_fake
    run vocabulary/vocabulary "$here/vocabulary/golden.tsv" "$here/vocabulary/nsobject.tsv"
    run errata/apple_errata
    run test_assertions
    run apple_native
    run apple_messages
    run apple_growth --commits 2000 --slack 65536 # resident memory is the emulator's here
    for program in bad_input property fault leak threads; do
        run "${program}_apple" --device metal
    done
    run test_device_faults
    run fuzz_descriptors_apple "$root/tests/fuzz/seeds/descriptors"
    run fuzz_records_apple "$root/tests/fuzz/seeds/records" "$1" "$2"
    if "$root/tools/get-minilm" >/dev/null 2>&1; then
        run minilm_golden_apple "$root/tests/golden/minilm" metal "$3"
    else
        echo "== minilm_golden_apple: skipped: the model cannot be had here"
    fi
}

case "$part" in
build) build ;;
cpu) cpu "--quick 16" "--quick 4" ;;
metal) metal "$3" ;;
rest) rest 300 200 1 ;;
whole)
    build
    cpu "" ""
    # shellcheck disable=SC2013
    for op in $(sed -n 's/^AMPS_METAL_OP(\([a-z_]*\)).*/\1/p' "$root/src/backend/metal/ops.def"); do
        metal "$op"
    done
    rest 2000 500 20
    ;;
*) echo "arm64: no part $part" && exit 2 ;;
esac
