/**
 * @file tarn/reducing.h
 * @brief Reducing state: values added under the current key become one.
 *
 *     tarn_reducing_options how = TARN_REDUCING_OPTIONS_INIT;
 *     how.reducer = TARN_REDUCER_SUM;
 *     how.number = TARN_NUMBER_I64;
 *     tarn_reducing *total = NULL;
 *     if (tarn_reducing_open(backend, &options, &how, &total, &error) != TARN_OK) { ... }
 *     tarn_reducing_add_i64(total, 42, &error);
 *
 * Adding with a built-in reducer reads nothing: what was added is folded when it is read, or when
 * RocksDB comes across it. Adding with a function of the program's reads, calls it and writes.
 *
 * Ownership: a state borrows from its backend. Bytes that a call gives out are valid until the next
 * call on the same backend.
 * Thread: confined, with the backend.
 */
#ifndef TARN_REDUCING_H
#define TARN_REDUCING_H

#include "tarn/state.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_reducing tarn_reducing;

/** How two values become one. Values are part of what is stored. */
typedef enum tarn_reducer {
    TARN_REDUCER_FUNCTION = 0, /**< By a function of the program's; values are any bytes. */
    TARN_REDUCER_SUM = 1,      /**< Integers wrap around. */
    TARN_REDUCER_MIN = 2,
    TARN_REDUCER_MAX = 3,
    TARN_REDUCER_COUNT = 4, /**< How many were added, an unsigned integer; values do not matter. */
    TARN_REDUCER_FIRST = 5,
    TARN_REDUCER_LAST = 6,
    TARN_REDUCER_BIT_OR = 7, /**< Not of TARN_NUMBER_F64. */
} tarn_reducer;

/** What the numbers of a built-in reducer are. Values are part of what is stored. */
typedef enum tarn_number {
    TARN_NUMBER_I64 = 0,
    TARN_NUMBER_U64 = 1,
    TARN_NUMBER_F64 = 2, /**< How a sum is rounded depends on when it is folded. */
} tarn_number;

/**
 * Combines what there is with what is added, into out, which comes empty.
 *
 * It must be pure: the same bytes for the same arguments, and associative when namespaces are
 * merged. It may not call the backend. A status other than TARN_OK ends the call that came here,
 * which writes nothing and answers that status.
 */
typedef tarn_status tarn_reduce_fn(
    tarn_bytes earlier, tarn_bytes later, tarn_buffer *out, void *context);

/** How a reducing state combines. Start from TARN_REDUCING_OPTIONS_INIT. */
typedef struct tarn_reducing_options {
    size_t struct_size; /**< Set by TARN_REDUCING_OPTIONS_INIT. */
    tarn_reducer reducer;
    tarn_number number;     /**< Of a built-in reducer; COUNT is always TARN_NUMBER_U64. */
    tarn_reduce_fn *reduce; /**< Of TARN_REDUCER_FUNCTION. */
    void *context;          /**< Passed to reduce. */
    /* The layout is ABI: append fields here, never above. */
} tarn_reducing_options;

/** Initialiser for tarn_reducing_options. */
#define TARN_REDUCING_OPTIONS_INIT                   \
    {                                                \
        .struct_size = sizeof(tarn_reducing_options) \
    }

/** As the INIT macro; for C++ and bindings, where that warns. */
TARN_API void tarn_reducing_options_init(tarn_reducing_options *options, size_t struct_size);

/**
 * Opens a reducing state. Close it with tarn_reducing_close().
 *
 * @retval TARN_INCOMPATIBLE  What is stored has another kind, codec, TTL, layout, reducer or type
 *                            of number; the message names both.
 * @retval other              As those of tarn_value_open().
 */
TARN_API TARN_NODISCARD tarn_status tarn_reducing_open(
    tarn_backend *backend,
    const tarn_state_options *options,
    const tarn_reducing_options *reducing,
    tarn_reducing **out,
    tarn_error *error);

/** Closes a state; its rows stay. NULL does nothing. */
TARN_API TARN_NODISCARD tarn_status tarn_reducing_close(tarn_reducing *state, tarn_error *error);

/** Makes a namespace the current one, as tarn_keyed_set_namespace() does. */
TARN_API TARN_NODISCARD tarn_status
tarn_reducing_set_namespace(tarn_reducing *state, tarn_bytes name_space, tarn_error *error);

/** Adds bytes to a state with a function. TARN_INVALID_ARGUMENT: its reducer is built in. */
TARN_API TARN_NODISCARD tarn_status
tarn_reducing_add(tarn_reducing *state, tarn_bytes value, tarn_error *error);

/** Add a number. TARN_INVALID_ARGUMENT: the state's numbers are of another type. */
TARN_API TARN_NODISCARD tarn_status
tarn_reducing_add_i64(tarn_reducing *state, int64_t value, tarn_error *error);
TARN_API TARN_NODISCARD tarn_status
tarn_reducing_add_u64(tarn_reducing *state, uint64_t value, tarn_error *error);
TARN_API TARN_NODISCARD tarn_status
tarn_reducing_add_f64(tarn_reducing *state, double value, tarn_error *error);

/**
 * Reads what the values have become.
 *
 * @retval TARN_OK                *out is set.
 * @retval TARN_NOT_FOUND         Nothing was added (an outcome, not an error).
 * @retval TARN_INVALID_ARGUMENT  No key is current, or the state's values are of another type.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_reducing_get(tarn_reducing *state, tarn_bytes *out, tarn_error *error);
TARN_API TARN_NODISCARD tarn_status
tarn_reducing_get_i64(tarn_reducing *state, int64_t *out, tarn_error *error);
TARN_API TARN_NODISCARD tarn_status
tarn_reducing_get_u64(tarn_reducing *state, uint64_t *out, tarn_error *error);
TARN_API TARN_NODISCARD tarn_status
tarn_reducing_get_f64(tarn_reducing *state, double *out, tarn_error *error);

/** Removes what the current key has in the current namespace. */
TARN_API TARN_NODISCARD tarn_status tarn_reducing_clear(tarn_reducing *state, tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
