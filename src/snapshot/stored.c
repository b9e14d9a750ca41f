/* stored.c - see stored.h. */
#include "snapshot/stored.h"

#include <string.h>

#include "base/try.h"

enum { FIRST_WINDOW_BYTES = 64 << 10 };

void tarn__stored_init(
    tarn__stored *stored,
    tarn_storage *storage,
    const tarn__file_part *file,
    tarn__account *account,
    size_t ahead_bytes)
{
    const bool is_near = file->is_inline || tarn__storage_is_local(storage->address);
    *stored = (tarn__stored){
        .storage = storage,
        .file = file,
        .account = account,
        .ahead_bytes = is_near ? 0 : ahead_bytes,
    };
}

void tarn__stored_clear(tarn__stored *stored)
{
    tarn__release(stored->window);
    stored->window = NULL;
    stored->capacity = 0;
    stored->size = 0;
}

/* Makes room for a window of wanted bytes, or as many as before. */
static void grow(tarn__stored *s, size_t wanted)
{
    wanted = wanted < s->ahead_bytes ? wanted : s->ahead_bytes;
    if (wanted > s->capacity) {
        tarn__release(s->window); /* Nothing in it is wanted any more. */
        s->window = tarn__allocate(s->account, wanted);
        s->capacity = s->window != NULL ? wanted : 0;
        s->ahead_bytes = s->window != NULL ? s->ahead_bytes : 0;
    }
}

static tarn_status fill(tarn__stored *s, uint64_t offset, size_t size, tarn_error *error)
{
    const uint64_t end = s->file->content.size;
    const bool is_first = s->capacity == 0;
    const bool goes_on = !is_first && offset <= s->offset + s->size && offset > s->offset;
    s->size = 0;
    grow(s, is_first ? (size_t)FIRST_WINDOW_BYTES : goes_on ? 2 * s->capacity : s->capacity);
    if (size > s->capacity) {
        return TARN_OK;
    }
    s->offset = offset;
    if (is_first && end - offset < s->capacity) {
        s->offset = end > s->capacity ? end - s->capacity : 0;
    }
    const uint64_t left = end - s->offset;
    const size_t wanted = left < s->capacity ? (size_t)left : s->capacity;
    return tarn__checkpoint_read_at(
        s->storage, s->file, s->offset, s->window, wanted, &s->size, error);
}

static bool is_held(const tarn__stored *s, uint64_t offset, size_t size)
{
    return offset >= s->offset && size <= s->size && offset - s->offset <= s->size - size;
}

tarn_status tarn__stored_read(
    void *context, uint64_t offset, void *into, size_t size, size_t *size_out, tarn_error *error)
{
    tarn__stored *s = context;
    const uint64_t end = s->file->content.size;
    if (s->ahead_bytes > 0 && offset < end && size <= end - offset) {
        if (!is_held(s, offset, size)) {
            TARN_TRY(fill(s, offset, size, error));
        }
        if (is_held(s, offset, size)) {
            memcpy(into, s->window + (offset - s->offset), size);
            *size_out = size;
            return TARN_OK;
        }
    }
    return tarn__checkpoint_read_at(s->storage, s->file, offset, into, size, size_out, error);
}
