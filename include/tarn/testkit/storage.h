/**
 * @file tarn/testkit/storage.h
 * @brief What every storage must do (tarn/sys/storage.h), as a suite for storages of one's own.
 *
 *     static tarn_status open_mine(void *context, tarn_storage **out, tarn_error *error);
 *
 *     tarn_testkit_storage kit = TARN_TESTKIT_STORAGE_INIT;
 *     kit.open = open_mine;                   an empty one each time
 *     kit.report = tarn_testkit_print;        a line for each case
 *     return tarn_testkit_storage_run(&kit) == 0 ? 0 : 1;
 *
 * Link libtarn_testkit before libtarn: find_package(Tarn COMPONENTS shared testkit) and
 * Tarn::testkit, or pkg-config tarn-testkit. The suite uses public headers alone, and no framework
 * of tests.
 *
 * Thread: a suite runs in its caller's thread; some cases use a storage from several of their own.
 */
#ifndef TARN_TESTKIT_STORAGE_H
#define TARN_TESTKIT_STORAGE_H

#include "tarn/storage.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How a case ended. */
typedef enum tarn_testkit_verdict {
    TARN_TESTKIT_PASSED,
    TARN_TESTKIT_FAILED,
    TARN_TESTKIT_SKIPPED, /**< The storage has not, or the kit was not given, what the case needs.
                           */
} tarn_testkit_verdict;

/** A case that has ended; valid during the report. */
typedef struct tarn_testkit_result {
    const char *name; /**< The claim, as a sentence without a full stop. */
    tarn_testkit_verdict verdict;
    const char *reason; /**< Why not; "" when it passed. */
} tarn_testkit_result;

/** What a suite is run on. Start from TARN_TESTKIT_STORAGE_INIT. */
typedef struct tarn_testkit_storage {
    size_t struct_size;
    /** Answers an empty storage, whatever was opened before. With is_read_only: any. Required. */
    tarn_status (*open)(void *context, tarn_storage **out, tarn_error *error);
    /**
     * Answers another storage of the place that open() answered last, which is open still. NULL:
     * the cases of two who share a place are skipped.
     */
    tarn_status (*open_again)(void *context, tarn_storage **out, tarn_error *error);
    /** Closes what either of them answered. NULL: tarn_storage_close(). */
    void (*close)(void *context, tarn_storage *storage);
    /** Called at the end of each case, after its storages were closed. May be NULL. */
    void (*report)(void *context, const tarn_testkit_result *result);
    void *context;

    /** Only cases that write nothing; the place may hold anything. */
    bool is_read_only;
    uint32_t rounds;      /**< Of each of four threads in the cases that race. 0: 60. */
    uint64_t large_bytes; /**< Of the largest object. 0: 1,700,051. */
    /**
     * The place cannot replace an object in one step (HttpFS): a reader may find none for a moment,
     * but never a part of one.
     */
    bool has_gaps;
} tarn_testkit_storage;

/** Initialiser for tarn_testkit_storage. */
#define TARN_TESTKIT_STORAGE_INIT                   \
    {                                               \
        .struct_size = sizeof(tarn_testkit_storage) \
    }

/** As the INIT macro; for C++ and bindings, where that warns. */
void tarn_testkit_storage_init(tarn_testkit_storage *kit, size_t struct_size);

/** Runs the suite; answers the number of cases that failed. */
uint32_t tarn_testkit_storage_run(const tarn_testkit_storage *kit);

/** A report() that prints a line to stdout. */
void tarn_testkit_print(void *context, const tarn_testkit_result *result);

#ifdef __cplusplus
}
#endif
#endif
