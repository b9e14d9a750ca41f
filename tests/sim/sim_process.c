/* sim_process.c - a process: its store, its driver and its tasks; how it dies and begins again. */
#include "sim/sim_world.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "storage/shim.h"

enum { CLAIMS_MAX = 4 }; /* That are disturbed, until one is not. */

/* Nobody hears of a checkpoint that cannot be read, or that holds something else. */
static void hear(const tarn_driver_outcome *outcome, void *context)
{
    (void)context;
    w.answered_count += outcome->is_periodic ? 0 : 1;
    sim_trace(outcome->is_completed ? "completed" : "failed", outcome->checkpoint_id);
    if (outcome->is_completed) {
        content c;
        const uint64_t id = outcome->checkpoint_id;
        const bool is_savepoint = tarn__kind_is_savepoint(outcome->kind);
        CHECK(is_savepoint || id > w.restorable_id);
        w.announced_id = id > w.announced_id ? id : w.announced_id;
        w.restorable_id = is_savepoint ? w.restorable_id : id;
        w.own_id = is_savepoint ? w.own_id : id;
        w.completed_count++;
        if (is_savepoint && w.is_real) {
            sim_read_savepoint(outcome->path, &c);
        } else {
            sim_read_checkpoint(id, &c);
        }
        sim_check_content(&c);
    }
}

static void fail_job(const tarn_driver_outcome *outcome, void *context)
{
    (void)outcome;
    (void)context;
    w.must_fail_over = true;
}

static void take_log(const char *message, void *context)
{
    (void)context;
    w.is_in_doubt = w.is_in_doubt || strstr(message, "nobody knows") != NULL;
    if (strstr(message, "is withdrawn") != NULL) {
        CHECK(w.withdrawn_count < WITHDRAWN_MAX);
        CHECK(sscanf(message, "checkpoint %" SCNu64, &w.withdrawn[w.withdrawn_count++]) == 1);
    }
}

/* --- The directory of checkpoints --- */

static void address_of(const job *j, char out[64])
{
    snprintf(out, 64, SIM_ADDRESS "/%s", j->name);
}

static void add_job(tarn_claim_mode mode)
{
    job *j = &w.jobs[w.job_count++];
    snprintf(j->name, sizeof j->name, "job-%" PRIu32, w.job_count);
    j->mode = mode;
    CHECK_OK(fault_storage_open(&w.storage, j->name, /* is_plain= */ true, &j->plain, &w.error));
}

static tarn_status open_store(const job *j, tarn_checkpoint_store **out)
{
    const tarn__store_options options = {
        .address = SIM_ADDRESS,
        .job = j->name,
        .remote = {.schemes = &w.scheme, .scheme_count = 1},
        .retained_count = UINT32_MAX,
        .account = &w.account,
        .clock = &w.clock,
        .token = tarn__random_mix(w.seed + w.restart_count) | 1,
        .log = take_log,
    };
    return tarn__store_open(&options, out, &w.error);
}

static bool has_own_checkpoint(tarn_checkpoint_store *store)
{
    uint64_t ids[STORED_MAX];
    const uint32_t count = tarn__store_list(store, ids, STORED_MAX);
    bool has_own = false;
    CHECK(count <= STORED_MAX);
    for (uint32_t i = 0; i < count; i++) {
        char address[TARN__CHECKPOINT_PATH_BYTES] = "";
        bool is_owned = false;
        (void)tarn__store_locate(store, ids[i], &is_owned, address, sizeof address);
        has_own = has_own || address[0] == '\0';
    }
    return has_own;
}

/* The newest complete checkpoint of a job; NULL: there is none. */
static tarn_checkpoint *open_newest(const job *j)
{
    char address[64];
    address_of(j, address);
    const tarn__storage_options where = {
        .address = address, .schemes = &w.scheme, .scheme_count = 1};
    tarn_checkpoint *checkpoint = NULL;
    const tarn_status status =
        tarn__checkpoint_open_at(&where, &w.account.face, &checkpoint, &w.error);
    CHECK_OK(status == TARN_MISSING ? TARN_OK : status);
    return checkpoint;
}

