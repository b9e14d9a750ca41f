/*
 * aligner.h - what a task does about the barriers in its input channels.
 *
 * A pure state machine: the host owns channels and buffers, tells what it sees, and does what it is
 * asked to. A barrier is told twice where that can be: when it ARRIVES in a channel's queue, and
 * when it is REACHED, all data before it being processed. In-flight data is what lies between.
 *
 *     channel 0   ....|##             reached: BLOCK, what is behind it has to wait
 *     channel 1   ....##|###          arrived: ## is in flight
 *     channel 2   ....#####           not here yet; what will come before it is in flight too
 *
 *     aligned         SNAPSHOT when the last channel has reached it; nothing in flight is left
 *     unaligned       SNAPSHOT at the first arrival, KEEP what is in flight; COMPLETE when it is
 *     timed           aligned; unaligned from a deadline on
 *     at least once   SNAPSHOT when the last channel has reached it; nothing ever waits
 *
 * Invariants
 *   - At a SNAPSHOT the state holds, of each channel, exactly the data before the barrier, when
 * what is kept is added; at least that data, at least once.
 *   - An identifier sees at most one SNAPSHOT, and one of COMPLETE and ABANDONED; they only grow.
 *   - No channel is blocked while nothing is pending.
 *   - A barrier of a newer checkpoint ends an older one; one of an older checkpoint changes nothing
 *     but a counter. An arrival that is to be aligned starts nothing: what is in its way goes
 * first.
 *
 * Source: Flink 1.20, SingleCheckpointBarrierHandler, CheckpointBarrierTracker.
 * Thread: pure.
 */
#ifndef TARN_CHECKPOINT_ALIGNER_H
#define TARN_CHECKPOINT_ALIGNER_H

#include "tarn/coordinator_types.h"

#include "base/account.h"

/* Checkpoints of which barriers have come, at least once; the oldest is given up for a new one. */
enum { TARN__TRACKED_MAX = 50 };

typedef enum tarn__barrier_kind {
    TARN__BARRIER_TICK,      /* Time has passed. */
    TARN__BARRIER_ARRIVED,   /* Behind the data that is queued in the channel. */
    TARN__BARRIER_REACHED,   /* All data before it has been processed. */
    TARN__BARRIER_CANCELLED, /* The channel says that there will be no such checkpoint. */
    TARN__BARRIER_ENDED,     /* The channel has no more data, and no more barriers. */
    TARN__BARRIER_GIVE_UP,   /* The coordinator has aborted the checkpoint. */
} tarn__barrier_kind;

typedef struct tarn__barrier {
    tarn__barrier_kind kind;
    uint32_t channel;
    uint64_t checkpoint_id;
    uint64_t now_ms;          /* Monotonic. */
    tarn_alignment alignment; /* ARRIVED, REACHED: as the barrier says. */
    uint64_t timeout_ms;      /* TIMED: what is left until it is unaligned. */
} tarn__barrier;

typedef enum tarn__alignment_effect_kind {
    TARN__ALIGN_BLOCK,     /* Process no more data of channel. */
    TARN__ALIGN_UNBLOCK,   /* Process data of channel again. */
    TARN__ALIGN_KEEP,      /* Keep what is queued in channel before the barrier; if is_open, what
                              comes until KEPT too. */
    TARN__ALIGN_KEPT,      /* The barrier of channel has come: nothing more to keep. */
    TARN__ALIGN_SNAPSHOT,  /* Take the snapshot now, and pass the barrier on, ahead of all output
                              if is_unaligned. */
    TARN__ALIGN_COMPLETE,  /* All of the checkpoint is known: acknowledge it when it is stored. */
    TARN__ALIGN_ABANDONED, /* Forget what was taken and kept, pass a cancellation on, and decline
                              for reason unless the coordinator is who gave up (is_known). */
} tarn__alignment_effect_kind;

typedef struct tarn__alignment_effect {
    tarn__alignment_effect_kind kind;
    uint32_t channel;
    uint64_t checkpoint_id;
    tarn_checkpoint_failure reason;
    bool is_open;
    bool is_unaligned;
    bool is_known;
} tarn__alignment_effect;

typedef struct tarn__alignment_effects {
    const tarn__alignment_effect *items; /* [count], until the next step. */
    uint32_t count;
} tarn__alignment_effects;

/* Figures of alignment; "last" is of the latest checkpoint that was completed. */
typedef struct tarn__alignment_figures {
    uint64_t completed_count;
    uint64_t abandoned_count;
    uint64_t switched_count;    /* Timed ones that became unaligned. */
    uint64_t stale_count;       /* Events that were about nothing at hand. */
    uint64_t alignment_ms_last; /* From the first barrier to COMPLETE. */
    uint64_t alignment_ms_max;
    uint64_t processed_bytes_last; /* During the alignment. */
    uint64_t kept_bytes_last;      /* Data in flight that became part of the checkpoint. */
} tarn__alignment_figures;

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
    uint32_t reached_count; /* Of the channels that have not ended. */
    bool is_given_up;       /* What still comes of it is ignored. */
    bool *is_reached;       /* [channel_count]. */
} tarn__tracked;

typedef struct tarn__aligner {
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
    uint64_t processed_bytes;
    uint64_t kept_bytes;

    /* At least once: several, by ascending id. */
    tarn__tracked *tracked; /* [TARN__TRACKED_MAX]. */
    uint32_t tracked_count;
    bool *tracked_reached; /* [TARN__TRACKED_MAX][channel_count]: behind tracked. */
    uint64_t latest_id;    /* The newest completed or dropped one. */

    tarn__alignment_effect *effects; /* [effects_max]. */
    uint32_t effect_count;
    uint32_t effects_max;
    tarn__alignment_figures figures;
} tarn__aligner;

/* channel_count is 1 .. 1,000,000. */
TARN_NODISCARD tarn_status tarn__aligner_init(
    tarn__aligner *aligner,
    uint32_t channel_count,
    bool is_at_least_once,
    tarn__account *account,
    tarn_error *error);
void tarn__aligner_clear(tarn__aligner *aligner);

/* What is due comes first, then the event. Any event at any time is safe. */
tarn__alignment_effects tarn__aligner_step(tarn__aligner *aligner, const tarn__barrier *event);

/* When to step with a TICK; UINT64_MAX: never. */
uint64_t tarn__aligner_next_ms(const tarn__aligner *aligner);

/* Count bytes of data: processed while a checkpoint is pending; kept for it. */
void tarn__aligner_add_processed(tarn__aligner *aligner, uint64_t bytes);
void tarn__aligner_add_kept(tarn__aligner *aligner, uint64_t bytes);

/* aligner_tracker.c: at least once. */
void tarn__tracker_step(tarn__aligner *aligner, const tarn__barrier *event);
tarn__alignment_effect *tarn__aligner_emit(
    tarn__aligner *aligner, tarn__alignment_effect_kind kind, uint64_t checkpoint_id);
void tarn__aligner_note_completion(tarn__aligner *aligner, uint64_t first_ms);
bool tarn__aligner_is_valid(const tarn__aligner *aligner);

#endif
