/*
 * sim_world.h - the world of test_system.c: a job, its storage, and the model that it is held to.
 *
 *     sim_process.c    a process: store, driver, tasks; how it dies, restarts, claims
 *     sim_tasks.c      sources, channels, aligners; how one worker dies and comes back alone
 *     sim_snapshots.c  what a worker uploads and acknowledges; its state is cells, in files
 *     sim_real.c       the same with a backend over RocksDB
 *     sim_model.c      what the state must be, and what a checkpoint says it is
 *     sim_garbage.c    what nothing reaches
 *
 * All of it is one thread's, and all chance is drawn from the seed. A backend over RocksDB has a
 * worker thread; it gets to the storage only while the world stands still (sim_real.c).
 */
#ifndef TARN_TESTS_SIM_WORLD_H
#define TARN_TESTS_SIM_WORLD_H

#include "support/support.h"

#include <inttypes.h>
#include <pthread.h>

#include "base/random.h"
#include "checkpoint/aligner.h"
#include "checkpoint/coordinator.h"
#include "checkpoint/driver.h"
#include "snapshot/checkpoint.h"
#include "snapshot/store_private.h"
#include "snapshot/upload.h"
#include "support/fault_storage.h"
#include "support/scratch.h"
#include "tarn/channel_state.h"
#include "tarn/claim.h"
#include "tarn/snapshot.h"
#include "tarn/state.h"

#define SIM_ADDRESS    "fault://sim"
#define SIM_CELLS_NAME "cells" /* A piece of what a worker with RocksDB acknowledges. */

enum {
    GROUPS = 12,
    CHUNK_GROUPS = 4, /* Of one file. */
    CHUNKS = GROUPS / CHUNK_GROUPS,
    SOURCES_MAX = 2,
    WORKERS_MAX = 3,
    RECORDS_QUEUED_MAX = 12,
    ITEMS_MAX = 64,
    BARRIERS_MAX = 8,
    SNAPSHOTS_MAX = 16,
    BASES_MAX = 16,
    STORED_MAX = 64,
    JOBS_MAX = 8,
    WITHDRAWN_MAX = 256,
    LEFT_MAX = 64,
    JOB_NAME_BYTES = 16,
    LANDED_MAX = 512,
    LANDED_BYTES = 160,
};

/* What a key group has seen. */
typedef struct cell {
    uint64_t count;
    uint64_t sum; /* Of the records' hashes. */
} cell;

typedef struct item {
    enum { ITEM_RECORD, ITEM_BARRIER } kind;
    uint32_t group;
    uint64_t hash;
    tarn_driver_barrier barrier;
} item;

typedef struct channel {
    item items[ITEMS_MAX];
    uint32_t count;
    uint32_t record_count;
    bool is_blocked;
    bool is_kept; /* What arrives is kept as well. */
} channel;

typedef struct snapshot {
    bool is_used;
    bool is_complete; /* All that was in flight is in kept. */
    bool has_run;
    bool is_kept; /* What it uploaded belongs to the checkpoint. */
    uint64_t id;
    tarn_snapshot *real; /* With RocksDB; then the next four are not used. */
    tarn__upload *upload;
    tarn__base *base;
    uint32_t files[CHUNKS]; /* [file_count]: their numbers, ascending. */
    uint32_t file_count;
    tarn_buffer kept;
} snapshot;

typedef struct worker {
    bool is_down; /* It has died alone, and everything below is empty. */
    uint32_t index;
    uint32_t task;
    uint32_t attempt;
    uint32_t first; /* Key groups. */
    uint32_t last;
    cell cells[GROUPS];     /* With RocksDB: what the backend must hold. */
    uint32_t files[CHUNKS]; /* Numbers of the live files; 0: to be written anew. */
    tarn_backend *backend;  /* With RocksDB. */
    tarn_value *value;
    tarn_aligner *aligner;
    tarn_buffer kept;    /* Of the checkpoint that is being aligned, */
    uint64_t keeping_id; /* which is that. */
    channel channels[SOURCES_MAX];
    snapshot snapshots[SNAPSHOTS_MAX];
    tarn__base *base; /* Of the latest complete checkpoint. */
    uint64_t base_id;
    struct {
        uint64_t id;
        tarn__base *base;
    } bases[BASES_MAX];
    uint32_t base_count;
    char directory[PATH_MAX];
} worker;

