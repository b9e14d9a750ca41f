/*
 * Properties of the working set over a plain store in memory, which knows what may be written when.
 *
 * Random programs: whatever is put, added, removed, settled, dropped and read, with eviction, with
 * the capacity changed and with snapshots begun, drained, linked and given up in between, reads
 * answer as a plain array does, and the store has at each link exactly what was there at its begin.
 * Rows are also read ahead: what the store had at some moment after they were asked for comes in at
 * a later one, whatever was written between.
 *
 * Frozen rows go by runs, or by the task alone; a run lands when the program says so.
 *
 * All interleavings: the same of every sequence of these steps up to a length, over two rows.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "base/try.h"
#include "cache/ahead.h"
#include "cache/workset.h"
#include "support/prop.h"

enum {
    FAMILIES = 2,
    ROWS = 40,
    VALUE_BYTES_MAX = 400,
    STEPS = 600,
    SECONDS = 2,
    SEQUENCE_STEPS = SANITIZES_THREADS ? 5 : 6,
    SEQUENCE_STEPS_LONG = 8,
    AHEAD_MAX = 12,
};

/* A row that is read ahead. */
typedef struct coming {
    uint32_t family;
    uint32_t row;
    bool is_read;
} coming;

typedef struct cell {
    bool is_present;
    uint16_t size;
    uint8_t bytes[VALUE_BYTES_MAX];
} cell;

typedef struct table {
    cell cells[FAMILIES][ROWS];
} table;

/* Where a snapshot is. */
typedef enum phase {
    PHASE_OPEN,
    PHASE_DRAINING,
    PHASE_LINKING,
} phase;

typedef struct world {
    tarn__account account;
    uint64_t request_count; /* For memory. */
    uint64_t refused_request;
    bool refuses_on; /* All from that one on. */
    tarn__workset *set;
    tarn__runs
        *runs; /* Without workers: they land when the program says so. NULL: there are none. */
    bool has_runs;
    tarn__workset_family families[FAMILIES];
    tarn__filter filters[FAMILIES]; /* Of rows that the store may have. */
    tarn__filter_share share;
    bool is_filter_ready[FAMILIES];
    uint32_t built[FAMILIES]; /* Rows that were looked at while a filter is built. */
    bool is_held[FAMILIES][ROWS];
    tarn__random random;
    phase phase;
    uint32_t family_count;
    uint32_t row_count;
    uint32_t value_bytes_max;
    coming ahead[AHEAD_MAX];
    cell ahead_cells[AHEAD_MAX]; /* What was read. */
    uint32_t ahead_count;
    uint32_t ahead_batch;
    uint32_t drained_max; /* Rows of the largest write while the snapshot drained. */
    table store;
    table model;
    table expected; /* The model when the snapshot was begun. */
    table linked;   /* The store when its links were begun. */
    tarn_error error;
} world;

static uint32_t below(world *w, uint32_t bound)
{
    return (uint32_t)tarn__random_below(&w->random, bound);
}

/* Rows of many sizes, in order. */
static tarn_bytes row_of(uint32_t row, char text[64])
{
    const int size = snprintf(
        text,
        64,
        "%04u%.*s",
        row,
        (int)(row * 7 % 40) + 1,
        "----------------------------------------");
    return tarn_bytes_at(text, (size_t)size);
}

static uint32_t row_number(tarn_bytes row)
{
    return (uint32_t)strtoul(row.data, NULL, 10);
}

static bool is_equal(const cell *a, const cell *b)
{
    return a->is_present == b->is_present &&
           (!a->is_present || (a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0));
}

static void assert_tables(const world *w, const table *a, const table *b)
{
    for (uint32_t f = 0; f < w->family_count; f++) {
        for (uint32_t r = 0; r < w->row_count; r++) {
            assert_true(is_equal(&a->cells[f][r], &b->cells[f][r]));
        }
    }
}

static void copy_table(const world *w, table *to, const table *from)
{
    for (uint32_t f = 0; f < w->family_count; f++) {
        memcpy(to->cells[f], from->cells[f], w->row_count * sizeof to->cells[f][0]);
    }
}

