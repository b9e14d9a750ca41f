/*
 * sim_real.c - workers whose state is a backend over RocksDB, restored from what it uploaded.
 *
 * A backend's files are uploaded by a thread of the environment. So that a seed replays, that
 * thread gets to the storage only while the world waits for it: at most one snapshot is under way
 * there at any time, and sim_real_upload() lets it run to its end. What RocksDB writes is not the
 * same to the byte in every run, but nothing that the world does depends on it.
 */
#include "sim/sim_world.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "env/env.h"
#include "support/state_fixture.h"

enum { MANAGED_MIB = 16, REPRESENTATIVES_MAX = 100000 };

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t opened;
    bool is_open;
    uint32_t admitted; /* Requests that may pass while it is not. */
    bool is_waiting;   /* A request is there. */
    bool has_errand;   /* A snapshot was given up with a request under way, which has not ended. */
    pthread_t world;   /* The thread that needs no leave. */
    snapshot *under_way;   /* Not known to have ended; NULL: none. */
    uint32_t keys[GROUPS]; /* One for each key group. */
} real = {.mutex = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};

/* --- The thread that uploads --- */

static void set_open(bool is_open)
{
    pthread_mutex_lock(&real.mutex);
    real.is_open = is_open;
    pthread_cond_broadcast(&real.opened);
    pthread_mutex_unlock(&real.mutex);
}

void sim_real_wait(void)
{
    if (!w.is_real || pthread_equal(pthread_self(), real.world)) {
        return;
    }
    pthread_mutex_lock(&real.mutex);
    while (!real.is_open && real.admitted == 0) {
        real.is_waiting = true;
        pthread_cond_wait(&real.opened, &real.mutex);
    }
    real.is_waiting = false;
    real.admitted -= real.is_open ? 0 : 1;
    pthread_mutex_unlock(&real.mutex);
}

/* Lets some requests pass; true: the next one is under way, false: there was none. */
static bool stop_within(snapshot *s, uint32_t count)
{
    bool is_waiting = false;
    pthread_mutex_lock(&real.mutex);
    real.admitted = count;
    pthread_cond_broadcast(&real.opened);
    while (!is_waiting) {
        pthread_mutex_unlock(&real.mutex);
        const bool has_ended = tarn_snapshot_poll(s->real) != TARN_PENDING;
        sched_yield();
        pthread_mutex_lock(&real.mutex);
        is_waiting = real.is_waiting && real.admitted == 0;
        if (has_ended) {
            break;
        }
    }
    real.admitted = 0;
    pthread_mutex_unlock(&real.mutex);
    return is_waiting;
}

void sim_real_upload(snapshot *s)
{
    if (real.under_way != s) {
        return; /* It has ended before. */
    }
    set_open(true);
    while (tarn_snapshot_poll(s->real) == TARN_PENDING) {
        sched_yield();
    }
    set_open(false);
    real.under_way = NULL;
}

void sim_real_finish_all(void)
{
    (void)sim_real_end_errand();
    if (real.under_way != NULL) {
        sim_real_upload(real.under_way);
    }
}

/* --- The environment --- */

static void choose_keys(void)
{
    uint32_t found = 0;
    bool is_known[GROUPS] = {false};
    for (uint32_t key = 0; found < GROUPS && key < REPRESENTATIVES_MAX; key++) {
        const int32_t hash = tarn_hash_bytes(tarn_bytes_at(&key, sizeof key));
        const uint32_t group = tarn_key_group_of(hash, GROUPS);
        if (!is_known[group]) {
            is_known[group] = true;
            real.keys[group] = key;
            found++;
        }
    }
    CHECK(found == GROUPS);
}

void sim_real_open(void)
{
    tarn_config *config = fixture_new_config(MANAGED_MIB);
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    options.worker_thread_count = 1;
    options.storage_schemes = &w.scheme;
    options.storage_scheme_count = 1;
    real.world = pthread_self();
    choose_keys();
    CHECK_OK(tarn_env_open(&options, &w.env, &w.error));
    tarn_config_free(config);
}

void sim_real_close(void)
{
    CHECK_OK(tarn_env_close(w.env, &w.error));
}

/* --- A worker's backend --- */

static void set_key(worker *k, uint32_t group)
{
    const tarn_bytes key = tarn_bytes_at(&real.keys[group], sizeof real.keys[group]);
    CHECK_OK(tarn_backend_set_key(k->backend, key, &w.error));
}

void sim_real_add(worker *k, uint32_t group, cell more)
{
    void *place = NULL;
    cell c;
    set_key(k, group);
    CHECK_OK(tarn_value_edit(k->value, sizeof c, &place, &w.error));
    memcpy(&c, place, sizeof c);
    c.count += more.count;
    c.sum += more.sum;
    memcpy(place, &c, sizeof c);
}

