/* descriptor.c - see descriptor.h. */
#include "codec/descriptor.h"

#include <assert.h>
#include <string.h>

enum {
    FORMAT_1 = 1,
    FORMAT_2 = 2,
    FIXED_BYTES_1 = 9,
    FIXED_BYTES_2 = 6,
    SCHEMA_FIXED_BYTES = 8, /* Of one of format 2. */
};

const char *tarn__state_kind_name(tarn__state_kind kind)
{
    switch (kind) {
    case TARN__STATE_VALUE:
        return "value";
    case TARN__STATE_MAP:
        return "map";
    case TARN__STATE_LIST:
        return "list";
    case TARN__STATE_REDUCING:
        return "reducing";
    case TARN__STATE_AGGREGATING:
        return "aggregating";
    case TARN__STATE_TIMERS:
        return "timers";
    }
    return "?";
}

/* ---- schemas ---------------------------------------------------------------------------- */

bool tarn__schema_is_equal(const tarn__schema *a, const tarn__schema *b)
{
    return a->codec_version == b->codec_version &&
           tarn_bytes_is_equal(a->codec_name, b->codec_name) &&
           tarn_bytes_is_equal(a->metadata, b->metadata);
}

const tarn__schema *tarn__descriptor_find(const tarn__descriptor *descriptor, uint8_t generation)
{
    for (uint32_t i = 0; i < descriptor->schema_count; i++) {
        if (descriptor->schemas[i].generation == generation) {
            return &descriptor->schemas[i];
        }
    }
    return NULL;
}

uint8_t tarn__descriptor_free_generation(const tarn__descriptor *descriptor)
{
    /* The one behind the latest, so that a number is not used again soon. */
    uint8_t generation = (uint8_t)(descriptor->schemas[0].generation + 1);
    while (tarn__descriptor_find(descriptor, generation) != NULL) {
        generation++;
    }
    return generation;
}

/* ---- encoding --------------------------------------------------------------------------- */

size_t tarn__descriptor_size(const tarn__descriptor *descriptor)
{
    if (descriptor->format == FORMAT_1) {
        return FIXED_BYTES_1 + descriptor->schemas[0].codec_name.size;
    }
    size_t size = FIXED_BYTES_2;
    for (uint32_t i = 0; i < descriptor->schema_count; i++) {
        const tarn__schema *schema = &descriptor->schemas[i];
        size += SCHEMA_FIXED_BYTES + schema->codec_name.size + schema->metadata.size;
    }
    return size;
}

