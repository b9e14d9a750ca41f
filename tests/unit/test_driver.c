/*
 * Unit tests of checkpoint/driver*.c: what the coordinator asks for is done with a real store. Most
 * tests poll and run the work of storage by hand, over a clock that stands until it is moved; the
 * last ones have the driver's own threads.
 */
#include "support/snapshot_rig.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/try.h"
#include "checkpoint/driver.h"
#include "snapshot/store_private.h"
#include "support/fault_storage.h"
#include "support/state_fixture.h"
#include "tarn/driver.h"
#include "tarn/fallback.h"

enum { TASKS = 3, TIMEOUT_MS = 1000, HEARD_MAX = 32 };

/* Two sources and a sink, and what they were told. */
typedef struct fixture {
    snapshot_rig rig;
    uint64_t now_ns;
    tarn__clock clock;
    tarn_coordinator_options options;
    tarn_driver *driver;
    uint32_t attempts[TASKS];
    uint64_t triggered_id;
    uint32_t triggered_count;
    tarn_driver_barrier barrier;
    bool refuses_trigger;
    uint64_t completed_id;
    uint64_t aborted_id;
    tarn_driver_outcome heard[HEARD_MAX];
    uint32_t heard_count;
    uint32_t failed_count;
    bool is_deleting_slow; /* No deletion gets done. */
} fixture;

static uint64_t clock_monotonic_ns(void *context)
{
    return ((fixture *)context)->now_ns;
}

static int64_t clock_wall_ms(void *context)
{
    return (int64_t)(((fixture *)context)->now_ns / 1000000);
}

static bool trigger(const tarn_driver_barrier *barrier, void *context)
{
    fixture *f = context;
    f->triggered_id = barrier->checkpoint_id;
    f->triggered_count++;
    f->barrier = *barrier;
    return !f->refuses_trigger;
}

static void notify_complete(uint64_t id, void *context)
{
    ((fixture *)context)->completed_id = id;
}

static void notify_aborted(uint64_t id, void *context)
{
    ((fixture *)context)->aborted_id = id;
}

static void hear(const tarn_driver_outcome *outcome, void *context)
{
    fixture *f = context;
    assert_in_range(f->heard_count, 0, HEARD_MAX - 1);
    f->heard[f->heard_count++] = *outcome;
}

static void fail_job(const tarn_driver_outcome *outcome, void *context)
{
    (void)outcome;
    ((fixture *)context)->failed_count++;
}

static void start_tasks(fixture *f)
{
    const tarn_driver_task callbacks = {
        .struct_size = sizeof callbacks,
        .trigger = trigger,
        .notify_complete = notify_complete,
        .notify_aborted = notify_aborted,
        .context = f,
    };
    for (uint32_t task = 0; task < TASKS; task++) {
        assert_ok(
            tarn_driver_start_task(f->driver, task, &callbacks, &f->attempts[task], &f->rig.error),
            &f->rig.error);
    }
}

static void end_tasks(fixture *f)
{
    for (uint32_t task = 0; task < TASKS; task++) {
        tarn_driver_end_task(f->driver, task, TARN_TASK_END_STOPPED);
    }
}

static tarn_status try_open_driver(fixture *f)
{
    static const uint32_t parallelism[] = {2, 1};
    static const tarn_coordinator_edge edge = {.from = 0, .to = 1};
    TARN_TRY(rig_open_store(&f->rig));
    f->options.parallelism = parallelism;
    f->options.operator_count = 2;
    f->options.edges = &edge;
    f->options.edge_count = 1;
    const tarn__driver_options options = {
        .account = &f->rig.account,
        .clock = &f->clock,
        .store = f->rig.store,
        .coordinator = &f->options,
        .address = scratch_join(f->rig.root.path, "store"),
        .job = "job",
        .history_count = 3,
        .hear = hear,
        .fail_job = fail_job,
        .context = f,
        .is_manual = true,
    };
    const tarn_status status = tarn__driver_open(&options, &f->driver, &f->rig.error);
    if (status != TARN_OK) {
        rig_close_store(&f->rig);
    }
    f->rig.store = NULL;
    return status;
}

static void open_driver(fixture *f)
{
    assert_ok(try_open_driver(f), &f->rig.error);
    start_tasks(f);
}

static void close_driver(fixture *f, tarn_job_end end)
{
    end_tasks(f);
    assert_ok(tarn_driver_close(f->driver, end, &f->rig.error), &f->rig.error);
    f->driver = NULL;
}

/* Until nothing moves any more. */
static void settle(fixture *f)
{
    bool has_moved = true;
    while (has_moved) {
        tarn__driver_poll(f->driver);
        has_moved = tarn__driver_run_job(f->driver, TARN__LANE_WRITE);
        if (!f->is_deleting_slow) {
            has_moved = tarn__driver_run_job(f->driver, TARN__LANE_DELETE) || has_moved;
        }
    }
}

static void pass(fixture *f, uint64_t ms)
{
    f->now_ns += ms * 1000000;
    settle(f);
}

static void request(fixture *f, tarn_checkpoint_kind kind, uint64_t request_id)
{
    assert_ok(tarn_driver_request(f->driver, kind, request_id, &f->rig.error), &f->rig.error);
    settle(f);
}

/* The sink has state; the sources have none. */
static void acknowledge(fixture *f, uint32_t task, uint64_t id)
{
    TARN_AUTO(tarn_buffer_clear) tarn_buffer part = {.allocator = &f->rig.outside.face};
    const tarn_checkpoint_operator_state state = {
        .name = "sum", .bytes = tarn_bytes_at(&id, sizeof id)};
    assert_ok(
        tarn_acknowledgement_encode(id, "sink", 0, 1, &state, 1, &part, &f->rig.error),
        &f->rig.error);
    const tarn_bytes bytes = tarn_buffer_bytes(&part);
    assert_ok(
        tarn_driver_acknowledge(
            f->driver, task, f->attempts[task], id, &bytes, task == 2 ? 1 : 0, &f->rig.error),
        &f->rig.error);
    settle(f);
}

static uint64_t take_checkpoint(fixture *f)
{
    request(f, TARN_CHECKPOINT_INCREMENTAL, 0);
    const uint64_t id = f->triggered_id;
    for (uint32_t task = 0; task < TASKS; task++) {
        acknowledge(f, task, id);
    }
    assert_int_equal(f->completed_id, id);
    return id;
}

static bool is_stored(fixture *f, uint64_t id)
{
    char name[64];
    snprintf(name, sizeof name, "chk-%llu/_metadata", (unsigned long long)id);
    return scratch_exists(rig_job(&f->rig, name));
}

static const tarn_driver_outcome *last_heard(const fixture *f)
{
    assert_int_not_equal(f->heard_count, 0);
    return &f->heard[f->heard_count - 1];
}

