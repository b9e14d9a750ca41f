/*
 * Unit tests of comparing checkpoints: against a model for savepoints, where the answer is exact;
 * and for incremental ones, where it must name every row that changed, none that was not touched,
 * and read no file of both.
 */
#include "support/support.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "snapshot/checkpoint.h"
#include "snapshot/table_file.h"
#include "state/backend.h"
#include "storage/shims.h"
#include "support/scratch.h"
#include "tarn/diff.h"
#include "tarn/reducing.h"
#include "tarn/savepoint.h"
#include "tarn/snapshot.h"
#include "tarn/state.h"

enum { KEYS = 400, STATES = 2 };

static const char *const STATE_NAMES[STATES] = {"counts", "sums"};

/* What a checkpoint must hold: 0 is nothing. */
typedef struct model {
    int64_t rows[STATES][KEYS];
    bool is_touched[STATES][KEYS]; /* Since the checkpoint before. */
} model;

typedef struct fixture {
    scratch directory;
    tarn_env *env;
    tarn_checkpoint_store *store;
    tarn_backend *backend;
    tarn_value *counts;
    tarn_reducing *sums;
    model now;
    tarn__random random;
    tarn_error error;
} fixture;

static void open_backend(fixture *f)
{
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = f->env;
    options.operator_name = "op";
    options.directory = scratch_join(f->directory.path, "work");
    options.max_parallelism = 64;
    assert_ok(tarn_backend_open(&options, &f->backend, &f->error), &f->error);
    tarn_state_options counts = TARN_STATE_OPTIONS_INIT;
    counts.name = STATE_NAMES[0];
    counts.codec_name = "i64";
    assert_ok(tarn_value_open(f->backend, &counts, &f->counts, &f->error), &f->error);
    tarn_state_options sums = TARN_STATE_OPTIONS_INIT;
    sums.name = STATE_NAMES[1];
    sums.codec_name = "i64";
    tarn_reducing_options reducing = TARN_REDUCING_OPTIONS_INIT;
    reducing.reducer = TARN_REDUCER_SUM;
    reducing.number = TARN_NUMBER_I64;
    assert_ok(tarn_reducing_open(f->backend, &sums, &reducing, &f->sums, &f->error), &f->error);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    scratch_init(&f->directory);
    const char *seed = getenv("TARN_SEED");
    f->random.state = seed != NULL ? strtoull(seed, NULL, 10) : 1;
    tarn_config *config = NULL;
    assert_ok(tarn_config_new(NULL, &config, &f->error), &f->error);
    assert_ok(
        tarn_config_set(config, "taskmanager.memory.process.size", "1g", NULL, &f->error),
        &f->error);
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    assert_ok(tarn_env_open(&options, &f->env, &f->error), &f->error);
    tarn_config_free(config);
    tarn_checkpoint_store_options store = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    store.env = f->env;
    store.address = scratch_join(f->directory.path, "checkpoints");
    store.job = "job";
    store.retained_count = 100;
    assert_ok(tarn_checkpoint_store_open(&store, &f->store, &f->error), &f->error);
    open_backend(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    assert_ok(tarn_value_close(f->counts, &f->error), &f->error);
    assert_ok(tarn_reducing_close(f->sums, &f->error), &f->error);
    assert_ok(tarn_backend_close(f->backend, &f->error), &f->error);
    assert_ok(tarn_checkpoint_store_close(f->store, &f->error), &f->error);
    assert_ok(tarn_env_close(f->env, &f->error), &f->error);
    scratch_clear(&f->directory);
    free(f);
    return 0;
}

/* ---- the job ---------------------------------------------------------------------------- */

static void set_key(fixture *f, uint32_t key)
{
    char text[16];
    const int size = snprintf(text, sizeof text, "k%u", key);
    assert_ok(
        tarn_backend_set_key(f->backend, tarn_bytes_at(text, (size_t)size), &f->error), &f->error);
}

static void change(fixture *f, uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++) {
        const uint32_t key = (uint32_t)tarn__random_below(&f->random, KEYS);
        const int64_t number = 1 + (int64_t)tarn__random_below(&f->random, 5);
        set_key(f, key);
        switch (tarn__random_below(&f->random, 4)) {
        case 0:
            assert_ok(
                tarn_value_put(f->counts, tarn_bytes_at(&number, sizeof number), &f->error),
                &f->error);
            f->now.rows[0][key] = number;
            f->now.is_touched[0][key] = true;
            break;
        case 1:
            assert_ok(tarn_value_remove(f->counts, &f->error), &f->error);
            f->now.rows[0][key] = 0;
            f->now.is_touched[0][key] = true;
            break;
        case 2:
            assert_ok(tarn_reducing_add_i64(f->sums, number, &f->error), &f->error);
            f->now.rows[1][key] += number;
            f->now.is_touched[1][key] = true;
            break;
        default:
            assert_ok(tarn_reducing_clear(f->sums, &f->error), &f->error);
            f->now.rows[1][key] = 0;
            f->now.is_touched[1][key] = true;
            break;
        }
    }
}

