# Warnings, sanitizers and feature macros that every target of the project is built with.

add_library(tarn_compile INTERFACE)
target_compile_definitions(tarn_compile INTERFACE _GNU_SOURCE)
target_compile_options(tarn_compile INTERFACE
    -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wswitch-enum
    -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wundef -Wvla -Wwrite-strings
    -Wformat=2 -Wdouble-promotion)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT TARN_SANITIZE)
    # With sanitizers gcc warns about paths that the instrumentation itself adds.
    target_compile_options(tarn_compile INTERFACE -Wnull-dereference)
endif()
if(TARN_WERROR)
    target_compile_options(tarn_compile INTERFACE -Werror)
endif()

# Assertions are part of the contract: release builds keep them.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")

if(TARN_SANITIZE)
    add_compile_options(-fsanitize=${TARN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${TARN_SANITIZE})
endif()
if(TARN_FUZZ)
    # A fuzzer sees which branches its inputs take, in all of the library.
    add_compile_options(-fsanitize=fuzzer-no-link)
    add_link_options(-fsanitize=fuzzer-no-link)
endif()

if(TARN_COVERAGE)
    add_compile_options(--coverage -fprofile-update=atomic)
    add_link_options(--coverage)
endif()

# The fuzzers see which ways their inputs take through the library.
if(TARN_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
    add_link_options(-fsanitize=fuzzer-no-link)
endif()
