/* http.c - the client's thread and its queue; see http.h. */
#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "base/try.h"
#include "storage/http_private.h"

enum {
    POLL_MS = 200, /* How late a deadline is noticed. */
    NS_PER_MS = 1000000,
};

struct tarn__http {
    tarn__account *account;
    const tarn__clock *clock;
    tarn__http_limits limits;
    char *ca_file; /* Owned; NULL: the system's. */
    uint32_t connections_max;
    CURLM *multi;
    pthread_t thread;

    pthread_mutex_t mutex; /* For the queue and the flags of transfers. A leaf. */
    pthread_cond_t done;
    tarn__http_transfer *first; /* Queue. */
    tarn__http_transfer *last;
    bool is_closing;

    tarn__http_transfer *active; /* The thread's own. */
    uint32_t active_count;
};

const tarn__clock *tarn__http_clock(const tarn__http *http)
{
    return http->clock;
}

/* Hands a transfer back to its starter. */
static void finish(tarn__http *http, tarn__http_transfer *t)
{
    tarn__http_transfer_end(t);
    pthread_mutex_lock(&http->mutex);
    t->is_done = true;
    pthread_cond_broadcast(&http->done);
    pthread_mutex_unlock(&http->mutex);
}

static void fail_memory(tarn__http_transfer *t)
{
    (void)tarn__fail_no_memory(&t->error, "a request", sizeof *t);
}

static tarn__http_transfer *take_queued(tarn__http *http)
{
    pthread_mutex_lock(&http->mutex);
    tarn__http_transfer *t = http->active_count < http->connections_max ? http->first : NULL;
    if (t != NULL) {
        http->first = t->next;
        if (http->first == NULL) {
            http->last = NULL;
        }
    }
    pthread_mutex_unlock(&http->mutex);
    return t;
}

static void activate(tarn__http *http)
{
    for (tarn__http_transfer *t = take_queued(http); t != NULL; t = take_queued(http)) {
        if (!tarn__http_transfer_begin(t, http->clock, &http->limits) ||
            curl_multi_add_handle(http->multi, t->easy) != CURLM_OK) {
            fail_memory(t);
            finish(http, t);
            continue;
        }
        t->next = http->active;
        http->active = t;
        http->active_count++;
    }
}

/* Takes a transfer out of the active ones and ends it. */
static void retire(tarn__http *http, tarn__http_transfer *t)
{
    tarn__http_transfer **at = &http->active;
    while (*at != t) {
        at = &(*at)->next;
    }
    *at = t->next;
    http->active_count--;
    curl_multi_remove_handle(http->multi, t->easy);
    finish(http, t);
}

static void reap(tarn__http *http)
{
    int left = 0;
    for (CURLMsg *message = curl_multi_info_read(http->multi, &left); message != NULL;
         message = curl_multi_info_read(http->multi, &left)) {
        char *context = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &context);
        tarn__http_transfer *t = (tarn__http_transfer *)(void *)context;
        tarn__http_transfer_conclude(t, message->data.result);
        retire(http, t);
    }
}

static bool is_cancelled(tarn__http *http, const tarn__http_transfer *t)
{
    pthread_mutex_lock(&http->mutex);
    const bool answer = t->is_cancelled;
    pthread_mutex_unlock(&http->mutex);
    return answer;
}

static void end_overdue(tarn__http *http)
{
    const uint64_t now = tarn__clock_monotonic_ns(http->clock);
    for (tarn__http_transfer *t = http->active, *next = NULL; t != NULL; t = next) {
        next = t->next;
        if (is_cancelled(http, t)) {
            (void)tarn__fail(&t->error, TARN_ABANDONED, "the request was given up");
            retire(http, t);
        } else if (tarn__http_transfer_is_late(t, &http->limits, now)) {
            retire(http, t);
        }
    }
}

static bool is_over(tarn__http *http)
{
    pthread_mutex_lock(&http->mutex);
    const bool answer = http->is_closing && http->first == NULL && http->active == NULL;
    pthread_mutex_unlock(&http->mutex);
    return answer;
}

static void *run(void *context)
{
    tarn__http *http = context;
    while (!is_over(http)) {
        activate(http);
        int running = 0;
        (void)curl_multi_perform(http->multi, &running);
        reap(http);
        end_overdue(http);
        if (http->active_count == 0 || running > 0) {
            (void)curl_multi_poll(http->multi, NULL, 0, POLL_MS, NULL);
        }
    }
    return NULL;
}

