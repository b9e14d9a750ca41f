/*
 * Simulation of checkpoint/coordinator.c: random jobs over virtual time. Tasks acknowledge late,
 * twice or never, decline, fail, finish and come back; storage is slow and fails; people ask for
 * savepoints, stop and start. After every step the world must be one in which no checkpoint lies.
 *
 * TARN_SEED=n replays one seed; TARN_LONG=1 runs many.
 */
#include "support/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "checkpoint/coordinator.h"
#include "sim/sim_witness.h"

enum {
    SEEDS = 6000,
    SEEDS_LONG = 200000,
    EVENTS = 600, /* Of one seed. */
    TASKS_MAX = 6,
    MAIL_MAX = 8192,
    REST_EVENTS_MAX = 10000,
};

typedef struct world {
    uint64_t seed;
    tarn__random random;
    tarn_coordinator *coordinator;
    tarn_coordinator_options options;
    uint32_t task_count;
    uint32_t attempts[TASKS_MAX];
    tarn_task_state states[TASKS_MAX];
    uint64_t now_ms;
    witness witness;
    char label[64];
    tarn_coordinator_event mail[MAIL_MAX]; /* On its way; now_ms is when it arrives. */
    size_t mail_count;
    bool is_over; /* Nothing fails any more, so that the world can come to rest. */
} world;

static world w;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail_msg("TARN_SEED=%" PRIu64 " at %" PRIu64 " ms: %s", w.seed, w.now_ms, #condition); \
        }                                                                                          \
    } while (0)

static uint64_t below(uint64_t bound)
{
    return tarn__random_below(&w.random, bound);
}

static bool chance(uint32_t percent)
{
    return !w.is_over && below(100) < percent;
}

static void post(tarn_coordinator_event event, uint64_t delay_ms)
{
    CHECK(w.mail_count < MAIL_MAX);
    event.now_ms = w.now_ms + delay_ms;
    w.mail[w.mail_count++] = event;
}

/* What the world does about effects */

static void begin(const tarn_coordinator_effect *effect)
{
    const uint64_t id = effect->checkpoint_id;
    tarn_coordinator_event event = {
        .kind = TARN_COORDINATOR_BEGUN, .checkpoint_id = id, .is_id_spent = true};
    if (chance(5)) {
        event.kind = TARN_COORDINATOR_NOT_BEGUN;
        event.is_id_spent = chance(50);
    }
    post(event, chance(50) ? 0 : below(60));
}

static void take_snapshot(uint64_t id, uint32_t task)
{
    const uint64_t delay_ms = below(chance(5) ? 500 : 40);
    tarn_coordinator_event event = {
        .kind = TARN_COORDINATOR_ACK,
        .checkpoint_id = id,
        .task = task,
        .attempt = w.attempts[task],
    };
    if (chance(3)) {
        return; /* Lost. */
    }
    if (chance(4)) {
        event.kind = TARN_COORDINATOR_DECLINE;
        event.reason = (tarn_checkpoint_failure)below(TARN_CHECKPOINT_FAILURE_COUNT);
    }
    post(event, delay_ms);
    if (chance(5)) {
        post(event, delay_ms + below(100));
    }
}

static void trigger(const tarn_coordinator_effect *effect)
{
    for (uint32_t task = 0; task < w.task_count; task++) {
        if (w.states[task] == TARN_TASK_RUNNING) {
            take_snapshot(effect->checkpoint_id, task);
        }
    }
    if (chance(2)) {
        post(
            (tarn_coordinator_event){
                .kind = TARN_COORDINATOR_NOT_TRIGGERED, .checkpoint_id = effect->checkpoint_id},
            0);
    }
}

static void write_metadata(const tarn_coordinator_effect *effect)
{
    tarn_coordinator_event event = {
        .kind = TARN_COORDINATOR_WRITTEN, .checkpoint_id = effect->checkpoint_id};
    if (chance(8)) {
        event.write_outcome = (tarn_write_outcome)below(4);
    }
    post(event, below(chance(10) ? 400 : 30));
}

static void discard(const tarn_coordinator_effect *effect)
{
    if (effect->is_awaited) {
        post(
            (tarn_coordinator_event){
                .kind = TARN_COORDINATOR_DISCARDED, .checkpoint_id = effect->checkpoint_id},
            below(chance(20) ? 300 : 20));
    }
}

static void perform(const tarn_coordinator_effect *effect)
{
    witness_note_effect(&w.witness, effect);
    switch (effect->kind) {
    case TARN_EFFECT_BEGIN:
        begin(effect);
        break;
    case TARN_EFFECT_TRIGGER:
        trigger(effect);
        break;
    case TARN_EFFECT_WRITE:
        write_metadata(effect);
        break;
    case TARN_EFFECT_DISCARD:
        discard(effect);
        break;
    case TARN_EFFECT_COMPLETED:
    case TARN_EFFECT_NOTIFY_COMPLETE:
    case TARN_EFFECT_ABORTED:
    case TARN_EFFECT_NOTIFY_ABORTED:
    case TARN_EFFECT_REJECTED:
    case TARN_EFFECT_SUBSUMED:
    case TARN_EFFECT_DISCARD_STATE:
    case TARN_EFFECT_FAIL_JOB:
        break;
    }
}

