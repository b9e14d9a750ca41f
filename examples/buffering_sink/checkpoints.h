/*
 * checkpoints.h - does what a coordinator asks for, by the settings of the configuration.
 *
 *     clock ──TICK──► coordinator ──BEGIN, TRIGGER──► barrier function of the job
 *                         ▲   │                             │ acknowledgements
 *                         │   └──WRITE──► writer thread ◄───┘
 *                         └──────WRITTEN──────┘
 *
 * The coordinator decides when a checkpoint begins, expires, fails the job or is deleted: interval,
 * minimum pause, timeout, maximum in flight, tolerable failures and retention are its business.
 * Here is what it leaves to the program: the calls on the store. Metadata is written and made
 * durable by a thread, so that records flow meanwhile.
 *
 * Thread: confined to the job's thread, but for the writer inside.
 */
#ifndef BUFFERING_SINK_CHECKPOINTS_H
#define BUFFERING_SINK_CHECKPOINTS_H

#include <pthread.h>

#include <tarn/checkpoint.h>
#include <tarn/checkpoint_settings.h>
#include <tarn/coordinator.h>

enum { IN_FLIGHT_MAX = 64, EVENTS_MAX = 256, RESTORED_MAX = 256 };

/*
 * Lets a barrier through the whole job: each task's part is acknowledged to pending.
 *
 * is_unaligned  The barrier overtakes what is queued.
 */
typedef tarn_status barrier_fn(
    void *job, uint64_t id, tarn_pending_checkpoint *pending, bool is_unaligned, tarn_error *error);

typedef struct write_job {
    uint64_t id;
    tarn_pending_checkpoint *pending;
    tarn_status status; /* Of the commit. */
    tarn_checkpoint_summary summary;
    tarn_error error;
} write_job;

typedef struct checkpoints {
    tarn_checkpoint_settings settings;
    int32_t retained_count;
    tarn_checkpoint_store *store;
    tarn_coordinator *coordinator;
    const char *job_directory; /* DIR/JOB. */
    uint32_t task_count;
    barrier_fn *barrier;
    void *job;
    bool is_quiet;

    tarn_coordinator_restored restored[RESTORED_MAX]; /* The newest ones, by id. */
    uint32_t restored_count;

    struct {
        uint64_t id;
        tarn_pending_checkpoint *pending; /* NULL: free. */
    } begun[IN_FLIGHT_MAX];

    tarn_coordinator_event events[EVENTS_MAX]; /* To come; a ring. */
    uint32_t event_first;
    uint32_t event_count;

    pthread_t writer;
    pthread_mutex_t mutex; /* For what follows. */
    pthread_cond_t changed;
    write_job writes[IN_FLIGHT_MAX]; /* [0, done_count) done, up to write_count to do. */
    uint32_t done_count;
    uint32_t write_count;
    bool has_writer;
    bool is_closing;
} checkpoints;

/* Reads the settings. */
tarn_status checkpoints_configure(checkpoints *c, const tarn_config *config, tarn_error *error);

/* Prints them. */
void checkpoints_show(const checkpoints *c);

/*
 * Opens the store and starts the coordinator.
 *
 * task_count      The source, which is task 0, and the sinks.
 * is_continued    The job goes on from the latest checkpoint of the directory: those that are there
 *                 are its own, to be subsumed by later ones and to go when it ends.
 */
tarn_status checkpoints_open(
    checkpoints *c,
    tarn_env *env,
    const char *directory,
    const char *job_directory,
    uint32_t task_count,
    bool is_continued,
    tarn_error *error);

/* Does what is due. An error is the end of the job. */
tarn_status checkpoints_step(checkpoints *c, tarn_error *error);

/* Waits until deadline_ns of the monotonic clock, or until a checkpoint is written. */
void checkpoints_wait(checkpoints *c, uint64_t deadline_ns);

/* Awaits what is being written, and keeps or deletes checkpoints as the end of the job wants. */
void checkpoints_end(checkpoints *c, tarn_job_end end);

/* Accepts what was not opened, or in part. */
void checkpoints_close(checkpoints *c);

#endif
