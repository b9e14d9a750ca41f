/*
 * Simulation of the whole system: driver, coordinator, aligners, uploader, registry and store over
 * virtual time, with a storage that loses requests and answers, and processes that die.
 *
 *     source 0 ──┬─ channel ─► worker 0: cells of its key groups, as files of a snapshot
 *     source 1 ──┴─ channel ─► worker 1 ...
 *
 * Sources emit records that follow from their numbers, so that the state at any position is known:
 * that of a checkpoint is compared with it, cell by cell, whenever one is announced or restored.
 * What happens next, and what fails, is drawn from the seed alone: the same seed is the same run.
 *
 * TARN_SEED=n replays one seed; TARN_LONG=1 runs many.
 */
#include "support/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "checkpoint/aligner.h"
#include "checkpoint/coordinator.h"
#include "checkpoint/driver.h"
#include "snapshot/checkpoint.h"
#include "snapshot/store_private.h"
#include "snapshot/upload.h"
#include "support/fault_storage.h"
#include "support/scratch.h"
#include "tarn/channel_state.h"

enum {
    SEEDS = 150,
    SEEDS_LONG = 100000,
    STEPS = 1500,
    GROUPS = 12,
    CHUNK_GROUPS = 4, /* Of one file. */
    CHUNKS = GROUPS / CHUNK_GROUPS,
    SOURCES_MAX = 2,
    WORKERS_MAX = 3,
    RECORDS_QUEUED_MAX = 12,
    ITEMS_MAX = 64,
    BARRIERS_MAX = 8,
    SNAPSHOTS_MAX = 16,
    BASES_MAX = 16,
    STORED_MAX = 64,
    MAIL_MAX = 200,
    REST_ROUNDS_MAX = 2000,
};

/* What a key group has seen. */
typedef struct cell {
    uint64_t count;
    uint64_t sum; /* Of the records' hashes. */
} cell;

typedef struct item {
    enum { ITEM_RECORD, ITEM_BARRIER } kind;
    uint32_t group;
    uint64_t hash;
    tarn_driver_barrier barrier;
} item;

typedef struct channel {
    item items[ITEMS_MAX];
    uint32_t count;
    uint32_t record_count;
    bool is_blocked;
    bool is_kept; /* What arrives is kept as well. */
} channel;

typedef struct snapshot {
    bool is_used;
    bool is_complete; /* All that was in flight is in kept. */
    bool has_run;
    uint64_t id;
    tarn__upload *upload;
    tarn__base *base;
    tarn_buffer kept;
    char directory[PATH_MAX];
} snapshot;

typedef struct worker {
    uint32_t index;
    uint32_t task;
    uint32_t attempt;
    uint32_t first; /* Key groups. */
    uint32_t last;
    cell cells[GROUPS];
    uint32_t files[CHUNKS]; /* Numbers of the live files; 0: to be written anew. */
    tarn_aligner *aligner;
    tarn_buffer kept; /* Of the checkpoint that is being aligned. */
    channel channels[SOURCES_MAX];
    snapshot snapshots[SNAPSHOTS_MAX];
    tarn__base *base; /* Of the latest complete checkpoint. */
    uint64_t base_id;
    struct {
        uint64_t id;
        tarn__base *base;
    } bases[BASES_MAX];
    uint32_t base_count;
    char directory[PATH_MAX];
} worker;

typedef struct world {
    uint64_t seed;
    tarn__random random;
    uint64_t now_ns;
    tarn__clock clock;
    tarn__account account;
    fault_storage storage;
    tarn_coordinator_options options;
    uint32_t parallelism[2];
    tarn_driver *driver;
    tarn_error error;
    uint64_t positions[SOURCES_MAX];
    uint32_t source_attempts[SOURCES_MAX];
    tarn_driver_barrier barriers[SOURCES_MAX][BARRIERS_MAX]; /* To be sent. */
    uint32_t barrier_counts[SOURCES_MAX];
    worker workers[WORKERS_MAX];
    uint32_t file_number;
    uint32_t fault_percent;
    tarn__packing packing;
    uint32_t dies_after; /* Operations of the storage; 0: not. */
    uint64_t announced_id;
    uint64_t restorable_id; /* Without savepoints: no restart begins there. */
    uint64_t completed_count;
    uint64_t request_count;
    uint64_t answered_count;
    bool is_over; /* Nothing fails any more. */
    bool has_crashed;
    bool is_in_doubt; /* Nobody knows whether some checkpoint was written. */
    bool must_fail_over;
} world;

