#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"

const char options_usage[] =
    "Usage: flights [OPTION]...\n"
    "Counts flights and delays by aircraft and by route in keyed state, under a memory plan.\n"
    "\n"
    "  --input FILE               flights as CSV, plain or .zst (default: the year 2013)\n"
    "  --repeat N                 replay the year N times, each with aircraft of its own (1)\n"
    "  --sources N                source threads, each with its own share of the records\n"
    "                             (2, or as many as the restored checkpoint has)\n"
    "  --workers N                worker threads, each with its own share of the keys (2)\n"
    "  --parallelism N            the same, in Flink's word\n"
    "  --out FILE                 write the result, one line per key, sorted; - is stdout\n"
    "  --checkpoint-dir DIR       write checkpoints below DIR/flights\n"
    "  --checkpoint-interval MS   time between two of them; 0: none (configuration)\n"
    "  --checkpoint-at FRACTION   stand still when that share of all records was emitted, until\n"
    "                             one more was taken\n"
    "  --unaligned                barriers overtake what is queued, which joins the checkpoint\n"
    "                             (at once, or after execution.checkpointing.\n"
    "                             aligned-checkpoint-timeout)\n"
    "  --in-flight-max KIB        what a worker keeps of that for one checkpoint; with more the\n"
    "                             checkpoint is declined (16384; the network pool has a say)\n"
    "  --watermark-delay MIN      a message that far behind its source's latest is in time (60)\n"
    "  --restore latest|PATH      go on from the latest checkpoint of DIR, or from that one\n"
    "  --allow-older              go on from the newest that is whole, should the latest be\n"
    "                             damaged; every byte of it is read beforehand\n"
    "  --claim                    take that one over: it is deleted when newer ones subsume it\n"
    "                             (configuration: execution.state-recovery.claim-mode)\n"
    "  --kill-at FRACTION         SIGKILL itself when that share of all records was emitted, and\n"
    "                             a checkpoint was taken, with --checkpoint-dir\n"
    "  --stop-at FRACTION         stop with a savepoint then, instead of a result\n"
    "  --savepoint-at FRACTION    take a savepoint about then, and go on\n"
    "  --savepoint-dir DIR        where that goes (configuration: state.savepoints.dir)\n"
    "  --work-dir DIR             scratch space on a local disk (below TMPDIR or /var/tmp)\n"
    "  --conf FILE                flink-conf.yaml or config.yaml (the example's own)\n"
    "  --memory SIZE              taskmanager.memory.process.size (configuration: 192m)\n"
    "  -D KEY=VALUE               any other option of the configuration; may be repeated\n"
    "  --quiet                    neither progress nor report\n"
    "  --help                     this text\n"
    "\n"
    "Exit status: 0 success, 1 failure, 2 wrong usage.\n";

enum option_id {
    OPTION_INPUT = 256,
    OPTION_CHECKPOINT_DIR,
    OPTION_RESTORE,
    OPTION_ALLOW_OLDER,
    OPTION_CLAIM,
    OPTION_CHECKPOINT_AT,
    OPTION_KILL_AT,
    OPTION_STOP_AT,
    OPTION_SAVEPOINT_AT,
    OPTION_SAVEPOINT_DIR,
    OPTION_MEMORY,
    OPTION_CONF,
    OPTION_REPEAT,
    OPTION_SOURCES,
    OPTION_WORKERS,
    OPTION_PARALLELISM,
    OPTION_UNALIGNED,
    OPTION_IN_FLIGHT_MAX,
    OPTION_WATERMARK_DELAY,
    OPTION_INTERVAL,
    OPTION_OUT,
    OPTION_WORK_DIR,
    OPTION_QUIET,
    OPTION_HELP,
};

