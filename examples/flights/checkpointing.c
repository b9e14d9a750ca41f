#include "checkpointing.h"

#include <assert.h>
#include <string.h>

#include <tarn/checkpoint_settings.h>

#include "clock.h"
#include "failure.h"

static const char job_name[] = "flights";

tarn_status checkpointing_open(
    checkpointing *c,
    monitor *m,
    tarn_env *env,
    const tarn_config *config,
    const char *directory,
    uint32_t participant_count,
    tarn_error *error)
{
    memset(c, 0, sizeof *c);
    c->monitor = m;
    c->participant_count = participant_count;
    if (directory == NULL) {
        return TARN_OK;
    }

    tarn_checkpoint_settings settings = TARN_CHECKPOINT_SETTINGS_INIT;
    TRY(tarn_checkpoint_settings_from_config(config, &settings, error));
    if (settings.is_enabled) {
        enum {
            DAY_MS = 24 * 3600 * 1000
        }; /* Longer intervals would overflow, and end no sooner. */
        const int64_t interval_ms = settings.interval_ms < DAY_MS ? settings.interval_ms : DAY_MS;
        c->interval_ns = (uint64_t)interval_ms * NS_PER_MS;
    }
    c->tolerable_count = (uint32_t)settings.tolerable_failures;
    c->due_ns = clock_now_ns() + c->interval_ns;

    int32_t retained = 1;
    TRY(tarn_config_get_int(
        config, "execution.checkpointing.num-retained", &retained, NULL, error));

    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = env;
    options.address = directory;
    options.job = job_name;
    options.retained_count = retained > 0 ? (uint32_t)retained : 1;
    return tarn_checkpoint_store_open(&options, &c->store, error);
}

void checkpointing_close(checkpointing *c)
{
    tarn_checkpoint_abandon(c->pending);
    const tarn_status status = tarn_checkpoint_store_close(c->store, NULL);
    assert(status == TARN_OK);
    (void)status;
    memset(c, 0, sizeof *c);
}

static checkpointing_event count_failure(checkpointing *c)
{
    c->failed_count++;
    c->failed_in_a_row++;
    return c->failed_in_a_row > c->tolerable_count ? CHECKPOINTING_HOPELESS : CHECKPOINTING_FAILED;
}

static checkpointing_event begin(checkpointing *c, tarn_error *error)
{
    tarn_pending_checkpoint *pending = NULL;
    const uint64_t id = tarn_checkpoint_store_next_id(c->store);
    c->due_ns = clock_now_ns() + c->interval_ns;
    if (tarn_checkpoint_begin(c->store, id, &pending, error) != TARN_OK) {
        return count_failure(c);
    }
    pthread_mutex_lock(&c->monitor->mutex);
    c->phase = CHECKPOINTING_REQUESTED;
    c->pending = pending;
    c->id = id;
    c->awaited_count = c->participant_count;
    c->is_declined = false;
    atomic_store(&c->is_requested, true);
    pthread_mutex_unlock(&c->monitor->mutex);
    return CHECKPOINTING_NOTHING;
}

static checkpointing_event end(checkpointing *c, tarn_error *error)
{
    tarn_pending_checkpoint *pending = c->pending;
    c->pending = NULL;
    c->phase = CHECKPOINTING_IDLE;
    if (c->is_declined) {
        tarn_checkpoint_abandon(pending);
        *error = c->decline;
        return count_failure(c);
    }
    if (tarn_checkpoint_commit(pending, &c->latest, error) != TARN_OK) {
        return count_failure(c);
    }
    c->durations_ms[c->completed_count % DURATIONS_MAX] = (uint32_t)c->latest.duration_ms;
    c->completed_count++;
    c->new_bytes += c->latest.new_bytes;
    c->failed_in_a_row = 0;
    return CHECKPOINTING_COMPLETED;
}

checkpointing_event checkpointing_step(checkpointing *c, tarn_error *error)
{
    pthread_mutex_lock(&c->monitor->mutex);
    const checkpointing_phase phase = c->phase;
    const bool is_answered = phase == CHECKPOINTING_COLLECTING && c->awaited_count == 0;
    const bool is_in_vain = phase == CHECKPOINTING_REQUESTED && c->has_source_ended;
    const bool is_wanted = phase == CHECKPOINTING_IDLE && c->store != NULL && c->interval_ns > 0 &&
                           !c->has_source_ended;
    pthread_mutex_unlock(&c->monitor->mutex);

    /* All have answered, or nobody was asked: nobody else touches the checkpoint any more. */
    if (is_answered) {
        return end(c, error);
    }
    if (is_in_vain) {
        tarn_checkpoint_abandon(c->pending);
        c->pending = NULL;
        c->phase = CHECKPOINTING_IDLE;
    }
    return is_wanted && clock_now_ns() >= c->due_ns ? begin(c, error) : CHECKPOINTING_NOTHING;
}

bool checkpointing_take_request(checkpointing *c)
{
    if (!atomic_load_explicit(&c->is_requested, memory_order_relaxed)) {
        return false;
    }
    pthread_mutex_lock(&c->monitor->mutex);
    c->phase = CHECKPOINTING_COLLECTING;
    atomic_store(&c->is_requested, false);
    pthread_mutex_unlock(&c->monitor->mutex);
    return true;
}

void checkpointing_end_of_source(checkpointing *c)
{
    pthread_mutex_lock(&c->monitor->mutex);
    c->has_source_ended = true;
    atomic_store(&c->is_requested, false);
    pthread_mutex_unlock(&c->monitor->mutex);
}

tarn_pending_checkpoint *checkpointing_pending(checkpointing *c)
{
    pthread_mutex_lock(&c->monitor->mutex);
    tarn_pending_checkpoint *pending = c->pending;
    pthread_mutex_unlock(&c->monitor->mutex);
    return pending;
}

static void answer(checkpointing *c, const tarn_error *decline)
{
    pthread_mutex_lock(&c->monitor->mutex);
    assert(c->awaited_count > 0);
    c->awaited_count--;
    if (decline != NULL && !c->is_declined) {
        c->is_declined = true;
        c->decline = *decline;
    }
    pthread_cond_signal(&c->monitor->changed);
    pthread_mutex_unlock(&c->monitor->mutex);
}

void checkpointing_acknowledge(checkpointing *c, tarn_bytes acknowledgement)
{
    tarn_error error;
    const tarn_status status =
        tarn_checkpoint_acknowledge(checkpointing_pending(c), acknowledgement, &error);
    answer(c, status == TARN_OK ? NULL : &error);
}

void checkpointing_decline(checkpointing *c, const tarn_error *error)
{
    answer(c, error);
}
