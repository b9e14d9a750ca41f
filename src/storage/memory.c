/*
 * memory.c - a storage in memory, for tests: the same promises, without a disk.
 *
 * Objects sit in one unsorted array; look-ups are linear, which hundreds of objects bear.
 */
#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "base/try.h"
#include "storage/storage.h"

typedef struct object {
    char *name;    /* Owned. */
    uint8_t *data; /* Owned; NULL when size is 0. */
    size_t size;
} object;

typedef struct memory_storage {
    tarn_storage base;
    tarn__account *account;
    pthread_mutex_t mutex; /* For all below. A leaf. */
    object *objects;       /* [capacity], owned. */
    uint32_t count;
    uint32_t capacity;
    bool is_locked;
} memory_storage;

typedef struct memory_upload {
    tarn_storage_upload base;
    uint32_t flags;
    tarn_buffer content;
    char *name; /* Owned; NULL: it comes with finish(). */
} memory_upload;

static memory_storage *storage_of(tarn_storage *base)
{
    return (memory_storage *)base;
}

/* Under the mutex. Answers count when there is none. */
static uint32_t find(const memory_storage *self, const char *name)
{
    uint32_t i = 0;
    while (i < self->count && strcmp(self->objects[i].name, name) != 0) {
        i++;
    }
    return i;
}

static tarn_status missing(const char *name, tarn_error *error)
{
    return tarn__fail(error, TARN_MISSING, "memory:///%s does not exist", name);
}

static tarn_status memory_begin(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error)
{
    memory_storage *self = storage_of(base);
    memory_upload *upload = tarn__allocate_zeroed(self->account, 1, sizeof *upload);
    if (upload == NULL) {
        return tarn__fail_no_memory(error, "an upload", sizeof *upload);
    }
    upload->base.storage = base;
    upload->flags = flags;
    upload->content.allocator = &self->account->face;
    if (name != NULL) {
        upload->name = tarn__allocate_string(self->account, name);
        if (upload->name == NULL) {
            tarn__release(upload);
            return tarn__fail_no_memory(error, "a name", strlen(name) + 1);
        }
    }
    *out = &upload->base;
    return TARN_OK;
}

static tarn_status memory_append(tarn_storage_upload *base, tarn_bytes part, tarn_error *error)
{
    memory_upload *upload = (memory_upload *)base;
    if (tarn_buffer_append(&upload->content, part) != TARN_OK) {
        return tarn__fail_no_memory(error, "an upload", part.size);
    }
    return TARN_OK;
}

static void memory_abandon(tarn_storage_upload *base)
{
    memory_upload *upload = (memory_upload *)base;
    tarn_buffer_clear(&upload->content);
    tarn__release(upload->name);
    tarn__release(upload);
}

/* Under the mutex: takes the upload's name and content over. */
static tarn_status place(memory_storage *self, memory_upload *upload, tarn_error *error)
{
    const uint32_t found = find(self, upload->name);
    if (found < self->count) {
        if ((upload->flags & TARN_UPLOAD_IF_ABSENT) != 0) {
            return tarn__fail(error, TARN_BUSY, "memory:///%s exists already", upload->name);
        }
        tarn__release(self->objects[found].data);
        self->objects[found].data = upload->content.data;
        self->objects[found].size = upload->content.size;
        upload->content = (tarn_buffer){.allocator = upload->content.allocator};
        return TARN_OK;
    }
    if (self->count == self->capacity) {
        const uint32_t capacity = self->capacity == 0 ? 16 : 2 * self->capacity;
        object *objects =
            tarn__reallocate(self->account, self->objects, capacity * sizeof *objects);
        if (objects == NULL) {
            return tarn__fail_no_memory(error, "objects", capacity * sizeof *objects);
        }
        self->objects = objects;
        self->capacity = capacity;
    }
    self->objects[self->count++] = (object){
        .name = upload->name,
        .data = upload->content.data,
        .size = upload->content.size,
    };
    upload->name = NULL;
    upload->content = (tarn_buffer){.allocator = upload->content.allocator};
    return TARN_OK;
}

static tarn_status memory_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    memory_upload *upload = (memory_upload *)base;
    memory_storage *self = storage_of(base->storage);
    assert((name == NULL) != (upload->name == NULL));
    tarn_status status = TARN_OK;
    if (name != NULL) {
        upload->name = tarn__allocate_string(self->account, name);
        if (upload->name == NULL) {
            status = tarn__fail_no_memory(error, "a name", strlen(name) + 1);
        }
    }
    if (status == TARN_OK) {
        pthread_mutex_lock(&self->mutex);
        status = place(self, upload, error);
        pthread_mutex_unlock(&self->mutex);
    }
    memory_abandon(base);
    return status;
}

static tarn_status memory_read(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    memory_storage *self = storage_of(base);
    pthread_mutex_lock(&self->mutex);
    const uint32_t found = find(self, name);
    const bool is_there = found < self->count;
    if (is_there) {
        const object *source = &self->objects[found];
        const size_t left = offset < source->size ? source->size - (size_t)offset : 0;
        *size_out = left < size ? left : size;
        if (*size_out > 0) {
            memcpy(into, source->data + offset, *size_out);
        }
    }
    pthread_mutex_unlock(&self->mutex);
    return is_there ? TARN_OK : missing(name, error);
}

