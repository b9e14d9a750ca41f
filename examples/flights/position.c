#include "position.h"

#include "failure.h"
#include "operator_state.h"

static const char operator_name[] = "source";
static const char position_name[] = "position";

enum { POSITION_FIELDS = 7, POSITION_BYTES = 8 * POSITION_FIELDS };

/* Shape: the fields of position in their order. */
static void write_fields(const position *p, uint8_t out[POSITION_BYTES])
{
    const uint64_t fields[POSITION_FIELDS] = {
        p->round,
        p->record,
        p->emitted,
        p->event_time,
        p->out_of_order_count,
        p->out_of_order_max,
        p->without_aircraft_count};
    operator_state_write(fields, POSITION_FIELDS, out);
}

static void read_fields(const uint8_t *encoded, position *out)
{
    uint64_t fields[POSITION_FIELDS];
    operator_state_read(encoded, POSITION_FIELDS, fields);
    *out = (position){
        .round = fields[0],
        .record = fields[1],
        .emitted = fields[2],
        .event_time = fields[3],
        .out_of_order_count = fields[4],
        .out_of_order_max = fields[5],
        .without_aircraft_count = fields[6]};
}

void position_add(position *sum, const position *one)
{
    sum->emitted += one->emitted;
    sum->out_of_order_count += one->out_of_order_count;
    sum->without_aircraft_count += one->without_aircraft_count;
    if (one->event_time > sum->event_time) {
        sum->event_time = one->event_time;
    }
    if (one->out_of_order_max > sum->out_of_order_max) {
        sum->out_of_order_max = one->out_of_order_max;
    }
}

tarn_status position_encode(
    const position *p,
    uint64_t checkpoint_id,
    uint32_t source_index,
    uint32_t source_count,
    tarn_buffer *out,
    tarn_error *error)
{
    uint8_t encoded[POSITION_BYTES];
    write_fields(p, encoded);
    const tarn_checkpoint_operator_state state = {
        .name = position_name,
        .bytes = tarn_bytes_at(encoded, sizeof encoded),
    };
    return tarn_acknowledgement_encode(
        checkpoint_id, operator_name, source_index, source_count, &state, 1, out, error);
}

static tarn_status find_source(
    const tarn_checkpoint *checkpoint, uint32_t source_index, uint32_t *out, tarn_error *error)
{
    if (tarn_checkpoint_find_subtask(checkpoint, operator_name, source_index, out) != TARN_OK) {
        return failure_set(
            error,
            TARN_INCOMPATIBLE,
            0,
            "the checkpoint %s is of a job without a source %u",
            tarn_checkpoint_path(checkpoint),
            source_index);
    }
    return TARN_OK;
}

tarn_status position_count(
    const tarn_checkpoint *checkpoint, uint32_t *source_count_out, tarn_error *error)
{
    uint32_t subtask = 0;
    TRY(find_source(checkpoint, 0, &subtask, error));
    *source_count_out = tarn_checkpoint_subtask_at(checkpoint, subtask).parallelism;
    return TARN_OK;
}

tarn_status position_restore(
    const tarn_checkpoint *checkpoint, uint32_t source_index, position *out, tarn_error *error)
{
    uint32_t subtask = 0;
    TRY(find_source(checkpoint, source_index, &subtask, error));
    tarn_bytes encoded;
    if (operator_state_find(checkpoint, subtask, position_name, &encoded) == TARN_OK &&
        encoded.size == POSITION_BYTES) {
        read_fields(encoded.data, out);
        return TARN_OK;
    }
    return failure_set(
        error,
        TARN_INCOMPATIBLE,
        0,
        "the checkpoint %s has no position of the source %u",
        tarn_checkpoint_path(checkpoint),
        source_index);
}
