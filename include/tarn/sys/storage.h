/**
 * @file tarn/sys/storage.h
 * @brief For those who write a storage: where checkpoints live, as a table of operations.
 *
 * A storage holds named objects, written once and whole, never changed in place:
 *
 *     ops->begin(storage, "chk-7/_metadata", TARN_UPLOAD_IF_ABSENT, &upload, &error);
 *     ops->append(upload, bytes, &error);              any number of times
 *     ops->finish(upload, NULL, &error);               visible and durable, or neither
 *
 * What every implementation promises (tarn/testkit/storage.h checks it):
 *   - Atomic: a reader finds the whole object under its name or none, at any moment, whatever
 *     crashes. Finishing over an existing name replaces it as a whole.
 *   - Durable: what finish() and remove() answered TARN_OK for survives a loss of power.
 *   - Visible: what was finished is found by the next read(), stat() and list() of anybody.
 *   - Contained: names are checked before an operation is called; they never leave the root.
 *
 * Names are relative, '/'-separated: parts of 1 .. 255 bytes, none of them "." or "..", none that
 * begins with ".tarn-" (an implementation's own), at most 1,024 bytes in all.
 *
 * Ownership: uploads and locks borrow from their storage; end them before it is freed.
 * Thread: a storage is shared; an upload is confined.
 */
#ifndef TARN_SYS_STORAGE_H
#define TARN_SYS_STORAGE_H

#include "tarn/bytes.h"
#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tarn_storage tarn_storage;
typedef struct tarn_storage_upload tarn_storage_upload;
typedef struct tarn_storage_lock tarn_storage_lock;

/** How an upload ends; flags of begin(). */
enum {
    /** finish() answers TARN_BUSY and changes nothing when the name is taken. */
    TARN_UPLOAD_IF_ABSENT = 1,
};

/** What an implementation can do; bits of tarn_storage.features. */
enum {
    /** begin() takes no name: finish() brings it, when a digest over the content is known. */
    TARN_STORAGE_LATE_NAMES = 1,
    /**
     * append() may be called again with the same part after TARN_REMOTE_ERROR or TARN_TIMED_OUT,
     * and goes on where it failed; try_finish() is offered.
     */
    TARN_STORAGE_RESUMES = 2,
};

/** What is known of an object without reading it. */
typedef struct tarn_storage_info {
    uint64_t size;      /**< Units: bytes. */
    int64_t written_ms; /**< When it was finished, by the storage's clock. Units: milliseconds
                             since 1970 UTC; 0: not known. */
} tarn_storage_info;

/** One entry of a listing; valid during the visit. */
typedef struct tarn_storage_entry {
    const char *name;   /**< The last part of the name. */
    bool is_directory;  /**< There are names below this one. */
    uint64_t size;      /**< Units: bytes; 0 for a directory. */
    int64_t written_ms; /**< As of tarn_storage_info; 0 for a directory. */
} tarn_storage_entry;

/** Called for each entry, in any order. False stops. */
typedef bool tarn_storage_visit(const tarn_storage_entry *entry, void *context);

/**
 * The content of an object that is stored as a whole: read in order from any offset, and again
 * after a failure. Called from any thread, by one at a time; *got is less than size only at the
 * end.
 */
typedef tarn_status tarn_storage_source(
    void *context, uint64_t offset, void *into, size_t size, size_t *got, tarn_error *error);

/**
 * Takes the bytes of an object in order. Called from any thread, by one at a time, and for each
 * byte once. A failure ends the reading, which answers it.
 */
typedef tarn_status tarn_storage_sink(void *context, tarn_bytes part, tarn_error *error);

