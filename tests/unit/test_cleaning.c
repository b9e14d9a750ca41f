/*
 * Unit tests of how expired rows leave the disk: compactions, clean-ups at deadlines, steps beside
 * accesses; of event time; and of a TTL that comes and goes. What is on disk is looked at as bytes:
 * values carry a mark, table files are not compressed, and every byte of them is searched for it.
 * The working set is off, so that what is written is there: test_hot_ttl.c has it on.
 */
#include "support/kinds_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/keyed.h"
#include "tarn/checkpoint.h"
#include "tarn/snapshot.h"

enum { TTL = 1000, ROWS = 300, DEADLINE = 400 };

#define OLD   "mark-of-what-is-old"
#define YOUNG "mark-of-what-is-young"

/* ---- helpers ---------------------------------------------------------------------------- */

static int setup(void **state)
{
    static kinds_fixture f;
    f.config = fixture_new_config(64);
    fixture_set(f.config, "state.backend.rocksdb.compression.per.level", "NO_COMPRESSION");
    fixture_set(f.config, "tarn.working-set.size", "0b");
    f.env = fixture_open_env(f.config, NULL);
    fixture_make_directory(f.directory);
    f.backend = fixture_open_backend(f.env, f.directory);
    f.now_ms = 0;
    *state = &f;
    return 0;
}

static tarn_ttl *new_ttl(kinds_fixture *f)
{
    (void)kinds_ttl_options(
        f, "state", TTL, TARN_TTL_ON_CREATE_AND_WRITE, TARN_TTL_NEVER_RETURN_EXPIRED);
    return &f->ttl;
}

static tarn_value *open_value(kinds_fixture *f)
{
    tarn_value *value = NULL;
    assert_ok(tarn_value_open(f->backend, &f->options, &value, &f->error), &f->error);
    return value;
}

static tarn_value *open_plain(kinds_fixture *f)
{
    (void)kinds_options(f, "state");
    return open_value(f);
}

static void set_number(kinds_fixture *f, uint32_t number)
{
    char key[16];
    (void)snprintf(key, sizeof key, "key%u", number);
    kinds_set_key(f, key);
}

static void put_rows(
    kinds_fixture *f, tarn_value *value, uint32_t first, uint32_t end, const char *mark)
{
    for (uint32_t i = first; i < end; i++) {
        set_number(f, i);
        assert_ok(tarn_value_put(value, tarn_bytes_of(mark), &f->error), &f->error);
    }
}

static tarn_status read_row(kinds_fixture *f, tarn_value *value, uint32_t number, const char *mark)
{
    tarn_bytes read = tarn_bytes_of(mark);
    set_number(f, number);
    const tarn_status status = tarn_value_get(value, &read, &f->error);
    assert_true(tarn_bytes_is_equal(read, tarn_bytes_of(mark)));
    return status;
}

static void flush(kinds_fixture *f)
{
    assert_ok(tarn__rocks_flush(f->backend->rocks, &f->error), &f->error);
}

static uint64_t count_marks_in_file(const char *path, const char *mark)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    (void)fseek(file, 0, SEEK_END);
    const size_t size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, size, file), size);
    (void)fclose(file);
    uint64_t count = 0;
    const size_t mark_size = strlen(mark);
    for (size_t i = 0; i + mark_size <= size; i++) {
        count += memcmp(bytes + i, mark, mark_size) == 0 ? 1 : 0;
    }
    free(bytes);
    return count;
}

/* Links the table files, which is what a checkpoint takes, and searches every byte of them. */
static uint64_t count_marks(kinds_fixture *f, const char *mark)
{
    char links[FIXTURE_PATH_BYTES + 16];
    char path[FIXTURE_PATH_BYTES + 512];
    uint64_t count = 0;
    (void)snprintf(links, sizeof links, "%s/seen", f->directory);
    assert_ok(tarn__rocks_link_snapshot(f->backend->rocks, links, &f->error), &f->error);
    DIR *entries = opendir(links);
    assert_non_null(entries);
    for (const struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        if (strstr(entry->d_name, ".sst") != NULL) {
            (void)snprintf(path, sizeof path, "%s/%s", links, entry->d_name);
            count += count_marks_in_file(path, mark);
        }
    }
    (void)closedir(entries);
    fixture_remove_directory(links);
    return count;
}

