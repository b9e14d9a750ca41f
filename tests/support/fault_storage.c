/* fault_storage.c - see fault_storage.h. */
#include "support/fault_storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/try.h"
#include "support/support.h"

#define SCHEME "fault://sim"

enum { NAME_BYTES = TARN__STORAGE_NAME_BYTES_MAX + 1 };

/* A change that is still under way. */
struct fault_request {
    fault_request *next;
    tarn_storage_upload *upload; /* To be finished; NULL: the name is to be removed. */
    bool has_name;               /* The upload knows its name already. */
    bool is_overtaken;           /* By a later request about the same name. */
    bool is_orphaned;
    char name[NAME_BYTES];
};

typedef struct view {
    tarn_storage base;
    fault_storage *storage;
    bool is_plain;
    char directory[256]; /* With a '/' behind it, or "". */
    char address[300];
} view;

typedef struct fault_upload {
    tarn_storage_upload base;
    tarn_storage_upload *inner;
    bool has_name;
    uint32_t flags;
    char name[NAME_BYTES];
} fault_upload;

typedef struct fault_lock {
    tarn_storage_lock base;
    char *place;
} fault_lock;

static view *view_of(tarn_storage *base)
{
    return (view *)base;
}

/* --- What is under way --- */

static void carry_out(fault_storage *self, fault_request *request)
{
    tarn_error ignored; /* Nobody is there to hear it. */
    atomic_fetch_add(&self->change_count, 1);
    self->landed_count++;
    self->overtaken_count += request->is_overtaken ? 1 : 0;
    self->orphaned_count += request->is_orphaned ? 1 : 0;
    tarn_status status = TARN_OK;
    if (request->upload != NULL) {
        status = self->inner->ops->finish(
            request->upload, request->has_name ? NULL : request->name, &ignored);
        if (status == TARN_OK && self->landed != NULL) {
            self->landed(request->name, self->context);
        }
    } else {
        const char *const names[] = {request->name};
        status = self->inner->ops->remove(self->inner, names, 1, &ignored);
    }
    free(request);
}

/* Everything under way about a name arrives, in its order. */
static void deliver_name(fault_storage *self, const char *name)
{
    pthread_mutex_lock(&self->mutex);
    fault_request **place = &self->requests;
    while (*place != NULL) {
        fault_request *request = *place;
        if (strcmp(request->name, name) != 0) {
            place = &request->next;
            continue;
        }
        *place = request->next;
        self->request_count--;
        carry_out(self, request);
    }
    pthread_mutex_unlock(&self->mutex);
}

/* What is under way about a name may arrive after what comes now. */
static void overtake_name(fault_storage *self, const char *name)
{
    pthread_mutex_lock(&self->mutex);
    for (fault_request *request = self->requests; request != NULL; request = request->next) {
        request->is_overtaken = request->is_overtaken || strcmp(request->name, name) == 0;
    }
    pthread_mutex_unlock(&self->mutex);
}

static bool keeps_order(const fault_storage *self, const char *name)
{
    return self->keeps_order == NULL || self->keeps_order(name);
}

void fault_storage_deliver(fault_storage *storage, uint32_t number)
{
    pthread_mutex_lock(&storage->mutex);
    fault_request **place = &storage->requests;
    for (uint32_t i = 0; i < number; i++) {
        place = &(*place)->next;
    }
    fault_request *request = *place;
    char name[NAME_BYTES];
    memcpy(name, request->name, sizeof name);
    const bool is_alone = !keeps_order(storage, name);
    if (is_alone) {
        *place = request->next;
        storage->request_count--;
        carry_out(storage, request);
    }
    pthread_mutex_unlock(&storage->mutex);
    if (!is_alone) {
        deliver_name(storage, name);
    }
}

void fault_storage_orphan(fault_storage *storage)
{
    pthread_mutex_lock(&storage->mutex);
    for (fault_request *request = storage->requests; request != NULL; request = request->next) {
        request->is_orphaned = true;
    }
    pthread_mutex_unlock(&storage->mutex);
}

