/*
 * Unit tests of checkpoint/aligner.c as scripts of three channels. That a checkpoint holds exactly
 * the data before its barriers in any order of events: tests/property/test_aligner.c.
 */
#include "support/support.h"

#include <string.h>

#include "base/random.h"
#include "checkpoint/aligner.h"

enum { CHANNELS = 3, TIMEOUT_MS = 50 };

typedef struct fixture {
    tarn__account account;
    tarn_aligner aligner;
    tarn_alignment_effects effects;
    uint32_t next; /* The first effect that was not expected yet. */
    uint64_t now_ms;
    tarn_alignment alignment;
    tarn_error error;
} fixture;

static int setup(void **state)
{
    static fixture f;
    f = (fixture){.now_ms = 100};
    tarn__account_init(&f.account, "test", NULL);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    tarn__aligner_clear(&f->aligner);
    assert_int_equal(f->account.block_count, 0);
    return 0;
}

static fixture *open_with(void **state, tarn_alignment alignment)
{
    fixture *f = *state;
    const bool is_at_least_once = alignment == TARN_ALIGNMENT_AT_LEAST_ONCE;
    f->alignment = alignment;
    assert_ok(
        tarn__aligner_init(&f->aligner, CHANNELS, is_at_least_once, &f->account, &f->error),
        &f->error);
    return f;
}

static void tell(fixture *f, tarn_barrier_kind kind, uint32_t channel, uint64_t id)
{
    assert_int_equal(f->next, f->effects.count);
    const tarn_barrier event = {
        .kind = kind,
        .channel = channel,
        .checkpoint_id = id,
        .now_ms = f->now_ms,
        .alignment = f->alignment,
        .timeout_ms = TIMEOUT_MS,
    };
    f->effects = tarn_aligner_step(&f->aligner, &event);
    f->next = 0;
    assert_true(tarn__aligner_is_valid(&f->aligner));
}

static void tell_arrived(fixture *f, uint32_t channel, uint64_t id)
{
    tell(f, TARN_BARRIER_ARRIVED, channel, id);
}

static void tell_reached(fixture *f, uint32_t channel, uint64_t id)
{
    tell(f, TARN_BARRIER_REACHED, channel, id);
}

static const tarn_alignment_effect *expect(
    fixture *f, tarn_alignment_effect_kind kind, uint32_t channel)
{
    assert_true(f->next < f->effects.count);
    const tarn_alignment_effect *effect = &f->effects.items[f->next++];
    assert_int_equal(effect->kind, kind);
    assert_int_equal(effect->channel, channel);
    return effect;
}

static void expect_snapshot(fixture *f, uint64_t id, bool is_unaligned)
{
    const tarn_alignment_effect *effect = expect(f, TARN_ALIGN_SNAPSHOT, 0);
    assert_int_equal(effect->checkpoint_id, id);
    assert_int_equal(effect->is_unaligned, is_unaligned);
}

static void expect_abandoned(fixture *f, uint64_t id, tarn_checkpoint_failure reason)
{
    const tarn_alignment_effect *effect = expect(f, TARN_ALIGN_ABANDONED, 0);
    assert_int_equal(effect->checkpoint_id, id);
    assert_int_equal(effect->reason, reason);
}

static void expect_nothing(const fixture *f)
{
    assert_int_equal(f->effects.count, 0);
}

/* Aligned */

static void test_aligned_channels_wait_for_the_last_barrier(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_ALIGNED);
    tell_arrived(f, 1, 1);
    expect_nothing(f);
    tell_reached(f, 1, 1);
    expect(f, TARN_ALIGN_BLOCK, 1);
    tarn_aligner_add_processed(&f->aligner, 300);
    f->now_ms += 5;
    tell_reached(f, 0, 1);
    expect(f, TARN_ALIGN_BLOCK, 0);
    f->now_ms += 5;
    tell_reached(f, 2, 1);
    expect_snapshot(f, 1, false);
    expect(f, TARN_ALIGN_UNBLOCK, 0);
    expect(f, TARN_ALIGN_UNBLOCK, 1);
    assert_int_equal(expect(f, TARN_ALIGN_COMPLETE, 0)->checkpoint_id, 1);
    assert_int_equal(f->aligner.figures.alignment_ms_last, 10);
    assert_int_equal(f->aligner.figures.processed_bytes_last, 300);
    assert_int_equal(tarn_aligner_next_ms(&f->aligner), UINT64_MAX);
}

