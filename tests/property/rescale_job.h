/*
 * rescale_job.h - a job of several subtasks with every kind of state, and the model of what they
 * hold: what the parts of test_rescale.c share.
 *
 *     test_rescale.c   walks from one number of subtasks to the next, in each way
 *          │
 *          ▼
 *     rescale_job.c    opens and closes subtasks, takes checkpoints, restores them
 *          │
 *          ├──► rescale_keyed.c      the states of keys and timers: written with the model's cells,
 *          │                         and compared with them
 *          └──► rescale_operators.c  the same of the state of the operator
 *
 * Each function asserts that what it does succeeds.
 */
#ifndef TARN_TESTS_RESCALE_JOB_H
#define TARN_TESTS_RESCALE_JOB_H

#include "support/support.h"

#include "tarn/checkpoint.h"
#include "tarn/keyed.h"
#include "tarn/operator_state.h"
#include "tarn/snapshot.h"
#include "tarn/timer.h"

#include "base/random.h"
#include "state/backend.h"
#include "support/scratch.h"
#include "support/state_fixture.h"

enum {
    SUBTASKS_MAX = 128,
    KEYS = 400,
    ENTRIES = 4,
    ELEMENTS_MAX = 24,
    TIMES = 6,
    DOMAINS = 2, /* Of timers. */
    WINDOWS = 3, /* Namespaces besides the default one. */
    TTL_MS = 1000,
    SPLIT_MAX = 4096,
};

/* What a key has. */
typedef struct cell {
    uint64_t value; /* 0: none. */
    uint64_t entries[ENTRIES];
    uint64_t elements[ELEMENTS_MAX];
    uint32_t element_count;
    bool is_summed;
    int64_t sum;
    uint64_t text_size; /* Of an accumulator: 0, none. */
    bool timers[DOMAINS][TIMES];
    uint64_t windows[WINDOWS]; /* 0: none. */
    uint64_t fading;           /* 0: none. It expires. */
    int64_t fading_since_ms;
} cell;

typedef struct subtask {
    tarn_backend *backend;
    tarn_value *value;
    tarn_map *map;
    tarn_list *list;
    tarn_reducing *sum;
    tarn_aggregating *text;
    tarn_timers *timers[DOMAINS];
    tarn_value *window; /* Of a namespace that is set. */
    tarn_value *fading;
    tarn_operator_store *operators;
    tarn_operator_list *split; /* Numbers, each of them in one subtask. */
    tarn_operator_list *whole; /* The subtask's index. */
    tarn_broadcast *shared;    /* The generation, the same in all. */
} subtask;

typedef struct job {
    tarn_env *env;
    tarn_config *config; /* Of the backends: small files, so that there are many. */
    tarn_checkpoint_store *store;
    tarn__random random;
    uint32_t max_parallelism;
    uint32_t parallelism;
    uint32_t generation;
    atomic_int_least64_t now_ms; /* By which states expire; compactions ask, too. */
    uint32_t expired_count;      /* What was seen to have gone. */
    uint64_t part_count;         /* Table files that restores have read by parts. */
    uint32_t joined_count;       /* Backends that had another old subtask's files added, */
    uint32_t by_rows_count;      /* that had none of them, but took over rows. */
    uint32_t split_count;        /* Elements 0 .. split_count - 1 of the split list are there. */
    subtask subtasks[SUBTASKS_MAX];
    cell cells[KEYS];
    scratch root;
    tarn_error error;
} job;

/* How the files of a checkpoint become those of a backend. */
typedef struct way {
    const char *name;
    bool links;       /* The files themselves, not copies. */
    bool cuts;        /* Files end where a key group does: whole ones are dropped, fewer clipped. */
    bool reads_parts; /* Of files (snapshot/table_part.h), however small they are. */
    bool is_by_rows;  /* Files of several old subtasks never become one database's. */
} way;

static inline uint32_t job_below(job *j, uint32_t bound)
{
    return (uint32_t)tarn__random_below(&j->random, bound);
}

/* ---- the job: rescale_job.c ------------------------------------------------------------- */

/* A job without subtasks, whose checkpoints are restored in a way. */
void job_set_up(job *j, uint64_t seed, uint32_t max_parallelism, const way *w);
void job_tear_down(job *j); /* Closes the subtasks, too. */

/* Opens so many subtasks, empty or with what they have of a checkpoint. */
void job_open(job *j, uint32_t parallelism, tarn_checkpoint *restore);
void job_close(job *j);

void job_take_checkpoint(job *j);

/* Restores the last checkpoint with another number of subtasks; what was written since is gone. */
void job_restore(job *j, uint32_t parallelism);

/* Moves rows down: to files, to lower levels. */
void job_settle(job *j);

/* What a restore brought of other key groups is gone from all files, and nothing else is. */
void job_expect_tidy(job *j);

/* ---- keys and timers: rescale_keyed.c --------------------------------------------------- */

void job_open_states(job *j, subtask *s);
void job_close_states(job *j, subtask *s);

/* Changes so many random states of random keys, and their cells. */
void job_write_some(job *j, uint32_t count);

/* The subtasks have what the cells say, and nothing besides. */
void job_expect_everything(job *j);

/* ---- the operator: rescale_operators.c -------------------------------------------------- */

void job_open_operators(job *j, uint32_t index, const tarn_checkpoint *restore);
void job_add_operators(job *j, const subtask *s, tarn_snapshot *snapshot);

/* Adds so many elements to the split list, and sets what the other states have. */
void job_write_operators(job *j, uint32_t count);

/* What the subtasks of the generation before have left, of which there were so many. */
void job_expect_operators(job *j, uint32_t old_parallelism);

#endif
