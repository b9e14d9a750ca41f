/* timers.c - registering, removing and firing timers. See timers.h. */
#include "state/timers.h"

#include <assert.h>
#include <stdio.h>

#include "base/options.h"

enum {
    NAME_BYTES_MAX = 200,
    HEAD_COUNT_MAX = 64 << 10,
    BUFFER_COUNT_DEFAULT = 256 << 10,
    BUFFER_COUNT_MAX = 1 << 24,
    FILTER_BYTES_DEFAULT = 64 << 20,
    /* What a timer of a head is planned with: a slot, and a tail of up to 48 bytes. */
    HEAD_TIMER_BYTES = 64,
    PAGE_BYTES_MIN = 256,
    PAGES_BYTES_MAX = 16 << 20,
    SLOT_ALIGNMENT = 16,
};

static const char *const PREFIXES[] = {
    [TARN_TIME_EVENT] = "timers.event/",
    [TARN_TIME_PROCESSING] = "timers.processing/",
};

#define HEAD_COUNT_OPTION "state.backend.rocksdb.timer-service.cache-size"

/* ---- opening and closing ---------------------------------------------------------------- */

void tarn_timers_options_init(tarn_timers_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

static tarn_status read_head_count(
    const tarn_backend *backend, tarn_timers_options *options, tarn_error *error)
{
    int64_t configured = options->head_timer_count;
    if (configured == 0) {
        int32_t value = 0;
        TARN_TRY(tarn_config_get_int(
            tarn__env_config(backend->env), HEAD_COUNT_OPTION, &value, NULL, error));
        configured = value;
    }
    if (configured < 1 || configured > HEAD_COUNT_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s of timers \"%s\" is %lld; allowed are 1 to %d",
            options->head_timer_count != 0 ? "head_timer_count" : HEAD_COUNT_OPTION,
            options->name,
            (long long)configured,
            HEAD_COUNT_MAX);
    }
    options->head_timer_count = (uint32_t)configured;
    return TARN_OK;
}

static tarn_status check_options(
    const tarn_backend *backend, tarn_timers_options *options, tarn_error *error)
{
    const size_t name_size = options->name != NULL ? strnlen(options->name, NAME_BYTES_MAX + 1) : 0;
    if (name_size == 0 || name_size > NAME_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "tarn_timers_options.name is %s; it needs 1 to %d bytes",
            name_size == 0 ? "missing" : "too long",
            NAME_BYTES_MAX);
    }
    if ((uint32_t)options->domain > TARN_TIME_PROCESSING) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the domain of timers \"%s\" is %u, which is no tarn_time_domain",
            options->name,
            (uint32_t)options->domain);
    }
    if (options->buffer_timer_count > BUFFER_COUNT_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "buffer_timer_count of timers \"%s\" is %u; allowed are 1 to %d",
            options->name,
            options->buffer_timer_count,
            BUFFER_COUNT_MAX);
    }
    if (options->buffer_timer_count == 0) {
        options->buffer_timer_count = BUFFER_COUNT_DEFAULT;
    }
    if (options->filter_bytes_max == 0) {
        options->filter_bytes_max = FILTER_BYTES_DEFAULT;
    }
    return read_head_count(backend, options, error);
}

static uint32_t plan_page(uint32_t head_count, uint32_t group_count)
{
    uint32_t bytes = PAGES_BYTES_MAX / group_count;
    if (bytes / HEAD_TIMER_BYTES > head_count) {
        bytes = head_count * HEAD_TIMER_BYTES;
    }
    bytes = bytes < PAGE_BYTES_MIN ? PAGE_BYTES_MIN : bytes;
    return bytes / SLOT_ALIGNMENT * SLOT_ALIGNMENT;
}

static tarn_status set_up_heads(
    tarn_timers *timers, const tarn_timers_options *options, tarn_error *error)
{
    tarn__account *account = timers->keyed.backend->account;
    const uint32_t count = timers->group_count;
    timers->page_bytes = plan_page(options->head_timer_count, count);
    const size_t bytes = ((size_t)count + 1) * timers->page_bytes; /* One for scratch. */
    timers->pages = tarn__allocate(account, bytes);
    timers->groups = tarn__allocate_zeroed(account, count, sizeof *timers->groups);
    if (timers->pages == NULL || timers->groups == NULL) {
        return tarn__fail_no_memory(error, "the heads of timers", bytes);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *page = timers->pages + (size_t)i * timers->page_bytes;
        tarn__timer_head_init(
            &timers->groups[i].head, page, timers->page_bytes, options->head_timer_count);
        timers->groups[i].floor_time = UINT64_MAX;
    }
    return TARN_OK;
}