static void test_an_aligned_barrier_that_only_arrived_disturbs_nothing(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_ALIGNED);
    tell_reached(f, 0, 1);
    expect(f, TARN_ALIGN_BLOCK, 0);
    tell_arrived(f, 0, 2); /* Behind the block. */
    expect_nothing(f);
    tell_reached(f, 1, 1);
    expect(f, TARN_ALIGN_BLOCK, 1);
    tell_reached(f, 2, 1);
    expect_snapshot(f, 1, false);
    f->next = f->effects.count;
}

static void test_a_newer_barrier_ends_an_older_checkpoint(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_ALIGNED);
    tell_reached(f, 0, 1);
    expect(f, TARN_ALIGN_BLOCK, 0);
    tell_reached(f, 1, 2);
    expect_abandoned(f, 1, TARN_FAILURE_CHECKPOINT_DECLINED_SUBSUMED);
    expect(f, TARN_ALIGN_UNBLOCK, 0);
    expect(f, TARN_ALIGN_BLOCK, 1);
    tell_reached(f, 2, 1); /* Too old. */
    expect_nothing(f);
    assert_int_equal(f->aligner.figures.stale_count, 1);
}

static void test_a_channel_that_ends_is_not_waited_for(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_ALIGNED);
    tell_reached(f, 0, 1);
    expect(f, TARN_ALIGN_BLOCK, 0);
    tell(f, TARN_BARRIER_ENDED, 1, 0);
    expect_nothing(f);
    tell(f, TARN_BARRIER_ENDED, 2, 0);
    expect_snapshot(f, 1, false);
    expect(f, TARN_ALIGN_UNBLOCK, 0);
    expect(f, TARN_ALIGN_COMPLETE, 0);
    tell_reached(f, 0, 2); /* It is the only one left. */
    expect_snapshot(f, 2, false);
    expect(f, TARN_ALIGN_COMPLETE, 0);
    tell_reached(f, 1, 3);
    expect_nothing(f);
}

static void test_a_cancellation_releases_what_waits_and_outlives_its_barriers(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_ALIGNED);
    tell_reached(f, 0, 1);
    expect(f, TARN_ALIGN_BLOCK, 0);
    tell(f, TARN_BARRIER_CANCELLED, 1, 1);
    expect_abandoned(f, 1, TARN_FAILURE_CHECKPOINT_DECLINED_ON_CANCELLATION_BARRIER);
    expect(f, TARN_ALIGN_UNBLOCK, 0);
    tell_reached(f, 2, 1);
    expect_nothing(f);
}

static void test_a_cancellation_may_come_before_any_barrier(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_ALIGNED);
    tell_reached(f, 0, 1);
    expect(f, TARN_ALIGN_BLOCK, 0);
    tell(f, TARN_BARRIER_CANCELLED, 1, 2);
    expect_abandoned(f, 1, TARN_FAILURE_CHECKPOINT_DECLINED_SUBSUMED);
    expect(f, TARN_ALIGN_UNBLOCK, 0);
    expect_abandoned(f, 2, TARN_FAILURE_CHECKPOINT_DECLINED_ON_CANCELLATION_BARRIER);
    tell_reached(f, 0, 2);
    expect_nothing(f);
}

/* The coordinator has given up: it need not be told that it has. */
static void test_giving_up_is_not_declined_again(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_ALIGNED);
    tell_reached(f, 0, 1);
    expect(f, TARN_ALIGN_BLOCK, 0);
    tell(f, TARN_BARRIER_GIVE_UP, 0, 1);
    assert_true(expect(f, TARN_ALIGN_ABANDONED, 0)->is_known);
    expect(f, TARN_ALIGN_UNBLOCK, 0);
    tell(f, TARN_BARRIER_GIVE_UP, 0, 1);
    expect_nothing(f);
}

/* Unaligned */

