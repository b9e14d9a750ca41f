/* yaml_tree.c - see yaml_tree.h. The only file that includes <yaml.h>. */
#include "config/yaml_tree.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/try.h"

enum {
    ALIASES_MAX = 50,   /* To collections; snakeyaml's own limit. */
    ANCHORS_MAX = 1024, /* They are searched one by one. */
    ANCHOR_BYTES = 64
};

/*
 * Characters that libyaml takes for line breaks or refuses, and the engine does not: NEL, LS, PS
 * and a byte-order mark inside the text. They pass libyaml as private-use characters that the text
 * does not contain, and are put back in the scalars.
 */
typedef struct stand_in {
    const char *original;
    char replacement[4]; /* Three bytes and a NUL. Empty: the original does not occur. */
} stand_in;

enum { STAND_IN_COUNT = 4 };

typedef struct anchor {
    char name[ANCHOR_BYTES];
    uint32_t node;
} anchor;

/* A collection that is being read. */
typedef struct level {
    uint32_t node;
    uint32_t last_link;
} level;

typedef struct reader {
    tarn__yaml_tree *tree;
    tarn__account *account;
    const char *origin;
    stand_in stand_ins[STAND_IN_COUNT];
    tarn_buffer anchors; /* anchor */
    level levels[TARN__YAML_DEPTH_MAX];
    size_t depth;
    uint32_t alias_count;
    uint32_t line; /* Of the event at hand, from 1. */
    bool has_root;
} reader;

const tarn__yaml_node *tarn__yaml_node_at(const tarn__yaml_tree *tree, uint32_t index)
{
    return (const tarn__yaml_node *)(const void *)tree->nodes.data + index;
}

const tarn__yaml_link *tarn__yaml_link_at(const tarn__yaml_tree *tree, uint32_t index)
{
    return (const tarn__yaml_link *)(const void *)tree->links.data + index;
}

static tarn__yaml_node *node_at(tarn__yaml_tree *tree, uint32_t index)
{
    return (tarn__yaml_node *)(void *)tree->nodes.data + index;
}

static tarn__yaml_link *link_at(tarn__yaml_tree *tree, uint32_t index)
{
    return (tarn__yaml_link *)(void *)tree->links.data + index;
}

tarn_bytes tarn__yaml_text_of(const tarn__yaml_tree *tree, const tarn__yaml_node *node)
{
    return tarn_bytes_at(tree->texts.data + node->text, node->text_size);
}

void tarn__yaml_tree_clear(tarn__yaml_tree *tree)
{
    tarn_buffer_clear(&tree->nodes);
    tarn_buffer_clear(&tree->links);
    tarn_buffer_clear(&tree->texts);
}

static tarn_status refuse(const reader *r, const char *problem, tarn_error *error)
{
    return tarn__fail(
        error,
        TARN_INVALID_ARGUMENT,
        "%.100s:%u: this is no configuration in YAML: %s",
        r->origin,
        r->line,
        problem);
}

static tarn_status no_memory(tarn_error *error, size_t bytes)
{
    return tarn__fail_no_memory(error, "a YAML configuration", bytes);
}

static tarn_status push(tarn_buffer *buffer, const void *item, size_t size, tarn_error *error)
{
    if (tarn_buffer_append(buffer, tarn_bytes_at(item, size)) != TARN_OK) {
        return no_memory(error, buffer->size + size);
    }
    return TARN_OK;
}

/* Links a node into the collection that is open, or makes it the root. */
static tarn_status attach(reader *r, uint32_t node, tarn_error *error)
{
    if (r->depth == 0) {
        r->has_root = true;
        return TARN_OK;
    }
    level *at = &r->levels[r->depth - 1];
    const uint32_t index = (uint32_t)(r->tree->links.size / sizeof(tarn__yaml_link));
    const tarn__yaml_link link = {.node = node, .next = TARN__YAML_NO_LINK};
    TARN_TRY(push(&r->tree->links, &link, sizeof link, error));
    tarn__yaml_node *parent = node_at(r->tree, at->node);
    if (at->last_link == TARN__YAML_NO_LINK) {
        parent->first_link = index;
    } else {
        link_at(r->tree, at->last_link)->next = index;
    }
    parent->link_count++;
    at->last_link = index;
    return TARN_OK;
}

