/* fault_server.c - see fault_server.h. A thread for each connection. */
#include "support/fault_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/random.h"
#include "support/fake_hdfs.h"
#include "support/fake_s3.h"

enum {
    RULES_MAX = 16,
    CONNECTIONS_MAX = 4096,
    HEAD_BYTES_MAX = 64 << 10,
    LINE_BYTES = 256,
    DRIP_MS = 100,
};

typedef struct rule {
    char method[16];
    bool is_endless;
    uint32_t left;
    char action[32];
    long argument;
} rule;

struct fault_server {
    int listener;
    uint16_t port;
    uint16_t upstream_port;
    fake_s3 *s3;
    fake_hdfs *hdfs;
    pthread_t acceptor;
    atomic_bool is_stopping;
    atomic_uint_least64_t requests;
    atomic_uint_least64_t faults;
    atomic_uint_least32_t delay_ms;

    pthread_mutex_t mutex; /* For all below. */
    rule rules[RULES_MAX];
    uint32_t rule_count;
    uint32_t refused_permille;
    uint32_t reset_permille;
    tarn__random random;
    char *seen; /* All heads. */
    size_t seen_size;
    uint8_t *stale; /* The first listing that was answered. */
    size_t stale_size;
    pthread_t threads[CONNECTIONS_MAX];
    int sockets[CONNECTIONS_MAX]; /* -1: closed by its thread. */
    uint32_t connection_count;
};

typedef struct connection {
    fault_server *server;
    uint32_t index;
    int socket;
    fake_answer late; /* That comes again before the next one; status 0: none does. */
} connection;

/* --- Scripts --- */

static void parse_line(fault_server *server, char *line)
{
    line[strcspn(line, "#\r\n")] = '\0';
    char count[32];
    rule r = {.left = 0};
    const int fields = sscanf(line, "%15s %31s %31s %ld", r.method, count, r.action, &r.argument);
    if (fields < 3) {
        return;
    }
    r.is_endless = strcmp(count, "*") == 0;
    r.left = r.is_endless ? 1 : (uint32_t)strtoul(count, NULL, 10);
    if (server->rule_count == RULES_MAX) {
        abort();
    }
    server->rules[server->rule_count++] = r;
}

static void parse(fault_server *server, const char *script)
{
    const char *at = script != NULL ? script : "";
    while (*at != '\0') {
        char line[LINE_BYTES];
        const size_t size = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int)size, at);
        parse_line(server, line);
        at += size + (at[size] == '\n' ? 1 : 0);
    }
}

char *fault_server_scenario(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/fault/scenarios/%s.txt", TARN_TEST_DIRECTORY, name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        abort();
    }
    char *text = calloc(1, 4096);
    const size_t size = fread(text, 1, 4095, file);
    text[size] = '\0';
    fclose(file);
    return text;
}

static bool fits(const rule *r, const fake_request *request)
{
    return strcmp(r->method, "*") == 0 || strcmp(r->method, request->method) == 0 ||
           fake_hdfs_has_operation(request, r->method);
}

/* What happens to the next request; "pass" when nothing does. */
static rule decide(fault_server *server, const fake_request *request)
{
    rule decided = {.action = "pass"};
    pthread_mutex_lock(&server->mutex);
    for (uint32_t i = 0; i < server->rule_count; i++) {
        rule *r = &server->rules[i];
        if (r->left > 0 && fits(r, request)) {
            r->left -= r->is_endless ? 0 : 1;
            decided = *r;
            break;
        }
    }
    const uint64_t chance = tarn__random_below(&server->random, 1000);
    pthread_mutex_unlock(&server->mutex);
    if (strcmp(decided.action, "pass") == 0) {
        if (chance < server->refused_permille) {
            decided = (rule){.action = "status", .argument = 503};
        } else if (chance < server->refused_permille + server->reset_permille) {
            snprintf(
                decided.action, sizeof decided.action, "%s", chance % 2 == 0 ? "reset" : "lost");
        }
    }
    if (strcmp(decided.action, "pass") != 0) {
        atomic_fetch_add(&server->faults, 1);
    }
    return decided;
}

/* --- Bytes --- */

