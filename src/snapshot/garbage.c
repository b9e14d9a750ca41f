/* garbage.c - see garbage.h. */
#include "snapshot/garbage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "base/try.h"
#include "env/env.h"
#include "snapshot/checkpoint.h"
#include "snapshot/claim.h"
#include "snapshot/registry.h"
#include "snapshot/server_clock.h"
#include "snapshot/tree.h"

enum { ATTEMPTS_MAX = 20, CLOCK_ATTEMPTS_MAX = 3 };

static const uint64_t GRACE_MS_DEFAULT = (uint64_t)24 * 60 * 60 * 1000;

/*
 * How far the storage's clock may be ahead of this machine's. One that leapt ahead since files were
 * written has them look older than they are by as much; half the grace age must be left of it. S3
 * itself refuses clocks that differ by more than a quarter of an hour. No two clocks are closer
 * than the least.
 */
static const uint64_t AHEAD_MS_MAX = (uint64_t)15 * 60 * 1000;
static const uint64_t AHEAD_MS_MIN = 1000;
static const char SHARED[] = "shared";

typedef struct collector {
    const tarn_garbage_options *options;
    uint64_t grace_ms;
    const tarn__clock *clock;
    int64_t now_ms;
    tarn__account account;
    tarn_storage *storage;
    tarn__tree shared;
    tarn__checkpoint_ids ids; /* Listed before any metadata was read. */
    tarn__tree *directories;  /* [ids.count], owned: of chk-N. */
    bool *is_complete;        /* [ids.count], owned. */
    tarn__registry named;     /* Shared contents that a checkpoint names. */
    tarn__arena arena;        /* Of private names. */
    const char **names;       /* [name_count], sorted: private files that are named. */
    size_t name_count;
    tarn_garbage_stats stats;
} collector;

/* --- What is there --- */

static tarn_status list_all(collector *c, tarn_error *error)
{
    TARN_TRY(tarn__tree_list(c->storage, &c->account, SHARED, &c->shared, error));
    TARN_TRY(tarn__checkpoint_ids_list(c->storage, &c->account, &c->ids, error));
    c->directories = tarn__allocate_zeroed(&c->account, c->ids.count + 1, sizeof *c->directories);
    c->is_complete = tarn__allocate_zeroed(&c->account, c->ids.count + 1, sizeof(bool));
    if (c->directories == NULL || c->is_complete == NULL) {
        return tarn__fail_no_memory(error, "a list of checkpoints", c->ids.count);
    }
    for (uint32_t i = 0; i < c->ids.count; i++) {
        char name[TARN__CHECKPOINT_NAME_BYTES];
        tarn__checkpoint_name(c->ids.items[i], name);
        TARN_TRY(tarn__tree_list(c->storage, &c->account, name, &c->directories[i], error));
    }
    return TARN_OK;
}

/* Only names that Tarn gives: whatever else lies there is not ours. */
static bool parse_content(const char *name, tarn__content *out)
{
    tarn__content content = {.size = 0};
    const size_t head = sizeof "shared/xx/" - 1;
    if (strlen(name) < head + 2 * sizeof content.digest.bytes + 2) {
        return false;
    }
    for (size_t i = 0; i < sizeof content.digest.bytes; i++) {
        unsigned byte = 0;
        if (sscanf(name + head + 2 * i, "%2x", &byte) != 1) {
            return false;
        }
        content.digest.bytes[i] = (uint8_t)byte;
    }
    content.size = strtoull(name + head + 2 * sizeof content.digest.bytes + 1, NULL, 10);
    char again[TARN__CONTENT_NAME_BYTES];
    tarn__content_name(&content, again);
    *out = content;
    return strcmp(again, name) == 0;
}

/* Whether anything might be a job's; else the directory is not, and is not written to. */
static bool has_files(const collector *c)
{
    for (uint32_t i = 0; i < c->ids.count; i++) {
        if (c->directories[i].files != NULL) {
            return true;
        }
    }
    for (const tarn__tree_file *file = c->shared.files; file != NULL; file = file->next) {
        tarn__content content;
        if (parse_content(file->name, &content)) {
            return true;
        }
    }
    return false;
}

