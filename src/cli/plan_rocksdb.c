/* plan_rocksdb.c - `tarn plan rocksdb`: cache and write buffers out of the managed pool. */
#include <inttypes.h>
#include <stdio.h>

#include "plan.h"
#include "setting.h"
#include "table.h"
#include "text.h"

#define ROCKSDB "state.backend.rocksdb.memory."

/* Whether anything sizes the TaskManager as a whole. */
static bool is_process_sized(const cli_plan_request *request)
{
    static const char *const keys[] = {
        "taskmanager.memory.process.size",
        "taskmanager.memory.flink.size",
        "taskmanager.memory.task.heap.size",
        "taskmanager.heap.size",
        "taskmanager.heap.mb",
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        tarn_config_entry entry;
        if (cli_setting_find(request->config, keys[i], &entry)) {
            return true;
        }
    }
    return false;
}

/* Whether RocksDB's memory comes from elsewhere than the managed pool. */
static bool needs_no_managed(const cli_plan_request *request)
{
    tarn_config_entry entry;
    bool is_managed = true;
    return cli_setting_find(request->config, ROCKSDB "fixed-per-slot", &entry) ||
           (tarn_config_get_bool(request->config, ROCKSDB "managed", &is_managed, NULL, NULL) ==
                TARN_OK &&
            !is_managed);
}

/* The slots that divide the managed pool, where no plan says them. */
static tarn_status read_slots(const cli_plan_request *request, int32_t *slots, tarn_error *error)
{
    return tarn_config_get_int(
        request->config, "taskmanager.numberOfTaskSlots", slots, NULL, error);
}

/* The managed pool and the slots: as they were given, else as the TaskManager's plan has them. */
static tarn_status find_managed(
    const cli_plan_request *request, int64_t *managed, int32_t *slots, tarn_error *error)
{
    if (request->has_managed) {
        *managed = request->managed_bytes;
        return read_slots(request, slots, error);
    }
    if (!is_process_sized(request)) {
        tarn_config_entry entry;
        const char *key = "taskmanager.memory.managed.size";
        if (cli_setting_find(request->config, key, &entry)) {
            const tarn_status status =
                tarn_config_get_memory(request->config, key, managed, NULL, error);
            return status == TARN_OK ? read_slots(request, slots, error) : status;
        }
        if (needs_no_managed(request)) {
            *managed = 0;
            return read_slots(request, slots, error);
        }
    }
    tarn_taskmanager_plan plan = TARN_TASKMANAGER_PLAN_INIT;
    const tarn_status status = tarn_plan_taskmanager(request->config, request->path, &plan, error);
    if (status == TARN_OK) {
        *managed = plan.managed;
        *slots = plan.slots;
    }
    return status;
}

/* What sizes the share of a slot. */
static const char *source_of(const tarn_rocksdb_plan *plan)
{
    if (plan->using_fixed_per_slot) {
        return ROCKSDB "fixed-per-slot";
    }
    if (plan->using_managed) {
        return "managed memory / slots";
    }
    return plan->using_fixed_per_tm ? ROCKSDB "fixed-per-tm / slots"
                                    : "none: each backend has its own cache";
}

/* One line of the answer. */
typedef struct size_row {
    const char *name; /* As in the JSON answer. */
    int64_t bytes;
    const char *why;
} size_row;

enum { SIZE_ROW_COUNT = 9 };

static void list_sizes(const tarn_rocksdb_plan *plan, size_row rows[SIZE_ROW_COUNT])
{
    const size_row all[SIZE_ROW_COUNT] = {
        {"managed_total", plan->managed_total, "the managed pool of the process"},
        {"per_slot", plan->per_slot, source_of(plan)},
        {"cache_capacity", plan->cache_capacity, "(3 - write_buffer_ratio) / 3 of per_slot"},
        {"write_buffer_manager_capacity",
         plan->write_buffer_manager_capacity,
         "2 / 3 of write_buffer_ratio of per_slot; RocksDB may overrun it by a half"},
        {"write_buffer_size", plan->write_buffer_size, "state.backend.rocksdb.writebuffer.size"},
        {"arena_block_size_configured",
         plan->arena_block_size_configured,
         "tarn.rocksdb.arena-block-size; 0: not set"},
        {"default_arena_block_size",
         plan->default_arena_block_size,
         "1 / 8 of write_buffer_size, in whole pages"},
        {"arena_used",
         plan->arena_used,
         "what a memtable grows by in Flink; in Tarn at most 1 / 32 of mutable_limit, unless set"},
        {"mutable_limit",
         plan->mutable_limit,
         "7 / 8 of the write buffers: memtables are flushed beyond it"},
    };
    for (size_t i = 0; i < SIZE_ROW_COUNT; i++) {
        rows[i] = all[i];
    }
}

