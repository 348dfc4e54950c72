# SPDX-License-Identifier: Apache-2.0
# The flags of everything that this project compiles, as the interface target `anymps_flags`.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")

find_program(ANYMPS_CCACHE ccache)
if(ANYMPS_CCACHE AND NOT CMAKE_C_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${ANYMPS_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${ANYMPS_CCACHE})
endif()

add_library(anymps_flags INTERFACE)
target_compile_definitions(anymps_flags INTERFACE _GNU_SOURCE _DARWIN_C_SOURCE)
set(anymps_c_warnings
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla
  -Wcast-qual -Wdouble-promotion)
target_compile_options(anymps_flags INTERFACE
  $<$<COMPILE_LANGUAGE:C>:${anymps_c_warnings};-ffp-contract=off>)
if(ANYMPS_WERROR)
  target_compile_options(anymps_flags INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-Werror>)
endif()
if(ANYMPS_SANITIZE)
  target_compile_options(anymps_flags INTERFACE
    $<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=${ANYMPS_SANITIZE};-fno-sanitize-recover=all;-fno-omit-frame-pointer>)
  target_link_options(anymps_flags INTERFACE -fsanitize=${ANYMPS_SANITIZE})
endif()