static tarn_status set_up(
    tarn_timers *timers, const tarn_timers_options *options, tarn_error *error)
{
    tarn_backend *backend = timers->keyed.backend;
    tarn__account *account = backend->account;
    timers->first_group = backend->key_groups.first;
    timers->group_count = backend->key_groups.last - backend->key_groups.first + 1u;
    timers->row.allocator = &account->face;
    timers->edge.allocator = &account->face;
    timers->fired.allocator = &account->face;
    tarn__timer_buffer_init(&timers->buffer, account, options->buffer_timer_count);
    tarn__rocks_batch_init(&timers->batch);
    TARN_TRY(set_up_heads(timers, options, error));
    TARN_TRY(tarn__timer_heap_init(&timers->heap, account, timers->group_count, error));
    TARN_TRY(tarn__timer_filter_init(&timers->filter, account, options->filter_bytes_max, error));
    return tarn__timers_restore(timers, error);
}

/* Frees what there is of timers; what is stored stays. */
static tarn_status destroy(tarn_timers *timers, tarn_error *error)
{
    for (uint32_t i = 0; timers->groups != NULL && i < timers->group_count; i++) {
        tarn__timer_head_clear(&timers->groups[i].head);
    }
    tarn__timer_filter_clear(&timers->filter);
    tarn__timer_heap_clear(&timers->heap);
    tarn__timer_buffer_clear(&timers->buffer);
    tarn__rocks_batch_clear(&timers->batch);
    tarn__release(timers->groups);
    tarn__release(timers->pages);
    tarn_buffer_clear(&timers->row);
    tarn_buffer_clear(&timers->edge);
    tarn_buffer_clear(&timers->fired);
    return tarn__keyed_close(&timers->keyed, error);
}

static tarn_status settle(void *context, tarn_error *error)
{
    return tarn__timers_settle(context, error);
}

tarn_status tarn_timers_open(
    tarn_backend *backend, const tarn_timers_options *options, tarn_timers **out, tarn_error *error)
{
    tarn_timers_options known;
    if (backend == NULL || out == NULL) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "%s is missing", backend == NULL ? "backend" : "out");
    }
    TARN_TRY(tarn__options_copy("tarn_timers_options", options, &known, sizeof known, error));
    TARN_TRY(check_options(backend, &known, error));
    char name[TARN__ROCKS_NAME_BYTES_MAX + 1];
    (void)snprintf(name, sizeof name, "%s%s", PREFIXES[known.domain], known.name);
    const tarn_state_options state_options = {
        .struct_size = sizeof state_options,
        .name = name,
        .codec_name = "timer",
        .codec_version = 1,
        .tuning = known.tuning,
    };
    tarn_keyed *keyed = NULL;
    TARN_TRY(tarn__keyed_open(
        backend, &state_options, TARN__STATE_TIMERS, 0, sizeof(tarn_timers), &keyed, error));
    tarn_timers *timers = (tarn_timers *)(void *)keyed;
    const tarn_status status = set_up(timers, &known, error);
    if (status != TARN_OK) {
        (void)destroy(timers, NULL);
        return status;
    }
    timers->settler = (tarn__settler){.settle = settle, .context = timers};
    tarn__backend_add_settler(backend, &timers->settler);
    *out = timers;
    return TARN_OK;
}

tarn_status tarn_timers_close(tarn_timers *timers, tarn_error *error)
{
    if (timers == NULL) {
        return TARN_OK;
    }
    const tarn_status settled = tarn__timers_settle(timers, error);
    tarn__backend_remove_settler(timers->keyed.backend, &timers->settler);
    const tarn_status closed = destroy(timers, settled == TARN_OK ? error : NULL);
    return settled != TARN_OK ? settled : closed;
}

/* ---- finding a timer -------------------------------------------------------------------- */

/* The timer that a call is about; its row is timers->row. */
typedef struct chosen {
    tarn__timer timer;
    uint32_t group; /* Relative to the first. */
    uint32_t hash;
    bool is_covered; /* The head has it or nobody has. */
    uint32_t index;  /* When covered: where it is in the head, or would be. */
} chosen;

static tarn_status fail_reserve(size_t size, tarn_error *error)
{
    return tarn__fail_no_memory(error, "a timer", size);
}

