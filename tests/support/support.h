/* support.h - what every test includes: cmocka with the headers it wants first. */
#ifndef TARN_TESTS_SUPPORT_H
#define TARN_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/fault_allocator.h"

/* Asserts TARN_OK and shows the message of the error when it is not. */
#define assert_ok(call, error)                                                        \
    do {                                                                              \
        const tarn_status assert_ok_status = (call);                                  \
        if (assert_ok_status != TARN_OK) {                                            \
            fail_msg("%s: %s", tarn_status_name(assert_ok_status), (error)->message); \
        }                                                                             \
    } while (0)

#endif
