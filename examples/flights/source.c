#include "source.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tarn/key_group.h>

#include "failure.h"
#include "watermarks.h"

void source_init(source *s, division *d, uint32_t index)
{
    *s = (source){.division = d, .index = index};
    pthread_mutex_init(&s->mutex, NULL);
}

void source_clear(source *s)
{
    pthread_mutex_destroy(&s->mutex);
}

tarn_status source_restore(source *s, const tarn_checkpoint *checkpoint, tarn_error *error)
{
    TRY(position_restore(checkpoint, s->index, &s->position, error));
    atomic_store(&s->emitted_count, s->position.emitted);
    return TARN_OK;
}

uint64_t source_passed(const source *s)
{
    return s->position.round * s->division->round_size + s->position.record;
}

static tarn_status interrupted(const source *s, tarn_error *error)
{
    return failure_set(error, TARN_ABANDONED, 0, "source %u was stopped", s->index);
}

/* The driver's thread: the source sends the barrier before its next record. */
static bool trigger(const tarn_driver_barrier *barrier, void *context)
{
    source *s = context;
    pthread_mutex_lock(&s->mutex);
    const bool has_room = s->barrier_count < BARRIERS_PENDING;
    if (has_room) {
        s->barriers[s->barrier_count++] = *barrier;
        atomic_store(&s->is_triggered, true);
    }
    pthread_mutex_unlock(&s->mutex);
    return has_room;
}

static tarn_driver_barrier take_barrier(source *s)
{
    pthread_mutex_lock(&s->mutex);
    const tarn_driver_barrier barrier = s->barriers[0];
    s->barrier_count--;
    memmove(s->barriers, s->barriers + 1, s->barrier_count * sizeof s->barriers[0]);
    atomic_store(&s->is_triggered, s->barrier_count > 0);
    pthread_mutex_unlock(&s->mutex);
    return barrier;
}

tarn_status source_join(source *s, checkpointing *c, tarn_error *error)
{
    const tarn_driver_task callbacks = {
        .struct_size = sizeof callbacks,
        .trigger = trigger,
        .context = s,
    };
    return participant_join(&s->participant, c, s->index, &callbacks, error);
}

/* As Flink's for bounded disorder: what is as far behind as the bound is in time. */
static int64_t watermark_of(const source *s)
{
    return s->position.emitted > 0
               ? (int64_t)s->position.event_time - s->division->watermark_bound_s - 1
               : WATERMARK_NONE;
}

static void push(source *s, uint32_t worker, batch *filled)
{
    filled->watermark = watermark_of(s);
    gate_push(&s->division->gates[worker], s->index, filled);
    s->filling[worker] = NULL;
}

/* Sends what is filled, with a mark behind it. */
static tarn_status send_marks(
    source *s, mark m, const tarn_driver_barrier *barrier, tarn_error *error)
{
    for (uint32_t i = 0; i < s->division->worker_count; i++) {
        gate *to = &s->division->gates[i];
        batch *filling = s->filling[i] != NULL ? s->filling[i] : gate_take(to, s->index);
        if (filling == NULL) {
            return interrupted(s, error);
        }
        filling->mark = m;
        if (barrier != NULL) {
            filling->barrier = *barrier;
        }
        push(s, i, filling);
    }
    return TARN_OK;
}

static tarn_status send(source *s, const message *m, tarn_error *error)
{
    const division *d = s->division;
    const uint32_t group =
        tarn_key_group_of(tarn_hash_java_string(m->key, m->key_size), d->max_parallelism);
    const uint32_t to = tarn_key_group_subtask(group, d->max_parallelism, d->worker_count);

    batch *filling = s->filling[to];
    if (filling == NULL) {
        filling = gate_take(&d->gates[to], s->index);
        if (filling == NULL) {
            return interrupted(s, error);
        }
        s->filling[to] = filling;
    }
    filling->messages[filling->count++] = *m;
    if (filling->count == BATCH_MESSAGES) {
        push(s, to, filling);
    }
    return TARN_OK;
}