static tarn_coordinator_effects step(tarn_coordinator_event event)
{
    event.now_ms = w.now_ms;
    witness_note_event(&w.witness, &event);
    const tarn_coordinator_effects effects = tarn_coordinator_step(w.coordinator, &event);
    for (uint32_t i = 0; i < effects.count; i++) {
        perform(&effects.items[i]);
    }
    witness_check(&w.witness, w.coordinator, &w.options);
    return effects;
}

/* Steps until nothing is due now. */
static void settle(void)
{
    while (tarn_coordinator_next_ms(w.coordinator) <= w.now_ms) {
        step((tarn_coordinator_event){.kind = TARN_COORDINATOR_TICK});
    }
}

/* Events from outside */

/* An event about a checkpoint that never was. With nothing else due, it must change nothing. */
static void disturb(void)
{
    static const tarn_coordinator_event_kind kinds[] = {
        TARN_COORDINATOR_BEGUN,
        TARN_COORDINATOR_NOT_BEGUN,
        TARN_COORDINATOR_NOT_TRIGGERED,
        TARN_COORDINATOR_ACK,
        TARN_COORDINATOR_DECLINE,
        TARN_COORDINATOR_WRITTEN,
        TARN_COORDINATOR_DISCARDED,
    };
    tarn_coordinator_figures before;
    tarn_coordinator_figures after;
    settle();
    tarn_coordinator_read_figures(w.coordinator, &before);
    const tarn_coordinator_event event = {
        .kind = kinds[below(sizeof kinds / sizeof kinds[0])],
        .checkpoint_id = WITNESS_IDS_MAX + below(100),
        .task = (uint32_t)below(TASKS_MAX + 2),
        .now_ms = w.now_ms,
        .is_id_spent = true,
    };
    const tarn_coordinator_effects effects = tarn_coordinator_step(w.coordinator, &event);
    CHECK(effects.count == (event.kind == TARN_COORDINATOR_ACK ? 1 : 0));
    CHECK(effects.count == 0 || effects.items[0].kind == TARN_EFFECT_DISCARD_STATE);
    CHECK(effects.verdict == TARN_VERDICT_UNKNOWN);
    tarn_coordinator_read_figures(w.coordinator, &after);
    CHECK(after.unknown_count == before.unknown_count + 1);
    after.unknown_count = before.unknown_count;
    CHECK(memcmp(&before, &after, sizeof before) == 0);
}

static void request(void)
{
    if (w.witness.request_count < WITNESS_IDS_MAX) {
        step((tarn_coordinator_event){
            .kind = TARN_COORDINATOR_REQUEST,
            .kind_wanted = (tarn_checkpoint_kind)below(5),
            .request_id = w.witness.request_count++,
        });
    }
}

static void change_task(void)
{
    const uint32_t task = (uint32_t)below(w.task_count);
    const uint64_t what = below(8);
    tarn_coordinator_event event = {.kind = TARN_COORDINATOR_TASK_STATE, .task = task};
    if (what == 0) {
        step((tarn_coordinator_event){.kind = TARN_COORDINATOR_TASK_FAILED, .task = task});
    } else if (what == 1) {
        step((tarn_coordinator_event){.kind = TARN_COORDINATOR_JOB_FAILOVER});
    }
    if (what <= 4) {
        event.kind = TARN_COORDINATOR_TASK_RESTARTED;
        event.attempt = ++w.attempts[task];
        w.states[task] = TARN_TASK_RUNNING;
    } else {
        w.states[task] = what == 7 ? TARN_TASK_FINISHED : TARN_TASK_NOT_RUNNING;
        event.task_state = w.states[task];
    }
    step(event);
}

static void start(void)
{
    step((tarn_coordinator_event){
        .kind = TARN_COORDINATOR_START,
        .delay_ms = tarn_coordinator_initial_delay(w.coordinator, tarn__random_next(&w.random)),
    });
}

static void act(void)
{
    const uint64_t what = below(100);
    if (what < 20) {
        request();
    } else if (what < 26) {
        change_task();
    } else if (what < 40) {
        disturb();
    } else if (what < 42) {
        step((tarn_coordinator_event){.kind = TARN_COORDINATOR_STOP});
    } else if (what < 47) {
        start();
    } else if (what < 50) {
        step((tarn_coordinator_event){.kind = TARN_COORDINATOR_BACKLOG, .is_on = chance(50)});
    }
}

/* Time */

static size_t next_mail(void)
{
    size_t best = 0;
    for (size_t i = 1; i < w.mail_count; i++) {
        if (w.mail[i].now_ms < w.mail[best].now_ms) {
            best = i;
        }
    }
    return best;
}

