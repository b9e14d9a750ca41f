#include "job.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "failure.h"
#include "report.h"

enum { TICK_MS = 50, SECONDS_PER_MINUTE = 60 };

static void print_log(tarn_log_level level, const char *text, void *context)
{
    (void)context;
    if (level >= TARN_LOG_WARNING) {
        fprintf(stderr, "flights: %s\n", text);
    }
}

/* Opening, in the order in which things depend on each other; job_close() undoes any part of it. */

static tarn_status read_max_parallelism(job *j, tarn_error *error)
{
    int32_t configured = -1; /* Nothing is chosen. */
    TRY(tarn_config_get_int(j->config, "pipeline.max-parallelism", &configured, NULL, error));
    j->max_parallelism = configured > 0 ? (uint32_t)configured : MAX_PARALLELISM;
    if (j->options->worker_count > j->max_parallelism) {
        return failure_set(
            error,
            TARN_INVALID_ARGUMENT,
            0,
            "--workers is %u, more than pipeline.max-parallelism, which is %u",
            j->options->worker_count,
            j->max_parallelism);
    }
    return TARN_OK;
}

static tarn_status open_env(job *j, tarn_error *error)
{
    TRY(options_configure(j->options, &j->config, error));
    TRY(read_max_parallelism(j, error));
    TRY(local_copies_configure(&j->copies, j->options->work_dir, j->config, error));
    tarn_env_options env = TARN_ENV_OPTIONS_INIT;
    env.config = j->config;
    env.log = print_log;
    TRY(tarn_env_open(&env, &j->env, error));
    TRY(tarn_owner_open(tarn_env_budget(j->env), TARN_POOL_HEAP, "flights/job", &j->owner, error));
    return tarn_owner_reserve(j->owner, sizeof *j, TARN_NO_WAIT, error);
}

/*
 * Whose the latest of the job's own directory is has been said before; of another one it has to be
 * said. The latest is given to the driver as well, which warns of one that was committed after it
 * was looked for.
 */
static tarn_claim_mode choose_claim_mode(const job *j)
{
    if (j->options->is_claimed) {
        return TARN_CLAIM_MODE_CLAIM;
    }
    return j->origin.is_latest ? TARN_CLAIM_MODE_KEEP : TARN_CLAIM_MODE_DEFAULT;
}

static tarn_status open_checkpointing(job *j, tarn_error *error)
{
    const origin *from = &j->origin;
    const checkpointing_options how = {
        .directory = j->options->checkpoint_dir,
        .source_count = j->division.source_count,
        .worker_count = j->options->worker_count,
        .restored = from->checkpoint,
        .claim_mode = choose_claim_mode(j),
        .refused_ids = from->passed_over,
        .refused_count = from->passed_over_count,
    };
    return checkpointing_open(&j->checkpointing, &j->monitor, j->env, &how, error);
}

/* Who says nothing gets as many as there were: positions are those of as many sources. */
static tarn_status choose_source_count(job *j, tarn_error *error)
{
    uint32_t *count = &j->division.source_count;
    *count = j->options->source_count > 0 ? j->options->source_count : SOURCES_DEFAULT;
    if (j->origin.checkpoint == NULL) {
        return TARN_OK;
    }
    uint32_t restored = 0;
    TRY(position_count(j->origin.checkpoint, &restored, error));
    if (restored > SOURCES_MAX || (j->options->source_count > 0 && restored != *count)) {
        return failure_set(
            error,
            TARN_INCOMPATIBLE,
            0,
            "the checkpoint %s is of %u sources, and cannot be restored by %u",
            tarn_checkpoint_path(j->origin.checkpoint),
            restored,
            *count);
    }
    *count = restored;
    return TARN_OK;
}

/* At least the first record; 0: nowhere. */
static uint64_t record_at(const job *j, double fraction)
{
    const uint64_t at = (uint64_t)(fraction * (double)j->record_count);
    return fraction > 0 && at == 0 ? 1 : at;
}

