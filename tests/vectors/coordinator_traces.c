/*
 * coordinator_traces.c - the coordinator replayed against Flink's, step by step.
 *
 *     event ──► coordinator ──► effects ──► performed at once ──► answers ──► coordinator ...
 *                                  └──► lines of text, compared with the case's effects
 *
 * Everything that a coordinator asks for succeeds at once, as with Flink's direct executors, but
 * for the failures that a case injects and for deletions that it holds back (slow_cleaning). The
 * lines of deletions that stand together are sorted: their order has no meaning.
 *
 * No case is left out or differs. One rule is other than Flink's where no case can tell: when the
 * deletion of a checkpoint that was written but not recorded ends, Flink does not look at the
 * queue, so that a request may wait for the next event, however long; here it waits only when a
 * periodic tick will look at the queue anyway (pending.c, is_quiet).
 */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/coordinator.h"

#include "vectors.h"

enum {
    LINES_MAX = 4096,
    LINE_BYTES = 192,
    CHECKPOINTS_MAX = 4096,
    ANSWERS_MAX = 4096,
    TASKS_MAX = 16,
    PENDING_MAX = 64,
};

/* What the world outside of the coordinator knows of a checkpoint. */
typedef struct place {
    bool exists;
    bool has_metadata;
    uint32_t tasks[TASKS_MAX]; /* Whose state it holds. */
    uint32_t task_count;
} place;

typedef struct lines {
    char text[LINES_MAX][LINE_BYTES];
    bool is_deletion[LINES_MAX];
    size_t count;
} lines;

typedef struct replay {
    tarn_coordinator *coordinator;
    uint64_t now_ms;
    bool is_cleaning_slow;
    uint32_t fails_id;       /* How often more. */
    uint32_t fails_location; /* How often more. */
    uint32_t fails_metadata; /* How often more. */
    uint32_t fails_store;    /* How often more. */
    uint32_t fails_trigger;  /* How often more. */
    bool write_failed;       /* In this step. */
    bool is_overflown;
    place places[CHECKPOINTS_MAX];
    tarn_coordinator_event answers[ANSWERS_MAX]; /* Deletions first, then in order. */
    size_t answer_count;
    uint64_t held_back[CHECKPOINTS_MAX]; /* Deletions that wait for clean_done. */
    size_t held_back_count;
    lines ours;
    lines theirs;
} replay;

static replay r; /* Too big for a stack; reset for each case. */

/* Lines */

__attribute__((format(printf, 3, 4))) static void add_line(
    lines *l, bool is_deletion, const char *format, ...)
{
    assert(l->count < LINES_MAX);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(l->text[l->count], LINE_BYTES, format, arguments);
    va_end(arguments);
    l->is_deletion[l->count] = is_deletion;
    l->count++;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void sort_deletions(lines *l)
{
    size_t i = 0;
    while (i < l->count) {
        size_t end = i;
        while (end < l->count && l->is_deletion[end]) {
            end++;
        }
        qsort(l->text[i], end - i, LINE_BYTES, compare_lines);
        i = end + 1;
    }
}

/* Writes task numbers as "0,2"; the number of nobody as "-1". */
static const char *list_text(const uint32_t *tasks, uint32_t count, char text[LINE_BYTES])
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < count && used + 16 < LINE_BYTES; i++) {
        const int64_t task = tasks[i] == TARN_COORDINATOR_NO_TASK ? -1 : (int64_t)tasks[i];
        used +=
            (size_t)snprintf(text + used, LINE_BYTES - used, "%s%" PRId64, i == 0 ? "" : ",", task);
    }
    return text;
}

static const char *json_list_text(const json_t *array, char text[LINE_BYTES])
{
    uint32_t tasks[TASKS_MAX];
    uint32_t count = 0;
    for (size_t i = 0; i < json_array_size(array) && count < TASKS_MAX; i++) {
        const json_int_t task = json_integer_value(json_array_get(array, i));
        tasks[count++] = task < 0 ? TARN_COORDINATOR_NO_TASK : (uint32_t)task;
    }
    return list_text(tasks, count, text);
}