static void follow_event_time(position *p, uint64_t event_time)
{
    if (event_time >= p->event_time) {
        p->event_time = event_time;
        return;
    }
    const uint64_t behind = p->event_time - event_time;
    p->out_of_order_count++;
    p->out_of_order_max = behind > p->out_of_order_max ? behind : p->out_of_order_max;
}

static tarn_status emit(source *s, const flight *f, tarn_error *error)
{
    message messages[2];
    const uint32_t count = flight_messages(f, (uint32_t)s->position.round, messages);
    for (uint32_t i = 0; i < count; i++) {
        TRY(send(s, &messages[i], error));
    }
    follow_event_time(&s->position, (uint64_t)messages[0].scheduled_at);
    s->position.without_aircraft_count += count == 1;
    s->position.emitted++;
    atomic_store_explicit(&s->emitted_count, s->position.emitted, memory_order_relaxed);
    return TARN_OK;
}

/* Checkpoints. */

/*
 * The barrier goes out between two records; the position is that of the next one. TARN_DONE: it is
 * the last one, behind which the job stops.
 */
static tarn_status answer_trigger(source *s, tarn_error *error)
{
    if (!atomic_load_explicit(&s->is_triggered, memory_order_relaxed)) {
        return TARN_OK;
    }
    const tarn_driver_barrier barrier = take_barrier(s);
    TRY(send_marks(s, MARK_BARRIER, &barrier, error));

    const uint64_t id = barrier.checkpoint_id;
    tarn_buffer part = {.allocator = s->division->allocator};
    tarn_error cause;
    if (position_encode(&s->position, id, s->index, s->division->source_count, &part, &cause) ==
        TARN_OK) {
        participant_acknowledge(&s->participant, id, tarn_buffer_bytes(&part));
    } else {
        participant_decline(&s->participant, id, TARN_FAILURE_CHECKPOINT_ASYNC_EXCEPTION, &cause);
    }
    tarn_buffer_clear(&part);
    s->is_stopped = barrier.kind == TARN_CHECKPOINT_SAVEPOINT_SUSPEND;
    return s->is_stopped ? TARN_DONE : TARN_OK;
}

/* The source stands still for a moment, and answers the driver meanwhile. */
static tarn_status stand(source *s, tarn_error *error)
{
    const struct timespec millisecond = {.tv_nsec = 1000000};
    TRY(answer_trigger(s, error));
    if (gate_is_interrupted(&s->division->gates[0])) {
        return interrupted(s, error);
    }
    nanosleep(&millisecond, NULL);
    return TARN_OK;
}

/* Until all sources are there. Those that wait hold event time up: they have more to say. */
static tarn_status meet(source *s, halt *h, tarn_error *error)
{
    atomic_fetch_add(&h->standing_count, 1);
    while (atomic_load(&h->standing_count) < s->division->source_count) {
        TRY(stand(s, error));
    }
    return TARN_OK;
}

/* Until the checkpoint that one of them asks for is there, or has failed. */
static tarn_status pause_for_checkpoint(source *s, tarn_error *error)
{
    checkpointing *c = s->participant.checkpointing;
    s->has_paused = true;
    TRY(meet(s, &s->division->checkpoint, error));
    if (s->index == 0) {
        TRY(checkpointing_demand(c, error));
    }
    while (!checkpointing_has_answered(c)) {
        TRY(stand(s, error));
    }
    return TARN_OK;
}

/* A kill that no checkpoint came before would show nothing: it waits until this run has had one. */
static tarn_status die(source *s, tarn_error *error)
{
    checkpointing *c = s->participant.checkpointing;
    TRY(meet(s, &s->division->kill, error));
    if (s->index == 0 && !checkpointing_has_outcome(c)) {
        TRY(checkpointing_demand(c, error));
    }
    while (!checkpointing_has_outcome(c)) {
        TRY(stand(s, error));
    }
    kill(getpid(), SIGKILL);
    return TARN_OK;
}

