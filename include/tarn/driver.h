/**
 * @file tarn/driver.h
 * @brief Checkpoints for programs without a scheduler: the coordinator with a thread, a clock and
 * a store.
 *
 *     tarn_driver_options options = TARN_DRIVER_OPTIONS_INIT;
 *     options.env = env, options.address = "/checkpoints", options.job = "flights";
 *     options.parallelism = parallelism, options.operator_count = 2;
 *     options.edges = &edge, options.edge_count = 1;
 *     tarn_driver_open(&options, &driver, &error);            settings: the configuration's
 *
 *     tarn_driver_start_task(driver, task, &callbacks, &attempt, &error);       once per task
 *     tarn_driver_start(driver, &error);                                periodic checkpoints
 *
 *     callbacks.trigger ──► barrier through the channels ──► at each task:
 *         tarn_driver_borrow(driver, id, &pending, &error);
 *         tarn_snapshot_begin(backend, pending, &snapshot, &error);
 *         tarn_driver_give_back(driver, id);
 *         ...
 *         tarn_driver_acknowledge(driver, task, attempt, id, &part, 1, &error);
 *
 *     callbacks.notify_complete ──► tarn_backend_notify_complete(backend, id)
 *
 * One thread decides, one begins and commits, one deletes: neither a record nor a decision waits
 * for a deletion. A job restored from its own directory goes on with the ids and the retained
 * checkpoints that are there.
 *
 * Ownership: the driver owns its store and what is pending; end every task before closing it.
 * Thread: shared. Callbacks come from the driver's thread, one at a time; they must be quick and
 * may call every function of the driver but tarn_driver_fail_over() and tarn_driver_close().
 */
#ifndef TARN_DRIVER_H
#define TARN_DRIVER_H

#include "tarn/checkpoint.h"
#include "tarn/claim.h"
#include "tarn/coordinator.h"
#include "tarn/env.h"
#include "tarn/savepoint.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_driver tarn_driver;

/** What a task is told to send through its channels, as the first of a checkpoint. */
typedef struct tarn_driver_barrier {
    uint64_t checkpoint_id;
    uint64_t aligned_timeout_ms; /**< Of TARN_ALIGNMENT_TIMED. */
    tarn_checkpoint_kind kind;   /**< SAVEPOINT_SUSPEND and _TERMINATE: nothing follows it; before
                                      the latter, everything is drained. */
    tarn_alignment alignment;
} tarn_driver_barrier;

/** How to reach a task. */
typedef struct tarn_driver_task {
    size_t struct_size; /**< sizeof(tarn_driver_task). */
    /** Asks a source, or a task whose sources have finished, to begin. False: it cannot. NULL:
     * such a task makes the checkpoint fail. */
    bool (*trigger)(const tarn_driver_barrier *barrier, void *context);
    void (*notify_complete)(uint64_t checkpoint_id, void *context); /**< May be NULL. */
    void (*notify_aborted)(uint64_t checkpoint_id, void *context);  /**< May be NULL. */
    void *context;
} tarn_driver_task;

/** How a task ended. */
typedef enum tarn_driver_task_end {
    TARN_TASK_END_FINISHED, /**< By itself: it takes part no more, others go on. */
    TARN_TASK_END_FAILED,   /**< It aborts what it has not acknowledged. */
    TARN_TASK_END_STOPPED,  /**< By the program, to be started again or not. */
} tarn_driver_task_end;

/** What became of a checkpoint, or of the request for one. */
typedef struct tarn_driver_outcome {
    uint64_t checkpoint_id; /**< 0: none was begun. */
    uint64_t request_id;    /**< Meaningful when is_periodic is false. */
    tarn_checkpoint_kind kind;
    bool is_periodic;
    bool is_completed;
    tarn_checkpoint_failure reason;  /**< When it was not completed. */
    uint64_t duration_ms;            /**< From begin to here. */
    uint32_t acknowledged_count;     /**< Tasks. */
    tarn_checkpoint_summary summary; /**< When it was completed. */
    tarn_error cause; /**< Whatever a task or the storage said; status TARN_OK: nobody said. */
    const char *path; /**< Of its directory. Borrowed for the call of hear; NULL: unknown. */
} tarn_driver_outcome;

/** Called when a checkpoint is completed, aborted, or refused. Borrowed for the call. */
typedef void tarn_driver_hear(const tarn_driver_outcome *outcome, void *context);

/** Called when the job must fail and restart; outcome is the last failure. Do not restart here. */
typedef void tarn_driver_fail_job(const tarn_driver_outcome *outcome, void *context);