/* --- What is named --- */

static tarn_status name_private(
    collector *c, const tarn__metadata *metadata, const char *own, tarn_error *error)
{
    size_t count = 1;
    for (uint32_t i = 0; i < metadata->subtask_count; i++) {
        count += metadata->subtasks[i].file_count;
    }
    const char **names =
        tarn__reallocate(&c->account, (void *)c->names, (c->name_count + count) * sizeof *names);
    if (names == NULL) {
        return tarn__fail_no_memory(error, "the names of files", count * sizeof *names);
    }
    c->names = names;
    names[c->name_count] = tarn__arena_copy(&c->arena, tarn_bytes_of(own));
    bool is_complete = names[c->name_count++] != NULL;
    for (uint32_t i = 0; i < metadata->subtask_count; i++) {
        const tarn__subtask *subtask = &metadata->subtasks[i];
        for (uint32_t j = 0; is_complete && j < subtask->file_count; j++) {
            if (!subtask->files[j].is_shared && !subtask->files[j].is_inline) {
                names[c->name_count] =
                    tarn__arena_copy(&c->arena, tarn_bytes_of(subtask->files[j].path));
                is_complete = names[c->name_count++] != NULL;
            }
        }
    }
    return is_complete ? TARN_OK : tarn__fail_no_memory(error, "the names of files", count);
}

static tarn_status name_shared(collector *c, const tarn__metadata *metadata, tarn_error *error)
{
    for (uint32_t i = 0; i < metadata->subtask_count; i++) {
        const tarn__subtask *subtask = &metadata->subtasks[i];
        for (uint32_t j = 0; j < subtask->file_count; j++) {
            tarn__content_state before = TARN__CONTENT_ABSENT;
            if (subtask->files[j].is_shared) {
                TARN_TRY(tarn__registry_ref(
                    &c->named, tarn__file_object(&subtask->files[j]), &before, error));
            }
        }
    }
    return TARN_OK;
}

static void count_unreadable(collector *c, const tarn_error *reason)
{
    if (c->stats.unreadable_count++ == 0) {
        c->stats.unreadable = *reason;
    }
}

/* Takes in what chk-<id> names. One that is not complete names nothing. */
static tarn_status read_one(collector *c, uint64_t id, bool *is_complete, tarn_error *error)
{
    tarn__metadata metadata;
    tarn_error reason;
    const tarn_status read =
        tarn__checkpoint_read_metadata(c->storage, id, &c->account, &metadata, &reason);
    *is_complete = read != TARN_MISSING;
    if (read == TARN_MISSING) {
        return TARN_OK;
    }
    if (read == TARN_CORRUPTION || read == TARN_NOT_SUPPORTED) {
        count_unreadable(c, &reason);
        return TARN_OK;
    }
    if (read != TARN_OK) {
        return tarn__fail(error, read, "%s", reason.message);
    }
    c->stats.checkpoint_count++;
    char own[TARN__CHECKPOINT_NAME_BYTES];
    tarn__checkpoint_metadata_name(id, own);
    tarn_status status = name_shared(c, &metadata, error);
    if (status == TARN_OK) {
        status = name_private(c, &metadata, own, error);
    }
    tarn__metadata_clear(&metadata);
    return status;
}

/* Takes in what a claim says that this directory has of another one's. */
static tarn_status read_claim(collector *c, const char *name, tarn_error *error)
{
    tarn__claim claim;
    tarn__arena arena;
    tarn_error reason;
    tarn__arena_init(&arena, &c->account);
    const tarn_status read = tarn__claim_read(c->storage, name, &arena, &claim, &reason);
    tarn_status status = TARN_OK;
    if (read == TARN_CORRUPTION || read == TARN_NOT_SUPPORTED) {
        count_unreadable(c, &reason);
    } else if (read != TARN_OK && read != TARN_MISSING) {
        status = tarn__fail(error, read, "%s", reason.message);
    }
    for (uint32_t i = 0; read == TARN_OK && status == TARN_OK && i < claim.count; i++) {
        tarn__content_state before = TARN__CONTENT_ABSENT;
        status = tarn__registry_ref(&c->named, &claim.contents[i], &before, error);
    }
    tarn__arena_clear(&arena);
    return status;
}

