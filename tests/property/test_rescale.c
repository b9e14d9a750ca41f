/*
 * Property of restores at another parallelism: whatever was written to every kind of state, in any
 * namespace and with a time to live, to timers of both domains and to the state of the operator,
 * wherever it lies (memtables, many small files, levels, folded or not), a restore of the
 * checkpoint by any number of subtasks has each key exactly once, with all that it had; each
 * element of a split list once in all, those of a union list and a broadcast map once in each
 * subtask.
 *
 * The matrix goes from each of 1 .. 8 subtasks to each; 128 to 3, and 2 to 128 to 1, stand for the
 * large steps. A seed walks on from restore to restore, so that leftovers of the last one are in
 * the next one's way. There are several ways from a checkpoint's files to a backend (WAYS).
 * TARN_LONG=1 walks the whole matrix and the large steps in each of them; else a few pairs are
 * drawn in some.
 *
 *     TARN_LONG=1 TARN_MATRIX=3-4 test_property_rescale test_matrix_linked
 *
 * is a part of it: the test whose name matches, from 3 and from 4 subtasks to each.
 */
#include "support/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/checkpoint.h"
#include "tarn/keyed.h"
#include "tarn/operator_state.h"
#include "tarn/snapshot.h"
#include "tarn/timer.h"

#include "base/random.h"
#include "state/backend.h"
#include "support/scratch.h"
#include "support/state_fixture.h"

enum {
    SUBTASKS_MAX = 128,
    KEYS = 400,
    ENTRIES = 4,
    ELEMENTS_MAX = 24,
    TIMES = 6,
    DOMAINS = 2, /* Of timers. */
    WINDOWS = 3, /* Namespaces besides the default one. */
    TTL_MS = 1000,
    PARALLELISM_MAX = 8,
    SPLIT_MAX = 4096,
    TIDY_PASSES = 16,                  /* As in state/tidy.c. */
    PAIRS = SANITIZES_THREADS ? 2 : 5, /* Drawn when the matrix is not run as a whole. */
};

typedef struct cell {
    uint64_t value; /* 0: none. */
    uint64_t entries[ENTRIES];
    uint64_t elements[ELEMENTS_MAX];
    uint32_t element_count;
    bool is_summed;
    int64_t sum;
    uint64_t text_size; /* Of an accumulator: 0, none. */
    bool timers[DOMAINS][TIMES];
    uint64_t windows[WINDOWS]; /* 0: none. */
    uint64_t fading;           /* 0: none. It expires. */
    int64_t fading_since_ms;
} cell;

typedef struct subtask {
    tarn_backend *backend;
    tarn_value *value;
    tarn_map *map;
    tarn_list *list;
    tarn_reducing *sum;
    tarn_aggregating *text;
    tarn_timers *timers[DOMAINS];
    tarn_value *window; /* Of a namespace that is set. */
    tarn_value *fading;
    tarn_operator_store *operators;
    tarn_operator_list *split; /* Numbers, each of them in one subtask. */
    tarn_operator_list *whole; /* The subtask's index. */
    tarn_broadcast *shared;    /* The generation, the same in all. */
} subtask;

typedef struct job {
    tarn_env *env;
    tarn_config *config; /* Of the backends: small files, so that there are many. */
    tarn_checkpoint_store *store;
    tarn__random random;
    uint32_t max_parallelism;
    uint32_t parallelism;
    uint32_t generation;
    atomic_int_least64_t now_ms; /* By which states expire; compactions ask, too. */
    uint32_t expired_count;      /* What was seen to have gone. */
    uint64_t part_count;         /* Table files that restores have read by parts. */
    uint32_t joined_count;       /* Backends that had another old subtask's files added, */
    uint32_t by_rows_count;      /* that had none of them, but took over rows. */
    uint32_t split_count;        /* Elements 0 .. split_count - 1 of the split list are there. */
    subtask subtasks[SUBTASKS_MAX];
    cell cells[KEYS];
    scratch root;
    tarn_error error;
} job;

/* How the files of a checkpoint become those of a backend. */
typedef struct way {
    const char *name;
    bool links;       /* The files themselves, not copies. */
    bool cuts;        /* Files end where a key group does: whole ones are dropped, fewer clipped. */
    bool reads_parts; /* Of files (snapshot/table_part.h), however small they are. */
    bool is_by_rows;  /* Files of several old subtasks never become one database's. */
} way;

static const way WAYS[] = {
    {.name = "linked", .links = true},
    {.name = "linked_cut", .links = true, .cuts = true},
    {.name = "copied"},
    {.name = "copied_cut", .cuts = true},
    {.name = "parts_linked", .links = true, .reads_parts = true},
    {.name = "parts_copied", .reads_parts = true},
    {.name = "parts_copied_cut", .cuts = true, .reads_parts = true},
    {.name = "rows", .links = true, .is_by_rows = true},
};

