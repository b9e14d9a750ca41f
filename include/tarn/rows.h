/**
 * @file tarn/rows.h
 * @brief The rows of a savepoint, read one by one; and a savepoint made of rows, without a job.
 *
 * Reading a canonical savepoint (docs/FORMATS.md, "Rows"):
 *
 *     tarn_checkpoint_visit_rows(savepoint, 0, visit_state, visit_row, context, &error);
 *
 * Making one, which a job is then restored from at any parallelism:
 *
 *     tarn_import_open(&options, &import, &error);
 *     tarn_import_begin_subtask(import, &subtask, &error);
 *     tarn_import_begin_state(import, &state, &error);
 *     tarn_import_put(import, &row, &error);              as many as there are, in any order
 *     tarn_import_finish(import, &summary, &error);
 *
 * What is refused leaves the import as it was: the next row may be good.
 *
 * Ownership: an import borrows from its environment, which stays open until its end.
 * Thread: reading is shared; an import is confined.
 */
#ifndef TARN_ROWS_H
#define TARN_ROWS_H

#include "tarn/checkpoint.h"
#include "tarn/env.h"
#include "tarn/key_group.h"
#include "tarn/reducing.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What the rows of a state are. */
typedef struct tarn_stored_state {
    const char *name;
    const char *kind;       /**< "value", "map", "list", "reducing", "aggregating" or "timers". */
    const char *codec_name; /**< "" when it has none. */
    uint32_t codec_version;
    bool is_stamped;         /**< Values have the time of their last update (a TTL). */
    bool is_untimed;         /**< That time may be unknown. */
    bool is_namespace_first; /**< Namespaces stand before keys. */
    tarn_reducer reducer;    /**< Of a reducing state; TARN_REDUCER_FUNCTION: no built-in one. */
    tarn_number number;      /**< Of a built-in reducer. */
    /** As it is stored. To import it is enough by itself; empty: made of the fields above. */
    tarn_bytes descriptor;
} tarn_stored_state;

/** A row. Of a timer user_key and value are empty. */
typedef struct tarn_stored_row {
    uint32_t key_group; /**< To import: asked for only where the key hash is the caller's own. */
    tarn_bytes key;
    tarn_bytes name_space;
    tarn_bytes user_key; /**< Of a map's entry; of a list's chunk its number, 8 bytes big endian. */
    tarn_bytes value;    /**< Without its stamp: docs/FORMATS.md has it for each kind. */
    int64_t stamp_ms;    /**< Of a stamped state; INT64_MIN: unknown. Units: ms since 1970 UTC. */
    int64_t time_ms;     /**< Of a timer. */
} tarn_stored_row;

/** Called before the rows of each state. False stops. */
typedef bool tarn_stored_state_visit(const tarn_stored_state *state, void *context);

/** Called for each row, in the order in which it is stored. False stops. */
typedef bool tarn_stored_row_visit(const tarn_stored_row *row, void *context);

/**
 * Reads every row of a subtask of a canonical savepoint.
 *
 * @param[in] index  0 .. summary.subtask_count - 1.
 * @retval TARN_OK            All were visited; none: it has no keyed state.
 * @retval TARN_INCOMPATIBLE  It is no canonical savepoint: make one of it first (tarn/savepoint.h,
 *                            or `tarn checkpoint export`).
 * @retval TARN_ABANDONED     A visitor stopped it.
 * @retval TARN_CORRUPTION, TARN_MISSING, TARN_NOT_SUPPORTED  The message names the file.
 */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_visit_rows(
    const tarn_checkpoint *checkpoint,
    uint32_t index,
    tarn_stored_state_visit *visit_state,
    tarn_stored_row_visit *visit,
    void *context,
    tarn_error *error);

typedef struct tarn_import tarn_import;

/** Where to import to. Start from TARN_IMPORT_OPTIONS_INIT. */
typedef struct tarn_import_options {
    size_t struct_size; /**< Set by TARN_IMPORT_OPTIONS_INIT. */

    tarn_env *env;         /**< Borrowed. Required. */
    const char *directory; /**< For a database meanwhile. Required. */
    const char *address;   /**< The savepoint goes below it. Required. */
    const char *job;       /**< Required. */
    uint64_t id;           /**< Of the checkpoint that it stands for. Default 1. */
} tarn_import_options;

/** Initialiser for tarn_import_options: every option at its default. */
#define TARN_IMPORT_OPTIONS_INIT                   \
    {                                              \
        .struct_size = sizeof(tarn_import_options) \
    }

/** A subtask to import. One of parallelism 1 has all key groups; any parallelism can restore it. */
typedef struct tarn_import_subtask {
    const char *operator_name;
    uint32_t subtask_index;
    uint32_t parallelism;     /**< 0: 1. */
    uint32_t max_parallelism; /**< Of keyed state; 0: it has none, operator state alone. */
    tarn_key_hash key_hash;
} tarn_import_subtask;

/** Fills options with defaults; for C++ and bindings, where the INIT macro warns. */
TARN_API void tarn_import_options_init(tarn_import_options *options, size_t struct_size);

/** Begins a canonical savepoint. Errors: as those of tarn_savepoint_begin(). */
TARN_API TARN_NODISCARD tarn_status
tarn_import_open(const tarn_import_options *options, tarn_import **out, tarn_error *error);

/** Ends the subtask before, if any, and begins one. TARN_INVALID_ARGUMENT: it is none. */
TARN_API TARN_NODISCARD tarn_status tarn_import_begin_subtask(
    tarn_import *import, const tarn_import_subtask *subtask, tarn_error *error);

/**
 * Begins a state of the subtask, or goes on with one that was begun before.
 *
 * @retval TARN_INVALID_ARGUMENT  There is no subtask with keyed state, or it is no state's.
 * @retval TARN_INCOMPATIBLE      It was begun as another one.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_import_begin_state(tarn_import *import, const tarn_stored_state *state, tarn_error *error);

/**
 * Adds a row to the state.
 *
 * @retval TARN_INVALID_ARGUMENT  It is no row of the state: the message says why; or it is of a key
 *                                group of another subtask; or it is there already.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_import_put(tarn_import *import, const tarn_stored_row *row, tarn_error *error);

/** Adds the number of a built-in reducing state, for bits as tarn_number has them. */
TARN_API TARN_NODISCARD tarn_status tarn_import_put_number(
    tarn_import *import, const tarn_stored_row *row, uint64_t bits, tarn_error *error);

/** Adds a whole list; user_key and value of the row do not matter. */
TARN_API TARN_NODISCARD tarn_status tarn_import_put_list(
    tarn_import *import,
    const tarn_stored_row *row,
    const tarn_bytes *elements,
    size_t count,
    tarn_error *error);

/** Adds a piece of the subtask's operator state. */
TARN_API TARN_NODISCARD tarn_status tarn_import_put_operator_state(
    tarn_import *import, const char *name, tarn_bytes bytes, tarn_error *error);

/** Ends the last subtask and commits the savepoint. Frees the import, whatever the outcome. */
TARN_API TARN_NODISCARD tarn_status
tarn_import_finish(tarn_import *import, tarn_checkpoint_summary *summary, tarn_error *error);

/** Answers where the savepoint goes. Borrowed until the end. */
TARN_API const char *tarn_import_path(const tarn_import *import);

/** Gives it up; nothing is left when the environment has been closed. NULL does nothing. */
TARN_API void tarn_import_abandon(tarn_import *import);

#ifdef __cplusplus
}
#endif
#endif
