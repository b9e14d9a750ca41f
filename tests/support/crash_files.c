/* crash_files.c - see crash_files.h. */
#include "support/crash_files.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What a path is, by how it is named. */
static const char *thing_of(const char *path)
{
    const char *last = strrchr(path, '/');
    last = last != NULL ? last + 1 : path;
    if (strncmp(last, ".tarn-tmp", 9) == 0) {
        return "upload";
    }
    if (strcmp(last, "_metadata") == 0) {
        return "_metadata";
    }
    if (strstr(path, "claims/") != NULL) {
        return "claim";
    }
    if (strstr(path, "savepoint-") != NULL) {
        return "savepoint";
    }
    if (strstr(path, "shared/") != NULL && strchr(last, '-') != NULL) {
        return "shared";
    }
    return strstr(path, "chk-") != NULL && last == strstr(path, "chk-") ? "place"
           : strstr(path, "chk-") != NULL && strchr(last, '.') != NULL  ? "private"
                                                                        : "directory";
}

static void reach(crash_files *crash, const char *side, const char *step, const char *path)
{
    char name[CRASH_NAME_BYTES];
    const int size = snprintf(name, sizeof name, "%s %s %s\n", side, step, thing_of(path));
    if (crash->log >= 0 && write(crash->log, name, (size_t)size) != size) {
        _exit(4);
    }
    name[size - 1] = '\0';
    if (crash->point != NULL && strcmp(crash->point, name) == 0 &&
        atomic_fetch_add(&crash->reached, 1) + 1 == crash->nth) {
        kill(getpid(), SIGKILL);
    }
}

static int crash_sync(int file, void *context)
{
    char link[64];
    char path[PATH_MAX] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    const ssize_t size = readlink(link, path, sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    reach(context, "before", "sync", path);
    const int answer = tarn__file_calls_system()->sync(file, NULL);
    reach(context, "after", "sync", path);
    return answer;
}

static int crash_rename_at(
    int directory, const char *from, const char *to, unsigned flags, void *context)
{
    reach(context, "before", "rename", to);
    const int answer = tarn__file_calls_system()->rename_at(directory, from, to, flags, NULL);
    reach(context, "after", "rename", to);
    return answer;
}

static int crash_unlink_at(int directory, const char *name, int flags, void *context)
{
    reach(context, "before", "remove", name);
    const int answer = tarn__file_calls_system()->unlink_at(directory, name, flags, NULL);
    reach(context, "after", "remove", name);
    return answer;
}

static int crash_make_directory_at(int directory, const char *name, mode_t mode, void *context)
{
    reach(context, "before", "make", name);
    const int answer = tarn__file_calls_system()->make_directory_at(directory, name, mode, NULL);
    reach(context, "after", "make", name);
    return answer;
}

static ssize_t crash_write(int file, const void *bytes, size_t size, void *context)
{
    reach(context, "before", "write", "/.tarn-tmp");
    const ssize_t answer = tarn__file_calls_system()->write(file, bytes, size, NULL);
    reach(context, "after", "write", "/.tarn-tmp");
    return answer;
}

static int crash_link_at(const char *from, int directory, const char *to, void *context)
{
    reach(context, "before", "link", to);
    const int answer = tarn__file_calls_system()->link_at(from, directory, to, NULL);
    reach(context, "after", "link", to);
    return answer;
}

void crash_files_init(crash_files *crash, const char *point, uint32_t nth, int log)
{
    crash->base = *tarn__file_calls_system();
    crash->base.context = crash;
    crash->base.sync = crash_sync;
    crash->base.rename_at = crash_rename_at;
    crash->base.unlink_at = crash_unlink_at;
    crash->base.make_directory_at = crash_make_directory_at;
    crash->base.write = crash_write;
    crash->base.link_at = crash_link_at;
    crash->point = point;
    crash->nth = nth;
    crash->log = log;
    atomic_init(&crash->reached, 0);
}
