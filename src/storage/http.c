/* http.c - the client's threads and their queues; see http.h. */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/try.h"
#include "storage/give_up.h"
#include "storage/http_private.h"

enum {
    LANES = 4,
    POLL_MS = 200,   /* How late a deadline is noticed. */
    IDLE_MS = 10000, /* A transfer that is started wakes its lane. */
    NS_PER_MS = 1000000,
};

/* A thread with connections of its own: one alone would hold up what all of them receive. */
typedef struct lane {
    tarn__http *http;
    CURLM *multi;
    pthread_t thread;
    bool is_running;
    atomic_uint_least32_t load; /* Transfers that are queued or active. */

    pthread_mutex_t mutex; /* For the queue and the flags of transfers. A leaf. */
    pthread_cond_t done;
    tarn__http_transfer *first; /* Queue. */
    tarn__http_transfer *last;
    bool is_closing;

    tarn__http_transfer *active; /* The thread's own. */
    uint32_t active_count;
} lane;

struct tarn__http {
    tarn__account *account;
    const tarn__clock *clock;
    tarn__http_limits limits;
    char *ca_file; /* Owned; NULL: the system's. */
    uint32_t lane_connections_max;
    atomic_uint_least32_t next_lane;
    lane lanes[LANES];
};

const tarn__clock *tarn__http_clock(const tarn__http *http)
{
    return http->clock;
}

/* Hands a transfer back to its starter. */
static void finish(lane *l, tarn__http_transfer *t)
{
    tarn__http_transfer_end(t);
    atomic_fetch_sub(&l->load, 1);
    pthread_mutex_lock(&l->mutex);
    t->is_done = true;
    pthread_cond_broadcast(&l->done);
    pthread_mutex_unlock(&l->mutex);
}

static void fail_memory(tarn__http_transfer *t)
{
    (void)tarn__fail_no_memory(&t->error, "a request", sizeof *t);
}

static tarn__http_transfer *take_queued(lane *l)
{
    pthread_mutex_lock(&l->mutex);
    tarn__http_transfer *t = l->active_count < l->http->lane_connections_max ? l->first : NULL;
    if (t != NULL) {
        l->first = t->next;
        if (l->first == NULL) {
            l->last = NULL;
        }
    }
    pthread_mutex_unlock(&l->mutex);
    return t;
}

/* Tells whether a transfer that waited for a connection can begin. */
static bool has_next(lane *l)
{
    pthread_mutex_lock(&l->mutex);
    const bool answer = l->first != NULL && l->active_count < l->http->lane_connections_max;
    pthread_mutex_unlock(&l->mutex);
    return answer;
}

static void activate(lane *l)
{
    for (tarn__http_transfer *t = take_queued(l); t != NULL; t = take_queued(l)) {
        if (!tarn__http_transfer_begin(t, l->http->clock, &l->http->limits) ||
            curl_multi_add_handle(l->multi, t->easy) != CURLM_OK) {
            fail_memory(t);
            finish(l, t);
            continue;
        }
        t->begun_ns = t->progress_ns;
        t->next = l->active;
        l->active = t;
        l->active_count++;
    }
}

/* Takes a transfer out of the active ones and ends it. */
static void retire(lane *l, tarn__http_transfer *t)
{
    tarn__http_transfer **at = &l->active;
    while (*at != t) {
        at = &(*at)->next;
    }
    *at = t->next;
    l->active_count--;
    curl_multi_remove_handle(l->multi, t->easy);
    finish(l, t);
}

static void reap(lane *l)
{
    int left = 0;
    for (CURLMsg *message = curl_multi_info_read(l->multi, &left); message != NULL;
         message = curl_multi_info_read(l->multi, &left)) {
        char *context = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &context);
        tarn__http_transfer *t = (tarn__http_transfer *)(void *)context;
        tarn__http_transfer_conclude(t, message->data.result);
        retire(l, t);
    }
}

/* By the flag of its starter. What is parting waits for a connection as others do, and has its time
 * from then on. */
static bool is_given_up(const tarn__http_transfer *t, uint64_t now_ns)
{
    const uint64_t parting_ns = (uint64_t)TARN__HTTP_PARTING_MS * NS_PER_MS;
    return t->given_up != NULL && atomic_load(t->given_up) &&
           (!t->request.is_parting || (t->begun_ns != 0 && now_ns > t->begun_ns + parting_ns));
}

