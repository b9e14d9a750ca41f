/*
 * Model checking of the epoch protocol: every sequence of steps up to a length is run over the
 * working set and a plain store, and compared with a plain table. Two rows and every step that a
 * snapshot can meet:
 *
 *     rows       write, add blindly, remove, edit in place, read, evict all, remove as a range
 *     snapshot   begin ── drain a row ... ── checkpoint created ── complete
 *                  └──────────┴──── abort ────────┘
 *     runs       what a drain has sent lands: the store has it from then on; some sequences begin
 *                with two runs under way, which land in any order
 *
 * The sequences are enumerated depth first, each from the beginning: what begins like a sequence
 * that cannot be done is not tried. Working sets with room for all rows, and some where rows of
 * the new epoch find none as long as the store is held; drained by the task, or by runs that others
 * write. A set is opened anew for each pair
 * of first steps, and emptied for each sequence.
 *
 * After each step (the numbers are those of the invariants of an epoch snapshot):
 *   1  A checkpoint, when it is created, has exactly what was written before its barrier.
 *   2  Until then each row in the store is as it was at the barrier, drained or not yet.
 *   3  A step that drains a slice writes no more than it.
 *   4  After an abort all is as if the snapshot had never begun: what is read, what the store has
 *      once all is written, and that the next snapshot can begin.
 *   5  No step fails for want of room: the drain is finished at once, and that is counted.
 * And always: a read answers what was written last.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/try.h"
#include "cache/workset.h"

enum {
    ROWS = 2,
    VALUE_BYTES_MAX = 400,
    LARGE_BYTES = 90, /* Of a written value: few find room in the small working set. */
    STEPS_EACH = 6,
    STEPS_EACH_LONG = 8,
    STEPS_MAX = 16,
    ROOMY_BYTES = 8192,
    SMALL_BYTES = 1500,
    PAGE_BYTES = 512,
};

typedef struct cell {
    bool is_present;
    uint16_t size;
    uint8_t bytes[VALUE_BYTES_MAX];
} cell;

typedef struct table {
    cell cells[ROWS];
} table;

typedef enum phase {
    PHASE_IDLE,
    PHASE_DRAINING, /* Frozen rows are left. */
    PHASE_DRAINED,  /* The store's checkpoint is being created: nothing is written. */
    PHASE_CREATED,  /* The files are uploaded; the stream writes what it likes. */
} phase;

typedef struct world {
    tarn__account account;
    tarn__workset *set;
    tarn__runs *runs; /* Without workers: they land when a step says so. NULL: none. */
    bool has_runs;
    tarn__workset_family family;
    phase phase;
    table store;
    table model;
    table barrier;          /* The model at the barrier. */
    table store_begun;      /* The store at the barrier. */
    uint64_t landed_count;  /* Runs. */
    uint64_t release_count; /* The drain was finished, for whatever reason; */
    uint64_t crowded_count; /* of these, because a row had no room. */
    uint64_t created_count;
    uint64_t aborted_count;
    tarn_error error;
} world;

static const char *const ROW_NAMES[ROWS] = {"0", "1"};

static bool is_equal(const cell *a, const cell *b)
{
    return a->is_present == b->is_present &&
           (!a->is_present || (a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0));
}

static bool are_equal(const table *a, const table *b)
{
    return is_equal(&a->cells[0], &b->cells[0]) && is_equal(&a->cells[1], &b->cells[1]);
}

static void put_cell(cell *to, tarn_bytes value)
{
    to->is_present = true;
    to->size = (uint16_t)value.size;
    if (value.size > 0) {
        memcpy(to->bytes, value.data, value.size);
    }
}

static void append_cell(cell *to, tarn_bytes value)
{
    const uint16_t size = to->is_present ? to->size : 0;
    assert_true(size + value.size <= VALUE_BYTES_MAX);
    to->is_present = true;
    memcpy(to->bytes + size, value.data, value.size);
    to->size = (uint16_t)(size + value.size);
}

/* ---- the store -------------------------------------------------------------------------- */

static bool is_held(const world *w)
{
    return w->phase == PHASE_DRAINING || w->phase == PHASE_DRAINED;
}

