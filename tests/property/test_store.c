/*
 * Property of checkpoint stores: after any sequence of snapshots, commits in any order, abandoned
 * and failed checkpoints, restores and reopened stores, the directory holds exactly what retained
 * and pending checkpoints name, and every retained checkpoint restores what it was taken of.
 */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "snapshot/store_private.h"
#include "support/prop.h"
#include "support/snapshot_rig.h"

enum {
    CONTENTS = 24, /* Different contents; each is written to many files. */
    INSTANCES = 2,
    TABLES_MAX = 6,
    RETAINED_MAX = 8,
    PENDING_MAX = 2,
    STEPS = 60,
};

/* A directory's tables: what number each has, and which content. */
typedef struct tables {
    uint32_t numbers[TABLES_MAX];
    uint32_t contents[TABLES_MAX];
    uint32_t count;
    uint32_t current; /* Content of the private file. */
} tables;

typedef struct checkpoint_model {
    uint64_t id;
    tables instances[INSTANCES];
} checkpoint_model;

typedef struct pending_model {
    tarn_pending_checkpoint *pending; /* NULL: free. */
    uint64_t id;
    tables instances[INSTANCES];
    tarn__base *bases[INSTANCES];
    bool is_taken[INSTANCES];
} pending_model;

typedef struct model {
    snapshot_rig rig;
    tarn__random random;
    tables instances[INSTANCES];
    tarn__base *bases[INSTANCES]; /* Of the last completed checkpoint. */
    uint64_t completed_id;
    uint32_t next_number;
    checkpoint_model retained[RETAINED_MAX]; /* By id. */
    uint32_t retained_count;
    pending_model pendings[PENDING_MAX];
} model;

static const char *const NAMES[INSTANCES] = {"a", "b"};

static uint32_t below(model *m, uint32_t bound)
{
    return (uint32_t)tarn__random_below(&m->random, bound);
}

static size_t size_of(uint32_t content)
{
    return content * 37; /* One of them is empty. */
}

static void table_name(uint32_t number, char name[32])
{
    snprintf(name, 32, "%06u.sst", number);
}

/* Makes a directory hold exactly these tables; files that stay are not touched. */
static void write_tables(model *m, const char *instance, const tables *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        char name[32];
        table_name(t->numbers[i], name);
        if (!scratch_exists(rig_local(&m->rig, instance, name))) {
            rig_write(&m->rig, instance, name, size_of(t->contents[i]), t->contents[i]);
        }
    }
    rig_write(&m->rig, instance, "CURRENT", 20, 1000 + t->current);
}

/* --- Steps --- */

/* Some tables go, as in a compaction, and some come. */
static void change(model *m)
{
    const uint32_t which = below(m, INSTANCES);
    tables *t = &m->instances[which];
    while (t->count > 0 && (t->count == TABLES_MAX || below(m, 2) == 0)) {
        const uint32_t at = below(m, t->count);
        char name[32];
        table_name(t->numbers[at], name);
        scratch_remove(rig_local(&m->rig, NAMES[which], name));
        t->count--;
        t->numbers[at] = t->numbers[t->count];
        t->contents[at] = t->contents[t->count];
    }
    while (t->count < TABLES_MAX && below(m, 3) != 0) {
        t->numbers[t->count] = m->next_number++;
        t->contents[t->count] = below(m, CONTENTS);
        t->count++;
    }
    t->current++;
    write_tables(m, NAMES[which], t);
}

static pending_model *find_slot(model *m, bool is_used)
{
    pending_model *slot = &m->pendings[below(m, PENDING_MAX)];
    return (slot->pending != NULL) == is_used ? slot : NULL;
}

static void begin(model *m)
{
    pending_model *slot = find_slot(m, /* is_used= */ false);
    if (slot == NULL) {
        return;
    }
    *slot = (pending_model){.id = tarn_checkpoint_store_next_id(m->rig.store) + below(m, 2)};
    assert_ok(
        tarn_checkpoint_begin(m->rig.store, slot->id, &slot->pending, &m->rig.error),
        &m->rig.error);
}

static void snapshot(model *m)
{
    pending_model *slot = find_slot(m, /* is_used= */ true);
    const uint32_t which = below(m, INSTANCES);
    if (slot == NULL || slot->is_taken[which]) {
        return;
    }
    rig_snapshot taken = {
        .operator_name = "op",
        .instance = NAMES[which],
        .index = which,
        .parallelism = INSTANCES,
        .base = below(m, 4) == 0 ? NULL : m->bases[which],
        .base_out = &slot->bases[which],
    };
    assert_ok(rig_take(&m->rig, slot->pending, &taken), &m->rig.error);
    assert_int_equal(
        taken.progress.uploaded_count + taken.progress.reused_count, m->instances[which].count + 1);
    slot->instances[which] = m->instances[which];
    slot->is_taken[which] = true;
}

