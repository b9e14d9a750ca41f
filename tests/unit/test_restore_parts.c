/*
 * Unit tests of restores that read parts of table files (snapshot/table_part.h): only what a
 * subtask owns is read, linked or copied; damage is told by whom it concerns; nothing else differs
 * from a restore of whole files.
 */
#include "support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "snapshot/table_file.h"
#include "support/rescale_rig.h"

enum {
    KEYS = 3000,
    VALUE_BYTES = 1000,
    FILE_BYTES_MIN = 1 << 20,
    MEMORY_STRIDE = 3 * RESCALE_STRIDE
};

typedef struct fixture {
    rescale_rig rig;
    uint32_t old_parallelism;
    size_t noise_bytes;   /* Of a value. */
    uint64_t owned_bytes; /* Of table files of the checkpoint. */
    char file[256];       /* The large one of the first subtask. */
} fixture;

/* Bytes of which so many cannot be compressed. */
static tarn_bytes make_value(const fixture *f, uint32_t key, uint8_t room[VALUE_BYTES])
{
    uint64_t number = key;
    memset(room, 0, VALUE_BYTES);
    for (size_t i = 0; i < f->noise_bytes; i++) {
        number = number * UINT64_C(6364136223846793005) + 1442695040888963407;
        room[i] = (uint8_t)(number >> 56);
    }
    return tarn_bytes_at(room, VALUE_BYTES);
}

static void write_rows(fixture *f, tarn_backend *backend)
{
    tarn_value *value = fixture_open_value(backend, "value");
    for (uint32_t key = 0; key < KEYS; key++) {
        uint8_t room[VALUE_BYTES];
        if (rescale_set_key(&f->rig, backend, key)) {
            assert_ok(
                tarn_value_put(value, make_value(f, key, room), &f->rig.error), &f->rig.error);
        }
    }
    assert_ok(tarn_value_close(value, &f->rig.error), &f->rig.error);
}

/* Sums up table files, of which each subtask has one that is large enough to be read by parts. */
static void look_at_files(fixture *f)
{
    for (uint32_t i = 0; i < f->old_parallelism; i++) {
        const uint32_t count = tarn_checkpoint_subtask_at(f->rig.checkpoint, i).file_count;
        bool has_large = false;
        for (uint32_t k = 0; k < count; k++) {
            const tarn_checkpoint_file file = tarn_checkpoint_file_at(f->rig.checkpoint, i, k);
            f->owned_bytes += file.is_shared ? file.size : 0;
            if (file.is_shared && file.size >= FILE_BYTES_MIN) {
                has_large = true;
                if (f->file[0] == '\0') {
                    (void)snprintf(f->file, sizeof f->file, "%.200s", file.path);
                }
            }
        }
        assert_true(has_large);
    }
}

static void write_checkpoint(fixture *f, uint32_t old_parallelism)
{
    tarn_backend *backends[RESCALE_SUBTASKS_MAX];
    f->old_parallelism = old_parallelism;
    rescale_open_all(&f->rig, backends, old_parallelism);
    for (uint32_t i = 0; i < old_parallelism; i++) {
        write_rows(f, backends[i]);
    }
    (void)rescale_take_checkpoint(&f->rig, backends, old_parallelism);
    rescale_close_all(&f->rig, backends, old_parallelism);
    look_at_files(f);
}

static int set_up(void **state)
{
    static fixture f;
    f = (fixture){.noise_bytes = VALUE_BYTES};
    rescale_init(&f.rig);
    *state = &f;
    return 0;
}

static int set_up_linked(void **state)
{
    (void)set_up(state);
    fixture *f = *state;
    rescale_open_env(&f->rig);
    return 0;
}

static int set_up_copied(void **state)
{
    (void)set_up(state);
    fixture *f = *state;
    fixture_set(f->rig.config, "tarn.restore.link-files", "false");
    rescale_open_env(&f->rig);
    return 0;
}

static int set_up_filtered(void **state)
{
    (void)set_up(state);
    fixture *f = *state;
    fixture_set(
        f->rig.config, "state.backend.rocksdb.predefined-options", "DEFAULT"); /* In one piece. */
    fixture_set(f->rig.config, "state.backend.rocksdb.use-bloom-filter", "true");
    fixture_set(f->rig.config, "state.backend.rocksdb.compression.per.level", "LZ4_COMPRESSION");
    rescale_open_env(&f->rig);
    return 0;
}

