# SPDX-License-Identifier: Apache-2.0
# Cross build for arm64 Linux with Debian's cross compiler; programs run under qemu-user (tests/apple/arm64).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
find_program(ANYMPS_ARM64_GCC aarch64-linux-gnu-gcc REQUIRED)
set(CMAKE_C_COMPILER ${ANYMPS_ARM64_GCC})
set(CMAKE_OBJC_COMPILER ${ANYMPS_ARM64_GCC})
set(CMAKE_ASM_COMPILER ${ANYMPS_ARM64_GCC})
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY BOTH)
