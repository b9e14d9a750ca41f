/*
 * Unit tests of small files that lie together in segments: how many objects and requests they make,
 * who keeps a segment, and what a damaged one does.
 */
#include "snapshot/checkpoint.h"
#include "snapshot/pool.h"
#include "snapshot/store_private.h"
#include "storage/shims.h"
#include "support/snapshot_rig.h"
#include "tarn/cleanup.h"
#include "tarn/fallback.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL = 20 << 10 };

static int set_up_with(void **state, uint32_t retained_count, uint32_t worker_count)
{
    snapshot_rig *rig = malloc(sizeof *rig);
    assert_non_null(rig);
    rig_init(rig, retained_count, worker_count);
    rig->packing =
        (tarn__packing){.small_bytes = 256 << 10, .segment_bytes = 4 << 20, .waste_max = 2.0};
    assert_ok(rig_open_store(rig), &rig->error);
    *state = rig;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, 2, 0);
}

static int set_up_workers(void **state)
{
    return set_up_with(state, 2, 3);
}

static int tear_down(void **state)
{
    rig_clear(*state);
    free(*state);
    return 0;
}

static void write_tables(snapshot_rig *rig, uint32_t first, uint32_t count, size_t size)
{
    for (uint32_t i = first; i < first + count; i++) {
        char name[32];
        snprintf(name, sizeof name, "%06u.sst", i);
        rig_write(rig, "a", name, size, i);
    }
}

static void remove_table(snapshot_rig *rig, uint32_t number)
{
    char name[32];
    snprintf(name, sizeof name, "%06u.sst", number);
    scratch_remove(rig_local(rig, "a", name));
}

static void write_private(snapshot_rig *rig)
{
    rig_write(rig, "a", "CURRENT", 16, 1);
    rig_write(rig, "a", "MANIFEST-000005", 5000, 2);
    rig_write(rig, "a", "OPTIONS-000007", 6000, 3);
}

static void checkpoint(
    snapshot_rig *rig, uint64_t id, const tarn__base *base, tarn__base **base_out)
{
    assert_ok(rig_checkpoint(rig, id, base, base_out), &rig->error);
}

static uint32_t shared_count(const snapshot_rig *rig)
{
    return scratch_count(rig_job(rig, ""), "shared/");
}

static tarn_checkpoint *open_checkpoint(snapshot_rig *rig, uint64_t id)
{
    char name[32];
    snprintf(name, sizeof name, "chk-%llu", (unsigned long long)id);
    tarn_checkpoint *opened = NULL;
    assert_ok(tarn_checkpoint_open(rig_job(rig, name), NULL, &opened, &rig->error), &rig->error);
    return opened;
}

/* Puts a counting shim between a checkpoint and its storage; it goes with the checkpoint. */
static void count_storage(snapshot_rig *rig, tarn_checkpoint *opened)
{
    tarn_storage *counted = NULL;
    assert_ok(
        tarn__count_storage_new(
            opened->storage, NULL, NULL, &opened->account, &counted, &rig->error),
        &rig->error);
    opened->storage = counted;
}

static tarn_storage_figures download(
    snapshot_rig *rig,
    uint64_t id,
    bool (*is_wanted)(const tarn__file_part *file, void *context),
    tarn__pool *pool)
{
    tarn_checkpoint *opened = open_checkpoint(rig, id);
    count_storage(rig, opened);
    scratch_remove(rig_local(rig, "got", ""));
    scratch_make_directory(rig_local(rig, "got", ""));
    const tarn__download_options options = {
        .checkpoint = opened,
        .directory = rig_local(rig, "got", ""),
        .account = &rig->account,
        .buffers = &rig->buffers,
        .workers = rig->workers,
        .pool = pool,
        .is_wanted = is_wanted,
    };
    assert_ok(tarn__download_run(&options, NULL, &rig->error), &rig->error);
    const tarn_storage_figures counts = tarn__count_storage_figures(opened->storage);
    tarn_checkpoint_free(opened);
    return counts;
}

