/*
 * Property of map state in the working set: whatever random programs do to maps of a few entries
 * and of many, with the working set on, off, tiny and resized, with snapshots begun and given up or
 * ended, and with iterations open over all of it, every answer is that of a plain array, and an
 * iteration sees its map as it was. Of blocks by themselves: they are sorted arrays.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/checkpoint.h"
#include "tarn/map.h"
#include "tarn/snapshot.h"

#include "base/random.h"
#include "cache/block.h"
#include "state/backend.h"
#include "support/prop.h"
#include "support/state_fixture.h"

enum {
    KEYS = 3,
    ENTRIES = 300, /* Of some bytes each: more than a block holds. */
    ITERATORS = 3,
    STEPS = 3000,
    SECONDS = 6,
    BLOCK_BYTES = 4000,
    BLOCK_SECONDS = 2,
};

/* 0: there is none. Else the value has bytes made from it. */
typedef struct model {
    uint32_t numbers[ENTRIES];
} model;

typedef struct open_iteration {
    tarn_map_iterator *iterator; /* NULL: none. */
    model seen;
    uint32_t next; /* The entry to come, or one more than it when it goes backwards. */
    bool is_backward;
} open_iteration;

typedef struct program {
    tarn_env *env;
    tarn_backend *backend;
    tarn_map *map;
    tarn_checkpoint_store *store;
    tarn_pending_checkpoint *pending;
    tarn_snapshot *snapshot;
    tarn__random random;
    uint32_t key;
    uint32_t spread; /* Entries that this program uses. */
    model models[KEYS];
    open_iteration iterations[ITERATORS];
    char directory[FIXTURE_PATH_BYTES];
    tarn_error error;
} program;

static uint32_t below(program *p, uint32_t bound)
{
    return (uint32_t)tarn__random_below(&p->random, bound);
}

static tarn_bytes key_of(uint32_t entry, uint8_t out[8])
{
    const size_t size = entry % 3 == 0 ? 8 : 2; /* Sorted by the first two. */
    memset(out, 'k', 8);
    out[0] = (uint8_t)(entry >> 8);
    out[1] = (uint8_t)entry;
    return tarn_bytes_at(out, size);
}

static tarn_bytes value_of(uint32_t number, uint8_t out[256])
{
    const size_t size = number % 11 == 0 ? 0 : 4 + tarn__random_mix(number) % 100;
    memset(out, (int)(number & 0xff), size);
    if (size > 0) {
        memcpy(out, &number, sizeof number);
    }
    return tarn_bytes_at(out, size);
}

static void expect_number(tarn_bytes read, uint32_t number)
{
    uint8_t room[256];
    assert_true(tarn_bytes_is_equal(read, value_of(number, room)));
}

static model *current(program *p)
{
    return &p->models[p->key];
}

static uint32_t any_entry(program *p)
{
    return below(p, p->spread);
}

/* ---- iterations ------------------------------------------------------------------------- */

static void begin_iteration(program *p, open_iteration *iteration)
{
    tarn_map_range range = TARN_MAP_RANGE_INIT;
    range.is_backward = below(p, 2) == 0;
    assert_ok(tarn_map_iterate(p->map, &range, NULL, &iteration->iterator, &p->error), &p->error);
    iteration->seen = *current(p);
    iteration->is_backward = range.is_backward;
    iteration->next = range.is_backward ? ENTRIES : 0;
}

/* Answers the next entry of an iteration; ENTRIES: there is none. */
static uint32_t pass(open_iteration *iteration)
{
    while (iteration->is_backward ? iteration->next > 0 : iteration->next < ENTRIES) {
        const uint32_t entry = iteration->is_backward ? --iteration->next : iteration->next++;
        if (iteration->seen.numbers[entry] != 0) {
            return entry;
        }
    }
    return ENTRIES;
}

static void go_on_with(program *p, open_iteration *iteration, uint32_t count)
{
    for (; count > 0; count--) {
        uint8_t key[8];
        tarn_map_entry entry;
        const uint32_t next = pass(iteration);
        const tarn_status status = tarn_map_iterator_next(iteration->iterator, &entry, &p->error);
        assert_int_equal(status, next == ENTRIES ? TARN_DONE : TARN_OK);
        if (next == ENTRIES) {
            return;
        }
        assert_true(tarn_bytes_is_equal(entry.key, key_of(next, key)));
        expect_number(entry.value, iteration->seen.numbers[next]);
    }
}

