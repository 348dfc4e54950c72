# SPDX-License-Identifier: Apache-2.0
# Libraries that are not ours (docs/dependencies.md says why each): sets anymps_dependencies.
find_path(ANYMPS_CJSON_INCLUDE cjson/cJSON.h)
find_library(ANYMPS_CJSON_LIBRARY cjson)
if(NOT ANYMPS_CJSON_INCLUDE OR NOT ANYMPS_CJSON_LIBRARY)
  message(FATAL_ERROR "cJSON is missing: run tools/setup (Debian: libcjson-dev, macOS: brew install cjson)")
endif()
target_include_directories(anymps_objects SYSTEM PRIVATE ${ANYMPS_CJSON_INCLUDE})
set(anymps_dependencies ${ANYMPS_CJSON_LIBRARY})