/* ---- the store -------------------------------------------------------------------------- */

static void put_cell(cell *to, tarn_bytes value)
{
    to->is_present = true;
    to->size = (uint16_t)value.size;
    if (value.size > 0) {
        memcpy(to->bytes, value.data, value.size);
    }
}

/* What goes past the working set is noted in the filter. */
static void note_put(world *w, uint32_t family, uint32_t row)
{
    char text[64];
    tarn__filter_add(
        &w->filters[family], tarn__workset_hash(&w->families[family], row_of(row, text)));
}

/* What a merge does: it appends. */
static void append_cell(cell *to, tarn_bytes value)
{
    const uint16_t size = to->is_present ? to->size : 0;
    assert_true(size + value.size <= VALUE_BYTES_MAX);
    to->is_present = true;
    memcpy(to->bytes + size, value.data, value.size);
    to->size = (uint16_t)(size + value.size);
}

static void change_cell(cell *to, tarn__change_kind kind, tarn_bytes value)
{
    switch (kind) {
    case TARN__CHANGE_PUT:
        put_cell(to, value);
        break;
    case TARN__CHANGE_DELETE:
        to->is_present = false;
        break;
    case TARN__CHANGE_MERGE:
        append_cell(to, value);
        break;
    }
}

static tarn_status store_write(
    void *context, const tarn__change *changes, size_t count, tarn_error *error)
{
    world *w = context;
    (void)error;
    assert_int_not_equal(w->phase, PHASE_LINKING);
    for (size_t i = 0; i < count; i++) {
        cell *cells = changes[i].family;
        if (i > 0 && changes[i - 1].family == changes[i].family) {
            assert_true(tarn_bytes_compare(changes[i - 1].row, changes[i].row) < 0);
        }
        change_cell(&cells[row_number(changes[i].row)], changes[i].kind, changes[i].value);
    }
    return TARN_OK;
}

/* What runs have comes to the store between the begin and the links, each row once. */
static tarn_status store_write_run(void *context, const tarn__run *run, tarn_error *error)
{
    world *w = context;
    (void)error;
    assert_int_equal(w->phase, PHASE_DRAINING);
    tarn__change before = tarn__run_at(run, 0);
    for (uint32_t i = 0; i < tarn__run_count(run); i++) {
        const tarn__change change = tarn__run_at(run, i);
        if (i > 0 && before.family == change.family) {
            assert_true(tarn_bytes_compare(before.row, change.row) < 0);
        }
        cell *cells = change.family;
        change_cell(&cells[row_number(change.row)], change.kind, change.value);
        before = change;
    }
    return TARN_OK;
}

static bool store_is_held(void *context)
{
    const world *w = context;
    return w->phase != PHASE_OPEN;
}

/* Has a run land; false: there is none. */
static bool land_next(world *w)
{
    if (w->runs == NULL) {
        return false;
    }
    tarn__runs_send(w->runs);
    return tarn__runs_write_next(w->runs, /* is_newest= */ false);
}

static void note_drained(world *w)
{
    if (w->phase == PHASE_DRAINING && !tarn__workset_is_draining(w->set) &&
        !tarn__workset_is_flying(w->set)) {
        assert_tables(w, &w->store, &w->expected);
        copy_table(w, &w->linked, &w->store);
        w->phase = PHASE_LINKING;
    }
}

static void link_now(world *w)
{
    assert_tables(w, &w->store, &w->linked);
    w->phase = PHASE_OPEN;
}

static tarn_status store_release(void *context, tarn_error *error)
{
    world *w = context;
    assert_int_not_equal(w->phase, PHASE_OPEN);
    TARN_TRY(tarn__workset_drain_all(w->set, error));
    note_drained(w);
    link_now(w);
    return TARN_OK;
}

/* ---- what state does -------------------------------------------------------------------- */

typedef struct place {
    uint32_t family;
    uint32_t row;
    char text[64];
    tarn__hot_key key;
    tarn__hot_row *found;
} place;