static void test_a_thousand_small_files_are_a_few_objects_and_requests(void **state)
{
    snapshot_rig *rig = *state;
    write_tables(rig, 1, 1000, SMALL);
    write_private(rig);
    checkpoint(rig, 1, NULL, NULL);
    assert_int_equal(shared_count(rig), 5);
    assert_int_equal(scratch_count(rig_job(rig, ""), "chk-1"), 2); /* A segment and _metadata. */

    const tarn_storage_figures counts = download(rig, 1, NULL, NULL);
    rig_expect_same(rig_local(rig, "a", ""), rig_local(rig, "got", ""));
    assert_true(counts.bytes_read == (uint64_t)1000 * SMALL + 16 + 5000 + 6000);
    /* A file each made two: the bytes, and their end. */
    assert_true(counts.operations[TARN_STORAGE_READ].call_count * 10 <= 1003);
    assert_int_equal(rig_expect_whole(rig_job(rig, "")), 1);
}

/* As on S3, where an object has its name before its bytes: files are read twice, and sent once. */
static void test_names_may_have_to_come_first(void **state)
{
    snapshot_rig *rig = *state;
    rig->store->storage->features &= ~(uint32_t)TARN_STORAGE_LATE_NAMES;
    tarn_storage *counted = NULL;
    assert_ok(
        tarn__count_storage_new(
            rig->store->storage, NULL, NULL, &rig->account, &counted, &rig->error),
        &rig->error);
    rig->store->storage = counted;
    write_tables(rig, 1, 1000, SMALL);
    write_private(rig);
    checkpoint(rig, 1, NULL, NULL);
    const tarn_storage_figures counts = tarn__count_storage_figures(counted);
    assert_int_equal(
        counts.operations[TARN_STORAGE_BEGIN].call_count, 7); /* 5 shared, 1 private, _metadata. */
    assert_int_equal(counts.operations[TARN_STORAGE_FINISH].call_count, 7);
    assert_int_equal(counts.operations[TARN_STORAGE_STAT].call_count, 0);
    assert_int_equal(shared_count(rig), 5);

    /* What is stored is not sent a second time, also when nobody knows the files. */
    checkpoint(rig, 2, NULL, NULL);
    const tarn_storage_figures again = tarn__count_storage_figures(counted);
    assert_int_equal(again.operations[TARN_STORAGE_BEGIN].call_count, 9);
    rig_expect_restored(rig, 2, "a");
}

/*
 * Files are named by their digest before they are sent: when other bytes come as they are read
 * again (somebody wrote to one, or the disk lies), nothing stays under the name.
 */
static void expect_no_false_name(snapshot_rig *rig, uint32_t count, size_t size)
{
    rig->store->storage->features &= ~(uint32_t)TARN_STORAGE_LATE_NAMES;
    write_tables(rig, 1, count, size);
    rig->files.flips_from = atomic_load(&rig->files.read_bytes) + count * size;
    assert_int_equal(rig_checkpoint(rig, 1, NULL, NULL), TARN_CORRUPTION);
    assert_non_null(strstr(rig->error.message, "changed while"));
    rig->files.flips_from = 0;
    assert_int_equal(shared_count(rig), 0);
    assert_int_equal(scratch_count(rig_job(rig, ""), "_metadata"), 0);
    checkpoint(rig, 2, NULL, NULL);
    rig_expect_restored(rig, 2, "a");
}

static void test_a_small_file_that_changes_as_it_is_sent_is_not_stored(void **state)
{
    expect_no_false_name(*state, 2, SMALL);
}

static void test_a_large_file_that_changes_as_it_is_sent_is_not_stored(void **state)
{
    snapshot_rig *rig = *state;
    rig->packing.small_bytes = 0;
    expect_no_false_name(rig, 1, 5 * SMALL);
}

static void test_files_that_do_not_change_are_named_again(void **state)
{
    snapshot_rig *rig = *state;
    tarn__base *first = NULL;
    tarn__base *second = NULL;
    write_tables(rig, 1, 6, SMALL);
    write_private(rig);
    checkpoint(rig, 1, NULL, &first);
    assert_int_equal(shared_count(rig), 1);
    write_tables(rig, 7, 2, SMALL);
    checkpoint(rig, 2, first, &second);
    assert_int_equal(shared_count(rig), 2);
    checkpoint(rig, 3, second, NULL);
    checkpoint(rig, 4, second, NULL);
    assert_int_equal(shared_count(rig), 2);
    rig_expect_restored(rig, 4, "a");
    tarn__base_free(first);
    tarn__base_free(second);
}