/* Makes the row of the current key, a time and a namespace. */
static tarn_status choose(
    tarn_timers *timers, int64_t time, tarn_bytes name_space, chosen *out, tarn_error *error)
{
    tarn_backend *backend = timers->keyed.backend;
    TARN_TRY(tarn__backend_enter(backend, error));
    if (__builtin_expect(!backend->has_key, 0)) {
        return tarn__keyed_fail_no_key(&timers->keyed, error);
    }
    if (__builtin_expect(name_space.size > TARN__ROW_NAMESPACE_BYTES_MAX, 0)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "a namespace of \"%s\" has %zu bytes; allowed are %d",
            timers->keyed.child.name,
            name_space.size,
            TARN__ROW_NAMESPACE_BYTES_MAX);
    }
    const size_t room =
        backend->row.size + TARN__TIMER_TIME_BYTES + TARN__ROW_VARINT_BYTES_MAX + name_space.size;
    if (tarn_buffer_reserve(&timers->row, room) != TARN_OK ||
        tarn_buffer_reserve(&timers->edge, room) != TARN_OK) {
        return fail_reserve(room, error);
    }
    const uint8_t *prefix = backend->row.data;
    const uint32_t key_group = (uint32_t)prefix[0] << 8 | prefix[1];
    const size_t key_bytes = backend->row.size - TARN__ROW_GROUP_BYTES;
    out->timer.time = tarn__timer_encode_time(time);
    out->timer.tail = tarn_bytes_at(prefix + TARN__ROW_GROUP_BYTES, key_bytes);
    size_t size = tarn__timer_encode_row(timers->row.data, key_group, &out->timer);
    size += tarn__row_encode_namespace(timers->row.data + size, name_space);
    timers->row.size = size;
    out->timer.tail =
        tarn_bytes_at(timers->row.data + TARN__TIMER_TAIL_OFFSET, size - TARN__TIMER_TAIL_OFFSET);
    out->group = key_group - timers->first_group;
    out->hash = (uint32_t)tarn_hash_bytes(tarn_buffer_bytes(&timers->row));
    tarn__rocks_unpin(&backend->pin);
    return TARN_OK;
}

/* Whether the head of a group is where a timer must be, if it is anywhere. */
static bool is_covered(const tarn__timer_group *group, const tarn__timer *timer)
{
    const tarn__timer_head *head = &group->head;
    const uint32_t count = tarn__timer_head_count(head);
    if (group->count == count) {
        return true;
    }
    if (count > 0) {
        const tarn__timer last = tarn__timer_head_at(head, count - 1);
        if (tarn__timer_compare(timer, &last) <= 0) {
            return true;
        }
    }
    if (!head->has_mark) {
        return false;
    }
    const tarn__timer mark = tarn__timer_head_mark(head);
    return tarn__timer_compare(timer, &mark) <= 0;
}

/* Whether a timer is in the head; decides is_covered and index. */
static bool find_in_head(const tarn_timers *timers, chosen *wanted)
{
    const tarn__timer_group *group = &timers->groups[wanted->group];
    wanted->is_covered = is_covered(group, &wanted->timer);
    return wanted->is_covered &&
           tarn__timer_head_find(&group->head, &wanted->timer, &wanted->index);
}

/* ---- memory moves ----------------------------------------------------------------------- */

void tarn__timers_place(tarn_timers *timers, uint32_t index)
{
    const tarn__timer_group *group = &timers->groups[index];
    const tarn__timer_head *head = &group->head;
    if (group->count == 0) {
        tarn__timer_heap_remove(&timers->heap, index);
        return;
    }
    uint64_t time = head->has_mark ? head->mark.time : 0; /* Until the head is filled. */
    if (tarn__timer_head_count(head) > 0) {
        time = tarn__timer_head_at(head, 0).time;
    }
    tarn__timer_heap_set(&timers->heap, index, time);
}

/* Puts a dirty timer into the buffer: it leaves its head, or never was there. */
static tarn_status put_into_buffer(
    tarn_timers *timers, uint32_t index, uint32_t hash, const tarn__timer *timer, tarn_error *error)
{
    tarn__timer_group *group = &timers->groups[index];
    if (group->head.has_mark) {
        const tarn__timer mark = tarn__timer_head_mark(&group->head);
        if (tarn__timer_compare(timer, &mark) <= 0) {
            TARN_TRY(tarn__timers_drop_mark(timers, index, error));
        }
    }
    if (!tarn__timer_buffer_add(&timers->buffer, hash, (uint16_t)index, timer)) {
        TARN_TRY(tarn__timers_flush(timers, error));
        if (!tarn__timer_buffer_add(&timers->buffer, hash, (uint16_t)index, timer)) {
            return fail_reserve(timer->tail.size, error);
        }
    }
    group->buffered_count++;
    return TARN_OK;
}

