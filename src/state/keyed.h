/*
 * keyed.h - what the kinds of state have in common: opening, rows, namespaces, iterators, TTL.
 *
 *     struct tarn_map { tarn_keyed keyed; ... }     each kind begins with one
 *
 *     key first        backend's row buffer   [group][key] | [namespace][user key]
 *     namespace first  own row buffer         [group] [namespace] [key] [user key]
 *
 * Invariants
 *   - A state with open iterators does not close; every iterator is a child of the backend.
 *   - What a row buffer holds is valid until the next row is made: one row at a time.
 *   - A failed write poisons the backend, also one that a read makes because of a TTL.
 *
 * Thread: confined, with the backend.
 */
#ifndef TARN_STATE_KEYED_H
#define TARN_STATE_KEYED_H

#include <stddef.h>

#include "tarn/keyed.h"

#include "cache/workset.h"
#include "codec/descriptor.h"
#include "codec/stamp.h"
#include "state/backend.h"
#include "state/schema.h"

enum { TARN__STATE_VALUE_BYTES_MAX = INT32_MAX };

typedef struct tarn__keyed_iterator {
    tarn_keyed *keyed;
    tarn__rocks_iterator *rows;
    uint64_t opened_ns;
    tarn__child child;
    struct tarn__keyed_iterator *next; /* Of the same state. */
} tarn__keyed_iterator;

/* Merges the current key's sources into the target; all are encoded, distinct, none the target. */
typedef tarn_status tarn__keyed_merge_fn(
    tarn_keyed *keyed,
    const tarn_bytes *sources,
    size_t source_count,
    tarn_bytes target,
    tarn_error *error);

struct tarn_keyed {
    tarn_backend *backend;
    tarn__rocks_family *family;
    tarn__workset *workset; /* Rows go through it. NULL: they do not. */
    tarn__workset_family hot;
    bool has_namespaces;  /* One with bytes was set, or named otherwise, once. */
    bool has_hot_rows;    /* Of a kind whose rows go through the working set, when there is one. */
    bool has_single_rows; /* A key and a namespace have one row at most. */
    bool is_map;          /* A key and a namespace have entries. */
    bool is_created;      /* Its family was made when it was opened: it had no rows. */
    bool has_filter;      /* Of new keys, as its options say. */
    double filter_bits;   /* For a key. */
    struct tarn__new_keys *new_keys; /* state/new_keys.h. NULL: there is none. */
    uint32_t value_bytes_seen;       /* Of the last row that was read ahead; 0: none was. */
    bool has_hot_blocks;             /* These rows are blocks. */
    uint8_t hot_suffix_bytes;        /* Of these rows. */
    uint8_t hot_value_shift;         /* Likewise. */
    tarn__row_layout layout;
    bool has_ttl;            /* Values begin with a stamp. */
    bool is_untimed;         /* With stamps, but without a TTL: nothing expires. */
    bool is_folded;          /* Rows are reductions. */
    tarn_ttl ttl;            /* When has_ttl. */
    tarn__cleaning cleaning; /* Likewise. */
    tarn__schemas schemas;
    tarn_buffer name_space;      /* The current one, encoded. */
    tarn_buffer row;             /* Rows with the namespace first. */
    tarn_buffer lower;           /* Bounds of a span. */
    tarn_buffer upper;           /* Likewise. */
    tarn_buffer scratch;         /* A value with its stamp that is being made. */
    tarn_buffer result;          /* What a function of the program's makes. */
    tarn__keyed_merge_fn *merge; /* NULL: not supported. */
    tarn__child child;
    tarn__keyed_iterator *first_iterator;
};

/* The state that a child of its backend is, or NULL. */
static inline tarn_keyed *tarn__keyed_of_child(tarn__child *child)
{
    return strcmp(child->kind, "state") == 0
               ? (tarn_keyed *)(void *)((char *)child - offsetof(tarn_keyed, child))
               : NULL;
}

/* ---- opening and closing ---------------------------------------------------------------- */

/*
 * Opens a state of a kind: checks options, allocates size bytes that begin with a tarn_keyed, finds
 * or makes its family, and writes or compares its descriptor.
 *
 * detail  Of the descriptor.
 * out     The state, zeroed behind its tarn_keyed. Untouched on failure.
 */
