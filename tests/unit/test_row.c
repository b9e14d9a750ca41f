/*
 * Unit tests of codec/row.c and codec/descriptor.c: what is written is read back, the order of rows
 * is the one that scans rely on, and bytes that nobody wrote are refused.
 */
#include "support/support.h"

#include <stdlib.h>
#include <string.h>

#include "codec/descriptor.h"
#include "codec/row.h"
#include "support/scratch.h"

enum { ROOM = 2 * (70 << 10) };

static tarn_bytes encode(
    uint8_t *out, uint32_t group, tarn_bytes key, tarn_bytes name_space, tarn_bytes user_key)
{
    size_t size = tarn__row_encode_key(out, group, key);
    size += tarn__row_encode_namespace(out + size, name_space);
    memcpy(out + size, user_key.data, user_key.size);
    return tarn_bytes_at(out, size + user_key.size);
}

static void test_rows_of_every_size_class_come_back(void **state)
{
    (void)state;
    static const size_t SIZES[] = {0, 1, 127, 128, 16383, 16384, 65535};
    static const uint32_t GROUPS[] = {0, 1, 255, 256, 32767};
    static uint8_t text[1 << 16];
    static uint8_t row[ROOM];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < 7; i++) {
        for (size_t j = 0; j < 7; j++) {
            const uint32_t group = GROUPS[(i + j) % 5];
            const tarn_bytes bytes = encode(
                row,
                group,
                tarn_bytes_at(text, SIZES[i]),
                tarn_bytes_at(text, SIZES[j]),
                tarn_bytes_of("u"));
            tarn__row decoded;
            assert_true(tarn__row_decode(bytes, &decoded));
            assert_int_equal(decoded.key_group, group);
            assert_int_equal(decoded.key.size, SIZES[i]);
            assert_int_equal(decoded.name_space.size, SIZES[j]);
            assert_true(tarn_bytes_is_equal(decoded.user_key, tarn_bytes_of("u")));
        }
    }
}

/* docs/FORMATS.md shows these bytes. */
static void test_the_layout_is_the_documented_one(void **state)
{
    (void)state;
    static const uint8_t EXPECTED[] = {0x01, 0x02, 2, 'a', 'b', 1, 'n', 'u', 'k'};
    uint8_t row[32];
    const tarn_bytes bytes =
        encode(row, 0x0102, tarn_bytes_of("ab"), tarn_bytes_of("n"), tarn_bytes_of("uk"));
    assert_true(tarn_bytes_is_equal(bytes, tarn_bytes_at(EXPECTED, sizeof EXPECTED)));
}

/* A truncated row is no row; and no proper prefix of key part and namespace is. */
static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    uint8_t row[64];
    const tarn_bytes bytes =
        encode(row, 7, tarn_bytes_of("key"), tarn_bytes_of("window"), tarn_bytes_of(""));
    for (size_t size = 0; size < bytes.size; size++) {
        tarn__row decoded;
        assert_false(tarn__row_decode(tarn_bytes_at(bytes.data, size), &decoded));
    }
}

static void test_malformed_rows_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[8];
        size_t size;
    } CASES[] = {
        {{0x80, 0x00, 0, 0}, 4},               /* Key group 32,768. */
        {{0, 0, 0x80, 0x00, 0}, 5},            /* A size of 0 in two bytes. */
        {{0, 0, 0x81, 0x80, 0x00, 'a', 0}, 7}, /* A size of 1 in three bytes. */
        {{0, 0, 0x80, 0x80, 0x80, 0x01}, 6},   /* Four bytes. */
        {{0, 0, 0x80, 0x80, 0x04}, 5},         /* 65,536. */
        {{0, 0, 2, 'a'}, 4},                   /* Beyond the end. */
        {{0, 0, 0, 1}, 4},                     /* Namespace beyond the end. */
        {{0, 0, 0}, 3},                        /* No namespace. */
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        tarn__row decoded;
        assert_false(tarn__row_decode(tarn_bytes_at(CASES[i].bytes, CASES[i].size), &decoded));
    }
}

