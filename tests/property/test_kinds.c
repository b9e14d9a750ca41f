/*
 * Property of all kinds of keyed state and of timers: whatever random programs do under whatever
 * keys and namespaces, in either layout, with or without a TTL on a clock that also goes back, with
 * flushes, compactions, re-opened and dropped states, checkpoints and restores of the last one in
 * between, every answer is that of a plain model in memory; and what is read by and by is what was
 * there when the reading was begun.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "tarn/checkpoint.h"
#include "tarn/keyed.h"
#include "tarn/prefetch.h"
#include "tarn/snapshot.h"
#include "tarn/timer.h"

#include "base/random.h"
#include "state/keyed.h"
#include "state/new_keys.h"
#include "support/prop.h"
#include "support/state_fixture.h"

enum {
    KEYS = 4,
    NAMESPACES = 4,
    MAP_KEYS = 9,
    TIMES = 8,
    LIST_MAX = 300,
    TEXT_MAX = 64,
    BYTES_MAX = 400,
    STEPS = 2000,
    SECONDS = 10,
    READINGS = 3,
};

typedef enum kind { VALUE, MAP, LIST, NUMBER, TEXT, AVERAGE, KINDS } kind;

static const char *const KIND_NAMES[KINDS] = {"value", "map", "list", "number", "text", "average"};
static const char *const NAMESPACE_NAMES[NAMESPACES] = {"", "w", "window", "w\xff"};
static const char *const KEY_NAMES[KEYS] = {"", "a", "ab", "\xff"};
/* In the order of their bytes. */
static const char *const MAP_KEY_NAMES[MAP_KEYS] = {
    "", "a", "aa", "ab", "b", "b\xff", "b\xff\xff", "\xff", "\xff\xff"};

static const int64_t TIME_VALUES[TIMES] = {INT64_MIN, -7, -1, 0, 1, 5, 1000000, INT64_MAX};

/* Something with an age: a value, an entry, an element. */
typedef struct item {
    bool is_present;
    int64_t stamp_ms;
    uint64_t number; /* Bytes are made from it. */
    uint64_t count;  /* Of an average. */
    char text[TEXT_MAX];
} item;

typedef struct cell {
    item one;
    item entries[MAP_KEYS];
    item elements[LIST_MAX];
    uint32_t element_count;
} cell;

/* A reading that goes on while the program does: of one list, or of the rows or keys of a state. */
typedef struct reading {
    enum { READS_NOTHING, READS_LIST, READS_VALUES, READS_KEYS } what;
    kind of;             /* Of keys: of which state. */
    uint32_t name_space; /* Of keys: NAMESPACES, all of them. */
    tarn_list_iterator *list;
    tarn_value_iterator *values;
    tarn_key_iterator *keys;
    uint32_t next;                      /* Of a list. */
    cell begun;                         /* The list as it was. */
    bool is_left[KEYS][NAMESPACES];     /* Rows or keys that are still to come. */
    uint64_t numbers[KEYS][NAMESPACES]; /* Of values. */
} reading;

typedef struct program {
    tarn_env *env;
    tarn_backend *backend;
    tarn_value *value;
    tarn_map *map;
    tarn_list *list;
    tarn_reducing *number;
    tarn_reducing *text;
    tarn_aggregating *average;
    tarn_timers *timers;
    tarn_reducer reducer;
    tarn_config *tuning; /* Of all states: what filters of new keys they have. */
    bool has_ttl[KINDS];
    tarn_ttl ttl[KINDS];
    tarn_layout layout[KINDS];
    int64_t now_ms;
    uint32_t key;
    uint32_t name_space[KINDS];
    tarn__random random;
    cell cells[KINDS][KEYS][NAMESPACES];
    cell saved[KINDS][KEYS][NAMESPACES]; /* As the last checkpoint has them. */
    bool is_registered[KEYS][NAMESPACES][TIMES];
    bool was_registered[KEYS][NAMESPACES][TIMES]; /* As the last checkpoint has them. */
    reading readings[READINGS];
    tarn_checkpoint_store *store;
    bool has_checkpoint;
    bool is_first_directory; /* A restored backend works in the other one. */
    char address[FIXTURE_PATH_BYTES + 16];
    char directory[FIXTURE_PATH_BYTES];
    tarn_error error;
} program;

static uint32_t below(program *p, uint32_t bound)
{
    return (uint32_t)tarn__random_below(&p->random, bound);
}

static int64_t program_now(void *context)
{
    return ((const program *)context)->now_ms;
}

static cell *current(program *p, kind k)
{
    return &p->cells[k][p->key][p->name_space[k]];
}

/* The bytes that a number stands for: some empty, some of more than a block of varints. */
static tarn_bytes make_bytes(uint64_t number, uint8_t out[BYTES_MAX])
{
    const size_t size = (size_t)(number % 7 == 0 ? 0 : tarn__random_mix(number) % BYTES_MAX);
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(number >> (8 * (i % 4)));
    }
    return tarn_bytes_at(out, size);
}

static void expect_bytes(tarn_bytes read, uint64_t number)
{
    uint8_t room[BYTES_MAX];
    assert_true(tarn_bytes_is_equal(read, make_bytes(number, room)));
}

/* ---- the rules -------------------------------------------------------------------------- */

static bool is_expired(const program *p, kind k, const item *it)
{
    return p->has_ttl[k] && it->stamp_ms + p->ttl[k].ttl_ms <= p->now_ms;
}

static bool shows(const program *p, kind k)
{
    return p->has_ttl[k] && p->ttl[k].visibility == TARN_TTL_RETURN_EXPIRED_IF_NOT_CLEANED;
}

static bool prolongs(const program *p, kind k)
{
    return p->has_ttl[k] && p->ttl[k].update == TARN_TTL_ON_READ_AND_WRITE;
}

/* One read of one item; answers whether it is seen. */
static bool touch(const program *p, kind k, item *it)
{
    if (!it->is_present) {
        return false;
    }
    if (is_expired(p, k, it)) {
        it->is_present = false;
        return shows(p, k);
    }
    if (prolongs(p, k)) {
        it->stamp_ms = p->now_ms;
    }
    return true;
}

