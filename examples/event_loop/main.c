/*
 * event_loop - the checkpoint coordinator by hand, in an engine's own event loop.
 *
 *                 ┌───────── epoll ─────────┐      step      ┌─────────────┐
 *     timerfd ────┤ when the next is due    ├─── event ────► │ coordinator │
 *     pipe ───────┤ mail of tasks, writer   │                └─────────────┘
 *     signalfd ───┤ SIGTERM: stop           │ ◄── effects ──────────┘
 *                 └─────────────────────────┘ performed here, answered by events
 *
 *     event_loop DIR                          counts, until SIGTERM stops it with a savepoint
 *     event_loop DIR from=DIR/savepoint-...   goes on from there, not from the latest in DIR
 *     event_loop DIR decline=2 late=3 fail=4  task 1 misbehaves at those checkpoints (late: or at
 *                                             the first after it that the task hears of)
 *     event_loop DIR timeout=500              a checkpoint expires after milliseconds (60000)
 *     event_loop DIR crash=6  or  stop=6      SIGKILL, SIGTERM when checkpoint 6 or a later one is
 *                                             complete
 *     event_loop DIR tolerate=0               no failure of a checkpoint is tolerated (default 3)
 *
 * Metadata is committed by a thread, as that waits for the disk. What the loop does itself, making
 * a checkpoint's directory and reading metadata when a task restarts, is for such a thread as well
 * where the storage is far away. The tasks (task.h) share no channel, so that one that fails goes
 * back to the latest checkpoint alone; in a job with channels all do, and the event is
 * JOB_FAILOVER.
 *
 * Read loop.c, then effects.c. tarn/driver.h does all this for programs that have no loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "loop.h"

const char job_name[] = "event_loop";

void check(tarn_status status, const tarn_error *error)
{
    if (status != TARN_OK) {
        fprintf(stderr, "event_loop: %s\n", error->message);
        exit(EXIT_FAILURE);
    }
}

/* ---- opening ----------------------------------------------------------------------------- */

static void watch(const loop *l, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    check_system(
        fd >= 0 && epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) == 0, "event_loop: epoll");
}

/* Signals are blocked before there is any other thread: only the loop hears of them. */
static void open_loop(loop *l)
{
    sigset_t stops;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stops, NULL);
    check_system(pipe(l->mail) == 0 && pipe(l->writes) == 0, "event_loop: pipe");
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    l->signals = signalfd(-1, &stops, SFD_CLOEXEC);
    watch(l, l->timer);
    watch(l, l->signals);
    watch(l, l->mail[0]);
}

static void open_store(loop *l)
{
    tarn_error error;
    check_system(mkdir(l->directory, 0777) == 0 || errno == EEXIST, l->directory);
    check(tarn_config_new(NULL, &l->config, &error), &error);
    check(
        tarn_config_set(l->config, "taskmanager.memory.process.size", "1g", NULL, &error), &error);
    tarn_env_options env = TARN_ENV_OPTIONS_INIT;
    env.config = l->config;
    check(tarn_env_open(&env, &l->env, &error), &error);
    tarn_checkpoint_store_options store = TARN_CHECKPOINT_STORE_OPTIONS_INIT;
    store.env = l->env;
    store.address = l->directory;
    store.job = job_name;
    store.retained_count = RETAINED;
    check(tarn_checkpoint_store_open(&store, &l->store, &error), &error);
}

typedef struct retained {
    tarn_coordinator_restored items[RETAINED + 1];
    uint32_t count;
} retained;

/* Keeps the newest: the store deletes older ones at its next commit. */
static bool note_retained(const tarn_checkpoint_entry *entry, void *context)
{
    retained *r = context;
    if (entry->status == TARN_OK) {
        if (r->count == RETAINED) {
            memmove(r->items, r->items + 1, (RETAINED - 1) * sizeof r->items[0]);
            r->count--;
        }
        r->items[r->count++] =
            (tarn_coordinator_restored){.id = entry->summary.id, .is_owned = true};
    }
    return true;
}

/* A savepoint stays its owner's; the next checkpoint has a larger number than it all the same. */
static void note_savepoint(const loop *l, const tarn_checkpoint *savepoint, retained *r)
{
    tarn_error error;
    const uint64_t id = tarn_checkpoint_summarize(savepoint).id;
    check(tarn_checkpoint_claim(l->store, savepoint, TARN_CLAIM_MODE_NO_CLAIM, &error), &error);
    if (r->count == 0 || id > r->items[r->count - 1].id) {
        r->items[r->count++] = (tarn_coordinator_restored){.id = id, .is_unclaimed = true};
    }
}

