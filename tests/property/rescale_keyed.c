/* rescale_keyed.c - the states of keys and timers, against the model. See rescale_job.h. */
#include "property/rescale_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static tarn_bytes key_of(uint32_t key, char room[16])
{
    const int size = snprintf(room, 16, "key-%u", key);
    return tarn_bytes_at(room, (size_t)size);
}

static tarn_bytes number_of(const uint64_t *number)
{
    return tarn_bytes_at(number, sizeof *number);
}

/* ---- life ------------------------------------------------------------------------------- */

static tarn_status add_size(
    const tarn_bytes *accumulator, tarn_bytes value, tarn_buffer *out, void *context)
{
    (void)context;
    uint64_t size = value.size;
    if (accumulator != NULL) {
        uint64_t before;
        memcpy(&before, accumulator->data, sizeof before);
        size += before;
    }
    return tarn_buffer_assign(out, number_of(&size));
}

static const tarn_state_options *named(const char *name, tarn_layout layout)
{
    static tarn_state_options options;
    options = (tarn_state_options)TARN_STATE_OPTIONS_INIT;
    options.name = name;
    options.layout = layout;
    return &options;
}

static int64_t tell_time(void *context)
{
    return atomic_load(&((job *)context)->now_ms);
}

static void open_expiring(job *j, subtask *s)
{
    tarn_ttl ttl = TARN_TTL_INIT;
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    ttl.ttl_ms = TTL_MS;
    ttl.now_ms = tell_time;
    ttl.now_context = j;
    options.name = "fading";
    options.ttl = &ttl;
    assert_ok(tarn_value_open(s->backend, &options, &s->fading, &j->error), &j->error);
}

void job_open_states(job *j, subtask *s)
{
    tarn_reducing_options reducing = TARN_REDUCING_OPTIONS_INIT;
    tarn_aggregating_options aggregating = TARN_AGGREGATING_OPTIONS_INIT;
    tarn_timers_options timers = TARN_TIMERS_OPTIONS_INIT;
    reducing.reducer = TARN_REDUCER_SUM;
    aggregating.add = add_size;
    timers.name = "timers"; /* Of both domains. */
    timers.head_timer_count = 2;
    timers.buffer_timer_count = 4;
    tarn_backend *b = s->backend;
    tarn_error *error = &j->error;
    assert_ok(tarn_value_open(b, named("value", TARN_LAYOUT_KEY_FIRST), &s->value, error), error);
    assert_ok(tarn_map_open(b, named("map", TARN_LAYOUT_NAMESPACE_FIRST), &s->map, error), error);
    assert_ok(tarn_list_open(b, named("list", TARN_LAYOUT_KEY_FIRST), &s->list, error), error);
    assert_ok(
        tarn_reducing_open(b, named("sum", TARN_LAYOUT_KEY_FIRST), &reducing, &s->sum, error),
        error);
    assert_ok(
        tarn_aggregating_open(
            b, named("text", TARN_LAYOUT_NAMESPACE_FIRST), &aggregating, &s->text, error),
        error);
    assert_ok(
        tarn_value_open(b, named("window", TARN_LAYOUT_NAMESPACE_FIRST), &s->window, error), error);
    open_expiring(j, s);
    assert_ok(tarn_timers_open(b, &timers, &s->timers[TARN_TIME_EVENT], error), error);
    timers.domain = TARN_TIME_PROCESSING;
    assert_ok(tarn_timers_open(b, &timers, &s->timers[TARN_TIME_PROCESSING], error), error);
}

void job_close_states(job *j, subtask *s)
{
    tarn_error *error = &j->error;
    assert_ok(tarn_value_close(s->value, error), error);
    assert_ok(tarn_map_close(s->map, error), error);
    assert_ok(tarn_list_close(s->list, error), error);
    assert_ok(tarn_reducing_close(s->sum, error), error);
    assert_ok(tarn_aggregating_close(s->text, error), error);
    assert_ok(tarn_value_close(s->window, error), error);
    assert_ok(tarn_value_close(s->fading, error), error);
    for (uint32_t domain = 0; domain < DOMAINS; domain++) {
        assert_ok(tarn_timers_close(s->timers[domain], error), error);
    }
}

/* ---- what is written -------------------------------------------------------------------- */

/* The subtask that a key belongs to, with the key made current. */
static subtask *go_to(job *j, uint32_t key)
{
    char room[16];
    const tarn_bytes bytes = key_of(key, room);
    const uint32_t group = tarn_key_group_of(tarn_hash_bytes(bytes), j->max_parallelism);
    subtask *s = &j->subtasks[tarn_key_group_subtask(group, j->max_parallelism, j->parallelism)];
    assert_ok(tarn_backend_set_key(s->backend, bytes, &j->error), &j->error);
    return s;
}

static void write_value(job *j, subtask *s, cell *c)
{
    c->value = job_below(j, 4) == 0 ? 0 : tarn__random_next(&j->random) | 1;
    if (c->value == 0) {
        assert_ok(tarn_value_remove(s->value, &j->error), &j->error);
    } else {
        assert_ok(tarn_value_put(s->value, number_of(&c->value), &j->error), &j->error);
    }
}

