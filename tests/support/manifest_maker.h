/* manifest_maker.h - lists of table files as RocksDB writes them, for tests of who reads them. */
#ifndef TARN_TESTS_MANIFEST_MAKER_H
#define TARN_TESTS_MANIFEST_MAKER_H

#include "codec/manifest.h"

typedef struct manifest_file {
    uint32_t family;
    uint32_t level;
    uint64_t number;
    const char *smallest; /* User keys. */
    const char *largest;
    uint64_t largest_sequence;
} manifest_file;

typedef struct manifest_maker {
    tarn__account account;
    tarn_buffer bytes; /* The MANIFEST. */
    tarn_buffer edit;  /* The one that is being made. */
} manifest_maker;

void manifest_maker_init(manifest_maker *maker);
void manifest_maker_clear(manifest_maker *maker);

/* Append to the edit. */
void manifest_put_number(manifest_maker *maker, uint64_t value);
void manifest_put_bytes(
    manifest_maker *maker, const void *data, size_t size); /* With their size. */
void manifest_put_file(manifest_maker *maker, const manifest_file *file);

/* Ends the edit as a record. */
void manifest_end(manifest_maker *maker);

/* Whole edits. */
void manifest_add_beginning(manifest_maker *maker, uint64_t next_number, uint64_t last_sequence);
void manifest_add_family(manifest_maker *maker, uint32_t id, const char *name);
void manifest_add_file(manifest_maker *maker, const manifest_file *file);

#endif
