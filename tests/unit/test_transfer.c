/*
 * Unit tests of snapshot/transfer.c: every item is moved once, whoever helps; the first failure
 * stops the rest; nobody waits for helpers that cannot come.
 */
#include "support/support.h"

#include <pthread.h>
#include <stdlib.h>

#include "snapshot/transfer.h"

enum { ITEMS = 100 };

typedef struct fixture {
    tarn__account account;
    tarn__account buffers;
    tarn__workers *workers;
    uint8_t *buffer;
    atomic_uint moved[ITEMS];
    atomic_uint total;
    uint32_t fails_at;
    tarn_error error;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    tarn__account_init(&f->account, "test", NULL);
    tarn__account_init(&f->buffers, "buffers", NULL);
    f->fails_at = ITEMS;
    assert_ok(tarn__transfer_buffer_new(&f->buffers, &f->buffer, &f->error), &f->error);
    assert_ok(tarn__workers_open(&f->account, 3, 2, "test", &f->workers, &f->error), &f->error);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tarn__release(f->buffer);
    tarn__workers_close(f->workers);
    const int leaked = atomic_load(&f->account.bytes) != 0 || atomic_load(&f->buffers.bytes) != 0;
    free(f);
    return leaked;
}

static tarn_status move(void *context, uint32_t item, uint8_t *buffer, tarn_error *error)
{
    fixture *f = context;
    buffer[TARN__TRANSFER_BUFFER_BYTES - 1] = (uint8_t)item;
    atomic_fetch_add(&f->moved[item], 1);
    atomic_fetch_add(&f->total, 1);
    return item < f->fails_at ? TARN_OK : tarn__fail(error, TARN_IO_ERROR, "item %u fails", item);
}

static tarn_status run(fixture *f, tarn__workers *workers)
{
    const tarn__transfer_options options = {
        .account = &f->account,
        .buffers = &f->buffers,
        .workers = workers,
        .item_count = ITEMS,
        .item = move,
        .context = f,
        .buffer = f->buffer,
    };
    return tarn__transfer_run(&options, &f->error);
}

static void test_every_item_is_moved_once(void **state)
{
    fixture *f = *state;
    for (unsigned round = 1; round <= 20; round++) {
        assert_ok(run(f, round % 2 == 0 ? f->workers : NULL), &f->error);
        for (uint32_t i = 0; i < ITEMS; i++) {
            assert_int_equal(atomic_load(&f->moved[i]), round);
        }
    }
}

/* What items that wait for each other have: none ends before as many are under way as may be. */
typedef struct meeting {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t present;
    uint32_t most;
    uint32_t wanted;
} meeting;

static tarn_status meet(void *context, uint32_t item, uint8_t *buffer, tarn_error *error)
{
    meeting *m = context;
    (void)item;
    (void)buffer;
    (void)error;
    pthread_mutex_lock(&m->mutex);
    m->present++;
    m->most = m->present > m->most ? m->present : m->most;
    pthread_cond_broadcast(&m->changed);
    while (m->most < m->wanted) {
        pthread_cond_wait(&m->changed, &m->mutex);
    }
    m->present--;
    pthread_mutex_unlock(&m->mutex);
    return TARN_OK;
}

/* It would not end if the caller, or anybody else, had to move one after the other. */
static void test_items_are_moved_at_the_same_time(void **state)
{
    enum { WORKERS = 3, QUEUED_MAX = 16 };
    fixture *f = *state;
    tarn__workers *workers = NULL;
    assert_ok(
        tarn__workers_open(&f->account, WORKERS, QUEUED_MAX, "test", &workers, &f->error),
        &f->error);
    for (uint32_t parallelism = 1; parallelism <= WORKERS + 1; parallelism++) {
        meeting m = {
            .mutex = PTHREAD_MUTEX_INITIALIZER,
            .changed = PTHREAD_COND_INITIALIZER,
            .wanted = parallelism,
        };
        const tarn__transfer_options options = {
            .account = &f->account,
            .buffers = &f->buffers,
            .workers = workers,
            .parallelism_max = parallelism,
            .item_count = ITEMS,
            .item = meet,
            .context = &m,
            .buffer = f->buffer,
        };
        assert_ok(tarn__transfer_run(&options, &f->error), &f->error);
        assert_int_equal(m.most, parallelism);
    }
    tarn__workers_close(workers);
}

