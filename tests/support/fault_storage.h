/*
 * fault_storage.h - a storage in memory behind a network that loses, delays, doubles and tears what
 * is sent through it, and that a process may die in the middle of.
 *
 *     view of a directory ──► fate? ──► DONE        it happens, and is answered
 *                               │  ├──► LOST        it fails and changes nothing; an append is torn
 *                               │  ├──► UNANSWERED  it happens, and fails all the same
 *                               │  ├──► REPEATED    it happens, is answered, and happens once more
 *                               │  └──► LATE        it fails, and happens later     ─┐     │
 *                               ▼                                                    ▼     ▼
 *                             memory ◄── in any order ── [under way]
 *
 * What was answered with success is there: the storage lies about nothing. But what is under way
 * arrives when it likes, after later requests about the same name, too, and after whoever sent it
 * has died. Names that keep their order are the exception: what is under way about one of them is
 * done before a later request about it is.
 *
 * While it is dead, every operation fails and changes nothing: what the process does meanwhile, a
 * crashed one did not do. What was under way before still arrives.
 */
#ifndef TARN_TESTS_FAULT_STORAGE_H
#define TARN_TESTS_FAULT_STORAGE_H

#include <pthread.h>
#include <stdatomic.h>

#include "storage/storage.h"

typedef enum fault_fate {
    FAULT_FATE_DONE,
    FAULT_FATE_LOST,
    FAULT_FATE_UNANSWERED,
    FAULT_FATE_REPEATED,
    FAULT_FATE_LATE,
} fault_fate;

/* What an operation is about: its kind, and the object's name (NULL: none yet). */
typedef fault_fate fault_storage_fate(const char *operation, const char *name, void *context);

/* Whether requests about an object arrive in the order in which they were sent. */
typedef bool fault_storage_order(const char *name);

/* An object was stored by a request that was under way, whoever sent it. */
typedef void fault_storage_landed(const char *name, void *context);

typedef struct fault_request fault_request;

enum { FAULT_LOCKS_MAX = 16 };

typedef struct fault_storage {
    tarn_storage *inner; /* What it really holds. */
    tarn__account *account;
    fault_storage_fate *fate;
    void *context;
    atomic_bool is_dead;
    atomic_uint_least64_t change_count; /* Objects stored and removed, whoever asked for it. */
    uint32_t features;                  /* Of its views: those of the memory, or fewer. */
    tarn_status finish_failure;         /* What a finish() fails with. 0: TARN_REMOTE_ERROR. */
    fault_storage_order *keeps_order;   /* NULL: all of them. */
    fault_storage_landed *landed;       /* NULL: nobody wants to know. */
    pthread_mutex_t mutex;              /* For the five below. */
    fault_request *requests;            /* Under way, the oldest first. */
    uint32_t request_count;
    uint64_t landed_count;            /* Of requests that were under way: all that arrived, */
    uint64_t overtaken_count;         /* after a later one about the same name, */
    uint64_t orphaned_count;          /* and after their sender had died. */
    char locks[FAULT_LOCKS_MAX][256]; /* Directories that somebody writes to; "": none. */
} fault_storage;

/* fate NULL: nothing fails. It must not move afterwards. */
void fault_storage_init(
    fault_storage *storage, tarn__account *account, fault_storage_fate *fate, void *context);
void fault_storage_clear(fault_storage *storage);

/*
 * Opens a directory. is_plain: past all faults, for who looks from outside.
 *
 * Errors: TARN_NO_MEMORY.
 */
TARN_NODISCARD tarn_status fault_storage_open(
    fault_storage *storage,
    const char *directory,
    bool is_plain,
    tarn_storage **out,
    tarn_error *error);

/* As fault_storage_open() by address "fault://sim/DIRECTORY": the open() of a scheme "fault". */
tarn_status fault_storage_open_address(
    const char *address, void *storage, tarn_storage **out, tarn_error *error);

/* The request under way of that number arrives; where names keep order all that are about its. */
void fault_storage_deliver(fault_storage *storage, uint32_t number);

/* Who sent what is under way is no more. */
void fault_storage_orphan(fault_storage *storage);

#endif
