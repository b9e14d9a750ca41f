/* s3_credentials.c - see s3_credentials.h. */
#include "storage/s3_credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/try.h"

void tarn__s3_credentials_clear(tarn__s3_credentials *credentials)
{
    explicit_bzero(credentials, sizeof *credentials);
}

static bool copy_field(char *out, size_t capacity, const char *text, size_t size)
{
    if (size >= capacity || memchr(text, '\0', size) != NULL || memchr(text, '\n', size) != NULL ||
        memchr(text, '\r', size) != NULL) {
        return false;
    }
    memcpy(out, text, size);
    out[size] = '\0';
    return true;
}

/* Takes three texts over, any of which may be NULL; false: too long. */
static bool set_all(
    tarn__s3_credentials *out, const char *access_key, const char *secret_key, const char *session)
{
    return copy_field(out->access_key, sizeof out->access_key, access_key, strlen(access_key)) &&
           copy_field(out->secret_key, sizeof out->secret_key, secret_key, strlen(secret_key)) &&
           (session == NULL ||
            copy_field(out->session_token, sizeof out->session_token, session, strlen(session)));
}

static tarn_bytes trim(tarn_bytes text)
{
    const char *data = text.data;
    size_t size = text.size;
    while (size > 0 && strchr(" \t\r", data[0]) != NULL) {
        data++;
        size--;
    }
    while (size > 0 && strchr(" \t\r", data[size - 1]) != NULL) {
        size--;
    }
    return tarn_bytes_at(data, size);
}

static bool is_text(tarn_bytes bytes, const char *text)
{
    return tarn_bytes_is_equal(bytes, tarn_bytes_of(text));
}

/* One "key = value" within the profile; false: too long. */
static bool take_line(tarn__s3_credentials *out, tarn_bytes line)
{
    const char *data = line.data;
    const char *equals = line.size > 0 ? memchr(data, '=', line.size) : NULL;
    if (equals == NULL) {
        return true;
    }
    const tarn_bytes key = trim(tarn_bytes_at(data, (size_t)(equals - data)));
    const tarn_bytes value =
        trim(tarn_bytes_at(equals + 1, line.size - (size_t)(equals + 1 - data)));
    if (is_text(key, "aws_access_key_id")) {
        return copy_field(out->access_key, sizeof out->access_key, value.data, value.size);
    }
    if (is_text(key, "aws_secret_access_key")) {
        return copy_field(out->secret_key, sizeof out->secret_key, value.data, value.size);
    }
    if (is_text(key, "aws_session_token")) {
        return copy_field(out->session_token, sizeof out->session_token, value.data, value.size);
    }
    return true;
}

bool tarn__s3_credentials_read(tarn_bytes text, const char *profile, tarn__s3_credentials *out)
{
    tarn__s3_credentials found = {.access_key = ""};
    const char *at = text.data;
    size_t left = text.size;
    bool is_profile = false;
    bool is_good = true;
    while (is_good && left > 0) {
        const char *newline = memchr(at, '\n', left);
        const size_t size = newline != NULL ? (size_t)(newline - at) : left;
        const tarn_bytes line = trim(tarn_bytes_at(at, size));
        const char *data = line.data;
        if (line.size > 1 && data[0] == '[' && data[line.size - 1] == ']') {
            is_profile = is_text(trim(tarn_bytes_at(data + 1, line.size - 2)), profile);
        } else if (is_profile && line.size > 0 && data[0] != '#' && data[0] != ';') {
            is_good = take_line(&found, line);
        }
        at += newline != NULL ? size + 1 : size;
        left -= newline != NULL ? size + 1 : size;
    }
    is_good = is_good && found.access_key[0] != '\0' && found.secret_key[0] != '\0';
    if (is_good) {
        *out = found;
    }
    tarn__s3_credentials_clear(&found);
    return is_good;
}

