/*
 * checkpoint.c - what a checkpoint costs the stream, and what it writes.
 *
 *     load --keys, first checkpoint, { change 1 % of the keys, next one } x 5       nothing beside
 *     { count up for a while; count up while a checkpoint is taken }  x --rounds   the ratio
 *     restore the last one, read every value
 *
 * The stream counts up keys of --dist, new ones all the time: keys that came again and again would
 * be in memory after the first time, so that the longer phase would be the faster one. Every
 * operation is timed, in both phases; the time in which tarn_snapshot_begin() holds the thread
 * counts as one operation. What is restored must be exactly what had been counted when the last
 * checkpoint began. Compactions of the loading come to an end before. --wait has the rounds wait
 * for a line on stdin.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "latency.h"
#include "source.h"
#include "store_tarn.h"
#include "tarn/checkpoint.h"
#include "tarn/snapshot.h"

enum {
    KEYS_DRAWN = 1 << 23, /* For a phase; of one that needs more the answer says so. */
    DIGEST_BYTES = 33,
    BURST = 64, /* Operations between two questions whether the checkpoint is done. */
    CHANGED_PER_MILLE = 10,
    NEXT_COUNT = 5, /* As a compaction in the background may fall into one of them. */
    WARM_UPS_MAX = 20,
    SETTLING_PAUSES_MAX = 6000, /* Two minutes. */
};

/* An undisturbed phase takes as long; a checkpoint takes its own time. */
static const uint64_t PHASE_NS = 500000000;

typedef struct checkpoint_run {
    const bench_options *options;
    char directory[BENCH_PATH_BYTES];
    bench_store *store;
    bench_table *table;
    tarn_checkpoint_store *checkpoints;
    bench_keys keys;
    uint64_t drawn[KEYS_DRAWN];
    uint64_t drawn_at;
    uint64_t repeated_count; /* Times that a phase had to begin again with its keys. */
    uint64_t refilled_at;    /* Of which so many were before the latest ones were drawn. */
    uint64_t checksum;       /* Of the state: the sum of mix(key) * count. */
    tarn_error error;
} checkpoint_run;

/* What one checkpoint cost. */
typedef struct checkpoint_cost {
    tarn_snapshot_progress progress;
    tarn_checkpoint_summary summary;
    uint64_t sync_ns;
    uint64_t async_ns; /* From the begin of the snapshot to the commit, less sync_ns. */
    uint64_t ops;      /* That the stream did meanwhile. */
    uint64_t stream_ns;
    uint64_t checksum;             /* Of the state when it began. */
    uint64_t new_table_bytes;      /* Of table files that the checkpoint before has not. */
    char (*digests)[DIGEST_BYTES]; /* [digest_count], owned: of its table files. */
    uint32_t digest_count;
} checkpoint_cost;

typedef struct checkpoint_measures {
    checkpoint_cost first;
    checkpoint_cost next[NEXT_COUNT]; /* Each after some keys were changed. */
    checkpoint_cost last;
    double quiet_rates[BENCH_ROUNDS_MAX];
    double disturbed_rates[BENCH_ROUNDS_MAX];
    bench_latency quiet;
    bench_latency disturbed;
    uint64_t restore_ns;
} checkpoint_measures;

static void check(checkpoint_run *run, tarn_status status)
{
    if (status != TARN_OK) {
        bench_fail("%s: %s", tarn_status_name(status), run->error.message);
    }
}

/* ---- the stream ------------------------------------------------------------------------- */

static void put(checkpoint_run *run, uint64_t key, uint64_t count)
{
    bench_set_key(run->store, key);
    run->store->ops->put(run->table, tarn_bytes_at(&count, sizeof count));
}

static void count_up(checkpoint_run *run, uint64_t key)
{
    uint64_t count;
    bench_set_key(run->store, key);
    void *value = run->store->ops->edit(run->table, sizeof count);
    memcpy(&count, value, sizeof count);
    count++;
    memcpy(value, &count, sizeof count);
    run->store->ops->edited(run->table, sizeof count);
    run->checksum += bench_mix(key);
}

/* Plays operations, each timed; answers the time. */
static uint64_t play(checkpoint_run *run, uint64_t count, bench_latency *latency)
{
    const uint64_t begin_ns = bench_now_ns();
    uint64_t last_ns = begin_ns;
    for (uint64_t i = 0; i < count; i++) {
        if (run->drawn_at == KEYS_DRAWN) { /* Keys that come again make the phase faster. */
            run->drawn_at = 0;
            run->repeated_count++;
        }
        count_up(run, run->drawn[run->drawn_at++]);
        const uint64_t now_ns = bench_now_ns();
        bench_latency_record(latency, now_ns - last_ns);
        last_ns = now_ns;
    }
    return last_ns - begin_ns;
}

