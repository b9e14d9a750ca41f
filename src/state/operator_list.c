/* operator_list.c - a list of an operator, kept as it is encoded. */
#include <assert.h>
#include <string.h>

#include "base/try.h"
#include "state/operator_store.h"

enum { CAPACITY_BYTES_MIN = 256, STARTS_MIN = 16 };

/* Elements on their way into a list. */
typedef struct room {
    uint64_t count; /* Elements in all, those that are there included. */
    size_t bytes;   /* As encoded. */
} room;

static tarn_status check_all(
    const tarn_operator_list *list,
    const tarn_bytes *elements,
    size_t count,
    room *needed,
    tarn_error *error)
{
    uint64_t bytes = needed->bytes;
    for (size_t i = 0; i < count; i++) {
        TARN_TRY(
            tarn__operator_check_element(&list->base, tarn_bytes_at(NULL, 0), elements[i], error));
        bytes += tarn__operator_element_bytes(TARN__OPERATOR_LIST, 0, elements[i].size);
        TARN_TRY(tarn__operator_admit(&list->base, bytes, error));
    }
    needed->count += count;
    needed->bytes = (size_t)bytes;
    return TARN_OK;
}

/* By half of what there is, so that appending costs the same however long the list is. */
static size_t grown(size_t capacity, size_t needed, size_t smallest)
{
    const size_t half_more = capacity + capacity / 2;
    const size_t wanted = half_more > needed ? half_more : needed;
    return wanted > smallest ? wanted : smallest;
}

/* Makes room; what is there stays, and so does everything on failure. */
static tarn_status reserve(tarn_operator_list *list, const room *needed, tarn_error *error)
{
    tarn__account *account = list->base.store->account;
    if (needed->count > list->starts_capacity) {
        const size_t capacity = grown(list->starts_capacity, (size_t)needed->count, STARTS_MIN);
        const size_t bytes = capacity * sizeof *list->starts;
        uint32_t *starts = tarn__reallocate(account, list->starts, bytes);
        if (starts == NULL) {
            return tarn__operator_refuse_memory(list->base.store, bytes, error);
        }
        list->starts = starts;
        list->starts_capacity = capacity;
    }
    if (needed->bytes > list->capacity) {
        const size_t capacity = grown(list->capacity, needed->bytes, CAPACITY_BYTES_MIN);
        uint8_t *data = tarn__reallocate(account, list->data, capacity);
        if (data == NULL) {
            return tarn__operator_refuse_memory(list->base.store, capacity, error);
        }
        list->data = data;
        list->capacity = capacity;
    }
    return TARN_OK;
}

/* Writes elements behind what is there; there is room. */
static void append(tarn_operator_list *list, const tarn_bytes *elements, size_t count)
{
    size_t at = list->base.bytes;
    for (size_t i = 0; i < count; i++) {
        const tarn__operator_element element = {.value = elements[i]};
        list->starts[list->base.count + i] = (uint32_t)at;
        at += tarn__operator_element_encode(TARN__OPERATOR_LIST, &element, list->data + at);
    }
    tarn__operator_count(&list->base, list->base.count + count, at);
}

/* Tells whether bytes lie in the list itself, which moves when it grows. */
static bool is_own(const tarn_operator_list *list, tarn_bytes bytes)
{
    const uintptr_t data = (uintptr_t)list->data;
    const uintptr_t at = (uintptr_t)bytes.data;
    return bytes.size > 0 && at >= data && at < data + list->base.bytes;
}

static bool has_own(const tarn_operator_list *list, const tarn_bytes *elements, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_own(list, elements[i])) {
            return true;
        }
    }
    return false;
}

/* The list that holds elements behind those of list, in memory of its own. */
static tarn_status build(
    const tarn_operator_list *list,
    const room *needed,
    bool keeps_old,
    tarn_operator_list *out,
    tarn_error *error)
{
    *out = (tarn_operator_list){.base = list->base};
    tarn_status status = reserve(out, needed, error);
    if (status != TARN_OK) {
        tarn__release(out->starts);
        tarn__release(out->data);
        return status;
    }
    if (keeps_old && list->base.count > 0) {
        memcpy(out->data, list->data, list->base.bytes);
        memcpy(out->starts, list->starts, (size_t)list->base.count * sizeof *list->starts);
    }
    return TARN_OK;
}

/* Puts elements into new memory, behind the old ones or instead of them. */
static tarn_status rebuild(
    tarn_operator_list *list,
    const tarn_bytes *elements,
    size_t count,
    const room *needed,
    bool keeps_old,
    tarn_error *error)
{
    tarn_operator_list changed;
    TARN_TRY(build(list, needed, keeps_old, &changed, error));
    uint8_t *old_data = list->data;
    uint32_t *old_starts = list->starts;
    list->data = changed.data;
    list->capacity = changed.capacity;
    list->starts = changed.starts;
    list->starts_capacity = changed.starts_capacity;
    if (!keeps_old) {
        tarn__operator_count(&list->base, 0, 0);
    }
    append(list, elements, count);
    tarn__release(old_data);
    tarn__release(old_starts);
    return TARN_OK;
}

