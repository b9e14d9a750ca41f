#include "sorter.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"

static void path_of_run(const sorter *s, uint32_t run, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/result-%u-%u.run", s->directory, s->index, run);
}

tarn_status sorter_open(
    sorter *s, tarn_budget *budget, const char *directory, uint32_t index, tarn_error *error)
{
    memset(s, 0, sizeof *s);
    char name[64];
    snprintf(name, sizeof name, "flights/sorter-%u", index);
    TRY(tarn_owner_open(budget, TARN_POOL_HEAP, name, &s->owner, error));
    s->directory = directory;
    s->index = index;
    const tarn_allocator *allocator = tarn_owner_allocator(s->owner);
    s->lines = allocator->allocate(SORTER_BYTES, allocator->context);
    if (s->lines == NULL) {
        sorter_close(s);
        return failure_set(error, TARN_NO_MEMORY, 0, "no memory to sort the result");
    }
    return TARN_OK;
}

static void free_lines(sorter *s)
{
    const tarn_allocator *allocator = tarn_owner_allocator(s->owner);
    allocator->release(s->lines, allocator->context);
    s->lines = NULL;
}

void sorter_close(sorter *s)
{
    if (s->owner == NULL) {
        return;
    }
    for (uint32_t run = 0; run < s->run_count; run++) {
        char path[PATH_MAX];
        path_of_run(s, run, path);
        unlink(path);
    }
    free_lines(s);
    const tarn_status status = tarn_owner_close(s->owner, NULL);
    assert(status == TARN_OK);
    (void)status;
    memset(s, 0, sizeof *s);
}

static uint32_t *offsets_of(const sorter *s)
{
    return (uint32_t *)(void *)(s->lines + SORTER_BYTES) - s->line_count;
}

static int compare(const void *a, const void *b, void *lines)
{
    const uint32_t *left = a;
    const uint32_t *right = b;
    return strcmp((const char *)lines + *left, (const char *)lines + *right);
}

static tarn_status finish_file(FILE *file, const char *path, tarn_error *error)
{
    const bool is_bad = ferror(file) != 0;
    const int code = errno;
    if (fclose(file) != 0 || is_bad) {
        return failure_of_system(error, is_bad ? code : errno, "cannot write %s", path);
    }
    return TARN_OK;
}

static tarn_status spill(sorter *s, tarn_error *error)
{
    char path[PATH_MAX];
    path_of_run(s, s->run_count, path);
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return failure_of_system(error, errno, "cannot create %s", path);
    }
    s->run_count++;
    uint32_t *offsets = offsets_of(s);
    qsort_r(offsets, s->line_count, sizeof *offsets, compare, s->lines);
    for (size_t i = 0; i < s->line_count && ferror(file) == 0; i++) {
        fputs(s->lines + offsets[i], file);
        putc('\n', file);
    }
    s->used = 0;
    s->line_count = 0;
    return finish_file(file, path, error);
}

tarn_status sorter_add(sorter *s, const char *line, tarn_error *error)
{
    const size_t size = strlen(line) + 1;
    assert(size < SORTER_LINE_MAX);
    if (s->used + size + (s->line_count + 1) * sizeof(uint32_t) > SORTER_BYTES) {
        TRY(spill(s, error));
    }
    memcpy(s->lines + s->used, line, size);
    s->line_count++;
    *offsets_of(s) = (uint32_t)s->used;
    s->used += size;
    return TARN_OK;
}

tarn_status sorter_flush(sorter *s, tarn_error *error)
{
    if (s->line_count > 0) {
        TRY(spill(s, error));
    }
    free_lines(s);
    return TARN_OK;
}

/* The head of one run while they are merged. */
typedef struct head {
    FILE *file; /* NULL: the run is over. */
    char line[SORTER_LINE_MAX];
} head;

static tarn_status advance(head *h, tarn_error *error)
{
    if (fgets(h->line, sizeof h->line, h->file) != NULL) {
        return TARN_OK;
    }
    const bool is_bad = ferror(h->file) != 0;
    const int code = errno;
    fclose(h->file);
    h->file = NULL;
    return is_bad ? failure_of_system(error, code, "cannot read a run of the result") : TARN_OK;
}

static tarn_status open_heads(const sorter *sorters, uint32_t count, head *heads, tarn_error *error)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t run = 0; run < sorters[i].run_count; run++) {
            char path[PATH_MAX];
            path_of_run(&sorters[i], run, path);
            heads[at].file = fopen(path, "re");
            if (heads[at].file == NULL) {
                return failure_of_system(error, errno, "cannot open %s", path);
            }
            TRY(advance(&heads[at], error));
            at++;
        }
    }
    return TARN_OK;
}

static tarn_status merge_heads(head *heads, uint32_t count, FILE *out, tarn_error *error)
{
    for (;;) {
        head *smallest = NULL;
        for (uint32_t i = 0; i < count; i++) {
            if (heads[i].file != NULL &&
                (smallest == NULL || strcmp(heads[i].line, smallest->line) < 0)) {
                smallest = &heads[i];
            }
        }
        if (smallest == NULL || ferror(out) != 0) {
            return TARN_OK; /* The caller judges what it writes to. */
        }
        fputs(smallest->line, out);
        TRY(advance(smallest, error));
    }
}

tarn_status sorter_merge(const sorter *sorters, uint32_t count, FILE *out, tarn_error *error)
{
    uint32_t run_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        run_count += sorters[i].run_count;
    }
    if (run_count == 0) {
        return TARN_OK;
    }
    if (run_count > SORTER_RUNS_MAX) {
        return failure_set(
            error,
            TARN_NOT_SUPPORTED,
            0,
            "the result has %u sorted runs, at most %d can be merged",
            run_count,
            SORTER_RUNS_MAX);
    }
    const tarn_allocator *allocator = tarn_owner_allocator(sorters[0].owner);
    head *heads = allocator->allocate(run_count * sizeof *heads, allocator->context);
    if (heads == NULL) {
        return failure_set(error, TARN_NO_MEMORY, 0, "no memory to merge the result");
    }
    memset(heads, 0, run_count * sizeof *heads);
    tarn_status status = open_heads(sorters, count, heads, error);
    if (status == TARN_OK) {
        status = merge_heads(heads, run_count, out, error);
    }
    for (uint32_t i = 0; i < run_count; i++) {
        if (heads[i].file != NULL) {
            fclose(heads[i].file);
        }
    }
    allocator->release(heads, allocator->context);
    return status;
}