enum { WAY_COUNT = sizeof WAYS / sizeof WAYS[0] };

/* Of all walks. */
static uint32_t joined_total;
static uint32_t by_rows_total;

static uint32_t below(job *j, uint32_t bound)
{
    return (uint32_t)tarn__random_below(&j->random, bound);
}

/* ---- what is written -------------------------------------------------------------------- */

static tarn_bytes key_of(uint32_t key, char room[16])
{
    const int size = snprintf(room, 16, "key-%u", key);
    return tarn_bytes_at(room, (size_t)size);
}

static tarn_bytes number_of(const uint64_t *number)
{
    return tarn_bytes_at(number, sizeof *number);
}

static tarn_status add_size(
    const tarn_bytes *accumulator, tarn_bytes value, tarn_buffer *out, void *context)
{
    (void)context;
    uint64_t size = value.size;
    if (accumulator != NULL) {
        uint64_t before;
        memcpy(&before, accumulator->data, sizeof before);
        size += before;
    }
    return tarn_buffer_assign(out, number_of(&size));
}

/* The subtask that a key belongs to, with the key made current. */
static subtask *go_to(job *j, uint32_t key)
{
    char room[16];
    const tarn_bytes bytes = key_of(key, room);
    const uint32_t group = tarn_key_group_of(tarn_hash_bytes(bytes), j->max_parallelism);
    subtask *s = &j->subtasks[tarn_key_group_subtask(group, j->max_parallelism, j->parallelism)];
    assert_ok(tarn_backend_set_key(s->backend, bytes, &j->error), &j->error);
    return s;
}

static void write_value(job *j, subtask *s, cell *c)
{
    c->value = below(j, 4) == 0 ? 0 : tarn__random_next(&j->random) | 1;
    if (c->value == 0) {
        assert_ok(tarn_value_remove(s->value, &j->error), &j->error);
    } else {
        assert_ok(tarn_value_put(s->value, number_of(&c->value), &j->error), &j->error);
    }
}

static void write_entry(job *j, subtask *s, cell *c)
{
    const uint64_t at = below(j, ENTRIES);
    c->entries[at] = below(j, 4) == 0 ? 0 : tarn__random_next(&j->random) | 1;
    if (c->entries[at] == 0) {
        assert_ok(tarn_map_remove(s->map, number_of(&at), &j->error), &j->error);
    } else {
        assert_ok(
            tarn_map_put(s->map, number_of(&at), number_of(&c->entries[at]), &j->error), &j->error);
    }
}

static void write_element(job *j, subtask *s, cell *c)
{
    if (c->element_count == ELEMENTS_MAX) {
        c->element_count = 0;
        assert_ok(tarn_list_clear(s->list, &j->error), &j->error);
    }
    uint64_t *element = &c->elements[c->element_count++];
    *element = tarn__random_next(&j->random);
    assert_ok(tarn_list_append(s->list, number_of(element), &j->error), &j->error);
}

static void write_sum(job *j, subtask *s, cell *c)
{
    if (below(j, 8) == 0) {
        c->is_summed = false;
        c->sum = 0;
        assert_ok(tarn_reducing_clear(s->sum, &j->error), &j->error);
        return;
    }
    const int64_t added = (int64_t)below(j, 1000) - 500;
    c->is_summed = true;
    c->sum += added;
    assert_ok(tarn_reducing_add_i64(s->sum, added, &j->error), &j->error);
}

/* Timers of the machine's time are of windows. */
static tarn_bytes name_space_of(uint32_t domain)
{
    return tarn_bytes_of(domain == TARN_TIME_PROCESSING ? "window" : "");
}

static void write_timer(job *j, subtask *s, cell *c)
{
    const uint32_t time = below(j, TIMES);
    const uint32_t domain = below(j, DOMAINS);
    const tarn_bytes name_space = name_space_of(domain);
    c->timers[domain][time] = below(j, 3) > 0;
    if (c->timers[domain][time]) {
        assert_ok(tarn_timers_register(s->timers[domain], time, name_space, &j->error), &j->error);
    } else {
        assert_ok(tarn_timers_remove(s->timers[domain], time, name_space, &j->error), &j->error);
    }
}

static void set_window(job *j, const subtask *s, uint32_t window)
{
    char name[16];
    (void)snprintf(name, sizeof name, "window-%u", window);
    assert_ok(
        tarn_keyed_set_namespace(tarn_value_keyed(s->window), tarn_bytes_of(name), &j->error),
        &j->error);
}