static void test_a_segment_stays_while_any_of_its_files_is_named(void **state)
{
    snapshot_rig *rig = *state;
    rig->packing.waste_max = 0;
    tarn__base *bases[5] = {NULL};
    write_tables(rig, 1, 6, SMALL);
    checkpoint(rig, 1, NULL, &bases[0]);
    for (uint32_t i = 1; i < 5; i++) {
        remove_table(rig, i);
        checkpoint(rig, 1 + i, bases[i - 1], &bases[i]);
        assert_int_equal(shared_count(rig), 1);
    }
    rig_expect_restored(rig, 5, "a");
    remove_table(rig, 5);
    remove_table(rig, 6);
    checkpoint(rig, 6, bases[4], NULL);
    assert_int_equal(shared_count(rig), 1); /* Checkpoint 5 is retained. */
    checkpoint(rig, 7, NULL, NULL);
    assert_int_equal(shared_count(rig), 0);
    for (uint32_t i = 0; i < 5; i++) {
        tarn__base_free(bases[i]);
    }
}

static void test_what_is_left_of_a_segment_is_sent_anew(void **state)
{
    snapshot_rig *rig = *state;
    tarn__base *bases[3] = {NULL};
    write_tables(rig, 1, 10, SMALL);
    checkpoint(rig, 1, NULL, &bases[0]);
    for (uint32_t i = 1; i <= 5; i++) {
        remove_table(rig, i);
    }
    checkpoint(rig, 2, bases[0], &bases[1]); /* Half is in use: twice the bytes, as allowed. */
    assert_int_equal(shared_count(rig), 1);
    remove_table(rig, 6);
    checkpoint(rig, 3, bases[1], &bases[2]);
    assert_int_equal(shared_count(rig), 2);
    checkpoint(rig, 4, bases[2], NULL);
    assert_int_equal(shared_count(rig), 1);
    rig_expect_restored(rig, 4, "a");
    for (uint32_t i = 0; i < 3; i++) {
        tarn__base_free(bases[i]);
    }
}

static void test_the_last_file_of_a_segment_is_sent_anew_too(void **state)
{
    snapshot_rig *rig = *state;
    tarn__base *bases[2] = {NULL};
    write_tables(rig, 1, 10, SMALL);
    checkpoint(rig, 1, NULL, &bases[0]);
    for (uint32_t i = 1; i <= 9; i++) {
        remove_table(rig, i);
    }
    checkpoint(rig, 2, bases[0], &bases[1]);
    assert_int_equal(shared_count(rig), 2);
    checkpoint(rig, 3, bases[1], NULL);
    assert_int_equal(shared_count(rig), 1);
    rig_expect_restored(rig, 3, "a");
    tarn__base_free(bases[0]);
    tarn__base_free(bases[1]);
}

static void test_empty_and_large_files_come_back(void **state)
{
    snapshot_rig *rig = *state;
    rig->packing.segment_bytes = 100000;
    write_tables(rig, 1, 3, 0);
    write_tables(rig, 4, 3, 33333);
    write_tables(rig, 7, 2, 100000);
    write_tables(rig, 9, 1, 100001);
    write_tables(rig, 10, 1, 700000);
    write_tables(rig, 11, 2, 0);
    write_private(rig);
    checkpoint(rig, 1, NULL, NULL);
    rig_expect_restored(rig, 1, "a");
    assert_int_equal(rig_expect_whole(rig_job(rig, "")), 1);
}

static bool is_even(const tarn__file_part *file, void *context)
{
    (void)context;
    return file->is_shared && (file->local_name[5] - '0') % 2 == 0;
}

static bool is_low(const tarn__file_part *file, void *context)
{
    (void)context;
    return file->is_shared && file->local_name[5] < '5';
}