static void end_iteration(open_iteration *iteration)
{
    tarn_map_iterator_close(iteration->iterator);
    iteration->iterator = NULL;
}

static void step_iteration(program *p)
{
    open_iteration *iteration = &p->iterations[below(p, ITERATORS)];
    if (iteration->iterator == NULL) {
        begin_iteration(p, iteration);
    } else if (below(p, 4) == 0) {
        end_iteration(iteration);
    } else {
        go_on_with(p, iteration, 1 + below(p, 80));
    }
}

static void check_all(program *p)
{
    open_iteration iteration;
    begin_iteration(p, &iteration);
    go_on_with(p, &iteration, ENTRIES + 1);
    end_iteration(&iteration);
}

/* ---- the map ---------------------------------------------------------------------------- */

static void put(program *p, uint32_t entry)
{
    uint8_t key[8];
    uint8_t value[256];
    const uint32_t number = 1 + below(p, 1u << 20);
    current(p)->numbers[entry] = number;
    assert_ok(
        tarn_map_put(p->map, key_of(entry, key), value_of(number, value), &p->error), &p->error);
}

static void get(program *p, uint32_t entry)
{
    uint8_t key[8];
    tarn_bytes read = {NULL, 0};
    const uint32_t number = current(p)->numbers[entry];
    assert_int_equal(
        tarn_map_get(p->map, key_of(entry, key), &read, &p->error),
        number != 0 ? TARN_OK : TARN_NOT_FOUND);
    if (number != 0) {
        expect_number(read, number);
    }
}

static void erase(program *p, uint32_t entry)
{
    uint8_t key[8];
    current(p)->numbers[entry] = 0;
    assert_ok(tarn_map_remove(p->map, key_of(entry, key), &p->error), &p->error);
}

static void check_emptiness(program *p)
{
    bool is_empty = false;
    bool expected = true;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        expected = expected && current(p)->numbers[i] == 0;
    }
    assert_ok(tarn_map_is_empty(p->map, &is_empty, &p->error), &p->error);
    assert_int_equal(is_empty, expected);
}

static void remove_range(program *p)
{
    uint8_t from[8];
    uint8_t to[8];
    const uint32_t first = any_entry(p);
    const uint32_t end = first + below(p, 10);
    tarn_map_range range = TARN_MAP_RANGE_INIT;
    range.from = tarn_bytes_at(key_of(first, from).data, 2);
    range.to = tarn_bytes_at(key_of(end, to).data, 2);
    assert_ok(tarn_map_remove_range(p->map, &range, &p->error), &p->error);
    for (uint32_t i = first; i < end && i < ENTRIES; i++) {
        current(p)->numbers[i] = 0;
    }
}

static void clear(program *p)
{
    assert_ok(tarn_map_clear(p->map, &p->error), &p->error);
    memset(current(p), 0, sizeof *current(p));
}

/* ---- snapshots -------------------------------------------------------------------------- */

static void begin_snapshot(program *p)
{
    const uint64_t id = tarn_checkpoint_store_next_id(p->store);
    assert_ok(tarn_checkpoint_begin(p->store, id, &p->pending, &p->error), &p->error);
    assert_ok(tarn_snapshot_begin(p->backend, p->pending, &p->snapshot, &p->error), &p->error);
}

static void end_snapshot(program *p)
{
    if (below(p, 3) == 0) {
        tarn_buffer acknowledgement = TARN_BUFFER_INIT;
        assert_ok(tarn_snapshot_finish(p->snapshot, &acknowledgement, &p->error), &p->error);
        tarn_buffer_clear(&acknowledgement);
    } else {
        tarn_snapshot_abandon(p->snapshot);
    }
    tarn_checkpoint_abandon(p->pending);
    p->snapshot = NULL;
}

static void step_snapshot(program *p)
{
    if (p->snapshot == NULL) {
        begin_snapshot(p);
    } else if (below(p, 4) == 0) {
        end_snapshot(p);
    } else {
        const tarn_status status = tarn_snapshot_poll(p->snapshot);
        assert_true(status == TARN_OK || status == TARN_PENDING);
    }
}

