#include "report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "clock.h"

static const double mebibyte = 1 << 20;

static double to_mib(uint64_t bytes)
{
    return (double)bytes / mebibyte;
}

static double to_s(uint64_t ns)
{
    return (double)ns / NS_PER_S;
}

void report_begin(report *r, job *j)
{
    *r = (report){
        .job = j,
        .is_quiet = j->options->is_quiet,
        .is_terminal = isatty(STDERR_FILENO) != 0,
        .shown_ns = clock_now_ns(),
        .shown_count = j->restored_at,
    };
    if (j->origin.id > 0 && !r->is_quiet) {
        report_say(
            r,
            "restored checkpoint %" PRIu64 " at record %" PRIu64 " in %.1f s",
            j->origin.id,
            j->restored_at,
            to_s(r->shown_ns - j->started_ns));
    }
}

void report_say(report *r, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%sflights: %s\n", r->is_terminal ? "\r\033[K" : "", text);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void add_snapshots(snapshot_figures *sum, const snapshot_figures *one)
{
    sum->reused_bytes += one->reused_bytes;
    sum->uploaded_bytes += one->uploaded_bytes;
    sum->kept_bytes += one->kept_bytes;
    sum->kept_bytes_max = larger(sum->kept_bytes_max, one->kept_bytes_max);
    sum->sync_ns_max = larger(sum->sync_ns_max, one->sync_ns_max);
}

static void add_restore(tarn_backend_stats *sum, const tarn_backend_stats *one)
{
    sum->restored_file_count += one->restored_file_count;
    sum->restored_bytes += one->restored_bytes;
    sum->local_file_count += one->local_file_count;
    sum->local_bytes += one->local_bytes;
    sum->local_damaged_count += one->local_damaged_count;
}

/* Sums over all workers, as of at most a second ago. */
static worker_figures sum_figures(job *j)
{
    worker_figures sum = {.size = {.row_count = 0}};
    for (uint32_t i = 0; i < j->options->worker_count; i++) {
        const worker_figures one = worker_measure(&j->workers[i]);
        sum.stats.live_file_bytes += one.stats.live_file_bytes;
        sum.stats.row_count_estimate += one.stats.row_count_estimate;
        sum.stats.memtable_bytes += one.stats.memtable_bytes;
        sum.stats.snapshot_wait_count += one.stats.snapshot_wait_count;
        sum.stats.snapshot_wait_ns += one.stats.snapshot_wait_ns;
        add_restore(&sum.stats, &one.stats);
        sum.size.row_count += one.size.row_count;
        sum.size.key_bytes += one.size.key_bytes;
        sum.size.value_bytes += one.size.value_bytes;
        sum.size.flights += one.size.flights;
        add_snapshots(&sum.snapshots, &one.snapshots);
        sum.late_count += one.late_count;
        sum.barriers.aligned_instead_count += one.barriers.aligned_instead_count;
        tarn_alignment_figures *alignment = &sum.barriers.alignment;
        alignment->switched_count += one.barriers.alignment.switched_count;
        alignment->alignment_ms_max =
            larger(alignment->alignment_ms_max, one.barriers.alignment.alignment_ms_max);
    }
    return sum;
}

/* Appends to text, up to size. */
__attribute__((format(printf, 3, 4))) static void append(
    char *text, size_t size, const char *format, ...)
{
    const size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
}

static void append_pools(char *text, size_t size, tarn_budget *budget)
{
    for (int i = 0; i < TARN_POOL_COUNT; i++) {
        const tarn_pool_stats pool = tarn_budget_pool(budget, (tarn_pool)i);
        append(
            text,
            size,
            "%s%s %.1f/%.0f",
            i == 0 ? "" : " ",
            tarn_pool_name((tarn_pool)i),
            to_mib(pool.used_bytes),
            to_mib(pool.limit_bytes));
    }
}

static uint64_t count_emitted(const job *j)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < j->source_count; i++) {
        count += atomic_load(&j->sources[i].emitted_count);
    }
    return count;
}

static void write_progress(report *r, const tarn_env_memory *memory, char *text, size_t size)
{
    job *j = r->job;
    const uint64_t now_ns = clock_now_ns();
    const uint64_t count = count_emitted(j);
    const double seconds = to_s(now_ns - r->shown_ns);
    const worker_figures figures = sum_figures(j);
    text[0] = '\0';
    append(
        text,
        size,
        "%3.0f%% %" PRIu64 " records %.0f/s | %.1f M rows, %.0f MiB on disk | ",
        j->record_count == 0 ? 100 : 100 * (double)count / (double)j->record_count,
        count,
        (double)(count - r->shown_count) / seconds,
        (double)figures.stats.row_count_estimate / 1e6,
        to_mib(figures.stats.live_file_bytes));
    append_pools(text, size, tarn_env_budget(j->env));
    append(
        text,
        size,
        " (cache %.0f, memtables %.0f) | rss %.0f/%.0f MiB",
        to_mib(memory->block_cache_used_bytes),
        to_mib(memory->memtable_bytes),
        to_mib(memory->resident_bytes),
        to_mib(memory->planned_process_bytes));
    if (j->checkpointing.completed_count > 0) {
        const tarn_checkpoint_summary *latest = &j->checkpointing.latest;
        append(
            text,
            size,
            " | chk-%" PRIu64 " %.2f s, %.1f MiB new",
            latest->id,
            (double)latest->duration_ms / 1e3,
            to_mib(latest->new_bytes));
    }
    r->shown_ns = now_ns;
    r->shown_count = count;
}

