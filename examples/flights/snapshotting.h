/*
 * snapshotting.h - the snapshots of one worker's backend, and what the driver is told of them.
 *
 *     begin ──► messages go on ──► [durable] ──┐
 *                                              ├──► acknowledge
 *     complete: all that is in flight is known ┘
 *
 * A snapshot has the backend's state, the worker's watermarks, and what was kept in flight: the
 * latter two as operator state, which recovery.h reads.
 *
 * A backend has one snapshot at a time. One that is still wanted goes on, so that checkpoints that
 * take longer than their interval complete all the same, and the newer one is declined; but a
 * savepoint, which somebody asked for, goes first.
 *
 * Thread: the worker's. The figures are for any.
 */
#ifndef FLIGHTS_SNAPSHOTTING_H
#define FLIGHTS_SNAPSHOTTING_H

#include <tarn/snapshot.h>

#include "checkpointing.h"
#include "watermarks.h"

typedef struct snapshot_figures {
    uint64_t sync_ns_max;  /* Longest time that a barrier held the worker. */
    uint64_t reused_bytes; /* By all snapshots: what was not uploaded again. */
    uint64_t uploaded_bytes;
    uint64_t kept_bytes;     /* In flight, in all snapshots. */
    uint64_t kept_bytes_max; /* In one of them. */
} snapshot_figures;

typedef struct snapshotting {
    tarn_backend *backend;
    const watermarks *watermarks; /* Where they stand is part of every snapshot. */
    participant participant;
    tarn_snapshot *snapshot; /* Under way, or NULL. */
    uint64_t id;
    bool is_complete;            /* All that is in flight is known. */
    tarn_buffer acknowledgement; /* From the heap pool; the memory is used again. */

    pthread_mutex_t mutex; /* Guards figures. */
    snapshot_figures figures;
} snapshotting;

void snapshotting_init(snapshotting *s);
void snapshotting_clear(snapshotting *s);

/* Begins the snapshot of a checkpoint, or declines that one, or the one under way. */
void snapshotting_begin(snapshotting *s, uint64_t checkpoint_id, bool is_savepoint);

/* All of the checkpoint is known: what was kept in flight joins the snapshot. */
void snapshotting_complete(snapshotting *s, uint64_t checkpoint_id, tarn_bytes kept);

/* Forgets the snapshot if it is that checkpoint's. */
void snapshotting_abandon(snapshotting *s, uint64_t checkpoint_id);

/* Likewise, and tells the driver why. cause may be NULL. */
void snapshotting_decline(
    snapshotting *s,
    uint64_t checkpoint_id,
    tarn_checkpoint_failure reason,
    const tarn_error *cause);

/* Acknowledges what is durable by now. */
void snapshotting_poll(snapshotting *s);

/* The end of the stream: waits for what is under way. */
void snapshotting_finish(snapshotting *s);

snapshot_figures snapshotting_measure(snapshotting *s);

#endif
