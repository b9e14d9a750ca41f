/* rescale_rig.c - see rescale_rig.h. */
#include "support/rescale_rig.h"

#include <stdio.h>

static const char *name_work(const rescale_rig *rig, uint32_t index)
{
    char name[32];
    (void)snprintf(name, sizeof name, "work-%u", index);
    return scratch_join(rig->root.path, name);
}

void rescale_init(rescale_rig *rig)
{
    *rig = (rescale_rig){.next_id = 1};
    scratch_init(&rig->root);
    rig->config = fixture_new_config(64);
    fault_allocator_init(&rig->memory, FAULT_NEVER);
}

void rescale_open_env(rescale_rig *rig)
{
    rig->env = fixture_open_env(rig->config, &rig->memory.base);
}

void rescale_clear(rescale_rig *rig)
{
    tarn_checkpoint_free(rig->checkpoint);
    assert_ok(tarn_env_close(rig->env, &rig->error), &rig->error);
    assert_int_equal(atomic_load(&rig->memory.live_count), 0);
    tarn_config_free(rig->config);
    scratch_clear(&rig->root);
}

/* ---- backends --------------------------------------------------------------------------- */

tarn_status rescale_try_open(
    rescale_rig *rig, uint32_t index, uint32_t parallelism, tarn_backend **out)
{
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = rig->env;
    options.operator_name = "op";
    options.directory = name_work(rig, index);
    options.subtask_index = index;
    options.parallelism = parallelism;
    options.restore = rig->checkpoint;
    return tarn_backend_open(&options, out, &rig->error);
}

tarn_backend *rescale_open(rescale_rig *rig, uint32_t index, uint32_t parallelism)
{
    tarn_backend *backend = NULL;
    assert_ok(rescale_try_open(rig, index, parallelism, &backend), &rig->error);
    return backend;
}

void rescale_open_all(rescale_rig *rig, tarn_backend **backends, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        backends[i] = rescale_open(rig, i, count);
    }
}

void rescale_close_all(rescale_rig *rig, tarn_backend **backends, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_ok(tarn_backend_close(backends[i], &rig->error), &rig->error);
    }
}

bool rescale_set_key(rescale_rig *rig, tarn_backend *backend, uint32_t key)
{
    return tarn_backend_set_key(backend, tarn_bytes_at(&key, sizeof key), &rig->error) == TARN_OK;
}

uint32_t rescale_count_rows(rescale_rig *rig, tarn_backend *backend, const char *state)
{
    uint32_t count = 0;
    tarn_row row;
    tarn_status status;
    tarn_value *value = fixture_open_value(backend, state);
    tarn_value_iterator *rows = NULL;
    assert_ok(tarn_value_iterate(value, "test", &rows, &rig->error), &rig->error);
    while ((status = tarn_value_iterator_next(rows, &row, &rig->error)) == TARN_OK) {
        count++;
    }
    assert_int_equal(status, TARN_DONE);
    tarn_value_iterator_close(rows);
    assert_ok(tarn_value_close(value, &rig->error), &rig->error);
    return count;
}

void rescale_expect_empty(const rescale_rig *rig, uint32_t index)
{
    assert_int_equal(scratch_count(name_work(rig, index), ""), 0);
}

uint32_t rescale_refuse_memory(
    rescale_rig *rig,
    uint32_t index,
    uint32_t parallelism,
    uint64_t stride,
    void (*check)(tarn_backend *backend, void *context),
    void *context)
{
    uint32_t refused = 0;
    bool is_over = false;
    for (uint64_t nth = 0; !is_over; nth += stride) {
        tarn_backend *backend = NULL;
        atomic_store(&rig->memory.fired, false);
        atomic_store(&rig->memory.request_count, 0);
        rig->memory.fail_at = nth;
        const tarn_status status = rescale_try_open(rig, index, parallelism, &backend);
        rig->memory.fail_at = FAULT_NEVER;
        is_over = !atomic_load(&rig->memory.fired);
        if (status == TARN_OK) { /* What was refused was of no need. */
            check(backend, context);
            assert_ok(tarn_backend_close(backend, &rig->error), &rig->error);
        } else {
            assert_true(!is_over && status == TARN_NO_MEMORY);
            assert_null(backend);
            rescale_expect_empty(rig, index);
            refused++;
        }
    }
    return refused;
}

/* ---- checkpoints ------------------------------------------------------------------------ */

void rescale_name_file(const rescale_rig *rig, const char *name, char path[2 * PATH_MAX])
{
    (void)snprintf(path, 2 * PATH_MAX, "%s/checkpoints/job/%s", rig->root.path, name);
}

static void open_store(rescale_rig *rig, tarn_checkpoint_store **out)
{
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = rig->env;
    options.address = scratch_join(rig->root.path, "checkpoints");
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, out, &rig->error), &rig->error);
}

static void take_part(rescale_rig *rig, tarn_backend *backend, tarn_pending_checkpoint *pending)
{
    tarn_snapshot *snapshot = NULL;
    tarn_buffer acknowledgement = {.allocator = NULL};
    assert_ok(tarn_snapshot_begin(backend, pending, &snapshot, &rig->error), &rig->error);
    assert_ok(tarn_snapshot_finish(snapshot, &acknowledgement, &rig->error), &rig->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &rig->error),
        &rig->error);
    tarn_buffer_clear(&acknowledgement);
}

static void open_last(rescale_rig *rig)
{
    char name[64];
    tarn_checkpoint_free(rig->checkpoint);
    rig->checkpoint = NULL;
    (void)snprintf(name, sizeof name, "checkpoints/job/chk-%u", rig->next_id++);
    assert_ok(
        tarn_checkpoint_open(
            scratch_join(rig->root.path, name), NULL, &rig->checkpoint, &rig->error),
        &rig->error);
}

tarn_checkpoint_summary rescale_take_checkpoint(
    rescale_rig *rig, tarn_backend **backends, uint32_t count)
{
    tarn_checkpoint_store *store = NULL;
    tarn_pending_checkpoint *pending = NULL;
    tarn_checkpoint_summary summary;
    open_store(rig, &store);
    assert_ok(tarn_checkpoint_begin(store, rig->next_id, &pending, &rig->error), &rig->error);
    for (uint32_t i = 0; i < count; i++) {
        take_part(rig, backends[i], pending);
    }
    assert_ok(tarn_checkpoint_commit(pending, &summary, &rig->error), &rig->error);
    assert_ok(tarn_checkpoint_store_close(store, &rig->error), &rig->error);
    for (uint32_t i = 0; i < count; i++) {
        tarn_backend_notify_complete(backends[i], rig->next_id);
    }
    open_last(rig);
    return summary;
}

void rescale_expect_intact(rescale_rig *rig)
{
    tarn_checkpoint_verification verified;
    assert_ok(
        tarn_checkpoint_verify(rig->checkpoint, NULL, NULL, &verified, &rig->error), &rig->error);
    assert_int_equal(verified.bad_count, 0);
}
