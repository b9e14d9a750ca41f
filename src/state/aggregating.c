/*
 * aggregating.c - aggregating state: values go into an accumulator of the program's.
 *
 *     [group][key][namespace] -> [stamp, with a TTL][accumulator]
 */
#include <string.h>

#include "tarn/aggregating.h"

#include "base/options.h"
#include "state/fold.h"
#include "state/hot.h"

struct tarn_aggregating {
    tarn_keyed keyed;
    tarn_aggregating_options how;
    tarn_buffer answer; /* The latest result: it may be what is added next. */
};

/* ---- opening and closing ---------------------------------------------------------------- */

void tarn_aggregating_options_init(tarn_aggregating_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

static tarn_status merge(
    tarn_keyed *keyed,
    const tarn_bytes *sources,
    size_t source_count,
    tarn_bytes target,
    tarn_error *error)
{
    const tarn_aggregating *state = (tarn_aggregating *)keyed;
    return tarn__fold_merge(
        keyed, state->how.merge, state->how.context, sources, source_count, target, error);
}

tarn_status tarn_aggregating_open(
    tarn_backend *backend,
    const tarn_state_options *options,
    const tarn_aggregating_options *aggregating,
    tarn_aggregating **out,
    tarn_error *error)
{
    tarn_aggregating_options how;
    tarn_keyed *keyed = NULL;
    if (out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "out is missing");
    }
    TARN_TRY(tarn__options_copy("tarn_aggregating_options", aggregating, &how, sizeof how, error));
    if (how.add == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "tarn_aggregating_options.add is missing");
    }
    TARN_TRY(tarn__keyed_open(
        backend, options, TARN__STATE_AGGREGATING, 0, sizeof(tarn_aggregating), &keyed, error));
    tarn_aggregating *state = (tarn_aggregating *)keyed;
    keyed->merge = how.merge != NULL ? merge : NULL;
    state->how = how;
    state->answer.allocator = &backend->buffers->face;
    *out = state;
    return TARN_OK;
}

tarn_status tarn_aggregating_close(tarn_aggregating *state, tarn_error *error)
{
    if (state == NULL) {
        return TARN_OK;
    }
    tarn_buffer_clear(&state->answer);
    return tarn__keyed_close(&state->keyed, error);
}

tarn_keyed *tarn_aggregating_keyed(tarn_aggregating *state)
{
    return &state->keyed;
}

tarn_status tarn_aggregating_set_namespace(
    tarn_aggregating *state, tarn_bytes name_space, tarn_error *error)
{
    return tarn_keyed_set_namespace(&state->keyed, name_space, error);
}

/* ---- everyday calls --------------------------------------------------------------------- */

tarn_status tarn_aggregating_add(tarn_aggregating *state, tarn_bytes value, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    const tarn_status status =
        tarn__fold_add(keyed, state->how.add, state->how.context, value, error);
    tarn__rocks_unpin(&keyed->backend->pin);
    return status;
}

tarn_status tarn_aggregating_get(tarn_aggregating *state, tarn_bytes *out, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_bytes row;
    tarn_bytes accumulator;
    TARN_TRY(tarn__backend_enter(keyed->backend, error));
    tarn__rocks_unpin(&keyed->backend->pin);
    TARN_TRY(tarn__keyed_row(keyed, tarn_bytes_at(NULL, 0), &row, error));
    TARN_TRY(tarn__keyed_get(keyed, row, &accumulator, error));
    if (state->how.get_result == NULL) {
        *out = accumulator;
        return TARN_OK;
    }
    state->answer.size = 0;
    TARN_TRY(tarn__fold_check(
        keyed, state->how.get_result(accumulator, &state->answer, state->how.context), error));
    *out = tarn_buffer_bytes(&state->answer);
    return TARN_OK;
}

tarn_status tarn_aggregating_clear(tarn_aggregating *state, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_bytes row;
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    TARN_TRY(tarn__keyed_row(keyed, tarn_bytes_at(NULL, 0), &row, error));
    tarn__rocks_unpin(&keyed->backend->pin);
    return tarn__keyed_delete(keyed, row, error);
}