static void put_u32(uint8_t *out, uint32_t value)
{
    for (uint32_t i = 0; i < 4; i++) {
        out[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

static uint32_t get_u32(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 |
           (uint32_t)data[3];
}

static uint8_t *put_bytes(uint8_t *out, tarn_bytes bytes)
{
    if (bytes.size > 0) {
        memcpy(out, bytes.data, bytes.size);
    }
    return out + bytes.size;
}

static void encode_1(const tarn__descriptor *descriptor, uint8_t *out)
{
    const tarn__schema *schema = &descriptor->schemas[0];
    out[0] = FORMAT_1;
    out[1] = (uint8_t)descriptor->kind;
    put_u32(out + 2, schema->codec_version);
    out[6] = descriptor->flags;
    out[7] = descriptor->detail;
    out[8] = (uint8_t)schema->codec_name.size;
    put_bytes(out + FIXED_BYTES_1, schema->codec_name);
}

static uint8_t *encode_schema(const tarn__schema *schema, uint8_t *out)
{
    out[0] = schema->generation;
    put_u32(out + 1, schema->codec_version);
    out[5] = (uint8_t)schema->codec_name.size;
    out = put_bytes(out + 6, schema->codec_name);
    out[0] = (uint8_t)(schema->metadata.size >> 8);
    out[1] = (uint8_t)schema->metadata.size;
    return put_bytes(out + 2, schema->metadata);
}

static void encode_2(const tarn__descriptor *descriptor, uint8_t *out)
{
    out[0] = FORMAT_2;
    out[1] = (uint8_t)descriptor->kind;
    out[2] = descriptor->flags;
    out[3] = descriptor->detail;
    out[4] = descriptor->schemas[0].generation;
    out[5] = descriptor->schema_count;
    out += FIXED_BYTES_2;
    for (uint32_t i = 0; i < descriptor->schema_count; i++) {
        out = encode_schema(&descriptor->schemas[i], out);
    }
}

tarn_status tarn__descriptor_encode(const tarn__descriptor *descriptor, tarn_buffer *out)
{
    const size_t size = tarn__descriptor_size(descriptor);
    assert(descriptor->schema_count > 0 && size <= TARN__DESCRIPTOR_BYTES_MAX);
    const tarn_status status = tarn_buffer_reserve(out, size);
    if (status != TARN_OK) {
        return status;
    }
    if (descriptor->format == FORMAT_1) {
        encode_1(descriptor, out->data);
    } else {
        encode_2(descriptor, out->data);
    }
    out->size = size;
    return TARN_OK;
}

void tarn__descriptor_set_flags(tarn__descriptor *descriptor, tarn_buffer *encoded, uint8_t flags)
{
    descriptor->flags = flags;
    encoded->data[descriptor->format == FORMAT_1 ? 6 : 2] = flags;
}

/* ---- decoding --------------------------------------------------------------------------- */

static bool has_nul(tarn_bytes bytes)
{
    return bytes.size > 0 && memchr(bytes.data, '\0', bytes.size) != NULL;
}

static tarn__descriptor_outcome decode_1(tarn_bytes bytes, tarn__descriptor *out)
{
    const uint8_t *data = bytes.data;
    if (bytes.size < FIXED_BYTES_1 || bytes.size != (size_t)FIXED_BYTES_1 + data[8]) {
        return TARN__DESCRIPTOR_DAMAGED;
    }
    const tarn__schema schema = {
        .codec_version = get_u32(data + 2),
        .codec_name = tarn_bytes_at(data + FIXED_BYTES_1, data[8]),
        .metadata = tarn_bytes_at(NULL, 0),
    };
    if (has_nul(schema.codec_name)) {
        return TARN__DESCRIPTOR_DAMAGED;
    }
    if ((data[6] & ~(TARN__STATE_FLAGS & ~TARN__STATE_VERSIONED)) != 0) {
        return TARN__DESCRIPTOR_NEWER;
    }
    *out = (tarn__descriptor){
        .kind = (tarn__state_kind)data[1],
        .format = FORMAT_1,
        .flags = data[6],
        .detail = data[7],
        .schema_count = 1,
        .schemas = {schema},
    };
    return TARN__DESCRIPTOR_OK;
}

/* Takes a schema from the front of *rest; false: it is none. */
static bool take_schema(tarn_bytes *rest, tarn__schema *out)
{
    const uint8_t *data = rest->data;
    if (rest->size < SCHEMA_FIXED_BYTES || data[5] == 0 ||
        rest->size < (size_t)SCHEMA_FIXED_BYTES + data[5]) {
        return false;
    }
    const size_t name_size = data[5];
    const uint8_t *behind = data + 6 + name_size;
    const size_t metadata_size = (size_t)behind[0] << 8 | behind[1];
    const size_t size = SCHEMA_FIXED_BYTES + name_size + metadata_size;
    if (rest->size < size || metadata_size > TARN__SCHEMA_METADATA_BYTES_MAX) {
        return false;
    }
    *out = (tarn__schema){
        .generation = data[0],
        .codec_version = get_u32(data + 1),
        .codec_name = tarn_bytes_at(data + 6, name_size),
        .metadata = tarn_bytes_at(behind + 2, metadata_size),
    };
    *rest = tarn_bytes_at(data + size, rest->size - size);
    return !has_nul(out->codec_name);
}

static tarn__descriptor_outcome decode_2(tarn_bytes bytes, tarn__descriptor *out)
{
    const uint8_t *data = bytes.data;
    if (bytes.size < FIXED_BYTES_2 || bytes.size > TARN__DESCRIPTOR_BYTES_MAX || data[5] == 0 ||
        data[5] > TARN__SCHEMA_COUNT_MAX) {
        return TARN__DESCRIPTOR_DAMAGED;
    }
    if ((data[2] & ~TARN__STATE_FLAGS) != 0) {
        return TARN__DESCRIPTOR_NEWER;
    }
    tarn__descriptor read = {
        .kind = (tarn__state_kind)data[1],
        .format = FORMAT_2,
        .flags = data[2],
        .detail = data[3],
    };
    tarn_bytes rest = tarn_bytes_at(data + FIXED_BYTES_2, bytes.size - FIXED_BYTES_2);
    for (uint32_t i = 0; i < data[5]; i++) {
        if (!take_schema(&rest, &read.schemas[i]) ||
            tarn__descriptor_find(&read, read.schemas[i].generation) != NULL) {
            return TARN__DESCRIPTOR_DAMAGED;
        }
        read.schema_count++;
    }
    if (rest.size > 0 || read.schemas[0].generation != data[4]) {
        return TARN__DESCRIPTOR_DAMAGED;
    }
    *out = read;
    return TARN__DESCRIPTOR_OK;
}

tarn__descriptor_outcome tarn__descriptor_decode(tarn_bytes bytes, tarn__descriptor *out)
{
    const uint8_t *data = bytes.data;
    if (bytes.size < 2) {
        return TARN__DESCRIPTOR_DAMAGED;
    }
    if (data[0] < FORMAT_1 || data[0] > FORMAT_2) {
        return data[0] == 0 ? TARN__DESCRIPTOR_DAMAGED : TARN__DESCRIPTOR_NEWER;
    }
    if (data[1] < TARN__STATE_VALUE || data[1] > TARN__STATE_TIMERS) {
        return data[1] == 0 ? TARN__DESCRIPTOR_DAMAGED : TARN__DESCRIPTOR_NEWER;
    }
    return data[0] == FORMAT_1 ? decode_1(bytes, out) : decode_2(bytes, out);
}

/* ---- two of one ------------------------------------------------------------------------- */

/* The generation of a schema, which is added when there is room; false: there is none. */
static bool place_schema(tarn__descriptor *descriptor, const tarn__schema *schema, uint8_t *out)
{
    for (uint32_t i = 0; i < descriptor->schema_count; i++) {
        if (tarn__schema_is_equal(&descriptor->schemas[i], schema)) {
            *out = descriptor->schemas[i].generation;
            return true;
        }
    }
    if (descriptor->schema_count == TARN__SCHEMA_COUNT_MAX) {
        return false;
    }
    *out = tarn__descriptor_find(descriptor, schema->generation) == NULL
               ? schema->generation
               : tarn__descriptor_free_generation(descriptor);
    tarn__schema *added = &descriptor->schemas[descriptor->schema_count++];
    *added = *schema;
    added->generation = *out;
    return tarn__descriptor_size(descriptor) <= TARN__DESCRIPTOR_BYTES_MAX;
}

bool tarn__descriptor_unite(
    const tarn__descriptor *first,
    const tarn__descriptor *second,
    tarn__descriptor *out,
    uint8_t generations[256])
{
    const uint8_t differing = (uint8_t)(first->flags ^ second->flags);
    if (first->kind != second->kind || first->format != second->format ||
        (differing & ~TARN__STATE_UNTIMED) != 0 || first->detail != second->detail ||
        !tarn__schema_is_equal(&first->schemas[0], &second->schemas[0])) {
        return false;
    }
    tarn__descriptor united = *first;
    united.flags |= second->flags;
    for (uint32_t i = 0; i < 256; i++) {
        generations[i] = (uint8_t)i;
    }
    for (uint32_t i = 0; i < second->schema_count; i++) {
        if (!place_schema(
                &united, &second->schemas[i], &generations[second->schemas[i].generation])) {
            return false;
        }
    }
    *out = united;
    return true;
}
