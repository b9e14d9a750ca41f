/* scratch.c - see scratch.h. */
#include "support/scratch.h"

#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/support.h"

void scratch_init(scratch *self)
{
    const char *parent = getenv("TMPDIR");
    if (parent == NULL) {
        /* Memory when there is some: tests synchronise files thousands of times. */
        parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    }
    snprintf(self->path, sizeof self->path, "%s/tarn-test-XXXXXX", parent);
    assert_non_null(mkdtemp(self->path));
}

void scratch_clear(scratch *self)
{
    scratch_remove(self->path);
}

const char *scratch_join(const char *path, const char *name)
{
    static _Thread_local char buffers[8][PATH_MAX];
    static _Thread_local unsigned next = 0;
    char *buffer = buffers[next++ % 8];
    const int size = snprintf(buffer, PATH_MAX, "%s/%s", path, name);
    assert_in_range(size, 1, PATH_MAX - 1);
    return buffer;
}

bool scratch_exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

void scratch_make_directory(const char *path)
{
    assert_int_equal(mkdir(path, 0777), 0);
}

static FTS *open_tree(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    char *const roots[] = {copy, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    assert_non_null(tree);
    return tree;
}

void scratch_remove(const char *path)
{
    if (!scratch_exists(path)) {
        return;
    }
    FTS *tree = open_tree(path);
    for (FTSENT *entry = fts_read(tree); entry != NULL; entry = fts_read(tree)) {
        if (entry->fts_info == FTS_DP) {
            rmdir(entry->fts_path);
        } else if (entry->fts_info != FTS_D) {
            unlink(entry->fts_path);
        }
    }
    fts_close(tree);
}

void scratch_write(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

uint8_t *scratch_read(const char *path, size_t *size_out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("cannot open %s", path);
    }
    struct stat status;
    assert_int_equal(fstat(fileno(file), &status), 0);
    const size_t size = (size_t)status.st_size;
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, size, file), size);
    fclose(file);
    bytes[size] = 0;
    *size_out = size;
    return bytes;
}

void scratch_copy(const char *from, const char *to)
{
    FTS *tree = open_tree(from);
    const size_t skip = strlen(from);
    for (FTSENT *entry = fts_read(tree); entry != NULL; entry = fts_read(tree)) {
        char target[PATH_MAX];
        const int size = snprintf(target, sizeof target, "%s%s", to, entry->fts_path + skip);
        assert_in_range(size, 1, PATH_MAX - 1);
        if (entry->fts_info == FTS_D) {
            scratch_make_directory(target);
        } else if (entry->fts_info == FTS_F) {
            size_t content_size = 0;
            uint8_t *content = scratch_read(entry->fts_path, &content_size);
            scratch_write(target, content, content_size);
            free(content);
        }
    }
    fts_close(tree);
}

void scratch_walk(const char *path, scratch_visit *visit, void *context)
{
    if (!scratch_exists(path)) {
        return;
    }
    FTS *tree = open_tree(path);
    const size_t skip = strlen(path) + 1;
    for (FTSENT *entry = fts_read(tree); entry != NULL; entry = fts_read(tree)) {
        if (entry->fts_info == FTS_F) {
            visit(entry->fts_path + skip, context);
        }
    }
    fts_close(tree);
}

typedef struct counting {
    const char *prefix;
    uint32_t count;
} counting;

static void count_one(const char *name, void *context)
{
    counting *c = context;
    c->count += strncmp(name, c->prefix, strlen(c->prefix)) == 0 ? 1 : 0;
}

uint32_t scratch_count(const char *path, const char *prefix)
{
    counting c = {.prefix = prefix};
    scratch_walk(path, count_one, &c);
    return c.count;
}

/* ---- damage ----------------------------------------------------------------------------- */

static void read_at(int file, void *into, size_t size, uint64_t at)
{
    assert_int_equal(pread(file, into, size, (off_t)at), size);
}

static void write_at(int file, const void *bytes, size_t size, uint64_t at)
{
    assert_int_equal(pwrite(file, bytes, size, (off_t)at), size);
}

static int open_to_damage(const char *path)
{
    const int file = open(path, O_RDWR);
    assert_true(file >= 0);
    return file;
}

uint64_t scratch_size(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return (uint64_t)status.st_size;
}

void scratch_flip(const char *path, uint64_t at)
{
    uint8_t byte = 0;
    const int file = open_to_damage(path);
    read_at(file, &byte, 1, at);
    byte ^= 1;
    write_at(file, &byte, 1, at);
    assert_int_equal(close(file), 0);
}

void scratch_swap(const char *path, uint64_t a, uint64_t b, size_t size)
{
    uint8_t *bytes = malloc(2 * size);
    assert_non_null(bytes);
    const int file = open_to_damage(path);
    read_at(file, bytes, size, a);
    read_at(file, bytes + size, size, b);
    write_at(file, bytes, size, b);
    write_at(file, bytes + size, size, a);
    assert_int_equal(close(file), 0);
    free(bytes);
}
