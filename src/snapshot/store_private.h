/* store_private.h - the structs of a store, for store.c, pending.c and clean.c. */
#ifndef TARN_SNAPSHOT_STORE_PRIVATE_H
#define TARN_SNAPSHOT_STORE_PRIVATE_H

#include <pthread.h>

#include "snapshot/checkpoint.h"
#include "snapshot/registry.h"
#include "snapshot/store.h"

/* A complete checkpoint and what it names; or one that is being deleted. */
typedef struct tarn__retained {
    struct tarn__retained *next;
    uint64_t id;
    bool is_surplus; /* To be deleted although it is not beyond retained_count. */
    bool is_pinned;  /* Not the store's to delete; it does not count. */
    bool is_refused; /* A restore passed it over (refuse.c): it does not count. */
    bool is_claimed_savepoint;
    bool is_put_off;     /* By this cleaning: its _metadata could not be deleted. */
    uint32_t attempt;    /* Of one that was not committed: the tokens of its files. 0: it was. */
    const char *address; /* Where it lies, if that is elsewhere; "": here. */
    char *own_address;   /* Its memory. Owned; may be NULL. */
    uint32_t count;      /* References held. */
    tarn__content contents[]; /* Of its shared files; one for each time that one is named. */
} tarn__retained;

struct tarn_checkpoint_store {
    tarn__store_options options; /* address and job are not used after open. */
    tarn_storage *storage;       /* The directory of the job. Owned. */
    tarn_storage_lock *lock;
    atomic_bool takes_no_links; /* It refused one: others need not be tried. */
    char job[TARN__METADATA_NAME_BYTES_MAX + 1];

    pthread_mutex_t mutex; /* For all below. A leaf. */
    pthread_cond_t undoomed;
    pthread_cond_t settled; /* A pending checkpoint is gone. */
    tarn__registry registry;
    tarn__retained *retained; /* By id, ascending. */
    uint32_t retained_count;
    tarn__retained *condemned; /* Without _metadata; the rest is still to go. */
    bool had_counted;          /* A cleaning has found one that counts, and not all of those
                                  were refused since. */
    uint64_t highest_id;
    uint64_t listed_id;        /* What a listing tells has this number, or a greater one. */
    uint64_t inherited_id;     /* Under which a commit of the process before may come. 0: none. */
    bool is_inherited_pending; /* That is the number of a pending checkpoint of this process. */
    uint64_t unannounced_id;   /* Of a commit under way of which the newest alone tells. 0: none. */
    uint64_t *doubts;          /* [doubt_count]: numbers of which nobody knows. Owned. */
    uint32_t doubt_count;
    uint32_t doubt_capacity;
    bool has_forgotten; /* There are more, for which there was no room: */
    uint64_t forgotten_first;
    uint64_t forgotten_last;
    bool is_ending; /* Nothing more will be begun: the number need not be kept for it. */
    uint32_t pending_count;
    uint32_t held_count; /* Of them, those that somebody has still to end. */
    uint64_t token;      /* Of the latest upload. */
    bool keeps_shared;   /* A checkpoint could not be read: nobody knows what it names. */
    bool
        is_savepoint; /* The storage is a savepoint's directory, and the store its pending one's. */
    bool is_cleaning;
    bool must_clean_again; /* Somebody asked while it was cleaning. */
    bool is_closing;       /* Nothing is pending that does not end by itself. */
    bool gives_up;         /* And something could not be deleted: the rest is garbage. */
};

/* A subtask's part, acknowledged. */
typedef struct tarn__part {
    tarn__metadata metadata; /* With one subtask. */
} tarn__part;

struct tarn_pending_checkpoint {
    tarn_checkpoint_store *store;
    uint64_t id;
    uint64_t begun_ns;
    int64_t timestamp_ms;
    char path[TARN__CHECKPOINT_PATH_BYTES];
    tarn__retained *grave; /* For the condemned, should its files not go at once; owned. */
    tarn__errand errand;   /* To withdraw it. */
    uint32_t attempt;      /* The first half of the tokens of its private files; never 0. */
    /* Under the store's mutex: */
    uint32_t reference_count; /* The owner and the uploads. */
    uint32_t left_count;      /* Of these, uploads that only workers have to do with. */
    bool is_over;
    bool is_held;       /* As the store counts it. */
    bool is_withdrawn;  /* It is over and was not committed, for certain. */
    bool is_announced;  /* There may be an object that tells of the commit (predecessor.c). */
    tarn__part **parts; /* [part_count], by operator and index; owned. */
    uint32_t part_count;
    uint32_t part_capacity;
    tarn__grant *grants;
};

__attribute__((format(printf, 2, 3))) void tarn__store_log(
    tarn_checkpoint_store *store, const char *format, ...);

/* Under the mutex, when any of what decides it has changed: counts the pending checkpoint among
 * those that are held, or no longer. */
void tarn__pending_note_held(tarn_pending_checkpoint *pending);

/* Puts a record into its place among the retained. Under the mutex. */
void tarn__store_retain(tarn_checkpoint_store *store, tarn__retained *record);

