/*
 * plan_rocksdb.c - RocksDB's cache and write buffers out of the managed pool.
 *
 *     per_slot ──┬── write buffers: ratio of it; RocksDB may overrun their capacity by a half,
 *                │                  so the capacity is two thirds of the share
 *                └── cache: everything less the part that the overrun takes: (3 - ratio) / 3
 *
 * The arithmetic is in double, in this order, and cut: one unit in the last place shows in the
 * result. Source: the rules of Flink 1.20's RocksDBMemoryControllerUtils and
 * RocksDBMemoryConfiguration; vectors rocksdb_memory.
 */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/java_number.h"
#include "base/try.h"
#include "memory/plan_private.h"

#define PREFIX       "state.backend.rocksdb.memory."
#define RATIO        PREFIX "write-buffer-ratio"
#define HIGH_PRIO    PREFIX "high-prio-pool-ratio"
#define PER_SLOT     PREFIX "fixed-per-slot"
#define PER_TM       PREFIX "fixed-per-tm"
#define MANAGED      PREFIX "managed"
#define PARTITIONED  PREFIX "partitioned-index-filters"
#define WRITE_BUFFER "state.backend.rocksdb.writebuffer.size"
#define ARENA        "tarn.rocksdb.arena-block-size"

enum {
    ARENA_SHARE = 8,       /* RocksDB: a memtable has about 8 arena blocks, */
    ARENA_ALIGN = 4096,    /* each a multiple of this many bytes. */
    MUTABLE_NUMERATOR = 7, /* RocksDB: memtables are flushed beyond 7/8 of their capacity. */
    MUTABLE_DENOMINATOR = 8,
};

/* What Java's cast of a double to a long does: cut, saturate, 0 for NaN. */
static int64_t as_java_long(double number)
{
    if (number >= 0x1p63) {
        return INT64_MAX;
    }
    if (number <= -0x1p63) {
        return INT64_MIN;
    }
    return number == number ? (int64_t)number : 0;
}

/* Products wrap around as Java's do. */
static int64_t wrapping_product(int64_t a, int64_t b)
{
    const uint64_t bits = (uint64_t)a * (uint64_t)b;
    return bits <= INT64_MAX ? (int64_t)bits : -(int64_t)(UINT64_MAX - bits) - 1;
}

