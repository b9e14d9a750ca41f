#include "checkpoints.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "flights/clock.h"
#include "flights/failure.h"

static const char job_name[] = "buffering_sink";

static uint64_t now_ms(void)
{
    return clock_now_ns() / NS_PER_MS;
}

/* ---- settings ---------------------------------------------------------------------------- */

tarn_status checkpoints_configure(checkpoints *c, const tarn_config *config, tarn_error *error)
{
    c->settings = (tarn_checkpoint_settings)TARN_CHECKPOINT_SETTINGS_INIT;
    TRY(tarn_checkpoint_settings_from_config(config, &c->settings, error));
    c->retained_count = 1;
    TRY(tarn_config_get_int(
        config, "execution.checkpointing.num-retained", &c->retained_count, NULL, error));
    c->retained_count = c->retained_count > 0 ? c->retained_count : 1;
    if (c->settings.max_concurrent > IN_FLIGHT_MAX) {
        return failure_set(
            error,
            TARN_INVALID_ARGUMENT,
            0,
            "%" PRId32 " checkpoints may be in flight; this program can keep %d",
            c->settings.max_concurrent,
            IN_FLIGHT_MAX);
    }
    return TARN_OK;
}

void checkpoints_show(const checkpoints *c)
{
    const tarn_checkpoint_settings *s = &c->settings;
    if (s->is_enabled) {
        printf("interval             %" PRId64 " ms\n", s->interval_ms);
    } else {
        printf("interval             none: no periodic checkpoints\n");
    }
    printf("mode                 %s\n", s->is_exactly_once ? "exactly once" : "at least once");
    printf("min pause            %" PRId64 " ms\n", s->min_pause_ms);
    printf("timeout              %" PRId64 " ms\n", s->timeout_ms);
    printf("max concurrent       %" PRId32 "\n", s->max_concurrent);
    printf("tolerable failures   %" PRId32 "\n", s->tolerable_failures);
    printf("externalized         %s\n", tarn_checkpoint_retention_name(s->retention));
    printf("retained             %" PRId32 "\n", c->retained_count);
    printf("unaligned            %s\n", s->is_unaligned ? "yes" : "no");
    printf("aligned timeout      %" PRId64 " ms\n", s->aligned_timeout_ms);
}

/* ---- the writer -------------------------------------------------------------------------- */

