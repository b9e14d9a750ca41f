/*
 * sequence.c - numbers that only grow, also across a restore: they order the chunks of lists.
 *
 *     family "default"   "\0sequence" -> mark, u64 big endian
 *
 *     0 ........ given out ........ next ...... reserved ...... mark
 *
 * The mark is written before any number below it is used, so that every cut of the database that
 * has a row with a number has a mark beyond it. A restored backend goes on at the mark. A backend
 * whose rows come from several goes on at the greatest of their marks. Names of states have no NUL,
 * so the mark's key is none of a descriptor.
 *
 * Numbers are reserved a million at a time: one row is written for so many, and what a crash loses
 * of 2^64 does not matter.
 */
#include "codec/chunk.h"
#include "state/backend.h"

enum { RESERVED_COUNT = TARN__SEQUENCE_COUNT_MAX };

static const uint8_t MARK_KEY[] = {0, 's', 'e', 'q', 'u', 'e', 'n', 'c', 'e'};

tarn_status tarn__sequence_read(tarn__rocks *rocks, uint64_t *out, tarn_error *error)
{
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
    tarn_bytes stored;
    const tarn_status status = tarn__rocks_get(
        tarn__rocks_default_family(rocks),
        tarn_bytes_at(MARK_KEY, sizeof MARK_KEY),
        &pin,
        &stored,
        error);
    if (status == TARN_NOT_FOUND) {
        *out = 0;
        return TARN_OK;
    }
    TARN_TRY(status);
    if (stored.size != TARN__CHUNK_SEQUENCE_BYTES) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "the sequence mark in %s has %zu bytes",
            tarn__rocks_directory(rocks),
            stored.size);
    }
    const uint8_t *data = stored.data;
    *out = 0;
    for (uint32_t i = 0; i < TARN__CHUNK_SEQUENCE_BYTES; i++) {
        *out = *out << 8 | data[i];
    }
    return TARN_OK;
}

static tarn_status write_mark(tarn_backend *backend, uint64_t mark, tarn_error *error)
{
    uint8_t bytes[TARN__CHUNK_SEQUENCE_BYTES];
    tarn__chunk_encode_sequence(bytes, mark);
    const tarn_status status = tarn__rocks_put(
        tarn__rocks_default_family(backend->rocks),
        tarn_bytes_at(MARK_KEY, sizeof MARK_KEY),
        tarn_bytes_at(bytes, sizeof bytes),
        error);
    return tarn__backend_finish_write(backend, status, error);
}

/* Reserves numbers from where what was reserved ends, here or where the rows come from. */
static tarn_status reserve(tarn_backend *backend, tarn_error *error)
{
    uint64_t mark = backend->sequence_end;
    if (mark == 0) { /* The first time since the backend was opened. */
        TARN_TRY(tarn__sequence_read(backend->rocks, &mark, error));
        backend->sequence = mark;
    }
    TARN_TRY(write_mark(backend, mark + RESERVED_COUNT, error));
    backend->sequence_end = mark + RESERVED_COUNT;
    return TARN_OK;
}

tarn_status tarn__backend_take_sequence(
    tarn_backend *backend, uint32_t count, uint64_t *first, tarn_error *error)
{
    if (count > TARN__SEQUENCE_COUNT_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%u sequence numbers are wanted at once; there are %d",
            count,
            TARN__SEQUENCE_COUNT_MAX);
    }
    if (__builtin_expect(backend->sequence_end - backend->sequence < count, 0)) {
        TARN_TRY(reserve(backend, error));
    }
    *first = backend->sequence;
    backend->sequence += count;
    return TARN_OK;
}

tarn_status tarn__backend_raise_sequence(tarn_backend *backend, uint64_t mark, tarn_error *error)
{
    if (backend->sequence_end == 0) {
        TARN_TRY(reserve(backend, error));
    }
    if (mark <= backend->sequence) {
        return TARN_OK;
    }
    TARN_TRY(write_mark(backend, mark + RESERVED_COUNT, error));
    backend->sequence = mark;
    backend->sequence_end = mark + RESERVED_COUNT;
    return TARN_OK;
}
