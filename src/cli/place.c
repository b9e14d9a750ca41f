/* place.c - see place.h. */
#include "place.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/quantity.h"

static const char ASSIGNED[] = "-D";

/* Reading takes a buffer or two; RocksDB has nothing to do. */
static const char READING_MEMORY[] = "64m";

bool cli_place_take(cli_place *place, int option)
{
    switch (option) {
    case CLI_OPTION_CONF:
        place->files[place->file_count++] = optarg;
        return true;
    case 'D':
        place->assignments[place->assignment_count++] = optarg;
        return true;
    default:
        return false;
    }
}

int cli_place_load(const cli_command *command, cli_place *place, bool as_json)
{
    tarn_error error;
    if (tarn_config_new(NULL, &place->config, &error) != TARN_OK) {
        return cli_refuse(as_json, error.message);
    }
    for (size_t i = 0; i < place->file_count; i++) {
        if (tarn_config_load(place->config, place->files[i], &error) != TARN_OK) {
            return cli_refuse(as_json, error.message);
        }
    }
    for (size_t i = 0; i < place->assignment_count; i++) {
        const char *assignment = place->assignments[i];
        const tarn_status status =
            tarn_config_set_assignment(place->config, assignment, ASSIGNED, &error);
        if (status == TARN_INVALID_ARGUMENT) {
            return cli_usage(command, "-D '%s' is not key=value", assignment);
        }
        if (status != TARN_OK) {
            return cli_refuse(as_json, error.message);
        }
    }
    return -1;
}

int cli_place_read(
    const cli_command *command,
    int argc,
    char **argv,
    const struct option *long_options,
    cli_place *place,
    bool *is_set,
    bool *as_json)
{
    for (;;) {
        const int option = cli_option_next(command, argc, argv, CLI_PLACE_SHORT, long_options);
        if (cli_place_take(place, option)) {
            continue;
        }
        switch (option) {
        case -1:
            return cli_place_load(command, place, *as_json);
        case CLI_OPTION_OWN:
            *is_set = true;
            break;
        case CLI_OPTION_JSON:
            *as_json = true;
            break;
        case CLI_OPTION_HELP:
            return cli_command_help(command);
        default:
            return CLI_USAGE;
        }
    }
}

/* ---- the environment -------------------------------------------------------------------- */

/*
 * A process without a JVM: no metaspace, and next to nothing for a framework. What is left over is
 * for code, stacks and the allocator's losses.
 */
static const struct {
    const char *key;
    const char *value;
} PLAN[] = {
    {"taskmanager.memory.jvm-metaspace.size", "0"},
    {"taskmanager.memory.jvm-overhead.min", "16m"},
    {"taskmanager.memory.jvm-overhead.max", "256m"},
    {"taskmanager.memory.framework.heap.size", "8m"},
    {"taskmanager.memory.framework.off-heap.size", "4m"},
    {"taskmanager.memory.network.min", "0"},
    {"taskmanager.memory.network.max", "0"},
};

/* Buffers of uploads and downloads; a part of an object is up to 8 MiB. */
enum { TRANSFER_BYTES_MIN = 12 << 20, TRANSFER_SHARE = 8 };

/* What memory is no size is for the plan to say. */
static tarn_status set_transfer_bytes(tarn_config *config, const char *memory, tarn_error *error)
{
    int64_t bytes = 0;
    if (tarn_memory_size_parse(tarn_bytes_of(memory), &bytes, NULL) != TARN_OK ||
        bytes / TRANSFER_SHARE < TRANSFER_BYTES_MIN) {
        bytes = (int64_t)TRANSFER_BYTES_MIN * TRANSFER_SHARE;
    }
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, bytes / TRANSFER_SHARE);
    return tarn_config_set(config, "taskmanager.memory.task.off-heap.size", text, NULL, error);
}

static bool is_of_storages(const char *key)
{
    static const char *const prefixes[] = {"s3.", "webhdfs.", "tarn.storage."};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (strncmp(key, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    return false;
}

static tarn_status fill_config(
    const cli_place *place, const char *memory, tarn_config *out, tarn_error *error)
{
    tarn_status status =
        tarn_config_set(out, "taskmanager.memory.process.size", memory, NULL, error);
    for (size_t i = 0; status == TARN_OK && i < sizeof PLAN / sizeof PLAN[0]; i++) {
        status = tarn_config_set(out, PLAN[i].key, PLAN[i].value, NULL, error);
    }
    if (status == TARN_OK) {
        status = set_transfer_bytes(out, memory, error);
    }
    for (size_t i = 0; status == TARN_OK && i < tarn_config_count(place->config); i++) {
        const tarn_config_entry entry = tarn_config_at(place->config, i);
        if (is_of_storages(entry.key) || strcmp(entry.origin, ASSIGNED) == 0) {
            status = tarn_config_set(out, entry.key, entry.value, entry.origin, error);
        }
    }
    return status;
}

tarn_status cli_place_open(cli_place *place, const char *memory, tarn_error *error)
{
    tarn_config *config = NULL;
    tarn_status status = tarn_config_new(NULL, &config, error);
    if (status != TARN_OK) {
        return status;
    }
    status = fill_config(place, memory != NULL ? memory : READING_MEMORY, config, error);
    if (status == TARN_OK) {
        tarn_env_options options = TARN_ENV_OPTIONS_INIT;
        options.config = config;
        status = tarn_env_open(&options, &place->env, error);
    }
    tarn_config_free(config);
    return status;
}

int cli_place_run(
    const cli_command *command, int argc, char **argv, cli_place_act *act, void *context)
{
    /* No more of each than there are words. */
    cli_place place = {
        .files = cli_must(calloc((size_t)argc, sizeof(const char *))),
        .assignments = cli_must(calloc((size_t)argc, sizeof(const char *))),
    };
    int exit_status = act(command, argc, argv, &place, context);
    tarn_error error;
    if (tarn_env_close(place.env, &error) != TARN_OK) {
        cli_say("%s", error.message);
        exit_status = exit_status == CLI_OK ? CLI_NO : exit_status;
    }
    tarn_config_free(place.config);
    free((void *)place.files);
    free((void *)place.assignments);
    return exit_status;
}
