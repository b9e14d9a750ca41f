/* bases.c - what the uploads of a backend may build on: snapshot.h has the rule. */
#include <string.h>

#include "state/backend.h"

void tarn__bases_clear(tarn__bases *bases)
{
    tarn__base_free(bases->completed);
    for (uint32_t i = 0; i < bases->candidate_count; i++) {
        tarn__base_free(bases->candidates[i].base);
    }
    *bases = (tarn__bases){.completed = NULL};
}

static void drop_candidates(tarn__bases *bases, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        tarn__base_free(bases->candidates[i].base);
    }
    bases->candidate_count -= count;
    memmove(
        bases->candidates,
        bases->candidates + count,
        bases->candidate_count * sizeof bases->candidates[0]);
}

void tarn__bases_add(tarn__bases *bases, uint64_t checkpoint_id, tarn__base *base)
{
    if (bases->candidate_count == TARN__BASE_CANDIDATES_MAX) {
        drop_candidates(bases, 1);
    }
    bases->candidates[bases->candidate_count].checkpoint_id = checkpoint_id;
    bases->candidates[bases->candidate_count].base = base;
    bases->candidate_count++;
}

void tarn_backend_notify_complete(tarn_backend *backend, uint64_t checkpoint_id)
{
    tarn__bases *bases = &backend->bases;
    for (uint32_t i = 0; i < bases->candidate_count; i++) {
        if (bases->candidates[i].checkpoint_id == checkpoint_id) {
            tarn__base_free(bases->completed); /* An upload that reads it has a share. */
            bases->completed = bases->candidates[i].base;
            bases->candidates[i].base = NULL;
            drop_candidates(bases, i + 1);
            return;
        }
    }
}
