/*
 * Property of a TTL and of all that cleans up after it: whatever random programs write and read
 * while time jumps, on either clock, while files are flushed, compacted by RocksDB and by
 * deadlines, while states are closed and opened with a TTL and without, and while checkpoints are
 * taken and restored, and while the working set is on, off, tiny and resized, every answer is that
 * of a plain model in memory; and after a clean-up the state holds exactly what is live.
 *
 * When a compaction removes something expired is nobody's business: what the model knows to be
 * expired may be there or not where it can be seen (a state that shows it), and the model follows
 * what it saw.
 */
#include "support/support.h"

#include <stdio.h>
#include <string.h>

#include "tarn/checkpoint.h"
#include "tarn/keyed.h"
#include "tarn/snapshot.h"

#include "base/random.h"
#include "state/keyed.h"
#include "support/prop.h"
#include "support/state_fixture.h"

enum { KEYS = 12, ELEMENTS_MAX = 40, STEPS = 600, SECONDS = 6 };

typedef enum kind { VALUE, MAP, LIST, SUM, KINDS } kind;
static const char *const NAMES[KINDS] = {"value", "map", "list", "sum"};

/* A value, an entry, an element or a sum. */
typedef struct item {
    bool is_present;
    bool is_timed;    /* False: its time is unknown, so that it never expires. */
    bool may_be_gone; /* It was expired once: a restored watermark or a longer TTL may undo that. */
    int64_t stamp_ms;
    int64_t number;
} item;

typedef struct rows {
    item ones[3][KEYS]; /* VALUE; MAP: an entry of one map; SUM at [2]. */
    item elements[KEYS][ELEMENTS_MAX];
    uint32_t element_count[KEYS];
    bool has_stamps[KINDS]; /* As the descriptor says. */
    bool is_untimed[KINDS];
} rows;

typedef struct program {
    tarn_env *env;
    tarn_backend *backend;
    tarn_value *value;
    tarn_map *map;
    tarn_list *list;
    tarn_reducing *sum;
    bool has_ttl[KINDS];
    tarn_ttl ttl[KINDS];
    int64_t now_ms;
    int64_t watermark_ms; /* INT64_MIN: none; of the backend. */
    int64_t event_ms;
    tarn__random random;
    rows now;
    rows saved;
    tarn_checkpoint_store *store;
    bool has_checkpoint;
    bool is_first_directory;
    char address[FIXTURE_PATH_BYTES + 16];
    char directory[FIXTURE_PATH_BYTES];
    tarn_error error;
} program;

static uint32_t below(program *p, uint32_t bound)
{
    return (uint32_t)tarn__random_below(&p->random, bound);
}

static int64_t program_now(void *context)
{
    return ((const program *)context)->now_ms;
}

/* ---- the rules -------------------------------------------------------------------------- */

static bool is_in_event_time(const program *p, kind k)
{
    return p->ttl[k].time == TARN_TTL_EVENT_TIME;
}

static int64_t clock_of(const program *p, kind k)
{
    return is_in_event_time(p, k) ? p->watermark_ms : p->now_ms;
}

static bool is_expired(const program *p, kind k, const item *it)
{
    return p->has_ttl[k] && it->is_timed && it->stamp_ms + p->ttl[k].ttl_ms <= clock_of(p, k);
}

static bool shows(const program *p, kind k)
{
    return p->has_ttl[k] && p->ttl[k].visibility == TARN_TTL_RETURN_EXPIRED_IF_NOT_CLEANED;
}

static void stamp(const program *p, kind k, item *it)
{
    int64_t stamp_ms = clock_of(p, k);
    if (is_in_event_time(p, k) && p->event_ms > stamp_ms) {
        stamp_ms = p->event_ms;
    }
    it->is_timed = p->has_ttl[k] && stamp_ms != INT64_MIN;
    it->may_be_gone = false;
    it->stamp_ms = stamp_ms;
}

