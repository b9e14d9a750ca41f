/*
 * barriers.h - what a worker does about the barriers in its channels.
 *
 *     channel 0  ▓▓▓▓┃          ┃ reached: blocked until the others have it, or until it is late
 *     channel 1  ▓▓▓▓▓▓░░░┃     ┃ arrived: ░ is in flight
 *
 *     aligned     when the last channel has reached its barrier, the snapshot begins; until then
 *                 those that have it wait
 *     unaligned   the snapshot begins as soon as a barrier arrives; what barriers overtake is kept
 *                 and joins the snapshot, to be applied first after a restore
 *     timed       aligned; unaligned when that takes too long
 *
 * What is kept is copied, into memory of the network pool. The room for it is taken before a
 * checkpoint is begun: what the channels can hold. Where the pool does not have that, the worker
 * aligns this checkpoint: it takes longer, and keeps nothing. A channel whose barrier is late may
 * bring more than the room while it is waited for; then more is taken, up to a bound. When that is
 * refused the snapshot has begun without what should have been kept, and the checkpoint is
 * declined. Either way no record waits for memory, and none is lost.
 *
 * The library's aligner decides (tarn/aligner.h); here are the channels, the buffers and the
 * snapshot that it decides about.
 *
 * Thread: the worker's. The figures are for any.
 */
#ifndef FLIGHTS_BARRIERS_H
#define FLIGHTS_BARRIERS_H

#include <tarn/aligner.h>

#include "gate.h"
#include "snapshotting.h"

enum { BARRIERS_KNOWN = 16 };

typedef struct barrier_channel {
    uint64_t arrived_id; /* The latest barrier that was seen in it. */
    uint64_t reached_id; /* The latest one that nothing is before any more. */
    uint64_t kept_id;    /* What comes out of it is in flight for that checkpoint; 0: for none. */
    bool is_ended;
} barrier_channel;

typedef struct barrier_figures {
    tarn_alignment_figures alignment;
    uint64_t aligned_instead_count; /* Checkpoints that there was no room for. */
} barrier_figures;

typedef struct barriers {
    gate *gate;
    snapshotting *snapshotting;
    tarn_aligner *aligner;
    barrier_channel channels[SOURCES_MAX];
    tarn_driver_barrier known[BARRIERS_KNOWN]; /* Ring of those that were seen. */
    uint32_t known_count;

    tarn_owner *owner;      /* In the network pool, of what is kept. */
    size_t kept_max;        /* Units: bytes. */
    tarn_buffer kept;       /* In flight, */
    uint64_t keeping_id;    /* of that checkpoint. */
    uint64_t room_id;       /* The newest checkpoint that kept has room for; 0: it has none. */
    uint64_t kept_too_much; /* The checkpoint that had more in flight than can be kept. */
    tarn_error kept_error;

    pthread_mutex_t mutex; /* Guards figures. */
    barrier_figures figures;
} barriers;

/* What they are of; all borrowed. */
typedef struct barriers_options {
    gate *gate;
    snapshotting *snapshotting;
    tarn_budget *budget;
    uint32_t worker_index; /* Names the owner of what is kept. */
    size_t kept_max;       /* What may be kept for one checkpoint. Units: bytes. */
} barriers_options;

void barriers_init(barriers *b);
void barriers_clear(barriers *b);

tarn_status barriers_open(barriers *b, const barriers_options *how, tarn_error *error);

/* Before each batch: barriers that have arrived behind others, and those that are late. */
void barriers_look(barriers *b);

/* A batch was popped; its messages have not been applied. */
void barriers_note_batch(barriers *b, uint32_t channel, batch *popped);

/* Its messages have been applied, and this is its mark. barrier: of MARK_BARRIER. */
void barriers_pass_mark(barriers *b, uint32_t channel, mark m, const tarn_driver_barrier *barrier);

/* The driver has aborted a checkpoint. */
void barriers_give_up(barriers *b, uint64_t checkpoint_id);

/* When to look again unless something comes before; GATE_FOREVER: then only. Units: ms. */
int barriers_wait_ms(const barriers *b);

barrier_figures barriers_measure(barriers *b);

#endif
