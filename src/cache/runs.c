/* runs.c - see runs.h. */
#include "cache/runs.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "base/try.h"
#include "cache/run_sort.h"

enum {
    LESS_MEMORY = 4, /* A run is so many times smaller when memory is refused. */
    CACHE_LINE_BYTES = 64,
    FETCHED_ROWS = 8, /* Ahead of the one that is read: in order they lie anywhere. */
};

typedef enum run_state {
    RUN_FREE,
    RUN_FILLING,
    RUN_SENT,
} run_state;

/* A change in a run; its row and its value follow. */
typedef struct record {
    void *family;
    uint16_t value_size;
    uint16_t row_size;
    uint8_t kind;
} record;

_Static_assert(sizeof(record) == 16, "a counter with its place in the order takes 64 bytes");

/* Records grow from the begin of the bytes, places of records from their end. What is lent has no
 * record: its place has the reference. */
struct tarn__run {
    tarn__runs *runs;
    uint8_t *bytes;     /* NULL: it is free. */
    uint32_t byte_size; /* Of bytes. */
    uint32_t size;      /* Of records. */
    uint32_t count;
    uint32_t number;
    bool is_lent;
    atomic_uint state;
};

struct tarn__runs {
    tarn__runs_options options;
    tarn__run_lender lender;
    uint32_t run_bytes;
    uint32_t lent_bytes;        /* The same of what is lent. */
    uint32_t number;            /* Of the run that is filled, or was last. */
    tarn__run runs[TARN__RUNS]; /* By number, modulo. */
    atomic_bool has_failed;

    pthread_mutex_t mutex; /* For what follows. */
    pthread_cond_t changed;
    uint32_t sent_count; /* Runs that have not landed. */
    tarn_error failure;
};

/* ---- life ------------------------------------------------------------------------------- */

tarn_status tarn__runs_open(const tarn__runs_options *options, tarn__runs **out, tarn_error *error)
{
    tarn__runs *runs = tarn__allocate_zeroed(options->account, 1, sizeof *runs);
    if (runs == NULL) {
        return tarn__fail_no_memory(error, "runs of rows", sizeof *runs);
    }
    runs->options = *options;
    runs->run_bytes = TARN__RUN_BYTES_MIN;
    runs->lent_bytes = TARN__RUN_BYTES_MIN;
    (void)pthread_mutex_init(&runs->mutex, NULL);
    (void)pthread_cond_init(&runs->changed, NULL);
    for (uint32_t i = 0; i < TARN__RUNS; i++) {
        runs->runs[i].runs = runs;
    }
    *out = runs;
    return TARN_OK;
}

/* Places of records lie aligned at the end. */
static uint32_t whole_pointers(uint32_t bytes)
{
    return bytes & ~(uint32_t)(sizeof(void *) - 1);
}

static uint32_t within_bounds(uint64_t bytes)
{
    const uint64_t most = bytes < TARN__RUN_BYTES_MAX ? bytes : TARN__RUN_BYTES_MAX;
    const uint64_t chosen = most > TARN__RUN_BYTES_MIN ? most : TARN__RUN_BYTES_MIN;
    return whole_pointers((uint32_t)chosen);
}

void tarn__runs_set_bytes(tarn__runs *runs, uint64_t bytes)
{
    runs->run_bytes = within_bounds(bytes);
}

void tarn__runs_set_lent(tarn__runs *runs, uint64_t row_count)
{
    runs->lent_bytes = within_bounds(row_count * sizeof(tarn__run_place));
}

void tarn__runs_set_lender(tarn__runs *runs, const tarn__run_lender *lender)
{
    runs->lender = *lender;
}

/* ---- what a run has --------------------------------------------------------------------- */

static tarn__run_place *places_of(const tarn__run *run)
{
    uint8_t *end = run->bytes + run->byte_size;
    return (tarn__run_place *)(void *)end - run->count;
}

static const record *record_at(const tarn__run *run, uint32_t place)
{
    return (const record *)(const void *)(run->bytes + place);
}

uint32_t tarn__run_count(const tarn__run *run)
{
    return run->count;
}

static tarn_bytes row_of(const record *r)
{
    return tarn_bytes_at(r + 1, r->row_size);
}

bool tarn__run_is_lent(const tarn__run *run)
{
    return run->is_lent;
}

static void fetch(const tarn__run *run, uint32_t place)
{
    const tarn__run_lender *lender = &run->runs->lender;
    const uint8_t *row = run->is_lent ? lender->find(lender->context, place)
                                      : (const uint8_t *)record_at(run, place);
    __builtin_prefetch(row);
    __builtin_prefetch(row + CACHE_LINE_BYTES);
}

