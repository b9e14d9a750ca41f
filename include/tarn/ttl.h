/**
 * @file tarn/ttl.h
 * @brief How long what a state stores lives, and how it goes from memory and disk.
 *
 *     tarn_ttl ttl = TARN_TTL_INIT;
 *     ttl.ttl_ms = 24 * 3600 * 1000;
 *     ttl.deadline_ms = 3600 * 1000;
 *     tarn_state_options options = TARN_STATE_OPTIONS_INIT;
 *     options.name = "sessions";
 *     options.ttl = &ttl;
 *
 * A value, a map entry and a list element are **stamped** with the time of their last update, and
 * are expired when that lies ttl_ms or more in the past. Ways in which what is expired goes:
 *
 *   - a read removes what it finds expired (of a list: once all of it is);
 *   - the working set does not write it, unless is_kept_by_compactions;
 *   - compactions of RocksDB leave it out, on its threads, unless is_kept_by_compactions;
 *   - with cleanup_size each access looks at a few rows, round and round over the state;
 *   - with deadline_ms its files are compacted in time, on the environment's workers;
 *   - tarn_keyed_clean() does that at once.
 *
 * A state with a built-in reducer has adds that are not folded yet; neither a compaction nor the
 * working set can tell which of its rows they keep young. There only the last three and reads
 * remove anything.
 * Checkpoints and their files have what is expired and still there.
 *
 * Time goes on, for compactions and deadlines, with each access to the state, and with
 * tarn_backend_advance_ttl() where there are none. What a clean-up has removed does not come back
 * when a clock goes back.
 *
 * **On and off.** A state that was stored without a TTL can be opened with one: opening it writes
 * all its rows anew, as young as now (the log tells how far it is; another open of the same state
 * with a TTL costs nothing more). One that was stored with a TTL can be opened without: nothing is
 * rewritten, rows keep their 8 bytes, and nothing expires.
 *
 * Ownership: a tarn_ttl is copied while a state is opened; now_context is borrowed.
 * Thread: confined, with the backend.
 */
#ifndef TARN_TTL_H
#define TARN_TTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tarn/backend.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_keyed tarn_keyed; /* tarn/keyed.h */

/** What makes a value, map entry or list element young again. */
typedef enum tarn_ttl_update {
    TARN_TTL_ON_CREATE_AND_WRITE = 0, /**< Writing it. */
    TARN_TTL_ON_READ_AND_WRITE = 1,   /**< Reading it, too. */
} tarn_ttl_update;

/** What a read answers about something expired that has not been removed yet. */
typedef enum tarn_ttl_visibility {
    TARN_TTL_NEVER_RETURN_EXPIRED = 0,          /**< That it is not there. */
    TARN_TTL_RETURN_EXPIRED_IF_NOT_CLEANED = 1, /**< What it was; the read removes it. */
} tarn_ttl_visibility;

/** Which time counts. */
typedef enum tarn_ttl_time {
    TARN_TTL_PROCESSING_TIME = 0, /**< A clock: now_ms of the TTL, or the machine's. */
    /**
     * The stream's: what is expired is decided by the watermark, and the stamp is the later one of
     * the watermark and the record's own time (tarn_backend_set_event_time()). So nothing is
     * expired when it is written, and what a record from ahead of the watermark wrote lives until
     * its own time has passed. What is written before either is known never expires, until it is
     * written again.
     */
    TARN_TTL_EVENT_TIME = 1,
} tarn_ttl_time;

/** Answers the time. Units: milliseconds since any fixed moment, always the same one. */
typedef int64_t tarn_time_fn(void *context);

/** The time to live of a state. Start from TARN_TTL_INIT; a zero field means its default. */
typedef struct tarn_ttl {
    size_t struct_size; /**< Set by TARN_TTL_INIT. */
    int64_t ttl_ms;     /**< Greater than 0. */
    tarn_ttl_update update;
    tarn_ttl_visibility visibility;
    tarn_time_fn *now_ms; /**< NULL: the machine's clock, milliseconds since 1970. */
    void *now_context;

    tarn_ttl_time time; /**< Event time goes without now_ms. */
    /** Rows that are looked at for each access, on average: in steps of some dozens. 0: none. */
    uint32_t cleanup_size;
    /** The machine's clock is asked again after so many rows of a compaction. Default 1000. */
    uint32_t query_time_after_count;
    /** Compactions that nobody asked for leave expired rows alone, and so does the working set. */
    bool is_kept_by_compactions;
    bool cleans_on_every_record; /**< Each tarn_backend_set_key() counts as an access, too. */
    /** Files of this age are compacted, in real time. Default 30 days; negative: never. */
    int64_t periodic_compaction_ms;
    /**
     * What is expired is gone from the table files so long after at the latest, by the time of the
     * TTL, if a compaction takes less than half of that. 0: when it happens.
     */
    int64_t deadline_ms;
    /* The layout is ABI: append fields here, never above. */
} tarn_ttl;

