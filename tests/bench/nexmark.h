/*
 * nexmark.h - the events of Nexmark: people, auctions, bids on them.
 *
 * Of 50 events 1 is a person, 3 are auctions, 46 are bids, in this order; identifiers grow. Of bids
 * a half goes to the hot auction (the first of the latest block of 100), the rest to any of the
 * last 100 auctions or the next 10. Three of four bids are by the hot bidder (the second of the
 * latest block of 100 people), the rest by any of the last 1,000 people or the next 10; sellers
 * likewise, but the hot one is the first of its block. Prices are log-uniform, 100 to 10^8; an
 * auction is open for up to twice the time in which 100 auctions begin.
 *
 * Source: github.com/nexmark/nexmark, NexmarkConfiguration (proportions, ratios, sizes) and
 * generator/model/{Person,Auction,Bid,Price}Generator.
 */
#ifndef TARN_TESTS_BENCH_NEXMARK_H
#define TARN_TESTS_BENCH_NEXMARK_H

#include <stdint.h>

enum {
    BENCH_PERSON_BYTES = 200,
    BENCH_AUCTION_BYTES = 500,
    BENCH_BID_BYTES = 100,
    BENCH_FIRST_CATEGORY = 10,
    BENCH_CATEGORIES = 5,
};

typedef enum bench_event_kind {
    BENCH_PERSON,
    BENCH_AUCTION,
    BENCH_BID,
} bench_event_kind;

typedef struct bench_event {
    bench_event_kind kind;
    uint32_t category;  /* Of an auction. */
    uint64_t number;    /* Of the event: no other has it. */
    int64_t time_ms;    /* Never less than before. */
    uint64_t auction;   /* The auction, or the one that is bid on. */
    uint64_t person;    /* The person, seller or bidder. */
    uint64_t price;     /* Of a bid. */
    int64_t expires_ms; /* Of an auction. */
} bench_event;

typedef struct bench_nexmark {
    uint64_t number;
    uint64_t random;
    uint64_t rate; /* Events a second of event time. */
} bench_nexmark;

bench_event bench_nexmark_next(bench_nexmark *nexmark);

#endif
