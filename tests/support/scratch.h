/* scratch.h - a directory of a test's own, and what is in it. */
#ifndef TARN_TESTS_SCRATCH_H
#define TARN_TESTS_SCRATCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct scratch {
    char path[PATH_MAX];
} scratch;

/* Makes an empty directory below TMPDIR, else /dev/shm, else /tmp. */
void scratch_init(scratch *scratch);

/* Deletes it with all that it holds. */
void scratch_clear(scratch *scratch);

/* Writes path/name, in one of a few static buffers, so that a call can use several at once. */
const char *scratch_join(const char *path, const char *name);

bool scratch_exists(const char *path);
void scratch_make_directory(const char *path);

/* Deletes a file, or a directory with all that it holds; nothing when it is not there. */
void scratch_remove(const char *path);

void scratch_write(const char *path, const void *bytes, size_t size);

/* Reads a whole file into memory that the caller frees with free(). */
uint8_t *scratch_read(const char *path, size_t *size_out);

/* Copies a directory with all that it holds; to must not exist. */
void scratch_copy(const char *from, const char *to);

/* Damage, undone by the same call: a bit of a file, or two equally large places that change theirs.
 */
uint64_t scratch_size(const char *path);
void scratch_flip(const char *path, uint64_t at);
void scratch_swap(const char *path, uint64_t a, uint64_t b, size_t size);

/* Called for each file below a directory, with its path from there. */
typedef void scratch_visit(const char *name, void *context);
void scratch_walk(const char *path, scratch_visit *visit, void *context);

/* Counts the files below a directory whose path from there begins with prefix. */
uint32_t scratch_count(const char *path, const char *prefix);

#endif
