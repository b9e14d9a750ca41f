/* sim_snapshots.c - what a worker uploads and acknowledges. */
#include "sim/sim_world.h"

#include <stdio.h>
#include <string.h>

static void leave(tarn__upload *upload)
{
    CHECK(w.left_count < LEFT_MAX);
    tarn__upload_leave(upload);
    w.left[w.left_count++] = upload;
    w.left_total++;
}

/* Who gives an upload up does not wait until what it sent is gone, unless all goes with it. */
static void end_upload(tarn__upload *upload, bool is_kept)
{
    if (upload != NULL && upload == w.running) {
        leave(upload); /* A request of it is under way. */
        w.interrupted_count++;
        return;
    }
    if (upload == NULL || is_kept || atomic_load(&w.storage.is_dead) || w.left_count == LEFT_MAX ||
        !sim_chance(50)) {
        tarn__upload_free(upload);
        return;
    }
    leave(upload);
}

/*
 * While a request of an upload is under way, on a thread of its own, time passes and the driver's
 * threads go on: what the upload belongs to may be given up, and cleaned, meanwhile.
 */
void sim_interrupt(void)
{
    if (w.running == NULL || w.is_interrupted || !sim_chance(3)) {
        return;
    }
    w.is_interrupted = true;
    w.now_ns += sim_chance(50) ? w.options.timeout_ms * 1000000 : 0;
    for (uint64_t i = 0, count = 1 + sim_below(4); i < count; i++) {
        tarn__driver_poll(w.driver);
        tarn__driver_run_job(w.driver, sim_below(2) == 0 ? TARN__LANE_WRITE : TARN__LANE_DELETE);
    }
    w.is_interrupted = false;
}

void sim_end_left(void)
{
    const uint32_t at = (uint32_t)sim_below(w.left_count);
    tarn__upload *upload = w.left[at];
    w.left[at] = w.left[--w.left_count];
    tarn__upload_free(upload);
}

void sim_drop_snapshot(snapshot *s)
{
    if (s->is_used && w.is_real) {
        sim_real_abandon(s);
        tarn_buffer_clear(&s->kept);
        s->is_used = false;
    } else if (s->is_used) {
        end_upload(s->upload, s->is_kept);
        tarn__base_free(s->base);
        tarn_buffer_clear(&s->kept);
        s->is_used = false;
    }
}

void sim_drop_checkpoint(worker *k, uint64_t id)
{
    for (uint32_t i = 0; i < SNAPSHOTS_MAX; i++) {
        if (k->snapshots[i].id == id) {
            sim_drop_snapshot(&k->snapshots[i]);
        }
    }
}

static void decline(worker *k, uint64_t id, tarn_checkpoint_failure reason)
{
    sim_drop_checkpoint(k, id);
    tarn_driver_decline(w.driver, k->task, id, reason, NULL);
}

typedef struct row {
    uint64_t group;
    uint64_t count;
    uint64_t sum;
} row;

/* Writes what has changed to new files, as a store of immutable tables does, and links all. */
static void link_files(worker *k, snapshot *s)
{
    for (uint32_t chunk = 0; chunk < CHUNKS; chunk++) {
        row rows[CHUNK_GROUPS];
        uint32_t count = 0;
        for (uint32_t g = chunk * CHUNK_GROUPS; g < (chunk + 1) * CHUNK_GROUPS; g++) {
            if (g >= k->first && g <= k->last) {
                rows[count++] =
                    (row){.group = g, .count = k->cells[g].count, .sum = k->cells[g].sum};
            }
        }
        if (count > 0 && k->files[chunk] == 0) {
            k->files[chunk] = ++w.file_number;
            sim_write_file(k->files[chunk], rows, count * sizeof rows[0]);
        }
        uint32_t place = s->file_count;
        while (count > 0 && place > 0 && s->files[place - 1] > k->files[chunk]) {
            s->files[place] = s->files[place - 1];
            place--;
        }
        if (count > 0) {
            s->files[place] = k->files[chunk];
            s->file_count++;
        }
    }
}

static tarn_status open_upload(worker *k, snapshot *s, tarn_pending_checkpoint *pending)
{
    link_files(k, s);
    const tarn__upload_options options = {
        .checkpoint = pending,
        .operator_name = "worker",
        .subtask_index = k->index,
        .account = &w.account,
        .buffers = &w.account,
        .calls = sim_file_calls(),
        .packing = w.packing,
    };
    return tarn__upload_open(&options, &s->upload, &w.error);
}

void sim_take_snapshot(worker *k, uint64_t id)
{
    snapshot *s = NULL;
    sim_trace("take", id * 100 + k->task);
    for (uint32_t i = 0; i < SNAPSHOTS_MAX; i++) {
        s = !k->snapshots[i].is_used ? &k->snapshots[i] : s;
    }
    tarn_pending_checkpoint *pending = NULL;
    if (s == NULL || sim_chance(2) ||
        tarn_driver_borrow(w.driver, id, &pending, &w.error) != TARN_OK) {
        decline(k, id, TARN_FAILURE_CHECKPOINT_DECLINED);
        return;
    }
    *s = (snapshot){.is_used = true, .id = id};
    const tarn_status status =
        w.is_real ? sim_real_begin(k, s, pending) : open_upload(k, s, pending);
    tarn_driver_give_back(w.driver, id);
    if (status != TARN_OK) {
        decline(k, id, TARN_FAILURE_CHECKPOINT_ASYNC_EXCEPTION);
    }
}

