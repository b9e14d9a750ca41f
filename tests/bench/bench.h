/*
 * bench.h - what the workloads of tarn-bench share: options, clock, and the line that sums up.
 *
 * A workload runs both sides in one process, in alternating slices of equal work, round by round;
 * a round's ratio is our throughput over the baseline's. The last line on stdout is one JSON object
 * with the median, least and greatest ratio, and both sides' operations a second, or what the
 * workload's own file says.
 */
#ifndef TARN_TESTS_BENCH_H
#define TARN_TESTS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_ROUNDS_MAX = 1000, BENCH_ASSIGNMENTS_MAX = 16 };

typedef struct bench_options {
    const char *against;
    uint64_t keys;
    uint64_t ops;         /* Per round and side. */
    uint64_t value_bytes; /* 0: what is usual for the workload. */
    uint64_t elements;    /* Of a list. */
    uint64_t rounds;      /* 0: what is usual for the workload. */
    uint64_t seed;
    uint64_t managed_mib;                           /* RocksDB's share, of each side. */
    const char *directory;                          /* Where working directories are made. */
    const char *assignments[BENCH_ASSIGNMENTS_MAX]; /* Options of the configuration: key=value. */
    uint32_t assignment_count;
    uint64_t events;          /* Of all measured rounds together, each side. */
    uint64_t rate;            /* Events a second of event time. */
    uint64_t memory_bytes;    /* Of each side with a budget: cache, memtables, working set. */
    uint64_t heap_percent;    /* Of that, what is Tarn's heap pool; the rest is managed. */
    const char *distribution; /* Of keys: zipf, uniform, latest, hotspot. */
    const char *input;        /* Events from a file: little-endian int64 keys. NULL: generated. */
    const char *output;       /* Where keygen writes such a file. */
    const char *others[BENCH_ASSIGNMENTS_MAX]; /* Those of Tarn as its own baseline. */
    uint32_t other_count;
    const char *rocks[BENCH_ASSIGNMENTS_MAX]; /* Options of RocksDB alone: key=value. */
    uint32_t rocks_count;
    uint64_t prefetch;      /* Keys that are read ahead together, where a side can. 0: none. */
    uint64_t warm;          /* Events before those that are measured, after loading. */
    bool waits;             /* Between loading and measuring, for a line on stdin. */
    bool is_sorted;         /* Timers come, and keys are loaded, in their order. */
    bool is_served;         /* By commands on stdin. */
    bool is_json;           /* The JSON line alone; else the rounds before it. */
    char *const *arguments; /* Of the program, for one that is to play a side. */
    uint64_t commands;      /* File descriptors of such a one; 0: it is none. side.h */
    uint64_t answers;
} bench_options;

/* One side of a workload, by round. Units: operations a second. */
typedef struct bench_side {
    double rates[BENCH_ROUNDS_MAX];
} bench_side;

uint64_t bench_now_ns(void);

/* Memory that is there, zeroed, or the program ends. Freed by free(). */
void *bench_allocate(size_t bytes);

/* With --wait: says "loaded", and waits for a line on stdin. */
void bench_wait(const bench_options *options);

/* Makes a directory for a run below options->directory; path has BENCH_PATH_BYTES. */
enum { BENCH_PATH_BYTES = 4096 };
void bench_directory_make(const bench_options *options, char *path);
void bench_directory_remove(const char *path);

typedef struct bench_spread {
    double median;
    double min;
    double max;
} bench_spread;

bench_spread bench_spread_of(const double *values, uint64_t count);

/* Prints "name":{"median":..,"min":..,"max":..}. */
void bench_print_spread(const char *name, const double *values, uint64_t count);

/* Prints the summary. Sides have options->rounds rates each. */
void bench_report(
    const char *workload,
    const bench_options *options,
    const bench_side *ours,
    const bench_side *baseline);

/* Says why and ends the program with status 1. */
_Noreturn __attribute__((format(printf, 1, 2))) void bench_fail(const char *format, ...);

/* Measures a workload of tests/bench/workload.h; name is the one on the command line. */
int bench_duel(const char *name, const bench_options *options);
/* Measures each workload whose name begins with a prefix; then the geometric mean of the ratios. */
int bench_suite(const char *name, const char *prefix, const bench_options *options);
/* Plays a workload on Tarn by commands on stdin; tests/bench/side.h has them. */
int bench_serve(const char *name, const bench_options *options);
/* The same by the pipes of another process. */
int bench_serve_pipes(const char *name, const bench_options *options);
/* The same for timers; tests/bench/timers_served.c has the answers. */
int bench_serve_timers(const bench_options *options);
int bench_checkpoint(const bench_options *options);
int bench_keygen(const bench_options *options);

int bench_rescale(const bench_options *options);
int bench_restore(const bench_options *options);
int bench_storage(const bench_options *options);
int bench_timers(const bench_options *options);
int bench_ttl(const bench_options *options);
int bench_value(const bench_options *options);
int bench_map(const bench_options *options);
int bench_window(const bench_options *options);
int bench_window_raw(const bench_options *options);
int bench_append_drain(const bench_options *options);
int bench_long_list(const bench_options *options);

#endif
