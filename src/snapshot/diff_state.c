/* diff_state.c - see diff.h. */
#include <stdlib.h>
#include <string.h>

#include "base/try.h"
#include "codec/reduction.h"
#include "codec/row.h"
#include "snapshot/diff.h"

enum { SIDES = 2, PROGRESS_ROWS = 4096 };

/* An entry of the key at hand; its value lies in the side's bytes. */
typedef struct version {
    uint64_t sequence;
    tarn__table_type type;
    size_t offset;
    size_t size;
} version;

typedef enum outcome_kind {
    NOTHING, /* No entry at all. */
    DELETED,
    PARTIAL, /* Operands whose base is in a file of both. */
    WHOLE,
} outcome_kind;

typedef struct side {
    version *versions; /* [count], owned. */
    uint32_t count;
    uint32_t capacity;
    tarn_buffer bytes;
    uint64_t deleted_before; /* Older ones than this are hidden by a range. */
    outcome_kind kind;
    uint64_t newest; /* Sequence number. */
    tarn_buffer outcome;
} side;

typedef struct comparison {
    const tarn__diff_job *job;
    tarn__diff_input **heap; /* [heap_count]: those that have entries. */
    uint32_t heap_count;
    side sides[SIDES];
    tarn_buffer key;
    uint32_t next_range;
    tarn__diff_range **active; /* [active_count], owned. */
    uint32_t active_count;
    uint64_t unshown;
} comparison;

/* ---- the files, merged ------------------------------------------------------------------ */

static void sink(comparison *c, uint32_t at)
{
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < c->heap_count; child++) {
            if (tarn__diff_compare(c->heap[child]->entry.key, c->heap[least]->entry.key) < 0) {
                least = child;
            }
        }
        if (least == at) {
            return;
        }
        tarn__diff_input *moved = c->heap[at];
        c->heap[at] = c->heap[least];
        c->heap[least] = moved;
        at = least;
    }
}

static void build(comparison *c)
{
    c->heap = c->job->inputs;
    for (uint32_t i = 0; i < c->job->input_count; i++) {
        if (c->heap[i]->first.data != NULL) {
            c->heap[c->heap_count++] = c->heap[i];
        }
    }
    for (uint32_t i = c->heap_count / 2; i > 0; i--) {
        sink(c, i - 1);
    }
}

static void show_progress(comparison *c)
{
    const tarn_diff_options *options = c->job->options;
    if (options->progress != NULL && ++c->unshown >= PROGRESS_ROWS) {
        c->unshown = 0;
        options->progress(*c->job->done_bytes, c->job->total_bytes, options->context);
    }
}

/* Moves the first input on; one that is at its end leaves the heap. */
static tarn_status advance(comparison *c, tarn_error *error)
{
    tarn__diff_input *in = c->heap[0];
    const tarn_status status = tarn__diff_next(in, c->job->account, error);
    if (status == TARN_DONE) {
        *c->job->done_bytes += in->file->content.size;
        c->heap[0] = c->heap[--c->heap_count];
    } else if (status != TARN_OK) {
        return status;
    } else {
        c->job->stats->row_count++;
    }
    sink(c, 0);
    return TARN_OK;
}

/* ---- the entries of a key --------------------------------------------------------------- */

static bool is_own(const tarn__subtask *subtask, tarn_bytes key)
{
    if (key.size < TARN__ROW_GROUP_BYTES) {
        return false;
    }
    const uint8_t *data = key.data;
    const uint32_t group = (uint32_t)data[0] << 8 | data[1];
    return group >= subtask->key_groups.first && group <= subtask->key_groups.last;
}

static tarn_status add_version(
    comparison *c, side *s, const tarn__table_entry *entry, tarn_error *error)
{
    if (s->count == s->capacity) {
        const uint32_t capacity = s->capacity == 0 ? 8 : 2 * s->capacity;
        version *versions =
            tarn__reallocate(c->job->account, s->versions, capacity * sizeof *versions);
        if (versions == NULL) {
            return tarn__fail_no_memory(error, "entries of a row", capacity * sizeof *versions);
        }
        s->versions = versions;
        s->capacity = capacity;
    }
    s->versions[s->count] = (version){
        .sequence = entry->sequence,
        .type = entry->type,
        .offset = s->bytes.size,
        .size = entry->value.size,
    };
    if (tarn_buffer_append(&s->bytes, entry->value) != TARN_OK) {
        return tarn__fail_no_memory(error, "a value", entry->value.size);
    }
    s->count++;
    return TARN_OK;
}

/* Takes all entries of the least key. Rows of key groups that a border file brought along are none
 * of the subtask's. */
