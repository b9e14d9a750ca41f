/*
 * restamp.c - a state that had no TTL gets one, and the reverse. See keyed.h.
 *
 *     stored         opened with       what is done
 *     no stamps      TTL               every row is written with a stamp of now
 *     stamps         no TTL            nothing; the descriptor says that from now on stamps may be
 *                                      unknown, as no clock is given that they could be from
 *     unknown ones   TTL               rows of an unknown time get one of now
 *
 * Values are written with the mark that they have. Rows are read from an iterator, which does not
 * see what is written meanwhile. Nobody sees the half of it: a snapshot cannot begin before the
 * state is open, and a failure poisons the backend. In event time without a watermark there is no
 * now: stamps stay, or become, unknown.
 */
#include "codec/reduction.h"
#include "state/descriptors.h"
#include "state/keyed.h"

enum { BATCH_BYTES_MAX = 256 << 10, ROWS_PER_REPORT = 4 << 20 };

typedef struct restamping {
    tarn_keyed *keyed;
    int64_t stamp_ms;
    bool has_stamps;   /* Rows have stamps already; those that are unknown are replaced. */
    tarn_buffer value; /* The one that is made. */
    tarn__rocks_batch batch;
    uint64_t row_count; /* Written. */
} restamping;

static tarn_status make_reduction(restamping *r, tarn_bytes stored, tarn_error *error)
{
    tarn__reduction reduction;
    uint8_t bytes[TARN__REDUCTION_BYTES_MAX];
    if (!tarn__reduction_decode(stored, &reduction) || reduction.is_stamped != r->has_stamps) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "state \"%s\" holds %zu bytes that its reducer did not write",
            r->keyed->family->name,
            stored.size);
    }
    reduction.is_stamped = true;
    reduction.stamp_ms = r->stamp_ms;
    const size_t size = tarn__reduction_encode(&reduction, bytes);
    return tarn_buffer_assign(&r->value, tarn_bytes_at(bytes, size)) == TARN_OK
               ? TARN_OK
               : tarn__fail_no_memory(error, "a value with its time", size);
}

static tarn_status make_value(restamping *r, tarn_bytes stored, tarn_error *error)
{
    uint8_t stamp[TARN__STAMP_BYTES];
    const size_t skipped = r->has_stamps ? TARN__STAMP_BYTES : 0;
    tarn__stamp_encode(stamp, r->stamp_ms);
    if (tarn_buffer_assign(&r->value, tarn_bytes_at(stamp, sizeof stamp)) != TARN_OK ||
        tarn_buffer_append(
            &r->value,
            tarn_bytes_at((const uint8_t *)stored.data + skipped, stored.size - skipped)) !=
            TARN_OK) {
        return tarn__fail_no_memory(error, "a value with its time", stored.size);
    }
    return TARN_OK;
}

static bool has_known_time(const restamping *r, tarn_bytes stored)
{
    return r->has_stamps && (stored.size < TARN__STAMP_BYTES ||
                             tarn__stamp_decode(stored.data) != TARN__STAMP_UNKNOWN);
}

static tarn_status write_rows(restamping *r, tarn_error *error)
{
    return tarn__rocks_batch_write(r->keyed->backend->rocks, &r->batch, error);
}

static void report(const restamping *r)
{
    tarn__env_log(
        r->keyed->backend->env,
        TARN_LOG_INFO,
        "state \"%s\" gets a TTL: %llu rows have a time now",
        r->keyed->family->name,
        (unsigned long long)r->row_count);
}

static tarn_status restamp_rows(restamping *r, tarn__rocks_iterator *rows, tarn_error *error)
{
    for (;;) {
        tarn_bytes row;
        tarn_bytes stored;
        const tarn_status status = tarn__rocks_iterator_next(rows, &row, &stored, error);
        if (status == TARN_DONE) {
            return write_rows(r, error);
        }
        TARN_TRY(status);
        if (has_known_time(r, stored)) {
            continue;
        }
        TARN_TRY(
            r->keyed->is_folded ? make_reduction(r, stored, error) : make_value(r, stored, error));
        tarn__rocks_batch_put_raw(&r->batch, r->keyed->family, row, tarn_buffer_bytes(&r->value));
        if (r->batch.bytes >= BATCH_BYTES_MAX) {
            TARN_TRY(write_rows(r, error));
        }
        if (++r->row_count % ROWS_PER_REPORT == 0) {
            report(r);
        }
    }
}

static tarn_status restamp(tarn_keyed *keyed, int64_t stamp_ms, bool has_stamps, tarn_error *error)
{
    tarn_backend *backend = keyed->backend;
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    restamping r = {.keyed = keyed, .stamp_ms = stamp_ms, .has_stamps = has_stamps};
    r.value.allocator = &backend->account->face;
    tarn__row_encode_group(lower, backend->key_groups.first);
    tarn__row_encode_group(upper, backend->key_groups.last + 1u);
    tarn__rocks_iterator *rows = NULL;
    TARN_TRY(tarn__rocks_iterate_raw(
        keyed->family,
        tarn_bytes_at(lower, sizeof lower),
        tarn_bytes_at(upper, sizeof upper),
        &rows,
        error));
    tarn__rocks_batch_init(&r.batch);
    const tarn_status status = restamp_rows(&r, rows, error);
    tarn__rocks_batch_clear(&r.batch);
    tarn__rocks_iterator_close(rows);
    tarn_buffer_clear(&r.value);
    if (status == TARN_OK && r.row_count > 0) {
        report(&r);
    }
    return tarn__backend_finish_write(backend, status, error);
}

tarn_status tarn__keyed_adopt_stamps(
    tarn_keyed *keyed, uint8_t stored_flags, uint8_t *flags_out, tarn_error *error)
{
    const bool has_stamps = (stored_flags & TARN__STATE_STAMPED) != 0;
    if (!keyed->has_ttl) {
        keyed->has_ttl = has_stamps;
        keyed->is_untimed = has_stamps;
        keyed->ttl = (tarn_ttl){.ttl_ms = INT64_MAX};
        *flags_out = stored_flags | (has_stamps ? TARN__STATE_UNTIMED : 0);
        return TARN_OK;
    }
    const int64_t stamp_ms = tarn__keyed_stamp(keyed, tarn__keyed_clock(keyed));
    const bool is_known = stamp_ms != TARN__STAMP_UNKNOWN;
    uint8_t flags = stored_flags | TARN__STATE_STAMPED;
    if (!has_stamps || ((stored_flags & TARN__STATE_UNTIMED) != 0 && is_known)) {
        TARN_TRY(restamp(keyed, stamp_ms, has_stamps, error));
        flags &= (uint8_t)~TARN__STATE_UNTIMED;
        flags |= is_known ? 0 : TARN__STATE_UNTIMED;
    }
    *flags_out = flags;
    return TARN_OK;
}
