/* canonical_restore.c - files of rows into an empty database. See canonical.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/canonical.h"
#include "snapshot/download.h"
#include "state/canonical.h"

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

/* ---- one file --------------------------------------------------------------------------- */

/* A file of rows being read into a family. */
typedef struct input {
    tarn_backend *backend;
    const tarn__subtask *source;
    bool moves_keys;
    const tarn__file_calls *calls;
    int file;
    char path[PATH_MAX];
    uint64_t offset;
    uint64_t rows_total;
    uint64_t frames_total;
    tarn_buffer bytes; /* As they lie in the file. */
    tarn_buffer raw;
    tarn__rocks_family *family;
    tarn__row_layout layout;
    bool is_timers;
    tarn__rocks_run *run; /* NULL: no row of the next run has come. */
    uint64_t run_bytes;
    uint32_t run_group;
    tarn_buffer row; /* A row of a key that moves. */
    tarn__rocks_batch batch;
} input;

static void close_input(input *in)
{
    tarn__rocks_run_close(&in->run);
    tarn__rocks_batch_clear(&in->batch);
    tarn_buffer_clear(&in->bytes);
    tarn_buffer_clear(&in->raw);
    tarn_buffer_clear(&in->row);
    if (in->file >= 0) {
        (void)in->calls->close(in->file, in->calls->context);
    }
}

/* Appends the next size bytes of the file to in->bytes. */
static tarn_status read_on(input *in, size_t size, tarn_error *error)
{
    tarn_buffer *bytes = &in->bytes;
    if (tarn_buffer_reserve(bytes, bytes->size + size) != TARN_OK) {
        return tarn__fail_no_memory(error, "a frame of rows", size);
    }
    size_t got = 0;
    TARN_TRY(tarn__file_read(
        in->calls, in->file, in->offset, bytes->data + bytes->size, size, &got, in->path, error));
    if (got < size) {
        return tarn__fail(error, TARN_CORRUPTION, "the file ends early");
    }
    bytes->size += size;
    in->offset += size;
    return TARN_OK;
}

static tarn_status check_header(
    const input *in, const tarn__canonical_header *header, tarn_error *error)
{
    const tarn__subtask *source = in->source;
    if (header->key_groups.first != source->key_groups.first ||
        header->key_groups.last != source->key_groups.last ||
        header->max_parallelism != source->max_parallelism ||
        header->key_hash != source->key_hash) {
        return tarn__fail(
            error, TARN_CORRUPTION, "it is of another subtask than the metadata says");
    }
    return TARN_OK;
}

/* Finds the family of the header's state, or makes it with its descriptor. */
static tarn_status find_family(input *in, const tarn__canonical_header *header, tarn_error *error)
{
    tarn__rocks *rocks = in->backend->rocks;
    tarn__descriptor descriptor;
    char name[TARN__ROCKS_NAME_BYTES_MAX + 1];
    if (header->name_size >= sizeof name) {
        return tarn__fail(error, TARN_CORRUPTION, "the name of its state is too long");
    }
    memcpy(name, header->name, header->name_size);
    name[header->name_size] = '\0';
    const tarn__descriptor_outcome outcome =
        tarn__descriptor_decode(header->descriptor, &descriptor);
    if (outcome != TARN__DESCRIPTOR_OK || strcmp(name, TARN__ROCKS_DEFAULT_FAMILY) == 0) {
        return tarn__fail(
            error,
            outcome == TARN__DESCRIPTOR_NEWER ? TARN_NOT_SUPPORTED : TARN_CORRUPTION,
            "the descriptor of state \"%s\" is %s",
            name,
            outcome == TARN__DESCRIPTOR_NEWER ? "of a newer version" : "damaged");
    }
    in->is_timers = descriptor.kind == TARN__STATE_TIMERS;
    in->layout = (descriptor.flags & TARN__STATE_NAMESPACE_FIRST) != 0 ? TARN__ROW_NAMESPACE_FIRST
                                                                       : TARN__ROW_KEY_FIRST;
    in->family = tarn__rocks_find_family(rocks, name);
    if (in->family == NULL) {
        TARN_TRY(tarn__rocks_create_family(rocks, name, in->backend->settings, &in->family, error));
        return tarn__rocks_put(
            tarn__rocks_default_family(rocks), tarn_bytes_of(name), header->descriptor, error);
    }
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {NULL};
    tarn_bytes stored;
    TARN_TRY(tarn__rocks_get(
        tarn__rocks_default_family(rocks), tarn_bytes_of(name), &pin, &stored, error));
    return tarn_bytes_is_equal(stored, header->descriptor)
               ? TARN_OK
               : tarn__fail(
                     error,
                     TARN_INCOMPATIBLE,
                     "state \"%s\" is another one than in the subtasks before",
                     name);
}