static void print_json(const tarn_rocksdb_plan *plan, const char *refusal)
{
    size_row rows[SIZE_ROW_COUNT];
    list_sizes(plan, rows);
    json_t *bytes = cli_json_object();
    for (size_t i = 0; i < SIZE_ROW_COUNT; i++) {
        cli_json_set(bytes, rows[i].name, cli_json_integer(rows[i].bytes));
    }
    json_t *answer = cli_json_object();
    cli_json_set(answer, "ok", json_boolean(refusal == NULL));
    if (refusal != NULL) {
        cli_json_set(answer, "error", cli_json_text(refusal));
    }
    cli_json_set(answer, "bytes", bytes);
    cli_json_set(answer, "slots", cli_json_integer(plan->slots));
    cli_json_set(answer, "write_buffer_ratio", cli_json_real(plan->write_buffer_ratio));
    cli_json_set(answer, "high_priority_ratio", cli_json_real(plan->high_priority_ratio));
    cli_json_set(answer, "arena_valid", json_boolean(plan->arena_valid));
    cli_json_set(answer, "is_shared", json_boolean(plan->is_shared));
    cli_json_set(answer, "using_managed", json_boolean(plan->using_managed));
    cli_json_set(answer, "using_fixed_per_slot", json_boolean(plan->using_fixed_per_slot));
    cli_json_set(answer, "using_fixed_per_tm", json_boolean(plan->using_fixed_per_tm));
    cli_json_set(
        answer, "partitioned_index_filters", json_boolean(plan->partitioned_index_filters));
    cli_json_print(answer);
}

static void print_table(const tarn_rocksdb_plan *plan)
{
    static const cli_column columns[] = {
        {"SHARE", CLI_LEFT}, {"BYTES", CLI_RIGHT}, {"SIZE", CLI_RIGHT}, {"WHY", CLI_LEFT}};
    size_row rows[SIZE_ROW_COUNT];
    list_sizes(plan, rows);
    cli_table *table = cli_table_new(columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < SIZE_ROW_COUNT; i++) {
        const cli_text bytes = cli_text_integer(rows[i].bytes);
        const cli_text size = cli_text_size(rows[i].bytes);
        cli_table_add(
            table, (const char *const[]){rows[i].name, bytes.data, size.data, rows[i].why});
    }
    cli_table_print(table);
    printf(
        "\nslots: %" PRId32 ", write buffer ratio: %s, high priority ratio: %s, "
        "partitioned index and filters: %s, arena block fits: %s\n",
        plan->slots,
        cli_text_real(plan->write_buffer_ratio).data,
        cli_text_real(plan->high_priority_ratio).data,
        plan->partitioned_index_filters ? "yes" : "no",
        plan->arena_valid ? "yes" : "no");
}

int cli_plan_rocksdb(const cli_plan_request *request)
{
    tarn_error error;
    int64_t managed = 0;
    int32_t slots = 0;
    tarn_rocksdb_plan plan = TARN_ROCKSDB_PLAN_INIT;
    if (find_managed(request, &managed, &slots, &error) != TARN_OK ||
        tarn_plan_rocksdb(
            request->config, managed, request->has_slots ? request->slots : slots, &plan, &error) !=
            TARN_OK) {
        return cli_refuse(request->as_json, error.message);
    }
    /* No environment opens on such a plan. */
    const bool is_refused = tarn_plan_rocksdb_is_endless(&plan);
    char refusal[256];
    snprintf(
        refusal,
        sizeof refusal,
        "RocksDB would flush without end: all memtables of a slot are flushed beyond %" PRId64
        " bytes, less than one arena block%s; give it more memory or smaller blocks",
        plan.mutable_limit,
        plan.arena_block_size_configured > 0 ? " of tarn.rocksdb.arena-block-size" : "");
    if (request->as_json) {
        print_json(&plan, is_refused ? refusal : NULL);
    } else {
        print_table(&plan);
        if (is_refused) {
            cli_say("%s", refusal);
        }
    }
    return is_refused ? CLI_NO : CLI_OK;
}
