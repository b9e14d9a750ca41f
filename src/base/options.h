/*
 * options.h - the one rule for structs that begin with struct_size (style: the Linux rule).
 *
 * Shorter than known: the missing tail is zero, that is, default. Longer: accepted when the unknown
 * tail is zero, else refused.
 */
#ifndef TARN_BASE_OPTIONS_H
#define TARN_BASE_OPTIONS_H

#include "base/error.h"

/*
 * Copies a caller's options struct of any version into the known one.
 *
 * name        Of the struct, for the message.
 * given       The caller's struct; its first member is its size_t struct_size. NULL is refused.
 * known       Caller's memory of known_size bytes; set on success.
 */
TARN_NODISCARD tarn_status tarn__options_copy(
    const char *name, const void *given, void *known, size_t known_size, tarn_error *error);

#endif
