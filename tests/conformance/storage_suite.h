/*
 * storage_suite.h - what every storage must do, as tarn/sys/storage.h promises it.
 *
 * A test program gives a way to make an empty storage and runs the suite over it.
 */
#ifndef TARN_TESTS_STORAGE_SUITE_H
#define TARN_TESTS_STORAGE_SUITE_H

#include "storage/storage.h"

typedef struct storage_maker {
    const char *name;
    /* An empty storage on account, whatever was made before. */
    tarn_storage *(*make)(tarn__account *account, void *context);
    /* Frees what make() needed beside the storage, after the storage was freed. May be NULL. */
    void (*clean)(void *context);
    void *context;
} storage_maker;

/* Runs the suite; answers the number of failed tests. */
int storage_suite_run(const storage_maker *maker);

#endif
