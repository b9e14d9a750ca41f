/*
 * Unit tests of the metadata format: it comes back as it went in, for ever; and whatever is not
 * exactly as it was written is refused with its place.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "snapshot/metadata.h"
#include "support/metadata_sample.h"
#include "support/metadata_seal.h"
#include "support/scratch.h"

typedef struct fixture {
    metadata_sample sample;
    tarn_buffer bytes; /* The sample, encoded. */
    tarn__account account;
    tarn_error error;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    metadata_sample_init(&f->sample);
    tarn__account_init(&f->account, "test", NULL);
    *state = f;
    assert_ok(
        tarn__metadata_encode(
            &f->sample.head, f->sample.subtasks, SAMPLE_SUBTASKS, &f->bytes, &f->error),
        &f->error);
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tarn_buffer_clear(&f->bytes);
    const int leaked = atomic_load(&f->account.block_count) != 0;
    free(f);
    return leaked;
}

static tarn_status decode(fixture *f, tarn_bytes bytes, tarn__metadata *out)
{
    memset(&f->error, 0, sizeof f->error);
    return tarn__metadata_decode(bytes, TARN__METADATA_CHECKPOINT, &f->account, out, &f->error);
}

static void expect_refusal(fixture *f, tarn_bytes bytes, tarn_status expected)
{
    tarn__metadata metadata;
    const tarn_status status = decode(f, bytes, &metadata);
    if (status != expected) {
        fail_msg(
            "%s instead of %s: %s",
            tarn_status_name(status),
            tarn_status_name(expected),
            f->error.message);
    }
    assert_int_equal(f->error.status, expected);
    assert_int_equal(atomic_load(&f->account.bytes), 0);
}

static void expect_same_bytes(fixture *f, const tarn__metadata *metadata, tarn_bytes expected)
{
    tarn_buffer again = TARN_BUFFER_INIT;
    assert_ok(
        tarn__metadata_encode(
            &metadata->head, metadata->subtasks, metadata->subtask_count, &again, &f->error),
        &f->error);
    assert_int_equal(again.size, expected.size);
    assert_memory_equal(again.data, expected.data, expected.size);
    tarn_buffer_clear(&again);
}

static void test_everything_comes_back(void **state)
{
    fixture *f = *state;
    tarn__metadata m;
    assert_ok(decode(f, tarn_buffer_bytes(&f->bytes), &m), &f->error);
    assert_int_equal(m.head.checkpoint_id, 7);
    assert_true(m.head.timestamp_ms == 1700000000123);
    assert_int_equal(m.head.duration_ms, 456);
    assert_int_equal(m.head.new_bytes, 1832);
    assert_string_equal(m.head.job, "flights");
    assert_string_equal(m.head.version, "0.1.0");
    assert_int_equal(m.subtask_count, 3);

    const tarn__subtask *keyed = &m.subtasks[1];
    assert_string_equal(keyed->operator_name, "aircraft");
    assert_int_equal(keyed->subtask_index, 1);
    assert_int_equal(keyed->parallelism, 2);
    assert_true(keyed->has_keyed_state);
    assert_int_equal(keyed->key_hash, 1);
    assert_int_equal(keyed->max_parallelism, 128);
    assert_int_equal(keyed->key_groups.first, 64);
    assert_int_equal(keyed->key_groups.last, 127);
    assert_int_equal(keyed->state_count, 2);
    assert_string_equal(keyed->states[0].name, "count");
    assert_string_equal(keyed->states[0].codec_name, "i64");
    assert_int_equal(keyed->states[0].codec_version, 3);
    assert_string_equal(keyed->states[1].codec_name, "");
    assert_int_equal(keyed->file_count, 3);
    assert_string_equal(keyed->files[0].local_name, "000012.sst");
    assert_true(keyed->files[0].is_shared);
    assert_true(keyed->files[0].content.size == 5000000000u);
    assert_int_equal(strlen(keyed->files[0].digest_text), 32);
    assert_false(keyed->files[1].is_shared);
    assert_true(tarn__subtask_bytes(keyed) == 5000000916u);

    const tarn__subtask *source = &m.subtasks[2];
    assert_false(source->has_keyed_state);
    assert_int_equal(source->piece_count, 2);
    assert_int_equal(source->pieces[0].bytes.size, 0);
    assert_int_equal(source->pieces[1].bytes.size, 4);
    assert_memory_equal(source->pieces[1].bytes.data, "\0\1\2\xff", 4);
    expect_same_bytes(f, &m, tarn_buffer_bytes(&f->bytes));
    tarn__metadata_clear(&m);
}