static world w;
static scratch root;

#define CHECK(condition)                                       \
    do {                                                       \
        if (!(condition)) {                                    \
            fail_msg(                                          \
                "TARN_SEED=%" PRIu64 " at %" PRIu64 " ms: %s", \
                w.seed,                                        \
                w.now_ns / 1000000,                            \
                #condition);                                   \
        }                                                      \
    } while (0)

#define CHECK_OK(call)                           \
    do {                                         \
        const tarn_status check_status = (call); \
        if (check_status != TARN_OK) {           \
            fail_msg(                            \
                "TARN_SEED=%" PRIu64 ": %s: %s", \
                w.seed,                          \
                tarn_status_name(check_status),  \
                w.error.message);                \
        }                                        \
    } while (0)

static uint64_t below(uint64_t bound)
{
    return tarn__random_below(&w.random, bound);
}

static bool chance(uint32_t percent)
{
    return !w.is_over && below(100) < percent;
}

static uint64_t now_ms(void)
{
    return w.now_ns / 1000000;
}

static uint64_t monotonic_ns(void *context)
{
    (void)context;
    return w.now_ns;
}

static int64_t wall_ms(void *context)
{
    (void)context;
    return (int64_t)now_ms();
}

static fault_fate draw_fate(const char *operation, const char *name, void *context)
{
    (void)operation;
    (void)name;
    (void)context;
    if (w.dies_after > 0 && --w.dies_after == 0) {
        w.storage.is_dead = true;
    }
    if (w.is_over || below(100) >= w.fault_percent) {
        return FAULT_FATE_DONE;
    }
    return chance(50) ? FAULT_FATE_LOST : FAULT_FATE_UNANSWERED;
}

/* --- The model --- */

static item record_at(uint32_t source, uint64_t position)
{
    const uint64_t hash = tarn__random_mix(w.seed ^ tarn__random_mix(position * 2 + source + 1));
    return (item){.kind = ITEM_RECORD, .group = (uint32_t)(hash % GROUPS), .hash = hash};
}

static void add_record(cell *cells, uint32_t group, uint64_t hash)
{
    cells[group].count++;
    cells[group].sum += hash;
}

static uint32_t owner_of(uint32_t group)
{
    return group * w.parallelism[1] / GROUPS;
}

/* What the state must be when the sources stand there. */
static void compute_cells(const uint64_t *positions, cell *cells)
{
    memset(cells, 0, GROUPS * sizeof *cells);
    for (uint32_t s = 0; s < w.parallelism[0]; s++) {
        for (uint64_t p = 0; p < positions[s]; p++) {
            const item record = record_at(s, p);
            add_record(cells, record.group, record.hash);
        }
    }
}

/* --- Reading a checkpoint, past all faults --- */

typedef struct content {
    uint64_t positions[SOURCES_MAX];
    cell cells[GROUPS];
    bool has_cell[GROUPS];
    cell in_flight[GROUPS];
} content;

typedef struct row {
    uint64_t group;
    uint64_t count;
    uint64_t sum;
} row;

static tarn_status take_rows(tarn_bytes part, void *context, tarn_error *error)
{
    (void)error;
    content *c = context;
    CHECK(part.size % sizeof(row) == 0);
    for (size_t at = 0; at < part.size; at += sizeof(row)) {
        row r;
        memcpy(&r, (const uint8_t *)part.data + at, sizeof r);
        CHECK(r.group < GROUPS && !c->has_cell[r.group]);
        c->has_cell[r.group] = true;
        c->cells[r.group] = (cell){.count = r.count, .sum = r.sum};
    }
    return TARN_OK;
}

static tarn_status take_kept(
    uint32_t channel_index, tarn_bytes buffer, void *context, tarn_error *error)
{
    (void)error;
    content *c = context;
    item record;
    CHECK(channel_index < w.parallelism[0] && buffer.size == sizeof record);
    memcpy(&record, buffer.data, sizeof record);
    add_record(c->in_flight, record.group, record.hash);
    return TARN_OK;
}

static void read_subtask(const tarn__subtask *subtask, content *c)
{
    uint8_t buffer[4096];
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        const tarn__file_part *file = &subtask->files[i];
        CHECK_OK(tarn__checkpoint_read_file(
            w.storage.inner,
            file,
            buffer,
            sizeof buffer,
            file->is_shared ? take_rows : NULL,
            c,
            &w.error));
    }
    for (uint32_t i = 0; i < subtask->piece_count; i++) {
        const tarn__piece_part *piece = &subtask->pieces[i];
        if (strcmp(piece->name, TARN_CHANNEL_STATE_NAME) == 0) {
            CHECK_OK(tarn_channel_state_read(piece->bytes, take_kept, c, &w.error));
        } else {
            memcpy(&c->positions[subtask->subtask_index], piece->bytes.data, sizeof(uint64_t));
        }
    }
}

