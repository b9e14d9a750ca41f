/*
 * Unit tests of operator state: what lists and broadcast maps do, what is refused, and that a
 * snapshot is a cut. Restoring is tested by test_operator_restore.c.
 */
#include "support/operator_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/try.h"
#include "support/scratch.h"

typedef struct fixture {
    tarn_budget *budget;
    tarn_operator_store *store;
    tarn_error error;
} fixture;

static int setup(void **state)
{
    static fixture f;
    f.budget = operator_budget(TARN_UNLIMITED, NULL);
    f.store = operator_open(f.budget, 0, 1, NULL);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    operator_close(f->store);
    assert_ok(tarn_budget_close(f->budget, &f->error), &f->error);
    return 0;
}

static tarn_bytes text(const char *letters)
{
    return tarn_bytes_of(letters);
}

/* ---- lists ------------------------------------------------------------------------------- */

static void test_a_list_keeps_elements_in_their_order(void **state)
{
    fixture *f = *state;
    tarn_operator_list *list = operator_list(f->store, "l", TARN_REDISTRIBUTE_SPLIT);
    operator_add_letters(list, "ba");
    const tarn_bytes more[] = {text("b"), text("c")};
    assert_ok(tarn_operator_list_add_all(list, more, 2, &f->error), &f->error);
    operator_expect_letters(list, "babc");
    tarn_bytes element = text("untouched");
    assert_int_equal(tarn_operator_list_get(list, 4, &element), TARN_NOT_FOUND);
    assert_true(tarn_bytes_is_equal(element, text("untouched")));
}

static void test_an_empty_element_is_an_element(void **state)
{
    fixture *f = *state;
    tarn_operator_list *list = operator_list(f->store, "l", TARN_REDISTRIBUTE_SPLIT);
    assert_ok(tarn_operator_list_add(list, tarn_bytes_at(NULL, 0), &f->error), &f->error);
    assert_ok(tarn_operator_list_add(list, text(""), &f->error), &f->error);
    tarn_bytes element = text("x");
    assert_int_equal(tarn_operator_list_count(list), 2);
    assert_int_equal(tarn_operator_list_get(list, 1, &element), TARN_OK);
    assert_int_equal(element.size, 0);
}

static void test_adding_nothing_changes_nothing_and_replacing_by_nothing_clears(void **state)
{
    fixture *f = *state;
    tarn_operator_list *list = operator_list(f->store, "l", TARN_REDISTRIBUTE_SPLIT);
    operator_add_letters(list, "ab");
    assert_ok(tarn_operator_list_add_all(list, NULL, 0, &f->error), &f->error);
    operator_expect_letters(list, "ab");
    assert_ok(tarn_operator_list_replace(list, NULL, 0, &f->error), &f->error);
    operator_expect_letters(list, "");
}

static void test_replacing_and_clearing_leave_a_list_that_works(void **state)
{
    fixture *f = *state;
    tarn_operator_list *list = operator_list(f->store, "l", TARN_REDISTRIBUTE_UNION);
    operator_add_letters(list, "abc");
    const tarn_bytes others[] = {text("x"), text("y")};
    assert_ok(tarn_operator_list_replace(list, others, 2, &f->error), &f->error);
    operator_expect_letters(list, "xy");
    tarn_operator_list_clear(list);
    operator_expect_letters(list, "");
    operator_add_letters(list, "q");
    operator_expect_letters(list, "q");
}

