/* refusal.c - see refusal.h. */
#include "base/refusal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static _Thread_local tarn__refusal last;

void tarn__refusal_note(
    const char *pool, const char *option, uint64_t used_bytes, uint64_t limit_bytes)
{
    last.pool = pool;
    last.option = option;
    last.used_bytes = used_bytes;
    last.limit_bytes = limit_bytes;
    last.owner[0] = '\0';
}

void tarn__refusal_note_owner(const char *owner)
{
    const size_t size = strnlen(owner, sizeof last.owner - 1);
    memcpy(last.owner, owner, size);
    last.owner[size] = '\0';
}

void tarn__refusal_clear(void)
{
    last.pool = NULL;
}

static void add_reason(tarn_error *error, const tarn__refusal *refusal)
{
    const size_t size = strnlen(error->message, sizeof error->message);
    snprintf(
        error->message + size,
        sizeof error->message - size,
        "%s%s: the %s pool has %" PRIu64 " of %" PRIu64 " bytes in use; raise %s",
        refusal->owner[0] != '\0' ? ", as " : "",
        refusal->owner,
        refusal->pool,
        refusal->used_bytes,
        refusal->limit_bytes,
        refusal->option);
    error->status = TARN_OVER_BUDGET;
}

tarn_status tarn__refusal_explain(tarn_error *error, tarn_status status)
{
    if (status != TARN_NO_MEMORY || last.pool == NULL) {
        return status;
    }
    if (error != NULL) {
        add_reason(error, &last);
    }
    tarn__refusal_clear();
    return TARN_OVER_BUDGET;
}
