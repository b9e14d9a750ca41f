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

static void test_the_golden_descriptor_of_format_1_is_read_for_ever(void **state)
{
    (void)state;
    const tarn__descriptor written = {
        .kind = TARN__STATE_VALUE,
        .codec_version = 0x01020304,
        .flags = TARN__STATE_STAMPED | TARN__STATE_NAMESPACE_FIRST | TARN__STATE_UNTIMED,
        .detail = 0x11,
        .codec_name = "avro",
    };
    uint8_t bytes[TARN__DESCRIPTOR_BYTES_MAX];
    const size_t size = tarn__descriptor_encode(&written, bytes);
    size_t golden_size = 0;
    uint8_t *golden = scratch_read(TARN_TEST_DIRECTORY "/golden/descriptor_v1.bin", &golden_size);
    const tarn_bytes stored = tarn_bytes_at(golden, golden_size);
    assert_true(tarn_bytes_is_equal(tarn_bytes_at(bytes, size), stored));
    tarn__descriptor read;
    assert_int_equal(tarn__descriptor_decode(stored, &read), TARN__DESCRIPTOR_OK);
    free(golden);
    assert_int_equal(read.kind, written.kind);
    assert_int_equal(read.codec_version, written.codec_version);
    assert_int_equal(read.flags, written.flags);
    assert_int_equal(read.detail, written.detail);
    assert_string_equal(read.codec_name, "avro");
}

static void test_damaged_and_newer_descriptors_are_told_apart(void **state)
{
    (void)state;
    static const uint8_t GOOD[] = {1, 1, 0, 0, 0, 0, 0, 0, 1, 'b'};
    static const uint8_t NEWER_FORMAT[] = {2, 1, 0, 0, 0, 0, 0, 0, 1, 'b'};
    static const uint8_t NEWER_KIND[] = {1, 9, 0, 0, 0, 0, 0, 0, 1, 'b'};
    static const uint8_t NEWER_FLAG[] = {1, 1, 0, 0, 0, 0, 8, 0, 1, 'b'};
    static const uint8_t TOO_LONG[] = {1, 1, 0, 0, 0, 0, 0, 0, 1, 'b', 'c'};
    static const uint8_t WITH_NUL[] = {1, 1, 0, 0, 0, 0, 0, 0, 1, '\0'};
    tarn__descriptor read;
    for (size_t size = 0; size < sizeof GOOD; size++) {
        assert_int_equal(
            tarn__descriptor_decode(tarn_bytes_at(GOOD, size), &read), TARN__DESCRIPTOR_DAMAGED);
    }
    assert_int_equal(
        tarn__descriptor_decode(tarn_bytes_at(NEWER_FORMAT, 10), &read), TARN__DESCRIPTOR_NEWER);
    assert_int_equal(
        tarn__descriptor_decode(tarn_bytes_at(NEWER_KIND, 10), &read), TARN__DESCRIPTOR_NEWER);
    assert_int_equal(
        tarn__descriptor_decode(tarn_bytes_at(NEWER_FLAG, 10), &read), TARN__DESCRIPTOR_NEWER);
    assert_int_equal(
        tarn__descriptor_decode(tarn_bytes_at(TOO_LONG, 11), &read), TARN__DESCRIPTOR_DAMAGED);
    assert_int_equal(
        tarn__descriptor_decode(tarn_bytes_at(WITH_NUL, 10), &read), TARN__DESCRIPTOR_DAMAGED);
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
        cmocka_unit_test(test_damaged_and_newer_descriptors_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
