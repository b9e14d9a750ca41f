/*
 * operator_snapshot.c - what all states of a store hold at one moment, as parts of a checkpoint.
 *
 *     one block:  [snapshot][part 0][part 1]...[names of long states' parts][bytes of all parts]
 *
 * A part ends where the next element would not fit. An element has 8 MiB at most, so every part but
 * the last of a state is more than half full, which bounds their number before they are cut.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/try.h"
#include "state/operator_store.h"

enum {
    NAME_BYTES = TARN__OPERATOR_NAME_BYTES_MAX + 1,
    PART_BYTES_MIN = /* Of every part but the last. */
    TARN__OPERATOR_PART_BYTES_MAX - TARN_OPERATOR_ELEMENT_BYTES_MAX - 2 * TARN__OPERATOR_SIZE_BYTES,
};
_Static_assert(PART_BYTES_MIN > TARN__OPERATOR_PART_BYTES_MAX / 3, "parts are too small");

struct tarn_operator_snapshot {
    tarn_operator_store *store;
    uint32_t count;
    tarn_checkpoint_operator_state *parts;
    char (*names)[NAME_BYTES];
    uint8_t *bytes; /* Of all parts, one after the other. */
    size_t used;    /* Of bytes. */
};

/* How many parts a state has at most. */
static size_t parts_max(const tarn__operator_state *state)
{
    return state->bytes / PART_BYTES_MIN + 1;
}

static tarn_status new_snapshot(
    tarn_operator_store *store, tarn_operator_snapshot **out, tarn_error *error)
{
    size_t part_count = 0;
    for (const tarn__operator_state *state = store->first; state != NULL; state = state->next) {
        part_count += parts_max(state);
    }
    const size_t parts_bytes = part_count * sizeof(tarn_checkpoint_operator_state);
    const size_t names_bytes = part_count * NAME_BYTES;
    void *memory = NULL;
    TARN_TRY(tarn__operator_allocate(
        store,
        sizeof **out + parts_bytes + names_bytes + part_count * TARN__OPERATOR_HEADER_BYTES_MAX +
            store->bytes,
        &memory,
        error));
    tarn_operator_snapshot *snapshot = memory;
    uint8_t *behind = (uint8_t *)(snapshot + 1);
    *snapshot = (tarn_operator_snapshot){
        .store = store,
        .parts = (tarn_checkpoint_operator_state *)(void *)behind,
        .names = (char(*)[NAME_BYTES])(void *)(behind + parts_bytes),
        .bytes = behind + parts_bytes + names_bytes,
    };
    *out = snapshot;
    return TARN_OK;
}

/* A part that is being written. */
typedef struct writer {
    tarn_operator_snapshot *snapshot;
    uint32_t first; /* The state's first part. */
    tarn__operator_part part;
    uint8_t *begin; /* Of the part: its header. */
    uint8_t *elements;
} writer;

static void begin_part(writer *w)
{
    tarn_operator_snapshot *snapshot = w->snapshot;
    w->begin = snapshot->bytes + snapshot->used;
    w->part.part_index = snapshot->count - w->first;
    w->part.element_count = 0;
    w->part.elements = tarn_bytes_at(NULL, 0);
    w->elements = w->begin + tarn__operator_header_encode(&w->part, w->begin);
}

/* Ends the part; number_parts() completes its header. */
static void end_part(writer *w, uint32_t state_index)
{
    tarn_operator_snapshot *snapshot = w->snapshot;
    (void)tarn__operator_header_encode(&w->part, w->begin);
    char *name = snapshot->names[snapshot->count];
    if (w->part.part_index == 0) {
        (void)snprintf(
            name,
            NAME_BYTES,
            "%.*s",
            (int)w->part.descriptor.name.size,
            (const char *)w->part.descriptor.name.data);
    } else {
        (void)snprintf(
            name,
            NAME_BYTES,
            TARN__OPERATOR_RESERVED_PREFIX "%" PRIu32 "-%" PRIu32,
            state_index,
            w->part.part_index);
    }
    const size_t size = (size_t)(w->elements - w->begin) + w->part.elements.size;
    snapshot->parts[snapshot->count++] = (tarn_checkpoint_operator_state){
        .name = name,
        .bytes = tarn_bytes_at(w->begin, size),
    };
    snapshot->used += size;
}

/* Says in each of the state's parts how many there are; header is that of the first. */
static void number_parts(const writer *w, uint8_t *header)
{
    const tarn_operator_snapshot *snapshot = w->snapshot;
    for (uint32_t i = w->first; i < snapshot->count; i++) {
        tarn__operator_header_set_part_count(header, snapshot->count - w->first);
        header += snapshot->parts[i].bytes.size;
    }
}

