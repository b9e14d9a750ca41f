/* download.c - see download.h. */
#include "snapshot/download.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "base/try.h"
#include "snapshot/transfer.h"

typedef struct download {
    const tarn__download_options *options;
    const tarn__file_calls *calls;
    const tarn__subtask *subtask;
    tarn__arena arena;
    tarn__base_file *known; /* [file_count]; name NULL until the file is there. */
    bool *is_written;       /* [file_count]; to be taken away after a failure. */
} download;

/* A local file being written. */
typedef struct target {
    download *download;
    int file;
    char path[PATH_MAX];
} target;

static void close_target(target *t)
{
    if (t->file >= 0) {
        (void)t->download->calls->close(t->file, t->download->calls->context);
    }
}

static tarn_status check_uncancelled(const download *d, tarn_error *error)
{
    const atomic_bool *is_cancelled = d->options->is_cancelled;
    if (is_cancelled != NULL && atomic_load_explicit(is_cancelled, memory_order_relaxed)) {
        return tarn__fail(
            error, TARN_ABANDONED, "the download to %s was cancelled", d->options->directory);
    }
    return TARN_OK;
}

static tarn_status name_target(
    const download *d, const char *name, char path[PATH_MAX], tarn_error *error)
{
    const int size = snprintf(path, PATH_MAX, "%s/%s", d->options->directory, name);
    return size > 0 && size < PATH_MAX ? TARN_OK
                                       : tarn__fail(
                                             error,
                                             TARN_INVALID_ARGUMENT,
                                             "the path %.200s... is too long",
                                             d->options->directory);
}

static tarn_status take(tarn_bytes part, void *context, tarn_error *error)
{
    target *t = context;
    TARN_TRY(check_uncancelled(t->download, error));
    TARN_TRY(tarn__file_write(t->download->calls, t->file, part, t->path, error));
    if (t->download->options->progress != NULL) {
        atomic_fetch_add(&t->download->options->progress->bytes, part.size);
    }
    return TARN_OK;
}

static tarn_status close_checked(target *t, tarn_error *error)
{
    const tarn__file_calls *calls = t->download->calls;
    const int file = t->file;
    t->file = -1;
    return calls->close(file, calls->context) == 0 || errno == EINTR
               ? TARN_OK
               : tarn__fail_errno(error, errno, "cannot close %s", t->path);
}

/* A file that the pool gave: it is identified as one that was downloaded. */
static tarn_status accept_item(download *d, uint32_t item, target *t, tarn_error *error)
{
    const tarn__file_part *part = &d->subtask->files[item];
    tarn__base_file *known = &d->known[item];
    d->is_written[item] = true;
    TARN_TRY(tarn__file_open(d->calls, AT_FDCWD, t->path, O_RDONLY, t->path, &t->file, error));
    TARN_TRY(tarn__local_identify(d->calls, t->file, t->path, &known->identity, error));
    TARN_TRY(close_checked(t, error));
    known->name = part->local_name;
    known->digest = part->content.digest;
    return TARN_OK;
}

static bool take_from_pool(
    const download *d, const tarn__file_part *part, const char *path, uint8_t *buffer)
{
    return d->options->pool != NULL && tarn__pool_take(
                                           d->options->pool,
                                           &part->content,
                                           part->is_shared,
                                           path,
                                           buffer,
                                           TARN__TRANSFER_BUFFER_BYTES);
}

static tarn_status download_item(void *context, uint32_t item, uint8_t *buffer, tarn_error *error)
{
    download *d = context;
    const tarn__file_part *part = &d->subtask->files[item];
    if (d->options->is_wanted != NULL &&
        !d->options->is_wanted(part, d->options->is_wanted_context)) {
        return TARN_OK;
    }
    TARN_TRY(check_uncancelled(d, error));
    TARN_AUTO(close_target) target t = {.download = d, .file = -1};
    TARN_TRY(name_target(d, part->local_name, t.path, error));
    if (take_from_pool(d, part, t.path, buffer)) {
        return accept_item(d, item, &t, error);
    }
    TARN_TRY(tarn__file_open(
        d->calls, AT_FDCWD, t.path, O_WRONLY | O_CREAT | O_EXCL, t.path, &t.file, error));
    d->is_written[item] = true;
    TARN_TRY(tarn__checkpoint_read_file(
        d->options->checkpoint->storage,
        part,
        buffer,
        TARN__TRANSFER_BUFFER_BYTES,
        take,
        &t,
        error));
    tarn__base_file *known = &d->known[item];
    TARN_TRY(tarn__local_identify(d->calls, t.file, t.path, &known->identity, error));
    TARN_TRY(close_checked(&t, error));
    known->name = part->local_name;
    known->digest = part->content.digest;
    if (d->options->progress != NULL) {
        atomic_fetch_add(&d->options->progress->file_count, 1);
    }
    return TARN_OK;
}

static void take_away(const download *d)
{
    for (uint32_t i = 0; i < d->subtask->file_count; i++) {
        char path[PATH_MAX];
        if (d->is_written[i] &&
            name_target(d, d->subtask->files[i].local_name, path, NULL) == TARN_OK) {
            (void)d->calls->unlink_at(AT_FDCWD, path, 0, d->calls->context);
        }
    }
}

static tarn_status transfer_all(download *d, tarn_error *error)
{
    const tarn__download_options *options = d->options;
    uint8_t *buffer = NULL;
    TARN_TRY(tarn__transfer_buffer_new(options->buffers, &buffer, error));
    const tarn__transfer_options transfer = {
        .account = options->account,
        .buffers = options->buffers,
        .workers = options->workers,
        .parallelism_max = options->parallelism_max,
        .item_count = d->subtask->file_count,
        .item = download_item,
        .context = d,
        .buffer = buffer,
    };
    const tarn_status status = tarn__transfer_run(&transfer, error);
    tarn__release(buffer);
    return status;
}

/* Only what is shared is worth knowing: private files are sent with every snapshot. */
static tarn_status make_base(download *d, tarn__base **out, tarn_error *error)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < d->subtask->file_count; i++) {
        if (d->subtask->files[i].is_shared && d->known[i].name != NULL) {
            d->known[count++] = d->known[i];
        }
    }
    return tarn__base_new(d->options->account, d->known, count, out, error);
}

tarn_status tarn__download_run(
    const tarn__download_options *options, tarn__base **base_out, tarn_error *error)
{
    const tarn__metadata *metadata = &options->checkpoint->metadata;
    assert(options->subtask < metadata->subtask_count);
    download d = {
        .options = options,
        .calls = options->calls != NULL ? options->calls : tarn__file_calls_system(),
        .subtask = &metadata->subtasks[options->subtask],
    };
    tarn__arena_init(&d.arena, options->account);
    d.known = tarn__arena_allocate(&d.arena, d.subtask->file_count, sizeof *d.known);
    d.is_written = tarn__arena_allocate(&d.arena, d.subtask->file_count, sizeof *d.is_written);
    tarn_status status = TARN_OK;
    if (d.known == NULL || d.is_written == NULL) {
        status = tarn__fail_no_memory(
            error, "the files of a subtask", d.subtask->file_count * sizeof *d.known);
    }
    if (status == TARN_OK) {
        status = transfer_all(&d, error);
        if (status == TARN_OK && base_out != NULL) {
            status = make_base(&d, base_out, error);
        }
        if (status != TARN_OK) {
            take_away(&d);
        }
    }
    tarn__arena_clear(&d.arena);
    return status;
}