static void take_snapshot(fixture *f, tarn_pending_checkpoint *pending)
{
    tarn_snapshot *snapshot = NULL;
    tarn_buffer bytes = TARN_BUFFER_INIT;
    assert_ok(tarn_snapshot_begin(f->backend, pending, &snapshot, &f->error), &f->error);
    const int64_t touched = f->now.rows[0][0];
    assert_ok(
        tarn_snapshot_add_state(
            snapshot, "position", tarn_bytes_at(&touched, sizeof touched), &f->error),
        &f->error);
    assert_ok(tarn_snapshot_finish(snapshot, &bytes, &f->error), &f->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&bytes), &f->error), &f->error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &f->error), &f->error);
    tarn_buffer_clear(&bytes);
}

/* Takes a checkpoint, and opens it; nothing is touched since then. */
static tarn_checkpoint *take_checkpoint(fixture *f, model *out)
{
    const uint64_t id = tarn_checkpoint_store_next_id(f->store);
    tarn_pending_checkpoint *pending = NULL;
    tarn_checkpoint *opened = NULL;
    assert_ok(tarn_checkpoint_begin(f->store, id, &pending, &f->error), &f->error);
    take_snapshot(f, pending);
    tarn_backend_notify_complete(f->backend, id);
    const char *job = scratch_join(scratch_join(f->directory.path, "checkpoints"), "job");
    assert_ok(tarn_checkpoint_open(job, NULL, &opened, &f->error), &f->error);
    *out = f->now;
    memset(f->now.is_touched, 0, sizeof f->now.is_touched);
    return opened;
}

static tarn_checkpoint *take_savepoint(fixture *f, tarn_checkpoint_form form, model *out)
{
    tarn_savepoint_options options = TARN_SAVEPOINT_OPTIONS_INIT;
    options.env = f->env;
    options.address = scratch_join(f->directory.path, "savepoints");
    options.job = "job";
    options.form = form;
    tarn_pending_checkpoint *pending = NULL;
    tarn_checkpoint *opened = NULL;
    char path[4096];
    assert_ok(tarn_savepoint_begin(&options, &pending, &f->error), &f->error);
    snprintf(path, sizeof path, "%s", tarn_savepoint_path(pending));
    take_snapshot(f, pending);
    assert_ok(tarn_checkpoint_open(path, NULL, &opened, &f->error), &f->error);
    *out = f->now;
    memset(f->now.is_touched, 0, sizeof f->now.is_touched);
    return opened;
}

/* ---- the comparison --------------------------------------------------------------------- */

typedef struct findings {
    int changes[STATES][KEYS]; /* 1 + tarn_diff_change; 0: none. */
    tarn_diff_state states[STATES];
    tarn_diff_state operator_state;
    uint64_t progress_total;
    bool stops;
} findings;

static int state_of(const char *name)
{
    return strcmp(name, STATE_NAMES[0]) == 0 ? 0 : 1;
}

static bool visit_row(const tarn_diff_row *row, void *context)
{
    findings *found = context;
    char text[16] = "";
    assert_string_equal(row->operator_name, "op");
    assert_in_range(row->key.size, 2, 4);
    memcpy(text, row->key.data, row->key.size);
    const long key = strtol(text + 1, NULL, 10);
    assert_in_range(key, 0, KEYS - 1);
    int *change_at = &found->changes[state_of(row->state)][key];
    assert_int_equal(*change_at, 0); /* Each once. */
    *change_at = 1 + (int)row->change;
    return !found->stops;
}