static void find(world *w, uint32_t family, uint32_t row, place *at)
{
    at->family = family;
    at->row = row;
    at->found = tarn__workset_find(w->set, &w->families[family], row_of(row, at->text), &at->key);
    if (at->key.is_new) {
        assert_null(at->found);
        assert_false(w->store.cells[family][row].is_present);
        assert_false(w->model.cells[family][row].is_present);
        w->filters[family].used_count++;
    }
}

static tarn_bytes value_of(const world *w, const place *at)
{
    return tarn_bytes_at(
        tarn__hot_row_value(&w->families[at->family], at->found), at->found->value_size);
}

/* Sets a row, or writes it past the working set when that has no room. */
static void set_row(world *w, place *at, tarn__hot_state state, tarn_bytes value)
{
    tarn__hot_row *kept = NULL;
    assert_ok(
        tarn__workset_set(w->set, &at->key, at->found, state, value, &kept, &w->error), &w->error);
    note_drained(w);
    if (kept == NULL && state >= TARN__HOT_DIRTY) {
        static const tarn__change_kind KINDS[] = {
            [TARN__HOT_DIRTY] = TARN__CHANGE_PUT,
            [TARN__HOT_TOMBSTONE] = TARN__CHANGE_DELETE,
            [TARN__HOT_PARTIAL] = TARN__CHANGE_MERGE,
        };
        if (store_is_held(w)) {
            assert_ok(store_release(w, &w->error), &w->error);
        }
        note_put(w, at->family, at->row);
        change_cell(&w->store.cells[at->family][at->row], KINDS[state], value);
    }
}

/* Puts bytes behind those of a row; without room the row goes to the store, and they after it. */
static void extend_row(world *w, place *at, tarn__hot_state state, tarn_bytes value)
{
    tarn__hot_row *kept = NULL;
    assert_ok(
        tarn__workset_extend(w->set, &at->key, at->found, state, value, &kept, &w->error),
        &w->error);
    note_drained(w);
    if (kept != NULL) {
        return;
    }
    if (store_is_held(w)) {
        assert_ok(store_release(w, &w->error), &w->error);
    }
    if (at->found != NULL) {
        assert_ok(tarn__workset_expel(w->set, &at->key, &w->error), &w->error);
    }
    note_put(w, at->family, at->row);
    change_cell(&w->store.cells[at->family][at->row], TARN__CHANGE_MERGE, value);
}

static void put(world *w, uint32_t family, uint32_t row, tarn_bytes value)
{
    place at;
    find(w, family, row, &at);
    set_row(w, &at, TARN__HOT_DIRTY, value);
    put_cell(&w->model.cells[family][row], value);
}

static void erase(world *w, uint32_t family, uint32_t row)
{
    place at;
    find(w, family, row, &at);
    set_row(w, &at, TARN__HOT_TOMBSTONE, tarn_bytes_at(NULL, 0));
    w->model.cells[family][row].is_present = false;
}

/* Adds blindly, unless the value is here. */
static void append(world *w, uint32_t family, uint32_t row, tarn_bytes value)
{
    place at;
    cell made = {.is_present = true};
    cell *expected = &w->model.cells[family][row];
    if (expected->is_present && expected->size + value.size > w->value_bytes_max) {
        erase(w, family, row);
    }
    find(w, family, row, &at);
    assert_ok(tarn__workset_hand_over(w->set, &at.key, &at.found, &w->error), &w->error);
    note_drained(w);
    tarn__hot_state state = TARN__HOT_PARTIAL;
    if (at.found != NULL && (tarn__hot_row_has_value(at.found) || at.found->state == state)) {
        state = at.found->state == state ? state : TARN__HOT_DIRTY;
        put_cell(&made, value_of(w, &at));
    } else if (at.found != NULL) {
        state = TARN__HOT_DIRTY;
    }
    if ((row + value.size) % 2 == 0) {
        extend_row(w, &at, state, value);
    } else {
        append_cell(&made, value);
        set_row(w, &at, state, tarn_bytes_at(made.bytes, made.size));
    }
    append_cell(expected, value);
}

