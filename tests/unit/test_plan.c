/*
 * Unit tests of memory/plan*.c. The vectors say what Flink answers; here is what they cannot say:
 * that a refusal names the options in conflict, that an option which is not needed may be wrong,
 * and the branches that few files reach.
 */
#include "support/support.h"

#include <math.h>
#include <string.h>

#include "tarn/plan.h"

#include "memory/plan_private.h"

enum { OPTIONS_MAX = 8, WORDS_MAX = 6 };

#define TM "taskmanager.memory."
#define JM "jobmanager.memory."
#define RM "state.backend.rocksdb.memory."

typedef struct option {
    const char *key;
    const char *value;
} option;

static tarn_config *config_of(const option options[OPTIONS_MAX])
{
    tarn_config *config = NULL;
    tarn_error error;
    assert_ok(tarn_config_new(NULL, &config, &error), &error);
    for (size_t i = 0; i < OPTIONS_MAX && options[i].key != NULL; i++) {
        assert_ok(
            tarn_config_set(config, options[i].key, options[i].value, "test", &error), &error);
    }
    return config;
}

#define OPTIONS(...) ((const option[OPTIONS_MAX]){__VA_ARGS__})

static tarn_taskmanager_plan taskmanager(tarn_plan_path path, const option options[OPTIONS_MAX])
{
    tarn_config *config = config_of(options);
    tarn_taskmanager_plan plan = TARN_TASKMANAGER_PLAN_INIT;
    tarn_error error;
    assert_ok(tarn_plan_taskmanager(config, path, &plan, &error), &error);
    tarn_config_free(config);
    assert_int_equal(
        plan.framework_heap + plan.task_heap + plan.managed + plan.framework_offheap +
            plan.task_offheap + plan.network,
        plan.total_flink);
    assert_int_equal(plan.total_flink + plan.jvm_metaspace + plan.jvm_overhead, plan.total_process);
    return plan;
}

static tarn_jobmanager_plan jobmanager(tarn_plan_path path, const option options[OPTIONS_MAX])
{
    tarn_config *config = config_of(options);
    tarn_jobmanager_plan plan = TARN_JOBMANAGER_PLAN_INIT;
    tarn_error error;
    assert_ok(tarn_plan_jobmanager(config, path, &plan, &error), &error);
    tarn_config_free(config);
    assert_int_equal(plan.heap + plan.off_heap, plan.total_flink);
    assert_int_equal(plan.total_flink + plan.jvm_metaspace + plan.jvm_overhead, plan.total_process);
    return plan;
}

static tarn_rocksdb_plan rocksdb(int64_t managed, int32_t slots, const option options[OPTIONS_MAX])
{
    tarn_config *config = config_of(options);
    tarn_rocksdb_plan plan = TARN_ROCKSDB_PLAN_INIT;
    tarn_error error;
    assert_ok(tarn_plan_rocksdb(config, managed, slots, &plan, &error), &error);
    tarn_config_free(config);
    return plan;
}

/* A refusal, and what its message must have. */
typedef struct refusal {
    tarn_plan_path path;
    option options[OPTIONS_MAX];
    const char *words[WORDS_MAX];
} refusal;

static void expect_words(const refusal *expected, const tarn_error *error)
{
    assert_int_equal(error->status, TARN_INVALID_ARGUMENT);
    for (size_t i = 0; i < WORDS_MAX && expected->words[i] != NULL; i++) {
        if (strstr(error->message, expected->words[i]) == NULL) {
            fail_msg("\"%s\" does not name %s", error->message, expected->words[i]);
        }
    }
    /* Longest messages are cut at the end; none may be that long. */
    assert_true(strlen(error->message) < sizeof error->message - 1);
}

static void expect_taskmanager_refused(const refusal *expected)
{
    tarn_config *config = config_of(expected->options);
    tarn_taskmanager_plan plan = TARN_TASKMANAGER_PLAN_INIT;
    plan.managed = 4711;
    tarn_error error;
    const tarn_status status = tarn_plan_taskmanager(config, expected->path, &plan, &error);
    assert_int_equal(status, TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_plan_taskmanager(config, expected->path, &plan, NULL), TARN_INVALID_ARGUMENT);
    tarn_config_free(config);
    assert_int_equal(plan.managed, 4711);
    assert_int_equal(plan.total_flink, 0);
    expect_words(expected, &error);
}

