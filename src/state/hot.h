/*
 * hot.h - rows of states through the backend's working set.
 *
 *     a state's call ──► tarn__keyed_read / write / erase ──► working set ──► store
 *     ranges, iterators ──► settle or drop what the working set has of them ──► store
 *
 * Which states: those with one row per key and namespace, which are found by their row: value,
 * reducing and aggregating; lists, of which one row is here (hot_list.h); and maps and lists with a
 * TTL, of which it is one block (hot_map.h). When the working set is off all rows are in the store
 * alone: then a call costs one compare more than the store's.
 *
 * With a TTL a value here begins with its stamp. What has expired when it is to be written is not
 * (ttl.c); the stamps of what is written are told to the deadlines once more, as clean-ups see only
 * what is in the store. Who cleans in the store looks here first: tarn__hot_forget_expired().
 *
 * Adds of reductions (codec/reduction.h) are blind: what is not here is not read, but begun as a
 * partial, which the store merges into what it has. A read makes a whole value of the two.
 *
 * What an iterator or a range needs is written to the store before, so that those see one thing
 * only. Calls on such states do not wait at the gate of a snapshot, unless they come to the store.
 *
 * Thread: confined, with the backend.
 */
#ifndef TARN_STATE_HOT_H
#define TARN_STATE_HOT_H

#include "tarn/working_set.h"

#include "state/hot_map.h"
#include "state/keyed.h"

/* Opens the working set of a backend, as its configuration says. */
TARN_NODISCARD tarn_status
tarn__hot_open(tarn_backend *backend, const tarn_config *config, tarn_error *error);
void tarn__hot_close(tarn_backend *backend);

/* Reads what the state's own options say of the working set. options NULL: nothing. */
TARN_NODISCARD tarn_status
tarn__hot_configure(tarn_keyed *keyed, const tarn_config *options, tarn_error *error);

/*
 * Ends what other threads do with the store for the states of a backend (clean-ups, prefetches,
 * filters that are being built, rows that were sent), before the database is closed and opened.
 */
void tarn__hot_quiet(tarn_backend *backend);

/* Has the rows of a state go through the working set, if they may. */
TARN_NODISCARD tarn_status
tarn__hot_attach(tarn_keyed *keyed, tarn__state_kind kind, tarn_error *error);

/* Writes what is dirty of a state, unless the backend is poisoned, and forgets it in any case. */
TARN_NODISCARD tarn_status tarn__hot_detach(tarn_keyed *keyed, tarn_error *error);

/* Writes changes to the store, which is not held; the outcome is passed on as
 * tarn__backend_finish_write() does. */
TARN_NODISCARD tarn_status tarn__hot_write_changes(
    tarn_backend *backend, const tarn__change *changes, size_t count, tarn_error *error);

/* The store is about to have a row that is found by a key and is not in the working set. */
static inline void tarn__hot_note_put(tarn_keyed *keyed, uint64_t hash)
{
    if (keyed->hot.filter != NULL) {
        tarn__filter_add(keyed->hot.filter, hash);
    }
}

/* Tells whether a key that was looked for and not found is new: the store has nothing of it. For
 * calls that write; the other one is for those that read. */
static inline bool tarn__hot_is_new(const tarn__hot_key *key)
{
    if (key->is_new) {
        key->family->filter->used_count++;
    }
    return key->is_new;
}

static inline bool tarn__hot_reads_new(const tarn__hot_key *key)
{
    if (key->is_new) {
        tarn__filter_note_read(key->family->filter);
    }
    return key->is_new;
}

/* Waits until the store may be written, for a write that goes past the working set. */
static inline void tarn__hot_pass_gate(tarn_backend *backend)
{
    if (__builtin_expect(atomic_load_explicit(&backend->is_gate_shut, memory_order_acquire), 0)) {
        tarn__backend_wait_at_gate(backend);
    }
}

/* ---- rows: see tarn__keyed_read() and its like ------------------------------------------- */

