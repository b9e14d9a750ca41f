/* ttl.c - values with a stamp, and what reads and writes do to them. See keyed.h. */
#include "base/clock.h"
#include "state/hot.h"

int64_t tarn__keyed_clock(const tarn_keyed *keyed)
{
    if (keyed->is_untimed) {
        return TARN__STAMP_UNKNOWN;
    }
    if (keyed->ttl.time == TARN_TTL_EVENT_TIME) {
        return keyed->backend->watermark_ms;
    }
    return keyed->ttl.now_ms != NULL ? keyed->ttl.now_ms(keyed->ttl.now_context)
                                     : tarn__clock_wall_ms(tarn__env_clock(keyed->backend->env));
}

int64_t tarn__keyed_now(tarn_keyed *keyed)
{
    if (__builtin_expect(!keyed->has_ttl, 1)) {
        return 0;
    }
    const int64_t now_ms = tarn__keyed_clock(keyed);
    tarn__cleaning_note_access(keyed, now_ms);
    return now_ms;
}

int64_t tarn__keyed_stamp(tarn_keyed *keyed, int64_t now_ms)
{
    if (__builtin_expect(!keyed->has_ttl, 1)) {
        return 0;
    }
    const int64_t event_ms = keyed->backend->event_ms;
    const bool is_ahead =
        keyed->ttl.time == TARN_TTL_EVENT_TIME && !keyed->is_untimed && event_ms > now_ms;
    const int64_t stamp_ms = is_ahead ? event_ms : now_ms;
    tarn__cleaning_note_write(keyed, stamp_ms);
    return stamp_ms;
}

tarn_status tarn__keyed_look_at(
    const tarn_keyed *keyed,
    tarn_bytes stored,
    int64_t now_ms,
    int64_t gone_ms,
    tarn__keyed_content *out,
    tarn_error *error)
{
    if (!keyed->has_ttl) {
        *out = (tarn__keyed_content){.value = stored, .is_shown = true};
        return TARN_OK;
    }
    if (stored.size < TARN__STAMP_BYTES) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "state \"%s\" holds a value of %zu bytes, which has no room for its time",
            keyed->family->name,
            stored.size);
    }
    const uint8_t *data = stored.data;
    const int64_t stamp_ms = tarn__stamp_decode(data);
    const bool is_gone = tarn__stamp_is_expired(stamp_ms, keyed->ttl.ttl_ms, gone_ms);
    const bool is_expired = is_gone || tarn__stamp_is_expired(stamp_ms, keyed->ttl.ttl_ms, now_ms);
    const bool shows = keyed->ttl.visibility == TARN_TTL_RETURN_EXPIRED_IF_NOT_CLEANED;
    *out = (tarn__keyed_content){
        .value = tarn_bytes_at(data + TARN__STAMP_BYTES, stored.size - TARN__STAMP_BYTES),
        .stamp_ms = stamp_ms,
        .is_expired = is_expired,
        .is_shown = !is_gone && (!is_expired || shows),
    };
    return TARN_OK;
}

tarn_status tarn__keyed_look(
    const tarn_keyed *keyed,
    tarn_bytes stored,
    int64_t now_ms,
    tarn__keyed_content *out,
    tarn_error *error)
{
    return tarn__keyed_look_at(keyed, stored, now_ms, keyed->cleaning.cleaned_ms, out, error);
}

bool tarn__keyed_is_dead(tarn_bytes value, bool is_operand, void *context)
{
    tarn_keyed *keyed = context;
    tarn__cleaning *cleaning = &keyed->cleaning;
    if (keyed->is_untimed || value.size < TARN__STAMP_BYTES) {
        return false;
    }
    const int64_t stamp_ms = tarn__stamp_decode(value.data);
    const int64_t now_ms =
        atomic_load_explicit(&keyed->family->expiry->now_ms, memory_order_relaxed);
    const bool waits = keyed->is_folded || keyed->ttl.is_kept_by_compactions;
    const int64_t by_ms = waits || now_ms < cleaning->cleaned_ms ? cleaning->cleaned_ms : now_ms;
    if (!is_operand && tarn__stamp_is_expired(stamp_ms, keyed->ttl.ttl_ms, by_ms)) {
        cleaning->dropped_count++;
        return true;
    }
    tarn__cleaning_note_write(keyed, stamp_ms);
    return false;
}

