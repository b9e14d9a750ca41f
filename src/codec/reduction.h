/*
 * reduction.h - what a reducing state with a built-in reducer stores, and how two of them become
 * one.
 *
 *     without TTL  [tag u8][number 8, big endian]
 *     with TTL     [stamp i64 BE][tag u8][threshold i64 BE][number 8, big endian]
 *
 * A row's value and an operand that is merged into it are the same thing, so that any neighbours
 * can be folded, in the order in which they were added: folding is associative, whatever the clock
 * did in between.
 *
 * The tag says the reducer and its type; bytes of another tag do not fold. The stamp is the time of
 * the last add. The threshold decides about what lies to the left: it counts when its stamp is
 * later, else it had expired when the first of these adds came. INT64_MIN: it always counts (no TTL
 * or expired values are shown). INT64_MAX: it never does, as one of these adds began anew.
 *
 * Thread: pure.
 */
#ifndef TARN_CODEC_REDUCTION_H
#define TARN_CODEC_REDUCTION_H

#include "tarn/bytes.h"
#include "tarn/reducing.h"

enum { TARN__REDUCTION_BYTES_MAX = 8 + 1 + 8 + 8 };

typedef struct tarn__reduction {
    bool is_stamped;
    uint8_t tag;
    int64_t stamp_ms;     /* Of the last add. */
    int64_t threshold_ms; /* What is older than or as old as this does not count. */
    uint64_t bits;        /* The number, as its type has it. */
} tarn__reduction;

/* The tag of a reducer and its type, 1 .. 255; 0 when there is no such pair. */
uint8_t tarn__reduction_tag(tarn_reducer reducer, tarn_number number);

/* What an add of a number is as an operand. COUNT adds 1 whatever the number is. */
uint64_t tarn__reduction_operand(uint8_t tag, uint64_t bits);

/* The threshold of an add at now_ms under a TTL that hides expired values. ttl_ms > 0. */
int64_t tarn__reduction_threshold(int64_t now_ms, int64_t ttl_ms);

/* Writes a reduction; answers its bytes. */
size_t tarn__reduction_encode(
    const tarn__reduction *reduction, uint8_t out[TARN__REDUCTION_BYTES_MAX]);

/* Reads one. False: the bytes are none. */
bool tarn__reduction_decode(tarn_bytes bytes, tarn__reduction *out);

/* Folds what was added later into what was added earlier. False: they are not of one state. */
bool tarn__reduction_fold(tarn__reduction *earlier, const tarn__reduction *later);

#endif