static tarn_ttl_stats measure(kinds_fixture *f, tarn_keyed *keyed, uint64_t row_count_max)
{
    tarn_ttl_stats stats;
    assert_ok(tarn_keyed_measure_ttl(keyed, row_count_max, &stats, &f->error), &f->error);
    return stats;
}

static void advance(kinds_fixture *f)
{
    assert_ok(tarn_backend_advance_ttl(f->backend, &f->error), &f->error);
    tarn__cleaner_wait(f->backend);
}

/* ---- compactions ------------------------------------------------------------------------ */

/* Files of level 0 pile up until RocksDB compacts them by itself. */
static void provoke_compactions(kinds_fixture *f, tarn_value *value)
{
    tarn__rocks_stats stats;
    tarn__rocks_family *family = tarn_value_keyed(value)->family;
    for (uint32_t i = 0; i < 40; i++) {
        put_rows(f, value, ROWS, ROWS + 10, YOUNG);
        flush(f);
        tarn__rocks_measure_family(family, &stats);
        if (i > 8 && stats.level0_file_count < 3) {
            return;
        }
    }
}

static void test_compactions_of_rocksdb_leave_out_what_is_expired(void **state)
{
    kinds_fixture *f = *state;
    (void)new_ttl(f);
    tarn_value *value = open_value(f);
    put_rows(f, value, 0, ROWS, OLD);
    flush(f);
    assert_int_equal(count_marks(f, OLD), ROWS);
    f->now_ms = TTL;
    provoke_compactions(f, value);
    assert_true(measure(f, tarn_value_keyed(value), 0).removed_count >= ROWS);
    assert_int_equal(measure(f, tarn_value_keyed(value), 0).expired_count_estimate, 0);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_compactions_keep_what_they_are_told_to_keep(void **state)
{
    kinds_fixture *f = *state;
    new_ttl(f)->is_kept_by_compactions = true;
    tarn_value *value = open_value(f);
    put_rows(f, value, 0, ROWS, OLD);
    f->now_ms = TTL;
    provoke_compactions(f, value);
    tarn__rocks_compact(tarn_value_keyed(value)->family);
    assert_int_equal(measure(f, tarn_value_keyed(value), 0).expired_count_estimate, ROWS);
    assert_int_equal(count_marks(f, OLD), ROWS);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

/* A younger version may be dropped only with what lies below it. */
static void test_no_older_version_comes_back(void **state)
{
    kinds_fixture *f = *state;
    (void)new_ttl(f);
    tarn_value *value = open_value(f);
    f->now_ms = 5000; /* A clock that goes back leaves a younger stamp below an older one. */
    put_rows(f, value, 0, 1, YOUNG);
    flush(f);
    f->now_ms = 0;
    put_rows(f, value, 0, 1, OLD);
    f->now_ms = TTL;
    assert_ok(tarn_keyed_clean(tarn_value_keyed(value), &f->error), &f->error);
    assert_int_equal(count_marks(f, OLD), 0);
    assert_int_equal(read_row(f, value, 0, "none"), TARN_NOT_FOUND);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_an_iterator_sees_what_a_clean_up_removes(void **state)
{
    kinds_fixture *f = *state;
    new_ttl(f)->visibility = TARN_TTL_RETURN_EXPIRED_IF_NOT_CLEANED;
    tarn_map *map = NULL;
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    assert_ok(tarn_map_open(f->backend, &f->options, &map, &f->error), &f->error);
    kinds_set_key(f, "k");
    assert_ok(tarn_map_put(map, tarn_bytes_of("a"), tarn_bytes_of(OLD), &f->error), &f->error);
    f->now_ms = TTL;
    assert_ok(tarn_map_iterate(map, NULL, NULL, &iterator, &f->error), &f->error);
    assert_ok(tarn_keyed_clean(tarn_map_keyed(map), &f->error), &f->error);
    assert_ok(tarn_map_iterator_next(iterator, &entry, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(entry.value, tarn_bytes_of(OLD)));
    tarn_map_iterator_close(iterator);
    assert_int_equal(tarn_map_contains(map, tarn_bytes_of("a"), &f->error), TARN_NOT_FOUND);
    assert_ok(tarn_map_close(map, &f->error), &f->error);
}

static void test_chunks_of_a_list_go_one_by_one(void **state)
{
    kinds_fixture *f = *state;
    (void)new_ttl(f);
    tarn_list *list = NULL;
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    const tarn_bytes both[] = {tarn_bytes_of(OLD), tarn_bytes_of(OLD)};
    assert_ok(tarn_list_open(f->backend, &f->options, &list, &f->error), &f->error);
    kinds_set_key(f, "k");
    assert_ok(tarn_list_append_all(list, both, 2, &f->error), &f->error);
    f->now_ms = TTL - 1;
    assert_ok(tarn_list_append(list, tarn_bytes_of(YOUNG), &f->error), &f->error);
    f->now_ms = TTL;
    assert_ok(tarn_keyed_clean(tarn_list_keyed(list), &f->error), &f->error);
    assert_int_equal(count_marks(f, OLD), 0);
    assert_int_equal(count_marks(f, YOUNG), 1);
    assert_ok(tarn_list_iterate(list, NULL, &iterator, &f->error), &f->error);
    assert_ok(tarn_list_iterator_next(iterator, &element, &f->error), &f->error);
    assert_true(tarn_bytes_is_equal(element, tarn_bytes_of(YOUNG)));
    assert_int_equal(tarn_list_iterator_next(iterator, &element, &f->error), TARN_DONE);
    tarn_list_iterator_close(iterator);
    assert_ok(tarn_list_close(list, &f->error), &f->error);
}

/* ---- reductions ------------------------------------------------------------------------- */

static tarn_reducing *open_sum(kinds_fixture *f)
{
    tarn_reducing *sum = NULL;
    tarn_reducing_options how = TARN_REDUCING_OPTIONS_INIT;
    how.reducer = TARN_REDUCER_SUM;
    assert_ok(tarn_reducing_open(f->backend, &f->options, &how, &sum, &f->error), &f->error);
    kinds_set_key(f, "k");
    return sum;
}

static void add_at(kinds_fixture *f, tarn_reducing *sum, int64_t now_ms, int64_t number)
{
    f->now_ms = now_ms;
    assert_ok(tarn_reducing_add_i64(sum, number, &f->error), &f->error);
}

static void expect_sum(kinds_fixture *f, tarn_reducing *sum, int64_t expected)
{
    int64_t read = 0;
    assert_ok(tarn_reducing_get_i64(sum, &read, &f->error), &f->error);
    assert_int_equal(read, expected);
}

/* A value at the bottom looks expired alone, and is young by adds in newer files and memtables. */
static void check_prolonged_sum(kinds_fixture *f, tarn_ttl_visibility visibility)
{
    new_ttl(f)->visibility = visibility;
    tarn_reducing *sum = open_sum(f);
    tarn_keyed *keyed = tarn_reducing_keyed(sum);
    add_at(f, sum, 0, 1);
    flush(f);
    tarn__rocks_compact(keyed->family);
    add_at(f, sum, TTL - 1, 2);
    flush(f);
    add_at(f, sum, 2 * TTL - 2, 4); /* In the memtable. */
    tarn__rocks_compact(keyed->family);
    assert_ok(tarn_keyed_clean(keyed, &f->error), &f->error);
    add_at(f, sum, 2 * TTL, 8);
    assert_ok(tarn_keyed_clean(keyed, &f->error), &f->error);
    expect_sum(f, sum, 15);
    f->now_ms = 3 * TTL;
    assert_ok(tarn_keyed_clean(keyed, &f->error), &f->error);
    assert_int_equal(measure(f, keyed, 0).expired_count_estimate, 0);
    add_at(f, sum, 3 * TTL, 16);
    expect_sum(f, sum, 16);
    assert_ok(tarn_reducing_clear(sum, &f->error), &f->error);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
}

static void test_a_sum_that_adds_keep_young_is_kept_whole(void **state)
{
    check_prolonged_sum(*state, TARN_TTL_NEVER_RETURN_EXPIRED);
    check_prolonged_sum(*state, TARN_TTL_RETURN_EXPIRED_IF_NOT_CLEANED);
}

/* What a clean-up counts as gone stays gone, also where the compaction has not come yet. */
static void test_an_add_during_a_clean_up_begins_anew(void **state)
{
    kinds_fixture *f = *state;
    new_ttl(f)->visibility = TARN_TTL_RETURN_EXPIRED_IF_NOT_CLEANED;
    f->ttl.deadline_ms = DEADLINE;
    tarn_reducing *sum = open_sum(f);
    add_at(f, sum, 0, 1);
    f->now_ms = TTL + DEADLINE;
    assert_ok(tarn_backend_advance_ttl(f->backend, &f->error), &f->error);
    add_at(f, sum, TTL + DEADLINE + 1, 2); /* Beside the job, before or after it. */
    expect_sum(f, sum, 2);
    tarn__cleaner_wait(f->backend);
    expect_sum(f, sum, 2);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
}

/* ---- deadlines -------------------------------------------------------------------------- */

static void test_expired_bytes_are_gone_by_the_deadline(void **state)
{
    kinds_fixture *f = *state;
    new_ttl(f)->deadline_ms = DEADLINE;
    f->ttl.is_kept_by_compactions = true;
    tarn_value *value = open_value(f);
    tarn_keyed *keyed = tarn_value_keyed(value);
    put_rows(f, value, 0, ROWS, OLD);
    f->now_ms = 300;
    put_rows(f, value, ROWS, 2 * ROWS, YOUNG);
    flush(f);
    f->now_ms = TTL + DEADLINE / 2 - 1;
    advance(f);
    assert_int_equal(count_marks(f, OLD), ROWS); /* There is time yet. */
    f->now_ms = TTL + DEADLINE / 2;
    advance(f);
    assert_int_equal(count_marks(f, OLD), 0);
    assert_int_equal(count_marks(f, YOUNG), ROWS);
    assert_int_equal(measure(f, keyed, 0).clean_up_count, 1);
    assert_int_equal(measure(f, keyed, 0).removed_count, ROWS);
    /* The next one comes by what the first one kept, though nobody writes. */
    f->now_ms = 300 + TTL + DEADLINE / 2;
    advance(f);
    assert_int_equal(count_marks(f, YOUNG), 0);
    f->now_ms += 100 * TTL; /* Nothing is there: nothing is due. */
    advance(f);
    assert_int_equal(measure(f, keyed, 0).clean_up_count, 2);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_an_access_begins_what_is_due(void **state)
{
    kinds_fixture *f = *state;
    new_ttl(f)->deadline_ms = DEADLINE;
    tarn_value *value = open_value(f);
    put_rows(f, value, 0, ROWS, OLD);
    f->now_ms = TTL + DEADLINE;
    put_rows(f, value, ROWS, ROWS + 2, YOUNG);
    tarn__cleaner_wait(f->backend);
    assert_int_equal(count_marks(f, OLD), 0);
    assert_int_equal(count_marks(f, YOUNG), 2);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_a_state_closes_and_opens_beside_its_clean_up(void **state)
{
    kinds_fixture *f = *state;
    new_ttl(f)->deadline_ms = DEADLINE;
    tarn_value *value = open_value(f);
    put_rows(f, value, 0, ROWS, OLD);
    f->now_ms = TTL + DEADLINE;
    assert_ok(tarn_backend_advance_ttl(f->backend, &f->error), &f->error);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    value = open_value(f); /* How old its rows are is not known: a clean-up is due. */
    advance(f);
    assert_int_equal(count_marks(f, OLD), 0);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_a_restored_state_is_cleaned_at_once(void **state)
{
    kinds_fixture *f = *state;
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    tarn_checkpoint_store *store = NULL;
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_checkpoint *checkpoint = NULL;
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    char address[FIXTURE_PATH_BYTES + 16];
    char path[FIXTURE_PATH_BYTES + 32];
    (void)snprintf(address, sizeof address, "%s/store", f->directory);
    options.env = f->env;
    options.address = address;
    options.job = "job";
    new_ttl(f)->deadline_ms = DEADLINE;
    tarn_value *value = open_value(f);
    put_rows(f, value, 0, ROWS, OLD);
    assert_ok(tarn_checkpoint_store_open(&options, &store, &f->error), &f->error);
    assert_ok(tarn_checkpoint_begin(store, 1, &pending, &f->error), &f->error);
    assert_ok(tarn_snapshot_begin(f->backend, pending, &snapshot, &f->error), &f->error);
    assert_ok(tarn_snapshot_finish(snapshot, &acknowledgement, &f->error), &f->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &f->error),
        &f->error);
    tarn_buffer_clear(&acknowledgement);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    assert_ok(tarn_backend_close(f->backend, &f->error), &f->error);

    tarn_backend_options backend_options = TARN_BACKEND_OPTIONS_INIT;
    (void)snprintf(path, sizeof path, "%s/job", address);
    assert_ok(tarn_checkpoint_open(path, NULL, &checkpoint, &f->error), &f->error);
    backend_options.env = f->env;
    backend_options.operator_name = "test";
    backend_options.directory = f->directory;
    backend_options.restore = checkpoint;
    assert_ok(tarn_backend_open(&backend_options, &f->backend, &f->error), &f->error);
    tarn_checkpoint_free(checkpoint);
    value = open_value(f);
    assert_int_equal(count_marks(f, OLD), ROWS);
    f->now_ms = TTL;
    advance(f);
    assert_int_equal(count_marks(f, OLD), 0);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    assert_ok(tarn_checkpoint_store_close(store, &f->error), &f->error);
}

/* ---- step by step ----------------------------------------------------------------------- */

static void test_accesses_clean_a_state_little_by_little(void **state)
{
    kinds_fixture *f = *state;
    new_ttl(f)->cleanup_size = 5;
    tarn_value *value = open_value(f);
    put_rows(f, value, 0, ROWS, OLD);
    f->now_ms = TTL;
    for (uint32_t i = 0; i < 2 * ROWS / 5; i++) {
        assert_int_equal(read_row(f, value, ROWS, "none"), TARN_NOT_FOUND);
    }
    const tarn_ttl_stats stats = measure(f, tarn_value_keyed(value), 0);
    assert_int_equal(stats.cleaned_count, ROWS);
    assert_int_equal(stats.expired_count_estimate, 0);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_records_clean_a_state_that_they_do_not_touch(void **state)
{
    kinds_fixture *f = *state;
    new_ttl(f)->cleanup_size = 5;
    f->ttl.cleans_on_every_record = true;
    tarn_value *value = open_value(f);
    put_rows(f, value, 0, ROWS, OLD);
    f->now_ms = TTL;
    for (uint32_t i = 0; i < 2 * ROWS / 5; i++) {
        kinds_set_key(f, "other");
    }
    assert_int_equal(measure(f, tarn_value_keyed(value), 0).cleaned_count, ROWS);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

/* ---- event time ------------------------------------------------------------------------- */

static tarn_value *open_in_event_time(kinds_fixture *f, tarn_ttl_update update)
{
    tarn_ttl *ttl = new_ttl(f);
    ttl->time = TARN_TTL_EVENT_TIME;
    ttl->now_ms = NULL;
    ttl->update = update;
    ttl->deadline_ms = DEADLINE;
    return open_value(f);
}

static void set_watermark(kinds_fixture *f, int64_t watermark_ms)
{
    assert_ok(tarn_backend_set_watermark(f->backend, watermark_ms, &f->error), &f->error);
}

static void set_event_time(kinds_fixture *f, int64_t event_ms)
{
    assert_ok(tarn_backend_set_event_time(f->backend, event_ms, &f->error), &f->error);
}

static void test_the_watermark_decides_what_is_expired(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = open_in_event_time(f, TARN_TTL_ON_CREATE_AND_WRITE);
    put_rows(f, value, 0, 1, OLD); /* At no known time: it stays until it is written again. */
    set_watermark(f, 100);
    put_rows(f, value, 1, 2, OLD);
    set_event_time(f, 600); /* Ahead of the watermark. */
    put_rows(f, value, 2, 3, OLD);
    set_event_time(f, 50); /* Late: not expired as it is written. */
    put_rows(f, value, 3, 4, OLD);
    set_watermark(f, 99 + TTL);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(read_row(f, value, i, OLD), TARN_OK);
    }
    set_watermark(f, 100 + TTL);
    set_watermark(f, 0); /* It does not go back. */
    assert_int_equal(read_row(f, value, 0, OLD), TARN_OK);
    assert_int_equal(read_row(f, value, 1, "none"), TARN_NOT_FOUND);
    assert_int_equal(read_row(f, value, 2, OLD), TARN_OK);
    assert_int_equal(read_row(f, value, 3, "none"), TARN_NOT_FOUND);
    set_watermark(f, 600 + TTL + DEADLINE / 2);
    tarn__cleaner_wait(f->backend);
    assert_int_equal(count_marks(f, OLD), 1);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_a_late_read_does_not_make_a_value_older(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = open_in_event_time(f, TARN_TTL_ON_READ_AND_WRITE);
    set_watermark(f, 0);
    set_event_time(f, 500);
    put_rows(f, value, 0, 1, OLD);
    set_event_time(f, 100);
    assert_int_equal(read_row(f, value, 0, OLD), TARN_OK);
    set_watermark(f, 499 + TTL);
    assert_int_equal(read_row(f, value, 0, OLD), TARN_OK); /* Which makes it younger. */
    set_watermark(f, 498 + 2 * TTL);
    assert_int_equal(read_row(f, value, 0, OLD), TARN_OK);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_times_and_deadlines_that_are_none_are_refused(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = NULL;
    new_ttl(f)->time = TARN_TTL_EVENT_TIME; /* With a clock. */
    kinds_expect_failure(
        f,
        tarn_value_open(f->backend, &f->options, &value, &f->error),
        TARN_INVALID_ARGUMENT,
        "time 1 with a clock");
    new_ttl(f)->time = (tarn_ttl_time)7;
    kinds_expect_failure(
        f,
        tarn_value_open(f->backend, &f->options, &value, &f->error),
        TARN_INVALID_ARGUMENT,
        "time 7");
    new_ttl(f)->deadline_ms = -1;
    kinds_expect_failure(
        f,
        tarn_value_open(f->backend, &f->options, &value, &f->error),
        TARN_INVALID_ARGUMENT,
        "-1 ms");
    assert_null(value);
}

/* ---- on and off ------------------------------------------------------------------------- */

static void test_a_ttl_that_comes_later_counts_from_then(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = open_plain(f);
    put_rows(f, value, 0, ROWS, OLD);
    flush(f);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    (void)new_ttl(f);
    f->now_ms = 5000;
    value = open_value(f);
    f->now_ms = 5000 + TTL - 1;
    assert_int_equal(read_row(f, value, 0, OLD), TARN_OK);
    put_rows(f, value, 1, 2, YOUNG);
    f->now_ms = 5000 + TTL;
    assert_int_equal(read_row(f, value, 0, "none"), TARN_NOT_FOUND);
    assert_int_equal(read_row(f, value, 1, YOUNG), TARN_OK);
    assert_ok(tarn_keyed_clean(tarn_value_keyed(value), &f->error), &f->error);
    assert_int_equal(count_marks(f, OLD), 0);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_a_ttl_that_goes_expires_nothing_and_may_come_back(void **state)
{
    kinds_fixture *f = *state;
    (void)new_ttl(f);
    tarn_value *value = open_value(f);
    put_rows(f, value, 0, 2, OLD);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    f->now_ms = 10 * TTL;
    value = open_plain(f);
    put_rows(f, value, 1, 2, YOUNG);
    assert_int_equal(read_row(f, value, 0, OLD), TARN_OK);
    assert_int_equal(read_row(f, value, 1, YOUNG), TARN_OK);
    assert_ok(tarn_keyed_clean(tarn_value_keyed(value), &f->error), &f->error);
    assert_int_equal(measure(f, tarn_value_keyed(value), 0).live_count_estimate, 2);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    (void)new_ttl(f);
    value = open_value(f); /* What has a time keeps it; what has none is as young as now. */
    assert_int_equal(read_row(f, value, 0, "none"), TARN_NOT_FOUND);
    assert_int_equal(read_row(f, value, 1, YOUNG), TARN_OK);
    f->now_ms += TTL;
    assert_int_equal(read_row(f, value, 1, "none"), TARN_NOT_FOUND);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

static void test_a_sum_gets_and_loses_a_ttl(void **state)
{
    kinds_fixture *f = *state;
    (void)kinds_options(f, "sum");
    tarn_reducing *sum = open_sum(f);
    add_at(f, sum, 0, 1);
    flush(f);
    add_at(f, sum, 0, 2);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
    (void)new_ttl(f);
    f->options.name = "sum";
    sum = open_sum(f);
    add_at(f, sum, TTL - 1, 4);
    expect_sum(f, sum, 7);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
    (void)kinds_options(f, "sum");
    sum = open_sum(f);
    add_at(f, sum, 100 * TTL, 8);
    expect_sum(f, sum, 15);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
    (void)new_ttl(f);
    f->options.name = "sum";
    sum = open_sum(f);
    add_at(f, sum, 101 * TTL - 1, 16);
    expect_sum(f, sum, 31);
    assert_ok(tarn_keyed_clean(tarn_reducing_keyed(sum), &f->error), &f->error);
    add_at(f, sum, 102 * TTL - 1, 32);
    expect_sum(f, sum, 32);
    assert_ok(tarn_reducing_close(sum, &f->error), &f->error);
}

static void test_a_ttl_in_event_time_comes_with_or_without_a_watermark(void **state)
{
    kinds_fixture *f = *state;
    tarn_value *value = open_plain(f);
    put_rows(f, value, 0, 2, OLD);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    value = open_in_event_time(f, TARN_TTL_ON_CREATE_AND_WRITE);
    set_watermark(f, 100 * TTL);
    assert_int_equal(read_row(f, value, 0, OLD), TARN_OK); /* Of no known time. */
    assert_ok(tarn_value_close(value, &f->error), &f->error);
    value = open_in_event_time(f, TARN_TTL_ON_CREATE_AND_WRITE);
    set_watermark(f, 101 * TTL - 1);
    assert_int_equal(read_row(f, value, 0, OLD), TARN_OK);
    set_watermark(f, 101 * TTL);
    assert_int_equal(read_row(f, value, 0, "none"), TARN_NOT_FOUND);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

/* ---- figures ---------------------------------------------------------------------------- */

static void test_figures_are_exact_when_all_is_seen_and_say_when_they_are_not(void **state)
{
    kinds_fixture *f = *state;
    (void)new_ttl(f);
    tarn_value *value = open_value(f);
    for (uint32_t i = 0; i < 2 * ROWS; i += 2) {
        f->now_ms = 0;
        put_rows(f, value, i, i + 1, OLD);
        f->now_ms = TTL;
        put_rows(f, value, i + 1, i + 2, YOUNG);
    }
    tarn_ttl_stats stats = measure(f, tarn_value_keyed(value), 0);
    assert_true(stats.is_exact);
    assert_int_equal(stats.seen_count, 2 * ROWS);
    assert_int_equal(stats.expired_count_estimate, ROWS);
    assert_int_equal(stats.live_count_estimate, ROWS);
    assert_true(stats.expired_bytes_estimate >= ROWS * (TARN__STAMP_BYTES + strlen(OLD)));
    assert_true(stats.live_bytes_estimate > stats.expired_bytes_estimate);
    stats = measure(f, tarn_value_keyed(value), 150);
    assert_false(stats.is_exact);
    assert_true(stats.seen_count <= 150);
    assert_in_range(stats.expired_count_estimate, ROWS / 2, ROWS * 3 / 2);
    assert_in_range(stats.live_count_estimate, ROWS / 2, ROWS * 3 / 2);
    assert_ok(tarn_value_close(value, &f->error), &f->error);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, kinds_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_compactions_of_rocksdb_leave_out_what_is_expired),
        TEST(test_compactions_keep_what_they_are_told_to_keep),
        TEST(test_no_older_version_comes_back),
        TEST(test_an_iterator_sees_what_a_clean_up_removes),
        TEST(test_chunks_of_a_list_go_one_by_one),
        TEST(test_a_sum_that_adds_keep_young_is_kept_whole),
        TEST(test_an_add_during_a_clean_up_begins_anew),
        TEST(test_expired_bytes_are_gone_by_the_deadline),
        TEST(test_an_access_begins_what_is_due),
        TEST(test_a_state_closes_and_opens_beside_its_clean_up),
        TEST(test_a_restored_state_is_cleaned_at_once),
        TEST(test_accesses_clean_a_state_little_by_little),
        TEST(test_records_clean_a_state_that_they_do_not_touch),
        TEST(test_the_watermark_decides_what_is_expired),
        TEST(test_a_late_read_does_not_make_a_value_older),
        TEST(test_times_and_deadlines_that_are_none_are_refused),
        TEST(test_a_ttl_that_comes_later_counts_from_then),
        TEST(test_a_ttl_that_goes_expires_nothing_and_may_come_back),
        TEST(test_a_sum_gets_and_loses_a_ttl),
        TEST(test_a_ttl_in_event_time_comes_with_or_without_a_watermark),
        TEST(test_figures_are_exact_when_all_is_seen_and_say_when_they_are_not),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
