/* backend.c - opening, the current key, and closing. See backend.h. */
#include "state/backend.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/process.h"
#include "memory/budget.h"
#include "state/hot.h"
#include "state/hot_store.h"
#include "state/restore.h"

enum {
    PARALLELISM_DEFAULT = 1,
    MAX_PARALLELISM_DEFAULT = 128,
    JAVA_INT_BYTES = 4,
    JAVA_LONG_BYTES = 8,
    CALLS_PER_SLICE = 16, /* While a snapshot drains. */
    SPARE_SHARE = 64,     /* Of a slot's heap, for the buffers of calls, */
    SPARE_SHARE_MAX = 8,  /* and never more than this part of it. */
    SPARE_BYTES_MIN = 128 << 10,
    SPARE_BYTES_MAX = 1 << 20,
    KEY_BYTES_EXPECTED = 64, /* The row buffer's first size; it grows to the longest key. */
};

/* ---- opening ---------------------------------------------------------------------------- */

void tarn_backend_options_init(tarn_backend_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

static tarn_status check_text(
    const char *name, const char *text, size_t size_max, tarn_error *error)
{
    const size_t size = text != NULL ? strnlen(text, size_max + 1) : 0;
    if (size == 0 || size > size_max) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "tarn_backend_options.%s is %s; it needs 1 to %zu bytes",
            name,
            size == 0 ? "missing" : "too long",
            size_max);
    }
    return TARN_OK;
}

static tarn_status check_options(tarn_backend_options *options, tarn_error *error)
{
    if (options->env == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "tarn_backend_options.env is missing");
    }
    TARN_TRY(
        check_text("operator_name", options->operator_name, TARN__ROCKS_NAME_BYTES_MAX, error));
    TARN_TRY(check_text("directory", options->directory, TARN__ROCKS_PATH_BYTES / 2, error));
    if ((uint32_t)options->key_hash > TARN_KEY_HASH_CALLER) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "tarn_backend_options.key_hash is %u, which is no tarn_key_hash",
            (uint32_t)options->key_hash);
    }
    if (options->parallelism == 0) {
        options->parallelism = PARALLELISM_DEFAULT;
    }
    if (options->max_parallelism == 0) {
        options->max_parallelism = MAX_PARALLELISM_DEFAULT;
    }
    return TARN_OK;
}

static tarn_status load_settings(
    tarn_backend *backend, const tarn_config *config, tarn_error *error)
{
    tarn__rocks_settings *settings = tarn__allocate(backend->account, sizeof *settings);
    if (settings == NULL) {
        return tarn__fail_no_memory(error, "RocksDB's options", sizeof *settings);
    }
    backend->settings = settings;
    tarn__rocks_settings_init(settings);
    settings->background_job_count = tarn__rocks_fit_jobs(tarn__process_core_count());
    const tarn_config *used = config != NULL ? config : tarn__env_config(backend->env);
    TARN_TRY(tarn__packing_load(used, &backend->packing, error));
    TARN_TRY(
        tarn_config_get_bool(used, "tarn.restore.link-files", &backend->may_link, NULL, error));
    int64_t parts_bytes = 0;
    TARN_TRY(
        tarn_config_get_memory(used, "tarn.restore.parts-file-size", &parts_bytes, NULL, error));
    backend->parts_bytes_min = (uint64_t)parts_bytes;
    bool is_cut = false;
    bool is_set = false;
    const tarn_status cut =
        tarn_config_get_bool(used, "tarn.rocksdb.cut-files-at-key-groups", &is_cut, &is_set, error);
    if (cut < TARN_OK) {
        return cut;
    }
    backend->cuts_by_size = !is_set;
    TARN_TRY(tarn_config_get_int(used, "tarn.workers.nice", &settings->thread_nice, NULL, error));
    return tarn__rocks_settings_load(settings, used, /* is_state= */ false, error);
}