/* Invariant 2: what a checkpoint would hold is never ahead of the barrier. */
static void check_store(const world *w)
{
    for (uint32_t r = 0; is_held(w) && r < ROWS; r++) {
        const cell *stored = &w->store.cells[r];
        assert_true(
            is_equal(stored, &w->store_begun.cells[r]) || is_equal(stored, &w->barrier.cells[r]));
    }
}

static void change_store(world *w, const tarn__change *change)
{
    cell *stored = &w->store.cells[((const char *)change->row.data)[0] - '0'];
    assert_int_not_equal(w->phase, PHASE_DRAINED);
    if (change->kind == TARN__CHANGE_PUT) {
        put_cell(stored, change->value);
    } else if (change->kind == TARN__CHANGE_MERGE) {
        append_cell(stored, change->value);
    } else {
        stored->is_present = false;
    }
}

static tarn_status store_write(
    void *context, const tarn__change *changes, size_t count, tarn_error *error)
{
    world *w = context;
    (void)error;
    for (size_t i = 0; i < count; i++) {
        change_store(w, &changes[i]);
    }
    check_store(w);
    return TARN_OK;
}

/* What was sent is of the frozen epoch: it lands before the checkpoint is created, or not at all.
 */
static tarn_status store_write_run(void *context, const tarn__run *run, tarn_error *error)
{
    world *w = context;
    (void)error;
    assert_int_equal(w->phase, PHASE_DRAINING);
    for (uint32_t i = 0; i < tarn__run_count(run); i++) {
        const tarn__change change = tarn__run_at(run, i);
        change_store(w, &change);
    }
    w->landed_count++;
    check_store(w);
    return TARN_OK;
}

static bool store_is_held(void *context)
{
    return is_held(context);
}

/* Invariant 1 is checked when the checkpoint is created, whoever has it so. */
static void create_checkpoint(world *w)
{
    assert_int_equal(w->phase, PHASE_DRAINED);
    assert_true(are_equal(&w->store, &w->barrier));
    w->phase = PHASE_CREATED;
    w->created_count++;
}

static void note_drained(world *w)
{
    if (w->phase == PHASE_DRAINING && !tarn__workset_is_draining(w->set) &&
        !tarn__workset_is_flying(w->set)) {
        w->phase = PHASE_DRAINED;
    }
}

static tarn_status store_release(void *context, tarn_error *error)
{
    world *w = context;
    assert_true(is_held(w));
    TARN_TRY(tarn__workset_drain_all(w->set, error));
    note_drained(w);
    create_checkpoint(w);
    w->release_count++;
    return TARN_OK;
}

/* ---- rows ------------------------------------------------------------------------------- */

typedef struct place {
    uint32_t row;
    tarn__hot_key key;
    tarn__hot_row *found;
} place;

static void find(world *w, uint32_t row, place *at)
{
    at->row = row;
    at->found = tarn__workset_find(w->set, &w->family, tarn_bytes_at(ROW_NAMES[row], 1), &at->key);
}

static tarn_bytes value_of(const world *w, const place *at)
{
    return tarn_bytes_at(tarn__hot_row_value(&w->family, at->found), at->found->value_size);
}

/* What has no room in the working set goes to the store, once that is not held. */
static void write_past(world *w, place *at, tarn__hot_state state, tarn_bytes value)
{
    if (is_held(w)) {
        assert_ok(store_release(w, &w->error), &w->error);
    }
    cell *stored = &w->store.cells[at->row];
    if (state == TARN__HOT_DIRTY) {
        put_cell(stored, value);
    } else if (state == TARN__HOT_PARTIAL) {
        append_cell(stored, value);
    } else {
        stored->is_present = false;
    }
}

static void set_row(world *w, place *at, tarn__hot_state state, tarn_bytes value)
{
    tarn__hot_row *kept = NULL;
    assert_ok(
        tarn__workset_set(w->set, &at->key, at->found, state, value, &kept, &w->error), &w->error);
    note_drained(w);
    if (kept == NULL && state >= TARN__HOT_DIRTY) {
        write_past(w, at, state, value);
    }
}

static void put(world *w, uint32_t row, tarn_bytes value)
{
    place at;
    find(w, row, &at);
    set_row(w, &at, TARN__HOT_DIRTY, value);
    put_cell(&w->model.cells[row], value);
}

static void erase(world *w, uint32_t row)
{
    place at;
    find(w, row, &at);
    set_row(w, &at, TARN__HOT_TOMBSTONE, tarn_bytes_at(NULL, 0));
    w->model.cells[row].is_present = false;
}