static void expect_jobmanager_refused(const refusal *expected)
{
    tarn_config *config = config_of(expected->options);
    tarn_jobmanager_plan plan = TARN_JOBMANAGER_PLAN_INIT;
    plan.heap = 4711;
    tarn_error error;
    const tarn_status status = tarn_plan_jobmanager(config, expected->path, &plan, &error);
    tarn_config_free(config);
    assert_int_equal(status, TARN_INVALID_ARGUMENT);
    assert_int_equal(plan.heap, 4711);
    expect_words(expected, &error);
}

static void expect_rocksdb_refused(const refusal *expected)
{
    tarn_config *config = config_of(expected->options);
    tarn_rocksdb_plan plan = TARN_ROCKSDB_PLAN_INIT;
    plan.per_slot = 4711;
    tarn_error error;
    const tarn_status status = tarn_plan_rocksdb(config, 1 << 30, 1, &plan, &error);
    tarn_config_free(config);
    assert_int_equal(status, TARN_INVALID_ARGUMENT);
    assert_int_equal(plan.per_slot, 4711);
    expect_words(expected, &error);
}

static void test_a_process_size_is_split_to_the_byte(void **state)
{
    (void)state;
    const tarn_taskmanager_plan plan =
        taskmanager(TARN_PLAN_PLAIN, OPTIONS({TM "process.size", "1728m"}));
    assert_int_equal(plan.total_process, 1811939328);
    assert_int_equal(plan.total_flink, 1342177280);
    assert_int_equal(plan.managed, 536870920);
    assert_int_equal(plan.network, 134217730);
    assert_int_equal(plan.jvm_overhead, 201326592);
    assert_int_equal(plan.slots, 1);
    assert_true(plan.cpu_cores == 1.0);
}

static void test_a_refused_taskmanager_names_the_options_in_conflict(void **state)
{
    (void)state;
    static const refusal refusals[] = {
        {.words = {TM "process.size", TM "flink.size", TM "task.heap.size", TM "managed.size"}},
        {.options = {{TM "task.heap.size", "1g"}}, .words = {TM "process.size"}},
        {.options = {{"taskmanager.heap.size", "1g"}}, .words = {TM "process.size"}},
        {.options = {{TM "process.size", "64m"}},
         .words =
             {TM "process.size of 67108864",
              TM "jvm-metaspace.size of 268435456",
              TM "jvm-overhead.min"}},
        {.options =
             {{TM "process.size", "9223372036854775807"},
              {TM "jvm-overhead.min", "8000000t"},
              {TM "jvm-overhead.max", "8000000t"},
              {TM "jvm-metaspace.size", "8000000t"}},
         .words = {TM "jvm-metaspace.size", TM "jvm-overhead.min"}},
        {.options = {{TM "process.size", "4g"}, {TM "flink.size", "4g"}},
         .words = {TM "process.size is 4294967296", TM "jvm-metaspace.size of 268435456"}},
        {.options = {{TM "process.size", "4g"}, {TM "flink.size", "1g"}},
         .words =
             {"overhead of 2952790016",
              TM "jvm-overhead.min (201326592",
              TM "jvm-overhead.max (1073741824"}},
        {.options = {{TM "process.size", "4g"}, {TM "jvm-overhead.min", "2g"}},
         .words = {TM "jvm-overhead.min is 2147483648", TM "jvm-overhead.max 1073741824"}},
        {.options = {{TM "process.size", "4g"}, {TM "managed.fraction", "1"}},
         .words = {TM "managed.fraction is 1.0"}},
        {.options = {{TM "process.size", "4g"}, {TM "network.fraction", "NaN"}},
         .words = {TM "network.fraction is NaN"}},
        {.options = {{TM "flink.size", "300m"}, {TM "managed.size", "200m"}},
         .words =
             {TM "flink.size (314572800",
              TM "managed.size (209715200",
              TM "framework.heap.size (134217728",
              TM "network.*"}},
        {.options = {{TM "process.size", "1g"}, {TM "task.heap.size", "1g"}},
         .words =
             {TM "task.heap.size (1073741824",
              TM "managed.fraction (",
              "what " TM "process.size leaves"}},
        {.options =
             {{TM "flink.size", "1g"}, {TM "task.heap.size", "700m"}, {TM "managed.size", "64m"}},
         .words =
             {TM "task.heap.size",
              TM "network.min (67108864",
              "leave 4194304 of the 1073741824",
              TM "flink.size"}},
        {.options = {{TM "task.heap.size", "8000000t"}, {TM "managed.size", "8000000t"}},
         .words = {"exceed 2^63 - 1"}},
        {.options = {{TM "flink.size", "9223372036854775807"}}, .words = {"exceed 2^63 - 1"}},
        {.options =
             {{TM "task.heap.size", "8000000t"},
              {TM "managed.size", "1m"},
              {TM "network.fraction", "0.9"},
              {TM "network.max", "64m"}},
         .words = {"exceed 2^63 - 1", TM "network.fraction"}},
        {.options = {{TM "process.size", "4g"}, {"taskmanager.numberOfTaskSlots", "0"}},
         .words = {"taskmanager.numberOfTaskSlots", "0.0 cores"}},
        {.options = {{TM "process.size", "4g"}, {"taskmanager.cpu.cores", "NaN"}},
         .words = {"taskmanager.cpu.cores", "NaN"}},
        {.options = {{TM "process.size", "4g"}, {"taskmanager.cpu.cores", "Infinity"}},
         .words = {"taskmanager.cpu.cores"}},
        {.options =
             {{TM "process.size", "4g"},
              {"taskmanager.cpu.cores", "2"},
              {"taskmanager.numberOfTaskSlots", "two"}},
         .words = {"taskmanager.numberOfTaskSlots", "two"}},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        expect_taskmanager_refused(&refusals[i]);
    }
}

