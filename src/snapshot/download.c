/* download.c - see download.h. */
#include "snapshot/download_private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/try.h"

void tarn__target_close(tarn__target *t)
{
    if (t->file >= 0) {
        (void)t->download->calls->close(t->file, t->download->calls->context);
    }
}

tarn_status tarn__download_check_wanted(const tarn__download *d, tarn_error *error)
{
    const atomic_bool *is_cancelled = d->options->is_cancelled;
    if (is_cancelled != NULL && atomic_load_explicit(is_cancelled, memory_order_relaxed)) {
        return tarn__fail(
            error, TARN_ABANDONED, "the download to %s was cancelled", d->options->directory);
    }
    return TARN_OK;
}

static tarn_status name_target(
    const tarn__download *d, const char *name, char path[PATH_MAX], tarn_error *error)
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
    tarn__target *t = context;
    TARN_TRY(tarn__download_check_wanted(t->download, error));
    TARN_TRY(tarn__file_write(t->download->calls, t->file, part, t->path, error));
    if (t->download->options->progress != NULL) {
        atomic_fetch_add(&t->download->options->progress->bytes, part.size);
    }
    return TARN_OK;
}

static tarn_status close_checked(tarn__target *t, tarn_error *error)
{
    const tarn__file_calls *calls = t->download->calls;
    const int file = t->file;
    t->file = -1;
    return calls->close(file, calls->context) == 0 || errno == EINTR
               ? TARN_OK
               : tarn__fail_errno(error, errno, "cannot close %s", t->path);
}

/* A file that the pool gave: it is identified as one that was downloaded. */
static tarn_status accept_item(tarn__download *d, uint32_t item, tarn__target *t, tarn_error *error)
{
    const tarn__file_part *part = &d->subtask->files[item];
    tarn__base_file *known = &d->known[item];
    d->is_written[item] = true;
    TARN_TRY(tarn__file_open(d->calls, AT_FDCWD, t->path, O_RDONLY, t->path, &t->file, error));
    TARN_TRY(tarn__local_identify(d->calls, t->file, t->path, &known->identity, error));
    TARN_TRY(close_checked(t, error));
    known->name = part->local_name;
    known->digest = part->content.digest;
    known->place = part->place;
    return TARN_OK;
}

static bool take_from_pool(
    const tarn__download *d, const tarn__file_part *part, const char *path, uint8_t *buffer)
{
    return d->options->pool != NULL && tarn__pool_take(
                                           d->options->pool,
                                           &part->content,
                                           part->is_shared,
                                           path,
                                           buffer,
                                           TARN__TRANSFER_BUFFER_BYTES);
}

tarn_status tarn__target_open(tarn__download *d, uint32_t item, tarn__target *t, tarn_error *error)
{
    *t = (tarn__target){.download = d, .file = -1};
    TARN_TRY(name_target(d, d->subtask->files[item].local_name, t->path, error));
    TARN_TRY(tarn__file_open(
        d->calls, AT_FDCWD, t->path, O_WRONLY | O_CREAT | O_EXCL, t->path, &t->file, error));
    d->is_written[item] = true;
    return TARN_OK;
}

/* A file that was written in full. */
tarn_status tarn__target_finish(
    tarn__download *d, uint32_t item, tarn__target *t, tarn_error *error)
{
    const tarn__file_part *part = &d->subtask->files[item];
    tarn__base_file *known = &d->known[item];
    TARN_TRY(tarn__local_identify(d->calls, t->file, t->path, &known->identity, error));
    TARN_TRY(close_checked(t, error));
    known->name = part->local_name;
    known->digest = part->content.digest;
    known->place = part->place;
    if (d->options->progress != NULL) {
        atomic_fetch_add(&d->options->progress->file_count, 1);
    }
    return TARN_OK;
}

static tarn_status try_pool(
    tarn__download *d, uint32_t item, uint8_t *buffer, bool *is_there, tarn_error *error)
{
    const tarn__file_part *part = &d->subtask->files[item];
    TARN_AUTO(tarn__target_close) tarn__target t = {.download = d, .file = -1};
    TARN_TRY(tarn__download_check_wanted(d, error));
    TARN_TRY(name_target(d, part->local_name, t.path, error));
    *is_there = take_from_pool(d, part, t.path, buffer);
    return *is_there ? accept_item(d, item, &t, error) : TARN_OK;
}

