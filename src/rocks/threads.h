/*
 * threads.h - RocksDB's threads for flushes and compactions: shared by all databases of the
 * process, and started once.
 *
 *     backend ──┐                        ┌── high: flushes
 *     backend ──┼──► the default Env of ─┤
 *     others' ──┘    the process         └── low: compactions
 *
 * The pools are the process's, not Tarn's: an application that uses RocksDB by itself shares them,
 * and its flushes and compactions run in threads that are lowered here. Nothing lowers or raises a
 * thread that runs: those of before the first backend stay where they are, and a later backend
 * that asks for 0 levels has the lowered ones. They outlive backends and environments.
 *
 * Thread: any.
 */
#ifndef TARN_ROCKS_THREADS_H
#define TARN_ROCKS_THREADS_H

#include "rocks/options.h"

/*
 * Starts those that a database with such settings asks for, as far as they do not run yet, below
 * the caller by settings->thread_nice. Those that run stay as they are.
 */
TARN_NODISCARD tarn_status
tarn__rocks_start_threads(const tarn__rocks_settings *settings, tarn_error *error);

#endif
