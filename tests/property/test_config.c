/*
 * Property tests of config/: whatever the bytes are, parsers answer, and what they accept holds
 * together. TARN_SEED replays a run.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/config.h"

#include "base/random.h"

enum { ROUNDS = 20000, TEXT_BYTES = 96 };

static uint64_t seed_of_run(void)
{
    const char *text = getenv("TARN_SEED");
    const uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : UINT64_C(20240917);
    print_message("TARN_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* Mostly pieces that mean something to one of the parsers, now and then any byte. */
static size_t make_text(tarn__random *random, char text[TEXT_BYTES])
{
    static const char *const pieces[] = {
        "a",
        "b.c",
        "k",
        ": ",
        ":",
        "- ",
        "\n",
        "\n",
        "\n  ",
        "\r",
        "\t",
        " ",
        "#",
        "'",
        "\"",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&x ",
        "*x",
        "!!int ",
        "!!str ",
        "! ",
        "|\n",
        ">-\n",
        "? ",
        "---\n",
        "...\n",
        "~",
        "null",
        "true",
        "010",
        "0x1F",
        "1e3",
        ".inf",
        "-",
        "9223372036854775808",
        "5 s",
        "64mb",
        "ms",
        "\\n",
        "\\",
        "\xC3\xA9",
        "\xC2\x85",
        "\xE2\x80\xA8",
        "\xEF\xBB\xBF",
        "%YAML 1.2\n",
        "<<",
        "@"};
    size_t size = 0;
    const size_t wanted = tarn__random_below(random, TEXT_BYTES);
    while (size < wanted) {
        if (tarn__random_below(random, 40) == 0) {
            text[size++] = (char)tarn__random_below(random, 256);
            continue;
        }
        const char *piece = pieces[tarn__random_below(random, sizeof pieces / sizeof pieces[0])];
        const size_t length = strlen(piece);
        if (size + length > TEXT_BYTES) {
            break;
        }
        memcpy(text + size, piece, length);
        size += length;
    }
    return size;
}

static void check_entries(const tarn_config *config)
{
    for (size_t i = 0; i < tarn_config_count(config); i++) {
        const tarn_config_entry entry = tarn_config_at(config, i);
        const char *value = NULL;
        assert_int_equal(tarn_config_get(config, entry.key, &value), TARN_OK);
        assert_ptr_equal(value, entry.value);
        assert_true(entry.line >= 1);
    }
}

/* A text is either refused, with a message, or its entries are found again; and twice is as once.
 */
static void parse_twice(tarn_config_flavour flavour, tarn_bytes text)
{
    fault_allocator fault;
    fault_allocator_init(&fault, FAULT_NEVER);
    tarn_config *config = NULL;
    tarn_error error = {.message = ""};
    assert_ok(tarn_config_new(&fault.base, &config, &error), &error);
    const tarn_status status = tarn_config_parse(config, flavour, text, "text", &error);
    if (status == TARN_OK) {
        check_entries(config);
        const size_t count = tarn_config_count(config);
        assert_ok(tarn_config_parse(config, flavour, text, "text", &error), &error);
        assert_int_equal(tarn_config_count(config), count);
        (void)!tarn_config_check(config, &error);
    } else {
        assert_int_equal(status, TARN_INVALID_ARGUMENT);
        assert_int_equal(tarn_config_count(config), 0);
        assert_true(error.message[0] != '\0');
    }
    tarn_config_free(config);
    assert_int_equal(atomic_load(&fault.live_count), 0);
}

static void test_no_text_breaks_a_parser_of_files(void **state)
{
    (void)state;
    tarn__random random = {.state = seed_of_run()};
    for (int round = 0; round < ROUNDS; round++) {
        char text[TEXT_BYTES];
        const tarn_bytes bytes = tarn_bytes_at(text, make_text(&random, text));
        parse_twice(TARN_CONFIG_LEGACY, bytes);
        parse_twice(TARN_CONFIG_STANDARD, bytes);
    }
}

/* What is written can be read, and is the same. */
static void test_quantities_survive_a_round_trip(void **state)
{
    (void)state;
    tarn__random random = {.state = seed_of_run()};
    tarn_error error;
    for (int round = 0; round < ROUNDS; round++) {
        const int64_t bytes =
            (int64_t)(tarn__random_next(&random) >> 1 >> tarn__random_below(&random, 63));
        char size_text[TARN_MEMORY_SIZE_TEXT_BYTES];
        tarn_memory_size_format(bytes, size_text);
        int64_t read = -1;
        assert_ok(tarn_memory_size_parse(tarn_bytes_of(size_text), &read, &error), &error);
        assert_int_equal(read, bytes);
        tarn_memory_size_format_human(bytes, size_text);

        /* A duration in nanoseconds is read back as long as they fit the number of a text. */
        const tarn_duration duration = {
            .seconds = (int64_t)tarn__random_below(&random, UINT64_C(9223372036)),
            .nanos = (int32_t)(tarn__random_below(&random, 1000) * 1000000),
        };
        char text[TARN_DURATION_TEXT_BYTES];
        tarn_duration_format(duration, text);
        tarn_duration again = {0, 0};
        assert_ok(tarn_duration_parse(tarn_bytes_of(text), &again, &error), &error);
        assert_int_equal(again.seconds, duration.seconds);
        assert_int_equal(again.nanos, duration.nanos);
    }
}

static void test_no_text_breaks_a_parser_of_quantities(void **state)
{
    (void)state;
    tarn__random random = {.state = seed_of_run()};
    for (int round = 0; round < ROUNDS; round++) {
        char text[TEXT_BYTES];
        const tarn_bytes bytes = tarn_bytes_at(text, make_text(&random, text));
        int64_t size = 0;
        tarn_duration duration = {0, 0};
        tarn_error error;
        if (tarn_memory_size_parse(bytes, &size, &error) == TARN_OK) {
            assert_true(size >= 0);
        }
        if (tarn_duration_parse(bytes, &duration, &error) == TARN_OK) {
            assert_true(duration.seconds >= 0 && duration.nanos >= 0);
            assert_true(duration.nanos < 1000000000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_text_breaks_a_parser_of_files),
        cmocka_unit_test(test_quantities_survive_a_round_trip),
        cmocka_unit_test(test_no_text_breaks_a_parser_of_quantities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
