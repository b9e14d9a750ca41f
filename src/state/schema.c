/* schema.c - which schemas a state has, decided when it is opened. See schema.h. */
#include "state/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "codec/chunk.h"
#include "state/descriptors.h"
#include "state/keyed.h"

enum { FORMAT = 2, BATCH_BYTES_MAX = 256 << 10, DESCRIPTION_BYTES = 180 };

void tarn_migration_init(tarn_migration *migration, size_t struct_size)
{
    memset(migration, 0, struct_size);
    migration->struct_size = struct_size;
}

/* ---- what is wanted --------------------------------------------------------------------- */

static tarn_status check_codec_name(
    const tarn_state_options *options, size_t size, tarn_error *error)
{
    if (size == 0 || size > TARN__CODEC_NAME_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the codec name of state \"%s\" is %s; it needs 1 to %d bytes",
            options->name,
            size == 0 ? "empty" : "too long",
            TARN__CODEC_NAME_BYTES_MAX);
    }
    if (options->metadata.size > TARN__SCHEMA_METADATA_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the metadata of state \"%s\" has %zu bytes; allowed are %d",
            options->name,
            options->metadata.size,
            TARN__SCHEMA_METADATA_BYTES_MAX);
    }
    return TARN_OK;
}

/* Numbers of built-in reducers and timers are rows of Tarn's own. */
static bool has_values_of_the_program(tarn__state_kind kind, uint8_t detail)
{
    return kind != TARN__STATE_TIMERS && !(kind == TARN__STATE_REDUCING && detail != 0);
}

/* Encodes the descriptor; from here on its schemas lie there, whatever they came from. */
static tarn_status keep(tarn__schemas *schemas, tarn_error *error)
{
    if (tarn__descriptor_encode(&schemas->descriptor, &schemas->row) != TARN_OK) {
        return tarn__fail_no_memory(
            error, "a descriptor", tarn__descriptor_size(&schemas->descriptor));
    }
    const tarn_buffer old = schemas->bytes; /* Some of the schemas may lie there. */
    schemas->bytes = schemas->row;
    schemas->row = old;
    (void)tarn__descriptor_decode(tarn_buffer_bytes(&schemas->bytes), &schemas->descriptor);
    return TARN_OK;
}

tarn_status tarn__schema_init(
    tarn_keyed *keyed,
    const tarn_state_options *options,
    tarn__state_kind kind,
    uint8_t detail,
    tarn_error *error)
{
    tarn__schemas *schemas = &keyed->schemas;
    const tarn_allocator *allocator = &keyed->backend->account->face;
    const char *codec_name = options->codec_name != NULL ? options->codec_name : "bytes";
    const size_t name_size = strnlen(codec_name, TARN__CODEC_NAME_BYTES_MAX + 1);
    schemas->bytes.allocator = allocator;
    schemas->value.allocator = allocator;
    schemas->row.allocator = allocator;
    schemas->cursor.allocator = allocator;
    TARN_TRY(check_codec_name(options, name_size, error));
    if (options->migration != NULL) {
        TARN_TRY(tarn__options_copy(
            "tarn_migration", options->migration, &schemas->how, sizeof schemas->how, error));
    }
    uint8_t flags = options->ttl != NULL ? TARN__STATE_STAMPED : 0;
    flags |= options->layout == TARN_LAYOUT_NAMESPACE_FIRST ? TARN__STATE_NAMESPACE_FIRST : 0;
    flags |= has_values_of_the_program(kind, detail) ? TARN__STATE_VERSIONED : 0;
    schemas->descriptor = (tarn__descriptor){
        .kind = kind,
        .format = FORMAT,
        .flags = flags,
        .detail = detail,
        .schema_count = 1,
        .schemas = {{
            .codec_version = options->codec_version,
            .codec_name = tarn_bytes_at(codec_name, name_size),
            .metadata = options->metadata,
        }},
    };
    return keep(schemas, error);
}

/* ---- what is compatible ----------------------------------------------------------------- */

