/**
 * @file tarn/key_group.h
 * @brief Which key group a key belongs to, and which subtask owns a key group.
 *
 *     int32_t hash = tarn_hash_java_string("N14228", 6);
 *     uint32_t group = tarn_key_group_of(hash, 128);
 *     uint32_t subtask = tarn_key_group_subtask(group, 128, 4);
 *
 * The assignment is Flink's (KeyGroupRangeAssignment), so that a job can move between engines key
 * by key. Which hash a key has is the caller's choice: Tarn's own for bytes, or that of Java's
 * types for jobs that must agree with a JVM.
 *
 * Thread: pure.
 */
#ifndef TARN_KEY_GROUP_H
#define TARN_KEY_GROUP_H

#include "tarn/bytes.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The largest maximum parallelism: key groups are stored in two bytes, of which one bit is kept.
 */
#define TARN_MAX_PARALLELISM_LIMIT 32768u

/** A closed interval of key groups: both ends belong to it. */
typedef struct tarn_key_group_range {
    uint16_t first;
    uint16_t last;
} tarn_key_group_range;

/** Tarn's own hash of a key's bytes: the low 32 bits of XXH3-64. */
TARN_API int32_t tarn_hash_bytes(tarn_bytes key);

/** Integer.hashCode(). */
TARN_API int32_t tarn_hash_java_int(int32_t key);

/** Long.hashCode(). */
TARN_API int32_t tarn_hash_java_long(int64_t key);

/**
 * String.hashCode() of a UTF-8 text: over its UTF-16 units.
 *
 * @param[in] utf8  Shape: UTF-8. A byte that is not part of a valid sequence counts as U+FFFD.
 * @param[in] size  Units: bytes.
 */
TARN_API int32_t tarn_hash_java_string(const char *utf8, size_t size);

/** Arrays.hashCode(byte[]). */
TARN_API int32_t tarn_hash_java_bytes(tarn_bytes key);

/** Flink's MathUtils.murmurHash(): scatters a hash; never negative. */
TARN_API int32_t tarn_hash_murmur(int32_t hash);

/**
 * Assigns a key to a key group: murmur(hash) mod max_parallelism.
 *
 * @param[in] hash             The key's hash, any of the above.
 * @param[in] max_parallelism  Units: groups, 1 .. TARN_MAX_PARALLELISM_LIMIT.
 * @return The group, 0 .. max_parallelism - 1.
 */
TARN_API uint32_t tarn_key_group_of(int32_t hash, uint32_t max_parallelism);

/** Answers the subtask that owns a group: group * parallelism / max_parallelism. */
TARN_API uint32_t
tarn_key_group_subtask(uint32_t group, uint32_t max_parallelism, uint32_t parallelism);

/**
 * Answers the groups that a subtask owns.
 *
 * @retval TARN_OK                *out is set.
 * @retval TARN_INVALID_ARGUMENT  parallelism is not 1 .. max_parallelism, max_parallelism is not
 *                                1 .. TARN_MAX_PARALLELISM_LIMIT, or subtask >= parallelism.
 */
TARN_API TARN_NODISCARD tarn_status tarn_key_group_range_of(
    uint32_t subtask,
    uint32_t parallelism,
    uint32_t max_parallelism,
    tarn_key_group_range *out,
    tarn_error *error);

/**
 * Answers the maximum parallelism that Flink chooses when none is set: 1.5 times the parallelism,
 * rounded up to a power of two, at least 128 and at most 32,768.
 *
 * @param[in] parallelism  Units: subtasks, 1 .. TARN_MAX_PARALLELISM_LIMIT.
 * @return The maximum, or 0 for a parallelism outside of that range.
 */
TARN_API uint32_t tarn_max_parallelism_default(uint32_t parallelism);

#ifdef __cplusplus
}
#endif
#endif
