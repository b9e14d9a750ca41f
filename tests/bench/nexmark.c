/* nexmark.c - see nexmark.h. */
#include "nexmark.h"

#include <math.h>

#include "keys.h"

enum {
    PEOPLE = 1, /* Of a cycle of events. */
    AUCTIONS = 3,
    CYCLE = 50,
    HOT_BLOCK = 100,
    HOT_AUCTION_RATIO = 2,
    HOT_PERSON_RATIO = 4,
    OPEN_AUCTIONS = 100,
    ACTIVE_PEOPLE = 1000,
    LEAD = 10,
};

static const uint64_t FIRST_ID = 1000;

static uint64_t below(bench_nexmark *nexmark, uint64_t bound)
{
    return bench_random(&nexmark->random) % bound;
}

/* The newest auction and person at an event, counted from 0. */
static uint64_t last_auction(uint64_t number)
{
    const uint64_t cycle = number / CYCLE;
    const uint64_t offset = number % CYCLE;
    if (offset < PEOPLE) {
        return cycle == 0 ? 0 : cycle * AUCTIONS - 1;
    }
    return cycle * AUCTIONS + (offset - PEOPLE < AUCTIONS ? offset - PEOPLE : AUCTIONS - 1);
}

static uint64_t last_person(uint64_t number)
{
    return number / CYCLE;
}

static uint64_t any_auction(bench_nexmark *nexmark)
{
    const uint64_t last = last_auction(nexmark->number);
    const uint64_t first = last > OPEN_AUCTIONS ? last - OPEN_AUCTIONS : 0;
    return first + below(nexmark, last - first + 1 + LEAD);
}

static uint64_t any_person(bench_nexmark *nexmark)
{
    const uint64_t people = last_person(nexmark->number) + 1;
    const uint64_t active = people < ACTIVE_PEOPLE ? people : ACTIVE_PEOPLE;
    return people - active + below(nexmark, active + LEAD);
}

/* hot: which of the latest block is the hot one. */
static uint64_t person_of(bench_nexmark *nexmark, uint64_t hot)
{
    if (below(nexmark, HOT_PERSON_RATIO) == 0) {
        return any_person(nexmark);
    }
    return last_person(nexmark->number) / HOT_BLOCK * HOT_BLOCK + hot;
}

static uint64_t price_of(bench_nexmark *nexmark)
{
    return (uint64_t)llround(pow(10.0, bench_random_real(&nexmark->random) * 6.0) * 100.0);
}

static void make_auction(bench_nexmark *nexmark, bench_event *event)
{
    const uint64_t horizon_ms =
        (uint64_t)OPEN_AUCTIONS * CYCLE * 1000 / AUCTIONS / nexmark->rate + 1;
    event->kind = BENCH_AUCTION;
    event->auction = FIRST_ID + last_auction(nexmark->number);
    event->person = FIRST_ID + person_of(nexmark, 0);
    event->category = BENCH_FIRST_CATEGORY + (uint32_t)below(nexmark, BENCH_CATEGORIES);
    event->expires_ms = event->time_ms + 1 + (int64_t)below(nexmark, horizon_ms * 2);
}

static void make_bid(bench_nexmark *nexmark, bench_event *event)
{
    const bool is_hot = below(nexmark, HOT_AUCTION_RATIO) != 0;
    event->kind = BENCH_BID;
    event->auction = FIRST_ID + (is_hot ? last_auction(nexmark->number) / HOT_BLOCK * HOT_BLOCK
                                        : any_auction(nexmark));
    event->person = FIRST_ID + person_of(nexmark, 1);
    event->price = price_of(nexmark);
}

bench_event bench_nexmark_next(bench_nexmark *nexmark)
{
    const uint64_t offset = nexmark->number % CYCLE;
    bench_event event = {
        .kind = BENCH_PERSON,
        .number = nexmark->number,
        .time_ms = (int64_t)(nexmark->number * 1000 / nexmark->rate),
        .person = FIRST_ID + last_person(nexmark->number),
    };
    if (offset >= PEOPLE + AUCTIONS) {
        make_bid(nexmark, &event);
    } else if (offset >= PEOPLE) {
        make_auction(nexmark, &event);
    }
    nexmark->number++;
    return event;
}
