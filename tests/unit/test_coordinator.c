/*
 * Unit tests of the checkpoint coordinator. Each test is a script: an event, the effects it must
 * have, the next event. No clock and no thread is involved, so a test that fails always fails.
 * That its rules are Flink's is proved by replay (tests/vectors/coordinator_traces.c); that no
 * order of events breaks it, by simulation (tests/sim/test_coordinator.c).
 */
#include "support/support.h"

#include <string.h>

#include "checkpoint/coordinator.h"

enum { INTERVAL_MS = 100, TIMEOUT_MS = 1000, HOUR_MS = 3600000 };

/* One source, task 0, and one other, task 1. */
static const uint32_t parallelism[] = {1, 1};
static const tarn_coordinator_edge edges[] = {{.from = 0, .to = 1}};

typedef struct fixture {
    tarn_coordinator_options options;
    tarn_coordinator *coordinator;
    tarn_coordinator_effects effects; /* Of the latest step. */
    uint32_t next;                    /* The first effect that was not expected yet. */
    uint64_t now_ms;
    tarn_error error;
} fixture;

static int setup(void **state)
{
    static fixture f;
    f = (fixture){.options = TARN_COORDINATOR_OPTIONS_INIT};
    f.options.parallelism = parallelism;
    f.options.operator_count = 2;
    f.options.edges = edges;
    f.options.edge_count = 1;
    f.options.timeout_ms = TIMEOUT_MS;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    tarn_coordinator_close(f->coordinator);
    return 0;
}

static fixture *open_with(void **state)
{
    fixture *f = *state;
    assert_ok(tarn_coordinator_open(&f->options, &f->coordinator, &f->error), &f->error);
    return f;
}

/* Tells an event; every effect of the one before must have been expected. */
static tarn_coordinator_verdict tell(fixture *f, tarn_coordinator_event event)
{
    assert_int_equal(f->next, f->effects.count);
    event.now_ms = f->now_ms;
    f->effects = tarn_coordinator_step(f->coordinator, &event);
    f->next = 0;
    assert_true(tarn__coordinator_is_valid(f->coordinator));
    return f->effects.verdict;
}

/* TELL(f, ACK, .checkpoint_id = 1, ...) */
#define TELL(f, ...) tell(f, (tarn_coordinator_event){.kind = TARN_COORDINATOR_##__VA_ARGS__})

static const tarn_coordinator_effect *expect(
    fixture *f, tarn_coordinator_effect_kind kind, uint64_t checkpoint_id)
{
    assert_true(f->next < f->effects.count);
    const tarn_coordinator_effect *effect = &f->effects.items[f->next++];
    assert_int_equal(effect->kind, kind);
    assert_int_equal(effect->checkpoint_id, checkpoint_id);
    return effect;
}

static void expect_nothing(const fixture *f)
{
    assert_int_equal(f->effects.count, 0);
}

static void expect_tasks(const tarn_coordinator_effect *effect, uint32_t first, uint32_t count)
{
    assert_int_equal(effect->task_count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(effect->tasks[i], first + i);
    }
}

/* Ends a BEGIN that is expected now; its TRIGGER. */
static const tarn_coordinator_effect *expect_start(fixture *f, uint64_t id)
{
    expect(f, TARN_EFFECT_BEGIN, id);
    TELL(f, BEGUN, .checkpoint_id = id);
    return expect(f, TARN_EFFECT_TRIGGER, id);
}

static void acknowledge_all(fixture *f, uint64_t id)
{
    TELL(f, ACK, .checkpoint_id = id, .task = 0);
    TELL(f, ACK, .checkpoint_id = id, .task = 1);
}

static void expect_abort(fixture *f, uint64_t id, tarn_checkpoint_failure reason)
{
    assert_int_equal(expect(f, TARN_EFFECT_ABORTED, id)->reason, reason);
    expect(f, TARN_EFFECT_DISCARD, id);
    expect(f, TARN_EFFECT_NOTIFY_ABORTED, id);
}

static tarn_coordinator_figures figures_of(const fixture *f)
{
    tarn_coordinator_figures figures;
    tarn_coordinator_read_figures(f->coordinator, &figures);
    return figures;
}

/* The way of a checkpoint */

static void test_a_periodic_checkpoint_goes_from_the_timer_to_its_notification(void **state)
{
    ((fixture *)*state)->options.interval_ms = INTERVAL_MS;
    fixture *f = open_with(state);
    assert_int_equal(tarn_coordinator_next_ms(f->coordinator), TARN_COORDINATOR_NEVER);
    TELL(f, START, .delay_ms = 30);
    expect_nothing(f);
    assert_int_equal(tarn_coordinator_next_ms(f->coordinator), 30);

    f->now_ms = 30;
    TELL(f, TICK);
    const tarn_coordinator_effect *trigger = expect_start(f, 1);
    assert_true(trigger->is_periodic);
    assert_int_equal(trigger->alignment, TARN_ALIGNMENT_ALIGNED);
    expect_tasks(trigger, 0, 1);
    assert_int_equal(tarn_coordinator_next_ms(f->coordinator), 30 + INTERVAL_MS);

    f->now_ms = 40;
    acknowledge_all(f, 1);
    expect_tasks(expect(f, TARN_EFFECT_WRITE, 1), 0, 2);
    TELL(f, WRITTEN, .checkpoint_id = 1);
    expect(f, TARN_EFFECT_COMPLETED, 1);
    expect_tasks(expect(f, TARN_EFFECT_NOTIFY_COMPLETE, 1), 0, 2);
    assert_int_equal(figures_of(f).latest_completed_id, 1);
    assert_int_equal(figures_of(f).longest_duration_ms, 10);
}

/*
 * A checkpoint is decided once. When the deadline passes first, an acknowledgement that was still
 * on its way must not bring the checkpoint back: the other tasks have been told to discard it.
 */
