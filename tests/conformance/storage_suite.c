/* storage_suite.c - see storage_suite.h: the installed suite over storages that have an account. */
#include "conformance/storage_suite.h"

#include <stdio.h>
#include <stdlib.h>

#include "tarn/testkit/storage.h"

typedef struct suite {
    const storage_maker *maker;
    tarn__account account;
    uint32_t open_count;
    uint32_t leaked; /* Storages that left memory behind. */
} suite;

static tarn_status open_first(void *context, tarn_storage **out, tarn_error *error)
{
    suite *s = context;
    (void)error;
    tarn__account_init(&s->account, "test", NULL);
    *out = s->maker->make(&s->account, s->maker->context);
    s->open_count = 1;
    return TARN_OK;
}

static tarn_status open_again(void *context, tarn_storage **out, tarn_error *error)
{
    suite *s = context;
    (void)error;
    *out = s->maker->make_again(&s->account, s->maker->context);
    s->open_count++;
    return TARN_OK;
}

static void close_one(void *context, tarn_storage *storage)
{
    suite *s = context;
    tarn__storage_free(storage);
    if (--s->open_count > 0) {
        return;
    }
    if (s->maker->clean != NULL) {
        s->maker->clean(s->maker->context);
    }
    if (atomic_load(&s->account.block_count) != 0) {
        printf("FAILED  memory was left behind by the next case\n");
        s->leaked++;
    }
}

int storage_suite_run(const storage_maker *maker)
{
    suite s = {.maker = maker};
    tarn_testkit_storage kit = TARN_TESTKIT_STORAGE_INIT;
    kit.open = open_first;
    kit.open_again = maker->make_again != NULL ? open_again : NULL;
    kit.close = close_one;
    kit.report = tarn_testkit_print;
    kit.context = &s;
    kit.large_bytes = maker->large_bytes;
    kit.rounds = maker->rounds;
    kit.has_gaps = maker->has_gaps;
    printf("-- %s\n", maker->name);
    const uint32_t failed = tarn_testkit_storage_run(&kit);
    return (int)(failed + s.leaked);
}
