/*
 * Unit tests of state/keyed.c, state/keys.c and state/spans.c: keys by namespace, dropping and
 * clearing with neighbours on all sides, merging of lists, a key in all states, and figures.
 */
#include "support/kinds_fixture.h"

#include <stdio.h>
#include <string.h>

static tarn_map *open_map(kinds_fixture *f, const char *name, tarn_layout layout)
{
    tarn_map *map = NULL;
    (void)kinds_options(f, name);
    f->options.layout = layout;
    assert_ok(tarn_map_open(f->backend, &f->options, &map, &f->error), &f->error);
    return map;
}

/* Some entries under each of count keys in a namespace. */
static void fill(
    kinds_fixture *f, tarn_map *map, const char *name_space, uint32_t count, uint32_t entry_count)
{
    assert_ok(tarn_map_set_namespace(map, tarn_bytes_of(name_space), &f->error), &f->error);
    for (uint32_t i = 0; i < count; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key %u", i);
        kinds_set_key(f, key);
        for (uint32_t j = 0; j < entry_count; j++) {
            assert_ok(
                tarn_map_put(map, tarn_bytes_at(&j, sizeof j), tarn_bytes_of("v"), &f->error),
                &f->error);
        }
    }
}

static void check_keys_and_drop(kinds_fixture *f, tarn_layout layout)
{
    tarn_map *map = open_map(f, "map", layout);
    tarn_keyed *keyed = tarn_map_keyed(map);
    static const char *const NAMES[] = {"", "v", "w", "w\xff", "ww"};
    for (uint32_t i = 0; i < 5; i++) {
        fill(f, map, NAMES[i], 300 + i, 2);
    }
    assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error);
    fill(f, map, "w", 310, 2);
    assert_int_equal(kinds_count_keys(f, keyed, "w"), 310);
    assert_int_equal(kinds_count_keys(f, keyed, "ww"), 304);
    assert_int_equal(kinds_count_keys(f, keyed, "x"), 0);
    assert_int_equal(kinds_count_keys(f, keyed, NULL), 300 + 301 + 310 + 303 + 304);
    assert_ok(tarn_keyed_drop_namespace(keyed, tarn_bytes_of("w"), &f->error), &f->error);
    assert_ok(tarn_keyed_drop_namespace(keyed, tarn_bytes_of("x"), &f->error), &f->error);
    assert_int_equal(kinds_count_keys(f, keyed, "w"), 0);
    assert_int_equal(kinds_count_keys(f, keyed, "v"), 301);
    assert_int_equal(kinds_count_keys(f, keyed, "w\xff"), 303);
    assert_int_equal(kinds_count_keys(f, keyed, NULL), 300 + 301 + 303 + 304);
    fill(f, map, "w", 3, 1); /* The namespace can come back. */
    assert_int_equal(kinds_count_keys(f, keyed, "w"), 3);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
}

static void test_a_dropped_namespace_leaves_its_neighbours(void **state)
{
    check_keys_and_drop(*state, TARN_LAYOUT_KEY_FIRST);
}

static void test_a_dropped_namespace_leaves_its_neighbours_when_it_lies_together(void **state)
{
    check_keys_and_drop(*state, TARN_LAYOUT_NAMESPACE_FIRST);
}

/* Enough in one group that whole files lie in the range: they go, and nothing old comes back. */
static void test_dropping_files_brings_nothing_back(void **state)
{
    kinds_fixture *f = *state;
    tarn_map *map = open_map(f, "map", TARN_LAYOUT_NAMESPACE_FIRST);
    tarn_keyed *keyed = tarn_map_keyed(map);
    tarn__rocks_family *family = tarn__rocks_find_family(f->backend->rocks, "map");
    tarn_keyed_stats stats;
    for (uint32_t round = 0; round < 3; round++) {
        fill(f, map, "w", 20, 300);
        assert_ok(tarn__backend_settle_all(f->backend, &f->error), &f->error);
        assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error);
        if (round == 0) {
            tarn__rocks_compact(family);
        }
    }
    tarn_keyed_measure(keyed, &stats);
    assert_true(stats.file_bytes > 0);
    assert_true(stats.row_count_estimate >= 20 * 300);
    assert_ok(tarn_keyed_drop_namespace(keyed, tarn_bytes_of("w"), &f->error), &f->error);
    assert_int_equal(kinds_count_keys(f, keyed, NULL), 0);
    tarn__rocks_compact(family);
    assert_int_equal(kinds_count_keys(f, keyed, NULL), 0);
    tarn_keyed_measure(keyed, &stats);
    assert_int_equal(stats.file_bytes, 0);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
}

