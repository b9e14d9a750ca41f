/*
 * A soak: a job whose state is several times its memory, with a checkpoint every second, is killed
 * at random and restored, again and again. At the end every row is what a plain model has, and the
 * process was never larger than its plan.
 *
 *     this process                      the job, a process of its own
 *     start ───────────────────────────► restore the latest checkpoint, go on at its position
 *     look at its memory                 records: edit, blind add, append, timers
 *     SIGKILL at a random moment ──────► ... begin, drain, upload and commit each second
 *     ... until time is up
 *     SIGTERM ─────────────────────────► a last checkpoint
 *     start to verify ─────────────────► restore, replay the model, compare
 *
 * 20 minutes with TARN_LONG=1, else some seconds. TARN_SEED=n has the records and kills of seed n.
 */
#include "support/support.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tarn/checkpoint.h"
#include "tarn/keyed.h"
#include "tarn/list.h"
#include "tarn/reducing.h"
#include "tarn/snapshot.h"
#include "tarn/timer.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/try.h"
#include "support/state_fixture.h"

#if defined(__SANITIZE_ADDRESS__) || SANITIZES_THREADS
#define IS_INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_INSTRUMENTED 1
#endif
#endif
#ifndef IS_INSTRUMENTED
#define IS_INSTRUMENTED 0
#endif

enum {
    MANAGED_MIB = 32,
    WORKING_SET_MIB = 16,
    ROW_BYTES = 200, /* About what a key has in all states. */
    BUDGETS = 4,     /* State is so many times both. */
    KEYS = (MANAGED_MIB + WORKING_SET_MIB) * 1024 * 1024 / ROW_BYTES * BUDGETS,
    KEYS_SHORT = KEYS / 8,
    SECONDS = 9,
    SECONDS_LONG = 1200,
    LIFE_MS = 3000, /* Of a job until it is killed, at most. */
    LIFE_MS_LONG = 20000,
    SAMPLE_MS = 20,
    PADDING_BYTES = 104,
    TIMER_SPAN = 5000,
    POLL_RECORDS = 64,
};

#define NS_PER_SECOND UINT64_C(1000000000)

static const char *program_path;

/* What each record does follows from the seed and its position. */
typedef struct plan {
    uint64_t seed;
    uint64_t key_count;
    const char *directory;
} plan;

typedef struct count_row {
    uint64_t count;
    uint64_t last;
    uint8_t padding[PADDING_BYTES];
} count_row;

typedef struct job {
    const plan *plan;
    tarn_config *config;
    tarn_env *env;
    tarn_checkpoint_store *store;
    tarn_backend *backend;
    tarn_value *counts;
    tarn_value *place;
    tarn_reducing *sums;
    tarn_reducing *fired;
    tarn_list *recent;
    tarn_timers *timers;
    tarn_pending_checkpoint *pending;
    tarn_snapshot *snapshot; /* NULL: none is under way. */
    uint64_t checkpoint_id;
    uint64_t position; /* Of the next record. */
    uint64_t last_begin_ns;
    tarn_error error;
} job;

/* ---- records ---------------------------------------------------------------------------- */

static uint64_t chance(const plan *p, uint64_t position, uint64_t salt)
{
    return tarn__random_mix(p->seed * 1000003 + position * 8 + salt);
}

/* First all keys come once; then half of the records are of a tenth of them. */
static uint64_t key_of(const plan *p, uint64_t position)
{
    const uint64_t dice = chance(p, position, 0);
    if (position < p->key_count) {
        return position;
    }
    return (dice >> 1) % ((dice & 1) != 0 ? p->key_count : p->key_count / 10);
}

static uint64_t timer_of(const plan *p, uint64_t position)
{
    return position + 1 + chance(p, position, 1) % TIMER_SPAN;
}

static bool is_appended(uint64_t position)
{
    return position % 4 == 0;
}

static bool is_cleared(const plan *p, uint64_t position)
{
    return chance(p, position, 2) % 16 == 0;
}

/* ---- the job ---------------------------------------------------------------------------- */

/* The job's process answers for itself. */
static void must(job *j, tarn_status status, const char *what)
{
    if (status != TARN_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, tarn_status_name(status), j->error.message);
        exit(1);
    }
}