static void prepare(fixture *f)
{
    memset(f, 0, sizeof *f);
    rig_init(&f->rig, UINT32_MAX, 0);
    f->now_ns = 1000000000;
    f->clock = (tarn__clock){clock_monotonic_ns, clock_wall_ms, f};
    f->options = (tarn_coordinator_options)TARN_COORDINATOR_OPTIONS_INIT;
    f->options.timeout_ms = TIMEOUT_MS;
    f->options.retention = TARN_CHECKPOINT_RETAIN_ON_CANCELLATION;
}

static int set_up(void **state)
{
    static fixture f;
    prepare(&f);
    open_driver(&f);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    if (f->driver != NULL) {
        close_driver(f, TARN_JOB_SUSPENDED);
    }
    rig_clear(&f->rig);
    return 0;
}

static void test_checkpoint_is_announced_when_it_is_durable(void **state)
{
    fixture *f = *state;
    request(f, TARN_CHECKPOINT_INCREMENTAL, 7);
    assert_int_equal(f->triggered_count, 2); /* The sources. */
    acknowledge(f, 0, 1);
    acknowledge(f, 2, 1);
    assert_int_equal(f->heard_count, 0);
    assert_false(is_stored(f, 1));
    f->now_ns += 5000000;
    acknowledge(f, 1, 1);
    assert_true(is_stored(f, 1));
    assert_int_equal(f->completed_id, 1);
    const tarn_driver_outcome *heard = last_heard(f);
    assert_true(heard->is_completed);
    assert_int_equal(heard->request_id, 7);
    assert_int_equal(heard->duration_ms, 5);
    assert_int_equal(heard->acknowledged_count, 3);
    assert_int_equal(heard->summary.subtask_count, 1);
}

/* Until the coordinator counts an acknowledgement, none of its bytes reach the checkpoint. */
static void test_acknowledgement_of_another_attempt_does_not_count(void **state)
{
    fixture *f = *state;
    tarn_driver_end_task(f->driver, 2, TARN_TASK_END_FAILED);
    settle(f);
    const tarn_driver_task callbacks = {.struct_size = sizeof callbacks, .context = f};
    assert_ok(
        tarn_driver_start_task(f->driver, 2, &callbacks, &f->attempts[2], &f->rig.error),
        &f->rig.error);
    assert_int_equal(f->attempts[2], 1);
    request(f, TARN_CHECKPOINT_INCREMENTAL, 0);
    acknowledge(f, 0, 1);
    acknowledge(f, 1, 1);
    f->attempts[2] = 0;
    acknowledge(f, 2, 1);
    assert_false(is_stored(f, 1));
    f->attempts[2] = 1;
    acknowledge(f, 2, 1);
    assert_true(is_stored(f, 1));
}

static void test_older_checkpoint_is_deleted_by_the_next(void **state)
{
    fixture *f = *state;
    assert_int_equal(take_checkpoint(f), 1);
    assert_int_equal(take_checkpoint(f), 2);
    assert_false(scratch_exists(rig_job(&f->rig, "chk-1")));
    assert_true(is_stored(f, 2));
}

/* What is to be deleted, or could not be before, is no business of who takes the next one. */
static void test_checkpoints_complete_while_a_deletion_takes_its_time(void **state)
{
    fixture *f = *state;
    tarn_checkpoint_store *store = f->driver->options.store;
    const tarn__content content = {.size = 7};
    bool is_present = false;
    f->is_deleting_slow = true;
    assert_int_equal(take_checkpoint(f), 1);
    assert_ok(tarn__store_ref(store, &content, &is_present, &f->rig.error), &f->rig.error);
    tarn__store_unref(store, &content, 1);
    assert_int_equal(take_checkpoint(f), 2);
    assert_int_equal(take_checkpoint(f), 3);
    assert_true(is_stored(f, 1));
    assert_int_equal(store->registry.garbage_count, 1);
    f->is_deleting_slow = false;
    settle(f);
    assert_false(is_stored(f, 1));
    assert_false(is_stored(f, 2));
    assert_int_equal(store->registry.garbage_count, 0);
}

static void test_timeout_aborts_and_late_answers_change_nothing(void **state)
{
    fixture *f = *state;
    request(f, TARN_CHECKPOINT_INCREMENTAL, 0);
    acknowledge(f, 0, 1);
    acknowledge(f, 1, 1);
    pass(f, TIMEOUT_MS);
    assert_int_equal(last_heard(f)->reason, TARN_FAILURE_CHECKPOINT_EXPIRED);
    assert_int_equal(f->aborted_id, 1);
    acknowledge(f, 2, 1);
    assert_false(scratch_exists(rig_job(&f->rig, "chk-1")));
    tarn_coordinator_figures figures;
    tarn_driver_read_figures(f->driver, &figures);
    assert_int_equal(figures.late_count, 1);
    assert_int_equal(figures.failure_counts[TARN_FAILURE_CHECKPOINT_EXPIRED], 1);
    assert_int_equal(f->failed_count, 1); /* None is tolerable. */
}

static void test_outcome_says_why_a_task_declined(void **state)
{
    fixture *f = *state;
    request(f, TARN_CHECKPOINT_INCREMENTAL, 0);
    const tarn_error cause = {.status = TARN_NO_SPACE, .message = "the disk of task 2 is full"};
    tarn_driver_decline(f->driver, 2, 1, TARN_FAILURE_CHECKPOINT_ASYNC_EXCEPTION, &cause);
    settle(f);
    assert_int_equal(last_heard(f)->reason, TARN_FAILURE_CHECKPOINT_ASYNC_EXCEPTION);
    assert_string_equal(last_heard(f)->cause.message, cause.message);
}

static void test_task_that_cannot_be_told_aborts_the_checkpoint(void **state)
{
    fixture *f = *state;
    f->refuses_trigger = true;
    request(f, TARN_CHECKPOINT_INCREMENTAL, 0);
    assert_int_equal(last_heard(f)->reason, TARN_FAILURE_TRIGGER_CHECKPOINT_FAILURE);
    assert_false(scratch_exists(rig_job(&f->rig, "chk-1")));
}

static void test_damaged_part_is_never_committed(void **state)
{
    fixture *f = *state;
    request(f, TARN_CHECKPOINT_INCREMENTAL, 0);
    acknowledge(f, 0, 1);
    acknowledge(f, 1, 1);
    const tarn_bytes nonsense = tarn_bytes_of("no acknowledgement");
    assert_ok(
        tarn_driver_acknowledge(f->driver, 2, f->attempts[2], 1, &nonsense, 1, &f->rig.error),
        &f->rig.error);
    settle(f);
    assert_int_equal(last_heard(f)->reason, TARN_FAILURE_FINALIZE_CHECKPOINT_FAILURE);
    assert_int_equal(last_heard(f)->cause.status, TARN_CORRUPTION);
    assert_false(scratch_exists(rig_job(&f->rig, "chk-1")));
}

