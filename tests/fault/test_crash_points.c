/*
 * Crash points: a job with RocksDB, driver and a directory is killed before and after each durable
 * step of upload, commit, subsuming, deletion, a savepoint, and the claim of its last checkpoint by
 * the job that goes on from there. Restored, it must be exactly where the model is, with what was
 * in flight and a copy on the local disk, and end as if it had never been killed. Each process
 * tells its parent what it takes, announces and restores (support/crash_tale.h): nothing that was
 * announced is ever missing afterwards.
 *
 *     "first": RECORDS, checkpoints ──► savepoint ──► "second" claims, RECORDS more, checkpoints
 *
 * The points are learned from a run that is left alone. Each is taken once; TARN_LONG=1 takes 200
 * at random, the nth time that they are reached; TARN_SEED=n replays that draw.
 */
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"
#include "base/try.h"
#include "checkpoint/driver.h"
#include "snapshot/checkpoint.h"
#include "snapshot/store.h"
#include "support/crash_files.h"
#include "support/crash_tale.h"
#include "support/scratch.h"
#include "support/state_fixture.h"
#include "tarn/channel_state.h"
#include "tarn/claim.h"
#include "tarn/savepoint.h"
#include "tarn/snapshot.h"

enum {
    KEYS = 97,
    RECORDS = 180,     /* Of each of the two jobs. */
    RECORDS_EACH = 30, /* Of one checkpoint. */
    IN_FLIGHT = 4,     /* Records that a checkpoint takes along instead of their effects. */
    RETAINED = 2,
    POINTS_MAX = 64,
    RUNS_LONG = 200,
    RUNS_BETWEEN_NOTES = 20,
    SOME_RUNS = 6, /* Where each is slow. */
    KILLED = 100,
};

/* --- The job, in a process of its own --- */

typedef struct job {
    crash_files files;
    tarn__account account;
    tarn_env *env;
    tarn_driver *driver;
    tarn_backend *backend;
    tarn_value *counts;
    tarn_error error;
    uint32_t attempt;
    uint64_t position;
    uint64_t triggered_id;
    uint64_t completed_id;
    const char *directory;
    const char *name; /* Of the job: "first", "second". */
    int tale;         /* Where it tells its parent. */
} job;

static void must(bool is_true, const char *what, const char *message)
{
    if (!is_true) {
        fprintf(stderr, "%s: %s\n", what, message);
        _exit(3);
    }
}

#define MUST_OK(call) must((call) == TARN_OK, #call, j->error.message)

static uint32_t key_of(uint64_t record)
{
    return (uint32_t)(tarn__random_mix(record) % KEYS);
}

static void set_key(job *j, uint32_t key)
{
    MUST_OK(tarn_backend_set_key(j->backend, tarn_bytes_at(&key, sizeof key), &j->error));
}

static void add_record(job *j)
{
    void *count = NULL;
    set_key(j, key_of(j->position));
    MUST_OK(tarn_value_edit(j->counts, sizeof(uint64_t), &count, &j->error));
    *(uint64_t *)count += 1;
    j->position++;
}

/* Every key has what the records before the position say; nothing more, nothing less. */
static void compare_with_model(job *j)
{
    uint64_t expected[KEYS] = {0};
    for (uint64_t r = 0; r < j->position; r++) {
        expected[key_of(r)]++;
    }
    for (uint32_t key = 0; key < KEYS; key++) {
        tarn_bytes bytes;
        uint64_t count = 0;
        set_key(j, key);
        const tarn_status status = tarn_value_get(j->counts, &bytes, &j->error);
        must(status == TARN_OK || status == TARN_NOT_FOUND, "get", j->error.message);
        if (status == TARN_OK) {
            memcpy(&count, bytes.data, sizeof count);
        }
        must(count == expected[key], "model", "a key has another count than the model");
    }
}

static bool trigger(const tarn_driver_barrier *barrier, void *context)
{
    ((job *)context)->triggered_id = barrier->checkpoint_id;
    return true;
}

static void notify_complete(uint64_t id, void *context)
{
    job *j = context;
    tarn_backend_notify_complete(j->backend, id);
    j->completed_id = id;
    crash_tale_tell(j->tale, CRASH_TALE_ANNOUNCED, id, 0, "");
}