static fault_request *put_under_way(fault_storage *self, const char *name)
{
    fault_request *request = calloc(1, sizeof *request);
    assert_non_null(request);
    snprintf(request->name, sizeof request->name, "%s", name);
    pthread_mutex_lock(&self->mutex);
    fault_request **place = &self->requests;
    while (*place != NULL) {
        place = &(*place)->next;
    }
    *place = request;
    self->request_count++;
    pthread_mutex_unlock(&self->mutex);
    return request;
}

/* The object as it is now will be stored once more. */
static void put_twice(fault_storage *self, const char *name, uint32_t flags)
{
    tarn_error error;
    tarn_storage_info info;
    assert_ok(self->inner->ops->stat(self->inner, name, &info, &error), &error);
    uint8_t *bytes = malloc((size_t)info.size + 1);
    size_t size = 0;
    assert_non_null(bytes);
    assert_ok(
        self->inner->ops->read(self->inner, name, 0, bytes, (size_t)info.size + 1, &size, &error),
        &error);
    fault_request *request = put_under_way(self, name);
    request->has_name = true;
    assert_ok(self->inner->ops->begin(self->inner, name, flags, &request->upload, &error), &error);
    assert_ok(
        self->inner->ops->append(request->upload, tarn_bytes_at(bytes, size), &error), &error);
    free(bytes);
}

/* --- Operations --- */

static void complete_name(const view *v, const char *name, char out[NAME_BYTES])
{
    const int size = snprintf(out, NAME_BYTES, "%s%s", v->directory, name);
    assert_in_range(size, 0, NAME_BYTES - 1);
}

/* full NULL: the operation has no name yet. */
static fault_fate fate_of(const view *v, const char *operation, const char *full)
{
    fault_storage *self = v->storage;
    if (v->is_plain) {
        return FAULT_FATE_DONE;
    }
    fault_fate fate = FAULT_FATE_DONE;
    if (!self->is_dead && self->fate != NULL) {
        fate = self->fate(operation, full, self->context);
    }
    if (self->is_dead) {
        return FAULT_FATE_LOST;
    }
    if (full != NULL && keeps_order(self, full)) {
        deliver_name(self, full);
    } else if (full != NULL) {
        overtake_name(self, full);
    }
    return fate;
}

static bool is_answered(fault_fate fate)
{
    return fate == FAULT_FATE_DONE || fate == FAULT_FATE_REPEATED;
}

static tarn_status answer_lost(const char *operation, const char *name, tarn_error *error)
{
    return tarn__fail(
        error, TARN_REMOTE_ERROR, "no answer to %s %s", operation, name != NULL ? name : "");
}

static tarn_status fail_finish(const fault_storage *self, const char *name, tarn_error *error)
{
    return self->finish_failure != TARN_OK
               ? tarn__fail(error, self->finish_failure, "finish %s is refused", name)
               : answer_lost("finish", name, error);
}

static tarn_status fault_begin(
    tarn_storage *base,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error)
{
    view *v = view_of(base);
    char full[NAME_BYTES] = "";
    if (name != NULL) {
        complete_name(v, name, full);
    }
    if (!is_answered(fate_of(v, "begin", NULL))) {
        return answer_lost("begin", name, error);
    }
    tarn_storage_upload *inner = NULL;
    tarn_storage *memory = v->storage->inner;
    TARN_TRY(memory->ops->begin(memory, name != NULL ? full : NULL, flags, &inner, error));
    fault_upload *upload = calloc(1, sizeof *upload);
    assert_non_null(upload);
    upload->base.storage = base;
    upload->inner = inner;
    upload->has_name = name != NULL;
    upload->flags = flags;
    memcpy(upload->name, full, sizeof full);
    *out = &upload->base;
    return TARN_OK;
}

