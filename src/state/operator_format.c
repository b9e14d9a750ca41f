/* operator_format.c - see operator_format.h. */
#include "state/operator_format.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/try.h"

static const uint8_t magic[] = {0x89, 'T', 'O', 'S'};

/* Where each field of the header is. */
enum {
    AT_FORMAT = sizeof magic,
    AT_KIND = AT_FORMAT + 1,
    AT_REDISTRIBUTION = AT_KIND + 1,
    AT_NAME_SIZE = AT_REDISTRIBUTION + 1,
    AT_CODEC_SIZE = AT_NAME_SIZE + 1,
    AT_CODEC_VERSION = AT_CODEC_SIZE + 1,
    AT_PART_INDEX = AT_CODEC_VERSION + 4,
    AT_PART_COUNT = AT_PART_INDEX + 4,
    AT_ELEMENT_COUNT = AT_PART_COUNT + 4,
    AT_ELEMENT_BYTES = AT_ELEMENT_COUNT + 8,
    AT_END = AT_ELEMENT_BYTES + 8,
};
_Static_assert((int)AT_END == (int)TARN__OPERATOR_FIXED_BYTES, "the header and its size disagree");

static void write_u32(uint8_t *out, uint32_t number)
{
    for (unsigned i = 0; i < 4; i++) {
        out[i] = (uint8_t)(number >> (24 - 8 * i));
    }
}

static void write_u64(uint8_t *out, uint64_t number)
{
    write_u32(out, (uint32_t)(number >> 32));
    write_u32(out + 4, (uint32_t)number);
}