static void test_an_empty_checkpoint_comes_back(void **state)
{
    fixture *f = *state;
    tarn_buffer bytes = TARN_BUFFER_INIT;
    assert_ok(
        tarn__metadata_encode(&f->sample.head, f->sample.subtasks, 0, &bytes, &f->error),
        &f->error);
    tarn__metadata m;
    assert_ok(decode(f, tarn_buffer_bytes(&bytes), &m), &f->error);
    assert_int_equal(m.subtask_count, 0);
    tarn__metadata_clear(&m);
    tarn_buffer_clear(&bytes);
}

/* Files written by a released version must be read by all later ones, and encode to themselves. */
static void expect_golden(fixture *f, uint32_t version, const char *path)
{
    size_t size = 0;
    uint8_t *golden = scratch_read(path, &size);
    tarn__metadata m;
    const bool is_savepoint = tarn__metadata_is_savepoint(f->sample.head.kind);
    const tarn__metadata_kind wanted =
        is_savepoint ? TARN__METADATA_SAVEPOINT : f->sample.head.kind; /* Of either form. */
    assert_ok(
        tarn__metadata_decode(tarn_bytes_at(golden, size), wanted, &f->account, &m, &f->error),
        &f->error);
    assert_int_equal(m.head.format_version, version);
    assert_int_equal(m.head.kind, f->sample.head.kind);
    expect_same_bytes(f, &m, tarn_bytes_at(golden, size));
    tarn__metadata_clear(&m);
    f->sample.head.format_version = version;
    assert_ok(
        tarn__metadata_encode(
            &f->sample.head,
            f->sample.subtasks,
            metadata_sample_count(&f->sample),
            &f->bytes,
            &f->error),
        &f->error);
    assert_int_equal(size, f->bytes.size);
    assert_memory_equal(golden, f->bytes.data, size);
    free(golden);
}

static void test_the_golden_file_of_version_1_is_read_for_ever(void **state)
{
    expect_golden(*state, 1, TARN_TEST_DIRECTORY "/golden/metadata_v1.bin");
}

static void test_the_golden_file_of_version_2_is_read_for_ever(void **state)
{
    expect_golden(*state, 2, TARN_TEST_DIRECTORY "/golden/metadata_v2.bin");
}

static void test_the_golden_file_of_version_3_is_read_for_ever(void **state)
{
    fixture *f = *state;
    metadata_sample_pack(&f->sample);
    expect_golden(f, 3, TARN_TEST_DIRECTORY "/golden/metadata_v3.bin");
}

static void test_the_golden_file_of_version_4_is_read_for_ever(void **state)
{
    fixture *f = *state;
    metadata_sample_inline(&f->sample);
    expect_golden(f, 4, TARN_TEST_DIRECTORY "/golden/metadata_v4.bin");
}

/* Of the other kinds, in every version that has them. */
static const struct kind_golden {
    tarn__metadata_kind kind;
    uint32_t version;
    const char *name;
} KIND_GOLDENS[] = {
    {TARN__METADATA_ACKNOWLEDGEMENT, 1, "metadata_acknowledgement_v1.bin"},
    {TARN__METADATA_ACKNOWLEDGEMENT, 2, "metadata_acknowledgement_v2.bin"},
    {TARN__METADATA_ACKNOWLEDGEMENT, 3, "metadata_acknowledgement_v3.bin"},
    {TARN__METADATA_ACKNOWLEDGEMENT, 4, "metadata_acknowledgement_v4.bin"},
    {TARN__METADATA_SAVEPOINT, 2, "metadata_savepoint_v2.bin"},
    {TARN__METADATA_SAVEPOINT, 3, "metadata_savepoint_v3.bin"},
    {TARN__METADATA_SAVEPOINT, 4, "metadata_savepoint_v4.bin"},
    {TARN__METADATA_CANONICAL_SAVEPOINT, 2, "metadata_canonical_v2.bin"},
    {TARN__METADATA_CANONICAL_SAVEPOINT, 3, "metadata_canonical_v3.bin"},
    {TARN__METADATA_CANONICAL_SAVEPOINT, 4, "metadata_canonical_v4.bin"},
};

