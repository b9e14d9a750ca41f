/* canonical_sample.c - see canonical_sample.h. A golden file depends on what is written here. */
#include "support/canonical_sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/try.h"
#include "codec/canonical.h"
#include "support/support.h"

enum { GROUPS = 128 };

static void must(tarn_status status)
{
    if (status != TARN_OK) {
        abort();
    }
}

void canonical_sample_write(tarn_buffer *out, uint32_t count, size_t value_size)
{
    const tarn__canonical_header header = {
        .name = "count",
        .name_size = 5,
        .descriptor = tarn_bytes_at("\1\1\0\0\0\1\0\0\3i64", 12),
        .key_groups = {.first = 0, .last = GROUPS - 1},
        .max_parallelism = GROUPS,
        .key_hash = 1,
        .sequence = 77,
    };
    must(tarn__canonical_encode_header(&header, out, NULL));
    tarn__canonical_writer writer;
    tarn__canonical_writer_init(&writer, NULL);
    uint8_t *value = calloc(1, value_size + 1);
    tarn_bytes frame;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t group = (uint32_t)((uint64_t)i * GROUPS / count);
        char key[16] = {0, (char)group};
        const int size = snprintf(key + 2, sizeof key - 2, "%08u", i);
        const tarn_bytes row = tarn_bytes_at(key, (size_t)size + 2);
        memset(value, (int)(i % 251), value_size);
        if (tarn__canonical_is_full(&writer, row, tarn_bytes_at(value, value_size))) {
            must(tarn__canonical_seal(&writer, &frame, NULL));
            must(tarn_buffer_append(out, frame));
        }
        must(tarn__canonical_add(&writer, row, tarn_bytes_at(value, value_size), NULL));
    }
    if (writer.row_count > 0) {
        must(tarn__canonical_seal(&writer, &frame, NULL));
        must(tarn_buffer_append(out, frame));
    }
    must(tarn__canonical_finish(&writer, &frame, NULL));
    must(tarn_buffer_append(out, frame));
    tarn__canonical_writer_clear(&writer);
    free(value);
}

static tarn_status read_frame(
    const tarn__canonical_head *head,
    tarn_bytes bytes,
    tarn_buffer *raw,
    canonical_sample_count *out,
    tarn_error *error)
{
    TARN_TRY(tarn__canonical_open_frame(head, bytes, raw, error));
    tarn__canonical_cursor cursor = {.head = head, .raw = tarn_buffer_bytes(raw)};
    tarn_bytes key;
    tarn_bytes value;
    tarn_status status = TARN_OK;
    while ((status = tarn__canonical_next(&cursor, &key, &value, error)) == TARN_OK) {
        out->rows++;
        out->bytes += key.size + value.size;
    }
    out->frames++;
    return status == TARN_DONE ? TARN_OK : status;
}

tarn_status canonical_sample_read(tarn_bytes file, canonical_sample_count *out, tarn_error *error)
{
    const uint8_t *data = file.data;
    size_t behind = 0;
    tarn__canonical_header header;
    if (file.size < TARN__CANONICAL_PREFIX_BYTES) {
        return tarn__fail(error, TARN_CORRUPTION, "the file ends within its prefix");
    }
    TARN_TRY(tarn__canonical_decode_prefix(data, &behind, error));
    size_t at = TARN__CANONICAL_PREFIX_BYTES + behind;
    if (at > file.size) {
        return tarn__fail(error, TARN_CORRUPTION, "the file ends within its header");
    }
    TARN_TRY(tarn__canonical_decode_header(tarn_bytes_at(data, at), &header, error));
    TARN_AUTO(tarn_buffer_clear) tarn_buffer raw = TARN_BUFFER_INIT;
    for (;;) {
        tarn__canonical_head head;
        if (file.size - at < TARN__CANONICAL_HEAD_BYTES) {
            return tarn__fail(error, TARN_CORRUPTION, "the file ends within a head");
        }
        TARN_TRY(tarn__canonical_decode_head(data + at, &head, error));
        if (head.stored_size == 0) {
            return tarn__canonical_check_end(
                tarn_bytes_at(data + at, file.size - at), out->rows, out->frames, error);
        }
        const size_t size = TARN__CANONICAL_HEAD_BYTES + (size_t)head.stored_size;
        if (file.size - at < size) {
            return tarn__fail(error, TARN_CORRUPTION, "the file ends within a frame");
        }
        TARN_TRY(read_frame(&head, tarn_bytes_at(data + at, size), &raw, out, error));
        at += size;
    }
}