static void test_only_what_is_wanted_is_read(void **state)
{
    snapshot_rig *rig = *state;
    write_tables(rig, 0, 10, SMALL);
    checkpoint(rig, 1, NULL, NULL);
    const tarn_storage_figures even = download(rig, 1, is_even, NULL);
    assert_true(even.bytes_read == (uint64_t)5 * SMALL);
    assert_int_equal(even.operations[TARN_STORAGE_READ].call_count, 5);
    assert_int_equal(scratch_count(rig_local(rig, "got", ""), ""), 5);
    const tarn_storage_figures low = download(rig, 1, is_low, NULL);
    assert_true(low.bytes_read == (uint64_t)5 * SMALL);
    assert_int_equal(low.operations[TARN_STORAGE_READ].call_count, 1);
}

static void test_a_second_copy_has_files_not_segments(void **state)
{
    snapshot_rig *rig = *state;
    tarn__base *base = NULL;
    write_tables(rig, 0, 10, SMALL);
    checkpoint(rig, 1, NULL, &base);
    tarn__pool pool;
    assert_ok(
        tarn__pool_open(&pool, NULL, scratch_join(rig->root.path, "pool"), &rig->error),
        &rig->error);
    remove_table(rig, 3);
    assert_int_equal(
        tarn__pool_add(&pool, rig_local(rig, "a", ""), base, &rig->error), TARN_IO_ERROR);
    const uint64_t kept = scratch_count(pool.path, "");
    assert_int_equal(kept, 3); /* Those before the one that is gone. */
    const tarn_storage_figures counts = download(rig, 1, NULL, &pool);
    assert_int_equal(atomic_load(&pool.taken_count), kept);
    assert_true(counts.bytes_read == (10 - kept) * SMALL);
    write_tables(rig, 3, 1, SMALL);
    rig_expect_same(rig_local(rig, "a", ""), rig_local(rig, "got", ""));
    tarn__base_free(base);
}

typedef struct finding {
    uint32_t bad_count;
    char name[64];
} finding;

static bool take_finding(const tarn_checkpoint_file *file, const char *problem, void *context)
{
    finding *found = context;
    if (problem != NULL) {
        found->bad_count++;
        snprintf(found->name, sizeof found->name, "%s", file->local_name);
    }
    return true;
}

/* The object that packs file 0. */
static const char *segment_of(snapshot_rig *rig, tarn_checkpoint *opened)
{
    const tarn_checkpoint_file file = tarn_checkpoint_file_at(opened, 0, 0);
    assert_true(file.is_packed);
    return rig_job(rig, file.path);
}

static void test_damage_is_found_in_the_file_that_has_it(void **state)
{
    snapshot_rig *rig = *state;
    write_tables(rig, 0, 10, SMALL);
    checkpoint(rig, 1, NULL, NULL);
    tarn_checkpoint *opened = open_checkpoint(rig, 1);
    const tarn_checkpoint_file file = tarn_checkpoint_file_at(opened, 0, 4);
    assert_int_equal(file.offset, 4 * SMALL);
    size_t size = 0;
    uint8_t *bytes = scratch_read(segment_of(rig, opened), &size);
    bytes[file.offset + 100] ^= 1;
    scratch_write(segment_of(rig, opened), bytes, size);
    finding found = {.bad_count = 0};
    tarn_checkpoint_verification result;
    assert_ok(
        tarn__checkpoint_verify(opened, false, take_finding, &found, &result, &rig->error),
        &rig->error);
    assert_int_equal(found.bad_count, 1);
    assert_string_equal(found.name, "000004.sst");
    assert_int_equal(result.file_count, 10);
    assert_int_equal(rig_download(rig, rig_job(rig, "chk-1"), 0, "got", NULL), TARN_CORRUPTION);
    assert_non_null(strstr(rig->error.message, file.path));
    assert_int_equal(scratch_count(rig_local(rig, "got", ""), ""), 0);

    scratch_write(segment_of(rig, opened), bytes, size - 1);
    assert_int_equal(rig_download(rig, rig_job(rig, "chk-1"), 0, "got", NULL), TARN_CORRUPTION);
    const tarn_fallback_options look = TARN_FALLBACK_OPTIONS_INIT;
    tarn_checkpoint *whole = NULL;
    assert_int_equal(
        tarn_checkpoint_open_whole(rig_job(rig, ""), &look, &whole, &rig->error), TARN_MISSING);
    free(bytes);
    tarn_checkpoint_free(opened);
}

