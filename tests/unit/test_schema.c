/*
 * Unit tests of state/schema.c and state/migrate.c: what may be opened over what is stored, and
 * what comes of values of older versions when it may. tests/property/test_schema.c has the mixes.
 */
#include "support/kinds_fixture.h"

#include <string.h>

#include "tarn/keyed.h"

#include "codec/descriptor.h"

enum { ROWS = 50 };

/* What the callbacks of a test do, and were asked. */
typedef struct codec {
    tarn_migration migration;
    tarn_compatibility answer; /* Of resolve. */
    tarn_status outcome;       /* Of upgrade. */
    uint32_t resolve_count;
    uint32_t upgrade_count;
} codec;

static tarn_compatibility resolve(
    const tarn_schema *stored, const tarn_schema *wanted, void *context)
{
    codec *c = context;
    assert_false(
        stored->codec_version == wanted->codec_version &&
        tarn_bytes_is_equal(stored->codec_name, wanted->codec_name) &&
        tarn_bytes_is_equal(stored->metadata, wanted->metadata));
    c->resolve_count++;
    return c->answer;
}

/* Puts a "+" behind the value. */
static tarn_status upgrade(
    const tarn_schema *stored, tarn_bytes value, tarn_buffer *out, void *context)
{
    codec *c = context;
    (void)stored;
    c->upgrade_count++;
    tarn_status status = tarn_buffer_append(out, value);
    if (status == TARN_OK) {
        status = tarn_buffer_append(out, tarn_bytes_of("+"));
    }
    return status == TARN_OK ? c->outcome : status;
}

static codec new_codec(void)
{
    codec c = {.migration = TARN_MIGRATION_INIT};
    c.migration.upgrade = upgrade;
    return c;
}

static const tarn_state_options *versioned(
    kinds_fixture *f, codec *c, uint32_t version, const char *metadata)
{
    (void)kinds_options(f, "state");
    f->options.codec_version = version;
    f->options.metadata = tarn_bytes_of(metadata);
    if (c != NULL) {
        c->migration.context = c;
        f->options.migration = &c->migration;
    }
    return &f->options;
}

static tarn_value *open_value(kinds_fixture *f, codec *c, uint32_t version)
{
    tarn_value *value = NULL;
    assert_ok(
        tarn_value_open(f->backend, versioned(f, c, version, ""), &value, &f->error), &f->error);
    return value;
}

