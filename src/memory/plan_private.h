/*
 * plan_private.h - what the planners of the TaskManager and the JobManager share.
 *
 *     options ──► source (with an old key mapped) ──► leading size ──► pools
 *                                                         │
 *                       metaspace and overhead  ◄── from the Flink size, or out of the process size
 *
 * An option is read when it is needed and not before, because only then may it be wrong.
 * Source: the rules of Flink 1.20's ProcessMemoryUtils and what it calls; vectors tm_memory and
 * jm_memory.
 */
#ifndef TARN_MEMORY_PLAN_PRIVATE_H
#define TARN_MEMORY_PLAN_PRIVATE_H

#include "tarn/plan.h"

/* Blocks of a memtable's arena that are fitted to the budget are no smaller. */
enum { TARN__PLAN_ARENA_BYTES_MIN = 64 << 10 };

/* Where options come from. */
typedef struct tarn__plan_source {
    const tarn_config *config;
    const char *mapped_key; /* Counts as set to mapped_bytes; NULL: none. */
    int64_t mapped_bytes;
} tarn__plan_source;

/* A share of something, with bounds. Units: bytes. */
typedef struct tarn__plan_range {
    int64_t min;
    int64_t max;
    double fraction; /* 0 or more, below 1. */
} tarn__plan_range;

/* The keys of a range; NULL for min and max: no bounds. */
typedef struct tarn__plan_range_keys {
    const char *min;
    const char *max;
    const char *fraction;
} tarn__plan_range_keys;

/* The keys that both kinds of process have. */
typedef struct tarn__plan_keys {
    const char *process_size;
    const char *flink_size;
    const char *metaspace_size;
    tarn__plan_range_keys overhead;
    const char *legacy_size;
    const char *legacy_mb;
    const char *legacy_target; /* What a legacy key stands for. */
} tarn__plan_keys;

/* What a process has beside its Flink memory. Units: bytes. */
typedef struct tarn__plan_jvm {
    int64_t metaspace;
    int64_t overhead;
} tarn__plan_jvm;

/* Tells whether an option is set under its key or one of its other spellings. */
bool tarn__plan_is_set(const tarn__plan_source *source, const char *key);

/* The size of an option, or its default. */
tarn_status tarn__plan_read_size(
    const tarn__plan_source *source, const char *key, int64_t *out, tarn_error *error);

/* An integer as Java parses it, whatever its bounds in the table. */
tarn_status tarn__plan_read_int(
    const tarn__plan_source *source, const char *key, int32_t *out, tarn_error *error);

/* Reads and judges a range. */
tarn_status tarn__plan_read_range(
    const tarn__plan_source *source,
    const tarn__plan_range_keys *keys,
    tarn__plan_range *out,
    tarn_error *error);

/* Sets up a source; TARN_PLAN_SHELL maps a legacy key. */
tarn_status tarn__plan_source_init(
    tarn__plan_source *source,
    const tarn_config *config,
    tarn_plan_path path,
    const tarn__plan_keys *keys,
    tarn_error *error);

/* The share of a whole that is known. */
tarn_status tarn__plan_derive(
    int64_t whole,
    const tarn__plan_range *range,
    const char *fraction_key,
    int64_t *out,
    tarn_error *error);

/* The share when the rest of the whole is known: rest * (fraction / (1 - fraction)). */
tarn_status tarn__plan_derive_from_rest(
    int64_t rest,
    const tarn__plan_range *range,
    const char *fraction_key,
    int64_t *out,
    tarn_error *error);

/* Adds sizes; a sum beyond INT64_MAX is refused by naming what. */
tarn_status tarn__plan_add(
    const int64_t *sizes, size_t count, const char *what, int64_t *out, tarn_error *error);

/* Metaspace and overhead around a known Flink size. */
tarn_status tarn__plan_jvm_from_flink(
    const tarn__plan_source *source,
    const tarn__plan_keys *keys,
    int64_t flink,
    tarn__plan_jvm *out,
    tarn_error *error);

/* Metaspace and overhead out of a known process size. */
tarn_status tarn__plan_jvm_from_process(
    const tarn__plan_source *source,
    const tarn__plan_keys *keys,
    int64_t process,
    tarn__plan_jvm *out,
    tarn_error *error);

/* Judges out's struct_size, which must reach beyond itself. */
tarn_status tarn__plan_check_out(const void *config, const void *out, tarn_error *error);

/* Copies a plan into the caller's, as far as that reaches; its struct_size stays. */
void tarn__plan_publish(void *out, const void *plan, size_t size);

#endif
