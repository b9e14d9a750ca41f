/*
 * gate.c - who waits for whom while a snapshot's links are made: writes for the links, and what
 * changes or closes the database for workers whose snapshot was given up; and which worker keeps
 * the second copy.
 */
#include "state/backend.h"
#include "state/hot_store.h"

void tarn__backend_shut_gate(tarn_backend *backend)
{
    atomic_store(&backend->is_gate_shut, true);
}

void tarn__backend_open_gate(tarn_backend *backend)
{
    (void)pthread_mutex_lock(&backend->gate_mutex);
    atomic_store(&backend->is_gate_shut, false);
    (void)pthread_cond_broadcast(&backend->gate_opened);
    (void)pthread_mutex_unlock(&backend->gate_mutex);
}

void tarn__backend_note_worker_gone(tarn_backend *backend)
{
    (void)pthread_mutex_lock(&backend->gate_mutex);
    atomic_fetch_sub(&backend->left_count, 1);
    (void)pthread_cond_broadcast(&backend->gate_opened);
    (void)pthread_mutex_unlock(&backend->gate_mutex);
}

void tarn__backend_await_workers(tarn_backend *backend)
{
    (void)pthread_mutex_lock(&backend->gate_mutex);
    while (atomic_load(&backend->left_count) > 0) {
        (void)pthread_cond_wait(&backend->gate_opened, &backend->gate_mutex);
    }
    (void)pthread_mutex_unlock(&backend->gate_mutex);
}

void tarn__backend_begin_copy(tarn_backend *backend)
{
    (void)pthread_mutex_lock(&backend->gate_mutex);
    while (backend->is_copying) {
        (void)pthread_cond_wait(&backend->gate_opened, &backend->gate_mutex);
    }
    backend->is_copying = true;
    (void)pthread_mutex_unlock(&backend->gate_mutex);
}

void tarn__backend_end_copy(tarn_backend *backend)
{
    (void)pthread_mutex_lock(&backend->gate_mutex);
    backend->is_copying = false;
    (void)pthread_cond_broadcast(&backend->gate_opened);
    (void)pthread_mutex_unlock(&backend->gate_mutex);
}

static void await_gate(tarn_backend *backend)
{
    (void)pthread_mutex_lock(&backend->gate_mutex);
    while (atomic_load(&backend->is_gate_shut)) {
        (void)pthread_cond_wait(&backend->gate_opened, &backend->gate_mutex);
    }
    (void)pthread_mutex_unlock(&backend->gate_mutex);
}

void tarn__backend_wait_at_gate(tarn_backend *backend)
{
    const tarn__clock *clock = tarn__env_clock(backend->env);
    const uint64_t begin_ns = tarn__clock_monotonic_ns(clock);
    if (backend->snapshot != NULL) {
        tarn__snapshot_drain(backend->snapshot);
        tarn__snapshot_link(backend->snapshot);
    }
    await_gate(backend);
    tarn__hot_note_failure(backend);
    backend->snapshot_wait_count++;
    backend->snapshot_wait_ns += tarn__clock_monotonic_ns(clock) - begin_ns;
}
