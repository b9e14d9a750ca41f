/*
 * test_faults.c - a job's checkpoints on a real server behind a proxy that misbehaves.
 *
 *     backend ──► proxy: refuses, resets, drips, cuts, lies, loses answers ──► server
 *     server: S3Proxy, HttpFS, or a name node, whose data node is asked past the proxy
 *
 * For each fault: a checkpoint is taken in peace, one under the fault, which is completed or fails
 * with a reason within bounded time and memory, and one in peace again. Then every checkpoint that
 * is listed as complete is read to the last byte, and the newest is restored.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tarn/snapshot.h"
#include "tarn/state.h"

#include "base/clock.h"
#include "support/fault_server.h"
#include "support/scratch.h"
#include "support/support.h"

enum {
    NS_PER_MS = 1000000,
    KEYS = 40,
    VALUE_BYTES = 60000, /* Files are large enough not to be packed. */
    BOUND_MS =
        40000, /* Of a checkpoint under any fault: a few efforts of 2 s, one after the other. */
    GROWTH_BYTES_MAX = 96 << 20,
    PEACE_ATTEMPTS = 8,
};

static const char SECRET[] = "testsecret1";

typedef struct server {
    const char *name;
    const char *variable; /* Of the environment: where it is, if it is there. */
    bool is_s3;
    bool is_name_node; /* Bytes of files do not come from it. */
} server;

static const server servers[] = {
    {"S3", "AWS_ENDPOINT_URL", true, false},
    {"HttpFS", "TARN_HTTPFS", false, false},
    {"WebHDFS", "TARN_WEBHDFS", false, true},
};

enum { SERVERS = sizeof servers / sizeof servers[0] };

/* Which servers a fault is for. */
typedef enum scope { ALL, FILES, S3_ALONE } scope; /* FILES: those that give bytes of files. */

/* What comes of a checkpoint. LASTING: either, and a connection may be one answer behind from then
 * on. */
typedef enum outcome { COMPLETES, EITHER, LASTING } outcome;

typedef struct fault {
    const char *name;
    const char *script;
    outcome outcome;
    scope scope;
} fault;

static const fault faults[] = {
    {"a storm of 503", "* 5 status 503", COMPLETES, ALL},
    {"a storm of 429", "* 5 status 429", COMPLETES, FILES},
    {"a storm of 500", "* 4 status 500", COMPLETES, FILES},
    {"no end of 503", "* * status 503", EITHER, FILES},
    {"connections reset", "* 4 reset", COMPLETES, ALL},
    {"answers lost", "PUT 2 lost\nPOST 1 lost", COMPLETES, ALL},
    {"the answer to each commit lost", "PUT 1 pass\nPUT * lost", EITHER, ALL},
    {"answers cut in their bodies", "GET 3 truncate", COMPLETES, FILES},
    /* HTTP/1.1 does not say which request an answer is to: when the second one comes after the
     * client has looked at the connection, it is taken for that to the next request. */
    {"answers twice", "PUT 2 duplicate\nGET 1 duplicate", LASTING, FILES},
    {"garbage", "* 2 garbage", COMPLETES, FILES},
    {"a head without an end", "* 1 huge_head", COMPLETES, FILES},
    {"a body that is too long", "GET 2 long", COMPLETES, S3_ALONE},
    {"bytes that flip on the way there", "PUT 2 spoil", COMPLETES, S3_ALONE},
    {"a slow drip", "* * drip", EITHER, FILES},
    {"no answer", "* * hang", EITHER, FILES},
    {"credentials that have run out", "* * expired", EITHER, S3_ALONE},
    {"clocks that differ", "* * skewed", EITHER, S3_ALONE},
    {"a redirection to elsewhere", "PUT * redirect", EITHER, S3_ALONE},
    {"listings that lag", "GET * stale", COMPLETES, S3_ALONE},
};

