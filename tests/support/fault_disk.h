/*
 * fault_disk.h - calls to the file system that fail in all of the process, RocksDB's among them.
 *
 * The program that links fault_disk.c has these calls in place of the C library's. While nothing is
 * armed they go through. The failure loop of a test: for nth = 0, 1, ... until a run meets no
 * failure, run the operation, and expect that what answered TARN_OK is so.
 *
 * Thread: any; which thread meets the nth call is chance.
 */
#ifndef TARN_TESTS_FAULT_DISK_H
#define TARN_TESTS_FAULT_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* Which calls are meant: all, until others are chosen. */
typedef enum fault_disk_calls {
    FAULT_DISK_LINKS = 1,
    FAULT_DISK_PLACED_WRITES = 2, /* pwrite(): RocksDB makes none that is not direct. */
    FAULT_DISK_OTHERS = 4,
    FAULT_DISK_ALL = 7,
} fault_disk_calls;

void fault_disk_choose(unsigned calls);

/* From now on the nth call, counted from 0, fails with an errno; is_lasting: all after it, too. */
void fault_disk_arm(uint64_t nth, int code, bool is_lasting);

/* Calls go through and are not counted; until it goes on as before. */
void fault_disk_pause(void);
void fault_disk_resume(void);

/* No call fails any more; answers whether one did. */
bool fault_disk_disarm(void);

/* Answers how many calls came since it was armed. */
uint64_t fault_disk_call_count(void);

#endif
