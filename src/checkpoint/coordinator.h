/*
 * coordinator.h - the inside of a tarn_coordinator, for its own sources and its tests.
 *
 *                    trigger.c                       pending.c
 *     requests ──► [queue] ──► choose ──► BEGINNING ──► COLLECTING ──► READY ──► WRITING ──► store
 *     timer    ──┘               │            │             │            │          │
 *                             REJECTED        └─ ABORTED ───┴────────────┘          └─ or ABORTED
 *
 * Things become due in one order, (time, sequence): the periodic trigger, the deadline of each
 * pending checkpoint, and what a step puts off until later in the same instant (`deferred`): to
 * look at the queue again, to create what was chosen, to refuse what cannot start. Flink does the
 * same with one timer thread; the order is what its decisions at equal times hang on.
 *
 * Invariants (tarn__coordinator_is_valid)
 *   - At most pending_max checkpoints are pending, by ascending id; identifiers only grow.
 *   - One checkpoint is begun at a time, and one is written at a time; each is awaited, and what
 *     becomes of it is decided by the answer. A place that is being made is deleted only after it
 *     was made.
 *   - COMPLETED follows a durable write: nobody hears of a checkpoint that could be lost.
 *   - Whoever asked for a checkpoint hears exactly once: REJECTED, ABORTED or COMPLETED.
 *   - An event about any other checkpoint changes nothing but a counter.
 *   - A slot that was given up in a step is not used again in it: effects point into it.
 */
#ifndef TARN_CHECKPOINT_COORDINATOR_H
#define TARN_CHECKPOINT_COORDINATOR_H

#include "tarn/coordinator.h"

#include "base/account.h"
#include "checkpoint/plan.h"
#include "checkpoint/store.h"

enum {
    TARN__NO_SLOT = UINT16_MAX,
    TARN__RECENT_COUNT = 16,   /* Expired ones, by which late acknowledgements are known. */
    TARN__EFFECTS_MARGIN = 16, /* More than one due thing can ask for. */
    TARN__EFFECTS_LATE = 256,  /* Of the things that were due before the event. */
};

typedef enum tarn__phase {
    TARN__PHASE_FREE,
    TARN__PHASE_CHOSEN,     /* Its creation is deferred; not pending yet. */
    TARN__PHASE_BEGINNING,  /* BEGIN is not answered. */
    TARN__PHASE_COLLECTING, /* Tasks have been told. */
    TARN__PHASE_READY,      /* All have acknowledged; another one is being written. */
    TARN__PHASE_WRITING,    /* WRITE is not answered. */
} tarn__phase;

/* Whether a task belongs to a checkpoint. */
enum { TARN__MEMBER_NOT, TARN__MEMBER_AWAITED, TARN__MEMBER_ACKED };

/* A wish for a checkpoint, by whom it may be. */
typedef struct tarn__request {
    uint64_t request_id;
    tarn_checkpoint_kind kind;
    bool is_periodic;
    bool is_forced; /* Passes max_concurrent. */
} tarn__request;

typedef struct tarn__pending {
    tarn__phase phase;
    tarn__request request;
    uint64_t id;
    uint64_t began_ms;
    uint64_t deadline_ms;
    uint64_t sequence;      /* Of the deadline; then of READY. */
    uint64_t freed_step;    /* The step in which the slot was given up. */
    tarn__plan plan;        /* Arrays of [task_count] below. */
    uint32_t awaited_count; /* Members that have not acknowledged. */
    uint32_t acked_count;
    uint32_t *acked;    /* [task_count], in the order in which they came. */
    uint32_t *attempts; /* [task_count]: which run of a member takes part. */
    uint8_t *members;   /* [task_count]. */
} tarn__pending;

typedef enum tarn__deferred_kind {
    TARN__DEFERRED_CHOOSE, /* Look at the queue, count times. */
    TARN__DEFERRED_CREATE, /* Create the checkpoint in starting_slot. */
    TARN__DEFERRED_REFUSE, /* Refuse `starting`: tasks are not running. */
} tarn__deferred_kind;

typedef struct tarn__deferred {
    tarn__deferred_kind kind;
    uint64_t due_ms;
    uint64_t sequence; /* Of the first. */
    uint64_t count;
} tarn__deferred;

/* A DISCARD that is not answered. */
typedef struct tarn__cleaning {
    uint64_t id;
    bool is_quiet; /* Its end is no reason to look at the queue, unless nothing else will. */
} tarn__cleaning;

/* How far the checkpoint is that is being started; the next one waits for it. */
typedef enum tarn__starting {
    TARN__STARTING_NONE,
    TARN__STARTING_DEFERRED,  /* CREATE or REFUSE is deferred. */
    TARN__STARTING_BEGINNING, /* BEGIN(starting_id) is not answered. */
    TARN__STARTING_GIVEN_UP,  /* As before, but the checkpoint was aborted meanwhile. */
    TARN__STARTING_EMPTY,     /* No task takes part: it waits for its write. */
} tarn__starting;

struct tarn_coordinator {
    tarn__account account;
    tarn_coordinator_options options; /* Pointers in it are not ours. */
    uint64_t interval_ms;             /* At least min_pause_ms. */
    uint64_t backlog_interval_ms;     /* As given, even below min_pause_ms; NEVER: none. */
    uint32_t concurrent_max;

    uint64_t now_ms;
    uint64_t step_count;
    uint64_t sequence; /* The next one to give. */
    uint64_t next_id;
    bool is_started; /* Periodic checkpoints are wanted. */
    bool is_backlog;
    bool is_shut_down;
    bool is_end_deferred; /* The store ends after the write under way. */
    bool is_next_full;    /* Restored from what is not ours. */
    bool has_completed;
    tarn_job_end job_end;
    uint64_t completed_ms; /* When the last one did, if has_completed. */