static void *write_all(void *context)
{
    checkpoints *c = context;
    pthread_mutex_lock(&c->mutex);
    for (;;) {
        while (c->done_count == c->write_count && !c->is_closing) {
            pthread_cond_wait(&c->changed, &c->mutex);
        }
        if (c->done_count == c->write_count) {
            break;
        }
        write_job job = c->writes[c->done_count];
        pthread_mutex_unlock(&c->mutex);
        job.status = tarn_checkpoint_commit(job.pending, &job.summary, &job.error);
        pthread_mutex_lock(&c->mutex);
        c->writes[c->done_count++] = job;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

static void submit_write(checkpoints *c, uint64_t id, tarn_pending_checkpoint *pending)
{
    pthread_mutex_lock(&c->mutex);
    assert(c->write_count < IN_FLIGHT_MAX); /* No more are begun. */
    c->writes[c->write_count++] = (write_job){.id = id, .pending = pending};
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
}

/* ---- events and effects ------------------------------------------------------------------ */

static tarn_coordinator_event *push(checkpoints *c, tarn_coordinator_event_kind kind, uint64_t id)
{
    assert(c->event_count < EVENTS_MAX);
    tarn_coordinator_event *event = &c->events[(c->event_first + c->event_count++) % EVENTS_MAX];
    *event = (tarn_coordinator_event){.kind = kind, .now_ms = now_ms(), .checkpoint_id = id};
    return event;
}

/* Turns what the writer has done into events. */
static void collect_writes(checkpoints *c)
{
    pthread_mutex_lock(&c->mutex);
    const uint32_t done_count = c->done_count;
    for (uint32_t i = 0; i < done_count; i++) {
        const write_job *job = &c->writes[i];
        const bool is_durable = job->status == TARN_OK;
        push(c, TARN_COORDINATOR_WRITTEN, job->id)->write_outcome =
            is_durable ? TARN_WRITE_DURABLE : TARN_WRITE_FAILED;
        if (!is_durable) {
            fprintf(
                stderr,
                "buffering_sink: checkpoint %" PRIu64 ": %s\n",
                job->id,
                job->error.message);
        } else if (!c->is_quiet) {
            printf(
                "checkpoint %" PRIu64 " complete: %" PRIu64 " bytes of state, %" PRIu64 " ms\n",
                job->id,
                job->summary.total_bytes,
                job->summary.duration_ms);
        }
    }
    memmove(c->writes, c->writes + done_count, (c->write_count - done_count) * sizeof *c->writes);
    c->write_count -= done_count;
    c->done_count = 0;
    pthread_mutex_unlock(&c->mutex);
}

/* The place of a checkpoint that was begun; id 0: a free one. IN_FLIGHT_MAX: there is none. */
static uint32_t find(const checkpoints *c, uint64_t id)
{
    uint32_t i = 0;
    while (i < IN_FLIGHT_MAX && (c->begun[i].pending == NULL ? id != 0 : c->begun[i].id != id)) {
        i++;
    }
    return i;
}

static void begin(checkpoints *c, uint64_t id)
{
    const uint32_t place = find(c, 0);
    tarn_error error;
    if (place == IN_FLIGHT_MAX ||
        tarn_checkpoint_begin(c->store, id, &c->begun[place].pending, &error) != TARN_OK) {
        fprintf(
            stderr,
            "buffering_sink: checkpoint %" PRIu64 ": %s\n",
            id,
            place == IN_FLIGHT_MAX ? "too many are in flight" : error.message);
        push(c, TARN_COORDINATOR_NOT_BEGUN, id)->is_id_spent = true;
        return;
    }
    c->begun[place].id = id;
    push(c, TARN_COORDINATOR_BEGUN, id);
}

static void trigger(checkpoints *c, uint64_t id, bool is_unaligned)
{
    const uint32_t place = find(c, id);
    tarn_error error;
    if (place == IN_FLIGHT_MAX) {
        push(c, TARN_COORDINATOR_NOT_TRIGGERED, id);
        return;
    }
    if (c->barrier(c->job, id, c->begun[place].pending, is_unaligned, &error) != TARN_OK) {
        fprintf(stderr, "buffering_sink: checkpoint %" PRIu64 ": %s\n", id, error.message);
        push(c, TARN_COORDINATOR_DECLINE, id)->reason = TARN_FAILURE_CHECKPOINT_ASYNC_EXCEPTION;
        return;
    }
    for (uint32_t task = 0; task < c->task_count; task++) {
        push(c, TARN_COORDINATOR_ACK, id)->task = task;
    }
}

static void start_write(checkpoints *c, uint64_t id)
{
    const uint32_t place = find(c, id);
    if (place == IN_FLIGHT_MAX) {
        push(c, TARN_COORDINATOR_WRITTEN, id)->write_outcome = TARN_WRITE_FAILED;
        return;
    }
    submit_write(c, id, c->begun[place].pending); /* Committing frees it. */
    c->begun[place].pending = NULL;
}

/*
 * Deletes a checkpoint. An operator without keyed state has nothing in its directory but
 * _metadata, and without that it is no checkpoint. One that was subsumed is gone already: the store
 * keeps as many as the coordinator does.
 */
static void discard(checkpoints *c, const tarn_coordinator_effect *effect)
{
    const uint64_t id = effect->checkpoint_id;
    const uint32_t place = find(c, id);
    if (place < IN_FLIGHT_MAX) {
        tarn_checkpoint_abandon(c->begun[place].pending);
        c->begun[place].pending = NULL;
    } else if (effect->is_completed) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/chk-%" PRIu64 "/_metadata", c->job_directory, id);
        if (unlink(path) == 0) {
            *strrchr(path, '/') = '\0';
            if (rmdir(path) != 0) {
                fprintf(stderr, "buffering_sink: cannot delete %s: %s\n", path, strerror(errno));
            }
        }
    }
    if (effect->is_awaited) {
        push(c, TARN_COORDINATOR_DISCARDED, id);
    }
}

static tarn_status perform(checkpoints *c, const tarn_coordinator_effect *effect, tarn_error *error)
{
    switch (effect->kind) {
    case TARN_EFFECT_BEGIN:
        begin(c, effect->checkpoint_id);
        break;
    case TARN_EFFECT_TRIGGER:
        /* One queue in front of each sink: aligning takes no time, so TIMED never turns. */
        trigger(c, effect->checkpoint_id, effect->alignment == TARN_ALIGNMENT_UNALIGNED);
        break;
    case TARN_EFFECT_WRITE:
        start_write(c, effect->checkpoint_id);
        break;
    case TARN_EFFECT_DISCARD:
        discard(c, effect);
        break;
    case TARN_EFFECT_ABORTED:
        if (effect->reason != TARN_FAILURE_CHECKPOINT_COORDINATOR_SHUTDOWN) {
            fprintf(
                stderr,
                "buffering_sink: checkpoint %" PRIu64 " given up: %s\n",
                effect->checkpoint_id,
                tarn_checkpoint_failure_sentence(effect->reason));
        }
        break;
    case TARN_EFFECT_FAIL_JOB:
        return failure_set(
            error,
            TARN_ABANDONED,
            0,
            "more checkpoints failed than are tolerable; the last one because %s",
            tarn_checkpoint_failure_sentence(effect->reason));
    case TARN_EFFECT_COMPLETED: /* Nobody waits for it: the sinks wrote before the barrier. */
    case TARN_EFFECT_NOTIFY_COMPLETE:
    case TARN_EFFECT_NOTIFY_ABORTED:
    case TARN_EFFECT_REJECTED:
    case TARN_EFFECT_SUBSUMED:
    case TARN_EFFECT_DISCARD_STATE: /* Goes with the pending checkpoint. */
        break;
    }
    return TARN_OK;
}

/* Gives the coordinator all events, and those that its effects lead to. */
static tarn_status handle_events(checkpoints *c, tarn_error *error)
{
    tarn_status status = TARN_OK;
    while (c->event_count > 0) {
        const tarn_coordinator_event event = c->events[c->event_first];
        c->event_first = (c->event_first + 1) % EVENTS_MAX;
        c->event_count--;
        const tarn_coordinator_effects effects = tarn_coordinator_step(c->coordinator, &event);
        for (uint32_t i = 0; i < effects.count; i++) {
            const tarn_status performed = perform(c, &effects.items[i], error);
            status = status == TARN_OK ? performed : status;
        }
    }
    return status;
}

tarn_status checkpoints_step(checkpoints *c, tarn_error *error)
{
    collect_writes(c);
    if (now_ms() >= tarn_coordinator_next_ms(c->coordinator)) {
        push(c, TARN_COORDINATOR_TICK, 0);
    }
    return handle_events(c, error);
}

void checkpoints_wait(checkpoints *c, uint64_t deadline_ns)
{
    const struct timespec deadline = {
        .tv_sec = (time_t)(deadline_ns / NS_PER_S),
        .tv_nsec = (long)(deadline_ns % NS_PER_S),
    };
    pthread_mutex_lock(&c->mutex);
    if (c->done_count == 0) {
        (void)pthread_cond_timedwait(&c->changed, &c->mutex, &deadline);
    }
    pthread_mutex_unlock(&c->mutex);
}

/* ---- life -------------------------------------------------------------------------------- */

/* Takes a checkpoint that an earlier run of the job has left. */
static bool take_restored(const tarn_checkpoint_entry *entry, void *context)
{
    checkpoints *c = context;
    if (entry->status != TARN_OK) {
        return true;
    }
    if (c->restored_count == RESTORED_MAX) {
        c->restored_count--;
        memmove(c->restored, c->restored + 1, c->restored_count * sizeof *c->restored);
    }
    c->restored[c->restored_count++] =
        (tarn_coordinator_restored){.id = entry->summary.id, .is_owned = true};
    return true;
}

static tarn_status open_coordinator(checkpoints *c, tarn_error *error)
{
    const uint32_t parallelism[] = {1, c->task_count - 1};
    const tarn_coordinator_edge edge = {.from = 0, .to = 1};
    tarn_coordinator_options options = TARN_COORDINATOR_OPTIONS_INIT;
    tarn_coordinator_options_apply(&options, &c->settings);
    options.parallelism = parallelism;
    options.operator_count = 2;
    options.edges = &edge;
    options.edge_count = 1;
    options.retained_count = (uint32_t)c->retained_count;
    options.next_checkpoint_id = tarn_checkpoint_store_next_id(c->store);
    options.pending_max = IN_FLIGHT_MAX;
    options.restored = c->restored;
    options.restored_count = c->restored_count;
    return tarn_coordinator_open(&options, &c->coordinator, error);
}

static tarn_status start_writer(checkpoints *c, tarn_error *error)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&c->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&c->mutex, NULL);
    const int code = pthread_create(&c->writer, NULL, write_all, c);
    if (code != 0) {
        return failure_of_system(error, code, "cannot start a thread");
    }
    c->has_writer = true;
    return TARN_OK;
}

