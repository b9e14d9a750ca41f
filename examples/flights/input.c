#include "input.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "failure.h"
#include "flight.h"

enum { BUFFER_BYTES = 128 << 10 };

struct input {
    const char *path;
    int file;
    tarn_owner *owner;     /* In the heap pool. */
    ZSTD_DStream *decoder; /* NULL: the file is plain. */
    uint64_t decoder_bytes;
    bool is_at_end;         /* Of the file. */
    bool is_between_frames; /* zstd: the file may end here. */
    ZSTD_inBuffer compressed;
    size_t text_size;
    size_t text_at;
    uint64_t line;
    char compressed_data[BUFFER_BYTES];
    char text[BUFFER_BYTES];
};

static tarn_status read_file(input *in, tarn_error *error)
{
    ssize_t got = 0;
    do {
        got = read(in->file, in->compressed_data, BUFFER_BYTES);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return failure_of_system(error, errno, "cannot read the input %s", in->path);
    }
    in->is_at_end = got == 0;
    in->compressed = (ZSTD_inBuffer){in->compressed_data, (size_t)got, 0};
    return TARN_OK;
}

/* zstd allocates on its own, once it knows the frame: reserve what it took. */
static tarn_status reserve_decoder(input *in, tarn_error *error)
{
    const uint64_t bytes = ZSTD_sizeof_DStream(in->decoder);
    if (bytes > in->decoder_bytes) {
        const uint64_t more = bytes - in->decoder_bytes;
        TRY(tarn_owner_reserve(in->owner, more, TARN_NO_WAIT, error));
        in->decoder_bytes = bytes;
    }
    return TARN_OK;
}

static tarn_status decompress(input *in, tarn_error *error)
{
    ZSTD_outBuffer text = {in->text, BUFFER_BYTES, in->text_size};
    const size_t hint = ZSTD_decompressStream(in->decoder, &text, &in->compressed);
    if (ZSTD_isError(hint)) {
        return failure_set(
            error,
            TARN_CORRUPTION,
            0,
            "the input %s is damaged after line %llu: %s",
            in->path,
            (unsigned long long)in->line,
            ZSTD_getErrorName(hint));
    }
    in->text_size = text.pos;
    in->is_between_frames = hint == 0;
    return reserve_decoder(in, error);
}

static void copy_plain(input *in)
{
    const size_t have = in->compressed.size - in->compressed.pos;
    const size_t room = BUFFER_BYTES - in->text_size;
    const size_t size = have < room ? have : room;
    memcpy(in->text + in->text_size, in->compressed_data + in->compressed.pos, size);
    in->text_size += size;
    in->compressed.pos += size;
}

/* Adds text behind what is there. TARN_DONE: there is none. */
static tarn_status fill(input *in, tarn_error *error)
{
    memmove(in->text, in->text + in->text_at, in->text_size - in->text_at);
    in->text_size -= in->text_at;
    in->text_at = 0;
    if (in->text_size == BUFFER_BYTES) {
        return failure_set(
            error,
            TARN_INVALID_ARGUMENT,
            0,
            "line %llu of the input %s is longer than %d bytes",
            (unsigned long long)in->line + 1,
            in->path,
            BUFFER_BYTES);
    }
    const size_t before = in->text_size;
    while (in->text_size == before) {
        if (in->compressed.pos == in->compressed.size && !in->is_at_end) {
            TRY(read_file(in, error));
        }
        if (in->decoder == NULL) {
            copy_plain(in);
        } else if (!in->is_at_end || !in->is_between_frames) {
            TRY(decompress(in, error));
        }
        if (in->is_at_end && in->text_size == before) {
            return in->decoder == NULL || in->is_between_frames
                       ? TARN_DONE
                       : failure_set(
                             error, TARN_CORRUPTION, 0, "the input %s is cut off", in->path);
        }
    }
    return TARN_OK;
}