static void test_user_keys_of_a_key_sort_by_their_bytes(void **state)
{
    (void)state;
    uint8_t a[64];
    uint8_t b[64];
    const tarn_bytes key = tarn_bytes_of("k");
    const tarn_bytes window = tarn_bytes_of("w");
    assert_true(
        tarn_bytes_compare(
            encode(a, 1, key, window, tarn_bytes_of("a")),
            encode(b, 1, key, window, tarn_bytes_of("ab"))) < 0);
    assert_true(
        tarn_bytes_compare(
            encode(a, 1, key, window, tarn_bytes_of("ab")),
            encode(b, 1, key, window, tarn_bytes_of("b"))) < 0);
    assert_true(
        tarn_bytes_compare(
            encode(a, 1, key, window, tarn_bytes_of("z")),
            encode(b, 2, key, window, tarn_bytes_of("a"))) < 0);
}

static const tarn__descriptor SAMPLE_1 = {
    .kind = TARN__STATE_VALUE,
    .format = 1,
    .flags = TARN__STATE_STAMPED | TARN__STATE_NAMESPACE_FIRST | TARN__STATE_UNTIMED,
    .detail = 0x11,
    .schema_count = 1,
    .schemas = {{.codec_version = 0x01020304, .codec_name = {"avro", 4}}},
};

static const tarn__descriptor SAMPLE_2 = {
    .kind = TARN__STATE_MAP,
    .format = 2,
    .flags = TARN__STATE_STAMPED | TARN__STATE_VERSIONED,
    .schema_count = 3,
    .schemas =
        {
            {.generation = 7, .codec_version = 3, .codec_name = {"avro", 4}, .metadata = {"{}", 2}},
            {.generation = 255, .codec_version = 0xfffffffe, .codec_name = {"avro", 4}},
            {.generation = 0,
             .codec_version = 0,
             .codec_name = {"bytes", 5},
             .metadata = {"\0\1\2", 3}},
        },
};

static void expect_golden(const tarn__descriptor *sample, const char *path)
{
    tarn_buffer bytes = TARN_BUFFER_INIT;
    size_t golden_size = 0;
    uint8_t *golden = scratch_read(path, &golden_size);
    const tarn_bytes stored = tarn_bytes_at(golden, golden_size);
    assert_int_equal(tarn__descriptor_encode(sample, &bytes), TARN_OK);
    assert_true(tarn_bytes_is_equal(tarn_buffer_bytes(&bytes), stored));
    tarn__descriptor read;
    assert_int_equal(tarn__descriptor_decode(stored, &read), TARN__DESCRIPTOR_OK);
    assert_int_equal(read.kind, sample->kind);
    assert_int_equal(read.format, sample->format);
    assert_int_equal(read.flags, sample->flags);
    assert_int_equal(read.detail, sample->detail);
    assert_int_equal(read.schema_count, sample->schema_count);
    for (uint32_t i = 0; i < read.schema_count; i++) {
        assert_int_equal(read.schemas[i].generation, sample->schemas[i].generation);
        assert_true(tarn__schema_is_equal(&read.schemas[i], &sample->schemas[i]));
    }
    for (size_t size = 0; size < golden_size; size++) {
        assert_int_equal(
            tarn__descriptor_decode(tarn_bytes_at(golden, size), &read), TARN__DESCRIPTOR_DAMAGED);
    }
    free(golden);
    tarn_buffer_clear(&bytes);
}

static void test_the_golden_descriptor_of_format_1_is_read_for_ever(void **state)
{
    (void)state;
    expect_golden(&SAMPLE_1, TARN_TEST_DIRECTORY "/golden/descriptor_v1.bin");
}

static void test_the_golden_descriptor_of_format_2_is_read_for_ever(void **state)
{
    (void)state;
    expect_golden(&SAMPLE_2, TARN_TEST_DIRECTORY "/golden/descriptor_v2.bin");
}

#define SCHEMA_B 0, 0, 0, 0, 0, 1, 'b', 0, 0