static void read_checkpoint(uint64_t id, content *c)
{
    tarn__metadata metadata;
    memset(c, 0, sizeof *c);
    CHECK_OK(tarn__checkpoint_read_metadata(w.storage.inner, id, &w.account, &metadata, &w.error));
    for (uint32_t i = 0; i < metadata.subtask_count; i++) {
        read_subtask(&metadata.subtasks[i], c);
    }
    tarn__metadata_clear(&metadata);
}

/* A checkpoint holds what its positions say: not a record is lost, and none is doubled. */
static void check_content(const content *c)
{
    cell expected[GROUPS];
    compute_cells(c->positions, expected);
    for (uint32_t g = 0; g < GROUPS; g++) {
        CHECK(c->has_cell[g]);
        const uint64_t count = c->cells[g].count + c->in_flight[g].count;
        const uint64_t sum = c->cells[g].sum + c->in_flight[g].sum;
        if (w.options.is_at_least_once) {
            CHECK(count >= expected[g].count);
        } else {
            CHECK(count == expected[g].count && sum == expected[g].sum);
        }
    }
}

/* --- Snapshots --- */

static void drop_snapshot(snapshot *s)
{
    if (s->is_used) {
        tarn__upload_free(s->upload);
        tarn__base_free(s->base);
        tarn_buffer_clear(&s->kept);
        scratch_remove(s->directory);
        s->is_used = false;
    }
}

static void drop_checkpoint(worker *k, uint64_t id)
{
    for (uint32_t i = 0; i < SNAPSHOTS_MAX; i++) {
        if (k->snapshots[i].id == id) {
            drop_snapshot(&k->snapshots[i]);
        }
    }
}

static void decline(worker *k, uint64_t id, tarn_checkpoint_failure reason)
{
    drop_checkpoint(k, id);
    tarn_driver_decline(w.driver, k->task, id, reason, NULL);
}

/* Writes what has changed to new files, as a store of immutable tables does, and links all. */
static void link_files(worker *k, const char *directory)
{
    char name[PATH_MAX];
    char linked[PATH_MAX];
    scratch_make_directory(directory);
    for (uint32_t chunk = 0; chunk < CHUNKS; chunk++) {
        row rows[CHUNK_GROUPS];
        uint32_t count = 0;
        for (uint32_t g = chunk * CHUNK_GROUPS; g < (chunk + 1) * CHUNK_GROUPS; g++) {
            if (g >= k->first && g <= k->last) {
                rows[count++] =
                    (row){.group = g, .count = k->cells[g].count, .sum = k->cells[g].sum};
            }
        }
        if (count == 0) {
            continue;
        }
        if (k->files[chunk] == 0) {
            k->files[chunk] = ++w.file_number;
            snprintf(name, sizeof name, "%.3000s/%06u.sst", k->directory, k->files[chunk]);
            scratch_write(name, rows, count * sizeof rows[0]);
        }
        snprintf(name, sizeof name, "%.3000s/%06u.sst", k->directory, k->files[chunk]);
        snprintf(linked, sizeof linked, "%.3000s/%06u.sst", directory, k->files[chunk]);
        CHECK(link(name, linked) == 0);
    }
    snprintf(name, sizeof name, "%.3000s/CURRENT", directory);
    scratch_write(name, &k->index, sizeof k->index);
}