static const char *asker_text(bool is_periodic, int64_t request, char text[32])
{
    if (is_periodic) {
        snprintf(text, 32, "timer");
    } else {
        snprintf(text, 32, "request %" PRId64, request);
    }
    return text;
}

/* Their effects */

static const char *or_none(const char *text)
{
    return text == NULL ? "none" : text;
}

static int64_t number(const json_t *object, const char *name)
{
    int64_t value = 0;
    return vectors_integer(object, name, &value) ? value : -1;
}

static void add_theirs(const json_t *effect)
{
    lines *l = &r.theirs;
    char list[LINE_BYTES];
    char asker[32];
    const char *kind = or_none(vectors_text(effect, "kind"));
    const char *reason = or_none(vectors_text(effect, "reason"));
    const int64_t id = number(effect, "checkpoint");
    asker_text(vectors_is_true(effect, "periodic"), number(effect, "request"), asker);
    if (strcmp(kind, "trigger") == 0) {
        json_list_text(json_object_get(effect, "to"), list);
        add_line(
            l,
            false,
            "trigger %" PRId64 " %s %s by %s to %s",
            id,
            vectors_text(effect, "snapshot"),
            vectors_text(effect, "alignment"),
            asker,
            list);
    } else if (strcmp(kind, "state_discarded") == 0) {
        json_list_text(json_object_get(effect, "tasks"), list);
        add_line(l, true, "state_discarded %" PRId64 " of %s", id, list);
    } else if (
        strcmp(kind, "metadata_discarded") == 0 || strcmp(kind, "location_disposed") == 0 ||
        strcmp(kind, "subsumed") == 0) {
        add_line(l, true, "%s %" PRId64, kind, id);
    } else if (strcmp(kind, "completed") == 0) {
        const char *what = vectors_is_true(effect, "savepoint") ? "savepoint" : "checkpoint";
        add_line(l, false, "completed %s %" PRId64 " by %s", what, id, asker);
    } else if (strcmp(kind, "notify_complete") == 0) {
        json_list_text(json_object_get(effect, "to"), list);
        const int64_t other = number(effect, "last_subsumed");
        add_line(
            l, false, "notify_complete %" PRId64 " subsumed %" PRId64 " to %s", id, other, list);
    } else if (strcmp(kind, "notify_aborted") == 0) {
        json_list_text(json_object_get(effect, "to"), list);
        const int64_t other = number(effect, "latest_completed");
        add_line(l, false, "notify_aborted %" PRId64 " latest %" PRId64 " to %s", id, other, list);
    } else if (strcmp(kind, "aborted") == 0) {
        add_line(l, false, "aborted %" PRId64 " %s", id, reason);
    } else if (strcmp(kind, "rejected") == 0) {
        add_line(l, false, "rejected %s by %s", reason, asker);
    } else if (strcmp(kind, "job_failed") == 0) {
        const char *why =
            vectors_is_true(effect, "threshold_exceeded") ? "too many" : "stopping savepoint";
        const int64_t task = number(effect, "task");
        add_line(l, false, "job_failed %" PRId64 " %s task %" PRId64 ", %s", id, reason, task, why);
    } else {
        add_line(l, false, "%s %" PRId64, kind, id);
    }
}

/* The world */

static place *place_of(uint64_t id)
{
    if (id >= CHECKPOINTS_MAX) {
        r.is_overflown = true;
        return &r.places[0];
    }
    return &r.places[id];
}

static void answer(tarn_coordinator_event event)
{
    assert(r.answer_count < ANSWERS_MAX);
    event.now_ms = r.now_ms;
    size_t position = r.answer_count;
    if (event.kind == TARN_COORDINATOR_DISCARDED) {
        position = 0;
        while (position < r.answer_count &&
               r.answers[position].kind == TARN_COORDINATOR_DISCARDED) {
            position++;
        }
    }
    memmove(
        r.answers + position + 1,
        r.answers + position,
        (r.answer_count - position) * sizeof r.answers[0]);
    r.answers[position] = event;
    r.answer_count++;
}

