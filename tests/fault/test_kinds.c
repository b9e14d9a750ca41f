/*
 * The failure loop of the disk over each kind of keyed state and over timers: the nth call to the
 * file system after they were opened fails, once or from then on, in RocksDB or above it. Whatever
 * happens, a call that answered TARN_OK did what it says; one that failed changed nothing, or
 * poisoned the backend; everything can be closed; and the last checkpoint has what was there at its
 * barrier.
 *
 * Which thread meets the nth call is chance, so runs differ. TARN_LONG=1 has every call fail once,
 * else some do: RocksDB waits a second after a flush that failed.
 */
#include "support/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/checkpoint.h"
#include "tarn/keyed.h"
#include "tarn/snapshot.h"
#include "tarn/timer.h"

#include "state/backend.h"
#include "support/fault_disk.h"
#include "support/kinds_fixture.h"

enum {
    KEYS = 5,
    ENTRIES = 6,
    ROUNDS = 6,
    TEXT_BYTES = 64,
    PADDING_BYTES = 3000, /* Of a value: several blocks of a table. */
    STRIDE = 61,
    STRIDE_LASTING = 211, /* Most runs meet the failure. */
    STRIDE_LASTING_LONG = 7,
};

/* What each key has. Zero: nothing. */
typedef struct cell {
    uint64_t value;
    uint64_t entries[ENTRIES];
    uint64_t first_element; /* Elements are numbers in a row. */
    uint64_t element_count;
    int64_t sum;
    char text[TEXT_BYTES];
    char joined[TEXT_BYTES]; /* The accumulator of the aggregating state. */
    bool has_timer;
} cell;

typedef struct world {
    tarn_config *config;
    tarn_env *env;
    tarn_checkpoint_store *store;
    tarn_backend *backend;
    tarn_value *value;
    tarn_map *map;
    tarn_list *list;
    tarn_reducing *sum;
    tarn_reducing *text;
    tarn_aggregating *joined;
    tarn_timers *timers;
    cell cells[KEYS];
    cell saved[KEYS]; /* As the last checkpoint has them. */
    uint64_t number;  /* Grows with each write. */
    uint32_t poisoned_count;
    uint32_t failed_count;
    char directory[FIXTURE_PATH_BYTES];
    char address[FIXTURE_PATH_BYTES + 16];
    tarn_error error;
} world;

/* Answers whether a call succeeded; how else it may end is known. */
static bool is_done(world *w, tarn_status status)
{
    if (status == TARN_IO_ERROR || status == TARN_NO_SPACE || status == TARN_POISONED) {
        w->failed_count++;
        if (getenv("TARN_VERBOSE") != NULL) {
            print_message("%s: %s\n", tarn_status_name(status), w->error.message);
        }
        return false;
    }
    assert_ok(status, &w->error);
    return true;
}

static bool is_poisoned(const world *w)
{
    return tarn__backend_check_poison(w->backend, NULL) != TARN_OK;
}

static bool set_key(world *w, uint32_t key)
{
    return is_done(w, tarn_backend_set_key(w->backend, tarn_bytes_at(&key, sizeof key), &w->error));
}

/* ---- opening and closing ---------------------------------------------------------------- */

static bool open_folds(world *w, tarn_state_options *options)
{
    tarn_reducing_options sum = TARN_REDUCING_OPTIONS_INIT;
    tarn_reducing_options text = TARN_REDUCING_OPTIONS_INIT;
    tarn_aggregating_options joined = TARN_AGGREGATING_OPTIONS_INIT;
    sum.reducer = TARN_REDUCER_SUM;
    text.reduce = kinds_append_text;
    joined.add = kinds_add_text;
    options->name = "sum";
    bool is_good = is_done(w, tarn_reducing_open(w->backend, options, &sum, &w->sum, &w->error));
    options->name = "text";
    is_good =
        is_good && is_done(w, tarn_reducing_open(w->backend, options, &text, &w->text, &w->error));
    options->name = "joined";
    return is_good &&
           is_done(w, tarn_aggregating_open(w->backend, options, &joined, &w->joined, &w->error));
}

