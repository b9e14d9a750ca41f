/* plan.c - `tarn plan`: how memory would be split, or why not. */
#include "plan.h"

#include <stdio.h>
#include <string.h>

#include "place.h"

enum {
    OPTION_LEGACY = CLI_OPTION_OWN,
    OPTION_NO_LEGACY,
    OPTION_MANAGED,
    OPTION_SLOTS,
};

/* The command line. */
typedef struct request {
    cli_plan_request plan;
    cli_place *place;
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
    if (cli_place_take(out->place, option)) {
        return CLI_OK;
    }
    switch (option) {
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
        CLI_PLACE_ROW,
        {"legacy", no_argument, NULL, OPTION_LEGACY},
        {"no-legacy", no_argument, NULL, OPTION_NO_LEGACY},
        {"managed", required_argument, NULL, OPTION_MANAGED},
        {"slots", required_argument, NULL, OPTION_SLOTS},
        CLI_OPTION_ROWS};
    for (;;) {
        const int option = cli_option_next(command, argc, argv, CLI_PLACE_SHORT, long_options);
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
    const int exit_status = cli_place_load(command, given->place, given->plan.as_json);
    if (exit_status != -1) {
        return exit_status;
    }
    given->plan.config = given->place->config;
    return plan(&given->plan);
}

static int act(const cli_command *command, int argc, char **argv, cli_place *place, void *context)
{
    (void)context;
    request given = {.plan = {.path = TARN_PLAN_SHELL}, .place = place};
    const int exit_status = read_options(command, argc, argv, &given);
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
    if (plan != cli_plan_rocksdb && (given.plan.has_managed || given.plan.has_slots)) {
        return cli_usage(command, "--managed and --slots are for rocksdb");
    }
    return plan_kind(command, plan, &given);
}

static int run(const cli_command *command, int argc, char **argv)
{
    return cli_place_run(command, argc, argv, act, NULL);
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
