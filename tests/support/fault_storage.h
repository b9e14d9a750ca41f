/*
 * fault_storage.h - a storage in memory whose requests and answers get lost, and that can die.
 *
 * Before each operation that changes something, `fate` is asked. LOST: it fails and changes nothing
 * (an append is torn: half of it arrives); UNANSWERED: it happens, and fails all the same. What was
 * answered with success is there, and stays. While it is dead, every operation fails and changes
 * nothing: what the process does meanwhile, a crashed one did not do.
 */
#ifndef TARN_TESTS_FAULT_STORAGE_H
#define TARN_TESTS_FAULT_STORAGE_H

#include "storage/storage.h"

typedef enum fault_fate { FAULT_FATE_DONE, FAULT_FATE_LOST, FAULT_FATE_UNANSWERED } fault_fate;

/* What an operation is about: its kind, and the object's name (NULL: none yet). */
typedef fault_fate fault_storage_fate(const char *operation, const char *name, void *context);

typedef struct fault_storage {
    tarn_storage base;   /* Hand this out; freeing it does nothing. */
    tarn_storage *inner; /* What it really holds, for who looks from outside. */
    fault_storage_fate *fate;
    void *context;
    bool is_dead;
} fault_storage;

/* fate NULL: nothing fails. It must not move afterwards. */
void fault_storage_init(
    fault_storage *storage, tarn__account *account, fault_storage_fate *fate, void *context);
void fault_storage_clear(fault_storage *storage);

#endif
