/* keyed.c - opening, closing, namespaces and rows of states of all kinds. See keyed.h. */
#include "state/keyed.h"

#include "base/options.h"
#include "state/hot.h"

/* ---- opening and closing ---------------------------------------------------------------- */

void tarn_state_options_init(tarn_state_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

void tarn_ttl_init(tarn_ttl *ttl, size_t struct_size)
{
    memset(ttl, 0, struct_size);
    ttl->struct_size = struct_size;
}

static tarn_status check_ttl(const tarn_state_options *options, tarn_ttl *out, tarn_error *error)
{
    TARN_TRY(tarn__options_copy("tarn_ttl", options->ttl, out, sizeof *out, error));
    if (out->ttl_ms <= 0) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the TTL of state \"%s\" is %lld ms; it needs at least 1",
            options->name,
            (long long)out->ttl_ms);
    }
    if ((uint32_t)out->update > TARN_TTL_ON_READ_AND_WRITE ||
        (uint32_t)out->visibility > TARN_TTL_RETURN_EXPIRED_IF_NOT_CLEANED) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the TTL of state \"%s\" has an update or a visibility that there is not (%u, %u)",
            options->name,
            (uint32_t)out->update,
            (uint32_t)out->visibility);
    }
    if ((uint32_t)out->time > TARN_TTL_EVENT_TIME || out->deadline_ms < 0 ||
        (out->time == TARN_TTL_EVENT_TIME && out->now_ms != NULL)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the TTL of state \"%s\" is in time %u with %s clock and a deadline of %lld ms; event "
            "time (1) goes without a clock, and a deadline is not negative",
            options->name,
            (uint32_t)out->time,
            out->now_ms != NULL ? "a" : "no",
            (long long)out->deadline_ms);
    }
    return TARN_OK;
}

static tarn_status check_options(const tarn_state_options *options, tarn_error *error)
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
    if ((uint32_t)options->layout > TARN_LAYOUT_NAMESPACE_FIRST) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the layout of state \"%s\" is %u, which is no tarn_layout",
            options->name,
            (uint32_t)options->layout);
    }
    return TARN_OK;
}

static tarn_status use_existing(
    tarn_keyed *keyed, const char *name, const tarn__rocks_settings *settings, tarn_error *error)
{
    tarn_backend *backend = keyed->backend;
    TARN_TRY(tarn__schema_check(keyed, name, error));
    tarn__hot_quiet(backend);
    tarn__backend_await_workers(backend);
    tarn_error details = {.status = TARN_OK};
    bool is_lost = false;
    tarn__rocks_unpin(&backend->pin);
    const tarn_status status = tarn__rocks_retune_family(
        keyed->family,
        settings,
        backend->iterator_count + (tarn__snapshot_holds(backend->snapshot) ? 1 : 0),
        &is_lost,
        &details);
    if (status != TARN_OK && error != NULL) {
        *error = details;
    }
    if (is_lost) {
        tarn__backend_poison(backend, &details);
    }
    TARN_TRY(status);
    tarn__tidier_resume(backend);
    return tarn__schema_adopt(keyed, error);
}

static tarn_status create(
    tarn_keyed *keyed, const char *name, const tarn__rocks_settings *settings, tarn_error *error)
{
    tarn_backend *backend = keyed->backend;
    TARN_TRY(tarn__rocks_create_family(backend->rocks, name, settings, &keyed->family, error));
    const tarn_status status = tarn__schema_create(keyed, error);
    if (status != TARN_OK) {
        tarn__rocks_drop_family(keyed->family);
        keyed->family = NULL;
    }
    return tarn__backend_finish_write(backend, status, error);
}

/* Finds or makes the state's family. */
static tarn_status attach(
    tarn_keyed *keyed,
    const tarn_state_options *options,
    tarn__rocks_settings *settings,
    tarn_error *error)
{
    tarn_backend *backend = keyed->backend;
    *settings = *backend->settings;
    TARN_TRY(tarn__hot_configure(keyed, options->tuning, error));
    if (options->tuning != NULL) {
        TARN_TRY(tarn__rocks_settings_load(settings, options->tuning, /* is_state= */ true, error));
    }
    keyed->family = tarn__rocks_find_family(backend->rocks, options->name);
    keyed->is_created = keyed->family == NULL;
    TARN_TRY(
        keyed->is_created ? create(keyed, options->name, settings, error)
                          : use_existing(keyed, options->name, settings, error));
    return keyed->has_ttl && !keyed->is_untimed ? tarn__cleaning_open(keyed, error) : TARN_OK;
}