tarn_status input_next(input *in, const char **line_out, size_t *size_out, tarn_error *error)
{
    size_t scanned = 0;
    for (;;) {
        const char *start = in->text + in->text_at;
        const size_t size = in->text_size - in->text_at;
        const char *end = memchr(start + scanned, '\n', size - scanned);
        if (end != NULL) {
            *line_out = start;
            *size_out = (size_t)(end - start);
            in->text_at += *size_out + 1;
            in->line++;
            return TARN_OK;
        }
        scanned = size;
        const tarn_status status = fill(in, error);
        if (status == TARN_DONE && size > 0) {
            return failure_set(
                error,
                TARN_INVALID_ARGUMENT,
                0,
                "line %llu of the input %s does not end; is the file complete?",
                (unsigned long long)in->line + 1,
                in->path);
        }
        TRY(status);
    }
}

static tarn_status check_header(input *in, tarn_error *error)
{
    const char *line = NULL;
    size_t size = 0;
    const tarn_status status = input_next(in, &line, &size, error);
    if (status != TARN_DONE) {
        TRY(status);
    }
    if (status == TARN_DONE || size != strlen(flight_header) ||
        memcmp(line, flight_header, size) != 0) {
        return failure_set(
            error,
            TARN_INVALID_ARGUMENT,
            0,
            "the input %s does not begin with the line \"%s\"",
            in->path,
            flight_header);
    }
    return TARN_OK;
}

static tarn_status prepare(input *in, tarn_error *error)
{
    in->file = open(in->path, O_RDONLY | O_CLOEXEC);
    if (in->file < 0 && errno == ENOENT) {
        return failure_set(error, TARN_MISSING, ENOENT, "there is no input %s", in->path);
    }
    if (in->file < 0) {
        return failure_of_system(error, errno, "cannot open the input %s", in->path);
    }
    TRY(read_file(in, error));
    static const unsigned char zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    if (in->compressed.size >= sizeof zstd_magic &&
        memcmp(in->compressed_data, zstd_magic, sizeof zstd_magic) == 0) {
        in->decoder = ZSTD_createDStream();
        if (in->decoder == NULL) {
            return failure_set(error, TARN_NO_MEMORY, 0, "no memory to decompress %s", in->path);
        }
        TRY(reserve_decoder(in, error));
    }
    return check_header(in, error);
}

tarn_status input_open(const char *path, tarn_budget *budget, input **out, tarn_error *error)
{
    tarn_owner *owner = NULL;
    TRY(tarn_owner_open(budget, TARN_POOL_HEAP, "flights/input", &owner, error));
    const tarn_allocator *allocator = tarn_owner_allocator(owner);
    input *in = allocator->allocate(sizeof *in, allocator->context);
    if (in == NULL) {
        const tarn_status closed = tarn_owner_close(owner, NULL);
        assert(closed == TARN_OK);
        (void)closed;
        return failure_set(error, TARN_NO_MEMORY, 0, "no memory to read %s", path);
    }
    memset(in, 0, offsetof(input, compressed_data));
    in->path = path;
    in->file = -1;
    in->owner = owner;
    const tarn_status status = prepare(in, error);
    if (status != TARN_OK) {
        input_close(in);
        return status;
    }
    *out = in;
    return TARN_OK;
}

void input_close(input *in)
{
    if (in == NULL) {
        return;
    }
    if (in->file >= 0) {
        close(in->file);
    }
    ZSTD_freeDStream(in->decoder);
    tarn_owner *owner = in->owner;
    tarn_owner_release(owner, in->decoder_bytes);
    const tarn_allocator *allocator = tarn_owner_allocator(owner);
    allocator->release(in, allocator->context);
    const tarn_status status = tarn_owner_close(owner, NULL);
    assert(status == TARN_OK);
    (void)status;
}

uint64_t input_line(const input *in)
{
    return in->line;
}

tarn_status input_count(const char *path, tarn_budget *budget, uint64_t *out, tarn_error *error)
{
    input *in = NULL;
    TRY(input_open(path, budget, &in, error));
    const char *line = NULL;
    size_t size = 0;
    tarn_status status = TARN_OK;
    while (status == TARN_OK) {
        status = input_next(in, &line, &size, error);
    }
    const uint64_t count = input_line(in) - 1;
    input_close(in);
    if (status == TARN_DONE) {
        *out = count;
        return TARN_OK;
    }
    return status;
}
