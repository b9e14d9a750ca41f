/* value.c - value state: at most one value per key and namespace. */
#include "tarn/state.h"

#include <assert.h>
#include <stdio.h>

#include "base/options.h"
#include "state/backend.h"
#include "state/descriptors.h"

enum { VALUE_BYTES_MAX = INT32_MAX };

struct tarn_value {
    tarn_backend *backend;
    tarn__rocks_family *family;
    tarn_buffer name_space; /* The current one, encoded. */
    tarn__child child;
    tarn_value_iterator *first_iterator;
};

struct tarn_value_iterator {
    tarn_value *state;
    tarn__rocks_iterator *rows;
    tarn__child child;
    struct tarn_value_iterator *next; /* Of the same state. */
};

/* ---- opening and closing ---------------------------------------------------------------- */

void tarn_state_options_init(tarn_state_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

static tarn_status check_options(
    const tarn_state_options *options, tarn__descriptor *out, tarn_error *error)
{
    const size_t name_size =
        options->name != NULL ? strnlen(options->name, TARN__ROCKS_NAME_BYTES_MAX + 1) : 0;
    if (name_size == 0 || name_size > TARN__ROCKS_NAME_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "tarn_state_options.name is %s; it needs 1 to %d bytes",
            name_size == 0 ? "missing" : "too long",
            TARN__ROCKS_NAME_BYTES_MAX);
    }
    if (strcmp(options->name, TARN__ROCKS_DEFAULT_FAMILY) == 0) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "a state cannot be named \"%s\": RocksDB has a column family of that name",
            TARN__ROCKS_DEFAULT_FAMILY);
    }
    const char *codec_name = options->codec_name != NULL ? options->codec_name : "bytes";
    const size_t codec_size = strnlen(codec_name, TARN__CODEC_NAME_BYTES_MAX + 1);
    if (codec_size == 0 || codec_size > TARN__CODEC_NAME_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the codec name of state \"%s\" is %s; it needs 1 to %d bytes",
            options->name,
            codec_size == 0 ? "empty" : "too long",
            TARN__CODEC_NAME_BYTES_MAX);
    }
    out->kind = TARN__STATE_VALUE;
    out->codec_version = options->codec_version;
    memcpy(out->codec_name, codec_name, codec_size + 1);
    return TARN_OK;
}

static tarn_status check_stored(
    tarn_backend *backend, const char *name, const tarn__descriptor *wanted, tarn_error *error)
{
    tarn__descriptor stored;
    TARN_TRY(tarn__descriptor_read(backend, name, &stored, error));
    if (stored.kind == wanted->kind && stored.codec_version == wanted->codec_version &&
        strcmp(stored.codec_name, wanted->codec_name) == 0) {
        return TARN_OK;
    }
    return tarn__fail(
        error,
        TARN_INCOMPATIBLE,
        "state \"%s\" is stored as %s of %.80s version %u; it was opened as %s of %.80s version %u",
        name,
        tarn__state_kind_name(stored.kind),
        stored.codec_name,
        stored.codec_version,
        tarn__state_kind_name(wanted->kind),
        wanted->codec_name,
        wanted->codec_version);
}

static tarn_status use_existing(
    tarn_value *state,
    const char *name,
    const tarn__descriptor *descriptor,
    const tarn__rocks_settings *settings,
    tarn_error *error)
{
    tarn_backend *backend = state->backend;
    TARN_TRY(check_stored(backend, name, descriptor, error));
    tarn_error details = {.status = TARN_OK};
    bool is_lost = false;
    tarn__rocks_unpin(&backend->pin);
    const tarn_status status = tarn__rocks_retune_family(
        state->family, settings, backend->iterator_count, &is_lost, &details);
    if (status != TARN_OK && error != NULL) {
        *error = details;
    }
    if (is_lost) {
        tarn__backend_poison(backend, &details);
    }
    return status;
}

