/*
 * Property of schemas: values of many versions lie side by side, written by subtasks that were
 * upgraded at different times, and each read answers what a plain model says, in the form of the
 * latest version. Upgrades, migrations in slices, merged namespaces, TTLs that come and go,
 * checkpoints and canonical savepoints restored at another parallelism come in any order.
 *
 * A value says by itself which version it is of: an upgrade that is called with another one than it
 * is told, or twice for a value, fails the program.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "tarn/checkpoint.h"
#include "tarn/keyed.h"
#include "tarn/savepoint.h"
#include "tarn/snapshot.h"

#include "base/random.h"
#include "state/backend.h"
#include "support/prop.h"
#include "support/state_fixture.h"

enum {
    KEYS = 10,
    NAMESPACES = 3,
    ENTRIES = 5,
    ELEMENTS_MAX = 12,
    SUBTASKS_MAX = 3,
    VERSION_MAX = 9,
    STEPS = 500,
    TEXT_BYTES = 64,
    SECONDS = 6,
    ABSENT = 0, /* Numbers begin at 1. */
};

enum { VALUE, MAP, LIST, REDUCING, AGGREGATING, STATES };

/* What a key has in a namespace. */
typedef struct cell {
    uint32_t value;
    uint32_t entries[ENTRIES];
    uint32_t elements[ELEMENTS_MAX];
    uint32_t element_count;
    uint32_t sum;         /* Of the reducing state. */
    uint32_t accumulated; /* Of the aggregating one. */
} cell;

struct program;

typedef struct subtask {
    struct program *program;
    tarn_backend *backend;
    uint32_t version;
    bool has_ttl;
    tarn_value *value;
    tarn_map *map;
    tarn_list *list;
    tarn_reducing *reducing;
    tarn_aggregating *aggregating;
} subtask;

typedef struct program {
    tarn_env *env;
    tarn__random random;
    uint32_t parallelism;
    subtask subtasks[SUBTASKS_MAX];
    uint32_t next_directory;
    uint32_t next_checkpoint;
    bool refuses; /* Upgrades fail. */
    cell model[KEYS][NAMESPACES];
    char root[FIXTURE_PATH_BYTES];
    tarn_error error;
} program;

static const char *const NAMES[NAMESPACES] = {"", "w1", "window 2"};

static uint32_t below(program *p, uint32_t bound)
{
    return (uint32_t)tarn__random_below(&p->random, bound);
}

/* ---- values ----------------------------------------------------------------------------- */

/* "3:17xxx": version 3, number 17, and a tail that is as long as the version says. */
static tarn_bytes encode(char text[TEXT_BYTES], uint32_t version, uint32_t number)
{
    const int size =
        snprintf(text, TEXT_BYTES, "%u:%u%.*s", version, number, (int)version, "xxxxxxxxxx");
    return tarn_bytes_at(text, (size_t)size);
}

static uint32_t decode(tarn_bytes bytes, uint32_t version)
{
    char text[TEXT_BYTES] = "";
    char again[TEXT_BYTES];
    uint32_t found = 0;
    uint32_t number = 0;
    assert_in_range(bytes.size, 1, TEXT_BYTES - 1);
    memcpy(text, bytes.data, bytes.size);
    assert_int_equal(sscanf(text, "%u:%u", &found, &number), 2);
    assert_int_equal(found, version);
    assert_true(tarn_bytes_is_equal(bytes, encode(again, version, number)));
    return number;
}

static tarn_status upgrade(
    const tarn_schema *stored, tarn_bytes value, tarn_buffer *out, void *context)
{
    const subtask *s = context;
    char text[TEXT_BYTES];
    char metadata[TEXT_BYTES];
    (void)snprintf(metadata, sizeof metadata, "schema %u", stored->codec_version);
    assert_true(tarn_bytes_is_equal(stored->metadata, tarn_bytes_of(metadata)));
    assert_int_equal(out->size, 0);
    assert_true(stored->codec_version < s->version);
    const uint32_t number = decode(value, stored->codec_version);
    if (s->program->refuses) {
        return TARN_DECLINED;
    }
    return tarn_buffer_append(out, encode(text, s->version, number));
}

