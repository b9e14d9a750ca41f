/*
 * side.h - one side of a duel: a child process that plays a workload on a store, on command.
 *
 * The parent owns two pipes to each child. A command is answered when it is done; between commands
 * a side does nothing but what its store does in the background.
 *
 * A store that another program has is played by that one, started with the same arguments,
 * --commands and --answers.
 *
 * With --serve the program is such a side itself, for duels with what is no library: commands are
 * lines on stdin, answers lines on stdout.
 *
 *     (loaded)     ready LOAD_NS
 *     play N       NS
 *     finish       CHECKSUM CPU_NS RSS_PEAK_BYTES
 */
#ifndef TARN_TESTS_BENCH_SIDE_H
#define TARN_TESTS_BENCH_SIDE_H

#include <sys/types.h>

#include "workload.h"

typedef struct bench_side_figures {
    uint64_t checksum;
    uint64_t load_ns;
    uint64_t cpu_ns;        /* Of all threads, making events left out, in the measured turns. */
    uint64_t written_bytes; /* By write(), likewise; 0 where the system does not tell. */
    uint64_t rss_begin_bytes;
    uint64_t rss_peak_bytes;
    bench_hits hits; /* Likewise; rows are those at the end of them. */
    uint64_t p50_ns;
    uint64_t p99_ns;
    uint64_t p999_ns;
    uint64_t max_ns;
} bench_side_figures;

typedef enum bench_turn {
    BENCH_TURN_WARM,     /* Plays events. */
    BENCH_TURN_MEASURED, /* Likewise; their CPU time and bytes count. */
    BENCH_TURN_TIMED,    /* Likewise, each event by itself: for latencies. */
    BENCH_TURN_FINISH,   /* Checks, closes the store, answers the figures; the process ends. */
} bench_turn;

typedef struct bench_side_process {
    const bench_store_ops *ops;
    pid_t pid;
    int commands; /* Written to. */
    int answers;  /* Read from. */
} bench_side_process;

/* Starts a side, which loads its state; bench_side_await() waits for that. directory exists and is
 * empty. */
bench_side_process bench_side_start(
    const bench_workload *workload,
    const bench_store_ops *ops,
    const bench_options *options,
    const char *directory);

void bench_side_await(const bench_side_process *side);

/* Plays events; answers the nanoseconds that they took. */
uint64_t bench_side_play(const bench_side_process *side, bench_turn turn, uint64_t events);

bench_side_figures bench_side_finish(const bench_side_process *side);

#endif