static void test_late_ack_does_not_revive_an_aborted_checkpoint(void **state)
{
    fixture *f = open_with(state);
    TELL(f, REQUEST);
    expect_start(f, 1);
    TELL(f, ACK, .checkpoint_id = 1, .task = 0);
    expect_nothing(f);

    f->now_ms = TIMEOUT_MS;
    assert_int_equal(TELL(f, ACK, .checkpoint_id = 1, .task = 1), TARN_VERDICT_LATE);
    assert_int_equal(expect(f, TARN_EFFECT_ABORTED, 1)->reason, TARN_FAILURE_CHECKPOINT_EXPIRED);
    expect_tasks(expect(f, TARN_EFFECT_DISCARD, 1), 0, 1);
    assert_true(expect(f, TARN_EFFECT_FAIL_JOB, 1)->is_threshold);
    expect(f, TARN_EFFECT_NOTIFY_ABORTED, 1);
    assert_int_equal(expect(f, TARN_EFFECT_DISCARD_STATE, 1)->task, 1);
    assert_int_equal(figures_of(f).late_count, 1);
}

static void test_repeated_foreign_and_unknown_acks_do_not_count(void **state)
{
    fixture *f = open_with(state);
    TELL(f, REQUEST);
    expect_start(f, 1);
    TELL(f, ACK, .checkpoint_id = 1, .task = 0);
    assert_int_equal(TELL(f, ACK, .checkpoint_id = 1, .task = 0), TARN_VERDICT_DUPLICATE);
    expect_nothing(f);
    TELL(f, TASK_RESTARTED, .task = 1, .attempt = 1);
    assert_int_equal(
        TELL(f, ACK, .checkpoint_id = 1, .task = 1, .attempt = 1), TARN_VERDICT_FOREIGN);
    assert_int_equal(expect(f, TARN_EFFECT_DISCARD_STATE, 1)->attempt, 1);
    assert_int_equal(
        TELL(f, ACK, .checkpoint_id = 1, .task = TARN_COORDINATOR_NO_TASK), TARN_VERDICT_FOREIGN);
    expect(f, TARN_EFFECT_DISCARD_STATE, 1);
    assert_int_equal(TELL(f, ACK, .checkpoint_id = 9, .task = 1), TARN_VERDICT_UNKNOWN);
    expect(f, TARN_EFFECT_DISCARD_STATE, 9);
    assert_int_equal(figures_of(f).pending_count, 1);
}

static void test_a_decline_aborts_at_once_with_the_tasks_reason(void **state)
{
    fixture *f = open_with(state);
    TELL(f, REQUEST, .request_id = 7);
    expect_start(f, 1);
    TELL(
        f,
        DECLINE,
        .checkpoint_id = 1,
        .task = 1,
        .reason = TARN_FAILURE_CHECKPOINT_DECLINED_TASK_NOT_READY);
    expect_abort(f, 1, TARN_FAILURE_CHECKPOINT_DECLINED_TASK_NOT_READY);
    assert_int_equal(figures_of(f).consecutive_failures, 0);
    assert_int_equal(
        figures_of(f).failure_counts[TARN_FAILURE_CHECKPOINT_DECLINED_TASK_NOT_READY], 1);
}

/* What is asked of the caller is awaited */

/* A failover, a stop and a decline come while metadata is being written: the write decides. */
static void test_a_write_under_way_decides_whatever_happens_meanwhile(void **state)
{
    fixture *f = open_with(state);
    TELL(f, REQUEST);
    expect_start(f, 1);
    acknowledge_all(f, 1);
    expect(f, TARN_EFFECT_WRITE, 1);
    TELL(f, JOB_FAILOVER);
    TELL(f, STOP);
    assert_int_equal(TELL(f, DECLINE, .checkpoint_id = 1, .task = 1), TARN_VERDICT_LATE);
    f->now_ms = 10 * TIMEOUT_MS;
    TELL(f, TICK);
    expect_nothing(f);
    TELL(f, WRITTEN, .checkpoint_id = 1);
    expect(f, TARN_EFFECT_COMPLETED, 1);
    expect(f, TARN_EFFECT_NOTIFY_COMPLETE, 1);
}

static void test_a_place_that_is_being_made_is_deleted_after_it_was_made(void **state)
{
    fixture *f = open_with(state);
    TELL(f, REQUEST);
    expect(f, TARN_EFFECT_BEGIN, 1);
    TELL(f, STOP);
    expect(f, TARN_EFFECT_ABORTED, 1);
    expect(f, TARN_EFFECT_NOTIFY_ABORTED, 1);
    TELL(f, REQUEST);
    expect_nothing(f);
    TELL(f, BEGUN, .checkpoint_id = 1);
    assert_true(expect(f, TARN_EFFECT_DISCARD, 1)->is_awaited);
    expect(f, TARN_EFFECT_BEGIN, 2);
}

static void test_an_id_that_nothing_bears_is_used_again(void **state)
{
    ((fixture *)*state)->options.tolerable_failures = 5;
    fixture *f = open_with(state);
    TELL(f, REQUEST, .request_id = 3);
    expect(f, TARN_EFFECT_BEGIN, 1);
    TELL(f, NOT_BEGUN, .checkpoint_id = 1, .is_id_spent = false);
    assert_int_equal(expect(f, TARN_EFFECT_REJECTED, 0)->request_id, 3);
    TELL(f, REQUEST);
    expect(f, TARN_EFFECT_BEGIN, 1);
    TELL(f, NOT_BEGUN, .checkpoint_id = 1, .is_id_spent = true);
    expect_abort(f, 1, TARN_FAILURE_IO_EXCEPTION);
    TELL(f, REQUEST);
    expect(f, TARN_EFFECT_BEGIN, 2);
    assert_int_equal(figures_of(f).consecutive_failures, 2);
}

/* Nobody knows whether metadata can be found: then deleting anything could break a restore. */
static void test_an_unknown_write_outcome_deletes_nothing(void **state)
{
    fixture *f = open_with(state);
    TELL(f, REQUEST);
    expect_start(f, 1);
    acknowledge_all(f, 1);
    expect(f, TARN_EFFECT_WRITE, 1);
    TELL(f, WRITTEN, .checkpoint_id = 1, .write_outcome = TARN_WRITE_UNKNOWN);
    expect(f, TARN_EFFECT_ABORTED, 1);
    expect(f, TARN_EFFECT_FAIL_JOB, 1);
    expect(f, TARN_EFFECT_NOTIFY_ABORTED, 1);
    assert_int_equal(figures_of(f).cleaning_count, 0);
}