static tarn_config *new_config(void)
{
    tarn_config *config = NULL;
    tarn_error error;
    char text[32];
    static const char *const OPTIONS[][2] = {
        {"taskmanager.memory.framework.heap.size", "16m"},
        {"taskmanager.memory.task.heap.size", "32m"},
        {"taskmanager.memory.framework.off-heap.size", "16m"},
        {"taskmanager.memory.task.off-heap.size", "0"},
        {"taskmanager.memory.network.min", "1m"},
        {"taskmanager.memory.network.max", "1m"},
        {"taskmanager.memory.jvm-metaspace.size", "32m"},
        {"taskmanager.memory.jvm-overhead.min", "32m"},
        {"taskmanager.memory.jvm-overhead.max", "32m"},
    };
    if (tarn_config_new(NULL, &config, &error) != TARN_OK) {
        exit(1);
    }
    for (size_t i = 0; i < sizeof OPTIONS / sizeof OPTIONS[0]; i++) {
        fixture_set(config, OPTIONS[i][0], OPTIONS[i][1]);
    }
    (void)snprintf(text, sizeof text, "%um", MANAGED_MIB);
    fixture_set(config, "taskmanager.memory.managed.size", text);
    (void)snprintf(text, sizeof text, "%um", WORKING_SET_MIB);
    fixture_set(config, "tarn.working-set.size", text);
    return config;
}

static void open_states(job *j)
{
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    tarn_reducing_options sum = TARN_REDUCING_OPTIONS_INIT;
    tarn_timers_options timers = TARN_TIMERS_OPTIONS_INIT;
    sum.reducer = TARN_REDUCER_SUM;
    sum.number = TARN_NUMBER_U64;
    timers.name = "timers";
    options.name = "counts";
    must(j, tarn_value_open(j->backend, &options, &j->counts, &j->error), "open counts");
    options.name = "place";
    must(j, tarn_value_open(j->backend, &options, &j->place, &j->error), "open place");
    options.name = "sums";
    must(j, tarn_reducing_open(j->backend, &options, &sum, &j->sums, &j->error), "open sums");
    options.name = "fired";
    must(j, tarn_reducing_open(j->backend, &options, &sum, &j->fired, &j->error), "open fired");
    options.name = "recent";
    must(j, tarn_list_open(j->backend, &options, &j->recent, &j->error), "open recent");
    must(j, tarn_timers_open(j->backend, &timers, &j->timers, &j->error), "open timers");
}

/* What has no checkpoint yet begins at the first record. */
static tarn_checkpoint *open_latest(job *j, const char *address)
{
    char path[FIXTURE_PATH_BYTES + 32];
    tarn_checkpoint *checkpoint = NULL;
    (void)snprintf(path, sizeof path, "%s/job", address);
    const tarn_status status = tarn_checkpoint_open(path, NULL, &checkpoint, &j->error);
    if (status != TARN_MISSING) {
        must(j, status, "open the latest checkpoint");
    }
    return checkpoint;
}

static void read_place(job *j)
{
    tarn_bytes read;
    must(j, tarn_backend_set_key(j->backend, tarn_bytes_of("place"), &j->error), "set key");
    const tarn_status status = tarn_value_get(j->place, &read, &j->error);
    if (status != TARN_NOT_FOUND) {
        must(j, status, "read place");
        memcpy(&j->position, read.data, sizeof j->position);
    }
}

static void open_job(job *j, const plan *p)
{
    char address[FIXTURE_PATH_BYTES];
    char work[FIXTURE_PATH_BYTES];
    *j = (job){.plan = p};
    (void)snprintf(address, sizeof address, "%s/checkpoints", p->directory);
    (void)snprintf(work, sizeof work, "%s/work", p->directory);
    j->config = new_config();
    tarn_env_options env = TARN_ENV_OPTIONS_INIT;
    env.config = j->config;
    must(j, tarn_env_open(&env, &j->env, &j->error), "open the environment");
    tarn_checkpoint_store_options store = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    store.env = j->env;
    store.address = address;
    store.job = "job";
    must(j, tarn_checkpoint_store_open(&store, &j->store, &j->error), "open the store");
    tarn_checkpoint *latest = open_latest(j, address);
    tarn_backend_options backend = TARN_BACKEND_OPTIONS_INIT;
    backend.env = j->env;
    backend.operator_name = "soak";
    backend.directory = work;
    backend.restore = latest;
    must(j, tarn_backend_open(&backend, &j->backend, &j->error), "restore");
    tarn_checkpoint_free(latest);
    open_states(j);
    read_place(j);
}