static void combine(const program *p, kind k, item *a, const item *b)
{
    const int64_t x = (int64_t)a->number;
    const int64_t y = (int64_t)b->number;
    if (k == TEXT) {
        const size_t size = strlen(a->text);
        (void)snprintf(a->text + size, sizeof a->text - size, "%s", b->text);
        return;
    }
    if (k == AVERAGE) {
        a->number += b->number;
        a->count += b->count;
        return;
    }
    switch (p->reducer) {
    case TARN_REDUCER_SUM:
        a->number += b->number;
        break;
    case TARN_REDUCER_MIN:
        a->number = (uint64_t)(y < x ? y : x);
        break;
    case TARN_REDUCER_MAX:
        a->number = (uint64_t)(y > x ? y : x);
        break;
    case TARN_REDUCER_LAST:
        a->number = b->number;
        break;
    case TARN_REDUCER_BIT_OR:
        a->number |= b->number;
        break;
    case TARN_REDUCER_FIRST:
    case TARN_REDUCER_COUNT:
    case TARN_REDUCER_FUNCTION:
        break;
    }
}

/* a becomes what both make. */
static void merge_items(const program *p, kind k, item *a, const item *b)
{
    if (!a->is_present) {
        *a = *b;
        return;
    }
    if (!b->is_present) {
        return;
    }
    const bool keeps_a = shows(p, k) || !is_expired(p, k, a);
    const bool keeps_b = shows(p, k) || !is_expired(p, k, b);
    if (keeps_a && keeps_b) {
        combine(p, k, a, b);
    } else if (keeps_b) {
        *a = *b;
    }
    a->is_present = keeps_a || keeps_b;
    a->stamp_ms = p->now_ms;
}

static bool has_any(const cell *c, kind k)
{
    if (k == LIST) {
        return c->element_count > 0;
    }
    bool has = k != MAP && c->one.is_present;
    for (uint32_t i = 0; k == MAP && i < MAP_KEYS; i++) {
        has = has || c->entries[i].is_present;
    }
    return has;
}

/* ---- functions of the program's --------------------------------------------------------- */

static tarn_status append_text(tarn_bytes a, tarn_bytes b, tarn_buffer *out, void *context)
{
    (void)context;
    char text[TEXT_MAX];
    (void)snprintf(
        text,
        sizeof text,
        "%.*s%.*s",
        (int)a.size,
        (const char *)a.data,
        (int)b.size,
        (const char *)b.data);
    return tarn_buffer_assign(out, tarn_bytes_of(text));
}

static tarn_status add_average(
    const tarn_bytes *accumulator, tarn_bytes value, tarn_buffer *out, void *context)
{
    (void)context;
    uint64_t pair[2] = {0, 0};
    uint64_t added;
    if (accumulator != NULL) {
        memcpy(pair, accumulator->data, sizeof pair);
    }
    memcpy(&added, value.data, sizeof added);
    pair[0] += added;
    pair[1]++;
    return tarn_buffer_assign(out, tarn_bytes_at(pair, sizeof pair));
}

static tarn_status merge_averages(tarn_bytes a, tarn_bytes b, tarn_buffer *out, void *context)
{
    (void)context;
    uint64_t x[2];
    uint64_t y[2];
    memcpy(x, a.data, sizeof x);
    memcpy(y, b.data, sizeof y);
    x[0] += y[0];
    x[1] += y[1];
    return tarn_buffer_assign(out, tarn_bytes_at(x, sizeof x));
}

static tarn_status result_of_average(tarn_bytes accumulator, tarn_buffer *out, void *context)
{
    (void)context;
    char text[64];
    uint64_t pair[2];
    memcpy(pair, accumulator.data, sizeof pair);
    (void)snprintf(
        text, sizeof text, "%llu/%llu", (unsigned long long)pair[0], (unsigned long long)pair[1]);
    return tarn_buffer_assign(out, tarn_bytes_of(text));
}

/* ---- opening ---------------------------------------------------------------------------- */

static tarn_keyed *keyed_of(program *p, kind k)
{
    switch (k) {
    case VALUE:
        return tarn_value_keyed(p->value);
    case MAP:
        return tarn_map_keyed(p->map);
    case LIST:
        return tarn_list_keyed(p->list);
    case NUMBER:
        return tarn_reducing_keyed(p->number);
    case TEXT:
        return tarn_reducing_keyed(p->text);
    case AVERAGE:
    case KINDS:
        break;
    }
    return tarn_aggregating_keyed(p->average);
}

static tarn_status open_kind(program *p, kind k)
{
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    tarn_reducing_options reducing = TARN_REDUCING_OPTIONS_INIT;
    tarn_aggregating_options aggregating = TARN_AGGREGATING_OPTIONS_INIT;
    options.name = KIND_NAMES[k];
    options.ttl = p->has_ttl[k] ? &p->ttl[k] : NULL;
    options.layout = p->layout[k];
    options.tuning = p->tuning;
    switch (k) {
    case VALUE:
        return tarn_value_open(p->backend, &options, &p->value, &p->error);
    case MAP:
        return tarn_map_open(p->backend, &options, &p->map, &p->error);
    case LIST:
        return tarn_list_open(p->backend, &options, &p->list, &p->error);
    case NUMBER:
        reducing.reducer = p->reducer;
        return tarn_reducing_open(p->backend, &options, &reducing, &p->number, &p->error);
    case TEXT:
        reducing.reduce = append_text;
        return tarn_reducing_open(p->backend, &options, &reducing, &p->text, &p->error);
    case AVERAGE:
    case KINDS:
        break;
    }
    aggregating.add = add_average;
    aggregating.merge = merge_averages;
    aggregating.get_result = result_of_average;
    return tarn_aggregating_open(p->backend, &options, &aggregating, &p->average, &p->error);
}

static tarn_status close_kind(program *p, kind k)
{
    switch (k) {
    case VALUE:
        return tarn_value_close(p->value, &p->error);
    case MAP:
        return tarn_map_close(p->map, &p->error);
    case LIST:
        return tarn_list_close(p->list, &p->error);
    case NUMBER:
        return tarn_reducing_close(p->number, &p->error);
    case TEXT:
        return tarn_reducing_close(p->text, &p->error);
    case AVERAGE:
    case KINDS:
        break;
    }
    return tarn_aggregating_close(p->average, &p->error);
}

