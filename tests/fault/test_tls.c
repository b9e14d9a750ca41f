/*
 * test_tls.c - who a server is: certificates are verified unless nobody asked for TLS, a CA of
 * one's own is named by an option, and what is refused has seen no request. Proxies are those of
 * curl.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/storage.h"
#include "support/fault_server.h"
#include "support/scratch.h"
#include "support/support.h"
#include "support/tls_front.h"

static const char SECRET[] = "secret-of-the-test";

typedef struct fixture {
    scratch scratch;
    char ca_file[4096];
    tarn__account account;
    fault_server *server;
    tls_front *front;
    tarn_config *config;
    tarn_error error;
} fixture;

static void set(fixture *f, const char *key, const char *value)
{
    assert_ok(tarn_config_set(f->config, key, value, "test", &f->error), &f->error);
}

static void open_fixture(fixture *f, tls_flaw flaw)
{
    *f = (fixture){.server = fault_server_start(NULL, 0)};
    scratch_init(&f->scratch);
    snprintf(f->ca_file, sizeof f->ca_file, "%s", scratch_join(f->scratch.path, "ca.pem"));
    f->front = tls_front_start(fault_server_port(f->server), flaw, f->ca_file);
    tarn__account_init(&f->account, "test", NULL);
    assert_ok(tarn_config_new(NULL, &f->config, &f->error), &f->error);
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "https://127.0.0.1:%u", tls_front_port(f->front));
    set(f, "s3.endpoint", endpoint);
    set(f, "s3.access-key", "key-of-the-test");
    set(f, "s3.secret-key", SECRET);
    set(f, "tarn.storage.tls.ca-file", f->ca_file);
    set(f, "tarn.storage.retry.attempts", "2");
}

static void close_fixture(fixture *f)
{
    assert_int_equal(atomic_load(&f->account.block_count), 0);
    assert_false(fault_server_saw(f->server, SECRET));
    tarn_config_free(f->config);
    tls_front_stop(f->front);
    fault_server_stop(f->server);
    scratch_clear(&f->scratch);
}

static tarn_storage *open_storage(fixture *f, const char *address)
{
    const tarn__storage_options options = {
        .address = address, .account = &f->account, .config = f->config};
    tarn_storage *storage = NULL;
    assert_ok(tarn__storage_open(&options, &storage, &f->error), &f->error);
    return storage;
}

/* Stores an object and reads it back. */
static tarn_status exchange(fixture *f, const char *address)
{
    tarn_storage *storage = open_storage(f, address);
    tarn_storage_upload *upload = NULL;
    assert_ok(tarn__storage_begin(storage, "x", 0, &upload, &f->error), &f->error);
    assert_ok(tarn__storage_append(upload, tarn_bytes_of("content"), &f->error), &f->error);
    tarn_status status = tarn__storage_finish(upload, NULL, &f->error);
    char text[16] = "";
    size_t size = 0;
    if (status == TARN_OK) {
        status = tarn__storage_read(storage, "x", 0, text, sizeof text, &size, &f->error);
    }
    if (status == TARN_OK) {
        assert_int_equal(size, strlen("content"));
        assert_memory_equal(text, "content", size);
    }
    tarn__storage_free(storage);
    return status;
}

static void test_a_server_of_the_named_ca_is_trusted(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, TLS_FLAWLESS);
    assert_ok(exchange(&f, "s3://bucket/x"), &f.error);
    assert_true(tls_front_sessions(f.front) > 0);
    assert_true(fault_server_saw(f.server, "PUT /bucket/x/x"));
    close_fixture(&f);
}

static void test_who_is_not_who_it_says_is_refused(void **state)
{
    (void)state;
    static const tls_flaw flaws[] = {TLS_EXPIRED, TLS_OTHER_HOST, TLS_OTHER_CA};
    for (size_t i = 0; i < sizeof flaws / sizeof flaws[0]; i++) {
        fixture f;
        open_fixture(&f, flaws[i]);
        assert_int_equal(exchange(&f, "s3://bucket/x"), TARN_DECLINED);
        assert_non_null(strstr(f.error.message, "https://127.0.0.1:"));
        assert_non_null(strstr(f.error.message, "certificate"));
        assert_int_equal(fault_server_requests(f.server), 0);
        close_fixture(&f);
    }
}

