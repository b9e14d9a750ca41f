/* storage.c - `tarn storage`: looks into a storage, copies to and from it, tries it. */
#include "storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file_out.h"
#include "json.h"
#include "place.h"
#include "table.h"
#include "text.h"

enum {
    OPTION_IF_ABSENT = CLI_OPTION_OWN,
    OPTION_WRITE,
    OPERANDS_MAX = 3,
};

/* The command line. */
typedef struct request {
    const tarn_config *config;
    cli_place *place;
    bool as_json;
    bool if_absent;
    bool with_writes;
    bool must_exist;                    /* The place is not made when it is missing. */
    const char *operands[OPERANDS_MAX]; /* The first says what to do. */
    int count;
} request;

static int refuse(const request *r, const tarn_error *error)
{
    return cli_refuse(r->as_json, error->message);
}

static bool open_storage(
    const request *r, const char *address, tarn_storage **out, tarn_error *error)
{
    tarn_storage_open_options options = TARN_STORAGE_OPEN_OPTIONS_INIT;
    options.address = address;
    options.config = r->config;
    options.must_exist = r->must_exist;
    return tarn_storage_open(&options, out, error) == TARN_OK;
}

/* Splits URI/NAME; opens what is before the last '/'. *name lies in text. */
static bool open_parent(
    const request *r,
    const char *uri,
    char **text,
    tarn_storage **out,
    const char **name,
    tarn_error *error)
{
    *text = cli_must(strdup(uri));
    char *slash = strrchr(*text, '/');
    const char *rest = strstr(uri, "://");
    const bool has_place =
        slash != NULL && slash[1] != '\0' && (rest == NULL || slash - *text > rest + 3 - uri);
    if (!has_place) {
        snprintf(error->message, sizeof error->message, "%.300s does not name an object", uri);
        return false;
    }
    *name = slash + 1;
    *slash = '\0';
    return open_storage(r, slash == *text ? "/" : *text, out, error);
}

static void show_progress(const char *what, uint64_t bytes, uint64_t total)
{
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r%s %s", what, cli_text_bytes(bytes).data);
        if (total > 0) {
            fprintf(stderr, " of %s", cli_text_bytes(total).data);
        }
        fputs("\033[K", stderr);
        fflush(stderr);
    }
}

static void end_progress(void)
{
    if (isatty(STDERR_FILENO)) {
        fputs("\r\033[K", stderr);
    }
}

static int answer(const request *r, const char *what, uint64_t bytes)
{
    if (r->as_json) {
        json_t *made = cli_json_object();
        cli_json_set(made, "ok", json_true());
        cli_json_set(made, "bytes", cli_json_count(bytes));
        cli_json_print(made);
    } else {
        printf("%s %s\n", what, r->operands[r->count - 1]);
    }
    return CLI_OK;
}

/* --- ls --- */

typedef struct listing {
    cli_table *table; /* NULL: as JSON. */
    json_t *entries;
} listing;

static bool add_entry(const tarn_storage_entry *entry, void *context)
{
    listing *l = context;
    if (l->table == NULL) {
        json_t *one = cli_json_object();
        cli_json_set(one, "name", cli_json_text(entry->name));
        cli_json_set(one, "directory", json_boolean(entry->is_directory));
        cli_json_set(one, "size", cli_json_count(entry->size));
        cli_json_append(l->entries, one);
        return true;
    }
    char *name = cli_must(malloc(strlen(entry->name) + 2));
    memcpy(name, entry->name, strlen(entry->name) + 1);
    if (entry->is_directory) {
        strncat(name, "/", 2);
    }
    cli_table_add(
        l->table,
        (const char *const[]){
            entry->is_directory ? "" : cli_text_count(entry->size).data,
            entry->is_directory ? "" : cli_text_bytes(entry->size).data,
            name});
    free(name);
    return true;
}

static int list(const request *r)
{
    static const cli_column columns[] = {
        {"BYTES", CLI_RIGHT}, {"SIZE", CLI_RIGHT}, {"NAME", CLI_LEFT}};
    tarn_error error;
    tarn_storage *storage = NULL;
    if (!open_storage(r, r->operands[1], &storage, &error)) {
        return refuse(r, &error);
    }
    listing l = {
        .table = r->as_json ? NULL : cli_table_new(columns, 3),
        .entries = r->as_json ? cli_json_array() : NULL,
    };
    const tarn_status status = tarn_storage_list(storage, "", add_entry, &l, &error);
    tarn_storage_close(storage);
    if (status != TARN_OK) {
        json_decref(l.entries);
        cli_table_free(l.table);
        return refuse(r, &error);
    }
    if (r->as_json) {
        json_t *made = cli_json_object();
        cli_json_set(made, "ok", json_true());
        cli_json_set(made, "entries", l.entries);
        cli_json_print(made);
    } else {
        cli_table_print(l.table);
    }
    return CLI_OK;
}