static tarn_status read_header(input *in, uint64_t *sequence, tarn_error *error)
{
    size_t behind = 0;
    tarn__canonical_header header;
    in->bytes.size = 0;
    TARN_TRY(read_on(in, TARN__CANONICAL_PREFIX_BYTES, error));
    TARN_TRY(tarn__canonical_decode_prefix(in->bytes.data, &behind, error));
    TARN_TRY(read_on(in, behind, error));
    TARN_TRY(tarn__canonical_decode_header(tarn_buffer_bytes(&in->bytes), &header, error));
    TARN_TRY(check_header(in, &header, error));
    *sequence = header.sequence > *sequence ? header.sequence : *sequence;
    return find_family(in, &header, error);
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

/* The key of a row, wherever the layout has it. */
static bool key_of(const input *in, tarn_bytes row, tarn_bytes *out)
{
    enum { TIME_BYTES = 8 };
    if (in->is_timers) {
        const size_t head = TARN__ROW_GROUP_BYTES + TIME_BYTES;
        tarn_bytes name_space;
        return row.size > head &&
               tarn__row_decode_tail(
                   tarn_bytes_at((const uint8_t *)row.data + head, row.size - head),
                   out,
                   &name_space);
    }
    tarn__row decoded;
    if (!tarn__row_decode_as(row, in->layout, &decoded)) {
        return false;
    }
    *out = decoded.key;
    return true;
}

/* Only the group changes: the rest of a row does not depend on it. */
static tarn_status add_moved(input *in, tarn_bytes row, tarn_bytes value, tarn_error *error)
{
    tarn_backend *backend = in->backend;
    tarn_bytes key;
    uint32_t group = 0;
    if (!key_of(in, row, &key)) {
        return tarn__fail(error, TARN_CORRUPTION, "a row is none of its state's");
    }
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

static tarn_status take_row(input *in, tarn_bytes key, tarn_bytes value, tarn_error *error)
{
    const uint8_t *data = key.data;
    const uint32_t group = (uint32_t)data[0] << 8 | data[1];
    if (in->moves_keys) {
        return add_moved(in, key, value, error);
    }
    if (group < in->backend->key_groups.first || group > in->backend->key_groups.last) {
        return TARN_OK;
    }
    return add_to_run(in, key, value, error);
}

static tarn_status take_frame(input *in, const tarn__canonical_head *head, tarn_error *error)
{
    TARN_TRY(tarn__canonical_open_frame(head, tarn_buffer_bytes(&in->bytes), &in->raw, error));
    tarn__canonical_cursor cursor = {.head = head, .raw = tarn_buffer_bytes(&in->raw)};
    tarn_bytes key;
    tarn_bytes value;
    tarn_status status = TARN_OK;
    while ((status = tarn__canonical_next(&cursor, &key, &value, error)) == TARN_OK) {
        TARN_TRY(take_row(in, key, value, error));
    }
    return status == TARN_DONE ? TARN_OK : status;
}

static bool is_wanted(const input *in, const tarn__canonical_head *head)
{
    return in->moves_keys || (head->first_group <= in->backend->key_groups.last &&
                              head->last_group >= in->backend->key_groups.first);
}

static tarn_status read_frames(input *in, tarn_error *error)
{
    for (;;) {
        tarn__canonical_head head;
        in->bytes.size = 0;
        TARN_TRY(read_on(in, TARN__CANONICAL_HEAD_BYTES, error));
        TARN_TRY(tarn__canonical_decode_head(in->bytes.data, &head, error));
        if (head.stored_size == 0) {
            TARN_TRY(read_on(in, TARN__CANONICAL_END_BYTES, error));
            return tarn__canonical_check_end(
                tarn_buffer_bytes(&in->bytes), in->rows_total, in->frames_total, error);
        }
        in->rows_total += head.row_count;
        in->frames_total++;
        if (is_wanted(in, &head)) {
            TARN_TRY(read_on(in, head.stored_size, error));
            TARN_TRY(take_frame(in, &head, error));
        } else {
            in->offset += head.stored_size;
        }
    }
}

static tarn_status read_file(
    input *in, const char *directory, const char *name, uint64_t *sequence, tarn_error *error)
{
    const int size = snprintf(in->path, sizeof in->path, "%s/%s", directory, name);
    if (size < 0 || (size_t)size >= sizeof in->path) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "the path %.200s... is too long", in->path);
    }
    TARN_TRY(tarn__file_open(in->calls, AT_FDCWD, in->path, O_RDONLY, in->path, &in->file, error));
    TARN_TRY(read_header(in, sequence, error));
    TARN_TRY(read_frames(in, error));
    TARN_TRY(end_run(in, error));
    return in->batch.bytes > 0 ? tarn__rocks_batch_write(in->backend->rocks, &in->batch, error)
                               : TARN_OK;
}

