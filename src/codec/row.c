/* row.c - reading rows; writing them is inline. */
#include "codec/row.h"

#include "tarn/key_group.h"

/* What has not been read yet. */
typedef struct row_reader {
    const uint8_t *at;
    size_t left;
} row_reader;

static bool read_size(row_reader *reader, size_t *out)
{
    size_t size = 0;
    for (uint32_t i = 0; i < TARN__ROW_VARINT_BYTES_MAX; i++) {
        if (reader->left == 0) {
            return false;
        }
        const uint8_t byte = *reader->at;
        reader->at++;
        reader->left--;
        size |= (size_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            *out = size;
            return byte != 0 || i == 0; /* A last byte of 0 means a longer form than needed. */
        }
    }
    return false;
}

static bool read_bytes(row_reader *reader, size_t size_max, tarn_bytes *out)
{
    size_t size;
    if (!read_size(reader, &size) || size > size_max || size > reader->left) {
        return false;
    }
    *out = tarn_bytes_at(reader->at, size);
    reader->at += size;
    reader->left -= size;
    return true;
}

bool tarn__row_decode_as(tarn_bytes bytes, tarn__row_layout layout, tarn__row *out)
{
    if (bytes.size < TARN__ROW_GROUP_BYTES) {
        return false;
    }
    const uint8_t *data = bytes.data;
    tarn__row row = {.key_group = (uint32_t)data[0] << 8 | data[1]};
    const bool is_key_first = layout == TARN__ROW_KEY_FIRST;
    row_reader reader = {data + TARN__ROW_GROUP_BYTES, bytes.size - TARN__ROW_GROUP_BYTES};
    /* Keys and namespaces have the same limit. */
    if (row.key_group >= TARN_MAX_PARALLELISM_LIMIT ||
        !read_bytes(&reader, TARN__ROW_KEY_BYTES_MAX, is_key_first ? &row.key : &row.name_space) ||
        !read_bytes(
            &reader, TARN__ROW_NAMESPACE_BYTES_MAX, is_key_first ? &row.name_space : &row.key)) {
        return false;
    }
    row.user_key = tarn_bytes_at(reader.at, reader.left);
    *out = row;
    return true;
}

bool tarn__row_decode_tail(tarn_bytes bytes, tarn_bytes *key, tarn_bytes *name_space)
{
    row_reader reader = {bytes.data, bytes.size};
    return read_bytes(&reader, TARN__ROW_KEY_BYTES_MAX, key) &&
           read_bytes(&reader, TARN__ROW_NAMESPACE_BYTES_MAX, name_space) && reader.left == 0;
}
