/* effects.c - what the coordinator asks for, done; and the thread that commits metadata. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "loop.h"

void effects_answer(loop *l, tarn_coordinator_event event)
{
    check_system(l->event_count < EVENTS_MAX, "event_loop: too many events");
    l->events[l->event_count++] = event;
}

static void answer_about(loop *l, tarn_coordinator_event_kind kind, uint64_t id)
{
    effects_answer(l, (tarn_coordinator_event){.kind = kind, .checkpoint_id = id});
}

pending *effects_find(loop *l, uint64_t id)
{
    for (pending *p = l->pending; p < l->pending + PENDING_MAX; p++) {
        if (p->id == id) {
            return p;
        }
    }
    return NULL;
}

static tarn_status begin_at(
    loop *l, const tarn_coordinator_effect *effect, pending *p, tarn_error *error)
{
    if (effect->checkpoint_kind == TARN_CHECKPOINT_INCREMENTAL ||
        effect->checkpoint_kind == TARN_CHECKPOINT_FULL) {
        return tarn_checkpoint_begin(l->store, effect->checkpoint_id, &p->parts, error);
    }
    tarn_savepoint_options options = TARN_SAVEPOINT_OPTIONS_INIT;
    options.env = l->env;
    options.address = l->directory;
    options.job = job_name;
    options.id = effect->checkpoint_id;
    return tarn_savepoint_begin(&options, &p->parts, error);
}

static void begin(loop *l, const tarn_coordinator_effect *effect)
{
    pending *p = effects_find(l, 0);
    tarn_error error = {.message = "too many are under way"};
    if (p == NULL || begin_at(l, effect, p, &error) != TARN_OK) {
        printf("checkpoint %" PRIu64 ": %s\n", effect->checkpoint_id, error.message);
        answer_about(l, TARN_COORDINATOR_NOT_BEGUN, effect->checkpoint_id);
        l->events[l->event_count - 1].is_id_spent = true;
        return;
    }
    p->id = effect->checkpoint_id;
    snprintf(p->path, sizeof p->path, "%s", tarn_savepoint_path(p->parts));
    answer_about(l, TARN_COORDINATOR_BEGUN, p->id);
}

static void trigger(loop *l, const tarn_coordinator_effect *effect)
{
    const order barrier = {
        .is_barrier = true,
        .is_last = effect->checkpoint_kind == TARN_CHECKPOINT_SAVEPOINT_TERMINATE,
        .checkpoint_id = effect->checkpoint_id,
    };
    for (uint32_t i = 0; i < effect->task_count; i++) {
        task_tell(&l->tasks[effect->tasks[i]], barrier);
    }
}

/* From here on the writer has the parts: an acknowledgement that is repeated finds none. */
static void write_metadata(loop *l, uint64_t id)
{
    pending *p = effects_find(l, id);
    if (p == NULL) {
        answer_about(l, TARN_COORDINATOR_WRITTEN, id);
        l->events[l->event_count - 1].write_outcome = TARN_WRITE_FAILED;
        return;
    }
    const write_order what = {.id = id, .parts = p->parts};
    p->parts = NULL;
    l->write_count++;
    check_system(write(l->writes[1], &what, sizeof what) == sizeof what, "event_loop: writes");
}

static void complete(loop *l, const tarn_coordinator_effect *effect)
{
    pending *p = effects_find(l, effect->checkpoint_id);
    l->has_stopped = effect->checkpoint_kind == TARN_CHECKPOINT_SAVEPOINT_TERMINATE;
    if (l->has_stopped) {
        printf("stopped with the savepoint %s\n", p->path);
    } else {
        printf("checkpoint %" PRIu64 " is complete\n", p->id);
    }
    p->id = 0;
    l->from = NULL;
    l->stop = l->stop == STOP_PUT_OFF ? STOP_DUE : l->stop;
    if (l->crash_at > 0 && effect->checkpoint_id >= l->crash_at) {
        fflush(stdout);
        kill(getpid(), SIGKILL);
    }
    if (l->stop_at > 0 && effect->checkpoint_id >= l->stop_at) {
        l->stop_at = 0;
        kill(getpid(), SIGTERM);
    }
}