static void prolong(const program *p, kind k, item *it)
{
    item young = *it;
    stamp(p, k, &young);
    const bool is_older = it->is_timed && young.stamp_ms < it->stamp_ms;
    if (p->has_ttl[k] && p->ttl[k].update == TARN_TTL_ON_READ_AND_WRITE &&
        !(is_in_event_time(p, k) && (is_older || !young.is_timed))) {
        *it = young;
    }
}

static item new_item(program *p, kind k)
{
    item it = {.is_present = true, .number = (int64_t)below(p, 1 << 20)};
    stamp(p, k, &it);
    return it;
}

/* Time has moved, or rules have changed: what is expired now may go at any moment. */
static void mark_expired(program *p)
{
    for (uint32_t k = 0; k < KINDS; k++) {
        for (uint32_t i = 0; i < KEYS; i++) {
            item *one = &p->now.ones[k == SUM ? 2 : k == MAP ? 1 : 0][i];
            if (k != LIST) {
                one->may_be_gone = one->may_be_gone || is_expired(p, (kind)k, one);
            }
            for (uint32_t j = 0; k == LIST && j < p->now.element_count[i]; j++) {
                item *it = &p->now.elements[i][j];
                it->may_be_gone = it->may_be_gone || is_expired(p, LIST, it);
            }
        }
    }
}

/* What a read of one item answered; the model follows. */
static void expect_read(program *p, kind k, item *it, tarn_status status, int64_t number)
{
    if (!it->is_present) {
        assert_int_equal(status, TARN_NOT_FOUND);
    } else if (is_expired(p, k, it)) {
        assert_true(status == TARN_NOT_FOUND || (shows(p, k) && number == it->number));
        it->is_present = false;
    } else if (it->may_be_gone && status == TARN_NOT_FOUND) {
        it->is_present = false;
    } else {
        assert_ok(status, &p->error);
        assert_int_equal(number, it->number);
        prolong(p, k, it);
    }
}

/* ---- opening ---------------------------------------------------------------------------- */

static tarn_keyed *keyed_of(program *p, kind k)
{
    return k == VALUE  ? tarn_value_keyed(p->value)
           : k == MAP  ? tarn_map_keyed(p->map)
           : k == LIST ? tarn_list_keyed(p->list)
                       : tarn_reducing_keyed(p->sum);
}

/* What opening a state does to the times of its rows. */
static void adopt(program *p, kind k)
{
    const bool was_stamped = p->now.has_stamps[k];
    item young = {.is_timed = false};
    stamp(p, k, &young);
    if (!p->has_ttl[k]) {
        p->now.is_untimed[k] = was_stamped;
        return;
    }
    const bool stamps = !was_stamped || (p->now.is_untimed[k] && young.is_timed);
    for (uint32_t i = 0; i < KEYS && stamps; i++) {
        item *one = k == LIST ? NULL : &p->now.ones[k == SUM ? 2 : k][i];
        if (one != NULL && !one->is_timed) {
            one->is_timed = young.is_timed;
            one->stamp_ms = young.stamp_ms;
        }
        for (uint32_t j = 0; k == LIST && j < p->now.element_count[i]; j++) {
            item *it = &p->now.elements[i][j];
            it->stamp_ms = it->is_timed ? it->stamp_ms : young.stamp_ms;
            it->is_timed = it->is_timed || young.is_timed;
        }
    }
    p->now.has_stamps[k] = true;
    p->now.is_untimed[k] = stamps ? !young.is_timed : p->now.is_untimed[k];
}

static void open_kind(program *p, kind k, bool is_new)
{
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    tarn_reducing_options reducing = TARN_REDUCING_OPTIONS_INIT;
    tarn_status status = TARN_OK;
    options.name = NAMES[k];
    options.ttl = p->has_ttl[k] ? &p->ttl[k] : NULL;
    reducing.reducer = TARN_REDUCER_SUM;
    if (k == VALUE) {
        status = tarn_value_open(p->backend, &options, &p->value, &p->error);
    } else if (k == MAP) {
        status = tarn_map_open(p->backend, &options, &p->map, &p->error);
    } else if (k == LIST) {
        status = tarn_list_open(p->backend, &options, &p->list, &p->error);
    } else {
        status = tarn_reducing_open(p->backend, &options, &reducing, &p->sum, &p->error);
    }
    assert_ok(status, &p->error);
    if (is_new) {
        p->now.has_stamps[k] = p->has_ttl[k];
        p->now.is_untimed[k] = false;
    } else {
        adopt(p, k);
    }
    mark_expired(p);
}

