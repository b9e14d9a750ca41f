/*
 * kit.h - a case of the suite at work: its storage, what it has found, and helpers that find.
 *
 * A helper answers false when what it expects is not so, and has said why; a case ends then. What a
 * case leaves open is closed after it.
 */
#ifndef TARN_TESTKIT_KIT_H
#define TARN_TESTKIT_KIT_H

#include "tarn/testkit/storage.h"

enum { TARN__KIT_REASON_BYTES = 512 };

typedef struct tarn__kit {
    const tarn_testkit_storage *options;
    tarn_storage *storage;
    tarn_storage *other; /* Of tarn__kit_open_again(). */
    tarn_storage_upload *upload;
    uint8_t *memory[2]; /* Of tarn__kit_memory(). */
    tarn_error error;   /* Of the latest call. */
    tarn_testkit_verdict verdict;
    char reason[TARN__KIT_REASON_BYTES];
} tarn__kit;

/* Ends a case from within when a helper answers false. */
#define TARN__KIT_MUST(call) \
    do {                     \
        if (!(call)) {       \
            return;          \
        }                    \
    } while (0)

typedef struct tarn__kit_case {
    const char *name;
    void (*run)(tarn__kit *k);
    bool writes;
} tarn__kit_case;

extern const tarn__kit_case tarn__kit_cases[];
extern const uint32_t tarn__kit_case_count;

/* Both answer false. */
__attribute__((format(printf, 2, 3))) bool tarn__kit_fail(tarn__kit *k, const char *format, ...);
bool tarn__kit_skip(tarn__kit *k, const char *reason);

/* Fails with what was tried and the error's sentence, unless status is TARN_OK. */
bool tarn__kit_ok(tarn__kit *k, tarn_status status, const char *what, const char *name);

/* Fails unless status is the expected one. */
bool tarn__kit_is(
    tarn__kit *k, tarn_status status, tarn_status expected, const char *what, const char *name);

bool tarn__kit_open_again(tarn__kit *k);

/* Bytes that live as long as the case. which: 0 or 1. */
bool tarn__kit_memory(tarn__kit *k, uint32_t which, size_t size);

/* --- Objects; flags as of tarn_storage_begin() --- */

bool tarn__kit_begin(tarn__kit *k, const char *name, uint32_t flags);
bool tarn__kit_append(tarn__kit *k, tarn_bytes part);
tarn_status tarn__kit_finish(tarn__kit *k, const char *late_name);
bool tarn__kit_put(tarn__kit *k, const char *name, const char *text);
bool tarn__kit_remove(tarn__kit *k, const char *name);

/* Read and looked at, the object has just this text. */
bool tarn__kit_has(tarn__kit *k, tarn_storage *storage, const char *name, const char *text);
bool tarn__kit_has_not(tarn__kit *k, tarn_storage *storage, const char *name);

/* A directory shows "name:size " and "name/ ", sorted. */
bool tarn__kit_lists(
    tarn__kit *k, tarn_storage *storage, const char *directory, const char *expected);

/* links.c: cases. */
void tarn__kit_case_link(tarn__kit *k);
void tarn__kit_case_adopt(tarn__kit *k);

/* Bytes that look random, the same each time. */
void tarn__kit_fill(uint8_t *bytes, size_t size, uint64_t seed);

#endif
