/*
 * joins.c - two inputs meet by key.
 *
 *     join  both sides keep their latest 4 rows of a key; each row meets those of the other side
 *     q4    bids meet their auction; the largest of each auction; the mean of those of a category
 *     q9    bids meet their auction; the winning bid of each auction, as a row
 *     q20   bids meet their auction if it is of one category
 *
 * What has no end is kept for ever, as the queries say. A bid may come before its auction: then it
 * meets it when the auction comes.
 */
#include <stdlib.h>
#include <string.h>

#include "source.h"

enum { LATEST = 4, NARROW_BYTES = 32, JOIN_ROW_BYTES = 64 };

typedef struct joins_run {
    bench_store *store;
    const bench_workload *workload;
    bench_table *left;    /* Auctions; join: rows of even events. */
    bench_table *right;   /* Bids by their auction; join: rows of odd events. */
    bench_table *winners; /* q4: the largest price, q9: the winning bid. */
    bench_table *means;   /* q4: sum and count of a category. */
    size_t auction_bytes;
    size_t bid_bytes;
    bench_source source;
    uint64_t checksum;
    bench_event batch[BENCH_BATCH_EVENTS];
} joins_run;

/* What is stored of an auction begins with this. */
typedef struct auction_head {
    uint64_t number;
    uint64_t category;
    int64_t begin_ms;
    int64_t expires_ms;
} auction_head;

typedef struct price_mean {
    uint64_t sum;
    uint64_t count;
} price_mean;

static bench_table *open_table(joins_run *run, const char *name, bench_kind kind)
{
    return run->store->ops->open_table(
        run->store, &(bench_table_options){.name = name, .kind = kind});
}

void *bench_joins_begin(const bench_workload *workload, bench_store *store)
{
    joins_run *run = bench_allocate(sizeof *run);
    run->store = store;
    run->workload = workload;
    const bool is_narrow = workload->variant == BENCH_Q4;
    run->auction_bytes = is_narrow ? NARROW_BYTES : BENCH_AUCTION_BYTES;
    run->bid_bytes = is_narrow ? NARROW_BYTES : BENCH_BID_BYTES;
    run->left = open_table(run, "left", workload->variant == BENCH_JOIN ? BENCH_MAP : BENCH_VALUE);
    run->right = open_table(run, "right", BENCH_MAP);
    if (workload->variant == BENCH_Q4 || workload->variant == BENCH_Q9) {
        run->winners = open_table(run, "winners", BENCH_VALUE);
    }
    if (workload->variant == BENCH_Q4) {
        run->means = open_table(run, "means", BENCH_VALUE);
    }
    bench_source_open(
        &run->source,
        store->options,
        workload->variant == BENCH_JOIN ? 0 : 1u << BENCH_AUCTION | 1u << BENCH_BID);
    return run;
}

void bench_joins_prepare(void *context, uint64_t count)
{
    joins_run *run = context;
    bench_source_fill(&run->source, run->batch, count);
}

/* ---- join ------------------------------------------------------------------------------- */

static void join(joins_run *run, const bench_event *event)
{
    const bool is_left = event->number % 2 == 0;
    bench_table *own = is_left ? run->left : run->right;
    bench_table *other = is_left ? run->right : run->left;
    const uint8_t place = (uint8_t)(event->number / 2 % LATEST);
    bench_set_key(run->store, event->auction);
    run->store->ops->map_put(
        own,
        tarn_bytes_at(&place, sizeof place),
        bench_source_row(&run->source, event, JOIN_ROW_BYTES));
    run->store->ops->visit(other, bench_digest_visit, &run->checksum);
}

/* ---- auctions and bids ------------------------------------------------------------------ */

/* The mean of a category follows the largest price of one of its auctions. */
static void move_mean(joins_run *run, uint64_t category, uint64_t old_price, uint64_t price)
{
    price_mean mean;
    bench_set_key(run->store, category);
    void *value = run->store->ops->edit(run->means, sizeof mean);
    memcpy(&mean, value, sizeof mean);
    mean.sum += price - old_price;
    mean.count += old_price == 0;
    memcpy(value, &mean, sizeof mean);
    run->store->ops->edited(run->means, sizeof mean);
    run->checksum += mean.sum / mean.count;
}

