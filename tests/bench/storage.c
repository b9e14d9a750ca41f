/*
 * storage.c - a checkpoint to a bucket and back, beside curl alone with the same bytes.
 *
 *     round: checkpoint ─► plain put ─► restore ─► plain get ─► all is deleted
 *     The first round is not counted: it warms the server, whose code may be compiled as it runs.
 *     As that goes on for a while, the baseline comes first in every other round.
 *     With --wait, the rounds that count wait for a line on stdin.
 *
 * --keys rows of --value-bytes that do not pack are put into a backend and flushed into files. Each
 * round takes a full checkpoint of them to --output s3://bucket/prefix and restores it. The
 * baseline moves files of the same sizes, as many at once, by plain_curl.h. Rates are bytes of
 * files a second: of an upload from the links to the acknowledgement, of a download from opening
 * the backend to having it. CPU is the process's own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "job.h"
#include "plain_curl.h"
#include "tarn/backend.h"
#include "tarn/checkpoint.h"
#include "tarn/cleanup.h"
#include "tarn/snapshot.h"
#include "tarn/state.h"

enum {
    VALUE_BYTES = 1000,
    PROCESS_MIB_BESIDES = 1024,
    PARALLELISM = 4,
    SETTLE_NS = 200 * 1000 * 1000,
    SETTLE_PAUSES_MAX = 300,
};

typedef enum phase { PHASE_PUT, PHASE_PLAIN_PUT, PHASE_GET, PHASE_PLAIN_GET, PHASES } phase;

typedef struct figures {
    double rates[BENCH_ROUNDS_MAX];
    double cpu_s;
    uint64_t bytes;
} figures;

typedef struct transfer {
    const bench_options *options;
    char directory[BENCH_PATH_BYTES];
    char plain[BENCH_PATH_BYTES];
    tarn_env *env;
    uint64_t bytes; /* Of the baseline's files. */
    uint32_t file_count;
    figures phases[PHASES];
    uint32_t run_count;
    uint64_t resident_growth; /* Of a put or a get of ours, the most. */
    uint64_t began_ns;
    double began_cpu_s;
    uint64_t began_resident;
    tarn_error error;
} transfer;

static void check(transfer *t, tarn_status status)
{
    if (status != TARN_OK) {
        bench_fail("%s", t->error.message);
    }
}

/* ---- measuring -------------------------------------------------------------------------- */

static double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* A line of /proc/self/status in bytes; 0 where there is none. */
static uint64_t read_status(const char *name)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long long kib = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            (void)sscanf(line + strlen(name), ": %llu", &kib);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return kib << 10;
}

/* Each phase begins with nothing to be written by those before it, ours and the server's. */
static void start(transfer *t)
{
    sync();
    FILE *file = fopen("/proc/self/clear_refs", "w"); /* Peaks begin anew. */
    if (file != NULL) {
        fputs("5", file);
        fclose(file);
    }
    t->began_resident = read_status("VmRSS");
    t->began_cpu_s = cpu_s();
    t->began_ns = bench_now_ns();
}

static void stop(transfer *t, phase which, uint64_t round, uint64_t bytes)
{
    const double elapsed_s = (double)(bench_now_ns() - t->began_ns) / 1e9;
    figures *f = &t->phases[which];
    f->rates[round] = (double)bytes / elapsed_s;
    f->cpu_s += cpu_s() - t->began_cpu_s;
    f->bytes += bytes;
    const uint64_t peak = read_status("VmHWM");
    const uint64_t growth = peak > t->began_resident ? peak - t->began_resident : 0;
    if ((which == PHASE_PUT || which == PHASE_GET) && growth > t->resident_growth) {
        t->resident_growth = growth;
    }
}

/* ---- ours ------------------------------------------------------------------------------- */

static void open_env(transfer *t)
{
    tarn_config *config = NULL;
    check(t, tarn_config_new(NULL, &config, &t->error));
    bench_config_set_mib(
        config, "taskmanager.memory.process.size", t->options->managed_mib + PROCESS_MIB_BESIDES);
    check(
        t,
        tarn_config_set(
            config,
            "state.backend.rocksdb.compression.per.level",
            "NO_COMPRESSION",
            NULL,
            &t->error));
    bench_config_assign(config, t->options);
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    check(t, tarn_env_open(&options, &t->env, &t->error));
    tarn_config_free(config);
}

