/* fault_files.c - see fault_files.h. */
#include "support/fault_files.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static bool must_fail(fault_files *fault)
{
    const uint64_t call = atomic_fetch_add(&fault->call_count, 1);
    const bool fails = fault->is_persistent ? call >= fault->fail_at : call == fault->fail_at;
    if (!fails) {
        return false;
    }
    if (fault->kills) {
        kill(getpid(), SIGKILL);
    }
    atomic_store(&fault->fired, true);
    errno = fault->code;
    return true;
}

static const tarn__file_calls *below(void)
{
    return tarn__file_calls_system();
}

static int fault_open_at(int directory, const char *name, int flags, mode_t mode, void *context)
{
    fault_files *fault = context;
    if (must_fail(fault)) {
        return -1;
    }
    return below()->open_at(directory, name, flags, mode, NULL);
}

/* A close that fails has still closed, as on Linux. */
static int fault_close(int file, void *context)
{
    fault_files *fault = context;
    const bool fails = must_fail(fault);
    const int result = below()->close(file, NULL);
    if (fails) {
        errno = fault->code;
    }
    return fails ? -1 : result;
}

/* Halves what is asked for, and interrupts every third time. */
static bool shorten(fault_files *fault, size_t *size)
{
    if (!fault->is_short) {
        return false;
    }
    *size = *size > 1 ? *size / 2 : *size;
    if (atomic_load(&fault->call_count) % 3 == 0) {
        errno = EINTR;
        return true;
    }
    return false;
}

static ssize_t fault_read_at(int file, void *into, size_t size, off_t offset, void *context)
{
    fault_files *fault = context;
    if (must_fail(fault) || shorten(fault, &size)) {
        return -1;
    }
    const ssize_t got = below()->read_at(file, into, size, offset, NULL);
    if (got > 0) {
        const uint64_t before = atomic_fetch_add(&fault->read_bytes, (uint64_t)got);
        if (fault->flips_from > 0 && before >= fault->flips_from) {
            *(uint8_t *)into ^= 1;
        }
    }
    return got;
}

static ssize_t fault_write(int file, const void *bytes, size_t size, void *context)
{
    fault_files *fault = context;
    if (must_fail(fault) || shorten(fault, &size)) {
        return -1;
    }
    const ssize_t written = below()->write(file, bytes, size, NULL);
    if (written > 0) {
        atomic_fetch_add(&fault->written_bytes, (uint64_t)written);
    }
    return written;
}

static int fault_seek(int file, off_t offset, void *context)
{
    return must_fail(context) ? -1 : below()->seek(file, offset, NULL);
}

static int fault_sync(int file, void *context)
{
    /* The real call is left out: tests do not lose power, and it costs milliseconds. */
    (void)file;
    return must_fail(context) ? -1 : 0;
}

static int fault_stat(int file, struct stat *out, void *context)
{
    return must_fail(context) ? -1 : below()->stat(file, out, NULL);
}

static bool is_aged(const fault_files *fault, const char *name)
{
    const char *last = strrchr(name, '/');
    return fault->unaged == NULL || strcmp(last != NULL ? last + 1 : name, fault->unaged) != 0;
}

static int fault_stat_at(int directory, const char *name, struct stat *out, void *context)
{
    const fault_files *fault = context;
    if (must_fail(context) || below()->stat_at(directory, name, out, NULL) != 0) {
        return -1;
    }
    if (is_aged(fault, name)) {
        out->st_mtim.tv_sec -= fault->aged_by_ms / 1000;
        out->st_ctim.tv_sec -= fault->aged_by_ms / 1000;
    }
    return 0;
}

static int fault_rename_at(
    int directory, const char *from, const char *to, unsigned flags, void *context)
{
    return must_fail(context) ? -1 : below()->rename_at(directory, from, to, flags, NULL);
}

static int fault_link_at(const char *from, int directory, const char *to, void *context)
{
    return must_fail(context) ? -1 : below()->link_at(from, directory, to, NULL);
}

static int fault_unlink_at(int directory, const char *name, int flags, void *context)
{
    return must_fail(context) ? -1 : below()->unlink_at(directory, name, flags, NULL);
}

static int fault_make_directory_at(int directory, const char *name, mode_t mode, void *context)
{
    return must_fail(context) ? -1 : below()->make_directory_at(directory, name, mode, NULL);
}

static int fault_lock(int file, int operation, void *context)
{
    return must_fail(context) ? -1 : below()->lock(file, operation, NULL);
}

static struct dirent *fault_next_entry(DIR *listing, void *context)
{
    return must_fail(context) ? NULL : below()->next_entry(listing, NULL);
}

void fault_files_init(fault_files *fault, uint64_t nth, int code)
{
    *fault = (fault_files){
        .base =
            {
                .open_at = fault_open_at,
                .close = fault_close,
                .read_at = fault_read_at,
                .write = fault_write,
                .seek = fault_seek,
                .sync = fault_sync,
                .stat = fault_stat,
                .stat_at = fault_stat_at,
                .rename_at = fault_rename_at,
                .link_at = fault_link_at,
                .unlink_at = fault_unlink_at,
                .make_directory_at = fault_make_directory_at,
                .lock = fault_lock,
                .next_entry = fault_next_entry,
                .context = fault,
            },
        .fail_at = nth,
        .code = code,
    };
}
