/*
 * operator_restore.c - the states of an operator out of a checkpoint, at any parallelism.
 *
 *     pieces of all old subtasks ──decode, sort──► groups: one state each
 *                                                     │  parts by subtask, then by number
 *                   split: a slice of all elements    │
 *                   union: all elements               ├──► this subtask's state
 *                   broadcast: one subtask's copy     │
 *
 * At the parallelism of the checkpoint split lists stay where they are, and every subtask keeps its
 * own broadcast copy. A subtask that had finished has no parts; it counts for nothing.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/try.h"
#include "state/operator_split.h"
#include "state/operator_store.h"

typedef struct part {
    uint32_t subtask;
    tarn__operator_part decoded;
} part;

/* The parts of one state. */
typedef struct group {
    const part *parts;
    size_t count;
} group;

typedef struct restoration {
    tarn_operator_store *store;
    const tarn__operator_source *source;
    part *parts; /* [part_count], sorted. */
    size_t part_count;
    group *groups; /* [group_count], by name. */
    size_t group_count;
    tarn__operator_state *state; /* That is being filled. */
} restoration;

/* ---- reading ----------------------------------------------------------------------------- */

static int compare_numbers(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

static int compare_parts(const void *left, const void *right)
{
    const part *a = left;
    const part *b = right;
    int order = tarn_bytes_compare(a->decoded.descriptor.name, b->decoded.descriptor.name);
    if (order == 0) {
        order = compare_numbers(a->subtask, b->subtask);
    }
    return order != 0 ? order : compare_numbers(a->decoded.part_index, b->decoded.part_index);
}

/* Decodes the pieces that a store wrote; others are the operator's own. */
static tarn_status decode_parts(restoration *r, tarn_error *error)
{
    const tarn__operator_source *source = r->source;
    for (size_t i = 0; i < source->piece_count; i++) {
        part *decoded = &r->parts[r->part_count];
        decoded->subtask = source->pieces[i].subtask;
        const tarn_status status =
            tarn__operator_part_decode(source->pieces[i].bytes, &decoded->decoded, error);
        if (status == TARN_NOT_FOUND) {
            continue;
        }
        if (status != TARN_OK) {
            tarn__error_prefix(
                error, "operator %s/%" PRIu32, r->store->operator_name, decoded->subtask);
            return status;
        }
        r->part_count++;
    }
    if (r->part_count > 1) {
        qsort(r->parts, r->part_count, sizeof *r->parts, compare_parts);
    }
    return TARN_OK;
}

static bool is_same(const tarn__operator_descriptor *a, const tarn__operator_descriptor *b)
{
    return a->kind == b->kind && a->redistribution == b->redistribution &&
           a->codec_version == b->codec_version &&
           tarn_bytes_is_equal(a->codec_name, b->codec_name);
}

static tarn_status refuse_contradiction(
    const restoration *r, const part *a, const part *b, tarn_error *error)
{
    const tarn__operator_descriptor *one = &a->decoded.descriptor;
    const tarn__operator_descriptor *other = &b->decoded.descriptor;
    return tarn__fail(
        error,
        TARN_INCOMPATIBLE,
        "operator state \"%.*s\" of %s is a %s, %s, of codec %.*s version %" PRIu32
        " in subtask %" PRIu32 ", and a %s, %s, of codec %.*s version %" PRIu32
        " in subtask %" PRIu32,
        (int)one->name.size,
        (const char *)one->name.data,
        r->store->operator_name,
        tarn__operator_kind_name(one->kind),
        tarn__redistribution_name(one->redistribution),
        (int)one->codec_name.size,
        (const char *)one->codec_name.data,
        one->codec_version,
        a->subtask,
        tarn__operator_kind_name(other->kind),
        tarn__redistribution_name(other->redistribution),
        (int)other->codec_name.size,
        (const char *)other->codec_name.data,
        other->codec_version,
        b->subtask);
}

/* Whether next may follow previous (NULL: it is the first of a state) in its group. */
static tarn_status check_sequence(
    const restoration *r, const part *previous, const part *next, tarn_error *error)
{
    const bool begins = previous == NULL || previous->subtask != next->subtask;
    const uint32_t expected = begins ? 0 : previous->decoded.part_index + 1;
    const bool is_cut_short = begins && previous != NULL &&
                              previous->decoded.part_index + 1 != previous->decoded.part_count;
    const bool is_of_another = !begins && previous->decoded.part_count != next->decoded.part_count;
    if (next->decoded.part_index != expected || is_cut_short || is_of_another) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "operator state \"%.*s\" of %s/%" PRIu32 " does not have all of its parts",
            (int)next->decoded.descriptor.name.size,
            (const char *)next->decoded.descriptor.name.data,
            r->store->operator_name,
            is_cut_short ? previous->subtask : next->subtask);
    }
    if (previous != NULL && !is_same(&previous->decoded.descriptor, &next->decoded.descriptor)) {
        return refuse_contradiction(r, previous, next, error);
    }
    return TARN_OK;
}

