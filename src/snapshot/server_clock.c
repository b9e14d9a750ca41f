/* server_clock.c - see server_clock.h. */
#include "snapshot/server_clock.h"

#include "base/try.h"

tarn_status tarn__server_clock_read(tarn_storage *storage, int64_t *out, tarn_error *error)
{
    static const char *const names[] = {TARN__SERVER_CLOCK_NAME};
    tarn_storage_info info;
    TARN_TRY(
        tarn__storage_write(storage, TARN__SERVER_CLOCK_NAME, 0, tarn_bytes_at("?", 1), error));
    /* Two may ask at once, and the other one's removal come between. */
    tarn_status status = tarn__storage_stat(storage, TARN__SERVER_CLOCK_NAME, &info, error);
    const tarn_status removed =
        tarn__storage_remove(storage, names, 1, status == TARN_OK ? error : NULL);
    status = status == TARN_OK ? removed : status;
    if (status == TARN_MISSING) {
        return tarn__fail(
            error, TARN_BUSY, "somebody else asks %.300s for its time, too", storage->address);
    }
    TARN_TRY(status);
    *out = info.written_ms;
    return TARN_OK;
}
