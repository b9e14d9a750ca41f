/*
 * fuzz_operator_state.c - arbitrary bytes as a part of an operator's state: passed over, refused,
 * or restored and written again as the same bytes.
 *
 * Built with clang's -fsanitize=fuzzer it is a libFuzzer program; with the main() below ctest
 * replays good parts, mutated from fixed seeds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/operator_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                     \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

static tarn_budget *new_budget(void)
{
    const tarn_budget_options options = {
        .struct_size = sizeof options,
        .limit_bytes = {[TARN_POOL_HEAP] = TARN_UNLIMITED},
    };
    tarn_budget *budget = NULL;
    MUST(tarn_budget_open(&options, &budget, NULL) == TARN_OK);
    return budget;
}

static tarn_status open_store(
    tarn_budget *budget,
    const tarn__operator_source *source,
    tarn_operator_store **out,
    tarn_error *error)
{
    const tarn__operator_store_options options = {
        .budget = budget,
        .operator_name = "fuzz",
        .parallelism = 1,
        .bytes_max = TARN__OPERATOR_STORE_BYTES_DEFAULT,
        .clock = tarn__clock_system(),
        .restore = source,
    };
    return tarn__operator_store_open(&options, out, error);
}

/* What was restored at the same parallelism is written as it was read. */
static void expect_same(tarn_operator_store *store, tarn_bytes bytes)
{
    tarn_operator_snapshot *snapshot = NULL;
    MUST(tarn_operator_snapshot_new(store, &snapshot, NULL) == TARN_OK);
    uint32_t count = 0;
    const tarn_checkpoint_operator_state *parts = tarn_operator_snapshot_states(snapshot, &count);
    MUST(count == 1);
    MUST(tarn_bytes_is_equal(parts[0].bytes, bytes));
    tarn_operator_snapshot_free(snapshot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const tarn_bytes bytes = tarn_bytes_at(data, size);
    tarn_operator_state_info info;
    tarn_error error;
    const tarn_status described = tarn_operator_state_describe(bytes, &info, &error);
    MUST(
        described == TARN_OK || described == TARN_NOT_FOUND || described == TARN_CORRUPTION ||
        described == TARN_NOT_SUPPORTED);

    const tarn__operator_piece piece = {.subtask = 0, .bytes = bytes};
    const tarn__operator_source source = {.pieces = &piece, .piece_count = 1, .parallelism = 1};
    tarn_budget *budget = new_budget();
    tarn_operator_store *store = NULL;
    const tarn_status opened = open_store(budget, &source, &store, &error);
    if (described == TARN_OK && info.part_count == 1) {
        MUST(opened == TARN_OK);
        expect_same(store, bytes);
    } else if (described == TARN_OK) {
        MUST(opened == TARN_CORRUPTION); /* The other parts are missing. */
    } else {
        MUST(opened == (described == TARN_NOT_FOUND ? TARN_OK : described));
    }
    MUST(tarn_operator_store_close(store, NULL) == TARN_OK);
    MUST(tarn_budget_close(budget, NULL) == TARN_OK);
    return 0;
}

#ifndef TARN_LIBFUZZER
#include "base/random.h"

enum { RUNS = 60000, INPUT_BYTES_MAX = 512, SAMPLES = 3 };

typedef struct sample {
    uint8_t bytes[INPUT_BYTES_MAX];
    size_t size;
} sample;

/* One part of each kind: an empty list, a list, a map. */
static void make_samples(sample samples[SAMPLES])
{
    tarn_budget *budget = new_budget();
    tarn_operator_store *store = NULL;
    MUST(open_store(budget, NULL, &store, NULL) == TARN_OK);
    tarn_operator_state_options options = TARN_OPERATOR_STATE_OPTIONS_INIT;
    tarn_operator_list *list = NULL;
    tarn_broadcast *map = NULL;
    options.name = "a";
    MUST(tarn_operator_list_open(store, &options, &list, NULL) == TARN_OK);
    options.name = "b";
    MUST(tarn_operator_list_open(store, &options, &list, NULL) == TARN_OK);
    options.name = "c";
    MUST(tarn_broadcast_open(store, &options, &map, NULL) == TARN_OK);
    static const char *const words[] = {"", "a", "the", "stream", "goes by"};
    for (size_t i = 0; i < 5; i++) {
        const tarn_bytes word = tarn_bytes_of(words[i]);
        MUST(tarn_operator_list_add(list, word, NULL) == TARN_OK);
        MUST(tarn_broadcast_put(map, word, word, NULL) == TARN_OK);
    }
    tarn_operator_snapshot *snapshot = NULL;
    uint32_t count = 0;
    MUST(tarn_operator_snapshot_new(store, &snapshot, NULL) == TARN_OK);
    const tarn_checkpoint_operator_state *parts = tarn_operator_snapshot_states(snapshot, &count);
    MUST(count == SAMPLES);
    for (size_t i = 0; i < SAMPLES; i++) {
        MUST(parts[i].bytes.size <= INPUT_BYTES_MAX);
        samples[i].size = parts[i].bytes.size;
        memcpy(samples[i].bytes, parts[i].bytes.data, parts[i].bytes.size);
    }
    tarn_operator_snapshot_free(snapshot);
    MUST(tarn_operator_store_close(store, NULL) == TARN_OK);
    MUST(tarn_budget_close(budget, NULL) == TARN_OK);
}

/* The size of the elements is said in the header; a cut part is better read when it agrees. */
static void repair(uint8_t *data, size_t size)
{
    const size_t names = size > TARN__OPERATOR_FIXED_BYTES ? (size_t)data[7] + data[8] : 0;
    if (size < TARN__OPERATOR_FIXED_BYTES + names || size < TARN__OPERATOR_FIXED_BYTES) {
        return;
    }
    const uint64_t elements = size - TARN__OPERATOR_FIXED_BYTES - names;
    for (unsigned i = 0; i < 8; i++) {
        data[TARN__OPERATOR_FIXED_BYTES - 1 - i] = (uint8_t)(elements >> (8 * i));
    }
}

static size_t mutate(tarn__random *random, uint8_t *data, size_t size)
{
    const uint64_t rounds = 1 + tarn__random_below(random, 4);
    for (uint64_t i = 0; i < rounds && size > 1; i++) {
        const size_t at = (size_t)tarn__random_below(random, size);
        switch (tarn__random_below(random, 4)) {
        case 0:
            data[at] = (uint8_t)tarn__random_next(random);
            break;
        case 1:
            data[at] = (uint8_t)(data[at] + (tarn__random_below(random, 2) == 0 ? 1 : 255));
            break;
        case 2:
            size -= (size_t)tarn__random_below(random, size - at);
            break;
        default: {
            const size_t count = (size_t)tarn__random_below(random, size - at);
            if (size + count <= INPUT_BYTES_MAX) {
                memmove(data + at + count, data + at, size - at);
                size += count;
            }
            break;
        }
        }
    }
    if (tarn__random_below(random, 2) == 0) {
        repair(data, size);
    }
    return size;
}

int main(void)
{
    static sample samples[SAMPLES];
    make_samples(samples);
    unsigned good = 0;
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        tarn__random random = {.state = seed};
        const sample *origin = &samples[seed % SAMPLES];
        uint8_t input[INPUT_BYTES_MAX];
        memcpy(input, origin->bytes, origin->size);
        const size_t size = seed < SAMPLES ? origin->size : mutate(&random, input, origin->size);
        uint8_t *exact = malloc(size); /* So that reading behind it is found. */
        MUST(exact != NULL);
        memcpy(exact, input, size);
        tarn_operator_state_info info;
        good += tarn_operator_state_describe(tarn_bytes_at(exact, size), &info, NULL) == TARN_OK;
        (void)LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    MUST(good > SAMPLES && good < RUNS);
    printf("%d inputs, %u of them good\n", RUNS, good);
    return 0;
}
#endif