static tarn_status add_numbers(tarn_bytes a, tarn_bytes b, tarn_buffer *out, void *context)
{
    const subtask *s = context;
    char text[TEXT_BYTES];
    const uint32_t sum = decode(a, s->version) + decode(b, s->version);
    return tarn_buffer_append(out, encode(text, s->version, sum));
}

static tarn_status accumulate(
    const tarn_bytes *accumulator, tarn_bytes value, tarn_buffer *out, void *context)
{
    return accumulator != NULL ? add_numbers(*accumulator, value, out, context)
                               : tarn_buffer_append(out, value);
}

/* ---- states ----------------------------------------------------------------------------- */

static int64_t standing_clock(void *context)
{
    (void)context;
    return 1000;
}

static void open_states(program *p, subtask *s)
{
    char metadata[TEXT_BYTES];
    (void)snprintf(metadata, sizeof metadata, "schema %u", s->version);
    tarn_migration migration = TARN_MIGRATION_INIT;
    migration.upgrade = upgrade;
    migration.context = s;
    tarn_ttl ttl = TARN_TTL_INIT;
    ttl.ttl_ms = 1000000;
    ttl.update = TARN_TTL_ON_READ_AND_WRITE;
    ttl.now_ms = standing_clock;
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.codec_name = "numbered";
    options.codec_version = s->version;
    options.metadata = tarn_bytes_of(metadata);
    options.migration = &migration;
    options.ttl = s->has_ttl ? &ttl : NULL;
    options.name = "value";
    assert_ok(tarn_value_open(s->backend, &options, &s->value, &p->error), &p->error);
    options.name = "map";
    assert_ok(tarn_map_open(s->backend, &options, &s->map, &p->error), &p->error);
    options.name = "list";
    options.layout = TARN_LAYOUT_NAMESPACE_FIRST;
    assert_ok(tarn_list_open(s->backend, &options, &s->list, &p->error), &p->error);
    tarn_reducing_options reducing = TARN_REDUCING_OPTIONS_INIT;
    reducing.reduce = add_numbers;
    reducing.context = s;
    options.name = "reducing";
    assert_ok(
        tarn_reducing_open(s->backend, &options, &reducing, &s->reducing, &p->error), &p->error);
    tarn_aggregating_options aggregating = TARN_AGGREGATING_OPTIONS_INIT;
    aggregating.add = accumulate;
    aggregating.merge = add_numbers;
    aggregating.context = s;
    options.name = "aggregating";
    assert_ok(
        tarn_aggregating_open(s->backend, &options, &aggregating, &s->aggregating, &p->error),
        &p->error);
}

static void close_states(program *p, subtask *s)
{
    assert_ok(tarn_value_close(s->value, &p->error), &p->error);
    assert_ok(tarn_map_close(s->map, &p->error), &p->error);
    assert_ok(tarn_list_close(s->list, &p->error), &p->error);
    assert_ok(tarn_reducing_close(s->reducing, &p->error), &p->error);
    assert_ok(tarn_aggregating_close(s->aggregating, &p->error), &p->error);
}

static tarn_keyed *keyed_of(subtask *s, uint32_t state)
{
    switch (state) {
    case VALUE:
        return tarn_value_keyed(s->value);
    case MAP:
        return tarn_map_keyed(s->map);
    case LIST:
        return tarn_list_keyed(s->list);
    case REDUCING:
        return tarn_reducing_keyed(s->reducing);
    default:
        return tarn_aggregating_keyed(s->aggregating);
    }
}

/* Makes a key and a namespace current; answers the subtask that has the key. */
static subtask *select_cell(program *p, uint32_t key, uint32_t name)
{
    char text[16];
    (void)snprintf(text, sizeof text, "key %u", key);
    for (uint32_t i = 0; i < p->parallelism; i++) {
        subtask *s = &p->subtasks[i];
        if (tarn_backend_set_key(s->backend, tarn_bytes_of(text), &p->error) == TARN_OK) {
            for (uint32_t state = 0; state < STATES; state++) {
                assert_ok(
                    tarn_keyed_set_namespace(
                        keyed_of(s, state), tarn_bytes_of(NAMES[name]), &p->error),
                    &p->error);
            }
            return s;
        }
    }
    fail_msg("no subtask has key %u", key);
    return NULL;
}

