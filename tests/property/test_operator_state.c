/*
 * Property: whatever a program does with operator state, each subtask holds what a plain model
 * says, and a restore at any parallelism deals out exactly what the snapshots held.
 *
 * A random program has one to six subtasks with up to four states of all kinds. It writes, reads,
 * takes snapshots, writes on, crashes, and restores from an earlier snapshot at another
 * parallelism. The model deals elements out one by one, with no arithmetic of slices.
 */
#include "support/operator_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "support/prop.h"

enum {
    SUBTASKS_MAX = 6,
    STATES_MAX = 4,
    KEYS = 12,
    ELEMENTS_MAX = 4096,
    OPERATIONS = 300,
    VALUE_BYTES_MAX = 40,
};

/* An element is the number that its bytes are made of. */
typedef struct contents {
    uint64_t elements[ELEMENTS_MAX];
    size_t count;
    bool has[KEYS];
    uint64_t values[KEYS];
} contents;

typedef struct world {
    tarn__random random;
    tarn_budget *budget;
    uint32_t parallelism;
    uint32_t state_count;
    tarn_redistribution modes[STATES_MAX];
    tarn_operator_store *stores[SUBTASKS_MAX];
    contents now[SUBTASKS_MAX][STATES_MAX];
    bool has_snapshot;
    operator_pieces pieces;
    bool is_finished[SUBTASKS_MAX]; /* In the snapshot. */
    contents at_snapshot[SUBTASKS_MAX][STATES_MAX];
    uint64_t next_element;
} world;

static uint64_t below(world *w, uint64_t bound)
{
    return tarn__random_below(&w->random, bound);
}

/* The bytes of an element: 0 to VALUE_BYTES_MAX of them, different for different numbers. */
static tarn_bytes bytes_of(uint64_t element, uint8_t out[VALUE_BYTES_MAX])
{
    memset(out, (int)(element & 0xff), VALUE_BYTES_MAX);
    memcpy(out, &element, sizeof element);
    return tarn_bytes_at(
        out, element == 0 ? 0 : sizeof element + element % (VALUE_BYTES_MAX - sizeof element));
}

/* Names sort otherwise than states are opened. */
static void name_of(uint32_t state, char out[16])
{
    static const char *const names[STATES_MAX] = {"b", "a", "ab", "B"};
    snprintf(out, 16, "%s", names[state]);
}

static tarn_bytes key_of(uint32_t key, char out[16])
{
    snprintf(out, 16, "%.*s", (int)key, "kkkkkkkkkkkk"); /* Prefixes of each other. */
    return tarn_bytes_of(out);
}

static tarn_operator_list *list_of(world *w, uint32_t subtask, uint32_t state)
{
    char name[16];
    name_of(state, name);
    return operator_list(w->stores[subtask], name, w->modes[state]);
}

static tarn_broadcast *map_of(world *w, uint32_t subtask, uint32_t state)
{
    char name[16];
    name_of(state, name);
    return operator_broadcast(w->stores[subtask], name);
}

/* ---- comparison -------------------------------------------------------------------------- */

static void check_list(world *w, uint32_t subtask, uint32_t state)
{
    const tarn_operator_list *list = list_of(w, subtask, state);
    const contents *expected = &w->now[subtask][state];
    assert_int_equal(tarn_operator_list_count(list), expected->count);
    for (size_t i = 0; i < expected->count; i++) {
        uint8_t bytes[VALUE_BYTES_MAX];
        tarn_bytes element;
        assert_int_equal(tarn_operator_list_get(list, i, &element), TARN_OK);
        assert_true(tarn_bytes_is_equal(element, bytes_of(expected->elements[i], bytes)));
    }
}

static void check_map(world *w, uint32_t subtask, uint32_t state)
{
    const tarn_broadcast *map = map_of(w, subtask, state);
    const contents *expected = &w->now[subtask][state];
    tarn_broadcast_cursor cursor = TARN_BROADCAST_CURSOR_INIT;
    tarn_broadcast_entry entry;
    for (uint32_t key = 0; key < KEYS; key++) {
        char text[16];
        uint8_t bytes[VALUE_BYTES_MAX];
        assert_true(tarn_broadcast_contains(map, key_of(key, text)) == expected->has[key]);
        if (expected->has[key]) {
            assert_int_equal(tarn_broadcast_next(map, &cursor, &entry, NULL), TARN_OK);
            assert_true(tarn_bytes_is_equal(entry.key, key_of(key, text)));
            assert_true(tarn_bytes_is_equal(entry.value, bytes_of(expected->values[key], bytes)));
        }
    }
    assert_int_equal(tarn_broadcast_next(map, &cursor, &entry, NULL), TARN_DONE);
}

