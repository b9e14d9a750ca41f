/* canonical_restore.c - files of rows into an empty database. See canonical.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tarn/savepoint.h"

#include "snapshot/download.h"
#include "snapshot/rows.h"
#include "state/canonical.h"
#include "state/descriptors.h"

enum {
    DIRECTORY_MODE = 0755,
    RUN_BYTES = 32 << 20,      /* A run ends at the next key group, */
    RUN_BYTES_MAX = 128 << 20, /* or here. */
    BATCH_BYTES = 1 << 20,
};

bool tarn__canonical_is(const tarn_checkpoint *checkpoint)
{
    return tarn_checkpoint_summarize(checkpoint).form == TARN_FORM_CANONICAL;
}

/* What is restored from. */
typedef struct restoration {
    tarn_backend *backend;
    const tarn_checkpoint *checkpoint;
    bool moves_keys;
    uint64_t sequence; /* The greatest of the sources'. */
} restoration;

/* A file of rows being read into a family. */
typedef struct input {
    restoration *restoration;
    tarn_backend *backend;
    const tarn__file_calls *calls;
    int file;
    char path[PATH_MAX];
    tarn__rows rows;
    tarn__rocks_family *family;
    tarn__rocks_run *run; /* NULL: no row of the next run has come. */
    uint64_t run_bytes;
    uint32_t run_group;
    tarn_buffer row; /* A row of a key that moves. */
    tarn__marking marking;
    tarn__rocks_batch batch;
} input;

static void close_input(input *in)
{
    tarn__rocks_run_close(&in->run);
    tarn__rocks_batch_clear(&in->batch);
    tarn__rows_close(&in->rows);
    tarn_buffer_clear(&in->row);
    tarn_buffer_clear(&in->marking.value);
    if (in->file >= 0) {
        (void)in->calls->close(in->file, in->calls->context);
    }
}

static tarn_status read_local(
    void *context, uint64_t offset, void *into, size_t size, size_t *size_out, tarn_error *error)
{
    const input *in = context;
    return tarn__file_read(in->calls, in->file, offset, into, size, size_out, in->path, error);
}

/* Finds the family of the file's state, or makes it with its descriptor. */
static tarn_status find_family(input *in, tarn_error *error)
{
    tarn__rocks *rocks = in->backend->rocks;
    const char *name = in->rows.state.name;
    const tarn_bytes descriptor = in->rows.descriptor;
    if (strcmp(name, TARN__ROCKS_DEFAULT_FAMILY) == 0) {
        return tarn__fail(error, TARN_CORRUPTION, "%s has rows of no state", in->path);
    }
    in->family = tarn__rocks_find_family(rocks, name);
    if (in->family == NULL) {
        TARN_TRY(tarn__rocks_create_family(rocks, name, in->backend->settings, &in->family, error));
    }
    uint8_t generations[256];
    TARN_TRY(tarn__descriptor_take(in->backend, name, descriptor, generations, error));
    tarn__marking_begin(
        &in->marking,
        in->backend,
        (in->rows.state.descriptor.flags & TARN__STATE_VERSIONED) != 0,
        generations);
    return TARN_OK;
}

/* ---- rows ------------------------------------------------------------------------------- */

static tarn_status end_run(input *in, tarn_error *error)
{
    if (in->run == NULL) {
        return TARN_OK;
    }
    const tarn_status status = tarn__rocks_run_finish(in->run, error);
    tarn__rocks_run_close(&in->run);
    in->run_bytes = 0;
    return status;
}

/* Tables are cut where key groups begin, so that a rescale takes whole ones over. */
static tarn_status add_to_run(input *in, tarn_bytes key, tarn_bytes value, tarn_error *error)
{
    const uint8_t *data = key.data;
    const uint32_t group = (uint32_t)data[0] << 8 | data[1];
    if (in->run_bytes >= RUN_BYTES_MAX || (in->run_bytes >= RUN_BYTES && group != in->run_group)) {
        TARN_TRY(end_run(in, error));
    }
    if (in->run == NULL) {
        TARN_TRY(tarn__rocks_run_open(in->family, &in->run, error));
    }
    in->run_group = group;
    in->run_bytes += key.size + value.size;
    return tarn__rocks_run_put(in->run, key, value, error);
}

/* Only the group changes: the rest of a row does not depend on it. */
static tarn_status add_moved(input *in, tarn_bytes row, tarn_bytes value, tarn_error *error)
{
    tarn_backend *backend = in->backend;
    tarn_bytes key = {.size = 0};
    uint32_t group = 0;
    (void)tarn__rows_key_of(&in->rows.state, row, &key); /* It was looked at before. */
    TARN_TRY(tarn__backend_group_of(backend, key, &group, error));
    if (group < backend->key_groups.first || group > backend->key_groups.last) {
        return TARN_OK;
    }
    if (tarn_buffer_assign(&in->row, row) != TARN_OK) {
        return tarn__fail_no_memory(error, "a row", row.size);
    }
    tarn__row_encode_group(in->row.data, group);
    tarn__rocks_batch_put(&in->batch, in->family, tarn_buffer_bytes(&in->row), value);
    return in->batch.bytes < BATCH_BYTES
               ? TARN_OK
               : tarn__rocks_batch_write(backend->rocks, &in->batch, error);
}