/* The job goes on from the latest checkpoint of the job before it, and says whose that is. */
static tarn_status claim(tarn_checkpoint_store *store, bool is_disturbed)
{
    const job *j = &w.jobs[w.job_count - 1];
    job *before = &w.jobs[w.job_count - 2];
    tarn_checkpoint *checkpoint = open_newest(before);
    CHECK(checkpoint != NULL);
    const uint64_t id = checkpoint->summary.id;
    w.is_over = !is_disturbed;
    w.dies_after = sim_chance(30) ? 1 + (uint32_t)sim_below(30) : 0;
    const tarn_status status = tarn_checkpoint_claim(store, checkpoint, j->mode, &w.error);
    w.dies_after = 0;
    w.is_over = true;
    tarn_checkpoint_free(checkpoint);
    if (status == TARN_OK && j->mode == TARN_CLAIM_MODE_NO_CLAIM) {
        before->untouched_id = id;
    }
    return status;
}

/* Sometimes another job takes over, which may or may not be given what it is restored from. */
static void change_job(void)
{
    if (w.job_count == JOBS_MAX || !sim_chance(25)) {
        return;
    }
    const bool was_over = w.is_over;
    w.is_over = true;
    tarn_checkpoint *checkpoint = open_newest(&w.jobs[w.job_count - 1]);
    w.is_over = was_over;
    if (checkpoint != NULL) {
        tarn_checkpoint_free(checkpoint);
        add_job(sim_chance(50) ? TARN_CLAIM_MODE_CLAIM : TARN_CLAIM_MODE_NO_CLAIM);
        w.claim_count++;
    }
}

/* --- Beginning --- */

/* A store that cannot be opened is tried again: faults come later, but for those of a claim. */
static tarn_checkpoint_store *begin_store(void)
{
    const bool was_over = w.is_over;
    tarn_checkpoint_store *store = NULL;
    for (uint32_t attempt = 0; store == NULL; attempt++) {
        w.is_over = true;
        CHECK_OK(open_store(&w.jobs[w.job_count - 1], &store));
        if (w.job_count == 1 || has_own_checkpoint(store)) {
            break;
        }
        const bool is_disturbed = !was_over && attempt < CLAIMS_MAX;
        const tarn_status status = claim(store, is_disturbed);
        const bool has_died = atomic_load(&w.storage.is_dead);
        CHECK(status == TARN_OK || is_disturbed);
        if (status != TARN_OK || has_died) {
            CHECK_OK(tarn_checkpoint_store_close(store, &w.error));
            atomic_store(&w.storage.is_dead, false);
            store = NULL;
        }
    }
    w.is_over = was_over;
    return store;
}

static void choose_parallelism(void)
{
    const uint32_t before = w.parallelism[1];
    w.parallelism[1] = 1 + (uint32_t)sim_below(WORKERS_MAX);
    w.rescale_count += before != 0 && before != w.parallelism[1] ? 1 : 0;
}

void sim_start_process(void)
{
    static const tarn_coordinator_edge edge = {.from = 0, .to = 1};
    choose_parallelism();
    w.options.parallelism = w.parallelism;
    w.options.operator_count = 2;
    w.options.edges = &edge;
    w.options.edge_count = 1;
    if (w.job_count == 0) {
        add_job(TARN_CLAIM_MODE_DEFAULT);
    }
    const tarn__driver_options options = {
        .account = &w.account,
        .clock = &w.clock,
        .store = begin_store(),
        .coordinator = &w.options,
        .address = SIM_ADDRESS,
        .job = w.jobs[w.job_count - 1].name,
        .env = w.env,
        .savepoint_address = w.is_real ? SIM_ADDRESS "/savepoints" : NULL,
        .history_count = 4,
        .hear = hear,
        .fail_job = fail_job,
        .is_manual = true,
    };
    const bool was_over = w.is_over;
    w.is_over = true;
    CHECK_OK(tarn__driver_open(&options, &w.driver, &w.error));
    tarn__driver_poll(w.driver);
    tarn_coordinator_figures figures;
    tarn_driver_read_figures(w.driver, &figures);
    sim_start_tasks(figures.latest_completed_id);
    w.is_over = was_over;
}

/* --- Ending --- */

/* What a dead process does is done by nobody: its storage is dead until the next one begins. */
void sim_crash(void)
{
    atomic_store(&w.storage.is_dead, true);
    w.dies_after = 0;
    w.has_crashed = true;
    w.restart_count++;
    sim_trace("crash", w.restart_count);
    sim_stop_tasks();
    while (w.left_count > 0) {
        sim_end_left();
    }
    CHECK_OK(tarn_driver_close(w.driver, TARN_JOB_SUSPENDED, &w.error));
    w.driver = NULL;
    fault_storage_orphan(&w.storage);
    atomic_store(&w.storage.is_dead, false);
    w.must_fail_over = false;
    /* Whoever had asked will not hear. */
    w.answered_count = w.request_count;
    w.withdrawn_count = 0;
    change_job();
    sim_start_process();
}