/* Other keys for those that were played: made outside of the measured time. */
static void refill(checkpoint_run *run)
{
    const uint64_t count = run->repeated_count > run->refilled_at ? KEYS_DRAWN : run->drawn_at;
    if (!bench_keys_fill(&run->keys, run->drawn, count)) {
        bench_fail("the input has too few keys");
    }
    run->refilled_at = run->repeated_count;
    run->drawn_at = 0;
}

/* Answers operations a second. */
static double play_undisturbed(checkpoint_run *run, bench_latency *latency)
{
    uint64_t ops = 0;
    uint64_t ns = 0;
    while (ns < PHASE_NS) {
        ns += play(run, BURST, latency);
        ops += BURST;
    }
    return (double)ops * 1e9 / (double)ns;
}

/* Waits for the compactions that loading has left, which would disturb either side by turns. */
static void settle(const checkpoint_run *run)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    tarn_backend_stats stats = {.pending_compaction_bytes = 1};
    for (uint32_t i = 0; i < SETTLING_PAUSES_MAX && stats.pending_compaction_bytes > 0; i++) {
        (void)nanosleep(&pause, NULL);
        tarn_backend_measure(bench_tarn_backend(run->store), &stats);
    }
    if (stats.pending_compaction_bytes > 0) {
        bench_fail("the compactions of the loading do not end");
    }
}

/* Until two phases in a row run at the same rate, within a twentieth. */
static void warm_up(checkpoint_run *run, bench_latency *latency)
{
    double before = 0;
    double rate = 1;
    for (uint32_t i = 0; i < WARM_UPS_MAX && (before < rate * 0.95 || before > rate * 1.05); i++) {
        refill(run);
        before = rate;
        rate = play_undisturbed(run, latency);
    }
}

/* ---- checkpoints ------------------------------------------------------------------------ */

/* What a poll takes is taken from the stream. */
static tarn_status poll(tarn_snapshot *snapshot, bench_latency *latency)
{
    const uint64_t begin_ns = bench_now_ns();
    const tarn_status status = tarn_snapshot_poll(snapshot);
    bench_latency_record(latency, bench_now_ns() - begin_ns);
    return status;
}

static bool has_digest(const checkpoint_cost *cost, const char *digest)
{
    for (uint32_t i = 0; cost != NULL && i < cost->digest_count; i++) {
        if (strcmp(cost->digests[i], digest) == 0) {
            return true;
        }
    }
    return false;
}

/* Notes the table files of the newest checkpoint, and how many of their bytes are new. */
static void note_tables(checkpoint_run *run, const checkpoint_cost *before, checkpoint_cost *cost)
{
    char address[BENCH_PATH_BYTES + 32];
    tarn_checkpoint *checkpoint = NULL;
    (void)snprintf(address, sizeof address, "%s/checkpoints/bench", run->directory);
    check(run, tarn_checkpoint_open(address, NULL, &checkpoint, &run->error));
    const uint32_t count = tarn_checkpoint_subtask_at(checkpoint, 0).file_count;
    cost->digests = calloc(count + 1, sizeof *cost->digests);
    if (cost->digests == NULL) {
        bench_fail("no memory for the names of files");
    }
    for (uint32_t i = 0; i < count; i++) {
        const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoint, 0, i);
        if (file.is_shared) {
            cost->new_table_bytes += has_digest(before, file.digest) ? 0 : file.size;
            (void)snprintf(cost->digests[cost->digest_count++], DIGEST_BYTES, "%s", file.digest);
        }
    }
    tarn_checkpoint_free(checkpoint);
}

/* latency NULL: the stream stands still. */
static checkpoint_cost take_checkpoint(checkpoint_run *run, bench_latency *latency)
{
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    checkpoint_cost cost = {.checksum = run->checksum};
    const uint64_t id = tarn_checkpoint_store_next_id(run->checkpoints);
    check(run, tarn_checkpoint_begin(run->checkpoints, id, &pending, &run->error));
    const uint64_t begin_ns = bench_now_ns();
    check(
        run, tarn_snapshot_begin(bench_tarn_backend(run->store), pending, &snapshot, &run->error));
    cost.sync_ns = bench_now_ns() - begin_ns;
    if (latency != NULL) {
        bench_latency_record(latency, cost.sync_ns);
        while (poll(snapshot, latency) == TARN_PENDING) {
            (void)play(run, BURST, latency);
            cost.ops += BURST;
        }
        cost.stream_ns = bench_now_ns() - begin_ns;
    }
    tarn_snapshot_wait(snapshot); /* Where the stream stands still there is nothing else to do. */
    tarn_snapshot_measure(snapshot, &cost.progress);
    check(run, tarn_snapshot_finish(snapshot, &acknowledgement, &run->error));
    check(
        run,
        tarn_checkpoint_acknowledge(
            pending, tarn_bytes_at(acknowledgement.data, acknowledgement.size), &run->error));
    check(run, tarn_checkpoint_commit(pending, &cost.summary, &run->error));
    cost.async_ns = bench_now_ns() - begin_ns - cost.sync_ns;
    tarn_backend_notify_complete(bench_tarn_backend(run->store), id);
    tarn_buffer_clear(&acknowledgement);
    return cost;
}

