/*
 * diff.c - two checkpoints compared, operator by operator.
 *
 *     operator ──► files of both sides ──► those that both have are left out ──► look at each
 *                                                                                    │
 *         visit_state ◄── tables of a state, compared (diff_state.c) ◄── sorted by state
 */
#include "snapshot/diff.h"

#include <stdlib.h>
#include <string.h>

#include "tarn/savepoint.h"

#include "base/options.h"
#include "base/try.h"
#include "snapshot/registry.h"

enum { SIDES = 2 };

static const char DEFAULT_FAMILY[] = "default";

typedef struct differ {
    tarn_diff_options options;
    const tarn_checkpoint *checkpoints[SIDES];
    tarn__account account;
    tarn_diff_stats stats;
    uint64_t done_bytes;
    uint64_t total_bytes;
    /* Of the operator at hand: */
    tarn__arena arena;
    const char *name;
    const tarn__subtask *subtasks[SIDES]; /* [counts]; neighbours in the metadata. */
    uint32_t counts[SIDES];
    tarn__diff_input *inputs;  /* [input_count], owned. */
    tarn__diff_input **sorted; /* [input_count], owned: by state. */
    uint32_t input_count;
    tarn__diff_range *ranges; /* [range_count], owned. */
    uint32_t range_count;
    uint32_t range_capacity;
    const tarn__diff_input *looked_at;
    bool is_exact; /* No file is left out. */
} differ;

