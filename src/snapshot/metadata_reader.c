/* metadata_reader.c - see metadata_reader.h. */
#include "snapshot/metadata_reader.h"

#include <inttypes.h>
#include <string.h>

#include "tarn/version.h"

#include "base/try.h"
#include "snapshot/metadata.h"
#include "snapshot/metadata_format.h"

uint64_t tarn__metadata_load_number(const uint8_t *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

tarn_status tarn__metadata_ends_early(const tarn__metadata_reader *r, size_t wanted)
{
    tarn__fail(
        r->error,
        TARN_CORRUPTION,
        "byte %zu (%s): %zu bytes are needed, %zu are left",
        r->position,
        r->part,
        wanted,
        r->end - r->position);
    return TARN_CORRUPTION; /* A constant: the compiler sees that outputs are set on success. */
}

tarn_status tarn__metadata_take(tarn__metadata_reader *r, size_t size, const uint8_t **out)
{
    if (size > r->end - r->position) {
        return tarn__metadata_ends_early(r, size);
    }
    *out = r->data + r->position;
    r->position += size;
    return TARN_OK;
}

tarn_status tarn__metadata_get_number(tarn__metadata_reader *r, size_t size, uint64_t *out)
{
    const uint8_t *bytes = NULL;
    TARN_TRY(tarn__metadata_take(r, size, &bytes));
    *out = tarn__metadata_load_number(bytes, size);
    return TARN_OK;
}

tarn_status tarn__metadata_get_u32(tarn__metadata_reader *r, uint32_t *out)
{
    uint64_t value = 0;
    TARN_TRY(tarn__metadata_get_number(r, 4, &value));
    *out = (uint32_t)value;
    return TARN_OK;
}

/* A flag word of which only known bits may be set. */
tarn_status tarn__metadata_get_flags(
    tarn__metadata_reader *r, size_t size, uint64_t known, uint64_t *out)
{
    const size_t at = r->position;
    TARN_TRY(tarn__metadata_get_number(r, size, out));
    if ((*out & ~known) != 0) {
        return tarn__fail(
            r->error,
            TARN_CORRUPTION,
            "byte %zu (%s): unknown flags 0x%" PRIx64,
            at,
            r->part,
            *out);
    }
    return TARN_OK;
}

/* Strings are used where they lie: the format has the NUL. */
tarn_status tarn__metadata_get_string(tarn__metadata_reader *r, const char **out)
{
    const size_t at = r->position;
    uint64_t size = 0;
    const uint8_t *bytes = NULL;
    TARN_TRY(tarn__metadata_get_number(r, 2, &size));
    TARN_TRY(tarn__metadata_take(r, (size_t)size + 1, &bytes));
    if (strnlen((const char *)bytes, (size_t)size + 1) != size) {
        return tarn__fail(
            r->error,
            TARN_CORRUPTION,
            "byte %zu (%s): a string of %" PRIu64 " bytes does not end there",
            at,
            r->part,
            size);
    }
    *out = (const char *)bytes;
    return TARN_OK;
}

/*
 * Checks the tagged fields behind a record. This version knows none, so each is skipped or refused;
 * they are kept as bytes.
 */
tarn_status tarn__metadata_get_extra(tarn__metadata_reader *r, tarn_bytes *out)
{
    uint64_t size = 0;
    const uint8_t *bytes = NULL;
    const size_t at = r->position;
    TARN_TRY(tarn__metadata_get_number(r, 4, &size));
    if (size > TARN__METADATA_EXTRA_BYTES_MAX) {
        return tarn__fail(
            r->error,
            TARN_CORRUPTION,
            "byte %zu (%s): %" PRIu64 " bytes of extra fields",
            at,
            r->part,
            size);
    }
    TARN_TRY(tarn__metadata_take(r, (size_t)size, &bytes));
    size_t done = 0;
    while (done < size) {
        const size_t left = (size_t)size - done;
        if (left < EXTRA_HEAD_BYTES ||
            tarn__metadata_load_number(bytes + done + 4, 4) > left - EXTRA_HEAD_BYTES) {
            return tarn__fail(
                r->error,
                TARN_CORRUPTION,
                "byte %zu (%s): an extra field runs over its end",
                at + 4 + done,
                r->part);
        }
        const uint64_t tag = tarn__metadata_load_number(bytes + done, 4);
        if ((tag & TARN__METADATA_OPTIONAL) == 0) {
            return tarn__fail(
                r->error,
                TARN_NOT_SUPPORTED,
                "byte %zu (%s): field %" PRIu64 " is not known to Tarn %s; a newer one wrote it",
                at + 4 + done,
                r->part,
                tag,
                tarn_version_string());
        }
        done += EXTRA_HEAD_BYTES + (size_t)tarn__metadata_load_number(bytes + done + 4, 4);
    }
    *out = tarn_bytes_at(bytes, (size_t)size);
    return TARN_OK;
}
