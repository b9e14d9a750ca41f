/* open.c - tarn/storage.h: a storage with its own memory, and its operations by their names. */
#include <string.h>

#include "tarn/storage.h"

#include "base/options.h"
#include "base/try.h"
#include "storage/shim.h"

/* The storage of a caller: a shim that does nothing but hold the account below it all. */
typedef struct opened {
    tarn__shim shim;
    tarn_storage_ops ops;
    tarn__account account;
    tarn__storage_counters counters;
} opened;

void tarn_storage_open_options_init(tarn_storage_open_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

static void free_opened(tarn_storage *base)
{
    opened *self = (opened *)base;
    tarn__storage_free(self->shim.below);
    const tarn_allocator *allocator = self->account.below;
    allocator->release(self, allocator->context);
}

tarn_status tarn_storage_open(
    const tarn_storage_open_options *given, tarn_storage **out, tarn_error *error)
{
    tarn_storage_open_options known;
    TARN_TRY(tarn__options_copy("tarn_storage_open_options", given, &known, sizeof known, error));
    if (known.address == NULL || out == NULL) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s is missing",
            known.address == NULL ? "address" : "out");
    }
    const tarn_allocator *allocator =
        known.allocator != NULL ? known.allocator : tarn_allocator_default();
    /* From below the account, which lives inside. */
    opened *self = allocator->allocate(sizeof *self, allocator->context);
    if (self == NULL) {
        return tarn__fail_no_memory(error, "a storage", sizeof *self);
    }
    memset(self, 0, sizeof *self);
    tarn__account_init(&self->account, "storage", allocator);
    const tarn__storage_options options = {
        .address = known.address,
        .account = &self->account,
        .must_exist = known.must_exist,
        .config = known.config,
        .schemes = known.schemes,
        .scheme_count = known.scheme_count,
        .counters = &self->counters,
    };
    tarn_storage *below = NULL;
    const tarn_status status = tarn__storage_open(&options, &below, error);
    if (status != TARN_OK) {
        allocator->release(self, allocator->context);
        return status;
    }
    tarn__shim_init(&self->shim, &self->ops, below, &self->account);
    self->ops.free = free_opened;
    *out = &self->shim.base;
    return TARN_OK;
}

void tarn_storage_close(tarn_storage *storage)
{
    tarn__storage_free(storage);
}

void tarn_storage_figures_init(tarn_storage_figures *figures, size_t struct_size)
{
    memset(figures, 0, struct_size);
    figures->struct_size = struct_size;
}

void tarn_storage_measure(const tarn_storage *storage, tarn_storage_figures *out)
{
    tarn__storage_counters_measure(&((const opened *)storage)->counters, out);
}

const char *tarn_storage_address(const tarn_storage *storage)
{
    return storage->address;
}

tarn_status tarn_storage_begin(
    tarn_storage *storage,
    const char *name,
    uint32_t flags,
    tarn_storage_upload **out,
    tarn_error *error)
{
    if (name == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "name is missing");
    }
    return tarn__storage_begin(storage, name, flags, out, error);
}

tarn_status tarn_storage_append(tarn_storage_upload *upload, tarn_bytes part, tarn_error *error)
{
    return tarn__storage_append(upload, part, error);
}

tarn_status tarn_storage_finish(tarn_storage_upload *upload, tarn_error *error)
{
    return tarn__storage_finish(upload, NULL, error);
}

void tarn_storage_abandon(tarn_storage_upload *upload)
{
    tarn__storage_abandon(upload);
}

tarn_status tarn_storage_read(
    tarn_storage *storage,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    return tarn__storage_read(storage, name, offset, into, size, size_out, error);
}

tarn_status tarn_storage_stat(
    tarn_storage *storage, const char *name, tarn_storage_info *out, tarn_error *error)
{
    return tarn__storage_stat(storage, name, out, error);
}

tarn_status tarn_storage_remove(
    tarn_storage *storage, const char *const *names, uint32_t count, tarn_error *error)
{
    return tarn__storage_remove(storage, names, count, error);
}

tarn_status tarn_storage_list(
    tarn_storage *storage,
    const char *directory,
    tarn_storage_visit *visit,
    void *context,
    tarn_error *error)
{
    return tarn__storage_list(storage, directory, visit, context, error);
}