static void edit(world *w, uint32_t family, uint32_t row, size_t size, uint8_t byte)
{
    place at;
    cell *expected = &w->model.cells[family][row];
    find(w, family, row, &at);
    if (at.found == NULL || at.found->state == TARN__HOT_PARTIAL) {
        return; /* It would have to be read. */
    }
    tarn__hot_row *kept = NULL;
    assert_ok(tarn__workset_edit(w->set, &at.key, at.found, size, &kept, &w->error), &w->error);
    note_drained(w);
    if (kept == NULL) {
        return;
    }
    const size_t before = expected->is_present ? expected->size : 0;
    if (size > before) {
        memset(expected->bytes + before, 0, size - before);
    }
    expected->is_present = true;
    expected->size = (uint16_t)size;
    at.found = kept;
    assert_memory_equal(value_of(w, &at).data, expected->bytes, size);
    memset(tarn__hot_row_value(&w->families[family], kept), byte, 1);
    expected->bytes[0] = byte;
}

static void check_read(world *w, uint32_t family, uint32_t row, bool admits)
{
    place at;
    cell read = w->store.cells[family][row];
    find(w, family, row, &at);
    if (at.found == NULL) {
        if (admits && (below(w, 2) == 0 || !tarn__workset_declines(w->set, &at.key))) {
            set_row(
                w,
                &at,
                read.is_present ? TARN__HOT_CLEAN : TARN__HOT_ABSENT,
                tarn_bytes_at(read.bytes, read.is_present ? read.size : 0));
        }
    } else if (tarn__hot_row_has_value(at.found)) {
        put_cell(&read, value_of(w, &at));
    } else if (at.found->state == TARN__HOT_PARTIAL) {
        append_cell(&read, value_of(w, &at));
    } else {
        read.is_present = false;
    }
    assert_true(is_equal(&read, &w->model.cells[family][row]));
}

static void settle(world *w, uint32_t family, uint32_t lower, uint32_t upper)
{
    char texts[2][64];
    assert_ok(
        tarn__workset_settle(
            w->set,
            &w->families[family],
            row_of(lower, texts[0]),
            row_of(upper, texts[1]),
            &w->error),
        &w->error);
    note_drained(w);
    for (uint32_t r = lower; r < upper && w->phase == PHASE_OPEN; r++) {
        assert_true(is_equal(&w->store.cells[family][r], &w->model.cells[family][r]));
    }
}

/* Removes a range: here without writing, then from the store. */
static void remove_range(world *w, uint32_t family, uint32_t lower, uint32_t upper)
{
    char texts[2][64];
    if (store_is_held(w)) {
        assert_ok(store_release(w, &w->error), &w->error);
    }
    tarn__workset_drop(
        w->set, &w->families[family], row_of(lower, texts[0]), row_of(upper, texts[1]));
    for (uint32_t r = lower; r < upper; r++) {
        w->store.cells[family][r].is_present = false;
        w->model.cells[family][r].is_present = false;
    }
}

/* ---- reading ahead ---------------------------------------------------------------------- */

static void expect_row(world *w, uint32_t family, uint32_t row)
{
    char text[64];
    bool is_pending = false;
    assert_ok(
        tarn__workset_expect(
            w->set,
            &w->families[family],
            row_of(row, text),
            w->ahead_batch,
            row % 3 == 0 ? 0 : row * 10,
            &is_pending,
            &w->error),
        &w->error);
    note_drained(w);
    if (is_pending) {
        w->ahead[w->ahead_count++] = (coming){.family = family, .row = row};
    }
}

/* What a second thread would see of the store, at this moment. */
static void read_ahead(world *w, uint32_t index)
{
    coming *it = &w->ahead[index];
    w->ahead_cells[index] = w->store.cells[it->family][it->row];
    it->is_read = true;
}

