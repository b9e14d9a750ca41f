/* descriptors.c - see descriptors.h. */
#include "state/descriptors.h"

static tarn_status decode(
    tarn_bytes bytes, const char *name, tarn__descriptor *out, tarn_error *error)
{
    switch (tarn__descriptor_decode(bytes, out)) {
    case TARN__DESCRIPTOR_OK:
        return TARN_OK;
    case TARN__DESCRIPTOR_NEWER:
        return tarn__fail(
            error,
            TARN_NOT_SUPPORTED,
            "the descriptor of state \"%s\" was written by a newer version of Tarn",
            name);
    case TARN__DESCRIPTOR_DAMAGED:
        break;
    }
    return tarn__fail(error, TARN_CORRUPTION, "the descriptor of state \"%s\" is damaged", name);
}

static tarn_status read_from(
    tarn__rocks *rocks,
    const char *name,
    tarn__rocks_pin *pin,
    tarn__descriptor *out,
    tarn_error *error)
{
    tarn_bytes bytes;
    const tarn_status status =
        tarn__rocks_get(tarn__rocks_default_family(rocks), tarn_bytes_of(name), pin, &bytes, error);
    if (status == TARN_NOT_FOUND) {
        return tarn__fail(
            error, TARN_CORRUPTION, "the database has a state \"%s\" without a descriptor", name);
    }
    TARN_TRY(status);
    return decode(bytes, name, out, error);
}

tarn_status tarn__descriptor_read(
    const tarn_backend *backend,
    const char *name,
    tarn__rocks_pin *pin,
    tarn__descriptor *out,
    tarn_error *error)
{
    return read_from(backend->rocks, name, pin, out, error);
}

/* ---- two databases ---------------------------------------------------------------------- */

static tarn_status write_united(
    tarn_backend *backend, const char *name, const tarn__descriptor *united, tarn_error *error)
{
    TARN_AUTO(tarn_buffer_clear) tarn_buffer bytes = {.allocator = &backend->account->face};
    if (tarn__descriptor_encode(united, &bytes) != TARN_OK) {
        return tarn__fail_no_memory(error, "a descriptor", tarn__descriptor_size(united));
    }
    return tarn__rocks_put(
        tarn__rocks_default_family(backend->rocks),
        tarn_bytes_of(name),
        tarn_buffer_bytes(&bytes),
        error);
}

tarn_status tarn__descriptor_take(
    tarn_backend *backend,
    const char *name,
    tarn_bytes descriptor,
    uint8_t generations[256],
    tarn_error *error)
{
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
    tarn__rocks_family *own = tarn__rocks_default_family(backend->rocks);
    tarn_bytes present;
    tarn__descriptor first;
    tarn__descriptor second;
    tarn__descriptor united;
    for (uint32_t i = 0; i < 256; i++) {
        generations[i] = (uint8_t)i;
    }
    const tarn_status status = tarn__rocks_get(own, tarn_bytes_of(name), &pin, &present, error);
    if (status == TARN_NOT_FOUND) {
        return tarn__rocks_put(own, tarn_bytes_of(name), descriptor, error);
    }
    TARN_TRY(status);
    if (tarn_bytes_is_equal(present, descriptor)) {
        return TARN_OK;
    }
    TARN_TRY(decode(present, name, &first, error));
    TARN_TRY(decode(descriptor, name, &second, error));
    if (!tarn__descriptor_unite(&first, &second, &united, generations)) {
        return tarn__fail(
            error,
            TARN_INCOMPATIBLE,
            "the subtasks of \"%s\" have two descriptions of state \"%s\"",
            backend->operator_name,
            name);
    }
    return write_united(backend, name, &united, error);
}

void tarn__marking_begin(
    tarn__marking *marking,
    const tarn_backend *backend,
    bool is_marked,
    const uint8_t generations[256])
{
    *marking = (tarn__marking){.value = {.allocator = &backend->account->face}};
    memcpy(marking->generations, generations, sizeof marking->generations);
    for (uint32_t i = 0; i < 256 && is_marked; i++) {
        marking->is_needed = marking->is_needed || generations[i] != i;
    }
}

tarn_status tarn__marking_init(
    tarn__marking *marking,
    tarn_backend *backend,
    tarn__rocks *source,
    const char *name,
    tarn_error *error)
{
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin own_pin = {.slice = NULL};
    TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin source_pin = {.slice = NULL};
    uint8_t generations[256];
    tarn__descriptor own;
    tarn__descriptor theirs;
    tarn__descriptor united;
    TARN_TRY(tarn__descriptor_read(backend, name, &own_pin, &own, error));
    TARN_TRY(read_from(source, name, &source_pin, &theirs, error));
    if (!tarn__descriptor_unite(&own, &theirs, &united, generations)) {
        return tarn__fail(
            error, TARN_INTERNAL, "the descriptor of state \"%s\" was not taken over", name);
    }
    tarn__marking_begin(marking, backend, (theirs.flags & TARN__STATE_VERSIONED) != 0, generations);
    return TARN_OK;
}

tarn_status tarn__marking_apply(tarn__marking *marking, tarn_bytes *value, tarn_error *error)
{
    if (!marking->is_needed || value->size == 0) {
        return TARN_OK;
    }
    if (tarn_buffer_assign(&marking->value, *value) != TARN_OK) {
        return tarn__fail_no_memory(error, "a value", value->size);
    }
    uint8_t *mark = marking->value.data + value->size - 1;
    *mark = marking->generations[*mark];
    *value = tarn_buffer_bytes(&marking->value);
    return TARN_OK;
}

tarn_status tarn__descriptors_list(
    tarn_backend *backend, tarn__arena *arena, tarn__subtask *out, tarn_error *error)
{
    uint32_t count = 0;
    for (const tarn__rocks_family *family = tarn__rocks_first_family(backend->rocks);
         family != NULL;
         family = family->next) {
        count++;
    }
    tarn__state_part *states = tarn__arena_allocate(arena, count, sizeof *states);
    if (states == NULL) {
        return tarn__fail_no_memory(error, "the states of a snapshot", count * sizeof *states);
    }
    uint32_t index = 0;
    for (const tarn__rocks_family *family = tarn__rocks_first_family(backend->rocks);
         family != NULL;
         family = family->next) {
        TARN_AUTO(tarn__rocks_unpin) tarn__rocks_pin pin = {.slice = NULL};
        tarn__descriptor descriptor;
        TARN_TRY(tarn__descriptor_read(backend, family->name, &pin, &descriptor, error));
        states[index].name = tarn__arena_copy(arena, tarn_bytes_of(family->name));
        states[index].codec_name = tarn__arena_copy(arena, descriptor.schemas[0].codec_name);
        states[index].codec_version = descriptor.schemas[0].codec_version;
        states[index].kind = tarn__state_kind_name(descriptor.kind);
        if (states[index].name == NULL || states[index].codec_name == NULL) {
            return tarn__fail_no_memory(error, "the states of a snapshot", sizeof *states);
        }
        index++;
    }
    out->states = states;
    out->state_count = count;
    return TARN_OK;
}
