/*
 * custom_storage - checkpoints in a storage of the application's own.
 *
 * Shows: a scheme given to the environment, and what it is good for. Numbers are counted and
 * checkpointed to mirror://{DIR/one,DIR/two}; one of the two is lost; the checkpoint is restored
 * all the same, from the other one.
 *
 *     custom_storage DIR one|two          which is lost
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tarn.h>
#include <tarn/storage.h>

#include "mirror.h"

enum { KEYS = 1000, TEXT_BYTES = 4096 };

static tarn_error error; /* Of the latest failure. */

static void check(tarn_status status)
{
    if (status != TARN_OK) {
        fprintf(stderr, "custom_storage: %s\n", error.message);
        exit(EXIT_FAILURE);
    }
}

/* Writes a path or an address, of at most TEXT_BYTES. */
__attribute__((format(printf, 2, 3))) static void write_text(
    char out[TEXT_BYTES], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf(out, TEXT_BYTES, format, arguments);
    va_end(arguments);
    if (size < 0 || size >= TEXT_BYTES) {
        fputs("custom_storage: DIR is too long\n", stderr);
        exit(EXIT_FAILURE);
    }
}

static tarn_env *open_env(void)
{
    tarn_config *config = NULL;
    check(tarn_config_new(NULL, &config, &error));
    check(tarn_config_set(config, "taskmanager.memory.process.size", "1g", NULL, &error));
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    options.storage_schemes = &mirror_scheme; /* All addresses mirror://... are its own now. */
    options.storage_scheme_count = 1;
    tarn_env *env = NULL;
    check(tarn_env_open(&options, &env, &error));
    tarn_config_free(config);
    return env;
}

typedef struct job {
    tarn_env *env;
    tarn_backend *backend;
    tarn_value *counts;
} job;

static job open_job(tarn_env *env, const char *directory, tarn_checkpoint *restore)
{
    job j = {.env = env};
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = env;
    options.operator_name = "counter";
    options.directory = directory;
    options.restore = restore;
    check(tarn_backend_open(&options, &j.backend, &error));
    tarn_state_options state = TARN_STATE_OPTIONS_INIT;
    state.name = "counts";
    check(tarn_value_open(j.backend, &state, &j.counts, &error));
    return j;
}

static void close_job(job *j)
{
    check(tarn_value_close(j->counts, &error));
    check(tarn_backend_close(j->backend, &error));
}

static void set_key(job *j, uint32_t number)
{
    char key[16];
    snprintf(key, sizeof key, "%" PRIu32, number);
    check(tarn_backend_set_key(j->backend, tarn_bytes_of(key), &error));
}

static void take_checkpoint(job *j, const char *address)
{
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = j->env;
    options.address = address;
    options.job = "counter";
    tarn_checkpoint_store *store = NULL;
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer part = TARN_BUFFER_INIT;
    check(tarn_checkpoint_store_open(&options, &store, &error));
    const uint64_t id = tarn_checkpoint_store_next_id(store);
    check(tarn_checkpoint_begin(store, id, &pending, &error));
    check(tarn_snapshot_begin(j->backend, pending, &snapshot, &error));
    check(tarn_snapshot_finish(snapshot, &part, &error));
    check(tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&part), &error));
    check(tarn_checkpoint_commit(pending, NULL, &error));
    tarn_buffer_clear(&part);
    check(tarn_checkpoint_store_close(store, &error));
    printf("checkpoint %" PRIu64 " is in both\n", id);
}

/* ---- losing one ------------------------------------------------------------------------- */

typedef struct removal {
    tarn_storage *storage;
    char directory[TEXT_BYTES];
    uint64_t removed_count;
    char found[TEXT_BYTES]; /* The first entry; empty: there is none. */
    bool is_directory;
} removal;

static bool find_first(const tarn_storage_entry *entry, void *context)
{
    removal *r = context;
    const char *between = r->directory[0] != '\0' ? "/" : "";
    write_text(r->found, "%s%s%s", r->directory, between, entry->name);
    r->is_directory = entry->is_directory;
    return false;
}

/* Removes one object; a directory is gone with the last of its objects. False: there is none. */
static bool remove_one(removal *r)
{
    r->directory[0] = '\0';
    do {
        r->found[0] = '\0';
        check(tarn_storage_list(r->storage, r->directory, find_first, r, &error));
        memcpy(r->directory, r->found, sizeof r->directory);
    } while (r->found[0] != '\0' && r->is_directory);
    const char *name = r->found;
    if (name[0] == '\0') {
        return false;
    }
    check(tarn_storage_remove(r->storage, &name, 1, &error));
    r->removed_count++;
    return true;
}

static void lose(const char *address)
{
    removal r = {.removed_count = 0};
    tarn_storage_open_options options = TARN_STORAGE_OPEN_OPTIONS_INIT;
    options.address = address;
    check(tarn_storage_open(&options, &r.storage, &error));
    while (remove_one(&r)) {
    }
    tarn_storage_close(r.storage);
    printf("%s has lost %" PRIu64 " objects\n", address, r.removed_count);
}

/* ---- the run ---------------------------------------------------------------------------- */

static void count(tarn_env *env, const char *directory, const char *address)
{
    job j = open_job(env, directory, NULL);
    for (uint32_t i = 0; i < 3 * KEYS; i++) {
        void *place = NULL;
        set_key(&j, i % KEYS);
        check(tarn_value_edit(j.counts, sizeof(uint64_t), &place, &error));
        *(uint64_t *)place += 1;
    }
    take_checkpoint(&j, address);
    close_job(&j);
}

static void restore(tarn_env *env, const char *directory, const char *address)
{
    char where[TEXT_BYTES];
    write_text(where, "%s/counter", address);
    tarn_checkpoint *checkpoint = NULL;
    check(tarn_checkpoint_open_in(env, where, NULL, &checkpoint, &error));
    job j = open_job(env, directory, checkpoint);
    tarn_checkpoint_free(checkpoint);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        tarn_bytes value;
        uint64_t number = 0;
        set_key(&j, i);
        check(tarn_value_get(j.counts, &value, &error));
        memcpy(&number, value.data, sizeof number);
        sum += number;
    }
    printf("restored %d keys that sum up to %" PRIu64 "\n", KEYS, sum);
    close_job(&j);
}

int main(int argc, char **argv)
{
    if (argc != 3 || (strcmp(argv[2], "one") != 0 && strcmp(argv[2], "two") != 0)) {
        fputs("Usage: custom_storage DIR one|two\n", stderr);
        return 2;
    }
    char address[TEXT_BYTES];
    char lost[TEXT_BYTES];
    char work[2][TEXT_BYTES];
    write_text(address, "mirror://{%s/one,%s/two}", argv[1], argv[1]);
    write_text(lost, "%s/%s", argv[1], argv[2]);
    write_text(work[0], "%s/work-1", argv[1]);
    write_text(work[1], "%s/work-2", argv[1]);
    tarn_env *env = open_env();
    count(env, work[0], address);
    lose(lost);
    restore(env, work[1], address);
    check(tarn_env_close(env, &error));
    return EXIT_SUCCESS;
}