static void print_cost(const checkpoint_cost *cost)
{
    printf(
        "{\"sync_ms\":%.3f,\"async_ms\":%.3f,\"link_ms\":%.3f,\"files\":%llu,"
        "\"uploaded_bytes\":%llu,\"linked_bytes\":%llu,\"new_table_bytes\":%llu,\"new_bytes\":%llu,"
        "\"total_bytes\":%llu}",
        (double)cost->sync_ns / 1e6,
        (double)cost->async_ns / 1e6,
        (double)cost->progress.link_ns / 1e6,
        (unsigned long long)cost->progress.file_count,
        (unsigned long long)cost->progress.uploaded_bytes,
        (unsigned long long)cost->progress.linked_bytes,
        (unsigned long long)cost->new_table_bytes,
        (unsigned long long)cost->summary.new_bytes,
        (unsigned long long)cost->progress.total_bytes);
}

static void print_side(const char *name, bench_spread rate, const bench_latency *latency)
{
    printf(
        ",\"%s\":{\"ops_per_s\":{\"median\":%.0f,\"min\":%.0f,\"max\":%.0f},\"latency_ns\":{"
        "\"p50\":%llu,\"p99\":%llu,\"p99.9\":%llu,\"max\":%llu}}",
        name,
        rate.median,
        rate.min,
        rate.max,
        (unsigned long long)bench_latency_at(latency, 0.50),
        (unsigned long long)bench_latency_at(latency, 0.99),
        (unsigned long long)bench_latency_at(latency, 0.999),
        (unsigned long long)latency->max_ns);
}

/* ---- beginning and end ------------------------------------------------------------------ */

static void open_checkpoints(checkpoint_run *run, const char *address)
{
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = bench_tarn_env(run->store);
    options.address = address;
    options.job = "bench";
    check(run, tarn_checkpoint_store_open(&options, &run->checkpoints, &run->error));
}

static void begin(checkpoint_run *run)
{
    char path[BENCH_PATH_BYTES + 16];
    bench_distribution distribution;
    run->drawn_at = KEYS_DRAWN; /* None has been drawn. */
    bench_directory_make(run->options, run->directory);
    (void)snprintf(path, sizeof path, "%s/ours", run->directory);
    run->store = BENCH_STORE_TARN.open(run->options, path);
    run->table = BENCH_STORE_TARN.open_table(
        run->store, &(bench_table_options){.name = "count", .kind = BENCH_VALUE});
    (void)snprintf(path, sizeof path, "%s/checkpoints", run->directory);
    open_checkpoints(run, path);
    if (!bench_distribution_find(run->options->distribution, &distribution) ||
        !bench_keys_open(
            &run->keys,
            distribution,
            run->options->keys,
            run->options->seed,
            run->options->input)) {
        bench_fail("no such distribution or input");
    }
    for (uint64_t rank = 0; rank < run->options->keys; rank++) {
        put(run, bench_mix(rank), 1);
        run->checksum += bench_mix(bench_mix(rank));
    }
}

/* Restores the last checkpoint, answers the nanoseconds to the first value, and reads them all. */
static uint64_t restore(checkpoint_run *run, uint64_t wanted)
{
    char path[BENCH_PATH_BYTES + 32];
    char address[BENCH_PATH_BYTES + 32];
    tarn_bytes value;
    uint64_t count;
    uint64_t checksum = 0;
    check(run, tarn_checkpoint_store_close(run->checkpoints, &run->error));
    BENCH_STORE_TARN.close(run->store);
    (void)snprintf(path, sizeof path, "%s/restored", run->directory);
    (void)snprintf(address, sizeof address, "%s/checkpoints/bench", run->directory);
    const uint64_t begin_ns = bench_now_ns();
    run->store = bench_tarn_restore(run->options, path, address);
    run->table = BENCH_STORE_TARN.open_table(
        run->store, &(bench_table_options){.name = "count", .kind = BENCH_VALUE});
    bench_set_key(run->store, bench_mix(0));
    if (!BENCH_STORE_TARN.get(run->table, &value)) {
        bench_fail("the first key is not there after the restore");
    }
    const uint64_t restore_ns = bench_now_ns() - begin_ns;
    for (uint64_t rank = 0; rank < run->options->keys; rank++) {
        bench_set_key(run->store, bench_mix(rank));
        if (!BENCH_STORE_TARN.get(run->table, &value)) {
            bench_fail("a key is not there after the restore");
        }
        memcpy(&count, value.data, sizeof count);
        checksum += bench_mix(bench_mix(rank)) * count;
    }
    if (checksum != wanted) {
        bench_fail("what was restored is not what was there when the checkpoint began");
    }
    BENCH_STORE_TARN.close(run->store);
    return restore_ns;
}