static tarn_status create(
    tarn_value *state,
    const char *name,
    const tarn__descriptor *descriptor,
    const tarn__rocks_settings *settings,
    tarn_error *error)
{
    tarn_backend *backend = state->backend;
    uint8_t bytes[TARN__DESCRIPTOR_BYTES_MAX];
    const size_t size = tarn__descriptor_encode(descriptor, bytes);
    TARN_TRY(tarn__rocks_create_family(backend->rocks, name, settings, &state->family, error));
    const tarn_status status = tarn__rocks_put(
        tarn__rocks_default_family(backend->rocks),
        tarn_bytes_of(name),
        tarn_bytes_at(bytes, size),
        error);
    if (status != TARN_OK) {
        tarn__rocks_drop_family(state->family);
        state->family = NULL;
    }
    return tarn__backend_finish_write(backend, status, error);
}

/* Finds or makes the state's family. */
static tarn_status attach(
    tarn_value *state,
    const tarn_state_options *options,
    const tarn__descriptor *descriptor,
    tarn__rocks_settings *settings,
    tarn_error *error)
{
    tarn_backend *backend = state->backend;
    *settings = *backend->settings;
    if (options->tuning != NULL) {
        TARN_TRY(tarn__rocks_settings_load(settings, options->tuning, /* is_state= */ true, error));
    }
    state->family = tarn__rocks_find_family(backend->rocks, options->name);
    return state->family != NULL ? use_existing(state, options->name, descriptor, settings, error)
                                 : create(state, options->name, descriptor, settings, error);
}

static tarn_status set_up(
    tarn_value *state,
    const tarn_state_options *options,
    const tarn__descriptor *descriptor,
    tarn_error *error)
{
    static const uint8_t NO_NAMESPACE[] = {0};
    if (tarn_buffer_assign(&state->name_space, tarn_bytes_at(NO_NAMESPACE, 1)) != TARN_OK) {
        return tarn__fail_no_memory(error, "a namespace", 1);
    }
    tarn__rocks_settings *settings = tarn__allocate(state->backend->account, sizeof *settings);
    if (settings == NULL) {
        return tarn__fail_no_memory(error, "the options of a state", sizeof *settings);
    }
    const tarn_status status = attach(state, options, descriptor, settings, error);
    tarn__release(settings);
    return status;
}

static tarn_status check_not_open(const tarn_backend *backend, const char *name, tarn_error *error)
{
    for (const tarn__child *child = backend->first_child; child != NULL; child = child->next) {
        if (strcmp(child->kind, "state") == 0 && strcmp(child->name, name) == 0) {
            return tarn__fail(error, TARN_BUSY, "state \"%s\" is open already", name);
        }
    }
    return TARN_OK;
}

static void free_state(tarn_value *state)
{
    tarn_buffer_clear(&state->name_space);
    tarn__release(state);
}

tarn_status tarn_value_open(
    tarn_backend *backend, const tarn_state_options *options, tarn_value **out, tarn_error *error)
{
    tarn_state_options known;
    tarn__descriptor descriptor;
    if (backend == NULL || out == NULL) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "%s is missing", backend == NULL ? "backend" : "out");
    }
    TARN_TRY(tarn__options_copy("tarn_state_options", options, &known, sizeof known, error));
    TARN_TRY(check_options(&known, &descriptor, error));
    TARN_TRY(check_not_open(backend, known.name, error));
    TARN_TRY(tarn__backend_enter_write(backend, error));
    tarn_value *state = tarn__allocate_zeroed(backend->account, 1, sizeof *state);
    if (state == NULL) {
        return tarn__fail_no_memory(error, known.name, sizeof *state);
    }
    state->backend = backend;
    state->name_space.allocator = &backend->account->face;
    const tarn_status status = set_up(state, &known, &descriptor, error);
    if (status != TARN_OK) {
        free_state(state);
        return status;
    }
    tarn__backend_adopt(backend, &state->child, "state", known.name);
    *out = state;
    return TARN_OK;
}

tarn_status tarn_value_close(tarn_value *state, tarn_error *error)
{
    if (state == NULL) {
        return TARN_OK;
    }
    if (state->first_iterator != NULL) {
        return tarn__fail(
            error,
            TARN_BUSY,
            "state \"%s\" cannot be closed before its iterator \"%s\"",
            state->family->name,
            state->first_iterator->child.name);
    }
    tarn_backend *backend = state->backend;
    tarn_status status = TARN_OK;
    if (backend->edited == state) {
        status = tarn__backend_settle(backend, error);
    }
    tarn__backend_disown(backend, &state->child);
    free_state(state);
    return status;
}