static const struct option long_options[] = {
    {"input", required_argument, NULL, OPTION_INPUT},
    {"checkpoint-dir", required_argument, NULL, OPTION_CHECKPOINT_DIR},
    {"restore", required_argument, NULL, OPTION_RESTORE},
    {"allow-older", no_argument, NULL, OPTION_ALLOW_OLDER},
    {"claim", no_argument, NULL, OPTION_CLAIM},
    {"checkpoint-at", required_argument, NULL, OPTION_CHECKPOINT_AT},
    {"kill-at", required_argument, NULL, OPTION_KILL_AT},
    {"stop-at", required_argument, NULL, OPTION_STOP_AT},
    {"savepoint-at", required_argument, NULL, OPTION_SAVEPOINT_AT},
    {"savepoint-dir", required_argument, NULL, OPTION_SAVEPOINT_DIR},
    {"memory", required_argument, NULL, OPTION_MEMORY},
    {"conf", required_argument, NULL, OPTION_CONF},
    {"repeat", required_argument, NULL, OPTION_REPEAT},
    {"sources", required_argument, NULL, OPTION_SOURCES},
    {"workers", required_argument, NULL, OPTION_WORKERS},
    {"parallelism", required_argument, NULL, OPTION_PARALLELISM},
    {"unaligned", no_argument, NULL, OPTION_UNALIGNED},
    {"in-flight-max", required_argument, NULL, OPTION_IN_FLIGHT_MAX},
    {"watermark-delay", required_argument, NULL, OPTION_WATERMARK_DELAY},
    {"checkpoint-interval", required_argument, NULL, OPTION_INTERVAL},
    {"out", required_argument, NULL, OPTION_OUT},
    {"work-dir", required_argument, NULL, OPTION_WORK_DIR},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static tarn_status copy_path(const char *path, const char *what, char *out, tarn_error *error)
{
    if (*path == '\0' || strlen(path) >= PATH_MAX - 64) {
        return failure_set(
            error, TARN_INVALID_ARGUMENT, 0, "%s wants a path that is not empty or too long", what);
    }
    snprintf(out, PATH_MAX, "%s", path);
    return TARN_OK;
}

static tarn_status read_count(
    const char *text, const char *what, uint32_t max, uint32_t *out, tarn_error *error)
{
    char *end = NULL;
    errno = 0;
    const unsigned long value = strtoul(text, &end, 10);
    const bool is_number = *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
    if (!is_number || value < 1 || value > max) {
        return failure_set(
            error, TARN_INVALID_ARGUMENT, 0, "%s is \"%s\", it wants 1 to %u", what, text, max);
    }
    *out = (uint32_t)value;
    return TARN_OK;
}

static tarn_status read_fraction(const char *text, const char *what, double *out, tarn_error *error)
{
    char *end = NULL;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value > 0 && value <= 1)) {
        return failure_set(
            error,
            TARN_INVALID_ARGUMENT,
            0,
            "%s is \"%s\", it wants a fraction above 0 and up to 1",
            what,
            text);
    }
    *out = value;
    return TARN_OK;
}

static tarn_status check_interval(const char *text, tarn_error *error)
{
    const size_t size = strlen(text);
    if (size == 0 || size > 9 || strspn(text, "0123456789") != size) {
        return failure_set(
            error,
            TARN_INVALID_ARGUMENT,
            0,
            "--checkpoint-interval is \"%s\", it wants milliseconds",
            text);
    }
    return TARN_OK;
}

static tarn_status add_assignment(options *o, const char *text, tarn_error *error)
{
    if (strchr(text, '=') == NULL) {
        return failure_set(
            error, TARN_INVALID_ARGUMENT, 0, "-D is \"%s\", it wants KEY=VALUE", text);
    }
    if (o->assignment_count == ASSIGNMENTS_MAX) {
        return failure_set(
            error, TARN_INVALID_ARGUMENT, 0, "-D is given more than %d times", ASSIGNMENTS_MAX);
    }
    o->assignments[o->assignment_count++] = text;
    return TARN_OK;
}

static tarn_status take(options *o, int id, const char *text, tarn_error *error)
{
    switch (id) {
    case OPTION_INPUT:
        return copy_path(text, "--input", o->input, error);
    case OPTION_CONF:
        return copy_path(text, "--conf", o->conf, error);
    case OPTION_WORK_DIR:
        return copy_path(text, "--work-dir", o->work_dir, error);
    case OPTION_REPEAT:
        return read_count(text, "--repeat", REPEAT_MAX, &o->repeat_count, error);
    case OPTION_SOURCES:
        return read_count(text, "--sources", SOURCES_MAX, &o->source_count, error);
    case OPTION_WORKERS:
        return read_count(text, "--workers", WORKERS_MAX, &o->worker_count, error);
    case OPTION_PARALLELISM:
        return read_count(text, "--parallelism", WORKERS_MAX, &o->worker_count, error);
    case OPTION_IN_FLIGHT_MAX:
        return read_count(text, "--in-flight-max", IN_FLIGHT_KIB_MAX, &o->in_flight_kib, error);
    case OPTION_WATERMARK_DELAY:
        return read_count(
            text, "--watermark-delay", WATERMARK_MINUTES_MAX, &o->watermark_minutes, error);
    case OPTION_CHECKPOINT_AT:
        return read_fraction(text, "--checkpoint-at", &o->checkpoint_at, error);
    case OPTION_KILL_AT:
        return read_fraction(text, "--kill-at", &o->kill_at, error);
    case OPTION_STOP_AT:
        return read_fraction(text, "--stop-at", &o->stop_at, error);
    case OPTION_SAVEPOINT_AT:
        return read_fraction(text, "--savepoint-at", &o->savepoint_at, error);
    case OPTION_INTERVAL:
        o->interval_ms = text;
        return check_interval(text, error);
    case 'D':
        return add_assignment(o, text, error);
    case OPTION_CHECKPOINT_DIR:
        o->checkpoint_dir = text;
        break;
    case OPTION_SAVEPOINT_DIR:
        o->savepoint_dir = text;
        break;
    case OPTION_RESTORE:
        o->restore = text;
        break;
    case OPTION_ALLOW_OLDER:
        o->allows_older = true;
        break;
    case OPTION_CLAIM:
        o->is_claimed = true;
        break;
    case OPTION_MEMORY:
        o->memory = text;
        break;
    case OPTION_OUT:
        o->out = text;
        break;
    case OPTION_UNALIGNED:
        o->is_unaligned = true;
        break;
    case OPTION_QUIET:
        o->is_quiet = true;
        break;
    default:
        o->is_help = true;
        break;
    }
    return TARN_OK;
}

