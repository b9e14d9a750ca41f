/**
 * @file tarn/storage.h
 * @brief Storages by address, for programs that look into them, copy from them or try them.
 *
 *     tarn_storage_open_options options = TARN_STORAGE_OPEN_OPTIONS_INIT;
 *     options.address = "s3://bucket/checkpoints";
 *     tarn_storage_open(&options, &storage, &error);
 *     tarn_storage_begin(storage, "notes", TARN_UPLOAD_IF_ABSENT, &upload, &error);
 *     tarn_storage_append(upload, bytes, &error);
 *     tarn_storage_finish(upload, &error);
 *     tarn_storage_close(storage);
 *
 * Addresses are a path, file:///path, s3://bucket/prefix (s3a:// and s3p:// are the same),
 * webhdfs://host:port/path (swebhdfs:// over TLS, hdfs:// as WebHDFS), or one of a scheme of the
 * application's own (tarn/sys/storage.h, which also says what names are and what every storage
 * promises). Behind a network, what fails for a moment is asked again.
 *
 * Ownership: uploads borrow from their storage; end them before it is closed.
 * Thread: a storage is shared; an upload is confined.
 */
#ifndef TARN_STORAGE_H
#define TARN_STORAGE_H

#include "tarn/allocator.h"
#include "tarn/config.h"
#include "tarn/sys/storage.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The operations that are counted. */
typedef enum tarn_storage_operation {
    TARN_STORAGE_BEGIN,
    TARN_STORAGE_APPEND,
    TARN_STORAGE_FINISH, /**< Also an object that came whole. */
    TARN_STORAGE_READ,
    TARN_STORAGE_STAT,
    TARN_STORAGE_REMOVE,
    TARN_STORAGE_LIST,
    TARN_STORAGE_OPERATIONS, /**< How many there are. */
} tarn_storage_operation;

/**
 * What storages were asked, and what came of it. Where requests are made again after a failure each
 * attempt counts.
 */
typedef struct tarn_storage_figures {
    size_t struct_size;
    struct {
        uint64_t call_count;
        uint64_t failure_count; /**< Answers other than OK, MISSING and BUSY. */
        uint64_t time_ns;       /**< Over all threads. Units: nanoseconds. */
        uint64_t longest_ns;    /**< Of one call. Units: nanoseconds. */
    } operations[TARN_STORAGE_OPERATIONS];
    uint64_t bytes_written;
    uint64_t bytes_read;
} tarn_storage_figures;

/** Initialiser for tarn_storage_figures. */
#define TARN_STORAGE_FIGURES_INIT                   \
    {                                               \
        .struct_size = sizeof(tarn_storage_figures) \
    }

/** As the INIT macro; for C++ and bindings, where that warns. */
TARN_API void tarn_storage_figures_init(tarn_storage_figures *figures, size_t struct_size);

/** How to open a storage. Start from TARN_STORAGE_OPEN_OPTIONS_INIT. */
typedef struct tarn_storage_open_options {
    size_t struct_size;                 /**< Set by TARN_STORAGE_OPEN_OPTIONS_INIT. */
    const char *address;                /**< Required. */
    const tarn_config *config;          /**< Borrowed. NULL: environment variables only. */
    const tarn_allocator *allocator;    /**< Borrowed. NULL: malloc(). */
    const tarn_storage_scheme *schemes; /**< The application's own; borrowed. */
    uint32_t scheme_count;
    bool must_exist; /**< False: a directory is made when it is missing. */
} tarn_storage_open_options;

/** Initialiser for tarn_storage_open_options: every option at its default. */
#define TARN_STORAGE_OPEN_OPTIONS_INIT                   \
    {                                                    \
        .struct_size = sizeof(tarn_storage_open_options) \
    }

/** Fills options with defaults; for C++ and bindings, where the INIT macro warns. */
TARN_API void tarn_storage_open_options_init(
    tarn_storage_open_options *options, size_t struct_size);

/**
 * Opens a storage.
 *
 * @retval TARN_OK                Release *out with tarn_storage_close().
 * @retval TARN_INVALID_ARGUMENT  The address or an option is malformed.
 * @retval TARN_NOT_SUPPORTED     Nobody knows the scheme.
 * @retval TARN_MISSING           must_exist, and there is nothing.
 * @retval TARN_DECLINED, TARN_REMOTE_ERROR, TARN_TIMED_OUT, TARN_IO_ERROR, TARN_NO_MEMORY
 */
TARN_API TARN_NODISCARD tarn_status
tarn_storage_open(const tarn_storage_open_options *options, tarn_storage **out, tarn_error *error);

/** Closes a storage; what it holds stays. NULL does nothing. */
TARN_API void tarn_storage_close(tarn_storage *storage);

/** Answers what a storage of tarn_storage_open() was asked so far. */
TARN_API void tarn_storage_measure(const tarn_storage *storage, tarn_storage_figures *out);

/** Answers the name of an operation: "begin", "read" and so on. */
TARN_API const char *tarn_storage_operation_name(tarn_storage_operation operation);

/** Answers the address for messages: without credentials. Borrowed. */
TARN_API const char *tarn_storage_address(const tarn_storage *storage);

/** Starts an object; flags are TARN_UPLOAD_... . */
TARN_API TARN_NODISCARD tarn_status tarn_storage_begin(
    tarn_storage *storage,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error);

/** Adds bytes to the end. After a failure the upload can only be abandoned. */
TARN_API TARN_NODISCARD tarn_status
tarn_storage_append(tarn_storage_upload *upload, tarn_bytes part, tarn_error *error);

/**
 * Ends an upload and frees it, whatever the outcome.
 *
 * @retval TARN_OK    The object is there, visible and durable.
 * @retval TARN_BUSY  TARN_UPLOAD_IF_ABSENT, and the name is taken; nothing has changed.
 */
TARN_API TARN_NODISCARD tarn_status
tarn_storage_finish(tarn_storage_upload *upload, tarn_error *error);

/** Gives an upload up and frees it. NULL does nothing. */
TARN_API void tarn_storage_abandon(tarn_storage_upload *upload);

/** Reads size bytes at offset, fewer only at the object's end. TARN_MISSING: there is no such. */
TARN_API TARN_NODISCARD tarn_status tarn_storage_read(
    tarn_storage *storage,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error);

/** Answers what is known of an object without reading it. TARN_MISSING: there is none. */
TARN_API TARN_NODISCARD tarn_status tarn_storage_stat(
    tarn_storage *storage, const char *name, tarn_storage_info *out, tarn_error *error);

/** Removes objects. What is not there counts as removed. */
TARN_API TARN_NODISCARD tarn_status tarn_storage_remove(
    tarn_storage *storage, const char *const *names, uint32_t count, tarn_error *error);

/** Visits what is directly below a directory ("": the root), in any order. */
TARN_API TARN_NODISCARD tarn_status tarn_storage_list(
    tarn_storage *storage,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error);

#ifdef __cplusplus
}
#endif
#endif