static anchor *find_anchor(const reader *r, const char *name)
{
    anchor *anchors = (anchor *)(void *)r->anchors.data;
    for (size_t i = 0; i < r->anchors.size / sizeof *anchors; i++) {
        if (strcmp(anchors[i].name, name) == 0) {
            return &anchors[i];
        }
    }
    return NULL;
}

static tarn_status keep_anchor(reader *r, const yaml_char_t *name, uint32_t node, tarn_error *error)
{
    if (name == NULL) {
        return TARN_OK;
    }
    const char *text = (const char *)name;
    anchor made = {.node = node};
    const size_t size = strlen(text) + 1;
    if (size > sizeof made.name) {
        return refuse(r, "an anchor's name is longer than 63 bytes", error);
    }
    anchor *found = find_anchor(r, text);
    if (found != NULL) {
        found->node = node;
        return TARN_OK;
    }
    if (r->anchors.size / sizeof made >= ANCHORS_MAX) {
        return refuse(r, "there are more than 1,024 anchors", error);
    }
    memcpy(made.name, text, size);
    return push(&r->anchors, &made, sizeof made, error);
}

static tarn_status add_node(
    reader *r,
    tarn__yaml_node node,
    const yaml_char_t *anchor_name,
    uint32_t *index_out,
    tarn_error *error)
{
    node.line = r->line;
    node.first_link = TARN__YAML_NO_LINK;
    const uint32_t index = (uint32_t)(r->tree->nodes.size / sizeof node);
    TARN_TRY(push(&r->tree->nodes, &node, sizeof node, error));
    TARN_TRY(keep_anchor(r, anchor_name, index, error));
    TARN_TRY(attach(r, index, error));
    *index_out = index;
    return TARN_OK;
}

/* Kind of a tag of YAML's own, without "tag:yaml.org,2002:"; false for any other tag. */
static bool kind_of_tag(const char *tag, tarn__yaml_kind *out)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    static const struct {
        const char *name;
        tarn__yaml_kind kind;
    } kinds[] = {
        {"null", TARN__YAML_NULL},
        {"str", TARN__YAML_STRING},
        {"bool", TARN__YAML_BOOL},
        {"int", TARN__YAML_INT},
        {"float", TARN__YAML_FLOAT},
        {"seq", TARN__YAML_LIST},
        {"map", TARN__YAML_MAP},
    };
    if (strncmp(tag, prefix, sizeof prefix - 1) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, tag + sizeof prefix - 1) == 0) {
            *out = kinds[i].kind;
            return true;
        }
    }
    return false;
}

static bool is_given(const yaml_char_t *tag)
{
    return tag != NULL && strcmp((const char *)tag, "!") != 0;
}

/* Puts the characters back that stand-ins replaced; the text only shrinks or keeps its size. */
static size_t restore(const reader *r, char *text, size_t size)
{
    size_t kept = 0;
    for (size_t at = 0; at < size;) {
        const stand_in *found = NULL;
        for (size_t i = 0; i < STAND_IN_COUNT && found == NULL; i++) {
            const stand_in *candidate = &r->stand_ins[i];
            if (candidate->replacement[0] != '\0' && size - at >= 3 &&
                memcmp(text + at, candidate->replacement, 3) == 0) {
                found = candidate;
            }
        }
        if (found == NULL) {
            text[kept++] = text[at++];
            continue;
        }
        const size_t length = strlen(found->original);
        memcpy(text + kept, found->original, length);
        kept += length;
        at += 3;
    }
    return kept;
}