static void test_writes_go_one_by_one_and_a_newer_success_subsumes_what_waits(void **state)
{
    ((fixture *)*state)->options.max_concurrent = 3;
    fixture *f = open_with(state);
    for (uint64_t id = 1; id <= 3; id++) {
        TELL(f, REQUEST);
        expect_start(f, id);
    }
    acknowledge_all(f, 3);
    expect(f, TARN_EFFECT_WRITE, 3);
    acknowledge_all(f, 1);
    expect_nothing(f);
    TELL(f, WRITTEN, .checkpoint_id = 3);
    expect(f, TARN_EFFECT_COMPLETED, 3);
    expect_abort(f, 1, TARN_FAILURE_CHECKPOINT_SUBSUMED);
    expect_abort(f, 2, TARN_FAILURE_CHECKPOINT_SUBSUMED);
    expect(f, TARN_EFFECT_NOTIFY_COMPLETE, 3);
}

static void test_too_many_unanswered_deletions_hold_new_checkpoints_back(void **state)
{
    fixture *f = open_with(state);
    for (uint64_t id = 1; id <= 2; id++) {
        TELL(f, REQUEST);
        expect_start(f, id);
        TELL(f, NOT_TRIGGERED, .checkpoint_id = id);
        expect_abort(f, id, TARN_FAILURE_TRIGGER_CHECKPOINT_FAILURE);
    }
    TELL(f, REQUEST);
    expect_nothing(f);
    TELL(f, DISCARDED, .checkpoint_id = 1);
    expect(f, TARN_EFFECT_BEGIN, 3);
    assert_int_equal(TELL(f, DISCARDED, .checkpoint_id = 1), TARN_VERDICT_UNKNOWN);
    assert_int_equal(figures_of(f).cleaning_count, 1);
}

/* Who is next */

static void test_requests_start_savepoints_first_then_asked_for_then_periodic(void **state)
{
    tarn_coordinator_options *options = &((fixture *)*state)->options;
    options->interval_ms = INTERVAL_MS;
    options->is_unaligned = true; /* Then savepoints wait for their turn, too. */
    fixture *f = open_with(state);
    TELL(f, START, .delay_ms = 0);
    expect_start(f, 1);
    f->now_ms = INTERVAL_MS;
    TELL(f, TICK);
    TELL(f, REQUEST, .request_id = 1);
    TELL(f, REQUEST, .request_id = 2, .kind_wanted = TARN_CHECKPOINT_SAVEPOINT);
    expect_nothing(f);
    TELL(f, NOT_TRIGGERED, .checkpoint_id = 1);
    expect_abort(f, 1, TARN_FAILURE_TRIGGER_CHECKPOINT_FAILURE);
    assert_int_equal(expect_start(f, 2)->request_id, 2);
    TELL(f, NOT_TRIGGERED, .checkpoint_id = 2);
    expect_abort(f, 2, TARN_FAILURE_TRIGGER_CHECKPOINT_FAILURE);
    TELL(f, DISCARDED, .checkpoint_id = 1);
    assert_int_equal(expect_start(f, 3)->alignment, TARN_ALIGNMENT_UNALIGNED);
    TELL(f, DISCARDED, .checkpoint_id = 2);
    TELL(f, NOT_TRIGGERED, .checkpoint_id = 3);
    expect_abort(f, 3, TARN_FAILURE_TRIGGER_CHECKPOINT_FAILURE);
    assert_true(expect_start(f, 4)->is_periodic);
}

static void test_a_savepoint_passes_max_concurrent_and_stays_the_users(void **state)
{
    fixture *f = open_with(state);
    TELL(f, REQUEST);
    expect_start(f, 1);
    TELL(f, REQUEST, .kind_wanted = TARN_CHECKPOINT_SAVEPOINT);
    expect_start(f, 2);
    TELL(f, REQUEST);
    expect_nothing(f);
    acknowledge_all(f, 2);
    expect(f, TARN_EFFECT_WRITE, 2);
    TELL(f, WRITTEN, .checkpoint_id = 2);
    expect(f, TARN_EFFECT_COMPLETED, 2); /* And nobody is notified, and nothing subsumed. */
    assert_int_equal(figures_of(f).stored_count, 0);
    assert_int_equal(figures_of(f).pending_count, 1);
}

static void test_a_pause_holds_back_the_timer_but_not_the_user(void **state)
{
    tarn_coordinator_options *options = &((fixture *)*state)->options;
    options->interval_ms = INTERVAL_MS;
    options->min_pause_ms = INTERVAL_MS;
    fixture *f = open_with(state);
    TELL(f, START, .delay_ms = 0);
    expect_start(f, 1);
    f->now_ms = 60;
    acknowledge_all(f, 1);
    expect(f, TARN_EFFECT_WRITE, 1);
    TELL(f, WRITTEN, .checkpoint_id = 1);
    f->next = f->effects.count;

    f->now_ms = INTERVAL_MS;
    TELL(f, TICK);
    assert_int_equal(
        expect(f, TARN_EFFECT_REJECTED, 0)->reason, TARN_FAILURE_MINIMUM_TIME_BETWEEN_CHECKPOINTS);
    assert_int_equal(tarn_coordinator_next_ms(f->coordinator), 60 + INTERVAL_MS);
    TELL(f, REQUEST);
    expect_start(f, 2);
}

static void test_a_full_queue_refuses_the_newcomer_or_its_last_periodic_request(void **state)
{
    tarn_coordinator_options *options = &((fixture *)*state)->options;
    options->interval_ms = INTERVAL_MS;
    options->queue_max = 1;
    fixture *f = open_with(state);
    TELL(f, START, .delay_ms = 0);
    expect_start(f, 1);
    f->now_ms = INTERVAL_MS;
    TELL(f, TICK);
    expect_nothing(f);
    TELL(f, REQUEST, .request_id = 1);
    assert_true(expect(f, TARN_EFFECT_REJECTED, 0)->is_periodic);
    TELL(f, REQUEST, .request_id = 2);
    const tarn_coordinator_effect *rejected = expect(f, TARN_EFFECT_REJECTED, 0);
    assert_int_equal(rejected->request_id, 2);
    assert_int_equal(rejected->reason, TARN_FAILURE_TOO_MANY_CHECKPOINT_REQUESTS);
}

