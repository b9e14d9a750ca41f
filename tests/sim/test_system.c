/*
 * Simulation of the whole system: driver, coordinator, aligners, uploader, registry, store and
 * backends over virtual time, with a storage that loses, delays, doubles and tears what is sent
 * through it, and processes that die, come back with other parallelism, and restore what another
 * job has left, with and without claiming it.
 *
 *     source 0 ──┬─ channel ─► worker 0: cells of its key groups, as files of a snapshot
 *     source 1 ──┴─ channel ─► worker 1 ...
 *
 * Sources emit records that follow from their numbers, so that the state at any position is known:
 * that of a checkpoint is compared with it, cell by cell, whenever one is announced or restored.
 * What happens next, and what fails, is drawn from the seed alone: the same seed is the same run,
 * and a test holds it to that. One seed in so many has workers with RocksDB instead of the model of
 * it: of these a run may differ in how many files there are.
 *
 * TARN_SEED=n replays one seed; TARN_LONG=1 runs many.
 */
#include "sim/sim_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SEEDS = 1000,
    SEEDS_LONG = 100000,
    SECONDS_MAX = 30, /* Of a processor, for SEEDS: however busy the machine is. */
    REAL_EACH = 100,  /* The last of so many has RocksDB. */
    REPLAYS = 40,
    STEPS = 1500,
    STEPS_REAL = 700,
    MAIL_MAX = 200,
    RECORDS_MAX = 40, /* Of checkpoints that a driver knows. */
    REST_ROUNDS_MAX = 2000,
};

/* --- Invariants --- */

/* What exceeds the retained since a restart is to go, and the process that died may have asked for
 * that already: such a request may come at any time. */
static bool may_be_gone(uint64_t id, uint32_t newer_count)
{
    bool is_owned = false;
    char address[TARN__CHECKPOINT_PATH_BYTES] = "";
    CHECK(tarn__store_locate(w.driver->options.store, id, &is_owned, address, sizeof address));
    return is_owned && newer_count >= w.options.retained_count;
}

static void check_stored(void)
{
    uint64_t ids[STORED_MAX];
    const uint32_t count = sim_list_stored(ids);
    for (uint32_t i = 0; i < count; i++) {
        content c;
        if (may_be_gone(ids[i], count - 1 - i)) {
            continue;
        }
        sim_read_checkpoint(ids[i], &c);
        sim_check_content(&c);
    }
}

/* What was not claimed is its owner's for ever. */
static void check_untouched(void)
{
    for (uint32_t i = 0; i < w.job_count; i++) {
        const uint64_t id = w.jobs[i].untouched_id;
        if (id != 0) {
            content c;
            sim_read_checkpoint_of(&w.jobs[i], id, &c);
            sim_check_content(&c);
        }
    }
}

/* Whatever the storage was made to do, by whom and when, all that is kept can still be read. */
static void check_changes(void)
{
    const uint64_t changes = atomic_load(&w.storage.change_count);
    if (changes != w.checked_changes) {
        w.checked_changes = changes;
        check_stored();
        check_untouched();
    }
}

/* A record has one job, and one more for each acknowledgement that counted; one cleans. */
static void check_lanes(void)
{
    uint32_t record_count = 0;
    uint32_t part_count = 0;
    for (const tarn__record *r = w.driver->records; r != NULL; r = r->next) {
        record_count++;
        part_count += r->acknowledged_count;
    }
    for (uint32_t lane = 0; lane < TARN__LANE_COUNT; lane++) {
        uint32_t count = 0;
        for (const tarn__driver_job *j = w.driver->jobs[lane]; j != NULL; j = j->next) {
            count++;
        }
        CHECK(count <= record_count + (lane == TARN__LANE_WRITE ? part_count : 1));
        w.most_jobs[lane] = count > w.most_jobs[lane] ? count : w.most_jobs[lane];
    }
    CHECK(record_count <= RECORDS_MAX);
    w.most_records = record_count > w.most_records ? record_count : w.most_records;
}