static bool concerns(const fault *f, const server *s)
{
    return f->scope == ALL || (f->scope == S3_ALONE ? s->is_s3 : !s->is_name_node);
}

typedef struct job {
    scratch scratch;
    fault_server *proxy;
    char address[256]; /* "s3://.../" or "webhdfs://..." */
    tarn_config *config;
    tarn_env *env;
    tarn_backend *backend;
    tarn_value *value;
    tarn_checkpoint_store *store;
    uint32_t written; /* The number in every value. */
    uint32_t kept;    /* As of the newest checkpoint that was completed. */
    tarn_error error;
} job;

static void set(job *j, const char *key, const char *value)
{
    assert_ok(tarn_config_set(j->config, key, value, "test", &j->error), &j->error);
}

static uint16_t port_of(const char *variable)
{
    const char *value = getenv(variable);
    assert_non_null(value);
    return (uint16_t)strtoul(strrchr(value, ':') + 1, NULL, 10);
}

/* is_patient: a server that is slow today is waited for; else what never ends is given up soon. */
static void open_env(job *j, const server *s, bool is_patient)
{
    const char *timeout = is_patient ? "120 s" : "500 ms";
    assert_ok(tarn_config_new(NULL, &j->config, &j->error), &j->error);
    set(j, "taskmanager.memory.process.size", "1g");
    set(j, "tarn.storage.connect-timeout", timeout);
    set(j, "tarn.storage.first-byte-timeout", timeout);
    set(j, "tarn.storage.stall-timeout", timeout);
    set(j, "tarn.storage.retry.budget", is_patient ? "300 s" : "2 s");
    if (s->is_s3) {
        char endpoint[64];
        snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", fault_server_port(j->proxy));
        set(j, "s3.endpoint", endpoint);
    }
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = j->config;
    assert_ok(tarn_env_open(&options, &j->env, &j->error), &j->error);
}

static void close_env(job *j)
{
    assert_ok(tarn_env_close(j->env, &j->error), &j->error);
    tarn_config_free(j->config);
}

static void open_job(job *j, const server *s, uint32_t number, bool is_patient)
{
    *j = (job){.written = 0};
    scratch_init(&j->scratch);
    j->proxy = fault_server_start(NULL, port_of(s->variable));
    if (s->is_s3) {
        snprintf(
            j->address, sizeof j->address, "s3://tarn-test/faults-%d-%u", (int)getpid(), number);
    } else {
        snprintf(
            j->address,
            sizeof j->address,
            "webhdfs://127.0.0.1:%u/faults-%d-%u",
            fault_server_port(j->proxy),
            (int)getpid(),
            number);
    }
    open_env(j, s, is_patient);
}

static void close_job(job *j)
{
    close_env(j);
    assert_false(fault_server_saw(j->proxy, SECRET));
    fault_server_stop(j->proxy);
    scratch_clear(&j->scratch);
}

static void open_state(job *j, const char *work, tarn_checkpoint *restored)
{
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = j->env;
    options.operator_name = "op";
    options.directory = scratch_join(j->scratch.path, work);
    options.restore = restored;
    assert_ok(tarn_backend_open(&options, &j->backend, &j->error), &j->error);
    tarn_state_options state = TARN_STATE_OPTIONS_INIT;
    state.name = "v";
    assert_ok(tarn_value_open(j->backend, &state, &j->value, &j->error), &j->error);
}

static void close_state(job *j)
{
    assert_ok(tarn_value_close(j->value, &j->error), &j->error);
    assert_ok(tarn_backend_close(j->backend, &j->error), &j->error);
}

static void open_store(job *j)
{
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = j->env;
    options.address = j->address;
    options.job = "job";
    options.retained_count = 3;
    assert_ok(tarn_checkpoint_store_open(&options, &j->store, &j->error), &j->error);
}

