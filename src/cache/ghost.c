/* ghost.c - see ghost.h. */
#include "cache/ghost.h"

enum {
    READS_PER_LOOK = 4096,
    LEAVE_SHARE = 32,  /* Reads for each hit, from which on the set steps aside. */
    RETURN_SHARE = 16, /* Reads for each hit, up to which it comes back. */
    SAMPLE_SHARE = 4,  /* One row of so many has a ghost. */
    GHOSTS_MIN = 256,
    GHOSTS_MAX = 1 << 18,
};

uint64_t tarn__ghosts_memory(const tarn__ghosts *ghosts)
{
    return ghosts->tags != NULL ? ((uint64_t)ghosts->mask + 1) * sizeof *ghosts->tags : 0;
}

void tarn__ghosts_clear(tarn__ghosts *ghosts)
{
    tarn__release(ghosts->tags);
    ghosts->tags = NULL;
}

static void step_aside(tarn__ghosts *ghosts, tarn__account *account, uint64_t row_count)
{
    uint32_t count = GHOSTS_MIN;
    while (count < GHOSTS_MAX && (uint64_t)count * SAMPLE_SHARE < row_count) {
        count *= 2;
    }
    ghosts->tags = tarn__allocate_zeroed(account, count, sizeof *ghosts->tags);
    ghosts->mask = count - 1;
}

static void look(tarn__ghosts *ghosts, tarn__account *account, const tarn__ghost_view *view)
{
    const uint64_t hits = view->hit_count - ghosts->hit_count;
    const uint64_t evicted = view->evicted_count - ghosts->evicted_count;
    const uint64_t met = (uint64_t)ghosts->met_count * SAMPLE_SHARE;
    if (ghosts->tags != NULL) {
        if ((hits + met) * RETURN_SHARE > READS_PER_LOOK) {
            tarn__ghosts_clear(ghosts);
        }
    } else if (hits * LEAVE_SHARE < READS_PER_LOOK && evicted >= READS_PER_LOOK / 2) {
        step_aside(ghosts, account, view->row_count);
    }
    ghosts->hit_count = view->hit_count;
    ghosts->evicted_count = view->evicted_count;
    ghosts->read_count = 0;
    ghosts->met_count = 0;
}

/* True: its ghost was there. Now it is in any case. */
static bool meet(tarn__ghosts *ghosts, uint64_t hash)
{
    const uint32_t tag = (uint32_t)(hash >> 32) | 1; /* 0 is none. */
    uint32_t *place = &ghosts->tags[(uint32_t)(hash / SAMPLE_SHARE) & ghosts->mask];
    const bool is_there = *place == tag;
    *place = tag;
    return is_there;
}

bool tarn__ghosts_decline(
    tarn__ghosts *ghosts, tarn__account *account, const tarn__ghost_view *view, uint64_t hash)
{
    if (++ghosts->read_count >= READS_PER_LOOK) {
        look(ghosts, account, view);
    }
    if (ghosts->tags == NULL) {
        return false;
    }
    if (hash % SAMPLE_SHARE == 0 && meet(ghosts, hash)) {
        ghosts->met_count++;
        return false;
    }
    return true;
}
