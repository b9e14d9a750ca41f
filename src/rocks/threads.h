/*
 * threads.h - RocksDB's threads for flushes and compactions: shared by all databases of the
 * process, and started once.
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