static void visit_state(const tarn_diff_state *state, void *context)
{
    findings *found = context;
    if (strcmp(state->kind, "operator") == 0) {
        found->operator_state = *state;
    } else {
        found->states[state_of(state->name)] = *state;
    }
}

static tarn_status diff(
    fixture *f,
    const tarn_checkpoint *first,
    const tarn_checkpoint *second,
    findings *found,
    tarn_diff_stats *stats)
{
    tarn_diff_options options = TARN_DIFF_OPTIONS_INIT;
    options.first = first;
    options.second = second;
    options.visit_row = visit_row;
    options.visit_state = visit_state;
    options.context = found;
    return tarn_checkpoint_diff(&options, stats, &f->error);
}

static void expect_exact(
    fixture *f,
    const tarn_checkpoint *first,
    const model *before,
    const tarn_checkpoint *second,
    const model *after)
{
    findings found = {.progress_total = 0};
    tarn_diff_stats stats;
    assert_ok(diff(f, first, second, &found, &stats), &f->error);
    assert_int_equal(stats.shared_count, 0);
    for (int s = 0; s < STATES; s++) {
        uint64_t counts[4] = {0};
        for (int key = 0; key < KEYS; key++) {
            const int64_t a = before->rows[s][key];
            const int64_t b = after->rows[s][key];
            int expected = 0;
            if (a == 0 && b != 0) {
                expected = 1 + TARN_DIFF_PUT;
            } else if (a != 0 && b == 0) {
                expected = 1 + TARN_DIFF_REMOVED;
            } else if (a != b) {
                expected = 1 + TARN_DIFF_CHANGED;
            }
            if (found.changes[s][key] != expected) {
                fail_msg(
                    "%s k%d: %d, expected %d (%lld, %lld)",
                    STATE_NAMES[s],
                    key,
                    found.changes[s][key],
                    expected,
                    (long long)a,
                    (long long)b);
            }
            counts[expected]++;
            counts[0] -= expected == 0 && a == 0 ? 1 : 0;
        }
        assert_int_equal(found.states[s].same_count, counts[0]);
        assert_int_equal(found.states[s].put_count, counts[1]);
        assert_int_equal(found.states[s].changed_count, counts[2]);
        assert_int_equal(found.states[s].removed_count, counts[3]);
    }
}

static void test_canonical_savepoints_are_compared_exactly(void **state)
{
    fixture *f = *state;
    model models[2];
    change(f, 600);
    tarn_checkpoint *first = take_savepoint(f, TARN_FORM_CANONICAL, &models[0]);
    change(f, 150);
    tarn_checkpoint *second = take_savepoint(f, TARN_FORM_CANONICAL, &models[1]);
    expect_exact(f, first, &models[0], second, &models[1]);
    expect_exact(f, second, &models[1], first, &models[0]);
    expect_exact(f, second, &models[1], second, &models[1]);
    tarn_checkpoint_free(first);
    tarn_checkpoint_free(second);
}

/* Files of RocksDB read as they are: values, deletions, merge operands over several files. */
static void test_native_savepoints_are_compared_exactly_with_any(void **state)
{
    fixture *f = *state;
    model models[3];
    change(f, 600);
    tarn_checkpoint *first = take_savepoint(f, TARN_FORM_NATIVE, &models[0]);
    change(f, 150);
    tarn_checkpoint *second = take_savepoint(f, TARN_FORM_NATIVE, &models[1]);
    change(f, 150);
    tarn_checkpoint *third = take_savepoint(f, TARN_FORM_CANONICAL, &models[2]);
    expect_exact(f, first, &models[0], second, &models[1]);
    expect_exact(f, third, &models[2], first, &models[0]);
    expect_exact(f, first, &models[0], third, &models[2]);
    expect_exact(f, second, &models[1], third, &models[2]);
    tarn_checkpoint_free(first);
    tarn_checkpoint_free(second);
    tarn_checkpoint_free(third);
}