TARN_NODISCARD tarn_status tarn__keyed_open(
    tarn_backend *backend,
    const tarn_state_options *options,
    tarn__state_kind kind,
    uint8_t detail,
    size_t size,
    tarn_keyed **out,
    tarn_error *error);

/* Refuses while an iterator is open; else frees the state. NULL does nothing. */
TARN_NODISCARD tarn_status tarn__keyed_close(tarn_keyed *keyed, tarn_error *error);

/* ---- namespaces -------------------------------------------------------------------------- */

/* Appends a namespace, encoded. Refuses one of more than 64 KiB - 1. */
TARN_NODISCARD tarn_status tarn__keyed_encode_namespace(
    const tarn_keyed *keyed, tarn_bytes name_space, tarn_buffer *out, tarn_error *error);

/* ---- rows ------------------------------------------------------------------------------- */

/* Makes a row where the inline function cannot: buffers to grow, namespaces first, no key. */
TARN_NODISCARD tarn_status tarn__keyed_make_row(
    tarn_keyed *keyed,
    tarn_bytes name_space,
    tarn_bytes user_key,
    tarn_bytes *out,
    tarn_error *error);

/* The row of the current key and namespace and a user key. TARN_INVALID_ARGUMENT without a key. */
TARN_NODISCARD static inline tarn_status tarn__keyed_row(
    tarn_keyed *keyed, tarn_bytes user_key, tarn_bytes *out, tarn_error *error)
{
    tarn_backend *backend = keyed->backend;
    const size_t prefix = backend->row.size;
    const size_t size = prefix + keyed->name_space.size + user_key.size;
    if (__builtin_expect(
            !backend->has_key || keyed->layout != TARN__ROW_KEY_FIRST ||
                size > backend->row.capacity,
            0)) {
        return tarn__keyed_make_row(
            keyed, tarn_buffer_bytes(&keyed->name_space), user_key, out, error);
    }
    tarn__row_copy(backend->row.data + prefix, keyed->name_space.data, keyed->name_space.size);
    if (user_key.size > 0) {
        memcpy(backend->row.data + prefix + keyed->name_space.size, user_key.data, user_key.size);
    }
    *out = tarn_bytes_at(backend->row.data, size);
    return TARN_OK;
}

/* The bounds of all rows of the current key and a namespace; in keyed->lower and keyed->upper. */
TARN_NODISCARD tarn_status
tarn__keyed_span(tarn_keyed *keyed, tarn_bytes name_space, tarn_error *error);

/* Refuses a value of more than 2 GiB - 1, or a user key of more than 64 KiB - 1. */
TARN_NODISCARD tarn_status
tarn__keyed_check_value(const tarn_keyed *keyed, size_t size, tarn_error *error);
TARN_NODISCARD tarn_status
tarn__keyed_check_user_key(const tarn_keyed *keyed, size_t size, tarn_error *error);

tarn_status tarn__keyed_fail_no_key(const tarn_keyed *keyed, tarn_error *error);

/* TARN_CORRUPTION: a row is not of the state's kind. */
tarn_status tarn__keyed_fail_row(const tarn_keyed *keyed, size_t size, tarn_error *error);

/* ---- writing ---------------------------------------------------------------------------- */

/*
 * Writes a row, with a stamp in front when the state has a TTL. Passes on the outcome as
 * tarn__backend_finish_write() does. value must not lie in keyed->scratch.
 */
TARN_NODISCARD tarn_status tarn__keyed_put(
    tarn_keyed *keyed, tarn_bytes row, tarn_bytes value, int64_t stamp_ms, tarn_error *error);
TARN_NODISCARD tarn_status tarn__keyed_delete(tarn_keyed *keyed, tarn_bytes row, tarn_error *error);

/*
 * Removes the rows of lower <= row < upper of a family: none, few one by one, many by a range
 * delete (spans.c has the reason).
 */
TARN_NODISCARD tarn_status tarn__span_remove(
    tarn_backend *backend,
    tarn__rocks_family *family,
    tarn_bytes lower,
    tarn_bytes upper,
    tarn_error *error);

/* How far a removal of several spans is. A failure once something was removed loses the rest. */
typedef struct tarn__removal {
    bool has_removed;
    bool has_sealed; /* The memtable of the family. */
} tarn__removal;