static void retain(model *m, const pending_model *slot)
{
    uint32_t at = m->retained_count;
    while (at > 0 && m->retained[at - 1].id > slot->id) {
        m->retained[at] = m->retained[at - 1];
        at--;
    }
    m->retained[at].id = slot->id;
    memcpy(m->retained[at].instances, slot->instances, sizeof slot->instances);
    m->retained_count++;
}

/* What goes beyond the number goes whenever the store cleans. */
static void expire(model *m)
{
    while (m->retained_count > m->rig.retained_count) {
        m->retained_count--;
        memmove(m->retained, m->retained + 1, m->retained_count * sizeof m->retained[0]);
    }
}

static void end(model *m, bool commits)
{
    pending_model *slot = find_slot(m, /* is_used= */ true);
    if (slot == NULL) {
        return;
    }
    const bool is_complete = slot->is_taken[0] && slot->is_taken[1];
    const bool is_committed = commits && is_complete;
    if (commits) {
        assert_int_equal(
            tarn_checkpoint_commit(slot->pending, NULL, &m->rig.error),
            is_complete ? TARN_OK : TARN_INCOMPATIBLE);
    } else {
        tarn_checkpoint_abandon(slot->pending);
    }
    if (is_committed) {
        retain(m, slot);
    }
    expire(m);
    for (uint32_t i = 0; i < INSTANCES; i++) {
        tarn__base **unused = &slot->bases[i];
        if (is_committed && slot->id > m->completed_id && slot->bases[i] != NULL) {
            tarn__base *old = m->bases[i];
            m->bases[i] = slot->bases[i];
            slot->bases[i] = old;
        }
        tarn__base_free(*unused);
    }
    if (is_committed && slot->id > m->completed_id) {
        m->completed_id = slot->id;
    }
    *slot = (pending_model){.pending = NULL};
}

static void reopen(model *m)
{
    for (uint32_t i = 0; i < PENDING_MAX; i++) {
        if (m->pendings[i].pending != NULL) {
            return;
        }
    }
    rig_close_store(&m->rig);
    m->rig.retained_count = 1 + below(m, 4);
    assert_ok(rig_open_store(&m->rig), &m->rig.error);
}

/* A task fails over: its directory is filled from a retained checkpoint. */
static void restore(model *m)
{
    if (m->retained_count == 0) {
        return;
    }
    const checkpoint_model *from = &m->retained[below(m, m->retained_count)];
    const uint32_t which = below(m, INSTANCES);
    if (from->instances[which].current == 0) {
        return; /* Nobody had acknowledged: a checkpoint without subtasks. */
    }
    char name[32];
    snprintf(name, sizeof name, "chk-%llu", (unsigned long long)from->id);
    tarn__base *base = NULL;
    assert_ok(
        rig_download(&m->rig, rig_job(&m->rig, name), which, NAMES[which], &base), &m->rig.error);
    tarn__base_free(m->bases[which]);
    m->bases[which] = base;
    m->instances[which] = from->instances[which];
}

/* --- Checks --- */

static void mark(const tables *t, bool is_named[CONTENTS])
{
    for (uint32_t i = 0; i < t->count; i++) {
        is_named[t->contents[i]] = true;
    }
}

static void check_files(model *m)
{
    bool is_named[CONTENTS] = {false};
    uint32_t private_count = 0;
    for (uint32_t i = 0; i < m->retained_count; i++) {
        for (uint32_t j = 0; j < INSTANCES; j++) {
            mark(&m->retained[i].instances[j], is_named);
            private_count += m->retained[i].instances[j].current != 0 ? 1 : 0;
        }
    }
    for (uint32_t i = 0; i < PENDING_MAX; i++) {
        for (uint32_t j = 0; j < INSTANCES; j++) {
            mark(&m->pendings[i].instances[j], is_named);
            private_count += m->pendings[i].is_taken[j] ? 1 : 0;
        }
    }
    const char *job = rig_job(&m->rig, "");
    assert_int_equal(scratch_count(job, ".tarn-tmp"), 0);
    assert_string_equal(m->rig.log, "");
    if (m->rig.packing.small_bytes > 0) {
        assert_int_equal(scratch_count(job, "shared/"), m->rig.store->registry.count);
        assert_int_equal(m->rig.store->registry.garbage_count, 0);
        assert_int_equal(scratch_count(job, "chk-"), private_count + m->retained_count);
        return;
    }
    uint32_t shared_count = 0;
    for (uint32_t i = 0; i < CONTENTS; i++) {
        shared_count += is_named[i] ? 1 : 0;
    }
    assert_int_equal(scratch_count(job, "shared/"), shared_count);
    assert_int_equal(scratch_count(job, "chk-"), private_count + m->retained_count);
}

