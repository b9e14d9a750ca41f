/*
 * tidy.h - rows of other key groups, which a restore brought along, go in the background.
 *
 *     restore ──► range deletes cover them ──► [state][state]..   a worker compacts the key groups
 *                                              that are not the backend's, one state at a time
 *
 * It begins after the first snapshot: a job that has just been restored has a backlog to work off,
 * and its first checkpoint is to build on the files of the last one.
 *
 * Reads never see those rows; but they take room, and every checkpoint carries their files on. A
 * state is compacted in the ranges beside its own key groups only, in RocksDB's low-priority
 * thread, and the worker is free for others between two states. What was given up (the database
 * is retuned, a clean-up is ended) is begun again.
 *
 * Thread: confined, but for the job, which has what it needs in the tidier.
 */
#ifndef TARN_STATE_TIDY_H
#define TARN_STATE_TIDY_H

#include <pthread.h>
#include <stdatomic.h>

#include "tarn/backend.h"

#include "rocks/db.h"

typedef struct tarn__tidier {
    tarn__rocks_family **families; /* [count], owned; NULL: there is nothing to do. */
    uint32_t count;
    bool is_due;     /* A snapshot was finished. */
    bool is_running; /* The job is queued or runs, or has ended and was not looked at. */

    uint32_t next; /* The job's own while it runs, as are the passes. */
    uint32_t pass_count;
    atomic_bool is_cancelled;
    atomic_bool has_ended;
    atomic_uint_least64_t foreign_bytes; /* Of files with such rows, when last looked at. */
    pthread_mutex_t mutex;               /* For ended alone. */
    pthread_cond_t ended;
} tarn__tidier;

void tarn__tidier_init(tarn__tidier *tidier);
void tarn__tidier_clear(tarn__tidier *tidier);

/* Looks for table files with rows of other key groups: they go once a snapshot has been finished.
 */
TARN_NODISCARD tarn_status tarn__tidier_begin(tarn_backend *backend, tarn_error *error);

void tarn__tidier_note_snapshot(tarn_backend *backend);

/* Ends it before the database is retuned or closed; tarn__tidier_resume() goes on. */
void tarn__tidier_stop(tarn_backend *backend);
void tarn__tidier_stop_all(tarn_backend *backend); /* A clean-up too. */
void tarn__tidier_resume(tarn_backend *backend);

/* Waits until it has ended by itself. */
void tarn__tidier_wait(tarn_backend *backend);

/* A state is removed; the tidier is stopped. */
void tarn__tidier_forget(tarn_backend *backend, const tarn__rocks_family *family);

#endif