static tarn_status take_pair(
    const char *where,
    const char *access_key,
    const char *secret_key,
    const char *session,
    tarn__s3_credentials *out,
    bool *is_found,
    tarn_error *error)
{
    if ((access_key == NULL || access_key[0] == '\0') &&
        (secret_key == NULL || secret_key[0] == '\0')) {
        return TARN_OK;
    }
    if (access_key == NULL || access_key[0] == '\0' || secret_key == NULL ||
        secret_key[0] == '\0') {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s names one of access key and secret key without the other",
            where);
    }
    *is_found = true;
    return set_all(out, access_key, secret_key, session)
               ? TARN_OK
               : tarn__fail(error, TARN_INVALID_ARGUMENT, "%s has a key that is too long", where);
}

/* Reads the file into text; one that is not there leaves it empty. */
static tarn_status read_text(
    const tarn__file_calls *calls, const char *path, tarn_buffer *text, tarn_error *error)
{
    int file = -1;
    const tarn_status status = tarn__file_open(calls, AT_FDCWD, path, O_RDONLY, path, &file, error);
    if (status != TARN_OK) {
        return status == TARN_MISSING ? TARN_OK : status;
    }
    size_t got = 0;
    tarn_status outcome = tarn_buffer_reserve(text, TARN__S3_CREDENTIALS_FILE_BYTES_MAX);
    if (outcome != TARN_OK) {
        (void)tarn__fail_no_memory(
            error, "a credentials file", TARN__S3_CREDENTIALS_FILE_BYTES_MAX);
    } else {
        outcome = tarn__file_read(
            calls, file, 0, text->data, TARN__S3_CREDENTIALS_FILE_BYTES_MAX, &got, path, error);
    }
    (void)calls->close(file, calls->context);
    text->size = outcome == TARN_OK ? got : 0;
    return outcome;
}

static tarn_status find_in_file(
    const tarn__file_calls *calls,
    tarn__account *account,
    tarn__s3_credentials *out,
    tarn_error *error)
{
    char path[PATH_MAX];
    const char *given = getenv("AWS_SHARED_CREDENTIALS_FILE");
    const char *home = getenv("HOME");
    if (given != NULL && given[0] != '\0') {
        snprintf(path, sizeof path, "%s", given);
    } else if (home != NULL && home[0] != '\0') {
        snprintf(path, sizeof path, "%s/.aws/credentials", home);
    } else {
        return TARN_OK;
    }
    const char *profile = getenv("AWS_PROFILE");
    const bool is_named = profile != NULL && profile[0] != '\0';
    tarn_buffer text = {.allocator = &account->face};
    const tarn_status status = read_text(calls, path, &text, error);
    bool is_found = false;
    if (status == TARN_OK) {
        is_found = tarn__s3_credentials_read(
            tarn_buffer_bytes(&text), is_named ? profile : "default", out);
    }
    if (text.capacity > 0) {
        explicit_bzero(text.data, text.capacity);
    }
    tarn_buffer_clear(&text);
    if (status == TARN_OK && !is_found && is_named) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%.300s has no profile \"%.100s\" with an access key and a secret key",
            path,
            profile);
    }
    return status;
}

/* The text of an option under any of its names; NULL: it is not set. */
static const char *setting(const tarn_config *config, const char *key)
{
    const char *value = NULL;
    bool is_set = false;
    if (config == NULL || tarn_config_get_string(config, key, &value, &is_set, NULL) != TARN_OK ||
        !is_set) {
        return NULL;
    }
    return value;
}

tarn_status tarn__s3_credentials_find(
    const tarn_config *config,
    const tarn__file_calls *calls,
    tarn__account *account,
    tarn__s3_credentials *out,
    tarn_error *error)
{
    *out = (tarn__s3_credentials){.access_key = ""};
    bool is_found = false;
    TARN_TRY(take_pair(
        "the configuration (s3.access-key, s3.secret-key)",
        setting(config, "s3.access-key"),
        setting(config, "s3.secret-key"),
        setting(config, "s3.session-token"),
        out,
        &is_found,
        error));
    if (!is_found) {
        TARN_TRY(take_pair(
            "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)",
            getenv("AWS_ACCESS_KEY_ID"),
            getenv("AWS_SECRET_ACCESS_KEY"),
            getenv("AWS_SESSION_TOKEN"),
            out,
            &is_found,
            error));
    }
    return is_found ? TARN_OK : find_in_file(calls, account, out, error);
}