static void check(world *w, uint32_t subtask)
{
    for (uint32_t state = 0; state < w->state_count; state++) {
        if (w->modes[state] == TARN_REDISTRIBUTE_BROADCAST) {
            check_map(w, subtask, state);
        } else {
            check_list(w, subtask, state);
        }
    }
}

/* ---- writing ----------------------------------------------------------------------------- */

static void write_list(world *w, uint32_t subtask, uint32_t state)
{
    tarn_operator_list *list = list_of(w, subtask, state);
    contents *model = &w->now[subtask][state];
    uint8_t bytes[5][VALUE_BYTES_MAX];
    tarn_bytes elements[5];
    tarn_error error;
    const uint64_t choice = below(w, 10);
    const size_t count = (size_t)below(w, 6);
    if (choice == 0) {
        tarn_operator_list_clear(list);
    }
    if (choice <= 1) {
        model->count = 0;
    }
    if (choice == 0 || model->count + 5 > ELEMENTS_MAX) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const uint64_t element = below(w, 20) == 0 ? 0 : ++w->next_element;
        elements[i] = bytes_of(element, bytes[i]);
        model->elements[model->count++] = element;
    }
    assert_ok(
        choice == 1 ? tarn_operator_list_replace(list, elements, count, &error)
                    : tarn_operator_list_add_all(list, elements, count, &error),
        &error);
}

static void write_map(world *w, uint32_t subtask, uint32_t state)
{
    tarn_broadcast *map = map_of(w, subtask, state);
    contents *model = &w->now[subtask][state];
    const uint32_t key = (uint32_t)below(w, KEYS);
    char text[16];
    uint8_t bytes[VALUE_BYTES_MAX];
    tarn_error error;
    const uint64_t choice = below(w, 20);
    if (choice == 0) {
        tarn_broadcast_clear(map);
        memset(model->has, 0, sizeof model->has);
    } else if (choice < 6) {
        tarn_broadcast_remove(map, key_of(key, text));
        model->has[key] = false;
    } else {
        model->has[key] = true;
        model->values[key] = choice == 6 ? 0 : ++w->next_element;
        assert_ok(
            tarn_broadcast_put(map, key_of(key, text), bytes_of(model->values[key], bytes), &error),
            &error);
    }
}

/* ---- snapshot and restore ---------------------------------------------------------------- */

static void take_snapshot(world *w)
{
    operator_pieces_clear(&w->pieces);
    bool is_any_alive = false;
    for (uint32_t i = w->parallelism; i-- > 0;) { /* Answers come in any order. */
        w->is_finished[i] = below(w, 8) == 0 && (i > 0 || is_any_alive);
        is_any_alive = is_any_alive || !w->is_finished[i];
        if (!w->is_finished[i]) {
            operator_write(w->stores[i], &w->pieces);
        }
    }
    w->pieces.parallelism = w->parallelism;
    memcpy(w->at_snapshot, w->now, sizeof w->now);
    w->has_snapshot = true;
}

static void append(contents *to, uint64_t element)
{
    assert_true(to->count < ELEMENTS_MAX);
    to->elements[to->count++] = element;
}

/* All elements of a state, by old subtask. */
static void gather(const world *w, uint32_t state, contents *all)
{
    memset(all, 0, sizeof *all);
    for (uint32_t i = 0; i < w->pieces.parallelism; i++) {
        const contents *part = &w->at_snapshot[i][state];
        for (size_t k = 0; k < part->count && !w->is_finished[i]; k++) {
            append(all, part->elements[k]);
        }
    }
}

/* Deals a split list out: sizes first, one element after the other, then the elements. */
static uint32_t deal(world *w, uint32_t state, uint32_t start)
{
    static contents all;
    gather(w, state, &all);
    size_t sizes[SUBTASKS_MAX] = {0};
    uint32_t to = start;
    for (size_t i = 0; i < all.count; i++) {
        sizes[to]++;
        to = (to + 1) % w->parallelism;
    }
    size_t at = 0;
    for (uint32_t i = 0; i < w->parallelism; i++) {
        const uint32_t subtask = (start + i) % w->parallelism;
        for (size_t k = 0; k < sizes[subtask]; k++) {
            append(&w->now[subtask][state], all.elements[at++]);
        }
    }
    return to;
}

static void restore_split(world *w, bool is_same_parallelism)
{
    static const uint32_t by_name[STATES_MAX] = {3, 1, 2, 0}; /* "B", "a", "ab", "b" */
    uint32_t start = 0;
    for (uint32_t n = 0; n < STATES_MAX; n++) {
        const uint32_t state = by_name[n];
        if (state >= w->state_count || w->modes[state] != TARN_REDISTRIBUTE_SPLIT) {
            continue;
        }
        if (!is_same_parallelism) {
            start = deal(w, state, start);
            continue;
        }
        for (uint32_t i = 0; i < w->parallelism; i++) {
            if (!w->is_finished[i]) {
                w->now[i][state] = w->at_snapshot[i][state];
            }
        }
    }
}

