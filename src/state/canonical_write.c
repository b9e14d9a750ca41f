/* canonical_write.c - rows of a moment into files. See canonical.h. */
#include "state/canonical.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/canonical.h"
#include "codec/stamp.h"
#include "snapshot/local.h"
#include "state/keyed.h"

enum { DIRECTORY_MODE = 0755, ROWS_BETWEEN_LOOKS = 4096 };

/* ---- what is to be written -------------------------------------------------------------- */

/* Finds the open state of a family among the backend's children. */
static const tarn_keyed *find_open(const tarn_backend *backend, const tarn__rocks_family *family)
{
    for (const tarn__child *child = backend->first_child; child != NULL; child = child->next) {
        if (strcmp(child->kind, "state") == 0) {
            const void *start = (const char *)child - offsetof(tarn_keyed, child);
            const tarn_keyed *keyed = start;
            if (keyed->family == family) {
                return keyed;
            }
        }
    }
    return NULL;
}

static tarn_status describe(
    tarn_backend *backend,
    tarn__rocks_family *family,
    tarn__arena *arena,
    tarn__canonical_state *out,
    tarn_error *error)
{
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
    tarn_bytes stored;
    const tarn_status status = tarn__rocks_get(
        tarn__rocks_default_family(backend->rocks),
        tarn_bytes_of(family->name),
        &pin,
        &stored,
        error);
    if (status == TARN_NOT_FOUND ||
        (status == TARN_OK && stored.size > TARN__DESCRIPTOR_BYTES_MAX)) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "the database has a state \"%s\" without a descriptor",
            family->name);
    }
    TARN_TRY(status);
    char *copy = tarn__arena_copy(arena, stored);
    if (copy == NULL) {
        return tarn__fail_no_memory(error, "a descriptor", stored.size);
    }
    out->descriptor = tarn_bytes_at(copy, stored.size);
    out->family = family;
    const tarn_keyed *keyed = find_open(backend, family);
    if (keyed != NULL && keyed->has_ttl && !keyed->is_untimed) {
        out->ttl_ms = keyed->ttl.ttl_ms;
        out->now_ms = tarn__keyed_clock(keyed);
    }
    return TARN_OK;
}

tarn_status tarn__canonical_prepare(
    tarn_backend *backend, tarn__arena *arena, tarn__canonical_plan *out, tarn_error *error)
{
    tarn__canonical_plan plan = {.backend = backend};
    for (const tarn__rocks_family *family = tarn__rocks_first_family(backend->rocks);
         family != NULL;
         family = family->next) {
        plan.count++;
    }
    plan.states = tarn__arena_allocate(arena, plan.count, sizeof *plan.states);
    if (plan.states == NULL) {
        return tarn__fail_no_memory(error, "the states of a savepoint", plan.count);
    }
    uint32_t index = 0;
    for (tarn__rocks_family *family = tarn__rocks_first_family(backend->rocks); family != NULL;
         family = family->next) {
        TARN_TRY(describe(backend, family, arena, &plan.states[index++], error));
    }
    TARN_TRY(tarn__sequence_read(backend->rocks, &plan.sequence, error));
    *out = plan;
    return TARN_OK;
}

tarn_status tarn__canonical_hold(tarn__canonical_plan *plan, tarn_error *error)
{
    return tarn__rocks_hold_open(plan->backend->rocks, &plan->hold, error);
}

void tarn__canonical_release(tarn__canonical_plan *plan)
{
    tarn__rocks_hold_close(plan->hold);
    plan->hold = NULL;
}

/* ---- writing ---------------------------------------------------------------------------- */

/* A file of rows being written. */
typedef struct output {
    const tarn__file_calls *calls;
    const atomic_bool *is_cancelled;
    int file;
    char path[PATH_MAX];
    tarn__canonical_writer writer;
    tarn__rocks_iterator *rows;
} output;

static void close_output(output *o)
{
    tarn__rocks_iterator_close(o->rows);
    tarn__canonical_writer_clear(&o->writer);
    if (o->file >= 0) {
        (void)o->calls->close(o->file, o->calls->context);
    }
}

static tarn_status write_out(output *o, tarn_bytes bytes, tarn_error *error)
{
    return tarn__file_write(o->calls, o->file, bytes, o->path, error);
}

