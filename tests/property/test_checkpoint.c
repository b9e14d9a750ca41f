/*
 * Property: whatever a program does with value states, a restore from the latest complete
 * checkpoint gives exactly the rows that were there at that checkpoint's barrier.
 *
 * A random program writes, edits, removes and reads values of two states under several keys and
 * namespaces in one to three subtasks; takes checkpoints that it commits, abandons, or leaves
 * behind by a crash; restores; and is compared with a plain table after every read, and whole from
 * time to time.
 */
#include "support/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/snapshot.h"
#include "tarn/state.h"

#include "base/random.h"
#include "support/prop.h"
#include "support/scratch.h"
#include "support/state_fixture.h"

enum {
    KEYS = 40,
    NAMESPACES = 3,
    STATES = 2,
    SUBTASKS_MAX = 3,
    MAX_PARALLELISM = 16,
    OPERATIONS = 400,
    VALUE_BYTES_MAX = 64,
    RETAINED = 2,
};

typedef struct cell {
    bool is_present;
    uint8_t size;
    uint8_t bytes[VALUE_BYTES_MAX];
} cell;

typedef struct table {
    cell cells[STATES][KEYS][NAMESPACES];
} table;

typedef struct subtask {
    tarn_backend *backend;
    tarn_value *states[STATES];
    tarn_snapshot *snapshot; /* Of the pending checkpoint. */
} subtask;

typedef struct world {
    tarn__random random;
    scratch directory;
    tarn_env *env;
    tarn_checkpoint_store *store;
    tarn_pending_checkpoint *pending;
    uint32_t parallelism;
    subtask subtasks[SUBTASKS_MAX];
    table now;             /* What the states hold. */
    table at_barrier;      /* Of the pending checkpoint. */
    table committed;       /* Of the latest complete checkpoint; all absent before the first. */
    uint64_t committed_id; /* 0: none. */
    uint32_t generation;   /* Restores so far; each has working directories of its own. */
    tarn_error error;
} world;

static uint32_t below(world *w, uint32_t bound)
{
    return (uint32_t)tarn__random_below(&w->random, bound);
}

static const char *job_path(const world *w)
{
    return scratch_join(scratch_join(w->directory.path, "checkpoints"), "job");
}

static void open_states(world *w, subtask *task)
{
    static const char *const names[STATES] = {"totals", "windows"};
    for (int i = 0; i < STATES; i++) {
        tarn_state_options options = TARN_STATE_OPTIONS_INIT;
        options.name = names[i];
        options.codec_name = "test";
        options.codec_version = 1;
        assert_ok(tarn_value_open(task->backend, &options, &task->states[i], &w->error), &w->error);
    }
}

static void open_subtasks(world *w)
{
    tarn_checkpoint *checkpoint = NULL;
    if (w->committed_id != 0) {
        assert_ok(tarn_checkpoint_open(job_path(w), NULL, &checkpoint, &w->error), &w->error);
        assert_int_equal(tarn_checkpoint_summarize(checkpoint).id, w->committed_id);
    }
    w->generation++;
    for (uint32_t i = 0; i < w->parallelism; i++) {
        char name[32];
        snprintf(name, sizeof name, "work-%" PRIu32 "-%" PRIu32, w->generation, i);
        tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
        options.env = w->env;
        options.operator_name = "op";
        options.directory = scratch_join(w->directory.path, name);
        options.subtask_index = i;
        options.parallelism = w->parallelism;
        options.max_parallelism = MAX_PARALLELISM;
        options.restore = checkpoint;
        subtask *task = &w->subtasks[i];
        *task = (subtask){.backend = NULL};
        assert_ok(tarn_backend_open(&options, &task->backend, &w->error), &w->error);
        open_states(w, task);
    }
    tarn_checkpoint_free(checkpoint);
}

static void close_subtasks(world *w)
{
    for (uint32_t i = 0; i < w->parallelism; i++) {
        subtask *task = &w->subtasks[i];
        tarn_snapshot_abandon(task->snapshot);
        for (int s = 0; s < STATES; s++) {
            assert_ok(tarn_value_close(task->states[s], &w->error), &w->error);
        }
        assert_ok(tarn_backend_close(task->backend, &w->error), &w->error);
        *task = (subtask){.backend = NULL};
    }
}

static void open_store(world *w)
{
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = w->env;
    options.address = scratch_join(w->directory.path, "checkpoints");
    options.job = "job";
    options.retained_count = RETAINED;
    assert_ok(tarn_checkpoint_store_open(&options, &w->store, &w->error), &w->error);
}

static tarn_env *open_env(tarn_error *error)
{
    tarn_config *config = NULL;
    tarn_env *env = NULL;
    assert_ok(tarn_config_new(NULL, &config, error), error);
    static const char *const settings[][2] = {
        {"taskmanager.memory.process.size", "1g"},
        {"state.backend.rocksdb.writebuffer.size", "64kb"},
        {"state.backend.rocksdb.checkpoint.transfer.thread.num", "2"},
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        assert_ok(tarn_config_set(config, settings[i][0], settings[i][1], "test", error), error);
    }
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    assert_ok(tarn_env_open(&options, &env, error), error);
    tarn_config_free(config);
    return env;
}

