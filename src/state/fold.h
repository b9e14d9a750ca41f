/*
 * fold.h - states whose value is made by a function of two: reading, calling, writing.
 *
 *     add     row, value ──► function ──► row, stamped now
 *     merge   sources, one after the other, then the target in front ──► target
 *
 * An expired side takes part when expired values are shown, else it is as if absent. What was
 * made of two is stamped now; what was moved alone keeps its stamp.
 *
 * Thread: confined, with the backend.
 */
#ifndef TARN_STATE_FOLD_H
#define TARN_STATE_FOLD_H

#include "state/keyed.h"

/* Writes into out, which comes empty. earlier NULL: there is nothing yet. */
typedef tarn_status tarn__fold_add_fn(
    const tarn_bytes *earlier, tarn_bytes added, tarn_buffer *out, void *context);
typedef tarn_status tarn__fold_merge_fn(
    tarn_bytes earlier, tarn_bytes later, tarn_buffer *out, void *context);

/* Calls a function's status what it is, or TARN_INTERNAL when it is none of a failure. */
TARN_NODISCARD tarn_status
tarn__fold_check(const tarn_keyed *keyed, tarn_status status, tarn_error *error);

/* Adds to the value of the current key and namespace. The backend has been entered to write. */
TARN_NODISCARD tarn_status tarn__fold_add(
    tarn_keyed *keyed, tarn__fold_add_fn *add, void *context, tarn_bytes added, tarn_error *error);

/* Merges namespaces, as tarn__keyed_merge_fn says. */
TARN_NODISCARD tarn_status tarn__fold_merge(
    tarn_keyed *keyed,
    tarn__fold_merge_fn *merge,
    void *context,
    const tarn_bytes *sources,
    size_t source_count,
    tarn_bytes target,
    tarn_error *error);

#endif
