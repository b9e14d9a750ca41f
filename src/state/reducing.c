/*
 * reducing.c - reducing state: what is added becomes one value.
 *
 *     built in   [group][key][namespace] -> a reduction (codec/reduction.h); adds are merged blind
 *     function   [group][key][namespace] -> [stamp, with a TTL][value]; adds read, call and write
 */
#include <string.h>

#include "tarn/reducing.h"

#include "base/options.h"
#include "codec/reduction.h"
#include "state/fold.h"
#include "state/hot.h"

struct tarn_reducing {
    tarn_keyed keyed;
    uint8_t tag; /* Of a built-in reducer; 0: a function. */
    tarn_reducing_options how;
};

/* ---- opening and closing ---------------------------------------------------------------- */

void tarn_reducing_options_init(tarn_reducing_options *options, size_t struct_size)
{
    memset(options, 0, struct_size);
    options->struct_size = struct_size;
}

static tarn__keyed_merge_fn merge_values;
static tarn__keyed_merge_fn merge_numbers;

static tarn_status check_options(tarn_reducing_options *how, uint8_t *tag, tarn_error *error)
{
    *tag = 0;
    if (how->reducer == TARN_REDUCER_FUNCTION) {
        return how->reduce != NULL
                   ? TARN_OK
                   : tarn__fail(
                         error, TARN_INVALID_ARGUMENT, "tarn_reducing_options.reduce is missing");
    }
    if (how->reducer == TARN_REDUCER_COUNT) {
        how->number = TARN_NUMBER_U64;
    }
    *tag = tarn__reduction_tag(how->reducer, how->number);
    if (*tag == 0) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "there is no reducer %u of numbers of type %u",
            (uint32_t)how->reducer,
            (uint32_t)how->number);
    }
    return TARN_OK;
}

tarn_status tarn_reducing_open(
    tarn_backend *backend,
    const tarn_state_options *options,
    const tarn_reducing_options *reducing,
    tarn_reducing **out,
    tarn_error *error)
{
    tarn_reducing_options how;
    uint8_t tag = 0;
    tarn_keyed *keyed = NULL;
    if (out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "out is missing");
    }
    TARN_TRY(tarn__options_copy("tarn_reducing_options", reducing, &how, sizeof how, error));
    TARN_TRY(check_options(&how, &tag, error));
    TARN_TRY(tarn__keyed_open(
        backend, options, TARN__STATE_REDUCING, tag, sizeof(tarn_reducing), &keyed, error));
    tarn_reducing *state = (tarn_reducing *)keyed;
    keyed->merge = tag != 0 ? merge_numbers : merge_values;
    state->tag = tag;
    state->how = how;
    *out = state;
    return TARN_OK;
}

tarn_status tarn_reducing_close(tarn_reducing *state, tarn_error *error)
{
    return tarn__keyed_close(state != NULL ? &state->keyed : NULL, error);
}

tarn_keyed *tarn_reducing_keyed(tarn_reducing *state)
{
    return &state->keyed;
}

tarn_status tarn_reducing_set_namespace(
    tarn_reducing *state, tarn_bytes name_space, tarn_error *error)
{
    return tarn_keyed_set_namespace(&state->keyed, name_space, error);
}

/* ---- numbers ---------------------------------------------------------------------------- */

static tarn_status fail_type(const tarn_reducing *state, const char *type, tarn_error *error)
{
    return tarn__fail(
        error,
        TARN_INVALID_ARGUMENT,
        "state \"%s\" was used with %s, but its reducer is %u over type %u",
        state->keyed.family->name,
        type,
        (uint32_t)state->how.reducer,
        (uint32_t)state->how.number);
}

static tarn_status check_number(const tarn_reducing *state, tarn_number number, tarn_error *error)
{
    static const char *const NAMES[] = {"i64", "u64", "f64"};
    return state->tag != 0 && state->how.number == number ? TARN_OK
                                                          : fail_type(state, NAMES[number], error);
}