enum { KIND_GOLDENS_COUNT = sizeof KIND_GOLDENS / sizeof KIND_GOLDENS[0] };

/* As the files of that kind and version are; files of a canonical savepoint lie alone. */
static void make_sample(const struct kind_golden *golden, metadata_sample *sample)
{
    metadata_sample_init(sample);
    sample->head.format_version = golden->version;
    if (golden->kind != TARN__METADATA_CANONICAL_SAVEPOINT && golden->version == 3) {
        metadata_sample_pack(sample);
    } else if (golden->kind != TARN__METADATA_CANONICAL_SAVEPOINT && golden->version == 4) {
        metadata_sample_inline(sample);
    }
    metadata_sample_become(sample, golden->kind);
}

static void test_the_golden_files_of_all_kinds_are_read_for_ever(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < KIND_GOLDENS_COUNT; i++) {
        make_sample(&KIND_GOLDENS[i], &f->sample);
        const char *path = scratch_join(TARN_TEST_DIRECTORY "/golden", KIND_GOLDENS[i].name);
        expect_golden(f, KIND_GOLDENS[i].version, path);
    }
}

static int write_goldens(const char *directory)
{
    for (size_t i = 0; i < KIND_GOLDENS_COUNT; i++) {
        static metadata_sample sample;
        tarn_buffer bytes = TARN_BUFFER_INIT;
        make_sample(&KIND_GOLDENS[i], &sample);
        if (tarn__metadata_encode(
                &sample.head, sample.subtasks, metadata_sample_count(&sample), &bytes, NULL) !=
            TARN_OK) {
            return 1;
        }
        scratch_write(scratch_join(directory, KIND_GOLDENS[i].name), bytes.data, bytes.size);
        tarn_buffer_clear(&bytes);
    }
    return 0;
}

static void encode(fixture *f)
{
    assert_ok(
        tarn__metadata_encode(
            &f->sample.head, f->sample.subtasks, SAMPLE_SUBTASKS, &f->bytes, &f->error),
        &f->error);
}

static void test_inline_and_compressed_files_come_back(void **state)
{
    fixture *f = *state;
    metadata_sample_inline(&f->sample);
    encode(f);
    tarn__metadata m;
    assert_ok(decode(f, tarn_buffer_bytes(&f->bytes), &m), &f->error);
    const tarn__file_part *files = m.subtasks[0].files;
    assert_true(files[1].is_inline);
    assert_string_equal(files[1].path, "");
    assert_memory_equal(files[1].inlined.data, "MANIFEST-000005\n", 16);
    assert_int_equal(tarn__file_stored_size(&files[1]), 16);
    assert_false(files[2].is_inline);
    assert_int_equal(files[2].codec, TARN__CODEC_ZSTD);
    assert_true(tarn__file_stored_size(&files[2]) == 300);
    assert_true(tarn__file_object_size(&files[2]) == 300);
    assert_true(files[2].content.size == 900);
    const tarn__file_part *both = &m.subtasks[1].files[1];
    assert_true(both->is_inline && both->codec == TARN__CODEC_LZ4);
    assert_true(both->content.size == 16 && both->inlined.size == 64);
    expect_same_bytes(f, &m, tarn_buffer_bytes(&f->bytes));
    tarn__metadata_clear(&m);

    /* What version 3 did not know, it did not have. */
    f->bytes.data[8] = 3;
    metadata_seal(f->bytes.data, f->bytes.size);
    expect_refusal(f, tarn_buffer_bytes(&f->bytes), TARN_CORRUPTION);
    assert_non_null(strstr(f->error.message, "unknown flags 0x8"));
}

static void expect_bad_part(fixture *f, const tarn__file_part *part, const char *why)
{
    const tarn__file_part before = f->sample.files[0][1];
    f->sample.files[0][1] = *part;
    assert_int_equal(tarn__subtask_check(&f->sample.subtasks[0], &f->error), TARN_INVALID_ARGUMENT);
    if (strstr(f->error.message, why) == NULL) {
        fail_msg("not \"%s\": %s", why, f->error.message);
    }
    f->sample.files[0][1] = before;
}

