/* manifest_private.h - what the files of the manifest share. */
#ifndef TARN_CODEC_MANIFEST_PRIVATE_H
#define TARN_CODEC_MANIFEST_PRIVATE_H

#include "base/error.h"
#include "codec/manifest.h"

static inline tarn_status tarn__manifest_damaged(tarn_error *error, const char *what)
{
    return tarn__fail(error, TARN_CORRUPTION, "the list of table files is damaged: %s", what);
}

/* What the check of a piece of a record is. */
uint32_t tarn__manifest_check_of(uint8_t piece_kind, tarn_bytes bytes);

/* Any status but TARN_OK ends the visit. */
typedef tarn_status tarn__manifest_visit(void *context, tarn_bytes record, tarn_error *error);

/* Visits the records in order. TARN_CORRUPTION, TARN_NO_MEMORY, and what visit answers. */
TARN_NODISCARD tarn_status tarn__manifest_visit_records(
    tarn_bytes bytes,
    tarn__account *account,
    tarn__manifest_visit *visit,
    void *context,
    tarn_error *error);

#endif