/* Gives a row of the first state another number, by a table file that the database takes in. */
static void take_in_a_table(fixture *f, int64_t number)
{
    static const uint8_t LOWEST = 0;
    static const uint8_t BEYOND = UINT8_MAX;
    uint8_t row[64];
    uint8_t bytes[64];
    tarn_bytes key;
    tarn_bytes value;
    tarn__rocks_iterator *rows = NULL;
    tarn__rocks_run *run = NULL;
    tarn__rocks_family *family = tarn__rocks_find_family(f->backend->rocks, STATE_NAMES[0]);
    assert_non_null(family);
    assert_ok(
        tarn__rocks_iterate_raw(
            family, tarn_bytes_at(&LOWEST, 1), tarn_bytes_at(&BEYOND, 1), &rows, &f->error),
        &f->error);
    assert_ok(tarn__rocks_iterator_next(rows, &key, &value, &f->error), &f->error);
    assert_in_range(key.size, 5, sizeof row);
    assert_in_range(value.size, sizeof number, sizeof bytes);
    memcpy(row, key.data, key.size);
    memcpy(bytes, value.data, value.size);
    memcpy(bytes, &number, sizeof number); /* What follows is the generation. */
    key.data = row;
    value.data = bytes;
    tarn__rocks_iterator_close(rows);
    assert_ok(tarn__rocks_run_open(family, &run, &f->error), &f->error);
    assert_ok(tarn__rocks_run_put(run, key, value, &f->error), &f->error);
    assert_ok(tarn__rocks_run_finish(run, &f->error), &f->error);
    tarn__rocks_run_close(&run);
    /* Group (2), size of the key (1), "k", the number; a byte 0 follows. */
    f->now.rows[0][strtol((const char *)row + 4, NULL, 10)] = number;
}

static tarn_status read_file(
    void *context, uint64_t offset, void *buffer, size_t size, size_t *out, tarn_error *error)
{
    (void)error;
    const ssize_t count = pread(*(const int *)context, buffer, size, (off_t)offset);
    assert_true(count >= 0);
    *out = (size_t)count;
    return TARN_OK;
}

/* Opens it with all checksums compared; answers the number that its rows have as they are one. */
static uint64_t sequence_of_file(fixture *f, const char *path)
{
    tarn__table table;
    tarn__account account;
    int file = open(path, O_RDONLY);
    assert_true(file >= 0);
    tarn__account_init(&account, "test", NULL);
    const tarn__table_options options = {
        .size = (uint64_t)lseek(file, 0, SEEK_END),
        .read = read_file,
        .context = &file,
        .account = &account,
        .checks_blocks = true,
    };
    assert_ok(tarn__table_open(&table, &options, &f->error), &f->error);
    const uint64_t sequence = table.file_sequence;
    tarn__table_close(&table);
    (void)close(file);
    return sequence;
}

/* RocksDB writes the number over a 0 after the checksum was made. */
static void test_checksums_of_a_table_that_was_taken_in_are_right(void **state)
{
    fixture *f = *state;
    model models[2];
    change(f, 600);
    tarn_checkpoint_free(take_savepoint(f, TARN_FORM_NATIVE, &models[0]));
    take_in_a_table(f, 77);
    glob_t files;
    uint32_t numbered_count = 0;
    char pattern[PATH_MAX];
    (void)snprintf(pattern, sizeof pattern, "%s/*.sst", f->backend->directory.db);
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        numbered_count += sequence_of_file(f, files.gl_pathv[i]) > 0 ? 1 : 0;
    }
    globfree(&files);
    assert_int_equal(numbered_count, 1);
}

/* Its entries have no numbers of their own; that of the file is in its properties. */
static void test_rows_of_a_table_that_was_taken_in_are_the_newest(void **state)
{
    fixture *f = *state;
    model models[2];
    change(f, 600);
    tarn_checkpoint *first = take_savepoint(f, TARN_FORM_NATIVE, &models[0]);
    take_in_a_table(f, 77);
    tarn_checkpoint *second = take_savepoint(f, TARN_FORM_NATIVE, &models[1]);
    expect_exact(f, first, &models[0], second, &models[1]);
    expect_exact(f, second, &models[1], first, &models[0]);
    tarn_checkpoint_free(first);
    tarn_checkpoint_free(second);
}