static tarn_status check_group(const restoration *r, const group *g, tarn_error *error)
{
    for (size_t i = 0; i < g->count; i++) {
        TARN_TRY(check_sequence(r, i > 0 ? &g->parts[i - 1] : NULL, &g->parts[i], error));
    }
    const part *last = &g->parts[g->count - 1];
    if (last->decoded.part_index + 1 != last->decoded.part_count) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "operator state \"%.*s\" of %s/%" PRIu32 " has %" PRIu32 " of %" PRIu32 " parts",
            (int)last->decoded.descriptor.name.size,
            (const char *)last->decoded.descriptor.name.data,
            r->store->operator_name,
            last->subtask,
            last->decoded.part_index + 1,
            last->decoded.part_count);
    }
    return TARN_OK;
}

static tarn_status group_parts(restoration *r, tarn_error *error)
{
    for (size_t i = 0; i < r->part_count; i++) {
        const bool begins = i == 0 || !tarn_bytes_is_equal(
                                          r->parts[i - 1].decoded.descriptor.name,
                                          r->parts[i].decoded.descriptor.name);
        if (begins) {
            r->groups[r->group_count++] = (group){.parts = &r->parts[i]};
        }
        r->groups[r->group_count - 1].count++;
    }
    for (size_t i = 0; i < r->group_count; i++) {
        TARN_TRY(check_group(r, &r->groups[i], error));
    }
    return TARN_OK;
}

/* ---- dealing out ------------------------------------------------------------------------- */

static uint64_t count_elements(const group *g)
{
    uint64_t count = 0;
    for (size_t i = 0; i < g->count; i++) {
        count += g->parts[i].decoded.element_count;
    }
    return count;
}

/* Appends a slice of a group's elements, counted over all its parts. */
static tarn_status take_slice(
    const restoration *r, const group *g, tarn__slice slice, tarn_error *error)
{
    uint64_t before = 0; /* Elements of the parts passed so far. */
    const uint64_t end = slice.first + slice.count;
    for (size_t i = 0; i < g->count && before < end; i++) {
        const tarn__operator_part *decoded = &g->parts[i].decoded;
        const uint64_t after = before + decoded->element_count;
        const uint64_t from = slice.first > before ? slice.first : before;
        const uint64_t to = end < after ? end : after;
        if (from < to) {
            TARN_TRY(tarn__operator_list_take(
                (tarn_operator_list *)r->state,
                decoded->elements,
                from - before,
                to - from,
                error));
        }
        before = after;
    }
    return TARN_OK;
}

/* The elements of one old subtask within its group; count 0 when it has none. */
static tarn__slice slice_of_subtask(const group *g, uint32_t subtask)
{
    tarn__slice slice = {0, 0};
    for (size_t i = 0; i < g->count; i++) {
        const uint64_t count = g->parts[i].decoded.element_count;
        if (g->parts[i].subtask < subtask) {
            slice.first += count;
        } else if (g->parts[i].subtask == subtask) {
            slice.count += count;
        }
    }
    return slice;
}