static tarn_status take_rows(input *in, tarn_error *error)
{
    tarn_bytes key;
    tarn_bytes value;
    tarn_status status = TARN_OK;
    while ((status = tarn__rows_next(&in->rows, &key, &value, error)) == TARN_OK) {
        TARN_TRY(tarn__marking_apply(&in->marking, &value, error));
        TARN_TRY(
            in->restoration->moves_keys ? add_moved(in, key, value, error)
                                        : add_to_run(in, key, value, error));
    }
    if (status != TARN_DONE) {
        return status;
    }
    TARN_TRY(end_run(in, error));
    return in->batch.bytes > 0 ? tarn__rocks_batch_write(in->backend->rocks, &in->batch, error)
                               : TARN_OK;
}

/* ---- files ------------------------------------------------------------------------------ */

static tarn_status read_file(
    restoration *r, const tarn__subtask *source, const tarn__file_part *file, tarn_error *error)
{
    tarn_backend *backend = r->backend;
    const tarn_allocator *allocator = &backend->account->face;
    TARN_AUTO(close_input)
    input in = {
        .restoration = r,
        .backend = backend,
        .calls = tarn__file_calls_system(),
        .file = -1,
        .row = {.allocator = allocator},
    };
    tarn__rocks_batch_init(&in.batch);
    const int size =
        snprintf(in.path, sizeof in.path, "%s/%s", backend->directory.links, file->local_name);
    if (size < 0 || (size_t)size >= sizeof in.path) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "the path %.200s... is too long", in.path);
    }
    TARN_TRY(tarn__file_open(in.calls, AT_FDCWD, in.path, O_RDONLY, in.path, &in.file, error));
    const tarn_key_group_range all = {.first = 0, .last = (uint16_t)(source->max_parallelism - 1)};
    const tarn__rows_options options = {
        .subtask = source,
        .file = file,
        .place = tarn_checkpoint_path(r->checkpoint),
        .read = read_local,
        .context = &in,
        .wanted = r->moves_keys ? all : backend->key_groups,
        .account = backend->account,
    };
    TARN_TRY(tarn__rows_open(&in.rows, &options, error));
    r->sequence = in.rows.sequence > r->sequence ? in.rows.sequence : r->sequence;
    TARN_TRY(find_family(&in, error));
    return take_rows(&in, error);
}

static tarn_status download(restoration *r, uint32_t index, tarn_error *error)
{
    tarn_backend *backend = r->backend;
    const char *directory = backend->directory.links;
    TARN_TRY(tarn__directory_remove(directory, error));
    if (mkdir(directory, DIRECTORY_MODE) != 0) {
        return tarn__fail_errno(error, errno, "cannot create %s", directory);
    }
    const tarn__download_options options = {
        .checkpoint = r->checkpoint,
        .subtask = index,
        .directory = directory,
        .account = tarn__env_account(backend->env),
        .buffers = tarn__env_transfer_account(backend->env),
        .workers = tarn__env_workers(backend->env),
    };
    return tarn__download_run(&options, NULL, error);
}

/* One subtask after the other, so that the directory holds the files of one at a time. */
static tarn_status take_subtask(restoration *r, uint32_t index, tarn_error *error)
{
    const tarn__subtask *source = &r->checkpoint->metadata.subtasks[index];
    TARN_TRY(download(r, index, error));
    for (uint32_t i = 0; i < source->file_count; i++) {
        TARN_TRY(read_file(r, source, &source->files[i], error));
    }
    return tarn__directory_remove(r->backend->directory.links, error);
}

static tarn_status check_source(
    const restoration *r, const tarn__subtask *source, tarn_error *error)
{
    const tarn_backend *backend = r->backend;
    const bool is_same_shape = r->moves_keys || source->max_parallelism == backend->max_parallelism;
    if (!source->has_keyed_state || !is_same_shape ||
        source->key_hash != (uint32_t)backend->key_hash) {
        return tarn__fail(
            error,
            TARN_INCOMPATIBLE,
            "%s has operator \"%s\" with %s, maximum parallelism %" PRIu32 ", %s; it is "
            "opened with maximum parallelism %" PRIu32 ", %s",
            tarn_checkpoint_path(r->checkpoint),
            backend->operator_name,
            source->has_keyed_state ? "keyed state" : "no keyed state",
            source->max_parallelism,
            tarn__key_hash_name(source->key_hash),
            backend->max_parallelism,
            tarn__key_hash_name((uint32_t)backend->key_hash));
    }
    return TARN_OK;
}

static bool overlaps(const restoration *r, const tarn__subtask *source)
{
    const tarn_key_group_range groups = r->backend->key_groups;
    return r->moves_keys ||
           (source->key_groups.first <= groups.last && source->key_groups.last >= groups.first);
}

tarn_status tarn__canonical_restore(
    tarn_backend *backend, const tarn_checkpoint *checkpoint, bool moves_keys, tarn_error *error)
{
    restoration r = {.backend = backend, .checkpoint = checkpoint};
    const tarn__metadata *metadata = &checkpoint->metadata;
    bool is_found = false;
    for (uint32_t i = 0; i < metadata->subtask_count; i++) {
        const tarn__subtask *source = &metadata->subtasks[i];
        if (strcmp(source->operator_name, backend->operator_name) != 0) {
            continue;
        }
        is_found = true;
        r.moves_keys = moves_keys && source->max_parallelism != backend->max_parallelism;
        TARN_TRY(check_source(&r, source, error));
        if (overlaps(&r, source)) {
            TARN_TRY(take_subtask(&r, i, error));
        }
    }
    if (!is_found) {
        return tarn__fail(
            error,
            TARN_INCOMPATIBLE,
            "%s has no operator \"%s\"",
            tarn_checkpoint_path(checkpoint),
            backend->operator_name);
    }
    return r.sequence > 0 ? tarn__backend_raise_sequence(backend, r.sequence, error) : TARN_OK;
}