static void test_unaligned_barriers_overtake_what_is_in_flight(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_UNALIGNED);
    tell_arrived(f, 1, 1);
    assert_true(expect(f, TARN_ALIGN_KEEP, 0)->is_open);
    assert_false(expect(f, TARN_ALIGN_KEEP, 1)->is_open);
    assert_true(expect(f, TARN_ALIGN_KEEP, 2)->is_open);
    expect_snapshot(f, 1, true);
    tarn_aligner_add_kept(&f->aligner, 700);
    tell_reached(f, 1, 1); /* Data before it was kept, and is processed now. */
    expect_nothing(f);
    tell_arrived(f, 0, 1);
    expect(f, TARN_ALIGN_KEPT, 0);
    tell_arrived(f, 2, 1);
    expect(f, TARN_ALIGN_KEPT, 2);
    expect(f, TARN_ALIGN_COMPLETE, 0);
    assert_int_equal(f->aligner.figures.kept_bytes_last, 700);
}

static void test_a_channel_that_ends_has_no_more_to_keep(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_UNALIGNED);
    tell_arrived(f, 0, 1);
    f->next = f->effects.count;
    tell(f, TARN_BARRIER_ENDED, 1, 0);
    expect(f, TARN_ALIGN_KEPT, 1);
    tell(f, TARN_BARRIER_ENDED, 2, 0);
    expect(f, TARN_ALIGN_KEPT, 2);
    expect(f, TARN_ALIGN_COMPLETE, 0);
}

/* A host that cannot see into its queues tells only what it reaches. */
static void test_unaligned_works_without_arrivals(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_UNALIGNED);
    tell_reached(f, 0, 1);
    expect(f, TARN_ALIGN_KEEP, 1);
    expect(f, TARN_ALIGN_KEEP, 2);
    expect_snapshot(f, 1, true);
    tell_reached(f, 1, 1);
    expect(f, TARN_ALIGN_KEPT, 1);
    tell_reached(f, 2, 1);
    expect(f, TARN_ALIGN_KEPT, 2);
    expect(f, TARN_ALIGN_COMPLETE, 0);
}

static void test_a_timed_alignment_switches_at_its_deadline(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_TIMED);
    tell_arrived(f, 0, 1);
    expect_nothing(f);
    assert_int_equal(tarn_aligner_next_ms(&f->aligner), 100 + TIMEOUT_MS);
    tell_reached(f, 0, 1);
    expect(f, TARN_ALIGN_BLOCK, 0);
    tell_arrived(f, 1, 1);
    expect_nothing(f);
    f->now_ms += TIMEOUT_MS;
    tell(f, TARN_BARRIER_TICK, 0, 0);
    assert_false(expect(f, TARN_ALIGN_KEEP, 1)->is_open);
    assert_true(expect(f, TARN_ALIGN_KEEP, 2)->is_open);
    expect_snapshot(f, 1, true);
    expect(f, TARN_ALIGN_UNBLOCK, 0);
    tell_arrived(f, 2, 1);
    expect(f, TARN_ALIGN_KEPT, 2);
    expect(f, TARN_ALIGN_COMPLETE, 0);
    assert_int_equal(f->aligner.figures.switched_count, 1);
}

static void test_a_timed_alignment_that_is_in_time_keeps_nothing(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_TIMED);
    for (uint32_t i = 0; i < CHANNELS - 1; i++) {
        tell_reached(f, i, 1);
        expect(f, TARN_ALIGN_BLOCK, i);
    }
    tell_reached(f, CHANNELS - 1, 1);
    expect_snapshot(f, 1, false);
    f->next = f->effects.count;
    assert_int_equal(tarn_aligner_next_ms(&f->aligner), UINT64_MAX);
    assert_int_equal(f->aligner.figures.switched_count, 0);
}

/* At least once */

static void test_at_least_once_nothing_waits_and_barriers_may_overtake(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_AT_LEAST_ONCE);
    tell_reached(f, 0, 1);
    tell_reached(f, 0, 2);
    tell_reached(f, 1, 1);
    tell_reached(f, 1, 2);
    expect_nothing(f);
    tell_reached(f, 2, 2); /* Channel 2 never got barrier 1. */
    expect_abandoned(f, 1, TARN_FAILURE_CHECKPOINT_DECLINED_SUBSUMED);
    expect_snapshot(f, 2, false);
    expect(f, TARN_ALIGN_COMPLETE, 0);
    tell_reached(f, 2, 1);
    expect_nothing(f);
    assert_int_equal(f->aligner.figures.stale_count, 1);
}