/* What a checkpoint holds. */
typedef struct content {
    uint64_t positions[SOURCES_MAX];
    cell cells[GROUPS];
    bool has_cell[GROUPS];
    cell in_flight[GROUPS];
} content;

/* A directory of checkpoints. A job that is restored from another's has one of its own. */
typedef struct job {
    char name[JOB_NAME_BYTES];
    tarn_storage *plain;   /* Past all faults. */
    tarn_claim_mode mode;  /* Of what it was restored from: the latest of the job before it. */
    uint64_t untouched_id; /* Restored from here without a claim: it stays. 0: none. */
} job;

typedef struct world {
    uint64_t seed;
    tarn__random random;
    tarn__random fates; /* Apart, so that a file more or less changes nothing else. */
    uint64_t now_ns;
    tarn__clock clock;
    tarn__account account;
    fault_storage storage;
    tarn_storage_scheme scheme;
    bool is_retried; /* The library's own retries are in between. */
    bool is_late;    /* Requests may arrive late, twice, and in another order. */
    bool is_stable;  /* No process dies. */
    bool is_real;    /* Workers have RocksDB. */
    tarn_env *env;   /* With RocksDB. */
    job jobs[JOBS_MAX];
    uint32_t job_count;
    tarn_coordinator_options options;
    uint32_t parallelism[2];
    tarn_driver *driver;
    tarn_error error;
    uint64_t positions[SOURCES_MAX];
    uint32_t source_attempts[SOURCES_MAX];
    bool source_is_down[SOURCES_MAX];                        /* Until everything begins anew. */
    tarn_driver_barrier barriers[SOURCES_MAX][BARRIERS_MAX]; /* To be sent. */
    uint32_t barrier_counts[SOURCES_MAX];
    worker workers[WORKERS_MAX];
    uint32_t file_number;
    uint32_t fault_percent;
    uint32_t delivery_percent; /* How soon what is under way arrives. */
    tarn__packing packing;
    uint32_t dies_after; /* Operations of the storage; 0: not. */
    uint64_t announced_id;
    uint64_t restorable_id;   /* Without savepoints: no restart begins there. */
    uint64_t own_id;          /* The latest that those who run now have passed, or begun at. */
    uint64_t checked_changes; /* Of the storage, when what it holds was last looked at. */
    uint64_t completed_count;
    uint64_t restart_count;
    uint64_t claim_count;
    uint64_t rescale_count;
    uint64_t late_count;
    uint64_t kept_count;          /* Records in flight that a checkpoint took along. */
    uint64_t revived_count;       /* Workers that came back alone. */
    uint64_t left_total;          /* Uploads that were given up, and ended later. */
    uint64_t interrupted_count;   /* With a request under way. */
    tarn__upload *running;        /* That has a request under way, perhaps; NULL: none. */
    tarn__base *running_base;     /* What it builds on. */
    bool is_interrupted;          /* Others go on meanwhile. */
    tarn__upload *left[LEFT_MAX]; /* [left_count], not ended yet. */
    uint32_t left_count;
    uint64_t garbage_count;                /* Objects that had to be collected. */
    uint64_t deleted_count;                /* Checkpoints that went with their job, */
    uint64_t outlasting_count;             /* and that did not. */
    uint64_t withdrawn[WITHDRAWN_MAX];     /* Checkpoints whose commit had no answer, */
    uint32_t withdrawn_count;              /* of this process. A mark stays of each. */
    char landed[LANDED_MAX][LANDED_BYTES]; /* Objects of checkpoints that came late. */
    uint32_t landed_count;
    uint32_t most_mail;
    uint32_t most_records;
    uint32_t most_jobs[TARN__LANE_COUNT];
    uint64_t trace;  /* Of all that happened, and when. */
    char stray[300]; /* An object that nothing reaches. */
    uint64_t request_count;
    uint64_t answered_count;
    bool is_over; /* Nothing fails any more. */
    bool has_crashed;
    bool is_in_doubt; /* Nobody knows whether some checkpoint was written. */
    bool must_fail_over;
} world;

extern world w;
extern scratch root; /* Of backends; one for all seeds. */