void tarn_diff_options_init(tarn_diff_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

/* ---- which files ------------------------------------------------------------------------ */

static bool is_canonical(const tarn_checkpoint *checkpoint)
{
    return checkpoint->summary.form == TARN_FORM_CANONICAL;
}

/* Whether subtasks of both sides hold the same key groups, so that a file of both says the same. */
static bool has_same_shape(const differ *d)
{
    return d->counts[0] == d->counts[1] && !is_canonical(d->checkpoints[0]) &&
           !is_canonical(d->checkpoints[1]) &&
           d->subtasks[0]->parallelism == d->subtasks[1]->parallelism;
}

static bool holds_rows(const tarn_checkpoint *checkpoint, const tarn__file_part *file)
{
    return is_canonical(checkpoint) || tarn__file_is_table(file);
}

static void add_input(differ *d, uint8_t side, const tarn__subtask *subtask, uint32_t file)
{
    d->inputs[d->input_count++] = (tarn__diff_input){
        .checkpoint = d->checkpoints[side],
        .subtask = subtask,
        .file = &subtask->files[file],
        .side = side,
        .is_canonical = is_canonical(d->checkpoints[side]),
    };
    const uint64_t size = subtask->files[file].content.size;
    d->total_bytes += size;
    *(side == 0 ? &d->stats.first_count : &d->stats.second_count) += 1;
    *(side == 0 ? &d->stats.first_bytes : &d->stats.second_bytes) += size;
}

/* Adds the files of a subtask that other, if it is given, has not. */
static tarn_status add_subtask(
    differ *d,
    uint8_t side,
    const tarn__subtask *subtask,
    const tarn__subtask *other,
    tarn_error *error)
{
    tarn__registry known;
    tarn__registry_init(&known, &d->account);
    tarn_status status = TARN_OK;
    for (uint32_t i = 0; other != NULL && status == TARN_OK && i < other->file_count; i++) {
        tarn__content_state before = TARN__CONTENT_ABSENT;
        const tarn__content identity = tarn__file_identity(&other->files[i]);
        if (other->files[i].is_shared) {
            status = tarn__registry_ref(&known, &identity, &before, error);
        }
    }
    for (uint32_t i = 0; status == TARN_OK && i < subtask->file_count; i++) {
        const tarn__file_part *file = &subtask->files[i];
        const tarn__content identity = tarn__file_identity(file);
        if (file->is_shared && tarn__registry_state(&known, &identity) != TARN__CONTENT_ABSENT) {
            d->is_exact = false;
            d->stats.shared_count += side == 0 ? 1 : 0;
            d->stats.shared_bytes += side == 0 ? file->content.size : 0;
        } else if (holds_rows(d->checkpoints[side], file)) {
            add_input(d, side, subtask, i);
        }
    }
    tarn__registry_clear(&known);
    return status;
}

static tarn_status choose_files(differ *d, tarn_error *error)
{
    size_t room = 1;
    for (int side = 0; side < SIDES; side++) {
        for (uint32_t i = 0; i < d->counts[side]; i++) {
            room += d->subtasks[side][i].file_count;
        }
    }
    d->input_count = 0;
    d->is_exact = true;
    d->inputs = tarn__allocate_zeroed(&d->account, room, sizeof *d->inputs);
    d->sorted = tarn__allocate_zeroed(&d->account, room, sizeof(tarn__diff_input *));
    if (d->inputs == NULL || d->sorted == NULL) {
        return tarn__fail_no_memory(error, "the files of an operator", room * sizeof *d->inputs);
    }
    const bool pairs = d->counts[0] > 0 && has_same_shape(d);
    for (int side = 0; side < SIDES; side++) {
        for (uint32_t i = 0; i < d->counts[side]; i++) {
            const tarn__subtask *other = pairs ? &d->subtasks[1 - side][i] : NULL;
            TARN_TRY(add_subtask(d, (uint8_t)side, &d->subtasks[side][i], other, error));
        }
    }
    return TARN_OK;
}

/* ---- what is in them -------------------------------------------------------------------- */

static tarn_status take_range(const tarn__table_entry *entry, void *context, tarn_error *error)
{
    differ *d = context;
    if (d->range_count == d->range_capacity) {
        const uint32_t capacity = d->range_capacity == 0 ? 16 : 2 * d->range_capacity;
        tarn__diff_range *ranges =
            tarn__reallocate(&d->account, d->ranges, capacity * sizeof *ranges);
        if (ranges == NULL) {
            return tarn__fail_no_memory(error, "range deletions", capacity * sizeof *ranges);
        }
        d->ranges = ranges;
        d->range_capacity = capacity;
    }
    const void *first = tarn__arena_copy(&d->arena, entry->key);
    const void *end = tarn__arena_copy(&d->arena, entry->value);
    if (first == NULL || end == NULL) {
        return tarn__fail_no_memory(error, "a range deletion", entry->key.size);
    }
    d->ranges[d->range_count++] = (tarn__diff_range){
        .family = d->looked_at->family,
        .subtask = d->looked_at->subtask,
        .first = tarn_bytes_at(first, entry->key.size),
        .end = tarn_bytes_at(end, entry->value.size),
        .sequence = entry->sequence,
        .side = d->looked_at->side,
    };
    return TARN_OK;
}

static int compare_inputs(const void *a, const void *b)
{
    const tarn__diff_input *const *x = a;
    const tarn__diff_input *const *y = b;
    return strcmp((*x)->family, (*y)->family);
}

static int compare_ranges(const void *a, const void *b)
{
    const tarn__diff_range *x = a;
    const tarn__diff_range *y = b;
    int order = strcmp(x->family, y->family);
    order = order != 0 ? order : tarn__diff_compare(x->first, y->first);
    return order != 0 ? order : (x->side > y->side) - (x->side < y->side);
}

static tarn_status look_at_files(differ *d, tarn_error *error)
{
    d->range_count = 0;
    for (uint32_t i = 0; i < d->input_count; i++) {
        d->looked_at = &d->inputs[i];
        d->sorted[i] = &d->inputs[i];
        TARN_TRY(tarn__diff_look(&d->inputs[i], &d->arena, take_range, d, error));
    }
    if (d->input_count > 1) {
        qsort((void *)d->sorted, d->input_count, sizeof(tarn__diff_input *), compare_inputs);
    }
    if (d->range_count > 1) {
        qsort(d->ranges, d->range_count, sizeof *d->ranges, compare_ranges);
    }
    return TARN_OK;
}

/* ---- states ----------------------------------------------------------------------------- */

/* How the rows of states are laid out. Only who shows rows wants to know. */
static tarn_status find_layouts(differ *d, tarn__table_states *states, tarn_error *error)
{
    for (int side = SIDES; side > 0; side--) {
        if (d->options.visit_row != NULL && d->counts[side - 1] > 0 && states->first == NULL &&
            !is_canonical(d->checkpoints[side - 1])) {
            TARN_TRY(tarn__table_states_find(
                states, d->checkpoints[side - 1]->storage, d->subtasks[side - 1], error));
        }
    }
    return TARN_OK;
}

static const tarn__rows_state *find_layout(
    const differ *d,
    const tarn__table_states *layouts,
    const char *name,
    uint32_t first,
    uint32_t end)
{
    const tarn__rows_state *layout = tarn__table_states_get(layouts, name);
    for (uint32_t i = first; layout == NULL && i < end; i++) {
        layout = d->sorted[i]->layout;
    }
    return layout;
}

static void tell_state(const differ *d, const tarn_diff_state *state)
{
    if (d->options.visit_state != NULL) {
        d->options.visit_state(state, d->options.context);
    }
}

static tarn_status compare_state(
    differ *d, const tarn__state_part *state, const tarn__table_states *layouts, tarn_error *error)
{
    tarn_diff_state out = {.operator_name = d->name, .name = state->name, .kind = state->kind};
    uint32_t first = 0;
    while (first < d->input_count && strcmp(d->sorted[first]->family, state->name) != 0) {
        first++;
    }
    uint32_t end = first;
    while (end < d->input_count && strcmp(d->sorted[end]->family, state->name) == 0) {
        end++;
    }
    uint32_t range = 0;
    while (range < d->range_count && strcmp(d->ranges[range].family, state->name) != 0) {
        range++;
    }
    uint32_t range_end = range;
    while (range_end < d->range_count && strcmp(d->ranges[range_end].family, state->name) == 0) {
        range_end++;
    }
    const tarn__diff_job job = {
        .options = &d->options,
        .account = &d->account,
        .inputs = d->sorted + first,
        .input_count = end - first,
        .ranges = d->ranges + range,
        .range_count = range_end - range,
        .layout = find_layout(d, layouts, state->name, first, end),
        .is_exact = d->is_exact,
        .out = &out,
        .stats = &d->stats,
        .done_bytes = &d->done_bytes,
        .total_bytes = d->total_bytes,
    };
    TARN_TRY(tarn__diff_state(&job, error));
    tell_state(d, &out);
    return TARN_OK;
}

static int compare_parts(const void *a, const void *b)
{
    const tarn__state_part *const *x = a;
    const tarn__state_part *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* The states of the operator by name, each once. */
static tarn_status list_states(
    differ *d, const tarn__state_part ***out, uint32_t *count_out, tarn_error *error)
{
    size_t room = 1;
    for (int side = 0; side < SIDES; side++) {
        for (uint32_t i = 0; i < d->counts[side]; i++) {
            room += d->subtasks[side][i].state_count;
        }
    }
    const tarn__state_part **parts = tarn__arena_allocate(&d->arena, room, sizeof *parts);
    if (parts == NULL) {
        return tarn__fail_no_memory(error, "the states of an operator", room);
    }
    size_t count = 0;
    for (int side = 0; side < SIDES; side++) {
        for (uint32_t i = 0; i < d->counts[side]; i++) {
            for (uint32_t j = 0; j < d->subtasks[side][i].state_count; j++) {
                parts[count++] = &d->subtasks[side][i].states[j];
            }
        }
    }
    if (count > 1) {
        qsort((void *)parts, count, sizeof *parts, compare_parts);
    }
    uint32_t unique = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(parts[i - 1]->name, parts[i]->name) != 0) {
            parts[unique++] = parts[i];
        }
    }
    *out = parts;
    *count_out = unique;
    return TARN_OK;
}

