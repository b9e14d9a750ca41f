/* operator_fixture.c - see operator_fixture.h. */
#include "support/operator_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static tarn_error error; /* Of the latest failure. */

tarn_budget *operator_budget(uint64_t heap_bytes, const tarn_allocator *allocator)
{
    const tarn_budget_options options = {
        .struct_size = sizeof options,
        .limit_bytes = {[TARN_POOL_HEAP] = heap_bytes},
        .allocator = allocator,
    };
    tarn_budget *budget = NULL;
    assert_ok(tarn_budget_open(&options, &budget, &error), &error);
    return budget;
}

tarn__operator_store_options operator_options(
    tarn_budget *budget,
    uint32_t subtask,
    uint32_t parallelism,
    const operator_pieces *pieces,
    tarn__operator_source *source)
{
    if (pieces != NULL) {
        *source = (tarn__operator_source){
            .pieces = pieces->items,
            .piece_count = pieces->count,
            .parallelism = pieces->parallelism,
        };
    }
    return (tarn__operator_store_options){
        .budget = budget,
        .operator_name = "sink",
        .subtask_index = subtask,
        .parallelism = parallelism,
        .bytes_max = OPERATOR_LIMIT,
        .clock = tarn__clock_system(),
        .restore = pieces != NULL ? source : NULL,
    };
}

tarn_operator_store *operator_open(
    tarn_budget *budget, uint32_t subtask, uint32_t parallelism, const operator_pieces *pieces)
{
    tarn__operator_source source;
    const tarn__operator_store_options options =
        operator_options(budget, subtask, parallelism, pieces, &source);
    tarn_operator_store *store = NULL;
    assert_ok(tarn__operator_store_open(&options, &store, &error), &error);
    return store;
}

void operator_close(tarn_operator_store *store)
{
    assert_ok(tarn_operator_store_close(store, &error), &error);
}

tarn_operator_list *operator_list(
    tarn_operator_store *store, const char *name, tarn_redistribution redistribution)
{
    tarn_operator_state_options options = TARN_OPERATOR_STATE_OPTIONS_INIT;
    options.name = name;
    options.redistribution = redistribution;
    tarn_operator_list *list = NULL;
    assert_ok(tarn_operator_list_open(store, &options, &list, &error), &error);
    return list;
}

tarn_broadcast *operator_broadcast(tarn_operator_store *store, const char *name)
{
    tarn_operator_state_options options = TARN_OPERATOR_STATE_OPTIONS_INIT;
    options.name = name;
    tarn_broadcast *map = NULL;
    assert_ok(tarn_broadcast_open(store, &options, &map, &error), &error);
    return map;
}

void operator_write(tarn_operator_store *store, operator_pieces *pieces)
{
    tarn_operator_snapshot *snapshot = NULL;
    assert_ok(tarn_operator_snapshot_new(store, &snapshot, &error), &error);
    uint32_t count = 0;
    const tarn_checkpoint_operator_state *states = tarn_operator_snapshot_states(snapshot, &count);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(pieces->count < OPERATOR_PIECES_MAX);
        void *copy = malloc(states[i].bytes.size);
        assert_non_null(copy);
        memcpy(copy, states[i].bytes.data, states[i].bytes.size);
        snprintf(pieces->names[pieces->count], sizeof pieces->names[0], "%s", states[i].name);
        pieces->items[pieces->count++] = (tarn__operator_piece){
            .subtask = store->subtask_index,
            .bytes = tarn_bytes_at(copy, states[i].bytes.size),
        };
    }
    pieces->parallelism = store->parallelism;
    tarn_operator_snapshot_free(snapshot);
}

void operator_pieces_clear(operator_pieces *pieces)
{
    for (size_t i = 0; i < pieces->count; i++) {
        union {
            const void *read;
            void *freed;
        } bytes = {.read = pieces->items[i].bytes.data};
        free(bytes.freed);
    }
    pieces->count = 0;
}

void operator_add_letters(tarn_operator_list *list, const char *letters)
{
    for (; *letters != '\0'; letters++) {
        assert_ok(tarn_operator_list_add(list, tarn_bytes_at(letters, 1), &error), &error);
    }
}

void operator_expect_letters(const tarn_operator_list *list, const char *letters)
{
    char found[256] = "";
    assert_true(tarn_operator_list_count(list) < sizeof found);
    for (uint64_t i = 0; i < tarn_operator_list_count(list); i++) {
        tarn_bytes element;
        assert_int_equal(tarn_operator_list_get(list, i, &element), TARN_OK);
        assert_int_equal(element.size, 1);
        found[i] = *(const char *)element.data;
    }
    assert_string_equal(found, letters);
}