/* ---- the current namespace -------------------------------------------------------------- */

tarn_status tarn_value_set_namespace(tarn_value *state, tarn_bytes name_space, tarn_error *error)
{
    tarn_backend *backend = state->backend;
    TARN_TRY(tarn__backend_enter(backend, error));
    if (name_space.size > TARN__ROW_NAMESPACE_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "a namespace of state \"%s\" has %zu bytes; allowed are %d",
            state->family->name,
            name_space.size,
            TARN__ROW_NAMESPACE_BYTES_MAX);
    }
    const size_t encoded_bytes = TARN__ROW_VARINT_BYTES_MAX + name_space.size;
    TARN_TRY(tarn__backend_reserve_namespace(backend, encoded_bytes, error));
    if (tarn_buffer_reserve(&state->name_space, encoded_bytes) != TARN_OK) {
        return tarn__fail_no_memory(error, "a namespace", encoded_bytes);
    }
    state->name_space.size = tarn__row_encode_namespace(state->name_space.data, name_space);
    tarn__rocks_unpin(&backend->pin);
    return TARN_OK;
}

/* ---- everyday calls --------------------------------------------------------------------- */

static tarn_status refuse_without_key(const tarn_value *state, tarn_error *error)
{
    return tarn__fail(
        error,
        TARN_INVALID_ARGUMENT,
        "state \"%s\" was used before tarn_backend_set_key()",
        state->family->name);
}

tarn_status tarn_value_get(tarn_value *state, tarn_bytes *out, tarn_error *error)
{
    tarn_backend *backend = state->backend;
    TARN_TRY(tarn__backend_enter(backend, error));
    tarn__rocks_unpin(&backend->pin);
    if (__builtin_expect(!backend->has_key, 0)) {
        return refuse_without_key(state, error);
    }
    return tarn__rocks_get(
        state->family, tarn__backend_row(backend, &state->name_space), &backend->pin, out, error);
}

static tarn_status check_value_size(const tarn_value *state, size_t size, tarn_error *error)
{
    if (__builtin_expect(size > VALUE_BYTES_MAX, 0)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "a value of state \"%s\" has %zu bytes; allowed are %d",
            state->family->name,
            size,
            VALUE_BYTES_MAX);
    }
    return TARN_OK;
}

tarn_status tarn_value_put(tarn_value *state, tarn_bytes value, tarn_error *error)
{
    tarn_backend *backend = state->backend;
    TARN_TRY(tarn__backend_enter_write(backend, error));
    if (__builtin_expect(!backend->has_key, 0)) {
        return refuse_without_key(state, error);
    }
    TARN_TRY(check_value_size(state, value.size, error));
    const tarn_status status = tarn__rocks_put(
        state->family, tarn__backend_row(backend, &state->name_space), value, error);
    tarn__rocks_unpin(&backend->pin);
    return tarn__backend_finish_write(backend, status, error);
}

tarn_status tarn_value_remove(tarn_value *state, tarn_error *error)
{
    tarn_backend *backend = state->backend;
    TARN_TRY(tarn__backend_enter_write(backend, error));
    if (__builtin_expect(!backend->has_key, 0)) {
        return refuse_without_key(state, error);
    }
    const tarn_status status =
        tarn__rocks_delete(state->family, tarn__backend_row(backend, &state->name_space), error);
    tarn__rocks_unpin(&backend->pin);
    return tarn__backend_finish_write(backend, status, error);
}

/* Copies what is stored into the edit buffer, cut or extended by zeros to size. */
static tarn_status load_edit(tarn_value *state, size_t size, tarn_error *error)
{
    tarn_backend *backend = state->backend;
    tarn_bytes stored = {NULL, 0};
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {NULL};
    const tarn_status status = tarn__rocks_get(
        state->family, tarn__backend_row(backend, &state->name_space), &pin, &stored, error);
    if (status != TARN_OK && status != TARN_NOT_FOUND) {
        return status;
    }
    const size_t kept = stored.size < size ? stored.size : size;
    if (kept > 0) {
        memcpy(backend->edit.data, stored.data, kept);
    }
    memset(backend->edit.data + kept, 0, size - kept);
    backend->edit.size = size;
    return TARN_OK;
}

