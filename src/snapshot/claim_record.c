/* claim_record.c - see claim_record.h. Lines of text, so that who looks for a file can read them.
 */
#include "snapshot/claim_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/try.h"

enum { VERSION = 1, LINE_BYTES = 96 };

static const char *const KINDS[] = {
    [TARN__CLAIM_CHECKPOINT] = "checkpoint",
    [TARN__CLAIM_SAVEPOINT] = "savepoint",
    [TARN__CLAIM_PIN] = "pin",
};

enum { KIND_COUNT = sizeof KINDS / sizeof KINDS[0] };

void tarn__claim_name(uint64_t id, char out[TARN__CLAIM_NAME_BYTES])
{
    snprintf(out, TARN__CLAIM_NAME_BYTES, TARN__CLAIMS_DIRECTORY "/%" PRIu64, id);
}

/* ---- writing ---------------------------------------------------------------------------- */

static bool is_line(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ') {
            return false;
        }
    }
    return strlen(text) <= TARN__CLAIM_ADDRESS_BYTES_MAX;
}

static tarn_status put(tarn_buffer *out, const char *text)
{
    return tarn_buffer_append(out, tarn_bytes_of(text));
}

static tarn_status put_head(tarn_buffer *out, const tarn__claim *claim)
{
    char line[LINE_BYTES];
    snprintf(
        line,
        sizeof line,
        "tarn-claim %d\nkind %s\nid %" PRIu64 "\naddress ",
        VERSION,
        KINDS[claim->kind],
        claim->id);
    TARN_TRY(put(out, line));
    TARN_TRY(put(out, claim->address));
    return put(out, "\n");
}

static tarn_status put_contents(tarn_buffer *out, const tarn__claim *claim)
{
    for (uint32_t i = 0; i < claim->count; i++) {
        char line[LINE_BYTES];
        char text[TARN__DIGEST_TEXT_BYTES];
        tarn__digest_encode(&claim->contents[i].digest, text);
        snprintf(line, sizeof line, "shared %s-%" PRIu64 "\n", text, claim->contents[i].size);
        TARN_TRY(put(out, line));
    }
    return TARN_OK;
}

static tarn_status put_check(tarn_buffer *out)
{
    char line[LINE_BYTES];
    char text[TARN__DIGEST_TEXT_BYTES];
    const tarn__digest digest = tarn__digest_of(tarn_buffer_bytes(out));
    tarn__digest_encode(&digest, text);
    snprintf(line, sizeof line, "check %s\n", text);
    return put(out, line);
}

tarn_status tarn__claim_encode(const tarn__claim *claim, tarn_buffer *out, tarn_error *error)
{
    if (!is_line(claim->address)) {
        return tarn__fail(
            error,
            TARN_INVALID_ARGUMENT,
            "the address of a claimed checkpoint has control characters or more than %d bytes",
            TARN__CLAIM_ADDRESS_BYTES_MAX);
    }
    out->size = 0;
    tarn_status status = put_head(out, claim);
    if (status == TARN_OK) {
        status = put_contents(out, claim);
    }
    if (status == TARN_OK) {
        status = put_check(out);
    }
    return status == TARN_OK ? TARN_OK : tarn__fail_no_memory(error, "a claim", out->size);
}

/* ---- reading ---------------------------------------------------------------------------- */

static tarn_status damaged(tarn_error *error, const char *what)
{
    return tarn__fail(error, TARN_CORRUPTION, "it is no claim: %s", what);
}

/* Takes a line that begins with a word; answers what follows the word. NULL: it is another one. */
static const char *take_line(char **at, const char *word)
{
    const size_t size = strlen(word);
    char *end = strchr(*at, '\n');
    if (end == NULL || strncmp(*at, word, size) != 0 || (*at)[size] != ' ') {
        return NULL;
    }
    const char *rest = *at + size + 1;
    *end = '\0';
    *at = end + 1;
    return rest;
}

static bool parse_number(const char *text, uint64_t *out)
{
    char again[24];
    *out = strtoull(text, NULL, 10);
    snprintf(again, sizeof again, "%" PRIu64, *out);
    return strcmp(again, text) == 0;
}