static void write_window(job *j, const subtask *s, cell *c)
{
    const uint32_t window = below(j, WINDOWS);
    c->windows[window] = below(j, 4) == 0 ? 0 : tarn__random_next(&j->random) | 1;
    set_window(j, s, window);
    if (c->windows[window] == 0) {
        assert_ok(tarn_value_remove(s->window, &j->error), &j->error);
    } else {
        assert_ok(tarn_value_put(s->window, number_of(&c->windows[window]), &j->error), &j->error);
    }
}

static void write_fading(job *j, const subtask *s, cell *c)
{
    c->fading = tarn__random_next(&j->random) | 1;
    c->fading_since_ms = atomic_load(&j->now_ms);
    assert_ok(tarn_value_put(s->fading, number_of(&c->fading), &j->error), &j->error);
}

static void write_text(job *j, subtask *s, cell *c)
{
    const uint64_t size = 1 + below(j, 100);
    c->text_size += size;
    char text[128] = {0};
    assert_ok(tarn_aggregating_add(s->text, tarn_bytes_at(text, size), &j->error), &j->error);
}

static void write_some(job *j, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t key = below(j, KEYS);
        cell *c = &j->cells[key];
        subtask *s = go_to(j, key);
        switch (below(j, 8)) {
        case 0:
            write_value(j, s, c);
            break;
        case 1:
            write_entry(j, s, c);
            break;
        case 2:
            write_element(j, s, c);
            break;
        case 3:
            write_sum(j, s, c);
            break;
        case 4:
            write_timer(j, s, c);
            break;
        case 5:
            write_window(j, s, c);
            break;
        case 6:
            write_fading(j, s, c);
            break;
        default:
            write_text(j, s, c);
        }
    }
}

/* Moves rows down: to files, to lower levels. */
static void settle_some(job *j)
{
    for (uint32_t i = 0; i < j->parallelism; i++) {
        tarn_backend *backend = j->subtasks[i].backend;
        if (below(j, 2) == 0) {
            assert_ok(tarn__rocks_flush(backend->rocks, &j->error), &j->error);
        }
        if (below(j, 3) == 0) {
            for (tarn__rocks_family *family = tarn__rocks_first_family(backend->rocks);
                 family != NULL;
                 family = family->next) {
                tarn__rocks_compact(family);
            }
        }
    }
}

/* ---- what is read ----------------------------------------------------------------------- */

static void expect_number(job *j, tarn_status status, tarn_bytes got, uint64_t expected)
{
    if (expected == 0) {
        assert_int_equal(status, TARN_NOT_FOUND);
        return;
    }
    assert_ok(status, &j->error);
    assert_true(tarn_bytes_is_equal(got, number_of(&expected)));
}

static void expect_list(job *j, subtask *s, const cell *c)
{
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    assert_ok(tarn_list_iterate(s->list, "test", &iterator, &j->error), &j->error);
    for (uint32_t i = 0; i < c->element_count; i++) {
        assert_ok(tarn_list_iterator_next(iterator, &element, &j->error), &j->error);
        assert_true(tarn_bytes_is_equal(element, number_of(&c->elements[i])));
    }
    assert_int_equal(tarn_list_iterator_next(iterator, &element, &j->error), TARN_DONE);
    tarn_list_iterator_close(iterator);
}

static void expect_key(job *j, uint32_t key)
{
    const cell *c = &j->cells[key];
    subtask *s = go_to(j, key);
    tarn_bytes got = {NULL, 0};
    tarn_status status = tarn_value_get(s->value, &got, &j->error);
    expect_number(j, status, got, c->value);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        status = tarn_map_get(s->map, number_of(&i), &got, &j->error);
        expect_number(j, status, got, c->entries[i]);
    }
    expect_list(j, s, c);
    int64_t sum = 0;
    status = tarn_reducing_get_i64(s->sum, &sum, &j->error);
    assert_int_equal(status, c->is_summed ? TARN_OK : TARN_NOT_FOUND);
    assert_true(sum == c->sum);
    status = tarn_aggregating_get(s->text, &got, &j->error);
    expect_number(j, status, got, c->text_size);
    for (uint32_t window = 0; window < WINDOWS; window++) {
        set_window(j, s, window);
        status = tarn_value_get(s->window, &got, &j->error);
        expect_number(j, status, got, c->windows[window]);
    }
    const bool has_expired =
        c->fading != 0 && atomic_load(&j->now_ms) - c->fading_since_ms >= TTL_MS;
    j->expired_count += has_expired ? 1 : 0;
    status = tarn_value_get(s->fading, &got, &j->error);
    expect_number(j, status, got, has_expired ? 0 : c->fading);
}