static void test_clearing_a_state_leaves_the_others(void **state)
{
    kinds_fixture *f = *state;
    tarn_map *map = open_map(f, "map", TARN_LAYOUT_KEY_FIRST);
    tarn_map *other = open_map(f, "other", TARN_LAYOUT_KEY_FIRST);
    fill(f, map, "w", 100, 3);
    fill(f, other, "w", 5, 3);
    assert_ok(tarn_keyed_clear(tarn_map_keyed(map), &f->error), &f->error);
    assert_int_equal(kinds_count_keys(f, tarn_map_keyed(map), NULL), 0);
    assert_int_equal(kinds_count_keys(f, tarn_map_keyed(other), NULL), 5);
    assert_ok(tarn_keyed_clear(tarn_map_keyed(map), &f->error), &f->error);   /* Nothing there. */
    assert_ok(tarn_keyed_clear(tarn_map_keyed(other), &f->error), &f->error); /* A few rows. */
    assert_int_equal(kinds_count_keys(f, tarn_map_keyed(other), NULL), 0);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
    assert_ok(tarn_map_close(other, &f->error), &f->error);
}

static void test_a_key_is_removed_from_all_states_open_or_not(void **state)
{
    kinds_fixture *f = *state;
    tarn_map *first = open_map(f, "first", TARN_LAYOUT_KEY_FIRST);
    tarn_map *second = open_map(f, "second", TARN_LAYOUT_NAMESPACE_FIRST);
    kinds_expect_failure(
        f, tarn_backend_remove_key(f->backend, &f->error), TARN_INVALID_ARGUMENT, "key");
    fill(f, first, "v", 10, 100);
    fill(f, first, "w", 10, 2);
    fill(f, second, "v", 10, 100);
    fill(f, second, "w", 10, 2);
    assert_ok(tarn_map_close(first, &f->error), &f->error);
    kinds_set_key(f, "key 3");
    assert_ok(tarn_backend_remove_key(f->backend, &f->error), &f->error);
    first = open_map(f, "first", TARN_LAYOUT_KEY_FIRST);
    assert_int_equal(kinds_count_keys(f, tarn_map_keyed(first), NULL), 18);
    assert_int_equal(kinds_count_keys(f, tarn_map_keyed(second), NULL), 18);
    assert_int_equal(kinds_count_keys(f, tarn_map_keyed(second), "v"), 9);
    bool is_empty = false;
    assert_ok(tarn_map_is_empty(second, &is_empty, &f->error), &f->error);
    assert_true(is_empty);
    assert_ok(tarn_map_close(first, &f->error), &f->error);
    assert_ok(tarn_map_close(second, &f->error), &f->error);
}

/* What no file and no memtable has is counted, too; without a working set there is no such thing.
 */
static void test_figures_tell_what_is_only_in_the_working_set(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = NULL;
    tarn_keyed_stats stats;
    enum { COUNT = 50 };
    assert_ok(tarn_value_open(f->backend, kinds_options(f, "value"), &value, &f->error), &f->error);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_ok(
            tarn_backend_set_key(f->backend, tarn_bytes_at(&i, sizeof i), &f->error), &f->error);
        assert_ok(tarn_value_put(value, tarn_bytes_of("v"), &f->error), &f->error);
    }
    tarn_keyed_measure(tarn_value_keyed(value), &stats);
    assert_int_equal(stats.held_row_count, COUNT);
    assert_int_equal(stats.unwritten_row_count, COUNT);
    assert_int_equal(stats.row_count_estimate, 0);
    assert_int_equal(stats.file_bytes, 0);
    assert_ok(tarn__backend_settle_all(f->backend, &f->error), &f->error);
    tarn_keyed_measure(tarn_value_keyed(value), &stats);
    assert_int_equal(stats.held_row_count, COUNT);
    assert_int_equal(stats.unwritten_row_count, 0);
    assert_int_equal(stats.row_count_estimate, COUNT);
    assert_ok(tarn_backend_resize_working_set(f->backend, 0, &f->error), &f->error);
    tarn_keyed_measure(tarn_value_keyed(value), &stats);
    assert_int_equal(stats.held_row_count, 0);
    assert_int_equal(stats.row_count_estimate, COUNT);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