static void test_at_least_once_a_repeated_barrier_counts_once(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_AT_LEAST_ONCE);
    for (uint32_t i = 0; i < CHANNELS; i++) {
        tell_reached(f, 0, 1);
    }
    expect_nothing(f);
    assert_int_equal(f->aligner.figures.stale_count, CHANNELS - 1);
}

static void test_at_least_once_memory_is_bounded_by_giving_the_oldest_up(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_AT_LEAST_ONCE);
    for (uint64_t id = 1; id <= TARN__TRACKED_MAX; id++) {
        tell_reached(f, 0, id);
    }
    expect_nothing(f);
    tell_reached(f, 0, TARN__TRACKED_MAX + 1);
    expect_abandoned(f, 1, TARN_FAILURE_CHECKPOINT_DECLINED_SUBSUMED);
    tell_reached(f, 1, 1);
    expect_nothing(f);
}

static void test_at_least_once_the_end_of_a_channel_completes_what_waited_for_it(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_AT_LEAST_ONCE);
    for (uint64_t id = 1; id <= 2; id++) {
        tell_reached(f, 0, id);
        tell_reached(f, 1, id);
    }
    tell(f, TARN_BARRIER_CANCELLED, 0, 3);
    expect_abandoned(f, 3, TARN_FAILURE_CHECKPOINT_DECLINED_ON_CANCELLATION_BARRIER);
    tell(f, TARN_BARRIER_ENDED, 2, 0);
    expect_snapshot(f, 1, false);
    expect(f, TARN_ALIGN_COMPLETE, 0);
    expect_snapshot(f, 2, false);
    expect(f, TARN_ALIGN_COMPLETE, 0);
}

/* Wrong use */

static void test_channels_out_of_range_are_counted_and_ignored(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_ALIGNED);
    tell_reached(f, CHANNELS, 1);
    expect_nothing(f);
    assert_int_equal(f->aligner.figures.stale_count, 1);
}

