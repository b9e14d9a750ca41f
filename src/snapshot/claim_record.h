/*
 * claim_record.h - what a job's directory says of a checkpoint that it has taken over, or that it
 * must leave alone. docs/FORMATS.md has the form.
 *
 *     DIR/JOB/claims/7    a checkpoint of another directory, or a savepoint, that is this job's now
 *     DIR/JOB/claims/7    or: chk-7 of this directory, which stays untouched
 *
 * A record names every shared file that was taken over, so that nobody needs the other directory to
 * know what must stay in this one.
 *
 * Thread: pure.
 */
#ifndef TARN_SNAPSHOT_CLAIM_RECORD_H
#define TARN_SNAPSHOT_CLAIM_RECORD_H

#include "snapshot/metadata.h"

#define TARN__CLAIMS_DIRECTORY "claims"

enum {
    TARN__CLAIM_NAME_BYTES = 40, /* claims/<20 digits> */
    TARN__CLAIM_ADDRESS_BYTES_MAX = 4095,
    TARN__CLAIM_BYTES_MAX = 64 << 20,
};

typedef enum tarn__claim_kind {
    TARN__CLAIM_CHECKPOINT, /* Of another job's directory, which address is, with "/chk-N". */
    TARN__CLAIM_SAVEPOINT,  /* Of which address is the directory. */
    TARN__CLAIM_PIN,        /* chk-N of this directory; no address, no files. */
} tarn__claim_kind;

typedef struct tarn__claim {
    tarn__claim_kind kind;
    uint64_t id;
    const char *address;           /* "" of a pin. */
    const tarn__content *contents; /* [count]: shared files. */
    uint32_t count;
} tarn__claim;

/* Writes "claims/<id>". */
void tarn__claim_name(uint64_t id, char out[TARN__CLAIM_NAME_BYTES]);

/* Replaces out. Errors: TARN_NO_MEMORY, TARN_INVALID_ARGUMENT (an address that is no line). */
TARN_NODISCARD tarn_status
tarn__claim_encode(const tarn__claim *claim, tarn_buffer *out, tarn_error *error);

/*
 * Reads a record; what it points to is in the arena.
 *
 * Errors: TARN_CORRUPTION, TARN_NOT_SUPPORTED (a newer version), TARN_NO_MEMORY.
 */
TARN_NODISCARD tarn_status
tarn__claim_decode(tarn_bytes bytes, tarn__arena *arena, tarn__claim *out, tarn_error *error);

#endif