/* A machine that slept for an hour owes 36,000 ticks: a step stays bounded, and time goes on. */
static void test_a_timer_that_is_an_hour_late_is_caught_up_in_bounded_steps(void **state)
{
    ((fixture *)*state)->options.interval_ms = INTERVAL_MS;
    fixture *f = open_with(state);
    TELL(f, START, .delay_ms = 0);
    expect_start(f, 1);
    f->now_ms = HOUR_MS;
    uint32_t steps = 0;
    do {
        TELL(f, TICK);
        f->next = f->effects.count;
        steps++;
        assert_true(steps < HOUR_MS / INTERVAL_MS);
    } while (tarn_coordinator_next_ms(f->coordinator) <= f->now_ms);
    assert_true(steps > 1);
    assert_int_equal(tarn_coordinator_next_ms(f->coordinator), HOUR_MS + INTERVAL_MS);
    assert_int_equal(figures_of(f).queued_count, f->options.queue_max);
}

/* Failures */

static void test_the_job_fails_beyond_the_tolerable_failures_in_a_row(void **state)
{
    ((fixture *)*state)->options.tolerable_failures = 1;
    fixture *f = open_with(state);
    TELL(f, REQUEST);
    expect_start(f, 1);
    TELL(f, DECLINE, .checkpoint_id = 1, .reason = TARN_FAILURE_CHECKPOINT_DECLINED);
    expect_abort(f, 1, TARN_FAILURE_CHECKPOINT_DECLINED);
    TELL(f, DISCARDED, .checkpoint_id = 1);

    TELL(f, REQUEST);
    expect_start(f, 2);
    acknowledge_all(f, 2);
    expect(f, TARN_EFFECT_WRITE, 2);
    TELL(f, WRITTEN, .checkpoint_id = 2); /* Starts the count anew. */
    f->next = f->effects.count;
    assert_int_equal(figures_of(f).consecutive_failures, 0);

    for (uint64_t id = 3; id <= 4; id++) {
        TELL(f, REQUEST);
        expect_start(f, id);
        TELL(
            f, DECLINE, .checkpoint_id = id, .task = 1, .reason = TARN_FAILURE_CHECKPOINT_DECLINED);
        expect(f, TARN_EFFECT_ABORTED, id);
        expect(f, TARN_EFFECT_DISCARD, id);
        if (id == 4) {
            assert_int_equal(expect(f, TARN_EFFECT_FAIL_JOB, 4)->task, 1);
        }
        expect(f, TARN_EFFECT_NOTIFY_ABORTED, id);
        TELL(f, DISCARDED, .checkpoint_id = id);
    }
}

/* Its tasks wait for it and nobody else will wake them, however many failures are tolerable. */
static void test_a_declined_stop_with_savepoint_fails_the_job(void **state)
{
    ((fixture *)*state)->options.tolerable_failures = TARN_COORDINATOR_UNLIMITED;
    fixture *f = open_with(state);
    TELL(f, REQUEST, .kind_wanted = TARN_CHECKPOINT_SAVEPOINT_TERMINATE);
    assert_int_equal(expect_start(f, 1)->checkpoint_kind, TARN_CHECKPOINT_SAVEPOINT_TERMINATE);
    TELL(f, DECLINE, .checkpoint_id = 1, .reason = TARN_FAILURE_CHECKPOINT_DECLINED);
    expect(f, TARN_EFFECT_ABORTED, 1);
    expect(f, TARN_EFFECT_DISCARD, 1);
    assert_false(expect(f, TARN_EFFECT_FAIL_JOB, 1)->is_threshold);
    expect(f, TARN_EFFECT_NOTIFY_ABORTED, 1);
}

static void test_a_task_failure_aborts_only_what_it_has_not_acknowledged(void **state)
{
    ((fixture *)*state)->options.max_concurrent = 2;
    fixture *f = open_with(state);
    for (uint64_t id = 1; id <= 2; id++) {
        TELL(f, REQUEST);
        expect_start(f, id);
    }
    TELL(f, ACK, .checkpoint_id = 1, .task = 1);
    TELL(f, TASK_FAILED, .task = 1);
    expect_abort(f, 2, TARN_FAILURE_TASK_FAILURE);
    TELL(f, ACK, .checkpoint_id = 1, .task = 0);
    expect(f, TARN_EFFECT_WRITE, 1);
}

/* Tasks that do not run */

static void test_no_checkpoint_starts_while_a_task_is_not_running(void **state)
{
    fixture *f = open_with(state);
    TELL(f, TASK_STATE, .task = 1, .task_state = TARN_TASK_NOT_RUNNING);
    TELL(f, REQUEST);
    assert_int_equal(
        expect(f, TARN_EFFECT_REJECTED, 0)->reason, TARN_FAILURE_NOT_ALL_REQUIRED_TASKS_RUNNING);
    TELL(f, TASK_STATE, .task = 1, .task_state = TARN_TASK_RUNNING);
    TELL(f, REQUEST);
    expect(f, TARN_EFFECT_BEGIN, 1);
}

static void test_tasks_behind_finished_ones_are_told_directly(void **state)
{
    fixture *f = open_with(state);
    TELL(f, TASK_STATE, .task = 0, .task_state = TARN_TASK_FINISHED);
    TELL(f, REQUEST);
    expect_tasks(expect_start(f, 1), 1, 1);
    TELL(f, ACK, .checkpoint_id = 1, .task = 1);
    expect_tasks(expect(f, TARN_EFFECT_WRITE, 1), 1, 1);
}

static void test_a_checkpoint_of_finished_tasks_needs_nobody(void **state)
{
    fixture *f = open_with(state);
    TELL(f, TASK_STATE, .task = 0, .task_state = TARN_TASK_FINISHED);
    TELL(f, TASK_STATE, .task = 1, .task_state = TARN_TASK_FINISHED);
    TELL(f, REQUEST, .request_id = 1);
    expect(f, TARN_EFFECT_BEGIN, 1);
    TELL(f, REQUEST, .request_id = 2, .kind_wanted = TARN_CHECKPOINT_SAVEPOINT);
    TELL(f, BEGUN, .checkpoint_id = 1);
    assert_int_equal(expect(f, TARN_EFFECT_WRITE, 1)->task_count, 0);
    TELL(f, WRITTEN, .checkpoint_id = 1);
    expect(f, TARN_EFFECT_COMPLETED, 1);
    expect(f, TARN_EFFECT_NOTIFY_COMPLETE, 1);
    expect(f, TARN_EFFECT_BEGIN, 2);
}

