/*
 * yaml_print.c - a list as text: YAML in flow style on one line, as Flink keeps lists.
 *
 * Source: snakeyaml-engine 2.6, Emitter: which texts must be quoted, and how.
 */
#include <stdio.h>
#include <string.h>

#include "base/try.h"
#include "config/yaml_tree.h"

enum { SIMPLE_KEY_BYTES = 123 }; /* A longer key is written behind "? ". */

/* A collection that is being printed. */
typedef struct level {
    const tarn__yaml_node *node;
    uint32_t link;  /* The next child. */
    uint32_t index; /* Of that child. */
    bool is_key_complex;
} level;

typedef struct printer {
    const tarn__yaml_tree *tree;
    tarn_buffer *out;
    size_t size_max;
    level levels[TARN__YAML_DEPTH_MAX];
    size_t depth;
} printer;

static tarn_status put(printer *p, const char *text, size_t size)
{
    if (p->out->size + size > p->size_max) {
        return TARN_INVALID_ARGUMENT;
    }
    return tarn_buffer_append(p->out, tarn_bytes_at(text, size));
}

static tarn_status put_text(printer *p, const char *text)
{
    return put(p, text, strlen(text));
}

/* Bytes of the character at data; the text is UTF-8 that libyaml has verified. */
static size_t character_size(unsigned char lead)
{
    return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

static bool is_control(const unsigned char *at)
{
    return at[0] < 0x20 || at[0] == 0x7F || (at[0] == 0xC2 && at[1] < 0xA0);
}

/* Whether double quotes are needed: line breaks and what cannot be printed. */
static bool needs_escapes(tarn_bytes text)
{
    const unsigned char *data = text.data;
    for (size_t at = 0; at < text.size; at += character_size(data[at])) {
        if (is_control(data + at)) {
            return true;
        }
    }
    return false;
}

static bool is_blank_at(const char *data, size_t at, size_t size)
{
    return at >= size || data[at] == ' ';
}

/* Whether a text may stand without quotes inside brackets, apart from what it would mean. */
static bool may_be_plain(tarn_bytes text)
{
    const char *data = text.data;
    const size_t size = text.size;
    if (size == 0 || data[0] == ' ' || data[size - 1] == ' ' ||
        strchr("#,[]{}&*!|>'\"%@`?:", data[0]) != NULL ||
        (data[0] == '-' && is_blank_at(data, 1, size)) ||
        (size >= 3 && (memcmp(data, "---", 3) == 0 || memcmp(data, "...", 3) == 0))) {
        return false;
    }
    for (size_t at = 1; at < size; at++) {
        if (strchr(",?[]{}:", data[at]) != NULL || (data[at] == '#' && data[at - 1] == ' ')) {
            return false;
        }
    }
    return true;
}

static tarn_status put_single_quoted(printer *p, tarn_bytes text)
{
    const char *data = text.data;
    TARN_TRY(put_text(p, "'"));
    for (size_t at = 0; at < text.size; at++) {
        TARN_TRY(put(p, data + at, 1));
        if (data[at] == '\'') {
            TARN_TRY(put(p, data + at, 1));
        }
    }
    return put_text(p, "'");
}

/* The escape of a character that has one of its own, or NULL. */
static const char *escape_of(const unsigned char *at, size_t size)
{
    static const char *const pairs[][2] = {
        {"\a", "\\a"},
        {"\b", "\\b"},
        {"\t", "\\t"},
        {"\n", "\\n"},
        {"\v", "\\v"},
        {"\f", "\\f"},
        {"\r", "\\r"},
        {"\x1B", "\\e"},
        {"\"", "\\\""},
        {"\\", "\\\\"},
        {"\xC2\x85", "\\N"},
        {"\xC2\xA0", "\\_"},
        {"\xE2\x80\xA8", "\\L"},
        {"\xE2\x80\xA9", "\\P"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (strlen(pairs[i][0]) == size && memcmp(pairs[i][0], at, size) == 0) {
            return pairs[i][1];
        }
    }
    return NULL;
}

static tarn_status put_double_quoted(printer *p, tarn_bytes text)
{
    const unsigned char *data = text.data;
    TARN_TRY(put_text(p, "\""));
    for (size_t at = 0; at < text.size;) {
        const size_t size = character_size(data[at]);
        const char *escape = escape_of(data + at, size);
        char code[8];
        if (escape == NULL && is_control(data + at)) {
            snprintf(code, sizeof code, "\\x%02x", data[at + size - 1]);
            escape = code;
        }
        TARN_TRY(escape != NULL ? put_text(p, escape) : put(p, (const char *)data + at, size));
        at += size;
    }
    return put_text(p, "\"");
}

static tarn_status put_scalar(printer *p, const tarn__yaml_node *node)
{
    const tarn_bytes text = tarn__yaml_text_of(p->tree, node);
    if (node->kind != TARN__YAML_STRING) {
        return put(p, text.data, text.size);
    }
    if (needs_escapes(text)) {
        return put_double_quoted(p, text);
    }
    if (may_be_plain(text) && tarn__yaml_resolve(text) == TARN__YAML_STRING) {
        return put(p, text.data, text.size);
    }
    return put_single_quoted(p, text);
}

static bool is_scalar(const tarn__yaml_node *node)
{
    return node->kind != TARN__YAML_LIST && node->kind != TARN__YAML_MAP;
}

static bool is_simple_key(const printer *p, const tarn__yaml_node *node)
{
    if (!is_scalar(node)) {
        return node->link_count == 0;
    }
    const tarn_bytes text = tarn__yaml_text_of(p->tree, node);
    return text.size > 0 && text.size < SIMPLE_KEY_BYTES &&
           memchr(text.data, '\n', text.size) == NULL;
}

/* Writes what stands in front of the next child of a collection. */
static tarn_status put_separator(printer *p, level *at, const tarn__yaml_node *child)
{
    const bool is_value = at->node->kind == TARN__YAML_MAP && at->index % 2 == 1;
    if (is_value) {
        return put_text(p, at->is_key_complex ? " : " : ": ");
    }
    if (at->index > 0) {
        TARN_TRY(put_text(p, ", "));
    }
    at->is_key_complex = at->node->kind == TARN__YAML_MAP && !is_simple_key(p, child);
    return at->is_key_complex ? put_text(p, "? ") : TARN_OK;
}

static tarn_status begin(printer *p, const tarn__yaml_node *node)
{
    if (p->depth == TARN__YAML_DEPTH_MAX) {
        return TARN_INVALID_ARGUMENT; /* Aliases can nest deeper than the text does. */
    }
    p->levels[p->depth++] = (level){.node = node, .link = node->first_link};
    return put_text(p, node->kind == TARN__YAML_LIST ? "[" : "{");
}

static tarn_status print(printer *p, const tarn__yaml_node *root)
{
    TARN_TRY(begin(p, root));
    while (p->depth > 0) {
        level *at = &p->levels[p->depth - 1];
        if (at->link == TARN__YAML_NO_LINK) {
            TARN_TRY(put_text(p, at->node->kind == TARN__YAML_LIST ? "]" : "}"));
            p->depth--;
            continue;
        }
        const tarn__yaml_link *link = tarn__yaml_link_at(p->tree, at->link);
        const tarn__yaml_node *child = tarn__yaml_node_at(p->tree, link->node);
        TARN_TRY(put_separator(p, at, child));
        at->link = link->next;
        at->index++;
        TARN_TRY(is_scalar(child) ? put_scalar(p, child) : begin(p, child));
    }
    return TARN_OK;
}

tarn_status tarn__yaml_print(
    const tarn__yaml_tree *tree, uint32_t node, size_t size_max, tarn_buffer *out)
{
    printer p = {.tree = tree, .out = out, .size_max = size_max};
    return print(&p, tarn__yaml_node_at(tree, node));
}
