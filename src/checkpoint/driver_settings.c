/* driver_settings.c - a driver opened by way of an environment and its configuration. */
#include <inttypes.h>
#include <string.h>

#include "tarn/fallback.h"

#include "base/options.h"
#include "base/try.h"
#include "checkpoint/driver.h"
#include "env/env.h"
#include "snapshot/store.h"

enum { HISTORY_COUNT_DEFAULT = 10, HISTORY_COUNT_MAX = 100000 };

void tarn_driver_options_init(tarn_driver_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

/* What the configuration says, or what the caller gave, with the job's shape. */
static tarn_status configure(
    const tarn_driver_options *options, tarn_coordinator_options *out, tarn_error *error)
{
    if (options->coordinator != NULL) {
        TARN_TRY(tarn__options_copy(
            "tarn_coordinator_options", options->coordinator, out, sizeof *out, error));
    } else {
        const tarn_config *config = tarn__env_config(options->env);
        tarn_checkpoint_settings settings = TARN_CHECKPOINT_SETTINGS_INIT;
        int32_t retained_count = 1;
        TARN_TRY(tarn_checkpoint_settings_from_config(config, &settings, error));
        TARN_TRY(tarn_config_get_int(
            config, "execution.checkpointing.num-retained", &retained_count, NULL, error));
        tarn_coordinator_options_apply(out, &settings);
        out->retained_count = retained_count > 0 ? (uint32_t)retained_count : 1;
    }
    out->parallelism = options->parallelism;
    out->operator_count = options->operator_count;
    out->edges = options->edges;
    out->edge_count = options->edge_count;
    return TARN_OK;
}

static tarn_status check(const tarn_driver_options *options, tarn_error *error)
{
    if (options->env == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "env is missing");
    }
    if (options->parallelism == NULL || options->operator_count == 0) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "parallelism is missing");
    }
    if (options->savepoint_form < TARN_FORM_INCREMENTAL ||
        options->savepoint_form > TARN_FORM_CANONICAL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "savepoint_form is none");
    }
    if (options->history_count > HISTORY_COUNT_MAX) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "history_count is %u, which is more than %d",
            options->history_count,
            HISTORY_COUNT_MAX);
    }
    return TARN_OK;
}

/*
 * Somebody may want to go back. But it may also have been committed after the newest was looked
 * for: by a process that was thought dead, or by a request that was still under way. Of another
 * job's checkpoint the number says nothing about this one's, and what was refused is known.
 */
static void warn_of_newer(const tarn_driver_options *options, tarn_checkpoint_store *store)
{
    const uint64_t newest = tarn__store_newest(store);
    if (tarn__store_has(store, options->restored) &&
        newest > tarn_checkpoint_summarize(options->restored).id) {
        tarn__env_log(
            options->env,
            TARN_LOG_WARNING,
            "job \"%.255s\" is restored from %.200s, but checkpoint %" PRIu64
            " of its directory is newer and complete; should this not be meant, close the driver "
            "and restore that one",
            options->job,
            tarn_checkpoint_path(options->restored),
            newest);
    }
}

/* Where savepoints go and what they are of, where the program has not said it. */
static tarn_status configure_savepoints(tarn_driver_options *options, tarn_error *error)
{
    static const tarn_checkpoint_form forms[] = {TARN_FORM_CANONICAL, TARN_FORM_NATIVE};
    const tarn_config *config = tarn__env_config(options->env);
    if (options->savepoint_form == TARN_FORM_INCREMENTAL) {
        int choice = 0;
        TARN_TRY(tarn_config_get_enum(config, "tarn.savepoint.form", &choice, NULL, error));
        options->savepoint_form = forms[choice];
    }
    if (options->savepoint_address == NULL) {
        const tarn_status found = tarn_config_get_string(
            config,
            "execution.checkpointing.savepoint-dir",
            &options->savepoint_address,
            NULL,
            error);
        TARN_TRY(found == TARN_NOT_FOUND ? TARN_OK : found);
    }
    return TARN_OK;
}