/* Every key of a state is of its subtask, and there are as many as the model has. */
static void expect_key_count(job *j, tarn_keyed *(*of)(const subtask *), uint32_t expected)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < j->parallelism; i++) {
        const tarn_key_group_range own = tarn_backend_key_groups(j->subtasks[i].backend);
        tarn_key_iterator *keys = NULL;
        tarn_row row;
        assert_ok(
            tarn_keyed_iterate_keys(of(&j->subtasks[i]), NULL, "test", &keys, &j->error),
            &j->error);
        while (tarn_key_iterator_next(keys, &row, &j->error) == TARN_OK) {
            assert_in_range(row.key_group, own.first, own.last);
            count++;
        }
        tarn_key_iterator_close(keys);
    }
    assert_int_equal(count, expected);
}

static tarn_keyed *value_of(const subtask *s)
{
    return tarn_value_keyed(s->value);
}

static tarn_keyed *sum_of(const subtask *s)
{
    return tarn_reducing_keyed(s->sum);
}

static tarn_keyed *window_of(const subtask *s)
{
    return tarn_value_keyed(s->window);
}

/* Takes all timers of a domain out of all subtasks, and registers them again. */
static void expect_timers(job *j, uint32_t domain)
{
    static bool fired[KEYS][TIMES];
    memset(fired, 0, sizeof fired);
    const tarn_bytes name_space = name_space_of(domain);
    for (uint32_t i = 0; i < j->parallelism; i++) {
        subtask *s = &j->subtasks[i];
        tarn_timer timer;
        while (tarn_timers_poll(s->timers[domain], TIMES, &timer, &j->error) == TARN_OK) {
            char text[16] = {0};
            assert_in_range(timer.key.size, 5, sizeof text - 1);
            memcpy(text, timer.key.data, timer.key.size);
            const unsigned long key = strtoul(text + 4, NULL, 10);
            assert_true(key < KEYS && timer.time >= 0 && timer.time < TIMES);
            assert_true(tarn_bytes_is_equal(timer.name_space, name_space));
            assert_false(fired[key][timer.time]);
            fired[key][timer.time] = true;
        }
    }
    for (uint32_t key = 0; key < KEYS; key++) {
        assert_memory_equal(fired[key], j->cells[key].timers[domain], sizeof fired[key]);
        for (uint32_t time = 0; time < TIMES; time++) {
            if (fired[key][time]) {
                subtask *s = go_to(j, key);
                assert_ok(
                    tarn_timers_register(s->timers[domain], time, name_space, &j->error),
                    &j->error);
            }
        }
    }
}

/* ---- the state of the operator ---------------------------------------------------------- */

static tarn_bytes small_of(const uint32_t *number)
{
    return tarn_bytes_at(number, sizeof *number);
}

static uint32_t number_at(const tarn_operator_list *list, uint64_t index)
{
    tarn_bytes element;
    uint32_t number;
    assert_int_equal(tarn_operator_list_get(list, index, &element), TARN_OK);
    assert_int_equal(element.size, sizeof number);
    memcpy(&number, element.data, sizeof number);
    return number;
}

static void write_operators(job *j, uint32_t count)
{
    for (uint32_t i = 0; i < count && j->split_count < SPLIT_MAX; i++, j->split_count++) {
        subtask *s = &j->subtasks[below(j, j->parallelism)];
        assert_ok(
            tarn_operator_list_add(s->split, small_of(&j->split_count), &j->error), &j->error);
    }
    for (uint32_t i = 0; i < j->parallelism; i++) {
        const tarn_bytes own = small_of(&i);
        subtask *s = &j->subtasks[i];
        assert_ok(tarn_operator_list_replace(s->whole, &own, 1, &j->error), &j->error);
        assert_ok(
            tarn_broadcast_put(
                s->shared, tarn_bytes_of("generation"), small_of(&j->generation), &j->error),
            &j->error);
    }
}

/* What the subtasks of the generation before have left, of which there were so many. */
static void expect_operators(job *j, uint32_t old_parallelism)
{
    static bool is_there[SPLIT_MAX];
    uint32_t total = 0;
    memset(is_there, 0, sizeof is_there);
    for (uint32_t i = 0; i < j->parallelism; i++) {
        const subtask *s = &j->subtasks[i];
        bool has_index[SUBTASKS_MAX] = {false};
        for (uint64_t k = 0; k < tarn_operator_list_count(s->split); k++, total++) {
            const uint32_t number = number_at(s->split, k);
            assert_in_range(number, 0, j->split_count - 1);
            assert_false(is_there[number]);
            is_there[number] = true;
        }
        assert_int_equal(tarn_operator_list_count(s->whole), old_parallelism);
        for (uint32_t k = 0; k < old_parallelism; k++) {
            const uint32_t index = number_at(s->whole, k);
            assert_in_range(index, 0, old_parallelism - 1);
            assert_false(has_index[index]);
            has_index[index] = true;
        }
        tarn_bytes value;
        const uint32_t generation = j->generation - 1;
        assert_int_equal(
            tarn_broadcast_get(s->shared, tarn_bytes_of("generation"), &value), TARN_OK);
        assert_true(tarn_bytes_is_equal(value, small_of(&generation)));
    }
    assert_int_equal(total, j->split_count);
}

