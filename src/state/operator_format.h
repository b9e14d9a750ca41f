/*
 * operator_format.h - a state of an operator as bytes: one part of at most 16 MiB, or several.
 *
 *     [magic 89 'T' 'O' 'S'][format u8 = 1][kind u8][redistribution u8]
 *     [name size u8][codec name size u8][codec version u32]
 *     [part index u32][part count u32][element count u64][element bytes u64]
 *     [name][codec name][elements]
 *
 *     element of a list   [size u32][bytes]
 *     entry of a map      [key size u32][value size u32][key][value], keys ascending, no two equal
 *
 * Numbers are big endian. The first part is named as the state is, the others .more-S-P (the
 * state's number and the part's), which no state may be called. Metadata has a checksum over each
 * part; what is checked here is that the bytes are what a store writes. docs/FORMATS.md, "Operator
 * state".
 *
 * Thread: pure.
 */
#ifndef TARN_STATE_OPERATOR_FORMAT_H
#define TARN_STATE_OPERATOR_FORMAT_H

#include "tarn/operator_state.h"

enum {
    TARN__OPERATOR_FORMAT_VERSION = 1,
    TARN__OPERATOR_FIXED_BYTES = 4 + 3 + 2 + 4 + 4 + 4 + 8 + 8,
    TARN__OPERATOR_NAME_BYTES_MAX = TARN_OPERATOR_STATE_NAME_BYTES_MAX,
    TARN__OPERATOR_CODEC_BYTES_MAX = 255,
    TARN__OPERATOR_HEADER_BYTES_MAX =
        TARN__OPERATOR_FIXED_BYTES + TARN__OPERATOR_NAME_BYTES_MAX + TARN__OPERATOR_CODEC_BYTES_MAX,
    TARN__OPERATOR_PIECE_BYTES_MAX = 16 << 20, /* What metadata takes. */
    TARN__OPERATOR_PART_BYTES_MAX =
        TARN__OPERATOR_PIECE_BYTES_MAX - TARN__OPERATOR_HEADER_BYTES_MAX,
    TARN__OPERATOR_SIZE_BYTES = 4,
};

#define TARN__OPERATOR_RESERVED_PREFIX ".more-"

/* Values are part of the format. */
typedef enum tarn__operator_kind {
    TARN__OPERATOR_LIST = 1,
    TARN__OPERATOR_BROADCAST = 2,
} tarn__operator_kind;

/* What a state is; names borrow. */
typedef struct tarn__operator_descriptor {
    tarn__operator_kind kind;
    tarn_redistribution redistribution; /* Never the default. */
    uint32_t codec_version;
    tarn_bytes name;
    tarn_bytes codec_name;
} tarn__operator_descriptor;

typedef struct tarn__operator_part {
    tarn__operator_descriptor descriptor;
    uint32_t part_index;
    uint32_t part_count;
    uint64_t element_count;
    tarn_bytes elements;
} tarn__operator_part;

/* An entry of a map, or an element of a list (key empty). */
typedef struct tarn__operator_element {
    tarn_bytes key;
    tarn_bytes value;
} tarn__operator_element;

/* "list", "broadcast"; "split", "union", "broadcast". */
const char *tarn__operator_kind_name(tarn__operator_kind kind);
const char *tarn__redistribution_name(tarn_redistribution redistribution);

/* Writes everything in front of the elements; answers its bytes. elements.data is not looked at. */
size_t tarn__operator_header_encode(const tarn__operator_part *part, uint8_t *out);

/* Writes the number of parts into a header that is there. */
void tarn__operator_header_set_part_count(uint8_t *header, uint32_t part_count);

/* Writes an element at out, which has room; answers its bytes. */
size_t tarn__operator_element_encode(
    tarn__operator_kind kind, const tarn__operator_element *element, uint8_t *out);

/* Bytes of an element with its sizes. */
size_t tarn__operator_element_bytes(tarn__operator_kind kind, size_t key_bytes, size_t value_bytes);

/*
 * Takes the first element off *elements. False: there is none, or the bytes are no element; after
 * tarn__operator_part_decode() that is the end.
 */
bool tarn__operator_element_next(
    tarn__operator_kind kind, tarn_bytes *elements, tarn__operator_element *out);

/*
 * Reads a part and checks it to the last byte; its views lie in bytes.
 *
 * Answers TARN_OK, TARN_NOT_FOUND (bytes of another origin), TARN_CORRUPTION, TARN_NOT_SUPPORTED.
 */
TARN_NODISCARD tarn_status
tarn__operator_part_decode(tarn_bytes bytes, tarn__operator_part *out, tarn_error *error);

#endif
