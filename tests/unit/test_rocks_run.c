/*
 * Unit tests of rocks/run.c: rows that a database takes in as a table file, what becomes of them
 * when it asks to be asked again, and what when it refuses. Its answers are made up here:
 * rocksdb_ingest_external_file_cf() is wrapped, and refuses as RocksDB does, the file left in
 * place. So is the sleep between two tries, which takes no time.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include <rocksdb/c.h>

#include "base/clock.h"
#include "rocks/db.h"
#include "support/scratch.h"

#define TRY_AGAIN  "Operation failed. Try again.: "
#define RUN_PREFIX "tarn-run-"

enum { ROWS = 100, MS_NS = 1000000 };

/* How the next calls end. */
static struct {
    const char *text;
    uint32_t refusals; /* Of calls that are not passed on. */
    const char *last;  /* Of one more behind them; NULL: there is none. */
    uint32_t calls;
} answers;

/* The sleeps between them. */
static struct {
    uint32_t count;
    uint64_t last_ns;
    uint64_t total_ns;
} waits;

/* The calls that run.c makes come by here: the linker gives them these names. */
void __wrap_tarn__clock_sleep(uint64_t ns, void *context);
void __wrap_rocksdb_ingest_external_file_cf(
    rocksdb_t *db,
    rocksdb_column_family_handle_t *handle,
    const char *const *files,
    size_t file_count,
    const rocksdb_ingestexternalfileoptions_t *options,
    char **message);
void __real_rocksdb_ingest_external_file_cf(
    rocksdb_t *db,
    rocksdb_column_family_handle_t *handle,
    const char *const *files,
    size_t file_count,
    const rocksdb_ingestexternalfileoptions_t *options,
    char **message);

void __wrap_rocksdb_ingest_external_file_cf(
    rocksdb_t *db,
    rocksdb_column_family_handle_t *handle,
    const char *const *files,
    size_t file_count,
    const rocksdb_ingestexternalfileoptions_t *options,
    char **message)
{
    assert_null(*message);
    assert_int_equal(file_count, 1);
    assert_true(scratch_exists(files[0]));
    answers.calls++;
    if (answers.refusals > 0) {
        answers.refusals--;
        *message = strdup(answers.text);
    } else if (answers.last != NULL) {
        *message = strdup(answers.last);
        answers.last = NULL;
    } else {
        __real_rocksdb_ingest_external_file_cf(db, handle, files, file_count, options, message);
    }
}

/* From a millisecond on, each is twice the one before. */
void __wrap_tarn__clock_sleep(uint64_t ns, void *context)
{
    (void)context;
    assert_int_equal(ns, waits.count == 0 ? MS_NS : 2 * waits.last_ns);
    waits.count++;
    waits.last_ns = ns;
    waits.total_ns += ns;
}

static void refuse(const char *text, uint32_t count)
{
    waits.count = 0;
    waits.total_ns = 0;
    answers.text = text;
    answers.refusals = count;
    answers.last = NULL;
    answers.calls = 0;
}

typedef struct fixture {
    tarn__account account;
    tarn__rocks_memory *memory;
    tarn__rocks *rocks;
    tarn__rocks_family *family;
    scratch root;
    tarn_error error;
} fixture;

static int set_up(void **state)
{
    static fixture f;
    f = (fixture){.family = NULL};
    tarn__account_init(&f.account, "test", NULL);
    const tarn__rocks_memory_options memory = {
        .account = &f.account,
        .clock = tarn__clock_system(),
        .high_priority_ratio = -1,
    };
    assert_ok(tarn__rocks_memory_open(&memory, &f.memory, &f.error), &f.error);
    scratch_init(&f.root);
    tarn__rocks_settings settings;
    tarn__rocks_settings_init(&settings);
    const tarn__rocks_open_options options = {
        .account = &f.account,
        .memory = f.memory,
        .directory = scratch_join(f.root.path, "db"),
        .settings = &settings,
    };
    assert_ok(tarn__rocks_open(&options, &f.rocks, &f.error), &f.error);
    assert_ok(tarn__rocks_create_family(f.rocks, "rows", &settings, &f.family, &f.error), &f.error);
    refuse("", 0);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tarn__rocks_close(f->rocks);
    tarn__rocks_memory_close(f->memory);
    assert_int_equal(atomic_load(&f->account.block_count), 0);
    scratch_clear(&f->root);
    return 0;
}

static tarn_bytes key_of(uint32_t row, char room[16])
{
    (void)snprintf(room, 16, "row-%03u", row);
    return tarn_bytes_of(room);
}

/* Gives all rows a value by a run; answers how that ended. */
static tarn_status write_run(fixture *f, const char *value)
{
    tarn__rocks_run *run = NULL;
    char room[16];
    assert_ok(tarn__rocks_run_open(f->family, &run, &f->error), &f->error);
    for (uint32_t row = 0; row < ROWS; row++) {
        assert_ok(
            tarn__rocks_run_put(run, key_of(row, room), tarn_bytes_of(value), &f->error),
            &f->error);
    }
    const tarn_status status = tarn__rocks_run_finish(run, &f->error);
    tarn__rocks_run_close(&run);
    assert_null(run);
    return status;
}

