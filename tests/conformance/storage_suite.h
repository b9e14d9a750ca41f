/*
 * storage_suite.h - the suite of tarn/testkit/storage.h over storages of the library's own.
 *
 * A test program gives a way to make an empty storage and runs the suite over it; what a storage
 * leaves on its account is a failure too.
 */
#ifndef TARN_TESTS_STORAGE_SUITE_H
#define TARN_TESTS_STORAGE_SUITE_H

#include "storage/storage.h"

typedef struct storage_maker {
    const char *name;
    /* An empty storage on account, whatever was made before. */
    tarn_storage *(*make)(tarn__account *account, void *context);
    /* Another storage of the place that make() answered last. May be NULL. */
    tarn_storage *(*make_again)(tarn__account *account, void *context);
    /* Frees what make() needed beside the storage, after the storage was freed. May be NULL. */
    void (*clean)(void *context);
    void *context;
    uint64_t large_bytes; /* As of tarn_testkit_storage. */
    uint32_t rounds;      /* Likewise. */
    bool has_gaps;        /* Likewise. */
} storage_maker;

/* Runs the suite; answers the number of failed tests. */
int storage_suite_run(const storage_maker *maker);

#endif
