/*
 * Unit tests of config/legacy.c, standard.c, yaml_*.c and load.c: a file means what it means to
 * Flink 1.20, and what cannot be read is refused with its line, leaving the configuration alone.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tarn/config.h"

static tarn_config *new_config(void)
{
    tarn_config *config = NULL;
    tarn_error error;
    assert_ok(tarn_config_new(NULL, &config, &error), &error);
    return config;
}

/* Parses a text and compares: wanted holds key, value, key, value, ..., NULL. */
static void expect(tarn_config_flavour flavour, const char *text, const char *const *wanted)
{
    tarn_config *config = new_config();
    tarn_error error;
    assert_ok(tarn_config_parse(config, flavour, tarn_bytes_of(text), "t", &error), &error);
    size_t count = 0;
    for (; wanted[2 * count] != NULL; count++) {
        const char *value = NULL;
        if (tarn_config_get(config, wanted[2 * count], &value) != TARN_OK) {
            fail_msg("%s: the key %s is not set", text, wanted[2 * count]);
        }
        assert_string_equal(value, wanted[2 * count + 1]);
    }
    assert_int_equal(tarn_config_count(config), count);
    tarn_config_free(config);
}

#define EXPECT(flavour, text, ...) \
    expect(TARN_CONFIG_##flavour, text, (const char *const[]){__VA_ARGS__, NULL})
#define EXPECT_NOTHING(flavour, text) \
    expect(TARN_CONFIG_##flavour, text, (const char *const[]){NULL})

/* Parses a text that is refused; the message begins with place and holds part. */
static void expect_refusal(
    tarn_config_flavour flavour, const char *text, const char *place, const char *part)
{
    tarn_config *config = new_config();
    tarn_error error = {.message = ""};
    assert_ok(tarn_config_set(config, "kept", "1", NULL, &error), &error);
    const tarn_status status =
        tarn_config_parse(config, flavour, tarn_bytes_of(text), "file", &error);
    if (status != TARN_INVALID_ARGUMENT) {
        fail_msg("%s: %s", text, tarn_status_name(status));
    }
    if (strncmp(error.message, place, strlen(place)) != 0 || strstr(error.message, part) == NULL) {
        fail_msg("%s: %s", text, error.message);
    }
    assert_int_equal(tarn_config_count(config), 1);
    tarn_config_free(config);
}

static void test_legacy_lines_are_cut_at_comments_and_trimmed(void **state)
{
    (void)state;
    EXPECT(LEGACY, "a: 1 # x\n #b: 2\n\tc :  3\t\n", "a", "1", "c", "3");
    EXPECT(LEGACY, "a: \"q # r\"\nb: 'x'\n", "a", "\"q", "b", "'x'");
    EXPECT(LEGACY, "a: b: c\nd:: e\n", "a", "b: c", "d:", "e");
    EXPECT(LEGACY, "x:\n  y: 1\nx: 2\nx: 3", "y", "1", "x", "3");
    EXPECT_NOTHING(LEGACY, "a\na:\na: \na:1\n: 1\n - b\n---\n#\n");
}

enum { HEARD_MAX = 80 };

typedef struct heard {
    size_t count;
    char texts[HEARD_MAX][256];
} heard;

static bool hear(const tarn_config_warning *warning, void *context)
{
    heard *h = context;
    assert_null(warning->key);
    assert_in_range(h->count, 0, HEARD_MAX - 1);
    (void)snprintf(h->texts[h->count++], sizeof h->texts[0], "%s", warning->text);
    return true;
}

static void parse_legacy(tarn_config *config, const char *text, const char *origin)
{
    tarn_error error;
    assert_ok(
        tarn_config_parse(config, TARN_CONFIG_LEGACY, tarn_bytes_of(text), origin, &error), &error);
}

static void test_legacy_lines_in_vain_are_warned_of_with_their_place(void **state)
{
    (void)state;
    static heard h;
    tarn_config *config = new_config();
    const char *text = "# comment\n\n  \nx.a: 1\ns3.secret-key:hunter2\nx.b: # none\nx.a: 2\n: 3\n";
    for (int round = 0; round < 2; round++) { /* Read again it says the same, and once. */
        parse_legacy(config, text, "f");
        h.count = 0;
        tarn_config_visit_warnings(config, hear, &h);
        assert_int_equal(h.count, 4);
        assert_string_equal(
            h.texts[0], "f:5: the line is skipped: there is no \": \" between a key and a value");
        assert_string_equal(
            h.texts[1], "f:6: the line is skipped: there is no \": \" between a key and a value");
        assert_string_equal(
            h.texts[2], "f:7: the line replaces the value that line 4 gives to x.a");
        assert_string_equal(h.texts[3], "f:8: the line is skipped: its key or its value is empty");
    }
    /* What another file overrides is meant. Notes go with a merge. */
    parse_legacy(config, "x.a: 5\n", "g");
    tarn_config *other = new_config();
    parse_legacy(other, "bad\n", "h");
    tarn_error error;
    assert_ok(tarn_config_merge(config, other, &error), &error);
    h.count = 0;
    tarn_config_visit_warnings(config, hear, &h);
    assert_int_equal(h.count, 5);
    assert_non_null(strstr(h.texts[4], "h:1: the line is skipped"));
    tarn_config_free(other);
    tarn_config_free(config);
}

static void test_warnings_of_lines_are_bounded_and_counted(void **state)
{
    (void)state;
    static heard h;
    enum { LINES = 5000 };
    static char text[2 * LINES + 1];
    for (size_t i = 0; i < LINES; i++) {
        memcpy(text + 2 * i, "x\n", 2);
    }
    tarn_config *config = new_config();
    parse_legacy(config, text, "f");
    h.count = 0;
    tarn_config_visit_warnings(config, hear, &h);
    assert_int_equal(h.count, 65);
    assert_string_equal(h.texts[64], "4936 more lines are skipped or replace a value");
    tarn_config_free(config);
}

static void test_legacy_lines_end_as_java_ends_them(void **state)
{
    (void)state;
    EXPECT(LEGACY, "a: 1\rb: 2\r\nc: 3\n\n\rd: 4", "a", "1", "b", "2", "c", "3", "d", "4");
    /* NEL and LS end no line; a byte-order mark belongs to the first key. */
    EXPECT(LEGACY, "a: 1\xC2\x85x\xE2\x80\xA8y\n", "a", "1\xC2\x85x\xE2\x80\xA8y");
    EXPECT(
        LEGACY,
        "\xEF\xBB\xBF"
        "a: 1",
        "\xEF\xBB\xBF"
        "a",
        "1");
}

static void test_legacy_bytes_that_are_no_utf8_become_replacement_characters(void **state)
{
    (void)state;
    EXPECT(LEGACY, "a: x\xFFy # \xC3\x28\n", "a", "x\xEF\xBF\xBDy");
    EXPECT(
        LEGACY,
        "a: \xE4\xBD(\xED\xA0\x80)",
        "a",
        "\xEF\xBF\xBD(\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD)");
    EXPECT(LEGACY, "a: \xF0\x9F\x98\x80\xF0\x9F\n", "a", "\xF0\x9F\x98\x80\xEF\xBF\xBD");
}

static void test_standard_mappings_are_flattened_in_order(void **state)
{
    (void)state;
    EXPECT(STANDARD, "a:\n  b: 1\n  c:\n    d: 2\ne.f: 3\n", "a.b", "1", "a.c.d", "2", "e.f", "3");
    EXPECT(STANDARD, "a.b: 2\na:\n  b: 1\n", "a.b", "1");
    EXPECT(STANDARD, "a: {b: 1, c: {}}\n", "a.b", "1");
    EXPECT(STANDARD, "b: &x {c: 1}\nd: {<<: *x}\n", "b.c", "1", "d.<<.c", "1");
    EXPECT(STANDARD, "null: 1\n\"\": 2\n", "null", "1", "", "2");
}

static void test_standard_scalars_follow_the_core_schema(void **state)
{
    (void)state;
    EXPECT(
        STANDARD,
        "a: 010\nb: 0x1F\nc: 1e3\nd: +5\ne: .5\nf: 0o17\ng: -0\nh: -0.0\n",
        "a",
        "10",
        "b",
        "31",
        "c",
        "1000.0",
        "d",
        "5",
        "e",
        "0.5",
        "f",
        "15",
        "g",
        "0",
        "h",
        "-0.0");
    EXPECT(
        STANDARD,
        "a: True\nb: yes\nc: 1_000\nd: 0b1\ne: 1:30\nf: 2020-01-01\ng: -0x1\n",
        "a",
        "true",
        "b",
        "yes",
        "c",
        "1_000",
        "d",
        "0b1",
        "e",
        "1:30",
        "f",
        "2020-01-01",
        "g",
        "-0x1");
    EXPECT(
        STANDARD,
        "a: .inf\nb: -.INF\nc: .NaN\nd: 12345678\ne: 1e400\n",
        "a",
        ".inf",
        "b",
        "-.inf",
        "c",
        ".nan",
        "d",
        "12345678",
        "e",
        ".inf");
    EXPECT(
        STANDARD,
        "a: 0xFFFFFFFFFFFFFFFFFFFFFFFF\nb: 0099999999999999999999\n",
        "a",
        "79228162514264337593543950335",
        "b",
        "99999999999999999999");
    EXPECT(
        STANDARD,
        "a: '010'\nb: \"~\"\nc: !!str 5\nd: !!int '0x10'\ne: !!float 5\nf: ! '7'\n",
        "a",
        "010",
        "b",
        "~",
        "c",
        "5",
        "d",
        "16",
        "e",
        "5.0",
        "f",
        "7");
}

static void test_standard_texts_span_lines_and_hold_any_character(void **state)
{
    (void)state;
    EXPECT(
        STANDARD,
        "a: >\n  f\n  t\nb: |-\n  x\n  y\nc: \"x\\\n  y\\n\"\nd: p\n  q\n",
        "a",
        "f t\n",
        "b",
        "x\ny",
        "c",
        "xy\n",
        "d",
        "p q");
    /* YAML 1.2 has fewer line breaks than 1.1, and allows a byte-order mark in a text. */
    EXPECT(
        STANDARD,
        "a: x\xC2\x85y\xE2\x80\xA8z\xE2\x80\xA9\xEF\xBB\xBFw\xEE\x80\x80\n",
        "a",
        "x\xC2\x85y\xE2\x80\xA8z\xE2\x80\xA9\xEF\xBB\xBFw\xEE\x80\x80");
    EXPECT(
        STANDARD,
        "\xEF\xBB\xBF"
        "a: x\t # tab\t\nb: \"t\tb\"\n",
        "a",
        "x",
        "b",
        "t\tb");
}

static void test_standard_lists_are_kept_as_text_with_the_quotes_they_need(void **state)
{
    (void)state;
    EXPECT(
        STANDARD,
        "a: [x, \"y: z\", '1', 1, 1.50, ~, 'null', True]\nb:\n- p\n- [q]\n- {r: s}\n",
        "a",
        "[x, 'y: z', '1', 1, 1.5, null, 'null', true]",
        "b",
        "[p, [q], {r: s}]");
    EXPECT(
        STANDARD,
        "a: ['', ' s', it''s, 'a,b', a#b, 'a #b', '- x', -x, '-', '@h', 'a:b']\n",
        "a",
        "['', ' s', it''s, 'a,b', a#b, 'a #b', '- x', -x, '-', '@h', 'a:b']");
    EXPECT(
        STANDARD,
        "a: [\"l\\nm\\t\\x07\\x01\", {'': 1, b: {}}, []]\n",
        "a",
        "[\"l\\nm\\t\\a\\x01\", {? '' : 1, b: {}}, []]");
    EXPECT(STANDARD, "a: &x [1]\nb: [*x, *x]\n", "a", "[1]", "b", "[[1], [1]]");
}

static void test_an_empty_document_sets_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "\n \n", "# c\n", "---\n", "--- ~\n...\n", "{}", "null"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        EXPECT_NOTHING(STANDARD, texts[i]);
    }
}

