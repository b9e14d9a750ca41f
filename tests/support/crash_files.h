/*
 * crash_files.h - file calls with a named point before and after every durable step.
 *
 * A step is a call that changes what another process would find: its name says which, to what, and
 * on which side of it: "before rename _metadata", "after sync shared". The process kills itself
 * when it reaches the point it was told, the nth time.
 */
#ifndef TARN_TESTS_CRASH_FILES_H
#define TARN_TESTS_CRASH_FILES_H

#include <stdatomic.h>

#include "storage/file_calls.h"

enum { CRASH_NAME_BYTES = 64 };

typedef struct crash_files {
    tarn__file_calls base; /* base.context is the crash_files. */
    const char *point;     /* Where to die; NULL: nowhere. */
    uint32_t nth;          /* From 1: the first time, the second ... */
    atomic_uint reached;
    int log; /* A descriptor that takes a line for each point that is reached; -1: none. */
} crash_files;

/* It must not move afterwards. */
void crash_files_init(crash_files *crash, const char *point, uint32_t nth, int log);

#endif
