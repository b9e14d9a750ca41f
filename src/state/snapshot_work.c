/* snapshot_work.c - what a worker does for a snapshot; see snapshot_private.h. */
#include <errno.h>
#include <sys/stat.h>

#include "state/snapshot_private.h"

#define TABLE_FILE_SUFFIX ".sst"

enum { DIRECTORY_MODE = 0777 }; /* Less the process's umask. */

static uint64_t now_ns(const tarn_snapshot *snapshot)
{
    return tarn__clock_monotonic_ns(tarn__env_clock(snapshot->env));
}

/* ---- the backend's part ------------------------------------------------------------------ */

static void note_linked(tarn_snapshot *snapshot)
{
    pthread_mutex_lock(&snapshot->mutex);
    snapshot->is_linked = true;
    pthread_cond_broadcast(&snapshot->changed);
    pthread_mutex_unlock(&snapshot->mutex);
}

/* The task thread may be making them. */
static void await_links(tarn_snapshot *snapshot)
{
    pthread_mutex_lock(&snapshot->mutex);
    while (!snapshot->is_linked) {
        pthread_cond_wait(&snapshot->changed, &snapshot->mutex);
    }
    pthread_mutex_unlock(&snapshot->mutex);
}

/* Makes the directory that snapshots have theirs in. What an earlier one could not remove goes,
 * unless a worker is at the backend for one that was left or has ended: it may be reading there. */
static tarn_status make_room(tarn_backend *backend, tarn_error *error)
{
    const char *path = backend->directory.links;
    if (atomic_load(&backend->left_count) == 0) {
        TARN_TRY(tarn__directory_remove(path, error));
    }
    if (mkdir(path, DIRECTORY_MODE) != 0 && errno != EEXIST) {
        return tarn__fail_errno(error, errno, "cannot create %s", path);
    }
    return TARN_OK;
}

/* Waits for the runs whatever else fails: behind the gate others write the same rows. */
static tarn_status make_links(tarn_snapshot *snapshot, tarn_error *error)
{
    tarn_backend *backend = snapshot->backend;
    TARN_TRY(tarn__runs_await(snapshot->runs, error)); /* All that was frozen is in them. */
    if (atomic_load(&snapshot->is_cancelled)) {
        return tarn__fail(error, TARN_ABANDONED, "the snapshot was given up");
    }
    TARN_TRY(make_room(backend, error));
    if (snapshot->is_canonical) {
        return tarn__canonical_hold(&snapshot->canonical, error);
    }
    return tarn__rocks_link_snapshot(backend->rocks, snapshot->links, error);
}

void tarn__snapshot_link(tarn_snapshot *snapshot)
{
    if (atomic_exchange(&snapshot->is_link_claimed, true)) {
        return;
    }
    tarn_backend *backend = snapshot->backend;
    const uint64_t began_ns = now_ns(snapshot);
    snapshot->linked = make_links(snapshot, &snapshot->error);
    atomic_store(&snapshot->link_ns, now_ns(snapshot) - began_ns);
    note_linked(snapshot);
    tarn__backend_open_gate(backend);
}

bool tarn__snapshot_refuse_links(tarn_snapshot *snapshot, const tarn_error *error)
{
    if (atomic_exchange(&snapshot->is_link_claimed, true)) {
        return false;
    }
    snapshot->linked = error->status;
    snapshot->error = *error;
    note_linked(snapshot);
    return true;
}

/* False: the snapshot was left, and the backend may be gone. */
static bool come_to_backend(tarn_snapshot *snapshot)
{
    pthread_mutex_lock(&snapshot->mutex);
    snapshot->works_at_backend = !snapshot->is_leaving;
    const bool has_come = snapshot->works_at_backend;
    pthread_mutex_unlock(&snapshot->mutex);
    return has_come;
}

/* What of a snapshot that was left is the backend's. */
static void give_back(tarn_snapshot *snapshot)
{
    tarn__canonical_release(&snapshot->canonical);
    tarn__arena_clear(&snapshot->arena);
}