/* Adds without a read: to a value that is here, to an operand, or as one. */
static void add(world *w, uint32_t row, tarn_bytes value)
{
    place at;
    cell made = {.is_present = true};
    find(w, row, &at);
    assert_ok(tarn__workset_hand_over(w->set, &at.key, &at.found, &w->error), &w->error);
    note_drained(w);
    tarn__hot_state state = TARN__HOT_PARTIAL;
    if (at.found != NULL && (tarn__hot_row_has_value(at.found) || at.found->state == state)) {
        state = at.found->state == state ? state : TARN__HOT_DIRTY;
        put_cell(&made, value_of(w, &at));
    } else if (at.found != NULL) {
        state = TARN__HOT_DIRTY;
    }
    append_cell(&made, value);
    set_row(w, &at, state, tarn_bytes_at(made.bytes, made.size));
    append_cell(&w->model.cells[row], value);
}

/* False: the row would have to be read before. */
static bool edit(world *w, uint32_t row, uint8_t byte)
{
    place at;
    tarn__hot_row *kept = NULL;
    find(w, row, &at);
    if (at.found == NULL || at.found->state == TARN__HOT_PARTIAL) {
        return false;
    }
    assert_ok(tarn__workset_edit(w->set, &at.key, at.found, 1, &kept, &w->error), &w->error);
    note_drained(w);
    if (kept == NULL) {
        return false;
    }
    tarn__hot_row_value(&w->family, kept)[0] = byte;
    put_cell(&w->model.cells[row], tarn_bytes_at(&byte, 1));
    return true;
}

static void check_read(world *w, uint32_t row, bool admits)
{
    place at;
    find(w, row, &at);
    cell read = w->store.cells[row];
    if (at.found == NULL && admits) {
        set_row(
            w,
            &at,
            read.is_present ? TARN__HOT_CLEAN : TARN__HOT_ABSENT,
            tarn_bytes_at(read.bytes, read.is_present ? read.size : 0));
    } else if (at.found != NULL && tarn__hot_row_has_value(at.found)) {
        put_cell(&read, value_of(w, &at));
    } else if (at.found != NULL && at.found->state == TARN__HOT_PARTIAL) {
        append_cell(&read, value_of(w, &at));
    } else if (at.found != NULL) {
        read.is_present = false;
    }
    assert_true(is_equal(&read, &w->model.cells[row]));
}

/* Whatever is evicted is written, frozen or not; then there is room again. */
static void evict(world *w, uint64_t capacity)
{
    assert_ok(tarn__workset_resize(w->set, 0, &w->error), &w->error);
    note_drained(w);
    assert_ok(tarn__workset_resize(w->set, capacity, &w->error), &w->error);
}

/* A range goes from the store as a range, which must not be in a checkpoint of before. */
static void remove_range(world *w)
{
    if (is_held(w)) {
        assert_ok(store_release(w, &w->error), &w->error);
    }
    (void)tarn__workset_drop(
        w->set, &w->family, tarn_bytes_at(ROW_NAMES[0], 1), tarn_bytes_of("2"));
    for (uint32_t r = 0; r < ROWS; r++) {
        w->store.cells[r].is_present = false;
        w->model.cells[r].is_present = false;
    }
}

/* ---- snapshots -------------------------------------------------------------------------- */

static void begin(world *w)
{
    tarn__workset_freeze(w->set);
    w->barrier = w->model;
    w->store_begun = w->store;
    w->phase = PHASE_DRAINING;
    note_drained(w);
}

/* Invariant 3. */
static void drain(world *w)
{
    tarn__workset_figures before;
    tarn__workset_figures after;
    tarn__workset_measure(w->set, &before);
    assert_ok(tarn__workset_drain(w->set, 1, &w->error), &w->error);
    tarn__workset_measure(w->set, &after);
    assert_in_range(after.written_count - before.written_count, 0, 1);
    note_drained(w);
}

/* Has a run land, the oldest or the newest of those sent; false: there is none. */
static bool land(world *w, bool is_newest)
{
    if (w->runs == NULL || !tarn__runs_write_next(w->runs, is_newest)) {
        return false;
    }
    note_drained(w);
    return true;
}

static bool send(world *w)
{
    if (w->runs != NULL) {
        tarn__runs_send(w->runs);
    }
    return w->runs != NULL;
}