/** Initialiser for tarn_ttl. */
#define TARN_TTL_INIT                   \
    {                                   \
        .struct_size = sizeof(tarn_ttl) \
    }

/** Fills a TTL with defaults; for C++ and bindings, where the INIT macro warns. */
TARN_API void tarn_ttl_init(tarn_ttl *ttl, size_t struct_size);

/**
 * How much of a state is expired. Bytes are of rows as they are stored, key and value with all that
 * is added to them (docs/FORMATS.md), without compression. What is in is_exact goes for all figures
 * with an "estimate".
 */
typedef struct tarn_ttl_stats {
    uint64_t live_count_estimate;
    uint64_t live_bytes_estimate;
    uint64_t expired_count_estimate;
    uint64_t expired_bytes_estimate;
    uint64_t seen_count; /**< Rows that were looked at. */
    bool is_exact;       /**< All were looked at: the estimates are counts. */
    uint64_t
        removed_count; /**< Rows that compactions left out since the state's files were opened. */
    uint64_t removed_bytes;  /**< Of those. A row can be counted at two levels of the tree. */
    uint64_t cleaned_count;  /**< Rows that cleanup_size removed since the state was opened. */
    uint64_t clean_up_count; /**< Clean-ups of deadlines and tarn_keyed_clean() that ended. */
    bool is_cleaning;        /**< One is under way. */
    /** Rows that had expired in the working set, and were never written, since the state was
     * opened.
     */
    uint64_t dropped_count;
} tarn_ttl_stats;

/**
 * Looks at up to row_count_max rows, spread over the key groups, and reckons from them.
 *
 * @param[in] row_count_max  0: all rows; the figures are exact then.
 * @retval TARN_OK           Also without a TTL: all is live.
 * @retval TARN_IO_ERROR, TARN_CORRUPTION, TARN_OVER_BUDGET, TARN_NO_MEMORY, TARN_POISONED
 *
 * Cost: a scan of so many rows, past the block cache.
 */
TARN_API TARN_NODISCARD tarn_status tarn_keyed_measure_ttl(
    tarn_keyed *state, uint64_t row_count_max, tarn_ttl_stats *out, tarn_error *error);

/**
 * Compacts all of a state, so that nothing that is expired now is in its files. Waits for it.
 *
 * @retval TARN_OK  It is so. Without a TTL nothing is done.
 * @retval TARN_IO_ERROR, TARN_NO_SPACE, TARN_POISONED
 *
 * Cost: all of the state's files are read and written. Files that an open iterator or a checkpoint
 * reads stay until it ends.
 */
TARN_API TARN_NODISCARD tarn_status tarn_keyed_clean(tarn_keyed *state, tarn_error *error);

/**
 * Tells all states of a backend what time it is and begins what their deadlines ask for, without
 * waiting: call it now and then when no records come.
 *
 * @retval TARN_IO_ERROR, TARN_CORRUPTION, TARN_OVER_BUDGET, TARN_NO_MEMORY, TARN_POISONED
 */
TARN_API TARN_NODISCARD tarn_status
tarn_backend_advance_ttl(tarn_backend *backend, tarn_error *error);

/**
 * Sets the event time up to which the stream is complete: the clock of TTLs in event time. States
 * that are opened later count from it, too: set it before them when a job is restored.
 *
 * @param[in] watermark_ms  One that is earlier than the last is ignored.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_backend_set_watermark(tarn_backend *backend, int64_t watermark_ms, tarn_error *error);

/**
 * Sets the event time of the records to come, until it is set again.
 *
 * @param[in] event_ms  INT64_MIN: unknown, the watermark counts.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_backend_set_event_time(tarn_backend *backend, int64_t event_ms, tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
