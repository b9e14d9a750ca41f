/*
 * cleaning.h - how expired rows go: clean-ups for deadlines, and step by step beside accesses.
 *
 *     access ── time, owed rows, is it due? ──► needs_attention ──► next call:
 * tarn__cleaner_attend() │ owed rows: looked at, removed ▼ due: a clean-up worker:  [slice of key
 * groups][slice]...  each one tarn__rocks_clean(); others' jobs in between
 *
 * A clean-up takes cleaned_ms from the clock, before anything is written that is not in it, and
 * leaves no row in the files that had expired by then. It is begun half a deadline after the oldest
 * stamp expires, which is the least of those written since the last one began and of those that
 * compactions kept. Not known (a restored state): at once.
 *
 * Invariants
 *   - A backend has one clean-up at a time; the database is not retuned or closed beside it.
 *   - cleaned_ms never goes back while a state is open.
 *
 * Thread: confined, but for the job, which has what it needs in the cleaner.
 */
#ifndef TARN_STATE_CLEANING_H
#define TARN_STATE_CLEANING_H

#include <pthread.h>
#include <stdatomic.h>

#include "tarn/ttl.h"

#include "rocks/db.h"

/* Of a state with stamps. */
typedef struct tarn__cleaning {
    uint32_t owed;      /* Rows to look at. */
    tarn_buffer cursor; /* The row to go on from; empty: the first. */
    uint64_t cleaned_count;
    uint64_t dropped_count; /* Values that the working set did not write any more. */

    int64_t oldest_ms;  /* Stamp of what was written since the last clean-up began; INT64_MAX. */
    int64_t due_ms;     /* When the next one begins; INT64_MAX: never, as things are. */
    int64_t cleaned_ms; /* When the last one began; INT64_MIN: none did. */
    uint64_t clean_up_count;
    tarn_keyed *next; /* State of the backend. */
} tarn__cleaning;

/* Of a backend. */
typedef struct tarn__cleaner {
    tarn_keyed *first;   /* States with a TTL. */
    tarn_keyed *running; /* Whose clean-up is under way, or has ended and was not looked at. */
    tarn__rocks_family *family;
    tarn_backend *backend;
    uint32_t slice; /* The job's own while it runs. */
    uint32_t slice_count;
    atomic_bool is_cancelled;
    atomic_bool has_ended;
    pthread_mutex_t mutex; /* For ended alone. */
    pthread_cond_t ended;
} tarn__cleaner;

void tarn__cleaner_init(tarn__cleaner *cleaner, tarn_backend *backend);
void tarn__cleaner_clear(tarn__cleaner *cleaner);

/* Puts the TTL of a state in force. */
TARN_NODISCARD tarn_status tarn__cleaning_open(tarn_keyed *keyed, tarn_error *error);
void tarn__cleaning_close(tarn_keyed *keyed);

/* An access at a time; a write with a stamp. */
void tarn__cleaning_note_access(tarn_keyed *keyed, int64_t now_ms);
void tarn__cleaning_note_write(tarn_keyed *keyed, int64_t stamp_ms);

/* A record came: backend->cleans_on_records. */
void tarn__cleaner_note_record(tarn_backend *backend);

/* Removes what is owed and begins what is due; neither while a snapshot's links are made. */
TARN_NODISCARD tarn_status tarn__cleaner_attend(tarn_backend *backend, tarn_error *error);

/* Waits for the clean-up that is under way; the second gives it up, to begin again later. */
void tarn__cleaner_wait(tarn_backend *backend);
void tarn__cleaner_stop(tarn_backend *backend);

#endif
