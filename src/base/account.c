/* account.c - the one place that calls malloc(), realloc() and free(). */
#include "base/account.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/refusal.h"

/* In front of each block; as large as the strictest alignment, so that the block keeps it. */
typedef union header {
    struct {
        size_t size; /* Units: bytes, header included. */
        tarn__account *account;
    } block;
    max_align_t alignment;
} header;

/* It was not a pool that refused. */
static void *fail(void)
{
    tarn__refusal_clear();
    return NULL;
}

static void *libc_allocate(size_t size, void *context)
{
    (void)context;
    void *memory = malloc(size);
    return memory != NULL ? memory : fail();
}

static void *libc_reallocate(void *memory, size_t size, void *context)
{
    (void)context;
    void *moved = realloc(memory, size);
    return moved != NULL ? moved : fail();
}

static void libc_release(void *memory, void *context)
{
    (void)context;
    free(memory);
}

const tarn_allocator *tarn_allocator_default(void)
{
    static const tarn_allocator libc = {
        .allocate = libc_allocate,
        .reallocate = libc_reallocate,
        .release = libc_release,
    };
    return &libc;
}

static void *face_allocate(size_t size, void *context)
{
    return tarn__allocate(context, size);
}

static void *face_reallocate(void *memory, size_t size, void *context)
{
    return tarn__reallocate(context, memory, size);
}

static void face_release(void *memory, void *context)
{
    (void)context;
    tarn__release(memory);
}

void tarn__account_init(tarn__account *account, const char *name, const tarn_allocator *below)
{
    *account = (tarn__account){
        .name = name,
        .below = below != NULL ? below : tarn_allocator_default(),
        .face =
            {
                .allocate = face_allocate,
                .reallocate = face_reallocate,
                .release = face_release,
                .context = account,
            },
    };
}

void tarn__account_attach(
    tarn__account *account, tarn__charge_fn *charge, tarn__discharge_fn *discharge, void *pool)
{
    assert(atomic_load(&account->bytes) == 0);
    account->charge = charge;
    account->discharge = discharge;
    account->pool = pool;
}

void tarn__account_count(tarn__account *account, size_t bytes)
{
    const size_t now =
        atomic_fetch_add_explicit(&account->bytes, bytes, memory_order_relaxed) + bytes;
    size_t peak = atomic_load_explicit(&account->bytes_peak, memory_order_relaxed);
    while (now > peak &&
           !atomic_compare_exchange_weak_explicit(
               &account->bytes_peak, &peak, now, memory_order_relaxed, memory_order_relaxed)) {
    }
}

bool tarn__account_charge(tarn__account *account, size_t bytes)
{
    if (account->charge != NULL && !account->charge(account->pool, bytes)) {
        tarn__refusal_note_owner(account->name);
        return false;
    }
    tarn__account_count(account, bytes);
    return true;
}

void tarn__account_discharge(tarn__account *account, size_t bytes)
{
    const size_t before = atomic_fetch_sub_explicit(&account->bytes, bytes, memory_order_relaxed);
    assert(before >= bytes);
    (void)before;
    if (account->discharge != NULL) {
        account->discharge(account->pool, bytes);
    }
}

/* What is below has no memory; when it is an account it has said why. */
static void *fail_below(const tarn__account *account)
{
    return account->below->allocate == face_allocate ? NULL : fail();
}

static header *header_of(void *memory)
{
    return (header *)memory - 1;
}

void *tarn__allocate(tarn__account *account, size_t size)
{
    assert(size > 0);
    if (size > SIZE_MAX - sizeof(header)) {
        return fail();
    }
    const size_t total = size + sizeof(header);
    if (!tarn__account_charge(account, total)) {
        return NULL;
    }
    header *block = account->below->allocate(total, account->below->context);
    if (block == NULL) {
        tarn__account_discharge(account, total);
        return fail_below(account);
    }
    block->block.size = total;
    block->block.account = account;
    atomic_fetch_add_explicit(&account->block_count, 1, memory_order_relaxed);
    return block + 1;
}

void *tarn__allocate_zeroed(tarn__account *account, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) {
        return fail();
    }
    void *memory = tarn__allocate(account, count * size);
    if (memory != NULL) {
        memset(memory, 0, count * size);
    }
    return memory;
}

void *tarn__reallocate(tarn__account *account, void *memory, size_t size)
{
    if (memory == NULL) {
        return tarn__allocate(account, size);
    }
    assert(size > 0 && header_of(memory)->block.account == account);
    if (size > SIZE_MAX - sizeof(header)) {
        return fail();
    }
    const size_t before = header_of(memory)->block.size;
    const size_t total = size + sizeof(header);
    if (total > before && !tarn__account_charge(account, total - before)) {
        return NULL;
    }
    header *block = account->below->reallocate(header_of(memory), total, account->below->context);
    if (block == NULL) {
        if (total > before) {
            tarn__account_discharge(account, total - before);
        }
        return fail_below(account);
    }
    block->block.size = total;
    if (total < before) {
        tarn__account_discharge(account, before - total);
    }
    return block + 1;
}

char *tarn__allocate_string(tarn__account *account, const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = tarn__allocate(account, size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

void tarn__release(void *memory)
{
    if (memory == NULL) {
        return;
    }
    header *block = header_of(memory);
    tarn__account *account = block->block.account;
    const size_t total = block->block.size;
    account->below->release(block, account->below->context);
    atomic_fetch_sub_explicit(&account->block_count, 1, memory_order_relaxed);
    tarn__account_discharge(account, total);
}