/* Values that no compression makes small. */
static void fill_value(uint32_t key, uint32_t number, uint8_t value[VALUE_BYTES])
{
    uint64_t random = ((uint64_t)number << 32 | key) * 2 + 1;
    for (size_t i = 0; i < VALUE_BYTES; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        value[i] = (uint8_t)random;
    }
}

static void write_values(job *j)
{
    static uint8_t value[VALUE_BYTES];
    j->written++;
    for (uint32_t key = 0; key < KEYS; key++) {
        fill_value(key, j->written, value);
        assert_ok(
            tarn_backend_set_key(j->backend, tarn_bytes_at(&key, sizeof key), &j->error),
            &j->error);
        assert_ok(
            tarn_value_put(j->value, tarn_bytes_at(value, sizeof value), &j->error), &j->error);
    }
}

static void expect_values(job *j, uint32_t number)
{
    static uint8_t value[VALUE_BYTES];
    for (uint32_t key = 0; key < KEYS; key++) {
        tarn_bytes found;
        fill_value(key, number, value);
        assert_ok(
            tarn_backend_set_key(j->backend, tarn_bytes_at(&key, sizeof key), &j->error),
            &j->error);
        assert_ok(tarn_value_get(j->value, &found, &j->error), &j->error);
        assert_true(tarn_bytes_is_equal(found, tarn_bytes_at(value, sizeof value)));
    }
}

/* Takes a checkpoint of what is written now. What fails is given up, as a coordinator would. */
static tarn_status checkpoint(job *j)
{
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer part = TARN_BUFFER_INIT;
    write_values(j);
    const uint64_t id = tarn_checkpoint_store_next_id(j->store);
    tarn_status status = tarn_checkpoint_begin(j->store, id, &pending, &j->error);
    if (status != TARN_OK) {
        return status;
    }
    status = tarn_snapshot_begin(j->backend, pending, &snapshot, &j->error);
    if (status == TARN_OK) {
        status = tarn_snapshot_finish(snapshot, &part, &j->error);
    }
    if (status == TARN_OK) {
        status = tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&part), &j->error);
    }
    if (status == TARN_OK) {
        status = tarn_checkpoint_commit(pending, NULL, &j->error);
    } else {
        tarn_checkpoint_abandon(pending);
    }
    tarn_buffer_clear(&part);
    j->kept = status == TARN_OK ? j->written : j->kept;
    return status;
}

/* Without faults, but perhaps without patience: a server that was slower than that is asked anew.
 */
static void checkpoint_in_peace(job *j)
{
    tarn_status status = checkpoint(j);
    for (int i = 1; status == TARN_TIMED_OUT && i < PEACE_ATTEMPTS; i++) {
        print_message("once more: %.200s\n", j->error.message);
        status = checkpoint(j);
    }
    assert_ok(status, &j->error);
}

static uint64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long long all = 0;
    unsigned long long resident = 0;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%llu %llu", &all, &resident), 2);
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Reads every file of a checkpoint, and compares what it says. */
static void expect_whole(job *j, uint64_t id)
{
    char place[300];
    snprintf(place, sizeof place, "%s/job/chk-%llu", j->address, (unsigned long long)id);
    tarn_checkpoint *opened = NULL;
    tarn_checkpoint_verification found;
    const tarn_status status = tarn_checkpoint_open_in(j->env, place, NULL, &opened, &j->error);
    if (status == TARN_MISSING) {
        return; /* It does not exist, as a whole. */
    }
    assert_ok(status, &j->error);
    assert_ok(tarn_checkpoint_verify(opened, NULL, NULL, &found, &j->error), &j->error);
    assert_int_equal(found.bad_count, 0);
    tarn_checkpoint_free(opened);
}

static void expect_restored(job *j)
{
    char place[300];
    snprintf(place, sizeof place, "%s/job", j->address);
    tarn_checkpoint *opened = NULL;
    assert_ok(tarn_checkpoint_open_in(j->env, place, NULL, &opened, &j->error), &j->error);
    open_state(j, "restored", opened);
    expect_values(j, j->kept);
    close_state(j);
    tarn_checkpoint_free(opened);
}

