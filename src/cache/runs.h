/*
 * runs.h - frozen rows on their way to the store: copied or lent by the task, sorted and written
 * by workers.
 *
 *     task thread   add ──► [ run being filled ] ──► send
 *                                                     │
 *                                            [ run ][ run ]      sent, in no order
 *                                                     │
 *     a worker                            sort ──► write ──► landed; the memory is given back
 *
 * Workers may be busy for long, with files of other backends: whoever waits for runs writes those
 * that none has begun, and nothing is added as long as there is no place in their queue.
 *
 * A run is a buffer of copied changes with a number, or one of references to rows that are lent:
 * who lends waits until they have landed, and leaves them as they are. Nothing but places is copied
 * then, so that a run of the same memory has more rows. A run has memory from its first change
 * until it has landed. Runs land in any order, so no row may be in two of them that have not
 * landed, nor be written by somebody else meanwhile: during one drain each frozen row is written
 * once.
 *
 * Invariants
 *   - What was added is in the store once its run has landed, and not before is that known.
 *   - At most TARN__RUNS runs have memory; it is charged to the account, and may be refused.
 *   - After a failed write nothing more is taken or written, and no run lands.
 *
 * Thread: confined, but for the functions that say "any".
 */
#ifndef TARN_CACHE_RUNS_H
#define TARN_CACHE_RUNS_H

#include "base/account.h"
#include "base/workers.h"
#include "cache/change.h"

enum {
    TARN__RUNS = 3,                 /* That have memory at once, the one being filled included. */
    TARN__RUN_BYTES_MIN = 32 << 10, /* Any row of a working set has room in an empty one. */
    TARN__RUN_BYTES_MAX = 64 << 20,
    TARN__RUN_ROW_BYTES = 48, /* What a row takes in a run beside its key and its value, at most. */
    TARN__RUN_UNKNOWN = 0,    /* The number of none: they begin with 1. */
};

typedef struct tarn__runs tarn__runs;

/* Changes in order of family and row, each row once. */
typedef struct tarn__run tarn__run;

/* Reads rows that are lent. Thread: any; workers do, while who lends waits. */
typedef struct tarn__run_lender {
    const void *(*find)(const void *context, uint32_t reference); /* Where the row lies. */
    tarn__change (*read)(const void *context, uint32_t reference);
    const void *context;
} tarn__run_lender;

typedef struct tarn__runs_options {
    tarn__account *account;
    /* NULL: runs are written by who waits for them, and by tarn__runs_write_next(): for tests that
     * want to choose when. */
    tarn__workers *workers;
    /* Writes a run. Called by workers, for several runs at once. */
    tarn_status (*write)(void *context, const tarn__run *run, tarn_error *error);
    void *context;
} tarn__runs_options;

TARN_NODISCARD tarn_status
tarn__runs_open(const tarn__runs_options *options, tarn__runs **out, tarn_error *error);

/* Waits for what was sent, and frees. NULL does nothing. */
void tarn__runs_close(tarn__runs *runs);

/*
 * Sets how large a run becomes, within the bounds above. Where there is less memory a run is
 * smaller.
 */
void tarn__runs_set_bytes(tarn__runs *runs, uint64_t bytes);

/* The same of runs of rows that are lent. */
void tarn__runs_set_lent(tarn__runs *runs, uint64_t row_count);

/* Sets who lends, before anything is. */
void tarn__runs_set_lender(tarn__runs *runs, const tarn__run_lender *lender);

/* Whether a change has room in an empty run. */
bool tarn__runs_can_hold(const tarn__runs *runs, const tarn__change *change);

/*
 * Copies a change, which an empty run can hold, into the run that is being filled; false: there is
 * no room now. The suffix is part of the row.
 *
 * order     Of the family: families are written by it.
 * can_wait  Leaves the last run to what cannot.
 */
bool tarn__runs_add(tarn__runs *runs, const tarn__change *change, uint32_t order, bool can_wait);

/*
 * Adds a row that is lent until all has landed to such a run, the last one included; false: there
 * is no room now.
 *
 * row  As the lender reads it.
 */
bool tarn__runs_lend(tarn__runs *runs, tarn_bytes row, uint32_t reference, uint32_t order);

/* The number of the run that the last change went to. */
uint32_t tarn__runs_number(const tarn__runs *runs);

/* Sends off the run that is being filled, if it has changes. May wait for the workers' queue, which
 * adding does not. */
void tarn__runs_send(tarn__runs *runs);

bool tarn__runs_has_landed(const tarn__runs *runs, uint32_t number);

/* Whether something was added that has not landed. */
bool tarn__runs_is_busy(const tarn__runs *runs);

/* Sends off what there is, and waits until all has landed. */
TARN_NODISCARD tarn_status tarn__runs_finish(tarn__runs *runs, tarn_error *error);

/* Has one more run land: writes one that no worker has begun, or waits for one; if none was sent,
 * what there is. */
TARN_NODISCARD tarn_status tarn__runs_land_one(tarn__runs *runs, tarn_error *error);

/* Waits until all that was sent has landed, or has it land; NULL: nothing was. Thread: any. */
TARN_NODISCARD tarn_status tarn__runs_await(tarn__runs *runs, tarn_error *error);

/* Answers the failure of a write, if there was one. Thread: any. */
TARN_NODISCARD tarn_status tarn__runs_check(tarn__runs *runs, tarn_error *error);

/* Without workers: writes the oldest or the newest run that was sent; false: there is none, or a
 * write has failed. */
bool tarn__runs_write_next(tarn__runs *runs, bool is_newest);

/* ---- what a run has: the worker ---------------------------------------------------------- */

uint32_t tarn__run_count(const tarn__run *run);

/* The change at a place, its row in one piece. It lies in the run, or where it is lent. */
tarn__change tarn__run_at(const tarn__run *run, uint32_t at);

/* Whether its rows are lent: somebody waits for it. */
bool tarn__run_is_lent(const tarn__run *run);

/* The place behind the changes of the family of the one at a place. */
uint32_t tarn__run_end_of_family(const tarn__run *run, uint32_t at);

#endif
