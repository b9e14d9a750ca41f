/* soak_job.c - the job that the soak kills: states of all kinds, timers, and a checkpoint now and
 * then. */
#include "fault/soak.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"

enum { POLL_RECORDS = 64 };

/* ---- its life --------------------------------------------------------------------------- */

void job_must(job *j, tarn_status status, const char *what)
{
    if (status != TARN_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, tarn_status_name(status), j->error.message);
        exit(1);
    }
}

/* A process has code and overhead besides: what it uses of both is in the plan, and no more. */
tarn_config *job_new_config(void)
{
    tarn_config *config = NULL;
    tarn_error error;
    char text[32];
    static const char *const OPTIONS[][2] = {
        {"taskmanager.memory.framework.heap.size", "4m"},
        {"taskmanager.memory.task.heap.size", "36m"},
        {"taskmanager.memory.framework.off-heap.size", "12m"},
        {"taskmanager.memory.task.off-heap.size", "0"},
        {"taskmanager.memory.network.min", "1m"},
        {"taskmanager.memory.network.max", "1m"},
        {"taskmanager.memory.jvm-metaspace.size", "12m"},
        {"taskmanager.memory.jvm-overhead.min", "8m"},
        {"taskmanager.memory.jvm-overhead.max", "8m"},
    };
    if (tarn_config_new(NULL, &config, &error) != TARN_OK) {
        exit(1);
    }
    for (size_t i = 0; i < sizeof OPTIONS / sizeof OPTIONS[0]; i++) {
        fixture_set(config, OPTIONS[i][0], OPTIONS[i][1]);
    }
    (void)snprintf(text, sizeof text, "%um", MANAGED_MIB);
    fixture_set(config, "taskmanager.memory.managed.size", text);
    (void)snprintf(text, sizeof text, "%um", WORKING_SET_MIB);
    fixture_set(config, "tarn.working-set.size", text);
    return config;
}

static tarn_value *open_value(job *j, const char *name, const tarn_ttl *ttl)
{
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    tarn_value *value = NULL;
    options.name = name;
    options.ttl = ttl;
    job_must(j, tarn_value_open(j->backend, &options, &value, &j->error), name);
    return value;
}

static tarn_reducing *open_sum(job *j, const char *name)
{
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    tarn_reducing_options sum = TARN_REDUCING_OPTIONS_INIT;
    tarn_reducing *reducing = NULL;
    options.name = name;
    sum.reducer = TARN_REDUCER_SUM;
    sum.number = TARN_NUMBER_U64;
    job_must(j, tarn_reducing_open(j->backend, &options, &sum, &reducing, &j->error), name);
    return reducing;
}

static void open_states(job *j)
{
    tarn_state_options options = TARN_STATE_OPTIONS_INIT;
    tarn_timers_options timers = TARN_TIMERS_OPTIONS_INIT;
    tarn_ttl ttl = TARN_TTL_INIT;
    ttl.ttl_ms = plan_ttl(j->plan);
    ttl.time = TARN_TTL_EVENT_TIME;
    timers.name = "timers";
    j->counts = open_value(j, "counts", NULL);
    j->seen = open_value(j, "seen", &ttl);
    j->sums = open_sum(j, "sums");
    j->fired = open_sum(j, "fired");
    j->answers = open_sum(j, "answers");
    options.name = "recent";
    job_must(j, tarn_list_open(j->backend, &options, &j->recent, &j->error), "open recent");
    options.name = "entries";
    job_must(j, tarn_map_open(j->backend, &options, &j->entries, &j->error), "open entries");
    job_must(j, tarn_timers_open(j->backend, &timers, &j->timers, &j->error), "open timers");
}

