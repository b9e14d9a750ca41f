/*
 * standard.c - config.yaml: the keys of nested mappings joined by dots, lists kept as text.
 *
 * Source: Flink 1.20, GlobalConfiguration and YamlParserUtils; vectors conf_yaml.
 */
#include <stdlib.h>
#include <string.h>

#include "base/try.h"
#include "config/config.h"
#include "config/yaml_tree.h"

/* Of all keys and values together; what nesting and aliases can make of a file is bounded by it. */
enum { EXPANSION_BYTES_MAX = 8 << 20 };

/* A mapping that is being flattened. */
typedef struct level {
    uint32_t link;      /* Of the next key. */
    size_t prefix_size; /* Of the path in front of its keys. */
} level;

typedef struct flattener {
    tarn_config *config;
    const char *origin;
    const tarn__yaml_tree *tree;
    tarn_buffer path;
    tarn_buffer printed; /* A list's text. */
    size_t expansion;    /* Units: bytes set so far. */
    level levels[TARN__YAML_DEPTH_MAX];
    size_t depth;
} flattener;

static tarn_status refuse(const char *origin, uint32_t line, const char *problem, tarn_error *error)
{
    return tarn__fail(error, TARN_INVALID_ARGUMENT, "%.100s:%u: %s", origin, line, problem);
}

static int compare_keys(const void *a, const void *b, void *context)
{
    const tarn__yaml_tree *tree = context;
    const tarn__yaml_node *x = tarn__yaml_node_at(tree, *(const uint32_t *)a);
    const tarn__yaml_node *y = tarn__yaml_node_at(tree, *(const uint32_t *)b);
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    const int order = tarn_bytes_compare(tarn__yaml_text_of(tree, x), tarn__yaml_text_of(tree, y));
    if (order != 0) {
        return order;
    }
    return x->line == y->line ? 0 : x->line < y->line ? -1 : 1;
}

static bool is_equal_key(const tarn__yaml_tree *tree, uint32_t a, uint32_t b)
{
    const tarn__yaml_node *x = tarn__yaml_node_at(tree, a);
    const tarn__yaml_node *y = tarn__yaml_node_at(tree, b);
    return x->kind == y->kind &&
           tarn_bytes_is_equal(tarn__yaml_text_of(tree, x), tarn__yaml_text_of(tree, y));
}

/* Refuses a mapping with a key twice, or with a list or mapping as a key. keys: scratch. */
static tarn_status check_mapping(
    const flattener *f, const tarn__yaml_node *map, uint32_t *keys, tarn_error *error)
{
    size_t count = 0;
    uint32_t at = map->first_link;
    while (at != TARN__YAML_NO_LINK) {
        const tarn__yaml_link *key = tarn__yaml_link_at(f->tree, at);
        const tarn__yaml_node *node = tarn__yaml_node_at(f->tree, key->node);
        if (node->kind == TARN__YAML_LIST || node->kind == TARN__YAML_MAP) {
            return refuse(f->origin, node->line, "a key must not be a list or mapping", error);
        }
        keys[count++] = key->node;
        at = tarn__yaml_link_at(f->tree, key->next)->next;
    }
    /* The context is only read; qsort_r() cannot say so. */
    tarn__yaml_tree tree = *f->tree;
    qsort_r(keys, count, sizeof *keys, compare_keys, &tree);
    for (size_t i = 1; i < count; i++) {
        if (is_equal_key(f->tree, keys[i - 1], keys[i])) {
            return tarn__fail(
                error,
                TARN_INVALID_ARGUMENT,
                "%.100s:%u: the key %.200s appears twice in its mapping",
                f->origin,
                tarn__yaml_node_at(f->tree, keys[i])->line,
                (const char *)tarn__yaml_text_of(f->tree, tarn__yaml_node_at(f->tree, keys[i]))
                    .data);
        }
    }
    return TARN_OK;
}

static void release_scratch(uint32_t **scratch)
{
    tarn__release(*scratch);
}

static tarn_status check_mappings(const flattener *f, tarn_error *error)
{
    const size_t node_count = f->tree->nodes.size / sizeof(tarn__yaml_node);
    size_t keys_max = 1;
    for (uint32_t i = 0; i < node_count; i++) {
        const size_t keys = tarn__yaml_node_at(f->tree, i)->link_count / 2;
        keys_max = keys > keys_max ? keys : keys_max;
    }
    TARN_AUTO(release_scratch)
    uint32_t *keys = tarn__allocate(tarn__config_account(f->config), keys_max * sizeof(uint32_t));
    if (keys == NULL) {
        return tarn__fail_no_memory(error, "the keys of a mapping", keys_max * sizeof *keys);
    }
    for (uint32_t i = 0; i < node_count; i++) {
        const tarn__yaml_node *node = tarn__yaml_node_at(f->tree, i);
        if (node->kind == TARN__YAML_MAP) {
            TARN_TRY(check_mapping(f, node, keys, error));
        }
    }
    return TARN_OK;
}

