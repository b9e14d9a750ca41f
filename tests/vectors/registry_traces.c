/*
 * registry_traces.c - which shared file is deleted when, against Flink's SharedStateRegistry.
 *
 * Flink names shared files by keys that may come to mean another file, and remembers for each the
 * checkpoint that used it last. Here a file is named by its content and held by references: one for
 * each checkpoint that names it, given back when the checkpoint is subsumed, and one for good by a
 * restored checkpoint that is not ours. Both must delete the same files at the same moments.
 *
 * Content names make some of a trace impossible; its keys are left out of the comparison:
 *   - one key, two files (a task that was restarted and uploads anew): two contents, two names;
 *   - a key that is used without ever having been stored;
 *   - a file of a checkpoint that is not ours, stored again after Flink forgot whose it is: there
 * it would be deleted under the hands of that checkpoint's owner, here it never is;
 *   - "prevent discarding", which tells files of a restored checkpoint from those of the same name.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/registry.h"

#include "vectors.h"

enum { KEYS_MAX = 64, USERS_MAX = 64, NAME_BYTES = 32, DELETED_MAX = 256 };

typedef struct key {
    char name[NAME_BYTES];
    char handle[NAME_BYTES]; /* The file that it means; empty: none yet. */
    bool is_left_out;
    bool is_foreign; /* A restored checkpoint that is not ours holds a reference. */
    uint64_t created_by;
    uint64_t users[USERS_MAX]; /* Checkpoints that hold a reference. */
    uint32_t user_count;
} key;

typedef struct replay {
    tarn__registry registry;
    key keys[KEYS_MAX];
    uint32_t key_count;
    uint64_t foreign_id; /* Checkpoints up to this one are not ours. */
} replay;

static replay r;

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = vectors_text(object, name);
    return text == NULL ? "" : text;
}

static uint64_t id_of(const json_t *object, const char *name)
{
    int64_t id = 0;
    return vectors_integer(object, name, &id) && id > 0 ? (uint64_t)id : 0;
}

/* The key of that name; NULL when there are too many. */
static key *find_key(const char *name)
{
    for (uint32_t i = 0; i < r.key_count; i++) {
        if (strcmp(r.keys[i].name, name) == 0) {
            return &r.keys[i];
        }
    }
    if (r.key_count == KEYS_MAX || strlen(name) >= NAME_BYTES) {
        return NULL;
    }
    key *k = &r.keys[r.key_count++];
    *k = (key){.user_count = 0};
    memcpy(k->name, name, strlen(name) + 1);
    return k;
}

static tarn__content content_of(const key *k)
{
    return (tarn__content){.digest = tarn__digest_of(tarn_bytes_of(k->handle)), .size = 1};
}

/* First pass: what each key means, and which keys content names make impossible. */
static bool survey(const json_t *steps, char *why, size_t why_bytes)
{
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *s = json_array_get(steps, i);
        if (strcmp(text_of(s, "op"), "register") != 0) {
            continue;
        }
        key *k = find_key(text_of(s, "key"));
        const char *handle = text_of(s, "handle");
        if (k == NULL || strlen(handle) >= NAME_BYTES) {
            return vectors_differ(why, why_bytes, "step %zu names too much", i);
        }
        const bool is_other =
            handle[0] != '\0' && k->handle[0] != '\0' && strcmp(handle, k->handle) != 0;
        const bool is_error = vectors_text(json_object_get(s, "effects"), "error") != NULL;
        k->is_left_out = k->is_left_out || is_other || is_error ||
                         vectors_is_true(s, "prevent_discarding_created");
        if (k->handle[0] == '\0') {
            memcpy(k->handle, handle, strlen(handle) + 1);
        }
    }
    return true;
}

static bool hold(key *k, char *why, size_t why_bytes)
{
    const tarn__content content = content_of(k);
    tarn__content_state before;
    tarn_error error;
    if (tarn__registry_ref(&r.registry, &content, &before, &error) != TARN_OK) {
        return vectors_differ(why, why_bytes, "%s", error.message);
    }
    if (before == TARN__CONTENT_DOOMED) {
        return vectors_differ(why, why_bytes, "%s is being deleted", k->name);
    }
    tarn__registry_confirm(&r.registry, &content);
    return true;
}

/* A checkpoint that is not ours holds what it names for ever. */
static bool hold_foreign(key *k, char *why, size_t why_bytes)
{
    if (k->is_left_out || k->is_foreign || k->user_count == 0 || k->created_by > r.foreign_id) {
        return true;
    }
    k->is_foreign = true;
    return hold(k, why, why_bytes);
}

