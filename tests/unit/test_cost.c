/*
 * What the kinds of keyed state cost RocksDB, by its own counts: appends and blind adds read
 * nothing, however much there is; waiting operands are few; an iteration meets no tombstone of a
 * neighbour; merged lists are moved by chunks; what the working set has is not looked for, and what
 * it writes back neither; what is read ahead is read together.
 */
#include "support/kinds_fixture.h"

#include <rocksdb/c.h>
#include <stdio.h>
#include <string.h>

#include "tarn/list.h"
#include "tarn/map.h"
#include "tarn/prefetch.h"

enum { WORKING_SET_BYTES = 1 << 20 };

/* ---- counts ----------------------------------------------------------------------------- */

static rocksdb_perfcontext_t *begin_counting(void)
{
    rocksdb_set_perf_level(rocksdb_enable_count);
    rocksdb_perfcontext_t *counts = rocksdb_perfcontext_create();
    rocksdb_perfcontext_reset(counts);
    return counts;
}

static uint64_t count(rocksdb_perfcontext_t *counts, int metric)
{
    return rocksdb_perfcontext_metric(counts, metric);
}

static void end_counting(rocksdb_perfcontext_t *counts)
{
    rocksdb_perfcontext_destroy(counts);
    rocksdb_set_perf_level(rocksdb_disable);
}

/* Looks at blocks of table files, in the cache or not. */
static uint64_t count_blocks(rocksdb_perfcontext_t *counts)
{
    return count(counts, rocksdb_block_cache_hit_count) + count(counts, rocksdb_block_read_count);
}

static void expect_no_reads(rocksdb_perfcontext_t *counts)
{
    assert_int_equal(count(counts, rocksdb_get_from_memtable_count), 0);
    assert_int_equal(count(counts, rocksdb_seek_on_memtable_count), 0);
    assert_int_equal(count(counts, rocksdb_block_read_count), 0);
    assert_int_equal(count(counts, rocksdb_block_cache_hit_count), 0);
    assert_int_equal(count(counts, rocksdb_bloom_sst_hit_count), 0);
    assert_int_equal(count(counts, rocksdb_bloom_sst_miss_count), 0);
}

/* A key of the group of "k": what it has lies beside what "k" has. */
static void set_neighbour(kinds_fixture *f, uint32_t nth)
{
    const uint32_t group = tarn_key_group_of(tarn_hash_bytes(tarn_bytes_of("k")), 128);
    char key[16];
    uint32_t number = 0;
    for (uint32_t found = 0; found <= nth; number++) {
        (void)snprintf(key, sizeof key, "n%u", number);
        found += tarn_key_group_of(tarn_hash_bytes(tarn_bytes_of(key)), 128) == group ? 1 : 0;
    }
    kinds_set_key(f, key);
}

static void resize(kinds_fixture *f, uint64_t bytes)
{
    assert_ok(tarn_backend_resize_working_set(f->backend, bytes, &f->error), &f->error);
}

/* ---- lists ------------------------------------------------------------------------------ */

static tarn_list *open_list(kinds_fixture *f)
{
    tarn_list *list = NULL;
    assert_ok(tarn_list_open(f->backend, kinds_options(f, "list"), &list, &f->error), &f->error);
    return list;
}

static void append(kinds_fixture *f, tarn_list *list, uint32_t element_count)
{
    for (uint32_t i = 0; i < element_count; i++) {
        assert_ok(tarn_list_append(list, tarn_bytes_at(&i, sizeof i), &f->error), &f->error);
    }
}

static void check_appending(kinds_fixture *f, uint64_t working_set_bytes)
{
    resize(f, working_set_bytes);
    tarn_list *list = open_list(f);
    kinds_set_key(f, "k");
    append(f, list, 20000);
    assert_ok(tarn__backend_settle_all(f->backend, &f->error), &f->error);
    assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error);
    rocksdb_perfcontext_t *counts = begin_counting();
    append(f, list, 1000);
    expect_no_reads(counts);
    assert_int_equal(kinds_count_keys(f, tarn_list_keyed(list), NULL), 1); /* Reads are counted. */
    assert_in_range(count(counts, rocksdb_seek_on_memtable_count), 1, UINT64_MAX);
    end_counting(counts);
    assert_ok(tarn_list_clear(list, &f->error), &f->error);
    assert_ok(tarn_list_close(list, &f->error), &f->error);
}