static void deliver(size_t position)
{
    const tarn_coordinator_event event = w.mail[position];
    memmove(
        w.mail + position, w.mail + position + 1, (w.mail_count - position - 1) * sizeof w.mail[0]);
    w.mail_count--;
    settle(); /* So that the answer means to the world what it means to the coordinator. */
    step(event);
}

/* Goes to the next thing that happens, whichever comes first; false: nothing will. */
static bool advance(uint64_t patience_ms)
{
    const uint64_t due_ms = tarn_coordinator_next_ms(w.coordinator);
    const size_t mail = next_mail();
    const uint64_t mail_ms = w.mail_count > 0 ? w.mail[mail].now_ms : TARN_COORDINATOR_NEVER;
    const uint64_t act_ms = w.is_over ? TARN_COORDINATOR_NEVER : w.now_ms + patience_ms;
    uint64_t next_ms = due_ms < mail_ms ? due_ms : mail_ms;
    next_ms = next_ms < act_ms ? next_ms : act_ms;
    if (next_ms == TARN_COORDINATOR_NEVER) {
        return false;
    }
    w.now_ms = next_ms > w.now_ms ? next_ms : w.now_ms;
    w.now_ms += chance(3) ? below(200) : 0; /* The clock is late. */
    if (mail_ms <= due_ms && mail_ms <= act_ms) {
        deliver(mail);
    } else if (due_ms <= act_ms) {
        step((tarn_coordinator_event){.kind = TARN_COORDINATOR_TICK});
    } else {
        act();
    }
    return true;
}

/* Nothing may be left over once nobody wants anything any more. */
static void come_to_rest(bool is_shut_down)
{
    w.is_over = true;
    step((tarn_coordinator_event){.kind = TARN_COORDINATOR_BACKLOG, .is_on = false});
    step((tarn_coordinator_event){.kind = TARN_COORDINATOR_STOP});
    if (is_shut_down) {
        step((tarn_coordinator_event){
            .kind = TARN_COORDINATOR_SHUTDOWN, .job_end = TARN_JOB_FINISHED});
    }
    for (uint32_t i = 0; advance(0); i++) {
        CHECK(i < REST_EVENTS_MAX);
    }
    witness_check_rest(&w.witness, w.coordinator, is_shut_down);
}

static void configure(tarn_coordinator_options *o)
{
    o->interval_ms = chance(10) ? TARN_COORDINATOR_NEVER : 10 + below(200);
    o->backlog_interval_ms = chance(50) ? TARN_COORDINATOR_SAME : 10 + below(300);
    o->min_pause_ms = chance(50) ? 0 : below(150);
    o->timeout_ms = 10 + below(300);
    o->max_concurrent = 1 + (uint32_t)below(3);
    o->tolerable_failures = chance(20) ? TARN_COORDINATOR_UNLIMITED : (uint32_t)below(4);
    o->retained_count = 1 + (uint32_t)below(3);
    o->is_at_least_once = chance(20);
    o->is_unaligned = o->max_concurrent == 1 && chance(50);
    o->aligned_timeout_ms = chance(50) ? below(100) : 0;
    o->refuses_finished_tasks = chance(20);
    o->pending_max = o->max_concurrent + (uint32_t)below(6);
    o->queue_max = 1 + (uint32_t)below(20);
}

static void run_seed(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    w.seed = seed;
    w.random.state = seed;
    snprintf(w.label, sizeof w.label, "TARN_SEED=%" PRIu64, seed);
    w.witness.label = w.label;
    const uint32_t parallelism[] = {1 + (uint32_t)below(3), 1 + (uint32_t)below(3)};
    const tarn_coordinator_edge edge = {.from = 0, .to = 1, .is_pointwise = chance(50)};
    w.options = (tarn_coordinator_options)TARN_COORDINATOR_OPTIONS_INIT;
    w.options.parallelism = parallelism;
    w.options.operator_count = 2;
    w.options.edges = &edge;
    w.options.edge_count = 1;
    w.task_count = parallelism[0] + parallelism[1];
    configure(&w.options);
    fault_allocator memory;
    fault_allocator_init(&memory, FAULT_NEVER);
    w.options.allocator = &memory.base;
    tarn_error error;
    assert_ok(tarn_coordinator_open(&w.options, &w.coordinator, &error), &error);
    const uint64_t allocations = atomic_load(&memory.request_count);
    start();
    for (uint32_t i = 0; i < EVENTS && w.witness.highest_id < WITNESS_IDS_MAX - 64; i++) {
        advance(below(30));
    }
    come_to_rest(chance(30));
    CHECK(atomic_load(&memory.request_count) == allocations); /* Whatever happened. */
    tarn_coordinator_close(w.coordinator);
    CHECK(atomic_load(&memory.live_count) == 0);
}

static void test_no_schedule_makes_a_checkpoint_lie(void **state)
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
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_schedule_makes_a_checkpoint_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