static void set_namespace(program *p, kind k, uint32_t name_space)
{
    p->name_space[k] = name_space;
    assert_ok(
        tarn_keyed_set_namespace(
            keyed_of(p, k), tarn_bytes_of(NAMESPACE_NAMES[name_space]), &p->error),
        &p->error);
}

/* ---- steps on one kind ------------------------------------------------------------------ */

static void step_value(program *p)
{
    item *it = &current(p, VALUE)->one;
    uint8_t room[BYTES_MAX];
    tarn_bytes read = {NULL, 0};
    const uint32_t dice = below(p, 10);
    if (dice < 4) {
        const bool is_seen = touch(p, VALUE, it);
        assert_int_equal(
            tarn_value_get(p->value, &read, &p->error), is_seen ? TARN_OK : TARN_NOT_FOUND);
        if (is_seen) {
            expect_bytes(read, it->number);
        }
    } else if (dice < 8) {
        *it = (item){.is_present = true, .stamp_ms = p->now_ms, .number = below(p, 1 << 20)};
        assert_ok(tarn_value_put(p->value, make_bytes(it->number, room), &p->error), &p->error);
    } else {
        it->is_present = false;
        assert_ok(tarn_value_remove(p->value, &p->error), &p->error);
    }
}

/* A range over the model's sorted keys, and the same for the state. */
static tarn_map_range random_range(program *p, bool is_inside[MAP_KEYS])
{
    tarn_map_range range = TARN_MAP_RANGE_INIT;
    const uint32_t from = below(p, MAP_KEYS);
    const uint32_t to = below(p, MAP_KEYS);
    const uint32_t prefix = below(p, MAP_KEYS);
    const uint32_t dice = below(p, 8);
    range.is_backward = below(p, 2) == 0;
    if ((dice & 1) != 0) {
        range.from = tarn_bytes_of(MAP_KEY_NAMES[from]);
    }
    if ((dice & 2) != 0) {
        range.to = tarn_bytes_of(MAP_KEY_NAMES[to]);
    }
    if ((dice & 4) != 0) {
        range.prefix = tarn_bytes_of(MAP_KEY_NAMES[prefix]);
    }
    for (uint32_t i = 0; i < MAP_KEYS; i++) {
        is_inside[i] =
            ((dice & 1) == 0 || i >= from) && ((dice & 2) == 0 || i < to) &&
            ((dice & 4) == 0 ||
             strncmp(MAP_KEY_NAMES[i], MAP_KEY_NAMES[prefix], strlen(MAP_KEY_NAMES[prefix])) == 0);
    }
    return range;
}

static void iterate_map(program *p)
{
    cell *c = current(p, MAP);
    bool is_inside[MAP_KEYS];
    const tarn_map_range range = random_range(p, is_inside);
    const bool removes = below(p, 4) == 0;
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    assert_ok(tarn_map_iterate(p->map, &range, NULL, &iterator, &p->error), &p->error);
    for (uint32_t n = 0; n < MAP_KEYS; n++) {
        const uint32_t i = range.is_backward ? MAP_KEYS - 1 - n : n;
        if (!is_inside[i] || !touch(p, MAP, &c->entries[i])) {
            continue;
        }
        assert_ok(tarn_map_iterator_next(iterator, &entry, &p->error), &p->error);
        assert_true(tarn_bytes_is_equal(entry.key, tarn_bytes_of(MAP_KEY_NAMES[i])));
        expect_bytes(entry.value, c->entries[i].number);
        if (removes && below(p, 2) == 0) {
            c->entries[i].is_present = false;
            assert_ok(tarn_map_iterator_remove(iterator, &p->error), &p->error);
        }
    }
    assert_int_equal(tarn_map_iterator_next(iterator, &entry, &p->error), TARN_DONE);
    tarn_map_iterator_close(iterator);
}

static void put_all(program *p)
{
    cell *c = current(p, MAP);
    uint8_t rooms[MAP_KEYS][BYTES_MAX];
    tarn_map_entry entries[MAP_KEYS];
    const uint32_t count = below(p, MAP_KEYS + 1);
    for (uint32_t n = 0; n < count; n++) {
        const uint32_t i = below(p, MAP_KEYS);
        c->entries[i] =
            (item){.is_present = true, .stamp_ms = p->now_ms, .number = below(p, 1 << 20)};
        entries[n].key = tarn_bytes_of(MAP_KEY_NAMES[i]);
        entries[n].value = make_bytes(c->entries[i].number, rooms[n]);
    }
    assert_ok(tarn_map_put_all(p->map, entries, count, &p->error), &p->error);
}

static void step_map_at_large(program *p)
{
    cell *c = current(p, MAP);
    bool is_inside[MAP_KEYS];
    bool is_empty = false;
    const uint32_t dice = below(p, 10);
    if (dice < 5) {
        iterate_map(p);
    } else if (dice < 7) {
        put_all(p);
    } else if (dice < 8) {
        assert_ok(tarn_map_is_empty(p->map, &is_empty, &p->error), &p->error);
        assert_int_equal(is_empty, !has_any(c, MAP));
    } else if (dice < 9) {
        const tarn_map_range range = random_range(p, is_inside);
        assert_ok(tarn_map_remove_range(p->map, &range, &p->error), &p->error);
        for (uint32_t i = 0; i < MAP_KEYS; i++) {
            c->entries[i].is_present = c->entries[i].is_present && !is_inside[i];
        }
    } else {
        assert_ok(tarn_map_clear(p->map, &p->error), &p->error);
        memset(c->entries, 0, sizeof c->entries);
    }
}

static void step_map(program *p)
{
    const uint32_t i = below(p, MAP_KEYS);
    item *it = &current(p, MAP)->entries[i];
    const tarn_bytes key = tarn_bytes_of(MAP_KEY_NAMES[i]);
    uint8_t room[BYTES_MAX];
    tarn_bytes read = {NULL, 0};
    const uint32_t dice = below(p, 16);
    if (dice < 6) {
        step_map_at_large(p);
    } else if (dice < 8) {
        const bool is_seen = touch(p, MAP, it);
        assert_int_equal(
            tarn_map_get(p->map, key, &read, &p->error), is_seen ? TARN_OK : TARN_NOT_FOUND);
        if (is_seen) {
            expect_bytes(read, it->number);
        }
    } else if (dice < 9) {
        const bool is_seen = touch(p, MAP, it);
        assert_int_equal(
            tarn_map_contains(p->map, key, &p->error), is_seen ? TARN_OK : TARN_NOT_FOUND);
    } else if (dice < 14) {
        *it = (item){.is_present = true, .stamp_ms = p->now_ms, .number = below(p, 1 << 20)};
        assert_ok(tarn_map_put(p->map, key, make_bytes(it->number, room), &p->error), &p->error);
    } else {
        it->is_present = false;
        assert_ok(tarn_map_remove(p->map, key, &p->error), &p->error);
    }
}