static void expect_rows(fixture *f, const char *value)
{
    char room[16];
    for (uint32_t row = 0; row < ROWS; row++) {
        tarn__rocks_pin pin = {.slice = NULL};
        tarn_bytes got;
        assert_ok(tarn__rocks_get(f->family, key_of(row, room), &pin, &got, &f->error), &f->error);
        assert_true(tarn_bytes_is_equal(got, tarn_bytes_of(value)));
        tarn__rocks_unpin(&pin);
    }
}

/* No run is left behind. */
static void expect_no_run(const fixture *f)
{
    assert_int_equal(scratch_count(scratch_join(f->root.path, "db"), RUN_PREFIX), 0);
}

static void test_rows_replace_those_in_memtables_and_in_files(void **state)
{
    fixture *f = *state;
    char room[16];
    for (uint32_t row = 0; row < ROWS; row++) {
        assert_ok(
            tarn__rocks_put(f->family, key_of(row, room), tarn_bytes_of("put"), &f->error),
            &f->error);
    }
    assert_ok(write_run(f, "first"), &f->error);
    expect_rows(f, "first");
    assert_ok(write_run(f, "second"), &f->error);
    expect_rows(f, "second");
    assert_int_equal(answers.calls, 2);
    expect_no_run(f);
}

static void test_a_database_that_asks_for_it_is_asked_again(void **state)
{
    fixture *f = *state;
    assert_ok(write_run(f, "before"), &f->error);
    refuse(TRY_AGAIN, 1);
    assert_ok(write_run(f, "once"), &f->error);
    assert_int_equal(answers.calls, 2);
    expect_rows(f, "once");
    refuse(TRY_AGAIN "Inconsistent memtable state", 4);
    assert_ok(write_run(f, "four times"), &f->error);
    assert_int_equal(answers.calls, 5);
    assert_int_equal(waits.count, 4);
    expect_rows(f, "four times");
    expect_no_run(f);
}

/* What it had is as it was, the file goes, and the next run is as any other. */
static void test_one_that_never_stops_asking_is_given_up(void **state)
{
    fixture *f = *state;
    assert_ok(write_run(f, "before"), &f->error);
    refuse(TRY_AGAIN, UINT32_MAX);
    assert_int_equal(write_run(f, "refused"), TARN_BUSY);
    assert_string_equal(f->error.message, "cannot take rows in to rows: " TRY_AGAIN);
    /* Two seconds, the time for a flush on a machine that is busy; none behind the last try. */
    assert_int_equal(answers.calls, 12);
    assert_int_equal(waits.count, 11);
    assert_true(waits.total_ns == UINT64_C(2047) * MS_NS);
    expect_rows(f, "before");
    expect_no_run(f);
    refuse("", 0);
    assert_ok(write_run(f, "after"), &f->error);
    expect_rows(f, "after");
}

static void test_no_other_answer_is_asked_about(void **state)
{
    static const struct {
        const char *text;
        tarn_status status;
    } CASES[] = {
        {"Resource busy: x", TARN_BUSY},
        {"Corruption: Operation failed. Try again.: x", TARN_CORRUPTION},
        {"IO error: No space left on device: x", TARN_NO_SPACE},
        {"IO error: x", TARN_IO_ERROR},
        {"Invalid argument: External file requires flush", TARN_INVALID_ARGUMENT},
        {"Operation timed out: x", TARN_TIMED_OUT},
        {"Unheard of: x", TARN_INTERNAL},
    };
    fixture *f = *state;
    assert_ok(write_run(f, "before"), &f->error);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        refuse(CASES[i].text, 1);
        assert_int_equal(write_run(f, "refused"), CASES[i].status);
        assert_int_equal(answers.calls, 1);
        assert_int_equal(waits.count, 0);
        assert_non_null(strstr(f->error.message, CASES[i].text));
        expect_rows(f, "before");
        expect_no_run(f);
    }
}

/* A try that asks for another says nothing of how that ends. */
static void test_a_refusal_after_a_try_is_final(void **state)
{
    fixture *f = *state;
    assert_ok(write_run(f, "before"), &f->error);
    refuse(TRY_AGAIN, 2);
    answers.last = "IO error: the disk is gone";
    assert_int_equal(write_run(f, "refused"), TARN_IO_ERROR);
    assert_int_equal(answers.calls, 3);
    assert_int_equal(waits.count, 2);
    assert_string_equal(
        f->error.message, "cannot take rows in to rows: IO error: the disk is gone");
    expect_rows(f, "before");
    expect_no_run(f);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_rows_replace_those_in_memtables_and_in_files),
        TEST(test_a_database_that_asks_for_it_is_asked_again),
        TEST(test_one_that_never_stops_asking_is_given_up),
        TEST(test_no_other_answer_is_asked_about),
        TEST(test_a_refusal_after_a_try_is_final),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
