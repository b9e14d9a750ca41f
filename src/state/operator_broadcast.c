/*
 * operator_broadcast.c - the broadcast map: a skip list by key.
 *
 *     first[1] ────────────► b ───────────► NULL
 *     first[0] ────► a ────► b ────► c ───► NULL
 *
 * An entry is one block and never changes; a new value is a new entry in the old one's place, so
 * that what can fail comes before anything changes.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/try.h"
#include "state/operator_store.h"

/* Each link that leads to the first entry whose key is not before key. */
typedef struct path {
    tarn__broadcast_node **links[TARN__BROADCAST_LEVELS];
} path;

static path find_path(tarn_broadcast *map, tarn_bytes key)
{
    path found;
    tarn__broadcast_node **links = map->first;
    for (unsigned level = TARN__BROADCAST_LEVELS; level-- > 0;) {
        while (links[level] != NULL &&
               tarn_bytes_compare(tarn__broadcast_key(links[level]), key) < 0) {
            links = links[level]->next;
        }
        found.links[level] = &links[level];
    }
    return found;
}

/* The entry of key at the end of a path; NULL when it has none. */
static tarn__broadcast_node *node_at(const path *found, tarn_bytes key)
{
    tarn__broadcast_node *node = *found->links[0];
    return node != NULL && tarn_bytes_is_equal(tarn__broadcast_key(node), key) ? node : NULL;
}

/* The entry of key, or NULL. */
static const tarn__broadcast_node *find(const tarn_broadcast *map, tarn_bytes key)
{
    tarn__broadcast_node *const *links = map->first;
    for (unsigned level = TARN__BROADCAST_LEVELS; level-- > 0;) {
        while (links[level] != NULL &&
               tarn_bytes_compare(tarn__broadcast_key(links[level]), key) < 0) {
            links = links[level]->next;
        }
    }
    const tarn__broadcast_node *node = links[0];
    return node != NULL && tarn_bytes_is_equal(tarn__broadcast_key(node), key) ? node : NULL;
}

static uint32_t draw_levels(tarn_broadcast *map)
{
    uint64_t bits = tarn__random_next(&map->random);
    uint32_t levels = 1;
    while (levels < TARN__BROADCAST_LEVELS && (bits & 3) == 0) {
        levels++;
        bits >>= 2;
    }
    return levels;
}

static size_t node_bytes(const tarn__broadcast_node *node)
{
    return tarn__operator_element_bytes(
        TARN__OPERATOR_BROADCAST, node->key_bytes, node->value_bytes);
}

static tarn_status new_node(
    tarn_broadcast *map,
    uint32_t levels,
    const tarn_broadcast_entry *entry,
    tarn__broadcast_node **out,
    tarn_error *error)
{
    const size_t links = levels * sizeof((*out)->next[0]);
    void *memory = NULL;
    TARN_TRY(tarn__operator_allocate(
        map->base.store,
        sizeof **out + links + entry->key.size + entry->value.size,
        &memory,
        error));
    tarn__broadcast_node *node = memory;
    node->key_bytes = entry->key.size;
    node->value_bytes = entry->value.size;
    node->level_count = levels;
    uint8_t *bytes = (uint8_t *)&node->next[levels];
    if (entry->key.size > 0) {
        memcpy(bytes, entry->key.data, entry->key.size);
    }
    if (entry->value.size > 0) {
        memcpy(bytes + entry->key.size, entry->value.data, entry->value.size);
    }
    *out = node;
    return TARN_OK;
}

tarn_status tarn_broadcast_put(
    tarn_broadcast *map, tarn_bytes key, tarn_bytes value, tarn_error *error)
{
    if (map == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "map is missing");
    }
    TARN_TRY(tarn__operator_check_element(&map->base, key, value, error));
    const path found = find_path(map, key);
    tarn__broadcast_node *old = node_at(&found, key);
    const size_t bytes =
        map->base.bytes - (old != NULL ? node_bytes(old) : 0) +
        tarn__operator_element_bytes(TARN__OPERATOR_BROADCAST, key.size, value.size);
    TARN_TRY(tarn__operator_admit(&map->base, bytes, error));
    const tarn_broadcast_entry entry = {.key = key, .value = value};
    const uint32_t levels = old != NULL ? old->level_count : draw_levels(map);
    tarn__broadcast_node *node = NULL;
    TARN_TRY(new_node(map, levels, &entry, &node, error));
    for (uint32_t level = 0; level < node->level_count; level++) {
        node->next[level] = old != NULL ? old->next[level] : *found.links[level];
        *found.links[level] = node;
    }
    tarn__operator_count(&map->base, map->base.count + (old == NULL ? 1 : 0), bytes);
    tarn__release(old);
    map->version++;
    return TARN_OK;
}

tarn_status tarn_broadcast_get(const tarn_broadcast *map, tarn_bytes key, tarn_bytes *out)
{
    const tarn__broadcast_node *node = find(map, key);
    if (node == NULL) {
        return TARN_NOT_FOUND;
    }
    *out = tarn__broadcast_value(node);
    return TARN_OK;
}

bool tarn_broadcast_contains(const tarn_broadcast *map, tarn_bytes key)
{
    return find(map, key) != NULL;
}

void tarn_broadcast_remove(tarn_broadcast *map, tarn_bytes key)
{
    const path found = find_path(map, key);
    tarn__broadcast_node *node = node_at(&found, key);
    if (node == NULL) {
        return;
    }
    for (uint32_t level = 0; level < node->level_count; level++) {
        *found.links[level] = node->next[level];
    }
    tarn__operator_count(&map->base, map->base.count - 1, map->base.bytes - node_bytes(node));
    tarn__release(node);
    map->version++;
}

uint64_t tarn_broadcast_count(const tarn_broadcast *map)
{
    return map->base.count;
}

void tarn_broadcast_clear(tarn_broadcast *map)
{
    tarn__broadcast_node *node = map->first[0];
    while (node != NULL) {
        tarn__broadcast_node *next = node->next[0];
        tarn__release(node);
        node = next;
    }
    memset(map->first, 0, sizeof map->first);
    tarn__operator_count(&map->base, 0, 0);
    map->version++;
}

tarn_status tarn_broadcast_next(
    const tarn_broadcast *map,
    tarn_broadcast_cursor *cursor,
    tarn_broadcast_entry *out,
    tarn_error *error)
{
    if (map == NULL || cursor == NULL || out == NULL) {
        return tarn__fail(error, TARN_INVALID_ARGUMENT, "map, cursor and out are required");
    }
    const tarn__broadcast_node *before = cursor->entry;
    if (before != NULL && cursor->version != map->version) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "operator state \"%s\" was changed while a cursor went through it",
            map->base.name);
    }
    const tarn__broadcast_node *node = before == NULL ? map->first[0] : before->next[0];
    *cursor = (tarn_broadcast_cursor){.entry = node, .version = map->version};
    if (node == NULL) {
        return TARN_DONE;
    }
    *out = (tarn_broadcast_entry){
        .key = tarn__broadcast_key(node),
        .value = tarn__broadcast_value(node),
    };
    return TARN_OK;
}