static tarn_status set_up(
    tarn_keyed *keyed,
    const tarn_state_options *options,
    tarn__state_kind kind,
    uint8_t detail,
    tarn_error *error)
{
    static const uint8_t NO_NAMESPACE[] = {0};
    TARN_TRY(tarn__schema_init(keyed, options, kind, detail, error));
    if (tarn_buffer_assign(&keyed->name_space, tarn_bytes_at(NO_NAMESPACE, 1)) != TARN_OK) {
        return tarn__fail_no_memory(error, "a namespace", 1);
    }
    tarn__rocks_settings *settings = tarn__allocate(keyed->backend->account, sizeof *settings);
    if (settings == NULL) {
        return tarn__fail_no_memory(error, "the options of a state", sizeof *settings);
    }
    const tarn_status status = attach(keyed, options, settings, error);
    tarn__release(settings);
    TARN_TRY(status);
    return tarn__hot_attach(keyed, kind, error);
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

static void free_state(tarn_keyed *keyed)
{
    tarn__schema_clear(keyed);
    tarn_buffer_clear(&keyed->name_space);
    tarn_buffer_clear(&keyed->row);
    tarn_buffer_clear(&keyed->lower);
    tarn_buffer_clear(&keyed->upper);
    tarn_buffer_clear(&keyed->scratch);
    tarn_buffer_clear(&keyed->result);
    tarn__release(keyed);
}

static void init(tarn_keyed *keyed, tarn_backend *backend, const tarn_state_options *options)
{
    const tarn_allocator *allocator = &backend->buffers->face;
    keyed->backend = backend;
    keyed->layout = options->layout == TARN_LAYOUT_NAMESPACE_FIRST ? TARN__ROW_NAMESPACE_FIRST
                                                                   : TARN__ROW_KEY_FIRST;
    keyed->name_space.allocator = allocator;
    keyed->row.allocator = allocator;
    keyed->lower.allocator = allocator;
    keyed->upper.allocator = allocator;
    keyed->scratch.allocator = allocator;
    keyed->result.allocator = allocator;
}

tarn_status tarn__keyed_open(
    tarn_backend *backend,
    const tarn_state_options *options,
    tarn__state_kind kind,
    uint8_t detail,
    size_t size,
    tarn_keyed **out,
    tarn_error *error)
{
    tarn_state_options known;
    tarn_ttl ttl = {0};
    if (backend == NULL || out == NULL) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "%s is missing", backend == NULL ? "backend" : "out");
    }
    TARN_TRY(tarn__options_copy("tarn_state_options", options, &known, sizeof known, error));
    TARN_TRY(check_options(&known, error));
    if (known.ttl != NULL) {
        TARN_TRY(check_ttl(&known, &ttl, error));
    }
    TARN_TRY(check_not_open(backend, known.name, error));
    TARN_TRY(tarn__backend_enter_write(backend, error));
    tarn_keyed *keyed = tarn__allocate_zeroed(backend->account, 1, size);
    if (keyed == NULL) {
        return tarn__fail_no_memory(error, known.name, size);
    }
    init(keyed, backend, &known);
    keyed->has_ttl = known.ttl != NULL;
    keyed->ttl = ttl;
    keyed->is_folded = kind == TARN__STATE_REDUCING && detail != 0;
    keyed->cleaning.due_ms = INT64_MAX;
    keyed->cleaning.cleaned_ms = INT64_MIN;
    const tarn_status status = set_up(keyed, &known, kind, detail, error);
    if (status != TARN_OK) {
        free_state(keyed);
        return status;
    }
    tarn__backend_adopt(backend, &keyed->child, "state", known.name);
    *out = keyed;
    return TARN_OK;
}

tarn_status tarn__keyed_close(tarn_keyed *keyed, tarn_error *error)
{
    if (keyed == NULL) {
        return TARN_OK;
    }
    if (keyed->first_iterator != NULL) {
        return tarn__fail(
            error,
            TARN_BUSY,
            "state \"%s\" cannot be closed before its iterator \"%s\"",
            keyed->family->name,
            keyed->first_iterator->child.name);
    }
    const tarn_status status = tarn__hot_detach(keyed, error);
    tarn__cleaning_close(keyed);
    tarn__backend_disown(keyed->backend, &keyed->child);
    free_state(keyed);
    return status;
}

