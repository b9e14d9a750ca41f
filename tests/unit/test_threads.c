/*
 * Unit tests of which threads run below the caller: the workers of an environment, and RocksDB's,
 * as the kernel sees them. In a process of its own, and in this order: RocksDB's threads are
 * started once.
 */
#include "support/support.h"

#include <dirent.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "rocks/threads.h"
#include "support/state_fixture.h"

enum { NICE_MAX = 19, DEFAULT_LEVELS = 10, COMM_BYTES = 64, STAT_BYTES = 1024, NICE_FIELD = 19 };

/* Splits a line of /proc/self/task/N/stat. The name may hold anything, so it ends at the last ')'.
 */
static void split_stat(const char *line, char name[COMM_BYTES], int *nice_value)
{
    const char *begin = strchr(line, '(');
    const char *end = strrchr(line, ')');
    assert_true(begin != NULL && end != NULL && end > begin);
    (void)snprintf(name, COMM_BYTES, "%.*s", (int)(end - begin - 1), begin + 1);
    const char *at = end;
    for (int field = 2; field < NICE_FIELD; field++) {
        at = strchr(at + 1, ' ');
        assert_non_null(at);
    }
    *nice_value = (int)strtol(at + 1, NULL, 10);
}

/* How many threads of this process have a name that begins so, and a nice value. */
static uint32_t count_threads(const char *prefix, int nice_value)
{
    uint32_t count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
        char path[64 + sizeof entry->d_name];
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/stat", entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (file == NULL) {
            continue; /* It has ended. */
        }
        char line[STAT_BYTES];
        if (fgets(line, sizeof line, file) != NULL) {
            char name[COMM_BYTES];
            int value = 0;
            split_stat(line, name, &value);
            count += strncmp(name, prefix, strlen(prefix)) == 0 && value == nice_value;
        }
        (void)fclose(file);
    }
    (void)closedir(tasks);
    return count;
}

static int own_nice(void)
{
    return getpriority(PRIO_PROCESS, 0);
}

static int below(int levels)
{
    const int value = own_nice() + levels;
    return value < NICE_MAX ? value : NICE_MAX;
}

/* An environment with one worker, and a backend in it. */
typedef struct fixture {
    char directory[FIXTURE_PATH_BYTES];
    tarn_env *env;
    tarn_backend *backend;
} fixture;

static void open_with(fixture *f, const char *levels, const char *jobs)
{
    fixture_make_directory(f->directory);
    tarn_config *config = fixture_new_config(64);
    if (levels != NULL) {
        fixture_set(config, "tarn.workers.nice", levels);
    }
    fixture_set(config, "state.backend.rocksdb.thread.num", jobs);
    f->env = fixture_open_env(config, NULL);
    tarn_config_free(config);
    f->backend = fixture_open_backend(f->env, f->directory);
}

static void close_all(fixture *f)
{
    tarn_error error;
    assert_ok(tarn_backend_close(f->backend, &error), &error);
    assert_ok(tarn_env_close(f->env, &error), &error);
    fixture_remove_directory(f->directory);
}

static void test_a_name_with_anything_in_it_is_no_field(void **state)
{
    (void)state;
    char name[COMM_BYTES];
    int value = 0;
    split_stat("7 (a) b: (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 -4 17\n", name, &value);
    assert_string_equal(name, "a) b: (c");
    assert_int_equal(value, -4);
}

/* Two jobs: one thread for flushes, one for compactions. */
static void test_workers_and_rocksdbs_threads_run_below_the_caller(void **state)
{
    (void)state;
    const int own = own_nice();
    fixture f;
    open_with(&f, /* levels= */ NULL, "2");
    assert_int_equal(count_threads("tarn-worker", below(DEFAULT_LEVELS)), 1);
    assert_int_equal(count_threads("rocksdb:", below(DEFAULT_LEVELS)), 2);
    assert_int_equal(count_threads("rocksdb:", own), own == NICE_MAX ? 2 : 0);
    assert_int_equal(own_nice(), own);
    close_all(&f);
}

/* What runs stays where it is; what four jobs need more is started where this backend says. */
static void test_later_threads_have_the_levels_of_who_starts_them(void **state)
{
    (void)state;
    const int own = own_nice();
    fixture f;
    open_with(&f, "3", "4");
    assert_int_equal(count_threads("tarn-worker", below(3)), 1);
    if (own + DEFAULT_LEVELS <= NICE_MAX) {
        assert_int_equal(count_threads("rocksdb:", below(DEFAULT_LEVELS)), 2);
        assert_int_equal(count_threads("rocksdb:", below(3)), 2);
    }
    assert_int_equal(own_nice(), own);
    close_all(&f);
}

static void test_without_levels_workers_are_beside_the_caller(void **state)
{
    (void)state;
    const int own = own_nice();
    const uint32_t beside_count = count_threads("rocksdb:", own);
    fixture f;
    open_with(&f, "0", "5");
    assert_int_equal(count_threads("tarn-worker", own), 1);
    assert_int_equal(count_threads("rocksdb:", own), beside_count + 1);
    assert_int_equal(own_nice(), own);
    close_all(&f);
}

typedef struct starter {
    pthread_barrier_t *barrier;
    tarn__rocks_settings settings;
    tarn_status status;
} starter;

static void *start_threads(void *context)
{
    starter *s = context;
    (void)pthread_barrier_wait(s->barrier);
    s->status = tarn__rocks_start_threads(&s->settings, NULL);
    return NULL;
}

/* Each round makes the pool small again, and two backends ask for more at once. */
static void test_of_two_that_start_at_once_the_larger_number_stays(void **state)
{
    (void)state;
    enum { ROUNDS = SANITIZES_THREADS ? 50 : 500 };
    rocksdb_env_t *env = rocksdb_create_default_env();
    for (int round = 0; round < ROUNDS; round++) {
        rocksdb_env_set_background_threads(env, 1);
        pthread_barrier_t barrier;
        assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
        starter both[2] = {
            {.barrier = &barrier, .settings = {.background_job_count = 3}},
            {.barrier = &barrier, .settings = {.background_job_count = 5}},
        };
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, start_threads, &both[i]), 0);
        }
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_int_equal(both[i].status, TARN_OK);
        }
        (void)pthread_barrier_destroy(&barrier);
        assert_int_equal(rocksdb_env_get_background_threads(env), 4);
    }
    rocksdb_env_destroy(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_with_anything_in_it_is_no_field),
        cmocka_unit_test(test_workers_and_rocksdbs_threads_run_below_the_caller),
        cmocka_unit_test(test_later_threads_have_the_levels_of_who_starts_them),
        cmocka_unit_test(test_without_levels_workers_are_beside_the_caller),
        cmocka_unit_test(test_of_two_that_start_at_once_the_larger_number_stays),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