/* Makes key k current at the subtask that owns it, and namespace n at the state. */
static tarn_value *select_cell(world *w, uint32_t s, uint32_t k, uint32_t n)
{
    char key[16];
    const int size = snprintf(key, sizeof key, "key-%" PRIu32, k);
    const tarn_bytes bytes = tarn_bytes_at(key, (size_t)size);
    const uint32_t group = tarn_key_group_of(tarn_hash_bytes(bytes), MAX_PARALLELISM);
    subtask *task = &w->subtasks[tarn_key_group_subtask(group, MAX_PARALLELISM, w->parallelism)];
    assert_ok(tarn_backend_set_key(task->backend, bytes, &w->error), &w->error);
    const uint8_t name_space[1] = {(uint8_t)n};
    assert_ok(
        tarn_value_set_namespace(
            task->states[s], tarn_bytes_at(name_space, n == 0 ? 0 : 1), &w->error),
        &w->error);
    return task->states[s];
}

static void put(world *w, tarn_value *value, cell *expected)
{
    expected->is_present = true;
    expected->size = (uint8_t)below(w, VALUE_BYTES_MAX);
    for (uint32_t i = 0; i < expected->size; i++) {
        expected->bytes[i] = (uint8_t)tarn__random_next(&w->random);
    }
    assert_ok(
        tarn_value_put(value, tarn_bytes_at(expected->bytes, expected->size), &w->error),
        &w->error);
}

static void edit(world *w, tarn_value *value, cell *expected)
{
    const uint8_t size = (uint8_t)(1 + below(w, VALUE_BYTES_MAX - 1));
    void *bytes = NULL;
    assert_ok(tarn_value_edit(value, size, &bytes, &w->error), &w->error);
    if (!expected->is_present) {
        *expected = (cell){.is_present = true};
    }
    for (uint8_t i = expected->size; i < size; i++) {
        expected->bytes[i] = 0;
    }
    expected->size = size;
    assert_memory_equal(bytes, expected->bytes, size);
    const uint32_t at = below(w, size);
    expected->bytes[at]++;
    ((uint8_t *)bytes)[at]++;
}

static void get(world *w, tarn_value *value, const cell *expected)
{
    tarn_bytes bytes;
    const tarn_status status = tarn_value_get(value, &bytes, &w->error);
    if (!expected->is_present) {
        assert_int_equal(status, TARN_NOT_FOUND);
        return;
    }
    assert_ok(status, &w->error);
    assert_int_equal(bytes.size, expected->size);
    assert_true(tarn_bytes_is_equal(bytes, tarn_bytes_at(expected->bytes, expected->size)));
}

static void touch_one(world *w)
{
    const uint32_t s = below(w, STATES);
    const uint32_t k = below(w, KEYS);
    const uint32_t n = below(w, NAMESPACES);
    tarn_value *value = select_cell(w, s, k, n);
    cell *expected = &w->now.cells[s][k][n];
    switch (below(w, 4)) {
    case 0:
        put(w, value, expected);
        break;
    case 1:
        edit(w, value, expected);
        break;
    case 2:
        assert_ok(tarn_value_remove(value, &w->error), &w->error);
        expected->is_present = false;
        break;
    default:
        get(w, value, expected);
        break;
    }
}

static uint32_t present_count(const world *w, uint32_t s)
{
    uint32_t count = 0;
    for (uint32_t k = 0; k < KEYS; k++) {
        for (uint32_t n = 0; n < NAMESPACES; n++) {
            count += w->now.cells[s][k][n].is_present;
        }
    }
    return count;
}

/* Compares every row of one subtask's state; answers how many there are. */
static uint32_t compare_rows(world *w, subtask *task, uint32_t s)
{
    uint32_t count = 0;
    tarn_value_iterator *iterator = NULL;
    assert_ok(tarn_value_iterate(task->states[s], "compare", &iterator, &w->error), &w->error);
    tarn_row row;
    tarn_status status;
    while ((status = tarn_value_iterator_next(iterator, &row, &w->error)) == TARN_OK) {
        char key[16] = {0};
        assert_in_range(row.key.size, 5, sizeof key - 1);
        memcpy(key, row.key.data, row.key.size);
        const uint32_t k = (uint32_t)strtoul(key + 4, NULL, 10);
        const uint32_t n = row.name_space.size == 0 ? 0 : *(const uint8_t *)row.name_space.data;
        assert_true(k < KEYS && n < NAMESPACES);
        const cell *expected = &w->now.cells[s][k][n];
        assert_true(expected->is_present);
        assert_true(tarn_bytes_is_equal(row.value, tarn_bytes_at(expected->bytes, expected->size)));
        count++;
    }
    assert_int_equal(status, TARN_DONE);
    tarn_value_iterator_close(iterator);
    return count;
}