static void open_coordinator(loop *l, const tarn_checkpoint *restored)
{
    tarn_error error;
    retained r = {.count = 0};
    char job[PATH_MAX];
    snprintf(job, sizeof job, "%s/%s", l->directory, job_name);
    const tarn_status listed = tarn_checkpoint_list_in(l->env, job, note_retained, &r, &error);
    check(listed == TARN_MISSING ? TARN_OK : listed, &error);
    if (l->from != NULL) {
        note_savepoint(l, restored, &r);
    }
    const uint32_t parallelism = TASK_COUNT;
    tarn_coordinator_options options = TARN_COORDINATOR_OPTIONS_INIT;
    options.parallelism = &parallelism;
    options.operator_count = 1;
    options.interval_ms = INTERVAL_MS;
    options.timeout_ms = l->timeout_ms;
    options.tolerable_failures = l->tolerated;
    options.retained_count = RETAINED;
    options.pending_max = PENDING_MAX;
    options.restored = r.items;
    options.restored_count = r.count;
    options.next_checkpoint_id = tarn_checkpoint_store_next_id(l->store);
    check(tarn_coordinator_open(&options, &l->coordinator, &error), &error);
}

static void open_all(loop *l)
{
    open_loop(l);
    open_store(l);
    tarn_checkpoint *restored = loop_open_latest(l);
    open_coordinator(l, restored);
    const int code = pthread_create(&l->writer, NULL, effects_write, l);
    check_system(code == 0, "event_loop: thread");
    for (uint32_t i = 0; i < TASK_COUNT; i++) {
        task *t = &l->tasks[i];
        t->index = i;
        t->mail_fd = l->mail[1];
        loop_restore_task(t, restored);
        task_start(t);
    }
    tarn_checkpoint_free(restored);
}

/* ---- closing ----------------------------------------------------------------------------- */

/* Acknowledgements that nobody reads any more. */
static void drain_mail(loop *l)
{
    mail letter;
    (void)!fcntl(l->mail[0], F_SETFL, O_NONBLOCK);
    while (read(l->mail[0], &letter, sizeof letter) == sizeof letter) {
        tarn_buffer_clear(&letter.part);
    }
}

/* Answers whether each task has counted every number once. */
static bool has_counted(const loop *l)
{
    bool is_right = true;
    for (const task *t = l->tasks; t < l->tasks + TASK_COUNT; t++) {
        const bool is_sum = t->sum == t->position * (t->position + 1) / 2;
        printf(
            "task %u has counted to %" PRIu64 ": the sum is %s\n",
            t->index,
            t->position,
            is_sum ? "right" : "WRONG");
        is_right = is_right && is_sum;
    }
    return is_right;
}

/* Retained checkpoints stay, however the job has ended. */
static void close_all(loop *l)
{
    tarn_error error;
    for (uint32_t i = 0; i < TASK_COUNT; i++) {
        task_stop(&l->tasks[i]);
    }
    close(l->writes[1]);
    pthread_join(l->writer, NULL);
    drain_mail(l);
    for (pending *p = l->pending; p < l->pending + PENDING_MAX; p++) {
        tarn_checkpoint_abandon(p->id != 0 ? p->parts : NULL);
    }
    tarn_coordinator_close(l->coordinator);
    check(tarn_checkpoint_store_close(l->store, &error), &error);
    check(tarn_env_close(l->env, &error), &error);
    tarn_config_free(l->config);
    const int fds[] = {l->epoll, l->timer, l->signals, l->mail[0], l->mail[1], l->writes[0]};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        close(fds[i]);
    }
}

/* ---- the command line -------------------------------------------------------------------- */

static bool read_argument(loop *l, char *text)
{
    mishaps *m = &l->tasks[1].mishaps;
    char *value = strchr(text, '=');
    if (value == NULL || value[1] == '\0') {
        return false;
    }
    *value++ = '\0';
    if (strcmp(text, "from") == 0) {
        l->from = value;
        return true;
    }
    char *end = NULL;
    const unsigned long long number = strtoull(value, &end, 10);
    if (*end != '\0' || *value < '0' || *value > '9') {
        return false;
    }
    if (strcmp(text, "tolerate") == 0 && number <= INT32_MAX) {
        l->tolerated = (uint32_t)number;
        return true;
    }
    const struct {
        const char *name;
        uint64_t *place;
    } numbers[] = {
        {"decline", &m->decline},
        {"late", &m->late},
        {"fail", &m->fail},
        {"crash", &l->crash_at},
        {"stop", &l->stop_at},
        {"timeout", &l->timeout_ms},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(text, numbers[i].name) == 0) {
            *numbers[i].place = number;
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    static loop l = {.timeout_ms = TIMEOUT_MS, .tolerated = 3};
    l.directory = argv[1];
    bool is_good = argc >= 2 && argv[1][0] != '-' && strlen(argv[1]) < PATH_MAX - 64;
    for (int i = 2; i < argc && is_good; i++) {
        is_good = read_argument(&l, argv[i]);
    }
    if (!is_good) {
        fputs(
            "Usage: event_loop DIR [from|decline|late|fail|timeout|crash|stop|tolerate=VALUE]...\n",
            stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    open_all(&l);
    loop_run(&l);
    close_all(&l);
    return has_counted(&l) && l.has_stopped ? EXIT_SUCCESS : EXIT_FAILURE;
}
