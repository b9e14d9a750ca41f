/*
 * Property of value state: whatever random programs put, edit and remove under whatever keys and
 * namespaces, with flushes, compactions, re-opened and re-tuned states in between, and with the
 * working set on, off, tiny and resized, a read and an iteration answer what a plain array in
 * memory says.
 */
#include "support/support.h"

#include <string.h>

#include "base/random.h"
#include "state/backend.h"
#include "support/prop.h"
#include "support/state_fixture.h"

enum {
    STATES = 2,
    KEYS = 24,
    NAMESPACES = 4,
    VALUE_BYTES_MAX = 300,
    KEY_BYTES_MAX = 200,
    STEPS = 400,
    SECONDS = 5,
};

typedef struct cell {
    bool is_present;
    size_t size;
    uint8_t bytes[VALUE_BYTES_MAX];
} cell;

typedef struct program {
    tarn_env *env;
    tarn_backend *backend;
    tarn_value *states[STATES];
    tarn_config *tuning;
    tarn__random random;
    bool has_key;
    uint32_t key;
    uint32_t name_spaces[STATES]; /* The current one of each state. */
    uint8_t keys[KEYS][KEY_BYTES_MAX];
    size_t key_sizes[KEYS];
    cell model[STATES][KEYS][NAMESPACES];
    char directory[FIXTURE_PATH_BYTES];
    tarn_error error;
} program;

static const char *const STATE_NAMES[STATES] = {"first", "second"};
static const char *const NAMESPACE_NAMES[NAMESPACES] = {"", "w", "window", "window-2"};

static uint32_t below(program *p, uint32_t bound)
{
    return (uint32_t)tarn__random_below(&p->random, bound);
}

/* Keys of all lengths, among them the empty one and prefixes of each other. */
static void make_keys(program *p)
{
    static const size_t SIZES[] = {0, 1, 2, 3, 8, 127, 128, KEY_BYTES_MAX};
    for (uint32_t i = 0; i < KEYS; i++) {
        p->key_sizes[i] = SIZES[i % 8];
        memset(p->keys[i], 'a' + (int)(i / 8), KEY_BYTES_MAX);
    }
    p->key_sizes[8] = 4; /* There is one empty key only. */
    p->key_sizes[16] = 5;
}

static tarn_bytes key_of(const program *p, uint32_t key)
{
    return tarn_bytes_at(p->keys[key], p->key_sizes[key]);
}

static cell *current(program *p, uint32_t state)
{
    return &p->model[state][p->key][p->name_spaces[state]];
}

static void fill(program *p, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)below(p, 256);
    }
}

static void check_read(program *p, uint32_t state)
{
    const cell *expected = current(p, state);
    tarn_bytes read = {NULL, 0};
    const tarn_status status = tarn_value_get(p->states[state], &read, &p->error);
    assert_int_equal(status, expected->is_present ? TARN_OK : TARN_NOT_FOUND);
    if (expected->is_present) {
        assert_true(tarn_bytes_is_equal(read, tarn_bytes_at(expected->bytes, expected->size)));
    }
}

static void put_random(program *p, uint32_t state)
{
    cell *target = current(p, state);
    target->is_present = true;
    target->size = below(p, 4) == 0 ? 0 : below(p, VALUE_BYTES_MAX + 1);
    fill(p, target->bytes, target->size);
    assert_ok(
        tarn_value_put(p->states[state], tarn_bytes_at(target->bytes, target->size), &p->error),
        &p->error);
}

static void edit_random(program *p, uint32_t state)
{
    cell *target = current(p, state);
    const size_t size = 1 + below(p, VALUE_BYTES_MAX);
    if (!target->is_present) {
        target->size = 0;
    }
    if (size > target->size) {
        memset(target->bytes + target->size, 0, size - target->size);
    }
    target->is_present = true;
    target->size = size;
    void *bytes = NULL;
    assert_ok(tarn_value_edit(p->states[state], size, &bytes, &p->error), &p->error);
    assert_memory_equal(bytes, target->bytes, size);
    fill(p, target->bytes, 1 + below(p, (uint32_t)size));
    memcpy(bytes, target->bytes, size);
}

static void remove_current(program *p, uint32_t state)
{
    current(p, state)->is_present = false;
    assert_ok(tarn_value_remove(p->states[state], &p->error), &p->error);
}

/* Finds the model's cell of a row; fails when there can be none. */
static const cell *cell_of(const program *p, uint32_t state, const tarn_row *row)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        if (!tarn_bytes_is_equal(row->key, key_of(p, key))) {
            continue;
        }
        for (uint32_t i = 0; i < NAMESPACES; i++) {
            if (tarn_bytes_is_equal(row->name_space, tarn_bytes_of(NAMESPACE_NAMES[i]))) {
                return &p->model[state][key][i];
            }
        }
    }
    fail_msg("an iteration gave out a row of a key that was never set");
    return &p->model[0][0][0];
}