/** The operations. Each may block and is called from any thread. */
typedef struct tarn_storage_ops {
    size_t struct_size; /**< sizeof(tarn_storage_ops). New operations are appended; NULL: absent. */

    /**
     * Starts an object. Nothing is visible under its name before finish().
     *
     * name may be NULL where the storage has TARN_STORAGE_LATE_NAMES.
     */
    tarn_status (*begin)(
        tarn_storage *self,
        const char *name,
        uint32_t flags,
        tarn_storage_upload **out,
        tarn_error *error);

    /** Adds bytes to the end. After a failure the upload can only be abandoned. */
    tarn_status (*append)(tarn_storage_upload *upload, tarn_bytes part, tarn_error *error);

    /**
     * Ends an upload and frees it, whatever the outcome.
     *
     * name is NULL, or the name that begin() was not given. After a failure other than TARN_BUSY
     * the object may or may not be there (the answer was lost): who needs to know removes it.
     */
    tarn_status (*finish)(tarn_storage_upload *upload, const char *name, tarn_error *error);

    /** Gives an upload up and frees it. */
    void (*abandon)(tarn_storage_upload *upload);

    /**
     * Reads size bytes at offset, fewer only at the object's end (0 at or beyond it).
     *
     * TARN_MISSING: there is no such object.
     */
    tarn_status (*read)(
        tarn_storage *self,
        const char *name,
        uint64_t offset,
        void *into,
        size_t size,
        size_t *size_out,
        tarn_error *error);

    /** Answers what is known of an object. TARN_MISSING: there is none. */
    tarn_status (*stat)(
        tarn_storage *self, const char *name, tarn_storage_info *out, tarn_error *error);

    /**
     * Removes objects, in any order. What is not there counts as removed: deletion is retried.
     *
     * Every name is tried; the first failure is the one that is answered.
     */
    tarn_status (*remove)(
        tarn_storage *self, const char *const *names, uint32_t count, tarn_error *error);

    /**
     * Visits what is directly below a directory ("": the root). One that has nothing below it does
     * not exist, which is no error. Uploads under way are not seen.
     */
    tarn_status (*list)(
        tarn_storage *self,
        const char *directory,
        tarn_storage_visit *visit,
        void *context,
        tarn_error *error);

    /**
     * Takes the one lock of the storage, for a single writer. NULL: the storage has no locks.
     *
     * TARN_BUSY: somebody holds it; the message says who. A holder that dies loses it.
     */
    tarn_status (*lock)(tarn_storage *self, tarn_storage_lock **out, tarn_error *error);
    void (*unlock)(tarn_storage_lock *lock);

    /** Frees the storage; what it holds stays. */
    void (*free)(tarn_storage *self);

    /**
     * As finish(), but a failure leaves the upload as it was, to be finished again or abandoned.
     * NULL: the storage has not TARN_STORAGE_RESUMES.
     */
    tarn_status (*try_finish)(tarn_storage_upload *upload, const char *name, tarn_error *error);

    /**
     * Answers for how long the peer has asked to be left alone. Units: milliseconds from now.
     * NULL: nobody asks.
     */
    uint64_t (*pause_ms)(tarn_storage *self);

    /**
     * Gives an object a second name, path, on the local file system, without copying it. Nobody
     * writes to the file behind it as long as either name is there.
     *
     * TARN_NOT_SUPPORTED: it cannot be done here, whatever the reason: read it instead.
     * NULL: the storage's objects are no local files.
     */
    tarn_status (*link)(tarn_storage *self, const char *name, const char *path, tarn_error *error);

    /**
     * Stores an object of a known size, as begin(), append() and finish() do, without copies of it
     * in memory. NULL: by those only; likewise when it answers TARN_NOT_SUPPORTED, as it may for
     * large objects.
     */
    tarn_status (*put)(
        tarn_storage *self,
        const char *name,
        uint32_t flags,
        uint64_t size,
        tarn_storage_source *source,
        void *context,
        tarn_error *error);

    /**
     * As read(), into a sink, with one request of any size: fewer bytes come only at the object's
     * end. Bytes that were taken before a failure stay taken. NULL: by read() only.
     */
    tarn_status (*get)(
        tarn_storage *self,
        const char *name,
        uint64_t offset,
        uint64_t size,
        tarn_storage_sink *sink,
        void *context,
        tarn_error *error);

    /**
     * Makes a local file, path, an object by giving it a second name, without copying it: as
     * finish(), an object that has the name is replaced. Nobody writes to the file as long as
     * either name is there, and its bytes are durable already.
     *
     * TARN_NOT_SUPPORTED: it cannot be done here, whatever the reason: copy it instead.
     * NULL: the storage's objects are no local files.
     */
    tarn_status (*adopt)(tarn_storage *self, const char *path, const char *name, tarn_error *error);
} tarn_storage_ops;

/** The head of every storage; an implementation puts it first in its own struct. */
struct tarn_storage {
    const tarn_storage_ops *ops;
    const char *address; /**< For messages: without credentials, without a '/' at the end. */
    uint32_t features;   /**< TARN_STORAGE_... */
};

/**
 * A way to open storages of one scheme, for tarn_env_options and tarn_storage_open().
 *
 * open() makes the storage of "name://..."; the tables are borrowed as long as the storage lives.
 */
typedef struct tarn_storage_scheme {
    const char *name; /**< Without "://", in lower case. */
    tarn_status (*open)(const char *address, void *context, tarn_storage **out, tarn_error *error);
    void *context;
} tarn_storage_scheme;

/** The head of every upload. */
struct tarn_storage_upload {
    tarn_storage *storage;
};

/** The head of every lock. */
struct tarn_storage_lock {
    tarn_storage *storage;
};

#ifdef __cplusplus
}
#endif
#endif
