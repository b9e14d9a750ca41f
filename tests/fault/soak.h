/*
 * soak.h - what the parts of the soak share: the plan, what each record does, and the journal.
 *
 *     test_soak.c   starts, watches and kills ──► soak_job.c    a process: records, checkpoints
 *          │                                            │
 *          ├──────── soak_journal.c ◄───────────────────┤ began at, committed, verified
 *          │                                            │
 *          └──► soak_claim.c   what must hold           │
 *                                      soak_model.c ◄───┘ at the end: replays, compares
 *
 * What a record does follows from the seed and its position alone (soak_plan.c), so that the job
 * and the model never speak with each other.
 */
#ifndef TARN_TESTS_SOAK_H
#define TARN_TESTS_SOAK_H

#include "support/support.h"

#include <stdbool.h>

#include "tarn/checkpoint.h"
#include "tarn/keyed.h"
#include "tarn/list.h"
#include "tarn/map.h"
#include "tarn/reducing.h"
#include "tarn/snapshot.h"
#include "tarn/timer.h"

#include "support/state_fixture.h"

enum {
    MANAGED_MIB = 32,
    WORKING_SET_MIB = 16,
    BUDGET_MIB = MANAGED_MIB + WORKING_SET_MIB,
    PADDING_BYTES = 168,
    TIMER_SPAN = 5000,
    MAP_ENTRIES = 512,      /* Of a large map: some 20 KiB, of which the working set has blocks, */
    MAP_ENTRIES_SMALL = 32, /* and of a small one, which it has as a whole: every other one. */
    KEYS_PER_MAP = 256,
};

/* --- soak_plan.c: what each record does --- */

typedef struct soak_plan {
    uint64_t seed;
    uint64_t key_count;
    uint64_t interval_ms; /* Of checkpoints. */
    const char *directory;
} soak_plan;

typedef enum map_act { MAP_PUT, MAP_REMOVE, MAP_REMOVE_HALF, MAP_SUM } map_act;

uint64_t plan_key(const soak_plan *p, uint64_t position);
uint64_t plan_timer(const soak_plan *p, uint64_t position);
bool plan_is_appended(uint64_t position);
bool plan_is_cleared(const soak_plan *p, uint64_t position);
bool plan_is_seen(const soak_plan *p, uint64_t position);
int64_t plan_ttl(const soak_plan *p); /* Units: positions, which are the time of the stream. */

bool plan_is_mapped(uint64_t position);
uint64_t plan_map_count(const soak_plan *p);
uint64_t plan_map(const soak_plan *p, uint64_t position);
uint64_t plan_map_key(uint64_t map); /* Of the backend: beyond those of records. */
uint16_t plan_entry_count(uint64_t map);
uint16_t plan_entry(const soak_plan *p, uint64_t position);
map_act plan_map_act(const soak_plan *p, uint64_t position);

/* What a record notes of something that it has read, so that a wrong read is seen at the end. */
uint64_t plan_answer(uint64_t position, uint64_t read);
enum { ANSWER_ABSENT = 7 };

/* --- soak_job.c: the job --- */

typedef struct count_row {
    uint64_t count;
    uint64_t last;
    uint8_t padding[PADDING_BYTES];
} count_row;

typedef struct map_row {
    uint64_t position;
    uint64_t noise[3];
} map_row;

typedef struct job {
    const soak_plan *plan;
    tarn_config *config;
    tarn_env *env;
    tarn_checkpoint_store *store;
    tarn_backend *backend;
    tarn_value *counts;
    tarn_value *place;
    tarn_value *seen; /* With a TTL. */
    tarn_reducing *sums;
    tarn_reducing *fired;
    tarn_reducing *answers;
    tarn_list *recent;
    tarn_map *entries;
    tarn_timers *timers;
    tarn_pending_checkpoint *pending;
    tarn_snapshot *snapshot; /* NULL: none is under way. */
    uint64_t checkpoint_id;
    uint64_t pending_position; /* Of the checkpoint that is under way. */
    uint64_t position;         /* Of the next record. */
    bool is_restored;
    uint64_t last_begin_ns;
    tarn_error error;
} job;

tarn_config *job_new_config(void);

/* The job's process answers for itself: it ends with 1 when something is not as it must be. */
void job_must(job *j, tarn_status status, const char *what);
void job_open(job *j, const soak_plan *p);
void job_close(job *j);
void job_set_key(job *j, uint64_t key);
tarn_bytes job_entry_key(uint8_t bytes[2], uint64_t entry);

/* Runs until SIGTERM; answers the exit code. */
int job_run(const soak_plan *p);

/* --- soak_model.c --- */

/* What a model can be made to get wrong, so that it is seen that each comparison can fail. */
typedef enum soak_spoil {
    SPOIL_NOTHING,
    SPOIL_COUNT,
    SPOIL_LAST,
    SPOIL_SUM,
    SPOIL_FIRED,
    SPOIL_ELEMENTS,
    SPOIL_DIGEST,
    SPOIL_ANSWERS,
    SPOIL_SEEN,
    SPOIL_TIMERS,
    SPOIL_MAP_ANSWERS,
    SPOIL_ENTRY,
    SPOIL_ENTRY_MORE, /* One more than there is, */
    SPOIL_ENTRY_LESS, /* and one less. */
    SPOIL_END,
} soak_spoil;

enum { EXIT_DIFFERS = 3 };

/*
 * Restores the last checkpoint, and compares all that is in it. Answers the exit code; when
 * something differs it ends the process with EXIT_DIFFERS.
 */
int model_verify(const soak_plan *p, soak_spoil spoil);

/* --- soak_journal.c: what processes say, which outlives them --- */

typedef enum soak_kind { SOAK_BEGAN = 1, SOAK_COMMITTED, SOAK_VERIFIED } soak_kind;

typedef struct soak_entry {
    uint64_t kind;
    uint64_t position;    /* Of the next record, in what was restored, committed or verified. */
    uint64_t is_restored; /* SOAK_BEGAN: there was a checkpoint. */
    uint64_t state_bytes; /* SOAK_VERIFIED: keys and values, as the program gave them, */
    uint64_t file_bytes;  /* and table files. */
} soak_entry;

typedef struct soak_tally {
    uint64_t began_count;
    uint64_t restored_count;
    uint64_t committed_count;
    uint64_t committed_position; /* The newest. */
    uint64_t verified_count;
    uint64_t state_bytes;
    uint64_t file_bytes;
} soak_tally;

void journal_add(const soak_plan *p, const soak_entry *entry);

/* Sums it up; fails the test when an entry does not follow from those before it. */
soak_tally journal_read(const soak_plan *p);

/* --- soak_claim.c: what must hold, pure --- */

/* Answers why an entry cannot follow what is in the tally; NULL: it can, and is added. */
const char *claim_add(soak_tally *t, const soak_entry *entry);

typedef struct soak_claim {
    uint64_t kill_count;
    uint64_t kill_count_min;
    uint64_t key_count;
    uint64_t state_bytes_min;    /* Of rows, and of table files, in the end. */
    uint64_t resident_bytes;     /* The most of any process. */
    uint64_t resident_bytes_max; /* As planned; UINT64_MAX: instrumented, they have more. */
} soak_claim;

/* Answers what does not hold in the end; NULL: all does. */
const char *claim_check(const soak_tally *t, const soak_claim *c);

#endif