static void test_what_is_no_standard_file_is_refused_with_its_line(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a: 1\nb:\n", "file:2", "the key b has no value"},
        {"a:\n  b: ~\n", "file:2", "the key a.b has no value"},
        {"a: 1\nb: 2\na: 3\n", "file:3", "the key a appears twice"},
        {"x: [{b: 1,\n b: 2}]\n", "file:2", "the key b appears twice"},
        {"- a\n", "file:1", "must be a mapping"},
        {"text\n", "file:1", "must be a mapping"},
        {"a: 1\n2: b\n", "file:2", "a key must be text"},
        {"true: b\n", "file:1", "a key must be text"},
        {"[a]: b\n", "file:1", "a key must not be a list"},
        {"a: 1\n---\nb: 2\n", "file:2", "more than one document"},
        {"a: *b\n", "file:1", "names no anchor"},
        {"a: &b {c: *b}\n", "file:1", "contains itself"},
        {"a: !secret x\n", "file:1", "tag"},
        {"a: !!map [1]\n", "file:1", "tag"},
        {"a: !!int x\n", "file:1", "cannot be"},
        {"a: !!float ''\n", "file:1", "cannot be"},
        {"a: +.inf\n", "file:1", "cannot be"},
        {"a: \"\\0\"\n", "file:1", "NUL"},
        {"a: [1, 2\n", "file:2", "YAML"},
        {"a: 'x\n", "file:2", "YAML"},
        {"a: \xFF\n", "file:1", "YAML"},
        {"a:\ttabbed\n", "file:1", "tab"},
        {"a: 1\nb: 'x'\t\nc: 1\n", "file:2", "tab"},
        {"a: {b:\t1}\n", "file:1", "tab"},
        {"a: b\n  \tc\n", "file:2", "tab"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_refusal(TARN_CONFIG_STANDARD, cases[i][0], cases[i][1], cases[i][2]);
    }
}