static void test_appending_to_a_long_list_reads_nothing(void **state)
{
    check_appending(*state, 0);
    check_appending(*state, WORKING_SET_BYTES);
}

static uint32_t count_rows(kinds_fixture *f, const char *name)
{
    tarn__rocks_family *family = tarn__rocks_find_family(f->backend->rocks, name);
    tarn__rocks_iterator *rows = NULL;
    tarn_bytes row;
    tarn_bytes value;
    uint32_t row_count = 0;
    assert_ok(
        tarn__rocks_iterate(
            family, tarn_bytes_at("\0\0", 2), tarn_bytes_at("\x7f\xff", 2), &rows, &f->error),
        &f->error);
    while (tarn__rocks_iterator_next(rows, &row, &value, &f->error) == TARN_OK) {
        row_count++;
    }
    tarn__rocks_iterator_close(rows);
    return row_count;
}

/* What a merge writes are rows of many elements, and none is taken apart: not even of a list to
 * which each came alone, without a working set to gather them. */
static void check_merging(kinds_fixture *f, uint64_t working_set_bytes)
{
    enum { ELEMENTS = 20000, CHUNKS_MAX = ELEMENTS / 100 };
    tarn_list *list = open_list(f);
    tarn_keyed *keyed = tarn_list_keyed(list);
    const tarn_bytes source = tarn_bytes_of("source");
    const tarn_bytes target = tarn_bytes_of("target");
    resize(f, working_set_bytes);
    kinds_set_key(f, "k");
    kinds_set_namespace(f, keyed, "source");
    append(f, list, ELEMENTS);
    assert_ok(tarn__backend_settle_all(f->backend, &f->error), &f->error);
    assert_ok(tarn_keyed_merge_namespaces(keyed, &source, 1, target, &f->error), &f->error);
    assert_ok(tarn__backend_settle_all(f->backend, &f->error), &f->error);
    assert_in_range(count_rows(f, "list"), 1, CHUNKS_MAX);
    assert_int_equal(kinds_count_keys(f, keyed, "source"), 0);
    assert_ok(tarn_keyed_merge_namespaces(keyed, &target, 1, source, &f->error), &f->error);
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    assert_ok(tarn_list_iterate(list, NULL, &iterator, &f->error), &f->error);
    for (uint32_t i = 0; i < ELEMENTS; i++) {
        assert_ok(tarn_list_iterator_next(iterator, &element, &f->error), &f->error);
        assert_true(tarn_bytes_is_equal(element, tarn_bytes_at(&i, sizeof i)));
    }
    tarn_list_iterator_close(iterator);
    assert_ok(tarn_keyed_clear(keyed, &f->error), &f->error);
    assert_ok(tarn_list_close(list, &f->error), &f->error);
}

static void test_merging_lists_moves_chunks_and_not_elements(void **state)
{
    check_merging(*state, WORKING_SET_BYTES);
    check_merging(*state, 0);
}

/* ---- sums ------------------------------------------------------------------------------- */

static tarn_reducing *open_sum(kinds_fixture *f)
{
    tarn_reducing_options how = TARN_REDUCING_OPTIONS_INIT;
    tarn_reducing *sum = NULL;
    how.reducer = TARN_REDUCER_SUM;
    assert_ok(
        tarn_reducing_open(f->backend, kinds_options(f, "sum"), &how, &sum, &f->error), &f->error);
    return sum;
}

static void add(kinds_fixture *f, tarn_reducing *sum, uint32_t add_count)
{
    for (uint32_t i = 0; i < add_count; i++) {
        assert_ok(tarn_reducing_add_i64(sum, 1, &f->error), &f->error);
    }
}