static void meet_q4(joins_run *run, uint64_t auction, uint64_t category, uint64_t price)
{
    uint64_t best = 0;
    tarn_bytes value;
    if (run->store->ops->get(run->winners, &value)) {
        memcpy(&best, value.data, sizeof best);
    }
    if (price <= best) {
        return;
    }
    run->store->ops->put(run->winners, tarn_bytes_at(&price, sizeof price));
    move_mean(run, category, best, price);
    bench_set_key(run->store, auction);
}

static void meet_q9(joins_run *run, tarn_bytes bid)
{
    const bench_row_head head = bench_row_head_of(bid);
    tarn_bytes row;
    if (run->store->ops->get(run->winners, &row)) {
        const bench_row_head best = bench_row_head_of(row);
        if (head.price < best.price || (head.price == best.price && head.number >= best.number)) {
            return;
        }
    }
    run->store->ops->put(run->winners, bid);
    run->checksum += bench_row_digest(bid);
}

/* A bid and its auction: the auction's head was stored, and the bid's row is not borrowed. */
static void meet(joins_run *run, uint64_t auction, const auction_head *head, tarn_bytes bid)
{
    const bench_row_head row = bench_row_head_of(bid);
    if (run->workload->variant == BENCH_Q20) {
        run->checksum += bench_row_digest(bid) ^ head->number;
        return;
    }
    if (row.time_ms < head->begin_ms || row.time_ms > head->expires_ms) {
        return;
    }
    if (run->workload->variant == BENCH_Q4) {
        meet_q4(run, auction, head->category, row.price);
    } else {
        meet_q9(run, bid);
    }
}

/* Bids that were there before their auction; they are copied, as meeting them may read again. */
typedef struct early_bids {
    uint64_t count;
    size_t bytes;
    uint8_t rows[BENCH_ROW_BYTES_MAX];
} early_bids;

static void collect(void *context, tarn_bytes key, tarn_bytes value)
{
    early_bids *waiting = context;
    (void)key;
    if ((waiting->count + 1) * value.size > sizeof waiting->rows) {
        bench_fail("more bids before their auction than there is room for");
    }
    waiting->bytes = value.size;
    memcpy(waiting->rows + waiting->count++ * value.size, value.data, value.size);
}

static void take_auction(joins_run *run, const bench_event *event)
{
    const auction_head head = {event->number, event->category, event->time_ms, event->expires_ms};
    uint8_t row[BENCH_AUCTION_BYTES];
    early_bids waiting = {.count = 0};
    if (run->workload->variant == BENCH_Q20 && event->category != BENCH_FIRST_CATEGORY) {
        return;
    }
    const tarn_bytes filled = bench_source_row(&run->source, event, run->auction_bytes);
    memcpy(row, filled.data, filled.size);
    memcpy(row, &head, sizeof head);
    bench_set_key(run->store, event->auction);
    run->store->ops->put(run->left, tarn_bytes_at(row, run->auction_bytes));
    run->store->ops->visit(run->right, collect, &waiting);
    for (uint64_t i = 0; i < waiting.count; i++) {
        meet(
            run,
            event->auction,
            &head,
            tarn_bytes_at(waiting.rows + i * waiting.bytes, waiting.bytes));
    }
}

static void take_bid(joins_run *run, const bench_event *event)
{
    const tarn_bytes bid = bench_source_row(&run->source, event, run->bid_bytes);
    auction_head head;
    tarn_bytes row;
    bench_set_key(run->store, event->auction);
    run->store->ops->map_put(run->right, tarn_bytes_at(&event->number, sizeof event->number), bid);
    if (run->store->ops->get(run->left, &row)) {
        memcpy(&head, row.data, sizeof head);
        meet(run, event->auction, &head, bid);
    }
}

void bench_joins_event(void *context, uint64_t index)
{
    joins_run *run = context;
    const bench_event *event = &run->batch[index];
    if (run->workload->variant == BENCH_JOIN) {
        join(run, event);
    } else if (event->kind == BENCH_AUCTION) {
        take_auction(run, event);
    } else {
        take_bid(run, event);
    }
}

uint64_t bench_joins_finish(void *context)
{
    joins_run *run = context;
    const uint64_t checksum = run->checksum;
    bench_source_close(&run->source);
    free(run);
    return checksum;
}
