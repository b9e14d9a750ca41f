/* tls_front.c - see tls_front.h. A thread for each connection. */
#include "support/tls_front.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, DAY_S = 24 * 3600, PIECE_BYTES = 65536 };

struct tls_front {
    SSL_CTX *context;
    int listener;
    uint16_t port;
    uint16_t upstream_port;
    pthread_t acceptor;
    atomic_bool is_stopping;
    atomic_uint_least64_t sessions;
    pthread_mutex_t mutex; /* For the two below. */
    pthread_t threads[CONNECTIONS_MAX];
    uint32_t thread_count;
};

typedef struct connection {
    tls_front *front;
    int socket;
} connection;

static void must(bool is_good, const char *what)
{
    if (!is_good) {
        perror(what);
        abort();
    }
}

/* --- Certificates --- */

static void add_extension(X509 *certificate, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
}

/* A certificate of key; issuer NULL: of itself, a CA. */
static X509 *make_certificate(
    EVP_PKEY *key,
    X509 *issuer,
    EVP_PKEY *issuer_key,
    const char *name,
    const char *host,
    long days)
{
    X509 *made = X509_new();
    must(made != NULL, "a certificate");
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), issuer == NULL ? 1 : 2);
    X509_gmtime_adj(X509_getm_notBefore(made), -2L * DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(made), days * DAY_S);
    X509_set_pubkey(made, key);
    X509_NAME *subject = X509_get_subject_name(made);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(made, issuer != NULL ? X509_get_subject_name(issuer) : subject);
    add_extension(
        made,
        issuer != NULL ? issuer : made,
        NID_basic_constraints,
        issuer == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (host != NULL) {
        add_extension(made, issuer, NID_subject_alt_name, host);
    }
    must(X509_sign(made, issuer_key, EVP_sha256()) != 0, "a signature");
    return made;
}

static void set_certificates(tls_front *front, tls_flaw flaw, const char *ca_file)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256");
    EVP_PKEY *other_key = EVP_EC_gen("P-256");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    must(ca_key != NULL && other_key != NULL && key != NULL, "keys");
    X509 *ca = make_certificate(ca_key, NULL, ca_key, "Test CA", NULL, 30);
    const bool is_other = flaw == TLS_OTHER_CA || flaw == TLS_FORGED_CA;
    const char *other_name = flaw == TLS_FORGED_CA ? "Test CA" : "Another CA";
    X509 *other = make_certificate(other_key, NULL, other_key, other_name, NULL, 30);
    X509 *own = make_certificate(
        key,
        is_other ? other : ca,
        is_other ? other_key : ca_key,
        "server",
        flaw == TLS_OTHER_HOST ? "DNS:other.invalid" : "IP:127.0.0.1,DNS:localhost",
        flaw == TLS_EXPIRED ? -1 : 30);
    must(
        SSL_CTX_use_certificate(front->context, own) == 1 &&
            SSL_CTX_use_PrivateKey(front->context, key) == 1,
        "a certificate");
    FILE *file = fopen(ca_file, "w");
    must(file != NULL && PEM_write_X509(file, ca) == 1 && fclose(file) == 0, ca_file);
    X509_free(ca);
    X509_free(other);
    X509_free(own);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(other_key);
    EVP_PKEY_free(key);
}

/* --- Bytes --- */

static int connect_to(uint16_t port)
{
    const int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    must(connect(s, (const struct sockaddr *)&to, sizeof to) == 0, "connect");
    return s;
}

static bool send_plain(int socket, const char *bytes, size_t size)
{
    while (size > 0) {
        const ssize_t sent = send(socket, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        size -= (size_t)sent;
    }
    return true;
}

/* Passes what both sides send, until one ends. */
static void pump(tls_front *front, SSL *ssl, int inner, int outer)
{
    char piece[PIECE_BYTES];
    while (!atomic_load(&front->is_stopping)) {
        struct pollfd both[2] = {{.fd = inner, .events = POLLIN}, {.fd = outer, .events = POLLIN}};
        if (SSL_pending(ssl) == 0 && poll(both, 2, 100) <= 0) {
            continue;
        }
        if (SSL_pending(ssl) > 0 || both[1].revents != 0) {
            const int got = SSL_read(ssl, piece, sizeof piece);
            if (got <= 0 || !send_plain(inner, piece, (size_t)got)) {
                return;
            }
        }
        if (both[0].revents != 0) {
            const ssize_t got = recv(inner, piece, sizeof piece, 0);
            if (got <= 0 || SSL_write(ssl, piece, (int)got) <= 0) {
                return;
            }
        }
    }
}

static void *serve(void *context)
{
    connection *c = context;
    SSL *ssl = SSL_new(c->front->context);
    must(ssl != NULL && SSL_set_fd(ssl, c->socket) == 1, "a session");
    if (SSL_accept(ssl) == 1) {
        atomic_fetch_add(&c->front->sessions, 1);
        const int inner = connect_to(c->front->upstream_port);
        pump(c->front, ssl, inner, c->socket);
        SSL_shutdown(ssl);
        close(inner);
    }
    SSL_free(ssl);
    close(c->socket);
    free(c);
    return NULL;
}

static void *accept_all(void *context)
{
    tls_front *front = context;
    while (!atomic_load(&front->is_stopping)) {
        const int socket = accept(front->listener, NULL, NULL);
        if (socket < 0) {
            continue;
        }
        connection *c = malloc(sizeof *c);
        *c = (connection){.front = front, .socket = socket};
        pthread_mutex_lock(&front->mutex);
        must(front->thread_count < CONNECTIONS_MAX, "too many connections");
        must(
            pthread_create(&front->threads[front->thread_count++], NULL, serve, c) == 0,
            "a thread");
        pthread_mutex_unlock(&front->mutex);
    }
    return NULL;
}

tls_front *tls_front_start(uint16_t upstream_port, tls_flaw flaw, const char *ca_file)
{
    tls_front *front = calloc(1, sizeof *front);
    (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets that the peer has closed. */
    front->upstream_port = upstream_port;
    front->context = SSL_CTX_new(TLS_server_method());
    must(front->context != NULL, "TLS");
    set_certificates(front, flaw, ca_file);
    pthread_mutex_init(&front->mutex, NULL);
    front->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    must(
        bind(front->listener, (const struct sockaddr *)&at, sizeof at) == 0 &&
            listen(front->listener, 64) == 0 &&
            getsockname(front->listener, (struct sockaddr *)&at, &size) == 0 &&
            pthread_create(&front->acceptor, NULL, accept_all, front) == 0,
        "tls_front");
    front->port = ntohs(at.sin_port);
    return front;
}

uint16_t tls_front_port(const tls_front *front)
{
    return front->port;
}

uint64_t tls_front_sessions(const tls_front *front)
{
    return atomic_load(&front->sessions);
}

void tls_front_stop(tls_front *front)
{
    atomic_store(&front->is_stopping, true);
    shutdown(front->listener, SHUT_RDWR);
    pthread_join(front->acceptor, NULL);
    for (uint32_t i = 0; i < front->thread_count; i++) {
        pthread_join(front->threads[i], NULL);
    }
    close(front->listener);
    SSL_CTX_free(front->context);
    pthread_mutex_destroy(&front->mutex);
    free(front);
}
