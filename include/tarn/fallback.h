/**
 * @file tarn/fallback.h
 * @brief The newest checkpoint that is whole, past those that are damaged.
 *
 *     tarn_fallback_options options = TARN_FALLBACK_OPTIONS_INIT;
 *     options.depth = TARN_CHECKPOINT_READ;
 *     options.skipped = note;                        which keeps the ids, and says why
 *     tarn_checkpoint_open_whole_in(env, "s3://bucket/flights", &options, &restored, &error);
 *     ... backends are opened with restore = restored, sources go on from its positions ...
 *     tarn_checkpoint_refuse(store, id, &error);     or tarn_driver_options.refused_ids
 *
 * What a sink has made visible since the older checkpoint is not taken back by Tarn: whoever falls
 * back does that, or restores only what the sink can undo.
 *
 * Thread: shared.
 */
#ifndef TARN_FALLBACK_H
#define TARN_FALLBACK_H

#include "tarn/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How much of a checkpoint is looked at before it is called whole. */
typedef enum tarn_checkpoint_depth {
    /**
     * Its metadata is read, with its checksums, and each object is asked for: it must be there in
     * its size. One small request for each object. What is in them is compared when they are
     * fetched: when a restore refuses one, call again with the address of the next older one.
     */
    TARN_CHECKPOINT_LOOK = 0,
    /**
     * Then each file is read once, from end to end, and its digest is compared: as many bytes as a
     * restore of all subtasks fetches, which fetches them again. With an environment its workers
     * read beside the caller.
     */
    TARN_CHECKPOINT_READ = 1,
} tarn_checkpoint_depth;

/** How to fall back. Start from TARN_FALLBACK_OPTIONS_INIT; a zero field means its default. */
typedef struct tarn_fallback_options {
    size_t struct_size; /**< Set by TARN_FALLBACK_OPTIONS_INIT. */

    tarn_checkpoint_depth depth;     /**< Default TARN_CHECKPOINT_LOOK. */
    const tarn_allocator *allocator; /**< Borrowed. NULL: malloc(). */
    /** Told of each checkpoint that is passed over, and why; the newest first. Its answer false
     * ends the search with that reason. NULL: nobody is told. */
    tarn_checkpoint_list_visit *skipped;
    void *context; /**< Of skipped. */
} tarn_fallback_options;

/** Initialiser for tarn_fallback_options: every option at its default. */
#define TARN_FALLBACK_OPTIONS_INIT                   \
    {                                                \
        .struct_size = sizeof(tarn_fallback_options) \
    }

/** Fills options with defaults; for C++ and bindings, where the INIT macro warns. */
TARN_API void tarn_fallback_options_init(tarn_fallback_options *options, size_t struct_size);

/**
 * Opens the newest checkpoint that is whole. Passed over are those whose metadata or files are
 * missing, damaged, of another version, or on a broken device. A storage that does not answer, or
 * says no, ends the search: that says nothing about the checkpoint.
 *
 * @param[in] address  DIR/JOB, or DIR/JOB/chk-N: then no newer one is looked at. A path or URI
 *                     (tarn/storage.h).
 *
 * @retval TARN_MISSING           No checkpoint is whole.
 * @retval TARN_INVALID_ARGUMENT  The address is a savepoint's, or an option is none.
 * @retval TARN_OVER_BUDGET       There is no buffer to read with.
 * @retval other                  As those of tarn_checkpoint_open().
 */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_open_whole(
    const char *address,
    const tarn_fallback_options *options,
    tarn_checkpoint **out,
    tarn_error *error);

/**
 * As tarn_checkpoint_open_whole(), with the environment's configuration, HTTP client, schemes and
 * workers. The checkpoint is freed before the environment is closed.
 */
TARN_API TARN_NODISCARD tarn_status tarn_checkpoint_open_whole_in(
    tarn_env *env,
    const char *address,
    const tarn_fallback_options *options,
    tarn_checkpoint **out,
    tarn_error *error);

/**
 * Says that a restore has passed over a checkpoint of the store's directory, before anything is
 * claimed and the store's next one is begun. It does not count among those that are retained, and
 * is deleted when none of these is older; where none is left, when the next one is there. Its
 * shared files are stored anew when they are needed again, but for those that the newest older
 * checkpoint names that was not refused: that is the one which the job goes on from. (A driver that
 * is given the restored one knows which that is, or that it is none of the directory.) It is said
 * for the life of the store: a later one counts the checkpoint again, until it is subsumed like any
 * other.
 *
 * @retval TARN_OK                It does not count. Saying it again changes nothing.
 * @retval TARN_NOT_FOUND         The store has none of that id that can be read. (One that cannot
 *                                is kept, with every shared file, and does not count anyway.)
 * @retval TARN_INVALID_ARGUMENT  store is missing.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_checkpoint_refuse(tarn_checkpoint_store *store, uint64_t id, tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
