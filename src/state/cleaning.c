/* cleaning.c - see cleaning.h. */
#include "state/cleaning.h"

#include "state/hot.h"

enum {
    BURST_ROWS = 64, /* Looked at in one go: an iterator costs as much as some dozens of rows. */
    SLICE_BYTES = 256 << 20, /* Of table files, about: a worker is free for others in between. */
    SLICE_COUNT_MAX = 64,
    QUERY_COUNT_DEFAULT = 1000,
    PERIODIC_SECONDS_DEFAULT = 30 * 24 * 3600,
};

void tarn__cleaner_init(tarn__cleaner *cleaner, tarn_backend *backend)
{
    cleaner->backend = backend;
    (void)pthread_mutex_init(&cleaner->mutex, NULL);
    (void)pthread_cond_init(&cleaner->ended, NULL);
}

void tarn__cleaner_clear(tarn__cleaner *cleaner)
{
    (void)pthread_cond_destroy(&cleaner->ended);
    (void)pthread_mutex_destroy(&cleaner->mutex);
}

static int64_t add_saturating(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* ---- deadlines -------------------------------------------------------------------------- */

/* Sets when the next clean-up begins, by the oldest stamp. */
static void schedule(tarn_keyed *keyed)
{
    tarn__cleaning *cleaning = &keyed->cleaning;
    const int64_t grace_ms = keyed->ttl.deadline_ms > 1 ? keyed->ttl.deadline_ms / 2 : 1;
    cleaning->due_ms = INT64_MAX;
    if (keyed->ttl.deadline_ms == 0 || cleaning->oldest_ms == INT64_MAX) {
        return;
    }
    const int64_t due_ms =
        add_saturating(cleaning->oldest_ms, add_saturating(keyed->ttl.ttl_ms, grace_ms));
    /* What a clean-up has left is young; a stamp that says otherwise must not begin one at once. */
    const int64_t earliest_ms = add_saturating(cleaning->cleaned_ms, grace_ms);
    cleaning->due_ms = due_ms > earliest_ms ? due_ms : earliest_ms;
}

void tarn__cleaning_note_write(tarn_keyed *keyed, int64_t stamp_ms)
{
    tarn__cleaning *cleaning = &keyed->cleaning;
    if (__builtin_expect(stamp_ms >= cleaning->oldest_ms || stamp_ms == TARN__STAMP_UNKNOWN, 1)) {
        return;
    }
    cleaning->oldest_ms = stamp_ms;
    if (keyed->backend->cleaner.running != keyed) {
        schedule(keyed);
    }
}

void tarn__cleaning_note_access(tarn_keyed *keyed, int64_t now_ms)
{
    tarn__cleaning *cleaning = &keyed->cleaning;
    tarn_backend *backend = keyed->backend;
    tarn__expiry_publish(keyed->family->expiry, now_ms);
    cleaning->owed += keyed->ttl.cleanup_size;
    if (cleaning->owed >= BURST_ROWS || now_ms >= cleaning->due_ms ||
        atomic_load_explicit(&backend->cleaner.has_ended, memory_order_relaxed)) {
        backend->needs_attention = true;
    }
}

/* The bounds of the key groups that a backend has, or of a part of them. */
static void bound_slice(
    const tarn_backend *backend,
    uint32_t slice,
    uint32_t slice_count,
    uint8_t lower[TARN__ROW_GROUP_BYTES],
    uint8_t upper[TARN__ROW_GROUP_BYTES])
{
    const uint32_t first = backend->key_groups.first;
    const uint64_t count = backend->key_groups.last - first + 1u;
    tarn__row_encode_group(lower, first + (uint32_t)(count * slice / slice_count));
    tarn__row_encode_group(upper, first + (uint32_t)(count * (slice + 1) / slice_count));
}

static void clean_slice(tarn__cleaner *cleaner)
{
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    bound_slice(cleaner->backend, cleaner->slice, cleaner->slice_count, lower, upper);
    tarn__rocks_clean(
        cleaner->family, tarn_bytes_at(lower, sizeof lower), tarn_bytes_at(upper, sizeof upper));
    cleaner->slice++;
}

static bool has_slices(const tarn__cleaner *cleaner)
{
    return cleaner->slice < cleaner->slice_count && !atomic_load(&cleaner->is_cancelled);
}

static void end_clean_up(tarn__cleaner *cleaner)
{
    (void)pthread_mutex_lock(&cleaner->mutex);
    atomic_store(&cleaner->has_ended, true);
    (void)pthread_cond_broadcast(&cleaner->ended);
    (void)pthread_mutex_unlock(&cleaner->mutex);
}

/* The job: a slice, and behind what others have queued the next one. */
static void run(void *context)
{
    tarn__cleaner *cleaner = context;
    while (has_slices(cleaner)) {
        clean_slice(cleaner);
        if (has_slices(cleaner) &&
            tarn__workers_try_submit(tarn__env_workers(cleaner->backend->env), run, cleaner)) {
            return;
        }
    }
    end_clean_up(cleaner);
}

/* Makes a clean-up of what is expired now the one that is under way. */
static void begin_clean_up(tarn_keyed *keyed, int64_t now_ms)
{
    tarn__cleaner *cleaner = &keyed->backend->cleaner;
    tarn__cleaning *cleaning = &keyed->cleaning;
    tarn__expiry *expiry = keyed->family->expiry;
    tarn__rocks_stats stats;
    if (now_ms > cleaning->cleaned_ms) {
        cleaning->cleaned_ms = now_ms;
    }
    cleaning->oldest_ms = INT64_MAX;
    cleaning->due_ms = INT64_MAX;
    atomic_store(&expiry->cleaned_ms, cleaning->cleaned_ms);
    atomic_store(&expiry->kept_ms, INT64_MAX);
    atomic_store(&expiry->is_cleaning, true);
    tarn__expiry_publish(expiry, now_ms);

    tarn__rocks_measure_family(keyed->family, &stats);
    const uint64_t group_count =
        keyed->backend->key_groups.last - keyed->backend->key_groups.first + 1u;
    uint64_t slice_count = 1 + stats.live_file_bytes / SLICE_BYTES;
    slice_count = slice_count < SLICE_COUNT_MAX ? slice_count : SLICE_COUNT_MAX;
    cleaner->running = keyed;
    cleaner->family = keyed->family;
    cleaner->slice = 0;
    cleaner->slice_count = (uint32_t)(slice_count < group_count ? slice_count : group_count);
    atomic_store(&cleaner->is_cancelled, false);
    atomic_store(&cleaner->has_ended, false);
}

/* Draws the conclusions from a clean-up that has ended. */
static void collect(tarn__cleaner *cleaner)
{
    tarn_keyed *keyed = cleaner->running;
    if (keyed == NULL || !atomic_load(&cleaner->has_ended)) {
        return;
    }
    (void)pthread_mutex_lock(&cleaner->mutex); /* Whoever ended it has let go. */
    (void)pthread_mutex_unlock(&cleaner->mutex);
    tarn__cleaning *cleaning = &keyed->cleaning;
    const int64_t kept_ms = atomic_load(&keyed->family->expiry->kept_ms);
    atomic_store(&keyed->family->expiry->is_cleaning, false);
    atomic_store(&cleaner->has_ended, false);
    cleaner->running = NULL;
    if (cleaner->slice < cleaner->slice_count) {
        cleaning->due_ms = keyed->ttl.deadline_ms > 0 ? INT64_MIN : INT64_MAX;
        return;
    }
    cleaning->clean_up_count++;
    cleaning->oldest_ms = kept_ms < cleaning->oldest_ms ? kept_ms : cleaning->oldest_ms;
    schedule(keyed);
}

void tarn__cleaner_wait(tarn_backend *backend)
{
    tarn__cleaner *cleaner = &backend->cleaner;
    if (cleaner->running == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&cleaner->mutex);
    while (!atomic_load(&cleaner->has_ended)) {
        (void)pthread_cond_wait(&cleaner->ended, &cleaner->mutex);
    }
    (void)pthread_mutex_unlock(&cleaner->mutex);
    collect(cleaner);
}

void tarn__cleaner_stop(tarn_backend *backend)
{
    tarn__cleaner *cleaner = &backend->cleaner;
    if (cleaner->running == NULL) {
        return;
    }
    atomic_store(&cleaner->is_cancelled, true);
    tarn__rocks_cancel_cleaning(backend->rocks);
    (void)pthread_mutex_lock(&cleaner->mutex);
    while (!atomic_load(&cleaner->has_ended)) {
        (void)pthread_cond_wait(&cleaner->ended, &cleaner->mutex);
    }
    (void)pthread_mutex_unlock(&cleaner->mutex);
    tarn__rocks_allow_cleaning(backend->rocks);
    tarn__tidier_resume(backend); /* It was ended too. */
    cleaner->slice = 0;           /* The last one may have been cut short. */
    collect(cleaner);
}

static tarn_status begin_on_worker(tarn_keyed *keyed, int64_t now_ms, tarn_error *error)
{
    tarn__cleaner *cleaner = &keyed->backend->cleaner;
    TARN_TRY(tarn__hot_settle_adds(keyed, error));
    const int64_t oldest_ms = keyed->cleaning.oldest_ms;
    begin_clean_up(keyed, now_ms);
    if (!tarn__workers_try_submit(tarn__env_workers(keyed->backend->env), run, cleaner)) {
        cleaner->running = NULL;
        keyed->cleaning.oldest_ms = oldest_ms;
        keyed->cleaning.due_ms = add_saturating(now_ms, 1); /* The workers are busy: later. */
    }
    return TARN_OK;
}

tarn_status tarn_keyed_clean(tarn_keyed *keyed, tarn_error *error)
{
    tarn_backend *backend = keyed->backend;
    TARN_TRY(tarn__backend_enter_write(backend, error));
    tarn__rocks_unpin(&backend->pin);
    if (!keyed->has_ttl || keyed->is_untimed) {
        return TARN_OK;
    }
    tarn__cleaner_wait(backend);
    TARN_TRY(tarn__hot_settle_adds(keyed, error));
    begin_clean_up(keyed, tarn__keyed_clock(keyed));
    /* A compaction does not say how it ended; a flush that fails does. */
    const tarn_status status =
        tarn__backend_finish_write(backend, tarn__rocks_flush(backend->rocks, error), error);
    while (status == TARN_OK && has_slices(&backend->cleaner)) {
        clean_slice(&backend->cleaner);
    }
    end_clean_up(&backend->cleaner);
    collect(&backend->cleaner);
    return status;
}

/* ---- step by step ----------------------------------------------------------------------- */

/* Moves the cursor behind a row. */
static tarn_status move_cursor(tarn_keyed *keyed, tarn_bytes row, tarn_error *error)
{
    static const uint8_t LEAST[] = {0};
    tarn_buffer *cursor = &keyed->cleaning.cursor;
    if (tarn_buffer_assign(cursor, row) != TARN_OK ||
        tarn_buffer_append(cursor, tarn_bytes_at(LEAST, sizeof LEAST)) != TARN_OK) {
        cursor->size = 0;
        return tarn__fail_no_memory(error, "a row", row.size);
    }
    return TARN_OK;
}

/* Looks at rows from the cursor on, and collects those that are expired. */
static tarn_status look_at_rows(
    tarn_keyed *keyed,
    tarn__rocks_iterator *rows,
    tarn__rocks_batch *batch,
    uint64_t *expired_count,
    tarn_error *error)
{
    const int64_t now_ms = tarn__keyed_clock(keyed);
    for (uint32_t i = 0; i < keyed->cleaning.owed; i++) {
        tarn_bytes row;
        tarn_bytes stored;
        tarn__keyed_content content;
        const tarn_status status = tarn__rocks_iterator_next(rows, &row, &stored, error);
        if (status == TARN_DONE) {
            keyed->cleaning.cursor.size = 0;
            return TARN_OK;
        }
        TARN_TRY(status);
        TARN_TRY(tarn__keyed_look(keyed, stored, now_ms, &content, error));
        if (content.is_expired && tarn__hot_forget_expired(keyed, row)) {
            tarn__rocks_batch_delete(batch, keyed->family, row);
            (*expired_count)++;
        }
        if (i + 1 == keyed->cleaning.owed) {
            return move_cursor(keyed, row, error);
        }
    }
    return TARN_OK;
}

static tarn_status clean_rows(tarn_keyed *keyed, tarn_error *error)
{
    tarn__cleaning *cleaning = &keyed->cleaning;
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    uint64_t expired_count = 0;
    bound_slice(keyed->backend, 0, 1, lower, upper);
    tarn__rocks_iterator *rows = NULL;
    TARN_TRY(tarn__rocks_iterate_raw(
        keyed->family,
        cleaning->cursor.size > 0 ? tarn_buffer_bytes(&cleaning->cursor)
                                  : tarn_bytes_at(lower, sizeof lower),
        tarn_bytes_at(upper, sizeof upper),
        &rows,
        error));
    tarn__rocks_batch batch;
    tarn__rocks_batch_init(&batch);
    tarn_status status = look_at_rows(keyed, rows, &batch, &expired_count, error);
    tarn__rocks_iterator_close(rows);
    if (status == TARN_OK && expired_count > 0) {
        status = tarn__backend_finish_write(
            keyed->backend, tarn__rocks_batch_write(keyed->backend->rocks, &batch, error), error);
    }
    tarn__rocks_batch_clear(&batch);
    cleaning->owed = 0;
    cleaning->cleaned_count += status == TARN_OK ? expired_count : 0;
    return status;
}

void tarn__cleaner_note_record(tarn_backend *backend)
{
    for (tarn_keyed *keyed = backend->cleaner.first; keyed != NULL; keyed = keyed->cleaning.next) {
        if (keyed->ttl.cleans_on_every_record) {
            tarn__cleaning_note_access(keyed, tarn__keyed_clock(keyed));
        }
    }
}

/* ---- both ------------------------------------------------------------------------------- */

tarn_status tarn__cleaner_attend(tarn_backend *backend, tarn_error *error)
{
    tarn__cleaner *cleaner = &backend->cleaner;
    collect(cleaner);
    if (atomic_load_explicit(&backend->is_gate_shut, memory_order_acquire)) {
        return TARN_OK; /* What is owed and due stays so: the next access sees to it. */
    }
    for (tarn_keyed *keyed = cleaner->first; keyed != NULL; keyed = keyed->cleaning.next) {
        if (keyed->cleaning.owed >= BURST_ROWS) {
            TARN_TRY(clean_rows(keyed, error));
        }
        const int64_t now_ms = tarn__keyed_clock(keyed);
        if (cleaner->running == NULL && now_ms >= keyed->cleaning.due_ms) {
            TARN_TRY(begin_on_worker(keyed, now_ms, error));
        }
    }
    return TARN_OK;
}

tarn_status tarn_backend_advance_ttl(tarn_backend *backend, tarn_error *error)
{
    TARN_TRY(tarn__backend_enter(backend, error));
    for (tarn_keyed *keyed = backend->cleaner.first; keyed != NULL; keyed = keyed->cleaning.next) {
        tarn__expiry_publish(keyed->family->expiry, tarn__keyed_clock(keyed));
    }
    return tarn__cleaner_attend(backend, error);
}

tarn_status tarn_backend_set_watermark(
    tarn_backend *backend, int64_t watermark_ms, tarn_error *error)
{
    TARN_TRY(tarn__backend_enter(backend, error)); /* A pending edit is of the time before. */
    if (watermark_ms > backend->watermark_ms) {
        backend->watermark_ms = watermark_ms;
    }
    return tarn_backend_advance_ttl(backend, error);
}

tarn_status tarn_backend_set_event_time(tarn_backend *backend, int64_t event_ms, tarn_error *error)
{
    TARN_TRY(tarn__backend_enter(backend, error)); /* A pending edit is of the record before. */
    backend->event_ms = event_ms;
    return TARN_OK;
}

/* ---- opening and closing ---------------------------------------------------------------- */

static uint64_t periodic_seconds(const tarn_ttl *ttl)
{
    if (ttl->periodic_compaction_ms < 0) {
        return 0;
    }
    return ttl->periodic_compaction_ms > 0 ? (uint64_t)(ttl->periodic_compaction_ms + 999) / 1000
                                           : PERIODIC_SECONDS_DEFAULT;
}

tarn_status tarn__cleaning_open(tarn_keyed *keyed, tarn_error *error)
{
    tarn_backend *backend = keyed->backend;
    const bool is_machines =
        keyed->ttl.time == TARN_TTL_PROCESSING_TIME && keyed->ttl.now_ms == NULL;
    const uint32_t query_count = keyed->ttl.query_time_after_count;
    const tarn__expiry_rules rules = {
        .ttl_ms = keyed->ttl.ttl_ms,
        .is_folded = keyed->is_folded,
        .is_kept = keyed->ttl.is_kept_by_compactions,
        .clock = is_machines ? tarn__env_clock(backend->env) : NULL,
        .query_every = query_count == 0          ? QUERY_COUNT_DEFAULT
                       : query_count > INT32_MAX ? INT32_MAX
                                                 : query_count,
    };
    TARN_TRY(tarn__rocks_set_expiry(
        keyed->family, &rules, tarn__keyed_clock(keyed), periodic_seconds(&keyed->ttl), error));
    keyed->cleaning.cursor.allocator = &backend->account->face;
    keyed->cleaning.oldest_ms = INT64_MAX;
    keyed->cleaning.cleaned_ms = INT64_MIN;
    /* How old the rows are that are there is not known. */
    keyed->cleaning.due_ms =
        keyed->is_created || keyed->ttl.deadline_ms == 0 ? INT64_MAX : INT64_MIN;
    keyed->cleaning.next = backend->cleaner.first;
    backend->cleaner.first = keyed;
    backend->cleans_on_records = backend->cleans_on_records || keyed->ttl.cleans_on_every_record;
    return TARN_OK;
}

void tarn__cleaning_close(tarn_keyed *keyed)
{
    tarn__cleaner *cleaner = &keyed->backend->cleaner;
    if (!keyed->has_ttl || keyed->is_untimed) {
        return;
    }
    if (cleaner->running == keyed) {
        tarn__cleaner_stop(keyed->backend);
    }
    tarn__expiry_stop(keyed->family->expiry);
    tarn_keyed **link = &cleaner->first;
    while (*link != keyed) {
        link = &(*link)->cleaning.next;
    }
    *link = keyed->cleaning.next;
    tarn_buffer_clear(&keyed->cleaning.cursor);
}