static void connect_again(job *j, const server *s, bool is_patient)
{
    close_state(j);
    assert_ok(tarn_checkpoint_store_close(j->store, &j->error), &j->error);
    close_env(j);
    open_env(j, s, is_patient);
    open_store(j);
    open_state(j, "again", NULL);
}

static void run_fault(const fault *f, const server *s, uint32_t number)
{
    job j;
    const bool is_patient = f->outcome != EITHER;
    open_job(&j, s, number, is_patient);
    open_store(&j);
    open_state(&j, "work", NULL);
    checkpoint_in_peace(&j);
    const uint64_t resident = resident_bytes();
    const uint64_t begun = tarn__clock_monotonic_ns(tarn__clock_system());
    fault_server_script(j.proxy, f->script);
    const tarn_status status = checkpoint(&j);
    fault_server_script(j.proxy, NULL);
    const uint64_t took_ms = (tarn__clock_monotonic_ns(tarn__clock_system()) - begun) / NS_PER_MS;
    print_message(
        "%s: %s, %s in %llu ms after %llu faults%s%.160s\n",
        s->name,
        f->name,
        tarn_status_name(status),
        (unsigned long long)took_ms,
        (unsigned long long)fault_server_faults(j.proxy),
        status != TARN_OK ? ": " : "",
        status != TARN_OK ? j.error.message : "");
    if (strstr(f->script, "stale") == NULL && strncmp(f->script, "GET", 3) != 0) {
        assert_true(fault_server_faults(j.proxy) > 0);
    }
    assert_true(status == TARN_OK || f->outcome != COMPLETES);
    assert_true(status == TARN_OK || j.error.message[0] != '\0');
    assert_null(status == TARN_OK ? NULL : strstr(j.error.message, SECRET));
    assert_true(took_ms < BOUND_MS);
    assert_true(resident_bytes() < resident + GROWTH_BYTES_MAX);
    if (f->outcome == LASTING) {
        connect_again(&j, s, is_patient);
    }
    checkpoint_in_peace(&j); /* The next one is taken as if nothing had been. */
    const uint64_t next_id = tarn_checkpoint_store_next_id(j.store);
    close_state(&j);
    assert_ok(tarn_checkpoint_store_close(j.store, &j.error), &j.error);
    close_env(&j);
    open_env(&j, s, /* is_patient= */ true);
    for (uint64_t id = 1; id < next_id; id++) {
        expect_whole(&j, id);
    }
    expect_restored(&j);
    close_job(&j);
}

/* A restore under faults is whole, or refused with a reason: damaged bytes do not come back. */
static void run_restores(const server *s)
{
    static const struct {
        const char *script;
        bool is_late; /* Only when the checkpoint has been opened. */
        tarn_status expected;
    } cases[] = {
        {"GET 3 truncate", false, TARN_OK},
        {"GET 2 reset", false, TARN_OK},
        {"GET 3 status 503", false, TARN_OK},
        {"GET * flip", true, TARN_CORRUPTION},
    };
    job j;
    open_job(&j, s, 1000, /* is_patient= */ true);
    open_store(&j);
    open_state(&j, "work", NULL);
    assert_ok(checkpoint(&j), &j.error);
    close_state(&j);
    assert_ok(tarn_checkpoint_store_close(j.store, &j.error), &j.error);
    char place[300];
    snprintf(place, sizeof place, "%s/job/chk-1", j.address);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tarn_checkpoint *opened = NULL;
        const uint64_t before = fault_server_faults(j.proxy);
        fault_server_script(j.proxy, cases[i].is_late ? NULL : cases[i].script);
        tarn_status status = tarn_checkpoint_open_in(j.env, place, NULL, &opened, &j.error);
        fault_server_script(j.proxy, cases[i].script);
        if (status == TARN_OK) {
            tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
            char work[32];
            snprintf(work, sizeof work, "restore-%zu", i);
            options.env = j.env;
            options.operator_name = "op";
            options.directory = scratch_join(j.scratch.path, work);
            options.restore = opened;
            status = tarn_backend_open(&options, &j.backend, &j.error);
        }
        assert_true(fault_server_faults(j.proxy) > before);
        assert_int_equal(status, cases[i].expected);
        if (status == TARN_OK) {
            assert_ok(tarn_backend_close(j.backend, &j.error), &j.error);
        } else {
            print_message("%s: %s\n", cases[i].script, j.error.message);
        }
        tarn_checkpoint_free(opened);
    }
    close_job(&j);
}