static tarn_status add_scalar(reader *r, const yaml_event_t *event, tarn_error *error)
{
    char *value = (char *)event->data.scalar.value;
    const size_t size = restore(r, value, event->data.scalar.length);
    const tarn_bytes text = tarn_bytes_at(value, size);
    tarn__yaml_node node = {.kind = TARN__YAML_STRING, .text = r->tree->texts.size};
    if (is_given(event->data.scalar.tag)) {
        if (!kind_of_tag((const char *)event->data.scalar.tag, &node.kind)) {
            return refuse(r, "it has a tag that is none of YAML's core schema", error);
        }
    } else if (event->data.scalar.plain_implicit) {
        node.kind = tarn__yaml_resolve(text);
    }
    const tarn_status status = tarn__yaml_canonical(&node.kind, text, &r->tree->texts);
    if (status == TARN_NO_MEMORY) {
        return no_memory(error, size);
    }
    if (status != TARN_OK) {
        return refuse(r, "a value cannot be what its tag or form says", error);
    }
    node.text_size = r->tree->texts.size - node.text;
    TARN_TRY(push(&r->tree->texts, "", 1, error));
    if (memchr(r->tree->texts.data + node.text, '\0', node.text_size) != NULL) {
        return refuse(r, "a text holds the character NUL", error);
    }
    uint32_t index = 0;
    return add_node(r, node, event->data.scalar.anchor, &index, error);
}

static tarn_status begin_collection(
    reader *r,
    tarn__yaml_kind kind,
    const yaml_char_t *tag,
    const yaml_char_t *anchor_name,
    tarn_error *error)
{
    tarn__yaml_kind wanted = kind;
    if (is_given(tag) && (!kind_of_tag((const char *)tag, &wanted) || wanted != kind)) {
        return refuse(r, "a list or mapping has a tag of something else", error);
    }
    if (r->depth == TARN__YAML_DEPTH_MAX) {
        return refuse(r, "lists and mappings are nested more than 100 deep", error);
    }
    uint32_t index = 0;
    const tarn__yaml_node node = {.kind = kind, .is_open = true};
    TARN_TRY(add_node(r, node, anchor_name, &index, error));
    r->levels[r->depth++] = (level){.node = index, .last_link = TARN__YAML_NO_LINK};
    return TARN_OK;
}

static tarn_status add_alias(reader *r, const yaml_char_t *name, tarn_error *error)
{
    const anchor *found = find_anchor(r, (const char *)name);
    if (found == NULL) {
        return refuse(r, "an alias names no anchor", error);
    }
    const tarn__yaml_node *node = tarn__yaml_node_at(r->tree, found->node);
    if (node->is_open) {
        return refuse(r, "a list or mapping contains itself", error);
    }
    const bool is_collection = node->kind == TARN__YAML_LIST || node->kind == TARN__YAML_MAP;
    if (is_collection && ++r->alias_count > ALIASES_MAX) {
        return refuse(r, "there are more than 50 aliases of lists and mappings", error);
    }
    return attach(r, found->node, error);
}

/* Takes in one event of a document. */
static tarn_status take(reader *r, const yaml_event_t *event, tarn_error *error)
{
    r->line = (uint32_t)event->start_mark.line + 1;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return add_scalar(r, event, error);
    case YAML_SEQUENCE_START_EVENT:
        return begin_collection(
            r,
            TARN__YAML_LIST,
            event->data.sequence_start.tag,
            event->data.sequence_start.anchor,
            error);
    case YAML_MAPPING_START_EVENT:
        return begin_collection(
            r,
            TARN__YAML_MAP,
            event->data.mapping_start.tag,
            event->data.mapping_start.anchor,
            error);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        r->depth--;
        node_at(r->tree, r->levels[r->depth].node)->is_open = false;
        return TARN_OK;
    case YAML_ALIAS_EVENT:
        return add_alias(r, event->data.alias.anchor, error);
    case YAML_DOCUMENT_START_EVENT:
        return r->has_root ? refuse(r, "there is more than one document", error) : TARN_OK;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return TARN_OK;
    }
    return TARN_OK;
}

static tarn_status read_events(reader *r, yaml_parser_t *parser, tarn_error *error)
{
    bool is_at_end = false;
    while (!is_at_end) {
        yaml_event_t event;
        if (yaml_parser_parse(parser, &event) == 0) {
            if (parser->error == YAML_MEMORY_ERROR) {
                return no_memory(error, 0);
            }
            r->line = (uint32_t)parser->problem_mark.line + 1;
            return refuse(r, parser->problem != NULL ? parser->problem : "it ends early", error);
        }
        const tarn_status status = take(r, &event, error);
        is_at_end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        TARN_TRY(status);
    }
    return TARN_OK;
}