/* What has no checkpoint yet begins at the first record; whether it may, the journal knows. */
static tarn_checkpoint *open_latest(job *j, const char *address)
{
    char path[FIXTURE_PATH_BYTES + 32];
    tarn_checkpoint *checkpoint = NULL;
    (void)snprintf(path, sizeof path, "%s/job", address);
    const tarn_status status = tarn_checkpoint_open(path, NULL, &checkpoint, &j->error);
    if (status != TARN_MISSING) {
        job_must(j, status, "open the latest checkpoint");
    }
    return checkpoint;
}

/* States with a TTL are opened when the time of the stream is known again. */
static void read_place(job *j)
{
    tarn_bytes read;
    j->place = open_value(j, "place", NULL);
    job_must(j, tarn_backend_set_key(j->backend, tarn_bytes_of("place"), &j->error), "set key");
    const tarn_status status = tarn_value_get(j->place, &read, &j->error);
    if (status != TARN_NOT_FOUND || j->is_restored) {
        job_must(j, status, "read place");
        memcpy(&j->position, read.data, sizeof j->position);
    }
    job_must(
        j, tarn_backend_set_watermark(j->backend, (int64_t)j->position, &j->error), "watermark");
}

void job_open(job *j, const soak_plan *p)
{
    char address[FIXTURE_PATH_BYTES];
    char work[FIXTURE_PATH_BYTES];
    *j = (job){.plan = p};
    (void)snprintf(address, sizeof address, "%s/checkpoints", p->directory);
    (void)snprintf(work, sizeof work, "%s/work", p->directory);
    j->config = job_new_config();
    tarn_env_options env = TARN_ENV_OPTIONS_INIT;
    env.config = j->config;
    job_must(j, tarn_env_open(&env, &j->env, &j->error), "open the environment");
    tarn_checkpoint_store_options store = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    store.env = j->env;
    store.address = address;
    store.job = "job";
    job_must(j, tarn_checkpoint_store_open(&store, &j->store, &j->error), "open the store");
    tarn_checkpoint *latest = open_latest(j, address);
    tarn_backend_options backend = TARN_BACKEND_OPTIONS_INIT;
    backend.env = j->env;
    backend.operator_name = "soak";
    backend.directory = work;
    backend.restore = latest;
    job_must(j, tarn_backend_open(&backend, &j->backend, &j->error), "restore");
    j->is_restored = latest != NULL;
    tarn_checkpoint_free(latest);
    read_place(j);
    open_states(j);
}

void job_close(job *j)
{
    job_must(j, tarn_timers_close(j->timers, &j->error), "close");
    job_must(j, tarn_value_close(j->counts, &j->error), "close");
    job_must(j, tarn_value_close(j->place, &j->error), "close");
    job_must(j, tarn_value_close(j->seen, &j->error), "close");
    job_must(j, tarn_reducing_close(j->sums, &j->error), "close");
    job_must(j, tarn_reducing_close(j->fired, &j->error), "close");
    job_must(j, tarn_reducing_close(j->answers, &j->error), "close");
    job_must(j, tarn_list_close(j->recent, &j->error), "close");
    job_must(j, tarn_map_close(j->entries, &j->error), "close");
    job_must(j, tarn_backend_close(j->backend, &j->error), "close the backend");
    job_must(j, tarn_checkpoint_store_close(j->store, &j->error), "close the store");
    job_must(j, tarn_env_close(j->env, &j->error), "close the environment");
    tarn_config_free(j->config);
}

/* ---- records ---------------------------------------------------------------------------- */

void job_set_key(job *j, uint64_t key)
{
    job_must(
        j, tarn_backend_set_key(j->backend, tarn_bytes_at(&key, sizeof key), &j->error), "key");
}

static void fire_timers(job *j)
{
    tarn_timer timer;
    tarn_status status;
    while ((status = tarn_timers_poll(j->timers, (int64_t)j->position, &timer, &j->error)) ==
           TARN_OK) {
        job_must(j, tarn_reducing_add_u64(j->fired, (uint64_t)timer.time, &j->error), "fired");
    }
    job_must(j, status == TARN_DONE ? TARN_OK : status, "poll timers");
}

