/*
 * metadata_seal.h - makes the checks of a metadata file right again after a test damaged it.
 *
 * Without it every damage would be found by a check, and what lies behind the checks would never
 * be tried.
 */
#ifndef TARN_TESTS_METADATA_SEAL_H
#define TARN_TESTS_METADATA_SEAL_H

#include <stddef.h>
#include <stdint.h>

/* Rewrites size, checks and digest as far as the sections can be followed. */
void metadata_seal(uint8_t *data, size_t size);

#endif