static tarn__store_options store_options(job *j, const char *name)
{
    return (tarn__store_options){
        .address = j->directory,
        .job = name,
        .retained_count = UINT32_MAX,
        .account = &j->account,
        .calls = &j->files.base,
    };
}

/* The newest complete checkpoint of a job, or NULL. */
static tarn_checkpoint *open_newest(job *j, const char *name)
{
    tarn_checkpoint *checkpoint = NULL;
    const char *address = scratch_join(j->directory, name);
    const tarn_status status =
        tarn__checkpoint_open(address, NULL, &j->files.base, &checkpoint, &j->error);
    must(status == TARN_OK || status == TARN_MISSING, "open", j->error.message);
    return checkpoint;
}

/* The second job's first checkpoint overtakes what it claims. */
static bool is_second(job *j)
{
    tarn_checkpoint *own = open_newest(j, "second");
    tarn_checkpoint_free(own);
    return own != NULL;
}

static void claim(job *j, tarn_checkpoint_store *store)
{
    if (is_second(j)) {
        return;
    }
    tarn_checkpoint *checkpoint = open_newest(j, "first");
    must(checkpoint != NULL, "claim", "there is nothing to claim");
    MUST_OK(tarn_checkpoint_claim(store, checkpoint, TARN_CLAIM_MODE_CLAIM, &j->error));
    tarn_checkpoint_free(checkpoint);
}

static void open_driver(job *j, const char *name)
{
    static const uint32_t parallelism[] = {1};
    tarn_coordinator_options coordinator = TARN_COORDINATOR_OPTIONS_INIT;
    coordinator.parallelism = parallelism;
    coordinator.operator_count = 1;
    coordinator.retained_count = RETAINED;
    coordinator.retention = TARN_CHECKPOINT_RETAIN_ON_CANCELLATION;
    tarn_checkpoint_store *store = NULL;
    const tarn__store_options of_store = store_options(j, name);
    j->name = name;
    MUST_OK(tarn__store_open(&of_store, &store, &j->error));
    if (strcmp(name, "second") == 0) {
        claim(j, store);
    }
    const tarn__driver_options options = {
        .account = &j->account,
        .clock = tarn__clock_system(),
        .store = store,
        .coordinator = &coordinator,
        .address = j->directory,
        .job = name,
        .history_count = 1,
        .is_manual = true,
    };
    MUST_OK(tarn__driver_open(&options, &j->driver, &j->error));
    const tarn_driver_task task = {
        .struct_size = sizeof task,
        .trigger = trigger,
        .notify_complete = notify_complete,
        .context = j,
    };
    MUST_OK(tarn_driver_start_task(j->driver, 0, &task, &j->attempt, &j->error));
    tarn__driver_poll(j->driver);
}

static tarn_status replay(uint32_t channel, tarn_bytes buffer, void *context, tarn_error *error)
{
    job *j = context;
    uint64_t record = 0;
    (void)error;
    must(channel == 0 && buffer.size == sizeof record, "restore", "another record is in flight");
    memcpy(&record, buffer.data, sizeof record);
    must(record == j->position, "restore", "a record is missing that was in flight");
    add_record(j);
    return TARN_OK;
}

/* Pieces are sorted by name: "position", then what was in flight there. */
static void restore_position(job *j, const tarn_checkpoint *checkpoint)
{
    const tarn_checkpoint_operator_state state =
        tarn_checkpoint_operator_state_at(checkpoint, 0, 0);
    must(state.bytes.size == sizeof j->position, "restore", "there is no position");
    memcpy(&j->position, state.bytes.data, sizeof j->position);
}

static void replay_in_flight(job *j, const tarn_checkpoint *checkpoint)
{
    const uint64_t position = j->position;
    const tarn_checkpoint_operator_state state =
        tarn_checkpoint_operator_state_at(checkpoint, 0, 1);
    must(strcmp(state.name, TARN_CHANNEL_STATE_NAME) == 0, "restore", "nothing is in flight");
    MUST_OK(tarn_channel_state_read(state.bytes, replay, j, &j->error));
    must(j->position == position + IN_FLIGHT, "restore", "fewer records are in flight");
}

