/*
 * Unit tests of lists of table files (codec/manifest.h): what RocksDB writes is read, in however
 * many pieces; what is damaged, cut short or not understood is refused, never passed over.
 */
#include "support/support.h"

#include <string.h>

#include "codec/crc32c.h"
#include "codec/manifest_private.h"
#include "support/manifest_maker.h"

enum { BLOCK_BYTES = 32 << 10, HEAD_BYTES = 7 };

static const manifest_file FIRST = {
    .family = 3, .level = 6, .number = 17, .smallest = "b", .largest = "d", .largest_sequence = 9};
static const manifest_file SECOND = {
    .family = 3,
    .level = 0,
    .number = 300,
    .smallest = "a",
    .largest = "z",
    .largest_sequence = 40};
static const manifest_file THIRD = {
    .family = 3, .level = 6, .number = 301, .smallest = "e", .largest = "f", .largest_sequence = 9};

static int set_up(void **state)
{
    static manifest_maker maker;
    manifest_maker_init(&maker);
    *state = &maker;
    return 0;
}

static int tear_down(void **state)
{
    manifest_maker_clear(*state);
    return 0;
}

static tarn_status open_bytes(manifest_maker *maker, tarn_bytes bytes, tarn__manifest *out)
{
    tarn_error error;
    return tarn__manifest_open(out, bytes, &maker->account, &error);
}

static tarn_status try_list(manifest_maker *maker)
{
    tarn__manifest manifest;
    const tarn_status status = open_bytes(maker, tarn_buffer_bytes(&maker->bytes), &manifest);
    tarn__manifest_close(&manifest);
    return status;
}

static void make_list(manifest_maker *maker)
{
    manifest_add_beginning(maker, 301, 41);
    manifest_add_family(maker, 3, "rows");
    manifest_add_file(maker, &FIRST);
    manifest_add_file(maker, &SECOND);
}

static void remove_file(manifest_maker *maker, const manifest_file *file)
{
    manifest_put_number(maker, 6);
    manifest_put_number(maker, file->level);
    manifest_put_number(maker, file->number);
    manifest_put_number(maker, 200);
    manifest_put_number(maker, file->family);
    manifest_end(maker);
}

static void put_drop(manifest_maker *maker, uint32_t family)
{
    manifest_put_number(maker, 200);
    manifest_put_number(maker, family);
    manifest_put_number(maker, 202);
    manifest_end(maker);
}

/* Source: RFC 3720, B.4: 32 bytes of zeros, and of 0 .. 31; and what "123456789" is known to have.
 */
static void test_checksums_are_those_of_castagnoli(void **state)
{
    (void)state;
    uint8_t bytes[32] = {0};
    assert_int_equal(tarn__crc32c(0, tarn_bytes_at(bytes, sizeof bytes)), 0x8a9136aa);
    for (uint8_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = i;
    }
    assert_int_equal(tarn__crc32c(0, tarn_bytes_at(bytes, sizeof bytes)), 0x46dd794e);
    const uint32_t begun = tarn__crc32c(0, tarn_bytes_of("1234"));
    assert_int_equal(tarn__crc32c(begun, tarn_bytes_of("56789")), 0xe3069283);
}

static void test_files_and_families_are_read(void **state)
{
    manifest_maker *maker = *state;
    tarn__manifest m;
    make_list(maker);
    assert_int_equal(open_bytes(maker, tarn_buffer_bytes(&maker->bytes), &m), TARN_OK);
    assert_int_equal(m.next_number, 301);
    assert_int_equal(m.last_sequence, 41);
    assert_int_equal(tarn__manifest_find_family(&m, "rows")->id, 3);
    assert_null(tarn__manifest_find_family(&m, "row"));
    assert_int_equal(m.file_count, 2);
    assert_int_equal(m.files[0].family, 3);
    assert_int_equal(m.files[0].level, 6);
    assert_int_equal(m.files[0].number, 17);
    assert_true(tarn_bytes_is_equal(m.files[0].smallest, tarn_bytes_of("b")));
    assert_true(tarn_bytes_is_equal(m.files[0].largest, tarn_bytes_of("d")));
    assert_int_equal(m.files[0].largest_sequence, 9);
    assert_int_equal(m.files[1].number, 300);
    tarn__manifest_close(&m);
}