/* ---- reads ------------------------------------------------------------------------------ */

static void check_number(
    const program *p, const subtask *s, tarn_status status, tarn_bytes got, uint32_t wanted)
{
    if (wanted == ABSENT) {
        assert_int_equal(status, TARN_NOT_FOUND);
        return;
    }
    assert_ok(status, &p->error);
    assert_int_equal(decode(got, s->version), wanted);
}

static void check_map(program *p, subtask *s, const cell *c)
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        tarn_bytes got = {NULL, 0};
        const tarn_status status = tarn_map_get(s->map, tarn_bytes_at(&i, 1), &got, &p->error);
        check_number(p, s, status, got, c->entries[i]);
    }
    tarn_map_range range = TARN_MAP_RANGE_INIT;
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    range.is_backward = below(p, 2) == 0;
    uint32_t count = 0;
    assert_ok(tarn_map_iterate(s->map, &range, "test", &iterator, &p->error), &p->error);
    while (tarn_map_iterator_next(iterator, &entry, &p->error) == TARN_OK) {
        assert_int_equal(entry.key.size, 1);
        check_number(p, s, TARN_OK, entry.value, c->entries[*(const uint8_t *)entry.key.data]);
        count++;
    }
    tarn_map_iterator_close(iterator);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        count -= c->entries[i] != ABSENT;
    }
    assert_int_equal(count, 0);
}

static void check_list(program *p, subtask *s, const cell *c)
{
    tarn_list_iterator *iterator = NULL;
    tarn_bytes got;
    uint32_t count = 0;
    assert_ok(tarn_list_iterate(s->list, "test", &iterator, &p->error), &p->error);
    tarn_status status;
    while ((status = tarn_list_iterator_next(iterator, &got, &p->error)) == TARN_OK) {
        assert_true(count < c->element_count);
        assert_int_equal(decode(got, s->version), c->elements[count++]);
    }
    tarn_list_iterator_close(iterator);
    assert_int_equal(status, TARN_DONE);
    assert_int_equal(count, c->element_count);
}

static void check_cell(program *p, uint32_t key, uint32_t name)
{
    subtask *s = select_cell(p, key, name);
    const cell *c = &p->model[key][name];
    tarn_bytes got = {NULL, 0};
    tarn_status status = tarn_value_get(s->value, &got, &p->error);
    check_number(p, s, status, got, c->value);
    check_map(p, s, c);
    check_list(p, s, c);
    status = tarn_reducing_get(s->reducing, &got, &p->error);
    check_number(p, s, status, got, c->sum);
    status = tarn_aggregating_get(s->aggregating, &got, &p->error);
    check_number(p, s, status, got, c->accumulated);
}

static void check_all(program *p)
{
    uint32_t count = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        for (uint32_t name = 0; name < NAMESPACES; name++) {
            check_cell(p, key, name);
            count += p->model[key][name].value != ABSENT;
        }
    }
    for (uint32_t i = 0; i < p->parallelism; i++) {
        tarn_value_iterator *iterator = NULL;
        tarn_row row;
        assert_ok(
            tarn_value_iterate(p->subtasks[i].value, "test", &iterator, &p->error), &p->error);
        while (tarn_value_iterator_next(iterator, &row, &p->error) == TARN_OK) {
            (void)decode(row.value, p->subtasks[i].version);
            count--;
        }
        tarn_value_iterator_close(iterator);
    }
    assert_int_equal(count, 0);
}

/* A refused upgrade is an error of the call, and nothing else. */
static void read_refused(program *p)
{
    const uint32_t key = below(p, KEYS);
    const uint32_t name = below(p, NAMESPACES);
    const subtask *s = select_cell(p, key, name);
    tarn_bytes got;
    p->refuses = true;
    const tarn_status status = tarn_value_get(s->value, &got, &p->error);
    assert_true(status == TARN_OK || status == TARN_NOT_FOUND || status == TARN_DECLINED);
    p->refuses = false;
    check_cell(p, key, name);
}

/* ---- writes ----------------------------------------------------------------------------- */

