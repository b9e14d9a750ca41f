/*
 * Every schedule of a small world: what tests/sim/test_coordinator.c draws by chance is tried here
 * in all ways, up to a number of steps. One source and one task behind it; whatever can happen next
 * is a choice: an answer of the storage or of a task, good or bad, a request, a failover, the end.
 *
 *     state ── each choice ──► state ── ... after each: nobody was lied to, and if all that is
 *                                       under way is answered now, nothing is left over
 *
 * A state that was met before, with as many steps left, is not looked at again. States are reached
 * by replaying their choices, so that the coordinator need not be copied.
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
    STEPS_SHORT = 7,
    STEPS_LONG = 10,
    STEPS_MAX = 16,
    TASKS = 2,
    DUE_MAX = 64,
    CHOICES_MAX = 192,
    REQUESTS_MAX = 3,
    REST_STEPS_MAX = 200,
    KNOWN_SLOTS = 1 << 22, /* Of states; a full table forgets, and looks again. */
};

typedef tarn_coordinator_event event;

/* Something that the world owes an answer to. */
typedef struct due {
    tarn_coordinator_effect_kind kind; /* BEGIN, TRIGGER (a task's snapshot), WRITE, DISCARD. */
    uint64_t id;
    uint32_t task;
    bool is_repeated; /* An acknowledgement that was given once already. */
} due;

typedef struct world {
    tarn_coordinator *coordinator;
    tarn_coordinator_options options;
    witness witness;
    char label[256];
    uint64_t now_ms;
    due due[DUE_MAX];
    uint32_t due_count;
    uint32_t failover_count;
    bool is_shut_down;
} world;

static world w;
static uint64_t known[KNOWN_SLOTS];
static uint64_t state_count;
static uint64_t step_count;

/* --- The world --- */

static void owe(tarn_coordinator_effect_kind kind, uint64_t id, uint32_t task)
{
    assert_in_range(w.due_count, 0, DUE_MAX - 1);
    w.due[w.due_count++] = (due){.kind = kind, .id = id, .task = task};
}

static void perform(const tarn_coordinator_effect *effect)
{
    const uint64_t id = effect->checkpoint_id;
    witness_note_effect(&w.witness, effect);
    if (effect->kind == TARN_EFFECT_BEGIN || effect->kind == TARN_EFFECT_WRITE) {
        owe(effect->kind, id, 0);
    } else if (effect->kind == TARN_EFFECT_DISCARD && effect->is_awaited) {
        owe(effect->kind, id, 0);
    } else if (effect->kind == TARN_EFFECT_TRIGGER) {
        for (uint32_t task = 0; task < TASKS; task++) {
            owe(effect->kind, id, task);
        }
    }
}

static void step(event e)
{
    e.now_ms = w.now_ms;
    witness_note_event(&w.witness, &e);
    const tarn_coordinator_effects effects = tarn_coordinator_step(w.coordinator, &e);
    for (uint32_t i = 0; i < effects.count; i++) {
        perform(&effects.items[i]);
    }
    witness_check(&w.witness, w.coordinator, &w.options);
    step_count++;
}

/* What is due at this moment comes before what happens next. */
static void settle(void)
{
    while (tarn_coordinator_next_ms(w.coordinator) <= w.now_ms) {
        step((event){.kind = TARN_COORDINATOR_TICK});
    }
}

static void take_due(uint32_t i)
{
    w.due_count--;
    memmove(w.due + i, w.due + i + 1, (w.due_count - i) * sizeof w.due[0]);
}

/* --- Choices --- */

typedef struct choice {
    event event;
    uint32_t due;     /* The one that it answers; DUE_MAX: none. */
    bool is_deadline; /* Time passes until something is due. */
} choice;

typedef struct choices {
    choice items[CHOICES_MAX];
    uint32_t count;
} choices;

static void add(choices *c, uint32_t which, event e)
{
    assert_in_range(c->count, 0, CHOICES_MAX - 1);
    c->items[c->count++] = (choice){.event = e, .due = which};
}

