/*
 * rescale_rig.h - an operator whose checkpoints are restored at another parallelism.
 *
 *     ROOT/work-<subtask>/...       working directories
 *     ROOT/checkpoints/job/chk-<n>  checkpoints, of which the last one is open
 */
#ifndef TARN_TESTS_RESCALE_RIG_H
#define TARN_TESTS_RESCALE_RIG_H

#include "support/support.h"

#include "tarn/checkpoint.h"
#include "tarn/snapshot.h"

#include "support/scratch.h"
#include "support/state_fixture.h"

#if defined(__SANITIZE_ADDRESS__)
#define RESCALE_SANITIZES_ADDRESSES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RESCALE_SANITIZES_ADDRESSES 1
#endif
#endif
#ifndef RESCALE_SANITIZES_ADDRESSES
#define RESCALE_SANITIZES_ADDRESSES 0
#endif

enum {
    RESCALE_SUBTASKS_MAX = 8,
    /* Of the allocations of a restore, the first of as many fails. Each turn opens databases, which
     * AddressSanitizer makes slow: it sees every third, the builds without it see all. */
    RESCALE_STRIDE = RESCALE_SANITIZES_ADDRESSES ? 3 : FAULT_STRIDE,
};

typedef struct rescale_rig {
    scratch root;
    tarn_config *config;
    fault_allocator memory; /* Of the environment. */
    tarn_env *env;
    tarn_checkpoint *checkpoint; /* What is restored; NULL: nothing. */
    uint32_t next_id;
    tarn_error error;
} rescale_rig;

/* Makes all but the environment, so that the configuration can be set. */
void rescale_init(rescale_rig *rig);
void rescale_open_env(rescale_rig *rig);
/* Asserts that no memory is left. */
void rescale_clear(rescale_rig *rig);

/* ---- backends --------------------------------------------------------------------------- */

tarn_status rescale_try_open(
    rescale_rig *rig, uint32_t index, uint32_t parallelism, tarn_backend **out);
tarn_backend *rescale_open(rescale_rig *rig, uint32_t index, uint32_t parallelism);
void rescale_open_all(rescale_rig *rig, tarn_backend **backends, uint32_t count);
void rescale_close_all(rescale_rig *rig, tarn_backend **backends, uint32_t count);

/* Whether the key is of the backend; it is then the current one. */
bool rescale_set_key(rescale_rig *rig, tarn_backend *backend, uint32_t key);

/* How many rows iterating over a state of values finds. */
uint32_t rescale_count_rows(rescale_rig *rig, tarn_backend *backend, const char *state);

/* Asserts that nothing is left in the working directory of a subtask. */
void rescale_expect_empty(const rescale_rig *rig, uint32_t index);

/*
 * Opens a subtask again and again, while each request for memory in turn is refused, or each
 * stride-th: it fails with TARN_NO_MEMORY and leaves nothing, or is shown to check and closed.
 * Answers how often it failed.
 */
uint32_t rescale_refuse_memory(
    rescale_rig *rig,
    uint32_t index,
    uint32_t parallelism,
    uint64_t stride,
    void (*check)(tarn_backend *backend, void *context),
    void *context);

/* ---- checkpoints ------------------------------------------------------------------------ */

/* The path of something in the job's folder, such as a file of the checkpoint. */
void rescale_name_file(const rescale_rig *rig, const char *name, char path[2 * PATH_MAX]);

/* A checkpoint of so many backends, which they hear of; it becomes the one that is open. */
tarn_checkpoint_summary rescale_take_checkpoint(
    rescale_rig *rig, tarn_backend **backends, uint32_t count);

/* Asserts that all its files are good. */
void rescale_expect_intact(rescale_rig *rig);

#endif
