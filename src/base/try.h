/*
 * try.h - the only two macros with hidden control flow (GCC and Clang).
 *
 * TARN_TRY(call)   returns from the enclosing function with any status but TARN_OK.
 * TARN_AUTO(f)     runs f(&variable) when the variable leaves its scope.
 */
#ifndef TARN_BASE_TRY_H
#define TARN_BASE_TRY_H

#define TARN_TRY(call)                            \
    do {                                          \
        const tarn_status tarn__status_ = (call); \
        if (tarn__status_ != TARN_OK) {           \
            return tarn__status_;                 \
        }                                         \
    } while (0)

#define TARN_AUTO(release) __attribute__((cleanup(release)))

#endif