/* Builds head, count times part, count times tail. */
static char *repeated(const char *head, const char *part, const char *tail, size_t count)
{
    const size_t size = strlen(head) + count * (strlen(part) + strlen(tail)) + 1;
    char *text = malloc(size);
    assert_non_null(text);
    char *at = stpcpy(text, head);
    for (size_t i = 0; i < count; i++) {
        at = stpcpy(at, part);
    }
    for (size_t i = 0; i < count; i++) {
        at = stpcpy(at, tail);
    }
    return text;
}

static void test_nesting_and_aliases_are_bounded(void **state)
{
    (void)state;
    char *text = repeated("a: ", "[", "]", 99);
    tarn_config *config = new_config();
    tarn_error error;
    assert_ok(
        tarn_config_parse(config, TARN_CONFIG_STANDARD, tarn_bytes_of(text), NULL, &error), &error);
    free(text);
    text = repeated("a: ", "[", "]", 100);
    expect_refusal(TARN_CONFIG_STANDARD, text, "file:1", "nested");
    free(text);
    text = repeated("a: &x [1]\nb: [0", ", *x", "", 51);
    text[strlen(text) - 1] = ']';
    expect_refusal(TARN_CONFIG_STANDARD, text, "file:", "");
    free(text);

    /* Ten levels of five aliases each: 5^10 scalars, if anybody copied them. */
    char bomb[1024] = "a0: &a0 [lol, lol, lol, lol, lol]\n";
    for (int i = 1; i <= 10; i++) {
        const size_t size = strlen(bomb);
        snprintf(
            bomb + size,
            sizeof bomb - size,
            "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d]\n",
            i,
            i,
            i - 1,
            i - 1,
            i - 1,
            i - 1,
            i - 1);
    }
    expect_refusal(TARN_CONFIG_STANDARD, bomb, "file:", "large");
    tarn_config_free(config);
}