static void test_damaged_and_newer_descriptors_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        tarn__descriptor_outcome wanted;
        size_t size;
        uint8_t bytes[28];
    } CASES[] = {
        {TARN__DESCRIPTOR_OK, 10, {1, 1, 0, 0, 0, 0, 0, 0, 1, 'b'}},
        {TARN__DESCRIPTOR_NEWER, 10, {3, 1, 0, 0, 0, 0, 0, 0, 1, 'b'}},
        {TARN__DESCRIPTOR_NEWER, 10, {1, 9, 0, 0, 0, 0, 0, 0, 1, 'b'}},
        {TARN__DESCRIPTOR_NEWER, 10, {1, 1, 0, 0, 0, 0, 8, 0, 1, 'b'}},
        {TARN__DESCRIPTOR_DAMAGED, 11, {1, 1, 0, 0, 0, 0, 0, 0, 1, 'b', 'c'}},
        {TARN__DESCRIPTOR_DAMAGED, 10, {1, 1, 0, 0, 0, 0, 0, 0, 1, '\0'}},
        {TARN__DESCRIPTOR_OK, 15, {2, 1, 8, 0, 0, 1, SCHEMA_B}},
        {TARN__DESCRIPTOR_NEWER, 15, {2, 1, 16, 0, 0, 1, SCHEMA_B}},
        {TARN__DESCRIPTOR_NEWER, 15, {2, 9, 8, 0, 0, 1, SCHEMA_B}},
        {TARN__DESCRIPTOR_DAMAGED, 15, {2, 1, 8, 0, 1, 1, SCHEMA_B}},  /* Another generation. */
        {TARN__DESCRIPTOR_DAMAGED, 6, {2, 1, 8, 0, 0, 0}},             /* No schema. */
        {TARN__DESCRIPTOR_DAMAGED, 15, {2, 1, 8, 0, 0, 17, SCHEMA_B}}, /* Too many. */
        {TARN__DESCRIPTOR_DAMAGED, 24, {2, 1, 8, 0, 0, 2, SCHEMA_B, SCHEMA_B}}, /* Twice. */
        {TARN__DESCRIPTOR_DAMAGED, 16, {2, 1, 8, 0, 0, 1, SCHEMA_B, 0}},
        {TARN__DESCRIPTOR_DAMAGED, 15, {2, 1, 8, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0}}, /* NUL. */
        {TARN__DESCRIPTOR_DAMAGED, 14, {2, 1, 8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        tarn__descriptor read;
        assert_int_equal(
            tarn__descriptor_decode(tarn_bytes_at(CASES[i].bytes, CASES[i].size), &read),
            CASES[i].wanted);
    }
}

/*
 * Two databases gave the same generation to different schemas, and a schema different generations:
 * each keeps its meaning.
 */
static void test_descriptors_of_two_databases_unite(void **state)
{
    (void)state;
    tarn__descriptor second = SAMPLE_2;
    second.schemas[0].generation = 255;      /* Is 7 in the first. */
    second.schemas[1] = SAMPLE_2.schemas[2]; /* Both have it. */
    second.schemas[2] = SAMPLE_2.schemas[1];
    second.schemas[2].codec_version = 2; /* Only here, */
    second.schemas[2].generation = 7;    /* where that means another one. */
    tarn__descriptor united;
    uint8_t generations[256];
    assert_true(tarn__descriptor_unite(&SAMPLE_2, &second, &united, generations));
    assert_int_equal(united.schema_count, 4);
    assert_int_equal(generations[255], 7);
    assert_int_equal(generations[0], 0);
    assert_int_equal(generations[7], united.schemas[3].generation);
    assert_int_equal(united.schemas[3].codec_version, 2);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_not_equal(united.schemas[3].generation, united.schemas[i].generation);
    }

    second.schemas[0].codec_version = 4; /* They do not write the same. */
    assert_false(tarn__descriptor_unite(&SAMPLE_2, &second, &united, generations));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_every_size_class_come_back),
        cmocka_unit_test(test_the_layout_is_the_documented_one),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_malformed_rows_are_refused),
        cmocka_unit_test(test_user_keys_of_a_key_sort_by_their_bytes),
        cmocka_unit_test(test_the_golden_descriptor_of_format_1_is_read_for_ever),
        cmocka_unit_test(test_the_golden_descriptor_of_format_2_is_read_for_ever),
        cmocka_unit_test(test_descriptors_of_two_databases_unite),
        cmocka_unit_test(test_damaged_and_newer_descriptors_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