static bool run_register(const json_t *s, char *why, size_t why_bytes)
{
    key *k = find_key(text_of(s, "key"));
    const uint64_t id = id_of(s, "checkpoint");
    if (k == NULL) {
        return vectors_differ(why, why_bytes, "too many keys");
    }
    k->is_left_out = k->is_left_out || (k->is_foreign && k->user_count == 0);
    if (k->is_left_out) {
        return true;
    }
    for (uint32_t i = 0; i < k->user_count; i++) {
        if (k->users[i] == id) {
            return true;
        }
    }
    if (k->user_count == USERS_MAX) {
        return vectors_differ(why, why_bytes, "too many checkpoints name %s", k->name);
    }
    k->created_by = k->user_count == 0 ? id : k->created_by;
    k->users[k->user_count++] = id;
    return hold(k, why, why_bytes) && hold_foreign(k, why, why_bytes);
}

static bool run_restored(const json_t *s, char *why, size_t why_bytes)
{
    const uint64_t id = id_of(s, "checkpoint");
    if (strcmp(text_of(s, "mode"), "CLAIM") == 0) {
        return true;
    }
    r.foreign_id = id > r.foreign_id ? id : r.foreign_id;
    for (uint32_t i = 0; i < r.key_count; i++) {
        if (!hold_foreign(&r.keys[i], why, why_bytes)) {
            return false;
        }
    }
    return true;
}

/* Gives back the references of the checkpoints below lowest_id. */
static void subsume(key *k, uint64_t lowest_id)
{
    const tarn__content content = content_of(k);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < k->user_count; i++) {
        if (k->users[i] < lowest_id) {
            tarn__registry_unref(&r.registry, &content);
        } else {
            k->users[kept++] = k->users[i];
        }
    }
    k->user_count = kept;
}

/* The key whose file a handle is; NULL when it is left out of the comparison. */
static const key *compared_key(const char *handle)
{
    for (uint32_t i = 0; i < r.key_count; i++) {
        if (!r.keys[i].is_left_out && strcmp(r.keys[i].handle, handle) == 0) {
            return &r.keys[i];
        }
    }
    return NULL;
}

static bool is_among(const tarn__content *contents, uint32_t count, const key *k)
{
    const tarn__content content = content_of(k);
    for (uint32_t i = 0; i < count; i++) {
        if (tarn__digest_is_equal(&contents[i].digest, &content.digest)) {
            return true;
        }
    }
    return false;
}

static bool run_unregister(const json_t *s, char *why, size_t why_bytes)
{
    const uint64_t lowest_id = id_of(s, "lowest_checkpoint");
    for (uint32_t i = 0; i < r.key_count; i++) {
        subsume(&r.keys[i], lowest_id);
    }
    tarn__content deleted[DELETED_MAX];
    const uint32_t count = tarn__registry_doom(&r.registry, deleted, DELETED_MAX);
    for (uint32_t i = 0; i < count; i++) {
        tarn__registry_forget(&r.registry, &deleted[i]);
    }
    const json_t *theirs = json_object_get(json_object_get(s, "effects"), "discarded");
    uint32_t compared = 0;
    for (size_t i = 0; i < json_array_size(theirs); i++) {
        const char *handle = json_string_value(json_array_get(theirs, i));
        const key *k = compared_key(handle == NULL ? "" : handle);
        if (k != NULL && !is_among(deleted, count, k)) {
            return vectors_differ(why, why_bytes, "%s is not deleted", handle);
        }
        compared += k != NULL ? 1 : 0;
    }
    vectors_note_compared(compared);
    return compared == count ||
           vectors_differ(why, why_bytes, "%u files are deleted, not %u", count, compared);
}

static bool run_step(const json_t *s, char *why, size_t why_bytes)
{
    const char *op = text_of(s, "op");
    if (strcmp(op, "register") == 0) {
        return run_register(s, why, why_bytes);
    }
    if (strcmp(op, "restored") == 0) {
        return run_restored(s, why, why_bytes);
    }
    if (strcmp(op, "unregister_unused") == 0) {
        return run_unregister(s, why, why_bytes);
    }
    /* A completed checkpoint changes no reference. */
    return strcmp(op, "checkpoint_completed") == 0 ||
           vectors_differ(why, why_bytes, "the operation %s is not known", op);
}

bool vectors_registry_traces(const json_t *vector_case, char *why, size_t why_bytes)
{
    const json_t *steps = vectors_steps(vector_case, "steps", why, why_bytes);
    if (steps == NULL) {
        return false;
    }
    tarn__account account;
    tarn__account_init(&account, "tests/registry", NULL);
    memset(&r, 0, sizeof r);
    tarn__registry_init(&r.registry, &account);
    bool agrees = survey(steps, why, why_bytes);
    for (size_t i = 0; i < json_array_size(steps) && agrees; i++) {
        const json_t *s = json_array_get(steps, i);
        if (strcmp(text_of(s, "op"), "close") == 0) {
            break; /* A registry here ends with its store. */
        }
        char reason[512];
        agrees = run_step(s, reason, sizeof reason);
        if (!agrees) {
            vectors_differ(why, why_bytes, "step %zu: %s", i, reason);
        }
    }
    tarn__registry_clear(&r.registry);
    return agrees;
}
