/* Unit tests of codec/channel_state.c: what was in flight comes back in its order, or not at all.
 */
#include "support/support.h"

#include <string.h>

#include "tarn/channel_state.h"

enum { BUFFERS_MAX = 8 };

typedef struct seen {
    uint32_t count;
    uint32_t channels[BUFFERS_MAX];
    tarn_bytes buffers[BUFFERS_MAX];
    tarn_status answer; /* Of the visitor. */
} seen;

static tarn_status note(uint32_t channel, tarn_bytes buffer, void *context, tarn_error *error)
{
    (void)error;
    seen *s = context;
    s->channels[s->count] = channel;
    s->buffers[s->count] = buffer;
    s->count++;
    return s->answer;
}

static void append(tarn_buffer *state, uint32_t channel, const char *text)
{
    tarn_error error;
    assert_ok(tarn_channel_state_append(state, channel, tarn_bytes_of(text), &error), &error);
}

static void test_buffers_come_back_in_their_order(void **unused)
{
    (void)unused;
    tarn_buffer state = TARN_BUFFER_INIT;
    append(&state, 3, "first");
    append(&state, 0, "");
    append(&state, 3, "third");
    seen s = {.count = 0};
    tarn_error error;
    assert_ok(tarn_channel_state_read(tarn_buffer_bytes(&state), note, &s, &error), &error);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.channels[0], 3);
    assert_true(tarn_bytes_is_equal(s.buffers[0], tarn_bytes_of("first")));
    assert_int_equal(s.channels[1], 0);
    assert_int_equal(s.buffers[1].size, 0);
    assert_true(tarn_bytes_is_equal(s.buffers[2], tarn_bytes_of("third")));
    tarn_buffer_clear(&state);
}

static void test_nothing_in_flight_is_no_bytes(void **unused)
{
    (void)unused;
    seen s = {.count = 0};
    tarn_error error;
    assert_ok(tarn_channel_state_read(tarn_bytes_of(""), note, &s, &error), &error);
    assert_int_equal(s.count, 0);
}

/* The form is that of docs/FORMATS.md: a checkpoint of an older version stays readable. */
static void test_bytes_are_those_of_the_format(void **unused)
{
    (void)unused;
    static const uint8_t expected[] = {0x89, 'T', 'C', 'S', 1, 0, 0, 1, 2, 0, 0, 0, 2, 'a', 'b'};
    tarn_buffer state = TARN_BUFFER_INIT;
    append(&state, 0x102, "ab");
    assert_true(
        tarn_bytes_is_equal(tarn_buffer_bytes(&state), tarn_bytes_at(expected, sizeof expected)));
    tarn_buffer_clear(&state);
}

/* A record that was processed twice is as wrong as one that was lost. */
static void test_damage_is_refused_before_anything_is_visited(void **unused)
{
    (void)unused;
    tarn_buffer state = TARN_BUFFER_INIT;
    append(&state, 1, "one");
    append(&state, 2, "two");
    tarn_error error;
    for (size_t size = 1; size < state.size; size++) {
        seen s = {.count = 0};
        const tarn_status status =
            tarn_channel_state_read(tarn_bytes_at(state.data, size), note, &s, &error);
        /* Between two buffers, and with none, nothing shows: metadata has the checksum. */
        const bool is_whole = size == 5 || size == 5 + 8 + 3;
        assert_int_equal(status, is_whole ? TARN_OK : TARN_CORRUPTION);
        assert_true(is_whole || s.count == 0);
    }
    seen s = {.count = 0};
    state.data[4] = 2;
    assert_int_equal(
        tarn_channel_state_read(tarn_buffer_bytes(&state), note, &s, &error), TARN_NOT_SUPPORTED);
    state.data[0] = 0;
    assert_int_equal(
        tarn_channel_state_read(tarn_buffer_bytes(&state), note, &s, &error), TARN_CORRUPTION);
    assert_int_equal(s.count, 0);
    tarn_buffer_clear(&state);
}

static void test_visitor_stops_the_reading(void **unused)
{
    (void)unused;
    tarn_buffer state = TARN_BUFFER_INIT;
    append(&state, 1, "one");
    append(&state, 2, "two");
    seen s = {.answer = TARN_ABANDONED};
    tarn_error error;
    assert_int_equal(
        tarn_channel_state_read(tarn_buffer_bytes(&state), note, &s, &error), TARN_ABANDONED);
    assert_int_equal(s.count, 1);
    tarn_buffer_clear(&state);
}

static void test_too_much_and_no_memory_leave_the_state_as_it_was(void **unused)
{
    (void)unused;
    fault_allocator memory;
    fault_allocator_init(&memory, 1);
    tarn_buffer state = {.allocator = &memory.base};
    tarn_error error;
    append(&state, 1, "one");
    const size_t size = state.size;
    static uint8_t much[TARN_CHANNEL_STATE_BYTES_MAX];
    assert_int_equal(
        tarn_channel_state_append(&state, 2, tarn_bytes_at(much, sizeof much), &error),
        TARN_OVER_BUDGET);
    assert_int_equal(
        tarn_channel_state_append(&state, 2, tarn_bytes_at(much, 1000), &error), TARN_NO_MEMORY);
    assert_int_equal(state.size, size);
    assert_ok(
        tarn_channel_state_append(&state, 2, tarn_bytes_at(much, sizeof much - size - 8), &error),
        &error);
    assert_int_equal(state.size, TARN_CHANNEL_STATE_BYTES_MAX);
    assert_int_equal(
        tarn_channel_state_append(&state, 2, tarn_bytes_of(""), &error), TARN_OVER_BUDGET);
    tarn_buffer_clear(&state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffers_come_back_in_their_order),
        cmocka_unit_test(test_nothing_in_flight_is_no_bytes),
        cmocka_unit_test(test_bytes_are_those_of_the_format),
        cmocka_unit_test(test_damage_is_refused_before_anything_is_visited),
        cmocka_unit_test(test_visitor_stops_the_reading),
        cmocka_unit_test(test_too_much_and_no_memory_leave_the_state_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
