/**
 * @file tarn/coordinator.h
 * @brief When a checkpoint starts, completes and is given up: a state machine to drive by hand.
 *
 * The coordinator decides and does nothing else: no clock, thread, file or allocation after open.
 * An event goes in, effects come out; the caller performs them and reports how they went:
 *
 *     const uint32_t parallelism[] = {2, 4};                       two sources, four others
 *     const tarn_coordinator_edge edge = {.from = 0, .to = 1};
 *     tarn_coordinator_options options = TARN_COORDINATOR_OPTIONS_INIT;
 *     options.interval_ms = 10000;
 *     options.parallelism = parallelism, options.operator_count = 2;
 *     options.edges = &edge, options.edge_count = 1;
 *     tarn_coordinator_open(&options, &coordinator, &error);
 *
 *     for (;;) {
 *         event = wait for one, at most until tarn_coordinator_next_ms(coordinator);
 *         tarn_coordinator_effects effects = tarn_coordinator_step(coordinator, &event);
 *         for (uint32_t i = 0; i < effects.count; i++) { perform(&effects.items[i]); }
 *     }
 *
 * A checkpoint's way, with what is asked of the caller (>) and what it answers (<):
 *
 *     request > BEGIN < BEGUN > TRIGGER < ACK ... ACK > WRITE < WRITTEN > COMPLETED,
 * NOTIFY_COMPLETE
 *
 * or, from any point on, > ABORTED, NOTIFY_ABORTED, DISCARD < DISCARDED. Rules and their corners
 * are those of Flink 1.20 (CheckpointCoordinator), one by one replayed against it.
 *
 * Ownership: effects and the task lists in them belong to the coordinator until the next step.
 * Thread: confined.
 */
#ifndef TARN_COORDINATOR_H
#define TARN_COORDINATOR_H

#include "tarn/allocator.h"
#include "tarn/coordinator_types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_coordinator tarn_coordinator;

/** How a coordinator decides. Start from TARN_COORDINATOR_OPTIONS_INIT, which holds the defaults;
 * here a zero is a value like any other. Times in milliseconds. */
typedef struct tarn_coordinator_options {
    size_t struct_size; /**< Set by TARN_COORDINATOR_OPTIONS_INIT. */

    /* The job: operators in topological order; the tasks of the first have the first numbers. */
    const uint32_t *parallelism;        /**< [operator_count], each at least 1. Copied. */
    uint32_t operator_count;            /**< At least 1; one with no incoming edge is a source. */
    const tarn_coordinator_edge *edges; /**< [edge_count]. Copied. */
    uint32_t edge_count;

    uint64_t interval_ms;         /**< Between periodic checkpoints; at least 10. Default
                                       TARN_COORDINATOR_NEVER: only on request. */
    uint64_t backlog_interval_ms; /**< While a source works off a backlog; at least 1.
                                       TARN_COORDINATOR_NEVER: none meanwhile. Default
                                       TARN_COORDINATOR_SAME. */
    uint64_t min_pause_ms;        /**< From a success to the next periodic one. Default 0. */
    uint64_t timeout_ms;          /**< Of a checkpoint; at least 10. Default 600,000. */
    uint64_t aligned_timeout_ms;  /**< Aligned for so long, then unaligned. Default 0. */
    uint32_t max_concurrent;      /**< Default 1. Savepoints may exceed it. */
    uint32_t tolerable_failures;  /**< Consecutive ones that do not fail the job. Default 0;
                                       TARN_COORDINATOR_UNLIMITED: any number. */
    uint32_t retained_count; /**< Completed checkpoints that are kept, 1 .. 10,000. Default 1. */
    tarn_checkpoint_retention retention; /**< When the job ends. Default NEVER. */
    bool is_at_least_once;               /**< Barriers do not align. Default false: exactly once. */
    bool is_unaligned;           /**< Barriers overtake data; without effect at least once; needs
                                      max_concurrent 1. Default false. */
    bool refuses_finished_tasks; /**< No checkpoint once a task has finished. Default false. */

    uint64_t next_checkpoint_id;               /**< At least 1. Default 1. */
    const tarn_coordinator_restored *restored; /**< [restored_count] by ascending id, below
                                                    next_checkpoint_id. Copied. What exceeds
                                                    retained_count goes with the next one. */
    uint32_t restored_count;

    uint32_t pending_max; /**< Checkpoints under way, savepoints included; further requests
                               wait. 1 .. 10,000. Default 64. */
    uint32_t queue_max;   /**< Requests that wait at most. 1 .. 100,000. Default 1,000. */

    const tarn_allocator *allocator; /**< Borrowed. NULL: malloc(). */
    /* The layout is ABI: append fields here, never above; an appended field's default is zero. */
} tarn_coordinator_options;

/** Initialiser for tarn_coordinator_options: every option at its default. */
#define TARN_COORDINATOR_OPTIONS_INIT                                                            \
    {                                                                                            \
        .struct_size = sizeof(tarn_coordinator_options), .interval_ms = TARN_COORDINATOR_NEVER,  \
        .backlog_interval_ms = TARN_COORDINATOR_SAME, .timeout_ms = 600000, .max_concurrent = 1, \
        .retained_count = 1, .next_checkpoint_id = 1, .pending_max = 64, .queue_max = 1000       \
    }