/* The list's own bytes move when it grows, and go when it is replaced. */
static void test_a_list_can_be_given_its_own_elements(void **state)
{
    fixture *f = *state;
    tarn_operator_list *list = operator_list(f->store, "l", TARN_REDISTRIBUTE_SPLIT);
    operator_add_letters(list, "ab");
    for (unsigned i = 0; i < 100; i++) {
        tarn_bytes own[2];
        assert_int_equal(tarn_operator_list_get(list, 0, &own[0]), TARN_OK);
        assert_int_equal(tarn_operator_list_get(list, 1, &own[1]), TARN_OK);
        assert_ok(tarn_operator_list_add_all(list, own, 2, &f->error), &f->error);
    }
    for (uint64_t i = 0; i < 202; i++) {
        tarn_bytes element;
        assert_int_equal(tarn_operator_list_get(list, i, &element), TARN_OK);
        assert_true(tarn_bytes_is_equal(element, text(i % 2 == 0 ? "a" : "b")));
    }
    tarn_bytes kept[2];
    assert_int_equal(tarn_operator_list_get(list, 201, &kept[0]), TARN_OK);
    assert_int_equal(tarn_operator_list_get(list, 200, &kept[1]), TARN_OK);
    assert_ok(tarn_operator_list_replace(list, kept, 2, &f->error), &f->error);
    operator_expect_letters(list, "ba");
}

static void test_an_element_that_is_too_long_refuses_all_that_came_with_it(void **state)
{
    fixture *f = *state;
    tarn_operator_list *list = operator_list(f->store, "l", TARN_REDISTRIBUTE_SPLIT);
    operator_add_letters(list, "a");
    char *longest = calloc(1, TARN_OPERATOR_ELEMENT_BYTES_MAX + 1);
    assert_non_null(longest);
    const tarn_bytes two[] = {
        text("b"), tarn_bytes_at(longest, TARN_OPERATOR_ELEMENT_BYTES_MAX + 1)};
    assert_int_equal(tarn_operator_list_add_all(list, two, 2, &f->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "\"l\""));
    assert_non_null(strstr(f->error.message, "8388609"));
    operator_expect_letters(list, "a");
    assert_ok(
        tarn_operator_list_add(
            list, tarn_bytes_at(longest, TARN_OPERATOR_ELEMENT_BYTES_MAX), &f->error),
        &f->error);
    assert_int_equal(tarn_operator_list_count(list), 2);
    free(longest);
}

/* ---- broadcast maps ---------------------------------------------------------------------- */

static void expect_entries(const tarn_broadcast *map, const char *const *pairs, size_t count)
{
    tarn_error error;
    tarn_broadcast_cursor cursor = TARN_BROADCAST_CURSOR_INIT;
    tarn_broadcast_entry entry;
    for (size_t i = 0; i < count; i++) {
        assert_ok(tarn_broadcast_next(map, &cursor, &entry, &error), &error);
        assert_true(tarn_bytes_is_equal(entry.key, text(pairs[2 * i])));
        assert_true(tarn_bytes_is_equal(entry.value, text(pairs[2 * i + 1])));
    }
    assert_int_equal(tarn_broadcast_next(map, &cursor, &entry, &error), TARN_DONE);
    assert_int_equal(tarn_broadcast_count(map), count);
}

static void test_a_broadcast_map_is_sorted_by_the_bytes_of_its_keys(void **state)
{
    fixture *f = *state;
    tarn_broadcast *map = operator_broadcast(f->store, "m");
    static const char *const keys[] = {"b", "", "ba", "\xff", "a", "B"};
    for (size_t i = 0; i < 6; i++) {
        assert_ok(tarn_broadcast_put(map, text(keys[i]), text("v"), &f->error), &f->error);
    }
    static const char *const sorted[] = {
        "", "v", "B", "v", "a", "v", "b", "v", "ba", "v", "\xff", "v"};
    expect_entries(map, sorted, 6);
}

