/* plan.h - what the kinds of `tarn plan` share. */
#ifndef TARN_CLI_PLAN_H
#define TARN_CLI_PLAN_H

#include "tarn/plan.h"

#include "cli.h"
#include "json.h"

/* What was asked for. */
typedef struct cli_plan_request {
    const tarn_config *config;
    tarn_plan_path path;
    bool as_json;
    bool has_managed; /* --managed was given: managed_bytes. */
    bool has_slots;   /* --slots was given. */
    int64_t managed_bytes;
    int32_t slots;
} cli_plan_request;

/*
 * One pool of a process, and the options that can size it. Keys are NULL where there is none.
 */
typedef struct cli_pool {
    const char *name; /* As in the JSON answer. */
    int depth;        /* Below how many other pools it is. */
    int64_t bytes;
    const char *key;        /* Sets it. */
    const char *legacy_key; /* Old release's spelling of the key, and the one in mebibytes. */
    const char *legacy_mb_key;
    const char *count_key; /* Sizes it by a number of buffers, when no share does. */
    const char *fraction_key;
    const char *min_key;
    const char *max_key;
    int64_t whole;    /* What the fraction is of. */
    const char *rest; /* How it follows from the others when nothing above says it. */
} cli_pool;

/* Why a pool has its size: a word ("set", "default" or "derived") and the details. */
typedef struct cli_reason {
    const char *source;
    char text[256];
} cli_reason;

cli_reason cli_pool_explain(const cli_plan_request *request, const cli_pool *pool);

/* Answers with the pools of a process; the first is the whole. */
void cli_pools_print(const cli_plan_request *request, const cli_pool *pools, size_t count);

/* The kinds. Each prints its answer and returns the exit status. */
int cli_plan_taskmanager(const cli_plan_request *request);
int cli_plan_jobmanager(const cli_plan_request *request);
int cli_plan_rocksdb(const cli_plan_request *request);

#endif