static void show(const report *r, const char *text)
{
    struct winsize size;
    if (r->is_terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1) {
        fprintf(stderr, "\r\033[K%.*s", size.ws_col - 1, text);
    } else {
        fprintf(stderr, "%s\n", text);
    }
    fflush(stderr);
}

void report_tick(report *r)
{
    tarn_env_memory memory;
    tarn_env_measure(r->job->env, &memory);
    if (memory.resident_bytes > r->resident_peak_bytes) {
        r->resident_peak_bytes = memory.resident_bytes;
    }
    if (!r->is_quiet && clock_now_ns() - r->shown_ns >= NS_PER_S) {
        char text[512];
        write_progress(r, &memory, text, sizeof text);
        show(r, text);
    }
}

/* Lines of the report. */

static void print_order(
    const report *r, const worker_figures *figures, const position *sum, FILE *out)
{
    const double records = sum->emitted > 0 ? (double)sum->emitted : 1;
    const double messages = 2 * records - (double)sum->without_aircraft_count;
    fprintf(
        out,
        "\norder        %.1f %% came out of order, by up to %" PRIu64 " h %02" PRIu64 " min; "
        "%.1f %% (%" PRIu64 " messages) behind a watermark of %u min; all counted\n"
        "             %" PRIu64 " had no aircraft, and were counted by route only\n",
        100 * (double)sum->out_of_order_count / records,
        sum->out_of_order_max / 3600,
        sum->out_of_order_max / 60 % 60,
        100 * (double)figures->late_count / messages,
        figures->late_count,
        r->job->options->watermark_minutes,
        sum->without_aircraft_count);
}

static void print_records(const report *r, const worker_figures *figures, FILE *out)
{
    const job *j = r->job;
    position sum = {.round = 0};
    for (uint32_t i = 0; i < j->source_count; i++) {
        position_add(&sum, &j->sources[i].position);
    }
    const double seconds = to_s(clock_now_ns() - j->started_ns);
    const uint64_t count = sum.emitted - j->restored_at;
    fprintf(
        out,
        "records      %" PRIu64 " in %.1f s: %.0f/s",
        count,
        seconds,
        (double)count / (seconds > 0 ? seconds : 1));
    if (j->origin.id > 0) {
        fprintf(out, "; %" PRIu64 " before, in checkpoint %" PRIu64, j->restored_at, j->origin.id);
    }
    print_order(r, figures, &sum, out);
}

static void print_restore(const report *r, const worker_figures *figures, FILE *out)
{
    const tarn_backend_stats *stats = &figures->stats;
    if (r->job->origin.id == 0) {
        return;
    }
    fprintf(
        out,
        "restore      %" PRIu64 " files fetched (%.1f MiB), %" PRIu64
        " taken from local copies (%.1f MiB)",
        stats->restored_file_count,
        to_mib(stats->restored_bytes),
        stats->local_file_count,
        to_mib(stats->local_bytes));
    if (stats->local_damaged_count > 0) {
        fprintf(out, "; %" PRIu64 " damaged copies were dropped", stats->local_damaged_count);
    }
    if (r->job->origin.passed_over_count > 0) {
        fprintf(out, "; %u newer checkpoints were passed over", r->job->origin.passed_over_count);
    }
    fputc('\n', out);
}

static void print_state(const report *r, const worker_figures *figures, FILE *out)
{
    const state_size *size = &figures->size;
    const uint64_t bytes = size->key_bytes + size->value_bytes;
    const tarn_pool_stats managed =
        tarn_budget_pool(tarn_env_budget(r->job->env), TARN_POOL_MANAGED);
    fprintf(
        out,
        "state        %" PRIu64
        " rows, %.1f MiB live (keys %.1f + values %.1f): %.1f times the managed "
        "pool of %.1f MiB; on disk %.1f MiB\n",
        size->row_count,
        to_mib(bytes),
        to_mib(size->key_bytes),
        to_mib(size->value_bytes),
        managed.limit_bytes > 0 ? (double)bytes / (double)managed.limit_bytes : 0,
        to_mib(managed.limit_bytes),
        to_mib(figures->stats.live_file_bytes));
}