static void check_bounds(void)
{
    uint64_t ids[STORED_MAX];
    uint32_t mail_count = 0;
    uint32_t ordinary = 0;
    for (const tarn__mail *mail = w.driver->mail; mail != NULL; mail = mail->next) {
        mail_count++;
    }
    CHECK(mail_count <= MAIL_MAX);
    w.most_mail = mail_count > w.most_mail ? mail_count : w.most_mail;
    check_lanes();
    const uint32_t count =
        tarn_coordinator_list_pending(w.driver->coordinator, ids, NULL, STORED_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const tarn__record *record = tarn__driver_find(w.driver, ids[i]);
        CHECK(record != NULL);
        ordinary += tarn__kind_is_savepoint(record->kind) ? 0 : 1;
    }
    CHECK(ordinary <= w.options.max_concurrent);
    CHECK(tarn__coordinator_is_valid(w.driver->coordinator));
}

/* --- Time --- */

static void request(void)
{
    static const tarn_checkpoint_kind kinds[] = {
        TARN_CHECKPOINT_INCREMENTAL, TARN_CHECKPOINT_FULL, TARN_CHECKPOINT_SAVEPOINT};
    CHECK_OK(tarn_driver_request(
        w.driver, kinds[sim_below(sizeof kinds / sizeof kinds[0])], w.request_count++, &w.error));
}

static void tick_aligners(void)
{
    for (uint32_t i = 0; i < w.parallelism[1]; i++) {
        if (!w.workers[i].is_down && tarn_aligner_next_ms(w.workers[i].aligner) <= sim_now_ms()) {
            sim_tell_aligner(&w.workers[i], (tarn_barrier){.kind = TARN_BARRIER_TICK});
        }
    }
}

/* A source takes everybody along; a worker may come back alone before they begin anew. */
static void fail_task(worker *k)
{
    const uint32_t source = (uint32_t)sim_below(w.parallelism[0]);
    if (sim_chance(50)) {
        if (!k->is_down) {
            sim_kill_worker(k);
        }
    } else {
        tarn_driver_end_task(w.driver, source, TARN_TASK_END_FAILED);
        w.source_is_down[source] = true;
        w.must_fail_over = true;
    }
}

static void act(void)
{
    worker *k = &w.workers[sim_below(w.parallelism[1])];
    const uint64_t what = sim_below(100);
    if (k->is_down && what >= 22 && what < 65) {
        if (sim_chance(20)) {
            sim_revive_worker((uint32_t)(k - w.workers));
        }
        return;
    }
    if (what < 22) {
        sim_run_source((uint32_t)sim_below(w.parallelism[0]));
    } else if (what < 50) {
        sim_work(k);
    } else if (what < 65) {
        sim_advance_snapshot(k);
    } else if (what < 80) {
        tarn__driver_poll(w.driver);
    } else if (what < 90) {
        tarn__driver_run_job(w.driver, TARN__LANE_WRITE);
    } else if (what < 96) {
        tarn__driver_run_job(w.driver, TARN__LANE_DELETE);
    } else if (what < 98) {
        if (sim_chance(50)) {
            request();
        }
    } else if (what < 99) {
        if (sim_chance(30)) {
            fail_task(k);
        }
    } else if (!w.is_stable && sim_chance(20)) {
        w.dies_after = 1 + (uint32_t)sim_below(60);
    }
}

static void step(void)
{
    w.now_ns += sim_below(10) < 3 ? 1000000 : 0;
    act();
    tick_aligners();
    if (w.left_count > 0 && sim_chance(10)) {
        sim_end_left();
    }
    if (w.is_real && sim_chance(10)) {
        (void)sim_real_end_errand();
    }
    if (w.storage.request_count > 0 && sim_chance(w.delivery_percent)) {
        fault_storage_deliver(&w.storage, (uint32_t)sim_below(w.storage.request_count));
    }
    if (atomic_load(&w.storage.is_dead)) {
        sim_crash();
    } else if (w.must_fail_over && sim_chance(30)) {
        sim_fail_over();
    }
    check_bounds();
    check_changes();
}