static int compare_tasks(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a;
    const uint32_t right = *(const uint32_t *)b;
    return left < right ? -1 : left > right ? 1 : 0;
}

static void keep_tasks(place *p, const tarn_coordinator_effect *effect)
{
    p->task_count = effect->task_count;
    if (effect->task_count > 0) {
        memcpy(p->tasks, effect->tasks, effect->task_count * sizeof p->tasks[0]);
    }
    qsort(p->tasks, p->task_count, sizeof p->tasks[0], compare_tasks);
}

static void delete_now(uint64_t id)
{
    place *p = place_of(id);
    char list[LINE_BYTES];
    if (p->task_count > 0) {
        list_text(p->tasks, p->task_count, list);
        add_line(&r.ours, true, "state_discarded %" PRIu64 " of %s", id, list);
    }
    if (p->has_metadata) {
        add_line(&r.ours, true, "metadata_discarded %" PRIu64, id);
    }
    if (p->exists) {
        add_line(&r.ours, true, "location_disposed %" PRIu64, id);
    }
    *p = (place){.exists = false};
}

static void perform_discard(const tarn_coordinator_effect *effect)
{
    place *p = place_of(effect->checkpoint_id);
    if (!effect->is_completed) {
        keep_tasks(p, effect);
    }
    const bool is_slow = r.is_cleaning_slow && effect->is_awaited;
    if (is_slow && p->task_count > 0) {
        r.held_back[r.held_back_count++] = effect->checkpoint_id;
        return;
    }
    delete_now(effect->checkpoint_id);
    if (effect->is_awaited) {
        answer((tarn_coordinator_event){
            .kind = TARN_COORDINATOR_DISCARDED, .checkpoint_id = effect->checkpoint_id});
    }
}

static void perform_begin(const tarn_coordinator_effect *effect)
{
    tarn_coordinator_event event = {
        .kind = TARN_COORDINATOR_BEGUN, .checkpoint_id = effect->checkpoint_id};
    if (r.fails_id > 0) {
        r.fails_id--;
        event.kind = TARN_COORDINATOR_NOT_BEGUN;
    } else if (r.fails_location > 0) {
        r.fails_location--;
        event.kind = TARN_COORDINATOR_NOT_BEGUN;
        event.is_id_spent = true;
    } else {
        place_of(effect->checkpoint_id)->exists = true;
    }
    answer(event);
}

static bool is_savepoint(const tarn_coordinator_effect *effect)
{
    return tarn__kind_is_savepoint(effect->checkpoint_kind);
}

static void perform_write(const tarn_coordinator_effect *effect)
{
    tarn_coordinator_event event = {
        .kind = TARN_COORDINATOR_WRITTEN,
        .checkpoint_id = effect->checkpoint_id,
        .write_outcome = TARN_WRITE_DURABLE,
    };
    place *p = place_of(effect->checkpoint_id);
    keep_tasks(p, effect);
    if (r.fails_metadata > 0) {
        r.fails_metadata--;
        event.write_outcome = TARN_WRITE_FAILED;
    } else {
        add_line(&r.ours, false, "metadata_written %" PRIu64, effect->checkpoint_id);
        p->has_metadata = true;
        if (r.fails_store > 0 && !is_savepoint(effect)) {
            r.fails_store--;
            event.write_outcome = TARN_WRITE_NOT_RECORDED;
        }
    }
    r.write_failed = r.write_failed || event.write_outcome != TARN_WRITE_DURABLE;
    answer(event);
}

