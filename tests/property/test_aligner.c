/*
 * Properties of checkpoint/aligner.c over random channels: data, barriers of several checkpoints,
 * cancellations and ends arrive and are processed in any order that blocking allows; some channels
 * pass over some checkpoints; one run has checkpoints of every alignment. What a checkpoint holds
 * must be exactly the data before its barriers (at least that, at least once), no channel may be
 * left waiting, and by a plain model of what ends a checkpoint (overtake()) all others complete.
 *
 * TARN_SEED=n replays one seed; TARN_LONG=1 runs many.
 */
#include "support/support.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "checkpoint/aligner.h"

enum {
    SEEDS = 40000,
    SEEDS_LONG = 4000000,
    CHANNELS_MAX = 5,
    IDS_MAX = 12,
    ITEMS_MAX = 512,
    STEPS_MAX = 20000,
};

/* No such position. */
static const uint32_t nowhere = UINT32_MAX;

typedef enum item_kind { ITEM_DATA, ITEM_BARRIER, ITEM_CANCEL, ITEM_END } item_kind;

typedef struct item {
    item_kind kind;
    uint64_t id;
} item;

typedef struct channel {
    item items[ITEMS_MAX];
    uint32_t count; /* Arrived. */
    uint32_t next;  /* To be processed. */
    uint32_t data_arrived;
    uint32_t data_processed;
    uint64_t next_id;         /* Of its next barrier. */
    uint32_t before[IDS_MAX]; /* Data before a barrier that has come; or nowhere. */
    uint32_t kept_from;       /* Data that is being kept; or nowhere. */
    uint32_t kept_to;         /* nowhere: still open. */
    bool is_blocked;
    bool is_ended;
} channel;

/* What became of a checkpoint. */
typedef struct outcome {
    tarn_alignment alignment;
    bool has_snapshot;
    bool is_complete;
    bool is_abandoned;
    bool is_disturbed; /* Cancelled or given up: it need not complete. */
    bool is_given_up;  /* By the coordinator. */
    bool is_overtaken; /* A newer one ends it. */
    bool is_skipped;   /* A newer one may: a channel has that one's barrier and not its own. */
    bool is_passed;    /* A newer one was given up first, and a barrier of that has come. */
    bool is_kept;      /* What channels keep is of it. */
    uint32_t processed[CHANNELS_MAX]; /* Data in the state at the snapshot. */
} outcome;

typedef struct world {
    uint64_t seed;
    tarn__random random;
    tarn__account account;
    tarn_aligner aligner;
    bool is_at_least_once;
    uint64_t now_ms;
    uint32_t channel_count;
    uint64_t id_count;
    uint64_t latest_snapshot_id;
    bool is_mixed;
    uint32_t skip_percent;
    tarn_barrier_kind event; /* That is being told. */
    channel channels[CHANNELS_MAX];
    outcome outcomes[IDS_MAX];
} world;

/* What has happened in all runs together. */
typedef struct coverage {
    uint64_t mixed_switched_count;
    uint64_t mixed_unaligned_count;
    uint64_t aligned_count; /* Completed in mixed runs. */
    uint64_t overtaken_count;
    uint64_t passed_count; /* Completed although a newer one had been given up. */
    uint64_t ended_count;  /* Completed by the end of a channel. */
    uint64_t skipped_count;
} coverage;

static world w;
static coverage seen;

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fail_msg("TARN_SEED=%" PRIu64 ": %s (line %d)", w.seed, #condition, __LINE__); \
        }                                                                                  \
    } while (0)

static uint64_t below(uint64_t bound)
{
    return tarn__random_below(&w.random, bound);
}

static bool chance(uint32_t percent)
{
    return below(100) < percent;
}

/* Effects */

static void keep(const tarn_alignment_effect *effect)
{
    channel *c = &w.channels[effect->channel];
    CHECK(!c->is_ended && !w.outcomes[effect->checkpoint_id].has_snapshot);
    const uint32_t before = c->before[effect->checkpoint_id];
    CHECK(effect->is_open == (before == nowhere));
    w.outcomes[effect->checkpoint_id].is_kept = true;
    c->kept_from = c->data_processed;
    c->kept_to = effect->is_open ? nowhere : before;
}

