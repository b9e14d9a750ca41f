/* fault_disk.c - see fault_disk.h. */
#undef _FORTIFY_SOURCE
#include "support/fault_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define IN_PLACE __attribute__((visibility("default")))

static struct {
    atomic_bool is_armed;
    atomic_bool has_fired;
    atomic_uint_least64_t call_count;
    uint64_t nth;
    int code;
    bool is_lasting;
    unsigned calls;
} disk = {.calls = FAULT_DISK_ALL};

void fault_disk_choose(unsigned calls)
{
    disk.calls = calls;
}

void fault_disk_arm(uint64_t nth, int code, bool is_lasting)
{
    atomic_store(&disk.call_count, 0);
    atomic_store(&disk.has_fired, false);
    disk.nth = nth;
    disk.code = code;
    disk.is_lasting = is_lasting;
    atomic_store(&disk.is_armed, true);
}

void fault_disk_pause(void)
{
    atomic_store(&disk.is_armed, false);
}

void fault_disk_resume(void)
{
    atomic_store(&disk.is_armed, true);
}

bool fault_disk_disarm(void)
{
    atomic_store(&disk.is_armed, false);
    return atomic_load(&disk.has_fired);
}

uint64_t fault_disk_call_count(void)
{
    return atomic_load(&disk.call_count);
}

static bool fails(fault_disk_calls kind)
{
    if (!atomic_load(&disk.is_armed) || (disk.calls & kind) == 0) {
        return false;
    }
    const uint64_t call = atomic_fetch_add(&disk.call_count, 1);
    if (call != disk.nth && !(disk.is_lasting && call > disk.nth)) {
        return false;
    }
    atomic_store(&disk.has_fired, true);
    errno = disk.code;
    return true;
}

IN_PLACE ssize_t write(int file, const void *data, size_t size)
{
    return fails(FAULT_DISK_OTHERS) ? -1 : (ssize_t)syscall(SYS_write, file, data, size);
}

IN_PLACE ssize_t pwrite(int file, const void *data, size_t size, off_t offset)
{
    return fails(FAULT_DISK_PLACED_WRITES)
               ? -1
               : (ssize_t)syscall(SYS_pwrite64, file, data, size, offset);
}

IN_PLACE ssize_t pread(int file, void *data, size_t size, off_t offset)
{
    return fails(FAULT_DISK_OTHERS) ? -1 : (ssize_t)syscall(SYS_pread64, file, data, size, offset);
}

IN_PLACE int fsync(int file)
{
    return fails(FAULT_DISK_OTHERS) ? -1 : (int)syscall(SYS_fsync, file);
}

IN_PLACE int fdatasync(int file)
{
    return fails(FAULT_DISK_OTHERS) ? -1 : (int)syscall(SYS_fdatasync, file);
}

IN_PLACE int ftruncate(int file, off_t size)
{
    return fails(FAULT_DISK_OTHERS) ? -1 : (int)syscall(SYS_ftruncate, file, size);
}

IN_PLACE int rename(const char *from, const char *to)
{
    return fails(FAULT_DISK_OTHERS) ? -1 : (int)syscall(SYS_rename, from, to);
}

IN_PLACE int link(const char *from, const char *to)
{
    return fails(FAULT_DISK_LINKS) ? -1 : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

IN_PLACE int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    return fails(FAULT_DISK_OTHERS) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
