/*
 * operator_state_traces.c - lists and broadcast maps, written by some subtasks, restored by others.
 *
 *     before[i].ops ──► store i ──► snapshot ──► acknowledgement ──► decode ──► restore ──►
 * after[j]
 *
 * A case names the order in which split lists are dealt out (Java's HashMap decides it there),
 * which is given to the restore; from a checkpoint it is the order of their names.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "snapshot/metadata.h"
#include "state/operator_store.h"

#include "vectors.h"

enum { SUBTASKS_MAX = 64, STATES_MAX = 64, PIECES_MAX = SUBTASKS_MAX * STATES_MAX };

static const char operator_name[] = "operator";

typedef struct run {
    const json_t *states;
    uint32_t parallelism;
    uint32_t new_parallelism;
    tarn_budget *budget;
    tarn__account account; /* Of decoded metadata. */
    tarn__metadata written[SUBTASKS_MAX];
    uint32_t written_count;
    tarn__operator_piece pieces[PIECES_MAX];
    size_t piece_count;
    const char *split_order[STATES_MAX];
    size_t split_count;
    char *why;
    size_t why_bytes;
} run;

/* A state by its name in a store. */
typedef struct handle {
    tarn_operator_list *list;
    tarn_broadcast *map; /* When list is NULL. */
} handle;

static tarn_bytes text_of(const json_t *text)
{
    return tarn_bytes_at(json_string_value(text), json_string_length(text));
}

static tarn_status open_state(
    tarn_operator_store *store, const json_t *state, handle *out, tarn_error *error)
{
    const char *mode = vectors_text(state, "mode");
    tarn_operator_state_options options = TARN_OPERATOR_STATE_OPTIONS_INIT;
    options.name = vectors_text(state, "name");
    *out = (handle){0};
    if (mode != NULL && strcmp(mode, "broadcast") == 0) {
        return tarn_broadcast_open(store, &options, &out->map, error);
    }
    options.redistribution = mode != NULL && strcmp(mode, "union") == 0 ? TARN_REDISTRIBUTE_UNION
                                                                        : TARN_REDISTRIBUTE_SPLIT;
    return tarn_operator_list_open(store, &options, &out->list, error);
}

static bool find_state(run *r, tarn_operator_store *store, const char *name, handle *out)
{
    size_t i = 0;
    const json_t *state = NULL;
    json_array_foreach(r->states, i, state)
    {
        const char *given = vectors_text(state, "name");
        if (name != NULL && given != NULL && strcmp(given, name) == 0) {
            tarn_error error;
            return open_state(store, state, out, &error) == TARN_OK ||
                   vectors_differ(r->why, r->why_bytes, "%s", error.message);
        }
    }
    return vectors_differ(
        r->why, r->why_bytes, "an operation on no state (%s)", name != NULL ? name : "null");
}

/* ---- operations -------------------------------------------------------------------------- */

static tarn_status write_all(handle to, const json_t *values, bool replaces, tarn_error *error)
{
    enum { VALUES_MAX = 4096 };
    static tarn_bytes elements[VALUES_MAX];
    const size_t count = json_array_size(values);
    for (size_t i = 0; i < count && i < VALUES_MAX; i++) {
        elements[i] = text_of(json_array_get(values, i));
    }
    if (count > VALUES_MAX || !json_is_array(values)) {
        return TARN_INVALID_ARGUMENT;
    }
    return replaces ? tarn_operator_list_replace(to.list, elements, count, error)
                    : tarn_operator_list_add_all(to.list, elements, count, error);
}

static tarn_status perform(handle to, const json_t *op, tarn_error *error)
{
    const char *name = vectors_text(op, "op");
    const tarn_bytes key = text_of(json_object_get(op, "map_key"));
    const json_t *value = json_object_get(op, "value");
    snprintf(error->message, sizeof error->message, "an unknown operation");
    if (name == NULL) {
        return TARN_INVALID_ARGUMENT;
    }
    if (strcmp(name, "clear") == 0) {
        if (to.list != NULL) {
            tarn_operator_list_clear(to.list);
        } else {
            tarn_broadcast_clear(to.map);
        }
        return TARN_OK;
    }
    if (to.list == NULL) {
        if (strcmp(name, "put") == 0 && json_is_string(value)) {
            return tarn_broadcast_put(to.map, key, text_of(value), error);
        }
        if (strcmp(name, "remove") == 0) {
            tarn_broadcast_remove(to.map, key);
            return TARN_OK;
        }
        return TARN_INVALID_ARGUMENT;
    }
    if (strcmp(name, "add") == 0 && json_is_string(value)) {
        return tarn_operator_list_add(to.list, text_of(value), error);
    }
    const bool replaces = strcmp(name, "update") == 0;
    return replaces || strcmp(name, "add_all") == 0
               ? write_all(to, json_object_get(op, "values"), replaces, error)
               : TARN_INVALID_ARGUMENT;
}