static void test_network_memory_is_the_exact_remainder(void **state)
{
    (void)state;
    const option exact[OPTIONS_MAX] = {
        {TM "flink.size", "1g"}, {TM "task.heap.size", "640m"}, {TM "managed.size", "64m"}};
    assert_int_equal(taskmanager(TARN_PLAN_PLAIN, exact).network, 64 << 20);
    const refusal short_of_it = {
        .options =
            {{TM "flink.size", "1073741816"},
             {TM "task.heap.size", "640m"},
             {TM "managed.size", "64m"}},
        .words = {"leave 67108856 of the 1073741816 bytes", TM "network.min (67108864 bytes)"},
    };
    expect_taskmanager_refused(&short_of_it);
}

static void test_an_option_that_is_not_needed_may_be_wrong(void **state)
{
    (void)state;
    taskmanager(
        TARN_PLAN_PLAIN,
        OPTIONS(
            {TM "process.size", "4g"},
            {TM "managed.size", "1g"},
            {TM "managed.fraction", "nonsense"},
            {"taskmanager.heap.size", "nonsense"},
            {"taskmanager.network.numberOfBuffers", "nonsense"},
            {TM "network.min", "64m"}));
    taskmanager(
        TARN_PLAN_SHELL, OPTIONS({TM "flink.size", "4g"}, {"taskmanager.heap.size", "nonsense"}));
    taskmanager(
        TARN_PLAN_SHELL,
        OPTIONS({"taskmanager.heap.size", "4g"}, {"taskmanager.heap.mb", "nonsense"}));
    jobmanager(
        TARN_PLAN_PLAIN, OPTIONS({JM "process.size", "4g"}, {"jobmanager.heap.size", "nonsense"}));
    /* But what is needed is judged, even where it changes nothing. */
    const refusal read = {
        .options = {{TM "flink.size", "1g"}, {TM "process.size", "nonsense"}},
        .words = {TM "process.size", "nonsense"},
    };
    expect_taskmanager_refused(&read);
}

static void test_old_keys_count_in_the_shell_only(void **state)
{
    (void)state;
    const tarn_taskmanager_plan by_size = taskmanager(
        TARN_PLAN_SHELL, OPTIONS({"taskmanager.heap.size", "2g"}, {"taskmanager.heap.mb", "1024"}));
    assert_int_equal(by_size.total_flink, INT64_C(2) << 30);
    const tarn_taskmanager_plan by_mebibytes =
        taskmanager(TARN_PLAN_SHELL, OPTIONS({"taskmanager.heap.mb", "1024"}));
    assert_int_equal(by_mebibytes.total_flink, 1 << 30);
    const tarn_taskmanager_plan plain = taskmanager(
        TARN_PLAN_PLAIN, OPTIONS({"taskmanager.heap.size", "2g"}, {TM "process.size", "4g"}));
    assert_int_equal(plain.total_process, INT64_C(4) << 30);
    const tarn_jobmanager_plan heap =
        jobmanager(TARN_PLAN_SHELL, OPTIONS({"jobmanager.heap.size", "1g"}));
    assert_int_equal(heap.heap, 1 << 30);
    const refusal negative = {
        .path = TARN_PLAN_SHELL,
        .options = {{"taskmanager.heap.mb", "-1"}},
        .words = {"taskmanager.heap.mb is -1"},
    };
    expect_taskmanager_refused(&negative);
    const refusal conflict = {
        .path = TARN_PLAN_SHELL,
        .options = {{"taskmanager.heap.size", "1g"}, {TM "process.size", "8g"}},
        .words = {TM "process.size", TM "jvm-overhead.max"},
    };
    expect_taskmanager_refused(&conflict);
}