static void print_memory(const report *r, FILE *out)
{
    tarn_env_memory memory;
    tarn_env_measure(r->job->env, &memory);
    const uint64_t peak = memory.resident_peak_bytes > r->resident_peak_bytes
                              ? memory.resident_peak_bytes
                              : r->resident_peak_bytes;
    const bool is_within = peak <= memory.planned_process_bytes;
    fprintf(
        out,
        "memory       peak RSS %.1f MiB (sampled %.1f) of %.1f MiB planned: %s THE PLAN\n"
        "pools, MiB   ",
        to_mib(peak),
        to_mib(r->resident_peak_bytes),
        to_mib(memory.planned_process_bytes),
        is_within ? "WITHIN" : "OVER");
    for (int i = 0; i < TARN_POOL_COUNT; i++) {
        const tarn_pool_stats pool = tarn_budget_pool(tarn_env_budget(r->job->env), (tarn_pool)i);
        fprintf(
            out,
            "%s%s peak %.1f of %.1f",
            i == 0 ? "" : ", ",
            tarn_pool_name((tarn_pool)i),
            to_mib(pool.peak_bytes),
            to_mib(pool.limit_bytes));
    }
    fputc('\n', out);
}

static int compare_durations(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a;
    const uint32_t right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static gate_waits sum_waits(job *j)
{
    gate_waits sum = {.source_ns = 0};
    for (uint32_t i = 0; i < j->options->worker_count; i++) {
        const gate_waits one = gate_measure(&j->gates[i]);
        sum.source_ns += one.source_ns;
        sum.worker_ns += one.worker_ns;
        sum.blocked_ns += one.blocked_ns;
    }
    return sum;
}

static void print_barriers(const report *r, const worker_figures *figures, FILE *out)
{
    const snapshot_figures *snapshots = &figures->snapshots;
    fprintf(
        out,
        "barriers     %u sources; channels blocked for %.3f ms in all, alignments of up to "
        "%" PRIu64 " ms, %" PRIu64 " became unaligned",
        r->job->source_count,
        (double)sum_waits(r->job).blocked_ns / NS_PER_MS,
        figures->barriers.alignment.alignment_ms_max,
        figures->barriers.alignment.switched_count);
    if (snapshots->kept_bytes > 0) {
        fprintf(
            out,
            "; %.1f KiB in flight kept, up to %.1f of the %u KiB of a worker",
            (double)snapshots->kept_bytes / 1024,
            (double)snapshots->kept_bytes_max / 1024,
            gate_capacity(&r->job->gates[0]) / 1024);
    }
    if (figures->barriers.aligned_instead_count > 0) {
        fprintf(
            out,
            "; %" PRIu64 " aligned instead, as the network pool had no room for what is in flight",
            figures->barriers.aligned_instead_count);
    }
    fputc('\n', out);
}

static void print_checkpoints(const report *r, const worker_figures *figures, FILE *out)
{
    checkpointing *c = &r->job->checkpointing;
    if (r->job->options->checkpoint_dir == NULL) {
        fprintf(out, "checkpoints  none were wanted\n");
        return;
    }
    fprintf(
        out,
        "checkpoints  %" PRIu64 " complete, %" PRIu64 " failed",
        c->completed_count,
        c->failed_count);
    if (c->completed_count > 0) {
        const size_t count =
            c->completed_count < DURATIONS_MAX ? (size_t)c->completed_count : DURATIONS_MAX;
        qsort(c->durations_ms, count, sizeof *c->durations_ms, compare_durations);
        fprintf(
            out,
            "; took %.2f s (median), %.2f s (longest); %.1f MiB new, %.1f MiB reused; "
            "a barrier held a worker %.1f ms at most",
            c->durations_ms[count / 2] / 1e3,
            c->durations_ms[count - 1] / 1e3,
            to_mib(c->new_bytes),
            to_mib(figures->snapshots.reused_bytes),
            (double)figures->snapshots.sync_ns_max / NS_PER_MS);
    }
    fputc('\n', out);
    print_barriers(r, figures, out);
}

static void print_waits(const report *r, const worker_figures *figures, FILE *out)
{
    const gate_waits waits = sum_waits(r->job);
    tarn_env_memory memory;
    tarn_env_measure(r->job->env, &memory);
    fprintf(
        out,
        "waits        sources for workers %.1f s (back-pressure), workers for sources %.1f s; "
        "memtable stalls %" PRIu64 " (%.1f s), snapshot links %" PRIu64 " (%.1f s)\n",
        to_s(waits.source_ns),
        to_s(waits.worker_ns),
        memory.write_stall_count,
        to_s(memory.write_stall_ns),
        figures->stats.snapshot_wait_count,
        to_s(figures->stats.snapshot_wait_ns));
}

void report_end(report *r)
{
    if (r->is_quiet) {
        return;
    }
    if (r->is_terminal) {
        fputs("\r\033[K", stderr);
    }
    const char *result = r->job->options->out;
    FILE *out = result != NULL && strcmp(result, "-") == 0 ? stderr : stdout;
    const worker_figures figures = sum_figures(r->job);
    print_records(r, &figures, out);
    print_restore(r, &figures, out);
    print_state(r, &figures, out);
    print_memory(r, out);
    print_checkpoints(r, &figures, out);
    print_waits(r, &figures, out);
    fflush(out);
}
