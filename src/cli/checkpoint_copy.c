/* checkpoint_copy.c - see checkpoint_copy.h. One subtask after the other, each by a backend. */
#include "checkpoint_copy.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tarn/backend.h"
#include "tarn/snapshot.h"

#include "checkpoint_facts.h"
#include "cli.h"

enum { OPEN_FILES_MAX = 16 };

/* What is open while a checkpoint is copied. */
typedef struct copier {
    tarn_checkpoint *source;
    const cli_copy *copy;
    tarn_pending_checkpoint *pending;
    tarn_buffer acknowledgement;
} copier;

static void show_progress(uint32_t index, uint32_t count)
{
    if (isatty(STDERR_FILENO) == 1) {
        fprintf(stderr, "\rsubtask %" PRIu32 " of %" PRIu32 " ", index + 1, count);
        fflush(stderr);
    }
}

static void clear_progress(void)
{
    if (isatty(STDERR_FILENO) == 1) {
        fputs("\r\033[K", stderr);
    }
}

/* A subtask without keyed state is nothing but pieces. */
static tarn_status copy_pieces(
    copier *c, uint32_t index, const tarn_checkpoint_subtask *subtask, tarn_error *error)
{
    tarn_checkpoint_operator_state *pieces =
        cli_must(calloc(subtask->operator_state_count + 1, sizeof *pieces));
    for (uint32_t i = 0; i < subtask->operator_state_count; i++) {
        pieces[i] = tarn_checkpoint_operator_state_at(c->source, index, i);
    }
    const tarn_status status = tarn_acknowledgement_encode(
        tarn_pending_checkpoint_id(c->pending),
        subtask->operator_name,
        subtask->subtask_index,
        subtask->parallelism,
        pieces,
        subtask->operator_state_count,
        &c->acknowledgement,
        error);
    free(pieces);
    return status;
}

static tarn_status take_snapshot(
    copier *c,
    uint32_t index,
    tarn_backend *backend,
    const tarn_checkpoint_subtask *subtask,
    tarn_error *error)
{
    tarn_snapshot *snapshot = NULL;
    tarn_status status = tarn_snapshot_begin(backend, c->pending, &snapshot, error);
    for (uint32_t i = 0; status == TARN_OK && i < subtask->operator_state_count; i++) {
        const tarn_checkpoint_operator_state piece =
            tarn_checkpoint_operator_state_at(c->source, index, i);
        status = tarn_snapshot_add_state(snapshot, piece.name, piece.bytes, error);
    }
    if (status != TARN_OK) {
        tarn_snapshot_abandon(snapshot);
        return status;
    }
    return tarn_snapshot_finish(snapshot, &c->acknowledgement, error);
}

static tarn_status copy_keyed(
    copier *c, uint32_t index, const tarn_checkpoint_subtask *subtask, tarn_error *error)
{
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    const uint32_t max_parallelism = c->copy->max_parallelism;
    options.env = c->copy->env;
    options.operator_name = subtask->operator_name;
    options.directory = c->copy->scratch;
    options.subtask_index = subtask->subtask_index;
    options.parallelism = subtask->parallelism;
    options.max_parallelism = max_parallelism != 0 ? max_parallelism : subtask->max_parallelism;
    options.key_hash = (tarn_key_hash)subtask->key_hash;
    options.restore = c->source;
    options.moves_keys = max_parallelism != 0;
    tarn_backend *backend = NULL;
    tarn_status status = tarn_backend_open(&options, &backend, error);
    if (status != TARN_OK) {
        return status;
    }
    status = take_snapshot(c, index, backend, subtask, error);
    const tarn_status closed = tarn_backend_close(backend, status == TARN_OK ? error : NULL);
    return status != TARN_OK ? status : closed;
}

static tarn_status copy_subtasks(copier *c, tarn_error *error)
{
    const uint32_t count = tarn_checkpoint_summarize(c->source).subtask_count;
    for (uint32_t i = 0; i < count; i++) {
        show_progress(i, count);
        const tarn_checkpoint_subtask subtask = tarn_checkpoint_subtask_at(c->source, i);
        tarn_status status = subtask.has_keyed_state ? copy_keyed(c, i, &subtask, error)
                                                     : copy_pieces(c, i, &subtask, error);
        if (status == TARN_OK) {
            status = tarn_checkpoint_acknowledge(
                c->pending, tarn_buffer_bytes(&c->acknowledgement), error);
        }
        if (status != TARN_OK) {
            return status;
        }
    }
    return TARN_OK;
}

static tarn_status write_savepoint(copier *c, cli_copy *copy, tarn_error *error)
{
    char job[CLI_NAME_BYTES];
    cli_checkpoint_job(c->source, job);
    tarn_savepoint_options options = TARN_SAVEPOINT_OPTIONS_INIT;
    options.env = c->copy->env;
    options.address = copy->to;
    options.job = job;
    options.id = tarn_checkpoint_summarize(c->source).id;
    options.form = copy->form;
    tarn_status status = tarn_savepoint_begin(&options, &c->pending, error);
    if (status != TARN_OK) {
        return status;
    }
    snprintf(copy->path, sizeof copy->path, "%s", tarn_savepoint_path(c->pending));
    status = copy_subtasks(c, error);
    clear_progress();
    if (status != TARN_OK) {
        tarn_checkpoint_abandon(c->pending);
        return status;
    }
    return tarn_checkpoint_commit(c->pending, &copy->summary, error);
}

tarn_status cli_checkpoint_copy(tarn_checkpoint *source, cli_copy *copy, tarn_error *error)
{
    copier c = {.source = source, .copy = copy};
    const tarn_status status = write_savepoint(&c, copy, error);
    tarn_buffer_clear(&c.acknowledgement);
    return status;
}

/* ---- scratch ---------------------------------------------------------------------------- */

bool cli_scratch_make(const char *parent, char path[CLI_PATH_BYTES], tarn_error *error)
{
    const char *temporary = getenv("TMPDIR");
    if (parent == NULL) {
        parent = temporary != NULL && temporary[0] != '\0' ? temporary : "/tmp";
    }
    const int size = snprintf(path, CLI_PATH_BYTES, "%s/tarn-XXXXXX", parent);
    if (size > 0 && size < CLI_PATH_BYTES && mkdtemp(path) != NULL) {
        return true;
    }
    error->status = TARN_IO_ERROR;
    snprintf(
        error->message,
        sizeof error->message,
        "cannot make a directory below %.300s: %s",
        parent,
        strerror(errno));
    return false;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

void cli_scratch_remove(const char *path)
{
    (void)nftw(path, remove_one, OPEN_FILES_MAX, FTW_DEPTH | FTW_PHYS);
}
