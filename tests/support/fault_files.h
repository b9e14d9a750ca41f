/*
 * fault_files.h - file calls that fail, or kill the process, at the nth of them.
 *
 * The failure loop of a test: for nth = 0, 1, ... until a run meets no failure, run the operation
 * and expect that what was committed before is whole. With kills, the loop forks first.
 */
#ifndef TARN_TESTS_FAULT_FILES_H
#define TARN_TESTS_FAULT_FILES_H

#include <stdatomic.h>

#include "storage/file_calls.h"

#define FAULT_FILES_NEVER UINT64_MAX

typedef struct fault_files {
    tarn__file_calls base; /* base.context is the fault_files. */
    uint64_t fail_at;      /* The call, counted from 0, that fails; FAULT_FILES_NEVER: none. */
    int code;              /* The errno that it fails with. */
    bool kills;            /* SIGKILL to the own process before the call, instead of a failure. */
    bool is_persistent;    /* Every call from fail_at on fails, not only that one. */
    bool is_short;         /* Nothing fails; reads and writes do half, every third is EINTR. */
    uint64_t flips_from;   /* What is read after so many bytes has a bit flipped; 0: nothing. */
    int64_t aged_by_ms;    /* Files that are looked at by name seem so much older, */
    const char *unaged;    /* but for those of this name. */
    atomic_uint_least64_t call_count;
    atomic_uint_least64_t written_bytes;
    atomic_uint_least64_t read_bytes;
    atomic_bool fired;
} fault_files;

/* Sets up calls to the system that fail with code at call nth. It must not move afterwards. */
void fault_files_init(fault_files *fault, uint64_t nth, int code);

#endif
