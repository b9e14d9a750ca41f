/*
 * operator_state.h - what a source or a worker keeps in a checkpoint beside keyed state: numbers
 * under a name.
 *
 * Thread: pure.
 */
#ifndef FLIGHTS_OPERATOR_STATE_H
#define FLIGHTS_OPERATOR_STATE_H

#include <tarn/checkpoint.h>

/* Writes and reads numbers. Shape: 8 * count bytes, each number little endian. */
void operator_state_write(const uint64_t *numbers, size_t count, uint8_t *out);
void operator_state_read(const uint8_t *in, size_t count, uint64_t *numbers);

/* Looks for the state of a name. Borrowed from the checkpoint. Errors: TARN_NOT_FOUND. */
tarn_status operator_state_find(
    const tarn_checkpoint *checkpoint, uint32_t subtask, const char *name, tarn_bytes *out);

#endif
