/*
 * Unit tests of state/value.c: the corner cases of value state. Empty is not absent; a key, a
 * namespace and a state each have values of their own; what edit() hands out is stored by whatever
 * call comes next.
 */
#include "support/support.h"

#include <string.h>

#include "state/backend.h"
#include "support/state_fixture.h"

typedef struct fixture {
    tarn_config *config;
    tarn_env *env;
    tarn_backend *backend;
    tarn_value *value;
    char directory[FIXTURE_PATH_BYTES];
    tarn_error error;
} fixture;

static int setup(void **state)
{
    static fixture f;
    f.config = fixture_new_config(64);
    f.env = fixture_open_env(f.config, NULL);
    fixture_make_directory(f.directory);
    f.backend = fixture_open_backend(f.env, f.directory);
    f.value = fixture_open_value(f.backend, "value");
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    assert_ok(tarn_value_close(f->value, &f->error), &f->error);
    assert_ok(tarn_backend_close(f->backend, &f->error), &f->error);
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    tarn_config_free(f->config);
    fixture_remove_directory(f->directory);
    return 0;
}

static void set_key(fixture *f, const char *key)
{
    assert_ok(tarn_backend_set_key(f->backend, tarn_bytes_of(key), &f->error), &f->error);
}

static void put(fixture *f, const char *text)
{
    assert_ok(tarn_value_put(f->value, tarn_bytes_of(text), &f->error), &f->error);
}

static void *edit(fixture *f, size_t size)
{
    void *bytes = NULL;
    assert_ok(tarn_value_edit(f->value, size, &bytes, &f->error), &f->error);
    return bytes;
}

static void expect(fixture *f, const char *text)
{
    tarn_bytes read = {NULL, 0};
    assert_ok(tarn_value_get(f->value, &read, &f->error), &f->error);
    if (!tarn_bytes_is_equal(read, tarn_bytes_of(text))) {
        fail_msg("\"%.*s\" instead of \"%s\"", (int)read.size, (const char *)read.data, text);
    }
}

static void expect_absent(fixture *f)
{
    tarn_bytes read = {"untouched", 9};
    assert_int_equal(tarn_value_get(f->value, &read, &f->error), TARN_NOT_FOUND);
    assert_int_equal(read.size, 9);
}

static void expect_open_refused(
    fixture *f, const tarn_state_options *options, tarn_status status, const char *part)
{
    tarn_value *value = NULL;
    assert_int_equal(tarn_value_open(f->backend, options, &value, &f->error), status);
    assert_null(value);
    if (strstr(f->error.message, part) == NULL) {
        fail_msg("\"%s\" is not in: %s", part, f->error.message);
    }
}

static void test_an_empty_value_is_not_an_absent_one(void **state)
{
    fixture *f = *state;
    set_key(f, "k");
    expect_absent(f);
    put(f, "");
    expect(f, "");
    assert_ok(tarn_value_remove(f->value, &f->error), &f->error);
    expect_absent(f);
    assert_ok(tarn_value_remove(f->value, &f->error), &f->error); /* Nothing there: fine. */
}

static void test_keys_that_are_prefixes_of_each_other_are_apart(void **state)
{
    fixture *f = *state;
    static const char *const KEYS[] = {"", "a", "ab", "abc"};
    for (int i = 0; i < 4; i++) {
        set_key(f, KEYS[i]);
        put(f, KEYS[i]);
    }
    for (int i = 0; i < 4; i++) {
        set_key(f, KEYS[i]);
        expect(f, KEYS[i]);
    }
}