static void read_list(program *p)
{
    cell *c = current(p, LIST);
    tarn_list_iterator *iterator = NULL;
    tarn_bytes read;
    uint32_t young_count = 0;
    assert_ok(tarn_list_iterate(p->list, NULL, &iterator, &p->error), &p->error);
    for (uint32_t i = 0; i < c->element_count; i++) {
        const bool is_old = is_expired(p, LIST, &c->elements[i]);
        young_count += is_old ? 0 : 1;
        if (!is_old || shows(p, LIST)) {
            assert_ok(tarn_list_iterator_next(iterator, &read, &p->error), &p->error);
            expect_bytes(read, c->elements[i].number);
        }
    }
    assert_int_equal(tarn_list_iterator_next(iterator, &read, &p->error), TARN_DONE);
    assert_int_equal(tarn_list_iterator_next(iterator, &read, &p->error), TARN_DONE);
    tarn_list_iterator_close(iterator);
    if (!p->has_ttl[LIST] || (young_count > 0 && !prolongs(p, LIST))) {
        return;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < c->element_count; i++) {
        if (!is_expired(p, LIST, &c->elements[i])) {
            c->elements[kept] = c->elements[i];
            c->elements[kept++].stamp_ms = p->now_ms;
        }
    }
    c->element_count = kept;
}

static void step_list(program *p)
{
    static uint8_t rooms[8][BYTES_MAX];
    cell *c = current(p, LIST);
    tarn_bytes elements[8];
    const uint32_t dice = below(p, 10);
    uint32_t count = dice < 6 ? 1 : below(p, 8);
    if (dice < 3) {
        read_list(p);
        return;
    }
    if (dice == 9 || c->element_count + count > LIST_MAX) {
        c->element_count = 0;
        assert_ok(tarn_list_clear(p->list, &p->error), &p->error);
        return;
    }
    const bool replaces = dice == 8;
    c->element_count = replaces ? 0 : c->element_count;
    for (uint32_t i = 0; i < count; i++) {
        item *it = &c->elements[c->element_count++];
        *it = (item){.is_present = true, .stamp_ms = p->now_ms, .number = below(p, 1 << 20)};
        elements[i] = make_bytes(it->number, rooms[i]);
    }
    if (replaces) {
        assert_ok(tarn_list_replace(p->list, elements, count, &p->error), &p->error);
    } else if (dice < 6) {
        assert_ok(tarn_list_append(p->list, elements[0], &p->error), &p->error);
    } else {
        assert_ok(tarn_list_append_all(p->list, elements, count, &p->error), &p->error);
    }
}

static void add_number(program *p, item *it)
{
    const uint64_t number = tarn__random_next(&p->random) >> below(p, 64);
    const item added = {.is_present = true, .stamp_ms = p->now_ms, .number = number};
    merge_items(p, NUMBER, it, &added);
    assert_ok(tarn_reducing_add_i64(p->number, (int64_t)number, &p->error), &p->error);
}

static void step_number(program *p)
{
    item *it = &current(p, NUMBER)->one;
    const uint32_t dice = below(p, 12);
    if (dice < 3) {
        int64_t read = 0;
        const bool is_seen = touch(p, NUMBER, it);
        assert_int_equal(
            tarn_reducing_get_i64(p->number, &read, &p->error), is_seen ? TARN_OK : TARN_NOT_FOUND);
        assert_true(!is_seen || read == (int64_t)it->number);
    } else if (dice < 10) {
        add_number(p, it);
    } else if (dice < 11) {
        for (uint32_t i = below(p, 80); i > 0; i--) { /* More than may wait unfolded. */
            add_number(p, it);
        }
    } else {
        it->is_present = false;
        assert_ok(tarn_reducing_clear(p->number, &p->error), &p->error);
    }
}

static void step_text(program *p)
{
    item *it = &current(p, TEXT)->one;
    tarn_bytes read = {NULL, 0};
    const uint32_t dice = below(p, 10);
    if (dice < 4) {
        const bool is_seen = touch(p, TEXT, it);
        assert_int_equal(
            tarn_reducing_get(p->text, &read, &p->error), is_seen ? TARN_OK : TARN_NOT_FOUND);
        assert_true(!is_seen || tarn_bytes_is_equal(read, tarn_bytes_of(it->text)));
    } else if (dice < 9) {
        item added = {.is_present = true, .stamp_ms = p->now_ms};
        (void)snprintf(added.text, sizeof added.text, "%u,", below(p, 100));
        merge_items(p, TEXT, it, &added);
        assert_ok(tarn_reducing_add(p->text, tarn_bytes_of(added.text), &p->error), &p->error);
    } else {
        it->is_present = false;
        assert_ok(tarn_reducing_clear(p->text, &p->error), &p->error);
    }
}

static void step_average(program *p)
{
    item *it = &current(p, AVERAGE)->one;
    tarn_bytes read = {NULL, 0};
    const uint32_t dice = below(p, 10);
    if (dice < 4) {
        char expected[64];
        const bool is_seen = touch(p, AVERAGE, it);
        (void)snprintf(
            expected,
            sizeof expected,
            "%llu/%llu",
            (unsigned long long)it->number,
            (unsigned long long)it->count);
        assert_int_equal(
            tarn_aggregating_get(p->average, &read, &p->error), is_seen ? TARN_OK : TARN_NOT_FOUND);
        assert_true(!is_seen || tarn_bytes_is_equal(read, tarn_bytes_of(expected)));
    } else if (dice < 9) {
        const item added = {
            .is_present = true, .stamp_ms = p->now_ms, .number = below(p, 1000), .count = 1};
        merge_items(p, AVERAGE, it, &added);
        assert_ok(
            tarn_aggregating_add(
                p->average, tarn_bytes_at(&added.number, sizeof added.number), &p->error),
            &p->error);
    } else {
        it->is_present = false;
        assert_ok(tarn_aggregating_clear(p->average, &p->error), &p->error);
    }
}

