/**
 * @file tarn/aggregating.h
 * @brief Aggregating state: values added under the current key go into an accumulator.
 *
 *     tarn_aggregating_options how = TARN_AGGREGATING_OPTIONS_INIT;
 *     how.add = add_to_average;        the accumulator has sum and count
 *     how.get_result = divide;
 *     how.merge = merge_averages;
 *
 * What is stored is the accumulator; a read answers the result that the program makes of it.
 *
 * Ownership: a state borrows from its backend. A result is valid until the next call on the same
 * backend.
 * Thread: confined, with the backend.
 */
#ifndef TARN_AGGREGATING_H
#define TARN_AGGREGATING_H

#include "tarn/state.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_aggregating tarn_aggregating;

/**
 * The program's functions over accumulators, which are any bytes.
 *
 * They must be pure, write into out, which comes empty, and may not call the backend. A status
 * other than TARN_OK ends the call that came here, which writes nothing and answers that status.
 */
typedef struct tarn_aggregating_options {
    size_t struct_size; /**< Set by TARN_AGGREGATING_OPTIONS_INIT. */
    /** Adds a value. accumulator NULL: it is the first one. Required. */
    tarn_status (*add)(
        const tarn_bytes *accumulator, tarn_bytes value, tarn_buffer *out, void *context);
    /** Makes the result. NULL: the accumulator is the result. */
    tarn_status (*get_result)(tarn_bytes accumulator, tarn_buffer *out, void *context);
    /** Merges two. NULL: namespaces cannot be merged. */
    tarn_status (*merge)(tarn_bytes earlier, tarn_bytes later, tarn_buffer *out, void *context);
    void *context; /**< Passed to each function. */
    /* The layout is ABI: append fields here, never above. */
} tarn_aggregating_options;

/** Initialiser for tarn_aggregating_options. */
#define TARN_AGGREGATING_OPTIONS_INIT                   \
    {                                                   \
        .struct_size = sizeof(tarn_aggregating_options) \
    }

/** As the INIT macro; for C++ and bindings, where that warns. */
TARN_API void tarn_aggregating_options_init(tarn_aggregating_options *options, size_t struct_size);

/** Opens an aggregating state. Statuses as those of tarn_value_open(). */
TARN_API TARN_NODISCARD tarn_status tarn_aggregating_open(
    tarn_backend *backend,
    const tarn_state_options *options,
    const tarn_aggregating_options *aggregating,
    tarn_aggregating **out,
    tarn_error *error);

/** Closes a state; its rows stay. NULL does nothing. */
TARN_API TARN_NODISCARD tarn_status
tarn_aggregating_close(tarn_aggregating *state, tarn_error *error);

/** Makes a namespace the current one, as tarn_keyed_set_namespace() does. */
TARN_API TARN_NODISCARD tarn_status
tarn_aggregating_set_namespace(tarn_aggregating *state, tarn_bytes name_space, tarn_error *error);

/** Adds a value: reads the accumulator, calls add() and writes. */
TARN_API TARN_NODISCARD tarn_status
tarn_aggregating_add(tarn_aggregating *state, tarn_bytes value, tarn_error *error);

/**
 * Reads the result.
 *
 * @retval TARN_OK         *out is set.
 * @retval TARN_NOT_FOUND  Nothing was added (an outcome, not an error).
 */
TARN_API TARN_NODISCARD tarn_status
tarn_aggregating_get(tarn_aggregating *state, tarn_bytes *out, tarn_error *error);

/** Removes what the current key has in the current namespace. */
TARN_API TARN_NODISCARD tarn_status
tarn_aggregating_clear(tarn_aggregating *state, tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
