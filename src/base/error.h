/*
 * error.h - how a failure gets its words.
 *
 * The layer that knows the object writes the sentence, once; layers above pass it on, or put a
 * context in front with tarn__error_prefix(). A message never holds a secret.
 */
#ifndef TARN_BASE_ERROR_H
#define TARN_BASE_ERROR_H

#include <stdarg.h>

#include "tarn/status.h"

/* Writes status and sentence into *error (which may be NULL) and answers status. */
__attribute__((format(printf, 3, 4))) tarn_status tarn__fail(
    tarn_error *error, tarn_status status, const char *format, ...);

/* As tarn__fail(), with errno behind it: its text is appended. ENOSPC and EDQUOT become NO_SPACE.
 */
__attribute__((format(printf, 3, 4))) tarn_status tarn__fail_errno(
    tarn_error *error, int system_code, const char *format, ...);

/*
 * For what needed bytes and got none: TARN_OVER_BUDGET when a pool refused them (base/refusal.h),
 * TARN_NO_MEMORY when the allocator has none left.
 */
tarn_status tarn__fail_no_memory(tarn_error *error, const char *what, size_t bytes);

/* Either of these: who gets over the one gets over the other. */
static inline bool tarn__is_of_memory(tarn_status status)
{
    return status == TARN_NO_MEMORY || status == TARN_OVER_BUDGET;
}

/* Puts "<context>: " in front of the message of *error (may be NULL); cut at the end if too long.
 */
__attribute__((format(printf, 2, 3))) void tarn__error_prefix(
    tarn_error *error, const char *format, ...);

#endif
