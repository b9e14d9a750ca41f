/**
 * @file tarn/allocator.h
 * @brief Where memory comes from.
 *
 * Every allocation of the library goes through a tarn_allocator; tarn_env charges each to an owner
 * in a pool of its budget (tarn/budget.h). RocksDB allocates on its own: its block cache and
 * memtables are planned, bounded and measured instead.
 *
 * Ownership: an allocator is borrowed and outlives everything that was made with it.
 * Thread: shared. The functions may be called from any thread.
 */
#ifndef TARN_ALLOCATOR_H
#define TARN_ALLOCATOR_H

#include "tarn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Three functions with the meaning of malloc, realloc and free, and a context for them. */
typedef struct tarn_allocator {
    /** Answers size bytes (never 0), aligned for any type, or NULL. */
    void *(*allocate)(size_t size, void *context);
    /** Moves memory to size bytes (never 0), or answers NULL and leaves it. memory may be NULL. */
    void *(*reallocate)(void *memory, size_t size, void *context);
    /** Frees memory, which may be NULL. */
    void (*release)(void *memory, void *context);
    void *context; /**< Passed to each function. */
} tarn_allocator;

/** Answers the allocator over malloc(), realloc() and free(). */
TARN_API const tarn_allocator *tarn_allocator_default(void);

#ifdef __cplusplus
}
#endif
#endif