/* Says to the store whose the restored checkpoint is. */
static tarn_status claim(
    const tarn_driver_options *options, tarn_checkpoint_store *store, tarn_error *error)
{
    tarn_claim_mode mode = options->claim_mode;
    if (options->restored == NULL) {
        return TARN_OK;
    }
    if (mode == TARN_CLAIM_MODE_DEFAULT) {
        TARN_TRY(tarn_claim_mode_from_config(tarn__env_config(options->env), &mode, error));
    }
    warn_of_newer(options, store);
    return tarn_checkpoint_claim(store, options->restored, mode, error);
}

/* Which checkpoint of the directory the job goes on from, as far as that is said. */
static uint64_t trusted_id(const tarn_driver_options *options, const tarn_checkpoint_store *store)
{
    if (options->restored == NULL) {
        return TARN__TRUST_NEXT_OLDER;
    }
    return tarn__store_has(store, options->restored)
               ? tarn_checkpoint_summarize(options->restored).id
               : 0;
}

/* Says to the store which checkpoints the restore has passed over: before anything is claimed, as
 * what they name may be damaged, and is taken over from elsewhere then. */
static tarn_status refuse(
    const tarn_driver_options *options, tarn_checkpoint_store *store, tarn_error *error)
{
    if (options->refused_ids == NULL && options->refused_count > 0) {
        return tarn__fail(
            error, TARN_INVALID_ARGUMENT, "refused_ids is NULL but refused_count is not 0");
    }
    const uint64_t trusted = options->refused_count > 0 ? trusted_id(options, store) : 0;
    for (uint32_t i = 0; i < options->refused_count; i++) {
        const tarn_status status =
            tarn__store_refuse(store, options->refused_ids[i], trusted, error);
        TARN_TRY(status == TARN_NOT_FOUND ? TARN_OK : status);
    }
    return TARN_OK;
}

tarn_status tarn_driver_open(
    const tarn_driver_options *options, tarn_driver **out, tarn_error *error)
{
    tarn_driver_options known;
    TARN_TRY(tarn__options_copy("tarn_driver_options", options, &known, sizeof known, error));
    TARN_TRY(check(&known, error));
    tarn_coordinator_options coordinator = TARN_COORDINATOR_OPTIONS_INIT;
    TARN_TRY(configure(&known, &coordinator, error));

    /* The coordinator says what is retained; the store deletes nothing by itself. */
    const tarn_checkpoint_store_options store_options = {
        .struct_size = sizeof store_options,
        .env = known.env,
        .address = known.address,
        .job = known.job,
        .retained_count = UINT32_MAX,
    };
    TARN_TRY(configure_savepoints(&known, error));
    tarn_checkpoint_store *store = NULL;
    TARN_TRY(tarn_checkpoint_store_open(&store_options, &store, error));
    const tarn__driver_options driver_options = {
        .account = tarn__env_account(known.env),
        .clock = tarn__env_clock(known.env),
        .store = store,
        .coordinator = &coordinator,
        .address = known.address,
        .job = known.job,
        .env = known.env,
        .savepoint_address = known.savepoint_address,
        .savepoint_form = known.savepoint_form,
        .history_count =
            known.history_count > 0 ? known.history_count : (uint32_t)HISTORY_COUNT_DEFAULT,
        .hear = known.hear,
        .fail_job = known.fail_job,
        .context = known.context,
    };
    tarn_status status = refuse(&known, store, error);
    if (status == TARN_OK) {
        status = claim(&known, store, error);
    }
    if (status == TARN_OK) {
        status = tarn__driver_open(&driver_options, out, error);
    }
    if (status != TARN_OK) {
        const tarn_status closed = tarn_checkpoint_store_close(store, NULL);
        (void)closed; /* Nothing is pending in it. */
    }
    return status;
}
