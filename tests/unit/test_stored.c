/*
 * test_stored.c - parts of a file behind a network come right, out of few requests: a table of
 * small blocks would else cost a round trip for each of them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "snapshot/stored.h"
#include "storage/shims.h"
#include "support/support.h"

enum { SIZE = (11 << 20) + 4321, BLOCK = 16 << 10, BEHIND = 1000, TAIL = 53 };

typedef struct fixture {
    tarn__account account;
    tarn_storage *storage; /* Counts. */
    uint8_t *bytes;        /* [SIZE], as stored. */
    uint8_t *block;        /* [SIZE] */
    tarn__file_part file;
    tarn__stored stored;
    tarn_error error;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    tarn__random random = {.state = 7};
    tarn__account_init(&f->account, "test", NULL);
    f->bytes = malloc(SIZE + BEHIND);
    f->block = malloc(SIZE);
    for (size_t i = 0; i < SIZE + BEHIND; i++) {
        f->bytes[i] = (uint8_t)tarn__random_next(&random);
    }
    tarn_storage *memory = NULL;
    tarn_storage_upload *upload = NULL;
    assert_ok(tarn__memory_storage_new(&f->account, &memory, &f->error), &f->error);
    assert_ok(tarn__storage_begin(memory, "segment", 0, &upload, &f->error), &f->error);
    assert_ok(
        tarn__storage_append(upload, tarn_bytes_at(f->bytes, SIZE + BEHIND), &f->error), &f->error);
    assert_ok(tarn__storage_finish(upload, NULL, &f->error), &f->error);
    assert_ok(
        tarn__count_storage_new(memory, NULL, NULL, &f->account, &f->storage, &f->error),
        &f->error);
    f->file = (tarn__file_part){
        .path = "segment",
        .local_name = "000001.sst",
        .content = {.size = SIZE},
        .is_shared = true,
        .place = {.is_packed = true, .segment = {.size = SIZE + BEHIND}},
    };
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tarn__stored_clear(&f->stored);
    tarn__storage_free(f->storage);
    const int leaked = atomic_load(&f->account.block_count) != 0;
    free(f->block);
    free(f->bytes);
    free(f);
    return leaked;
}

static void begin(fixture *f, tarn__account *account, size_t ahead_bytes)
{
    tarn__stored_init(&f->stored, f->storage, &f->file, account, ahead_bytes);
}

static uint64_t request_count(const fixture *f)
{
    return tarn__count_storage_figures(f->storage).operations[TARN_STORAGE_READ].call_count;
}

static void expect_part(fixture *f, uint64_t offset, size_t size)
{
    size_t got = 0;
    const size_t left = offset < SIZE ? SIZE - (size_t)offset : 0;
    const size_t expected = size < left ? size : left;
    memset(f->block, 0, size);
    assert_ok(tarn__stored_read(&f->stored, offset, f->block, size, &got, &f->error), &f->error);
    assert_int_equal(got, expected);
    assert_memory_equal(f->block, f->bytes + offset, expected);
}

static void expect_in_order(fixture *f)
{
    expect_part(f, SIZE - TAIL, TAIL);
    for (uint64_t offset = 0; offset < SIZE; offset += BLOCK) {
        expect_part(f, offset, BLOCK);
    }
}

static void test_a_file_read_in_order_takes_few_requests(void **state)
{
    fixture *f = *state;
    begin(f, &f->account, 1 << 20);
    expect_in_order(f);
    assert_true(request_count(f) < 20);
    assert_true(f->stored.capacity <= 1 << 20);
}

static void test_a_small_file_takes_one(void **state)
{
    fixture *f = *state;
    f->file.content.size = 40000;
    begin(f, &f->account, 1 << 20);
    size_t got = 0;
    for (uint64_t offset = 40000 - 500; offset < 40000; offset += 500) {
        assert_ok(tarn__stored_read(&f->stored, offset, f->block, 500, &got, &f->error), &f->error);
        assert_memory_equal(f->block, f->bytes + offset, 500);
    }
    assert_ok(tarn__stored_read(&f->stored, 0, f->block, 39000, &got, &f->error), &f->error);
    assert_memory_equal(f->block, f->bytes, 39000);
    assert_int_equal(request_count(f), 1);
}

/* Any order, any size, beyond the end too: the bytes are those of the file and of no other. */
static void test_any_part_is_right(void **state)
{
    fixture *f = *state;
    tarn__random random = {.state = 99};
    begin(f, &f->account, 256 << 10);
    for (int i = 0; i < 2000; i++) {
        const uint64_t offset = tarn__random_next(&random) % SIZE;
        const size_t size =
            1 + (size_t)(tarn__random_next(&random) % (i % 50 == 0 ? 600000 : 9000));
        expect_part(f, offset, size);
        expect_part(f, offset + size < SIZE ? offset + size : 0, 100);
    }
    expect_part(f, SIZE - 10, 100);
    expect_part(f, SIZE, 100);
}

static bool refuse(void *pool, size_t bytes)
{
    return bytes <= *(size_t *)pool;
}

static void ignore(void *pool, size_t bytes)
{
    (void)pool;
    (void)bytes;
}

static void test_without_memory_it_is_read_by_itself(void **state)
{
    fixture *f = *state;
    size_t room = 100 << 10; /* For the first window, and no other. */
    tarn__account full;
    tarn__account_init(&full, "full", NULL);
    tarn__account_attach(&full, refuse, ignore, &room);
    begin(f, &full, 1 << 20);
    expect_in_order(f);
    tarn__stored_clear(&f->stored);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_file_read_in_order_takes_few_requests),
        TEST(test_a_small_file_takes_one),
        TEST(test_any_part_is_right),
        TEST(test_without_memory_it_is_read_by_itself),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