/* Goes over the row with its operands; answers how many waited. */
static uint64_t count_operands(kinds_fixture *f)
{
    tarn__rocks_family *family = tarn__rocks_find_family(f->backend->rocks, "sum");
    tarn__rocks_iterator *rows = NULL;
    tarn_bytes row;
    tarn_bytes value;
    rocksdb_perfcontext_t *counts = begin_counting();
    assert_ok(
        tarn__rocks_iterate(
            family, tarn_bytes_at("\0\0", 2), tarn_bytes_at("\x7f\xff", 2), &rows, &f->error),
        &f->error);
    assert_ok(tarn__rocks_iterator_next(rows, &row, &value, &f->error), &f->error);
    const uint64_t operand_count = count(counts, rocksdb_internal_merge_count);
    tarn__rocks_iterator_close(rows);
    end_counting(counts);
    return operand_count;
}

/* Without a bound each read would fold what was added since the last compaction. */
static void test_adds_to_one_row_leave_few_operands(void **state)
{
    kinds_fixture *f = *state;
    enum { ADDS = 5000, FLUSHES = 3, OPERANDS_MAX = 100 };
    resize(f, 0);
    tarn_reducing *sum = open_sum(f);
    int64_t read = 0;
    kinds_set_key(f, "k");
    add(f, sum, ADDS);
    assert_in_range(count_operands(f), 1, OPERANDS_MAX);
    for (uint32_t i = 0; i < FLUSHES; i++) { /* In table files one is left of each memtable. */
        assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error);
        add(f, sum, ADDS);
    }
    assert_in_range(count_operands(f), 1, OPERANDS_MAX + FLUSHES);
    assert_ok(tarn_reducing_get_i64(sum, &read, &f->error), &f->error);
    assert_int_equal(read, (FLUSHES + 1) * ADDS);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
}

static void test_adds_to_rows_that_are_not_in_memory_read_nothing(void **state)
{
    kinds_fixture *f = *state;
    resize(f, WORKING_SET_BYTES);
    tarn_reducing *sum = open_sum(f);
    kinds_set_key(f, "k");
    add(f, sum, 10);
    resize(f, 0);
    resize(f, WORKING_SET_BYTES);
    rocksdb_perfcontext_t *counts = begin_counting();
    add(f, sum, 1000);
    expect_no_reads(counts);
    end_counting(counts);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
}

/* ---- maps ------------------------------------------------------------------------------- */

static void fill(kinds_fixture *f, tarn_map *map, uint32_t entry_count)
{
    for (uint32_t i = 0; i < entry_count; i++) {
        assert_ok(
            tarn_map_put(map, tarn_bytes_at(&i, sizeof i), tarn_bytes_of("v"), &f->error),
            &f->error);
    }
}

static void iterate(kinds_fixture *f, tarn_map *map, bool is_backward, uint32_t entry_count)
{
    tarn_map_range range = TARN_MAP_RANGE_INIT;
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    range.is_backward = is_backward;
    assert_ok(tarn_map_iterate(map, &range, NULL, &iterator, &f->error), &f->error);
    for (uint32_t i = 0; i < entry_count; i++) {
        assert_ok(tarn_map_iterator_next(iterator, &entry, &f->error), &f->error);
    }
    assert_int_equal(tarn_map_iterator_next(iterator, &entry, &f->error), TARN_DONE);
    tarn_map_iterator_close(iterator);
}