/* --- get and put --- */

static bool copy_out(
    tarn_storage *storage,
    const char *name,
    FILE *file,
    const char *path,
    uint64_t *bytes,
    tarn_error *error)
{
    tarn_storage_info info;
    if (tarn_storage_stat(storage, name, &info, error) != TARN_OK) {
        return false;
    }
    char *piece = cli_must(malloc(CLI_STORAGE_PIECE_BYTES));
    bool is_good = true;
    while (is_good && *bytes < info.size) {
        size_t got = 0;
        is_good =
            tarn_storage_read(storage, name, *bytes, piece, CLI_STORAGE_PIECE_BYTES, &got, error) ==
            TARN_OK;
        if (is_good && got == 0) {
            snprintf(error->message, sizeof error->message, "%s became shorter", name);
            is_good = false;
        }
        if (is_good && fwrite(piece, 1, got, file) != got) {
            is_good = cli_file_fail(error, "write", path);
        }
        *bytes += is_good ? got : 0;
        show_progress("read", *bytes, info.size);
    }
    end_progress();
    free(piece);
    return is_good;
}

static bool get_into(
    tarn_storage *storage, const char *name, const char *path, uint64_t *bytes, tarn_error *error)
{
    cli_file_out out;
    if (!cli_file_out_open(&out, path, error)) {
        return false;
    }
    const bool is_good = copy_out(storage, name, out.file, path, bytes, error);
    return cli_file_out_close(&out, is_good, error);
}

static int get(const request *r)
{
    const char *path = r->count > 2 ? r->operands[2] : "-";
    tarn_error error;
    tarn_storage *storage = NULL;
    const char *name = NULL;
    char *text = NULL;
    uint64_t bytes = 0;
    const bool is_good = open_parent(r, r->operands[1], &text, &storage, &name, &error) &&
                         get_into(storage, name, path, &bytes, &error);
    tarn_storage_close(storage);
    free(text);
    if (!is_good) {
        return refuse(r, &error);
    }
    return strcmp(path, "-") == 0 ? CLI_OK : answer(r, "read", bytes);
}

static bool copy_in(
    tarn_storage_upload *upload, FILE *file, const char *path, uint64_t *bytes, tarn_error *error)
{
    char *piece = cli_must(malloc(CLI_STORAGE_PIECE_BYTES));
    bool is_good = true;
    while (is_good && !feof(file)) {
        const size_t got = fread(piece, 1, CLI_STORAGE_PIECE_BYTES, file);
        if (ferror(file)) {
            is_good = cli_file_fail(error, "read", path);
        } else {
            is_good = tarn_storage_append(upload, tarn_bytes_at(piece, got), error) == TARN_OK;
        }
        *bytes += is_good ? got : 0;
        show_progress("sent", *bytes, 0);
    }
    end_progress();
    free(piece);
    return is_good;
}

static bool upload_file(
    const request *r,
    tarn_storage *storage,
    const char *name,
    FILE *file,
    uint64_t *bytes,
    tarn_error *error)
{
    tarn_storage_upload *upload = NULL;
    const uint32_t flags = r->if_absent ? TARN_UPLOAD_IF_ABSENT : 0;
    if (tarn_storage_begin(storage, name, flags, &upload, error) != TARN_OK) {
        return false;
    }
    if (!copy_in(upload, file, r->operands[1], bytes, error)) {
        tarn_storage_abandon(upload);
        return false;
    }
    return tarn_storage_finish(upload, error) == TARN_OK;
}

static int put(const request *r)
{
    const char *path = r->operands[1];
    tarn_error error;
    tarn_storage *storage = NULL;
    const char *name = NULL;
    char *text = NULL;
    uint64_t bytes = 0;
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    bool is_good = file != NULL || cli_file_fail(&error, "open", path);
    is_good = is_good && open_parent(r, r->operands[2], &text, &storage, &name, &error);
    is_good = is_good && upload_file(r, storage, name, file, &bytes, &error);
    if (file != NULL && file != stdin) {
        fclose(file);
    }
    tarn_storage_close(storage);
    free(text);
    return is_good ? answer(r, "sent", bytes) : refuse(r, &error);
}