static void test_finished_tasks_can_be_a_reason_to_refuse(void **state)
{
    ((fixture *)*state)->options.refuses_finished_tasks = true;
    fixture *f = open_with(state);
    TELL(f, TASK_STATE, .task = 0, .task_state = TARN_TASK_FINISHED);
    TELL(f, REQUEST);
    expect(f, TARN_EFFECT_REJECTED, 0);
}

/* Beginning and end of a job */

static void test_the_first_checkpoint_after_an_unclaimed_restore_is_full(void **state)
{
    static const tarn_coordinator_restored restored = {.id = 5, .is_unclaimed = true};
    tarn_coordinator_options *options = &((fixture *)*state)->options;
    options->restored = &restored;
    options->restored_count = 1;
    options->next_checkpoint_id = 6;
    fixture *f = open_with(state);
    TELL(f, REQUEST);
    assert_int_equal(expect_start(f, 6)->checkpoint_kind, TARN_CHECKPOINT_FULL);
    acknowledge_all(f, 6);
    expect(f, TARN_EFFECT_WRITE, 6);
    TELL(f, WRITTEN, .checkpoint_id = 6);
    expect(f, TARN_EFFECT_SUBSUMED, 5); /* And not discarded: it is not ours. */
    expect(f, TARN_EFFECT_COMPLETED, 6);
    assert_int_equal(expect(f, TARN_EFFECT_NOTIFY_COMPLETE, 6)->other_id, 0);
    TELL(f, REQUEST);
    assert_int_equal(expect_start(f, 7)->checkpoint_kind, TARN_CHECKPOINT_INCREMENTAL);
}

static void expect_stored(const fixture *f, const uint64_t *expected, uint32_t count)
{
    uint64_t ids[4] = {0};
    assert_int_equal(tarn_coordinator_list_stored(f->coordinator, ids, 4), count);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(ids[i], i < count ? expected[i] : 0);
    }
}

/* What a job could be restored from: neither one under way nor one that was discarded. */
static void test_retained_checkpoints_are_listed_oldest_first(void **state)
{
    ((fixture *)*state)->options.retained_count = 2;
    fixture *f = open_with(state);
    expect_stored(f, NULL, 0);
    assert_int_equal(tarn_coordinator_list_stored(f->coordinator, NULL, 0), 0);
    for (uint64_t id = 1; id <= 3; id++) {
        TELL(f, REQUEST);
        expect_start(f, id);
        acknowledge_all(f, id);
        expect(f, TARN_EFFECT_WRITE, id);
        const uint64_t before[] = {1, 2};
        expect_stored(f, before, (uint32_t)id - 1);
        TELL(f, WRITTEN, .checkpoint_id = id);
        while (f->next < f->effects.count) {
            f->next++; /* The way of a checkpoint is other tests' matter. */
        }
    }
    const uint64_t after[] = {2, 3};
    expect_stored(f, after, 2);

    uint64_t one[2] = {0, 42};
    assert_int_equal(tarn_coordinator_list_stored(f->coordinator, one, 1), 2);
    assert_int_equal(one[0], 2);
    assert_int_equal(one[1], 42); /* Beyond capacity nothing is written. */
}

static void test_an_owned_restored_checkpoint_is_deleted_when_it_is_subsumed(void **state)
{
    static const tarn_coordinator_restored restored = {.id = 5, .is_owned = true};
    tarn_coordinator_options *options = &((fixture *)*state)->options;
    options->restored = &restored;
    options->restored_count = 1;
    options->next_checkpoint_id = 6;
    fixture *f = open_with(state);
    TELL(f, REQUEST);
    assert_int_equal(expect_start(f, 6)->checkpoint_kind, TARN_CHECKPOINT_INCREMENTAL);
    acknowledge_all(f, 6);
    expect(f, TARN_EFFECT_WRITE, 6);
    TELL(f, WRITTEN, .checkpoint_id = 6);
    expect(f, TARN_EFFECT_SUBSUMED, 5);
    assert_true(expect(f, TARN_EFFECT_DISCARD, 5)->is_completed);
    expect(f, TARN_EFFECT_COMPLETED, 6);
    assert_int_equal(expect(f, TARN_EFFECT_NOTIFY_COMPLETE, 6)->other_id, 5);
}

/* As a process leaves it that dies between a commit and its deletions. */
static void test_all_restored_ones_that_exceed_the_retained_are_deleted(void **state)
{
    static const tarn_coordinator_restored restored[] = {
        {.id = 3, .is_owned = true},
        {.id = 4, .is_owned = true},
        {.id = 5, .is_owned = true},
    };
    tarn_coordinator_options *options = &((fixture *)*state)->options;
    options->retained_count = 1;
    options->restored = restored;
    options->restored_count = 3;
    options->next_checkpoint_id = 6;
    fixture *f = open_with(state);
    const uint64_t before[] = {3, 4, 5};
    expect_stored(f, before, 3);
    TELL(f, REQUEST);
    expect_start(f, 6);
    acknowledge_all(f, 6);
    expect(f, TARN_EFFECT_WRITE, 6);
    TELL(f, WRITTEN, .checkpoint_id = 6);
    for (uint64_t id = 3; id <= 5; id++) {
        expect(f, TARN_EFFECT_SUBSUMED, id);
    }
    for (uint64_t id = 3; id <= 5; id++) {
        assert_true(expect(f, TARN_EFFECT_DISCARD, id)->is_completed);
    }
    expect(f, TARN_EFFECT_COMPLETED, 6);
    const uint64_t after[] = {6};
    expect_stored(f, after, 1);
}