static void take_snapshot(worker *k, uint64_t id)
{
    snapshot *s = NULL;
    for (uint32_t i = 0; i < SNAPSHOTS_MAX; i++) {
        s = !k->snapshots[i].is_used ? &k->snapshots[i] : s;
    }
    tarn_pending_checkpoint *pending = NULL;
    if (s == NULL || chance(2) || tarn_driver_borrow(w.driver, id, &pending, &w.error) != TARN_OK) {
        decline(k, id, TARN_FAILURE_CHECKPOINT_DECLINED);
        return;
    }
    *s = (snapshot){.is_used = true, .id = id};
    snprintf(s->directory, sizeof s->directory, "%.3000s/snap-%u", root.path, ++w.file_number);
    link_files(k, s->directory);
    const tarn__upload_options options = {
        .checkpoint = pending,
        .operator_name = "worker",
        .subtask_index = k->index,
        .account = &w.account,
        .buffers = &w.account,
        .packing = w.packing,
    };
    const tarn_status status = tarn__upload_open(&options, &s->upload, &w.error);
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

static tarn_status run_upload(worker *k, snapshot *s)
{
    tarn__local_files files;
    CHECK_OK(tarn__local_files_list(
        tarn__file_calls_system(), &w.account, s->directory, ".sst", &files, &w.error));
    tarn_status status = tarn__upload_run(s->upload, s->directory, &files, k->base, &w.error);
    tarn__local_files_clear(&files);
    if (status == TARN_OK) {
        status = tarn__upload_copy_base(s->upload, &w.account, &s->base, &w.error);
    }
    s->has_run = true;
    return status;
}

static tarn_status finish_upload(worker *k, snapshot *s)
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
    tarn_buffer bytes = TARN_BUFFER_INIT;
    tarn__upload_describe(s->upload, &subtask);
    tarn_status status = tarn__acknowledgement_encode(s->id, &subtask, &bytes, &w.error);
    if (status == TARN_OK) {
        status = tarn__upload_keep(s->upload, &w.error);
    }
    const tarn_bytes part = tarn_buffer_bytes(&bytes);
    const uint32_t repeats = chance(5) ? 2 : 1;
    for (uint32_t i = 0; i < repeats && status == TARN_OK && !chance(1); i++) {
        status = tarn_driver_acknowledge(w.driver, k->task, k->attempt, s->id, &part, 1, &w.error);
    }
    tarn_buffer_clear(&bytes);
    return status;
}

/* One step of some snapshot; false: there was nothing to do. */
static bool advance_snapshot(worker *k)
{
    const uint32_t from = (uint32_t)below(SNAPSHOTS_MAX);
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
            remember_base(k, s);
            drop_snapshot(s);
        } else {
            decline(k, s->id, TARN_FAILURE_CHECKPOINT_ASYNC_EXCEPTION);
        }
        return true;
    }
    return false;
}

/* --- Barriers --- */

static void keep(worker *k, uint32_t channel_index, const item *record)
{
    CHECK_OK(tarn_channel_state_append(
        &k->kept, channel_index, tarn_bytes_at(record, sizeof *record), &w.error));
    tarn_aligner_add_kept(k->aligner, sizeof *record);
}

static void keep_queued(worker *k, const tarn_alignment_effect *effect)
{
    channel *c = &k->channels[effect->channel];
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
    k->kept.size = 0;
    for (uint32_t i = 0; i < w.parallelism[0]; i++) {
        k->channels[i].is_kept = false;
    }
    drop_checkpoint(k, effect->checkpoint_id);
    if (!effect->is_known) {
        tarn_driver_decline(w.driver, k->task, effect->checkpoint_id, effect->reason, NULL);
    }
}

