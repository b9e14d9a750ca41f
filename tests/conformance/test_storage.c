/* The conformance suite over every storage that there is. */
#include "conformance/storage_suite.h"
#include "storage/shims.h"
#include "support/fault_files.h"
#include "support/scratch.h"
#include "support/support.h"

#include <limits.h>
#include <stdio.h>

#include "custom_storage/mirror.h"

typedef struct directory {
    scratch scratch;
    fault_files calls;
    bool is_short;
} directory;

static tarn_storage *open_file(tarn__account *account, void *context)
{
    directory *d = context;
    const tarn__storage_options options = {
        .address = scratch_join(d->scratch.path, "made/on/the/way"),
        .account = account,
        .calls = d->is_short ? &d->calls.base : NULL,
    };
    tarn_storage *storage = NULL;
    tarn_error error;
    assert_ok(tarn__storage_open(&options, &storage, &error), &error);
    return storage;
}

static tarn_storage *make_file(tarn__account *account, void *context)
{
    directory *d = context;
    scratch_init(&d->scratch);
    fault_files_init(&d->calls, FAULT_FILES_NEVER, 0);
    d->calls.is_short = d->is_short;
    return open_file(account, context);
}

static void clean_file(void *context)
{
    scratch_clear(&((directory *)context)->scratch);
}

static tarn_storage *make_memory(tarn__account *account, void *context)
{
    (void)context;
    tarn_storage *storage = NULL;
    tarn_error error;
    assert_ok(tarn__memory_storage_new(account, &storage, &error), &error);
    return storage;
}

/* --- The shims, each over memory or a directory --- */

static void never_sleep(uint64_t ns, void *context)
{
    (void)ns;
    (void)context;
}

static tarn_storage *make_retry(tarn__account *account, void *context)
{
    const tarn__retry_options options = {.sleep = never_sleep};
    tarn_storage *storage = NULL;
    tarn_error error;
    assert_ok(
        tarn__retry_storage_new(make_file(account, context), &options, account, &storage, &error),
        &error);
    return storage;
}

static tarn_storage *make_throttle(tarn__account *account, void *context)
{
    const tarn__throttle_options options = {
        .bytes_per_s = 1000, .requests_per_s = 10, .sleep = never_sleep};
    tarn_storage *storage = NULL;
    tarn_error error;
    assert_ok(
        tarn__throttle_storage_new(
            make_memory(account, context), &options, account, &storage, &error),
        &error);
    return storage;
}

static tarn_storage *make_count(tarn__account *account, void *context)
{
    tarn_storage *storage = NULL;
    tarn_error error;
    assert_ok(
        tarn__count_storage_new(make_memory(account, context), NULL, account, &storage, &error),
        &error);
    return storage;
}

static tarn_storage *make_cache(tarn__account *account, void *context)
{
    tarn_storage *storage = NULL;
    tarn_error error;
    assert_ok(
        tarn__cache_storage_new(
            make_memory(account, NULL),
            make_file(account, context),
            1 << 20,
            account,
            &storage,
            &error),
        &error);
    return storage;
}

static tarn_storage *make_stack(tarn__account *account, void *context)
{
    const tarn__retry_options retry = {.sleep = never_sleep};
    const tarn__throttle_options throttle = {.requests_per_s = 10, .sleep = never_sleep};
    tarn_storage *counted = make_count(account, NULL);
    tarn_storage *throttled = NULL;
    tarn_storage *retried = NULL;
    tarn_storage *cached = NULL;
    tarn_error error;
    assert_ok(tarn__throttle_storage_new(counted, &throttle, account, &throttled, &error), &error);
    assert_ok(tarn__retry_storage_new(throttled, &retry, account, &retried, &error), &error);
    assert_ok(
        tarn__cache_storage_new(
            retried, make_file(account, context), 1 << 20, account, &cached, &error),
        &error);
    return cached;
}

/* The example of a storage of the application's own: two directories. */
static tarn_storage *make_mirror(tarn__account *account, void *context)
{
    directory *d = context;
    char address[2 * PATH_MAX + 32];
    scratch_init(&d->scratch);
    snprintf(
        address, sizeof address, "mirror://{%s/a,%s/b}/both", d->scratch.path, d->scratch.path);
    const tarn__storage_options options = {
        .address = address, .account = account, .schemes = &mirror_scheme, .scheme_count = 1};
    tarn_storage *storage = NULL;
    tarn_error error;
    assert_ok(tarn__storage_open(&options, &storage, &error), &error);
    return storage;
}

int main(void)
{
    static directory plain;
    static directory halting = {.is_short = true};
    const storage_maker makers[] = {
        {
            .name = "file",
            .make = make_file,
            .make_again = open_file,
            .clean = clean_file,
            .context = &plain,
        },
        {
            .name = "file, short and interrupted calls",
            .make = make_file,
            .clean = clean_file,
            .context = &halting,
        },
        {.name = "memory", .make = make_memory},
        {.name = "retry", .make = make_retry, .clean = clean_file, .context = &plain},
        {.name = "throttle", .make = make_throttle},
        {.name = "count", .make = make_count},
        {.name = "cache", .make = make_cache, .clean = clean_file, .context = &plain},
        {.name = "mirror", .make = make_mirror, .clean = clean_file, .context = &plain},
        {.name = "all shims", .make = make_stack, .clean = clean_file, .context = &plain},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        failed += storage_suite_run(&makers[i]);
    }
    return failed;
}
