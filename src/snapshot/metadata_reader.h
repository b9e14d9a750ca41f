/*
 * metadata_reader.h - numbers, strings and tagged fields taken one after the other from the bytes
 * of a metadata file; what does not fit is refused with its place. For metadata_decode.c.
 *
 * Thread: pure.
 */
#ifndef TARN_SNAPSHOT_METADATA_READER_H
#define TARN_SNAPSHOT_METADATA_READER_H

#include "tarn/bytes.h"
#include "tarn/status.h"

typedef struct tarn__metadata_reader {
    const uint8_t *data; /* The whole file. */
    size_t position;
    size_t end;    /* Of what may be read now: a section's content, or the file without digest. */
    char part[40]; /* What is being read, for messages: "subtask 3". */
    uint32_t version;
    tarn_error *error;
} tarn__metadata_reader;

/* A little-endian number of at most 8 bytes. */
uint64_t tarn__metadata_load_number(const uint8_t *at, size_t size);

/* Answers TARN_CORRUPTION: more bytes are wanted than are left. */
tarn_status tarn__metadata_ends_early(const tarn__metadata_reader *r, size_t wanted);

/* Takes so many bytes, where they lie. */
TARN_NODISCARD tarn_status
tarn__metadata_take(tarn__metadata_reader *r, size_t size, const uint8_t **out);

TARN_NODISCARD tarn_status
tarn__metadata_get_number(tarn__metadata_reader *r, size_t size, uint64_t *out);
TARN_NODISCARD tarn_status tarn__metadata_get_u32(tarn__metadata_reader *r, uint32_t *out);

/* A flag word of which only known bits may be set. */
TARN_NODISCARD tarn_status
tarn__metadata_get_flags(tarn__metadata_reader *r, size_t size, uint64_t known, uint64_t *out);

/* Strings are used where they lie: the format has the NUL. */
TARN_NODISCARD tarn_status tarn__metadata_get_string(tarn__metadata_reader *r, const char **out);

/* The tagged fields behind a record, checked and kept as bytes. */
TARN_NODISCARD tarn_status tarn__metadata_get_extra(tarn__metadata_reader *r, tarn_bytes *out);

#endif
