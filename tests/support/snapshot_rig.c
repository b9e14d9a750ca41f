/* snapshot_rig.c - see snapshot_rig.h. */
#include "support/snapshot_rig.h"
#include "snapshot/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/try.h"

void rig_init(snapshot_rig *rig, uint32_t retained_count, uint32_t worker_count)
{
    memset(rig, 0, sizeof *rig);
    scratch_init(&rig->root);
    scratch_make_directory(scratch_join(rig->root.path, "local"));
    fault_files_init(&rig->files, FAULT_FILES_NEVER, EIO);
    fault_allocator_init(&rig->memory, FAULT_NEVER);
    tarn__account_init(&rig->account, "test", &rig->memory.base);
    tarn__account_init(&rig->buffers, "test/buffers", &rig->memory.base);
    tarn__account_init(&rig->outside, "test/workers", NULL);
    rig->retained_count = retained_count;
    if (worker_count > 0) {
        assert_ok(
            tarn__workers_open(&rig->outside, worker_count, 8, "rig", &rig->workers, &rig->error),
            &rig->error);
    }
}

void rig_clear(snapshot_rig *rig)
{
    rig_close_store(rig);
    tarn__workers_close(rig->workers);
    assert_int_equal(atomic_load(&rig->memory.live_count), 0);
    scratch_clear(&rig->root);
}

static void take_log(const char *message, void *context)
{
    snapshot_rig *rig = context;
    const size_t size = strlen(rig->log);
    snprintf(rig->log + size, sizeof rig->log - size, "%s\n", message);
}

tarn_status rig_open_store(snapshot_rig *rig)
{
    const tarn__store_options options = {
        .address = scratch_join(rig->root.path, "store"),
        .job = "job",
        .retained_count = rig->retained_count,
        .account = &rig->account,
        .calls = &rig->files.base,
        .log = take_log,
        .log_context = rig,
    };
    return tarn__store_open(&options, &rig->store, &rig->error);
}

void rig_close_store(snapshot_rig *rig)
{
    assert_ok(tarn_checkpoint_store_close(rig->store, &rig->error), &rig->error);
    rig->store = NULL;
}

const char *rig_job(const snapshot_rig *rig, const char *name)
{
    const char *job = scratch_join(rig->root.path, "store/job");
    return name[0] != '\0' ? scratch_join(job, name) : job;
}

const char *rig_local(const snapshot_rig *rig, const char *instance, const char *name)
{
    const char *directory = scratch_join(scratch_join(rig->root.path, "local"), instance);
    return name[0] != '\0' ? scratch_join(directory, name) : directory;
}

void rig_write(
    snapshot_rig *rig, const char *instance, const char *name, size_t size, uint64_t seed)
{
    if (!scratch_exists(rig_local(rig, instance, ""))) {
        scratch_make_directory(rig_local(rig, instance, ""));
    }
    uint8_t *content = malloc(size + 1);
    assert_non_null(content);
    tarn__random random = {.state = seed};
    for (size_t i = 0; i < size; i++) {
        content[i] = (uint8_t)tarn__random_next(&random);
    }
    /* A new file, as RocksDB makes one: never over an old inode. */
    scratch_remove(rig_local(rig, instance, name));
    scratch_write(rig_local(rig, instance, name), content, size);
    free(content);
}

static tarn_status acknowledge(
    snapshot_rig *rig,
    tarn_pending_checkpoint *pending,
    const rig_snapshot *snapshot,
    const tarn__upload *upload)
{
    tarn__state_part state = {.name = "count", .kind = "value", .codec_name = "i64"};
    tarn__subtask subtask = {
        .operator_name = snapshot->operator_name,
        .subtask_index = snapshot->index,
        .parallelism = snapshot->parallelism,
        .has_keyed_state = true,
        .max_parallelism = 128,
        .key_groups = {.first = 0, .last = 127},
        .states = &state,
        .state_count = 1,
    };
    tarn__upload_describe(upload, &subtask);
    TARN_AUTO(tarn_buffer_clear) tarn_buffer bytes = {.allocator = &rig->account.face};
    TARN_TRY(tarn__acknowledgement_encode(
        tarn_pending_checkpoint_id(pending), &subtask, &bytes, &rig->error));
    return tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&bytes), &rig->error);
}

static tarn_status upload_all(
    snapshot_rig *rig,
    tarn_pending_checkpoint *pending,
    rig_snapshot *snapshot,
    tarn__upload *upload)
{
    const char *directory = rig_local(rig, snapshot->instance, "");
    tarn__local_files files;
    TARN_TRY(tarn__local_files_list(
        &rig->files.base, &rig->account, directory, ".sst", &files, &rig->error));
    const tarn_status status =
        tarn__upload_run(upload, directory, &files, snapshot->base, &rig->error);
    tarn__local_files_clear(&files);
    tarn__upload_measure(upload, &snapshot->progress);
    TARN_TRY(status);
    tarn__base *base = NULL;
    if (snapshot->base_out != NULL) {
        TARN_TRY(tarn__upload_copy_base(upload, &rig->account, &base, &rig->error));
    }
    tarn_status kept = tarn__upload_keep(upload, &rig->error);
    if (kept == TARN_OK) {
        kept = acknowledge(rig, pending, snapshot, upload);
    }
    if (kept != TARN_OK) {
        tarn__base_free(base);
        return kept;
    }
    if (snapshot->base_out != NULL) {
        *snapshot->base_out = base;
    }
    return TARN_OK;
}