static void write_entry(job *j, subtask *s, cell *c)
{
    const uint64_t at = job_below(j, ENTRIES);
    c->entries[at] = job_below(j, 4) == 0 ? 0 : tarn__random_next(&j->random) | 1;
    if (c->entries[at] == 0) {
        assert_ok(tarn_map_remove(s->map, number_of(&at), &j->error), &j->error);
    } else {
        assert_ok(
            tarn_map_put(s->map, number_of(&at), number_of(&c->entries[at]), &j->error), &j->error);
    }
}

static void write_element(job *j, subtask *s, cell *c)
{
    if (c->element_count == ELEMENTS_MAX) {
        c->element_count = 0;
        assert_ok(tarn_list_clear(s->list, &j->error), &j->error);
    }
    uint64_t *element = &c->elements[c->element_count++];
    *element = tarn__random_next(&j->random);
    assert_ok(tarn_list_append(s->list, number_of(element), &j->error), &j->error);
}

static void write_sum(job *j, subtask *s, cell *c)
{
    if (job_below(j, 8) == 0) {
        c->is_summed = false;
        c->sum = 0;
        assert_ok(tarn_reducing_clear(s->sum, &j->error), &j->error);
        return;
    }
    const int64_t added = (int64_t)job_below(j, 1000) - 500;
    c->is_summed = true;
    c->sum += added;
    assert_ok(tarn_reducing_add_i64(s->sum, added, &j->error), &j->error);
}

/* Timers of the machine's time are of windows. */
static tarn_bytes name_space_of(uint32_t domain)
{
    return tarn_bytes_of(domain == TARN_TIME_PROCESSING ? "window" : "");
}

static void write_timer(job *j, subtask *s, cell *c)
{
    const uint32_t time = job_below(j, TIMES);
    const uint32_t domain = job_below(j, DOMAINS);
    const tarn_bytes name_space = name_space_of(domain);
    c->timers[domain][time] = job_below(j, 3) > 0;
    if (c->timers[domain][time]) {
        assert_ok(tarn_timers_register(s->timers[domain], time, name_space, &j->error), &j->error);
    } else {
        assert_ok(tarn_timers_remove(s->timers[domain], time, name_space, &j->error), &j->error);
    }
}

static void set_window(job *j, const subtask *s, uint32_t window)
{
    char name[16];
    (void)snprintf(name, sizeof name, "window-%u", window);
    assert_ok(
        tarn_keyed_set_namespace(tarn_value_keyed(s->window), tarn_bytes_of(name), &j->error),
        &j->error);
}

static void write_window(job *j, const subtask *s, cell *c)
{
    const uint32_t window = job_below(j, WINDOWS);
    c->windows[window] = job_below(j, 4) == 0 ? 0 : tarn__random_next(&j->random) | 1;
    set_window(j, s, window);
    if (c->windows[window] == 0) {
        assert_ok(tarn_value_remove(s->window, &j->error), &j->error);
    } else {
        assert_ok(tarn_value_put(s->window, number_of(&c->windows[window]), &j->error), &j->error);
    }
}

static void write_fading(job *j, const subtask *s, cell *c)
{
    c->fading = tarn__random_next(&j->random) | 1;
    c->fading_since_ms = atomic_load(&j->now_ms);
    assert_ok(tarn_value_put(s->fading, number_of(&c->fading), &j->error), &j->error);
}

static void write_text(job *j, subtask *s, cell *c)
{
    const uint64_t size = 1 + job_below(j, 100);
    c->text_size += size;
    char text[128] = {0};
    assert_ok(tarn_aggregating_add(s->text, tarn_bytes_at(text, size), &j->error), &j->error);
}

void job_write_some(job *j, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t key = job_below(j, KEYS);
        cell *c = &j->cells[key];
        subtask *s = go_to(j, key);
        switch (job_below(j, 8)) {
        case 0:
            write_value(j, s, c);
            break;
        case 1:
            write_entry(j, s, c);
            break;
        case 2:
            write_element(j, s, c);
            break;
        case 3:
            write_sum(j, s, c);
            break;
        case 4:
            write_timer(j, s, c);
            break;
        case 5:
            write_window(j, s, c);
            break;
        case 6:
            write_fading(j, s, c);
            break;
        default:
            write_text(j, s, c);
        }
    }
}

/* ---- what is read ----------------------------------------------------------------------- */

static void expect_number(job *j, tarn_status status, tarn_bytes got, uint64_t expected)
{
    if (expected == 0) {
        assert_int_equal(status, TARN_NOT_FOUND);
        return;
    }
    assert_ok(status, &j->error);
    assert_true(tarn_bytes_is_equal(got, number_of(&expected)));
}

static void expect_list(job *j, subtask *s, const cell *c)
{
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    assert_ok(tarn_list_iterate(s->list, "test", &iterator, &j->error), &j->error);
    for (uint32_t i = 0; i < c->element_count; i++) {
        assert_ok(tarn_list_iterator_next(iterator, &element, &j->error), &j->error);
        assert_true(tarn_bytes_is_equal(element, number_of(&c->elements[i])));
    }
    assert_int_equal(tarn_list_iterator_next(iterator, &element, &j->error), TARN_DONE);
    tarn_list_iterator_close(iterator);
}