static void fulfil_all(world *w)
{
    for (uint32_t i = 0; i < w->ahead_count; i++) {
        char text[64];
        const coming *it = &w->ahead[i];
        const cell *read = &w->ahead_cells[i];
        const tarn__hot_state found = read->is_present ? TARN__HOT_CLEAN : TARN__HOT_ABSENT;
        assert_ok(
            tarn__workset_fulfil(
                w->set,
                &w->families[it->family],
                row_of(it->row, text),
                w->ahead_batch,
                it->is_read ? found : TARN__HOT_FREE,
                tarn_bytes_at(read->bytes, it->is_read && read->is_present ? read->size : 0),
                &w->error),
            &w->error);
        note_drained(w);
    }
    w->ahead_count = 0;
    w->ahead_batch++;
}

static void step_ahead(world *w, uint32_t family, uint32_t row)
{
    if (w->ahead_count == 0) {
        for (uint32_t i = below(w, AHEAD_MAX); i > 0; i--) {
            expect_row(w, below(w, 2) == 0 ? family : below(w, FAMILIES), (row + i * i) % ROWS);
        }
    } else if (below(w, 3) != 0) {
        read_ahead(w, below(w, w->ahead_count));
    } else if (below(w, 8) == 0) {
        w->ahead_count = 0; /* The batch comes to nothing. */
        w->ahead_batch++;
    } else {
        fulfil_all(w);
    }
}

/* ---- snapshots -------------------------------------------------------------------------- */

static void begin(world *w)
{
    tarn__workset_freeze(w->set);
    copy_table(w, &w->expected, &w->model);
    w->phase = PHASE_DRAINING;
    note_drained(w);
}

static void advance(world *w, uint32_t rows)
{
    tarn__workset_figures before;
    tarn__workset_figures after;
    tarn__workset_measure(w->set, &before);
    if (!tarn__workset_is_draining(w->set)) {
        (void)land_next(w);
    }
    assert_ok(tarn__workset_drain(w->set, rows, &w->error), &w->error);
    tarn__workset_measure(w->set, &after);
    assert_true(after.written_count - before.written_count <= rows);
    note_drained(w);
}

static void give_up(world *w)
{
    if (w->phase == PHASE_DRAINING) {
        tarn__workset_thaw(w->set);
    }
    w->phase = PHASE_OPEN;
}

/* ---- life ------------------------------------------------------------------------------- */

/* None, a good one, or one that hardly tells rows apart, or has no memory. */
static void open_filter(world *w, uint32_t family)
{
    tarn__filter *filter = &w->filters[family];
    w->share.limit_bytes = below(w, 4) == 0 ? 0 : 1 << 20;
    tarn__filter_init(filter, &w->account, &w->share, below(w, 2) == 0 ? 0.05 : 10, true);
    w->families[family].filter = below(w, 4) == 0 ? NULL : filter;
}

/* As a thread would do it: a new filter of the rows that the store had at a moment. */
static void step_filter(world *w, uint32_t family)
{
    tarn__filter *filter = &w->filters[family];
    if (filter->next.memory == NULL) {
        assert_ok(tarn__workset_land(w->set, &w->error), &w->error);
        note_drained(w);
        w->is_filter_ready[family] = tarn__filter_begin(filter, 1 + below(w, ROWS));
        w->built[family] = 0;
        for (uint32_t r = 0; r < ROWS && w->is_filter_ready[family]; r++) {
            w->is_held[family][r] = w->store.cells[family][r].is_present;
        }
    } else if (w->built[family] < ROWS) {
        for (uint32_t i = 0; i < 10 && w->built[family] < ROWS; i++) {
            char text[64];
            const uint32_t r = w->built[family]++;
            if (w->is_held[family][r]) {
                tarn__filter_build(
                    filter, tarn__workset_hash(&w->families[family], row_of(r, text)));
            }
        }
    } else if (below(w, 4) == 0) {
        tarn__filter_abandon(filter);
    } else {
        tarn__filter_finish(filter, ROWS / 2);
    }
}

