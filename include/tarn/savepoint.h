/**
 * @file tarn/savepoint.h
 * @brief Savepoints: whole, in one directory of their own, never deleted by Tarn.
 *
 *     tarn_savepoint_options options = TARN_SAVEPOINT_OPTIONS_INIT;
 *     options.env = env;
 *     options.address = "/savepoints";
 *     options.job = "flights";
 *     options.id = 7;                                   the coordinator's number
 *     tarn_savepoint_begin(&options, &pending, &error);
 *     snprintf(path, sizeof path, "%s", tarn_savepoint_path(pending));
 *
 * From there on it is a pending checkpoint like any other: snapshots are begun for it, subtasks
 * acknowledged, and tarn_checkpoint_commit() or tarn_checkpoint_abandon() ends it (tarn/snapshot.h,
 * tarn/checkpoint.h). It needs no checkpoint store, subsumes nothing and is not subsumed, shares no
 * file with any checkpoint, and no later checkpoint builds on it.
 *
 * A savepoint is opened, listed by file and verified by its directory; all paths inside are
 * relative, so it is moved or copied as a whole.
 *
 *     native     files as RocksDB wrote them: quick to take and to restore
 *     canonical  the rows of each state, sorted, in a format of its own (docs/FORMATS.md): restored
 *                at any parallelism, and by tarn_backend_options.moves_keys at any maximum
 *                parallelism. Rows whose time to live is over are left out. The files are written
 *                to the working directory first, packed: it needs that room.
 *
 * Ownership: a pending savepoint borrows from its environment, which stays open until its end.
 * Thread: shared.
 */
#ifndef TARN_SAVEPOINT_H
#define TARN_SAVEPOINT_H

#include "tarn/checkpoint.h"
#include "tarn/env.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How the files of a checkpoint are kept. */
typedef enum tarn_checkpoint_form {
    TARN_FORM_INCREMENTAL = 0, /**< Shared with others of its job: chk-N. */
    TARN_FORM_NATIVE = 1,      /**< Its own, as RocksDB wrote them. */
    TARN_FORM_CANONICAL = 2,   /**< Its own, as sorted rows of each state. */
} tarn_checkpoint_form;

/** How to begin a savepoint. Start from TARN_SAVEPOINT_OPTIONS_INIT. */
typedef struct tarn_savepoint_options {
    size_t struct_size; /**< Set by TARN_SAVEPOINT_OPTIONS_INIT. */

    tarn_env *env;             /**< Borrowed. Required. */
    const char *address;       /**< A path or URI, created when absent. Required. */
    const char *job;           /**< As of the job's checkpoint store. Required. */
    uint64_t id;               /**< The coordinator's; part of the name. Default 1. */
    tarn_checkpoint_form form; /**< Default TARN_FORM_CANONICAL. */
} tarn_savepoint_options;

/** Initialiser for tarn_savepoint_options: every option at its default. */
#define TARN_SAVEPOINT_OPTIONS_INIT                   \
    {                                                 \
        .struct_size = sizeof(tarn_savepoint_options) \
    }

/** Fills options with defaults; for C++ and bindings, where the INIT macro warns. */
TARN_API void tarn_savepoint_options_init(tarn_savepoint_options *options, size_t struct_size);

/**
 * Begins a savepoint in a new directory savepoint-ID-RANDOM below the address.
 *
 * @retval TARN_OK                *out is pending: commit or abandon it.
 * @retval TARN_INVALID_ARGUMENT  A required option is missing or malformed, or form is no
 *                                savepoint's.
 * @retval TARN_IO_ERROR, TARN_NO_SPACE, TARN_OVER_BUDGET, TARN_NO_MEMORY
 */
TARN_API TARN_NODISCARD tarn_status tarn_savepoint_begin(
    const tarn_savepoint_options *options, tarn_pending_checkpoint **out, tarn_error *error);

/** Answers the job that a checkpoint is of, as its metadata says. Borrowed. */
TARN_API const char *tarn_checkpoint_job(const tarn_checkpoint *checkpoint);

/** Answers the directory that a pending savepoint or checkpoint fills. Borrowed until its end. */
TARN_API const char *tarn_savepoint_path(const tarn_pending_checkpoint *checkpoint);

#ifdef __cplusplus
}
#endif
#endif
