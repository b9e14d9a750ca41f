/**
 * @file tarn/cleanup.h
 * @brief Deleting checkpoints, and finding what nothing reaches any more.
 *
 *     tarn_garbage_options options = TARN_GARBAGE_OPTIONS_INIT;
 *     options.address = "/checkpoints/flights";
 *     options.is_dry_run = true;
 *     options.visit = print_item;
 *     tarn_garbage_collect(&options, &stats, &error);
 *
 * A crash leaves at worst files that nothing names: unfinished chk-N, what an attempt that was
 * given up had written, shared files without a checkpoint. A job deletes its own garbage as it
 * goes; what a process that died has left is found here. Savepoints are never touched.
 *
 * Thread: shared.
 */
#ifndef TARN_CLEANUP_H
#define TARN_CLEANUP_H

#include "tarn/checkpoint.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A grace age of nothing. It needs the lock of the job's directory: no job may be running. */
#define TARN_GRACE_NONE UINT64_MAX

/** Why something is garbage. */
typedef enum tarn_garbage_kind {
    TARN_GARBAGE_SHARED = 0,     /**< A shared file that no checkpoint names. */
    TARN_GARBAGE_UNFINISHED = 1, /**< A file of a chk-N without _metadata. */
    TARN_GARBAGE_LEFTOVER = 2, /**< A file of a complete chk-N that its _metadata does not name. */
} tarn_garbage_kind;

/** One piece of garbage; valid during the visit. */
typedef struct tarn_garbage_item {
    const char *name; /**< Below the job's directory. */
    tarn_garbage_kind kind;
    uint64_t size;       /**< Units: bytes. */
    uint64_t age_ms;     /**< Since it was written. */
    const char *problem; /**< Why it could not be removed; NULL: it was, or it is a dry run. */
} tarn_garbage_item;

/** Called for each piece of garbage that is old enough. */
typedef void tarn_garbage_visit(const tarn_garbage_item *item, void *context);

/** What to collect. Start from TARN_GARBAGE_OPTIONS_INIT. */
typedef struct tarn_garbage_options {
    size_t struct_size; /**< Set by TARN_GARBAGE_OPTIONS_INIT. */

    const char *address; /**< DIR/JOB. Required. */
    /**
     * What is younger stays: it may belong to a checkpoint that is being taken. Longer than any
     * checkpoint takes. Units: milliseconds. Default: 24 hours; TARN_GRACE_NONE. Ages are told by
     * the clock of the storage, which is asked by writing a small object and removing it; in a dry
     * run by that of this machine.
     */
    uint64_t grace_ms;
    bool is_dry_run; /**< Find, and remove nothing. */
    tarn_garbage_visit *visit;
    void *context;
    const tarn_allocator *allocator; /**< Borrowed. NULL: malloc(). */
    /** Borrowed: its configuration, HTTP client and schemes reach the storage. NULL: environment
     * variables only. */
    tarn_env *env;
} tarn_garbage_options;

/** Initialiser for tarn_garbage_options: every option at its default. */
#define TARN_GARBAGE_OPTIONS_INIT                   \
    {                                               \
        .struct_size = sizeof(tarn_garbage_options) \
    }

/** What was found. */
typedef struct tarn_garbage_stats {
    uint64_t checkpoint_count; /**< Complete ones. */
    uint64_t unreadable_count; /**< With one of these nobody knows, and nothing is garbage. */
    uint64_t found_count;      /**< Garbage that is old enough. */
    uint64_t found_bytes;
    uint64_t removed_count;
    uint64_t removed_bytes;
    uint64_t young_count; /**< Within the grace age, or of an age that is not known. */
    uint64_t young_bytes;
    tarn_error unreadable; /**< Names the first that cannot be read; status 0: all can be. */
} tarn_garbage_stats;

/** Fills options with defaults; for C++ and bindings, where the INIT macro warns. */
TARN_API void tarn_garbage_options_init(tarn_garbage_options *options, size_t struct_size);

/**
 * Finds what no complete checkpoint of a job reaches, and removes it.
 *
 * Safe beside the job: what it may yet name is younger than the grace age.
 *
 * @param[out] stats  May be NULL.
 *
 * @retval TARN_OK       All was looked at; what could not be removed was reported to visit.
 * @retval TARN_MISSING  There is no such directory.
 * @retval TARN_BUSY     The grace age is TARN_GRACE_NONE and a process writes to the directory; or
 *                       checkpoints come and go faster than they can be read; or the storage took
 *                       so long to tell its time that nobody knows how far ahead its clock is.
 * @retval TARN_INVALID_ARGUMENT  An option; or the storage's clock is more than 15 minutes or half
 *                       the grace age ahead of this machine's, so that young files would look old;
 *                       a second is always allowed.
 * @retval TARN_IO_ERROR, TARN_OVER_BUDGET, TARN_NO_MEMORY
 */
TARN_API TARN_NODISCARD tarn_status tarn_garbage_collect(
    const tarn_garbage_options *options, tarn_garbage_stats *stats, tarn_error *error);

/**
 * Deletes a complete checkpoint of an open store, with the files that nothing else names.
 *
 * What cannot be deleted at once is logged and tried again at every commit. Behind a network the
 * newest stays while a commit of the next number may be under way, of this process or of the one
 * before: until that has an end, or the store is closed.
 *
 * @retval TARN_OK         It goes, now or later.
 * @retval TARN_NOT_FOUND  The store retains no checkpoint of that id.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_checkpoint_remove(tarn_checkpoint_store *store, uint64_t id, tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