static void close_job(job *j)
{
    must(j, tarn_timers_close(j->timers, &j->error), "close");
    must(j, tarn_value_close(j->counts, &j->error), "close");
    must(j, tarn_value_close(j->place, &j->error), "close");
    must(j, tarn_reducing_close(j->sums, &j->error), "close");
    must(j, tarn_reducing_close(j->fired, &j->error), "close");
    must(j, tarn_list_close(j->recent, &j->error), "close");
    must(j, tarn_backend_close(j->backend, &j->error), "close the backend");
    must(j, tarn_checkpoint_store_close(j->store, &j->error), "close the store");
    must(j, tarn_env_close(j->env, &j->error), "close the environment");
    tarn_config_free(j->config);
}

static void set_key(job *j, uint64_t key)
{
    must(j, tarn_backend_set_key(j->backend, tarn_bytes_at(&key, sizeof key), &j->error), "key");
}

static void fire_timers(job *j)
{
    tarn_timer timer;
    tarn_status status;
    while ((status = tarn_timers_poll(j->timers, (int64_t)j->position, &timer, &j->error)) ==
           TARN_OK) {
        must(j, tarn_reducing_add_u64(j->fired, (uint64_t)timer.time, &j->error), "add fired");
    }
    must(j, status == TARN_DONE ? TARN_OK : status, "poll timers");
}

static void append(job *j)
{
    const uint64_t position = j->position;
    if (is_cleared(j->plan, position)) {
        must(j, tarn_list_clear(j->recent, &j->error), "clear the list");
    }
    const tarn_bytes element = tarn_bytes_at(&position, sizeof position);
    must(j, tarn_list_append(j->recent, element, &j->error), "append");
}

static void process(job *j)
{
    const uint64_t position = j->position;
    void *place = NULL;
    count_row *row;
    fire_timers(j);
    set_key(j, key_of(j->plan, position));
    must(j, tarn_value_edit(j->counts, sizeof *row, &place, &j->error), "edit");
    row = place;
    row->count++;
    row->last = position;
    for (size_t i = 0; i < PADDING_BYTES; i += sizeof position) { /* Not to be compressed away. */
        const uint64_t noise = tarn__random_mix(position + i);
        memcpy(row->padding + i, &noise, sizeof noise);
    }
    must(j, tarn_reducing_add_u64(j->sums, position, &j->error), "add");
    if (is_appended(position)) {
        append(j);
    }
    must(
        j,
        tarn_timers_register(
            j->timers,
            (int64_t)timer_of(j->plan, position),
            tarn_bytes_at(&position, sizeof position),
            &j->error),
        "register");
    j->position++;
}

/* ---- checkpoints ------------------------------------------------------------------------ */

static void begin_checkpoint(job *j)
{
    const tarn_bytes place = tarn_bytes_at(&j->position, sizeof j->position);
    j->checkpoint_id = tarn_checkpoint_store_next_id(j->store);
    must(j, tarn_backend_set_key(j->backend, tarn_bytes_of("place"), &j->error), "set key");
    must(j, tarn_value_put(j->place, place, &j->error), "put place");
    must(j, tarn_checkpoint_begin(j->store, j->checkpoint_id, &j->pending, &j->error), "begin");
    must(j, tarn_snapshot_begin(j->backend, j->pending, &j->snapshot, &j->error), "begin");
}

static void finish_checkpoint(job *j)
{
    tarn_buffer part = TARN_BUFFER_INIT;
    must(j, tarn_snapshot_finish(j->snapshot, &part, &j->error), "finish a snapshot");
    j->snapshot = NULL;
    must(
        j,
        tarn_checkpoint_acknowledge(j->pending, tarn_buffer_bytes(&part), &j->error),
        "acknowledge");
    must(j, tarn_checkpoint_commit(j->pending, NULL, &j->error), "commit");
    tarn_backend_notify_complete(j->backend, j->checkpoint_id);
    tarn_buffer_clear(&part);
}

static void step_checkpoint(job *j)
{
    if (j->snapshot != NULL) {
        const tarn_status status = tarn_snapshot_poll(j->snapshot);
        if (status != TARN_PENDING) {
            finish_checkpoint(j);
        }
        return;
    }
    const uint64_t now_ns = tarn__clock_monotonic_ns(tarn__clock_system());
    if (now_ns - j->last_begin_ns >= NS_PER_SECOND) {
        j->last_begin_ns = now_ns;
        begin_checkpoint(j);
    }
}

static volatile sig_atomic_t is_over;

static void end_soon(int signal_number)
{
    (void)signal_number;
    is_over = 1;
}