static tarn_status compare_states(differ *d, tarn_error *error)
{
    const tarn__state_part **parts = NULL;
    uint32_t count = 0;
    TARN_TRY(list_states(d, &parts, &count, error));
    tarn__table_states layouts;
    tarn__table_states_init(&layouts, &d->account);
    tarn_status status = find_layouts(d, &layouts, error);
    for (uint32_t i = 0; status == TARN_OK && i < count; i++) {
        if (strcmp(parts[i]->name, DEFAULT_FAMILY) != 0) {
            status = compare_state(d, parts[i], &layouts, error);
        }
    }
    tarn__table_states_clear(&layouts);
    return status;
}

/* ---- operator state --------------------------------------------------------------------- */

static const tarn__piece_part *find_piece(const tarn__subtask *subtask, const char *name)
{
    for (uint32_t i = 0; i < subtask->piece_count; i++) {
        if (strcmp(subtask->pieces[i].name, name) == 0) {
            return &subtask->pieces[i];
        }
    }
    return NULL;
}

static const tarn__piece_part *find_other(
    const differ *d, int side, uint32_t index, const char *name)
{
    const tarn__subtask *subtask = &d->subtasks[side][index];
    for (uint32_t i = 0; i < d->counts[1 - side]; i++) {
        if (d->subtasks[1 - side][i].subtask_index == subtask->subtask_index) {
            return find_piece(&d->subtasks[1 - side][i], name);
        }
    }
    return NULL;
}

/* A piece is compared with that of the same subtask: parts that moved elsewhere show as such. */
static void count_piece(
    const differ *d, int side, uint32_t index, const tarn__piece_part *piece, tarn_diff_state *out)
{
    const tarn__piece_part *other = find_other(d, side, index, piece->name);
    if (other == NULL) {
        *(side == 0 ? &out->removed_count : &out->put_count) += 1;
    } else if (side == 1) { /* What both have is counted once. */
        *(tarn_bytes_is_equal(other->bytes, piece->bytes) ? &out->same_count
                                                          : &out->changed_count) += 1;
    }
}

/* Whether no subtask before has a piece of this name. */
static bool is_first_piece(const differ *d, int side, uint32_t index, const char *name)
{
    for (int s = 0; s <= side; s++) {
        const uint32_t end = s == side ? index : d->counts[s];
        for (uint32_t i = 0; i < end; i++) {
            if (find_piece(&d->subtasks[s][i], name) != NULL) {
                return false;
            }
        }
    }
    return true;
}