static tarn_status fault_append(tarn_storage_upload *base, tarn_bytes part, tarn_error *error)
{
    fault_upload *upload = (fault_upload *)base;
    view *v = view_of(base->storage);
    const fault_fate fate = fate_of(v, "append", NULL);
    if (!is_answered(fate) && fate != FAULT_FATE_UNANSWERED) {
        part.size /= 2;
    }
    TARN_TRY(v->storage->inner->ops->append(upload->inner, part, error));
    return is_answered(fate) ? TARN_OK : answer_lost("append", NULL, error);
}

static tarn_status fault_finish(tarn_storage_upload *base, const char *name, tarn_error *error)
{
    fault_upload *upload = (fault_upload *)base;
    view *v = view_of(base->storage);
    fault_storage *self = v->storage;
    char full[NAME_BYTES];
    memcpy(full, upload->name, sizeof full);
    if (name != NULL) {
        complete_name(v, name, full);
    }
    const fault_fate fate = fate_of(v, "finish", full);
    const bool has_name = upload->has_name;
    const uint32_t flags = upload->flags;
    tarn_storage_upload *inner = upload->inner;
    free(upload);
    if (fate == FAULT_FATE_LOST) {
        self->inner->ops->abandon(inner);
    } else if (fate == FAULT_FATE_LATE) {
        fault_request *request = put_under_way(self, full);
        request->upload = inner;
        request->has_name = has_name;
    } else {
        atomic_fetch_add(&self->change_count, 1);
        TARN_TRY(self->inner->ops->finish(inner, has_name ? NULL : full, error));
    }
    if (fate == FAULT_FATE_REPEATED) {
        put_twice(self, full, flags);
    }
    return is_answered(fate) ? TARN_OK : fail_finish(self, full, error);
}

static void fault_abandon(tarn_storage_upload *base)
{
    fault_upload *upload = (fault_upload *)base;
    view_of(base->storage)->storage->inner->ops->abandon(upload->inner);
    free(upload);
}

static tarn_status fault_read(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    view *v = view_of(base);
    char full[NAME_BYTES];
    complete_name(v, name, full);
    if (!is_answered(fate_of(v, "read", full))) {
        return answer_lost("read", name, error);
    }
    tarn_storage *memory = v->storage->inner;
    return memory->ops->read(memory, full, offset, into, size, size_out, error);
}

static tarn_status fault_stat(
    tarn_storage *base, const char *name, tarn_storage_info *out, tarn_error *error)
{
    view *v = view_of(base);
    char full[NAME_BYTES];
    complete_name(v, name, full);
    if (!is_answered(fate_of(v, "stat", full))) {
        return answer_lost("stat", name, error);
    }
    tarn_storage *memory = v->storage->inner;
    return memory->ops->stat(memory, full, out, error);
}

static tarn_status remove_one(view *v, const char *name, tarn_error *error)
{
    fault_storage *self = v->storage;
    char full[NAME_BYTES];
    complete_name(v, name, full);
    const fault_fate fate = fate_of(v, "remove", full);
    if (fate == FAULT_FATE_LATE) {
        (void)put_under_way(self, full);
    } else if (fate != FAULT_FATE_LOST) {
        const char *const names[] = {full};
        atomic_fetch_add(&self->change_count, 1);
        TARN_TRY(self->inner->ops->remove(self->inner, names, 1, error));
    }
    if (fate == FAULT_FATE_REPEATED) {
        (void)put_under_way(self, full);
    }
    return is_answered(fate) ? TARN_OK : answer_lost("remove", name, error);
}

/* Every name has a fate of its own: some may go, and others stay. */
static tarn_status fault_remove(
    tarn_storage *base, const char *const *names, uint32_t count, tarn_error *error)
{
    tarn_status status = TARN_OK;
    for (uint32_t i = 0; i < count; i++) {
        const tarn_status one = remove_one(view_of(base), names[i], error);
        status = status == TARN_OK ? one : status;
    }
    return status;
}

