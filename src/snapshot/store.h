/*
 * store.h - checkpoints of a job being written: who may, what is kept, what is deleted.
 *
 *     begin ──► pending ──► join ◄── upload (ref contents) ── keep ──► acknowledge ──► commit
 *                  │                                                                     │
 *                  └──────────────────────────── abandon                                 ▼
 *                                                                     retained: newest N by id
 *                                                                                        │
 *     delete: _metadata (durable) ─► the rest of chk-N ─► shared files that nothing names ◄┘
 *
 * Invariants
 *   - A shared file is deleted only when no retained checkpoint, pending checkpoint or upload holds
 *     a reference; and none at all while a checkpoint in the directory cannot be read.
 *   - What is deleted is first made invisible: _metadata goes before anything that it names.
 *   - Nothing that is needed after _metadata was written can fail: memory is taken before.
 *   - The mutex is a leaf: no I/O, no callback and no other lock under it.
 *
 * tarn/checkpoint.h is the public face; this is what uploads and tests use beside it.
 */
#ifndef TARN_SNAPSHOT_STORE_H
#define TARN_SNAPSHOT_STORE_H

#include "tarn/checkpoint.h"

#include "base/clock.h"
#include "base/errands.h"
#include "snapshot/metadata.h"
#include "storage/storage.h"

/* Says something to whoever runs the job; a sentence. */
typedef void tarn__store_log_fn(const char *message, void *context);

/* What a store is opened with. Everything is borrowed and outlives the store. */
typedef struct tarn__store_options {
    const char *address;
    const char *job;
    uint32_t retained_count;       /* At least 1. */
    tarn__metadata_kind kind;      /* 0: TARN__METADATA_CHECKPOINT. */
    tarn__account *account;        /* Required. */
    const tarn__clock *clock;      /* NULL: the system's. */
    const tarn__file_calls *calls; /* NULL: the system's. */
    tarn__storage_options remote;  /* What a storage behind a network is opened with besides. */
    tarn_storage *storage;         /* The job's directory, instead of address/job; then the store's,
                                      unless opening fails. NULL: opened by address. */
    bool is_guest;                 /* Of another job's directory: it only deletes, and leaves
                                      alone what the owner may be about to commit. */
    uint64_t token;                /* What its names are drawn from. 0: time and chance. */
    tarn__store_log_fn *log;       /* NULL: silent. */
    void *log_context;
    void (*closed)(void *context); /* Called when the store is gone. May be NULL. */
    void *closed_context;
    atomic_bool *is_held;   /* Of a savepoint: set to false when it ends by itself. May be NULL. */
    tarn__errands *errands; /* What is given up is deleted there. NULL: at once. Of a savepoint it
                               is there longer than the store, which goes in an errand. */
} tarn__store_options;

/* As tarn_checkpoint_store_open(), without an environment. */
TARN_NODISCARD tarn_status tarn__store_open(
    const tarn__store_options *options, tarn_checkpoint_store **out, tarn_error *error);

/*
 * Begins a savepoint: makes address/savepoint-<id>-<random> and a store of it alone, which goes
 * with the pending checkpoint. Nothing but the savepoint itself ever touches that directory.
 *
 * options  kind is that of a savepoint. retained_count does not matter.
 */
TARN_NODISCARD tarn_status tarn__savepoint_begin(
    const tarn__store_options *options,
    uint64_t id,
    tarn_pending_checkpoint **out,
    tarn_error *error);

/* What is being written. */
tarn__metadata_kind tarn__pending_kind(const tarn_pending_checkpoint *pending);

/* As tarn_checkpoint_abandon(), but what was written is deleted when this returns, if it can be.
 * NULL does nothing. */
void tarn__checkpoint_abandon(tarn_pending_checkpoint *pending);

/* Encodes a subtask's part, which is sorted (tarn__subtask_sort()). */
TARN_NODISCARD tarn_status tarn__acknowledgement_encode(
    uint64_t checkpoint_id, const tarn__subtask *subtask, tarn_buffer *out, tarn_error *error);

/* --- What uploads need --- */

/* References to contents that an upload took, handed to the pending checkpoint when it is kept. */
typedef struct tarn__grant {
    struct tarn__grant *next;
    uint32_t count;
    tarn__content contents[];
} tarn__grant;

/* Counts an upload in: the pending checkpoint's memory stays until it leaves. False: it has been
 * committed or abandoned, or is about to be. */
bool tarn__pending_join(tarn_pending_checkpoint *pending);
void tarn__pending_leave(tarn_pending_checkpoint *pending, bool was_left);

/* Says that one who joined leaves by itself: closing the store waits for it, and does not refuse.
 */
