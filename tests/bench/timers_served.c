/*
 * timers_served.c - timers of Tarn on command, for tests/bench/versus-flink; see side.h.
 *
 *     (start)   ready NS
 *     play N    INSERT_NS POLL_NS       N timers are registered, then time goes beyond all of them
 *     finish    CHECKSUM CPU_NS RSS_PEAK_BYTES
 *
 * Each timer has a key of its own and a random time within the hour that follows the last play's,
 * so all plays are of one database, as a job's timers are. Timers.java draws the same ones.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench.h"
#include "job.h"
#include "tarn/timer.h"

enum { HOUR_MS = 3600 * 1000, KEY_BYTES = 8 };

typedef struct served {
    const bench_options *options;
    bench_job job;
    tarn_timers *timers;
    int64_t now_ms;
    uint64_t number; /* Of the next timer. */
    uint64_t checksum;
} served;

static void check(const served *s, tarn_status status)
{
    bench_check(status, &s->job.error);
}

static uint64_t mix(uint64_t number)
{
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

static void open_timers(served *s, const char *directory)
{
    tarn_timers_options timers = TARN_TIMERS_OPTIONS_INIT;
    bench_job_open(&s->job, s->options, directory, /* max_parallelism= */ 0);
    timers.name = "bench";
    check(s, tarn_timers_open(s->job.backend, &timers, &s->timers, &s->job.error));
}

static void register_timers(served *s, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t key = mix(s->number + i);
        const int64_t time = s->now_ms + 1 + (int64_t)(mix(key) % HOUR_MS);
        check(
            s,
            tarn_backend_set_key(s->job.backend, tarn_bytes_at(&key, sizeof key), &s->job.error));
        check(s, tarn_timers_register(s->timers, time, tarn_bytes_at("", 0), &s->job.error));
    }
    s->number += count;
}

static void advance(served *s, uint64_t count)
{
    tarn_timer timer;
    tarn_status status;
    int64_t last = s->now_ms;
    s->now_ms += HOUR_MS;
    while ((status = tarn_timers_poll(s->timers, s->now_ms, &timer, &s->job.error)) == TARN_OK) {
        uint64_t key;
        if (timer.time < last || timer.key.size != sizeof key) {
            bench_fail("a timer of %lld fired after %lld", (long long)timer.time, (long long)last);
        }
        last = timer.time;
        memcpy(&key, timer.key.data, sizeof key);
        s->checksum += mix(key ^ (uint64_t)timer.time);
        count--;
    }
    if (status != TARN_DONE || count != 0) {
        bench_fail("%" PRIu64 " timers did not fire", count);
    }
}

static uint64_t cpu_ns(const struct rusage *usage)
{
    const uint64_t seconds = (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec);
    const uint64_t micros = (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
    return seconds * 1000000000u + micros * 1000u;
}

int bench_serve_timers(const bench_options *options)
{
    static served s;
    char directory[BENCH_PATH_BYTES];
    char line[64];
    struct rusage begin;
    struct rusage end;
    s.options = options;
    bench_directory_make(options, directory);
    const uint64_t begin_ns = bench_now_ns();
    open_timers(&s, directory);
    printf("ready %" PRIu64 "\n", bench_now_ns() - begin_ns);
    (void)fflush(stdout);
    (void)getrusage(RUSAGE_SELF, &begin);
    while (fgets(line, sizeof line, stdin) != NULL && strncmp(line, "play ", 5) == 0) {
        const uint64_t count = strtoull(line + 5, NULL, 10);
        const uint64_t start_ns = bench_now_ns();
        register_timers(&s, count);
        const uint64_t registered_ns = bench_now_ns();
        advance(&s, count);
        printf(
            "%" PRIu64 " %" PRIu64 "\n", registered_ns - start_ns, bench_now_ns() - registered_ns);
        (void)fflush(stdout);
    }
    (void)getrusage(RUSAGE_SELF, &end);
    check(&s, tarn_timers_close(s.timers, &s.job.error));
    bench_job_close(&s.job);
    bench_directory_remove(directory);
    printf(
        "%016" PRIx64 " %" PRIu64 " %" PRIu64 "\n",
        s.checksum,
        cpu_ns(&end) - cpu_ns(&begin),
        (uint64_t)end.ru_maxrss * 1024);
    return 0;
}
