/**
 * @file tarn/diff.h
 * @brief What changed between two checkpoints of a job, per state and row.
 *
 * Files that both have are not read: what they hold is the same. Of the others every row is
 * compared, as it stands in them. So much is said and no more:
 *
 *     put       the second one's files have the row and the first one's have not: it is new, or is
 *               written over one in a file that both have
 *     changed   both have it, and it differs; or it was written since, and a file that both have
 *               may hold another value in between
 *     removed   the second one's files delete it, or the first one's have it and nothing took its
 *               place; it may be that nothing was there
 *     same      it was only written again, by a compaction
 *     ranges    deletions of ranges that only the second one has; the rows that they hide in files
 *               of both are not counted one by one
 *
 * Of two that share files the first is to be the older one: what was written since is told by the
 * second one's numbers.
 *
 * Checkpoints of another parallelism, and savepoints, share no files in that sense: all of both is
 * read, and the answer is exact.
 *
 * Memory: the indices and two blocks of as many files as have rows around one key.
 *
 * Thread: shared.
 */
#ifndef TARN_DIFF_H
#define TARN_DIFF_H

#include "tarn/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What became of a row, or of a piece of operator state. */
typedef enum tarn_diff_change {
    TARN_DIFF_PUT = 0,
    TARN_DIFF_CHANGED = 1,
    TARN_DIFF_REMOVED = 2,
} tarn_diff_change;

/** One row that is not the same; valid during the visit. */
typedef struct tarn_diff_row {
    const char *operator_name;
    const char *state;
    tarn_diff_change change;
    uint32_t key_group;
    tarn_bytes key; /**< Of the row; the whole row when its layout is not known. */
    tarn_bytes name_space;
    tarn_bytes user_key; /**< Of a map's entry, or a list's chunk. */
} tarn_diff_row;

/** A state in figures: rows of keyed states, pieces of operator state. */
typedef struct tarn_diff_state {
    const char *operator_name;
    const char *name;
    const char *kind; /**< "value" and so on; "operator" for operator state. */
    uint64_t put_count;
    uint64_t changed_count;
    uint64_t removed_count;
    uint64_t same_count;
    uint64_t range_count;
} tarn_diff_state;

/** The whole in figures. */
typedef struct tarn_diff_stats {
    uint64_t shared_count; /**< Files that both have. */
    uint64_t shared_bytes;
    uint64_t first_count; /**< Files that only the first has, and that are read. */
    uint64_t first_bytes;
    uint64_t second_count; /**< Likewise the second. */
    uint64_t second_bytes;
    uint64_t row_count; /**< Entries of files that were read. */
} tarn_diff_stats;

/** What to compare. Start from TARN_DIFF_OPTIONS_INIT. */
typedef struct tarn_diff_options {
    size_t struct_size; /**< Set by TARN_DIFF_OPTIONS_INIT. */

    const tarn_checkpoint *first;  /**< Required. */
    const tarn_checkpoint *second; /**< Required. */
    /** Called for each row that is not the same, in the order of operators, states and rows. False
     * stops. May be NULL. */
    bool (*visit_row)(const tarn_diff_row *row, void *context);
    /** Called for each state that is in either, when it has been compared. May be NULL. */
    void (*visit_state)(const tarn_diff_state *state, void *context);
    /** Called now and then. May be NULL. Units: bytes of the files to be read. */
    void (*progress)(uint64_t done_bytes, uint64_t total_bytes, void *context);
    void *context;
} tarn_diff_options;

/** Initialiser for tarn_diff_options: every option at its default. */
#define TARN_DIFF_OPTIONS_INIT                   \
    {                                            \
        .struct_size = sizeof(tarn_diff_options) \
    }

/** Fills options with defaults; for C++ and bindings, where the INIT macro warns. */
TARN_API void tarn_diff_options_init(tarn_diff_options *options, size_t struct_size);

/**
 * Compares two checkpoints or savepoints.
 *
 * @param[out] stats  May be NULL.
 *
 * @retval TARN_OK            All was compared.
 * @retval TARN_INCOMPATIBLE  An operator assigns keys to other key groups in each.
 * @retval TARN_MISSING, TARN_CORRUPTION, TARN_NOT_SUPPORTED  A file that must be read cannot be;
 *                            the message names it.
 * @retval TARN_ABANDONED     visit_row stopped it.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_checkpoint_diff(const tarn_diff_options *options, tarn_diff_stats *stats, tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
