/**
 * @file tarn/coordinator_types.h
 * @brief Events that a coordinator is told, effects that it asks for, and reasons of failure.
 *
 * Events and effects are flat: a field that a kind does not name is zero and of no meaning.
 *
 * Ownership: plain values, but for the task lists of effects (tarn/coordinator.h).
 * Thread: pure.
 */
#ifndef TARN_COORDINATOR_TYPES_H
#define TARN_COORDINATOR_TYPES_H

#include "tarn/checkpoint_settings.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** No such time or interval. */
#define TARN_COORDINATOR_NEVER UINT64_MAX
/** backlog_interval_ms: whatever interval_ms is. */
#define TARN_COORDINATOR_SAME (UINT64_MAX - 1)
/** tolerable_failures: no number of failures fails the job, and none is counted. */
#define TARN_COORDINATOR_UNLIMITED UINT32_MAX
/** A task that nobody knows, or none. */
#define TARN_COORDINATOR_NO_TASK UINT32_MAX

/**
 * Every reason: name, behaviour, sentence. Values are positions: a new one goes to the end.
 * Behaviour: 1 = counts against tolerable_failures; 2 = is found before a task is asked, so that it
 * is the coordinator's own failure even when a task reports it; 3 = both.
 */
#define TARN_CHECKPOINT_FAILURE_MAP(X)                                                            \
    X(PERIODIC_SCHEDULER_SHUTDOWN, 2, "periodic checkpoints have been stopped")                   \
    X(TOO_MANY_CHECKPOINT_REQUESTS, 2, "as many requests as may wait are waiting")                \
    X(MINIMUM_TIME_BETWEEN_CHECKPOINTS, 2, "the last success was less than the pause ago")        \
    X(NOT_ALL_REQUIRED_TASKS_RUNNING, 2, "a task that has to take part is not running")           \
    X(IO_EXCEPTION, 3, "the checkpoint could not be begun because input or output failed")        \
    X(BLOCKING_OUTPUT_EXIST, 2, "a running task has an output that blocks until it ends")         \
    X(CHECKPOINT_ASYNC_EXCEPTION, 1, "a task failed to store its snapshot")                       \
    X(CHANNEL_STATE_SHARED_STREAM_EXCEPTION, 0, "another task broke a shared channel-state file") \
    X(CHECKPOINT_EXPIRED, 1, "not every task had acknowledged when the timeout passed")           \
    X(CHECKPOINT_SUBSUMED, 0, "a newer checkpoint completed first")                               \
    X(CHECKPOINT_DECLINED, 1, "a task declined")                                                  \
    X(CHECKPOINT_DECLINED_TASK_NOT_READY, 0, "a task was not ready yet")                          \
    X(CHECKPOINT_DECLINED_TASK_CLOSING, 0, "a task was about to end")                             \
    X(CHECKPOINT_DECLINED_SUBSUMED, 0, "a barrier of a newer checkpoint reached a task first")    \
    X(CHECKPOINT_DECLINED_ON_CANCELLATION_BARRIER, 0, "a task received a cancellation barrier")   \
    X(CHECKPOINT_DECLINED_INPUT_END_OF_STREAM, 0, "an input of a task ended during alignment")    \
    X(CHECKPOINT_COORDINATOR_SHUTDOWN, 0, "the coordinator has been shut down")                   \
    X(CHECKPOINT_COORDINATOR_SUSPEND, 0, "the coordinator has been stopped")                      \
    X(JOB_FAILOVER_REGION, 0, "tasks were restarted after a failure")                             \
    X(TASK_FAILURE, 0, "a task that had not acknowledged failed")                                 \
    X(TASK_CHECKPOINT_FAILURE, 0, "a task failed while it took its snapshot")                     \
    X(UNKNOWN_TASK_CHECKPOINT_NOTIFICATION_FAILURE, 0, "a task to be notified is not known")      \
    X(FINALIZE_CHECKPOINT_FAILURE, 1, "the metadata could not be written and recorded")           \
    X(TRIGGER_CHECKPOINT_FAILURE, 0, "a task could not be told to start")

typedef enum tarn_checkpoint_failure {
#define X(name, behaviour, sentence) TARN_FAILURE_##name,
    TARN_CHECKPOINT_FAILURE_MAP(X)
#undef X
        TARN_CHECKPOINT_FAILURE_COUNT
} tarn_checkpoint_failure;

