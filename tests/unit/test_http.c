/*
 * Unit tests of storage/http.c: how many connections there are, that they are used again, and that
 * one which is never made is given up. What servers do wrong is in tests/fault/.
 */
#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "storage/give_up.h"
#include "storage/http.h"
#include "support/fault_server.h"
#include "support/support.h"

enum { TRANSFERS = 40, CONNECTIONS = 4, DELAY_MS = 2, WAITING_MAX = 8 };

#define BOUND_NS UINT64_C(9000000000) /* Of some ms, on any machine. */

typedef struct fixture {
    tarn__account account;
    tarn__http *http;
    char url[64];
    tarn_error error;
} fixture;

static void open_client(fixture *f, tarn__http_options options, uint16_t port)
{
    tarn__account_init(&f->account, "test", NULL);
    options.account = &f->account;
    assert_ok(tarn__http_open(&options, &f->http, &f->error), &f->error);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%u/bucket/name", port);
}

static void close_client(fixture *f)
{
    tarn__http_close(f->http);
    assert_int_equal(atomic_load(&f->account.block_count), 0);
}

static tarn__http_transfer get(const fixture *f)
{
    return (tarn__http_transfer){.request = {.method = "GET", .url = f->url}};
}

/* However many requests there are at once, connections are few, and each serves many of them, the
 * next one as soon as the one before has ended. */
static void test_connections_are_bounded_and_used_again(void **state)
{
    (void)state;
    static tarn__http_transfer transfers[TRANSFERS];
    fixture f;
    fault_server *server = fault_server_start("* * status 404", 0);
    open_client(
        &f, (tarn__http_options){.connections_max = CONNECTIONS}, fault_server_port(server));
    fault_server_delay(server, DELAY_MS);
    const uint64_t begun = tarn__clock_monotonic_ns(tarn__clock_system());
    for (int i = 0; i < TRANSFERS; i++) {
        transfers[i] = get(&f);
        tarn__http_start(f.http, &transfers[i]);
    }
    for (int i = 0; i < TRANSFERS; i++) {
        assert_ok(tarn__http_wait(&transfers[i], &f.error), &f.error);
        assert_int_equal(transfers[i].reply.status, 404);
    }
    assert_in_range(tarn__clock_monotonic_ns(tarn__clock_system()) - begun, 0, BOUND_NS);
    assert_int_equal(fault_server_requests(server), TRANSFERS);
    assert_in_range(fault_server_connections(server), 1, CONNECTIONS);
    close_client(&f);
    fault_server_stop(server);
}