static void perform_trigger(const tarn_coordinator_effect *effect)
{
    static const char *const kinds[] = {
        "Checkpoint", "Full Checkpoint", "Savepoint", "Suspend Savepoint", "Terminate Savepoint"};
    static const char *const alignments[] = {
        "ALIGNED", "UNALIGNED", "ALIGNED_WITH_TIMEOUT", "AT_LEAST_ONCE"};
    char list[LINE_BYTES];
    char asker[32];
    add_line(
        &r.ours,
        false,
        "trigger %" PRIu64 " %s %s by %s to %s",
        effect->checkpoint_id,
        kinds[effect->checkpoint_kind],
        alignments[effect->alignment],
        asker_text(effect->is_periodic, (int64_t)effect->request_id, asker),
        list_text(effect->tasks, effect->task_count, list));
    if (r.fails_trigger > 0) {
        r.fails_trigger--;
        answer((tarn_coordinator_event){
            .kind = TARN_COORDINATOR_NOT_TRIGGERED, .checkpoint_id = effect->checkpoint_id});
    }
}

static void perform(const tarn_coordinator_effect *effect)
{
    lines *l = &r.ours;
    const uint64_t id = effect->checkpoint_id;
    const int64_t other = effect->other_id == 0 ? -1 : (int64_t)effect->other_id;
    const char *reason = tarn_checkpoint_failure_name(effect->reason);
    char list[LINE_BYTES];
    char asker[32];
    asker_text(effect->is_periodic, (int64_t)effect->request_id, asker);
    list_text(effect->tasks, effect->task_count, list);
    switch (effect->kind) {
    case TARN_EFFECT_BEGIN:
        perform_begin(effect);
        break;
    case TARN_EFFECT_TRIGGER:
        perform_trigger(effect);
        break;
    case TARN_EFFECT_WRITE:
        perform_write(effect);
        break;
    case TARN_EFFECT_COMPLETED:
        add_line(
            l,
            false,
            "completed %s %" PRIu64 " by %s",
            is_savepoint(effect) ? "savepoint" : "checkpoint",
            id,
            asker);
        break;
    case TARN_EFFECT_NOTIFY_COMPLETE:
        add_line(
            l, false, "notify_complete %" PRIu64 " subsumed %" PRId64 " to %s", id, other, list);
        break;
    case TARN_EFFECT_ABORTED:
        add_line(l, false, "aborted %" PRIu64 " %s", id, reason);
        break;
    case TARN_EFFECT_NOTIFY_ABORTED:
        add_line(
            l,
            false,
            "notify_aborted %" PRIu64 " latest %" PRIu64 " to %s",
            id,
            effect->other_id,
            list);
        break;
    case TARN_EFFECT_REJECTED:
        add_line(l, false, "rejected %s by %s", reason, asker);
        break;
    case TARN_EFFECT_SUBSUMED:
        add_line(l, true, "subsumed %" PRIu64, id);
        break;
    case TARN_EFFECT_DISCARD:
        perform_discard(effect);
        break;
    case TARN_EFFECT_DISCARD_STATE:
        list_text(&effect->task, 1, list);
        add_line(l, true, "state_discarded %" PRIu64 " of %s", id, list);
        break;
    case TARN_EFFECT_FAIL_JOB:
        list_text(&effect->task, 1, list);
        add_line(
            l,
            false,
            "job_failed %" PRId64 " %s task %s, %s",
            id == 0 ? -1 : (int64_t)id,
            reason,
            list,
            effect->is_threshold ? "too many" : "stopping savepoint");
        break;
    }
}

static tarn_coordinator_verdict step(const tarn_coordinator_event *event)
{
    const tarn_coordinator_effects effects = tarn_coordinator_step(r.coordinator, event);
    for (uint32_t i = 0; i < effects.count; i++) {
        perform(&effects.items[i]);
    }
    return effects.verdict;
}

/* Tells the event, then every answer, until nothing is left to do at this time. */
static tarn_coordinator_verdict tell(tarn_coordinator_event event)
{
    event.now_ms = r.now_ms;
    const tarn_coordinator_verdict verdict = step(&event);
    for (;;) {
        if (r.answer_count > 0) {
            const tarn_coordinator_event next = r.answers[0];
            r.answer_count--;
            memmove(r.answers, r.answers + 1, r.answer_count * sizeof r.answers[0]);
            step(&next);
        } else if (tarn_coordinator_next_ms(r.coordinator) <= r.now_ms) {
            step(&(tarn_coordinator_event){.kind = TARN_COORDINATOR_TICK, .now_ms = r.now_ms});
        } else {
            return verdict;
        }
    }
}

