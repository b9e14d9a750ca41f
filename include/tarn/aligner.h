/**
 * @file tarn/aligner.h
 * @brief What a task does about the barriers in its input channels: a state machine to drive by
 * hand.
 *
 * The program owns channels and buffers, tells what it sees, and does what it is asked to. A
 * barrier is told twice where that can be: when it ARRIVES in a channel's queue, and when it is
 * REACHED, all data before it being processed. In-flight data is what lies between.
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
 *     tarn_alignment_effects effects = tarn_aligner_step(aligner, &event);
 *     for (uint32_t i = 0; i < effects.count; i++) { perform(&effects.items[i]); }
 *
 * What is kept becomes part of the acknowledgement (tarn/channel_state.h) and is processed first
 * after a restore. At a SNAPSHOT the state holds, of each channel, exactly the data before the
 * barrier, when what is kept is added; at least that data, at least once. A checkpoint sees at most
 * one SNAPSHOT, and one of COMPLETE and ABANDONED. A barrier of a newer checkpoint ends an older
 * one, unless the coordinator has given the newer one up; one of an older checkpoint changes
 * nothing but a counter. Rules are those of Flink 1.20.
 *
 * Ownership: effects belong to the aligner until the next step.
 * Thread: confined.
 */
#ifndef TARN_ALIGNER_H
#define TARN_ALIGNER_H

#include "tarn/allocator.h"
#include "tarn/coordinator_types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_aligner tarn_aligner;

typedef enum tarn_barrier_kind {
    TARN_BARRIER_TICK,      /**< Time has passed. */
    TARN_BARRIER_ARRIVED,   /**< Behind the data that is queued in the channel. */
    TARN_BARRIER_REACHED,   /**< All data before it has been processed. Tell while it is still first
                                 in its channel: what is due may ask to KEEP what is before it. */
    TARN_BARRIER_CANCELLED, /**< The channel says that there will be no such checkpoint. */
    TARN_BARRIER_ENDED,     /**< The channel has no more data, and no more barriers. */
    TARN_BARRIER_GIVE_UP,   /**< The coordinator has aborted the checkpoint. */
} tarn_barrier_kind;

/** What a task sees. A field that a kind does not need is of no meaning. */
typedef struct tarn_barrier {
    tarn_barrier_kind kind;
    uint32_t channel;
    uint64_t checkpoint_id;
    uint64_t now_ms;          /**< Monotonic. */
    tarn_alignment alignment; /**< ARRIVED, REACHED: as the barrier says. */
    uint64_t timeout_ms;      /**< TIMED: what is left until it is unaligned. */
} tarn_barrier;

typedef enum tarn_alignment_effect_kind {
    TARN_ALIGN_BLOCK,     /**< Process no more data of channel. */
    TARN_ALIGN_UNBLOCK,   /**< Process data of channel again. */
    TARN_ALIGN_KEEP,      /**< Keep what is queued in channel before the barrier; if is_open, what
                               comes until KEPT too. */
    TARN_ALIGN_KEPT,      /**< The barrier of channel has come: nothing more to keep. */
    TARN_ALIGN_SNAPSHOT,  /**< Take the snapshot now, and pass the barrier on, ahead of all output
                               if is_unaligned. */
    TARN_ALIGN_COMPLETE,  /**< All of the checkpoint is known: acknowledge it once it is stored. */
    TARN_ALIGN_ABANDONED, /**< Forget what was taken and kept for it, pass a cancellation on, and
                               decline for reason unless the coordinator is who gave up (is_known).
                               Then it may be a newer one than what is under way. */
} tarn_alignment_effect_kind;

typedef struct tarn_alignment_effect {
    tarn_alignment_effect_kind kind;
    uint32_t channel;
    uint64_t checkpoint_id;
    tarn_checkpoint_failure reason;
    bool is_open;
    bool is_unaligned;
    bool is_known;
} tarn_alignment_effect;

/** What a step asks for, in the order in which to perform it. Valid until the next step. */
typedef struct tarn_alignment_effects {
    const tarn_alignment_effect *items; /**< [count]. */
    uint32_t count;
} tarn_alignment_effects;

/** Figures of alignment; "last" is of the latest checkpoint that was completed. */
typedef struct tarn_alignment_figures {
    uint64_t completed_count;
    uint64_t abandoned_count;
    uint64_t switched_count;    /**< Timed ones that became unaligned. */
    uint64_t stale_count;       /**< Events that were about nothing at hand. */
    uint64_t alignment_ms_last; /**< From the first barrier to COMPLETE. */
    uint64_t alignment_ms_max;
    uint64_t processed_bytes_last; /**< During the alignment. */
    uint64_t kept_bytes_last;      /**< Data in flight that became part of the checkpoint. */
} tarn_alignment_figures;

/**
 * Opens an aligner; all the memory it will ever use is allocated here.
 *
 * @param[in] channel_count     1 .. 1,000,000.
 * @param[in] is_at_least_once  Nothing waits; tarn_barrier.alignment is without meaning.
 * @param[in] allocator         Borrowed. NULL: malloc().
 */
TARN_API TARN_NODISCARD tarn_status tarn_aligner_open(
    uint32_t channel_count,
    bool is_at_least_once,
    const tarn_allocator *allocator,
    tarn_aligner **out,
    tarn_error *error);

/** Frees an aligner. NULL does nothing. */
TARN_API void tarn_aligner_close(tarn_aligner *aligner);

/** Handles what is due, then the event. Any event at any time is safe. Cost: O(channels). */
TARN_API tarn_alignment_effects tarn_aligner_step(tarn_aligner *aligner, const tarn_barrier *event);

/** Answers when to step with a TICK unless an event comes before; UINT64_MAX: never. */
TARN_API uint64_t tarn_aligner_next_ms(const tarn_aligner *aligner);

/** Counts bytes of data: processed, when a checkpoint is under way; kept for it, or for the one
 * that the latest step completed. At least once nothing is kept. */
TARN_API void tarn_aligner_add_processed(tarn_aligner *aligner, uint64_t bytes);
TARN_API void tarn_aligner_add_kept(tarn_aligner *aligner, uint64_t bytes);

/** Answers the figures. */
TARN_API void tarn_aligner_read_figures(const tarn_aligner *aligner, tarn_alignment_figures *out);

#ifdef __cplusplus
}
#endif
#endif