static tarn_status gather(comparison *c, tarn_error *error)
{
    for (int i = 0; i < SIDES; i++) {
        c->sides[i].count = 0;
        c->sides[i].bytes.size = 0;
    }
    bool is_first = true;
    while (c->heap_count > 0) {
        tarn__diff_input *in = c->heap[0];
        if (!in->is_open) { /* So far its first key alone was known. */
            TARN_TRY(advance(c, error));
            continue;
        }
        if (is_first && tarn_buffer_assign(&c->key, in->entry.key) != TARN_OK) {
            return tarn__fail_no_memory(error, "a row", in->entry.key.size);
        }
        if (!is_first && !tarn_bytes_is_equal(tarn_buffer_bytes(&c->key), in->entry.key)) {
            return TARN_OK;
        }
        is_first = false;
        if (is_own(in->subtask, in->entry.key)) {
            TARN_TRY(add_version(c, &c->sides[in->side], &in->entry, error));
        }
        TARN_TRY(advance(c, error));
        show_progress(c);
    }
    return is_first ? TARN_DONE : TARN_OK;
}

/* ---- range deletions -------------------------------------------------------------------- */

/* Keys come in order: ranges that begin become active, those that end leave. */
static void move_ranges(comparison *c)
{
    const tarn_bytes key = tarn_buffer_bytes(&c->key);
    while (c->next_range < c->job->range_count &&
           tarn__diff_compare(c->job->ranges[c->next_range].first, key) <= 0) {
        c->active[c->active_count++] = &c->job->ranges[c->next_range++];
    }
    uint32_t kept = 0;
    c->sides[0].deleted_before = 0;
    c->sides[1].deleted_before = 0;
    for (uint32_t i = 0; i < c->active_count; i++) {
        tarn__diff_range *range = c->active[i];
        if (tarn__diff_compare(key, range->end) >= 0) {
            continue;
        }
        c->active[kept++] = range;
        side *s = &c->sides[range->side];
        if (is_own(range->subtask, key) && range->sequence > s->deleted_before) {
            s->deleted_before = range->sequence;
        }
    }
    c->active_count = kept;
}

/* ---- what a side says ------------------------------------------------------------------- */

static int compare_versions(const void *a, const void *b)
{
    const uint64_t x = ((const version *)a)->sequence;
    const uint64_t y = ((const version *)b)->sequence;
    return (x < y) - (x > y); /* The newest first. */
}

static tarn_bytes value_of(const side *s, uint32_t i)
{
    return tarn_bytes_at(s->bytes.data + s->versions[i].offset, s->versions[i].size);
}

/* Folds the values 0 .. last, the oldest first, as the merge operator would. False: they are none
 * that fold. */
static bool fold(side *s, uint32_t last)
{
    tarn__reduction folded = {.tag = 0};
    uint8_t bytes[TARN__REDUCTION_BYTES_MAX];
    for (uint32_t i = last + 1; i > 0; i--) {
        tarn__reduction one;
        if (!tarn__reduction_decode(value_of(s, i - 1), &one)) {
            return false;
        }
        if (i == last + 1) {
            folded = one;
        } else if (!tarn__reduction_fold(&folded, &one)) {
            return false;
        }
    }
    const size_t size = tarn__reduction_encode(&folded, bytes);
    return tarn_buffer_assign(&s->outcome, tarn_bytes_at(bytes, size)) == TARN_OK;
}

/* Sets kind and outcome. */
static tarn_status resolve(side *s, tarn_error *error)
{
    s->kind = NOTHING;
    s->outcome.size = 0;
    if (s->count > 1) {
        qsort(s->versions, s->count, sizeof *s->versions, compare_versions);
    }
    s->newest = s->count > 0 ? s->versions[0].sequence : 0;
    uint32_t values = 0; /* Operands, and at last a value. */
    for (uint32_t i = 0; i < s->count; i++) {
        const version *v = &s->versions[i];
        const bool is_deletion = v->type != TARN__TABLE_VALUE && v->type != TARN__TABLE_MERGE;
        if (is_deletion || v->sequence < s->deleted_before) {
            s->kind = values > 0 ? WHOLE : DELETED;
            break;
        }
        values++;
        s->kind = v->type == TARN__TABLE_VALUE ? WHOLE : PARTIAL;
        if (s->kind == WHOLE) {
            break;
        }
    }
    if (values == 0) {
        return TARN_OK;
    }
    if (values > 1 && fold(s, values - 1)) {
        return TARN_OK;
    }
    for (uint32_t i = 0; i < values; i++) {
        if (tarn_buffer_append(&s->outcome, value_of(s, i)) != TARN_OK) {
            return tarn__fail_no_memory(error, "a value", s->versions[i].size);
        }
    }
    return TARN_OK;
}

/* ---- the verdict ------------------------------------------------------------------------ */