static void close_kind(program *p, kind k)
{
    const tarn_status status = k == VALUE  ? tarn_value_close(p->value, &p->error)
                               : k == MAP  ? tarn_map_close(p->map, &p->error)
                               : k == LIST ? tarn_list_close(p->list, &p->error)
                                           : tarn_reducing_close(p->sum, &p->error);
    assert_ok(status, &p->error);
}

static void choose(program *p, kind k)
{
    tarn_ttl *ttl = &p->ttl[k];
    *ttl = (tarn_ttl)TARN_TTL_INIT;
    p->has_ttl[k] = below(p, 4) != 0;
    ttl->ttl_ms = 1 + below(p, 60);
    ttl->update = (tarn_ttl_update)below(p, 2);
    ttl->visibility = (tarn_ttl_visibility)below(p, 2);
    ttl->time = (tarn_ttl_time)below(p, 2);
    ttl->is_kept_by_compactions = below(p, 3) == 0;
    ttl->cleans_on_every_record = below(p, 2) == 0;
    ttl->cleanup_size = below(p, 2) == 0 ? 0 : below(p, 20);
    ttl->deadline_ms = below(p, 2) == 0 ? 0 : 1 + below(p, 50);
    if (ttl->time == TARN_TTL_PROCESSING_TIME) {
        ttl->now_ms = program_now;
        ttl->now_context = p;
    }
}

/* ---- steps ------------------------------------------------------------------------------ */

static uint32_t set_key(program *p)
{
    const uint32_t i = below(p, KEYS);
    const uint8_t name = (uint8_t)i;
    assert_ok(
        tarn_backend_set_key(p->backend, tarn_bytes_at(&name, sizeof name), &p->error), &p->error);
    return i;
}

static tarn_bytes bytes_of(const int64_t *number)
{
    return tarn_bytes_at(number, sizeof *number);
}

static int64_t number_of(tarn_bytes bytes)
{
    int64_t number = -1;
    if (bytes.size > 0) {
        memcpy(&number, bytes.data, bytes.size < sizeof number ? bytes.size : sizeof number);
    }
    return number;
}

static void step_value(program *p)
{
    item *it = &p->now.ones[VALUE][set_key(p)];
    tarn_bytes read = {NULL, 0};
    if (below(p, 2) == 0) {
        const tarn_status status = tarn_value_get(p->value, &read, &p->error);
        expect_read(p, VALUE, it, status, number_of(read));
    } else {
        *it = new_item(p, VALUE);
        assert_ok(tarn_value_put(p->value, bytes_of(&it->number), &p->error), &p->error);
    }
}

static void step_map(program *p)
{
    const uint8_t name = 1;
    const uint32_t i = below(p, KEYS);
    const uint8_t entry_name = (uint8_t)i;
    const tarn_bytes key = tarn_bytes_at(&entry_name, 1);
    item *it = &p->now.ones[MAP][i];
    tarn_bytes read = {NULL, 0};
    assert_ok(tarn_backend_set_key(p->backend, tarn_bytes_at(&name, 1), &p->error), &p->error);
    if (below(p, 2) == 0) {
        const tarn_status status = tarn_map_get(p->map, key, &read, &p->error);
        expect_read(p, MAP, it, status, number_of(read));
    } else {
        *it = new_item(p, MAP);
        assert_ok(tarn_map_put(p->map, key, bytes_of(&it->number), &p->error), &p->error);
    }
}

