/* sim_model.c - what the state must be, and what a checkpoint says it is. */
#include "sim/sim_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

world w;
scratch root;

uint64_t sim_below(uint64_t bound)
{
    return tarn__random_below(&w.random, bound);
}

bool sim_chance(uint32_t percent)
{
    return !w.is_over && sim_below(100) < percent;
}

uint64_t sim_now_ms(void)
{
    return w.now_ns / 1000000;
}

void sim_trace(const char *text, uint64_t number)
{
    uint64_t hash = tarn__random_mix(w.trace ^ w.now_ns) + number;
    for (; text != NULL && *text != '\0'; text++) {
        hash = hash * 31 + (uint8_t)*text;
    }
    w.trace = tarn__random_mix(hash);
}

/* --- The model --- */

item sim_record_at(uint32_t source, uint64_t position)
{
    const uint64_t hash = tarn__random_mix(w.seed ^ tarn__random_mix(position * 2 + source + 1));
    return (item){.kind = ITEM_RECORD, .group = (uint32_t)(hash % GROUPS), .hash = hash};
}

void sim_add_record(cell *cells, uint32_t group, uint64_t hash)
{
    cells[group].count++;
    cells[group].sum += hash;
}

uint32_t sim_owner_of(uint32_t group)
{
    return group * w.parallelism[1] / GROUPS;
}

/* What the state must be when the sources stand there. */
static void compute_cells(const uint64_t *positions, cell *cells)
{
    memset(cells, 0, GROUPS * sizeof *cells);
    for (uint32_t s = 0; s < w.parallelism[0]; s++) {
        for (uint64_t p = 0; p < positions[s]; p++) {
            const item record = sim_record_at(s, p);
            sim_add_record(cells, record.group, record.hash);
        }
    }
}

/* --- Reading a checkpoint, past all faults --- */

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
    sim_add_record(c->in_flight, record.group, record.hash);
    return TARN_OK;
}

/* A backend's cells are told twice: in its files, which a restore reads, and beside them. */
static void take_cells(const tarn__subtask *subtask, tarn_bytes bytes, content *c)
{
    const tarn_key_group_range range = {
        .first = subtask->key_groups.first, .last = subtask->key_groups.last};
    CHECK(bytes.size == sizeof c->cells);
    for (uint32_t g = range.first; g <= range.last; g++) {
        CHECK(!c->has_cell[g]);
        c->has_cell[g] = true;
        memcpy(&c->cells[g], (const cell *)bytes.data + g, sizeof c->cells[g]);
    }
}

/* Every byte of every file is read and compared with its digest. */
static void read_subtask(tarn_storage *storage, const tarn__subtask *subtask, content *c)
{
    static uint8_t buffer[1 << 20];
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        const tarn__file_part *file = &subtask->files[i];
        CHECK_OK(tarn__checkpoint_read_file(
            storage,
            file,
            buffer,
            sizeof buffer,
            file->is_shared && !w.is_real ? take_rows : NULL,
            c,
            &w.error));
    }
    for (uint32_t i = 0; i < subtask->piece_count; i++) {
        const tarn__piece_part *piece = &subtask->pieces[i];
        if (strcmp(piece->name, TARN_CHANNEL_STATE_NAME) == 0) {
            CHECK_OK(tarn_channel_state_read(piece->bytes, take_kept, c, &w.error));
        } else if (strcmp(piece->name, SIM_CELLS_NAME) == 0) {
            take_cells(subtask, piece->bytes, c);
        } else {
            memcpy(&c->positions[subtask->subtask_index], piece->bytes.data, sizeof(uint64_t));
        }
    }
}

void sim_read_checkpoint_of(const job *j, uint64_t id, content *c)
{
    tarn__metadata metadata;
    memset(c, 0, sizeof *c);
    CHECK_OK(tarn__checkpoint_read_metadata(j->plain, id, &w.account, &metadata, &w.error));
    for (uint32_t i = 0; i < metadata.subtask_count; i++) {
        read_subtask(j->plain, &metadata.subtasks[i], c);
    }
    tarn__metadata_clear(&metadata);
}

/* A savepoint of backends lies in a directory of its own. */
void sim_read_savepoint(const char *path, content *c)
{
    tarn_storage *plain = NULL;
    tarn__metadata metadata;
    memset(c, 0, sizeof *c);
    CHECK(strncmp(path, SIM_ADDRESS "/", sizeof SIM_ADDRESS) == 0);
    CHECK_OK(fault_storage_open(
        &w.storage, path + sizeof SIM_ADDRESS, /* is_plain= */ true, &plain, &w.error));
    CHECK_OK(tarn__savepoint_read_metadata(plain, &w.account, &metadata, &w.error));
    for (uint32_t i = 0; i < metadata.subtask_count; i++) {
        read_subtask(plain, &metadata.subtasks[i], c);
    }
    tarn__metadata_clear(&metadata);
    tarn__storage_free(plain);
}

/* What the job was restored from lies in the directory of the job before it. */
void sim_read_checkpoint(uint64_t id, content *c)
{
    bool is_owned = false;
    char address[TARN__CHECKPOINT_PATH_BYTES] = "";
    const bool is_stored =
        tarn__store_locate(w.driver->options.store, id, &is_owned, address, sizeof address);
    const bool is_elsewhere = is_stored && address[0] != '\0';
    CHECK(!is_elsewhere || w.job_count > 1);
    sim_read_checkpoint_of(&w.jobs[w.job_count - (is_elsewhere ? 2 : 1)], id, c);
}

/* A checkpoint holds what its positions say: not a record is lost, and none is doubled. */
void sim_check_content(const content *c)
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
