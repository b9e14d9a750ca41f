/* races.c - see races.h. */
#include "races.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 4, VERSION_BYTES = 20000 };

typedef struct racer {
    tarn__kit *kit;
    uint32_t number;
    uint32_t won;       /* Commits that were the first. */
    bool found_a_mix;   /* Bytes of two versions in one reading. */
    tarn_status status; /* The first failure. */
    tarn_error error;
} racer;

static tarn_status put(racer *r, const char *name, uint32_t flags, tarn_bytes content)
{
    tarn_storage_upload *upload = NULL;
    tarn_status status = tarn_storage_begin(r->kit->storage, name, flags, &upload, &r->error);
    if (status == TARN_OK) {
        status = tarn_storage_append(upload, content, &r->error);
        if (status != TARN_OK) {
            tarn_storage_abandon(upload);
            return status;
        }
        status = tarn_storage_finish(upload, &r->error);
    }
    return status;
}

/* Runs all threads; false: one failed, or could not be started. */
static bool race(tarn__kit *k, racer racers[THREADS], void *(*run)(void *context))
{
    pthread_t threads[THREADS];
    uint32_t started = 0;
    for (; started < THREADS; started++) {
        racers[started] = (racer){.kit = k, .number = started};
        if (pthread_create(&threads[started], NULL, run, &racers[started]) != 0) {
            break;
        }
    }
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    if (started < THREADS) {
        return tarn__kit_fail(k, "a thread cannot be started");
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        if (racers[i].status != TARN_OK) {
            return tarn__kit_fail(
                k,
                "thread %u: %s: %.300s",
                i,
                tarn_status_name(racers[i].status),
                racers[i].error.message);
        }
    }
    return true;
}

static uint32_t commits_of(const tarn__kit *k)
{
    return k->options->rounds / 10 + 1;
}

static void *commit(void *context)
{
    racer *r = context;
    for (uint32_t i = 0; i < commits_of(r->kit) && r->status == TARN_OK; i++) {
        char name[64];
        char text[32];
        snprintf(name, sizeof name, "chk-%u/_metadata", i);
        snprintf(text, sizeof text, "of writer %u", r->number);
        const tarn_status status = put(r, name, TARN_UPLOAD_IF_ABSENT, tarn_bytes_of(text));
        r->won += status == TARN_OK ? 1 : 0;
        r->status = status == TARN_BUSY ? TARN_OK : status;
    }
    return NULL;
}

void tarn__kit_race_to_commit(tarn__kit *k)
{
    racer racers[THREADS];
    TARN__KIT_MUST(race(k, racers, commit));
    uint32_t won = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        won += racers[i].won;
    }
    if (won != commits_of(k)) {
        (void)tarn__kit_fail(k, "of %u objects %u writers were the first", commits_of(k), won);
    }
}

/* The first thread writes; the others read what it wrote last, or before. */
static void *replace_or_read(void *context)
{
    racer *r = context;
    static const char name[] = "replaced";
    for (uint32_t i = 0; i < r->kit->options->rounds && r->status == TARN_OK; i++) {
        uint8_t bytes[VERSION_BYTES];
        if (r->number == 0) {
            memset(bytes, 'a' + (int)(i % 26), sizeof bytes);
            r->status = put(r, name, 0, tarn_bytes_at(bytes, sizeof bytes));
            continue;
        }
        size_t got = 0;
        r->status =
            tarn_storage_read(r->kit->storage, name, 0, bytes, sizeof bytes, &got, &r->error);
        if (r->status == TARN_MISSING && r->kit->options->has_gaps) {
            r->status = TARN_OK;
            continue;
        }
        for (size_t j = 0; r->status == TARN_OK && j < sizeof bytes; j++) {
            r->found_a_mix = r->found_a_mix || got != sizeof bytes || bytes[j] != bytes[0];
        }
    }
    return NULL;
}

void tarn__kit_race_to_read(tarn__kit *k)
{
    racer racers[THREADS];
    racers[0] = (racer){.kit = k};
    uint8_t bytes[VERSION_BYTES];
    memset(bytes, 'z', sizeof bytes);
    k->error = (tarn_error){.status = TARN_OK};
    TARN__KIT_MUST(tarn__kit_ok(
        k, put(&racers[0], "replaced", 0, tarn_bytes_at(bytes, sizeof bytes)), "put", "replaced"));
    TARN__KIT_MUST(race(k, racers, replace_or_read));
    for (uint32_t i = 1; i < THREADS; i++) {
        if (racers[i].found_a_mix) {
            (void)tarn__kit_fail(k, "a reader found a part of an object, or of two");
        }
    }
}

/* Threads make and remove objects in the same directories, which come and go under them. */
static void *churn(void *context)
{
    racer *r = context;
    tarn_storage *storage = r->kit->storage;
    for (uint32_t i = 0; i < r->kit->options->rounds && r->status == TARN_OK; i++) {
        char name[64];
        snprintf(name, sizeof name, "chk-%u/sub/%u", i % 3, r->number);
        const char *names[] = {name};
        tarn_storage_info info;
        r->status = put(r, name, 0, tarn_bytes_of(name));
        if (r->status == TARN_OK) {
            r->status = tarn_storage_stat(storage, name, &info, &r->error);
        }
        if (r->status == TARN_OK) {
            r->status = tarn_storage_remove(storage, names, 1, &r->error);
        }
    }
    return NULL;
}

void tarn__kit_race_of_directories(tarn__kit *k)
{
    racer racers[THREADS];
    TARN__KIT_MUST(race(k, racers, churn));
    TARN__KIT_MUST(tarn__kit_lists(k, k->storage, "", ""));
}
