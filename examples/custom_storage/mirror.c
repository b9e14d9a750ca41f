#include "mirror.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/storage.h>

enum { SIDES = 2, ADDRESS_BYTES = 4096 };

#define TRY(call)                       \
    do {                                \
        const tarn_status tried = call; \
        if (tried != TARN_OK) {         \
            return tried;               \
        }                               \
    } while (0)

typedef struct mirror {
    tarn_storage base; /* First: Tarn knows the storage by its head. */
    tarn_storage *sides[SIDES];
    char address[ADDRESS_BYTES];
} mirror;

typedef struct mirror_upload {
    tarn_storage_upload base;
    tarn_storage_upload *sides[SIDES];
    char *name;
} mirror_upload;

/* Sets an error, as a function of the library would: only on failure, and only where one is wanted.
 */
__attribute__((format(printf, 3, 4))) static tarn_status fail(
    tarn_error *error, tarn_status status, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        *error = (tarn_error){.status = status};
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

/* ---- objects ---------------------------------------------------------------------------- */

static void mirror_abandon(tarn_storage_upload *base)
{
    mirror_upload *upload = (mirror_upload *)base;
    for (int i = 0; i < SIDES; i++) {
        tarn_storage_abandon(upload->sides[i]);
    }
    free(upload->name);
    free(upload);
}

static tarn_status mirror_begin(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error)
{
    mirror *self = (mirror *)base;
    mirror_upload *upload = calloc(1, sizeof *upload);
    if (upload == NULL || (upload->name = strdup(name)) == NULL) {
        free(upload);
        return fail(error, TARN_NO_MEMORY, "no memory for an upload of %s", name);
    }
    upload->base.storage = base;
    for (int i = 0; i < SIDES; i++) {
        const tarn_status status =
            tarn_storage_begin(self->sides[i], name, flags, &upload->sides[i], error);
        if (status != TARN_OK) {
            mirror_abandon(&upload->base);
            return status;
        }
    }
    *out = &upload->base;
    return TARN_OK;
}

static tarn_status mirror_append(tarn_storage_upload *base, tarn_bytes part, tarn_error *error)
{
    mirror_upload *upload = (mirror_upload *)base;
    for (int i = 0; i < SIDES; i++) {
        TRY(tarn_storage_append(upload->sides[i], part, error));
    }
    return TARN_OK;
}

static tarn_status finish_side(mirror_upload *upload, int side, tarn_error *error)
{
    tarn_storage_upload *ended = upload->sides[side];
    upload->sides[side] = NULL; /* It is freed, whatever the outcome. */
    return tarn_storage_finish(ended, error);
}

/* A name that only the second has is taken: the first has lost it, and must not get another object.
 */
static tarn_status finish_both(mirror *self, mirror_upload *upload, tarn_error *error)
{
    TRY(finish_side(upload, 0, error));
    const tarn_status status = finish_side(upload, 1, error);
    if (status == TARN_BUSY) {
        const char *name = upload->name;
        TRY(tarn_storage_remove(self->sides[0], &name, 1, error));
    }
    return status;
}

static tarn_status mirror_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    (void)name; /* begin() had it: names do not come late here. */
    mirror_upload *upload = (mirror_upload *)base;
    const tarn_status status = finish_both((mirror *)base->storage, upload, error);
    mirror_abandon(base); /* What is left. */
    return status;
}

static tarn_status mirror_read(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    mirror *self = (mirror *)base;
    if (tarn_storage_read(self->sides[0], name, offset, into, size, size_out, error) == TARN_OK) {
        return TARN_OK;
    }
    return tarn_storage_read(self->sides[1], name, offset, into, size, size_out, error);
}

static tarn_status mirror_stat(
    tarn_storage *base, const char *name, tarn_storage_info *out, tarn_error *error)
{
    mirror *self = (mirror *)base;
    if (tarn_storage_stat(self->sides[0], name, out, error) == TARN_OK) {
        return TARN_OK;
    }
    return tarn_storage_stat(self->sides[1], name, out, error);
}

static tarn_status mirror_remove(
    tarn_storage *base, const char *const *names, uint32_t count, tarn_error *error)
{
    mirror *self = (mirror *)base;
    const tarn_status first = tarn_storage_remove(self->sides[0], names, count, error);
    const tarn_status second =
        tarn_storage_remove(self->sides[1], names, count, first == TARN_OK ? error : NULL);
    return first != TARN_OK ? first : second;
}

/* ---- listing ---------------------------------------------------------------------------- */

/* What the first side has shown. */
typedef struct listing {
    char **names;
    size_t count;
    size_t capacity;
    bool is_over; /* Somebody has said stop. */
    bool has_no_memory;
    tarn_storage_visit *visit;
    void *context;
} listing;