static void test_an_empty_value_is_there_and_a_removed_one_is_not(void **state)
{
    fixture *f = *state;
    tarn_broadcast *map = operator_broadcast(f->store, "m");
    tarn_bytes value = text("untouched");
    assert_int_equal(tarn_broadcast_get(map, text("k"), &value), TARN_NOT_FOUND);
    assert_false(tarn_broadcast_contains(map, text("k")));
    assert_ok(tarn_broadcast_put(map, text("k"), text(""), &f->error), &f->error);
    assert_true(tarn_broadcast_contains(map, text("k")));
    assert_int_equal(tarn_broadcast_get(map, text("k"), &value), TARN_OK);
    assert_int_equal(value.size, 0);
    tarn_broadcast_remove(map, text("k"));
    tarn_broadcast_remove(map, text("k"));
    assert_false(tarn_broadcast_contains(map, text("k")));
    assert_int_equal(tarn_broadcast_count(map), 0);
}

static void test_a_value_is_replaced_even_by_a_part_of_itself(void **state)
{
    fixture *f = *state;
    tarn_broadcast *map = operator_broadcast(f->store, "m");
    assert_ok(tarn_broadcast_put(map, text("k"), text("value"), &f->error), &f->error);
    tarn_bytes value;
    assert_int_equal(tarn_broadcast_get(map, text("k"), &value), TARN_OK);
    value.size = 3;
    assert_ok(tarn_broadcast_put(map, text("k"), value, &f->error), &f->error);
    static const char *const left[] = {"k", "val"};
    expect_entries(map, left, 1);
    tarn_broadcast_clear(map);
    expect_entries(map, NULL, 0);
}

static void test_a_cursor_refuses_to_go_on_after_a_change(void **state)
{
    fixture *f = *state;
    tarn_broadcast *map = operator_broadcast(f->store, "rules");
    assert_ok(tarn_broadcast_put(map, text("a"), text("1"), &f->error), &f->error);
    assert_ok(tarn_broadcast_put(map, text("b"), text("2"), &f->error), &f->error);
    tarn_broadcast_cursor cursor = TARN_BROADCAST_CURSOR_INIT;
    tarn_broadcast_entry entry;
    assert_ok(tarn_broadcast_next(map, &cursor, &entry, &f->error), &f->error);
    tarn_broadcast_remove(map, text("a")); /* The entry that the cursor is at. */
    assert_int_equal(tarn_broadcast_next(map, &cursor, &entry, &f->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "\"rules\""));
}

static void test_a_cursor_at_the_end_begins_again(void **state)
{
    fixture *f = *state;
    tarn_broadcast *map = operator_broadcast(f->store, "m");
    assert_ok(tarn_broadcast_put(map, text("a"), text("1"), &f->error), &f->error);
    tarn_broadcast_cursor cursor = TARN_BROADCAST_CURSOR_INIT;
    tarn_broadcast_entry entry;
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(tarn_broadcast_next(map, &cursor, &entry, &f->error), TARN_OK);
        assert_int_equal(tarn_broadcast_next(map, &cursor, &entry, &f->error), TARN_DONE);
    }
}

/* ---- opening ----------------------------------------------------------------------------- */

static tarn_status open_list(
    fixture *f, const char *name, tarn_redistribution redistribution, const char *codec)
{
    tarn_operator_state_options options = TARN_OPERATOR_STATE_OPTIONS_INIT;
    options.name = name;
    options.redistribution = redistribution;
    options.codec_name = codec;
    tarn_operator_list *list = NULL;
    return tarn_operator_list_open(f->store, &options, &list, &f->error);
}

static void test_a_state_opened_again_is_the_same_state(void **state)
{
    fixture *f = *state;
    tarn_operator_list *list = operator_list(f->store, "l", TARN_REDISTRIBUTE_DEFAULT);
    assert_ptr_equal(operator_list(f->store, "l", TARN_REDISTRIBUTE_SPLIT), list);
    assert_ptr_not_equal(operator_list(f->store, "k", TARN_REDISTRIBUTE_SPLIT), list);
}