static void expect_key(job *j, uint32_t key)
{
    const cell *c = &j->cells[key];
    subtask *s = go_to(j, key);
    tarn_bytes got = {NULL, 0};
    tarn_status status = tarn_value_get(s->value, &got, &j->error);
    expect_number(j, status, got, c->value);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        status = tarn_map_get(s->map, number_of(&i), &got, &j->error);
        expect_number(j, status, got, c->entries[i]);
    }
    expect_list(j, s, c);
    int64_t sum = 0;
    status = tarn_reducing_get_i64(s->sum, &sum, &j->error);
    assert_int_equal(status, c->is_summed ? TARN_OK : TARN_NOT_FOUND);
    assert_true(sum == c->sum);
    status = tarn_aggregating_get(s->text, &got, &j->error);
    expect_number(j, status, got, c->text_size);
    for (uint32_t window = 0; window < WINDOWS; window++) {
        set_window(j, s, window);
        status = tarn_value_get(s->window, &got, &j->error);
        expect_number(j, status, got, c->windows[window]);
    }
    const bool has_expired =
        c->fading != 0 && atomic_load(&j->now_ms) - c->fading_since_ms >= TTL_MS;
    j->expired_count += has_expired ? 1 : 0;
    status = tarn_value_get(s->fading, &got, &j->error);
    expect_number(j, status, got, has_expired ? 0 : c->fading);
}

/* Every key of a state is of its subtask, and there are as many as the model has. */
static void expect_key_count(job *j, tarn_keyed *(*of)(const subtask *), uint32_t expected)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < j->parallelism; i++) {
        const tarn_key_group_range own = tarn_backend_key_groups(j->subtasks[i].backend);
        tarn_key_iterator *keys = NULL;
        tarn_row row;
        assert_ok(
            tarn_keyed_iterate_keys(of(&j->subtasks[i]), NULL, "test", &keys, &j->error),
            &j->error);
        while (tarn_key_iterator_next(keys, &row, &j->error) == TARN_OK) {
            assert_in_range(row.key_group, own.first, own.last);
            count++;
        }
        tarn_key_iterator_close(keys);
    }
    assert_int_equal(count, expected);
}

static tarn_keyed *value_of(const subtask *s)
{
    return tarn_value_keyed(s->value);
}

static tarn_keyed *sum_of(const subtask *s)
{
    return tarn_reducing_keyed(s->sum);
}

static tarn_keyed *window_of(const subtask *s)
{
    return tarn_value_keyed(s->window);
}

/* Takes all timers of a domain out of all subtasks, and registers them again. */
static void expect_timers(job *j, uint32_t domain)
{
    static bool fired[KEYS][TIMES];
    memset(fired, 0, sizeof fired);
    const tarn_bytes name_space = name_space_of(domain);
    for (uint32_t i = 0; i < j->parallelism; i++) {
        subtask *s = &j->subtasks[i];
        tarn_timer timer;
        while (tarn_timers_poll(s->timers[domain], TIMES, &timer, &j->error) == TARN_OK) {
            char text[16] = {0};
            assert_in_range(timer.key.size, 5, sizeof text - 1);
            memcpy(text, timer.key.data, timer.key.size);
            const unsigned long key = strtoul(text + 4, NULL, 10);
            assert_true(key < KEYS && timer.time >= 0 && timer.time < TIMES);
            assert_true(tarn_bytes_is_equal(timer.name_space, name_space));
            assert_false(fired[key][timer.time]);
            fired[key][timer.time] = true;
        }
    }
    for (uint32_t key = 0; key < KEYS; key++) {
        assert_memory_equal(fired[key], j->cells[key].timers[domain], sizeof fired[key]);
        for (uint32_t time = 0; time < TIMES; time++) {
            if (fired[key][time]) {
                subtask *s = go_to(j, key);
                assert_ok(
                    tarn_timers_register(s->timers[domain], time, name_space, &j->error),
                    &j->error);
            }
        }
    }
}

void job_expect_everything(job *j)
{
    uint32_t value_count = 0;
    uint32_t sum_count = 0;
    uint32_t window_count = 0; /* A key comes once for each namespace that it has. */
    for (uint32_t key = 0; key < KEYS; key++) {
        expect_key(j, key);
        value_count += j->cells[key].value != 0 ? 1 : 0;
        sum_count += j->cells[key].is_summed ? 1 : 0;
        for (uint32_t window = 0; window < WINDOWS; window++) {
            window_count += j->cells[key].windows[window] != 0 ? 1 : 0;
        }
    }
    expect_key_count(j, value_of, value_count);
    expect_key_count(j, sum_of, sum_count);
    expect_key_count(j, window_of, window_count);
    for (uint32_t domain = 0; domain < DOMAINS; domain++) {
        expect_timers(j, domain);
    }
}
