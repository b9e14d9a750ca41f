/*
 * Unit tests of tarn/storage.h: storages by address, the application's own schemes among them, and
 * checkpoints in a storage that an application brings.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tarn/checkpoint.h"
#include "tarn/env.h"
#include "tarn/savepoint.h"
#include "tarn/storage.h"

#include "base/account.h"
#include "storage/storage.h"
#include "support/fault_allocator.h"
#include "support/scratch.h"
#include "support/support.h"

/* A scheme whose storages all show one memory, as a service would. */
typedef struct service {
    tarn__account account;
    tarn_storage *memory;
    uint32_t open_count;
    char address[128]; /* Of the latest. */
} service;

typedef struct face {
    tarn_storage base;
    tarn_storage_ops ops;
    service *service;
} face;

static void free_face(tarn_storage *base)
{
    ((face *)base)->service->open_count--;
    tarn__release(base);
}

static tarn_status face_begin(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error)
{
    tarn_storage *memory = ((face *)base)->service->memory;
    return memory->ops->begin(memory, name, flags, out, error);
}

static tarn_status face_read(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    tarn_storage *memory = ((face *)base)->service->memory;
    return memory->ops->read(memory, name, offset, into, size, size_out, error);
}

static tarn_status face_stat(
    tarn_storage *base, const char *name, tarn_storage_info *out, tarn_error *error)
{
    tarn_storage *memory = ((face *)base)->service->memory;
    return memory->ops->stat(memory, name, out, error);
}

static tarn_status face_remove(
    tarn_storage *base, const char *const *names, uint32_t count, tarn_error *error)
{
    tarn_storage *memory = ((face *)base)->service->memory;
    return memory->ops->remove(memory, names, count, error);
}

static tarn_status face_list(
    tarn_storage *base,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    tarn_storage *memory = ((face *)base)->service->memory;
    return memory->ops->list(memory, directory, visit, context, error);
}

static tarn_status open_face(
    const char *address, void *context, tarn_storage **out, tarn_error *error)
{
    service *s = context;
    face *self = tarn__allocate_zeroed(&s->account, 1, sizeof *self);
    if (self == NULL) {
        return tarn__fail_no_memory(error, "a storage", sizeof *self);
    }
    self->ops = (tarn_storage_ops){
        .struct_size = sizeof self->ops,
        .begin = face_begin,
        .append = s->memory->ops->append,
        .finish = s->memory->ops->finish,
        .abandon = s->memory->ops->abandon,
        .read = face_read,
        .stat = face_stat,
        .remove = face_remove,
        .list = face_list,
        .free = free_face,
    };
    snprintf(s->address, sizeof s->address, "%s", address);
    self->base = (tarn_storage){
        .ops = &self->ops, .address = s->address, .features = TARN_STORAGE_LATE_NAMES};
    self->service = s;
    s->open_count++;
    *out = &self->base;
    return TARN_OK;
}

static void start_service(service *s, tarn_storage_scheme *scheme)
{
    tarn_error error;
    *s = (service){.open_count = 0};
    tarn__account_init(&s->account, "service", NULL);
    assert_ok(tarn__memory_storage_new(&s->account, &s->memory, &error), &error);
    *scheme = (tarn_storage_scheme){.name = "own", .open = open_face, .context = s};
}

static void stop_service(service *s)
{
    assert_int_equal(s->open_count, 0);
    tarn__storage_free(s->memory);
    assert_int_equal(atomic_load(&s->account.block_count), 0);
}

/* scheme: of the application, or NULL. */
static tarn_env *open_env(const tarn_storage_scheme *scheme)
{
    tarn_error error;
    tarn_config *config = NULL;
    assert_ok(tarn_config_new(NULL, &config, &error), &error);
    assert_ok(
        tarn_config_set(config, "taskmanager.memory.flink.size", "1g", "test", &error), &error);
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    options.storage_schemes = scheme;
    options.storage_scheme_count = scheme != NULL ? 1 : 0;
    tarn_env *env = NULL;
    assert_ok(tarn_env_open(&options, &env, &error), &error);
    tarn_config_free(config);
    return env;
}

static bool count(const tarn_storage_entry *entry, void *context)
{
    (void)entry;
    ++*(uint32_t *)context;
    return true;
}

