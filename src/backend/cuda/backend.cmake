# SPDX-License-Identifier: Apache-2.0
# Sources of the CUDA backend. Each kernels/<name>.cu becomes one fatbin (machine code for sm_80 and sm_90a, PTX
# for later chips), which fatbins.c embeds; the names stand in kernels/modules.def.
set(ANYMPS_CUDA_GENCODE
  -gencode=arch=compute_80,code=[sm_80,compute_80] -gencode=arch=compute_90a,code=sm_90a
  CACHE STRING "What the CUDA kernels are compiled for (nvcc -gencode options)")
option(ANYMPS_CUDA_KERNELS
  "Compile the CUDA kernels. OFF embeds their names alone: for tests of the host side, on a fake driver only" ON)
set(anymps_fatbins)
anymps_read_list(${ANYMPS_BACKEND_DIR}/kernels/modules.def AMPS_CUDA_MODULE anymps_cuda_modules)
file(GLOB anymps_cuda_headers CONFIGURE_DEPENDS ${ANYMPS_BACKEND_DIR}/kernels/*.h ${ANYMPS_BACKEND_DIR}/kernels/*.cuh)
# What multiplies by warpgroups has code for Hopper alone and is asked for nowhere else.
set(anymps_hopper_gencode ${ANYMPS_CUDA_GENCODE})
list(FILTER anymps_hopper_gencode INCLUDE REGEX "90a")
foreach(module IN LISTS anymps_cuda_modules)
  set(gencode ${ANYMPS_CUDA_GENCODE})
  if(module MATCHES "^gemm_(large|tile|wgmma)_" AND anymps_hopper_gencode)
    set(gencode ${anymps_hopper_gencode})
  endif()
  set(fatbin ${PROJECT_BINARY_DIR}/generated/cuda/${module}.fatbin)
  anymps_require_file(${ANYMPS_BACKEND_DIR}/kernels/${module}.cu "kernels/modules.def lists ${module}")
  if(NOT ANYMPS_CUDA_KERNELS)
    file(CONFIGURE OUTPUT ${fatbin} CONTENT "anymps: ${module} was left out" @ONLY)
    list(APPEND anymps_fatbins ${fatbin})
    continue()
  endif()
  add_custom_command(OUTPUT ${fatbin}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/generated/cuda
    COMMAND ${ANYMPS_NVCC} -std=c++17 -O3 --fatbin ${gencode} -I${ANYMPS_BACKEND_DIR}/kernels
      -o ${fatbin} ${ANYMPS_BACKEND_DIR}/kernels/${module}.cu
    DEPENDS ${ANYMPS_BACKEND_DIR}/kernels/${module}.cu ${anymps_cuda_headers}
    COMMENT "nvcc ${module}.cu" VERBATIM)
  list(APPEND anymps_fatbins ${fatbin})
endforeach()
add_custom_target(anymps_cuda_kernels DEPENDS ${anymps_fatbins})

file(GLOB anymps_cuda_sources CONFIGURE_DEPENDS ${ANYMPS_BACKEND_DIR}/*.c ${ANYMPS_BACKEND_DIR}/ops/*.c)
target_sources(anymps_objects PRIVATE ${anymps_cuda_sources})
set_property(SOURCE ${ANYMPS_BACKEND_DIR}/fatbins.c APPEND PROPERTY OBJECT_DEPENDS "${anymps_fatbins}")
set_property(SOURCE ${ANYMPS_BACKEND_DIR}/fatbins.c APPEND PROPERTY COMPILE_DEFINITIONS
  AMPS_FATBIN_DIR="${PROJECT_BINARY_DIR}/generated/cuda")
add_dependencies(anymps_objects anymps_cuda_kernels)
# The driver's types only; as a system folder, since its warnings are not ours.
set_property(SOURCE ${anymps_cuda_sources} APPEND PROPERTY COMPILE_OPTIONS -isystem ${ANYMPS_CUDA_INCLUDE})
