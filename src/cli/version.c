/* version.c - `tarn version`. */
#include "tarn/version.h"

#include <stdio.h>

#include "json.h"
#include "options.h"

static int run(const cli_command *command, int argc, char **argv)
{
    bool as_json = false;
    const int exit_status = cli_options_read(command, argc, argv, &as_json);
    if (exit_status != -1) {
        return exit_status;
    }
    if (optind != argc) {
        return cli_usage(command, "'%s' is one argument too many", argv[optind]);
    }
    if (!as_json) {
        printf("tarn %s (RocksDB %s)\n", tarn_version_string(), tarn_version_rocksdb());
        return CLI_OK;
    }
    json_t *answer = cli_json_object();
    cli_json_set(answer, "ok", json_true());
    cli_json_set(answer, "tarn", cli_json_text(tarn_version_string()));
    cli_json_set(answer, "rocksdb", cli_json_text(tarn_version_rocksdb()));
    cli_json_print(answer);
    return CLI_OK;
}

const cli_command cli_version = {
    .name = "version",
    .summary = "say the versions of Tarn and of its RocksDB",
    .help =
        "version [--json]\n"
        "\n"
        "Says the version of the library that the command runs with, and of the RocksDB that it\n"
        "was built against.\n",
    .run = run,
};
