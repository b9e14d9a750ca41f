/*
 * backend.h - one subtask's keyed state: the current key, the row buffer, and who may write when.
 *
 *     row buffer    [key group][key] | [namespace]
 *                    \_ set_key() _/   \_ each state appends its own, a few bytes, per call
 *
 * A call on a state goes
 *
 *     read    tarn__backend_enter()        a pending edit is stored
 *     write   tarn__backend_enter_write()  the same, and waits while a snapshot's links are made
 *
 * and costs two compares and a load when there is nothing to do.
 *
 * Invariants
 *   - The hot path allocates nothing once the longest key and value were seen, and takes no lock.
 *   - A failed write poisons the backend: what it holds is no longer what the program wrote, so
 *     that neither a read nor a snapshot may come from it. A failed read does not.
 *   - What tarn_value_edit() hands out is stored before anything else happens.
 *
 * Thread: confined, but for what says "any".
 */
#ifndef TARN_STATE_BACKEND_H
#define TARN_STATE_BACKEND_H

#include <pthread.h>
#include <stdatomic.h>

#include "tarn/backend.h"

#include "base/account.h"
#include "base/try.h"
#include "cache/workset.h"
#include "codec/row.h"
#include "env/env.h"
#include "rocks/db.h"
#include "snapshot/download.h"
#include "snapshot/pool.h"
#include "snapshot/upload.h"
#include "state/cleaning.h"
#include "state/directory.h"
#include "state/snapshot.h"
#include "state/tidy.h"

typedef struct tarn_value tarn_value;
typedef struct tarn__prefetch tarn__prefetch; /* state/prefetch.h */

/* Something that must be closed before the backend: a state, an iterator, a snapshot. */
typedef struct tarn__child {
    struct tarn__child *previous;
    struct tarn__child *next;
    const char *kind; /* A literal such as "state". */
    char name[TARN__ROCKS_NAME_BYTES_MAX + 1];
} tarn__child;

/* Something that has writes of its own in memory, which belong into a snapshot. */
typedef struct tarn__settler {
    tarn_status (*settle)(void *context, tarn_error *error);
    void *context;
    struct tarn__settler *next;
} tarn__settler;

struct tarn_backend {
    /* What every record touches. */
    bool needs_attention;     /* An edit is pending, a snapshot drains, or it is poisoned. */
    bool has_key;             /* A key is current. */
    atomic_bool is_gate_shut; /* Writes wait: a snapshot's links are being made. */
    tarn_buffer row;          /* size: of the prefix, [key group][key]. */
    size_t namespace_room;    /* Kept free behind the longest prefix. */
    tarn__rocks_pin pin;      /* Of the bytes that the last call gave out. */
    tarn_value *edited;       /* The state whose edit is pending. NULL: none. */
    tarn_buffer edit;         /* Its value. */
    int64_t watermark_ms;     /* Event time; INT64_MIN: none yet. */
    int64_t event_ms;         /* Of the records that come; INT64_MIN: unknown. */
    bool cleans_on_records;   /* A state's cleaning counts records. */
    uint64_t sequence;        /* The next one to give out; see sequence.c. */
    uint64_t sequence_end;    /* The first one that is not reserved. */
    tarn_key_group_range key_groups;
    uint32_t max_parallelism;
    tarn_key_hash key_hash;
    tarn__rocks *rocks;
    tarn__workset *workset; /* NULL: it is off. */
    uint64_t workset_bytes; /* That the environment counts for it. */
    tarn__runs *runs;       /* By which its frozen rows are written; NULL with it. */
    bool has_tables;        /* Those of the snapshot become table files. */
    bool is_awaited;        /* What it waits for does, at least: nobody streams. */