static tarn_status write_header(
    output *o,
    const tarn__canonical_plan *plan,
    const tarn__canonical_state *state,
    tarn_error *error)
{
    const tarn_backend *backend = plan->backend;
    const tarn__canonical_header header = {
        .name = state->family->name,
        .name_size = strlen(state->family->name),
        .descriptor = state->descriptor,
        .key_groups = backend->key_groups,
        .max_parallelism = backend->max_parallelism,
        .key_hash = (uint32_t)backend->key_hash,
        .sequence = plan->sequence,
    };
    TARN_AUTO(tarn_buffer_clear) tarn_buffer bytes = {.allocator = &backend->account->face};
    TARN_TRY(tarn__canonical_encode_header(&header, &bytes, error));
    return write_out(o, tarn_buffer_bytes(&bytes), error);
}

static bool is_expired(const tarn__canonical_state *state, tarn_bytes value)
{
    return state->ttl_ms > 0 && value.size >= TARN__STAMP_BYTES &&
           tarn__stamp_is_expired(tarn__stamp_decode(value.data), state->ttl_ms, state->now_ms);
}

static tarn_status seal(output *o, tarn_error *error)
{
    tarn_bytes frame;
    TARN_TRY(tarn__canonical_seal(&o->writer, &frame, error));
    return write_out(o, frame, error);
}

static tarn_status write_rows(output *o, const tarn__canonical_state *state, tarn_error *error)
{
    tarn_bytes key;
    tarn_bytes value;
    tarn_status status = TARN_OK;
    for (uint64_t count = 0;; count++) {
        if (count % ROWS_BETWEEN_LOOKS == 0 && atomic_load(o->is_cancelled)) {
            return tarn__fail(error, TARN_ABANDONED, "the savepoint was cancelled");
        }
        status = tarn__rocks_iterator_next(o->rows, &key, &value, error);
        if (status != TARN_OK) {
            break;
        }
        if (is_expired(state, value)) {
            continue;
        }
        if (tarn__canonical_is_full(&o->writer, key, value)) {
            TARN_TRY(seal(o, error));
        }
        TARN_TRY(tarn__canonical_add(&o->writer, key, value, error));
    }
    if (status != TARN_DONE) {
        return status;
    }
    if (o->writer.row_count > 0) {
        TARN_TRY(seal(o, error));
    }
    tarn_bytes end;
    TARN_TRY(tarn__canonical_finish(&o->writer, &end, error));
    return write_out(o, end, error);
}

static tarn_status begin_rows(
    output *o,
    const tarn__canonical_plan *plan,
    const tarn__canonical_state *state,
    tarn_error *error)
{
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    tarn__row_encode_group(lower, plan->backend->key_groups.first);
    tarn__row_encode_group(upper, (uint32_t)plan->backend->key_groups.last + 1);
    const tarn__rocks_scan scan = {
        .lower = tarn_bytes_at(lower, sizeof lower),
        .upper = tarn_bytes_at(upper, sizeof upper),
        .is_raw = true,
        .hold = plan->hold,
    };
    return tarn__rocks_iterate_scan(state->family, &scan, &o->rows, error);
}

static tarn_status write_state(
    const tarn__canonical_plan *plan,
    uint32_t index,
    const char *directory,
    const atomic_bool *is_cancelled,
    tarn_error *error)
{
    TARN_AUTO(close_output)
    output o = {.calls = tarn__file_calls_system(), .is_cancelled = is_cancelled, .file = -1};
    tarn__canonical_writer_init(&o.writer, &plan->backend->account->face);
    const int size =
        snprintf(o.path, sizeof o.path, "%s/%05u" TARN__CANONICAL_SUFFIX, directory, index);
    if (size < 0 || (size_t)size >= sizeof o.path) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "the path %.200s... is too long", o.path);
    }
    TARN_TRY(tarn__file_open(
        o.calls, AT_FDCWD, o.path, O_WRONLY | O_CREAT | O_EXCL, o.path, &o.file, error));
    const tarn__canonical_state *state = &plan->states[index];
    TARN_TRY(write_header(&o, plan, state, error));
    TARN_TRY(begin_rows(&o, plan, state, error));
    return write_rows(&o, state, error);
}

tarn_status tarn__canonical_write(
    tarn__canonical_plan *plan,
    const char *directory,
    const atomic_bool *is_cancelled,
    tarn_error *error)
{
    tarn_status status = TARN_OK;
    if (mkdir(directory, DIRECTORY_MODE) != 0) {
        status = tarn__fail_errno(error, errno, "cannot create %s", directory);
    }
    for (uint32_t i = 0; status == TARN_OK && i < plan->count; i++) {
        status = write_state(plan, i, directory, is_cancelled, error);
    }
    tarn__canonical_release(plan);
    return status;
}