    bool is_timer_set;         /* The periodic trigger. */
    uint64_t timer_ms;         /* When it is due. */
    uint64_t timer_nominal_ms; /* When it should have been; NEVER when it is not set. */
    uint64_t timer_sequence;

    uint32_t failures; /* Counted ones since the last success. */
    uint64_t last_success_id;

    tarn__job job;
    tarn__store store;
    tarn_task_state *task_states; /* [task_count]. */
    uint32_t *attempts;           /* [task_count]: the current run of each. */

    tarn__starting starting_state;
    tarn__request starting;
    uint64_t starting_id;
    uint32_t starting_slot;

    tarn__pending *slots; /* [pending_max + 1]. */
    uint32_t *order;      /* [pending_max]: pending slots by ascending id. */
    uint32_t pending_count;
    uint32_t writing_slot;
    uint32_t *slot_tasks;  /* [slots][4][task_count]: behind plan, acked and attempts. */
    uint8_t *slot_members; /* [slots][task_count]. */
    tarn__request *queue;  /* [queue_max], first to be chosen first. */
    uint32_t queue_count;
    tarn__deferred *deferred; /* [deferred_max], first due first. */
    uint32_t deferred_count;
    uint32_t deferred_max;
    tarn__cleaning *cleaning; /* [cleaning_max]. */
    uint32_t cleaning_count;
    uint32_t cleaning_max;
    uint64_t recent[TARN__RECENT_COUNT];
    uint32_t recent_count;
    uint32_t recent_next;

    tarn_coordinator_effect *effects; /* [effects_max]. */
    uint32_t effect_count;
    uint32_t effects_max;
    uint32_t event_effects_max; /* What one event can ask for. */
    tarn_coordinator_figures figures;
};

/* coordinator.c */
tarn_coordinator_effect *tarn__coordinator_emit(
    tarn_coordinator *c, tarn_coordinator_effect_kind kind);
void tarn__coordinator_defer(tarn_coordinator *c, tarn__deferred_kind kind);
bool tarn__coordinator_is_valid(const tarn_coordinator *c);

/* coordinator_options.c */
TARN_NODISCARD tarn_status
tarn__coordinator_check(const tarn_coordinator_options *options, tarn_error *error);

/* failure.c */
void tarn__failure_account(
    tarn_coordinator *c,
    uint64_t checkpoint_id, /* 0: none was created. */
    tarn_checkpoint_kind kind,
    tarn_checkpoint_failure reason,
    bool is_from_task,
    uint32_t task);
void tarn__failure_forget(tarn_coordinator *c, uint64_t succeeded_id);

/* trigger.c */
bool tarn__kind_is_savepoint(tarn_checkpoint_kind kind);
bool tarn__kind_stops_job(tarn_checkpoint_kind kind);
void tarn__timer_set(tarn_coordinator *c, uint64_t delay_ms);
void tarn__timer_cancel(tarn_coordinator *c);
void tarn__timer_fire(tarn_coordinator *c);
void tarn__timer_follow_backlog(tarn_coordinator *c);
void tarn__request_submit(tarn_coordinator *c, tarn__request request);
void tarn__request_choose(tarn_coordinator *c);
void tarn__request_reject_all(tarn_coordinator *c, tarn_checkpoint_failure reason);
void tarn__request_reject(
    tarn_coordinator *c, const tarn__request *request, tarn_checkpoint_failure reason);
/* Ends the start of the latest request, and looks who is next. */
void tarn__start_end(tarn_coordinator *c);
void tarn__start_create(tarn_coordinator *c);
void tarn__start_refuse(tarn_coordinator *c);
tarn_coordinator_verdict tarn__start_begun(tarn_coordinator *c, uint64_t id);
tarn_coordinator_verdict tarn__start_not_begun(tarn_coordinator *c, uint64_t id, bool is_id_spent);

/* pending.c */
tarn__pending *tarn__pending_find(tarn_coordinator *c, uint64_t id);
void tarn__pending_append(tarn_coordinator *c, uint32_t slot);
void tarn__pending_remove(tarn_coordinator *c, tarn__pending *pending);
bool tarn__pending_is_timed(const tarn__pending *pending);
tarn_coordinator_verdict tarn__pending_verdict(tarn_coordinator *c, uint64_t id);
void tarn__pending_abort(
    tarn_coordinator *c,
    tarn__pending *pending,
    tarn_checkpoint_failure reason,
    bool is_from_task,
    uint32_t task);
void tarn__pending_abort_all(tarn_coordinator *c, tarn_checkpoint_failure reason);
void tarn__pending_abort_task(tarn_coordinator *c, uint32_t task);
/* Asks for the deletion of an uncompleted checkpoint; pending NULL: none of its tasks took part. */
void tarn__pending_discard(tarn_coordinator *c, uint64_t id, const tarn__pending *pending);
void tarn__pending_ready(tarn_coordinator *c, tarn__pending *pending);
tarn_coordinator_verdict tarn__pending_acknowledge(
    tarn_coordinator *c, uint64_t id, uint32_t task, uint32_t attempt);
tarn_coordinator_verdict tarn__pending_decline(
    tarn_coordinator *c, uint64_t id, uint32_t task, tarn_checkpoint_failure reason);
tarn_coordinator_verdict tarn__pending_written(
    tarn_coordinator *c, uint64_t id, tarn_write_outcome outcome);
tarn_coordinator_verdict tarn__pending_discarded(tarn_coordinator *c, uint64_t id);
void tarn__pending_end_store(tarn_coordinator *c);

#endif
