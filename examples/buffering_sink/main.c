/*
 * buffering_sink - operator state: what a sink has buffered is neither lost nor written twice.
 *
 *     source ──► queue ──► sink 0 ──► part-0.txt
 *            └─► queue ──► sink 1 ──► part-1.txt
 *
 * Shows: list state with even-split and with union redistribution, snapshots of it in checkpoints,
 * restoring with another number of sinks, every setting of checkpoints from flink-conf.yaml, and a
 * coordinator that is driven by the program itself.
 *
 *     buffering_sink --out out --checkpoint-dir chk --rate 50000 --kill-at 60000
 *     buffering_sink --out out --checkpoint-dir chk --restore latest --parallelism 3
 *
 * Read sink.c first, then checkpoints.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoints.h"
#include "flights/clock.h"
#include "flights/failure.h"
#include "options.h"
#include "sink.h"
#include "source.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_CANCELLED = 130, RECORDS_A_TURN = 64 };

typedef struct job {
    options options;
    tarn_config *config;
    tarn_env *env;
    char directory[PATH_MAX]; /* Of this job's checkpoints. */
    tarn_checkpoint *restored;
    checkpoints checkpoints;
    source source;
    sink sinks[SINKS_MAX];
    uint64_t began_ns;
    uint64_t restored_at; /* Records that the source had emitted then. */
    tarn_buffer part;     /* A task's part of a checkpoint; reused. */
} job;

static volatile sig_atomic_t is_cancelled;

static void cancel(int signal_number)
{
    (void)signal_number;
    is_cancelled = 1;
}

/* ---- the barrier ------------------------------------------------------------------------- */

static tarn_status let_barrier_through(
    void *context,
    uint64_t id,
    tarn_pending_checkpoint *pending,
    bool is_unaligned,
    tarn_error *error)
{
    job *j = context;
    TRY(source_snapshot(&j->source, id, &j->part, error));
    TRY(tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&j->part), error));
    for (uint32_t i = 0; i < j->options.parallelism; i++) {
        TRY(sink_snapshot(&j->sinks[i], id, is_unaligned, &j->part, error));
        TRY(tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&j->part), error));
    }
    return TARN_OK;
}

/* ---- opening ----------------------------------------------------------------------------- */

static tarn_status make_directory(const char *path, tarn_error *error)
{
    return mkdir(path, 0777) == 0 || errno == EEXIST
               ? TARN_OK
               : failure_of_system(error, errno, "cannot create %s", path);
}

static tarn_status open_env(job *j, tarn_error *error)
{
    TRY(options_configure(&j->options, &j->config, error));
    TRY(checkpoints_configure(&j->checkpoints, j->config, error));
    tarn_env_options env = TARN_ENV_OPTIONS_INIT;
    env.config = j->config;
    TRY(tarn_env_open(&env, &j->env, error));
    TRY(make_directory(j->options.checkpoint_dir, error));
    TRY(make_directory(j->options.out, error));
    snprintf(
        j->directory,
        sizeof j->directory,
        "%.*s/buffering_sink",
        PATH_MAX - 64,
        j->options.checkpoint_dir);
    return TARN_OK;
}

static bool is_continued(const job *j)
{
    return j->options.restore != NULL && strcmp(j->options.restore, "latest") == 0;
}

/* Opens the checkpoint to go on from. */
static tarn_status open_restored(job *j, tarn_error *error)
{
    if (j->options.restore == NULL) {
        return TARN_OK;
    }
    return tarn_checkpoint_open(
        is_continued(j) ? j->directory : j->options.restore, NULL, &j->restored, error);
}

static tarn_status open_tasks(job *j, tarn_error *error)
{
    const options *o = &j->options;
    TRY(source_open(&j->source, j->env, o->input, o->count, j->restored, error));
    j->restored_at = j->source.emitted_count;
    for (uint32_t i = 0; i < o->parallelism; i++) {
        TRY(sink_open(
            &j->sinks[i],
            j->env,
            o,
            i,
            j->checkpoints.settings.is_exactly_once,
            j->restored,
            error));
    }
    return TARN_OK;
}

static tarn_status open_job(job *j, tarn_error *error)
{
    TRY(open_env(j, error));
    TRY(open_restored(j, error));
    j->checkpoints.barrier = let_barrier_through;
    j->checkpoints.job = j;
    j->checkpoints.is_quiet = j->options.is_quiet;
    if (!j->options.is_quiet) {
        checkpoints_show(&j->checkpoints);
    }
    /* The store's lock first: nobody else writes these checkpoints, so nobody these files. */
    TRY(checkpoints_open(
        &j->checkpoints,
        j->env,
        j->options.checkpoint_dir,
        j->directory,
        1 + j->options.parallelism,
        is_continued(j),
        error));
    TRY(open_tasks(j, error));
    if (j->restored != NULL && !j->options.is_quiet) {
        printf(
            "restored             %s, at record %" PRIu64 "\n",
            tarn_checkpoint_path(j->restored),
            j->restored_at);
    }
    j->began_ns = clock_now_ns();
    return TARN_OK;
}

