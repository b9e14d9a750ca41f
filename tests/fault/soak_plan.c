/* soak_plan.c - what each record of the soak does: it follows from the seed and its position. */
#include "fault/soak.h"

#include "base/random.h"

static uint64_t chance(const soak_plan *p, uint64_t position, uint64_t salt)
{
    return tarn__random_mix(p->seed * 1000003 + position * 8 + salt);
}

/* Half of them are of a tenth. */
static uint64_t pick(uint64_t dice, uint64_t count)
{
    return (dice >> 1) % ((dice & 1) != 0 ? count : (count + 9) / 10);
}

/* First all keys come once. */
uint64_t plan_key(const soak_plan *p, uint64_t position)
{
    return position < p->key_count ? position : pick(chance(p, position, 0), p->key_count);
}

uint64_t plan_timer(const soak_plan *p, uint64_t position)
{
    return position + 1 + chance(p, position, 1) % TIMER_SPAN;
}

bool plan_is_appended(uint64_t position)
{
    return position % 4 == 0;
}

bool plan_is_cleared(const soak_plan *p, uint64_t position)
{
    return chance(p, position, 2) % 16 == 0;
}

bool plan_is_seen(const soak_plan *p, uint64_t position)
{
    return chance(p, position, 3) % 2 == 0;
}

/* Of the keys that come often some live on from one record to the next; the others expire. */
int64_t plan_ttl(const soak_plan *p)
{
    return (int64_t)(p->key_count / 4);
}

bool plan_is_mapped(uint64_t position)
{
    return position % 4 == 2;
}

uint64_t plan_map_count(const soak_plan *p)
{
    return p->key_count / KEYS_PER_MAP + 1;
}

uint64_t plan_map(const soak_plan *p, uint64_t position)
{
    return pick(chance(p, position, 4), plan_map_count(p));
}

uint64_t plan_map_key(uint64_t map)
{
    return (UINT64_C(1) << 40) + map;
}

uint16_t plan_entry_count(uint64_t map)
{
    return map % 2 == 0 ? MAP_ENTRIES : MAP_ENTRIES_SMALL;
}

uint16_t plan_entry(const soak_plan *p, uint64_t position)
{
    return (uint16_t)(chance(p, position, 5) % plan_entry_count(plan_map(p, position)));
}

map_act plan_map_act(const soak_plan *p, uint64_t position)
{
    const uint64_t dice = chance(p, position, 6) % 1000;
    if (dice < 790) {
        return MAP_PUT;
    }
    return dice < 985 ? MAP_REMOVE : dice < 987 ? MAP_REMOVE_HALF : MAP_SUM;
}

uint64_t plan_answer(uint64_t position, uint64_t read)
{
    return tarn__random_mix(position * 31 + read);
}