static void iterate_map(program *p)
{
    const uint8_t name = 1;
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    assert_ok(tarn_backend_set_key(p->backend, tarn_bytes_at(&name, 1), &p->error), &p->error);
    assert_ok(tarn_map_iterate(p->map, NULL, NULL, &iterator, &p->error), &p->error);
    tarn_status status = tarn_map_iterator_next(iterator, &entry, &p->error);
    for (uint32_t i = 0; i < KEYS; i++) {
        const bool is_seen = status == TARN_OK && *(const uint8_t *)entry.key.data == i;
        expect_read(
            p,
            MAP,
            &p->now.ones[MAP][i],
            is_seen ? TARN_OK : TARN_NOT_FOUND,
            is_seen ? number_of(entry.value) : 0);
        if (is_seen) {
            status = tarn_map_iterator_next(iterator, &entry, &p->error);
        }
    }
    assert_int_equal(status, TARN_DONE);
    tarn_map_iterator_close(iterator);
}

/* An expired element may be gone, or, where it is hidden, may be there still: it is not seen. */
static void read_list(program *p, uint32_t key)
{
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    uint32_t kept = 0;
    uint32_t young_count = 0;
    assert_ok(tarn_list_iterate(p->list, NULL, &iterator, &p->error), &p->error);
    tarn_status status = tarn_list_iterator_next(iterator, &element, &p->error);
    for (uint32_t i = 0; i < p->now.element_count[key]; i++) {
        item it = p->now.elements[key][i];
        const bool is_old = is_expired(p, LIST, &it);
        const bool is_seen = status == TARN_OK && number_of(element) == it.number;
        assert_true(is_seen || is_old || it.may_be_gone);
        assert_true(!is_seen || !is_old || shows(p, LIST));
        young_count += is_old ? 0 : 1;
        const bool is_left =
            is_seen || (is_old && !shows(p, LIST)); /* Hidden, as far as is known. */
        if (is_left && (!is_old || p->ttl[LIST].update == TARN_TTL_ON_CREATE_AND_WRITE)) {
            prolong(p, LIST, &it);
            p->now.elements[key][kept++] = it;
        }
        if (is_seen) {
            status = tarn_list_iterator_next(iterator, &element, &p->error);
        }
    }
    assert_int_equal(status, TARN_DONE);
    tarn_list_iterator_close(iterator);
    p->now.element_count[key] = p->has_ttl[LIST] && young_count == 0 ? 0 : kept;
}

static void step_list(program *p)
{
    const uint32_t key = set_key(p);
    uint32_t *count = &p->now.element_count[key];
    if (*count == ELEMENTS_MAX) {
        *count = 0;
        assert_ok(tarn_list_clear(p->list, &p->error), &p->error);
    } else if (below(p, 3) == 0) {
        read_list(p, key);
    } else {
        item *it = &p->now.elements[key][(*count)++];
        /* Numbers tell elements of a list apart. */
        *it = new_item(p, LIST);
        it->number = (int64_t)tarn__random_next(&p->random);
        assert_ok(tarn_list_append(p->list, bytes_of(&it->number), &p->error), &p->error);
    }
}

/* Where expired sums are shown an add counts them if they are there: the model asks first. */
static void step_sum(program *p)
{
    item *it = &p->now.ones[2][set_key(p)];
    int64_t read = 0;
    const bool is_expired_and_hidden = !shows(p, SUM) && is_expired(p, SUM, it);
    if (below(p, 4) == 0 || (it->is_present && it->may_be_gone && !is_expired_and_hidden)) {
        const tarn_status status = tarn_reducing_get_i64(p->sum, &read, &p->error);
        expect_read(p, SUM, it, status, read);
        it->may_be_gone = false; /* Nothing removes a sum but reads and clean-ups that are over. */
        return;
    }
    const bool counts = it->is_present && !is_expired(p, SUM, it);
    item added = new_item(p, SUM);
    assert_ok(tarn_reducing_add_i64(p->sum, added.number, &p->error), &p->error);
    added.number += counts ? it->number : 0;
    *it = added;
}

