/*
 * cache.c - objects that are named by their content, kept in a second storage.
 *
 *     read "shared/ab/<digest>-<size>" ──► kept? ──► local
 *                                           │ no
 *                                           ▼
 *                                below, all of it ──► local, when the digest is right
 *
 * Everything else passes by.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/try.h"
#include "storage/name.h"
#include "storage/shims.h"

enum { PIECE_BYTES = 1 << 20, KEPT_NAME_BYTES = 64 };

typedef struct kept {
    struct kept *next; /* The one that came later. */
    uint64_t size;
    char name[KEPT_NAME_BYTES];
} kept;

typedef struct cache_storage {
    tarn__shim shim;
    tarn_storage_ops ops;
    tarn_storage *local; /* Owned. */
    uint64_t limit_bytes;
    pthread_mutex_t mutex; /* For all below. A leaf. */
    kept *oldest;
    kept *newest;
    uint64_t used_bytes;
} cache_storage;

/* What a name says about the content. */
typedef struct content {
    tarn__digest digest;
    uint64_t size;
    char name[KEPT_NAME_BYTES]; /* The last part: the name in the cache. */
} content;

static bool parse(const char *name, content *out)
{
    const char *slash = strrchr(name, '/');
    const char *last = slash != NULL ? slash + 1 : name;
    const size_t size = strlen(last);
    if (size >= sizeof out->name || !tarn__storage_is_content(name, &out->digest, &out->size)) {
        return false;
    }
    memcpy(out->name, last, size + 1);
    return true;
}

/* --- What is kept --- */

static bool is_kept(cache_storage *self, const char *name)
{
    pthread_mutex_lock(&self->mutex);
    const kept *k = self->oldest;
    while (k != NULL && strcmp(k->name, name) != 0) {
        k = k->next;
    }
    pthread_mutex_unlock(&self->mutex);
    return k != NULL;
}

/* Under the mutex. */
static void append_kept(cache_storage *self, kept *k)
{
    if (self->newest != NULL) {
        self->newest->next = k;
    } else {
        self->oldest = k;
    }
    self->newest = k;
    self->used_bytes += k->size;
}

static bool add_kept(cache_storage *self, const char *name, uint64_t size)
{
    kept *k = tarn__allocate_zeroed(self->shim.account, 1, sizeof *k);
    if (k == NULL) {
        return false;
    }
    k->size = size;
    snprintf(k->name, sizeof k->name, "%s", name);
    pthread_mutex_lock(&self->mutex);
    append_kept(self, k);
    pthread_mutex_unlock(&self->mutex);
    return true;
}

static void forget(cache_storage *self, const char *name)
{
    pthread_mutex_lock(&self->mutex);
    kept *before = NULL;
    kept *k = self->oldest;
    while (k != NULL && strcmp(k->name, name) != 0) {
        before = k;
        k = k->next;
    }
    if (k != NULL) {
        *(before != NULL ? &before->next : &self->oldest) = k->next;
        self->newest = k->next != NULL ? self->newest : before;
        self->used_bytes -= k->size;
    }
    pthread_mutex_unlock(&self->mutex);
    tarn__release(k);
    const char *const names[] = {name};
    (void)!tarn__storage_remove(self->local, names, 1, NULL);
}

static void make_room(cache_storage *self, uint64_t size)
{
    for (;;) {
        char name[KEPT_NAME_BYTES] = "";
        pthread_mutex_lock(&self->mutex);
        if (self->oldest != NULL && self->used_bytes + size > self->limit_bytes) {
            snprintf(name, sizeof name, "%s", self->oldest->name);
        }
        pthread_mutex_unlock(&self->mutex);
        if (name[0] == '\0') {
            return;
        }
        forget(self, name);
    }
}

/* --- Filling --- */

static tarn_status copy(
    cache_storage *self,
    const char *name,
    const content *c,
    uint8_t *piece,
    tarn_storage_upload *upload,
    tarn_error *error)
{
    tarn_storage *below = self->shim.below;
    tarn__hasher hasher;
    tarn__hasher_init(&hasher);
    uint64_t offset = 0;
    size_t got = PIECE_BYTES;
    while (got == PIECE_BYTES && offset <= c->size) {
        TARN_TRY(below->ops->read(below, name, offset, piece, PIECE_BYTES, &got, error));
        const tarn_bytes bytes = tarn_bytes_at(piece, got);
        tarn__hasher_update(&hasher, bytes);
        TARN_TRY(tarn__storage_append(upload, bytes, error));
        offset += got;
    }
    const tarn__digest digest = tarn__hasher_digest(&hasher);
    return offset == c->size && tarn__digest_is_equal(&digest, &c->digest)
               ? TARN_OK
               : tarn__fail(error, TARN_CORRUPTION, "%.300s is not what its name says", name);
}

