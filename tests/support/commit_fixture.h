/*
 * commit_fixture.h - a store behind a network, with a fate for each request that makes a _metadata
 * visible: for the tests of what becomes of a commit.
 */
#ifndef TARN_TESTS_COMMIT_FIXTURE_H
#define TARN_TESTS_COMMIT_FIXTURE_H

#include "support/support.h"

#include "snapshot/store.h"
#include "support/fault_storage.h"

enum { COMMIT_FATES_MAX = 8 };

typedef struct commit_fixture {
    tarn__account account;
    fault_storage storage;
    tarn_storage_scheme scheme;
    tarn_storage *plain; /* Past all faults. */
    tarn_checkpoint_store *store;
    fault_fate fates[COMMIT_FATES_MAX]; /* Of the next such requests, in turn; then all are done. */
    uint32_t step;
    uint32_t commit_count; /* How many were sent since the store was opened. */
    bool dies;             /* The process, after the next of them, */
    bool has_sent;         /* which was sent. */
    bool delivers_first;   /* What is under way comes just before the next of them. */
    uint64_t removed_id;   /* The checkpoint is removed just before the next of them. 0: none. */
    char log[TARN_ERROR_MESSAGE_BYTES];
    tarn_error error;
} commit_fixture;

/* Of cmocka: the directory is empty, and its store open. */
int commit_fixture_set_up(void **state);
int commit_fixture_tear_down(void **state);

/* As the store is opened: two are retained. */
tarn__store_options commit_fixture_options(commit_fixture *f);

void commit_fixture_open(commit_fixture *f);
void commit_fixture_close(commit_fixture *f);

/* The next request that makes a _metadata visible has the first fate, the seven after it the other
 * one; then all are done. */
void commit_fixture_fate(commit_fixture *f, fault_fate first, fault_fate others);

/* All that is under way arrives. */
void commit_fixture_deliver(commit_fixture *f);

/* Past all faults. */
void commit_fixture_put(commit_fixture *f, const char *name, const char *text);
bool commit_fixture_has(commit_fixture *f, const char *name);

#endif