static tarn_status open_division(job *j, tarn_error *error)
{
    const options *o = j->options;
    division *d = &j->division;
    d->path = o->input;
    d->budget = tarn_env_budget(j->env);
    d->allocator = tarn_owner_allocator(j->owner);
    d->gates = j->gates;
    d->worker_count = o->worker_count;
    d->max_parallelism = j->max_parallelism;
    d->round_count = o->repeat_count;
    d->watermark_bound_s = (int64_t)o->watermark_minutes * SECONDS_PER_MINUTE;
    TRY(input_unpack(o->input, o->work_dir, d->budget, &d->file, &d->round_size, error));
    j->record_count = d->round_size * o->repeat_count;
    d->checkpoint.at = record_at(j, o->checkpoint_at);
    d->kill.at = record_at(j, o->kill_at);
    d->stop.at = record_at(j, o->stop_at);
    d->savepoint_at = record_at(j, o->savepoint_at);
    return TARN_OK;
}

static tarn_status open_sources(job *j, tarn_error *error)
{
    division *d = &j->division;
    TRY(open_division(j, error));
    uint64_t passed_min = UINT64_MAX;
    for (uint32_t i = 0; i < d->source_count; i++) {
        source *s = &j->sources[i];
        source_init(s, d, i);
        j->source_count++;
        if (j->origin.checkpoint != NULL) {
            TRY(source_restore(s, j->origin.checkpoint, error));
            j->restored_at += s->position.emitted;
        }
        passed_min = source_passed(s) < passed_min ? source_passed(s) : passed_min;
    }
    if (j->restored_at > j->record_count) {
        return failure_set(
            error,
            TARN_INCOMPATIBLE,
            0,
            "the checkpoint %s has seen %" PRIu64
            " records, with --repeat %u there are only %" PRIu64,
            tarn_checkpoint_path(j->origin.checkpoint),
            j->restored_at,
            j->options->repeat_count,
            j->record_count);
    }
    /* What all of them are past already was done by an earlier run. */
    d->checkpoint.at = passed_min >= d->checkpoint.at ? 0 : d->checkpoint.at;
    d->kill.at = passed_min >= d->kill.at ? 0 : d->kill.at;
    d->stop.at = passed_min > d->stop.at ? 0 : d->stop.at;
    return TARN_OK;
}

static tarn_status make_directory(const char *path, const char *what, tarn_error *error)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        return failure_of_system(error, errno, "cannot create the %s %s", what, path);
    }
    return TARN_OK;
}

/* Where backends work, and where their copies are: those make only a directory of their own. */
static tarn_status make_directories(const job *j, tarn_error *error)
{
    TRY(make_directory(j->options->work_dir, "working directory", error));
    return j->copies.directory[0] != '\0'
               ? make_directory(j->copies.directory, "directory of local copies", error)
               : TARN_OK;
}

static tarn_status open_worker(job *j, uint32_t index, tarn_error *error)
{
    tarn_budget *budget = tarn_env_budget(j->env);
    worker *w = &j->workers[index];
    worker_init(w);
    w->index = index;
    w->task = j->division.source_count + index;
    w->worker_count = j->options->worker_count;
    w->max_parallelism = j->max_parallelism;
    w->env = j->env;
    w->restore = j->origin.checkpoint;
    w->copy = local_copies_path(&j->copies, index, w->copy_directory);
    w->checkpointing = &j->checkpointing;
    w->allocator = tarn_owner_allocator(j->owner);
    w->in_flight_max = (size_t)j->options->in_flight_kib << 10;
    w->gate = &j->gates[index];
    w->is_scan_wanted =
        (j->options->out != NULL || !j->options->is_quiet) && j->options->stop_at == 0;
    snprintf(w->directory, sizeof w->directory, "%s/worker-%u", j->options->work_dir, index);
    j->open_count++;
    TRY(gate_open(w->gate, budget, index, j->division.source_count, error));
    TRY(worker_open(w, error));
    if (j->options->out != NULL) {
        w->lines = &j->sorters[index];
        return sorter_open(w->lines, budget, j->options->work_dir, index, error);
    }
    return TARN_OK;
}