/* Brings an object into the cache; what goes wrong is left to who reads without it. */
static bool fill(cache_storage *self, const char *name, const content *c)
{
    if (c->size > self->limit_bytes) {
        return false;
    }
    uint8_t *piece = tarn__allocate(self->shim.account, PIECE_BYTES);
    tarn_storage_upload *upload = NULL;
    if (piece == NULL || tarn__storage_begin(self->local, c->name, 0, &upload, NULL) != TARN_OK) {
        tarn__release(piece);
        return false;
    }
    make_room(self, c->size);
    const tarn_status status = copy(self, name, c, piece, upload, NULL);
    tarn__release(piece);
    if (status != TARN_OK) {
        tarn__storage_abandon(upload);
        return false;
    }
    if (tarn__storage_finish(upload, NULL, NULL) != TARN_OK) {
        return false;
    }
    return is_kept(self, c->name) || add_kept(self, c->name, c->size);
}

/* Tells whether the kept copy is what its name says, byte by byte. */
static bool is_intact(cache_storage *self, const content *c)
{
    uint8_t *piece = tarn__allocate(self->shim.account, PIECE_BYTES);
    tarn__hasher hasher;
    tarn__hasher_init(&hasher);
    uint64_t offset = 0;
    size_t got = piece != NULL ? PIECE_BYTES : 0;
    while (got == PIECE_BYTES) {
        if (tarn__storage_read(self->local, c->name, offset, piece, PIECE_BYTES, &got, NULL) !=
            TARN_OK) {
            break;
        }
        tarn__hasher_update(&hasher, tarn_bytes_at(piece, got));
        offset += got;
    }
    tarn__release(piece);
    const tarn__digest digest = tarn__hasher_digest(&hasher);
    return offset == c->size && tarn__digest_is_equal(&digest, &c->digest);
}

/* Readies a copy for a reading. One that is damaged is replaced when a reading begins. */
static bool have(cache_storage *self, const char *name, const content *c, uint64_t offset)
{
    if (is_kept(self, c->name)) {
        if (offset > 0 || is_intact(self, c)) {
            return true;
        }
        forget(self, c->name);
    }
    return offset == 0 && fill(self, name, c);
}

static tarn_status cache_read(
    tarn_storage *base,
    const char *name,
    uint64_t offset,
    void *into,
    size_t size,
    size_t *size_out,
    tarn_error *error)
{
    cache_storage *self = (cache_storage *)base;
    tarn_storage *below = self->shim.below;
    content c;
    if (parse(name, &c) && have(self, name, &c, offset)) {
        size_t got = 0;
        const uint64_t left = offset < c.size ? c.size - offset : 0;
        const size_t wanted = left < size ? (size_t)left : size;
        if (tarn__storage_read(self->local, c.name, offset, into, size, &got, NULL) == TARN_OK &&
            got == wanted) {
            *size_out = got;
            return TARN_OK;
        }
        forget(self, c.name);
    }
    return below->ops->read(below, name, offset, into, size, size_out, error);
}

static tarn_status cache_remove(
    tarn_storage *base, const char *const *names, uint32_t count, tarn_error *error)
{
    cache_storage *self = (cache_storage *)base;
    for (uint32_t i = 0; i < count; i++) {
        content c;
        if (parse(names[i], &c) && is_kept(self, c.name)) {
            forget(self, c.name);
        }
    }
    tarn_storage *below = self->shim.below;
    return below->ops->remove(below, names, count, error);
}

static void cache_free(tarn_storage *base)
{
    cache_storage *self = (cache_storage *)base;
    while (self->oldest != NULL) {
        kept *next = self->oldest->next;
        tarn__release(self->oldest);
        self->oldest = next;
    }
    tarn__storage_free(self->local);
    pthread_mutex_destroy(&self->mutex);
    tarn__shim_free(base);
}

/* What an earlier process left is of use, in any order. */
static bool adopt(const tarn_storage_entry *entry, void *context)
{
    cache_storage *self = context;
    content c;
    if (!entry->is_directory && parse(entry->name, &c) && c.size == entry->size) {
        (void)add_kept(self, c.name, c.size);
    }
    return true;
}

tarn_status tarn__cache_storage_new(
    tarn_storage *below,
    tarn_storage *local,
    uint64_t limit_bytes,
    tarn__account *account,
    tarn_storage **out,
    tarn_error *error)
{
    cache_storage *self = tarn__allocate_zeroed(account, 1, sizeof *self);
    if (self == NULL) {
        return tarn__fail_no_memory(error, "a storage", sizeof *self);
    }
    tarn__shim_init(&self->shim, &self->ops, below, account);
    self->ops.read = cache_read;
    self->ops.remove = cache_remove;
    self->ops.free = cache_free;
    self->ops.get = NULL; /* What is kept is read from its own place. */
    self->local = local;
    self->limit_bytes = limit_bytes;
    pthread_mutex_init(&self->mutex, NULL);
    const tarn_status status = tarn__storage_list(local, "", adopt, self, error);
    if (status != TARN_OK) {
        while (self->oldest != NULL) {
            kept *next = self->oldest->next;
            tarn__release(self->oldest);
            self->oldest = next;
        }
        pthread_mutex_destroy(&self->mutex);
        tarn__release(self);
        return status;
    }
    make_room(self, 0);
    *out = &self->shim.base;
    return TARN_OK;
}
