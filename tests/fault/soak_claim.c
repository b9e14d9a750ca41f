/*
 * soak_claim.c - whether what the soak's processes have noted is what must hold. Figures go in, a
 * sentence comes out: what it takes for a fault is held to by tests/unit/test_soak.c.
 */
#include "fault/soak.h"

const char *claim_add(soak_tally *t, const soak_entry *entry)
{
    if (entry->kind == SOAK_COMMITTED) {
        if (entry->position < t->committed_position) {
            return "a checkpoint was committed behind another";
        }
        t->committed_count++;
        t->committed_position = entry->position;
        return NULL;
    }
    if (entry->position < t->committed_position) {
        return "a process began behind what had been committed";
    }
    if (entry->is_restored == 0 && t->committed_count != 0) {
        return "a process began with nothing, after a checkpoint";
    }
    if (entry->kind == SOAK_BEGAN) {
        t->began_count++;
        t->restored_count += entry->is_restored;
        return NULL;
    }
    if (entry->kind != SOAK_VERIFIED) {
        return "an entry of no known kind";
    }
    t->verified_count++;
    t->state_bytes = entry->state_bytes;
    t->file_bytes = entry->file_bytes;
    return NULL;
}

const char *claim_check(const soak_tally *t, const soak_claim *c)
{
    if (c->kill_count < c->kill_count_min) {
        return "too few processes were killed";
    }
    if (t->committed_count < c->kill_count / 2 + 1) { /* Every other life, and the last. */
        return "too few checkpoints were committed";
    }
    if (t->restored_count < c->kill_count / 2) {
        return "too few processes began at a checkpoint";
    }
    if (t->verified_count != 1) {
        return "the state was not verified once";
    }
    if (t->committed_position <= c->key_count) {
        return "not all keys have come";
    }
    if (t->state_bytes < c->state_bytes_min || t->file_bytes < c->state_bytes_min) {
        return "the state is too small beside the budget";
    }
    if (c->resident_bytes == 0) {
        return "nobody looked at the processes' memory";
    }
    if (c->resident_bytes > c->resident_bytes_max) {
        return "a process was larger than planned";
    }
    return NULL;
}
