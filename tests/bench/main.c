/*
 * tarn-bench - what Tarn costs, measured beside what it is built on.
 *
 *     tarn-bench WORKLOAD [--against BASELINE] [--json] [OPTION VALUE]... [-D KEY=VALUE]...
 *
 * The workloads of tests/bench/workload.h run --against defaults, tuned, other, unaccounted or hash
 * (store.h says what those are), each side in a process of its own with the same --memory. Beside
 * them, in one process:
 *
 *     value --against raw              get and put of random keys
 *     map --against clean              iterate 100 entries, beside --keys tombstones or without
 *     window --against points          drop a window of --keys keys, or remove them; then scan
 *     append-drain --against raw       append --elements to lists, read and clear them
 *     long-list --against empty        append to a list of --elements, or to none; read it
 *     timers --against raw             register --timers, fire them; --sorted: in time order
 *     ttl --against plain              write --ops values with a TTL and a deadline, or without;
 *                                      what is expired is looked for in the table files
 *     rescale --against iterate        restore 3 to 2 and 2 to 3 subtasks, or iterate and put
 *     checkpoint --against undisturbed count up --keys while checkpoints are taken
 *     restore --against limited        out of the second copy, by links, by copies, at 100 MB/s
 *     storage --against curl           checkpoint to and restore from --output s3://BUCKET/PREFIX
 *
 * "nexmark" and "micro" run all of their kind. keygen writes the keys that rmw would draw to
 * --output, for --input of any program.
 *
 * -D sets an option of Tarn's configuration; "raw" runs with what it comes to. "other" is Tarn with
 * the options of -E instead. -R sets an option of RocksDB's own for tuned and defaults, on top of
 * what they have. The last line on stdout is one JSON object.
 *
 * Exit status: 0, 1 (something failed, or the sides do not agree), 2 (usage).
 */
#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "workload.h"

enum { VALUE_BYTES_DEFAULT = 100, DUEL_VALUE_BYTES_DEFAULT = 8 };

typedef struct number {
    const char *flag;
    size_t offset;
    uint64_t min;
    uint64_t max;
} number;

static const number NUMBERS[] = {
    {"--keys", offsetof(bench_options, keys), 1, UINT32_MAX},
    {"--timers", offsetof(bench_options, ops), 1, UINT32_MAX},
    {"--ops", offsetof(bench_options, ops), 1, UINT32_MAX},
    {"--value-bytes", offsetof(bench_options, value_bytes), 8, 1 << 20},
    {"--prefetch", offsetof(bench_options, prefetch), 1, BENCH_PREFETCH_KEYS_MAX},
    {"--elements", offsetof(bench_options, elements), 1, 1 << 24},
    {"--events", offsetof(bench_options, events), 1, UINT32_MAX},
    {"--warm", offsetof(bench_options, warm), 1, UINT32_MAX},
    {"--rate", offsetof(bench_options, rate), 1, UINT32_MAX},
    {"--heap-percent", offsetof(bench_options, heap_percent), 1, 99},
    {"--rounds", offsetof(bench_options, rounds), 1, BENCH_ROUNDS_MAX},
    {"--seed", offsetof(bench_options, seed), 0, UINT64_MAX},
    {"--commands", offsetof(bench_options, commands), 3, INT32_MAX},
    {"--answers", offsetof(bench_options, answers), 3, INT32_MAX},
    {"--managed-mib", offsetof(bench_options, managed_mib), 32, 1 << 20},
};

typedef struct workload_entry {
    const char *name;
    const char *against;
    int (*run)(const bench_options *options);
    uint64_t rounds; /* What is usual. */
} workload_entry;

static const workload_entry WORKLOADS[] = {
    {"value", "raw", bench_value, 11},
    {"map", "clean", bench_map, 11},
    {"window", "points", bench_window, 11},
    {"window", "raw", bench_window_raw, 11},
    {"append-drain", "raw", bench_append_drain, 11},
    {"long-list", "empty", bench_long_list, 11},
    {"rescale", "iterate", bench_rescale, 1},
    {"timers", "raw", bench_timers, 11},
    {"ttl", "plain", bench_ttl, 11},
    {"checkpoint", "undisturbed", bench_checkpoint, 5},
    {"restore", "limited", bench_restore, 3},
    {"storage", "curl", bench_storage, 3},
};

