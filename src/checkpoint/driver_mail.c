/* driver_mail.c - how a driver reads its mail: what the coordinator hears, and in which order. By
 * who polls. */
#include "base/random.h"
#include "checkpoint/coordinator.h"
#include "checkpoint/driver.h"

void tarn__driver_post(tarn_driver *driver, tarn__mail *mail)
{
    mail->next = NULL;
    *driver->mail_end = mail;
    driver->mail_end = &mail->next;
    pthread_cond_signal(&driver->has_mail);
}

tarn__mail *tarn__driver_receive(tarn_driver *driver)
{
    pthread_mutex_lock(&driver->mutex);
    tarn__mail *mail = driver->mail;
    if (mail != NULL) {
        driver->mail = mail->next;
        if (mail->next == NULL) {
            driver->mail_end = &driver->mail;
        }
    }
    pthread_mutex_unlock(&driver->mutex);
    return mail;
}

/* What the mail says about its checkpoint, before the coordinator hears of it. */
static void note_cause(tarn_driver *driver, const tarn__mail *mail)
{
    pthread_mutex_lock(&driver->mutex);
    tarn__record *record = tarn__driver_find(driver, mail->event.checkpoint_id);
    if (record != NULL && record->cause.status == TARN_OK && mail->cause.status != TARN_OK) {
        record->cause = mail->cause;
    }
    pthread_mutex_unlock(&driver->mutex);
}

/* An acknowledgement that counts goes to the store. False: the mail is of no more use. */
static bool take_part(tarn_driver *driver, tarn__mail *mail, tarn_coordinator_verdict verdict)
{
    if (mail->event.kind != TARN_COORDINATOR_ACK || verdict != TARN_VERDICT_TAKEN) {
        return false;
    }
    pthread_mutex_lock(&driver->mutex);
    tarn__record *record = tarn__driver_find(driver, mail->event.checkpoint_id);
    record->acknowledged_count++;
    const bool has_parts = mail->part_count > 0;
    if (has_parts) {
        tarn__driver_queue_part(driver, record, mail);
    }
    pthread_mutex_unlock(&driver->mutex);
    return has_parts;
}

/* An answer has had its effects: forgets the record when nothing more will happen to it. */
static void note_answer(tarn_driver *driver, const tarn_coordinator_event *answer)
{
    pthread_mutex_lock(&driver->mutex);
    tarn__record *record = tarn__driver_find(driver, answer->checkpoint_id);
    bool is_over = answer->kind == TARN_COORDINATOR_DISCARDED;
    if (answer->kind == TARN_COORDINATOR_NOT_BEGUN) {
        is_over = !record->is_discarded;
    } else if (answer->kind == TARN_COORDINATOR_WRITTEN) {
        driver->writing_count--;
        const bool is_kept = record->is_completed && !tarn__kind_is_savepoint(record->kind);
        is_over = !record->is_discarded && !is_kept;
    }
    if (is_over) {
        tarn__driver_forget(driver, record);
    }
    pthread_cond_broadcast(&driver->has_changed);
    pthread_mutex_unlock(&driver->mutex);
}

static void step(tarn_driver *driver, tarn_coordinator_event event, tarn__mail *mail)
{
    event.now_ms = tarn__driver_now_ms(driver);
    const tarn_coordinator_effects effects = tarn_coordinator_step(driver->coordinator, &event);
    if (mail != NULL && !take_part(driver, mail, effects.verdict) && !mail->is_answer) {
        tarn__release(mail);
    }
    for (uint32_t i = 0; i < effects.count; i++) {
        tarn__driver_perform(driver, &effects.items[i], event.now_ms);
    }
}

/* The coordinator hears of event; its effects are performed, and what fails of them is told. */
static void advance(tarn_driver *driver, tarn_coordinator_event event, tarn__mail *mail)
{
    step(driver, event, mail);
    while (driver->failure_count > 0) {
        driver->failure_count--;
        step(driver, driver->failures[driver->failure_count], NULL);
    }
}

/* Whatever is due is done, however much it is. */
static void catch_up(tarn_driver *driver)
{
    while (tarn_coordinator_next_ms(driver->coordinator) <= tarn__driver_now_ms(driver)) {
        advance(driver, (tarn_coordinator_event){.kind = TARN_COORDINATOR_TICK}, NULL);
    }
}

void tarn__driver_tell_not_running(tarn_driver *driver, uint32_t task)
{
    const tarn_coordinator_event event = {
        .kind = TARN_COORDINATOR_TASK_STATE,
        .task = task,
        .task_state = TARN_TASK_NOT_RUNNING,
    };
    advance(driver, event, NULL);
}

/* What aborts a checkpoint lets the next one begin in the same step. That one must not count on a
 * task that is gone: the coordinator hears of it before. */
static void tell_gone_tasks(tarn_driver *driver, const tarn_coordinator_event *event)
{
    if (event->kind == TARN_COORDINATOR_TASK_FAILED) {
        tarn__driver_tell_not_running(driver, event->task);
    } else if (event->kind == TARN_COORDINATOR_JOB_FAILOVER) {
        for (uint32_t task = 0; task < driver->task_count; task++) {
            tarn__driver_tell_not_running(driver, task);
        }
    } else {
        return;
    }
    catch_up(driver); /* One that was chosen before begins now, and is aborted with the others. */
}

