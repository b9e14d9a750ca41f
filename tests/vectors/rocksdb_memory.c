/*
 * rocksdb_memory.c - RocksDB's share: `calc` the arithmetic, `arena_edge` the check at its edges,
 * `config` what the options give or why they are refused.
 */
#include <math.h>
#include <string.h>

#include "plan_case.h"

/* A number, or the text "NaN", "Infinity" or "-Infinity". */
static bool check_double(
    const json_t *object, const char *name, double ours, char *why, size_t why_bytes)
{
    const json_t *member = json_object_get(object, name);
    const char *text = json_string_value(member);
    double theirs = json_number_value(member);
    if (text != NULL) {
        theirs = strcmp(text, "NaN") == 0 ? (double)NAN : (double)INFINITY;
        theirs = text[0] == '-' ? -theirs : theirs;
    } else if (!json_is_number(member)) {
        return vectors_differ(why, why_bytes, "the case has no number \"%s\"", name);
    }
    return ours == theirs || (isnan(ours) && isnan(theirs)) ||
           vectors_differ(why, why_bytes, "%s: %.17g instead of %.17g", name, ours, theirs);
}

static bool check_bool(
    const json_t *object, const char *name, bool ours, char *why, size_t why_bytes)
{
    const json_t *member = json_object_get(object, name);
    const char *text = json_string_value(member);
    const bool theirs = json_is_true(member) || (text != NULL && strcmp(text, "true") == 0);
    return ours == theirs ||
           vectors_differ(why, why_bytes, "%s: %d instead of %d", name, ours, theirs);
}

/* What Flink handed to RocksDB's own constructors must be what was calculated. */
static bool check_allocated(
    const json_t *vector_case, const tarn_rocksdb_plan *plan, char *why, size_t why_bytes)
{
    const json_t *allocated = json_object_get(vector_case, "allocated");
    if (!json_is_object(allocated)) {
        return true;
    }
    return vectors_check_integer(allocated, "cache", plan->cache_capacity, why, why_bytes) &&
           vectors_check_integer(
               allocated,
               "write_buffer_manager",
               plan->write_buffer_manager_capacity,
               why,
               why_bytes) &&
           check_double(
               allocated, "high_priority_ratio", plan->high_priority_ratio, why, why_bytes);
}

static bool check_calculation(const json_t *vector_case, char *why, size_t why_bytes)
{
    tarn_rocksdb_plan plan = TARN_ROCKSDB_PLAN_INIT;
    int64_t slots = 0;
    if (!vectors_integer(vector_case, "managed_total", &plan.managed_total) ||
        !vectors_integer(vector_case, "slots", &slots) ||
        !vectors_integer(vector_case, "write_buffer_size", &plan.write_buffer_size) ||
        !vectors_integer(
            vector_case, "arena_block_size_configured", &plan.arena_block_size_configured)) {
        return vectors_differ(why, why_bytes, "the case lacks what it calculates from");
    }
    plan.slots = (int32_t)slots;
    plan.using_managed = true;
    plan.write_buffer_ratio = json_number_value(json_object_get(vector_case, "write_buffer_ratio"));
    plan.high_priority_ratio =
        json_number_value(json_object_get(vector_case, "high_priority_ratio"));
    tarn_plan_rocksdb_calculate(&plan);
    const plan_size sizes[] = {
        {"per_slot", plan.per_slot},
        {"cache_capacity", plan.cache_capacity},
        {"write_buffer_manager_capacity", plan.write_buffer_manager_capacity},
        {"default_arena_block_size", plan.default_arena_block_size},
        {"mutable_limit", plan.mutable_limit},
        {"arena_used", plan.arena_used},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (!vectors_check_integer(vector_case, sizes[i].name, sizes[i].bytes, why, why_bytes)) {
            return false;
        }
    }
    return check_bool(vector_case, "arena_valid", plan.arena_valid, why, why_bytes) &&
           check_bool(vector_case, "sanity_check", plan.arena_valid, why, why_bytes) &&
           check_allocated(vector_case, &plan, why, why_bytes);
}

static bool check_arena(const json_t *vector_case, char *why, size_t why_bytes)
{
    int64_t block = 0;
    int64_t limit = 0;
    if (!vectors_integer(vector_case, "arena_block_size", &block) ||
        !vectors_integer(vector_case, "mutable_limit", &limit)) {
        return vectors_differ(why, why_bytes, "the case lacks a size");
    }
    return check_bool(
        vector_case, "arena_valid", tarn_plan_arena_is_valid(block, limit), why, why_bytes);
}

static bool check_settings(
    const json_t *vector_case, const tarn_rocksdb_plan *plan, char *why, size_t why_bytes)
{
    const bool is_fixed = json_is_integer(json_object_get(vector_case, "fixed_per_slot"));
    if (is_fixed && !vectors_check_integer(
                        vector_case, "fixed_per_slot", plan->fixed_per_slot, why, why_bytes)) {
        return false;
    }
    return check_bool(vector_case, "using_managed", plan->using_managed, why, why_bytes) &&
           check_bool(
               vector_case, "using_fixed_per_slot", plan->using_fixed_per_slot, why, why_bytes) &&
           check_bool(
               vector_case,
               "partitioned_index_filters",
               plan->partitioned_index_filters,
               why,
               why_bytes) &&
           check_double(
               vector_case, "write_buffer_ratio", plan->write_buffer_ratio, why, why_bytes) &&
           check_double(
               vector_case, "high_priority_ratio", plan->high_priority_ratio, why, why_bytes);
}

static bool check_config(const json_t *vector_case, char *why, size_t why_bytes)
{
    tarn_config *config = NULL;
    if (!plan_case_config(vector_case, &config, why, why_bytes)) {
        return false;
    }
    tarn_rocksdb_plan plan = TARN_ROCKSDB_PLAN_INIT;
    tarn_error error = {0};
    const tarn_status status =
        tarn_plan_rocksdb(config, /* managed_total= */ 0, /* slots= */ 1, &plan, &error);
    tarn_config_free(config);
    bool is_done = false;
    return plan_case_outcome(vector_case, status, &error, &is_done, why, why_bytes) &&
           (is_done || check_settings(vector_case, &plan, why, why_bytes));
}

bool vectors_rocksdb_memory(const json_t *vector_case, char *why, size_t why_bytes)
{
    const char *kind = vectors_text(vector_case, "kind");
    if (kind != NULL && strcmp(kind, "calc") == 0) {
        return check_calculation(vector_case, why, why_bytes);
    }
    if (kind != NULL && strcmp(kind, "arena_edge") == 0) {
        return check_arena(vector_case, why, why_bytes);
    }
    if (kind != NULL && strcmp(kind, "config") == 0) {
        return check_config(vector_case, why, why_bytes);
    }
    return vectors_differ(why, why_bytes, "no check for the kind %s", kind == NULL ? "?" : kind);
}
