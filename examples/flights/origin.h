/*
 * origin.h - the checkpoint that the job goes on from, and those that it passed over for it.
 *
 *     chk-5   unfinished  ─┐
 *     chk-4   damaged     ─┤ passed over: said, and told to the driver
 *     chk-3   whole  ──────┘ restored, with --allow-older
 *
 * Without that option a latest checkpoint that is damaged is refused: it is for somebody to decide
 * whether records since the older one may be worked off again.
 *
 * Thread: the main thread's.
 */
#ifndef FLIGHTS_ORIGIN_H
#define FLIGHTS_ORIGIN_H

#include <tarn/checkpoint.h>
#include <tarn/env.h>

#include "options.h"

enum { PASSED_OVER_MAX = 64 };

typedef struct origin {
    tarn_checkpoint *checkpoint;           /* NULL: the job begins empty, or is open. */
    uint64_t id;                           /* 0: it began empty. */
    bool is_latest;                        /* Of the job's own directory. */
    uint64_t passed_over[PASSED_OVER_MAX]; /* The newest first. */
    uint32_t passed_over_count;
    bool has_given_up; /* There was one more. */
} origin;

/* Opens what the options say, if anything. allocator: borrowed, until it is closed. */
tarn_status origin_open(
    origin *o,
    const options *how,
    tarn_env *env,
    const tarn_allocator *allocator,
    tarn_error *error);

/* Frees the checkpoint, once everything is restored or nothing is to be. */
void origin_close(origin *o);

/* Adds to the failure of a restore what would help, if an older checkpoint does. */
tarn_status origin_explain(
    const origin *o, const options *how, tarn_status status, tarn_error *error);

#endif