/* Events */

static uint32_t task_of(const json_t *s)
{
    const int64_t task = number(s, "task");
    return task < 0 ? TARN_COORDINATOR_NO_TASK : (uint32_t)task;
}

static tarn_checkpoint_failure reason_of(const char *name)
{
    uint32_t reason = 0;
    while (reason < TARN_CHECKPOINT_FAILURE_COUNT &&
           strcmp(tarn_checkpoint_failure_name((tarn_checkpoint_failure)reason), name) != 0) {
        reason++;
    }
    return (tarn_checkpoint_failure)reason;
}

static tarn_task_state task_state_of(const char *name)
{
    if (strcmp(name, "RUNNING") == 0) {
        return TARN_TASK_RUNNING;
    }
    return strcmp(name, "FINISHED") == 0 ? TARN_TASK_FINISHED : TARN_TASK_NOT_RUNNING;
}

static tarn_job_end job_end_of(const char *name)
{
    static const char *const names[] = {"FINISHED", "CANCELED", "FAILED", "SUSPENDED"};
    uint32_t end = 0;
    while (end < 3 && strcmp(names[end], name) != 0) {
        end++;
    }
    return (tarn_job_end)end;
}

static void inject(const char *what)
{
    r.fails_id += strcmp(what, "id_counter") == 0 ? 1 : 0;
    r.fails_location += strcmp(what, "location") == 0 ? 1 : 0;
    r.fails_metadata += strcmp(what, "metadata") == 0 ? 1 : 0;
    r.fails_store += strcmp(what, "store") == 0 ? 1 : 0;
    r.fails_trigger += strcmp(what, "trigger_rpc") == 0 ? 1 : 0;
}

static tarn_coordinator_event request_of(const json_t *s, const char *event, uint64_t offset)
{
    tarn_coordinator_event e = {
        .kind = TARN_COORDINATOR_REQUEST, .request_id = (uint64_t)number(s, "request") + offset};
    if (strcmp(event, "trigger_savepoint") == 0) {
        e.kind_wanted = TARN_CHECKPOINT_SAVEPOINT;
    } else if (strcmp(event, "trigger_sync_savepoint") == 0) {
        e.kind_wanted = vectors_is_true(s, "terminate") ? TARN_CHECKPOINT_SAVEPOINT_TERMINATE
                                                        : TARN_CHECKPOINT_SAVEPOINT_SUSPEND;
    } else {
        const bool is_full = strcmp(or_none(vectors_text(s, "type")), "FULL") == 0;
        e.kind_wanted = is_full ? TARN_CHECKPOINT_FULL : TARN_CHECKPOINT_INCREMENTAL;
    }
    return e;
}

static void tell_requests(const json_t *s, const char *event)
{
    int64_t count = 1;
    vectors_integer(s, "repeat", &count);
    for (int64_t i = 0; i < count; i++) {
        if (i > 0) {
            r.now_ms++;
        }
        tell(request_of(s, event, (uint64_t)i));
    }
}

static void clean_oldest(void)
{
    if (r.held_back_count == 0) {
        tell((tarn_coordinator_event){.kind = TARN_COORDINATOR_TICK});
        return;
    }
    const uint64_t id = r.held_back[0];
    r.held_back_count--;
    memmove(r.held_back, r.held_back + 1, r.held_back_count * sizeof r.held_back[0]);
    delete_now(id);
    tell((tarn_coordinator_event){.kind = TARN_COORDINATOR_DISCARDED, .checkpoint_id = id});
}