/* A compression that Tarn does not read, but for the index, which it leaves as it is. */
static int set_up_snappy(void **state)
{
    (void)set_up(state);
    fixture *f = *state;
    f->noise_bytes = VALUE_BYTES / 2;
    fixture_set(f->rig.config, "state.backend.rocksdb.predefined-options", "DEFAULT");
    fixture_set(f->rig.config, "state.backend.rocksdb.compression.per.level", "SNAPPY_COMPRESSION");
    fixture_set(f->rig.config, "state.backend.rocksdb.block.blocksize", "16kb");
    rescale_open_env(&f->rig);
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    rescale_clear(&f->rig);
    return 0;
}

/* Every key of the backend by get, and no other by iterating. Answers the count. */
static uint32_t expect_own_keys(fixture *f, tarn_backend *backend)
{
    uint32_t count = 0;
    tarn_value *value = fixture_open_value(backend, "value");
    for (uint32_t key = 0; key < KEYS; key++) {
        uint8_t room[VALUE_BYTES];
        tarn_bytes got;
        if (rescale_set_key(&f->rig, backend, key)) {
            assert_ok(tarn_value_get(value, &got, &f->rig.error), &f->rig.error);
            assert_true(tarn_bytes_is_equal(got, make_value(f, key, room)));
            count++;
        }
    }
    assert_ok(tarn_value_close(value, &f->rig.error), &f->rig.error);
    assert_int_equal(rescale_count_rows(&f->rig, backend, "value"), count);
    return count;
}

/* Restores all subtasks of another parallelism; answers what they read of the checkpoint. */
static uint64_t restore_all(fixture *f, uint32_t parallelism)
{
    uint32_t keys = 0;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < parallelism; i++) {
        tarn_backend_stats stats;
        tarn_backend *backend = rescale_open(&f->rig, i, parallelism);
        tarn_backend_measure(backend, &stats);
        bytes += stats.restored_bytes;
        keys += expect_own_keys(f, backend);
        rescale_close_all(&f->rig, &backend, 1);
    }
    assert_int_equal(keys, KEYS);
    return bytes;
}

static void test_of_linked_files_each_subtask_reads_what_it_owns(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 2);
    assert_in_range(restore_all(f, 3), f->owned_bytes, f->owned_bytes + f->owned_bytes / 10);
}

/* The middle one of three takes a sixth of all from either: one is its base, and whole. */
static void test_rows_that_are_taken_over_come_out_of_files_with_holes(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 2);
    tarn_backend_stats stats;
    tarn_backend *backend = rescale_open(&f->rig, 1, 3);
    tarn_backend_measure(backend, &stats);
    const uint64_t expected = f->owned_bytes / 2 + f->owned_bytes / 6;
    assert_in_range(stats.restored_bytes, expected * 9 / 10, expected * 11 / 10);
    assert_in_range(expect_own_keys(f, backend), KEYS / 4, KEYS / 2);
    rescale_close_all(&f->rig, &backend, 1);
    (void)restore_all(f, 3);
    (void)restore_all(f, 5);
}

static void find_file(const fixture *f, char path[2 * PATH_MAX])
{
    rescale_name_file(&f->rig, f->file, path);
}

static void flip_at(const fixture *f, uint64_t at)
{
    char path[2 * PATH_MAX];
    find_file(f, path);
    scratch_flip(path, at);
}

static void flip(const fixture *f, uint32_t percent)
{
    char path[2 * PATH_MAX];
    find_file(f, path);
    scratch_flip(path, scratch_size(path) / 100 * percent);
}

static tarn_status read_file(
    void *context, uint64_t offset, void *into, size_t size, size_t *size_out, tarn_error *error)
{
    (void)error;
    const ssize_t got = pread(*(const int *)context, into, size, (off_t)offset);
    assert_true(got >= 0);
    *size_out = (size_t)got;
    return TARN_OK;
}

/* What the large file says of itself: where its rows end, and two blocks of one size in the middle
 * of either half. */
typedef struct layout {
    uint64_t rows_end; /* What follows is the filter. */
    tarn__table_handle twins[2][2];
} layout;

static void find_twins(const tarn__table *table, size_t from, tarn__table_handle twins[2])
{
    for (size_t i = from; i + 1 < table->block_count; i++) {
        if (table->blocks[i].size == table->blocks[i + 1].size) {
            twins[0] = table->blocks[i];
            twins[1] = table->blocks[i + 1];
            return;
        }
    }
    fail_msg("no two blocks are equally large");
}

