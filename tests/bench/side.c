/* side.c - see side.h. */
#include "side.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "latency.h"

typedef struct side_command {
    bench_turn turn;
    uint64_t events;
} side_command;

typedef struct side_player {
    const bench_workload *workload;
    bench_store *store;
    void *run;
    bench_latency *latency;
    bench_side_figures figures;
    uint64_t cpu_begin_ns; /* 0: nothing measured so far. */
    uint64_t written_begin_bytes;
    bench_hits hits_begin;
    uint64_t making_ns; /* CPU time that making events took, since cpu_begin_ns. */
} side_player;

/* ---- figures of a process --------------------------------------------------------------- */

static uint64_t cpu_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A number of /proc/self/NAME behind a label; 0 if it is not there. */
static uint64_t read_figure(const char *path, const char *label)
{
    char line[256];
    uint64_t value = 0;
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, label, strlen(label)) == 0) {
            value = strtoull(line + strlen(label), NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return value;
}

static uint64_t written_bytes(void)
{
    return read_figure("/proc/self/io", "wchar:");
}

static uint64_t rss_bytes(const char *label)
{
    return read_figure("/proc/self/status", label) * 1024;
}

/* ---- the child -------------------------------------------------------------------------- */

static void transfer(int file, void *data, size_t size, bool writes)
{
    for (size_t done = 0; done < size;) {
        char *at = (char *)data + done;
        const ssize_t count = writes ? write(file, at, size - done) : read(file, at, size - done);
        if (count <= 0) {
            bench_fail("the other process is gone");
        }
        done += (size_t)count;
    }
}

static uint64_t play_batch(side_player *player, uint64_t count, bool is_timed)
{
    const bench_workload *workload = player->workload;
    const uint64_t begin_ns = bench_now_ns();
    if (!is_timed) {
        for (uint64_t i = 0; i < count; i++) {
            workload->event(player->run, i);
        }
        return bench_now_ns() - begin_ns;
    }
    uint64_t last_ns = begin_ns;
    for (uint64_t i = 0; i < count; i++) {
        workload->event(player->run, i);
        const uint64_t now_ns = bench_now_ns();
        bench_latency_record(player->latency, now_ns - last_ns);
        last_ns = now_ns;
    }
    return last_ns - begin_ns;
}

static bench_hits hits_of(const side_player *player)
{
    const bench_store_ops *ops = player->store->ops;
    return ops->hits != NULL ? ops->hits(player->store) : (bench_hits){0};
}

static uint64_t play(side_player *player, const side_command *command)
{
    uint64_t total_ns = 0;
    if (command->turn == BENCH_TURN_MEASURED && player->cpu_begin_ns == 0) {
        player->cpu_begin_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
        player->written_begin_bytes = written_bytes();
        player->making_ns = 0;
        player->hits_begin = hits_of(player);
    }
    for (uint64_t done = 0; done < command->events;) {
        const uint64_t left = command->events - done;
        const uint64_t count = left < BENCH_BATCH_EVENTS ? left : BENCH_BATCH_EVENTS;
        const uint64_t making_begin_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
        player->workload->prepare(player->run, count);
        player->making_ns += cpu_ns(CLOCK_THREAD_CPUTIME_ID) - making_begin_ns;
        total_ns += play_batch(player, count, command->turn == BENCH_TURN_TIMED);
        done += count;
    }
    if (command->turn == BENCH_TURN_MEASURED) {
        player->figures.cpu_ns =
            cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - player->cpu_begin_ns - player->making_ns;
        player->figures.written_bytes = written_bytes() - player->written_begin_bytes;
        player->figures.hits = hits_of(player);
        player->figures.hits.hit_count -= player->hits_begin.hit_count;
        player->figures.hits.miss_count -= player->hits_begin.miss_count;
        player->figures.hits.declined_count -= player->hits_begin.declined_count;
    }
    return total_ns;
}

static void finish(side_player *player)
{
    bench_side_figures *figures = &player->figures;
    figures->p50_ns = bench_latency_at(player->latency, 0.50);
    figures->p99_ns = bench_latency_at(player->latency, 0.99);
    figures->p999_ns = bench_latency_at(player->latency, 0.999);
    figures->max_ns = player->latency->max_ns;
    figures->checksum = player->workload->finish(player->run);
    figures->rss_peak_bytes = rss_bytes("VmHWM:");
    player->store->ops->close(player->store);
}

static void begin(
    side_player *player,
    const bench_workload *workload,
    const bench_store_ops *ops,
    const bench_options *options,
    const char *directory)
{
    *player = (side_player){.workload = workload};
    /* What many arenas keep is no store's doing: the same few for both sides. */
    (void)mallopt(M_ARENA_MAX, 2);
    player->latency = bench_allocate(sizeof *player->latency);
    player->figures.rss_begin_bytes = rss_bytes("VmRSS:");
    player->store = ops->open(options, directory);
    const uint64_t begin_ns = bench_now_ns();
    player->run = workload->begin(workload, player->store);
    player->figures.load_ns = bench_now_ns() - begin_ns;
}

_Noreturn static void serve(side_player *player, int commands, int answers)
{
    transfer(answers, &player->figures.load_ns, sizeof player->figures.load_ns, true);
    for (;;) {
        side_command command;
        transfer(commands, &command, sizeof command, false);
        if (command.turn == BENCH_TURN_FINISH) {
            break;
        }
        uint64_t ns = play(player, &command);
        transfer(answers, &ns, sizeof ns, true);
    }
    finish(player);
    transfer(answers, &player->figures, sizeof player->figures, true);
    free(player->latency);
    exit(0);
}

int bench_serve(const char *name, const bench_options *options)
{
    side_player player;
    char directory[BENCH_PATH_BYTES];
    char line[64];
    bench_directory_make(options, directory);
    begin(&player, bench_workload_find(name), &BENCH_STORE_TARN, options, directory);
    printf("ready %llu\n", (unsigned long long)player.figures.load_ns);
    (void)fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL && strncmp(line, "play ", 5) == 0) {
        const side_command command = {BENCH_TURN_MEASURED, strtoull(line + 5, NULL, 10)};
        printf("%llu\n", (unsigned long long)play(&player, &command));
        (void)fflush(stdout);
    }
    finish(&player);
    free(player.latency);
    bench_directory_remove(directory);
    printf(
        "%016llx %llu %llu\n",
        (unsigned long long)player.figures.checksum,
        (unsigned long long)player.figures.cpu_ns,
        (unsigned long long)player.figures.rss_peak_bytes);
    return 0;
}

