/*
 * word_count - counts words in keyed state: the smallest whole use of Tarn.
 *
 * Shows: configuration, environment, backend, value state, a checkpoint, an iteration.
 *
 *     word_count DIR          counts a built-in text
 *     word_count DIR -        counts standard input
 *
 * DIR holds the working directory and the checkpoints. A second run goes on from the first one's.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tarn.h>

static const char verse[] = "the stream goes by the words go by and the counts stay";

static tarn_error error; /* Of the latest failure. */

/* Ends the program with the library's own sentence. */
static void check(tarn_status status)
{
    if (status != TARN_OK) {
        fprintf(stderr, "word_count: %s\n", error.message);
        exit(EXIT_FAILURE);
    }
}

static void count_word(tarn_backend *backend, tarn_value *counts, const char *word)
{
    void *place = NULL;
    check(tarn_backend_set_key(backend, tarn_bytes_of(word), &error));
    check(tarn_value_edit(counts, sizeof(uint64_t), &place, &error));
    *(uint64_t *)place += 1; /* Created zeroed; stored at the next call. */
}

static void count_words(FILE *stream, tarn_backend *backend, tarn_value *counts)
{
    char word[64]; /* What is longer is counted in pieces. */
    size_t size = 0;
    int character = 0;
    do {
        character = getc(stream);
        const bool is_part = character != EOF && isalnum(character);
        if (is_part) {
            word[size++] = (char)tolower(character);
        }
        if (size > 0 && (!is_part || size == sizeof word - 1)) {
            word[size] = '\0';
            count_word(backend, counts, word);
            size = 0;
        }
    } while (character != EOF);
}

static void print_counts(tarn_value *counts)
{
    tarn_value_iterator *rows = NULL;
    check(tarn_value_iterate(counts, "word_count", &rows, &error));
    tarn_row row;
    tarn_status status = TARN_OK;
    while ((status = tarn_value_iterator_next(rows, &row, &error)) == TARN_OK) {
        uint64_t count = 0;
        memcpy(&count, row.value.data, sizeof count); /* A row's bytes are not aligned. */
        printf("%" PRIu64 " %.*s\n", count, (int)row.key.size, (const char *)row.key.data);
    }
    tarn_value_iterator_close(rows);
    check(status == TARN_DONE ? TARN_OK : status);
}

/* One process, one subtask: it takes the snapshot and commits the checkpoint as well. */
static void take_checkpoint(tarn_env *env, tarn_backend *backend, const char *directory)
{
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = env;
    options.address = directory;
    options.job = "word_count";
    tarn_checkpoint_store *store = NULL;
    check(tarn_checkpoint_store_open(&options, &store, &error));

    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer part = TARN_BUFFER_INIT;
    const uint64_t id = tarn_checkpoint_store_next_id(store);
    check(tarn_checkpoint_begin(store, id, &pending, &error));
    check(tarn_snapshot_begin(backend, pending, &snapshot, &error));
    check(tarn_snapshot_finish(snapshot, &part, &error)); /* Waits; a stream would go on. */
    check(tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&part), &error));
    check(tarn_checkpoint_commit(pending, NULL, &error));
    tarn_buffer_clear(&part);
    check(tarn_checkpoint_store_close(store, &error));
}

/* Answers the checkpoint of an earlier run, or NULL when this is the first. */
static tarn_checkpoint *find_checkpoint(const char *directory)
{
    char address[4096];
    snprintf(address, sizeof address, "%s/word_count", directory);
    tarn_checkpoint *checkpoint = NULL;
    const tarn_status status = tarn_checkpoint_open(address, NULL, &checkpoint, &error);
    check(status == TARN_MISSING ? TARN_OK : status);
    return checkpoint;
}

static void run(FILE *stream, const char *directory)
{
    tarn_config *config = NULL;
    check(tarn_config_new(NULL, &config, &error));
    check(tarn_config_set(config, "taskmanager.memory.process.size", "1g", NULL, &error));

    tarn_env_options env_options = TARN_ENV_OPTIONS_INIT;
    env_options.config = config;
    tarn_env *env = NULL;
    check(tarn_env_open(&env_options, &env, &error));

    char working_directory[4096];
    snprintf(working_directory, sizeof working_directory, "%s/work", directory);
    tarn_checkpoint *checkpoint = find_checkpoint(directory);
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = env;
    options.operator_name = "word_count";
    options.directory = working_directory;
    options.restore = checkpoint;
    tarn_backend *backend = NULL;
    check(tarn_backend_open(&options, &backend, &error));
    tarn_checkpoint_free(checkpoint);

    tarn_state_options state = TARN_STATE_OPTIONS_INIT;
    state.name = "counts";
    tarn_value *counts = NULL;
    check(tarn_value_open(backend, &state, &counts, &error));

    count_words(stream, backend, counts);
    take_checkpoint(env, backend, directory);
    print_counts(counts);

    check(tarn_value_close(counts, &error));
    check(tarn_backend_close(backend, &error));
    check(tarn_env_close(env, &error));
    tarn_config_free(config);
}

int main(int argc, char **argv)
{
    const bool is_standard_input = argc == 3 && strcmp(argv[2], "-") == 0;
    if (argc != 2 && !is_standard_input) {
        fputs("Usage: word_count DIR [-]\n", stderr);
        return 2;
    }
    char text[sizeof verse];
    memcpy(text, verse, sizeof verse);
    FILE *stream = is_standard_input ? stdin : fmemopen(text, sizeof verse - 1, "r");
    if (stream == NULL) {
        perror("word_count");
        return EXIT_FAILURE;
    }
    run(stream, argv[1]);
    fclose(stream);
    return EXIT_SUCCESS;
}
