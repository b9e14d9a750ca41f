/* reader.c - see reader.h. */
#include "reader.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/try.h"

static bool ends_with(const char *text, const char *end)
{
    const size_t text_size = strlen(text);
    const size_t end_size = strlen(end);
    return text_size >= end_size && strcmp(text + text_size - end_size, end) == 0;
}

tarn_status reader_open(reader *r, const char *path, tarn_error *error)
{
    memset(r, 0, sizeof *r);
    r->path = path;
    r->file = fopen(path, "rb");
    if (r->file == NULL) {
        return tarn__fail_errno(error, errno, "cannot open %s", path);
    }
    if (ends_with(path, ".zst")) {
        r->stream = ZSTD_createDStream();
        if (r->stream == NULL) {
            return tarn__fail_no_memory(error, "a zstd stream", ZSTD_DStreamInSize());
        }
    }
    return TARN_OK;
}

static tarn_status append(reader *r, const void *data, size_t size, tarn_error *error)
{
    if (tarn_buffer_append(&r->pending, tarn_bytes_at(data, size)) != TARN_OK) {
        return tarn__fail_no_memory(error, r->path, r->pending.size + size);
    }
    return TARN_OK;
}

static tarn_status decompress(reader *r, size_t raw_size, tarn_error *error)
{
    static char text[READER_CHUNK_BYTES];
    ZSTD_inBuffer input = {.src = r->raw, .size = raw_size};
    ZSTD_outBuffer output;
    do {
        output = (ZSTD_outBuffer){.dst = text, .size = sizeof text};
        r->frame_rest = ZSTD_decompressStream(r->stream, &output, &input);
        if (ZSTD_isError(r->frame_rest)) {
            return tarn__fail(
                error,
                TARN_CORRUPTION,
                "cannot decompress %s: %s",
                r->path,
                ZSTD_getErrorName(r->frame_rest));
        }
        TARN_TRY(append(r, text, output.pos, error));
    } while (input.pos < input.size || output.pos == output.size);
    return TARN_OK;
}

/* Appends one more chunk of the file to what is pending. */
static tarn_status fill(reader *r, tarn_error *error)
{
    const size_t size = fread(r->raw, 1, sizeof r->raw, r->file);
    if (ferror(r->file)) {
        return tarn__fail_errno(error, errno, "cannot read %s", r->path);
    }
    r->is_ended = size == 0;
    if (r->is_ended && r->frame_rest != 0) {
        return tarn__fail(error, TARN_CORRUPTION, "%s ends inside of a zstd frame", r->path);
    }
    if (size == 0) {
        return TARN_OK;
    }
    return r->stream == NULL ? append(r, r->raw, size, error) : decompress(r, size, error);
}

/* Drops the line that the caller has seen. */
static void drop_line(reader *r)
{
    r->pending.size -= r->line_end;
    if (r->line_end != 0) {
        memmove(r->pending.data, r->pending.data + r->line_end, r->pending.size);
    }
    r->line_end = 0;
}

tarn_status reader_next(reader *r, tarn_bytes *line, tarn_error *error)
{
    drop_line(r);
    size_t searched = 0;
    for (;;) {
        const uint8_t *end =
            searched == r->pending.size
                ? NULL
                : memchr(r->pending.data + searched, '\n', r->pending.size - searched);
        if (end != NULL) {
            const size_t size = (size_t)(end - r->pending.data);
            *line = tarn_bytes_at(r->pending.data, size);
            r->line_end = size + 1;
            return TARN_OK;
        }
        searched = r->pending.size;
        if (r->is_ended) {
            break;
        }
        TARN_TRY(fill(r, error));
    }
    if (r->pending.size == 0) {
        return TARN_DONE;
    }
    *line = tarn_buffer_bytes(&r->pending);
    r->line_end = r->pending.size;
    return TARN_OK;
}

void reader_close(reader *r)
{
    if (r->file != NULL) {
        fclose(r->file);
    }
    ZSTD_freeDStream(r->stream);
    tarn_buffer_clear(&r->pending);
    r->file = NULL;
    r->stream = NULL;
}