static void add_answers(choices *c, uint32_t which)
{
    const due *d = &w.due[which];
    switch (d->kind) {
    case TARN_EFFECT_BEGIN:
        add(c, which, (event){.kind = TARN_COORDINATOR_BEGUN, .checkpoint_id = d->id});
        add(c, which, (event){.kind = TARN_COORDINATOR_NOT_BEGUN, .checkpoint_id = d->id});
        add(c,
            which,
            (event){
                .kind = TARN_COORDINATOR_NOT_BEGUN, .checkpoint_id = d->id, .is_id_spent = true});
        break;
    case TARN_EFFECT_TRIGGER:
        add(c,
            which,
            (event){.kind = TARN_COORDINATOR_ACK, .checkpoint_id = d->id, .task = d->task});
        if (!d->is_repeated) {
            add(c,
                which,
                (event){
                    .kind = TARN_COORDINATOR_DECLINE,
                    .checkpoint_id = d->id,
                    .task = d->task,
                    .reason = TARN_FAILURE_CHECKPOINT_DECLINED,
                });
        }
        break;
    case TARN_EFFECT_WRITE:
        for (int outcome = TARN_WRITE_DURABLE; outcome <= TARN_WRITE_UNKNOWN; outcome++) {
            add(c,
                which,
                (event){
                    .kind = TARN_COORDINATOR_WRITTEN,
                    .checkpoint_id = d->id,
                    .write_outcome = (tarn_write_outcome)outcome,
                });
        }
        break;
    case TARN_EFFECT_DISCARD:
        add(c, which, (event){.kind = TARN_COORDINATOR_DISCARDED, .checkpoint_id = d->id});
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

static void list_choices(choices *c)
{
    static const tarn_checkpoint_kind kinds[] = {
        TARN_CHECKPOINT_INCREMENTAL,
        TARN_CHECKPOINT_SAVEPOINT,
        TARN_CHECKPOINT_SAVEPOINT_TERMINATE,
    };
    c->count = 0;
    for (uint32_t i = 0; i < w.due_count; i++) {
        add_answers(c, i);
    }
    for (uint32_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (w.witness.request_count < REQUESTS_MAX) {
            add(c,
                DUE_MAX,
                (event){
                    .kind = TARN_COORDINATOR_REQUEST,
                    .kind_wanted = kinds[i],
                    .request_id = w.witness.request_count,
                });
        }
    }
    if (w.failover_count == 0) {
        add(c, DUE_MAX, (event){.kind = TARN_COORDINATOR_JOB_FAILOVER});
    }
    if (!w.is_shut_down) {
        add(c, DUE_MAX, (event){.kind = TARN_COORDINATOR_SHUTDOWN, .job_end = TARN_JOB_FINISHED});
    }
    if (tarn_coordinator_next_ms(w.coordinator) != TARN_COORDINATOR_NEVER) {
        add(c, DUE_MAX, (event){.kind = TARN_COORDINATOR_TICK});
        c->items[c->count - 1].is_deadline = true;
    }
}

static void choose(const choice *chosen)
{
    if (chosen->due < DUE_MAX) {
        due *d = &w.due[chosen->due];
        const bool is_repeatable = chosen->event.kind == TARN_COORDINATOR_ACK && !d->is_repeated;
        d->is_repeated = true;
        if (!is_repeatable) {
            take_due(chosen->due);
        }
    }
    if (chosen->is_deadline) {
        w.now_ms = tarn_coordinator_next_ms(w.coordinator);
    }
    w.witness.request_count += chosen->event.kind == TARN_COORDINATOR_REQUEST ? 1 : 0;
    w.failover_count += chosen->event.kind == TARN_COORDINATOR_JOB_FAILOVER ? 1 : 0;
    w.is_shut_down = w.is_shut_down || chosen->event.kind == TARN_COORDINATOR_SHUTDOWN;
    step(chosen->event);
    settle();
}

/* --- A state --- */

static void open_world(const tarn_coordinator_options *options)
{
    memset(&w, 0, sizeof w);
    w.options = *options;
    w.witness.label = w.label;
    tarn_error error;
    assert_ok(tarn_coordinator_open(&w.options, &w.coordinator, &error), &error);
}

/* Choices by their numbers, from the beginning. */
static void replay(const tarn_coordinator_options *options, const uint8_t *path, uint32_t length)
{
    choices c;
    open_world(options);
    size_t size = 0;
    for (uint32_t i = 0; i < length; i++) {
        size += (size_t)snprintf(w.label + size, sizeof w.label - size, "%u ", path[i]);
    }
    for (uint32_t i = 0; i < length; i++) {
        list_choices(&c);
        choose(&c.items[path[i]]);
    }
}

static void mix(uint64_t *hash, uint64_t value)
{
    *hash = tarn__random_mix(*hash ^ value);
}

/* All that what follows hangs on. Times count from now; a coordinator's past is in its witness. */
static uint64_t fingerprint(uint32_t steps_left)
{
    const tarn_coordinator *c = w.coordinator;
    uint64_t hash = steps_left;
    for (uint64_t id = 1; id <= w.witness.highest_id; id++) {
        const witness_seen *s = &w.witness.seen[id];
        mix(&hash,
            (uint64_t)s->fate | (uint64_t)s->is_savepoint << 8 | (uint64_t)s->has_place << 9);
        mix(&hash, (uint64_t)s->is_durable | (uint64_t)s->is_doubtful << 1);
        mix(&hash, (uint64_t)s->was_notified | (uint64_t)s->is_discarded << 1);
    }
    for (uint32_t i = 0; i < w.due_count; i++) {
        mix(&hash, (uint64_t)w.due[i].kind << 8 | w.due[i].task);
        mix(&hash, w.due[i].id << 1 | (w.due[i].is_repeated ? 1 : 0));
    }
    for (uint64_t i = 0; i < w.witness.request_count; i++) {
        mix(&hash, w.witness.heard[i] ? 3 : 2);
    }
    for (uint32_t i = 0; i < c->pending_count; i++) {
        const tarn__pending *p = &c->slots[c->order[i]];
        mix(&hash, (uint64_t)p->phase << 32 | p->awaited_count);
        mix(&hash, p->id);
        mix(&hash, p->deadline_ms - w.now_ms);
        mix(&hash, (uint64_t)p->request.kind << 8 | p->request.request_id);
        mix(&hash, (uint64_t)p->members[0] << 8 | p->members[1]);
    }
    for (uint32_t i = 0; i < c->queue_count; i++) {
        mix(&hash, (uint64_t)c->queue[i].kind << 8 | c->queue[i].request_id);
    }
    for (uint32_t i = 0; i < c->cleaning_count; i++) {
        mix(&hash, c->cleaning[i].id << 1 | (c->cleaning[i].is_quiet ? 1 : 0));
    }
    mix(&hash, (uint64_t)c->starting_state << 32 | c->failures);
    mix(&hash, c->starting_id << 32 | c->next_id);
    mix(&hash, w.witness.spare_id << 8 | w.failover_count << 1 | (w.is_shut_down ? 1 : 0));
    mix(&hash, c->last_success_id << 8 | (c->is_end_deferred ? 1 : 0));
    uint64_t stored[4] = {0};
    const uint32_t count = tarn_coordinator_list_stored(c, stored, 4);
    mix(&hash, (uint64_t)count << 32 | stored[0]);
    return hash != 0 ? hash : 1;
}

/* Tells whether a state is new, and remembers it. */
static bool is_new(uint64_t hash)
{
    uint64_t *slot = &known[hash % KNOWN_SLOTS];
    const bool is_known = *slot == hash;
    *slot = hash;
    return !is_known;
}

/* If all that is under way goes well from here on, nothing is left over. */
static void check_rest(void)
{
    for (uint32_t i = 0; w.due_count > 0; i++) {
        choices c;
        assert_in_range(i, 0, REST_STEPS_MAX);
        c.count = 0;
        add_answers(&c, 0);
        choose(&c.items[0]);
    }
    /* Whoever is waited for was lost: time passes. */
    for (uint32_t i = 0;
         w.due_count > 0 || tarn_coordinator_next_ms(w.coordinator) != TARN_COORDINATOR_NEVER;
         i++) {
        choices c;
        assert_in_range(i, 0, REST_STEPS_MAX);
        if (w.due_count > 0) {
            c.count = 0;
            add_answers(&c, 0);
            choose(&c.items[0]);
        } else {
            w.now_ms = tarn_coordinator_next_ms(w.coordinator);
            settle();
        }
    }
    witness_check_rest(&w.witness, w.coordinator, w.is_shut_down);
}

static void explore(
    const tarn_coordinator_options *options, uint8_t *path, uint32_t length, uint32_t length_max)
{
    replay(options, path, length);
    const bool is_worth_it = is_new(fingerprint(length_max - length));
    choices c;
    list_choices(&c);
    const uint32_t count = c.count;
    if (is_worth_it) {
        state_count++;
        check_rest();
    }
    tarn_coordinator_close(w.coordinator);
    for (uint32_t i = 0; is_worth_it && length < length_max && i < count; i++) {
        path[length] = (uint8_t)i;
        explore(options, path, length + 1, length_max);
    }
}

static void explore_all(uint32_t max_concurrent, bool is_unaligned)
{
    static const uint32_t parallelism[] = {1, 1};
    static const tarn_coordinator_edge edge = {.from = 0, .to = 1};
    const char *is_long = getenv("TARN_LONG");
    const bool has_more = is_long != NULL && strcmp(is_long, "1") == 0;
    uint8_t path[STEPS_MAX] = {0};
    tarn_coordinator_options options = TARN_COORDINATOR_OPTIONS_INIT;
    options.parallelism = parallelism;
    options.operator_count = 2;
    options.edges = &edge;
    options.edge_count = 1;
    options.timeout_ms = 10;
    options.max_concurrent = max_concurrent;
    options.is_unaligned = is_unaligned;
    options.tolerable_failures = 1;
    options.pending_max = 3;
    options.queue_max = 2;
    memset(known, 0, sizeof known);
    state_count = 0;
    step_count = 0;
    explore(&options, path, 0, has_more ? STEPS_LONG : STEPS_SHORT);
    print_message(
        "%u at once: %" PRIu64 " states, %" PRIu64 " steps\n",
        max_concurrent,
        state_count,
        step_count);
    assert_true(state_count > 1000);
}

static void test_no_schedule_of_one_checkpoint_at_a_time_lies(void **state)
{
    (void)state;
    explore_all(1, false);
}

static void test_no_schedule_of_unaligned_checkpoints_lies(void **state)
{
    (void)state;
    explore_all(1, true);
}

static void test_no_schedule_of_two_checkpoints_at_once_lies(void **state)
{
    (void)state;
    explore_all(2, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_schedule_of_one_checkpoint_at_a_time_lies),
        cmocka_unit_test(test_no_schedule_of_unaligned_checkpoints_lies),
        cmocka_unit_test(test_no_schedule_of_two_checkpoints_at_once_lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