/* ---- steps over keys and namespaces ----------------------------------------------------- */

static uint32_t index_of(const char *const *names, uint32_t count, tarn_bytes name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (tarn_bytes_is_equal(name, tarn_bytes_of(names[i]))) {
            return i;
        }
    }
    fail_msg("an iteration gave out a name that nobody wrote");
    return 0;
}

static void check_keys(program *p, kind k)
{
    bool is_seen[KEYS][NAMESPACES] = {{false}};
    const uint32_t wanted = below(p, NAMESPACES + 1);
    const tarn_bytes name =
        wanted < NAMESPACES ? tarn_bytes_of(NAMESPACE_NAMES[wanted]) : tarn_bytes_of("");
    tarn_key_iterator *iterator = NULL;
    tarn_row row;
    assert_ok(
        tarn_keyed_iterate_keys(
            keyed_of(p, k), wanted < NAMESPACES ? &name : NULL, NULL, &iterator, &p->error),
        &p->error);
    tarn_status status = tarn_key_iterator_next(iterator, &row, &p->error);
    while (status == TARN_OK) {
        const uint32_t key = index_of(KEY_NAMES, KEYS, row.key);
        const uint32_t name_space = index_of(NAMESPACE_NAMES, NAMESPACES, row.name_space);
        assert_false(is_seen[key][name_space]);
        is_seen[key][name_space] = true;
        status = tarn_key_iterator_next(iterator, &row, &p->error);
    }
    assert_int_equal(status, TARN_DONE);
    tarn_key_iterator_close(iterator);
    for (uint32_t key = 0; key < KEYS; key++) {
        for (uint32_t n = 0; n < NAMESPACES; n++) {
            const bool is_wanted = wanted == NAMESPACES || wanted == n;
            assert_int_equal(is_seen[key][n], is_wanted && has_any(&p->cells[k][key][n], k));
        }
    }
}

/* A reducer for which the order of namespaces matters has one order here: target, then sources. */
static void merge_cells(program *p, kind k, const uint32_t *sources, uint32_t count, uint32_t to)
{
    static cell got;
    memset(&got, 0, sizeof got);
    for (uint32_t i = 0; i < count; i++) {
        cell *source = &p->cells[k][p->key][sources[i]];
        if (sources[i] == to) {
            continue;
        }
        for (uint32_t j = 0; j < source->element_count && got.element_count < LIST_MAX; j++) {
            got.elements[got.element_count++] = source->elements[j];
        }
        merge_items(p, k, &got.one, &source->one);
        memset(source, 0, sizeof *source);
    }
    cell *target = &p->cells[k][p->key][to];
    for (uint32_t j = 0; j < got.element_count; j++) {
        target->elements[target->element_count++] = got.elements[j];
    }
    if (got.one.is_present) {
        merge_items(p, k, &target->one, &got.one);
    }
}

static void merge_namespaces(program *p, kind k)
{
    uint32_t sources[3];
    tarn_bytes names[3];
    const uint32_t count = below(p, 4);
    const uint32_t to = below(p, NAMESPACES);
    uint32_t total = 0;
    for (uint32_t i = 0; i < NAMESPACES; i++) {
        total += p->cells[k][p->key][i].element_count;
    }
    if (total > LIST_MAX) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        sources[i] = below(p, NAMESPACES);
        names[i] = tarn_bytes_of(NAMESPACE_NAMES[sources[i]]);
    }
    const tarn_status status = tarn_keyed_merge_namespaces(
        keyed_of(p, k), names, count, tarn_bytes_of(NAMESPACE_NAMES[to]), &p->error);
    if (k == VALUE || k == MAP) {
        assert_int_equal(status, TARN_NOT_SUPPORTED);
        return;
    }
    assert_ok(status, &p->error);
    merge_cells(p, k, sources, count, to);
}

/* ---- readings that go on ---------------------------------------------------------------- */

static void end_reading(reading *r)
{
    tarn_list_iterator_close(r->list);
    tarn_value_iterator_close(r->values);
    tarn_key_iterator_close(r->keys);
    *r = (reading){.what = READS_NOTHING};
}

/* States with open iterators cannot be closed. */
static void end_readings(program *p)
{
    for (uint32_t i = 0; i < READINGS; i++) {
        end_reading(&p->readings[i]);
    }
}

static void begin_list(program *p, reading *r)
{
    r->what = READS_LIST;
    r->begun = *current(p, LIST);
    assert_ok(tarn_list_iterate(p->list, NULL, &r->list, &p->error), &p->error);
}

static void begin_values(program *p, reading *r)
{
    r->what = READS_VALUES;
    for (uint32_t key = 0; key < KEYS; key++) {
        for (uint32_t n = 0; n < NAMESPACES; n++) {
            r->is_left[key][n] = p->cells[VALUE][key][n].one.is_present;
            r->numbers[key][n] = p->cells[VALUE][key][n].one.number;
        }
    }
    assert_ok(tarn_value_iterate(p->value, NULL, &r->values, &p->error), &p->error);
}

static void begin_keys(program *p, reading *r)
{
    r->what = READS_KEYS;
    r->of = (kind)below(p, KINDS);
    r->name_space = below(p, NAMESPACES + 1);
    const tarn_bytes name =
        tarn_bytes_of(NAMESPACE_NAMES[r->name_space < NAMESPACES ? r->name_space : 0]);
    for (uint32_t key = 0; key < KEYS; key++) {
        for (uint32_t n = 0; n < NAMESPACES; n++) {
            r->is_left[key][n] = (r->name_space == NAMESPACES || r->name_space == n) &&
                                 has_any(&p->cells[r->of][key][n], r->of);
        }
    }
    assert_ok(
        tarn_keyed_iterate_keys(
            keyed_of(p, r->of),
            r->name_space < NAMESPACES ? &name : NULL,
            NULL,
            &r->keys,
            &p->error),
        &p->error);
}

/* Without a TTL, which would have a reading change what it reads. */
static void begin_reading(program *p, reading *r)
{
    const uint32_t dice = below(p, 3);
    if (dice == 0 && !p->has_ttl[LIST]) {
        begin_list(p, r);
    } else if (dice == 1 && !p->has_ttl[VALUE]) {
        begin_values(p, r);
    } else {
        begin_keys(p, r);
    }
}

