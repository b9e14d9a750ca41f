/*
 * sim_files.c - local files of workers that have no RocksDB: immutable, in memory, by number.
 *
 * What an upload asks of a file system is answered from a table: a path ends in the number of a
 * table file, or in CURRENT, which is the same everywhere. A link is the number once more.
 */
#include "sim/sim_world.h"

#include <stdlib.h>
#include <string.h>

enum { FILES_MAX = 1 << 16, FILE_BYTES_MAX = 128, DESCRIPTOR_BASE = 1 << 20 };

typedef struct local_file {
    uint32_t size;
    uint8_t bytes[FILE_BYTES_MAX];
} local_file;

/* Number 0 is CURRENT. */
static local_file files[FILES_MAX] = {{.size = 4, .bytes = {'r', 'o', 'w', 's'}}};

void sim_write_file(uint32_t number, const void *bytes, size_t size)
{
    CHECK(number < FILES_MAX && size <= FILE_BYTES_MAX);
    files[number].size = (uint32_t)size;
    memcpy(files[number].bytes, bytes, size);
}

static uint32_t number_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    return name[0] == 'C' ? 0 : (uint32_t)strtoul(name, NULL, 10);
}

static const local_file *file_of(int descriptor)
{
    CHECK(descriptor >= DESCRIPTOR_BASE && descriptor < DESCRIPTOR_BASE + FILES_MAX);
    return &files[descriptor - DESCRIPTOR_BASE];
}

static int open_at(int directory, const char *name, int flags, mode_t mode, void *context)
{
    (void)directory;
    (void)flags;
    (void)mode;
    (void)context;
    return DESCRIPTOR_BASE + (int)number_of(name);
}

static int close_file(int descriptor, void *context)
{
    (void)context;
    (void)file_of(descriptor);
    return 0;
}

static ssize_t read_at(int descriptor, void *into, size_t size, off_t offset, void *context)
{
    (void)context;
    const local_file *file = file_of(descriptor);
    const size_t at = (size_t)offset < file->size ? (size_t)offset : file->size;
    const size_t got = size < file->size - at ? size : file->size - at;
    memcpy(into, file->bytes + at, got);
    return (ssize_t)got;
}

static int stat_file(int descriptor, struct stat *out, void *context)
{
    (void)context;
    const local_file *file = file_of(descriptor);
    memset(out, 0, sizeof *out);
    out->st_mode = S_IFREG;
    out->st_size = (off_t)file->size;
    out->st_ino = (ino_t)(descriptor - DESCRIPTOR_BASE) + 1;
    return 0;
}

static int stat_at(int directory, const char *name, struct stat *out, void *context)
{
    return stat_file(open_at(directory, name, 0, 0, context), out, context);
}

const tarn__file_calls *sim_file_calls(void)
{
    static const tarn__file_calls calls = {
        .open_at = open_at,
        .close = close_file,
        .read_at = read_at,
        .stat = stat_file,
        .stat_at = stat_at,
    };
    return &calls;
}
