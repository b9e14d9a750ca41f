/**
 * @file tarn/version.h
 * @brief The version that a program was compiled against, and the one that it runs with.
 *
 * Ownership: the string is static. Thread: pure.
 */
#ifndef TARN_VERSION_H
#define TARN_VERSION_H

#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TARN_VERSION_MAJOR 0
#define TARN_VERSION_MINOR 1
#define TARN_VERSION_PATCH 0

/** Compile-time version as one number that grows: major * 10000 + minor * 100 + patch. */
#define TARN_VERSION_NUMBER \
    (TARN_VERSION_MAJOR * 10000 + TARN_VERSION_MINOR * 100 + TARN_VERSION_PATCH)

/** Answers TARN_VERSION_NUMBER of the library that the program runs with. */
TARN_API uint32_t tarn_version_number(void);

/** Answers the version of the library that the program runs with, such as "0.1.0". */
TARN_API const char *tarn_version_string(void);

/** Answers the version of the RocksDB that the library was built against, such as "7.8.3". */
TARN_API const char *tarn_version_rocksdb(void);

#ifdef __cplusplus
}
#endif
#endif