/* ---- subtasks --------------------------------------------------------------------------- */

/* What is restored from. */
typedef struct restoration {
    tarn_backend *backend;
    const tarn_checkpoint *checkpoint;
    bool moves_keys;
    uint64_t sequence; /* The greatest of the sources'. */
} restoration;

static tarn_status read_subtask(restoration *r, const tarn__subtask *source, tarn_error *error)
{
    for (uint32_t i = 0; i < source->file_count; i++) {
        const tarn__file_part *file = &source->files[i];
        TARN_AUTO(close_input)
        input in = {
            .backend = r->backend,
            .source = source,
            .moves_keys = r->moves_keys,
            .calls = tarn__file_calls_system(),
            .file = -1,
            .bytes = {.allocator = &r->backend->account->face},
            .raw = {.allocator = &r->backend->account->face},
            .row = {.allocator = &r->backend->account->face},
        };
        tarn__rocks_batch_init(&in.batch);
        const tarn_status status =
            read_file(&in, r->backend->directory.links, file->local_name, &r->sequence, error);
        if (status != TARN_OK) {
            tarn__error_prefix(
                error,
                "%.200s/%.200s, byte %" PRIu64,
                tarn_checkpoint_path(r->checkpoint),
                file->path,
                in.offset);
            return status;
        }
    }
    return TARN_OK;
}

static tarn_status fetch_subtask(restoration *r, uint32_t index, tarn_error *error)
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
    tarn_status status = tarn__download_run(&options, NULL, error);
    if (status == TARN_OK) {
        status = read_subtask(r, &r->checkpoint->metadata.subtasks[index], error);
    }
    if (tarn__directory_remove(directory, status == TARN_OK ? error : NULL) != TARN_OK) {
        return status == TARN_OK ? TARN_IO_ERROR : status;
    }
    return status;
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
            "%s has operator \"%s\" with %s, maximum parallelism %" PRIu32 ", key hash %" PRIu32
            "; it is opened with maximum parallelism %" PRIu32 ", key hash %" PRIu32,
            tarn_checkpoint_path(r->checkpoint),
            backend->operator_name,
            source->has_keyed_state ? "keyed state" : "no keyed state",
            source->max_parallelism,
            source->key_hash,
            backend->max_parallelism,
            (uint32_t)backend->key_hash);
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
            TARN_TRY(fetch_subtask(&r, i, error));
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