/* A listener whose queue is full drops who knocks: they wait, and are not refused. */
static uint16_t open_full_listener(int sockets[WAITING_MAX + 1])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    sockets[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(sockets[0] >= 0);
    assert_int_equal(bind(sockets[0], (const struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(sockets[0], 0), 0);
    assert_int_equal(getsockname(sockets[0], (struct sockaddr *)&address, &size), 0);
    for (int i = 1; i <= WAITING_MAX; i++) {
        sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        assert_true(sockets[i] >= 0);
        (void)!connect(sockets[i], (const struct sockaddr *)&address, size);
    }
    return ntohs(address.sin_port);
}

static void test_a_connection_that_is_not_made_is_given_up(void **state)
{
    (void)state;
    int sockets[WAITING_MAX + 1];
    fixture f;
    const uint16_t port = open_full_listener(sockets);
    open_client(&f, (tarn__http_options){.connect_timeout_ms = 300}, port);
    tarn__http_transfer transfer = get(&f);
    assert_int_equal(tarn__http_perform(f.http, &transfer, &f.error), TARN_TIMED_OUT);
    assert_non_null(strstr(f.error.message, "127.0.0.1"));
    assert_null(strstr(f.error.message, "bucket")); /* Paths are not shown. */
    close_client(&f);
    for (int i = 0; i <= WAITING_MAX; i++) {
        close(sockets[i]);
    }
}

/* Who waits for a transfer that is given up is told so at once, not after its deadlines. */
static void test_a_transfer_can_be_given_up(void **state)
{
    (void)state;
    fixture f;
    fault_server *server = fault_server_start("* * hang", 0);
    open_client(&f, (tarn__http_options){.connections_max = 0}, fault_server_port(server));
    tarn__http_transfer transfer = get(&f);
    tarn__http_start(f.http, &transfer);
    while (fault_server_requests(server) == 0) {
        sched_yield();
    }
    tarn__http_cancel(&transfer);
    assert_int_equal(transfer.error.status, TARN_ABANDONED);
    close_client(&f);
    fault_server_stop(server);
}

/* One request that hangs, and what waits behind it: one connection for each of the client's threads
 * is taken. Both end by the flag of who started them, though all deadlines are far. */
static void test_transfers_end_when_their_starter_gives_up(void **state)
{
    (void)state;
    enum { HANGING = 8 };
    static tarn__http_transfer transfers[HANGING];
    fixture f;
    atomic_bool is_given_up = false;
    fault_server *server = fault_server_start("* * hang", 0);
    open_client(&f, (tarn__http_options){.connections_max = 1}, fault_server_port(server));
    assert_null(tarn__give_up_when(&is_given_up));
    for (int i = 0; i < HANGING; i++) {
        transfers[i] = get(&f);
        tarn__http_start(f.http, &transfers[i]);
    }
    assert_ptr_equal(tarn__give_up_when(NULL), &is_given_up);
    while (fault_server_requests(server) == 0) {
        sched_yield();
    }
    const uint64_t begun = tarn__clock_monotonic_ns(tarn__clock_system());
    atomic_store(&is_given_up, true);
    for (int i = 0; i < HANGING; i++) {
        assert_int_equal(tarn__http_wait(&transfers[i], &f.error), TARN_ABANDONED);
    }
    assert_true(tarn__clock_monotonic_ns(tarn__clock_system()) - begun < BOUND_NS);
    close_client(&f);
    fault_server_stop(server);
}

/* What cleans up is sent all the same, but not waited for without end. */
static void test_parting_requests_go_out_and_have_a_bound(void **state)
{
    (void)state;
    fixture f;
    const atomic_bool is_given_up = true;
    fault_server *server = fault_server_start("DELETE * status 404\nGET * hang", 0);
    open_client(&f, (tarn__http_options){.connections_max = 0}, fault_server_port(server));
    const uint64_t begun = tarn__clock_monotonic_ns(tarn__clock_system());
    (void)tarn__give_up_when(&is_given_up);
    tarn__http_transfer transfer = get(&f);
    transfer.request.method = "DELETE";
    transfer.request.is_parting = true;
    assert_ok(tarn__http_perform(f.http, &transfer, &f.error), &f.error);
    transfer = get(&f);
    transfer.request.is_parting = true;
    assert_int_equal(tarn__http_perform(f.http, &transfer, &f.error), TARN_ABANDONED);
    (void)tarn__give_up_when(NULL);
    assert_true(tarn__clock_monotonic_ns(tarn__clock_system()) - begun < BOUND_NS);
    close_client(&f);
    fault_server_stop(server);
}

/* Behind requests that hang, for longer than it may take itself. */
static void test_a_parting_request_waits_for_its_connection(void **state)
{
    (void)state;
    enum { LANES = 4 }; /* Of the client: each has one connection. */
    static tarn__http_transfer hanging[LANES];
    fixture f;
    const atomic_bool is_given_up = true;
    fault_server *server = fault_server_start("DELETE * status 404\nGET * hang", 0);
    open_client(&f, (tarn__http_options){.connections_max = 1}, fault_server_port(server));
    for (int i = 0; i < LANES; i++) {
        hanging[i] = get(&f);
        tarn__http_start(f.http, &hanging[i]);
    }
    while (fault_server_requests(server) < LANES) {
        sched_yield();
    }
    (void)tarn__give_up_when(&is_given_up);
    tarn__http_transfer parting = get(&f);
    parting.request.method = "DELETE";
    parting.request.is_parting = true;
    tarn__http_start(f.http, &parting);
    (void)tarn__give_up_when(NULL);
    const struct timespec longer = {.tv_sec = 2, .tv_nsec = 500 * 1000 * 1000};
    (void)nanosleep(&longer, NULL);
    for (int i = 0; i < LANES; i++) {
        tarn__http_cancel(&hanging[i]);
    }
    assert_ok(tarn__http_wait(&parting, &f.error), &f.error);
    close_client(&f);
    fault_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections_are_bounded_and_used_again),
        cmocka_unit_test(test_a_connection_that_is_not_made_is_given_up),
        cmocka_unit_test(test_a_transfer_can_be_given_up),
        cmocka_unit_test(test_transfers_end_when_their_starter_gives_up),
        cmocka_unit_test(test_parting_requests_go_out_and_have_a_bound),
        cmocka_unit_test(test_a_parting_request_waits_for_its_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
