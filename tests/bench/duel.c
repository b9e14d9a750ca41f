/*
 * duel.c - Tarn and a baseline take turns at the same events, each in a process of its own.
 *
 * Both load their state at once. Then, with --wait after a line on stdin, a warm-up of one round. A
 * round's events are played in slices, one side after the other, who begins alternating; its ratio
 * is our events a second over the baseline's. One more round, not counted, times every event by
 * itself. At the end both must have the same checksum, and neither may have used more memory than
 * its budget with TOLERANCE.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "side.h"

enum { SLICES = 8, ROUNDS_DEFAULT = 5, BENCH_SUITE_MAX = 32 };

/* Beyond the budget: code, stacks, what RocksDB keeps outside its cache, what malloc loses. */
static const uint64_t TOLERANCE_BYTES = UINT64_C(48) << 20;
static const double TOLERANCE_SHARE = 0.15;

typedef struct duel {
    const bench_workload *workload;
    const bench_options *options;
    uint64_t rounds;
    bench_side_process sides[2]; /* Ours, the baseline. */
    bench_side_figures figures[2];
    double rates[2][BENCH_ROUNDS_MAX];
} duel_run;

static const bench_store_ops *const BASELINES[] = {
    &BENCH_STORE_DEFAULTS,
    &BENCH_STORE_TUNED,
    &BENCH_STORE_HASH,
    &BENCH_STORE_OTHER,
    &BENCH_STORE_UNACCOUNTED,
};

static const bench_store_ops *baseline_of(const bench_workload *workload, const char *name)
{
    for (size_t i = 0; i < sizeof BASELINES / sizeof BASELINES[0]; i++) {
        if (name != NULL && strcmp(BASELINES[i]->name, name) == 0) {
            if ((workload->kinds & ~BASELINES[i]->kinds) != 0) {
                bench_fail("the baseline %s has not what %s needs", name, workload->name);
            }
            return BASELINES[i];
        }
    }
    bench_fail(
        "%s is measured --against defaults, tuned, other, unaccounted or hash", workload->name);
}

static void play_round(duel_run *duel, bench_turn turn, uint64_t round, uint64_t ns[2])
{
    const uint64_t events = duel->options->events / duel->rounds;
    uint64_t done = 0;
    ns[0] = 0;
    ns[1] = 0;
    for (uint64_t slice = 0; slice < SLICES; slice++) {
        const uint64_t end = events * (slice + 1) / SLICES;
        for (uint64_t i = 0; i < 2; i++) {
            const uint64_t side = (slice + round + i) % 2;
            ns[side] += bench_side_play(&duel->sides[side], turn, end - done);
        }
        done = end;
    }
}

static void play_rounds(duel_run *duel)
{
    const uint64_t events = duel->options->events / duel->rounds;
    uint64_t ns[2];
    play_round(duel, BENCH_TURN_WARM, 0, ns);
    for (uint64_t i = 0; i < duel->rounds; i++) {
        play_round(duel, BENCH_TURN_MEASURED, i, ns);
        duel->rates[0][i] = (double)events * 1e9 / (double)ns[0];
        duel->rates[1][i] = (double)events * 1e9 / (double)ns[1];
        if (!duel->options->is_json) {
            printf(
                "round %" PRIu64 ": ours %.0f/s, %s %.0f/s, ratio %.3f\n",
                i + 1,
                duel->rates[0][i],
                duel->sides[1].ops->name,
                duel->rates[1][i],
                duel->rates[0][i] / duel->rates[1][i]);
            (void)fflush(stdout);
        }
    }
    play_round(duel, BENCH_TURN_TIMED, duel->rounds, ns);
}

/* ---- the report ------------------------------------------------------------------------- */

static bool is_within_budget(const duel_run *duel, uint32_t side)
{
    const bench_side_figures *figures = &duel->figures[side];
    const double limit = (double)duel->options->memory_bytes * (1 + TOLERANCE_SHARE) +
                         (double)TOLERANCE_BYTES + (double)figures->rss_begin_bytes;
    return !duel->sides[side].ops->has_budget || (double)figures->rss_peak_bytes <= limit;
}