/* "map of bytes version 0, with TTL": what two descriptors can differ in. */
static void describe(
    const tarn__descriptor *descriptor, const tarn__schema *schema, char *out, size_t size)
{
    char detail[32] = "";
    if (descriptor->detail != 0) {
        (void)snprintf(detail, sizeof detail, ", reducer 0x%02x", descriptor->detail);
    }
    (void)snprintf(
        out,
        size,
        "%s of %.*s version %" PRIu32 "%s%s%s",
        tarn__state_kind_name(descriptor->kind),
        (int)(schema->codec_name.size < 80 ? schema->codec_name.size : 80),
        (const char *)schema->codec_name.data,
        schema->codec_version,
        (descriptor->flags & TARN__STATE_STAMPED) != 0 ? ", with TTL" : "",
        (descriptor->flags & TARN__STATE_NAMESPACE_FIRST) != 0 ? ", namespaces first" : "",
        detail);
}

static tarn_status fail_incompatible(
    const char *name,
    const tarn__descriptor *stored,
    const tarn__schema *schema,
    const tarn__descriptor *wanted,
    const char *why,
    tarn_error *error)
{
    char stored_text[DESCRIPTION_BYTES];
    char wanted_text[DESCRIPTION_BYTES];
    describe(stored, schema, stored_text, sizeof stored_text);
    describe(wanted, &wanted->schemas[0], wanted_text, sizeof wanted_text);
    return tarn__fail(
        error,
        TARN_INCOMPATIBLE,
        "state \"%.60s\" is stored as %s; it was opened as %s%s",
        name,
        stored_text,
        wanted_text,
        why);
}

static tarn_schema face_of(const tarn__schema *schema)
{
    return (tarn_schema){
        .codec_name = schema->codec_name,
        .codec_version = schema->codec_version,
        .metadata = schema->metadata,
    };
}

static tarn_compatibility resolve(
    const tarn_migration *how, const tarn__schema *stored, const tarn__schema *wanted)
{
    if (tarn__schema_is_equal(stored, wanted)) {
        return TARN_COMPATIBLE_AS_IS;
    }
    if (how->resolve != NULL) {
        const tarn_schema old = face_of(stored);
        const tarn_schema new = face_of(wanted);
        return how->resolve(&old, &new, how->context);
    }
    if (!tarn_bytes_is_equal(stored->codec_name, wanted->codec_name) ||
        stored->codec_version > wanted->codec_version) {
        return TARN_NOT_COMPATIBLE;
    }
    return stored->codec_version == wanted->codec_version ? TARN_COMPATIBLE_AS_IS
                                                          : TARN_COMPATIBLE_AFTER_MIGRATION;
}

/* Decides about a stored schema; *needs_upgrade_out tells how its values are read. */
static tarn_status decide(
    const tarn__schemas *schemas,
    const char *name,
    const tarn__descriptor *stored,
    const tarn__schema *schema,
    bool *needs_upgrade_out,
    tarn_error *error)
{
    const tarn__descriptor *wanted = &schemas->descriptor;
    const tarn_compatibility answer = resolve(&schemas->how, schema, &wanted->schemas[0]);
    *needs_upgrade_out = answer == TARN_COMPATIBLE_AFTER_MIGRATION;
    if (answer == TARN_COMPATIBLE_AS_IS) {
        return TARN_OK;
    }
    if (answer != TARN_COMPATIBLE_AFTER_MIGRATION) {
        return fail_incompatible(name, stored, schema, wanted, "", error);
    }
    if (!has_values_of_the_program(stored->kind, stored->detail)) {
        return fail_incompatible(
            name, stored, schema, wanted, ", and rows of that kind are not upgraded", error);
    }
    return schemas->how.upgrade != NULL
               ? TARN_OK
               : fail_incompatible(
                     name, stored, schema, wanted, ", without a callback that upgrades", error);
}

