/* ttl_measure.c - how much of a state is expired: by looking at rows here and there. */
#include "tarn/ttl.h"

#include "state/hot.h"

enum { SAMPLES_MAX = 64 };

/* Counts rows of some key groups; *is_whole_out becomes false when the limit comes before the end.
 */
static tarn_status count_rows(
    tarn_keyed *keyed,
    tarn__rocks_iterator *rows,
    uint64_t row_count_max,
    tarn_ttl_stats *counts,
    bool *is_whole_out,
    tarn_error *error)
{
    const int64_t now_ms = keyed->has_ttl ? tarn__keyed_clock(keyed) : 0;
    for (uint64_t i = 0;; i++) {
        tarn_bytes row;
        tarn_bytes stored;
        tarn__keyed_content content;
        const tarn_status status = tarn__rocks_iterator_next(rows, &row, &stored, error);
        if (status == TARN_DONE) {
            return TARN_OK;
        }
        TARN_TRY(status);
        if (i == row_count_max) {
            *is_whole_out = false;
            return TARN_OK;
        }
        TARN_TRY(tarn__keyed_look(keyed, stored, now_ms, &content, error));
        counts->seen_count++;
        if (content.is_expired) {
            counts->expired_count_estimate++;
            counts->expired_bytes_estimate += row.size + stored.size;
        } else {
            counts->live_count_estimate++;
            counts->live_bytes_estimate += row.size + stored.size;
        }
    }
}

/* Counts up to so many rows of the groups first .. end - 1. */
static tarn_status count_groups(
    tarn_keyed *keyed,
    uint32_t first,
    uint32_t end,
    uint64_t row_count_max,
    tarn_ttl_stats *counts,
    bool *is_whole_out,
    tarn_error *error)
{
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    tarn__row_encode_group(lower, first);
    tarn__row_encode_group(upper, end);
    const tarn_bytes begin = tarn_bytes_at(lower, sizeof lower);
    const tarn_bytes behind = tarn_bytes_at(upper, sizeof upper);
    TARN_TRY(tarn__hot_settle(keyed->backend, keyed->family, begin, behind, error));
    tarn__rocks_iterator *rows = NULL;
    TARN_TRY(tarn__rocks_iterate_raw(keyed->family, begin, behind, &rows, error));
    const tarn_status status = count_rows(keyed, rows, row_count_max, counts, is_whole_out, error);
    tarn__rocks_iterator_close(rows);
    return status;
}

static tarn_status sample(
    tarn_keyed *keyed,
    uint64_t row_count_max,
    tarn_ttl_stats *counts,
    bool *is_whole_out,
    tarn_error *error)
{
    const tarn_key_group_range groups = keyed->backend->key_groups;
    const uint32_t group_count = groups.last - groups.first + 1u;
    uint64_t sample_count = group_count < SAMPLES_MAX ? group_count : SAMPLES_MAX;
    if (row_count_max == 0) {
        return count_groups(
            keyed, groups.first, groups.last + 1u, UINT64_MAX, counts, is_whole_out, error);
    }
    sample_count = sample_count < row_count_max ? sample_count : row_count_max;
    for (uint64_t i = 0; i < sample_count; i++) {
        TARN_TRY(count_groups(
            keyed,
            groups.first + (uint32_t)(group_count * i / sample_count),
            groups.first + (uint32_t)(group_count * (i + 1) / sample_count),
            row_count_max / sample_count,
            counts,
            is_whole_out,
            error));
    }
    return TARN_OK;
}

static uint64_t scale(uint64_t counted, uint64_t whole, uint64_t part)
{
    return part == 0 ? 0 : (uint64_t)((double)counted * ((double)whole / (double)part));
}

/* From what was seen to all that there is, by RocksDB's estimate of how many rows there are. */
static void reckon(const tarn_keyed *keyed, tarn_ttl_stats *counts)
{
    tarn__rocks_stats stats;
    tarn__rocks_measure_family(keyed->family, &stats);
    const uint64_t part = counts->seen_count;
    const uint64_t whole = stats.row_count_estimate > part ? stats.row_count_estimate : part;
    counts->live_count_estimate = scale(counts->live_count_estimate, whole, part);
    counts->live_bytes_estimate = scale(counts->live_bytes_estimate, whole, part);
    counts->expired_count_estimate = scale(counts->expired_count_estimate, whole, part);
    counts->expired_bytes_estimate = scale(counts->expired_bytes_estimate, whole, part);
}

tarn_status tarn_keyed_measure_ttl(
    tarn_keyed *state, uint64_t row_count_max, tarn_ttl_stats *out, tarn_error *error)
{
    tarn_backend *backend = state->backend;
    const tarn__expiry *expiry = state->family->expiry;
    TARN_TRY(tarn__backend_enter(backend, error));
    tarn_ttl_stats counts = {
        .removed_count = atomic_load(&expiry->removed_count),
        .removed_bytes = atomic_load(&expiry->removed_bytes),
        .cleaned_count = state->cleaning.cleaned_count,
        .clean_up_count = state->cleaning.clean_up_count,
        .is_cleaning = backend->cleaner.running == state,
    };
    bool is_whole = true;
    TARN_TRY(sample(state, row_count_max, &counts, &is_whole, error));
    counts.dropped_count = state->cleaning.dropped_count;
    if (!is_whole) {
        reckon(state, &counts);
    }
    counts.is_exact = is_whole;
    *out = counts;
    return TARN_OK;
}
