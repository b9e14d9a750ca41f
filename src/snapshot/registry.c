/* registry.c - see registry.h. Linear probing over digests, which are scattered already. */
#include "snapshot/registry.h"

#include <assert.h>
#include <string.h>

#include "base/try.h"

enum { CAPACITY_MIN = 64 };

void tarn__registry_init(tarn__registry *registry, tarn__account *account)
{
    *registry = (tarn__registry){.account = account};
}

void tarn__registry_clear(tarn__registry *registry)
{
    tarn__release(registry->entries);
    tarn__registry_init(registry, registry->account);
}

static uint32_t home_of(const tarn__registry *registry, const tarn__content *content)
{
    uint32_t hash = 0;
    memcpy(&hash, content->digest.bytes, sizeof hash);
    return (hash ^ (uint32_t)content->size) & (registry->capacity - 1);
}

static bool is_equal(const tarn__content *a, const tarn__content *b)
{
    return a->size == b->size && tarn__digest_is_equal(&a->digest, &b->digest);
}

/* The entry of a content, or the free slot where it belongs. capacity > count. */
static tarn__registry_entry *slot_of(const tarn__registry *registry, const tarn__content *content)
{
    uint32_t at = home_of(registry, content);
    while (registry->entries[at].state != TARN__CONTENT_ABSENT &&
           !is_equal(&registry->entries[at].content, content)) {
        at = (at + 1) & (registry->capacity - 1);
    }
    return &registry->entries[at];
}

static tarn__registry_entry *find(const tarn__registry *registry, const tarn__content *content)
{
    if (registry->capacity == 0) {
        return NULL;
    }
    tarn__registry_entry *entry = slot_of(registry, content);
    return entry->state != TARN__CONTENT_ABSENT ? entry : NULL;
}

/* Makes room for one more at a load of three quarters at most. */
static tarn_status grow(tarn__registry *registry, tarn_error *error)
{
    if (registry->count < registry->capacity / 4 * 3) {
        return TARN_OK;
    }
    const uint32_t capacity = registry->capacity == 0 ? CAPACITY_MIN : 2 * registry->capacity;
    tarn__registry_entry *entries =
        capacity != 0 ? tarn__allocate_zeroed(registry->account, capacity, sizeof *entries) : NULL;
    if (entries == NULL) {
        return tarn__fail_no_memory(
            error, "the registry of shared files", (size_t)capacity * sizeof *entries);
    }
    const tarn__registry old = *registry;
    registry->entries = entries;
    registry->capacity = capacity;
    for (uint32_t i = 0; i < old.capacity; i++) {
        if (old.entries[i].state != TARN__CONTENT_ABSENT) {
            *slot_of(registry, &old.entries[i].content) = old.entries[i];
        }
    }
    tarn__release(old.entries);
    return TARN_OK;
}

/* Empties a slot and moves those behind it up, so that no search stops short of them. */
static void erase(tarn__registry *registry, tarn__registry_entry *entry)
{
    const uint32_t mask = registry->capacity - 1;
    uint32_t hole = (uint32_t)(entry - registry->entries);
    for (uint32_t at = (hole + 1) & mask; registry->entries[at].state != TARN__CONTENT_ABSENT;
         at = (at + 1) & mask) {
        const uint32_t home = home_of(registry, &registry->entries[at].content);
        /* An entry may move up only if its home is not behind the hole. */
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            registry->entries[hole] = registry->entries[at];
            hole = at;
        }
    }
    registry->entries[hole] = (tarn__registry_entry){.state = TARN__CONTENT_ABSENT};
    registry->count--;
}

tarn__content_state tarn__registry_state(
    const tarn__registry *registry, const tarn__content *content)
{
    const tarn__registry_entry *entry = find(registry, content);
    return entry != NULL ? entry->state : TARN__CONTENT_ABSENT;
}

uint32_t tarn__registry_count(const tarn__registry *registry, const tarn__content *content)
{
    const tarn__registry_entry *entry = find(registry, content);
    return entry != NULL ? entry->reference_count : 0;
}

tarn_status tarn__registry_ref(
    tarn__registry *registry,
    const tarn__content *content,
    tarn__content_state *before,
    tarn_error *error)
{
    tarn__registry_entry *entry = find(registry, content);
    if (entry == NULL) {
        TARN_TRY(grow(registry, error));
        *slot_of(registry, content) = (tarn__registry_entry){
            .content = *content,
            .reference_count = 1,
            .state = TARN__CONTENT_UPLOADING,
        };
        registry->count++;
        *before = TARN__CONTENT_ABSENT;
        return TARN_OK;
    }
    *before = entry->state;
    if (entry->state == TARN__CONTENT_DOOMED) {
        return TARN_OK;
    }
    if (entry->state == TARN__CONTENT_GARBAGE) {
        entry->state = TARN__CONTENT_UPLOADING;
        registry->garbage_count--;
    }
    entry->reference_count++;
    assert(entry->reference_count != 0);
    return TARN_OK;
}

void tarn__registry_confirm(tarn__registry *registry, const tarn__content *content)
{
    tarn__registry_entry *entry = find(registry, content);
    assert(entry != NULL && entry->reference_count > 0);
    entry->state = TARN__CONTENT_PRESENT;
    entry->is_doubted = false;
}

void tarn__registry_doubt(tarn__registry *registry, const tarn__content *content)
{
    tarn__registry_entry *entry = find(registry, content);
    if (entry == NULL) {
        return;
    }
    entry->is_doubted = true;
    if (entry->state == TARN__CONTENT_PRESENT) {
        entry->state = TARN__CONTENT_UPLOADING;
    }
}

bool tarn__registry_is_doubted(const tarn__registry *registry, const tarn__content *content)
{
    const tarn__registry_entry *entry = find(registry, content);
    return entry != NULL && entry->is_doubted;
}

void tarn__registry_unref(tarn__registry *registry, const tarn__content *content)
{
    tarn__registry_entry *entry = find(registry, content);
    assert(entry != NULL && entry->reference_count > 0);
    entry->reference_count--;
    if (entry->reference_count == 0) {
        entry->state = TARN__CONTENT_GARBAGE;
        registry->garbage_count++;
    }
}

uint32_t tarn__registry_doom(tarn__registry *registry, tarn__content *out, uint32_t count)
{
    uint32_t doomed = 0;
    for (uint32_t i = 0; i < registry->capacity && doomed < count && registry->garbage_count > 0;
         i++) {
        tarn__registry_entry *entry = &registry->entries[i];
        if (entry->state == TARN__CONTENT_GARBAGE) {
            entry->state = TARN__CONTENT_DOOMED;
            registry->garbage_count--;
            out[doomed++] = entry->content;
        }
    }
    return doomed;
}

void tarn__registry_forget(tarn__registry *registry, const tarn__content *content)
{
    tarn__registry_entry *entry = find(registry, content);
    assert(entry != NULL && entry->state == TARN__CONTENT_DOOMED);
    erase(registry, entry);
}

void tarn__registry_spare(tarn__registry *registry, const tarn__content *content)
{
    tarn__registry_entry *entry = find(registry, content);
    assert(entry != NULL && entry->state == TARN__CONTENT_DOOMED);
    entry->state = TARN__CONTENT_GARBAGE;
    registry->garbage_count++;
}
