/* sim_tasks.c - sources, the channels between them and the workers, and the workers' aligners. */
#include "sim/sim_world.h"

#include <stdio.h>
#include <string.h>

/* --- Barriers --- */

static void keep(worker *k, uint32_t channel_index, const item *record)
{
    CHECK_OK(tarn_channel_state_append(
        &k->kept, channel_index, tarn_bytes_at(record, sizeof *record), &w.error));
    tarn_aligner_add_kept(k->aligner, sizeof *record);
    w.kept_count++;
}

static void keep_queued(worker *k, const tarn_alignment_effect *effect)
{
    channel *c = &k->channels[effect->channel];
    k->keeping_id = effect->checkpoint_id;
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->items[i].kind == ITEM_RECORD) {
            keep(k, effect->channel, &c->items[i]);
        } else if (c->items[i].barrier.checkpoint_id == effect->checkpoint_id) {
            break;
        }
    }
    c->is_kept = effect->is_open;
}

/* All that was in flight is known. A snapshot that could not be taken was declined already. */
static void complete_snapshot(worker *k, uint64_t id)
{
    for (uint32_t i = 0; i < SNAPSHOTS_MAX; i++) {
        snapshot *s = &k->snapshots[i];
        if (s->is_used && s->id == id) {
            s->is_complete = true;
            s->kept = k->kept;
            k->kept = (tarn_buffer)TARN_BUFFER_INIT;
        }
    }
    k->kept.size = 0;
}

static void abandon_alignment(worker *k, const tarn_alignment_effect *effect)
{
    const bool is_kept = k->keeping_id == effect->checkpoint_id;
    for (uint32_t i = 0; is_kept && i < w.parallelism[0]; i++) {
        k->kept.size = 0;
        k->channels[i].is_kept = false;
    }
    sim_drop_checkpoint(k, effect->checkpoint_id);
    if (!effect->is_known) {
        tarn_driver_decline(w.driver, k->task, effect->checkpoint_id, effect->reason, NULL);
    }
}

void sim_tell_aligner(worker *k, tarn_barrier event)
{
    event.now_ms = sim_now_ms();
    const tarn_alignment_effects effects = tarn_aligner_step(k->aligner, &event);
    CHECK(tarn__aligner_is_valid(k->aligner));
    for (uint32_t i = 0; i < effects.count; i++) {
        const tarn_alignment_effect *effect = &effects.items[i];
        switch (effect->kind) {
        case TARN_ALIGN_BLOCK:
        case TARN_ALIGN_UNBLOCK:
            k->channels[effect->channel].is_blocked = effect->kind == TARN_ALIGN_BLOCK;
            break;
        case TARN_ALIGN_KEEP:
            keep_queued(k, effect);
            break;
        case TARN_ALIGN_KEPT:
            k->channels[effect->channel].is_kept = false;
            break;
        case TARN_ALIGN_SNAPSHOT:
            sim_take_snapshot(k, effect->checkpoint_id);
            break;
        case TARN_ALIGN_COMPLETE:
            complete_snapshot(k, effect->checkpoint_id);
            break;
        case TARN_ALIGN_ABANDONED:
            abandon_alignment(k, effect);
            break;
        }
    }
}

static void tell_barrier(
    worker *k, uint32_t channel_index, tarn_barrier_kind kind, const tarn_driver_barrier *barrier)
{
    sim_tell_aligner(
        k,
        (tarn_barrier){
            .kind = kind,
            .channel = channel_index,
            .checkpoint_id = barrier->checkpoint_id,
            .alignment = barrier->alignment,
            .timeout_ms = barrier->aligned_timeout_ms,
        });
}

/* --- Tasks --- */

static void enqueue(worker *k, uint32_t channel_index, const item *it)
{
    channel *c = &k->channels[channel_index];
    if (k->is_down) {
        return; /* It will be sent again, or belongs to a checkpoint that fails. */
    }
    CHECK(c->count < ITEMS_MAX);
    c->items[c->count++] = *it;
    if (it->kind == ITEM_RECORD) {
        c->record_count++;
        if (c->is_kept) {
            keep(k, channel_index, it);
        }
    } else {
        tell_barrier(k, channel_index, TARN_BARRIER_ARRIVED, &it->barrier);
    }
}

static void take_record(worker *k, const item *record)
{
    sim_add_record(k->cells, record->group, record->hash);
    k->files[record->group / CHUNK_GROUPS] = 0;
    if (w.is_real) {
        sim_real_add(k, record->group, (cell){.count = 1, .sum = record->hash});
    }
}

