/* support.h - what every test includes: cmocka with the headers it wants first. */
#ifndef TARN_TESTS_SUPPORT_H
#define TARN_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/fault_allocator.h"

/* ThreadSanitizer makes everything ten times slower, and looks for less: long loops are shorter for
 * it. */
#if defined(__SANITIZE_THREAD__)
#define SANITIZES_THREADS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZES_THREADS 1
#endif
#endif
#ifndef SANITIZES_THREADS
#define SANITIZES_THREADS 0
#endif

/* Of the allocations or calls of a failure loop, the first of as many fails. */
enum { FAULT_STRIDE = SANITIZES_THREADS ? 5 : 1 };

/* Asserts TARN_OK and shows the message of the error when it is not. */
#define assert_ok(call, error)                                                        \
    do {                                                                              \
        const tarn_status assert_ok_status = (call);                                  \
        if (assert_ok_status != TARN_OK) {                                            \
            fail_msg("%s: %s", tarn_status_name(assert_ok_status), (error)->message); \
        }                                                                             \
    } while (0)

#endif
