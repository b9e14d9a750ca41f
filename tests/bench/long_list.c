/*
 * long_list.c - one list of --elements elements: what an append to it costs beside an append to a
 * list that begins empty, how fast it is read from end to end, and what a reading adds to the
 * resident memory once another one has filled the caches.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "job.h"
#include "tarn/list.h"

enum { LINE_BYTES = 256 };

typedef struct long_list {
    const bench_options *options;
    bench_job job;
    tarn_list *list;
    uint8_t *element;
    char directory[BENCH_PATH_BYTES];
} long_list;

static void check(long_list *run, tarn_status status)
{
    bench_check(status, &run->job.error);
}

static void begin(long_list *run)
{
    const bench_options *options = run->options;
    char path[BENCH_PATH_BYTES + 8];
    bench_directory_make(options, run->directory);
    (void)snprintf(path, sizeof path, "%s/ours", run->directory);
    bench_job_open(&run->job, options, path, /* max_parallelism= */ 0);
    tarn_state_options state_options = TARN_STATE_OPTIONS_INIT;
    state_options.name = "list";
    check(run, tarn_list_open(run->job.backend, &state_options, &run->list, &run->job.error));
    run->element = bench_allocate(options->value_bytes);
}

static void end(long_list *run)
{
    free(run->element);
    check(run, tarn_list_close(run->list, &run->job.error));
    bench_job_close(&run->job);
    bench_directory_remove(run->directory);
}

/* Appends to a key's list. Answers appends a second. */
static double append(long_list *run, uint64_t key, uint64_t count)
{
    const tarn_bytes element = tarn_bytes_at(run->element, run->options->value_bytes);
    const uint64_t begin_ns = bench_now_ns();
    for (uint64_t i = 0; i < count; i++) {
        check(
            run,
            tarn_backend_set_key(
                run->job.backend, tarn_bytes_at(&key, sizeof key), &run->job.error));
        check(run, tarn_list_append(run->list, element, &run->job.error));
    }
    return (double)count * 1e9 / (double)(bench_now_ns() - begin_ns);
}

/* Reads the long list. Answers bytes of elements a second. */
static double read_all(long_list *run, uint64_t count)
{
    const uint64_t key = 0;
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    uint64_t found = 0;
    check(
        run,
        tarn_backend_set_key(run->job.backend, tarn_bytes_at(&key, sizeof key), &run->job.error));
    const uint64_t begin_ns = bench_now_ns();
    check(run, tarn_list_iterate(run->list, NULL, &iterator, &run->job.error));
    while (tarn_list_iterator_next(iterator, &element, &run->job.error) == TARN_OK) {
        found += element.size == run->options->value_bytes ? 1 : 0;
    }
    tarn_list_iterator_close(iterator);
    const uint64_t end_ns = bench_now_ns();
    if (found != count) {
        bench_fail("the list has %llu elements", (unsigned long long)found);
    }
    return (double)(count * run->options->value_bytes) * 1e9 / (double)(end_ns - begin_ns);
}

static uint64_t resident_kib(const char *label)
{
    char line[LINE_BYTES];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, label, strlen(label)) == 0) {
            kib = strtoull(line + strlen(label), NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kib;
}

int bench_long_list(const bench_options *options)
{
    static bench_side to_long;
    static bench_side to_empty;
    static bench_side reads;
    static long_list run;
    run.options = options;
    begin(&run);
    (void)append(&run, 0, options->elements);
    uint64_t count = options->elements;
    for (uint64_t i = 0; i < options->rounds; i++) {
        to_long.rates[i] = append(&run, 0, options->ops);
        to_empty.rates[i] = append(&run, i + 1, options->ops);
        count += options->ops;
    }
    (void)read_all(&run, count);
    const uint64_t before_kib = resident_kib("VmRSS:");
    uint64_t most_kib = before_kib;
    for (uint64_t i = 0; i < options->rounds; i++) {
        reads.rates[i] = read_all(&run, count);
        const uint64_t now_kib = resident_kib("VmRSS:");
        most_kib = now_kib > most_kib ? now_kib : most_kib;
    }
    const bench_spread read = bench_spread_of(reads.rates, options->rounds);
    if (!options->is_json) {
        printf(
            "read: %.0f MB/s (%.0f to %.0f), %llu KiB more resident\n",
            read.median / 1e6,
            read.min / 1e6,
            read.max / 1e6,
            (unsigned long long)(most_kib - before_kib));
    }
    end(&run);
    bench_report("long-list", options, &to_long, &to_empty);
    return 0;
}
