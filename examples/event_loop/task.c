#include "task.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <tarn/checkpoint.h>

#include "flights/operator_state.h"

enum { RECORD_MS = 1 };

const char task_operator[] = "counter", task_state[] = "sum";

void check_system(bool is_good, const char *what)
{
    if (!is_good) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void send_mail(const task *t, tarn_coordinator_event event, tarn_buffer part)
{
    event.task = t->index;
    event.attempt = t->attempt;
    const mail letter = {.event = event, .part = part};
    check_system(write(t->mail_fd, &letter, sizeof letter) == sizeof letter, "event_loop: mail");
}

static void acknowledge(const task *t, uint64_t id, tarn_buffer part)
{
    send_mail(t, (tarn_coordinator_event){.kind = TARN_COORDINATOR_ACK, .checkpoint_id = id}, part);
}

static void decline(const task *t, uint64_t id, tarn_checkpoint_failure reason)
{
    const tarn_coordinator_event event = {
        .kind = TARN_COORDINATOR_DECLINE, .checkpoint_id = id, .reason = reason};
    send_mail(t, event, (tarn_buffer)TARN_BUFFER_INIT);
}

/* With keyed state: tarn_snapshot_begin(), and the acknowledgement when it is durable. */
static void take_snapshot(task *t, uint64_t id)
{
    uint8_t bytes[TASK_STATE_BYTES];
    operator_state_write((uint64_t[]){t->position, t->sum}, 2, bytes);
    const tarn_checkpoint_operator_state state = {
        .name = task_state, .bytes = tarn_bytes_at(bytes, sizeof bytes)};
    tarn_buffer part = TARN_BUFFER_INIT;
    tarn_error error;
    if (tarn_acknowledgement_encode(
            id, task_operator, t->index, TASK_COUNT, &state, 1, &part, &error) != TARN_OK) {
        fprintf(stderr, "event_loop: task %u: %s\n", t->index, error.message);
        decline(t, id, TARN_FAILURE_CHECKPOINT_ASYNC_EXCEPTION);
    } else if (t->mishaps.late != 0 && id >= t->mishaps.late) {
        t->mishaps.late = 0;
        t->late_id = id;
        t->late_part = part;
    } else {
        acknowledge(t, id, part);
    }
}

/* Should the task be held behind its last barrier: the job goes on. An elder checkpoint may be
 * given up meanwhile, which changes nothing of that. */
static void follow_abort(task *t, uint64_t id, uint64_t *held_id)
{
    *held_id = *held_id == id ? 0 : *held_id;
    if (t->late_id == id && t->late_part.data != NULL) {
        acknowledge(t, id, t->late_part);
        t->late_part = (tarn_buffer)TARN_BUFFER_INIT;
    }
}

/* held_id: of the checkpoint behind whose barrier no record is to take effect; 0: none. Returns
 * false when the task fails. */
static bool follow(task *t, const order *what, uint64_t *held_id)
{
    const uint64_t id = what->checkpoint_id;
    if (!what->is_barrier) {
        follow_abort(t, id, held_id);
        return true;
    }
    *held_id = what->is_last ? id : *held_id;
    if (id == t->mishaps.fail) {
        const tarn_coordinator_event event = {.kind = TARN_COORDINATOR_TASK_FAILED};
        send_mail(t, event, (tarn_buffer)TARN_BUFFER_INIT);
        return false;
    }
    if (id == t->mishaps.decline) {
        decline(t, id, TARN_FAILURE_CHECKPOINT_DECLINED);
    } else {
        take_snapshot(t, id);
    }
    return true;
}

static void *run_task(void *context)
{
    task *t = context;
    uint64_t held_id = 0;
    for (;;) {
        struct pollfd orders = {.fd = t->orders[0], .events = POLLIN};
        if (poll(&orders, 1, held_id != 0 ? -1 : RECORD_MS) == 0) {
            t->sum += ++t->position; /* A record. */
            continue;
        }
        order what;
        if (read(t->orders[0], &what, sizeof what) != sizeof what || !follow(t, &what, &held_id)) {
            return NULL;
        }
    }
}

void task_start(task *t)
{
    check_system(pipe(t->orders) == 0, "event_loop: pipe");
    const int code = pthread_create(&t->thread, NULL, run_task, t);
    check_system(code == 0, "event_loop: thread");
    t->is_running = true;
}

/* A pipe has room for a thousand orders, and few checkpoints are under way: that never waits. */
void task_tell(task *t, order what)
{
    if (t->is_running) {
        check_system(write(t->orders[1], &what, sizeof what) == sizeof what, "event_loop: order");
    }
}

void task_stop(task *t)
{
    if (!t->is_running) {
        return;
    }
    close(t->orders[1]);
    pthread_join(t->thread, NULL);
    close(t->orders[0]);
    tarn_buffer_clear(&t->late_part);
    t->is_running = false;
}