/* The pieces of one name, over all subtasks. */
static void compare_pieces_of(const differ *d, const char *name)
{
    tarn_diff_state out = {.operator_name = d->name, .name = name, .kind = "operator"};
    for (int side = 0; side < SIDES; side++) {
        for (uint32_t i = 0; i < d->counts[side]; i++) {
            const tarn__piece_part *piece = find_piece(&d->subtasks[side][i], name);
            if (piece != NULL) {
                count_piece(d, side, i, piece, &out);
            }
        }
    }
    tell_state(d, &out);
}

static void compare_pieces(const differ *d)
{
    for (int side = 0; side < SIDES; side++) {
        for (uint32_t i = 0; i < d->counts[side]; i++) {
            for (uint32_t j = 0; j < d->subtasks[side][i].piece_count; j++) {
                const char *name = d->subtasks[side][i].pieces[j].name;
                if (is_first_piece(d, side, i, name)) {
                    compare_pieces_of(d, name);
                }
            }
        }
    }
}

/* ---- operators -------------------------------------------------------------------------- */

static tarn_status check_groups(const differ *d, tarn_error *error)
{
    if (d->counts[0] == 0 || d->counts[1] == 0 || !d->subtasks[0]->has_keyed_state ||
        !d->subtasks[1]->has_keyed_state) {
        return TARN_OK;
    }
    const tarn__subtask *a = d->subtasks[0];
    const tarn__subtask *b = d->subtasks[1];
    return a->max_parallelism == b->max_parallelism && a->key_hash == b->key_hash
               ? TARN_OK
               : tarn__fail(
                     error,
                     TARN_INCOMPATIBLE,
                     "operator \"%s\" has %u key groups in %.150s and %u in %.150s, or another key "
                     "hash: its rows lie elsewhere",
                     d->name,
                     a->max_parallelism,
                     d->checkpoints[0]->path,
                     b->max_parallelism,
                     d->checkpoints[1]->path);
}

static tarn_status compare_operator(differ *d, tarn_error *error)
{
    TARN_TRY(check_groups(d, error));
    tarn__arena_init(&d->arena, &d->account);
    tarn_status status = choose_files(d, error);
    if (status == TARN_OK) {
        status = look_at_files(d, error);
    }
    if (status == TARN_OK) {
        status = compare_states(d, error);
    }
    if (status == TARN_OK) {
        compare_pieces(d);
    }
    tarn__release((void *)d->sorted);
    tarn__release(d->inputs);
    d->sorted = NULL;
    d->inputs = NULL;
    tarn__arena_clear(&d->arena);
    return status;
}

/* Takes the next operator of either side by name; false: both are at their end. */
static bool next_operator(differ *d, uint32_t at[SIDES])
{
    d->name = NULL;
    for (int side = 0; side < SIDES; side++) {
        const tarn__metadata *metadata = &d->checkpoints[side]->metadata;
        if (at[side] < metadata->subtask_count) {
            const char *name = metadata->subtasks[at[side]].operator_name;
            d->name = d->name == NULL || strcmp(name, d->name) < 0 ? name : d->name;
        }
    }
    for (int side = 0; d->name != NULL && side < SIDES; side++) {
        const tarn__metadata *metadata = &d->checkpoints[side]->metadata;
        d->subtasks[side] = metadata->subtasks + at[side];
        d->counts[side] = 0;
        while (at[side] < metadata->subtask_count &&
               strcmp(metadata->subtasks[at[side]].operator_name, d->name) == 0) {
            d->counts[side]++;
            at[side]++;
        }
    }
    return d->name != NULL;
}

tarn_status tarn_checkpoint_diff(
    const tarn_diff_options *options, tarn_diff_stats *stats, tarn_error *error)
{
    differ d = {.done_bytes = 0};
    TARN_TRY(tarn__options_copy("tarn_diff_options", options, &d.options, sizeof d.options, error));
    if (d.options.first == NULL || d.options.second == NULL) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s is missing",
            d.options.first == NULL ? "first" : "second");
    }
    d.checkpoints[0] = d.options.first;
    d.checkpoints[1] = d.options.second;
    /* An account of its own: checkpoints are immutable. */
    tarn__account_init(&d.account, "comparison", d.options.first->account.below);
    uint32_t at[SIDES] = {0, 0};
    tarn_status status = TARN_OK;
    while (status == TARN_OK && next_operator(&d, at)) {
        status = compare_operator(&d, error);
    }
    tarn__release(d.ranges);
    if (status == TARN_OK && stats != NULL) {
        *stats = d.stats;
    }
    return status;
}
