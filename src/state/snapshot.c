/* snapshot.c - see snapshot.h. */
#include "state/snapshot.h"

#include <assert.h>

#include "cache/runs.h"
#include "snapshot/upload.h"
#include "state/backend.h"
#include "state/canonical.h"
#include "state/descriptors.h"
#include "state/hot_store.h"

#define TABLE_FILE_SUFFIX ".sst"

enum {
    SLICE_ROWS = 64,         /* Drained by a call on the backend: some tens of microseconds. */
    SLICE_ROWS_POLLED = 512, /* By a poll of who does nothing else. */
    SLICE_NS_MAX = 100000,   /* That a slice counts as: the thread may have lost its processor. */
};

struct tarn_snapshot {
    tarn_backend *backend;
    tarn__child child;
    uint64_t checkpoint_id;
    bool is_savepoint;
    bool is_canonical;
    tarn__canonical_plan canonical;
    atomic_bool is_cancelled;
    tarn__upload *upload;
    tarn__arena arena;     /* Of the two below. */
    tarn__subtask subtask; /* What is acknowledged; files come from the upload at the end. */
    uint32_t piece_capacity;
    const tarn__base *base; /* What the upload builds on; borrowed of the backend. */
    tarn__runs *runs; /* The backend's when this began, kept until the links are made; or NULL. */
    uint64_t sync_ns;
    uint64_t next_slice_ns; /* Not before the stream has had its share of the time. */
    bool is_submitted;      /* A worker has it: all that it holds is in the store. */

    pthread_mutex_t mutex; /* For ended alone. */
    pthread_cond_t ended;
    atomic_bool is_link_claimed; /* Somebody makes the links, or has. */
    tarn_status linked;          /* How that ended, in error: read once the gate is open. */
    atomic_bool is_done;
    atomic_uint_least64_t link_ns;
    atomic_uint_least64_t upload_ns;
    tarn_status status; /* The worker's, as error: read once is_done. */
    tarn_error error;
};

/* ---- links and uploads ------------------------------------------------------------------ */

static uint64_t now_ns(const tarn_snapshot *snapshot)
{
    return tarn__clock_monotonic_ns(tarn__env_clock(snapshot->backend->env));
}

static tarn_status upload_links(tarn_snapshot *snapshot, tarn_error *error)
{
    const char *links = snapshot->backend->directory.links;
    TARN_AUTO(tarn__local_files_clear) tarn__local_files files = {.count = 0};
    TARN_TRY(tarn__local_files_list(
        tarn__file_calls_system(),
        tarn__env_account(snapshot->backend->env),
        links,
        TABLE_FILE_SUFFIX,
        &files,
        error));
    return tarn__upload_run(snapshot->upload, links, &files, snapshot->base, error);
}

/*
 * Waits for the runs whatever else fails: behind the gate others write the same rows. What an
 * earlier snapshot could not remove would keep every later one from its links.
 */
static tarn_status make_links(tarn_snapshot *snapshot, tarn_error *error)
{
    tarn_backend *backend = snapshot->backend;
    TARN_TRY(tarn__runs_await(snapshot->runs, error)); /* All that was frozen is in them. */
    tarn__links_await(&backend->links);
    TARN_TRY(tarn__directory_remove(backend->directory.links, error));
    if (snapshot->is_canonical) {
        return tarn__canonical_hold(&snapshot->canonical, error);
    }
    return tarn__rocks_link_snapshot(backend->rocks, backend->directory.links, error);
}

bool tarn__snapshot_holds(const tarn_snapshot *snapshot)
{
    return snapshot != NULL && snapshot->is_canonical && !atomic_load(&snapshot->is_done);
}

void tarn__snapshot_link(tarn_snapshot *snapshot)
{
    if (atomic_exchange(&snapshot->is_link_claimed, true)) {
        return;
    }
    const uint64_t began_ns = now_ns(snapshot);
    snapshot->linked = make_links(snapshot, &snapshot->error);
    atomic_store(&snapshot->link_ns, now_ns(snapshot) - began_ns);
    tarn__backend_open_gate(snapshot->backend);
}

/*
 * Keeps the files a second time. The next snapshot's base may be this one's or the one before, so
 * both stay. Without it a restore is slower, and that is all: a failure is logged.
 */