static int usage(const char *problem, const char *what)
{
    fprintf(
        stderr,
        "tarn-bench: %s%s\n"
        "usage: tarn-bench WORKLOAD [--against BASELINE] [--json] [--keys N] [--events N] [--ops "
        "N]\n"
        "           [--memory SIZE] [--heap-percent N] [--rate N] [--dist NAME] [--input FILE]\n"
        "           [--value-bytes N] [--prefetch N] [--warm N] [--wait] [--elements N]\n"
        "           [--rounds N] [--seed N] [--managed-mib N] [--directory DIR]\n"
        "           [-D KEY=VALUE]... [-E KEY=VALUE]... [-R KEY=VALUE]...\n"
        "in one process (only one baseline, and no workload of two: it may be left out):\n"
        "           value --against raw, map --against clean, window --against points or raw,\n"
        "           append-drain --against raw, long-list --against empty,\n"
        "           timers --against raw [--timers N] [--sorted],\n"
        "           ttl --against plain,\n"
        "           rescale --against iterate,\n"
        "           restore --against limited,\n"
        "           checkpoint --against undisturbed,\n"
        "           storage --against curl --output s3://BUCKET/PREFIX\n"
        "in two, --against defaults, tuned, other, unaccounted or hash:\n",
        problem,
        what);
    for (size_t i = 0; i < BENCH_WORKLOAD_COUNT; i++) {
        fprintf(stderr, "  %-18s %s\n", BENCH_WORKLOADS[i].name, BENCH_WORKLOADS[i].what);
    }
    fprintf(stderr, "  %-18s %s\n", "nexmark", "all that begin with q, and their geometric mean");
    fprintf(stderr, "  %-18s %s\n", "micro", "all that begin with micro-, likewise");
    fprintf(stderr, "  %-18s %s\n", "keygen", "write the keys of rmw to --output FILE");
    return 2;
}

static bool read_number(const char *flag, const char *text, bench_options *options)
{
    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; i++) {
        if (strcmp(NUMBERS[i].flag, flag) != 0) {
            continue;
        }
        char *end = NULL;
        errno = 0;
        const unsigned long long value = strtoull(text, &end, 10);
        if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value < NUMBERS[i].min ||
            value > NUMBERS[i].max) {
            return false;
        }
        *(uint64_t *)(void *)((char *)options + NUMBERS[i].offset) = value;
        return true;
    }
    return false;
}

/* A size as 256m: bytes, or k, m, g of 1,024. */
static bool read_memory(const char *text, uint64_t *out)
{
    static const char UNITS[] = "kmg";
    char *end = NULL;
    errno = 0;
    const unsigned long long count = strtoull(text, &end, 10);
    const char *unit = *end != '\0' ? strchr(UNITS, *end) : NULL;
    if (errno != 0 || *text < '0' || *text > '9' || count > UINT32_MAX ||
        (*end != '\0' && (unit == NULL || end[1] != '\0'))) {
        return false;
    }
    *out = (uint64_t)count << (unit != NULL ? 10 * (unit - UNITS + 1) : 0);
    return *out >= UINT64_C(1) << 20;
}

static bool read_flag(const char *flag, const char *text, bench_options *options)
{
    const struct {
        const char *flag;
        const char **out;
    } texts[] = {
        {"--against", &options->against},
        {"--directory", &options->directory},
        {"--dist", &options->distribution},
        {"--input", &options->input},
        {"--output", &options->output},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(flag, texts[i].flag) == 0) {
            *texts[i].out = text;
            return true;
        }
    }
    if (strcmp(flag, "--memory") == 0) {
        return read_memory(text, &options->memory_bytes);
    }
    if (strcmp(flag, "-D") == 0 && options->assignment_count < BENCH_ASSIGNMENTS_MAX) {
        options->assignments[options->assignment_count++] = text;
        return true;
    }
    if (strcmp(flag, "-E") == 0 && options->other_count < BENCH_ASSIGNMENTS_MAX) {
        options->others[options->other_count++] = text;
        return true;
    }
    if (strcmp(flag, "-R") == 0 && options->rocks_count < BENCH_ASSIGNMENTS_MAX) {
        options->rocks[options->rocks_count++] = text;
        return true;
    }
    return read_number(flag, text, options);
}

/* The baseline of a workload that has no other; NULL: it has to be given. */
static const char *only_baseline(const char *name)
{
    const char *found = NULL;
    if (bench_workload_find(name) != NULL) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof WORKLOADS / sizeof WORKLOADS[0]; i++) {
        if (strcmp(name, WORKLOADS[i].name) == 0) {
            if (found != NULL) {
                return NULL;
            }
            found = WORKLOADS[i].against;
        }
    }
    return found;
}

/* Those that run in one process have a name and a baseline of their own. */
static int run(const char *name, bench_options *options)
{
    bool is_known = false;
    if (strcmp(name, "keygen") == 0) {
        return bench_keygen(options);
    }
    if (strcmp(name, "timers") == 0 && options->is_served) {
        return bench_serve_timers(options);
    }
    if (options->against == NULL) {
        options->against = only_baseline(name);
    }
    for (size_t i = 0; i < sizeof WORKLOADS / sizeof WORKLOADS[0]; i++) {
        if (strcmp(name, WORKLOADS[i].name) == 0) {
            is_known = true;
            if (options->against != NULL && strcmp(options->against, WORKLOADS[i].against) == 0) {
                options->rounds = options->rounds != 0 ? options->rounds : WORKLOADS[i].rounds;
                options->value_bytes =
                    options->value_bytes != 0 ? options->value_bytes : VALUE_BYTES_DEFAULT;
                return WORKLOADS[i].run(options);
            }
        }
    }
    options->value_bytes =
        options->value_bytes != 0 ? options->value_bytes : DUEL_VALUE_BYTES_DEFAULT;
    if (strcmp(name, "micro") == 0) {
        return bench_suite(name, "micro-", options);
    }
    if (strcmp(name, "nexmark") == 0) {
        return bench_suite(name, "q", options);
    }
    if (bench_workload_find(name) != NULL) {
        if (options->commands != 0 && options->answers != 0) {
            return bench_serve_pipes(name, options);
        }
        return options->is_served ? bench_serve(name, options) : bench_duel(name, options);
    }
    return usage(is_known ? "not a baseline of this workload: " : "unknown workload ", name);
}