bool sim_work(worker *k)
{
    const uint32_t from = (uint32_t)sim_below(w.parallelism[0]);
    for (uint32_t i = 0; i < w.parallelism[0]; i++) {
        const uint32_t index = (from + i) % w.parallelism[0];
        channel *c = &k->channels[index];
        if (c->count == 0 || c->is_blocked) {
            continue;
        }
        const item first = c->items[0];
        if (first.kind == ITEM_BARRIER) {
            tell_barrier(k, index, TARN_BARRIER_REACHED, &first.barrier);
        } else {
            c->record_count--;
            CHECK(first.group >= k->first && first.group <= k->last);
            take_record(k, &first);
            tarn_aligner_add_processed(k->aligner, sizeof first);
        }
        c->count--;
        memmove(c->items, c->items + 1, c->count * sizeof c->items[0]);
        return true;
    }
    return false;
}

static void emit(uint32_t source)
{
    const item record = sim_record_at(source, w.positions[source]);
    worker *k = &w.workers[sim_owner_of(record.group)];
    if (k->channels[source].record_count < RECORDS_QUEUED_MAX) {
        enqueue(k, source, &record);
        w.positions[source]++;
    }
}

/* A source sends the barrier and answers; records go on before others have sent theirs. */
static void send_barrier(uint32_t source)
{
    const item it = {.kind = ITEM_BARRIER, .barrier = w.barriers[source][0]};
    sim_trace(source ? "barrier of 1" : "barrier of 0", it.barrier.checkpoint_id);
    w.barrier_counts[source]--;
    memmove(
        w.barriers[source],
        w.barriers[source] + 1,
        w.barrier_counts[source] * sizeof w.barriers[source][0]);
    tarn_buffer bytes = TARN_BUFFER_INIT;
    const tarn_checkpoint_operator_state state = {
        .name = "position",
        .bytes = tarn_bytes_at(&w.positions[source], sizeof w.positions[source]),
    };
    CHECK_OK(tarn_acknowledgement_encode(
        it.barrier.checkpoint_id, "source", source, w.parallelism[0], &state, 1, &bytes, &w.error));
    const tarn_bytes part = tarn_buffer_bytes(&bytes);
    if (!sim_chance(1)) {
        CHECK_OK(tarn_driver_acknowledge(
            w.driver,
            source,
            w.source_attempts[source],
            it.barrier.checkpoint_id,
            &part,
            1,
            &w.error));
    }
    tarn_buffer_clear(&bytes);
    for (uint32_t i = 0; i < w.parallelism[1]; i++) {
        enqueue(&w.workers[i], source, &it);
    }
}

/* The context is the source's position. */
static bool trigger(const tarn_driver_barrier *barrier, void *context)
{
    const uint32_t source = (uint32_t)((uint64_t *)context - w.positions);
    if (w.barrier_counts[source] == BARRIERS_MAX || sim_chance(1)) {
        return false;
    }
    w.barriers[source][w.barrier_counts[source]++] = *barrier;
    return true;
}

bool sim_run_source(uint32_t source)
{
    bool is_free = !w.source_is_down[source];
    for (uint32_t i = 0; i < w.parallelism[1]; i++) {
        is_free = is_free && w.workers[i].channels[source].count < ITEMS_MAX - RECORDS_QUEUED_MAX;
    }
    if (w.barrier_counts[source] > 0 && is_free && (w.is_over || sim_chance(40))) {
        send_barrier(source);
        return true;
    }
    if (!w.is_over && !w.source_is_down[source]) {
        emit(source);
    }
    return false;
}

static void note_complete(uint64_t id, void *context)
{
    CHECK(id <= w.announced_id);
    sim_note_complete(context, id);
}

static void note_aborted(uint64_t id, void *context)
{
    worker *k = context;
    sim_drop_checkpoint(k, id);
    sim_tell_aligner(k, (tarn_barrier){.kind = TARN_BARRIER_GIVE_UP, .checkpoint_id = id});
}

static void stop_worker(worker *k)
{
    for (uint32_t i = 0; i < SNAPSHOTS_MAX; i++) {
        sim_drop_snapshot(&k->snapshots[i]);
    }
    for (uint32_t i = 0; i < k->base_count; i++) {
        tarn__base_free(k->bases[i].base);
    }
    tarn__base_free(k->base);
    tarn_buffer_clear(&k->kept);
    tarn_aligner_close(k->aligner);
    if (w.is_real) {
        sim_real_stop(k);
        scratch_remove(k->directory);
    }
    memset(k, 0, sizeof *k);
}

