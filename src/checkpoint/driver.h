/*
 * driver.h - the inside of a tarn_driver.
 *
 *     tasks, program ──► [mail] ──► decide: coordinator step ──► perform effects
 *                          ▲                                      │            │
 *                          │ answers                    callbacks ▼            ▼ jobs
 *                          │                                 tasks     [lane 0: begin, take, write]
 *                          └───────────────────────────────────────── [lane 1: delete]
 *
 * A record stands for a checkpoint from BEGIN until its deletion is answered. Whoever needs its
 * pending checkpoint counts as a user; a job that ends it (write, delete) waits for the last one.
 *
 * Invariants
 *   - The coordinator, callbacks included, belongs to who polls: one thread at a time.
 *   - The mutex is a leaf: neither storage nor coordinator nor callback under it.
 *   - An acknowledgement reaches the store only after the coordinator has counted it; parts of a
 *     checkpoint are taken in before it is written (lane 0 has one thread and an order).
 *   - An answer cannot fail: its mail lies in the record.
 *   - Mail is as long as what tasks say and nobody has read; jobs are at most one for each
 *     record, one for each acknowledgement that counted, and one that cleans.
 *   - Lane 0 deletes nothing: what is durable is announced before anything goes.
 *
 * Without threads (is_manual) a test or simulation polls, runs jobs and owns the clock.
 */
#ifndef TARN_CHECKPOINT_DRIVER_H
#define TARN_CHECKPOINT_DRIVER_H

#include <pthread.h>

#include "tarn/driver.h"

#include "base/account.h"
#include "base/clock.h"

enum { TARN__LANE_WRITE, TARN__LANE_DELETE, TARN__LANE_COUNT };
enum { TARN__FAILURES_MAX = 8 };

typedef struct tarn__record tarn__record;

typedef enum tarn__work {
    TARN__WORK_NONE,
    TARN__WORK_BEGIN,
    TARN__WORK_TAKE, /* The parts in a mail. */
    TARN__WORK_WRITE,
    TARN__WORK_DISCARD,
    TARN__WORK_CLEAN, /* Of no record: what commits have left to be deleted. */
} tarn__work;

/* What a storage thread is to do about a record. */
typedef struct tarn__driver_job {
    struct tarn__driver_job *next;
    tarn__work work;
    tarn__record *record;    /* NULL: CLEAN. */
    struct tarn__mail *mail; /* TAKE. */
} tarn__driver_job;

/* An event on its way to the coordinator; then, if it was an acknowledgement, a job. */
typedef struct tarn__mail {
    struct tarn__mail *next;
    tarn_coordinator_event event; /* now_ms is set when it is read. */
    tarn_error cause;             /* Of what failed; status TARN_OK: none. */
    bool is_answer;               /* It lies in a record. */
    tarn__driver_job job;
    uint32_t part_count;
    uint8_t *parts; /* Behind the mail. Each: its size (size_t), its bytes. */
} tarn__mail;

struct tarn__record {
    tarn__record *next;
    uint64_t id;
    tarn_checkpoint_kind kind;
    uint64_t began_ms;
    bool is_completed;
    bool is_discarded;           /* Its deletion is wanted. */
    bool is_answer_due;          /* The coordinator waits for DISCARDED. */
    bool is_closing;             /* Nobody borrows it any more. */
    uint32_t user_count;         /* Borrowers, and parts that are not taken in yet. */
    uint32_t acknowledged_count; /* Tasks. */
    tarn__work wanted;           /* Waits for the last user. */

    tarn_pending_checkpoint *pending; /* NULL: not begun, written or abandoned. */
    tarn_checkpoint_summary summary;
    tarn_error cause; /* The first failure; status TARN_OK: none. A part that could not be taken in
                         is one: then nothing is written. */
    bool is_damaged;
    char *path; /* Owned; NULL: unknown. */
    tarn__driver_job job;
    tarn__mail answer; /* BEGUN, WRITTEN and DISCARDED in turn. */
};

typedef struct tarn__driver_seat {
    tarn_driver_task callbacks;
    bool is_running;
    uint32_t run_count;
    tarn__mail *end; /* To be sent at its end, which cannot fail. Owned while it runs. */
} tarn__driver_seat;

