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
} barrier_channel;

typedef struct barriers {
    gate *gate;
    snapshotting *snapshotting;
    tarn_aligner *aligner;
    barrier_channel channels[SOURCES_MAX];
    tarn_driver_barrier known[BARRIERS_KNOWN]; /* Ring of those that were seen. */
    uint32_t known_count;
    tarn_buffer kept;       /* In flight, */
    uint64_t keeping_id;    /* of that checkpoint. */
    uint64_t kept_too_much; /* The checkpoint that had more in flight than can be kept. */
    tarn_error kept_error;

    pthread_mutex_t mutex; /* Guards figures. */
    tarn_alignment_figures figures;
} barriers;

void barriers_init(barriers *b);
void barriers_clear(barriers *b);

/* gate, snapshotting: borrowed. */
tarn_status barriers_open(barriers *b, gate *g, snapshotting *s, tarn_error *error);

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

tarn_alignment_figures barriers_measure(barriers *b);

#endif