/* Files of both are shared: what is found covers what changed, and nothing that nobody touched. */
static void test_incremental_checkpoints_show_what_was_touched(void **state)
{
    fixture *f = *state;
    model models[2];
    change(f, 2000);
    tarn_checkpoint *first = take_checkpoint(f, &models[0]);
    uint64_t shared_count = 0;
    for (int round = 0; round < 12; round++) {
        change(f, 1 + (uint32_t)tarn__random_below(&f->random, 60));
        tarn_checkpoint *second = take_checkpoint(f, &models[1]);
        findings found = {.progress_total = 0};
        tarn_diff_stats stats;
        assert_ok(diff(f, first, second, &found, &stats), &f->error);
        shared_count += stats.shared_count;
        for (int s = 0; s < STATES; s++) {
            for (int key = 0; key < KEYS; key++) {
                const bool differs = models[0].rows[s][key] != models[1].rows[s][key];
                if (differs && found.changes[s][key] == 0) {
                    fail_msg("round %d: %s k%d changed", round, STATE_NAMES[s], key);
                }
                if (!models[1].is_touched[s][key] && found.changes[s][key] != 0) {
                    fail_msg("round %d: %s k%d did not change", round, STATE_NAMES[s], key);
                }
            }
        }
        assert_int_equal(found.operator_state.changed_count + found.operator_state.same_count, 1);
        tarn_checkpoint_free(first);
        first = second;
        models[0] = models[1];
    }
    assert_true(shared_count > 0);
    tarn_checkpoint_free(first);
}

/* ---- rows whose newest entry is in a file of both --------------------------------------- */

static void put_count(fixture *f, uint32_t key, int64_t number)
{
    set_key(f, key);
    if (number == 0) {
        assert_ok(tarn_value_remove(f->counts, &f->error), &f->error);
    } else {
        assert_ok(
            tarn_value_put(f->counts, tarn_bytes_at(&number, sizeof number), &f->error), &f->error);
    }
    f->now.rows[0][key] = number;
}

/* Makes the files that old has files of its own in another one, as if a compaction had written
 * them again. Answers how many. */
static uint32_t write_again(const tarn_checkpoint *checkpoint, const tarn_checkpoint *old)
{
    const tarn__subtask *from = &old->metadata.subtasks[0];
    tarn__subtask *subtask = &checkpoint->metadata.subtasks[0];
    uint32_t count = 0;
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        const tarn__content identity = tarn__file_identity(&subtask->files[i]);
        for (uint32_t j = 0; subtask->files[i].is_shared && j < from->file_count; j++) {
            const tarn__content other = tarn__file_identity(&from->files[j]);
            if (from->files[j].is_shared && memcmp(&identity, &other, sizeof identity) == 0) {
                subtask->files[i].is_shared = false;
                count++;
            }
        }
    }
    return count;
}

/*
 * The oldest file was compacted, the one above it was not, and a third one is new:
 *
 *     first   [oldest] [both]           second   [oldest, again] [both] [newest]
 *
 * What first has of a row in its own files is not what the row was.
 */
static void test_a_row_set_back_to_what_a_file_of_both_hides_is_shown(void **state)
{
    enum { CASES = 6 };
    static const struct {
        int64_t numbers[3]; /* By file; 0: removed; -1: not touched. */
        int expected;       /* 1 + tarn_diff_change; 0: not shown. */
    } ROWS[CASES] = {
        {{7, 0, 7}, 1 + TARN_DIFF_CHANGED},
        {{7, 8, 7}, 1 + TARN_DIFF_CHANGED},
        {{0, 7, 0}, 1 + TARN_DIFF_REMOVED},
        {{7, 0, -1}, 0},
        {{7, -1, -1}, 0},
        {{0, -1, -1}, 0},
    };
    fixture *f = *state;
    tarn_checkpoint *checkpoints[3];
    model models[3];
    for (int file = 0; file < 3; file++) {
        for (uint32_t key = 0; key < CASES; key++) {
            if (file == 0 && ROWS[key].numbers[0] == 0) {
                put_count(f, key, 1); /* There is something to remove. */
            }
            if (ROWS[key].numbers[file] >= 0) {
                put_count(f, key, ROWS[key].numbers[file]);
            }
        }
        set_key(f, 0);
        if (file != 1) {
            assert_ok(tarn_reducing_clear(f->sums, &f->error), &f->error);
        }
        assert_ok(tarn_reducing_add_i64(f->sums, 3, &f->error), &f->error); /* 3, 6, 3. */
        checkpoints[file] = take_checkpoint(f, &models[file]);
    }
    assert_true(write_again(checkpoints[2], checkpoints[0]) > 0);
    findings found = {.progress_total = 0};
    tarn_diff_stats stats;
    assert_ok(diff(f, checkpoints[1], checkpoints[2], &found, &stats), &f->error);
    assert_true(stats.shared_count > 0 && stats.first_count > 0);
    for (int key = 0; key < CASES; key++) {
        if (found.changes[0][key] != ROWS[key].expected) {
            fail_msg("k%d: %d, expected %d", key, found.changes[0][key], ROWS[key].expected);
        }
    }
    assert_int_equal(found.changes[1][0], 1 + TARN_DIFF_CHANGED);
    for (int i = 0; i < 3; i++) {
        tarn_checkpoint_free(checkpoints[i]);
    }
}