static void tell_aligner(worker *k, tarn_barrier event)
{
    event.now_ms = now_ms();
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
            take_snapshot(k, effect->checkpoint_id);
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
    tell_aligner(
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

static bool work(worker *k)
{
    const uint32_t from = (uint32_t)below(w.parallelism[0]);
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
            add_record(k->cells, first.group, first.hash);
            k->files[first.group / CHUNK_GROUPS] = 0;
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
    const item record = record_at(source, w.positions[source]);
    worker *k = &w.workers[owner_of(record.group)];
    if (k->channels[source].record_count < RECORDS_QUEUED_MAX) {
        enqueue(k, source, &record);
        w.positions[source]++;
    }
}

/* A source sends the barrier and answers; records go on before others have sent theirs. */
static void send_barrier(uint32_t source)
{
    const item it = {.kind = ITEM_BARRIER, .barrier = w.barriers[source][0]};
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
    if (!chance(1)) {
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
    if (w.barrier_counts[source] == BARRIERS_MAX || chance(1)) {
        return false;
    }
    w.barriers[source][w.barrier_counts[source]++] = *barrier;
    return true;
}

static bool run_source(uint32_t source)
{
    bool is_free = true;
    for (uint32_t i = 0; i < w.parallelism[1]; i++) {
        is_free = is_free && w.workers[i].channels[source].count < ITEMS_MAX - RECORDS_QUEUED_MAX;
    }
    if (w.barrier_counts[source] > 0 && is_free && (w.is_over || chance(40))) {
        send_barrier(source);
        return true;
    }
    if (!w.is_over) {
        emit(source);
    }
    return false;
}

static void note_complete(uint64_t id, void *context)
{
    worker *k = context;
    CHECK(id <= w.announced_id);
    for (uint32_t i = 0; i < k->base_count; i++) {
        if (k->bases[i].id == id && id > k->base_id) {
            tarn__base_free(k->base);
            k->base = k->bases[i].base;
            k->base_id = id;
            k->base_count--;
            memmove(&k->bases[i], &k->bases[i + 1], (k->base_count - i) * sizeof k->bases[0]);
            return;
        }
    }
}

static void note_aborted(uint64_t id, void *context)
{
    worker *k = context;
    drop_checkpoint(k, id);
    tell_aligner(k, (tarn_barrier){.kind = TARN_BARRIER_GIVE_UP, .checkpoint_id = id});
}

static void stop_worker(worker *k)
{
    for (uint32_t i = 0; i < SNAPSHOTS_MAX; i++) {
        drop_snapshot(&k->snapshots[i]);
    }
    for (uint32_t i = 0; i < k->base_count; i++) {
        tarn__base_free(k->bases[i].base);
    }
    tarn__base_free(k->base);
    tarn_buffer_clear(&k->kept);
    tarn_aligner_close(k->aligner);
    scratch_remove(k->directory);
    memset(k, 0, sizeof *k);
}

static void stop_tasks(void)
{
    for (uint32_t task = 0; task < w.parallelism[0] + w.parallelism[1]; task++) {
        tarn_driver_end_task(w.driver, task, TARN_TASK_END_STOPPED);
    }
    for (uint32_t i = 0; i < w.parallelism[1]; i++) {
        stop_worker(&w.workers[i]);
    }
}

static void start_worker(uint32_t index, const content *restored)
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
    snprintf(k->directory, sizeof k->directory, "%.3000s/work-%u", root.path, ++w.file_number);
    scratch_make_directory(k->directory);
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
static void start_tasks(uint64_t restore_id)
{
    content c = {.positions = {0}};
    CHECK(restore_id >= w.restorable_id);
    if (restore_id != 0) {
        read_checkpoint(restore_id, &c);
        check_content(&c);
    }
    for (uint32_t s = 0; s < w.parallelism[0]; s++) {
        w.positions[s] = c.positions[s];
        w.barrier_counts[s] = 0;
        const tarn_driver_task callbacks = {
            .struct_size = sizeof callbacks,
            .trigger = trigger,
            .context = &w.positions[s],
        };
        CHECK_OK(tarn_driver_start_task(w.driver, s, &callbacks, &w.source_attempts[s], &w.error));
    }
    for (uint32_t i = 0; i < w.parallelism[1]; i++) {
        start_worker(i, &c);
    }
    CHECK_OK(tarn_driver_start(w.driver, &w.error));
}

/* --- The process --- */

/* Nobody hears of a checkpoint that cannot be read, or that holds something else. */
static void hear(const tarn_driver_outcome *outcome, void *context)
{
    (void)context;
    w.answered_count += outcome->is_periodic ? 0 : 1;
    if (outcome->is_completed) {
        content c;
        const uint64_t id = outcome->checkpoint_id;
        const bool is_savepoint = tarn__kind_is_savepoint(outcome->kind);
        CHECK(is_savepoint || id > w.restorable_id);
        w.announced_id = id > w.announced_id ? id : w.announced_id;
        w.restorable_id = is_savepoint ? w.restorable_id : id;
        w.completed_count++;
        read_checkpoint(outcome->checkpoint_id, &c);
        check_content(&c);
    }
}

static void fail_job(const tarn_driver_outcome *outcome, void *context)
{
    (void)outcome;
    (void)context;
    w.must_fail_over = true;
}

static void take_log(const char *message, void *context)
{
    (void)context;
    w.is_in_doubt = w.is_in_doubt || strstr(message, "nobody knows") != NULL;
}

static void start_process(void)
{
    static const tarn_coordinator_edge edge = {.from = 0, .to = 1};
    w.parallelism[1] = 1 + (uint32_t)below(WORKERS_MAX);
    w.options.parallelism = w.parallelism;
    w.options.operator_count = 2;
    w.options.edges = &edge;
    w.options.edge_count = 1;
    const bool was_over = w.is_over;
    w.is_over = true; /* A store that cannot be opened is tried again: the faults come later. */
    tarn_checkpoint_store *store = NULL;
    const tarn__store_options store_options = {
        .address = "fault://",
        .job = "job",
        .storage = &w.storage.base,
        .retained_count = UINT32_MAX,
        .account = &w.account,
        .clock = &w.clock,
        .log = take_log,
    };
    CHECK_OK(tarn__store_open(&store_options, &store, &w.error));
    const tarn__driver_options options = {
        .account = &w.account,
        .clock = &w.clock,
        .store = store,
        .coordinator = &w.options,
        .address = "fault://",
        .job = "job",
        .history_count = 4,
        .hear = hear,
        .fail_job = fail_job,
        .is_manual = true,
    };
    CHECK_OK(tarn__driver_open(&options, &w.driver, &w.error));
    tarn__driver_poll(w.driver);
    tarn_coordinator_figures figures;
    tarn_driver_read_figures(w.driver, &figures);
    start_tasks(figures.latest_completed_id);
    w.is_over = was_over;
}

/* What a dead process does is done by nobody: its storage is dead until the next one begins. */
static void crash(void)
{
    w.storage.is_dead = true;
    w.dies_after = 0;
    w.has_crashed = true;
    stop_tasks();
    CHECK_OK(tarn_driver_close(w.driver, TARN_JOB_SUSPENDED, &w.error));
    w.driver = NULL;
    w.storage.is_dead = false;
    w.must_fail_over = false;
    /* Whoever had asked will not hear. */
    w.answered_count = w.request_count;
    start_process();
}

static void fail_over(void)
{
    uint64_t restore_id = 0;
    w.must_fail_over = false;
    CHECK_OK(tarn_driver_fail_over(w.driver, &restore_id, &w.error));
    stop_tasks();
    start_tasks(restore_id);
}

/* --- Invariants --- */

static uint32_t list_stored(uint64_t *ids)
{
    const uint32_t count = tarn_coordinator_list_stored(w.driver->coordinator, ids, STORED_MAX);
    CHECK(count <= STORED_MAX);
    return count;
}

static void check_stored(void)
{
    uint64_t ids[STORED_MAX];
    const uint32_t count = list_stored(ids);
    for (uint32_t i = 0; i < count; i++) {
        content c;
        read_checkpoint(ids[i], &c);
    }
}

static void check_bounds(void)
{
    uint64_t ids[STORED_MAX];
    uint32_t mail_count = 0;
    uint32_t ordinary = 0;
    for (const tarn__mail *mail = w.driver->mail; mail != NULL; mail = mail->next) {
        mail_count++;
    }
    CHECK(mail_count <= MAIL_MAX);
    const uint32_t count =
        tarn_coordinator_list_pending(w.driver->coordinator, ids, NULL, STORED_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const tarn__record *record = tarn__driver_find(w.driver, ids[i]);
        CHECK(record != NULL);
        ordinary += tarn__kind_is_savepoint(record->kind) ? 0 : 1;
    }
    CHECK(ordinary <= w.options.max_concurrent);
    CHECK(tarn__coordinator_is_valid(w.driver->coordinator));
}

/* --- Time --- */

static void request(void)
{
    static const tarn_checkpoint_kind kinds[] = {
        TARN_CHECKPOINT_INCREMENTAL, TARN_CHECKPOINT_FULL, TARN_CHECKPOINT_SAVEPOINT};
    CHECK_OK(tarn_driver_request(
        w.driver, kinds[below(sizeof kinds / sizeof kinds[0])], w.request_count++, &w.error));
}

static void tick_aligners(void)
{
    for (uint32_t i = 0; i < w.parallelism[1]; i++) {
        if (tarn_aligner_next_ms(w.workers[i].aligner) <= now_ms()) {
            tell_aligner(&w.workers[i], (tarn_barrier){.kind = TARN_BARRIER_TICK});
        }
    }
}

static void act(void)
{
    worker *k = &w.workers[below(w.parallelism[1])];
    const uint64_t what = below(100);
    if (what < 22) {
        run_source((uint32_t)below(w.parallelism[0]));
    } else if (what < 50) {
        work(k);
    } else if (what < 65) {
        advance_snapshot(k);
    } else if (what < 80) {
        tarn__driver_poll(w.driver);
    } else if (what < 90) {
        tarn__driver_run_job(w.driver, TARN__LANE_WRITE);
        check_stored();
    } else if (what < 96) {
        tarn__driver_run_job(w.driver, TARN__LANE_DELETE);
        check_stored();
    } else if (what < 98) {
        if (chance(50)) {
            request();
        }
    } else if (what < 99) {
        if (chance(20)) {
            tarn_driver_end_task(w.driver, (uint32_t)below(w.parallelism[0]), TARN_TASK_END_FAILED);
            w.must_fail_over = true;
        }
    } else if (chance(20)) {
        w.dies_after = 1 + (uint32_t)below(60);
    }
}

static void step(void)
{
    w.now_ns += below(10) < 3 ? 1000000 : 0;
    act();
    tick_aligners();
    if (w.storage.is_dead) {
        crash();
    } else if (w.must_fail_over) {
        fail_over();
    }
    check_bounds();
}

/* Everything that can happen happens, without faults. */
static void settle(void)
{
    bool has_moved = true;
    for (uint32_t round = 0; has_moved; round++) {
        CHECK(round < REST_ROUNDS_MAX);
        w.now_ns += 1000000;
        has_moved = w.driver->mail != NULL;
        tarn__driver_poll(w.driver);
        tick_aligners();
        for (uint32_t i = 0; i < w.parallelism[0]; i++) {
            has_moved = run_source(i) || has_moved;
        }
        for (uint32_t i = 0; i < w.parallelism[1]; i++) {
            has_moved = work(&w.workers[i]) || has_moved;
            has_moved = advance_snapshot(&w.workers[i]) || has_moved;
        }
        for (uint32_t lane = 0; lane < TARN__LANE_COUNT; lane++) {
            has_moved = tarn__driver_run_job(w.driver, lane) || has_moved;
        }
        has_moved = has_moved || w.driver->mail != NULL;
    }
}

/* --- The end --- */

static bool count_object(const tarn_storage_entry *entry, void *context);

typedef struct listing {
    char directory[512];
    uint32_t count;
} listing;

static uint32_t count_objects(const char *directory)
{
    listing l = {.count = 0};
    snprintf(l.directory, sizeof l.directory, "%s", directory);
    CHECK_OK(tarn__storage_list(w.storage.inner, directory, count_object, &l, &w.error));
    return l.count;
}

static bool count_object(const tarn_storage_entry *entry, void *context)
{
    listing *l = context;
    l->count += entry->is_directory ? 0 : 1;
    return true;
}

static bool count_below(const tarn_storage_entry *entry, void *context)
{
    listing *l = context;
    char name[512];
    snprintf(
        name,
        sizeof name,
        "%.200s%s%.200s",
        l->directory,
        l->directory[0] != '\0' ? "/" : "",
        entry->name);
    l->count += entry->is_directory ? count_objects(name) : 0;
    return true;
}

/* Shared files that lie in the storage. */
static uint32_t count_shared(void)
{
    listing l = {.directory = "shared"};
    CHECK_OK(tarn__storage_list(w.storage.inner, "shared", count_below, &l, &w.error));
    return l.count;
}

/* After quiet, a store holds what its checkpoints name, and nothing else. */
static void check_garbage(void)
{
    if (w.has_crashed || w.is_in_doubt) {
        return; /* What a dead process left is for who collects garbage. */
    }
    tarn_checkpoint_store *store = w.driver->options.store;
    CHECK(count_shared() == store->registry.count);
    CHECK(store->registry.garbage_count == 0 && store->condemned == NULL);
}

static void come_to_rest(void)
{
    w.is_over = true;
    w.dies_after = 0;
    if (w.storage.is_dead) {
        crash();
    }
    fail_over();
    CHECK_OK(tarn_driver_stop(w.driver, &w.error));
    settle();
    const uint64_t before = w.completed_count;
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_OK(tarn_driver_request(
            w.driver, TARN_CHECKPOINT_INCREMENTAL, w.request_count++, &w.error));
        settle();
    }
    CHECK(w.completed_count == before + 2);
    CHECK(w.answered_count == w.request_count);
    tarn_coordinator_figures figures;
    tarn_driver_read_figures(w.driver, &figures);
    CHECK(figures.pending_count == 0 && figures.queued_count == 0 && figures.cleaning_count == 0);
    check_stored();
    check_garbage();
    stop_tasks();
    CHECK_OK(tarn_driver_close(w.driver, TARN_JOB_SUSPENDED, &w.error));
}

static void configure(tarn_coordinator_options *o)
{
    o->interval_ms = 10 + below(100);
    o->min_pause_ms = chance(50) ? 0 : below(50);
    o->timeout_ms = 100 + below(400);
    o->max_concurrent = 1 + (uint32_t)below(3);
    o->tolerable_failures = chance(50) ? TARN_COORDINATOR_UNLIMITED : (uint32_t)below(3);
    o->retained_count = 1 + (uint32_t)below(3);
    o->is_at_least_once = chance(15);
    o->is_unaligned = o->max_concurrent == 1 && !o->is_at_least_once && chance(70);
    o->aligned_timeout_ms = chance(50) ? below(30) : 0;
    o->retention = TARN_CHECKPOINT_RETAIN_ON_CANCELLATION;
    o->pending_max = o->max_concurrent + 2;
    o->queue_max = 8;
}

static void run_seed(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    w.seed = seed;
    w.random.state = seed;
    w.now_ns = 1000000000;
    w.clock = (tarn__clock){.monotonic_ns = monotonic_ns, .wall_ms = wall_ms};
    w.parallelism[0] = 1 + (uint32_t)below(SOURCES_MAX);
    w.fault_percent = (uint32_t)below(4);
    if (chance(60)) {
        w.packing = (tarn__packing){
            .small_bytes = 1 + below(120), .segment_bytes = 60 + below(300), .waste_max = 1.5};
    }
    tarn__account_init(&w.account, "sim", NULL);
    fault_storage_init(&w.storage, &w.account, draw_fate, NULL);
    w.options = (tarn_coordinator_options)TARN_COORDINATOR_OPTIONS_INIT;
    configure(&w.options);
    start_process();
    for (uint32_t i = 0; i < STEPS; i++) {
        step();
    }
    come_to_rest();
    fault_storage_clear(&w.storage);
    CHECK(atomic_load(&w.account.block_count) == 0);
}

static void test_no_fault_makes_a_checkpoint_lie(void **state)
{
    (void)state;
    const char *seed = getenv("TARN_SEED");
    const char *is_long = getenv("TARN_LONG");
    scratch_init(&root);
    if (seed != NULL) {
        run_seed(strtoull(seed, NULL, 10));
    } else {
        const uint64_t count = is_long != NULL && strcmp(is_long, "1") == 0 ? SEEDS_LONG : SEEDS;
        uint64_t completed = 0;
        for (uint64_t i = 1; i <= count; i++) {
            run_seed(i);
            completed += w.completed_count;
        }
        print_message(
            "seeds 1 .. %" PRIu64 ", %" PRIu64 " checkpoints completed\n", count, completed);
        assert_true(completed > 5 * count); /* Two of each are those of the end. */
    }
    scratch_clear(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_fault_makes_a_checkpoint_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