static void open_operators(job *j, uint32_t index, const tarn_checkpoint *restore)
{
    subtask *s = &j->subtasks[index];
    tarn_operator_store_options options = TARN_OPERATOR_STORE_OPTIONS_INIT;
    options.env = j->env;
    options.operator_name = "op";
    options.subtask_index = index;
    options.parallelism = j->parallelism;
    options.restore = restore;
    assert_ok(tarn_operator_store_open(&options, &s->operators, &j->error), &j->error);
    tarn_operator_state_options state = TARN_OPERATOR_STATE_OPTIONS_INIT;
    state.name = "split";
    assert_ok(tarn_operator_list_open(s->operators, &state, &s->split, &j->error), &j->error);
    state.name = "whole";
    state.redistribution = TARN_REDISTRIBUTE_UNION;
    assert_ok(tarn_operator_list_open(s->operators, &state, &s->whole, &j->error), &j->error);
    state.name = "shared";
    state.redistribution = TARN_REDISTRIBUTE_BROADCAST;
    assert_ok(tarn_broadcast_open(s->operators, &state, &s->shared, &j->error), &j->error);
}

static void add_operators(job *j, const subtask *s, tarn_snapshot *snapshot)
{
    tarn_operator_snapshot *cut = NULL;
    uint32_t count = 0;
    assert_ok(tarn_operator_snapshot_new(s->operators, &cut, &j->error), &j->error);
    const tarn_checkpoint_operator_state *states = tarn_operator_snapshot_states(cut, &count);
    for (uint32_t i = 0; i < count; i++) {
        assert_ok(
            tarn_snapshot_add_state(snapshot, states[i].name, states[i].bytes, &j->error),
            &j->error);
    }
    tarn_operator_snapshot_free(cut);
}

static void expect_everything(job *j)
{
    uint32_t value_count = 0;
    uint32_t sum_count = 0;
    uint32_t window_count = 0; /* A key comes once for each namespace that it has. */
    for (uint32_t key = 0; key < KEYS; key++) {
        expect_key(j, key);
        value_count += j->cells[key].value != 0 ? 1 : 0;
        sum_count += j->cells[key].is_summed ? 1 : 0;
        for (uint32_t window = 0; window < WINDOWS; window++) {
            window_count += j->cells[key].windows[window] != 0 ? 1 : 0;
        }
    }
    expect_key_count(j, value_of, value_count);
    expect_key_count(j, sum_of, sum_count);
    expect_key_count(j, window_of, window_count);
    for (uint32_t domain = 0; domain < DOMAINS; domain++) {
        expect_timers(j, domain);
    }
}

/* ---- the job ---------------------------------------------------------------------------- */

static const tarn_state_options *named(const char *name, tarn_layout layout)
{
    static tarn_state_options options;
    options = (tarn_state_options)TARN_STATE_OPTIONS_INIT;
    options.name = name;
    options.layout = layout;
    return &options;
}

static int64_t tell_time(void *context)
{
    return atomic_load(&((job *)context)->now_ms);
}

static void open_expiring(job *j, subtask *s)
{
    tarn_ttl ttl = TARN_TTL_INIT;
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    ttl.ttl_ms = TTL_MS;
    ttl.now_ms = tell_time;
    ttl.now_context = j;
    options.name = "fading";
    options.ttl = &ttl;
    assert_ok(tarn_value_open(s->backend, &options, &s->fading, &j->error), &j->error);
}