static void test_a_name_in_use_for_something_else_is_refused_with_both_sides(void **state)
{
    fixture *f = *state;
    (void)operator_list(f->store, "offsets", TARN_REDISTRIBUTE_SPLIT);
    assert_int_equal(open_list(f, "offsets", TARN_REDISTRIBUTE_UNION, NULL), TARN_INCOMPATIBLE);
    assert_non_null(strstr(f->error.message, "\"offsets\" of sink/0 is a list, split,"));
    assert_non_null(strstr(f->error.message, "wanted as a list, union,"));
    assert_int_equal(open_list(f, "offsets", TARN_REDISTRIBUTE_SPLIT, "i64"), TARN_INCOMPATIBLE);
    assert_non_null(strstr(f->error.message, "codec bytes version 0"));
    assert_non_null(strstr(f->error.message, "codec i64 version 0"));

    tarn_operator_state_options options = TARN_OPERATOR_STATE_OPTIONS_INIT;
    options.name = "offsets";
    tarn_broadcast *map = NULL;
    assert_int_equal(tarn_broadcast_open(f->store, &options, &map, &f->error), TARN_INCOMPATIBLE);
    assert_non_null(strstr(f->error.message, "wanted as a broadcast, broadcast,"));
    assert_null(map);
}

static void test_a_redistribution_that_the_kind_cannot_have_is_refused(void **state)
{
    fixture *f = *state;
    assert_int_equal(open_list(f, "l", TARN_REDISTRIBUTE_BROADCAST, NULL), TARN_INVALID_ARGUMENT);
    assert_int_equal(open_list(f, "l", (tarn_redistribution)9, NULL), TARN_INVALID_ARGUMENT);
    tarn_operator_state_options options = TARN_OPERATOR_STATE_OPTIONS_INIT;
    options.name = "m";
    options.redistribution = TARN_REDISTRIBUTE_UNION;
    tarn_broadcast *map = NULL;
    assert_int_equal(
        tarn_broadcast_open(f->store, &options, &map, &f->error), TARN_INVALID_ARGUMENT);
}

static void test_names_that_cannot_be_written_are_refused(void **state)
{
    fixture *f = *state;
    char name[TARN_OPERATOR_STATE_NAME_BYTES_MAX + 2];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_int_equal(open_list(f, name, TARN_REDISTRIBUTE_SPLIT, NULL), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "241"));
    assert_int_equal(open_list(f, name + 1, TARN_REDISTRIBUTE_SPLIT, NULL), TARN_OK);
    assert_int_equal(open_list(f, "", TARN_REDISTRIBUTE_SPLIT, NULL), TARN_INVALID_ARGUMENT);
    assert_int_equal(open_list(f, NULL, TARN_REDISTRIBUTE_SPLIT, NULL), TARN_INVALID_ARGUMENT);
    assert_int_equal(
        open_list(f, ".more-0-1", TARN_REDISTRIBUTE_SPLIT, NULL), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, ".more-0-1"));
    char codec[257];
    memset(codec, 'c', sizeof codec);
    codec[256] = '\0';
    assert_int_equal(open_list(f, "l", TARN_REDISTRIBUTE_SPLIT, codec), TARN_INVALID_ARGUMENT);
}

/* ---- bounds ------------------------------------------------------------------------------ */

static void test_a_store_does_not_outgrow_what_a_snapshot_may_copy(void **state)
{
    fixture *f = *state;
    f->store->bytes_max = 100;
    tarn_operator_list *list = operator_list(f->store, "l", TARN_REDISTRIBUTE_SPLIT);
    tarn_broadcast *map = operator_broadcast(f->store, "m");
    char block[90] = {0};
    assert_ok(tarn_operator_list_add(list, tarn_bytes_at(block, 46), &f->error), &f->error);
    assert_ok(tarn_broadcast_put(map, text("k"), tarn_bytes_at(block, 41), &f->error), &f->error);
    assert_int_equal(f->store->bytes, 100);
    assert_int_equal(tarn_operator_list_add(list, text(""), &f->error), TARN_OVER_BUDGET);
    assert_non_null(strstr(f->error.message, "\"l\" of sink/0"));
    assert_non_null(strstr(f->error.message, "allows 100"));
    assert_int_equal(
        tarn_broadcast_put(map, text("k"), tarn_bytes_at(block, 42), &f->error), TARN_OVER_BUDGET);
    /* What is replaced makes room for what replaces it. */
    const tarn_bytes same = tarn_bytes_at(block, 46);
    assert_ok(tarn_operator_list_replace(list, &same, 1, &f->error), &f->error);
    assert_ok(tarn_broadcast_put(map, text("k"), tarn_bytes_at(block, 40), &f->error), &f->error);
    tarn_operator_list_clear(list);
    assert_ok(tarn_operator_list_add(list, tarn_bytes_at(block, 47), &f->error), &f->error);
    assert_int_equal(f->store->bytes, 100);
}