/* The record of a checkpoint of the store's own directory, or NULL. Under the mutex. */
tarn__retained *tarn__store_find_own(tarn_checkpoint_store *store, uint64_t id);

/* A record with room for count contents, or NULL. */
tarn__retained *tarn__retained_new(tarn__account *account, uint64_t id, uint64_t count);

/* NULL does nothing. */
void tarn__retained_free(tarn__retained *record);

/* Adds a subtask's shared files to a record that has the room. */
void tarn__retained_add(tarn__retained *record, const tarn__subtask *subtask);

/* How many shared files a subtask names. */
uint32_t tarn__subtask_shared_count(const tarn__subtask *subtask);

/* How a commit ended whose last step failed (commit_end.c). */
typedef enum tarn__commit_end {
    TARN__COMMIT_FAILED, /* It never was, and never will be. */
    TARN__COMMIT_DONE,   /* It was written all the same. */
    TARN__COMMIT_IN_DOUBT,
} tarn__commit_end;

tarn__commit_end tarn__commit_settle(
    tarn_checkpoint_store *store,
    uint64_t id,
    const char *name,
    tarn_bytes bytes,
    tarn_status failure);

/* Puts the mark under chk-<id>/_metadata. TARN_BUSY: there is something already. */
TARN_NODISCARD tarn_status tarn__commit_take_name(tarn_checkpoint_store *store, uint64_t id);

/* --- What the process before left (predecessor.c) --- */

/* Takes in the directory of a job: while the store is opened. */
TARN_NODISCARD tarn_status tarn__predecessor_adopt(tarn_checkpoint_store *store, tarn_error *error);

/*
 * Takes a checkpoint that is there among the retained. is_late: it came while the store was open;
 * it does not count, and is not the store's to delete.
 *
 * Errors: TARN_NO_MEMORY, TARN_OVER_BUDGET; nothing has changed.
 */
TARN_NODISCARD tarn_status tarn__store_adopt(
    tarn_checkpoint_store *store, const tarn__metadata *metadata, bool is_late, tarn_error *error);

/* One is there that cannot be read: no shared file is deleted until the store is opened again. */
void tarn__store_keep_shared(tarn_checkpoint_store *store, uint64_t id, const tarn_error *why);

/* A checkpoint, or the mark, has the number's name. Under the mutex. */
void tarn__predecessor_settled(tarn_checkpoint_store *store, uint64_t id);

/* The newest checkpoint goes: a listing tells less. Under the mutex. */
void tarn__predecessor_unlist(tarn_checkpoint_store *store, uint64_t id);

/* Sees to it that a listing tells of a checkpoint before its commit is sent. */
TARN_NODISCARD tarn_status
tarn__predecessor_show(tarn_pending_checkpoint *pending, tarn_error *error);

/* --- Numbers of which nobody knows (doubt.c) --- */

/* Nobody knows whether a checkpoint is there, or will be: no shared file is deleted before. Where
 * there is no room for it, none is until the store is opened again. */
void tarn__doubt_note(tarn_checkpoint_store *store, uint64_t id);

/* The number is open no more, for whatever reason it was. Under the mutex. */
void tarn__doubt_end(tarn_checkpoint_store *store, uint64_t id);

/* Whether a commit that may come may name what is to be deleted. Under the mutex. */
bool tarn__doubts_matter(const tarn_checkpoint_store *store);

/* Whether shared files may be deleted; asks about what is open. Of the thread that cleans. */
bool tarn__doubts_let_delete(tarn_checkpoint_store *store);

/* Whether a checkpoint of the directory may go: not if it alone tells of what is open; asks about
 * that. True: a listing does not tell of it any more. Of the thread that cleans. */
bool tarn__doubts_let_remove(tarn_checkpoint_store *store, uint64_t id);

/* Before the store goes: deletes what had to wait for the inherited number. */
void tarn__doubts_close(tarn_checkpoint_store *store);

/* Frees a store of which nothing is pending. */
void tarn__store_free(tarn_checkpoint_store *store);

/* Frees the store of a savepoint, and its directory if it is empty. */
void tarn__savepoint_end(tarn_checkpoint_store *store);

/* Writes the directory of a checkpoint in the storage, "" for a savepoint; and its metadata. */
void tarn__store_name_directory(
    const tarn_checkpoint_store *store, uint64_t id, char out[TARN__CHECKPOINT_NAME_BYTES]);
void tarn__store_name_metadata(
    const tarn_checkpoint_store *store, uint64_t id, char out[TARN__CHECKPOINT_NAME_BYTES]);

/* Deletes chk-<id> with all that is in it, _metadata first. */
TARN_NODISCARD tarn_status
tarn__store_remove_directory(tarn_checkpoint_store *store, uint64_t id, tarn_error *error);

/* Deletes chk-<id>/_metadata, durably. */
TARN_NODISCARD tarn_status
tarn__store_remove_metadata(tarn_checkpoint_store *store, uint64_t id, tarn_error *error);

#endif