static void copy_options(tarn_backend *backend, const tarn_backend_options *options)
{
    backend->env = options->env;
    backend->subtask_index = options->subtask_index;
    backend->parallelism = options->parallelism;
    backend->max_parallelism = options->max_parallelism;
    backend->key_hash = options->key_hash;
    memcpy(backend->operator_name, options->operator_name, strlen(options->operator_name) + 1);
    backend->row.allocator = &backend->buffers->face;
    backend->edit.allocator = &backend->buffers->face;
    backend->directory.lock_descriptor = -1;
    backend->watermark_ms = INT64_MIN;
    backend->event_ms = INT64_MIN;
    tarn__cleaner_init(&backend->cleaner, backend);
    tarn__tidier_init(&backend->tidier);
    (void)pthread_mutex_init(&backend->gate_mutex, NULL);
    (void)pthread_cond_init(&backend->gate_opened, NULL);
    tarn__env_adopt(
        backend->env,
        &backend->env_child,
        "backend %s/%u",
        backend->operator_name,
        backend->subtask_index);
}

static tarn_status set_up(
    tarn_backend *backend, const tarn_backend_options *options, tarn_error *error)
{
    TARN_TRY(load_settings(backend, options->config, error));
    TARN_TRY(tarn__backend_reserve_namespace(backend, TARN__ROW_VARINT_BYTES_MAX, error));
    TARN_TRY(tarn__directory_open(
        &backend->directory, backend->account, options->directory, options->operator_name, error));
    if (options->recovery_directory != NULL) {
        TARN_TRY(tarn__pool_open(&backend->pool, NULL, options->recovery_directory, error));
    }
    TARN_TRY(tarn__restore_open(backend, options, error));
    return tarn__hot_open(
        backend, options->config != NULL ? options->config : tarn__env_config(backend->env), error);
}

/* Closes an owner that holds nothing any more. */
static void close_owner(tarn_owner *owner)
{
    const tarn_status status = tarn_owner_close(owner, NULL);
    assert(status == TARN_OK);
    (void)status;
}

/* Frees what there is of a backend that has no children. NULL does nothing. */
static void destroy(tarn_backend *backend)
{
    if (backend == NULL) {
        return;
    }
    tarn_owner *owner = backend->owner;
    tarn_owner *buffers_owner = backend->buffers_owner;
    tarn__backend_await_workers(backend);
    tarn__rocks_unpin(&backend->pin);
    tarn__hot_close(backend);
    tarn__tidier_stop(backend);
    tarn__rocks_close(backend->rocks);
    tarn__directory_close(&backend->directory);
    tarn__bases_clear(&backend->bases);
    tarn_buffer_clear(&backend->row);
    tarn_buffer_clear(&backend->edit);
    tarn__release(backend->settings);
    tarn__cleaner_clear(&backend->cleaner);
    tarn__tidier_clear(&backend->tidier);
    (void)pthread_cond_destroy(&backend->gate_opened);
    (void)pthread_mutex_destroy(&backend->gate_mutex);
    tarn__env_disown(backend->env, &backend->env_child);
    tarn__release(backend);
    close_owner(buffers_owner);
    close_owner(owner); /* All of the backend's memory was given back above. */
}

/* The bytes of heap that the buffers of calls have whatever others take of it. */
static uint64_t spare_bytes(const tarn_env *env)
{
    const uint64_t heap = tarn__env_slot_heap(env);
    if (heap == TARN_UNLIMITED) {
        return 0;
    }
    uint64_t bytes = heap / SPARE_SHARE;
    bytes = bytes > SPARE_BYTES_MIN ? bytes : SPARE_BYTES_MIN;
    bytes = bytes < SPARE_BYTES_MAX ? bytes : SPARE_BYTES_MAX;
    return bytes < heap / SPARE_SHARE_MAX ? bytes : heap / SPARE_SHARE_MAX;
}

static tarn_status open_buffers(
    const tarn_backend_options *options, tarn_owner **out, tarn_error *error)
{
    tarn_owner *owner = NULL;
    const uint64_t spare = spare_bytes(options->env);
    TARN_TRY(tarn__owner_open(
        tarn_env_budget(options->env),
        TARN_POOL_HEAP,
        &owner,
        error,
        "backend %s/%u buffers",
        options->operator_name,
        options->subtask_index));
    const tarn_status status = spare > 0 ? tarn__owner_hold_spare(owner, spare, error) : TARN_OK;
    if (status != TARN_OK) {
        close_owner(owner);
        return status;
    }
    *out = owner;
    return TARN_OK;
}

