/* manifest_maker.c - see manifest_maker.h. */
#include "support/manifest_maker.h"

#include "support/support.h"

#include <string.h>

#include "codec/varint.h"

enum { SEQUENCE_BYTES = 8, FILE_BYTES = 4096 };

void manifest_maker_init(manifest_maker *maker)
{
    tarn__account_init(&maker->account, "test", NULL);
    maker->bytes = (tarn_buffer){.allocator = &maker->account.face};
    maker->edit = (tarn_buffer){.allocator = &maker->account.face};
}

void manifest_maker_clear(manifest_maker *maker)
{
    tarn_buffer_clear(&maker->bytes);
    tarn_buffer_clear(&maker->edit);
    assert_int_equal(atomic_load(&maker->account.bytes), 0);
}

void manifest_put_number(manifest_maker *maker, uint64_t value)
{
    uint8_t bytes[TARN__VARINT_BYTES_MAX];
    const size_t size = tarn__varint_put(bytes, value);
    assert_int_equal(tarn_buffer_append(&maker->edit, tarn_bytes_at(bytes, size)), TARN_OK);
}

void manifest_put_bytes(manifest_maker *maker, const void *data, size_t size)
{
    manifest_put_number(maker, size);
    assert_int_equal(tarn_buffer_append(&maker->edit, tarn_bytes_at(data, size)), TARN_OK);
}

static void put_key(manifest_maker *maker, const char *key)
{
    static const uint8_t SEQUENCE[SEQUENCE_BYTES] = {1};
    const size_t size = strlen(key);
    manifest_put_number(maker, size + sizeof SEQUENCE);
    assert_int_equal(tarn_buffer_append(&maker->edit, tarn_bytes_at(key, size)), TARN_OK);
    assert_int_equal(
        tarn_buffer_append(&maker->edit, tarn_bytes_at(SEQUENCE, sizeof SEQUENCE)), TARN_OK);
}

void manifest_put_file(manifest_maker *maker, const manifest_file *file)
{
    manifest_put_number(maker, 103);
    manifest_put_number(maker, file->level);
    manifest_put_number(maker, file->number);
    manifest_put_number(maker, FILE_BYTES);
    put_key(maker, file->smallest);
    put_key(maker, file->largest);
    manifest_put_number(maker, 0);
    manifest_put_number(maker, file->largest_sequence);
    manifest_put_number(maker, 8); /* A detail: the name of no checksum. */
    manifest_put_bytes(maker, "Unknown", 7);
    manifest_put_number(maker, 1);
}

void manifest_end(manifest_maker *maker)
{
    assert_int_equal(
        tarn__manifest_frame(&maker->bytes, maker->bytes.size, tarn_buffer_bytes(&maker->edit)),
        TARN_OK);
    maker->edit.size = 0;
}

void manifest_add_beginning(manifest_maker *maker, uint64_t next_number, uint64_t last_sequence)
{
    static const char COMPARATOR[] = "leveldb.BytewiseComparator";
    manifest_put_number(maker, 1);
    manifest_put_bytes(maker, COMPARATOR, sizeof COMPARATOR - 1);
    manifest_put_number(maker, 2);
    manifest_put_number(maker, 0);
    manifest_put_number(maker, 3);
    manifest_put_number(maker, next_number);
    manifest_put_number(maker, 4);
    manifest_put_number(maker, last_sequence);
    manifest_end(maker);
}

void manifest_add_family(manifest_maker *maker, uint32_t id, const char *name)
{
    manifest_put_number(maker, 200);
    manifest_put_number(maker, id);
    manifest_put_number(maker, 201);
    manifest_put_bytes(maker, name, strlen(name));
    manifest_end(maker);
}

void manifest_add_file(manifest_maker *maker, const manifest_file *file)
{
    manifest_put_file(maker, file);
    manifest_put_number(maker, 200); /* Behind what is of it, as RocksDB has it. */
    manifest_put_number(maker, file->family);
    manifest_end(maker);
}
