/* soak_model.c - what the soak's state must be at a position, and whether it is. */
#include "fault/soak.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"

typedef struct model_key {
    uint64_t count;
    uint64_t last;
    uint64_t sum;
    uint64_t fired;
    uint64_t element_count;
    uint64_t digest; /* Of the list's elements. */
    uint64_t answers;
    uint64_t seen; /* The position after the one of the last write; 0: none. */
} model_key;

typedef struct model_map {
    uint64_t answers;
    uint64_t entries[MAP_ENTRIES]; /* As "seen". */
} model_map;

typedef struct model {
    const soak_plan *plan;
    model_key *keys;
    model_map *maps;
    uint64_t timer_count;
    uint64_t state_bytes; /* Of what was found. */
} model;

/* ---- replaying -------------------------------------------------------------------------- */

static uint64_t add_to_digest(uint64_t digest, uint64_t element)
{
    return tarn__random_mix(digest * 31 + element);
}

static bool is_live(const model *m, uint64_t seen, uint64_t now)
{
    return seen != 0 && (int64_t)(now - (seen - 1)) < plan_ttl(m->plan);
}

static void replay_list(const model *m, model_key *k, uint64_t position)
{
    if (plan_is_cleared(m->plan, position)) {
        k->element_count = 0;
        k->digest = 0;
    }
    k->element_count++;
    k->digest = add_to_digest(k->digest, position);
}

static uint64_t sum_entries(const model_map *map)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < MAP_ENTRIES; i++) {
        sum += map->entries[i] != 0 ? map->entries[i] - 1 : 0;
    }
    return sum;
}

static void replay_map(const model *m, uint64_t position)
{
    const uint64_t number = plan_map(m->plan, position);
    const uint32_t half = plan_entry_count(number) / 2;
    model_map *map = &m->maps[number];
    switch (plan_map_act(m->plan, position)) {
    case MAP_PUT:
        map->entries[plan_entry(m->plan, position)] = position + 1;
        break;
    case MAP_REMOVE:
        map->entries[plan_entry(m->plan, position)] = 0;
        break;
    case MAP_REMOVE_HALF:
        memset(map->entries + half, 0, (MAP_ENTRIES - half) * sizeof map->entries[0]);
        break;
    case MAP_SUM:
        map->answers += plan_answer(position, sum_entries(map));
        break;
    }
}

static void replay_record(model *m, uint64_t position, uint64_t end)
{
    model_key *k = &m->keys[plan_key(m->plan, position)];
    k->count++;
    k->last = position;
    k->sum += position;
    if (plan_is_appended(position)) {
        replay_list(m, k, position);
    }
    if (plan_is_seen(m->plan, position)) {
        const uint64_t read = is_live(m, k->seen, position) ? k->seen - 1 : ANSWER_ABSENT;
        k->answers += plan_answer(position, read);
        k->seen = position + 1;
    }
    if (plan_is_mapped(position)) {
        replay_map(m, position);
    }
    const uint64_t time = plan_timer(m->plan, position);
    k->fired += time < end ? time : 0;
    m->timer_count += time < end ? 0 : 1;
}

/* ---- getting it wrong -------------------------------------------------------------------- */

/* The first entry that is there, or that is not; NULL: there is none. */
static uint64_t *find_entry(const model *m, bool is_there)
{
    const uint64_t count = plan_map_count(m->plan);
    for (uint64_t number = 0; number < count; number++) {
        for (uint32_t i = 0; i < plan_entry_count(number); i++) {
            uint64_t *entry = &m->maps[number].entries[i];
            if ((*entry != 0) == is_there) {
                return entry;
            }
        }
    }
    return NULL;
}

/* The first key: what is wrong is to be met at once. */
static void spoil_key(model *m, soak_spoil spoil)
{
    model_key *k = &m->keys[0];
    uint64_t *const fields[SPOIL_END] = {
        [SPOIL_COUNT] = &k->count,
        [SPOIL_LAST] = &k->last,
        [SPOIL_SUM] = &k->sum,
        [SPOIL_FIRED] = &k->fired,
        [SPOIL_ELEMENTS] = &k->element_count,
        [SPOIL_DIGEST] = &k->digest,
        [SPOIL_ANSWERS] = &k->answers,
        [SPOIL_TIMERS] = &m->timer_count,
        [SPOIL_MAP_ANSWERS] = &m->maps[0].answers,
    };
    if (fields[spoil] != NULL) {
        ++*fields[spoil];
    }
}

static void spoil_model(model *m, soak_spoil spoil, uint64_t end)
{
    model_key *k = &m->keys[0];
    uint64_t *present = find_entry(m, /* is_there= */ true);
    uint64_t *absent = find_entry(m, /* is_there= */ false);
    spoil_key(m, spoil);
    if (spoil == SPOIL_SEEN) {
        k->seen = is_live(m, k->seen, end) ? k->seen - 1 : end;
    } else if (spoil == SPOIL_ENTRY && present != NULL) {
        ++*present;
    } else if (spoil == SPOIL_ENTRY_LESS && present != NULL) {
        *present = 0;
    } else if (spoil == SPOIL_ENTRY_MORE && absent != NULL) {
        *absent = 1;
    }
}

/* ---- comparing -------------------------------------------------------------------------- */

static void expect_number(uint64_t found, uint64_t expected, const char *what, uint64_t key)
{
    if (found != expected) {
        fprintf(
            stderr,
            "%s of key %" PRIu64 ": %" PRIu64 " instead of %" PRIu64 "\n",
            what,
            key,
            found,
            expected);
        _exit(EXIT_DIFFERS); /* As a kill: nothing is closed, and nothing looked for. */
    }
}

/* Counts what is there with its key. */
static void weigh(model *m, uint64_t bytes)
{
    m->state_bytes += sizeof(uint64_t) + bytes;
}

