/**
 * @file tarn/status.h
 * @brief What every fallible call answers, and the details of a failure.
 *
 *     tarn_error error;
 *     if (tarn_config_load(config, "flink-conf.yaml", &error) != TARN_OK) {
 *         fprintf(stderr, "%s: %s\n", tarn_status_name(error.status), error.message);
 *     }
 *
 * Ownership: a tarn_error is the caller's memory; nothing in it is freed.
 * Thread: pure.
 */
#ifndef TARN_STATUS_H
#define TARN_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(TARN_STATIC) && !defined(TARN_BUILDING)
#define TARN_API
#else
#define TARN_API __attribute__((visibility("default")))
#endif
#define TARN_NODISCARD __attribute__((warn_unused_result))

/**
 * Every status: name, value, sentence. Values are ABI; a new one takes a free number of its family.
 * Zero is success, positive an expected outcome without details, negative a failure with them.
 *
 * Any call that needs memory may answer TARN_OVER_BUDGET or TARN_NO_MEMORY. The first: a pool of
 * the budget refused it; the message names the pool, who asked, and the option that sizes it. The
 * second: the allocator itself, malloc() or the program's, had none left. Only tarn_buffer_*(),
 * which has no message, answers the second for both.
 */
#define TARN_STATUS_MAP(X)                                                                \
    X(OK, 0, "success")                                                                   \
    X(NOT_FOUND, 1, "nothing is stored under the key")                                    \
    X(DONE, 2, "there is nothing more to come")                                           \
    X(PENDING, 3, "the work has not ended yet")                                           \
    X(INVALID_ARGUMENT, -10, "an argument or option is missing or out of range")          \
    X(BUSY, -11, "the object is in use")                                                  \
    X(NOT_SUPPORTED, -12, "the installed libraries or the object cannot do this")         \
    X(INCOMPATIBLE, -13, "what is stored does not fit what was asked for")                \
    X(POISONED, -14, "an earlier failure left the object unusable; close and restore it") \
    X(NO_MEMORY, -20, "the allocator has no memory left")                                 \
    X(OVER_BUDGET, -21, "the memory budget would be exceeded")                            \
    X(IO_ERROR, -30, "the local file system failed")                                      \
    X(CORRUPTION, -31, "stored data failed verification")                                 \
    X(NO_SPACE, -32, "the device or quota is full")                                       \
    X(MISSING, -33, "a file or object that must exist does not")                          \
    X(REMOTE_ERROR, -40, "the snapshot storage failed")                                   \
    X(TIMED_OUT, -41, "the deadline passed")                                              \
    X(DECLINED, -42, "a participant declined")                                            \
    X(ABANDONED, -43, "the operation was given up before it ended")                       \
    X(INTERNAL, -90, "something happened that Tarn does not know; the message has the text")

typedef enum tarn_status {
#define X(name, value, sentence) TARN_##name = value,
    TARN_STATUS_MAP(X)
#undef X
} tarn_status;

enum { TARN_ERROR_MESSAGE_BYTES = 504 };

/**
 * Details of a failure, owned by the caller; it needs no setup.
 *
 * It says something after a call that failed, and only then: one that succeeds may have met a
 * failure on its way, such as an object that was not there, and left the details of it.
 */
typedef struct tarn_error {
    tarn_status status; /**< The same value the call returned. */
    int system_code;    /**< errno or HTTP status behind it; 0: there is none, or RocksDB's text
                           does not tell it. */
    char message[TARN_ERROR_MESSAGE_BYTES]; /**< One sentence that names the object; UTF-8. */
} tarn_error;

/** Answers the name of a status, such as "TARN_NOT_FOUND"; "TARN_?" for a value that is none. */
TARN_API const char *tarn_status_name(tarn_status status);

/** Answers the sentence of a status, such as "nothing is stored under the key". */
TARN_API const char *tarn_status_sentence(tarn_status status);

/** Tells whether the same call may succeed when it is repeated later without any change. */
TARN_API bool tarn_status_is_retriable(tarn_status status);

#ifdef __cplusplus
}
#endif
#endif