static uint32_t read_u32(const uint8_t *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

static uint64_t read_u64(const uint8_t *in)
{
    return (uint64_t)read_u32(in) << 32 | read_u32(in + 4);
}

static size_t write_bytes(uint8_t *out, tarn_bytes bytes)
{
    if (bytes.size > 0) {
        memcpy(out, bytes.data, bytes.size);
    }
    return bytes.size;
}

const char *tarn__operator_kind_name(tarn__operator_kind kind)
{
    return kind == TARN__OPERATOR_LIST ? "list" : "broadcast";
}

const char *tarn__redistribution_name(tarn_redistribution redistribution)
{
    switch (redistribution) {
    case TARN_REDISTRIBUTE_SPLIT:
        return "split";
    case TARN_REDISTRIBUTE_UNION:
        return "union";
    case TARN_REDISTRIBUTE_BROADCAST:
        return "broadcast";
    case TARN_REDISTRIBUTE_DEFAULT:
        break;
    }
    return "?";
}

size_t tarn__operator_header_encode(const tarn__operator_part *part, uint8_t *out)
{
    const tarn__operator_descriptor *descriptor = &part->descriptor;
    assert(descriptor->name.size <= TARN__OPERATOR_NAME_BYTES_MAX);
    assert(descriptor->codec_name.size <= TARN__OPERATOR_CODEC_BYTES_MAX);
    memcpy(out, magic, sizeof magic);
    out[AT_FORMAT] = TARN__OPERATOR_FORMAT_VERSION;
    out[AT_KIND] = (uint8_t)descriptor->kind;
    out[AT_REDISTRIBUTION] = (uint8_t)descriptor->redistribution;
    out[AT_NAME_SIZE] = (uint8_t)descriptor->name.size;
    out[AT_CODEC_SIZE] = (uint8_t)descriptor->codec_name.size;
    write_u32(out + AT_CODEC_VERSION, descriptor->codec_version);
    write_u32(out + AT_PART_INDEX, part->part_index);
    write_u32(out + AT_PART_COUNT, part->part_count);
    write_u64(out + AT_ELEMENT_COUNT, part->element_count);
    write_u64(out + AT_ELEMENT_BYTES, part->elements.size);
    size_t at = AT_END;
    at += write_bytes(out + at, descriptor->name);
    at += write_bytes(out + at, descriptor->codec_name);
    return at;
}

void tarn__operator_header_set_part_count(uint8_t *header, uint32_t part_count)
{
    write_u32(header + AT_PART_COUNT, part_count);
}

size_t tarn__operator_element_bytes(tarn__operator_kind kind, size_t key_bytes, size_t value_bytes)
{
    const size_t size_count = kind == TARN__OPERATOR_LIST ? 1 : 2;
    return size_count * TARN__OPERATOR_SIZE_BYTES + key_bytes + value_bytes;
}

size_t tarn__operator_element_encode(
    tarn__operator_kind kind, const tarn__operator_element *element, uint8_t *out)
{
    size_t at = 0;
    if (kind == TARN__OPERATOR_BROADCAST) {
        write_u32(out, (uint32_t)element->key.size);
        at += TARN__OPERATOR_SIZE_BYTES;
    }
    write_u32(out + at, (uint32_t)element->value.size);
    at += TARN__OPERATOR_SIZE_BYTES;
    if (kind == TARN__OPERATOR_BROADCAST) {
        at += write_bytes(out + at, element->key);
    }
    return at + write_bytes(out + at, element->value);
}

bool tarn__operator_element_next(
    tarn__operator_kind kind, tarn_bytes *elements, tarn__operator_element *out)
{
    const uint8_t *in = elements->data;
    const size_t fixed = tarn__operator_element_bytes(kind, 0, 0);
    if (elements->size < fixed) {
        return false;
    }
    const uint64_t key_bytes = kind == TARN__OPERATOR_BROADCAST ? read_u32(in) : 0;
    const uint64_t value_bytes = read_u32(in + fixed - TARN__OPERATOR_SIZE_BYTES);
    if (key_bytes + value_bytes > elements->size - fixed ||
        key_bytes + value_bytes > TARN_OPERATOR_ELEMENT_BYTES_MAX) {
        return false;
    }
    const uint8_t *key = in + fixed;
    out->key = tarn_bytes_at(key, (size_t)key_bytes);
    out->value = tarn_bytes_at(key + key_bytes, (size_t)value_bytes);
    const size_t taken = fixed + (size_t)(key_bytes + value_bytes);
    *elements = tarn_bytes_at(in + taken, elements->size - taken);
    return true;
}

/* What is damaged, and at which byte of the part. */
static tarn_status refuse(tarn_error *error, size_t at, const char *why)
{
    return tarn__fail(
        error,
        TARN_CORRUPTION,
        "a part of an operator's state is damaged at byte %zu: %s",
        at,
        why);
}

static bool is_name(tarn_bytes name, size_t size_max)
{
    return name.size <= size_max && (name.size == 0 || memchr(name.data, 0, name.size) == NULL);
}

/* The kind, and a redistribution that it can have. */
static bool is_kind(uint8_t kind, uint8_t redistribution)
{
    if (kind == TARN__OPERATOR_BROADCAST) {
        return redistribution == TARN_REDISTRIBUTE_BROADCAST;
    }
    return kind == TARN__OPERATOR_LIST &&
           (redistribution == TARN_REDISTRIBUTE_SPLIT || redistribution == TARN_REDISTRIBUTE_UNION);
}

static tarn_status check_header(const tarn__operator_part *part, tarn_error *error)
{
    const tarn_bytes name = part->descriptor.name;
    const tarn_bytes reserved = tarn_bytes_of(TARN__OPERATOR_RESERVED_PREFIX);
    if (!is_name(name, TARN__OPERATOR_NAME_BYTES_MAX) || name.size == 0 ||
        (name.size >= reserved.size && memcmp(name.data, reserved.data, reserved.size) == 0)) {
        return refuse(error, AT_END, "the name is none");
    }
    if (!is_name(part->descriptor.codec_name, TARN__OPERATOR_CODEC_BYTES_MAX)) {
        return refuse(error, AT_END + name.size, "the name of the codec is none");
    }
    if (part->part_index >= part->part_count) {
        return refuse(error, AT_PART_INDEX, "there are fewer parts than the number of this one");
    }
    return TARN_OK;
}

static tarn_status check_elements(
    const tarn__operator_part *part, const uint8_t *begin, tarn_error *error)
{
    const tarn__operator_kind kind = part->descriptor.kind;
    tarn_bytes rest = part->elements;
    tarn__operator_element element;
    tarn_bytes previous = {NULL, 0};
    uint64_t count = 0;
    while (rest.size > 0) {
        const size_t at = (size_t)((const uint8_t *)rest.data - begin);
        if (!tarn__operator_element_next(kind, &rest, &element)) {
            return refuse(error, at, "an element goes beyond the end or is too long");
        }
        if (kind == TARN__OPERATOR_BROADCAST && count > 0 &&
            tarn_bytes_compare(previous, element.key) >= 0) {
            return refuse(error, at, "keys are not ascending");
        }
        previous = element.key;
        count++;
    }
    if (count != part->element_count) {
        return refuse(error, AT_ELEMENT_COUNT, "there are more or fewer elements than it says");
    }
    return TARN_OK;
}

tarn_status tarn__operator_part_decode(
    tarn_bytes bytes, tarn__operator_part *out, tarn_error *error)
{
    const uint8_t *in = bytes.data;
    if (bytes.size < sizeof magic || memcmp(in, magic, sizeof magic) != 0) {
        return TARN_NOT_FOUND;
    }
    if (bytes.size > AT_FORMAT && in[AT_FORMAT] > TARN__OPERATOR_FORMAT_VERSION) {
        return tarn__fail(
            error,
            TARN_NOT_SUPPORTED,
            "a part of an operator's state has format %u; this version reads up to %d",
            in[AT_FORMAT],
            TARN__OPERATOR_FORMAT_VERSION);
    }
    if (bytes.size < AT_END) {
        return refuse(error, bytes.size, "the header is cut off");
    }
    if (in[AT_FORMAT] != TARN__OPERATOR_FORMAT_VERSION) {
        return refuse(error, AT_FORMAT, "there is no such format");
    }
    if (!is_kind(in[AT_KIND], in[AT_REDISTRIBUTION])) {
        return refuse(error, AT_KIND, "there is no such kind of state");
    }
    const size_t name_size = in[AT_NAME_SIZE];
    const size_t codec_size = in[AT_CODEC_SIZE];
    const size_t element_bytes = bytes.size - AT_END;
    if (name_size + codec_size > element_bytes ||
        read_u64(in + AT_ELEMENT_BYTES) != element_bytes - name_size - codec_size) {
        return refuse(error, AT_ELEMENT_BYTES, "its size is not what it says");
    }
    const uint8_t *names = in + AT_END;
    const tarn__operator_part part = {
        .descriptor =
            {
                .kind = (tarn__operator_kind)in[AT_KIND],
                .redistribution = (tarn_redistribution)in[AT_REDISTRIBUTION],
                .codec_version = read_u32(in + AT_CODEC_VERSION),
                .name = tarn_bytes_at(names, name_size),
                .codec_name = tarn_bytes_at(names + name_size, codec_size),
            },
        .part_index = read_u32(in + AT_PART_INDEX),
        .part_count = read_u32(in + AT_PART_COUNT),
        .element_count = read_u64(in + AT_ELEMENT_COUNT),
        .elements =
            tarn_bytes_at(names + name_size + codec_size, element_bytes - name_size - codec_size),
    };
    TARN_TRY(check_header(&part, error));
    TARN_TRY(check_elements(&part, in, error));
    *out = part;
    return TARN_OK;
}

tarn_status tarn_operator_state_describe(
    tarn_bytes bytes, tarn_operator_state_info *out, tarn_error *error)
{
    if (out == NULL || (bytes.data == NULL && bytes.size > 0)) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "bytes and out are required");
    }
    tarn__operator_part part;
    TARN_TRY(tarn__operator_part_decode(bytes, &part, error));
    *out = (tarn_operator_state_info){
        .name = part.descriptor.name,
        .kind = tarn__operator_kind_name(part.descriptor.kind),
        .redistribution = part.descriptor.redistribution,
        .codec_name = part.descriptor.codec_name,
        .codec_version = part.descriptor.codec_version,
        .part_index = part.part_index,
        .part_count = part.part_count,
        .element_count = part.element_count,
        .element_bytes = part.elements.size,
    };
    return TARN_OK;
}