static bool is_there(const server *s)
{
    return getenv(s->variable) != NULL;
}

static void test_every_fault_ends_with_whole_checkpoints(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SERVERS; i++) {
        for (uint32_t k = 0; is_there(&servers[i]) && k < sizeof faults / sizeof faults[0]; k++) {
            if (concerns(&faults[k], &servers[i])) {
                run_fault(&faults[k], &servers[i], k);
            }
        }
    }
}

static void test_every_restore_is_right_or_refused(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SERVERS; i++) {
        if (is_there(&servers[i]) && !servers[i].is_name_node) {
            run_restores(&servers[i]);
        }
    }
}

static uint64_t take_checkpoints(job *j, uint32_t count)
{
    const uint64_t begun = tarn__clock_monotonic_ns(tarn__clock_system());
    for (uint32_t i = 0; i < count; i++) {
        assert_ok(checkpoint(j), &j->error);
    }
    return (tarn__clock_monotonic_ns(tarn__clock_system()) - begun) / NS_PER_MS;
}

/* 5 % of the requests are refused and 1 % reset: none of many checkpoints fails, and they take at
 * most twice as long. */
static void run_chance(const server *s, uint32_t count)
{
    job j;
    open_job(&j, s, 2000, /* is_patient= */ true);
    open_store(&j);
    open_state(&j, "work", NULL);
    (void)take_checkpoints(&j, 3); /* The server and its code are warm then. */
    const uint64_t plain_ms = take_checkpoints(&j, count);
    const uint64_t requests = fault_server_requests(j.proxy);
    fault_server_chance(j.proxy, 50, 10, 7);
    const uint64_t faulty_ms = take_checkpoints(&j, count);
    print_message(
        "%s: %u checkpoints in %llu ms; with %llu faults in %llu requests: %llu ms\n",
        s->name,
        count,
        (unsigned long long)plain_ms,
        (unsigned long long)fault_server_faults(j.proxy),
        (unsigned long long)(fault_server_requests(j.proxy) - requests),
        (unsigned long long)faulty_ms);
    assert_true(fault_server_faults(j.proxy) > 0);
    if (getenv("TARN_LONG") != NULL) { /* Of a few, chance decides. */
        assert_true(faulty_ms <= 2 * plain_ms);
    }
    fault_server_chance(j.proxy, 0, 0, 0);
    close_state(&j);
    assert_ok(tarn_checkpoint_store_close(j.store, &j.error), &j.error);
    for (uint64_t id = 2 * count + 1; id <= 2 * count + 3; id++) {
        expect_whole(&j, id);
    }
    expect_restored(&j);
    close_job(&j);
}

static void test_no_checkpoint_fails_by_chance(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SERVERS; i++) {
        if (is_there(&servers[i]) && !servers[i].is_name_node) {
            run_chance(&servers[i], getenv("TARN_LONG") != NULL ? 100 : 10);
        }
    }
}

/* An argument: those of the tests whose names fit it, such as "*chance". */
int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_fault_ends_with_whole_checkpoints),
        cmocka_unit_test(test_every_restore_is_right_or_refused),
        cmocka_unit_test(test_no_checkpoint_fails_by_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