static tarn_status open_all(job *j, tarn_error *error)
{
    TRY(open_env(j, error));
    TRY(origin_open(&j->origin, j->options, j->env, tarn_owner_allocator(j->owner), error));
    TRY(choose_source_count(j, error));
    TRY(open_checkpointing(j, error));
    TRY(make_directories(j, error));
    TRY(open_sources(j, error));
    for (uint32_t i = 0; i < j->options->worker_count; i++) {
        TRY(open_worker(j, i, error));
    }
    origin_close(&j->origin);
    for (uint32_t i = 0; i < j->source_count; i++) {
        TRY(source_join(&j->sources[i], &j->checkpointing, error));
    }
    return checkpointing_start(&j->checkpointing, error);
}

static void close_owner(job *j)
{
    if (j->owner != NULL) {
        tarn_owner_release(j->owner, sizeof *j);
        const tarn_status status = tarn_owner_close(j->owner, NULL);
        assert(status == TARN_OK);
        (void)status;
    }
}

/* Closes everything; keeps the first failure, which may be that of the job. */
static tarn_status close_all(job *j, tarn_status outcome, tarn_error *error)
{
    tarn_error other;
    for (uint32_t i = 0; i < j->open_count; i++) {
        const tarn_status status =
            worker_close(&j->workers[i], outcome == TARN_OK ? error : &other);
        outcome = outcome == TARN_OK ? status : outcome;
        sorter_close(&j->sorters[i]);
        worker_clear(&j->workers[i]);
        gate_close(&j->gates[i]);
        rmdir(j->workers[i].directory);
    }
    rmdir(j->options->work_dir);
    origin_close(&j->origin);
    for (uint32_t i = 0; i < j->source_count; i++) {
        participant_leave(&j->sources[i].participant, TARN_TASK_END_STOPPED);
    }
    checkpointing_close(&j->checkpointing, outcome);
    for (uint32_t i = 0; i < j->source_count; i++) {
        source_clear(&j->sources[i]);
    }
    if (j->division.file >= 0) {
        close(j->division.file);
    }
    close_owner(j);
    const tarn_status status = tarn_env_close(j->env, outcome == TARN_OK ? error : &other);
    outcome = outcome == TARN_OK ? status : outcome;
    tarn_config_free(j->config);
    return outcome;
}

/* Threads. */

typedef struct job_thread {
    monitor *monitor;
    source *source; /* Or: */
    worker *worker;
} job_thread;

static void *run_thread(void *context)
{
    const job_thread *t = context;
    tarn_error error;
    const tarn_status status =
        t->source != NULL ? source_run(t->source, &error) : worker_run(t->worker, &error);
    monitor_leave(t->monitor, status, &error);
    return NULL;
}

static tarn_status start_threads(job *j, job_thread *contexts, tarn_error *error)
{
    for (uint32_t i = 0; i < j->source_count + j->options->worker_count; i++) {
        char name[16];
        contexts[i] = (job_thread){.monitor = &j->monitor};
        if (i < j->source_count) {
            snprintf(name, sizeof name, "source-%u", i % SOURCES_MAX);
            contexts[i].source = &j->sources[i];
        } else {
            const uint32_t index = i - j->source_count;
            snprintf(name, sizeof name, "worker-%u", index % WORKERS_MAX);
            contexts[i].worker = &j->workers[index];
        }
        TRY(monitor_start(
            &j->monitor, name, run_thread, &contexts[i], &j->threads[j->thread_count], error));
        j->thread_count++;
    }
    return TARN_OK;
}

static tarn_status step_checkpoints(job *j, report *r, tarn_error *error)
{
    switch (checkpointing_step(&j->checkpointing, error)) {
    case CHECKPOINTING_NOTHING:
        break;
    case CHECKPOINTING_FAILED:
        report_say(r, "a checkpoint failed, the job goes on: %s", error->message);
        break;
    case CHECKPOINTING_HOPELESS:
        report_say(r, "%u checkpoints failed in a row", j->checkpointing.failed_in_a_row);
        return error->status;
    }
    return TARN_OK;
}