static void test_a_full_heap_pool_is_told_from_an_empty_machine(void **state)
{
    (void)state;
    enum { HEAP = 64 << 10 };
    tarn_error error;
    tarn_budget *budget = operator_budget(HEAP, NULL);
    tarn_operator_store *store = operator_open(budget, 0, 1, NULL);
    tarn_operator_list *list = operator_list(store, "l", TARN_REDISTRIBUTE_SPLIT);
    char block[1024] = {0};
    tarn_status status = TARN_OK;
    uint64_t count = 0;
    while (status == TARN_OK && count < HEAP) {
        status = tarn_operator_list_add(list, tarn_bytes_at(block, sizeof block), &error);
        count += status == TARN_OK ? 1 : 0;
    }
    assert_int_equal(status, TARN_OVER_BUDGET);
    assert_non_null(strstr(error.message, "heap pool"));
    assert_int_equal(tarn_operator_list_count(list), count);
    tarn_operator_snapshot *snapshot = NULL;
    assert_int_equal(tarn_operator_snapshot_new(store, &snapshot, &error), TARN_OVER_BUDGET);
    operator_close(store);
    assert_ok(tarn_budget_close(budget, &error), &error);
}

/* ---- snapshots --------------------------------------------------------------------------- */

static void test_a_snapshot_holds_what_was_there_when_it_was_cut(void **state)
{
    fixture *f = *state;
    tarn_operator_list *list = operator_list(f->store, "l", TARN_REDISTRIBUTE_SPLIT);
    tarn_broadcast *map = operator_broadcast(f->store, "m");
    operator_add_letters(list, "ab");
    assert_ok(tarn_broadcast_put(map, text("k"), text("1"), &f->error), &f->error);
    tarn_operator_snapshot *snapshot = NULL;
    assert_ok(tarn_operator_snapshot_new(f->store, &snapshot, &f->error), &f->error);
    operator_add_letters(list, "c");
    tarn_broadcast_clear(map);

    uint32_t count = 0;
    const tarn_checkpoint_operator_state *parts = tarn_operator_snapshot_states(snapshot, &count);
    assert_int_equal(count, 2);
    assert_string_equal(parts[0].name, "l");
    assert_string_equal(parts[1].name, "m");
    tarn_operator_state_info info;
    assert_ok(tarn_operator_state_describe(parts[0].bytes, &info, &f->error), &f->error);
    assert_string_equal(info.kind, "list");
    assert_int_equal(info.redistribution, TARN_REDISTRIBUTE_SPLIT);
    assert_int_equal(info.element_count, 2);
    assert_int_equal(info.element_bytes, 10);
    assert_true(tarn_bytes_is_equal(info.name, text("l")));
    assert_true(tarn_bytes_is_equal(info.codec_name, text("bytes")));
    assert_ok(tarn_operator_state_describe(parts[1].bytes, &info, &f->error), &f->error);
    assert_string_equal(info.kind, "broadcast");
    assert_int_equal(info.redistribution, TARN_REDISTRIBUTE_BROADCAST);
    assert_int_equal(info.element_count, 1);
    assert_int_equal(info.part_count, 1);
    tarn_operator_snapshot_free(snapshot);
}