/* Where a walk over the text has come to, counted as libyaml counts: in characters. */
typedef struct cursor {
    const char *data;
    size_t size;
    size_t at;     /* Units: bytes. */
    size_t index;  /* Units: characters. */
    uint32_t line; /* From 1. */
} cursor;

static void step(cursor *c)
{
    const char now = c->data[c->at];
    const bool is_pair = now == '\r' && c->at + 1 < c->size && c->data[c->at + 1] == '\n';
    c->line += now == '\n' || (now == '\r' && !is_pair) ? 1 : 0;
    c->at++;
    while (c->at < c->size && ((unsigned char)c->data[c->at] & 0xC0) == 0x80) {
        c->at++;
    }
    c->index++;
}

static bool is_break(char c)
{
    return c == '\n' || c == '\r';
}

/* Walks through a plain scalar; false when one of its lines is indented by a tab. */
static bool walk_plain(cursor *c, size_t end)
{
    bool is_indentation = false;
    while (c->index < end && c->at < c->size) {
        const char now = c->data[c->at];
        if (now == '\t' && is_indentation) {
            return false;
        }
        is_indentation = is_break(now) || (is_indentation && now == ' ');
        step(c);
    }
    return true;
}

/* Walks through what is between two tokens; false when a tab is there that separates nothing. */
static bool walk_gap(cursor *c, size_t end, bool is_after_plain)
{
    bool is_comment = false;
    bool is_tab_allowed = is_after_plain;
    while (c->index < end && c->at < c->size) {
        const char now = c->data[c->at];
        if (is_break(now)) {
            is_comment = false;
        } else if (now == '#') {
            is_comment = true;
        } else if (now == '\t' && !is_comment && !is_tab_allowed) {
            return false;
        }
        is_tab_allowed = is_tab_allowed && (now == ' ' || now == '\t');
        step(c);
    }
    return true;
}

static bool walk_token(cursor *c, const yaml_token_t *token, bool *is_after_plain)
{
    if (token->start_mark.index > c->index &&
        !walk_gap(c, token->start_mark.index, *is_after_plain)) {
        return false;
    }
    const bool is_plain =
        token->type == YAML_SCALAR_TOKEN && token->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (token->end_mark.index > c->index) {
        *is_after_plain = is_plain;
        if (is_plain) {
            return walk_plain(c, token->end_mark.index);
        }
        while (c->index < token->end_mark.index && c->at < c->size) {
            step(c);
        }
    }
    return true;
}

/* Refuses tabs between tokens, which libyaml lets pass. The text is known to parse. */
static tarn_status check_tabs(reader *r, yaml_parser_t *parser, tarn_bytes text, tarn_error *error)
{
    cursor at = {.data = text.data, .size = text.size, .line = 1};
    bool is_after_plain = false;
    bool is_at_end = false;
    while (!is_at_end) {
        yaml_token_t token;
        if (yaml_parser_scan(parser, &token) == 0) {
            return no_memory(error, 0); /* What was read once can fail for nothing else. */
        }
        is_at_end = token.type == YAML_STREAM_END_TOKEN || token.type == YAML_NO_TOKEN;
        const bool is_good = walk_token(&at, &token, &is_after_plain);
        yaml_token_delete(&token);
        r->line = at.line;
        if (!is_good) {
            return refuse(r, "a tab separates or indents; use spaces", error);
        }
    }
    return TARN_OK;
}

static bool contains(tarn_bytes text, const char *part)
{
    return memmem(text.data, text.size, part, strlen(part)) != NULL;
}

/* Chooses a private-use character, from the candidate on, that the text has not; false: none. */
static bool choose_stand_in(stand_in *at, tarn_bytes text, unsigned *candidate)
{
    enum { CANDIDATES = 64 * 64 }; /* U+E000 .. U+EFFF. */
    for (; *candidate < CANDIDATES; (*candidate)++) {
        at->replacement[0] = (char)0xEE;
        at->replacement[1] = (char)(0x80 + *candidate / 64);
        at->replacement[2] = (char)(0x80 + *candidate % 64);
        if (!contains(text, at->replacement)) {
            (*candidate)++;
            return true;
        }
    }
    return false;
}

