/* workloads.c - the table of workload.h. */
#include "workload.h"

#include <string.h>

#define VALUES (1u << BENCH_VALUE)
#define SUMS   (1u << BENCH_SUM)
#define LISTS  (1u << BENCH_LIST)
#define MAPS   (1u << BENCH_MAP)

#define FUNCTIONS(room) \
    bench_##room##_begin, bench_##room##_prepare, bench_##room##_event, bench_##room##_finish

const bench_workload BENCH_WORKLOADS[] = {
    {"rmw", "count up the value of a key of --dist or --input", VALUES, 0, FUNCTIONS(rmw)},
    {"lookup",
     "as rmw, but only read",
     VALUES,
     0,
     bench_rmw_begin,
     bench_rmw_prepare,
     bench_lookup_event,
     bench_rmw_finish},
    {"reduce",
     "as rmw, but a sum that is added to and not read",
     SUMS,
     0,
     bench_reduce_begin,
     bench_rmw_prepare,
     bench_reduce_event,
     bench_rmw_finish},

    {"window", "counts in tumbling windows", VALUES, BENCH_WINDOW, FUNCTIONS(windows)},
    {"session", "counts until a key pauses", VALUES, BENCH_SESSION, FUNCTIONS(windows)},
    {"join", "latest rows of two sides meet", MAPS, BENCH_JOIN, FUNCTIONS(joins)},
    {"dedup-ttl", "the first of a key in a while", VALUES, BENCH_DEDUP, FUNCTIONS(rows)},
    {"topn", "the ten highest of a key", VALUES, BENCH_TOPN, FUNCTIONS(rows)},
    {"map", "entries put, read, removed, visited", MAPS, BENCH_MAP_MIX, FUNCTIONS(rows)},
    {"append-drain", "lists grow, are read, end", LISTS, BENCH_APPEND_DRAIN, FUNCTIONS(rows)},

    {"q4", "Nexmark: mean price of a category", VALUES | MAPS, BENCH_Q4, FUNCTIONS(joins)},
    {"q5", "Nexmark: hot items, sliding windows", VALUES, BENCH_Q5, FUNCTIONS(windows)},
    {"q7", "Nexmark: highest bid of a window", VALUES | LISTS, BENCH_Q7, FUNCTIONS(windows)},
    {"q8", "Nexmark: new people who sell", LISTS, BENCH_Q8, FUNCTIONS(windows)},
    {"q9", "Nexmark: winning bids", VALUES | MAPS, BENCH_Q9, FUNCTIONS(joins)},
    {"q11", "Nexmark: bids of a session", VALUES, BENCH_Q11, FUNCTIONS(windows)},
    {"q12", "Nexmark: bids of a window", VALUES, BENCH_Q12, FUNCTIONS(windows)},
    {"q18", "Nexmark: the last bid of a bidder", VALUES, BENCH_Q18, FUNCTIONS(rows)},
    {"q19", "Nexmark: the top ten of an auction", VALUES, BENCH_Q19, FUNCTIONS(rows)},
    {"q20", "Nexmark: bids with their auction", VALUES | MAPS, BENCH_Q20, FUNCTIONS(joins)},

    {"micro-value-get", "one operation", VALUES, BENCH_VALUE_GET, FUNCTIONS(micro)},
    {"micro-value-update", "", VALUES, BENCH_VALUE_UPDATE, FUNCTIONS(micro)},
    {"micro-value-add", "of a new key", VALUES, BENCH_VALUE_ADD, FUNCTIONS(micro)},
    {"micro-list-get", "", LISTS, BENCH_LIST_GET, FUNCTIONS(micro)},
    {"micro-list-update", "", LISTS, BENCH_LIST_UPDATE, FUNCTIONS(micro)},
    {"micro-list-append", "", LISTS, BENCH_LIST_APPEND, FUNCTIONS(micro)},
    {"micro-list-add", "of a new key", LISTS, BENCH_LIST_ADD, FUNCTIONS(micro)},
    {"micro-map-get", "", MAPS, BENCH_MAP_GET, FUNCTIONS(micro)},
    {"micro-map-put", "", MAPS, BENCH_MAP_PUT, FUNCTIONS(micro)},
    {"micro-map-remove", "", MAPS, BENCH_MAP_REMOVE, FUNCTIONS(micro)},
    {"micro-map-contains", "", MAPS, BENCH_MAP_CONTAINS, FUNCTIONS(micro)},
    {"micro-map-iterate", "", MAPS, BENCH_MAP_ITERATE, FUNCTIONS(micro)},
};

const size_t BENCH_WORKLOAD_COUNT = sizeof BENCH_WORKLOADS / sizeof BENCH_WORKLOADS[0];

const bench_workload *bench_workload_find(const char *name)
{
    for (size_t i = 0; i < BENCH_WORKLOAD_COUNT; i++) {
        if (strcmp(BENCH_WORKLOADS[i].name, name) == 0) {
            return &BENCH_WORKLOADS[i];
        }
    }
    return NULL;
}