/* Compares how the call ended: an acknowledgement's answer, a refused start. */
static bool check_outcome(
    const json_t *s, tarn_coordinator_verdict verdict, char *why, size_t why_bytes)
{
    const char *event = vectors_text(s, "event");
    const bool threw = vectors_text(s, "threw") != NULL;
    if (strcmp(event, "start_scheduler") == 0 && threw != (verdict == TARN_VERDICT_REFUSED)) {
        return vectors_differ(why, why_bytes, "the start was %s", threw ? "taken" : "refused");
    }
    if (strcmp(event, "ack") != 0) {
        return true;
    }
    if (threw != r.write_failed) {
        return vectors_differ(why, why_bytes, "the write %s", threw ? "succeeded" : "failed");
    }
    const bool is_known = verdict != TARN_VERDICT_UNKNOWN && verdict != TARN_VERDICT_REFUSED;
    if (!threw && vectors_is_true(s, "returned") != is_known) {
        return vectors_differ(
            why, why_bytes, "the checkpoint was %s", is_known ? "known" : "unknown");
    }
    return true;
}

static tarn_coordinator_event event_of(const json_t *s, const char *event)
{
    tarn_coordinator_event e = {
        .kind = TARN_COORDINATOR_TICK,
        .task = task_of(s),
        .attempt = (uint32_t)number(s, "attempt"),
        .checkpoint_id = (uint64_t)number(s, "checkpoint"),
    };
    if (strcmp(event, "start_scheduler") == 0) {
        e.kind = TARN_COORDINATOR_START;
        e.delay_ms = (uint64_t)number(s, "init_delay_ms");
    } else if (strcmp(event, "stop_scheduler") == 0) {
        e.kind = TARN_COORDINATOR_STOP;
    } else if (strcmp(event, "backlog") == 0) {
        e.kind = TARN_COORDINATOR_BACKLOG;
        e.is_on = vectors_is_true(s, "on");
    } else if (strcmp(event, "task_state") == 0) {
        e.kind = TARN_COORDINATOR_TASK_STATE;
        e.task_state = task_state_of(or_none(vectors_text(s, "new_state")));
    } else if (strcmp(event, "task_restarted") == 0) {
        e.kind = TARN_COORDINATOR_TASK_RESTARTED;
    } else if (strcmp(event, "task_failed") == 0) {
        e.kind = TARN_COORDINATOR_TASK_FAILED;
    } else if (strcmp(event, "job_failover") == 0) {
        e.kind = TARN_COORDINATOR_JOB_FAILOVER;
    } else if (strcmp(event, "shutdown") == 0) {
        e.kind = TARN_COORDINATOR_SHUTDOWN;
        e.job_end = job_end_of(or_none(vectors_text(s, "job_status")));
    } else if (strcmp(event, "ack") == 0) {
        e.kind = TARN_COORDINATOR_ACK;
    } else if (strcmp(event, "decline") == 0) {
        e.kind = TARN_COORDINATOR_DECLINE;
        e.reason = reason_of(or_none(vectors_text(s, "reason")));
    }
    return e;
}

static bool run_event(const json_t *s, char *why, size_t why_bytes)
{
    const char *event = vectors_text(s, "event");
    tarn_coordinator_verdict verdict = TARN_VERDICT_TAKEN;
    if (event == NULL) {
        return vectors_differ(why, why_bytes, "the step has no event");
    }
    if (strncmp(event, "trigger_", strlen("trigger_")) == 0) {
        tell_requests(s, event);
    } else if (strcmp(event, "clean_done") == 0) {
        clean_oldest();
    } else {
        if (strcmp(event, "inject") == 0) {
            inject(or_none(vectors_text(s, "fail")));
        }
        const tarn_coordinator_event e = event_of(s, event);
        if (e.kind == TARN_COORDINATOR_TICK && strcmp(event, "tick") != 0 &&
            strcmp(event, "inject") != 0) {
            return vectors_differ(why, why_bytes, "the event %s is not known", event);
        }
        verdict = tell(e);
    }
    return check_outcome(s, verdict, why, why_bytes);
}

