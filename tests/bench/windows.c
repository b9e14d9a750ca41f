/*
 * windows.c - windows by event time; the watermark is the time of the newest event.
 *
 *     window, q12  counts of a key in tumbling windows of 10 s
 *     q5           counts of auctions in windows of 10 s that begin every 2 s; the largest of each
 *     q7           the largest price of each 10 s, and the bids of that price: bids lie by price
 *     q8           people and the auctions that they open within the same 10 s: two appended lists
 *     session, q11 counts of a key until it pauses for 10 s
 *
 * When which window is due is kept here, in memory, in the same way for both sides: what is
 * measured is what the state of the windows costs. Each key of a window that is due is read and
 * removed.
 */
#include <stdlib.h>
#include <string.h>

#include "source.h"

enum {
    WINDOW_MS = 10000,
    SLIDE_MS = 2000,
    OPEN_MAX = 16,
    SEEN_BITS = 20,
    SEEN = 1 << SEEN_BITS,
};

/* The keys of one open window, each once. */
typedef struct window_keys {
    uint64_t end_ms; /* 0: free. */
    uint64_t *keys;
    uint64_t count;
    uint64_t capacity;
    uint64_t best; /* q5, q7: the largest count or price. */
} window_keys;

typedef struct session_end {
    uint64_t key;
    int64_t time_ms;
} session_end;

typedef struct windows_run {
    bench_store *store;
    const bench_workload *workload;
    bench_table *table;
    bench_table *other; /* q7: maxima; q8: auctions; sessions: counts. */
    bench_source source;
    window_keys open[OPEN_MAX];
    uint64_t last_seen[SEEN]; /* q7, q8: the window in which a key was last pushed. */
    session_end *pauses;      /* Sessions: a ring of possible ends. */
    uint64_t pause_first;
    uint64_t pause_count;
    uint64_t pause_capacity;
    uint64_t checksum;
    bench_event batch[BENCH_BATCH_EVENTS];
} windows_run;

typedef struct session_span {
    int64_t begin_ms;
    int64_t last_ms;
} session_span;

/* ---- opening ---------------------------------------------------------------------------- */

static bench_table *open_table(
    windows_run *run, const char *name, bench_kind kind, uint64_t element_bytes)
{
    return run->store->ops->open_table(
        run->store,
        &(bench_table_options){.name = name, .kind = kind, .element_bytes = element_bytes});
}

void *bench_windows_begin(const bench_workload *workload, bench_store *store)
{
    windows_run *run = bench_allocate(sizeof *run);
    run->store = store;
    run->workload = workload;
    uint32_t kinds = 1u << BENCH_BID;
    switch (workload->variant) {
    case BENCH_Q7:
        run->table = open_table(run, "bids", BENCH_LIST, BENCH_BID_BYTES);
        run->other = open_table(run, "max", BENCH_VALUE, 0);
        break;
    case BENCH_Q8:
        run->table = open_table(run, "people", BENCH_LIST, BENCH_PERSON_BYTES);
        run->other = open_table(run, "auctions", BENCH_LIST, BENCH_AUCTION_BYTES);
        kinds = 1u << BENCH_PERSON | 1u << BENCH_AUCTION;
        break;
    case BENCH_Q11:
    case BENCH_SESSION:
        run->table = open_table(run, "sessions", BENCH_VALUE, 0);
        run->other = open_table(run, "count", BENCH_VALUE, 0);
        break;
    default:
        run->table = open_table(run, "count", BENCH_VALUE, 0);
        break;
    }
    const bool is_of_keys = workload->variant == BENCH_WINDOW || workload->variant == BENCH_SESSION;
    bench_source_open(&run->source, store->options, is_of_keys ? 0 : kinds);
    return run;
}

void bench_windows_prepare(void *context, uint64_t count)
{
    windows_run *run = context;
    bench_source_fill(&run->source, run->batch, count);
}

/* ---- which windows are open ------------------------------------------------------------- */

static window_keys *window_of(windows_run *run, uint64_t end_ms)
{
    window_keys *free_one = NULL;
    for (uint32_t i = 0; i < OPEN_MAX; i++) {
        if (run->open[i].end_ms == end_ms) {
            return &run->open[i];
        }
        if (run->open[i].end_ms == 0) {
            free_one = &run->open[i];
        }
    }
    if (free_one == NULL) {
        bench_fail("more windows are open than there is room for");
    }
    free_one->end_ms = end_ms;
    free_one->count = 0;
    free_one->best = 0;
    return free_one;
}

