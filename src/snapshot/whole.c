/* whole.c - see whole.h. */
#include "snapshot/whole.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/try.h"
#include "snapshot/transfer.h"

typedef struct inspection {
    tarn_storage *storage;
    const tarn__file_part **files; /* [count], sorted by object and place. */
    uint32_t count;
} inspection;

/* Inline files first: they have no object. */
static int compare(const tarn__file_part *a, const tarn__file_part *b)
{
    if (a->is_inline || b->is_inline) {
        return (int)b->is_inline - (int)a->is_inline;
    }
    const int order = strcmp(a->path, b->path);
    if (order != 0) {
        return order;
    }
    return (a->place.offset > b->place.offset) - (a->place.offset < b->place.offset);
}

static int compare_places(const void *a, const void *b)
{
    return compare(*(const tarn__file_part *const *)a, *(const tarn__file_part *const *)b);
}

/* Several subtasks may name one file, and then say the same of it. */
static bool is_repeated(const tarn__file_part *a, const tarn__file_part *b)
{
    return !a->is_inline && compare(a, b) == 0 && a->content.size == b->content.size &&
           tarn__digest_is_equal(&a->content.digest, &b->content.digest) &&
           tarn__file_object_size(a) == tarn__file_object_size(b);
}

static bool is_in_same_object(const tarn__file_part *a, const tarn__file_part *b)
{
    return !a->is_inline && !b->is_inline && strcmp(a->path, b->path) == 0 &&
           tarn__file_object_size(a) == tarn__file_object_size(b);
}

static void drop_repeated(inspection *in)
{
    uint32_t kept = in->count > 0 ? 1 : 0;
    for (uint32_t i = 1; i < in->count; i++) {
        if (!is_repeated(in->files[kept - 1], in->files[i])) {
            in->files[kept++] = in->files[i];
        }
    }
    in->count = kept;
}

static tarn_status gather(
    const tarn__metadata *metadata, tarn__account *account, inspection *in, tarn_error *error)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < metadata->subtask_count; i++) {
        count += metadata->subtasks[i].file_count;
    }
    if (count > UINT32_MAX) { /* Metadata has no room for so many. */
        return tarn__fail(error, TARN_CORRUPTION, "it names %" PRIu64 " files", count);
    }
    in->files = tarn__allocate_zeroed(account, (size_t)count + 1, sizeof *in->files);
    if (in->files == NULL) {
        return tarn__fail_no_memory(
            error, "a list of files", ((size_t)count + 1) * sizeof *in->files);
    }
    for (uint32_t i = 0; i < metadata->subtask_count; i++) {
        for (uint32_t j = 0; j < metadata->subtasks[i].file_count; j++) {
            in->files[in->count++] = &metadata->subtasks[i].files[j];
        }
    }
    qsort(in->files, in->count, sizeof *in->files, compare_places);
    drop_repeated(in);
    return TARN_OK;
}

static tarn_status look_at(void *context, uint32_t item, uint8_t *buffer, tarn_error *error)
{
    (void)buffer;
    const inspection *in = context;
    const tarn__file_part *file = in->files[item];
    tarn_storage_info info;
    if (file->is_inline || (item > 0 && is_in_same_object(in->files[item - 1], file))) {
        return TARN_OK;
    }
    TARN_TRY(tarn__storage_stat(in->storage, file->path, &info, error));
    const uint64_t size = tarn__file_object_size(file);
    if (info.size != size) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "%.200s/%.200s has %" PRIu64 " bytes instead of %" PRIu64,
            in->storage->address,
            file->path,
            info.size,
            size);
    }
    return TARN_OK;
}

static tarn_status read_it(void *context, uint32_t item, uint8_t *buffer, tarn_error *error)
{
    const inspection *in = context;
    return tarn__checkpoint_read_file(
        in->storage,
        in->files[item],
        buffer,
        TARN__TRANSFER_BUFFER_BYTES,
        /* take= */ NULL,
        /* context= */ NULL,
        error);
}

static tarn_status for_each(
    const inspection *in,
    const tarn__whole_options *options,
    tarn__transfer_item_fn *item,
    uint8_t *buffer,
    tarn_error *error)
{
    inspection mine = *in;
    const tarn__transfer_options transfer = {
        .account = options->account,
        .buffers = options->buffers,
        .workers = options->workers,
        .item_count = in->count,
        .item = item,
        .context = &mine,
        .buffer = buffer,
    };
    return tarn__transfer_run(&transfer, error);
}

static tarn_status inspect(
    const inspection *in, const tarn__whole_options *options, tarn_error *error)
{
    TARN_TRY(for_each(in, options, look_at, /* buffer= */ NULL, error));
    if (!options->reads) {
        return TARN_OK;
    }
    uint8_t *buffer = NULL;
    TARN_TRY(tarn__transfer_buffer_new(options->buffers, &buffer, error));
    const tarn_status status = for_each(in, options, read_it, buffer, error);
    tarn__release(buffer);
    return status;
}

tarn_status tarn__checkpoint_check_whole(
    const tarn_checkpoint *checkpoint, const tarn__whole_options *options, tarn_error *error)
{
    inspection in = {.storage = checkpoint->storage};
    tarn_status status = gather(&checkpoint->metadata, options->account, &in, error);
    if (status == TARN_OK) {
        status = inspect(&in, options, error);
    }
    tarn__release(in.files);
    return status;
}