static void open_runs(world *w)
{
    const tarn__runs_options options = {
        .account = &w->account,
        .write = store_write_run,
        .context = w,
    };
    w->runs = NULL;
    if (w->has_runs) {
        assert_ok(tarn__runs_open(&options, &w->runs, &w->error), &w->error);
    }
}

static void open_world(world *w, uint64_t capacity, uint32_t page_bytes)
{
    for (uint32_t f = 0; f < w->family_count; f++) {
        for (uint32_t r = 0; r < w->row_count; r++) {
            w->store.cells[f][r].is_present = false;
            w->model.cells[f][r].is_present = false;
        }
    }
    w->phase = PHASE_OPEN;
    w->ahead_count = 0;
    w->ahead_batch = 1;
    open_runs(w);
    const tarn__workset_options options = {
        .account = &w->account,
        .store = {store_write, store_is_held, store_release, NULL, w},
        .runs = w->runs,
        .capacity_bytes = capacity,
        .page_bytes = page_bytes,
    };
    assert_ok(tarn__workset_open(&options, &w->set, &w->error), &w->error);
    for (uint32_t f = 0; f < w->family_count; f++) {
        w->families[f] = (tarn__workset_family){
            .store_family = w->store.cells[f], .value_shift = f == 0 ? 0 : 8};
        open_filter(w, f);
        assert_ok(tarn__workset_add_family(w->set, &w->families[f], &w->error), &w->error);
    }
}

static void close_world(world *w)
{
    if (w->phase != PHASE_OPEN) {
        assert_ok(store_release(w, &w->error), &w->error);
    }
    for (uint32_t f = 0; f < w->family_count; f++) {
        settle(w, f, 0, w->row_count);
        tarn__workset_remove_family(w->set, &w->families[f]);
    }
    assert_tables(w, &w->store, &w->model);
    tarn__workset_figures figures;
    tarn__workset_measure(w->set, &figures);
    assert_int_equal(figures.row_count, 0);
    assert_int_equal(figures.dirty_count, 0);
    tarn__workset_close(w->set);
    for (uint32_t f = 0; f < w->family_count; f++) {
        tarn__filter_clear(&w->filters[f]);
    }
    assert_int_equal(w->share.used_bytes, 0);
    tarn__runs_close(w->runs);
    assert_int_equal(w->account.bytes, 0);
}

/* ---- capacity --------------------------------------------------------------------------- */

/* What does not fit any more is gone at once, but for the list of pages that a set without rows
 * has. */
static void resize(world *w, uint64_t capacity_bytes)
{
    tarn__workset_figures figures;
    assert_ok(tarn__workset_resize(w->set, capacity_bytes, &w->error), &w->error);
    note_drained(w);
    tarn__workset_measure(w->set, &figures);
    assert_true(figures.memory_bytes <= capacity_bytes || figures.row_count == 0);
}

/* ---- random programs -------------------------------------------------------------------- */

static tarn_bytes random_value(world *w, uint8_t bytes[VALUE_BYTES_MAX], uint32_t size_max)
{
    const uint32_t size = below(w, 8) == 0 ? below(w, size_max + 1) : below(w, 25);
    for (uint32_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)below(w, 256);
    }
    return tarn_bytes_at(bytes, size);
}

static void step_snapshot(world *w)
{
    if (w->phase == PHASE_OPEN) {
        begin(w);
    } else if (below(w, 12) == 0) {
        give_up(w);
    } else if (w->phase == PHASE_DRAINING) {
        advance(w, 1 + below(w, 20));
    } else {
        link_now(w);
    }
}