static tarn_status new_backend(
    const tarn_backend_options *options, tarn_backend **out, tarn_error *error)
{
    tarn_owner *owner = NULL;
    TARN_TRY(tarn__owner_open(
        tarn_env_budget(options->env),
        TARN_POOL_HEAP,
        &owner,
        error,
        "backend %s/%u",
        options->operator_name,
        options->subtask_index));
    tarn__account *account = tarn__owner_account(owner);
    tarn_backend *backend = tarn__allocate_zeroed(account, 1, sizeof *backend);
    tarn_owner *buffers = NULL;
    const tarn_status status = backend != NULL
                                   ? open_buffers(options, &buffers, error)
                                   : tarn__fail_no_memory(error, "a backend", sizeof *backend);
    if (status != TARN_OK) {
        tarn__release(backend);
        close_owner(owner);
        return status;
    }
    backend->owner = owner;
    backend->account = account;
    backend->buffers_owner = buffers;
    backend->buffers = tarn__owner_account(buffers);
    copy_options(backend, options);
    *out = backend;
    return TARN_OK;
}

tarn_status tarn_backend_open(
    const tarn_backend_options *options, tarn_backend **out, tarn_error *error)
{
    tarn_backend_options known;
    TARN_TRY(tarn__options_copy("tarn_backend_options", options, &known, sizeof known, error));
    TARN_TRY(check_options(&known, error));
    tarn_key_group_range key_groups;
    TARN_TRY(tarn_key_group_range_of(
        known.subtask_index, known.parallelism, known.max_parallelism, &key_groups, error));
    if (out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "out is missing");
    }
    tarn_backend *backend = NULL;
    tarn_status status = new_backend(&known, &backend, error);
    if (status == TARN_OK) {
        assert(backend != NULL);
        backend->key_groups = key_groups;
        status = set_up(backend, &known, error);
    }
    if (status != TARN_OK) {
        destroy(backend);
        return status;
    }
    *out = backend;
    return TARN_OK;
}

tarn_status tarn_backend_close(tarn_backend *backend, tarn_error *error)
{
    if (backend == NULL) {
        return TARN_OK;
    }
    const tarn__child *child = backend->first_child;
    if (child != NULL) {
        return tarn__fail(
            error,
            TARN_BUSY,
            "backend %s/%u cannot be closed before its %s \"%s\"",
            backend->operator_name,
            backend->subtask_index,
            child->kind,
            child->name);
    }
    destroy(backend);
    return TARN_OK;
}

/* ---- children --------------------------------------------------------------------------- */

void tarn__backend_adopt(
    tarn_backend *backend, tarn__child *child, const char *kind, const char *name)
{
    child->kind = kind;
    const size_t size = strnlen(name, sizeof child->name - 1);
    memcpy(child->name, name, size);
    child->name[size] = '\0';
    child->next = NULL;
    child->previous = backend->last_child;
    if (child->previous != NULL) {
        child->previous->next = child;
    } else {
        backend->first_child = child;
    }
    backend->last_child = child;
}

void tarn__backend_disown(tarn_backend *backend, tarn__child *child)
{
    if (child->previous != NULL) {
        child->previous->next = child->next;
    } else {
        backend->first_child = child->next;
    }
    if (child->next != NULL) {
        child->next->previous = child->previous;
    } else {
        backend->last_child = child->previous;
    }
}

/* ---- the current key -------------------------------------------------------------------- */

/* Sees to it that a prefix of some bytes and the longest namespace fit into the row buffer. */
static tarn_status reserve_row(tarn_backend *backend, size_t prefix_bytes, tarn_error *error)
{
    const size_t needed = prefix_bytes + backend->namespace_room;
    if (__builtin_expect(needed <= backend->row.capacity, 1)) {
        return TARN_OK;
    }
    if (tarn_buffer_reserve(&backend->row, needed) != TARN_OK) {
        return tarn__fail_no_memory(error, "the current key", needed);
    }
    return TARN_OK;
}

