/*
 * operator_split.h - which elements of an operator's state a subtask gets when it is restored.
 *
 *     elements of all old subtasks, one after the other:  0 1 2 3 4 5 6
 *     dealt out to 3 subtasks, starting at subtask 2:     [2: 0 1 2] [0: 3 4] [1: 5 6]
 *                                                          ^ got an extra one
 *     the next state starts at subtask 0, the one after the last that got an extra element
 *
 * So that the extra elements of many short lists do not all go to the first subtasks.
 *
 * Thread: pure.
 * Source: Flink, RoundRobinOperatorStateRepartitioner; vectors/operator_state_traces.
 */
#ifndef TARN_STATE_OPERATOR_SPLIT_H
#define TARN_STATE_OPERATOR_SPLIT_H

#include <stdint.h>

typedef struct tarn__slice {
    uint64_t first; /* Among the elements of all old subtasks. */
    uint64_t count;
} tarn__slice;

/*
 * The slice that a subtask gets of a split list of total elements.
 *
 * subtask  0 .. parallelism - 1.
 * start    The subtask that gets the first slice, 0 .. parallelism - 1.
 */
tarn__slice tarn__operator_split(
    uint64_t total, uint32_t subtask, uint32_t parallelism, uint32_t start);

/* The subtask that gets the first slice of the state after one of total elements. */
uint32_t tarn__operator_split_next(uint64_t total, uint32_t parallelism, uint32_t start);

#endif