static void step_random(world *w)
{
    uint8_t bytes[VALUE_BYTES_MAX];
    const uint32_t family = below(w, FAMILIES);
    const uint32_t row = below(w, 2) == 0 ? below(w, ROWS) : below(w, ROWS / 8);
    const uint32_t dice = below(w, 100);
    if (dice < 30) {
        put(w, family, row, random_value(w, bytes, VALUE_BYTES_MAX));
    } else if (dice < 45) {
        append(w, family, row, random_value(w, bytes, VALUE_BYTES_MAX));
    } else if (dice < 52) {
        erase(w, family, row);
    } else if (dice < 60) {
        edit(w, family, row, 1 + below(w, VALUE_BYTES_MAX), (uint8_t)dice);
    } else if (dice < 63) {
        step_ahead(w, family, row);
    } else if (dice < 66) {
        step_filter(w, family);
    } else if (dice < 84) {
        check_read(w, family, row, below(w, 4) != 0);
    } else if (dice < 86) {
        settle(w, family, row, row + below(w, ROWS - row));
    } else if (dice < 88) {
        remove_range(w, family, row, row + below(w, 5) % (ROWS - row));
    } else if (dice < 91) {
        (void)land_next(w);
        note_drained(w);
    } else if (dice < 99) {
        step_snapshot(w);
    } else {
        resize(w, below(w, 40000));
    }
}

/* What is not here is in the store, whatever has not landed. */
static void check_all(world *w)
{
    for (uint32_t f = 0; f < FAMILIES; f++) {
        for (uint32_t r = 0; r < ROWS; r++) {
            check_read(w, f, r, false);
        }
    }
}

static void run_program(uint64_t seed, void *context)
{
    static const uint32_t PAGES[] = {512, 1024, 2048, 0};
    world *w = context;
    w->random = (tarn__random){seed};
    w->family_count = FAMILIES;
    w->row_count = ROWS;
    w->value_bytes_max = VALUE_BYTES_MAX;
    w->has_runs = below(w, 3) > 0;
    open_world(w, 1000 + below(w, 1u << (10 + below(w, 7))), PAGES[below(w, 4)]);
    for (uint32_t i = 0; i < STEPS; i++) {
        step_random(w);
        tarn__workset_figures figures;
        tarn__workset_measure(w->set, &figures);
        assert_true(figures.frozen_count <= figures.dirty_count);
        if (below(w, 16) == 0) {
            check_all(w);
        }
    }
    check_all(w);
    close_world(w);
}

static world *new_world(void)
{
    static world w;
    w.random = (tarn__random){1};
    tarn__account_init(&w.account, "test", NULL);
    return &w;
}

static void test_random_programs_read_and_link_what_a_plain_array_has(void **state)
{
    (void)state;
    prop_run("workset", SECONDS, run_program, new_world());
}

/* ---- memory that is refused ------------------------------------------------------------- */

/* A pool that refuses, from one request on all of them or that one alone. */
static bool charge(void *context, size_t bytes)
{
    world *w = context;
    (void)bytes;
    const uint64_t request = w->request_count++;
    return w->refuses_on ? request < w->refused_request : request != w->refused_request;
}

static void discharge(void *context, size_t bytes)
{
    (void)context;
    (void)bytes;
}

/* The same while memory is refused now and then: rows are not kept, and nothing else happens. */
static void run_short_of_memory(uint64_t seed, void *context)
{
    world *w = context;
    tarn__account_init(&w->account, "test", NULL);
    tarn__account_attach(&w->account, charge, discharge, w);
    w->random = (tarn__random){seed};
    w->family_count = FAMILIES;
    w->row_count = ROWS;
    w->value_bytes_max = VALUE_BYTES_MAX;
    w->refused_request = UINT64_MAX;
    w->refuses_on = false;
    w->has_runs = below(w, 2) == 0;
    open_world(w, 20000, 512);
    w->refused_request = w->request_count + below(w, 40);
    w->refuses_on = below(w, 2) == 0;
    for (uint32_t i = 0; i < STEPS; i++) {
        step_random(w);
    }
    close_world(w);
}

static void test_rows_that_find_no_memory_are_not_lost(void **state)
{
    (void)state;
    prop_run("workset short of memory", SECONDS, run_short_of_memory, new_world());
}

/* ---- all interleavings ------------------------------------------------------------------ */

enum { KINDS_OF_STEP = 15 };

