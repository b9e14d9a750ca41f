/* operator_store.c - a store's life, and what its states have in common. */
#include "state/operator_store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/try.h"

void tarn_operator_store_options_init(tarn_operator_store_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

void tarn_operator_state_options_init(tarn_operator_state_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

/* ---- memory ------------------------------------------------------------------------------ */

tarn_status tarn__operator_refuse_memory(
    const tarn_operator_store *store, size_t bytes, tarn_error *error)
{
    const tarn_pool_stats pool = tarn_budget_pool(store->budget, TARN_POOL_HEAP);
    const bool is_limited = pool.limit_bytes != TARN_UNLIMITED;
    if (is_limited &&
        (pool.used_bytes > pool.limit_bytes || bytes > pool.limit_bytes - pool.used_bytes)) {
        return tarn__fail(
            error,
            TARN_OVER_BUDGET,
            "the operator state of %s/%" PRIu32 " cannot have %zu bytes more: the heap pool holds "
            "%" PRIu64 " of %" PRIu64,
            store->operator_name,
            store->subtask_index,
            bytes,
            pool.used_bytes,
            pool.limit_bytes);
    }
    return tarn__fail_no_memory(error, "operator state", bytes);
}

tarn_status tarn__operator_allocate(
    tarn_operator_store *store, size_t bytes, void **out, tarn_error *error)
{
    void *memory = tarn__allocate(store->account, bytes);
    if (memory == NULL) {
        return tarn__operator_refuse_memory(store, bytes, error);
    }
    *out = memory;
    return TARN_OK;
}

tarn_status tarn__operator_admit(
    const tarn__operator_state *state, uint64_t bytes, tarn_error *error)
{
    const tarn_operator_store *store = state->store;
    const size_t others = store->bytes - state->bytes;
    if (bytes <= store->bytes_max - others) {
        return TARN_OK;
    }
    return tarn__fail(
        error,
        TARN_OVER_BUDGET,
        "operator state \"%s\" of %s/%" PRIu32 " would have %" PRIu64 " bytes beside %zu of other "
        "states; snapshot_bytes_max allows %zu in all",
        state->name,
        store->operator_name,
        store->subtask_index,
        bytes,
        others,
        store->bytes_max);
}

void tarn__operator_count(tarn__operator_state *state, uint64_t count, size_t bytes)
{
    state->store->bytes -= state->bytes;
    state->store->bytes += bytes;
    state->count = count;
    state->bytes = bytes;
}

tarn_status tarn__operator_check_element(
    const tarn__operator_state *state, tarn_bytes key, tarn_bytes value, tarn_error *error)
{
    if (key.size <= TARN_OPERATOR_ELEMENT_BYTES_MAX &&
        value.size <= TARN_OPERATOR_ELEMENT_BYTES_MAX - key.size) {
        return TARN_OK;
    }
    return tarn__fail(
        error,
        TARN_INVALID_ARGUMENT,
        "an element of operator state \"%s\" has %zu bytes and a key of %zu; %d together are the "
        "limit",
        state->name,
        value.size,
        key.size,
        TARN_OPERATOR_ELEMENT_BYTES_MAX);
}

/* ---- states ------------------------------------------------------------------------------ */

tarn__operator_descriptor tarn__operator_describe(const tarn__operator_state *state)
{
    return (tarn__operator_descriptor){
        .kind = state->kind,
        .redistribution = state->redistribution,
        .codec_version = state->codec_version,
        .name = tarn_bytes_of(state->name),
        .codec_name = tarn_bytes_of(state->codec_name),
    };
}

static tarn_status check_same(
    const tarn__operator_state *state, const tarn__operator_descriptor *asked, tarn_error *error)
{
    if (state->kind == asked->kind && state->redistribution == asked->redistribution &&
        state->codec_version == asked->codec_version &&
        tarn_bytes_is_equal(tarn_bytes_of(state->codec_name), asked->codec_name)) {
        return TARN_OK;
    }
    return tarn__fail(
        error,
        TARN_INCOMPATIBLE,
        "operator state \"%s\" of %s/%" PRIu32 " is a %s, %s, of codec %s version %" PRIu32
        ", and is wanted as a %s, %s, of codec %.*s version %" PRIu32,
        state->name,
        state->store->operator_name,
        state->store->subtask_index,
        tarn__operator_kind_name(state->kind),
        tarn__redistribution_name(state->redistribution),
        state->codec_name,
        state->codec_version,
        tarn__operator_kind_name(asked->kind),
        tarn__redistribution_name(asked->redistribution),
        (int)asked->codec_name.size,
        (const char *)asked->codec_name.data,
        asked->codec_version);
}

static void copy_text(char *out, tarn_bytes text)
{
    if (text.size > 0) {
        memcpy(out, text.data, text.size);
    }
    out[text.size] = '\0';
}

static tarn_status new_state(
    tarn_operator_store *store,
    const tarn__operator_descriptor *descriptor,
    tarn__operator_state **out,
    tarn_error *error)
{
    const size_t bytes = descriptor->kind == TARN__OPERATOR_LIST ? sizeof(tarn_operator_list)
                                                                 : sizeof(tarn_broadcast);
    void *memory = NULL;
    TARN_TRY(tarn__operator_allocate(store, bytes, &memory, error));
    assert(memory != NULL);
    memset(memory, 0, bytes);
    tarn__operator_state *state = memory;
    state->store = store;
    state->kind = descriptor->kind;
    state->redistribution = descriptor->redistribution;
    state->codec_version = descriptor->codec_version;
    copy_text(state->name, descriptor->name);
    copy_text(state->codec_name, descriptor->codec_name);
    *out = state;
    return TARN_OK;
}

tarn_status tarn__operator_state_open(
    tarn_operator_store *store,
    const tarn__operator_descriptor *descriptor,
    tarn__operator_state **out,
    tarn_error *error)
{
    tarn__operator_state **place = &store->first;
    int order = -1;
    while (*place != NULL) {
        order = tarn_bytes_compare(tarn_bytes_of((*place)->name), descriptor->name);
        if (order >= 0) {
            break;
        }
        place = &(*place)->next;
    }
    if (*place != NULL && order == 0) {
        TARN_TRY(check_same(*place, descriptor, error));
        *out = *place;
        return TARN_OK;
    }
    tarn__operator_state *state = NULL;
    TARN_TRY(new_state(store, descriptor, &state, error));
    state->next = *place;
    *place = state;
    *out = state;
    return TARN_OK;
}

static tarn_status check_state_options(
    const tarn_operator_state_options *options, tarn__operator_kind kind, tarn_error *error)
{
    const size_t name_bytes = options->name == NULL ? 0 : strlen(options->name);
    const size_t codec_bytes = options->codec_name == NULL ? 0 : strlen(options->codec_name);
    if (name_bytes == 0 || name_bytes > TARN__OPERATOR_NAME_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the name of an operator state has %zu bytes; allowed are 1 to %d",
            name_bytes,
            TARN__OPERATOR_NAME_BYTES_MAX);
    }
    const char *reserved = TARN__OPERATOR_RESERVED_PREFIX;
    if (strncmp(options->name, reserved, strlen(reserved)) == 0) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "operator state \"%s\" begins with \"%s\", which is kept for parts of long states",
            options->name,
            reserved);
    }
    if (codec_bytes > TARN__OPERATOR_CODEC_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the codec of operator state \"%s\" has a name of %zu bytes; %d are the limit",
            options->name,
            codec_bytes,
            TARN__OPERATOR_CODEC_BYTES_MAX);
    }
    const tarn_redistribution wanted = options->redistribution;
    const bool is_of_list = wanted == TARN_REDISTRIBUTE_SPLIT || wanted == TARN_REDISTRIBUTE_UNION;
    const bool is_allowed =
        wanted == TARN_REDISTRIBUTE_DEFAULT ||
        (kind == TARN__OPERATOR_LIST ? is_of_list : wanted == TARN_REDISTRIBUTE_BROADCAST);
    return is_allowed ? TARN_OK
                      : tarn__fail(
                            error,
                            TARN_INVALID_ARGUMENT,
                            "operator state \"%s\" is a %s and cannot be redistributed by %s (%d)",
                            options->name,
                            tarn__operator_kind_name(kind),
                            tarn__redistribution_name(wanted),
                            (int)wanted);
}