static tarn_status show_row(const comparison *c, tarn_diff_change change, tarn_error *error)
{
    const tarn__diff_job *job = c->job;
    if (job->options->visit_row == NULL) {
        return TARN_OK;
    }
    const tarn_bytes key = tarn_buffer_bytes(&c->key);
    const uint8_t *data = key.data;
    tarn_diff_row row = {
        .operator_name = job->out->operator_name,
        .state = job->out->name,
        .change = change,
        .key_group = (uint32_t)data[0] << 8 | data[1],
        .key = key,
    };
    tarn__row decoded;
    if (job->layout != NULL && job->layout->descriptor.kind == TARN__STATE_TIMERS) {
        (void)tarn__rows_key_of(job->layout, key, &row.key);
    } else if (
        job->layout != NULL &&
        tarn__row_decode_as(
            key,
            (job->layout->descriptor.flags & TARN__STATE_NAMESPACE_FIRST) != 0
                ? TARN__ROW_NAMESPACE_FIRST
                : TARN__ROW_KEY_FIRST,
            &decoded)) {
        row.key = decoded.key;
        row.name_space = decoded.name_space;
        row.user_key = decoded.user_key;
    }
    return job->options->visit_row(&row, job->options->context)
               ? TARN_OK
               : tarn__fail(error, TARN_ABANDONED, "the visitor stopped the comparison");
}

/*
 * Whether the second side's own files have an entry newer than any of the first's. What the row was
 * in between may be in a file of both, which nobody reads: the first's own entries do not say what
 * the first checkpoint had. A compaction never makes a number greater: it keeps it, or takes it
 * away where nothing older is left, in a file of both neither.
 */
static bool is_written_since(const comparison *c, const side *first, const side *second)
{
    return !c->job->is_exact && (first->kind == NOTHING || second->newest > first->newest);
}

/* Operands become a value when a compaction finds that nothing is below them: kinds may differ. */
static bool is_same(const comparison *c, const side *first, const side *second)
{
    return !is_written_since(c, first, second) &&
           tarn_bytes_is_equal(
               tarn_buffer_bytes(&first->outcome), tarn_buffer_bytes(&second->outcome));
}

static tarn_status judge(comparison *c, tarn_error *error)
{
    const side *first = &c->sides[0];
    const side *second = &c->sides[1];
    tarn_diff_state *out = c->job->out;
    const bool had = first->kind == WHOLE || first->kind == PARTIAL;
    const bool has = second->kind == WHOLE || second->kind == PARTIAL;
    if (has && had) {
        if (is_same(c, first, second)) {
            out->same_count++;
            return TARN_OK;
        }
        out->changed_count++;
        return show_row(c, TARN_DIFF_CHANGED, error);
    }
    if (has) {
        out->put_count++;
        return show_row(c, TARN_DIFF_PUT, error);
    }
    if (had || (second->kind == DELETED && is_written_since(c, first, second))) {
        out->removed_count++;
        return show_row(c, TARN_DIFF_REMOVED, error);
    }
    return TARN_OK; /* Deleted before and after, or a mark of deletion that is gone. */
}

static tarn_status compare_all(comparison *c, tarn_error *error)
{
    tarn_status status = TARN_OK;
    while ((status = gather(c, error)) == TARN_OK) {
        move_ranges(c);
        TARN_TRY(resolve(&c->sides[0], error));
        TARN_TRY(resolve(&c->sides[1], error));
        TARN_TRY(judge(c, error));
    }
    return status == TARN_DONE ? TARN_OK : status;
}

/* Ranges that only the second side has. */
static uint64_t count_ranges(const tarn__diff_job *job)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < job->range_count; i++) {
        const tarn__diff_range *range = &job->ranges[i];
        bool is_new = range->side == 1;
        for (uint32_t j = i; is_new && j > 0; j--) {
            if (tarn__diff_compare(job->ranges[j - 1].first, range->first) != 0) {
                break;
            }
            is_new = job->ranges[j - 1].side == 1 || job->ranges[j - 1].sequence != range->sequence;
        }
        count += is_new ? 1 : 0;
    }
    return count;
}

tarn_status tarn__diff_state(const tarn__diff_job *job, tarn_error *error)
{
    const tarn_allocator *allocator = &job->account->face;
    comparison c = {.job = job, .key = {.allocator = allocator}};
    for (int i = 0; i < SIDES; i++) {
        c.sides[i].bytes.allocator = allocator;
        c.sides[i].outcome.allocator = allocator;
    }
    c.active = tarn__allocate_zeroed(job->account, job->range_count + 1, sizeof(void *));
    tarn_status status = TARN_OK;
    if (c.active == NULL) {
        status = tarn__fail_no_memory(error, "range deletions", job->range_count);
    } else {
        build(&c);
        status = compare_all(&c, error);
        job->out->range_count += count_ranges(job);
    }
    for (uint32_t i = 0; i < job->input_count; i++) {
        tarn__diff_close(job->inputs[i]);
    }
    for (int i = 0; i < SIDES; i++) {
        tarn__release(c.sides[i].versions);
        tarn_buffer_clear(&c.sides[i].bytes);
        tarn_buffer_clear(&c.sides[i].outcome);
    }
    tarn__release((void *)c.active);
    tarn_buffer_clear(&c.key);
    return status;
}
