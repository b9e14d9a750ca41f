/**
 * @file tarn/prefetch.h
 * @brief Reads the rows of coming records together, before the records come.
 *
 *     tarn_prefetch next = TARN_PREFETCH_INIT;
 *     next.states = &counts, next.state_count = 1;      // tarn_value_keyed(state)
 *     tarn_backend_prefetch_ahead(backend, &first, &error);
 *     for (each batch of records) {
 *         next.keys = keys_of_the_batch_after_it, next.key_count = count;
 *         tarn_backend_prefetch_ahead(backend, &next, &error);  // takes in this batch's rows
 *         process(batch);
 *     }
 *
 * A state that is far larger than memory costs a read of RocksDB for almost every record. Read in
 * one sorted batch, rows cost a little less; read by a second thread while the records before are
 * processed, they cost the stream next to nothing, as long as that thread keeps up.
 *
 * What is read goes into the working set (tarn/working_set.h), and never in place of what a program
 * wrote meanwhile: a prefetch changes how long a call takes, not what it answers. It is a hint: a
 * row for which there is no room, or whose read failed, is read again when its record comes, and
 * that read says why it failed.
 *
 * Thread: confined, with the backend. The thread that reads ahead is the backend's own.
 */
#ifndef TARN_PREFETCH_H
#define TARN_PREFETCH_H

#include "tarn/backend.h"
#include "tarn/bytes.h"
#include "tarn/keyed.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Rows of one batch, at most; what comes behind is left out. 64 to 1,024 keys are a good batch. */
#define TARN_PREFETCH_ROWS_MAX 4096

/** Which rows to read: those of each key in each state. Start from TARN_PREFETCH_INIT. */
typedef struct tarn_prefetch {
    size_t struct_size; /**< Set by TARN_PREFETCH_INIT. */

    /**
     * States of the backend, in their current namespaces. Shape: [state_count]. Maps and lists are
     * read as a whole, as far as they are small: those that the working set would keep whole.
     * States whose rows are in RocksDB alone (tarn/working_set.h) are left out.
     */
    tarn_keyed *const *states;
    size_t state_count;

    const tarn_bytes *keys; /**< As for tarn_backend_set_key(). Shape: [key_count]. */
    size_t key_count;
    const int32_t *hashes; /**< With TARN_KEY_HASH_CALLER: those of the keys. Else NULL. */
    /**
     * Of maps: that entry of each key, as for tarn_map_get(), and not all of them; several of one
     * map are given by its key several times. NULL: whole maps. Shape: [key_count].
     */
    const tarn_bytes *user_keys;
    /* The layout is ABI: append fields here, never above. */
} tarn_prefetch;

/** Initialiser for tarn_prefetch: nothing to read. */
#define TARN_PREFETCH_INIT                   \
    {                                        \
        .struct_size = sizeof(tarn_prefetch) \
    }

/** Fills it with defaults; for C++ and bindings, where the INIT macro warns. */
TARN_API void tarn_prefetch_init(tarn_prefetch *prefetch, size_t struct_size);

/**
 * Reads rows now, in this thread, by sorted batches.
 *
 * @param[in] what  Borrowed for the call.
 *
 * @retval TARN_OK                What could be read and has room is in the working set. The current
 *                                key is what it was.
 * @retval TARN_INVALID_ARGUMENT  A key is not this backend's, or not of the form that its hash
 *                                wants; an entry's key is too long; a state is of another backend.
 * @retval TARN_NO_MEMORY, TARN_OVER_BUDGET  There is no room for the batch itself.
 * @retval TARN_IO_ERROR, TARN_NO_SPACE, TARN_POISONED  Rows that make room could not be written.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_backend_prefetch(tarn_backend *backend, const tarn_prefetch *what, tarn_error *error);

/**
 * Takes in the rows of the batch that was given before, and has a thread begin to read this one.
 *
 * Where that thread has not come to the end, this one reads the rest with it.
 *
 * @param[in] what  Copied. NULL, or no keys: only takes in what was given before.
 *
 * Errors are those of tarn_backend_prefetch(). When no thread can be started, the next call reads.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_backend_prefetch_ahead(tarn_backend *backend, const tarn_prefetch *what, tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