/* Everything that can happen happens, without faults. */
static void settle(void)
{
    bool has_moved = true;
    for (uint32_t round = 0; has_moved; round++) {
        CHECK(round < REST_ROUNDS_MAX);
        w.now_ns += 1000000;
        has_moved = w.driver->mail != NULL || w.storage.request_count > 0;
        if (w.storage.request_count > 0) {
            fault_storage_deliver(&w.storage, (uint32_t)sim_below(w.storage.request_count));
        }
        if (w.left_count > 0) {
            has_moved = true;
            sim_end_left();
        }
        has_moved = sim_real_end_errand() || has_moved;
        tarn__driver_poll(w.driver);
        tick_aligners();
        for (uint32_t i = 0; i < w.parallelism[0]; i++) {
            has_moved = sim_run_source(i) || has_moved;
        }
        for (uint32_t i = 0; i < w.parallelism[1]; i++) {
            has_moved = sim_work(&w.workers[i]) || has_moved;
            has_moved = sim_advance_snapshot(&w.workers[i]) || has_moved;
        }
        for (uint32_t lane = 0; lane < TARN__LANE_COUNT; lane++) {
            has_moved = tarn__driver_run_job(w.driver, lane) || has_moved;
        }
        has_moved = has_moved || w.driver->mail != NULL;
    }
}

/* --- The end --- */

/* What may be left has a cause: it came late, or is the mark of a withdrawal in this run. */
static void check_strays(void)
{
    const strays s = sim_count_strays();
    if (s.others > 0) {
        print_message("%" PRIu32 " objects, such as %s\n", s.others, w.stray);
    }
    CHECK(s.others == 0);
}

/* After quiet, a store holds what its checkpoints name, and nothing else. */
static void check_garbage(void)
{
    if (w.has_crashed || w.is_in_doubt) {
        return; /* What a dead process left is for who collects garbage. */
    }
    const tarn_checkpoint_store *store = w.driver->options.store;
    check_strays();
    CHECK(store->registry.garbage_count == 0 && store->condemned == NULL);
}

/* Whatever has happened, garbage is found, and nothing else is taken for it. */
static void collect_garbage(void)
{
    const strays found = sim_count_strays();
    const uint64_t before = w.garbage_count;
    sim_collect_garbage();
    CHECK(w.garbage_count - before == found.marks + found.late_ones + found.others);
    const strays left = sim_count_strays();
    CHECK(left.marks == 0 && left.late_ones == 0 && left.others == 0);
    sim_start_process();
    check_stored();
    check_untouched();
    sim_stop_tasks();
    CHECK_OK(tarn_driver_close(w.driver, TARN_JOB_SUSPENDED, &w.error));
}

/* --- The last life --- */

/* Source: Flink's CompletedCheckpointStore; FINISHED, CANCELED, FAILED, SUSPENDED. */
static bool is_deleted_at_end(tarn_checkpoint_retention retention, tarn_job_end end)
{
    static const bool deletes[][4] = {
        [TARN_CHECKPOINT_RETAIN_NEVER] = {true, true, true, true},
        [TARN_CHECKPOINT_RETAIN_ON_FAILURE] = {true, true, false, true},
        [TARN_CHECKPOINT_RETAIN_ON_CANCELLATION] = {true, false, false, false},
    };
    return deletes[retention][end];
}

typedef struct retained {
    uint64_t id;
    const job *place; /* That it lies in. */
    bool is_owned;
} retained;

static uint32_t list_retained(retained *out)
{
    uint64_t ids[STORED_MAX];
    const uint32_t count = sim_list_stored(ids);
    for (uint32_t i = 0; i < count; i++) {
        char address[TARN__CHECKPOINT_PATH_BYTES] = "";
        out[i].id = ids[i];
        CHECK(tarn__store_locate(
            w.driver->options.store, ids[i], &out[i].is_owned, address, sizeof address));
        out[i].place = &w.jobs[w.job_count - (address[0] != '\0' ? 2 : 1)];
    }
    return count;
}

