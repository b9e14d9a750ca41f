/* fraction.h - a size times a fraction, exactly. */
#ifndef TARN_MEMORY_FRACTION_H
#define TARN_MEMORY_FRACTION_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Multiplies as Flink's MemorySize does: the decimal number that Java writes for multiplier, times
 * bytes, without rounding, then cut to an integer.
 *
 * bytes       Units: bytes, 0 or more.
 * multiplier  0 or more, finite.
 * Returns false, *out untouched, when the product exceeds INT64_MAX (before it is cut).
 */
bool tarn__fraction_multiply(int64_t bytes, double multiplier, int64_t *out);

#endif
