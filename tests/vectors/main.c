/*
 * tarn-vectors - runs every vector file of a directory against Tarn.
 *
 *     tarn-vectors [--every N] [--counts FILE] DIR     (of each file the first of N cases)
 *
 * Reads DIR/<kind>.jsonl and DIR/<kind>.jsonl.zst, one case a line. Prints each failing case, a
 * line for each file, and last of all "N passed, M failed, K skipped". A file whose kind this build
 * cannot check is skipped: each of its cases counts as skipped, never as passed; so does a case
 * that asks for what this build cannot do. The tables of options and presets hold no cases and are
 * left out of the counts.
 *
 * FILE pins how many cases there are: a line "STEM COUNT" for each file, no other files. A case
 * that is skipped then fails, as one that is lost does. "STEM COUNT LEAST" is for traces: so many
 * of their steps are compared at least, where all cases are run.
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

enum {
    EXIT_FAILED = 1,
    EXIT_UNUSABLE = 2,
    WHY_BYTES = 1024,
    PATH_BYTES = 4096,
    STEM_BYTES = 256,
    PINNED_MAX = 64
};

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
    uint64_t found; /* Run or left out. */
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
        if (is_blank(line)) {
            continue;
        }
        count->found++;
        if ((line_number - 1) % every != 0) {
            continue;
        }
        if (run == NULL) {
            count->skipped++;
        } else {
            run_line(stem, run, line, line_number, count);
        }
    }
}

/* How many cases each file has; count 0: none is pinned. */
static struct {
    struct {
        char stem[STEM_BYTES];
        uint64_t cases;
        uint64_t compared_min; /* Of steps. */
        bool is_met;
    } items[PINNED_MAX];
    uint32_t count;
} pinned;

/* A name and one number or two, and nothing else. */
static bool read_pin(const char *line)
{
    int two_end = 0;
    int three_end = 0;
    const int read = sscanf(
        line,
        "%255s %" SCNu64 " %n%" SCNu64 " %n",
        pinned.items[pinned.count].stem,
        &pinned.items[pinned.count].cases,
        &two_end,
        &pinned.items[pinned.count].compared_min,
        &three_end);
    return (read == 2 && line[two_end] == '\0') || (read == 3 && line[three_end] == '\0');
}

static bool read_pinned(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "tarn-vectors: cannot read %s: %s\n", path, strerror(errno));
        return false;
    }
    char line[STEM_BYTES + 64];
    bool is_good = true;
    while (is_good && fgets(line, sizeof line, file) != NULL) {
        is_good = pinned.count < PINNED_MAX && read_pin(line);
        pinned.count += is_good ? 1 : 0;
    }
    fclose(file);
    if (!is_good || pinned.count == 0) {
        fprintf(
            stderr, "tarn-vectors: line %" PRIu32 " of %s is no count\n", pinned.count + 1, path);
        return false;
    }
    return true;
}

/* Turns what a file has other than it must into failures. */
static void check_pinned(const char *stem, counts *count)
{
    const uint64_t compared = vectors_take_compared();
    for (uint32_t i = 0; i < pinned.count; i++) {
        if (strcmp(pinned.items[i].stem, stem) != 0) {
            continue;
        }
        pinned.items[i].is_met = true;
        if (count->found != pinned.items[i].cases || count->skipped != 0) {
            printf(
                "%s: %" PRIu64 " cases, %" PRIu64 " of them skipped, instead of %" PRIu64 "\n",
                stem,
                count->found,
                count->skipped,
                pinned.items[i].cases);
            count->failed++;
        }
        if (every == 1 && compared < pinned.items[i].compared_min) {
            printf(
                "%s: %" PRIu64 " steps are compared, not %" PRIu64 " or more\n",
                stem,
                compared,
                pinned.items[i].compared_min);
            count->failed++;
        }
        return;
    }
    if (pinned.count > 0) {
        printf("%s: its number of cases is not pinned\n", stem);
        count->failed++;
    }
}

/* Answers how many files are missing. */
static uint64_t count_missing(void)
{
    uint64_t missing = 0;
    for (uint32_t i = 0; i < pinned.count; i++) {
        if (!pinned.items[i].is_met) {
            printf("%s: there is no such file\n", pinned.items[i].stem);
            missing++;
        }
    }
    return missing;
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
    check_pinned(stem, &count);
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

/* The directory; NULL when the command line is wrong, *counts_path NULL when nothing is pinned. */
static const char *read_arguments(int argc, char **argv, const char **counts_path)
{
    int at = 1;
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        if (strcmp(argv[at], "--every") == 0) {
            char *end = NULL;
            every = strtoull(argv[at + 1], &end, 10);
            if (*end != '\0' || every == 0) {
                return NULL;
            }
        } else if (strcmp(argv[at], "--counts") == 0) {
            *counts_path = argv[at + 1];
        } else {
            return NULL;
        }
    }
    return at + 1 == argc && argv[at][0] != '-' ? argv[at] : NULL;
}

int main(int argc, char **argv)
{
    const char *counts_path = NULL;
    const char *directory = read_arguments(argc, argv, &counts_path);
    if (directory == NULL) {
        fprintf(stderr, "usage: tarn-vectors [--every N] [--counts FILE] DIR\n");
        return EXIT_UNUSABLE;
    }
    if (counts_path != NULL && !read_pinned(counts_path)) {
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
    total.failed += count_missing();
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
