/*
 * A soak: a job whose state is several times its memory is checkpointed all the time, killed at
 * random and restored, again and again. At the end every row is what a plain model has, and the
 * process was never larger than its plan.
 *
 *     this process                      the job, a process of its own
 *     start ───────────────────────────► restore the latest checkpoint, go on at its position
 *     look at its memory and journal     records: edit, blind add, append, maps, a TTL, timers
 *     SIGKILL at a random moment ──────► ... begin, drain, upload and commit each second
 *     ... until time is up
 *     SIGTERM, once all keys have come ► a last checkpoint
 *     start to verify ─────────────────► restore, replay the model, compare
 *     start a small job, and then      ► restore that one, and compare with a model that is wrong
 *     to verify, once for each kind      in one place: it has to be seen
 *
 * What shows nothing is no success: every other life is killed only after it has committed a
 * checkpoint, each one begins at the newest that was committed or a later one, all keys come, and
 * in the long form the state is BUDGETS times the memory in the end. A machine that is too slow for
 * that fails the test.
 *
 * 20 minutes with TARN_LONG=1, else some seconds. TARN_SEED=n has the records and kills of seed n.
 */
#include "fault/soak.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"

#if defined(__SANITIZE_ADDRESS__) || SANITIZES_THREADS
#define IS_INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_INSTRUMENTED 1
#endif
#endif
#ifndef IS_INSTRUMENTED
#define IS_INSTRUMENTED 0
#endif

enum {
    KEY_BYTES = 190, /* Less than a key has in all states. */
    BUDGETS = 4,     /* State is at least so many times RocksDB's memory and the working set. */
    KEYS = BUDGET_MIB * 1024 * 1024 / KEY_BYTES * BUDGETS,
    KEYS_SHORT = KEYS / 20,
    KEYS_SPOILT = 2000, /* Of the small job by which comparisons are seen to fail. */
    SECONDS = 7,
    SECONDS_LONG = 1200,
    LIFE_MS = 2500, /* Of a job until it is killed, at most. */
    LIFE_MS_LONG = 20000,
    INTERVAL_MS = 200,
    INTERVAL_MS_LONG = 1000,
    KILLS_MIN = 2,
    PATIENCE_MS = 240000, /* For a first checkpoint of a life, or the last keys. */
    SAMPLE_MS = 20,
};

static const char *program_path;

static bool is_long(void)
{
    const char *wanted = getenv("TARN_LONG");
    return wanted != NULL && wanted[0] == '1';
}