static tarn_status open_state(
    tarn_operator_store *store,
    const tarn_operator_state_options *given,
    tarn__operator_kind kind,
    tarn__operator_state **out,
    tarn_error *error)
{
    tarn_operator_state_options options;
    TARN_TRY(
        tarn__options_copy("tarn_operator_state_options", given, &options, sizeof options, error));
    TARN_TRY(check_state_options(&options, kind, error));
    tarn_redistribution redistribution = options.redistribution;
    if (redistribution == TARN_REDISTRIBUTE_DEFAULT) {
        redistribution =
            kind == TARN__OPERATOR_LIST ? TARN_REDISTRIBUTE_SPLIT : TARN_REDISTRIBUTE_BROADCAST;
    }
    const tarn__operator_descriptor descriptor = {
        .kind = kind,
        .redistribution = redistribution,
        .codec_version = options.codec_version,
        .name = tarn_bytes_of(options.name),
        .codec_name = tarn_bytes_of(options.codec_name != NULL ? options.codec_name : "bytes"),
    };
    return tarn__operator_state_open(store, &descriptor, out, error);
}

tarn_status tarn_operator_list_open(
    tarn_operator_store *store,
    const tarn_operator_state_options *options,
    tarn_operator_list **out,
    tarn_error *error)
{
    if (store == NULL || out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "store and out are required");
    }
    tarn__operator_state *state = NULL;
    TARN_TRY(open_state(store, options, TARN__OPERATOR_LIST, &state, error));
    *out = (tarn_operator_list *)state;
    return TARN_OK;
}

