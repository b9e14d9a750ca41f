/*
 * vectors.h - the seam between the runner of vector files and what checks a kind of case.
 *
 *     data/<kind>.jsonl[.zst] ──► reader.c: lines ──► case.c: JSON ──► vectors_<kind>() in <kind>.c
 *
 * A kind is one file stem. Its function is declared here and defined in tests/vectors/<kind>.c. The
 * declarations are weak: a kind whose source is not linked has a NULL function, and its cases are
 * skipped, never passed.
 *
 * Integers: what fits int64_t is a JSON integer. An integer beyond that (jansson would refuse it)
 * comes as a JSON string of its digits; vectors_digits() reads both alike.
 */
#ifndef TARN_TESTS_VECTORS_H
#define TARN_TESTS_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* Every kind of case that has a format. */
#define VECTORS_KINDS(X)       \
    X(tm_memory)               \
    X(jm_memory)               \
    X(rocksdb_memory)          \
    X(key_groups)              \
    X(key_group_ranges)        \
    X(default_max_parallelism) \
    X(memory_size)             \
    X(duration)                \
    X(conf_yaml)               \
    X(checkpoint_settings)     \
    X(state_traces)            \
    X(operator_state_traces)   \
    X(coordinator_traces)      \
    X(store_traces)            \
    X(registry_traces)

/*
 * Runs one case (one JSON line). Answers true when Tarn agrees; else writes the reason into why, by
 * vectors_differ() or vectors_skip().
 */
typedef bool vector_case_fn(const json_t *vector_case, char *why, size_t why_bytes);

#define X(kind) __attribute__((weak)) vector_case_fn vectors_##kind;
VECTORS_KINDS(X)
#undef X

/* Writes a sentence into why and answers false, so that a check ends with `return differs(...)`. */
__attribute__((format(printf, 3, 4))) bool vectors_differ(
    char *why, size_t why_bytes, const char *format, ...);

/* As vectors_differ(), for a case that asks for what this build cannot do: it counts as skipped. */
__attribute__((format(printf, 3, 4))) bool vectors_skip(
    char *why, size_t why_bytes, const char *format, ...);
bool vectors_is_skipped(const char *why);

/* Parses one line; big integers become strings. NULL: why says where the JSON is broken. */
json_t *vectors_case_parse(const char *line, size_t size, char *why, size_t why_bytes);

/* Member name as int64_t, false when it is no integer or does not fit. */
bool vectors_integer(const json_t *object, const char *name, int64_t *out);

/* Member name as decimal digits with an optional '-', however big; false when it is no integer. */
bool vectors_digits(const json_t *object, const char *name, char *out, size_t out_bytes);

/* Member name as a text; NULL when it is none. */
const char *vectors_text(const json_t *object, const char *name);

/* Member name is true. */
bool vectors_is_true(const json_t *object, const char *name);

/* Member name as an array of steps; NULL, with a reason, when there are none. */
const json_t *vectors_steps(
    const json_t *vector_case, const char *name, char *why, size_t why_bytes);

/*
 * Notes that so many answers of a trace were compared. A case without steps agrees with anything,
 * and so does one of which all is left out: how many there are at least is pinned for each file.
 */
void vectors_note_compared(uint64_t count);
uint64_t vectors_take_compared(void); /* Since it was asked last. */

/* Reads a text of hexadecimal digit pairs into out; the number of bytes, or -1. */
int64_t vectors_hex(const char *text, uint8_t *out, size_t out_bytes);

/* Compares one integer member with what Tarn computed. */
bool vectors_check_integer(
    const json_t *object, const char *name, int64_t ours, char *why, size_t why_bytes);

#endif
