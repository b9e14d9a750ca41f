# Read by ctest before it runs the tests. Builds without a sanitizer do not look at these.

get_filename_component(support "${CMAKE_CURRENT_LIST_FILE}" DIRECTORY)

function(tarn_default name value)
    if(NOT DEFINED ENV{${name}})
        set(ENV{${name}} "${value}")
    endif()
endfunction()

tarn_default(ASAN_OPTIONS "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1")
tarn_default(UBSAN_OPTIONS "print_stacktrace=1:halt_on_error=1")
tarn_default(TSAN_OPTIONS "suppressions=${support}/tsan.supp:halt_on_error=1:second_deadlock_stack=1:history_size=7")