tarn_status tarn_broadcast_open(
    tarn_operator_store *store,
    const tarn_operator_state_options *options,
    tarn_broadcast **out,
    tarn_error *error)
{
    if (store == NULL || out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "store and out are required");
    }
    tarn__operator_state *state = NULL;
    TARN_TRY(open_state(store, options, TARN__OPERATOR_BROADCAST, &state, error));
    *out = (tarn_broadcast *)state;
    return TARN_OK;
}

/* ---- life -------------------------------------------------------------------------------- */

static void close_owner(tarn_owner *owner)
{
    const tarn_status status = tarn_owner_close(owner, NULL);
    assert(status == TARN_OK);
    (void)status;
}

static void destroy(tarn_operator_store *store)
{
    tarn_owner *owner = store->owner;
    while (store->first != NULL) {
        tarn__operator_state *state = store->first;
        store->first = state->next;
        if (state->kind == TARN__OPERATOR_LIST) {
            tarn_operator_list_clear((tarn_operator_list *)state);
        } else {
            tarn_broadcast_clear((tarn_broadcast *)state);
        }
        tarn__release(state);
    }
    if (store->env != NULL) {
        tarn__env_disown(store->env, &store->env_child);
    }
    tarn__release(store);
    close_owner(owner);
}

static tarn_status new_store(
    const tarn__operator_store_options *options, tarn_operator_store **out, tarn_error *error)
{
    tarn_owner *owner = NULL;
    TARN_TRY(tarn__owner_open(
        options->budget,
        TARN_POOL_HEAP,
        &owner,
        error,
        "operator state %s/%" PRIu32,
        options->operator_name,
        options->subtask_index));
    tarn__account *account = tarn__owner_account(owner);
    tarn_operator_store *store = tarn__allocate_zeroed(account, 1, sizeof *store);
    if (store == NULL) {
        close_owner(owner);
        return tarn__fail_no_memory(error, "a store of operator state", sizeof *store);
    }
    store->env = options->env;
    store->budget = options->budget;
    store->owner = owner;
    store->account = account;
    store->clock = options->clock;
    store->subtask_index = options->subtask_index;
    store->parallelism = options->parallelism;
    store->bytes_max = options->bytes_max;
    (void)snprintf(store->operator_name, sizeof store->operator_name, "%s", options->operator_name);
    if (store->env != NULL) {
        tarn__env_adopt(
            store->env,
            &store->env_child,
            "operator state of %s/%" PRIu32,
            store->operator_name,
            store->subtask_index);
    }
    *out = store;
    return TARN_OK;
}

