/*
 * fault_allocator.h - an allocator that fails at its nth request, and counts what is still held.
 *
 * The failure loop of a test: for nth = 0, 1, ... until a run meets no failure, run the operation,
 * expect TARN_NO_MEMORY while the allocator has fired, and nothing held afterwards.
 */
#ifndef TARN_TESTS_FAULT_ALLOCATOR_H
#define TARN_TESTS_FAULT_ALLOCATOR_H

#include <stdatomic.h>

#include "tarn/allocator.h"

#define FAULT_NEVER UINT64_MAX

typedef struct fault_allocator {
    tarn_allocator base; /* base.context is the fault_allocator. */
    uint64_t fail_at;    /* The request, counted from 0, that fails; FAULT_NEVER: none. */
    bool is_persistent;  /* Every request from fail_at on fails, not only that one. */
    atomic_uint_least64_t request_count;
    atomic_int_least64_t live_count; /* Blocks held now. */
    atomic_bool fired;               /* A request has failed. */
} fault_allocator;

/* Sets up an allocator over malloc() that fails at request nth. It must not move afterwards. */
void fault_allocator_init(fault_allocator *fault, uint64_t nth);

#endif
