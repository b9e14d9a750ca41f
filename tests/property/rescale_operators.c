/* rescale_operators.c - the state of the operator, against the model. See rescale_job.h. */
#include "property/rescale_job.h"

#include <string.h>

static tarn_bytes small_of(const uint32_t *number)
{
    return tarn_bytes_at(number, sizeof *number);
}

static uint32_t number_at(const tarn_operator_list *list, uint64_t index)
{
    tarn_bytes element;
    uint32_t number;
    assert_int_equal(tarn_operator_list_get(list, index, &element), TARN_OK);
    assert_int_equal(element.size, sizeof number);
    memcpy(&number, element.data, sizeof number);
    return number;
}

void job_write_operators(job *j, uint32_t count)
{
    for (uint32_t i = 0; i < count && j->split_count < SPLIT_MAX; i++, j->split_count++) {
        subtask *s = &j->subtasks[job_below(j, j->parallelism)];
        assert_ok(
            tarn_operator_list_add(s->split, small_of(&j->split_count), &j->error), &j->error);
    }
    for (uint32_t i = 0; i < j->parallelism; i++) {
        const tarn_bytes own = small_of(&i);
        subtask *s = &j->subtasks[i];
        assert_ok(tarn_operator_list_replace(s->whole, &own, 1, &j->error), &j->error);
        assert_ok(
            tarn_broadcast_put(
                s->shared, tarn_bytes_of("generation"), small_of(&j->generation), &j->error),
            &j->error);
    }
}

void job_expect_operators(job *j, uint32_t old_parallelism)
{
    static bool is_there[SPLIT_MAX];
    uint32_t total = 0;
    memset(is_there, 0, sizeof is_there);
    for (uint32_t i = 0; i < j->parallelism; i++) {
        const subtask *s = &j->subtasks[i];
        bool has_index[SUBTASKS_MAX] = {false};
        for (uint64_t k = 0; k < tarn_operator_list_count(s->split); k++, total++) {
            const uint32_t number = number_at(s->split, k);
            assert_in_range(number, 0, j->split_count - 1);
            assert_false(is_there[number]);
            is_there[number] = true;
        }
        assert_int_equal(tarn_operator_list_count(s->whole), old_parallelism);
        for (uint32_t k = 0; k < old_parallelism; k++) {
            const uint32_t index = number_at(s->whole, k);
            assert_in_range(index, 0, old_parallelism - 1);
            assert_false(has_index[index]);
            has_index[index] = true;
        }
        tarn_bytes value;
        const uint32_t generation = j->generation - 1;
        assert_int_equal(
            tarn_broadcast_get(s->shared, tarn_bytes_of("generation"), &value), TARN_OK);
        assert_true(tarn_bytes_is_equal(value, small_of(&generation)));
    }
    assert_int_equal(total, j->split_count);
}

void job_open_operators(job *j, uint32_t index, const tarn_checkpoint *restore)
{
    subtask *s = &j->subtasks[index];
    tarn_operator_store_options options = TARN_OPERATOR_STORE_OPTIONS_INIT;
    options.env = j->env;
    options.operator_name = "op";
    options.subtask_index = index;
    options.parallelism = j->parallelism;
    options.restore = restore;
    assert_ok(tarn_operator_store_open(&options, &s->operators, &j->error), &j->error);
    tarn_operator_state_options state = TARN_OPERATOR_STATE_OPTIONS_INIT;
    state.name = "split";
    assert_ok(tarn_operator_list_open(s->operators, &state, &s->split, &j->error), &j->error);
    state.name = "whole";
    state.redistribution = TARN_REDISTRIBUTE_UNION;
    assert_ok(tarn_operator_list_open(s->operators, &state, &s->whole, &j->error), &j->error);
    state.name = "shared";
    state.redistribution = TARN_REDISTRIBUTE_BROADCAST;
    assert_ok(tarn_broadcast_open(s->operators, &state, &s->shared, &j->error), &j->error);
}

void job_add_operators(job *j, const subtask *s, tarn_snapshot *snapshot)
{
    tarn_operator_snapshot *cut = NULL;
    uint32_t count = 0;
    assert_ok(tarn_operator_snapshot_new(s->operators, &cut, &j->error), &j->error);
    const tarn_checkpoint_operator_state *states = tarn_operator_snapshot_states(cut, &count);
    for (uint32_t i = 0; i < count; i++) {
        assert_ok(
            tarn_snapshot_add_state(snapshot, states[i].name, states[i].bytes, &j->error),
            &j->error);
    }
    tarn_operator_snapshot_free(cut);
}