static void count(job *j)
{
    void *place = NULL;
    count_row *row;
    job_must(j, tarn_value_edit(j->counts, sizeof *row, &place, &j->error), "edit");
    row = place;
    row->count++;
    row->last = j->position;
    for (size_t i = 0; i < PADDING_BYTES; i += sizeof(uint64_t)) { /* Not to be compressed away. */
        const uint64_t noise = tarn__random_mix(j->position * PADDING_BYTES + i);
        memcpy(row->padding + i, &noise, sizeof noise);
    }
}

static void append(job *j)
{
    const uint64_t position = j->position;
    if (plan_is_cleared(j->plan, position)) {
        job_must(j, tarn_list_clear(j->recent, &j->error), "clear the list");
    }
    const tarn_bytes element = tarn_bytes_at(&position, sizeof position);
    job_must(j, tarn_list_append(j->recent, element, &j->error), "append");
}

static void note_answer(job *j, uint64_t read)
{
    const uint64_t answer = plan_answer(j->position, read);
    job_must(j, tarn_reducing_add_u64(j->answers, answer, &j->error), "add an answer");
}

/* When the key came last, if that is not too long ago. */
static void see(job *j)
{
    const uint64_t position = j->position;
    uint64_t last = ANSWER_ABSENT;
    tarn_bytes read;
    const tarn_status status = tarn_value_get(j->seen, &read, &j->error);
    if (status != TARN_NOT_FOUND) {
        job_must(j, status, "read seen");
        memcpy(&last, read.data, sizeof last);
    }
    note_answer(j, last);
    const tarn_bytes value = tarn_bytes_at(&position, sizeof position);
    job_must(j, tarn_value_put(j->seen, value, &j->error), "put seen");
}

/* ---- maps ------------------------------------------------------------------------------- */

tarn_bytes job_entry_key(uint8_t bytes[2], uint64_t entry)
{
    bytes[0] = (uint8_t)(entry >> 8);
    bytes[1] = (uint8_t)entry;
    return tarn_bytes_at(bytes, 2);
}

static void put_entry(job *j, tarn_bytes key)
{
    map_row row = {.position = j->position};
    for (size_t i = 0; i < sizeof row.noise / sizeof row.noise[0]; i++) {
        row.noise[i] = tarn__random_mix(j->position * 5 + i);
    }
    job_must(
        j, tarn_map_put(j->entries, key, tarn_bytes_at(&row, sizeof row), &j->error), "put entry");
}

static void remove_half(job *j, tarn_bytes first)
{
    tarn_map_range range = TARN_MAP_RANGE_INIT;
    range.from = first;
    job_must(j, tarn_map_remove_range(j->entries, &range, &j->error), "remove a range");
}

static void sum_entries(job *j)
{
    tarn_map_iterator *iterator = NULL;
    tarn_map_entry entry;
    tarn_status status;
    uint64_t sum = 0;
    job_must(j, tarn_map_iterate(j->entries, NULL, NULL, &iterator, &j->error), "iterate");
    while ((status = tarn_map_iterator_next(iterator, &entry, &j->error)) == TARN_OK) {
        uint64_t position = 0;
        memcpy(&position, entry.value.data, sizeof position);
        sum += position;
    }
    job_must(j, status == TARN_DONE ? TARN_OK : status, "iterate over entries");
    tarn_map_iterator_close(iterator);
    note_answer(j, sum);
}

static void use_map(job *j)
{
    const uint64_t map = plan_map(j->plan, j->position);
    uint8_t bytes[2];
    const tarn_bytes key = job_entry_key(bytes, plan_entry(j->plan, j->position));
    job_set_key(j, plan_map_key(map));
    switch (plan_map_act(j->plan, j->position)) {
    case MAP_PUT:
        put_entry(j, key);
        break;
    case MAP_REMOVE:
        job_must(j, tarn_map_remove(j->entries, key, &j->error), "remove an entry");
        break;
    case MAP_REMOVE_HALF:
        remove_half(j, job_entry_key(bytes, plan_entry_count(map) / 2));
        break;
    case MAP_SUM:
        sum_entries(j);
        break;
    }
}

