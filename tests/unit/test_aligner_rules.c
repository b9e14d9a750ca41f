/*
 * What a task does about barriers, as a table: events, and what each asks for. Of timed alignment
 * no answers of Flink are recorded; its rules were read in Flink 1.20's sources (package
 * org.apache.flink.streaming.runtime.io.checkpointing), whose class stands beside each rule.
 *
 * An event is a letter, a channel and a checkpoint: A1.7 arrived, R1.7 reached, C1.7 cancelled, E1
 * ended, G.7 given up by the coordinator; T- is a moment before the deadline, T the deadline.
 * What is asked for: B0 block, U0 unblock, K0 keep what is queued, O0 keep it and what comes
 * (open), Z0 that is all, S.7 snapshot, V.7 unaligned snapshot, D.7 complete, X.7 abandoned and
 * declined, Y.7 abandoned, which the coordinator knows.
 */
#include "support/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/aligner.h"

enum { CHANNELS = 3, TIMEOUT_MS = 50, TEXT_MAX = 256 };

typedef struct rule {
    const char *source; /* Class, and what it does. */
    tarn_alignment alignment;
    const char *script; /* EVENT > EFFECT ...; EVENT > ... */
} rule;

static const rule rules[] = {
    {"AbstractAlternatingAlignedBarrierHandlerState.barrierReceived: blocks; the last one triggers "
     "the checkpoint and unblocks",
     TARN_ALIGNMENT_TIMED,
     "R0.1 > B0; R1.1 > B1; R2.1 > S.1 U0 U1 D.1; T >"},
    {"AbstractAlternatingAlignedBarrierHandlerState.announcementReceived: is noted, nothing more",
     TARN_ALIGNMENT_TIMED,
     "A0.1 >; A1.1 >; A2.1 >; R0.1 > B0; R1.1 > B1; R2.1 > S.1 U0 U1 D.1"},
    {"SingleCheckpointBarrierHandler.checkNewCheckpoint: the timer begins with the first "
     "announcement, whichever channel it is of",
     TARN_ALIGNMENT_TIMED,
     "A2.1 >; T- >; T > O0 O1 K2 V.1; A0.1 > Z0; A1.1 > Z1 D.1"},
    {"AlternatingCollectingBarriers.alignmentTimeout: announced barriers overtake, the checkpoint "
     "begins, nothing stays blocked",
     TARN_ALIGNMENT_TIMED,
     "R0.1 > B0; A1.1 >; T- >; T > K1 O2 V.1 U0; R1.1 >; A2.1 > Z2 D.1; R2.1 >"},
    {"AlternatingCollectingBarriersUnaligned.announcementReceived: overtakes at once after the "
     "timeout",
     TARN_ALIGNMENT_TIMED,
     "R0.1 > B0; T > O1 O2 V.1 U0; A1.1 > Z1; R2.1 > Z2 D.1; R1.1 >"},
    {"AbstractAlternatingAlignedBarrierHandlerState.barrierReceived: one that comes when time is "
     "up "
     "does not block",
     TARN_ALIGNMENT_TIMED,
     "R0.1 > B0; T- >; +R1.1 > O1 O2 V.1 U0 Z1; A2.1 > Z2 D.1"},
    {"AbstractAlternatingAlignedBarrierHandlerState.endOfPartitionReceived: stands for its barrier",
     TARN_ALIGNMENT_TIMED,
     "R0.1 > B0; E1 >; R2.1 > S.1 U0 D.1"},
    {"AlternatingCollectingBarriers.endOfPartitionReceived: when it was the last one, the aligned "
     "checkpoint is triggered",
     TARN_ALIGNMENT_TIMED,
     "R0.1 > B0; R1.1 > B1; E2 > S.1 U0 U1 D.1; T >"},
    {"AlternatingCollectingBarriersUnaligned.endOfPartitionReceived: when it was the last one, the "
     "checkpoint is finished",
     TARN_ALIGNMENT_TIMED,
     "R0.1 > B0; R1.1 > B1; T > O2 V.1 U0 U1; E2 > Z2 D.1"},
    {"AbstractAlternatingAlignedBarrierHandlerState.abort: unblocks all, and no timer is left",
     TARN_ALIGNMENT_TIMED,
     "R0.1 > B0; C1.1 > X.1 U0; T >; R1.1 >"},
    {"AlternatingCollectingBarriersUnaligned.abort: ends what is kept",
     TARN_ALIGNMENT_TIMED,
     "R0.1 > B0; T > O1 O2 V.1 U0; C1.1 > X.1; A2.1 >; R2.1 >"},
    {"SingleCheckpointBarrierHandler.cancelSubsumedCheckpoint: a newer barrier ends the current "
     "checkpoint, and has a timer of its own",
     TARN_ALIGNMENT_TIMED,
     "R0.1 > B0; T- >; R1.2 > X.1 U0 B1; T- >; T > O0 O2 V.2 U1; A0.2 > Z0; A2.2 > Z2 D.2"},
    {"SingleCheckpointBarrierHandler.processBarrierAnnouncement: so does a newer announcement",
     TARN_ALIGNMENT_TIMED,
     "R0.1 > B0; A1.2 > X.1 U0; R1.2 > B1; R0.2 > B0; R2.2 > S.2 U0 U1 D.2"},
    {"SingleCheckpointBarrierHandler.processBarrier: obsolete barriers change nothing",
     TARN_ALIGNMENT_TIMED,
     "R0.2 > B0; R1.1 >; A2.1 >; R1.2 > B1; R2.2 > S.2 U0 U1 D.2; R2.2 >"},
    {"SingleCheckpointBarrierHandler.processCancellationBarrier: one of a newer checkpoint ends "
     "the "
     "current one, and that one before it comes",
     TARN_ALIGNMENT_TIMED,
     "R0.1 > B0; C1.2 > X.1 U0 X.2; R0.2 >; R0.3 > B0"},
    {"AlternatingWaitingForFirstBarrierUnaligned.barrierReceived: the first one begins the "
     "checkpoint",
     TARN_ALIGNMENT_UNALIGNED,
     "A0.1 > K0 O1 O2 V.1; A1.1 > Z1; R0.1 >; R2.1 > Z2 D.1"},
    {"SingleCheckpointBarrierHandler knows nothing of an abort by the coordinator: an older "
     "checkpoint goes on (SubtaskCheckpointCoordinatorImpl.notifyCheckpointAborted)",
     TARN_ALIGNMENT_ALIGNED,
     "R0.1 > B0; G.2 > Y.2; G.2 >; R1.1 > B1; R1.2 >; R2.1 > S.1 U0 U1 D.1; R0.2 >; R1.3 > B1"},
    {"of our own: one that has not even begun, likewise",
     TARN_ALIGNMENT_ALIGNED,
     "G.2 > Y.2; R0.1 > B0; R1.1 > B1; R2.1 > S.1 U0 U1 D.1; R2.2 >"},
    {"of our own: but a channel that brings only the given-up one's barrier ends it",
     TARN_ALIGNMENT_ALIGNED,
     "R0.1 > B0; G.2 > Y.2; A1.2 >; R1.2 > X.1 U0; R2.1 >"},
    {"of our own: likewise when it says that there is none",
     TARN_ALIGNMENT_TIMED,
     "R0.1 > B0; G.2 > Y.2; T > O1 O2 V.1 U0; C1.2 > X.1"},
    {"of our own: what is given up and then subsumed is forgotten",
     TARN_ALIGNMENT_ALIGNED,
     "G.2 > Y.2; G.4 > Y.4; R0.3 > B0; R1.2 >; R1.3 > B1; R2.3 > S.3 U0 U1 D.3; R0.4 >; R0.5 > B0"},
};

