/*
 * upload_link.c - table files that a storage takes by a second name.
 *
 *     digest ──► [fsync, if not RocksDB wrote it] ──► adopt: link, fsync of the directories
 *
 * RocksDB synchronises a table file before it names it anywhere, and never writes to it again: so
 * the bytes are durable. What a restore has brought along is only written.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/try.h"
#include "snapshot/checkpoint.h"
#include "snapshot/upload_private.h"

bool tarn__upload_links(const tarn__upload *upload)
{
    return upload->options.packing.may_link &&
           tarn__store_may_link(tarn__pending_store(upload->options.checkpoint));
}

static bool is_durable(const tarn__upload *upload, uint32_t i)
{
    return strtoull(upload->parts[i].local_name, NULL, 10) >= upload->options.first_durable;
}

tarn_status tarn__upload_link(
    tarn__upload *upload, uint32_t i, const tarn__upload_source *s, tarn_error *error)
{
    tarn_checkpoint_store *store = tarn__pending_store(upload->options.checkpoint);
    const uint64_t size = upload->parts[i].content.size;
    char name[TARN__CONTENT_NAME_BYTES];
    tarn__content_name(&upload->parts[i].content, name);
    if (!is_durable(upload, i) && s->calls->sync(s->file, s->calls->context) != 0) {
        return tarn__fail_errno(error, errno, "cannot synchronise %s", s->path);
    }
    const tarn_status status =
        tarn__storage_adopt(tarn__store_storage(store), s->path, name, error);
    if (status == TARN_NOT_SUPPORTED) {
        tarn__store_forbid_links(store);
        atomic_fetch_sub(&upload->uploaded_bytes, size); /* They are counted as they are sent. */
    }
    TARN_TRY(status);
    atomic_fetch_add(&upload->linked_count, 1);
    atomic_fetch_add(&upload->linked_bytes, size);
    return TARN_OK;
}