static void test_a_number_of_buffers_counts_when_nothing_newer_does(void **state)
{
    (void)state;
    const tarn_taskmanager_plan counted = taskmanager(
        TARN_PLAN_PLAIN,
        OPTIONS({TM "flink.size", "2g"}, {"taskmanager.network.numberOfBuffers", "100"}));
    assert_int_equal(counted.network, 100 * 32768);
    const tarn_taskmanager_plan parts = taskmanager(
        TARN_PLAN_PLAIN,
        OPTIONS(
            {TM "task.heap.size", "1g"},
            {TM "managed.size", "0"},
            {TM "segment-size", "4k"},
            {"taskmanager.network.numberOfBuffers", "3"}));
    assert_int_equal(parts.network, 12288);
    /* An old spelling of a newer option is newer all the same. */
    const tarn_taskmanager_plan ignored = taskmanager(
        TARN_PLAN_PLAIN,
        OPTIONS(
            {TM "flink.size", "2g"},
            {"taskmanager.network.numberOfBuffers", "100"},
            {"taskmanager.network.memory.fraction", "0.25"}));
    assert_int_equal(ignored.network, 1 << 29);

    static const refusal refusals[] = {
        {.options =
             {{TM "flink.size", "2g"},
              {"taskmanager.network.numberOfBuffers", "100"},
              {TM "segment-size", "48k"}},
         .words = {TM "segment-size is 49152", "taskmanager.network.numberOfBuffers (100)"}},
        {.options =
             {{TM "flink.size", "2g"},
              {"taskmanager.network.numberOfBuffers", "100"},
              {TM "segment-size", "2k"}},
         .words = {TM "segment-size is 2048"}},
        {.options =
             {{TM "flink.size", "2g"},
              {"taskmanager.network.numberOfBuffers", "1"},
              {TM "segment-size", "2g"}},
         .words = {TM "segment-size is 2147483648"}},
        {.options = {{TM "flink.size", "2g"}, {"taskmanager.network.numberOfBuffers", "-1"}},
         .words = {"taskmanager.network.numberOfBuffers is -1"}},
        {.options =
             {{TM "flink.size", "1g"},
              {TM "task.heap.size", "640m"},
              {TM "managed.size", "64m"},
              {"taskmanager.network.numberOfBuffers", "2047"}},
         .words = {"67108864", "67076096", "taskmanager.network.numberOfBuffers"}},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        expect_taskmanager_refused(&refusals[i]);
    }
}

/* Old files say -1 slots for the default; with cores they plan, and RocksDB takes them for one. */
static void test_slots_of_minus_one_plan_when_cores_are_set(void **state)
{
    (void)state;
    const tarn_taskmanager_plan plan = taskmanager(
        TARN_PLAN_PLAIN,
        OPTIONS(
            {TM "process.size", "4g"},
            {"taskmanager.cpu.cores", "2.5"},
            {"taskmanager.numberOfTaskSlots", "-1"}));
    assert_int_equal(plan.slots, -1);
    assert_true(plan.cpu_cores == 2.5);
    assert_int_equal(rocksdb(1000, plan.slots, OPTIONS({NULL, NULL})).per_slot, 1000);
}

static void test_the_jobmanagers_off_heap_memory_is_the_remainder(void **state)
{
    (void)state;
    const tarn_jobmanager_plan plan =
        jobmanager(TARN_PLAN_PLAIN, OPTIONS({JM "flink.size", "1g"}, {JM "heap.size", "1g"}));
    assert_int_equal(plan.off_heap, 0);
    assert_false(plan.is_direct_memory_limited);
    const tarn_jobmanager_plan limited = jobmanager(
        TARN_PLAN_PLAIN,
        OPTIONS({JM "process.size", "1600m"}, {JM "enable-jvm-direct-memory-limit", "TRUE"}));
    assert_int_equal(limited.heap, 1073741824);
    assert_true(limited.is_direct_memory_limited);
}