static void keep_local(tarn_snapshot *snapshot)
{
    tarn_backend *backend = snapshot->backend;
    if (backend->pool.path[0] == '\0' || snapshot->is_savepoint) {
        return;
    }
    tarn_error error;
    tarn__base *base = NULL;
    tarn_status status =
        tarn__upload_copy_base(snapshot->upload, tarn__env_account(backend->env), &base, &error);
    if (status == TARN_OK) {
        status = tarn__pool_add(&backend->pool, backend->directory.links, base, &error);
    }
    if (status == TARN_OK) {
        status = tarn__pool_prune(&backend->pool, base, snapshot->base, &error);
    }
    if (status != TARN_OK) {
        tarn__env_log(
            backend->env,
            TARN_LOG_WARNING,
            "the second copy of checkpoint %llu is not complete: %s",
            (unsigned long long)snapshot->checkpoint_id,
            error.message);
    }
    tarn__base_free(base);
}

static tarn_status link_and_upload(tarn_snapshot *snapshot, tarn_error *error)
{
    tarn_backend *backend = snapshot->backend;
    tarn__snapshot_link(snapshot);
    tarn__backend_await_gate(backend); /* The task thread may still be making them. */
    TARN_TRY(snapshot->linked);

    const uint64_t linked_ns = now_ns(snapshot);
    tarn_status uploaded = TARN_OK;
    if (snapshot->is_canonical) {
        uploaded = tarn__canonical_write(
            &snapshot->canonical, backend->directory.links, &snapshot->is_cancelled, error);
    }
    if (uploaded == TARN_OK) {
        uploaded = upload_links(snapshot, error);
    }
    atomic_store(&snapshot->upload_ns, now_ns(snapshot) - linked_ns);
    if (uploaded == TARN_OK) {
        keep_local(snapshot);
    }
    return uploaded;
}

/* By now the snapshot may have been freed; afterwards the backend may be. */
static void remove_links(tarn_backend *backend, uint64_t checkpoint_id)
{
    tarn_error error;
    if (tarn__directory_remove(backend->directory.links, &error) != TARN_OK) {
        tarn__env_log(
            backend->env,
            TARN_LOG_WARNING,
            "links of checkpoint %llu are left behind: %s",
            (unsigned long long)checkpoint_id,
            error.message);
    }
    tarn__links_note_removed(&backend->links);
}

static void run(void *context)
{
    tarn_snapshot *snapshot = context;
    tarn_backend *backend = snapshot->backend;
    const uint64_t checkpoint_id = snapshot->checkpoint_id;
    snapshot->status = link_and_upload(snapshot, &snapshot->error);
    tarn__links_retire(&backend->links);
    pthread_mutex_lock(&snapshot->mutex);
    atomic_store(&snapshot->is_done, true);
    pthread_cond_broadcast(&snapshot->ended);
    pthread_mutex_unlock(&snapshot->mutex);
    remove_links(backend, checkpoint_id);
}

static void wait_until_done(tarn_snapshot *snapshot)
{
    pthread_mutex_lock(&snapshot->mutex);
    while (!atomic_load(&snapshot->is_done)) {
        pthread_cond_wait(&snapshot->ended, &snapshot->mutex);
    }
    pthread_mutex_unlock(&snapshot->mutex);
}

/* ---- draining --------------------------------------------------------------------------- */

static void submit(tarn_snapshot *snapshot)
{
    snapshot->is_submitted = true;
    tarn__hot_send_runs(snapshot->backend); /* A write may have handed the last row over. */
    tarn__backend_set_draining(snapshot->backend, false);
    tarn__workers_submit(tarn__env_workers(snapshot->backend->env), run, snapshot);
}

/* Has the snapshot end with a failure, which the worker passes on. */
static void give_up(tarn_snapshot *snapshot, const tarn_error *error)
{
    atomic_store(&snapshot->is_link_claimed, true);
    snapshot->linked = error->status;
    snapshot->error = *error;
    tarn__hot_land(snapshot->backend); /* Nothing is on its way once others may write. */
    submit(snapshot);
    tarn__backend_open_gate(snapshot->backend);
}

/* row_count  UINT32_MAX: all, as long as it takes. */
static tarn_status drain_slice(tarn_snapshot *snapshot, uint32_t row_count, tarn_error *error)
{
    tarn_backend *backend = snapshot->backend;
    if (backend->poison.status != TARN_OK) {
        *error = backend->poison; /* What is frozen may be lost. */
        return error->status;
    }
    if (backend->workset == NULL) {
        return TARN_OK;
    }
    return row_count == UINT32_MAX ? tarn__workset_drain_all(backend->workset, error)
                                   : tarn__workset_drain(backend->workset, row_count, error);
}

static bool is_drained(const tarn_backend *backend)
{
    return backend->workset == NULL || !tarn__workset_is_draining(backend->workset);
}