static void test_an_impossible_way_to_store_a_file_is_refused(void **state)
{
    fixture *f = *state;
    metadata_sample_inline(&f->sample);
    const tarn__file_part good = f->sample.files[0][1];
    tarn__file_part part = good;
    part.content.digest.bytes[3] ^= 1;
    expect_bad_part(f, &part, "its digest does not match");
    part = good;
    part.content.size = 15;
    expect_bad_part(f, &part, "impossible size for an inline file");
    part = good;
    part.path = "chk-7/a";
    expect_bad_part(f, &part, "has a place elsewhere");
    part = good;
    part.is_shared = true;
    expect_bad_part(f, &part, "has a place elsewhere");
    part = good;
    part.place.is_packed = true;
    expect_bad_part(f, &part, "has a place elsewhere");
    part = good;
    part.codec = 3;
    expect_bad_part(f, &part, "has a codec that there is not");
    part = good;
    part.codec = TARN__CODEC_ZSTD;
    part.compressed_size = 16;
    expect_bad_part(f, &part, "impossible compressed size");
    part = f->sample.files[0][2];
    part.local_name = "CURRENT";
    part.is_shared = true;
    expect_bad_part(f, &part, "is shared, but compressed");
    assert_ok(tarn__subtask_check(&f->sample.subtasks[0], &f->error), &f->error);
}

static void test_a_packed_file_has_its_place(void **state)
{
    fixture *f = *state;
    metadata_sample_pack(&f->sample);
    assert_ok(
        tarn__metadata_encode(
            &f->sample.head, f->sample.subtasks, SAMPLE_SUBTASKS, &f->bytes, &f->error),
        &f->error);
    tarn__metadata m;
    assert_ok(decode(f, tarn_buffer_bytes(&f->bytes), &m), &f->error);
    const tarn__file_part *file = &m.subtasks[0].files[2];
    assert_true(file->place.is_packed);
    assert_true(file->place.offset == 16);
    assert_true(file->place.segment.size == 916);
    assert_true(file->content.size == 900);
    assert_true(tarn__file_object(file) == &file->place.segment);
    assert_false(m.subtasks[0].files[0].place.is_packed);
    assert_true(tarn__file_object(&m.subtasks[0].files[0]) == &m.subtasks[0].files[0].content);
    assert_true(m.subtasks[1].files[0].place.offset == 777);
    tarn__metadata_clear(&m);

    /* What version 2 did not know, it did not have. */
    f->bytes.data[8] = 2;
    metadata_seal(f->bytes.data, f->bytes.size);
    expect_refusal(f, tarn_buffer_bytes(&f->bytes), TARN_CORRUPTION);
    assert_non_null(strstr(f->error.message, "unknown flags 0x2"));
}

static void test_a_packed_file_must_be_inside_of_its_segment(void **state)
{
    fixture *f = *state;
    const struct {
        uint64_t offset;
        uint64_t size;
        tarn_status status;
    } cases[] = {
        {16, 916, TARN_OK},
        {17, 916, TARN_INVALID_ARGUMENT},
        {16, 915, TARN_INVALID_ARGUMENT},
        {917, 916, TARN_INVALID_ARGUMENT},
        {UINT64_MAX, 916, TARN_INVALID_ARGUMENT},
        {16, UINT64_MAX, TARN_INVALID_ARGUMENT},
    };
    metadata_sample_pack(&f->sample);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tarn__place *place = &f->sample.files[0][2].place;
        place->offset = cases[i].offset;
        place->segment.size = cases[i].size;
        assert_int_equal(tarn__subtask_check(&f->sample.subtasks[0], &f->error), cases[i].status);
    }
    assert_non_null(strstr(f->error.message, "MANIFEST-000005"));
}