/* What a sanitizer adds is no store's doing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool IS_SANITIZED = true;
#else
static const bool IS_SANITIZED = false;
#endif

static void print_side(const duel_run *duel, uint32_t side, const char *name)
{
    const bench_side_figures *figures = &duel->figures[side];
    const bench_spread rate = bench_spread_of(duel->rates[side], duel->rounds);
    const double events = (double)(duel->options->events / duel->rounds * duel->rounds);
    const uint64_t reads = figures->hits.hit_count + figures->hits.miss_count;
    printf(
        ",\"%s\":{\"store\":\"%s\",\"ops_per_s\":{\"median\":%.0f,\"min\":%.0f,\"max\":%.0f},"
        "\"cpu_us_per_op\":%.4f,\"hits\":{\"share\":%.4f,\"rows\":%" PRIu64 ",\"declined\":%" PRIu64
        ",\"is_aside\":%s},\"written_bytes\":%" PRIu64 ",\"written_bytes_per_op\":%.2f,"
        "\"latency_ns\":{\"p50\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p99.9\":%" PRIu64
        ",\"max\":%" PRIu64 "},\"load_ms\":%" PRIu64 ",\"rss_bytes\":{\"begin\":%" PRIu64
        ",\"peak\":%" PRIu64 ",\"is_within_budget\":%s}}",
        name,
        duel->sides[side].ops->name,
        rate.median,
        rate.min,
        rate.max,
        (double)figures->cpu_ns / 1000 / events,
        reads != 0 ? (double)figures->hits.hit_count / (double)reads : 0,
        figures->hits.row_count,
        figures->hits.declined_count,
        figures->hits.is_aside ? "true" : "false",
        figures->written_bytes,
        (double)figures->written_bytes / events,
        figures->p50_ns,
        figures->p99_ns,
        figures->p999_ns,
        figures->max_ns,
        figures->load_ns / 1000000,
        figures->rss_begin_bytes,
        figures->rss_peak_bytes,
        is_within_budget(duel, side) ? "true" : "false");
}

/* A JSON string; of what has to be escaped, only what a line of a shell has in it. */
static void print_text(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            putchar('\\');
        }
        putchar((unsigned char)*text < ' ' ? ' ' : *text);
    }
    putchar('"');
}

static void print_texts(const char *name, const char *const *texts, uint32_t count)
{
    printf(",\"%s\":[", name);
    for (uint32_t i = 0; i < count; i++) {
        (void)fputs(i > 0 ? "," : "", stdout);
        print_text(texts[i]);
    }
    (void)fputs("]", stdout);
}

/* Everything that a ratio depends on: what was asked for, and of which side. */
static void print_parameters(const duel_run *duel)
{
    const bench_options *options = duel->options;
    printf(
        ",\"parameters\":{\"keys\":%" PRIu64 ",\"events\":%" PRIu64 ",\"warm\":%" PRIu64
        ",\"value_bytes\":%" PRIu64 ",\"distribution\":\"%s\",\"is_sorted\":%s,\"rounds\":%" PRIu64
        ",\"seed\":%" PRIu64 ",\"memory_bytes\":%" PRIu64 ",\"heap_percent\":%" PRIu64
        ",\"prefetch\":%" PRIu64,
        options->keys,
        options->events,
        options->warm,
        options->value_bytes,
        options->input != NULL ? "input" : options->distribution,
        options->is_sorted ? "true" : "false",
        duel->rounds,
        options->seed,
        options->memory_bytes,
        options->heap_percent,
        options->prefetch);
    print_texts("options", options->assignments, options->assignment_count);
    print_texts("other_options", options->others, options->other_count);
    print_texts("rocksdb_options", options->rocks, options->rocks_count);
    (void)puts("}}");
}