static layout look_at_layout(fixture *f)
{
    tarn__account account;
    tarn__table table;
    char path[2 * PATH_MAX];
    layout found = {.rows_end = 0};
    find_file(f, path);
    const uint64_t size = scratch_size(path);
    int file = open(path, O_RDONLY);
    assert_true(file >= 0);
    tarn__account_init(&account, "test", NULL);
    const tarn__table_options options = {
        .size = size, .read = read_file, .context = &file, .account = &account};
    assert_ok(tarn__table_open(&table, &options, &f->rig.error), &f->rig.error);
    found.rows_end = table.data_size;
    find_twins(&table, table.block_count / 4, found.twins[0]);
    find_twins(&table, table.block_count * 3 / 4, found.twins[1]);
    tarn__table_close(&table);
    assert_int_equal(close(file), 0);
    assert_in_range(found.rows_end, size / 2, size - 1000);
    return found;
}

static void expect_refused(fixture *f, uint32_t index, uint32_t parallelism)
{
    tarn_backend *backend = NULL;
    assert_int_equal(rescale_try_open(&f->rig, index, parallelism, &backend), TARN_CORRUPTION);
    assert_null(backend);
    if (strstr(f->rig.error.message, f->file) == NULL) {
        fail_msg("\"%s\" is not in: %s", f->file, f->rig.error.message);
    }
    rescale_expect_empty(&f->rig, index);
}

static void expect_restored(fixture *f, uint32_t index, uint32_t parallelism)
{
    tarn_backend *backend = rescale_open(&f->rig, index, parallelism);
    assert_in_range(expect_own_keys(f, backend), 1, KEYS);
    rescale_close_all(&f->rig, &backend, 1);
}

static void test_damage_is_told_by_the_subtask_that_owns_it(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 1);
    flip(f, 10);
    expect_refused(f, 0, 2);
    expect_restored(f, 1, 2);
    flip(f, 10);
    flip(f, 90);
    expect_restored(f, 0, 2);
    expect_refused(f, 1, 2);
    expect_refused(f, 0, 1);
}

/* Blocks have the checksums of their bytes, which are right wherever they lie. */
static void test_blocks_that_changed_places_are_found(void **state)
{
    fixture *f = *state;
    char path[2 * PATH_MAX];
    write_checkpoint(f, 1);
    const layout found = look_at_layout(f);
    find_file(f, path);
    for (uint32_t half = 0; half < 2; half++) {
        const tarn__table_handle *twins = found.twins[half];
        const size_t size = (size_t)twins[0].size + TARN__TABLE_TRAILER_BYTES;
        scratch_swap(path, twins[0].offset, twins[1].offset, size);
        expect_refused(f, half, 2);
        expect_restored(f, 1 - half, 2);
        scratch_swap(path, twins[0].offset, twins[1].offset, size);
    }
    (void)restore_all(f, 2);
}

/* Their checksums are compared, and that is all. */
static void test_blocks_that_cannot_be_unpacked_are_no_damage(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 1);
    (void)restore_all(f, 2);
    flip(f, 10);
    expect_refused(f, 0, 2);
    expect_restored(f, 1, 2);
}

/* Nobody owns the filter; what reads past a damaged one gives it to the next checkpoint. */
static void test_damage_of_the_filter_is_found(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 1);
    const uint64_t at = look_at_layout(f).rows_end + 100;
    flip_at(f, at);
    expect_refused(f, 0, 2);
    expect_refused(f, 1, 2);
    flip_at(f, at);
    (void)restore_all(f, 2);
}

static uint64_t count_bad(fixture *f)
{
    tarn_checkpoint_verification found;
    assert_ok(
        tarn_checkpoint_verify(f->rig.checkpoint, NULL, NULL, &found, &f->rig.error),
        &f->rig.error);
    return found.bad_count;
}

/* A restore by parts does not look where a piece of a filter belongs; who verifies finds it. */
static void test_pieces_of_the_filter_that_changed_places_are_found_by_verify(void **state)
{
    enum { PIECE_BYTES = 64 };
    fixture *f = *state;
    char path[2 * PATH_MAX];
    write_checkpoint(f, 1);
    const uint64_t at = look_at_layout(f).rows_end + PIECE_BYTES;
    find_file(f, path);
    assert_int_equal(count_bad(f), 0);
    scratch_swap(path, at, at + 4 * PIECE_BYTES, PIECE_BYTES);
    assert_int_equal(count_bad(f), 1);
    scratch_swap(path, at, at + 4 * PIECE_BYTES, PIECE_BYTES);
    assert_int_equal(count_bad(f), 0);
}