/* The index of the first element of a list, from first on, that a part no longer holds. */
static uint64_t find_cut(const tarn_operator_list *list, uint64_t first)
{
    const uint64_t begin = list->starts[first];
    if (list->base.bytes - begin <= TARN__OPERATOR_PART_BYTES_MAX) {
        return list->base.count;
    }
    uint64_t fits = first; /* Ends at or before the limit. */
    uint64_t exceeds = list->base.count;
    while (exceeds - fits > 1) {
        const uint64_t middle = fits + (exceeds - fits) / 2;
        if (list->starts[middle] - begin <= TARN__OPERATOR_PART_BYTES_MAX) {
            fits = middle;
        } else {
            exceeds = middle;
        }
    }
    return fits;
}

static void write_list(writer *w, const tarn_operator_list *list, uint32_t state_index)
{
    uint64_t at = 0;
    do {
        begin_part(w);
        if (list->base.count > 0) {
            const uint64_t end = find_cut(list, at);
            const size_t from = list->starts[at];
            const size_t to = end < list->base.count ? list->starts[end] : list->base.bytes;
            memcpy(w->elements, list->data + from, to - from);
            w->part.elements = tarn_bytes_at(w->elements, to - from);
            w->part.element_count = end - at;
            at = end;
        }
        end_part(w, state_index);
    } while (at < list->base.count);
}

static void write_broadcast(writer *w, const tarn_broadcast *map, uint32_t state_index)
{
    begin_part(w);
    for (const tarn__broadcast_node *node = map->first[0]; node != NULL; node = node->next[0]) {
        const tarn__operator_element element = {
            .key = tarn__broadcast_key(node),
            .value = tarn__broadcast_value(node),
        };
        const size_t bytes = tarn__operator_element_bytes(
            TARN__OPERATOR_BROADCAST, node->key_bytes, node->value_bytes);
        if (bytes > TARN__OPERATOR_PART_BYTES_MAX - w->part.elements.size) {
            end_part(w, state_index);
            begin_part(w);
        }
        (void)tarn__operator_element_encode(
            TARN__OPERATOR_BROADCAST, &element, w->elements + w->part.elements.size);
        w->part.elements = tarn_bytes_at(w->elements, w->part.elements.size + bytes);
        w->part.element_count++;
    }
    end_part(w, state_index);
}

static void write_states(tarn_operator_snapshot *snapshot)
{
    uint32_t state_index = 0;
    const tarn__operator_state *state = snapshot->store->first;
    for (; state != NULL; state = state->next) {
        uint8_t *first_header = snapshot->bytes + snapshot->used;
        writer w = {
            .snapshot = snapshot,
            .first = snapshot->count,
            .part = {.descriptor = tarn__operator_describe(state)},
        };
        if (state->kind == TARN__OPERATOR_LIST) {
            write_list(&w, (const tarn_operator_list *)state, state_index);
        } else {
            write_broadcast(&w, (const tarn_broadcast *)state, state_index);
        }
        assert(snapshot->count - w.first <= parts_max(state));
        number_parts(&w, first_header);
        state_index++;
    }
}

tarn_status tarn_operator_snapshot_new(
    tarn_operator_store *store, tarn_operator_snapshot **out, tarn_error *error)
{
    if (store == NULL || out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "store and out are required");
    }
    const uint64_t began_ns = tarn__clock_monotonic_ns(store->clock);
    tarn_operator_snapshot *snapshot = NULL;
    TARN_TRY(new_snapshot(store, &snapshot, error));
    write_states(snapshot);
    const uint64_t held_ns = tarn__clock_monotonic_ns(store->clock) - began_ns;
    tarn_operator_store_stats *stats = &store->stats;
    stats->snapshot_count++;
    stats->snapshot_last_ns = held_ns;
    if (held_ns > stats->snapshot_ns_max) {
        stats->snapshot_ns_max = held_ns;
    }
    if (snapshot->used > stats->snapshot_bytes_max) {
        stats->snapshot_bytes_max = snapshot->used;
    }
    (void)atomic_fetch_add(&store->snapshot_count, 1);
    *out = snapshot;
    return TARN_OK;
}

const tarn_checkpoint_operator_state *tarn_operator_snapshot_states(
    const tarn_operator_snapshot *snapshot, uint32_t *count_out)
{
    *count_out = snapshot->count;
    return snapshot->parts;
}

void tarn_operator_snapshot_free(tarn_operator_snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    tarn_operator_store *store = snapshot->store;
    tarn__release(snapshot);
    /* The last that is done with the store, which may be closed from now on. */
    (void)atomic_fetch_sub(&store->snapshot_count, 1);
}