static bool send_all(int socket, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        const ssize_t sent = send(socket, at, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

static bool receive_all(int socket, void *into, size_t size)
{
    char *at = into;
    while (size > 0) {
        const ssize_t got = recv(socket, at, size, 0);
        if (got <= 0) {
            return false;
        }
        at += got;
        size -= (size_t)got;
    }
    return true;
}

/* A close that the peer sees as a reset. */
static void reset(int socket)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* Reads up to the empty line; answers the size, 0 when the peer went away. */
static size_t receive_head(int socket, char *head, size_t capacity)
{
    size_t size = 0;
    while (size + 1 < capacity) {
        if (recv(socket, head + size, 1, 0) != 1) {
            return 0;
        }
        size++;
        if (size >= 4 && memcmp(head + size - 4, "\r\n\r\n", 4) == 0) {
            head[size] = '\0';
            return size;
        }
    }
    return 0;
}

/* Waits on the socket, so that a server that stops need not wait. False: it is to end. */
static bool pause_on(fault_server *server, int socket, int ms)
{
    struct pollfd poll_on = {.fd = socket, .events = 0};
    for (int waited = 0; waited < ms; waited += DRIP_MS) {
        const int slice = ms - waited < DRIP_MS ? ms - waited : DRIP_MS;
        if (poll(&poll_on, 1, slice) != 0 || atomic_load(&server->is_stopping)) {
            return false;
        }
    }
    return true;
}

/* --- Answers --- */

static bool send_answer(
    int socket, const fake_request *request, const fake_answer *answer, size_t body_sent)
{
    char head[2048];
    const bool has_no_body = answer->status == 204 || answer->status == 304;
    char length[64];
    snprintf(length, sizeof length, "Content-Length: %zu\r\n", answer->body_size);
    const int size = snprintf(
        head,
        sizeof head,
        "HTTP/1.1 %d Fake\r\n%s%s\r\n",
        answer->status,
        answer->head,
        has_no_body ? "" : length);
    return send_all(socket, head, (size_t)size) &&
           (strcmp(request->method, "HEAD") == 0 || send_all(socket, answer->body, body_sent));
}

static bool answer_plainly(
    int socket, const fake_request *request, int status, const char *head, const char *body)
{
    fake_answer answer = {.status = status, .body_size = strlen(body)};
    snprintf(answer.head, sizeof answer.head, "%s", head);
    answer.body = (uint8_t *)strdup(body);
    const bool is_sent = send_answer(socket, request, &answer, answer.body_size);
    free(answer.body);
    return is_sent;
}

static int socket_to(uint16_t port)
{
    const int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (connect(s, (const struct sockaddr *)&to, sizeof to) != 0) {
        close(s);
        return -1;
    }
    return s;
}

/* --- What a request is answered, before it is spoiled --- */

static void append_body(fake_answer *answer, const void *bytes, size_t size)
{
    answer->body = realloc(answer->body, answer->body_size + size + 1);
    memcpy(answer->body + answer->body_size, bytes, size);
    answer->body_size += size;
}

static bool receive_body(int upstream, fake_answer *answer, size_t size)
{
    answer->body = realloc(answer->body, answer->body_size + size + 1);
    const bool is_good = receive_all(upstream, answer->body + answer->body_size, size);
    answer->body_size += size;
    return is_good;
}

static bool receive_chunks(int upstream, fake_answer *answer)
{
    for (;;) {
        char line[64];
        size_t at = 0;
        while (at + 1 < sizeof line && receive_all(upstream, line + at, 1) && line[at] != '\n') {
            at++;
        }
        line[at] = '\0';
        const size_t size = strtoull(line, NULL, 16);
        char end[2];
        if (size == 0) {
            return receive_all(upstream, end, 2);
        }
        if (!receive_body(upstream, answer, size) || !receive_all(upstream, end, 2)) {
            return false;
        }
    }
}

/* Takes the lines of a head over, but for those that say how the body comes. */
static void keep_head(const char *head, fake_answer *answer)
{
    static const char *const own[] = {"Content-Length:", "Transfer-Encoding:", "Connection:"};
    const char *line = strstr(head, "\r\n") + 2;
    while (line[0] != '\r' && line[0] != '\0') {
        const char *next = strstr(line, "\r\n") + 2;
        bool is_kept = strlen(answer->head) + (size_t)(next - line) < sizeof answer->head;
        for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
            is_kept = is_kept && strncasecmp(line, own[i], strlen(own[i])) != 0;
        }
        if (is_kept) {
            strncat(answer->head, line, (size_t)(next - line));
        }
        line = next;
    }
}

/* Asks the server behind. */
static bool ask_upstream(fault_server *server, const fake_request *request, fake_answer *answer)
{
    const int upstream = socket_to(server->upstream_port);
    char *head = malloc(HEAD_BYTES_MAX);
    char value[64];
    answer->status = 100;
    bool is_good = upstream >= 0 && send_all(upstream, request->head, strlen(request->head)) &&
                   send_all(upstream, request->body, request->body_size);
    while (is_good && answer->status < 200) {
        is_good = receive_head(upstream, head, HEAD_BYTES_MAX) > 0 &&
                  sscanf(head, "HTTP/1.1 %d", &answer->status) == 1;
    }
    if (is_good) {
        keep_head(head, answer);
        const bool has_length = fake_head_find(head, "Content-Length", value, sizeof value);
        if (strcmp(request->method, "HEAD") == 0) {
            answer->body_size = has_length ? strtoull(value, NULL, 10) : 0;
        } else if (has_length) {
            is_good = receive_body(upstream, answer, strtoull(value, NULL, 10));
        } else if (fake_head_find(head, "Transfer-Encoding", value, sizeof value)) {
            is_good = receive_chunks(upstream, answer);
        }
    }
    free(head);
    if (upstream >= 0) {
        close(upstream);
    }
    return is_good;
}

/* Repeats the first listing that was answered. */
static void make_stale(fault_server *server, fake_answer *answer)
{
    pthread_mutex_lock(&server->mutex);
    if (server->stale == NULL) {
        server->stale = malloc(answer->body_size + 1);
        memcpy(server->stale, answer->body, answer->body_size);
        server->stale_size = answer->body_size;
    } else {
        answer->body_size = 0;
        append_body(answer, server->stale, server->stale_size);
    }
    pthread_mutex_unlock(&server->mutex);
}

/* Sends an answer as the rule says. False: the connection ends. */
static bool send_spoiled(
    fault_server *server,
    const fake_request *request,
    int socket,
    const rule *r,
    fake_answer *answer)
{
    const size_t size = answer->body_size;
    if (strcmp(r->action, "lost") == 0) {
        reset(socket);
        return false;
    }
    if (strcmp(r->action, "truncate") == 0) {
        (void)send_answer(socket, request, answer, size / 2);
        return false;
    }
    if (strcmp(r->action, "lie") == 0) {
        char *digits = strstr(answer->head, "bytes ");
        if (digits != NULL) {
            digits[6] = digits[6] == '7' ? '8' : '7';
        }
    } else if (strcmp(r->action, "flip") == 0 && size > 0 && answer->body != NULL) {
        answer->body[size / 2] ^= 4;
    } else if (strcmp(r->action, "mute") == 0) {
        answer->status = 200;
        answer->body_size = 0;
    } else if (strcmp(r->action, "long") == 0) {
        static const uint8_t more[100000];
        append_body(answer, more, sizeof more);
    } else if (
        strcmp(r->action, "stale") == 0 && strcmp(request->method, "GET") == 0 &&
        strstr(request->target, "list-type") != NULL) {
        make_stale(server, answer);
    }
    if (!send_answer(socket, request, answer, answer->body_size)) {
        return false;
    }
    return strcmp(r->action, "duplicate") != 0 ||
           send_answer(socket, request, answer, answer->body_size);
}

/* Carries a request out, and answers it. False: the connection ends. */
static bool carry_out(connection *c, const fake_request *request, const rule *r)
{
    fault_server *server = c->server;
    const int socket = c->socket;
    fake_answer answer = {.status = 0};
    bool goes_on = true;
    if (server->upstream_port == 0 && fake_hdfs_is_asked(request)) {
        fake_hdfs_serve(server->hdfs, request, server->port, &answer);
    } else if (server->upstream_port == 0) {
        fake_s3_serve(server->s3, request, &answer);
    } else {
        goes_on = ask_upstream(server, request, &answer);
    }
    const uint32_t delay = atomic_load(&server->delay_ms);
    if (delay > 0) {
        goes_on = pause_on(server, socket, (int)delay) && goes_on;
    }
    goes_on = goes_on && send_spoiled(server, request, socket, r, &answer);
    if (strcmp(r->action, "late") == 0) {
        c->late = answer;
    } else {
        free(answer.body);
    }
    return goes_on;
}

static bool misbehave_alone(
    fault_server *server, const fake_request *request, int socket, const rule *r, bool *goes_on)
{
    *goes_on = false;
    if (strcmp(r->action, "status") == 0) {
        *goes_on = answer_plainly(socket, request, (int)r->argument, "", "");
    } else if (strcmp(r->action, "other") == 0) {
        *goes_on = answer_plainly(socket, request, 200, "", "{\"other\":true}");
    } else if (strcmp(r->action, "slow_down") == 0) {
        char head[64];
        snprintf(head, sizeof head, "Retry-After: %ld\r\n", r->argument);
        *goes_on = answer_plainly(
            socket,
            request,
            503,
            head,
            "<Error><Code>SlowDown</Code><Message>slow</Message></Error>");
    } else if (strcmp(r->action, "expired") == 0) {
        *goes_on = answer_plainly(
            socket,
            request,
            403,
            "",
            "<Error><Code>ExpiredToken</Code><Message>old</Message></Error>");
    } else if (strcmp(r->action, "skewed") == 0) {
        *goes_on = answer_plainly(
            socket,
            request,
            403,
            "",
            "<Error><Code>RequestTimeTooSkewed</Code><Message>late</Message></Error>");
    } else if (strcmp(r->action, "bad_digest") == 0) {
        *goes_on = answer_plainly(
            socket,
            request,
            400,
            "",
            "<Error><Code>BadDigest</Code><Message>other</Message></Error>");
    } else if (strcmp(r->action, "conflict") == 0) {
        *goes_on = answer_plainly(
            socket,
            request,
            409,
            "",
            "<Error><Code>ConditionalRequestConflict</Code><Message>busy</Message></Error>");
    } else if (strcmp(r->action, "redirect") == 0) {
        char head[1024];
        snprintf(
            head,
            sizeof head,
            "Location: http://127.0.0.1:%u/elsewhere%.*s?delegation=%s\r\n",
            server->port,
            (int)strcspn(request->target, "?"),
            request->target,
            FAULT_SERVER_TOKEN);
        *goes_on = answer_plainly(socket, request, 307, head, "");
    } else if (strcmp(r->action, "reset") == 0) {
        reset(socket);
    } else if (strcmp(r->action, "hang") == 0) {
        (void)pause_on(server, socket, 3600 * 1000);
    } else if (strcmp(r->action, "huge_head") == 0) {
        bool is_good = send_all(socket, "HTTP/1.1 200 Fake\r\n", 19);
        for (int i = 0; is_good && i < 100000; i++) {
            is_good = send_all(socket, "X-Long: 0123456789012345678901234567890123456789\r\n", 50);
        }
    } else if (strcmp(r->action, "garbage") == 0) {
        (void)send_all(socket, "\x16\x03\x01 no HTTP at all\r\n\r\n", 22);
    } else if (strcmp(r->action, "drip") == 0) {
        static const char text[] = "HTTP/1.1 200 Fake\r\nContent-Length: 100000\r\n\r\n";
        bool is_good = send_all(socket, text, sizeof text - 1);
        for (size_t i = 0; is_good && i < 100000; i++) {
            if (!send_all(socket, "x", 1) || !pause_on(server, socket, DRIP_MS)) {
                break;
            }
        }
    } else {
        return false;
    }
    return true;
}

static void note(fault_server *server, const char *head, size_t size)
{
    pthread_mutex_lock(&server->mutex);
    server->seen = realloc(server->seen, server->seen_size + size + 1);
    memcpy(server->seen + server->seen_size, head, size + 1);
    server->seen_size += size;
    pthread_mutex_unlock(&server->mutex);
}

/* The answer to the request before, again. */
static bool send_late(connection *c, const fake_request *request)
{
    fake_answer late = c->late;
    c->late = (fake_answer){.status = 0};
    const bool is_sent = late.status == 0 || send_answer(c->socket, request, &late, late.body_size);
    free(late.body);
    return is_sent;
}

/* One request and its answer; false: the connection ends. */
static bool serve_one(connection *c, char *head)
{
    fault_server *server = c->server;
    const int socket = c->socket;
    const size_t size = receive_head(socket, head, HEAD_BYTES_MAX);
    fake_request request = {.head = head};
    if (size == 0 || sscanf(head, "%15s %4095s", request.method, request.target) != 2) {
        return false;
    }
    note(server, head, size);
    atomic_fetch_add(&server->requests, 1);
    char length[64] = "0";
    (void)fake_head_find(head, "Content-Length", length, sizeof length);
    request.body_size = strtoull(length, NULL, 10);
    uint8_t *body = malloc(request.body_size + 1);
    body[request.body_size] = '\0';
    request.body = body;
    char expected[64];
    bool goes_on = !fake_head_find(head, "Expect", expected, sizeof expected) ||
                   send_all(socket, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    goes_on = goes_on && receive_all(socket, body, request.body_size) && send_late(c, &request);
    if (goes_on) {
        const rule r = decide(server, &request);
        if (!misbehave_alone(server, &request, socket, &r, &goes_on)) {
            if (strcmp(r.action, "spoil") == 0 && request.body_size > 0) {
                body[request.body_size / 2] ^= 4;
            }
            goes_on = carry_out(c, &request, &r);
        }
    }
    free(body);
    return goes_on;
}

static void *serve(void *context)
{
    connection *c = context;
    char *head = malloc(HEAD_BYTES_MAX);
    while (!atomic_load(&c->server->is_stopping) && serve_one(c, head)) {
    }
    free(head);
    free(c->late.body);
    pthread_mutex_lock(&c->server->mutex);
    c->server->sockets[c->index] = -1;
    close(c->socket);
    pthread_mutex_unlock(&c->server->mutex);
    free(c);
    return NULL;
}

static void *accept_all(void *context)
{
    fault_server *server = context;
    while (!atomic_load(&server->is_stopping)) {
        const int socket = accept(server->listener, NULL, NULL);
        if (socket < 0) {
            continue;
        }
        pthread_mutex_lock(&server->mutex);
        if (server->connection_count == CONNECTIONS_MAX || atomic_load(&server->is_stopping)) {
            close(socket);
        } else {
            connection *c = malloc(sizeof *c);
            const uint32_t index = server->connection_count++;
            *c = (connection){.server = server, .index = index, .socket = socket};
            server->sockets[index] = socket;
            if (pthread_create(&server->threads[index], NULL, serve, c) != 0) {
                abort();
            }
        }
        pthread_mutex_unlock(&server->mutex);
    }
    return NULL;
}

fault_server *fault_server_start(const char *script, uint16_t upstream_port)
{
    fault_server *server = calloc(1, sizeof *server);
    server->upstream_port = upstream_port;
    server->s3 = fake_s3_new();
    server->hdfs = fake_hdfs_new();
    pthread_mutex_init(&server->mutex, NULL);
    parse(server, script);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    if (bind(server->listener, (const struct sockaddr *)&at, sizeof at) != 0 ||
        listen(server->listener, 64) != 0 ||
        getsockname(server->listener, (struct sockaddr *)&at, &size) != 0 ||
        pthread_create(&server->acceptor, NULL, accept_all, server) != 0) {
        perror("fault_server");
        abort();
    }
    server->port = ntohs(at.sin_port);
    return server;
}

void fault_server_script(fault_server *server, const char *script)
{
    pthread_mutex_lock(&server->mutex);
    server->rule_count = 0;
    parse(server, script);
    free(server->stale);
    server->stale = NULL;
    pthread_mutex_unlock(&server->mutex);
}

void fault_server_chance(
    fault_server *server, uint32_t refused_permille, uint32_t reset_permille, uint64_t seed)
{
    pthread_mutex_lock(&server->mutex);
    server->refused_permille = refused_permille;
    server->reset_permille = reset_permille;
    server->random.state = seed;
    pthread_mutex_unlock(&server->mutex);
}

void fault_server_delay(fault_server *server, uint32_t ms)
{
    atomic_store(&server->delay_ms, ms);
}

fake_hdfs *fault_server_hdfs(const fault_server *server)
{
    return server->hdfs;
}

uint16_t fault_server_port(const fault_server *server)
{
    return server->port;
}

uint64_t fault_server_requests(const fault_server *server)
{
    return atomic_load(&server->requests);
}

uint32_t fault_server_connections(fault_server *server)
{
    pthread_mutex_lock(&server->mutex);
    const uint32_t count = server->connection_count;
    pthread_mutex_unlock(&server->mutex);
    return count;
}

uint64_t fault_server_faults(const fault_server *server)
{
    return atomic_load(&server->faults);
}

bool fault_server_saw(fault_server *server, const char *text)
{
    pthread_mutex_lock(&server->mutex);
    const bool answer = server->seen != NULL && strstr(server->seen, text) != NULL;
    pthread_mutex_unlock(&server->mutex);
    return answer;
}

void fault_server_stop(fault_server *server)
{
    atomic_store(&server->is_stopping, true);
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->acceptor, NULL);
    pthread_mutex_lock(&server->mutex);
    for (uint32_t i = 0; i < server->connection_count; i++) {
        if (server->sockets[i] >= 0) {
            shutdown(server->sockets[i], SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&server->mutex);
    for (uint32_t i = 0; i < server->connection_count; i++) {
        pthread_join(server->threads[i], NULL);
    }
    close(server->listener);
    pthread_mutex_destroy(&server->mutex);
    fake_s3_free(server->s3);
    fake_hdfs_free(server->hdfs);
    free(server->seen);
    free(server->stale);
    free(server);
}
