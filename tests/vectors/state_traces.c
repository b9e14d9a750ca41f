/*
 * state_traces.c - programs over keyed state, replayed on real backends, one per subtask.
 *
 *     subtask of a key's group ──► backend ──► its states, all of them open all the time
 *
 * Keys are UTF-8 hashed as Java's strings. int64 values are 8 bytes, big endian; a map's values
 * have a byte in front that tells null (0) from the rest (1). TTLs run on the clock of the program.
 *
 * Snapshots are checkpoints of a store in the program's directory; a restore opens new backends
 * from one, at the parallelism that it names.
 *
 * Timers of both domains are open too. An advance polls each subtask until nothing is due, and
 * checks that times do not go back; what fired is compared as a set, as Flink orders only times.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tarn/backend.h"
#include "tarn/checkpoint.h"
#include "tarn/keyed.h"
#include "tarn/snapshot.h"
#include "tarn/timer.h"
#include "tarn/working_set.h"

#include "vectors.h"

enum {
    SNAPSHOTS_MAX = 64,
    STATES_MAX = 16,
    SUBTASKS_MAX = 16,
    PATH_BYTES = 512,
    NUMBER_BYTES = 8,
    ITEMS_MAX = 4096,
    DOMAINS = 2,
};

typedef enum kind { KIND_VALUE, KIND_LIST, KIND_MAP, KIND_REDUCING, KIND_AGGREGATING } kind;

/* One state of one subtask. */
typedef union handle {
    tarn_value *value;
    tarn_list *list;
    tarn_map *map;
    tarn_reducing *reducing;
    tarn_aggregating *aggregating;
} handle;

typedef struct state {
    const char *name;
    kind kind;
    bool is_number; /* Values are int64; else text. */
    tarn_reducer reducer;
    bool has_ttl;
    tarn_ttl ttl;
} state;

typedef struct subtask {
    tarn_backend *backend;
    handle handles[STATES_MAX];
    tarn_timers *timers[DOMAINS]; /* By tarn_time_domain. */
} subtask;

typedef struct program {
    int64_t now_ms;
    uint32_t parallelism;
    uint64_t working_set_bytes; /* Of each backend. */
    uint32_t max_parallelism;
    const char *namespace_kind;
    size_t state_count;
    state states[STATES_MAX];
    subtask subtasks[SUBTASKS_MAX];
    const json_t *name_space; /* The current one; NULL: none was set. */
    int64_t rearm_every;      /* 0: fired timers are not registered again. */
    int64_t rearm_delay;
    subtask *current;             /* Of the current key. NULL: there is none. */
    tarn_checkpoint_store *store; /* NULL: no snapshot was taken yet. */
    uint64_t checkpoint_ids[SNAPSHOTS_MAX];
    uint32_t generation; /* Of the backends: how often they were restored. */
    char directory[PATH_BYTES];
    tarn_error error;
} program;

static int64_t program_now(void *context)
{
    return ((const program *)context)->now_ms;
}

/* ---- values and namespaces as bytes ----------------------------------------------------- */

static void encode_number(uint8_t out[NUMBER_BYTES], int64_t number)
{
    for (int i = 0; i < NUMBER_BYTES; i++) {
        out[i] = (uint8_t)((uint64_t)number >> (56 - 8 * i));
    }
}

static int64_t decode_number(const void *bytes)
{
    const uint8_t *data = bytes;
    uint64_t number = 0;
    for (int i = 0; i < NUMBER_BYTES; i++) {
        number = number << 8 | data[i];
    }
    return (int64_t)number;
}

/* Bytes of a JSON value; numbers go through room. */
static tarn_bytes bytes_of(const json_t *value, uint8_t room[NUMBER_BYTES])
{
    if (json_is_string(value)) {
        return tarn_bytes_at(json_string_value(value), json_string_length(value));
    }
    encode_number(room, json_integer_value(value));
    return tarn_bytes_at(room, NUMBER_BYTES);
}

static json_t *json_of(const state *s, tarn_bytes bytes)
{
    if (s->is_number) {
        return bytes.size == NUMBER_BYTES ? json_integer(decode_number(bytes.data)) : NULL;
    }
    return json_stringn(bytes.size > 0 ? bytes.data : "", bytes.size);
}

/* A value of a map with its byte in front, in out. */
static tarn_status encode_entry(const json_t *value, tarn_buffer *out)
{
    uint8_t room[NUMBER_BYTES];
    out->size = 0;
    const bool is_null = json_is_null(value);
    const tarn_status status = tarn_buffer_append(out, tarn_bytes_at(is_null ? "\0" : "\1", 1));
    return status != TARN_OK || is_null ? status : tarn_buffer_append(out, bytes_of(value, room));
}

static json_t *json_of_entry(const state *s, tarn_bytes bytes)
{
    const uint8_t *data = bytes.data;
    return data[0] == 0 ? json_null() : json_of(s, tarn_bytes_at(data + 1, bytes.size - 1));
}

/* Nothing for void, text, or the two ends of a window. */
static tarn_bytes namespace_of(const json_t *name_space, uint8_t room[2 * NUMBER_BYTES])
{
    if (json_is_null(name_space)) {
        return tarn_bytes_at("", 0);
    }
    if (json_is_string(name_space)) {
        return bytes_of(name_space, room);
    }
    encode_number(room, json_integer_value(json_array_get(name_space, 0)));
    encode_number(room + NUMBER_BYTES, json_integer_value(json_array_get(name_space, 1)));
    return tarn_bytes_at(room, 2 * NUMBER_BYTES);
}