static tarn_status check_arguments(
    const tarn_operator_list *list, const tarn_bytes *elements, size_t count, tarn_error *error)
{
    if (list == NULL || (elements == NULL && count > 0)) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "list and elements are required");
    }
    return TARN_OK;
}

tarn_status tarn_operator_list_add_all(
    tarn_operator_list *list, const tarn_bytes *elements, size_t count, tarn_error *error)
{
    TARN_TRY(check_arguments(list, elements, count, error));
    room needed = {.count = list->base.count, .bytes = list->base.bytes};
    TARN_TRY(check_all(list, elements, count, &needed, error));
    const bool must_move = needed.bytes > list->capacity;
    if (must_move && has_own(list, elements, count)) {
        return rebuild(list, elements, count, &needed, /* keeps_old= */ true, error);
    }
    TARN_TRY(reserve(list, &needed, error));
    append(list, elements, count);
    return TARN_OK;
}

tarn_status tarn_operator_list_add(tarn_operator_list *list, tarn_bytes element, tarn_error *error)
{
    return tarn_operator_list_add_all(list, &element, 1, error);
}

tarn_status tarn_operator_list_replace(
    tarn_operator_list *list, const tarn_bytes *elements, size_t count, tarn_error *error)
{
    TARN_TRY(check_arguments(list, elements, count, error));
    if (count == 0) {
        tarn_operator_list_clear(list);
        return TARN_OK;
    }
    room needed = {0};
    TARN_TRY(check_all(list, elements, count, &needed, error));
    return rebuild(list, elements, count, &needed, /* keeps_old= */ false, error);
}

uint64_t tarn_operator_list_count(const tarn_operator_list *list)
{
    return list->base.count;
}

tarn_status tarn_operator_list_get(const tarn_operator_list *list, uint64_t index, tarn_bytes *out)
{
    if (index >= list->base.count) {
        return TARN_NOT_FOUND;
    }
    const size_t start = list->starts[index];
    const size_t end = index + 1 < list->base.count ? list->starts[index + 1] : list->base.bytes;
    const size_t data = start + TARN__OPERATOR_SIZE_BYTES;
    *out = tarn_bytes_at(list->data + data, end - data);
    return TARN_OK;
}

void tarn_operator_list_clear(tarn_operator_list *list)
{
    tarn__release(list->data);
    tarn__release(list->starts);
    list->data = NULL;
    list->starts = NULL;
    list->capacity = 0;
    list->starts_capacity = 0;
    tarn__operator_count(&list->base, 0, 0);
}

/* Cuts [first, first + count) out of encoded elements, of which there are that many. */
static tarn_bytes cut(tarn_bytes elements, uint64_t first, uint64_t count)
{
    tarn__operator_element element;
    for (uint64_t i = 0; i < first; i++) {
        const bool is_there = tarn__operator_element_next(TARN__OPERATOR_LIST, &elements, &element);
        assert(is_there);
        (void)is_there;
    }
    tarn_bytes rest = elements;
    for (uint64_t i = 0; i < count; i++) {
        const bool is_there = tarn__operator_element_next(TARN__OPERATOR_LIST, &rest, &element);
        assert(is_there);
        (void)is_there;
    }
    return tarn_bytes_at(elements.data, elements.size - rest.size);
}

tarn_status tarn__operator_list_take(
    tarn_operator_list *list,
    tarn_bytes elements,
    uint64_t first,
    uint64_t count,
    tarn_error *error)
{
    if (count == 0) {
        return TARN_OK;
    }
    tarn_bytes taken = cut(elements, first, count);
    const room needed = {
        .count = list->base.count + count,
        .bytes = list->base.bytes + taken.size,
    };
    TARN_TRY(tarn__operator_admit(&list->base, (uint64_t)list->base.bytes + taken.size, error));
    TARN_TRY(reserve(list, &needed, error));
    memcpy(list->data + list->base.bytes, taken.data, taken.size);
    const uint8_t *begin = taken.data;
    tarn__operator_element element;
    for (uint64_t i = 0; i < count; i++) {
        const size_t at = (size_t)((const uint8_t *)taken.data - begin);
        list->starts[list->base.count + i] = (uint32_t)(list->base.bytes + at);
        (void)tarn__operator_element_next(TARN__OPERATOR_LIST, &taken, &element);
    }
    tarn__operator_count(&list->base, needed.count, needed.bytes);
    return TARN_OK;
}
