/* consumer.c - a program outside of the project: compiled against the installed headers. */
#include <stdio.h>
#include <string.h>

#include <tarn/bytes.h>
#include <tarn/status.h>
#include <tarn/version.h>

int main(void)
{
    tarn_buffer buffer = TARN_BUFFER_INIT;
    tarn_error error;
    if (tarn_buffer_reserve(&buffer, 64) != TARN_OK) {
        (void)fprintf(stderr, "no memory\n");
        return 1;
    }
    tarn_buffer_clear(&buffer);
    memset(&error, 0, sizeof(error));
    if (tarn_version_number() != TARN_VERSION_NUMBER) {
        (void)fprintf(stderr, "headers and library are of different versions\n");
        return 1;
    }
    (void)printf("%s %s\n", tarn_version_string(), tarn_status_name(error.status));
    return 0;
}
