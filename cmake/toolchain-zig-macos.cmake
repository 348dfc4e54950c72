# SPDX-License-Identifier: Apache-2.0
# Cross build for macOS with Zig's compiler, as tools/cross-macos calls it: ZIG_WRAPPERS is a folder with the programs
# cc and ar, ZIG_PROCESSOR is arm64 or x86_64.
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_VERSION 22.0.0) # macOS 13; without it CMake knows no @rpath
set(CMAKE_SYSTEM_PROCESSOR ${ZIG_PROCESSOR})
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ZIG_WRAPPERS ZIG_PROCESSOR)
set(CMAKE_C_COMPILER ${ZIG_WRAPPERS}/cc)
set(CMAKE_AR ${ZIG_WRAPPERS}/ar)
set(CMAKE_C_COMPILER_AR ${ZIG_WRAPPERS}/ar)
set(CMAKE_RANLIB /bin/true)
set(CMAKE_INSTALL_NAME_TOOL /bin/true)
set(CMAKE_OSX_SYSROOT "")
set(CMAKE_OSX_DEPLOYMENT_TARGET "")
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY NEVER)