/* Of a window in one piece: a range tombstone for each key group, whatever the number of rows. */
static void test_a_window_goes_by_one_range_delete_for_each_group(void **state)
{
    kinds_fixture *f = *state;
    tarn_map *map = open_map(f, "map", TARN_LAYOUT_NAMESPACE_FIRST);
    tarn__rocks_family *family = tarn__rocks_find_family(f->backend->rocks, "map");
    enum { KEYS_EACH = 3, ENTRIES_EACH = 100, ROWS = 2 * KEYS_EACH * ENTRIES_EACH };
    tarn__rocks_stats stats;
    fill(f, map, "old", KEYS_EACH, ENTRIES_EACH);
    fill(f, map, "young", KEYS_EACH, ENTRIES_EACH);
    assert_ok(tarn__backend_settle_all(f->backend, &f->error), &f->error);
    tarn__rocks_measure_family(family, &stats);
    assert_int_equal(stats.row_count_estimate, ROWS);
    assert_ok(
        tarn_keyed_drop_namespace(tarn_map_keyed(map), tarn_bytes_of("old"), &f->error), &f->error);
    assert_int_equal(kinds_count_keys(f, tarn_map_keyed(map), "old"), 0);
    assert_int_equal(kinds_count_keys(f, tarn_map_keyed(map), "young"), KEYS_EACH);
    /* RocksDB reckons that each delete takes a row, and a range tombstone none. */
    tarn__rocks_measure_family(family, &stats);
    assert_in_range(stats.row_count_estimate, ROWS, ROWS + KEYS_EACH);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
}

/* ---- merging ---------------------------------------------------------------------------- */

static void append(kinds_fixture *f, tarn_list *list, const char *name_space, const char *element)
{
    assert_ok(tarn_list_set_namespace(list, tarn_bytes_of(name_space), &f->error), &f->error);
    assert_ok(tarn_list_append(list, tarn_bytes_of(element), &f->error), &f->error);
}

static void expect_list(
    kinds_fixture *f, tarn_list *list, const char *name_space, const char *expected)
{
    char all[64] = "";
    size_t size = 0;
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    assert_ok(tarn_list_set_namespace(list, tarn_bytes_of(name_space), &f->error), &f->error);
    assert_ok(tarn_list_iterate(list, NULL, &iterator, &f->error), &f->error);
    while (tarn_list_iterator_next(iterator, &element, &f->error) == TARN_OK) {
        memcpy(all + size, element.data, element.size);
        size += element.size;
    }
    tarn_list_iterator_close(iterator);
    assert_string_equal(all, expected);
}

static void check_merging_lists(kinds_fixture *f, tarn_layout layout)
{
    tarn_list *list = NULL;
    const tarn_bytes sources[] = {
        tarn_bytes_of("c"),
        tarn_bytes_of("none"),
        tarn_bytes_of("a"),
        tarn_bytes_of("c"),
        tarn_bytes_of("t")};
    (void)kinds_options(f, "list");
    f->options.layout = layout;
    assert_ok(tarn_list_open(f->backend, &f->options, &list, &f->error), &f->error);
    tarn_keyed *keyed = tarn_list_keyed(list);
    kinds_set_key(f, "other");
    append(f, list, "a", "-");
    kinds_set_key(f, "k");
    append(f, list, "a", "1");
    append(f, list, "c", "2");
    append(f, list, "t", "3");
    append(f, list, "a", "4");
    assert_ok(
        tarn_keyed_merge_namespaces(keyed, sources, 5, tarn_bytes_of("t"), &f->error), &f->error);
    expect_list(f, list, "t", "3214");
    expect_list(f, list, "a", "");
    expect_list(f, list, "c", "");
    append(f, list, "t", "5");
    expect_list(f, list, "t", "32145");
    /* Absent sources make no target; no sources do nothing. */
    assert_ok(
        tarn_keyed_merge_namespaces(keyed, sources, 2, tarn_bytes_of("new"), &f->error), &f->error);
    assert_ok(
        tarn_keyed_merge_namespaces(keyed, NULL, 0, tarn_bytes_of("new"), &f->error), &f->error);
    assert_int_equal(kinds_count_keys(f, keyed, "new"), 0);
    /* Into one that is absent. */
    assert_ok(
        tarn_keyed_merge_namespaces(keyed, sources + 4, 1, tarn_bytes_of("new"), &f->error),
        &f->error);
    expect_list(f, list, "new", "32145");
    kinds_set_key(f, "other");
    expect_list(f, list, "a", "-");
    assert_ok(tarn_list_close(list, &f->error), &f->error);
}