/* What was restored is what was there when the snapshot was taken, cell by cell. */
static void check_restored(worker *k, const content *restored)
{
    for (uint32_t g = 0; g < GROUPS; g++) {
        tarn_bytes bytes;
        cell c = {.count = 0};
        const bool is_own = g >= k->first && g <= k->last;
        if (!is_own) {
            continue;
        }
        set_key(k, g);
        const tarn_status status = tarn_value_get(k->value, &bytes, &w.error);
        CHECK(status == TARN_OK || status == TARN_NOT_FOUND);
        if (status == TARN_OK) {
            CHECK(bytes.size == sizeof c);
            memcpy(&c, bytes.data, sizeof c);
        }
        if (c.count != restored->cells[g].count) {
            print_message(
                "group %" PRIu32 " has seen %" PRIu64 " records instead of %" PRIu64 "\n",
                g,
                c.count,
                restored->cells[g].count);
        }
        CHECK(c.count == restored->cells[g].count && c.sum == restored->cells[g].sum);
    }
}

/* Restoring is not disturbed: what it needs was announced as whole. */
void sim_real_start(worker *k, uint64_t restore_id, const content *restored)
{
    const bool was_over = w.is_over;
    const uint32_t dies_after = w.dies_after;
    tarn_checkpoint *checkpoint = NULL;
    sim_real_finish_all();
    w.is_over = true;
    w.dies_after = 0;
    set_open(true);
    if (restore_id != 0) {
        CHECK_OK(tarn_driver_open_checkpoint(w.driver, restore_id, &checkpoint, &w.error));
    }
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = w.env;
    options.operator_name = "worker";
    options.directory = k->directory;
    options.subtask_index = k->index;
    options.parallelism = w.parallelism[1];
    options.max_parallelism = GROUPS;
    options.restore = checkpoint;
    CHECK_OK(tarn_backend_open(&options, &k->backend, &w.error));
    tarn_checkpoint_free(checkpoint);
    set_open(false);
    w.is_over = was_over;
    w.dies_after = dies_after;
    k->value = fixture_open_value(k->backend, "cells");
    check_restored(k, restored);
    for (uint32_t g = k->first; g <= k->last; g++) {
        if (restored->in_flight[g].count > 0) {
            sim_real_add(k, g, restored->in_flight[g]);
        }
    }
}

void sim_real_stop(worker *k)
{
    sim_real_finish_all();
    CHECK_OK(tarn_value_close(k->value, &w.error));
    CHECK_OK(tarn_backend_close(k->backend, &w.error));
}

/* --- Its snapshots --- */

tarn_status sim_real_begin(worker *k, snapshot *s, tarn_pending_checkpoint *pending)
{
    sim_real_finish_all();
    const tarn_status status = tarn_snapshot_begin(k->backend, pending, &s->real, &w.error);
    if (status != TARN_OK) {
        return status;
    }
    real.under_way = s;
    return tarn_snapshot_add_state(
        s->real, SIM_CELLS_NAME, tarn_bytes_at(k->cells, sizeof k->cells), &w.error);
}

/* What was uploaded and not kept is taken back by the thread that uploads. */
static void await_take_back(void)
{
    set_open(true);
    tarn__env_await_ends(w.env);
    set_open(false);
}

tarn_status sim_real_finish(snapshot *s, tarn_buffer *bytes)
{
    sim_real_upload(s);
    tarn_status status = TARN_OK;
    if (s->kept.size > 0) {
        status = tarn_snapshot_add_state(
            s->real, TARN_CHANNEL_STATE_NAME, tarn_buffer_bytes(&s->kept), &w.error);
    }
    if (status != TARN_OK) {
        return status;
    }
    tarn_snapshot *ended = s->real;
    s->real = NULL;
    status = tarn_snapshot_finish(ended, bytes, &w.error);
    await_take_back();
    return status;
}

bool sim_real_end_errand(void)
{
    const bool had_errand = real.has_errand;
    if (had_errand) {
        await_take_back();
        real.has_errand = false;
    }
    return had_errand;
}

/* The task may do so at any time, and does not wait for the storage. */
void sim_real_abandon(snapshot *s)
{
    if (real.under_way == s && sim_chance(80) && stop_within(s, (uint32_t)sim_below(5))) {
        tarn_snapshot_abandon(s->real);
        s->real = NULL;
        real.under_way = NULL;
        real.has_errand = true;
        w.interrupted_count++;
        return;
    }
    sim_real_upload(s);
    tarn_snapshot_abandon(s->real);
    await_take_back();
    s->real = NULL;
}