static void test_full_disk_fails_the_checkpoint_and_the_next_one_completes(void **state)
{
    fixture *f = *state;
    request(f, TARN_CHECKPOINT_INCREMENTAL, 0);
    acknowledge(f, 0, 1);
    acknowledge(f, 1, 1);
    f->rig.files.code = ENOSPC;
    f->rig.files.is_persistent = true;
    f->rig.files.fail_at = atomic_load(&f->rig.files.call_count);
    acknowledge(f, 2, 1);
    assert_int_equal(last_heard(f)->reason, TARN_FAILURE_FINALIZE_CHECKPOINT_FAILURE);
    assert_int_equal(last_heard(f)->cause.status, TARN_NO_SPACE);
    f->rig.files.fail_at = FAULT_FILES_NEVER;
    assert_int_equal(take_checkpoint(f), 2);
}

/* A snapshot that begins just now must not find its checkpoint gone. */
static void test_borrowed_checkpoint_ends_when_it_is_given_back(void **state)
{
    fixture *f = *state;
    tarn_pending_checkpoint *pending = NULL;
    request(f, TARN_CHECKPOINT_INCREMENTAL, 0);
    assert_ok(tarn_driver_borrow(f->driver, 1, &pending, &f->rig.error), &f->rig.error);
    pass(f, TIMEOUT_MS);
    assert_int_equal(tarn_pending_checkpoint_id(pending), 1);
    tarn_coordinator_figures figures;
    tarn_driver_read_figures(f->driver, &figures);
    assert_int_equal(figures.cleaning_count, 1);
    assert_int_equal(tarn_driver_borrow(f->driver, 1, &pending, &f->rig.error), TARN_ABANDONED);
    tarn_driver_give_back(f->driver, 1);
    settle(f);
    tarn_driver_read_figures(f->driver, &figures);
    assert_int_equal(figures.cleaning_count, 0);
    assert_int_equal(tarn_driver_borrow(f->driver, 2, &pending, &f->rig.error), TARN_ABANDONED);
}

/* Two at a time, every 100 ms: nothing but the pauses keeps one from beginning. */
static void start_periodic(fixture *f)
{
    close_driver(f, TARN_JOB_SUSPENDED);
    f->options.interval_ms = 100;
    f->options.max_concurrent = 2;
    open_driver(f);
    assert_ok(tarn_driver_start(f->driver, &f->rig.error), &f->rig.error);
    settle(f);
}

/* A job that is over has no periodic checkpoints any more, not even rejected ones. */
static void test_nothing_is_due_after_the_end(void **state)
{
    fixture *f = *state;
    start_periodic(f);
    tarn_pending_checkpoint *pending = NULL;
    request(f, TARN_CHECKPOINT_INCREMENTAL, 0);
    assert_ok(tarn_driver_borrow(f->driver, 1, &pending, &f->rig.error), &f->rig.error);
    end_tasks(f);
    assert_int_equal(tarn_driver_close(f->driver, TARN_JOB_FINISHED, &f->rig.error), TARN_BUSY);
    const uint32_t heard_count = f->heard_count;
    assert_int_equal(last_heard(f)->reason, TARN_FAILURE_CHECKPOINT_COORDINATOR_SHUTDOWN);
    assert_int_equal(tarn__driver_poll(f->driver), TARN_COORDINATOR_NEVER);
    pass(f, 1000);
    assert_int_equal(f->heard_count, heard_count);
    tarn_driver_give_back(f->driver, 1);
    settle(f);
}