static uint64_t now_ms(void)
{
    return tarn__clock_monotonic_ns(tarn__clock_system()) / 1000000;
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* ---- a process -------------------------------------------------------------------------- */

static pid_t start(const soak_plan *p, const char *mode, soak_spoil spoil)
{
    char seed[32];
    char keys[32];
    char interval[32];
    char wrong[32];
    (void)snprintf(seed, sizeof seed, "%" PRIu64, p->seed);
    (void)snprintf(keys, sizeof keys, "%" PRIu64, p->key_count);
    (void)snprintf(interval, sizeof interval, "%" PRIu64, p->interval_ms);
    (void)snprintf(wrong, sizeof wrong, "%d", (int)spoil);
    fflush(stdout);
    const pid_t process = fork();
    if (process == 0) {
        execl(
            program_path,
            program_path,
            mode,
            p->directory,
            seed,
            keys,
            interval,
            wrong,
            (char *)NULL);
        _exit(127);
    }
    assert_true(process > 0);
    return process;
}

static void sleep_ms(uint64_t ms)
{
    const struct timespec pause = {
        .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&pause, NULL);
}

/* Answers the most bytes that were ever resident of a process; 0: it is gone. */
static uint64_t peak_bytes(pid_t process)
{
    char path[64];
    char line[128];
    uint64_t kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmHWM: %" SCNu64, &kib) == 1) {
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kib * 1024;
}

static int await(pid_t process)
{
    int status = 0;
    assert_int_equal(waitpid(process, &status, 0), process);
    return status;
}

/* ---- the killer ------------------------------------------------------------------------- */

typedef struct killer {
    soak_plan plan;
    tarn__random random;
    uint64_t peak;
    uint64_t kill_count;
} killer;

/* What a life must have come to, as the journal tells, before it may end. */
typedef struct aim {
    uint64_t commit_count;
    uint64_t position;
} aim;

static bool is_reached(const killer *k, const aim *a)
{
    const soak_tally t = journal_read(&k->plan);
    return t.committed_count >= a->commit_count && t.committed_position >= a->position;
}

static void fail_after(const killer *k, const aim *a)
{
    const soak_tally t = journal_read(&k->plan);
    fail_msg(
        "after %d s and more of one life %" PRIu64 " checkpoints, up to record %" PRIu64
        ", are committed, not %" PRIu64 ", up to %" PRIu64
        ": something hangs, or the machine is too slow for this test to show anything",
        PATIENCE_MS / 1000,
        t.committed_count,
        t.committed_position,
        a->commit_count,
        a->position);
}

/* Watches a job for a while, and until it has reached its aim; it must not end by itself. */
static void watch(killer *k, pid_t process, uint64_t ms, const aim *a)
{
    const uint64_t begin_ms = now_ms();
    while (now_ms() < begin_ms + ms || !is_reached(k, a)) {
        int status = 0;
        const uint64_t peak = peak_bytes(process);
        k->peak = peak > k->peak ? peak : k->peak;
        assert_int_equal(waitpid(process, &status, WNOHANG), 0);
        if (now_ms() > begin_ms + ms + PATIENCE_MS) {
            (void)kill(process, SIGKILL);
            fail_after(k, a);
        }
        sleep_ms(SAMPLE_MS);
    }
}

static void live_and_be_killed(killer *k)
{
    const uint64_t life_ms = is_long() ? LIFE_MS_LONG : LIFE_MS;
    const bool must_commit = k->kill_count % 2 == 0;
    const uint64_t before = journal_read(&k->plan).committed_count;
    const aim a = {.commit_count = before + (must_commit ? 1 : 0)};
    const pid_t process = start(&k->plan, "run", SPOIL_NOTHING);
    watch(k, process, tarn__random_below(&k->random, life_ms), &a);
    assert_int_equal(kill(process, SIGKILL), 0);
    assert_true(WIFSIGNALED(await(process)));
    k->kill_count++;
}

static void live_to_the_end(killer *k)
{
    const aim a = {.position = k->plan.key_count + 1};
    const pid_t process = start(&k->plan, "run", SPOIL_NOTHING);
    watch(k, process, 1000, &a);
    assert_int_equal(kill(process, SIGTERM), 0);
    assert_int_equal(await(process), 0);
}

/* ---- the claim -------------------------------------------------------------------------- */

static uint64_t planned_bytes(void)
{
    tarn_config *config = job_new_config();
    tarn_env *env = fixture_open_env(config, NULL);
    const uint64_t bytes = (uint64_t)tarn_env_plan(env)->total_process;
    tarn_error error;
    assert_ok(tarn_env_close(env, &error), &error);
    tarn_config_free(config);
    return bytes;
}

static void print_tally(const killer *k, const soak_tally *t, uint64_t limit)
{
    print_message(
        "%" PRIu64 " kills, %" PRIu64 " checkpoints committed, %" PRIu64 " of %" PRIu64
        " starts restored one; %" PRIu64 " records, %" PRIu64 " keys\n",
        k->kill_count,
        t->committed_count,
        t->restored_count,
        t->began_count,
        t->committed_position,
        k->plan.key_count);
    print_message(
        "%.1f MiB of state, %.1f of table files: %.1f and %.1f times the budget of %d MiB; at most "
        "%.1f MiB resident, planned were %.1f\n",
        mib(t->state_bytes),
        mib(t->file_bytes),
        mib(t->state_bytes) / BUDGET_MIB,
        mib(t->file_bytes) / BUDGET_MIB,
        BUDGET_MIB,
        mib(k->peak),
        mib(limit));
}

static void check_claim(const killer *k, uint64_t limit)
{
    const soak_tally t = journal_read(&k->plan);
    print_tally(k, &t, limit);
    const soak_claim claim = {
        .kill_count = k->kill_count,
        .kill_count_min = KILLS_MIN,
        .key_count = k->plan.key_count,
        .state_bytes_min = is_long() ? (uint64_t)BUDGETS * BUDGET_MIB << 20 : 0,
        .resident_bytes = k->peak,
        .resident_bytes_max = IS_INSTRUMENTED ? UINT64_MAX : limit,
    };
    const char *fault = claim_check(&t, &claim);
    if (fault != NULL) {
        fail_msg("%s", fault);
    }
}

static void expect_seen(const soak_plan *p, soak_spoil spoil)
{
    const int status = await(start(p, "verify", spoil));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_DIFFERS) {
        fail_msg("what is wrong in the model is not seen: %d ends with %d", (int)spoil, status);
    }
}