static void test_lists_merge_in_the_order_of_the_sources(void **state)
{
    check_merging_lists(*state, TARN_LAYOUT_KEY_FIRST);
}

static void test_lists_merge_with_namespaces_first(void **state)
{
    check_merging_lists(*state, TARN_LAYOUT_NAMESPACE_FIRST);
}

static void test_what_cannot_be_merged_is_refused(void **state)
{
    kinds_fixture *f = *state;
    static const uint8_t LONG[65536];
    const tarn_bytes long_name = tarn_bytes_at(LONG, sizeof LONG);
    tarn_list *list = NULL;
    assert_ok(tarn_list_open(f->backend, kinds_options(f, "list"), &list, &f->error), &f->error);
    tarn_map *map = open_map(f, "map", TARN_LAYOUT_KEY_FIRST);
    tarn_keyed *keyed = tarn_list_keyed(list);
    const tarn_bytes source = tarn_bytes_of("a");
    kinds_expect_failure(
        f,
        tarn_keyed_merge_namespaces(keyed, &source, 1, source, &f->error),
        TARN_INVALID_ARGUMENT,
        "list"); /* No key. */
    kinds_set_key(f, "k");
    assert_int_equal(
        tarn_keyed_merge_namespaces(keyed, &long_name, 1, source, &f->error),
        TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_keyed_merge_namespaces(keyed, &source, 1, long_name, &f->error),
        TARN_INVALID_ARGUMENT);
    kinds_expect_failure(
        f,
        tarn_keyed_merge_namespaces(tarn_map_keyed(map), &source, 1, long_name, &f->error),
        TARN_NOT_SUPPORTED,
        "map");
    assert_ok(tarn_map_close(map, &f->error), &f->error);
    assert_ok(tarn_list_close(list, &f->error), &f->error);
}

/* ---- iterators over keys ---------------------------------------------------------------- */

static void test_a_leaked_key_iterator_is_named(void **state)
{
    kinds_fixture *f = *state;
    tarn_map *map = open_map(f, "map", TARN_LAYOUT_KEY_FIRST);
    tarn_key_iterator *iterator = NULL;
    assert_ok(
        tarn_keyed_iterate_keys(tarn_map_keyed(map), NULL, "census", &iterator, &f->error),
        &f->error);
    kinds_expect_failure(f, tarn_map_close(map, &f->error), TARN_BUSY, "census");
    tarn_key_iterator_close(iterator);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
}

static void test_keys_are_those_of_the_beginning(void **state)
{
    kinds_fixture *f = *state;
    tarn_map *map = open_map(f, "map", TARN_LAYOUT_KEY_FIRST);
    tarn_key_iterator *iterator = NULL;
    tarn_row row;
    uint32_t count = 0;
    fill(f, map, "w", 10, 20);
    assert_ok(
        tarn_keyed_iterate_keys(tarn_map_keyed(map), NULL, NULL, &iterator, &f->error), &f->error);
    fill(f, map, "w", 20, 1);
    kinds_set_key(f, "key 0");
    assert_ok(tarn_map_clear(map, &f->error), &f->error);
    tarn_status status = tarn_key_iterator_next(iterator, &row, &f->error);
    while (status == TARN_OK) {
        assert_true(tarn_bytes_is_equal(row.name_space, tarn_bytes_of("w")));
        assert_int_equal(row.key_group, tarn_key_group_of(tarn_hash_bytes(row.key), 128));
        count++;
        status = tarn_key_iterator_next(iterator, &row, &f->error);
    }
    assert_int_equal(status, TARN_DONE);
    assert_int_equal(count, 10);
    tarn_key_iterator_close(iterator);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
}

/* ---- the failure loop ------------------------------------------------------------------- */

typedef struct states {
    tarn_map *map;
    tarn_list *list;
    tarn_reducing *text;
    tarn_reducing *sum;
    tarn_aggregating *agg;
    tarn_map_iterator *entries;
    tarn_list_iterator *elements;
    tarn_key_iterator *keys;
} states;

