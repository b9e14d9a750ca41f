/* rescale_job.c - subtasks that are opened, closed, saved and restored. See rescale_job.h. */
#include "property/rescale_job.h"

#include <stdio.h>

enum { TIDY_PASSES = 16 }; /* As in state/tidy.c. */

/* ---- subtasks --------------------------------------------------------------------------- */

/* How a backend came by what several old subtasks had. */
static void note_way(job *j, tarn_backend *backend, uint32_t old_parallelism)
{
    const tarn_key_group_range own = tarn_backend_key_groups(backend);
    const uint32_t first = tarn_key_group_subtask(own.first, j->max_parallelism, old_parallelism);
    const uint32_t last = tarn_key_group_subtask(own.last, j->max_parallelism, old_parallelism);
    tarn_backend_stats stats;
    tarn_backend_measure(backend, &stats);
    j->joined_count += stats.joined_file_count > 0 ? 1 : 0;
    j->by_rows_count += first < last && stats.joined_file_count == 0 ? 1 : 0;
}

void job_open(job *j, uint32_t parallelism, tarn_checkpoint *restore)
{
    const uint32_t old_parallelism = restore != NULL ? j->parallelism : parallelism;
    j->parallelism = parallelism;
    j->generation++;
    for (uint32_t i = 0; i < parallelism; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%u-%u", j->generation, i);
        tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
        options.env = j->env;
        options.config = j->config;
        options.operator_name = "op";
        options.directory = scratch_join(j->root.path, name);
        options.subtask_index = i;
        options.parallelism = parallelism;
        options.max_parallelism = j->max_parallelism;
        options.restore = restore;
        subtask *s = &j->subtasks[i];
        assert_ok(tarn_backend_open(&options, &s->backend, &j->error), &j->error);
        j->part_count += atomic_load(&s->backend->restored.part_count);
        note_way(j, s->backend, old_parallelism);
        job_open_states(j, s);
        job_open_operators(j, i, restore);
    }
}

void job_close(job *j)
{
    for (uint32_t i = 0; i < j->parallelism; i++) {
        subtask *s = &j->subtasks[i];
        job_close_states(j, s);
        assert_ok(tarn_operator_store_close(s->operators, &j->error), &j->error);
        assert_ok(tarn_backend_close(s->backend, &j->error), &j->error);
    }
}

void job_settle(job *j)
{
    for (uint32_t i = 0; i < j->parallelism; i++) {
        tarn_backend *backend = j->subtasks[i].backend;
        if (job_below(j, 2) == 0) {
            assert_ok(tarn__rocks_flush(backend->rocks, &j->error), &j->error);
        }
        if (job_below(j, 3) == 0) {
            for (tarn__rocks_family *family = tarn__rocks_first_family(backend->rocks);
                 family != NULL;
                 family = family->next) {
                tarn__rocks_compact(family);
            }
        }
    }
}

void job_expect_tidy(job *j)
{
    for (uint32_t i = 0; i < j->parallelism; i++) {
        tarn_backend *backend = j->subtasks[i].backend;
        tarn_backend_stats stats = {.foreign_bytes = 1};
        for (uint32_t pass = 0; pass < TIDY_PASSES && stats.foreign_bytes > 0; pass++) {
            tarn__tidier_resume(backend); /* A pass leaves files that another compaction has. */
            tarn__tidier_wait(backend);
            tarn_backend_measure(backend, &stats);
        }
        assert_int_equal(stats.foreign_bytes, 0);
    }
    job_expect_everything(j);
}

/* ---- checkpoints ------------------------------------------------------------------------ */

void job_take_checkpoint(job *j)
{
    tarn_pending_checkpoint *pending = NULL;
    const uint64_t id = tarn_checkpoint_store_next_id(j->store);
    assert_ok(tarn_checkpoint_begin(j->store, id, &pending, &j->error), &j->error);
    tarn_buffer acknowledgement = {.allocator = NULL};
    for (uint32_t i = 0; i < j->parallelism; i++) {
        tarn_snapshot *snapshot = NULL;
        assert_ok(
            tarn_snapshot_begin(j->subtasks[i].backend, pending, &snapshot, &j->error), &j->error);
        job_add_operators(j, &j->subtasks[i], snapshot);
        assert_ok(tarn_snapshot_finish(snapshot, &acknowledgement, &j->error), &j->error);
        assert_ok(
            tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &j->error),
            &j->error);
    }
    tarn_buffer_clear(&acknowledgement);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &j->error), &j->error);
    for (uint32_t i = 0; i < j->parallelism; i++) {
        tarn_backend_notify_complete(j->subtasks[i].backend, id);
    }
}

void job_restore(job *j, uint32_t parallelism)
{
    tarn_checkpoint *checkpoint = NULL;
    const uint32_t old_parallelism = j->parallelism;
    job_close(j);
    assert_ok(
        tarn_checkpoint_open(
            scratch_join(j->root.path, "checkpoints/job"), NULL, &checkpoint, &j->error),
        &j->error);
    job_open(j, parallelism, checkpoint);
    tarn_checkpoint_free(checkpoint);
    job_expect_operators(j, old_parallelism);
    job_expect_everything(j);
}

/* ---- the whole -------------------------------------------------------------------------- */

static const char *yes_or_no(bool is_so)
{
    return is_so ? "true" : "false";
}

static void set_way(tarn_config *config, const way *w)
{
    fixture_set(config, "tarn.restore.link-files", yes_or_no(w->links));
    fixture_set(config, "tarn.rocksdb.cut-files-at-key-groups", yes_or_no(w->cuts));
    if (w->reads_parts) { /* Of files of many blocks, each of which is an object of its own. */
        fixture_set(config, "state.backend.rocksdb.block.blocksize", "64 bytes");
        fixture_set(config, "state.backend.rocksdb.compaction.level.target-file-size-base", "64kb");
        fixture_set(config, "tarn.restore.parts-file-size", "1 bytes");
        fixture_set(config, "tarn.checkpoint.packing-threshold", "0");
    }
    if (w->is_by_rows) {
        fixture_set(config, "state.backend.rocksdb.compaction.style", "UNIVERSAL");
    }
}

void job_set_up(job *j, uint64_t seed, uint32_t max_parallelism, const way *w)
{
    *j = (job){.max_parallelism = max_parallelism};
    j->random.state = seed;
    scratch_init(&j->root);
    tarn_config *config = fixture_new_config(64);
    j->env = fixture_open_env(config, NULL);
    fixture_set(config, "state.backend.rocksdb.compaction.level.target-file-size-base", "4kb");
    fixture_set(config, "state.backend.rocksdb.compaction.level.max-size-level-base", "16kb");
    set_way(config, w);
    j->config = config;
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = j->env;
    options.address = scratch_join(j->root.path, "checkpoints");
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, &j->store, &j->error), &j->error);
}

void job_tear_down(job *j)
{
    job_close(j);
    assert_ok(tarn_checkpoint_store_close(j->store, &j->error), &j->error);
    assert_ok(tarn_env_close(j->env, &j->error), &j->error);
    tarn_config_free(j->config);
    scratch_clear(&j->root);
}
