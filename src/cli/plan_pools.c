/* plan_pools.c - the pools of a process as a table or JSON, each with the reason of its size. */
#include "plan.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "setting.h"
#include "table.h"
#include "text.h"

/* How far a derived size may be from the share in double: Flink's fractions have 32 bits. */
static const double share_tolerance = 1e-6;

static void say(cli_reason *reason, const char *source, const char *text)
{
    reason->source = source;
    snprintf(reason->text, sizeof reason->text, "%s", text);
}

static void say_set(cli_reason *reason, const tarn_config_entry *entry)
{
    reason->source = "set";
    cli_setting_describe(entry, reason->text);
}

static bool is_set(const cli_plan_request *request, const char *key)
{
    tarn_config_entry entry;
    return key != NULL && cli_setting_find(request->config, key, &entry);
}

static bool has_size(const cli_plan_request *request, const char *key, int64_t bytes)
{
    int64_t size = 0;
    return key != NULL &&
           tarn_config_get_memory(request->config, key, &size, NULL, NULL) == TARN_OK &&
           size == bytes;
}

/* An option that is set, or an old spelling that the start scripts take for it. */
static bool explain_set(const cli_plan_request *request, const cli_pool *pool, cli_reason *reason)
{
    tarn_config_entry entry;
    if (is_set(request, pool->key)) {
        if (has_size(request, pool->key, pool->bytes) &&
            cli_setting_find(request->config, pool->key, &entry)) {
            say_set(reason, &entry);
            return true;
        }
        return false;
    }
    if (request->path == TARN_PLAN_SHELL && pool->legacy_key != NULL &&
        (cli_setting_find_exactly(request->config, pool->legacy_key, &entry) ||
         cli_setting_find_exactly(request->config, pool->legacy_mb_key, &entry))) {
        say_set(reason, &entry);
        return true;
    }
    return false;
}

/* A bound of a share that the pool lies on. */
static bool explain_bound(
    const cli_plan_request *request,
    const cli_pool *pool,
    const char *key,
    const char *word,
    cli_reason *reason)
{
    const char *text = NULL;
    if (!has_size(request, key, pool->bytes) ||
        tarn_config_get_string(request->config, key, &text, NULL, NULL) != TARN_OK) {
        return false;
    }
    reason->source = "derived";
    snprintf(reason->text, sizeof reason->text, "%s: %.80s = %.60s", word, key, text);
    return true;
}

static bool explain_share(const cli_plan_request *request, const cli_pool *pool, cli_reason *reason)
{
    const char *text = NULL;
    float fraction = 0;
    if (pool->fraction_key == NULL ||
        tarn_config_get_float(request->config, pool->fraction_key, &fraction, NULL, NULL) !=
            TARN_OK ||
        tarn_config_get_string(request->config, pool->fraction_key, &text, NULL, NULL) != TARN_OK) {
        return false;
    }
    const double share = (double)fraction * (double)pool->whole;
    if (fabs(share - (double)pool->bytes) > share_tolerance * (double)pool->whole + 1) {
        return false;
    }
    reason->source = "derived";
    snprintf(reason->text, sizeof reason->text, "share: %.80s = %.60s", pool->fraction_key, text);
    return true;
}

/* A number of buffers counts only when no option of the share is set. */
static bool explain_count(const cli_plan_request *request, const cli_pool *pool, cli_reason *reason)
{
    tarn_config_entry entry;
    if (pool->count_key == NULL || is_set(request, pool->fraction_key) ||
        is_set(request, pool->min_key) || is_set(request, pool->max_key) ||
        !cli_setting_find(request->config, pool->count_key, &entry)) {
        return false;
    }
    say_set(reason, &entry);
    return true;
}

cli_reason cli_pool_explain(const cli_plan_request *request, const cli_pool *pool)
{
    cli_reason reason;
    if (explain_set(request, pool, &reason) || explain_count(request, pool, &reason)) {
        return reason;
    }
    if (!is_set(request, pool->key) && has_size(request, pool->key, pool->bytes)) {
        say(&reason, "default", pool->key);
        return reason;
    }
    if (explain_share(request, pool, &reason) ||
        explain_bound(request, pool, pool->min_key, "smallest", &reason) ||
        explain_bound(request, pool, pool->max_key, "largest", &reason)) {
        return reason;
    }
    say(&reason, "derived", pool->rest);
    return reason;
}

static void print_json(const cli_pool *pools, size_t count)
{
    json_t *bytes = cli_json_object();
    for (size_t i = 0; i < count; i++) {
        cli_json_set(bytes, pools[i].name, cli_json_integer(pools[i].bytes));
    }
    json_t *answer = cli_json_object();
    cli_json_set(answer, "ok", json_true());
    cli_json_set(answer, "bytes", bytes);
    cli_json_print(answer);
}

void cli_pools_print(const cli_plan_request *request, const cli_pool *pools, size_t count)
{
    static const cli_column columns[] = {
        {"POOL", CLI_LEFT},
        {"BYTES", CLI_RIGHT},
        {"SIZE", CLI_RIGHT},
        {"SHARE", CLI_RIGHT},
        {"SOURCE", CLI_LEFT},
        {"WHY", CLI_LEFT},
    };
    if (request->as_json) {
        print_json(pools, count);
        return;
    }
    cli_table *table = cli_table_new(columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < count; i++) {
        const cli_pool *pool = &pools[i];
        const cli_reason reason = cli_pool_explain(request, pool);
        char name[64];
        snprintf(name, sizeof name, "%*s%s", 2 * pool->depth, "", pool->name);
        const cli_text bytes = cli_text_integer(pool->bytes);
        const cli_text size = cli_text_size(pool->bytes);
        const cli_text share = cli_text_share(pool->bytes, pools[0].bytes);
        cli_table_add(
            table,
            (const char *const[]){
                name, bytes.data, size.data, share.data, reason.source, reason.text});
    }
    cli_table_print(table);
}