static bool is_cancelled(lane *l, const tarn__http_transfer *t, uint64_t now_ns)
{
    pthread_mutex_lock(&l->mutex);
    const bool answer = t->is_cancelled;
    pthread_mutex_unlock(&l->mutex);
    return answer || is_given_up(t, now_ns);
}

static void fail_given_up(tarn__http_transfer *t)
{
    (void)tarn__fail(&t->error, TARN_ABANDONED, "the request was given up");
}

/* Takes the first queued transfer that was given up out of the queue; NULL: there is none. */
static tarn__http_transfer *take_given_up(lane *l, uint64_t now_ns)
{
    pthread_mutex_lock(&l->mutex);
    tarn__http_transfer *before = NULL;
    tarn__http_transfer *t = l->first;
    while (t != NULL && !t->is_cancelled && !is_given_up(t, now_ns)) {
        before = t;
        t = t->next;
    }
    if (t != NULL) {
        *(before != NULL ? &before->next : &l->first) = t->next;
        l->last = l->last == t ? before : l->last;
    }
    pthread_mutex_unlock(&l->mutex);
    return t;
}

static void end_overdue(lane *l)
{
    const uint64_t now = tarn__clock_monotonic_ns(l->http->clock);
    for (tarn__http_transfer *t = l->active, *next = NULL; t != NULL; t = next) {
        next = t->next;
        if (is_cancelled(l, t, now)) {
            fail_given_up(t);
            retire(l, t);
        } else if (tarn__http_transfer_is_late(t, &l->http->limits, now)) {
            retire(l, t);
        }
    }
    for (tarn__http_transfer *t = take_given_up(l, now); t != NULL; t = take_given_up(l, now)) {
        fail_given_up(t);
        finish(l, t);
    }
}

static bool is_over(lane *l)
{
    pthread_mutex_lock(&l->mutex);
    const bool answer = l->is_closing && l->first == NULL && l->active == NULL;
    pthread_mutex_unlock(&l->mutex);
    return answer;
}

static void *run(void *context)
{
    lane *l = context;
    while (!is_over(l)) {
        activate(l);
        int running = 0;
        (void)curl_multi_perform(l->multi, &running);
        reap(l);
        end_overdue(l);
        if (!has_next(l) && (l->active_count == 0 || running > 0)) {
            const int ms = l->active_count == 0 ? IDLE_MS : POLL_MS;
            (void)curl_multi_poll(l->multi, NULL, 0, ms, NULL);
        }
    }
    return NULL;
}

static uint64_t ns_or(uint32_t ms, uint32_t otherwise_ms)
{
    return (uint64_t)(ms != 0 ? ms : otherwise_ms) * NS_PER_MS;
}

/* --- Life --- */

static void close_lane(lane *l)
{
    if (l->is_running) {
        pthread_mutex_lock(&l->mutex);
        assert(l->first == NULL);
        l->is_closing = true;
        pthread_mutex_unlock(&l->mutex);
        (void)curl_multi_wakeup(l->multi);
        pthread_join(l->thread, NULL);
    }
    if (l->multi != NULL) {
        curl_multi_cleanup(l->multi);
    }
    pthread_cond_destroy(&l->done);
    pthread_mutex_destroy(&l->mutex);
}

static tarn_status open_lane(lane *l, tarn__http *http, tarn_error *error)
{
    l->http = http;
    l->multi = curl_multi_init();
    if (l->multi == NULL) {
        return tarn__fail_no_memory(error, "an HTTP client", sizeof *l);
    }
    (void)curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, (long)http->lane_connections_max);
    const int failure = pthread_create(&l->thread, NULL, run, l);
    if (failure != 0) {
        return tarn__fail_errno(error, failure, "cannot start a thread of the HTTP client");
    }
    l->is_running = true;
    return TARN_OK;
}

void tarn__http_close(tarn__http *http)
{
    if (http == NULL) {
        return;
    }
    for (uint32_t i = 0; i < LANES; i++) {
        close_lane(&http->lanes[i]);
    }
    curl_global_cleanup();
    tarn__release(http->ca_file);
    tarn__release(http);
}

