/* table_rows.c - see table_rows.h. */
#include "snapshot/table_rows.h"

#include <string.h>

#include "base/try.h"
#include "snapshot/stored.h"

static const char DEFAULT_FAMILY[] = "default";

void tarn__table_states_init(tarn__table_states *states, tarn__account *account)
{
    *states = (tarn__table_states){.account = account};
    tarn__arena_init(&states->arena, account);
}

void tarn__table_states_clear(tarn__table_states *states)
{
    tarn__arena_clear(&states->arena);
    states->first = NULL;
}

static tarn__table_state *find(const tarn__table_states *states, tarn_bytes name)
{
    tarn__table_state *state = states->first;
    while (state != NULL && !tarn_bytes_is_equal(tarn_bytes_of(state->state.name), name)) {
        state = state->next;
    }
    return state;
}

const tarn__rows_state *tarn__table_states_get(const tarn__table_states *states, const char *name)
{
    const tarn__table_state *state = find(states, tarn_bytes_of(name));
    return state != NULL ? &state->state : NULL;
}

/* ---- descriptors ------------------------------------------------------------------------ */

/* Rows of the family that are none of states have names that no state has. */
static tarn_status take_descriptor(
    tarn__table_states *states, const tarn__table_entry *entry, tarn_error *error)
{
    tarn__descriptor descriptor;
    if (entry->type != TARN__TABLE_VALUE || entry->key.size == 0 ||
        entry->key.size > TARN__METADATA_NAME_BYTES_MAX ||
        tarn__descriptor_decode(entry->value, &descriptor) != TARN__DESCRIPTOR_OK) {
        return TARN_OK;
    }
    tarn__table_state *state = find(states, entry->key);
    if (state == NULL) {
        state = tarn__arena_allocate(&states->arena, 1, sizeof *state);
        if (state == NULL) {
            return tarn__fail_no_memory(error, "a state", sizeof *state);
        }
        memcpy(state->state.name, entry->key.data, entry->key.size);
        state->next = states->first;
        states->first = state;
    } else if (state->sequence > entry->sequence) {
        return TARN_OK;
    }
    state->sequence = entry->sequence;
    state->state.descriptor = descriptor;
    state->state.descriptor.schema_count = 0; /* They lie in the entry, and nobody asks. */
    return TARN_OK;
}

static tarn_status read_descriptors(
    tarn__table_states *states, tarn__table *table, tarn_error *error)
{
    tarn__table_entry entry;
    tarn_status status = TARN_OK;
    if (strcmp(table->family, DEFAULT_FAMILY) != 0) {
        return TARN_OK;
    }
    while ((status = tarn__table_read(table, &entry, error)) == TARN_OK) {
        TARN_TRY(take_descriptor(states, &entry, error));
    }
    return status;
}

static tarn__table_options options_of(tarn__account *account, tarn__stored *stored)
{
    return (tarn__table_options){
        .size = stored->file->content.size,
        .read = tarn__stored_read,
        .context = stored,
        .account = account,
    };
}

tarn_status tarn__table_states_find(
    tarn__table_states *states,
    tarn_storage *storage,
    const tarn__subtask *subtask,
    tarn_error *error)
{
    tarn__table_states_clear(states);
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        if (!tarn__file_is_table(&subtask->files[i])) {
            continue;
        }
        tarn__stored stored;
        tarn__stored_init(
            &stored, storage, &subtask->files[i], states->account, TARN__STORED_AHEAD_BYTES);
        const tarn__table_options options = options_of(states->account, &stored);
        tarn__table table;
        tarn_error reason;
        tarn_status status = tarn__table_open(&table, &options, &reason);
        if (status == TARN_OK) {
            status = read_descriptors(states, &table, &reason);
        }
        tarn__table_close(&table);
        tarn__stored_clear(&stored);
        if (tarn__is_of_memory(status)) {
            return tarn__fail(error, status, "%s", reason.message);
        }
    }
    return TARN_OK;
}

/* ---- rows ------------------------------------------------------------------------------- */

static int compare(tarn_bytes a, tarn_bytes b)
{
    const size_t size = a.size < b.size ? a.size : b.size;
    const int order = size > 0 ? memcmp(a.data, b.data, size) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static tarn_status check_row(
    const tarn__rows_state *state,
    const tarn__table_entry *entry,
    tarn_buffer *before,
    tarn_error *error)
{
    tarn_bytes key;
    if (compare(tarn_buffer_bytes(before), entry->key) > 0) {
        return tarn__fail(error, TARN_CORRUPTION, "a row is not in its order");
    }
    if (state != NULL && !tarn__rows_key_of(state, entry->key, &key)) {
        return tarn__fail(
            error, TARN_CORRUPTION, "a row is none of its state's, \"%s\"", state->name);
    }
    return tarn_buffer_assign(before, entry->key) == TARN_OK
               ? TARN_OK
               : tarn__fail_no_memory(error, "a row", entry->key.size);
}

static tarn_status check_rows(
    const tarn__table_states *states, tarn__table *table, uint64_t *row_count, tarn_error *error)
{
    const tarn__rows_state *state = tarn__table_states_get(states, table->family);
    TARN_AUTO(tarn_buffer_clear) tarn_buffer before = {.allocator = &states->account->face};
    tarn__table_entry entry;
    tarn_status status = TARN_OK;
    while ((status = tarn__table_read(table, &entry, error)) == TARN_OK) {
        TARN_TRY(check_row(state, &entry, &before, error));
        *row_count += entry.type == TARN__TABLE_VALUE || entry.type == TARN__TABLE_MERGE ? 1 : 0;
    }
    return status == TARN_DONE ? TARN_OK : status;
}

tarn_status tarn__verify_table(
    const tarn__table_states *states,
    tarn_storage *storage,
    const tarn__file_part *file,
    uint64_t *row_count,
    tarn_error *error)
{
    TARN_AUTO(tarn__stored_clear) tarn__stored stored;
    tarn__stored_init(&stored, storage, file, states->account, TARN__STORED_AHEAD_BYTES);
    const tarn__table_options options = options_of(states->account, &stored);
    tarn__table table;
    tarn_status status = tarn__table_open(&table, &options, error);
    if (status == TARN_OK) {
        status = check_rows(states, &table, row_count, error);
    }
    tarn__table_close(&table);
    if (status == TARN_CORRUPTION || status == TARN_NOT_SUPPORTED) {
        tarn__error_prefix(error, "%.200s/%.200s", storage->address, file->path);
    }
    return status;
}
