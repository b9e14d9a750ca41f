/*
 * aligner.h - the inside of a tarn_aligner (tarn/aligner.h), for its own sources and its tests.
 *
 * Invariants (tarn__aligner_is_valid)
 *   - No channel is blocked while nothing is pending.
 *   - What was given up before it came is newer than the current one, and never begins.
 *   - Identifiers only grow. An arrival that is to be aligned starts nothing: what is in its way
 *     goes first.
 *
 * Source: Flink 1.20, SingleCheckpointBarrierHandler, CheckpointBarrierTracker.
 * Thread: pure.
 */
#ifndef TARN_CHECKPOINT_ALIGNER_H
#define TARN_CHECKPOINT_ALIGNER_H

#include "tarn/aligner.h"

#include "base/account.h"

/* Checkpoints of which barriers have come, at least once; the oldest is given up for a new one. */
enum { TARN__TRACKED_MAX = 50 };

/* Checkpoints that may be given up before any barrier of theirs has come. */
enum { TARN__GIVEN_UP_MAX = 50 };

typedef struct tarn__channel {
    bool is_ended;
    bool is_blocked;
    bool has_arrived; /* The current checkpoint's barrier; also when it was reached. */
    bool is_reached;
} tarn__channel;

/* A checkpoint that waits for barriers, at least once. */
typedef struct tarn__tracked {
    uint64_t id;
    uint64_t first_ms;
    uint64_t processed_before; /* What processed_bytes was then. */
    uint32_t reached_count;    /* Of the channels that have not ended. */
    bool is_given_up;          /* What still comes of it is ignored. */
    bool *is_reached;          /* [channel_count]. */
} tarn__tracked;

struct tarn_aligner {
    bool is_at_least_once;
    uint32_t channel_count;
    uint32_t open_count; /* Channels that have not ended. */
    uint64_t now_ms;
    tarn__channel *channels; /* [channel_count]. */

    /* Exactly once: one checkpoint at a time. */
    uint64_t current_id; /* The newest that was seen. */
    bool is_pending;
    bool is_unaligned; /* Its snapshot is taken, and data in flight is being kept. */
    uint64_t first_ms;
    uint64_t deadline_ms;   /* UINT64_MAX: none. */
    uint32_t arrived_count; /* Of the channels that have not ended. */
    uint32_t reached_count;
    uint64_t processed_bytes; /* At least once: of all that were ever tracked. */
    uint64_t kept_bytes;
    uint64_t given_up[TARN__GIVEN_UP_MAX]; /* Ascending. */
    uint32_t given_up_count;
    bool keeps_for_last; /* What is kept is of the latest completed one: its last step said so. */

    /* At least once: several, by ascending id. */
    tarn__tracked *tracked; /* [TARN__TRACKED_MAX]. */
    uint32_t tracked_count;
    bool *tracked_reached; /* [TARN__TRACKED_MAX][channel_count]: behind tracked. */
    uint64_t latest_id;    /* The newest completed or dropped one. */

    tarn_alignment_effect *effects; /* [effects_max]. */
    uint32_t effect_count;
    uint32_t effects_max;
    tarn_alignment_figures figures;
};

/* channel_count is 1 .. 1,000,000. */
TARN_NODISCARD tarn_status tarn__aligner_init(
    tarn_aligner *aligner,
    uint32_t channel_count,
    bool is_at_least_once,
    tarn__account *account,
    tarn_error *error);
void tarn__aligner_clear(tarn_aligner *aligner);

/* aligner_tracker.c: at least once. */
void tarn__tracker_step(tarn_aligner *aligner, const tarn_barrier *event);
tarn_alignment_effect *tarn__aligner_emit(
    tarn_aligner *aligner, tarn_alignment_effect_kind kind, uint64_t checkpoint_id);
void tarn__aligner_note_completion(
    tarn_aligner *aligner, uint64_t first_ms, uint64_t processed_bytes);
bool tarn__aligner_is_valid(const tarn_aligner *aligner);

#endif