#define CHECK(condition)                                       \
    do {                                                       \
        if (!(condition)) {                                    \
            fail_msg(                                          \
                "TARN_SEED=%" PRIu64 " at %" PRIu64 " ms: %s", \
                w.seed,                                        \
                w.now_ns / 1000000,                            \
                #condition);                                   \
        }                                                      \
    } while (0)

#define CHECK_OK(call)                           \
    do {                                         \
        const tarn_status check_status = (call); \
        if (check_status != TARN_OK) {           \
            fail_msg(                            \
                "TARN_SEED=%" PRIu64 ": %s: %s", \
                w.seed,                          \
                tarn_status_name(check_status),  \
                w.error.message);                \
        }                                        \
    } while (0)

/* --- sim_model.c --- */

uint64_t sim_below(uint64_t bound);
bool sim_chance(uint32_t percent); /* Never, once the world is over. */
uint64_t sim_now_ms(void);

/* Adds something that happened to the trace, with the time. text may be NULL. */
void sim_trace(const char *text, uint64_t number);

item sim_record_at(uint32_t source, uint64_t position);
void sim_add_record(cell *cells, uint32_t group, uint64_t hash);
uint32_t sim_owner_of(uint32_t group);

/* Reads a checkpoint of the running job, wherever it lies, past all faults. */
void sim_read_checkpoint(uint64_t id, content *out);

/* The same of a certain job. */
void sim_read_checkpoint_of(const job *j, uint64_t id, content *out);

void sim_read_savepoint(const char *path, content *out);

/* A checkpoint holds what its positions say: not a record is lost, and none is doubled. */
void sim_check_content(const content *c);

/* --- sim_snapshots.c --- */

void sim_take_snapshot(worker *k, uint64_t id);
void sim_drop_snapshot(snapshot *s);
void sim_drop_checkpoint(worker *k, uint64_t id);
bool sim_advance_snapshot(worker *k); /* One step of some snapshot; false: there was none. */
void sim_note_complete(worker *k, uint64_t id);
void sim_interrupt(void); /* Something happens while a request is under way. */
void sim_end_left(void);  /* Of one upload that was given up what it sent is taken back. */

/* --- sim_files.c --- */

void sim_write_file(uint32_t number, const void *bytes, size_t size);
const tarn__file_calls *sim_file_calls(void);

/* --- sim_real.c --- */

void sim_real_open(void);
void sim_real_close(void);

/* In draw of fates: whoever is not the world's thread waits until it may. */
void sim_real_wait(void);

void sim_real_start(worker *k, uint64_t restore_id, const content *restored);
void sim_real_stop(worker *k);
void sim_real_add(worker *k, uint32_t group, cell more);
tarn_status sim_real_begin(worker *k, snapshot *s, tarn_pending_checkpoint *pending);
tarn_status sim_real_finish(snapshot *s, tarn_buffer *bytes);
void sim_real_upload(snapshot *s); /* Lets it get to its end. */
void sim_real_finish_all(void);    /* Whoever is under way. */
void sim_real_abandon(snapshot *s);
bool sim_real_end_errand(void); /* What was given up with a request under way; false: nothing. */

/* --- sim_tasks.c --- */

void sim_tell_aligner(worker *k, tarn_barrier event);
bool sim_work(worker *k);             /* One item; false: there is none. */
bool sim_run_source(uint32_t source); /* True: it has sent a barrier. */
void sim_start_tasks(uint64_t restore_id);
void sim_stop_tasks(void);

/* A worker dies with its own process, while everybody else goes on. */
void sim_kill_worker(worker *k);

/* It comes back, and is sent once more what it has lost. */
void sim_revive_worker(uint32_t index);

/* --- sim_garbage.c --- */

/* Objects of all jobs that nothing reaches. */
typedef struct strays {
    uint32_t marks;     /* Of commits that were withdrawn: _metadata with nothing else in it. */
    uint32_t late_ones; /* Files of chk-N that came after they were given up. */
    uint32_t others;    /* Whatever else. */
} strays;

/* w.stray is one of the others. */
strays sim_count_strays(void);

/* Of the storage: what came late. */
void sim_note_landed(const char *name, void *context);

/* As `tarn checkpoint gc` without a grace age, of every job. */
void sim_collect_garbage(void);

/* --- sim_process.c --- */

void sim_open_world(void);
void sim_close_world(void);
void sim_start_process(void);
void sim_crash(void);
void sim_fail_over(void);
uint32_t sim_list_stored(uint64_t *ids);

#endif
