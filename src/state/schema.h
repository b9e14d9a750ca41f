/*
 * schema.h - the schemas of a state's values: which there are among its rows, and upgrades.
 *
 *     open    stored descriptor ──► is the state of the same kind? which of its schemas can be
 * read? no: refused, both named       yes: as they are, or by upgrade read    row ──► mark
 * (rocks/db.h) ──► older generation ──► tarn__schema_upgrade() write   row with the mark of the
 * present generation migrate rows of older generations, written anew; then their schemas are
 * forgotten
 *
 * A mark is the last byte of a stored value; codec/descriptor.h says what it means. Built-in
 * reducers and timers have none: their rows are Tarn's own.
 *
 * Thread: confined, with the backend.
 */
#ifndef TARN_STATE_SCHEMA_H
#define TARN_STATE_SCHEMA_H

#include "tarn/schema.h"
#include "tarn/state.h"

#include "codec/descriptor.h"
#include "state/backend.h"

typedef struct tarn__schemas {
    tarn_migration how;          /* Zeroed: no callbacks. */
    tarn_buffer bytes;           /* The stored descriptor. */
    tarn__descriptor descriptor; /* Its schemas lie in bytes; while opening, in the options too. */
    bool has_changed;            /* It is not what is stored. */
    bool must_mark;              /* Rows have no marks yet, and need them. */
    bool is_stamped;             /* Stored values begin with a stamp. */
    bool has_older;              /* There may be rows that need an upgrade. */
    tarn_buffer value;           /* What an upgrade makes. */
    tarn_buffer row;             /* A row that is written anew. */
    tarn_buffer cursor;          /* Where tarn_keyed_migrate() goes on. Empty: from the start. */
    tarn_migration_progress progress;
} tarn__schemas;

/*
 * Takes from the options what the state's descriptor has to say; nothing is read or written.
 *
 * Errors: TARN_INVALID_ARGUMENT.
 */
TARN_NODISCARD tarn_status tarn__schema_init(
    tarn_keyed *keyed,
    const tarn_state_options *options,
    tarn__state_kind kind,
    uint8_t detail,
    tarn_error *error);

/* Writes the descriptor of a new state, and has its values marked. */
TARN_NODISCARD tarn_status tarn__schema_create(tarn_keyed *keyed, tarn_error *error);

/*
 * Compares what is stored with what is wanted, and decides about each schema. Writes nothing.
 *
 * Errors: TARN_INCOMPATIBLE (both named), TARN_CORRUPTION, TARN_NOT_SUPPORTED, of reading.
 */
TARN_NODISCARD tarn_status
tarn__schema_check(tarn_keyed *keyed, const char *name, tarn_error *error);

/* Brings what is stored into the form that was decided on. A failure poisons the backend. */
TARN_NODISCARD tarn_status tarn__schema_adopt(tarn_keyed *keyed, tarn_error *error);

/* Ends the marking of a state that is closed, or was half opened. */
void tarn__schema_clear(tarn_keyed *keyed);

#endif