/* Puts the wanted schema in front of the stored ones, under a generation of its own. */
static tarn_status put_in_front(
    tarn__descriptor *stored, const tarn__schema *wanted, const char *name, tarn_error *error)
{
    if (stored->schema_count < TARN__SCHEMA_COUNT_MAX) {
        const uint8_t generation = tarn__descriptor_free_generation(stored);
        memmove(
            &stored->schemas[1],
            &stored->schemas[0],
            stored->schema_count * sizeof stored->schemas[0]);
        stored->schema_count++;
        stored->schemas[0] = *wanted;
        stored->schemas[0].generation = generation;
        if (tarn__descriptor_size(stored) <= TARN__DESCRIPTOR_BYTES_MAX) {
            return TARN_OK;
        }
    }
    return tarn__fail(
        error,
        TARN_INCOMPATIBLE,
        "rows of state \"%.200s\" have values of %u schemas, and there is no room for another: "
        "migrate all to the present one first",
        name,
        stored->schema_count);
}

/* What is stored may have stamps or none, whatever is wanted: restamp.c. */
static bool is_same_kind(const tarn__descriptor *stored, const tarn__descriptor *wanted)
{
    return stored->kind == wanted->kind && stored->detail == wanted->detail &&
           ((stored->flags ^ wanted->flags) & TARN__STATE_NAMESPACE_FIRST) == 0;
}

/* Decides about all stored schemas, and makes the descriptor of what will be stored. */
static tarn_status reconcile(
    tarn__schemas *schemas, const char *name, tarn__descriptor *stored, tarn_error *error)
{
    const tarn__schema wanted = schemas->descriptor.schemas[0];
    bool needs_upgrade = false;
    for (uint32_t i = 1; i < stored->schema_count; i++) {
        TARN_TRY(decide(schemas, name, stored, &stored->schemas[i], &needs_upgrade, error));
        schemas->has_older = schemas->has_older || needs_upgrade;
    }
    const tarn__schema latest = stored->schemas[0];
    TARN_TRY(decide(schemas, name, stored, &latest, &needs_upgrade, error));
    schemas->has_changed = !tarn__schema_is_equal(&latest, &wanted);
    if (!needs_upgrade) {
        stored->schemas[0] = wanted;
        stored->schemas[0].generation = latest.generation;
    } else {
        TARN_TRY(put_in_front(stored, &wanted, name, error));
        schemas->has_older = true;
        schemas->must_mark = (stored->flags & TARN__STATE_VERSIONED) == 0;
        stored->flags |= TARN__STATE_VERSIONED;
    }
    if (schemas->has_changed) {
        stored->format = FORMAT;
    }
    schemas->descriptor = *stored;
    return TARN_OK;
}

tarn_status tarn__schema_check(tarn_keyed *keyed, const char *name, tarn_error *error)
{
    tarn__schemas *schemas = &keyed->schemas;
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
    tarn__descriptor stored;
    TARN_TRY(tarn__descriptor_read(keyed->backend, name, &pin, &stored, error));
    if (!is_same_kind(&stored, &schemas->descriptor)) {
        return fail_incompatible(
            name, &stored, &stored.schemas[0], &schemas->descriptor, "", error);
    }
    TARN_TRY(reconcile(schemas, name, &stored, error));
    schemas->is_stamped = (stored.flags & TARN__STATE_STAMPED) != 0;
    return keep(schemas, error);
}

/* ---- upgrades --------------------------------------------------------------------------- */

static tarn_status check_answer(
    const tarn_keyed *keyed, const tarn__schema *schema, tarn_status status, tarn_error *error)
{
    if (__builtin_expect(status != TARN_OK, 0)) {
        return tarn__fail(
            error,
            status < TARN_OK ? status : TARN_INTERNAL,
            "the upgrade of a value of state \"%.200s\" from version %" PRIu32 " answered %s",
            keyed->family->name,
            schema->codec_version,
            tarn_status_name(status));
    }
    return tarn__keyed_check_value(keyed, keyed->schemas.value.size, error);
}

static tarn_status call(
    tarn_keyed *keyed, const tarn__schema *schema, tarn_bytes value, tarn_error *error)
{
    tarn__schemas *schemas = &keyed->schemas;
    const tarn_schema stored = face_of(schema);
    schemas->value.size = 0;
    return check_answer(
        keyed,
        schema,
        schemas->how.upgrade(&stored, value, &schemas->value, schemas->how.context),
        error);
}