static tarn_backend *open_backend(transfer *t, const char *name, tarn_checkpoint *restore)
{
    char work[BENCH_PATH_BYTES];
    snprintf(work, sizeof work, "%.3000s/%s", t->directory, name);
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = t->env;
    options.operator_name = "bench";
    options.directory = work;
    options.restore = restore;
    tarn_backend *backend = NULL;
    check(t, tarn_backend_open(&options, &backend, &t->error));
    return backend;
}

static void fill(transfer *t, tarn_backend *backend)
{
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.name = "state";
    tarn_value *value = NULL;
    check(t, tarn_value_open(backend, &options, &value, &t->error));
    const size_t size = t->options->value_bytes != 0 ? t->options->value_bytes : VALUE_BYTES;
    uint64_t *bytes = bench_allocate(size + sizeof *bytes);
    uint64_t random = t->options->seed;
    for (uint64_t key = 0; key < t->options->keys; key++) {
        for (size_t i = 0; i * sizeof *bytes < size; i++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            bytes[i] = random;
        }
        check(t, tarn_backend_set_key(backend, tarn_bytes_at(&key, sizeof key), &t->error));
        check(t, tarn_value_put(value, tarn_bytes_at(bytes, size), &t->error));
    }
    free(bytes);
    check(t, tarn_value_close(value, &t->error));
}

static tarn_checkpoint_store *open_store(transfer *t, const char *address, const char *job)
{
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = t->env;
    options.address = address;
    options.job = job;
    tarn_checkpoint_store *store = NULL;
    check(t, tarn_checkpoint_store_open(&options, &store, &t->error));
    return store;
}

/* Takes checkpoint 1 of a store and answers it in *summary. */
static void checkpoint(
    transfer *t,
    tarn_checkpoint_store *store,
    tarn_backend *backend,
    tarn_checkpoint_summary *summary)
{
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    check(t, tarn_checkpoint_begin(store, 1, &pending, &t->error));
    check(t, tarn_snapshot_begin(backend, pending, &snapshot, &t->error));
    check(t, tarn_snapshot_finish(snapshot, &acknowledgement, &t->error));
    check(t, tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &t->error));
    check(t, tarn_checkpoint_commit(pending, summary, &t->error));
    tarn_buffer_clear(&acknowledgement);
}

/* Waits until RocksDB compacts no more, which would go on beside what is measured. */
static void settle(tarn_backend *backend)
{
    const struct timespec pause = {.tv_nsec = SETTLE_NS};
    tarn_backend_stats stats = {.pending_compaction_bytes = 1};
    for (int i = 0, quiet = 0; i < SETTLE_PAUSES_MAX && quiet < 3; i++) {
        tarn_backend_measure(backend, &stats);
        quiet = stats.pending_compaction_bytes == 0 ? quiet + 1 : 0;
        nanosleep(&pause, NULL);
    }
}

/* Opens a backend of a checkpoint and closes it. */
static void restore(transfer *t, tarn_checkpoint *from, uint64_t round, uint64_t bytes)
{
    start(t);
    tarn_backend *backend = open_backend(t, "restored", from);
    stop(t, PHASE_GET, round, bytes);
    tarn_backend_stats stats;
    tarn_backend_measure(backend, &stats);
    if (stats.restored_bytes != bytes) {
        bench_fail(
            "%llu of %llu bytes came back",
            (unsigned long long)stats.restored_bytes,
            (unsigned long long)bytes);
    }
    check(t, tarn_backend_close(backend, &t->error));
}

/* ---- the rounds ------------------------------------------------------------------------- */

static void write_plain(transfer *t, uint32_t index, uint64_t size)
{
    char path[BENCH_PATH_BYTES];
    snprintf(path, sizeof path, "%.3000s/%u", t->plain, index);
    FILE *file = fopen(path, "wb");
    uint64_t random = t->options->seed + index;
    for (uint64_t done = 0; file != NULL && done < size;) {
        uint64_t block[4096];
        for (size_t i = 0; i < sizeof block / sizeof block[0]; i++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            block[i] = random;
        }
        const uint64_t left = size - done;
        done += fwrite(block, 1, left < sizeof block ? (size_t)left : sizeof block, file);
    }
    if (file == NULL || fclose(file) != 0) {
        bench_fail("cannot write %s", path);
    }
}

