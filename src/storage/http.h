/*
 * http.h - requests over HTTP: one client, four threads, a bounded number of connections.
 *
 *     any thread            a lane's own thread: curl, sources and sinks
 *     start(transfer) ──► queue of the idlest lane ──► [connections]
 *     wait(transfer)  ◄──────────────────────────────────────┘
 *
 * A transfer that was started by a thread whose requests are given up (give_up.h) ends early; one
 * that is parting a little later.
 *
 * A transfer ends with TARN_OK when a whole reply came, whatever its HTTP status; what that means
 * is the caller's to say. Nothing is tried again and no redirect is followed here.
 *
 * Invariants
 *   - Each phase has a deadline: connecting, the first byte of the reply, and the next byte.
 *   - A reply beyond the limit that its request states is cut off and refused.
 *   - Messages name scheme, host and port. Paths, queries, heads and credentials are never in them.
 *   - Certificates are verified, against the system's authorities or those of a file. Proxies are
 *     those of curl: http_proxy, https_proxy, no_proxy.
 *
 * Thread: shared; a transfer belongs to its starter, and to the client between start() and wait().
 */
#ifndef TARN_STORAGE_HTTP_H
#define TARN_STORAGE_HTTP_H

#include <stdatomic.h>

#include "tarn/config.h"
#include "tarn/sys/storage.h"

#include "base/account.h"
#include "base/clock.h"
#include "storage/http_header.h"

typedef struct tarn__http tarn__http;

typedef struct tarn__http_options {
    tarn__account *account;   /* Required. Outlives the client. */
    const tarn__clock *clock; /* NULL: the system's. */
    /* Zero: the default. */
    uint32_t connections_max;
    uint32_t connect_timeout_ms;
    uint32_t first_byte_timeout_ms;
    uint32_t stall_timeout_ms;
    const char *ca_file; /* Copied. NULL or "": the authorities of the system. */
} tarn__http_options;

enum {
    TARN__HTTP_CONNECTIONS_DEFAULT = 16,
    TARN__HTTP_CONNECT_TIMEOUT_MS_DEFAULT = 10000,
    TARN__HTTP_FIRST_BYTE_TIMEOUT_MS_DEFAULT = 60000,
    TARN__HTTP_STALL_TIMEOUT_MS_DEFAULT = 30000,
    TARN__HTTP_PARTING_MS = 2000, /* That a parting request has once it has begun. */
    TARN__HTTP_HEADERS_MAX = 8,
    TARN__HTTP_PROBLEM_BYTES = 2048,
    TARN__HTTP_HEAD_BYTES_MAX = 64 << 10, /* Of a reply. */
};

/* What is asked. Everything is borrowed until the transfer has ended. */
typedef struct tarn__http_request {
    const char *method;
    const char *url;
    const char *headers[TARN__HTTP_HEADERS_MAX]; /* "Name: value"; NULL ends. */
    tarn_bytes body;
    bool has_body; /* Also of an empty one: a Content-Length is sent. */
    /* Instead of body: source_bytes are asked for as they are sent, in the client's thread. */
    tarn_storage_source *source;
    void *source_context;
    uint64_t source_bytes;
    /* By a connection that nobody used before or will afterwards: no answer that comes twice can be
     * taken for this one's. */
    bool is_alone;
    bool is_parting; /* It cleans up behind what was given up: it goes out all the same. */

    /* Signing by AWS's version 4; sigv4 NULL: none. */
    const char *sigv4; /* "aws:amz:REGION:SERVICE" */
    const char *user;
    const char *password;

    /* Where the body of a reply below 300 goes: into a sink, which a thread of the client's calls,
     * into memory, or to the end of a buffer. */
    tarn_storage_sink *sink;
    void *sink_context;
    /* Asked of a whole head of 200 to 399, in a thread of the client's and before a byte of its
     * body is taken. False: it is the answer to something else, and the connection is left. */
    bool (*is_expected)(const tarn__http_head *head, int status, const void *context);
    const void *expected;
    void *into;          /* NULL: into buffer. */
    uint64_t limit;      /* Bytes at most. */
    tarn_buffer *buffer; /* NULL too: a body is dropped. Its allocator is called by the client. */
} tarn__http_request;

typedef struct tarn__http_reply {
    int status;    /* Of HTTP. */
    uint64_t size; /* Bytes of the body, as far as it was wanted. */
    tarn__http_head head;
    /* The beginning of the body of a reply of 300 and above. */
    size_t problem_size;
    char problem[TARN__HTTP_PROBLEM_BYTES];
} tarn__http_reply;

typedef enum tarn__http_phase {
    TARN__HTTP_QUEUED,
    TARN__HTTP_CONNECTING,
    TARN__HTTP_SENDING,
    TARN__HTTP_WAITING, /* For the first byte. */
    TARN__HTTP_RECEIVING,
} tarn__http_phase;

typedef struct tarn__http_transfer {
    tarn__http_request request; /* Set by the caller. */
    tarn__http_reply reply;     /* Valid after wait() answered TARN_OK. */

    /* The client's. */
    tarn__http *http;
    void *lane; /* Of the client. */
    struct tarn__http_transfer *next;
    void *easy;    /* CURL */
    void *headers; /* struct curl_slist */
    bool is_started;
    bool is_done;                /* Under the client's mutex. */
    bool is_cancelled;           /* Under the client's mutex. */
    const atomic_bool *given_up; /* Its starter's flag. NULL: none. */
    uint64_t begun_ns; /* When it had a connection to itself, or began to make one. 0: it waits. */
    bool is_too_long;
    bool is_out_of_memory;
    bool is_unexpected; /* By the request's own judgement of the head. */
    bool is_refused;    /* By source or sink; error says why. */
    tarn__http_phase phase;
    uint64_t progress_ns; /* When the phase began or bytes moved last. */
    size_t moved;         /* Bytes since then. */
    uint64_t sent;
    size_t head_size;
    tarn_error error; /* Of a transfer that ended without a whole reply. */
    char curl_text[256];
} tarn__http_transfer;

/* Sets what a configuration (may be NULL) says; ca_file is borrowed from it. */
TARN_NODISCARD tarn_status
tarn__http_load(const tarn_config *config, tarn__http_options *options, tarn_error *error);

TARN_NODISCARD tarn_status
tarn__http_open(const tarn__http_options *options, tarn__http **out, tarn_error *error);

/* Ends the thread; no transfer may be under way. NULL does nothing. */
void tarn__http_close(tarn__http *http);

/* Queues a transfer, whose request is set and whose rest is zero. */
void tarn__http_start(tarn__http *http, tarn__http_transfer *transfer);

/*
 * Waits for a started transfer.
 *
 * Errors: TARN_REMOTE_ERROR (no connection, it broke, the reply is too long), TARN_TIMED_OUT,
 * TARN_DECLINED (the certificate is not trusted), TARN_NO_MEMORY, TARN_ABANDONED.
 */
TARN_NODISCARD tarn_status tarn__http_wait(tarn__http_transfer *transfer, tarn_error *error);

/* Gives a started transfer up, and waits until it has ended. One that was never started is fine. */
void tarn__http_cancel(tarn__http_transfer *transfer);

/* start() and wait(). */
TARN_NODISCARD tarn_status
tarn__http_perform(tarn__http *http, tarn__http_transfer *transfer, tarn_error *error);

#endif
