#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flights/failure.h"

const char options_usage[] =
    "Usage: buffering_sink --out DIR --checkpoint-dir DIR [OPTION]...\n"
    "Writes records to DIR/part-N.txt in batches; what is buffered survives in operator state.\n"
    "\n"
    "  --out DIR              output, one file per sink; emptied unless --restore is given\n"
    "  --checkpoint-dir DIR   write checkpoints below DIR/buffering_sink\n"
    "  --input FILE           the lines of FILE are the records (default: --count numbers)\n"
    "  --count N              generate N records (100000)\n"
    "  --parallelism N        sinks (2); a restore may have another number\n"
    "  --threshold N          a sink writes when it has buffered N records (100)\n"
    "  --rate N               records a second; 0: as many as can be (0)\n"
    "  --restore latest|PATH  go on from the latest checkpoint of DIR, or from that one\n"
    "  --kill-at N            SIGKILL itself at record N, or when two checkpoints are complete,\n"
    "                         whichever is later\n"
    "  --conf FILE            flink-conf.yaml or config.yaml (the example's own)\n"
    "  -D KEY=VALUE           any option of the configuration; may be repeated\n"
    "  --quiet                neither settings nor report\n"
    "  --help                 this text\n"
    "\n"
    "SIGINT and SIGTERM cancel the job; whether checkpoints are kept is the configuration's.\n"
    "Exit status: 0 success, 1 failure, 2 wrong usage, 130 cancelled.\n";

enum option_id {
    OPTION_OUT = 256,
    OPTION_CHECKPOINT_DIR,
    OPTION_INPUT,
    OPTION_COUNT,
    OPTION_PARALLELISM,
    OPTION_THRESHOLD,
    OPTION_RATE,
    OPTION_RESTORE,
    OPTION_KILL_AT,
    OPTION_CONF,
    OPTION_QUIET,
    OPTION_HELP,
};

static const struct option long_options[] = {
    {"out", required_argument, NULL, OPTION_OUT},
    {"checkpoint-dir", required_argument, NULL, OPTION_CHECKPOINT_DIR},
    {"input", required_argument, NULL, OPTION_INPUT},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"parallelism", required_argument, NULL, OPTION_PARALLELISM},
    {"threshold", required_argument, NULL, OPTION_THRESHOLD},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"restore", required_argument, NULL, OPTION_RESTORE},
    {"kill-at", required_argument, NULL, OPTION_KILL_AT},
    {"conf", required_argument, NULL, OPTION_CONF},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static tarn_status read_number(
    const char *text,
    const char *what,
    uint64_t min,
    uint64_t max,
    uint64_t *out,
    tarn_error *error)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    const bool is_number = *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
    if (!is_number || value < min || value > max) {
        return failure_set(
            error,
            TARN_INVALID_ARGUMENT,
            0,
            "%s is \"%s\", it wants %llu to %llu",
            what,
            text,
            (unsigned long long)min,
            (unsigned long long)max);
    }
    *out = value;
    return TARN_OK;
}

static tarn_status read_small(
    const char *text, const char *what, uint64_t max, uint32_t *out, tarn_error *error)
{
    uint64_t value = 0;
    TRY(read_number(text, what, 1, max, &value, error));
    *out = (uint32_t)value;
    return TARN_OK;
}

static tarn_status read_path(
    const char *text, const char *what, const char **out, tarn_error *error)
{
    if (*text == '\0' || strlen(text) >= PATH_MAX - 64) {
        return failure_set(
            error, TARN_INVALID_ARGUMENT, 0, "%s wants a path that is not empty or too long", what);
    }
    *out = text;
    return TARN_OK;
}

static tarn_status take_assignment(options *o, const char *text, tarn_error *error)
{
    if (strchr(text, '=') == NULL || o->assignment_count == ASSIGNMENTS_MAX) {
        return failure_set(
            error,
            TARN_INVALID_ARGUMENT,
            0,
            "-D is \"%s\", it wants KEY=VALUE, %d times at most",
            text,
            ASSIGNMENTS_MAX);
    }
    o->assignments[o->assignment_count++] = text;
    return TARN_OK;
}

