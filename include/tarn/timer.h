/**
 * @file tarn/timer.h
 * @brief Timers: what a key wants to be woken for, in order of time.
 *
 *     tarn_timers_options options = TARN_TIMERS_OPTIONS_INIT;
 *     options.name = "window-timers";
 *     tarn_timers *timers = NULL;
 *     if (tarn_timers_open(backend, &options, &timers, &error) != TARN_OK) { ... }
 *
 *     tarn_backend_set_key(backend, tarn_bytes_of("N14228"), &error);
 *     tarn_timers_register(timers, window_end, window, &error);
 *
 *     tarn_timer timer;                                  the watermark has come
 *     while (tarn_timers_poll(timers, watermark, &timer, &error) == TARN_OK) {
 *         ...                                            timer.key is the current key
 *     }
 *
 * A timer is a time, a key and a namespace; the same three are one timer, however often it is
 * registered. Polling until TARN_DONE is what advances time: each call takes the earliest timer
 * that is due, over all key groups, and makes its key current. What is done between two calls may
 * register and remove timers, due ones too: one that is due already comes out of the same loop, or
 * of the next one, even at the same time. Timers are pulled rather than called back for: a binding
 * needs no function pointers, and errors and loops stay the caller's.
 *
 * Time is the caller's: it may be milliseconds or anything else, from INT64_MIN to INT64_MAX, and
 * the watermark is not remembered. Timers are part of the backend's snapshots.
 *
 * The earliest timers of each key group are in memory, all others in RocksDB; timers that come and
 * go while there are few never reach it.
 *
 * Ownership: timers borrow from their backend.
 * Thread: confined, with the backend.
 */
#ifndef TARN_TIMER_H
#define TARN_TIMER_H

#include "tarn/backend.h"
#include "tarn/bytes.h"
#include "tarn/config.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_timers tarn_timers;

/** What the time of timers is. Timers of both domains may have the same name. */
typedef enum tarn_time_domain {
    TARN_TIME_EVENT = 0,      /**< The time in the records. */
    TARN_TIME_PROCESSING = 1, /**< The time of the machine. */
} tarn_time_domain;

/** How to open timers. Start from TARN_TIMERS_OPTIONS_INIT; a zero field means its default. */
typedef struct tarn_timers_options {
    size_t struct_size; /**< Set by TARN_TIMERS_OPTIONS_INIT. */

    const char *name;        /**< 1 .. 200 bytes. Required. */
    tarn_time_domain domain; /**< Default TARN_TIME_EVENT. */

    /**
     * Units: timers that are kept in memory for each key group, 1 .. 65,536. Default: the
     * environment's state.backend.rocksdb.timer-service.cache-size; 512 where that is not set.
     * Memory for them, about 64 bytes each and at most 16 MiB (or 256 bytes a key group), is taken
     * from the heap pool when the timers are opened.
     */
    uint32_t head_timer_count;
    /** Units: timers that wait in memory to be written together. Default 262,144. */
    uint32_t buffer_timer_count;
    /**
     * Units: bytes of memory, at most, that tell new timers from registered ones: about 5 a timer,
     * taken as timers come. Beyond it, registering reads from RocksDB. Default 64 MiB.
     */
    uint64_t filter_bytes_max;
    const tarn_config *tuning; /**< RocksDB options by Flink's names, for these timers alone. */
    /* The layout is ABI: append fields here, never above. */
} tarn_timers_options;

/** Initialiser for tarn_timers_options: every option at its default. */
#define TARN_TIMERS_OPTIONS_INIT                   \
    {                                              \
        .struct_size = sizeof(tarn_timers_options) \
    }

/** A timer that fired. */
typedef struct tarn_timer {
    int64_t time;
    uint32_t key_group;
    tarn_bytes key;        /**< Borrowed until the next poll of the same timers. */
    tarn_bytes name_space; /**< Likewise. */
} tarn_timer;

/** Fills options with defaults; for C++ and bindings, where the INIT macro warns. */
TARN_API void tarn_timers_options_init(tarn_timers_options *options, size_t struct_size);