static void write_cell(program *p)
{
    const uint32_t key = below(p, KEYS);
    const uint32_t name = below(p, NAMESPACES);
    subtask *s = select_cell(p, key, name);
    cell *c = &p->model[key][name];
    char text[TEXT_BYTES];
    const uint32_t number = 1 + below(p, 1000);
    const tarn_bytes value = encode(text, s->version, number);
    const uint8_t entry = (uint8_t)below(p, ENTRIES);
    switch (below(p, 6)) {
    case 0:
        assert_ok(tarn_value_put(s->value, value, &p->error), &p->error);
        c->value = number;
        break;
    case 1:
        assert_ok(tarn_map_put(s->map, tarn_bytes_at(&entry, 1), value, &p->error), &p->error);
        c->entries[entry] = number;
        break;
    case 2:
        if (c->element_count < ELEMENTS_MAX) {
            assert_ok(tarn_list_append(s->list, value, &p->error), &p->error);
            c->elements[c->element_count++] = number;
        } else {
            assert_ok(tarn_list_replace(s->list, &value, 1, &p->error), &p->error);
            c->elements[0] = number;
            c->element_count = 1;
        }
        break;
    case 3:
        assert_ok(tarn_reducing_add(s->reducing, value, &p->error), &p->error);
        c->sum += number;
        break;
    case 4:
        assert_ok(tarn_aggregating_add(s->aggregating, value, &p->error), &p->error);
        c->accumulated += number;
        break;
    default:
        assert_ok(tarn_map_remove(s->map, tarn_bytes_at(&entry, 1), &p->error), &p->error);
        c->entries[entry] = ABSENT;
        break;
    }
}

static void clear_cell(program *p)
{
    const uint32_t key = below(p, KEYS);
    const uint32_t name = below(p, NAMESPACES);
    const subtask *s = select_cell(p, key, name);
    assert_ok(tarn_value_remove(s->value, &p->error), &p->error);
    assert_ok(tarn_map_clear(s->map, &p->error), &p->error);
    assert_ok(tarn_list_clear(s->list, &p->error), &p->error);
    assert_ok(tarn_reducing_clear(s->reducing, &p->error), &p->error);
    assert_ok(tarn_aggregating_clear(s->aggregating, &p->error), &p->error);
    p->model[key][name] = (cell){.value = ABSENT};
}

static void merge_cells(program *p)
{
    const uint32_t key = below(p, KEYS);
    const uint32_t from = below(p, NAMESPACES);
    const uint32_t to = (from + 1 + below(p, NAMESPACES - 1)) % NAMESPACES;
    subtask *s = select_cell(p, key, from);
    cell *source = &p->model[key][from];
    cell *target = &p->model[key][to];
    if (source->element_count + target->element_count > ELEMENTS_MAX) {
        return;
    }
    const tarn_bytes sources[] = {tarn_bytes_of(NAMES[from])};
    for (uint32_t state = LIST; state < STATES; state++) {
        assert_ok(
            tarn_keyed_merge_namespaces(
                keyed_of(s, state), sources, 1, tarn_bytes_of(NAMES[to]), &p->error),
            &p->error);
    }
    for (uint32_t i = 0; i < source->element_count; i++) {
        target->elements[target->element_count++] = source->elements[i];
    }
    target->sum += source->sum;
    target->accumulated += source->accumulated;
    source->element_count = 0;
    source->sum = 0;
    source->accumulated = 0;
}

/* ---- versions --------------------------------------------------------------------------- */

static void raise_version(program *p, subtask *s, uint32_t version)
{
    close_states(p, s);
    s->version = version;
    open_states(p, s);
}

/* A TTL comes or goes, at every subtask, which may be upgraded in the same step. */
static void toggle_ttl(program *p)
{
    const bool has_ttl = !p->subtasks[0].has_ttl;
    for (uint32_t i = 0; i < p->parallelism; i++) {
        subtask *s = &p->subtasks[i];
        close_states(p, s);
        s->version += below(p, 2) == 0 && s->version < VERSION_MAX ? 1 : 0;
        s->has_ttl = has_ttl;
        open_states(p, s);
    }
}

