# SPDX-License-Identifier: Apache-2.0
# Reads the .def lists, so that an operator or a backend is written down once.
#   ANYMPS_OPERATORS          matmul;matrix_vector;…         (src/contract/ops.def)
#   ANYMPS_BACKENDS           the backends that are built, in order of preference (src/backend/backends.def)
#   ANYMPS_BACKEND_<NAME>     option per backend; the CPU cannot be turned off
#   <build>/generated/anymps_backends.def   their lines, for src/core/registry.c

# Names in the lines of `file` that begin with `macro(`.
function(anymps_read_list file macro out)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(STRINGS ${file} lines REGEX "^${macro}\\(")
  set(names)
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^${macro}\\(([a-z0-9_]+).*" "\\1" name "${line}")
    list(APPEND names ${name})
  endforeach()
  set(${out} ${names} PARENT_SCOPE)
endfunction()

# Stops the configure step when a file that a list promises is missing.
function(anymps_require_file path why)
  if(NOT EXISTS ${path})
    message(FATAL_ERROR "${path} is missing: ${why}")
  endif()
endfunction()

anymps_read_list(${PROJECT_SOURCE_DIR}/src/contract/ops.def AMPS_OPERATOR ANYMPS_OPERATORS)
anymps_read_list(${PROJECT_SOURCE_DIR}/src/backend/backends.def AMPS_BACKEND anymps_all_backends)

set(ANYMPS_BACKENDS)
set(anymps_backend_lines "")
foreach(name IN LISTS anymps_all_backends)
  string(TOUPPER ${name} upper)
  if(name STREQUAL "cpu")
    set(ANYMPS_BACKEND_CPU ON)
  else()
    option(ANYMPS_BACKEND_${upper} "Build the ${name} backend" ON)
  endif()
  # A backend's folder may decline (no compiler for its kernels): available.cmake sets available and why.
  set(available ON)
  set(why "")
  include(${PROJECT_SOURCE_DIR}/src/backend/${name}/available.cmake OPTIONAL)
  if(ANYMPS_BACKEND_${upper} AND NOT EXISTS ${PROJECT_SOURCE_DIR}/src/backend/${name}/backend.cmake)
    set(available OFF)
    set(why "src/backend/${name}/backend.cmake is missing")
  endif()
  if(ANYMPS_BACKEND_${upper} AND available)
    list(APPEND ANYMPS_BACKENDS ${name})
    string(APPEND anymps_backend_lines "AMPS_BACKEND(${name})\n")
  elseif(ANYMPS_BACKEND_${upper})
    message(STATUS "anymps: no ${name} backend: ${why}")
  endif()
endforeach()
message(STATUS "anymps: backends ${ANYMPS_BACKENDS}")
set(ANYMPS_GENERATED_DIR ${PROJECT_BINARY_DIR}/generated)
file(CONFIGURE OUTPUT ${ANYMPS_GENERATED_DIR}/anymps_backends.def CONTENT "${anymps_backend_lines}" @ONLY)
