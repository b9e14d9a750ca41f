/*
 * event_loop - the checkpoint coordinator driven by hand, from an engine's own event loop.
 *
 * Shows: options, stepping, performing effects, answering them, sleeping until the next deadline.
 * The engine is a toy: three tasks that acknowledge after a while, a storage that takes its time,
 * and a clock that jumps from one thing to the next, so that the program ends at once.
 *
 *     event_loop
 *
 * Takes a checkpoint every second, loses one to a task that does not answer, and stops the job
 * with a savepoint after six seconds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/coordinator.h>

enum { TASK_COUNT = 3, EVENTS_MAX = 64, STOP_AT_MS = 6500, SILENT_TASK = 2, SILENT_CHECKPOINT = 2 };

/* Events that will happen, each at its now_ms. A real loop gets them from sockets and threads. */
typedef struct engine {
    tarn_coordinator *coordinator;
    tarn_coordinator_event events[EVENTS_MAX];
    uint32_t event_count;
    uint64_t now_ms;
    bool has_stopped;
} engine;

static void happens(engine *e, uint64_t delay_ms, tarn_coordinator_event event)
{
    if (e->event_count == EVENTS_MAX) {
        fprintf(stderr, "event_loop: too many events\n");
        exit(EXIT_FAILURE);
    }
    event.now_ms = e->now_ms + delay_ms;
    e->events[e->event_count++] = event;
}

/* A barrier travels from the sources to all tasks; each stores its snapshot and says so. */
static void send_barriers(engine *e, const tarn_coordinator_effect *effect)
{
    for (uint32_t task = 0; task < TASK_COUNT; task++) {
        const bool is_silent = task == SILENT_TASK && effect->checkpoint_id == SILENT_CHECKPOINT;
        if (!is_silent) {
            happens(
                e,
                20 + 10 * task,
                (tarn_coordinator_event){
                    .kind = TARN_COORDINATOR_ACK,
                    .checkpoint_id = effect->checkpoint_id,
                    .task = task,
                });
        }
    }
}

static void perform(engine *e, const tarn_coordinator_effect *effect)
{
    const uint64_t id = effect->checkpoint_id;
    switch (effect->kind) {
    case TARN_EFFECT_BEGIN: /* Make its directory. */
        happens(
            e, 1, (tarn_coordinator_event){.kind = TARN_COORDINATOR_BEGUN, .checkpoint_id = id});
        break;
    case TARN_EFFECT_TRIGGER:
        printf("%5" PRIu64 " ms: checkpoint %" PRIu64 " starts\n", e->now_ms, id);
        send_barriers(e, effect);
        break;
    case TARN_EFFECT_WRITE: /* Write metadata, durably; a failure is answered, too. */
        happens(
            e,
            5,
            (tarn_coordinator_event){
                .kind = TARN_COORDINATOR_WRITTEN,
                .checkpoint_id = id,
                .write_outcome = TARN_WRITE_DURABLE,
            });
        break;
    case TARN_EFFECT_COMPLETED:
        printf("%5" PRIu64 " ms: checkpoint %" PRIu64 " is durable\n", e->now_ms, id);
        e->has_stopped = effect->checkpoint_kind == TARN_CHECKPOINT_SAVEPOINT_TERMINATE;
        break;
    case TARN_EFFECT_ABORTED:
    case TARN_EFFECT_REJECTED:
        printf(
            "%5" PRIu64 " ms: %s\n", e->now_ms, tarn_checkpoint_failure_sentence(effect->reason));
        break;
    case TARN_EFFECT_DISCARD: /* Delete its files. */
        printf("%5" PRIu64 " ms: checkpoint %" PRIu64 " is deleted\n", e->now_ms, id);
        if (effect->is_awaited) {
            happens(
                e,
                2,
                (tarn_coordinator_event){.kind = TARN_COORDINATOR_DISCARDED, .checkpoint_id = id});
        }
        break;
    case TARN_EFFECT_NOTIFY_COMPLETE: /* Tell tasks: commit what waited for it. */
    case TARN_EFFECT_NOTIFY_ABORTED:  /* Tell tasks: forget it. */
    case TARN_EFFECT_SUBSUMED:
    case TARN_EFFECT_DISCARD_STATE:
        break;
    case TARN_EFFECT_FAIL_JOB:
        printf("%5" PRIu64 " ms: the job fails\n", e->now_ms);
        e->has_stopped = true;
        break;
    }
}

/* Waits for what comes first: an event, or the time when the coordinator wants to be called. */
static tarn_coordinator_event wait_for_event(engine *e)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i < e->event_count; i++) {
        first = e->events[i].now_ms < e->events[first].now_ms ? i : first;
    }
    const uint64_t due_ms = tarn_coordinator_next_ms(e->coordinator);
    if (e->event_count == 0 || due_ms < e->events[first].now_ms) {
        return (tarn_coordinator_event){.kind = TARN_COORDINATOR_TICK, .now_ms = due_ms};
    }
    const tarn_coordinator_event event = e->events[first];
    e->event_count--;
    memmove(
        e->events + first, e->events + first + 1, (e->event_count - first) * sizeof e->events[0]);
    return event;
}

static void run(engine *e)
{
    happens(e, 0, (tarn_coordinator_event){.kind = TARN_COORDINATOR_START, .delay_ms = 1000});
    /* Nothing else is to take effect once the job is to stop. */
    happens(e, STOP_AT_MS, (tarn_coordinator_event){.kind = TARN_COORDINATOR_STOP});
    happens(
        e,
        STOP_AT_MS,
        (tarn_coordinator_event){
            .kind = TARN_COORDINATOR_REQUEST,
            .kind_wanted = TARN_CHECKPOINT_SAVEPOINT_TERMINATE,
            .request_id = 1,
        });
    while (!e->has_stopped) {
        const tarn_coordinator_event event = wait_for_event(e);
        e->now_ms = event.now_ms;
        const tarn_coordinator_effects effects = tarn_coordinator_step(e->coordinator, &event);
        for (uint32_t i = 0; i < effects.count; i++) {
            perform(e, &effects.items[i]);
        }
    }
}

int main(void)
{
    const uint32_t parallelism[] = {2, 1}; /* Tasks 0 and 1 are sources, task 2 a sink. */
    const tarn_coordinator_edge edge = {.from = 0, .to = 1};
    tarn_coordinator_options options = TARN_COORDINATOR_OPTIONS_INIT;
    options.parallelism = parallelism;
    options.operator_count = 2;
    options.edges = &edge;
    options.edge_count = 1;
    options.interval_ms = 1000;
    options.timeout_ms = 500;
    options.tolerable_failures = 1;

    tarn_error error;
    engine e = {.coordinator = NULL};
    if (tarn_coordinator_open(&options, &e.coordinator, &error) != TARN_OK) {
        fprintf(stderr, "event_loop: %s\n", error.message);
        return EXIT_FAILURE;
    }
    run(&e);
    tarn_coordinator_figures figures;
    tarn_coordinator_read_figures(e.coordinator, &figures);
    printf(
        "%" PRIu64 " completed, %" PRIu64 " aborted, longest %" PRIu64 " ms\n",
        figures.completed_count,
        figures.aborted_count,
        figures.longest_duration_ms);
    tarn_coordinator_close(e.coordinator);
    return EXIT_SUCCESS;
}