/** How to open a driver. Start from TARN_DRIVER_OPTIONS_INIT; a zero field means its default. */
typedef struct tarn_driver_options {
    size_t struct_size; /**< Set by TARN_DRIVER_OPTIONS_INIT. */

    tarn_env *env;       /**< Borrowed. Required. */
    const char *address; /**< Where the checkpoints of all jobs are. Required. */
    const char *job;     /**< As tarn_checkpoint_store_options.job. Required. */

    const uint32_t *parallelism; /**< The job's shape, as in tarn_coordinator_options. Required. */
    uint32_t operator_count;
    const tarn_coordinator_edge *edges;
    uint32_t edge_count;

    /** Borrowed for the call. How to decide; shape, next_checkpoint_id, restored and allocator are
     * the driver's own. NULL: as the environment's configuration says. */
    const tarn_coordinator_options *coordinator;
    /** Where savepoints go. NULL: as the configuration says (state.savepoints.dir). */
    const char *savepoint_address;
    uint32_t history_count; /**< Ended checkpoints that are remembered. Default 10. */

    tarn_driver_hear *hear;         /**< May be NULL. */
    tarn_driver_fail_job *fail_job; /**< May be NULL. */
    void *context;                  /**< For both. */

    /** What the backends are restored from: a savepoint, a checkpoint of another directory, or one
     * of the job's own. Borrowed for the call. NULL: the job begins empty, or goes on from a
     * checkpoint of its own directory, whose that stays as it was. Given all the same (with
     * TARN_CLAIM_MODE_KEEP, which leaves that as it was, too), the log warns when the directory has
     * a newer one by now that is not refused: a commit that was still under way may have come after
     * the newest was looked for. Then close the driver and restore that one. */
    const tarn_checkpoint *restored;
    tarn_claim_mode claim_mode; /**< Whose that is from now on. Default: the configuration's. */

    /** Checkpoints of the job's directory that were passed over when it was restored: each is
     * refused as by tarn_checkpoint_refuse(), whether an older one is left or the job begins empty
     * or from elsewhere. Borrowed for the call. Those that cannot be read are left out. The one
     * that is restored cannot be among them. A job that begins empty refuses all: while restored is
     * NULL, the newest older one that is not refused is taken for what the job goes on from, and
     * its files for whole. */
    const uint64_t *refused_ids;
    uint32_t refused_count;

    /** Of savepoints, those that stop the job included: TARN_FORM_NATIVE or TARN_FORM_CANONICAL.
     * 0: as the configuration says (tarn.savepoint.form). */
    tarn_checkpoint_form savepoint_form;
} tarn_driver_options;

/** Initialiser for tarn_driver_options: every option at its default. */
#define TARN_DRIVER_OPTIONS_INIT                   \
    {                                              \
        .struct_size = sizeof(tarn_driver_options) \
    }

/** Fills options with defaults; for C++ and bindings, where the INIT macro warns. */
TARN_API void tarn_driver_options_init(tarn_driver_options *options, size_t struct_size);

/**
 * Opens a driver and its store, with the checkpoints that are in the job's directory. No task runs
 * yet, and there are no periodic checkpoints.
 *
 * Behind a network a directory has no lock: open it when the process before is gone. What that had
 * under way is withdrawn. Should it live, its commit is refused, and it deletes no shared file any
 * more; but until then, and where numbers do not meet, one may delete what the other still names.
 *
 * One commit may come later all the same, with the number behind the newest, until this job has a
 * checkpoint of its own (docs/FORMATS.md). A job that takes back in its sinks what came after the
 * checkpoint that it restores, and dies before it has one, finds that one as the newest then. Who
 * needs exactly once there, too, keeps the restored id where the sinks are, and restores that one.
 *
 * @retval TARN_OK  Release it with tarn_driver_close().
 * @retval other    As tarn_checkpoint_store_open(), tarn_checkpoint_claim(),
 *                  tarn_checkpoint_refuse(), tarn_coordinator_open() and
 *                  tarn_checkpoint_settings_from_config().
 */
TARN_API TARN_NODISCARD tarn_status
tarn_driver_open(const tarn_driver_options *options, tarn_driver **out, tarn_error *error);

/**
 * Ends the job: what is under way is aborted, retained checkpoints stay or are deleted as the
 * settings say for that end, then threads and store are closed.
 *
 * @param[in] end  FINISHED deletes them whatever the settings; SUSPENDED does not, unless the
 *                 retention is NEVER.
 *
 * @retval TARN_OK    It is gone. NULL does nothing.
 * @retval TARN_BUSY  A task has not ended, or a snapshot is still open: the job is over, call again
 *                    when they have.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_driver_close(tarn_driver *driver, tarn_job_end end, tarn_error *error);

/** Starts periodic checkpoints, the first after a random part of the interval. */
TARN_API TARN_NODISCARD tarn_status tarn_driver_start(tarn_driver *driver, tarn_error *error);