static void test_garbage_is_what_no_file_is_in(void **state)
{
    snapshot_rig *rig = *state;
    write_tables(rig, 0, 10, SMALL);
    write_private(rig);
    checkpoint(rig, 1, NULL, NULL);
    tarn_checkpoint *opened = open_checkpoint(rig, 1);
    const char *copy = rig_job(rig, "shared/ab/abababababababababababababababab-204800");
    scratch_make_directory(rig_job(rig, "shared/ab"));
    scratch_copy(segment_of(rig, opened), copy);
    tarn_checkpoint_free(opened);
    rig_close_store(rig);
    tarn_garbage_options options = TARN_GARBAGE_OPTIONS_INIT;
    char address[4096];
    snprintf(address, sizeof address, "%s", rig_job(rig, ""));
    options.address = address;
    options.grace_ms = TARN_GRACE_NONE;
    tarn_garbage_stats stats;
    assert_ok(tarn_garbage_collect(&options, &stats, &rig->error), &rig->error);
    assert_int_equal(stats.removed_count, 1);
    assert_int_equal(stats.removed_bytes, 10 * SMALL);
    assert_ok(rig_open_store(rig), &rig->error);
    rig_expect_restored(rig, 1, "a");
}

static void test_a_store_that_is_opened_again_counts_segments(void **state)
{
    snapshot_rig *rig = *state;
    write_tables(rig, 0, 10, SMALL);
    tarn__base *base = NULL;
    checkpoint(rig, 1, NULL, NULL);
    rig_close_store(rig);
    assert_ok(rig_open_store(rig), &rig->error);
    assert_int_equal(rig->store->registry.count, 1);
    assert_ok(rig_download(rig, rig_job(rig, "chk-1"), 0, "a", &base), &rig->error);
    checkpoint(rig, 2, base, NULL);
    assert_int_equal(shared_count(rig), 1);
    for (uint32_t i = 0; i < 10; i++) {
        remove_table(rig, i);
    }
    checkpoint(rig, 3, NULL, NULL);
    assert_int_equal(shared_count(rig), 1);
    checkpoint(rig, 4, NULL, NULL);
    assert_int_equal(shared_count(rig), 0);
    tarn__base_free(base);
}

/* ---- in the metadata, and compressed ---------------------------------------------------- */

static const tarn__file_part *find_file(const tarn_checkpoint *opened, const char *name)
{
    const tarn__subtask *subtask = &opened->metadata.subtasks[0];
    for (uint32_t i = 0; i < subtask->file_count; i++) {
        if (strcmp(subtask->files[i].local_name, name) == 0) {
            return &subtask->files[i];
        }
    }
    fail_msg("%s is not there", name);
    return NULL;
}

static void test_small_private_files_lie_in_the_metadata(void **state)
{
    snapshot_rig *rig = *state;
    rig->packing.inline_bytes = 5000;
    write_tables(rig, 1, 2, 100);
    write_private(rig);
    checkpoint(rig, 1, NULL, NULL);
    tarn_checkpoint *opened = open_checkpoint(rig, 1);
    assert_true(find_file(opened, "CURRENT")->is_inline);
    assert_true(find_file(opened, "MANIFEST-000005")->is_inline); /* Not larger than the limit. */
    assert_false(find_file(opened, "OPTIONS-000007")->is_inline);
    assert_false(find_file(opened, "000001.sst")->is_inline); /* It would be sent every time. */
    assert_int_equal(scratch_count(rig_job(rig, ""), "chk-1"), 2); /* OPTIONS and _metadata. */
    tarn_checkpoint_free(opened);
    const tarn_storage_figures counts = download(rig, 1, NULL, NULL);
    assert_true(counts.bytes_read == 2 * 100 + 6000);
    rig_expect_same(rig_local(rig, "a", ""), rig_local(rig, "got", ""));
    assert_int_equal(rig_expect_whole(rig_job(rig, "")), 1);
}