/* ---- programs --------------------------------------------------------------------------- */

static void set_key(program *p)
{
    const uint8_t name = (uint8_t)('a' + p->key);
    assert_ok(tarn_backend_set_key(p->backend, tarn_bytes_at(&name, 1), &p->error), &p->error);
}

static void step(program *p)
{
    const uint32_t dice = below(p, 1000);
    if (dice < 400) {
        put(p, any_entry(p));
    } else if (dice < 600) {
        get(p, any_entry(p));
    } else if (dice < 750) {
        erase(p, any_entry(p));
    } else if (dice < 850) {
        p->key = below(p, KEYS);
        set_key(p);
    } else if (dice < 930) {
        step_iteration(p);
    } else if (dice < 950) {
        check_emptiness(p);
    } else if (dice < 975) {
        remove_range(p);
    } else if (dice < 978) {
        clear(p);
    } else if (dice < 981) {
        fixture_resize_working_set(p->backend, below(p, 2 * FIXTURE_SIZES));
    } else if (dice < 983) {
        assert_ok(tarn__backend_settle_all(p->backend, &p->error), &p->error);
    } else if (dice < 995) {
        step_snapshot(p);
    } else {
        check_all(p);
    }
}

static void run_program(uint64_t seed, void *context)
{
    program *p = context;
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    memset(p->models, 0, sizeof p->models);
    p->random = (tarn__random){seed};
    p->spread = below(p, 2) == 0 ? 12 : ENTRIES;
    p->key = 0;
    p->backend = fixture_open_backend(p->env, p->directory);
    fixture_resize_working_set(p->backend, below(p, 2 * FIXTURE_SIZES));
    options.name = "map";
    options.layout = (tarn_layout)below(p, 2);
    assert_ok(tarn_map_open(p->backend, &options, &p->map, &p->error), &p->error);
    set_key(p);
    for (uint32_t i = 0; i < STEPS; i++) {
        step(p);
    }
    for (uint32_t i = 0; i < ITERATORS; i++) {
        if (p->iterations[i].iterator != NULL) {
            end_iteration(&p->iterations[i]);
        }
    }
    if (p->snapshot != NULL) {
        end_snapshot(p);
    }
    for (p->key = 0; p->key < KEYS; p->key++) {
        set_key(p);
        check_all(p);
    }
    assert_ok(tarn_map_close(p->map, &p->error), &p->error);
    assert_ok(tarn_backend_close(p->backend, &p->error), &p->error);
}

static void test_maps_in_the_working_set_answer_like_arrays(void **state)
{
    (void)state;
    static program p;
    char address[FIXTURE_PATH_BYTES + 16];
    tarn_config *config = fixture_new_config(128);
    p.env = fixture_open_env(config, NULL);
    fixture_make_directory(p.directory);
    (void)snprintf(address, sizeof address, "%s-store", p.directory);
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = p.env;
    options.address = address;
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, &p.store, &p.error), &p.error);
    prop_run("maps", SECONDS, run_program, &p);
    assert_ok(tarn_checkpoint_store_close(p.store, &p.error), &p.error);
    assert_ok(tarn_env_close(p.env, &p.error), &p.error);
    tarn_config_free(config);
    fixture_remove_directory(p.directory);
    fixture_remove_directory(address);
}

/* ---- blocks ----------------------------------------------------------------------------- */

/* An entry of a block: its state, and 0 or the number of which its value is made. */
typedef struct block_model {
    bool is_there[ENTRIES];
    tarn__entry_state states[ENTRIES];
    uint32_t numbers[ENTRIES];
} block_model;