static json_t *json_of_namespace(const program *p, tarn_bytes bytes)
{
    const uint8_t *data = bytes.data;
    if (strcmp(p->namespace_kind, "void") == 0) {
        return json_null();
    }
    if (strcmp(p->namespace_kind, "window") == 0) {
        return json_pack(
            "[I, I]",
            (json_int_t)decode_number(data),
            (json_int_t)decode_number(data + NUMBER_BYTES));
    }
    return json_stringn(bytes.size > 0 ? bytes.data : "", bytes.size);
}

/* ---- the aggregate: sum and count ------------------------------------------------------- */

static tarn_status put_pair(tarn_buffer *out, uint64_t sum, uint64_t count)
{
    uint8_t pair[2 * NUMBER_BYTES];
    encode_number(pair, (int64_t)sum);
    encode_number(pair + NUMBER_BYTES, (int64_t)count);
    return tarn_buffer_assign(out, tarn_bytes_at(pair, sizeof pair));
}

static uint64_t pair_part(tarn_bytes pair, int index)
{
    return (uint64_t)decode_number((const uint8_t *)pair.data + index * NUMBER_BYTES);
}

static tarn_status add_to_pair(
    const tarn_bytes *accumulator, tarn_bytes value, tarn_buffer *out, void *context)
{
    (void)context;
    const uint64_t added = (uint64_t)decode_number(value.data);
    return accumulator == NULL
               ? put_pair(out, added, 1)
               : put_pair(out, pair_part(*accumulator, 0) + added, pair_part(*accumulator, 1) + 1);
}

static tarn_status merge_pairs(tarn_bytes a, tarn_bytes b, tarn_buffer *out, void *context)
{
    (void)context;
    return put_pair(out, pair_part(a, 0) + pair_part(b, 0), pair_part(a, 1) + pair_part(b, 1));
}

/* ---- opening and closing ---------------------------------------------------------------- */

/* One environment serves all programs; the process's end takes it away. */
static tarn_env *shared_env(tarn_error *error)
{
    static tarn_env *env;
    tarn_config *config = NULL;
    if (env != NULL || tarn_config_new(NULL, &config, error) != TARN_OK) {
        return env;
    }
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    if (tarn_config_set(config, "taskmanager.memory.process.size", "2g", "traces", error) !=
            TARN_OK ||
        tarn_config_set(config, "taskmanager.memory.managed.size", "512m", "traces", error) !=
            TARN_OK ||
        tarn_env_open(&options, &env, error) != TARN_OK) {
        env = NULL;
    }
    tarn_config_free(config);
    return env;
}

static bool read_ttl(const json_t *ttl, state *s, program *p)
{
    const char *update = vectors_text(ttl, "update");
    const char *visibility = vectors_text(ttl, "visibility");
    s->ttl = (tarn_ttl)TARN_TTL_INIT;
    if (update == NULL || visibility == NULL || !vectors_integer(ttl, "ms", &s->ttl.ttl_ms)) {
        return false;
    }
    s->has_ttl = true;
    s->ttl.update = strcmp(update, "read_and_write") == 0 ? TARN_TTL_ON_READ_AND_WRITE
                                                          : TARN_TTL_ON_CREATE_AND_WRITE;
    s->ttl.visibility = strcmp(visibility, "return_expired_if_not_cleaned") == 0
                            ? TARN_TTL_RETURN_EXPIRED_IF_NOT_CLEANED
                            : TARN_TTL_NEVER_RETURN_EXPIRED;
    s->ttl.is_kept_by_compactions = true; /* When RocksDB compacts is no part of a trace. */
    s->ttl.now_ms = program_now;
    s->ttl.now_context = p;
    return true;
}

static bool read_kind(const json_t *spec, state *s)
{
    static const char *const KINDS[] = {"value", "list", "map", "reducing", "aggregating"};
    static const char *const REDUCERS[] = {"sum", "min", "max"};
    const char *name = vectors_text(spec, "kind");
    const char *reducer = vectors_text(spec, "reducer");
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        if (name != NULL && strcmp(name, KINDS[i]) == 0) {
            s->kind = (kind)i;
            for (size_t j = 0; reducer != NULL && j < sizeof REDUCERS / sizeof REDUCERS[0]; j++) {
                if (strcmp(reducer, REDUCERS[j]) == 0) {
                    s->reducer = (tarn_reducer)(TARN_REDUCER_SUM + j);
                }
            }
            return s->kind != KIND_REDUCING || s->reducer != TARN_REDUCER_FUNCTION;
        }
    }
    return false;
}

static bool read_state(const json_t *spec, state *s, program *p)
{
    const char *type = vectors_text(spec, "type");
    const json_t *ttl = json_object_get(spec, "ttl");
    *s = (state){.name = vectors_text(spec, "name")};
    s->is_number = type != NULL && strcmp(type, "int64") == 0;
    return s->name != NULL && type != NULL && read_kind(spec, s) &&
           (json_is_null(ttl) || read_ttl(ttl, s, p));
}