static void test_retention_follows_the_jobs_end(void **state)
{
    fixture *f = *state;
    close_driver(f, TARN_JOB_SUSPENDED);
    static const struct {
        tarn_checkpoint_retention retention;
        tarn_job_end end;
        bool is_kept;
    } cases[] = {
        {TARN_CHECKPOINT_RETAIN_NEVER, TARN_JOB_FINISHED, false},
        {TARN_CHECKPOINT_RETAIN_NEVER, TARN_JOB_CANCELED, false},
        {TARN_CHECKPOINT_RETAIN_NEVER, TARN_JOB_FAILED, false},
        {TARN_CHECKPOINT_RETAIN_NEVER, TARN_JOB_SUSPENDED, false},
        {TARN_CHECKPOINT_RETAIN_ON_FAILURE, TARN_JOB_FINISHED, false},
        {TARN_CHECKPOINT_RETAIN_ON_FAILURE, TARN_JOB_CANCELED, false},
        {TARN_CHECKPOINT_RETAIN_ON_FAILURE, TARN_JOB_FAILED, true},
        {TARN_CHECKPOINT_RETAIN_ON_CANCELLATION, TARN_JOB_FINISHED, false},
        {TARN_CHECKPOINT_RETAIN_ON_CANCELLATION, TARN_JOB_CANCELED, true},
        {TARN_CHECKPOINT_RETAIN_ON_CANCELLATION, TARN_JOB_FAILED, true},
        {TARN_CHECKPOINT_RETAIN_ON_CANCELLATION, TARN_JOB_SUSPENDED, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f->options.retention = cases[i].retention;
        open_driver(f);
        const uint64_t id = take_checkpoint(f);
        close_driver(f, cases[i].end);
        assert_int_equal(is_stored(f, id), cases[i].is_kept);
    }
}

static void test_savepoint_outlives_job_and_checkpoints(void **state)
{
    fixture *f = *state;
    request(f, TARN_CHECKPOINT_SAVEPOINT, 9);
    assert_int_equal(f->barrier.kind, TARN_CHECKPOINT_SAVEPOINT);
    for (uint32_t task = 0; task < TASKS; task++) {
        acknowledge(f, task, 1);
    }
    assert_int_equal(last_heard(f)->request_id, 9);
    take_checkpoint(f);
    take_checkpoint(f);
    close_driver(f, TARN_JOB_FINISHED);
    assert_true(is_stored(f, 1));
    assert_false(is_stored(f, 3));
}

static void test_stop_with_savepoint_stops_periodic_checkpoints(void **state)
{
    fixture *f = *state;
    start_periodic(f);
    pass(f, 100);
    const uint64_t before = f->triggered_id;
    assert_int_not_equal(before, 0);
    request(f, TARN_CHECKPOINT_SAVEPOINT_TERMINATE, 1);
    assert_int_equal(f->aborted_id, before); /* Nothing else is to take effect. */
    assert_int_equal(f->barrier.kind, TARN_CHECKPOINT_SAVEPOINT_TERMINATE);
    const uint64_t id = f->triggered_id;
    const uint32_t count = f->triggered_count;
    pass(f, 300);
    assert_ok(tarn_driver_start(f->driver, &f->rig.error), &f->rig.error);
    pass(f, 300);
    assert_int_equal(f->triggered_count, count);
    for (uint32_t task = 0; task < TASKS; task++) {
        acknowledge(f, task, id);
    }
    assert_true(last_heard(f)->is_completed);
    assert_int_equal(f->completed_id, id);
    pass(f, 1000);
    assert_int_equal(f->triggered_count, count);

    /* The job is restored after all. */
    uint64_t restore_id = 0;
    assert_ok(tarn_driver_fail_over(f->driver, &restore_id, &f->rig.error), &f->rig.error);
    end_tasks(f);
    start_tasks(f);
    settle(f);
    pass(f, 200);
    assert_in_range(f->triggered_count, count + 1, UINT32_MAX);
}

static void test_periodic_checkpoints_go_on_when_a_stopping_savepoint_fails(void **state)
{
    fixture *f = *state;
    start_periodic(f);
    request(f, TARN_CHECKPOINT_SAVEPOINT_SUSPEND, 1);
    request(f, TARN_CHECKPOINT_SAVEPOINT_TERMINATE, 2); /* Ends the first. */
    assert_int_equal(last_heard(f)->request_id, 1);
    assert_false(last_heard(f)->is_completed);
    const uint32_t count = f->triggered_count;
    pass(f, 300);
    assert_int_equal(f->triggered_count, count); /* The second one is under way. */
    tarn_driver_decline(
        f->driver, 2, f->triggered_id, TARN_FAILURE_CHECKPOINT_DECLINED, /* cause= */ NULL);
    settle(f);
    assert_int_equal(last_heard(f)->request_id, 2);
    assert_false(last_heard(f)->is_completed);
    pass(f, 200);
    assert_in_range(f->triggered_count, count + 1, UINT32_MAX);

    /* Not when somebody has stopped them meanwhile; nor where there were none. */
    request(f, TARN_CHECKPOINT_SAVEPOINT_TERMINATE, 3);
    assert_ok(tarn_driver_stop(f->driver, &f->rig.error), &f->rig.error);
    settle(f);
    request(f, TARN_CHECKPOINT_SAVEPOINT_TERMINATE, 4);
    const uint32_t stopped = f->triggered_count;
    pass(f, TIMEOUT_MS);
    assert_int_equal(last_heard(f)->reason, TARN_FAILURE_CHECKPOINT_EXPIRED);
    pass(f, 1000);
    assert_int_equal(f->triggered_count, stopped);
}

static void test_periodic_checkpoints_go_on_when_a_stopping_savepoint_times_out(void **state)
{
    fixture *f = *state;
    start_periodic(f);
    request(f, TARN_CHECKPOINT_SAVEPOINT_TERMINATE, 1);
    const uint32_t count = f->triggered_count;
    pass(f, TIMEOUT_MS);
    assert_int_equal(last_heard(f)->reason, TARN_FAILURE_CHECKPOINT_EXPIRED);
    pass(f, 200);
    assert_in_range(f->triggered_count, count + 1, UINT32_MAX);
}

static void test_periodic_checkpoints_stop_and_rest_during_a_backlog(void **state)
{
    fixture *f = *state;
    close_driver(f, TARN_JOB_SUSPENDED);
    f->options.interval_ms = 100;
    f->options.backlog_interval_ms = TARN_COORDINATOR_NEVER;
    open_driver(f);
    assert_ok(tarn_driver_start(f->driver, &f->rig.error), &f->rig.error);
    assert_ok(tarn_driver_set_backlog(f->driver, true, &f->rig.error), &f->rig.error);
    settle(f);
    pass(f, 100); /* What is due already is still taken. */
    assert_int_equal(f->triggered_count, 2);
    for (uint32_t task = 0; task < TASKS; task++) {
        acknowledge(f, task, f->triggered_id);
    }
    pass(f, 1000);
    assert_int_equal(f->triggered_count, 2);
    assert_ok(tarn_driver_set_backlog(f->driver, false, &f->rig.error), &f->rig.error);
    settle(f);
    pass(f, 200);
    assert_int_equal(f->triggered_count, 4);
    assert_ok(tarn_driver_stop(f->driver, &f->rig.error), &f->rig.error);
    settle(f);
    assert_int_equal(last_heard(f)->reason, TARN_FAILURE_CHECKPOINT_COORDINATOR_SUSPEND);
    pass(f, 1000);
    assert_int_equal(f->triggered_count, 4);
}

static void test_reopened_job_goes_on_with_ids_and_retained_checkpoints(void **state)
{
    fixture *f = *state;
    take_checkpoint(f);
    close_driver(f, TARN_JOB_SUSPENDED);
    open_driver(f);
    tarn_coordinator_figures figures;
    settle(f);
    tarn_driver_read_figures(f->driver, &figures);
    assert_int_equal(figures.latest_completed_id, 1);
    assert_int_equal(take_checkpoint(f), 2);
    assert_false(is_stored(f, 1));
}

/* A commit under way may succeed: restoring from the one before it would double what follows. */
static void test_fail_over_awaits_the_commit_under_way(void **state)
{
    fixture *f = *state;
    take_checkpoint(f);
    request(f, TARN_CHECKPOINT_INCREMENTAL, 0);
    const tarn_bytes none = {.data = NULL};
    for (uint32_t task = 0; task < TASKS; task++) {
        assert_ok(
            tarn_driver_acknowledge(f->driver, task, 0, 2, &none, 0, &f->rig.error), &f->rig.error);
    }
    tarn__driver_poll(f->driver); /* The commit is asked for, and not done. */
    uint64_t restore_id = 0;
    assert_ok(tarn_driver_fail_over(f->driver, &restore_id, &f->rig.error), &f->rig.error);
    assert_int_equal(restore_id, 2);
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(
        tarn_driver_open_checkpoint(f->driver, restore_id, &checkpoint, &f->rig.error),
        &f->rig.error);
    assert_int_equal(tarn_checkpoint_summarize(checkpoint).id, 2);
    tarn_checkpoint_free(checkpoint);
    end_tasks(f);
    start_tasks(f);
    assert_int_equal(f->attempts[0], 1);
    assert_int_equal(take_checkpoint(f), 3);
}

/* The end of one commit begins the next one: a savepoint's, that of a checkpoint that was ready. */
static void test_fail_over_awaits_every_commit_under_way(void **state)
{
    fixture *f = *state;
    const tarn_bytes none = {.data = NULL};
    request(f, TARN_CHECKPOINT_INCREMENTAL, 0);
    request(f, TARN_CHECKPOINT_SAVEPOINT, 1);
    for (uint64_t id = 2; id >= 1; id--) {
        for (uint32_t task = 0; task < TASKS; task++) {
            assert_ok(
                tarn_driver_acknowledge(f->driver, task, 0, id, &none, 0, &f->rig.error),
                &f->rig.error);
        }
        tarn__driver_poll(f->driver);
    }
    assert_true(tarn__driver_run_job(f->driver, TARN__LANE_WRITE));
    tarn__driver_poll(f->driver);
    uint64_t restore_id = 0;
    assert_ok(tarn_driver_fail_over(f->driver, &restore_id, &f->rig.error), &f->rig.error);
    assert_int_equal(restore_id, 1);
    settle(f);
    assert_int_equal(f->heard_count, 2); /* And nothing completes afterwards. */
}

/* The abort makes room for what waits. That must not count on the task that is gone: it would wait
 * for it until the timeout. */
static void test_checkpoint_after_a_failed_task_does_not_await_it(void **state)
{
    fixture *f = *state;
    request(f, TARN_CHECKPOINT_INCREMENTAL, 1);
    request(f, TARN_CHECKPOINT_INCREMENTAL, 2);
    tarn_driver_end_task(f->driver, 2, TARN_TASK_END_FAILED);
    settle(f);
    assert_int_equal(f->triggered_id, 1);
    assert_int_equal(f->heard_count, 2);
    assert_int_equal(f->heard[0].checkpoint_id, 1);
    assert_int_equal(f->heard[0].reason, TARN_FAILURE_TASK_FAILURE);
    assert_int_equal(f->heard[1].request_id, 2);
    assert_int_equal(f->heard[1].reason, TARN_FAILURE_NOT_ALL_REQUIRED_TASKS_RUNNING);
    const tarn_driver_task callbacks = {.struct_size = sizeof callbacks, .context = f};
    assert_ok(
        tarn_driver_start_task(f->driver, 2, &callbacks, &f->attempts[2], &f->rig.error),
        &f->rig.error);
    assert_int_equal(take_checkpoint(f), 2);
}

/* What completed after fail_over() had answered would be lost by the restart, and done twice. */
static void test_nothing_begins_between_fail_over_and_restart(void **state)
{
    fixture *f = *state;
    assert_int_equal(take_checkpoint(f), 1);
    request(f, TARN_CHECKPOINT_INCREMENTAL, 2);
    request(f, TARN_CHECKPOINT_INCREMENTAL, 3);
    request(f, TARN_CHECKPOINT_SAVEPOINT, 4);
    uint64_t restore_id = 0;
    assert_ok(tarn_driver_fail_over(f->driver, &restore_id, &f->rig.error), &f->rig.error);
    assert_int_equal(restore_id, 1);
    settle(f);
    request(f, TARN_CHECKPOINT_FULL, 5);
    const uint64_t triggered_id = f->triggered_id;
    for (uint32_t task = 0; task < TASKS; task++) {
        acknowledge(f, task, triggered_id);
    }
    for (uint32_t task = 0; task < TASKS; task++) {
        tarn_driver_end_task(f->driver, task, TARN_TASK_END_FINISHED); /* They had not heard. */
    }
    request(f, TARN_CHECKPOINT_FULL, 6);
    tarn_coordinator_figures figures;
    tarn_driver_read_figures(f->driver, &figures);
    assert_int_equal(figures.pending_count, 0);
    assert_int_equal(figures.queued_count, 0);
    assert_int_equal(figures.latest_completed_id, 1);
    assert_int_equal(f->triggered_id, triggered_id);
    assert_true(is_stored(f, 1));
    assert_int_equal(figures.failure_counts[TARN_FAILURE_NOT_ALL_REQUIRED_TASKS_RUNNING], 3);
    start_tasks(f);
    assert_int_equal(take_checkpoint(f), triggered_id + 1);
    assert_int_equal(f->failed_count, 0);
}

static void test_downstream_is_told_once_the_sources_have_finished(void **state)
{
    fixture *f = *state;
    tarn_driver_end_task(f->driver, 0, TARN_TASK_END_FINISHED);
    tarn_driver_end_task(f->driver, 1, TARN_TASK_END_FINISHED);
    request(f, TARN_CHECKPOINT_INCREMENTAL, 0);
    assert_int_equal(f->triggered_count, 1);
    acknowledge(f, 2, 1);
    assert_int_equal(f->completed_id, 1);
}

static void test_history_is_bounded_and_latest_first(void **state)
{
    fixture *f = *state;
    for (uint32_t i = 0; i < 5; i++) {
        take_checkpoint(f);
    }
    tarn_driver_outcome outcomes[8];
    assert_int_equal(tarn_driver_list_history(f->driver, outcomes, 8), 3);
    assert_int_equal(outcomes[0].checkpoint_id, 5);
    assert_int_equal(outcomes[2].checkpoint_id, 3);
}

static void test_driver_with_running_tasks_is_not_closed(void **state)
{
    fixture *f = *state;
    assert_int_equal(tarn_driver_close(f->driver, TARN_JOB_CANCELED, &f->rig.error), TARN_BUSY);
    assert_non_null(strstr(f->rig.error.message, "task 2"));
    assert_int_equal(take_checkpoint(f), 1);
}

static void test_wrong_tasks_are_refused(void **state)
{
    fixture *f = *state;
    uint32_t attempt = 0;
    tarn_driver_task task = {.struct_size = sizeof task};
    tarn_error *error = &f->rig.error;
    assert_int_equal(tarn_driver_start_task(f->driver, 0, &task, &attempt, error), TARN_BUSY);
    assert_int_equal(
        tarn_driver_start_task(f->driver, TASKS, &task, &attempt, error), TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_driver_start_task(f->driver, 0, NULL, &attempt, error), TARN_INVALID_ARGUMENT);
    tarn_driver_end_task(f->driver, TASKS, TARN_TASK_END_FAILED);
    tarn_driver_give_back(f->driver, 99);
    assert_int_equal(take_checkpoint(f), 1);
}

/* Fails the first allocation, then the second ...: the driver reports it or goes on; none leaks. */
static void test_running_out_of_memory_costs_checkpoints_at_most(void **state)
{
    (void)state;
    bool has_fired = true;
    for (uint64_t nth = 0; has_fired; nth++) {
        fixture f;
        prepare(&f);
        f.rig.memory.fail_at = nth;
        const tarn_status status = try_open_driver(&f);
        has_fired = atomic_load(&f.rig.memory.fired);
        assert_int_equal(status, has_fired ? TARN_NO_MEMORY : TARN_OK);
        if (status == TARN_OK) {
            f.rig.memory.fail_at = FAULT_NEVER;
            start_tasks(&f);
            close_driver(&f, TARN_JOB_FINISHED);
        }
        rig_clear(&f.rig);
    }
    has_fired = true;
    for (uint64_t nth = 0; has_fired; nth++) {
        fixture f;
        prepare(&f);
        f.options.tolerable_failures = 10;
        open_driver(&f);
        f.rig.memory.fail_at = atomic_load(&f.rig.memory.request_count) + nth;
        const tarn_status status =
            tarn_driver_request(f.driver, TARN_CHECKPOINT_FULL, 1, &f.rig.error);
        settle(&f);
        if (f.triggered_id != 0) {
            const tarn_bytes none = {.data = NULL};
            for (uint32_t task = 0; task < TASKS; task++) {
                if (tarn_driver_acknowledge(f.driver, task, 0, 1, &none, 0, &f.rig.error) !=
                    TARN_OK) {
                    tarn_driver_decline(f.driver, task, 1, TARN_FAILURE_CHECKPOINT_DECLINED, NULL);
                }
            }
        }
        settle(&f);
        has_fired = atomic_load(&f.rig.memory.fired);
        assert_int_equal(f.heard_count, status == TARN_OK ? 1 : 0);
        assert_true(has_fired || last_heard(&f)->is_completed);
        f.rig.memory.fail_at = FAULT_NEVER;
        const uint64_t id = take_checkpoint(&f);
        assert_true(is_stored(&f, id));
        close_driver(&f, TARN_JOB_FINISHED);
        rig_clear(&f.rig);
    }
}

/* --- With threads --- */

typedef struct engine {
    tarn_driver *driver;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t completed_count; /* Under the mutex. */
    char savepoint[512];      /* Likewise: its path. */
    uint32_t attempts[TASKS];
} engine;

/* Acknowledges for all three at once, from the driver's own thread. */
static bool answer_trigger(const tarn_driver_barrier *barrier, void *context)
{
    engine *e = context;
    tarn_error error;
    for (uint32_t task = 0; task < TASKS; task++) {
        if (tarn_driver_acknowledge(
                e->driver, task, e->attempts[task], barrier->checkpoint_id, NULL, 0, &error) !=
            TARN_OK) {
            return false;
        }
    }
    return true;
}

static void count_completion(uint64_t id, void *context)
{
    (void)id;
    engine *e = context;
    pthread_mutex_lock(&e->mutex);
    e->completed_count++;
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->mutex);
}

