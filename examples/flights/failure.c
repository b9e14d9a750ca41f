#include "failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 4, 0))) static void write_message(
    tarn_error *error, tarn_status status, int system_code, const char *format, va_list arguments)
{
    if (error == NULL) {
        return;
    }
    error->status = status;
    error->system_code = system_code;
    vsnprintf(error->message, sizeof error->message, format, arguments);
}

tarn_status failure_set(
    tarn_error *error, tarn_status status, int system_code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_message(error, status, system_code, format, arguments);
    va_end(arguments);
    return status;
}

tarn_status failure_of_system(tarn_error *error, int system_code, const char *format, ...)
{
    const bool is_full = system_code == ENOSPC || system_code == EDQUOT;
    const tarn_status status = is_full ? TARN_NO_SPACE : TARN_IO_ERROR;

    va_list arguments;
    va_start(arguments, format);
    write_message(error, status, system_code, format, arguments);
    va_end(arguments);
    if (error != NULL) {
        const size_t length = strlen(error->message);
        snprintf(
            error->message + length, sizeof error->message - length, ": %s", strerror(system_code));
    }
    return status;
}

/* A reservation of the same size has the reason. */
tarn_status failure_of_memory(tarn_error *error, tarn_owner *owner, size_t size, const char *what)
{
    const tarn_status status = tarn_owner_reserve(owner, size, TARN_NO_WAIT, error);
    if (status != TARN_OK) {
        return status;
    }
    tarn_owner_release(owner, size);
    return failure_set(error, TARN_NO_MEMORY, 0, "no memory for the buffers of %s", what);
}