/*
 * The same for spans that may be large: table files that hold nothing else are dropped, and before
 * the first range delete of a removal the memtable is sealed.
 */
TARN_NODISCARD tarn_status tarn__span_drop(
    tarn_backend *backend,
    tarn__rocks_family *family,
    tarn_bytes lower,
    tarn_bytes upper,
    tarn__removal *removal,
    tarn_error *error);

/* The same for keyed->lower and keyed->upper. */
TARN_NODISCARD tarn_status tarn__keyed_remove_span(tarn_keyed *keyed, tarn_error *error);

/* ---- TTL -------------------------------------------------------------------------------- */

/* The time of the state's TTL, as an access to it asks for; 0 without one. */
int64_t tarn__keyed_now(tarn_keyed *keyed);

/* The same for a state with a TTL, without being an access. */
int64_t tarn__keyed_clock(const tarn_keyed *keyed);

/* The stamp of what an access writes now; 0 without a TTL. */
int64_t tarn__keyed_stamp(tarn_keyed *keyed, int64_t now_ms);

/*
 * restamp.c: brings what is stored of a state together with the TTL that it was opened with, or
 * with none; may set has_ttl and is_untimed.
 *
 * stored_flags  Of the descriptor.
 * flags_out     What the descriptor must say from now on.
 */
TARN_NODISCARD tarn_status tarn__keyed_adopt_stamps(
    tarn_keyed *keyed, uint8_t stored_flags, uint8_t *flags_out, tarn_error *error);

/* What a stored row is at a time. */
typedef struct tarn__keyed_content {
    tarn_bytes value; /* Without its stamp. */
    int64_t stamp_ms;
    bool is_expired;
    bool is_shown; /* A read answers it: it is young, or expired values are shown. */
} tarn__keyed_content;

/*
 * Looks at what is stored. TARN_CORRUPTION: a stamp is missing. What had expired at gone_ms is
 * gone, also where it is still there and whatever time it is: the former takes that from the latest
 * clean-up, the latter is for iterators, which see what was there when they began.
 */
TARN_NODISCARD tarn_status tarn__keyed_look(
    const tarn_keyed *keyed,
    tarn_bytes stored,
    int64_t now_ms,
    tarn__keyed_content *out,
    tarn_error *error);
TARN_NODISCARD tarn_status tarn__keyed_look_at(
    const tarn_keyed *keyed,
    tarn_bytes stored,
    int64_t now_ms,
    int64_t gone_ms,
    tarn__keyed_content *out,
    tarn_error *error);

/*
 * What the working set asks about each value before it is written (cache/workset.h); the context is
 * the state. One that has expired is not, unless compactions are to keep it too; a reduction only
 * once a clean-up counts it as gone, as adds may still be on their way to it.
 */
bool tarn__keyed_is_dead(tarn_bytes value, bool is_operand, void *context);

/*
 * Does what a read does to a row: removes it when it is expired, stamps it now when reads prolong.
 *
 * is_old  The row was seen by an iterator: it is left alone when it has been written since.
 */
TARN_NODISCARD tarn_status tarn__keyed_age(
    tarn_keyed *keyed,
    tarn_bytes row,
    const tarn__keyed_content *content,
    int64_t now_ms,
    bool is_old,
    tarn_error *error);

/*
 * Reads a row as a program sees it: TARN_NOT_FOUND when it is absent or expired and not shown. With
 * a TTL it removes or prolongs. *out is pinned by the backend.
 */
TARN_NODISCARD tarn_status
tarn__keyed_get(tarn_keyed *keyed, tarn_bytes row, tarn_bytes *out, tarn_error *error);

/* ---- iterators -------------------------------------------------------------------------- */

/* Begins an iteration and counts it in. owner NULL: "iterator". */
TARN_NODISCARD tarn_status tarn__keyed_iterator_open(
    tarn__keyed_iterator *iterator,
    tarn_keyed *keyed,
    const tarn__rocks_scan *scan,
    const char *owner,
    tarn_error *error);

/* The same over rows of the store that there are already, or over none: NULL. */
void tarn__keyed_iterator_adopt(
    tarn__keyed_iterator *iterator,
    tarn_keyed *keyed,
    tarn__rocks_iterator *rows,
    const char *owner);
void tarn__keyed_iterator_close(tarn__keyed_iterator *iterator);

#endif