static void hear_savepoint(const tarn_driver_outcome *outcome, void *context)
{
    engine *e = context;
    pthread_mutex_lock(&e->mutex);
    if (outcome->is_completed && outcome->kind == TARN_CHECKPOINT_SAVEPOINT) {
        snprintf(e->savepoint, sizeof e->savepoint, "%s", outcome->path);
        pthread_cond_signal(&e->changed);
    }
    pthread_mutex_unlock(&e->mutex);
}

static void start_engine_tasks(engine *e)
{
    tarn_error error;
    const tarn_driver_task task = {
        .struct_size = sizeof task,
        .trigger = answer_trigger,
        .notify_complete = count_completion,
        .context = e,
    };
    for (uint32_t i = 0; i < TASKS; i++) {
        assert_ok(tarn_driver_start_task(e->driver, i, &task, &e->attempts[i], &error), &error);
    }
}

static void stop_engine_tasks(engine *e)
{
    for (uint32_t i = 0; i < TASKS; i++) {
        tarn_driver_end_task(e->driver, i, TARN_TASK_END_STOPPED);
    }
}

static tarn_driver_options engine_options(tarn_env *env, const char *address)
{
    static const uint32_t parallelism[] = {TASKS};
    tarn_driver_options options = TARN_DRIVER_OPTIONS_INIT;
    options.env = env;
    options.address = address;
    options.job = "job";
    options.parallelism = parallelism;
    options.operator_count = 1;
    return options;
}