/* A savepoint is no checkpoint and the other way round; version 1 had none. */
static void test_savepoints_are_of_their_own_kind(void **state)
{
    fixture *f = *state;
    const tarn__metadata_kind kinds[] = {
        TARN__METADATA_SAVEPOINT, TARN__METADATA_CANONICAL_SAVEPOINT};
    tarn__metadata m;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        f->sample.head.kind = kinds[i];
        assert_ok(
            tarn__metadata_encode(
                &f->sample.head, f->sample.subtasks, SAMPLE_SUBTASKS, &f->bytes, &f->error),
            &f->error);
        expect_refusal(f, tarn_buffer_bytes(&f->bytes), TARN_CORRUPTION);
        assert_ok(
            tarn__metadata_decode(
                tarn_buffer_bytes(&f->bytes), TARN__METADATA_SAVEPOINT, &f->account, &m, &f->error),
            &f->error);
        assert_int_equal(m.head.kind, kinds[i]);
        expect_same_bytes(f, &m, tarn_buffer_bytes(&f->bytes));
        tarn__metadata_clear(&m);
        f->bytes.data[8] = 1;
        metadata_seal(f->bytes.data, f->bytes.size);
        assert_int_equal(
            tarn__metadata_decode(
                tarn_buffer_bytes(&f->bytes), TARN__METADATA_SAVEPOINT, &f->account, &m, &f->error),
            TARN_CORRUPTION);
    }
}

static void test_every_flipped_byte_is_found_with_its_place(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < f->bytes.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            f->bytes.data[i] ^= (uint8_t)(1u << bit);
            expect_refusal(f, tarn_buffer_bytes(&f->bytes), TARN_CORRUPTION);
            f->bytes.data[i] ^= (uint8_t)(1u << bit);

            /* "byte N" names it, "bytes A to B" surrounds it. */
            size_t first = 0;
            size_t last = 0;
            const char *message = f->error.message;
            if (sscanf(message, "bytes %zu to %zu", &first, &last) != 2) {
                assert_int_equal(sscanf(message, "byte %zu", &first), 1);
                last = first;
            }
            if (i < first || i > last) {
                fail_msg("byte %zu was flipped: %s", i, message);
            }
        }
    }
}

static void test_every_truncation_is_found(void **state)
{
    fixture *f = *state;
    for (size_t size = 0; size < f->bytes.size; size++) {
        /* A copy of exactly that size, so that a sanitizer sees a read beyond it. */
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, f->bytes.data, size);
        copy = realloc(copy, size > 0 ? size : 1);
        expect_refusal(f, tarn_bytes_at(copy, size), TARN_CORRUPTION);
        char place[32];
        snprintf(place, sizeof place, "byte %zu", size);
        assert_non_null(strstr(f->error.message, place));
        free(copy);
    }
}

static void test_appended_bytes_are_found(void **state)
{
    fixture *f = *state;
    const size_t size = f->bytes.size;
    assert_int_equal(tarn_buffer_append(&f->bytes, tarn_bytes_of("x")), TARN_OK);
    expect_refusal(f, tarn_buffer_bytes(&f->bytes), TARN_CORRUPTION);
    char place[32];
    snprintf(place, sizeof place, "byte %zu: 1 bytes follow", size);
    assert_non_null(strstr(f->error.message, place));
}

static void test_a_newer_version_is_refused_with_both_versions(void **state)
{
    fixture *f = *state;
    f->bytes.data[8] = 9;
    metadata_seal(f->bytes.data, f->bytes.size);
    expect_refusal(f, tarn_buffer_bytes(&f->bytes), TARN_NOT_SUPPORTED);
    assert_non_null(strstr(f->error.message, "version 9"));
    assert_non_null(strstr(f->error.message, "version 4"));
}

static void test_an_acknowledgement_is_no_checkpoint(void **state)
{
    fixture *f = *state;
    f->sample.head.kind = TARN__METADATA_ACKNOWLEDGEMENT;
    assert_ok(
        tarn__metadata_encode(&f->sample.head, &f->sample.subtasks[1], 1, &f->bytes, &f->error),
        &f->error);
    expect_refusal(f, tarn_buffer_bytes(&f->bytes), TARN_CORRUPTION);
    tarn__metadata m;
    assert_ok(
        tarn__metadata_decode(
            tarn_buffer_bytes(&f->bytes),
            TARN__METADATA_ACKNOWLEDGEMENT,
            &f->account,
            &m,
            &f->error),
        &f->error);
    assert_int_equal(m.subtasks[0].subtask_index, 1);
    tarn__metadata_clear(&m);
}