static bool open_all(world *w, const char *name, tarn_checkpoint *checkpoint)
{
    char directory[FIXTURE_PATH_BYTES + 16];
    (void)snprintf(directory, sizeof directory, "%s/%s", w->directory, name);
    tarn_backend_options of = TARN_BACKEND_OPTIONS_INIT;
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    tarn_timers_options timers = TARN_TIMERS_OPTIONS_INIT;
    of.env = w->env;
    of.operator_name = "test";
    of.directory = directory;
    of.restore = checkpoint;
    timers.name = "timers";
    timers.head_timer_count = 2;
    timers.buffer_timer_count = 2;
    if (!is_done(w, tarn_backend_open(&of, &w->backend, &w->error))) {
        assert_null(w->backend);
        return false;
    }
    options.name = "value";
    bool is_good = is_done(w, tarn_value_open(w->backend, &options, &w->value, &w->error));
    options.name = "map";
    options.layout = TARN_LAYOUT_NAMESPACE_FIRST;
    is_good = is_good && is_done(w, tarn_map_open(w->backend, &options, &w->map, &w->error));
    options.layout = TARN_LAYOUT_KEY_FIRST;
    options.name = "list";
    is_good = is_good && is_done(w, tarn_list_open(w->backend, &options, &w->list, &w->error));
    return is_good && open_folds(w, &options) &&
           is_done(w, tarn_timers_open(w->backend, &timers, &w->timers, &w->error));
}

/* Closes what is open. States go even when their last rows cannot be written. */
static void close_all(world *w)
{
    (void)is_done(w, tarn_timers_close(w->timers, &w->error));
    (void)is_done(w, tarn_value_close(w->value, &w->error));
    (void)is_done(w, tarn_map_close(w->map, &w->error));
    (void)is_done(w, tarn_list_close(w->list, &w->error));
    (void)is_done(w, tarn_reducing_close(w->sum, &w->error));
    (void)is_done(w, tarn_reducing_close(w->text, &w->error));
    (void)is_done(w, tarn_aggregating_close(w->joined, &w->error));
    assert_ok(tarn_backend_close(w->backend, &w->error), &w->error);
    w->timers = NULL;
    w->value = NULL;
    w->map = NULL;
    w->list = NULL;
    w->sum = NULL;
    w->text = NULL;
    w->joined = NULL;
    w->backend = NULL;
}

/* ---- writing ---------------------------------------------------------------------------- */

static tarn_bytes padded(uint64_t number, uint8_t room[PADDING_BYTES])
{
    for (size_t i = 0; i < PADDING_BYTES; i++) { /* Not to be compressed away. */
        room[i] = (uint8_t)((number + i) * 2654435761u >> 13);
    }
    memcpy(room, &number, sizeof number);
    return tarn_bytes_at(room, PADDING_BYTES);
}

static void write_value_and_map(world *w, cell *c)
{
    uint8_t room[PADDING_BYTES];
    const uint64_t number = ++w->number;
    if (is_done(w, tarn_value_put(w->value, padded(number, room), &w->error))) {
        c->value = number;
    }
    for (uint32_t i = 0; i < ENTRIES; i++) {
        const tarn_bytes key = tarn_bytes_at(&i, sizeof i);
        if (is_done(w, tarn_map_put(w->map, key, padded(number + i, room), &w->error))) {
            c->entries[i] = number + i;
        }
    }
    const uint32_t removed = (uint32_t)(number % ENTRIES);
    if (is_done(w, tarn_map_remove(w->map, tarn_bytes_at(&removed, sizeof removed), &w->error))) {
        c->entries[removed] = 0;
    }
}

static void append(world *w, cell *c)
{
    uint64_t numbers[3];
    tarn_bytes elements[3];
    for (uint32_t i = 0; i < 3; i++) {
        numbers[i] = c->first_element + c->element_count + i;
        elements[i] = tarn_bytes_at(&numbers[i], sizeof numbers[i]);
    }
    if (is_done(w, tarn_list_append_all(w->list, elements, 3, &w->error))) {
        c->element_count += 3;
    }
}

static void write_list(world *w, cell *c)
{
    append(w, c);
    if (w->number % 4 == 0) {
        const uint64_t number = ++w->number;
        const tarn_bytes element = tarn_bytes_at(&number, sizeof number);
        if (is_done(w, tarn_list_replace(w->list, &element, 1, &w->error))) {
            c->first_element = number;
            c->element_count = 1;
        }
    }
}

static void add_text(char text[TEXT_BYTES], const char *piece)
{
    const size_t size = strlen(text);
    (void)snprintf(text + size, TEXT_BYTES - size, "%s", piece);
}