typedef struct tarn__driver_options {
    tarn__account *account;
    const tarn__clock *clock;
    tarn_checkpoint_store *store; /* Owned once the driver is open. */
    const tarn_coordinator_options *coordinator;
    const char *address;
    const char *job;
    tarn_env *env;                       /* For savepoints, and to open checkpoints. May be NULL. */
    const char *savepoint_address;       /* NULL: they stay in the store. */
    tarn_checkpoint_form savepoint_form; /* Of those that do not. */
    uint32_t history_count;              /* At least 1. */
    tarn_driver_hear *hear;
    tarn_driver_fail_job *fail_job;
    void *context;
    bool is_manual; /* No threads. */
} tarn__driver_options;

struct tarn_driver {
    tarn__driver_options options;
    char *address; /* DIR/JOB. */
    char *job;
    char *savepoint_address;       /* NULL: none. */
    tarn_coordinator *coordinator; /* Of who polls. */
    /* Of effects that could not be performed: told next. Each step has one of a kind at most. */
    tarn_coordinator_event failures[TARN__FAILURES_MAX];
    uint32_t failure_count;
    uint32_t stopping_count;  /* Savepoints to stop the job with whose end was not heard of. */
    bool is_start_due;        /* Periodic checkpoints rest for them, or for one that completed. */
    bool has_stopping_failed; /* One of them has, and nothing was done about it so far. */
    uint32_t task_count;
    uint32_t thread_count; /* Started. */
    pthread_t threads[1 + TARN__LANE_COUNT];

    pthread_mutex_t mutex; /* For all below. A leaf. */
    pthread_cond_t has_mail;
    pthread_cond_t has_job;
    pthread_cond_t has_changed; /* For those who wait until something is over. */
    bool is_closing;
    bool is_polling;
    uint32_t writing_count; /* Commits that were asked for, and whose answer was not told yet. */
    bool is_shut_down;
    uint64_t failover_asked; /* How many, and how many the coordinator knows of. */
    uint64_t failover_told;
    uint32_t busy_count;  /* Jobs that run. */
    uint32_t called_task; /* Whose callback runs; NO_TASK: none. */
    pthread_t poller;     /* Who polls, if is_polling. */
    tarn__mail *mail;     /* First to be read first. */
    tarn__mail **mail_end;
    tarn__driver_job *jobs[TARN__LANE_COUNT];
    tarn__driver_job **job_ends[TARN__LANE_COUNT];
    tarn__driver_job cleaning; /* A job of the deleting lane, */
    bool is_cleaning_queued;   /* and whether it is there. */
    tarn__record *records;
    tarn__driver_seat *seats;     /* [task_count]. */
    tarn_driver_outcome *history; /* [history_count], a ring. */
    uint64_t ended_count;
    tarn_coordinator_figures figures; /* As of the latest poll. */
};

/* driver.c */
TARN_NODISCARD tarn_status
tarn__driver_open(const tarn__driver_options *options, tarn_driver **out, tarn_error *error);
uint64_t tarn__driver_now_ms(const tarn_driver *driver);

/* driver_mail.c */
/* Puts mail behind what is there. Under the mutex. */
void tarn__driver_post(tarn_driver *driver, tarn__mail *mail);
/* The first mail, or NULL. No lock held. */
tarn__mail *tarn__driver_receive(tarn_driver *driver);
/* Reads all mail and does what is due; answers when to come again. */
uint64_t tarn__driver_poll(tarn_driver *driver);
void tarn__driver_tell_not_running(tarn_driver *driver, uint32_t task);

/* driver_threads.c */
TARN_NODISCARD tarn_status tarn__driver_start_threads(tarn_driver *driver, tarn_error *error);
void tarn__driver_join_threads(tarn_driver *driver);

/* driver_perform.c: by who polls, no lock held. */
void tarn__driver_perform(
    tarn_driver *driver, const tarn_coordinator_effect *effect, uint64_t now_ms);

/* driver_jobs.c: under the mutex. */
tarn__record *tarn__record_new(tarn_driver *driver, uint64_t id); /* NULL: no memory. */
tarn__record *tarn__driver_find(tarn_driver *driver, uint64_t id);
void tarn__driver_forget(tarn_driver *driver, tarn__record *record);
void tarn__driver_want(tarn_driver *driver, tarn__record *record, tarn__work work);
void tarn__driver_queue_part(tarn_driver *driver, tarn__record *record, tarn__mail *mail);
void tarn__driver_release(tarn_driver *driver, tarn__record *record);

/* Runs the first job of a lane; false: there is none. No lock held. */
bool tarn__driver_run_job(tarn_driver *driver, uint32_t lane);

#endif