static void check_end(const retained *r, bool is_deleted)
{
    if (is_deleted && r->is_owned) {
        tarn__metadata metadata;
        CHECK(
            tarn__checkpoint_read_metadata(r->place->plain, r->id, &w.account, &metadata, NULL) ==
            TARN_MISSING);
        w.deleted_count++;
    } else {
        content c;
        sim_read_checkpoint_of(r->place, r->id, &c);
        sim_check_content(&c);
        w.outlasting_count++;
    }
}

/* Whatever the directory has is known to who decides when it goes, from the next start on: also
 * what a dead process would have deleted, and what was committed without an answer. */
static void check_none_is_forgotten(void)
{
    uint64_t ids[STORED_MAX];
    uint64_t known[STORED_MAX];
    const uint32_t count = tarn__store_list(w.driver->options.store, ids, STORED_MAX);
    uint32_t known_count = sim_list_stored(known);
    CHECK(count <= STORED_MAX);
    for (uint32_t i = count; i > 0; i--) {
        bool is_owned = false;
        char address[TARN__CHECKPOINT_PATH_BYTES] = "";
        CHECK(tarn__store_locate(
            w.driver->options.store, ids[i - 1], &is_owned, address, sizeof address));
        const bool is_known = known_count > 0 && known[known_count - 1] == ids[i - 1];
        CHECK(is_known || !is_owned);
        known_count -= is_known ? 1 : 0;
    }
    CHECK(known_count == 0);
}

/* What was retained goes or stays as the retention says; nothing is left over but marks. */
static void end_job(void)
{
    w.options.retention = (tarn_checkpoint_retention)sim_below(3);
    const tarn_job_end end = (tarn_job_end)sim_below(4);
    sim_start_process();
    CHECK_OK(tarn_driver_stop(w.driver, &w.error));
    const uint64_t before = w.completed_count;
    CHECK_OK(
        tarn_driver_request(w.driver, TARN_CHECKPOINT_INCREMENTAL, w.request_count++, &w.error));
    settle();
    CHECK(w.completed_count == before + 1);
    check_none_is_forgotten();
    retained kept[STORED_MAX];
    const uint32_t count = list_retained(kept);
    CHECK(count > 0);
    sim_stop_tasks();
    CHECK_OK(tarn_driver_close(w.driver, end, &w.error));
    for (uint32_t i = 0; i < count; i++) {
        check_end(&kept[i], is_deleted_at_end(w.options.retention, end));
    }
    check_untouched();
    check_strays();
}

static void come_to_rest(void)
{
    w.is_over = true;
    w.dies_after = 0;
    if (atomic_load(&w.storage.is_dead)) {
        sim_crash();
    }
    sim_fail_over();
    CHECK_OK(tarn_driver_stop(w.driver, &w.error));
    settle();
    const uint64_t before = w.completed_count;
    uint32_t count = 0;
    for (; count < 3 && w.completed_count < before + 2; count++) {
        CHECK_OK(tarn_driver_request(
            w.driver, TARN_CHECKPOINT_INCREMENTAL, w.request_count++, &w.error));
        settle();
    }
    CHECK(w.completed_count == before + 2);
    CHECK(count == 2 || w.is_in_doubt); /* What a dead process committed may have had the number. */
    CHECK(w.answered_count == w.request_count);
    tarn_coordinator_figures figures;
    tarn_driver_read_figures(w.driver, &figures);
    CHECK(figures.pending_count == 0 && figures.queued_count == 0 && figures.cleaning_count == 0);
    check_stored();
    check_untouched();
    check_garbage();
    sim_fail_over(); /* What is there at the end can be restored, too. */
    sim_stop_tasks();
    CHECK_OK(tarn_driver_close(w.driver, TARN_JOB_SUSPENDED, &w.error));
    collect_garbage();
    end_job();
}

static void configure(tarn_coordinator_options *o)
{
    o->interval_ms = 10 + sim_below(100);
    o->min_pause_ms = sim_chance(50) ? 0 : sim_below(50);
    o->timeout_ms = 100 + sim_below(400);
    o->max_concurrent = 1 + (uint32_t)sim_below(3);
    o->tolerable_failures = sim_chance(50) ? TARN_COORDINATOR_UNLIMITED : (uint32_t)sim_below(3);
    o->retained_count = 1 + (uint32_t)sim_below(3);
    o->is_at_least_once = sim_chance(15);
    o->is_unaligned = o->max_concurrent == 1 && !o->is_at_least_once && sim_chance(70);
    o->aligned_timeout_ms = sim_chance(50) ? sim_below(30) : 0;
    o->retention = TARN_CHECKPOINT_RETAIN_ON_CANCELLATION;
    o->pending_max = o->max_concurrent + 2;
    o->queue_max = 8;
}

