/*
 * manual.c - docs/CONFIGURATION.md from the table of options.
 *
 *     tarn-manual FILE            writes it
 *     tarn-manual --check FILE    exits with 1 when FILE differs from what would be written
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarn/bytes.h"
#include "tarn/option.h"

static void put(tarn_buffer *out, const char *text)
{
    if (tarn_buffer_append(out, tarn_bytes_of(text)) != TARN_OK) {
        fputs("no memory\n", stderr);
        exit(EXIT_FAILURE);
    }
}

/* The group of a key: what stands in front of its second dot, or its first. */
static size_t group_size(const char *key)
{
    const size_t first = strcspn(key, ".");
    const size_t second = strcspn(key + first + 1, ".");
    return key[first] == '\0' || key[first + 1 + second] == '\0' ? first : first + 1 + second;
}

static bool is_new_group(size_t index)
{
    const tarn_option *option = tarn_option_at(index);
    const size_t size = group_size(option->key);
    if (index == 0) {
        return true;
    }
    const tarn_option *before = tarn_option_at(index - 1);
    return group_size(before->key) != size || strncmp(before->key, option->key, size) != 0;
}

static void put_list(tarn_buffer *out, const char *title, const char *const *words)
{
    for (const char *const *at = words; *at != NULL; at++) {
        put(out, at == words ? title : ", ");
        put(out, "`");
        put(out, *at);
        put(out, "`");
    }
    if (words[0] != NULL) {
        put(out, ".");
    }
}

static void put_bound(tarn_buffer *out, const char *words, const char *bound)
{
    if (bound != NULL) {
        put(out, words);
        put(out, bound);
    }
}

static void put_acts_as(tarn_buffer *out, const char *text)
{
    if (text != NULL) {
        put(out, " Tarn acts as if it were `");
        put(out, text);
        put(out, "`.");
    }
}

static void put_option(tarn_buffer *out, const tarn_option *option)
{
    put(out, "| `");
    put(out, option->key);
    put(out, "` | ");
    put(out, tarn_option_type_name(option->type));
    if (option->unit[0] != '\0') {
        put(out, ", ");
        put(out, option->unit);
    }
    put_bound(out, ", at least ", option->min_text);
    put_bound(out, ", at most ", option->max_text);
    put(out, " | ");
    if (option->default_text != NULL) {
        put(out, option->default_text[0] == '\0' ? "(empty)" : "`");
        put(out, option->default_text);
        put(out, option->default_text[0] == '\0' ? "" : "`");
    }
    put(out, " | ");
    put(out, option->reader == TARN_OPTION_READ_BY_NOTHING ? "**" : "");
    put(out, tarn_option_reader_name(option->reader));
    put(out, option->reader == TARN_OPTION_READ_BY_NOTHING ? "**" : "");
    put(out, " | ");
    put(out, option->sentence);
    put_acts_as(out, option->acts_as_text);
    put_list(out, " One of ", option->values);
    put_list(out, " Also: ", option->other_keys);
    put(out, " | ");
    put(out, option->origin);
    put(out, " |\n");
}

static void put_manual(tarn_buffer *out)
{
    put(out,
        "# Configuration\n"
        "\n"
        "Generated from `src/config/options.def` by the target `manual`; change it there.\n"
        "\n"
        "Keys are Flink's where Flink has the option, so that its configuration files can be used\n"
        "as they are: `flink-conf.yaml` (line by line) and `config.yaml` (standard YAML). A key "
        "may\n"
        "have other spellings; the first one that is set counts. Keys that are not listed here "
        "are\n"
        "kept and reported. The last column is the class of Flink that an option comes from.\n"
        "\n"
        "Not every option has an effect. What reads it is:\n"
        "\n"
        "- **library**: every program, by its environment, backends, snapshots and storages.\n"
        "- **driver**: programs with a driver (`tarn/driver.h`); others may ask\n"
        "  `tarn_checkpoint_settings_from_config()` and `tarn_claim_mode_from_config()`.\n"
        "- **plan**: the memory plan of a JobManager alone (`tarn plan jobmanager`).\n"
        "- **nothing**: the option is known, its value is judged, and Tarn does what it does by\n"
        "  itself. Another value than that is no error; `tarn conf` and the log of\n"
        "  `tarn_env_open()` warn of it.\n"
        "\n"
        "- **memory size**: digits and `b`, `kb`, `mb`, `gb`, `tb` (or `k`, `kibibytes`, ...);"
        " none: bytes.\n"
        "- **duration**: digits and `d`, `h`, `min` (or `m`), `s`, `ms`, `\xC2\xB5s`, `ns`;"
        " none: milliseconds.\n"
        "- **number**: as Java reads it: `0.4`, `.4`, `4e-1`.\n"
        "- **list of choices**: `A;B`, or `[A, B]`.\n"
        "- **map**: `key:value,key:value`.\n");
    for (size_t i = 0; i < tarn_option_count(); i++) {
        const tarn_option *option = tarn_option_at(i);
        if (is_new_group(i)) {
            put(out, "\n## ");
            (void)!tarn_buffer_append(out, tarn_bytes_at(option->key, group_size(option->key)));
            put(out,
                "\n\n| key | type | default | read by | what it does | origin |\n"
                "|---|---|---|---|---|---|\n");
        }
        put_option(out, option);
    }
}

static int check(const tarn_buffer *manual, const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t at = 0;
    int byte = file != NULL ? fgetc(file) : EOF;
    while (byte != EOF && at < manual->size && manual->data[at] == (uint8_t)byte) {
        at++;
        byte = fgetc(file);
    }
    const bool is_same = file != NULL && byte == EOF && at == manual->size;
    if (file != NULL) {
        fclose(file);
    }
    if (!is_same) {
        fprintf(stderr, "%s differs at byte %zu; build the target manual\n", path, at);
    }
    return is_same ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int write_to(const tarn_buffer *manual, const char *path)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        return EXIT_FAILURE;
    }
    const bool is_written = fwrite(manual->data, 1, manual->size, file) == manual->size;
    return fclose(file) == 0 && is_written ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    tarn_buffer manual = TARN_BUFFER_INIT;
    put_manual(&manual);
    int result = EXIT_FAILURE;
    if (argc == 3 && strcmp(argv[1], "--check") == 0) {
        result = check(&manual, argv[2]);
    } else if (argc == 2) {
        result = write_to(&manual, argv[1]);
    } else {
        fputs("usage: tarn-manual [--check] FILE\n", stderr);
    }
    tarn_buffer_clear(&manual);
    return result;
}
