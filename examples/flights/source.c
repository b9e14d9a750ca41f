#include "source.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tarn/key_group.h>

#include "failure.h"

static const char operator_name[] = "source";
static const char position_name[] = "position";

enum { POSITION_FIELDS = 8, POSITION_BYTES = 8 * POSITION_FIELDS };

/* Shape: the fields of position in their order, u64 little endian. */
static void encode_position(const position *p, uint8_t out[POSITION_BYTES])
{
    const uint64_t fields[POSITION_FIELDS] = {
        p->round,
        p->record,
        p->emitted,
        p->event_time,
        p->out_of_order_count,
        p->late_count,
        p->out_of_order_max,
        p->without_aircraft_count};
    for (size_t i = 0; i < POSITION_BYTES; i++) {
        out[i] = (uint8_t)(fields[i / 8] >> (8 * (i % 8)));
    }
}

static void decode_position(const uint8_t *encoded, position *out)
{
    uint64_t fields[POSITION_FIELDS] = {0};
    for (size_t i = 0; i < POSITION_BYTES; i++) {
        fields[i / 8] |= (uint64_t)encoded[i] << (8 * (i % 8));
    }
    *out = (position){
        .round = fields[0],
        .record = fields[1],
        .emitted = fields[2],
        .event_time = fields[3],
        .out_of_order_count = fields[4],
        .late_count = fields[5],
        .out_of_order_max = fields[6],
        .without_aircraft_count = fields[7]};
}

tarn_status source_restore(source *s, const tarn_checkpoint *checkpoint, tarn_error *error)
{
    const char *path = tarn_checkpoint_path(checkpoint);
    uint32_t index = 0;
    if (tarn_checkpoint_find_subtask(checkpoint, operator_name, 0, &index) != TARN_OK) {
        return failure_set(
            error, TARN_INCOMPATIBLE, 0, "the checkpoint %s is of a job without a source", path);
    }
    const uint32_t count = tarn_checkpoint_subtask_at(checkpoint, index).operator_state_count;
    for (uint32_t i = 0; i < count; i++) {
        const tarn_checkpoint_operator_state state =
            tarn_checkpoint_operator_state_at(checkpoint, index, i);
        if (strcmp(state.name, position_name) == 0 && state.bytes.size == POSITION_BYTES) {
            decode_position(state.bytes.data, &s->position);
            atomic_store(&s->emitted_count, s->position.emitted);
            return TARN_OK;
        }
    }
    return failure_set(
        error, TARN_INCOMPATIBLE, 0, "the checkpoint %s has no position of the source", path);
}

static tarn_status interrupted(tarn_error *error)
{
    return failure_set(error, TARN_ABANDONED, 0, "the source was stopped");
}

/* The driver's thread: the source sends the barrier before its next record. */
static bool trigger(const tarn_driver_barrier *barrier, void *context)
{
    source *s = context;
    pthread_mutex_lock(&s->mutex);
    s->barrier = *barrier;
    atomic_store(&s->is_triggered, true);
    pthread_mutex_unlock(&s->mutex);
    return true;
}

tarn_status source_join(source *s, checkpointing *c, tarn_error *error)
{
    const tarn_driver_task callbacks = {
        .struct_size = sizeof callbacks,
        .trigger = trigger,
        .context = s,
    };
    return participant_join(&s->participant, c, SOURCE_TASK, &callbacks, error);
}

/* Sends what is filled, with a mark behind it. */
static tarn_status send_marks(
    source *s, mark m, const tarn_driver_barrier *barrier, tarn_error *error)
{
    for (uint32_t i = 0; i < s->worker_count; i++) {
        if (s->filling[i] == NULL) {
            s->filling[i] = queue_take(&s->queues[i]);
        }
        if (s->filling[i] == NULL) {
            return interrupted(error);
        }
        s->filling[i]->mark = m;
        if (barrier != NULL) {
            s->filling[i]->barrier = *barrier;
        }
        queue_push(&s->queues[i], s->filling[i]);
        s->filling[i] = NULL;
    }
    return TARN_OK;
}