int bench_serve_pipes(const char *name, const bench_options *options)
{
    side_player player;
    begin(&player, bench_workload_find(name), &BENCH_STORE_TARN, options, options->directory);
    serve(&player, (int)options->commands, (int)options->answers);
}

/* Has another program, beside this one, play the side. */
_Noreturn static void become(
    const char *program,
    const bench_workload *workload,
    const bench_options *options,
    const char *directory,
    int commands,
    int answers)
{
    char path[BENCH_PATH_BYTES];
    char numbers[2][16];
    size_t count = 0;
    const ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    char *name = strrchr(path, '/');
    if (name == NULL || (size_t)(name - path) + 2 + strlen(program) > sizeof path) {
        bench_fail("cannot tell where %s is", program);
    }
    memcpy(name + 1, program, strlen(program) + 1);
    (void)snprintf(numbers[0], sizeof numbers[0], "%d", commands);
    (void)snprintf(numbers[1], sizeof numbers[1], "%d", answers);
    const char *const added[] = {
        "--directory", directory, "--commands", numbers[0], "--answers", numbers[1]};
    const size_t added_count = sizeof added / sizeof added[0];
    while (options->arguments[count] != NULL) {
        count++;
    }
    char **arguments = bench_allocate((count + added_count + 1) * sizeof *arguments);
    memcpy(arguments, options->arguments, count * sizeof *arguments);
    for (size_t i = 0; i < added_count; i++) {
        arguments[count + i] = strdup(added[i]);
    }
    arguments[0] = path;
    arguments[1] = strdup(workload->name);
    (void)execv(path, arguments);
    bench_fail("cannot run %s", path);
}

/* ---- the parent ------------------------------------------------------------------------- */

bench_side_process bench_side_start(
    const bench_workload *workload,
    const bench_store_ops *ops,
    const bench_options *options,
    const char *directory)
{
    int commands[2];
    int answers[2];
    if (pipe(commands) != 0 || pipe(answers) != 0) {
        bench_fail("cannot make a pipe");
    }
    (void)fflush(stdout);
    const pid_t pid = fork();
    if (pid < 0) {
        bench_fail("cannot start a process");
    }
    if (pid == 0) {
        (void)close(commands[1]);
        (void)close(answers[0]);
        side_player player;
        if (ops->program != NULL) {
            become(ops->program, workload, options, directory, commands[0], answers[1]);
        }
        begin(&player, workload, ops, options, directory);
        serve(&player, commands[0], answers[1]);
    }
    (void)close(commands[0]);
    (void)close(answers[1]);
    return (bench_side_process){
        .ops = ops, .pid = pid, .commands = commands[1], .answers = answers[0]};
}

void bench_side_await(const bench_side_process *side)
{
    uint64_t load_ns;
    transfer(side->answers, &load_ns, sizeof load_ns, false);
}

uint64_t bench_side_play(const bench_side_process *side, bench_turn turn, uint64_t events)
{
    side_command command = {.turn = turn, .events = events};
    uint64_t ns = 0;
    transfer(side->commands, &command, sizeof command, true);
    transfer(side->answers, &ns, sizeof ns, false);
    return ns;
}

bench_side_figures bench_side_finish(const bench_side_process *side)
{
    side_command command = {.turn = BENCH_TURN_FINISH};
    bench_side_figures figures;
    int status = 0;
    transfer(side->commands, &command, sizeof command, true);
    transfer(side->answers, &figures, sizeof figures, false);
    if (waitpid(side->pid, &status, 0) != side->pid || status != 0) {
        bench_fail("the side \"%s\" ended with status %d", side->ops->name, status);
    }
    (void)close(side->commands);
    (void)close(side->answers);
    return figures;
}