/** What is taken of the tasks. */
typedef enum tarn_checkpoint_kind {
    TARN_CHECKPOINT_INCREMENTAL,         /**< May build on the last completed one. */
    TARN_CHECKPOINT_FULL,                /**< Builds on none; later ones may build on it. */
    TARN_CHECKPOINT_SAVEPOINT,           /**< Self-contained; the user's, never deleted. */
    TARN_CHECKPOINT_SAVEPOINT_SUSPEND,   /**< Tasks stop behind it, without draining. */
    TARN_CHECKPOINT_SAVEPOINT_TERMINATE, /**< Tasks stop behind it, after draining. */
} tarn_checkpoint_kind;

/** How barriers travel. */
typedef enum tarn_alignment {
    TARN_ALIGNMENT_ALIGNED,       /**< Exactly once: a channel waits behind its barrier. */
    TARN_ALIGNMENT_UNALIGNED,     /**< Barriers overtake data, which becomes part of the state. */
    TARN_ALIGNMENT_TIMED,         /**< Aligned; unaligned from aligned_timeout_ms on. */
    TARN_ALIGNMENT_AT_LEAST_ONCE, /**< Nothing waits. */
} tarn_alignment;

/** How a job ends. Retained checkpoints of one that FINISHED are deleted whatever the retention. */
typedef enum tarn_job_end {
    TARN_JOB_FINISHED,
    TARN_JOB_CANCELED,
    TARN_JOB_FAILED,
    TARN_JOB_SUSPENDED,
} tarn_job_end;

typedef enum tarn_task_state {
    TARN_TASK_RUNNING,
    TARN_TASK_NOT_RUNNING, /**< Not started yet, or being ended: no checkpoint can start. */
    TARN_TASK_FINISHED,    /**< It has ended by itself, and takes part in no checkpoint. */
} tarn_task_state;

/** Data flows from every task of an operator to every task of another, or to neighbours only. */
typedef struct tarn_coordinator_edge {
    uint32_t from; /**< Operator, lower than to. */
    uint32_t to;
    bool is_pointwise; /**< Subtask i to those that correspond to it; false: all to all. */
} tarn_coordinator_edge;

/** A checkpoint or savepoint that the job was restored from. */
typedef struct tarn_coordinator_restored {
    uint64_t id;
    bool is_owned;     /**< Deleted when it is subsumed or the job ends, as one of our own. */
    bool is_unclaimed; /**< Not ours: then the first checkpoint is a full one. */
} tarn_coordinator_restored;

typedef enum tarn_coordinator_event_kind {
    TARN_COORDINATOR_TICK,    /**< Time has passed. */
    TARN_COORDINATOR_START,   /**< Periodic checkpoints: delay_ms from now, then every interval. */
    TARN_COORDINATOR_STOP,    /**< No more periodic ones; aborts what waits and is under way. Comes
                                 before the REQUEST of a savepoint to stop with, as in Flink; START
                                 after one that failed. A driver does both. */
    TARN_COORDINATOR_BACKLOG, /**< is_on: a source works off a backlog from now on, or not. */
    TARN_COORDINATOR_REQUEST, /**< kind_wanted, request_id: a checkpoint or savepoint is wanted. */
    TARN_COORDINATOR_TASK_STATE,     /**< task, task_state. */
    TARN_COORDINATOR_TASK_RESTARTED, /**< task runs again, as attempt. */
    TARN_COORDINATOR_TASK_FAILED,    /**< task; aborts what it has not acknowledged. Tell before
                                          that it is NOT_RUNNING: what waits begins at once. */
    TARN_COORDINATOR_JOB_FAILOVER,   /**< Every task is about to restart; aborts what is under
                                          way. A WRITE under way is awaited: restore after it.
                                          Tell before that no task is running: likewise. */
    TARN_COORDINATOR_SHUTDOWN,       /**< job_end: the job is over, and so are its checkpoints. The
                                          periodic ones that are due are refused until a STOP. */
    TARN_COORDINATOR_BEGUN,          /**< checkpoint_id: its place exists; answers BEGIN. */
    TARN_COORDINATOR_NOT_BEGUN,      /**< checkpoint_id, is_id_spent; answers BEGIN. */
    TARN_COORDINATOR_NOT_TRIGGERED,  /**< checkpoint_id: a task could not be told. */
    TARN_COORDINATOR_ACK,            /**< checkpoint_id, task, attempt: its snapshot is stored. */
    TARN_COORDINATOR_DECLINE,        /**< checkpoint_id, task, reason. */
    TARN_COORDINATOR_WRITTEN,        /**< checkpoint_id, write_outcome; answers WRITE. */
    TARN_COORDINATOR_DISCARDED,      /**< checkpoint_id: done, or given up; answers DISCARD. */
} tarn_coordinator_event_kind;