/* Takes the last timer out of a head. */
static tarn_status evict(tarn_timers *timers, uint32_t index, tarn_error *error)
{
    tarn__timer_head *head = &timers->groups[index].head;
    const uint32_t last = tarn__timer_head_count(head) - 1;
    if (tarn__timer_head_is_dirty(head, last)) {
        const tarn__timer timer = tarn__timer_head_at(head, last);
        const size_t size = TARN__TIMER_TAIL_OFFSET + timer.tail.size;
        assert(size <= timers->edge.capacity);
        (void)tarn__timer_encode_row(timers->edge.data, timers->first_group + index, &timer);
        const uint32_t hash = (uint32_t)tarn_hash_bytes(tarn_bytes_at(timers->edge.data, size));
        TARN_TRY(put_into_buffer(timers, index, hash, &timer, error));
    }
    tarn__timer_head_remove(head, last);
    return TARN_OK;
}

/* Puts a timer that the head covers into it, or behind it when it is full. */
static tarn_status put_into_head(tarn_timers *timers, const chosen *added, tarn_error *error)
{
    tarn__timer_head *head = &timers->groups[added->group].head;
    for (;;) {
        const tarn__timer_head_outcome outcome = tarn__timer_head_insert(
            head,
            added->index,
            &added->timer,
            /* is_dirty= */ true,
            timers->keyed.backend->account,
            tarn__timers_scratch(timers));
        if (outcome == TARN__TIMER_HEAD_DONE) {
            return TARN_OK;
        }
        if (outcome == TARN__TIMER_HEAD_NO_MEMORY) {
            return fail_reserve(added->timer.tail.size, error);
        }
        if (added->index == tarn__timer_head_count(head)) {
            return put_into_buffer(timers, added->group, added->hash, &added->timer, error);
        }
        TARN_TRY(evict(timers, added->group, error));
    }
}

/* ---- registering and removing ----------------------------------------------------------- */

static tarn_status exists_beyond(
    tarn_timers *timers, const chosen *wanted, bool *out, tarn_error *error)
{
    if (tarn__timer_buffer_find(
            &timers->buffer, wanted->hash, (uint16_t)wanted->group, &wanted->timer) != NULL) {
        *out = true;
        return TARN_OK;
    }
    return tarn__timers_look_up(timers, tarn_buffer_bytes(&timers->row), out, error);
}

tarn_status tarn_timers_register(
    tarn_timers *timers, int64_t time, tarn_bytes name_space, tarn_error *error)
{
    chosen added;
    TARN_TRY(choose(timers, time, name_space, &added, error));
    bool exists = find_in_head(timers, &added);
    if (!added.is_covered && tarn__timer_filter_may_have(&timers->filter, added.hash)) {
        TARN_TRY(exists_beyond(timers, &added, &exists, error));
    }
    if (exists) {
        return TARN_OK;
    }
    TARN_TRY(
        added.is_covered ? put_into_head(timers, &added, error)
                         : put_into_buffer(timers, added.group, added.hash, &added.timer, error));
    timers->groups[added.group].count++;
    timers->count++;
    tarn__timer_filter_add(&timers->filter, added.hash);
    if (added.is_covered) {
        tarn__timers_place(timers, added.group);
    }
    return TARN_OK;
}

/* Counts a timer out that is neither in memory nor in the store any more. */
static void forget(tarn_timers *timers, uint32_t group, uint32_t hash)
{
    timers->groups[group].count--;
    timers->count--;
    tarn__timer_filter_remove(&timers->filter, hash);
    tarn__timers_place(timers, group);
}

static tarn_status remove_beyond(tarn_timers *timers, const chosen *removed, tarn_error *error)
{
    if (!tarn__timer_filter_may_have(&timers->filter, removed->hash)) {
        return TARN_OK;
    }
    tarn__timer_entry *entry = tarn__timer_buffer_find(
        &timers->buffer, removed->hash, (uint16_t)removed->group, &removed->timer);
    if (entry != NULL) {
        tarn__timer_buffer_remove(&timers->buffer, entry);
        timers->groups[removed->group].buffered_count--;
    } else {
        bool exists = false;
        TARN_TRY(tarn__timers_look_up(timers, tarn_buffer_bytes(&timers->row), &exists, error));
        if (!exists) {
            return TARN_OK;
        }
        TARN_TRY(tarn__timers_delete_row(timers, tarn_buffer_bytes(&timers->row), error));
    }
    forget(timers, removed->group, removed->hash);
    return TARN_OK;
}