static void write_folds(world *w, cell *c)
{
    const int64_t added = (int64_t)++w->number;
    char piece[8];
    (void)snprintf(piece, sizeof piece, "%u,", (unsigned)(added % 100));
    if (is_done(w, tarn_reducing_add_i64(w->sum, added, &w->error))) {
        c->sum += added;
    }
    if (is_done(w, tarn_reducing_add(w->text, tarn_bytes_of(piece), &w->error))) {
        add_text(c->text, piece);
    }
    if (is_done(w, tarn_aggregating_add(w->joined, tarn_bytes_of(piece), &w->error))) {
        add_text(c->joined, piece);
    }
}

static void write_timer(world *w, cell *c, uint32_t key)
{
    const bool removes = w->number % 3 == 0;
    const tarn_status status =
        removes ? tarn_timers_remove(w->timers, key, tarn_bytes_of("w"), &w->error)
                : tarn_timers_register(w->timers, key, tarn_bytes_of("w"), &w->error);
    if (is_done(w, status)) {
        c->has_timer = !removes;
    }
}

static void write_round(world *w)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        cell *c = &w->cells[key];
        if (set_key(w, key)) {
            write_value_and_map(w, c);
            write_list(w, c);
            write_folds(w, c);
            write_timer(w, c, key);
        }
    }
}

/* ---- reading ---------------------------------------------------------------------------- */

/* What a read answers that does not fail. */
static void check_bytes(world *w, tarn_status status, bool is_there, tarn_bytes read, tarn_bytes is)
{
    if (status == TARN_NOT_FOUND) {
        assert_false(is_there);
    } else if (is_done(w, status)) {
        assert_true(is_there && tarn_bytes_is_equal(read, is));
    }
}

static void check_value(world *w, const cell *c)
{
    uint8_t room[PADDING_BYTES];
    tarn_bytes read = {NULL, 0};
    const tarn_status status = tarn_value_get(w->value, &read, &w->error);
    check_bytes(w, status, c->value != 0, read, padded(c->value, room));
}

static void check_map(world *w, const cell *c)
{
    uint8_t room[PADDING_BYTES];
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    tarn_status status = tarn_map_iterate(w->map, NULL, NULL, &iterator, &w->error);
    for (uint32_t i = 0; i < ENTRIES && status == TARN_OK; i++) {
        if (c->entries[i] == 0) {
            continue;
        }
        status = tarn_map_iterator_next(iterator, &entry, &w->error);
        assert_int_not_equal(status, TARN_DONE);
        if (status == TARN_OK) {
            assert_true(tarn_bytes_is_equal(entry.key, tarn_bytes_at(&i, sizeof i)));
            assert_true(tarn_bytes_is_equal(entry.value, padded(c->entries[i], room)));
        }
    }
    if (is_done(w, status)) {
        status = tarn_map_iterator_next(iterator, &entry, &w->error);
        assert_true(status == TARN_DONE || !is_done(w, status));
    }
    tarn_map_iterator_close(iterator);
}

static void check_list(world *w, const cell *c)
{
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    tarn_status status = tarn_list_iterate(w->list, NULL, &iterator, &w->error);
    for (uint64_t i = 0; i < c->element_count && status == TARN_OK; i++) {
        const uint64_t number = c->first_element + i;
        status = tarn_list_iterator_next(iterator, &element, &w->error);
        assert_int_not_equal(status, TARN_DONE);
        assert_true(
            status != TARN_OK ||
            tarn_bytes_is_equal(element, tarn_bytes_at(&number, sizeof number)));
    }
    if (is_done(w, status)) {
        status = tarn_list_iterator_next(iterator, &element, &w->error);
        assert_true(status == TARN_DONE || !is_done(w, status));
    }
    tarn_list_iterator_close(iterator);
}

static void check_folds(world *w, const cell *c)
{
    tarn_bytes read = {NULL, 0};
    int64_t sum = 0;
    tarn_status status = tarn_reducing_get_i64(w->sum, &sum, &w->error);
    check_bytes(
        w,
        status,
        c->sum != 0,
        tarn_bytes_at(&sum, sizeof sum),
        tarn_bytes_at(&c->sum, sizeof c->sum));
    status = tarn_reducing_get(w->text, &read, &w->error);
    check_bytes(w, status, c->text[0] != '\0', read, tarn_bytes_of(c->text));
    status = tarn_aggregating_get(w->joined, &read, &w->error);
    check_bytes(w, status, c->joined[0] != '\0', read, tarn_bytes_of(c->joined));
}

