/*
 * options.h - the command line of the example.
 */
#ifndef FLIGHTS_OPTIONS_H
#define FLIGHTS_OPTIONS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include <tarn/channel_state.h>
#include <tarn/config.h>

enum {
    SOURCES_DEFAULT = 2,
    SOURCES_MAX = 16,
    WORKERS_MAX = 64,
    REPEAT_MAX = 1000000,
    ASSIGNMENTS_MAX = 64,
    IN_FLIGHT_KIB_MAX = TARN_CHANNEL_STATE_BYTES_MAX >> 10,
    WATERMARK_MINUTES = 60,
    WATERMARK_MINUTES_MAX = 366 * 24 * 60
};

typedef struct options {
    char input[PATH_MAX];
    char conf[PATH_MAX];
    char work_dir[PATH_MAX];
    const char *checkpoint_dir; /* NULL: no checkpoints. */
    const char *restore;        /* "latest", a path, or NULL. */
    bool is_claimed;            /* What is restored is this job's from now on. */
    bool allows_older;          /* A damaged latest checkpoint is passed over. */
    const char *memory;         /* NULL: what the configuration says. */
    const char *interval_ms;    /* NULL: likewise. */
    const char *out;            /* "-": standard output. NULL: no result. */
    double checkpoint_at;       /* 0 .. 1; 0: never. */
    double kill_at;             /* Likewise. */
    double stop_at;             /* Likewise. */
    double savepoint_at;        /* Likewise. */
    const char *savepoint_dir;  /* NULL: what the configuration says. */
    uint32_t repeat_count;
    uint32_t source_count; /* 0: as the checkpoint says, or the default. */
    uint32_t worker_count;
    uint32_t in_flight_kib;     /* What a worker may keep for one checkpoint. */
    uint32_t watermark_minutes; /* What messages may be behind and still be in time. */
    bool is_unaligned;
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