static void open_backend(job *j)
{
    tarn_coordinator_figures figures;
    tarn_driver_read_figures(j->driver, &figures);
    tarn_checkpoint *checkpoint = NULL;
    if (figures.latest_completed_id != 0) {
        MUST_OK(tarn_driver_open_checkpoint(
            j->driver, figures.latest_completed_id, &checkpoint, &j->error));
        restore_position(j, checkpoint);
        crash_tale_tell(j->tale, CRASH_TALE_RESTORED, figures.latest_completed_id, j->position, "");
    }
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = j->env;
    options.operator_name = "counter";
    options.directory = scratch_join(j->directory, "work");
    options.recovery_directory = scratch_join(j->directory, "copies");
    options.restore = checkpoint;
    MUST_OK(tarn_backend_open(&options, &j->backend, &j->error));
    j->counts = fixture_open_value(j->backend, "counts");
    compare_with_model(j);
    if (checkpoint != NULL) {
        replay_in_flight(j, checkpoint);
    }
    tarn_checkpoint_free(checkpoint);
}

static void settle(job *j)
{
    bool has_moved = true;
    while (has_moved) {
        tarn__driver_poll(j->driver);
        has_moved = tarn__driver_run_job(j->driver, TARN__LANE_WRITE);
        has_moved = tarn__driver_run_job(j->driver, TARN__LANE_DELETE) || has_moved;
    }
}

/* Records go on while the snapshot is uploaded; the first ones are in flight, as if overtaken. */
static void fill_snapshot(job *j, tarn_pending_checkpoint *pending, tarn_snapshot **out)
{
    tarn_buffer in_flight = TARN_BUFFER_INIT;
    MUST_OK(tarn_snapshot_begin(j->backend, pending, out, &j->error));
    MUST_OK(tarn_snapshot_add_state(
        *out, "position", tarn_bytes_at(&j->position, sizeof j->position), &j->error));
    for (uint64_t record = j->position; record < j->position + IN_FLIGHT; record++) {
        MUST_OK(tarn_channel_state_append(
            &in_flight, 0, tarn_bytes_at(&record, sizeof record), &j->error));
    }
    MUST_OK(tarn_snapshot_add_state(
        *out, TARN_CHANNEL_STATE_NAME, tarn_buffer_bytes(&in_flight), &j->error));
    tarn_buffer_clear(&in_flight);
}

static void take_checkpoint(job *j)
{
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer bytes = TARN_BUFFER_INIT;
    MUST_OK(tarn_driver_request(j->driver, TARN_CHECKPOINT_INCREMENTAL, 0, &j->error));
    settle(j);
    const uint64_t id = j->triggered_id;
    MUST_OK(tarn_driver_borrow(j->driver, id, &pending, &j->error));
    crash_tale_tell(j->tale, CRASH_TALE_TAKEN, id, j->position, "");
    fill_snapshot(j, pending, &snapshot);
    tarn_driver_give_back(j->driver, id);
    for (uint32_t i = 0; i < RECORDS_EACH / 2; i++) {
        add_record(j);
    }
    MUST_OK(tarn_snapshot_finish(snapshot, &bytes, &j->error));
    const tarn_bytes part = tarn_buffer_bytes(&bytes);
    MUST_OK(tarn_driver_acknowledge(j->driver, 0, j->attempt, id, &part, 1, &j->error));
    tarn_buffer_clear(&bytes);
    settle(j);
    must(j->completed_id == id, "checkpoint", "it was not completed");
}

/* Beside the checkpoints, which go on whether it becomes one or not. */
static void take_savepoint(job *j)
{
    tarn__store_options options = store_options(j, j->name);
    options.kind = TARN__METADATA_SAVEPOINT;
    options.retained_count = 1;
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer bytes = TARN_BUFFER_INIT;
    MUST_OK(tarn__savepoint_begin(&options, 1, &pending, &j->error));
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", tarn_savepoint_path(pending));
    fill_snapshot(j, pending, &snapshot);
    MUST_OK(tarn_snapshot_finish(snapshot, &bytes, &j->error));
    MUST_OK(tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&bytes), &j->error));
    tarn_buffer_clear(&bytes);
    MUST_OK(tarn_checkpoint_commit(pending, NULL, &j->error));
    crash_tale_tell(j->tale, CRASH_TALE_SAVED, 1, j->position, path);
}