/* The subtask whose copy of a broadcast map this one gets. */
static uint32_t choose_copy(const restoration *r, const group *g)
{
    const uint32_t own = r->store->subtask_index;
    uint32_t copy_count = 0;
    for (size_t i = 0; i < g->count; i++) {
        const bool is_copy = g->parts[i].decoded.part_index == 0;
        if (is_copy && g->parts[i].subtask == own &&
            r->source->parallelism == r->store->parallelism) {
            return own;
        }
        copy_count += is_copy ? 1 : 0;
    }
    assert(copy_count > 0);
    uint32_t position = own % copy_count;
    size_t at = 0;
    while (g->parts[at].decoded.part_index != 0 || position > 0) {
        position -= g->parts[at].decoded.part_index == 0 ? 1 : 0;
        at++;
    }
    return g->parts[at].subtask;
}

static tarn_status take_copy(const restoration *r, const group *g, tarn_error *error)
{
    const uint32_t chosen = choose_copy(r, g);
    for (size_t i = 0; i < g->count; i++) {
        if (g->parts[i].subtask != chosen) {
            continue;
        }
        tarn_bytes rest = g->parts[i].decoded.elements;
        tarn__operator_element element;
        while (tarn__operator_element_next(TARN__OPERATOR_BROADCAST, &rest, &element)) {
            TARN_TRY(
                tarn_broadcast_put((tarn_broadcast *)r->state, element.key, element.value, error));
        }
    }
    return TARN_OK;
}

/* Creates the state of a group and fills it; start is where its first slice goes. */
static tarn_status restore_group(restoration *r, const group *g, uint32_t start, tarn_error *error)
{
    const tarn__operator_descriptor *descriptor = &g->parts[0].decoded.descriptor;
    const tarn_operator_store *store = r->store;
    TARN_TRY(tarn__operator_state_open(r->store, descriptor, &r->state, error));
    const uint64_t total = count_elements(g);
    switch (descriptor->redistribution) {
    case TARN_REDISTRIBUTE_SPLIT:
        return take_slice(
            r,
            g,
            r->source->parallelism == store->parallelism
                ? slice_of_subtask(g, store->subtask_index)
                : tarn__operator_split(total, store->subtask_index, store->parallelism, start),
            error);
    case TARN_REDISTRIBUTE_UNION:
        return take_slice(r, g, (tarn__slice){.first = 0, .count = total}, error);
    case TARN_REDISTRIBUTE_BROADCAST:
        return take_copy(r, g, error);
    case TARN_REDISTRIBUTE_DEFAULT:
        break;
    }
    assert(false); /* tarn__operator_part_decode() lets no other value through. */
    return TARN_OK;
}

/* The position among all groups of the at-th split list to deal out, or group_count: no more. */
static size_t find_split(const restoration *r, size_t at)
{
    const tarn__operator_source *source = r->source;
    size_t seen = 0;
    for (size_t i = 0; i < r->group_count; i++) {
        const tarn__operator_descriptor *descriptor = &r->groups[i].parts[0].decoded.descriptor;
        if (descriptor->redistribution != TARN_REDISTRIBUTE_SPLIT) {
            continue;
        }
        const bool is_it =
            source->split_order == NULL
                ? seen == at
                : at < source->split_count &&
                      tarn_bytes_is_equal(descriptor->name, tarn_bytes_of(source->split_order[at]));
        if (is_it) {
            return i;
        }
        seen++;
    }
    return r->group_count;
}

static tarn_status restore_groups(restoration *r, tarn_error *error)
{
    uint32_t start = 0;
    for (size_t at = 0;; at++) {
        const size_t i = find_split(r, at);
        if (i == r->group_count) {
            break;
        }
        TARN_TRY(restore_group(r, &r->groups[i], start, error));
        start =
            tarn__operator_split_next(count_elements(&r->groups[i]), r->store->parallelism, start);
    }
    for (size_t i = 0; i < r->group_count; i++) {
        const tarn__operator_descriptor *descriptor = &r->groups[i].parts[0].decoded.descriptor;
        if (descriptor->redistribution != TARN_REDISTRIBUTE_SPLIT) {
            TARN_TRY(restore_group(r, &r->groups[i], 0, error));
        }
    }
    return TARN_OK;
}

