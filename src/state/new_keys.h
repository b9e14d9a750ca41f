/*
 * new_keys.h - a state's filter of new keys: when there is one, and how it is built again.
 *
 *     a new state        complete from the start: it has no rows
 *     a restored one     not complete; built when reads come that find nothing
 *     reads find nothing, but the filter says "not new" too often    built again
 *     many rows are written, and hardly a read is for a new key      given up, until that changes
 *
 *     build    task thread: hold (the rows of this moment), a layer of their size
 *              worker: [50,000 rows][50,000 rows] ...  others' jobs in between
 *              task thread: what was built takes the place of what there was
 *
 * Which states: those whose rows go through the working set. A map or a list is one key there.
 * cache/filter.h has why the answer is never wrong in the direction that matters.
 *
 * Invariants
 *   - A build ends before the database is closed or retuned, and before its state is closed.
 *   - Memory is of an owner of its own, "new-key filter of ...", and at most a share of the heap.
 *
 * Thread: confined, with the backend, but for the job.
 */
#ifndef TARN_STATE_NEW_KEYS_H
#define TARN_STATE_NEW_KEYS_H

#include "cache/filter.h"
#include "state/backend.h"

typedef struct tarn__new_keys tarn__new_keys;

/* Of a backend: what its filters may take. */
TARN_NODISCARD tarn_status
tarn__new_keys_set_up(tarn_backend *backend, const tarn_config *config, tarn_error *error);
void tarn__new_keys_tear_down(tarn_backend *backend);

/*
 * Begins to filter the keys of a state, which is in the working set; as its options or, without
 * them, the backend's configuration say. Without memory it goes without.
 *
 * is_empty  The store has no rows of it.
 */
TARN_NODISCARD tarn_status tarn__new_keys_open(tarn_keyed *keyed, bool is_empty, tarn_error *error);
void tarn__new_keys_close(tarn_keyed *keyed); /* Waits for a build. */

/* What the state's own options say; options NULL: nothing. */
TARN_NODISCARD tarn_status
tarn__new_keys_configure(tarn_keyed *keyed, const tarn_config *options, tarn_error *error);

/* Ends all builds of a backend: before its database is closed and opened. */
void tarn__new_keys_stop(tarn_backend *backend);

/* Notes that a row was looked for in the store; may begin a build, or take in one that ended. */
void tarn__new_keys_note_read(tarn_keyed *keyed, bool was_found);

/* Begins a build whatever was seen, or takes in one that has ended. */
void tarn__new_keys_renew(tarn_keyed *keyed);

/* Adds the figures of a state. */
void tarn__new_keys_measure(const tarn_keyed *keyed, tarn__filter *sum);

#endif