static uint64_t ns_or(uint32_t ms, uint32_t otherwise_ms)
{
    return (uint64_t)(ms != 0 ? ms : otherwise_ms) * NS_PER_MS;
}

static void free_client(tarn__http *http)
{
    if (http->multi != NULL) {
        curl_multi_cleanup(http->multi);
    }
    curl_global_cleanup();
    pthread_cond_destroy(&http->done);
    pthread_mutex_destroy(&http->mutex);
    tarn__release(http->ca_file);
    tarn__release(http);
}

tarn_status tarn__http_open(const tarn__http_options *options, tarn__http **out, tarn_error *error)
{
    tarn__http *http = tarn__allocate_zeroed(options->account, 1, sizeof *http);
    if (http == NULL) {
        return tarn__fail_no_memory(error, "an HTTP client", sizeof *http);
    }
    const bool has_ca = options->ca_file != NULL && options->ca_file[0] != '\0';
    http->ca_file = has_ca ? tarn__allocate_string(options->account, options->ca_file) : NULL;
    if (has_ca && http->ca_file == NULL) {
        tarn__release(http);
        return tarn__fail_no_memory(error, "an HTTP client", strlen(options->ca_file));
    }
    http->account = options->account;
    http->clock = options->clock != NULL ? options->clock : tarn__clock_system();
    http->connections_max = options->connections_max != 0
                                ? options->connections_max
                                : (uint32_t)TARN__HTTP_CONNECTIONS_DEFAULT;
    http->limits = (tarn__http_limits){
        .connect_ns = ns_or(options->connect_timeout_ms, TARN__HTTP_CONNECT_TIMEOUT_MS_DEFAULT),
        .first_byte_ns =
            ns_or(options->first_byte_timeout_ms, TARN__HTTP_FIRST_BYTE_TIMEOUT_MS_DEFAULT),
        .ca_file = has_ca ? http->ca_file : "",
        .stall_ns = ns_or(options->stall_timeout_ms, TARN__HTTP_STALL_TIMEOUT_MS_DEFAULT),
    };
    pthread_mutex_init(&http->mutex, NULL);
    pthread_cond_init(&http->done, NULL);
    const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
    http->multi = code == CURLE_OK ? curl_multi_init() : NULL;
    if (http->multi == NULL) {
        free_client(http);
        return tarn__fail_no_memory(error, "an HTTP client", sizeof *http);
    }
    (void)curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)http->connections_max);
    const int failure = pthread_create(&http->thread, NULL, run, http);
    if (failure != 0) {
        free_client(http);
        return tarn__fail_errno(error, failure, "cannot start the thread of the HTTP client");
    }
    *out = http;
    return TARN_OK;
}

void tarn__http_close(tarn__http *http)
{
    if (http == NULL) {
        return;
    }
    pthread_mutex_lock(&http->mutex);
    assert(http->first == NULL);
    http->is_closing = true;
    pthread_mutex_unlock(&http->mutex);
    (void)curl_multi_wakeup(http->multi);
    pthread_join(http->thread, NULL);
    free_client(http);
}

void tarn__http_start(tarn__http *http, tarn__http_transfer *t)
{
    t->http = http;
    t->next = NULL;
    t->is_started = true;
    t->is_done = false;
    t->is_cancelled = false;
    pthread_mutex_lock(&http->mutex);
    if (http->last != NULL) {
        http->last->next = t;
    } else {
        http->first = t;
    }
    http->last = t;
    pthread_mutex_unlock(&http->mutex);
    (void)curl_multi_wakeup(http->multi);
}

tarn_status tarn__http_wait(tarn__http_transfer *t, tarn_error *error)
{
    assert(t->is_started);
    tarn__http *http = t->http;
    pthread_mutex_lock(&http->mutex);
    while (!t->is_done) {
        pthread_cond_wait(&http->done, &http->mutex);
    }
    pthread_mutex_unlock(&http->mutex);
    t->is_started = false;
    if (t->error.status != TARN_OK && error != NULL) {
        *error = t->error;
    }
    return t->error.status;
}

void tarn__http_cancel(tarn__http_transfer *t)
{
    if (!t->is_started) {
        return;
    }
    pthread_mutex_lock(&t->http->mutex);
    t->is_cancelled = true;
    pthread_mutex_unlock(&t->http->mutex);
    (void)curl_multi_wakeup(t->http->multi);
    (void)!tarn__http_wait(t, NULL);
}

tarn_status tarn__http_perform(tarn__http *http, tarn__http_transfer *t, tarn_error *error)
{
    tarn__http_start(http, t);
    return tarn__http_wait(t, error);
}