TARN_NODISCARD tarn_status tarn__hot_read(
    tarn_keyed *keyed, tarn_bytes row, tarn__rocks_pin *pin, tarn_bytes *out, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__hot_write(tarn_keyed *keyed, tarn_bytes row, tarn_bytes value, tarn_error *error);
TARN_NODISCARD tarn_status tarn__hot_erase(tarn_keyed *keyed, tarn_bytes row, tarn_error *error);

/* Adds a reduction to a row, blindly. */
TARN_NODISCARD tarn_status
tarn__hot_add(tarn_keyed *keyed, tarn_bytes row, tarn_bytes operand, tarn_error *error);

/*
 * Makes a row's value one of size bytes, to be changed in place until the next call; *out stays
 * NULL when there is no room for it.
 */
TARN_NODISCARD tarn_status
tarn__hot_edit(tarn_keyed *keyed, tarn_bytes row, size_t size, void **out, tarn_error *error);

/*
 * Reads a row: of the working set, or of the store.
 *
 * pin  Empty; may hold the value. Else it lies in the working set until the next call but one.
 */
TARN_NODISCARD static inline tarn_status tarn__keyed_read(
    tarn_keyed *keyed, tarn_bytes row, tarn__rocks_pin *pin, tarn_bytes *out, tarn_error *error)
{
    if (__builtin_expect(keyed->workset == NULL, 0)) {
        return tarn__rocks_get(keyed->family, row, pin, out, error);
    }
    return keyed->hot.is_of_blocks ? tarn__hot_map_read(keyed, row, pin, out, error)
                                   : tarn__hot_read(keyed, row, pin, out, error);
}

/* Write and remove a row; the outcome is passed on as tarn__backend_finish_write() does. */
TARN_NODISCARD static inline tarn_status tarn__keyed_write(
    tarn_keyed *keyed, tarn_bytes row, tarn_bytes value, tarn_error *error)
{
    if (keyed->workset != NULL) {
        return keyed->hot.is_of_blocks ? tarn__hot_map_write(keyed, row, value, error)
                                       : tarn__hot_write(keyed, row, value, error);
    }
    return tarn__backend_finish_write(
        keyed->backend, tarn__rocks_put(keyed->family, row, value, error), error);
}

TARN_NODISCARD static inline tarn_status tarn__keyed_erase(
    tarn_keyed *keyed, tarn_bytes row, tarn_error *error)
{
    if (keyed->workset != NULL) {
        return keyed->hot.is_of_blocks ? tarn__hot_map_erase(keyed, row, error)
                                       : tarn__hot_erase(keyed, row, error);
    }
    return tarn__backend_finish_write(
        keyed->backend, tarn__rocks_delete(keyed->family, row, error), error);
}

/* Adds a reduction to a row; likewise. */
TARN_NODISCARD static inline tarn_status tarn__keyed_add(
    tarn_keyed *keyed, tarn_bytes row, tarn_bytes operand, tarn_error *error)
{
    if (keyed->workset != NULL) {
        return tarn__hot_add(keyed, row, operand, error);
    }
    return tarn__backend_finish_write(
        keyed->backend, tarn__rocks_merge(keyed->family, row, operand, error), error);
}

/* Begins a call that writes single rows: as tarn__backend_enter_write() where it needs the store.
 */
TARN_NODISCARD static inline tarn_status tarn__keyed_enter_write(
    tarn_keyed *keyed, tarn_error *error)
{
    return keyed->workset != NULL ? tarn__backend_enter(keyed->backend, error)
                                  : tarn__backend_enter_write(keyed->backend, error);
}

/*
 * Forgets a row that is expired in the store and about to be removed from there; the gate is open.
 * False: what is here is newer, and the store's row stays until that is written.
 */
bool tarn__hot_forget_expired(tarn_keyed *keyed, tarn_bytes row);

/*
 * Has the store have all adds to a state, before somebody decides there by the stamps of its rows.
 */
TARN_NODISCARD tarn_status tarn__hot_settle_adds(tarn_keyed *keyed, tarn_error *error);

/* ---- ranges ----------------------------------------------------------------------------- */

/* Writes what is dirty of a range of a family to the store, for somebody who looks there. */
TARN_NODISCARD tarn_status tarn__hot_settle(
    tarn_backend *backend,
    const tarn__rocks_family *family,
    tarn_bytes lower,
    tarn_bytes upper,
    tarn_error *error);

/*
 * Forget rows that are about to be removed from the store, dirty or not: those of a range, of a
 * namespace, of the current key. The gate is open. They answer whether there were any: then the
 * removal from the store must not fail without poisoning, as a write may be lost.
 */
bool tarn__hot_drop_range(
    tarn_backend *backend, const tarn__rocks_family *family, tarn_bytes lower, tarn_bytes upper);
bool tarn__hot_drop_namespace(tarn_keyed *keyed, tarn_bytes name_space);
bool tarn__hot_drop_key(tarn_backend *backend, const tarn__rocks_family *family);

#endif