static void check_round(world *w)
{
    uint64_t timer_count = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        const cell *c = &w->cells[key];
        timer_count += c->has_timer ? 1 : 0;
        if (set_key(w, key)) {
            check_value(w, c);
            check_map(w, c);
            check_list(w, c);
            check_folds(w, c);
        }
    }
    if (!is_poisoned(w)) {
        assert_int_equal(tarn_timers_count(w->timers), timer_count);
    }
}

/* Takes all timers: they come in order, or a poll fails and they come later. */
static void fire(world *w)
{
    tarn_timer timer;
    tarn_status status;
    do {
        uint32_t next = 0;
        while (next < KEYS && !w->cells[next].has_timer) {
            next++;
        }
        status = tarn_timers_poll(w->timers, KEYS, &timer, &w->error);
        if (status == TARN_DONE) {
            assert_int_equal(next, KEYS);
        } else if (is_done(w, status)) {
            assert_int_equal(timer.time, next);
            w->cells[next].has_timer = false;
        }
    } while (status == TARN_OK);
}

/* ---- whole states ----------------------------------------------------------------------- */

/* Merges a window of the lists, drops one of the maps, removes a key. */
static void change_at_large(world *w)
{
    const tarn_bytes window = tarn_bytes_of("window");
    if (!set_key(w, 1) || !is_done(w, tarn_list_set_namespace(w->list, window, &w->error))) {
        return;
    }
    cell *c = &w->cells[1];
    const uint64_t element_count = c->element_count;
    append(w, c);
    if (!is_done(w, tarn_list_set_namespace(w->list, tarn_bytes_of(""), &w->error))) {
        return;
    }
    if (!is_done(
            w,
            tarn_keyed_merge_namespaces(
                tarn_list_keyed(w->list), &window, 1, tarn_bytes_of(""), &w->error))) {
        c->element_count = element_count; /* They are still in the window. */
    }
    if (is_done(
            w, tarn_keyed_drop_namespace(tarn_map_keyed(w->map), tarn_bytes_of(""), &w->error))) {
        for (uint32_t key = 0; key < KEYS; key++) {
            memset(w->cells[key].entries, 0, sizeof w->cells[key].entries);
        }
    }
}

static void remove_key(world *w, uint32_t key)
{
    if (set_key(w, key) && is_done(w, tarn_backend_remove_key(w->backend, &w->error))) {
        w->cells[key] = (cell){0};
    }
}

static void flush(world *w)
{
    if (is_done(w, tarn__backend_settle_all(w->backend, &w->error))) {
        const tarn_status status = tarn__rocks_flush(w->backend->rocks, &w->error);
        (void)is_done(w, tarn__backend_finish_write(w->backend, status, &w->error));
    }
}

/* ---- checkpoints ------------------------------------------------------------------------ */

/* The subtask's part may fail; what follows is the job's. */
static void take_checkpoint(world *w)
{
    static cell begun[KEYS];
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    const uint64_t id = tarn_checkpoint_store_next_id(w->store);
    fault_disk_pause();
    assert_ok(tarn_checkpoint_begin(w->store, id, &pending, &w->error), &w->error);
    fault_disk_resume();
    bool is_taken = is_done(w, tarn_snapshot_begin(w->backend, pending, &snapshot, &w->error));
    memcpy(begun, w->cells, sizeof begun);
    write_round(w);
    if (is_taken) {
        is_taken = is_done(w, tarn_snapshot_finish(snapshot, &acknowledgement, &w->error));
    }
    fault_disk_pause();
    if (is_taken) {
        assert_ok(
            tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &w->error),
            &w->error);
        assert_ok(tarn_checkpoint_commit(pending, NULL, &w->error), &w->error);
        tarn_backend_notify_complete(w->backend, id);
        memcpy(w->saved, begun, sizeof w->saved);
    } else {
        tarn_checkpoint_abandon(pending);
    }
    tarn_buffer_clear(&acknowledgement);
    fault_disk_resume();
}