void sim_fail_over(void)
{
    uint64_t restore_id = 0;
    w.must_fail_over = false;
    CHECK_OK(tarn_driver_fail_over(w.driver, &restore_id, &w.error));
    if (atomic_load(&w.storage.is_dead)) { /* What was under way was its end. */
        sim_crash();
        return;
    }
    w.restart_count++;
    sim_stop_tasks();
    sim_start_tasks(restore_id);
}

uint32_t sim_list_stored(uint64_t *ids)
{
    const uint32_t count = tarn_coordinator_list_stored(w.driver->coordinator, ids, STORED_MAX);
    CHECK(count <= STORED_MAX);
    return count;
}

/* --- The world around it --- */

static uint64_t monotonic_ns(void *context)
{
    (void)context;
    return w.now_ns;
}

static int64_t wall_ms(void *context)
{
    (void)context;
    return (int64_t)sim_now_ms();
}

/*
 * Where requests about a name keep their order: shared files, as a deletion that nobody waits for
 * any more must not take away what was uploaded after it, and the records of claims.
 */
static bool keeps_order(const char *name)
{
    return strstr(name, "/chk-") == NULL;
}

static fault_fate choose_fate(void)
{
    static const fault_fate fates[] = {
        FAULT_FATE_LOST,
        FAULT_FATE_LOST,
        FAULT_FATE_UNANSWERED,
        FAULT_FATE_UNANSWERED,
        FAULT_FATE_LATE,
        FAULT_FATE_LATE,
        FAULT_FATE_REPEATED,
    };
    enum { COUNT = sizeof fates / sizeof fates[0], PROMPT_COUNT = 4 };
    if (w.dies_after > 0 && --w.dies_after == 0) {
        atomic_store(&w.storage.is_dead, true);
    }
    if (w.is_over || tarn__random_below(&w.fates, 100) >= w.fault_percent) {
        return FAULT_FATE_DONE;
    }
    const fault_fate fate = fates[tarn__random_below(&w.fates, w.is_late ? COUNT : PROMPT_COUNT)];
    w.late_count += fate == FAULT_FATE_LATE || fate == FAULT_FATE_REPEATED ? 1 : 0;
    return fate;
}

/* What RocksDB writes has other names each time. */
static fault_fate draw_fate(const char *operation, const char *name, void *context)
{
    (void)context;
    sim_real_wait();
    sim_interrupt();
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* Backends have workers. */
    pthread_mutex_lock(&mutex);
    const fault_fate fate = choose_fate();
    sim_trace(operation, (uint64_t)fate);
    sim_trace(w.is_real ? NULL : name, 0);
    pthread_mutex_unlock(&mutex);
    return fate;
}

static void pass_time(uint64_t ns, void *context)
{
    (void)context;
    w.now_ns += ns;
}

static tarn_status open_address(
    const char *address, void *context, tarn_storage **out, tarn_error *error)
{
    tarn_storage *view = NULL;
    const tarn_status status = fault_storage_open_address(address, context, &view, error);
    if (status != TARN_OK || !w.is_retried) {
        *out = view;
        return status;
    }
    const tarn__retry_options options = {
        .attempts = 3, .base_ms = 5, .seed = w.seed, .clock = &w.clock, .sleep = pass_time};
    return tarn__retry_storage_new(view, &options, &w.account, out, error);
}

void sim_open_world(void)
{
    w.now_ns = 1000000000;
    w.clock = (tarn__clock){.monotonic_ns = monotonic_ns, .wall_ms = wall_ms};
    w.scheme = (tarn_storage_scheme){.name = "fault", .open = open_address, .context = &w.storage};
    tarn__account_init(&w.account, "sim", NULL);
    fault_storage_init(&w.storage, &w.account, draw_fate, NULL);
    w.storage.features = sim_chance(30) ? 0 : w.storage.features;
    w.storage.keeps_order = keeps_order;
    w.storage.landed = sim_note_landed;
    if (w.is_real) {
        sim_real_open();
    }
}

void sim_close_world(void)
{
    if (w.is_real) {
        sim_real_close();
    }
    for (uint32_t i = 0; i < w.job_count; i++) {
        tarn__storage_free(w.jobs[i].plain);
    }
    fault_storage_clear(&w.storage);
    CHECK(atomic_load(&w.account.block_count) == 0);
}