/* Invariant 4; what else belongs to it is seen by the steps that follow. */
static void give_up(world *w)
{
    tarn__workset_figures figures;
    if (w->phase == PHASE_DRAINING) {
        tarn__workset_thaw(w->set);
    }
    w->phase = PHASE_IDLE;
    w->aborted_count++;
    tarn__workset_measure(w->set, &figures);
    assert_int_equal(figures.frozen_count, 0);
    assert_false(tarn__workset_is_draining(w->set));
    for (uint32_t r = 0; r < ROWS; r++) {
        check_read(w, r, /* admits= */ false);
    }
}

/* ---- all sequences ---------------------------------------------------------------------- */

typedef enum step_kind {
    STEP_PUT_0,
    STEP_PUT_1,
    STEP_ADD_0,
    STEP_ADD_1,
    STEP_ERASE_0,
    STEP_EDIT_0,
    STEP_READ_0,
    STEP_EVICT,
    STEP_REMOVE_RANGE,
    STEP_BEGIN,
    STEP_DRAIN,
    STEP_LAND,
    STEP_CREATE,
    STEP_COMPLETE,
    STEP_ABORT,
    STEP_KINDS_EACH, /* The others are for sequences that have sent runs to begin with. */
    STEP_SEND = STEP_KINDS_EACH,
    STEP_LAND_NEWEST,
    STEP_KINDS,
} step_kind;

static const char *const STEP_NAMES[STEP_KINDS] = {
    "put 0",
    "put 1",
    "add 0",
    "add 1",
    "erase 0",
    "edit 0",
    "read 0",
    "evict",
    "range",
    "begin",
    "drain",
    "land",
    "created",
    "complete",
    "abort",
    "send",
    "newest lands"};

/* Whether a step of a snapshot can be done now. */
static bool may_step(const world *w, step_kind kind)
{
    switch (kind) {
    case STEP_BEGIN:
        return w->phase == PHASE_IDLE;
    case STEP_DRAIN:
    case STEP_LAND:
    case STEP_SEND:
    case STEP_LAND_NEWEST:
        return w->phase == PHASE_DRAINING;
    case STEP_CREATE:
        return w->phase == PHASE_DRAINED;
    case STEP_COMPLETE:
        return w->phase == PHASE_CREATED;
    case STEP_ABORT:
        return w->phase != PHASE_IDLE;
    case STEP_PUT_0:
    case STEP_PUT_1:
    case STEP_ADD_0:
    case STEP_ADD_1:
    case STEP_ERASE_0:
    case STEP_EDIT_0:
    case STEP_READ_0:
    case STEP_EVICT:
    case STEP_REMOVE_RANGE:
    case STEP_KINDS:
        break;
    }
    return true;
}

static void step_snapshot(world *w, step_kind kind)
{
    if (kind == STEP_BEGIN) {
        begin(w);
    } else if (kind == STEP_DRAIN) {
        drain(w);
    } else if (kind == STEP_CREATE) {
        create_checkpoint(w);
    } else if (kind == STEP_COMPLETE) {
        w->phase = PHASE_IDLE;
    } else {
        give_up(w);
    }
}

/* Does a step; false: it cannot be done here. Each value is another one. */
static bool do_step(world *w, step_kind kind, uint32_t nth, uint64_t capacity)
{
    uint8_t bytes[LARGE_BYTES];
    const uint64_t release_count = w->release_count;
    memset(bytes, 'a' + (int)nth, sizeof bytes);
    if (!may_step(w, kind)) {
        return false;
    }
    switch (kind) {
    case STEP_PUT_0:
    case STEP_PUT_1:
        put(w, kind - STEP_PUT_0, tarn_bytes_at(bytes, sizeof bytes));
        break;
    case STEP_ADD_0:
    case STEP_ADD_1:
        add(w, kind - STEP_ADD_0, tarn_bytes_at(bytes, 3));
        break;
    case STEP_ERASE_0:
        erase(w, 0);
        break;
    case STEP_EDIT_0:
        if (!edit(w, 0, bytes[0])) {
            return false;
        }
        break;
    case STEP_READ_0:
        check_read(w, 0, /* admits= */ true);
        check_read(w, 1, /* admits= */ false);
        break;
    case STEP_EVICT:
        evict(w, capacity);
        break;
    case STEP_REMOVE_RANGE:
        remove_range(w);
        break;
    case STEP_LAND:
        if (!send(w) || !land(w, /* is_newest= */ false)) {
            return false;
        }
        break;
    case STEP_SEND:
        if (!send(w)) {
            return false;
        }
        break;
    case STEP_LAND_NEWEST:
        if (!land(w, /* is_newest= */ true)) {
            return false;
        }
        break;
    case STEP_BEGIN:
    case STEP_DRAIN:
    case STEP_CREATE:
    case STEP_COMPLETE:
    case STEP_ABORT:
    case STEP_KINDS:
        step_snapshot(w, kind);
        break;
    }
    check_store(w);
    w->crowded_count += kind < STEP_EVICT ? w->release_count - release_count : 0;
    return true;
}