static void test_a_text_that_leaves_no_stand_in_is_refused(void **state)
{
    (void)state;
    char text[4096 * 3 + 16] = "a: x\xC2\x85";
    char *at = text + strlen(text);
    for (int i = 0; i < 4096; i++) {
        *at++ = (char)0xEE;
        *at++ = (char)(0x80 + i / 64);
        *at++ = (char)(0x80 + i % 64);
    }
    *at = '\0';
    expect_refusal(TARN_CONFIG_STANDARD, text, "file:1", "private-use");
}

static void test_entries_know_their_line_and_replace_earlier_ones(void **state)
{
    (void)state;
    tarn_config *config = new_config();
    tarn_error error;
    assert_ok(tarn_config_set(config, "b.c", "old", "-D", &error), &error);
    const char *const text = "a: 1\n\nb:\n  c: 2\n";
    assert_ok(
        tarn_config_parse(config, TARN_CONFIG_STANDARD, tarn_bytes_of(text), "config.yaml", &error),
        &error);
    assert_int_equal(tarn_config_count(config), 2);
    const tarn_config_entry entry = tarn_config_at(config, 0);
    assert_string_equal(entry.key, "b.c");
    assert_string_equal(entry.value, "2");
    assert_string_equal(entry.origin, "config.yaml");
    assert_int_equal(entry.line, 4);
    tarn_config_free(config);
}