static tarn__reduction new_reduction(tarn_reducing *state, uint64_t bits)
{
    tarn_keyed *keyed = &state->keyed;
    tarn__reduction added = {
        .is_stamped = keyed->has_ttl,
        .tag = state->tag,
        .threshold_ms = INT64_MIN,
        .bits = tarn__reduction_operand(state->tag, bits),
    };
    if (keyed->has_ttl) {
        const int64_t now_ms = tarn__keyed_now(keyed);
        /* What a clean-up counts as gone is gone, also while it is still there. */
        const bool hides = keyed->ttl.visibility == TARN_TTL_NEVER_RETURN_EXPIRED &&
                           now_ms > keyed->cleaning.cleaned_ms;
        added.stamp_ms = tarn__keyed_stamp(keyed, now_ms);
        added.threshold_ms = tarn__reduction_threshold(
            hides ? now_ms : keyed->cleaning.cleaned_ms, keyed->ttl.ttl_ms);
    }
    return added;
}

static tarn_status add_number(
    tarn_reducing *state, tarn_number number, uint64_t bits, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    uint8_t operand[TARN__REDUCTION_BYTES_MAX];
    tarn_bytes row;
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    TARN_TRY(check_number(state, number, error));
    TARN_TRY(tarn__keyed_row(keyed, tarn_bytes_at(NULL, 0), &row, error));
    const tarn__reduction added = new_reduction(state, bits);
    const size_t size = tarn__reduction_encode(&added, operand);
    const tarn_status status = tarn__keyed_add(keyed, row, tarn_bytes_at(operand, size), error);
    tarn__rocks_unpin(&keyed->backend->pin);
    return status;
}

tarn_status tarn_reducing_add_i64(tarn_reducing *state, int64_t value, tarn_error *error)
{
    return add_number(state, TARN_NUMBER_I64, (uint64_t)value, error);
}

tarn_status tarn_reducing_add_u64(tarn_reducing *state, uint64_t value, tarn_error *error)
{
    return add_number(state, TARN_NUMBER_U64, value, error);
}

tarn_status tarn_reducing_add_f64(tarn_reducing *state, double value, tarn_error *error)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return add_number(state, TARN_NUMBER_F64, bits, error);
}

static tarn_status decode(
    const tarn_reducing *state, tarn_bytes stored, tarn__reduction *out, tarn_error *error)
{
    if (!tarn__reduction_decode(stored, out) || out->tag != state->tag ||
        out->is_stamped != state->keyed.has_ttl) {
        return tarn__fail(
            error,
            TARN_CORRUPTION,
            "state \"%s\" holds %zu bytes that its reducer did not write",
            state->keyed.family->name,
            stored.size);
    }
    return TARN_OK;
}

static tarn_status get_number(
    tarn_reducing *state, tarn_number number, uint64_t *out, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn__rocks_pin *pin = &keyed->backend->pin;
    tarn_bytes row;
    tarn_bytes stored;
    tarn__reduction read;
    tarn__keyed_content content;
    TARN_TRY(tarn__backend_enter(keyed->backend, error));
    tarn__rocks_unpin(pin);
    TARN_TRY(check_number(state, number, error));
    TARN_TRY(tarn__keyed_row(keyed, tarn_bytes_at(NULL, 0), &row, error));
    TARN_TRY(tarn__keyed_read(keyed, row, pin, &stored, error));
    TARN_TRY(decode(state, stored, &read, error));
    const int64_t now_ms = tarn__keyed_now(keyed);
    TARN_TRY(tarn__keyed_look(keyed, stored, now_ms, &content, error));
    TARN_TRY(tarn__keyed_age(keyed, row, &content, now_ms, /* is_old= */ false, error));
    if (!content.is_shown) {
        return TARN_NOT_FOUND;
    }
    *out = read.bits;
    return TARN_OK;
}

tarn_status tarn_reducing_get_i64(tarn_reducing *state, int64_t *out, tarn_error *error)
{
    uint64_t bits = 0;
    TARN_TRY(get_number(state, TARN_NUMBER_I64, &bits, error));
    *out = (int64_t)bits;
    return TARN_OK;
}

tarn_status tarn_reducing_get_u64(tarn_reducing *state, uint64_t *out, tarn_error *error)
{
    return get_number(state, TARN_NUMBER_U64, out, error);
}

tarn_status tarn_reducing_get_f64(tarn_reducing *state, double *out, tarn_error *error)
{
    uint64_t bits = 0;
    TARN_TRY(get_number(state, TARN_NUMBER_F64, &bits, error));
    memcpy(out, &bits, sizeof bits);
    return TARN_OK;
}

