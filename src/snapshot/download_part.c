/*
 * download_part.c - table files of which some rows are wanted: see table_part.h.
 *
 *     linked   the whole file is there; its wanted blocks are read and compared
 *     copied   the wanted blocks and the tail are written where they lie in the file, so that
 *              RocksDB finds them; between them are holes, whose blocks have no right checksum:
 *              who reads one is told of damage, and has the whole file fetched (state/merge.c)
 */
#include <errno.h>

#include "base/try.h"
#include "snapshot/download_private.h"
#include "snapshot/table_part.h"

bool tarn__download_is_split(const tarn__download *d, const tarn__file_part *file)
{
    const tarn__download_options *options = d->options;
    return options->is_split != NULL && !file->is_inline && !file->place.is_packed &&
           tarn__file_is_table(file) && options->is_split(file, options->is_wanted_context);
}

static tarn_status plan(
    const tarn__download *d,
    const tarn__file_part *file,
    tarn__table_part *part,
    bool *is_worth,
    tarn_error *error)
{
    const tarn__table_part_options options = {
        .storage = d->options->checkpoint->storage,
        .file = file,
        .lower = d->options->lower,
        .upper = d->options->upper,
        .size_min = d->options->split_bytes_min,
        .account = d->options->buffers,
    };
    return tarn__table_part_plan(part, &options, is_worth, error);
}

static void count(const tarn__download *d, const tarn__table_part *part, bool is_done)
{
    if (d->options->progress != NULL) {
        atomic_fetch_add(&d->options->progress->bytes, part->read_bytes);
        atomic_fetch_add(&d->options->progress->part_count, is_done ? 1 : 0);
    }
}

static tarn_status pass_over(uint64_t offset, tarn_bytes bytes, void *context, tarn_error *error)
{
    (void)offset;
    (void)bytes;
    return tarn__download_check_wanted(context, error);
}

tarn_status tarn__download_check_part(
    tarn__download *d,
    const tarn__file_part *file,
    uint8_t *buffer,
    bool *is_done,
    tarn_error *error)
{
    TARN_AUTO(tarn__table_part_clear) tarn__table_part part;
    *is_done = false;
    TARN_TRY(plan(d, file, &part, is_done, error));
    const tarn_status status =
        *is_done
            ? tarn__table_part_read(&part, buffer, TARN__TRANSFER_BUFFER_BYTES, pass_over, d, error)
            : TARN_OK;
    count(d, &part, *is_done && status == TARN_OK);
    return status;
}

static tarn_status write_there(uint64_t offset, tarn_bytes bytes, void *context, tarn_error *error)
{
    tarn__target *t = context;
    const tarn__file_calls *calls = t->download->calls;
    TARN_TRY(tarn__download_check_wanted(t->download, error));
    return calls->seek(t->file, (off_t)offset, calls->context) == 0
               ? tarn__file_write(calls, t->file, bytes, t->path, error)
               : tarn__fail_errno(error, errno, "cannot write %s", t->path);
}

tarn_status tarn__download_with_holes(
    tarn__download *d, uint32_t item, uint8_t *buffer, bool *is_done, tarn_error *error)
{
    TARN_AUTO(tarn__table_part_clear) tarn__table_part part;
    TARN_AUTO(tarn__target_close) tarn__target t = {.download = d, .file = -1};
    *is_done = false;
    tarn_status status = plan(d, &d->subtask->files[item], &part, is_done, error);
    if (status == TARN_OK && *is_done) {
        status = tarn__target_open(d, item, &t, error);
    }
    if (status == TARN_OK && *is_done) {
        status = tarn__table_part_read(
            &part, buffer, TARN__TRANSFER_BUFFER_BYTES, write_there, &t, error);
    }
    count(d, &part, *is_done && status == TARN_OK);
    TARN_TRY(status);
    if (!*is_done) {
        return TARN_OK;
    }
    status = tarn__target_finish(d, item, &t, error);
    d->known[item].name = NULL; /* It has not the content of its digest. */
    if (d->options->has_holes != NULL) {
        atomic_store(d->options->has_holes, true);
    }
    return status;
}
