/* plan.c - see plan_private.h. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/java_number.h"
#include "base/try.h"
#include "memory/fraction.h"
#include "memory/plan_private.h"

enum { BYTES_PER_MEBIBYTE_SHIFT = 20 };

static bool is_mapped(const tarn__plan_source *source, const char *key)
{
    return source->mapped_key != NULL && strcmp(source->mapped_key, key) == 0;
}

bool tarn__plan_is_set(const tarn__plan_source *source, const char *key)
{
    const char *text = NULL;
    bool is_set = false;
    return is_mapped(source, key) ||
           (tarn_config_get_string(source->config, key, &text, &is_set, NULL) == TARN_OK && is_set);
}

/* An option without a default is read only after it was found to be set. */
static tarn_status refuse_unset(tarn_status status, const char *key, tarn_error *error)
{
    if (status == TARN_NOT_FOUND) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "%s is not set and has no default", key);
    }
    return status;
}

tarn_status tarn__plan_read_size(
    const tarn__plan_source *source, const char *key, int64_t *out, tarn_error *error)
{
    if (is_mapped(source, key)) {
        *out = source->mapped_bytes;
        return TARN_OK;
    }
    return refuse_unset(tarn_config_get_memory(source->config, key, out, NULL, error), key, error);
}

tarn_status tarn__plan_read_int(
    const tarn__plan_source *source, const char *key, int32_t *out, tarn_error *error)
{
    const char *text = NULL;
    if (tarn_config_get_string(source->config, key, &text, NULL, NULL) == TARN_OK &&
        tarn__java_int_decode(tarn_bytes_of(text), out)) {
        return TARN_OK;
    }
    return refuse_unset(tarn_config_get_int(source->config, key, out, NULL, error), key, error);
}

static tarn_status read_bounds(
    const tarn__plan_source *source,
    const tarn__plan_range_keys *keys,
    tarn__plan_range *range,
    tarn_error *error)
{
    range->min = 0;
    range->max = INT64_MAX;
    if (keys->min == NULL) {
        return TARN_OK;
    }
    TARN_TRY(tarn__plan_read_size(source, keys->min, &range->min, error));
    return tarn__plan_read_size(source, keys->max, &range->max, error);
}

tarn_status tarn__plan_read_range(
    const tarn__plan_source *source,
    const tarn__plan_range_keys *keys,
    tarn__plan_range *out,
    tarn_error *error)
{
    tarn__plan_range range;
    TARN_TRY(read_bounds(source, keys, &range, error));
    float fraction = 0;
    TARN_TRY(refuse_unset(
        tarn_config_get_float(source->config, keys->fraction, &fraction, NULL, error),
        keys->fraction,
        error));
    range.fraction = (double)fraction; /* Widened from 32 bits, as Flink does: 0.1 has a tail. */
    if (range.min > range.max) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s is %" PRId64 " bytes and %s %" PRId64 " bytes: the minimum exceeds the maximum",
            keys->min,
            range.min,
            keys->max,
            range.max);
    }
    if (!(range.fraction >= 0 && range.fraction < 1)) {
        char text[TARN__JAVA_DOUBLE_TEXT_BYTES];
        tarn__java_double_encode(range.fraction, text);
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s is %s, and must be at least 0 and less than 1",
            keys->fraction,
            text);
    }
    *out = range;
    return TARN_OK;
}

static tarn_status map_mebibytes(tarn__plan_source *source, const char *key, tarn_error *error)
{
    int32_t mebibytes = 0;
    TARN_TRY(tarn__plan_read_int(source, key, &mebibytes, error));
    if (mebibytes < 0) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "%s is %" PRId32 ", less than 0", key, mebibytes);
    }
    source->mapped_bytes = (int64_t)mebibytes << BYTES_PER_MEBIBYTE_SHIFT;
    return TARN_OK;
}

tarn_status tarn__plan_source_init(
    tarn__plan_source *source,
    const tarn_config *config,
    tarn_plan_path path,
    const tarn__plan_keys *keys,
    tarn_error *error)
{
    *source = (tarn__plan_source){.config = config};
    if (path == TARN_PLAN_PLAIN || tarn__plan_is_set(source, keys->legacy_target)) {
        return TARN_OK;
    }
    if (tarn__plan_is_set(source, keys->legacy_size)) {
        TARN_TRY(tarn__plan_read_size(source, keys->legacy_size, &source->mapped_bytes, error));
        source->mapped_key = keys->legacy_target;
    } else if (tarn__plan_is_set(source, keys->legacy_mb)) {
        TARN_TRY(map_mebibytes(source, keys->legacy_mb, error));
        source->mapped_key = keys->legacy_target;
    }
    return TARN_OK;
}

/* Multiplies, then keeps within the bounds. The product alone must fit, whatever the bounds. */
static tarn_status derive(
    int64_t base,
    double multiplier,
    const tarn__plan_range *range,
    const char *fraction_key,
    int64_t *out,
    tarn_error *error)
{
    int64_t size = 0;
    if (!tarn__fraction_multiply(base, multiplier, &size)) {
        char text[TARN__JAVA_DOUBLE_TEXT_BYTES];
        tarn__java_double_encode(multiplier, text);
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%" PRId64 " bytes times %s, which follows from %s, exceed 2^63 - 1 bytes",
            base,
            text,
            fraction_key);
    }
    if (size > range->max) {
        size = range->max;
    } else if (size < range->min) {
        size = range->min;
    }
    *out = size;
    return TARN_OK;
}

