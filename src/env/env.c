/* env.c - see env.h and tarn/env.h. */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/process.h"
#include "base/try.h"
#include "env/env_private.h"
#include "memory/budget.h"
#include "rocks/memory.h"

enum { LOG_MESSAGE_BYTES = 512 };

void tarn_env_options_init(tarn_env_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

static tarn_status open_budget(
    const tarn_taskmanager_plan *plan,
    const tarn_allocator *allocator,
    tarn_budget **out,
    tarn_error *error)
{
    const tarn_budget_options options = {
        .struct_size = sizeof options,
        .limit_bytes =
            {
                [TARN_POOL_HEAP] = (uint64_t)(plan->framework_heap + plan->task_heap),
                [TARN_POOL_MANAGED] = (uint64_t)plan->managed,
                [TARN_POOL_NETWORK] = (uint64_t)plan->network,
                [TARN_POOL_OFF_HEAP] = (uint64_t)(plan->framework_offheap + plan->task_offheap),
            },
        .allocator = allocator,
    };
    return tarn_budget_open(&options, out, error);
}

/*
 * RocksDB's share for the whole process. Flink divides the managed pool by slots and gives each a
 * cache; here all backends share one, so the shares of the slots are added up again.
 */
static tarn_status plan_rocksdb(
    const tarn_config *config,
    const tarn_taskmanager_plan *process,
    tarn_rocksdb_plan *out,
    tarn_error *error)
{
    tarn_rocksdb_plan plan = TARN_ROCKSDB_PLAN_INIT;
    TARN_TRY(tarn_plan_rocksdb(config, process->managed, 1, &plan, error));
    if (plan.using_fixed_per_slot && process->slots > 1) {
        if (plan.fixed_per_slot > INT64_MAX / process->slots) {
            return tarn__fail(
                error,
                TARN_INVALID_ARGUMENT,
                "state.backend.rocksdb.memory.fixed-per-slot (%" PRId64
                " bytes) times taskmanager.numberOfTaskSlots (%" PRId32 ") is more than 2^63 bytes",
                plan.fixed_per_slot,
                process->slots);
        }
        plan.fixed_per_slot *= process->slots;
        tarn_plan_rocksdb_calculate(&plan);
    }
    if (plan.is_shared && plan.per_slot > process->managed) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "RocksDB is given %" PRId64 " bytes by %s, but the managed pool has %" PRId64
            "; raise taskmanager.memory.managed.size or lower the other",
            plan.per_slot,
            plan.using_fixed_per_slot ? "state.backend.rocksdb.memory.fixed-per-slot"
                                      : "state.backend.rocksdb.memory.fixed-per-tm",
            process->managed);
    }
    *out = plan;
    return TARN_OK;
}

static tarn_status open_rocks_memory(tarn_env *env, tarn_error *error)
{
    const tarn_rocksdb_plan *plan = &env->rocksdb_plan;
    TARN_TRY(
        tarn__owner_open(env->budget, TARN_POOL_MANAGED, &env->rocksdb_owner, error, "rocksdb"));
    if (plan->is_shared) {
        TARN_TRY(
            tarn_owner_reserve(env->rocksdb_owner, (uint64_t)plan->per_slot, TARN_NO_WAIT, error));
        env->rocksdb_bytes = (uint64_t)plan->per_slot;
    }
    /* Set by nobody, it is left to RocksDB: rocks/options.h has the reason. */
    double ratio = 0;
    bool has_ratio = false;
    TARN_TRY(tarn_config_get_double(
        env->config,
        "state.backend.rocksdb.memory.high-prio-pool-ratio",
        &ratio,
        &has_ratio,
        error));
    const tarn__rocks_memory_options options = {
        .account = tarn__owner_account(env->owner),
        .clock = tarn__clock_system(),
        .is_managed = plan->is_shared,
        .total_bytes = (uint64_t)plan->per_slot,
        .cache_capacity_bytes = (uint64_t)plan->cache_capacity,
        .write_buffer_capacity_bytes = (uint64_t)plan->write_buffer_manager_capacity,
        .mutable_limit_bytes = (uint64_t)plan->mutable_limit,
        .high_priority_ratio = has_ratio ? ratio : -1,
    };
    return tarn__rocks_memory_open(&options, &env->rocks_memory, error);
}