typedef struct fixture {
    tarn__account account;
    tarn_aligner aligner;
    uint64_t now_ms;
    char asked[TEXT_MAX];
} fixture;

static const char letters[] = {
    [TARN_ALIGN_BLOCK] = 'B',
    [TARN_ALIGN_UNBLOCK] = 'U',
    [TARN_ALIGN_KEEP] = 'K',
    [TARN_ALIGN_KEPT] = 'Z',
    [TARN_ALIGN_SNAPSHOT] = 'S',
    [TARN_ALIGN_COMPLETE] = 'D',
    [TARN_ALIGN_ABANDONED] = 'X',
};

static char letter_of(const tarn_alignment_effect *effect)
{
    if (effect->kind == TARN_ALIGN_KEEP && effect->is_open) {
        return 'O';
    }
    if (effect->kind == TARN_ALIGN_SNAPSHOT && effect->is_unaligned) {
        return 'V';
    }
    return effect->kind == TARN_ALIGN_ABANDONED && effect->is_known ? 'Y' : letters[effect->kind];
}

static void write_effects(tarn_alignment_effects effects, char out[TEXT_MAX])
{
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < effects.count; i++) {
        const tarn_alignment_effect *effect = &effects.items[i];
        const bool is_of_channel = effect->kind <= TARN_ALIGN_KEPT;
        used += (size_t)snprintf(
            out + used,
            TEXT_MAX - used,
            "%s%c%s%" PRIu64,
            i == 0 ? "" : " ",
            letter_of(effect),
            is_of_channel ? "" : ".",
            is_of_channel ? (uint64_t)effect->channel : effect->checkpoint_id);
        assert_true(used < TEXT_MAX);
    }
}

