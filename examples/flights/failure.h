/*
 * failure.h - the example reports its own failures as the library does its own.
 */
#ifndef FLIGHTS_FAILURE_H
#define FLIGHTS_FAILURE_H

#include <tarn/budget.h>

/* Writes one sentence into error, which may be NULL, and answers status. */
__attribute__((format(printf, 4, 5))) tarn_status failure_set(
    tarn_error *error, tarn_status status, int system_code, const char *format, ...);

/* As failure_set(), for a system call that failed: adds the system's text, tells a full device. */
__attribute__((format(printf, 3, 4))) tarn_status failure_of_system(
    tarn_error *error, int system_code, const char *format, ...);

/*
 * For an owner's allocator, which answers no reason: whether the pool or the machine had no memory.
 * what: for whose buffers.
 */
tarn_status failure_of_memory(tarn_error *error, tarn_owner *owner, size_t size, const char *what);

/* Leaves the calling function with any status but TARN_OK. */
#define TRY(call)                              \
    do {                                       \
        const tarn_status try_status = (call); \
        if (try_status != TARN_OK) {           \
            return try_status;                 \
        }                                      \
    } while (0)

#endif
