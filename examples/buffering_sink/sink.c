#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "flights/failure.h"

static const char operator_name[] = "sink";

/* A file as the written list has it, as it lies in memory. */
typedef struct file_length {
    uint64_t index;
    uint64_t length;
} file_length;

static void path_of(const sink *s, uint32_t index, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%.*s/part-%u.txt", PATH_MAX - 64, s->options->out, index);
}

static tarn_status fail_write(const sink *s, tarn_error *error)
{
    return failure_of_system(error, errno, "cannot write %s", s->path);
}

/* ---- records ----------------------------------------------------------------------------- */

static tarn_status flush(sink *s, tarn_error *error)
{
    tarn_bytes record;
    for (uint64_t i = 0; tarn_operator_list_get(s->buffered, i, &record) == TARN_OK; i++) {
        if (fwrite(record.data, 1, record.size, s->file) != record.size ||
            putc('\n', s->file) == EOF) {
            return fail_write(s, error);
        }
        s->flushed_count++;
    }
    tarn_operator_list_clear(s->buffered);
    return TARN_OK;
}

static tarn_status take(sink *s, tarn_bytes record, tarn_error *error)
{
    TRY(tarn_operator_list_add(s->buffered, record, error));
    const bool is_enough = tarn_operator_list_count(s->buffered) >= s->options->threshold;
    return is_enough ? flush(s, error) : TARN_OK;
}

static tarn_status work_off_queue(sink *s, tarn_error *error)
{
    for (uint32_t i = 0; i < s->queue_count; i++) {
        TRY(take(s, tarn_bytes_at(s->queue[i], s->queue_sizes[i]), error));
    }
    s->queue_count = 0;
    return TARN_OK;
}

tarn_status sink_put(sink *s, tarn_bytes record, tarn_error *error)
{
    if (s->queue_count == QUEUE_RECORDS) {
        TRY(work_off_queue(s, error));
    }
    memcpy(s->queue[s->queue_count], record.data, record.size);
    s->queue_sizes[s->queue_count++] = record.size;
    return TARN_OK;
}

/* ---- restoring --------------------------------------------------------------------------- */

static tarn_status read_lengths(sink *s, tarn_error *error)
{
    tarn_bytes bytes;
    for (uint64_t i = 0; tarn_operator_list_get(s->written, i, &bytes) == TARN_OK; i++) {
        file_length file;
        if (bytes.size != sizeof file) {
            return failure_set(
                error, TARN_INCOMPATIBLE, 0, "a file length has %zu bytes", bytes.size);
        }
        memcpy(&file, bytes.data, sizeof file);
        if (file.index >= SINKS_MAX) {
            return failure_set(
                error, TARN_INCOMPATIBLE, 0, "there is no sink %" PRIu64, file.index);
        }
        s->is_listed[file.index] = true;
        s->lengths[file.index] = file.length;
    }
    return TARN_OK;
}

/* Cuts a file back to where it was at the barrier; one that was not there then goes. */
static tarn_status rewind_file(const sink *s, uint32_t index, tarn_error *error)
{
    char path[PATH_MAX];
    path_of(s, index, path);
    if (!s->is_listed[index]) {
        if (unlink(path) != 0 && errno != ENOENT) {
            return failure_of_system(error, errno, "cannot delete %s", path);
        }
        return TARN_OK;
    }
    const uint64_t length = s->lengths[index];
    FILE *file = fopen(path, "r");
    if (file == NULL && errno == ENOENT && length == 0) {
        return TARN_OK;
    }
    if (file == NULL || fseeko(file, 0, SEEK_END) != 0) {
        const int code = errno;
        if (file != NULL) {
            fclose(file);
        }
        return failure_of_system(error, code, "cannot read %s", path);
    }
    const uint64_t found = (uint64_t)ftello(file);
    fclose(file);
    if (found < length) {
        return failure_set(
            error,
            TARN_CORRUPTION,
            0,
            "%s has %" PRIu64 " bytes, at the checkpoint it had %" PRIu64,
            path,
            found,
            length);
    }
    return truncate(path, (off_t)length) == 0
               ? TARN_OK
               : failure_of_system(error, errno, "cannot cut %s", path);
}

/* Each sink sees to its own file, the first one to those of sinks that are no more. */
static tarn_status rewind_files(const sink *s, tarn_error *error)
{
    TRY(rewind_file(s, s->index, error));
    for (uint32_t i = s->options->parallelism; s->index == 0 && i < SINKS_MAX; i++) {
        TRY(rewind_file(s, i, error));
    }
    return TARN_OK;
}

/* At least once: all that was written stays, but for a record that a kill tore apart. */
static tarn_status cut_torn_record(const sink *s, tarn_error *error)
{
    FILE *file = fopen(s->path, "r");
    if (file == NULL) {
        return errno == ENOENT ? TARN_OK : fail_write(s, error);
    }
    off_t at = fseeko(file, 0, SEEK_END) == 0 ? ftello(file) : 0;
    while (at > 0 && fseeko(file, at - 1, SEEK_SET) == 0 && getc(file) != '\n') {
        at--;
    }
    fclose(file);
    return truncate(s->path, at) == 0 ? TARN_OK : fail_write(s, error);
}

