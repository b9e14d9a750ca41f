/*
 * account.h - memory with an owner.
 *
 *     account "snapshot/upload" ---- charge/discharge ----> a pool with a limit (memory/budget.c)
 *             |
 *             +-- bytes now, peak, blocks now
 *
 * An account is an allocator that knows whose memory it hands out: each block carries its size and
 * its account in a header of 16 bytes, so freeing needs neither. An account without a pool (charge
 * is NULL) only counts. malloc(), realloc() and free() appear in account.c and nowhere else.
 *
 * Thread: shared. The counters are atomic; name, charge and allocator never change after init.
 */
#ifndef TARN_BASE_ACCOUNT_H
#define TARN_BASE_ACCOUNT_H

#include <stdatomic.h>

#include "tarn/allocator.h"

#include "base/error.h"

/* Asks a pool for bytes; false when they do not fit, which it notes (base/refusal.h). */
typedef bool tarn__charge_fn(void *pool, size_t bytes);
typedef void tarn__discharge_fn(void *pool, size_t bytes);

typedef struct tarn__account {
    const char *name;              /* Borrowed, usually a literal; names the owner in reports. */
    const tarn_allocator *below;   /* Where the bytes come from. */
    tarn__charge_fn *charge;       /* NULL: unlimited. */
    tarn__discharge_fn *discharge; /* NULL when charge is. */
    void *pool;                    /* For charge and discharge. */
    atomic_size_t bytes;           /* Units: bytes held now, headers included. */
    atomic_size_t bytes_peak;      /* Units: bytes. */
    atomic_size_t block_count;     /* Blocks held now. */
    tarn_allocator face;           /* The account as a tarn_allocator; context is the account. */
} tarn__account;

/* An account that only counts. below NULL: malloc(). */
void tarn__account_init(tarn__account *account, const char *name, const tarn_allocator *below);

/* Connects an account that holds nothing to a pool. */
void tarn__account_attach(
    tarn__account *account, tarn__charge_fn *charge, tarn__discharge_fn *discharge, void *pool);

/* Counts bytes that the account's owner holds elsewhere. False: they do not fit; nothing changed.
 */
bool tarn__account_charge(tarn__account *account, size_t bytes);
void tarn__account_discharge(tarn__account *account, size_t bytes);

/* Counts bytes that the account's pool has been charged with already. */
void tarn__account_count(tarn__account *account, size_t bytes);

/* Uninitialised memory of size > 0 bytes, or NULL: out of memory or over the pool's limit. */
void *tarn__allocate(tarn__account *account, size_t size);

/* Zeroed memory for count elements of size bytes each, or NULL. */
void *tarn__allocate_zeroed(tarn__account *account, size_t count, size_t size);

/* Moves memory (or NULL) to size > 0 bytes; NULL leaves it as it was. */
void *tarn__reallocate(tarn__account *account, void *memory, size_t size);

/* A copy of a string, or NULL. */
char *tarn__allocate_string(tarn__account *account, const char *text);

/* Gives memory (or NULL) back to the account that it came from. */
void tarn__release(void *memory);

#endif