/* Removes what is expired from state and model; then both hold the same number of rows. */
static void clean(program *p, kind k)
{
    uint64_t live_count = 0;
    uint64_t doubtful_count = 0;
    tarn_ttl_stats stats;
    assert_ok(tarn_keyed_clean(keyed_of(p, k), &p->error), &p->error);
    for (uint32_t i = 0; i < KEYS; i++) {
        item *one = k == LIST ? NULL : &p->now.ones[k == SUM ? 2 : k][i];
        if (one != NULL) {
            one->is_present = one->is_present && !is_expired(p, k, one);
            live_count += one->is_present ? 1 : 0;
            doubtful_count += one->is_present && one->may_be_gone ? 1 : 0;
        }
        uint32_t kept = 0;
        uint32_t certain = 0;
        for (uint32_t j = 0; k == LIST && j < p->now.element_count[i]; j++) {
            if (!is_expired(p, k, &p->now.elements[i][j])) {
                certain += p->now.elements[i][j].may_be_gone ? 0 : 1;
                p->now.elements[i][kept++] = p->now.elements[i][j];
            }
        }
        p->now.element_count[i] = k == LIST ? kept : p->now.element_count[i];
        live_count += kept;
        /* Elements that were appended while there was no TTL may share a row. */
        doubtful_count += certain > 0 ? kept - 1 : kept;
    }
    assert_ok(tarn_keyed_measure_ttl(keyed_of(p, k), 0, &stats, &p->error), &p->error);
    assert_int_equal(stats.expired_count_estimate, 0);
    assert_true(stats.live_count_estimate <= live_count);
    assert_true(stats.live_count_estimate + doubtful_count >= live_count);
}

static void move_time(program *p)
{
    const uint32_t dice = below(p, 10);
    p->now_ms += below(p, 30);
    if (dice < 5) {
        p->event_ms = dice == 0 ? INT64_MIN : p->now_ms - 20 + (int64_t)below(p, 60);
        assert_ok(tarn_backend_set_event_time(p->backend, p->event_ms, &p->error), &p->error);
    } else if (dice < 8) {
        p->watermark_ms = p->now_ms > p->watermark_ms ? p->now_ms : p->watermark_ms;
        assert_ok(tarn_backend_set_watermark(p->backend, p->watermark_ms, &p->error), &p->error);
    } else {
        assert_ok(tarn_backend_advance_ttl(p->backend, &p->error), &p->error);
    }
    mark_expired(p);
}

/* ---- checkpoints ------------------------------------------------------------------------ */

static void take_checkpoint(program *p)
{
    tarn_pending_checkpoint *pending = NULL;
    tarn_snapshot *snapshot = NULL;
    tarn_buffer acknowledgement = TARN_BUFFER_INIT;
    const uint64_t id = tarn_checkpoint_store_next_id(p->store);
    assert_ok(tarn_checkpoint_begin(p->store, id, &pending, &p->error), &p->error);
    assert_ok(tarn_snapshot_begin(p->backend, pending, &snapshot, &p->error), &p->error);
    assert_ok(tarn_snapshot_finish(snapshot, &acknowledgement, &p->error), &p->error);
    assert_ok(
        tarn_checkpoint_acknowledge(pending, tarn_buffer_bytes(&acknowledgement), &p->error),
        &p->error);
    tarn_buffer_clear(&acknowledgement);
    assert_ok(tarn_checkpoint_commit(pending, NULL, &p->error), &p->error);
    tarn_backend_notify_complete(p->backend, id);
    p->saved = p->now;
    p->has_checkpoint = true;
}

static void open_program(program *p, tarn_checkpoint *checkpoint)
{
    char directory[FIXTURE_PATH_BYTES + 8];
    (void)snprintf(
        directory, sizeof directory, "%s/%s", p->directory, p->is_first_directory ? "a" : "b");
    tarn_backend_options options = TARN_BACKEND_OPTIONS_INIT;
    options.env = p->env;
    options.operator_name = "test";
    options.directory = directory;
    options.restore = checkpoint;
    assert_ok(tarn_backend_open(&options, &p->backend, &p->error), &p->error);
    p->watermark_ms = INT64_MIN;
    p->event_ms = INT64_MIN;
    if (below(p, 2) == 0) {
        p->watermark_ms = p->now_ms;
        assert_ok(tarn_backend_set_watermark(p->backend, p->now_ms, &p->error), &p->error);
    }
    for (uint32_t k = 0; k < KINDS; k++) {
        open_kind(p, (kind)k, checkpoint == NULL);
    }
}

