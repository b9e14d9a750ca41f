#include "input.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "failure.h"
#include "flight.h"

enum { BUFFER_BYTES = 128 << 10 };

struct input {
    const char *path;
    int file;
    off_t offset;
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
        got = pread(in->file, in->compressed_data, BUFFER_BYTES, in->offset);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return failure_of_system(error, errno, "cannot read the input %s", in->path);
    }
    in->offset += got;
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

tarn_status input_open(
    const char *path, int file, tarn_budget *budget, input **out, tarn_error *error)
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
    in->file = file;
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

/* A file that has no name. */
static tarn_status create_unpacked(const char *directory, FILE **out, tarn_error *error)
{
    char path[PATH_MAX];
    const int size = snprintf(path, sizeof path, "%s/unpacked-XXXXXX", directory);
    const int file = size < PATH_MAX ? mkostemp(path, O_CLOEXEC) : -1;
    if (file < 0) {
        return failure_of_system(
            error, size < PATH_MAX ? errno : ENAMETOOLONG, "cannot create a file in %s", directory);
    }
    unlink(path);
    *out = fdopen(file, "w+");
    if (*out == NULL) {
        close(file);
        return failure_set(error, TARN_NO_MEMORY, 0, "no memory to unpack into %s", directory);
    }
    fprintf(*out, "%s\n", flight_header);
    return TARN_OK;
}

/* unpacked: NULL: the lines are only counted. */
static tarn_status copy_lines(input *in, FILE *unpacked, tarn_error *error)
{
    const char *line = NULL;
    size_t size = 0;
    tarn_status status = input_next(in, &line, &size, error);
    while (status == TARN_OK) {
        if (unpacked != NULL) {
            fwrite(line, 1, size, unpacked);
            putc('\n', unpacked);
        }
        status = input_next(in, &line, &size, error);
    }
    return status == TARN_DONE ? TARN_OK : status;
}

static tarn_status unpack(input *in, const char *directory, int *file_out, tarn_error *error)
{
    FILE *unpacked = NULL;
    TRY(create_unpacked(directory, &unpacked, error));
    tarn_status status = copy_lines(in, unpacked, error);
    if (status == TARN_OK && (fflush(unpacked) != 0 || ferror(unpacked) != 0)) {
        status = failure_of_system(error, errno, "cannot unpack the input into %s", directory);
    }
    const int file = status == TARN_OK ? fcntl(fileno(unpacked), F_DUPFD_CLOEXEC, 0) : -1;
    if (status == TARN_OK && file < 0) {
        status = failure_of_system(error, errno, "cannot open the unpacked input again");
    }
    fclose(unpacked);
    if (status == TARN_OK) {
        *file_out = file;
    }
    return status;
}

static tarn_status open_file(const char *path, int *out, tarn_error *error)
{
    *out = open(path, O_RDONLY | O_CLOEXEC);
    if (*out < 0 && errno == ENOENT) {
        return failure_set(error, TARN_MISSING, ENOENT, "there is no input %s", path);
    }
    return *out < 0 ? failure_of_system(error, errno, "cannot open the input %s", path) : TARN_OK;
}

tarn_status input_unpack(
    const char *path,
    const char *directory,
    tarn_budget *budget,
    int *file_out,
    uint64_t *count_out,
    tarn_error *error)
{
    int packed = -1;
    input *in = NULL;
    TRY(open_file(path, &packed, error));
    int file = packed;
    tarn_status status = input_open(path, packed, budget, &in, error);
    if (status == TARN_OK) {
        status =
            in->decoder != NULL ? unpack(in, directory, &file, error) : copy_lines(in, NULL, error);
    }
    const uint64_t count = in != NULL ? input_line(in) - 1 : 0;
    input_close(in);
    if (status != TARN_OK || file != packed) {
        close(packed);
    }
    if (status == TARN_OK) {
        *file_out = file;
        *count_out = count;
    }
    return status;
}