static void close_job(job *j)
{
    for (uint32_t i = 0; i < j->options.parallelism; i++) {
        sink_close(&j->sinks[i]);
    }
    source_close(&j->source);
    checkpoints_close(&j->checkpoints);
    tarn_checkpoint_free(j->restored);
    tarn_buffer_clear(&j->part);
    tarn_error error;
    if (tarn_env_close(j->env, &error) != TARN_OK) {
        fprintf(stderr, "buffering_sink: %s\n", error.message);
    }
    tarn_config_free(j->config);
}

/* ---- running ----------------------------------------------------------------------------- */

static void kill_if_due(const job *j)
{
    tarn_coordinator_figures figures;
    tarn_coordinator_read_figures(j->checkpoints.coordinator, &figures);
    if (j->options.kill_at > 0 && j->source.emitted_count >= j->options.kill_at &&
        figures.completed_count >= 2) {
        raise(SIGKILL);
    }
}

/* Waits while more records were emitted than the rate allows. */
static void keep_rate(job *j)
{
    if (j->options.rate == 0) {
        return;
    }
    const uint64_t count = j->source.emitted_count - j->restored_at;
    const uint64_t due_ns = j->began_ns + count / j->options.rate * NS_PER_S +
                            count % j->options.rate * NS_PER_S / j->options.rate;
    if (clock_now_ns() < due_ns) {
        checkpoints_wait(&j->checkpoints, due_ns);
    }
}

/* Some records; TARN_DONE: there are no more. */
static tarn_status take_a_turn(job *j, tarn_error *error)
{
    for (uint32_t i = 0; i < RECORDS_A_TURN; i++) {
        tarn_bytes record;
        TRY(source_next(&j->source, &record, error));
        const uint64_t number = j->source.emitted_count - 1;
        TRY(sink_put(&j->sinks[number % j->options.parallelism], record, error));
    }
    return TARN_OK;
}

static tarn_status run(job *j, tarn_error *error)
{
    tarn_status status = TARN_OK;
    while (status == TARN_OK && !is_cancelled) {
        status = take_a_turn(j, error);
        if (status == TARN_OK) {
            status = checkpoints_step(&j->checkpoints, error);
            kill_if_due(j);
            keep_rate(j);
        }
    }
    if (status == TARN_DONE && !is_cancelled) {
        status = TARN_OK;
        for (uint32_t i = 0; i < j->options.parallelism && status == TARN_OK; i++) {
            status = sink_finish(&j->sinks[i], error);
        }
    }
    return status == TARN_DONE ? TARN_OK : status;
}

static void report(const job *j)
{
    uint64_t flushed = 0;
    uint64_t overtaken = 0;
    uint64_t restored = 0;
    uint64_t longest_ns = 0;
    for (uint32_t i = 0; i < j->options.parallelism; i++) {
        tarn_operator_store_stats stats;
        tarn_operator_store_measure(j->sinks[i].store, &stats);
        flushed += j->sinks[i].flushed_count;
        overtaken += j->sinks[i].overtaken_count;
        restored += j->sinks[i].restored_count;
        longest_ns = stats.snapshot_ns_max > longest_ns ? stats.snapshot_ns_max : longest_ns;
    }
    tarn_coordinator_figures figures;
    tarn_coordinator_read_figures(j->checkpoints.coordinator, &figures);
    printf("emitted              %" PRIu64 "\n", j->source.emitted_count - j->restored_at);
    printf("out of state         %" PRIu64 "\n", restored);
    printf("written              %" PRIu64 "\n", flushed);
    printf("overtaken            %" PRIu64 "\n", overtaken);
    printf(
        "checkpoints          %" PRIu64 " complete, %" PRIu64 " given up\n",
        figures.completed_count,
        figures.aborted_count);
    printf("longest snapshot     %.3f ms of a sink's state\n", (double)longest_ns / NS_PER_MS);
}

static int run_job(job *j, tarn_error *error)
{
    tarn_status status = open_job(j, error);
    if (status == TARN_OK) {
        status = run(j, error);
        const tarn_job_end end = status != TARN_OK ? TARN_JOB_FAILED
                                 : is_cancelled    ? TARN_JOB_CANCELED
                                                   : TARN_JOB_FINISHED;
        checkpoints_end(&j->checkpoints, end);
        if (status == TARN_OK && !j->options.is_quiet) {
            report(j);
        }
    }
    close_job(j);
    if (status != TARN_OK) {
        fprintf(stderr, "buffering_sink: %s\n", error->message);
        return EXIT_FAILED;
    }
    return is_cancelled ? EXIT_CANCELLED : EXIT_OK;
}

int main(int argc, char **argv)
{
    static job j;
    tarn_error error;
    if (options_parse(argc, argv, &j.options, &error) != TARN_OK) {
        fprintf(
            stderr,
            "buffering_sink: %s (buffering_sink --help shows all options)\n",
            error.message);
        return EXIT_USAGE;
    }
    if (j.options.is_help) {
        fputs(options_usage, stdout);
        return EXIT_OK;
    }
    struct sigaction action = {.sa_handler = cancel};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return run_job(&j, &error);
}
