/* outcome.c - prefixes of RocksDB's Status::ToString(), and what they mean here. */
#include "rocks/outcome.h"

#include <errno.h>
#include <string.h>

#include <rocksdb/c.h>

typedef struct meaning {
    const char *text;
    tarn_status status;
} meaning;

/* Nothing was done, and nothing is wrong but the moment. */
#define TRY_AGAIN "Operation failed. Try again.: "

/* The kinds, in the order of RocksDB's Status::Code. */
static const meaning KINDS[] = {
    {"NotFound: ", TARN_MISSING},
    {"Corruption: ", TARN_CORRUPTION},
    {"Not implemented: ", TARN_NOT_SUPPORTED},
    {"Invalid argument: ", TARN_INVALID_ARGUMENT},
    {"IO error: ", TARN_IO_ERROR},
    {"Merge in progress: ", TARN_INTERNAL},
    {"Result incomplete: ", TARN_ABANDONED}, /* A manual compaction was paused. */
    {"Shutdown in progress: ", TARN_ABANDONED},
    {"Operation timed out: ", TARN_TIMED_OUT},
    {"Operation aborted: ", TARN_ABANDONED},
    {"Resource busy: ", TARN_BUSY},
    {"Operation expired: ", TARN_TIMED_OUT},
    {TRY_AGAIN, TARN_BUSY},
    {"Compaction too large: ", TARN_NO_SPACE},
    {"Column family dropped: ", TARN_INVALID_ARGUMENT},
};

/* Cases of "IO error: " that deserve another status: words anywhere in the text. */
static const meaning IO_CASES[] = {
    {"No space left on device", TARN_NO_SPACE},
    {"Disk quota exceeded", TARN_NO_SPACE},
    {"Space limit reached", TARN_NO_SPACE},
    {"lock hold by current process", TARN_BUSY},
    {"While lock file", TARN_BUSY},
    {"No such file or directory", TARN_MISSING},
};

/* Cases of "Operation aborted: ". */
static const meaning ABORTED_CASES[] = {
    {"Memory limit reached", TARN_NO_MEMORY},
};

static tarn_status find_case(const meaning *cases, size_t count, const char *text, tarn_status none)
{
    for (size_t i = 0; i < count; i++) {
        if (strstr(text, cases[i].text) != NULL) {
            return cases[i].status;
        }
    }
    return none;
}

tarn_status tarn__rocks_classify(const char *text)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        const size_t size = strlen(KINDS[i].text);
        if (strncmp(text, KINDS[i].text, size) != 0) {
            continue;
        }
        if (KINDS[i].status == TARN_IO_ERROR) {
            return find_case(
                IO_CASES, sizeof IO_CASES / sizeof IO_CASES[0], text + size, TARN_IO_ERROR);
        }
        if (strcmp(KINDS[i].text, "Operation aborted: ") == 0) {
            return find_case(
                ABORTED_CASES,
                sizeof ABORTED_CASES / sizeof ABORTED_CASES[0],
                text + size,
                TARN_ABANDONED);
        }
        return KINDS[i].status;
    }
    return TARN_INTERNAL;
}

bool tarn__rocks_is_try_again(const char *message)
{
    return message != NULL && strncmp(message, TRY_AGAIN, sizeof TRY_AGAIN - 1) == 0;
}

/* What a file system may answer. */
static const int SYSTEM_CODES[] = {
    EACCES, EAGAIN,       EBADF,  EBUSY,  EDQUOT, EEXIST, EFBIG,  EINTR,   EINVAL,    EIO,
    EISDIR, ELOOP,        EMFILE, EMLINK, ENFILE, ENODEV, ENOENT, ENOLCK,  ENOMEM,    ENOSPC,
    ENOSYS, ENAMETOOLONG, ENXIO,  EPERM,  EROFS,  ESTALE, EXDEV,  ENOTDIR, ENOTEMPTY, EOPNOTSUPP,
};

static bool ends_with(const char *text, const char *words)
{
    const size_t size = strlen(text);
    const size_t words_size = strlen(words);
    return size >= words_size && strcmp(text + size - words_size, words) == 0;
}

/* The errno behind an "IO error: ...", whose text ends with strerror()'s words. 0: there is none.
 */
static int system_code_of(const char *text)
{
    char words[128];
    for (size_t i = 0; i < sizeof SYSTEM_CODES / sizeof SYSTEM_CODES[0]; i++) {
        if (ends_with(text, strerror_r(SYSTEM_CODES[i], words, sizeof words))) {
            return SYSTEM_CODES[i];
        }
    }
    return 0;
}

/* Of a message; "Space limit reached" and the like are told by the status alone. */
static int system_code_behind(const char *message, tarn_status status)
{
    static const char IO_ERROR[] = "IO error: ";
    const bool is_io = strncmp(message, IO_ERROR, sizeof IO_ERROR - 1) == 0;
    const int code = is_io ? system_code_of(message) : 0;
    if (code != 0) {
        return code;
    }
    if (status == TARN_NO_SPACE) {
        return ENOSPC;
    }
    return status == TARN_MISSING ? ENOENT : 0;
}

tarn_status tarn__rocks_outcome(
    const char *action, const char *object, char **message, tarn_error *error)
{
    if (*message == NULL) {
        return TARN_OK;
    }
    const tarn_status status = tarn__rocks_classify(*message);
    (void)tarn__fail(error, status, "cannot %s %s: %s", action, object, *message);
    if (error != NULL) {
        error->system_code = system_code_behind(*message, status);
    }
    rocksdb_free(*message);
    *message = NULL;
    return status;
}
