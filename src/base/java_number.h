/*
 * java_number.h - numbers as Java reads and writes them, whatever the process's locale is.
 *
 * Configuration files are shared with a JVM, so "0.1f", " .5 " and "0x1p-3" are fractions here too,
 * and a double is written as Double.toString() does: the shortest digits that read back the same.
 */
#ifndef TARN_BASE_JAVA_NUMBER_H
#define TARN_BASE_JAVA_NUMBER_H

#include "tarn/bytes.h"

enum { TARN__JAVA_DOUBLE_TEXT_BYTES = 32 };

/* Double.toString(): "1000.0", "1.0E10", "NaN", "-Infinity". */
void tarn__java_double_encode(double number, char text[TARN__JAVA_DOUBLE_TEXT_BYTES]);

/*
 * String.format("%.3f"): rounds half up, and rounds the shortest decimal form, not the binary
 * value.
 *
 * number  0 .. 2^63, finite.
 */
void tarn__java_fixed3_encode(double number, char text[TARN__JAVA_DOUBLE_TEXT_BYTES]);

/* Float.parseFloat(), Double.parseDouble(): false when the text is no number. */
bool tarn__java_float_decode(tarn_bytes text, float *out);
bool tarn__java_double_decode(tarn_bytes text, double *out);

/* Long.parseLong(), Integer.parseInt(): a sign, then decimal digits (ASCII ones only). */
bool tarn__java_long_decode(tarn_bytes text, int64_t *out);
bool tarn__java_int_decode(tarn_bytes text, int32_t *out);

/* String.trim(): drops what is not above U+0020 from both ends. */
tarn_bytes tarn__java_trim(tarn_bytes text);

#endif