static uint64_t read_sum(job *j, tarn_reducing *sums, model *m)
{
    uint64_t sum = 0;
    const tarn_status status = tarn_reducing_get_u64(sums, &sum, &j->error);
    if (status == TARN_NOT_FOUND) {
        return 0;
    }
    job_must(j, status, "read a sum");
    weigh(m, sizeof sum);
    return sum;
}

/* Answers whether there is a value, of at least that size, and the beginning of it. */
static bool read_value(job *j, tarn_value *value, void *out, size_t size, model *m)
{
    tarn_bytes read;
    const tarn_status status = tarn_value_get(value, &read, &j->error);
    if (status == TARN_NOT_FOUND) {
        return false;
    }
    job_must(j, status, "read");
    expect_number(read.size, size, "bytes", 0);
    memcpy(out, read.data, size);
    weigh(m, size);
    return true;
}

static void verify_list(job *j, model *m, uint64_t key)
{
    const model_key *expected = &m->keys[key];
    tarn_list_iterator *iterator = NULL;
    tarn_bytes element;
    uint64_t count = 0;
    uint64_t digest = 0;
    tarn_status status;
    job_must(j, tarn_list_iterate(j->recent, NULL, &iterator, &j->error), "iterate");
    while ((status = tarn_list_iterator_next(iterator, &element, &j->error)) == TARN_OK) {
        uint64_t position = 0;
        memcpy(&position, element.data, sizeof position);
        digest = add_to_digest(digest, position);
        count++;
    }
    job_must(j, status == TARN_DONE ? TARN_OK : status, "iterate");
    tarn_list_iterator_close(iterator);
    expect_number(count, expected->element_count, "elements", key);
    expect_number(digest, expected->digest, "digest", key);
    m->state_bytes += count * sizeof(uint64_t);
}

static void verify_key(job *j, model *m, uint64_t key)
{
    const model_key *expected = &m->keys[key];
    count_row row = {0};
    uint64_t seen = 0;
    job_set_key(j, key);
    (void)read_value(j, j->counts, &row, sizeof row, m);
    expect_number(row.count, expected->count, "count", key);
    expect_number(row.last, expected->last, "last position", key);
    const bool is_seen = read_value(j, j->seen, &seen, sizeof seen, m);
    expect_number(is_seen, is_live(m, expected->seen, j->position), "being seen", key);
    expect_number(seen, is_seen ? expected->seen - 1 : 0, "seen", key);
    expect_number(read_sum(j, j->sums, m), expected->sum, "sum", key);
    expect_number(read_sum(j, j->fired, m), expected->fired, "fired", key);
    expect_number(read_sum(j, j->answers, m), expected->answers, "answers", key);
    verify_list(j, m, key);
}

/* Each entry is the one that is expected next, in the order of their keys. */
static void verify_map(job *j, model *m, uint64_t number)
{
    const model_map *expected = &m->maps[number];
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    tarn_status status;
    uint32_t next = 0;
    job_set_key(j, plan_map_key(number));
    expect_number(read_sum(j, j->answers, m), expected->answers, "answers of map", number);
    job_must(j, tarn_map_iterate(j->entries, NULL, NULL, &iterator, &j->error), "iterate");
    while ((status = tarn_map_iterator_next(iterator, &entry, &j->error)) == TARN_OK) {
        map_row row;
        uint8_t bytes[2];
        expect_number(entry.value.size, sizeof row, "bytes of an entry of map", number);
        memcpy(&row, entry.value.data, sizeof row);
        for (; next < MAP_ENTRIES && expected->entries[next] == 0; next++) {
        }
        expect_number(next < MAP_ENTRIES, true, "entries to come of map", number);
        const tarn_bytes key = job_entry_key(bytes, next);
        expect_number(
            entry.key.size == key.size && memcmp(entry.key.data, key.data, key.size) == 0,
            true,
            "the next entry's key of map",
            number);
        expect_number(row.position, expected->entries[next] - 1, "entry of map", number);
        next++;
        weigh(m, sizeof bytes + sizeof row);
    }
    job_must(j, status == TARN_DONE ? TARN_OK : status, "iterate over entries");
    tarn_map_iterator_close(iterator);
    for (; next < MAP_ENTRIES; next++) {
        expect_number(expected->entries[next], 0, "missing entry of map", number);
    }
}

static void compare(job *j, model *m)
{
    const soak_plan *p = m->plan;
    tarn_backend_stats stats;
    expect_number(tarn_timers_count(j->timers), m->timer_count, "timers", 0);
    for (uint64_t map = 0; map < plan_map_count(p); map++) {
        verify_map(j, m, map);
    }
    for (uint64_t key = 0; key < p->key_count; key++) {
        verify_key(j, m, key);
    }
    tarn_backend_measure(j->backend, &stats);
    const soak_entry entry = {
        .kind = SOAK_VERIFIED,
        .position = j->position,
        .is_restored = j->is_restored ? 1 : 0,
        .state_bytes = m->state_bytes,
        .file_bytes = stats.live_file_bytes,
    };
    journal_add(p, &entry);
}

int model_verify(const soak_plan *p, soak_spoil spoil)
{
    static job j;
    job_open(&j, p);
    model m = {
        .plan = p,
        .keys = calloc(p->key_count, sizeof *m.keys),
        .maps = calloc(plan_map_count(p), sizeof *m.maps),
    };
    if (m.keys == NULL || m.maps == NULL) {
        return 1;
    }
    for (uint64_t position = 0; position < j.position; position++) {
        replay_record(&m, position, j.position);
    }
    spoil_model(&m, spoil, j.position);
    compare(&j, &m);
    free(m.keys);
    free(m.maps);
    job_close(&j);
    return 0;
}
