#include "source.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "flights/failure.h"

static const char operator_name[] = "source";

/* The position is two numbers as they lie in memory: it is read by the machine that wrote it. */
typedef struct position {
    uint64_t emitted_count;
    uint64_t offset;
} position;

static tarn_status take_position(source *s, tarn_error *error)
{
    tarn_bytes bytes;
    position found;
    if (tarn_operator_list_get(s->position, 0, &bytes) != TARN_OK) {
        return TARN_OK; /* Nothing restored. */
    }
    if (bytes.size != sizeof found) {
        return failure_set(
            error, TARN_INCOMPATIBLE, 0, "a source position has %zu bytes", bytes.size);
    }
    memcpy(&found, bytes.data, sizeof found);
    s->emitted_count = found.emitted_count;
    s->offset = found.offset;
    return TARN_OK;
}

static tarn_status open_file(source *s, tarn_error *error)
{
    s->file = fopen(s->path, "r");
    if (s->file == NULL || fseeko(s->file, (off_t)s->offset, SEEK_SET) != 0) {
        return failure_of_system(error, errno, "cannot read %s", s->path);
    }
    return TARN_OK;
}

tarn_status source_open(
    source *s,
    tarn_env *env,
    const char *path,
    uint64_t count,
    const tarn_checkpoint *restored,
    tarn_error *error)
{
    s->path = path;
    s->count = count;
    tarn_operator_store_options options = TARN_OPERATOR_STORE_OPTIONS_INIT;
    options.env = env;
    options.operator_name = operator_name;
    options.restore = restored;
    TRY(tarn_operator_store_open(&options, &s->store, error));
    tarn_operator_state_options of = TARN_OPERATOR_STATE_OPTIONS_INIT;
    of.name = "position";
    TRY(tarn_operator_list_open(s->store, &of, &s->position, error));
    TRY(take_position(s, error));
    return path != NULL ? open_file(s, error) : TARN_OK;
}

static tarn_status next_line(
    source *s, char line[RECORD_BYTES_MAX + 2], size_t *size_out, tarn_error *error)
{
    if (fgets(line, RECORD_BYTES_MAX + 2, s->file) == NULL) {
        return ferror(s->file) ? failure_of_system(error, errno, "cannot read %s", s->path)
                               : TARN_DONE;
    }
    size_t size = strlen(line);
    const bool has_end = size > 0 && line[size - 1] == '\n';
    if (size > RECORD_BYTES_MAX && !has_end) {
        return failure_set(
            error,
            TARN_INVALID_ARGUMENT,
            0,
            "line %" PRIu64 " of %s has more than %d bytes",
            s->emitted_count + 1,
            s->path,
            RECORD_BYTES_MAX);
    }
    s->offset += size;
    *size_out = size - (has_end ? 1 : 0);
    return TARN_OK;
}

tarn_status source_next(source *s, tarn_bytes *out, tarn_error *error)
{
    static char line[RECORD_BYTES_MAX + 2];
    size_t size = 0;
    if (s->path != NULL) {
        TRY(next_line(s, line, &size, error));
    } else {
        if (s->emitted_count >= s->count) {
            return TARN_DONE;
        }
        size = (size_t)snprintf(line, sizeof line, "record %" PRIu64, s->emitted_count);
    }
    s->emitted_count++;
    *out = tarn_bytes_at(line, size);
    return TARN_OK;
}

tarn_status snapshot_store(
    tarn_operator_store *store,
    uint64_t checkpoint_id,
    const char *name,
    uint32_t subtask_index,
    uint32_t parallelism,
    tarn_buffer *out,
    tarn_error *error)
{
    tarn_operator_snapshot *snapshot = NULL;
    TRY(tarn_operator_snapshot_new(store, &snapshot, error));
    uint32_t count = 0;
    const tarn_checkpoint_operator_state *parts = tarn_operator_snapshot_states(snapshot, &count);
    const tarn_status status = tarn_acknowledgement_encode(
        checkpoint_id, name, subtask_index, parallelism, parts, count, out, error);
    tarn_operator_snapshot_free(snapshot);
    return status;
}

tarn_status source_snapshot(source *s, uint64_t checkpoint_id, tarn_buffer *out, tarn_error *error)
{
    const position now = {.emitted_count = s->emitted_count, .offset = s->offset};
    const tarn_bytes element = tarn_bytes_at(&now, sizeof now);
    TRY(tarn_operator_list_replace(s->position, &element, 1, error));
    return snapshot_store(s->store, checkpoint_id, operator_name, 0, 1, out, error);
}

void source_close(source *s)
{
    if (s->file != NULL) {
        fclose(s->file);
    }
    const tarn_status status = tarn_operator_store_close(s->store, NULL);
    (void)status; /* No snapshot of it is left: it closes. */
    memset(s, 0, sizeof *s);
}