static tarn_status send(source *s, const message *m, tarn_error *error)
{
    const uint32_t group =
        tarn_key_group_of(tarn_hash_java_string(m->key, m->key_size), s->max_parallelism);
    const uint32_t to = tarn_key_group_subtask(group, s->max_parallelism, s->worker_count);

    batch *filling = s->filling[to];
    if (filling == NULL) {
        filling = queue_take(&s->queues[to]);
        if (filling == NULL) {
            return interrupted(error);
        }
        s->filling[to] = filling;
    }
    filling->messages[filling->count++] = *m;
    if (filling->count == BATCH_MESSAGES) {
        queue_push(&s->queues[to], filling);
        s->filling[to] = NULL;
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
    p->late_count += behind > WATERMARK_BOUND_S;
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
    s->position.record++;
    s->position.emitted++;
    atomic_store_explicit(&s->emitted_count, s->position.emitted, memory_order_relaxed);
    return TARN_OK;
}

/*
 * The barrier goes out between two records; the position is that of the next one. TARN_DONE: it is
 * the last one, behind which the job stops.
 */
static tarn_status answer_trigger(source *s, tarn_error *error)
{
    if (!atomic_load_explicit(&s->is_triggered, memory_order_relaxed)) {
        return TARN_OK;
    }
    pthread_mutex_lock(&s->mutex);
    const tarn_driver_barrier barrier = s->barrier;
    atomic_store(&s->is_triggered, false);
    pthread_mutex_unlock(&s->mutex);
    TRY(send_marks(s, MARK_BARRIER, &barrier, error));

    uint8_t encoded[POSITION_BYTES];
    encode_position(&s->position, encoded);
    const tarn_checkpoint_operator_state state = {
        .name = position_name,
        .bytes = tarn_bytes_at(encoded, sizeof encoded),
    };
    const uint64_t id = barrier.checkpoint_id;
    tarn_buffer part = TARN_BUFFER_INIT;
    tarn_error cause;
    if (tarn_acknowledgement_encode(id, operator_name, 0, 1, &state, 1, &part, &cause) == TARN_OK) {
        participant_acknowledge(&s->participant, id, tarn_buffer_bytes(&part));
    } else {
        participant_decline(&s->participant, id, TARN_FAILURE_CHECKPOINT_ASYNC_EXCEPTION, &cause);
    }
    tarn_buffer_clear(&part);
    return barrier.kind == TARN_CHECKPOINT_SAVEPOINT_SUSPEND ? TARN_DONE : TARN_OK;
}

/*
 * A kill that no checkpoint came before would show nothing: the source stands still until this run
 * has had one, and answers the driver meanwhile.
 */
static tarn_status die(source *s, tarn_error *error)
{
    const struct timespec millisecond = {.tv_nsec = 1000000};
    checkpointing *c = s->participant.checkpointing;
    if (!checkpointing_has_outcome(c)) {
        TRY(checkpointing_demand(c, error));
    }
    while (!checkpointing_has_outcome(c)) {
        TRY(answer_trigger(s, error));
        nanosleep(&millisecond, NULL);
    }
    kill(getpid(), SIGKILL);
    return TARN_OK;
}

/* The source stands still until the barrier that it stops behind: TARN_DONE, or TARN_OK when none
 * comes. */
static tarn_status stop(source *s, tarn_error *error)
{
    const struct timespec millisecond = {.tv_nsec = 1000000};
    checkpointing *c = s->participant.checkpointing;
    TRY(checkpointing_stop(c, error));
    while (!checkpointing_has_refused_to_stop(c)) {
        TRY(answer_trigger(s, error));
        nanosleep(&millisecond, NULL);
    }
    return TARN_OK;
}

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
                s->path,
                (unsigned long long)i);
        }
        TRY(status);
    }
    return TARN_OK;
}

static bool is_at_stop(const source *s)
{
    return s->stop_at > 0 && s->position.emitted == s->stop_at;
}

static tarn_status read_round(source *s, input *in, bool *is_stopped, tarn_error *error)
{
    TRY(skip(s, in, error));
    for (;;) {
        const tarn_status answered = is_at_stop(s) ? stop(s, error) : answer_trigger(s, error);
        if (answered == TARN_DONE) {
            *is_stopped = true;
        }
        TRY(answered);
        const char *line = NULL;
        size_t size = 0;
        TRY(input_next(in, &line, &size, error)); /* TARN_DONE, at last. */
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
                s->path,
                reason.message);
        }
        TRY(emit(s, &f, error));
        if (s->position.emitted == s->kill_at) {
            TRY(die(s, error));
        }
    }
}

tarn_status source_run(source *s, tarn_error *error)
{
    bool is_stopped = false;
    while (s->position.round < s->round_count && !is_stopped) {
        input *in = NULL;
        TRY(input_open(s->path, s->budget, &in, error));
        const tarn_status status = read_round(s, in, &is_stopped, error);
        input_close(in);
        if (status != TARN_DONE) {
            return status;
        }
        if (!is_stopped) {
            s->position.round++;
            s->position.record = 0;
        }
    }
    participant_leave(&s->participant, TARN_TASK_END_FINISHED);
    return send_marks(s, MARK_END, NULL, error);
}