static tarn_status upgrade_chunk(
    tarn_keyed *keyed,
    const tarn__schema *schema,
    tarn_bytes elements,
    tarn_buffer *out,
    tarn_error *error)
{
    tarn_bytes element;
    tarn_status status;
    while ((status = tarn__chunk_take(&elements, &element)) == TARN_OK) {
        TARN_TRY(call(keyed, schema, element, error));
        if (tarn__chunk_append(out, tarn_buffer_bytes(&keyed->schemas.value)) != TARN_OK) {
            return tarn__fail_no_memory(error, "a chunk of a list", keyed->schemas.value.size);
        }
    }
    return status == TARN_DONE
               ? TARN_OK
               : tarn__fail(
                     error,
                     TARN_CORRUPTION,
                     "state \"%s\" holds a chunk of a list whose elements go beyond its end",
                     keyed->family->name);
}

static tarn_status fail_generation(const tarn_keyed *keyed, uint8_t generation, tarn_error *error)
{
    return tarn__fail(
        error,
        TARN_CORRUPTION,
        "state \"%s\" holds a value of generation %u, of which its descriptor says nothing",
        keyed->family->name,
        generation);
}

/* A tarn__rocks_upgrade_fn. */
static tarn_status upgrade(
    void *context, uint8_t generation, tarn_bytes stored, tarn_buffer *out, tarn_error *error)
{
    tarn_keyed *keyed = context;
    const tarn__schemas *schemas = &keyed->schemas;
    const tarn__schema *schema = tarn__descriptor_find(&schemas->descriptor, generation);
    const size_t stamp_size = schemas->is_stamped ? TARN__STAMP_BYTES : 0;
    if (schema == NULL || stored.size < stamp_size) {
        return fail_generation(keyed, generation, error);
    }
    const uint8_t *data = stored.data;
    const tarn_bytes value = tarn_bytes_at(data + stamp_size, stored.size - stamp_size);
    if (stamp_size > 0 && tarn_buffer_append(out, tarn_bytes_at(data, stamp_size)) != TARN_OK) {
        return tarn__fail_no_memory(error, "an upgraded value", stored.size);
    }
    if (schemas->descriptor.kind == TARN__STATE_LIST) {
        return upgrade_chunk(keyed, schema, value, out, error);
    }
    TARN_TRY(call(keyed, schema, value, error));
    return tarn_buffer_append(out, tarn_buffer_bytes(&schemas->value)) == TARN_OK
               ? TARN_OK
               : tarn__fail_no_memory(error, "an upgraded value", schemas->value.size);
}

/* Has the family's values marked, and read by what was decided. */
static void set_marks(tarn_keyed *keyed)
{
    const tarn__schemas *schemas = &keyed->schemas;
    const tarn__descriptor *descriptor = &schemas->descriptor;
    tarn__rocks_marks marks = {
        .is_on = (descriptor->flags & TARN__STATE_VERSIONED) != 0,
        .generation = descriptor->schemas[0].generation,
        .upgrade = upgrade,
        .context = keyed,
    };
    for (uint32_t i = 0; i < descriptor->schema_count; i++) {
        const tarn__schema *schema = &descriptor->schemas[i];
        marks.is_as_is[schema->generation] =
            i == 0 ||
            resolve(&schemas->how, schema, &descriptor->schemas[0]) == TARN_COMPATIBLE_AS_IS;
    }
    tarn__rocks_set_marks(keyed->family, &marks);
}

void tarn__schema_clear(tarn_keyed *keyed)
{
    static const tarn__rocks_marks NONE = {.is_on = false};
    tarn__schemas *schemas = &keyed->schemas;
    if (keyed->family != NULL && keyed->family->marks.context == keyed) {
        tarn__rocks_set_marks(keyed->family, &NONE);
    }
    tarn_buffer_clear(&schemas->bytes);
    tarn_buffer_clear(&schemas->value);
    tarn_buffer_clear(&schemas->row);
    tarn_buffer_clear(&schemas->cursor);
}

/* ---- what is stored --------------------------------------------------------------------- */

