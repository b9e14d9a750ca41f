/*
 * descriptors.h - what the database itself says of the states that it holds.
 *
 * Two databases of an operator can say different things of a state whose rows are brought together:
 * which schemas there are among them, and by which generations (codec/descriptor.h). The first
 * database's descriptor becomes the union, and the marks of the second one's rows are changed.
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
 * pin  Empty; keeps the schemas of the descriptor until it is let go, whatever the outcome.
 * Errors: TARN_CORRUPTION (missing or damaged), TARN_NOT_SUPPORTED (a newer version's), of reading.
 */
TARN_NODISCARD tarn_status tarn__descriptor_read(
    const tarn_backend *backend,
    const char *name,
    tarn__rocks_pin *pin,
    tarn__descriptor *out,
    tarn_error *error);

/*
 * Takes over the descriptor of a state whose rows come from another database: writes it, or the
 * union of both.
 *
 * generations  Shape: [256]; the generation here of each that its rows are marked with.
 * Errors: TARN_INCOMPATIBLE (it is another state, or there are too many schemas), as those of
 * tarn__descriptor_read(), of writing.
 */
TARN_NODISCARD tarn_status tarn__descriptor_take(
    tarn_backend *backend,
    const char *name,
    tarn_bytes descriptor,
    uint8_t generations[256],
    tarn_error *error);

/* How the marks of rows that come from another database change. */
typedef struct tarn__marking {
    bool is_needed; /* Else values stay as they are. */
    uint8_t generations[256];
    tarn_buffer value; /* To be cleared. */
} tarn__marking;

/* Begins with generations of tarn__descriptor_take(). */
void tarn__marking_begin(
    tarn__marking *marking,
    const tarn_backend *backend,
    bool is_marked,
    const uint8_t generations[256]);

/* Finds out what is needed for a state whose descriptor was taken from a database. */
TARN_NODISCARD tarn_status tarn__marking_init(
    tarn__marking *marking,
    tarn_backend *backend,
    tarn__rocks *source,
    const char *name,
    tarn_error *error);

/* Makes a stored value one with the mark that it has here. TARN_NO_MEMORY. */
TARN_NODISCARD tarn_status
tarn__marking_apply(tarn__marking *marking, tarn_bytes *value, tarn_error *error);

/* Says in out which states the backend has, with memory of the arena. */
TARN_NODISCARD tarn_status tarn__descriptors_list(
    tarn_backend *backend, tarn__arena *arena, tarn__subtask *out, tarn_error *error);

#endif