static tarn_status advance(tarn_snapshot *snapshot, uint32_t row_count, tarn_error *error)
{
    tarn_error details = {.status = TARN_OK};
    const tarn_status status = drain_slice(snapshot, row_count, &details);
    if (status != TARN_OK) {
        give_up(snapshot, &details);
        if (error != NULL) {
            *error = details;
        }
        return status;
    }
    if (is_drained(snapshot->backend)) {
        submit(snapshot);
    }
    return TARN_OK;
}

tarn_status tarn__snapshot_advance(tarn_snapshot *snapshot, tarn_error *error)
{
    const uint64_t begin_ns = now_ns(snapshot);
    if (snapshot->is_submitted || begin_ns < snapshot->next_slice_ns) {
        return TARN_OK;
    }
    const tarn_status status = advance(snapshot, SLICE_ROWS, error);
    const uint64_t end_ns = now_ns(snapshot);
    const uint64_t slice_ns = end_ns - begin_ns < SLICE_NS_MAX ? end_ns - begin_ns : SLICE_NS_MAX;
    const double pauses = 1 / snapshot->backend->drain_share - 1; /* As long as the slice. */
    snapshot->next_slice_ns = end_ns + (uint64_t)((double)slice_ns * pauses);
    return status;
}

void tarn__snapshot_drain(tarn_snapshot *snapshot)
{
    tarn_status status = TARN_OK;
    while (!snapshot->is_submitted && status == TARN_OK) {
        status = advance(snapshot, UINT32_MAX, NULL);
    }
}

/* ---- beginning -------------------------------------------------------------------------- */

static tarn_status prepare(
    tarn_snapshot *snapshot, tarn_pending_checkpoint *checkpoint, tarn_error *error)
{
    tarn_backend *backend = snapshot->backend;
    snapshot->subtask = (tarn__subtask){
        .operator_name = backend->operator_name,
        .subtask_index = backend->subtask_index,
        .parallelism = backend->parallelism,
        .has_keyed_state = true,
        .key_hash = (uint32_t)backend->key_hash,
        .max_parallelism = backend->max_parallelism,
        .key_groups = backend->key_groups,
    };
    TARN_TRY(tarn__descriptors_list(backend, &snapshot->arena, &snapshot->subtask, error));
    if (snapshot->is_canonical) {
        TARN_TRY(tarn__canonical_prepare(backend, &snapshot->arena, &snapshot->canonical, error));
    }
    /* Rows are for others to read too: a file each. */
    const tarn__packing none = {.small_bytes = 0};
    const tarn__upload_options options = {
        .checkpoint = checkpoint,
        .operator_name = backend->operator_name,
        .subtask_index = backend->subtask_index,
        .parallelism = backend->parallelism,
        .account = tarn__env_account(backend->env),
        .buffers = tarn__env_transfer_account(backend->env),
        .workers = tarn__env_workers(backend->env),
        .packing = snapshot->is_canonical ? none : backend->packing,
        .first_durable = backend->first_durable,
    };
    return tarn__upload_open(&options, &snapshot->upload, error);
}

/* Frees a snapshot that no worker holds; what was not kept is taken back. */
static void destroy(tarn_snapshot *snapshot)
{
    tarn__canonical_release(&snapshot->canonical);
    tarn__upload_free(snapshot->upload);
    tarn__arena_clear(&snapshot->arena);
    pthread_cond_destroy(&snapshot->ended);
    pthread_mutex_destroy(&snapshot->mutex);
    tarn__release(snapshot);
}

static tarn_status check_begin(
    tarn_backend *backend,
    const tarn_pending_checkpoint *checkpoint,
    tarn_snapshot *const *out,
    tarn_error *error)
{
    if (backend == NULL || checkpoint == NULL || out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "backend, checkpoint and out are required");
    }
    if (backend->snapshot != NULL) {
        return tarn__fail(
            error,
            TARN_BUSY,
            "a snapshot of %s/%u is open already; finish or abandon it first",
            backend->operator_name,
            backend->subtask_index);
    }
    return tarn__backend_settle_buffers(backend, error);
}

