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

/* The new file may be read by whoever might read the old one, and by nobody else. */
static bool keep_mode(int file, mode_t mode)
{
    struct stat status;
    const mode_t bits = mode & (S_IRWXU | S_IRWXG | S_IRWXO);
    return fstat(file, &status) == 0 &&
           ((status.st_mode & (S_IRWXU | S_IRWXG | S_IRWXO)) == bits || fchmod(file, bits) == 0);
}

static void drop_beside(cli_file_out *out)
{
    free(out->beside);
    out->beside = NULL;
}

bool cli_file_out_open(cli_file_out *out, const char *path, tarn_error *error)
{
    struct stat status;
    *out = (cli_file_out){.path = path};
    if (strcmp(path, "-") == 0) {
        out->file = stdout;
        return true;
    }
    const bool is_there = lstat(path, &status) == 0;
    if (is_there && !S_ISREG(status.st_mode)) {
        out->file = fopen(path, "wb");
        return out->file != NULL || cli_file_fail(error, "make", path);
    }
    const size_t size = strlen(path) + 32;
    out->beside = cli_must(malloc(size));
    snprintf(out->beside, size, "%s.part-%ld", path, (long)getpid());
    out->file = fopen(out->beside, "wbx");
    if (out->file == NULL) {
        (void)cli_file_fail(error, "make", out->beside);
        drop_beside(out);
        return false;
    }
    if (is_there && !keep_mode(fileno(out->file), status.st_mode)) {
        (void)cli_file_fail(error, "keep the mode of", path);
        (void)fclose(out->file);
        (void)unlink(out->beside);
        drop_beside(out);
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
    drop_beside(out);
    return is_good;
}