static tarn_status memory_stat(
    tarn_storage *base, const char *name, tarn_storage_info *out, tarn_error *error)
{
    memory_storage *self = storage_of(base);
    pthread_mutex_lock(&self->mutex);
    const uint32_t found = find(self, name);
    const bool is_there = found < self->count;
    if (is_there) {
        *out = (tarn_storage_info){.size = self->objects[found].size};
    }
    pthread_mutex_unlock(&self->mutex);
    return is_there ? TARN_OK : missing(name, error);
}

static tarn_status memory_remove(
    tarn_storage *base, const char *const *names, uint32_t count, tarn_error *error)
{
    (void)error;
    memory_storage *self = storage_of(base);
    pthread_mutex_lock(&self->mutex);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t found = find(self, names[i]);
        if (found < self->count) {
            tarn__release(self->objects[found].name);
            tarn__release(self->objects[found].data);
            self->objects[found] = self->objects[--self->count];
        }
    }
    pthread_mutex_unlock(&self->mutex);
    return TARN_OK;
}

/* What of a name follows "directory/", or NULL when it is not below the directory. */
static const char *below(const char *name, const char *directory)
{
    const size_t size = strlen(directory);
    if (size == 0) {
        return name;
    }
    return strncmp(name, directory, size) == 0 && name[size] == '/' ? name + size + 1 : NULL;
}

/* Under the mutex. Makes the entry of object i unless one before it has the same first part. */
static bool make_entry(
    const memory_storage *self,
    const char *directory,
    uint32_t i,
    char part[TARN__STORAGE_PART_BYTES_MAX + 1],
    tarn_storage_entry *out)
{
    const char *rest = below(self->objects[i].name, directory);
    if (rest == NULL) {
        return false;
    }
    const size_t size = strcspn(rest, "/");
    const bool is_directory = rest[size] == '/';
    for (uint32_t j = 0; is_directory && j < i; j++) {
        const char *other = below(self->objects[j].name, directory);
        if (other != NULL && strncmp(other, rest, size + 1) == 0) {
            return false;
        }
    }
    memcpy(part, rest, size);
    part[size] = '\0';
    *out = (tarn_storage_entry){
        .name = part,
        .is_directory = is_directory,
        .size = is_directory ? 0 : self->objects[i].size,
    };
    return true;
}

static tarn_status memory_list(
    tarn_storage *base,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    (void)error;
    memory_storage *self = storage_of(base);
    bool goes_on = true;
    for (uint32_t i = 0; goes_on; i++) {
        char part[TARN__STORAGE_PART_BYTES_MAX + 1];
        tarn_storage_entry entry;
        pthread_mutex_lock(&self->mutex);
        const bool is_over = i >= self->count;
        const bool is_entry = !is_over && make_entry(self, directory, i, part, &entry);
        pthread_mutex_unlock(&self->mutex);
        if (is_over) {
            break;
        }
        goes_on = !is_entry || visit(&entry, context);
    }
    return TARN_OK;
}

static tarn_status memory_lock_take(tarn_storage *base, tarn_storage_lock **out, tarn_error *error)
{
    memory_storage *self = storage_of(base);
    tarn_storage_lock *lock = tarn__allocate_zeroed(self->account, 1, sizeof *lock);
    if (lock == NULL) {
        return tarn__fail_no_memory(error, "a lock", sizeof *lock);
    }
    lock->storage = base;
    pthread_mutex_lock(&self->mutex);
    const bool is_taken = !self->is_locked;
    self->is_locked = true;
    pthread_mutex_unlock(&self->mutex);
    if (!is_taken) {
        tarn__release(lock);
        return tarn__fail(error, TARN_BUSY, "this process writes to the storage in memory already");
    }
    *out = lock;
    return TARN_OK;
}

static void memory_lock_give(tarn_storage_lock *lock)
{
    memory_storage *self = storage_of(lock->storage);
    pthread_mutex_lock(&self->mutex);
    self->is_locked = false;
    pthread_mutex_unlock(&self->mutex);
    tarn__release(lock);
}

static void memory_free(tarn_storage *base)
{
    memory_storage *self = storage_of(base);
    for (uint32_t i = 0; i < self->count; i++) {
        tarn__release(self->objects[i].name);
        tarn__release(self->objects[i].data);
    }
    pthread_mutex_destroy(&self->mutex);
    tarn__release(self->objects);
    tarn__release(self);
}

static const tarn_storage_ops MEMORY_OPS = {
    .struct_size = sizeof(tarn_storage_ops),
    .begin = memory_begin,
    .append = memory_append,
    .finish = memory_finish,
    .abandon = memory_abandon,
    .read = memory_read,
    .stat = memory_stat,
    .remove = memory_remove,
    .list = memory_list,
    .lock = memory_lock_take,
    .unlock = memory_lock_give,
    .free = memory_free,
};

tarn_status tarn__memory_storage_new(tarn__account *account, tarn_storage **out, tarn_error *error)
{
    memory_storage *self = tarn__allocate_zeroed(account, 1, sizeof *self);
    if (self == NULL) {
        return tarn__fail_no_memory(error, "a storage", sizeof *self);
    }
    self->base = (tarn_storage){
        .ops = &MEMORY_OPS,
        .address = "memory://",
        .features = TARN_STORAGE_LATE_NAMES,
    };
    self->account = account;
    pthread_mutex_init(&self->mutex, NULL);
    *out = &self->base;
    return TARN_OK;
}