static int remove_object(const request *r)
{
    tarn_error error;
    tarn_storage *storage = NULL;
    const char *name = NULL;
    char *text = NULL;
    const bool is_good = open_parent(r, r->operands[1], &text, &storage, &name, &error) &&
                         tarn_storage_remove(storage, &name, 1, &error) == TARN_OK;
    tarn_storage_close(storage);
    free(text);
    return is_good ? answer(r, "removed", 0) : refuse(r, &error);
}

static bool stop_at_once(const tarn_storage_entry *entry, void *context)
{
    (void)entry;
    (void)context;
    return false;
}

/* A place that does not answer at all is said once, and not for each case anew. */
static int check(const request *r)
{
    tarn_error error;
    tarn_storage *storage = NULL;
    if (!open_storage(r, r->operands[1], &storage, &error) ||
        tarn_storage_list(storage, "", stop_at_once, NULL, &error) != TARN_OK) {
        tarn_storage_close(storage);
        return refuse(r, &error);
    }
    const int status =
        cli_storage_check(r->config, r->operands[1], storage, r->with_writes, r->as_json);
    tarn_storage_close(storage);
    return status;
}

/* --- The command line --- */

static const struct {
    const char *name;
    int least; /* Operands, its own name included. */
    int most;
    bool must_exist;
    int (*run)(const request *r);
} actions[] = {
    {"ls", 2, 2, /* must_exist= */ true, list},
    {"get", 2, 3, /* must_exist= */ true, get},
    {"put", 3, 3, /* must_exist= */ false, put},
    {"rm", 2, 2, /* must_exist= */ true, remove_object},
    {"check", 2, 2, /* must_exist= */ false, check},
};

/* Returns -1 to go on, else the exit status. */
static int read_options(const cli_command *command, int argc, char **argv, request *r)
{
    static const struct option long_options[] = {
        CLI_PLACE_ROW,
        {"if-absent", no_argument, NULL, OPTION_IF_ABSENT},
        {"write", no_argument, NULL, OPTION_WRITE},
        CLI_OPTION_ROWS,
    };
    for (;;) {
        const int option = cli_option_next(command, argc, argv, CLI_PLACE_SHORT, long_options);
        if (cli_place_take(r->place, option)) {
            continue;
        }
        switch (option) {
        case -1:
            return cli_place_load(command, r->place, r->as_json);
        case OPTION_IF_ABSENT:
            r->if_absent = true;
            break;
        case OPTION_WRITE:
            r->with_writes = true;
            break;
        case CLI_OPTION_JSON:
            r->as_json = true;
            break;
        case CLI_OPTION_HELP:
            return cli_command_help(command);
        default:
            return CLI_USAGE;
        }
    }
}

static int act_on(const cli_command *command, int argc, char **argv, request *r)
{
    const int status = read_options(command, argc, argv, r);
    if (status != -1) {
        return status;
    }
    r->config = r->place->config;
    if (optind == argc) {
        return cli_usage(command, "say what to do: ls, get, put, rm or check");
    }
    while (optind < argc && r->count < OPERANDS_MAX) {
        r->operands[r->count++] = argv[optind++];
    }
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(actions[i].name, r->operands[0]) == 0) {
            if (optind < argc || r->count < actions[i].least || r->count > actions[i].most) {
                return cli_usage(command, "'%s' has too few or too many operands", actions[i].name);
            }
            r->must_exist = actions[i].must_exist;
            return actions[i].run(r);
        }
    }
    return cli_usage(command, "'%s' is none of ls, get, put, rm and check", r->operands[0]);
}

static int act(const cli_command *command, int argc, char **argv, cli_place *place, void *context)
{
    (void)context;
    request r = {.place = place};
    return act_on(command, argc, argv, &r);
}

static int run(const cli_command *command, int argc, char **argv)
{
    return cli_place_run(command, argc, argv, act, NULL);
}

const cli_command cli_storage = {
    .name = "storage",
    .summary = "look into a storage, copy to and from it, try it",
    .help = "storage ls|get|put|rm|check URI... [--conf FILE]... [-D KEY=VALUE]... [--json]\n"
            "\n"
            "  ls URI           what is directly below, with sizes\n"
            "  get URI [FILE]   copies an object to a file; - is stdout, the default\n"
            "  put FILE URI     copies a file, or stdin as -, to an object\n"
            "  rm URI           removes an object\n"
            "  check URI        tries what every storage must do, and says what works\n"
            "\n"
            "A URI is a path, file:///path, s3://bucket/key, or webhdfs://host:port/path.\n"
            "\n"
            "  --if-absent    put: refuse to replace an object\n"
            "  --write        check: all of it; writes below tarn-check-..., and removes that "
            "again\n" CLI_PLACE_HELP "  --json         answer as one line of JSON\n",
    .run = run,
};