static tarn_status count_linked(tarn_bytes part, void *context, tarn_error *error)
{
    const tarn__download *d = context;
    TARN_TRY(tarn__download_check_wanted(d, error));
    if (d->options->progress != NULL) {
        atomic_fetch_add(&d->options->progress->bytes, part.size);
    }
    return TARN_OK;
}

/* Links a table file, and reads through what the link has. *is_there: false: copy it. */
static tarn_status try_link(
    tarn__download *d, uint32_t item, uint8_t *buffer, bool *is_there, tarn_error *error)
{
    const tarn__file_part *part = &d->subtask->files[item];
    TARN_AUTO(tarn__target_close) tarn__target t = {.download = d, .file = -1};
    TARN_TRY(name_target(d, part->local_name, t.path, error));
    tarn_storage *storage = d->options->checkpoint->storage;
    *is_there = d->options->may_link && part->is_shared && !part->place.is_packed &&
                tarn__storage_link_out(storage, part->path, t.path, NULL) == TARN_OK;
    if (!*is_there) {
        return TARN_OK;
    }
    d->is_written[item] = true;
    TARN_TRY(tarn__file_open(d->calls, AT_FDCWD, t.path, O_RDONLY, t.path, &t.file, error));
    bool is_read = false;
    if (tarn__download_is_split(d, part)) {
        TARN_TRY(tarn__download_check_part(d, part, buffer, &is_read, error));
    }
    if (!is_read) {
        TARN_TRY(tarn__checkpoint_read_file(
            storage, part, buffer, TARN__TRANSFER_BUFFER_BYTES, count_linked, d, error));
    }
    return tarn__target_finish(d, item, &t, error);
}

static tarn_status fetch_file(tarn__download *d, uint32_t item, uint8_t *buffer, tarn_error *error)
{
    bool is_there = false;
    TARN_TRY(try_link(d, item, buffer, &is_there, error));
    if (!is_there && d->options->may_have_holes &&
        tarn__download_is_split(d, &d->subtask->files[item])) {
        TARN_TRY(tarn__download_with_holes(d, item, buffer, &is_there, error));
    }
    if (is_there) {
        return TARN_OK;
    }
    TARN_AUTO(tarn__target_close) tarn__target t = {.download = d, .file = -1};
    TARN_TRY(tarn__target_open(d, item, &t, error));
    TARN_TRY(tarn__checkpoint_read_file(
        d->options->checkpoint->storage,
        &d->subtask->files[item],
        buffer,
        TARN__TRANSFER_BUFFER_BYTES,
        take,
        &t,
        error));
    return tarn__target_finish(d, item, &t, error);
}

/* Bytes of a segment, being cut into files. */
typedef struct cutter {
    tarn__download *download;
    const uint32_t *items; /* [count]: each begins where the one before ends. */
    uint32_t count;
    uint32_t next;    /* The first that is not finished; open once it has been begun. */
    uint64_t written; /* Of it. */
    tarn__hasher hasher;
    tarn__target target;
} cutter;

static void close_cutter(cutter *c)
{
    tarn__target_close(&c->target);
}

/* Ends the files that are full, and begins those behind them. */
static tarn_status turn(cutter *c, tarn_error *error)
{
    tarn__download *d = c->download;
    while (c->next < c->count) {
        const uint32_t item = c->items[c->next];
        const tarn__file_part *part = &d->subtask->files[item];
        if (c->target.file < 0) {
            TARN_TRY(tarn__target_open(d, item, &c->target, error));
            tarn__hasher_init(&c->hasher);
            c->written = 0;
        }
        if (c->written < part->content.size) {
            return TARN_OK;
        }
        TARN_TRY(tarn__checkpoint_check_content(
            d->options->checkpoint->storage, part, &c->hasher, c->written, error));
        TARN_TRY(tarn__target_finish(d, item, &c->target, error));
        c->next++;
    }
    return TARN_OK;
}