/* What is kept of a channel ends at its barrier, or with the channel. */
static void kept(const tarn_alignment_effect *effect)
{
    channel *c = &w.channels[effect->channel];
    const uint32_t before = c->before[effect->checkpoint_id];
    CHECK(c->kept_from != nowhere);
    if (c->kept_to == nowhere) {
        CHECK(before != nowhere || c->items[c->count - 1].kind == ITEM_END);
        c->kept_to = before != nowhere ? before : c->data_arrived;
    }
}

static void take_snapshot(const tarn_alignment_effect *effect)
{
    outcome *o = &w.outcomes[effect->checkpoint_id];
    CHECK(!o->has_snapshot && !o->is_complete && !o->is_abandoned);
    CHECK(effect->checkpoint_id > w.latest_snapshot_id);
    CHECK(!effect->is_unaligned || o->alignment != TARN_ALIGNMENT_ALIGNED);
    w.latest_snapshot_id = effect->checkpoint_id;
    seen.mixed_unaligned_count += w.is_mixed && effect->is_unaligned ? 1 : 0;
    o->has_snapshot = true;
    for (uint32_t i = 0; i < w.channel_count; i++) {
        o->processed[i] = w.channels[i].data_processed;
    }
}

/* The heart: state at the snapshot and kept data are the data before the barrier. */
static void check_contents(uint64_t id)
{
    for (uint32_t i = 0; i < w.channel_count; i++) {
        const channel *c = &w.channels[i];
        const uint32_t processed = w.outcomes[id].processed[i];
        const uint32_t before = c->before[id];
        if (before == nowhere) {
            CHECK(c->is_ended);
        } else if (w.is_at_least_once) {
            CHECK(processed >= before);
        } else if (processed < before) {
            CHECK(c->kept_from == processed && c->kept_to == before);
        } else {
            CHECK(processed == before);
        }
    }
}

static void forget_kept(void)
{
    for (uint32_t i = 0; i < w.channel_count; i++) {
        w.channels[i].kept_from = nowhere;
        w.channels[i].kept_to = nowhere;
    }
}

/* The model: what ends those older than a checkpoint, as far as they are not complete. */
static void overtake(uint64_t id)
{
    for (uint64_t older = 1; older < id; older++) {
        w.outcomes[older].is_overtaken |= !w.outcomes[older].is_complete;
    }
}

/* A barrier that counts ends them; one that was given up only those that its channel has not. */
static void note_barrier(tarn_barrier_kind kind, uint32_t position, uint64_t id)
{
    const bool is_in_turn = kind == TARN_BARRIER_REACHED || kind == TARN_BARRIER_CANCELLED;
    const outcome *o = &w.outcomes[id];
    if (w.is_at_least_once) {
        return; /* There a newer one has to come everywhere. */
    }
    if (!o->is_given_up && (is_in_turn || o->alignment != TARN_ALIGNMENT_ALIGNED)) {
        overtake(id);
    }
    for (uint64_t older = 1; o->is_given_up && is_in_turn && older < id; older++) {
        outcome *passed = &w.outcomes[older];
        passed->is_skipped |= w.channels[position].before[older] == nowhere;
        passed->is_passed = true;
    }
}

static void complete(uint64_t id)
{
    outcome *o = &w.outcomes[id];
    CHECK(!o->is_overtaken);
    seen.passed_count += o->is_passed ? 1 : 0;
    seen.ended_count += w.event == TARN_BARRIER_ENDED ? 1 : 0;
    seen.aligned_count += w.is_mixed && o->alignment == TARN_ALIGNMENT_ALIGNED ? 1 : 0;
    CHECK(o->has_snapshot && !o->is_complete && !o->is_abandoned);
    o->is_complete = true;
    check_contents(id);
    forget_kept();
}

/* At least once: whether a newer one has come everywhere, be it given up. */
static bool has_newer_everywhere(uint64_t id)
{
    for (uint64_t newer = id + 1; newer <= w.id_count; newer++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < w.channel_count; i++) {
            const channel *c = &w.channels[i];
            count += c->before[newer] != nowhere || c->is_ended ? 1 : 0;
        }
        if (count == w.channel_count) {
            return true;
        }
    }
    return false;
}