static tarn_status copy_config(tarn_env *env, const tarn_config *config, tarn_error *error)
{
    TARN_TRY(tarn_config_new(tarn_owner_allocator(env->owner), &env->config, error));
    return tarn_config_merge(env->config, config, error);
}

/* Closes an owner that holds nothing any more, or NULL. */
static void close_owner(tarn_owner *owner)
{
    const tarn_status status = tarn_owner_close(owner, NULL);
    assert(status == TARN_OK);
    (void)status;
}

static void close_budget(tarn_budget *budget)
{
    const tarn_status status = tarn_budget_close(budget, NULL);
    assert(status == TARN_OK);
    (void)status;
}

/* Frees what a half- or fully opened environment without children holds. */
static void clear(tarn_env *env)
{
    tarn__workers_close(env->workers);
    tarn__errands_close(env->errands); /* Workers leave some. */
    tarn__http_close(env->http);
    tarn__rocks_memory_close(env->rocks_memory);
    close_owner(env->transfer_owner);
    if (env->rocksdb_owner != NULL) {
        tarn_owner_release(env->rocksdb_owner, env->rocksdb_bytes);
        close_owner(env->rocksdb_owner);
    }
    tarn_config_free(env->config);
    pthread_cond_destroy(&env->ended);
    pthread_mutex_destroy(&env->mutex);

    tarn_owner *owner = env->owner;
    tarn_budget *budget = env->budget;
    tarn__release(env);
    close_owner(owner);
    close_budget(budget);
}

static tarn_status open_parts(tarn_env *env, const tarn_env_options *options, tarn_error *error)
{
    TARN_TRY(copy_config(env, options->config, error));
    TARN_TRY(open_rocks_memory(env, error));
    TARN_TRY(tarn__owner_open(
        env->budget, TARN_POOL_OFF_HEAP, &env->transfer_owner, error, "transfers"));
    return tarn__env_start_threads(env, options, error);
}

/* The budget, and in it the environment itself with its owner; the rest is zero. */
static tarn_status open_frame(
    const tarn_taskmanager_plan *plan,
    const tarn_env_options *options,
    tarn_env **out,
    tarn_error *error)
{
    tarn_budget *budget = NULL;
    tarn_owner *owner = NULL;
    TARN_TRY(open_budget(plan, options->allocator, &budget, error));
    tarn_status status = tarn__owner_open(budget, TARN_POOL_HEAP, &owner, error, "env");
    tarn_env *env = NULL;
    if (status == TARN_OK) {
        env = tarn__allocate_zeroed(tarn__owner_account(owner), 1, sizeof *env);
        status = env != NULL ? TARN_OK : tarn__fail_no_memory(error, "an environment", sizeof *env);
    }
    if (status != TARN_OK) {
        close_owner(owner);
        close_budget(budget);
        return status;
    }
    env->budget = budget;
    env->owner = owner;
    env->plan = *plan;
    env->log = options->log;
    env->log_context = options->log_context;
    env->schemes = options->storage_schemes;
    env->scheme_count = options->storage_scheme_count;
    pthread_mutex_init(&env->mutex, NULL);
    pthread_cond_init(&env->ended, NULL);
    *out = env;
    return TARN_OK;
}

static tarn_status refuse_endless_flushes(const tarn_rocksdb_plan *plan, tarn_error *error)
{
    if (plan->arena_block_size_configured > 0) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "memtables would be flushed without end: tarn.rocksdb.arena-block-size is %" PRId64
            " bytes, more than the %" PRId64 " bytes that memtables may hold of RocksDB's %" PRId64
            "; lower it, or raise the managed pool",
            plan->arena_used,
            plan->mutable_limit,
            plan->per_slot);
    }
    return tarn__fail(
        error,
        TARN_INVALID_ARGUMENT,
        "memtables would be flushed without end: they may hold %" PRId64
        " bytes of RocksDB's %" PRId64 ", less than one arena block; raise the managed pool or "
        "state.backend.rocksdb.memory.write-buffer-ratio",
        plan->mutable_limit,
        plan->per_slot);
}

static bool log_warning(const tarn_config_warning *warning, void *context)
{
    tarn__env_log(context, TARN_LOG_WARNING, "%s", warning->text);
    return true;
}