tarn_status checkpoints_open(
    checkpoints *c,
    tarn_env *env,
    const char *directory,
    const char *job_directory,
    uint32_t task_count,
    bool is_continued,
    tarn_error *error)
{
    c->job_directory = job_directory;
    c->task_count = task_count;
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = env;
    options.address = directory;
    options.job = job_name;
    options.retained_count = (uint32_t)c->retained_count;
    TRY(tarn_checkpoint_store_open(&options, &c->store, error));
    if (is_continued) {
        TRY(tarn_checkpoint_list(job_directory, take_restored, c, error));
    }
    TRY(open_coordinator(c, error));
    TRY(start_writer(c, error));
    if (c->settings.is_enabled) {
        push(c, TARN_COORDINATOR_START, 0)->delay_ms = tarn_coordinator_initial_delay(
            c->coordinator, clock_now_ns() * UINT64_C(0x9E3779B97F4A7C15));
    }
    return TARN_OK;
}

static void stop_writer(checkpoints *c)
{
    if (c->has_writer) {
        pthread_mutex_lock(&c->mutex);
        c->is_closing = true;
        pthread_cond_broadcast(&c->changed);
        pthread_mutex_unlock(&c->mutex);
        pthread_join(c->writer, NULL); /* It writes what is left first. */
        c->has_writer = false;
    }
}

void checkpoints_end(checkpoints *c, tarn_job_end end)
{
    tarn_error error;
    stop_writer(c);
    collect_writes(c);
    /* Behind what was written and before anything that this could let begin. */
    push(c, TARN_COORDINATOR_SHUTDOWN, 0)->job_end = end;
    (void)handle_events(c, &error); /* The job is over: too many failures change nothing. */
}

void checkpoints_close(checkpoints *c)
{
    stop_writer(c);
    for (uint32_t i = 0; i < IN_FLIGHT_MAX; i++) {
        tarn_checkpoint_abandon(c->begun[i].pending);
    }
    tarn_coordinator_close(c->coordinator);
    const tarn_status status = tarn_checkpoint_store_close(c->store, NULL);
    assert(status == TARN_OK);
    (void)status;
}
