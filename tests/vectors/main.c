/*
 * tarn-vectors - runs every vector file of a directory against Tarn.
 *
 *     tarn-vectors [--every N] DIR     (of each file the first of N cases)
 *
 * Reads DIR/<kind>.jsonl and DIR/<kind>.jsonl.zst, one case a line. Prints each failing case, a
 * line for each file, and last of all "N passed, M failed, K skipped". A file whose kind this build
 * cannot check is skipped: each of its cases counts as skipped, never as passed; so does a case
 * that asks for what this build cannot do. The tables of options and presets hold no cases and are
 * left out of the counts.
 *
 * Exit status: 0 when something ran and nothing failed, 1 when a case failed, 2 when DIR or a file
 * cannot be read, nothing ran, or the command line is wrong.
 */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"
#include "vectors.h"

enum { EXIT_FAILED = 1, EXIT_UNUSABLE = 2, WHY_BYTES = 1024, PATH_BYTES = 4096, STEM_BYTES = 256 };

typedef struct kind {
    const char *stem;
    vector_case_fn *run; /* NULL: this build cannot check the kind. */
} kind;

static const kind kinds[] = {
#define X(name) {#name, vectors_##name},
    VECTORS_KINDS(X)
#undef X
};

/* Files that are tables, not cases. */
static const char *const tables[] = {"*_options", "rocksdb_predefined"};

typedef struct counts {
    uint64_t passed;
    uint64_t failed;
    uint64_t skipped;
} counts;

static bool is_table(const char *stem)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (fnmatch(tables[i], stem, 0) == 0) {
            return true;
        }
    }
    return false;
}

static vector_case_fn *find_kind(const char *stem)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].stem, stem) == 0) {
            return kinds[i].run;
        }
    }
    return NULL;
}

static bool is_blank(tarn_bytes line)
{
    const char *text = line.data;
    for (size_t i = 0; i < line.size; i++) {
        if (strchr(" \t\r", text[i]) == NULL || text[i] == '\0') {
            return false;
        }
    }
    return true;
}

static void print_failure(
    const char *stem, const json_t *vector_case, uint64_t line_number, const char *why)
{
    char *id = json_dumps(json_object_get(vector_case, "id"), JSON_ENCODE_ANY);
    if (id != NULL) {
        printf("%s %s: %s\n", stem, id, why);
    } else {
        printf("%s line %" PRIu64 ": %s\n", stem, line_number, why);
    }
    free(id);
}

/* Of the cases of each file, the first of as many is run. */
static uint64_t every = 1;

static void run_line(
    const char *stem, vector_case_fn *run, tarn_bytes line, uint64_t line_number, counts *count)
{
    char why[WHY_BYTES] = "differs";
    json_t *vector_case = vectors_case_parse(line.data, line.size, why, sizeof why);
    if (vector_case != NULL && run(vector_case, why, sizeof why)) {
        count->passed++;
    } else if (vector_case != NULL && vectors_is_skipped(why)) {
        count->skipped++;
    } else {
        count->failed++;
        print_failure(stem, vector_case, line_number, why);
    }
    json_decref(vector_case);
}

/* Runs the cases of an open file. */
static tarn_status run_lines(
    const char *stem, vector_case_fn *run, reader *r, counts *count, tarn_error *error)
{
    for (uint64_t line_number = 1;; line_number++) {
        tarn_bytes line;
        const tarn_status status = reader_next(r, &line, error);
        if (status != TARN_OK) {
            return status;
        }
        if (is_blank(line) || (line_number - 1) % every != 0) {
            continue;
        }
        if (run == NULL) {
            count->skipped++;
        } else {
            run_line(stem, run, line, line_number, count);
        }
    }
}

/* Runs one file and adds to the totals; false when it cannot be read. */
static bool run_file(const char *directory, const char *name, const char *stem, counts *total)
{
    if (is_table(stem)) {
        printf("%s: not cases\n", name);
        return true;
    }
    char path[PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) {
        fprintf(stderr, "tarn-vectors: the path of %s is too long\n", name);
        return false;
    }
    static reader r;
    counts count = {0};
    tarn_error error;
    tarn_status status = reader_open(&r, path, &error);
    if (status == TARN_OK) {
        status = run_lines(stem, find_kind(stem), &r, &count, &error);
    }
    reader_close(&r);
    printf(
        "%s: %" PRIu64 " passed, %" PRIu64 " failed, %" PRIu64 " skipped\n",
        name,
        count.passed,
        count.failed,
        count.skipped);
    total->passed += count.passed;
    total->failed += count.failed;
    total->skipped += count.skipped;
    if (status != TARN_DONE) {
        fflush(stdout);
        fprintf(stderr, "tarn-vectors: %s\n", error.message);
        return false;
    }
    return true;
}

/* Cuts ".jsonl" or ".jsonl.zst" off a file's name; false when it has neither. */
static bool stem_of(const char *name, char stem[STEM_BYTES])
{
    static const char *const ends[] = {".jsonl", ".jsonl.zst"};
    const size_t size = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        const size_t end_size = strlen(ends[i]);
        if (size > end_size && size < STEM_BYTES && strcmp(name + size - end_size, ends[i]) == 0) {
            memcpy(stem, name, size - end_size);
            stem[size - end_size] = '\0';
            return true;
        }
    }
    return false;
}

static int is_vector_file(const struct dirent *entry)
{
    char stem[STEM_BYTES];
    return stem_of(entry->d_name, stem);
}

/* The directory; NULL when the command line is wrong. */
static const char *read_arguments(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--every") == 0) {
        char *end = NULL;
        every = strtoull(argv[2], &end, 10);
        return *end == '\0' && every > 0 ? argv[3] : NULL;
    }
    return argc == 2 && argv[1][0] != '-' ? argv[1] : NULL;
}

int main(int argc, char **argv)
{
    const char *directory = read_arguments(argc, argv);
    if (directory == NULL) {
        fprintf(stderr, "usage: tarn-vectors [--every N] DIR\n");
        return EXIT_UNUSABLE;
    }
    struct dirent **entries = NULL;
    const int entry_count = scandir(directory, &entries, is_vector_file, alphasort);
    if (entry_count < 0) {
        fprintf(stderr, "tarn-vectors: cannot read %s: %s\n", directory, strerror(errno));
        return EXIT_UNUSABLE;
    }
    if (every > 1) {
        printf("one case of %" PRIu64 " is run\n", every);
    }
    counts total = {0};
    bool is_readable = true;
    for (int i = 0; i < entry_count; i++) {
        char stem[STEM_BYTES];
        if (stem_of(entries[i]->d_name, stem)) {
            is_readable = run_file(directory, entries[i]->d_name, stem, &total) && is_readable;
        }
        free(entries[i]);
    }
    free(entries);
    printf(
        "%" PRIu64 " passed, %" PRIu64 " failed, %" PRIu64 " skipped\n",
        total.passed,
        total.failed,
        total.skipped);
    if (total.failed != 0) {
        return EXIT_FAILED;
    }
    return is_readable && total.passed != 0 ? EXIT_SUCCESS : EXIT_UNUSABLE;
}
