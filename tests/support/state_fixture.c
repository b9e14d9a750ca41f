/* state_fixture.c - see state_fixture.h. */
#include "support/state_fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/workset_private.h"
#include "state/backend.h"

void fixture_make_directory(char path[FIXTURE_PATH_BYTES])
{
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(
        path, FIXTURE_PATH_BYTES, "%s/tarn-test-XXXXXX", temporary != NULL ? temporary : "/tmp");
    assert_non_null(mkdtemp(path));
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

void fixture_remove_directory(const char *path)
{
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void fixture_set(tarn_config *config, const char *key, const char *value)
{
    tarn_error error;
    assert_ok(tarn_config_set(config, key, value, "test", &error), &error);
}

tarn_config *fixture_new_config(uint32_t managed_mib)
{
    tarn_config *config = NULL;
    tarn_error error;
    char text[32];
    assert_ok(tarn_config_new(NULL, &config, &error), &error);
    (void)snprintf(text, sizeof text, "%um", managed_mib * 2 + 1024);
    fixture_set(config, "taskmanager.memory.process.size", text);
    (void)snprintf(text, sizeof text, "%um", managed_mib);
    fixture_set(config, "taskmanager.memory.managed.size", text);
    return config;
}

tarn_env *fixture_open_env(const tarn_config *config, const tarn_allocator *allocator)
{
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    options.allocator = allocator;
    options.worker_thread_count = 1;
    tarn_env *env = NULL;
    tarn_error error;
    assert_ok(tarn_env_open(&options, &env, &error), &error);
    return env;
}

tarn_backend *fixture_open_backend(tarn_env *env, const char *directory)
{
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = env;
    options.operator_name = "test";
    options.directory = directory;
    tarn_backend *backend = NULL;
    tarn_error error;
    assert_ok(tarn_backend_open(&options, &backend, &error), &error);
    return backend;
}

tarn_value *fixture_open_value(tarn_backend *backend, const char *name)
{
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    options.name = name;
    tarn_value *state = NULL;
    tarn_error error;
    assert_ok(tarn_value_open(backend, &options, &state, &error), &error);
    return state;
}

/* As if hits had been rare for long, or many. */
static void set_aside(tarn__workset *set, bool is_aside)
{
    enum { GHOSTS = 256 };
    tarn__ghosts_clear(&set->ghosts);
    if (is_aside) {
        set->ghosts.tags = tarn__allocate_zeroed(set->account, GHOSTS, sizeof *set->ghosts.tags);
        set->ghosts.mask = GHOSTS - 1;
    }
}

void fixture_acknowledge(tarn_pending_checkpoint *pending, tarn_snapshot *snapshot)
{
    tarn_error error;
    tarn_buffer bytes = TARN_BUFFER_INIT;
    assert_ok(tarn_snapshot_finish(snapshot, &bytes, &error), &error);
    assert_ok(tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&bytes), &error), &error);
    tarn_buffer_clear(&bytes);
}

void fixture_resize_working_set(tarn_backend *backend, uint32_t choice)
{
    static const uint64_t SIZES[FIXTURE_SIZES] = {0, 1500, 4000, 12000, 50000, 1 << 20};
    tarn_error error;
    assert_ok(
        tarn_backend_resize_working_set(backend, SIZES[choice % FIXTURE_SIZES], &error), &error);
    if (backend->workset != NULL) {
        set_aside(backend->workset, choice >= FIXTURE_SIZES);
    }
}