static void test_what_was_removed_or_dropped_is_gone(void **state)
{
    manifest_maker *maker = *state;
    tarn__manifest m;
    make_list(maker);
    remove_file(maker, &FIRST);
    assert_int_equal(open_bytes(maker, tarn_buffer_bytes(&maker->bytes), &m), TARN_OK);
    assert_int_equal(m.file_count, 1);
    assert_int_equal(m.files[0].number, 300);
    tarn__manifest_close(&m);

    put_drop(maker, 3);
    assert_int_equal(open_bytes(maker, tarn_buffer_bytes(&maker->bytes), &m), TARN_OK);
    assert_int_equal(m.file_count, 0);
    assert_null(tarn__manifest_find_family(&m, "rows"));
    tarn__manifest_close(&m);
}

/* As this library adds files: of a family, under another level and number. */
static void test_an_edit_that_was_made_is_read(void **state)
{
    manifest_maker *maker = *state;
    tarn__manifest m;
    tarn__manifest again;
    make_list(maker);
    assert_int_equal(open_bytes(maker, tarn_buffer_bytes(&maker->bytes), &m), TARN_OK);
    assert_int_equal(tarn__manifest_edit_begin(&maker->edit, 302, 50), TARN_OK);
    assert_int_equal(
        tarn__manifest_edit_add(&maker->edit, 5, 301, m.files[0].rest, false), TARN_OK);
    assert_int_equal(tarn__manifest_edit_end(&maker->edit, 3), TARN_OK);
    manifest_end(maker);
    assert_int_equal(open_bytes(maker, tarn_buffer_bytes(&maker->bytes), &again), TARN_OK);
    assert_int_equal(again.next_number, 302);
    assert_int_equal(again.last_sequence, 50);
    assert_int_equal(again.file_count, 3);
    assert_int_equal(again.files[2].level, 5);
    assert_int_equal(again.files[2].number, 301);
    assert_true(tarn_bytes_is_equal(again.files[2].rest, m.files[0].rest));
    tarn__manifest_close(&m);
    tarn__manifest_close(&again);
}

/* Ignored by its meaning: where the next file of a compaction would begin. */
static void put_filler(manifest_maker *maker, size_t size)
{
    static const uint8_t BYTES[3 * BLOCK_BYTES] = {0};
    manifest_put_number(maker, 5);
    manifest_put_number(maker, 1);
    manifest_put_bytes(maker, BYTES, size);
    manifest_end(maker);
}

/* However much of a block is left before a record, and however many blocks that takes. */
static void test_records_are_cut_where_blocks_end(void **state)
{
    manifest_maker *maker = *state;
    for (size_t left = 0; left < 3 * HEAD_BYTES; left++) {
        for (size_t size = 100; size < 3 * BLOCK_BYTES; size += BLOCK_BYTES - 1) {
            tarn__manifest m;
            maker->bytes.size = 0;
            make_list(maker);
            /* The filler has 5 bytes before its own ones, in a record that fits the block. */
            put_filler(maker, BLOCK_BYTES - maker->bytes.size - HEAD_BYTES - 5 - left);
            assert_int_equal(maker->bytes.size, BLOCK_BYTES - left);
            put_filler(maker, size);
            manifest_add_file(maker, &THIRD);
            assert_int_equal(open_bytes(maker, tarn_buffer_bytes(&maker->bytes), &m), TARN_OK);
            assert_int_equal(m.file_count, 3);
            tarn__manifest_close(&m);
        }
    }
}

