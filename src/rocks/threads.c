/* threads.c - see threads.h. */
#include "rocks/threads.h"

#include <pthread.h>
#include <rocksdb/c.h>

#include "base/priority.h"

enum { JOBS_PER_FLUSH = 4 };

typedef struct pools {
    int flush_count;
    int compaction_count;
} pools;

/*
 * Over the look at a pool and the change of it: what sets a size makes the pool smaller, too, and
 * two backends that open at once would each take the other's threads away. An application that
 * sizes the same pools by itself does not know of this lock: it does so before or after it opens
 * a backend, not meanwhile.
 */
static pthread_mutex_t sizing = PTHREAD_MUTEX_INITIALIZER;

/* A pool starts its threads when it is told of more, in the thread that tells. */
static void start(void *context)
{
    const pools *wanted = context;
    rocksdb_env_t *env = rocksdb_create_default_env();
    pthread_mutex_lock(&sizing);
    if (rocksdb_env_get_high_priority_background_threads(env) < wanted->flush_count) {
        rocksdb_env_set_high_priority_background_threads(env, wanted->flush_count);
    }
    if (rocksdb_env_get_background_threads(env) < wanted->compaction_count) {
        rocksdb_env_set_background_threads(env, wanted->compaction_count);
    }
    pthread_mutex_unlock(&sizing);
    rocksdb_env_destroy(env);
}

/* Source: RocksDB, DBImpl::GetBGJobLimits: a quarter of the jobs are flushes. */
tarn_status tarn__rocks_start_threads(const tarn__rocks_settings *settings, tarn_error *error)
{
    const int jobs = settings->background_job_count;
    const int flush_count = jobs / JOBS_PER_FLUSH > 1 ? jobs / JOBS_PER_FLUSH : 1;
    pools wanted = {
        .flush_count = flush_count,
        .compaction_count = jobs - flush_count > 1 ? jobs - flush_count : 1,
    };
    return tarn__run_lowered((uint32_t)settings->thread_nice, start, &wanted, error);
}