static void remember_base(worker *k, snapshot *s)
{
    if (k->base_count == BASES_MAX) {
        tarn__base_free(k->bases[0].base);
        memmove(k->bases, k->bases + 1, (BASES_MAX - 1) * sizeof k->bases[0]);
        k->base_count--;
    }
    k->bases[k->base_count].id = s->id;
    k->bases[k->base_count++].base = s->base;
    s->base = NULL;
}

/* The base that it builds on stays until its end, whatever becomes the worker's. */
static tarn_status run_interruptibly(worker *k, const snapshot *s, const tarn__local_files *files)
{
    tarn__base *base = k->base;
    w.running = s->upload;
    w.running_base = base;
    const tarn_status status = tarn__upload_run(s->upload, "snapshot", files, base, &w.error);
    w.running = NULL;
    if (k->base != base) {
        tarn__base_free(base);
    }
    return status;
}

static tarn_status run_upload(worker *k, snapshot *s)
{
    s->has_run = true;
    if (w.is_real) {
        if (sim_chance(15)) {
            return TARN_ABANDONED; /* The task wants it no more. */
        }
        sim_real_upload(s);
        return TARN_OK; /* What came of it is said at its end. */
    }
    char names[CHUNKS][16];
    tarn__local_file items[CHUNKS + 1];
    tarn__local_files files = {.items = items, .count = s->file_count + 1};
    for (uint32_t i = 0; i < s->file_count; i++) {
        snprintf(names[i], sizeof names[i], "%06" PRIu32 ".sst", s->files[i]);
        items[i] = (tarn__local_file){.name = names[i], .is_shared = true};
    }
    items[s->file_count] = (tarn__local_file){.name = "CURRENT"};
    tarn_status status = run_interruptibly(k, s, &files);
    if (!s->is_used) {
        return TARN_OK; /* It was given up meanwhile, and ends by itself. */
    }
    if (status == TARN_OK) {
        status = tarn__upload_copy_base(s->upload, &w.account, &s->base, &w.error);
    }
    return status;
}

static tarn_status encode_upload(worker *k, snapshot *s, tarn_buffer *bytes)
{
    tarn__state_part state = {.name = "cells", .kind = "value", .codec_name = "cell"};
    tarn__piece_part piece = {
        .name = TARN_CHANNEL_STATE_NAME, .bytes = tarn_buffer_bytes(&s->kept)};
    tarn__subtask subtask = {
        .operator_name = "worker",
        .subtask_index = k->index,
        .parallelism = w.parallelism[1],
        .has_keyed_state = true,
        .max_parallelism = GROUPS,
        .key_groups = {.first = (uint16_t)k->first, .last = (uint16_t)k->last},
        .states = &state,
        .state_count = 1,
        .pieces = &piece,
        .piece_count = s->kept.size > 0 ? 1 : 0,
    };
    tarn__upload_describe(s->upload, &subtask);
    const tarn_status status = tarn__acknowledgement_encode(s->id, &subtask, bytes, &w.error);
    return status == TARN_OK ? tarn__upload_keep(s->upload, &w.error) : status;
}

/* What is acknowledged may be said twice, or never be heard. */
static tarn_status finish_upload(worker *k, snapshot *s)
{
    tarn_buffer bytes = TARN_BUFFER_INIT;
    tarn_status status = w.is_real ? sim_real_finish(s, &bytes) : encode_upload(k, s, &bytes);
    sim_trace("acknowledge", s->id * 100 + k->task);
    const tarn_bytes part = tarn_buffer_bytes(&bytes);
    const uint32_t repeats = sim_chance(5) ? 2 : 1;
    for (uint32_t i = 0; i < repeats && status == TARN_OK && !sim_chance(1); i++) {
        status = tarn_driver_acknowledge(w.driver, k->task, k->attempt, s->id, &part, 1, &w.error);
    }
    tarn_buffer_clear(&bytes);
    return status;
}

/* One step of some snapshot; false: there was nothing to do. */
bool sim_advance_snapshot(worker *k)
{
    const uint32_t from = (uint32_t)sim_below(SNAPSHOTS_MAX);
    for (uint32_t i = 0; i < SNAPSHOTS_MAX; i++) {
        snapshot *s = &k->snapshots[(from + i) % SNAPSHOTS_MAX];
        if (!s->is_used || (s->has_run && !s->is_complete)) {
            continue;
        }
        if (!s->has_run) {
            if (run_upload(k, s) != TARN_OK) {
                decline(k, s->id, TARN_FAILURE_CHECKPOINT_ASYNC_EXCEPTION);
            }
        } else if (finish_upload(k, s) == TARN_OK) {
            if (!w.is_real) {
                remember_base(k, s);
            }
            s->is_kept = true;
            sim_drop_snapshot(s);
        } else {
            decline(k, s->id, TARN_FAILURE_CHECKPOINT_ASYNC_EXCEPTION);
        }
        return true;
    }
    return false;
}

void sim_note_complete(worker *k, uint64_t id)
{
    if (w.is_real) {
        tarn_backend_notify_complete(k->backend, id);
    }
    for (uint32_t i = 0; i < k->base_count; i++) {
        if (k->bases[i].id == id && id > k->base_id) {
            if (w.running == NULL || k->base != w.running_base) {
                tarn__base_free(k->base);
            }
            k->base = k->bases[i].base;
            k->base_id = id;
            k->base_count--;
            memmove(&k->bases[i], &k->bases[i + 1], (k->base_count - i) * sizeof k->bases[0]);
            return;
        }
    }
}