    /* The rest. */
    tarn__rocks_batch hot_batch; /* What the working set writes. */
    tarn_owner *filter_owner;    /* Of filters of new keys; NULL: there are none. */
    tarn__filter_share filter_share;
    bool filters_enabled;     /* For states that do not say themselves. */
    double filter_bits;       /* For a key; likewise. */
    tarn__prefetch *prefetch; /* NULL: nothing was prefetched yet. */
    tarn_buffer shown;        /* A value that a read has given out and changed. */
    tarn_buffer hot_row;      /* A row of it that is in two pieces. */
    tarn_buffer hot_block;    /* A block of it that is being made. */
    tarn_buffer hot_scanned;  /* One that was read of the store. */
    tarn_buffer hot_beyond;   /* The first row behind such a block's. */
    tarn_env *env;
    tarn__env_child env_child;
    tarn_owner *owner;
    tarn__account *account;
    tarn__directory directory;
    tarn__pool pool;                /* The second copy of its snapshots, if it has one. */
    tarn__rocks_settings *settings; /* Of states without tuning. */
    tarn__packing packing;          /* Of files of snapshots. */
    uint64_t first_durable;         /* Table files of smaller numbers nobody has synchronised. */
    char operator_name[TARN__ROCKS_NAME_BYTES_MAX + 1];
    uint32_t subtask_index;
    uint32_t parallelism;

    tarn__child *first_child; /* In the order of opening. */
    tarn__child *last_child;
    uint32_t iterator_count; /* Open over any state. */
    tarn_snapshot *snapshot; /* That is open, or NULL. */
    atomic_uint left_count;  /* That were given up or ended, and a worker is at the backend for. */
    bool is_draining;        /* The snapshot waits for rows of the working set. */
    uint32_t drain_pause;    /* Calls until the next slice may be. */
    double drain_share;      /* Of the time of the stream, that slices may take. */
    bool has_streamed;       /* There were calls since somebody polled. */
    tarn__settler *settlers; /* Called before a snapshot. */
    tarn__bases bases;       /* What uploads build on. */
    tarn__cleaner cleaner;   /* Of states with a TTL. */
    tarn__download_progress restored;
    uint64_t joined_file_count; /* Of other old subtasks, in the database as they are. */
    bool may_link;              /* A restore links table files that are local, */
    uint64_t parts_bytes_min;   /* and reads larger ones by parts. */
    bool cuts_by_size;   /* Whether files are cut at key groups follows from what is restored. */
    tarn__tidier tidier; /* Of what it brought along. */

    pthread_mutex_t gate_mutex;
    pthread_cond_t gate_opened; /* Or a worker has gone, or is done with the second copy. */
    bool is_copying;            /* A worker is at the second copy. */
    uint64_t snapshot_wait_count;
    uint64_t snapshot_wait_ns;

    tarn_error poison; /* Why the backend is poisoned; status TARN_OK: it is not. */
};

/* Refuses when the backend is poisoned, with why. For calls that settle nothing. */
TARN_NODISCARD tarn_status
tarn__backend_check_poison(const tarn_backend *backend, tarn_error *error);

/*
 * For calls that open something: turns TARN_NO_MEMORY into TARN_OVER_BUDGET when the heap pool has
 * refused something since its count was read (tarn__budget_explain()).
 */
uint64_t tarn__backend_refused_count(const tarn_backend *backend);
tarn_status tarn__backend_explain(
    const tarn_backend *backend, uint64_t refused_count, tarn_status status, tarn_error *error);

/* Settles what the last call left: stores a pending edit, refuses when poisoned; drains at times.
 */
TARN_NODISCARD tarn_status tarn__backend_settle(tarn_backend *backend, tarn_error *error);

/* As tarn__backend_settle(), and writes what settlers have: before a snapshot. */
TARN_NODISCARD tarn_status tarn__backend_settle_buffers(tarn_backend *backend, tarn_error *error);

/* The same, and writes the working set's dirty rows: for who looks into the store by itself. */
TARN_NODISCARD tarn_status tarn__backend_settle_all(tarn_backend *backend, tarn_error *error);

/* Has calls drain the open snapshot, or no longer. */
void tarn__backend_set_draining(tarn_backend *backend, bool is_draining);

/* Has a settler called before each snapshot, and no longer. It does not move meanwhile. */
void tarn__backend_add_settler(tarn_backend *backend, tarn__settler *settler);
void tarn__backend_remove_settler(tarn_backend *backend, tarn__settler *settler);

/* Makes a key of a known group current, as one that was stored. It has a valid size. */
TARN_NODISCARD tarn_status tarn__backend_set_stored_key(
    tarn_backend *backend, uint32_t key_group, tarn_bytes key, tarn_error *error);