/* Makes the files of the baseline: as large as those of a checkpoint. */
static void prepare_plain(transfer *t, tarn_backend *backend)
{
    char address[BENCH_PATH_BYTES];
    char job[BENCH_PATH_BYTES];
    tarn_checkpoint *opened = NULL;
    tarn_checkpoint_summary summary;
    snprintf(address, sizeof address, "%.3000s/first", t->directory);
    snprintf(job, sizeof job, "%.3000s/first/bench", t->directory);
    tarn_checkpoint_store *store = open_store(t, address, "bench");
    checkpoint(t, store, backend, &summary);
    check(t, tarn_checkpoint_store_close(store, &t->error));
    check(t, tarn_checkpoint_open(job, NULL, &opened, &t->error));
    t->bytes = summary.total_bytes;
    t->file_count = tarn_checkpoint_subtask_at(opened, 0).file_count;
    snprintf(t->plain, sizeof t->plain, "%.3000s/plain", t->directory);
    if (mkdir(t->plain, 0755) != 0) {
        bench_fail("cannot create %s", t->plain);
    }
    for (uint32_t i = 0; i < t->file_count; i++) {
        write_plain(t, i, tarn_checkpoint_file_at(opened, 0, i).size);
    }
    tarn_checkpoint_free(opened);
    bench_directory_remove(address);
}

/*
 * What came back in the round before goes at once, on both sides: neither has old files to truncate
 * in the time that is measured, nor memory that was given back a moment before.
 */
static void make_room(const transfer *t, char back[BENCH_PATH_BYTES])
{
    char restored[BENCH_PATH_BYTES];
    snprintf(restored, sizeof restored, "%.3000s/restored", t->directory);
    snprintf(back, BENCH_PATH_BYTES, "%.3000s/back", t->directory);
    if (access(restored, F_OK) == 0) {
        bench_directory_remove(restored);
    }
    if (access(back, F_OK) == 0) {
        bench_directory_remove(back);
    }
    if (mkdir(back, 0755) != 0) {
        bench_fail("cannot create %s", back);
    }
}

/* A round under way. */
typedef struct round_state {
    uint64_t number;
    tarn_backend *backend;
    tarn_checkpoint_store *store;
    tarn_checkpoint *opened;
    tarn_checkpoint_summary summary;
    char back[BENCH_PATH_BYTES];
} round_state;

static const char *bucket_path(const transfer *t)
{
    return t->options->output + strlen("s3://");
}

static void put_ours(transfer *t, round_state *r)
{
    start(t);
    checkpoint(t, r->store, r->backend, &r->summary);
    stop(t, PHASE_PUT, r->number, r->summary.total_bytes);
    if (r->summary.new_bytes != r->summary.total_bytes) {
        bench_fail("a checkpoint sent %llu bytes", (unsigned long long)r->summary.new_bytes);
    }
}

static void put_plain(transfer *t, round_state *r)
{
    start(t);
    plain_curl_run(PLAIN_CURL_PUT, bucket_path(t), t->plain, t->file_count, PARALLELISM);
    stop(t, PHASE_PLAIN_PUT, r->number, t->bytes);
}

static void get_ours(transfer *t, round_state *r)
{
    restore(t, r->opened, r->number, r->summary.total_bytes);
}

static void get_plain(transfer *t, round_state *r)
{
    start(t);
    plain_curl_run(PLAIN_CURL_GET, bucket_path(t), r->back, t->file_count, PARALLELISM);
    stop(t, PHASE_PLAIN_GET, r->number, t->bytes);
}

static void run_both(
    transfer *t,
    round_state *r,
    void (*ours)(transfer *, round_state *),
    void (*plain)(transfer *, round_state *))
{
    const bool is_first = r->number % 2 == 0;
    (is_first ? ours : plain)(t, r);
    (is_first ? plain : ours)(t, r);
}