static void use(tarn_storage *storage)
{
    tarn_error error;
    tarn_storage_upload *upload = NULL;
    assert_ok(tarn_storage_begin(storage, "d/x", TARN_UPLOAD_IF_ABSENT, &upload, &error), &error);
    assert_ok(tarn_storage_append(upload, tarn_bytes_of("text"), &error), &error);
    assert_ok(tarn_storage_finish(upload, &error), &error);
    assert_ok(tarn_storage_begin(storage, "d/y", 0, &upload, &error), &error);
    tarn_storage_abandon(upload);
    char text[8] = "";
    size_t size = 0;
    assert_ok(tarn_storage_read(storage, "d/x", 1, text, 2, &size, &error), &error);
    assert_string_equal(text, "ex");
    tarn_storage_info info;
    assert_ok(tarn_storage_stat(storage, "d/x", &info, &error), &error);
    assert_int_equal(info.size, 4);
    uint32_t counted = 0;
    assert_ok(tarn_storage_list(storage, "d", count, &counted, &error), &error);
    assert_int_equal(counted, 1);
    const char *const names[] = {"d/x"};
    assert_ok(tarn_storage_remove(storage, names, 1, &error), &error);
    assert_int_equal(tarn_storage_stat(storage, "d/x", &info, &error), TARN_MISSING);
    assert_int_equal(
        tarn_storage_begin(storage, "../x", 0, &upload, &error), TARN_INVALID_ARGUMENT);
    assert_int_equal(tarn_storage_begin(storage, NULL, 0, &upload, &error), TARN_INVALID_ARGUMENT);
}

static void test_a_directory_is_used_by_its_address(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    tarn_error error;
    tarn_storage_open_options options;
    tarn_storage_open_options_init(&options, sizeof options);
    options.address = scratch_join(place.path, "place");
    options.must_exist = true;
    tarn_storage *storage = NULL;
    assert_int_equal(tarn_storage_open(&options, &storage, &error), TARN_MISSING);
    options.must_exist = false;
    assert_ok(tarn_storage_open(&options, &storage, &error), &error);
    assert_string_equal(tarn_storage_address(storage), options.address);
    use(storage);
    tarn_storage_close(storage);
    tarn_storage_close(NULL);
    options.address = NULL;
    assert_int_equal(tarn_storage_open(&options, &storage, &error), TARN_INVALID_ARGUMENT);
    options.address = "gs://bucket";
    assert_int_equal(tarn_storage_open(&options, &storage, &error), TARN_NOT_SUPPORTED);
    scratch_clear(&place);
}

static void test_a_scheme_of_the_application_is_asked_first(void **state)
{
    (void)state;
    service s;
    tarn_storage_scheme scheme;
    start_service(&s, &scheme);
    tarn_error error;
    tarn_storage_open_options options = TARN_STORAGE_OPEN_OPTIONS_INIT;
    options.address = "own://anywhere/at/all";
    options.schemes = &scheme;
    options.scheme_count = 1;
    tarn_storage *storage = NULL;
    assert_ok(tarn_storage_open(&options, &storage, &error), &error);
    assert_string_equal(s.address, "own://anywhere/at/all");
    use(storage);
    tarn_storage_close(storage);
    options.must_exist = true;
    assert_int_equal(tarn_storage_open(&options, &storage, &error), TARN_MISSING);
    stop_service(&s);
}

typedef struct seen {
    uint64_t ids[4];
    uint32_t count;
    uint32_t stop_after;
} seen;

static bool see(const tarn_checkpoint_entry *entry, void *context)
{
    seen *s = context;
    assert_int_equal(entry->status, TARN_OK);
    assert_in_range(s->count, 0, 3);
    s->ids[s->count++] = entry->summary.id;
    return s->count != s->stop_after;
}

/* A checkpoint of one source without keyed state. */
static void commit(tarn_checkpoint_store *store, uint64_t id)
{
    tarn_error error;
    const tarn_checkpoint_operator_state offset = {
        .name = "offset", .bytes = tarn_bytes_of("seventeen")};
    tarn_buffer part = TARN_BUFFER_INIT;
    tarn_pending_checkpoint *pending = NULL;
    assert_ok(tarn_checkpoint_begin(store, id, &pending, &error), &error);
    assert_ok(tarn_acknowledgement_encode(id, "source", 0, 1, &offset, 1, &part, &error), &error);
    assert_ok(tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&part), &error), &error);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &error), &error);
    tarn_buffer_clear(&part);
}