/* A run that a failover has given up does not finish: what it did will be done again. */
static bool is_given_up(const tarn_driver *driver, const tarn_coordinator_event *event)
{
    return event->kind == TARN_COORDINATOR_TASK_STATE &&
           driver->coordinator->task_states[event->task] == TARN_TASK_NOT_RUNNING;
}

static bool is_for_coordinator(tarn_driver *driver, const tarn_coordinator_event *event)
{
    if (event->kind != TARN_COORDINATOR_DISCARDED) {
        return true;
    }
    pthread_mutex_lock(&driver->mutex);
    const bool is_due = tarn__driver_find(driver, event->checkpoint_id)->is_answer_due;
    pthread_mutex_unlock(&driver->mutex);
    return is_due;
}

static void note_told(tarn_driver *driver, tarn_coordinator_event_kind kind)
{
    pthread_mutex_lock(&driver->mutex);
    driver->failover_told += kind == TARN_COORDINATOR_JOB_FAILOVER ? 1 : 0;
    driver->is_shut_down = driver->is_shut_down || kind == TARN_COORDINATOR_SHUTDOWN;
    pthread_cond_broadcast(&driver->has_changed);
    pthread_mutex_unlock(&driver->mutex);
}

/* --- Stopping with a savepoint --- */

static tarn_coordinator_event make_start(tarn_driver *driver)
{
    const uint64_t chance = tarn__random_mix(tarn__clock_monotonic_ns(driver->options.clock));
    return (tarn_coordinator_event){
        .kind = TARN_COORDINATOR_START,
        .delay_ms = tarn_coordinator_initial_delay(driver->coordinator, chance),
    };
}

/*
 * The savepoint that a job stops with is the last thing that takes effect: nothing else is taken
 * from its request on. If it fails the job goes on, and so do periodic checkpoints; the same if the
 * job is restored after all.
 */
static void rest_for_savepoint(tarn_driver *driver)
{
    driver->is_start_due = driver->is_start_due || driver->coordinator->is_started;
    advance(driver, (tarn_coordinator_event){.kind = TARN_COORDINATOR_STOP}, NULL);
    driver->stopping_count++;
}

static void go_on_after_savepoint(tarn_driver *driver)
{
    driver->has_stopping_failed = false;
    if (driver->is_start_due && driver->stopping_count == 0) {
        driver->is_start_due = false;
        advance(driver, make_start(driver), NULL);
    }
}

/* Before the coordinator hears of an event. False: it does not. */
static bool prepare_event(tarn_driver *driver, tarn_coordinator_event *event)
{
    if (event->kind == TARN_COORDINATOR_REQUEST && tarn__kind_stops_job(event->kind_wanted)) {
        rest_for_savepoint(driver);
    } else if (event->kind == TARN_COORDINATOR_START) {
        driver->is_start_due = driver->stopping_count > 0;
        *event = make_start(driver);
        return !driver->is_start_due;
    } else if (event->kind == TARN_COORDINATOR_STOP || event->kind == TARN_COORDINATOR_SHUTDOWN) {
        driver->is_start_due = false;
    }
    return true;
}

/* --- All mail --- */

static void handle(tarn_driver *driver, tarn__mail *mail)
{
    tarn_coordinator_event event = mail->event;
    const bool is_answer = mail->is_answer;
    if (!prepare_event(driver, &event)) {
        tarn__release(mail);
        return;
    }
    if (is_given_up(driver, &event)) {
        event.task_state = TARN_TASK_NOT_RUNNING;
    }
    note_cause(driver, mail);
    tell_gone_tasks(driver, &event);
    if (is_for_coordinator(driver, &event)) {
        advance(driver, event, mail);
    }
    if (event.kind == TARN_COORDINATOR_SHUTDOWN) { /* It leaves the periodic timer. */
        advance(driver, (tarn_coordinator_event){.kind = TARN_COORDINATOR_STOP}, NULL);
    }
    if (is_answer) {
        note_answer(driver, &event);
    }
    if (driver->has_stopping_failed || event.kind == TARN_COORDINATOR_JOB_FAILOVER) {
        go_on_after_savepoint(driver);
    }
    note_told(driver, event.kind);
}

uint64_t tarn__driver_poll(tarn_driver *driver)
{
    pthread_mutex_lock(&driver->mutex);
    driver->is_polling = true;
    driver->poller = pthread_self();
    pthread_mutex_unlock(&driver->mutex);
    tarn__mail *mail = NULL;
    while ((mail = tarn__driver_receive(driver)) != NULL) {
        handle(driver, mail);
    }
    catch_up(driver);
    if (driver->has_stopping_failed) { /* By its timeout. */
        go_on_after_savepoint(driver);
    }
    tarn_coordinator_figures figures;
    tarn_coordinator_read_figures(driver->coordinator, &figures);
    pthread_mutex_lock(&driver->mutex);
    driver->figures = figures;
    driver->is_polling = false;
    pthread_cond_broadcast(&driver->has_changed);
    pthread_mutex_unlock(&driver->mutex);
    return tarn_coordinator_next_ms(driver->coordinator);
}