static void test_a_bad_value_of_a_file_is_named_with_file_and_line(void **state)
{
    (void)state;
    tarn_config *config = new_config();
    tarn_error error;
    const char *const text = "# memory\ntaskmanager.memory.process.size: lots\n";
    assert_ok(
        tarn_config_parse(
            config, TARN_CONFIG_LEGACY, tarn_bytes_of(text), "flink-conf.yaml", &error),
        &error);
    assert_int_equal(tarn_config_check(config, &error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "flink-conf.yaml:2: "));
    assert_non_null(strstr(error.message, "\"lots\""));
    tarn_config_free(config);
}

static void test_a_nul_and_an_oversized_text_are_refused(void **state)
{
    (void)state;
    tarn_config *config = new_config();
    tarn_error error;
    static const char nul[] = "ok: 1\na: x\0y\n";
    for (int flavour = 0; flavour < 2; flavour++) {
        assert_int_equal(
            tarn_config_parse(
                config,
                flavour == 0 ? TARN_CONFIG_LEGACY : TARN_CONFIG_STANDARD,
                tarn_bytes_at(nul, sizeof nul - 1),
                "file",
                &error),
            TARN_INVALID_ARGUMENT);
        assert_int_equal(tarn_config_count(config), 0);
    }
    char *large = calloc(1, TARN_CONFIG_FILE_BYTES_MAX + 1);
    assert_int_equal(
        tarn_config_parse(
            config,
            TARN_CONFIG_LEGACY,
            tarn_bytes_at(large, TARN_CONFIG_FILE_BYTES_MAX + 1),
            "file",
            &error),
        TARN_INVALID_ARGUMENT);
    free(large);
    tarn_config_free(config);
}