/* A file of the example lies beside the program, or where the program was built from. */
static void find_file(const char *name, const char *source, char out[PATH_MAX])
{
    const ssize_t size = readlink("/proc/self/exe", out, PATH_MAX - 64);
    if (size > 0) {
        out[size] = '\0';
        char *slash = strrchr(out, '/');
        snprintf(slash + 1, PATH_MAX - (size_t)(slash + 1 - out), "%s", name);
        if (access(out, R_OK) == 0) {
            return;
        }
    }
    snprintf(out, PATH_MAX, "%s", source);
}

static void set_defaults(options *o)
{
    memset(o, 0, sizeof *o);
    o->repeat_count = 1;
    o->worker_count = 2;
    o->in_flight_kib = IN_FLIGHT_KIB_MAX;
    o->watermark_minutes = WATERMARK_MINUTES;
    find_file("flights-2013.csv.zst", FLIGHTS_DATA_DIR "/flights-2013.csv.zst", o->input);
    find_file("flink-conf.yaml", FLIGHTS_SOURCE_DIR "/flink-conf.yaml", o->conf);
    /* /var/tmp rather than /tmp, which is memory on many machines. */
    const char *below = getenv("TMPDIR");
    snprintf(
        o->work_dir,
        PATH_MAX,
        "%s/tarn-flights-%u",
        below != NULL && *below != '\0' && strlen(below) < PATH_MAX - 64 ? below : "/var/tmp",
        (unsigned)getuid());
}

/* The option that has something taken at a place of the stream; NULL: none has. */
static const char *find_taking(const options *o)
{
    if (o->stop_at > 0) {
        return "--stop-at";
    }
    if (o->savepoint_at > 0) {
        return "--savepoint-at";
    }
    return o->checkpoint_at > 0 ? "--checkpoint-at" : NULL;
}

static tarn_status check_together(const options *o, tarn_error *error)
{
    if (o->restore != NULL && strcmp(o->restore, "latest") == 0 && o->checkpoint_dir == NULL) {
        return failure_set(
            error, TARN_INVALID_ARGUMENT, 0, "--restore latest wants --checkpoint-dir as well");
    }
    if (o->allows_older && (o->restore == NULL || strcmp(o->restore, "latest") != 0)) {
        return failure_set(
            error, TARN_INVALID_ARGUMENT, 0, "--allow-older wants --restore latest as well");
    }
    if (o->is_claimed && (o->restore == NULL || o->checkpoint_dir == NULL)) {
        return failure_set(
            error,
            TARN_INVALID_ARGUMENT,
            0,
            "--claim wants --restore and --checkpoint-dir as well");
    }
    const char *taking = find_taking(o);
    if (taking != NULL && o->checkpoint_dir == NULL) {
        return failure_set(
            error, TARN_INVALID_ARGUMENT, 0, "%s wants --checkpoint-dir as well", taking);
    }
    if (o->checkpoint_dir != NULL && strlen(o->checkpoint_dir) >= PATH_MAX - 64) {
        return failure_set(error, TARN_INVALID_ARGUMENT, 0, "--checkpoint-dir is too long");
    }
    return TARN_OK;
}

tarn_status options_parse(int argc, char **argv, options *out, tarn_error *error)
{
    set_defaults(out);
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

static tarn_status set_over(const options *o, tarn_config *config, tarn_error *error)
{
    if (o->memory != NULL) {
        TRY(tarn_config_set(
            config, "taskmanager.memory.process.size", o->memory, "--memory", error));
    }
    if (o->interval_ms != NULL) {
        const char key[] = "execution.checkpointing.interval";
        if (strspn(o->interval_ms, "0") == strlen(o->interval_ms)) {
            tarn_config_remove(config, key);
        } else {
            char text[32];
            snprintf(text, sizeof text, "%s ms", o->interval_ms);
            TRY(tarn_config_set(config, key, text, "--checkpoint-interval", error));
        }
    }
    if (o->savepoint_dir != NULL) {
        TRY(tarn_config_set(
            config,
            "execution.checkpointing.savepoint-dir",
            o->savepoint_dir,
            "--savepoint-dir",
            error));
    }
    if (o->is_unaligned) {
        TRY(tarn_config_set(
            config, "execution.checkpointing.unaligned.enabled", "true", "--unaligned", error));
    }
    for (uint32_t i = 0; i < o->assignment_count; i++) {
        TRY(tarn_config_set_assignment(config, o->assignments[i], "-D", error));
    }
    return tarn_config_check(config, error);
}

tarn_status options_configure(const options *o, tarn_config **out, tarn_error *error)
{
    tarn_config *config = NULL;
    TRY(tarn_config_new(NULL, &config, error));
    tarn_status status = tarn_config_load(config, o->conf, error);
    if (status == TARN_OK) {
        status = set_over(o, config, error);
    }
    if (status != TARN_OK) {
        tarn_config_free(config);
        return status;
    }
    *out = config;
    return TARN_OK;
}
