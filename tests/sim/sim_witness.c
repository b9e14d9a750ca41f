/* sim_witness.c - see sim_witness.h. */
#include "sim/sim_witness.h"

#include "support/support.h"

enum { PENDING_MAX = 16, STORED_MAX = 16 };

#define CHECK(condition)                                 \
    do {                                                 \
        if (!(condition)) {                              \
            fail_msg("%s: %s", seen->label, #condition); \
        }                                                \
    } while (0)

static witness_seen *seen_of(witness *seen, uint64_t id)
{
    CHECK(id > 0 && id < WITNESS_IDS_MAX);
    return &seen->seen[id];
}

void witness_note_event(witness *seen, const tarn_coordinator_event *event)
{
    const uint64_t id = event->checkpoint_id;
    if (event->kind == TARN_COORDINATOR_BEGUN) {
        seen_of(seen, id)->has_place = true;
    } else if (event->kind == TARN_COORDINATOR_WRITTEN) {
        witness_seen *s = seen_of(seen, id);
        s->is_durable = event->write_outcome == TARN_WRITE_DURABLE;
        s->is_doubtful = event->write_outcome == TARN_WRITE_UNKNOWN;
    } else if (event->kind == TARN_COORDINATOR_NOT_BEGUN && !event->is_id_spent) {
        witness_seen *s = seen_of(seen, id);
        if (s->fate == WITNESS_BEGUN) {
            seen->spare_id = id;
            s->fate = WITNESS_NONE;
        }
    }
}

static void hear(witness *seen, const tarn_coordinator_effect *effect)
{
    if (!effect->is_periodic) {
        CHECK(effect->request_id < seen->request_count);
        CHECK(!seen->heard[effect->request_id]);
        seen->heard[effect->request_id] = true;
    }
}

static void begin(witness *seen, const tarn_coordinator_effect *effect)
{
    const uint64_t id = effect->checkpoint_id;
    CHECK(id > seen->highest_id || id == seen->spare_id);
    seen->highest_id = id > seen->highest_id ? id : seen->highest_id;
    seen->spare_id = 0;
    *seen_of(seen, id) = (witness_seen){
        .fate = WITNESS_BEGUN, .is_savepoint = tarn__kind_is_savepoint(effect->checkpoint_kind)};
}

static void end(witness *seen, const tarn_coordinator_effect *effect, witness_fate how)
{
    witness_seen *s = seen_of(seen, effect->checkpoint_id);
    CHECK(s->fate == WITNESS_BEGUN);
    CHECK((how == WITNESS_COMPLETED) == s->is_durable);
    s->fate = how;
    hear(seen, effect);
}

static void notify(witness *seen, const tarn_coordinator_effect *effect, witness_fate how)
{
    witness_seen *s = seen_of(seen, effect->checkpoint_id);
    CHECK(s->fate == how && !s->was_notified);
    s->was_notified = true;
}

static void discard(witness *seen, const tarn_coordinator_effect *effect)
{
    witness_seen *s = seen_of(seen, effect->checkpoint_id);
    CHECK(!s->is_discarded && !s->is_doubtful);
    CHECK(s->fate == WITNESS_ABORTED || (s->fate == WITNESS_COMPLETED && !s->is_savepoint));
    s->is_discarded = true;
}

void witness_note_effect(witness *seen, const tarn_coordinator_effect *effect)
{
    switch (effect->kind) {
    case TARN_EFFECT_BEGIN:
        begin(seen, effect);
        break;
    case TARN_EFFECT_COMPLETED:
        end(seen, effect, WITNESS_COMPLETED);
        break;
    case TARN_EFFECT_NOTIFY_COMPLETE:
        notify(seen, effect, WITNESS_COMPLETED);
        break;
    case TARN_EFFECT_ABORTED:
        end(seen, effect, WITNESS_ABORTED);
        break;
    case TARN_EFFECT_NOTIFY_ABORTED:
        notify(seen, effect, WITNESS_ABORTED);
        break;
    case TARN_EFFECT_REJECTED:
        hear(seen, effect);
        break;
    case TARN_EFFECT_DISCARD:
        discard(seen, effect);
        break;
    case TARN_EFFECT_TRIGGER:
        CHECK(effect->task_count > 0);
        break;
    case TARN_EFFECT_WRITE:
    case TARN_EFFECT_SUBSUMED:
    case TARN_EFFECT_DISCARD_STATE:
    case TARN_EFFECT_FAIL_JOB:
        break;
    }
}

static void check_pending(
    witness *seen, const tarn_coordinator *coordinator, const tarn_coordinator_options *options)
{
    uint64_t ids[PENDING_MAX];
    const uint32_t count = tarn_coordinator_list_pending(coordinator, ids, NULL, PENDING_MAX);
    uint32_t ordinary = 0;
    CHECK(count <= options->pending_max);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(seen_of(seen, ids[i])->fate == WITNESS_BEGUN);
        ordinary += seen_of(seen, ids[i])->is_savepoint ? 0 : 1;
    }
    CHECK(ordinary <= options->max_concurrent);
}

void witness_check(
    witness *seen, const tarn_coordinator *coordinator, const tarn_coordinator_options *options)
{
    uint64_t ids[STORED_MAX];
    CHECK(tarn__coordinator_is_valid(coordinator));
    check_pending(seen, coordinator, options);
    const uint32_t count = tarn_coordinator_list_stored(coordinator, ids, STORED_MAX);
    CHECK(count <= options->retained_count);
    for (uint32_t i = 0; i < count; i++) {
        const witness_seen *s = seen_of(seen, ids[i]);
        CHECK(s->fate == WITNESS_COMPLETED && s->is_durable && !s->is_discarded);
    }
}

static void check_garbage(witness *seen, const tarn_coordinator *coordinator)
{
    uint64_t ids[STORED_MAX];
    const uint32_t count = tarn_coordinator_list_stored(coordinator, ids, STORED_MAX);
    for (uint64_t id = 1; id <= seen->highest_id; id++) {
        const witness_seen *s = &seen->seen[id];
        bool is_kept = s->fate == WITNESS_COMPLETED && s->is_savepoint;
        for (uint32_t i = 0; i < count; i++) {
            is_kept = is_kept || ids[i] == id;
        }
        CHECK(s->fate != WITNESS_BEGUN);
        CHECK(!s->has_place || is_kept != (s->is_discarded || s->is_doubtful));
        CHECK(s->fate != WITNESS_ABORTED || s->was_notified);
    }
}

void witness_check_rest(witness *seen, const tarn_coordinator *coordinator, bool is_shut_down)
{
    tarn_coordinator_figures figures;
    tarn_coordinator_read_figures(coordinator, &figures);
    CHECK(figures.pending_count == 0 && figures.queued_count == 0 && figures.cleaning_count == 0);
    CHECK(!is_shut_down || figures.stored_count == 0);
    for (uint64_t i = 0; i < seen->request_count; i++) {
        CHECK(seen->heard[i]);
    }
    check_garbage(seen, coordinator);
}
