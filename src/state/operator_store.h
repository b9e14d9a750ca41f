/*
 * operator_store.h - the states of an operator that have no key, held in memory.
 *
 *     store ──► state ──► state          tarn_operator_list:  [size][bytes][size][bytes]...
 *       │                                tarn_broadcast:      skip list, by key
 *       └─ bytes: of all states, as they are encoded; at most bytes_max
 *
 * A list is kept as it is encoded, so that a snapshot of it is one copy. Copying while the task
 * waits was chosen over copy-on-write: a store is bounded (64 MiB unless told otherwise: 40 to 50
 * ms for lists, some 200 ms for a map of half a million entries, which is far beyond what operators
 * keep without a key), a copy leaves nothing behind that later writes must look at, and the
 * acknowledgement copies it anyway.
 *
 * Invariants
 *   - A failed call leaves the state as it was.
 *   - bytes is the sum over all states, and never more than bytes_max.
 *   - A state that was restored is in every snapshot, whether or not it was opened since.
 *
 * Thread: confined; snapshot_count is atomic, because snapshots are freed by any thread.
 */
#ifndef TARN_STATE_OPERATOR_STORE_H
#define TARN_STATE_OPERATOR_STORE_H

#include <stdatomic.h>

#include "tarn/operator_state.h"

#include "base/clock.h"
#include "base/random.h"
#include "env/env.h"
#include "memory/budget.h"
#include "state/operator_format.h"

enum {
    TARN__OPERATOR_OPERATOR_BYTES_MAX = 255,
    TARN__OPERATOR_STORE_BYTES_DEFAULT = 64 << 20,
    TARN__OPERATOR_STORE_BYTES_MAX = 256 << 20,
};

/* What both kinds of state begin with. */
typedef struct tarn__operator_state {
    struct tarn__operator_state *next; /* In the order of their names. */
    tarn_operator_store *store;
    tarn__operator_kind kind;
    tarn_redistribution redistribution;
    uint32_t codec_version;
    char name[TARN__OPERATOR_NAME_BYTES_MAX + 1];
    char codec_name[TARN__OPERATOR_CODEC_BYTES_MAX + 1];
    uint64_t count; /* Elements or entries. */
    size_t bytes;   /* As encoded. */
} tarn__operator_state;

struct tarn_operator_list {
    tarn__operator_state base;
    uint8_t *data; /* [base.bytes], room for capacity. */
    size_t capacity;
    uint32_t *starts; /* [base.count]: where in data each element begins. */
    size_t starts_capacity;
};

enum { TARN__BROADCAST_LEVELS = 12 }; /* With a quarter of the entries on the next: 4^12. */

typedef struct tarn__broadcast_node {
    size_t key_bytes;
    size_t value_bytes;
    uint32_t level_count;
    struct tarn__broadcast_node *next[]; /* [level_count]; then the key, then the value. */
} tarn__broadcast_node;

struct tarn_broadcast {
    tarn__operator_state base;
    uint64_t version; /* Grows with every change. */
    tarn__random random;
    tarn__broadcast_node *first[TARN__BROADCAST_LEVELS];
};

struct tarn_operator_store {
    tarn_env *env; /* NULL in tests that need none. */
    tarn__env_child env_child;
    tarn_budget *budget;
    tarn_owner *owner;
    tarn__account *account;
    const tarn__clock *clock;
    char operator_name[TARN__OPERATOR_OPERATOR_BYTES_MAX + 1];
    uint32_t subtask_index;
    uint32_t parallelism;
    tarn__operator_state *first;
    size_t bytes;
    size_t bytes_max;
    atomic_uint_least32_t snapshot_count; /* Not freed yet. */
    tarn_operator_store_stats stats;      /* Only the figures of snapshots. */
};

/* One part of a state, and the subtask that wrote it. */
typedef struct tarn__operator_piece {
    uint32_t subtask;
    tarn_bytes bytes;
} tarn__operator_piece;

/* What a store is restored from. */
typedef struct tarn__operator_source {
    const tarn__operator_piece *pieces; /* Of all subtasks, any order. */
    size_t piece_count;
    uint32_t parallelism; /* At which the pieces were written. */
    /* The split lists in the order in which they are dealt out; NULL: by name. */
    const char *const *split_order;
    size_t split_count;
} tarn__operator_source;

/* As tarn_operator_store_options, checked, over a budget. */
typedef struct tarn__operator_store_options {
    tarn_env *env; /* May be NULL. */
    tarn_budget *budget;
    const char *operator_name;
    uint32_t subtask_index;
    uint32_t parallelism;
    size_t bytes_max;
    const tarn__clock *clock;
    const tarn__operator_source *restore; /* NULL: empty. */
} tarn__operator_store_options;

TARN_NODISCARD tarn_status tarn__operator_store_open(
    const tarn__operator_store_options *options, tarn_operator_store **out, tarn_error *error);

/* TARN_NO_MEMORY, or TARN_OVER_BUDGET when the heap pool is what refused. */
tarn_status tarn__operator_refuse_memory(
    const tarn_operator_store *store, size_t bytes, tarn_error *error);

/* Memory of the store's. */
TARN_NODISCARD tarn_status
tarn__operator_allocate(tarn_operator_store *store, size_t bytes, void **out, tarn_error *error);

/* Says whether a state may grow to bytes: TARN_OVER_BUDGET when it may not. Changes nothing. */
TARN_NODISCARD tarn_status
tarn__operator_admit(const tarn__operator_state *state, uint64_t bytes, tarn_error *error);

/* Sets what a state holds now. */
void tarn__operator_count(tarn__operator_state *state, uint64_t count, size_t bytes);

/* Refuses an element that is too long. */
TARN_NODISCARD tarn_status tarn__operator_check_element(
    const tarn__operator_state *state, tarn_bytes key, tarn_bytes value, tarn_error *error);

tarn__operator_descriptor tarn__operator_describe(const tarn__operator_state *state);

/* The state of that name, created empty when absent; TARN_INCOMPATIBLE when it is another. */
TARN_NODISCARD tarn_status tarn__operator_state_open(
    tarn_operator_store *store,
    const tarn__operator_descriptor *descriptor,
    tarn__operator_state **out,
    tarn_error *error);

/* operator_list.c: appends elements [first, first + count) of encoded ones. */
TARN_NODISCARD tarn_status tarn__operator_list_take(
    tarn_operator_list *list,
    tarn_bytes elements,
    uint64_t first,
    uint64_t count,
    tarn_error *error);

/* operator_broadcast.c */
static inline tarn_bytes tarn__broadcast_key(const tarn__broadcast_node *node)
{
    return tarn_bytes_at(&node->next[node->level_count], node->key_bytes);
}

static inline tarn_bytes tarn__broadcast_value(const tarn__broadcast_node *node)
{
    const uint8_t *key = (const uint8_t *)&node->next[node->level_count];
    return tarn_bytes_at(key + node->key_bytes, node->value_bytes);
}

/* operator_restore.c: fills an empty store. */
TARN_NODISCARD tarn_status tarn__operator_restore(
    tarn_operator_store *store, const tarn__operator_source *source, tarn_error *error);

/* The same from a checkpoint: collects the operator's pieces, then opens the store. */
TARN_NODISCARD tarn_status tarn__operator_store_restore(
    const tarn__operator_store_options *options,
    const tarn_checkpoint *checkpoint,
    tarn_operator_store **out,
    tarn_error *error);

#endif