static tarn_status open_lanes(tarn__http *http, tarn_error *error)
{
    for (uint32_t i = 0; i < LANES; i++) {
        TARN_TRY(open_lane(&http->lanes[i], http, error));
    }
    return TARN_OK;
}

tarn_status tarn__http_open(const tarn__http_options *options, tarn__http **out, tarn_error *error)
{
    tarn__http *http = tarn__allocate_zeroed(options->account, 1, sizeof *http);
    if (http == NULL) {
        return tarn__fail_no_memory(error, "an HTTP client", sizeof *http);
    }
    const bool has_ca = options->ca_file != NULL && options->ca_file[0] != '\0';
    http->ca_file = has_ca ? tarn__allocate_string(options->account, options->ca_file) : NULL;
    if ((has_ca && http->ca_file == NULL) || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        tarn__release(http->ca_file);
        tarn__release(http);
        return tarn__fail_no_memory(error, "an HTTP client", sizeof *http);
    }
    const uint32_t connections = options->connections_max != 0
                                     ? options->connections_max
                                     : (uint32_t)TARN__HTTP_CONNECTIONS_DEFAULT;
    http->account = options->account;
    http->clock = options->clock != NULL ? options->clock : tarn__clock_system();
    http->lane_connections_max = (connections + LANES - 1) / LANES;
    http->limits = (tarn__http_limits){
        .connect_ns = ns_or(options->connect_timeout_ms, TARN__HTTP_CONNECT_TIMEOUT_MS_DEFAULT),
        .first_byte_ns =
            ns_or(options->first_byte_timeout_ms, TARN__HTTP_FIRST_BYTE_TIMEOUT_MS_DEFAULT),
        .stall_ns = ns_or(options->stall_timeout_ms, TARN__HTTP_STALL_TIMEOUT_MS_DEFAULT),
        .ca_file = has_ca ? http->ca_file : "",
    };
    for (uint32_t i = 0; i < LANES; i++) {
        pthread_mutex_init(&http->lanes[i].mutex, NULL);
        pthread_cond_init(&http->lanes[i].done, NULL);
    }
    const tarn_status status = open_lanes(http, error);
    if (status != TARN_OK) {
        tarn__http_close(http);
        return status;
    }
    *out = http;
    return TARN_OK;
}

/* --- Transfers --- */

/* The lane with the least to do, of several in turn: a large transfer fills one for long. */
static lane *choose_lane(tarn__http *http)
{
    const uint32_t first = atomic_fetch_add(&http->next_lane, 1);
    lane *best = &http->lanes[first % LANES];
    for (uint32_t i = 1; i < LANES; i++) {
        lane *other = &http->lanes[(first + i) % LANES];
        best = atomic_load(&other->load) < atomic_load(&best->load) ? other : best;
    }
    atomic_fetch_add(&best->load, 1);
    return best;
}

void tarn__http_start(tarn__http *http, tarn__http_transfer *t)
{
    lane *l = choose_lane(http);
    t->http = http;
    t->lane = l;
    t->next = NULL;
    t->is_started = true;
    t->is_done = false;
    t->is_cancelled = false;
    t->given_up = tarn__give_up_flag();
    t->begun_ns = 0;
    pthread_mutex_lock(&l->mutex);
    if (l->last != NULL) {
        l->last->next = t;
    } else {
        l->first = t;
    }
    l->last = t;
    pthread_mutex_unlock(&l->mutex);
    (void)curl_multi_wakeup(l->multi);
}

tarn_status tarn__http_wait(tarn__http_transfer *t, tarn_error *error)
{
    assert(t->is_started);
    lane *l = t->lane;
    pthread_mutex_lock(&l->mutex);
    while (!t->is_done) {
        pthread_cond_wait(&l->done, &l->mutex);
    }
    pthread_mutex_unlock(&l->mutex);
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
    lane *l = t->lane;
    pthread_mutex_lock(&l->mutex);
    t->is_cancelled = true;
    pthread_mutex_unlock(&l->mutex);
    (void)curl_multi_wakeup(l->multi);
    (void)!tarn__http_wait(t, NULL);
}

tarn_status tarn__http_perform(tarn__http *http, tarn__http_transfer *t, tarn_error *error)
{
    tarn__http_start(http, t);
    return tarn__http_wait(t, error);
}