static tarn_status fault_list(
    tarn_storage *base,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    view *v = view_of(base);
    char full[NAME_BYTES];
    complete_name(v, directory, full);
    const size_t size = strlen(full);
    if (size > 0 && full[size - 1] == '/') {
        full[size - 1] = '\0';
    }
    if (!is_answered(fate_of(v, "list", NULL))) {
        return answer_lost("list", directory, error);
    }
    tarn_storage *memory = v->storage->inner;
    return memory->ops->list(memory, full, visit, context, error);
}

/* --- Locks, which a process that dies loses: nothing else happens to them --- */

static tarn_status fault_take_lock(tarn_storage *base, tarn_storage_lock **out, tarn_error *error)
{
    view *v = view_of(base);
    char *place = NULL;
    for (uint32_t i = 0; i < FAULT_LOCKS_MAX; i++) {
        char *one = v->storage->locks[i];
        if (strcmp(one, v->address) == 0) {
            return tarn__fail(error, TARN_BUSY, "somebody writes to %s already", v->address);
        }
        place = place == NULL && one[0] == '\0' ? one : place;
    }
    assert_non_null(place);
    fault_lock *lock = calloc(1, sizeof *lock);
    assert_non_null(lock);
    lock->base.storage = base;
    lock->place = place;
    snprintf(place, sizeof v->storage->locks[0], "%.255s", v->address);
    *out = &lock->base;
    return TARN_OK;
}

static void fault_give_lock(tarn_storage_lock *base)
{
    fault_lock *lock = (fault_lock *)base;
    lock->place[0] = '\0';
    free(lock);
}

/* --- Life --- */

static void fault_free(tarn_storage *base)
{
    free(view_of(base));
}

tarn_status fault_storage_open(
    fault_storage *storage,
    const char *directory,
    bool is_plain,
    tarn_storage **out,
    tarn_error *error)
{
    static const tarn_storage_ops ops = {
        .struct_size = sizeof ops,
        .begin = fault_begin,
        .append = fault_append,
        .finish = fault_finish,
        .abandon = fault_abandon,
        .read = fault_read,
        .stat = fault_stat,
        .remove = fault_remove,
        .list = fault_list,
        .lock = fault_take_lock,
        .unlock = fault_give_lock,
        .free = fault_free,
    };
    view *v = calloc(1, sizeof *v);
    if (v == NULL) {
        return tarn__fail_no_memory(error, "a view of a storage", sizeof *v);
    }
    v->storage = storage;
    v->is_plain = is_plain;
    if (directory[0] != '\0') {
        snprintf(v->directory, sizeof v->directory, "%s/", directory);
    }
    snprintf(v->address, sizeof v->address, SCHEME "/%.255s", directory);
    v->base = (tarn_storage){.ops = &ops, .address = v->address, .features = storage->features};
    *out = &v->base;
    return TARN_OK;
}

tarn_status fault_storage_open_address(
    const char *address, void *storage, tarn_storage **out, tarn_error *error)
{
    const char *directory = address + strlen(SCHEME);
    assert_int_equal(strncmp(address, SCHEME, strlen(SCHEME)), 0);
    directory += directory[0] == '/' ? 1 : 0;
    return fault_storage_open(storage, directory, /* is_plain= */ false, out, error);
}

void fault_storage_init(
    fault_storage *storage, tarn__account *account, fault_storage_fate *fate, void *context)
{
    memset(storage, 0, sizeof *storage);
    storage->account = account;
    storage->fate = fate;
    storage->context = context;
    pthread_mutex_init(&storage->mutex, NULL);
    tarn_error error;
    assert_ok(tarn__memory_storage_new(account, &storage->inner, &error), &error);
    storage->features = storage->inner->features;
}

void fault_storage_clear(fault_storage *storage)
{
    while (storage->request_count > 0) {
        fault_storage_deliver(storage, 0);
    }
    tarn__storage_free(storage->inner);
    pthread_mutex_destroy(&storage->mutex);
}
