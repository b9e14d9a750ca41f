/* source.c - an old subtask's part as a database of its own, beside the backend's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state/descriptors.h"
#include "state/restore.h"

enum { DIRECTORY_MODE = 0755 };

/* ---- files ------------------------------------------------------------------------------ */

tarn_status tarn__restore_name_source(
    const tarn_backend *backend, uint32_t old_index, char path[PATH_MAX], tarn_error *error)
{
    const int size = snprintf(path, PATH_MAX, "%s/%u", backend->directory.source, old_index);
    return size > 0 && size < PATH_MAX ? TARN_OK
                                       : tarn__fail(
                                             error,
                                             TARN_INVALID_ARGUMENT,
                                             "the path %.200s... is too long",
                                             backend->directory.source);
}

tarn_status tarn__restore_fetch_source(
    const tarn__restore *restore,
    const tarn__restore_part *part,
    atomic_bool *has_holes,
    tarn__base **base_out,
    tarn_error *error)
{
    char path[PATH_MAX];
    const char *above = restore->backend->directory.source;
    TARN_TRY(tarn__restore_name_source(restore->backend, part->old_index, path, error));
    if (access(path, F_OK) == 0) {
        return TARN_OK;
    }
    if (mkdir(above, DIRECTORY_MODE) != 0 && errno != EEXIST) {
        return tarn__fail_errno(error, errno, "cannot create %s", above);
    }
    return tarn__restore_fetch_part(restore, part, path, has_holes, base_out, error);
}

tarn_status tarn__restore_open_source(
    tarn_backend *backend, uint32_t old_index, tarn__rocks **out, tarn_error *error)
{
    char path[PATH_MAX];
    TARN_TRY(tarn__restore_name_source(backend, old_index, path, error));
    const tarn__rocks_open_options options = {
        .account = backend->account,
        .memory = tarn__env_rocks_memory(backend->env),
        .directory = path,
        .settings = backend->settings,
        .use = TARN__ROCKS_USE_READ,
    };
    return tarn__rocks_open(&options, out, error);
}

/* ---- descriptors ------------------------------------------------------------------------ */

/*
 * Takes over the descriptor of a state. Where both have it, they must be of the same state; the
 * schemas of values may differ, as rows of older ones go at different times.
 */
static tarn_status take_own_row(
    tarn_backend *backend, tarn_bytes key, tarn_bytes value, tarn_error *error)
{
    char name[TARN__ROCKS_NAME_BYTES_MAX + 1];
    uint8_t generations[256];
    const size_t size = key.size < sizeof name ? key.size : sizeof name - 1;
    memcpy(name, key.data, size);
    name[size] = '\0';
    return tarn__descriptor_take(backend, name, value, generations, error);
}

/* Names of states have no NUL: what begins with one is another mark, see sequence.c. */
static bool is_of_state(tarn_bytes key)
{
    return key.size > 0 && *(const uint8_t *)key.data != 0;
}

tarn_status tarn__restore_take_descriptors(
    tarn_backend *backend, tarn__rocks *source, tarn_error *error)
{
    static const uint8_t LOWEST = 0;
    static const uint8_t BEYOND_TEXT = UINT8_MAX;
    tarn__rocks_iterator *rows = NULL;
    TARN_TRY(tarn__rocks_iterate(
        tarn__rocks_default_family(source),
        tarn_bytes_at(&LOWEST, 1),
        tarn_bytes_at(&BEYOND_TEXT, 1),
        &rows,
        error));
    tarn_status status;
    do {
        tarn_bytes key;
        tarn_bytes value;
        status = tarn__rocks_iterator_next(rows, &key, &value, error);
        if (status == TARN_OK && is_of_state(key)) {
            status = take_own_row(backend, key, value, error);
        }
    } while (status == TARN_OK);
    tarn__rocks_iterator_close(rows);
    TARN_TRY(status == TARN_DONE ? TARN_OK : status);
    uint64_t mark = 0;
    TARN_TRY(tarn__sequence_read(source, &mark, error));
    return mark > 0 ? tarn__backend_raise_sequence(backend, mark, error) : TARN_OK;
}

/* ---- families --------------------------------------------------------------------------- */

tarn_status tarn__restore_find_into(
    tarn_backend *backend,
    const tarn__rocks_family *from,
    tarn__rocks_family **out,
    tarn_error *error)
{
    *out = tarn__rocks_find_family(backend->rocks, from->name);
    return *out != NULL ? TARN_OK
                        : tarn__rocks_create_family(
                              backend->rocks, from->name, backend->settings, out, error);
}