static void run_seed(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    w.seed = seed;
    w.random.state = seed;
    w.fates.state = tarn__random_mix(seed);
    w.is_real = seed % REAL_EACH == 0;
    w.is_late = sim_chance(60);
    w.is_retried = sim_chance(40);
    w.is_stable = sim_chance(20);
    w.parallelism[0] = 1 + (uint32_t)sim_below(SOURCES_MAX);
    w.delivery_percent = sim_chance(50) ? 20 : 1 + (uint32_t)sim_below(4);
    w.fault_percent = (uint32_t)sim_below(w.is_retried ? 12 : 4);
    if (sim_chance(60)) {
        w.packing = (tarn__packing){
            .small_bytes = 1 + sim_below(120),
            .segment_bytes = 60 + sim_below(300),
            .waste_max = 1.5,
        };
    }
    w.packing.inline_bytes = sim_chance(50) ? 100 : 0; /* All private files, or none. */
    sim_open_world();
    w.options = (tarn_coordinator_options)TARN_COORDINATOR_OPTIONS_INIT;
    configure(&w.options);
    sim_start_process();
    for (uint32_t i = 0; i < (w.is_real ? STEPS_REAL : STEPS); i++) {
        step();
    }
    come_to_rest();
    sim_close_world();
}

/* What a set of seeds has seen, so that a set that shows nothing is noticed. */
typedef struct tally {
    uint64_t completed;
    uint64_t restarts;
    uint64_t claims;
    uint64_t rescales;
    uint64_t late;
    uint64_t landed;
    uint64_t overtaken;
    uint64_t orphaned;
    uint64_t kept;
    uint64_t real;
    uint64_t revived;
    uint64_t left;
    uint64_t interrupted;      /* Uploads that were given up with a request under way, */
    uint64_t interrupted_real; /* and those of backends. */
    uint64_t stable;           /* Seeds after which nothing may be left over but what came late. */
    uint64_t garbage;
    uint64_t deleted;    /* Checkpoints that went with their job, */
    uint64_t outlasting; /* and that did not. */
    uint32_t most_mail;
    uint32_t most_records;
    uint32_t most_jobs[TARN__LANE_COUNT];
} tally;

static void keep_most(uint32_t *most, uint32_t one)
{
    *most = one > *most ? one : *most;
}

static void add_to_tally(tally *t)
{
    t->completed += w.completed_count;
    t->restarts += w.restart_count;
    t->claims += w.claim_count;
    t->rescales += w.rescale_count;
    t->late += w.late_count;
    t->kept += w.kept_count;
    t->real += w.is_real ? 1 : 0;
    t->landed += w.storage.landed_count;
    t->overtaken += w.storage.overtaken_count;
    t->orphaned += w.storage.orphaned_count;
    t->revived += w.revived_count;
    t->left += w.left_total;
    t->interrupted += w.is_real ? 0 : w.interrupted_count;
    t->interrupted_real += w.is_real ? w.interrupted_count : 0;
    t->stable += !w.has_crashed && !w.is_in_doubt ? 1 : 0;
    t->garbage += w.garbage_count;
    t->deleted += w.deleted_count;
    t->outlasting += w.outlasting_count;
    keep_most(&t->most_mail, w.most_mail);
    keep_most(&t->most_records, w.most_records);
    for (uint32_t lane = 0; lane < TARN__LANE_COUNT; lane++) {
        keep_most(&t->most_jobs[lane], w.most_jobs[lane]);
    }
}

