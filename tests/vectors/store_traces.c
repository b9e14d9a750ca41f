/* store_traces.c - what is retained, subsumed and discarded, replayed against Flink's store. */
#include <inttypes.h>
#include <string.h>

#include "checkpoint/store.h"

#include "vectors.h"

enum { RETAINED_MAX = 1000 };

static tarn_checkpoint_retention retention_of(const char *name)
{
    if (strcmp(name, "RETAIN_ON_CANCELLATION") == 0) {
        return TARN_CHECKPOINT_RETAIN_ON_CANCELLATION;
    }
    return strcmp(name, "RETAIN_ON_FAILURE") == 0 ? TARN_CHECKPOINT_RETAIN_ON_FAILURE
                                                  : TARN_CHECKPOINT_RETAIN_NEVER;
}

static tarn_job_end job_end_of(const char *name)
{
    static const char *const names[] = {"FINISHED", "CANCELED", "FAILED", "SUSPENDED"};
    uint32_t end = 0;
    while (end < 3 && strcmp(names[end], name) != 0) {
        end++;
    }
    return (tarn_job_end)end;
}

/* Compares a list of ids with those of entries. */
static bool check_ids(
    const json_t *effects,
    const char *name,
    const tarn__store_entry *entries,
    uint32_t count,
    char *why,
    size_t why_bytes)
{
    const json_t *theirs = json_object_get(effects, name);
    for (uint32_t i = 0; i < count; i++) {
        const json_t *id = json_array_get(theirs, i);
        if (!json_is_integer(id) || json_integer_value(id) != (json_int_t)entries[i].id) {
            return vectors_differ(
                why, why_bytes, "%s: %" PRIu64 " at %u is not theirs", name, entries[i].id, i);
        }
    }
    if (count != json_array_size(theirs)) {
        return vectors_differ(
            why, why_bytes, "%s: %u instead of %zu", name, count, json_array_size(theirs));
    }
    return true;
}

static bool run_add(tarn__store *store, const json_t *s, char *why, size_t why_bytes)
{
    const json_t *effects = json_object_get(s, "effects");
    const char *type = vectors_text(s, "type");
    int64_t id = 0;
    if (type == NULL || !vectors_integer(s, "checkpoint", &id)) {
        return vectors_differ(why, why_bytes, "the step lacks its checkpoint or its type");
    }
    tarn__store_add(
        store,
        (tarn__store_entry){
            .id = (uint64_t)id,
            .is_owned = strcmp(type, "checkpoint") == 0,
            .stops_job =
                strcmp(type, "terminate_savepoint") == 0 || strcmp(type, "suspend_savepoint") == 0,
        });
    int64_t theirs = -1;
    vectors_integer(effects, "last_subsumed", &theirs);
    const uint32_t subsumed_count = store->subsumed_count;
    const int64_t ours = subsumed_count == 0 ? -1 : (int64_t)store->subsumed[subsumed_count - 1].id;
    if (theirs != ours) {
        return vectors_differ(
            why, why_bytes, "last_subsumed: %" PRId64 " instead of %" PRId64, ours, theirs);
    }
    const int64_t latest = (int64_t)tarn__store_latest_id(store);
    return vectors_check_integer(effects, "latest", latest, why, why_bytes) &&
           check_ids(effects, "stored", store->entries, store->count, why, why_bytes) &&
           check_ids(
               effects, "discarded", store->discarded, store->discarded_count, why, why_bytes);
}

static bool run_shutdown(tarn__store *store, const json_t *s, char *why, size_t why_bytes)
{
    const char *status = vectors_text(s, "job_status");
    tarn__store_end(store, job_end_of(status == NULL ? "" : status));
    return check_ids(
        json_object_get(s, "effects"),
        "discarded",
        store->discarded,
        store->discarded_count,
        why,
        why_bytes);
}

static bool run_step(tarn__store *store, const json_t *s, char *why, size_t why_bytes)
{
    const char *op = vectors_text(s, "op");
    if (op != NULL && strcmp(op, "add") == 0) {
        return run_add(store, s, why, why_bytes);
    }
    if (op != NULL && strcmp(op, "shutdown") == 0) {
        return run_shutdown(store, s, why, why_bytes);
    }
    return vectors_differ(why, why_bytes, "the operation %s is not known", op == NULL ? "?" : op);
}

bool vectors_store_traces(const json_t *vector_case, char *why, size_t why_bytes)
{
    int64_t retained = 0;
    const json_t *steps = vectors_steps(vector_case, "steps", why, why_bytes);
    if (steps == NULL) {
        return false;
    }
    const char *retention = vectors_text(vector_case, "retention");
    if (retention == NULL || !vectors_integer(vector_case, "retained", &retained) || retained < 1 ||
        retained > RETAINED_MAX) {
        return vectors_differ(why, why_bytes, "the case lacks its retention");
    }
    tarn__account account;
    tarn__account_init(&account, "tests/store", NULL);
    tarn__store store;
    tarn_error error;
    if (tarn__store_init(
            &store, (uint32_t)retained, 0, retention_of(retention), &account, &error) != TARN_OK) {
        return vectors_differ(why, why_bytes, "%s", error.message);
    }
    bool agrees = true;
    for (size_t i = 0; i < json_array_size(steps) && agrees; i++) {
        char reason[512];
        agrees = run_step(&store, json_array_get(steps, i), reason, sizeof reason);
        if (!agrees) {
            vectors_differ(why, why_bytes, "step %zu: %s", i, reason);
        }
        vectors_note_compared(1);
    }
    tarn__store_clear(&store);
    return agrees;
}
