/*
 * Unit tests of cache/evict.c: what comes to stay when memory is full.
 */
#include "support/support.h"

#include <stdio.h>

#include "cache/workset.h"

enum {
    CAPACITY_BYTES = 256 << 10,
    COLD_ROWS = 20000,
    HOT_ROWS = 500,
    ROUNDS = 40,
    LAST_ROUNDS = 5
};

typedef struct fixture {
    tarn__account account;
    tarn__workset *set;
    tarn__workset_family family;
    tarn_error error;
} fixture;

static tarn_status write_nothing(
    void *context, const tarn__change *changes, size_t count, tarn_error *error)
{
    (void)context;
    (void)changes;
    (void)count;
    (void)error;
    return TARN_OK;
}

static bool is_never_held(void *context)
{
    (void)context;
    return false;
}

static tarn_status release_nothing(void *context, tarn_error *error)
{
    (void)context;
    (void)error;
    return TARN_OK;
}

/* Reads a row as a state does, which keeps what it had to look for, and gives its bytes out. */
static bool is_hit(fixture *f, uint32_t number)
{
    char text[16];
    tarn__hot_key key;
    const int size = snprintf(text, sizeof text, "row %08u", number);
    tarn__hot_row *row =
        tarn__workset_find(f->set, &f->family, tarn_bytes_at(text, (size_t)size), &key);
    const bool was_there = row != NULL;
    if (row == NULL) {
        assert_ok(
            tarn__workset_set(
                f->set, &key, NULL, TARN__HOT_CLEAN, tarn_bytes_at("a value", 7), &row, &f->error),
            &f->error);
        assert_non_null(row);
    }
    tarn__workset_hold(f->set, &key);
    return was_there;
}

/*
 * The rows that a program turns to stay, whatever filled the memory before. Evicting what had just
 * come, because the page of the row that was given out was left alone as a whole, let none of them.
 */
static void test_rows_that_are_used_again_displace_those_that_are_not(void **state)
{
    (void)state;
    static fixture f;
    tarn__account_init(&f.account, "test", NULL);
    const tarn__workset_options options = {
        .account = &f.account,
        .store = {.write = write_nothing, .is_held = is_never_held, .release = release_nothing},
        .capacity_bytes = CAPACITY_BYTES,
    };
    assert_ok(tarn__workset_open(&options, &f.set, &f.error), &f.error);
    assert_ok(tarn__workset_add_family(f.set, &f.family, &f.error), &f.error);
    for (uint32_t i = 0; i < COLD_ROWS; i++) {
        (void)is_hit(&f, i);
    }
    uint32_t missed = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < HOT_ROWS; i++) {
            const bool was_there = is_hit(&f, COLD_ROWS + i);
            missed += round >= ROUNDS - LAST_ROUNDS && !was_there ? 1 : 0;
        }
    }
    assert_int_equal(missed, 0);
    tarn__workset_remove_family(f.set, &f.family);
    tarn__workset_close(f.set);
    assert_int_equal(f.account.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_that_are_used_again_displace_those_that_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
