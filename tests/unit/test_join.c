/*
 * Unit tests of old subtasks whose files become a backend's as they are (state/join.c): no row is
 * written, contents are those of the checkpoint, the next checkpoint sends nothing of them; and
 * where it cannot be done, rows are taken over with the same result.
 */
#include "support/support.h"

#include "state/backend.h"
#include "support/rescale_rig.h"

enum { KEYS = 3000, VALUE_BYTES = 200, ROUNDS = 4 };

typedef struct fixture {
    rescale_rig rig;
    uint32_t by_rows_count; /* Backends that no file of another subtask was added to. */
    bool removes; /* Of a database of level 0 alone RocksDB compacts files with removals at once. */
} fixture;

static int set_up_with(void **state, const char *link_files)
{
    static fixture f;
    f = (fixture){.removes = true};
    rescale_init(&f.rig);
    fixture_set(f.rig.config, "tarn.restore.link-files", link_files);
    /* The smallest files are read by parts, so that borders have holes where they are copied. */
    fixture_set(f.rig.config, "tarn.restore.parts-file-size", "4kb");
    rescale_open_env(&f.rig);
    *state = &f;
    return 0;
}

static int set_up_linked(void **state)
{
    return set_up_with(state, "true");
}

static int set_up_copied(void **state)
{
    return set_up_with(state, "false");
}

static int tear_down(void **state)
{
    fixture *f = *state;
    rescale_clear(&f->rig);
    return 0;
}

/* ---- rows ------------------------------------------------------------------------------- */

/* The round that wrote a key last; 0: it was removed. Files of several rounds have the same keys.
 */
static uint32_t last_round(const fixture *f, uint32_t key)
{
    return key % 7 == 0 && f->removes ? 0 : key % 3 == 0 ? ROUNDS : 1 + key % ROUNDS;
}

static tarn_bytes make_value(uint32_t key, uint32_t round, uint8_t room[VALUE_BYTES])
{
    uint64_t number = key * UINT64_C(97) + round;
    for (size_t i = 0; i < VALUE_BYTES; i++) {
        number = number * UINT64_C(6364136223846793005) + 1442695040888963407;
        room[i] = (uint8_t)(number >> 56);
    }
    return tarn_bytes_at(room, VALUE_BYTES);
}

static void write_round(fixture *f, tarn_backend *backend, tarn_value *value, uint32_t round)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        uint8_t room[VALUE_BYTES];
        if (!rescale_set_key(&f->rig, backend, key)) {
            continue;
        }
        if (round == ROUNDS && last_round(f, key) == 0) {
            assert_ok(tarn_value_remove(value, &f->rig.error), &f->rig.error);
        } else if (round <= last_round(f, key) || (last_round(f, key) == 0 && round < ROUNDS)) {
            assert_ok(
                tarn_value_put(value, make_value(key, round, room), &f->rig.error), &f->rig.error);
        }
    }
}

/* Answers how many of the keys are the backend's. */
static uint32_t expect_rows(fixture *f, tarn_backend *backend)
{
    uint32_t own_count = 0;
    tarn_value *value = fixture_open_value(backend, "rows");
    for (uint32_t key = 0; key < KEYS; key++) {
        uint8_t room[VALUE_BYTES];
        tarn_bytes got;
        if (!rescale_set_key(&f->rig, backend, key)) {
            continue;
        }
        own_count++;
        const tarn_status status = tarn_value_get(value, &got, &f->rig.error);
        if (last_round(f, key) == 0) {
            assert_int_equal(status, TARN_NOT_FOUND);
        } else {
            assert_ok(status, &f->rig.error);
            assert_true(tarn_bytes_is_equal(got, make_value(key, last_round(f, key), room)));
        }
    }
    assert_ok(tarn_value_close(value, &f->rig.error), &f->rig.error);
    return own_count;
}

/* ---- checkpoints ------------------------------------------------------------------------ */

/* A checkpoint of files in level 0, one a round, that hide rows of each other. */
static void write_checkpoint(fixture *f, uint32_t parallelism, uint32_t rounds)
{
    tarn_backend *backends[RESCALE_SUBTASKS_MAX];
    rescale_open_all(&f->rig, backends, parallelism);
    for (uint32_t round = ROUNDS - rounds + 1; round <= ROUNDS; round++) {
        for (uint32_t i = 0; i < parallelism; i++) {
            tarn_value *value = fixture_open_value(backends[i], "rows");
            for (uint32_t r = round == ROUNDS - rounds + 1 ? 1 : round; r <= round; r++) {
                write_round(f, backends[i], value, r);
            }
            assert_ok(tarn_value_close(value, &f->rig.error), &f->rig.error);
        }
        (void)rescale_take_checkpoint(&f->rig, backends, parallelism);
    }
    rescale_close_all(&f->rig, backends, parallelism);
}