static tarn_status cut(cutter *c, tarn_bytes bytes, tarn_error *error)
{
    const uint8_t *data = bytes.data;
    size_t done = 0;
    while (done < bytes.size) {
        const tarn__file_part *part = &c->download->subtask->files[c->items[c->next]];
        const uint64_t left = part->content.size - c->written;
        const size_t size = left < bytes.size - done ? (size_t)left : bytes.size - done;
        const tarn_bytes piece = tarn_bytes_at(data + done, size);
        tarn__hasher_update(&c->hasher, piece);
        TARN_TRY(take(piece, &c->target, error));
        c->written += size;
        done += size;
        TARN_TRY(turn(c, error));
    }
    return TARN_OK;
}

/* Fetches files that lie one behind the other, with as few requests as the buffer allows. */
static tarn_status fetch_run(
    tarn__download *d, const uint32_t *items, uint32_t count, uint8_t *buffer, tarn_error *error)
{
    const tarn__file_part *first = &d->subtask->files[items[0]];
    const tarn__file_part *last = &d->subtask->files[items[count - 1]];
    const uint64_t end = last->place.offset + last->content.size;
    TARN_AUTO(close_cutter)
    cutter c = {.download = d, .items = items, .count = count, .target = {.file = -1}};
    c.target.download = d;
    TARN_TRY(turn(&c, error));
    for (uint64_t offset = first->place.offset; offset < end;) {
        const uint64_t left = end - offset;
        const size_t wanted =
            left < TARN__TRANSFER_BUFFER_BYTES ? (size_t)left : TARN__TRANSFER_BUFFER_BYTES;
        size_t got = 0;
        TARN_TRY(tarn__download_check_wanted(d, error));
        TARN_TRY(tarn__storage_read(
            d->options->checkpoint->storage, first->path, offset, buffer, wanted, &got, error));
        TARN_TRY(cut(&c, tarn_bytes_at(buffer, got), error));
        if (got < wanted) {
            return tarn__fail(
                error,
                TARN_CORRUPTION,
                "%.200s/%.200s ends at byte %" PRIu64 ", %" PRIu64 " are in the checkpoint",
                d->options->checkpoint->storage->address,
                first->path,
                offset + got,
                first->place.segment.size);
        }
        offset += got;
    }
    return TARN_OK;
}

/* What is compressed is not cut out of a run, but read alone. */
static bool is_alone(const tarn__file_part *part)
{
    return part->codec != TARN__CODEC_NONE;
}

/* The files of a segment, less those that the pool has. */
static tarn_status download_segment(
    tarn__download *d, const tarn__download_unit *u, uint8_t *buffer, tarn_error *error)
{
    const uint32_t *items = d->order + u->first;
    uint32_t run = 0; /* Files before i that are to be fetched together. */
    uint64_t end = 0;
    for (uint32_t i = 0; i < u->count; i++) {
        const tarn__file_part *part = &d->subtask->files[items[i]];
        bool is_there = false;
        TARN_TRY(try_pool(d, items[i], buffer, &is_there, error));
        if (run > 0 && (is_there || is_alone(part) || part->place.offset != end)) {
            TARN_TRY(fetch_run(d, items + i - run, run, buffer, error));
            run = 0;
        }
        if (!is_there && is_alone(part)) {
            TARN_TRY(fetch_file(d, items[i], buffer, error));
            is_there = true;
        }
        run += is_there ? 0 : 1;
        end = part->place.offset + part->content.size;
    }
    return run > 0 ? fetch_run(d, items + u->count - run, run, buffer, error) : TARN_OK;
}

static tarn_status download_item(void *context, uint32_t item, uint8_t *buffer, tarn_error *error)
{
    tarn__download *d = context;
    const tarn__download_unit *u = &d->units[item];
    const uint32_t file = d->order[u->first];
    if (d->subtask->files[file].place.is_packed) {
        return download_segment(d, u, buffer, error);
    }
    bool is_there = false;
    if (!d->subtask->files[file].is_inline) { /* Which is here already. */
        TARN_TRY(try_pool(d, file, buffer, &is_there, error));
    }
    return is_there ? TARN_OK : fetch_file(d, file, buffer, error);
}

/* ---- planning --------------------------------------------------------------------------- */