static void test_a_store_stays_open_while_a_snapshot_does(void **state)
{
    (void)state;
    tarn_error error;
    tarn_budget *budget = operator_budget(TARN_UNLIMITED, NULL);
    tarn_operator_store *store = operator_open(budget, 3, 4, NULL);
    tarn_operator_snapshot *snapshot = NULL;
    assert_ok(tarn_operator_snapshot_new(store, &snapshot, &error), &error);
    assert_int_equal(tarn_operator_store_close(store, &error), TARN_BUSY);
    assert_non_null(strstr(error.message, "sink/3"));
    tarn_operator_snapshot_free(snapshot);
    operator_close(store);
    assert_ok(tarn_budget_close(budget, &error), &error);
}

static void test_figures_count_states_elements_and_snapshots(void **state)
{
    fixture *f = *state;
    operator_add_letters(operator_list(f->store, "l", TARN_REDISTRIBUTE_SPLIT), "abc");
    assert_ok(
        tarn_broadcast_put(operator_broadcast(f->store, "m"), text("k"), text("v"), &f->error),
        &f->error);
    tarn_operator_snapshot *snapshot = NULL;
    assert_ok(tarn_operator_snapshot_new(f->store, &snapshot, &f->error), &f->error);
    tarn_operator_store_stats stats;
    tarn_operator_store_measure(f->store, &stats);
    assert_int_equal(stats.state_count, 2);
    assert_int_equal(stats.element_count, 4);
    assert_int_equal(stats.state_bytes, 3 * 5 + 10);
    assert_true(stats.used_bytes > stats.state_bytes + stats.snapshot_bytes_max);
    assert_int_equal(stats.snapshot_count, 1);
    assert_true(stats.snapshot_bytes_max > stats.state_bytes);
    assert_true(stats.snapshot_ns_max >= stats.snapshot_last_ns);
    tarn_operator_snapshot_free(snapshot);
}

/* ---- describing -------------------------------------------------------------------------- */

static void test_bytes_of_another_origin_are_not_described(void **state)
{
    fixture *f = *state;
    tarn_operator_state_info info;
    assert_int_equal(tarn_operator_state_describe(text(""), &info, &f->error), TARN_NOT_FOUND);
    assert_int_equal(
        tarn_operator_state_describe(text("position 7"), &info, &f->error), TARN_NOT_FOUND);
}

static void test_a_damaged_or_newer_part_is_told_from_a_good_one(void **state)
{
    fixture *f = *state;
    operator_add_letters(operator_list(f->store, "l", TARN_REDISTRIBUTE_SPLIT), "ab");
    operator_pieces pieces = {0};
    operator_write(f->store, &pieces);
    const tarn_bytes good = pieces.items[0].bytes;
    uint8_t copy[256];
    assert_true(good.size <= sizeof copy);
    tarn_operator_state_info info;
    for (size_t size = 4; size < good.size; size++) {
        memcpy(copy, good.data, size);
        assert_int_equal(
            tarn_operator_state_describe(tarn_bytes_at(copy, size), &info, &f->error),
            TARN_CORRUPTION);
    }
    memcpy(copy, good.data, good.size);
    copy[4] = TARN__OPERATOR_FORMAT_VERSION + 1;
    assert_int_equal(
        tarn_operator_state_describe(tarn_bytes_at(copy, good.size), &info, &f->error),
        TARN_NOT_SUPPORTED);
    copy[4] = TARN__OPERATOR_FORMAT_VERSION;
    copy[5] = TARN__OPERATOR_BROADCAST; /* A map that is dealt out as a list. */
    assert_int_equal(
        tarn_operator_state_describe(tarn_bytes_at(copy, good.size), &info, &f->error),
        TARN_CORRUPTION);
    assert_non_null(strstr(f->error.message, "byte 5"));
    operator_pieces_clear(&pieces);
}

/* ---- the format -------------------------------------------------------------------------- */