tarn_status tarn_snapshot_begin(
    tarn_backend *backend,
    tarn_pending_checkpoint *checkpoint,
    tarn_snapshot **out,
    tarn_error *error)
{
    TARN_TRY(check_begin(backend, checkpoint, out, error));
    const uint64_t began_ns = tarn__clock_monotonic_ns(tarn__env_clock(backend->env));
    const uint64_t refused_count = tarn__backend_refused_count(backend);
    tarn_snapshot *snapshot = tarn__allocate_zeroed(backend->account, 1, sizeof *snapshot);
    if (snapshot == NULL) {
        return tarn__backend_explain(
            backend,
            refused_count,
            tarn__fail_no_memory(error, "a snapshot", sizeof *snapshot),
            error);
    }
    snapshot->backend = backend;
    snapshot->checkpoint_id = tarn_pending_checkpoint_id(checkpoint);
    snapshot->is_savepoint = tarn__metadata_is_savepoint(tarn__pending_kind(checkpoint));
    snapshot->is_canonical = tarn__pending_kind(checkpoint) == TARN__METADATA_CANONICAL_SAVEPOINT;
    tarn__arena_init(&snapshot->arena, backend->account);
    pthread_mutex_init(&snapshot->mutex, NULL);
    pthread_cond_init(&snapshot->ended, NULL);
    const tarn_status status =
        tarn__backend_explain(backend, refused_count, prepare(snapshot, checkpoint, error), error);
    if (status != TARN_OK) {
        destroy(snapshot);
        return status;
    }
    snapshot->base = backend->bases.completed;
    backend->bases.is_lent = true;
    snapshot->runs = backend->runs;
    backend->snapshot = snapshot;
    tarn__backend_adopt(backend, &snapshot->child, "snapshot", "of a checkpoint");
    tarn__backend_shut_gate(backend);
    if (backend->workset != NULL) {
        tarn__hot_prepare_drain(backend);
        tarn__workset_freeze(backend->workset);
    }
    if (is_drained(backend)) {
        submit(snapshot);
    } else {
        tarn__backend_set_draining(backend, true);
    }
    snapshot->sync_ns = now_ns(snapshot) - began_ns;
    *out = snapshot;
    return TARN_OK;
}

/* ---- while it is under way -------------------------------------------------------------- */

tarn_status tarn_snapshot_poll(tarn_snapshot *snapshot)
{
    const bool is_idle = !snapshot->backend->has_streamed;
    snapshot->backend->has_streamed = false;
    for (uint32_t drained = 0; is_idle && drained < SLICE_ROWS_POLLED && !snapshot->is_submitted;
         drained += SLICE_ROWS) {
        const tarn_status advanced = advance(snapshot, SLICE_ROWS, NULL);
        (void)advanced; /* finish() tells. */
    }
    if (!is_idle) {
        const tarn_status advanced = tarn__snapshot_advance(snapshot, NULL);
        (void)advanced;
    }
    return atomic_load(&snapshot->is_done) ? TARN_OK : TARN_PENDING;
}

void tarn_snapshot_measure(tarn_snapshot *snapshot, tarn_snapshot_progress *out)
{
    tarn__upload_progress progress;
    tarn__upload_measure(snapshot->upload, &progress);
    *out = (tarn_snapshot_progress){
        .sync_ns = snapshot->sync_ns,
        .link_ns = atomic_load(&snapshot->link_ns),
        .upload_ns = atomic_load(&snapshot->upload_ns),
        .file_count = progress.file_count,
        .total_bytes = progress.total_bytes,
        .uploaded_count = progress.uploaded_count,
        .uploaded_bytes = progress.uploaded_bytes,
        .reused_count = progress.reused_count,
        .reused_bytes = progress.reused_bytes,
        .linked_count = progress.linked_count,
        .linked_bytes = progress.linked_bytes,
    };
}

/* Sees to it that one more piece fits. */
static tarn_status reserve_piece(tarn_snapshot *snapshot, tarn_error *error)
{
    tarn__subtask *subtask = &snapshot->subtask;
    if (subtask->piece_count < snapshot->piece_capacity) {
        return TARN_OK;
    }
    const uint32_t capacity = snapshot->piece_capacity == 0 ? 4 : snapshot->piece_capacity * 2;
    tarn__piece_part *pieces = tarn__arena_allocate(&snapshot->arena, capacity, sizeof *pieces);
    if (pieces == NULL) {
        return tarn__fail_no_memory(error, "operator state", capacity * sizeof *pieces);
    }
    if (subtask->piece_count > 0) {
        memcpy(pieces, subtask->pieces, subtask->piece_count * sizeof *pieces);
    }
    subtask->pieces = pieces;
    snapshot->piece_capacity = capacity;
    return TARN_OK;
}

static tarn_status check_piece(
    const tarn__subtask *subtask, const char *name, tarn_bytes bytes, tarn_error *error)
{
    const size_t size = name != NULL ? strnlen(name, TARN__METADATA_NAME_BYTES_MAX + 1) : 0;
    if (size == 0 || size > TARN__METADATA_NAME_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the name of a piece of operator state is %s; it needs 1 to %d bytes",
            size == 0 ? "missing" : "too long",
            TARN__METADATA_NAME_BYTES_MAX);
    }
    if (bytes.size > TARN__METADATA_PIECE_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "operator state \"%s\" has %zu bytes; allowed are %d",
            name,
            bytes.size,
            TARN__METADATA_PIECE_BYTES_MAX);
    }
    for (uint32_t i = 0; i < subtask->piece_count; i++) {
        if (strcmp(subtask->pieces[i].name, name) == 0) {
            return tarn__fail(
                error, TARN_INVALID_ARGUMENT, "operator state \"%s\" was added already", name);
        }
    }
    return TARN_OK;
}