static tarn_status next_of_list(program *p, reading *r)
{
    tarn_bytes read;
    const tarn_status status = tarn_list_iterator_next(r->list, &read, &p->error);
    if (status == TARN_OK) {
        assert_true(r->next < r->begun.element_count);
        expect_bytes(read, r->begun.elements[r->next++].number);
    } else {
        assert_int_equal(r->next, r->begun.element_count);
    }
    return status;
}

static tarn_status next_of_rows(program *p, reading *r)
{
    tarn_row row;
    const tarn_status status = r->what == READS_VALUES
                                   ? tarn_value_iterator_next(r->values, &row, &p->error)
                                   : tarn_key_iterator_next(r->keys, &row, &p->error);
    for (uint32_t i = 0; status == TARN_DONE && i < KEYS * NAMESPACES; i++) {
        assert_false(r->is_left[i / NAMESPACES][i % NAMESPACES]);
    }
    if (status == TARN_OK) {
        const uint32_t key = index_of(KEY_NAMES, KEYS, row.key);
        const uint32_t n = index_of(NAMESPACE_NAMES, NAMESPACES, row.name_space);
        assert_true(r->is_left[key][n]);
        r->is_left[key][n] = false;
        if (r->what == READS_VALUES) {
            expect_bytes(row.value, r->numbers[key][n]);
        }
    }
    return status;
}

static void step_reading(program *p)
{
    reading *r = &p->readings[below(p, READINGS)];
    if (r->what == READS_NOTHING) {
        begin_reading(p, r);
        return;
    }
    tarn_status status = TARN_OK;
    for (uint32_t i = below(p, 8); i > 0 && status == TARN_OK; i--) {
        status = r->what == READS_LIST ? next_of_list(p, r) : next_of_rows(p, r);
        assert_true(status == TARN_OK || status == TARN_DONE);
    }
    if (status == TARN_DONE || below(p, 20) == 0) {
        end_reading(r);
    }
}

/* Closes some states and drops what is not open then: it is gone, the others are not. */
static void drop_untaken(program *p)
{
    bool is_closed[KINDS];
    uint32_t count = 0;
    end_readings(p);
    for (uint32_t k = 0; k < KINDS; k++) {
        is_closed[k] = below(p, KINDS) == 0;
        if (is_closed[k]) {
            assert_ok(close_kind(p, (kind)k), &p->error);
            memset(p->cells[k], 0, sizeof p->cells[k]);
            count++;
        }
    }
    assert_int_equal(
        tarn_backend_check_untaken(p->backend, &p->error),
        count == 0 ? TARN_OK : TARN_INCOMPATIBLE);
    uint32_t dropped = 0;
    assert_ok(tarn_backend_drop_untaken(p->backend, &dropped, &p->error), &p->error);
    assert_int_equal(dropped, count);
    for (uint32_t k = 0; k < KINDS; k++) {
        if (is_closed[k]) {
            assert_ok(open_kind(p, (kind)k), &p->error);
            set_namespace(p, (kind)k, p->name_space[k]);
        }
    }
}

static void drop_namespace(program *p, kind k)
{
    const uint32_t n = below(p, NAMESPACES);
    assert_ok(
        tarn_keyed_drop_namespace(keyed_of(p, k), tarn_bytes_of(NAMESPACE_NAMES[n]), &p->error),
        &p->error);
    for (uint32_t key = 0; key < KEYS; key++) {
        memset(&p->cells[k][key][n], 0, sizeof p->cells[k][key][n]);
    }
}

static void remove_key(program *p)
{
    assert_ok(tarn_backend_remove_key(p->backend, &p->error), &p->error);
    for (uint32_t k = 0; k < KINDS; k++) {
        memset(p->cells[k][p->key], 0, sizeof p->cells[k][p->key]);
    }
    memset(p->is_registered[p->key], 0, sizeof p->is_registered[p->key]);
}

static void step_whole(program *p)
{
    const kind k = (kind)below(p, KINDS);
    const uint32_t dice = below(p, 41);
    if (dice == 40) {
        drop_untaken(p);
    } else if (dice < 16) {
        check_keys(p, k);
    } else if (dice < 26) {
        merge_namespaces(p, k);
    } else if (dice < 29) {
        drop_namespace(p, k);
    } else if (dice < 30) {
        assert_ok(tarn_keyed_clear(keyed_of(p, k), &p->error), &p->error);
        memset(p->cells[k], 0, sizeof p->cells[k]);
    } else if (dice < 31) {
        remove_key(p);
    } else if (dice < 35) {
        assert_ok(tarn__rocks_flush(p->backend->rocks, &p->error), &p->error);
    } else if (dice < 37) {
        tarn__rocks_compact(tarn__rocks_find_family(p->backend->rocks, KIND_NAMES[k]));
    } else if (dice < 39) {
        end_readings(p);
        assert_ok(close_kind(p, k), &p->error);
        assert_ok(open_kind(p, k), &p->error);
        set_namespace(p, k, p->name_space[k]);
    } else {
        p->now_ms -= below(p, 8); /* A clock that goes back. */
    }
}

/* ---- timers ----------------------------------------------------------------------------- */

static void open_timers(program *p)
{
    tarn_timers_options options = TARN_TIMERS_OPTIONS_INIT;
    options.name = "timers";
    options.head_timer_count = 3; /* The others are in the buffer, or in RocksDB. */
    options.buffer_timer_count = 16;
    assert_ok(tarn_timers_open(p->backend, &options, &p->timers, &p->error), &p->error);
}

/* Answers the place of the earliest time that a timer is registered for; TIMES: none is. */
static uint32_t earliest(const program *p)
{
    uint32_t found = TIMES;
    for (uint32_t key = 0; key < KEYS; key++) {
        for (uint32_t n = 0; n < NAMESPACES; n++) {
            for (uint32_t t = 0; t < found; t++) {
                found = p->is_registered[key][n][t] ? t : found;
            }
        }
    }
    return found;
}