/* Comparison */

static bool check_effects(const json_t *s, char *why, size_t why_bytes)
{
    size_t index;
    json_t *effect;
    json_array_foreach(json_object_get(s, "effects"), index, effect)
    {
        add_theirs(effect);
    }
    sort_deletions(&r.ours);
    sort_deletions(&r.theirs);
    for (size_t i = 0; i < r.ours.count || i < r.theirs.count; i++) {
        const char *ours = i < r.ours.count ? r.ours.text[i] : "nothing";
        const char *theirs = i < r.theirs.count ? r.theirs.text[i] : "nothing";
        if (strcmp(ours, theirs) != 0) {
            return vectors_differ(
                why, why_bytes, "effect %zu: \"%s\" instead of \"%s\"", i, ours, theirs);
        }
    }
    return true;
}

static bool check_list(
    const json_t *state,
    const char *name,
    const uint64_t *ours,
    uint32_t count,
    char *why,
    size_t why_bytes)
{
    const json_t *theirs = json_object_get(state, name);
    if (json_array_size(theirs) != count) {
        return vectors_differ(
            why, why_bytes, "%s: %u instead of %zu", name, count, json_array_size(theirs));
    }
    for (uint32_t i = 0; i < count; i++) {
        const json_int_t value = json_integer_value(json_array_get(theirs, i));
        if (value != (json_int_t)ours[i]) {
            return vectors_differ(
                why,
                why_bytes,
                "%s: %" PRIu64 " instead of %" PRId64,
                name,
                ours[i],
                (int64_t)value);
        }
    }
    return true;
}

static bool check_state(const json_t *state, char *why, size_t why_bytes)
{
    uint64_t pending[PENDING_MAX];
    uint64_t deadlines[PENDING_MAX];
    uint64_t stored[PENDING_MAX];
    tarn_coordinator_figures figures;
    tarn_coordinator_read_figures(r.coordinator, &figures);
    const uint32_t pending_count =
        tarn_coordinator_list_pending(r.coordinator, pending, deadlines, PENDING_MAX);
    const uint32_t stored_count = tarn_coordinator_list_stored(r.coordinator, stored, PENDING_MAX);
    const bool is_periodic = figures.next_periodic_ms != TARN_COORDINATOR_NEVER;
    const json_t *next = json_object_get(state, "next_trigger_ms");
    const int64_t next_ms = json_is_null(next) ? -1 : (int64_t)json_integer_value(next);
    const int64_t our_next_ms = is_periodic ? (int64_t)figures.next_periodic_ms : -1;
    if (our_next_ms != next_ms) {
        return vectors_differ(
            why,
            why_bytes,
            "next_trigger_ms: %" PRId64 " instead of %" PRId64,
            our_next_ms,
            next_ms);
    }
    return check_list(state, "pending", pending, pending_count, why, why_bytes) &&
           check_list(state, "timeouts_ms", deadlines, pending_count, why, why_bytes) &&
           check_list(state, "stored", stored, stored_count, why, why_bytes) &&
           vectors_check_integer(state, "queued", figures.queued_count, why, why_bytes) &&
           vectors_check_integer(state, "cleaning", figures.cleaning_count, why, why_bytes) &&
           vectors_check_integer(state, "failures", figures.consecutive_failures, why, why_bytes);
}

static bool run_step(const json_t *s, char *why, size_t why_bytes)
{
    int64_t t_ms = 0;
    if (!vectors_integer(s, "t_ms", &t_ms)) {
        return vectors_differ(why, why_bytes, "the step has no time");
    }
    r.now_ms = (uint64_t)t_ms;
    r.ours.count = 0;
    r.theirs.count = 0;
    r.write_failed = false;
    if (!run_event(s, why, why_bytes) || !check_effects(s, why, why_bytes) ||
        !check_state(json_object_get(s, "state"), why, why_bytes)) {
        return false;
    }
    if (r.is_overflown || !tarn__coordinator_is_valid(r.coordinator)) {
        return vectors_differ(why, why_bytes, "the coordinator is not valid any more");
    }
    return true;
}

