/* hot_range.c - ranges of rows in the working set: settled and dropped. See hot.h. */
#include "state/hot.h"

/* ---- ranges ----------------------------------------------------------------------------- */

/* The state of a family whose rows go through the working set, or NULL. */
static tarn_keyed *find_state(const tarn_backend *backend, const tarn__rocks_family *family)
{
    for (tarn__child *child = backend->first_child; child != NULL; child = child->next) {
        tarn_keyed *keyed = tarn__keyed_of_child(child);
        if (keyed != NULL && keyed->family == family && keyed->workset != NULL) {
            return keyed;
        }
    }
    return NULL;
}

tarn_status tarn__hot_settle(
    tarn_backend *backend,
    const tarn__rocks_family *family,
    tarn_bytes lower,
    tarn_bytes upper,
    tarn_error *error)
{
    const tarn_keyed *keyed = backend->workset != NULL ? find_state(backend, family) : NULL;
    return keyed != NULL ? tarn__workset_settle(backend->workset, &keyed->hot, lower, upper, error)
                         : TARN_OK;
}

bool tarn__hot_drop_range(
    tarn_backend *backend, const tarn__rocks_family *family, tarn_bytes lower, tarn_bytes upper)
{
    tarn_keyed *keyed = backend->workset != NULL ? find_state(backend, family) : NULL;
    return keyed != NULL && tarn__workset_drop(backend->workset, &keyed->hot, lower, upper);
}

/* Rows of a namespace, or of a key. */
typedef struct wanted_rows {
    tarn__row_layout layout;
    tarn_bytes part; /* The namespace, or [key group][key size][key]. */
} wanted_rows;

static bool is_of_namespace(tarn_bytes row, const void *context)
{
    const wanted_rows *wanted = context;
    tarn__row decoded;
    return tarn__row_decode_as(row, wanted->layout, &decoded) &&
           tarn_bytes_is_equal(decoded.name_space, wanted->part);
}

static bool begins_with(const uint8_t *bytes, size_t size, tarn_bytes part)
{
    return size >= part.size && memcmp(bytes, part.data, part.size) == 0;
}

static bool is_of_key(tarn_bytes row, const void *context)
{
    const wanted_rows *wanted = context;
    const uint8_t *bytes = row.data;
    const uint8_t *part = wanted->part.data;
    tarn__row decoded;
    if (wanted->layout == TARN__ROW_KEY_FIRST) {
        return begins_with(bytes, row.size, wanted->part);
    }
    if (!begins_with(bytes, row.size, tarn_bytes_at(part, TARN__ROW_GROUP_BYTES)) ||
        !tarn__row_decode_as(row, wanted->layout, &decoded)) {
        return false;
    }
    const size_t head = tarn__row_head_size(row, wanted->layout, &decoded);
    return begins_with(
        bytes + head,
        row.size - head,
        tarn_bytes_at(part + TARN__ROW_GROUP_BYTES, wanted->part.size - TARN__ROW_GROUP_BYTES));
}

bool tarn__hot_drop_namespace(tarn_keyed *keyed, tarn_bytes name_space)
{
    const wanted_rows wanted = {.layout = keyed->layout, .part = name_space};
    return keyed->workset != NULL &&
           tarn__workset_drop_if(keyed->workset, &keyed->hot, is_of_namespace, &wanted);
}

bool tarn__hot_drop_key(tarn_backend *backend, const tarn__rocks_family *family)
{
    static const uint8_t NO_NAMESPACE[] = {0};
    tarn_keyed *keyed = backend->workset != NULL ? find_state(backend, family) : NULL;
    tarn_bytes row;
    tarn__hot_key key;
    if (keyed == NULL) {
        return false;
    }
    if (keyed->has_namespaces ||
        tarn__keyed_make_row(
            keyed, tarn_bytes_at(NO_NAMESPACE, 1), tarn_bytes_at(NULL, 0), &row, NULL) != TARN_OK) {
        const wanted_rows wanted = {
            .layout = keyed->layout, .part = tarn_buffer_bytes(&backend->row)};
        return tarn__workset_drop_if(keyed->workset, &keyed->hot, is_of_key, &wanted);
    }
    /* There is one row at most. */
    if (tarn__workset_find(keyed->workset, &keyed->hot, row, &key) == NULL) {
        return false;
    }
    tarn__workset_drop_row(keyed->workset, &key);
    return true;
}