static tarn_status read_claims(collector *c, tarn__hasher *hasher, tarn_error *error)
{
    tarn__tree tree;
    TARN_TRY(tarn__tree_list(c->storage, &c->account, TARN__CLAIMS_DIRECTORY, &tree, error));
    tarn_status status = TARN_OK;
    for (const tarn__tree_file *file = tree.files; status == TARN_OK && file != NULL;
         file = file->next) {
        status = read_claim(c, file->name, error);
        tarn__hasher_update(hasher, tarn_bytes_of(file->name));
    }
    tarn__tree_clear(&tree);
    return status;
}

static bool has_id(const tarn__checkpoint_ids *ids, uint64_t id, uint32_t *at)
{
    for (uint32_t i = 0; i < ids->count; i++) {
        if (ids->items[i] == id) {
            *at = i;
            return true;
        }
    }
    return false;
}

/* Reads the metadata of all that are there now; *state_out is a digest of which were complete. */
static tarn_status read_all(collector *c, tarn__digest *state_out, tarn_error *error)
{
    tarn__registry_clear(&c->named);
    c->name_count = 0;
    c->stats.checkpoint_count = 0;
    c->stats.unreadable_count = 0;
    c->stats.unreadable.status = TARN_OK;
    memset(c->is_complete, 0, c->ids.count * sizeof(bool));
    tarn__checkpoint_ids now;
    TARN_TRY(tarn__checkpoint_ids_list(c->storage, &c->account, &now, error));
    tarn__hasher hasher;
    tarn__hasher_init(&hasher);
    tarn_status status = TARN_OK;
    for (uint32_t i = 0; status == TARN_OK && i < now.count; i++) {
        bool is_complete = false;
        uint32_t at = 0;
        status = read_one(c, now.items[i], &is_complete, error);
        if (is_complete) {
            tarn__hasher_update(&hasher, tarn_bytes_at(&now.items[i], sizeof now.items[i]));
        }
        if (has_id(&c->ids, now.items[i], &at)) {
            c->is_complete[at] = is_complete;
        }
    }
    tarn__checkpoint_ids_clear(&now);
    if (status == TARN_OK) {
        status = read_claims(c, &hasher, error);
    }
    *state_out = tarn__hasher_digest(&hasher);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Reads until two readings in a row saw the same checkpoints: then all were there at one moment. */
static tarn_status read_settled(collector *c, tarn_error *error)
{
    tarn__digest before;
    TARN_TRY(read_all(c, &before, error));
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        tarn__digest after;
        TARN_TRY(read_all(c, &after, error));
        if (tarn__digest_is_equal(&before, &after)) {
            if (c->name_count > 1) {
                qsort((void *)c->names, c->name_count, sizeof *c->names, compare_names);
            }
            return TARN_OK;
        }
        before = after;
    }
    return tarn__fail(
        error,
        TARN_BUSY,
        "checkpoints of %.300s come and go faster than they can be read",
        c->storage->address);
}

/* --- What is garbage --- */

static uint64_t age_of(const collector *c, int64_t written_ms)
{
    return written_ms > 0 && written_ms < c->now_ms ? (uint64_t)(c->now_ms - written_ms) : 0;
}

static bool is_old(const collector *c, int64_t written_ms)
{
    return c->grace_ms == 0 || (written_ms > 0 && age_of(c, written_ms) >= c->grace_ms);
}

/* Removes a piece of garbage, unless somebody has written it again since it was listed. */
static tarn_status remove_file(const collector *c, const tarn__tree_file *file, tarn_error *error)
{
    tarn_storage_info info;
    const tarn_status status = tarn__storage_stat(c->storage, file->name, &info, error);
    if (status == TARN_MISSING) {
        return TARN_OK;
    }
    TARN_TRY(status);
    if (!is_old(c, info.written_ms)) {
        return TARN_PENDING;
    }
    return tarn__storage_remove(c->storage, &file->name, 1, error);
}

