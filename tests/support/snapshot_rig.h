/*
 * snapshot_rig.h - a store, local files that stand for RocksDB's, and a way to snapshot them.
 *
 *     ROOT/local/<instance>/...   working directories
 *     ROOT/store/job/...          checkpoints
 */
#ifndef TARN_TESTS_SNAPSHOT_RIG_H
#define TARN_TESTS_SNAPSHOT_RIG_H

#include "snapshot/download.h"
#include "snapshot/store.h"
#include "snapshot/upload.h"
#include "support/fault_files.h"
#include "support/scratch.h"
#include "support/support.h"

typedef struct snapshot_rig {
    scratch root;
    fault_files files;      /* Under the store, uploads and downloads. */
    fault_allocator memory; /* Likewise. */
    tarn__account account;
    tarn__account buffers;
    tarn__account outside;  /* Of the workers, never failing. */
    tarn__workers *workers; /* NULL: everything on the caller's thread. */
    tarn_checkpoint_store *store;
    uint32_t retained_count;
    tarn__packing packing;  /* Of uploads. All zero: none. */
    uint64_t first_durable; /* Likewise. */
    tarn_error error;
    char log[4096]; /* All that the store said, a line each. */
} snapshot_rig;

void rig_init(snapshot_rig *rig, uint32_t retained_count, uint32_t worker_count);

/* Closes and deletes everything; asserts that no memory is left. */
void rig_clear(snapshot_rig *rig);

tarn_status rig_open_store(snapshot_rig *rig);
void rig_close_store(snapshot_rig *rig);

/* ROOT/store/job or something below it. */
const char *rig_job(const snapshot_rig *rig, const char *name);

/* Writes size bytes made of seed to a local file; a seed is a content. */
void rig_write(
    snapshot_rig *rig, const char *instance, const char *name, size_t size, uint64_t seed);
const char *rig_local(const snapshot_rig *rig, const char *instance, const char *name);

/* What one snapshot of an instance is told and answers. */
typedef struct rig_snapshot {
    const char *operator_name;
    const char *instance; /* Its directory. */
    uint32_t index;
    uint32_t parallelism;
    const tarn__base *base;         /* May be NULL. */
    tarn__base **base_out;          /* May be NULL. */
    tarn__upload_progress progress; /* Set. */
} rig_snapshot;

/* Uploads an instance's directory into a pending checkpoint and acknowledges it. */
tarn_status rig_take(snapshot_rig *rig, tarn_pending_checkpoint *pending, rig_snapshot *snapshot);

/* A whole checkpoint of instance "a" (operator "op", parallelism 1). */
tarn_status rig_checkpoint(
    snapshot_rig *rig, uint64_t id, const tarn__base *base, tarn__base **base_out);

/* Opens a checkpoint by its id (0: the newest) and compares subtask 0's files with a directory. */
void rig_expect_restored(snapshot_rig *rig, uint64_t id, const char *instance);

/* Opens a checkpoint and downloads a subtask to ROOT/local/<to>, which is made. */
tarn_status rig_download(
    snapshot_rig *rig,
    const char *address,
    uint32_t subtask,
    const char *to,
    tarn__base **base_out);

/* Asserts that two directories hold the same files. */
void rig_expect_same(const char *a, const char *b);

/* Opens the checkpoint with the system's own calls and asserts that every file is good. */
uint64_t rig_expect_whole(const char *address);

#endif