/* Of a driver that says to hear_savepoint() what it has heard. */
static void take_savepoint(engine *e)
{
    tarn_error error;
    assert_ok(tarn_driver_request(e->driver, TARN_CHECKPOINT_SAVEPOINT, 1, &error), &error);
    pthread_mutex_lock(&e->mutex);
    while (e->savepoint[0] == '\0') {
        pthread_cond_wait(&e->changed, &e->mutex);
    }
    pthread_mutex_unlock(&e->mutex);
}

static void await_completions(engine *e, uint32_t count)
{
    pthread_mutex_lock(&e->mutex);
    while (e->completed_count < count) {
        pthread_cond_wait(&e->changed, &e->mutex);
    }
    pthread_mutex_unlock(&e->mutex);
}

static void test_threads_take_periodic_checkpoints_until_closed(void **state)
{
    (void)state;
    char directory[FIXTURE_PATH_BYTES];
    fixture_make_directory(directory);
    tarn_config *config = fixture_new_config(64);
    fixture_set(config, "execution.checkpointing.interval", "10 ms");
    fixture_set(config, "execution.checkpointing.num-retained", "2");
    fixture_set(
        config,
        "execution.checkpointing.externalized-checkpoint-retention",
        "RETAIN_ON_CANCELLATION");
    tarn_env *env = fixture_open_env(config, NULL);
    tarn_config_free(config);
    tarn_error error;
    engine e = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    tarn_driver_options options = engine_options(env, directory);
    options.hear = hear_savepoint;
    options.context = &e;
    assert_ok(tarn_driver_open(&options, &e.driver, &error), &error);
    assert_int_equal(
        tarn_driver_request(e.driver, TARN_CHECKPOINT_SAVEPOINT, 1, &error), TARN_INVALID_ARGUMENT);
    assert_ok(tarn_driver_close(e.driver, TARN_JOB_FINISHED, &error), &error);
    options.savepoint_address = scratch_join(directory, "savepoints");
    assert_ok(tarn_driver_open(&options, &e.driver, &error), &error);
    start_engine_tasks(&e);
    assert_ok(tarn_driver_start(e.driver, &error), &error);
    await_completions(&e, 5);
    take_savepoint(&e);
    assert_true(scratch_exists(scratch_join(e.savepoint, "_metadata")));
    assert_non_null(strstr(e.savepoint, "/savepoints/savepoint-"));
    uint64_t restore_id = 0;
    assert_ok(tarn_driver_fail_over(e.driver, &restore_id, &error), &error);
    assert_true(restore_id > 0);
    stop_engine_tasks(&e);
    assert_int_equal(tarn_env_close(env, &error), TARN_BUSY);
    assert_ok(tarn_driver_close(e.driver, TARN_JOB_SUSPENDED, &error), &error);
    assert_ok(tarn_env_close(env, &error), &error);
    assert_int_equal(scratch_count(scratch_join(directory, "job"), "chk-"), 2);
    fixture_remove_directory(directory);
}

/* Answers the form of a savepoint that a driver of these options takes. */
static tarn_checkpoint_form form_of_a_savepoint(tarn_driver_options *options)
{
    tarn_error error;
    tarn_checkpoint *savepoint = NULL;
    engine e = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    options->context = &e;
    assert_ok(tarn_driver_open(options, &e.driver, &error), &error);
    start_engine_tasks(&e);
    assert_ok(tarn_driver_start(e.driver, &error), &error);
    take_savepoint(&e);
    assert_ok(tarn_checkpoint_open(e.savepoint, NULL, &savepoint, &error), &error);
    const uint32_t form = tarn_checkpoint_summarize(savepoint).form;
    tarn_checkpoint_free(savepoint);
    stop_engine_tasks(&e);
    assert_ok(tarn_driver_close(e.driver, TARN_JOB_FINISHED, &error), &error);
    return (tarn_checkpoint_form)form;
}