static void push(window_keys *window, uint64_t key)
{
    if (window->count == window->capacity) {
        const uint64_t capacity = window->capacity == 0 ? 1024 : window->capacity * 2;
        uint64_t *keys = bench_allocate(capacity * sizeof keys[0]);
        if (window->count != 0) {
            memcpy(keys, window->keys, window->count * sizeof keys[0]);
        }
        free(window->keys);
        window->keys = keys;
        window->capacity = capacity;
    }
    window->keys[window->count++] = key;
}

/* As push(), unless the key was the last of its place to be pushed for this window. */
static void push_once(windows_run *run, window_keys *window, uint64_t key)
{
    uint64_t *seen = &run->last_seen[bench_mix(key) >> (64 - SEEN_BITS)];
    const uint64_t mark = bench_mix(key ^ window->end_ms) | 1;
    if (*seen != mark) {
        *seen = mark;
        push(window, key);
    }
}

/* ---- counts ----------------------------------------------------------------------------- */

static uint64_t count_up(bench_table *table)
{
    uint64_t count;
    void *value = table->store->ops->edit(table, sizeof count);
    memcpy(&count, value, sizeof count);
    count++;
    memcpy(value, &count, sizeof count);
    table->store->ops->edited(table, sizeof count);
    return count;
}

static uint64_t read_number(bench_table *table)
{
    uint64_t number = 0;
    tarn_bytes value;
    if (table->store->ops->get(table, &value)) {
        memcpy(&number, value.data, sizeof number);
    }
    return number;
}

static void count_in_window(windows_run *run, uint64_t key, uint64_t end_ms)
{
    window_keys *window = window_of(run, end_ms);
    bench_set_namespace(run->table, end_ms);
    if (count_up(run->table) == 1) {
        push(window, key);
    }
}

static void fire_counts(windows_run *run, window_keys *window)
{
    bench_set_namespace(run->table, window->end_ms);
    for (uint64_t i = 0; i < window->count; i++) {
        bench_set_key(run->store, window->keys[i]);
        const uint64_t count = read_number(run->table);
        run->checksum += bench_mix(window->keys[i] ^ window->end_ms) * count;
        window->best = count > window->best ? count : window->best;
        run->store->ops->remove(run->table);
    }
    run->checksum += window->best;
}

/* ---- q7 and q8 -------------------------------------------------------------------------- */

static void take_price(windows_run *run, const bench_event *event, uint64_t end_ms)
{
    window_keys *window = window_of(run, end_ms);
    uint64_t best;
    bench_set_key(run->store, event->price);
    bench_set_namespace(run->table, end_ms);
    run->store->ops->append(run->table, bench_source_row(&run->source, event, BENCH_BID_BYTES));
    push_once(run, window, event->price);
    bench_set_key(run->store, 0);
    bench_set_namespace(run->other, end_ms);
    void *value = run->store->ops->edit(run->other, sizeof best);
    memcpy(&best, value, sizeof best);
    best = event->price > best ? event->price : best;
    memcpy(value, &best, sizeof best);
    run->store->ops->edited(run->other, sizeof best);
}

static void fire_prices(windows_run *run, const window_keys *window)
{
    bench_set_key(run->store, 0);
    bench_set_namespace(run->other, window->end_ms);
    const uint64_t best = read_number(run->other);
    run->store->ops->remove(run->other);
    bench_set_namespace(run->table, window->end_ms);
    for (uint64_t i = 0; i < window->count; i++) {
        bench_set_key(run->store, window->keys[i]);
        if (window->keys[i] == best) {
            run->store->ops->visit(run->table, bench_digest_visit, &run->checksum);
        }
        run->store->ops->remove(run->table);
    }
    run->checksum += best;
}

static void take_person(windows_run *run, const bench_event *event, uint64_t end_ms)
{
    const bool is_person = event->kind == BENCH_PERSON;
    bench_table *table = is_person ? run->table : run->other;
    bench_set_key(run->store, event->person);
    bench_set_namespace(table, end_ms);
    run->store->ops->append(
        table,
        bench_source_row(
            &run->source, event, is_person ? BENCH_PERSON_BYTES : BENCH_AUCTION_BYTES));
    push_once(run, window_of(run, end_ms), event->person);
}

static void fire_people(windows_run *run, const window_keys *window)
{
    bench_set_namespace(run->table, window->end_ms);
    bench_set_namespace(run->other, window->end_ms);
    for (uint64_t i = 0; i < window->count; i++) {
        uint64_t people = 0;
        uint64_t auctions = 0;
        bench_set_key(run->store, window->keys[i]);
        run->store->ops->visit(run->table, bench_digest_visit, &people);
        run->store->ops->visit(run->other, bench_digest_visit, &auctions);
        run->checksum += people * auctions;
        run->store->ops->remove(run->table);
        run->store->ops->remove(run->other);
    }
}