/**
 * Opens timers, with what a restored checkpoint holds of them.
 *
 * @param[in]  options  Copied, but for tuning, which is read while opening.
 * @param[out] out      Close it with tarn_timers_close(). Untouched on failure.
 * @param[out] error    Details of a failure. May be NULL. Counts after a failure only.
 *
 * @retval TARN_OK                The timers are open.
 * @retval TARN_INVALID_ARGUMENT  The name is missing or too long, or an option is out of range.
 * @retval TARN_BUSY              Timers of this name and domain are open already.
 * @retval TARN_INCOMPATIBLE      What is stored under the name is something else.
 * @retval TARN_CORRUPTION, TARN_IO_ERROR, TARN_NO_MEMORY, TARN_OVER_BUDGET
 *
 * Cost: one ordered pass over the stored timers.
 */
TARN_API TARN_NODISCARD tarn_status tarn_timers_open(
    tarn_backend *backend,
    const tarn_timers_options *options,
    tarn_timers **out,
    tarn_error *error);

/**
 * Closes timers; they stay in the backend. NULL does nothing.
 *
 * @retval TARN_OK  They are closed.
 * @retval other    What was in memory could not be stored; they are closed all the same.
 */
TARN_API TARN_NODISCARD tarn_status tarn_timers_close(tarn_timers *timers, tarn_error *error);

/**
 * Registers a timer of the current key. One that is registered already stays as it is.
 *
 * @param[in] name_space  Shape: any bytes, 0 .. 64 KiB - 1. Copied.
 *
 * @retval TARN_OK                It is registered.
 * @retval TARN_INVALID_ARGUMENT  No key is current, or the namespace is too long.
 * @retval TARN_NO_MEMORY, TARN_OVER_BUDGET  Nothing changed.
 * @retval TARN_IO_ERROR, TARN_NO_SPACE, TARN_POISONED  The store failed.
 *
 * Cost: no I/O for a timer that is new; now and then a write of all that wait.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_timers_register(tarn_timers *timers, int64_t time, tarn_bytes name_space, tarn_error *error);

/**
 * Removes a timer of the current key. Removing what is not registered, or has fired, succeeds.
 *
 * Errors as tarn_timers_register(). Cost: a read and a write when the timer is only in RocksDB.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_timers_remove(tarn_timers *timers, int64_t time, tarn_bytes name_space, tarn_error *error);

/**
 * Takes the earliest timer that is due, and makes its key current.
 *
 * Timers come in the order of their times; those of one key group at one time in the order of
 * their rows, those of several groups in any.
 *
 * @param[in]  up_to  The latest time that is due.
 * @param[out] out    The timer; it is registered no longer. Untouched unless TARN_OK.
 *
 * @retval TARN_OK    A timer fires.
 * @retval TARN_DONE  None is due (an outcome, not an error). The current key stays.
 * @retval TARN_CORRUPTION, TARN_IO_ERROR, TARN_POISONED  Nothing was taken.
 * @retval TARN_OVER_BUDGET, TARN_NO_MEMORY  Likewise.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_timers_poll(tarn_timers *timers, int64_t up_to, tarn_timer *out, tarn_error *error);

/**
 * Answers the earliest time that a timer is registered for.
 *
 * @retval TARN_OK         *out is set.
 * @retval TARN_NOT_FOUND  There are no timers (an outcome, not an error).
 */
TARN_API TARN_NODISCARD tarn_status
tarn_timers_next_time(tarn_timers *timers, int64_t *out, tarn_error *error);

/** Answers how many timers are registered, exactly. Cost: none. */
TARN_API uint64_t tarn_timers_count(const tarn_timers *timers);

/**
 * Counts the timers of one namespace, of all keys.
 *
 * Cost: stores what is in memory and reads all timers.
 */
TARN_API TARN_NODISCARD tarn_status tarn_timers_count_namespace(
    tarn_timers *timers, tarn_bytes name_space, uint64_t *out, tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