/* Keys on both sides whose maps were removed entry by entry: tombstones are all that they left. */
static void test_an_iteration_meets_no_tombstone_of_a_neighbour(void **state)
{
    kinds_fixture *f = *state;
    enum { NEIGHBOURS = 40, ENTRIES = 50, OWN = 20 };
    tarn_map *map = NULL;
    resize(f, 0);
    assert_ok(tarn_map_open(f->backend, kinds_options(f, "map"), &map, &f->error), &f->error);
    for (uint32_t n = 0; n < NEIGHBOURS; n++) {
        set_neighbour(f, n);
        fill(f, map, ENTRIES);
    }
    kinds_set_key(f, "k");
    fill(f, map, OWN);
    assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error);
    for (uint32_t n = 0; n < NEIGHBOURS; n++) {
        set_neighbour(f, n);
        for (uint32_t i = 0; i < ENTRIES; i++) {
            assert_ok(tarn_map_remove(map, tarn_bytes_at(&i, sizeof i), &f->error), &f->error);
        }
    }
    kinds_set_key(f, "k");
    rocksdb_perfcontext_t *counts = begin_counting();
    iterate(f, map, false, OWN);
    iterate(f, map, true, OWN);
    assert_int_equal(count(counts, rocksdb_internal_delete_skipped_count), 0);
    assert_int_equal(
        kinds_count_keys(f, tarn_map_keyed(map), NULL), 1); /* Who goes over all does. */
    assert_in_range(count(counts, rocksdb_internal_delete_skipped_count), 1, UINT64_MAX);
    end_counting(counts);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
}

/* ---- what the working set has ------------------------------------------------------------ */

static void read_list(kinds_fixture *f, tarn_list *list, uint32_t element_count)
{
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    assert_ok(tarn_list_iterate(list, NULL, &iterator, &f->error), &f->error);
    for (uint32_t i = 0; i < element_count; i++) {
        assert_ok(tarn_list_iterator_next(iterator, &element, &f->error), &f->error);
    }
    assert_int_equal(tarn_list_iterator_next(iterator, &element, &f->error), TARN_DONE);
    tarn_list_iterator_close(iterator);
}

/* Small ones are whole once they were read: then nobody who goes over one comes to the store. */
static void test_small_maps_and_lists_are_gone_over_without_the_store(void **state)
{
    kinds_fixture *f = *state;
    enum { SIZE = 30 };
    tarn_map *map = NULL;
    resize(f, WORKING_SET_BYTES);
    tarn_list *list = open_list(f);
    assert_ok(tarn_map_open(f->backend, kinds_options(f, "map"), &map, &f->error), &f->error);
    kinds_set_key(f, "k");
    fill(f, map, SIZE);
    append(f, list, SIZE);
    resize(f, 0);
    resize(f, WORKING_SET_BYTES);
    rocksdb_perfcontext_t *counts = begin_counting();
    iterate(f, map, false, SIZE);
    read_list(f, list, SIZE);
    assert_in_range(count(counts, rocksdb_seek_on_memtable_count), 1, UINT64_MAX);
    rocksdb_perfcontext_reset(counts);
    iterate(f, map, false, SIZE);
    iterate(f, map, true, SIZE);
    read_list(f, list, SIZE);
    append(f, list, 1); /* What is written to them stays with them. */
    fill(f, map, SIZE + 1);
    iterate(f, map, false, SIZE + 1);
    read_list(f, list, SIZE + 1);
    expect_no_reads(counts);
    end_counting(counts);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
    assert_ok(tarn_list_close(list, &f->error), &f->error);
}

static void put_all(kinds_fixture *f, tarn_value *value, uint32_t key_count)
{
    for (uint32_t i = 0; i < key_count; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key %u", i);
        kinds_set_key(f, key);
        assert_ok(tarn_value_put(value, tarn_bytes_at(&i, sizeof i), &f->error), &f->error);
    }
}

static void test_a_key_that_was_not_there_is_not_looked_for_again(void **state)
{
    kinds_fixture *f = *state;
    resize(f, 0);
    tarn_value *value = fixture_open_value(f->backend, "value");
    tarn_bytes read;
    put_all(f, value, 100);
    assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error);
    resize(f, WORKING_SET_BYTES); /* Its filter would have to be built first. */
    rocksdb_perfcontext_t *counts = begin_counting();
    kinds_set_key(f, "k");
    assert_int_equal(tarn_value_get(value, &read, &f->error), TARN_NOT_FOUND);
    assert_in_range(count(counts, rocksdb_bloom_sst_miss_count), 1, UINT64_MAX);
    rocksdb_perfcontext_reset(counts);
    assert_int_equal(tarn_value_get(value, &read, &f->error), TARN_NOT_FOUND);
    assert_ok(tarn_value_remove(value, &f->error), &f->error);
    assert_int_equal(tarn_value_get(value, &read, &f->error), TARN_NOT_FOUND);
    expect_no_reads(counts);
    end_counting(counts);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

