/* source.c - see source.h. */
#include "source.h"

#include <string.h>

#include "keys.h"

void bench_source_open(bench_source *source, const bench_options *options, uint32_t kinds)
{
    bench_distribution distribution;
    uint64_t random = options->seed;
    source->kinds = kinds;
    source->rate = options->rate;
    source->nexmark = (bench_nexmark){.random = options->seed, .rate = options->rate};
    if (!bench_distribution_find(options->distribution, &distribution)) {
        bench_fail("no such distribution: %s", options->distribution);
    }
    if (!bench_keys_open(
            &source->keys, distribution, options->keys, options->seed, options->input)) {
        bench_fail("cannot open %s", options->input);
    }
    for (size_t i = 0; i < sizeof source->filler; i++) {
        source->filler[i] = (uint8_t)('a' + bench_random(&random) % 26);
    }
}

void bench_source_close(bench_source *source)
{
    bench_keys_close(&source->keys);
}

static bench_event next_of_keys(bench_source *source)
{
    uint64_t key = 0;
    if (!bench_keys_fill(&source->keys, &key, 1)) {
        bench_fail("the input has too few keys");
    }
    const uint64_t number = source->number++;
    return (bench_event){
        .kind = BENCH_BID,
        .number = number,
        .time_ms = (int64_t)(number * 1000 / source->rate),
        .auction = key,
        .person = key,
        .price = bench_mix(number) >> 32,
    };
}

void bench_source_fill(bench_source *source, bench_event *out, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (source->kinds == 0) {
            out[i] = next_of_keys(source);
            continue;
        }
        do {
            out[i] = bench_nexmark_next(&source->nexmark);
        } while ((source->kinds & 1u << out[i].kind) == 0);
    }
}

tarn_bytes bench_source_row(bench_source *source, const bench_event *event, size_t bytes)
{
    const bench_row_head head = {event->number, event->price, event->time_ms};
    const size_t rest = bytes - sizeof head;
    const size_t from = bench_mix(event->number) % (sizeof source->filler - BENCH_ROW_BYTES_MAX);
    memcpy(source->row, &head, sizeof head);
    memcpy(source->row + sizeof head, source->filler + from, rest);
    return tarn_bytes_at(source->row, bytes);
}

bench_row_head bench_row_head_of(tarn_bytes row)
{
    bench_row_head head;
    memcpy(&head, row.data, sizeof head);
    return head;
}

uint64_t bench_row_digest(tarn_bytes row)
{
    const bench_row_head head = bench_row_head_of(row);
    const uint8_t last = ((const uint8_t *)row.data)[row.size - 1];
    return bench_mix(head.number + 1) + head.price + last + row.size;
}

void bench_digest_visit(void *context, tarn_bytes key, tarn_bytes value)
{
    (void)key;
    *(uint64_t *)context += bench_row_digest(value);
}