static void test_shutdown_ends_the_store_after_the_write_under_way(void **state)
{
    fixture *f = open_with(state);
    TELL(f, REQUEST);
    expect_start(f, 1);
    acknowledge_all(f, 1);
    expect(f, TARN_EFFECT_WRITE, 1);
    TELL(f, SHUTDOWN, .job_end = TARN_JOB_CANCELED);
    expect_nothing(f);
    TELL(f, WRITTEN, .checkpoint_id = 1);
    expect(f, TARN_EFFECT_COMPLETED, 1);
    expect(f, TARN_EFFECT_NOTIFY_COMPLETE, 1);
    assert_false(expect(f, TARN_EFFECT_DISCARD, 1)->is_awaited);
    assert_int_equal(TELL(f, ACK, .checkpoint_id = 1), TARN_VERDICT_REFUSED);
    assert_int_equal(TELL(f, START), TARN_VERDICT_REFUSED);
    assert_int_equal(TELL(f, SHUTDOWN), TARN_VERDICT_REFUSED);
    TELL(f, REQUEST);
    assert_int_equal(
        expect(f, TARN_EFFECT_REJECTED, 0)->reason, TARN_FAILURE_CHECKPOINT_COORDINATOR_SHUTDOWN);
}

/* What is asked for after the end waits for a write under way, or for deletions, and not longer. */
static void test_a_request_after_the_end_is_heard_when_it_could_have_begun(void **state)
{
    fixture *f = open_with(state);
    TELL(f, REQUEST);
    expect_start(f, 1);
    acknowledge_all(f, 1);
    expect(f, TARN_EFFECT_WRITE, 1);
    TELL(f, SHUTDOWN, .job_end = TARN_JOB_FINISHED);
    TELL(f, REQUEST, .request_id = 7);
    expect_nothing(f);
    TELL(f, WRITTEN, .checkpoint_id = 1);
    expect(f, TARN_EFFECT_COMPLETED, 1);
    expect(f, TARN_EFFECT_NOTIFY_COMPLETE, 1);
    expect(f, TARN_EFFECT_DISCARD, 1);
    const tarn_coordinator_effect *refusal = expect(f, TARN_EFFECT_REJECTED, 0);
    assert_int_equal(refusal->request_id, 7);
    assert_int_equal(refusal->reason, TARN_FAILURE_CHECKPOINT_COORDINATOR_SHUTDOWN);
    assert_int_equal(figures_of(f).queued_count, 0);
}

static void test_stop_hears_out_whoever_waits(void **state)
{
    fixture *f = open_with(state);
    TELL(f, REQUEST, .request_id = 1);
    expect_start(f, 1);
    TELL(f, REQUEST, .request_id = 2);
    expect_nothing(f);
    TELL(f, STOP);
    assert_int_equal(expect(f, TARN_EFFECT_REJECTED, 0)->request_id, 2);
    expect_abort(f, 1, TARN_FAILURE_CHECKPOINT_COORDINATOR_SUSPEND);
}

static void test_start_needs_an_interval(void **state)
{
    fixture *f = open_with(state);
    assert_int_equal(TELL(f, START), TARN_VERDICT_REFUSED);
    assert_int_equal(tarn_coordinator_initial_delay(f->coordinator, 5), TARN_COORDINATOR_NEVER);
}

static void test_the_first_delay_lies_between_pause_and_interval(void **state)
{
    tarn_coordinator_options *options = &((fixture *)*state)->options;
    options->interval_ms = INTERVAL_MS;
    options->min_pause_ms = 90;
    fixture *f = open_with(state);
    for (uint64_t random = 0; random < 50; random++) {
        const uint64_t delay_ms = tarn_coordinator_initial_delay(f->coordinator, random);
        assert_in_range(delay_ms, 90, INTERVAL_MS);
    }
}

/* A backlog may mean checkpoints more rarely, or none at all. */
static void test_a_backlog_changes_the_interval_from_the_next_checkpoint_on(void **state)
{
    tarn_coordinator_options *options = &((fixture *)*state)->options;
    options->interval_ms = INTERVAL_MS;
    options->backlog_interval_ms = TARN_COORDINATOR_NEVER;
    fixture *f = open_with(state);
    TELL(f, START, .delay_ms = 10);
    TELL(f, BACKLOG, .is_on = true);
    f->now_ms = 10;
    TELL(f, TICK);
    expect_start(f, 1);
    assert_int_equal(tarn_coordinator_next_ms(f->coordinator), 10 + TIMEOUT_MS);
    TELL(f, BACKLOG, .is_on = false);
    assert_int_equal(tarn_coordinator_next_ms(f->coordinator), 10 + INTERVAL_MS);
}

/* Wrong use */

static void test_time_that_goes_back_is_counted_and_stands_still(void **state)
{
    fixture *f = open_with(state);
    f->now_ms = 500;
    TELL(f, REQUEST);
    expect_start(f, 1);
    f->now_ms = 100;
    TELL(f, TICK);
    uint64_t id = 0;
    uint64_t deadline_ms = 0;
    assert_int_equal(tarn_coordinator_list_pending(f->coordinator, &id, &deadline_ms, 1), 1);
    assert_int_equal(deadline_ms, 500 + TIMEOUT_MS);
    assert_int_equal(figures_of(f).out_of_order_count, 1);
}

static void test_events_that_make_no_sense_are_refused(void **state)
{
    fixture *f = open_with(state);
    assert_int_equal(
        tell(f, (tarn_coordinator_event){.kind = (tarn_coordinator_event_kind)99}),
        TARN_VERDICT_REFUSED);
    assert_int_equal(
        TELL(f, REQUEST, .kind_wanted = (tarn_checkpoint_kind)99), TARN_VERDICT_REFUSED);
    assert_int_equal(TELL(f, DECLINE, .reason = (tarn_checkpoint_failure)99), TARN_VERDICT_REFUSED);
    assert_int_equal(TELL(f, TASK_FAILED, .task = 2), TARN_VERDICT_UNKNOWN);
    assert_int_equal(TELL(f, BEGUN, .checkpoint_id = 1), TARN_VERDICT_UNKNOWN);
    assert_int_equal(TELL(f, WRITTEN, .checkpoint_id = 1), TARN_VERDICT_UNKNOWN);
    expect_nothing(f);
}

static void expect_refused(fixture *f, const char *name)
{
    tarn_coordinator *untouched = NULL;
    assert_int_equal(
        tarn_coordinator_open(&f->options, &untouched, &f->error), TARN_INVALID_ARGUMENT);
    assert_null(untouched);
    assert_non_null(strstr(f->error.message, name));
}

