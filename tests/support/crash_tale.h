/*
 * crash_tale.h - what processes that may be killed tell about their checkpoints, and what must
 * follow from it.
 *
 *     process ──► TAKEN id position ──► ANNOUNCED id ──✗
 *     next    ──► RESTORED id position: not before what was announced, and where it was taken
 *
 * A line goes through a pipe in one write: it is there in whole, or not at all.
 */
#ifndef TARN_TESTS_CRASH_TALE_H
#define TARN_TESTS_CRASH_TALE_H

#include <limits.h>
#include <stdint.h>

enum { CRASH_TALE_IDS_MAX = 64, CRASH_TALE_SAVED_MAX = 8 };

typedef enum crash_tale_kind {
    CRASH_TALE_TAKEN,     /* A checkpoint is begun where the job stands. */
    CRASH_TALE_ANNOUNCED, /* The task has heard that it is complete. */
    CRASH_TALE_RESTORED,
    CRASH_TALE_SAVED, /* A savepoint is complete. */
} crash_tale_kind;

typedef struct crash_tale {
    uint64_t positions[CRASH_TALE_IDS_MAX]; /* Where each was taken the last time. */
    uint64_t announced_id;                  /* The latest; 0: none. */
    uint64_t durable_position;              /* Of the latest that was announced or restored. */
    uint32_t announced_count;
    uint32_t restored_count;
    uint32_t saved_count;
    struct {
        uint64_t position;
        char path[PATH_MAX];
    } saved[CRASH_TALE_SAVED_MAX];
    char problem[256]; /* The first thing that must not be; "": none. */
} crash_tale;

/* In the process; path "" but of what is saved. It ends when it cannot tell. */
void crash_tale_tell(
    int tale, crash_tale_kind kind, uint64_t id, uint64_t position, const char *path);

/* Reads until the other end is closed. */
void crash_tale_hear(crash_tale *tale, int from);

#endif
