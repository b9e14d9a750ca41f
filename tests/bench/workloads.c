/* workloads.c - the table of workload.h. */
#include "workload.h"

#define VALUES (1u << BENCH_VALUE)
#define SUMS   (1u << BENCH_SUM)

const bench_workload BENCH_WORKLOADS[] = {
    {"rmw",
     "count up the value of a key of --dist zipf, uniform, latest or hotspot, or of --input FILE",
     VALUES,
     0,
     bench_rmw_begin,
     bench_rmw_prepare,
     bench_rmw_event,
     bench_rmw_finish},
    {"reduce",
     "as rmw, but a sum that is added to and not read",
     SUMS,
     0,
     bench_reduce_begin,
     bench_rmw_prepare,
     bench_reduce_event,
     bench_rmw_finish},
};

const size_t BENCH_WORKLOAD_COUNT = sizeof BENCH_WORKLOADS / sizeof BENCH_WORKLOADS[0];