static void test_options_out_of_range_are_refused_by_name(void **state)
{
    fixture *f = *state;
    const tarn_coordinator_options good = f->options;
#define REFUSED(member, value, name) \
    do {                             \
        f->options = good;           \
        f->options.member = (value); \
        expect_refused(f, name);     \
    } while (0)
    REFUSED(interval_ms, 9, "interval_ms is 9");
    REFUSED(timeout_ms, 9, "timeout_ms is 9");
    REFUSED(max_concurrent, 0, "max_concurrent is 0");
    REFUSED(retained_count, 0, "retained_count is 0");
    REFUSED(retained_count, 10001, "retained_count is 10001");
    REFUSED(pending_max, 0, "pending_max is 0");
    REFUSED(queue_max, 0, "queue_max is 0");
    REFUSED(next_checkpoint_id, 0, "next_checkpoint_id is 0");
    REFUSED(operator_count, 0, "no operator");
    REFUSED(edges, NULL, "edges is NULL");
    REFUSED(restored_count, 1, "restored is NULL");
    REFUSED(struct_size, 1, "struct_size is 1");
#undef REFUSED
    f->options = good;
    f->options.is_unaligned = true;
    f->options.max_concurrent = 2;
    expect_refused(f, "max_concurrent is 2");
}

static void test_options_init_gives_the_defaults_of_the_macro(void **state)
{
    (void)state;
    const tarn_coordinator_options expected = TARN_COORDINATOR_OPTIONS_INIT;
    tarn_coordinator_options options;
    tarn_coordinator_options_init(&options, sizeof options);
    assert_int_equal(options.struct_size, expected.struct_size);
    assert_int_equal(options.interval_ms, TARN_COORDINATOR_NEVER);
    assert_int_equal(options.timeout_ms, expected.timeout_ms);
    assert_int_equal(options.queue_max, expected.queue_max);
    assert_null(options.parallelism);
}

static void test_settings_of_a_configuration_become_options(void **state)
{
    fixture *f = *state;
    tarn_checkpoint_settings settings = TARN_CHECKPOINT_SETTINGS_INIT;
    settings.is_enabled = true;
    settings.is_exactly_once = true;
    settings.is_unaligned = true;
    settings.is_continued_after_tasks_finish = true;
    settings.retention = TARN_CHECKPOINT_RETAIN_ON_CANCELLATION;
    settings.max_concurrent = 1;
    settings.tolerable_failures = INT32_MAX;
    settings.interval_ms = 1000;
    settings.interval_during_backlog_ms = TARN_CHECKPOINT_NEVER_MS;
    settings.timeout_ms = 500;
    settings.min_pause_ms = 20;
    settings.aligned_timeout_ms = 30;
    tarn_coordinator_options_apply(&f->options, &settings);
    assert_int_equal(f->options.interval_ms, 1000);
    assert_int_equal(f->options.backlog_interval_ms, TARN_COORDINATOR_NEVER);
    assert_int_equal(f->options.min_pause_ms, 20);
    assert_int_equal(f->options.tolerable_failures, TARN_COORDINATOR_UNLIMITED);
    assert_false(f->options.is_at_least_once || f->options.refuses_finished_tasks);
    assert_int_equal(f->options.operator_count, 2);
    open_with(state);
    TELL(f, START, .delay_ms = 0);
    const tarn_coordinator_effect *trigger = expect_start(f, 1);
    assert_int_equal(trigger->alignment, TARN_ALIGNMENT_TIMED);
    assert_int_equal(trigger->aligned_timeout_ms, 30);

    settings.is_enabled = false;
    tarn_coordinator_options_apply(&f->options, &settings);
    assert_int_equal(f->options.interval_ms, TARN_COORDINATOR_NEVER);
}

static void test_every_reason_has_a_name_and_a_sentence(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < TARN_CHECKPOINT_FAILURE_COUNT; i++) {
        const tarn_checkpoint_failure reason = (tarn_checkpoint_failure)i;
        assert_true(strlen(tarn_checkpoint_failure_name(reason)) > 3);
        assert_true(strlen(tarn_checkpoint_failure_sentence(reason)) > 10);
    }
    assert_string_equal(
        tarn_checkpoint_failure_name(TARN_FAILURE_CHECKPOINT_EXPIRED), "CHECKPOINT_EXPIRED");
    assert_string_equal(tarn_checkpoint_failure_name(TARN_CHECKPOINT_FAILURE_COUNT), "?");
}

/* Whoever declines, whatever for: it is known how often. */
static void test_each_reason_is_counted(void **state)
{
    fixture *f = *state;
    f->options.tolerable_failures = TARN_COORDINATOR_UNLIMITED;
    open_with(state);
    for (uint32_t reason = 0; reason < TARN_CHECKPOINT_FAILURE_COUNT; reason++) {
        const uint64_t before = figures_of(f).failure_counts[reason];
        const uint64_t id = reason + 1;
        TELL(f, REQUEST, .kind_wanted = TARN_CHECKPOINT_INCREMENTAL, .request_id = id);
        expect_start(f, id);
        TELL(f, DECLINE, .checkpoint_id = id, .task = 1, .reason = (tarn_checkpoint_failure)reason);
        expect_abort(f, id, (tarn_checkpoint_failure)reason);
        TELL(f, DISCARDED, .checkpoint_id = id);
        const tarn_coordinator_figures figures = figures_of(f);
        assert_int_equal(figures.failure_counts[reason], before + 1);
        uint64_t sum = 0;
        for (uint32_t i = 0; i < TARN_CHECKPOINT_FAILURE_COUNT; i++) {
            sum += figures.failure_counts[i];
        }
        assert_int_equal(sum, id);
    }
}

/* As in Flink, where a job that ends stops its checkpoints first. */
static void test_stop_ends_the_timer_that_shutdown_leaves(void **state)
{
    fixture *f = *state;
    f->options.interval_ms = INTERVAL_MS;
    open_with(state);
    TELL(f, START, .delay_ms = 10);
    TELL(f, SHUTDOWN, .job_end = TARN_JOB_FINISHED);
    f->now_ms += 10;
    TELL(f, TICK);
    assert_int_equal(
        expect(f, TARN_EFFECT_REJECTED, 0)->reason, TARN_FAILURE_CHECKPOINT_COORDINATOR_SHUTDOWN);
    TELL(f, STOP);
    assert_int_equal(tarn_coordinator_next_ms(f->coordinator), TARN_COORDINATOR_NEVER);
}