static void test_what_is_inline_is_bounded(void **state)
{
    snapshot_rig *rig = *state;
    rig->packing.inline_bytes = 1 << 20;
    for (uint32_t i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof name, "PRIVATE-%02u", i);
        rig_write(rig, "a", name, 100000, i);
    }
    checkpoint(rig, 1, NULL, NULL);
    tarn_checkpoint *opened = open_checkpoint(rig, 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < 20; i++) {
        count += opened->metadata.subtasks[0].files[i].is_inline ? 1 : 0;
    }
    assert_int_equal(count, TARN__UPLOAD_INLINE_BYTES_MAX / 100000);
    tarn_checkpoint_free(opened);
    rig_expect_restored(rig, 1, "a");
}

/* A file whose bytes repeat, so that it shrinks. */
static void write_soft(snapshot_rig *rig, const char *name, size_t size)
{
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t) "a key and its value, "[i % 21];
    }
    scratch_write(rig_local(rig, "a", name), bytes, size);
    free(bytes);
}

static void expect_compressed(snapshot_rig *rig, tarn__codec codec)
{
    rig->packing.codec = codec;
    rig->packing.inline_bytes = 8000;
    write_tables(rig, 1, 2, 400000);
    rig_write(rig, "a", "CURRENT", 16, 1);
    write_soft(rig, "OPTIONS-000007", 7000);   /* Inline. */
    write_soft(rig, "MANIFEST-000005", 30000); /* In a segment with the next one. */
    rig_write(rig, "a", "NOISE", 20000, 4);
    write_soft(rig, "PLAIN", 3 * 262144);           /* An object of its own, whole frames. */
    rig_write(rig, "a", "PLAIN-NOISE", 2500000, 5); /* More than a window of the reader. */
    checkpoint(rig, 1, NULL, NULL);
    tarn_checkpoint *opened = open_checkpoint(rig, 1);
    assert_int_equal(find_file(opened, "000001.sst")->codec, TARN__CODEC_NONE);
    assert_int_equal(find_file(opened, "CURRENT")->codec, TARN__CODEC_NONE);
    const char *const names[] = {"MANIFEST-000005", "NOISE", "OPTIONS-000007", "PLAIN"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(find_file(opened, names[i])->codec, codec);
    }
    assert_true(find_file(opened, "OPTIONS-000007")->is_inline);
    assert_true(find_file(opened, "MANIFEST-000005")->place.is_packed);
    assert_true(find_file(opened, "MANIFEST-000005")->compressed_size < 3000);
    assert_true(find_file(opened, "NOISE")->compressed_size < 20000 + 100);
    assert_true(find_file(opened, "PLAIN")->compressed_size < 30000);
    tarn_checkpoint_free(opened);
    (void)download(rig, 1, NULL, NULL);
    rig_expect_same(rig_local(rig, "a", ""), rig_local(rig, "got", ""));
    assert_int_equal(rig_expect_whole(rig_job(rig, "")), 1);
    const tarn_fallback_options look = TARN_FALLBACK_OPTIONS_INIT;
    tarn_checkpoint *whole = NULL;
    assert_ok(
        tarn_checkpoint_open_whole(rig_job(rig, ""), &look, &whole, &rig->error), &rig->error);
    tarn_checkpoint_free(whole);
}

static void test_private_files_are_compressed_by_zstd(void **state)
{
    expect_compressed(*state, TARN__CODEC_ZSTD);
}

static void test_private_files_are_compressed_by_lz4(void **state)
{
    expect_compressed(*state, TARN__CODEC_LZ4);
}

