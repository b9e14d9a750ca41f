/*
 * options.h - the command line of the example.
 */
#ifndef BUFFERING_SINK_OPTIONS_H
#define BUFFERING_SINK_OPTIONS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include <tarn/config.h>

enum { SINKS_MAX = 32, ASSIGNMENTS_MAX = 64 };

typedef struct options {
    char conf[PATH_MAX];
    const char *out;            /* Directory of the output. Required. */
    const char *checkpoint_dir; /* Required. */
    const char *input;          /* NULL: count generated records. */
    const char *restore;        /* "latest", a path, or NULL. */
    uint64_t count;
    uint64_t rate;    /* Records a second; 0: as fast as can be. */
    uint64_t kill_at; /* Records; 0: never. */
    uint32_t parallelism;
    uint32_t threshold;
    bool is_quiet;
    bool is_help;
    const char *assignments[ASSIGNMENTS_MAX]; /* Of -D, in order. */
    uint32_t assignment_count;
} options;

extern const char options_usage[];

/* Reads the command line. Errors: TARN_INVALID_ARGUMENT with what is wrong. */
tarn_status options_parse(int argc, char **argv, options *out, tarn_error *error);

/* Loads the configuration file and sets what the command line says over it. */
tarn_status options_configure(const options *o, tarn_config **out, tarn_error *error);

#endif
