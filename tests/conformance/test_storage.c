/* The conformance suite over every storage that there is. */
#include "conformance/storage_suite.h"
#include "support/fault_files.h"
#include "support/scratch.h"
#include "support/support.h"

typedef struct directory {
    scratch scratch;
    fault_files calls;
    bool is_short;
} directory;

static tarn_storage *make_file(tarn__account *account, void *context)
{
    directory *d = context;
    scratch_init(&d->scratch);
    fault_files_init(&d->calls, FAULT_FILES_NEVER, 0);
    d->calls.is_short = d->is_short;
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

int main(void)
{
    static directory plain;
    static directory halting = {.is_short = true};
    const storage_maker makers[] = {
        {.name = "file", .make = make_file, .clean = clean_file, .context = &plain},
        {
            .name = "file, short and interrupted calls",
            .make = make_file,
            .clean = clean_file,
            .context = &halting,
        },
        {.name = "memory", .make = make_memory},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        failed += storage_suite_run(&makers[i]);
    }
    return failed;
}
