/* file_out.c - see file_out.h. */
#include "file_out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

bool cli_file_fail(tarn_error *error, const char *doing, const char *path)
{
    snprintf(
        error->message,
        sizeof error->message,
        "cannot %s %.300s: %s",
        doing,
        path,
        strerror(errno));
    return false;
}

bool cli_file_out_open(cli_file_out *out, const char *path, tarn_error *error)
{
    struct stat status;
    *out = (cli_file_out){.path = path};
    if (strcmp(path, "-") == 0) {
        out->file = stdout;
        return true;
    }
    if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        out->file = fopen(path, "wb");
        return out->file != NULL || cli_file_fail(error, "make", path);
    }
    const size_t size = strlen(path) + 32;
    out->beside = cli_must(malloc(size));
    snprintf(out->beside, size, "%s.part-%ld", path, (long)getpid());
    out->file = fopen(out->beside, "wbx");
    if (out->file == NULL) {
        (void)cli_file_fail(error, "make", out->beside);
        free(out->beside);
        out->beside = NULL;
        return false;
    }
    return true;
}

bool cli_file_out_close(cli_file_out *out, bool is_good, tarn_error *error)
{
    const bool was_good = is_good;
    if (out->file == stdout) {
        is_good = is_good && fflush(stdout) == 0;
    } else {
        is_good = fclose(out->file) == 0 && is_good;
    }
    if (is_good && out->beside != NULL) {
        is_good = rename(out->beside, out->path) == 0;
    }
    if (was_good && !is_good) {
        (void)cli_file_fail(error, "write", out->path);
    }
    if (!is_good && out->beside != NULL) {
        (void)unlink(out->beside);
    }
    free(out->beside);
    out->beside = NULL;
    return is_good;
}