static void check_block(const tarn__block *block, size_t size, const block_model *m)
{
    uint32_t at = 0;
    uint32_t dirty_count = 0;
    uint32_t value_count = 0;
    size_t bytes = sizeof *block;
    size_t dirty_bytes = sizeof *block;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uint8_t key[8];
        uint32_t found = 0;
        assert_int_equal(tarn__block_find(block, size, key_of(i, key), &found), m->is_there[i]);
        assert_int_equal(found, at);
        if (!m->is_there[i]) {
            continue;
        }
        const tarn__block_entry entry = tarn__block_read(block, size, at++);
        const bool has_value = tarn__entry_has_value(m->states[i]);
        const bool is_dirty = m->states[i] >= TARN__ENTRY_DIRTY;
        assert_true(tarn_bytes_is_equal(entry.key, key_of(i, key)));
        assert_int_equal(entry.state, m->states[i]);
        if (has_value) {
            expect_number(entry.value, m->numbers[i]);
        }
        value_count += has_value;
        dirty_count += is_dirty;
        bytes += tarn__entry_bytes(entry.key.size, entry.value.size);
        dirty_bytes += is_dirty ? tarn__entry_bytes(entry.key.size, entry.value.size) : 0;
    }
    assert_int_equal(block->count, at);
    assert_int_equal(block->dirty_count, dirty_count);
    assert_int_equal(block->value_count, value_count);
    assert_int_equal(tarn__block_packed_bytes(block), bytes);
    assert_int_equal(tarn__block_dirty_bytes(block, size), dirty_bytes);
}

static void drop_clean(block_model *m)
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        m->is_there[i] = m->is_there[i] && m->states[i] >= TARN__ENTRY_DIRTY;
    }
}

static void clean_model(block_model *m, bool is_complete)
{
    for (uint32_t i = 0; i < ENTRIES; i++) {
        const bool has_value = tarn__entry_has_value(m->states[i]);
        m->is_there[i] = m->is_there[i] && (has_value || !is_complete);
        m->states[i] = has_value ? TARN__ENTRY_CLEAN : TARN__ENTRY_ABSENT;
    }
}

static void step_block(tarn__random *random, tarn__block **block, size_t *size, block_model *m)
{
    const uint32_t i = (uint32_t)tarn__random_below(random, ENTRIES);
    const uint32_t number = 1 + (uint32_t)tarn__random_below(random, 1u << 20);
    const tarn__entry_state state = (tarn__entry_state)tarn__random_below(random, 5);
    const uint64_t dice = tarn__random_below(random, 100);
    uint8_t key_room[8];
    uint8_t value_room[256];
    uint32_t at = 0;
    const tarn_bytes key = key_of(i, key_room);
    const tarn_bytes value =
        tarn__entry_has_value(state) ? value_of(number, value_room) : tarn_bytes_at(NULL, 0);
    const bool is_there = tarn__block_find(*block, *size, key, &at);
    if (dice < 3) {
        const bool has_clean = dice > 0;
        tarn__block *packed = test_calloc(1, BLOCK_BYTES);
        tarn__block_pack(*block, *size, has_clean, packed, BLOCK_BYTES);
        test_free(*block);
        *block = packed;
        *size = BLOCK_BYTES;
        if (!has_clean) {
            drop_clean(m);
        }
    } else if (dice < 4) {
        tarn__block_clean(*block, *size);
        clean_model(m, (*block)->is_complete);
    } else if (is_there && dice < 30) {
        tarn__block_remove(*block, *size, at);
        m->is_there[i] = false;
    } else if (
        is_there &&
        tarn__block_set_bytes(*block, *size, at, value.size) <= tarn__block_room(*block, *size)) {
        tarn__block_set(*block, *size, at, value, state);
        m->states[i] = state;
        m->numbers[i] = number;
    } else if (
        !is_there && tarn__entry_bytes(key.size, value.size) <= tarn__block_room(*block, *size)) {
        tarn__block_insert(*block, *size, at, key, value, state);
        m->is_there[i] = true;
        m->states[i] = state;
        m->numbers[i] = number;
    }
}

static void run_block(uint64_t seed, void *context)
{
    (void)context;
    static block_model m;
    tarn__random random = {seed};
    size_t size = BLOCK_BYTES;
    tarn__block *block = test_calloc(1, BLOCK_BYTES);
    memset(&m, 0, sizeof m);
    tarn__block_init(block, tarn__random_below(&random, 2) == 0);
    for (uint32_t i = 0; i < 400; i++) {
        step_block(&random, &block, &size, &m);
        if (i % 16 == 0) {
            check_block(block, size, &m);
        }
    }
    check_block(block, size, &m);
    test_free(block);
}

static void test_a_block_is_a_sorted_array(void **state)
{
    (void)state;
    prop_run("block", BLOCK_SECONDS, run_block, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_block_is_a_sorted_array),
        cmocka_unit_test(test_maps_in_the_working_set_answer_like_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