tarn_status tarn_value_edit(tarn_value *state, size_t size, void **out, tarn_error *error)
{
    tarn_backend *backend = state->backend;
    TARN_TRY(tarn__backend_enter(backend, error));
    tarn__rocks_unpin(&backend->pin);
    if (__builtin_expect(!backend->has_key, 0)) {
        return refuse_without_key(state, error);
    }
    if (__builtin_expect(size == 0, 0)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "an edit of state \"%s\" asks for no bytes",
            state->family->name);
    }
    TARN_TRY(check_value_size(state, size, error));
    if (__builtin_expect(size > backend->edit.capacity, 0) &&
        tarn_buffer_reserve(&backend->edit, size) != TARN_OK) {
        return tarn__fail_no_memory(error, "a value", size);
    }
    TARN_TRY(load_edit(state, size, error));
    backend->edited = state;
    backend->needs_attention = true;
    *out = backend->edit.data;
    return TARN_OK;
}

tarn_status tarn__value_store_edit(tarn_backend *backend, tarn_error *error)
{
    tarn_value *state = backend->edited;
    assert(state != NULL);
    if (atomic_load_explicit(&backend->is_gate_shut, memory_order_acquire)) {
        tarn__backend_wait_at_gate(backend);
    }
    backend->edited = NULL;
    backend->needs_attention = false;
    const tarn_status status = tarn__rocks_put(
        state->family,
        tarn__backend_row(backend, &state->name_space),
        tarn_buffer_bytes(&backend->edit),
        error);
    return tarn__backend_finish_write(backend, status, error);
}

/* ---- iteration -------------------------------------------------------------------------- */

static void encode_group(uint8_t out[TARN__ROW_GROUP_BYTES], uint32_t group)
{
    out[0] = (uint8_t)(group >> 8);
    out[1] = (uint8_t)group;
}

tarn_status tarn_value_iterate(
    tarn_value *state, const char *owner, tarn_value_iterator **out, tarn_error *error)
{
    tarn_backend *backend = state->backend;
    TARN_TRY(tarn__backend_enter(backend, error));
    tarn__rocks_unpin(&backend->pin);
    tarn_value_iterator *iterator = tarn__allocate_zeroed(backend->account, 1, sizeof *iterator);
    if (iterator == NULL) {
        return tarn__fail_no_memory(error, "an iterator", sizeof *iterator);
    }
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    encode_group(lower, backend->key_groups.first);
    encode_group(upper, backend->key_groups.last + 1u);
    const tarn_status status = tarn__rocks_iterate(
        state->family,
        tarn_bytes_at(lower, sizeof lower),
        tarn_bytes_at(upper, sizeof upper),
        &iterator->rows,
        error);
    if (status != TARN_OK) {
        tarn__release(iterator);
        return status;
    }
    iterator->state = state;
    iterator->next = state->first_iterator;
    state->first_iterator = iterator;
    backend->iterator_count++;
    tarn__backend_adopt(backend, &iterator->child, "iterator", owner != NULL ? owner : "iterator");
    *out = iterator;
    return TARN_OK;
}

tarn_status tarn_value_iterator_next(
    tarn_value_iterator *iterator, tarn_row *row, tarn_error *error)
{
    tarn_bytes key;
    tarn_bytes value;
    TARN_TRY(tarn__rocks_iterator_next(iterator->rows, &key, &value, error));
    tarn__row decoded;
    if (!tarn__row_decode(key, &decoded) || decoded.user_key.size != 0) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "state \"%s\" holds a key of %zu bytes that is no row of a value state",
            iterator->state->family->name,
            key.size);
    }
    *row = (tarn_row){
        .key_group = decoded.key_group,
        .key = decoded.key,
        .name_space = decoded.name_space,
        .value = value,
    };
    return TARN_OK;
}

void tarn_value_iterator_close(tarn_value_iterator *iterator)
{
    if (iterator == NULL) {
        return;
    }
    tarn_value *state = iterator->state;
    tarn_value_iterator **link = &state->first_iterator;
    while (*link != iterator) {
        link = &(*link)->next;
    }
    *link = iterator->next;
    state->backend->iterator_count--;
    tarn__backend_disown(state->backend, &iterator->child);
    tarn__rocks_iterator_close(iterator->rows);
    tarn__release(iterator);
}
