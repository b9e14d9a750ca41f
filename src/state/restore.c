/* restore.c - see restore.h. */
#include "state/restore.h"

#include <errno.h>
#include <sys/stat.h>

#include "snapshot/download.h"

enum { DIRECTORY_MODE = 0755 };

static const char *key_hash_name(uint32_t key_hash)
{
    switch ((tarn_key_hash)key_hash) {
    case TARN_KEY_HASH_BYTES:
        return "Tarn's byte hash";
    case TARN_KEY_HASH_JAVA_STRING:
        return "Java's String hash";
    case TARN_KEY_HASH_JAVA_INT:
        return "Java's int hash";
    case TARN_KEY_HASH_JAVA_LONG:
        return "Java's long hash";
    case TARN_KEY_HASH_JAVA_BYTES:
        return "Java's byte[] hash";
    case TARN_KEY_HASH_CALLER:
        return "the caller's hash";
    }
    return "an unknown hash";
}

/* Says what the checkpoint has of the operator when it has not the subtask. */
static tarn_status refuse_absent(
    const tarn_backend *backend, const tarn_checkpoint *checkpoint, tarn_error *error)
{
    uint32_t index = 0;
    if (tarn_checkpoint_find_subtask(checkpoint, backend->operator_name, 0, &index) != TARN_OK) {
        return tarn__fail(
            error,
            TARN_INCOMPATIBLE,
            "%s has no operator \"%s\"",
            tarn_checkpoint_path(checkpoint),
            backend->operator_name);
    }
    return tarn__fail(
        error,
        TARN_INCOMPATIBLE,
        "%s has %u subtasks of \"%s\"; subtask %u of %u cannot be restored from it",
        tarn_checkpoint_path(checkpoint),
        tarn_checkpoint_subtask_at(checkpoint, index).parallelism,
        backend->operator_name,
        backend->subtask_index,
        backend->parallelism);
}

static tarn_status check_numbers(
    const tarn_backend *backend,
    const tarn_checkpoint *checkpoint,
    const char *what,
    uint32_t stored,
    uint32_t wanted,
    tarn_error *error)
{
    if (stored == wanted) {
        return TARN_OK;
    }
    return tarn__fail(
        error,
        TARN_INCOMPATIBLE,
        "%s has %s %u for operator \"%s\"; it is opened with %u",
        tarn_checkpoint_path(checkpoint),
        what,
        stored,
        backend->operator_name,
        wanted);
}

static tarn_status check_subtask(
    const tarn_backend *backend,
    const tarn_checkpoint *checkpoint,
    uint32_t index,
    tarn_error *error)
{
    const tarn_checkpoint_subtask stored = tarn_checkpoint_subtask_at(checkpoint, index);
    if (!stored.has_keyed_state) {
        return tarn__fail(
            error,
            TARN_INCOMPATIBLE,
            "operator \"%s\" has no keyed state in %s",
            backend->operator_name,
            tarn_checkpoint_path(checkpoint));
    }
    TARN_TRY(check_numbers(
        backend,
        checkpoint,
        "maximum parallelism",
        stored.max_parallelism,
        backend->max_parallelism,
        error));
    TARN_TRY(check_numbers(
        backend, checkpoint, "parallelism", stored.parallelism, backend->parallelism, error));
    if (stored.key_hash != (uint32_t)backend->key_hash) {
        return tarn__fail(
            error,
            TARN_INCOMPATIBLE,
            "%s assigns keys of \"%s\" by %s; it is opened with %s",
            tarn_checkpoint_path(checkpoint),
            backend->operator_name,
            key_hash_name(stored.key_hash),
            key_hash_name((uint32_t)backend->key_hash));
    }
    if (stored.key_groups.first != backend->key_groups.first ||
        stored.key_groups.last != backend->key_groups.last) {
        return tarn__fail(
            error,
            TARN_INCOMPATIBLE,
            "%s has the key groups %u to %u for %s/%u; it is opened with %u to %u",
            tarn_checkpoint_path(checkpoint),
            stored.key_groups.first,
            stored.key_groups.last,
            backend->operator_name,
            backend->subtask_index,
            backend->key_groups.first,
            backend->key_groups.last);
    }
    return TARN_OK;
}

tarn_status tarn__restore_run(
    tarn_backend *backend, const tarn_checkpoint *checkpoint, tarn_error *error)
{
    uint32_t index = 0;
    if (tarn_checkpoint_find_subtask(
            checkpoint, backend->operator_name, backend->subtask_index, &index) != TARN_OK) {
        return refuse_absent(backend, checkpoint, error);
    }
    TARN_TRY(check_subtask(backend, checkpoint, index, error));
    if (mkdir(backend->directory.db, DIRECTORY_MODE) != 0) {
        return tarn__fail_errno(error, errno, "cannot create %s", backend->directory.db);
    }
    const tarn__download_options options = {
        .checkpoint = checkpoint,
        .subtask = index,
        .directory = backend->directory.db,
        .account = tarn__env_account(backend->env),
        .buffers = tarn__env_transfer_account(backend->env),
        .workers = tarn__env_workers(backend->env),
        .pool = &backend->pool,
    };
    return tarn__download_run(&options, &backend->bases.completed, error);
}