typedef enum tarn_write_outcome {
    TARN_WRITE_DURABLE,      /**< Metadata is durable and recorded. */
    TARN_WRITE_FAILED,       /**< There is no metadata, and never will be. */
    TARN_WRITE_NOT_RECORDED, /**< It is there, but cannot be found by a restart: delete it. */
    TARN_WRITE_UNKNOWN,      /**< It may or may not be found, as tarn/doubt.h tells:
                                nothing must be deleted, and no DISCARD asks for it. */
} tarn_write_outcome;

typedef struct tarn_coordinator_event {
    tarn_coordinator_event_kind kind;
    uint64_t now_ms; /**< Monotonic. */
    uint64_t checkpoint_id;
    uint64_t request_id; /**< The caller's name for a request; comes back in effects. */
    uint64_t delay_ms;
    uint32_t task;    /**< TARN_COORDINATOR_NO_TASK: one that nobody knows. */
    uint32_t attempt; /**< Counts the runs of a task from 0. */
    tarn_checkpoint_kind kind_wanted;
    tarn_checkpoint_failure reason;
    tarn_task_state task_state;
    tarn_job_end job_end;
    tarn_write_outcome write_outcome;
    bool is_on;
    bool is_id_spent; /**< False: nothing bears the id; the next checkpoint takes it. */
} tarn_coordinator_event;

/** How an event was taken. */
typedef enum tarn_coordinator_verdict {
    TARN_VERDICT_TAKEN,     /**< It was about something at hand. */
    TARN_VERDICT_DUPLICATE, /**< The acknowledgement had come before. */
    TARN_VERDICT_FOREIGN,   /**< It came from an attempt that the checkpoint does not know. */
    TARN_VERDICT_LATE,      /**< The checkpoint has expired not long ago, or waits for no such
                                 event any more. */
    TARN_VERDICT_UNKNOWN,   /**< The checkpoint is not remembered. */
    TARN_VERDICT_REFUSED,   /**< Not possible: shut down, or no interval to start with. */
} tarn_coordinator_verdict;

typedef enum tarn_coordinator_effect_kind {
    TARN_EFFECT_BEGIN,     /**< Make a place for checkpoint_id; answer BEGUN or NOT_BEGUN. */
    TARN_EFFECT_TRIGGER,   /**< Tell tasks to start; alignment, aligned_timeout_ms. */
    TARN_EFFECT_WRITE,     /**< All of tasks have acknowledged: write metadata; answer WRITTEN. */
    TARN_EFFECT_COMPLETED, /**< It is durable: tell whoever asked; request_id. */
    TARN_EFFECT_NOTIFY_COMPLETE, /**< Tell tasks; other_id was subsumed and is gone (0: none). */
    TARN_EFFECT_ABORTED,         /**< It is given up: tell whoever asked; reason. */
    TARN_EFFECT_NOTIFY_ABORTED,  /**< Tell tasks; other_id is the latest completed (0: none). */
    TARN_EFFECT_REJECTED,        /**< A request was refused; reason, request_id. */
    TARN_EFFECT_SUBSUMED,        /**< A retained checkpoint is no longer retained. */
    TARN_EFFECT_DISCARD,         /**< Delete what checkpoint_id alone names: its metadata when
                                      is_completed, else what tasks acknowledged, and its place;
                                      answer DISCARDED if is_awaited. */
    TARN_EFFECT_DISCARD_STATE,   /**< Forget what this acknowledgement brought; task, attempt.
                                      A file that some checkpoint names stays. */
    TARN_EFFECT_FAIL_JOB,        /**< The job must fail: reason, is_threshold. checkpoint_id 0:
                                      none; task: the one that reported it, or NO_TASK. */
} tarn_coordinator_effect_kind;

typedef struct tarn_coordinator_effect {
    tarn_coordinator_effect_kind kind;
    tarn_checkpoint_kind checkpoint_kind;
    uint64_t checkpoint_id;
    uint64_t other_id;
    uint64_t request_id; /**< Meaningful when is_periodic is false. */
    uint64_t aligned_timeout_ms;
    const uint32_t *tasks; /**< [task_count], ascending but in DISCARD and WRITE. Borrowed. */
    uint32_t task_count;
    uint32_t task;
    uint32_t attempt;
    tarn_alignment alignment;
    tarn_checkpoint_failure reason;
    bool is_periodic;
    bool is_awaited;   /**< DISCARD: new checkpoints wait when too many are not answered. */
    bool is_completed; /**< DISCARD: it has metadata. */
    bool is_threshold; /**< FAIL_JOB: more failures than are tolerable; false: a savepoint that
                            was to stop the job was declined, and its tasks wait for ever. */
} tarn_coordinator_effect;

#ifdef __cplusplus
}
#endif
#endif
