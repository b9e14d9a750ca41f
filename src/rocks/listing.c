/* listing.c - see listing.h. */
#include "rocks/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/try.h"

/* ---- reading ---------------------------------------------------------------------------- */

static void close_file(const int *file)
{
    if (*file >= 0) {
        (void)close(*file);
    }
}

/* Reads a file of at most so many bytes. */
static tarn_status read_whole(
    const char *path, size_t bytes_max, tarn_buffer *out, tarn_error *error)
{
    TARN_AUTO(close_file) int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0) {
        return tarn__fail_errno(error, errno, "cannot open %s", path);
    }
    if ((uint64_t)status.st_size > bytes_max) {
        return tarn__fail(error, TARN_NOT_SUPPORTED, "%s is too long", path);
    }
    const size_t size = (size_t)status.st_size;
    if (tarn_buffer_reserve(out, size + 1) != TARN_OK) {
        return tarn__fail_no_memory(error, "a list of table files", size + 1);
    }
    out->size = 0;
    while (out->size < size) {
        const ssize_t got = read(file, out->data + out->size, size - out->size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return tarn__fail_errno(error, got < 0 ? errno : EIO, "cannot read %s", path);
        }
        out->size += (size_t)got;
    }
    return TARN_OK;
}

tarn_status tarn__rocks_name_path(
    const char *directory, const char *name, char out[PATH_MAX], tarn_error *error)
{
    const int size = snprintf(out, PATH_MAX, "%s/%s", directory, name);
    return size > 0 && size < PATH_MAX
               ? TARN_OK
               : tarn__fail(
                     error, TARN_INVALID_ARGUMENT, "the path %.200s... is too long", directory);
}

/* CURRENT names the MANIFEST, with a line's end. */
static tarn_status find_list(tarn__rocks_listing *l, tarn__account *account, tarn_error *error)
{
    enum { NAME_BYTES_MAX = 64 };
    static const char PREFIX[] = "MANIFEST-";
    TARN_AUTO(tarn_buffer_clear) tarn_buffer current = {.allocator = &account->face};
    TARN_TRY(tarn__rocks_name_path(l->directory, "CURRENT", l->path, error));
    TARN_TRY(read_whole(l->path, NAME_BYTES_MAX, &current, error));
    char *name = (char *)current.data;
    name[current.size] = '\0';
    name[strcspn(name, "\n")] = '\0';
    if (strncmp(name, PREFIX, sizeof PREFIX - 1) != 0 || strchr(name, '/') != NULL) {
        return tarn__fail(error, TARN_CORRUPTION, "%s names no list of table files", l->path);
    }
    return tarn__rocks_name_path(l->directory, name, l->path, error);
}

void tarn__rocks_listing_close(tarn__rocks_listing *listing)
{
    tarn__manifest_close(&listing->manifest);
}

static tarn_status read_list(tarn__rocks_listing *l, tarn__account *account, tarn_error *error)
{
    TARN_AUTO(tarn_buffer_clear) tarn_buffer bytes = {.allocator = &account->face};
    TARN_TRY(find_list(l, account, error));
    TARN_TRY(read_whole(l->path, TARN__MANIFEST_BYTES_MAX, &bytes, error));
    l->size = bytes.size;
    const tarn_status status =
        tarn__manifest_open(&l->manifest, tarn_buffer_bytes(&bytes), account, error);
    if (status != TARN_OK && !tarn__is_of_memory(status)) {
        tarn__error_prefix(error, "%.200s", l->path);
    }
    return status;
}

tarn_status tarn__rocks_listing_read(
    tarn__rocks_listing *listing, const char *directory, tarn__account *account, tarn_error *error)
{
    listing->directory = directory;
    tarn__arena_init(&listing->manifest.arena, account);
    return read_list(listing, account, error);
}

uint32_t tarn__rocks_count_levels(const char *directory, tarn__account *account)
{
    TARN_AUTO(tarn__rocks_listing_close) tarn__rocks_listing l;
    l.manifest = (tarn__manifest){.next_number = 0};
    const tarn_status status = tarn__rocks_listing_read(&l, directory, account, NULL);
    uint32_t count = TARN__MANIFEST_LEVELS;
    for (size_t i = 0; status == TARN_OK && i < l.manifest.file_count; i++) {
        const uint32_t level = l.manifest.files[i].level;
        count = level < count ? count : level + 1;
    }
    return count;
}