static void abandon(const tarn_alignment_effect *effect)
{
    outcome *o = &w.outcomes[effect->checkpoint_id];
    if (effect->reason == TARN_FAILURE_CHECKPOINT_DECLINED_SUBSUMED) {
        o->is_overtaken |= w.is_at_least_once && has_newer_everywhere(effect->checkpoint_id);
        CHECK(o->is_overtaken || o->is_skipped);
        seen.overtaken_count++;
    } else {
        CHECK(o->is_disturbed && effect->is_known == (w.event == TARN_BARRIER_GIVE_UP));
    }
    CHECK(!o->is_complete && !o->is_abandoned);
    o->is_abandoned = true;
    if (o->is_kept) {
        forget_kept();
    }
}

static void perform(const tarn_alignment_effect *effect)
{
    channel *c = &w.channels[effect->channel];
    switch (effect->kind) {
    case TARN_ALIGN_BLOCK:
        CHECK(!c->is_blocked && !w.is_at_least_once);
        c->is_blocked = true;
        break;
    case TARN_ALIGN_UNBLOCK:
        CHECK(c->is_blocked);
        c->is_blocked = false;
        break;
    case TARN_ALIGN_KEEP:
        keep(effect);
        break;
    case TARN_ALIGN_KEPT:
        kept(effect);
        break;
    case TARN_ALIGN_SNAPSHOT:
        take_snapshot(effect);
        break;
    case TARN_ALIGN_COMPLETE:
        complete(effect->checkpoint_id);
        break;
    case TARN_ALIGN_ABANDONED:
        abandon(effect);
        break;
    }
}

static void step(tarn_barrier event)
{
    event.now_ms = w.now_ms;
    w.event = event.kind;
    const tarn_alignment_effects effects = tarn_aligner_step(&w.aligner, &event);
    for (uint32_t i = 0; i < effects.count; i++) {
        perform(&effects.items[i]);
    }
    CHECK(tarn__aligner_is_valid(&w.aligner));
    CHECK(tarn_aligner_next_ms(&w.aligner) > w.now_ms);
}

/* Channels */

static tarn_barrier barrier_of(tarn_barrier_kind kind, uint32_t position, uint64_t id)
{
    note_barrier(kind, position, id);
    return (tarn_barrier){
        .kind = kind,
        .channel = position,
        .checkpoint_id = id,
        .alignment = w.outcomes[id].alignment,
        .timeout_ms = 20,
    };
}

static void append(channel *c, item_kind kind, uint64_t id)
{
    CHECK(c->count < ITEMS_MAX);
    c->items[c->count++] = (item){.kind = kind, .id = id};
}

/* Lets something come into a channel: every checkpoint is announced or cancelled, in order. */
static void arrive(uint32_t position)
{
    channel *c = &w.channels[position];
    const bool has_end = c->count > 0 && c->items[c->count - 1].kind == ITEM_END;
    if (has_end) {
        return;
    }
    if (c->next_id < w.id_count && chance(w.skip_percent)) {
        c->next_id++; /* A source that was busy with the one before. */
        seen.skipped_count++;
    }
    if (c->next_id <= w.id_count && chance(30)) {
        const uint64_t id = c->next_id++;
        if (chance(4)) {
            w.outcomes[id].is_disturbed = true;
            append(c, ITEM_CANCEL, id);
        } else {
            c->before[id] = c->data_arrived;
            append(c, ITEM_BARRIER, id);
            step(barrier_of(TARN_BARRIER_ARRIVED, position, id));
        }
    } else if (c->next_id > w.id_count || chance(1)) {
        append(c, ITEM_END, 0);
    } else {
        append(c, ITEM_DATA, 0);
        c->data_arrived++;
    }
}

static bool can_process(const channel *c)
{
    return !c->is_blocked && c->next < c->count;
}

static void process(uint32_t position)
{
    channel *c = &w.channels[position];
    if (!can_process(c)) {
        return;
    }
    const item next = c->items[c->next++];
    switch (next.kind) {
    case ITEM_DATA:
        c->data_processed++;
        break;
    case ITEM_BARRIER:
        step(barrier_of(TARN_BARRIER_REACHED, position, next.id));
        break;
    case ITEM_CANCEL:
        step(barrier_of(TARN_BARRIER_CANCELLED, position, next.id));
        break;
    case ITEM_END:
        c->is_ended = true;
        step(barrier_of(TARN_BARRIER_ENDED, position, 0));
        break;
    }
}

