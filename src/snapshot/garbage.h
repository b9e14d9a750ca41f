/*
 * garbage.h - what nothing in a job's directory reaches. tarn/cleanup.h is the public face.
 *
 *     list shared/ and chk-N/ ──► read every _metadata ──► again, until no checkpoint came or went
 *                                                            │
 *          remove ◄── still as old? ◄── old enough ◄── not named
 *
 * Why that is safe beside a running job: a file that a pending checkpoint takes over from an
 * earlier one is named by a retained checkpoint at every moment until the pending one is committed,
 * as a table file lives for one stretch of time and every checkpoint in it names it; and a file
 * that it has written itself is younger than the grace age, which the storage's own clock tells
 * (server_clock.h). What is listed first and found in no checkpoint of one moment later is
 * therefore named by nothing, then and after.
 */
#ifndef TARN_SNAPSHOT_GARBAGE_H
#define TARN_SNAPSHOT_GARBAGE_H

#include "tarn/cleanup.h"

#include "base/clock.h"
#include "storage/storage.h"

/*
 * tarn_garbage_collect() with a test's clock, and file calls and schemes of storages; NULL: the
 * system's.
 */
TARN_NODISCARD tarn_status tarn__garbage_collect(
    const tarn_garbage_options *options,
    const tarn__clock *clock,
    const tarn__storage_options *where,
    tarn_garbage_stats *stats,
    tarn_error *error);

#endif
