/* store_tarn.h - what lies below a bench_store of Tarn's, for workloads that are Tarn's alone. */
#ifndef TARN_TESTS_BENCH_STORE_TARN_H
#define TARN_TESTS_BENCH_STORE_TARN_H

#include "store.h"
#include "tarn/backend.h"
#include "tarn/env.h"

tarn_env *bench_tarn_env(bench_store *store);
tarn_backend *bench_tarn_backend(bench_store *store);

/* As open() of the store, with what a checkpoint holds. address: what tarn_checkpoint_open() takes;
 * NULL: nothing. */
bench_store *bench_tarn_restore(
    const bench_options *options, const char *directory, const char *address);

#endif