static double print_report(const duel_run *duel)
{
    const bench_options *options = duel->options;
    double ratios[BENCH_ROUNDS_MAX];
    for (uint64_t i = 0; i < duel->rounds; i++) {
        ratios[i] = duel->rates[0][i] / duel->rates[1][i];
    }
    const bench_spread ratio = bench_spread_of(ratios, duel->rounds);
    printf(
        "{\"workload\":\"%s\",\"against\":\"%s\",\"ratio\":{\"median\":%.4f,\"min\":%.4f,"
        "\"max\":%.4f}",
        duel->workload->name,
        options->against,
        ratio.median,
        ratio.min,
        ratio.max);
    print_side(duel, 0, "ours");
    print_side(duel, 1, "baseline");
    printf(",\"checksum\":\"%016" PRIx64 "\"", duel->figures[0].checksum);
    print_parameters(duel);
    return ratio.median;
}

/* ---- beginning and end ------------------------------------------------------------------ */

static void start_sides(duel_run *duel, const char *directory)
{
    for (uint32_t i = 0; i < 2; i++) {
        char path[BENCH_PATH_BYTES + 16];
        (void)snprintf(path, sizeof path, "%s/%s", directory, duel->sides[i].ops->name);
        (void)mkdir(path, 0777);
        duel->sides[i] = bench_side_start(duel->workload, duel->sides[i].ops, duel->options, path);
    }
    for (uint32_t i = 0; i < 2; i++) { /* Both load at the same time. */
        bench_side_await(&duel->sides[i]);
    }
    for (uint32_t i = 0; i < 2 && duel->options->warm > 0; i++) {
        (void)bench_side_play(&duel->sides[i], BENCH_TURN_WARM, duel->options->warm);
    }
    bench_wait(duel->options);
}

/* Answers the median ratio. */
static double fight(const char *name, const bench_options *options)
{
    static duel_run duel;
    char directory[BENCH_PATH_BYTES];
    duel.options = options;
    duel.rounds = options->rounds != 0 ? options->rounds : ROUNDS_DEFAULT;
    duel.workload = bench_workload_find(name);
    duel.sides[0].ops = &BENCH_STORE_TARN;
    duel.sides[1].ops = baseline_of(duel.workload, options->against);
    bench_directory_make(options, directory);
    start_sides(&duel, directory);
    play_rounds(&duel);
    for (uint32_t i = 0; i < 2; i++) {
        duel.figures[i] = bench_side_finish(&duel.sides[i]);
    }
    bench_directory_remove(directory);
    if (duel.figures[0].checksum != duel.figures[1].checksum) {
        bench_fail(
            "%s: the sides have different answers: %016" PRIx64 " and %016" PRIx64,
            name,
            duel.figures[0].checksum,
            duel.figures[1].checksum);
    }
    const double ratio = print_report(&duel);
    for (uint32_t i = 0; i < 2 && !IS_SANITIZED; i++) {
        if (!is_within_budget(&duel, i)) {
            bench_fail("%s: %s used more memory than it was given", name, duel.sides[i].ops->name);
        }
    }
    return ratio;
}

int bench_duel(const char *name, const bench_options *options)
{
    (void)fight(name, options);
    return 0;
}

int bench_suite(const char *name, const char *prefix, const bench_options *options)
{
    double ratios[BENCH_SUITE_MAX];
    double logarithms = 0;
    uint64_t count = 0;
    for (size_t i = 0; i < BENCH_WORKLOAD_COUNT && count < BENCH_SUITE_MAX; i++) {
        if (strncmp(BENCH_WORKLOADS[i].name, prefix, strlen(prefix)) == 0) {
            ratios[count] = fight(BENCH_WORKLOADS[i].name, options);
            logarithms += log(ratios[count++]);
            (void)fflush(stdout);
        }
    }
    const bench_spread ratio = bench_spread_of(ratios, count);
    printf(
        "{\"workload\":\"%s\",\"against\":\"%s\",\"ratio\":{\"median\":%.4f,\"min\":%.4f,"
        "\"max\":%.4f,\"geometric_mean\":%.4f},\"count\":%" PRIu64 "}\n",
        name,
        options->against,
        ratio.median,
        ratio.min,
        ratio.max,
        exp(logarithms / (double)count),
        count);
    return 0;
}
