/* fault_allocator.c - see fault_allocator.h. */
#include "support/fault_allocator.h"

#include <stdlib.h>

static bool must_fail(fault_allocator *fault)
{
    const uint64_t request = atomic_fetch_add(&fault->request_count, 1);
    const bool fails = fault->is_persistent ? request >= fault->fail_at : request == fault->fail_at;
    if (fails) {
        atomic_store(&fault->fired, true);
    }
    return fails;
}

static void *allocate(size_t size, void *context)
{
    fault_allocator *fault = context;
    void *memory = must_fail(fault) ? NULL : malloc(size);
    if (memory != NULL) {
        atomic_fetch_add(&fault->live_count, 1);
    }
    return memory;
}

static void *reallocate(void *memory, size_t size, void *context)
{
    if (memory == NULL) {
        return allocate(size, context);
    }
    return must_fail(context) ? NULL : realloc(memory, size);
}

static void release(void *memory, void *context)
{
    fault_allocator *fault = context;
    if (memory != NULL) {
        atomic_fetch_sub(&fault->live_count, 1);
    }
    free(memory);
}

void fault_allocator_init(fault_allocator *fault, uint64_t nth)
{
    *fault = (fault_allocator){
        .base =
            {
                .allocate = allocate,
                .reallocate = reallocate,
                .release = release,
                .context = fault,
            },
        .fail_at = nth,
    };
}