tarn_status tarn__operator_store_open(
    const tarn__operator_store_options *options, tarn_operator_store **out, tarn_error *error)
{
    tarn_operator_store *store = NULL;
    TARN_TRY(new_store(options, &store, error));
    if (options->restore != NULL) {
        const tarn_status status = tarn__operator_restore(store, options->restore, error);
        if (status != TARN_OK) {
            destroy(store);
            return status;
        }
    }
    *out = store;
    return TARN_OK;
}

static tarn_status check_store_options(
    const tarn_operator_store_options *options, tarn_error *error)
{
    if (options->env == NULL || options->operator_name == NULL) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%s is missing",
            options->env == NULL ? "env" : "operator_name");
    }
    const size_t name_bytes = strlen(options->operator_name);
    if (name_bytes == 0 || name_bytes > TARN__OPERATOR_OPERATOR_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "operator_name has %zu bytes; allowed are 1 to %d",
            name_bytes,
            TARN__OPERATOR_OPERATOR_BYTES_MAX);
    }
    if (options->parallelism > TARN_MAX_PARALLELISM_LIMIT ||
        options->subtask_index >= options->parallelism) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "there is no subtask %" PRIu32 " of %" PRIu32 " (parallelism is at most %d)",
            options->subtask_index,
            options->parallelism,
            TARN_MAX_PARALLELISM_LIMIT);
    }
    if (options->snapshot_bytes_max > TARN__OPERATOR_STORE_BYTES_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "snapshot_bytes_max is %" PRIu64 "; at most %d are allowed",
            options->snapshot_bytes_max,
            TARN__OPERATOR_STORE_BYTES_MAX);
    }
    return TARN_OK;
}

tarn_status tarn_operator_store_open(
    const tarn_operator_store_options *given, tarn_operator_store **out, tarn_error *error)
{
    tarn_operator_store_options options;
    TARN_TRY(
        tarn__options_copy("tarn_operator_store_options", given, &options, sizeof options, error));
    if (out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "out is missing");
    }
    if (options.parallelism == 0) {
        options.parallelism = 1;
    }
    if (options.snapshot_bytes_max == 0) {
        options.snapshot_bytes_max = TARN__OPERATOR_STORE_BYTES_DEFAULT;
    }
    TARN_TRY(check_store_options(&options, error));
    const tarn__operator_store_options known = {
        .env = options.env,
        .budget = tarn_env_budget(options.env),
        .operator_name = options.operator_name,
        .subtask_index = options.subtask_index,
        .parallelism = options.parallelism,
        .bytes_max = (size_t)options.snapshot_bytes_max,
        .clock = tarn__env_clock(options.env),
    };
    return options.restore == NULL
               ? tarn__operator_store_open(&known, out, error)
               : tarn__operator_store_restore(&known, options.restore, out, error);
}

tarn_status tarn_operator_store_close(tarn_operator_store *store, tarn_error *error)
{
    if (store == NULL) {
        return TARN_OK;
    }
    const uint32_t snapshot_count = atomic_load(&store->snapshot_count);
    if (snapshot_count > 0) {
        return tarn__fail(
            error,
            TARN_BUSY,
            "the operator state of %s/%" PRIu32 " cannot be closed before %" PRIu32
            " of its snapshots are freed",
            store->operator_name,
            store->subtask_index,
            snapshot_count);
    }
    destroy(store);
    return TARN_OK;
}

void tarn_operator_store_measure(const tarn_operator_store *store, tarn_operator_store_stats *out)
{
    *out = store->stats;
    out->state_bytes = store->bytes;
    out->used_bytes = atomic_load(&store->account->bytes);
    for (const tarn__operator_state *state = store->first; state != NULL; state = state->next) {
        out->state_count++;
        out->element_count += state->count;
    }
}
