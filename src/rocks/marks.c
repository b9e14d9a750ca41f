/* marks.c - values that end with the generation that they were written by. See db.h. */
#include "base/try.h"
#include "rocks/rocks_private.h"

void tarn__rocks_set_marks(tarn__rocks_family *family, const tarn__rocks_marks *marks)
{
    family->marks = *marks;
}

tarn_status tarn__rocks_unmark(
    tarn__rocks_family *family, tarn_bytes *value, tarn_buffer *upgraded, tarn_error *error)
{
    const tarn__rocks_marks *marks = &family->marks;
    if (__builtin_expect(value->size < TARN__ROCKS_MARK_BYTES, 0)) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "state \"%s\" holds a value without the generation that it was written by",
            family->name);
    }
    value->size -= TARN__ROCKS_MARK_BYTES;
    const uint8_t *data = value->data;
    const uint8_t generation = data[value->size];
    if (__builtin_expect(marks->is_as_is[generation], 1)) {
        return TARN_OK;
    }
    upgraded->size = 0;
    TARN_TRY(marks->upgrade(marks->context, generation, *value, upgraded, error));
    *value = tarn_buffer_bytes(upgraded);
    return TARN_OK;
}