/* A storage that counts: what both have is not read at all, unless somebody asks for keys. */
static void test_files_of_both_are_not_read(void **state)
{
    fixture *f = *state;
    model models[2];
    change(f, 2000);
    tarn_checkpoint *first = take_checkpoint(f, &models[0]);
    change(f, 5);
    tarn_checkpoint *second = take_checkpoint(f, &models[1]);
    for (int i = 0; i < 2; i++) {
        tarn_checkpoint *checkpoint = i == 0 ? first : second;
        tarn_storage *counted = NULL;
        assert_ok(
            tarn__count_storage_new(
                checkpoint->storage, NULL, NULL, &checkpoint->account, &counted, &f->error),
            &f->error);
        checkpoint->storage = counted;
    }
    tarn_diff_options options;
    tarn_diff_options_init(&options, sizeof options);
    options.first = first;
    options.second = second;
    tarn_diff_stats stats;
    assert_ok(tarn_checkpoint_diff(&options, &stats, &f->error), &f->error);
    assert_true(stats.shared_count > 0);
    const uint64_t read_bytes = tarn__count_storage_figures(first->storage).bytes_read +
                                tarn__count_storage_figures(second->storage).bytes_read;
    /* Each file's blocks twice at most: to look at it, and to compare. */
    assert_true(read_bytes <= 2 * (stats.first_bytes + stats.second_bytes));
    tarn_checkpoint_free(first);
    tarn_checkpoint_free(second);
}

static void test_a_visitor_can_stop_it(void **state)
{
    fixture *f = *state;
    model models[2];
    change(f, 100);
    tarn_checkpoint *first = take_savepoint(f, TARN_FORM_CANONICAL, &models[0]);
    change(f, 100);
    tarn_checkpoint *second = take_savepoint(f, TARN_FORM_CANONICAL, &models[1]);
    findings found = {.stops = true};
    assert_int_equal(diff(f, first, second, &found, NULL), TARN_ABANDONED);
    tarn_checkpoint_free(first);
    tarn_checkpoint_free(second);
}

static void test_a_damaged_file_is_named(void **state)
{
    fixture *f = *state;
    model models[2];
    change(f, 100);
    tarn_checkpoint *first = take_checkpoint(f, &models[0]);
    change(f, 100);
    tarn_checkpoint *second = take_checkpoint(f, &models[1]);
    const tarn__subtask *subtask = &second->metadata.subtasks[0];
    const char *path = NULL;
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        path = tarn__file_is_table(&subtask->files[i]) ? subtask->files[i].path : path;
    }
    assert_non_null(path);
    char whole[4096];
    snprintf(whole, sizeof whole, "%s/%s", second->storage->address, path);
    scratch_remove(whole);
    findings found = {.stops = false};
    assert_int_equal(diff(f, first, second, &found, NULL), TARN_MISSING);
    assert_non_null(strstr(f->error.message, path));
    tarn_checkpoint_free(first);
    tarn_checkpoint_free(second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_canonical_savepoints_are_compared_exactly),
        TEST(test_native_savepoints_are_compared_exactly_with_any),
        TEST(test_rows_of_a_table_that_was_taken_in_are_the_newest),
        TEST(test_checksums_of_a_table_that_was_taken_in_are_right),
        TEST(test_incremental_checkpoints_show_what_was_touched),
        TEST(test_a_row_set_back_to_what_a_file_of_both_hides_is_shown),
        TEST(test_files_of_both_are_not_read),
        TEST(test_a_visitor_can_stop_it),
        TEST(test_a_damaged_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