static void write_file(const char *directory, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void remove_file(const char *directory, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    assert_int_equal(unlink(path), 0);
}

static const char *load_a(const char *path)
{
    static char value[64];
    tarn_config *config = new_config();
    tarn_error error;
    assert_ok(tarn_config_load(config, path, &error), &error);
    const char *text = NULL;
    assert_int_equal(tarn_config_get(config, "a", &text), TARN_OK);
    snprintf(value, sizeof value, "%s", text);
    tarn_config_free(config);
    return value;
}

static void test_a_directory_prefers_the_legacy_file_and_names_choose_the_flavour(void **state)
{
    (void)state;
    char directory[] = "/tmp/tarn-config-XXXXXX";
    assert_non_null(mkdtemp(directory));
    char path[256];
    tarn_config *config = new_config();
    tarn_error error;
    assert_int_equal(tarn_config_load(config, directory, &error), TARN_MISSING);
    assert_non_null(strstr(error.message, directory));

    write_file(directory, "config.yaml", "a: 'standard'\n");
    assert_string_equal(load_a(directory), "standard");
    write_file(directory, "flink-conf.yaml", "a: 'legacy'\n");
    assert_string_equal(load_a(directory), "'legacy'");
    snprintf(path, sizeof path, "%s/config.yaml", directory);
    assert_string_equal(load_a(path), "standard");
    write_file(directory, "job.yml", "a: 'x'\n");
    snprintf(path, sizeof path, "%s/job.yml", directory);
    assert_string_equal(load_a(path), "x");
    write_file(directory, "job.conf", "a: 'x'\n");
    snprintf(path, sizeof path, "%s/job.conf", directory);
    assert_string_equal(load_a(path), "'x'");

    snprintf(path, sizeof path, "%s/none.yaml", directory);
    assert_int_equal(tarn_config_load(config, path, &error), TARN_MISSING);
    assert_int_equal(error.status, TARN_MISSING);
    assert_int_equal(tarn_config_load(config, "", &error), TARN_INVALID_ARGUMENT);
    tarn_config_free(config);
    static const char *const names[] = {"config.yaml", "flink-conf.yaml", "job.yml", "job.conf"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        remove_file(directory, names[i]);
    }
    assert_int_equal(rmdir(directory), 0);
}

/* Of either flavour: nested keys, lists, anchors, bad UTF-8 where it may be, a tab. */
static tarn_status parse_both(tarn_config *config, tarn_error *error)
{
    static const char legacy[] = "a: 1\nb: \xFF 2\nc: 3 # x\n";
    static const char standard[] =
        "a: &x {b: [1, two, {c: 'd: e'}]}\nf: *x\ng: \"\xC2\x85\"\nh: 1e3\t\n";
    const tarn_status status =
        tarn_config_parse(config, TARN_CONFIG_LEGACY, tarn_bytes_of(legacy), "legacy", error);
    if (status != TARN_OK) {
        return status;
    }
    return tarn_config_parse(
        config, TARN_CONFIG_STANDARD, tarn_bytes_of(standard), "standard", error);
}

static void test_every_failed_allocation_is_reported_and_changes_nothing(void **state)
{
    (void)state;
    bool fired = true;
    for (uint64_t nth = 1; fired; nth++) {
        fault_allocator fault;
        fault_allocator_init(&fault, nth);
        tarn_config *config = NULL;
        tarn_error error;
        assert_ok(tarn_config_new(&fault.base, &config, &error), &error);
        const tarn_status status = parse_both(config, &error);
        fired = atomic_load(&fault.fired);
        assert_int_equal(status, fired ? TARN_NO_MEMORY : TARN_OK);
        const size_t count = tarn_config_count(config);
        assert_true(count == 0 || count == 3 || (count == 7 && !fired));
        tarn_config_free(config);
        assert_int_equal(atomic_load(&fault.live_count), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_legacy_lines_are_cut_at_comments_and_trimmed),
        cmocka_unit_test(test_legacy_lines_in_vain_are_warned_of_with_their_place),
        cmocka_unit_test(test_warnings_of_lines_are_bounded_and_counted),
        cmocka_unit_test(test_legacy_lines_end_as_java_ends_them),
        cmocka_unit_test(test_legacy_bytes_that_are_no_utf8_become_replacement_characters),
        cmocka_unit_test(test_standard_mappings_are_flattened_in_order),
        cmocka_unit_test(test_standard_scalars_follow_the_core_schema),
        cmocka_unit_test(test_standard_texts_span_lines_and_hold_any_character),
        cmocka_unit_test(test_standard_lists_are_kept_as_text_with_the_quotes_they_need),
        cmocka_unit_test(test_an_empty_document_sets_nothing),
        cmocka_unit_test(test_what_is_no_standard_file_is_refused_with_its_line),
        cmocka_unit_test(test_nesting_and_aliases_are_bounded),
        cmocka_unit_test(test_a_text_that_leaves_no_stand_in_is_refused),
        cmocka_unit_test(test_entries_know_their_line_and_replace_earlier_ones),
        cmocka_unit_test(test_a_bad_value_of_a_file_is_named_with_file_and_line),
        cmocka_unit_test(test_a_nul_and_an_oversized_text_are_refused),
        cmocka_unit_test(test_a_directory_prefers_the_legacy_file_and_names_choose_the_flavour),
        cmocka_unit_test(test_every_failed_allocation_is_reported_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