/* Takes some of the timers that are due, or all; the key of each is the current one then. */
static void poll_timers(program *p, uint32_t up_to)
{
    for (uint32_t rest = 1 + below(p, 12); rest > 0; rest--) {
        const uint32_t next = earliest(p);
        tarn_timer timer;
        const tarn_status status =
            tarn_timers_poll(p->timers, TIME_VALUES[up_to], &timer, &p->error);
        if (next > up_to) {
            assert_int_equal(status, TARN_DONE);
            return;
        }
        assert_ok(status, &p->error);
        assert_int_equal(timer.time, TIME_VALUES[next]);
        const uint32_t key = index_of(KEY_NAMES, KEYS, timer.key);
        const uint32_t n = index_of(NAMESPACE_NAMES, NAMESPACES, timer.name_space);
        assert_true(p->is_registered[key][n][next]);
        p->is_registered[key][n][next] = false;
        p->key = key;
    }
}

static void check_timers(program *p)
{
    uint64_t count = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        for (uint32_t n = 0; n < NAMESPACES; n++) {
            for (uint32_t t = 0; t < TIMES; t++) {
                count += p->is_registered[key][n][t] ? 1 : 0;
            }
        }
    }
    assert_int_equal(tarn_timers_count(p->timers), count);
}

static void step_timers(program *p)
{
    const uint32_t n = below(p, NAMESPACES);
    const uint32_t t = below(p, TIMES);
    const uint32_t dice = below(p, 20);
    const tarn_bytes name_space = tarn_bytes_of(NAMESPACE_NAMES[n]);
    if (dice < 12) {
        assert_ok(
            tarn_timers_register(p->timers, TIME_VALUES[t], name_space, &p->error), &p->error);
        p->is_registered[p->key][n][t] = true;
    } else if (dice < 16) {
        assert_ok(tarn_timers_remove(p->timers, TIME_VALUES[t], name_space, &p->error), &p->error);
        p->is_registered[p->key][n][t] = false;
    } else if (dice < 19) {
        poll_timers(p, t);
    } else {
        assert_ok(tarn_timers_close(p->timers, &p->error), &p->error);
        open_timers(p);
    }
    check_timers(p);
}

/* ---- checkpoints ------------------------------------------------------------------------ */

static void set_key(program *p)
{
    p->key = below(p, KEYS);
    assert_ok(
        tarn_backend_set_key(p->backend, tarn_bytes_of(KEY_NAMES[p->key]), &p->error), &p->error);
}

static void step_kind(program *p)
{
    static void (*const STEPS_OF[KINDS])(program * p) = {
        step_value, step_map, step_list, step_number, step_text, step_average};
    STEPS_OF[below(p, KINDS)](p);
}

/* Reads some keys of some states, now or one batch ahead. */
static void prefetch(program *p)
{
    tarn_keyed *states[KINDS];
    tarn_bytes keys[MAP_KEYS];
    tarn_bytes user_keys[MAP_KEYS];
    tarn_prefetch what = TARN_PREFETCH_INIT;
    what.states = states;
    what.keys = keys;
    what.user_keys = below(p, 2) == 0 ? user_keys : NULL;
    for (uint32_t i = 0; i < KINDS; i++) {
        if (below(p, 2) == 0) {
            states[what.state_count++] = keyed_of(p, (kind)i);
        }
    }
    for (uint32_t i = below(p, MAP_KEYS + 1); i > 0; i--) {
        user_keys[what.key_count] = tarn_bytes_of(MAP_KEY_NAMES[below(p, MAP_KEYS)]);
        keys[what.key_count++] = tarn_bytes_of(KEY_NAMES[below(p, KEYS)]);
    }
    if (below(p, 4) == 0) {
        assert_ok(tarn_backend_prefetch(p->backend, &what, &p->error), &p->error);
    } else {
        assert_ok(
            tarn_backend_prefetch_ahead(p->backend, below(p, 6) == 0 ? NULL : &what, &p->error),
            &p->error);
    }
}

/* Begins to build a state's filter of new keys, or has it take in what was built. */
static void renew_filter(program *p)
{
    tarn__new_keys_renew(keyed_of(p, (kind)below(p, KINDS)));
}

/* The stream goes on while a snapshot is open. */
static void go_on(program *p, tarn_snapshot *snapshot)
{
    for (uint32_t left = below(p, 60); left > 0; left--) {
        const uint32_t dice = below(p, 40);
        if (dice < 6) {
            set_key(p);
        } else if (dice < 10) {
            set_namespace(p, (kind)below(p, KINDS), below(p, NAMESPACES));
        } else if (dice == 10) {
            fixture_resize_working_set(p->backend, below(p, 2 * FIXTURE_SIZES));
        } else if (dice == 11) {
            merge_namespaces(p, (kind)below(p, KINDS));
        } else if (dice == 12) {
            drop_namespace(p, (kind)below(p, KINDS));
        } else if (dice == 13) {
            remove_key(p);
        } else if (dice == 14) {
            prefetch(p);
        } else if (dice == 15) {
            renew_filter(p);
        } else if (dice < 18) {
            const tarn_status status = tarn_snapshot_poll(snapshot);
            assert_true(status == TARN_OK || status == TARN_PENDING);
        } else if (dice < 20) {
            step_timers(p);
        } else if (dice < 23) {
            step_reading(p);
        } else {
            step_kind(p);
        }
    }
}

static void take_checkpoint(program *p)
{
    static cell begun[KINDS][KEYS][NAMESPACES];
    static bool begun_timers[KEYS][NAMESPACES][TIMES];
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    const uint64_t id = tarn_checkpoint_store_next_id(p->store);
    assert_ok(tarn_checkpoint_begin(p->store, id, &pending, &p->error), &p->error);
    assert_ok(tarn_snapshot_begin(p->backend, pending, &snapshot, &p->error), &p->error);
    memcpy(begun, p->cells, sizeof begun);
    memcpy(begun_timers, p->is_registered, sizeof begun_timers);
    go_on(p, snapshot);
    if (below(p, 3) == 0) {
        tarn_snapshot_abandon(snapshot);
        tarn_checkpoint_abandon(pending);
        return;
    }
    assert_ok(tarn_snapshot_finish(snapshot, &acknowledgement, &p->error), &p->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &p->error),
        &p->error);
    tarn_buffer_clear(&acknowledgement);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &p->error), &p->error);
    tarn_backend_notify_complete(p->backend, id);
    memcpy(p->saved, begun, sizeof p->saved);
    memcpy(p->was_registered, begun_timers, sizeof p->was_registered);
    p->has_checkpoint = true;
}