static void go_from_backend(tarn_snapshot *snapshot)
{
    tarn_backend *backend = snapshot->backend;
    pthread_mutex_lock(&snapshot->mutex);
    snapshot->works_at_backend = false;
    const bool is_left = snapshot->is_left;
    pthread_mutex_unlock(&snapshot->mutex);
    if (is_left) {
        give_back(snapshot);
        tarn__backend_note_worker_gone(backend);
    }
}

static tarn_status prepare_files(tarn_snapshot *snapshot, tarn_error *error)
{
    tarn__snapshot_link(snapshot);
    await_links(snapshot);
    TARN_TRY(snapshot->linked);
    return snapshot->is_canonical
               ? tarn__canonical_write(
                     &snapshot->canonical, snapshot->links, &snapshot->is_cancelled, error)
               : TARN_OK;
}

/*
 * Keeps the files a second time. The next snapshot's base may be this one's or the one before, so
 * both stay. Without it a restore is slower, and that is all: a failure is logged.
 */
static void keep_local(tarn_snapshot *snapshot)
{
    tarn_backend *backend = snapshot->backend;
    tarn_error error;
    tarn__base *base = NULL;
    tarn_status status =
        tarn__upload_copy_base(snapshot->upload, tarn__env_account(snapshot->env), &base, &error);
    if (status == TARN_OK) {
        status = tarn__pool_add(&backend->pool, snapshot->links, base, &error);
    }
    if (status == TARN_OK) {
        status = tarn__pool_prune(&backend->pool, base, snapshot->base, &error);
    }
    if (status != TARN_OK) {
        tarn__env_log(
            snapshot->env,
            TARN_LOG_WARNING,
            "the second copy of checkpoint %llu is not complete: %s",
            (unsigned long long)snapshot->checkpoint_id,
            error.message);
    }
    tarn__base_free(base);
}

static bool is_leaving(tarn_snapshot *snapshot)
{
    pthread_mutex_lock(&snapshot->mutex);
    const bool is_leaving = snapshot->is_leaving;
    pthread_mutex_unlock(&snapshot->mutex);
    return is_leaving;
}

/* One snapshot at a time, and the later one last: who was left while another was at it need not. */
static void keep_local_in_turn(tarn_snapshot *snapshot)
{
    tarn_backend *backend = snapshot->backend;
    if (backend->pool.path[0] == '\0' || snapshot->is_savepoint) {
        return;
    }
    tarn__backend_begin_copy(backend);
    if (!is_leaving(snapshot)) {
        keep_local(snapshot);
    }
    tarn__backend_end_copy(backend);
}

/* ---- the whole of it --------------------------------------------------------------------- */

static tarn_status upload_links(tarn_snapshot *snapshot, tarn_error *error)
{
    TARN_AUTO(tarn__local_files_clear) tarn__local_files files = {.count = 0};
    TARN_TRY(tarn__local_files_list(
        tarn__file_calls_system(),
        tarn__env_account(snapshot->env),
        snapshot->links,
        TABLE_FILE_SUFFIX,
        &files,
        error));
    return tarn__upload_run(snapshot->upload, snapshot->links, &files, snapshot->base, error);
}

/* Releases the path. */
static void remove_links(tarn_env *env, char *links)
{
    tarn_error removal;
    if (tarn__directory_remove(links, &removal) != TARN_OK) {
        tarn__env_log(
            env, TARN_LOG_WARNING, "links of a checkpoint are left behind: %s", removal.message);
    }
    tarn__release(links);
}

static tarn_status link_and_upload(tarn_snapshot *snapshot, tarn_error *error)
{
    const tarn_status prepared = prepare_files(snapshot, error);
    go_from_backend(snapshot);
    TARN_TRY(prepared);
    const uint64_t began_ns = now_ns(snapshot);
    const tarn_status uploaded = upload_links(snapshot, error);
    atomic_store(&snapshot->upload_ns, now_ns(snapshot) - began_ns);
    if (uploaded == TARN_OK && come_to_backend(snapshot)) {
        keep_local_in_turn(snapshot);
        go_from_backend(snapshot);
    }
    return uploaded;
}