static void open_states(job *j, subtask *s)
{
    tarn_reducing_options reducing = TARN_REDUCING_OPTIONS_INIT;
    tarn_aggregating_options aggregating = TARN_AGGREGATING_OPTIONS_INIT;
    tarn_timers_options timers = TARN_TIMERS_OPTIONS_INIT;
    reducing.reducer = TARN_REDUCER_SUM;
    aggregating.add = add_size;
    timers.name = "timers"; /* Of both domains. */
    timers.head_timer_count = 2;
    timers.buffer_timer_count = 4;
    tarn_backend *b = s->backend;
    tarn_error *error = &j->error;
    assert_ok(tarn_value_open(b, named("value", TARN_LAYOUT_KEY_FIRST), &s->value, error), error);
    assert_ok(tarn_map_open(b, named("map", TARN_LAYOUT_NAMESPACE_FIRST), &s->map, error), error);
    assert_ok(tarn_list_open(b, named("list", TARN_LAYOUT_KEY_FIRST), &s->list, error), error);
    assert_ok(
        tarn_reducing_open(b, named("sum", TARN_LAYOUT_KEY_FIRST), &reducing, &s->sum, error),
        error);
    assert_ok(
        tarn_aggregating_open(
            b, named("text", TARN_LAYOUT_NAMESPACE_FIRST), &aggregating, &s->text, error),
        error);
    assert_ok(
        tarn_value_open(b, named("window", TARN_LAYOUT_NAMESPACE_FIRST), &s->window, error), error);
    open_expiring(j, s);
    assert_ok(tarn_timers_open(b, &timers, &s->timers[TARN_TIME_EVENT], error), error);
    timers.domain = TARN_TIME_PROCESSING;
    assert_ok(tarn_timers_open(b, &timers, &s->timers[TARN_TIME_PROCESSING], error), error);
}

/* How a backend came by what several old subtasks had. */
static void note_way(job *j, tarn_backend *backend, uint32_t old_parallelism)
{
    const tarn_key_group_range own = tarn_backend_key_groups(backend);
    const uint32_t first = tarn_key_group_subtask(own.first, j->max_parallelism, old_parallelism);
    const uint32_t last = tarn_key_group_subtask(own.last, j->max_parallelism, old_parallelism);
    tarn_backend_stats stats;
    tarn_backend_measure(backend, &stats);
    j->joined_count += stats.joined_file_count > 0 ? 1 : 0;
    j->by_rows_count += first < last && stats.joined_file_count == 0 ? 1 : 0;
}

static void open_job(job *j, uint32_t parallelism, tarn_checkpoint *restore)
{
    const uint32_t old_parallelism = restore != NULL ? j->parallelism : parallelism;
    j->parallelism = parallelism;
    j->generation++;
    for (uint32_t i = 0; i < parallelism; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%u-%u", j->generation, i);
        tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
        options.env = j->env;
        options.config = j->config;
        options.operator_name = "op";
        options.directory = scratch_join(j->root.path, name);
        options.subtask_index = i;
        options.parallelism = parallelism;
        options.max_parallelism = j->max_parallelism;
        options.restore = restore;
        subtask *s = &j->subtasks[i];
        assert_ok(tarn_backend_open(&options, &s->backend, &j->error), &j->error);
        j->part_count += atomic_load(&s->backend->restored.part_count);
        note_way(j, s->backend, old_parallelism);
        open_states(j, s);
        open_operators(j, i, restore);
    }
}

static void close_job(job *j)
{
    tarn_error *error = &j->error;
    for (uint32_t i = 0; i < j->parallelism; i++) {
        subtask *s = &j->subtasks[i];
        assert_ok(tarn_value_close(s->value, error), error);
        assert_ok(tarn_map_close(s->map, error), error);
        assert_ok(tarn_list_close(s->list, error), error);
        assert_ok(tarn_reducing_close(s->sum, error), error);
        assert_ok(tarn_aggregating_close(s->text, error), error);
        assert_ok(tarn_value_close(s->window, error), error);
        assert_ok(tarn_value_close(s->fading, error), error);
        for (uint32_t domain = 0; domain < DOMAINS; domain++) {
            assert_ok(tarn_timers_close(s->timers[domain], error), error);
        }
        assert_ok(tarn_operator_store_close(s->operators, error), error);
        assert_ok(tarn_backend_close(s->backend, error), error);
    }
}

static void take_checkpoint(job *j)
{
    tarn_pending_checkpoint *pending = NULL;
    const uint64_t id = tarn_checkpoint_store_next_id(j->store);
    assert_ok(tarn_checkpoint_begin(j->store, id, &pending, &j->error), &j->error);
    tarn_buffer acknowledgement = {.allocator = NULL};
    for (uint32_t i = 0; i < j->parallelism; i++) {
        tarn_snapshot *snapshot = NULL;
        assert_ok(
            tarn_snapshot_begin(j->subtasks[i].backend, pending, &snapshot, &j->error), &j->error);
        add_operators(j, &j->subtasks[i], snapshot);
        assert_ok(tarn_snapshot_finish(snapshot, &acknowledgement, &j->error), &j->error);
        assert_ok(
            tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &j->error),
            &j->error);
    }
    tarn_buffer_clear(&acknowledgement);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &j->error), &j->error);
    for (uint32_t i = 0; i < j->parallelism; i++) {
        tarn_backend_notify_complete(j->subtasks[i].backend, id);
    }
}