static void print_report(
    const checkpoint_run *run, const checkpoint_measures *measures, uint64_t rounds)
{
    const bench_options *options = run->options;
    double ratios[BENCH_ROUNDS_MAX];
    for (uint64_t i = 0; i < rounds; i++) {
        ratios[i] = measures->disturbed_rates[i] / measures->quiet_rates[i];
    }
    const bench_spread ratio = bench_spread_of(ratios, rounds);
    printf(
        "{\"workload\":\"checkpoint\",\"against\":\"undisturbed\",\"ratio\":{\"median\":%.4f,"
        "\"min\":%.4f,\"max\":%.4f}",
        ratio.median,
        ratio.min,
        ratio.max);
    print_side("ours", bench_spread_of(measures->disturbed_rates, rounds), &measures->disturbed);
    print_side("baseline", bench_spread_of(measures->quiet_rates, rounds), &measures->quiet);
    printf(",\"first\":");
    print_cost(&measures->first);
    for (uint32_t i = 0; i < NEXT_COUNT; i++) {
        printf(i == 0 ? ",\"next\":[" : ",");
        print_cost(&measures->next[i]);
    }
    printf("],\"last\":");
    print_cost(&measures->last);
    printf(
        ",\"restore_ms\":%.1f,\"repeated_keys\":%s,\"parameters\":{\"keys\":%llu,"
        "\"rounds\":%llu,\"distribution\":"
        "\"%s\",\"memory_bytes\":%llu,\"heap_percent\":%llu}}\n",
        (double)measures->restore_ns / 1e6,
        run->repeated_count > 0 ? "true" : "false",
        (unsigned long long)options->keys,
        (unsigned long long)rounds,
        options->distribution,
        (unsigned long long)options->memory_bytes,
        (unsigned long long)options->heap_percent);
}

/* The checkpoints beside which nothing happens. */
static void take_first_and_next(checkpoint_run *run, checkpoint_measures *measures)
{
    uint64_t random = run->options->seed;
    measures->first = take_checkpoint(run, NULL);
    note_tables(run, NULL, &measures->first);
    checkpoint_cost *before = &measures->first;
    for (uint32_t n = 0; n < NEXT_COUNT; n++) {
        for (uint64_t i = 0; i < run->options->keys * CHANGED_PER_MILLE / 1000; i++) {
            count_up(run, bench_mix(bench_random(&random) % run->options->keys));
        }
        measures->next[n] = take_checkpoint(run, NULL);
        note_tables(run, before, &measures->next[n]);
        free(before->digests);
        before->digests = NULL;
        before = &measures->next[n];
    }
    free(before->digests);
    before->digests = NULL;
}

static void play_round(checkpoint_run *run, checkpoint_measures *measures, uint64_t round)
{
    refill(run);
    measures->quiet_rates[round] = play_undisturbed(run, &measures->quiet);
    refill(run);
    measures->last = take_checkpoint(run, &measures->disturbed);
    measures->disturbed_rates[round] =
        (double)measures->last.ops * 1e9 / (double)measures->last.stream_ns;
    if (!run->options->is_json) {
        printf(
            "round %llu: %.0f/s undisturbed, %.0f/s in the %.1f ms of a checkpoint; "
            "longest call so far %.2f ms, %.2f ms\n",
            (unsigned long long)round + 1,
            measures->quiet_rates[round],
            measures->disturbed_rates[round],
            (double)measures->last.stream_ns / 1e6,
            (double)measures->quiet.max_ns / 1e6,
            (double)measures->disturbed.max_ns / 1e6);
        (void)fflush(stdout);
    }
}

int bench_checkpoint(const bench_options *options)
{
    static checkpoint_run run;
    static checkpoint_measures measures;
    const uint64_t rounds = options->rounds;
    run.options = options;
    begin(&run);
    take_first_and_next(&run, &measures);
    bench_wait(options);
    settle(&run);
    warm_up(&run, &measures.quiet);
    memset(&measures.quiet, 0, sizeof measures.quiet);
    for (uint64_t i = 0; i < rounds; i++) {
        play_round(&run, &measures, i);
    }
    measures.restore_ns = restore(&run, measures.last.checksum);
    bench_keys_close(&run.keys);
    bench_directory_remove(run.directory);
    print_report(&run, &measures, rounds);
    return 0;
}