tarn__change tarn__run_at(const tarn__run *run, uint32_t at)
{
    const tarn__run_lender *lender = &run->runs->lender;
    const tarn__run_place *places = places_of(run);
    if (at + FETCHED_ROWS < run->count) {
        fetch(run, places[at + FETCHED_ROWS].record);
    }
    if (run->is_lent) {
        return lender->read(lender->context, places[at].record);
    }
    const record *r = record_at(run, places[at].record);
    return (tarn__change){
        .family = r->family,
        .kind = (tarn__change_kind)r->kind,
        .row = row_of(r),
        .value = tarn_bytes_at((const uint8_t *)(r + 1) + r->row_size, r->value_size),
    };
}

uint32_t tarn__run_end_of_family(const tarn__run *run, uint32_t at)
{
    const tarn__run_place *places = places_of(run);
    const uint32_t order = places[at].order;
    uint32_t end = run->count;
    while (at + 1 < end) { /* The family is at this one, and not at the end. */
        const uint32_t middle = at + (end - at) / 2;
        if (places[middle].order == order) {
            at = middle;
        } else {
            end = middle;
        }
    }
    return end;
}

/* ---- writing: a worker, or who waits for it --------------------------------------------- */

static tarn_bytes find_row(const void *context, uint32_t place)
{
    const tarn__run *run = context;
    const tarn__run_lender *lender = &run->runs->lender;
    return run->is_lent ? lender->read(lender->context, place).row : row_of(record_at(run, place));
}

static void note_failure(tarn__runs *runs, tarn_status status, const tarn_error *error)
{
    if (!atomic_load(&runs->has_failed)) {
        runs->failure = *error;
        runs->failure.status = status;
        atomic_store(&runs->has_failed, true);
    }
}

/* The job of a run that was sent. */
static void write_run(void *context)
{
    tarn__run *run = context;
    tarn__runs *runs = run->runs;
    tarn_error error = {.status = TARN_OK};
    tarn_status status = TARN_OK;
    const bool is_tried = !atomic_load(&runs->has_failed);
    if (is_tried) {
        tarn__run_sort(places_of(run), run->count, find_row, run);
        status = runs->options.write(runs->options.context, run, &error);
        tarn__release(run->bytes);
        run->bytes = NULL;
    }
    (void)pthread_mutex_lock(&runs->mutex);
    runs->sent_count--;
    if (status != TARN_OK) {
        note_failure(runs, status, &error);
    } else if (is_tried) {
        atomic_store_explicit(&run->state, RUN_FREE, memory_order_release);
    }
    (void)pthread_cond_broadcast(&runs->changed);
    (void)pthread_mutex_unlock(&runs->mutex);
}

bool tarn__runs_write_next(tarn__runs *runs, bool is_newest)
{
    tarn__run *next = NULL;
    assert(runs->options.workers == NULL);
    for (uint32_t i = 0; i < TARN__RUNS; i++) {
        tarn__run *run = &runs->runs[i];
        if (atomic_load(&run->state) == RUN_SENT &&
            (next == NULL || (run->number > next->number) == is_newest)) {
            next = run;
        }
    }
    if (next == NULL || atomic_load(&runs->has_failed)) {
        return false;
    }
    write_run(next);
    return true;
}

/* Writes a run that no worker has begun; false: there is none. */
static bool write_unbegun(tarn__runs *runs)
{
    for (uint32_t i = 0; i < TARN__RUNS; i++) {
        if (tarn__workers_withdraw(runs->options.workers, write_run, &runs->runs[i])) {
            write_run(&runs->runs[i]);
            return true;
        }
    }
    return false;
}

/* Waits for every job, also after a failure; does those that no worker has begun. */
static void await_jobs(tarn__runs *runs)
{
    if (runs->options.workers == NULL) {
        return;
    }
    while (write_unbegun(runs)) {
    }
    (void)pthread_mutex_lock(&runs->mutex);
    while (runs->sent_count > 0) {
        (void)pthread_cond_wait(&runs->changed, &runs->mutex);
    }
    (void)pthread_mutex_unlock(&runs->mutex);
}

void tarn__runs_close(tarn__runs *runs)
{
    if (runs == NULL) {
        return;
    }
    await_jobs(runs);
    for (uint32_t i = 0; i < TARN__RUNS; i++) {
        tarn__release(runs->runs[i].bytes);
    }
    (void)pthread_cond_destroy(&runs->changed);
    (void)pthread_mutex_destroy(&runs->mutex);
    tarn__release(runs);
}

/* ---- adding ----------------------------------------------------------------------------- */