/*
 * What is compared is compared: a model that is wrong in one place is never agreed with. Each look
 * restores and replays a whole job, which shows no less when that is a small one.
 */
static void check_comparisons(uint64_t seed)
{
    char directory[FIXTURE_PATH_BYTES];
    fixture_make_directory(directory);
    killer k = {
        .plan = {
            .seed = seed,
            .key_count = KEYS_SPOILT,
            .interval_ms = INTERVAL_MS,
            .directory = directory,
        }};
    live_to_the_end(&k);
    assert_int_equal(await(start(&k.plan, "verify", SPOIL_NOTHING)), 0);
    for (int spoil = SPOIL_NOTHING + 1; spoil < SPOIL_END; spoil++) {
        expect_seen(&k.plan, (soak_spoil)spoil);
    }
    fixture_remove_directory(directory);
}

static void test_a_job_that_is_killed_at_random_ends_as_if_it_had_not_been(void **state)
{
    (void)state;
    char directory[FIXTURE_PATH_BYTES];
    const char *seed = getenv("TARN_SEED");
    fixture_make_directory(directory);
    killer k = {
        .plan = {
            .seed = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL),
            .key_count = is_long() ? KEYS : KEYS_SHORT,
            .interval_ms = is_long() ? INTERVAL_MS_LONG : INTERVAL_MS,
            .directory = directory,
        }};
    k.random.state = k.plan.seed;
    const uint64_t limit = planned_bytes();
    const uint64_t end_ms = now_ms() + (is_long() ? SECONDS_LONG : SECONDS) * UINT64_C(1000);
    print_message("soak: TARN_SEED=%" PRIu64 "\n", k.plan.seed);
    while (now_ms() < end_ms || k.kill_count < KILLS_MIN) {
        live_and_be_killed(&k);
    }
    live_to_the_end(&k);
    assert_int_equal(await(start(&k.plan, "verify", SPOIL_NOTHING)), 0);
    check_claim(&k, limit);
    fixture_remove_directory(directory);
    check_comparisons(k.plan.seed);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_that_is_killed_at_random_ends_as_if_it_had_not_been),
    };
    program_path = argv[0];
    if (argc == 7) {
        const soak_plan p = {
            .seed = strtoull(argv[3], NULL, 10),
            .key_count = strtoull(argv[4], NULL, 10),
            .interval_ms = strtoull(argv[5], NULL, 10),
            .directory = argv[2],
        };
        const soak_spoil spoil = (soak_spoil)strtoul(argv[6], NULL, 10);
        return strcmp(argv[1], "run") == 0 ? job_run(&p) : model_verify(&p, spoil);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