static void print_tally(const tally *t, uint64_t first, uint64_t last)
{
    print_message(
        "seeds %" PRIu64 " .. %" PRIu64 ", %" PRIu64 " of them with RocksDB: %" PRIu64
        " checkpoints completed, %" PRIu64 " restarts, %" PRIu64 " from another job, %" PRIu64
        " with other parallelism, %" PRIu64 " workers back alone, %" PRIu64
        " uploads given up, %" PRIu64 " and %" PRIu64
        " (RocksDB) of them with a request under way, %" PRIu64 " records in flight kept\n",
        first,
        last,
        t->real,
        t->completed,
        t->restarts,
        t->claims,
        t->rescales,
        t->revived,
        t->left,
        t->interrupted,
        t->interrupted_real,
        t->kept);
    print_message(
        "%" PRIu64 " requests late or twice: %" PRIu64 " landed, %" PRIu64
        " after a later one of the same name, %" PRIu64 " after their sender's death; %" PRIu64
        " pieces of garbage, none of %" PRIu64 " seeds without a cause; %" PRIu64
        " checkpoints went with their job, %" PRIu64 " outlasted it\n",
        t->late,
        t->landed,
        t->overtaken,
        t->orphaned,
        t->garbage,
        t->stable,
        t->deleted,
        t->outlasting);
    print_message(
        "at most %" PRIu32 " messages, %" PRIu32 " checkpoints known, %" PRIu32 " and %" PRIu32
        " jobs queued\n",
        t->most_mail,
        t->most_records,
        t->most_jobs[TARN__LANE_WRITE],
        t->most_jobs[TARN__LANE_DELETE]);
}

static void run_seeds(uint64_t first, uint64_t last)
{
    tally t = {.completed = 0};
    const clock_t began = clock();
    for (uint64_t seed = first; seed <= last; seed++) {
        run_seed(seed);
        add_to_tally(&t);
    }
    print_tally(&t, first, last);
    const clock_t seconds = (clock() - began) / CLOCKS_PER_SEC;
    print_message("%ld s of a processor\n", (long)seconds);
    const uint64_t count = last - first + 1;
    assert_true(count > SEEDS || seconds <= SECONDS_MAX);
    assert_true(t.completed > 5 * count); /* Two of each are those of the end. */
    assert_true(t.restarts > count && t.rescales > count / 4 && t.claims > count / 20);
    assert_true(t.late > count / 4 && t.kept > count && t.real >= count / REAL_EACH);
    assert_true(t.revived > count && t.garbage > count && t.left > count / 2);
    assert_true(t.deleted > count / 2 && t.outlasting > count / 2);
    if (count >= SEEDS) { /* What is rarer. */
        assert_true(t.overtaken > count / 20 && t.orphaned > count / 200);
        assert_true(t.stable > count / 10);
        assert_true(t.interrupted > count / 5 && t.interrupted_real > 0);
    }
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

/* SIM_FIRST and SIM_LAST choose a set of one's own. */
static void test_no_fault_makes_a_checkpoint_lie(void **state)
{
    (void)state;
    const char *seed = getenv("TARN_SEED");
    const char *is_long = getenv("TARN_LONG");
    scratch_init(&root);
    if (seed != NULL) {
        run_seed(strtoull(seed, NULL, 10));
    } else {
        const uint64_t count = is_long != NULL && strcmp(is_long, "1") == 0 ? SEEDS_LONG : SEEDS;
        run_seeds(number_of("SIM_FIRST", 1), number_of("SIM_LAST", count));
    }
    scratch_clear(&root);
}

/*
 * All that happened, to the name of every object and the moment, follows from the seed. Those with
 * RocksDB are left out: its own threads decide how many files there are to be sent.
 */
static void test_a_seed_replays_exactly(void **state)
{
    (void)state;
    scratch_init(&root);
    for (uint64_t seed = 1; seed <= REPLAYS; seed++) {
        run_seed(seed);
        const uint64_t once = w.trace;
        run_seed(seed);
        CHECK(w.trace == once);
    }
    const uint64_t trace = w.trace;
    run_seed(REPLAYS + 1);
    assert_true(w.trace != trace);
    scratch_clear(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_seed_replays_exactly),
        cmocka_unit_test(test_no_fault_makes_a_checkpoint_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