/* The objects that the retained checkpoints name, counted without the store. */
static void check_named(model *m)
{
    const char *paths[RETAINED_MAX * INSTANCES * TABLES_MAX];
    tarn_checkpoint *checkpoints[RETAINED_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->retained_count; i++) {
        char name[32];
        snprintf(name, sizeof name, "chk-%llu", (unsigned long long)m->retained[i].id);
        assert_ok(
            tarn_checkpoint_open(rig_job(&m->rig, name), NULL, &checkpoints[i], &m->rig.error),
            &m->rig.error);
        const tarn_checkpoint_summary summary = tarn_checkpoint_summarize(checkpoints[i]);
        for (uint32_t j = 0; j < summary.subtask_count; j++) {
            const uint32_t file_count = tarn_checkpoint_subtask_at(checkpoints[i], j).file_count;
            for (uint32_t k = 0; k < file_count; k++) {
                const tarn_checkpoint_file file = tarn_checkpoint_file_at(checkpoints[i], j, k);
                bool is_new = file.is_shared;
                for (uint32_t n = 0; is_new && n < count; n++) {
                    is_new = strcmp(paths[n], file.path) != 0;
                }
                if (is_new) {
                    paths[count++] = file.path;
                }
            }
        }
    }
    assert_int_equal(scratch_count(rig_job(&m->rig, ""), "shared/"), count);
    for (uint32_t i = 0; i < m->retained_count; i++) {
        tarn_checkpoint_free(checkpoints[i]);
    }
}

static void check_restored(model *m)
{
    for (uint32_t i = 0; i < m->retained_count; i++) {
        const checkpoint_model *c = &m->retained[i];
        char name[32];
        snprintf(name, sizeof name, "chk-%llu", (unsigned long long)c->id);
        assert_int_equal(rig_expect_whole(rig_job(&m->rig, name)), c->id);
        for (uint32_t j = 0; j < INSTANCES && c->instances[j].current != 0; j++) {
            assert_ok(rig_download(&m->rig, rig_job(&m->rig, name), j, "got", NULL), &m->rig.error);
            scratch_remove(rig_local(&m->rig, "want", ""));
            write_tables(m, "want", &c->instances[j]);
            rig_expect_same(rig_local(&m->rig, "want", ""), rig_local(&m->rig, "got", ""));
        }
    }
}

static void step(model *m)
{
    switch (below(m, 12)) {
    case 0:
    case 1:
        change(m);
        break;
    case 2:
    case 3:
        begin(m);
        break;
    case 4:
    case 5:
    case 6:
        snapshot(m);
        break;
    case 7:
    case 8:
        end(m, /* commits= */ true);
        break;
    case 9:
        end(m, /* commits= */ false);
        break;
    case 10:
        reopen(m);
        break;
    default:
        restore(m);
        break;
    }
}

static void stores_hold_what_is_named(uint64_t seed, void *context)
{
    (void)context;
    model *m = calloc(1, sizeof *m);
    m->random.state = seed;
    rig_init(&m->rig, 1 + below(m, 3), below(m, 3));
    if (below(m, 2) == 0) {
        m->rig.packing = (tarn__packing){
            .small_bytes = 1 + below(m, 900),
            .segment_bytes = 100 + below(m, 3000),
            .waste_max = below(m, 2) == 0 ? 0 : 1.5,
        };
    }
    assert_ok(rig_open_store(&m->rig), &m->rig.error);
    change(m);
    for (uint32_t i = 0; i < INSTANCES; i++) {
        m->instances[i].current++;
        write_tables(m, NAMES[i], &m->instances[i]);
    }
    for (uint32_t i = 0; i < STEPS; i++) {
        step(m);
        check_files(m);
    }
    check_restored(m);
    for (uint32_t i = 0; i < PENDING_MAX; i++) {
        tarn_checkpoint_abandon(m->pendings[i].pending);
        for (uint32_t j = 0; j < INSTANCES; j++) {
            tarn__base_free(m->pendings[i].bases[j]);
        }
    }
    expire(m);
    check_named(m);
    for (uint32_t i = 0; i < INSTANCES; i++) {
        tarn__base_free(m->bases[i]);
    }
    rig_clear(&m->rig);
    free(m);
}

static void test_stores_hold_exactly_what_is_named(void **state)
{
    (void)state;
    prop_run("checkpoint store", 4, stores_hold_what_is_named, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stores_hold_exactly_what_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
