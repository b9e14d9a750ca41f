/*
 * descriptors.h - what the database itself says of the states that it holds.
 *
 * Thread: confined, with the backend.
 */
#ifndef TARN_STATE_DESCRIPTORS_H
#define TARN_STATE_DESCRIPTORS_H

#include "codec/descriptor.h"
#include "state/backend.h"

/*
 * Reads the descriptor of a state that has a column family.
 *
 * Errors: TARN_CORRUPTION (missing or damaged), TARN_NOT_SUPPORTED (a newer version's), of reading.
 */
TARN_NODISCARD tarn_status tarn__descriptor_read(
    const tarn_backend *backend, const char *name, tarn__descriptor *out, tarn_error *error);

#endif