/* Nothing has stopped: periodic checkpoints go on, until the stop is asked for again. */
static void go_on(loop *l, const tarn_coordinator_effect *effect)
{
    if (effect->checkpoint_kind == TARN_CHECKPOINT_SAVEPOINT_TERMINATE) {
        l->stop = STOP_PUT_OFF;
        effects_answer(
            l, (tarn_coordinator_event){.kind = TARN_COORDINATOR_START, .delay_ms = INTERVAL_MS});
    }
}

static void give_up(loop *l, const tarn_coordinator_effect *effect)
{
    const bool is_stop = effect->checkpoint_kind == TARN_CHECKPOINT_SAVEPOINT_TERMINATE;
    printf(
        "%s %" PRIu64 " is given up: %s\n",
        is_stop ? "savepoint" : "checkpoint",
        effect->checkpoint_id,
        tarn_checkpoint_failure_sentence(effect->reason));
    go_on(l, effect);
}

/* A completed one that was subsumed is gone: the store keeps as many as the coordinator does. */
static void discard(loop *l, const tarn_coordinator_effect *effect)
{
    pending *p = effects_find(l, effect->checkpoint_id);
    if (p != NULL && !effect->is_completed) {
        tarn_checkpoint_abandon(p->parts);
        p->id = 0;
    }
    if (effect->is_awaited) {
        answer_about(l, TARN_COORDINATOR_DISCARDED, effect->checkpoint_id);
    }
}

void effects_perform(loop *l, const tarn_coordinator_effect *effect)
{
    switch (effect->kind) {
    case TARN_EFFECT_BEGIN:
        begin(l, effect);
        break;
    case TARN_EFFECT_TRIGGER:
        trigger(l, effect);
        break;
    case TARN_EFFECT_WRITE:
        write_metadata(l, effect->checkpoint_id);
        break;
    case TARN_EFFECT_COMPLETED:
        complete(l, effect);
        break;
    case TARN_EFFECT_ABORTED:
        give_up(l, effect);
        break;
    case TARN_EFFECT_REJECTED:
        if (!effect->is_periodic) { /* Of those the next one comes by itself. */
            printf("refused: %s\n", tarn_checkpoint_failure_sentence(effect->reason));
        }
        go_on(l, effect);
        break;
    case TARN_EFFECT_NOTIFY_ABORTED:
        for (uint32_t i = 0; i < effect->task_count; i++) {
            task_tell(&l->tasks[effect->tasks[i]], (order){.checkpoint_id = effect->checkpoint_id});
        }
        break;
    case TARN_EFFECT_DISCARD:
        discard(l, effect);
        break;
    case TARN_EFFECT_FAIL_JOB: /* Restart it: it goes on from the latest checkpoint. */
        printf("the job fails: %s\n", tarn_checkpoint_failure_sentence(effect->reason));
        l->has_failed = true;
        break;
    case TARN_EFFECT_NOTIFY_COMPLETE: /* Tasks that wrote elsewhere commit it now. */
    case TARN_EFFECT_SUBSUMED:
    case TARN_EFFECT_DISCARD_STATE: /* Was never more than bytes, and these are freed. */
        break;
    }
}

void *effects_write(void *context)
{
    loop *l = context;
    write_order what;
    while (read(l->writes[0], &what, sizeof what) == sizeof what) {
        tarn_error error;
        bool is_in_doubt = false;
        mail letter = {.part = TARN_BUFFER_INIT};
        letter.event.kind = TARN_COORDINATOR_WRITTEN;
        letter.event.checkpoint_id = what.id;
        letter.event.write_outcome = TARN_WRITE_DURABLE;
        if (tarn_checkpoint_commit_or_doubt(what.parts, NULL, &is_in_doubt, &error) != TARN_OK) {
            fprintf(stderr, "event_loop: %s\n", error.message);
            letter.event.write_outcome = is_in_doubt ? TARN_WRITE_UNKNOWN : TARN_WRITE_FAILED;
        }
        check_system(
            write(l->mail[1], &letter, sizeof letter) == sizeof letter, "event_loop: mail");
    }
    return NULL;
}