tarn_status tarn__plan_derive(
    int64_t whole,
    const tarn__plan_range *range,
    const char *fraction_key,
    int64_t *out,
    tarn_error *error)
{
    return derive(whole, range->fraction, range, fraction_key, out, error);
}

tarn_status tarn__plan_derive_from_rest(
    int64_t rest,
    const tarn__plan_range *range,
    const char *fraction_key,
    int64_t *out,
    tarn_error *error)
{
    const double multiplier = range->fraction / (1 - range->fraction);
    return derive(rest, multiplier, range, fraction_key, out, error);
}

tarn_status tarn__plan_add(
    const int64_t *sizes, size_t count, const char *what, int64_t *out, tarn_error *error)
{
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        if (__builtin_add_overflow(sum, sizes[i], &sum)) {
            return tarn__fail(error, TARN_INVALID_ARGUMENT, "%s exceed 2^63 - 1 bytes", what);
        }
    }
    *out = sum;
    return TARN_OK;
}

/* The overhead is what a process size leaves, and must lie in its own bounds. */
static tarn_status overhead_as_remainder(
    const tarn__plan_source *source,
    const tarn__plan_keys *keys,
    int64_t flink,
    int64_t metaspace,
    int64_t *out,
    tarn_error *error)
{
    int64_t process = 0;
    TARN_TRY(tarn__plan_read_size(source, keys->process_size, &process, error));
    if (process < flink + metaspace) { /* Their sum was found to fit. */
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s is %" PRId64 " bytes, less than the Flink memory of %" PRId64
            " bytes and %s of %" PRId64 " bytes together",
            keys->process_size,
            process,
            flink,
            keys->metaspace_size,
            metaspace);
    }
    const int64_t overhead = process - flink - metaspace;
    tarn__plan_range range;
    TARN_TRY(tarn__plan_read_range(source, &keys->overhead, &range, error));
    if (overhead < range.min || overhead > range.max) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s of %" PRId64 " bytes less the Flink memory of %" PRId64 " bytes and %s of %" PRId64
            " bytes leaves an overhead of %" PRId64 " bytes, outside of %s (%" PRId64
            " bytes) to %s (%" PRId64 " bytes)",
            keys->process_size,
            process,
            flink,
            keys->metaspace_size,
            metaspace,
            overhead,
            keys->overhead.min,
            range.min,
            keys->overhead.max,
            range.max);
    }
    *out = overhead;
    return TARN_OK;
}

tarn_status tarn__plan_jvm_from_flink(
    const tarn__plan_source *source,
    const tarn__plan_keys *keys,
    int64_t flink,
    tarn__plan_jvm *out,
    tarn_error *error)
{
    tarn__plan_jvm jvm = {0};
    TARN_TRY(tarn__plan_read_size(source, keys->metaspace_size, &jvm.metaspace, error));
    int64_t rest = 0;
    TARN_TRY(tarn__plan_add(
        (const int64_t[]){flink, jvm.metaspace},
        2,
        "the Flink memory and the metaspace",
        &rest,
        error));
    if (tarn__plan_is_set(source, keys->process_size)) {
        TARN_TRY(overhead_as_remainder(source, keys, flink, jvm.metaspace, &jvm.overhead, error));
    } else {
        tarn__plan_range range;
        TARN_TRY(tarn__plan_read_range(source, &keys->overhead, &range, error));
        TARN_TRY(tarn__plan_derive_from_rest(
            rest, &range, keys->overhead.fraction, &jvm.overhead, error));
    }
    *out = jvm;
    return TARN_OK;
}

tarn_status tarn__plan_jvm_from_process(
    const tarn__plan_source *source,
    const tarn__plan_keys *keys,
    int64_t process,
    tarn__plan_jvm *out,
    tarn_error *error)
{
    tarn__plan_jvm jvm = {0};
    tarn__plan_range range;
    TARN_TRY(tarn__plan_read_size(source, keys->metaspace_size, &jvm.metaspace, error));
    TARN_TRY(tarn__plan_read_range(source, &keys->overhead, &range, error));
    TARN_TRY(tarn__plan_derive(process, &range, keys->overhead.fraction, &jvm.overhead, error));
    /* Subtracted instead of added: the sum of both may not fit. */
    if (jvm.metaspace > process || jvm.overhead > process - jvm.metaspace) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s of %" PRId64 " bytes and an overhead of %" PRId64
            " bytes (by %s, %s and %s) do not fit into %s of %" PRId64 " bytes",
            keys->metaspace_size,
            jvm.metaspace,
            jvm.overhead,
            keys->overhead.fraction,
            keys->overhead.min,
            keys->overhead.max,
            keys->process_size,
            process);
    }
    *out = jvm;
    return TARN_OK;
}

tarn_status tarn__plan_check_out(const void *config, const void *out, tarn_error *error)
{
    if (config == NULL || out == NULL) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "%s is NULL", config == NULL ? "config" : "out");
    }
    size_t struct_size = 0;
    memcpy(&struct_size, out, sizeof struct_size);
    if (struct_size <= sizeof struct_size) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "out->struct_size is %zu: start from the plan's INIT macro",
            struct_size);
    }
    return TARN_OK;
}

void tarn__plan_publish(void *out, const void *plan, size_t size)
{
    size_t struct_size = 0;
    memcpy(&struct_size, out, sizeof struct_size);
    const size_t end = struct_size < size ? struct_size : size;
    memcpy(
        (char *)out + sizeof struct_size,
        (const char *)plan + sizeof struct_size,
        end - sizeof struct_size);
}