void tarn__pending_expect_leave(tarn_pending_checkpoint *pending);

/* Tells whether the pending checkpoint was committed or abandoned meanwhile. */
bool tarn__pending_is_over(tarn_pending_checkpoint *pending);

/* Says that private files of an upload could not be removed: if those of the checkpoint have been
 * removed before, as it was withdrawn, a later cleaning does it again. */
void tarn__pending_clean_again(tarn_pending_checkpoint *pending);

/* Hands references over, which the pending checkpoint then gives back at its end. False: it is
 * over; the grant stays the caller's. */
bool tarn__pending_keep(tarn_pending_checkpoint *pending, tarn__grant *grant);

/* A number that no other upload of this pending checkpoint has, nor of another process's life. */
uint64_t tarn__pending_token(tarn_pending_checkpoint *pending);

tarn_checkpoint_store *tarn__pending_store(tarn_pending_checkpoint *pending);

/* Where what belongs to it is deleted; NULL: at once. */
tarn__errands *tarn__pending_errands(const tarn_pending_checkpoint *pending);
tarn_storage *tarn__store_storage(tarn_checkpoint_store *store);

/* Takes a reference if the content is known to be stored. */
bool tarn__store_ref_present(tarn_checkpoint_store *store, const tarn__content *content);

/*
 * Takes a reference, waiting out a deletion of the same content, unless the upload is left.
 * *is_present: nothing is to be stored; else the caller stores it and then calls
 * tarn__store_confirm().
 */
TARN_NODISCARD tarn_status tarn__store_ref(
    tarn_checkpoint_store *store,
    const tarn__content *content,
    bool *is_present,
    tarn_error *error);
void tarn__store_confirm(tarn_checkpoint_store *store, const tarn__content *content);

/* Whether a refused checkpoint names the content, and nobody has stored it since. */
bool tarn__store_is_doubted(tarn_checkpoint_store *store, const tarn__content *content);

/* Whether the storage may take shared files by a second name; not once it has refused one. */
bool tarn__store_may_link(const tarn_checkpoint_store *store);
void tarn__store_forbid_links(tarn_checkpoint_store *store);
void tarn__store_unref(tarn_checkpoint_store *store, const tarn__content *contents, uint32_t count);

/* Whether it is worth while to delete; and says that something could not be deleted. */
bool tarn__store_deletes(tarn_checkpoint_store *store);
void tarn__store_note_undeleted(tarn_checkpoint_store *store);

/* --- What a driver needs --- */

/*
 * Finds a retained checkpoint that was not refused. *is_owned: the store may delete it. address:
 * where it lies if that is not in the store's directory (it was claimed, or the job came from it),
 * else "".
 */
bool tarn__store_locate(
    tarn_checkpoint_store *store, uint64_t id, bool *is_owned, char *address, size_t address_bytes);

/*
 * Lists the complete checkpoints by ascending id, capacity at most; answers how many there are.
 * Those that were refused are left out.
 */
uint32_t tarn__store_list(tarn_checkpoint_store *store, uint64_t *ids, uint32_t capacity);

/* The id of the newest complete checkpoint of the directory that was not refused; 0: none. */
uint64_t tarn__store_newest(tarn_checkpoint_store *store);

/* Whether an opened checkpoint lies in the store's directory. */
bool tarn__store_has(const tarn_checkpoint_store *store, const tarn_checkpoint *checkpoint);

/* As tarn_checkpoint_refuse(). trusted_id: of the checkpoint that the job goes on from; 0: none of
 * the directory, or it begins empty. */
#define TARN__TRUST_NEXT_OLDER UINT64_MAX /* The newest of the older ones that was not refused. */
TARN_NODISCARD tarn_status tarn__store_refuse(
    tarn_checkpoint_store *store, uint64_t id, uint64_t trusted_id, tarn_error *error);

/* Deletes a complete checkpoint; what fails is logged, and tried again with every later cleaning.
 */
void tarn__store_discard(tarn_checkpoint_store *store, uint64_t id);

/*
 * As tarn_checkpoint_commit().
 *
 * cleans        False: call tarn__store_clean() when there is time.
 * *is_in_doubt  After a failure, _metadata may be there all the same.
 */
TARN_NODISCARD tarn_status tarn__checkpoint_commit(
    tarn_pending_checkpoint *pending,
    bool cleans,
    tarn_checkpoint_summary *summary,
    bool *is_in_doubt,
    tarn_error *error);

/* Deletes what nothing names any more, and what was left over by earlier failures. */
void tarn__store_clean(tarn_checkpoint_store *store);

#endif
