/*
 * test_secrets.c - keys and tokens are written over when what held them ends.
 *
 *     a thread on a stack of the test's own ──► configuration, storage, requests
 *          │ their memory comes from an allocator that looks at each block as it is given back
 *          ▼
 *     afterwards the stack is looked at
 *
 * What curl keeps while it works is its own.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "storage/shims.h"
#include "support/fault_server.h"
#include "support/support.h"

enum { STACK_BYTES = 1 << 20, HEADER_BYTES = 16 };

static const char *const SECRETS[] = {
    "first-hidden-text", "second-hidden-text", "third-hidden-text", FAULT_SERVER_TOKEN};

/* Byte by byte: a stack has places that an address sanitizer would not let memcmp() look at. */
__attribute__((no_sanitize("address"))) static const char *find_secret(
    const uint8_t *bytes, size_t size)
{
    for (size_t s = 0; s < sizeof SECRETS / sizeof SECRETS[0]; s++) {
        for (size_t at = 0; at < size; at++) {
            size_t same = 0;
            while (SECRETS[s][same] != '\0' && at + same < size &&
                   bytes[at + same] == (uint8_t)SECRETS[s][same]) {
                same++;
            }
            if (SECRETS[s][same] == '\0') {
                return SECRETS[s];
            }
        }
    }
    return NULL;
}

/* --- The allocator --- */

typedef struct watch {
    tarn_allocator face;
    atomic_uint found; /* Blocks that were given back with a secret in them. */
} watch;

static void *allocate(size_t size, void *context)
{
    (void)context;
    uint8_t *block = calloc(1, HEADER_BYTES + size); /* No leftovers of curl's. */
    if (block == NULL) {
        return NULL;
    }
    memcpy(block, &size, sizeof size);
    return block + HEADER_BYTES;
}

static void release(void *memory, void *context)
{
    size_t size = 0;
    if (memory == NULL) {
        return;
    }
    uint8_t *block = (uint8_t *)memory - HEADER_BYTES;
    memcpy(&size, block, sizeof size);
    if (find_secret(memory, size) != NULL) {
        atomic_fetch_add(&((watch *)context)->found, 1);
    }
    free(block);
}

static void *reallocate(void *memory, size_t size, void *context)
{
    uint8_t *larger = allocate(size, context);
    if (larger != NULL && memory != NULL) {
        size_t old = 0;
        memcpy(&old, (uint8_t *)memory - HEADER_BYTES, sizeof old);
        memcpy(larger, memory, old < size ? old : size);
        release(memory, context);
    }
    return larger;
}

/* --- What is watched --- */

typedef struct scene {
    const char *script;
    const char *const *settings; /* Keys and values in turn; NULL ends. */
    bool is_hdfs;
    watch watch;
    fault_server *server;
    tarn_status status; /* Of the last request. */
} scene;

static tarn_config *make_config(scene *s)
{
    tarn_config *config = NULL;
    tarn_error error;
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", fault_server_port(s->server));
    assert_ok(tarn_config_new(&s->watch.face, &config, &error), &error);
    assert_ok(tarn_config_set(config, "s3.endpoint", endpoint, NULL, &error), &error);
    for (const char *const *at = s->settings; *at != NULL; at += 2) {
        assert_ok(tarn_config_set(config, at[0], at[1], NULL, &error), &error);
    }
    return config;
}

static void use(tarn_storage *storage, scene *s)
{
    tarn_error error;
    uint8_t bytes[16];
    size_t got = 0;
    static const char *const names[] = {"a/name"};
    tarn_storage_upload *upload = NULL;
    s->status = tarn__storage_begin(storage, "a/name", 0, &upload, &error);
    if (s->status == TARN_OK) {
        s->status = tarn__storage_append(upload, tarn_bytes_of("text"), &error);
        if (s->status == TARN_OK) {
            s->status = tarn__storage_finish(upload, s->is_hdfs ? "a/name" : NULL, &error);
        } else {
            tarn__storage_abandon(upload);
        }
    }
    (void)!tarn__storage_read(storage, "a/name", 0, bytes, sizeof bytes, &got, &error);
    (void)!tarn__storage_remove(storage, names, 1, &error);
}

static void *play(void *context)
{
    scene *s = context;
    tarn__account account;
    tarn_error error;
    char address[96];
    tarn__uri uri;
    tarn_storage *storage = NULL;
    tarn__account_init(&account, "test", &s->watch.face);
    tarn_config *config = make_config(s);
    snprintf(address, sizeof address, "webhdfs://127.0.0.1:%u/x", fault_server_port(s->server));
    if (!s->is_hdfs) {
        snprintf(address, sizeof address, "s3://bucket/x");
    }
    const tarn__storage_options options = {
        .address = address, .account = &account, .config = config};
    assert_ok(tarn__uri_parse(address, &uri, &error), &error);
    assert_ok(
        s->is_hdfs ? tarn__webhdfs_storage_open(&options, &uri, &storage, &error)
                   : tarn__s3_storage_open(&options, &uri, &storage, &error),
        &error);
    use(storage, s);
    tarn__storage_free(storage);
    tarn_config_free(config);
    assert_int_equal(atomic_load(&account.block_count), 0);
    return NULL;
}

static void expect_nothing_left(scene *s)
{
    pthread_t thread;
    pthread_attr_t attributes;
    uint8_t *stack = mmap(
        NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    assert_true(stack != MAP_FAILED);
    s->watch.face = (tarn_allocator){allocate, reallocate, release, &s->watch};
    s->server = fault_server_start(s->script, 0);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK_BYTES), 0);
    assert_int_equal(pthread_create(&thread, &attributes, play, s), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attributes);
    assert_int_equal(atomic_load(&s->watch.found), 0);
    const char *found = find_secret(stack, STACK_BYTES);
    assert_string_equal(found != NULL ? found : "", "");
    munmap(stack, STACK_BYTES);
}

static void test_keys_of_s3_are_written_over(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "s3.access-key",
        "first-hidden-text",
        "s3.secret-key",
        "second-hidden-text",
        "s3.session-token",
        "third-hidden-text",
        NULL};
    /* With credentials that were refused once, and so looked for again. */
    static const char *const scripts[] = {"", "PUT 1 expired", "GET * status 503"};
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        scene s = {.script = scripts[i], .settings = settings};
        expect_nothing_left(&s);
        assert_true(fault_server_saw(s.server, "third-hidden-text")); /* It was sent. */
        fault_server_stop(s.server);
    }
}

static void test_tokens_of_hdfs_are_written_over_also_those_of_redirects(void **state)
{
    (void)state;
    static const char *const settings[] = {"webhdfs.delegation-token", "first-hidden-text", NULL};
    static const char *const scripts[] = {
        "* 1 redirect\n* * status 403\n", "* * redirect\n", "* * status 404\n"};
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        scene s = {.script = scripts[i], .settings = settings, .is_hdfs = true};
        expect_nothing_left(&s);
        assert_int_not_equal(s.status, TARN_OK);
        assert_true(fault_server_saw(s.server, "delegation=first-hidden-text"));
        if (strstr(scripts[i], "redirect") != NULL) {
            assert_true(fault_server_saw(s.server, "delegation=" FAULT_SERVER_TOKEN));
        }
        fault_server_stop(s.server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_of_s3_are_written_over),
        cmocka_unit_test(test_tokens_of_hdfs_are_written_over_also_those_of_redirects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
