/*
 * own_storage.c - somebody's storage, objects in a list in memory, under the installed suite.
 *
 * With FORGETFUL in the environment it drops every second object, and must fail.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/testkit/storage.h>

typedef struct object {
    struct object *next;
    char *name;
    char *data;
    size_t size;
} object;

typedef struct own {
    tarn_storage base;
    pthread_mutex_t mutex;
    object *first;
    unsigned put_count;
} own;

typedef struct own_upload {
    tarn_storage_upload base;
    object *made;
    uint32_t flags;
} own_upload;

static void *must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static tarn_status say(tarn_error *error, tarn_status status, const char *name)
{
    if (error != NULL) {
        memset(error, 0, sizeof *error);
        error->status = status;
        snprintf(error->message, sizeof error->message, "%.900s: no", name);
    }
    return status;
}

static void drop(object *o)
{
    free(o->name);
    free(o->data);
    free(o);
}

/* The place of a name in the list; it points to NULL when there is none. Under the mutex. */
static object **find(own *self, const char *name)
{
    object **at = &self->first;
    while (*at != NULL && strcmp((*at)->name, name) != 0) {
        at = &(*at)->next;
    }
    return at;
}

static tarn_status own_begin(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error)
{
    (void)error;
    own_upload *upload = must(calloc(1, sizeof *upload));
    upload->base.storage = base;
    upload->flags = flags;
    upload->made = must(calloc(1, sizeof *upload->made));
    upload->made->name = must(strdup(name));
    *out = &upload->base;
    return TARN_OK;
}

static tarn_status own_append(tarn_storage_upload *base, tarn_bytes part, tarn_error *error)
{
    object *o = ((own_upload *)base)->made;
    (void)error;
    o->data = must(realloc(o->data, o->size + part.size + 1));
    memcpy(o->data + o->size, part.data, part.size);
    o->size += part.size;
    return TARN_OK;
}

static void own_abandon(tarn_storage_upload *base)
{
    drop(((own_upload *)base)->made);
    free(base);
}

static tarn_status own_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    own_upload *upload = (own_upload *)base;
    own *self = (own *)base->storage;
    object *made = upload->made;
    tarn_status status = TARN_OK;
    (void)name;
    pthread_mutex_lock(&self->mutex);
    object **at = find(self, made->name);
    if (*at != NULL && (upload->flags & TARN_UPLOAD_IF_ABSENT) != 0) {
        status = say(error, TARN_BUSY, made->name);
        drop(made);
    } else {
        object *old = *at;
        made->next = old != NULL ? old->next : NULL;
        *at = made;
        if (old != NULL) {
            drop(old);
        }
        if (getenv("FORGETFUL") != NULL && ++self->put_count % 2 == 0) {
            *at = made->next;
            drop(made);
        }
    }
    pthread_mutex_unlock(&self->mutex);
    free(upload);
    return status;
}

static tarn_status own_read(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    own *self = (own *)base;
    pthread_mutex_lock(&self->mutex);
    const object *o = *find(self, name);
    if (o != NULL) {
        const size_t left = offset < o->size ? o->size - (size_t)offset : 0;
        *size_out = left < size ? left : size;
        if (*size_out > 0) {
            memcpy(into, o->data + offset, *size_out);
        }
    }
    pthread_mutex_unlock(&self->mutex);
    return o != NULL ? TARN_OK : say(error, TARN_MISSING, name);
}

static tarn_status own_stat(
    tarn_storage *base, const char *name, tarn_storage_info *out, tarn_error *error)
{
    own *self = (own *)base;
    pthread_mutex_lock(&self->mutex);
    const object *o = *find(self, name);
    if (o != NULL) {
        out->size = o->size;
        out->written_ms = 0;
    }
    pthread_mutex_unlock(&self->mutex);
    return o != NULL ? TARN_OK : say(error, TARN_MISSING, name);
}