static tarn_status open_state(program *p, subtask *t, size_t index)
{
    const state *s = &p->states[index];
    handle *h = &t->handles[index];
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    tarn_reducing_options reducing = TARN_REDUCING_OPTIONS_INIT;
    tarn_aggregating_options aggregating = TARN_AGGREGATING_OPTIONS_INIT;
    options.name = s->name;
    options.ttl = s->has_ttl ? &s->ttl : NULL;
    /* Both layouts answer the same. */
    options.layout = index % 2 == 0 ? TARN_LAYOUT_KEY_FIRST : TARN_LAYOUT_NAMESPACE_FIRST;
    switch (s->kind) {
    case KIND_VALUE:
        return tarn_value_open(t->backend, &options, &h->value, &p->error);
    case KIND_LIST:
        return tarn_list_open(t->backend, &options, &h->list, &p->error);
    case KIND_MAP:
        return tarn_map_open(t->backend, &options, &h->map, &p->error);
    case KIND_REDUCING:
        reducing.reducer = s->reducer;
        reducing.number = TARN_NUMBER_I64;
        return tarn_reducing_open(t->backend, &options, &reducing, &h->reducing, &p->error);
    case KIND_AGGREGATING:
        break;
    }
    aggregating.add = add_to_pair;
    aggregating.merge = merge_pairs;
    return tarn_aggregating_open(t->backend, &options, &aggregating, &h->aggregating, &p->error);
}

static tarn_status close_state(const state *s, handle *h, tarn_error *error)
{
    switch (s->kind) {
    case KIND_VALUE:
        return tarn_value_close(h->value, error);
    case KIND_LIST:
        return tarn_list_close(h->list, error);
    case KIND_MAP:
        return tarn_map_close(h->map, error);
    case KIND_REDUCING:
        return tarn_reducing_close(h->reducing, error);
    case KIND_AGGREGATING:
        break;
    }
    return tarn_aggregating_close(h->aggregating, error);
}

static tarn_keyed *keyed_of(const state *s, handle *h)
{
    switch (s->kind) {
    case KIND_VALUE:
        return tarn_value_keyed(h->value);
    case KIND_LIST:
        return tarn_list_keyed(h->list);
    case KIND_MAP:
        return tarn_map_keyed(h->map);
    case KIND_REDUCING:
        return tarn_reducing_keyed(h->reducing);
    case KIND_AGGREGATING:
        break;
    }
    return tarn_aggregating_keyed(h->aggregating);
}

/* Small heads and buffers: what is beyond them is what can go wrong. */
static tarn_status open_timers(program *p, subtask *t)
{
    tarn_status status = TARN_OK;
    for (int i = 0; i < DOMAINS && status == TARN_OK; i++) {
        tarn_timers_options options = TARN_TIMERS_OPTIONS_INIT;
        options.name = "traced";
        options.domain = (tarn_time_domain)i;
        options.head_timer_count = 2;
        options.buffer_timer_count = 3;
        status = tarn_timers_open(t->backend, &options, &t->timers[i], &p->error);
    }
    return status;
}

