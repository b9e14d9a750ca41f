/* plan.c - `tarn plan`: how memory would be split, or why not. */
#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

enum {
    OPTION_CONF = CLI_OPTION_OWN,
    OPTION_LEGACY,
    OPTION_NO_LEGACY,
    OPTION_MANAGED,
    OPTION_SLOTS,
};

/* Where the configuration comes from, as the command line says it. */
typedef struct sources {
    const char **files;
    size_t file_count;
    const char **assignments;
    size_t assignment_count;
} sources;

/* The command line. */
typedef struct request {
    cli_plan_request plan;
    sources sources;
} request;

static int read_managed(const cli_command *command, cli_plan_request *plan)
{
    tarn_error error;
    if (tarn_memory_size_parse(tarn_bytes_of(optarg), &plan->managed_bytes, &error) != TARN_OK) {
        return cli_usage(command, "--managed '%s' is no memory size such as 512m", optarg);
    }
    plan->has_managed = true;
    return CLI_OK;
}

static int read_slots(const cli_command *command, cli_plan_request *plan)
{
    int64_t slots = 0;
    if (!cli_number(optarg, 1, INT32_MAX, &slots)) {
        return cli_usage(command, "--slots '%s' is no number from 1 on", optarg);
    }
    plan->has_slots = true;
    plan->slots = (int32_t)slots;
    return CLI_OK;
}

static int read_option(const cli_command *command, int option, request *out)
{
    switch (option) {
    case OPTION_CONF:
        out->sources.files[out->sources.file_count++] = optarg;
        return CLI_OK;
    case 'D':
        out->sources.assignments[out->sources.assignment_count++] = optarg;
        return CLI_OK;
    case CLI_OPTION_JSON:
        out->plan.as_json = true;
        return CLI_OK;
    case OPTION_LEGACY:
        out->plan.path = TARN_PLAN_SHELL;
        return CLI_OK;
    case OPTION_NO_LEGACY:
        out->plan.path = TARN_PLAN_PLAIN;
        return CLI_OK;
    case OPTION_MANAGED:
        return read_managed(command, &out->plan);
    case OPTION_SLOTS:
        return read_slots(command, &out->plan);
    default:
        return CLI_USAGE;
    }
}

/* Reads all options; -1 to go on, else the exit status. */
static int read_options(const cli_command *command, int argc, char **argv, request *out)
{
    static const struct option long_options[] = {
        {"conf", required_argument, NULL, OPTION_CONF},
        {"legacy", no_argument, NULL, OPTION_LEGACY},
        {"no-legacy", no_argument, NULL, OPTION_NO_LEGACY},
        {"managed", required_argument, NULL, OPTION_MANAGED},
        {"slots", required_argument, NULL, OPTION_SLOTS},
        CLI_OPTION_ROWS};
    for (;;) {
        const int option = cli_option_next(command, argc, argv, "D:", long_options);
        if (option == -1) {
            return -1;
        }
        if (option == CLI_OPTION_HELP) {
            return cli_command_help(command);
        }
        if (read_option(command, option, out) != CLI_OK) {
            return CLI_USAGE;
        }
    }
}

/* Files first, in order; then what -D says, which goes before them. */
static int load(
    const cli_command *command, const request *given, tarn_config *config, tarn_error *error)
{
    for (size_t i = 0; i < given->sources.file_count; i++) {
        if (tarn_config_load(config, given->sources.files[i], error) != TARN_OK) {
            return cli_refuse(given->plan.as_json, error->message);
        }
    }
    for (size_t i = 0; i < given->sources.assignment_count; i++) {
        const char *assignment = given->sources.assignments[i];
        const tarn_status status = tarn_config_set_assignment(config, assignment, "-D", error);
        if (status == TARN_INVALID_ARGUMENT) {
            return cli_usage(command, "-D '%s' is not key=value", assignment);
        }
        if (status != TARN_OK) {
            return cli_refuse(given->plan.as_json, error->message);
        }
    }
    return CLI_OK;
}

