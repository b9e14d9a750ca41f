#include "operator_state.h"

#include <string.h>

void operator_state_write(const uint64_t *numbers, size_t count, uint8_t *out)
{
    for (size_t i = 0; i < 8 * count; i++) {
        out[i] = (uint8_t)(numbers[i / 8] >> (8 * (i % 8)));
    }
}

void operator_state_read(const uint8_t *in, size_t count, uint64_t *numbers)
{
    memset(numbers, 0, count * sizeof *numbers);
    for (size_t i = 0; i < 8 * count; i++) {
        numbers[i / 8] |= (uint64_t)in[i] << (8 * (i % 8));
    }
}

tarn_status operator_state_find(
    const tarn_checkpoint *checkpoint, uint32_t subtask, const char *name, tarn_bytes *out)
{
    const uint32_t count = tarn_checkpoint_subtask_at(checkpoint, subtask).operator_state_count;
    for (uint32_t i = 0; i < count; i++) {
        const tarn_checkpoint_operator_state state =
            tarn_checkpoint_operator_state_at(checkpoint, subtask, i);
        if (strcmp(state.name, name) == 0) {
            *out = state.bytes;
            return TARN_OK;
        }
    }
    return TARN_NOT_FOUND;
}