static tarn_status open_subtask(program *p, uint32_t index, tarn_checkpoint *restore)
{
    subtask *t = &p->subtasks[index];
    char directory[PATH_BYTES + 32];
    snprintf(directory, sizeof directory, "%s/%u-%u", p->directory, p->generation, index);
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = shared_env(&p->error);
    options.operator_name = "traced";
    options.directory = directory;
    options.subtask_index = index;
    options.parallelism = p->parallelism;
    options.max_parallelism = p->max_parallelism;
    options.key_hash = TARN_KEY_HASH_JAVA_STRING;
    options.restore = restore;
    if (options.env == NULL) {
        return p->error.status;
    }
    tarn_status status = tarn_backend_open(&options, &t->backend, &p->error);
    if (status == TARN_OK) {
        status = tarn_backend_resize_working_set(t->backend, p->working_set_bytes, &p->error);
    }
    for (size_t i = 0; i < p->state_count && status == TARN_OK; i++) {
        status = open_state(p, t, i);
    }
    return status == TARN_OK ? open_timers(p, t) : status;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

/* Closes all backends; false when one would not. */
static bool close_subtasks(program *p)
{
    bool is_closed = true;
    for (uint32_t i = 0; i < p->parallelism; i++) {
        subtask *t = &p->subtasks[i];
        for (size_t j = 0; j < p->state_count && t->backend != NULL; j++) {
            is_closed =
                close_state(&p->states[j], &t->handles[j], &p->error) == TARN_OK && is_closed;
        }
        for (int j = 0; j < DOMAINS; j++) {
            is_closed = tarn_timers_close(t->timers[j], &p->error) == TARN_OK && is_closed;
        }
        is_closed = tarn_backend_close(t->backend, &p->error) == TARN_OK && is_closed;
        *t = (subtask){.backend = NULL};
    }
    p->current = NULL;
    p->name_space = NULL;
    return is_closed;
}

static bool close_program(program *p)
{
    const bool is_closed = close_subtasks(p);
    const bool is_store_closed = tarn_checkpoint_store_close(p->store, &p->error) == TARN_OK;
    nftw(p->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return is_closed && is_store_closed;
}

static bool open_program(const json_t *trace, uint64_t working_set_bytes, program *p)
{
    int64_t parallelism = 0;
    int64_t max_parallelism = 0;
    const json_t *states = json_object_get(trace, "states");
    const char *temporary = getenv("TMPDIR");
    *p = (program){
        .namespace_kind = vectors_text(trace, "namespace_kind"),
        .working_set_bytes = working_set_bytes,
    };
    p->error.status = TARN_INVALID_ARGUMENT;
    snprintf(p->error.message, sizeof p->error.message, "the case lacks what it needs");
    if (p->namespace_kind == NULL || !vectors_integer(trace, "clock_start", &p->now_ms) ||
        !vectors_integer(trace, "parallelism", &parallelism) ||
        !vectors_integer(trace, "max_parallelism", &max_parallelism) || parallelism < 1 ||
        parallelism > SUBTASKS_MAX || json_array_size(states) > STATES_MAX) {
        return false;
    }
    const json_t *rearm = json_object_get(json_object_get(trace, "timers"), "rearm");
    if (json_is_object(rearm) && (!vectors_integer(rearm, "every", &p->rearm_every) ||
                                  !vectors_integer(rearm, "delay", &p->rearm_delay) ||
                                  p->rearm_every < 1 || p->rearm_delay < 0)) {
        return false;
    }
    p->max_parallelism = (uint32_t)max_parallelism;
    p->state_count = json_array_size(states);
    for (size_t i = 0; i < p->state_count; i++) {
        if (!read_state(json_array_get(states, i), &p->states[i], p)) {
            return false;
        }
    }
    if (temporary == NULL) { /* Table files are synchronised: in memory that costs nothing. */
        temporary = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    }
    snprintf(p->directory, sizeof p->directory, "%s/tarn-traces-XXXXXX", temporary);
    if (mkdtemp(p->directory) == NULL) {
        return false;
    }
    p->parallelism = (uint32_t)parallelism;
    for (uint32_t i = 0; i < p->parallelism; i++) {
        if (open_subtask(p, i, NULL) != TARN_OK) {
            return false;
        }
    }
    return true;
}

/* ---- operations ------------------------------------------------------------------------- */

/* An operation on a state: its answer is in *result when it has one. */
typedef tarn_status operation_fn(
    program *p, const state *s, handle *h, const json_t *op, json_t **result);

static bool is_named(const json_t *op, const char *name)
{
    const char *found = vectors_text(op, "op");
    return found != NULL && strcmp(found, name) == 0;
}

static tarn_status answer(const state *s, tarn_status status, tarn_bytes value, json_t **result)
{
    *result = status == TARN_OK ? json_of(s, value) : json_null();
    return status == TARN_NOT_FOUND ? TARN_OK : status;
}

static tarn_status on_value(
    program *p, const state *s, handle *h, const json_t *op, json_t **result)
{
    uint8_t room[NUMBER_BYTES];
    tarn_bytes value = {NULL, 0};
    const json_t *given = json_object_get(op, "value");
    if (is_named(op, "get")) {
        const tarn_status status = tarn_value_get(h->value, &value, &p->error);
        return answer(s, status, value, result);
    }
    if (is_named(op, "clear") || json_is_null(given)) {
        return tarn_value_remove(h->value, &p->error);
    }
    return tarn_value_put(h->value, bytes_of(given, room), &p->error);
}

static tarn_status read_list(program *p, const state *s, handle *h, json_t **result)
{
    tarn_list_iterator *iterator = NULL;
    tarn_status status = tarn_list_iterate(h->list, "trace", &iterator, &p->error);
    *result = json_array();
    while (status == TARN_OK) {
        tarn_bytes element;
        status = tarn_list_iterator_next(iterator, &element, &p->error);
        if (status == TARN_OK) {
            json_array_append_new(*result, json_of(s, element));
        }
    }
    tarn_list_iterator_close(iterator);
    return status == TARN_DONE ? TARN_OK : status;
}

static tarn_status on_list(program *p, const state *s, handle *h, const json_t *op, json_t **result)
{
    static uint8_t rooms[ITEMS_MAX][NUMBER_BYTES];
    static tarn_bytes elements[ITEMS_MAX];
    const json_t *values = json_object_get(op, "values");
    const size_t count = json_array_size(values);
    if (is_named(op, "get")) {
        return read_list(p, s, h, result);
    }
    if (is_named(op, "clear")) {
        return tarn_list_clear(h->list, &p->error);
    }
    if (is_named(op, "add")) {
        return tarn_list_append(
            h->list, bytes_of(json_object_get(op, "value"), rooms[0]), &p->error);
    }
    for (size_t i = 0; i < count && i < ITEMS_MAX; i++) {
        elements[i] = bytes_of(json_array_get(values, i), rooms[i]);
    }
    return is_named(op, "update") ? tarn_list_replace(h->list, elements, count, &p->error)
                                  : tarn_list_append_all(h->list, elements, count, &p->error);
}

static bool is_listed(const json_t *texts, tarn_bytes text)
{
    size_t i;
    const json_t *item;
    json_array_foreach(texts, i, item)
    {
        if (tarn_bytes_is_equal(
                tarn_bytes_at(json_string_value(item), json_string_length(item)), text)) {
            return true;
        }
    }
    return false;
}

/* Reads all entries; with map_keys it removes those and answers their keys. */
static tarn_status read_map(
    program *p, const state *s, handle *h, const json_t *map_keys, json_t **result)
{
    tarn_map_iterator *iterator = NULL;
    tarn_status status = tarn_map_iterate(h->map, NULL, "trace", &iterator, &p->error);
    *result = json_array();
    while (status == TARN_OK) {
        tarn_map_entry entry;
        status = tarn_map_iterator_next(iterator, &entry, &p->error);
        if (status != TARN_OK) {
            continue;
        }
        json_t *key = json_stringn(entry.key.size > 0 ? entry.key.data : "", entry.key.size);
        if (map_keys == NULL) {
            json_array_append_new(*result, json_pack("[o, o]", key, json_of_entry(s, entry.value)));
        } else if (is_listed(map_keys, entry.key)) {
            json_array_append_new(*result, key);
            status = tarn_map_iterator_remove(iterator, &p->error);
        } else {
            json_decref(key);
        }
    }
    tarn_map_iterator_close(iterator);
    return status == TARN_DONE ? TARN_OK : status;
}

static tarn_status put_entries(program *p, handle *h, const json_t *given)
{
    static tarn_buffer values[ITEMS_MAX];
    static tarn_map_entry entries[ITEMS_MAX];
    uint8_t room[NUMBER_BYTES];
    const size_t count = json_array_size(given);
    for (size_t i = 0; i < count && i < ITEMS_MAX; i++) {
        const json_t *pair = json_array_get(given, i);
        if (encode_entry(json_array_get(pair, 1), &values[i]) != TARN_OK) {
            return TARN_NO_MEMORY;
        }
        entries[i].key = bytes_of(json_array_get(pair, 0), room);
        entries[i].value = tarn_buffer_bytes(&values[i]);
    }
    return tarn_map_put_all(h->map, entries, count, &p->error);
}

static tarn_status on_entry(
    program *p, const state *s, handle *h, const json_t *op, json_t **result)
{
    static tarn_buffer value;
    uint8_t room[NUMBER_BYTES];
    const tarn_bytes key = bytes_of(json_object_get(op, "map_key"), room);
    tarn_bytes read = {NULL, 0};
    if (is_named(op, "get")) {
        const tarn_status status = tarn_map_get(h->map, key, &read, &p->error);
        *result = status == TARN_OK ? json_of_entry(s, read) : json_null();
        return status == TARN_NOT_FOUND ? TARN_OK : status;
    }
    if (is_named(op, "contains")) {
        const tarn_status status = tarn_map_contains(h->map, key, &p->error);
        *result = json_boolean(status == TARN_OK);
        return status == TARN_NOT_FOUND ? TARN_OK : status;
    }
    if (is_named(op, "remove")) {
        return tarn_map_remove(h->map, key, &p->error);
    }
    const tarn_status status = encode_entry(json_object_get(op, "value"), &value);
    return status == TARN_OK ? tarn_map_put(h->map, key, tarn_buffer_bytes(&value), &p->error)
                             : status;
}

static tarn_status on_map(program *p, const state *s, handle *h, const json_t *op, json_t **result)
{
    if (is_named(op, "entries")) {
        return read_map(p, s, h, NULL, result);
    }
    if (is_named(op, "iterate_remove")) {
        return read_map(p, s, h, json_object_get(op, "map_keys"), result);
    }
    if (is_named(op, "put_all")) {
        return put_entries(p, h, json_object_get(op, "entries"));
    }
    if (is_named(op, "clear")) {
        return tarn_map_clear(h->map, &p->error);
    }
    if (is_named(op, "is_empty")) {
        bool is_empty = false;
        const tarn_status status = tarn_map_is_empty(h->map, &is_empty, &p->error);
        *result = json_boolean(is_empty);
        return status;
    }
    return on_entry(p, s, h, op, result);
}

static tarn_status on_reducing(
    program *p, const state *s, handle *h, const json_t *op, json_t **result)
{
    (void)s;
    if (is_named(op, "add")) {
        return tarn_reducing_add_i64(
            h->reducing, json_integer_value(json_object_get(op, "value")), &p->error);
    }
    if (is_named(op, "clear")) {
        return tarn_reducing_clear(h->reducing, &p->error);
    }
    int64_t number = 0;
    const tarn_status status = tarn_reducing_get_i64(h->reducing, &number, &p->error);
    *result = status == TARN_OK ? json_integer(number) : json_null();
    return status == TARN_NOT_FOUND ? TARN_OK : status;
}

static tarn_status on_aggregating(
    program *p, const state *s, handle *h, const json_t *op, json_t **result)
{
    (void)s;
    uint8_t room[NUMBER_BYTES];
    if (is_named(op, "add")) {
        return tarn_aggregating_add(
            h->aggregating, bytes_of(json_object_get(op, "value"), room), &p->error);
    }
    if (is_named(op, "clear")) {
        return tarn_aggregating_clear(h->aggregating, &p->error);
    }
    tarn_bytes pair = {NULL, 0};
    const tarn_status status = tarn_aggregating_get(h->aggregating, &pair, &p->error);
    *result =
        status == TARN_OK
            ? json_pack("[I, I]", (json_int_t)pair_part(pair, 0), (json_int_t)pair_part(pair, 1))
            : json_null();
    return status == TARN_NOT_FOUND ? TARN_OK : status;
}

/* ---- operations over keys and namespaces ------------------------------------------------ */

static int compare_dumps(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether two arrays have the same items, in any order. */
static bool is_same_set(const json_t *a, const json_t *b)
{
    static char *dumps[2][ITEMS_MAX];
    const size_t count = json_array_size(a);
    bool is_same = count == json_array_size(b) && count <= ITEMS_MAX;
    for (size_t i = 0; is_same && i < count; i++) {
        dumps[0][i] = json_dumps(json_array_get(a, i), JSON_ENCODE_ANY);
        dumps[1][i] = json_dumps(json_array_get(b, i), JSON_ENCODE_ANY);
    }
    const size_t dumped = is_same ? count : 0;
    qsort(dumps[0], dumped, sizeof dumps[0][0], compare_dumps);
    qsort(dumps[1], dumped, sizeof dumps[1][0], compare_dumps);
    for (size_t i = 0; i < dumped; i++) {
        is_same = is_same && strcmp(dumps[0][i], dumps[1][i]) == 0;
        free(dumps[0][i]);
        free(dumps[1][i]);
    }
    return is_same;
}

static tarn_status add_keys(
    program *p, tarn_keyed *keyed, const tarn_bytes *name_space, json_t *result)
{
    tarn_key_iterator *iterator = NULL;
    tarn_status status = tarn_keyed_iterate_keys(keyed, name_space, "trace", &iterator, &p->error);
    while (status == TARN_OK) {
        tarn_row row;
        status = tarn_key_iterator_next(iterator, &row, &p->error);
        if (status == TARN_OK) {
            json_t *key = json_stringn(row.key.size > 0 ? row.key.data : "", row.key.size);
            json_array_append_new(
                result,
                name_space != NULL
                    ? key
                    : json_pack("[o, o]", key, json_of_namespace(p, row.name_space)));
        }
    }
    tarn_key_iterator_close(iterator);
    return status == TARN_DONE ? TARN_OK : status;
}

/* keys, keys_and_namespaces: over all subtasks. */
static tarn_status read_keys(program *p, size_t index, const json_t *op, json_t **result)
{
    uint8_t room[2 * NUMBER_BYTES];
    const json_t *given = json_object_get(op, "namespace");
    const tarn_bytes name_space = namespace_of(given != NULL ? given : json_null(), room);
    *result = json_array();
    for (uint32_t i = 0; i < p->parallelism; i++) {
        tarn_keyed *keyed = keyed_of(&p->states[index], &p->subtasks[i].handles[index]);
        const tarn_status status = add_keys(p, keyed, given != NULL ? &name_space : NULL, *result);
        if (status != TARN_OK) {
            return status;
        }
    }
    return TARN_OK;
}

static tarn_status merge_namespaces(program *p, size_t index, const json_t *op)
{
    enum { SOURCES_MAX = 64 };
    uint8_t rooms[SOURCES_MAX][2 * NUMBER_BYTES];
    uint8_t target_room[2 * NUMBER_BYTES];
    tarn_bytes sources[SOURCES_MAX];
    const json_t *given = json_object_get(op, "sources");
    const size_t count = json_array_size(given);
    for (size_t i = 0; i < count && i < SOURCES_MAX; i++) {
        sources[i] = namespace_of(json_array_get(given, i), rooms[i]);
    }
    return tarn_keyed_merge_namespaces(
        keyed_of(&p->states[index], &p->current->handles[index]),
        sources,
        count,
        namespace_of(json_object_get(op, "target"), target_room),
        &p->error);
}

static tarn_status set_namespace(program *p, const json_t *op)
{
    uint8_t room[2 * NUMBER_BYTES];
    p->name_space = json_object_get(op, "namespace");
    const tarn_bytes name_space = namespace_of(p->name_space, room);
    for (uint32_t i = 0; i < p->parallelism; i++) {
        for (size_t j = 0; j < p->state_count; j++) {
            const tarn_status status = tarn_keyed_set_namespace(
                keyed_of(&p->states[j], &p->subtasks[i].handles[j]), name_space, &p->error);
            if (status != TARN_OK) {
                return status;
            }
        }
    }
    return TARN_OK;
}

static tarn_status set_key(program *p, const json_t *op)
{
    const json_t *given = json_object_get(op, "key");
    const tarn_bytes key = tarn_bytes_at(json_string_value(given), json_string_length(given));
    int64_t group = -1;
    const uint32_t ours =
        tarn_key_group_of(tarn_hash_java_string(key.data, key.size), p->max_parallelism);
    if (!vectors_integer(op, "key_group", &group) || group != (int64_t)ours) {
        snprintf(p->error.message, sizeof p->error.message, "a key's group is %u", ours);
        return TARN_INTERNAL;
    }
    p->current = &p->subtasks[tarn_key_group_subtask(ours, p->max_parallelism, p->parallelism)];
    return tarn_backend_set_key(p->current->backend, key, &p->error);
}

/* ---- timers ----------------------------------------------------------------------------- */

static bool is_of_timers(const char *name)
{
    return strstr(name, "timer") != NULL || strcmp(name, "advance_watermark") == 0 ||
           strcmp(name, "advance_processing_time") == 0;
}

static tarn_status touch_timer(program *p, tarn_time_domain domain, const json_t *op)
{
    uint8_t room[2 * NUMBER_BYTES];
    int64_t time = 0;
    if (p->current == NULL || p->name_space == NULL || !vectors_integer(op, "time", &time)) {
        snprintf(p->error.message, sizeof p->error.message, "no key, namespace or time");
        return TARN_INTERNAL;
    }
    tarn_timers *timers = p->current->timers[domain];
    const tarn_bytes name_space = namespace_of(p->name_space, room);
    return strncmp(vectors_text(op, "op"), "register", strlen("register")) == 0
               ? tarn_timers_register(timers, time, name_space, &p->error)
               : tarn_timers_remove(timers, time, name_space, &p->error);
}

static tarn_status count_timers(
    program *p, tarn_time_domain domain, const json_t *op, json_t **result)
{
    uint8_t room[2 * NUMBER_BYTES];
    const tarn_bytes name_space = namespace_of(json_object_get(op, "namespace"), room);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < p->parallelism; i++) {
        uint64_t count = 0;
        const tarn_status status = tarn_timers_count_namespace(
            p->subtasks[i].timers[domain], name_space, &count, &p->error);
        if (status != TARN_OK) {
            return status;
        }
        sum += count;
    }
    *result = json_integer((json_int_t)sum);
    return TARN_OK;
}

/* Adds to fired what is due in one subtask. */
static tarn_status advance_subtask(program *p, tarn_timers *timers, int64_t up_to, json_t *fired)
{
    tarn_timer timer;
    tarn_status status;
    int64_t last = INT64_MIN;
    while ((status = tarn_timers_poll(timers, up_to, &timer, &p->error)) == TARN_OK) {
        if (timer.time < last) {
            snprintf(p->error.message, sizeof p->error.message, "times go back");
            return TARN_INTERNAL;
        }
        last = timer.time;
        json_array_append_new(
            fired,
            json_pack(
                "[I, o, o]",
                (json_int_t)timer.time,
                json_stringn(timer.key.size > 0 ? timer.key.data : "", timer.key.size),
                json_of_namespace(p, timer.name_space)));
        if (p->rearm_every != 0 && timer.time % p->rearm_every == 0) {
            status = tarn_timers_register(
                timers, timer.time + p->rearm_delay, timer.name_space, &p->error);
            if (status != TARN_OK) {
                return status;
            }
        }
    }
    return status == TARN_DONE ? TARN_OK : status;
}

static tarn_status run_on_timers(program *p, const char *name, const json_t *op, json_t **result)
{
    const bool is_event = strstr(name, "event") != NULL || strcmp(name, "advance_watermark") == 0;
    const tarn_time_domain domain = is_event ? TARN_TIME_EVENT : TARN_TIME_PROCESSING;
    int64_t time = 0;
    if (strncmp(name, "count", strlen("count")) == 0) {
        return count_timers(p, domain, op, result);
    }
    if (strncmp(name, "advance", strlen("advance")) != 0) {
        return touch_timer(p, domain, op);
    }
    tarn_status status = TARN_OK;
    *result = json_array();
    if (!vectors_integer(op, "time", &time)) {
        return TARN_INTERNAL;
    }
    for (uint32_t i = 0; i < p->parallelism && status == TARN_OK; i++) {
        status = advance_subtask(p, p->subtasks[i].timers[domain], time, *result);
    }
    p->current = NULL;
    return status;
}

/* ---- snapshots -------------------------------------------------------------------------- */

static tarn_status open_store(program *p)
{
    if (p->store != NULL) {
        return TARN_OK;
    }
    char address[PATH_BYTES + 32];
    snprintf(address, sizeof address, "%s/checkpoints", p->directory);
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = shared_env(&p->error);
    options.address = address;
    options.job = "traced";
    options.retained_count = SNAPSHOTS_MAX;
    return tarn_checkpoint_store_open(&options, &p->store, &p->error);
}

static tarn_status snapshot_subtask(program *p, uint32_t index, tarn_pending_checkpoint *pending)
{
    tarn_snapshot *snapshot = NULL;
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    tarn_status status =
        tarn_snapshot_begin(p->subtasks[index].backend, pending, &snapshot, &p->error);
    if (status == TARN_OK) {
        status = tarn_snapshot_finish(snapshot, &acknowledgement, &p->error);
    }
    if (status == TARN_OK) {
        status =
            tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &p->error);
    }
    tarn_buffer_clear(&acknowledgement);
    return status;
}

static tarn_status take_snapshot(program *p, int64_t number)
{
    tarn_pending_checkpoint *pending = NULL;
    tarn_status status = open_store(p);
    if (status == TARN_OK) {
        p->checkpoint_ids[number] = tarn_checkpoint_store_next_id(p->store);
        status = tarn_checkpoint_begin(p->store, p->checkpoint_ids[number], &pending, &p->error);
    }
    for (uint32_t i = 0; i < p->parallelism && status == TARN_OK; i++) {
        status = snapshot_subtask(p, i, pending);
    }
    if (status != TARN_OK) {
        tarn_checkpoint_abandon(pending);
        return status;
    }
    status = tarn_checkpoint_commit(pending, NULL, &p->error);
    for (uint32_t i = 0; i < p->parallelism && status == TARN_OK; i++) {
        tarn_backend_notify_complete(p->subtasks[i].backend, p->checkpoint_ids[number]);
    }
    return status;
}

static tarn_status restore_snapshot(program *p, int64_t number, uint32_t parallelism)
{
    char address[PATH_BYTES + 64];
    tarn_checkpoint *checkpoint = NULL;
    snprintf(
        address,
        sizeof address,
        "%s/checkpoints/traced/chk-%llu",
        p->directory,
        (unsigned long long)p->checkpoint_ids[number]);
    if (!close_subtasks(p)) {
        return TARN_INTERNAL;
    }
    tarn_status status = tarn_checkpoint_open(address, NULL, &checkpoint, &p->error);
    p->generation++;
    p->parallelism = parallelism;
    for (uint32_t i = 0; i < p->parallelism && status == TARN_OK; i++) {
        status = open_subtask(p, i, checkpoint);
    }
    tarn_checkpoint_free(checkpoint);
    return status;
}

/* ---- the program ------------------------------------------------------------------------ */

static size_t find_state(const program *p, const char *name)
{
    size_t index = 0;
    while (index < p->state_count && strcmp(p->states[index].name, name) != 0) {
        index++;
    }
    return index;
}

static tarn_status run_on_state(program *p, const char *name, const json_t *op, json_t **result)
{
    static operation_fn *const OPERATIONS[] = {
        [KIND_VALUE] = on_value,
        [KIND_LIST] = on_list,
        [KIND_MAP] = on_map,
        [KIND_REDUCING] = on_reducing,
        [KIND_AGGREGATING] = on_aggregating,
    };
    const size_t index = find_state(p, name);
    if (index == p->state_count) {
        snprintf(p->error.message, sizeof p->error.message, "there is no state %s", name);
        return TARN_INTERNAL;
    }
    if (is_named(op, "keys") || is_named(op, "keys_and_namespaces")) {
        return read_keys(p, index, op, result);
    }
    if (p->current == NULL) {
        snprintf(p->error.message, sizeof p->error.message, "there is no current key");
        return TARN_INTERNAL;
    }
    if (is_named(op, "merge_namespaces")) {
        return merge_namespaces(p, index, op);
    }
    const state *s = &p->states[index];
    return OPERATIONS[s->kind](p, s, &p->current->handles[index], op, result);
}

static tarn_status run_operation(program *p, const json_t *op, json_t **result)
{
    const char *state_name = vectors_text(op, "state");
    int64_t ms = 0;
    if (state_name != NULL) {
        return run_on_state(p, state_name, op, result);
    }
    const char *name = vectors_text(op, "op");
    if (name != NULL && is_of_timers(name)) {
        return run_on_timers(p, name, op, result);
    }
    if (is_named(op, "set_key")) {
        return set_key(p, op);
    }
    if (is_named(op, "set_namespace")) {
        return set_namespace(p, op);
    }
    if (is_named(op, "advance_clock") && vectors_integer(op, "ms", &ms)) {
        p->now_ms += ms;
        return TARN_OK;
    }
    int64_t number = 0;
    int64_t parallelism = 0;
    const bool has_number =
        vectors_integer(op, "snapshot", &number) && number >= 0 && number < SNAPSHOTS_MAX;
    if (is_named(op, "snapshot") && has_number) {
        return take_snapshot(p, number);
    }
    if (is_named(op, "restore") && has_number && vectors_integer(op, "parallelism", &parallelism) &&
        parallelism >= 1 && parallelism <= SUBTASKS_MAX) {
        return restore_snapshot(p, number, (uint32_t)parallelism);
    }
    snprintf(p->error.message, sizeof p->error.message, "the operation is unknown");
    return TARN_INTERNAL;
}

static bool agrees(const json_t *op, const json_t *result)
{
    const json_t *expected = json_object_get(op, "result");
    if (expected == NULL) {
        return true;
    }
    return is_named(op, "keys") || is_named(op, "keys_and_namespaces") ||
                   (is_of_timers(vectors_text(op, "op")) && json_is_array(expected))
               ? is_same_set(expected, result)
               : json_equal(expected, result);
}

static bool run_program(program *p, const json_t *ops, char *why, size_t why_bytes)
{
    size_t i;
    json_t *op;
    json_array_foreach(ops, i, op)
    {
        vectors_note_compared(1);
        json_t *result = NULL;
        const tarn_status status = run_operation(p, op, &result);
        const bool is_good = status == TARN_OK && agrees(op, result);
        if (!is_good) {
            char *asked = json_dumps(op, JSON_ENCODE_ANY);
            char *answered = json_dumps(result, JSON_ENCODE_ANY);
            vectors_differ(
                why,
                why_bytes,
                "operation %zu %s answered %s",
                i,
                asked != NULL ? asked : "?",
                status != TARN_OK ? p->error.message : (answered != NULL ? answered : "nothing"));
            free(asked);
            free(answered);
        }
        json_decref(result);
        if (!is_good) {
            return false;
        }
    }
    return true;
}

static bool replay(
    const json_t *vector_case, uint64_t working_set_bytes, char *why, size_t why_bytes)
{
    static program p;
    const json_t *ops = vectors_steps(vector_case, "ops", why, why_bytes);
    if (ops == NULL) {
        return false;
    }
    bool is_good = open_program(vector_case, working_set_bytes, &p);
    if (is_good) {
        is_good = run_program(&p, ops, why, why_bytes);
    } else {
        vectors_differ(why, why_bytes, "cannot begin: %s", p.error.message);
    }
    if (!close_program(&p) && is_good) {
        is_good = vectors_differ(why, why_bytes, "cannot end: %s", p.error.message);
    }
    return is_good;
}

/* The answers do not depend on the working set: it is on, and then off or with room for few rows.
 */
bool vectors_state_traces(const json_t *vector_case, char *why, size_t why_bytes)
{
    static uint32_t case_count;
    const uint64_t other_bytes = case_count++ % 2 == 0 ? 0 : 3000;
    return replay(vector_case, 1 << 20, why, why_bytes) &&
           replay(vector_case, other_bytes, why, why_bytes);
}