/* Opens the file for what is to come, and makes its name durable. */
static tarn_status open_file(sink *s, tarn_error *error)
{
    s->file = fopen(s->path, "a");
    const int directory = open(s->options->out, O_RDONLY | O_DIRECTORY);
    const bool is_durable = directory >= 0 && fsync(directory) == 0;
    const int code = errno;
    if (directory >= 0) {
        close(directory);
    }
    return s->file != NULL && is_durable
               ? TARN_OK
               : failure_of_system(error, code, "cannot open %s", s->path);
}

/* What a barrier had overtaken comes before anything new. */
static tarn_status take_in_flight(sink *s, tarn_error *error)
{
    tarn_bytes record;
    s->restored_count =
        tarn_operator_list_count(s->buffered) + tarn_operator_list_count(s->in_flight);
    for (uint64_t i = 0; tarn_operator_list_get(s->in_flight, i, &record) == TARN_OK; i++) {
        TRY(take(s, record, error));
    }
    tarn_operator_list_clear(s->in_flight);
    return TARN_OK;
}

static tarn_status open_list(
    const sink *s,
    const char *name,
    tarn_redistribution redistribution,
    tarn_operator_list **out,
    tarn_error *error)
{
    tarn_operator_state_options of = TARN_OPERATOR_STATE_OPTIONS_INIT;
    of.name = name;
    of.redistribution = redistribution;
    return tarn_operator_list_open(s->store, &of, out, error);
}

static tarn_status open_states(
    sink *s, tarn_env *env, const tarn_checkpoint *restored, tarn_error *error)
{
    tarn_operator_store_options of = TARN_OPERATOR_STORE_OPTIONS_INIT;
    of.env = env;
    of.operator_name = operator_name;
    of.subtask_index = s->index;
    of.parallelism = s->options->parallelism;
    of.restore = restored;
    TRY(tarn_operator_store_open(&of, &s->store, error));
    TRY(open_list(s, "buffered", TARN_REDISTRIBUTE_SPLIT, &s->buffered, error));
    TRY(open_list(s, "in flight", TARN_REDISTRIBUTE_SPLIT, &s->in_flight, error));
    TRY(open_list(s, "written", TARN_REDISTRIBUTE_UNION, &s->written, error));
    return read_lengths(s, error);
}

tarn_status sink_open(
    sink *s,
    tarn_env *env,
    const options *o,
    uint32_t index,
    bool is_exactly_once,
    const tarn_checkpoint *restored,
    tarn_error *error)
{
    s->options = o;
    s->index = index;
    path_of(s, index, s->path);
    TRY(open_states(s, env, restored, error));
    TRY(is_exactly_once || restored == NULL ? rewind_files(s, error) : cut_torn_record(s, error));
    TRY(open_file(s, error));
    return take_in_flight(s, error);
}

/* ---- checkpoints ------------------------------------------------------------------------- */

static tarn_status set_in_flight(sink *s, tarn_error *error)
{
    tarn_bytes records[QUEUE_RECORDS];
    for (uint32_t i = 0; i < s->queue_count; i++) {
        records[i] = tarn_bytes_at(s->queue[i], s->queue_sizes[i]);
    }
    s->overtaken_count += s->queue_count;
    return tarn_operator_list_replace(s->in_flight, records, s->queue_count, error);
}

/* Notes the file's length, once its content is on the disk. */
static tarn_status set_written(sink *s, tarn_error *error)
{
    if (fflush(s->file) != 0 || fsync(fileno(s->file)) != 0) {
        return fail_write(s, error);
    }
    s->is_listed[s->index] = true;
    s->lengths[s->index] = (uint64_t)ftello(s->file);
    file_length files[SINKS_MAX];
    tarn_bytes elements[SINKS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < SINKS_MAX; i++) {
        const bool is_orphan = s->index == 0 && i >= s->options->parallelism;
        if (s->is_listed[i] && (i == s->index || is_orphan)) {
            files[count] = (file_length){.index = i, .length = s->lengths[i]};
            elements[count] = tarn_bytes_at(&files[count], sizeof files[count]);
            count++;
        }
    }
    return tarn_operator_list_replace(s->written, elements, count, error);
}

tarn_status sink_snapshot(
    sink *s, uint64_t checkpoint_id, bool is_unaligned, tarn_buffer *out, tarn_error *error)
{
    if (is_unaligned) {
        TRY(set_in_flight(s, error));
    } else {
        tarn_operator_list_clear(s->in_flight);
        TRY(work_off_queue(s, error));
    }
    TRY(set_written(s, error));
    return snapshot_store(
        s->store, checkpoint_id, operator_name, s->index, s->options->parallelism, out, error);
}

tarn_status sink_finish(sink *s, tarn_error *error)
{
    TRY(work_off_queue(s, error));
    TRY(flush(s, error));
    return fflush(s->file) == 0 && fsync(fileno(s->file)) == 0 ? TARN_OK : fail_write(s, error);
}

void sink_close(sink *s)
{
    if (s->file != NULL) {
        fclose(s->file);
    }
    const tarn_status status = tarn_operator_store_close(s->store, NULL);
    (void)status; /* No snapshot of it is left: it closes. */
    s->file = NULL;
    s->store = NULL;
}
