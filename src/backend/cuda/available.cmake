# SPDX-License-Identifier: Apache-2.0
# The CUDA backend needs nvcc for its kernels and the toolkit's cuda.h for the driver's types; at run time it
# needs only the driver. Sets available and why, as cmake/AnympsLists.cmake asks.
find_program(ANYMPS_NVCC nvcc HINTS /usr/local/cuda/bin $ENV{CUDA_HOME}/bin)
if(ANYMPS_NVCC)
  get_filename_component(anymps_cuda_bin ${ANYMPS_NVCC} REALPATH)
  get_filename_component(anymps_cuda_bin ${anymps_cuda_bin} DIRECTORY)
  get_filename_component(anymps_cuda_link ${ANYMPS_NVCC} DIRECTORY)
  find_path(ANYMPS_CUDA_INCLUDE cuda.h HINTS ${anymps_cuda_bin}/../include ${anymps_cuda_link}/../include
    ${anymps_cuda_bin}/../targets/x86_64-linux/include NO_DEFAULT_PATH)
endif()
if(APPLE OR WIN32)
  set(available OFF)
  set(why "CUDA has no driver on this system")
elseif(NOT ANYMPS_NVCC)
  set(available OFF)
  set(why "nvcc was not found (put it on PATH or set -DANYMPS_NVCC=)")
elseif(NOT ANYMPS_CUDA_INCLUDE)
  set(available OFF)
  set(why "cuda.h was not found beside ${ANYMPS_NVCC} (set -DANYMPS_CUDA_INCLUDE=)")
endif()