/* What is written over or removed is not read for it: not by the call, nor when it is evicted, or
 * written because somebody else looks into the store. */
static void test_writing_back_reads_nothing(void **state)
{
    kinds_fixture *f = *state;
    enum { KEYS = 20000 };
    tarn_working_set_stats stats;
    resize(f, 0);
    tarn_value *value = fixture_open_value(f->backend, "value");
    put_all(f, value, KEYS);
    resize(f, WORKING_SET_BYTES / 4);
    rocksdb_perfcontext_t *counts = begin_counting();
    put_all(f, value, KEYS);
    assert_ok(tarn_value_remove(value, &f->error), &f->error);
    assert_ok(tarn__backend_settle_all(f->backend, &f->error), &f->error);
    expect_no_reads(counts);
    end_counting(counts);
    tarn_backend_measure_working_set(f->backend, &stats);
    assert_true(stats.evicted_count > KEYS / 2);
    assert_int_equal(stats.written_count, KEYS);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

/* What is read ahead is asked for together and in its order: rows of one block cost one look. */
static void test_a_prefetch_is_one_sorted_request(void **state)
{
    kinds_fixture *f = *state;
    enum { KEYS = 2000, NAME_BYTES = 16 };
    static char names[KEYS][NAME_BYTES];
    static tarn_bytes keys[KEYS];
    tarn_prefetch what = TARN_PREFETCH_INIT;
    tarn_bytes read;
    resize(f, 0);
    tarn_value *value = fixture_open_value(f->backend, "value");
    tarn_keyed *keyed = tarn_value_keyed(value);
    put_all(f, value, KEYS);
    assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error);
    for (uint32_t i = 0; i < KEYS; i++) {
        (void)snprintf(names[i], NAME_BYTES, "key %u", i);
        keys[i] = tarn_bytes_of(names[i]);
    }
    resize(f, WORKING_SET_BYTES);
    what.states = &keyed;
    what.state_count = 1;
    what.keys = keys;
    what.key_count = KEYS;
    rocksdb_perfcontext_t *counts = begin_counting();
    assert_ok(tarn_backend_prefetch(f->backend, &what, &f->error), &f->error);
    const uint64_t together = count_blocks(counts);
    rocksdb_perfcontext_reset(counts);
    for (uint32_t i = 0; i < KEYS; i++) {
        kinds_set_key(f, names[i]);
        assert_ok(tarn_value_get(value, &read, &f->error), &f->error);
    }
    expect_no_reads(counts);
    resize(f, 0);
    rocksdb_perfcontext_reset(counts);
    for (uint32_t i = 0; i < KEYS; i++) {
        kinds_set_key(f, names[i]);
        assert_ok(tarn_value_get(value, &read, &f->error), &f->error);
    }
    const uint64_t alone = count_blocks(counts);
    end_counting(counts);
    print_message(
        "blocks: %llu together, %llu alone\n",
        (unsigned long long)together,
        (unsigned long long)alone);
    assert_true(alone >= KEYS && together * 4 < alone);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kinds_setup, kinds_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_appending_to_a_long_list_reads_nothing),
        TEST(test_merging_lists_moves_chunks_and_not_elements),
        TEST(test_adds_to_one_row_leave_few_operands),
        TEST(test_adds_to_rows_that_are_not_in_memory_read_nothing),
        TEST(test_an_iteration_meets_no_tombstone_of_a_neighbour),
        TEST(test_small_maps_and_lists_are_gone_over_without_the_store),
        TEST(test_a_key_that_was_not_there_is_not_looked_for_again),
        TEST(test_writing_back_reads_nothing),
        TEST(test_a_prefetch_is_one_sorted_request),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