static tarn_status take_conf(options *o, const char *text, tarn_error *error)
{
    const char *path = NULL;
    TRY(read_path(text, "--conf", &path, error));
    snprintf(o->conf, sizeof o->conf, "%s", path);
    return TARN_OK;
}

static tarn_status take(options *o, int id, const char *text, tarn_error *error)
{
    enum { THRESHOLD_MAX = 100000, RATE_MAX = 100000000 };
    switch (id) {
    case OPTION_OUT:
        return read_path(text, "--out", &o->out, error);
    case OPTION_CHECKPOINT_DIR:
        return read_path(text, "--checkpoint-dir", &o->checkpoint_dir, error);
    case OPTION_INPUT:
        return read_path(text, "--input", &o->input, error);
    case OPTION_RESTORE:
        return read_path(text, "--restore", &o->restore, error);
    case OPTION_CONF:
        return take_conf(o, text, error);
    case OPTION_COUNT:
        return read_number(text, "--count", 0, INT64_MAX, &o->count, error);
    case OPTION_RATE:
        return read_number(text, "--rate", 0, RATE_MAX, &o->rate, error);
    case OPTION_KILL_AT:
        return read_number(text, "--kill-at", 1, INT64_MAX, &o->kill_at, error);
    case OPTION_PARALLELISM:
        return read_small(text, "--parallelism", SINKS_MAX, &o->parallelism, error);
    case OPTION_THRESHOLD:
        return read_small(text, "--threshold", THRESHOLD_MAX, &o->threshold, error);
    case 'D':
        return take_assignment(o, text, error);
    case OPTION_QUIET:
        o->is_quiet = true;
        break;
    default:
        o->is_help = true;
        break;
    }
    return TARN_OK;
}

/* The example's file lies beside the program, or where the program was built from. */
static void find_conf(char out[PATH_MAX])
{
    const ssize_t size = readlink("/proc/self/exe", out, PATH_MAX - 64);
    if (size > 0) {
        out[size] = '\0';
        char *slash = strrchr(out, '/');
        snprintf(slash + 1, PATH_MAX - (size_t)(slash + 1 - out), "buffering_sink.yaml");
        if (access(out, R_OK) == 0) {
            return;
        }
    }
    snprintf(out, PATH_MAX, "%s", BUFFERING_SINK_SOURCE_DIR "/flink-conf.yaml");
}

static tarn_status check_together(const options *o, tarn_error *error)
{
    if (!o->is_help && (o->out == NULL || o->checkpoint_dir == NULL)) {
        return failure_set(
            error,
            TARN_INVALID_ARGUMENT,
            0,
            "%s is missing",
            o->out == NULL ? "--out" : "--checkpoint-dir");
    }
    return TARN_OK;
}

tarn_status options_parse(int argc, char **argv, options *out, tarn_error *error)
{
    memset(out, 0, sizeof *out);
    out->count = 100000;
    out->parallelism = 2;
    out->threshold = 100;
    find_conf(out->conf);
    opterr = 0;
    for (;;) {
        const int at = optind;
        const int id = getopt_long(argc, argv, ":D:", long_options, NULL);
        if (id == -1) {
            break;
        }
        if (id == ':') {
            return failure_set(error, TARN_INVALID_ARGUMENT, 0, "%s wants a value", argv[at]);
        }
        if (id == '?') {
            return failure_set(error, TARN_INVALID_ARGUMENT, 0, "there is no option %s", argv[at]);
        }
        TRY(take(out, id, optarg, error));
    }
    if (optind < argc) {
        return failure_set(error, TARN_INVALID_ARGUMENT, 0, "\"%s\" is no option", argv[optind]);
    }
    return check_together(out, error);
}

tarn_status options_configure(const options *o, tarn_config **out, tarn_error *error)
{
    tarn_config *config = NULL;
    TRY(tarn_config_new(NULL, &config, error));
    tarn_status status = tarn_config_load(config, o->conf, error);
    for (uint32_t i = 0; status == TARN_OK && i < o->assignment_count; i++) {
        status = tarn_config_set_assignment(config, o->assignments[i], "command line", error);
    }
    if (status != TARN_OK) {
        tarn_config_free(config);
        return status;
    }
    *out = config;
    return TARN_OK;
}
