/*
 * whole.h - whether all files of a checkpoint are there, and are what they were.
 *
 *     files of all subtasks ──► sorted by object ──► each object once: is it there, in its size?
 *                                      │
 *                                      └─ reads ──► each file once: its bytes, its digest
 *
 * Sizes come first, for all objects: what is missing shows before anything is read.
 *
 * Thread: shared.
 */
#ifndef TARN_SNAPSHOT_WHOLE_H
#define TARN_SNAPSHOT_WHOLE_H

#include "base/workers.h"
#include "snapshot/checkpoint.h"

typedef struct tarn__whole_options {
    bool reads;             /* Every byte. False: sizes alone. */
    tarn__account *account; /* Required; outlives the workers' queue. */
    tarn__account *buffers; /* Likewise. */
    tarn__workers *workers; /* NULL: the caller alone. */
} tarn__whole_options;

/*
 * Answers the first thing that is wrong with a checkpoint's files.
 *
 * Errors: TARN_MISSING and TARN_CORRUPTION with the file; those of the storage and of memory, which
 * say nothing about the checkpoint.
 */
TARN_NODISCARD tarn_status tarn__checkpoint_check_whole(
    const tarn_checkpoint *checkpoint, const tarn__whole_options *options, tarn_error *error);

#endif