static void take(collector *c, const tarn__tree_file *file, tarn_garbage_kind kind)
{
    tarn_garbage_item item = {
        .name = file->name,
        .kind = kind,
        .size = file->size,
        .age_ms = age_of(c, file->written_ms),
    };
    tarn_error error;
    tarn_status status = is_old(c, file->written_ms) ? TARN_OK : TARN_PENDING;
    if (status == TARN_OK && !c->options->is_dry_run) {
        status = remove_file(c, file, &error);
    }
    if (status == TARN_PENDING) {
        c->stats.young_count++;
        c->stats.young_bytes += file->size;
        return;
    }
    c->stats.found_count++;
    c->stats.found_bytes += file->size;
    if (status != TARN_OK) {
        item.problem = error.message;
    } else if (!c->options->is_dry_run) {
        c->stats.removed_count++;
        c->stats.removed_bytes += file->size;
    }
    if (c->options->visit != NULL) {
        c->options->visit(&item, c->options->context);
    }
}

static void sweep_shared(collector *c)
{
    for (const tarn__tree_file *file = c->shared.files; file != NULL; file = file->next) {
        tarn__content content;
        if (parse_content(file->name, &content) &&
            tarn__registry_state(&c->named, &content) == TARN__CONTENT_ABSENT) {
            take(c, file, TARN_GARBAGE_SHARED);
        }
    }
}

static bool is_named(const collector *c, const char *name)
{
    return c->name_count > 0 &&
           bsearch(&name, (const void *)c->names, c->name_count, sizeof *c->names, compare_names) !=
               NULL;
}

/* A pending checkpoint writes on: one young file keeps all of an unfinished directory. */
static bool is_all_old(const collector *c, const tarn__tree *directory)
{
    for (const tarn__tree_file *file = directory->files; file != NULL; file = file->next) {
        if (!is_old(c, file->written_ms)) {
            return false;
        }
    }
    return true;
}

static void sweep_directory(collector *c, uint32_t index)
{
    const tarn__tree *directory = &c->directories[index];
    const bool keeps = !c->is_complete[index] && !is_all_old(c, directory);
    for (const tarn__tree_file *file = directory->files; file != NULL; file = file->next) {
        if (keeps) {
            c->stats.young_count++;
            c->stats.young_bytes += file->size;
        } else if (!c->is_complete[index]) {
            take(c, file, TARN_GARBAGE_UNFINISHED);
        } else if (!is_named(c, file->name)) {
            take(c, file, TARN_GARBAGE_LEFTOVER);
        }
    }
}

static uint64_t trusted_lead_ms(const collector *c)
{
    const uint64_t half_ms = c->grace_ms / 2 > AHEAD_MS_MIN ? c->grace_ms / 2 : AHEAD_MS_MIN;
    return half_ms < AHEAD_MS_MAX ? half_ms : AHEAD_MS_MAX;
}

static uint64_t lead_ms(int64_t storage_ms, int64_t local_ms)
{
    return storage_ms > local_ms ? (uint64_t)(storage_ms - local_ms) : 0;
}

/*
 * Asks for the storage's time. It was that at some moment between the two readings of this
 * machine's clock, so the lead is the one over the first reading at most: were it taken over the
 * second, a leap as long as the asking would not show. TARN_BUSY: the asking took so long that
 * nobody can tell the lead.
 */
static tarn_status ask_clock(collector *c, int64_t *storage_ms, tarn_error *error)
{
    const uint64_t most_ms = trusted_lead_ms(c);
    const int64_t before_ms = tarn__clock_wall_ms(c->clock);
    TARN_TRY(tarn__server_clock_read(c->storage, storage_ms, error));
    c->now_ms = tarn__clock_wall_ms(c->clock);
    const uint64_t least_ms = lead_ms(*storage_ms, c->now_ms);
    if (least_ms > most_ms) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the clock of %.300s is %" PRIu64 " ms ahead of this machine's, and ages are "
            "told by it: with this grace age at most %" PRIu64
            " ms are trusted; nothing was removed",
            c->storage->address,
            least_ms,
            most_ms);
    }
    return lead_ms(*storage_ms, before_ms) <= most_ms
               ? TARN_OK
               : tarn__fail(
                     error,
                     TARN_BUSY,
                     "asking %.300s for its time took %" PRId64
                     " ms by this machine's clock: whether it is more than %" PRIu64
                     " ms ahead cannot be told; nothing was removed",
                     c->storage->address,
                     c->now_ms - before_ms,
                     most_ms);
}