static tarn_status open_all(kinds_fixture *f, tarn_backend *backend, states *s)
{
    tarn_reducing_options text = TARN_REDUCING_OPTIONS_INIT;
    tarn_reducing_options sum = TARN_REDUCING_OPTIONS_INIT;
    tarn_aggregating_options agg = TARN_AGGREGATING_OPTIONS_INIT;
    text.reduce = kinds_append_text;
    sum.reducer = TARN_REDUCER_SUM;
    agg.add = kinds_add_text;
    agg.merge = kinds_append_text;
    agg.get_result = kinds_bracket;
    const tarn_state_options *options = kinds_ttl_options(
        f, "map", 1000, TARN_TTL_ON_READ_AND_WRITE, TARN_TTL_NEVER_RETURN_EXPIRED);
    f->options.layout = TARN_LAYOUT_NAMESPACE_FIRST;
    TARN_TRY(tarn_map_open(backend, options, &s->map, NULL));
    f->options.name = "list";
    TARN_TRY(tarn_list_open(backend, options, &s->list, NULL));
    f->options.name = "text";
    f->options.layout = TARN_LAYOUT_KEY_FIRST;
    TARN_TRY(tarn_reducing_open(backend, options, &text, &s->text, NULL));
    f->options.name = "sum";
    TARN_TRY(tarn_reducing_open(backend, options, &sum, &s->sum, NULL));
    f->options.name = "agg";
    return tarn_aggregating_open(backend, options, &agg, &s->agg, NULL);
}

static tarn_status use_map_and_list(kinds_fixture *f, states *s, tarn_bytes long_bytes)
{
    const tarn_map_entry entries[] = {{long_bytes, long_bytes}, {tarn_bytes_of("a"), long_bytes}};
    const tarn_bytes elements[] = {long_bytes, tarn_bytes_of(""), long_bytes};
    tarn_map_entry entry;
    tarn_bytes element;
    bool is_empty;
    TARN_TRY(tarn_map_set_namespace(s->map, long_bytes, NULL));
    TARN_TRY(tarn_map_put(s->map, tarn_bytes_of("b"), tarn_bytes_of("v"), NULL));
    TARN_TRY(tarn_map_put_all(s->map, entries, 2, NULL));
    TARN_TRY(tarn_map_is_empty(s->map, &is_empty, NULL));
    TARN_TRY(tarn_list_set_namespace(s->list, long_bytes, NULL));
    TARN_TRY(tarn_list_append_all(s->list, elements, 3, NULL));
    TARN_TRY(tarn_list_append(s->list, long_bytes, NULL));
    f->now_ms++;
    TARN_TRY(tarn_map_get(s->map, tarn_bytes_of("a"), &element, NULL));
    TARN_TRY(tarn_map_iterate(s->map, NULL, NULL, &s->entries, NULL));
    TARN_TRY(tarn_map_iterator_next(s->entries, &entry, NULL));
    TARN_TRY(tarn_map_iterator_remove(s->entries, NULL));
    TARN_TRY(tarn_list_iterate(s->list, NULL, &s->elements, NULL));
    TARN_TRY(tarn_list_iterator_next(s->elements, &element, NULL));
    TARN_TRY(tarn_map_clear(s->map, NULL));
    return tarn_list_replace(s->list, elements, 3, NULL);
}

static tarn_status use_folds(states *s, tarn_bytes long_bytes)
{
    const tarn_bytes sources[] = {tarn_bytes_of("x"), long_bytes};
    tarn_bytes read;
    int64_t number = 0;
    TARN_TRY(tarn_reducing_set_namespace(s->text, long_bytes, NULL));
    TARN_TRY(tarn_reducing_add(s->text, long_bytes, NULL));
    TARN_TRY(tarn_reducing_add(s->text, long_bytes, NULL));
    TARN_TRY(tarn_reducing_get(s->text, &read, NULL));
    TARN_TRY(tarn_reducing_set_namespace(s->sum, long_bytes, NULL));
    TARN_TRY(tarn_reducing_add_i64(s->sum, 1, NULL));
    TARN_TRY(tarn_reducing_get_i64(s->sum, &number, NULL));
    TARN_TRY(tarn_aggregating_add(s->agg, long_bytes, NULL));
    TARN_TRY(tarn_aggregating_set_namespace(s->agg, long_bytes, NULL));
    TARN_TRY(tarn_aggregating_add(s->agg, long_bytes, NULL));
    TARN_TRY(tarn_aggregating_get(s->agg, &read, NULL));
    const tarn_bytes target = tarn_bytes_of("");
    TARN_TRY(tarn_keyed_merge_namespaces(tarn_aggregating_keyed(s->agg), sources, 2, target, NULL));
    TARN_TRY(tarn_keyed_merge_namespaces(tarn_reducing_keyed(s->sum), sources, 2, target, NULL));
    TARN_TRY(tarn_keyed_merge_namespaces(tarn_reducing_keyed(s->text), sources, 2, target, NULL));
    return TARN_OK;
}