tarn_status tarn__keyed_put(
    tarn_keyed *keyed, tarn_bytes row, tarn_bytes value, int64_t stamp_ms, tarn_error *error)
{
    tarn_bytes stored = value;
    if (keyed->has_ttl) {
        const size_t size = TARN__STAMP_BYTES + value.size;
        if (tarn_buffer_reserve(&keyed->scratch, size) != TARN_OK) {
            return tarn__fail_no_memory(error, "a value", size);
        }
        tarn__stamp_encode(keyed->scratch.data, stamp_ms);
        if (value.size > 0) {
            memcpy(keyed->scratch.data + TARN__STAMP_BYTES, value.data, value.size);
        }
        stored = tarn_bytes_at(keyed->scratch.data, size);
    }
    return tarn__keyed_write(keyed, row, stored, error);
}

tarn_status tarn__keyed_delete(tarn_keyed *keyed, tarn_bytes row, tarn_error *error)
{
    return tarn__keyed_erase(keyed, row, error);
}

/* Tells whether a row still is what an iterator saw of it: it has the same stamp. */
static tarn_status is_as_seen(
    tarn_keyed *keyed, tarn_bytes row, int64_t stamp_ms, bool *out, tarn_error *error)
{
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
    tarn_bytes stored;
    tarn__keyed_content content;
    const tarn_status status = tarn__keyed_read(keyed, row, &pin, &stored, error);
    *out = false;
    if (status == TARN_NOT_FOUND) {
        return TARN_OK;
    }
    TARN_TRY(status);
    TARN_TRY(tarn__keyed_look(keyed, stored, /* now_ms= */ 0, &content, error));
    *out = content.stamp_ms == stamp_ms;
    return TARN_OK;
}

tarn_status tarn__keyed_age(
    tarn_keyed *keyed,
    tarn_bytes row,
    const tarn__keyed_content *content,
    int64_t now_ms,
    bool is_old,
    tarn_error *error)
{
    const bool may_prolong = keyed->has_ttl && keyed->ttl.update == TARN_TTL_ON_READ_AND_WRITE;
    const int64_t stamp_ms = may_prolong ? tarn__keyed_stamp(keyed, now_ms) : 0;
    /* Records come in any order of their times: a late one does not make a value older. */
    const bool prolongs =
        may_prolong && (keyed->ttl.time == TARN_TTL_EVENT_TIME ? content->stamp_ms < stamp_ms
                                                               : content->stamp_ms != stamp_ms);
    if (!content->is_expired && !prolongs) {
        return TARN_OK;
    }
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    bool is_current = true;
    if (is_old) {
        TARN_TRY(is_as_seen(keyed, row, content->stamp_ms, &is_current, error));
    }
    if (!is_current) {
        return TARN_OK;
    }
    return content->is_expired ? tarn__keyed_delete(keyed, row, error)
                               : tarn__keyed_put(keyed, row, content->value, stamp_ms, error);
}

/* Reading it may change it. */
static bool is_aged(const tarn_keyed *keyed, const tarn__keyed_content *content)
{
    return content->is_expired || keyed->ttl.update == TARN_TTL_ON_READ_AND_WRITE;
}

/* What the working set has of a row that a read changes does not stay where it is. */
static tarn_status keep_shown(tarn_keyed *keyed, tarn__keyed_content *content, tarn_error *error)
{
    tarn_buffer *shown = &keyed->backend->shown;
    if (tarn_buffer_reserve(shown, content->value.size) != TARN_OK) {
        return tarn__fail_no_memory(error, "a value", content->value.size);
    }
    if (content->value.size > 0) {
        memmove(shown->data, content->value.data, content->value.size);
    }
    content->value.data = shown->data;
    return TARN_OK;
}

tarn_status tarn__keyed_get(tarn_keyed *keyed, tarn_bytes row, tarn_bytes *out, tarn_error *error)
{
    tarn__rocks_pin *pin = &keyed->backend->pin;
    if (__builtin_expect(!keyed->has_ttl, 1)) {
        return tarn__keyed_read(keyed, row, pin, out, error);
    }
    const int64_t now_ms = tarn__keyed_now(keyed);
    tarn_bytes stored;
    tarn__keyed_content content;
    TARN_TRY(tarn__keyed_read(keyed, row, pin, &stored, error));
    TARN_TRY(tarn__keyed_look(keyed, stored, now_ms, &content, error));
    if (keyed->workset != NULL && content.is_shown && is_aged(keyed, &content)) {
        TARN_TRY(keep_shown(keyed, &content, error));
    }
    TARN_TRY(tarn__keyed_age(keyed, row, &content, now_ms, /* is_old= */ false, error));
    if (!content.is_shown) {
        return TARN_NOT_FOUND;
    }
    *out = content.value;
    return TARN_OK;
}