/* Every row of every subtask is a present cell with its bytes, and there are no others. */
static void compare_whole(world *w)
{
    for (uint32_t s = 0; s < STATES; s++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < w->parallelism; i++) {
            count += compare_rows(w, &w->subtasks[i], s);
        }
        assert_int_equal(count, present_count(w, s));
    }
}

static void begin_checkpoint(world *w)
{
    if (w->pending != NULL) {
        return;
    }
    const uint64_t id = tarn_checkpoint_store_next_id(w->store);
    assert_ok(tarn_checkpoint_begin(w->store, id, &w->pending, &w->error), &w->error);
    w->at_barrier = w->now;
    for (uint32_t i = 0; i < w->parallelism; i++) {
        assert_ok(
            tarn_snapshot_begin(
                w->subtasks[i].backend, w->pending, &w->subtasks[i].snapshot, &w->error),
            &w->error);
    }
}

static void abandon_checkpoint(world *w)
{
    for (uint32_t i = 0; i < w->parallelism; i++) {
        tarn_snapshot_abandon(w->subtasks[i].snapshot);
        w->subtasks[i].snapshot = NULL;
    }
    tarn_checkpoint_abandon(w->pending);
    w->pending = NULL;
}

static bool count_complete(const tarn_checkpoint_entry *entry, void *context)
{
    *(uint32_t *)context += entry->status == TARN_OK;
    return true;
}

static void acknowledge_all(world *w)
{
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    for (uint32_t i = 0; i < w->parallelism; i++) {
        subtask *task = &w->subtasks[i];
        assert_ok(tarn_snapshot_finish(task->snapshot, &acknowledgement, &w->error), &w->error);
        task->snapshot = NULL;
        assert_ok(
            tarn_checkpoint_acknowledge(w->pending, tarn_buffer_bytes(&acknowledgement), &w->error),
            &w->error);
    }
    tarn_buffer_clear(&acknowledgement);
}

static void commit_checkpoint(world *w)
{
    if (w->pending == NULL) {
        return;
    }
    const uint64_t id = tarn_pending_checkpoint_id(w->pending);
    acknowledge_all(w);
    tarn_checkpoint_summary summary;
    assert_ok(tarn_checkpoint_commit(w->pending, &summary, &w->error), &w->error);
    assert_int_equal(summary.id, id);
    w->pending = NULL;
    w->committed = w->at_barrier;
    w->committed_id = id;
    for (uint32_t i = 0; i < w->parallelism; i++) {
        tarn_backend_notify_complete(w->subtasks[i].backend, id);
    }
    uint32_t complete = 0;
    assert_ok(tarn_checkpoint_list(job_path(w), count_complete, &complete, &w->error), &w->error);
    assert_in_range(complete, 1, RETAINED);
}

/* Loses everything since the latest complete checkpoint, as a crash would, and comes back. */
static void crash_and_restore(world *w)
{
    close_subtasks(w);
    tarn_checkpoint_abandon(w->pending);
    w->pending = NULL;
    assert_ok(tarn_checkpoint_store_close(w->store, &w->error), &w->error);
    open_store(w);
    open_subtasks(w);
    w->now = w->committed;
    compare_whole(w);
}

static void step(world *w)
{
    const uint32_t choice = below(w, 200);
    if (choice < 4) {
        begin_checkpoint(w);
    } else if (choice < 8) {
        commit_checkpoint(w);
    } else if (choice == 8 && w->pending != NULL) {
        abandon_checkpoint(w);
    } else if (choice == 9) {
        crash_and_restore(w);
    } else if (choice < 12) {
        compare_whole(w);
    } else if (choice < 15) {
        fixture_resize_working_set(
            w->subtasks[below(w, w->parallelism)].backend, below(w, 2 * FIXTURE_SIZES));
    } else {
        touch_one(w);
    }
}

static void random_program(uint64_t seed, void *context)
{
    world *w = context;
    *w = (world){.random = {.state = seed}};
    scratch_init(&w->directory);
    w->env = open_env(&w->error);
    w->parallelism = 1 + below(w, SUBTASKS_MAX);
    open_store(w);
    open_subtasks(w);
    for (int i = 0; i < OPERATIONS; i++) {
        step(w);
    }
    compare_whole(w);
    crash_and_restore(w);
    close_subtasks(w);
    assert_ok(tarn_checkpoint_store_close(w->store, &w->error), &w->error);
    assert_ok(tarn_env_close(w->env, &w->error), &w->error);
    scratch_clear(&w->directory);
}

static void test_a_restore_gives_what_was_there_at_the_barrier(void **state)
{
    (void)state;
    static world w;
    prop_run("checkpoint", 8, random_program, &w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_restore_gives_what_was_there_at_the_barrier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
