/* commit_fixture.c - see commit_fixture.h. */
#include "support/commit_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/cleanup.h"

#include "snapshot/checkpoint.h"

static fault_fate choose_fate(const char *operation, const char *name, void *context)
{
    commit_fixture *f = context;
    if (f->dies && f->has_sent) {
        atomic_store(&f->storage.is_dead, true);
    }
    if (strcmp(operation, "finish") != 0 || name == NULL ||
        strstr(name, TARN__METADATA_NAME) == NULL) {
        return FAULT_FATE_DONE;
    }
    const fault_fate fate = f->step < COMMIT_FATES_MAX ? f->fates[f->step++] : FAULT_FATE_DONE;
    f->commit_count++;
    f->has_sent = true;
    if (f->delivers_first) {
        f->delivers_first = false;
        commit_fixture_deliver(f);
    }
    if (f->removed_id != 0) {
        const uint64_t id = f->removed_id;
        f->removed_id = 0;
        assert_ok(tarn_checkpoint_remove(f->store, id, &f->error), &f->error);
    }
    return fate;
}

static bool keeps_no_order(const char *name)
{
    (void)name;
    return false;
}

static void take_log(const char *message, void *context)
{
    commit_fixture *f = context;
    snprintf(f->log, sizeof f->log, "%s", message);
}

tarn__store_options commit_fixture_options(commit_fixture *f)
{
    return (tarn__store_options){
        .address = "fault://sim",
        .job = "job",
        .remote = {.schemes = &f->scheme, .scheme_count = 1},
        .retained_count = 2,
        .account = &f->account,
        .log = take_log,
        .log_context = f,
    };
}

void commit_fixture_open(commit_fixture *f)
{
    const tarn__store_options options = commit_fixture_options(f);
    f->commit_count = 0;
    assert_ok(tarn__store_open(&options, &f->store, &f->error), &f->error);
}

void commit_fixture_close(commit_fixture *f)
{
    assert_ok(tarn_checkpoint_store_close(f->store, &f->error), &f->error);
}

int commit_fixture_set_up(void **state)
{
    commit_fixture *f = calloc(1, sizeof *f);
    tarn__account_init(&f->account, "test", NULL);
    fault_storage_init(&f->storage, &f->account, choose_fate, f);
    f->storage.keeps_order = keeps_no_order;
    f->scheme = (tarn_storage_scheme){
        .name = "fault", .open = fault_storage_open_address, .context = &f->storage};
    assert_ok(
        fault_storage_open(&f->storage, "job", /* is_plain= */ true, &f->plain, &f->error),
        &f->error);
    commit_fixture_open(f);
    *state = f;
    return 0;
}

int commit_fixture_tear_down(void **state)
{
    commit_fixture *f = *state;
    commit_fixture_close(f);
    tarn__storage_free(f->plain);
    fault_storage_clear(&f->storage);
    const int leaked = atomic_load(&f->account.block_count) != 0;
    free(f);
    return leaked;
}

void commit_fixture_fate(commit_fixture *f, fault_fate first, fault_fate others)
{
    for (uint32_t i = 0; i < COMMIT_FATES_MAX; i++) {
        f->fates[i] = i == 0 ? first : others;
    }
    f->step = 0;
}

void commit_fixture_deliver(commit_fixture *f)
{
    while (f->storage.request_count > 0) {
        fault_storage_deliver(&f->storage, 0);
    }
}

void commit_fixture_put(commit_fixture *f, const char *name, const char *text)
{
    assert_ok(tarn__storage_write(f->plain, name, 0, tarn_bytes_of(text), &f->error), &f->error);
}

bool commit_fixture_has(commit_fixture *f, const char *name)
{
    tarn_storage_info info;
    const tarn_status status = tarn__storage_stat(f->plain, name, &info, &f->error);
    assert_true(status == TARN_OK || status == TARN_MISSING);
    return status == TARN_OK;
}