static void test_damage_is_found_in_rows_that_are_taken_over(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 2);
    for (uint32_t percent = 75; percent < 100; percent += 20) {
        flip(f, percent); /* The first old subtask has the last third of its groups there. */
        expect_refused(f, 1, 3);
        flip(f, percent);
    }
    (void)restore_all(f, 3);
}

static void test_a_file_that_is_cut_short_is_refused(void **state)
{
    fixture *f = *state;
    char path[2 * PATH_MAX];
    write_checkpoint(f, 1);
    find_file(f, path);
    assert_int_equal(truncate(path, (off_t)(scratch_size(path) / 2)), 0);
    expect_refused(f, 0, 2);
    expect_refused(f, 1, 2);
}

/* Restores all subtasks of another parallelism, of which the next checkpoint is taken at once. */
static tarn_checkpoint_summary rescale(fixture *f, uint32_t parallelism)
{
    tarn_backend *backends[RESCALE_SUBTASKS_MAX];
    rescale_open_all(&f->rig, backends, parallelism);
    const tarn_checkpoint_summary summary = rescale_take_checkpoint(&f->rig, backends, parallelism);
    rescale_close_all(&f->rig, backends, parallelism);
    return summary;
}

/* What was read by parts is a file of the checkpoint still: the next one shares it. */
static void test_the_first_checkpoint_after_a_rescale_is_incremental(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 1);
    const tarn_checkpoint_summary summary = rescale(f, 2);
    assert_in_range(summary.new_bytes, 1, f->owned_bytes / 10);
    rescale_expect_intact(&f->rig);
    (void)restore_all(f, 3);
}

/*
 * The middle one of three has a file with rows of all groups, of which a range delete hides those
 * before the first group of its base: 0 to 63. Who takes over 43 to 51 seeks that file at 64.
 */
static void test_a_range_delete_beyond_the_own_groups_is_no_damage(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 1);
    (void)rescale(f, 2);
    (void)rescale(f, 3);
    expect_restored(f, 1, 5);
    (void)restore_all(f, 5);
}

static void expect_rows_of(tarn_backend *backend, void *context)
{
    (void)expect_own_keys(context, backend);
}

/* Without memory for its tail a file is read as a whole. */
static void test_every_refusal_of_memory_is_survived(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 2);
    const uint32_t refused = rescale_refuse_memory(&f->rig, 1, 3, MEMORY_STRIDE, expect_rows_of, f);
    assert_in_range(refused, 5, 1000);
    (void)restore_all(f, 3);
}

int main(void)
{
#define LINKED(name)   cmocka_unit_test_setup_teardown(name, set_up_linked, tear_down)
#define COPIED(name)   cmocka_unit_test_setup_teardown(name, set_up_copied, tear_down)
#define SNAPPY(name)   cmocka_unit_test_setup_teardown(name, set_up_snappy, tear_down)
#define FILTERED(name) cmocka_unit_test_setup_teardown(name, set_up_filtered, tear_down)
    const struct CMUnitTest tests[] = {
        LINKED(test_of_linked_files_each_subtask_reads_what_it_owns),
        COPIED(test_rows_that_are_taken_over_come_out_of_files_with_holes),
        LINKED(test_damage_is_told_by_the_subtask_that_owns_it),
        LINKED(test_blocks_that_changed_places_are_found),
        SNAPPY(test_blocks_that_cannot_be_unpacked_are_no_damage),
        FILTERED(test_damage_of_the_filter_is_found),
        FILTERED(test_pieces_of_the_filter_that_changed_places_are_found_by_verify),
        LINKED(test_damage_is_found_in_rows_that_are_taken_over),
        COPIED(test_damage_is_found_in_rows_that_are_taken_over),
        LINKED(test_a_file_that_is_cut_short_is_refused),
        COPIED(test_a_file_that_is_cut_short_is_refused),
        LINKED(test_the_first_checkpoint_after_a_rescale_is_incremental),
        COPIED(test_the_first_checkpoint_after_a_rescale_is_incremental),
        LINKED(test_a_range_delete_beyond_the_own_groups_is_no_damage),
        COPIED(test_a_range_delete_beyond_the_own_groups_is_no_damage),
        LINKED(test_every_refusal_of_memory_is_survived),
        COPIED(test_every_refusal_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