static bool perform_all(run *r, tarn_operator_store *store, const json_t *ops)
{
    size_t i = 0;
    const json_t *op = NULL;
    json_array_foreach(ops, i, op)
    {
        handle to;
        tarn_error error;
        if (!find_state(r, store, vectors_text(op, "state"), &to)) {
            return false;
        }
        if (perform(to, op, &error) != TARN_OK) {
            return vectors_differ(r->why, r->why_bytes, "operation %zu: %s", i, error.message);
        }
        vectors_note_compared(1);
    }
    return true;
}

/* ---- comparison -------------------------------------------------------------------------- */

static bool is_list(const tarn_operator_list *list, const json_t *expected)
{
    const size_t count = json_array_size(expected);
    bool is_same = json_is_array(expected) && tarn_operator_list_count(list) == count;
    for (size_t i = 0; i < count && is_same; i++) {
        tarn_bytes element;
        is_same = tarn_operator_list_get(list, i, &element) == TARN_OK &&
                  tarn_bytes_is_equal(element, text_of(json_array_get(expected, i)));
    }
    return is_same;
}

static bool is_map(const tarn_broadcast *map, const json_t *expected)
{
    tarn_broadcast_cursor cursor = TARN_BROADCAST_CURSOR_INIT;
    tarn_broadcast_entry entry;
    size_t count = 0;
    while (tarn_broadcast_next(map, &cursor, &entry, NULL) == TARN_OK) {
        const json_t *pair = json_array_get(expected, count++);
        if (!tarn_bytes_is_equal(entry.key, text_of(json_array_get(pair, 0))) ||
            !tarn_bytes_is_equal(entry.value, text_of(json_array_get(pair, 1)))) {
            return false;
        }
    }
    return json_is_array(expected) && count == json_array_size(expected);
}

static bool check_contents(
    run *r, tarn_operator_store *store, const json_t *expected, const char *when, uint32_t subtask)
{
    size_t i = 0;
    const json_t *state = NULL;
    json_array_foreach(r->states, i, state)
    {
        const char *name = vectors_text(state, "name");
        handle found;
        if (!find_state(r, store, name, &found)) {
            return false;
        }
        const json_t *contents = json_object_get(expected, name);
        const bool is_same =
            found.list != NULL ? is_list(found.list, contents) : is_map(found.map, contents);
        if (!is_same) {
            return vectors_differ(
                r->why,
                r->why_bytes,
                "%s in subtask %" PRIu32 " %s differs (%" PRIu64 " elements, %zu expected)",
                name,
                subtask,
                when,
                found.list != NULL ? tarn_operator_list_count(found.list)
                                   : tarn_broadcast_count(found.map),
                json_array_size(contents));
        }
    }
    return true;
}

/* ---- writing and reading ----------------------------------------------------------------- */

static tarn_status open_store(
    const run *r,
    uint32_t subtask,
    uint32_t parallelism,
    const tarn__operator_source *source,
    tarn_operator_store **out,
    tarn_error *error)
{
    const tarn__operator_store_options options = {
        .budget = r->budget,
        .operator_name = operator_name,
        .subtask_index = subtask,
        .parallelism = parallelism,
        .bytes_max = TARN__OPERATOR_STORE_BYTES_DEFAULT,
        .clock = tarn__clock_system(),
        .restore = source,
    };
    return tarn__operator_store_open(&options, out, error);
}

/* Takes a snapshot through an acknowledgement and keeps what is read back of it. */
static tarn_status write_and_read(
    run *r, tarn_operator_store *store, uint32_t subtask, tarn_error *error)
{
    tarn_operator_snapshot *snapshot = NULL;
    tarn_buffer bytes = TARN_BUFFER_INIT;
    uint32_t count = 0;
    tarn_status status = tarn_operator_snapshot_new(store, &snapshot, error);
    if (status == TARN_OK) {
        const tarn_checkpoint_operator_state *states =
            tarn_operator_snapshot_states(snapshot, &count);
        status = tarn_acknowledgement_encode(
            1, operator_name, subtask, r->parallelism, states, count, &bytes, error);
    }
    tarn_operator_snapshot_free(snapshot);
    tarn__metadata *metadata = &r->written[r->written_count];
    if (status == TARN_OK) {
        status = tarn__metadata_decode(
            tarn_buffer_bytes(&bytes),
            TARN__METADATA_ACKNOWLEDGEMENT,
            &r->account,
            metadata,
            error);
    }
    tarn_buffer_clear(&bytes);
    if (status != TARN_OK) {
        return status;
    }
    r->written_count++;
    for (uint32_t i = 0; i < metadata->subtasks[0].piece_count && r->piece_count < PIECES_MAX;
         i++) {
        r->pieces[r->piece_count++] = (tarn__operator_piece){
            .subtask = subtask,
            .bytes = metadata->subtasks[0].pieces[i].bytes,
        };
    }
    return TARN_OK;
}

