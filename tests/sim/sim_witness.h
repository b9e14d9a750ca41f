/*
 * sim_witness.h - what the world saw of each checkpoint, and what it must never see.
 *
 *     event ──► witness_note_event ──► coordinator step ──► witness_note_effect, each ──► check
 *
 * A coordinator lies when it announces what is not durable, deletes what is kept or may be, lets
 * whoever asked hear twice or never, or leaves places behind that nobody keeps.
 */
#ifndef TARN_TESTS_SIM_WITNESS_H
#define TARN_TESTS_SIM_WITNESS_H

#include "checkpoint/coordinator.h"

enum { WITNESS_IDS_MAX = 2048 };

typedef enum witness_fate {
    WITNESS_NONE,
    WITNESS_BEGUN,
    WITNESS_COMPLETED,
    WITNESS_ABORTED,
} witness_fate;

typedef struct witness_seen {
    witness_fate fate;
    bool is_savepoint;
    bool has_place;   /* There is something to delete. */
    bool is_durable;  /* Its metadata can be found. */
    bool is_doubtful; /* It may be found: nobody may delete it. */
    bool was_notified;
    bool is_discarded;
} witness_seen;

typedef struct witness {
    const char *label; /* Of the run, for messages. */
    uint64_t highest_id;
    uint64_t spare_id; /* One that nothing bears: the next checkpoint may take it. */
    witness_seen seen[WITNESS_IDS_MAX];
    bool heard[WITNESS_IDS_MAX]; /* By request: whoever asked has an answer. */
    uint64_t request_count;      /* Numbers 0 .. are given by who asks. */
} witness;

/* What an event means to the world, at the moment when it is given. */
void witness_note_event(witness *seen, const tarn_coordinator_event *event);
void witness_note_effect(witness *seen, const tarn_coordinator_effect *effect);

/* After every step. */
void witness_check(
    witness *seen, const tarn_coordinator *coordinator, const tarn_coordinator_options *options);

/* When nothing is under way any more: every place is retained, the user's, deleted, or doubtful. */
void witness_check_rest(witness *seen, const tarn_coordinator *coordinator, bool is_shut_down);

#endif
