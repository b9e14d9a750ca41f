/*
 * descriptor.h - what is stored about a state: its kind, its rows' format and the values' codecs.
 *
 *     format 2   [2][kind u8][flags u8][detail u8][generation u8][schema count u8] schema...
 *     schema     [generation u8][codec version u32 BE][codec name size u8][codec name]
 *                [metadata size u16 BE][metadata]
 *     format 1   [1][kind u8][codec version u32 BE][flags u8][detail u8][codec name size u8]
 *                [codec name]; is read, and not written any more
 *
 * A row of a state with TARN__STATE_VERSIONED ends with the generation of the schema that its value
 * was written with, one byte; the descriptor says which generations there may be among the rows,
 * and which one is written now. So a state can hold values of several codec versions at a time.
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
#include "tarn/status.h"

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
    TARN__STATE_VERSIONED = 1 << 3,       /* Values end with a generation. Format 2 only. */
    TARN__STATE_FLAGS = (1 << 4) - 1,
};

enum {
    TARN__CODEC_NAME_BYTES_MAX = 255,
    TARN__SCHEMA_METADATA_BYTES_MAX = 16 << 10,
    TARN__SCHEMA_COUNT_MAX = 16,
    TARN__DESCRIPTOR_BYTES_MAX = 60 << 10, /* So that it fits beside a name (codec/canonical.h). */
};

/* What values of one generation are. */
typedef struct tarn__schema {
    uint8_t generation;
    uint32_t codec_version;
    tarn_bytes codec_name; /* 1 to 255 bytes without NUL; empty in some of format 1. */
    tarn_bytes metadata;   /* The program's own. */
} tarn__schema;

typedef struct tarn__descriptor {
    tarn__state_kind kind;
    uint8_t format;
    uint8_t flags;  /* TARN__STATE_... */
    uint8_t detail; /* Of a reducing state: its reducer's tag (codec/reduction.h). Else 0. */
    uint8_t schema_count;
    tarn__schema schemas[TARN__SCHEMA_COUNT_MAX]; /* The first is that of what is written now. */
} tarn__descriptor;

/* Answers "value", "map" and so on; "?" for a value that is no kind. */
const char *tarn__state_kind_name(tarn__state_kind kind);

bool tarn__schema_is_equal(const tarn__schema *a, const tarn__schema *b);

/* The schema of a generation, or NULL. */
const tarn__schema *tarn__descriptor_find(const tarn__descriptor *descriptor, uint8_t generation);

/* A generation that no schema has. There is one: 256 are more than TARN__SCHEMA_COUNT_MAX. */
uint8_t tarn__descriptor_free_generation(const tarn__descriptor *descriptor);

/* How many bytes it is when encoded; more than TARN__DESCRIPTOR_BYTES_MAX are not allowed. */
size_t tarn__descriptor_size(const tarn__descriptor *descriptor);

/* Replaces out by a descriptor, in its format. TARN_NO_MEMORY. */
TARN_NODISCARD tarn_status
tarn__descriptor_encode(const tarn__descriptor *descriptor, tarn_buffer *out);

/* Changes the flags of a descriptor, and of it encoded. */
void tarn__descriptor_set_flags(tarn__descriptor *descriptor, tarn_buffer *encoded, uint8_t flags);

typedef enum tarn__descriptor_outcome {
    TARN__DESCRIPTOR_OK,
    TARN__DESCRIPTOR_DAMAGED,
    TARN__DESCRIPTOR_NEWER, /* Of a format, kind or flag that this version does not know. */
} tarn__descriptor_outcome;

/* Schemas lie in bytes. */
tarn__descriptor_outcome tarn__descriptor_decode(tarn_bytes bytes, tarn__descriptor *out);

/*
 * Makes one descriptor of two, which are of the same state in two databases: the first one, with
 * the schemas that only the second has under free generations.
 *
 * generations  Shape: [256]; the generation, in the union, of each that a row of the second has.
 * Answers false when the states differ, or when there are too many schemas or bytes.
 */
bool tarn__descriptor_unite(
    const tarn__descriptor *first,
    const tarn__descriptor *second,
    tarn__descriptor *out,
    uint8_t generations[256]);

#endif