static tarn_status set(
    flattener *f, const tarn__yaml_node *key, tarn_bytes value, tarn_error *error)
{
    f->expansion += f->path.size + value.size;
    if (f->expansion > EXPANSION_BYTES_MAX) {
        return refuse(f->origin, key->line, "the keys and values of the file exceed 8 MiB", error);
    }
    return tarn__config_put(
        f->config, tarn_buffer_bytes(&f->path), value, f->origin, key->line, error);
}

static tarn_status set_list(
    flattener *f, const tarn__yaml_node *key, uint32_t value, tarn_error *error)
{
    f->printed.size = 0;
    const tarn_status status =
        tarn__yaml_print(f->tree, value, EXPANSION_BYTES_MAX - f->expansion, &f->printed);
    if (status == TARN_NO_MEMORY) {
        return tarn__fail_no_memory(error, "a list in a configuration", f->printed.size);
    }
    if (status != TARN_OK) {
        return refuse(f->origin, key->line, "a list is nested too deep or too large", error);
    }
    return set(f, key, tarn_buffer_bytes(&f->printed), error);
}

static tarn_status append_path(flattener *f, tarn_bytes part, tarn_error *error)
{
    if (tarn_buffer_append(&f->path, part) != TARN_OK) {
        return tarn__fail_no_memory(error, "a configuration key", f->path.size + part.size);
    }
    return TARN_OK;
}

/* Enters a mapping; the path holds what stands in front of its keys. */
static tarn_status enter(flattener *f, const tarn__yaml_node *map, tarn_error *error)
{
    if (f->depth == TARN__YAML_DEPTH_MAX) {
        return refuse(f->origin, map->line, "mappings are nested more than 100 deep", error);
    }
    f->levels[f->depth++] = (level){.link = map->first_link, .prefix_size = f->path.size};
    return TARN_OK;
}

/* Takes in the next key of the innermost mapping. */
static tarn_status take(flattener *f, tarn_error *error)
{
    level *at = &f->levels[f->depth - 1];
    f->path.size = at->prefix_size;
    const tarn__yaml_link *key_link = tarn__yaml_link_at(f->tree, at->link);
    const tarn__yaml_link *value_link = tarn__yaml_link_at(f->tree, key_link->next);
    at->link = value_link->next;
    const tarn__yaml_node *key = tarn__yaml_node_at(f->tree, key_link->node);
    const tarn__yaml_node *value = tarn__yaml_node_at(f->tree, value_link->node);
    /* A null key is the text "null": Java joins it to the path that way. */
    if (key->kind != TARN__YAML_STRING && key->kind != TARN__YAML_NULL) {
        return refuse(f->origin, key->line, "a key must be text; quote it", error);
    }
    TARN_TRY(append_path(f, tarn__yaml_text_of(f->tree, key), error));
    switch (value->kind) {
    case TARN__YAML_NULL:
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "%.100s:%u: the key %.*s has no value",
            f->origin,
            key->line,
            (int)(f->path.size < 200 ? f->path.size : 200),
            (const char *)f->path.data);
    case TARN__YAML_STRING:
    case TARN__YAML_BOOL:
    case TARN__YAML_INT:
    case TARN__YAML_FLOAT:
        return set(f, key, tarn__yaml_text_of(f->tree, value), error);
    case TARN__YAML_LIST:
        return set_list(f, key, value_link->node, error);
    case TARN__YAML_MAP:
        TARN_TRY(append_path(f, tarn_bytes_of("."), error));
        return enter(f, value, error);
    }
    return TARN_OK;
}

static tarn_status flatten(flattener *f, tarn_error *error)
{
    const tarn__yaml_node *root = tarn__yaml_node_at(f->tree, 0);
    if (root->kind == TARN__YAML_NULL) {
        return TARN_OK;
    }
    if (root->kind != TARN__YAML_MAP) {
        return refuse(f->origin, root->line, "the file must be a mapping of keys to values", error);
    }
    TARN_TRY(check_mappings(f, error));
    TARN_TRY(enter(f, root, error));
    while (f->depth > 0) {
        if (f->levels[f->depth - 1].link == TARN__YAML_NO_LINK) {
            f->depth--;
            continue;
        }
        TARN_TRY(take(f, error));
    }
    return TARN_OK;
}

tarn_status tarn__config_parse_standard(
    tarn_config *config, tarn_bytes text, const char *origin, tarn_error *error)
{
    tarn__account *account = tarn__config_account(config);
    TARN_AUTO(tarn__yaml_tree_clear) tarn__yaml_tree tree = {.nodes = {.size = 0}};
    TARN_TRY(tarn__yaml_tree_parse(&tree, account, text, origin, error));
    flattener f = {.config = config, .origin = origin, .tree = &tree};
    f.path.allocator = &account->face;
    f.printed.allocator = &account->face;
    const tarn_status status = flatten(&f, error);
    tarn_buffer_clear(&f.path);
    tarn_buffer_clear(&f.printed);
    return status;
}