void sim_stop_tasks(void)
{
    for (uint32_t task = 0; task < w.parallelism[0] + w.parallelism[1]; task++) {
        tarn_driver_end_task(w.driver, task, TARN_TASK_END_STOPPED);
    }
    for (uint32_t i = 0; i < w.parallelism[1]; i++) {
        if (!w.workers[i].is_down) {
            stop_worker(&w.workers[i]);
        }
        w.workers[i].is_down = false;
    }
}

static void start_worker(uint32_t index, uint64_t restore_id, const content *restored)
{
    worker *k = &w.workers[index];
    const uint32_t p = w.parallelism[1];
    k->index = index;
    k->task = w.parallelism[0] + index;
    k->first = (index * GROUPS + p - 1) / p;
    k->last = ((index + 1) * GROUPS - 1) / p;
    for (uint32_t g = k->first; g <= k->last; g++) {
        k->cells[g].count = restored->cells[g].count + restored->in_flight[g].count;
        k->cells[g].sum = restored->cells[g].sum + restored->in_flight[g].sum;
    }
    if (w.is_real) {
        snprintf(k->directory, sizeof k->directory, "%.3000s/work-%u", root.path, ++w.file_number);
        scratch_make_directory(k->directory);
        sim_real_start(k, restore_id, restored);
    }
    CHECK_OK(tarn_aligner_open(
        w.parallelism[0], w.options.is_at_least_once, NULL, &k->aligner, &w.error));
    const tarn_driver_task callbacks = {
        .struct_size = sizeof callbacks,
        .notify_complete = note_complete,
        .notify_aborted = note_aborted,
        .context = k,
    };
    CHECK_OK(tarn_driver_start_task(w.driver, k->task, &callbacks, &k->attempt, &w.error));
}

/* Everything begins at a checkpoint; 0: at the beginning. */
void sim_start_tasks(uint64_t restore_id)
{
    content c = {.positions = {0}};
    CHECK(restore_id >= w.restorable_id);
    w.own_id = restore_id;
    if (restore_id != 0) {
        sim_read_checkpoint(restore_id, &c);
        sim_check_content(&c);
    }
    for (uint32_t s = 0; s < w.parallelism[0]; s++) {
        w.positions[s] = c.positions[s];
        w.barrier_counts[s] = 0;
        w.source_is_down[s] = false;
        const tarn_driver_task callbacks = {
            .struct_size = sizeof callbacks,
            .trigger = trigger,
            .context = &w.positions[s],
        };
        CHECK_OK(tarn_driver_start_task(w.driver, s, &callbacks, &w.source_attempts[s], &w.error));
    }
    for (uint32_t i = 0; i < w.parallelism[1]; i++) {
        start_worker(i, restore_id, &c);
    }
    CHECK_OK(tarn_driver_start(w.driver, &w.error));
    sim_trace("start", restore_id);
}

/* --- One alone --- */

/* What it had under way has no end: its requests go nowhere, as those of a process that died. */
void sim_kill_worker(worker *k)
{
    const uint32_t task = k->task;
    const bool was_dead = atomic_load(&w.storage.is_dead);
    if (w.is_real) {
        sim_real_finish_all(); /* Of others, who live on. */
    }
    atomic_store(&w.storage.is_dead, true);
    stop_worker(k);
    atomic_store(&w.storage.is_dead, was_dead);
    k->is_down = true;
    tarn_driver_end_task(w.driver, task, TARN_TASK_END_FAILED);
    sim_trace("kill", task);
}

/*
 * It has its state of the latest checkpoint of this run (a savepoint may have ended after all began
 * anew from before it), and sources know what they have sent since. Barriers in between are lost:
 * their checkpoints have failed with it.
 */
void sim_revive_worker(uint32_t index)
{
    content c = {.positions = {0}};
    worker *k = &w.workers[index];
    if (w.own_id != 0) {
        sim_read_checkpoint(w.own_id, &c);
        sim_check_content(&c);
    }
    k->is_down = false;
    start_worker(index, w.own_id, &c);
    for (uint32_t s = 0; s < w.parallelism[0]; s++) {
        for (uint64_t p = c.positions[s]; p < w.positions[s]; p++) {
            const item record = sim_record_at(s, p);
            if (sim_owner_of(record.group) == index) {
                take_record(k, &record);
            }
        }
    }
    w.revived_count++;
    sim_trace("revive", w.own_id);
}