tarn_status tarn_env_open(const tarn_env_options *given, tarn_env **out, tarn_error *error)
{
    tarn_env_options options;
    TARN_TRY(tarn__options_copy("tarn_env_options", given, &options, sizeof options, error));
    if (options.config == NULL || out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "config and out are required");
    }
    TARN_TRY(tarn_config_check(options.config, error));
    tarn_taskmanager_plan plan = TARN_TASKMANAGER_PLAN_INIT;
    tarn_rocksdb_plan rocksdb_plan = TARN_ROCKSDB_PLAN_INIT;
    TARN_TRY(tarn_plan_taskmanager(options.config, TARN_PLAN_SHELL, &plan, error));
    TARN_TRY(plan_rocksdb(options.config, &plan, &rocksdb_plan, error));
    if (tarn_plan_rocksdb_is_endless(&rocksdb_plan)) {
        return refuse_endless_flushes(&rocksdb_plan, error);
    }

    tarn_env *env = NULL;
    TARN_TRY(open_frame(&plan, &options, &env, error));
    assert(env != NULL);
    env->rocksdb_plan = rocksdb_plan;
    tarn_status status = open_parts(env, &options, error);
    if (status != TARN_OK) {
        clear(env);
        return status;
    }
    tarn_config_visit_warnings(options.config, log_warning, env);
    *out = env;
    return TARN_OK;
}

/* Names a child that does not end by itself. */
static tarn_status refuse_children(tarn_env *env, tarn_error *error)
{
    pthread_mutex_lock(&env->mutex);
    const tarn__env_child *child = env->children;
    while (child != NULL && !atomic_load(&child->is_held)) {
        child = child->next;
    }
    tarn_status status = TARN_OK;
    if (child != NULL) {
        status = tarn__fail(error, TARN_BUSY, "%s is still open", child->name);
    }
    pthread_mutex_unlock(&env->mutex);
    return status;
}

typedef struct leak {
    const tarn_env *env;
    tarn_owner_stats largest; /* name NULL: none found. */
    char name[256];
} leak;

static void find_leak(const tarn_owner_stats *stats, void *context)
{
    leak *found = context;
    const tarn__account *own[] = {
        tarn__owner_account(found->env->owner),
        tarn__owner_account(found->env->rocksdb_owner),
        tarn__owner_account(found->env->transfer_owner),
    };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (stats->name == own[i]->name) {
            return;
        }
    }
    if (found->largest.name == NULL || stats->used_bytes > found->largest.used_bytes) {
        found->largest = *stats;
        snprintf(found->name, sizeof found->name, "%s", stats->name);
    }
}

static tarn_status refuse_owners(const tarn_env *env, tarn_error *error)
{
    leak found = {.env = env};
    tarn_budget_visit(env->budget, find_leak, &found);
    if (found.largest.name != NULL) {
        return tarn__fail(
            error,
            TARN_BUSY,
            "memory owner %s is still open and holds %" PRIu64 " bytes of the %s pool",
            found.name,
            found.largest.used_bytes,
            tarn_pool_name(found.largest.pool));
    }
    return TARN_OK;
}

tarn_status tarn_env_close(tarn_env *env, tarn_error *error)
{
    if (env == NULL) {
        return TARN_OK;
    }
    TARN_TRY(refuse_children(env, error));
    TARN_TRY(refuse_owners(env, error));
    tarn__env_await_ends(env); /* Of what was closed and abandoned; savepoints close by that. */
    assert(env->children == NULL);
    clear(env);
    return TARN_OK;
}

/* Made outside of the lock; when two threads make one, the first to come back is kept. */
static tarn_status need_http(tarn_env *env, tarn__http **out, tarn_error *error)
{
    pthread_mutex_lock(&env->mutex);
    tarn__http *http = env->http;
    pthread_mutex_unlock(&env->mutex);
    if (http == NULL) {
        tarn__http_options options = {.account = tarn__owner_account(env->owner)};
        TARN_TRY(tarn__http_load(env->config, &options, error));
        tarn__http *made = NULL;
        TARN_TRY(tarn__http_open(&options, &made, error));
        pthread_mutex_lock(&env->mutex);
        if (env->http == NULL) {
            env->http = made;
            made = NULL;
        }
        http = env->http;
        pthread_mutex_unlock(&env->mutex);
        tarn__http_close(made);
    }
    *out = http;
    return TARN_OK;
}