static void open_set(world *w, uint64_t capacity)
{
    const tarn__runs_options runs = {
        .account = &w->account, .write = store_write_run, .context = w};
    w->runs = NULL;
    if (w->has_runs) {
        assert_ok(tarn__runs_open(&runs, &w->runs, &w->error), &w->error);
    }
    const tarn__workset_options options = {
        .account = &w->account,
        .runs = w->runs,
        .store =
            {.write = store_write,
             .is_held = store_is_held,
             .release = store_release,
             .context = w},
        .capacity_bytes = capacity,
        .page_bytes = PAGE_BYTES,
    };
    w->family = (tarn__workset_family){.store_family = w};
    assert_ok(tarn__workset_open(&options, &w->set, &w->error), &w->error);
    assert_ok(tarn__workset_add_family(w->set, &w->family, &w->error), &w->error);
}

static void close_set(world *w)
{
    if (w->set == NULL) {
        return;
    }
    tarn__workset_remove_family(w->set, &w->family);
    tarn__workset_close(w->set);
    tarn__runs_close(w->runs);
    w->set = NULL;
    assert_int_equal(w->account.bytes, 0);
}

static void begin_sequence(world *w)
{
    w->phase = PHASE_IDLE;
    w->store = (table){0};
    w->model = (table){0};
}

/* Whatever came before, all that was written is in the store at the end. */
static void end_sequence(world *w)
{
    const tarn_bytes lower = tarn_bytes_at(ROW_NAMES[0], 1);
    const tarn_bytes upper = tarn_bytes_of("2");
    tarn__workset_figures figures;
    if (is_held(w)) {
        assert_ok(store_release(w, &w->error), &w->error);
    }
    assert_ok(tarn__workset_settle(w->set, &w->family, lower, upper, &w->error), &w->error);
    assert_true(are_equal(&w->store, &w->model));
    tarn__workset_measure(w->set, &figures);
    assert_int_equal(figures.dirty_count, 0);
    (void)tarn__workset_drop(w->set, &w->family, lower, upper);
}

/* How every sequence of some tests begins: two runs are under way, and have a row each. */
static const uint8_t TWO_SENT[] = {
    STEP_PUT_0, STEP_PUT_1, STEP_BEGIN, STEP_DRAIN, STEP_SEND, STEP_DRAIN, STEP_SEND};

static uint8_t sequence[STEPS_MAX];
static uint32_t sequence_steps;
static uint32_t fixed_steps; /* Of TWO_SENT: none or all. */
static uint32_t step_kinds;
static bool is_checking;

/* A check that fails leaves by longjmp: the sequence is said at the end. */
static void say_sequence(void)
{
    for (uint32_t i = 0; is_checking && i < fixed_steps; i++) {
        fprintf(stderr, "%s, ", STEP_NAMES[TWO_SENT[i]]);
    }
    for (uint32_t i = 0; is_checking && i < sequence_steps; i++) {
        fprintf(stderr, "%s%s", STEP_NAMES[sequence[i]], i + 1 < sequence_steps ? ", " : "\n");
    }
}

/* Runs the sequence; answers how many steps could be done. */
static uint32_t run_sequence(world *w, uint64_t capacity)
{
    uint32_t done = 0;
    begin_sequence(w);
    for (uint32_t i = 0; i < fixed_steps; i++) {
        assert_true(do_step(w, TWO_SENT[i], STEPS_MAX + i, capacity));
    }
    while (done < sequence_steps && do_step(w, sequence[done], done, capacity)) {
        done++;
    }
    if (done == sequence_steps) {
        check_read(w, 0, false);
        check_read(w, 1, false);
    }
    end_sequence(w);
    return done;
}