tarn_status tarn__backend_reserve_namespace(
    tarn_backend *backend, size_t encoded_bytes, tarn_error *error)
{
    const size_t room_before = backend->namespace_room;
    if (encoded_bytes > backend->namespace_room) {
        backend->namespace_room = encoded_bytes;
    }
    const size_t prefix = backend->has_key ? backend->row.size : KEY_BYTES_EXPECTED;
    const tarn_status status = reserve_row(backend, prefix, error);
    if (status != TARN_OK) {
        backend->namespace_room = room_before;
    }
    return status;
}

tarn_status tarn__backend_set_stored_key(
    tarn_backend *backend, uint32_t key_group, tarn_bytes key, tarn_error *error)
{
    TARN_TRY(
        reserve_row(backend, TARN__ROW_GROUP_BYTES + TARN__ROW_VARINT_BYTES_MAX + key.size, error));
    backend->row.size = tarn__row_encode_key(backend->row.data, key_group, key);
    backend->has_key = true;
    return TARN_OK;
}

static tarn_status make_current(
    tarn_backend *backend, tarn_bytes key, int32_t hash, tarn_error *error)
{
    const uint32_t group = tarn_key_group_of(hash, backend->max_parallelism);
    if (__builtin_expect(
            group < backend->key_groups.first || group > backend->key_groups.last, 0)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "a key of group %u came to %s/%u, which owns the groups %u to %u",
            group,
            backend->operator_name,
            backend->subtask_index,
            backend->key_groups.first,
            backend->key_groups.last);
    }
    return tarn__backend_set_stored_key(backend, group, key, error);
}

static tarn_status check_key(tarn_bytes key, tarn_error *error)
{
    if (__builtin_expect(key.size > TARN__ROW_KEY_BYTES_MAX, 0)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "a key has %zu bytes; allowed are %d",
            key.size,
            TARN__ROW_KEY_BYTES_MAX);
    }
    return TARN_OK;
}

static tarn_status check_key_size(tarn_bytes key, size_t size, const char *type, tarn_error *error)
{
    if (key.size != size) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "a key has %zu bytes; the backend's key hash is Java's of %s, whose keys have %zu",
            key.size,
            type,
            size);
    }
    return TARN_OK;
}