static void process(job *j)
{
    const uint64_t position = j->position;
    job_must(j, tarn_backend_set_watermark(j->backend, (int64_t)position, &j->error), "watermark");
    fire_timers(j);
    job_set_key(j, plan_key(j->plan, position));
    count(j);
    job_must(j, tarn_reducing_add_u64(j->sums, position, &j->error), "add");
    if (plan_is_appended(position)) {
        append(j);
    }
    if (plan_is_seen(j->plan, position)) {
        see(j);
    }
    job_must(
        j,
        tarn_timers_register(
            j->timers,
            (int64_t)plan_timer(j->plan, position),
            tarn_bytes_at(&position, sizeof position),
            &j->error),
        "register");
    if (plan_is_mapped(position)) {
        use_map(j);
    }
    j->position++;
}

/* ---- checkpoints ------------------------------------------------------------------------ */

static void begin_checkpoint(job *j)
{
    const tarn_bytes place = tarn_bytes_at(&j->position, sizeof j->position);
    j->checkpoint_id = tarn_checkpoint_store_next_id(j->store);
    j->pending_position = j->position;
    job_must(j, tarn_backend_set_key(j->backend, tarn_bytes_of("place"), &j->error), "set key");
    job_must(j, tarn_value_put(j->place, place, &j->error), "put place");
    job_must(j, tarn_checkpoint_begin(j->store, j->checkpoint_id, &j->pending, &j->error), "begin");
    job_must(j, tarn_snapshot_begin(j->backend, j->pending, &j->snapshot, &j->error), "begin");
}

static void finish_checkpoint(job *j)
{
    tarn_buffer part = TARN_BUFFER_INIT;
    job_must(j, tarn_snapshot_finish(j->snapshot, &part, &j->error), "finish a snapshot");
    j->snapshot = NULL;
    job_must(
        j,
        tarn_checkpoint_acknowledge(j->pending, tarn_buffer_bytes(&part), &j->error),
        "acknowledge");
    job_must(j, tarn_checkpoint_commit(j->pending, NULL, &j->error), "commit");
    const soak_entry entry = {.kind = SOAK_COMMITTED, .position = j->pending_position};
    journal_add(j->plan, &entry);
    tarn_backend_notify_complete(j->backend, j->checkpoint_id);
    tarn_buffer_clear(&part);
}

static void step_checkpoint(job *j)
{
    if (j->snapshot != NULL) {
        const tarn_status status = tarn_snapshot_poll(j->snapshot);
        if (status != TARN_PENDING) {
            finish_checkpoint(j);
        }
        return;
    }
    const uint64_t now_ns = tarn__clock_monotonic_ns(tarn__clock_system());
    if (now_ns - j->last_begin_ns >= j->plan->interval_ms * 1000000) {
        j->last_begin_ns = now_ns;
        begin_checkpoint(j);
    }
}

static volatile sig_atomic_t is_over;

static void end_soon(int signal_number)
{
    (void)signal_number;
    is_over = 1;
}

int job_run(const soak_plan *p)
{
    static job j;
    (void)signal(SIGTERM, end_soon);
    job_open(&j, p);
    const soak_entry entry = {
        .kind = SOAK_BEGAN, .position = j.position, .is_restored = j.is_restored ? 1 : 0};
    journal_add(p, &entry);
    j.last_begin_ns = tarn__clock_monotonic_ns(tarn__clock_system());
    while (is_over == 0) {
        process(&j);
        if (j.position % POLL_RECORDS == 0) {
            step_checkpoint(&j);
        }
    }
    if (j.snapshot != NULL) {
        finish_checkpoint(&j);
    }
    begin_checkpoint(&j);
    finish_checkpoint(&j);
    job_close(&j);
    return 0;
}