/* In a process of its own, at the end: whoever died in between, what was announced is whole. */
static void verify_savepoint(const char *path, uint64_t position)
{
    static job the_job;
    job *j = &the_job;
    tarn_checkpoint *checkpoint = NULL;
    tarn_checkpoint_verification found;
    MUST_OK(tarn_checkpoint_open(path, NULL, &checkpoint, &j->error));
    MUST_OK(tarn_checkpoint_verify(checkpoint, NULL, NULL, &found, &j->error));
    must(found.bad_count == 0, "savepoint", "it is damaged");
    restore_position(j, checkpoint);
    must(j->position == position, "savepoint", "it is of another position");
    tarn_checkpoint_free(checkpoint);
}

static void open_job(job *j, const char *name)
{
    open_driver(j, name);
    open_backend(j);
    compare_with_model(j);
}

static void close_job(job *j)
{
    compare_with_model(j);
    MUST_OK(tarn_value_close(j->counts, &j->error));
    MUST_OK(tarn_backend_close(j->backend, &j->error));
    tarn_driver_end_task(j->driver, 0, TARN_TASK_END_STOPPED);
    MUST_OK(tarn_driver_close(j->driver, TARN_JOB_SUSPENDED, &j->error));
}

static void add_records(job *j, uint64_t until)
{
    while (j->position < until) {
        add_record(j);
        if (j->position % RECORDS_EACH == 0) {
            take_checkpoint(j);
        }
    }
}

/* What was before a kill may be done again: the second job begins where the first one ended. */
static void run_job(const char *directory, const char *point, uint32_t nth, int log, int tale)
{
    static job the_job;
    job *j = &the_job;
    *j = (job){.directory = directory, .tale = tale};
    crash_files_init(&j->files, point, nth, log);
    tarn__account_init(&j->account, "job", NULL);
    tarn_config *config = fixture_new_config(64);
    j->env = fixture_open_env(config, NULL);
    tarn_config_free(config);
    if (!is_second(j)) {
        open_job(j, "first");
        add_records(j, RECORDS);
        take_savepoint(j);
        close_job(j);
    }
    j->position = 0;
    open_job(j, "second");
    must(j->position >= RECORDS, "claim", "the second job does not begin where the first ended");
    add_records(j, 2 * RECORDS);
    close_job(j);
    MUST_OK(tarn_env_close(j->env, &j->error));
}

/* --- Outside --- */

/* Each is a point before it and one after it: what a run does that another process would find. */
static const char *const STEPS[] = {
    "write upload",
    "sync upload",
    "link shared",
    "rename shared",
    "rename claim",
    "rename _metadata", /* The commit. */
    "make directory",
    "make place",
    "make savepoint",
    "sync directory",
    "sync place",
    "sync savepoint",
    "remove _metadata",
    "remove place",
    "remove shared",
    "remove claim",
    "remove savepoint",
    "remove directory",
};

enum { STEP_COUNT = sizeof STEPS / sizeof STEPS[0] };

static int await(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
        return WEXITSTATUS(status);
    }
    assert_int_equal(WTERMSIG(status), SIGKILL);
    return KILLED;
}

/* Answers the exit status, or KILLED. What the process had to tell is heard. */
static int run_process(
    const char *directory, const char *point, uint32_t nth, int log, crash_tale *tale)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run_job(directory, point, nth, log, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    crash_tale_hear(tale, ends[0]);
    close(ends[0]);
    return await(child);
}

static void check_savepoints(const crash_tale *tale)
{
    for (uint32_t i = 0; i < tale->saved_count; i++) {
        const pid_t child = fork();
        if (child == 0) {
            verify_savepoint(tale->saved[i].path, tale->saved[i].position);
            _exit(0);
        }
        assert_int_equal(await(child), 0);
    }
}

typedef struct points {
    char names[POINTS_MAX][CRASH_NAME_BYTES];
    uint32_t reached[POINTS_MAX]; /* How often. */
    uint32_t count;
} points;

static void note_point(points *p, const char *name)
{
    uint32_t i = 0;
    while (i < p->count && strcmp(p->names[i], name) != 0) {
        i++;
    }
    if (i == p->count) {
        assert_in_range(p->count, 0, POINTS_MAX - 1);
        snprintf(p->names[i], CRASH_NAME_BYTES, "%s", name);
        p->count++;
    }
    p->reached[i]++;
}