/* Encodes the sample with one thing wrong and answers the message. */
static void expect_unencodable(fixture *f, const char *words)
{
    tarn_buffer out = TARN_BUFFER_INIT;
    assert_int_equal(tarn_buffer_assign(&out, tarn_bytes_of("kept")), TARN_OK);
    const tarn_status status = tarn__metadata_encode(
        &f->sample.head, f->sample.subtasks, SAMPLE_SUBTASKS, &out, &f->error);
    assert_true(status == TARN_INVALID_ARGUMENT || status == TARN_INCOMPATIBLE);
    if (strstr(f->error.message, words) == NULL) {
        fail_msg("\"%s\" is not in: %s", words, f->error.message);
    }
    assert_true(tarn_bytes_is_equal(tarn_buffer_bytes(&out), tarn_bytes_of("kept")));
    tarn_buffer_clear(&out);
    metadata_sample_init(&f->sample);
}

static void test_what_would_not_be_read_is_not_written(void **state)
{
    fixture *f = *state;
    metadata_sample *s = &f->sample;
    char long_name[300];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';

    s->subtasks[0].operator_name = "";
    expect_unencodable(f, "operator has 0 bytes");
    s->subtasks[2].operator_name = long_name;
    expect_unencodable(f, "operator has 299 bytes");
    s->subtasks[1].subtask_index = 2;
    expect_unencodable(f, "subtask 2 of 2");
    s->subtasks[1].subtask_index = 0;
    expect_unencodable(f, "there twice");
    s->subtasks[1].parallelism = 3;
    expect_unencodable(f, "parallelism");
    s->subtasks[1].max_parallelism = 256;
    expect_unencodable(f, "maximum parallelism");
    s->subtasks[1].key_hash = 2;
    expect_unencodable(f, "subtask 1 has Java's int hash");
    s->subtasks[0].key_groups.last = 128;
    expect_unencodable(f, "key groups");
    s->subtasks[0].key_groups.first = 64;
    expect_unencodable(f, "key groups");
    s->subtasks[0].has_keyed_state = false;
    expect_unencodable(f, "no keyed state");
    s->states[0][1].name = "count";
    expect_unencodable(f, "twice");
    s->states[0][1].name = "a";
    expect_unencodable(f, "order");
    s->states[0][0].kind = "";
    expect_unencodable(f, "kind");
    s->files[0][0].local_name = "a/b";
    expect_unencodable(f, "a/b");
    s->files[0][0].local_name = "..";
    expect_unencodable(f, "..");
    s->files[0][1].local_name = "000012.sst";
    expect_unencodable(f, "twice");
    s->files[0][0].path = "../shared/x";
    expect_unencodable(f, "../shared/x");
    s->files[0][0].path = "/etc/passwd";
    expect_unencodable(f, "/etc/passwd");
    s->files[0][0].content.size = UINT64_MAX;
    expect_unencodable(f, "size");
    s->pieces[1].name = "empty";
    expect_unencodable(f, "twice");
    s->pieces[1].bytes.size = TARN__METADATA_PIECE_BYTES_MAX + 1;
    expect_unencodable(f, "16777217 bytes");
    s->head.job = long_name;
    expect_unencodable(f, "job");
    const tarn__subtask first = s->subtasks[0];
    s->subtasks[0] = s->subtasks[2];
    s->subtasks[2] = first;
    expect_unencodable(f, "order");
}

/* Behind right checks, too, nothing is believed: paths, counts and lengths are validated. */
static void test_damage_with_right_checks_is_refused_or_read_as_written(void **state)
{
    fixture *f = *state;
    const size_t size = f->bytes.size;
    uint8_t *copy = malloc(size);
    uint32_t refused = 0;
    for (size_t i = 0; i < size; i++) {
        for (int value = 0; value < 256; value += i % 16 == 0 ? 1 : 17) {
            memcpy(copy, f->bytes.data, size);
            copy[i] = (uint8_t)value;
            metadata_seal(copy, size);
            tarn__metadata m;
            const tarn_status status = decode(f, tarn_bytes_at(copy, size), &m);
            if (status == TARN_OK) {
                expect_same_bytes(f, &m, tarn_bytes_at(copy, size));
                tarn__metadata_clear(&m);
            } else {
                assert_true(status == TARN_CORRUPTION || status == TARN_NOT_SUPPORTED);
                refused++;
            }
            assert_int_equal(atomic_load(&f->account.bytes), 0);
        }
    }
    assert_true(refused > 1000);
    free(copy);
}

