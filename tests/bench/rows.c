/*
 * rows.c - rows that are kept by key.
 *
 *     dedup-ttl     the first row of a key in 10 s of event time passes, the others do not
 *     q18           the latest bid of a bidder for an auction
 *     topn, q19     the 10 highest prices of a key, with their rows, in one value
 *     map           10 entries a key: of 16 events 6 put, 8 get, 1 removes, 1 visits all
 *     append-drain  --elements rows appended to --keys lists in turn, then each read and removed
 */
#include <stdlib.h>
#include <string.h>

#include "source.h"

enum { TTL_MS = 10000, TOP = 10, ENTRIES = 10, MAP_STEPS = 16 };

typedef struct rows_run {
    bench_store *store;
    const bench_workload *workload;
    bench_table *table;
    size_t row_bytes;
    bench_source source;
    uint64_t checksum;
    uint8_t *top; /* TOP rows. */
    bench_event batch[BENCH_BATCH_EVENTS];
} rows_run;

void *bench_rows_begin(const bench_workload *workload, bench_store *store)
{
    const uint32_t variant = workload->variant;
    const bench_options *options = store->options;
    rows_run *run = bench_allocate(sizeof *run);
    run->store = store;
    run->workload = workload;
    run->row_bytes = variant == BENCH_Q18 || variant == BENCH_Q19    ? BENCH_BID_BYTES
                     : options->value_bytes < sizeof(bench_row_head) ? sizeof(bench_row_head)
                                                                     : options->value_bytes;
    if (run->row_bytes > BENCH_ROW_BYTES_MAX) {
        bench_fail("rows of this workload have at most %d bytes", BENCH_ROW_BYTES_MAX);
    }
    run->top = bench_allocate(TOP * run->row_bytes);
    run->table = store->ops->open_table(
        store,
        &(bench_table_options){
            .name = "rows",
            .kind = variant == BENCH_MAP_MIX        ? BENCH_MAP
                    : variant == BENCH_APPEND_DRAIN ? BENCH_LIST
                                                    : BENCH_VALUE,
            .ttl_ms = variant == BENCH_DEDUP ? TTL_MS : 0,
            .element_bytes = run->row_bytes,
        });
    bench_source_open(
        &run->source, options, variant == BENCH_Q18 || variant == BENCH_Q19 ? 1u << BENCH_BID : 0);
    return run;
}

void bench_rows_prepare(void *context, uint64_t count)
{
    rows_run *run = context;
    bench_source_fill(&run->source, run->batch, count);
}

static void take_first(rows_run *run, const bench_event *event)
{
    tarn_bytes row;
    run->store->now_ms = event->time_ms;
    bench_set_key(run->store, event->auction);
    if (!run->store->ops->get(run->table, &row)) {
        row = bench_source_row(&run->source, event, run->row_bytes);
        run->store->ops->put(run->table, row);
        run->checksum += bench_row_digest(row);
    }
}

static void take_last(rows_run *run, const bench_event *event)
{
    uint8_t key[16];
    tarn_bytes row;
    bench_key_bytes(event->person, key);
    bench_key_bytes(event->auction, key + 8);
    run->store->ops->set_key(run->store, key, sizeof key);
    if (run->store->ops->get(run->table, &row)) {
        run->checksum += bench_row_digest(row);
    }
    run->store->ops->put(run->table, bench_source_row(&run->source, event, run->row_bytes));
}

/* The rows lie by falling price; of equal ones the earlier is first. */
static void take_top(rows_run *run, const bench_event *event, uint64_t key)
{
    const size_t bytes = run->row_bytes;
    tarn_bytes stored = {NULL, 0};
    bench_set_key(run->store, key);
    (void)run->store->ops->get(run->table, &stored);
    const size_t count = stored.size / bytes;
    size_t place = count;
    while (
        place > 0 &&
        bench_row_head_of(tarn_bytes_at((const uint8_t *)stored.data + (place - 1) * bytes, bytes))
                .price < event->price) {
        place--;
    }
    if (place == TOP) {
        return;
    }
    const size_t kept = count < TOP ? count : TOP - 1;
    const tarn_bytes row = bench_source_row(&run->source, event, bytes);
    if (kept > 0) {
        memcpy(run->top, stored.data, place * bytes);
        memcpy(
            run->top + (place + 1) * bytes,
            (const uint8_t *)stored.data + place * bytes,
            (kept - place) * bytes);
    }
    memcpy(run->top + place * bytes, row.data, bytes);
    run->store->ops->put(run->table, tarn_bytes_at(run->top, (kept + 1) * bytes));
    run->checksum += bench_row_digest(row) * (place + 1);
}

static void mix_map(rows_run *run, const bench_event *event)
{
    const bench_store_ops *ops = run->store->ops;
    const uint8_t entry = (uint8_t)(event->price % ENTRIES);
    const tarn_bytes key = tarn_bytes_at(&entry, sizeof entry);
    const uint64_t step = event->number % MAP_STEPS;
    tarn_bytes value;
    bench_set_key(run->store, event->auction);
    if (step == 0) {
        ops->visit(run->table, bench_digest_visit, &run->checksum);
    } else if (step == 1) {
        ops->map_remove(run->table, key);
    } else if (step < MAP_STEPS / 2) {
        ops->map_put(run->table, key, bench_source_row(&run->source, event, run->row_bytes));
    } else if (ops->map_get(run->table, key, &value)) {
        run->checksum += bench_row_digest(value);
    }
}

/* All lists grow in turn until each has its elements; then each is read and removed. */
static void append_or_drain(rows_run *run, const bench_event *event)
{
    const bench_options *options = run->store->options;
    const uint64_t step = event->number % (options->keys * (options->elements + 1));
    bench_set_key(run->store, bench_mix(step % options->keys));
    if (step < options->keys * options->elements) {
        run->store->ops->append(run->table, bench_source_row(&run->source, event, run->row_bytes));
    } else {
        run->store->ops->visit(run->table, bench_digest_visit, &run->checksum);
        run->store->ops->remove(run->table);
    }
}

void bench_rows_event(void *context, uint64_t index)
{
    rows_run *run = context;
    const bench_event *event = &run->batch[index];
    switch (run->workload->variant) {
    case BENCH_DEDUP:
        take_first(run, event);
        break;
    case BENCH_Q18:
        take_last(run, event);
        break;
    case BENCH_MAP_MIX:
        mix_map(run, event);
        break;
    case BENCH_APPEND_DRAIN:
        append_or_drain(run, event);
        break;
    default:
        take_top(run, event, event->auction);
        break;
    }
}

uint64_t bench_rows_finish(void *context)
{
    rows_run *run = context;
    const uint64_t checksum = run->checksum;
    bench_source_close(&run->source);
    free(run->top);
    free(run);
    return checksum;
}
