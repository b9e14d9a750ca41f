# What is installed: both libraries, headers, a CMake package, a pkg-config file, the command and pages.
#
#     find_package(Tarn)   gives Tarn::tarn (shared) and, where its libraries are found, Tarn::tarn_static
#                          and with COMPONENTS testkit the suite for storages of one's own, Tarn::testkit
#     pkg-config tarn      the shared library; --static adds what the static one stands on

# What a program must link besides libtarn.a. RocksDB's pkg-config file is not everywhere.
set(tarn_link_names rocksdb zstd lz4 xxhash yaml curl expat crypto jansson)
set(tarn_pkgconfig_requires "libzstd liblz4 libxxhash yaml-0.1")
set(tarn_pkgconfig_libraries "-lrocksdb -lcurl -lexpat -lcrypto -ljansson -pthread")

set(tarn_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/Tarn")
set(tarn_document_dir "${CMAKE_INSTALL_DATAROOTDIR}/doc/tarn")

install(TARGETS tarn EXPORT TarnTargets
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(TARGETS tarn_static EXPORT TarnStaticTargets
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(TARGETS tarn_testkit EXPORT TarnTestkitTargets
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT testkit)
install(EXPORT TarnTestkitTargets NAMESPACE Tarn:: DESTINATION "${tarn_package_dir}" COMPONENT testkit)
install(EXPORT TarnTargets NAMESPACE Tarn:: DESTINATION "${tarn_package_dir}")
install(EXPORT TarnStaticTargets NAMESPACE Tarn:: DESTINATION "${tarn_package_dir}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILES_MATCHING PATTERN "*.h")
install(FILES "${PROJECT_SOURCE_DIR}/README.md" "${PROJECT_SOURCE_DIR}/LICENSE"
    DESTINATION "${tarn_document_dir}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/docs" DESTINATION "${tarn_document_dir}"
    FILES_MATCHING PATTERN "*.md")

configure_package_config_file(
    "${PROJECT_SOURCE_DIR}/cmake/TarnConfig.cmake.in" "${PROJECT_BINARY_DIR}/TarnConfig.cmake"
    INSTALL_DESTINATION "${tarn_package_dir}" NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(
    "${PROJECT_BINARY_DIR}/TarnConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/TarnConfig.cmake" "${PROJECT_BINARY_DIR}/TarnConfigVersion.cmake"
    DESTINATION "${tarn_package_dir}")

# Paths in tarn.pc are relative to the file, so that the installed tree can be moved.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(tarn_pkgconfig_prefix "${CMAKE_INSTALL_PREFIX}")
    set(tarn_pkgconfig_libdir "${CMAKE_INSTALL_LIBDIR}")
else()
    file(RELATIVE_PATH tarn_pkgconfig_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    string(REGEX REPLACE "/$" "" tarn_pkgconfig_up "${tarn_pkgconfig_up}")
    set(tarn_pkgconfig_prefix "\${pcfiledir}/${tarn_pkgconfig_up}")
    set(tarn_pkgconfig_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(tarn_pkgconfig_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
else()
    set(tarn_pkgconfig_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/tarn.pc.in" "${PROJECT_BINARY_DIR}/tarn.pc" @ONLY)
configure_file("${PROJECT_SOURCE_DIR}/cmake/tarn-testkit.pc.in" "${PROJECT_BINARY_DIR}/tarn-testkit.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/tarn.pc" "${PROJECT_BINARY_DIR}/tarn-testkit.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

if(TARGET tarn_cli)
    # The command finds its library beside itself, wherever the tree is.
    file(RELATIVE_PATH tarn_up "/${CMAKE_INSTALL_BINDIR}" "/${CMAKE_INSTALL_LIBDIR}")
    set_target_properties(tarn_cli PROPERTIES INSTALL_RPATH "\$ORIGIN/${tarn_up}")
    install(TARGETS tarn_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
    install(FILES "${PROJECT_SOURCE_DIR}/docs/man/tarn.1" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
endif()
