/* loop.c - waits, and tells the coordinator. */
#include "loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "flights/operator_state.h"

enum { STOP_REQUEST = 1 };

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Gives the coordinator an event, and what its effects are answered with. */
static tarn_coordinator_verdict feed(loop *l, tarn_coordinator_event event)
{
    tarn_coordinator_verdict verdict = TARN_VERDICT_TAKEN;
    effects_answer(l, event);
    for (uint32_t i = 0; i < l->event_count; i++) {
        l->events[i].now_ms = now_ms();
        const tarn_coordinator_effects effects =
            tarn_coordinator_step(l->coordinator, &l->events[i]);
        verdict = i == 0 ? effects.verdict : verdict;
        for (uint32_t k = 0; k < effects.count; k++) {
            effects_perform(l, &effects.items[k]);
        }
    }
    l->event_count = 0;
    return verdict;
}

void loop_restore_task(task *t, const tarn_checkpoint *checkpoint)
{
    uint32_t place = 0;
    tarn_bytes state = {.size = 0};
    uint64_t numbers[2] = {0, 0};
    if (checkpoint != NULL) {
        if (tarn_checkpoint_find_subtask(checkpoint, task_operator, t->index, &place) != TARN_OK ||
            operator_state_find(checkpoint, place, task_state, &state) != TARN_OK ||
            state.size != TASK_STATE_BYTES) {
            const char *path = tarn_checkpoint_path(checkpoint);
            fprintf(stderr, "event_loop: %s has no state of task %u\n", path, t->index);
            exit(EXIT_FAILURE);
        }
        operator_state_read(state.data, 2, numbers);
    }
    t->position = numbers[0];
    t->sum = numbers[1];
    printf("task %u goes on from %" PRIu64 "\n", t->index, t->position);
}

tarn_checkpoint *loop_open_latest(const loop *l)
{
    char address[PATH_MAX];
    tarn_error error;
    tarn_checkpoint *checkpoint = NULL;
    snprintf(address, sizeof address, "%s/%s", l->directory, job_name);
    const tarn_status status = tarn_checkpoint_open_in(
        l->env, l->from != NULL ? l->from : address, NULL, &checkpoint, &error);
    check(status == TARN_MISSING && l->from == NULL ? TARN_OK : status, &error);
    return checkpoint;
}

/* A write under way is awaited: what it makes durable is the latest then. */
static void restart_failed_tasks(loop *l)
{
    for (uint32_t i = 0; i < TASK_COUNT && l->write_count == 0; i++) {
        if (l->has_failed_task[i]) {
            task *t = &l->tasks[i];
            tarn_checkpoint *checkpoint = loop_open_latest(l);
            loop_restore_task(t, checkpoint);
            tarn_checkpoint_free(checkpoint);
            l->has_failed_task[i] = false;
            t->attempt++;
            task_start(t);
            feed(
                l,
                (tarn_coordinator_event){
                    .kind = TARN_COORDINATOR_TASK_RESTARTED, .task = i, .attempt = t->attempt});
        }
    }
}

static void fail_task(loop *l, const tarn_coordinator_event *event)
{
    printf("task %u fails\n", event->task);
    task_stop(&l->tasks[event->task]);
    l->has_failed_task[event->task] = true;
    feed(
        l,
        (tarn_coordinator_event){
            .kind = TARN_COORDINATOR_TASK_STATE,
            .task = event->task,
            .task_state = TARN_TASK_NOT_RUNNING});
    feed(l, *event);
}

/* The part is in the checkpoint before the coordinator hears of it, which may be the last one. */
static void take_mail(loop *l, mail *letter)
{
    tarn_coordinator_event *event = &letter->event;
    pending *p = effects_find(l, event->checkpoint_id);
    if (event->kind == TARN_COORDINATOR_TASK_FAILED) {
        fail_task(l, event);
        return;
    }
    l->write_count -= event->kind == TARN_COORDINATOR_WRITTEN ? 1 : 0;
    if (event->write_outcome == TARN_WRITE_UNKNOWN && p != NULL) {
        p->id =
            0; /* Nothing of it is to be discarded, so that no effect comes to free the place. */
    }
    tarn_error error;
    if (event->kind == TARN_COORDINATOR_ACK && p != NULL && p->parts != NULL &&
        tarn_checkpoint_acknowledge(p->parts, tarn_buffer_bytes(&letter->part), &error) !=
            TARN_OK) {
        printf("task %u: %s\n", event->task, error.message);
        event->kind = TARN_COORDINATOR_DECLINE;
        event->reason = TARN_FAILURE_CHECKPOINT_ASYNC_EXCEPTION;
    }
    tarn_buffer_clear(&letter->part);
    if (feed(l, *event) == TARN_VERDICT_LATE) {
        printf(
            "task %u is late: checkpoint %" PRIu64 " had been given up\n",
            event->task,
            event->checkpoint_id);
    }
}

/* One that comes while a stop is wanted already changes nothing. */
static void take_signal(loop *l)
{
    struct signalfd_siginfo signal;
    check_system(read(l->signals, &signal, sizeof signal) == sizeof signal, "event_loop: signal");
    l->stop = l->stop == STOP_NOT_WANTED ? STOP_DUE : l->stop;
}

static void stop_with_savepoint(loop *l)
{
    if (l->stop != STOP_DUE) {
        return;
    }
    l->stop = STOP_ASKED;
    feed(l, (tarn_coordinator_event){.kind = TARN_COORDINATOR_STOP});
    feed(
        l,
        (tarn_coordinator_event){
            .kind = TARN_COORDINATOR_REQUEST,
            .kind_wanted = TARN_CHECKPOINT_SAVEPOINT_TERMINATE,
            .request_id = STOP_REQUEST});
}

/* An absolute time that has passed makes the timer ready at once; 0 would disarm it. */
static void arm_timer(loop *l)
{
    const uint64_t due_ms = tarn_coordinator_next_ms(l->coordinator);
    struct itimerspec when = {.it_value = {.tv_sec = 0}};
    if (due_ms != TARN_COORDINATOR_NEVER) {
        when.it_value.tv_sec = (time_t)(due_ms / 1000);
        when.it_value.tv_nsec = (long)(due_ms % 1000) * 1000000 + 1;
    }
    check_system(
        timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &when, NULL) == 0, "event_loop: timer");
}

static void take_ready(loop *l, int fd)
{
    if (fd == l->signals) {
        take_signal(l);
    } else if (fd == l->timer) {
        uint64_t count = 0;
        (void)!read(fd, &count, sizeof count); /* Nothing, if it was armed anew meanwhile. */
        feed(l, (tarn_coordinator_event){.kind = TARN_COORDINATOR_TICK});
    } else {
        mail letter;
        check_system(read(fd, &letter, sizeof letter) == sizeof letter, "event_loop: mail");
        take_mail(l, &letter);
    }
}

void loop_run(loop *l)
{
    feed(l, (tarn_coordinator_event){.kind = TARN_COORDINATOR_START, .delay_ms = INTERVAL_MS});
    while (!l->has_stopped && !l->has_failed) {
        restart_failed_tasks(l);
        stop_with_savepoint(l);
        arm_timer(l);
        struct epoll_event ready;
        if (epoll_wait(l->epoll, &ready, 1, -1) == 1) {
            take_ready(l, ready.data.fd);
        }
    }
}