/* Restores the last checkpoint with another number of subtasks; what was written since is gone. */
static void restore(job *j, uint32_t parallelism)
{
    tarn_checkpoint *checkpoint = NULL;
    const uint32_t old_parallelism = j->parallelism;
    close_job(j);
    assert_ok(
        tarn_checkpoint_open(
            scratch_join(j->root.path, "checkpoints/job"), NULL, &checkpoint, &j->error),
        &j->error);
    open_job(j, parallelism, checkpoint);
    tarn_checkpoint_free(checkpoint);
    expect_operators(j, old_parallelism);
    expect_everything(j);
}

static const char *yes_or_no(bool is_so)
{
    return is_so ? "true" : "false";
}

static void set_way(tarn_config *config, const way *w)
{
    fixture_set(config, "tarn.restore.link-files", yes_or_no(w->links));
    fixture_set(config, "tarn.rocksdb.cut-files-at-key-groups", yes_or_no(w->cuts));
    if (w->reads_parts) { /* Of files of many blocks, each of which is an object of its own. */
        fixture_set(config, "state.backend.rocksdb.block.blocksize", "64 bytes");
        fixture_set(config, "state.backend.rocksdb.compaction.level.target-file-size-base", "64kb");
        fixture_set(config, "tarn.restore.parts-file-size", "1 bytes");
        fixture_set(config, "tarn.checkpoint.packing-threshold", "0");
    }
    if (w->is_by_rows) {
        fixture_set(config, "state.backend.rocksdb.compaction.style", "UNIVERSAL");
    }
}

static void set_up(job *j, uint64_t seed, uint32_t max_parallelism, const way *w)
{
    *j = (job){.max_parallelism = max_parallelism};
    j->random.state = seed;
    scratch_init(&j->root);
    tarn_config *config = fixture_new_config(64);
    j->env = fixture_open_env(config, NULL);
    fixture_set(config, "state.backend.rocksdb.compaction.level.target-file-size-base", "4kb");
    fixture_set(config, "state.backend.rocksdb.compaction.level.max-size-level-base", "16kb");
    set_way(config, w);
    j->config = config;
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = j->env;
    options.address = scratch_join(j->root.path, "checkpoints");
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, &j->store, &j->error), &j->error);
}

static void tear_down(job *j)
{
    close_job(j);
    assert_ok(tarn_checkpoint_store_close(j->store, &j->error), &j->error);
    assert_ok(tarn_env_close(j->env, &j->error), &j->error);
    tarn_config_free(j->config);
    scratch_clear(&j->root);
}

/* What a restore brought of other key groups is gone from all files, and nothing else is. */
static void expect_tidy(job *j)
{
    for (uint32_t i = 0; i < j->parallelism; i++) {
        tarn_backend *backend = j->subtasks[i].backend;
        tarn_backend_stats stats = {.foreign_bytes = 1};
        for (uint32_t pass = 0; pass < TIDY_PASSES && stats.foreign_bytes > 0; pass++) {
            tarn__tidier_resume(backend); /* A pass leaves files that another compaction has. */
            tarn__tidier_wait(backend);
            tarn_backend_measure(backend, &stats);
        }
        assert_int_equal(stats.foreign_bytes, 0);
    }
    expect_everything(j);
}

/* Writes, takes a checkpoint, and writes what must not come back. */
static void live_a_while(job *j)
{
    static cell saved[KEYS];
    for (uint32_t round = 0; round < 2; round++) {
        write_some(j, KEYS * 2);
        settle_some(j);
    }
    atomic_fetch_add(&j->now_ms, below(j, TTL_MS));
    write_some(j, KEYS);
    write_operators(j, below(j, 40));
    take_checkpoint(j);
    if (below(j, 2) == 0) {
        expect_tidy(j);
        take_checkpoint(j);
    }
    memcpy(saved, j->cells, sizeof saved);
    const uint32_t split_count = j->split_count;
    write_some(j, KEYS / 2);
    write_operators(j, 5);
    atomic_fetch_add(&j->now_ms, below(j, TTL_MS / 2));
    memcpy(j->cells, saved, sizeof saved);
    j->split_count = split_count;
}

