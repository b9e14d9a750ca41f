/* status.c - names and sentences of statuses; how a tarn_error is filled. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/refusal.h"

const char *tarn_status_name(tarn_status status)
{
    switch (status) {
#define X(name, value, sentence) \
    case TARN_##name:            \
        return "TARN_" #name;
        TARN_STATUS_MAP(X)
#undef X
    }
    return "TARN_?";
}

const char *tarn_status_sentence(tarn_status status)
{
    switch (status) {
#define X(name, value, sentence) \
    case TARN_##name:            \
        return sentence;
        TARN_STATUS_MAP(X)
#undef X
    }
    return "a status that this version does not know";
}

bool tarn_status_is_retriable(tarn_status status)
{
    return status == TARN_BUSY || status == TARN_OVER_BUDGET || status == TARN_NO_MEMORY ||
           status == TARN_NO_SPACE || status == TARN_REMOTE_ERROR || status == TARN_TIMED_OUT;
}

tarn_status tarn__fail(tarn_error *error, tarn_status status, const char *format, ...)
{
    if (error == NULL) {
        return status;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    error->status = status;
    error->system_code = 0;
    return status;
}

static tarn_status status_of_errno(int system_code)
{
    switch (system_code) {
    case ENOSPC:
    case EDQUOT:
        return TARN_NO_SPACE;
    case ENOMEM:
        return TARN_NO_MEMORY;
    default:
        return TARN_IO_ERROR;
    }
}

tarn_status tarn__fail_errno(tarn_error *error, int system_code, const char *format, ...)
{
    const tarn_status status = status_of_errno(system_code);
    if (error == NULL) {
        return status;
    }
    va_list arguments;
    va_start(arguments, format);
    const int written = vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    if (written >= 0 && (size_t)written < sizeof error->message) {
        char text[128];
        snprintf(
            error->message + written,
            sizeof error->message - (size_t)written,
            ": %s",
            strerror_r(system_code, text, sizeof text));
    }
    error->status = status;
    error->system_code = system_code;
    return status;
}

tarn_status tarn__fail_no_memory(tarn_error *error, const char *what, size_t bytes)
{
    return tarn__refusal_explain(
        error, tarn__fail(error, TARN_NO_MEMORY, "cannot allocate %zu bytes for %s", bytes, what));
}

void tarn__error_prefix(tarn_error *error, const char *format, ...)
{
    if (error == NULL) {
        return;
    }
    char message[sizeof error->message];
    va_list arguments;
    va_start(arguments, format);
    const int written = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (written < 0 || (size_t)written >= sizeof message) {
        return;
    }
    const size_t room = sizeof message - (size_t)written;
    snprintf(message + written, room, ": %.*s", (int)room, error->message);
    memcpy(error->message, message, sizeof message);
    error->message[sizeof message - 1] = '\0';
}
