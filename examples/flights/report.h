/*
 * report.h - what the job shows while it runs, and what it says at the end.
 *
 * Thread: the main thread's.
 */
#ifndef FLIGHTS_REPORT_H
#define FLIGHTS_REPORT_H

#include "job.h"

typedef struct report {
    job *job;
    bool is_quiet;
    bool is_terminal; /* Progress stays in one line. */
    uint64_t shown_ns;
    uint64_t shown_count;         /* Records at that time. */
    uint64_t resident_peak_bytes; /* Sampled. */
} report;

void report_begin(report *r, job *j);

/* Samples memory, and shows progress about once a second. */
void report_tick(report *r);

/* Says something beside the progress, such as a failed checkpoint; also when quiet. */
__attribute__((format(printf, 2, 3))) void report_say(report *r, const char *format, ...);

/* Ends the progress and prints the report, unless quiet. The threads are gone. */
void report_end(report *r);

#endif