/* By the environment's schemes alone: the listing without it knows no such address. */
static void test_checkpoints_of_the_application_are_listed_and_name_their_job(void **state)
{
    (void)state;
    service s;
    tarn_storage_scheme scheme;
    start_service(&s, &scheme);
    tarn_error error;
    tarn_env *env = open_env(&scheme);
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = env;
    options.address = "own://service";
    options.job = "flights-2";
    options.retained_count = 3;
    tarn_checkpoint_store *store = NULL;
    assert_ok(tarn_checkpoint_store_open(&options, &store, &error), &error);
    commit(store, 9);
    commit(store, 10);
    assert_ok(tarn_checkpoint_store_close(store, &error), &error);

    const char *const place = "own://service/flights-2";
    seen s2 = {.count = 0};
    assert_ok(tarn_checkpoint_list_in(env, place, see, &s2, &error), &error);
    assert_int_equal(s2.count, 2);
    assert_int_equal(s2.ids[0], 9);
    assert_int_equal(s2.ids[1], 10);
    s2 = (seen){.stop_after = 1};
    assert_ok(tarn_checkpoint_list_in(env, place, see, &s2, &error), &error);
    assert_int_equal(s2.count, 1);
    assert_int_equal(tarn_checkpoint_list(place, see, &s2, &error), TARN_NOT_SUPPORTED);

    tarn_checkpoint *checkpoint = NULL;
    assert_ok(tarn_checkpoint_open_in(env, place, NULL, &checkpoint, &error), &error);
    assert_string_equal(tarn_checkpoint_job(checkpoint), "flights-2");
    assert_int_equal(tarn_checkpoint_summarize(checkpoint).id, 10);
    tarn_checkpoint_free(checkpoint);
    assert_ok(tarn_env_close(env, &error), &error);
    stop_service(&s);
}

static void test_a_listing_without_what_it_needs_is_refused(void **state)
{
    (void)state;
    tarn_error error;
    tarn_env *env = open_env(NULL);
    seen s = {.count = 0};
    assert_int_equal(
        tarn_checkpoint_list_in(NULL, "/tmp/job", see, &s, &error), TARN_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "env"));
    assert_int_equal(tarn_checkpoint_list_in(env, NULL, see, &s, &error), TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_checkpoint_list_in(env, "/tmp/job", NULL, &s, &error), TARN_INVALID_ARGUMENT);
    assert_int_equal(
        tarn_checkpoint_list_in(env, "own://service/job", see, &s, &error), TARN_NOT_SUPPORTED);
    assert_int_equal(s.count, 0);
    assert_ok(tarn_env_close(env, &error), &error);
}

static void test_checkpoints_live_in_a_storage_of_the_application(void **state)
{
    (void)state;
    service s;
    tarn_storage_scheme scheme;
    start_service(&s, &scheme);
    tarn_error error;
    tarn_env *env = open_env(&scheme);
    tarn_checkpoint_store_options store_options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    store_options.env = env;
    store_options.address = "own://service";
    store_options.job = "job";
    tarn_checkpoint_store *store = NULL;
    assert_ok(tarn_checkpoint_store_open(&store_options, &store, &error), &error);
    assert_string_equal(s.address, "own://service/job");
    assert_int_equal(tarn_checkpoint_store_next_id(store), 1);
    assert_ok(tarn_checkpoint_store_close(store, &error), &error);
    tarn_checkpoint *checkpoint = NULL;
    assert_int_equal(
        tarn_checkpoint_open_in(env, "own://service/job/chk-3", NULL, &checkpoint, &error),
        TARN_MISSING);
    assert_int_equal(
        tarn_checkpoint_open_in(NULL, "own://service/job", NULL, &checkpoint, &error),
        TARN_INVALID_ARGUMENT);
    assert_ok(tarn_env_close(env, &error), &error);
    stop_service(&s);
}