/* A number that no name stands for is no answer: the right one is still awaited. */
static void test_values_outside_their_enum_are_refused(void **state)
{
    fixture *f = open_with(state);
    TELL(f, REQUEST, .kind_wanted = TARN_CHECKPOINT_INCREMENTAL, .request_id = 1);
    expect_start(f, 1);
    acknowledge_all(f, 1);
    expect(f, TARN_EFFECT_WRITE, 1);
    const uint32_t wrong = TARN_WRITE_UNKNOWN + 1;
    assert_int_equal(
        TELL(f, WRITTEN, .checkpoint_id = 1, .write_outcome = (tarn_write_outcome)wrong),
        TARN_VERDICT_REFUSED);
    expect_nothing(f);
    assert_int_equal(
        TELL(f, TASK_STATE, .task = 0, .task_state = (tarn_task_state)(TARN_TASK_FINISHED + 1)),
        TARN_VERDICT_REFUSED);
    assert_int_equal(
        TELL(f, SHUTDOWN, .job_end = (tarn_job_end)(TARN_JOB_SUSPENDED + 1)), TARN_VERDICT_REFUSED);
    assert_int_equal(
        TELL(f, WRITTEN, .checkpoint_id = 1, .write_outcome = TARN_WRITE_DURABLE),
        TARN_VERDICT_TAKEN);
    expect(f, TARN_EFFECT_COMPLETED, 1);
    expect(f, TARN_EFFECT_NOTIFY_COMPLETE, 1);
}

/* Fails the first allocation, then the second, until one run meets no failure: none may leak. */
static void test_open_survives_every_allocation_failure(void **state)
{
    fixture *f = *state;
    bool has_fired = true;
    for (uint64_t nth = 0; has_fired; nth++) {
        fault_allocator fault;
        fault_allocator_init(&fault, nth);
        f->options.allocator = &fault.base;
        tarn_coordinator *coordinator = NULL;
        const tarn_status status = tarn_coordinator_open(&f->options, &coordinator, &f->error);
        has_fired = fault.fired;
        assert_int_equal(status, has_fired ? TARN_NO_MEMORY : TARN_OK);
        tarn_coordinator_close(coordinator);
        assert_int_equal(fault.live_count, 0);
    }
}

/* The simulator runs for years because a step touches memory that is already there. */
static void test_steps_allocate_nothing(void **state)
{
    fixture *f = *state;
    fault_allocator fault;
    fault_allocator_init(&fault, FAULT_NEVER);
    f->options.allocator = &fault.base;
    open_with(state);
    const uint64_t before = fault.request_count;
    for (uint64_t id = 1; id <= 100; id++) {
        f->now_ms += 10;
        TELL(f, REQUEST);
        expect_start(f, id);
        acknowledge_all(f, id);
        expect(f, TARN_EFFECT_WRITE, id);
        TELL(f, WRITTEN, .checkpoint_id = id);
        f->next = f->effects.count;
        if (id > 1) {
            TELL(f, DISCARDED, .checkpoint_id = id - 1);
        }
    }
    assert_int_equal(fault.request_count, before);
    tarn_coordinator_close(f->coordinator);
    f->coordinator = NULL;
    assert_int_equal(fault.live_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_periodic_checkpoint_goes_from_the_timer_to_its_notification),
        TEST(test_late_ack_does_not_revive_an_aborted_checkpoint),
        TEST(test_repeated_foreign_and_unknown_acks_do_not_count),
        TEST(test_a_decline_aborts_at_once_with_the_tasks_reason),
        TEST(test_a_write_under_way_decides_whatever_happens_meanwhile),
        TEST(test_a_place_that_is_being_made_is_deleted_after_it_was_made),
        TEST(test_an_id_that_nothing_bears_is_used_again),
        TEST(test_an_unknown_write_outcome_deletes_nothing),
        TEST(test_writes_go_one_by_one_and_a_newer_success_subsumes_what_waits),
        TEST(test_too_many_unanswered_deletions_hold_new_checkpoints_back),
        TEST(test_requests_start_savepoints_first_then_asked_for_then_periodic),
        TEST(test_a_savepoint_passes_max_concurrent_and_stays_the_users),
        TEST(test_a_pause_holds_back_the_timer_but_not_the_user),
        TEST(test_a_full_queue_refuses_the_newcomer_or_its_last_periodic_request),
        TEST(test_a_timer_that_is_an_hour_late_is_caught_up_in_bounded_steps),
        TEST(test_the_job_fails_beyond_the_tolerable_failures_in_a_row),
        TEST(test_a_declined_stop_with_savepoint_fails_the_job),
        TEST(test_a_task_failure_aborts_only_what_it_has_not_acknowledged),
        TEST(test_no_checkpoint_starts_while_a_task_is_not_running),
        TEST(test_tasks_behind_finished_ones_are_told_directly),
        TEST(test_a_checkpoint_of_finished_tasks_needs_nobody),
        TEST(test_finished_tasks_can_be_a_reason_to_refuse),
        TEST(test_the_first_checkpoint_after_an_unclaimed_restore_is_full),
        TEST(test_retained_checkpoints_are_listed_oldest_first),
        TEST(test_an_owned_restored_checkpoint_is_deleted_when_it_is_subsumed),
        TEST(test_all_restored_ones_that_exceed_the_retained_are_deleted),
        TEST(test_shutdown_ends_the_store_after_the_write_under_way),
        TEST(test_a_request_after_the_end_is_heard_when_it_could_have_begun),
        TEST(test_stop_hears_out_whoever_waits),
        TEST(test_start_needs_an_interval),
        TEST(test_the_first_delay_lies_between_pause_and_interval),
        TEST(test_a_backlog_changes_the_interval_from_the_next_checkpoint_on),
        TEST(test_time_that_goes_back_is_counted_and_stands_still),
        TEST(test_events_that_make_no_sense_are_refused),
        TEST(test_options_out_of_range_are_refused_by_name),
        TEST(test_options_init_gives_the_defaults_of_the_macro),
        TEST(test_settings_of_a_configuration_become_options),
        TEST(test_every_reason_has_a_name_and_a_sentence),
        TEST(test_each_reason_is_counted),
        TEST(test_stop_ends_the_timer_that_shutdown_leaves),
        TEST(test_values_outside_their_enum_are_refused),
        TEST(test_open_survives_every_allocation_failure),
        TEST(test_steps_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