/* A packed file, to be sorted. */
typedef struct packed {
    const tarn__file_part *part;
    uint32_t item;
} packed;

static int compare_packed(const void *a, const void *b)
{
    const tarn__file_part *x = ((const packed *)a)->part;
    const tarn__file_part *y = ((const packed *)b)->part;
    const int order = strcmp(x->path, y->path);
    if (order != 0) {
        return order;
    }
    if (x->place.offset != y->place.offset) {
        return x->place.offset < y->place.offset ? -1 : 1;
    }
    /* An empty file comes before the one that begins at the same place. */
    return (x->content.size > y->content.size) - (x->content.size < y->content.size);
}

static bool is_wanted(const tarn__download *d, const tarn__file_part *part)
{
    const tarn__download_options *options = d->options;
    return options->is_wanted == NULL || options->is_wanted(part, options->is_wanted_context);
}

static void add_segments(tarn__download *d, packed *files, uint32_t count, uint32_t first)
{
    if (count > 1) {
        qsort(files, count, sizeof *files, compare_packed);
    }
    for (uint32_t i = 0; i < count; i++) {
        const bool goes_on = i > 0 && strcmp(files[i - 1].part->path, files[i].part->path) == 0;
        if (!goes_on) {
            d->units[d->unit_count++] = (tarn__download_unit){.first = first + i};
        }
        d->units[d->unit_count - 1].count++;
        d->order[first + i] = files[i].item;
    }
}

static tarn_status plan(tarn__download *d, tarn_error *error)
{
    const uint32_t count = d->subtask->file_count;
    d->known = tarn__arena_allocate(&d->arena, count, sizeof *d->known);
    d->is_written = tarn__arena_allocate(&d->arena, count, sizeof *d->is_written);
    d->order = tarn__arena_allocate(&d->arena, count, sizeof *d->order);
    d->units = tarn__arena_allocate(&d->arena, count, sizeof *d->units);
    packed *files = tarn__arena_allocate(&d->arena, count, sizeof *files);
    if (d->known == NULL || d->is_written == NULL || d->order == NULL || d->units == NULL ||
        files == NULL) {
        return tarn__fail_no_memory(error, "the files of a subtask", count * sizeof *d->known);
    }
    uint32_t single_count = 0;
    uint32_t packed_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const tarn__file_part *part = &d->subtask->files[i];
        if (!is_wanted(d, part)) {
            continue;
        }
        if (part->place.is_packed) {
            files[packed_count++] = (packed){.part = part, .item = i};
        } else {
            d->units[d->unit_count++] = (tarn__download_unit){.first = single_count, .count = 1};
            d->order[single_count++] = i;
        }
    }
    add_segments(d, files, packed_count, single_count);
    return TARN_OK;
}

static void take_away(const tarn__download *d)
{
    for (uint32_t i = 0; i < d->subtask->file_count; i++) {
        char path[PATH_MAX];
        if (d->is_written[i] &&
            name_target(d, d->subtask->files[i].local_name, path, NULL) == TARN_OK) {
            (void)d->calls->unlink_at(AT_FDCWD, path, 0, d->calls->context);
        }
    }
}

static tarn_status transfer_all(tarn__download *d, tarn_error *error)
{
    const tarn__download_options *options = d->options;
    uint8_t *buffer = NULL;
    TARN_TRY(tarn__transfer_buffer_new(options->buffers, &buffer, error));
    const tarn__transfer_options transfer = {
        .account = options->account,
        .buffers = options->buffers,
        .workers = options->workers,
        .parallelism_max = options->parallelism_max,
        .item_count = d->unit_count,
        .item = download_item,
        .context = d,
        .buffer = buffer,
    };
    const tarn_status status = tarn__transfer_run(&transfer, error);
    tarn__release(buffer);
    return status;
}

/* Only what is shared is worth knowing: private files are sent with every snapshot. */
static tarn_status make_base(tarn__download *d, tarn__base **out, tarn_error *error)
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
    tarn__download d = {
        .options = options,
        .calls = options->calls != NULL ? options->calls : tarn__file_calls_system(),
        .subtask = &metadata->subtasks[options->subtask],
    };
    tarn__arena_init(&d.arena, options->account);
    tarn_status status = plan(&d, error);
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