static void learn_points(const char *directory, points *p)
{
    const char *path = scratch_join(directory, "points");
    const int log = open(path, O_CREAT | O_WRONLY | O_APPEND, 0600);
    assert_true(log >= 0);
    crash_tale tale = {.announced_id = 0};
    assert_int_equal(run_process(directory, NULL, 0, log, &tale), 0);
    assert_int_equal(tale.announced_count, 2 * RECORDS / RECORDS_EACH);
    assert_int_equal(tale.saved_count, 1);
    close(log);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char line[CRASH_NAME_BYTES];
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        note_point(p, line);
    }
    fclose(file);
}

static void expect_point(const points *p, const char *side, const char *step)
{
    char name[CRASH_NAME_BYTES];
    (void)snprintf(name, sizeof name, "%s %s", side, step);
    for (uint32_t i = 0; i < p->count; i++) {
        if (strcmp(p->names[i], name) == 0) {
            return;
        }
    }
    fail_msg("no run comes to \"%s\"", name);
}

/* A step that is reached no more is killed at no more; one that is new belongs to the list. */
static void expect_points(const points *p)
{
    for (uint32_t i = 0; i < STEP_COUNT; i++) {
        expect_point(p, "before", STEPS[i]);
        expect_point(p, "after", STEPS[i]);
    }
    assert_int_equal(p->count, 2 * STEP_COUNT);
}

/* Dies at the point, and then at another one while it is restored and goes on; then ends. */
static uint32_t die_and_end(const char *point, uint32_t nth, const char *then, uint32_t then_nth)
{
    scratch root;
    scratch_init(&root);
    uint32_t killed = 0;
    crash_tale tale = {.announced_id = 0};
    const int first = run_process(root.path, point, nth, -1, &tale);
    killed += first == KILLED ? 1 : 0;
    const int second = run_process(root.path, then, then_nth, -1, &tale);
    killed += second == KILLED ? 1 : 0;
    const int last = run_process(root.path, NULL, 0, -1, &tale);
    if ((first != 0 && first != KILLED) || (second != 0 && second != KILLED) || last != 0) {
        fail_msg("died at \"%s\" (%u), then at \"%s\" (%u)", point, nth, then, then_nth);
    }
    if (tale.problem[0] != '\0') {
        fail_msg(
            "died at \"%s\" (%u), then at \"%s\" (%u): %s",
            point,
            nth,
            then,
            then_nth,
            tale.problem);
    }
    assert_true(tale.restored_count > 0);
    check_savepoints(&tale);
    /* Whoever was to hear of the last one may have died before. */
    assert_int_equal(tale.durable_position, 2 * RECORDS);
    scratch_clear(&root);
    return killed;
}

static void test_job_that_dies_at_any_point_goes_on_where_the_model_is(void **state)
{
    (void)state;
    static points p;
    scratch root;
    scratch_init(&root);
    learn_points(root.path, &p);
    scratch_clear(&root);
    expect_points(&p);

    const char *seed = getenv("TARN_SEED");
    const char *is_long = getenv("TARN_LONG");
    const bool has_all = is_long != NULL && strcmp(is_long, "1") == 0;
    tarn__random random = {.state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL)};
    print_message("TARN_SEED=%" PRIu64 ", %u points\n", random.state, p.count);
    uint32_t killed = 0;
    const uint32_t few = getenv("CRASH_POINTS") != NULL ? SOME_RUNS : p.count;
    const uint32_t runs = has_all ? RUNS_LONG : few;
    for (uint32_t i = 0; i < runs; i++) {
        const bool is_random = i >= p.count || few == SOME_RUNS;
        const uint32_t at = is_random ? (uint32_t)tarn__random_below(&random, p.count) : i;
        const uint32_t then = (uint32_t)tarn__random_below(&random, p.count);
        killed += die_and_end(
            p.names[at],
            1 + (uint32_t)tarn__random_below(&random, p.reached[at]),
            p.names[then],
            1 + (uint32_t)tarn__random_below(&random, p.reached[then]));
        if (has_all && (i + 1) % RUNS_BETWEEN_NOTES == 0) {
            print_message("%u runs, %u kills\n", i + 1, killed);
        }
    }
    print_message("%u runs, %u kills\n", runs, killed);
    assert_true(killed >= runs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_job_that_dies_at_any_point_goes_on_where_the_model_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