tarn_status tarn_snapshot_add_state(
    tarn_snapshot *snapshot, const char *name, tarn_bytes bytes, tarn_error *error)
{
    tarn__subtask *subtask = &snapshot->subtask;
    TARN_TRY(check_piece(subtask, name, bytes, error));
    TARN_TRY(reserve_piece(snapshot, error));
    const char *name_copy = tarn__arena_copy(&snapshot->arena, tarn_bytes_of(name));
    const void *copy = tarn__arena_copy(&snapshot->arena, bytes);
    if (name_copy == NULL || copy == NULL) {
        return tarn__fail_no_memory(error, "operator state", bytes.size);
    }
    subtask->pieces[subtask->piece_count++] = (tarn__piece_part){
        .name = name_copy,
        .bytes = tarn_bytes_at(copy, bytes.size),
    };
    return TARN_OK;
}

/* ---- ending ----------------------------------------------------------------------------- */

static tarn_status acknowledge(
    tarn_snapshot *snapshot, tarn_buffer *acknowledgement, tarn_error *error)
{
    tarn_backend *backend = snapshot->backend;
    tarn__upload_describe(snapshot->upload, &snapshot->subtask);
    tarn__subtask_sort(&snapshot->subtask);
    tarn__base *base = NULL;
    TARN_TRY(tarn__upload_copy_base(snapshot->upload, backend->account, &base, error));
    TARN_AUTO(tarn_buffer_clear) tarn_buffer encoded = {.allocator = acknowledgement->allocator};
    tarn_status status =
        tarn__acknowledgement_encode(snapshot->checkpoint_id, &snapshot->subtask, &encoded, error);
    if (status == TARN_OK) {
        status = tarn__upload_keep(snapshot->upload, error);
    }
    if (status != TARN_OK) {
        tarn__base_free(base);
        return status;
    }
    if (snapshot->is_savepoint) {
        tarn__base_free(base); /* Its owner may delete it: nothing builds on it. */
    } else {
        tarn__bases_add(&backend->bases, snapshot->checkpoint_id, base);
    }
    const tarn_buffer before = *acknowledgement;
    *acknowledgement = encoded;
    encoded = before;
    return TARN_OK;
}

/* Lets go of the backend and frees. */
static void end(tarn_snapshot *snapshot)
{
    tarn_backend *backend = snapshot->backend;
    tarn__backend_disown(backend, &snapshot->child);
    backend->snapshot = NULL;
    backend->bases.is_lent = false;
    tarn__base_free(backend->bases.retired);
    backend->bases.retired = NULL;
    destroy(snapshot);
}

tarn_status tarn_snapshot_finish(
    tarn_snapshot *snapshot, tarn_buffer *acknowledgement, tarn_error *error)
{
    tarn__snapshot_drain(snapshot);
    wait_until_done(snapshot);
    tarn__hot_note_failure(snapshot->backend);
    tarn_status status = snapshot->status;
    if (status != TARN_OK && error != NULL) {
        *error = snapshot->error;
    }
    if (status == TARN_OK && acknowledgement == NULL) {
        status = tarn__fail(error, TARN_INVALID_ARGUMENT, "acknowledgement is missing");
    }
    tarn_backend *backend = snapshot->backend;
    if (status == TARN_OK) {
        status = acknowledge(snapshot, acknowledgement, error);
    }
    end(snapshot);
    if (status == TARN_OK) {
        tarn__tidier_note_snapshot(backend);
    }
    return status;
}

/* Goes on as if nothing had been frozen. */
static void thaw(tarn_backend *backend)
{
    if (backend->workset != NULL) {
        tarn__workset_thaw(backend->workset);
    }
    tarn__backend_set_draining(backend, false);
    tarn__backend_open_gate(backend);
}

void tarn_snapshot_abandon(tarn_snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    if (snapshot->is_submitted) {
        atomic_store(&snapshot->is_cancelled, true);
        tarn__upload_cancel(snapshot->upload);
        wait_until_done(snapshot);
        tarn__hot_note_failure(snapshot->backend);
    } else {
        thaw(snapshot->backend);
    }
    end(snapshot);
}
