/* snapshot.c - see snapshot.h. */
#include "state/snapshot.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "state/descriptors.h"
#include "state/hot_store.h"
#include "state/snapshot_private.h"

enum {
    SLICE_ROWS = 64,          /* Drained by a call on the backend: some tens of microseconds. */
    SLICE_ROWS_POLLED = 2048, /* By a poll of who does nothing else. */
    SLICE_NS_MAX = 100000,    /* That a slice counts as: the thread may have lost its processor. */
};

static uint64_t now_ns(const tarn_snapshot *snapshot)
{
    return tarn__clock_monotonic_ns(tarn__env_clock(snapshot->env));
}

bool tarn__snapshot_holds(const tarn_snapshot *snapshot)
{
    return snapshot != NULL && snapshot->is_canonical && !atomic_load(&snapshot->is_done);
}

/* ---- draining --------------------------------------------------------------------------- */

static void submit(tarn_snapshot *snapshot)
{
    snapshot->is_submitted = true;
    tarn__hot_send_runs(snapshot->backend); /* A write may have handed the last row over. */
    tarn__backend_set_draining(snapshot->backend, false);
    tarn__snapshot_submit_work(snapshot);
}

/* Has the snapshot end with a failure, which the worker passes on. */
static void give_up(tarn_snapshot *snapshot, const tarn_error *error)
{
    const bool is_refused = tarn__snapshot_refuse_links(snapshot, error);
    assert(is_refused); /* No worker has it. */
    (void)is_refused;
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

/* Of this process: a worker that was left may still read, and then remove, what an earlier backend
 * of the same directory had linked. */
static atomic_uint_least64_t links_count;

/* DIR/links/<number>: the directory of an earlier one may still be read. */
static tarn_status name_links(tarn_snapshot *snapshot, tarn_error *error)
{
    tarn_backend *backend = snapshot->backend;
    const size_t size = strlen(backend->directory.links) + sizeof "/18446744073709551615";
    snapshot->links = tarn__allocate(tarn__env_account(backend->env), size);
    if (snapshot->links == NULL) {
        return tarn__fail_no_memory(error, "a path", size);
    }
    const uint64_t number = atomic_fetch_add(&links_count, 1) + 1;
    (void)snprintf(snapshot->links, size, "%s/%" PRIu64, backend->directory.links, number);
    return TARN_OK;
}

/* A snapshot that has not begun. */
static tarn_status make(
    tarn_backend *backend,
    tarn_pending_checkpoint *checkpoint,
    tarn_snapshot **out,
    tarn_error *error)
{
    tarn_snapshot *snapshot =
        tarn__allocate_zeroed(tarn__env_account(backend->env), 1, sizeof *snapshot);
    if (snapshot == NULL) {
        return tarn__fail_no_memory(error, "a snapshot", sizeof *snapshot);
    }
    snapshot->env = backend->env;
    snapshot->backend = backend;
    snapshot->checkpoint_id = tarn_pending_checkpoint_id(checkpoint);
    snapshot->errands = tarn__pending_errands(checkpoint);
    if (snapshot->errands == NULL) {
        snapshot->errands = tarn__env_errands(backend->env);
    }
    snapshot->is_savepoint = tarn__metadata_is_savepoint(tarn__pending_kind(checkpoint));
    snapshot->is_canonical = tarn__pending_kind(checkpoint) == TARN__METADATA_CANONICAL_SAVEPOINT;
    tarn__arena_init(&snapshot->arena, backend->account);
    pthread_mutex_init(&snapshot->mutex, NULL);
    pthread_cond_init(&snapshot->changed, NULL);
    tarn_status status = name_links(snapshot, error);
    if (status == TARN_OK) {
        status = prepare(snapshot, checkpoint, error);
    }
    if (status != TARN_OK) {
        tarn__snapshot_free(snapshot);
        return status;
    }
    snapshot->base = tarn__base_share(backend->bases.completed);
    *out = snapshot;
    return TARN_OK;
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
    if (atomic_load(&backend->is_gate_shut)) {
        tarn__backend_wait_at_gate(backend); /* For the links of one that was given up. */
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
    tarn_snapshot *snapshot = NULL;
    TARN_TRY(make(backend, checkpoint, &snapshot, error));
    assert(snapshot != NULL);
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

/* Drains what a poll may: more when the task has nothing else to do. */
static void drain_polled(tarn_snapshot *snapshot)
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
}

tarn_status tarn_snapshot_poll(tarn_snapshot *snapshot)
{
    drain_polled(snapshot);
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
    TARN_TRY(
        tarn__upload_copy_base(snapshot->upload, tarn__env_account(backend->env), &base, error));
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

/* The backend has no snapshot any more. */
static void detach(tarn_snapshot *snapshot)
{
    tarn_backend *backend = snapshot->backend;
    tarn__backend_disown(backend, &snapshot->child);
    backend->snapshot = NULL;
}

void tarn_snapshot_wait(tarn_snapshot *snapshot)
{
    if (!snapshot->is_submitted) {
        tarn__hot_note_awaited(snapshot->backend);
        tarn__snapshot_drain(snapshot);
    }
    tarn__snapshot_await_work(snapshot);
}

tarn_status tarn_snapshot_finish(
    tarn_snapshot *snapshot, tarn_buffer *acknowledgement, tarn_error *error)
{
    tarn_snapshot_wait(snapshot);
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
    detach(snapshot);
    if (status != TARN_OK) {
        tarn__snapshot_leave(snapshot); /* What was uploaded is to be taken back. */
        return status;
    }
    tarn__snapshot_free(snapshot);
    tarn__tidier_note_snapshot(backend);
    return TARN_OK;
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

/* Opens the gate unless a worker is about to: none may be free to come to it for long. */
static void drop_links(tarn_snapshot *snapshot)
{
    tarn_backend *backend = snapshot->backend;
    tarn_error details;
    const tarn_status given_up = tarn__fail(&details, TARN_ABANDONED, "the snapshot was given up");
    (void)given_up;
    if (tarn__snapshot_refuse_links(snapshot, &details)) {
        tarn__hot_land(backend);
        tarn__hot_note_failure(backend);
        tarn__backend_open_gate(backend);
    }
}

void tarn_snapshot_abandon(tarn_snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    if (snapshot->is_submitted) {
        atomic_store(&snapshot->is_cancelled, true);
        drop_links(snapshot);
    } else {
        thaw(snapshot->backend);
    }
    detach(snapshot);
    tarn__snapshot_leave(snapshot);
}