/* Allocates nothing. */
static tarn_status write_descriptor(const tarn_keyed *keyed, tarn_error *error)
{
    return tarn__rocks_put(
        tarn__rocks_default_family(keyed->backend->rocks),
        tarn_bytes_of(keyed->family->name),
        tarn_buffer_bytes(&keyed->schemas.bytes),
        error);
}

tarn_status tarn__schema_create(tarn_keyed *keyed, tarn_error *error)
{
    TARN_TRY(write_descriptor(keyed, error));
    keyed->schemas.is_stamped = keyed->has_ttl;
    set_marks(keyed);
    return TARN_OK;
}

/* The bounds of all rows of a backend. */
static void all_groups(
    const tarn_backend *backend,
    uint8_t lower[TARN__ROW_GROUP_BYTES],
    uint8_t upper[TARN__ROW_GROUP_BYTES])
{
    tarn__row_encode_group(lower, backend->key_groups.first);
    tarn__row_encode_group(upper, backend->key_groups.last + 1u);
}

static tarn_status mark_rows(
    tarn_keyed *keyed, tarn__rocks_iterator *rows, tarn__rocks_batch *batch, tarn_error *error)
{
    const uint8_t mark[] = {keyed->schemas.descriptor.schemas[1].generation};
    tarn_buffer *value = &keyed->schemas.row;
    for (;;) {
        tarn_bytes row;
        tarn_bytes stored;
        const tarn_status status = tarn__rocks_iterator_next(rows, &row, &stored, error);
        if (status == TARN_DONE) {
            return tarn__rocks_batch_write(keyed->backend->rocks, batch, error);
        }
        TARN_TRY(status);
        if (tarn_buffer_assign(value, stored) != TARN_OK ||
            tarn_buffer_append(value, tarn_bytes_at(mark, sizeof mark)) != TARN_OK) {
            return tarn__fail_no_memory(error, "a value with its mark", stored.size);
        }
        tarn__rocks_batch_put_raw(batch, keyed->family, row, tarn_buffer_bytes(value));
        if (batch->bytes >= BATCH_BYTES_MAX) {
            TARN_TRY(tarn__rocks_batch_write(keyed->backend->rocks, batch, error));
        }
    }
}

/* Rows of a state whose descriptor was of format 1 get the mark of the schema that they had. */
static tarn_status mark_all(tarn_keyed *keyed, tarn_error *error)
{
    uint8_t lower[TARN__ROW_GROUP_BYTES];
    uint8_t upper[TARN__ROW_GROUP_BYTES];
    all_groups(keyed->backend, lower, upper);
    tarn__rocks_iterator *rows = NULL;
    TARN_TRY(tarn__rocks_iterate_raw(
        keyed->family,
        tarn_bytes_at(lower, sizeof lower),
        tarn_bytes_at(upper, sizeof upper),
        &rows,
        error));
    tarn__rocks_batch batch;
    tarn__rocks_batch_init(&batch);
    const tarn_status status = mark_rows(keyed, rows, &batch, error);
    tarn__rocks_batch_clear(&batch);
    tarn__rocks_iterator_close(rows);
    tarn__env_log(
        keyed->backend->env,
        TARN_LOG_INFO,
        "rows of state \"%s\" say now by which version they were written",
        keyed->family->name);
    return status;
}

static tarn_status adopt(tarn_keyed *keyed, tarn_error *error)
{
    tarn__schemas *schemas = &keyed->schemas;
    if (schemas->must_mark) {
        TARN_TRY(mark_all(keyed, error));
    }
    set_marks(keyed);
    uint8_t flags = 0;
    TARN_TRY(tarn__keyed_adopt_stamps(keyed, schemas->descriptor.flags, &flags, error));
    const bool has_changed = schemas->has_changed || flags != schemas->descriptor.flags;
    tarn__descriptor_set_flags(&schemas->descriptor, &schemas->bytes, flags);
    schemas->is_stamped = keyed->has_ttl;
    return has_changed ? write_descriptor(keyed, error) : TARN_OK;
}

tarn_status tarn__schema_adopt(tarn_keyed *keyed, tarn_error *error)
{
    return tarn__backend_finish_write(keyed->backend, adopt(keyed, error), error);
}