static void run_round(transfer *t, tarn_backend *backend, uint64_t number)
{
    round_state *r = bench_allocate(sizeof *r);
    char job[64];
    char place[BENCH_PATH_BYTES];
    snprintf(job, sizeof job, "round-%u", t->run_count++);
    snprintf(place, sizeof place, "%.3000s/%s", t->options->output, job);
    r->number = number;
    r->backend = backend;
    r->store = open_store(t, t->options->output, job);
    make_room(t, r->back);
    settle(backend);
    run_both(t, r, put_ours, put_plain);
    check(t, tarn_checkpoint_open_in(t->env, place, NULL, &r->opened, &t->error));
    run_both(t, r, get_ours, get_plain);
    tarn_checkpoint_free(r->opened);
    plain_curl_run(PLAIN_CURL_DELETE, bucket_path(t), t->plain, t->file_count, PARALLELISM);
    check(t, tarn_checkpoint_remove(r->store, 1, &t->error));
    check(t, tarn_checkpoint_store_close(r->store, &t->error));
    free(r);
}

/* ---- the summary ------------------------------------------------------------------------ */

static double median(const transfer *t, phase which)
{
    return bench_spread_of(t->phases[which].rates, t->options->rounds).median;
}

/* The median of the rounds' ratios. */
static double ratio(const transfer *t, phase ours, phase plain)
{
    double ratios[BENCH_ROUNDS_MAX];
    for (uint64_t i = 0; i < t->options->rounds; i++) {
        ratios[i] = t->phases[ours].rates[i] / t->phases[plain].rates[i];
    }
    return bench_spread_of(ratios, t->options->rounds).median;
}

static void report(const transfer *t)
{
    static const char *const names[PHASES] = {"put", "plain_put", "get", "plain_get"};
    printf(
        "{\"workload\":\"storage\",\"against\":\"curl\",\"bytes\":%llu,\"files\":%u,\"rounds\":%"
        "llu,"
        "\"put_ratio\":%.3f,\"get_ratio\":%.3f,\"resident_growth_bytes\":%llu",
        (unsigned long long)t->bytes,
        t->file_count,
        (unsigned long long)t->options->rounds,
        ratio(t, PHASE_PUT, PHASE_PLAIN_PUT),
        ratio(t, PHASE_GET, PHASE_PLAIN_GET),
        (unsigned long long)t->resident_growth);
    for (uint32_t i = 0; i < PHASES; i++) {
        printf(
            ",\"%s\":{\"mb_per_s\":%.1f,\"cpu_s_per_gib\":%.2f,\"rounds\":[",
            names[i],
            median(t, (phase)i) / 1e6,
            t->phases[i].cpu_s * (double)(1 << 30) / (double)t->phases[i].bytes);
        for (uint64_t round = 0; round < t->options->rounds; round++) {
            printf("%s%.1f", round > 0 ? "," : "", t->phases[i].rates[round] / 1e6);
        }
        printf("]}");
    }
    printf("}\n");
}

int bench_storage(const bench_options *given)
{
    bench_options options = *given;
    if (options.output == NULL || strncmp(options.output, "s3://", strlen("s3://")) != 0 ||
        getenv("AWS_ENDPOINT_URL") == NULL || getenv("AWS_ACCESS_KEY_ID") == NULL ||
        getenv("AWS_SECRET_ACCESS_KEY") == NULL) {
        bench_fail("storage needs --output s3://BUCKET/PREFIX, AWS_ENDPOINT_URL and keys");
    }
    transfer *t = bench_allocate(sizeof *t);
    t->options = &options;
    bench_directory_make(&options, t->directory);
    open_env(t);
    tarn_backend *backend = open_backend(t, "work", NULL);
    fill(t, backend);
    prepare_plain(t, backend);
    run_round(t, backend, 0);
    bench_wait(&options);
    memset(t->phases, 0, sizeof t->phases);
    t->resident_growth = 0;
    for (uint64_t round = 0; round < options.rounds; round++) {
        run_round(t, backend, round);
    }
    check(t, tarn_backend_close(backend, &t->error));
    check(t, tarn_env_close(t->env, &t->error));
    report(t);
    bench_directory_remove(t->directory);
    free(t);
    return 0;
}