/* ---- sessions --------------------------------------------------------------------------- */

static void push_pause(windows_run *run, uint64_t key, int64_t time_ms)
{
    if (run->pause_count == run->pause_capacity) {
        const uint64_t capacity = run->pause_capacity == 0 ? 1024 : run->pause_capacity * 2;
        session_end *pauses = bench_allocate(capacity * sizeof pauses[0]);
        for (uint64_t i = 0; i < run->pause_count; i++) {
            pauses[i] = run->pauses[(run->pause_first + i) & (run->pause_capacity - 1)];
        }
        free(run->pauses);
        run->pauses = pauses;
        run->pause_first = 0;
        run->pause_capacity = capacity;
    }
    run->pauses[(run->pause_first + run->pause_count++) & (run->pause_capacity - 1)] =
        (session_end){key, time_ms};
}

static bool read_session(windows_run *run, session_span *out)
{
    tarn_bytes value;
    if (!run->store->ops->get(run->table, &value)) {
        return false;
    }
    memcpy(out, value.data, sizeof *out);
    return true;
}

static void take_session(windows_run *run, const bench_event *event)
{
    session_span session = {event->time_ms, event->time_ms};
    bench_set_key(run->store, event->person);
    const bool is_open = read_session(run, &session);
    /* A later event of the same millisecond moves nothing. */
    if (!is_open || session.last_ms != event->time_ms) {
        session.last_ms = event->time_ms;
        run->store->ops->put(run->table, tarn_bytes_at(&session, sizeof session));
        push_pause(run, event->person, event->time_ms);
    }
    bench_set_namespace(run->other, (uint64_t)session.begin_ms);
    (void)count_up(run->other);
}

/* Ends the sessions that nothing was added to for as long as a session may pause. */
static void end_sessions(windows_run *run, int64_t now_ms)
{
    while (run->pause_count > 0) {
        const session_end end = run->pauses[run->pause_first & (run->pause_capacity - 1)];
        session_span session;
        if (end.time_ms + WINDOW_MS > now_ms) {
            return;
        }
        run->pause_first++;
        run->pause_count--;
        bench_set_key(run->store, end.key);
        if (!read_session(run, &session) || session.last_ms != end.time_ms) {
            continue;
        }
        bench_set_namespace(run->other, (uint64_t)session.begin_ms);
        run->checksum += bench_mix(end.key ^ (uint64_t)session.begin_ms) * read_number(run->other);
        run->store->ops->remove(run->other);
        run->store->ops->remove(run->table);
    }
}

/* ---- events ----------------------------------------------------------------------------- */

static void fire(windows_run *run, int64_t now_ms)
{
    for (uint32_t i = 0; i < OPEN_MAX; i++) {
        window_keys *window = &run->open[i];
        if (window->end_ms == 0 || (int64_t)window->end_ms > now_ms) {
            continue;
        }
        if (run->workload->variant == BENCH_Q7) {
            fire_prices(run, window);
        } else if (run->workload->variant == BENCH_Q8) {
            fire_people(run, window);
        } else {
            fire_counts(run, window);
        }
        window->end_ms = 0;
    }
}

void bench_windows_event(void *context, uint64_t index)
{
    windows_run *run = context;
    const bench_event *event = &run->batch[index];
    const uint64_t end_ms = ((uint64_t)event->time_ms / WINDOW_MS + 1) * WINDOW_MS;
    fire(run, event->time_ms);
    switch (run->workload->variant) {
    case BENCH_Q5: {
        const uint64_t first_ms = ((uint64_t)event->time_ms / SLIDE_MS + 1) * SLIDE_MS;
        bench_set_key(run->store, event->auction);
        for (uint64_t end = first_ms; end < first_ms + WINDOW_MS; end += SLIDE_MS) {
            count_in_window(run, event->auction, end);
        }
        break;
    }
    case BENCH_Q7:
        take_price(run, event, end_ms);
        break;
    case BENCH_Q8:
        take_person(run, event, end_ms);
        break;
    case BENCH_Q11:
    case BENCH_SESSION:
        end_sessions(run, event->time_ms);
        take_session(run, event);
        break;
    default:
        bench_set_key(run->store, event->person);
        count_in_window(run, event->person, end_ms);
        break;
    }
}

uint64_t bench_windows_finish(void *context)
{
    windows_run *run = context;
    fire(run, INT64_MAX);
    end_sessions(run, INT64_MAX);
    const uint64_t checksum = run->checksum;
    for (uint32_t i = 0; i < OPEN_MAX; i++) {
        free(run->open[i].keys);
    }
    free(run->pauses);
    bench_source_close(&run->source);
    free(run);
    return checksum;
}
