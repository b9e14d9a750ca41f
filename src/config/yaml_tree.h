/*
 * yaml_tree.h - a YAML document as a table of nodes, and what its scalars mean.
 *
 *     text --> libyaml's events --> nodes, links between them, one arena of texts
 *
 * The rules are those of YAML 1.2's core schema as snakeyaml-engine 2.6 (Flink 1.20) applies them,
 * where libyaml's are laxer or of YAML 1.1: tabs between tokens are refused, NEL, LS and PS are no
 * line breaks, a document is alone in its stream, no collection contains itself.
 *
 * Invariants
 *   - Node 0 is the root. Children are reached by links, so that an alias costs a link, not a copy.
 *   - A mapping's links alternate: key, value.
 *   - Depth, nodes, aliases and anchors are bounded (limits in yaml_tree.c); nothing recurses.
 */
#ifndef TARN_CONFIG_YAML_TREE_H
#define TARN_CONFIG_YAML_TREE_H

#include "tarn/bytes.h"

#include "base/account.h"

typedef enum tarn__yaml_kind {
    TARN__YAML_NULL,
    TARN__YAML_STRING,
    TARN__YAML_BOOL,
    TARN__YAML_INT,
    TARN__YAML_FLOAT,
    TARN__YAML_LIST,
    TARN__YAML_MAP,
} tarn__yaml_kind;

enum {
    TARN__YAML_DEPTH_MAX = 100 /* Collections inside each other. */
};
#define TARN__YAML_NO_LINK UINT32_MAX

typedef struct tarn__yaml_node {
    tarn__yaml_kind kind;
    uint32_t line;       /* From 1. */
    size_t text;         /* Of a scalar: where its canonical text begins in the arena, */
    size_t text_size;    /* and its bytes. */
    uint32_t first_link; /* Of a collection. */
    uint32_t link_count; /* Of a collection: links; of a mapping two for each entry. */
    bool is_open;        /* While it is being read: an alias to it would be a cycle. */
} tarn__yaml_node;

typedef struct tarn__yaml_link {
    uint32_t node;
    uint32_t next;
} tarn__yaml_link;

typedef struct tarn__yaml_tree {
    tarn_buffer nodes; /* tarn__yaml_node */
    tarn_buffer links; /* tarn__yaml_link */
    tarn_buffer texts; /* Each followed by a NUL, which is not counted. */
} tarn__yaml_tree;

/*
 * Reads the one document of a text; an empty stream gives a tree whose root is null.
 *
 * tree    Zeroed; release it with tarn__yaml_tree_clear(), after a failure too.
 * origin  Begins each message.
 */
TARN_NODISCARD tarn_status tarn__yaml_tree_parse(
    tarn__yaml_tree *tree,
    tarn__account *account,
    tarn_bytes text,
    const char *origin,
    tarn_error *error);
void tarn__yaml_tree_clear(tarn__yaml_tree *tree);

const tarn__yaml_node *tarn__yaml_node_at(const tarn__yaml_tree *tree, uint32_t index);
const tarn__yaml_link *tarn__yaml_link_at(const tarn__yaml_tree *tree, uint32_t index);
tarn_bytes tarn__yaml_text_of(const tarn__yaml_tree *tree, const tarn__yaml_node *node);

/* What a plain text without a tag is. */
tarn__yaml_kind tarn__yaml_resolve(tarn_bytes text);

/*
 * Appends the canonical text of a scalar of a kind: "10" for "010", "1000.0" for "1e3".
 *
 * Returns INVALID_ARGUMENT without a message when the text cannot be of the kind, NO_MEMORY when
 * out has no room. *kind becomes NULL where the kind's reading of the text is null.
 */
TARN_NODISCARD tarn_status
tarn__yaml_canonical(tarn__yaml_kind *kind, tarn_bytes text, tarn_buffer *out);

/*
 * Appends a list as YAML in flow style on one line: "[x, 'y: z', {a: 1}]".
 *
 * size_max  Of out, in bytes: aliases can make a small document large.
 *
 * Returns INVALID_ARGUMENT without a message when it grows beyond that or nests too deep, and
 * NO_MEMORY when out has no room; then what out got is of no use.
 */
TARN_NODISCARD tarn_status
tarn__yaml_print(const tarn__yaml_tree *tree, uint32_t node, size_t size_max, tarn_buffer *out);

#endif