/* ---- namespaces ------------------------------------------------------------------------- */

static tarn_status check_namespace(const tarn_keyed *keyed, size_t size, tarn_error *error)
{
    if (size > TARN__ROW_NAMESPACE_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "a namespace of state \"%s\" has %zu bytes; allowed are %d",
            keyed->family->name,
            size,
            TARN__ROW_NAMESPACE_BYTES_MAX);
    }
    return TARN_OK;
}

tarn_status tarn_keyed_set_namespace(tarn_keyed *keyed, tarn_bytes name_space, tarn_error *error)
{
    tarn_backend *backend = keyed->backend;
    TARN_TRY(tarn__backend_enter(backend, error));
    TARN_TRY(check_namespace(keyed, name_space.size, error));
    const size_t encoded_bytes = TARN__ROW_VARINT_BYTES_MAX + name_space.size;
    TARN_TRY(tarn__backend_reserve_namespace(backend, encoded_bytes, error));
    if (tarn_buffer_reserve(&keyed->name_space, encoded_bytes) != TARN_OK) {
        return tarn__fail_no_memory(error, "a namespace", encoded_bytes);
    }
    keyed->name_space.size = tarn__row_encode_namespace(keyed->name_space.data, name_space);
    keyed->has_namespaces = keyed->has_namespaces || name_space.size > 0;
    tarn__rocks_unpin(&backend->pin);
    return TARN_OK;
}

tarn_status tarn__keyed_encode_namespace(
    const tarn_keyed *keyed, tarn_bytes name_space, tarn_buffer *out, tarn_error *error)
{
    TARN_TRY(check_namespace(keyed, name_space.size, error));
    const size_t encoded_bytes = TARN__ROW_VARINT_BYTES_MAX + name_space.size;
    if (tarn_buffer_reserve(out, out->size + encoded_bytes) != TARN_OK) {
        return tarn__fail_no_memory(error, "a namespace", encoded_bytes);
    }
    out->size += tarn__row_encode_namespace(out->data + out->size, name_space);
    return TARN_OK;
}

static bool is_among(tarn_bytes wanted, const tarn_bytes *found, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (tarn_bytes_is_equal(wanted, found[i])) {
            return true;
        }
    }
    return false;
}

/* Merges what is left of the sources once those named twice are out. */
static tarn_status merge_distinct(
    tarn_keyed *keyed,
    const tarn_bytes *sources,
    size_t source_count,
    tarn_bytes target,
    tarn_bytes *distinct,
    tarn_buffer *encoded,
    tarn_error *error)
{
    size_t count = 0;
    size_t size = TARN__ROW_VARINT_BYTES_MAX + target.size;
    for (size_t i = 0; i < source_count; i++) {
        size += TARN__ROW_VARINT_BYTES_MAX + sources[i].size;
    }
    if (tarn_buffer_reserve(encoded, size) != TARN_OK) { /* It must not move from here on. */
        return tarn__fail_no_memory(error, "namespaces to merge", size);
    }
    TARN_TRY(tarn__keyed_encode_namespace(keyed, target, encoded, error));
    const tarn_bytes encoded_target = tarn_buffer_bytes(encoded);
    for (size_t i = 0; i < source_count; i++) {
        const size_t begin = encoded->size;
        TARN_TRY(tarn__keyed_encode_namespace(keyed, sources[i], encoded, error));
        const tarn_bytes source = tarn_bytes_at(encoded->data + begin, encoded->size - begin);
        if (!tarn_bytes_is_equal(source, encoded_target) && !is_among(source, distinct, count)) {
            distinct[count++] = source;
        }
    }
    return keyed->merge(keyed, distinct, count, encoded_target, error);
}

tarn_status tarn_keyed_merge_namespaces(
    tarn_keyed *keyed,
    const tarn_bytes *sources,
    size_t source_count,
    tarn_bytes target,
    tarn_error *error)
{
    tarn_backend *backend = keyed->backend;
    TARN_TRY(tarn__backend_enter_write(backend, error));
    keyed->has_namespaces = true;
    if (keyed->merge == NULL) {
        return tarn__fail(
            error,
            TARN_NOT_SUPPORTED,
            "namespaces of state \"%s\" cannot be merged: two of its values do not make one",
            keyed->family->name);
    }
    if (!backend->has_key) {
        return tarn__keyed_fail_no_key(keyed, error);
    }
    if (source_count == 0) {
        return TARN_OK;
    }
    tarn_bytes *distinct = tarn__allocate_zeroed(backend->buffers, source_count, sizeof *distinct);
    if (distinct == NULL) {
        return tarn__fail_no_memory(error, "namespaces to merge", source_count * sizeof *distinct);
    }
    tarn_buffer encoded = {.allocator = &backend->buffers->face};
    const tarn_status status =
        merge_distinct(keyed, sources, source_count, target, distinct, &encoded, error);
    tarn_buffer_clear(&encoded);
    tarn__release(distinct);
    tarn__rocks_unpin(&backend->pin);
    return status;
}