/* ---- the end ----------------------------------------------------------------------------- */

void tarn__snapshot_free(tarn_snapshot *snapshot)
{
    give_back(snapshot);
    tarn__upload_free(snapshot->upload);
    tarn__base_free(snapshot->base);
    tarn__release(snapshot->links);
    pthread_cond_destroy(&snapshot->changed);
    pthread_mutex_destroy(&snapshot->mutex);
    tarn__release(snapshot);
}

static void free_left(void *context)
{
    tarn_snapshot *snapshot = context;
    tarn_env *env = snapshot->env;
    tarn__snapshot_free(snapshot);
    tarn__env_note_end(env);
}

/* Whether it was left. Else the task may free it from now on, and its backend when that hears of
 * the worker: it is counted at the backend. */
static bool end_work(tarn_snapshot *snapshot)
{
    pthread_mutex_lock(&snapshot->mutex);
    const bool is_left = snapshot->is_left;
    if (!is_left) {
        atomic_fetch_add(&snapshot->backend->left_count, 1);
    }
    atomic_store(&snapshot->is_done, true);
    pthread_cond_broadcast(&snapshot->changed);
    pthread_mutex_unlock(&snapshot->mutex);
    return is_left;
}

/* The links go last: nobody waits for that but who closes the backend. */
static void work(void *context)
{
    tarn_snapshot *snapshot = context;
    tarn_env *env = snapshot->env;
    tarn_backend *backend = snapshot->backend;
    snapshot->status = link_and_upload(snapshot, &snapshot->error);
    char *links = snapshot->links;
    snapshot->links = NULL;
    const bool is_left = end_work(snapshot);
    remove_links(env, links);
    if (is_left) {
        tarn__errands_leave(snapshot->errands, &snapshot->errand);
    } else {
        tarn__backend_note_worker_gone(backend);
    }
}

void tarn__snapshot_submit_work(tarn_snapshot *snapshot)
{
    snapshot->works_at_backend = true;
    tarn__workers_submit(tarn__env_workers(snapshot->env), work, snapshot);
}

void tarn__snapshot_await_work(tarn_snapshot *snapshot)
{
    pthread_mutex_lock(&snapshot->mutex);
    while (!atomic_load(&snapshot->is_done)) {
        pthread_cond_wait(&snapshot->changed, &snapshot->mutex);
    }
    pthread_mutex_unlock(&snapshot->mutex);
}

/* Whether no worker has come to it, so that nothing of it is in the storage. */
static bool take_back(tarn_snapshot *snapshot)
{
    return !snapshot->is_submitted ||
           tarn__workers_withdraw(tarn__env_workers(snapshot->env), work, snapshot);
}

/* Lets go, but for what a worker is at; true: there is no worker. */
static bool leave_backend(tarn_snapshot *snapshot)
{
    pthread_mutex_lock(&snapshot->mutex);
    snapshot->is_leaving = true;
    const bool works_at_backend = snapshot->works_at_backend;
    if (works_at_backend) {
        snapshot->is_left = true;
        atomic_fetch_add(&snapshot->backend->left_count, 1);
    }
    pthread_mutex_unlock(&snapshot->mutex);
    if (works_at_backend) {
        return false;
    }
    give_back(snapshot);
    pthread_mutex_lock(&snapshot->mutex);
    snapshot->is_left = true;
    const bool is_done = atomic_load(&snapshot->is_done);
    pthread_mutex_unlock(&snapshot->mutex);
    return is_done;
}

void tarn__snapshot_leave(tarn_snapshot *snapshot)
{
    tarn_env *env = snapshot->env;
    if (take_back(snapshot)) {
        tarn__snapshot_free(snapshot);
        return;
    }
    snapshot->errand = (tarn__errand){.run = free_left, .context = snapshot};
    tarn__env_expect_end(env);
    tarn__upload_leave(snapshot->upload);
    if (leave_backend(snapshot)) {
        tarn__errands_leave(snapshot->errands, &snapshot->errand);
    }
}