static bool run_before(run *r, const json_t *before, uint32_t subtask)
{
    tarn_operator_store *store = NULL;
    tarn_error error;
    if (open_store(r, subtask, r->parallelism, NULL, &store, &error) != TARN_OK) {
        return vectors_differ(r->why, r->why_bytes, "%s", error.message);
    }
    bool agrees = perform_all(r, store, json_object_get(before, "ops")) &&
                  check_contents(r, store, json_object_get(before, "contents"), "before", subtask);
    if (agrees && write_and_read(r, store, subtask, &error) != TARN_OK) {
        agrees = vectors_differ(r->why, r->why_bytes, "%s", error.message);
    }
    return tarn_operator_store_close(store, &error) == TARN_OK && agrees;
}

static bool run_after(run *r, const json_t *after, uint32_t subtask)
{
    const tarn__operator_source source = {
        .pieces = r->pieces,
        .piece_count = r->piece_count,
        .parallelism = r->parallelism,
        .split_order = r->split_order,
        .split_count = r->split_count,
    };
    tarn_operator_store *store = NULL;
    tarn_error error;
    if (open_store(r, subtask, r->new_parallelism, &source, &store, &error) != TARN_OK) {
        return vectors_differ(r->why, r->why_bytes, "%s", error.message);
    }
    const bool agrees = check_contents(r, store, after, "after", subtask);
    return tarn_operator_store_close(store, &error) == TARN_OK && agrees;
}

static bool run_all(run *r, const json_t *vector_case)
{
    const json_t *before = json_object_get(vector_case, "before");
    const json_t *after = json_object_get(vector_case, "after");
    if (json_array_size(before) != r->parallelism || json_array_size(after) != r->new_parallelism) {
        return vectors_differ(r->why, r->why_bytes, "the case lacks subtasks");
    }
    for (uint32_t i = 0; i < r->parallelism; i++) {
        const json_t *subtask = json_array_get(before, i);
        if (!json_is_null(subtask) && !run_before(r, subtask, i)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < r->new_parallelism; i++) {
        if (!run_after(r, json_array_get(after, i), i)) {
            return false;
        }
    }
    return true;
}

static bool read_case(run *r, const json_t *vector_case)
{
    int64_t parallelism = 0;
    int64_t new_parallelism = 0;
    const json_t *order = json_object_get(vector_case, "split_order");
    r->states = json_object_get(vector_case, "states");
    r->split_count = json_array_size(order);
    if (!vectors_integer(vector_case, "parallelism", &parallelism) ||
        !vectors_integer(vector_case, "new_parallelism", &new_parallelism) || parallelism < 1 ||
        new_parallelism < 1 || parallelism > SUBTASKS_MAX || new_parallelism > SUBTASKS_MAX ||
        json_array_size(r->states) > STATES_MAX || r->split_count > STATES_MAX) {
        return vectors_differ(r->why, r->why_bytes, "the case asks for more than the runner has");
    }
    r->parallelism = (uint32_t)parallelism;
    r->new_parallelism = (uint32_t)new_parallelism;
    for (size_t i = 0; i < r->split_count; i++) {
        r->split_order[i] = json_string_value(json_array_get(order, i));
        if (r->split_order[i] == NULL) {
            return vectors_differ(r->why, r->why_bytes, "split_order holds what is no name");
        }
    }
    return true;
}

bool vectors_operator_state_traces(const json_t *vector_case, char *why, size_t why_bytes)
{
    static run r;
    r = (run){.why = why, .why_bytes = why_bytes};
    if (!read_case(&r, vector_case)) {
        return false;
    }
    const tarn_budget_options options = {
        .struct_size = sizeof options,
        .limit_bytes = {TARN_UNLIMITED, TARN_UNLIMITED, TARN_UNLIMITED, TARN_UNLIMITED},
    };
    tarn_error error;
    if (tarn_budget_open(&options, &r.budget, &error) != TARN_OK) {
        return vectors_differ(why, why_bytes, "%s", error.message);
    }
    tarn__account_init(&r.account, "vectors", NULL);
    const bool agrees = run_all(&r, vector_case);
    for (uint32_t i = 0; i < r.written_count; i++) {
        tarn__metadata_clear(&r.written[i]);
    }
    if (tarn_budget_close(r.budget, &error) != TARN_OK) {
        return vectors_differ(why, why_bytes, "%s", error.message);
    }
    return agrees;
}