/* Replaces text in the encoded sample by text of the same length, with right checks. */
static void expect_text_refused(fixture *f, const char *from, const char *to)
{
    assert_int_equal(strlen(from), strlen(to));
    uint8_t *found = memmem(f->bytes.data, f->bytes.size, from, strlen(from));
    assert_non_null(found);
    memcpy(found, to, strlen(to));
    metadata_seal(f->bytes.data, f->bytes.size);
    expect_refusal(f, tarn_buffer_bytes(&f->bytes), TARN_CORRUPTION);
    assert_non_null(strstr(f->error.message, to));
    memcpy(found, from, strlen(from));
    metadata_seal(f->bytes.data, f->bytes.size);
}

static void test_paths_that_leave_the_directory_are_refused(void **state)
{
    fixture *f = *state;
    expect_text_refused(f, "chk-7/a-0/CURRENT", "../../etc/CURRENT");
    expect_text_refused(f, "chk-7/a-0/CURRENT", "/hk-7/a-0/CURRENT");
    expect_text_refused(f, "chk-7/a-0/CURRENT", "chk-7/a-0//URRENT");
    expect_text_refused(f, "MANIFEST-000005", "MANIFEST/../../");
}

static tarn_bytes extra_field(uint8_t bytes[12], uint32_t tag, uint32_t size)
{
    for (int i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(tag >> (8 * i));
        bytes[4 + i] = (uint8_t)(size >> (8 * i));
        bytes[8 + i] = (uint8_t)i;
    }
    return tarn_bytes_at(bytes, 12);
}

static void test_optional_fields_are_kept_and_others_refused(void **state)
{
    fixture *f = *state;
    uint8_t bytes[12];
    tarn_bytes *const places[] = {
        &f->sample.head.extra,
        &f->sample.subtasks[1].extra,
        &f->sample.states[1][0].extra,
        &f->sample.files[0][2].extra,
        &f->sample.pieces[0].extra,
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        *places[i] = extra_field(bytes, TARN__METADATA_OPTIONAL | 5, 4);
        assert_ok(
            tarn__metadata_encode(
                &f->sample.head, f->sample.subtasks, SAMPLE_SUBTASKS, &f->bytes, &f->error),
            &f->error);
        tarn__metadata m;
        assert_ok(decode(f, tarn_buffer_bytes(&f->bytes), &m), &f->error);
        expect_same_bytes(f, &m, tarn_buffer_bytes(&f->bytes));
        tarn__metadata_clear(&m);

        *places[i] = extra_field(bytes, 5, 4);
        assert_ok(
            tarn__metadata_encode(
                &f->sample.head, f->sample.subtasks, SAMPLE_SUBTASKS, &f->bytes, &f->error),
            &f->error);
        expect_refusal(f, tarn_buffer_bytes(&f->bytes), TARN_NOT_SUPPORTED);
        assert_non_null(strstr(f->error.message, "field 5"));

        *places[i] = extra_field(bytes, TARN__METADATA_OPTIONAL | 5, 5);
        assert_ok(
            tarn__metadata_encode(
                &f->sample.head, f->sample.subtasks, SAMPLE_SUBTASKS, &f->bytes, &f->error),
            &f->error);
        expect_refusal(f, tarn_buffer_bytes(&f->bytes), TARN_CORRUPTION);
        *places[i] = (tarn_bytes){NULL, 0};
    }
}