static void test_damage_is_told(void **state)
{
    manifest_maker *maker = *state;
    make_list(maker);
    for (size_t i = 0; i < 8 * maker->bytes.size; i++) {
        maker->bytes.data[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(try_list(maker), TARN_CORRUPTION);
        maker->bytes.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    assert_int_equal(try_list(maker), TARN_OK);
}

/* Nor does one end the list whose check is right. */
static void test_a_piece_of_no_kind_is_told(void **state)
{
    enum { KIND_OFFSET = 6 };
    static const uint8_t KINDS[] = {0, 5, UINT8_MAX};
    manifest_maker *maker = *state;
    for (size_t i = 0; i < sizeof KINDS; i++) {
        maker->bytes.size = 0;
        make_list(maker);
        const uint32_t check = tarn__manifest_check_of(KINDS[i], tarn_bytes_at("", 0));
        uint8_t head[HEAD_BYTES] = {0};
        for (size_t k = 0; k < 4; k++) {
            head[k] = (uint8_t)(check >> (8 * k));
        }
        head[KIND_OFFSET] = KINDS[i];
        assert_int_equal(
            tarn_buffer_append(&maker->bytes, tarn_bytes_at(head, sizeof head)), TARN_OK);
        assert_int_equal(try_list(maker), TARN_CORRUPTION);
    }
}

/* It is whole where a record ends. */
static void test_a_list_that_is_cut_short_is_told(void **state)
{
    manifest_maker *maker = *state;
    size_t whole_count = 0;
    make_list(maker);
    for (size_t size = 0; size < maker->bytes.size; size++) {
        tarn__manifest m;
        const tarn_status status = open_bytes(maker, tarn_bytes_at(maker->bytes.data, size), &m);
        tarn__manifest_close(&m);
        assert_true(status == TARN_OK || status == TARN_CORRUPTION);
        whole_count += status == TARN_OK ? 1 : 0;
    }
    assert_int_equal(whole_count, 4); /* Behind none, one, two and three of its records. */
}

static void test_an_edit_that_ends_within_a_field_is_told(void **state)
{
    manifest_maker *maker = *state;
    manifest_put_file(maker, &FIRST);
    const size_t whole = maker->edit.size;
    for (size_t size = 1; size < whole; size++) {
        maker->bytes.size = 0;
        maker->edit.size = 0;
        manifest_put_file(maker, &FIRST);
        maker->edit.size = size;
        manifest_end(maker);
        assert_int_equal(try_list(maker), TARN_CORRUPTION);
    }
}

/* As RocksDB 8.9 writes it beside the comparator: keys without timestamps "keep" them. */
static void test_what_newer_versions_say_of_timestamps_is_understood(void **state)
{
    manifest_maker *maker = *state;
    make_list(maker);
    manifest_put_number(maker, (1 << 13) + 9);
    manifest_put_bytes(maker, "\x01", 1);
    manifest_end(maker);
    assert_int_equal(try_list(maker), TARN_OK);
    manifest_put_number(maker, (1 << 13) + 9);
    manifest_put_bytes(maker, "\0", 1);
    manifest_end(maker);
    assert_int_equal(try_list(maker), TARN_NOT_SUPPORTED);
}

static void expect_refused(manifest_maker *maker)
{
    manifest_end(maker);
    assert_int_equal(try_list(maker), TARN_NOT_SUPPORTED);
    maker->bytes.size = 0;
}

static void test_what_is_not_understood_is_refused(void **state)
{
    manifest_maker *maker = *state;
    manifest_put_number(maker, 400); /* A file of blobs. */
    expect_refused(maker);
    manifest_put_number(maker, (1 << 13) + 6); /* What may be passed over, says RocksDB. */
    manifest_put_bytes(maker, "1", 1);
    expect_refused(maker);
    manifest_put_number(maker, 1);
    manifest_put_bytes(maker, "another", 7);
    expect_refused(maker);
    manifest_put_file(maker, &FIRST);
    maker->edit.size--; /* One detail more: the oldest file of blobs that it needs. */
    manifest_put_number(maker, 4);
    manifest_put_bytes(maker, "1", 1);
    manifest_put_number(maker, 1);
    expect_refused(maker);
}

/* As compactions move it without writing it anew. */
static void test_a_file_goes_from_level_to_level(void **state)
{
    manifest_maker *maker = *state;
    tarn__manifest m;
    manifest_file moved = THIRD;
    make_list(maker);
    for (moved.level = 0; moved.level < TARN__MANIFEST_LEVELS - 1; moved.level++) {
        manifest_add_file(maker, &moved);
        remove_file(maker, &moved);
    }
    manifest_add_file(maker, &moved);
    assert_int_equal(open_bytes(maker, tarn_buffer_bytes(&maker->bytes), &m), TARN_OK);
    assert_int_equal(m.file_count, 3);
    assert_int_equal(m.files[2].number, THIRD.number);
    assert_int_equal(m.files[2].level, TARN__MANIFEST_LEVELS - 1);
    tarn__manifest_close(&m);
    remove_file(maker, &moved);
    assert_int_equal(open_bytes(maker, tarn_buffer_bytes(&maker->bytes), &m), TARN_OK);
    assert_int_equal(m.file_count, 2);
    tarn__manifest_close(&m);
    remove_file(maker, &moved);
    assert_int_equal(try_list(maker), TARN_CORRUPTION);
}

static void test_a_file_cannot_be_added_twice(void **state)
{
    manifest_maker *maker = *state;
    make_list(maker);
    manifest_add_file(maker, &FIRST);
    assert_int_equal(try_list(maker), TARN_CORRUPTION);
    remove_file(maker, &FIRST); /* Late. */
    assert_int_equal(try_list(maker), TARN_CORRUPTION);
}

/* Their numbers are not used again. */
static void test_a_family_comes_and_goes_once(void **state)
{
    manifest_maker *maker = *state;
    make_list(maker);
    manifest_add_family(maker, 3, "again");
    assert_int_equal(try_list(maker), TARN_CORRUPTION);
    maker->bytes.size = 0;
    make_list(maker);
    put_drop(maker, 3);
    assert_int_equal(try_list(maker), TARN_OK);
    put_drop(maker, 3);
    assert_int_equal(try_list(maker), TARN_CORRUPTION);
}

static void test_more_families_than_there_can_be_are_refused(void **state)
{
    enum { FAMILIES_MAX = 1 << 14 };
    manifest_maker *maker = *state;
    manifest_add_beginning(maker, 301, 41);
    for (uint32_t i = 1; i <= FAMILIES_MAX; i++) {
        manifest_add_family(maker, i, "");
    }
    assert_int_equal(try_list(maker), TARN_OK);
    manifest_add_family(maker, FAMILIES_MAX + 1, "");
    assert_int_equal(try_list(maker), TARN_NOT_SUPPORTED);
}

static void test_a_file_that_was_never_added_cannot_be_removed(void **state)
{
    manifest_maker *maker = *state;
    make_list(maker);
    const manifest_file other = {
        .family = FIRST.family, .level = FIRST.level + 1, .number = FIRST.number};
    remove_file(maker, &other);
    assert_int_equal(try_list(maker), TARN_CORRUPTION);
}

int main(void)
{
#define LIST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksums_are_those_of_castagnoli),
        LIST(test_files_and_families_are_read),
        LIST(test_what_was_removed_or_dropped_is_gone),
        LIST(test_an_edit_that_was_made_is_read),
        LIST(test_records_are_cut_where_blocks_end),
        LIST(test_damage_is_told),
        LIST(test_a_piece_of_no_kind_is_told),
        LIST(test_a_list_that_is_cut_short_is_told),
        LIST(test_an_edit_that_ends_within_a_field_is_told),
        LIST(test_what_newer_versions_say_of_timestamps_is_understood),
        LIST(test_what_is_not_understood_is_refused),
        LIST(test_a_file_goes_from_level_to_level),
        LIST(test_a_file_cannot_be_added_twice),
        LIST(test_a_family_comes_and_goes_once),
        LIST(test_more_families_than_there_can_be_are_refused),
        LIST(test_a_file_that_was_never_added_cannot_be_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
