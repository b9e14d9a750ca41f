/* name.h - which names an object of a storage may have. Pure. */
#ifndef TARN_STORAGE_NAME_H
#define TARN_STORAGE_NAME_H

#include "tarn/bytes.h"

#include "base/hash.h"

enum {
    TARN__STORAGE_NAME_BYTES_MAX = 1024, /* Fits an S3 key with a prefix before it. */
    TARN__STORAGE_PART_BYTES_MAX = 255,  /* NAME_MAX of the file systems in use. */
};

/* Tells whether bytes are a name as tarn/sys/storage.h defines it: it cannot leave the root. */
bool tarn__storage_is_name(tarn_bytes name);

/*
 * Tells whether a name ends in "<digest>-<size>", and thereby says what the object holds: whoever
 * writes one of that name writes the same bytes.
 */
bool tarn__storage_is_content(const char *name, tarn__digest *digest_out, uint64_t *size_out);

#endif
