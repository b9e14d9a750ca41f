/*
 * server_clock.h - what time it is where a storage says when objects were written.
 *
 * Ages of objects are differences of times that the storage's clock gave; the clock of the machine
 * that asks may be hours off. The storage is asked by a small object that is written and looked at.
 *
 * Thread: shared.
 */
#ifndef TARN_SNAPSHOT_SERVER_CLOCK_H
#define TARN_SNAPSHOT_SERVER_CLOCK_H

#include "storage/storage.h"

/* The object's name; it is removed again. One that a crash has left is written over. */
#define TARN__SERVER_CLOCK_NAME "clock-probe"

/*
 * Answers the storage's time. Units: milliseconds since 1970 UTC; 0: it does not say when objects
 * were written.
 *
 * Errors: of writing, looking and removing.
 */
TARN_NODISCARD tarn_status
tarn__server_clock_read(tarn_storage *storage, int64_t *out, tarn_error *error);

#endif