static void test_form_of_savepoints_is_what_the_program_or_else_the_configuration_says(void **state)
{
    (void)state;
    char directory[FIXTURE_PATH_BYTES];
    tarn_error error;
    tarn_driver *driver = NULL;
    fixture_make_directory(directory);
    for (uint32_t i = 0; i < 2; i++) {
        tarn_config *config = fixture_new_config(64);
        if (i == 1) {
            fixture_set(config, "tarn.savepoint.form", "NATIVE");
        }
        tarn_env *env = fixture_open_env(config, NULL);
        tarn_config_free(config);
        tarn_driver_options options = engine_options(env, directory);
        options.hear = hear_savepoint;
        options.savepoint_address = scratch_join(directory, "savepoints");
        assert_int_equal(
            form_of_a_savepoint(&options), i == 0 ? TARN_FORM_CANONICAL : TARN_FORM_NATIVE);
        options.savepoint_form = i == 0 ? TARN_FORM_NATIVE : TARN_FORM_CANONICAL;
        assert_int_equal(form_of_a_savepoint(&options), options.savepoint_form);
        options.savepoint_form = (tarn_checkpoint_form)3;
        assert_int_equal(tarn_driver_open(&options, &driver, &error), TARN_INVALID_ARGUMENT);
        assert_non_null(strstr(error.message, "savepoint_form"));
        assert_ok(tarn_env_close(env, &error), &error);
    }
    fixture_remove_directory(directory);
}

/* A restart opens what the driver wrote where the driver wrote it, with the same means. */
static void test_checkpoint_in_a_storage_of_the_programs_own_is_opened(void **state)
{
    (void)state;
    tarn_error error;
    tarn__account account;
    fault_storage storage;
    tarn__account_init(&account, "test", NULL);
    fault_storage_init(&storage, &account, NULL, NULL);
    const tarn_storage_scheme scheme = {
        .name = "fault", .open = fault_storage_open_address, .context = &storage};
    tarn_config *config = fixture_new_config(64);
    tarn_env_options env_options = TARN_ENV_OPTIONS_INIT;
    env_options.config = config;
    env_options.storage_schemes = &scheme;
    env_options.storage_scheme_count = 1;
    tarn_env *env = NULL;
    assert_ok(tarn_env_open(&env_options, &env, &error), &error);
    tarn_config_free(config);
    engine e = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    tarn_driver_options options = engine_options(env, "fault://sim");
    assert_ok(tarn_driver_open(&options, &e.driver, &error), &error);
    start_engine_tasks(&e);
    assert_ok(tarn_driver_request(e.driver, TARN_CHECKPOINT_INCREMENTAL, 1, &error), &error);
    await_completions(&e, TASKS);
    uint64_t id = 0;
    assert_ok(tarn_driver_fail_over(e.driver, &id, &error), &error);
    tarn_checkpoint *checkpoint = NULL;
    assert_ok(tarn_driver_open_checkpoint(e.driver, id, &checkpoint, &error), &error);
    assert_int_equal(tarn_checkpoint_summarize(checkpoint).id, id);
    tarn_checkpoint_free(checkpoint);
    tarn_fallback_options fallback = TARN_FALLBACK_OPTIONS_INIT;
    fallback.depth = TARN_CHECKPOINT_READ;
    assert_ok(
        tarn_checkpoint_open_whole_in(env, "fault://sim/job", &fallback, &checkpoint, &error),
        &error);
    assert_int_equal(tarn_checkpoint_summarize(checkpoint).id, id);
    tarn_checkpoint_free(checkpoint);
    stop_engine_tasks(&e);
    assert_ok(tarn_driver_close(e.driver, TARN_JOB_FINISHED, &error), &error);
    assert_ok(tarn_env_close(env, &error), &error);
    fault_storage_clear(&storage);
    assert_int_equal(atomic_load(&account.block_count), 0);
}

static void take_log(tarn_log_level level, const char *message, void *context)
{
    if (level == TARN_LOG_WARNING) {
        snprintf(context, TARN_ERROR_MESSAGE_BYTES, "%s", message);
    }
}

/* Opens and closes a driver of a job with two checkpoints; whether the log speaks of a newer one.
 */
static bool is_newer_told(tarn_driver_options *options, const char *restored, char *log)
{
    tarn_checkpoint *checkpoint = NULL;
    tarn_driver *driver = NULL;
    tarn_error error;
    assert_ok(tarn_checkpoint_open_in(options->env, restored, NULL, &checkpoint, &error), &error);
    options->restored = checkpoint;
    log[0] = '\0';
    assert_ok(tarn_driver_open(options, &driver, &error), &error);
    assert_ok(tarn_driver_close(driver, TARN_JOB_SUSPENDED, &error), &error);
    options->restored = NULL;
    tarn_checkpoint_free(checkpoint);
    return strstr(log, "checkpoint 2 of its directory is newer") != NULL;
}

/* One may have come after the newest was looked for; or somebody goes back, which is his right. */
static void test_a_newer_checkpoint_than_the_restored_one_is_told(void **state)
{
    (void)state;
    char log[TARN_ERROR_MESSAGE_BYTES] = "";
    char directory[FIXTURE_PATH_BYTES];
    fixture_make_directory(directory);
    tarn_config *config = fixture_new_config(64);
    fixture_set(config, "execution.checkpointing.num-retained", "5");
    fixture_set(
        config,
        "execution.checkpointing.externalized-checkpoint-retention",
        "RETAIN_ON_CANCELLATION");
    tarn_env_options env_options = TARN_ENV_OPTIONS_INIT;
    env_options.config = config;
    env_options.log = take_log;
    env_options.log_context = log;
    tarn_env *env = NULL;
    tarn_error error;
    assert_ok(tarn_env_open(&env_options, &env, &error), &error);
    tarn_config_free(config);
    engine e = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    tarn_driver_options options = engine_options(env, directory);
    options.claim_mode = TARN_CLAIM_MODE_KEEP;
    assert_ok(tarn_driver_open(&options, &e.driver, &error), &error);
    start_engine_tasks(&e);
    for (uint32_t i = 1; i <= 2; i++) {
        assert_ok(tarn_driver_request(e.driver, TARN_CHECKPOINT_INCREMENTAL, i, &error), &error);
        await_completions(&e, i * TASKS);
    }
    stop_engine_tasks(&e);
    assert_ok(tarn_driver_close(e.driver, TARN_JOB_SUSPENDED, &error), &error);
    assert_false(is_newer_told(&options, scratch_join(directory, "job/chk-2"), log));
    assert_true(is_newer_told(&options, scratch_join(directory, "job/chk-1"), log));
    assert_int_equal(scratch_count(scratch_join(directory, "job"), "claims/"), 0);

    /* Whose it is stays as somebody has said it: one that is left alone is not to go. */
    options.claim_mode = TARN_CLAIM_MODE_NO_CLAIM;
    assert_false(is_newer_told(&options, scratch_join(directory, "job/chk-2"), log));
    const uint32_t pin_count = scratch_count(scratch_join(directory, "job"), "claims/");
    assert_int_equal(pin_count, 1);
    options.claim_mode = TARN_CLAIM_MODE_KEEP;
    assert_false(is_newer_told(&options, scratch_join(directory, "job/chk-2"), log));
    assert_int_equal(scratch_count(scratch_join(directory, "job"), "claims/"), pin_count);

    /* Numbers of another job's have nothing to do with this one's. */
    options.claim_mode = TARN_CLAIM_MODE_NO_CLAIM;
    scratch_copy(scratch_join(directory, "job"), scratch_join(directory, "other"));
    assert_false(is_newer_told(&options, scratch_join(directory, "other/chk-1"), log));

    /* That it was passed over is known. */
    static const uint64_t refused[] = {2, 1};
    options.refused_ids = refused;
    options.refused_count = 1;
    assert_false(is_newer_told(&options, scratch_join(directory, "job/chk-1"), log));

    options.refused_count = 2;
    tarn_checkpoint *first = NULL;
    assert_ok(
        tarn_checkpoint_open_in(env, scratch_join(directory, "job/chk-1"), NULL, &first, &error),
        &error);
    options.restored = first;
    assert_int_equal(tarn_driver_open(&options, &e.driver, &error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "is restored: it cannot be refused as well"));
    tarn_checkpoint_free(first);
    assert_ok(tarn_env_close(env, &error), &error);
    fixture_remove_directory(directory);
}

