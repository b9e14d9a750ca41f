/* load.c - from a path to the text of a configuration file, and which flavour it has. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/try.h"
#include "config/config.h"

enum { READ_BYTES = 64 << 10 };

static const char legacy_name[] = "flink-conf.yaml";
static const char standard_name[] = "config.yaml";

static void close_file(const int *descriptor)
{
    if (*descriptor >= 0) {
        close(*descriptor);
    }
}

static bool has_ending(const char *text, const char *ending)
{
    const size_t size = strlen(text);
    const size_t ending_size = strlen(ending);
    return size >= ending_size && strcmp(text + size - ending_size, ending) == 0;
}

static tarn_config_flavour flavour_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    const bool is_legacy = strncmp(name, "flink-conf", strlen("flink-conf")) == 0;
    const bool is_yaml = has_ending(name, ".yaml") || has_ending(name, ".yml");
    return is_yaml && !is_legacy ? TARN_CONFIG_STANDARD : TARN_CONFIG_LEGACY;
}

static tarn_status read_all(int descriptor, const char *path, tarn_buffer *out, tarn_error *error)
{
    for (;;) {
        if (tarn_buffer_reserve(out, out->size + READ_BYTES) != TARN_OK) {
            return tarn__fail_no_memory(error, "a configuration file", out->size + READ_BYTES);
        }
        const ssize_t got = read(descriptor, out->data + out->size, READ_BYTES);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return tarn__fail_errno(error, errno, "cannot read the configuration %.200s", path);
        }
        if (got == 0) {
            return TARN_OK;
        }
        out->size += (size_t)got;
        if (out->size > TARN_CONFIG_FILE_BYTES_MAX) {
            return tarn__fail(
                error,
                TARN_INVALID_ARGUMENT,
                "the configuration %.200s has more than %u bytes",
                path,
                TARN_CONFIG_FILE_BYTES_MAX);
        }
    }
}

static tarn_status fail_open(const char *path, tarn_error *error)
{
    const int system_code = errno;
    const tarn_status status =
        tarn__fail_errno(error, system_code, "cannot open the configuration %.200s", path);
    if (system_code == ENOENT || system_code == ENOTDIR) {
        if (error != NULL) {
            error->status = TARN_MISSING;
        }
        return TARN_MISSING;
    }
    return status;
}

static tarn_status load_file(tarn_config *config, const char *path, tarn_error *error)
{
    TARN_AUTO(close_file) const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return fail_open(path, error);
    }
    TARN_AUTO(tarn_buffer_clear)
    tarn_buffer text = {.allocator = &tarn__config_account(config)->face};
    TARN_TRY(read_all(descriptor, path, &text, error));
    return tarn_config_parse(config, flavour_of(path), tarn_buffer_bytes(&text), path, error);
}

static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static void release_text(char **text)
{
    tarn__release(*text);
}

static tarn_status load_directory(tarn_config *config, const char *path, tarn_error *error)
{
    const size_t size = strlen(path) + 1 + sizeof legacy_name;
    TARN_AUTO(release_text) char *file = tarn__allocate(tarn__config_account(config), size);
    if (file == NULL) {
        return tarn__fail_no_memory(error, "the name of a configuration file", size);
    }
    snprintf(file, size, "%s/%s", path, legacy_name);
    if (access(file, F_OK) != 0) {
        snprintf(file, size, "%s/%s", path, standard_name);
    }
    if (access(file, F_OK) != 0) {
        return tarn__fail(
            error,
            TARN_MISSING,
            "the directory %.200s holds neither %s nor %s",
            path,
            legacy_name,
            standard_name);
    }
    return load_file(config, file, error);
}

tarn_status tarn_config_load(tarn_config *config, const char *path, tarn_error *error)
{
    if (path == NULL || path[0] == '\0') {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "the path of a configuration must not be empty");
    }
    return is_directory(path) ? load_directory(config, path, error)
                              : load_file(config, path, error);
}