/* ---- values of a function --------------------------------------------------------------- */

static tarn_status reduce(
    const tarn_bytes *earlier, tarn_bytes added, tarn_buffer *out, void *context)
{
    const tarn_reducing *state = context;
    return earlier != NULL ? state->how.reduce(*earlier, added, out, state->how.context)
                           : tarn_buffer_assign(out, added);
}

static tarn_status check_function(const tarn_reducing *state, tarn_error *error)
{
    return state->tag == 0 ? TARN_OK : fail_type(state, "bytes", error);
}

tarn_status tarn_reducing_add(tarn_reducing *state, tarn_bytes value, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    TARN_TRY(check_function(state, error));
    TARN_TRY(tarn__keyed_check_value(keyed, value.size, error));
    const tarn_status status = tarn__fold_add(keyed, reduce, state, value, error);
    tarn__rocks_unpin(&keyed->backend->pin);
    return status;
}

tarn_status tarn_reducing_get(tarn_reducing *state, tarn_bytes *out, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_bytes row;
    TARN_TRY(tarn__backend_enter(keyed->backend, error));
    tarn__rocks_unpin(&keyed->backend->pin);
    TARN_TRY(check_function(state, error));
    TARN_TRY(tarn__keyed_row(keyed, tarn_bytes_at(NULL, 0), &row, error));
    return tarn__keyed_get(keyed, row, out, error);
}

tarn_status tarn_reducing_clear(tarn_reducing *state, tarn_error *error)
{
    tarn_keyed *keyed = &state->keyed;
    tarn_bytes row;
    TARN_TRY(tarn__keyed_enter_write(keyed, error));
    TARN_TRY(tarn__keyed_row(keyed, tarn_bytes_at(NULL, 0), &row, error));
    tarn__rocks_unpin(&keyed->backend->pin);
    return tarn__keyed_delete(keyed, row, error);
}

/* ---- merging namespaces ----------------------------------------------------------------- */

/* A row's value comes without its stamp; a reduction is read and written with one. */
static bool decode_unstamped(const tarn_reducing *state, tarn_bytes value, tarn__reduction *out)
{
    uint8_t bytes[TARN__REDUCTION_BYTES_MAX] = {0};
    const size_t offset = state->keyed.has_ttl ? TARN__STAMP_BYTES : 0;
    if (value.size > sizeof bytes - offset) {
        return false;
    }
    if (value.size > 0) {
        memcpy(bytes + offset, value.data, value.size);
    }
    return tarn__reduction_decode(tarn_bytes_at(bytes, offset + value.size), out) &&
           out->tag == state->tag;
}

static tarn_status fold_numbers(
    tarn_bytes earlier, tarn_bytes later, tarn_buffer *out, void *context)
{
    const tarn_reducing *state = context;
    const size_t offset = state->keyed.has_ttl ? TARN__STAMP_BYTES : 0;
    tarn__reduction folded;
    tarn__reduction added;
    uint8_t bytes[TARN__REDUCTION_BYTES_MAX];
    if (!decode_unstamped(state, earlier, &folded) || !decode_unstamped(state, later, &added)) {
        return TARN_CORRUPTION;
    }
    added.threshold_ms = INT64_MIN; /* Whether a side counts was decided before. */
    if (!tarn__reduction_fold(&folded, &added)) {
        return TARN_CORRUPTION;
    }
    const size_t size = tarn__reduction_encode(&folded, bytes);
    return tarn_buffer_assign(out, tarn_bytes_at(bytes + offset, size - offset));
}

static tarn_status merge_numbers(
    tarn_keyed *keyed,
    const tarn_bytes *sources,
    size_t source_count,
    tarn_bytes target,
    tarn_error *error)
{
    return tarn__fold_merge(keyed, fold_numbers, keyed, sources, source_count, target, error);
}

static tarn_status merge_values(
    tarn_keyed *keyed,
    const tarn_bytes *sources,
    size_t source_count,
    tarn_bytes target,
    tarn_error *error)
{
    const tarn_reducing *state = (tarn_reducing *)keyed;
    return tarn__fold_merge(
        keyed, state->how.reduce, state->how.context, sources, source_count, target, error);
}
