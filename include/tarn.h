/**
 * @file tarn.h
 * @brief Tarn: keyed state for stream processors, larger than memory, within a budget, exactly
 * once.
 *
 * A processor gives Tarn a memory budget and a checkpoint directory and gets keyed state on
 * RocksDB that is checkpointed while the stream goes on and restored after a crash:
 *
 *     tarn_config *config = NULL;
 *     tarn_config_new(NULL, &config, &error);
 *     tarn_config_load(config, "flink-conf.yaml", &error);
 *
 *     tarn_env_options env_options = TARN_ENV_OPTIONS_INIT;      the process: one budget
 *     env_options.config = config;
 *     tarn_env *env = NULL;
 *     tarn_env_open(&env_options, &env, &error);
 *
 *     tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;  a subtask: one thread
 *     options.env = env;
 *     options.operator_name = "counts";
 *     options.directory = "/var/lib/job/counts-0";
 *     tarn_backend *backend = NULL;
 *     tarn_backend_open(&options, &backend, &error);
 *
 *     tarn_state_options state_options = TARN_STATE_OPTIONS_INIT;
 *     state_options.name = "count";
 *     tarn_value *count = NULL;
 *     tarn_value_open(backend, &state_options, &count, &error);
 *
 *     tarn_backend_set_key(backend, tarn_bytes_of("word"), &error);
 *     void *place = NULL;
 *     tarn_value_edit(count, sizeof(uint64_t), &place, &error);
 *     *(uint64_t *)place += 1;
 *
 * Every call answers a tarn_status; examples/word_count.c is the same with each one checked and a
 * checkpoint taken.
 *
 * Caveats
 *   - fork(): a child must not touch anything that was opened before; RocksDB has threads.
 *   - A backend's working directory wants a local disk. Network file systems break its lock and
 *     its speed. The checkpoint directory may be on one.
 *   - Close in this order: iterators, snapshots, states, backends, pending checkpoints, stores, the
 *     environment. What is out of order is refused with TARN_BUSY and named, never freed.
 *   - An unclean exit leaves a working directory, which the next open wipes, and perhaps files of a
 *     checkpoint that was never completed; complete checkpoints are never touched by either.
 *   - Nothing is durable before tarn_checkpoint_commit(): the write-ahead log is off.
 *
 * Thread: each type states one of five words.
 *   confined   one thread at a time: backends, states, iterators, snapshots
 *   shared     locks inside, or atomics: budget, environment, checkpoint stores
 *   immutable  after construction: an opened checkpoint, a configuration that no longer changes
 *   pure       no state: key groups, plans, quantities
 *   caller's   plain memory, as safe as its owner makes it: options, errors, buffers
 */
#ifndef TARN_H
#define TARN_H

#include "tarn/aggregating.h"
#include "tarn/aligner.h"
#include "tarn/allocator.h"
#include "tarn/backend.h"
#include "tarn/budget.h"
#include "tarn/bytes.h"
#include "tarn/channel_state.h"
#include "tarn/checkpoint.h"
#include "tarn/checkpoint_settings.h"
#include "tarn/claim.h"
#include "tarn/cleanup.h"
#include "tarn/config.h"
#include "tarn/coordinator.h"
#include "tarn/coordinator_types.h"
#include "tarn/diff.h"
#include "tarn/doubt.h"
#include "tarn/driver.h"
#include "tarn/env.h"
#include "tarn/fallback.h"
#include "tarn/key_group.h"
#include "tarn/keyed.h"
#include "tarn/lease.h"
#include "tarn/list.h"
#include "tarn/map.h"
#include "tarn/operator_state.h"
#include "tarn/option.h"
#include "tarn/plan.h"
#include "tarn/prefetch.h"
#include "tarn/quantity.h"
#include "tarn/reducing.h"
#include "tarn/rows.h"
#include "tarn/savepoint.h"
#include "tarn/schema.h"
#include "tarn/snapshot.h"
#include "tarn/state.h"
#include "tarn/status.h"
#include "tarn/storage.h"
#include "tarn/timer.h"
#include "tarn/ttl.h"
#include "tarn/version.h"
#include "tarn/working_set.h"

#endif