static void test_no_channels_are_refused(void **state)
{
    fixture *f = *state;
    assert_int_equal(
        tarn__aligner_init(&f->aligner, 0, false, &f->account, &f->error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(f->error.message, "0 input channels"));
}

static void test_init_survives_every_allocation_failure(void **state)
{
    fixture *f = *state;
    bool has_fired = true;
    for (uint64_t nth = 0; has_fired; nth++) {
        fault_allocator fault;
        fault_allocator_init(&fault, nth);
        tarn__account account;
        tarn__account_init(&account, "test", &fault.base);
        tarn_aligner aligner = {.channel_count = 0};
        const tarn_status status =
            tarn__aligner_init(&aligner, CHANNELS, true, &account, &f->error);
        has_fired = fault.fired;
        assert_int_equal(status, has_fired ? TARN_NO_MEMORY : TARN_OK);
        tarn__aligner_clear(&aligner);
        assert_int_equal(fault.live_count, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* With one channel a step asks to keep and completes: what is kept then still counts. */
static void test_bytes_kept_after_the_last_step_are_counted(void **state)
{
    fixture *f = *state;
    tarn_aligner *aligner = NULL;
    assert_ok(tarn_aligner_open(1, false, NULL, &aligner, &f->error), &f->error);
    const tarn_barrier event = {
        .kind = TARN_BARRIER_ARRIVED,
        .checkpoint_id = 1,
        .alignment = TARN_ALIGNMENT_UNALIGNED,
    };
    const tarn_alignment_effects effects = tarn_aligner_step(aligner, &event);
    assert_int_equal(effects.count, 3);
    assert_int_equal(effects.items[0].kind, TARN_ALIGN_KEEP);
    assert_int_equal(effects.items[2].kind, TARN_ALIGN_COMPLETE);
    tarn_aligner_add_kept(aligner, 10);
    tarn_aligner_add_kept(aligner, 5);
    tarn_alignment_figures figures;
    tarn_aligner_read_figures(aligner, &figures);
    assert_int_equal(figures.kept_bytes_last, 15);
    tarn_aligner_close(aligner);
}

/* What belongs to one that was given up is not counted to one that was completed before. */
static void test_bytes_kept_for_an_abandoned_checkpoint_are_nobodys(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_UNALIGNED);
    for (uint32_t channel = 0; channel < CHANNELS; channel++) {
        tell_reached(f, channel, 1);
        f->next = f->effects.count;
        tarn_aligner_add_kept(&f->aligner, 10);
    }
    assert_int_equal(f->aligner.figures.kept_bytes_last, 30);
    tell_arrived(f, 0, 2);
    f->next = f->effects.count;
    tarn_aligner_add_kept(&f->aligner, 100);
    tell(f, TARN_BARRIER_GIVE_UP, 0, 2);
    f->next = f->effects.count;
    tarn_aligner_add_kept(&f->aligner, 1000);
    assert_int_equal(f->aligner.figures.kept_bytes_last, 30);
    assert_int_equal(f->aligner.figures.abandoned_count, 1);
}

static void reach_in_turn(fixture *f, uint64_t id, uint64_t pause_ms)
{
    for (uint32_t channel = 0; channel < CHANNELS; channel++) {
        f->now_ms += channel > 0 ? pause_ms : 0;
        tell_reached(f, channel, id);
        f->next = f->effects.count;
    }
}

static void test_figures_have_the_longest_alignment_and_the_last(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_ALIGNED);
    const tarn_alignment_figures *figures = &f->aligner.figures;
    reach_in_turn(f, 1, 20);
    assert_int_equal(figures->alignment_ms_last, 40);
    assert_int_equal(figures->alignment_ms_max, 40);
    reach_in_turn(f, 2, 5);
    assert_int_equal(figures->alignment_ms_last, 10);
    assert_int_equal(figures->alignment_ms_max, 40);
    tell_reached(f, 0, 3);
    f->next = f->effects.count;
    f->now_ms += 1000;
    tell(f, TARN_BARRIER_CANCELLED, 1, 3); /* An alignment that was given up took no time. */
    f->next = f->effects.count;
    assert_int_equal(figures->alignment_ms_max, 40);
    reach_in_turn(f, 4, 30);
    assert_int_equal(figures->alignment_ms_last, 60);
    assert_int_equal(figures->alignment_ms_max, 60);
    assert_int_equal(figures->completed_count, 3);
}

/* Checkpoints overlap there: each has the time and the bytes since its own first barrier. */
static void test_figures_at_least_once_are_each_checkpoints_own(void **state)
{
    fixture *f = open_with(state, TARN_ALIGNMENT_AT_LEAST_ONCE);
    const tarn_alignment_figures *figures = &f->aligner.figures;
    tarn_aligner_add_processed(&f->aligner, 1); /* Of none. */
    tell_reached(f, 0, 1);
    tarn_aligner_add_processed(&f->aligner, 10);
    f->now_ms += 10;
    tell_reached(f, 0, 2);
    tarn_aligner_add_processed(&f->aligner, 100);
    f->now_ms += 20;
    tell_reached(f, 1, 1);
    tell_reached(f, 2, 1);
    expect_snapshot(f, 1, false);
    expect(f, TARN_ALIGN_COMPLETE, 0);
    assert_int_equal(figures->alignment_ms_last, 30);
    assert_int_equal(figures->processed_bytes_last, 110);
    tarn_aligner_add_processed(&f->aligner, 1000);
    f->now_ms += 5;
    tell_reached(f, 1, 2);
    tell_reached(f, 2, 2);
    expect_snapshot(f, 2, false);
    expect(f, TARN_ALIGN_COMPLETE, 0);
    assert_int_equal(figures->alignment_ms_last, 25);
    assert_int_equal(figures->alignment_ms_max, 30);
    assert_int_equal(figures->processed_bytes_last, 1100);
    tarn_aligner_add_kept(&f->aligner, 7);
    assert_int_equal(figures->kept_bytes_last, 0);
}

/* Whatever comes, in whatever order. */
static void test_steps_allocate_nothing(void **state)
{
    enum { STEPS = 20000, CHECKPOINTS = 8 };
    static const tarn_alignment alignments[] = {
        TARN_ALIGNMENT_ALIGNED,
        TARN_ALIGNMENT_UNALIGNED,
        TARN_ALIGNMENT_TIMED,
        TARN_ALIGNMENT_AT_LEAST_ONCE,
    };
    fixture *f = *state;
    tarn__random random = {.state = 5};
    for (size_t i = 0; i < sizeof alignments / sizeof alignments[0]; i++) {
        fault_allocator memory;
        fault_allocator_init(&memory, FAULT_NEVER);
        tarn_aligner *aligner = NULL;
        const bool is_at_least_once = alignments[i] == TARN_ALIGNMENT_AT_LEAST_ONCE;
        assert_ok(
            tarn_aligner_open(CHANNELS, is_at_least_once, &memory.base, &aligner, &f->error),
            &f->error);
        const uint64_t count = atomic_load(&memory.request_count);
        uint64_t id = 1;
        for (uint32_t step = 0; step < STEPS; step++) {
            id += tarn__random_below(&random, CHANNELS) == 0 ? 1 : 0;
            const tarn_barrier event = {
                .kind = (tarn_barrier_kind)tarn__random_below(&random, TARN_BARRIER_ENDED),
                .channel = (uint32_t)tarn__random_below(&random, CHANNELS + 1),
                .checkpoint_id = id + tarn__random_below(&random, CHECKPOINTS),
                .now_ms = step,
                .alignment = alignments[i],
                .timeout_ms = tarn__random_below(&random, CHECKPOINTS),
            };
            (void)tarn_aligner_step(aligner, &event);
            assert_true(tarn__aligner_is_valid(aligner));
        }
        tarn_alignment_figures figures;
        tarn_aligner_read_figures(aligner, &figures);
        assert_int_not_equal(figures.completed_count, 0);
        assert_int_not_equal(figures.abandoned_count, 0);
        assert_int_equal(atomic_load(&memory.request_count), count);
        tarn_aligner_close(aligner);
    }
}

static void test_opened_aligner_survives_every_allocation_failure(void **state)
{
    fixture *f = *state;
    bool has_fired = true;
    for (uint64_t nth = 0; has_fired; nth++) {
        fault_allocator memory;
        fault_allocator_init(&memory, nth);
        tarn_aligner *aligner = NULL;
        const tarn_status status =
            tarn_aligner_open(1, /* is_at_least_once= */ false, &memory.base, &aligner, &f->error);
        has_fired = atomic_load(&memory.fired);
        assert_int_equal(status, has_fired ? TARN_NO_MEMORY : TARN_OK);
        if (status == TARN_OK) {
            const tarn_barrier event = {.kind = TARN_BARRIER_REACHED, .checkpoint_id = 1};
            assert_int_equal(tarn_aligner_step(aligner, &event).count, 2);
            tarn_alignment_figures figures;
            tarn_aligner_read_figures(aligner, &figures);
            assert_int_equal(figures.completed_count, 1);
        }
        tarn_aligner_close(aligner);
        assert_int_equal(atomic_load(&memory.live_count), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_bytes_kept_after_the_last_step_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_opened_aligner_survives_every_allocation_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_steps_allocate_nothing, setup, teardown),
        TEST(test_bytes_kept_for_an_abandoned_checkpoint_are_nobodys),
        TEST(test_figures_have_the_longest_alignment_and_the_last),
        TEST(test_figures_at_least_once_are_each_checkpoints_own),
        TEST(test_aligned_channels_wait_for_the_last_barrier),
        TEST(test_an_aligned_barrier_that_only_arrived_disturbs_nothing),
        TEST(test_a_newer_barrier_ends_an_older_checkpoint),
        TEST(test_a_channel_that_ends_is_not_waited_for),
        TEST(test_a_cancellation_releases_what_waits_and_outlives_its_barriers),
        TEST(test_a_cancellation_may_come_before_any_barrier),
        TEST(test_giving_up_is_not_declined_again),
        TEST(test_unaligned_barriers_overtake_what_is_in_flight),
        TEST(test_a_channel_that_ends_has_no_more_to_keep),
        TEST(test_unaligned_works_without_arrivals),
        TEST(test_a_timed_alignment_switches_at_its_deadline),
        TEST(test_a_timed_alignment_that_is_in_time_keeps_nothing),
        TEST(test_at_least_once_nothing_waits_and_barriers_may_overtake),
        TEST(test_at_least_once_a_repeated_barrier_counts_once),
        TEST(test_at_least_once_memory_is_bounded_by_giving_the_oldest_up),
        TEST(test_at_least_once_the_end_of_a_channel_completes_what_waited_for_it),
        TEST(test_channels_out_of_range_are_counted_and_ignored),
        TEST(test_no_channels_are_refused),
        TEST(test_init_survives_every_allocation_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
