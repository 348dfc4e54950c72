# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where: headers, library, the CMake package, anymps.pc. The tool installs itself (cli).
# Included by src/CMakeLists.txt, which knows the libraries.
include(CMakePackageConfigHelpers)

install(TARGETS anymps EXPORT anympsTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/anymps DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h")
install(EXPORT anympsTargets NAMESPACE anymps:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/anymps)

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/anympsConfig.cmake.in
  ${PROJECT_BINARY_DIR}/anympsConfig.cmake INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/anymps)
# Before 1.0 every minor version may change the API.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/anympsConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/anympsConfig.cmake ${PROJECT_BINARY_DIR}/anympsConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/anymps)

# pkg-config: the libraries that a static libanymps needs. A path becomes -l with its name.
set(ANYMPS_PC_LIBS "")
foreach(library IN LISTS anymps_dependencies anymps_libraries)
  if(library STREQUAL "Threads::Threads")
    string(APPEND ANYMPS_PC_LIBS " -pthread")
  elseif(IS_ABSOLUTE "${library}")
    get_filename_component(name ${library} NAME_WE)
    string(REGEX REPLACE "^lib" "" name ${name})
    string(APPEND ANYMPS_PC_LIBS " -l${name}")
  elseif(library)
    string(APPEND ANYMPS_PC_LIBS " -l${library}")
  endif()
endforeach()
# Only a static library makes its users link them.
set(ANYMPS_PC_STATIC_LIBS "")
if(NOT BUILD_SHARED_LIBS)
  set(ANYMPS_PC_STATIC_LIBS "${ANYMPS_PC_LIBS}")
  set(ANYMPS_PC_LIBS "")
endif()
# GNUInstallDirs allows absolute folders.
foreach(kind LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}}")
    set(ANYMPS_PC_${kind} "${CMAKE_INSTALL_${kind}}")
  else()
    set(ANYMPS_PC_${kind} "\${prefix}/${CMAKE_INSTALL_${kind}}")
  endif()
endforeach()
# The prefix is filled in when installing, since `cmake --install --prefix` (make install PREFIX=) may name another one.
set(ANYMPS_PC_PREFIX "@CMAKE_INSTALL_PREFIX@")
configure_file(${PROJECT_SOURCE_DIR}/anymps.pc.in ${PROJECT_BINARY_DIR}/anymps.pc.in @ONLY)
install(CODE "configure_file([[${PROJECT_BINARY_DIR}/anymps.pc.in]] [[${PROJECT_BINARY_DIR}/anymps.pc]] @ONLY)")
install(FILES ${PROJECT_BINARY_DIR}/anymps.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