/* A namespace stays when the key changes; each state has its own. */
static void test_namespaces_are_apart_and_stay_with_their_state(void **state)
{
    fixture *f = *state;
    tarn_value *other = fixture_open_value(f->backend, "other");
    tarn_bytes read;
    set_key(f, "k");
    put(f, "none");
    assert_ok(tarn_value_set_namespace(f->value, tarn_bytes_of("window-1"), &f->error), &f->error);
    expect_absent(f);
    put(f, "one");
    assert_ok(tarn_value_put(other, tarn_bytes_of("of other"), &f->error), &f->error);
    set_key(f, "l");
    expect_absent(f);
    put(f, "l one");
    set_key(f, "k");
    expect(f, "one");
    assert_ok(tarn_value_get(other, &read, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(read, tarn_bytes_of("of other")));
    assert_ok(tarn_value_set_namespace(f->value, tarn_bytes_of(""), &f->error), &f->error);
    expect(f, "none");
    assert_ok(tarn_value_close(other, &f->error), &f->error);
}

/* Key "ab" in namespace "c" and key "a" in namespace "bc" have the same bytes in a row. */
static void test_key_and_namespace_do_not_run_into_each_other(void **state)
{
    fixture *f = *state;
    set_key(f, "ab");
    assert_ok(tarn_value_set_namespace(f->value, tarn_bytes_of("c"), &f->error), &f->error);
    put(f, "ab/c");
    set_key(f, "a");
    assert_ok(tarn_value_set_namespace(f->value, tarn_bytes_of("bc"), &f->error), &f->error);
    expect_absent(f);
}

static void test_sizes_at_their_limits(void **state)
{
    fixture *f = *state;
    static uint8_t bytes[65536];
    memset(bytes, 'n', sizeof bytes);
    set_key(f, "before");
    assert_ok(
        tarn_value_set_namespace(f->value, tarn_bytes_at(bytes, 65535), &f->error), &f->error);
    assert_int_equal(
        tarn_value_set_namespace(f->value, tarn_bytes_at(bytes, 65536), &f->error),
        TARN_INVALID_ARGUMENT);
    put(f, "short key");
    assert_ok(tarn_backend_set_key(f->backend, tarn_bytes_at(bytes, 65535), &f->error), &f->error);
    expect_absent(f);
    put(f, "long key");
    expect(f, "long key");
    set_key(f, "before");
    expect(f, "short key");
    void *edited;
    assert_int_equal(
        tarn_value_edit(f->value, (size_t)INT32_MAX + 1, &edited, &f->error),
        TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_value_put(f->value, tarn_bytes_at(bytes, (size_t)INT32_MAX + 1), &f->error),
        TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn_value_edit(f->value, 0, &edited, &f->error), TARN_INVALID_ARGUMENT);
    expect(f, "short key");
}

static void test_a_state_without_a_key_is_refused(void **state)
{
    fixture *f = *state;
    tarn_bytes read;
    void *edited;
    assert_int_equal(tarn_value_get(f->value, &read, &f->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "value"));
    assert_int_equal(
        tarn_value_put(f->value, tarn_bytes_of("x"), &f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn_value_remove(f->value, &f->error), TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn_value_edit(f->value, 1, &edited, &f->error), TARN_INVALID_ARGUMENT);
}

/* ---- edit ------------------------------------------------------------------------------- */

static void test_edit_creates_zeroed_grows_by_zeros_and_cuts(void **state)
{
    fixture *f = *state;
    static const uint8_t ZEROS[8] = {0};
    set_key(f, "k");
    void *bytes = edit(f, 8);
    assert_memory_equal(bytes, ZEROS, 8);
    memcpy(bytes, "ABCDEFGH", 8);
    bytes = edit(f, 4);
    assert_memory_equal(bytes, "ABCD", 4);
    bytes = edit(f, 8); /* What was cut is gone, the edit of 4 bytes is stored. */
    assert_memory_equal(bytes, "ABCD\0\0\0\0", 8);
    assert_int_equal((uintptr_t)bytes % 8, 0);
    memcpy(bytes, "abcdefgh", 8);
    expect(f, "abcdefgh");
    bytes = edit(f, 16); /* Its alignment changes, its bytes do not. */
    assert_int_equal((uintptr_t)bytes % _Alignof(max_align_t), 0);
    assert_memory_equal(bytes, "abcdefgh\0\0\0\0\0\0\0\0", 16);
    bytes = edit(f, 8);
    assert_memory_equal(bytes, "abcdefgh", 8);
}

typedef void next_call(fixture *f);

static void next_sets_key(fixture *f)
{
    set_key(f, "other");
}

static void next_fails_to_set_key(fixture *f)
{
    static const uint8_t KEY[65536];
    assert_int_equal(
        tarn_backend_set_key(f->backend, tarn_bytes_at(KEY, sizeof KEY), &f->error),
        TARN_INVALID_ARGUMENT);
}

static void next_sets_namespace(fixture *f)
{
    assert_ok(tarn_value_set_namespace(f->value, tarn_bytes_of("w"), &f->error), &f->error);
    assert_ok(tarn_value_set_namespace(f->value, tarn_bytes_of(""), &f->error), &f->error);
}

static void next_edits_another_key(fixture *f)
{
    set_key(f, "other");
    memcpy(edit(f, 2), "no", 2);
}

static void next_opens_a_state(fixture *f)
{
    tarn_value *other = fixture_open_value(f->backend, "other");
    assert_ok(tarn_value_close(other, &f->error), &f->error);
}

static void next_closes_and_opens(fixture *f)
{
    assert_ok(tarn_value_close(f->value, &f->error), &f->error);
    f->value = fixture_open_value(f->backend, "value");
}

static void next_iterates(fixture *f)
{
    tarn_value_iterator *iterator = NULL;
    tarn_row row;
    assert_ok(tarn_value_iterate(f->value, NULL, &iterator, &f->error), &f->error);
    assert_ok(tarn_value_iterator_next(iterator, &row, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(row.value, tarn_bytes_of("yes")));
    tarn_value_iterator_close(iterator);
}

static void next_uses_another_state(fixture *f)
{
    tarn_value *other = fixture_open_value(f->backend, "other");
    memcpy(edit(f, 3), "yes", 3);
    assert_ok(tarn_value_put(other, tarn_bytes_of("x"), &f->error), &f->error);
    assert_ok(tarn_value_close(other, &f->error), &f->error);
}

static void test_whatever_call_comes_next_stores_an_edit(void **state)
{
    fixture *f = *state;
    static next_call *const CALLS[] = {
        next_sets_key,
        next_fails_to_set_key,
        next_sets_namespace,
        next_edits_another_key,
        next_opens_a_state,
        next_closes_and_opens,
        next_iterates,
        next_uses_another_state,
    };
    for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++) {
        set_key(f, "k");
        assert_ok(tarn_value_remove(f->value, &f->error), &f->error);
        memcpy(edit(f, 3), "yes", 3);
        CALLS[i](f);
        set_key(f, "k");
        expect(f, "yes");
        set_key(f, "other");
        assert_ok(tarn_value_remove(f->value, &f->error), &f->error);
    }
}

/* Bytes that a call gave out may be the next call's argument. */
static void test_borrowed_bytes_can_be_passed_on(void **state)
{
    fixture *f = *state;
    tarn_bytes read;
    set_key(f, "k");
    put(f, "next key, and a value longer than any small buffer that would be copied aside");
    assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error); /* Pins a block. */
    assert_ok(tarn_value_get(f->value, &read, &f->error), &f->error);
    assert_ok(tarn_value_put(f->value, read, &f->error), &f->error);
    assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error);
    assert_ok(tarn_value_get(f->value, &read, &f->error), &f->error);
    assert_ok(tarn_backend_set_key(f->backend, read, &f->error), &f->error);
    put(f, "there");
    void *bytes = edit(f, 5);
    assert_ok(tarn_value_set_namespace(f->value, tarn_bytes_at(bytes, 5), &f->error), &f->error);
    expect_absent(f);
    put(f, "in its namespace");
    assert_ok(tarn_value_set_namespace(f->value, tarn_bytes_of("there"), &f->error), &f->error);
    expect(f, "in its namespace");
}