/* Waits for all threads; those that still run are told to stop unless all is well. */
static void join_threads(job *j, bool is_failed)
{
    for (uint32_t i = 0; is_failed && i < j->options->worker_count; i++) {
        gate_interrupt(&j->gates[i]);
    }
    for (uint32_t i = 0; i < j->thread_count; i++) {
        pthread_join(j->threads[i], NULL);
    }
}

static tarn_status run_threads(job *j, report *r, tarn_error *error)
{
    job_thread contexts[SOURCES_MAX + WORKERS_MAX];
    tarn_status status = start_threads(j, contexts, error);
    while (status == TARN_OK && monitor_wait(&j->monitor, TICK_MS)) {
        status = step_checkpoints(j, r, error);
        report_tick(r);
    }
    join_threads(j, status != TARN_OK || j->monitor.is_failed);
    if (status == TARN_OK && j->monitor.is_failed) {
        *error = j->monitor.error;
        status = error->status;
    }
    if (status == TARN_OK) {
        /* A checkpoint that was answered last of all is committed before the report. */
        checkpointing_close(&j->checkpointing, TARN_OK);
        status = step_checkpoints(j, r, error);
    }
    return status;
}

/* The result. */

static tarn_status write_lines(job *j, FILE *file, const char *path, tarn_error *error)
{
    fprintf(file, "%s\n", result_header);
    TRY(sorter_merge(j->sorters, j->options->worker_count, file, error));
    if (fflush(file) != 0 || ferror(file) != 0) {
        return failure_of_system(error, errno, "cannot write the result to %s", path);
    }
    return TARN_OK;
}

/* The result appears whole or not at all. */
static tarn_status write_result(job *j, tarn_error *error)
{
    const char *path = j->options->out;
    if (path == NULL || strcmp(path, "-") == 0) {
        return path == NULL ? TARN_OK : write_lines(j, stdout, "standard output", error);
    }
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s.part", path);
    FILE *file = fopen(part, "we");
    if (file == NULL) {
        return failure_of_system(error, errno, "cannot create the result %s", part);
    }
    tarn_status status = write_lines(j, file, part, error);
    if (fclose(file) != 0 && status == TARN_OK) {
        status = failure_of_system(error, errno, "cannot write the result to %s", part);
    }
    if (status == TARN_OK && rename(part, path) != 0) {
        status = failure_of_system(error, errno, "cannot rename %s to %s", part, path);
    }
    if (status != TARN_OK) {
        unlink(part);
    }
    return status;
}

/* A job that was stopped has a savepoint instead of a result. */
static tarn_status report_stop(const job *j, report *r, tarn_error *error)
{
    if (!j->checkpointing.has_stopped) {
        return failure_set(
            error,
            TARN_ABANDONED,
            0,
            "the savepoint that was to stop the job failed%s%s",
            j->checkpointing.failed_count > 0 ? ": " : "",
            j->checkpointing.failed_count > 0 ? j->checkpointing.failure.message : "");
    }
    report_say(r, "stopped with the savepoint %s", j->checkpointing.savepoint);
    return TARN_OK;
}

static tarn_status run(job *j, tarn_error *error)
{
    report r;
    TRY(origin_explain(&j->origin, j->options, open_all(j, error), error));
    report_begin(&r, j);
    TRY(run_threads(j, &r, error));
    if (j->options->savepoint_at > 0 && j->checkpointing.savepoint[0] != '\0') {
        report_say(&r, "took the savepoint %s", j->checkpointing.savepoint);
    }
    TRY(j->options->stop_at > 0 ? report_stop(j, &r, error) : write_result(j, error));
    report_end(&r);
    return TARN_OK;
}

tarn_status job_run(const options *o, tarn_error *error)
{
    /* Not on the stack: it is large. Not from the heap pool: that does not exist yet. */
    static job the_job;
    the_job = (job){
        .options = o,
        .started_ns = clock_now_ns(),
        .division = {.file = -1},
    };
    monitor_init(&the_job.monitor);
    const tarn_status outcome = run(&the_job, error);
    const tarn_status status = close_all(&the_job, outcome, error);
    monitor_clear(&the_job.monitor);
    return status;
}