/* Any byte that is changed and any end that is cut off shows, by the name of the object. */
static void test_damage_of_a_compressed_file_is_found(void **state)
{
    snapshot_rig *rig = *state;
    rig->packing.codec = TARN__CODEC_ZSTD;
    rig->packing.small_bytes = 0;
    rig_write(rig, "a", "CURRENT", 16, 1);
    write_soft(rig, "PLAIN", 300000);
    checkpoint(rig, 1, NULL, NULL);
    tarn_checkpoint *opened = open_checkpoint(rig, 1);
    char path[4096];
    snprintf(path, sizeof path, "%s", rig_job(rig, find_file(opened, "PLAIN")->path));
    const char *name = strrchr(path, '/') + 1;
    size_t size = 0;
    uint8_t *bytes = scratch_read(path, &size);
    for (size_t i = 0; i < size + 20; i += 7) {
        const bool is_cut = i >= size;
        const size_t changed_size = is_cut ? size - 1 - (i - size) : size;
        bytes[is_cut ? 0 : i] ^= is_cut ? 0 : 0x55;
        scratch_write(path, bytes, changed_size);
        bytes[is_cut ? 0 : i] ^= is_cut ? 0 : 0x55;
        const tarn_status status = rig_download(rig, rig_job(rig, "chk-1"), 0, "got", NULL);
        assert_true(status == TARN_CORRUPTION || status == TARN_NOT_SUPPORTED);
        assert_non_null(strstr(rig->error.message, name));
        assert_int_equal(scratch_count(rig_local(rig, "got", ""), ""), 0);
    }
    scratch_write(path, bytes, size);
    rig_expect_restored(rig, 1, "a");
    free(bytes);
    tarn_checkpoint_free(opened);
}

/* Every allocation fails once: nothing is left that nothing names. */
static void test_a_failure_anywhere_leaves_nothing(void **state)
{
    snapshot_rig *rig = *state;
    write_tables(rig, 0, 4, 100);
    write_private(rig);
    rig->packing.inline_bytes = 5000;
    rig->packing.codec = TARN__CODEC_ZSTD;
    bool has_fired = true;
    for (uint64_t nth = 0; has_fired; nth++) {
        rig_close_store(rig);
        assert_int_equal(atomic_load(&rig->memory.live_count), 0);
        fault_allocator_init(&rig->memory, FAULT_NEVER);
        assert_ok(rig_open_store(rig), &rig->error);
        rig->memory.fail_at = atomic_load(&rig->memory.request_count) + nth;
        const tarn_status status = rig_checkpoint(rig, 1, NULL, NULL);
        has_fired = atomic_load(&rig->memory.fired);
        rig->memory.fail_at = FAULT_NEVER;
        assert_int_equal(status, has_fired ? TARN_NO_MEMORY : TARN_OK);
        if (has_fired) {
            tarn__store_clean(rig->store);
            assert_int_equal(shared_count(rig), 0);
            assert_int_equal(scratch_count(rig_job(rig, ""), "chk-"), 0);
        }
    }
    rig_expect_restored(rig, 1, "a");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_thousand_small_files_are_a_few_objects_and_requests),
        cmocka_unit_test_setup_teardown(
            test_a_thousand_small_files_are_a_few_objects_and_requests, set_up_workers, tear_down),
        TEST(test_names_may_have_to_come_first),
        TEST(test_a_small_file_that_changes_as_it_is_sent_is_not_stored),
        TEST(test_a_large_file_that_changes_as_it_is_sent_is_not_stored),
        TEST(test_files_that_do_not_change_are_named_again),
        TEST(test_a_segment_stays_while_any_of_its_files_is_named),
        TEST(test_what_is_left_of_a_segment_is_sent_anew),
        TEST(test_the_last_file_of_a_segment_is_sent_anew_too),
        TEST(test_empty_and_large_files_come_back),
        TEST(test_only_what_is_wanted_is_read),
        TEST(test_a_second_copy_has_files_not_segments),
        TEST(test_damage_is_found_in_the_file_that_has_it),
        TEST(test_garbage_is_what_no_file_is_in),
        TEST(test_a_store_that_is_opened_again_counts_segments),
        TEST(test_small_private_files_lie_in_the_metadata),
        TEST(test_what_is_inline_is_bounded),
        TEST(test_private_files_are_compressed_by_zstd),
        TEST(test_private_files_are_compressed_by_lz4),
        TEST(test_damage_of_a_compressed_file_is_found),
        TEST(test_a_failure_anywhere_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