static tarn_status own_remove(
    tarn_storage *base, const char *const *names, uint32_t count, tarn_error *error)
{
    own *self = (own *)base;
    (void)error;
    pthread_mutex_lock(&self->mutex);
    for (uint32_t i = 0; i < count; i++) {
        object **at = find(self, names[i]);
        if (*at != NULL) {
            object *gone = *at;
            *at = gone->next;
            drop(gone);
        }
    }
    pthread_mutex_unlock(&self->mutex);
    return TARN_OK;
}

/* Tells whether an object before this one shows the same entry. */
static int is_shown(
    const own *self, const object *until, const char *prefix, size_t prefix_size, size_t part)
{
    const object *o = self->first;
    while (o != until) {
        const char *rest = o->name + prefix_size;
        if (strncmp(o->name, prefix, prefix_size) == 0 && strcspn(rest, "/") == part &&
            strncmp(rest, until->name + prefix_size, part) == 0) {
            return 1;
        }
        o = o->next;
    }
    return 0;
}

static tarn_status own_list(
    tarn_storage *base,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    own *self = (own *)base;
    char prefix[1100];
    int goes_on = 1;
    (void)error;
    snprintf(prefix, sizeof prefix, "%s%s", directory, directory[0] != '\0' ? "/" : "");
    const size_t prefix_size = strlen(prefix);
    pthread_mutex_lock(&self->mutex);
    for (const object *o = self->first; o != NULL && goes_on; o = o->next) {
        if (strncmp(o->name, prefix, prefix_size) != 0) {
            continue;
        }
        const size_t part = strcspn(o->name + prefix_size, "/");
        if (is_shown(self, o, prefix, prefix_size, part)) {
            continue;
        }
        char name[300];
        tarn_storage_entry entry;
        memset(&entry, 0, sizeof entry);
        snprintf(name, sizeof name, "%.*s", (int)part, o->name + prefix_size);
        entry.name = name;
        entry.is_directory = o->name[prefix_size + part] == '/';
        entry.size = entry.is_directory ? 0 : o->size;
        goes_on = visit(&entry, context);
    }
    pthread_mutex_unlock(&self->mutex);
    return TARN_OK;
}

static void own_free(tarn_storage *base)
{
    own *self = (own *)base;
    while (self->first != NULL) {
        object *next = self->first->next;
        drop(self->first);
        self->first = next;
    }
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

static const tarn_storage_ops own_ops = {
    .struct_size = sizeof(tarn_storage_ops),
    .begin = own_begin,
    .append = own_append,
    .finish = own_finish,
    .abandon = own_abandon,
    .read = own_read,
    .stat = own_stat,
    .remove = own_remove,
    .list = own_list,
    .free = own_free,
};

static tarn_status own_open(
    const char *address, void *context, tarn_storage **out, tarn_error *error)
{
    own *self = must(calloc(1, sizeof *self));
    (void)address;
    (void)context;
    (void)error;
    self->base.ops = &own_ops;
    self->base.address = "own://memory";
    pthread_mutex_init(&self->mutex, NULL);
    *out = &self->base;
    return TARN_OK;
}

/* By its address, as a program would open it. */
static tarn_status open_empty(void *context, tarn_storage **out, tarn_error *error)
{
    static const tarn_storage_scheme scheme = {.name = "own", .open = own_open};
    tarn_storage_open_options options = TARN_STORAGE_OPEN_OPTIONS_INIT;
    (void)context;
    options.address = "own://memory";
    options.schemes = &scheme;
    options.scheme_count = 1;
    return tarn_storage_open(&options, out, error);
}

int main(void)
{
    tarn_testkit_storage kit = TARN_TESTKIT_STORAGE_INIT;
    kit.open = open_empty;
    kit.report = tarn_testkit_print;
    const uint32_t failed = tarn_testkit_storage_run(&kit);
    printf("%u failed\n", (unsigned)failed);
    return failed == 0 ? 0 : 1;
}
