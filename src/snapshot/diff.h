/*
 * diff.h - one state of two checkpoints compared, row by row. tarn/diff.h is the public face.
 *
 *     entries of one key, both sides ──► resolve each: newest first, down to a value or a deletion
 *                                             │
 *                                             ▼
 *                                 put, changed, removed, same
 *
 * Thread: confined.
 */
#ifndef TARN_SNAPSHOT_DIFF_H
#define TARN_SNAPSHOT_DIFF_H

#include "tarn/diff.h"

#include "snapshot/diff_input.h"
#include "snapshot/table_rows.h"

/* A deletion of a range of keys. */
typedef struct tarn__diff_range {
    const char *family;
    const tarn__subtask *subtask;
    tarn_bytes first;
    tarn_bytes end; /* Not in it. */
    uint64_t sequence;
    uint8_t side;
} tarn__diff_range;

/* What a state's comparison is given; everything is borrowed. */
typedef struct tarn__diff_job {
    const tarn_diff_options *options;
    tarn__account *account;
    tarn__diff_input **inputs; /* [input_count], of the state; their order is changed. */
    uint32_t input_count;
    tarn__diff_range *ranges; /* [range_count], of the state, by their first key. */
    uint32_t range_count;
    const tarn__rows_state *layout; /* NULL: not known, unless a file says it. */
    bool is_exact;                  /* Every file of both sides is among the inputs. */
    tarn_diff_state *out;           /* Counts are added to. */
    tarn_diff_stats *stats;
    uint64_t *done_bytes;
    uint64_t total_bytes;
} tarn__diff_job;

TARN_NODISCARD tarn_status tarn__diff_state(const tarn__diff_job *job, tarn_error *error);

#endif