/** Stops them, and aborts what waits and is under way. */
TARN_API TARN_NODISCARD tarn_status tarn_driver_stop(tarn_driver *driver, tarn_error *error);

/** Says whether a source works off a backlog; periodic checkpoints follow their interval for it. */
TARN_API TARN_NODISCARD tarn_status
tarn_driver_set_backlog(tarn_driver *driver, bool is_on, tarn_error *error);

/**
 * Requests a checkpoint or savepoint; the hear callback answers with request_id, exactly once.
 *
 * A savepoint to stop the job with stops periodic checkpoints first, as tarn_driver_stop() does. If
 * it fails they start again, as they do at tarn_driver_fail_over(); tarn_driver_start() meanwhile
 * has effect only then.
 *
 * @retval TARN_INVALID_ARGUMENT  A savepoint is wanted, and nothing says where to put it.
 */
TARN_API TARN_NODISCARD tarn_status tarn_driver_request(
    tarn_driver *driver, tarn_checkpoint_kind kind, uint64_t request_id, tarn_error *error);

/**
 * Says that a task runs, for the first time or again.
 *
 * @param[in]  callbacks    Copied.
 * @param[out] attempt_out  The number of this run of the task, for its acknowledgements.
 * @retval TARN_BUSY  It runs already.
 */
TARN_API TARN_NODISCARD tarn_status tarn_driver_start_task(
    tarn_driver *driver,
    uint32_t task,
    const tarn_driver_task *callbacks,
    uint32_t *attempt_out,
    tarn_error *error);

/** Says that a task has ended; no callback of it runs any more when this returns, unless it is
 * called from one. */
TARN_API void tarn_driver_end_task(tarn_driver *driver, uint32_t task, tarn_driver_task_end end);

/**
 * Answers a pending checkpoint, to begin a snapshot in it; give it back soon: it cannot end before.
 *
 * @retval TARN_ABANDONED  It is over, or was never begun.
 */
TARN_API TARN_NODISCARD tarn_status tarn_driver_borrow(
    tarn_driver *driver, uint64_t checkpoint_id, tarn_pending_checkpoint **out, tarn_error *error);
TARN_API void tarn_driver_give_back(tarn_driver *driver, uint64_t checkpoint_id);

/**
 * Says that a task has stored its snapshot.
 *
 * @param[in] parts  [count] acknowledgements of its operators, copied; none: it has no state.
 * @retval TARN_OK   It was queued; whether it counted is the checkpoint's outcome.
 * @retval TARN_OVER_BUDGET, TARN_NO_MEMORY  It was not; decline or try again.
 */
TARN_API TARN_NODISCARD tarn_status tarn_driver_acknowledge(
    tarn_driver *driver,
    uint32_t task,
    uint32_t attempt,
    uint64_t checkpoint_id,
    const tarn_bytes *parts,
    uint32_t count,
    tarn_error *error);

/** Says why a task cannot take part; cause may be NULL. Short of memory, the checkpoint expires. */
TARN_API void tarn_driver_decline(
    tarn_driver *driver,
    uint32_t task,
    uint64_t checkpoint_id,
    tarn_checkpoint_failure reason,
    const tarn_error *cause);

/**
 * Begins a restart of the whole job: aborts what is under way, awaits a commit under way, and
 * answers what to restore from. Then end every task (STOPPED), restore, and start them again, those
 * that had finished, too.
 *
 * Nothing begins until every task has been started again: what is asked for or due meanwhile is
 * rejected (NOT_ALL_REQUIRED_TASKS_RUNNING), and a task that ends meanwhile has not finished.
 *
 * @param[out] restore_id  The latest completed checkpoint; 0: there is none, begin empty.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_driver_fail_over(tarn_driver *driver, uint64_t *restore_id, tarn_error *error);

/** Opens one of the job's complete checkpoints, such as the one that fail_over() answered. */
TARN_API TARN_NODISCARD tarn_status tarn_driver_open_checkpoint(
    tarn_driver *driver, uint64_t checkpoint_id, tarn_checkpoint **out, tarn_error *error);

/** Answers the coordinator's figures, counts by reason of failure among them. */
TARN_API void tarn_driver_read_figures(tarn_driver *driver, tarn_coordinator_figures *out);

/**
 * Lists ended checkpoints, the latest first.
 *
 * @param[out] outcomes  [capacity]. May be NULL when capacity is 0.
 * @return How many are remembered; those beyond capacity are not written.
 */
TARN_API uint32_t
tarn_driver_list_history(tarn_driver *driver, tarn_driver_outcome *outcomes, uint32_t capacity);

#ifdef __cplusplus
}
#endif
#endif