static void restore_copy(world *w, uint32_t state, uint32_t subtask, bool is_same_parallelism)
{
    uint32_t alive[SUBTASKS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->pieces.parallelism; i++) {
        if (!w->is_finished[i]) {
            alive[count++] = i;
        }
    }
    const bool has_own = is_same_parallelism && !w->is_finished[subtask];
    w->now[subtask][state] = w->at_snapshot[has_own ? subtask : alive[subtask % count]][state];
}

static void restore_model(world *w)
{
    const bool is_same_parallelism = w->parallelism == w->pieces.parallelism;
    memset(w->now, 0, sizeof w->now);
    restore_split(w, is_same_parallelism);
    for (uint32_t state = 0; state < w->state_count; state++) {
        for (uint32_t i = 0; i < w->parallelism; i++) {
            if (w->modes[state] == TARN_REDISTRIBUTE_UNION) {
                gather(w, state, &w->now[i][state]);
            } else if (w->modes[state] == TARN_REDISTRIBUTE_BROADCAST) {
                restore_copy(w, state, i, is_same_parallelism);
            }
        }
    }
}

/* Opens all states, so that each of them is in the next snapshot. */
static void open_states(world *w, uint32_t subtask)
{
    for (uint32_t state = 0; state < w->state_count; state++) {
        if (w->modes[state] == TARN_REDISTRIBUTE_BROADCAST) {
            (void)map_of(w, subtask, state);
        } else {
            (void)list_of(w, subtask, state);
        }
    }
}

static bool is_small(const world *w)
{
    size_t count = 0;
    for (uint32_t i = 0; i < w->pieces.parallelism; i++) {
        for (uint32_t state = 0; state < w->state_count; state++) {
            count += w->at_snapshot[i][state].count;
        }
    }
    return count < ELEMENTS_MAX / 8; /* Union lists grow with every restore. */
}

static void crash_and_restore(world *w)
{
    for (uint32_t i = 0; i < w->parallelism; i++) {
        operator_close(w->stores[i]);
    }
    const bool is_restored = w->has_snapshot && is_small(w);
    w->parallelism = below(w, 3) == 0 && w->has_snapshot ? w->pieces.parallelism
                                                         : 1 + (uint32_t)below(w, SUBTASKS_MAX);
    for (uint32_t i = 0; i < w->parallelism; i++) {
        w->stores[i] = operator_open(w->budget, i, w->parallelism, is_restored ? &w->pieces : NULL);
    }
    if (is_restored) {
        restore_model(w);
    } else {
        memset(w->now, 0, sizeof w->now);
    }
    for (uint32_t i = 0; i < w->parallelism; i++) {
        open_states(w, i);
        check(w, i);
    }
}

/* ---- the program ------------------------------------------------------------------------- */

static void step(world *w)
{
    const uint32_t subtask = (uint32_t)below(w, w->parallelism);
    const uint32_t state = (uint32_t)below(w, w->state_count);
    const uint64_t choice = below(w, 40);
    if (choice == 0) {
        crash_and_restore(w);
    } else if (choice <= 2) {
        take_snapshot(w);
    } else if (choice <= 6) {
        check(w, subtask);
    } else if (w->modes[state] == TARN_REDISTRIBUTE_BROADCAST) {
        write_map(w, subtask, state);
    } else {
        write_list(w, subtask, state);
    }
}

static void run_program(uint64_t seed, void *context)
{
    (void)context;
    static world w;
    memset(&w, 0, sizeof w);
    w.random.state = seed;
    w.budget = operator_budget(TARN_UNLIMITED, NULL);
    w.parallelism = 1 + (uint32_t)below(&w, SUBTASKS_MAX);
    w.state_count = 1 + (uint32_t)below(&w, STATES_MAX);
    for (uint32_t state = 0; state < w.state_count; state++) {
        w.modes[state] = (tarn_redistribution)(1 + below(&w, 3));
    }
    for (uint32_t i = 0; i < w.parallelism; i++) {
        w.stores[i] = operator_open(w.budget, i, w.parallelism, NULL);
        open_states(&w, i);
    }
    for (unsigned i = 0; i < OPERATIONS; i++) {
        step(&w);
    }
    take_snapshot(&w);
    crash_and_restore(&w);
    for (uint32_t i = 0; i < w.parallelism; i++) {
        operator_close(w.stores[i]);
    }
    operator_pieces_clear(&w.pieces);
    tarn_error error;
    assert_ok(tarn_budget_close(w.budget, &error), &error);
}

static void test_restored_state_is_what_a_plain_model_says(void **state)
{
    (void)state;
    prop_run("operator state", 4, run_program, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restored_state_is_what_a_plain_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