tarn_status tarn__env_storage(
    tarn_env *env, const char *address, tarn__storage_options *out, tarn_error *error)
{
    tarn__storage_options options = {
        .address = address,
        .account = tarn__owner_account(env->owner),
        .config = env->config,
        .buffers = tarn__owner_account(env->transfer_owner),
        .schemes = env->schemes,
        .scheme_count = env->scheme_count,
        .counters = &env->storage_counters,
    };
    if (address != NULL && !tarn__storage_is_local(address)) {
        TARN_TRY(need_http(env, &options.http, error));
    }
    *out = options;
    return TARN_OK;
}

void tarn_env_measure_storage(const tarn_env *env, tarn_storage_figures *out)
{
    tarn__storage_counters_measure(&env->storage_counters, out);
}

tarn_budget *tarn_env_budget(tarn_env *env)
{
    return env->budget;
}

const tarn_taskmanager_plan *tarn_env_plan(const tarn_env *env)
{
    return &env->plan;
}

const tarn_rocksdb_plan *tarn_env_rocksdb_plan(const tarn_env *env)
{
    return &env->rocksdb_plan;
}

void tarn_env_measure(tarn_env *env, tarn_env_memory *out)
{
    tarn__rocks_memory_stats rocks;
    tarn__rocks_memory_measure(env->rocks_memory, &rocks);
    const tarn__process_memory process = tarn__process_measure();
    *out = (tarn_env_memory){
        .block_cache_capacity_bytes = rocks.cache_capacity_bytes,
        .block_cache_used_bytes = rocks.cache_used_bytes,
        .block_cache_pinned_bytes = rocks.cache_pinned_bytes,
        .memtable_bytes = rocks.memtable_bytes,
        .memtable_limit_bytes = rocks.memtable_limit_bytes,
        .table_reader_bytes = rocks.table_reader_bytes,
        .resident_bytes = process.resident_bytes,
        .resident_peak_bytes = process.resident_peak_bytes,
        .planned_process_bytes = (uint64_t)env->plan.total_process,
        .write_stall_count = rocks.stall_count,
        .write_stall_ns = rocks.stall_ns,
        .block_cache_has_memtables = rocks.cache_has_memtables,
    };
}

tarn__account *tarn__env_account(tarn_env *env)
{
    return tarn__owner_account(env->owner);
}

tarn__account *tarn__env_transfer_account(tarn_env *env)
{
    return tarn__owner_account(env->transfer_owner);
}

const tarn__clock *tarn__env_clock(const tarn_env *env)
{
    (void)env;
    return tarn__clock_system();
}

const tarn_config *tarn__env_config(const tarn_env *env)
{
    return env->config;
}

tarn__rocks_memory *tarn__env_rocks_memory(tarn_env *env)
{
    return env->rocks_memory;
}

void tarn__env_log(tarn_env *env, tarn_log_level level, const char *format, ...)
{
    if (env->log == NULL) {
        return;
    }
    char message[LOG_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    env->log(level, message, env->log_context);
}

static uint64_t slot_count(const tarn_env *env)
{
    return env->plan.slots > 1 ? (uint64_t)env->plan.slots : 1;
}

uint64_t tarn__env_slot_heap(const tarn_env *env)
{
    const uint64_t limit = tarn_budget_pool(env->budget, TARN_POOL_HEAP).limit_bytes;
    return limit == TARN_UNLIMITED ? limit : limit / slot_count(env);
}

uint64_t tarn__env_slot_memtables(const tarn_env *env)
{
    return tarn__rocks_memory_memtable_limit(env->rocks_memory) / slot_count(env);
}

void tarn__env_count_working_set(tarn_env *env, uint64_t before_bytes, uint64_t bytes)
{
    const uint64_t limit = tarn_budget_pool(env->budget, TARN_POOL_HEAP).limit_bytes;
    pthread_mutex_lock(&env->mutex);
    env->working_set_bytes += bytes - before_bytes;
    const uint64_t total = env->working_set_bytes;
    pthread_mutex_unlock(&env->mutex);
    if (bytes > before_bytes && total > limit) {
        tarn__env_log(
            env,
            TARN_LOG_WARNING,
            "the working sets of all backends may take %" PRIu64 " bytes of a heap of %" PRIu64
            ": the last ones keep fewer rows; lower tarn.working-set.fraction or "
            "tarn.working-set.size, or give the heap more",
            total,
            limit);
    }
}
