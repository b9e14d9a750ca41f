/*
 * merge.c - the merge operator: operands of reducing states, as codec/reduction.h folds them.
 *
 * One operator serves all families, as operands say themselves what they are. Full and partial
 * merge are the same fold. RocksDB copies an answer at once, so each thread has one buffer for
 * them. A table file that is written apart says by its operator's name of which family it is, as
 * the C API has no other way.
 *
 * Thread: shared. RocksDB calls it from reads, flushes and compactions.
 */
#include <stdio.h>
#include <string.h>

#include "codec/reduction.h"
#include "codec/table.h"
#include "rocks/rocks_private.h"

/* It is written into every database's options: another format needs another name. */
#define MERGE_NAME "tarn.reduction.1"

static _Thread_local uint8_t answer[TARN__REDUCTION_BYTES_MAX];

static void forget_name(void *state)
{
    tarn__release(state);
}

static void keep_answer(void *state, const char *value, size_t size)
{
    (void)state;
    (void)value;
    (void)size;
}

static const char *merge_name(void *state)
{
    return state != NULL ? state : MERGE_NAME;
}

/* Folds operands into what is there of a row; false when a row or an operand is damaged. */
static bool fold_all(
    tarn__reduction *folded,
    bool is_begun,
    const char *const *operands,
    const size_t *sizes,
    int count)
{
    for (int i = 0; i < count; i++) {
        tarn__reduction operand;
        if (!tarn__reduction_decode(tarn_bytes_at(operands[i], sizes[i]), &operand)) {
            return false;
        }
        if (!is_begun) {
            *folded = operand;
            is_begun = true;
        } else if (!tarn__reduction_fold(folded, &operand)) {
            return false;
        }
    }
    return is_begun;
}

static char *give(const tarn__reduction *folded, bool is_good, unsigned char *success, size_t *size)
{
    *success = is_good ? 1 : 0;
    *size = is_good ? tarn__reduction_encode(folded, answer) : 0;
    return (char *)answer;
}

static char *merge_full(
    void *state,
    const char *key,
    size_t key_size,
    const char *existing,
    size_t existing_size,
    const char *const *operands,
    const size_t *sizes,
    int count,
    unsigned char *success,
    size_t *size_out)
{
    (void)state;
    (void)key;
    (void)key_size;
    tarn__reduction folded = {0};
    const bool has_row = existing != NULL;
    const bool is_good =
        (!has_row || tarn__reduction_decode(tarn_bytes_at(existing, existing_size), &folded)) &&
        fold_all(&folded, has_row, operands, sizes, count);
    return give(&folded, is_good, success, size_out);
}

/* A failure here leaves the operands as they are; the full merge reports it. */
static char *merge_partly(
    void *state,
    const char *key,
    size_t key_size,
    const char *const *operands,
    const size_t *sizes,
    int count,
    unsigned char *success,
    size_t *size_out)
{
    (void)state;
    (void)key;
    (void)key_size;
    tarn__reduction folded = {0};
    const bool is_good = fold_all(&folded, /* is_begun= */ false, operands, sizes, count);
    return give(&folded, is_good, success, size_out);
}

static rocksdb_mergeoperator_t *new_merge(char *name)
{
    return rocksdb_mergeoperator_create(
        name, forget_name, merge_full, merge_partly, keep_answer, merge_name);
}

rocksdb_mergeoperator_t *tarn__rocks_new_merge(void)
{
    return new_merge(NULL);
}

rocksdb_mergeoperator_t *tarn__rocks_new_merge_of(tarn__account *account, const char *family)
{
    const size_t size = sizeof TARN__TABLE_FAMILY_PREFIX + strlen(family);
    char *name = tarn__allocate(account, size);
    if (name == NULL) {
        return NULL;
    }
    (void)snprintf(name, size, "%s%s", TARN__TABLE_FAMILY_PREFIX, family);
    return new_merge(name);
}