int main(int argc, char **argv)
{
    const char *temporary = getenv("TMPDIR");
    bench_options options = {
        .keys = 200000,
        .ops = 200000,
        .elements = 64,
        .seed = 1,
        .managed_mib = 256,
        .events = 2000000,
        .rate = 100000,
        .memory_bytes = UINT64_C(256) << 20,
        .heap_percent = 50,
        .distribution = "zipf",
        .directory = temporary != NULL ? temporary : "/tmp",
        .arguments = argv,
    };
    if (argc < 2) {
        return usage("a workload is missing", "");
    }
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            options.is_json = true;
        } else if (strcmp(argv[i], "--wait") == 0) {
            options.waits = true;
        } else if (strcmp(argv[i], "--sorted") == 0) {
            options.is_sorted = true;
        } else if (strcmp(argv[i], "--serve") == 0) {
            options.is_served = true;
        } else if (i + 1 == argc || !read_flag(argv[i], argv[i + 1], &options)) {
            return usage("unknown option, or a value that is missing or not allowed: ", argv[i]);
        } else {
            i++;
        }
    }
    return run(argv[1], &options);
}

/* ---- what workloads share --------------------------------------------------------------- */

uint64_t bench_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void bench_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("tarn-bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void *bench_allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL) {
        bench_fail("no memory for %zu bytes", bytes);
    }
    return memory;
}

void bench_wait(const bench_options *options)
{
    if (options->waits) {
        char line[64];
        printf("loaded\n");
        (void)fflush(stdout);
        (void)!fgets(line, sizeof line, stdin);
    }
}

void bench_directory_make(const bench_options *options, char *path)
{
    (void)snprintf(path, BENCH_PATH_BYTES, "%s/tarn-bench-XXXXXX", options->directory);
    if (mkdtemp(path) == NULL) {
        bench_fail("cannot create a directory in %s", options->directory);
    }
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

void bench_directory_remove(const char *path)
{
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static int compare(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return (left > right) - (left < right);
}

bench_spread bench_spread_of(const double *values, uint64_t count)
{
    double sorted[BENCH_ROUNDS_MAX];
    memcpy(sorted, values, count * sizeof sorted[0]);
    qsort(sorted, count, sizeof sorted[0], compare);
    const double median =
        count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
    return (bench_spread){.median = median, .min = sorted[0], .max = sorted[count - 1]};
}

void bench_print_spread(const char *name, const double *values, uint64_t count)
{
    const bench_spread spread = bench_spread_of(values, count);
    printf(
        ",\"%s\":{\"median\":%.3f,\"min\":%.3f,\"max\":%.3f}",
        name,
        spread.median,
        spread.min,
        spread.max);
}

static void print_side(const char *name, bench_spread side)
{
    printf(
        ",\"%s\":{\"ops_per_s\":{\"median\":%.0f,\"min\":%.0f,\"max\":%.0f}}",
        name,
        side.median,
        side.min,
        side.max);
}

void bench_report(
    const char *workload,
    const bench_options *options,
    const bench_side *ours,
    const bench_side *baseline)
{
    double ratios[BENCH_ROUNDS_MAX];
    for (uint64_t i = 0; i < options->rounds; i++) {
        ratios[i] = ours->rates[i] / baseline->rates[i];
        if (!options->is_json) {
            printf(
                "round %llu: ours %.0f/s, %s %.0f/s, ratio %.3f\n",
                (unsigned long long)i + 1,
                ours->rates[i],
                options->against,
                baseline->rates[i],
                ratios[i]);
        }
    }
    const bench_spread ratio = bench_spread_of(ratios, options->rounds);
    printf(
        "{\"workload\":\"%s\",\"against\":\"%s\",\"ratio\":{\"median\":%.4f,\"min\":%.4f,"
        "\"max\":%.4f}",
        workload,
        options->against,
        ratio.median,
        ratio.min,
        ratio.max);
    print_side("ours", bench_spread_of(ours->rates, options->rounds));
    print_side("baseline", bench_spread_of(baseline->rates, options->rounds));
    printf(
        ",\"parameters\":{\"keys\":%llu,\"ops\":%llu,\"value_bytes\":%llu,\"elements\":%llu,"
        "\"rounds\":%llu,"
        "\"seed\":%llu,\"managed_mib\":%llu}}\n",
        (unsigned long long)options->keys,
        (unsigned long long)options->ops,
        (unsigned long long)options->value_bytes,
        (unsigned long long)options->elements,
        (unsigned long long)options->rounds,
        (unsigned long long)options->seed,
        (unsigned long long)options->managed_mib);
}
