/*
 * listing.h - the list of table files that a database in a directory has (codec/manifest.h).
 *
 * Thread: confined.
 */
#ifndef TARN_ROCKS_LISTING_H
#define TARN_ROCKS_LISTING_H

#include <limits.h>

#include "codec/manifest.h"

typedef struct tarn__rocks_listing {
    const char *directory; /* Borrowed. */
    char path[PATH_MAX];   /* Of its MANIFEST. */
    uint64_t size;         /* Of that. */
    tarn__manifest manifest;
} tarn__rocks_listing;

/*
 * Reads it. Release with tarn__rocks_listing_close(), also after a failure.
 *
 * Errors: those of tarn__manifest_open(), TARN_IO_ERROR.
 */
TARN_NODISCARD tarn_status tarn__rocks_listing_read(
    tarn__rocks_listing *listing, const char *directory, tarn__account *account, tarn_error *error);
void tarn__rocks_listing_close(tarn__rocks_listing *listing);

/* Joins the two. TARN_INVALID_ARGUMENT: too long. */
TARN_NODISCARD tarn_status tarn__rocks_name_path(
    const char *directory, const char *name, char out[PATH_MAX], tarn_error *error);

/*
 * How many levels a database has to be opened with: RocksDB's default, or more where files of
 * joined databases lie deeper (graft.h).
 *
 * Of a list that is not there, or cannot be read: the default. RocksDB has the last word about it.
 * Errors: TARN_NO_MEMORY.
 */
TARN_NODISCARD tarn_status tarn__rocks_count_levels(
    const char *directory, tarn__account *account, uint32_t *out, tarn_error *error);

#endif
