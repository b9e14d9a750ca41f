/*
 * operator_state.c - makes the checkpoint DIR/job/chk-1 of an operator without keys, for the tests
 * of `tarn checkpoint`: a split and a union list, a broadcast map, and bytes of its own.
 *
 *     tarn_cli_operator_state DIR
 */
#include <stdio.h>
#include <stdlib.h>

#include <tarn/checkpoint.h>
#include <tarn/config.h>
#include <tarn/env.h>
#include <tarn/operator_state.h>

enum { PIECES_MAX = 8 };

static tarn_error error; /* Of the latest failure. */

static void check(tarn_status status)
{
    if (status != TARN_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(EXIT_FAILURE);
    }
}

static tarn_env *open_env(tarn_config *config)
{
    tarn_env *env = NULL;
    tarn_env_options options = TARN_ENV_OPTIONS_INIT;
    options.config = config;
    check(tarn_config_set(config, "taskmanager.memory.process.size", "1g", NULL, &error));
    check(tarn_env_open(&options, &env, &error));
    return env;
}

static void add_list(
    tarn_operator_store *store, const char *name, tarn_redistribution redistribution, int count)
{
    tarn_operator_list *list = NULL;
    tarn_operator_state_options options = TARN_OPERATOR_STATE_OPTIONS_INIT;
    options.name = name;
    options.redistribution = redistribution;
    options.codec_name = "words";
    options.codec_version = 3;
    check(tarn_operator_list_open(store, &options, &list, &error));
    for (int i = 0; i < count; i++) {
        check(tarn_operator_list_add(list, tarn_bytes_of("word"), &error));
    }
}

static void add_map(tarn_operator_store *store)
{
    tarn_broadcast *map = NULL;
    tarn_operator_state_options options = TARN_OPERATOR_STATE_OPTIONS_INIT;
    options.name = "rules";
    check(tarn_broadcast_open(store, &options, &map, &error));
    check(tarn_broadcast_put(map, tarn_bytes_of("key"), tarn_bytes_of("value"), &error));
}

/* The acknowledgement of the store, with one piece that is not the store's. */
static void acknowledge(tarn_operator_store *store, tarn_pending_checkpoint *pending)
{
    tarn_checkpoint_operator_state pieces[PIECES_MAX];
    tarn_operator_snapshot *snapshot = NULL;
    tarn_buffer part = TARN_BUFFER_INIT;
    uint32_t count = 0;
    check(tarn_operator_snapshot_new(store, &snapshot, &error));
    const tarn_checkpoint_operator_state *states = tarn_operator_snapshot_states(snapshot, &count);
    for (uint32_t i = 0; i < count && i < PIECES_MAX - 1; i++) {
        pieces[i] = states[i];
    }
    pieces[count] = (tarn_checkpoint_operator_state){"own", tarn_bytes_of("twelve bytes")};
    check(tarn_acknowledgement_encode(
        tarn_pending_checkpoint_id(pending), "sink", 0, 1, pieces, count + 1, &part, &error));
    check(tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&part), &error));
    tarn_operator_snapshot_free(snapshot);
    tarn_buffer_clear(&part);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return EXIT_FAILURE;
    }
    tarn_config *config = NULL;
    check(tarn_config_new(NULL, &config, &error));
    tarn_env *env = open_env(config);

    tarn_operator_store *store = NULL;
    tarn_operator_store_options of_store = TARN_OPERATOR_STORE_OPTIONS_INIT;
    of_store.env = env;
    of_store.operator_name = "sink";
    check(tarn_operator_store_open(&of_store, &store, &error));
    add_list(store, "buffered", TARN_REDISTRIBUTE_SPLIT, 3);
    add_list(store, "seen", TARN_REDISTRIBUTE_UNION, 2);
    add_map(store);

    tarn_checkpoint_store *checkpoints = NULL;
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = env;
    options.address = argv[1];
    options.job = "job";
    check(tarn_checkpoint_store_open(&options, &checkpoints, &error));
    tarn_pending_checkpoint *pending = NULL;
    check(tarn_checkpoint_begin(
        checkpoints, tarn_checkpoint_store_next_id(checkpoints), &pending, &error));
    acknowledge(store, pending);
    check(tarn_checkpoint_commit(pending, NULL, &error));

    check(tarn_checkpoint_store_close(checkpoints, &error));
    check(tarn_operator_store_close(store, &error));
    check(tarn_env_close(env, &error));
    tarn_config_free(config);
    return EXIT_SUCCESS;
}