static void raise_random(program *p)
{
    subtask *s = &p->subtasks[below(p, p->parallelism)];
    const uint32_t version = s->version + 1 + below(p, 2);
    raise_version(p, s, version < VERSION_MAX ? version : VERSION_MAX);
}

static void migrate(program *p)
{
    subtask *s = &p->subtasks[below(p, p->parallelism)];
    tarn_migration_progress progress = {.is_complete = false};
    const uint32_t state = below(p, STATES);
    const uint32_t slices = 1 + below(p, 20);
    const uint64_t size = below(p, 4) == 0 ? 0 : 1 + below(p, 10);
    for (uint32_t i = 0; i < slices; i++) {
        if (below(p, 8) == 0) {
            p->refuses = true;
            const tarn_status status =
                tarn_keyed_migrate(keyed_of(s, state), size, &progress, &p->error);
            assert_true(status == TARN_OK || status == TARN_DECLINED);
            p->refuses = false;
        }
        assert_ok(tarn_keyed_migrate(keyed_of(s, state), size, &progress, &p->error), &p->error);
    }
    if (size == 0) {
        assert_true(progress.is_complete);
    }
    if (progress.is_complete) { /* No value is left that needs an upgrade. */
        p->refuses = true;
        for (uint32_t i = 0; i < KEYS * NAMESPACES && state == VALUE; i++) {
            tarn_bytes got;
            const subtask *own = select_cell(p, i / NAMESPACES, i % NAMESPACES);
            assert_true(own != s || tarn_value_get(s->value, &got, &p->error) >= TARN_OK);
        }
        p->refuses = false;
    }
}

/* ---- checkpoints ------------------------------------------------------------------------ */

static void open_subtasks(program *p, uint32_t version, tarn_checkpoint *restore)
{
    const bool has_ttl = p->subtasks[0].has_ttl;
    for (uint32_t i = 0; i < p->parallelism; i++) {
        char directory[FIXTURE_PATH_BYTES + 32];
        subtask *s = &p->subtasks[i];
        (void)snprintf(directory, sizeof directory, "%s/work-%u", p->root, p->next_directory++);
        tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
        options.env = p->env;
        options.operator_name = "op";
        options.directory = directory;
        options.subtask_index = i;
        options.parallelism = p->parallelism;
        options.restore = restore;
        *s = (subtask){.program = p, .version = version, .has_ttl = has_ttl};
        assert_ok(tarn_backend_open(&options, &s->backend, &p->error), &p->error);
        fixture_resize_working_set(s->backend, below(p, 2 * FIXTURE_SIZES));
        open_states(p, s);
    }
}

static void close_subtasks(program *p)
{
    for (uint32_t i = 0; i < p->parallelism; i++) {
        close_states(p, &p->subtasks[i]);
        assert_ok(tarn_backend_close(p->subtasks[i].backend, &p->error), &p->error);
    }
}

static void take_part(program *p, subtask *s, tarn_pending_checkpoint *pending)
{
    tarn_snapshot *snapshot = NULL;
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    assert_ok(tarn_snapshot_begin(s->backend, pending, &snapshot, &p->error), &p->error);
    assert_ok(tarn_snapshot_finish(snapshot, &acknowledgement, &p->error), &p->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &p->error),
        &p->error);
    tarn_buffer_clear(&acknowledgement);
}

/* Takes a checkpoint or a savepoint of all; answers it opened. */
static tarn_checkpoint *take_all(program *p, bool is_canonical)
{
    char address[FIXTURE_PATH_BYTES + 32];
    char path[FIXTURE_PATH_BYTES * 2];
    tarn_checkpoint_store *store = NULL;
    tarn_pending_checkpoint *pending = NULL;
    tarn_checkpoint *checkpoint = NULL;
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    (void)snprintf(address, sizeof address, "%s/cp-%u", p->root, p->next_checkpoint++);
    options.env = p->env;
    options.address = address;
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, &store, &p->error), &p->error);
    if (is_canonical) {
        tarn_savepoint_options savepoint = TARN_SAVEPOINT_OPTIONS_INIT;
        savepoint.env = p->env;
        savepoint.address = address;
        savepoint.job = "job";
        assert_ok(tarn_savepoint_begin(&savepoint, &pending, &p->error), &p->error);
        (void)snprintf(path, sizeof path, "%s", tarn_savepoint_path(pending));
    } else {
        assert_ok(tarn_checkpoint_begin(store, 1, &pending, &p->error), &p->error);
        (void)snprintf(path, sizeof path, "%s/job", address);
    }
    for (uint32_t i = 0; i < p->parallelism; i++) {
        take_part(p, &p->subtasks[i], pending);
    }
    assert_ok(tarn_checkpoint_commit(pending, NULL, &p->error), &p->error);
    assert_ok(tarn_checkpoint_store_close(store, &p->error), &p->error);
    assert_ok(tarn_checkpoint_open(path, NULL, &checkpoint, &p->error), &p->error);
    return checkpoint;
}