/* As from "s3://$BUCKET" with an empty variable: nothing may go to a directory of this machine. */
static void test_an_address_without_a_place_is_refused_everywhere(void **state)
{
    (void)state;
    static const char *const addresses[] = {
        "s3://",
        "s3:///",
        "s3a:///path",
        "hdfs://",
        "webhdfs://",
        "swebhdfs:///",
        "s3:/bucket",
        "://x",
        "file://"};
    scratch place;
    scratch_init(&place);
    tarn_error error;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(place.path), 0);
    tarn_env *env = open_env(NULL);
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        print_message("%s\n", addresses[i]);
        tarn_storage_open_options options = TARN_STORAGE_OPEN_OPTIONS_INIT;
        options.address = addresses[i];
        tarn_storage *storage = NULL;
        assert_int_equal(tarn_storage_open(&options, &storage, &error), TARN_INVALID_ARGUMENT);
        tarn_checkpoint *checkpoint = NULL;
        assert_int_equal(
            tarn_checkpoint_open(addresses[i], NULL, &checkpoint, &error), TARN_INVALID_ARGUMENT);
        assert_int_equal(
            tarn_checkpoint_open_in(env, addresses[i], NULL, &checkpoint, &error),
            TARN_INVALID_ARGUMENT);
        tarn_checkpoint_store_options store_options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
        store_options.env = env;
        store_options.address = addresses[i];
        store_options.job = "job";
        tarn_checkpoint_store *store = NULL;
        assert_int_equal(
            tarn_checkpoint_store_open(&store_options, &store, &error), TARN_INVALID_ARGUMENT);
        tarn_savepoint_options savepoint = TARN_SAVEPOINT_OPTIONS_INIT;
        savepoint.env = env;
        savepoint.address = addresses[i];
        savepoint.job = "job";
        tarn_pending_checkpoint *pending = NULL;
        assert_int_equal(tarn_savepoint_begin(&savepoint, &pending, &error), TARN_INVALID_ARGUMENT);
    }
    assert_int_equal(rmdir(place.path), 0); /* Still empty. */
    assert_int_equal(mkdir(place.path, 0700), 0);
    assert_int_equal(chdir(before), 0);
    assert_ok(tarn_env_close(env, &error), &error);
    scratch_clear(&place);
}

/* A bucket or host may be named like a checkpoint. */
static void test_a_host_is_no_checkpoint(void **state)
{
    (void)state;
    service s;
    tarn_storage_scheme scheme;
    start_service(&s, &scheme);
    tarn_error error;
    tarn_env *env = open_env(&scheme);
    tarn_checkpoint *checkpoint = NULL;
    assert_int_equal(
        tarn_checkpoint_open_in(env, "own://chk-1", NULL, &checkpoint, &error), TARN_MISSING);
    assert_string_equal(s.address, "own://chk-1");
    assert_ok(tarn_env_close(env, &error), &error);
    stop_service(&s);
}

static void test_opening_survives_every_allocation_failure(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    tarn_error error;
    for (uint32_t nth = 0;; nth++) {
        fault_allocator allocator;
        fault_allocator_init(&allocator, nth);
        tarn_storage_open_options options = TARN_STORAGE_OPEN_OPTIONS_INIT;
        options.address = place.path;
        options.allocator = &allocator.base;
        tarn_storage *storage = NULL;
        const tarn_status status = tarn_storage_open(&options, &storage, &error);
        assert_int_equal(status, allocator.fired ? TARN_NO_MEMORY : TARN_OK);
        tarn_storage_close(storage);
        assert_int_equal(atomic_load(&allocator.live_count), 0);
        if (!allocator.fired) {
            break;
        }
    }
    scratch_clear(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_directory_is_used_by_its_address),
        cmocka_unit_test(test_a_scheme_of_the_application_is_asked_first),
        cmocka_unit_test(test_checkpoints_of_the_application_are_listed_and_name_their_job),
        cmocka_unit_test(test_a_listing_without_what_it_needs_is_refused),
        cmocka_unit_test(test_checkpoints_live_in_a_storage_of_the_application),
        cmocka_unit_test(test_an_address_without_a_place_is_refused_everywhere),
        cmocka_unit_test(test_a_host_is_no_checkpoint),
        cmocka_unit_test(test_opening_survives_every_allocation_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