static uint64_t run_all(world *w, uint64_t capacity, uint32_t step_count)
{
    uint64_t count = 0;
    bool is_over = false;
    memset(sequence, 0, sizeof sequence);
    sequence_steps = step_count;
    is_checking = true;
    uint8_t first[2] = {STEP_KINDS, STEP_KINDS};
    while (!is_over) {
        if (memcmp(first, sequence, sizeof first) != 0) {
            memcpy(first, sequence, sizeof first);
            close_set(w);
            open_set(w, capacity);
        }
        const uint32_t done = run_sequence(w, capacity);
        uint32_t at = done < step_count ? done : step_count - 1;
        count += done == step_count ? 1 : 0;
        memset(sequence + at + 1, 0, sizeof sequence - at - 1);
        while (++sequence[at] == step_kinds && !is_over) {
            sequence[at] = 0;
            is_over = at == 0;
            at -= is_over ? 0 : 1;
        }
    }
    close_set(w);
    is_checking = false;
    return count;
}

static uint32_t steps_each(void)
{
    const char *is_long = getenv("TARN_LONG");
    return is_long != NULL && is_long[0] == '1' ? STEPS_EACH_LONG : STEPS_EACH;
}

static world *new_world(void)
{
    static world w;
    memset(&w, 0, sizeof w);
    tarn__account_init(&w.account, "test", NULL);
    return &w;
}

static void begin_like(uint32_t fixed)
{
    fixed_steps = fixed;
    step_kinds = fixed > 0 ? STEP_KINDS : STEP_KINDS_EACH;
}

/* Answers how often a row found no room. */
static uint64_t check_all(uint64_t capacity, bool has_runs, uint32_t step_count, const char *name)
{
    world *w = new_world();
    w->has_runs = has_runs;
    const uint64_t count = run_all(w, capacity, step_count);
    print_message(
        "%s: %llu sequences of %u steps; %llu checkpoints, %llu given up, %llu drains finished at "
        "once for a row\n",
        name,
        (unsigned long long)count,
        step_count,
        (unsigned long long)w->created_count,
        (unsigned long long)w->aborted_count,
        (unsigned long long)w->crowded_count);
    assert_true(count > 1000 && w->created_count > 100 && w->aborted_count > 100);
    assert_int_equal(has_runs, w->landed_count > 0);
    return w->crowded_count;
}

static void test_every_sequence_with_room_keeps_the_invariants(void **state)
{
    (void)state;
    begin_like(0);
    assert_int_equal(check_all(ROOMY_BYTES, false, steps_each(), "with room"), 0);
}

static void test_every_sequence_without_room_keeps_the_invariants(void **state)
{
    (void)state;
    begin_like(0);
    assert_in_range(check_all(SMALL_BYTES, false, steps_each(), "without room"), 1, UINT64_MAX);
}

static void test_every_sequence_with_runs_keeps_the_invariants(void **state)
{
    (void)state;
    begin_like(0);
    assert_int_equal(check_all(ROOMY_BYTES, true, steps_each(), "with room and runs"), 0);
}

static void test_every_sequence_with_runs_and_without_room_keeps_the_invariants(void **state)
{
    (void)state;
    begin_like(0);
    assert_in_range(
        check_all(SMALL_BYTES, true, steps_each(), "without room, with runs"), 1, UINT64_MAX);
}

static void test_every_sequence_after_two_runs_were_sent_keeps_the_invariants(void **state)
{
    (void)state;
    const uint32_t step_count = steps_each() - 2;
    begin_like(sizeof TWO_SENT);
    assert_int_equal(check_all(ROOMY_BYTES, true, step_count, "with two runs sent"), 0);
    (void)check_all(SMALL_BYTES, true, step_count, "without room, with two runs sent");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_sequence_with_room_keeps_the_invariants),
        cmocka_unit_test(test_every_sequence_without_room_keeps_the_invariants),
        cmocka_unit_test(test_every_sequence_with_runs_keeps_the_invariants),
        cmocka_unit_test(test_every_sequence_with_runs_and_without_room_keeps_the_invariants),
        cmocka_unit_test(test_every_sequence_after_two_runs_were_sent_keeps_the_invariants),
    };
    (void)atexit(say_sequence);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
