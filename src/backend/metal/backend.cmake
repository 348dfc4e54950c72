# SPDX-License-Identifier: Apache-2.0
# The Metal backend: plain C, compiled on every platform; without Apple's frameworks it finds no device.
set(metal_dir ${CMAKE_CURRENT_LIST_DIR})
anymps_read_list(${metal_dir}/ops.def AMPS_METAL_OP metal_ops)
anymps_read_list(${metal_dir}/shaders.def AMPS_METAL_SHADER metal_shaders)

set(metal_sources metal.c objc.c errata.c metal_device.c metal_pipeline.c metal_memory.c metal_kernel.c metal_plan.c metal_submit.c
                  metal_gemm.c metal_probe.c)
foreach(op IN LISTS metal_ops)
  anymps_require_file(${metal_dir}/ops/metal_${op}.c "backend/metal/ops.def lists ${op}")
  list(APPEND metal_sources ops/metal_${op}.c)
endforeach()
list(TRANSFORM metal_sources PREPEND ${metal_dir}/)

foreach(shader IN LISTS metal_shaders)
  anymps_require_file(${metal_dir}/shaders/${shader}.metal "backend/metal/shaders.def lists ${shader}")
  set(text ${CMAKE_CURRENT_BINARY_DIR}/metal_text_${shader}.c)
  add_custom_command(
    OUTPUT ${text}
    COMMAND ${CMAKE_COMMAND} -DCOMMON=${metal_dir}/shaders/common.metal -DSHADER=${metal_dir}/shaders/${shader}.metal -DOUTPUT=${text}
            -DNAME=amps_metal_text_${shader} -P ${metal_dir}/embed.cmake
    DEPENDS ${metal_dir}/embed.cmake ${metal_dir}/shaders/common.metal ${metal_dir}/shaders/${shader}.metal)
  list(APPEND metal_sources ${text})
endforeach()

target_sources(anymps_objects PRIVATE ${metal_sources})
# The folder itself, for its own headers only.
set_source_files_properties(${metal_sources} PROPERTIES INCLUDE_DIRECTORIES ${metal_dir})

# Tests that bring a Metal of their own build with a prefix before the system's library paths.
set(ANYMPS_APPLE_PREFIX "" CACHE STRING "Prefix of the paths of Apple's libraries (tests only)")
mark_as_advanced(ANYMPS_APPLE_PREFIX)
set_source_files_properties(${metal_dir}/objc.c PROPERTIES COMPILE_DEFINITIONS ANYMPS_APPLE_PREFIX="${ANYMPS_APPLE_PREFIX}")