/* Until the barrier that all stop behind: TARN_DONE, or TARN_OK when none comes. */
static tarn_status stop(source *s, tarn_error *error)
{
    checkpointing *c = s->participant.checkpointing;
    s->has_stood = true;
    TRY(meet(s, &s->division->stop, error));
    if (s->index == 0) {
        TRY(checkpointing_stop(c, error));
    }
    while (!checkpointing_has_refused_to_stop(c)) {
        TRY(stand(s, error));
    }
    return TARN_OK;
}

/* Between two records: whether it is here that something is to happen. */
static tarn_status do_what_is_due(source *s, tarn_error *error)
{
    const division *d = s->division;
    const uint64_t passed = source_passed(s);
    if (d->savepoint_at > 0 && passed >= d->savepoint_at && s->index == 0 && !s->has_asked) {
        s->has_asked = true;
        TRY(checkpointing_save(s->participant.checkpointing, error));
    }
    if (d->checkpoint.at > 0 && passed >= d->checkpoint.at && !s->has_paused) {
        TRY(pause_for_checkpoint(s, error));
    }
    if (d->kill.at > 0 && passed >= d->kill.at) {
        TRY(die(s, error));
    }
    if (d->stop.at > 0 && passed >= d->stop.at && !s->has_stood) {
        return stop(s, error);
    }
    return answer_trigger(s, error);
}

/* Reading. */

static tarn_status skip(source *s, input *in, tarn_error *error)
{
    const char *line = NULL;
    size_t size = 0;
    for (uint64_t i = 0; i < s->position.record; i++) {
        const tarn_status status = input_next(in, &line, &size, error);
        if (status == TARN_DONE) {
            return failure_set(
                error,
                TARN_INCOMPATIBLE,
                0,
                "the checkpoint stands at record %llu of a round, the input %s has only %llu",
                (unsigned long long)s->position.record,
                s->division->path,
                (unsigned long long)i);
        }
        TRY(status);
    }
    return TARN_OK;
}

static bool is_own(const source *s, uint64_t record)
{
    return record / BLOCK_RECORDS % s->division->source_count == s->index;
}

static tarn_status emit_line(
    source *s, const input *in, const char *line, size_t size, tarn_error *error)
{
    flight f;
    tarn_error reason;
    const tarn_status status = flight_parse(line, size, &f, &reason);
    if (status != TARN_OK) {
        return failure_set(
            error,
            status,
            0,
            "cannot read line %llu of the input %s: %s",
            (unsigned long long)input_line(in),
            s->division->path,
            reason.message);
    }
    return emit(s, &f, error);
}

static tarn_status read_round(source *s, input *in, tarn_error *error)
{
    TRY(skip(s, in, error));
    for (;;) {
        TRY(do_what_is_due(s, error)); /* TARN_DONE: stopped. */
        const char *line = NULL;
        size_t size = 0;
        TRY(input_next(in, &line, &size, error)); /* TARN_DONE, at last. */
        if (is_own(s, s->position.record)) {
            TRY(emit_line(s, in, line, size, error));
        }
        s->position.record++;
    }
}

tarn_status source_run(source *s, tarn_error *error)
{
    const division *d = s->division;
    while (s->position.round < d->round_count && !s->is_stopped) {
        input *in = NULL;
        TRY(input_open(d->path, d->file, d->budget, &in, error));
        const tarn_status status = read_round(s, in, error);
        input_close(in);
        if (status != TARN_DONE) {
            return status;
        }
        if (!s->is_stopped) {
            s->position.round++;
            s->position.record = 0;
        }
    }
    participant_leave(&s->participant, TARN_TASK_END_FINISHED);
    return send_marks(s, MARK_END, NULL, error);
}
