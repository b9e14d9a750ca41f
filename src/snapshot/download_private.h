/* download_private.h - a download under way, for download.c and download_part.c. */
#ifndef TARN_SNAPSHOT_DOWNLOAD_PRIVATE_H
#define TARN_SNAPSHOT_DOWNLOAD_PRIVATE_H

#include <limits.h>

#include "snapshot/download.h"
#include "snapshot/transfer.h"

/* What is moved at once: a file, or the wanted ones of a segment. */
typedef struct tarn__download_unit {
    uint32_t first; /* Of order. */
    uint32_t count;
} tarn__download_unit;

typedef struct tarn__download {
    const tarn__download_options *options;
    const tarn__file_calls *calls;
    const tarn__subtask *subtask;
    tarn__arena arena;
    tarn__base_file *known;     /* [file_count]; name NULL until the file is there. */
    bool *is_written;           /* [file_count]; to be taken away after a failure. */
    uint32_t *order;            /* [file_count]: what is wanted, files of a segment as they lie. */
    tarn__download_unit *units; /* [unit_count] */
    uint32_t unit_count;
} tarn__download;

/* A local file being written. */
typedef struct tarn__target {
    tarn__download *download;
    int file;
    char path[PATH_MAX];
} tarn__target;

/* The file of an item, to be written. */
TARN_NODISCARD tarn_status
tarn__target_open(tarn__download *d, uint32_t item, tarn__target *t, tarn_error *error);
/* It was written in full. */
TARN_NODISCARD tarn_status
tarn__target_finish(tarn__download *d, uint32_t item, tarn__target *t, tarn_error *error);
void tarn__target_close(tarn__target *t);

/* TARN_ABANDONED once the download is cancelled. */
TARN_NODISCARD tarn_status tarn__download_check_wanted(const tarn__download *d, tarn_error *error);

/* Whether only a part of the file is wanted, which is a table alone in its object. */
bool tarn__download_is_split(const tarn__download *d, const tarn__file_part *file);

/*
 * Reads what is wanted of a file whose link is there. *is_done: false: it is to be read as a whole.
 */
TARN_NODISCARD tarn_status tarn__download_check_part(
    tarn__download *d,
    const tarn__file_part *file,
    uint8_t *buffer,
    bool *is_done,
    tarn_error *error);

/* Writes a file with holes where no wanted rows are. *is_done as above; then nothing is there. */
TARN_NODISCARD tarn_status tarn__download_with_holes(
    tarn__download *d, uint32_t item, uint8_t *buffer, bool *is_done, tarn_error *error);

#endif