/* Waits until the gate is open, making the links when no worker has come to them; counts the wait.
 */
void tarn__backend_wait_at_gate(tarn_backend *backend);

/*
 * Begins a call that does not write. Bytes that the last call gave out stay pinned until this one
 * lets them go: they may well be its argument.
 */
TARN_NODISCARD static inline tarn_status tarn__backend_enter(
    tarn_backend *backend, tarn_error *error)
{
    if (__builtin_expect(backend->needs_attention, 0)) {
        TARN_TRY(tarn__backend_settle(backend, error));
    }
    return TARN_OK;
}

/* Begins a call that writes. src/rocks counts the bytes. */
TARN_NODISCARD static inline tarn_status tarn__backend_enter_write(
    tarn_backend *backend, tarn_error *error)
{
    if (__builtin_expect(backend->needs_attention, 0)) {
        TARN_TRY(tarn__backend_settle(backend, error));
    }
    if (__builtin_expect(atomic_load_explicit(&backend->is_gate_shut, memory_order_acquire), 0)) {
        tarn__backend_wait_at_gate(backend);
    }
    return TARN_OK;
}

/* Passes on the outcome of a write; a failed one poisons the backend. */
TARN_NODISCARD tarn_status
tarn__backend_finish_write(tarn_backend *backend, tarn_status status, tarn_error *error);

/* Makes the backend unusable because of what *error says. */
void tarn__backend_poison(tarn_backend *backend, const tarn_error *error);

/*
 * Shuts the gate: writes wait from now on. The backend's thread, after tarn__backend_settle().
 * Whoever makes the links opens it again, whatever the outcome: any thread.
 */
void tarn__backend_shut_gate(tarn_backend *backend);
void tarn__backend_open_gate(tarn_backend *backend);

/* Says that a worker of a snapshot that was given up has gone: any thread. Waits until all have,
 * which is for local work: the backend's. */
void tarn__backend_note_worker_gone(tarn_backend *backend);

/* Waits until no other worker is at the second copy, and says that this one is; until end. */
void tarn__backend_begin_copy(tarn_backend *backend);
void tarn__backend_end_copy(tarn_backend *backend);
void tarn__backend_await_workers(tarn_backend *backend);

/* Counts a child in and out; its name is cut to 255 bytes. */
void tarn__backend_adopt(
    tarn_backend *backend, tarn__child *child, const char *kind, const char *name);
void tarn__backend_disown(tarn_backend *backend, tarn__child *child);

/* Makes room for a namespace of encoded_bytes behind any prefix. */
TARN_NODISCARD tarn_status
tarn__backend_reserve_namespace(tarn_backend *backend, size_t encoded_bytes, tarn_error *error);

/*
 * sequence.c: takes count sequence numbers, each greater than all taken before, in this backend and
 * in those that its checkpoint comes from.
 *
 * Errors: TARN_INVALID_ARGUMENT when count is more than TARN__SEQUENCE_COUNT_MAX; a failed write.
 */
enum { TARN__SEQUENCE_COUNT_MAX = 1 << 20 };
TARN_NODISCARD tarn_status tarn__backend_take_sequence(
    tarn_backend *backend, uint32_t count, uint64_t *first, tarn_error *error);

/* Answers the key group of a key by the backend's own hash. TARN_INVALID_ARGUMENT: it has none. */
TARN_NODISCARD tarn_status tarn__backend_group_of(
    const tarn_backend *backend, tarn_bytes key, uint32_t *out, tarn_error *error);

/* Reads the mark of a database: no row of it has a number that is not below; 0: none has any. */
TARN_NODISCARD tarn_status
tarn__sequence_read(tarn__rocks *rocks, uint64_t *out, tarn_error *error);

/* Goes on behind a mark of another backend whose rows come into this one. */
TARN_NODISCARD tarn_status
tarn__backend_raise_sequence(tarn_backend *backend, uint64_t mark, tarn_error *error);

/* value.c: stores the pending edit of backend->edited. */
TARN_NODISCARD tarn_status tarn__value_store_edit(tarn_backend *backend, tarn_error *error);

#endif