static tarn_status use_all(kinds_fixture *f, tarn_backend *backend, states *s)
{
    static const uint8_t LONG[400] = {1};
    const tarn_bytes long_bytes = tarn_bytes_at(LONG, sizeof LONG);
    tarn_row row;
    const tarn_bytes source = tarn_bytes_of("a source");
    TARN_TRY(open_all(f, backend, s));
    TARN_TRY(tarn_backend_set_key(backend, tarn_bytes_of("k"), NULL));
    TARN_TRY(use_map_and_list(f, s, long_bytes));
    TARN_TRY(use_folds(s, long_bytes));
    TARN_TRY(tarn_list_set_namespace(s->list, source, NULL));
    TARN_TRY(tarn_list_append(s->list, source, NULL));
    TARN_TRY(tarn_keyed_merge_namespaces(tarn_list_keyed(s->list), &source, 1, long_bytes, NULL));
    TARN_TRY(tarn_keyed_iterate_keys(tarn_list_keyed(s->list), &long_bytes, NULL, &s->keys, NULL));
    TARN_TRY(tarn_key_iterator_next(s->keys, &row, NULL));
    TARN_TRY(tarn_keyed_drop_namespace(tarn_list_keyed(s->list), long_bytes, NULL));
    TARN_TRY(tarn_keyed_clear(tarn_map_keyed(s->map), NULL));
    return tarn_backend_remove_key(backend, NULL);
}

static void close_all(kinds_fixture *f, states *s)
{
    tarn_map_iterator_close(s->entries);
    tarn_list_iterator_close(s->elements);
    tarn_key_iterator_close(s->keys);
    assert_ok(tarn_map_close(s->map, &f->error), &f->error);
    assert_ok(tarn_list_close(s->list, &f->error), &f->error);
    assert_ok(tarn_reducing_close(s->text, &f->error), &f->error);
    assert_ok(tarn_reducing_close(s->sum, &f->error), &f->error);
    assert_ok(tarn_aggregating_close(s->agg, &f->error), &f->error);
}

/* Fails the first allocation, then the second, until one run meets no failure: none may leak. */
static void test_every_allocation_failure_is_survived_by_every_kind(void **state)
{
    kinds_fixture *f = *state;
    char directory[FIXTURE_PATH_BYTES + 16];
    (void)snprintf(directory, sizeof directory, "%s/loop", f->directory);
    bool has_ended = false;
    for (uint64_t nth = 0; !has_ended; nth += FAULT_STRIDE) {
        fault_allocator allocator;
        fault_allocator_init(&allocator, FAULT_NEVER);
        tarn_env *env = fixture_open_env(f->config, &allocator.base);
        tarn_backend *backend = fixture_open_backend(env, directory);
        states s = {.map = NULL};
        allocator.fail_at = atomic_load(&allocator.request_count) + nth;
        const tarn_status status = use_all(f, backend, &s);
        has_ended = !atomic_load(&allocator.fired);
        /* The working set does without the memory that it does not get. */
        assert_true(status == TARN_OK || (status == TARN_NO_MEMORY && !has_ended));
        allocator.fail_at = FAULT_NEVER;
        close_all(f, &s);
        assert_ok(tarn_backend_close(backend, &f->error), &f->error);
        assert_ok(tarn_env_close(env, &f->error), &f->error);
        assert_int_equal(atomic_load(&allocator.live_count), 0);
        assert_true(nth < 1000);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kinds_setup, kinds_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_dropped_namespace_leaves_its_neighbours),
        TEST(test_a_dropped_namespace_leaves_its_neighbours_when_it_lies_together),
        TEST(test_dropping_files_brings_nothing_back),
        TEST(test_clearing_a_state_leaves_the_others),
        TEST(test_a_key_is_removed_from_all_states_open_or_not),
        TEST(test_figures_tell_what_is_only_in_the_working_set),
        TEST(test_a_window_goes_by_one_range_delete_for_each_group),
        TEST(test_lists_merge_in_the_order_of_the_sources),
        TEST(test_lists_merge_with_namespaces_first),
        TEST(test_what_cannot_be_merged_is_refused),
        TEST(test_a_leaked_key_iterator_is_named),
        TEST(test_keys_are_those_of_the_beginning),
        TEST(test_every_allocation_failure_is_survived_by_every_kind),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