static void test_a_refused_jobmanager_names_the_options_in_conflict(void **state)
{
    (void)state;
    static const refusal refusals[] = {
        {.words = {JM "process.size", JM "flink.size", JM "heap.size"}},
        {.options = {{JM "flink.size", "128m"}},
         .words = {JM "off-heap.size (134217728", JM "flink.size (134217728"}},
        {.options = {{JM "process.size", "500m"}, {JM "off-heap.size", "1g"}},
         .words = {JM "off-heap.size (1073741824", "what " JM "process.size leaves"}},
        {.options = {{JM "flink.size", "1g"}, {JM "heap.size", "2g"}},
         .words = {JM "heap.size (2147483648", JM "flink.size (1073741824"}},
        {.options = {{JM "flink.size", "1g"}, {JM "heap.size", "512m"}, {JM "off-heap.size", "1m"}},
         .words =
             {JM "heap.size (536870912", JM "off-heap.size (1048576", JM "flink.size (1073741824"}},
        {.options = {{JM "heap.size", "9223372036854775807"}},
         .words = {JM "heap.size", JM "off-heap.size", "exceed 2^63 - 1"}},
        {.options = {{JM "heap.size", "1g"}, {JM "jvm-overhead.fraction", "-0.1"}},
         .words = {JM "jvm-overhead.fraction is -0.1"}},
        {.options = {{JM "heap.size", "1g"}, {"jobstore.cache-size", "-5"}},
         .words = {"jobstore.cache-size is -5"}},
        {.options = {{JM "heap.size", "1g"}, {"jobstore.cache-size", "5m"}},
         .words = {"jobstore.cache-size", "5m"}},
        {.options = {{JM "heap.size", "1g"}, {JM "enable-jvm-direct-memory-limit", "yes"}},
         .words = {JM "enable-jvm-direct-memory-limit", "yes"}},
        {.path = TARN_PLAN_SHELL,
         .options = {{"jobmanager.heap.mb", "2147483648"}},
         .words = {"jobmanager.heap.mb", "2147483648"}},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        expect_jobmanager_refused(&refusals[i]);
    }
}

static void test_ratios_must_leave_some_of_the_cache(void **state)
{
    (void)state;
    /* 2 * 0.6 / 2.4 is one half. */
    rocksdb(1, 1, OPTIONS({RM "write-buffer-ratio", "0.6"}, {RM "high-prio-pool-ratio", "0.4999"}));
    rocksdb(1, 1, OPTIONS({RM "write-buffer-ratio", "NaN"}));
    rocksdb(1, 1, OPTIONS({RM "write-buffer-ratio", "3.5"}));
    static const refusal refusals[] = {
        {.options = {{RM "write-buffer-ratio", "0.6"}, {RM "high-prio-pool-ratio", "0.5"}},
         .words = {RM "write-buffer-ratio (0.6)", RM "high-prio-pool-ratio (0.5)"}},
        {.options = {{RM "write-buffer-ratio", "1.0"}, {RM "high-prio-pool-ratio", "0"}},
         .words = {RM "write-buffer-ratio (1.0)"}},
        {.options = {{RM "write-buffer-ratio", "3"}}, .words = {RM "write-buffer-ratio (3.0)"}},
        {.options = {{RM "managed", "yes"}}, .words = {RM "managed", "yes"}},
        {.options = {{RM "fixed-per-slot", "-1"}}, .words = {RM "fixed-per-slot", "-1"}},
        {.options = {{RM "partitioned-index-filters", "1"}},
         .words = {RM "partitioned-index-filters"}},
        {.options = {{RM "managed", "false"}, {RM "fixed-per-tm", "much"}},
         .words = {RM "fixed-per-tm", "much"}},
        {.options = {{"state.backend.rocksdb.writebuffer.size", "0"}},
         .words = {"state.backend.rocksdb.writebuffer.size"}},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        expect_rocksdb_refused(&refusals[i]);
    }
}