static bool parse_content(const char *text, tarn__content *out)
{
    const size_t digits = 2 * sizeof out->digest.bytes;
    if (strlen(text) < digits + 2 || text[digits] != '-') {
        return false;
    }
    for (size_t i = 0; i < sizeof out->digest.bytes; i++) {
        unsigned byte = 0;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1) {
            return false;
        }
        out->digest.bytes[i] = (uint8_t)byte;
    }
    char again[TARN__DIGEST_TEXT_BYTES];
    tarn__digest_encode(&out->digest, again);
    return strncmp(again, text, digits) == 0 && parse_number(text + digits + 1, &out->size);
}

/* The last line has the digest of all before it. */
static bool has_check(tarn_bytes bytes, size_t *checked)
{
    const char *data = bytes.data;
    const size_t line = sizeof "check " - 1 + TARN__DIGEST_TEXT_BYTES - 1 + 1;
    if (bytes.size < line) {
        return false;
    }
    *checked = bytes.size - line;
    char expected[LINE_BYTES];
    char text[TARN__DIGEST_TEXT_BYTES];
    const tarn__digest digest = tarn__digest_of(tarn_bytes_at(data, *checked));
    tarn__digest_encode(&digest, text);
    snprintf(expected, sizeof expected, "check %s\n", text);
    return memcmp(expected, data + *checked, line) == 0;
}

static tarn_status read_contents(
    char *at, tarn__arena *arena, tarn__claim *claim, tarn_error *error)
{
    uint32_t count = 0;
    for (const char *c = at; *c != '\0'; c++) {
        count += *c == '\n' ? 1 : 0;
    }
    tarn__content *contents = tarn__arena_allocate(arena, count, sizeof *contents);
    if (contents == NULL) {
        return tarn__fail_no_memory(error, "a claim", count * sizeof *contents);
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *text = take_line(&at, "shared");
        if (text == NULL || !parse_content(text, &contents[i])) {
            return damaged(error, "a line is no shared file's");
        }
    }
    claim->contents = contents;
    claim->count = count;
    return *at == '\0' ? TARN_OK : damaged(error, "something follows after the last line");
}

static bool parse_kind(const char *text, tarn__claim_kind *out)
{
    for (int i = 0; text != NULL && i < KIND_COUNT; i++) {
        if (strcmp(text, KINDS[i]) == 0) {
            *out = (tarn__claim_kind)i;
            return true;
        }
    }
    return false;
}

static tarn_status read_lines(char *at, tarn__arena *arena, tarn__claim *out, tarn_error *error)
{
    tarn__claim claim = {.count = 0};
    uint64_t version = 0;
    const char *text = take_line(&at, "tarn-claim");
    if (text == NULL || !parse_number(text, &version) || version == 0) {
        return damaged(error, "it does not begin as one");
    }
    if (version > VERSION) {
        return tarn__fail(
            error,
            TARN_NOT_SUPPORTED,
            "the claim has format version %" PRIu64 ", and this Tarn reads up to version %d",
            version,
            VERSION);
    }
    if (!parse_kind(take_line(&at, "kind"), &claim.kind)) {
        return damaged(error, "it has no kind");
    }
    text = take_line(&at, "id");
    if (text == NULL || !parse_number(text, &claim.id)) {
        return damaged(error, "it has no id");
    }
    claim.address = take_line(&at, "address");
    if (claim.address == NULL) {
        return damaged(error, "it has no address");
    }
    TARN_TRY(read_contents(at, arena, &claim, error));
    *out = claim;
    return TARN_OK;
}

tarn_status tarn__claim_decode(
    tarn_bytes bytes, tarn__arena *arena, tarn__claim *out, tarn_error *error)
{
    size_t checked = 0;
    if (!has_check(bytes, &checked) || memchr(bytes.data, '\0', bytes.size) != NULL) {
        return damaged(error, "its check does not match");
    }
    char *text = tarn__arena_copy(arena, tarn_bytes_at(bytes.data, checked));
    if (text == NULL) {
        return tarn__fail_no_memory(error, "a claim", checked);
    }
    return read_lines(text, arena, out, error);
}