static void test_a_failure_stops_the_rest(void **state)
{
    fixture *f = *state;
    f->fails_at = 10;
    assert_int_equal(run(f, f->workers), TARN_IO_ERROR);
    assert_int_equal(f->error.status, TARN_IO_ERROR);
    /* What others had begun in that moment is finished. */
    assert_in_range(atomic_load(&f->total), 11, 10 + TARN__TRANSFER_PARALLELISM_MAX);
}

typedef struct gate {
    atomic_bool is_open;
    atomic_uint waiting;
} gate;

static void wait_at(void *context)
{
    gate *g = context;
    atomic_fetch_add(&g->waiting, 1);
    while (!atomic_load(&g->is_open)) {
    }
}

/* All workers and the whole queue are taken by somebody else: the caller does it alone. */
static void test_busy_workers_are_not_waited_for(void **state)
{
    fixture *f = *state;
    gate g = {.is_open = false};
    for (int i = 0; i < 5; i++) {
        tarn__workers_submit(f->workers, wait_at, &g);
    }
    assert_ok(run(f, f->workers), &f->error);
    assert_int_equal(atomic_load(&f->total), ITEMS);
    atomic_store(&g.is_open, true);
    tarn__workers_close(f->workers); /* Before the gate goes. */
    f->workers = NULL;
}

/* Helpers that were queued but start after the end find nothing to do and touch nothing. */
static void test_late_helpers_find_nothing(void **state)
{
    fixture *f = *state;
    gate g = {.is_open = false};
    for (int i = 0; i < 3; i++) {
        tarn__workers_submit(f->workers, wait_at, &g);
    }
    while (atomic_load(&g.waiting) < 3) {
    }
    assert_ok(run(f, f->workers), &f->error);
    assert_int_equal(atomic_load(&f->total), ITEMS);
    atomic_store(&g.is_open, true);
    tarn__workers_close(f->workers);
    f->workers = NULL;
    assert_int_equal(atomic_load(&f->total), ITEMS);
}

static bool refuse(void *pool, size_t bytes)
{
    (void)pool;
    (void)bytes;
    return false;
}

static void ignore(void *pool, size_t bytes)
{
    (void)pool;
    (void)bytes;
}

static void test_a_pool_without_room_is_over_budget(void **state)
{
    fixture *f = *state;
    tarn__account full;
    tarn__account_init(&full, "off-heap", NULL);
    tarn__account_attach(&full, refuse, ignore, NULL);
    uint8_t *buffer = NULL;
    assert_int_equal(tarn__transfer_buffer_new(&full, &buffer, &f->error), TARN_OVER_BUDGET);
    assert_null(buffer);

    fault_allocator memory;
    fault_allocator_init(&memory, 0);
    tarn__account_init(&full, "off-heap", &memory.base);
    assert_int_equal(tarn__transfer_buffer_new(&full, &buffer, &f->error), TARN_NO_MEMORY);
    assert_int_equal(atomic_load(&full.bytes), 0);
}

/* A helper that gets no buffer is done without. */
static void test_helpers_without_a_buffer_are_done_without(void **state)
{
    fixture *f = *state;
    tarn__account full;
    tarn__account_init(&full, "off-heap", NULL);
    tarn__account_attach(&full, refuse, ignore, NULL);
    const tarn__transfer_options options = {
        .account = &f->account,
        .buffers = &full,
        .workers = f->workers,
        .item_count = ITEMS,
        .item = move,
        .context = f,
        .buffer = f->buffer,
    };
    assert_ok(tarn__transfer_run(&options, &f->error), &f->error);
    assert_int_equal(atomic_load(&f->total), ITEMS);
    tarn__workers_close(f->workers); /* Before full goes. */
    f->workers = NULL;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_every_item_is_moved_once),
        TEST(test_items_are_moved_at_the_same_time),
        TEST(test_a_failure_stops_the_rest),
        TEST(test_busy_workers_are_not_waited_for),
        TEST(test_late_helpers_find_nothing),
        TEST(test_a_pool_without_room_is_over_budget),
        TEST(test_helpers_without_a_buffer_are_done_without),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