tarn_status tarn__operator_restore(
    tarn_operator_store *store, const tarn__operator_source *source, tarn_error *error)
{
    if (source->piece_count == 0) {
        return TARN_OK;
    }
    restoration r = {.store = store, .source = source};
    void *parts = NULL;
    void *groups = NULL;
    tarn_status status =
        tarn__operator_allocate(store, source->piece_count * sizeof *r.parts, &parts, error);
    if (status == TARN_OK) {
        status =
            tarn__operator_allocate(store, source->piece_count * sizeof *r.groups, &groups, error);
    }
    r.parts = parts;
    r.groups = groups;
    if (status == TARN_OK) {
        status = decode_parts(&r, error);
    }
    if (status == TARN_OK) {
        status = group_parts(&r, error);
    }
    if (status == TARN_OK) {
        status = restore_groups(&r, error);
    }
    tarn__release(parts);
    tarn__release(groups);
    return status;
}

/* ---- from a checkpoint ------------------------------------------------------------------- */

/* Gathers the pieces of all subtasks of the store's operator; out NULL: counts them only. */
static tarn_status collect_pieces(
    const tarn_operator_store *store,
    const tarn_checkpoint *checkpoint,
    uint32_t parallelism,
    tarn__operator_piece *out,
    size_t *count_out,
    tarn_error *error)
{
    size_t count = 0;
    for (uint32_t i = 0; i < parallelism; i++) {
        uint32_t position = 0;
        if (tarn_checkpoint_find_subtask(checkpoint, store->operator_name, i, &position) !=
            TARN_OK) {
            return tarn__fail(
                error,
                TARN_INCOMPATIBLE,
                "%s has no subtask %" PRIu32 " of %" PRIu32 " of operator \"%s\"",
                tarn_checkpoint_path(checkpoint),
                i,
                parallelism,
                store->operator_name);
        }
        const tarn_checkpoint_subtask subtask = tarn_checkpoint_subtask_at(checkpoint, position);
        for (uint32_t k = 0; k < subtask.operator_state_count && out != NULL; k++) {
            out[count + k] = (tarn__operator_piece){
                .subtask = i,
                .bytes = tarn_checkpoint_operator_state_at(checkpoint, position, k).bytes,
            };
        }
        count += subtask.operator_state_count;
    }
    *count_out = count;
    return TARN_OK;
}

static tarn_status restore_checkpoint(
    tarn_operator_store *store, const tarn_checkpoint *checkpoint, tarn_error *error)
{
    uint32_t first = 0;
    if (tarn_checkpoint_find_subtask(checkpoint, store->operator_name, 0, &first) != TARN_OK) {
        return tarn__fail(
            error,
            TARN_INCOMPATIBLE,
            "%s has no operator \"%s\"",
            tarn_checkpoint_path(checkpoint),
            store->operator_name);
    }
    const uint32_t parallelism = tarn_checkpoint_subtask_at(checkpoint, first).parallelism;
    size_t count = 0;
    TARN_TRY(collect_pieces(store, checkpoint, parallelism, NULL, &count, error));
    if (count == 0) {
        return TARN_OK;
    }
    void *pieces = NULL;
    TARN_TRY(tarn__operator_allocate(store, count * sizeof(tarn__operator_piece), &pieces, error));
    tarn_status status = collect_pieces(store, checkpoint, parallelism, pieces, &count, error);
    if (status == TARN_OK) {
        const tarn__operator_source source = {
            .pieces = pieces,
            .piece_count = count,
            .parallelism = parallelism,
        };
        status = tarn__operator_restore(store, &source, error);
    }
    tarn__release(pieces);
    return status;
}

tarn_status tarn__operator_store_restore(
    const tarn__operator_store_options *options,
    const tarn_checkpoint *checkpoint,
    tarn_operator_store **out,
    tarn_error *error)
{
    tarn_operator_store *store = NULL;
    TARN_TRY(tarn__operator_store_open(options, &store, error));
    const tarn_status status = restore_checkpoint(store, checkpoint, error);
    if (status != TARN_OK) {
        const tarn_status closed = tarn_operator_store_close(store, NULL);
        assert(closed == TARN_OK);
        (void)closed;
        return status;
    }
    *out = store;
    return TARN_OK;
}