/* Nothing in the directory is whole: the job begins anew, and what was damaged stays until there is
 * something else. */
static void test_a_job_begins_although_all_of_its_checkpoints_are_refused(void **state)
{
    (void)state;
    char directory[FIXTURE_PATH_BYTES];
    fixture_make_directory(directory);
    tarn_config *config = fixture_new_config(64);
    fixture_set(
        config,
        "execution.checkpointing.externalized-checkpoint-retention",
        "RETAIN_ON_CANCELLATION");
    tarn_env *env = fixture_open_env(config, NULL);
    tarn_config_free(config);
    tarn_error error;
    engine e = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    tarn_driver_options options = engine_options(env, directory);
    for (uint32_t i = 1; i <= 2; i++) {
        const uint64_t refused = 1;
        options.refused_ids = &refused;
        options.refused_count = i - 1;
        assert_ok(tarn_driver_open(&options, &e.driver, &error), &error);
        tarn_coordinator_figures figures;
        tarn_driver_read_figures(e.driver, &figures);
        assert_int_equal(figures.latest_completed_id, 0);
        start_engine_tasks(&e);
        assert_int_equal(scratch_exists(scratch_join(directory, "job/chk-1/_metadata")), i == 2);
        assert_ok(tarn_driver_request(e.driver, TARN_CHECKPOINT_INCREMENTAL, i, &error), &error);
        await_completions(&e, i * TASKS);
        stop_engine_tasks(&e);
        assert_ok(tarn_driver_close(e.driver, TARN_JOB_SUSPENDED, &error), &error);
    }
    assert_false(scratch_exists(scratch_join(directory, "job/chk-1")));
    assert_true(scratch_exists(scratch_join(directory, "job/chk-2/_metadata")));
    assert_ok(tarn_env_close(env, &error), &error);
    fixture_remove_directory(directory);
}

static void test_bad_options_are_refused(void **state)
{
    (void)state;
    tarn_config *config = fixture_new_config(64);
    tarn_env *env = fixture_open_env(config, NULL);
    tarn_config_free(config);
    tarn_error error;
    tarn_driver *driver = NULL;
    const uint32_t parallelism[] = {1};
    tarn_driver_options options;
    tarn_driver_options_init(&options, sizeof options);
    assert_int_equal(tarn_driver_open(&options, &driver, &error), TARN_INVALID_ARGUMENT);
    options.env = env;
    assert_int_equal(tarn_driver_open(&options, &driver, &error), TARN_INVALID_ARGUMENT);
    options.parallelism = parallelism;
    options.operator_count = 1;
    assert_int_equal(tarn_driver_open(&options, &driver, &error), TARN_INVALID_ARGUMENT);
    assert_string_equal(error.message, "address is missing");
    char directory[FIXTURE_PATH_BYTES];
    fixture_make_directory(directory);
    options.address = directory;
    options.job = "job";
    options.refused_count = 1;
    assert_int_equal(tarn_driver_open(&options, &driver, &error), TARN_INVALID_ARGUMENT);
    assert_string_equal(error.message, "refused_ids is NULL but refused_count is not 0");
    const uint64_t refused = 1; /* There is none: nothing is to be said. */
    options.refused_ids = &refused;
    assert_ok(tarn_driver_open(&options, &driver, &error), &error);
    assert_ok(tarn_driver_close(driver, TARN_JOB_FAILED, &error), &error);
    fixture_remove_directory(directory);
    assert_ok(tarn_driver_close(NULL, TARN_JOB_FAILED, &error), &error);
    assert_ok(tarn_env_close(env, &error), &error);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_checkpoint_is_announced_when_it_is_durable),
        TEST(test_acknowledgement_of_another_attempt_does_not_count),
        TEST(test_older_checkpoint_is_deleted_by_the_next),
        TEST(test_checkpoints_complete_while_a_deletion_takes_its_time),
        TEST(test_timeout_aborts_and_late_answers_change_nothing),
        TEST(test_outcome_says_why_a_task_declined),
        TEST(test_task_that_cannot_be_told_aborts_the_checkpoint),
        TEST(test_damaged_part_is_never_committed),
        TEST(test_full_disk_fails_the_checkpoint_and_the_next_one_completes),
        TEST(test_borrowed_checkpoint_ends_when_it_is_given_back),
        TEST(test_nothing_is_due_after_the_end),
        TEST(test_retention_follows_the_jobs_end),
        TEST(test_savepoint_outlives_job_and_checkpoints),
        TEST(test_stop_with_savepoint_stops_periodic_checkpoints),
        TEST(test_periodic_checkpoints_go_on_when_a_stopping_savepoint_fails),
        TEST(test_periodic_checkpoints_go_on_when_a_stopping_savepoint_times_out),
        TEST(test_periodic_checkpoints_stop_and_rest_during_a_backlog),
        TEST(test_reopened_job_goes_on_with_ids_and_retained_checkpoints),
        TEST(test_fail_over_awaits_the_commit_under_way),
        TEST(test_fail_over_awaits_every_commit_under_way),
        TEST(test_checkpoint_after_a_failed_task_does_not_await_it),
        TEST(test_nothing_begins_between_fail_over_and_restart),
        TEST(test_downstream_is_told_once_the_sources_have_finished),
        TEST(test_history_is_bounded_and_latest_first),
        TEST(test_driver_with_running_tasks_is_not_closed),
        TEST(test_wrong_tasks_are_refused),
        cmocka_unit_test(test_running_out_of_memory_costs_checkpoints_at_most),
        cmocka_unit_test(test_threads_take_periodic_checkpoints_until_closed),
        cmocka_unit_test(
            test_form_of_savepoints_is_what_the_program_or_else_the_configuration_says),
        cmocka_unit_test(test_checkpoint_in_a_storage_of_the_programs_own_is_opened),
        cmocka_unit_test(test_a_newer_checkpoint_than_the_restored_one_is_told),
        cmocka_unit_test(test_a_job_begins_although_all_of_its_checkpoints_are_refused),
        cmocka_unit_test(test_bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
