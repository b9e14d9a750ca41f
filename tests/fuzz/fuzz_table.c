/*
 * fuzz_table.c - arbitrary bytes as a table file of RocksDB: refused, or read to its end, its range
 * deletions too. Memory stays within what the file can hold.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/table_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ENTRIES_MAX = 100000 };

static tarn_status read_bytes(
    void *context, uint64_t offset, void *into, size_t size, size_t *size_out, tarn_error *error)
{
    (void)error;
    const tarn_bytes *bytes = context;
    const uint64_t left = offset < bytes->size ? bytes->size - offset : 0;
    *size_out = left < size ? (size_t)left : size;
    if (*size_out > 0) {
        memcpy(into, (const uint8_t *)bytes->data + offset, *size_out);
    }
    return TARN_OK;
}

static tarn_status take_range(const tarn__table_entry *entry, void *context, tarn_error *error)
{
    (void)error;
    *(uint64_t *)context += entry->key.size + entry->value.size;
    return TARN_OK;
}

static tarn_status read_all(tarn__table *table, tarn_error *error)
{
    uint64_t bytes = 0;
    tarn_status status = tarn__table_visit_ranges(table, take_range, &bytes, error);
    for (int i = 0; status == TARN_OK && i < ENTRIES_MAX; i++) {
        tarn__table_entry entry;
        status = tarn__table_read(table, &entry, error);
    }
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tarn__account account;
    tarn__account_init(&account, "fuzz", NULL);
    tarn_bytes bytes = tarn_bytes_at(data, size);
    const tarn__table_options options = {
        .size = size,
        .read = read_bytes,
        .context = &bytes,
        .account = &account,
    };
    tarn__table table;
    tarn_error error;
    tarn_status status = tarn__table_open(&table, &options, &error);
    if (status == TARN_OK) {
        status = read_all(&table, &error);
    }
    tarn__table_close(&table);
    const bool is_expected = status == TARN_OK || status == TARN_DONE ||
                             status == TARN_CORRUPTION || status == TARN_NOT_SUPPORTED ||
                             status == TARN_NO_MEMORY;
    if (!is_expected || atomic_load(&account.bytes) != 0) {
        abort();
    }
    return 0;
}