typedef int plan_fn(const cli_plan_request *request);

static plan_fn *find_kind(const char *name)
{
    static const struct {
        const char *name;
        plan_fn *plan;
    } kinds[] = {
        {"taskmanager", cli_plan_taskmanager},
        {"jobmanager", cli_plan_jobmanager},
        {"rocksdb", cli_plan_rocksdb},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return kinds[i].plan;
        }
    }
    return NULL;
}

static int plan_kind(const cli_command *command, plan_fn *plan, request *given)
{
    tarn_error error;
    tarn_config *config = NULL;
    if (tarn_config_new(NULL, &config, &error) != TARN_OK) {
        return cli_refuse(given->plan.as_json, error.message);
    }
    int exit_status = load(command, given, config, &error);
    if (exit_status == CLI_OK) {
        given->plan.config = config;
        exit_status = plan(&given->plan);
    }
    tarn_config_free(config);
    return exit_status;
}

static int run_request(const cli_command *command, int argc, char **argv, request *given)
{
    const int exit_status = read_options(command, argc, argv, given);
    if (exit_status != -1) {
        return exit_status;
    }
    if (optind == argc) {
        return cli_usage(command, "say what to plan: taskmanager, jobmanager or rocksdb");
    }
    plan_fn *plan = find_kind(argv[optind]);
    if (plan == NULL) {
        return cli_usage(
            command, "'%s' is none of taskmanager, jobmanager and rocksdb", argv[optind]);
    }
    if (optind + 1 != argc) {
        return cli_usage(command, "'%s' is one argument too many", argv[optind + 1]);
    }
    if (plan != cli_plan_rocksdb && (given->plan.has_managed || given->plan.has_slots)) {
        return cli_usage(command, "--managed and --slots are for rocksdb");
    }
    return plan_kind(command, plan, given);
}

static int run(const cli_command *command, int argc, char **argv)
{
    /* No more of each than there are words. */
    const size_t room = (size_t)argc;
    request given = {
        .plan = {.path = TARN_PLAN_SHELL},
        .sources =
            {
                .files = cli_must(calloc(room, sizeof(const char *))),
                .assignments = cli_must(calloc(room, sizeof(const char *))),
            },
    };
    const int exit_status = run_request(command, argc, argv, &given);
    free(given.sources.files);
    free(given.sources.assignments);
    return exit_status;
}

const cli_command cli_plan = {
    .name = "plan",
    .summary = "split the memory of a process, to the byte",
    .help =
        "plan taskmanager|jobmanager|rocksdb [--conf FILE]... [-D KEY=VALUE]... [--json]\n"
        "\n"
        "Splits the memory of a process into its pools as Flink does, or says which options\n"
        "contradict each other (exit status 1).\n"
        "\n"
        "  taskmanager    the pools of a TaskManager\n"
        "  jobmanager     the pools of a JobManager\n"
        "  rocksdb        what RocksDB gets of a TaskManager's managed memory, for each slot;\n"
        "                 refused as well when memtables would be flushed without end\n"
        "\n"
        "  --conf FILE    a flink-conf.yaml or config.yaml, or the directory of one; repeatable\n"
        "  -D KEY=VALUE   sets an option; goes before the files\n"
        "  --legacy       the heap sizes of old releases count (taskmanager.heap.size,\n"
        "                 jobmanager.heap.size, their .mb forms), as in Flink's start scripts;\n"
        "                 this is the default\n"
        "  --no-legacy    they do not count\n"
        "  --managed SIZE, --slots N\n"
        "                 of rocksdb: instead of the managed memory and the slots of the plan\n"
        "  --json         one line: {\"ok\":true,\"bytes\":{POOL:BYTES,...}}, or\n"
        "                 {\"ok\":false,\"error\":SENTENCE}\n",
    .run = run,
};