static const char *const golden_names[] = {
    "operator_list_v1.bin",
    "operator_broadcast_v1.bin",
};

/* What the golden files hold: a union list and a broadcast map. */
static void write_sample(operator_pieces *pieces)
{
    tarn_error error;
    tarn_budget *budget = operator_budget(TARN_UNLIMITED, NULL);
    tarn_operator_store *store = operator_open(budget, 0, 1, NULL);
    tarn_operator_state_options options = TARN_OPERATOR_STATE_OPTIONS_INIT;
    options.name = "list";
    options.redistribution = TARN_REDISTRIBUTE_UNION;
    options.codec_name = "text";
    options.codec_version = 7;
    tarn_operator_list *list = NULL;
    assert_ok(tarn_operator_list_open(store, &options, &list, &error), &error);
    const tarn_bytes elements[] = {text("first"), text(""), tarn_bytes_at("\0\xff", 2)};
    assert_ok(tarn_operator_list_add_all(list, elements, 3, &error), &error);
    tarn_broadcast *map = operator_broadcast(store, "map");
    assert_ok(tarn_broadcast_put(map, text("key"), text("value"), &error), &error);
    assert_ok(tarn_broadcast_put(map, text(""), text("of the empty key"), &error), &error);
    operator_write(store, pieces);
    operator_close(store);
    assert_ok(tarn_budget_close(budget, &error), &error);
}

static void test_the_golden_files_of_format_1_are_read_for_ever(void **state)
{
    fixture *f = *state;
    operator_pieces pieces = {0};
    write_sample(&pieces);
    assert_int_equal(pieces.count, 2);
    for (size_t i = 0; i < 2; i++) {
        size_t size = 0;
        uint8_t *golden =
            scratch_read(scratch_join(TARN_TEST_DIRECTORY "/golden", golden_names[i]), &size);
        assert_true(tarn_bytes_is_equal(pieces.items[i].bytes, tarn_bytes_at(golden, size)));
        tarn_operator_state_info info;
        assert_ok(
            tarn_operator_state_describe(tarn_bytes_at(golden, size), &info, &f->error), &f->error);
        assert_int_equal(info.codec_version, i == 0 ? 7 : 0);
        assert_int_equal(info.element_count, i == 0 ? 3 : 2);
        free(golden);
    }
    operator_pieces_clear(&pieces);
}

/* ---- failures ---------------------------------------------------------------------------- */

/* All kinds of calls that allocate; answers the first failure. */
static tarn_status use_everything(tarn_operator_store *store, tarn_error *error)
{
    tarn_operator_state_options options = TARN_OPERATOR_STATE_OPTIONS_INIT;
    options.name = "l";
    tarn_operator_list *list = NULL;
    TARN_TRY(tarn_operator_list_open(store, &options, &list, error));
    options.name = "m";
    tarn_broadcast *map = NULL;
    TARN_TRY(tarn_broadcast_open(store, &options, &map, error));
    static const char block[600];
    for (unsigned i = 0; i < 4; i++) {
        const uint64_t count = tarn_operator_list_count(list);
        const tarn_status added =
            tarn_operator_list_add(list, tarn_bytes_at(block, sizeof block), error);
        assert_int_equal(tarn_operator_list_count(list), count + (added == TARN_OK ? 1 : 0));
        TARN_TRY(added);
        TARN_TRY(tarn_broadcast_put(map, tarn_bytes_at(&i, sizeof i), text("value"), error));
    }
    tarn_bytes first;
    assert_int_equal(tarn_operator_list_get(list, 0, &first), TARN_OK);
    const tarn_bytes own[] = {first, first, first, first};
    TARN_TRY(tarn_operator_list_add_all(list, own, 4, error));
    assert_int_equal(tarn_operator_list_get(list, 0, &first), TARN_OK);
    const tarn_bytes kept[] = {first, first};
    const tarn_status replaced = tarn_operator_list_replace(list, kept, 2, error);
    assert_int_equal(tarn_operator_list_count(list), replaced == TARN_OK ? 2 : 8);
    TARN_TRY(replaced);
    TARN_TRY(tarn_broadcast_put(map, tarn_bytes_at("\0\0\0\0", 4), text("other"), error));
    tarn_operator_snapshot *snapshot = NULL;
    TARN_TRY(tarn_operator_snapshot_new(store, &snapshot, error));
    tarn_operator_snapshot_free(snapshot);
    return TARN_OK;
}

