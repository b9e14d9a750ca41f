/* plain_curl.c - see plain_curl.h. */
#include "plain_curl.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

enum { THREADS_MAX = 16, BUFFER_BYTES = 256 << 10 };

typedef struct job {
    plain_curl_action action;
    const char *bucket_path;
    const char *directory;
    uint32_t count;
    atomic_uint next;
} job;

static size_t read_file(char *into, size_t size, size_t count, void *context)
{
    const ssize_t got = read(*(const int *)context, into, size * count);
    return got >= 0 ? (size_t)got : CURL_READFUNC_ABORT;
}

static size_t write_file(char *bytes, size_t size, size_t count, void *context)
{
    const ssize_t put = write(*(const int *)context, bytes, size * count);
    return put >= 0 ? (size_t)put : 0;
}

static size_t drop(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count;
}

static void set_up(CURL *easy, const job *j, int *file, const char *path)
{
    struct stat status;
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    switch (j->action) {
    case PLAIN_CURL_PUT:
        *file = open(path, O_RDONLY);
        if (*file < 0 || fstat(*file, &status) != 0) {
            bench_fail("cannot read %s", path);
        }
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)status.st_size);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, read_file);
        curl_easy_setopt(easy, CURLOPT_READDATA, file);
        break;
    case PLAIN_CURL_GET:
        *file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (*file < 0) {
            bench_fail("cannot create %s", path);
        }
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, write_file);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, file);
        break;
    case PLAIN_CURL_DELETE:
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "DELETE");
        break;
    }
}

static void move_one(CURL *easy, const job *j, uint32_t index)
{
    char url[BENCH_PATH_BYTES];
    char path[BENCH_PATH_BYTES];
    int file = -1;
    long status = 0;
    snprintf(
        url,
        sizeof url,
        "%.1000s/%.2000s/plain-%u",
        getenv("AWS_ENDPOINT_URL"),
        j->bucket_path,
        index);
    snprintf(path, sizeof path, "%.3000s/%u", j->directory, index);
    set_up(easy, j, &file, path);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    const CURLcode code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK || status >= 300) {
        bench_fail("%s: %s, HTTP %ld", url, curl_easy_strerror(code), status);
    }
    if (file >= 0) {
        close(file);
    }
}

static void *work(void *context)
{
    job *j = context;
    CURL *easy = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "x-amz-content-sha256: UNSIGNED-PAYLOAD");
    headers = headers != NULL ? curl_slist_append(headers, "Expect:") : NULL;
    if (easy == NULL || headers == NULL) {
        bench_fail("curl has no memory");
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, "aws:amz:us-east-1:s3");
    curl_easy_setopt(easy, CURLOPT_USERNAME, getenv("AWS_ACCESS_KEY_ID"));
    curl_easy_setopt(easy, CURLOPT_PASSWORD, getenv("AWS_SECRET_ACCESS_KEY"));
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    for (uint32_t i = atomic_fetch_add(&j->next, 1); i < j->count;
         i = atomic_fetch_add(&j->next, 1)) {
        move_one(easy, j, i);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    return NULL;
}

void plain_curl_run(
    plain_curl_action action,
    const char *bucket_path,
    const char *directory,
    uint32_t count,
    uint32_t parallelism)
{
    job j = {.action = action, .bucket_path = bucket_path, .directory = directory, .count = count};
    pthread_t threads[THREADS_MAX];
    const uint32_t thread_count = parallelism < THREADS_MAX ? parallelism : (uint32_t)THREADS_MAX;
    for (uint32_t i = 0; i < thread_count; i++) {
        if (pthread_create(&threads[i], NULL, work, &j) != 0) {
            bench_fail("cannot start a thread");
        }
    }
    for (uint32_t i = 0; i < thread_count; i++) {
        pthread_join(threads[i], NULL);
    }
}