static uint64_t read_big_endian(tarn_bytes key)
{
    const uint8_t *bytes = key.data;
    uint64_t value = 0;
    for (size_t i = 0; i < key.size; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static tarn_status hash_key(
    const tarn_backend *backend, tarn_bytes key, int32_t *out, tarn_error *error)
{
    switch (backend->key_hash) {
    case TARN_KEY_HASH_BYTES:
        *out = tarn_hash_bytes(key);
        return TARN_OK;
    case TARN_KEY_HASH_JAVA_STRING:
        *out = tarn_hash_java_string(key.data, key.size);
        return TARN_OK;
    case TARN_KEY_HASH_JAVA_INT:
        TARN_TRY(check_key_size(key, JAVA_INT_BYTES, "int", error));
        *out = tarn_hash_java_int((int32_t)read_big_endian(key));
        return TARN_OK;
    case TARN_KEY_HASH_JAVA_LONG:
        TARN_TRY(check_key_size(key, JAVA_LONG_BYTES, "long", error));
        *out = tarn_hash_java_long((int64_t)read_big_endian(key));
        return TARN_OK;
    case TARN_KEY_HASH_JAVA_BYTES:
        *out = tarn_hash_java_bytes(key);
        return TARN_OK;
    case TARN_KEY_HASH_CALLER:
        break;
    }
    return tarn__fail(
        error,
        TARN_INVALID_ARGUMENT,
        "the backend's key hash is the caller's: use tarn_backend_set_key_hashed()");
}

tarn_status tarn__backend_group_of(
    const tarn_backend *backend, tarn_bytes key, uint32_t *out, tarn_error *error)
{
    int32_t hash = 0;
    TARN_TRY(hash_key(backend, key, &hash, error));
    *out = tarn_key_group_of(hash, backend->max_parallelism);
    return TARN_OK;
}

tarn_status tarn_backend_set_key(tarn_backend *backend, tarn_bytes key, tarn_error *error)
{
    TARN_TRY(tarn__backend_enter(backend, error));
    TARN_TRY(check_key(key, error));
    int32_t hash = 0;
    TARN_TRY(hash_key(backend, key, &hash, error));
    TARN_TRY(make_current(backend, key, hash, error));
    if (__builtin_expect(backend->cleans_on_records, 0)) {
        tarn__cleaner_note_record(backend);
    }
    tarn__rocks_unpin(&backend->pin);
    return TARN_OK;
}

tarn_status tarn_backend_set_key_hashed(
    tarn_backend *backend, tarn_bytes key, int32_t hash, tarn_error *error)
{
    TARN_TRY(tarn__backend_enter(backend, error));
    TARN_TRY(check_key(key, error));
    if (backend->key_hash != TARN_KEY_HASH_CALLER) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the backend hashes keys itself: use tarn_backend_set_key()");
    }
    TARN_TRY(make_current(backend, key, hash, error));
    if (__builtin_expect(backend->cleans_on_records, 0)) {
        tarn__cleaner_note_record(backend);
    }
    tarn__rocks_unpin(&backend->pin);
    return TARN_OK;
}

tarn_key_group_range tarn_backend_key_groups(const tarn_backend *backend)
{
    return backend->key_groups;
}

/* ---- who may write ---------------------------------------------------------------------- */

void tarn__backend_poison(tarn_backend *backend, const tarn_error *error)
{
    if (backend->poison.status == TARN_OK) {
        backend->poison = *error;
        backend->needs_attention = true;
    }
}

tarn_status tarn__backend_finish_write(tarn_backend *backend, tarn_status status, tarn_error *error)
{
    if (__builtin_expect(status == TARN_OK, 1)) {
        return TARN_OK;
    }
    tarn_error unknown = {.status = status, .message = "a write failed"};
    tarn__backend_poison(backend, error != NULL ? error : &unknown);
    return status;
}

tarn_status tarn__backend_check_poison(const tarn_backend *backend, tarn_error *error)
{
    if (__builtin_expect(backend->poison.status == TARN_OK, 1)) {
        return TARN_OK;
    }
    return tarn__fail(
        error,
        TARN_POISONED,
        "backend %s/%u lost a write (%s); close it and restore the last checkpoint",
        backend->operator_name,
        backend->subtask_index,
        backend->poison.message);
}

tarn_status tarn__backend_settle(tarn_backend *backend, tarn_error *error)
{
    TARN_TRY(tarn__backend_check_poison(backend, error));
    backend->needs_attention = backend->is_draining;
    if (backend->edited != NULL) {
        TARN_TRY(tarn__value_store_edit(backend, error));
    }
    if (backend->is_draining && --backend->drain_pause == 0) {
        backend->drain_pause = CALLS_PER_SLICE;
        backend->has_streamed = true;
        TARN_TRY(tarn__snapshot_advance(backend->snapshot, error));
    }
    return tarn__cleaner_attend(backend, error);
}

void tarn__backend_set_draining(tarn_backend *backend, bool is_draining)
{
    backend->is_draining = is_draining;
    backend->drain_pause = CALLS_PER_SLICE;
    backend->needs_attention = backend->needs_attention || is_draining;
}

tarn_status tarn__backend_settle_buffers(tarn_backend *backend, tarn_error *error)
{
    TARN_TRY(tarn__backend_enter(backend, error));
    for (const tarn__settler *settler = backend->settlers; settler != NULL;
         settler = settler->next) {
        TARN_TRY(settler->settle(settler->context, error));
    }
    return TARN_OK;
}

tarn_status tarn__backend_settle_all(tarn_backend *backend, tarn_error *error)
{
    TARN_TRY(tarn__backend_settle_buffers(backend, error));
    const tarn_bytes all = {NULL, 0};
    return backend->workset != NULL ? tarn__workset_settle(backend->workset, NULL, all, all, error)
                                    : TARN_OK;
}

void tarn__backend_add_settler(tarn_backend *backend, tarn__settler *settler)
{
    settler->next = backend->settlers;
    backend->settlers = settler;
}

void tarn__backend_remove_settler(tarn_backend *backend, tarn__settler *settler)
{
    tarn__settler **link = &backend->settlers;
    while (*link != settler) {
        link = &(*link)->next;
    }
    *link = settler->next;
}