/* Opens the backend and all states: empty, or as a checkpoint has them. */
static void open_program(program *p, tarn_checkpoint *checkpoint)
{
    char directory[FIXTURE_PATH_BYTES + 8];
    (void)snprintf(
        directory, sizeof directory, "%s/%s", p->directory, p->is_first_directory ? "a" : "b");
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = p->env;
    options.operator_name = "test";
    options.directory = directory;
    options.restore = checkpoint;
    assert_ok(tarn_backend_open(&options, &p->backend, &p->error), &p->error);
    for (uint32_t k = 0; k < KINDS; k++) {
        assert_ok(open_kind(p, (kind)k), &p->error);
        set_namespace(p, (kind)k, p->name_space[k]);
    }
    open_timers(p);
    assert_ok(tarn_backend_check_untaken(p->backend, &p->error), &p->error);
    assert_ok(
        tarn_backend_set_key(p->backend, tarn_bytes_of(KEY_NAMES[p->key]), &p->error), &p->error);
}

static void close_program(program *p)
{
    end_readings(p);
    for (uint32_t k = 0; k < KINDS; k++) {
        assert_ok(close_kind(p, (kind)k), &p->error);
    }
    assert_ok(tarn_timers_close(p->timers, &p->error), &p->error);
    assert_ok(tarn_backend_close(p->backend, &p->error), &p->error);
}

/* What was written since the last checkpoint is gone. */
static void restore(program *p)
{
    tarn_checkpoint *checkpoint = NULL;
    char path[FIXTURE_PATH_BYTES + 32];
    (void)snprintf(path, sizeof path, "%s/job", p->address);
    close_program(p);
    p->is_first_directory = !p->is_first_directory;
    assert_ok(tarn_checkpoint_open(path, NULL, &checkpoint, &p->error), &p->error);
    open_program(p, checkpoint);
    tarn_checkpoint_free(checkpoint);
    memcpy(p->cells, p->saved, sizeof p->cells);
    memcpy(p->is_registered, p->was_registered, sizeof p->is_registered);
    check_timers(p);
}

static void step(program *p)
{
    const uint32_t dice = below(p, 100);
    if (below(p, 300) == 0) {
        take_checkpoint(p);
    } else if (p->has_checkpoint && below(p, 600) == 0) {
        restore(p);
    } else if (below(p, 200) == 0) {
        fixture_resize_working_set(p->backend, below(p, 2 * FIXTURE_SIZES));
    } else if (below(p, 25) == 0) {
        prefetch(p);
    } else if (below(p, 15) == 0) {
        renew_filter(p);
    } else if (dice < 12) {
        set_key(p);
    } else if (dice < 22) {
        set_namespace(p, (kind)below(p, KINDS), below(p, NAMESPACES));
    } else if (dice < 32) {
        p->now_ms += below(p, 12);
    } else if (dice < 42) {
        step_whole(p);
    } else if (dice < 50) {
        step_timers(p);
    } else if (dice < 54) {
        step_reading(p);
    } else {
        step_kind(p);
    }
}

static void choose(program *p)
{
    static const tarn_reducer REDUCERS[] = {
        TARN_REDUCER_SUM,
        TARN_REDUCER_MIN,
        TARN_REDUCER_MAX,
        TARN_REDUCER_FIRST,
        TARN_REDUCER_LAST,
        TARN_REDUCER_BIT_OR};
    p->reducer = REDUCERS[below(p, 6)];
    for (uint32_t k = 0; k < KINDS; k++) {
        p->has_ttl[k] = below(p, 2) == 0;
        p->layout[k] = (tarn_layout)below(p, 2);
        p->ttl[k] = (tarn_ttl)TARN_TTL_INIT;
        p->ttl[k].ttl_ms = 1 + below(p, 40);
        p->ttl[k].update = (tarn_ttl_update)below(p, 2);
        p->ttl[k].visibility = (tarn_ttl_visibility)below(p, 2);
        p->ttl[k].is_kept_by_compactions = true; /* property.ttl has compactions that drop. */
        p->ttl[k].now_ms = program_now;
        p->ttl[k].now_context = p;
    }
}

/* Filters that hardly tell rows apart, good ones, none. */
static void choose_filter(program *p)
{
    static const char *const BITS[] = {"1", "1", "2", "10"};
    fixture_set(p->tuning, "tarn.new-key-filter.enabled", below(p, 6) == 0 ? "false" : "true");
    fixture_set(p->tuning, "tarn.new-key-filter.bits-per-key", BITS[below(p, 4)]);
}

static void run_program(uint64_t seed, void *context)
{
    program *p = context;
    memset(p->cells, 0, sizeof p->cells);
    memset(p->is_registered, 0, sizeof p->is_registered);
    p->random = (tarn__random){seed};
    p->now_ms = (int64_t)below(p, 100) - 50;
    p->key = 0;
    p->has_checkpoint = false;
    memset(p->name_space, 0, sizeof p->name_space);
    choose(p);
    choose_filter(p);
    open_program(p, NULL);
    for (uint32_t i = 0; i < STEPS; i++) {
        step(p);
    }
    for (uint32_t k = 0; k < KINDS; k++) {
        check_keys(p, (kind)k);
    }
    check_timers(p);
    close_program(p);
}

static void test_all_kinds_answer_like_a_plain_model(void **state)
{
    (void)state;
    static program p;
    tarn_config *config = fixture_new_config(128);
    p.env = fixture_open_env(config, NULL);
    assert_ok(tarn_config_new(NULL, &p.tuning, &p.error), &p.error);
    fixture_make_directory(p.directory);
    (void)snprintf(p.address, sizeof p.address, "%s/store", p.directory);
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = p.env;
    options.address = p.address;
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, &p.store, &p.error), &p.error);
    prop_run("kinds", SECONDS, run_program, &p);
    assert_ok(tarn_checkpoint_store_close(p.store, &p.error), &p.error);
    assert_ok(tarn_env_close(p.env, &p.error), &p.error);
    tarn_config_free(p.tuning);
    tarn_config_free(config);
    fixture_remove_directory(p.directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_kinds_answer_like_a_plain_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
