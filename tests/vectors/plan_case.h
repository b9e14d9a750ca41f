/* plan_case.h - what the checks of the three kinds of plan share. */
#ifndef TARN_TESTS_VECTORS_PLAN_CASE_H
#define TARN_TESTS_VECTORS_PLAN_CASE_H

#include "tarn/plan.h"

#include "vectors.h"

/* One size of a plan, by its name in the vectors. */
typedef struct plan_size {
    const char *name;
    int64_t bytes;
} plan_size;

/* Makes a configuration of the case's "conf". */
bool plan_case_config(const json_t *vector_case, tarn_config **out, char *why, size_t why_bytes);

/* The case's "path". */
tarn_plan_path plan_case_path(const json_t *vector_case);

/* Compares whether a plan was refused with the case's "ok"; *is_done when there is no more. */
bool plan_case_outcome(
    const json_t *vector_case,
    tarn_status status,
    const tarn_error *error,
    bool *is_done,
    char *why,
    size_t why_bytes);

/* Compares "bytes", which must have these sizes and no others. */
bool plan_case_sizes(
    const json_t *vector_case, const plan_size *sizes, size_t count, char *why, size_t why_bytes);

#endif