static void test_every_call_survives_every_allocation_failure(void **state)
{
    (void)state;
    for (uint64_t nth = 0;; nth++) {
        fault_allocator allocator;
        fault_allocator_init(&allocator, FAULT_NEVER);
        tarn_error error;
        tarn_budget *budget = operator_budget(TARN_UNLIMITED, &allocator.base);
        allocator.fail_at = atomic_load(&allocator.request_count) + nth;
        tarn__operator_source source;
        const tarn__operator_store_options options = operator_options(budget, 0, 1, NULL, &source);
        tarn_operator_store *store = NULL;
        tarn_status status = tarn__operator_store_open(&options, &store, &error);
        if (status == TARN_OK) {
            status = use_everything(store, &error);
        }
        const bool fired = atomic_load(&allocator.fired);
        assert_int_equal(status, fired ? TARN_NO_MEMORY : TARN_OK);
        assert_true(!fired || error.status == TARN_NO_MEMORY);
        operator_close(store);
        assert_ok(tarn_budget_close(budget, &error), &error);
        assert_int_equal(atomic_load(&allocator.live_count), 0);
        if (!fired) {
            assert_true(nth > 10);
            break;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--write-golden") == 0) {
        operator_pieces pieces = {0};
        write_sample(&pieces);
        for (size_t i = 0; i < pieces.count; i++) {
            const tarn_bytes bytes = pieces.items[i].bytes;
            scratch_write(scratch_join(argv[2], golden_names[i]), bytes.data, bytes.size);
        }
        operator_pieces_clear(&pieces);
        return 0;
    }
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_a_list_keeps_elements_in_their_order),
        CASE(test_an_empty_element_is_an_element),
        CASE(test_adding_nothing_changes_nothing_and_replacing_by_nothing_clears),
        CASE(test_replacing_and_clearing_leave_a_list_that_works),
        CASE(test_a_list_can_be_given_its_own_elements),
        CASE(test_an_element_that_is_too_long_refuses_all_that_came_with_it),
        CASE(test_a_broadcast_map_is_sorted_by_the_bytes_of_its_keys),
        CASE(test_an_empty_value_is_there_and_a_removed_one_is_not),
        CASE(test_a_value_is_replaced_even_by_a_part_of_itself),
        CASE(test_a_cursor_refuses_to_go_on_after_a_change),
        CASE(test_a_cursor_at_the_end_begins_again),
        CASE(test_a_state_opened_again_is_the_same_state),
        CASE(test_a_name_in_use_for_something_else_is_refused_with_both_sides),
        CASE(test_a_redistribution_that_the_kind_cannot_have_is_refused),
        CASE(test_names_that_cannot_be_written_are_refused),
        CASE(test_a_store_does_not_outgrow_what_a_snapshot_may_copy),
        cmocka_unit_test(test_a_full_heap_pool_is_told_from_an_empty_machine),
        CASE(test_a_snapshot_holds_what_was_there_when_it_was_cut),
        cmocka_unit_test(test_a_store_stays_open_while_a_snapshot_does),
        CASE(test_figures_count_states_elements_and_snapshots),
        CASE(test_bytes_of_another_origin_are_not_described),
        CASE(test_a_damaged_or_newer_part_is_told_from_a_good_one),
        CASE(test_the_golden_files_of_format_1_are_read_for_ever),
        cmocka_unit_test(test_every_call_survives_every_allocation_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
