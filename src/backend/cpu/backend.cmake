# SPDX-License-Identifier: Apache-2.0
# The CPU backend: every operator of ops.def and the microkernels that this processor family can have.
# A microkernel's instruction set is chosen by the suffix of its file; no other file gets those flags.
file(GLOB cpu_sources CONFIGURE_DEPENDS ${ANYMPS_BACKEND_DIR}/*.c)
target_sources(anymps_objects PRIVATE ${cpu_sources})
foreach(op IN LISTS ANYMPS_OPERATORS)
  anymps_require_file(${ANYMPS_BACKEND_DIR}/ops/cpu_${op}.c "contract/ops.def lists ${op}")
  target_sources(anymps_objects PRIVATE ${ANYMPS_BACKEND_DIR}/ops/cpu_${op}.c)
endforeach()

set(cpu_avx2_flags -mavx2 -mfma -mf16c)
set(cpu_avx512_flags ${cpu_avx2_flags} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd -mprefer-vector-width=512)
set(cpu_avx512bf16_flags ${cpu_avx512_flags} -mavx512bf16)
set(cpu_avx512vnni_flags ${cpu_avx512_flags} -mavx512vnni)
set(cpu_amx_flags ${cpu_avx512_flags} -mavx512bf16 -mamx-tile -mamx-bf16 -mamx-int8)
# Advanced SIMD is part of arm64's base. GCC moves a step's loads to its start before it gives out registers, then spills.
set(cpu_neon_flags $<$<C_COMPILER_ID:GNU>:-fno-schedule-insns>)
foreach(pair dot=dotprod fhm=fp16fml i8mm=i8mm bf16=bf16) # suffix and the compilers' name of the extension
  string(REPLACE "=" ";" pair ${pair})
  list(GET pair 0 suffix)
  list(GET pair 1 extension)
  if(APPLE AND CMAKE_C_COMPILER_ID MATCHES "Clang") # Zig's compiler takes no -march
    set(cpu_neon${suffix}_flags -Xclang -target-feature -Xclang +${extension})
  else()
    set(cpu_neon${suffix}_flags ${cpu_neon_flags} -march=armv8.2-a+${extension})
  endif()
endforeach()
set(cpu_baseline_flags "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(cpu_suffixes baseline avx2 avx512 avx512bf16 avx512vnni amx)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(cpu_suffixes baseline neon neondot neonfhm neoni8mm neonbf16)
else()
  set(cpu_suffixes baseline)
endif()
# Clang takes many minutes over an unrolled tile with both sanitizers on (measured: over 5 min for the pair, 13 s for
# AddressSanitizer alone); GCC's build has both.
if(ANYMPS_SANITIZE MATCHES "undefined" AND CMAKE_C_COMPILER_ID MATCHES "Clang")
  set(cpu_sanitize_flags -fno-sanitize=undefined)
endif()
foreach(suffix IN LISTS cpu_suffixes)
  file(GLOB cpu_microkernels CONFIGURE_DEPENDS ${ANYMPS_BACKEND_DIR}/ukr/*__${suffix}.c)
  target_sources(anymps_objects PRIVATE ${cpu_microkernels})
  set_source_files_properties(${cpu_microkernels} PROPERTIES COMPILE_OPTIONS "${cpu_${suffix}_flags};${cpu_sanitize_flags}")
endforeach()