static void check_iteration(program *p, uint32_t state)
{
    tarn_value_iterator *iterator = NULL;
    tarn_row row;
    uint32_t count = 0;
    assert_ok(tarn_value_iterate(p->states[state], NULL, &iterator, &p->error), &p->error);
    tarn_status status = tarn_value_iterator_next(iterator, &row, &p->error);
    while (status == TARN_OK) {
        const cell *expected = cell_of(p, state, &row);
        assert_true(expected->is_present);
        assert_true(tarn_bytes_is_equal(row.value, tarn_bytes_at(expected->bytes, expected->size)));
        assert_int_equal(row.key_group, tarn_key_group_of(tarn_hash_bytes(row.key), 128));
        count++;
        status = tarn_value_iterator_next(iterator, &row, &p->error);
    }
    assert_int_equal(status, TARN_DONE);
    tarn_value_iterator_close(iterator);
    uint32_t expected_count = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        for (uint32_t i = 0; i < NAMESPACES; i++) {
            expected_count += p->model[state][key][i].is_present ? 1 : 0;
        }
    }
    assert_int_equal(count, expected_count);
}

/* Closes a state and opens it again, with a tuning of its own or without. */
static void reopen(program *p, uint32_t state)
{
    assert_ok(tarn_value_close(p->states[state], &p->error), &p->error);
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.name = STATE_NAMES[state];
    options.tuning = below(p, 2) == 0 ? p->tuning : NULL;
    assert_ok(tarn_value_open(p->backend, &options, &p->states[state], &p->error), &p->error);
    p->name_spaces[state] = 0;
}

static void set_random_key(program *p)
{
    p->key = below(p, KEYS);
    p->has_key = true;
    assert_ok(tarn_backend_set_key(p->backend, key_of(p, p->key), &p->error), &p->error);
}

static void set_random_namespace(program *p, uint32_t state)
{
    p->name_spaces[state] = below(p, NAMESPACES);
    assert_ok(
        tarn_value_set_namespace(
            p->states[state], tarn_bytes_of(NAMESPACE_NAMES[p->name_spaces[state]]), &p->error),
        &p->error);
}

static void step(program *p)
{
    const uint32_t state = below(p, STATES);
    const uint32_t dice = below(p, 200);
    if (dice < 60 || !p->has_key) {
        set_random_key(p);
    } else if (dice < 70) {
        set_random_namespace(p, state);
    } else if (dice < 110) {
        put_random(p, state);
    } else if (dice < 140) {
        edit_random(p, state);
    } else if (dice < 160) {
        remove_current(p, state);
    } else if (dice < 192) {
        check_read(p, state);
    } else if (dice < 194) {
        check_iteration(p, state);
    } else if (dice < 197) {
        assert_ok(tarn__backend_settle(p->backend, &p->error), &p->error);
        assert_ok(tarn__rocks_flush(p->backend->rocks, &p->error), &p->error);
    } else if (dice < 198) {
        tarn__rocks_compact(tarn__rocks_find_family(p->backend->rocks, STATE_NAMES[state]));
    } else if (dice < 199) {
        reopen(p, state);
    } else {
        fixture_resize_working_set(p->backend, below(p, 2 * FIXTURE_SIZES));
    }
}

static void run_program(uint64_t seed, void *context)
{
    program *p = context;
    memset(p->model, 0, sizeof p->model);
    p->random = (tarn__random){seed};
    p->has_key = false;
    p->backend = fixture_open_backend(p->env, p->directory);
    for (uint32_t i = 0; i < STATES; i++) {
        p->states[i] = fixture_open_value(p->backend, STATE_NAMES[i]);
        p->name_spaces[i] = 0;
    }
    fixture_resize_working_set(p->backend, below(p, 2 * FIXTURE_SIZES));
    for (uint32_t i = 0; i < STEPS; i++) {
        step(p);
    }
    for (uint32_t i = 0; i < STATES; i++) {
        check_iteration(p, i);
        assert_ok(tarn_value_close(p->states[i], &p->error), &p->error);
    }
    assert_ok(tarn_backend_close(p->backend, &p->error), &p->error);
}

static void test_value_state_answers_like_a_plain_array(void **state)
{
    (void)state;
    static program p;
    tarn_config *config = fixture_new_config(64);
    p.env = fixture_open_env(config, NULL);
    assert_ok(tarn_config_new(NULL, &p.tuning, &p.error), &p.error);
    fixture_set(p.tuning, "state.backend.rocksdb.compression.per.level", "ZSTD_COMPRESSION");
    fixture_set(p.tuning, "tarn.rocksdb.compression.dictionary-bytes", "4kb");
    fixture_make_directory(p.directory);
    make_keys(&p);
    prop_run("value", SECONDS, run_program, &p);
    assert_ok(tarn_env_close(p.env, &p.error), &p.error);
    tarn_config_free(p.tuning);
    tarn_config_free(config);
    fixture_remove_directory(p.directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_state_answers_like_a_plain_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