static uint64_t first_seed(void)
{
    const char *text = getenv("TARN_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : 20261123;
}

static bool is_long(void)
{
    return getenv("TARN_LONG") != NULL;
}

/* Whether what a long walk has seen is what the way is there for. */
static void expect_way(const job *j, const way *w)
{
    joined_total += j->joined_count;
    by_rows_total += j->by_rows_count;
    assert_true(j->part_count > 0 || !w->reads_parts);
    assert_true(j->joined_count == 0 || !w->is_by_rows);
    if (is_long()) {
        const bool has_holes = w->reads_parts && !w->links;
        assert_true(j->joined_count > 0 || w->is_by_rows || has_holes);
        assert_true(j->by_rows_count > 0 || !(w->is_by_rows || has_holes));
    }
}

static void walk(const way *w, const uint32_t *parallelisms, size_t count, uint32_t max)
{
    static job j;
    print_message("%s: TARN_SEED=%llu\n", w->name, (unsigned long long)first_seed());
    set_up(&j, first_seed() + (uint64_t)(w - WAYS), max, w);
    open_job(&j, parallelisms[0], NULL);
    for (size_t i = 1; i < count; i++) {
        live_a_while(&j);
        restore(&j, parallelisms[i]);
        if (is_long()) {
            print_message("%s: %u to %u\n", w->name, parallelisms[i - 1], parallelisms[i]);
        }
    }
    tear_down(&j);
    print_message(
        "%s: %zu restores, %u backends of files, %u of rows, %llu files by parts\n",
        w->name,
        count - 1,
        j.joined_count,
        j.by_rows_count,
        (unsigned long long)j.part_count);
    assert_true(j.expired_count > 0);
    expect_way(&j, w);
}

/* The rows of the matrix that are wanted: all, or TARN_MATRIX=from-to. */
static void choose_rows(uint32_t *from, uint32_t *to)
{
    const char *text = getenv("TARN_MATRIX");
    *from = 1;
    *to = PARALLELISM_MAX;
    if (text != NULL) {
        assert_int_equal(sscanf(text, "%" SCNu32 "-%" SCNu32, from, to), 2);
        assert_in_range(*from, 1, *to);
        assert_in_range(*to, *from, PARALLELISM_MAX);
    }
}

static void test_matrix(void **state)
{
    const way *w = *state;
    uint32_t path[2 * PARALLELISM_MAX * PARALLELISM_MAX + 1];
    size_t count = 0;
    uint32_t from;
    uint32_t to;
    tarn__random random = {first_seed() + (uint64_t)(w - WAYS)};

    choose_rows(&from, &to);
    for (uint32_t p = from; is_long() && p <= to; p++) {
        for (uint32_t q = 1; q <= PARALLELISM_MAX; q++) {
            path[count++] = p;
            path[count++] = q;
        }
    }
    while (count <= PAIRS) {
        path[count++] = 1 + (uint32_t)tarn__random_below(&random, PARALLELISM_MAX);
    }
    walk(w, path, count, 128);
}

/*
 * As many subtasks as key groups: none of theirs is divided, so that each of their files is taken
 * as a whole. What the large step has made of them is divided by the small one behind it, and read
 * by parts.
 */
static void test_large_steps(void **state)
{
    const uint32_t many = is_long() ? SUBTASKS_MAX : 12;
    walk(*state, (const uint32_t[]){many, 3, 2, many, 1}, 5, many);
}

/* Both are done, or one of them would be tried by nothing here. */
static void test_files_are_added_and_rows_taken_over(void **state)
{
    (void)state;
    print_message("%u backends of files, %u of rows\n", joined_total, by_rows_total);
    assert_true(joined_total > 0);
    assert_true(by_rows_total > 0);
}

/* Ways that are tried in every run of the tests: few, as each takes seconds. */
static bool is_wanted(const way *w, const char *const *names)
{
    for (; *names != NULL && !is_long(); names++) {
        if (strcmp(w->name, *names) == 0) {
            return true;
        }
    }
    return is_long();
}

static size_t add_tests(
    struct CMUnitTest *tests, const char *prefix, CMUnitTestFunction test, const char *const *names)
{
    static char room[2 * WAY_COUNT][64];
    static size_t named_count;
    size_t count = 0;
    for (size_t i = 0; i < WAY_COUNT; i++) {
        if (is_wanted(&WAYS[i], names)) {
            char *name = room[named_count++];
            (void)snprintf(name, sizeof room[0], "%s_%s", prefix, WAYS[i].name);
            tests[count++] = (struct CMUnitTest){
                .name = name, .test_func = test, .initial_state = (void *)(uintptr_t)&WAYS[i]};
        }
    }
    return count;
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[2 * WAY_COUNT + 1];
    size_t count = 0;
    count += add_tests(
        tests, "test_matrix", test_matrix, (const char *const[]){"linked", "parts_copied", NULL});
    count += add_tests(
        tests + count,
        "test_large_steps",
        test_large_steps,
        (const char *const[]){"parts_linked", "rows", NULL});
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    } else { /* Of all before it. */
        tests[count++] =
            (struct CMUnitTest)cmocka_unit_test(test_files_are_added_and_rows_taken_over);
    }
    return _cmocka_run_group_tests("rescale", tests, count, NULL, NULL);
}