/* A bad signature is no different to OpenSSL from a handshake that broke: it is tried again, and
 * refused again. */
static void test_a_forged_ca_is_refused(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, TLS_FORGED_CA);
    assert_int_not_equal(exchange(&f, "s3://bucket/x"), TARN_OK);
    assert_int_equal(tls_front_sessions(f.front), 0);
    assert_int_equal(fault_server_requests(f.server), 0);
    close_fixture(&f);
}

/* The CA of the test is in no system's list: without the option nothing vouches for it. */
static void test_certificates_are_verified_unasked(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, TLS_FLAWLESS);
    set(&f, "tarn.storage.tls.ca-file", "");
    assert_int_equal(exchange(&f, "s3://bucket/x"), TARN_DECLINED);
    assert_int_equal(fault_server_requests(f.server), 0);
    close_fixture(&f);
}

static void test_a_ca_file_that_is_none_is_said(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, TLS_FLAWLESS);
    set(&f, "tarn.storage.tls.ca-file", "/nonexistent/ca.pem");
    assert_int_equal(exchange(&f, "s3://bucket/x"), TARN_DECLINED);
    assert_non_null(strstr(f.error.message, "/nonexistent/ca.pem"));
    assert_int_equal(fault_server_requests(f.server), 0);
    close_fixture(&f);
}

/* HDFS over TLS has the same client. */
static void test_hdfs_over_tls_is_verified_too(void **state)
{
    (void)state;
    fixture f;
    char address[64];
    open_fixture(&f, TLS_OTHER_CA);
    set(&f, "webhdfs.user", "somebody");
    snprintf(address, sizeof address, "swebhdfs://127.0.0.1:%u/x", tls_front_port(f.front));
    tarn_storage *storage = open_storage(&f, address);
    tarn_storage_info info;
    assert_int_equal(tarn__storage_stat(storage, "x", &info, &f.error), TARN_DECLINED);
    assert_int_equal(fault_server_requests(f.server), 0);
    tarn__storage_free(storage);
    close_fixture(&f);
}

/* http_proxy and no_proxy mean what they mean to curl. */
static void test_a_proxy_is_used_as_curl_would(void **state)
{
    (void)state;
    fixture f;
    char proxy[64];
    open_fixture(&f, TLS_FLAWLESS);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", fault_server_port(f.server));
    set(&f, "s3.endpoint", "http://s3.test.invalid");
    assert_int_equal(setenv("http_proxy", proxy, 1), 0);
    assert_int_equal(unsetenv("no_proxy"), 0);
    assert_int_equal(unsetenv("NO_PROXY"), 0);
    tarn_storage *storage = open_storage(&f, "s3://bucket/x");
    tarn_storage_info info;
    assert_int_equal(tarn__storage_stat(storage, "y", &info, &f.error), TARN_MISSING);
    assert_true(fault_server_saw(f.server, "HEAD http://s3.test.invalid/bucket/x/y HTTP"));
    tarn__storage_free(storage);
    assert_int_equal(setenv("no_proxy", "127.0.0.1", 1), 0);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", fault_server_port(f.server));
    set(&f, "s3.endpoint", proxy);
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    assert_ok(exchange(&f, "s3://bucket/x"), &f.error);
    assert_int_equal(unsetenv("http_proxy"), 0);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_server_of_the_named_ca_is_trusted),
        cmocka_unit_test(test_who_is_not_who_it_says_is_refused),
        cmocka_unit_test(test_a_forged_ca_is_refused),
        cmocka_unit_test(test_certificates_are_verified_unasked),
        cmocka_unit_test(test_a_ca_file_that_is_none_is_said),
        cmocka_unit_test(test_hdfs_over_tls_is_verified_too),
        cmocka_unit_test(test_a_proxy_is_used_as_curl_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