static tarn_barrier_kind kind_of(char letter)
{
    switch (letter) {
    case 'A':
        return TARN_BARRIER_ARRIVED;
    case 'R':
        return TARN_BARRIER_REACHED;
    case 'C':
        return TARN_BARRIER_CANCELLED;
    case 'E':
        return TARN_BARRIER_ENDED;
    case 'G':
        return TARN_BARRIER_GIVE_UP;
    default:
        assert_int_equal(letter, 'T');
        return TARN_BARRIER_TICK;
    }
}

/* A plus before an event: it comes when the deadline has passed, which nobody has looked at. */
static void move_clock(fixture *f, const char **event)
{
    const uint64_t deadline_ms = tarn_aligner_next_ms(&f->aligner);
    const bool is_late = **event == '+';
    if (deadline_ms != UINT64_MAX && (is_late || strncmp(*event, "T", 1) == 0)) {
        f->now_ms = strncmp(*event, "T-", 2) == 0 ? deadline_ms - 1 : deadline_ms;
    }
    *event += is_late ? 1 : 0;
}

static void tell(fixture *f, const rule *r, const char *event)
{
    move_clock(f, &event);
    const char *dot = strchr(event, '.');
    const bool has_channel = event[1] >= '0' && event[1] <= '9';
    const tarn_barrier barrier = {
        .kind = kind_of(event[0]),
        .channel = has_channel ? (uint32_t)(event[1] - '0') : 0,
        .checkpoint_id = dot != NULL ? strtoull(dot + 1, NULL, 10) : 0,
        .now_ms = f->now_ms,
        .alignment = r->alignment,
        .timeout_ms = TIMEOUT_MS,
    };
    write_effects(tarn_aligner_step(&f->aligner, &barrier), f->asked);
    assert_true(tarn__aligner_is_valid(&f->aligner));
}

static const char *skip_spaces(const char *text)
{
    return text + strspn(text, " ");
}

/* One step of a script: up to the next semicolon. Answers where the next one begins. */
static const char *run_step(fixture *f, const rule *r, const char *step)
{
    char event[TEXT_MAX];
    char expected[TEXT_MAX];
    const size_t size = strcspn(step, ";");
    const size_t event_size = strcspn(step, " ");
    const char *effects = skip_spaces(strchr(step, '>') + 1);
    const size_t head = (size_t)(effects - step);
    snprintf(event, sizeof event, "%.*s", (int)event_size, step);
    snprintf(expected, sizeof expected, "%.*s", head < size ? (int)(size - head) : 0, effects);
    tell(f, r, event);
    if (strcmp(f->asked, expected) != 0) {
        fail_msg("%s\n  %s: %s > %s", r->source, r->script, event, f->asked);
    }
    return step[size] == ';' ? skip_spaces(step + size + 1) : step + size;
}

static void test_events_ask_for_what_the_rules_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        fixture f = {.now_ms = 1000};
        tarn_error error;
        tarn__account_init(&f.account, "test", NULL);
        assert_ok(
            tarn__aligner_init(
                &f.aligner, CHANNELS, /* is_at_least_once= */ false, &f.account, &error),
            &error);
        const char *step = rules[i].script;
        while (*step != '\0') {
            step = run_step(&f, &rules[i], step);
        }
        tarn__aligner_clear(&f.aligner);
        assert_int_equal(f.account.block_count, 0);
    }
}

/* The oldest of too many is no longer waited for, nor what is older. */
static void test_memory_of_what_was_given_up_is_bounded(void **state)
{
    (void)state;
    fixture f = {.now_ms = 1000};
    const rule aligned = {.alignment = TARN_ALIGNMENT_ALIGNED};
    tarn_error error;
    tarn__account_init(&f.account, "test", NULL);
    assert_ok(
        tarn__aligner_init(&f.aligner, CHANNELS, /* is_at_least_once= */ false, &f.account, &error),
        &error);
    tell(&f, &aligned, "R0.1");
    char event[TEXT_MAX];
    for (uint32_t i = 0; i < TARN__GIVEN_UP_MAX; i++) {
        snprintf(event, sizeof event, "G.%u", 10 + 2 * (TARN__GIVEN_UP_MAX - i));
        tell(&f, &aligned, event);
        assert_int_equal(f.asked[0], 'Y');
    }
    tell(&f, &aligned, "G.1000");
    assert_string_equal(f.asked, "Y.1000 X.1 U0");
    assert_int_equal(f.aligner.current_id, 12);
    assert_int_equal(f.aligner.given_up_count, TARN__GIVEN_UP_MAX);
    tell(&f, &aligned, "R0.12");
    assert_string_equal(f.asked, "");
    tell(&f, &aligned, "R0.1000");
    assert_string_equal(f.asked, "");
    tell(&f, &aligned, "R0.13");
    assert_string_equal(f.asked, "B0");
    tarn__aligner_clear(&f.aligner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_ask_for_what_the_rules_say),
        cmocka_unit_test(test_memory_of_what_was_given_up_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