static void close_program(program *p)
{
    for (uint32_t k = 0; k < KINDS; k++) {
        close_kind(p, (kind)k);
    }
    assert_ok(tarn_backend_close(p->backend, &p->error), &p->error);
}

static void restore(program *p)
{
    tarn_checkpoint *checkpoint = NULL;
    char path[FIXTURE_PATH_BYTES + 32];
    (void)snprintf(path, sizeof path, "%s/job", p->address);
    close_program(p);
    p->is_first_directory = !p->is_first_directory;
    assert_ok(tarn_checkpoint_open(path, NULL, &checkpoint, &p->error), &p->error);
    p->now = p->saved;
    open_program(p, checkpoint);
    tarn_checkpoint_free(checkpoint);
}

/* ---- programs --------------------------------------------------------------------------- */

static void step_whole(program *p)
{
    const kind k = (kind)below(p, KINDS);
    const uint32_t dice = below(p, 100);
    if (dice < 40) {
        assert_ok(tarn__rocks_flush(p->backend->rocks, &p->error), &p->error);
    } else if (dice < 60) {
        clean(p, k);
    } else if (dice < 75) {
        tarn__rocks_compact(keyed_of(p, k)->family);
    } else if (dice < 92) {
        close_kind(p, k);
        if (below(p, 2) == 0) {
            choose(p, k);
        }
        open_kind(p, k, /* is_new= */ false);
    } else if (dice < 94) {
        fixture_resize_working_set(p->backend, below(p, 2 * FIXTURE_SIZES));
    } else if (dice < 97) {
        take_checkpoint(p);
    } else if (p->has_checkpoint) {
        restore(p);
    }
}

static void step(program *p)
{
    static void (*const STEPS_OF[KINDS])(program * p) = {step_value, step_map, step_list, step_sum};
    const uint32_t dice = below(p, 100);
    if (dice < 12) {
        move_time(p);
    } else if (dice < 16) {
        step_whole(p);
    } else if (dice < 20) {
        iterate_map(p);
    } else {
        STEPS_OF[below(p, KINDS)](p);
    }
}

static void run_program(uint64_t seed, void *context)
{
    program *p = context;
    memset(&p->now, 0, sizeof p->now);
    p->random = (tarn__random){seed};
    p->now_ms = 1000;
    p->has_checkpoint = false;
    for (uint32_t k = 0; k < KINDS; k++) {
        choose(p, (kind)k);
    }
    open_program(p, NULL);
    for (uint32_t i = 0; i < STEPS; i++) {
        step(p);
    }
    for (uint32_t k = 0; k < KINDS; k++) {
        clean(p, (kind)k);
    }
    close_program(p);
}

static void test_a_ttl_answers_like_a_plain_model_whatever_cleans_up(void **state)
{
    (void)state;
    static program p;
    tarn_config *config = fixture_new_config(128);
    p.env = fixture_open_env(config, NULL);
    fixture_make_directory(p.directory);
    (void)snprintf(p.address, sizeof p.address, "%s/store", p.directory);
    tarn_checkpoint_store_options options = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    options.env = p.env;
    options.address = p.address;
    options.job = "job";
    assert_ok(tarn_checkpoint_store_open(&options, &p.store, &p.error), &p.error);
    prop_run("ttl", SECONDS, run_program, &p);
    assert_ok(tarn_checkpoint_store_close(p.store, &p.error), &p.error);
    assert_ok(tarn_env_close(p.env, &p.error), &p.error);
    tarn_config_free(config);
    fixture_remove_directory(p.directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_ttl_answers_like_a_plain_model_whatever_cleans_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