/* ---- opening ---------------------------------------------------------------------------- */

static void test_bad_names_are_refused(void **state)
{
    fixture *f = *state;
    char long_name[257];
    memset(long_name, 'x', 256);
    long_name[256] = '\0';
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    expect_open_refused(f, &options, TARN_INVALID_ARGUMENT, "name is missing");
    options.name = "";
    expect_open_refused(f, &options, TARN_INVALID_ARGUMENT, "name is missing");
    options.name = long_name;
    expect_open_refused(f, &options, TARN_INVALID_ARGUMENT, "too long");
    options.name = "default";
    expect_open_refused(f, &options, TARN_INVALID_ARGUMENT, "default");
    options.name = "n";
    options.codec_name = long_name;
    expect_open_refused(f, &options, TARN_INVALID_ARGUMENT, "codec");
    long_name[255] = '\0';
    options = (tarn_state_options)TARN_STATE_OPTIONS_INIT;
    options.name = long_name;
    tarn_value *value = NULL;
    assert_ok(tarn_value_open(f->backend, &options, &value, &f->error), &f->error);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_a_state_is_open_once(void **state)
{
    fixture *f = *state;
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.name = "value";
    expect_open_refused(f, &options, TARN_BUSY, "value");
}

static void test_rows_stay_when_a_state_is_closed(void **state)
{
    fixture *f = *state;
    set_key(f, "k");
    put(f, "kept");
    next_closes_and_opens(f);
    expect(f, "kept");
}

static void test_another_codec_is_refused_and_both_are_named(void **state)
{
    fixture *f = *state;
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    tarn_value *value = NULL;
    options.name = "coded";
    options.codec_name = "avro";
    options.codec_version = 3;
    assert_ok(tarn_value_open(f->backend, &options, &value, &f->error), &f->error);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    value = NULL;
    options.codec_version = 4;
    expect_open_refused(f, &options, TARN_INCOMPATIBLE, "avro version 3");
    assert_non_null(strstr(f->error.message, "avro version 4"));
    options.codec_name = NULL;
    options.codec_version = 0;
    expect_open_refused(f, &options, TARN_INCOMPATIBLE, "bytes version 0");
    options.codec_name = "avro";
    options.codec_version = 3;
    assert_ok(tarn_value_open(f->backend, &options, &value, &f->error), &f->error);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_a_damaged_or_newer_descriptor_is_refused(void **state)
{
    fixture *f = *state;
    tarn__rocks_family *own = tarn__rocks_default_family(f->backend->rocks);
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.name = "odd";
    tarn_value *value = fixture_open_value(f->backend, "odd");
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    assert_ok(
        tarn__rocks_put(own, tarn_bytes_of("odd"), tarn_bytes_of("\x01"), &f->error), &f->error);
    expect_open_refused(f, &options, TARN_CORRUPTION, "odd");
    assert_ok(
        tarn__rocks_put(own, tarn_bytes_of("odd"), tarn_bytes_of("\x03\x01"), &f->error),
        &f->error);
    expect_open_refused(f, &options, TARN_NOT_SUPPORTED, "newer");
    assert_ok(tarn__rocks_delete(own, tarn_bytes_of("odd"), &f->error), &f->error);
    expect_open_refused(f, &options, TARN_CORRUPTION, "without a descriptor");
}

/* A state that exists is given the settings that it is opened with now, rows and all. */
static void test_tuning_of_one_state_is_its_own(void **state)
{
    fixture *f = *state;
    set_key(f, "k");
    put(f, "of the first");
    tarn_config *tuning = NULL;
    assert_ok(tarn_config_new(NULL, &tuning, &f->error), &f->error);
    fixture_set(tuning, "state.backend.rocksdb.compression.per.level", "ZSTD_COMPRESSION");
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.name = "cold";
    options.tuning = tuning;
    tarn_value *cold = NULL;
    assert_ok(tarn_value_open(f->backend, &options, &cold, &f->error), &f->error);
    assert_ok(tarn_value_put(cold, tarn_bytes_of("cold"), &f->error), &f->error);
    assert_ok(tarn_value_close(cold, &f->error), &f->error);
    fixture_set(tuning, "state.backend.rocksdb.block.blocksize", "64kb");
    assert_ok(tarn_value_open(f->backend, &options, &cold, &f->error), &f->error);
    tarn_bytes read;
    assert_ok(tarn_value_get(cold, &read, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(read, tarn_bytes_of("cold")));
    const char *text = (const char *)tarn__rocks_find_family(f->backend->rocks, "cold")->text.data;
    assert_non_null(strstr(text, "compression_per_level=kZSTD;"));
    assert_non_null(strstr(text, "block_size=65536;"));
    expect(f, "of the first");
    assert_ok(tarn_value_close(cold, &f->error), &f->error);

    fixture_set(tuning, "state.backend.rocksdb.thread.num", "9");
    expect_open_refused(f, &options, TARN_INVALID_ARGUMENT, "thread.num");
    tarn_config_free(tuning);
}

/* ---- iteration -------------------------------------------------------------------------- */

static void test_an_iteration_sees_all_rows_as_they_were(void **state)
{
    fixture *f = *state;
    tarn_value_iterator *iterator = NULL;
    for (uint32_t i = 0; i < 100; i++) {
        assert_ok(
            tarn_backend_set_key(f->backend, tarn_bytes_at(&i, sizeof i), &f->error), &f->error);
        put(f, "old");
    }
    assert_ok(tarn_value_set_namespace(f->value, tarn_bytes_of("w"), &f->error), &f->error);
    put(f, "of a window");
    assert_ok(tarn_value_iterate(f->value, "test", &iterator, &f->error), &f->error);
    assert_ok(tarn_value_set_namespace(f->value, tarn_bytes_of(""), &f->error), &f->error);
    put(f, "new");
    assert_ok(tarn_value_remove(f->value, &f->error), &f->error);

    uint32_t count = 0;
    uint32_t window_count = 0;
    uint32_t last_group = 0;
    tarn_row row;
    tarn_status status = tarn_value_iterator_next(iterator, &row, &f->error);
    while (status == TARN_OK) {
        const bool is_window = tarn_bytes_is_equal(row.name_space, tarn_bytes_of("w"));
        assert_true(
            tarn_bytes_is_equal(row.value, tarn_bytes_of(is_window ? "of a window" : "old")));
        assert_int_equal(row.key.size, 4);
        assert_int_equal(row.key_group, tarn_key_group_of(tarn_hash_bytes(row.key), 128));
        assert_true(row.key_group >= last_group);
        last_group = row.key_group;
        count++;
        window_count += is_window ? 1 : 0;
        status = tarn_value_iterator_next(iterator, &row, &f->error);
    }
    assert_int_equal(status, TARN_DONE);
    assert_int_equal(tarn_value_iterator_next(iterator, &row, &f->error), TARN_DONE);
    assert_int_equal(count, 101);
    assert_int_equal(window_count, 1);
    tarn_value_iterator_close(iterator);
}

static void test_a_row_that_nobody_wrote_is_corruption(void **state)
{
    fixture *f = *state;
    tarn_value_iterator *iterator = NULL;
    tarn_row row;
    tarn__rocks_family *family = tarn__rocks_find_family(f->backend->rocks, "value");
    assert_ok(
        tarn__rocks_put(family, tarn_bytes_at("\0\1", 2), tarn_bytes_of("x"), &f->error),
        &f->error);
    assert_ok(tarn_value_iterate(f->value, NULL, &iterator, &f->error), &f->error);
    assert_int_equal(tarn_value_iterator_next(iterator, &row, &f->error), TARN_CORRUPTION);
    assert_non_null(strstr(f->error.message, "value"));
    tarn_value_iterator_close(iterator);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_an_empty_value_is_not_an_absent_one),
        TEST(test_keys_that_are_prefixes_of_each_other_are_apart),
        TEST(test_namespaces_are_apart_and_stay_with_their_state),
        TEST(test_key_and_namespace_do_not_run_into_each_other),
        TEST(test_sizes_at_their_limits),
        TEST(test_a_state_without_a_key_is_refused),
        TEST(test_edit_creates_zeroed_grows_by_zeros_and_cuts),
        TEST(test_whatever_call_comes_next_stores_an_edit),
        TEST(test_borrowed_bytes_can_be_passed_on),
        TEST(test_bad_names_are_refused),
        TEST(test_a_state_is_open_once),
        TEST(test_rows_stay_when_a_state_is_closed),
        TEST(test_another_codec_is_refused_and_both_are_named),
        TEST(test_a_damaged_or_newer_descriptor_is_refused),
        TEST(test_tuning_of_one_state_is_its_own),
        TEST(test_an_iteration_sees_all_rows_as_they_were),
        TEST(test_a_row_that_nobody_wrote_is_corruption),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
