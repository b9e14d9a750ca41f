/*
 * descriptor.h - what is stored about a state: its kind, its rows' format and the values' codec.
 *
 *     [format u8 = 1][kind u8][codec version u32 BE][flags u8][detail u8][codec name size u8][codec
 * name]
 *
 * Kept in the database itself, in the "default" column family under the state's name: it is cut and
 * restored with the rows that it describes, and a database is readable without anything beside it.
 * Metadata of a checkpoint repeats it for tools that do not open databases; the database is right.
 *
 * Thread: pure.
 */
#ifndef TARN_CODEC_DESCRIPTOR_H
#define TARN_CODEC_DESCRIPTOR_H

#include "tarn/bytes.h"

/* Values are part of the format. */
typedef enum tarn__state_kind {
    TARN__STATE_VALUE = 1,
    TARN__STATE_MAP = 2,
    TARN__STATE_LIST = 3,
    TARN__STATE_REDUCING = 4,
    TARN__STATE_AGGREGATING = 5,
    TARN__STATE_TIMERS = 6,
} tarn__state_kind;

enum {
    TARN__STATE_STAMPED = 1 << 0,         /* Values begin with a stamp (codec/stamp.h). */
    TARN__STATE_NAMESPACE_FIRST = 1 << 1, /* Rows are laid out so (codec/row.h). */
    TARN__STATE_UNTIMED = 1 << 2,         /* Stamps may be unknown: it was opened without a TTL. */
    TARN__STATE_FLAGS = TARN__STATE_STAMPED | TARN__STATE_NAMESPACE_FIRST | TARN__STATE_UNTIMED,
};

enum {
    TARN__CODEC_NAME_BYTES_MAX = 255,
    TARN__DESCRIPTOR_BYTES_MAX = 1 + 1 + 4 + 1 + 1 + 1 + TARN__CODEC_NAME_BYTES_MAX,
};

typedef struct tarn__descriptor {
    tarn__state_kind kind;
    uint32_t codec_version;
    uint8_t flags;  /* TARN__STATE_... */
    uint8_t detail; /* Of a reducing state: its reducer's tag (codec/reduction.h). Else 0. */
    char codec_name[TARN__CODEC_NAME_BYTES_MAX + 1];
} tarn__descriptor;

/* Answers "value", "map" and so on; "?" for a value that is no kind. */
const char *tarn__state_kind_name(tarn__state_kind kind);

/* Writes a descriptor; answers its bytes. */
size_t tarn__descriptor_encode(
    const tarn__descriptor *descriptor, uint8_t out[TARN__DESCRIPTOR_BYTES_MAX]);

typedef enum tarn__descriptor_outcome {
    TARN__DESCRIPTOR_OK,
    TARN__DESCRIPTOR_DAMAGED,
    TARN__DESCRIPTOR_NEWER, /* Of a format, kind or flag that this version does not know. */
} tarn__descriptor_outcome;

tarn__descriptor_outcome tarn__descriptor_decode(tarn_bytes bytes, tarn__descriptor *out);

#endif