/*
 * Takes the storage's own time, by which files have theirs, instead of this machine's. A dry run
 * writes nothing, and makes do with this one.
 */
static tarn_status read_clock(collector *c, tarn_error *error)
{
    int64_t storage_ms = 0;
    if (c->grace_ms == 0 || c->options->is_dry_run) {
        return TARN_OK;
    }
    tarn_status status = TARN_BUSY;
    for (int attempt = 0; status == TARN_BUSY && attempt < CLOCK_ATTEMPTS_MAX; attempt++) {
        status = ask_clock(c, &storage_ms, error);
    }
    TARN_TRY(status);
    c->now_ms = storage_ms > 0 ? storage_ms : c->now_ms;
    return TARN_OK;
}

static tarn_status collect(collector *c, tarn_error *error)
{
    TARN_TRY(list_all(c, error));
    if (has_files(c)) { /* Before the checkpoints are read: what is old by then is named by now. */
        TARN_TRY(read_clock(c, error));
    }
    TARN_TRY(read_settled(c, error));
    if (c->stats.unreadable_count == 0) {
        sweep_shared(c);
        for (uint32_t i = 0; i < c->ids.count; i++) {
            sweep_directory(c, i);
        }
    }
    return TARN_OK;
}

static void clear(collector *c)
{
    for (uint32_t i = 0; c->directories != NULL && i < c->ids.count; i++) {
        tarn__tree_clear(&c->directories[i]);
    }
    tarn__tree_clear(&c->shared);
    tarn__release(c->directories);
    tarn__release(c->is_complete);
    tarn__release((void *)c->names);
    tarn__checkpoint_ids_clear(&c->ids);
    tarn__registry_clear(&c->named);
    tarn__arena_clear(&c->arena);
    tarn__storage_free(c->storage);
}

void tarn_garbage_options_init(tarn_garbage_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

tarn_status tarn__garbage_collect(
    const tarn_garbage_options *options,
    const tarn__clock *clock,
    const tarn__storage_options *where,
    tarn_garbage_stats *stats,
    tarn_error *error)
{
    tarn_garbage_options known;
    TARN_TRY(tarn__options_copy("tarn_garbage_options", options, &known, sizeof known, error));
    if (known.address == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "address is missing");
    }
    collector c = {
        .options = &known,
        .grace_ms = known.grace_ms == 0 ? GRACE_MS_DEFAULT
                                        : (known.grace_ms == TARN_GRACE_NONE ? 0 : known.grace_ms),
        .clock = clock != NULL ? clock : tarn__clock_system(),
    };
    c.now_ms = tarn__clock_wall_ms(c.clock);
    tarn__account_init(&c.account, "garbage", known.allocator);
    tarn__registry_init(&c.named, &c.account);
    tarn__arena_init(&c.arena, &c.account);
    tarn__arena_init(&c.shared.arena, &c.account);
    c.ids.account = &c.account;
    tarn__storage_options storage_options = {.address = NULL};
    if (known.env != NULL) {
        TARN_TRY(tarn__env_storage(known.env, known.address, &storage_options, error));
    } else if (where != NULL) {
        storage_options = *where;
    }
    storage_options.address = known.address;
    storage_options.account = &c.account;
    storage_options.must_exist = true;
    TARN_TRY(tarn__storage_open(&storage_options, &c.storage, error));
    tarn_storage_lock *lock = NULL;
    tarn_status status = TARN_OK;
    if (c.grace_ms == 0 && !known.is_dry_run) {
        status = tarn__storage_lock(c.storage, &lock, error);
    }
    if (status == TARN_OK) {
        status = collect(&c, error);
        tarn__storage_unlock(lock);
    }
    if (status == TARN_OK && stats != NULL) {
        *stats = c.stats;
    }
    clear(&c);
    return status;
}

tarn_status tarn_garbage_collect(
    const tarn_garbage_options *options, tarn_garbage_stats *stats, tarn_error *error)
{
    return tarn__garbage_collect(options, NULL, NULL, stats, error);
}