static tarn__run *run_of(tarn__runs *runs, uint32_t number)
{
    return &runs->runs[number % TARN__RUNS];
}

static bool is_free(const tarn__run *run)
{
    return atomic_load_explicit(&run->state, memory_order_acquire) == RUN_FREE;
}

static bool is_filling(const tarn__run *run)
{
    return atomic_load_explicit(&run->state, memory_order_relaxed) == RUN_FILLING;
}

static void note_sent(tarn__runs *runs, tarn__run *run)
{
    (void)pthread_mutex_lock(&runs->mutex);
    runs->sent_count++;
    atomic_store(&run->state, RUN_SENT);
    (void)pthread_mutex_unlock(&runs->mutex);
}

/* Goes on with a run that was not queued. */
static void take_back(tarn__runs *runs, tarn__run *run)
{
    (void)pthread_mutex_lock(&runs->mutex);
    runs->sent_count--;
    atomic_store(&run->state, RUN_FILLING);
    (void)pthread_cond_broadcast(&runs->changed);
    (void)pthread_mutex_unlock(&runs->mutex);
}

void tarn__runs_send(tarn__runs *runs)
{
    tarn__run *run = run_of(runs, runs->number);
    if (!is_filling(run)) {
        return;
    }
    note_sent(runs, run);
    if (runs->options.workers != NULL) {
        tarn__workers_submit(runs->options.workers, write_run, run);
    }
}

/* The same of a run that is being filled; false: there is no place in the workers' queue. */
static bool try_send(tarn__runs *runs, tarn__run *run)
{
    note_sent(runs, run);
    if (runs->options.workers == NULL ||
        tarn__workers_try_submit(runs->options.workers, write_run, run)) {
        return true;
    }
    take_back(runs, run);
    return false;
}