/* ---- rows ------------------------------------------------------------------------------- */

tarn_status tarn__keyed_fail_no_key(const tarn_keyed *keyed, tarn_error *error)
{
    return tarn__fail(
        error,
        TARN_INVALID_ARGUMENT,
        "state \"%s\" was used before tarn_backend_set_key()",
        keyed->family->name);
}

tarn_status tarn__keyed_fail_row(const tarn_keyed *keyed, size_t size, tarn_error *error)
{
    return tarn__fail(
        error,
        TARN_CORRUPTION,
        "state \"%s\" holds a row with a key of %zu bytes that is none of its kind",
        keyed->family->name,
        size);
}

tarn_status tarn__keyed_check_value(const tarn_keyed *keyed, size_t size, tarn_error *error)
{
    if (__builtin_expect(size > TARN__STATE_VALUE_BYTES_MAX, 0)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "a value of state \"%s\" has %zu bytes; allowed are %d",
            keyed->family->name,
            size,
            TARN__STATE_VALUE_BYTES_MAX);
    }
    return TARN_OK;
}

tarn_status tarn__keyed_check_user_key(const tarn_keyed *keyed, size_t size, tarn_error *error)
{
    if (__builtin_expect(size > TARN__ROW_USER_KEY_BYTES_MAX, 0)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "a key of an entry of state \"%s\" has %zu bytes; allowed are %d",
            keyed->family->name,
            size,
            TARN__ROW_USER_KEY_BYTES_MAX);
    }
    return TARN_OK;
}

static size_t add_bytes(uint8_t *out, size_t at, tarn_bytes bytes)
{
    if (bytes.size > 0) {
        memcpy(out + at, bytes.data, bytes.size);
    }
    return at + bytes.size;
}

tarn_status tarn__keyed_make_row(
    tarn_keyed *keyed,
    tarn_bytes name_space,
    tarn_bytes user_key,
    tarn_bytes *out,
    tarn_error *error)
{
    tarn_backend *backend = keyed->backend;
    if (!backend->has_key) {
        return tarn__keyed_fail_no_key(keyed, error);
    }
    const size_t needed = backend->row.size + name_space.size + user_key.size;
    const bool is_key_first = keyed->layout == TARN__ROW_KEY_FIRST;
    tarn_buffer *buffer = is_key_first ? &backend->row : &keyed->row;
    if (tarn_buffer_reserve(buffer, needed) != TARN_OK) {
        return tarn__fail_no_memory(error, "a row", needed);
    }
    size_t size = backend->row.size;
    if (is_key_first) {
        size = add_bytes(buffer->data, size, name_space);
    } else {
        const uint8_t *prefix = backend->row.data;
        size = add_bytes(buffer->data, 0, tarn_bytes_at(prefix, TARN__ROW_GROUP_BYTES));
        size = add_bytes(buffer->data, size, name_space);
        size = add_bytes(
            buffer->data,
            size,
            tarn_bytes_at(
                prefix + TARN__ROW_GROUP_BYTES, backend->row.size - TARN__ROW_GROUP_BYTES));
    }
    *out = tarn_bytes_at(buffer->data, add_bytes(buffer->data, size, user_key));
    return TARN_OK;
}

tarn_status tarn__keyed_span(tarn_keyed *keyed, tarn_bytes name_space, tarn_error *error)
{
    tarn_bytes row;
    TARN_TRY(tarn__keyed_make_row(keyed, name_space, tarn_bytes_at(NULL, 0), &row, error));
    if (tarn_buffer_assign(&keyed->lower, row) != TARN_OK ||
        tarn_buffer_assign(&keyed->upper, row) != TARN_OK) {
        return tarn__fail_no_memory(error, "a row", row.size);
    }
    keyed->upper.size = tarn__row_successor(keyed->upper.data, keyed->upper.size);
    return TARN_OK;
}