static void test_what_sizes_rocksdb_comes_in_an_order(void **state)
{
    (void)state;
    const tarn_rocksdb_plan managed = rocksdb(300, 3, OPTIONS({RM "fixed-per-tm", "9"}));
    assert_true(managed.is_shared && !managed.using_fixed_per_tm);
    assert_int_equal(managed.per_slot, 100);
    const tarn_rocksdb_plan slot =
        rocksdb(300, 3, OPTIONS({RM "fixed-per-slot", "7"}, {RM "fixed-per-tm", "9"}));
    assert_true(slot.using_fixed_per_slot && slot.using_managed);
    assert_int_equal(slot.per_slot, 7);
    const tarn_rocksdb_plan process =
        rocksdb(300, 3, OPTIONS({RM "managed", "false"}, {RM "fixed-per-tm", "9"}));
    assert_true(process.is_shared && process.using_fixed_per_tm);
    assert_int_equal(process.per_slot, 3);
    const tarn_rocksdb_plan none = rocksdb(300, 3, OPTIONS({RM "managed", "false"}));
    assert_false(none.is_shared);
    assert_int_equal(none.per_slot, 0);
    assert_int_equal(none.cache_capacity, 0);
}

/* Java's long wraps around where 2 * per_slot leaves it, and its casts saturate. */
static void test_rocksdb_arithmetic_is_javas_at_its_edges(void **state)
{
    (void)state;
    const tarn_rocksdb_plan wrapped = rocksdb(INT64_MAX, 1, OPTIONS({NULL, NULL}));
    assert_int_equal(wrapped.write_buffer_manager_capacity, 0); /* -2 * 0.5 / 3, cut. */
    assert_true(wrapped.cache_capacity == INT64_C(7686143364045646848));
    assert_false(wrapped.arena_valid);
    const tarn_rocksdb_plan negative = rocksdb(3000, 1, OPTIONS({RM "write-buffer-ratio", "-0.1"}));
    assert_int_equal(negative.cache_capacity, 3100);
    assert_int_equal(negative.write_buffer_manager_capacity, -200);
    assert_int_equal(negative.mutable_limit, -175);
    const tarn_rocksdb_plan nothing = rocksdb(3000, 1, OPTIONS({RM "write-buffer-ratio", "NaN"}));
    assert_int_equal(nothing.cache_capacity, 0);
    assert_true(isnan(nothing.write_buffer_ratio));
}

static void test_another_arena_block_is_calculated_anew(void **state)
{
    (void)state;
    tarn_rocksdb_plan plan = rocksdb(1 << 27, 1, OPTIONS({NULL, NULL}));
    assert_int_equal(plan.write_buffer_size, 64 << 20);
    assert_int_equal(plan.default_arena_block_size, 8 << 20);
    assert_true(plan.arena_valid);
    plan.arena_block_size_configured = plan.mutable_limit + 1;
    tarn_plan_rocksdb_calculate(&plan);
    assert_int_equal(plan.arena_used, plan.mutable_limit + 1);
    assert_false(plan.arena_valid);
    plan.arena_block_size_configured = -1;
    plan.write_buffer_size = 8 * 4096 + 8;
    tarn_plan_rocksdb_calculate(&plan);
    assert_int_equal(plan.arena_used, 8192);
    assert_true(plan.arena_valid);
}

/* An arena block may be as large as what memtables hold, and no larger. */
static void test_an_arena_block_may_take_all_that_memtables_hold(void **state)
{
    (void)state;
    assert_true(tarn_plan_arena_is_valid(4095, 4096));
    assert_true(tarn_plan_arena_is_valid(4096, 4096));
    assert_false(tarn_plan_arena_is_valid(4097, 4096));
    assert_true(tarn_plan_arena_is_valid(0, 0));
    assert_false(tarn_plan_arena_is_valid(0, -1));
}

/* Where nobody has set an arena block, Tarn takes a smaller one; one that is set stands. */
static void test_memtables_are_flushed_without_end_by_what_is_set_alone(void **state)
{
    (void)state;
    tarn_rocksdb_plan plan = rocksdb(8 << 20, 1, OPTIONS({NULL, NULL}));
    assert_false(plan.arena_valid);
    assert_false(tarn_plan_rocksdb_is_endless(&plan));

    plan.arena_block_size_configured = plan.mutable_limit;
    tarn_plan_rocksdb_calculate(&plan);
    assert_false(tarn_plan_rocksdb_is_endless(&plan));
    plan.arena_block_size_configured = plan.mutable_limit + 1;
    tarn_plan_rocksdb_calculate(&plan);
    assert_true(tarn_plan_rocksdb_is_endless(&plan));
}

