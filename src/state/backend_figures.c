/* backend_figures.c - what a backend tells of itself. */
#include "state/backend.h"

void tarn_backend_measure(tarn_backend *backend, tarn_backend_stats *out)
{
    tarn__rocks_stats stats;
    tarn__rocks_measure(backend->rocks, &stats);
    *out = (tarn_backend_stats){
        .live_file_bytes = stats.live_file_bytes,
        .live_data_bytes = stats.live_data_bytes,
        .row_count_estimate = stats.row_count_estimate,
        .memtable_bytes = stats.memtable_bytes,
        .table_reader_bytes = stats.table_reader_bytes,
        .immutable_count = stats.immutable_count,
        .level0_file_count = stats.level0_file_count,
        .pending_compaction_bytes = stats.pending_compaction_bytes,
        .snapshot_wait_count = backend->snapshot_wait_count,
        .snapshot_wait_ns = backend->snapshot_wait_ns,
        .local_file_count = atomic_load(&backend->pool.taken_count),
        .local_bytes = atomic_load(&backend->pool.taken_bytes),
        .local_damaged_count = atomic_load(&backend->pool.damaged_count),
        .restored_bytes = atomic_load(&backend->restored.bytes),
        .restored_file_count = atomic_load(&backend->restored.file_count),
        .foreign_bytes = atomic_load(&backend->tidier.foreign_bytes),
        .joined_file_count = backend->joined_file_count,
    };
}