/* A small file must not make a reader allocate gigabytes. */
static void test_decoding_allocates_in_proportion(void **state)
{
    fixture *f = *state;
    enum { FILES = 3000 };
    tarn__file_part *files = calloc(FILES, sizeof *files);
    char(*names)[8] = calloc(FILES, sizeof *names);
    for (uint32_t i = 0; i < FILES; i++) {
        snprintf(names[i], sizeof names[i], "%05u", i);
        files[i] = (tarn__file_part){.local_name = names[i], .path = "p"};
    }
    f->sample.subtasks[1].files = files;
    f->sample.subtasks[1].file_count = FILES;
    assert_ok(
        tarn__metadata_encode(
            &f->sample.head, f->sample.subtasks, SAMPLE_SUBTASKS, &f->bytes, &f->error),
        &f->error);
    const size_t limit =
        TARN__METADATA_MEMORY_RATIO * f->bytes.size + TARN__METADATA_MEMORY_BASE_BYTES;
    tarn__metadata m;
    assert_ok(decode(f, tarn_buffer_bytes(&f->bytes), &m), &f->error);
    tarn__metadata_clear(&m);
    assert_in_range(atomic_load(&f->account.bytes_peak), f->bytes.size, limit);

    /* Every count of four bytes set to the largest number, in turn. */
    for (size_t i = 32; i + 4 < 700; i++) {
        uint8_t saved[4];
        memcpy(saved, f->bytes.data + i, 4);
        memset(f->bytes.data + i, 0xff, 4);
        metadata_seal(f->bytes.data, f->bytes.size);
        if (decode(f, tarn_buffer_bytes(&f->bytes), &m) == TARN_OK) {
            tarn__metadata_clear(&m);
        }
        memcpy(f->bytes.data + i, saved, 4);
    }
    assert_in_range(atomic_load(&f->account.bytes_peak), f->bytes.size, limit);
    free(files);
    free(names);
}

static void test_every_allocation_may_fail(void **state)
{
    fixture *f = *state;
    for (uint64_t nth = 0;; nth++) {
        fault_allocator fault;
        fault_allocator_init(&fault, nth);
        tarn__account account;
        tarn__account_init(&account, "test", &fault.base);
        tarn_buffer bytes = {.allocator = &account.face};
        tarn_status status = tarn__metadata_encode(
            &f->sample.head, f->sample.subtasks, SAMPLE_SUBTASKS, &bytes, &f->error);
        if (status == TARN_OK) {
            tarn__metadata m;
            status = tarn__metadata_decode(
                tarn_buffer_bytes(&bytes), TARN__METADATA_CHECKPOINT, &account, &m, &f->error);
            if (status == TARN_OK) {
                tarn__metadata_clear(&m);
            }
        }
        tarn_buffer_clear(&bytes);
        assert_int_equal(atomic_load(&fault.live_count), 0);
        assert_int_equal(status, atomic_load(&fault.fired) ? TARN_NO_MEMORY : TARN_OK);
        if (!atomic_load(&fault.fired)) {
            break;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--write-golden-kinds") == 0) {
        return write_goldens(argv[2]);
    }
    if (argc == 3 && strcmp(argv[1], "--write-golden") == 0) {
        metadata_sample sample;
        metadata_sample_init(&sample);
        metadata_sample_inline(&sample);
        tarn_buffer bytes = TARN_BUFFER_INIT;
        if (tarn__metadata_encode(&sample.head, sample.subtasks, SAMPLE_SUBTASKS, &bytes, NULL) !=
            TARN_OK) {
            return 1;
        }
        scratch_write(argv[2], bytes.data, bytes.size);
        tarn_buffer_clear(&bytes);
        return 0;
    }
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_everything_comes_back),
        TEST(test_an_empty_checkpoint_comes_back),
        TEST(test_the_golden_file_of_version_1_is_read_for_ever),
        TEST(test_the_golden_file_of_version_2_is_read_for_ever),
        TEST(test_the_golden_file_of_version_3_is_read_for_ever),
        TEST(test_the_golden_file_of_version_4_is_read_for_ever),
        TEST(test_the_golden_files_of_all_kinds_are_read_for_ever),
        TEST(test_inline_and_compressed_files_come_back),
        TEST(test_an_impossible_way_to_store_a_file_is_refused),
        TEST(test_a_packed_file_has_its_place),
        TEST(test_a_packed_file_must_be_inside_of_its_segment),
        TEST(test_savepoints_are_of_their_own_kind),
        TEST(test_every_flipped_byte_is_found_with_its_place),
        TEST(test_every_truncation_is_found),
        TEST(test_appended_bytes_are_found),
        TEST(test_a_newer_version_is_refused_with_both_versions),
        TEST(test_an_acknowledgement_is_no_checkpoint),
        TEST(test_what_would_not_be_read_is_not_written),
        TEST(test_damage_with_right_checks_is_refused_or_read_as_written),
        TEST(test_paths_that_leave_the_directory_are_refused),
        TEST(test_optional_fields_are_kept_and_others_refused),
        TEST(test_decoding_allocates_in_proportion),
        TEST(test_every_allocation_may_fail),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
