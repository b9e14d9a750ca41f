/*
 * flights - a small stream processor on Tarn, from end to end.
 *
 * Shows: one memory plan for the process, several backends under it, checkpoints while the stream
 * runs, sources whose positions are part of them, barriers that are aligned or overtake what is in
 * flight, watermarks from several sources, and a restore that ends with the same result as a run
 * that was never killed.
 *
 *     flights --repeat 4 --checkpoint-dir /var/tmp/chk --kill-at 0.6
 *     flights --repeat 4 --checkpoint-dir /var/tmp/chk --restore latest --out result.tsv
 *     flights --repeat 4 --checkpoint-dir /var/tmp/chk --stop-at 0.6 --savepoint-dir /var/tmp/save
 *     flights --repeat 4 --checkpoint-dir /var/tmp/chk --restore latest --allow-older
 *
 * Read job.c first; worker.c, barriers.c, snapshotting.c, origin.c, recovery.c and states.c have
 * most of what concerns the library. watermarks.c is an engine's part: the library has no say in
 * event time.
 */
#include <stdio.h>

#include "job.h"
#include "options.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int main(int argc, char **argv)
{
    static options o;
    tarn_error error;
    if (options_parse(argc, argv, &o, &error) != TARN_OK) {
        fprintf(stderr, "flights: %s (flights --help shows all options)\n", error.message);
        return EXIT_USAGE;
    }
    if (o.is_help) {
        fputs(options_usage, stdout);
        return EXIT_OK;
    }
    if (job_run(&o, &error) != TARN_OK) {
        fprintf(stderr, "flights: %s\n", error.message);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}
