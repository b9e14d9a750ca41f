/**
 * @file tarn/quantity.h
 * @brief Memory sizes and durations as text.
 *
 *     int64_t bytes = 0;
 *     tarn_memory_size_parse(tarn_bytes_of("1728 mb"), &bytes, &error);
 *     tarn_duration timeout;
 *     tarn_duration_parse(tarn_bytes_of("10 min"), &timeout, &error);
 *
 * The texts are Flink's, so that one file serves both: decimal digits, then a unit, in either case,
 * with white space (U+0020 and below) around each. Signs, fractions and ISO 8601 are refused.
 *
 * Thread: pure.
 */
#ifndef TARN_QUANTITY_H
#define TARN_QUANTITY_H

#include "tarn/bytes.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A length of time: seconds and, below a second, nanoseconds. Never negative. */
typedef struct tarn_duration {
    int64_t seconds; /**< Units: seconds, 0 .. 2^63 - 1. */
    int32_t nanos;   /**< Units: nanoseconds, 0 .. 999,999,999. */
} tarn_duration;

enum {
    TARN_MEMORY_SIZE_TEXT_BYTES = 64, /**< Room for any formatted size and its NUL. */
    TARN_DURATION_TEXT_BYTES = 48,    /**< Room for any formatted duration and its NUL. */
};

/**
 * Reads a memory size.
 *
 * @param[in]  text   Shape: digits and one of: b bytes; k kb kibibytes; m mb mebibytes; g gb
 *                    gibibytes; t tb tebibytes; or no unit for bytes.
 * @param[out] out    Units: bytes, 0 .. 2^63 - 1.
 * @param[out] error  Names the text and what is allowed. May be NULL.
 *
 * @retval TARN_OK                *out is set.
 * @retval TARN_INVALID_ARGUMENT  The text is no size, or one that does not fit.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_memory_size_parse(tarn_bytes text, int64_t *out, tarn_error *error);

/** Writes a size in the largest unit that divides it, such as "1 gb", as Flink does. */
TARN_API void tarn_memory_size_format(int64_t bytes, char text[TARN_MEMORY_SIZE_TEXT_BYTES]);

/** Writes a size for people, such as "1.688gb (1811939328 bytes)", as Flink does. */
TARN_API void tarn_memory_size_format_human(int64_t bytes, char text[TARN_MEMORY_SIZE_TEXT_BYTES]);

/**
 * Reads a duration.
 *
 * @param[in]  text   Shape: digits and one of: d day days; h hour hours; min m minute minutes; s
 * sec secs second seconds; ms milli millis millisecond milliseconds; µs (U+00B5) micro micros
 * microsecond microseconds; ns nano nanos nanosecond nanoseconds; or no unit for milliseconds. The
 * number is below 2^63, whatever the unit.
 * @param[out] out    The duration; it can exceed 2^63 nanoseconds.
 * @param[out] error  Names the text and what is allowed. May be NULL.
 *
 * @retval TARN_OK                *out is set.
 * @retval TARN_INVALID_ARGUMENT  The text is no duration, or has 2^63 seconds or more.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_duration_parse(tarn_bytes text, tarn_duration *out, tarn_error *error);

/** Writes a duration in the largest unit that divides it, such as "10 min"; zero is "0 ms". */
TARN_API void tarn_duration_format(tarn_duration duration, char text[TARN_DURATION_TEXT_BYTES]);

/**
 * Converts to milliseconds, dropping what is below one.
 *
 * @retval TARN_OK                *out is set.
 * @retval TARN_INVALID_ARGUMENT  There are 2^63 milliseconds or more.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_duration_to_ms(tarn_duration duration, int64_t *out, tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
