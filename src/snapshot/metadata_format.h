/*
 * metadata_format.h - the bytes of a metadata file, for its encoder and its decoder.
 *
 *     [prologue 32] [section "head"] [section "subt"]* [digest 16]
 *
 *     prologue   magic 8 | version u32 | kind u32 | size of the file u64 | check of these 24 bytes
 *     section    tag 4 | flags u32 | size of the content u64 | check of these 16 bytes and of the
 *                section's offset | content | check of the content
 *     digest     XXH3-128 over all before it
 *
 * A check is the first 8 bytes of the XXH3-128 digest. All numbers are little-endian.
 */
#ifndef TARN_SNAPSHOT_METADATA_FORMAT_H
#define TARN_SNAPSHOT_METADATA_FORMAT_H

#include <stdint.h>

enum {
    MAGIC_BYTES = 8,
    PROLOGUE_BYTES = 32,
    PROLOGUE_CHECKED_BYTES = 24,
    SECTION_HEAD_BYTES = 24,
    SECTION_HEAD_CHECKED_BYTES = 16,
    CHECK_BYTES = 8,
    FILE_DIGEST_BYTES = 16,
    TAG_BYTES = 4,

    /* The least that a record can have; bounds counts before anything is allocated for them. */
    STATE_BYTES_MIN = 4 + 4 + 3 + 4 + 4,
    FILE_BYTES_MIN = 4 + 4 + 1 + 8 + 16 + 4,
    PIECE_BYTES_MIN = 4 + 5 + 4,
    SUBTASK_BYTES_MIN = 4 + 4 + 4 + 4 + 4 + 4 + 4 + 8 + 12 + 4,
    SECTION_BYTES_MIN = SECTION_HEAD_BYTES + SUBTASK_BYTES_MIN + CHECK_BYTES,

    EXTRA_HEAD_BYTES = 8, /* tag u32 | size u32 */

    FLAG_KEYED = 1,  /* Of a subtask. */
    FLAG_SHARED = 1, /* Of a file. */
    FLAG_PACKED = 2, /* Of a file, from version 3 on: offset, size, digest of the object follow. */
    FLAG_COMPRESSED = 4, /* Of a file, from version 4 on: codec and stored size follow. */
    FLAG_INLINE = 8,     /* Likewise: the stored bytes follow. */
};

/* As PNG's: a text-mode transfer that changes line ends or cuts at ^Z shows in the first bytes. */
static const uint8_t METADATA_MAGIC[MAGIC_BYTES] = {'T', 'A', 'R', 'N', '\r', '\n', 0x1a, '\n'};
static const char TAG_HEAD[TAG_BYTES + 1] = "head";
static const char TAG_SUBTASK[TAG_BYTES + 1] = "subt";

#endif