tarn_status tarn_timers_remove(
    tarn_timers *timers, int64_t time, tarn_bytes name_space, tarn_error *error)
{
    chosen removed;
    TARN_TRY(choose(timers, time, name_space, &removed, error));
    const bool is_in_head = find_in_head(timers, &removed);
    if (!removed.is_covered) {
        return remove_beyond(timers, &removed, error);
    }
    if (!is_in_head) {
        return TARN_OK;
    }
    tarn__timer_head *head = &timers->groups[removed.group].head;
    if (!tarn__timer_head_is_dirty(head, removed.index)) {
        TARN_TRY(tarn__timers_delete_row(timers, tarn_buffer_bytes(&timers->row), error));
    }
    tarn__timer_head_remove(head, removed.index);
    forget(timers, removed.group, removed.hash);
    return TARN_OK;
}

/* ---- firing ----------------------------------------------------------------------------- */

/* Finds the group whose head begins with the earliest timer up to a time. TARN_DONE: none has. */
static tarn_status find_due(tarn_timers *timers, uint64_t up_to, uint32_t *out, tarn_error *error)
{
    const tarn__timer_heap *heap = &timers->heap;
    while (heap->count > 0 && heap->nodes[0].time <= up_to) {
        const uint32_t index = heap->nodes[0].group;
        if (tarn__timer_head_count(&timers->groups[index].head) > 0) {
            *out = index;
            return TARN_OK;
        }
        TARN_TRY(tarn__timers_fill(timers, index, error));
        tarn__timers_place(timers, index);
    }
    return TARN_DONE;
}

/* Copies the timer that fires, answers its hash, and makes its key current. */
static tarn_status hand_out(
    tarn_timers *timers,
    uint32_t index,
    const tarn__timer *timer,
    tarn_timer *out,
    uint32_t *hash_out,
    tarn_error *error)
{
    const uint32_t key_group = timers->first_group + index;
    const size_t size = TARN__TIMER_TAIL_OFFSET + timer->tail.size;
    if (tarn_buffer_reserve(&timers->fired, size) != TARN_OK) {
        return fail_reserve(size, error);
    }
    uint8_t *row = timers->fired.data;
    (void)tarn__timer_encode_row(row, key_group, timer);
    tarn_timer fired = {
        .time = tarn__timer_decode_time(timer->time),
        .key_group = key_group,
    };
    const bool is_tail = tarn__row_decode_tail(
        tarn_bytes_at(row + TARN__TIMER_TAIL_OFFSET, timer->tail.size),
        &fired.key,
        &fired.name_space);
    assert(is_tail); /* It was when it was registered or read. */
    (void)is_tail;
    TARN_TRY(tarn__backend_set_stored_key(timers->keyed.backend, key_group, fired.key, error));
    *hash_out = (uint32_t)tarn_hash_bytes(tarn_bytes_at(row, size));
    *out = fired;
    return TARN_OK;
}

tarn_status tarn_timers_poll(tarn_timers *timers, int64_t up_to, tarn_timer *out, tarn_error *error)
{
    tarn_backend *backend = timers->keyed.backend;
    TARN_TRY(tarn__backend_enter(backend, error));
    tarn__rocks_unpin(&backend->pin);
    uint32_t index = 0;
    TARN_TRY(find_due(timers, tarn__timer_encode_time(up_to), &index, error));
    tarn__timer_group *group = &timers->groups[index];
    const tarn__timer timer = tarn__timer_head_at(&group->head, 0);
    uint32_t hash = 0;
    TARN_TRY(hand_out(timers, index, &timer, out, &hash, error));
    if (!tarn__timer_head_is_dirty(&group->head, 0)) {
        group->dead_count++;
    }
    tarn__timer_head_fire(&group->head);
    forget(timers, index, hash);
    return TARN_OK;
}

tarn_status tarn_timers_next_time(tarn_timers *timers, int64_t *out, tarn_error *error)
{
    TARN_TRY(tarn__backend_enter(timers->keyed.backend, error));
    uint32_t index = 0;
    const tarn_status status = find_due(timers, UINT64_MAX, &index, error);
    if (status == TARN_DONE) {
        return TARN_NOT_FOUND;
    }
    TARN_TRY(status);
    *out = tarn__timer_decode_time(tarn__timer_head_at(&timers->groups[index].head, 0).time);
    return TARN_OK;
}

uint64_t tarn_timers_count(const tarn_timers *timers)
{
    return timers->count;
}
