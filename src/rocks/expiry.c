/* expiry.c - see expiry.h. */
#include "rocks/expiry.h"

#include <rocksdb/c.h>

#include "base/turn.h"
#include "codec/stamp.h"

#define FILTER_NAME "tarn.expiry.1"

/* Of one of RocksDB's threads. */
static _Thread_local tarn__turn turn;

tarn_status tarn__expiry_open(
    tarn__account *account, bool gives_way, tarn__expiry **out, tarn_error *error)
{
    tarn__expiry *expiry = tarn__allocate_zeroed(account, 1, sizeof *expiry);
    if (expiry == NULL) {
        return tarn__fail_no_memory(error, "the rules of what expires", sizeof *expiry);
    }
    expiry->gives_way = gives_way;
    atomic_init(&expiry->holder_count, 1);
    atomic_init(&expiry->version, 1);
    atomic_init(&expiry->cleaned_ms, INT64_MIN);
    atomic_init(&expiry->kept_ms, INT64_MAX);
    *out = expiry;
    return TARN_OK;
}

static void let_go(void *state)
{
    tarn__expiry *expiry = state;
    if (atomic_fetch_sub(&expiry->holder_count, 1) == 1) {
        tarn__release(expiry);
    }
}

void tarn__expiry_close(tarn__expiry *expiry)
{
    if (expiry != NULL) {
        tarn__expiry_stop(expiry);
        let_go(expiry);
    }
}

void tarn__expiry_set(tarn__expiry *expiry, const tarn__expiry_rules *rules, int64_t now_ms)
{
    tarn__expiry_stop(expiry);
    atomic_store(&expiry->ttl_ms, rules->ttl_ms);
    atomic_store(&expiry->is_folded, rules->is_folded);
    atomic_store(&expiry->is_kept, rules->is_kept);
    atomic_store(&expiry->clock, rules->clock);
    atomic_store(&expiry->query_every, rules->query_every);
    atomic_store(&expiry->queries_left, 0);
    atomic_store(&expiry->now_ms, now_ms);
    atomic_store(&expiry->cleaned_ms, INT64_MIN);
    (void)atomic_fetch_add(&expiry->version, 1);
}

void tarn__expiry_stop(tarn__expiry *expiry)
{
    if ((atomic_load(&expiry->version) & 1) == 0) {
        (void)atomic_fetch_add(&expiry->version, 1);
    }
}

/* ---- the filter ------------------------------------------------------------------------- */

static void keep_state(void *state)
{
    (void)state;
}

static const char *filter_name(void *state)
{
    (void)state;
    return FILTER_NAME;
}

static int64_t look_at_clock(tarn__expiry *expiry)
{
    const tarn__clock *clock = atomic_load(&expiry->clock);
    if (clock != NULL && atomic_fetch_sub(&expiry->queries_left, 1) <= 0) {
        atomic_store(&expiry->now_ms, tarn__clock_wall_ms(clock));
        atomic_store(&expiry->queries_left, (int)atomic_load(&expiry->query_every) - 1);
    }
    return atomic_load(&expiry->now_ms);
}

static bool is_droppable(tarn__expiry *expiry, int64_t stamp_ms, bool is_manual)
{
    const bool is_folded = atomic_load(&expiry->is_folded);
    const bool is_cleaning = atomic_load(&expiry->is_cleaning);
    if (is_folded ? !is_manual || !is_cleaning : atomic_load(&expiry->is_kept) && !is_cleaning) {
        return false;
    }
    const int64_t by_ms = is_folded ? atomic_load(&expiry->cleaned_ms) : look_at_clock(expiry);
    return tarn__stamp_is_expired(stamp_ms, atomic_load(&expiry->ttl_ms), by_ms);
}

static void note_kept(tarn__expiry *expiry, int64_t stamp_ms)
{
    int64_t oldest_ms = atomic_load_explicit(&expiry->kept_ms, memory_order_relaxed);
    while (stamp_ms != TARN__STAMP_UNKNOWN && stamp_ms < oldest_ms &&
           !atomic_compare_exchange_weak(&expiry->kept_ms, &oldest_ms, stamp_ms)) {
    }
}

static unsigned char judge(tarn__expiry *expiry, size_t key_size, tarn_bytes value, bool is_manual)
{
    if (expiry->gives_way) {
        tarn__turn_step(&turn);
    }
    const unsigned version = atomic_load(&expiry->version);
    if ((version & 1) != 0 || value.size < TARN__STAMP_BYTES) {
        return 0;
    }
    const int64_t stamp_ms = tarn__stamp_decode(value.data);
    const bool is_dropped =
        is_droppable(expiry, stamp_ms, is_manual) && atomic_load(&expiry->version) == version;
    if (!is_dropped) {
        note_kept(expiry, stamp_ms);
        return 0;
    }
    (void)atomic_fetch_add(&expiry->removed_count, 1);
    (void)atomic_fetch_add(&expiry->removed_bytes, key_size + value.size);
    return 1;
}

static unsigned char filter_manual(
    void *state,
    int level,
    const char *key,
    size_t key_size,
    const char *value,
    size_t value_size,
    char **new_value,
    size_t *new_value_size,
    unsigned char *value_changed)
{
    (void)level;
    (void)key;
    (void)new_value;
    (void)new_value_size;
    (void)value_changed;
    return judge(state, key_size, tarn_bytes_at(value, value_size), /* is_manual= */ true);
}

static unsigned char filter_automatic(
    void *state,
    int level,
    const char *key,
    size_t key_size,
    const char *value,
    size_t value_size,
    char **new_value,
    size_t *new_value_size,
    unsigned char *value_changed)
{
    (void)level;
    (void)key;
    (void)new_value;
    (void)new_value_size;
    (void)value_changed;
    return judge(state, key_size, tarn_bytes_at(value, value_size), /* is_manual= */ false);
}

/* NULL: this compaction has no filter. The factory lives until the compaction is over. */
static rocksdb_compactionfilter_t *new_filter(
    void *state, rocksdb_compactionfiltercontext_t *context)
{
    tarn__expiry *expiry = state;
    if ((atomic_load(&expiry->version) & 1) != 0 && !expiry->gives_way) {
        return NULL;
    }
    atomic_store(&expiry->queries_left, 0);
    return rocksdb_compactionfilter_create(
        expiry,
        keep_state,
        rocksdb_compactionfiltercontext_is_manual_compaction(context) ? filter_manual
                                                                      : filter_automatic,
        filter_name);
}

rocksdb_compactionfilterfactory_t *tarn__expiry_new_factory(tarn__expiry *expiry)
{
    (void)atomic_fetch_add(&expiry->holder_count, 1);
    return rocksdb_compactionfilterfactory_create(expiry, let_go, new_filter, filter_name);
}