/* The smallest block that Tarn takes has to go in; of a smaller one by Flink's rule, that one. */
static void test_memtables_without_room_for_the_smallest_block_are_endless(void **state)
{
    (void)state;
    tarn_rocksdb_plan plan = rocksdb(8 << 20, 1, OPTIONS({NULL, NULL}));
    plan.mutable_limit = TARN__PLAN_ARENA_BYTES_MIN;
    assert_false(tarn_plan_rocksdb_is_endless(&plan));
    plan.mutable_limit = TARN__PLAN_ARENA_BYTES_MIN - 1;
    assert_true(tarn_plan_rocksdb_is_endless(&plan));
    plan.arena_used = TARN__PLAN_ARENA_BYTES_MIN - 1;
    assert_false(tarn_plan_rocksdb_is_endless(&plan));

    plan.mutable_limit = 0; /* Nothing is shared: there is no limit to exceed. */
    plan.is_shared = false;
    assert_false(tarn_plan_rocksdb_is_endless(&plan));
}

static void test_rocksdb_refuses_impossible_arguments(void **state)
{
    (void)state;
    tarn_config *config = config_of(OPTIONS({NULL, NULL}));
    tarn_rocksdb_plan plan = TARN_ROCKSDB_PLAN_INIT;
    tarn_error error;
    assert_int_equal(tarn_plan_rocksdb(config, -1, 1, &plan, &error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "managed_total is -1"));
    assert_int_equal(tarn_plan_rocksdb(config, 1, 0, &plan, &error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "taskmanager.numberOfTaskSlots is 0"));
    tarn_config_free(config);
}

/* A program that was built when a plan had fewer fields gets those, and nothing beyond. */
static void test_a_shorter_plan_gets_the_fields_it_knows(void **state)
{
    (void)state;
    tarn_config *config = config_of(OPTIONS({TM "process.size", "1728m"}));
    tarn_taskmanager_plan plan = {.struct_size = offsetof(tarn_taskmanager_plan, framework_heap)};
    tarn_error error;
    assert_ok(tarn_plan_taskmanager(config, TARN_PLAN_PLAIN, &plan, &error), &error);
    assert_int_equal(plan.struct_size, offsetof(tarn_taskmanager_plan, framework_heap));
    assert_int_equal(plan.total_flink, 1342177280);
    assert_int_equal(plan.framework_heap, 0);

    plan.struct_size = 0;
    assert_int_equal(
        tarn_plan_taskmanager(config, TARN_PLAN_PLAIN, &plan, &error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "struct_size"));
    assert_int_equal(
        tarn_plan_taskmanager(config, TARN_PLAN_PLAIN, NULL, &error), TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_plan_jobmanager(NULL, TARN_PLAN_PLAIN, NULL, &error), TARN_INVALID_ARGUMENT);
    assert_string_equal(error.message, "config is NULL");
    tarn_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_process_size_is_split_to_the_byte),
        cmocka_unit_test(test_a_refused_taskmanager_names_the_options_in_conflict),
        cmocka_unit_test(test_network_memory_is_the_exact_remainder),
        cmocka_unit_test(test_an_option_that_is_not_needed_may_be_wrong),
        cmocka_unit_test(test_old_keys_count_in_the_shell_only),
        cmocka_unit_test(test_a_number_of_buffers_counts_when_nothing_newer_does),
        cmocka_unit_test(test_slots_of_minus_one_plan_when_cores_are_set),
        cmocka_unit_test(test_the_jobmanagers_off_heap_memory_is_the_remainder),
        cmocka_unit_test(test_a_refused_jobmanager_names_the_options_in_conflict),
        cmocka_unit_test(test_ratios_must_leave_some_of_the_cache),
        cmocka_unit_test(test_what_sizes_rocksdb_comes_in_an_order),
        cmocka_unit_test(test_rocksdb_arithmetic_is_javas_at_its_edges),
        cmocka_unit_test(test_another_arena_block_is_calculated_anew),
        cmocka_unit_test(test_an_arena_block_may_take_all_that_memtables_hold),
        cmocka_unit_test(test_memtables_are_flushed_without_end_by_what_is_set_alone),
        cmocka_unit_test(test_memtables_without_room_for_the_smallest_block_are_endless),
        cmocka_unit_test(test_rocksdb_refuses_impossible_arguments),
        cmocka_unit_test(test_a_shorter_plan_gets_the_fields_it_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