/* Does a step; false: it cannot be done in this phase. */
static bool do_step(world *w, uint32_t kind, uint32_t nth)
{
    const uint8_t byte = (uint8_t)('a' + nth);
    const tarn_bytes value = tarn_bytes_at(&byte, 1);
    switch (kind) {
    case 0:
    case 1:
        put(w, 0, kind, value);
        return true;
    case 2:
    case 3:
        append(w, 0, kind - 2, value);
        return true;
    case 4:
        erase(w, 0, 0);
        return true;
    case 5:
        check_read(w, 0, 0, /* admits= */ true);
        check_read(w, 0, 1, /* admits= */ false);
        return true;
    case 6:
        resize(w, 0); /* All leave. */
        assert_ok(tarn__workset_resize(w->set, 4096, &w->error), &w->error);
        return true;
    case 7:
        if (w->phase != PHASE_OPEN) {
            return false;
        }
        begin(w);
        return true;
    case 8:
        if (w->phase != PHASE_DRAINING) {
            return false;
        }
        advance(w, 1);
        return true;
    case 9:
        if (w->phase != PHASE_LINKING) {
            return false;
        }
        link_now(w);
        return true;
    case 10:
        if (w->phase == PHASE_OPEN) {
            return false;
        }
        give_up(w);
        return true;
    case 11:
        if (w->ahead_count > 0) {
            return false;
        }
        expect_row(w, 0, 0);
        return w->ahead_count > 0;
    case 13:
        if (!land_next(w)) {
            return false;
        }
        note_drained(w);
        return true;
    case 12:
        if (w->ahead_count == 0 || w->ahead[0].is_read) {
            return false;
        }
        read_ahead(w, 0);
        return true;
    default:
        if (w->ahead_count == 0 || !w->ahead[0].is_read) {
            return false;
        }
        fulfil_all(w);
        return true;
    }
}

/* Runs a sequence, given as digits; answers how many steps could be done. */
static uint32_t run_sequence(world *w, const uint8_t *kinds, uint32_t count)
{
    open_world(w, 4096, 512);
    for (uint32_t i = 0; i < count; i++) {
        if (!do_step(w, kinds[i], i)) {
            close_world(w);
            return i;
        }
    }
    check_read(w, 0, 0, false);
    check_read(w, 0, 1, false);
    close_world(w);
    return count;
}

/* Answers how many sequences there are. */
static uint64_t run_sequences(world *w, uint32_t count)
{
    uint8_t kinds[SEQUENCE_STEPS_LONG] = {0};
    uint64_t sequences = 0;
    bool is_over = false;
    while (!is_over) {
        /* What begins like a sequence that cannot be done cannot be done either. */
        const uint32_t done = run_sequence(w, kinds, count);
        uint32_t at = done < count ? done : count - 1;
        memset(kinds + at + 1, 0, sizeof kinds - at - 1);
        sequences++;
        while (++kinds[at] == KINDS_OF_STEP && !is_over) {
            kinds[at] = 0;
            is_over = at == 0;
            at -= is_over ? 0 : 1;
        }
    }
    return sequences;
}

static void test_every_interleaving_keeps_what_a_snapshot_began_with(void **state)
{
    (void)state;
    world *w = new_world();
    const char *is_long = getenv("TARN_LONG");
    const uint32_t most =
        is_long != NULL && is_long[0] == '1' ? SEQUENCE_STEPS_LONG : SEQUENCE_STEPS;
    w->family_count = 1;
    w->row_count = 2;
    w->value_bytes_max = VALUE_BYTES_MAX;
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t count = most - 1 + i; /* Runs matter more. */
        w->has_runs = i == 1;
        const uint64_t sequences = run_sequences(w, count);
        print_message(
            "%llu sequences of %u steps, %s runs\n",
            (unsigned long long)sequences,
            count,
            i == 1 ? "with" : "without");
        assert_true(sequences > 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_programs_read_and_link_what_a_plain_array_has),
        cmocka_unit_test(test_rows_that_find_no_memory_are_not_lost),
        cmocka_unit_test(test_every_interleaving_keeps_what_a_snapshot_began_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