static int64_t arena_block_default(int64_t write_buffer_size)
{
    const int64_t block = write_buffer_size / ARENA_SHARE;
    return (block + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

void tarn_rocksdb_plan_init(tarn_rocksdb_plan *plan, size_t struct_size)
{
    memset(plan, 0, struct_size);
    plan->struct_size = struct_size;
}

/* What the backends of one slot share; what leads is the same as in Flink. */
static int64_t share_of_slot(const tarn_rocksdb_plan *plan)
{
    if (plan->using_fixed_per_slot) {
        return plan->fixed_per_slot;
    }
    if (plan->using_managed) {
        return plan->managed_total / plan->slots;
    }
    return plan->using_fixed_per_tm ? plan->fixed_per_tm / plan->slots : 0;
}

bool tarn_plan_arena_is_valid(int64_t arena_block_size, int64_t mutable_limit)
{
    return arena_block_size <= mutable_limit;
}

bool tarn_plan_rocksdb_is_endless(const tarn_rocksdb_plan *plan)
{
    const int64_t arena =
        plan->arena_block_size_configured > 0 || plan->arena_used < TARN__PLAN_ARENA_BYTES_MIN
            ? plan->arena_used
            : TARN__PLAN_ARENA_BYTES_MIN;
    return plan->is_shared && !tarn_plan_arena_is_valid(arena, plan->mutable_limit);
}

void tarn_plan_rocksdb_calculate(tarn_rocksdb_plan *plan)
{
    plan->is_shared = plan->using_fixed_per_slot || plan->using_managed || plan->using_fixed_per_tm;
    plan->per_slot = share_of_slot(plan);
    const double cache = (3 - plan->write_buffer_ratio) * (double)plan->per_slot / 3;
    const int64_t doubled = wrapping_product(2, plan->per_slot);
    const double write_buffers = (double)doubled * plan->write_buffer_ratio / 3;
    plan->cache_capacity = as_java_long(cache);
    plan->write_buffer_manager_capacity = as_java_long(write_buffers);
    plan->mutable_limit = wrapping_product(plan->write_buffer_manager_capacity, MUTABLE_NUMERATOR) /
                          MUTABLE_DENOMINATOR;
    plan->default_arena_block_size = arena_block_default(plan->write_buffer_size);
    plan->arena_used = plan->arena_block_size_configured > 0 ? plan->arena_block_size_configured
                                                             : plan->default_arena_block_size;
    plan->arena_valid = tarn_plan_arena_is_valid(plan->arena_used, plan->mutable_limit);
}

/* A size that may be left out. */
static tarn_status read_optional_size(
    const tarn_config *config, const char *key, int64_t *out, bool *is_set, tarn_error *error)
{
    const tarn_status status = tarn_config_get_memory(config, key, out, is_set, error);
    if (status == TARN_NOT_FOUND) {
        *out = 0;
        *is_set = false;
        return TARN_OK;
    }
    return status;
}

/* The write buffers and the cache's high-priority part must leave some of the cache. */
static tarn_status check_ratios(const tarn_rocksdb_plan *plan, tarn_error *error)
{
    const double write_buffers = 2 * plan->write_buffer_ratio / (3 - plan->write_buffer_ratio);
    if (write_buffers + plan->high_priority_ratio >= 1.0) {
        char ratio[TARN__JAVA_DOUBLE_TEXT_BYTES];
        char high_priority[TARN__JAVA_DOUBLE_TEXT_BYTES];
        tarn__java_double_encode(plan->write_buffer_ratio, ratio);
        tarn__java_double_encode(plan->high_priority_ratio, high_priority);
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            RATIO " (%s) and " HIGH_PRIO " (%s) leave nothing of the cache: 2r/(3-r) of it for "
                  "the first and the second must stay below 1 together",
            ratio,
            high_priority);
    }
    return TARN_OK;
}

static tarn_status read_settings(
    const tarn_config *config, tarn_rocksdb_plan *plan, tarn_error *error)
{
    TARN_TRY(tarn_config_get_bool(config, MANAGED, &plan->using_managed, NULL, error));
    TARN_TRY(read_optional_size(
        config, PER_SLOT, &plan->fixed_per_slot, &plan->using_fixed_per_slot, error));
    TARN_TRY(tarn_config_get_double(config, RATIO, &plan->write_buffer_ratio, NULL, error));
    TARN_TRY(tarn_config_get_double(config, HIGH_PRIO, &plan->high_priority_ratio, NULL, error));
    TARN_TRY(
        tarn_config_get_bool(config, PARTITIONED, &plan->partitioned_index_filters, NULL, error));
    TARN_TRY(check_ratios(plan, error));
    /* Flink looks at the process's own share only when nothing else sizes the cache. */
    if (!plan->using_fixed_per_slot && !plan->using_managed) {
        TARN_TRY(read_optional_size(
            config, PER_TM, &plan->fixed_per_tm, &plan->using_fixed_per_tm, error));
    }
    bool has_arena = false;
    TARN_TRY(
        read_optional_size(config, ARENA, &plan->arena_block_size_configured, &has_arena, error));
    return tarn_config_get_memory(config, WRITE_BUFFER, &plan->write_buffer_size, NULL, error);
}

tarn_status tarn_plan_rocksdb(
    const tarn_config *config,
    int64_t managed_total,
    int32_t slots,
    tarn_rocksdb_plan *out,
    tarn_error *error)
{
    TARN_TRY(tarn__plan_check_out(config, out, error));
    if (managed_total < 0) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "managed_total is %" PRId64 " bytes", managed_total);
    }
    if (slots < 1 && slots != -1) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "taskmanager.numberOfTaskSlots is %" PRId32 ", and must be at least 1",
            slots);
    }
    tarn_rocksdb_plan plan = TARN_ROCKSDB_PLAN_INIT;
    plan.managed_total = managed_total;
    plan.slots = slots == -1 ? 1 : slots; /* Old files say -1 for the default. */
    TARN_TRY(read_settings(config, &plan, error));
    tarn_plan_rocksdb_calculate(&plan);
    tarn__plan_publish(out, &plan, sizeof plan);
    return TARN_OK;
}