/* The case */

static tarn_checkpoint_retention retention_of(const char *name)
{
    if (strcmp(name, "RETAIN_ON_CANCELLATION") == 0) {
        return TARN_CHECKPOINT_RETAIN_ON_CANCELLATION;
    }
    return strcmp(name, "RETAIN_ON_FAILURE") == 0 ? TARN_CHECKPOINT_RETAIN_ON_FAILURE
                                                  : TARN_CHECKPOINT_RETAIN_NEVER;
}

static uint64_t interval_of(const json_t *config, const char *name)
{
    const int64_t interval_ms = number(config, name);
    return interval_ms <= 0 ? TARN_COORDINATOR_NEVER : (uint64_t)interval_ms;
}

static tarn_status open_coordinator(const json_t *config, tarn_error *error)
{
    const uint32_t sources = (uint32_t)number(config, "sources");
    const uint32_t others = (uint32_t)number(config, "tasks") - sources;
    const uint32_t parallelism[] = {sources, others};
    const tarn_coordinator_edge edge = {.from = 0, .to = 1};
    const int64_t tolerable = number(config, "tolerable_failures");
    tarn_coordinator_options options = TARN_COORDINATOR_OPTIONS_INIT;
    options.parallelism = parallelism;
    options.operator_count = others > 0 ? 2 : 1;
    options.edges = &edge;
    options.edge_count = others > 0 ? 1 : 0;
    options.interval_ms = interval_of(config, "interval_ms");
    options.backlog_interval_ms = interval_of(config, "interval_during_backlog_ms");
    options.min_pause_ms = (uint64_t)number(config, "min_pause_ms");
    options.timeout_ms = (uint64_t)number(config, "timeout_ms");
    options.max_concurrent = (uint32_t)number(config, "max_concurrent");
    options.tolerable_failures = tolerable < 0 ? TARN_COORDINATOR_UNLIMITED : (uint32_t)tolerable;
    options.is_at_least_once = !vectors_is_true(config, "exactly_once");
    options.is_unaligned = vectors_is_true(config, "unaligned");
    options.retained_count = (uint32_t)number(config, "retained");
    options.retention = retention_of(or_none(vectors_text(config, "retention")));
    options.refuses_finished_tasks = !vectors_is_true(config, "checkpoints_after_tasks_finish");
    options.pending_max = PENDING_MAX;
    return tarn_coordinator_open(&options, &r.coordinator, error);
}

static bool run_steps(const json_t *vector_case, char *why, size_t why_bytes)
{
    size_t index;
    json_t *s;
    const json_t *steps = vectors_steps(vector_case, "steps", why, why_bytes);
    if (steps == NULL) {
        return false;
    }
    json_array_foreach(steps, index, s)
    {
        vectors_note_compared(1);
        char reason[512];
        if (!run_step(s, reason, sizeof reason)) {
            return vectors_differ(
                why, why_bytes, "step %zu (%s): %s", index, vectors_text(s, "event"), reason);
        }
    }
    return true;
}

bool vectors_coordinator_traces(const json_t *vector_case, char *why, size_t why_bytes)
{
    const json_t *config = json_object_get(vector_case, "config");
    const bool is_refused = vectors_text(vector_case, "config_error") != NULL;
    memset(&r, 0, sizeof r);
    r.is_cleaning_slow = vectors_is_true(config, "slow_cleaning");
    tarn_error error;
    const tarn_status status = open_coordinator(config, &error);
    if (status != TARN_OK) {
        const bool is_expected = is_refused && status == TARN_INVALID_ARGUMENT;
        return is_expected || vectors_differ(why, why_bytes, "%s", error.message);
    }
    const bool agrees = is_refused
                            ? vectors_differ(why, why_bytes, "the configuration was accepted")
                            : run_steps(vector_case, why, why_bytes);
    tarn_coordinator_close(r.coordinator);
    return agrees;
}