tarn_status rig_take(snapshot_rig *rig, tarn_pending_checkpoint *pending, rig_snapshot *snapshot)
{
    const tarn__upload_options options = {
        .checkpoint = pending,
        .operator_name = snapshot->operator_name,
        .subtask_index = snapshot->index,
        .account = &rig->account,
        .buffers = &rig->buffers,
        .workers = rig->workers,
        .calls = &rig->files.base,
        .packing = rig->packing,
        .first_durable = rig->first_durable,
    };
    tarn__upload *upload = NULL;
    TARN_TRY(tarn__upload_open(&options, &upload, &rig->error));
    const tarn_status status = upload_all(rig, pending, snapshot, upload);
    tarn__upload_free(upload);
    return status;
}

tarn_status rig_checkpoint(
    snapshot_rig *rig, uint64_t id, const tarn__base *base, tarn__base **base_out)
{
    tarn_pending_checkpoint *pending = NULL;
    TARN_TRY(tarn_checkpoint_begin(rig->store, id, &pending, &rig->error));
    tarn__base *made = NULL;
    rig_snapshot snapshot = {
        .operator_name = "op",
        .instance = "a",
        .parallelism = 1,
        .base = base,
        .base_out = base_out != NULL ? &made : NULL,
    };
    tarn_status status = rig_take(rig, pending, &snapshot);
    if (status == TARN_OK) {
        status = tarn_checkpoint_commit(pending, NULL, &rig->error);
    } else {
        tarn_checkpoint_abandon(pending);
    }
    if (status != TARN_OK) {
        tarn__base_free(made);
        return status;
    }
    if (base_out != NULL) {
        *base_out = made;
    }
    return TARN_OK;
}

tarn_status rig_download(
    snapshot_rig *rig, const char *address, uint32_t subtask, const char *to, tarn__base **base_out)
{
    tarn_checkpoint *checkpoint = NULL;
    TARN_TRY(tarn__checkpoint_open(
        address, &rig->memory.base, &rig->files.base, &checkpoint, &rig->error));
    scratch_remove(rig_local(rig, to, ""));
    scratch_make_directory(rig_local(rig, to, ""));
    const tarn__download_options options = {
        .checkpoint = checkpoint,
        .subtask = subtask,
        .directory = rig_local(rig, to, ""),
        .account = &rig->account,
        .buffers = &rig->buffers,
        .workers = rig->workers,
        .calls = &rig->files.base,
    };
    const tarn_status status = tarn__download_run(&options, base_out, &rig->error);
    tarn_checkpoint_free(checkpoint);
    return status;
}

typedef struct pair {
    char a[PATH_MAX];
    char b[PATH_MAX];
    uint32_t count;
} pair;

static void compare_pair(const char *name, void *context)
{
    pair *p = context;
    size_t size_a = 0;
    size_t size_b = 0;
    uint8_t *a = scratch_read(scratch_join(p->a, name), &size_a);
    uint8_t *b = scratch_read(scratch_join(p->b, name), &size_b);
    if (size_a != size_b || memcmp(a, b, size_a) != 0) {
        fail_msg("%s differs between %s and %s", name, p->a, p->b);
    }
    free(a);
    free(b);
    p->count++;
}

void rig_expect_same(const char *a, const char *b)
{
    pair p = {.count = 0};
    snprintf(p.a, sizeof p.a, "%s", a);
    snprintf(p.b, sizeof p.b, "%s", b);
    scratch_walk(p.a, compare_pair, &p);
    assert_int_equal(scratch_count(p.b, ""), p.count);
}

void rig_expect_restored(snapshot_rig *rig, uint64_t id, const char *instance)
{
    char name[32] = "";
    if (id != 0) {
        snprintf(name, sizeof name, "chk-%llu", (unsigned long long)id);
    }
    assert_ok(rig_download(rig, rig_job(rig, name), 0, "restored", NULL), &rig->error);
    rig_expect_same(rig_local(rig, instance, ""), rig_local(rig, "restored", ""));
    scratch_remove(rig_local(rig, "restored", ""));
}

static bool expect_good(const tarn_checkpoint_file *file, const char *problem, void *context)
{
    (void)context;
    if (problem != NULL) {
        fail_msg("%s: %s", file->path, problem);
    }
    return true;
}

uint64_t rig_expect_whole(const char *address)
{
    tarn_error error;
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(tarn_checkpoint_open(address, NULL, &checkpoint, &error), &error);
    tarn_checkpoint_verification result;
    assert_ok(
        tarn__checkpoint_verify(checkpoint, false, expect_good, NULL, &result, &error), &error);
    assert_int_equal(result.bad_count, 0);
    const uint64_t id = tarn_checkpoint_summarize(checkpoint).id;
    tarn_checkpoint_free(checkpoint);
    return id;
}