static tarn_status choose_stand_ins(
    reader *r, tarn_bytes text, bool *are_needed_out, tarn_error *error)
{
    static const char *const originals[STAND_IN_COUNT] = {
        "\xC2\x85", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xEF\xBB\xBF"};
    unsigned candidate = 0;
    for (size_t i = 0; i < STAND_IN_COUNT; i++) {
        r->stand_ins[i].original = originals[i];
        if (!contains(text, originals[i])) {
            continue;
        }
        *are_needed_out = true;
        if (!choose_stand_in(&r->stand_ins[i], text, &candidate)) {
            return refuse(r, "it has every private-use character from U+E000 to U+EFFF", error);
        }
    }
    return TARN_OK;
}

static tarn_status replace(const reader *r, tarn_bytes text, tarn_buffer *out, tarn_error *error)
{
    const char *data = text.data;
    for (size_t at = 0; at < text.size;) {
        size_t length = 1;
        const char *part = data + at;
        size_t part_size = 1;
        for (size_t i = 0; i < STAND_IN_COUNT; i++) {
            const size_t size = strlen(r->stand_ins[i].original);
            if (r->stand_ins[i].replacement[0] != '\0' && text.size - at >= size &&
                memcmp(data + at, r->stand_ins[i].original, size) == 0) {
                length = size;
                part = r->stand_ins[i].replacement;
                part_size = 3;
            }
        }
        TARN_TRY(push(out, part, part_size, error));
        at += length;
    }
    return TARN_OK;
}

static void delete_parser(yaml_parser_t *parser)
{
    yaml_parser_delete(parser);
}

static tarn_status open_parser(yaml_parser_t *parser, tarn_bytes text, tarn_error *error)
{
    if (yaml_parser_initialize(parser) == 0) {
        memset(parser, 0, sizeof *parser);
        return no_memory(error, sizeof *parser);
    }
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(parser, text.data, text.size);
    return TARN_OK;
}

static tarn_status parse(reader *r, tarn_bytes text, tarn_error *error)
{
    TARN_AUTO(delete_parser) yaml_parser_t parser;
    memset(&parser, 0, sizeof parser);
    TARN_TRY(open_parser(&parser, text, error));
    TARN_TRY(read_events(r, &parser, error));
    if (!r->has_root) {
        const tarn__yaml_node null = {.kind = TARN__YAML_NULL};
        uint32_t index = 0;
        TARN_TRY(add_node(r, null, NULL, &index, error));
    }
    if (text.size == 0 || memchr(text.data, '\t', text.size) == NULL) {
        return TARN_OK;
    }
    TARN_AUTO(delete_parser) yaml_parser_t scanner;
    memset(&scanner, 0, sizeof scanner);
    TARN_TRY(open_parser(&scanner, text, error));
    return check_tabs(r, &scanner, text, error);
}

tarn_status tarn__yaml_tree_parse(
    tarn__yaml_tree *tree,
    tarn__account *account,
    tarn_bytes text,
    const char *origin,
    tarn_error *error)
{
    static const char mark[] = "\xEF\xBB\xBF";
    if (text.size >= 3 && memcmp(text.data, mark, 3) == 0) {
        text = tarn_bytes_at((const char *)text.data + 3, text.size - 3);
    }
    if (text.size == 0) {
        text.data = ""; /* libyaml wants an address. */
    }
    tree->nodes.allocator = &account->face;
    tree->links.allocator = &account->face;
    tree->texts.allocator = &account->face;
    reader r = {.tree = tree, .account = account, .origin = origin, .line = 1};
    r.anchors.allocator = &account->face;
    TARN_AUTO(tarn_buffer_clear) tarn_buffer replaced = {.allocator = &account->face};
    bool are_needed = false;
    TARN_TRY(choose_stand_ins(&r, text, &are_needed, error));
    if (are_needed) {
        TARN_TRY(replace(&r, text, &replaced, error));
        text = tarn_buffer_bytes(&replaced);
    }
    const tarn_status status = parse(&r, text, error);
    tarn_buffer_clear(&r.anchors);
    return status;
}
