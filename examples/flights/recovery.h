/*
 * recovery.h - what a worker takes over from a checkpoint beside its backend's state.
 *
 *     each old worker:   watermarks ──► joined: those of the workers whose keys it takes over
 *                        in flight  ──► [its own keys] ──► states
 *
 * Workers may be others in number than they were: what was in flight to any of them is read, and a
 * message is applied by the worker that has its key now. Whether it is late is judged as it would
 * have been where it was on its way to, by the watermarks of that worker.
 *
 * Thread: the worker's.
 */
#ifndef FLIGHTS_RECOVERY_H
#define FLIGHTS_RECOVERY_H

#include <tarn/checkpoint.h>

#include "states.h"
#include "watermarks.h"

/* Who restores. */
typedef struct recovery {
    const char *operator_name;
    uint32_t index; /* Of the worker. */
    uint32_t worker_count;
    uint32_t max_parallelism;
    states *states;         /* Restored: what was in flight is applied to them. */
    watermarks *watermarks; /* Initialised; joined. */
} recovery;

/*
 * Errors: TARN_INCOMPATIBLE: the checkpoint is of another job; TARN_CORRUPTION: what was in flight
 * is not what this program keeps.
 */
tarn_status recovery_run(const recovery *r, const tarn_checkpoint *checkpoint, tarn_error *error);

#endif