static size_t bytes_of(const tarn__change *change)
{
    const size_t bytes =
        sizeof(record) + change->row.size + change->suffix.size + change->value.size;
    return (bytes + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
}

bool tarn__runs_can_hold(const tarn__runs *runs, const tarn__change *change)
{
    return bytes_of(change) + sizeof(tarn__run_place) <= runs->run_bytes &&
           change->row.size + change->suffix.size <= UINT16_MAX && change->value.size <= UINT16_MAX;
}

static bool has_room(const tarn__run *run, size_t bytes)
{
    return run->size + bytes + (run->count + 1) * sizeof(tarn__run_place) <= run->byte_size;
}

/* Of a run that is begun, if it gets the memory. */
static uint32_t bytes_wanted(const tarn__runs *runs, bool is_lent)
{
    return is_lent ? runs->lent_bytes : runs->run_bytes;
}

/* The number of the next run that is free, behind that of the last; how many are free. */
static uint32_t find_free(tarn__runs *runs, uint32_t *count_out)
{
    uint32_t number = 0;
    *count_out = 0;
    for (uint32_t i = TARN__RUNS; i > 0; i--) {
        if (is_free(run_of(runs, runs->number + i))) {
            number = runs->number + i;
            ++*count_out;
        }
    }
    return number;
}

/* Memory for a run, less than is wanted where there is not that much; NULL: not for these bytes. */
static uint8_t *allocate_run(tarn__runs *runs, bool is_lent, size_t bytes, uint32_t *size_out)
{
    uint32_t size = bytes_wanted(runs, is_lent);
    uint8_t *memory = tarn__allocate(runs->options.account, size);
    while (memory == NULL && size / LESS_MEMORY >= TARN__RUN_BYTES_MIN &&
           size / LESS_MEMORY >= bytes) {
        size = whole_pointers(size / LESS_MEMORY);
        memory = tarn__allocate(runs->options.account, size);
    }
    *size_out = size;
    return memory;
}

/* Begins a run with room for so many bytes; NULL: none is free, or there is no memory for it. */
static tarn__run *begin_run(tarn__runs *runs, bool is_lent, size_t bytes, bool can_wait)
{
    uint32_t free_count = 0;
    const uint32_t number = find_free(runs, &free_count);
    if (free_count <= (can_wait ? 1 : 0) ||
        atomic_load_explicit(&runs->has_failed, memory_order_relaxed)) {
        return NULL;
    }
    tarn__run *run = run_of(runs, number);
    run->bytes = allocate_run(runs, is_lent, bytes + sizeof(tarn__run_place), &run->byte_size);
    if (run->bytes == NULL) {
        return NULL;
    }
    runs->number = number;
    run->number = number;
    run->is_lent = is_lent;
    run->size = 0;
    run->count = 0;
    atomic_store_explicit(&run->state, RUN_FILLING, memory_order_relaxed);
    return run;
}

/* The run to fill, with room for one more change of so many bytes; NULL: there is none. */
static tarn__run *run_to_fill(tarn__runs *runs, bool is_lent, size_t bytes, bool can_wait)
{
    tarn__run *run = run_of(runs, runs->number);
    if (is_filling(run)) {
        if (run->is_lent == is_lent && has_room(run, bytes)) {
            return run;
        }
        if (!try_send(runs, run)) {
            return NULL;
        }
    }
    return begin_run(runs, is_lent, bytes, can_wait);
}

static void copy(uint8_t **to, tarn_bytes bytes)
{
    if (bytes.size > 0) {
        memcpy(*to, bytes.data, bytes.size);
        *to += bytes.size;
    }
}

bool tarn__runs_add(tarn__runs *runs, const tarn__change *change, uint32_t order, bool can_wait)
{
    const size_t bytes = bytes_of(change);
    assert(tarn__runs_can_hold(runs, change));
    tarn__run *run = run_to_fill(runs, /* is_lent= */ false, bytes, can_wait);
    if (run == NULL) {
        return false;
    }
    record *r = (record *)(void *)(run->bytes + run->size);
    *r = (record){
        .family = change->family,
        .value_size = (uint16_t)change->value.size,
        .row_size = (uint16_t)(change->row.size + change->suffix.size),
        .kind = (uint8_t)change->kind,
    };
    uint8_t *to = (uint8_t *)(r + 1);
    copy(&to, change->row);
    copy(&to, change->suffix);
    copy(&to, change->value);
    run->count++;
    *places_of(run) = tarn__run_place_of(row_of(r), run->size, order);
    run->size += (uint32_t)bytes;
    return true;
}

bool tarn__runs_lend(tarn__runs *runs, tarn_bytes row, uint32_t reference, uint32_t order)
{
    tarn__run *run = run_to_fill(runs, /* is_lent= */ true, 0, /* can_wait= */ false);
    if (run == NULL) {
        return false;
    }
    run->count++;
    *places_of(run) = tarn__run_place_of(row, reference, order);
    return true;
}

/* ---- where they are --------------------------------------------------------------------- */

uint32_t tarn__runs_number(const tarn__runs *runs)
{
    return runs->number;
}

bool tarn__runs_has_landed(const tarn__runs *runs, uint32_t number)
{
    const tarn__run *run = &runs->runs[number % TARN__RUNS];
    return run->number != number || is_free(run);
}

bool tarn__runs_is_busy(const tarn__runs *runs)
{
    for (uint32_t i = 0; i < TARN__RUNS; i++) {
        if (!is_free(&runs->runs[i])) {
            return true;
        }
    }
    return false;
}

/* ---- waiting ---------------------------------------------------------------------------- */

tarn_status tarn__runs_check(tarn__runs *runs, tarn_error *error)
{
    if (!atomic_load_explicit(&runs->has_failed, memory_order_acquire)) {
        return TARN_OK;
    }
    (void)pthread_mutex_lock(&runs->mutex);
    const tarn_error failure = runs->failure;
    (void)pthread_mutex_unlock(&runs->mutex);
    if (error != NULL) {
        *error = failure;
    }
    return failure.status;
}

tarn_status tarn__runs_land_one(tarn__runs *runs, tarn_error *error)
{
    const bool is_done = runs->options.workers == NULL
                             ? tarn__runs_write_next(runs, /* is_newest= */ false)
                             : write_unbegun(runs);
    (void)pthread_mutex_lock(&runs->mutex);
    const uint32_t count = runs->sent_count;
    while (!is_done && runs->options.workers != NULL && count > 0 && runs->sent_count == count) {
        (void)pthread_cond_wait(&runs->changed, &runs->mutex);
    }
    (void)pthread_mutex_unlock(&runs->mutex);
    return is_done || count > 0 ? tarn__runs_check(runs, error) : tarn__runs_finish(runs, error);
}

tarn_status tarn__runs_await(tarn__runs *runs, tarn_error *error)
{
    if (runs == NULL) {
        return TARN_OK;
    }
    while (runs->options.workers == NULL && tarn__runs_write_next(runs, /* is_newest= */ false)) {
    }
    await_jobs(runs);
    return tarn__runs_check(runs, error);
}

tarn_status tarn__runs_finish(tarn__runs *runs, tarn_error *error)
{
    tarn__run *run = run_of(runs, runs->number);
    if (is_filling(run) && !try_send(runs, run)) {
        note_sent(runs, run);
        write_run(run);
    }
    return tarn__runs_await(runs, error);
}
