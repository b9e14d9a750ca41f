/* key_groups.c - a key's hash, its scattering, its key group and the subtask that owns it. */
#include <stdlib.h>
#include <string.h>

#include "tarn/key_group.h"

#include "vectors.h"

enum { KEY_BYTES = 4096, JAVA_FACTOR = 31 };

/* Double.hashCode(): that of the bits as a long, every NaN being the same one. */
static int32_t hash_double(uint64_t bits)
{
    const uint64_t canonical_nan = UINT64_C(0x7ff8000000000000);
    const bool is_nan = (bits & ~(UINT64_C(1) << 63)) > UINT64_C(0x7ff0000000000000);
    return tarn_hash_java_long((int64_t)(is_nan ? canonical_nan : bits));
}

/* Flink's Tuple2.hashCode(). */
static int32_t hash_tuple(const json_t *pair)
{
    const json_t *text = json_array_get(pair, 1);
    const uint32_t first =
        (uint32_t)tarn_hash_java_long(json_integer_value(json_array_get(pair, 0)));
    const uint32_t second =
        (uint32_t)tarn_hash_java_string(json_string_value(text), json_string_length(text));
    return (int32_t)(JAVA_FACTOR * first + second);
}

/* Hashes the key of a case; false when the case is of a type that has no hash here. */
static bool hash_key(const json_t *vector_case, const char *type, int32_t *out)
{
    static uint8_t key[KEY_BYTES];
    const json_t *value = json_object_get(vector_case, "value");
    if (strcmp(type, "string") == 0) {
        const int64_t size = vectors_hex(vectors_text(vector_case, "utf8_hex"), key, sizeof key);
        *out = size < 0 ? 0 : tarn_hash_java_string((const char *)key, (size_t)size);
        return size >= 0;
    }
    if (strcmp(type, "bytes") == 0) {
        const int64_t size = vectors_hex(vectors_text(vector_case, "hex"), key, sizeof key);
        *out = size < 0 ? 0 : tarn_hash_java_bytes(tarn_bytes_at(key, (size_t)size));
        return size >= 0;
    }
    if (strcmp(type, "long") == 0) {
        *out = tarn_hash_java_long(json_integer_value(value));
        return json_is_integer(value);
    }
    if (strcmp(type, "double") == 0) {
        const char *bits = vectors_text(vector_case, "bits_hex");
        *out = bits == NULL ? 0 : hash_double(strtoull(bits, NULL, 16));
        return bits != NULL;
    }
    if (strcmp(type, "tuple2_long_string") == 0) {
        *out = hash_tuple(value);
        return json_array_size(value) == 2;
    }
    /* Byte, Short and Character hash to their own number, as Integer does. */
    *out = tarn_hash_java_int((int32_t)json_integer_value(value));
    return json_is_integer(value);
}

bool vectors_key_groups(const json_t *vector_case, char *why, size_t why_bytes)
{
    int64_t hash = 0;
    int64_t max_parallelism = 0;
    int64_t parallelism = 0;
    if (!vectors_integer(vector_case, "key_hash", &hash) ||
        !vectors_integer(vector_case, "max_parallelism", &max_parallelism) ||
        !vectors_integer(vector_case, "parallelism", &parallelism)) {
        return vectors_differ(why, why_bytes, "the case lacks its hash or its parallelism");
    }
    if (max_parallelism < 1 || max_parallelism > TARN_MAX_PARALLELISM_LIMIT || parallelism < 1 ||
        parallelism > max_parallelism || hash < INT32_MIN || hash > INT32_MAX) {
        return vectors_differ(why, why_bytes, "the case asks for what has no key group");
    }
    const char *type = vectors_text(vector_case, "type");
    int32_t ours = 0;
    if (type != NULL && !hash_key(vector_case, type, &ours)) {
        return vectors_differ(why, why_bytes, "no hash for a key of type %s", type);
    }
    if (type != NULL && !vectors_check_integer(vector_case, "key_hash", ours, why, why_bytes)) {
        return false;
    }
    const uint32_t group = tarn_key_group_of((int32_t)hash, (uint32_t)max_parallelism);
    const uint32_t subtask =
        tarn_key_group_subtask(group, (uint32_t)max_parallelism, (uint32_t)parallelism);
    const int32_t murmur = tarn_hash_murmur((int32_t)hash);
    return vectors_check_integer(vector_case, "murmur", murmur, why, why_bytes) &&
           vectors_check_integer(vector_case, "key_group", group, why, why_bytes) &&
           vectors_check_integer(vector_case, "operator_index", subtask, why, why_bytes);
}