static bool is_drained(void)
{
    for (uint32_t i = 0; i < w.channel_count; i++) {
        if (!w.channels[i].is_ended) {
            return false;
        }
    }
    return true;
}

/* A host may lose patience with any checkpoint, known or not. */
static void give_up(void)
{
    const uint64_t id = 1 + below(w.id_count);
    outcome *o = &w.outcomes[id];
    o->is_disturbed = o->is_disturbed || !o->is_complete;
    o->is_given_up = true;
    step(barrier_of(TARN_BARRIER_GIVE_UP, 0, id));
}

static void set_up(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    w.seed = seed;
    w.random.state = seed;
    w.is_at_least_once = chance(25);
    w.channel_count = 1 + (uint32_t)below(CHANNELS_MAX);
    w.id_count = 1 + below(IDS_MAX - 1);
    w.is_mixed = chance(50);
    w.skip_percent = chance(30) ? 2 : 0;
    const tarn_alignment alignment = (tarn_alignment)below(3);
    for (uint64_t id = 1; id <= w.id_count; id++) {
        w.outcomes[id].alignment = w.is_mixed ? (tarn_alignment)below(4) : alignment;
    }
    for (uint32_t i = 0; i < w.channel_count; i++) {
        w.channels[i].next_id = 1;
        memset(w.channels[i].before, 0xff, sizeof w.channels[i].before);
    }
    forget_kept();
    tarn__account_init(&w.account, "tests/aligner", NULL);
    tarn_error error;
    assert_ok(
        tarn__aligner_init(&w.aligner, w.channel_count, w.is_at_least_once, &w.account, &error),
        &error);
}

static bool has_come(uint64_t id)
{
    for (uint32_t i = 0; i < w.channel_count; i++) {
        if (w.channels[i].before[id] != nowhere) {
            return true;
        }
    }
    return false;
}

/* Checkpoints that came, that nobody gave up and that no newer one ended are complete. */
static void check_completion(void)
{
    for (uint64_t id = 1; id <= w.id_count; id++) {
        const outcome *o = &w.outcomes[id];
        CHECK(
            !has_come(id) || o->is_disturbed || o->is_overtaken || o->is_skipped || o->is_complete);
        CHECK(has_come(id) || !o->has_snapshot);
    }
}

static void run_seed(uint64_t seed)
{
    set_up(seed);
    const uint32_t impatience = chance(30) ? 2 : 0;
    for (uint32_t i = 0; !is_drained(); i++) {
        CHECK(i < STEPS_MAX);
        w.now_ms += below(3);
        step((tarn_barrier){.kind = TARN_BARRIER_TICK});
        const uint32_t position = (uint32_t)below(w.channel_count);
        if (chance(impatience)) {
            give_up();
        } else if (chance(45)) {
            arrive(position);
        } else {
            process(position);
        }
    }
    for (uint64_t id = 1; id <= w.id_count; id++) {
        const outcome *o = &w.outcomes[id];
        CHECK(!o->has_snapshot || o->is_complete || o->is_abandoned);
    }
    check_completion();
    seen.mixed_switched_count += w.is_mixed ? w.aligner.figures.switched_count : 0;
    tarn__aligner_clear(&w.aligner);
    assert_int_equal(w.account.block_count, 0);
}

static void test_a_checkpoint_holds_the_data_before_its_barriers(void **state)
{
    (void)state;
    const char *seed = getenv("TARN_SEED");
    const char *is_long = getenv("TARN_LONG");
    if (seed != NULL) {
        run_seed(strtoull(seed, NULL, 10));
        return;
    }
    const uint64_t count = is_long != NULL && strcmp(is_long, "1") == 0 ? SEEDS_LONG : SEEDS;
    print_message("seeds 1 .. %" PRIu64 "\n", count);
    for (uint64_t i = 1; i <= count; i++) {
        run_seed(i);
    }
    assert_true(seen.mixed_switched_count > count / 100);
    assert_true(seen.mixed_unaligned_count > count / 100);
    assert_true(seen.aligned_count > count / 100);
    assert_true(seen.overtaken_count > count / 100);
    assert_true(seen.passed_count > count / 1000);
    assert_true(seen.ended_count > count / 100);
    assert_true(seen.skipped_count > count / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_checkpoint_holds_the_data_before_its_barriers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
