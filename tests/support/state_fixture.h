/*
 * state_fixture.h - an environment of a small process, and directories that go away again.
 */
#ifndef TARN_TESTS_STATE_FIXTURE_H
#define TARN_TESTS_STATE_FIXTURE_H

#include "support/support.h"

#include "tarn/backend.h"
#include "tarn/config.h"
#include "tarn/env.h"
#include "tarn/snapshot.h"
#include "tarn/state.h"
#include "tarn/working_set.h"

enum { FIXTURE_PATH_BYTES = 512 };

/* Makes an empty directory below $TMPDIR; removes it with all it holds. */
void fixture_make_directory(char path[FIXTURE_PATH_BYTES]);
void fixture_remove_directory(const char *path);

/* A configuration of a process with managed_mib MiB for RocksDB. Free it. */
tarn_config *fixture_new_config(uint32_t managed_mib);
void fixture_set(tarn_config *config, const char *key, const char *value);

/* An environment of a configuration; allocator may be NULL. */
tarn_env *fixture_open_env(const tarn_config *config, const tarn_allocator *allocator);

/* A backend of all 128 key groups in a directory. */
tarn_backend *fixture_open_backend(tarn_env *env, const char *directory);
tarn_value *fixture_open_value(tarn_backend *backend, const char *name);

/* Ends a snapshot, and hands to its checkpoint what it says of itself. */
void fixture_acknowledge(tarn_pending_checkpoint *pending, tarn_snapshot *snapshot);

/*
 * Gives the working set one of some sizes, from none over a few rows to plenty; from choice
 * FIXTURE_SIZES on it steps aside as well, so that what is only read is not kept.
 */
enum { FIXTURE_SIZES = 6 };
void fixture_resize_working_set(tarn_backend *backend, uint32_t choice);

#endif