static void check_last_checkpoint(world *w)
{
    char path[FIXTURE_PATH_BYTES + 32];
    tarn_checkpoint *checkpoint = NULL;
    (void)snprintf(path, sizeof path, "%s/job", w->address);
    assert_ok(tarn_checkpoint_open(path, NULL, &checkpoint, &w->error), &w->error);
    w->failed_count = 0;
    assert_true(open_all(w, "restored", checkpoint));
    memcpy(w->cells, w->saved, sizeof w->cells);
    check_round(w);
    fire(w);
    assert_int_equal(w->failed_count, 0);
    close_all(w);
    tarn_checkpoint_free(checkpoint);
}

/* ---- the loop --------------------------------------------------------------------------- */

static void use_all(world *w, uint64_t working_set_bytes)
{
    memset(w->cells, 0, sizeof w->cells);
    (void)is_done(w, tarn_backend_resize_working_set(w->backend, working_set_bytes, &w->error));
    for (uint32_t i = 0; i < ROUNDS; i++) {
        write_round(w);
        check_round(w);
        if (i % 2 == 0) {
            flush(w);
        }
        if (i == 2) {
            take_checkpoint(w);
            change_at_large(w);
        }
    }
    tarn__rocks_compact(tarn__rocks_find_family(w->backend->rocks, "map"));
    remove_key(w, 2);
    check_round(w);
    fire(w);
    take_checkpoint(w);
}

/* One run; answers whether the nth call was reached. */
static bool run(world *w, uint64_t nth, int code, bool is_lasting)
{
    w->failed_count = 0;
    assert_true(open_all(w, "work", NULL)); /* RocksDB ends the process when its log fails. */
    fault_disk_arm(nth, code, is_lasting);
    use_all(w, nth % 2 == 0 ? 0 : 6000);
    const bool has_fired = fault_disk_disarm();
    assert_true(has_fired || w->failed_count == 0);
    w->poisoned_count += is_poisoned(w) ? 1 : 0;
    if (!is_poisoned(w)) {
        const uint32_t failed = w->failed_count;
        check_round(w);
        fire(w);
        assert_true(is_poisoned(w) || w->failed_count == failed);
    }
    close_all(w);
    check_last_checkpoint(w);
    return has_fired;
}

static void run_loop(world *w, int code, bool is_lasting, uint64_t first)
{
    const char *is_long = getenv("TARN_LONG");
    const uint64_t some = is_lasting ? STRIDE_LASTING : STRIDE;
    const uint64_t all = is_lasting ? STRIDE_LASTING_LONG : 1;
    const uint64_t stride = is_long != NULL && is_long[0] == '1' ? all : some;
    uint64_t nth = first;
    w->poisoned_count = 0;
    while (run(w, nth, code, is_lasting)) {
        nth += stride;
        assert_true(nth < 100000);
    }
    print_message(
        "%s%s: %llu calls, every %lluth failed once; %u runs were poisoned\n",
        strerror(code),
        is_lasting ? " from then on" : "",
        (unsigned long long)fault_disk_call_count(),
        (unsigned long long)stride,
        w->poisoned_count);
    assert_true(w->poisoned_count > 0);
}

static int set_up(void **state)
{
    static world w;
    w.config = fixture_new_config(64);
    w.env = fixture_open_env(w.config, NULL);
    fixture_make_directory(w.directory);
    (void)snprintf(w.address, sizeof w.address, "%s/store", w.directory);
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = w.env;
    options.address = w.address;
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, &w.store, &w.error), &w.error);
    assert_false(run(&w, UINT64_MAX, EIO, false)); /* The first checkpoints. */
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    world *w = *state;
    assert_ok(tarn_checkpoint_store_close(w->store, &w->error), &w->error);
    assert_ok(tarn_env_close(w->env, &w->error), &w->error);
    tarn_config_free(w->config);
    fixture_remove_directory(w->directory);
    return 0;
}

static void test_a_disk_that_fails_once_costs_no_kind_of_state_a_row(void **state)
{
    run_loop(*state, EIO, false, 0);
}

static void test_a_disk_that_is_gone_costs_no_kind_of_state_a_row(void **state)
{
    run_loop(*state, EIO, true, 7);
}

static void test_a_disk_that_is_full_costs_no_kind_of_state_a_row(void **state)
{
    run_loop(*state, ENOSPC, true, 13);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_disk_that_fails_once_costs_no_kind_of_state_a_row),
        TEST(test_a_disk_that_is_gone_costs_no_kind_of_state_a_row),
        TEST(test_a_disk_that_is_full_costs_no_kind_of_state_a_row),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