static int run_job(const plan *p)
{
    static job j;
    (void)signal(SIGTERM, end_soon);
    open_job(&j, p);
    j.last_begin_ns = tarn__clock_monotonic_ns(tarn__clock_system());
    while (is_over == 0) {
        process(&j);
        if (j.position % POLL_RECORDS == 0) {
            step_checkpoint(&j);
        }
    }
    if (j.snapshot != NULL) {
        finish_checkpoint(&j);
    }
    begin_checkpoint(&j);
    finish_checkpoint(&j);
    close_job(&j);
    return 0;
}

/* ---- the model -------------------------------------------------------------------------- */

typedef struct model {
    uint64_t count;
    uint64_t last;
    uint64_t sum;
    uint64_t fired;
    uint64_t element_count;
    uint64_t digest; /* Of the list's elements. */
} model;

static uint64_t add_to_digest(uint64_t digest, uint64_t element)
{
    return tarn__random_mix(digest * 31 + element);
}

/* Answers how many timers are left. */
static uint64_t replay(const plan *p, uint64_t end, model *models)
{
    uint64_t timer_count = 0;
    for (uint64_t position = 0; position < end; position++) {
        model *m = &models[key_of(p, position)];
        m->count++;
        m->last = position;
        m->sum += position;
        if (is_appended(position)) {
            if (is_cleared(p, position)) {
                m->element_count = 0;
                m->digest = 0;
            }
            m->element_count++;
            m->digest = add_to_digest(m->digest, position);
        }
        const uint64_t time = timer_of(p, position);
        m->fired += time < end ? time : 0;
        timer_count += time < end ? 0 : 1;
    }
    return timer_count;
}

static void expect_number(uint64_t found, uint64_t expected, const char *what, uint64_t key)
{
    if (found != expected) {
        fprintf(
            stderr,
            "%s of key %" PRIu64 ": %" PRIu64 " instead of %" PRIu64 "\n",
            what,
            key,
            found,
            expected);
        exit(1);
    }
}

static uint64_t read_sum(job *j, tarn_reducing *sums)
{
    uint64_t sum = 0;
    const tarn_status status = tarn_reducing_get_u64(sums, &sum, &j->error);
    must(j, status == TARN_NOT_FOUND ? TARN_OK : status, "read a sum");
    return sum;
}

static void verify_list(job *j, const model *expected, uint64_t key)
{
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    uint64_t count = 0;
    uint64_t digest = 0;
    tarn_status status;
    must(j, tarn_list_iterate(j->recent, NULL, &iterator, &j->error), "iterate");
    while ((status = tarn_list_iterator_next(iterator, &element, &j->error)) == TARN_OK) {
        uint64_t position = 0;
        memcpy(&position, element.data, sizeof position);
        digest = add_to_digest(digest, position);
        count++;
    }
    must(j, status == TARN_DONE ? TARN_OK : status, "iterate");
    tarn_list_iterator_close(iterator);
    expect_number(count, expected->element_count, "elements", key);
    expect_number(digest, expected->digest, "digest", key);
}

static void verify_key(job *j, const model *expected, uint64_t key)
{
    tarn_bytes read;
    count_row row = {0};
    set_key(j, key);
    const tarn_status status = tarn_value_get(j->counts, &read, &j->error);
    if (status != TARN_NOT_FOUND) {
        must(j, status, "read");
        memcpy(&row, read.data, sizeof row);
    }
    expect_number(row.count, expected->count, "count", key);
    expect_number(row.last, expected->last, "last position", key);
    expect_number(read_sum(j, j->sums), expected->sum, "sum", key);
    expect_number(read_sum(j, j->fired), expected->fired, "fired", key);
    verify_list(j, expected, key);
}

static int verify(const plan *p)
{
    static job j;
    tarn_backend_stats stats;
    open_job(&j, p);
    model *models = calloc(p->key_count, sizeof *models);
    if (models == NULL) {
        return 1;
    }
    const uint64_t timer_count = replay(p, j.position, models);
    expect_number(tarn_timers_count(j.timers), timer_count, "timers", 0);
    for (uint64_t key = 0; key < p->key_count; key++) {
        verify_key(&j, &models[key], key);
    }
    tarn_backend_measure(j.backend, &stats);
    printf(
        "%" PRIu64 " records, %" PRIu64 " keys, %" PRIu64 " checkpoints; %.1f MiB of table files, "
        "%.1f times the budget\n",
        j.position,
        p->key_count,
        tarn_checkpoint_store_next_id(j.store) - 1,
        (double)stats.live_file_bytes / (1 << 20),
        (double)stats.live_file_bytes / (1 << 20) / (MANAGED_MIB + WORKING_SET_MIB));
    free(models);
    close_job(&j);
    return 0;
}