static bool keep(listing *l, const char *name)
{
    if (l->count == l->capacity) {
        const size_t capacity = l->capacity > 0 ? 2 * l->capacity : 64;
        char **names = realloc(l->names, capacity * sizeof *names);
        if (names == NULL) {
            return false;
        }
        l->names = names;
        l->capacity = capacity;
    }
    l->names[l->count] = strdup(name);
    return l->names[l->count++] != NULL;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool visit_first(const tarn_storage_entry *entry, void *context)
{
    listing *l = context;
    l->has_no_memory = !keep(l, entry->name);
    l->is_over = l->has_no_memory || !l->visit(entry, l->context);
    return !l->is_over;
}

static bool visit_second(const tarn_storage_entry *entry, void *context)
{
    listing *l = context;
    if (l->count > 0 &&
        bsearch(&entry->name, l->names, l->count, sizeof *l->names, compare) != NULL) {
        return true;
    }
    return l->visit(entry, l->context);
}

static tarn_status list_both(mirror *self, const char *directory, listing *l, tarn_error *error)
{
    const tarn_status first = tarn_storage_list(self->sides[0], directory, visit_first, l, error);
    if (l->has_no_memory) {
        return fail(error, TARN_NO_MEMORY, "no memory for the names of %s", directory);
    }
    if (l->is_over) {
        return first;
    }
    if (l->count > 1) {
        qsort(l->names, l->count, sizeof *l->names, compare);
    }
    return tarn_storage_list(self->sides[1], directory, visit_second, l, error);
}

static tarn_status mirror_list(
    tarn_storage *base,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    listing l = {.visit = visit, .context = context};
    const tarn_status status = list_both((mirror *)base, directory, &l, error);
    for (size_t i = 0; i < l.count; i++) {
        free(l.names[i]);
    }
    free(l.names);
    return status;
}

/* ---- opening ---------------------------------------------------------------------------- */

static void mirror_free(tarn_storage *base)
{
    mirror *self = (mirror *)base;
    for (int i = 0; i < SIDES; i++) {
        tarn_storage_close(self->sides[i]);
    }
    free(self);
}

/* No locks, and none is needed: a checkpoint is committed under a name that must not be taken. */
static const tarn_storage_ops mirror_ops = {
    .struct_size = sizeof(tarn_storage_ops),
    .begin = mirror_begin,
    .append = mirror_append,
    .finish = mirror_finish,
    .abandon = mirror_abandon,
    .read = mirror_read,
    .stat = mirror_stat,
    .remove = mirror_remove,
    .list = mirror_list,
    .free = mirror_free,
};

/* Opens the storage whose address begins with size bytes of begin, and goes on with rest. */
static tarn_status open_side(
    mirror *self, int side, const char *begin, size_t size, const char *rest, tarn_error *error)
{
    char address[ADDRESS_BYTES];
    tarn_storage_open_options options = TARN_STORAGE_OPEN_OPTIONS_INIT;
    const int written = snprintf(address, sizeof address, "%.*s%s", (int)size, begin, rest);
    if (written < 0 || (size_t)written >= sizeof address) {
        return fail(error, TARN_INVALID_ARGUMENT, "the address %.200s... is too long", begin);
    }
    options.address = address;
    return tarn_storage_open(&options, &self->sides[side], error);
}

static tarn_status open_both(mirror *self, const char *address, tarn_error *error)
{
    const char *comma = strchr(address, ',');
    const char *brace = comma != NULL ? strchr(comma, '}') : NULL;
    if (address[0] != '{' || brace == NULL) {
        return fail(
            error,
            TARN_INVALID_ARGUMENT,
            "mirror://%.200s is not of the form mirror://{FIRST,SECOND}/PATH",
            address);
    }
    const char *first = address + 1;
    const char *second = comma + 1;
    TRY(open_side(self, 0, first, (size_t)(comma - first), brace + 1, error));
    TRY(open_side(self, 1, second, (size_t)(brace - second), brace + 1, error));
    /* Addresses of storages are without credentials; these are for messages. */
    const int size = snprintf(
        self->address,
        sizeof self->address,
        "mirror://{%s,%s}",
        tarn_storage_address(self->sides[0]),
        tarn_storage_address(self->sides[1]));
    return size >= 0 && (size_t)size < sizeof self->address
               ? TARN_OK
               : fail(error, TARN_INVALID_ARGUMENT, "mirror://%.200s is too long", address);
}

static tarn_status open_mirror(
    const char *address, void *context, tarn_storage **out, tarn_error *error)
{
    (void)context;
    mirror *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return fail(error, TARN_NO_MEMORY, "no memory for the storage %.200s", address);
    }
    self->base = (tarn_storage){.ops = &mirror_ops, .address = self->address};
    const tarn_status status = open_both(self, address + strlen("mirror://"), error);
    if (status != TARN_OK) {
        mirror_free(&self->base);
        return status;
    }
    *out = &self->base;
    return TARN_OK;
}

const tarn_storage_scheme mirror_scheme = {.name = "mirror", .open = open_mirror};