/* Subtasks of a job run one program: at the barrier all have the same version. */
static void rescale(program *p)
{
    uint32_t version = 0;
    for (uint32_t i = 0; i < p->parallelism; i++) {
        version = p->subtasks[i].version > version ? p->subtasks[i].version : version;
    }
    for (uint32_t i = 0; i < p->parallelism; i++) {
        close_states(p, &p->subtasks[i]);
        p->subtasks[i].version = version;
        open_states(p, &p->subtasks[i]);
    }
    tarn_checkpoint *checkpoint = take_all(p, below(p, 2) == 0);
    close_subtasks(p);
    p->parallelism = 1 + below(p, SUBTASKS_MAX);
    open_subtasks(p, version, checkpoint);
    tarn_checkpoint_free(checkpoint);
    check_all(p);
}

/* ---- the program ------------------------------------------------------------------------ */

static void flush(program *p)
{
    tarn_backend *backend = p->subtasks[below(p, p->parallelism)].backend;
    assert_ok(tarn__backend_settle_all(backend, &p->error), &p->error);
    assert_ok(tarn__rocks_flush(backend->rocks, &p->error), &p->error);
    if (below(p, 2) == 0) {
        tarn__rocks_compact(tarn__rocks_find_family(backend->rocks, "list"));
        tarn__rocks_compact(tarn__rocks_find_family(backend->rocks, "value"));
    }
}

static void step(program *p)
{
    const uint32_t dice = below(p, 200);
    if (dice < 120) {
        write_cell(p);
    } else if (dice < 160) {
        check_cell(p, below(p, KEYS), below(p, NAMESPACES));
    } else if (dice < 166) {
        clear_cell(p);
    } else if (dice < 176) {
        merge_cells(p);
    } else if (dice < 180) {
        raise_random(p);
    } else if (dice < 186) {
        migrate(p);
    } else if (dice < 187) {
        toggle_ttl(p);
    } else if (dice < 190) {
        read_refused(p);
    } else if (dice < 194) {
        flush(p);
    } else if (dice < 198) {
        fixture_resize_working_set(
            p->subtasks[below(p, p->parallelism)].backend, below(p, 2 * FIXTURE_SIZES));
    } else if (dice < 199) {
        check_all(p);
    } else {
        rescale(p);
    }
}

static void run_program(uint64_t seed, void *context)
{
    program *p = context;
    memset(p->model, 0, sizeof p->model);
    p->random = (tarn__random){seed};
    p->refuses = false;
    p->parallelism = 1 + below(p, SUBTASKS_MAX);
    p->subtasks[0].has_ttl = below(p, 2) == 0;
    fixture_make_directory(p->root);
    open_subtasks(p, 1 + below(p, 2), NULL);
    for (uint32_t i = 0; i < STEPS; i++) {
        step(p);
    }
    check_all(p);
    rescale(p);
    close_subtasks(p);
    fixture_remove_directory(p->root);
}

static void test_values_of_many_versions_read_as_those_of_the_latest(void **state)
{
    (void)state;
    static program p;
    tarn_config *config = fixture_new_config(64);
    p.env = fixture_open_env(config, NULL);
    prop_run("schema", SECONDS, run_program, &p);
    assert_ok(tarn_env_close(p.env, &p.error), &p.error);
    tarn_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_many_versions_read_as_those_of_the_latest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