/* ---- the killer ------------------------------------------------------------------------- */

static pid_t start(const plan *p, const char *mode)
{
    char seed[32];
    char keys[32];
    (void)snprintf(seed, sizeof seed, "%" PRIu64, p->seed);
    (void)snprintf(keys, sizeof keys, "%" PRIu64, p->key_count);
    fflush(stdout);
    const pid_t process = fork();
    if (process == 0) {
        execl(program_path, program_path, mode, p->directory, seed, keys, (char *)NULL);
        _exit(127);
    }
    assert_true(process > 0);
    return process;
}

static void sleep_ms(uint64_t ms)
{
    const struct timespec pause = {
        .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&pause, NULL);
}

/* Answers the resident bytes of a process; 0: it is gone. */
static uint64_t resident_bytes(pid_t process)
{
    char path[64];
    char line[128];
    uint64_t kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmRSS: %" SCNu64, &kib) == 1) {
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kib * 1024;
}

/* Watches a job for a while; it must not end by itself. */
static uint64_t watch(pid_t process, uint64_t ms)
{
    const uint64_t end_ns = tarn__clock_monotonic_ns(tarn__clock_system()) + ms * 1000000;
    uint64_t peak = 0;
    while (tarn__clock_monotonic_ns(tarn__clock_system()) < end_ns) {
        int status = 0;
        const uint64_t now = resident_bytes(process);
        peak = now > peak ? now : peak;
        assert_int_equal(waitpid(process, &status, WNOHANG), 0);
        sleep_ms(SAMPLE_MS);
    }
    return peak;
}

static int await(pid_t process)
{
    int status = 0;
    assert_int_equal(waitpid(process, &status, 0), process);
    return status;
}

static uint64_t planned_bytes(void)
{
    tarn_config *config = new_config();
    tarn_env *env = fixture_open_env(config, NULL);
    const uint64_t bytes = (uint64_t)tarn_env_plan(env)->total_process;
    tarn_error error;
    assert_ok(tarn_env_close(env, &error), &error);
    tarn_config_free(config);
    return bytes;
}

static bool is_long(void)
{
    const char *wanted = getenv("TARN_LONG");
    return wanted != NULL && wanted[0] == '1';
}

static void test_a_job_that_is_killed_at_random_ends_as_if_it_had_not_been(void **state)
{
    (void)state;
    char directory[FIXTURE_PATH_BYTES];
    const char *seed = getenv("TARN_SEED");
    fixture_make_directory(directory);
    const plan p = {
        .seed = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL),
        .key_count = is_long() ? KEYS : KEYS_SHORT,
        .directory = directory,
    };
    tarn__random random = {p.seed};
    const uint64_t life_ms = is_long() ? LIFE_MS_LONG : LIFE_MS;
    const uint64_t limit = planned_bytes();
    const uint64_t end_ns = tarn__clock_monotonic_ns(tarn__clock_system()) +
                            (is_long() ? SECONDS_LONG : SECONDS) * NS_PER_SECOND;
    uint64_t peak = 0;
    uint64_t kill_count = 0;
    print_message("soak: TARN_SEED=%" PRIu64 "\n", p.seed);
    while (tarn__clock_monotonic_ns(tarn__clock_system()) < end_ns) {
        const pid_t process = start(&p, "run");
        const uint64_t seen = watch(process, 200 + tarn__random_below(&random, life_ms));
        peak = seen > peak ? seen : peak;
        assert_int_equal(kill(process, SIGKILL), 0);
        assert_true(WIFSIGNALED(await(process)));
        kill_count++;
    }
    const pid_t last = start(&p, "run");
    const uint64_t seen = watch(last, 2000);
    peak = seen > peak ? seen : peak;
    assert_int_equal(kill(last, SIGTERM), 0);
    assert_int_equal(await(last), 0);
    assert_int_equal(await(start(&p, "verify")), 0);
    print_message(
        "%" PRIu64 " kills; at most %.1f MiB resident, planned were %.1f\n",
        kill_count,
        (double)peak / (1 << 20),
        (double)limit / (1 << 20));
    assert_true(IS_INSTRUMENTED || peak <= limit);
    fixture_remove_directory(directory);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_that_is_killed_at_random_ends_as_if_it_had_not_been),
    };
    program_path = argv[0];
    if (argc == 5) {
        const plan p = {
            .seed = strtoull(argv[3], NULL, 10),
            .key_count = strtoull(argv[4], NULL, 10),
            .directory = argv[2],
        };
        return strcmp(argv[1], "run") == 0 ? run_job(&p) : verify(&p);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