static void close_value(kinds_fixture *f, tarn_value *value)
{
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void put(kinds_fixture *f, tarn_value *value, const char *key, const char *text)
{
    kinds_set_key(f, key);
    assert_ok(tarn_value_put(value, tarn_bytes_of(text), &f->error), &f->error);
}

static void expect(kinds_fixture *f, tarn_value *value, const char *key, const char *text)
{
    tarn_bytes got;
    kinds_set_key(f, key);
    assert_ok(tarn_value_get(value, &got, &f->error), &f->error);
    if (!tarn_bytes_is_equal(got, tarn_bytes_of(text))) {
        fail_msg("%.*s instead of %s", (int)got.size, (const char *)got.data, text);
    }
}

/* Leaves a closed state of version 1 with values of keys "a" and "b". */
static void leave_version_1(kinds_fixture *f)
{
    tarn_value *value = open_value(f, NULL, 1);
    put(f, value, "a", "A");
    put(f, value, "b", "");
    close_value(f, value);
}

static void expect_refused(kinds_fixture *f, const tarn_state_options *options, const char *part)
{
    tarn_value *value = NULL;
    kinds_expect_failure(
        f, tarn_value_open(f->backend, options, &value, &f->error), TARN_INCOMPATIBLE, part);
    assert_null(value);
}

/* ---- what may be opened ----------------------------------------------------------------- */

static void test_without_a_callback_another_version_is_refused(void **state)
{
    kinds_fixture *f = *state;
    leave_version_1(f);
    expect_refused(
        f,
        versioned(f, NULL, 2, ""),
        "state \"state\" is stored as value of bytes version 1; it was opened as value of bytes "
        "version 2, without a callback");
    expect_refused(
        f, versioned(f, NULL, 0, ""), "version 1; it was opened as value of bytes version 0");
    tarn_value *value = open_value(f, NULL, 1); /* Nothing has changed. */
    expect(f, value, "a", "A");
    close_value(f, value);
}

static void test_by_default_a_later_version_upgrades_and_an_earlier_one_is_refused(void **state)
{
    kinds_fixture *f = *state;
    codec c = new_codec();
    leave_version_1(f);
    expect_refused(
        f, versioned(f, &c, 0, ""), "version 1; it was opened as value of bytes version 0");
    const tarn_state_options *options = versioned(f, &c, 2, "");
    f->options.codec_name = "avro";
    expect_refused(f, options, "bytes version 1; it was opened as value of avro version 2");
    tarn_value *value = open_value(f, &c, 2);
    expect(f, value, "a", "A+");
    expect(f, value, "b", "+");
    close_value(f, value);
    assert_int_equal(c.upgrade_count, 2);
}

/* Each schema that rows may have is asked about, not the latest one alone. */
static void test_every_stored_schema_is_decided_about(void **state)
{
    kinds_fixture *f = *state;
    codec c = new_codec();
    c.migration.resolve = resolve;
    leave_version_1(f);
    c.answer = TARN_NOT_COMPATIBLE;
    expect_refused(f, versioned(f, &c, 2, ""), "version 1; it was opened");
    c.answer = (tarn_compatibility)7; /* No answer is a refusal. */
    expect_refused(f, versioned(f, &c, 2, ""), "version 1; it was opened");
    c.answer = TARN_COMPATIBLE_AFTER_MIGRATION;
    close_value(f, open_value(f, &c, 2));
    expect_refused(
        f, versioned(f, NULL, 2, ""), "bytes version 1; it was opened as value of bytes version 2");
    c.answer = TARN_NOT_COMPATIBLE;
    expect_refused(
        f, versioned(f, &c, 2, ""), "bytes version 1; it was opened as value of bytes version 2");
    c.answer = TARN_COMPATIBLE_AS_IS;
    tarn_value *value = open_value(f, &c, 3);
    expect(f, value, "a", "A");
    put(f, value, "b", "B");
    close_value(f, value);
    assert_int_equal(c.upgrade_count, 0);
}

static void test_metadata_is_stored_and_given_to_the_callbacks(void **state)
{
    kinds_fixture *f = *state;
    codec c = new_codec();
    tarn_value *value = NULL;
    assert_ok(
        tarn_value_open(f->backend, versioned(f, NULL, 1, "one"), &value, &f->error), &f->error);
    close_value(f, value);
    /* The same version with other metadata is as it is, by default; a callback may differ. */
    assert_ok(
        tarn_value_open(f->backend, versioned(f, NULL, 1, "two"), &value, &f->error), &f->error);
    close_value(f, value);
    c.migration.resolve = resolve;
    c.answer = TARN_NOT_COMPATIBLE;
    expect_refused(f, versioned(f, &c, 1, "three"), "state");
    assert_int_equal(c.resolve_count, 1);
    assert_ok(/* The second is the stored one. */
              tarn_value_open(f->backend, versioned(f, &c, 1, "two"), &value, &f->error),
              &f->error);
    close_value(f, value);
    assert_int_equal(c.resolve_count, 1);

    static uint8_t large[TARN_STATE_METADATA_BYTES_MAX + 1];
    (void)versioned(f, NULL, 1, "");
    f->options.metadata = tarn_bytes_at(large, sizeof large);
    kinds_expect_failure(
        f,
        tarn_value_open(f->backend, &f->options, &value, &f->error),
        TARN_INVALID_ARGUMENT,
        "16385 bytes; allowed are 16384");
    f->options.metadata.size--;
    assert_ok(tarn_value_open(f->backend, &f->options, &value, &f->error), &f->error);
    close_value(f, value);
}

static void test_numbers_of_built_in_reducers_are_only_taken_as_they_are(void **state)
{
    kinds_fixture *f = *state;
    codec c = new_codec();
    tarn_reducing_options sum = TARN_REDUCING_OPTIONS_INIT;
    sum.reducer = TARN_REDUCER_SUM;
    tarn_reducing *total = NULL;
    int64_t got = 0;
    assert_ok(
        tarn_reducing_open(f->backend, versioned(f, NULL, 1, ""), &sum, &total, &f->error),
        &f->error);
    kinds_set_key(f, "a");
    assert_ok(tarn_reducing_add_i64(total, 4, &f->error), &f->error);
    assert_ok(tarn_reducing_close(total, &f->error), &f->error);
    kinds_expect_failure(
        f,
        tarn_reducing_open(f->backend, versioned(f, &c, 2, ""), &sum, &total, &f->error),
        TARN_INCOMPATIBLE,
        "rows of that kind are not upgraded");
    c.migration.resolve = resolve;
    c.answer = TARN_COMPATIBLE_AS_IS;
    assert_ok(
        tarn_reducing_open(f->backend, versioned(f, &c, 2, ""), &sum, &total, &f->error),
        &f->error);
    assert_ok(tarn_reducing_add_i64(total, 5, &f->error), &f->error);
    assert_ok(tarn_reducing_get_i64(total, &got, &f->error), &f->error);
    assert_int_equal(got, 9);
    assert_ok(tarn_reducing_close(total, &f->error), &f->error);
}

static void test_rows_have_a_bounded_number_of_schemas(void **state)
{
    kinds_fixture *f = *state;
    codec c = new_codec();
    for (uint32_t version = 1; version <= TARN__SCHEMA_COUNT_MAX; version++) {
        close_value(f, open_value(f, &c, version));
    }
    expect_refused(f, versioned(f, &c, 99, ""), "migrate all to the present one first");
    tarn_value *value = open_value(f, &c, TARN__SCHEMA_COUNT_MAX);
    tarn_migration_progress progress;
    assert_ok(tarn_keyed_migrate(tarn_value_keyed(value), 0, &progress, &f->error), &f->error);
    assert_true(progress.is_complete);
    close_value(f, value);
    for (uint32_t version = 100; version < 700; version++) { /* Generations are used again. */
        value = open_value(f, &c, version);
        put(f, value, "a", "A");
        assert_ok(tarn_keyed_migrate(tarn_value_keyed(value), 0, NULL, &f->error), &f->error);
        close_value(f, value);
    }
}

/* ---- upgrades --------------------------------------------------------------------------- */

static void test_a_callback_that_fails_loses_nothing(void **state)
{
    kinds_fixture *f = *state;
    codec c = new_codec();
    tarn_bytes got;
    leave_version_1(f);
    for (uint32_t size = 0; size < 2; size++) { /* Without the working set, and with it. */
        fixture_resize_working_set(f->backend, size == 0 ? 0 : 5);
        tarn_value *value = open_value(f, &c, 2);
        kinds_set_key(f, "a");
        c.outcome = TARN_DECLINED;
        kinds_expect_failure(
            f,
            tarn_value_get(value, &got, &f->error),
            TARN_DECLINED,
            "the upgrade of a value of state \"state\" from version 1 answered TARN_DECLINED");
        c.outcome = TARN_DONE; /* An outcome is no answer. */
        kinds_expect_failure(f, tarn_value_get(value, &got, &f->error), TARN_INTERNAL, "TARN_DONE");
        void *place = NULL;
        assert_int_equal(tarn_value_edit(value, 4, &place, &f->error), TARN_INTERNAL);
        tarn_migration_progress progress;
        assert_int_equal(
            tarn_keyed_migrate(tarn_value_keyed(value), 0, &progress, &f->error), TARN_INTERNAL);
        c.outcome = TARN_OK;
        expect(f, value, "a", "A+");
        close_value(f, value);
    }
}

static void test_reads_upgrade_and_writes_are_of_the_new_version(void **state)
{
    kinds_fixture *f = *state;
    codec c = new_codec();
    leave_version_1(f);
    fixture_resize_working_set(f->backend, 0);
    tarn_value *value = open_value(f, &c, 2);
    expect(f, value, "a", "A+");
    expect(f, value, "a", "A+"); /* The read has stored nothing. */
    assert_int_equal(c.upgrade_count, 2);
    put(f, value, "a", "A2");
    expect(f, value, "a", "A2");
    void *place = NULL;
    kinds_set_key(f, "b");
    assert_ok(tarn_value_edit(value, 2, &place, &f->error), &f->error);
    assert_memory_equal(place, "+\0", 2);
    memcpy(place, "B2", 2);
    expect(f, value, "b", "B2");
    assert_int_equal(c.upgrade_count, 3);
    close_value(f, value);
    value = open_value(f, &c, 3);
    expect(f, value, "a", "A2+");
    close_value(f, value);
}

/* An iterator sees the state as it was, also when what it sees is migrated meanwhile. */
static void test_a_migration_goes_on_between_other_calls(void **state)
{
    kinds_fixture *f = *state;
    codec c = new_codec();
    tarn_value *value = open_value(f, NULL, 1);
    for (uint32_t i = 0; i < ROWS; i++) {
        kinds_set_key(f, (const char[]){(char)('0' + i), 0});
        assert_ok(tarn_value_put(value, tarn_bytes_of("v"), &f->error), &f->error);
    }
    close_value(f, value);
    value = open_value(f, &c, 2);
    put(f, value, "0", "new");
    tarn_value_iterator *iterator = NULL;
    tarn_row row;
    assert_ok(tarn_value_iterate(value, "test", &iterator, &f->error), &f->error);
    tarn_migration_progress progress = {.is_complete = false};
    uint32_t calls = 0;
    while (!progress.is_complete) {
        assert_ok(tarn_keyed_migrate(tarn_value_keyed(value), 7, &progress, &f->error), &f->error);
        assert_in_range(progress.seen_count, 0, ROWS);
        calls++;
    }
    assert_int_equal(calls, ROWS / 7 + 1);
    assert_int_equal(progress.seen_count, ROWS);
    assert_int_equal(progress.migrated_count, ROWS - 1);
    assert_int_equal(c.upgrade_count, ROWS - 1);
    uint32_t count = 0;
    while (tarn_value_iterator_next(iterator, &row, &f->error) == TARN_OK) {
        count++;
        const bool is_new = tarn_bytes_is_equal(row.key, tarn_bytes_of("0"));
        assert_true(tarn_bytes_is_equal(row.value, tarn_bytes_of(is_new ? "new" : "v+")));
    }
    assert_int_equal(count, ROWS);
    tarn_value_iterator_close(iterator);
    close_value(f, value);
    value = open_value(f, NULL, 2); /* The older schema is forgotten. */
    expect(f, value, "1", "v+");
    assert_ok(tarn_keyed_migrate(tarn_value_keyed(value), 0, &progress, &f->error), &f->error);
    assert_true(progress.is_complete);
    assert_int_equal(progress.seen_count, 0);
    close_value(f, value);
}

/* Each element of a list is a value, and the callback sees no other. */
static void test_elements_of_lists_and_entries_of_maps_are_upgraded(void **state)
{
    kinds_fixture *f = *state;
    codec c = new_codec();
    tarn_list *list = NULL;
    assert_ok(tarn_list_open(f->backend, versioned(f, NULL, 1, ""), &list, &f->error), &f->error);
    kinds_set_key(f, "a");
    const tarn_bytes elements[] = {tarn_bytes_of("x"), tarn_bytes_of(""), tarn_bytes_of("yy")};
    assert_ok(tarn_list_append_all(list, elements, 3, &f->error), &f->error);
    assert_ok(tarn_list_close(list, &f->error), &f->error);
    assert_ok(tarn_list_open(f->backend, versioned(f, &c, 2, ""), &list, &f->error), &f->error);
    assert_ok(tarn_list_append(list, tarn_bytes_of("z"), &f->error), &f->error);
    static const char *const WANTED[] = {"x+", "+", "yy+", "z"};
    tarn_list_iterator *iterator = NULL;
    tarn_bytes got;
    assert_ok(tarn_list_iterate(list, "test", &iterator, &f->error), &f->error);
    for (uint32_t i = 0; i < 4; i++) {
        assert_ok(tarn_list_iterator_next(iterator, &got, &f->error), &f->error);
        assert_true(tarn_bytes_is_equal(got, tarn_bytes_of(WANTED[i])));
    }
    assert_int_equal(tarn_list_iterator_next(iterator, &got, &f->error), TARN_DONE);
    tarn_list_iterator_close(iterator);
    assert_int_equal(c.upgrade_count, 3);
    assert_ok(tarn_list_close(list, &f->error), &f->error);
}

/* What another version of the library left: a descriptor of format 1, and rows without marks. */
static void test_rows_without_a_version_get_the_one_that_they_had(void **state)
{
    kinds_fixture *f = *state;
    codec c = new_codec();
    leave_version_1(f);
    tarn__rocks *rocks = f->backend->rocks;
    tarn__rocks_family *family = tarn__rocks_find_family(rocks, "state");
    tarn__rocks_iterator *rows = NULL;
    tarn_bytes row;
    tarn_bytes stored;
    assert_ok(
        tarn__rocks_iterate_raw(family, tarn_bytes_of(""), tarn_bytes_of("\xff"), &rows, &f->error),
        &f->error);
    while (tarn__rocks_iterator_next(rows, &row, &stored, &f->error) == TARN_OK) {
        assert_ok(
            tarn__rocks_put(family, row, tarn_bytes_at(stored.data, stored.size - 1), &f->error),
            &f->error);
    }
    tarn__rocks_iterator_close(rows);
    static const uint8_t FORMAT_1[] = {1, 1, 0, 0, 0, 1, 0, 0, 5, 'b', 'y', 't', 'e', 's'};
    assert_ok(
        tarn__rocks_put(
            tarn__rocks_default_family(rocks),
            tarn_bytes_of("state"),
            tarn_bytes_at(FORMAT_1, sizeof FORMAT_1),
            &f->error),
        &f->error);

    tarn_value *value = open_value(f, NULL, 1); /* Stays as it is. */
    expect(f, value, "a", "A");
    put(f, value, "c", "C");
    close_value(f, value);
    value = open_value(f, &c, 2);
    expect(f, value, "a", "A+");
    expect(f, value, "b", "+");
    expect(f, value, "c", "C+");
    put(f, value, "a", "A2");
    close_value(f, value);
    value = open_value(f, &c, 3);
    expect(f, value, "a", "A2+");
    expect(f, value, "c", "C+");
    close_value(f, value);
}

static void test_a_value_of_a_generation_that_is_not_known_is_corruption(void **state)
{
    kinds_fixture *f = *state;
    leave_version_1(f);
    tarn__rocks_family *family = tarn__rocks_find_family(f->backend->rocks, "state");
    tarn__rocks_iterator *rows = NULL;
    tarn_bytes row;
    tarn_bytes stored;
    assert_ok(
        tarn__rocks_iterate_raw(family, tarn_bytes_of(""), tarn_bytes_of("\xff"), &rows, &f->error),
        &f->error);
    assert_ok(tarn__rocks_iterator_next(rows, &row, &stored, &f->error), &f->error);
    assert_ok(tarn__rocks_put(family, row, tarn_bytes_of("A\x09"), &f->error), &f->error);
    assert_ok(tarn__rocks_iterator_next(rows, &row, &stored, &f->error), &f->error);
    assert_ok(tarn__rocks_put(family, row, tarn_bytes_of(""), &f->error), &f->error);
    tarn__rocks_iterator_close(rows);
    tarn_value *value = open_value(f, NULL, 1);
    tarn_value_iterator *iterator = NULL;
    tarn_row read;
    assert_ok(tarn_value_iterate(value, NULL, &iterator, &f->error), &f->error);
    kinds_expect_failure(
        f,
        tarn_value_iterator_next(iterator, &read, &f->error),
        TARN_CORRUPTION,
        "generation 9, of which its descriptor says nothing");
    kinds_expect_failure(
        f,
        tarn_value_iterator_next(iterator, &read, &f->error),
        TARN_CORRUPTION,
        "without the generation");
    tarn_value_iterator_close(iterator);
    close_value(f, value);
}

/* ---- the failure loop ------------------------------------------------------------------- */

/* Opens an upgraded state, reads it and migrates it, each tried until it has memory. */
static uint32_t run_short_of_memory(tarn_env *env, fault_allocator *fault, const char *directory)
{
    tarn_error error;
    uint32_t refused = 0;
    codec c = new_codec();
    tarn_backend *backend = fixture_open_backend(env, directory);
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.name = "state";
    tarn_value *value = NULL;
    tarn_status status;
    for (uint32_t version = 0; version < 2; version++) {
        c.migration.context = &c;
        options.codec_version = version;
        options.migration = &c.migration;
        uint64_t nth = 0;
        do { /* Opening: whatever fails, nothing is left open or half upgraded. */
            atomic_store(&fault->request_count, 0);
            fault->fail_at = nth++;
            status = tarn_value_open(backend, &options, &value, &error);
            fault->fail_at = FAULT_NEVER;
            refused += status == TARN_NO_MEMORY;
            assert_true(status == TARN_OK || status == TARN_NO_MEMORY);
        } while (status != TARN_OK);
        if (version == 0) {
            assert_ok(tarn_backend_set_key(backend, tarn_bytes_of("k"), &error), &error);
            assert_ok(tarn_value_put(value, tarn_bytes_of("v"), &error), &error);
            assert_ok(tarn_value_close(value, &error), &error);
        }
    }
    tarn_migration_progress progress = {.is_complete = false};
    uint64_t nth = 0;
    do {
        atomic_store(&fault->request_count, 0);
        fault->fail_at = nth++;
        status = tarn_keyed_migrate(tarn_value_keyed(value), 0, &progress, &error);
        fault->fail_at = FAULT_NEVER;
        refused += status == TARN_NO_MEMORY;
        assert_true(status == TARN_OK || status == TARN_NO_MEMORY);
    } while (status != TARN_OK);
    assert_true(progress.is_complete);
    tarn_bytes got;
    assert_ok(tarn_value_get(value, &got, &error), &error);
    assert_true(tarn_bytes_is_equal(got, tarn_bytes_of("v+")));
    assert_ok(tarn_value_close(value, &error), &error);
    assert_ok(tarn_backend_close(backend, &error), &error);
    return refused;
}

static void test_no_memory_changes_nothing_and_is_got_over(void **state)
{
    (void)state;
    char directory[FIXTURE_PATH_BYTES];
    fixture_make_directory(directory);
    tarn_config *config = fixture_new_config(64);
    fault_allocator fault;
    fault_allocator_init(&fault, FAULT_NEVER);
    tarn_env *env = fixture_open_env(config, &fault.base);
    assert_in_range(run_short_of_memory(env, &fault, directory), 10, UINT32_MAX);
    tarn_error error;
    assert_ok(tarn_env_close(env, &error), &error);
    assert_int_equal(atomic_load(&fault.live_count), 0);
    tarn_config_free(config);
    fixture_remove_directory(directory);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, kinds_setup, kinds_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_without_a_callback_another_version_is_refused),
        TEST(test_by_default_a_later_version_upgrades_and_an_earlier_one_is_refused),
        TEST(test_every_stored_schema_is_decided_about),
        TEST(test_metadata_is_stored_and_given_to_the_callbacks),
        TEST(test_numbers_of_built_in_reducers_are_only_taken_as_they_are),
        TEST(test_rows_have_a_bounded_number_of_schemas),
        TEST(test_a_callback_that_fails_loses_nothing),
        TEST(test_reads_upgrade_and_writes_are_of_the_new_version),
        TEST(test_a_migration_goes_on_between_other_calls),
        TEST(test_elements_of_lists_and_entries_of_maps_are_upgraded),
        TEST(test_rows_without_a_version_get_the_one_that_they_had),
        TEST(test_a_value_of_a_generation_that_is_not_known_is_corruption),
        cmocka_unit_test(test_no_memory_changes_nothing_and_is_got_over),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
