/*
 * unaccounted.c - base/account.h with accounts that count nothing and refuse nothing.
 *
 * tarn-bench-unaccounted is tarn-bench with this in the place of base/account.c: what it is slower
 * or faster by is what accounting costs. Blocks have no header, pools are not asked.
 */
#include "base/account.h"

#include <stdlib.h>
#include <string.h>

static void *allocate(size_t size, void *context)
{
    (void)context;
    return malloc(size);
}

static void *reallocate(void *memory, size_t size, void *context)
{
    (void)context;
    return realloc(memory, size);
}

static void release(void *memory, void *context)
{
    (void)context;
    free(memory);
}

const tarn_allocator *tarn_allocator_default(void)
{
    static const tarn_allocator libc = {
        .allocate = allocate,
        .reallocate = reallocate,
        .release = release,
    };
    return &libc;
}

void tarn__account_init(tarn__account *account, const char *name, const tarn_allocator *below)
{
    (void)below;
    *account = (tarn__account){
        .name = name,
        .below = tarn_allocator_default(),
        .face = *tarn_allocator_default(),
    };
}

void tarn__account_attach(
    tarn__account *account, tarn__charge_fn *charge, tarn__discharge_fn *discharge, void *pool)
{
    (void)account;
    (void)charge;
    (void)discharge;
    (void)pool;
}

void tarn__account_count(tarn__account *account, size_t bytes)
{
    (void)account;
    (void)bytes;
}

bool tarn__account_charge(tarn__account *account, size_t bytes)
{
    (void)account;
    (void)bytes;
    return true;
}

void tarn__account_discharge(tarn__account *account, size_t bytes)
{
    (void)account;
    (void)bytes;
}

void *tarn__allocate(tarn__account *account, size_t size)
{
    (void)account;
    return malloc(size);
}

void *tarn__allocate_zeroed(tarn__account *account, size_t count, size_t size)
{
    (void)account;
    return calloc(count, size);
}

void *tarn__reallocate(tarn__account *account, void *memory, size_t size)
{
    (void)account;
    return realloc(memory, size);
}

char *tarn__allocate_string(tarn__account *account, const char *text)
{
    (void)account;
    const size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

void tarn__release(void *memory)
{
    free(memory);
}