/** What a step asks for, in the order in which to perform it. Valid until the next step. */
typedef struct tarn_coordinator_effects {
    const tarn_coordinator_effect *items; /**< [count]. */
    uint32_t count;
    tarn_coordinator_verdict verdict; /**< How the event itself was taken. */
} tarn_coordinator_effects;

/** Figures; counts are since open. */
typedef struct tarn_coordinator_figures {
    uint32_t pending_count;        /**< Checkpoints under way, now. */
    uint32_t queued_count;         /**< Requests waiting, now. */
    uint32_t stored_count;         /**< Completed checkpoints that are retained, now. */
    uint32_t cleaning_count;       /**< DISCARD effects not answered yet. */
    uint32_t consecutive_failures; /**< Counted failures since the last success, now. */
    uint64_t next_periodic_ms;     /**< When the next periodic request is due, or NEVER. */
    uint64_t latest_completed_id;  /**< The newest retained one; 0: none. */
    uint64_t triggered_count;
    uint64_t completed_count; /**< Savepoints included. */
    uint64_t aborted_count;
    uint64_t rejected_count;
    uint64_t duplicate_count;     /**< Acknowledgements that had come before. */
    uint64_t foreign_count;       /**< Those of an attempt that the checkpoint does not know. */
    uint64_t late_count;          /**< Events about a checkpoint that expired not long ago. */
    uint64_t unknown_count;       /**< Events about one that is not under way. */
    uint64_t out_of_order_count;  /**< Events whose time lay before that of the one before. */
    uint64_t longest_duration_ms; /**< From begin to COMPLETED. */
    uint64_t failure_counts[TARN_CHECKPOINT_FAILURE_COUNT]; /**< By reason, refusals included. */
} tarn_coordinator_figures;

/** Fills options with defaults; for C++ and bindings, where the INIT macro warns. */
TARN_API void tarn_coordinator_options_init(tarn_coordinator_options *options, size_t struct_size);

/** Takes over what a configuration says; the job's shape and the limits stay as they are. */
TARN_API void tarn_coordinator_options_apply(
    tarn_coordinator_options *options, const tarn_checkpoint_settings *settings);

/**
 * Opens a coordinator; all the memory it will ever use is allocated here.
 *
 * @param[out] out  Release it with tarn_coordinator_close(). Untouched on failure.
 *
 * @retval TARN_OK                The coordinator is open and idle; tasks count as running.
 * @retval TARN_INVALID_ARGUMENT  An option is out of range or contradicts another.
 * @retval TARN_NO_MEMORY         Out of memory.
 */
TARN_API TARN_NODISCARD tarn_status tarn_coordinator_open(
    const tarn_coordinator_options *options, tarn_coordinator **out, tarn_error *error);

/** Frees a coordinator; what is under way is forgotten, not aborted. NULL does nothing. */
TARN_API void tarn_coordinator_close(tarn_coordinator *coordinator);

/**
 * Handles what has become due until event->now_ms, then the event, then what it made due.
 *
 * Any event at any time is safe: one about a checkpoint that is not under way changes nothing but
 * a counter, and a time before that of the last event counts as that time. A step's work is
 * bounded: when very much is due at once, some is left, and tarn_coordinator_next_ms() is now.
 *
 * @return Effects, borrowed until the next step.
 *
 * Cost: O(tasks + waiting requests) at most; no allocation.
 */
TARN_API tarn_coordinator_effects
tarn_coordinator_step(tarn_coordinator *coordinator, const tarn_coordinator_event *event);

/** Answers when to step with a TICK unless an event comes before; TARN_COORDINATOR_NEVER: never. */
TARN_API uint64_t tarn_coordinator_next_ms(const tarn_coordinator *coordinator);

/**
 * Turns a random number into a delay for the START event: evenly within min_pause .. interval, so
 * that jobs that start together do not checkpoint together.
 */
TARN_API uint64_t
tarn_coordinator_initial_delay(const tarn_coordinator *coordinator, uint64_t random);

/** Answers the figures. */
TARN_API void tarn_coordinator_read_figures(
    const tarn_coordinator *coordinator, tarn_coordinator_figures *out);

/**
 * Lists the checkpoints under way, in the order in which they began.
 *
 * @param[out] ids           [capacity], may be NULL when capacity is 0.
 * @param[out] deadlines_ms  [capacity], may be NULL. When each expires.
 * @return How many there are; those beyond capacity are not written.
 */
TARN_API uint32_t tarn_coordinator_list_pending(
    const tarn_coordinator *coordinator, uint64_t *ids, uint64_t *deadlines_ms, uint32_t capacity);

/** Lists the retained checkpoints, oldest first; as tarn_coordinator_list_pending(). */
TARN_API uint32_t
tarn_coordinator_list_stored(const tarn_coordinator *coordinator, uint64_t *ids, uint32_t capacity);

/** Answers the name of a reason, such as "CHECKPOINT_EXPIRED"; "?" for a value that is none. */
TARN_API const char *tarn_checkpoint_failure_name(tarn_checkpoint_failure reason);

/** Answers the sentence of a reason. */
TARN_API const char *tarn_checkpoint_failure_sentence(tarn_checkpoint_failure reason);

#ifdef __cplusplus
}
#endif
#endif