typedef struct rescaled {
    uint64_t joined_count; /* Files. */
    uint64_t new_bytes;    /* Of the checkpoint that is taken at once. */
} rescaled;

/* Restores all subtasks, compares their rows, and takes the next checkpoint. */
static rescaled rescale(fixture *f, uint32_t parallelism)
{
    rescaled result = {.joined_count = 0};
    tarn_backend *backends[RESCALE_SUBTASKS_MAX];
    uint32_t keys = 0;
    for (uint32_t i = 0; i < parallelism; i++) {
        tarn_backend_stats stats;
        backends[i] = rescale_open(&f->rig, i, parallelism);
        tarn_backend_measure(backends[i], &stats);
        result.joined_count += stats.joined_file_count;
        keys += expect_rows(f, backends[i]);
    }
    assert_int_equal(keys, KEYS);
    result.new_bytes = rescale_take_checkpoint(&f->rig, backends, parallelism).new_bytes;
    rescale_close_all(&f->rig, backends, parallelism);
    return result;
}

/* ---- tests ------------------------------------------------------------------------------ */

static uint64_t total_bytes(const fixture *f)
{
    return tarn_checkpoint_summarize(f->rig.checkpoint).total_bytes;
}

static void test_files_are_taken_over_and_not_sent_again(void **state)
{
    fixture *f = *state;
    f->removes = false;
    write_checkpoint(f, 3, 1);
    const rescaled result = rescale(f, 2);
    assert_int_equal(result.joined_count, 2);
    assert_in_range(result.new_bytes, 1, total_bytes(f) / 10);
    rescale_expect_intact(&f->rig);
    (void)rescale(f, 2);
}

/* A row is in several of them, and removed by the last. */
static void test_files_of_level_0_hide_each_other_as_before(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 3, 3);
    const rescaled result = rescale(f, 1);
    assert_in_range(result.joined_count, 2, 12);
    rescale_expect_intact(&f->rig);
    (void)rescale(f, 1);
}

static void test_eight_become_three(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 8, 2);
    assert_in_range(rescale(f, 3).joined_count, 6, 40);
    rescale_expect_intact(&f->rig);
    (void)rescale(f, 8);
    (void)rescale(f, 1);
}

/* Where rows of others were left out, rows are taken over. */
static void test_files_with_holes_are_not_taken_over(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 2, 1);
    assert_int_equal(rescale(f, 3).joined_count, 0);
    (void)rescale(f, 3);
}

/* Those that are whole are, also where they were copied. */
static void test_copied_files_are_taken_over(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 4, 2);
    assert_in_range(rescale(f, 2).joined_count, 2, 8);
    rescale_expect_intact(&f->rig);
    (void)rescale(f, 1);
}

/*
 * Every step has leftovers of the one before in its files, which range deletes cover: none may
 * cover, or show beside, rows of a file that is taken over.
 */
static void test_steps_that_follow_each_other_at_once(void **state)
{
    static const uint32_t STEPS[] = {2, 3, 1, 5, 4, 7, 2, 6, 1, 8, 3};
    fixture *f = *state;
    write_checkpoint(f, 3, 2);
    for (size_t i = 0; i < sizeof STEPS / sizeof STEPS[0]; i++) {
        (void)rescale(f, STEPS[i]);
    }
    rescale_expect_intact(&f->rig);
}

static void expect_rows_of(tarn_backend *backend, void *context)
{
    fixture *f = context;
    tarn_backend_stats stats;
    tarn_backend_measure(backend, &stats);
    f->by_rows_count += stats.joined_file_count == 0 ? 1 : 0;
    (void)expect_rows(f, backend);
}

static void test_every_refusal_of_memory_is_survived(void **state)
{
    fixture *f = *state;
    write_checkpoint(f, 3, 2);
    const uint32_t refused = rescale_refuse_memory(&f->rig, 0, 2, FAULT_STRIDE, expect_rows_of, f);
    assert_in_range(refused, 5, 2000);
    assert_in_range(f->by_rows_count, 1, 2000); /* Without memory for their lists. */
    (void)rescale(f, 2);
}

int main(void)
{
#define LINKED(name) cmocka_unit_test_setup_teardown(name, set_up_linked, tear_down)
#define COPIED(name) cmocka_unit_test_setup_teardown(name, set_up_copied, tear_down)
    const struct CMUnitTest tests[] = {
        LINKED(test_files_are_taken_over_and_not_sent_again),
        LINKED(test_files_of_level_0_hide_each_other_as_before),
        LINKED(test_eight_become_three),
        COPIED(test_files_with_holes_are_not_taken_over),
        COPIED(test_copied_files_are_taken_over),
        LINKED(test_steps_that_follow_each_other_at_once),
        COPIED(test_steps_that_follow_each_other_at_once),
        LINKED(test_every_refusal_of_memory_is_survived),
        COPIED(test_every_refusal_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
